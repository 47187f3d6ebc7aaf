/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The log: the lines of the specification to the letter, hostile values in each
 * format, the way to stderr (one write a line, whole lines from two threads, a
 * stderr that stays full, a terminal that shows a line of its own), and the way
 * to the journal, whose library function and whose socket are played by this
 * program.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/json.h"
#include "report/log.h"
#include "report/log_journal.h"
#include "report/log_line.h"
#include "suite.h"

/* 2026-11-22T16:01:31.936Z, and a little that is not shown. */
#define SOME_TIME ((usec_t) 1795363291936815)

/* The journal, as the code under test meets it: these two take the place of libsystemd's and libc's. */

static struct {
        int result;                     /* of sd_journal_sendv() */
        bool socket_missing;
        unsigned entries;
        struct text fields;             /* of the last entry, a line each */
} journal;

int sd_journal_sendv(const struct iovec *iov, int n);

int sd_journal_sendv(const struct iovec *iov, int n) {
        journal.entries++;
        text_clear(&journal.fields);
        for (int i = 0; i < n; i++) {
                text_add_bytes(&journal.fields, iov[i].iov_base, iov[i].iov_len);
                text_add(&journal.fields, "\n");
        }
        return journal.result;
}

int access(const char *path, int mode) {
        if (strcmp(path, "/run/systemd/journal/socket") != 0)
                return faccessat(AT_FDCWD, path, mode, 0);

        if (!journal.socket_missing)
                return 0;
        errno = ENOENT;
        return -1;
}

/* stderr is one end of something for the time of a test. */

static int saved_stderr = -1;
static int captured = -1;

static void capture(int reading, int writing) {
        ck_assert_int_ge(dup2(writing, STDERR_FILENO), 0);
        close(writing);
        captured = reading;
}

/* One message for each write(2): that is what the socket type is for. */
static void capture_writes(void) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        capture(fds[0], fds[1]);
}

