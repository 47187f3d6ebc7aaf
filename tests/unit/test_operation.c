/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The retry loop under the virtual clock: every message of the specification's
 * section 3 to the letter and in its order, the ration of immediate retries in
 * its worked example, and the waits with all that may end them.
 */

#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "fake_source.h"
#include "service/operation.h"
#include "suite.h"

#define CONNECTED "INFO     Connected to ToolHive endpoint=http://127.0.0.1:50001 version=v0.44.0\n"
#define FAILED(attempt, max, backoff) \
        "WARNING  ToolHive connection failed attempt=" attempt " max_retries=" max \
        " error=\"Connection refused\" backoff_seconds=" backoff "\n"
#define RESET(attempt, max, backoff) \
        "WARNING  ToolHive connection failed attempt=" attempt " max_retries=" max \
        " error=\"Connection reset by peer\" backoff_seconds=" backoff "\n"
#define REDISCOVER(port) "WARNING  Attempting to rediscover ToolHive port previous_port=" port "\n"
#define MOVED(old, new) "INFO     Successfully rediscovered ToolHive on new port old_port=" old " new_port=" new "\n"
#define RETRYING(port) "INFO     Port rediscovery successful, retrying immediately new_port=" port "\n"
#define SAME(port) "INFO     ToolHive still available on same port port=" port "\n"
#define RESTORED(port, attempts, seconds) \
        "INFO     ToolHive connection restored endpoint=http://127.0.0.1:" port " attempts=" attempts \
        " outage_seconds=" seconds "\n"
#define EXHAUSTED(max, error) \
        "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=" max "\n" \
        "CRITICAL ToolHive connection failure - exiting max_retries=" max " last_error=\"" error "\"\n"

/* A ToolHive that passes the identity check while all of its calls are reset. */
#define RESETTING(...) \
        ((struct fake_world) { __VA_ARGS__, .replies = FAKE_ALL(FAKE_FAILED, .error = "Connection reset by peer") })

static struct virtual_waiter v;
static struct fake_source fake;
static struct snapshot snapshot;
static struct operations operations;

static void configure(unsigned max_retries, double initial, double maximum) {
        struct settings settings = {
                .max_retries = max_retries,
                .initial_backoff = virtual_seconds(initial),
                .max_backoff = virtual_seconds(maximum),
        };

        snapshot_done(&snapshot);
        snapshot = (struct snapshot) {};
        operations_init(&operations, &settings, &fake.source, &snapshot);
}

static void setup(void) {
        virtual_init(&v);
        fake_init(&fake, &v);
        configure(100, 1.0, 60.0);
        capture_begin();
}

static void teardown(void) {
        capture_end();
        snapshot_done(&snapshot);
}

static int run_for(enum call_kind kind, struct outcome *outcome) {
        _cleanup_(call_done) struct call call = { .kind = kind, .name = "one" };

        return operation_run(&operations, &call, outcome);
}

static int run(void) {
        struct outcome outcome;

        return run_for(CALL_LIST_WORKLOADS, &outcome);
}

/* Connects at 50001, and begins the script's next world at 10 s: there the clock stands then. */
static void connect_and_go_on(struct fake_world world) {
        fake_from(&fake, virtual_seconds(10), world);
        ck_assert_int_eq(run(), 0);
        capture_expect(CONNECTED);
        virtual_advance(&v, virtual_seconds(10));
        fake.n_notes = 0;
}

/* ---- the messages ---- */

START_TEST(connects) {
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(run(), 0);
        capture_expect(CONNECTED);
        ck_assert_str_eq(snapshot.connection.endpoint, "http://127.0.0.1:50001");
        ck_assert_int_eq(snapshot.connection.port, 50001);
        ck_assert_str_eq(snapshot.connection.version, "v0.44.0");
        ck_assert_uint_eq(snapshot.counters.failures, 0);
        ck_assert_uint_eq(snapshot.counters.scans, 1);
}
END_TEST

START_TEST(found_on_another_port) {
        connect_and_go_on((struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0")
                       REDISCOVER("50001")
                       MOVED("50001", "50002")
                       RETRYING("50002")
                       RESTORED("50002", "1", "0.0"));
        fake_expect_calls(&fake, CALL_KINDS, 2, (double[]) { 10, 10 });
        ck_assert_uint_eq(snapshot.counters.port_changes, 1);
        ck_assert_uint_eq(snapshot.counters.reconnects, 1);
        ck_assert_uint_eq(snapshot.counters.failures, 1);
}
END_TEST

START_TEST(found_on_the_same_port) {
        connect_and_go_on(RESETTING(.port = 50001));
        fake_from(&fake, virtual_seconds(11), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), 0);
        capture_expect(RESET("1", "100", "1.0")
                       REDISCOVER("50001")
                       SAME("50001")
                       RESET("2", "100", "1.0")
                       REDISCOVER("50001")
                       SAME("50001")
                       RESTORED("50001", "2", "1.0"));
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 10, 11 });
        ck_assert_uint_eq(snapshot.counters.port_changes, 0);
}
END_TEST

