/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The polls: when the next one is due, what an answer changes and how that is
 * told, and what happens to answers that are not the expected ones.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "capture.h"
#include "fake_source.h"
#include "service/poll.h"
#include "suite.h"

#define CONNECTED "INFO     Connected to ToolHive endpoint=http://127.0.0.1:50001 version=v0.44.0\n"
#define ENTRY(name, status, url) "{\"name\":\"" name "\",\"status\":\"" status "\",\"url\":\"" url "\"}"
#define BARE(name, status) "{\"name\":\"" name "\",\"status\":\"" status "\"}"
#define LIST(...) "{\"workloads\":[" __VA_ARGS__ "]}"
#define REGISTRY(updated, servers) "{\"registry\":{\"last_updated\":\"" updated "\",\"servers\":{" servers "}}}"

/* ---- the times, pure ---- */

#define S USEC_PER_SEC

START_TEST(next_due) {
        static const struct {
                usec_t began, now, interval, due;
        } rows[] = {
                { 100 * S, 100 * S, 60 * S, 160 * S },
                { 100 * S, 105 * S, 60 * S, 160 * S },          /* from start to start */
                { 100 * S, 159 * S, 60 * S, 160 * S },
                { 100 * S, 161 * S, 60 * S, 220 * S },          /* one is left out, none is caught up */
                { 100 * S, 100 * S + 8 * 3600 * S, 60 * S, 160 * S + 8 * 3600 * S },
                { 100 * S, 100 * S + 1, 1, 100 * S + 10000 },   /* no interval keeps a core busy */
                { 100 * S, 105 * S, 0, USEC_INFINITY },         /* once */
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_uint_eq(poll_next_due(rows[i].began, rows[i].now, rows[i].interval), rows[i].due);
}
END_TEST

START_TEST(retry_delay) {
        static const struct {
                usec_t interval, retry_after, initial, delay;
        } rows[] = {
                { 60 * S, USEC_INFINITY, S, 60 * S },
                { 10 * S, USEC_INFINITY, S, 10 * S },           /* the interval or 60 s, whichever is less */
                { 86400 * S, USEC_INFINITY, S, 60 * S },
                { 0, USEC_INFINITY, S, 60 * S },
                { 86400 * S, 7 * S, S, 7 * S },
                { 86400 * S, 3600 * S, S, 3600 * S },
                { 60 * S, 3600 * S, S, 60 * S },                /* at most the interval */
                { 60 * S, 0, S, S },                            /* at least the initial backoff */
                { 60 * S, 1, 2 * S, 2 * S },
                { S, 1, 10 * S, S },                            /* where the two differ the interval stands */
                { 0, 3600 * S, S, 60 * S },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_uint_eq(poll_retry_delay(rows[i].interval, rows[i].retry_after, rows[i].initial),
                                  rows[i].delay);
}
END_TEST

/* ---- poll_run() ---- */

static struct virtual_waiter v;
static struct fake_source fake;
static struct snapshot snapshot;
static struct operations operations;
static struct settings settings;
static struct poll workloads, registry;

static void setup(void) {
        virtual_init(&v);
        fake_init(&fake, &v);
        snapshot = (struct snapshot) {};
        settings = (struct settings) { .max_retries = 3, .initial_backoff = S, .max_backoff = 60 * S };
        operations_init(&operations, &settings, &fake.source, &snapshot);
        workloads = (struct poll) {
                .kind = CALL_LIST_WORKLOADS, .interval = 60 * S, .report = &snapshot.workloads_poll
        };
        registry = (struct poll) {
                .kind = CALL_REGISTRY, .interval = 86400 * S, .report = &snapshot.registry_poll
        };
        capture_begin();
}

static void teardown(void) {
        capture_end();
        snapshot_done(&snapshot);
}

/* Polls, the clock being set to that many seconds since the start; returns poll_run()'s code. */
static int poll_at(struct poll *poll, double seconds, bool *ret_news) {
        bool news;
        int r;

        virtual_advance(&v, virtual_seconds(seconds) - virtual_elapsed(&v));
        r = poll_run(poll, &operations, &settings, &news);
        if (ret_news)
                *ret_news = news;
        return r;
}

static void expect_due(const struct poll *poll, double seconds) {
        ck_assert_uint_eq(poll->due, VIRTUAL_START + virtual_seconds(seconds));
        ck_assert_uint_eq(poll->report->next_poll_at, VIRTUAL_REALTIME_START + virtual_seconds(seconds));
}

START_TEST(workloads_are_compared) {
        bool news;

        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(ENTRY("b", "running", "http://127.0.0.1:1/b") ","
                                  ENTRY("a", "stopped", "http://127.0.0.1:1/a")),
        });
        fake_from(&fake, 60 * S, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(ENTRY("a", "stopped", "http://127.0.0.1:1/a") ","
                                  ENTRY("b", "running", "http://127.0.0.1:1/b")),
        });
        fake_from(&fake, 120 * S, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(ENTRY("a", "running", "http://127.0.0.1:2/a") ","
                                  ENTRY("c d", "error", "http://127.0.0.1:1/c")),
        });
        fake_from(&fake, 180 * S, (struct fake_world) { .port = 50001, .workloads = "{\"workloads\":null}" });

        ck_assert_int_eq(poll_at(&workloads, 0, &news), 0);
        ck_assert(news);
        capture_expect(CONNECTED
                       "INFO     Workload added name=a status=stopped url=http://127.0.0.1:1/a\n"
                       "INFO     Workload added name=b status=running url=http://127.0.0.1:1/b\n"
                       "INFO     Workloads polled total=2 running=1 skipped=0 added=2 removed=0 changed=0\n");
        expect_due(&workloads, 60);
        ck_assert_uint_eq(snapshot.workloads_poll.polled_at, VIRTUAL_REALTIME_START);

        /* The same in another order: nothing to tell. */
        ck_assert_int_eq(poll_at(&workloads, 60, &news), 0);
        ck_assert(!news);
        capture_expect("");

        ck_assert_int_eq(poll_at(&workloads, 120, &news), 0);
        ck_assert(news);
        capture_expect("INFO     Workload changed name=a status=running previous_status=stopped url=http://127.0.0.1:2/a\n"
                       "INFO     Workload removed name=b\n"
                       "INFO     Workload added name=\"c d\" status=error url=http://127.0.0.1:1/c\n"
                       "INFO     Workloads polled total=2 running=1 skipped=0 added=1 removed=1 changed=1\n");

        ck_assert_int_eq(poll_at(&workloads, 180, &news), 0);
        capture_expect("INFO     Workload removed name=a\n"
                       "INFO     Workload removed name=\"c d\"\n"
                       "INFO     Workloads polled total=0 running=0 skipped=0 added=0 removed=2 changed=0\n");
        ck_assert_ptr_nonnull(snapshot.workloads);
}
END_TEST

