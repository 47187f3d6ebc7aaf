/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The progress line: its words to the letter, when it is drawn at given times,
 * the bytes that reach a terminal (a pipe, or a pseudo-terminal where one is
 * needed), and the terminals that are held, gone, or another job's.
 */

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/utf8.h"
#include "command/progress.h"
#include "suite.h"

#define REPLACED "\xEF\xBF\xBD"

/* Times are those of a machine that is up for a while. */
#define BEGIN (1000 * USEC_PER_SEC + 123456)
#define AT(seconds) (BEGIN + (usec_t) ((seconds) * 1000000.0 + 0.5))

static struct progress progress;
static int reading = -1, writing = -1;

/* A terminal that is a pipe: as wide as is said, and all that is drawn can be read. */
static void open_pipe(unsigned width) {
        int fds[2];

        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
        reading = fds[0];
        writing = fds[1];
        progress_init(&progress, &(struct terminal) { .fd = writing, .is_terminal = true, .width = width });
}

/* False where the system gives no pseudo-terminal. */
static bool open_pty(unsigned width) {
        const struct winsize size = { .ws_row = 24, .ws_col = (unsigned short) width };
        char name[64];

        reading = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (reading < 0 || grantpt(reading) < 0 || unlockpt(reading) < 0 ||
            ptsname_r(reading, name, sizeof(name)) != 0)
                return false;

        writing = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(writing, 0);
        ck_assert_int_eq(ioctl(reading, TIOCSWINSZ, &size), 0);
        setenv("TERM", "xterm", 1);

        const struct terminal terminal = terminal_of(writing);
        progress_init(&progress, &terminal);
        return true;
}

static void teardown(void) {
        closep(&reading);
        closep(&writing);
        reading = writing = -1;
}

/* All that was drawn since is this. A pseudo-terminal may take a moment to hand it through. */
static void assert_drawn(const char *expected) {
        struct pollfd pollfd = { .fd = reading, .events = POLLIN };
        char buffer[4096];
        size_t size = 0;
        ssize_t n;

        do {
                if (size < strlen(expected) && poll(&pollfd, 1, 10000 * (int) suite_slowness()) != 1)
                        break;
                n = read(reading, buffer + size, sizeof(buffer) - 1 - size);
                size += n > 0 ? (size_t) n : 0;
        } while (n > 0 && size < sizeof(buffer) - 1);

        buffer[size] = '\0';
        ck_assert_str_eq(buffer, expected);
}

static void draw(usec_t now) {
        progress_draw(&progress, NULL, &(struct progress_times) { .now = now });
}

/* Words. */

static void assert_words(const struct connection *connection, double now, double next_attempt, double deadline,
                         const char *expected) {
        const struct progress_times times = {
                .now = AT(now),
                .next_attempt = next_attempt < 0 ? 0 : AT(next_attempt),
                .deadline = deadline < 0 ? 0 : AT(deadline),
        };
        _cleanup_text_ struct text text = TEXT_INIT;

        progress_format(&progress, connection, &times, &text);
        ck_assert_int_eq(text_error(&text), 0);
        ck_assert_str_eq(text.data, expected);
}

