/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watches without memory, each allocation in its turn: what a watch has told is not
 * lost, and nothing of it ends the service, as a failed list does not either.
 */

#include <check.h>
#include <string.h>

#include "inject.h"
#include "kubernetes_fixture.h"
#include "suite.h"

#define PLANS_MAX 1000

static struct watch *watch;             /* of the MCPServers */

static void begin(void) {
        expect_list("");
        watch_all();
        watch = watch_of(RESOURCE_SERVER);
}

static bool has_status(const char *status) {
        const struct resource_store *store = &watch->listed->store;

        return store->n_items == 1 && strcmp(store->items[0].workload->status, status) == 0;
}

/* As the worker does: looks, lets a pause pass where there is one, and waits for what is to come. */
static void wait_for_status(const char *status) {
        while (!has_status(status)) {
                if (!watch->transfer)
                        virtual_advance(&v, usec_sub(watch->begin_at, v.now));
                (void) look(WAIT_CHANGE);
                ck_assert(watch->transfer || watch->begin_at != USEC_INFINITY);
                if (watch->transfer && !has_status(status))
                        ck_assert_int_eq(http_run(kubernetes_of(source)->http, -1, USEC_INFINITY), 0);
        }
}

/* An event that there is no memory for ends the watch, and is told again by the next. */
START_TEST(events) {
        unsigned n = 1;

        begin();
        do {
                const char *phase = n % 2 ? "Failed" : "Ready", *status = n % 2 ? "failed" : "running";

                objects("{\"%s\":[{\"namespace\":\"tools\",\"name\":\"a\",\"status\":{\"phase\":\"%s\"}}]}",
                        n == 1 ? "add" : "update", phase);
                inject_arm(&(struct inject_plan) { .what = INJECT_MEMORY, .n = n++ });
                do
                        (void) http_run(kubernetes_of(source)->http, -1, USEC_INFINITY);
                while (!has_status(status) && inject_record->injected == 0);
                inject_disarm();
                wait_for_status(status);
        } while (inject_record->injected > 0 && n < PLANS_MAX);
        ck_assert_uint_gt(n, 2);
}
END_TEST

/* What was told is there when the list is made of it, or is listed. */
START_TEST(changes) {
        unsigned n = 1;

        begin();
        objects("{\"count\":40}");
        DRIVE_UNTIL(watch->listed->store.n_items == 40);
        do {
                int r;

                call_done(&call);
                call = (struct call) { .kind = CALL_LIST_WORKLOADS };
                inject_arm(&(struct inject_plan) { .what = INJECT_MEMORY, .n = n++ });
                r = source->ops->changes(source, &call);
                inject_disarm();
                ck_assert_msg(r == (inject_record->injected > 0 ? CHANGES_EXPIRED : CHANGES_TAKEN), "%s failed: %d",
                              inject_record->failed, r);
                ck_assert_int_eq(call.workloads != NULL, r == CHANGES_TAKEN);
        } while (inject_record->injected > 0 && n < PLANS_MAX);
        ck_assert_uint_gt(n, 3);
        ck_assert_uint_eq(call.workloads->n_items, 40);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("kubernetes without memory");
        TCase *tcase = cluster_case(suite, "memory");

        tcase_add_test(tcase, events);
        tcase_add_test(tcase, changes);
        return suite_run(suite);
}