START_TEST(groups_and_names_left_out) {
        char *groups[] = { (char *) "one", NULL }, *skipped[] = { (char *) "inspector", NULL };

        settings.allowed_groups = groups;
        settings.skipped_workloads = skipped;
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .workloads = LIST("{\"name\":\"a\",\"status\":\"running\",\"url\":\"http://h/a\",\"group\":\"one\"},"
                                  "{\"name\":\"b\",\"status\":\"running\",\"url\":\"http://h/b\",\"group\":\"two\"},"
                                  "{\"name\":\"inspector\",\"status\":\"running\",\"url\":\"http://h/i\",\"group\":\"one\"}"),
        });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_expect(CONNECTED
                       "INFO     Workload added name=a status=running url=http://h/a\n"
                       "INFO     Workloads polled total=1 running=1 skipped=2 added=1 removed=0 changed=0\n");
}
END_TEST

/* Told by name when it appears, not while it lasts, and it costs the others nothing. */
START_TEST(bad_entries_are_told_once) {
        struct fake_world bad = {
                .port = 50001,
                .workloads = LIST("{\"name\":\"a\",\"status\":\"running\",\"port\":99999},"
                                  ENTRY("b", "running", "http://h/b")),
        };

        fake_from(&fake, 0, bad);
        fake_from(&fake, 120 * S, (struct fake_world) {
                .port = 50001, .workloads = LIST(ENTRY("b", "running", "http://h/b")) });
        fake_from(&fake, 180 * S, bad);

        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_expect(CONNECTED
                       "WARNING  Skipping a workload that makes no sense name=a problem=\"invalid port\"\n"
                       "INFO     Workload added name=b status=running url=http://h/b\n"
                       "INFO     Workloads polled total=1 running=1 skipped=0 added=1 removed=0 changed=0\n");
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        ck_assert_int_eq(poll_at(&workloads, 120, NULL), 0);
        capture_expect("");
        ck_assert_int_eq(poll_at(&workloads, 180, NULL), 0);
        capture_expect("WARNING  Skipping a workload that makes no sense name=a problem=\"invalid port\"\n");
}
END_TEST

