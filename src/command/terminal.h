/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a stream of ours is: a terminal with a width and perhaps colours, or a pipe with neither. */

#include "base/text.h"

struct terminal {
        int fd;
        bool is_terminal;
        bool dumb;                      /* a terminal that shows escape sequences instead of obeying them */
        bool colour;                    /* a terminal, without NO_COLOR, and TERM is not "dumb" */
        unsigned width;                 /* columns; never 0 on a terminal, elsewhere 0: no limit */
};

/* COLUMNS of the environment is not asked: on a terminal the kernel knows better, elsewhere nothing is cut. */
struct terminal terminal_of(int fd);

/* The window may have another width by now. */
void terminal_update_width(struct terminal *terminal);

enum style {
        STYLE_NONE,
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,                     /* green */
        STYLE_WARNING,                  /* yellow */
        STYLE_BAD,                      /* red */
};

/* What is appended between the two is in that style, where colour is true. */
void text_begin_style(struct text *text, bool colour, enum style style);
void text_end_style(struct text *text, bool colour, enum style style);

/*
 * Appends the string in that style where colour is true. The string may come
 * from outside: each dangerous character (base/utf8.h), line breaks and tabs
 * included, and each byte that is no UTF-8 becomes U+FFFD.
 */
void text_add_styled(struct text *text, bool colour, enum style style, const char *string);

/*
 * The columns that a string takes when it is shown by text_add_styled(): East
 * Asian wide characters two, combining ones none (wcwidth(3), in C.UTF-8).
 */
size_t display_width(const char *string);

/*
 * Appends the string as above, cut to so many columns with "…" at its end where
 * it is longer. Returns the columns that it takes: one less than allowed where
 * the cut falls into a wide character.
 */
size_t text_add_cut(struct text *text, const char *string, size_t columns);

/*
 * Appends one line of the string, of at most so many columns, 2 at least: all of
 * it where it fits; else up to a blank, so that words stay whole, and one that is
 * longer than a line, such as a URL, up to any character. Returns the rest, for the
 * next line: "" at the end. Blanks at a break are dropped.
 */
const char *text_add_wrapped(struct text *text, const char *string, size_t columns);

/* The style in which a workload's status is shown. */
enum style style_of_status(const char *status);
