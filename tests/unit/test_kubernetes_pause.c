/* SPDX-License-Identifier: Apache-2.0 */

/*
 * When a watch begins, how long it is let be, and when what it tells is told: on
 * the virtual clock, to the microsecond.
 */

#include <check.h>
#include <string.h>

#include "kubernetes_fixture.h"
#include "suite.h"

/* Without those of virtualmcpservers. */
#define WATCH "WATCH *1/mcpservers"
#define UNSTEADY "Ends as soon as it has begun"

static struct watch *watch;

/* Listed; all are watched but the servers, whose watch begins with the next look. */
static void begin_others(void) {
        expect_list("");
        watch = watch_of(RESOURCE_SERVER);
        watch->begin_at = USEC_INFINITY;
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(watch_of(RESOURCE_VIRTUAL)->answered && watch_of(RESOURCE_PROXY)->answered);
        watch->begin_at = v.now;
}

static void begin_now(void) {
        uint64_t requests = source->requests(source);

        (void) look(WAIT_CHANGE);
        ck_assert_uint_eq(source->requests(source), requests + 1);
        ck_assert_ptr_nonnull(watch->transfer);
        ck_assert_uint_eq(watch->begun_at, v.now);
}

/* It begins after the pause, and no microsecond before. */
static void begin_after(usec_t pause) {
        if (pause > 0) {
                virtual_advance(&v, pause - 1);
                (void) look(WAIT_CHANGE);
                ck_assert_ptr_null(watch->transfer);
                virtual_advance(&v, 1);
        }
        begin_now();
}

/* ---- pauses ---- */

static const unsigned pauses[] = { 0, 1, 2, 4, 8, 16, 32, 60, 60, 60 };

/* So often it ends as soon as it has begun. */
static void fail_times(unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                DRIVE_UNTIL(watch->failures == i + 1);
                ck_assert_ptr_null(watch->transfer);
                ck_assert_msg(watch->begin_at == v.now + pauses[i] * USEC_PER_SEC, "failure %u: %.6f s", i + 1,
                              (double) (watch->begin_at - v.now) / 1e6);
                begin_after(pauses[i] * USEC_PER_SEC);
        }
}

START_TEST(ends_at_once) {
        behave("stream-end", WATCH, 0, "");
        begin_others();
        begin_now();
        fail_times(ELEMENTSOF(pauses));
        /* The others had none of it. */
        ck_assert_uint_eq(source->requests(source), 4 + 2 + 1 + ELEMENTSOF(pauses));
}
END_TEST

/* Told from the third on, once, until one holds. */
START_TEST(unsteady) {
        behave("stream-end", WATCH, 4, "");
        begin_others();
        begin_now();
        for (unsigned i = 1; i <= 4; i++) {
                DRIVE_UNTIL(watch->failures == i);
                ck_assert_int_eq(look(0), 0);
                virtual_advance(&v, pauses[i - 1] * USEC_PER_SEC);
                ck_assert_int_eq(watch->troubled, i == 3);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);         /* begins, and till it is answered nothing is told */
                ck_assert_ptr_nonnull(watch->transfer);
                expect_problem(i < 3 ? NULL : UNSTEADY);
                if (i != 3)
                        continue;
                DRIVE_UNTIL(look(WAIT_CHANGE) == WAIT_CHANGE);
                expect_changes("");
        }
        DRIVE_UNTIL(watch->answered);
        expect_problem(UNSTEADY);

        /* Ten seconds hold, less do not. */
        virtual_advance(&v, 10 * USEC_PER_SEC - 1);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        ck_assert_uint_eq(watch->failures, 4);
        expect_problem(UNSTEADY);
        virtual_advance(&v, 1);
        ck_assert_int_eq(look(WAIT_CHANGE), WAIT_CHANGE);
        ck_assert_uint_eq(watch->failures, 0);
        expect_problem(NULL);
        expect_changes("");
        virtual_advance(&v, USEC_PER_SEC);
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
}
END_TEST

