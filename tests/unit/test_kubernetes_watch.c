/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watches against the stand-in: that they begin where the list ends, what of them
 * is told and when, what ends them and what follows. Pauses and time-outs are in
 * test_kubernetes_pause.c.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "kubernetes_fixture.h"
#include "suite.h"

/* Without those of virtualmcpservers. */
#define WATCH "WATCH *1/mcpservers"
#define WATCH_URL(resource, version) \
        V1BETA1 "/" resource "?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion=" version

static struct listed *servers(void) {
        return &kubernetes_of(source)->listed[RESOURCE_SERVER];
}

/* Lists, with what is there, and watches. */
static void list_and_watch(const char *items) {
        expect_list(items);
        watch_all();
}

/* ---- beginning ---- */

START_TEST(from_where_the_list_ends) {
        objects("{\"add\":[\"tools/a\"]}");
        expect_list("tools/a:running");
        ck_assert_uint_eq(source->requests(source), 4);

        /* Not before it is waited for, and not where nobody asks what changes. */
        ck_assert_int_eq(look(WAIT_RELOAD | WAIT_CONNECTION | WAIT_FILE), 0);
        ck_assert_uint_eq(source->requests(source), 4);
        watch_all();
        ck_assert_uint_eq(source->requests(source), 7);
        ck_assert_uint_eq(count_asked(WATCH_URL("mcpservers", "219")), 1);
        ck_assert_uint_eq(count_asked(WATCH_URL("virtualmcpservers", "219")), 1);
        ck_assert_uint_eq(count_asked(WATCH_URL("mcpremoteproxies", "219")), 1);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        ck_assert_uint_eq(source->requests(source), 7);
}
END_TEST

START_TEST(in_one_namespace) {
        settings.k8s_all_namespaces = false;
        settings.k8s_namespace = (char *) "tools";
        settings.k8s_token_file = cluster_token("word");
        cluster_open();
        cluster("{\"tokens\":{\"word\":\"somebody\"},\"anonymous\":false}");
        list_and_watch("");
        ck_assert_uint_eq(count_asked(WATCH_URL("namespaces/tools/mcpservers", "218")), 1);
        objects("{\"add\":[\"other/x\",\"tools/a\"]}");
        expect_told();
        expect_changes("tools/a:running");
}
END_TEST

/* What is not installed is not watched, and an older version where it is served. */
START_TEST(of_what_is_installed) {
        cluster("{\"serve\":{\"mcpservers\":[\"v1alpha1\"],\"virtualmcpservers\":[],\"mcpremoteproxies\":[]}}");
        list_and_watch("");
        ck_assert_uint_eq(source->requests(source), 1 + 6 + 1);
        ck_assert_ptr_null(watch_of(RESOURCE_VIRTUAL)->transfer);
        objects("{\"add\":[\"a\"]}");
        expect_told();
        expect_changes("default/a:running");
        ck_assert_str_eq(call.missing, "virtualmcpservers, mcpremoteproxies");
}
END_TEST

/* What is taken away is let be with the next list. */
START_TEST(of_what_was_installed) {
        list_and_watch("");
        cluster("{\"serve\":{\"virtualmcpservers\":[]}}");
        expect_list("");
        ck_assert_ptr_null(watch_of(RESOURCE_VIRTUAL)->transfer);
        ck_assert_uint_eq(watch_of(RESOURCE_VIRTUAL)->begin_at, USEC_INFINITY);
        ck_assert_ptr_nonnull(watch_of(RESOURCE_PROXY)->transfer);
}
END_TEST