static const char *captured_write(void) {
        static char buffer[1 << 16];
        ssize_t n = recv(captured, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

        if (n < 0)
                return NULL;
        buffer[n] = '\0';
        return buffer;
}

static void setup(void) {
        saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        ck_assert_int_ge(saved_stderr, 0);
        unsetenv("JOURNAL_STREAM");
        unsetenv("NO_COLOR");
}

static void teardown(void) {
        log_set_terminal(NULL, NULL, 0);
        (void) dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        if (captured >= 0)
                close(captured);
        captured = -1;
        text_done(&journal.fields);
        memset(&journal, 0, sizeof(journal));
}

/* Lines. */

#define FIELDS(...) ((const struct log_field[]){ __VA_ARGS__ __VA_OPT__(,) { .type = LOG_FIELD_END } })

static void assert_line(enum log_format format, enum log_level level, enum event event, const char *message,
                        const struct log_field *fields, const char *expected) {
        _cleanup_text_ struct text line = TEXT_INIT;

        log_format_line(&line, format, level, event, message, fields, SOME_TIME);
        ck_assert_int_eq(text_error(&line), 0);
        ck_assert_str_eq(line.data, expected);
}

static void assert_text(enum log_level level, const char *message, const struct log_field *fields,
                        const char *expected) {
        assert_line(LOG_FORMAT_TEXT, level, EVENT_NONE, message, fields, expected);
}

START_TEST(text_as_specified) {
        assert_text(LEVEL_WARNING, "ToolHive connection failed",
                    FIELDS(LOG_INT("attempt", 1), LOG_INT("max_retries", 100),
                           LOG_STRING("error", "Connection refused"),
                           LOG_SECONDS("backoff_seconds", USEC_PER_SEC)),
                    "WARNING  ToolHive connection failed attempt=1 max_retries=100 "
                    "error=\"Connection refused\" backoff_seconds=1.0\n");
        assert_text(LEVEL_INFO, "Successfully rediscovered ToolHive on new port",
                    FIELDS(LOG_INT("old_port", 50001), LOG_INT("new_port", 50002)),
                    "INFO     Successfully rediscovered ToolHive on new port old_port=50001 new_port=50002\n");
        assert_text(LEVEL_ERROR, "All retry attempts exhausted. ToolHive is unavailable.",
                    FIELDS(LOG_INT("total_attempts", 100)),
                    "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=100\n");
        assert_text(LEVEL_CRITICAL, "ToolHive connection failure - exiting",
                    FIELDS(LOG_INT("max_retries", 100), LOG_STRING("last_error", "Connection refused")),
                    "CRITICAL ToolHive connection failure - exiting max_retries=100 "
                    "last_error=\"Connection refused\"\n");
        assert_text(LEVEL_INFO, "ToolHive connection restored",
                    FIELDS(LOG_STRING("endpoint", "http://127.0.0.1:50001"), LOG_INT("attempts", 7),
                           LOG_SECONDS("outage_seconds", 63200 * USEC_PER_MSEC)),
                    "INFO     ToolHive connection restored endpoint=http://127.0.0.1:50001 attempts=7 "
                    "outage_seconds=63.2\n");
        assert_text(LEVEL_DEBUG, "Bare", FIELDS(), "DEBUG    Bare\n");
        assert_text(LEVEL_INFO, "Moved", FIELDS(LOG_NULL("port"), LOG_INT("n", INT64_MIN)),
                    "INFO     Moved port=null n=-9223372036854775808\n");
}
END_TEST

START_TEST(text_hostile) {
        assert_text(LEVEL_INFO, "Seen", FIELDS(LOG_STRING("name", "x\nCRITICAL forged=1")),
                    "INFO     Seen name=\"x\\nCRITICAL forged=1\"\n");
        assert_text(LEVEL_INFO, "Seen", FIELDS(LOG_STRING("name", "a\" b=\"c\\")),
                    "INFO     Seen name=\"a\\\" b=\\\"c\\\\\"\n");
        assert_text(LEVEL_INFO, "Seen", FIELDS(LOG_STRING("name", "\033[2J\xff")),
                    "INFO     Seen name=\"\\x1b[2J\\xff\"\n");
        assert_text(LEVEL_INFO, "Seen", FIELDS(LOG_STRING("name", "")), "INFO     Seen name=\"\"\n");
}
END_TEST

START_TEST(json_as_specified) {
        assert_line(LOG_FORMAT_JSON, LEVEL_WARNING, EVENT_NONE, "ToolHive connection failed",
                    FIELDS(LOG_INT("attempt", 1), LOG_STRING("error", "Connection \"refused\"\n"),
                           LOG_SECONDS("backoff_seconds", 250 * USEC_PER_MSEC), LOG_NULL("port")),
                    "{\"time\": \"2026-11-22T16:01:31.936Z\", \"level\": \"WARNING\", "
                    "\"message\": \"ToolHive connection failed\", \"attempt\": 1, "
                    "\"error\": \"Connection \\\"refused\\\"\\n\", \"backoff_seconds\": 0.25, \"port\": null}\n");
}
END_TEST

START_TEST(json_message_id) {
        _cleanup_text_ struct text expected = TEXT_INIT;

        text_addf(&expected,
                  "{\"time\": \"2026-11-22T16:01:31.936Z\", \"level\": \"CRITICAL\", \"message\": \"Over\", "
                  "\"message_id\": \"%s\"}\n", event_message_id(EVENT_EXITING));
        assert_line(LOG_FORMAT_JSON, LEVEL_CRITICAL, EVENT_EXITING, "Over", FIELDS(), expected.data);

        /* Text has none. */
        assert_line(LOG_FORMAT_TEXT, LEVEL_CRITICAL, EVENT_EXITING, "Over", FIELDS(), "CRITICAL Over\n");
}
END_TEST

/* Any bytes at all make one line, and JSON that a strict reader takes. */
START_TEST(random_values) {
        unsigned seed = (unsigned) getpid();

        printf("seed %u\n", seed);
        for (unsigned round = 0; round < 2000; round++) {
                _cleanup_text_ struct text text = TEXT_INIT, json = TEXT_INIT;
                struct json_slice value;
                const char *problem = NULL;
                char bytes[48];
                size_t n = (size_t) rand_r(&seed) % (sizeof(bytes) - 1);

                for (size_t i = 0; i < n; i++)
                        bytes[i] = (char) (1 + rand_r(&seed) % 255);
                bytes[n] = '\0';

                log_format_line(&text, LOG_FORMAT_TEXT, LEVEL_INFO, EVENT_NONE, "Seen",
                                FIELDS(LOG_STRING("value", bytes)), SOME_TIME);
                ck_assert_ptr_eq(strchr(text.data, '\n'), text.data + text.size - 1);
                for (size_t i = 0; i + 1 < text.size; i++)
                        ck_assert_uint_ge((unsigned char) text.data[i], ' ');

                log_format_line(&json, LOG_FORMAT_JSON, LEVEL_INFO, EVENT_NONE, "Seen",
                                FIELDS(LOG_STRING("value", bytes)), SOME_TIME);
                ck_assert_ptr_eq(strchr(json.data, '\n'), json.data + json.size - 1);
                ck_assert_msg(json_scan(json.data, json.size, &value, &problem) == 0, "%s in %s", problem,
                              json.data);
        }
}
END_TEST

START_TEST(long_values) {
        static const char tail[] = "…\n";
        char *value = malloc(LOG_VALUE_MAX * 3);

        ck_assert_ptr_nonnull(value);

        /* Just fits. */
        memset(value, 'a', LOG_VALUE_MAX);
        value[LOG_VALUE_MAX] = '\0';
        ck_assert_uint_eq(log_value_size(value), LOG_VALUE_MAX);

        /* One more is cut, and says so; for the journal as well. */
        memset(value, 'a', LOG_VALUE_MAX * 2);
        value[LOG_VALUE_MAX * 2] = '\0';
        ck_assert_uint_eq(log_value_size(value), LOG_VALUE_MAX);

        for (enum log_format format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
                _cleanup_text_ struct text line = TEXT_INIT;

                log_format_line(&line, format, LEVEL_INFO, EVENT_NONE, "Seen",
                                FIELDS(LOG_STRING("v", value)), SOME_TIME);
                ck_assert_uint_lt(line.size, LOG_VALUE_MAX + 200);
                if (format == LOG_FORMAT_TEXT)
                        ck_assert_str_eq(line.data + line.size - strlen(tail), tail);
                else
                        ck_assert_ptr_nonnull(strstr(line.data, "a…\"}\n"));
        }

        /* Never in the middle of a character, and never further back than one for bytes that are none. */
        memcpy(value + LOG_VALUE_MAX - 2, "\xF0\x9F\x98\x80", 4);
        ck_assert_uint_eq(log_value_size(value), LOG_VALUE_MAX - 2);
        memset(value, 0x80, LOG_VALUE_MAX * 2);
        ck_assert_uint_eq(log_value_size(value), LOG_VALUE_MAX - 3);

        free(value);
}
END_TEST

/* The way to stderr. */

START_TEST(stderr_one_write_a_line) {
        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_AUTO);

        log_event(LEVEL_INFO, EVENT_STARTED, "First", LOG_INT("n", 1));
        log_event(LEVEL_ERROR, EVENT_NONE, "Second");
        ck_assert_str_eq(captured_write(), "INFO     First n=1\n");
        ck_assert_str_eq(captured_write(), "ERROR    Second\n");
        ck_assert_ptr_null(captured_write());
        ck_assert_uint_eq(journal.entries, 0);
}
END_TEST

