/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The progress line
 *
 * Time is cut into whole seconds since the beginning, and the line is drawn once
 * in each of them but the first: a draw that comes a little late does not put off
 * the next one, so that no number of a countdown is left out. What took less than
 * a second has shown nothing.
 *
 * The countdown is what the line is for, so it is never cut: on a terminal that is
 * too narrow for the whole line, shorter forms of it say less, down to the number
 * of seconds that have passed, and where that has no room nothing is said.
 *
 * A line leaves in one write(2), after "\r" and with what erases the rest of the
 * line before it. The terminal belongs to the person: its flags are left alone,
 * and nothing is drawn while it is held (Ctrl-S) or another job has it, so that
 * the command goes on behind it. A terminal that is gone or refuses is no error;
 * nothing more is drawn there.
 *
 * Used by the main thread of a command, for its own stderr; progress_hide() also
 * from within the log, which is why nothing here logs.
 */

#include "command/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

#include "base/utf8.h"

#define ERASE_TO_END "\033[K"
#define COLON ": "
#define COLON_WIDTH (sizeof(COLON) - 1)

void progress_init(struct progress *progress, const struct terminal *terminal) {
        *progress = (struct progress) { .terminal = *terminal, .api = runtime_api_name(RUNTIME_DOCKER) };
}

static bool is_visible(const struct progress *progress) {
        return progress->terminal.is_terminal && progress->doing[0];
}

/* A line that reached the terminal's edge could wrap, and then not be erased: one column stays free. */
static size_t columns_of(const struct terminal *terminal) {
        return terminal->width > 0 ? terminal->width - 1 : 0;
}

/* Whether writing there disturbs no other job. What has no jobs, a pipe in a test, has none to disturb. */
static bool is_foreground(int fd) {
        pid_t group = tcgetpgrp(fd);

        return group < 0 || group == getpgrp();
}

static bool is_writable(int fd) {
        struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

        return poll(&pollfd, 1, 0) > 0;
}

/* Puts the line in the place of what stands there: cut to the width, and blank behind it. */
static void replace_line(struct progress *progress, const char *line) {
        _cleanup_text_ struct text text = TEXT_INIT;
        size_t columns = columns_of(&progress->terminal), used;
        ssize_t n;

        text_add(&text, "\r");
        used = text_add_cut(&text, line, columns);
        if (progress->terminal.dumb)
                text_addf(&text, "%*s\r", (int) (columns - used), "");
        else
                text_add(&text, ERASE_TO_END);
        if (text_error(&text) < 0)
                return;

        n = TEMP_FAILURE_RETRY(write(progress->terminal.fd, text.data, text.size));
        if (n != (ssize_t) text.size)
                progress->terminal.is_terminal = false;
}

static usec_t seconds_since(const struct progress *progress, usec_t now) {
        return usec_sub(now, progress->since) / USEC_PER_SEC;
}

/* Whole seconds, rounded up: at 0 it has come. */
static usec_t seconds_until(usec_t when, usec_t now) {
        usec_t left = usec_sub(when, now);

        return left / USEC_PER_SEC + (left % USEC_PER_SEC > 0);
}

void progress_begin(struct progress *progress, usec_t now, const char *format, ...) {
        /* One byte more than is kept, which tells whether the last character is whole. */
        char doing[sizeof(progress->doing) + 1];
        va_list arguments;

        va_start(arguments, format);
        if (vsnprintf(doing, sizeof(doing), format, arguments) < 0)
                doing[0] = '\0';
        va_end(arguments);
        doing[utf8_cut(doing, sizeof(progress->doing) - 1)] = '\0';

        if (strcmp(doing, progress->doing) == 0)
                return;

        progress_hide(progress);
        (void) snprintf(progress->doing, sizeof(progress->doing), "%s", doing);
        progress->since = now;
}

/* How much of an outage is told: the first form that fits. */
struct form {
        bool sentence;                  /* with the words of the status line (model/snapshot.c), attempts numbered */
        bool cause;
        bool end;                       /* when the command gives up */
};

static const struct form forms[] = {
        { .sentence = true, .cause = true, .end = true },
        { .sentence = true, .cause = true },
        { .cause = true, .end = true },
        { .end = true },
        { .cause = true },
        {},
};

/* So much of what is done tells which it is: "Lis…". */
#define DOING_LEAST ((size_t) 4)

static void add_cause(struct text *text, const struct progress *progress, const struct connection *connection,
                      const struct form *form) {
        bool known = form->cause && connection->last_error[0];

        if (form->sentence)
                text_addf(text, known ? "%s unavailable (" : "%s unavailable", progress->api);
        if (known)
                text_add_styled(text, false, STYLE_NONE, connection->last_error);
        if (form->sentence)
                text_add(text, known ? "), " : ", ");
        else if (known)
                text_add(text, ", ");
}

