/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state of a service as others read it: where it is looked for, whether it
 * runs, whose word its state file is, and what is made of files that are not what
 * they should be. A lock belongs to an open file and not to a process, so the
 * service of these tests is in the same one.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "command/moment.h"
#include "command/status.h"
#include "report/service_state.h"
#include "suite.h"

#define SECOND(n) ((usec_t) (1795363291 + (n)) * USEC_PER_SEC)

enum { PLACES = 3 };

static char folder[32];
static char places[PLACES][64], locks[PLACES][80];
static struct service_state_paths paths;
static struct service_state state;
static struct state_file files[PLACES];
static struct snapshot snapshot;

static void setup(void) {
        strcpy(folder, "/tmp/test-service-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        for (size_t i = 0; i < PLACES; i++) {
                snprintf(places[i], sizeof places[i], "%s/%zu.json", folder, i);
                snprintf(locks[i], sizeof locks[i], "%s.lock", places[i]);
                paths.paths[i] = places[i];
                files[i] = (struct state_file) { .lock_fd = -1 };
        }
        paths.n = PLACES;
        state = (struct service_state) {};
        snapshot = (struct snapshot) {
                .host = "localhost",
                .pid = 4711,
                .started_at = SECOND(0),
                .connection = { .state = CONNECTION_CONNECTED, .endpoint = "http://127.0.0.1:50001", .port = 50001,
                                .max_retries = 100, .since = SECOND(1) },
        };
}

static void teardown(void) {
        service_state_done(&state);
        for (size_t i = 0; i < PLACES; i++) {
                state_file_close(&files[i]);
                unlink(places[i]);
                unlink(locks[i]);
        }
        ck_assert_int_eq(rmdir(folder), 0);
}

static void look(void) {
        service_state_done(&state);
        ck_assert_int_eq(service_state_read(&state, &paths), 0);
}

/* The service takes its lock; it writes what the snapshot says. */
static void start(size_t place) {
        ck_assert_int_eq(state_file_open(&files[place], places[place], NULL, snapshot.started_at), 0);
}

static void write_state(size_t place) {
        ck_assert_int_eq(state_file_write(&files[place], &snapshot, false), 0);
}

static void run_and_end(size_t place) {
        start(place);
        write_state(place);
        state_file_close(&files[place]);
}

static void put(const char *path, const char *data) {
        ck_assert_int_eq(file_replace(path, data, strlen(data), 0644), 0);
}

/* It runs, and no word of its file is passed on. */
static void assert_useless(const char *problem) {
        ck_assert(state.running);
        ck_assert_ptr_null(state.document);
        ck_assert_str_eq(state.problem, problem);
        ck_assert_str_eq(state.version, "");
        ck_assert_str_eq(state.snapshot.connection.endpoint, "");
        ck_assert_uint_eq(state.snapshot.started_at, 0);
}

/* It cannot be read, and the sentence says which of the files and why. */
static void assert_unreadable(const char *path, const char *words) {
        _cleanup_text_ struct text problem = TEXT_INIT, expected = TEXT_INIT;

        text_addf(&expected, "cannot read %s: %s", path, words);
        service_state_add_problem(&state, &problem);
        ck_assert_str_eq(problem.data, expected.data);
        ck_assert(!state.running);
        ck_assert_int_lt(state.error, 0);
}

/* Where. */

