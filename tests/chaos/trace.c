/* SPDX-License-Identifier: Apache-2.0 */

/* Recording, and comparing: see the header. */

#include <inttypes.h>
#include <stdarg.h>

#include "trace.h"

#define BEFORE 30
#define AFTER 5

_printf_(2, 0) static char *format_line(usec_t when, const char *format, va_list arguments) {
        char *rest, *line;

        if (vasprintf(&rest, format, arguments) < 0 ||
            asprintf(&line, "%" PRIu64 ".%06" PRIu64 " %s", when / USEC_PER_SEC, when % USEC_PER_SEC, rest) < 0)
                abort();
        free(rest);
        return line;
}

/* The lines around the next one, which is marked. */
static void show(const struct trace *trace) {
        size_t first = trace->next > BEFORE ? trace->next - BEFORE : 0;

        printf("chaos: seed %" PRIu64 ", life %u:\n", trace->seed, trace->life);
        for (size_t i = first; i < trace->n && i < trace->next + AFTER; i++)
                printf("%c %s\n", i == trace->next ? '>' : ' ', trace->lines[i]);
}

void trace_add(struct trace *trace, usec_t when, const char *format, ...) {
        va_list arguments;

        if (trace->n % 1024 == 0) {
                trace->lines = reallocarray(trace->lines, trace->n + 1024, sizeof *trace->lines);
                if (!trace->lines)
                        abort();
        }
        va_start(arguments, format);
        trace->lines[trace->n++] = format_line(when, format, arguments);
        va_end(arguments);
}

void trace_expect(struct trace *trace, usec_t when, const char *format, ...) {
        _cleanup_(freep) char *expected = NULL;
        va_list arguments;

        va_start(arguments, format);
        expected = format_line(when, format, arguments);
        va_end(arguments);
        if (trace->next < trace->n && strcmp(trace->lines[trace->next], expected) == 0) {
                trace->next++;
                return;
        }
        show(trace);
        printf("The line after the mark should have been\n> %s\n", expected);
        exit(EXIT_FAILURE);
}

void trace_expect_end(struct trace *trace) {
        if (trace->next == trace->n)
                return;
        show(trace);
        printf("The life should have been over before the mark\n");
        exit(EXIT_FAILURE);
}

void trace_clear(struct trace *trace) {
        for (size_t i = 0; i < trace->n; i++)
                free(trace->lines[i]);
        free(STEAL(trace->lines));
        trace->n = trace->next = 0;
}

void trace_fail(struct trace *trace, usec_t when, const char *format, ...) {
        _cleanup_(freep) char *line = NULL;
        va_list arguments;

        trace->next = trace->n;
        show(trace);
        va_start(arguments, format);
        line = format_line(when, format, arguments);
        va_end(arguments);
        printf("%s\n", line);
        exit(EXIT_FAILURE);
}
