/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Polls of a cluster: what comes by itself between two lists, what is wrong beside
 * a list, and rights that are not there yet.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "capture.h"
#include "fake_source.h"
#include "service/poll.h"
#include "suite.h"

#define S USEC_PER_SEC
#define CONNECTED "INFO     Connected to Kubernetes API endpoint=http://127.0.0.1:50001 version=v1.34.1\n"
#define ENTRY(name, status) "{\"name\":\"" name "\",\"status\":\"" status "\",\"url\":\"http://" name "\"}"
#define LIST(...) "{\"workloads\":[" __VA_ARGS__ "]}"

static struct virtual_waiter v;
static struct fake_source fake;
static struct snapshot snapshot;
static struct operations operations;
static struct settings settings;
static struct poll workloads;
static bool news;

static void setup(void) {
        virtual_init(&v);
        fake_init(&fake, &v);
        fake_be_cluster(&fake);
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .workloads = LIST(ENTRY("a", "running")) });
        snapshot = (struct snapshot) {};
        settings = (struct settings) { .max_retries = 3, .initial_backoff = S, .max_backoff = 60 * S };
        operations_init(&operations, &settings, &fake.source, &snapshot);
        workloads = (struct poll) { .kind = CALL_LIST_WORKLOADS, .interval = 60 * S,
                                    .report = &snapshot.workloads_poll };
        capture_begin();
}

static void teardown(void) {
        capture_end();
        snapshot_done(&snapshot);
}

static void go_to(double seconds) {
        virtual_advance(&v, virtual_seconds(seconds) - virtual_elapsed(&v));
}

static void poll_at(double seconds) {
        go_to(seconds);
        ck_assert_int_eq(poll_run(&workloads, &operations, &settings, &news), 0);
}

/* A change is told then, and taken. */
static void change_at(double seconds) {
        go_to(seconds);
        fake_change_at(&fake, virtual_seconds(seconds), CHANGES_TAKEN);
        ck_assert_int_eq(poll_take_changes(&workloads, &operations, &settings, &news), 0);
}

static void expect_due(double seconds) {
        ck_assert_uint_eq(workloads.due, VIRTUAL_START + virtual_seconds(seconds));
        ck_assert_uint_eq(snapshot.workloads_poll.next_poll_at, VIRTUAL_REALTIME_START + virtual_seconds(seconds));
}

/* ---- changes ---- */

START_TEST(changes_are_taken) {
        fake_from(&fake, 10 * S, (struct fake_world) {
                .port = 50001, .workloads = LIST(ENTRY("a", "failed") "," ENTRY("b", "running")) });
        poll_at(0);
        capture_forget();

        change_at(10);
        ck_assert(news);
        capture_expect("INFO     Workload changed name=a status=failed previous_status=running url=http://a\n"
                       "INFO     Workload added name=b status=running url=http://b\n"
                       "INFO     Workloads polled total=2 running=1 skipped=0 added=1 removed=0 changed=1\n");
        ck_assert_uint_eq(snapshot.workloads->n_items, 2);
        ck_assert_uint_eq(snapshot.workloads_poll.polled_at, VIRTUAL_REALTIME_START + 10 * S);
        /* Nobody was asked, and the next list is due when it was. */
        ck_assert_uint_eq(fake_calls(&fake, CALL_KINDS, NULL, 0), 1);
        expect_due(60);

        /* What is no difference is no news, though it was told. */
        change_at(11);
        ck_assert(!news);
        capture_expect("");
        expect_due(60);
}
END_TEST

START_TEST(changes_are_filtered) {
        char *names[] = { (char *) "b", NULL };

        settings.skipped_workloads = names;
        fake_from(&fake, 10 * S, (struct fake_world) {
                .port = 50001, .workloads = LIST(ENTRY("a", "running") "," ENTRY("b", "running")) });
        poll_at(0);
        change_at(10);
        ck_assert(!news);
        ck_assert_uint_eq(snapshot.workloads->n_items, 1);
        ck_assert_uint_eq(snapshot.workloads->skipped, 1);
}
END_TEST

/* Details would have no URL that a list has not. */
START_TEST(urls_are_not_asked_for) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .workloads = LIST("{\"name\":\"a\",\"status\":\"running\"}") });
        poll_at(0);
        ck_assert_ptr_null(snapshot.workloads->items[0]->url);
        ck_assert_uint_eq(fake_calls(&fake, CALL_KINDS, NULL, 0), 1);
}
END_TEST

