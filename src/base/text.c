/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Texts that grow, and the two ways in which the program writes down what came
 * from outside.
 *
 * Everything that leaves the program is put together in a struct text: log
 * lines, the state file, --help. Names, versions and errors among it were chosen
 * by others, and go through text_add_json() or text_add_logfmt(): each reads its
 * input as UTF-8, one character at a time, and lets through only what can
 * neither end a line or a field nor drive a terminal. Both decide by
 * utf8_is_dangerous(), so that what is safe in one format is safe in the other.
 *
 * A text belongs to whoever declared it, and to one thread at a time.
 */

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

#define ALLOCATION_MIN ((size_t) 64)

/* Makes room for size more bytes and the NUL. False once the memory has run out. */
static bool text_reserve(struct text *text, size_t size) {
        if (text->failed)
                return false;

        if (size >= SIZE_MAX / 2 - text->size) {
                text->failed = true;
                return false;
        }

        size_t needed = text->size + size + 1;
        if (needed <= text->allocated)
                return true;

        size_t allocated = text->allocated ? text->allocated : ALLOCATION_MIN;
        while (allocated < needed)
                allocated *= 2;

        char *data = realloc(text->data, allocated);
        if (!data) {
                text->failed = true;
                return false;
        }

        text->data = data;
        text->allocated = allocated;
        return true;
}

void text_done(struct text *text) {
        free(text->data);
        *text = TEXT_INIT;
}

void text_clear(struct text *text) {
        text->size = 0;
        text->failed = false;
        if (text->data)
                text->data[0] = '\0';
}

int text_error(const struct text *text) {
        return text->failed ? -ENOMEM : 0;
}

void text_add_bytes(struct text *text, const char *bytes, size_t size) {
        if (!text_reserve(text, size))
                return;

        if (size > 0)
                memcpy(text->data + text->size, bytes, size);
        text->size += size;
        text->data[text->size] = '\0';
}

void text_add(struct text *text, const char *string) {
        text_add_bytes(text, string, strlen(string));
}

void text_addf(struct text *text, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        int size = vsnprintf(NULL, 0, format, arguments);
        va_end(arguments);

        if (size < 0) {
                text->failed = true;
                return;
        }
        if (!text_reserve(text, (size_t) size))
                return;

        va_start(arguments, format);
        (void) vsnprintf(text->data + text->size, (size_t) size + 1, format, arguments);
        va_end(arguments);
        text->size += (size_t) size;
}

/* The escapes that JSON and log values have in common. False when there is none. */
static bool add_short_escape(struct text *text, uint32_t code) {
        switch (code) {
        case '"':
                text_add(text, "\\\"");
                return true;
        case '\\':
                text_add(text, "\\\\");
                return true;
        case '\n':
                text_add(text, "\\n");
                return true;
        case '\t':
                text_add(text, "\\t");
                return true;
        case '\r':
                text_add(text, "\\r");
                return true;
        default:
                return false;
        }
}

static void add_json_escape(struct text *text, uint32_t code) {
        if (add_short_escape(text, code))
                return;

        if (code <= 0xFFFF)
                text_addf(text, "\\u%04x", code);
        else
                /* beyond the first plane, JSON has surrogate pairs only */
                text_addf(text, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                          0xDC00 + ((code - 0x10000) & 0x3FF));
}

/* How many of the next bytes are printable ASCII that JSON takes as it is: nearly all of any text. */
static size_t plain_span(const char *string) {
        size_t n = 0;

        while (string[n] >= ' ' && string[n] <= '~' && string[n] != '"' && string[n] != '\\')
                n++;
        return n;
}

void text_add_json(struct text *text, const char *string) {
        if (!string) {
                text_add(text, "null");
                return;
        }

        text_add_bytes(text, "\"", 1);
        for (;;) {
                size_t length = plain_span(string);
                uint32_t code;

                text_add_bytes(text, string, length);
                string += length;
                if (!*string)
                        break;

                length = utf8_decode(string, SIZE_MAX, &code);
                if (length == 0) {
                        text_add(text, "\xEF\xBF\xBD");         /* U+FFFD */
                        length = 1;
                } else if (code == '"' || code == '\\' || utf8_is_dangerous(code))
                        add_json_escape(text, code);
                else
                        text_add_bytes(text, string, length);

                string += length;
        }
        text_add_bytes(text, "\"", 1);
}

/* Whether a log value can stand without quotes: readers split lines at spaces, and pairs at '='. */
static bool is_plain(const char *string) {
        if (!*string)
                return false;

        while (*string) {
                uint32_t code;
                size_t length = utf8_decode(string, SIZE_MAX, &code);

                if (length == 0 || code == ' ' || code == '"' || code == '\\' || code == '=' ||
                    utf8_is_dangerous(code))
                        return false;

                string += length;
        }

        return true;
}

static void add_logfmt_escape(struct text *text, uint32_t code) {
        if (add_short_escape(text, code))
                return;

        if (code < 0x80)
                text_addf(text, "\\x%02x", code);
        else if (code <= 0xFFFF)
                text_addf(text, "\\u%04x", code);
        else
                text_addf(text, "\\U%08x", code);
}

void text_add_logfmt(struct text *text, const char *string) {
        if (!string) {
                text_add(text, "null");
                return;
        }

        if (is_plain(string)) {
                text_add(text, string);
                return;
        }

        text_add_bytes(text, "\"", 1);
        while (*string) {
                uint32_t code;
                size_t length = utf8_decode(string, SIZE_MAX, &code);

                if (length == 0) {
                        text_addf(text, "\\x%02x", (unsigned char) *string);
                        length = 1;
                } else if (code == '"' || code == '\\' || utf8_is_dangerous(code))
                        add_logfmt_escape(text, code);
                else
                        text_add_bytes(text, string, length);

                string += length;
        }
        text_add_bytes(text, "\"", 1);
}

void text_add_seconds(struct text *text, usec_t usec) {
        usec_t msec = usec / USEC_PER_MSEC + (usec % USEC_PER_MSEC >= USEC_PER_MSEC / 2);
        usec_t seconds = msec / 1000;
        unsigned fraction = (unsigned) (msec % 1000);

        if (fraction % 100 == 0)
                text_addf(text, "%llu.%u", (unsigned long long) seconds, fraction / 100);
        else if (fraction % 10 == 0)
                text_addf(text, "%llu.%02u", (unsigned long long) seconds, fraction / 10);
        else
                text_addf(text, "%llu.%03u", (unsigned long long) seconds, fraction);
}

void time_format(usec_t realtime, char time[static TIME_SIZE]) {
        time_t seconds = (time_t) (realtime / USEC_PER_SEC);
        unsigned msec = (unsigned) (realtime % USEC_PER_SEC / USEC_PER_MSEC);
        struct tm tm = {};

        /* Cannot fail: 64 bits of microseconds end in the year 586,512, which struct tm holds. */
        (void) gmtime_r(&seconds, &tm);
        (void) snprintf(time, TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03uZ", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, msec);
}

void text_add_time(struct text *text, usec_t realtime) {
        char time[TIME_SIZE];

        time_format(realtime, time);
        text_add(text, time);
}

void text_add_clock(struct text *text, usec_t realtime) {
        time_t seconds = (time_t) (realtime / USEC_PER_SEC);
        struct tm tm;
        char clock[16];

        if (localtime_r(&seconds, &tm) && strftime(clock, sizeof(clock), "%H:%M:%S", &tm) > 0)
                text_add(text, clock);
}