START_TEST(found_nowhere) {
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(14), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50001")
                       FAILED("2", "100", "2.0") REDISCOVER("50001")
                       FAILED("3", "100", "4.0") REDISCOVER("50001")
                       RESTORED("50001", "3", "7.0"));
        fake_expect_calls(&fake, CALL_KINDS, 4, (double[]) { 10, 11, 13, 17 });
}
END_TEST

/* The end of an outage sets counter, delay and ration back. */
START_TEST(the_next_outage_starts_anew) {
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(12), (struct fake_world) { .port = 50002 });
        fake_from(&fake, virtual_seconds(20), (struct fake_world) { .port = 50003 });
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50001")
                       FAILED("2", "100", "2.0") REDISCOVER("50001")
                       FAILED("3", "100", "4.0") REDISCOVER("50001")
                       MOVED("50001", "50002") RETRYING("50002") RESTORED("50002", "3", "3.0"));
        virtual_advance(&v, virtual_seconds(7));
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50002")
                       MOVED("50002", "50003") RETRYING("50003") RESTORED("50003", "1", "0.0"));
        ck_assert_uint_eq(snapshot.counters.reconnects, 2);
}
END_TEST

/* Nothing known and nothing found: the attempt was the search, and no second one follows. */
START_TEST(start_without_toolhive) {
        usec_t searches[8];

        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(2), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0")
                       FAILED("2", "100", "2.0")
                       CONNECTED
                       RESTORED("50001", "2", "3.0"));
        ck_assert_uint_eq(fake_searches(&fake, searches, ELEMENTSOF(searches)), 3);
        ck_assert_uint_eq(searches[2], virtual_seconds(3));
        fake_expect_calls(&fake, CALL_KINDS, 1, (double[]) { 3 });
}
END_TEST

START_TEST(exhausted_at_start) {
        fake_from(&fake, 0, FAKE_NOBODY);
        configure(3, 0.5, 60.0);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "3", "0.5") FAILED("2", "3", "1.0") FAILED("3", "3", "0.0")
                       EXHAUSTED("3", "Connection refused"));
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(1.5));
}
END_TEST

START_TEST(exhausted_in_operation) {
        configure(3, 0.5, 60.0);
        connect_and_go_on(FAKE_NOBODY);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "3", "0.5") REDISCOVER("50001")
                       FAILED("2", "3", "1.0") REDISCOVER("50001")
                       FAILED("3", "3", "0.0") REDISCOVER("50001")
                       EXHAUSTED("3", "Connection refused"));
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(11.5));
        ck_assert_uint_eq(snapshot.counters.failures, 3);
}
END_TEST

/* The last failure is rediscovered too, and the retry that it may have has no number. */
START_TEST(rescued_after_the_last_attempt) {
        configure(2, 1.0, 60.0);
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(11), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "2", "1.0") REDISCOVER("50001")
                       FAILED("2", "2", "0.0") REDISCOVER("50001")
                       MOVED("50001", "50002") RETRYING("50002")
                       RESTORED("50002", "2", "1.0"));
}
END_TEST

START_TEST(lost_after_the_last_attempt) {
        configure(2, 1.0, 60.0);
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(11), RESETTING(.port = 50002));
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "2", "1.0") REDISCOVER("50001")
                       FAILED("2", "2", "0.0") REDISCOVER("50001")
                       MOVED("50001", "50002") RETRYING("50002")
                       EXHAUSTED("2", "Connection reset by peer"));
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 11, 11 });
}
END_TEST

/* The last failure finds it again, but no immediate retry is left. */
START_TEST(found_after_the_last_attempt_without_a_retry) {
        configure(2, 1.0, 60.0);
        connect_and_go_on(RESETTING(.port = 50001));
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(RESET("1", "2", "1.0") REDISCOVER("50001") SAME("50001")
                       RESET("2", "2", "0.0") REDISCOVER("50001") SAME("50001")
                       EXHAUSTED("2", "Connection reset by peer"));
        fake_expect_calls(&fake, CALL_KINDS, 2, (double[]) { 10, 10 });
}
END_TEST

/* Addresses that ports do not tell apart are told whole. */
START_TEST(sockets_are_told_as_endpoints) {
        fake_from(&fake, 0, (struct fake_world) { .socket = "/run/a.sock" });
        fake_from(&fake, virtual_seconds(10), (struct fake_world) { .port = 50002 });
        fake_from(&fake, virtual_seconds(20), (struct fake_world) { .socket = "/run/b.sock" });
        fake_from(&fake, virtual_seconds(30), RESETTING(.socket = "/run/b.sock"));
        ck_assert_int_eq(run(), 0);
        capture_expect("INFO     Connected to ToolHive endpoint=unix:///run/a.sock version=v0.44.0\n");
        ck_assert_int_eq(snapshot.connection.port, 0);

        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0")
                       "WARNING  Attempting to rediscover ToolHive port previous_endpoint=unix:///run/a.sock\n"
                       "INFO     Successfully rediscovered ToolHive on new port old_endpoint=unix:///run/a.sock "
                       "new_endpoint=http://127.0.0.1:50002\n"
                       "INFO     Port rediscovery successful, retrying immediately new_endpoint=http://127.0.0.1:50002\n"
                       RESTORED("50002", "1", "0.0"));

        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50002")
                       "INFO     Successfully rediscovered ToolHive on new port old_endpoint=http://127.0.0.1:50002 "
                       "new_endpoint=unix:///run/b.sock\n"
                       "INFO     Port rediscovery successful, retrying immediately new_endpoint=unix:///run/b.sock\n"
                       "INFO     ToolHive connection restored endpoint=unix:///run/b.sock attempts=1 outage_seconds=0.0\n");

        configure(1, 1.0, 1.0);
        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(RESET("1", "1", "0.0")
                       "WARNING  Attempting to rediscover ToolHive port previous_endpoint=unix:///run/b.sock\n"
                       "INFO     ToolHive still available on same port endpoint=unix:///run/b.sock\n"
                       EXHAUSTED("1", "Connection reset by peer"));
}
END_TEST

