/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The log
 *
 * One per process, like the stderr that it mostly ends at, and the one module
 * with a global: its settings are written by log_init() and log_set_terminal(),
 * before the second thread starts, and only read after that. A line is put together in a buffer of
 * its own (log_line.c) and then leaves in one write(2), under a lock, since a
 * pipe takes long lines in pieces. Lines for the journal leave as datagrams
 * (log_journal.c); those that do not arrive there are written to stderr as text.
 *
 * Without memory a line is its level and its message alone: the last word of a
 * program that ends for want of it must not be missing. Writing fails silently,
 * there being nobody left to tell: a line is dropped when stderr is gone (the
 * program ignores SIGPIPE), or when a stderr that somebody made non-blocking
 * stays full. A stderr that blocks is waited for, as every program does.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "report/log.h"
#include "report/log_journal.h"
#include "report/log_line.h"

/* How long, and how often for one line, a full stderr that does not block is waited for. */
#define STALL_MSEC 100
#define STALLS_MAX 10

static struct {
        enum log_level level;
        enum log_format format;         /* never LOG_FORMAT_AUTO */
        bool colour;
        void (*hide)(void *user);       /* takes away what stands where a line goes; or NULL */
        void *hide_user;
        uint64_t silenced;              /* LOG_EVENT_BIT() of what stderr does not get */
} target = {
        .level = LEVEL_INFO,
        .format = LOG_FORMAT_TEXT,
};

#define EVENT_COUNT(name, id) + 1       /* NOLINT(bugprone-macro-parentheses): one term of a sum */
_Static_assert(1 EVENTS(EVENT_COUNT) <= 64, "LOG_EVENT_BIT() has 64 bits");
#undef EVENT_COUNT

static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER;

bool log_wants_colour(int fd) {
        const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

        if (no_color && *no_color)
                return false;

        return term && strcmp(term, "dumb") != 0 && isatty(fd);
}

void log_init(enum log_level level, enum log_format format) {
        if (format == LOG_FORMAT_AUTO)
                format = log_journal_is_stderr() ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;

        target.level = level;
        target.format = format;
        target.colour = format != LOG_FORMAT_JSON && log_wants_colour(STDERR_FILENO);
}

void log_set_terminal(void (*hide)(void *user), void *user, uint64_t silenced) {
        target.hide = hide;
        target.hide_user = user;
        target.silenced = silenced;
}

bool log_enabled(enum log_level level) {
        return level >= target.level;
}

static bool write_all(const char *data, size_t size) {
        unsigned stalls = 0;

        while (size > 0) {
                ssize_t n = write(STDERR_FILENO, data, size);

                if (n >= 0) {
                        data += n;
                        size -= (size_t) n;
                } else if (errno == EAGAIN && stalls++ < STALLS_MAX)
                        (void) poll(&(struct pollfd) { .fd = STDERR_FILENO, .events = POLLOUT }, 1,
                                    STALL_MSEC);
                else if (errno != EINTR)
                        return false;
        }

        return true;
}

/* A line that was given up in its middle is ended by the next one that gets through. */
static void write_line(const char *line, size_t size) {
        static bool torn;

        pthread_mutex_lock(&stderr_lock);
        if (target.hide)
                target.hide(target.hide_user);
        if (!torn || write_all("\n", 1))
                torn = !write_all(line, size);
        pthread_mutex_unlock(&stderr_lock);
}

static const char *colour_of(enum log_level level) {
        switch (level) {
        case LEVEL_DEBUG:
                return "\033[2m";
        case LEVEL_INFO:
                return "";
        case LEVEL_WARNING:
                return "\033[33m";
        case LEVEL_ERROR:
                return "\033[31m";
        case LEVEL_CRITICAL:
                return "\033[1;31m";
        }

        return "";
}

/* What there is no memory for, in as much room as the stack has. */
static void write_bare(enum log_level level, const char *message) {
        const char *name = log_level_name(level);
        char line[256];
        int n;

        if (target.format != LOG_FORMAT_JSON)
                n = snprintf(line, sizeof line, "%-8s %.200s\n", name, message);
        else
                n = snprintf(line, sizeof line, "{\"level\": \"%s\", \"message\": \"%.200s\"}\n", name,
                             strpbrk(message, "\"\\") ? "Out of memory" : message);
        if (n > 0)
                write_line(line, (size_t) n);
}

static void log_write_stderr(enum log_level level, enum event event, const char *message,
                             const struct log_field *fields) {
        _cleanup_text_ struct text line = TEXT_INIT, coloured = TEXT_INIT;
        struct timespec now = {};

        if (target.silenced & LOG_EVENT_BIT(event))
                return;

        /* Not the worker's clock: both threads log, and nothing waits by the time in a line. */
        (void) clock_gettime(CLOCK_REALTIME, &now);

        log_format_line(&line, target.format, level, event, message, fields,
                        (usec_t) now.tv_sec * USEC_PER_SEC + (usec_t) now.tv_nsec / 1000);
        if (text_error(&line) < 0) {
                write_bare(level, message);
                return;
        }

        if (!target.colour || !*colour_of(level)) {
                write_line(line.data, line.size);
                return;
        }

        const char *name = log_level_name(level);

        text_addf(&coloured, "%s%s\033[0m%s", colour_of(level), name, line.data + strlen(name));
        if (text_error(&coloured) == 0)
                write_line(coloured.data, coloured.size);
        else
                write_line(line.data, line.size);
}

void log_write(enum log_level level, enum event event, const char *message,
               const struct log_field *fields) {
        if (!log_enabled(level))
                return;
        /* What happens at every poll is nobody's event, whatever it would be with news in it. */
        if (level == LEVEL_DEBUG)
                event = EVENT_NONE;

        if (target.format == LOG_FORMAT_JOURNAL &&
            log_journal_send(level, event, message, fields) == 0)
                return;

        log_write_stderr(level, event, message, fields);
}

void log_settle(void) {
        if (target.format == LOG_FORMAT_JOURNAL)
                log_journal_settle();
}
