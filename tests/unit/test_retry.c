/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The retry policy alone: the arithmetic that documentation quotes, the jitter,
 * and the ration of immediate retries, checked against the rule in its own words.
 */

#include <check.h>
#include <time.h>

#include "service/retry.h"
#include "suite.h"

#define SECONDS(s) ((usec_t) ((s) * 1e6 + 0.5))

static struct settings make_settings(unsigned max_retries, double initial, double maximum, double jitter) {
        return (struct settings) {
                .max_retries = max_retries,
                .initial_backoff = SECONDS(initial),
                .max_backoff = SECONDS(maximum),
                .backoff_jitter = jitter,
        };
}

static struct retry make(unsigned max_retries, double initial, double maximum, double jitter) {
        struct settings settings = make_settings(max_retries, initial, maximum, jitter);
        struct retry retry;

        retry_init(&retry, &settings);
        return retry;
}

/* ---- the arithmetic ---- */

static const struct {
        unsigned max_retries;
        double initial, maximum;
        double total;                   /* of all waits */
} sums[] = {
        { 100, 1.0, 60.0, 5643 },       /* the defaults */
        { 20, 1.0, 120.0, 1567 },
        { 3, 0.5, 60.0, 1.5 },
        { 500, 300.0, 300.0, 149700 },
        { 500, 10.0, 300.0, 10 + 20 + 40 + 80 + 160 + 494 * 300 },
        { 6, 0.2, 1.0, 0.2 + 0.4 + 0.8 + 1.0 + 1.0 },
        { 2, 1.0, 1.0, 1.0 },
        { 1, 1.0, 60.0, 0 },
};

START_TEST(sum_of_waits) {
        struct retry retry = make(sums[_i].max_retries, sums[_i].initial, sums[_i].maximum, 0.0);
        unsigned waits = 0;
        usec_t total = 0;

        for (;;) {
                usec_t delay = retry_failed(&retry, 0.0, 0);
                enum retry_decision decision = retry_decide(&retry, RETRY_SEARCH_NOTHING);

                if (decision == RETRY_GIVE_UP) {
                        ck_assert_uint_eq(delay, 0);
                        break;
                }
                ck_assert_int_eq(decision, RETRY_WAIT);
                ck_assert_uint_gt(delay, 0);
                total += delay;
                waits++;
                retry_waited(&retry);
                ck_assert_uint_lt(waits, 1000);
        }
        ck_assert_uint_eq(retry.attempt, sums[_i].max_retries);
        ck_assert_uint_eq(waits, sums[_i].max_retries - 1);
        ck_assert_uint_eq(total, SECONDS(sums[_i].total));
}
END_TEST

START_TEST(delays_double_up_to_the_maximum) {
        static const double expected[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };
        struct retry retry = make(100, 1.0, 60.0, 0.0);

        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(expected[i]));
                ck_assert_uint_eq(retry.attempt, i + 1);
                retry_waited(&retry);
        }
        retry_succeeded(&retry);
        ck_assert_uint_eq(retry.attempt, 0);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(1));
}
END_TEST

/* Only waiting doubles: the delay that was told is still to come after an immediate retry. */
START_TEST(immediate_retry_leaves_the_delay) {
        struct retry retry = make(100, 1.0, 60.0, 0.0);

        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(1));
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NOTHING), RETRY_WAIT);
        retry_waited(&retry);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(2));
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_NOW);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(2));
}
END_TEST

START_TEST(retry_after_lengthens_and_never_shortens) {
        struct retry retry = make(3, 1.0, 60.0, 0.0);

        ck_assert_uint_eq(retry_failed(&retry, 0.0, SECONDS(7)), SECONDS(7));
        retry_waited(&retry);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, SECONDS(0.5)), SECONDS(2));
        /* After the last attempt there is nothing to wait for. */
        ck_assert_uint_eq(retry_failed(&retry, 0.0, SECONDS(7)), 0);
}
END_TEST

/* An answer may come between two failures when all attempts are spent: there is none beyond the last. */
START_TEST(counter_stays_at_the_last) {
        struct retry retry = make(2, 1.0, 60.0, 0.0);

        for (unsigned i = 0; i < 5; i++)
                (void) retry_failed(&retry, 0.0, 0);
        ck_assert_uint_eq(retry.attempt, 2);
        ck_assert(retry_is_last(&retry));
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NOTHING), RETRY_GIVE_UP);
}
END_TEST

/* ---- the jitter ---- */