/* What is too old to go on from is listed anew at once; till then all stays as it is. */
START_TEST(expired) {
        poll_at(0);
        capture_forget();
        go_to(10);
        fake_change_at(&fake, 10 * S, CHANGES_EXPIRED);
        ck_assert_int_eq(poll_take_changes(&workloads, &operations, &settings, &news), 0);
        ck_assert(!news);
        ck_assert_uint_eq(workloads.due, 0);
        ck_assert_uint_eq(snapshot.workloads->n_items, 1);
        ck_assert_uint_eq(snapshot.workloads_poll.polled_at, VIRTUAL_REALTIME_START);
        capture_expect("");
}
END_TEST

START_TEST(failures_are_passed_on) {
        poll_at(0);
        fake_change_at(&fake, 0, -ENOMEM);
        ck_assert_int_eq(poll_take_changes(&workloads, &operations, &settings, &news), -ENOMEM);
        ck_assert_uint_eq(snapshot.workloads->n_items, 1);
        expect_due(60);
}
END_TEST

/* A list that was asked for once is not asked for again because of a change. */
START_TEST(polled_once) {
        workloads.interval = 0;
        poll_at(0);
        ck_assert_uint_eq(workloads.due, USEC_INFINITY);
        change_at(10);
        ck_assert_uint_eq(workloads.due, USEC_INFINITY);
        ck_assert_uint_eq(snapshot.workloads_poll.next_poll_at, 0);
}
END_TEST

/* ---- what is not installed ---- */

#define MISSING(resources) \
        "INFO     Resources of ToolHive that are not installed in the cluster are passed over resources=" resources "\n"

START_TEST(missing_is_told_when_it_changes) {
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .missing = "virtualmcpservers, mcpremoteproxies" });
        fake_from(&fake, 100 * S, (struct fake_world) { .port = 50001, .missing = "mcpremoteproxies" });
        fake_from(&fake, 200 * S, (struct fake_world) { .port = 50001 });
        poll_at(0);
        capture_expect(CONNECTED
                       MISSING("\"virtualmcpservers, mcpremoteproxies\"")
                       "INFO     Workloads polled total=0 running=0 skipped=0 added=0 removed=0 changed=0\n");
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
        change_at(30);
        poll_at(60);
        capture_expect("");
        poll_at(100);
        capture_expect(MISSING("mcpremoteproxies"));
        change_at(200);
        capture_expect("INFO     All resources of ToolHive are installed in the cluster\n");
        poll_at(220);
        capture_expect("");
}
END_TEST

/* A poll that has no list says nothing about it. */
START_TEST(missing_stands_in_between) {
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .missing = "mcpremoteproxies" });
        fake_from(&fake, 60 * S, (struct fake_world) {
                .port = 50001, .replies = FAKE_ALL(FAKE_ANSWER, .status = 500, .error = "no") });
        fake_from(&fake, 120 * S, (struct fake_world) { .port = 50001, .missing = "mcpremoteproxies" });
        poll_at(0);
        poll_at(60);
        capture_forget();
        poll_at(120);
        capture_expect("INFO     Kubernetes API answers again operation=\"list workloads\"\n");
}
END_TEST

/* ---- what is wrong beside a list ---- */

static const struct outcome denied = {
        .verdict = VERDICT_ANSWER, .status = 403, .error = "x is forbidden",
        .denied = { "list", "virtualmcpservers", "all namespaces", "kubectl apply -f cluster-role.yaml" },
};

#define DENIED(seconds) \
        "WARNING  Kubernetes API denies the account what it needs operation=\"list workloads\" status=403 verb=list " \
        "resources=virtualmcpservers scope=\"all namespaces\" remedy=\"kubectl apply -f cluster-role.yaml\" " \
        "error=\"x is forbidden\" next_try_seconds=" seconds "\n"

/* The list is taken all the same. */
START_TEST(a_part_is_denied) {
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .workloads = LIST(ENTRY("a", "running")), .problem = denied });
        fake_from(&fake, 10 * S, (struct fake_world) { .port = 50001, .workloads = LIST(ENTRY("a", "running")) });
        poll_at(0);
        capture_expect(CONNECTED
                       "INFO     Workload added name=a status=running url=http://a\n"
                       "INFO     Workloads polled total=1 running=1 skipped=0 added=1 removed=0 changed=0\n"
                       DENIED("1.0"));
        ck_assert(news);
        ck_assert_uint_eq(snapshot.workloads->n_items, 1);
        ck_assert_str_eq(snapshot.workloads_poll.problem,
                         "Kubernetes API denies the account to list virtualmcpservers in all namespaces");
        expect_due(1);
        poll_at(1);
        capture_expect("");
        poll_at(10);
        capture_expect("INFO     Kubernetes API answers again operation=\"list workloads\"\n");
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
        expect_due(70);
}
END_TEST

