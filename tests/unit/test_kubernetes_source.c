/* SPDX-License-Identifier: Apache-2.0 */

/* What is between lists and watches: what the one leaves to the other, and to the worker. */

#include <check.h>

#include "kubernetes_fixture.h"
#include "suite.h"

static void list(enum verdict verdict) {
        attempt(CALL_LIST_WORKLOADS, NULL);
        ck_assert_msg(outcome.verdict == verdict, "status %d, \"%s\"", outcome.status, outcome.error);
}

/* By which the worker knows when freed memory is worth giving back. */
START_TEST(size_of_all_pages) {
        size_t empty;

        list(VERDICT_DONE);
        empty = call.answer_size;
        objects("{\"count\":1100}");
        list(VERDICT_DONE);
        ck_assert_uint_eq(call.workloads->n_items, 1100);
        ck_assert_uint_gt(empty, 3 * 100);
        ck_assert_uint_gt(call.answer_size, 1100 * 500);
}
END_TEST

/* There is no watch then, which somebody should know. */
START_TEST(list_of_no_version) {
        objects("{\"raw\":{\"mcpservers\":\"{\\\"metadata\\\":{},\\\"items\\\":[]}\"}}");
        list(VERDICT_DONE);
        expect_problem("Unusable body: no \"resourceVersion\" to watch from");
        ck_assert(outcome.of_watch);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);

        objects("{\"count\":1}");
        list(VERDICT_DONE);
        expect_problem(NULL);
}
END_TEST

/* With an interval of 0 the version alone is asked for, and an outage ends with it; the watches ended when it began. */
START_TEST(outage_without_a_list) {
        list(VERDICT_DONE);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);

        behave("status", "GET /version", 1, ",\"code\":503");
        expect(CALL_VERSION, VERDICT_FAILED, 503, "HTTP 503");
        expect(CALL_VERSION, VERDICT_DONE, 200, "");
        ck_assert_int_eq(look(WAIT_CHANGE), WAIT_CHANGE);
        ck_assert_int_eq(source->ops->changes(source, &call), CHANGES_EXPIRED);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

/* The list that failed is tried again anyway. */
START_TEST(outage_of_a_list) {
        behave("status", "LIST *", 1, ",\"code\":503");
        list(VERDICT_FAILED);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        list(VERDICT_DONE);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                size_of_all_pages, list_of_no_version, outage_without_a_list, outage_of_a_list,
        };
        Suite *suite = suite_create("kubernetes source");
        TCase *tcase = cluster_case(suite, "source");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
