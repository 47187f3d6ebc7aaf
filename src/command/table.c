/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables
 *
 * Every cell is measured once, which gives the natural width of each column; what
 * makes them fit is arithmetic on these few numbers, however many rows there are:
 *
 *   1. Of the columns that are not kept the widest gives way, a character at a
 *      time, the rightmost of several as wide. None becomes narrower than its
 *      heading, or than 8 where the heading is longer.
 *   2. Then they are left out, from the right, and those that remain have the room:
 *      a column that is gone does less harm than a name that nobody can tell from
 *      the next one.
 *   3. What is kept, such as names, states and URLs, is cut only when it is alone,
 *      in the same way, and on a terminal that is narrower still down to 1.
 *   4. In the end those that have no room at all are left out, from the right.
 *
 * Where nothing is marked as kept, everything is.
 *
 * A table owns copies of its cells, and borrows its headings.
 */

#include "command/table.h"

#include <errno.h>
#include <string.h>

#define GAP "  "
#define GAP_WIDTH (sizeof(GAP) - 1)

/* Of a long heading the beginning is enough while it makes room for others. */
#define COLUMN_LEAST 8

void table_init(struct table *table, const char *const *headings) {
        *table = (struct table) {};

        while (table->n_columns < TABLE_COLUMNS_MAX && headings[table->n_columns]) {
                table->headings[table->n_columns] = headings[table->n_columns];
                table->n_columns++;
        }
}

void table_done(struct table *table) {
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i]);
        free(table->cells);
        *table = (struct table) {};
}

char *cell_new(const char *string) {
        size_t size = string ? strlen(string) : 0;

        while (size > 0 && string[size - 1] == ' ')
                size--;

        return size > 0 ? strndup(string, size) : strdup("-");
}

static bool table_reserve(struct table *table, size_t n) {
        size_t allocated = table->allocated * 2 + n;
        char **cells;

        if (table->n_cells + n <= table->allocated)
                return true;

        cells = reallocarray(table->cells, allocated, sizeof(*cells));
        if (!cells)
                return false;

        table->cells = cells;
        table->allocated = allocated;
        return true;
}

void table_add_row(struct table *table, const char *const *cells) {
        if (!table_reserve(table, table->n_columns)) {
                table->failed = true;
                return;
        }

        for (size_t i = 0; i < table->n_columns; i++) {
                char *cell = cell_new(cells[i]);

                if (!cell) {
                        table->failed = true;
                        return;
                }
                table->cells[table->n_cells++] = cell;
        }
}

static void measure(const struct table *table, size_t widths[static TABLE_COLUMNS_MAX]) {
        for (size_t column = 0; column < table->n_columns; column++) {
                widths[column] = display_width(table->headings[column]);

                for (size_t i = column; i < table->n_cells; i += table->n_columns) {
                        size_t width = display_width(table->cells[i]);

                        if (width > widths[column])
                                widths[column] = width;
                }
        }
}

/* Sets of columns are bit masks. */
static unsigned all_columns(const struct table *table) {
        return (1u << table->n_columns) - 1;
}

static unsigned without_last(unsigned columns, unsigned of) {
        unsigned column = 1u << (TABLE_COLUMNS_MAX - 1);

        while (column && !(of & column))
                column >>= 1;
        return columns & ~column;
}

static size_t line_width(const size_t *widths, unsigned columns) {
        size_t sum = 0;

        for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++)
                if (columns & 1u << i)
                        sum += (sum > 0 ? GAP_WIDTH : 0) + widths[i];
        return sum;
}

/*
 * Narrows the columns of a line, as far as they may give, the widest first, until
 * it fits; none below its heading's width, or below least where that is less.
 */
static void narrow(const struct table *table, size_t *widths, unsigned line, unsigned giving, size_t least,
                   size_t width) {
        size_t n = table->n_columns;

        for (size_t excess = line_width(widths, line); excess > width; excess--) {
                size_t widest = n;

                for (size_t i = 0; i < n; i++) {
                        if (!(line & giving & 1u << i) ||
                            (widths[i] <= least && widths[i] <= strlen(table->headings[i])))
                                continue;
                        if (widest == n || widths[i] >= widths[widest])
                                widest = i;
                }
                if (widest == n)
                        return;
                widths[widest]--;
        }
}

/* Makes the widths fit; returns the columns that are shown. */
static unsigned fit(const struct table *table, size_t *widths, size_t width) {
        unsigned shown = all_columns(table), giving = table->kept ? shown & ~table->kept : 0;
        size_t natural[TABLE_COLUMNS_MAX];

        /* More than the whole line is of no use to a column, and long to take away. */
        for (size_t i = 0; i < table->n_columns; i++)
                natural[i] = widths[i] < width ? widths[i] : width;

        for (;;) {
                memcpy(widths, natural, table->n_columns * sizeof(*widths));
                narrow(table, widths, shown, giving, COLUMN_LEAST, width);
                if (!(shown & giving) || line_width(widths, shown) <= width)
                        break;
                shown = without_last(shown, shown & giving);
        }
        narrow(table, widths, shown, shown, COLUMN_LEAST, width);
        narrow(table, widths, shown, shown, 1, width);
        while (line_width(widths, shown) > width)
                shown = without_last(shown, shown);
        return shown;
}

static void add_padding(struct text *text, size_t n) {
        static const char blanks[] = "                                ";

        for (; n > sizeof(blanks) - 1; n -= sizeof(blanks) - 1)
                text_add(text, blanks);
        text_add_bytes(text, blanks, n);
}

/* The last cell of a line is not padded. */
static void add_line(struct text *text, bool colour, const char *const *cells, const enum style *styles,
                     const size_t *widths, unsigned columns) {
        size_t padding = 0;

        for (size_t i = 0; i < TABLE_COLUMNS_MAX; i++) {
                if (!(columns & 1u << i))
                        continue;
                add_padding(text, padding);
                text_begin_style(text, colour, styles[i]);
                padding = widths[i] + GAP_WIDTH - text_add_cut(text, cells[i], widths[i]);
                text_end_style(text, colour, styles[i]);
        }
        text_add(text, "\n");
}

int table_format(const struct table *table, const struct terminal *terminal, struct text *text) {
        size_t widths[TABLE_COLUMNS_MAX], n = table->n_columns;
        unsigned shown = all_columns(table);
        enum style styles[TABLE_COLUMNS_MAX] = {};

        if (table->failed)
                return -ENOMEM;

        measure(table, widths);
        if (terminal->width > 0)
                shown = fit(table, widths, terminal->width);

        for (size_t i = 0; i < n; i++)
                styles[i] = STYLE_BOLD;
        add_line(text, terminal->colour, table->headings, styles, widths, shown);

        for (size_t row = 0; row < table->n_cells; row += table->n_columns) {
                const char *const *cells = (const char *const *) table->cells + row;

                for (size_t i = 0; i < n; i++)
                        styles[i] = table->style ? table->style(i, cells[i]) : STYLE_NONE;
                add_line(text, terminal->colour, cells, styles, widths, shown);
        }

        return text_error(text);
}