START_TEST(many_bad_entries_are_counted) {
        char body[2048] = "{\"workloads\":[";

        for (unsigned i = 0; i < 25; i++)
                strcat(body, i > 0 ? ",7" : "7");
        strcat(body, "]}");
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .workloads = body });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_uint_eq(capture_count("WARNING  Skipping a workload"), 10);
        ck_assert_uint_eq(capture_count("WARNING  Skipping more workloads that make no sense count=15\n"), 1);
        capture_forget();
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        capture_expect("");
}
END_TEST

START_TEST(a_flood_of_differences_is_bounded) {
        _cleanup_text_ struct text body = TEXT_INIT;

        text_add(&body, "{\"workloads\":[");
        for (unsigned i = 0; i < 1500; i++)
                text_addf(&body, "%s{\"name\":\"w%u\",\"status\":\"stopped\"}", i > 0 ? "," : "", i);
        text_add(&body, "]}");
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .workloads = body.data });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_uint_eq(capture_count("Workload added"), 1000);
        capture_expect_end("INFO     Further differences not listed count=500\n"
                           "INFO     Workloads polled total=1500 running=0 skipped=0 added=1500 removed=0 changed=0\n");
}
END_TEST

/* Only a running workload that lacks its URL is asked for, no remote one, and a 404 is no problem. */
START_TEST(details_fill_in_the_url) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(BARE("a", "running") "," BARE("b", "stopped") ","
                                  ENTRY("c", "running", "http://h/c") ","
                                  "{\"name\":\"d\",\"status\":\"running\",\"remote\":true}"),
        });
        fake_from(&fake, 60 * S, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(BARE("a", "running")),
                .replies[CALL_WORKLOAD_DETAILS] = { .status = 404, .not_found = true },
        });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_expect(CONNECTED
                       "INFO     Workload added name=a status=running url=http://127.0.0.1:17000/a\n"
                       "INFO     Workload added name=b status=stopped url=null\n"
                       "INFO     Workload added name=c status=running url=http://h/c\n"
                       "INFO     Workload added name=d status=running url=null\n"
                       "INFO     Workloads polled total=4 running=3 skipped=0 added=4 removed=0 changed=0\n");
        ck_assert_uint_eq(fake_calls(&fake, CALL_WORKLOAD_DETAILS, NULL, 0), 1);
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
        ck_assert_uint_eq(capture_count("WARNING"), 0);
}
END_TEST

/* Details that are not to be had degrade the poll by their own name; the list is good, and all are asked. */
/* One that does not answer in time says enough: the list must not wait for each, and a known URL stays known. */
START_TEST(details_that_do_not_come) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(ENTRY("a", "running", "http://h/a") "," BARE("b", "running")),
                .replies[CALL_WORKLOAD_DETAILS] = { .not_found = true },
        });
        fake_from(&fake, 60 * S, (struct fake_world) {
                .port = 50001,
                .workloads = LIST(BARE("a", "running") "," BARE("b", "running") "," BARE("c", "running")),
                .replies[CALL_WORKLOAD_DETAILS] = { FAKE_ANSWER, .status = 0, .error = "Timed out after 10.0 s" },
        });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_WORKLOAD_DETAILS, NULL, 0), 1);
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_WORKLOAD_DETAILS, NULL, 0), 2);
        ck_assert_uint_eq(snapshot.workloads->n_items, 3);
        ck_assert_str_eq(snapshot.workloads->items[0]->url, "http://h/a");
        ck_assert_str_eq(snapshot.workloads_poll.problem,
                         "ToolHive does not answer get workload details (Timed out after 10.0 s)");
}
END_TEST