START_TEST(paths_in_order) {
        static const struct {
                const char *given;
                const char *runtime, *session;
                const char *expected[SERVICE_STATE_PATHS];
        } cases[] = {
                { NULL, NULL, NULL, { "/run/mcp-optimizer/state.json" } },
                { NULL, "/run/a", "/run/user/1",
                  { "/run/a/state.json", "/run/user/1/mcp-optimizer/state.json", "/run/mcp-optimizer/state.json" } },
                { NULL, "/run/a:/run/b", "", { "/run/a/state.json", "/run/mcp-optimizer/state.json" } },
                { NULL, "relative", "relative", { "/run/mcp-optimizer/state.json" } },
                { NULL, "", "/", { "/mcp-optimizer/state.json", "/run/mcp-optimizer/state.json" } },
                { NULL, "/run/mcp-optimizer//", "/run/", { "/run/mcp-optimizer/state.json" } },
                { NULL, "/run/user/1/mcp-optimizer", "/run/user/1",
                  { "/run/user/1/mcp-optimizer/state.json", "/run/mcp-optimizer/state.json" } },
                { "/x.json", "/run/a", "/run/user/1", { "/x.json" } },
                { "x.json", NULL, NULL, { "x.json" } },
                { "", "/run/a", "/run/user/1", {} },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char runtime[64], session[64];
                char *environment[] = { (char[]) { "HOME=/" }, runtime, session, NULL };
                struct service_state_paths found;
                size_t n = 0;

                snprintf(runtime, sizeof runtime, "%s=%s", cases[i].runtime ? "RUNTIME_DIRECTORY" : "A",
                         cases[i].runtime ?: "");
                snprintf(session, sizeof session, "%s=%s", cases[i].session ? "XDG_RUNTIME_DIR" : "B",
                         cases[i].session ?: "");
                ck_assert_int_eq(service_state_paths(&found, cases[i].given, environment), 0);
                for (; n < SERVICE_STATE_PATHS && cases[i].expected[n]; n++) {
                        ck_assert_uint_gt(found.n, n);
                        ck_assert_str_eq(found.paths[n], cases[i].expected[n]);
                }
                ck_assert_uint_eq(found.n, n);
                service_state_paths_done(&found);
        }
}
END_TEST

START_TEST(nothing_there) {
        look();
        ck_assert_ptr_null(state.path);
        ck_assert(!state.running);
        ck_assert_int_eq(state.error, 0);
        ck_assert_uint_eq(state.beaten_at, 0);
        ck_assert_ptr_null(state.problem);

        paths.n = 0;
        look();
        ck_assert_ptr_null(state.path);
}
END_TEST

/* A folder that is a file is no folder: there is nothing in it. */
START_TEST(nothing_below_a_file) {
        char below[96];

        run_and_end(0);
        snprintf(below, sizeof below, "%s/state.json", places[0]);
        paths = (struct service_state_paths) { .paths = { below }, .n = 1 };
        look();
        ck_assert_ptr_null(state.path);
        ck_assert_int_eq(state.error, 0);
}
END_TEST

START_TEST(first_that_runs_else_first_that_exists) {
        run_and_end(1);
        run_and_end(2);
        look();
        ck_assert_str_eq(state.path, places[1]);
        ck_assert(!state.running);

        start(2);
        look();
        ck_assert_str_eq(state.path, places[2]);
        ck_assert(state.running);

        start(0);
        look();
        ck_assert_str_eq(state.path, places[0]);
}
END_TEST

/* Whether it runs, and whose word it is. */

START_TEST(runs_and_ends) {
        _cleanup_text_ struct text text = TEXT_INIT;

        start(0);
        write_state(0);
        look();
        ck_assert(state.running);
        ck_assert_ptr_null(state.problem);
        ck_assert_str_eq(state.version, PROJECT_VERSION);
        ck_assert_int_eq(state.snapshot.connection.state, CONNECTION_CONNECTED);
        ck_assert_str_eq(state.snapshot.connection.endpoint, "http://127.0.0.1:50001");
        ck_assert_int_eq(state.snapshot.pid, 4711);

        /* To the last byte. */
        state_file_format(&text, &snapshot);
        ck_assert_uint_eq(state.document_size, text.size);
        ck_assert_mem_eq(state.document, text.data, text.size);

        /* What it said last is still there when it has ended. */
        state_file_close(&files[0]);
        look();
        ck_assert(!state.running);
        ck_assert_ptr_nonnull(state.document);
        ck_assert_int_eq(state.snapshot.connection.state, CONNECTION_CONNECTED);
}
END_TEST

START_TEST(word_of_an_earlier_one) {
        run_and_end(0);

        /* The next one has the lock, and has not written yet: not even for the one before, whose name is gone. */
        snapshot.started_at = SECOND(5);
        start(0);
        look();
        assert_useless("written by an earlier service");

        write_state(0);
        look();
        ck_assert_ptr_nonnull(state.document);
        ck_assert_ptr_null(state.problem);
        ck_assert_uint_eq(state.snapshot.started_at, SECOND(5));
}
END_TEST