START_TEST(jitter_at_its_ends) {
        static const struct {
                double jitter, random, delay;
        } rows[] = {
                { 0.0, 0.0, 8 }, { 0.0, 0.999999, 8 }, { 0.5, 0.0, 8 }, { 0.5, 0.5, 6 },
                { 1.0, 0.0, 8 }, { 1.0, 0.75, 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct retry retry = make(100, 8.0, 60.0, rows[i].jitter);

                ck_assert_uint_eq(retry_failed(&retry, rows[i].random, 0), SECONDS(rows[i].delay));
        }
}
END_TEST

static unsigned print_seed(void) {
        const char *given = getenv("TEST_SEED");
        unsigned seed = (unsigned) time(NULL) ^ (unsigned) getpid() << 16;

        if (given)
                seed = (unsigned) strtoul(given, NULL, 10);
        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        return seed;
}

START_TEST(jitter_stays_within_its_bounds) {
        unsigned seed = print_seed();

        srand48(seed);
        for (unsigned round = 0; round < 200; round++) {
                double jitter = drand48();
                struct retry retry = make(50, 1.0, 60.0, jitter);
                double base = 1.0;

                for (unsigned i = 0; i < 49; i++) {
                        usec_t delay = retry_failed(&retry, drand48(), 0);

                        ck_assert_msg(delay <= SECONDS(base), "seed %u: %llu µs of %g s", seed,
                                      (unsigned long long) delay, base);
                        ck_assert_msg((double) delay >= base * (1 - jitter) * 1e6 - 1,
                                      "seed %u: %llu µs of %g s, jitter %g", seed, (unsigned long long) delay,
                                      base, jitter);
                        /* Doubling goes by the base, not by what jitter left of it. */
                        retry_waited(&retry);
                        base = base * 2 < 60.0 ? base * 2 : 60.0;
                        ck_assert_uint_eq(retry.base, SECONDS(base));
                }
        }
}
END_TEST

/* ---- the ration ---- */

START_TEST(one_immediate_retry_per_outage) {
        struct retry retry = make(100, 1.0, 60.0, 0.0);

        (void) retry_failed(&retry, 0.0, 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_NOW);
        for (unsigned i = 0; i < 10; i++) {
                (void) retry_failed(&retry, 0.0, 0);
                ck_assert_int_eq(retry_decide(&retry, i % 2 ? RETRY_SEARCH_SAME : RETRY_SEARCH_OTHER),
                                 RETRY_WAIT);
                retry_waited(&retry);
        }
        retry_succeeded(&retry);
        (void) retry_failed(&retry, 0.0, 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_OTHER), RETRY_NOW);
}
END_TEST

START_TEST(one_more_after_each_search_that_found_nothing) {
        struct retry retry = make(100, 1.0, 60.0, 0.0);

        for (unsigned i = 0; i < 5; i++) {
                (void) retry_failed(&retry, 0.0, 0);
                ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NOTHING), RETRY_WAIT);
                /* Two that found nothing do not add up. */
                (void) retry_failed(&retry, 0.0, 0);
                ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NOTHING), RETRY_WAIT);
                (void) retry_failed(&retry, 0.0, 0);
                ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_NOW);
                (void) retry_failed(&retry, 0.0, 0);
                ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_WAIT);
        }
}
END_TEST

/* No search, as in Kubernetes or at a pinned address: no immediate retry, and none is earned by it. */
START_TEST(no_search_no_immediate_retry) {
        struct retry retry = make(3, 1.0, 60.0, 0.0);

        (void) retry_failed(&retry, 0.0, 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NONE), RETRY_WAIT);
        (void) retry_failed(&retry, 0.0, 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NONE), RETRY_WAIT);
        (void) retry_failed(&retry, 0.0, 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_NONE), RETRY_GIVE_UP);
}
END_TEST

START_TEST(delay_goes_back_only_with_an_immediate_retry_elsewhere) {
        struct retry retry = make(100, 1.0, 60.0, 0.0);

        for (unsigned i = 0; i < 4; i++) {
                (void) retry_failed(&retry, 0.0, 0);
                (void) retry_decide(&retry, RETRY_SEARCH_NOTHING);
                retry_waited(&retry);
        }
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(16));
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_OTHER), RETRY_NOW);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(1));

        /* Another address again, and no immediate retry left: it waits and doubles. */
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_OTHER), RETRY_WAIT);
        retry_waited(&retry);
        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), SECONDS(2));
}
END_TEST

/* The last failure is rediscovered like the others, and may be followed by its immediate retry. */
START_TEST(after_the_last_attempt) {
        struct retry retry = make(1, 1.0, 60.0, 0.0);

        ck_assert_uint_eq(retry_failed(&retry, 0.0, 0), 0);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_NOW);
        ck_assert_int_eq(retry_decide(&retry, RETRY_SEARCH_SAME), RETRY_GIVE_UP);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("retry");
        TCase *arithmetic = tcase_create("arithmetic"), *jitter = tcase_create("jitter");
        TCase *ration = tcase_create("ration");

        tcase_add_loop_test(arithmetic, sum_of_waits, 0, ELEMENTSOF(sums));
        tcase_add_test(arithmetic, delays_double_up_to_the_maximum);
        tcase_add_test(arithmetic, immediate_retry_leaves_the_delay);
        tcase_add_test(arithmetic, retry_after_lengthens_and_never_shortens);
        tcase_add_test(arithmetic, counter_stays_at_the_last);
        suite_add_tcase(suite, arithmetic);

        tcase_add_test(jitter, jitter_at_its_ends);
        tcase_add_test(jitter, jitter_stays_within_its_bounds);
        suite_add_tcase(suite, jitter);

        tcase_add_test(ration, one_immediate_retry_per_outage);
        tcase_add_test(ration, one_more_after_each_search_that_found_nothing);
        tcase_add_test(ration, no_search_no_immediate_retry);
        tcase_add_test(ration, delay_goes_back_only_with_an_immediate_retry_elsewhere);
        tcase_add_test(ration, after_the_last_attempt);
        suite_add_tcase(suite, ration);

        return suite_run(suite);
}