/* An end after ten seconds is as it should be: it goes on at once, however often. */
START_TEST(ends_in_time) {
        begin_others();
        begin_now();
        for (unsigned i = 0; i < 5; i++) {
                DRIVE_UNTIL(watch->answered);
                virtual_advance(&v, 10 * USEC_PER_SEC);
                cluster("{\"end_watches\":true,\"resource\":\"mcpservers\"}");
                DRIVE_UNTIL(!watch->transfer);
                ck_assert_uint_eq(watch->failures, 0);
                ck_assert_uint_eq(watch->begin_at, v.now);
                begin_now();
        }
        virtual_advance(&v, 10 * USEC_PER_SEC - 1);
        DRIVE_UNTIL(watch->answered);
        cluster("{\"end_watches\":true,\"resource\":\"mcpservers\"}");
        DRIVE_UNTIL(!watch->transfer);
        ck_assert_uint_eq(watch->failures, 1);
}
END_TEST

/* Lists come more often than a long pause is long, and must not begin it anew each time. */
START_TEST(lists_during_a_pause) {
        usec_t due;

        behave("stream-end", WATCH, 0, "");
        begin_others();
        begin_now();
        fail_times(8);
        DRIVE_UNTIL(watch->failures == 9);
        due = v.now + 60 * USEC_PER_SEC;
        for (unsigned i = 0; i < 3; i++) {
                virtual_advance(&v, 19 * USEC_PER_SEC);
                expect_list("");
                ck_assert_uint_eq(watch->begin_at, due);
        }
        virtual_advance(&v, 3 * USEC_PER_SEC - 1);
        (void) look(WAIT_CHANGE);
        ck_assert_ptr_null(watch->transfer);
        virtual_advance(&v, 1);
        begin_now();
}
END_TEST

/* What expires again and again is listed and watched ever more seldom. */
START_TEST(expires_at_once) {
        behave("status", WATCH, 0, ",\"code\":410");
        begin_others();
        begin_now();
        for (unsigned i = 0; i < 5; i++) {
                DRIVE_UNTIL(watch->expired);
                ck_assert_uint_eq(watch->begin_at, USEC_INFINITY);
                expect_list("");
                ck_assert_uint_eq(watch->failures, i + 1);
                ck_assert_uint_eq(watch->begin_at, v.now + pauses[i] * USEC_PER_SEC);
                begin_after(pauses[i] * USEC_PER_SEC);
        }
}
END_TEST

/* ---- what the API server asks for ---- */

START_TEST(retry_after) {
        static const struct {
                const char *more;
                usec_t pauses[3];
        } rows[] = {
                { ",\"code\":429,\"headers\":{\"Retry-After\":\"7\"}", { 7, 7, 7 } },
                { ",\"code\":429,\"headers\":{\"Retry-After\":\"1\"}", { 1, 1, 2 } },
                { ",\"code\":503", { 0, 1, 2 } },
                { ",\"code\":503,\"headers\":{\"Retry-After\":\"99999\"}", { 300, 300, 300 } },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                standin_tell(&standin, "clear", "{}");
                cluster_open();
                behave("status", WATCH, 0, rows[i].more);
                begin_others();
                watch_stop(watch_of(RESOURCE_VIRTUAL));         /* they would be silent for too long */
                watch_stop(watch_of(RESOURCE_PROXY));
                begin_now();
                for (unsigned j = 0; j < 3; j++) {
                        DRIVE_UNTIL(watch->failures == j + 1);
                        ck_assert(watch->lost);
                        ck_assert_int_eq(look(WAIT_CONNECTION), WAIT_CONNECTION);
                        ck_assert(!watch->lost);
                        ck_assert_uint_eq(watch->begin_at, v.now + rows[i].pauses[j] * USEC_PER_SEC);
                        begin_after(rows[i].pauses[j] * USEC_PER_SEC);
                }
        }
}
END_TEST

/* ---- time-outs ---- */

/* Until an answer begins it has as long as any request; a silent answer has five minutes. */
START_TEST(no_answer) {
        settings.timeout = 3 * USEC_PER_SEC;
        behave("hang", WATCH, 0, "");
        begin_others();
        begin_now();
        while (standin_count_requests(&standin, "GET") < 4 + 2 + 1)
                ck_assert_int_eq(look(0), 0);
        virtual_advance(&v, 3 * USEC_PER_SEC - 1);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
        ck_assert_ptr_nonnull(watch->transfer);
        virtual_advance(&v, 1);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), WAIT_CONNECTION);
        ck_assert_uint_eq(watch->failures, 1);
        /* At once anew, and that it was lost is told once. */
        ck_assert_ptr_nonnull(watch->transfer);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
}
END_TEST