START_TEST(several_found_are_told_once) {
        struct fake_world several = { .port = 50001, .others = { 50004, 50009 } };

        fake_from(&fake, 0, several);
        fake_from(&fake, virtual_seconds(10), RESETTING(.port = 50001, .others = { 50004, 50009 }));
        fake_from(&fake, virtual_seconds(11), several);
        ck_assert_int_eq(run(), 0);
        capture_expect(CONNECTED
                       "WARNING  Several ToolHives found, using the lowest port; set TOOLHIVE_PORT to choose another "
                       "endpoint=http://127.0.0.1:50001 others=http://127.0.0.1:50004,http://127.0.0.1:50009\n");
        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(run(), 0);
        ck_assert_uint_eq(capture_count("Several"), 0);
        ck_assert_uint_eq(capture_count("still available"), 2);
}
END_TEST

/* As in Kubernetes, and at a pinned address: only the delays. */
START_TEST(no_search_where_nothing_can_move) {
        struct source_ops kubernetes = *fake.source.ops;

        kubernetes.name = "Kubernetes API";
        fake.source.ops = &kubernetes;
        fake.source.can_move = false;
        configure(3, 1.0, 60.0);
        ck_assert_int_eq(run(), 0);
        fake_from(&fake, virtual_seconds(10),
                  (struct fake_world) {
                          .port = 50001,
                          .replies = FAKE_ALL(FAKE_FAILED, .error = "HTTP 429", .retry_after = 7 * USEC_PER_SEC),
                  });
        fake_from(&fake, virtual_seconds(17), (struct fake_world) { .port = 50001 });
        fake_from(&fake, virtual_seconds(20), FAKE_NOBODY);
        virtual_advance(&v, virtual_seconds(10));
        capture_forget();
        fake.n_notes = 0;

        ck_assert_int_eq(run(), 0);
        capture_expect("WARNING  Kubernetes API connection failed attempt=1 max_retries=3 error=\"HTTP 429\" "
                       "backoff_seconds=7.0\n"
                       "INFO     Kubernetes API connection restored endpoint=http://127.0.0.1:50001 attempts=1 "
                       "outage_seconds=7.0\n");
        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect_end("WARNING  Kubernetes API connection failed attempt=3 max_retries=3 "
                           "error=\"Connection refused\" backoff_seconds=0.0\n"
                           "ERROR    All retry attempts exhausted. Kubernetes API is unavailable. total_attempts=3\n"
                           "CRITICAL Kubernetes API connection failure - exiting max_retries=3 "
                           "last_error=\"Connection refused\"\n");
        fake_expect_calls(&fake, CALL_KINDS, 5, (double[]) { 10, 17, 27, 28, 30 });
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
}
END_TEST

/* What comes from outside cannot break the line. */
/* ---- a source that is not looked for ---- */

#define CLUSTER "INFO     Connected to Kubernetes API endpoint=http://127.0.0.1:50001 version=v1.34.1\n"
#define CLUSTER_FAILED(attempt, max, error, backoff) \
        "WARNING  Kubernetes API connection failed attempt=" attempt " max_retries=" max " error=" error \
        " backoff_seconds=" backoff "\n"

/* Its first answer makes it known, whatever it says; nothing is rediscovered, and nothing retried at once. */
START_TEST(a_cluster) {
        static const double seconds[] = { 0, 1, 3, 3 };

        fake_be_cluster(&fake);
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(2), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(run(), 0);
        capture_expect(CLUSTER_FAILED("1", "100", "\"Connection refused\"", "1.0")
                       CLUSTER_FAILED("2", "100", "\"Connection refused\"", "2.0")
                       CLUSTER
                       "INFO     Kubernetes API connection restored endpoint=http://127.0.0.1:50001 attempts=2 "
                       "outage_seconds=3.0\n");
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 4, seconds);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
        ck_assert_str_eq(snapshot.connection.endpoint, "http://127.0.0.1:50001");
        ck_assert_str_eq(snapshot.connection.version, "v1.34.1");
        ck_assert_uint_eq(snapshot.counters.scans + snapshot.counters.port_changes, 0);
        ck_assert_uint_eq(snapshot.counters.failures, 2);
}
END_TEST