START_TEST(stderr_levels) {
        capture_writes();
        log_init(LEVEL_WARNING, LOG_FORMAT_TEXT);

        ck_assert(!log_enabled(LEVEL_DEBUG));
        ck_assert(!log_enabled(LEVEL_INFO));
        ck_assert(log_enabled(LEVEL_WARNING));
        ck_assert(log_enabled(LEVEL_CRITICAL));

        log_debug("No");
        log_event(LEVEL_INFO, EVENT_NONE, "No");
        log_event(LEVEL_CRITICAL, EVENT_NONE, "Yes");
        ck_assert_str_eq(captured_write(), "CRITICAL Yes\n");
        ck_assert_ptr_null(captured_write());

        log_init(LEVEL_DEBUG, LOG_FORMAT_TEXT);
        log_debug("Now", LOG_INT("n", 2));
        ck_assert_str_eq(captured_write(), "DEBUG    Now n=2\n");
}
END_TEST

START_TEST(stderr_json) {
        const char *line;

        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_JSON);
        log_event(LEVEL_INFO, EVENT_NONE, "Here");

        line = captured_write();
        ck_assert_ptr_nonnull(line);
        ck_assert_int_eq(strncmp(line, "{\"time\": \"20", 12), 0);
        ck_assert_ptr_nonnull(strstr(line, "Z\", \"level\": \"INFO\", \"message\": \"Here\"}\n"));
}
END_TEST