START_TEST(silence) {
        begin_others();
        begin_now();
        virtual_advance(&v, 2 * USEC_PER_SEC);
        DRIVE_UNTIL(watch->answered);
        ck_assert_uint_eq(watch->heard_at, v.now);
        virtual_advance(&v, 297 * USEC_PER_SEC);
        cluster("{\"bookmark\":true}");
        DRIVE_UNTIL(watch->heard_at == v.now && watch_of(RESOURCE_VIRTUAL)->heard_at == v.now &&
                    watch_of(RESOURCE_PROXY)->heard_at == v.now);
        virtual_advance(&v, 300 * USEC_PER_SEC - 1);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
        ck_assert_uint_lt(watch->begun_at, v.now);

        virtual_advance(&v, 1);
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), 0);
        for (enum resource i = 0; i < RESOURCES; i++) {
                ck_assert_uint_eq(watch_of(i)->begun_at, v.now);
                ck_assert_uint_eq(watch_of(i)->failures, 0);
        }
        DRIVE_UNTIL(are_all_answered());
        expect_problem(NULL);
}
END_TEST

/* After a suspend nothing is heard of what has ended meanwhile: it is begun anew at once. */
START_TEST(suspend) {
        begin_others();
        begin_now();
        DRIVE_UNTIL(watch->answered);
        virtual_suspend_at(&v, virtual_seconds(1), virtual_seconds(3600));
        virtual_advance(&v, USEC_PER_SEC);
        (void) look(WAIT_CHANGE);
        (void) look(WAIT_CHANGE);
        ck_assert_uint_eq(watch->begun_at, VIRTUAL_START + virtual_seconds(3601));
        ck_assert_ptr_nonnull(watch->transfer);
}
END_TEST

/* ---- a token that cannot be read ---- */

START_TEST(no_token) {
        char *path = cluster_token("word");

        settings.k8s_token_file = path;
        cluster_open();
        begin_others();
        ck_assert_int_eq(unlink(path), 0);
        (void) look(WAIT_CHANGE);
        ck_assert_ptr_null(watch->transfer);
        ck_assert_uint_eq(watch->failures, 1);
        ck_assert_uint_eq(watch->begin_at, v.now + USEC_PER_SEC);
        cluster_token("word");
        begin_after(USEC_PER_SEC);
}
END_TEST

/* ---- when changes are told ---- */

/* One change, known to the watch and not told yet. */
static void change(void) {
        static unsigned number;

        objects("{\"add\":[\"tools/w%u\"]}", ++number);
        DRIVE_UNTIL(watch->changed);
}

static const struct {
        usec_t telling, quiet;          /* how long it takes to write down what was told, and then nothing is told */
} tellings[] = {
        { 0, 50000 }, { 1000, 50000 }, { 12500, 50000 }, { 12501, 50004 }, { 100000, 400000 }, { 250000, 1000000 },
        { 250001, 1000000 }, { 60000000, 1000000 },
};

START_TEST(told_together) {
        begin_others();
        begin_now();
        DRIVE_UNTIL(watch->answered);
        for (size_t i = 0; i < ELEMENTSOF(tellings); i++) {
                change();
                ck_assert_int_eq(look(WAIT_CHANGE), WAIT_CHANGE);
                (void) watch_take_change(watch);
                virtual_advance(&v, tellings[i].telling);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);         /* told, by now */

                change();
                change();
                ck_assert_int_eq(look(WAIT_CHANGE), 0);
                virtual_advance(&v, tellings[i].quiet - 1);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);
                ck_assert(watch->changed);
                virtual_advance(&v, 1);
                ck_assert_int_eq(look(WAIT_CHANGE), WAIT_CHANGE);
                (void) watch_take_change(watch);
                ck_assert_int_eq(look(WAIT_CHANGE), 0);
                virtual_advance(&v, 50 * USEC_PER_MSEC);
        }
}
END_TEST

/* Other events are not held back by it, and whoever does not ask for changes hears of none. */
START_TEST(quiet_is_of_changes_only) {
        begin_others();
        begin_now();
        DRIVE_UNTIL(watch->answered);
        change();
        ck_assert_int_eq(look(WAIT_CONNECTION), 0);
        ck_assert_int_eq(look(WAIT_CHANGE), WAIT_CHANGE);
        watch->lost = true;
        ck_assert_int_eq(look(WAIT_CHANGE | WAIT_CONNECTION), WAIT_CONNECTION);
}
END_TEST

/* ---- a wait that sleeps ---- */

/* A clock that runs as the real one does, and can be put forward. */
static struct waiter running;
static const struct waiter_ops *real_ops;
static usec_t ahead;