/* A list that tells no moment is followed by no watch, and one that is no number by a new one each time. */
START_TEST(versions_of_lists) {
        objects("{\"raw\":{\"mcpservers\":\"{\\\"metadata\\\":{},\\\"items\\\":[]}\"}}");
        expect_list("");
        ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->begin_at, USEC_INFINITY);
        ck_assert_uint_eq(watch_of(RESOURCE_VIRTUAL)->begin_at, v.now);

        objects("{\"raw\":{\"mcpservers\":\"{\\\"metadata\\\":{\\\"resourceVersion\\\":\\\"a b&c\\\"},"
                "\\\"items\\\":[]}\"}}");
        behave("hang", WATCH, 0, "");
        for (unsigned i = 0; i < 2; i++) {
                expect_list("");
                ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->begin_at, v.now);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);
                ck_assert_ptr_nonnull(watch_of(RESOURCE_SERVER)->transfer);
        }
        DRIVE_UNTIL(watch_of(RESOURCE_VIRTUAL)->answered);
        while (count_asked(WATCH_URL("mcpservers", "a%20b%26c")) == 0)
                ck_assert_int_eq(look(0), 0);
}
END_TEST

/* ---- what is told ---- */

START_TEST(changes) {
        objects("{\"add\":[\"tools/a\",\"virtualmcpservers/tools/b\"]}");
        list_and_watch("tools/a:running tools/b:running");

        objects("{\"add\":[\"mcpremoteproxies/tools/c\"]}");
        expect_told();
        expect_changes("tools/a:running tools/b:running tools/c:running");
        objects("{\"update\":[{\"namespace\":\"tools\",\"name\":\"a\",\"status\":{\"phase\":\"Failed\"}}]}");
        expect_told();
        expect_changes("tools/a:failed tools/b:running tools/c:running");
        objects("{\"remove\":[\"virtualmcpservers/tools/b\"]}");
        expect_told();
        expect_changes("tools/a:failed tools/c:running");
        /* None of it asked anybody. */
        ck_assert_uint_eq(source->requests(source), 4 + 3);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        expect_problem(NULL);
}
END_TEST

/* A change that nobody would see is none. */
START_TEST(nothing_new) {
        objects("{\"add\":[\"tools/a\"]}");
        list_and_watch("tools/a:running");
        objects("{\"update\":[{\"namespace\":\"tools\",\"name\":\"a\",\"metadata\":{\"annotations\":{\"x\":\"y\"}}}]}");
        cluster("{\"bookmark\":true}");
        DRIVE_UNTIL(strcmp(servers()->resource_version, "220") == 0 &&
                    strcmp(watch_of(RESOURCE_PROXY)->told, "220") == 0);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

START_TEST(filtered) {
        char *names[] = { (char *) "inspector", NULL };
        struct workload_filter filter = { .skipped_workloads = names };

        call.filter = &filter;
        list_and_watch("");
        objects("{\"add\":[\"tools/inspector\",\"tools/a\"]}");
        expect_told();
        DRIVE_UNTIL(strcmp(servers()->resource_version, "220") == 0);
        expect_changes("tools/a:running");
        ck_assert_uint_eq(call.workloads->skipped, 1);
}
END_TEST

/* As a proxy between the two may cut them. */
START_TEST(in_slices) {
        behave("stream-slices", "WATCH *", 0, ",\"size\":7");
        list_and_watch("");
        objects("{\"add\":[\"tools/a\",\"tools/b\"],\"remove\":[\"tools/a\"]}");
        DRIVE_UNTIL(strcmp(servers()->resource_version, "221") == 0);
        expect_told();
        expect_changes("tools/b:running");
}
END_TEST

/* ---- ends ---- */

/* From the last that was told; a part of a line is told again. */
START_TEST(goes_on_after_an_end) {
        behave("stream-cut", WATCH, 1, ",\"after\":1,\"keep\":100,\"within\":\"event\"");
        list_and_watch("");
        objects("{\"add\":[\"tools/a\",\"tools/b\"]}");
        DRIVE_UNTIL(!watch_of(RESOURCE_SERVER)->transfer);
        ck_assert_str_eq(servers()->resource_version, "219");
        expect_told();
        expect_changes("tools/a:running");
        expect_told();
        expect_changes("tools/a:running tools/b:running");
        ck_assert_uint_eq(count_asked(WATCH_URL("mcpservers", "219")), 1);
        expect_problem(NULL);
}
END_TEST

/* Whatever a line is, the watch ends with it, begins again, and the store holds. */
START_TEST(lines_that_are_no_events) {
        static const char *const lines[] = {
                "no event", "{}", "{\\\"type\\\":\\\"ERROR\\\",\\\"object\\\":{\\\"code\\\":500}}",
        };

        objects("{\"add\":[\"tools/a\"]}");
        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                cluster_open();
                list_and_watch("tools/a:running");
                cluster("{\"event\":\"%s\",\"resource\":\"mcpservers\"}", lines[i]);
                DRIVE_UNTIL(!watch_of(RESOURCE_SERVER)->transfer);
                ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->begin_at, v.now);
                ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->failures, 1);
                ck_assert_ptr_nonnull(watch_of(RESOURCE_VIRTUAL)->transfer);
                watch_all();
        }
}
END_TEST