START_TEST(a_cluster_that_denies) {
        struct outcome outcome;

        fake_be_cluster(&fake);
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .version = "", .replies = FAKE_ALL(FAKE_ANSWER, .status = 403, .error = "forbidden") });
        ck_assert_int_eq(run_for(CALL_LIST_WORKLOADS, &outcome), OPERATION_ANSWER);
        ck_assert_int_eq(run_for(CALL_LIST_WORKLOADS, &outcome), OPERATION_ANSWER);
        /* It may keep its version to itself. */
        capture_expect("INFO     Connected to Kubernetes API endpoint=http://127.0.0.1:50001\n");
        ck_assert_uint_eq(snapshot.counters.failures, 0);
        ck_assert_uint_eq(snapshot.counters.requests_answer, 2);
}
END_TEST

/* What is asked for longer than the delay is given; and nothing looks for it after the last attempt. */
START_TEST(a_cluster_that_stays_away) {
        static const double seconds[] = { 0, 30, 60 };

        configure(3, 1.0, 60.0);
        fake_be_cluster(&fake);
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .replies = FAKE_ALL(FAKE_FAILED, .status = 503, .error = "HTTP 503", .retry_after = 30 * USEC_PER_SEC) });
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(CLUSTER_FAILED("1", "3", "\"HTTP 503\"", "30.0")
                       CLUSTER_FAILED("2", "3", "\"HTTP 503\"", "30.0")
                       CLUSTER_FAILED("3", "3", "\"HTTP 503\"", "0.0")
                       "ERROR    All retry attempts exhausted. Kubernetes API is unavailable. total_attempts=3\n"
                       "CRITICAL Kubernetes API connection failure - exiting max_retries=3 last_error=\"HTTP 503\"\n");
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 3, seconds);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
}
END_TEST

/* Changes end a wait only where they are asked for: between polls, and not between attempts. */
START_TEST(waits_for_changes) {
        fake_be_cluster(&fake);
        fake_change_at(&fake, virtual_seconds(5), CHANGES_TAKEN);
        ck_assert_int_eq(operations_wait(&operations, VIRTUAL_START + virtual_seconds(3), WAIT_CHANGE), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(3));
        ck_assert_int_eq(operations_wait(&operations, VIRTUAL_START + virtual_seconds(7), WAIT_CONNECTION), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(7));
        ck_assert_int_eq(operations_wait(&operations, VIRTUAL_START + virtual_seconds(9), WAIT_CHANGE), WAIT_CHANGE);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(7));
}
END_TEST

START_TEST(hostile_words_stay_in_their_quotes) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .version = "v1\"\nCRITICAL x=1",
                .replies = FAKE_ALL(FAKE_FAILED, .error = "a\nERROR    b \x1b[2J"),
        });
        configure(1, 1.0, 1.0);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        ck_assert_uint_eq(capture_count("\n"), 6);
        ck_assert_uint_eq(capture_count("\nERROR"), 1);
        ck_assert_uint_eq(capture_count("\nCRITICAL"), 1);
        ck_assert_uint_eq(capture_count("\x1b"), 0);
}
END_TEST

/* ---- the arithmetic, lived through ---- */

START_TEST(ninety_four_minutes) {
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(5643));
        ck_assert_uint_eq(capture_count("ToolHive connection failed"), 100);
        ck_assert_uint_eq(capture_count("backoff_seconds=60.0"), 93);
        capture_expect_end(FAILED("99", "100", "60.0") FAILED("100", "100", "0.0")
                           EXHAUSTED("100", "Connection refused"));
        ck_assert_uint_eq(snapshot.counters.failures, 100);
}
END_TEST

START_TEST(five_hundred_attempts) {
        configure(500, 300.0, 300.0);
        connect_and_go_on(FAKE_NOBODY);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(10 + 499 * 300));
        ck_assert_uint_eq(fake_calls(&fake, CALL_KINDS, NULL, 0), 500);
        capture_expect_end(FAILED("500", "500", "0.0") REDISCOVER("50001") EXHAUSTED("500", "Connection refused"));
}
END_TEST

static double three_quarters(void *user _unused_) {
        return 0.75;
}

START_TEST(jitter_is_told_as_it_is_waited) {
        fake_from(&fake, 0, FAKE_NOBODY);
        configure(4, 1.0, 60.0);
        operations.random = three_quarters;
        operations.retry.jitter = 0.5;
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "4", "0.625") FAILED("2", "4", "1.25") FAILED("3", "4", "2.5")
                       FAILED("4", "4", "0.0") EXHAUSTED("4", "Connection refused"));
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(0.625 + 1.25 + 2.5));
}
END_TEST

/* ---- the ration ---- */

/* The specification's worked example. */
START_TEST(ration_worked_example) {
        configure(6, 0.2, 1.0);
        fake_from(&fake, 0, RESETTING(.port = 50001));
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        fake_expect_calls(&fake, CALL_KINDS, 6, (double[]) { 0, 0, 0.2, 0.6, 1.4, 2.4 });
        capture_expect(CONNECTED
                       RESET("1", "6", "0.2") REDISCOVER("50001") SAME("50001")
                       RESET("2", "6", "0.2") REDISCOVER("50001") SAME("50001")
                       RESET("3", "6", "0.4") REDISCOVER("50001") SAME("50001")
                       RESET("4", "6", "0.8") REDISCOVER("50001") SAME("50001")
                       RESET("5", "6", "1.0") REDISCOVER("50001") SAME("50001")
                       RESET("6", "6", "0.0") REDISCOVER("50001") SAME("50001")
                       EXHAUSTED("6", "Connection reset by peer"));
}
END_TEST

