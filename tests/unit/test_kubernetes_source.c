/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The Kubernetes source against the stand-in, where the program as a whole would
 * need minutes, or a shortage of memory, to come there.
 */

#include <check.h>
#include <string.h>

#include "source/kubernetes.h"
#include "standin_child.h"
#include "suite.h"
#include "virtual.h"

static struct standin standin;
static struct virtual_waiter v;
static struct settings settings;
static struct source *source;
static struct call call;
static struct outcome outcome;

static void setup(void) {
        standin_start(&standin, "--backend", "kubernetes");
        virtual_init(&v);
        settings = (struct settings) {
                .runtime_mode = RUNTIME_K8S,
                .timeout = 20 * USEC_PER_SEC,
                .k8s_api_server_url = standin.url,
                .k8s_all_namespaces = true,
        };
        ck_assert_int_eq(kubernetes_new(&settings, &v.waiter, "", &source), 0);
}

static void teardown(void) {
        call_done(&call);
        source = source_free(source);
        standin_stop(&standin);
}

static void expect(enum call_kind kind, enum verdict verdict) {
        call_done(&call);
        call = (struct call) { .kind = kind };
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
        ck_assert_msg(outcome.verdict == verdict, "%s: verdict %d, status %d, \"%s\"", call_kind_name(kind),
                      outcome.verdict, outcome.status, outcome.error);
}

/* Without any wait: what there is to tell by now. */
static int look(void) {
        return source->ops->wait(source, 0, WAIT_CHANGE);
}

/* By which the worker knows when freed memory is worth giving back. */
START_TEST(size_of_all_pages) {
        size_t empty;

        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        empty = call.answer_size;
        standin_tell(&standin, "objects", "{\"count\":1100}");
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        ck_assert_uint_eq(call.workloads->n_items, 1100);
        ck_assert_uint_gt(empty, 3 * 100);
        ck_assert_uint_gt(call.answer_size, 1100 * 500);
}
END_TEST

/* There is no watch then, which somebody should know. */
START_TEST(list_of_no_version) {
        standin_tell(&standin, "objects", "{\"raw\":{\"mcpservers\":\"{\\\"metadata\\\":{},\\\"items\\\":[]}\"}}");
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_str_eq(outcome.error, "Unusable body: no \"resourceVersion\" to watch from");
        ck_assert(outcome.of_watch);
        ck_assert_int_eq(look(), 0);

        standin_tell(&standin, "objects", "{\"count\":1}");
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        ck_assert(!source->ops->problem(source, &outcome));
}
END_TEST

/* ---- outages ---- */

/* With an interval of 0 the version alone is asked for, and an outage ends with it; the watches ended when it began. */
START_TEST(outage_without_a_list) {
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        ck_assert_int_eq(look(), 0);

        standin_tell(&standin, "behave",
                     "{\"name\":\"status\",\"code\":503,\"route\":\"GET /version\",\"count\":1}");
        expect(CALL_VERSION, VERDICT_FAILED);
        expect(CALL_VERSION, VERDICT_DONE);
        ck_assert_int_eq(look(), WAIT_CHANGE);
        ck_assert_int_eq(source->ops->changes(source, &call), CHANGES_EXPIRED);
        ck_assert_int_eq(look(), 0);
}
END_TEST

/* The list that failed is tried again anyway. */
START_TEST(outage_of_a_list) {
        standin_tell(&standin, "behave", "{\"name\":\"status\",\"code\":503,\"route\":\"LIST *\",\"count\":1}");
        expect(CALL_LIST_WORKLOADS, VERDICT_FAILED);
        ck_assert_int_eq(look(), 0);
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE);
        ck_assert_int_eq(look(), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("kubernetes source");
        TCase *tests = tcase_create("kubernetes source");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 100);
        tcase_add_test(tests, size_of_all_pages);
        tcase_add_test(tests, list_of_no_version);
        tcase_add_test(tests, outage_without_a_list);
        tcase_add_test(tests, outage_of_a_list);
        suite_add_tcase(suite, tests);

        return suite_run(suite);
}