START_TEST(details_answer_something_else) {
        struct fake_world world = {
                .port = 50001,
                .workloads = LIST(BARE("a", "running") "," BARE("b", "running")),
                .replies[CALL_WORKLOAD_DETAILS] = { .manner = FAKE_ANSWER, .status = 500, .error = "no" },
        };

        fake_from(&fake, 0, world);
        fake_from(&fake, 60 * S, (struct fake_world) { .port = 50001, .workloads = world.workloads });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_WORKLOAD_DETAILS, NULL, 0), 2);
        capture_expect_end("INFO     Workloads polled total=2 running=2 skipped=0 added=2 removed=0 changed=0\n"
                           "WARNING  ToolHive gives an answer that is of no use operation=\"get workload details\" "
                           "status=500 error=no next_try_seconds=60.0\n");
        ck_assert_str_eq(snapshot.workloads_poll.problem, "ToolHive answers 500 to get workload details");
        ck_assert_uint_eq(snapshot.workloads->n_items, 2);

        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        capture_expect_end("INFO     Workloads polled total=2 running=2 skipped=0 added=0 removed=0 changed=2\n"
                           "INFO     ToolHive answers again operation=\"get workload details\"\n");
}
END_TEST

START_TEST(registry_is_compared) {
        bool news;

        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .registry = REGISTRY("2026-02-18T00:24:11Z", "\"a\":{},\"b\":{}") });
        fake_from(&fake, 100 * S, (struct fake_world) {
                .port = 50001, .registry = REGISTRY("2026-02-19T00:24:11Z", "\"b\":{},\"c\":{}") });
        ck_assert_int_eq(poll_at(&registry, 0, &news), 0);
        ck_assert(news);
        capture_expect(CONNECTED
                       "INFO     Registry polled servers=2 added=0 removed=0 last_updated=2026-02-18T00:24:11Z\n");
        expect_due(&registry, 86400);
        ck_assert_int_eq(poll_at(&registry, 50, &news), 0);
        ck_assert(!news);
        capture_expect("");
        ck_assert_int_eq(poll_at(&registry, 100, &news), 0);
        ck_assert(news);
        capture_expect("INFO     Registry server removed name=a\n"
                       "INFO     Registry server added name=c\n"
                       "INFO     Registry polled servers=2 added=1 removed=1 last_updated=2026-02-19T00:24:11Z\n");
}
END_TEST

/* ---- answers that are not the expected ones ---- */

START_TEST(one_warning_while_it_lasts) {
        struct fake_world away = {
                .port = 50001,
                .replies[CALL_LIST_WORKLOADS] = {
                        .manner = FAKE_ANSWER, .status = 500, .error = "Internal Server Error" },
        };

        fake_from(&fake, 100 * S, away);
        fake_from(&fake, 300 * S, (struct fake_world) { .port = 50001 });
        fake_from(&fake, 400 * S, away);
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_forget();

        ck_assert_int_eq(poll_at(&workloads, 100, NULL), 0);
        capture_expect("WARNING  ToolHive gives an answer that is of no use operation=\"list workloads\" status=500 "
                       "error=\"Internal Server Error\" next_try_seconds=60.0\n");
        expect_due(&workloads, 160);
        ck_assert_str_eq(snapshot.workloads_poll.problem, "ToolHive answers 500 to list workloads");
        /* What was known stays known, with the time when it was. */
        ck_assert_ptr_nonnull(snapshot.workloads);
        ck_assert_uint_eq(snapshot.workloads_poll.polled_at, VIRTUAL_REALTIME_START);

        ck_assert_int_eq(poll_at(&workloads, 160, NULL), 0);
        ck_assert_int_eq(poll_at(&workloads, 220, NULL), 0);
        capture_expect("");

        ck_assert_int_eq(poll_at(&workloads, 300, NULL), 0);
        capture_expect("INFO     ToolHive answers again operation=\"list workloads\"\n");
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
        expect_due(&workloads, 360);

        /* The next time is told again. */
        ck_assert_int_eq(poll_at(&workloads, 400, NULL), 0);
        ck_assert_uint_eq(capture_count("WARNING"), 1);
}
END_TEST