START_TEST(holder_of_any_other_name) {
        static const char *const names[] = {
                "", "\n", "2026-11-22T16:01:31.000Z", "2026-11-22T16:01:31.000Z\n\n", "2026-11-22T16:01:31.001Z\n",
                "2026-11-22T16:01:31.000Z\n                                                                 ",
        };

        start(0);
        write_state(0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                ck_assert_int_eq(ftruncate(files[0].lock_fd, 0), 0);
                ck_assert_int_eq(pwrite(files[0].lock_fd, names[i], strlen(names[i]), 0), (ssize_t) strlen(names[i]));
                look();
                assert_useless("written by an earlier service");
        }

        ck_assert_int_eq(ftruncate(files[0].lock_fd, 0), 0);
        ck_assert_int_eq(pwrite(files[0].lock_fd, "2026-11-22T16:01:31.000Z\n", 25, 0), 25);
        look();
        ck_assert_ptr_nonnull(state.document);
}
END_TEST

START_TEST(nothing_written_yet) {
        start(1);
        look();
        ck_assert_str_eq(state.path, places[1]);
        assert_useless("not written yet");
        ck_assert_int_eq(state.error, 0);
        ck_assert_uint_gt(state.beaten_at, 0);
        ck_assert_uint_eq(state.written_at, 0);

        /* Ended without a word: the lock file stays. */
        state_file_close(&files[1]);
        look();
        ck_assert_str_eq(state.path, places[1]);
        ck_assert(!state.running);
}
END_TEST

/* A state file alone, as a copy of one is. */
START_TEST(no_lock_file) {
        run_and_end(0);
        ck_assert_int_eq(unlink(locks[0]), 0);
        look();
        ck_assert(!state.running);
        ck_assert_uint_eq(state.beaten_at, 0);
        ck_assert_ptr_nonnull(state.document);
}
END_TEST

START_TEST(times_of_both_files) {
        const struct timespec beat[2] = { { 1000, 500000000 }, { 1000, 500000000 } };
        const struct timespec written[2] = { { 900, 0 }, { 900, 0 } };

        start(0);
        write_state(0);
        ck_assert_int_eq(utimensat(AT_FDCWD, locks[0], beat, 0), 0);
        ck_assert_int_eq(utimensat(AT_FDCWD, places[0], written, 0), 0);
        look();
        ck_assert_uint_eq(state.beaten_at, 1000 * USEC_PER_SEC + 500 * USEC_PER_MSEC);
        ck_assert_uint_eq(state.written_at, 900 * USEC_PER_SEC);

        /* Before 1970 there was no service. */
        ck_assert_int_eq(utimensat(AT_FDCWD, locks[0], (struct timespec[2]) { { -5, 0 }, { -5, 0 } }, 0), 0);
        look();
        ck_assert_uint_eq(state.beaten_at, 0);
}
END_TEST

/* What is not what it should be. */

START_TEST(document_of_no_use) {
        start(0);
        put(places[0], "{\"schema\": 2}");
        look();
        assert_useless("another schema");

        put(places[0], "{\"schema\": 1");
        look();
        assert_useless("JSON that is cut short");

        put(places[0], "");
        look();
        assert_useless("empty");
        ck_assert_int_eq(state.error, 0);

        ck_assert_int_eq(truncate(places[0], (off_t) STATE_FILE_MAX + 1), 0);
        look();
        assert_useless("larger than 16 MiB");

        /* Not waited for until somebody writes. */
        ck_assert_int_eq(unlink(places[0]), 0);
        ck_assert_int_eq(mkfifo(places[0], 0644), 0);
        look();
        assert_useless("no regular file");
}
END_TEST