/* A terminal: a master and its slave. False where the system gives none. */
static bool capture_terminal(void) {
        int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
        char name[64];

        if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
            ptsname_r(master, name, sizeof(name)) != 0)
                return false;

        slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0)
                return false;

        capture(master, slave);
        return true;
}

static void assert_terminal_shows(const char *expected) {
        char buffer[256];
        ssize_t n = read(captured, buffer, sizeof(buffer) - 1);

        ck_assert_int_gt(n, 0);
        buffer[n] = '\0';
        ck_assert_str_eq(buffer, expected);
}

START_TEST(terminal_colour) {
        if (suite_skips(!capture_terminal(), __func__, "no terminal to be had"))
                return;

        setenv("TERM", "xterm", 1);
        log_init(LEVEL_INFO, LOG_FORMAT_AUTO);
        log_event(LEVEL_WARNING, EVENT_NONE, "Look", LOG_INT("n", 1));
        assert_terminal_shows("\033[33mWARNING\033[0m  Look n=1\r\n");
        log_event(LEVEL_INFO, EVENT_NONE, "Calm");
        assert_terminal_shows("INFO     Calm\r\n");

        setenv("NO_COLOR", "1", 1);
        log_init(LEVEL_INFO, LOG_FORMAT_AUTO);
        log_event(LEVEL_WARNING, EVENT_NONE, "Look");
        assert_terminal_shows("WARNING  Look\r\n");

        unsetenv("NO_COLOR");
        setenv("TERM", "dumb", 1);
        log_init(LEVEL_INFO, LOG_FORMAT_AUTO);
        log_event(LEVEL_WARNING, EVENT_NONE, "Look");
        assert_terminal_shows("WARNING  Look\r\n");
}
END_TEST

/* A command's line on the terminal: what takes it away writes this. */
static void hide(void *user) {
        const char *mark = user;

        ck_assert_int_eq(write(STDERR_FILENO, mark, strlen(mark)), (ssize_t) strlen(mark));
}

