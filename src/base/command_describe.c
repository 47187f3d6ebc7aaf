/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The commands as people read them: the list in --help, and the page of each.
 * All of it is in the table; here it is only laid out, for a terminal of 80
 * columns.
 */

#include <inttypes.h>
#include <string.h>

#include "base/command_reader.h"

#define WIDTH 80
#define INDENT 6
#define SEPARATOR "; "

void text_add_paragraph(struct text *text, size_t indent, const char *paragraph) {
        size_t column = 0;

        while (*paragraph) {
                size_t word = strcspn(paragraph, " ");

                if (column > 0 && column + 1 + word > WIDTH) {
                        text_add(text, "\n");
                        column = 0;
                }
                if (column == 0) {
                        text_addf(text, "%*s", (int) indent, "");
                        column = indent;
                } else {
                        text_add(text, " ");
                        column++;
                }

                text_add_bytes(text, paragraph, word);
                column += word;
                paragraph += word;
                paragraph += strspn(paragraph, " ");
        }

        text_add(text, "\n");
}

/* Up to the blank that ends it: those within brackets belong to it. */
static size_t synopsis_part(const char *synopsis) {
        size_t size = 0;

        for (int depth = 0; synopsis[size] && (depth > 0 || synopsis[size] != ' '); size++)
                depth += (synopsis[size] == '[') - (synopsis[size] == ']');
        return size;
}

/* The usage line, which may be several, and none of which breaks a pair of brackets. */
static void add_usage(struct text *text, const struct command_row *row) {
        size_t start = text->size, indent;

        text_addf(text, "Usage: mcp-optimizer %s", row->name);
        indent = text->size - start;

        for (const char *part = row->synopsis; *part;) {
                size_t size = synopsis_part(part);

                if (text->size - start + 1 + size > WIDTH) {
                        text_add(text, "\n");
                        start = text->size;
                        text_addf(text, "%*s", (int) indent, "");
                }
                text_add(text, " ");
                text_add_bytes(text, part, size);
                part += size;
                part += strspn(part, " ");
        }
        text_add(text, "\n");
}

/* Paragraphs, and blocks of examples, which stay as they are. */
static void add_description(struct text *text, const char *description) {
        bool example = false;

        while (*description) {
                size_t size = strcspn(description, "\n");
                _cleanup_(freep) char *line = strndup(description, size);

                if (!line) {
                        text->failed = true;
                        return;
                }
                if (!example || line[0] != ' ')
                        text_add(text, "\n");
                example = line[0] == ' ';
                if (example)
                        text_addf(text, "%s\n", line);
                else
                        text_add_paragraph(text, 0, line);
                description += size + (description[size] == '\n');
        }
}

void command_option_accepted(const struct command_option_row *row, struct text *text) {
        if (row->kind == COMMAND_OPTION_SECONDS)
                text_addf(text, "seconds from %" PRIu64 " to %" PRIu64, row->min / USEC_PER_SEC,
                          row->max / USEC_PER_SEC);
        else if (row->keywords)
                for (const char *const *keyword = row->keywords; *keyword; keyword++)
                        text_addf(text, "%s%s", *keyword,
                                  !keyword[1] ? "" : keyword[2] ? ", " : " or ");
        else
                text_add(text, row->accepted);
}

static void add_option(struct text *text, const struct command_option_row *row) {
        _cleanup_text_ struct text values = TEXT_INIT;

        text_addf(text, "  --%s%s%s\n", row->option, row->metavar ? " " : "", row->metavar ?: "");
        text_add_paragraph(text, INDENT, row->help);
        if (row->kind == COMMAND_OPTION_FLAG)
                return;

        if (row->default_help)
                text_addf(&values, "Default: %s; accepts ", row->default_help);
        else if (row->kind == COMMAND_OPTION_SECONDS)
                text_addf(&values, "Default: %" PRIu64 "; accepts ",
                          row->default_value / USEC_PER_SEC);
        else
                text_add(&values, "Accepts ");
        command_option_accepted(row, &values);

        if (text_error(&values) < 0)
                text->failed = true;
        else
                text_add_paragraph(text, INDENT, values.data);
}

/* A code and its meaning a line; one that is long goes on below its meaning. */
static void add_exit_status(struct text *text, const char *exit_status) {
        while (*exit_status) {
                const char *end = strstr(exit_status, SEPARATOR);
                size_t size = end ? (size_t) (end - exit_status) : strlen(exit_status);
                size_t code = strcspn(exit_status, " "), start = text->size;
                _cleanup_(freep) char *meaning = strndup(exit_status + code + 1, size - code - 1);

                if (!meaning) {
                        text->failed = true;
                        return;
                }
                text_add_paragraph(text, INDENT, meaning);
                if (text_error(text) == 0)      /* into the indent */
                        memcpy(text->data + start + 2, exit_status, code);
                exit_status += size + (end ? strlen(SEPARATOR) : 0);
        }
}

void command_help_list(struct text *text) {
        size_t width = 0;

        for (size_t i = 0; i < COMMAND_COUNT; i++)
                if (!command_rows[i].hidden && strlen(command_rows[i].name) > width)
                        width = strlen(command_rows[i].name);

        for (size_t i = 0; i < COMMAND_COUNT; i++)
                if (!command_rows[i].hidden)
                        text_addf(text, "  %-*s  %s\n", (int) width, command_rows[i].name,
                                  command_rows[i].help);
}

void command_help(struct text *text, enum command command) {
        const struct command_row *row = &command_rows[command];

        add_usage(text, row);
        add_description(text, row->description);

        if (row->n_options > 0)
                text_add(text, "\nOptions:\n");
        for (size_t i = 0; i < row->n_options; i++)
                add_option(text, &row->options[i]);

        text_add(text, "\nExit status:\n");
        add_exit_status(text, row->exit_status);
        if (!row->hidden)
                add_exit_status(text, "78 wrong usage, or a bad setting");
        if (!row->hidden && command != COMMAND_RUN && command != COMMAND_HELP)
                add_exit_status(text, "130 Ctrl-C");

        text_add(text, "\n");
        text_add_paragraph(text, 0,
                           "Settings (--toolhive-port and others) are accepted as well, before and "
                           "behind the command: mcp-optimizer --help. More in mcp-optimizer(8): man "
                           "mcp-optimizer");
}