/* What the retry loop does now. */
static void add_step(struct text *text, const struct progress *progress, const struct connection *connection,
                     const struct progress_times *times, const struct form *form) {
        unsigned attempt = connection->attempt, max = connection->max_retries;
        bool waiting = times->next_attempt > times->now;
        /* The search that follows the failure goes on: only after it is there a time to wait for. */
        bool looking = times->next_attempt == 0 && connection->backoff > 0;
        bool under_way = !waiting && !looking && attempt < max;

        if (form->sentence)
                text_addf(text, "attempt %u of %u", under_way ? attempt + 1 : attempt, max);

        if (waiting)
                text_addf(text, "%snext try in %" PRIu64 " s", form->sentence ? ", " : "",
                          seconds_until(times->next_attempt, times->now));
        else if (looking)
                text_addf(text, form->sentence ? ", looking for it" : "looking for %s", progress->api);
        else if (under_way)
                text_add(text, form->sentence ? " under way" : "trying again");
        else
                text_add(text, form->sentence ? " failed, last retry under way" : "last retry under way");
}

/* What stands behind the words of what is done. */
static void add_state(struct text *text, const struct progress *progress, const struct connection *connection,
                      const struct progress_times *times, const struct form *form) {
        if (connection && connection->attempt > 0) {
                add_cause(text, progress, connection, form);
                add_step(text, progress, connection, times, form);
        } else
                text_addf(text, "%" PRIu64 " s", seconds_since(progress, times->now));

        if (form->end && times->deadline > 0)
                text_addf(text, "; gives up in %" PRIu64 " s",
                          seconds_until(times->deadline, times->now));
}

void progress_format(const struct progress *progress, const struct connection *connection,
                     const struct progress_times *times, struct text *text) {
        text_add_styled(text, false, STYLE_NONE, progress->doing);
        text_add(text, COLON);
        add_state(text, progress, connection, times, &forms[0]);
}

/*
 * The line in the first form that leaves room for so many columns of what is done;
 * 0: for none, and no colon. False when there is no such form, and after an error.
 */
static bool add_form(struct text *text, const struct progress *progress, const struct connection *connection,
                     const struct progress_times *times, size_t doing) {
        size_t columns = columns_of(&progress->terminal), before = doing > 0 ? doing + COLON_WIDTH : 0;
        _cleanup_text_ struct text state = TEXT_INIT;

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                size_t width;

                text_clear(&state);
                add_state(&state, progress, connection, times, &forms[i]);
                if (text_error(&state) < 0) {
                        text->failed = true;
                        return false;
                }

                width = display_width(state.data);
                if (before + width > columns)
                        continue;
                if (doing > 0) {
                        (void) text_add_cut(text, progress->doing, columns - width - COLON_WIDTH);
                        text_add(text, COLON);
                }
                text_add(text, state.data);
                return true;
        }
        return false;
}

/*
 * What is done is cut before what is counted, and left out before the countdown
 * is. Where nothing fits, nothing is added.
 */
static void add_fitting(struct text *text, const struct progress *progress,
                        const struct connection *connection, const struct progress_times *times) {
        size_t whole = display_width(progress->doing), least = whole < DOING_LEAST ? whole : DOING_LEAST;

        text_add(text, "");
        if (add_form(text, progress, connection, times, whole) ||
            add_form(text, progress, connection, times, least) ||
            add_form(text, progress, connection, times, 0))
                return;
        /* The time that has passed, as if nothing had failed. */
        if (connection)
                add_fitting(text, progress, NULL, times);
}

void progress_draw(struct progress *progress, const struct connection *connection,
                   const struct progress_times *times) {
        _cleanup_text_ struct text line = TEXT_INIT;
        usec_t second = seconds_since(progress, times->now);

        if (!is_visible(progress) || second == 0)
                return;
        if (progress->shown && second <= seconds_since(progress, progress->drawn_at))
                return;
        if (!is_foreground(progress->terminal.fd) || !is_writable(progress->terminal.fd))
                return;

        terminal_update_width(&progress->terminal);
        add_fitting(&line, progress, connection, times);
        if (text_error(&line) < 0)
                return;

        replace_line(progress, line.data);
        progress->shown = progress->terminal.is_terminal;
        progress->drawn_at = times->now;
}

void progress_hide(struct progress *progress) {
        if (!progress->shown)
                return;

        progress->shown = false;
        /* Else the shell has moved on to another line, which is not ours to erase. */
        if (is_foreground(progress->terminal.fd))
                replace_line(progress, "");
}

void progress_end(struct progress *progress) {
        progress_hide(progress);
        progress->doing[0] = '\0';
}

usec_t progress_next(const struct progress *progress, usec_t now) {
        if (!is_visible(progress))
                return USEC_INFINITY;

        return progress->since + (seconds_since(progress, now) + 1) * USEC_PER_SEC;
}