/* Found elsewhere without an immediate retry: told, not retried at once, and the delay goes on growing. */
START_TEST(moved_without_a_retry_left) {
        connect_and_go_on(RESETTING(.port = 50001));
        fake_from(&fake, virtual_seconds(12), RESETTING(.port = 50002));
        fake_from(&fake, virtual_seconds(15), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(), 0);
        capture_expect(RESET("1", "100", "1.0") REDISCOVER("50001") SAME("50001")
                       RESET("2", "100", "1.0") REDISCOVER("50001") SAME("50001")
                       RESET("3", "100", "2.0") REDISCOVER("50001") SAME("50001")
                       FAILED("4", "100", "4.0") REDISCOVER("50001") MOVED("50001", "50002")
                       RESTORED("50002", "4", "7.0"));
        fake_expect_calls(&fake, CALL_KINDS, 5, (double[]) { 10, 10, 11, 13, 17 });
}
END_TEST

/* A search that found nothing earns an immediate retry; one on another address sets the delay back. */
START_TEST(moved_with_a_retry_earned) {
        configure(6, 1.0, 60.0);
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(12), RESETTING(.port = 50002));
        ck_assert_int_eq(run_for(CALL_VERSION, &(struct outcome) {}), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "6", "1.0") REDISCOVER("50001")
                       FAILED("2", "6", "2.0") REDISCOVER("50001")
                       FAILED("3", "6", "4.0") REDISCOVER("50001") MOVED("50001", "50002") RETRYING("50002")
                       RESET("4", "6", "1.0") REDISCOVER("50002") SAME("50002")
                       RESET("5", "6", "2.0") REDISCOVER("50002") SAME("50002")
                       RESET("6", "6", "0.0") REDISCOVER("50002") SAME("50002")
                       EXHAUSTED("6", "Connection reset by peer"));
}
END_TEST

static struct fake_world random_world(void) {
        uint16_t port = (uint16_t) (50001 + lrand48() % 3);

        switch (lrand48() % 3) {
        case 0:
                return FAKE_NOBODY;
        case 1:
                return (struct fake_world) { .port = port };
        default:
                return RESETTING(.port = port);
        }
}

/*
 * Whatever happens outside: calls take no time here, so those of one instant are
 * an attempt and its immediate retry, and a third would be a second one in a row.
 */
START_TEST(never_two_immediate_retries_in_a_row) {
        const char *given = getenv("TEST_SEED");
        long seed = given ? strtol(given, NULL, 10) : (long) time(NULL) ^ (long) getpid() << 16;

        printf("TEST_SEED=%ld\n", seed);
        fflush(stdout);
        srand48(seed);
        for (unsigned round = 0; round < 300; round++) {
                usec_t times[512], when = 0;
                size_t n;

                virtual_init(&v);
                fake_init(&fake, &v);
                configure(40, 1.0, 8.0);
                for (size_t i = 1; i < ELEMENTSOF(fake.worlds); i++) {
                        when += virtual_seconds(0.5 + drand48() * 10);
                        fake_from(&fake, when, random_world());
                        if (i % 3 == 0)
                                virtual_at(&v, when + 1, VIRTUAL_FILE);
                }
                while (virtual_elapsed(&v) < when && run() != OPERATION_EXHAUSTED)
                        virtual_advance(&v, virtual_seconds(5));

                n = fake_calls(&fake, CALL_KINDS, times, ELEMENTSOF(times));
                ck_assert_uint_le(n, ELEMENTSOF(times));
                for (size_t i = 2; i < n; i++)
                        ck_assert_msg(times[i] > times[i - 2], "seed %ld, round %u: three calls at %.6f s",
                                      seed, round, (double) times[i] / 1e6);
                capture_forget();
        }
}
END_TEST

/* ---- what ends a wait ---- */

/* A wake that finds nothing costs a search and no attempt; the wait goes on to its end. */
START_TEST(woken_in_vain) {
        usec_t searches[8];

        connect_and_go_on(FAKE_NOBODY);
        configure(4, 10.0, 60.0);
        virtual_at(&v, virtual_seconds(13), VIRTUAL_FILE);
        virtual_at(&v, virtual_seconds(55), VIRTUAL_FILE);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "4", "10.0") REDISCOVER("50001")
                       FAILED("2", "4", "20.0") REDISCOVER("50001")
                       FAILED("3", "4", "40.0") REDISCOVER("50001")
                       FAILED("4", "4", "0.0") REDISCOVER("50001")
                       EXHAUSTED("4", "Connection refused"));
        fake_expect_calls(&fake, CALL_KINDS, 4, (double[]) { 10, 20, 40, 80 });
        ck_assert_uint_eq(fake_searches(&fake, searches, ELEMENTSOF(searches)), 6);
        ck_assert_uint_eq(searches[1], virtual_seconds(13));
        ck_assert_uint_eq(searches[4], virtual_seconds(55));
}
END_TEST

START_TEST(woken_and_found_elsewhere) {
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(15), (struct fake_world) { .port = 50002 });
        virtual_at(&v, virtual_seconds(15.25), VIRTUAL_FILE);
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50001")
                       FAILED("2", "100", "2.0") REDISCOVER("50001")
                       FAILED("3", "100", "4.0") REDISCOVER("50001")
                       MOVED("50001", "50002") RETRYING("50002")
                       RESTORED("50002", "3", "5.25"));
}
END_TEST