START_TEST(words) {
        struct connection connection = { .attempt = 3, .max_retries = 100, .last_error = "Connection refused" };

        progress_init(&progress, &(struct terminal) {});
        progress_begin(&progress, AT(0), "Listing %s", "workloads");
        assert_words(&connection, 9, 13, 30,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 3 of 100, "
                     "next try in 4 s; gives up in 21 s");
        assert_words(&connection, 9, 13, -1,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 3 of 100, "
                     "next try in 4 s");

        /* The wait is over, or there was none: the attempt that follows. */
        assert_words(&connection, 13, 13, 30,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 4 of 100 under way; "
                     "gives up in 17 s");
        assert_words(&connection, 13.5, -1, -1,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 4 of 100 under way");
        /* A search follows the failure, before anything waits. */
        connection.backoff = 4 * USEC_PER_SEC;
        assert_words(&connection, 9, -1, -1,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 3 of 100, looking for it");
        connection.backoff = 0;
        /* There is no attempt 101. */
        connection.attempt = 100;
        assert_words(&connection, 9, -1, -1,
                     "Listing workloads: ToolHive unavailable (Connection refused), attempt 100 of 100 failed, "
                     "last retry under way");

        /* Nothing has failed yet, or does any more. */
        connection = (struct connection) { .max_retries = 100, .last_error = "Connection refused" };
        assert_words(&connection, 3, -1, 30, "Listing workloads: 3 s; gives up in 27 s");
        assert_words(NULL, 3, -1, 30, "Listing workloads: 3 s; gives up in 27 s");
        assert_words(NULL, 3, -1, -1, "Listing workloads: 3 s");

        progress_begin(&progress, AT(0), "Installing fetch");
        assert_words(NULL, 34, -1, 330, "Installing fetch: 34 s; gives up in 296 s");
}
END_TEST

/* Who is asked has another name in Kubernetes. */
START_TEST(words_of_another_api) {
        struct connection connection = { .attempt = 3, .max_retries = 100, .last_error = "Connection refused" };

        progress_init(&progress, &(struct terminal) {});
        progress.api = "Kubernetes API";
        progress_begin(&progress, AT(0), "Listing workloads");
        assert_words(&connection, 9, 13, 30,
                     "Listing workloads: Kubernetes API unavailable (Connection refused), attempt 3 of 100, "
                     "next try in 4 s; gives up in 21 s");
        connection.last_error[0] = '\0';
        assert_words(&connection, 9, 13, -1,
                     "Listing workloads: Kubernetes API unavailable, attempt 3 of 100, next try in 4 s");
}
END_TEST

START_TEST(words_rounded) {
        const struct connection connection = { .attempt = 1, .max_retries = 2 };

        progress_init(&progress, &(struct terminal) {});
        progress_begin(&progress, AT(0), "X");

        /* What has passed is told when it has passed, what is to come until it comes. */
        assert_words(NULL, 2.999999, -1, 10, "X: 2 s; gives up in 8 s");
        assert_words(NULL, 3, -1, 10, "X: 3 s; gives up in 7 s");
        assert_words(NULL, 3.000001, -1, 10, "X: 3 s; gives up in 7 s");
        assert_words(NULL, 9.999999, -1, 10, "X: 9 s; gives up in 1 s");
        assert_words(NULL, 10, -1, 10, "X: 10 s; gives up in 0 s");
        assert_words(NULL, 11, -1, 10, "X: 11 s; gives up in 0 s");
        assert_words(&connection, 1, 1.000001, -1, "X: ToolHive unavailable, attempt 1 of 2, next try in 1 s");
        assert_words(&connection, 1, 2, -1, "X: ToolHive unavailable, attempt 1 of 2, next try in 1 s");
        assert_words(&connection, 1, 2.1, -1, "X: ToolHive unavailable, attempt 1 of 2, next try in 2 s");
        /* A clock of another namespace: never below nothing. */
        assert_words(NULL, -1, -1, -1, "X: 0 s");
}
END_TEST

START_TEST(words_hostile) {
        const struct connection connection = {
                .attempt = 1, .max_retries = 2, .last_error = "\033]0;owned\a\nno\xFF\u202E",
        };
        char longest[2 * ERROR_MAX];

        progress_init(&progress, &(struct terminal) {});
        progress_begin(&progress, AT(0), "Installing %s", "\033[2J\r日本\t");
        assert_words(&connection, 1, -1, -1,
                     "Installing " REPLACED "[2J" REPLACED "日本" REPLACED ": ToolHive unavailable ("
                     REPLACED "]0;owned" REPLACED REPLACED "no" REPLACED REPLACED "), attempt 2 of 2 under way");

        /* Cut between two characters, wherever the end falls. */
        for (size_t i = 0; i < 3; i++) {
                uint32_t code;

                memset(longest, 'x', i);
                for (size_t at = i; at < sizeof(longest); at++)
                        longest[at] = "日"[(at - i) % 3];
                longest[sizeof(longest) - 1] = '\0';
                progress_begin(&progress, AT(0), "%s", longest);
                ck_assert_uint_gt(strlen(progress.doing), ERROR_MAX - 4);
                ck_assert_uint_lt(strlen(progress.doing), ERROR_MAX);
                for (const char *s = progress.doing; *s; s += utf8_decode(s, SIZE_MAX, &code))
                        ck_assert_uint_gt(utf8_decode(s, SIZE_MAX, &code), 0);
        }
}
END_TEST

/* When it is drawn. */

START_TEST(cadence) {
        open_pipe(80);
        draw(AT(0));
        assert_drawn("");               /* nothing has begun */

        progress_begin(&progress, AT(0), "Listing workloads");
        draw(AT(0));
        draw(AT(0.5));
        draw(AT(0.999999));
        assert_drawn("");
        draw(AT(1));
        assert_drawn("\rListing workloads: 1 s\033[K");
        draw(AT(1));
        draw(AT(1.999999));
        assert_drawn("");

        /* A draw that comes late does not put off the next: 2, 3, 4, none left out. */
        draw(AT(2.7));
        assert_drawn("\rListing workloads: 2 s\033[K");
        draw(AT(3.000001));
        assert_drawn("\rListing workloads: 3 s\033[K");
        draw(AT(3.9));
        assert_drawn("");
        draw(AT(4));
        assert_drawn("\rListing workloads: 4 s\033[K");

        /* After a suspend it is the present that counts. */
        draw(AT(3604.2));
        assert_drawn("\rListing workloads: 3604 s\033[K");

        progress_end(&progress);
        assert_drawn("\r\033[K");
        draw(AT(3700));
        progress_end(&progress);
        assert_drawn("");
}
END_TEST

START_TEST(hidden_between) {
        open_pipe(80);
        progress_begin(&progress, AT(0), "Waiting");
        progress_hide(&progress);
        assert_drawn("");               /* there was nothing to take away */

        draw(AT(1.1));
        assert_drawn("\rWaiting: 1 s\033[K");
        progress_hide(&progress);
        assert_drawn("\r\033[K");
        progress_hide(&progress);
        assert_drawn("");
        draw(AT(1.2));
        assert_drawn("\rWaiting: 1 s\033[K");
        draw(AT(1.3));
        assert_drawn("");
}
END_TEST

START_TEST(begun_again) {
        open_pipe(80);
        progress_begin(&progress, AT(0), "Installing %s", "fetch");
        draw(AT(1));
        assert_drawn("\rInstalling fetch: 1 s\033[K");

        /* The same goes on. */
        progress_begin(&progress, AT(1.5), "Installing %s", "fetch");
        assert_drawn("");
        draw(AT(2));
        assert_drawn("\rInstalling fetch: 2 s\033[K");

        /* Another thing has a first second of its own. */
        progress_begin(&progress, AT(2.5), "Starting fetch");
        assert_drawn("\r\033[K");
        draw(AT(3.4));
        assert_drawn("");
        draw(AT(3.5));
        assert_drawn("\rStarting fetch: 1 s\033[K");

        /* And so has the same after an end. */
        progress_end(&progress);
        assert_drawn("\r\033[K");
        progress_begin(&progress, AT(4), "Starting fetch");
        draw(AT(4.9));
        assert_drawn("");
        draw(AT(5));
        assert_drawn("\rStarting fetch: 1 s\033[K");
}
END_TEST

/* Who calls progress_draw() when progress_next() says, draws each second once. */
START_TEST(next_draw) {
        usec_t now = AT(0.25);

        open_pipe(80);
        ck_assert_uint_eq(progress_next(&progress, now), USEC_INFINITY);
        progress_begin(&progress, AT(0.25), "X");

        for (unsigned second = 1; second <= 100; second++) {
                char expected[32];
                usec_t next = progress_next(&progress, now);

                ck_assert_uint_eq(next, AT(0.25) + second * USEC_PER_SEC);
                /* woken up a little late, as one is */
                now = next + second * 9 * USEC_PER_MSEC;
                draw(now);
                (void) snprintf(expected, sizeof(expected), "\rX: %u s\033[K", second);
                assert_drawn(expected);
        }

        progress_end(&progress);
        ck_assert_uint_eq(progress_next(&progress, now), USEC_INFINITY);
}
END_TEST

/* Terminals. */

START_TEST(no_terminal) {
        open_pipe(80);
        progress.terminal.is_terminal = false;
        progress_begin(&progress, AT(0), "Listing workloads");
        draw(AT(1));
        draw(AT(100));
        ck_assert_uint_eq(progress_next(&progress, AT(0)), USEC_INFINITY);
        progress_hide(&progress);
        progress_end(&progress);
        assert_drawn("");
}
END_TEST

/* The last column stays free, whatever the width, and what is counted stays whole. */
START_TEST(width) {
        static const struct {
                unsigned width;
                const char *drawn;
        } rows[] = {
                { 80, "\rInstalling 日本: 1 s\033[K" },
                { 21, "\rInstalling 日本: 1 s\033[K" },
                { 20, "\rInstalling 日…: 1 s\033[K"  },
                { 19, "\rInstalling …: 1 s\033[K"    },
                { 10, "\rIns…: 1 s\033[K"            },
                { 9,  "\r1 s\033[K"                  },
                { 4,  "\r1 s\033[K"                  },
                { 3,  "\r\033[K"                     },
                { 1,  "\r\033[K"                     },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                open_pipe(rows[i].width);
                progress_begin(&progress, AT(0), "Installing 日本");
                draw(AT(1));
                assert_drawn(rows[i].drawn);
                teardown();
        }
}
END_TEST

/* A narrow terminal shows less, and counts down all the same. */
START_TEST(forms) {
        static const struct {
                unsigned width;
                unsigned attempt;
                bool waiting, looking;
                const char *drawn;
        } rows[] = {
                { 113, 3, true, false, "\rListing workloads: ToolHive unavailable (Connection refused), "
                                       "attempt 3 of 100, next try in 4 s\033[K" },
                { 114, 3, true, false, "\rListing workloads: ToolHive unavailable (Connection refused), "
                                       "attempt 3 of 100, next try in 4 s; gives up in 21 s\033[K" },
                { 96, 3, true, false,  "\rListing workloads: ToolHive unavailable (Connection refused), "
                                       "attempt 3 of 100, next try in 4 s\033[K" },
                { 95, 3, true, false,  "\rListing workloads: Connection refused, next try in 4 s; gives up in 21 s\033[K" },
                { 80, 3, true, false,  "\rListing workloads: Connection refused, next try in 4 s; gives up in 21 s\033[K" },
                { 80, 3, false, true,  "\rListing workloads: Connection refused, looking for ToolHive; gives up in 21 s\033[K" },
                { 80, 3, false, false, "\rListing workloads: Connection refused, trying again; gives up in 21 s\033[K" },
                { 80, 100, false, false,
                                       "\rListing workloads: Connection refused, last retry under way; gives up in 21 s\033[K" },
                { 60, 3, true, false,  "\rListing workloads: next try in 4 s; gives up in 21 s\033[K" },
                { 45, 3, true, false,  "\rListing workloads: next try in 4 s\033[K" },
                { 35, 3, true, false,  "\rListing workloads: next try in 4 s\033[K" },
                { 30, 3, true, false,  "\rListing wor…: next try in 4 s\033[K" },
                { 22, 3, true, false,  "\rLis…: next try in 4 s\033[K" },
                { 20, 3, true, false,  "\rnext try in 4 s\033[K" },
                { 16, 3, true, false,  "\rnext try in 4 s\033[K" },
                { 15, 3, true, false,  "\rListing …: 9 s\033[K" },
                { 20, 3, false, true,  "\rListing workl…: 9 s\033[K" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const struct connection connection = {
                        .attempt = rows[i].attempt, .max_retries = 100, .last_error = "Connection refused",
                        .backoff = rows[i].waiting || rows[i].looking ? 4 * USEC_PER_SEC : 0,
                };

                open_pipe(rows[i].width);
                progress_begin(&progress, AT(0), "Listing workloads");
                progress_draw(&progress, &connection, &(struct progress_times) {
                        .now = AT(9), .next_attempt = rows[i].waiting ? AT(13) : 0, .deadline = AT(30) });
                assert_drawn(rows[i].drawn);
                teardown();
        }
}
END_TEST

static void read_drawn(char *buffer, size_t size) {
        ssize_t n = read(reading, buffer, size - 1);

        ck_assert_int_ge(n, (ssize_t) strlen("\r\033[K"));
        buffer[n] = '\0';
        ck_assert_str_eq(buffer + n - strlen("\033[K"), "\033[K");
        buffer[n - (ssize_t) strlen("\033[K")] = '\0';
        ck_assert_int_eq(buffer[0], '\r');
}

/* Nothing that is said, however long, makes the line reach the edge or hides the end of the wait. */
START_TEST(every_width) {
        struct connection connection = { .attempt = 1, .max_retries = 500 };
        char doing[sizeof(progress.doing)], buffer[4096];

        memset(doing, 'd', sizeof(doing));
        memset(connection.last_error, 'e', sizeof(connection.last_error));
        doing[sizeof(doing) - 1] = connection.last_error[sizeof(connection.last_error) - 1] = '\0';

        for (unsigned columns = 2; columns <= 200; columns++) {
                open_pipe(columns);
                progress_begin(&progress, AT(0), "%s", doing);
                progress_draw(&progress, &connection, &(struct progress_times) {
                        .now = AT(9), .next_attempt = AT(13), .deadline = AT(30) });
                read_drawn(buffer, sizeof(buffer));
                ck_assert_uint_le(display_width(buffer + 1), columns - 1);
                if (columns > 40)
                        ck_assert_ptr_nonnull(strstr(buffer, "…: next try in 4 s; gives up in 21 s"));
                teardown();
        }
}
END_TEST

/* Whether it is "Listing workloads", or a beginning of it that tells what it is, with an ellipsis. */
static bool is_doing(const char *string, size_t size) {
        static const char doing[] = "Listing workloads";
        size_t ellipsis = strlen("…");

        if (size == strlen(doing) && memcmp(string, doing, size) == 0)
                return true;
        return size >= 3 + ellipsis && size - ellipsis < strlen(doing) &&
               memcmp(string, doing, size - ellipsis) == 0 &&
               memcmp(string + size - ellipsis, "…", ellipsis) == 0;
}

/*
 * What is drawn is one of the forms, from its beginning to its end, and has the
 * countdown where there is room for that; each is drawn at some width.
 */
START_TEST(whole_forms) {
        static const struct {
                unsigned attempt;
                bool waiting, looking;
                const char *forms[7];
        } rows[] = {
                { 3, true, false, {
                        "9 s", "next try in 4 s",
                        "Timed out, next try in 4 s", "next try in 4 s; gives up in 21 s",
                        "Timed out, next try in 4 s; gives up in 21 s",
                        "ToolHive unavailable (Timed out), attempt 3 of 100, next try in 4 s",
                        "ToolHive unavailable (Timed out), attempt 3 of 100, next try in 4 s; "
                        "gives up in 21 s",
                } },
                { 3, false, true, {
                        "9 s", "looking for ToolHive",
                        "Timed out, looking for ToolHive", "looking for ToolHive; gives up in 21 s",
                        "Timed out, looking for ToolHive; gives up in 21 s",
                        "ToolHive unavailable (Timed out), attempt 3 of 100, looking for it",
                        "ToolHive unavailable (Timed out), attempt 3 of 100, looking for it; "
                        "gives up in 21 s",
                } },
                { 100, false, false, {
                        "9 s", "last retry under way",
                        "Timed out, last retry under way", "last retry under way; gives up in 21 s",
                        "Timed out, last retry under way; gives up in 21 s",
                        "ToolHive unavailable (Timed out), attempt 100 of 100 failed, last retry under way",
                        "ToolHive unavailable (Timed out), attempt 100 of 100 failed, last retry under way; "
                        "gives up in 21 s",
                } },
                { 0, false, false, { "9 s", "9 s; gives up in 21 s" } },
        };

        for (size_t row = 0; row < ELEMENTSOF(rows); row++) {
                bool seen[ELEMENTSOF(rows[row].forms)] = {};

                for (unsigned columns = 5; columns <= 130; columns++) {
                        const struct connection connection = {
                                .attempt = rows[row].attempt, .max_retries = 100, .last_error = "Timed out",
                                .backoff = rows[row].waiting || rows[row].looking ? 4 * USEC_PER_SEC : 0,
                        };
                        char buffer[4096];
                        const char *state, *colon;
                        bool known = false;

                        open_pipe(columns);
                        progress_begin(&progress, AT(0), "Listing workloads");
                        progress_draw(&progress, &connection, &(struct progress_times) {
                                .now = AT(9), .deadline = AT(30),
                                .next_attempt = rows[row].waiting ? AT(13) : 0 });
                        read_drawn(buffer, sizeof(buffer));
                        teardown();

                        ck_assert_uint_le(display_width(buffer + 1), columns - 1);
                        colon = strstr(buffer, ": ");
                        state = colon ? colon + 2 : buffer + 1;
                        for (size_t i = 0; i < ELEMENTSOF(seen) && rows[row].forms[i]; i++)
                                if (strcmp(state, rows[row].forms[i]) == 0)
                                        known = seen[i] = true;
                        known &= !colon || is_doing(buffer + 1, (size_t) (colon - buffer - 1));
                        ck_assert_msg(known, "%u columns: %s", columns, buffer + 1);
                        if (rows[row].waiting && columns > strlen("next try in 4 s"))
                                ck_assert_msg(strstr(state, "next try in 4 s"), "%u columns: %s", columns,
                                              state);
                }
                for (size_t i = 0; i < ELEMENTSOF(seen) && rows[row].forms[i]; i++)
                        ck_assert_msg(seen[i], "never drawn: %s", rows[row].forms[i]);
        }
}
END_TEST

/* Without escape sequences blanks take their place. */
START_TEST(dumb_terminal) {
        open_pipe(12);
        progress.terminal.dumb = true;
        progress_begin(&progress, AT(0), "Go");
        draw(AT(1));
        assert_drawn("\rGo: 1 s    \r");
        draw(AT(1000));
        assert_drawn("\rGo: 1000 s \r");
        progress_end(&progress);
        assert_drawn("\r           \r");
}
END_TEST

START_TEST(resized) {
        if (suite_skips(!open_pty(80), __func__, "no terminal to be had"))
                return;

        progress_begin(&progress, AT(0), "Listing workloads");
        draw(AT(1));
        assert_drawn("\rListing workloads: 1 s\033[K");
        ck_assert_int_eq(ioctl(reading, TIOCSWINSZ, &(struct winsize) { .ws_row = 24, .ws_col = 10 }), 0);
        draw(AT(2));
        assert_drawn("\rLis…: 2 s\033[K");
}
END_TEST

/* Ctrl-S holds the terminal, and not the command; it is drawn again after Ctrl-Q. */
START_TEST(held) {
        if (suite_skips(!open_pty(80), __func__, "no terminal to be had"))
                return;

        progress_begin(&progress, AT(0), "X");
        draw(AT(1));
        assert_drawn("\rX: 1 s\033[K");
        ck_assert_int_eq(tcflow(writing, TCOOFF), 0);
        draw(AT(2));
        ck_assert_uint_eq(progress_next(&progress, AT(2)), AT(3));
        ck_assert_int_eq(tcflow(writing, TCOON), 0);
        assert_drawn("");
        draw(AT(2.1));
        assert_drawn("\rX: 2 s\033[K");
}
END_TEST

START_TEST(gone) {
        open_pipe(80);
        progress_begin(&progress, AT(0), "X");
        draw(AT(1));
        ck_assert(progress.shown);

        signal(SIGPIPE, SIG_IGN);
        closep(&reading);
        reading = -1;
        draw(AT(2));
        ck_assert(!progress.shown);
        ck_assert_uint_eq(progress_next(&progress, AT(2)), USEC_INFINITY);
        progress_end(&progress);
}
END_TEST

/* A line that somebody made non-blocking, and that is full: neither waited for nor written to again. */
START_TEST(full) {
        static char filler[4096];
        int flags;

        open_pipe(80);
        progress_begin(&progress, AT(0), "X");
        draw(AT(1));
        assert_drawn("\rX: 1 s\033[K");

        ck_assert_int_eq(fcntl(writing, F_SETFL, O_NONBLOCK), 0);
        flags = fcntl(writing, F_GETFL);
        while (write(writing, filler, sizeof(filler)) > 0)
                ;
        draw(AT(2));
        ck_assert(progress.shown);
        progress_hide(&progress);
        ck_assert(!progress.shown);
        ck_assert_int_eq(fcntl(writing, F_GETFL), flags);

        while (read(reading, filler, sizeof(filler)) > 0)
                ck_assert_ptr_null(memchr(filler, 'X', sizeof(filler)));
        draw(AT(3));
        progress_end(&progress);
        assert_drawn("");
}
END_TEST

/* In a session of its own, with the terminal as the controlling one: a job, first behind another, then before it. */
static int run_job(void) {
        pid_t job;
        int status;

        if (setsid() < 0 || ioctl(writing, TIOCSCTTY, 0) < 0)
                return 1;

        job = fork();
        if (job < 0)
                return 2;
        if (job == 0) {
                /* Who is in the background has neither a line to draw nor one to take away. */
                if (setpgid(0, 0) < 0)
                        _exit(3);
                draw(AT(1));
                if (progress.shown)
                        _exit(4);
                progress.shown = true;
                progress_hide(&progress);
                _exit(progress.shown ? 5 : 0);
        }
        if (waitpid(job, &status, 0) != job)
                return 6;
        if (status != 0)
                return WIFEXITED(status) ? WEXITSTATUS(status) : 7;

        draw(AT(2));
        return progress.shown ? 0 : 8;
}

START_TEST(background) {
        int result[2], status;
        pid_t session;
        char r;

        if (suite_skips(!open_pty(80), __func__, "no terminal to be had"))
                return;

        progress_begin(&progress, AT(0), "X");
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, result), 0);
        session = fork();
        ck_assert_int_ge(session, 0);
        if (session == 0) {
                close(result[0]);
                r = (char) run_job();
                /* The session stays until the other side has read: its end hangs the terminal up. */
                _exit(write(result[1], &r, 1) != 1 || read(result[1], &r, 1) != 0);
        }
        close(result[1]);
        ck_assert_int_eq(read(result[0], &r, 1), 1);
        ck_assert_int_eq(r, 0);
        assert_drawn("\rX: 2 s\033[K");

        close(result[0]);
        ck_assert_int_eq(waitpid(session, &status, 0), session);
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("progress");
        TCase *all = tcase_create("progress");

        tcase_add_checked_fixture(all, NULL, teardown);
        tcase_add_test(all, words);
        tcase_add_test(all, words_of_another_api);
        tcase_add_test(all, words_rounded);
        tcase_add_test(all, words_hostile);
        tcase_add_test(all, cadence);
        tcase_add_test(all, hidden_between);
        tcase_add_test(all, begun_again);
        tcase_add_test(all, next_draw);
        tcase_add_test(all, no_terminal);
        tcase_add_test(all, width);
        tcase_add_test(all, forms);
        tcase_add_test(all, every_width);
        tcase_add_test(all, whole_forms);
        tcase_add_test(all, dumb_terminal);
        tcase_add_test(all, resized);
        tcase_add_test(all, held);
        tcase_add_test(all, gone);
        tcase_add_test(all, full);
        tcase_add_test(all, background);
        tcase_set_timeout(all, 60);
        suite_add_tcase(suite, all);

        return suite_run(suite);
}