START_TEST(problems_in_words) {
        static const struct {
                struct fake_reply reply;
                const char *line, *problem;
        } rows[] = {
                { { FAKE_ANSWER, .status = 500, .error = "Internal Server Error", .runtime_away = true },
                  "WARNING  ToolHive's container runtime is away operation=\"list workloads\" status=500 "
                  "error=\"Internal Server Error\" next_try_seconds=60.0\n",
                  "ToolHive's container runtime is away" },
                { { FAKE_ANSWER, .status = 200, .error = "Unusable body: invalid UTF-8" },
                  "WARNING  ToolHive gives an answer that is of no use operation=\"list workloads\" status=200 "
                  "error=\"Unusable body: invalid UTF-8\" next_try_seconds=60.0\n",
                  "ToolHive's answer to list workloads is of no use (Unusable body: invalid UTF-8)" },
                { { FAKE_ANSWER, .status = 0, .error = "Timed out after 10.0 s" },
                  "WARNING  ToolHive gives an answer that is of no use operation=\"list workloads\" status=0 "
                  "error=\"Timed out after 10.0 s\" next_try_seconds=60.0\n",
                  "ToolHive does not answer list workloads (Timed out after 10.0 s)" },
                { { FAKE_ANSWER, .status = 503, .error = "busy", .retry_after = 7 * S },
                  "WARNING  ToolHive gives an answer that is of no use operation=\"list workloads\" status=503 "
                  "error=busy next_try_seconds=7.0\n",
                  "ToolHive answers 503 to list workloads" },
        };

        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_forget();
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                fake_from(&fake, 0, (struct fake_world) {
                        .port = 50001, .replies[CALL_LIST_WORKLOADS] = rows[i].reply });
                snapshot.workloads_poll.problem[0] = '\0';
                ck_assert_int_eq(poll_run(&workloads, &operations, &settings, &(bool) { false }), 0);
                capture_expect(rows[i].line);
                ck_assert_str_eq(snapshot.workloads_poll.problem, rows[i].problem);
                expect_due(&workloads, rows[i].reply.retry_after ? 7 : 60);
        }
}
END_TEST

/* One warning for as long as it lasts, also where the answers change; the report has the latest. */
START_TEST(changing_problems_are_one) {
        static const int statuses[] = { 500, 503, 500 };

        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        capture_forget();
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                char problem[ERROR_MAX];

                fake_from(&fake, 0, (struct fake_world) {
                        .port = 50001,
                        .replies[CALL_LIST_WORKLOADS] = { FAKE_ANSWER, .status = statuses[i], .error = "busy" } });
                ck_assert_int_eq(poll_run(&workloads, &operations, &settings, &(bool) { false }), 0);
                if (i == 0)
                        capture_expect("WARNING  ToolHive gives an answer that is of no use "
                                       "operation=\"list workloads\" status=500 error=busy next_try_seconds=60.0\n");
                else
                        capture_expect("");
                snprintf(problem, sizeof problem, "ToolHive answers %d to list workloads", statuses[i]);
                ck_assert_str_eq(snapshot.workloads_poll.problem, problem);
        }
}
END_TEST

