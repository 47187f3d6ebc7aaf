/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Facts
 *
 * One below the other, the colons in one column:
 *
 *         Name: fetch
 *       Status: running
 *        Tools: fetch
 *               fetch_raw
 *
 * The values are what is asked for, and copied from here, so that they are never
 * cut: a long one goes on in the next line, and labels give way where a terminal is
 * narrow. Only one that has no room for 8 columns of a value gets less of it.
 *
 * Labels are borrowed, values are copied.
 */

#include "command/table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define COLON ": "
#define COLON_WIDTH (sizeof(COLON) - 1)

/* A value has at least so many columns where labels can be cut to make room; with less it is cut itself. */
#define VALUE_LEAST 8

void facts_done(struct facts *facts) {
        for (size_t i = 0; i < facts->n; i++)
                free(facts->facts[i].value);
        free(facts->facts);
        *facts = FACTS_INIT;
}

static bool facts_reserve(struct facts *facts) {
        size_t allocated = facts->allocated * 2 + 16;
        struct fact *grown;

        if (facts->n < facts->allocated)
                return true;

        grown = reallocarray(facts->facts, allocated, sizeof(*grown));
        if (!grown)
                return false;

        facts->facts = grown;
        facts->allocated = allocated;
        return true;
}

void facts_add(struct facts *facts, enum style style, const char *label, const char *value) {
        char *copy;

        if (!value)
                return;

        copy = facts_reserve(facts) ? cell_new(value) : NULL;
        if (!copy) {
                facts->failed = true;
                return;
        }
        facts->facts[facts->n++] = (struct fact) { .label = label, .value = copy, .style = style };
}

void facts_addf(struct facts *facts, enum style style, const char *label, const char *format, ...) {
        _cleanup_(freep) char *value = NULL;
        va_list arguments;
        int r;

        va_start(arguments, format);
        r = vasprintf(&value, format, arguments);
        va_end(arguments);

        if (r < 0) {
                value = NULL;           /* undefined after a failure */
                facts->failed = true;
                return;
        }
        facts_add(facts, style, label, value);
}

/* The column that labels end at: the longest's, or what the terminal's width leaves to it. */
static size_t measure(const struct facts *facts, size_t width) {
        size_t longest = 0, room = 1;

        for (size_t i = 0; i < facts->n; i++) {
                size_t label = facts->facts[i].label ? strlen(facts->facts[i].label) : 0;

                if (label > longest)
                        longest = label;
        }

        if (width > COLON_WIDTH + VALUE_LEAST)
                room = width - COLON_WIDTH - VALUE_LEAST;
        return longest < room ? longest : room;
}

/* The value behind its label, in lines of so many columns. */
static void add_value(struct text *text, const struct fact *fact, bool colour, size_t indent,
                      size_t columns) {
        const char *rest = fact->value;

        do {
                if (rest != fact->value)
                        text_addf(text, "%*s", (int) indent, "");
                text_begin_style(text, colour, fact->style);
                if (columns >= VALUE_LEAST)
                        rest = text_add_wrapped(text, rest, columns);
                else {
                        (void) text_add_cut(text, rest, columns);
                        rest = "";
                }
                text_end_style(text, colour, fact->style);
                text_add(text, "\n");
        } while (*rest);
}

static void add_fact(struct text *text, const struct fact *fact, const struct terminal *terminal,
                     size_t label_width, size_t width) {
        size_t indent = label_width + COLON_WIDTH;

        /* No room for both. */
        if (indent >= width) {
                (void) text_add_cut(text, fact->label ?: fact->value, width);
                text_add(text, "\n");
                return;
        }

        if (fact->label) {
                size_t length = strlen(fact->label);

                text_addf(text, "%*s", length < label_width ? (int) (label_width - length) : 0, "");
                (void) text_add_cut(text, fact->label, label_width);
                text_add(text, COLON);
        } else
                text_addf(text, "%*s", (int) indent, "");

        add_value(text, fact, terminal->colour, indent, width - indent);
}

int facts_format(const struct facts *facts, const struct terminal *terminal, struct text *text) {
        size_t width = terminal->width > 0 ? terminal->width : SIZE_MAX;
        size_t label_width = measure(facts, width);

        if (facts->failed)
                return -ENOMEM;

        for (size_t i = 0; i < facts->n; i++)
                add_fact(text, &facts->facts[i], terminal, label_width, width);

        return text_error(text);
}
