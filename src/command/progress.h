/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one line that a wait shows on a terminal: what is waited for, and how long
 * still. Drawn over itself once a second, never within the first second, taken
 * away before a log line and at the end. On anything but a terminal it does
 * nothing.
 */

#include "command/terminal.h"
#include "model/snapshot.h"

struct progress {
        struct terminal terminal;
        const char *api;                /* who is asked: "ToolHive" unless it is set to another */
        char doing[ERROR_MAX];          /* "Listing workloads", "Installing fetch"; "": nothing to show */
        usec_t since;                   /* CLOCK_BOOTTIME: when that began */
        usec_t drawn_at;
        bool shown;                     /* a line stands there now */
};

void progress_init(struct progress *progress, const struct terminal *terminal);

/*
 * Something begins, at now (CLOCK_BOOTTIME). The text may come from outside. The
 * text that is shown already goes on: who asks again and again may say so each time.
 */
void progress_begin(struct progress *progress, usec_t now, const char *format, ...) _printf_(3, 4);

/* The times, on CLOCK_BOOTTIME; 0: there is none. */
struct progress_times {
        usec_t now;
        usec_t next_attempt;
        usec_t deadline;                /* when the command gives up */
};

/*
 * Draws where a whole second since the beginning has passed since it was last
 * drawn, or where it was hidden. connection may be NULL: nothing failed yet.
 */
void progress_draw(struct progress *progress, const struct connection *connection,
                   const struct progress_times *times);

/* Takes the line away; the next progress_draw() may put it back. */
void progress_hide(struct progress *progress);
void progress_end(struct progress *progress);

/* When progress_draw() wants to be called again, for the waiter's slice: USEC_INFINITY where there is no terminal. */
usec_t progress_next(const struct progress *progress, usec_t now);

/*
 * The line alone, for tests, and as a terminal shows it that is wide enough:
 * "Listing workloads: ToolHive unavailable (Connection refused), attempt 3 of 100, next try in 4 s; gives up in 21 s"
 * "Installing fetch: 34 s; gives up in 296 s"
 */
void progress_format(const struct progress *progress, const struct connection *connection,
                     const struct progress_times *times, struct text *text);