START_TEST(terminal_line_hidden) {
        static char mark[] = "<gone>";

        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        log_set_terminal(hide, mark, 0);
        log_event(LEVEL_INFO, EVENT_STARTED, "First");
        ck_assert_str_eq(captured_write(), mark);
        ck_assert_str_eq(captured_write(), "INFO     First\n");

        /* It is left alone where nothing is written: below the level, or in the journal. */
        log_debug("Not told");
        log_init(LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_event(LEVEL_INFO, EVENT_STARTED, "Elsewhere");
        ck_assert_uint_eq(journal.entries, 1);
        ck_assert_ptr_null(captured_write());

        log_init(LEVEL_INFO, LOG_FORMAT_JSON);
        log_event(LEVEL_INFO, EVENT_NONE, "Second");
        ck_assert_str_eq(captured_write(), mark);
        ck_assert_ptr_nonnull(strstr(captured_write(), "Second"));

        log_set_terminal(NULL, NULL, 0);
        log_event(LEVEL_INFO, EVENT_NONE, "Third");
        ck_assert_ptr_nonnull(strstr(captured_write(), "Third"));
        ck_assert_ptr_null(captured_write());
}
END_TEST

START_TEST(terminal_events_silenced) {
        static char mark[] = "<gone>";

        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        log_set_terminal(hide, mark, LOG_EVENT_BIT(EVENT_ATTEMPT_FAILED) | LOG_EVENT_BIT(EVENT_CONFIG_INVALID));
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "ToolHive connection failed");
        log_event(LEVEL_CRITICAL, EVENT_CONFIG_INVALID, "The last of the events");
        ck_assert_ptr_null(captured_write());

        log_event(LEVEL_ERROR, EVENT_EXHAUSTED, "All retry attempts exhausted");
        ck_assert_str_eq(captured_write(), mark);
        ck_assert_str_eq(captured_write(), "ERROR    All retry attempts exhausted\n");
        log_event(LEVEL_WARNING, EVENT_NONE, "No event");
        ck_assert_str_eq(captured_write(), mark);
        ck_assert_str_eq(captured_write(), "WARNING  No event\n");

        /* The journal gets them; what it does not take is not for stderr either. */
        log_init(LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "ToolHive connection failed");
        ck_assert_uint_eq(journal.entries, 1);
        journal.result = -ECONNREFUSED;
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "ToolHive connection failed");
        ck_assert_uint_eq(journal.entries, 2);
        ck_assert_ptr_null(captured_write());

        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        log_set_terminal(NULL, NULL, 0);
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "Told again");
        ck_assert_str_eq(captured_write(), "WARNING  Told again\n");
}
END_TEST

/* All that a pipe holds. Returns its length; what is beyond the buffer is read and forgotten. */
static size_t drain(int fd, char *buffer, size_t size) {
        size_t used = 0;
        ssize_t n;

        while ((n = read(fd, buffer + used, size - 1 - used)) > 0) {
                used += (size_t) n;
                if (used == size - 1)
                        break;
        }
        buffer[used] = '\0';
        return used;
}

/* A full stderr costs lines and a bounded time; afterwards lines are whole again. */
START_TEST(stderr_full) {
        static char buffer[1 << 20];
        static char filler[4096];
        char value[LOG_VALUE_MAX];
        int fds[2];

        memset(value, 'v', sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        memset(filler, '.', sizeof(filler));

        ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
        capture(fds[0], fds[1]);
        while (write(STDERR_FILENO, filler, sizeof(filler)) > 0)
                ;
        /* Room for the beginning of a long line. */
        ck_assert_int_eq(read(captured, filler, sizeof(filler)), sizeof(filler));

        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        log_event(LEVEL_INFO, EVENT_NONE, "Torn", LOG_STRING("v", value));
        (void) drain(captured, buffer, sizeof(buffer));
        ck_assert_ptr_nonnull(strstr(buffer, "INFO     Torn v=vvv"));
        ck_assert_ptr_null(strchr(buffer, '\n'));

        log_event(LEVEL_INFO, EVENT_NONE, "Next");
        log_event(LEVEL_INFO, EVENT_NONE, "Last");
        (void) drain(captured, buffer, sizeof(buffer));
        ck_assert_str_eq(buffer, "\nINFO     Next\nINFO     Last\n");
}
END_TEST

/* Two threads, lines too long for a pipe to take in one piece. */

#define THREAD_LINES 100

static void *write_lines(void *argument) {
        const char *value = argument;

        for (int i = 0; i < THREAD_LINES; i++)
                log_event(LEVEL_INFO, EVENT_NONE, "Thread", LOG_STRING("v", value));
        return NULL;
}

START_TEST(stderr_two_threads) {
        static char a[6000], b[6000];
        unsigned lines[2] = {};
        pthread_t threads[2];
        _cleanup_(freep) char *line = NULL;
        size_t allocated = 0;
        ssize_t n;
        FILE *stream;
        int fds[2];

        memset(a, 'a', sizeof(a) - 1);
        memset(b, 'b', sizeof(b) - 1);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
        capture(fds[0], fds[1]);
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);

        ck_assert_int_eq(pthread_create(&threads[0], NULL, write_lines, a), 0);
        ck_assert_int_eq(pthread_create(&threads[1], NULL, write_lines, b), 0);

        stream = fdopen(captured, "r");
        ck_assert_ptr_nonnull(stream);
        captured = -1;
        for (int i = 0; i < 2 * THREAD_LINES && (n = getline(&line, &allocated, stream)) > 0; i++) {
                const char *value = strstr(line, "v=");

                ck_assert_ptr_nonnull(value);
                ck_assert_int_eq(strncmp(line, "INFO     Thread v=", 18), 0);
                ck_assert_uint_eq(strspn(value + 2, value[2] == 'a' ? "a" : "b"), sizeof(a) - 1);
                ck_assert_int_eq(n, 18 + (int) sizeof(a) - 1 + 1);
                lines[value[2] == 'b']++;
        }
        ck_assert_int_eq(pthread_join(threads[0], NULL), 0);
        ck_assert_int_eq(pthread_join(threads[1], NULL), 0);
        ck_assert_uint_eq(lines[0], THREAD_LINES);
        ck_assert_uint_eq(lines[1], THREAD_LINES);
        fclose(stream);
}
END_TEST