START_TEST(lock_of_no_use) {
        run_and_end(0);
        ck_assert_int_eq(unlink(locks[0]), 0);

        /* A link may lead to a file whose lock somebody else holds. */
        run_and_end(1);
        start(1);
        ck_assert_int_eq(symlink(locks[1], locks[0]), 0);
        paths.n = 1;
        look();
        ck_assert_int_eq(state.error, -ELOOP);
        assert_unreadable(locks[0], "a symbolic link");
        ck_assert(state.uncertain);
        ck_assert_ptr_nonnull(state.document);

        ck_assert_int_eq(unlink(locks[0]), 0);
        ck_assert_int_eq(mkfifo(locks[0], 0644), 0);
        look();
        assert_unreadable(locks[0], "no regular file");

        ck_assert_int_eq(unlink(locks[0]), 0);
        ck_assert_int_eq(mkdir(locks[0], 0755), 0);
        look();
        assert_unreadable(locks[0], "no regular file");
        ck_assert_int_eq(rmdir(locks[0]), 0);
}
END_TEST

/* The link to nowhere is that of the state file, whatever the lock is. */
START_TEST(both_of_no_use) {
        ck_assert_int_eq(symlink(places[0], places[0]), 0);
        ck_assert_int_eq(mkfifo(locks[0], 0644), 0);
        paths.n = 1;
        look();
        assert_unreadable(places[0], "Too many levels of symbolic links");
        ck_assert(state.uncertain);

        /* Without a lock file nothing runs, and that is certain. */
        ck_assert_int_eq(unlink(locks[0]), 0);
        look();
        assert_unreadable(places[0], "Too many levels of symbolic links");
        ck_assert(!state.uncertain);
}
END_TEST

START_TEST(unreadable) {
        char hidden[64], hidden_path[80];
        uid_t user = geteuid();

        snprintf(hidden, sizeof hidden, "%s/hidden", folder);
        snprintf(hidden_path, sizeof hidden_path, "%s/state.json", hidden);
        ck_assert_int_eq(mkdir(hidden, 0), 0);
        ck_assert_int_eq(chmod(folder, 0755), 0);
        run_and_end(1);
        paths.paths[0] = hidden_path;

        /* Root may look everywhere. */
        ck_assert_int_eq(seteuid(user == 0 ? 65534 : user), 0);
        paths.n = 1;
        look();
        ck_assert_str_eq(state.path, hidden_path);
        ck_assert_int_eq(state.error, -EACCES);
        assert_unreadable(hidden_path, "Permission denied");
        ck_assert(state.uncertain);

        /* What can be read comes before it. */
        paths.n = 2;
        look();
        ck_assert_int_eq(seteuid(user), 0);
        ck_assert_str_eq(state.path, places[1]);
        ck_assert_int_eq(state.error, 0);
        ck_assert_int_eq(rmdir(hidden), 0);
}
END_TEST

/* Any user may ask, for whom a lock that is held is no less held. */
START_TEST(asked_by_another_user) {
        uid_t user = geteuid();

        ck_assert_int_eq(chmod(folder, 0755), 0);
        start(0);
        write_state(0);
        ck_assert_int_eq(seteuid(user == 0 ? 65534 : user), 0);
        look();
        ck_assert_int_eq(seteuid(user), 0);
        ck_assert(state.running);
        ck_assert_ptr_nonnull(state.document);

        /* A document that may not be read leaves the lock to be asked. */
        ck_assert_int_eq(chmod(places[0], 0), 0);
        ck_assert_int_eq(seteuid(user == 0 ? 65534 : user), 0);
        look();
        ck_assert_int_eq(seteuid(user), 0);
        assert_useless("Permission denied");
        ck_assert_int_eq(state.error, -EACCES);
        ck_assert_str_eq(state.unreadable, places[0]);
        ck_assert(!state.uncertain);
}
END_TEST

/* Life. */

START_TEST(heartbeats) {
        static const struct {
                double age;
                bool alive;
                const char *words;
        } cases[] = {
                { 0, true, "heartbeat just now" },
                { 59.9, true, "heartbeat 59 s ago" },
                { 60, false, "hangs, last heartbeat 1 min ago" },
                { 123, false, "hangs, last heartbeat 2 min 3 s ago" },
                /* a clock that was set back */
                { -59.9, true, "heartbeat just now" },
                { -60, false, "hangs, last heartbeat 1 min in the future" },
                { -7200, false, "hangs, last heartbeat 2 h in the future" },
        };
        _cleanup_text_ struct text text = TEXT_INIT;
        usec_t now = SECOND(0);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct service_state beating = {
                        .running = true,
                        .beaten_at = now - (usec_t) (int64_t) (cases[i].age * USEC_PER_SEC),
                };

                text_clear(&text);
                status_add_heartbeat(&text, &beating, now);
                ck_assert_str_eq(text.data, cases[i].words);
                ck_assert_int_eq(status_is_alive(&beating, now), cases[i].alive);
                beating.running = false;
                ck_assert(!status_is_alive(&beating, now));
        }
}
END_TEST

