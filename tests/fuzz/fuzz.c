/* SPDX-License-Identifier: Apache-2.0 */

/* What all fuzz targets share: see the header. */

#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "command/terminal.h"
#include "fuzz.h"

/* Of the sanitizer's allocator, where there is one. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *pointer, size_t size),
                                              void (*on_free)(const volatile void *pointer))
        __attribute__((weak));
size_t __sanitizer_get_allocated_size(const volatile void *pointer) __attribute__((weak));

void fuzz_fail(const char *condition, const char *file, int line) {
        fprintf(stderr, "%s:%d: must be so: %s\n", file, line, condition);
        abort();
}

/* ---- inputs ---- */

static void add_part(struct parts *parts, const char *data, size_t size) {
        char *copy = malloc(size + 1);

        must(copy);
        memcpy(copy, data, size);
        copy[size] = '\0';
        parts->parts[parts->n++] = (struct part) { .data = copy, .size = size };
}

void parts_split(struct parts *parts, const uint8_t *data, size_t size) {
        const char *start = (const char *) data, *end = start + size, *next;

        parts->n = 0;
        while (parts->n < PARTS_MAX - 1 && start < end &&
               (next = memmem(start, (size_t) (end - start), "\n%\n", 3))) {
                add_part(parts, start, (size_t) (next - start));
                start = next + 3;
        }
        add_part(parts, size > 0 ? start : "", (size_t) (end - start));
}

void parts_done(struct parts *parts) {
        for (size_t i = 0; i < parts->n; i++)
                free(parts->parts[i].data);
        parts->n = 0;
}

size_t part_lines(struct part *part, char **lines, size_t max) {
        char *rest = part->data, *line;
        size_t n = 0;

        while (n < max && part->size > 0 && (line = strsep(&rest, "\n")))
                lines[n++] = line;
        lines[n] = NULL;
        return n;
}

bool holds(const char *string, size_t size, const char *part, size_t part_size) {
        return part_size > 0 && size > 0 && memmem(string, size, part, part_size);
}

unsigned count_of(const uint8_t *data, size_t size, const char *part, size_t part_size) {
        const char *first = size > 0 ? memmem(data, size, part, part_size) : NULL;

        if (!first)
                return 0;
        first++;
        return 1 + (memmem(first, size - (size_t) (first - (const char *) data), part, part_size) != NULL);
}

/* ---- what texts have to be ---- */

/* The ranges of the second byte, by the first one: RFC 3629, 4. The others are 80 to BF. */
static size_t utf8_length(const unsigned char *s, size_t size) {
        static const struct {
                unsigned char first, last, low, high;
                size_t length;
        } rows[] = {
                { 0x00, 0x7F, 0x00, 0x00, 1 }, { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
                { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 },
                { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t length = rows[i].length;

                if (s[0] < rows[i].first || s[0] > rows[i].last)
                        continue;
                if (length > size || (length > 1 && (s[1] < rows[i].low || s[1] > rows[i].high)))
                        return 0;
                for (size_t j = 2; j < length; j++)
                        if (s[j] < 0x80 || s[j] > 0xBF)
                                return 0;
                return length;
        }
        return 0;
}

bool is_harmless(const char *string, size_t size, enum harmless lines) {
        const unsigned char *s = (const unsigned char *) string;

        for (size_t i = 0, length; i < size; i += length) {
                uint32_t code;

                length = utf8_length(s + i, size - i);
                if (length == 0 || utf8_decode(string + i, size - i, &code) != length)
                        return false;
                if (utf8_is_dangerous(code) && !(lines == LINES && code == '\n'))
                        return false;
        }
        return true;
}

void must_be_harmless(const struct text *text, enum harmless lines) {
        must(text_error(text) == 0);
        must(is_harmless(text->data, text->size, lines));
}

void must_be_json(const char *string, size_t size) {
        _cleanup_(json_object_putp) struct json_object *tree = NULL;
        struct json_slice value;
        const char *problem;
        int r;

        must(json_scan(string, size, &value, &problem) == 0);
        if (value.size > JSON_ENTRY_SIZE_MAX)
                return;
        r = json_parse(value, &tree, &problem);
        must(r == 0 || (r == JSON_BAD && strcmp(problem, "too many values") == 0));
}

void must_fit(const struct text *text, size_t columns) {
        const char *line = text->data ?: "";

        while (*line) {
                size_t size = strcspn(line, "\n");
                char *copy = strndup(line, size);

                must(copy);
                must(display_width(copy) <= columns);
                free(copy);
                line += size + (line[size] == '\n');
        }
}

/* ---- memory ---- */

static struct {
        bool installed, counting;
        size_t now, peak;
} memory;

static void on_malloc(const volatile void *pointer _unused_, size_t size) {
        if (!memory.counting)
                return;
        memory.now += size;
        if (memory.now > memory.peak)
                memory.peak = memory.now;
}

/* What was allocated before the counting began may be freed within it. */
static void on_free(const volatile void *pointer) {
        if (memory.counting && pointer) {
                size_t size = __sanitizer_get_allocated_size(pointer);

                memory.now -= size < memory.now ? size : memory.now;
        }
}

void memory_begin(void) {
        if (!memory.installed && __sanitizer_install_malloc_and_free_hooks && __sanitizer_get_allocated_size)
                (void) __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
        memory.installed = true;
        memory.now = memory.peak = 0;
        memory.counting = true;
}

size_t memory_peak(void) {
        memory.counting = false;
        return memory.peak;
}