/* A line without an end is read so far, and no further. */
START_TEST(line_without_end) {
        behave("stream-endless", WATCH, 1, "");
        expect_list("");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(watch_of(RESOURCE_SERVER)->failures == 1);
        ck_assert_ptr_null(watch_of(RESOURCE_SERVER)->transfer);
        ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->line.size, 0);
}
END_TEST

/* ---- lists beside watches ---- */

START_TEST(list_leaves_it_be) {
        struct http_transfer *transfer;

        list_and_watch("");
        transfer = watch_of(RESOURCE_SERVER)->transfer;
        objects("{\"add\":[\"tools/a\"]}");
        expect_list("tools/a:running");
        ck_assert_ptr_eq(watch_of(RESOURCE_SERVER)->transfer, transfer);
        /* The event that the list has told already is nothing new. */
        DRIVE_UNTIL(strcmp(watch_of(RESOURCE_SERVER)->told, "219") == 0);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

/* A list that is older than what the watch has told has lost it: told once more from there. */
START_TEST(list_older_than_its_watch) {
        list_and_watch("");
        objects("{\"add\":[\"tools/a\"]}");
        DRIVE_UNTIL(strcmp(watch_of(RESOURCE_SERVER)->told, "219") == 0);
        objects("{\"raw\":{\"mcpservers\":\"{\\\"metadata\\\":{\\\"resourceVersion\\\":\\\"218\\\"},"
                "\\\"items\\\":[]}\"}}");
        expect_list("");
        ck_assert_ptr_null(watch_of(RESOURCE_SERVER)->transfer);
        ck_assert_ptr_nonnull(watch_of(RESOURCE_VIRTUAL)->transfer);
        expect_told();
        expect_changes("tools/a:running");
        ck_assert_uint_eq(count_asked(WATCH_URL("mcpservers", "218")), 2);
}
END_TEST

/* What was still to be told of before the list, the list has told. */
START_TEST(list_tells_all) {
        list_and_watch("");
        objects("{\"add\":[\"tools/a\"]}");
        DRIVE_UNTIL(watch_of(RESOURCE_SERVER)->changed);
        expect_list("tools/a:running");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

/* ---- expiry ---- */

static void expect_expired(void) {
        call_done(&call);
        call = (struct call) { .kind = CALL_LIST_WORKLOADS };
        ck_assert_int_eq(source->ops->changes(source, &call), CHANGES_EXPIRED);
        ck_assert_ptr_null(call.workloads);
        ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->begin_at, USEC_INFINITY);
}

#define TOO_OLD "{\\\"type\\\":\\\"ERROR\\\",\\\"object\\\":{\\\"kind\\\":\\\"Status\\\",\\\"code\\\":410}}"

START_TEST(expired) {
        objects("{\"add\":[\"tools/a\"]}");
        list_and_watch("tools/a:running");
        cluster("{\"event\":\"" TOO_OLD "\",\"resource\":\"mcpservers\"}");
        expect_told();
        expect_expired();
        /* Once told it is for the list to come, after which it goes on. */
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        ck_assert_ptr_null(watch_of(RESOURCE_SERVER)->transfer);
        list_and_watch("tools/a:running");
        expect_problem(NULL);
        objects("{\"remove\":[\"tools/a\"]}");
        expect_told();
        expect_changes("");
}
END_TEST

/* As the API server says it of a version that it does not know any more, and by the status. */
START_TEST(expired_from_the_beginning) {
        static const char *const more[] = { ",\"code\":410", ",\"code\":404" };

        expect_list("");
        objects("{\"add\":[\"tools/a\"],\"remove\":[\"tools/a\"]}");
        cluster("{\"forget\":true}");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(watch_of(RESOURCE_SERVER)->expired);
        expect_told();
        expect_expired();
        for (size_t i = 0; i < ELEMENTSOF(more); i++) {
                cluster_open();
                expect_list("");
                behave("status", WATCH, 1, more[i]);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);
                expect_told();
                expect_expired();
        }
}
END_TEST