/* Times as a person reads them. */

START_TEST(spans) {
        static const struct {
                double seconds;
                const char *span, *ago, *until;
        } cases[] = {
                { 0, "0 s", "just now", "in 0 s" },
                { 0.9, "0 s", "just now", "in 1 s" },
                { 1, "1 s", "1 s ago", "in 1 s" },
                { 59.5, "59 s", "59 s ago", "in 1 min" },
                { 60, "1 min", "1 min ago", "in 1 min" },
                { 61, "1 min 1 s", "1 min 1 s ago", "in 1 min 1 s" },
                { 3599, "59 min 59 s", "59 min 59 s ago", "in 59 min 59 s" },
                { 3600, "1 h", "1 h ago", "in 1 h" },
                { 3659, "1 h", "1 h ago", "in 1 h" },
                { 3840, "1 h 4 min", "1 h 4 min ago", "in 1 h 4 min" },
                { 86399, "23 h 59 min", "23 h 59 min ago", "in 23 h 59 min" },
                { 266400, "3 d 2 h", "3 d 2 h ago", "in 3 d 2 h" },
                { 86400 * 400 + 1800, "400 d", "400 d ago", "in 400 d" },
        };
        _cleanup_text_ struct text text = TEXT_INIT;
        usec_t now = SECOND(0);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                usec_t usec = (usec_t) (cases[i].seconds * USEC_PER_SEC);

                text_clear(&text);
                text_add_span(&text, usec);
                ck_assert_str_eq(text.data, cases[i].span);
                text_clear(&text);
                text_add_ago(&text, now - usec, now);
                ck_assert_str_eq(text.data, cases[i].ago);
                text_clear(&text);
                text_add_until(&text, now + usec, now);
                ck_assert_str_eq(text.data, cases[i].until);
        }

        /* The clock was set: what is over is not yet, what is to come has been. */
        text_clear(&text);
        text_add_ago(&text, now + USEC_PER_SEC * 3600, now);
        text_add(&text, ", ");
        text_add_until(&text, now - USEC_PER_SEC * 3600, now);
        ck_assert_str_eq(text.data, "just now, in 0 s");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("service state");
        TCase *where = tcase_create("where"), *who = tcase_create("who"), *hostile = tcase_create("hostile");

        tcase_add_checked_fixture(where, setup, teardown);
        tcase_set_timeout(where, 60);
        tcase_add_test(where, paths_in_order);
        tcase_add_test(where, nothing_there);
        tcase_add_test(where, nothing_below_a_file);
        tcase_add_test(where, first_that_runs_else_first_that_exists);
        tcase_add_test(where, spans);
        suite_add_tcase(suite, where);

        tcase_add_checked_fixture(who, setup, teardown);
        tcase_set_timeout(who, 60);
        tcase_add_test(who, runs_and_ends);
        tcase_add_test(who, word_of_an_earlier_one);
        tcase_add_test(who, holder_of_any_other_name);
        tcase_add_test(who, nothing_written_yet);
        tcase_add_test(who, no_lock_file);
        tcase_add_test(who, times_of_both_files);
        tcase_add_test(who, heartbeats);
        suite_add_tcase(suite, who);

        tcase_add_checked_fixture(hostile, setup, teardown);
        tcase_set_timeout(hostile, 60);
        tcase_add_test(hostile, document_of_no_use);
        tcase_add_test(hostile, lock_of_no_use);
        tcase_add_test(hostile, both_of_no_use);
        tcase_add_test(hostile, unreadable);
        tcase_add_test(hostile, asked_by_another_user);
        suite_add_tcase(suite, hostile);

        return suite_run(suite);
}
