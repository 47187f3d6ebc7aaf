/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The log: a level, an event, a message, and typed key=value pairs, written as
 * text, as JSON, or natively to the journal. One per process, set up once before
 * the second thread starts; after that both threads may write, each line whole.
 * No function here fails towards its caller: a log that cannot be written is no
 * reason to stop the service.
 */

#include "base/settings.h"
#include "base/text.h"
#include "report/event.h"

enum log_field_type {
        LOG_FIELD_END,
        LOG_FIELD_STRING,
        LOG_FIELD_INT,
        LOG_FIELD_SECONDS,              /* µs, printed as seconds */
};

struct log_field {
        const char *key;                /* lower case; in the journal TOOLHIVE_KEY */
        enum log_field_type type;
        union {
                const char *string;     /* NULL: null */
                int64_t integer;
                usec_t usec;
        };
};

#define LOG_STRING(k, v) ((struct log_field) { .key = (k), .type = LOG_FIELD_STRING, .string = (v) })
#define LOG_INT(k, v) ((struct log_field) { .key = (k), .type = LOG_FIELD_INT, .integer = (int64_t) (v) })
#define LOG_SECONDS(k, v) ((struct log_field) { .key = (k), .type = LOG_FIELD_SECONDS, .usec = (v) })
/* In the last place of a line's pairs: none, where it depends on something whether there is one. */
#define LOG_NOTHING ((struct log_field) { .type = LOG_FIELD_END })
/* Any number as null: a port where the address is a socket. */
#define LOG_NULL(k) ((struct log_field) { .key = (k), .type = LOG_FIELD_STRING, .string = NULL })

/*
 * LOG_FORMAT_AUTO takes the journal when stderr is the journal (JOURNAL_STREAM,
 * systemd.exec(5)), else text. Colour only for text on a terminal without NO_COLOR.
 */
void log_init(enum log_level level, enum log_format format);

/*
 * Whether what is written to a descriptor may be coloured: a terminal, without
 * NO_COLOR (https://no-color.org), whose TERM is known and not "dumb".
 */
bool log_wants_colour(int fd);

/*
 * For a command that has a line of its own on the terminal (command/progress.h).
 * hide, unless it is NULL, is called before each line that is written to stderr,
 * and takes its own away; it must not log, being called under the log's lock.
 * Events of the mask, LOG_EVENT_BIT() of each, do not reach stderr at all, as
 * that line tells them; the journal gets them all the same. NULL and 0 end it.
 * Like log_init() for a time when no other thread logs.
 */
#define LOG_EVENT_BIT(event) ((uint64_t) 1 << (event))
void log_set_terminal(void (*hide)(void *user), void *user, uint64_t silenced);

/* Whether a line of this level would be written, to spare the work before it. */
bool log_enabled(enum log_level level);

/* fields end with LOG_FIELD_END. */
void log_write(enum log_level level, enum event event, const char *message,
               const struct log_field *fields);

/* Before the process ends, so that its last lines are the unit's, too: see log_journal_settle(). */
void log_settle(void);

/* log_event(LEVEL_INFO, EVENT_RESTORED, "…", LOG_STRING("endpoint", url), LOG_INT("attempts", 7)) */
#define log_event(level, event, message, ...)                                                   \
        log_write((level), (event), (message),                                                  \
                  (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { .type = LOG_FIELD_END } })

/* Lines below INFO have no event of their own: log_write() drops what is given for one. */
#define log_debug(message, ...) log_event(LEVEL_DEBUG, EVENT_NONE, (message)__VA_OPT__(,) __VA_ARGS__)

/* The pure part, for tests: the line of the given format (TEXT without colour, or JSON), with its newline. */
void log_format_line(struct text *text, enum log_format format, enum log_level level,
                     enum event event, const char *message, const struct log_field *fields,
                     usec_t realtime);