/* ---- refusals ---- */

START_TEST(denied) {
        objects("{\"add\":[\"tools/a\"]}");
        cluster("{\"rules\":[{\"verb\":\"list\"}]}");
        expect_list("tools/a:running");
        expect_problem(NULL);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        /* Told when all have been answered, as one. */
        DRIVE_UNTIL(look(WAIT_CHANGE) == WAIT_CHANGE);
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.verb, "watch");
        ck_assert_str_eq(outcome.denied.resources, "mcpservers, virtualmcpservers, mcpremoteproxies");
        expect_changes("tools/a:running");
        ck_assert_uint_eq(watch_of(RESOURCE_SERVER)->begin_at, USEC_INFINITY);

        /* With each list it is tried again, and is no news while it stays so. */
        virtual_advance(&v, USEC_PER_SEC);
        expect_list("tools/a:running");
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(!watch_of(0)->transfer && !watch_of(1)->transfer && !watch_of(2)->transfer);
        virtual_advance(&v, USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);

        cluster("{\"rules\":null}");
        expect_list("tools/a:running");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(look(WAIT_CHANGE) == WAIT_CHANGE);
        expect_problem(NULL);
        ck_assert(are_all_answered());
}
END_TEST

/* Of one only: the others are watched. */
START_TEST(denied_in_part) {
        cluster("{\"rules\":[{\"verb\":\"list\"},{\"resource\":[\"mcpservers\",\"mcpremoteproxies\"]}]}");
        expect_list("");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(look(WAIT_CHANGE) == WAIT_CHANGE);
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_str_eq(outcome.denied.resources, "virtualmcpservers");
        expect_changes("");
        objects("{\"add\":[\"virtualmcpservers/tools/b\",\"tools/a\"]}");
        expect_told();
        expect_changes("tools/a:running");
}
END_TEST