START_TEST(woken_and_found_at_start) {
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(5), (struct fake_world) { .port = 50001 });
        virtual_at(&v, virtual_seconds(5.5), VIRTUAL_FILE);
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("1", "100", "1.0") FAILED("2", "100", "2.0") FAILED("3", "100", "4.0")
                       CONNECTED RESTORED("50001", "3", "5.5"));
}
END_TEST

/* What a wake found was tried at once: that was the immediate retry, and no second one follows it. */
START_TEST(woken_and_failing_again) {
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(14), RESETTING(.port = 50002));
        virtual_at(&v, virtual_seconds(14.5), VIRTUAL_FILE);
        configure(6, 1.0, 60.0);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        capture_expect(FAILED("1", "6", "1.0") REDISCOVER("50001")
                       FAILED("2", "6", "2.0") REDISCOVER("50001")
                       FAILED("3", "6", "4.0") REDISCOVER("50001")
                       MOVED("50001", "50002") RETRYING("50002")
                       RESET("4", "6", "1.0") REDISCOVER("50002") SAME("50002")
                       RESET("5", "6", "2.0") REDISCOVER("50002") SAME("50002")
                       RESET("6", "6", "0.0") REDISCOVER("50002") SAME("50002")
                       EXHAUSTED("6", "Connection reset by peer"));
        fake_expect_calls(&fake, CALL_KINDS, 6, (double[]) { 10, 11, 13, 14.5, 15.5, 17.5 });
}
END_TEST

/* Something else in the folder changed. */
START_TEST(not_woken_by_a_neighbour_of_the_file) {
        connect_and_go_on(FAKE_NOBODY);
        fake.file_unchanged = true;
        configure(2, 10.0, 60.0);
        virtual_at(&v, virtual_seconds(12), VIRTUAL_FILE);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 2);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(20));
}
END_TEST

/* A change from before the failure is no news: the search after the failure has read it. */
START_TEST(not_woken_by_old_news) {
        connect_and_go_on(RESETTING(.port = 50001));
        configure(3, 1.0, 60.0);
        virtual_at(&v, virtual_seconds(9), VIRTUAL_FILE);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 10, 11 });
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 3);
}
END_TEST

START_TEST(one_wake_a_second) {
        usec_t searches[64];
        size_t n;

        connect_and_go_on(FAKE_NOBODY);
        configure(2, 10.0, 60.0);
        for (unsigned i = 0; i < 40; i++)
                virtual_at(&v, virtual_seconds(11 + i * 0.2), VIRTUAL_FILE);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(20));

        /* The first and the last are those after the two failures. */
        n = fake_searches(&fake, searches, ELEMENTSOF(searches));
        ck_assert_uint_ge(n, 2 + 8);
        ck_assert_uint_le(n, 2 + 9);
        for (size_t i = 2; i + 1 < n; i++)
                ck_assert_uint_ge(searches[i] - searches[i - 1], USEC_PER_SEC);
}
END_TEST

START_TEST(reload_cuts_the_wait) {
        connect_and_go_on(FAKE_NOBODY);
        configure(6, 4.0, 60.0);
        virtual_at(&v, virtual_seconds(30), VIRTUAL_RELOAD);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        /* The attempt that follows counts; the delay is the initial one again. */
        fake_expect_calls(&fake, CALL_KINDS, 6, (double[]) { 10, 14, 22, 30, 34, 42 });
        capture_expect_end(FAILED("4", "6", "4.0") REDISCOVER("50001")
                           FAILED("5", "6", "8.0") REDISCOVER("50001")
                           FAILED("6", "6", "0.0") REDISCOVER("50001")
                           EXHAUSTED("6", "Connection refused"));
        ck_assert_uint_gt(operations.reloaded_at, 0);
}
END_TEST

/* A reload during a call leaves it to finish, and cuts the wait that follows. */
START_TEST(reload_during_a_call) {
        struct fake_world slow = {
                .port = 50001,
                .replies = FAKE_ALL(FAKE_FAILED, .error = "Timed out after 10.0 s", .takes = 10 * USEC_PER_SEC),
        };

        connect_and_go_on(slow);
        fake_from(&fake, virtual_seconds(25), (struct fake_world) { .port = 50001 });
        virtual_at(&v, virtual_seconds(22), VIRTUAL_RELOAD);
        ck_assert_int_eq(run(), 0);
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 20, 30 });
        capture_expect("WARNING  ToolHive connection failed attempt=1 max_retries=100 error=\"Timed out after 10.0 s\" "
                       "backoff_seconds=1.0\n" REDISCOVER("50001") SAME("50001")
                       "WARNING  ToolHive connection failed attempt=2 max_retries=100 error=\"Timed out after 10.0 s\" "
                       "backoff_seconds=1.0\n" REDISCOVER("50001") SAME("50001")
                       RESTORED("50001", "2", "10.0"));
}
END_TEST