/* The way to the journal. */

static void set_journal_stream(ino_t offset) {
        struct stat st;
        char value[64];

        ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
        (void) snprintf(value, sizeof(value), "%ju:%ju", (uintmax_t) st.st_dev,
                        (uintmax_t) (st.st_ino + offset));
        setenv("JOURNAL_STREAM", value, 1);
}

START_TEST(journal_is_stderr) {
        capture_writes();
        ck_assert(!log_journal_is_stderr());
        set_journal_stream(1);
        ck_assert(!log_journal_is_stderr());
        setenv("JOURNAL_STREAM", "nonsense", 1);
        ck_assert(!log_journal_is_stderr());
        set_journal_stream(0);
        ck_assert(log_journal_is_stderr());

        /* And only auto asks. */
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        log_event(LEVEL_INFO, EVENT_NONE, "Text");
        ck_assert_uint_eq(journal.entries, 0);
        log_init(LEVEL_INFO, LOG_FORMAT_AUTO);
        log_event(LEVEL_INFO, EVENT_NONE, "Journal");
        ck_assert_uint_eq(journal.entries, 1);
        ck_assert_str_eq(captured_write(), "INFO     Text\n");
        ck_assert_ptr_null(captured_write());
}
END_TEST

START_TEST(journal_fields) {
        _cleanup_text_ struct text expected = TEXT_INIT;

        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_JOURNAL);

        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "ToolHive connection failed", LOG_INT("attempt", 1),
                  LOG_INT("max_retries", 100), LOG_STRING("error", "Connection refused"),
                  LOG_SECONDS("backoff_seconds", USEC_PER_SEC), LOG_NULL("port"));
        text_addf(&expected,
                  "MESSAGE=ToolHive connection failed attempt=1 max_retries=100 error=\"Connection refused\" "
                  "backoff_seconds=1.0 port=null\n"
                  "PRIORITY=4\nMESSAGE_ID=%s\nTOOLHIVE_ATTEMPT=1\nTOOLHIVE_MAX_RETRIES=100\n"
                  "TOOLHIVE_ERROR=Connection refused\nTOOLHIVE_BACKOFF_SECONDS=1.0\nTOOLHIVE_PORT=null\n",
                  event_message_id(EVENT_ATTEMPT_FAILED));
        ck_assert_str_eq(journal.fields.data, expected.data);
        ck_assert_ptr_null(captured_write());
}
END_TEST