/* A token that was replaced in between is no reason; one that is not known is. */
START_TEST(token_not_known) {
        settings.k8s_token_file = cluster_token("first");
        cluster_open();
        cluster("{\"tokens\":{\"first\":\"somebody\"},\"anonymous\":false}");
        expect_list("");
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        cluster_token("second");
        cluster("{\"tokens\":{\"second\":\"somebody\"}}");
        cluster("{\"end_watches\":true}");
        DRIVE_UNTIL(!watch_of(0)->transfer && !watch_of(1)->transfer && !watch_of(2)->transfer);
        watch_all();
        expect_problem(NULL);

        cluster("{\"tokens\":{\"third\":\"somebody\"},\"end_watches\":true}");
        DRIVE_UNTIL(!watch_of(0)->transfer && !watch_of(1)->transfer && !watch_of(2)->transfer);
        virtual_advance(&v, 2 * USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(look(WAIT_CHANGE) == WAIT_CHANGE);
        expect_problem("Unauthorized");
        ck_assert_str_eq(outcome.denied.verb, "watch");
}
END_TEST

/* ---- losses ---- */

/* That it cannot begin is told as the end of a connection: whoever is told asks who is there. */
START_TEST(lost) {
        list_and_watch("");
        standin_tell(&standin, "stop", "{}");
        DRIVE_UNTIL(!watch_of(0)->transfer && !watch_of(1)->transfer && !watch_of(2)->transfer);
        ck_assert(!watch_of(RESOURCE_SERVER)->lost);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(watch_of(0)->lost && watch_of(1)->lost && watch_of(2)->lost);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        ck_assert_int_eq(look(WAIT_CONNECTION), WAIT_CONNECTION);
        ck_assert(!watch_of(RESOURCE_SERVER)->lost);

        /* What fails then stops them, until there is a list again. */
        expect(CALL_LIST_WORKLOADS, VERDICT_FAILED, 0, "Connection refused");
        for (enum resource i = 0; i < RESOURCES; i++)
                ck_assert(!watch_of(i)->transfer && watch_of(i)->begin_at == USEC_INFINITY);
        standin_tell(&standin, "start", "{}");
        objects("{\"add\":[\"tools/a\"]}");
        virtual_advance(&v, USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
        expect_list("tools/a:running");
        /* At once: it was the retry loop that has paused. */
        watch_all();
}
END_TEST

/* The connection that lists are asked on is watched as well. */
START_TEST(kept_connection_ends) {
        list_and_watch("");
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
        standin_tell(&standin, "stop", "{\"drain\":true}");
        ck_assert_int_eq(source->ops->wait(source, usec_add(v.now, USEC_PER_SEC), WAIT_CHANGE | WAIT_CONNECTION),
                         WAIT_CONNECTION);
        ck_assert(are_all_answered());
        ck_assert_ptr_nonnull(watch_of(RESOURCE_SERVER)->transfer);
}
END_TEST

/* ---- the wait ---- */

START_TEST(other_events) {
        list_and_watch("");
        virtual_at(&v, virtual_seconds(1), VIRTUAL_RELOAD);
        virtual_at(&v, virtual_seconds(2), VIRTUAL_STOP);
        virtual_advance(&v, USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_RELOAD), WAIT_RELOAD);
        ck_assert(waiter_take_reload(&v.waiter));
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_RELOAD), 0);
        virtual_advance(&v, USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE), -ECANCELED);
}
END_TEST

static unsigned progress;

static void count_progress(void *user _unused_) {
        progress++;
}

/* On the real clock: until the deadline, and no longer than until a change. */
START_TEST(real_clock) {
        struct waiter waiter;
        usec_t deadline;

        ck_assert_int_eq(waiter_init(&waiter), 0);
        source = source_free(source);
        ck_assert_int_eq(kubernetes_new(&settings, &waiter, "", &source), 0);
        expect_list("");
        /* What may not begin yet wakes nobody either. */
        waiter_set_hooks(&waiter, USEC_INFINITY, count_progress, NULL, NULL);
        deadline = waiter_now(&waiter) + 100 * USEC_PER_MSEC;
        ck_assert_int_eq(source->ops->wait(source, deadline, 0), 0);
        ck_assert_uint_ge(waiter_now(&waiter), deadline);
        ck_assert_uint_lt(progress, 20);

        deadline = waiter_now(&waiter) + 100 * USEC_PER_MSEC;
        ck_assert_int_eq(source->ops->wait(source, deadline, WAIT_CHANGE), 0);
        ck_assert_uint_ge(waiter_now(&waiter), deadline);
        objects("{\"add\":[\"tools/a\"]}");
        deadline = waiter_now(&waiter) + 20 * USEC_PER_SEC;
        ck_assert_int_eq(source->ops->wait(source, deadline, WAIT_CHANGE), WAIT_CHANGE);
        ck_assert_uint_lt(waiter_now(&waiter), deadline);
        expect_changes("tools/a:running");
        waiter_stop(&waiter);
        ck_assert_int_eq(source->ops->wait(source, USEC_INFINITY, WAIT_CHANGE), -ECANCELED);
        source = source_free(source);
        waiter_done(&waiter);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                from_where_the_list_ends, in_one_namespace, of_what_is_installed,
                of_what_was_installed, versions_of_lists, changes, nothing_new, filtered, in_slices,
                goes_on_after_an_end, lines_that_are_no_events, line_without_end, list_leaves_it_be,
                list_older_than_its_watch, list_tells_all, expired, expired_from_the_beginning,
                denied, denied_in_part, token_not_known, lost, kept_connection_ends, other_events,
                real_clock,
        };
        Suite *suite = suite_create("kubernetes watches");
        TCase *tcase = cluster_case(suite, "watches");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