START_TEST(stop_during_a_wait) {
        connect_and_go_on(FAKE_NOBODY);
        configure(100, 10.0, 300.0);
        virtual_at(&v, virtual_seconds(33), VIRTUAL_STOP);
        ck_assert_int_eq(run(), -ECANCELED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(33));
        capture_expect(FAILED("1", "100", "10.0") REDISCOVER("50001")
                       FAILED("2", "100", "20.0") REDISCOVER("50001"));
}
END_TEST

START_TEST(stop_during_a_call) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .replies = FAKE_ALL(.takes = 10 * USEC_PER_SEC) });
        virtual_at(&v, virtual_seconds(3), VIRTUAL_STOP);
        ck_assert_int_eq(run(), -ECANCELED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(3));
        capture_expect(CONNECTED);
}
END_TEST

START_TEST(stop_during_a_search) {
        fake_from(&fake, 0, (struct fake_world) { .search_takes = 3 * USEC_PER_SEC });
        virtual_at(&v, virtual_seconds(1), VIRTUAL_STOP);
        ck_assert_int_eq(run(), -ECANCELED);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(1));
        capture_expect("");
}
END_TEST

/* All attempts are spent, and the last word is not said yet: a stop is still a stop. */
START_TEST(stop_before_the_last_word) {
        fake_from(&fake, 0, FAKE_NOBODY);
        configure(1, 1.0, 1.0);
        virtual_at(&v, 0, VIRTUAL_STOP);
        ck_assert_int_eq(run(), -ECANCELED);
        capture_expect(FAILED("1", "1", "0.0"));
}
END_TEST

/* The delay passes while the machine sleeps: the next attempt is due as it wakes. */
START_TEST(suspend_during_a_wait) {
        connect_and_go_on(FAKE_NOBODY);
        configure(4, 10.0, 60.0);
        virtual_suspend_at(&v, virtual_seconds(22), virtual_seconds(8 * 3600));
        fake_from(&fake, virtual_seconds(3600), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), 0);
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 20, 8 * 3600 + 22 });
        capture_expect_end(RESTORED("50001", "2", "28812.0"));
}
END_TEST

/* ---- answers ---- */

#define ANSWERING(status_, error_) \
        ((struct fake_world) { .port = 50001, .replies = FAKE_ALL(FAKE_ANSWER, .status = (status_), .error = (error_)) })

START_TEST(an_answer_is_no_failure) {
        struct outcome outcome;

        connect_and_go_on(ANSWERING(500, "Internal Server Error"));
        ck_assert_int_eq(run_for(CALL_LIST_WORKLOADS, &outcome), OPERATION_ANSWER);
        ck_assert_int_eq(outcome.status, 500);
        capture_expect("");
        ck_assert_uint_eq(operations.retry.attempt, 0);
        ck_assert_uint_eq(snapshot.counters.failures, 0);
        ck_assert_uint_eq(snapshot.counters.requests_answer, 1);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
}
END_TEST