START_TEST(journal_priorities) {
        static const struct {
                enum log_level level;
                const char *priority;
        } cases[] = {
                { LEVEL_DEBUG, "PRIORITY=7\n" },
                { LEVEL_INFO, "PRIORITY=6\n" },
                { LEVEL_WARNING, "PRIORITY=4\n" },
                { LEVEL_ERROR, "PRIORITY=3\n" },
                { LEVEL_CRITICAL, "PRIORITY=2\n" },
        };

        log_init(LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                log_event(cases[i].level, EVENT_NONE, "Line");
                ck_assert_ptr_nonnull(strstr(journal.fields.data, cases[i].priority));
                ck_assert_ptr_null(strstr(journal.fields.data, "MESSAGE_ID"));
        }
}
END_TEST

/* More pairs than an entry has fields for, and a value as long as they get. */
START_TEST(journal_bounds) {
        struct log_field fields[101] = {};
        char value[LOG_VALUE_MAX * 2];

        memset(value, 'v', sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        for (size_t i = 0; i < 100; i++)
                fields[i] = LOG_STRING("v", value);

        log_init(LEVEL_INFO, LOG_FORMAT_JOURNAL);
        log_write(LEVEL_INFO, EVENT_NONE, "Many", fields);
        ck_assert_uint_eq(journal.entries, 1);
        ck_assert_uint_lt(journal.fields.size, 140 * LOG_VALUE_MAX);
}
END_TEST

START_TEST(journal_unreachable) {
        capture_writes();
        log_init(LEVEL_INFO, LOG_FORMAT_JOURNAL);

        /* Nobody holds the socket. */
        journal.result = -ECONNREFUSED;
        log_event(LEVEL_INFO, EVENT_STARTED, "Refused", LOG_INT("n", 1));
        ck_assert_uint_eq(journal.entries, 1);
        ck_assert_str_eq(captured_write(), "INFO     Refused n=1\n");

        /* There is no socket, which the library calls a success. */
        journal.result = 0;
        journal.socket_missing = true;
        log_event(LEVEL_INFO, EVENT_STARTED, "Missing", LOG_INT("n", 2));
        ck_assert_uint_eq(journal.entries, 2);
        ck_assert_str_eq(captured_write(), "INFO     Missing n=2\n");

        /* Back again. */
        journal.socket_missing = false;
        log_event(LEVEL_INFO, EVENT_STARTED, "Back");
        ck_assert_uint_eq(journal.entries, 3);
        ck_assert_ptr_null(captured_write());
}
END_TEST

int main(void) {
        Suite *suite = suite_create("log");
        TCase *lines = tcase_create("lines"), *ways = tcase_create("ways");

        tcase_add_test(lines, text_as_specified);
        tcase_add_test(lines, text_hostile);
        tcase_add_test(lines, json_as_specified);
        tcase_add_test(lines, json_message_id);
        tcase_add_test(lines, random_values);
        tcase_add_test(lines, long_values);
        tcase_set_timeout(lines, 60);
        suite_add_tcase(suite, lines);

        tcase_add_checked_fixture(ways, setup, teardown);
        tcase_set_timeout(ways, 60);
        tcase_add_test(ways, stderr_one_write_a_line);
        tcase_add_test(ways, stderr_levels);
        tcase_add_test(ways, stderr_json);
        tcase_add_test(ways, terminal_colour);
        tcase_add_test(ways, terminal_line_hidden);
        tcase_add_test(ways, terminal_events_silenced);
        tcase_add_test(ways, stderr_full);
        tcase_add_test(ways, stderr_two_threads);
        tcase_add_test(ways, journal_is_stderr);
        tcase_add_test(ways, journal_fields);
        tcase_add_test(ways, journal_priorities);
        tcase_add_test(ways, journal_bounds);
        tcase_add_test(ways, journal_unreachable);
        suite_add_tcase(suite, ways);

        return suite_run(suite);
}
