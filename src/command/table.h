/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is shown in columns: tables with a heading (`list`, `registry`), and facts,
 * a label and a value each (`status`, `show`). Both are aligned by display width,
 * made to fit the terminal, and harmless whatever the cells hold.
 */

#include "command/terminal.h"

enum { TABLE_COLUMNS_MAX = 8 };

struct table {
        size_t n_columns;
        const char *headings[TABLE_COLUMNS_MAX];        /* borrowed, ASCII */
        enum style (*style)(size_t column, const char *cell);   /* or NULL: none */
        unsigned kept;                  /* bits of the columns that are cut last: what tells rows apart, and
                                         * what one wants to copy; 0: all are alike */
        char **cells;                   /* row by row */
        size_t n_cells, allocated;
        bool failed;
};

/* headings end with NULL. */
void table_init(struct table *table, const char *const *headings);
void table_done(struct table *table);

/* Copies the cells, n_columns of them. */
void table_add_row(struct table *table, const char *const *cells);

/*
 * Appends heading and rows. Too wide for the terminal, columns are cut, with "…",
 * the widest first; then left out from the right; and those kept only when no
 * other is left. No line is ever wider. 0 or -ENOMEM.
 */
int table_format(const struct table *table, const struct terminal *terminal, struct text *text);

/*
 * Facts. Labels are aligned to the right, as systemctl status does. A value that
 * is too long for the terminal goes on below its beginning: nothing of it is lost.
 */

struct fact {
        const char *label;              /* borrowed, ASCII; NULL: the value goes on below the one above */
        char *value;
        enum style style;
};

struct facts {
        struct fact *facts;
        size_t n, allocated;
        bool failed;
};

#define FACTS_INIT ((struct facts) {})

void facts_done(struct facts *facts);
/* A value of NULL adds nothing. */
void facts_add(struct facts *facts, enum style style, const char *label, const char *value);
void facts_addf(struct facts *facts, enum style style, const char *label, const char *format, ...)
        _printf_(4, 5);
int facts_format(const struct facts *facts, const struct terminal *terminal, struct text *text);

/*
 * The copy that both keep of a cell or a value: without blanks at its end, and
 * "-" where nothing is left or nothing was given. NULL: no memory.
 */
char *cell_new(const char *string);

#define _cleanup_facts_ _cleanup_(facts_done)
#define _cleanup_table_ _cleanup_(table_done)