/* What is wrong with watches is told as that, and ends with a change as well. */
START_TEST(a_watch_is_denied) {
        struct outcome problem = denied;

        problem.denied.verb = "watch";
        problem.of_watch = true;
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .problem = problem });
        fake_from(&fake, 10 * S, (struct fake_world) { .port = 50001 });
        poll_at(0);
        ck_assert_uint_eq(capture_count("operation=\"watch workloads\" status=403 verb=watch"), 1);
        ck_assert_str_eq(snapshot.workloads_poll.problem,
                         "Kubernetes API denies the account to watch virtualmcpservers in all namespaces");
        capture_forget();
        change_at(10);
        capture_expect("INFO     Kubernetes API answers again operation=\"watch workloads\"\n");
        ck_assert_str_eq(snapshot.workloads_poll.problem, "");
        expect_due(60);
}
END_TEST

START_TEST(not_known) {
        struct outcome problem = denied;

        problem.status = 401;
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .problem = problem });
        poll_at(0);
        ck_assert_uint_eq(capture_count("WARNING  Kubernetes API does not know the account operation"), 1);
        ck_assert_str_eq(snapshot.workloads_poll.problem,
                         "Kubernetes API does not know the account that would list virtualmcpservers in "
                         "all namespaces");
}
END_TEST

/* ---- rights that are not there yet ---- */

#define DENYING                                                                                 \
        ((struct fake_world) {                                                                  \
                .port = 50001,                                                                  \
                .replies = FAKE_ALL(FAKE_ANSWER, .status = 403, .error = "no", .denied = "mcpservers") })

/* At first soon, then ever more seldom, and never later than any other answer would be asked again. */
START_TEST(denied_ever_more_seldom) {
        static const double seconds[] = { 0, 1, 3, 7, 15, 31, 63, 123, 183, 243 };

        fake_from(&fake, 0, DENYING);
        fake_from(&fake, 250 * S, (struct fake_world) { .port = 50001 });
        fake_from(&fake, 400 * S, DENYING);
        for (size_t i = 0; i < ELEMENTSOF(seconds); i++) {
                poll_at(seconds[i]);
                expect_due(i + 1 < ELEMENTSOF(seconds) ? seconds[i + 1] : 303);
        }
        ck_assert_uint_eq(capture_count("WARNING"), 1);
        /* One list that is had, and it begins anew. */
        poll_at(303);
        poll_at(400);
        expect_due(401);
}
END_TEST

START_TEST(denied_with_other_settings) {
        settings.initial_backoff = 10 * S;
        workloads.interval = 5 * S;
        fake_from(&fake, 0, DENYING);
        poll_at(0);
        expect_due(5);

        /* For days on end: the delay stays what it is. */
        workloads.interval = 300 * S;
        for (unsigned i = 0; i < 100; i++) {
                poll_at(5 + i);
                expect_due(5 + i + (i == 0 ? 20 : i == 1 ? 40 : 60));
        }
}
END_TEST

/* Changes are no tries: they neither count nor put off the next one. */
START_TEST(changes_while_denied) {
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .problem = denied });
        poll_at(0);
        poll_at(1);
        poll_at(3);
        expect_due(7);
        for (unsigned i = 0; i < 8; i++) {
                change_at(3.5 + 0.25 * i);
                expect_due(7);
                ck_assert_str_ne(snapshot.workloads_poll.problem, "");
        }
        poll_at(7);
        expect_due(15);
        ck_assert_uint_eq(capture_count("WARNING"), 1);
}
END_TEST

/* The list that is due anyway is the next try, and is told as that. */
START_TEST(denied_before_a_list) {
        fake_from(&fake, 10 * S, (struct fake_world) { .port = 50001, .workloads = LIST(ENTRY("a", "running")),
                                                       .problem = denied });
        poll_at(0);
        capture_forget();
        change_at(59.5);
        capture_expect(DENIED("0.5"));
        expect_due(60);
}
END_TEST

/* One that comes with a change asks soon again, sooner than the list is due. */
START_TEST(denied_by_a_change) {
        fake_from(&fake, 10 * S, (struct fake_world) { .port = 50001, .workloads = LIST(ENTRY("a", "running")),
                                                       .problem = denied });
        poll_at(0);
        capture_forget();
        change_at(10);
        capture_expect(DENIED("1.0"));
        expect_due(11);
        change_at(10.5);
        expect_due(11);
        poll_at(11);
        expect_due(12);
        poll_at(12);
        expect_due(14);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                changes_are_taken, changes_are_filtered, urls_are_not_asked_for, expired,
                failures_are_passed_on, polled_once, missing_is_told_when_it_changes,
                missing_stands_in_between, a_part_is_denied, a_watch_is_denied, not_known,
                denied_ever_more_seldom, denied_with_other_settings, changes_while_denied,
                denied_before_a_list, denied_by_a_change,
        };
        Suite *suite = suite_create("poll changes");
        TCase *tcase = suite_case(suite, "cluster", setup, teardown);

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