static usec_t running_now(struct waiter *waiter) {
        return real_ops->now(waiter) + ahead;
}

static int running_block(struct waiter *waiter, usec_t deadline, unsigned mask) {
        return real_ops->block(waiter, usec_sub(deadline, ahead), mask);
}

static void begin_running(void) {
        static struct waiter_ops ops;

        ck_assert_int_eq(waiter_init(&running), 0);
        real_ops = running.ops;
        ops = (struct waiter_ops) { running_now, real_ops->realtime, running_block };
        running.ops = &ops;
        ahead = 0;
        source = source_free(source);
        ck_assert_int_eq(kubernetes_new(&settings, &running, "", &source), 0);
        expect_list("");
        watch = watch_of(RESOURCE_SERVER);
}

static void end_running(void) {
        source = source_free(source);
        waiter_done(&running);
}

/* What a wait comes to that has much longer than it needs. */
static void expect_soon(int event) {
        usec_t deadline = waiter_now(&running) + 20 * USEC_PER_SEC;

        ck_assert_int_eq(source->ops->wait(source, deadline, WAIT_CHANGE | WAIT_CONNECTION), event);
        ck_assert_uint_lt(waiter_now(&running), deadline);
}

static void begin_and_answer(void) {
        while (!are_all_answered())
                (void) source->ops->wait(source, waiter_now(&running) + 10 * USEC_PER_MSEC, WAIT_CHANGE);
}

/* For the end of a pause, and then for an answer. */
START_TEST(sleeps_until_a_beginning_and_an_answer) {
        usec_t begin_at;

        begin_running();
        behave("hang", WATCH, 0, "");
        settings.timeout = 100 * USEC_PER_MSEC;
        watch_stop(watch_of(RESOURCE_VIRTUAL));
        watch_stop(watch_of(RESOURCE_PROXY));
        begin_at = watch->begin_at = waiter_now(&running) + 50 * USEC_PER_MSEC;
        expect_soon(WAIT_CONNECTION);
        ck_assert_uint_eq(watch->failures, 1);
        ck_assert_uint_ge(waiter_now(&running), begin_at + settings.timeout);
        end_running();
}
END_TEST

START_TEST(sleeps_until_one_holds) {
        begin_running();
        begin_and_answer();
        watch->failures = 3;
        watch_set_problem(watch, &(struct outcome) { .verdict = VERDICT_ANSWER, .status = 200, .error = UNSTEADY });
        (void) watch_take_change(watch);
        ahead += watch->begun_at + 10 * USEC_PER_SEC - 50 * USEC_PER_MSEC - waiter_now(&running);
        expect_soon(WAIT_CHANGE);
        expect_problem(NULL);
        end_running();
}
END_TEST

/* Of which the one after the silence tells what the silent one did not. */
START_TEST(sleeps_until_it_was_silent_for_too_long) {
        behave("stream-silence", WATCH, 1, "");
        begin_running();
        begin_and_answer();
        objects("{\"add\":[\"tools/a\"]}");
        ahead += watch->heard_at + 300 * USEC_PER_SEC - 50 * USEC_PER_MSEC - waiter_now(&running);
        expect_soon(WAIT_CHANGE);
        expect_changes("tools/a:running");
        end_running();
}
END_TEST

START_TEST(sleeps_until_it_may_tell) {
        usec_t told_at;

        begin_running();
        begin_and_answer();
        objects("{\"add\":[\"tools/a\"]}");
        expect_soon(WAIT_CHANGE);
        expect_changes("tools/a:running");
        told_at = waiter_now(&running);
        objects("{\"add\":[\"tools/b\"]}");
        expect_soon(WAIT_CHANGE);
        ck_assert_uint_ge(waiter_now(&running), told_at + 50 * USEC_PER_MSEC);
        expect_changes("tools/a:running tools/b:running");
        end_running();
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                ends_at_once, unsteady, ends_in_time, lists_during_a_pause, expires_at_once,
                retry_after, no_answer, silence, suspend, no_token, told_together,
                quiet_is_of_changes_only, sleeps_until_a_beginning_and_an_answer,
                sleeps_until_one_holds, sleeps_until_it_was_silent_for_too_long,
                sleeps_until_it_may_tell,
        };
        Suite *suite = suite_create("kubernetes pauses");
        TCase *tcase = cluster_case(suite, "pauses");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