/* "0 polls once" means until it has completed once. */
START_TEST(once_until_it_has_completed) {
        workloads.interval = 0;
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .replies[CALL_LIST_WORKLOADS] = { .manner = FAKE_ANSWER, .status = 500 } });
        fake_from(&fake, 60 * S, (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        expect_due(&workloads, 60);
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        ck_assert_uint_eq(workloads.due, USEC_INFINITY);
        ck_assert_uint_eq(snapshot.workloads_poll.next_poll_at, 0);
}
END_TEST

/* An outage does not let polls pile up: the next is due an interval after the start of the one that worked. */
START_TEST(due_after_an_outage) {
        fake_from(&fake, 60 * S, FAKE_NOBODY);
        fake_from(&fake, 100 * S, (struct fake_world) {
                .port = 50001, .replies[CALL_LIST_WORKLOADS] = { .takes = 5 * S } });
        settings.max_retries = 100;
        operations_init(&operations, &settings, &fake.source, &snapshot);
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), 0);
        /* Attempts at 60, 61, 63, 67, 75, 91, 123 s. */
        ck_assert_uint_eq(virtual_elapsed(&v), 128 * S);
        expect_due(&workloads, 183);
}
END_TEST

/* Longer than its interval: the next one keeps step and does not follow at once. */
START_TEST(due_after_a_slow_answer) {
        workloads.interval = 10 * S;
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .replies[CALL_LIST_WORKLOADS] = { .takes = 25 * S } });
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), 25 * S);
        expect_due(&workloads, 30);
}
END_TEST

/* Given up, stopped, or worse: it is passed on, and what was known stays. */
START_TEST(ends_are_passed_on) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .workloads = LIST(ENTRY("a", "running", "http://h/a")) });
        fake_from(&fake, 60 * S, FAKE_NOBODY);
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), 0);
        ck_assert_int_eq(poll_at(&workloads, 60, NULL), OPERATION_EXHAUSTED);

        operations_init(&operations, &settings, &fake.source, &snapshot);
        virtual_at(&v, virtual_elapsed(&v) + S / 2, VIRTUAL_STOP);
        ck_assert_int_eq(poll_at(&workloads, 100, NULL), -ECANCELED);
        ck_assert_uint_eq(snapshot.workloads->n_items, 1);
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
}
END_TEST

/* A wait that cannot be waited is an error like any other: it must not pass for an answer. */
START_TEST(a_broken_clock_is_passed_on) {
        settings.initial_backoff = settings.max_backoff = 400 * 86400 * S;
        operations_init(&operations, &settings, &fake.source, &snapshot);
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(poll_at(&workloads, 0, NULL), -EDEADLK);
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
        TCase *tests = tcase_create(name);

        tcase_add_checked_fixture(tests, setup, teardown);
        suite_add_tcase(suite, tests);
        return tests;
}

int main(void) {
        Suite *suite = suite_create("poll");
        TCase *tests;

        tests = tcase_create("times");
        tcase_add_test(tests, next_due);
        tcase_add_test(tests, retry_delay);
        suite_add_tcase(suite, tests);

        tests = add_case(suite, "differences");
        tcase_add_test(tests, workloads_are_compared);
        tcase_add_test(tests, groups_and_names_left_out);
        tcase_add_test(tests, bad_entries_are_told_once);
        tcase_add_test(tests, many_bad_entries_are_counted);
        tcase_add_test(tests, a_flood_of_differences_is_bounded);
        tcase_add_test(tests, details_fill_in_the_url);
        tcase_add_test(tests, details_that_do_not_come);
        tcase_add_test(tests, details_answer_something_else);
        tcase_add_test(tests, registry_is_compared);

        tests = add_case(suite, "answers");
        tcase_add_test(tests, one_warning_while_it_lasts);
        tcase_add_test(tests, problems_in_words);
        tcase_add_test(tests, changing_problems_are_one);
        tcase_add_test(tests, once_until_it_has_completed);

        tests = add_case(suite, "due");
        tcase_add_test(tests, due_after_an_outage);
        tcase_add_test(tests, due_after_a_slow_answer);
        tcase_add_test(tests, ends_are_passed_on);
        tcase_add_test(tests, a_broken_clock_is_passed_on);

        return suite_run(suite);
}