/* An answer amid an outage neither ends it nor counts. */
START_TEST(an_answer_does_not_end_an_outage) {
        connect_and_go_on(FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(12), ANSWERING(500, "Internal Server Error"));
        fake_from(&fake, virtual_seconds(20), FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(25), (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(), OPERATION_ANSWER);
        capture_expect(FAILED("1", "100", "1.0") REDISCOVER("50001")
                       FAILED("2", "100", "2.0") REDISCOVER("50001"));
        ck_assert_uint_eq(snapshot.connection.attempt, 2);
        ck_assert_uint_eq(snapshot.counters.reconnects, 0);

        virtual_advance(&v, virtual_seconds(8));
        ck_assert_int_eq(run(), 0);
        capture_expect(FAILED("3", "100", "4.0") REDISCOVER("50001")
                       RESTORED("50001", "3", "15.0"));
        fake_expect_calls(&fake, CALL_KINDS, 5, (double[]) { 10, 11, 13, 21, 25 });
}
END_TEST

/* ---- what the outside is told meanwhile ---- */

struct told {
        enum connection_state state;
        unsigned attempt;
        double backoff, next_attempt;
};

static struct told told[16];
static unsigned n_told;

static void note_told(void *user _unused_) {
        const struct connection *connection = &snapshot.connection;

        ck_assert_uint_lt(n_told, ELEMENTSOF(told));
        told[n_told++] = (struct told) {
                connection->state, connection->attempt, (double) connection->backoff / 1e6,
                connection->next_attempt_at > 0
                        ? (double) (connection->next_attempt_at - VIRTUAL_REALTIME_START) / 1e6 : 0,
        };
}

START_TEST(snapshot_follows_the_outage) {
        static const struct told expected[] = {
                { CONNECTION_RECONNECTING, 1, 1, 0 },   /* failed, and the search goes on */
                { CONNECTION_RECONNECTING, 1, 1, 13 },  /* the search took its time, and the wait begins */
                { CONNECTION_RECONNECTING, 1, 0, 0 },   /* the next attempt is under way */
        };

        connect_and_go_on((struct fake_world) { .search_takes = 2 * USEC_PER_SEC });
        fake_from(&fake, virtual_seconds(12), (struct fake_world) { .port = 50001 });
        operations.changed = note_told;
        n_told = 0;
        ck_assert_int_eq(run(), 0);
        ck_assert_uint_eq(n_told, ELEMENTSOF(expected));
        for (size_t i = 0; i < n_told; i++) {
                ck_assert_int_eq(told[i].state, expected[i].state);
                ck_assert_uint_eq(told[i].attempt, expected[i].attempt);
                ck_assert_double_eq_tol(told[i].backoff, expected[i].backoff, 1e-6);
                ck_assert_double_eq_tol(told[i].next_attempt, expected[i].next_attempt, 1e-6);
        }
        ck_assert_uint_eq(snapshot.connection.attempt, 0);
        ck_assert_str_eq(snapshot.connection.last_error, "Connection refused");
        ck_assert_uint_eq(snapshot.connection.last_error_at, VIRTUAL_REALTIME_START + virtual_seconds(10));
        ck_assert_uint_eq(snapshot.last_success_at, VIRTUAL_REALTIME_START + virtual_seconds(13));
}
END_TEST

/* An immediate retry that hangs: the reports name the endpoint that is asked, and no time that has passed. */
START_TEST(snapshot_follows_the_move) {
        connect_and_go_on((struct fake_world) { .port = 50002 });
        operations.changed = note_told;
        n_told = 0;
        ck_assert_int_eq(run(), 0);
        ck_assert_uint_eq(n_told, 2);           /* failed; found, and tried at once */
        ck_assert_uint_eq(told[1].attempt, 1);
        ck_assert_double_eq_tol(told[1].next_attempt, 0, 1e-6);
        ck_assert_str_eq(snapshot.connection.endpoint, "http://127.0.0.1:50002");
}
END_TEST

/* Found by the last search, with no retry left to try it: the next process has to know. */
START_TEST(snapshot_follows_the_last_move) {
        configure(3, 1.0, 60.0);
        connect_and_go_on(RESETTING(.port = 50001));
        fake_from(&fake, virtual_seconds(11), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 10, 10, 11 });
        ck_assert_str_eq(snapshot.connection.endpoint, "http://127.0.0.1:50002");
        ck_assert_int_eq(snapshot.connection.port, 50002);
        ck_assert_uint_eq(snapshot.counters.port_changes, 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("operation");
        TCase *tests;

        tests = suite_case(suite, "messages", setup, teardown);
        tcase_add_test(tests, connects);
        tcase_add_test(tests, found_on_another_port);
        tcase_add_test(tests, found_on_the_same_port);
        tcase_add_test(tests, found_nowhere);
        tcase_add_test(tests, the_next_outage_starts_anew);
        tcase_add_test(tests, start_without_toolhive);
        tcase_add_test(tests, exhausted_at_start);
        tcase_add_test(tests, exhausted_in_operation);
        tcase_add_test(tests, rescued_after_the_last_attempt);
        tcase_add_test(tests, lost_after_the_last_attempt);
        tcase_add_test(tests, found_after_the_last_attempt_without_a_retry);
        tcase_add_test(tests, sockets_are_told_as_endpoints);
        tcase_add_test(tests, several_found_are_told_once);
        tcase_add_test(tests, no_search_where_nothing_can_move);
        tcase_add_test(tests, a_cluster);
        tcase_add_test(tests, a_cluster_that_denies);
        tcase_add_test(tests, a_cluster_that_stays_away);
        tcase_add_test(tests, waits_for_changes);
        tcase_add_test(tests, hostile_words_stay_in_their_quotes);

        tests = suite_case(suite, "arithmetic", setup, teardown);
        tcase_add_test(tests, ninety_four_minutes);
        tcase_add_test(tests, five_hundred_attempts);
        tcase_add_test(tests, jitter_is_told_as_it_is_waited);

        tests = suite_case(suite, "ration", setup, teardown);
        tcase_add_test(tests, ration_worked_example);
        tcase_add_test(tests, moved_without_a_retry_left);
        tcase_add_test(tests, moved_with_a_retry_earned);
        tcase_add_test(tests, never_two_immediate_retries_in_a_row);

        tests = suite_case(suite, "waits", setup, teardown);
        tcase_add_test(tests, woken_in_vain);
        tcase_add_test(tests, woken_and_found_elsewhere);
        tcase_add_test(tests, woken_and_found_at_start);
        tcase_add_test(tests, woken_and_failing_again);
        tcase_add_test(tests, not_woken_by_a_neighbour_of_the_file);
        tcase_add_test(tests, not_woken_by_old_news);
        tcase_add_test(tests, one_wake_a_second);
        tcase_add_test(tests, reload_cuts_the_wait);
        tcase_add_test(tests, reload_during_a_call);
        tcase_add_test(tests, stop_during_a_wait);
        tcase_add_test(tests, stop_during_a_call);
        tcase_add_test(tests, stop_during_a_search);
        tcase_add_test(tests, stop_before_the_last_word);
        tcase_add_test(tests, suspend_during_a_wait);

        tests = suite_case(suite, "answers", setup, teardown);
        tcase_add_test(tests, an_answer_is_no_failure);
        tcase_add_test(tests, an_answer_does_not_end_an_outage);

        tests = suite_case(suite, "snapshot", setup, teardown);
        tcase_add_test(tests, snapshot_follows_the_outage);
        tcase_add_test(tests, snapshot_follows_the_move);
        tcase_add_test(tests, snapshot_follows_the_last_move);

        return suite_run(suite);
}
