/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rules of the search, without sockets: targets by rank, what was asked before, which pass is
 * taken when, and what a search that found nothing says.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "source/tally.h"
#include "suite.h"

static struct addresses addresses;

static void setup(void) {
        static const char *const literals[] = { "127.0.0.1", "::1" };

        addresses = (struct addresses) { .n = ELEMENTSOF(literals) };
        for (size_t i = 0; i < ELEMENTSOF(literals); i++) {
                strcpy(addresses.literals[i].literal, literals[i]);
                ck_assert_int_eq(scan_address_parse(literals[i], &addresses.sockets[i]), 0);
        }
}

static const char *url_of(const struct step *step, size_t rank) {
        static struct endpoint endpoint;
        struct target target;

        step_target(step, &addresses, rank, &target);
        target_endpoint(&target, &endpoint);
        ck_assert_uint_eq(target.port, endpoint.port);
        return endpoint.url;
}

static struct step fixed_step(const char *url) {
        struct step step = { .n_fixed = 1 };

        ck_assert_int_eq(endpoint_parse(&step.fixed[0], url), 0);
        return step;
}

START_TEST(test_targets) {
        struct step step = fixed_step("unix:///run/thv.sock");

        ck_assert_uint_eq(step_size(&step, &addresses), 1);
        step.first_port = 50000;
        step.last_port = 50100;
        ck_assert_uint_eq(step_size(&step, &addresses), 203);
        ck_assert_str_eq(url_of(&step, 0), "unix:///run/thv.sock");
        ck_assert_str_eq(url_of(&step, 1), "http://127.0.0.1:50000");
        ck_assert_str_eq(url_of(&step, 2), "http://[::1]:50000");
        ck_assert_str_eq(url_of(&step, 201), "http://127.0.0.1:50100");
        ck_assert_str_eq(url_of(&step, 202), "http://[::1]:50100");

        step = (struct step) { .first_port = 1024, .last_port = UINT16_MAX };
        ck_assert_uint_eq(step_size(&step, &addresses), 129024);
        ck_assert_str_eq(url_of(&step, 129023), "http://[::1]:65535");
        ck_assert_uint_eq(step_size(&(struct step) {}, &addresses), 0);
}
END_TEST

static bool asked(const struct step *steps, enum step_kind kind, size_t rank) {
        struct target target;

        step_target(&steps[kind], &addresses, rank, &target);
        return step_asked_before(steps, kind, &addresses, &target);
}

START_TEST(test_asked_before) {
        struct step steps[STEPS] = {
                [STEP_CONFIGURED] = { .first_port = 50001, .last_port = 50001 },
                [STEP_FILE] = fixed_step("http://[::1]:50003"),
                [STEP_LAST] = { .first_port = 50001, .last_port = 50001 },
                [STEP_RANGE] = { .first_port = 50000, .last_port = 50100 },
                [STEP_USUAL] = { .first_port = 8080, .last_port = 8080 },
        };

        ck_assert(!asked(steps, STEP_CONFIGURED, 0));
        ck_assert(!asked(steps, STEP_FILE, 0));
        ck_assert(asked(steps, STEP_LAST, 0));
        ck_assert(asked(steps, STEP_LAST, 1));
        ck_assert(!asked(steps, STEP_RANGE, 0));
        ck_assert(asked(steps, STEP_RANGE, 2));
        ck_assert(asked(steps, STEP_RANGE, 3));
        ck_assert(!asked(steps, STEP_RANGE, 6));        /* 127.0.0.1:50003 */
        ck_assert(asked(steps, STEP_RANGE, 7));         /* [::1]:50003 */
        ck_assert(!asked(steps, STEP_USUAL, 0));

        /* Somebody there who could not prove himself may be another ToolHive. */
        steps[STEP_FILE].unproven = true;
        ck_assert(!asked(steps, STEP_RANGE, 7));

        /* 8080 within the range; the file's address as the configured port; the same socket twice. */
        steps[STEP_RANGE].first_port = 8000;
        ck_assert(asked(steps, STEP_USUAL, 1));
        steps[STEP_FILE] = fixed_step("http://127.0.0.1:50001");
        ck_assert(asked(steps, STEP_FILE, 0));
        steps[STEP_FILE] = fixed_step("http://127.0.0.2:50001");
        ck_assert(!asked(steps, STEP_FILE, 0));
        steps[STEP_FILE] = steps[STEP_LAST] = fixed_step("unix:///run/thv.sock");
        ck_assert(asked(steps, STEP_LAST, 0));
        steps[STEP_LAST] = fixed_step("unix:///run/other.sock");
        ck_assert(!asked(steps, STEP_LAST, 0));
}
END_TEST

static void pass(struct step *step, size_t rank, uint16_t port, usec_t now) {
        struct pass new = { .rank = rank };

        endpoint_set_tcp(&new.endpoint, rank % 2 ? "::1" : "127.0.0.1", port);
        step_add_pass(step, &new, now);
}

START_TEST(test_passes) {
        struct step step = { .started = true };

        pass(&step, 10, 5005, 1000);
        pass(&step, 11, 5005, 1100);    /* the other address of the same */
        ck_assert_uint_eq(step.n_passes, 1);
        ck_assert_uint_eq(step.passes[0].rank, 10);
        pass(&step, 21, 5010, 1200);
        pass(&step, 20, 5010, 1300);    /* the better address comes later */
        pass(&step, 4, 5002, 1400);
        ck_assert_uint_eq(step.n_passes, 3);
        ck_assert_uint_eq(step.passes[0].rank, 4);
        ck_assert_uint_eq(step.passes[1].rank, 10);
        ck_assert_uint_eq(step.passes[2].rank, 20);
        ck_assert_uint_eq(step.first_pass_at, 1000);

        /* More than fit: the lowest stay. */
        for (size_t rank = 1000; rank > 500; rank -= 2)
                pass(&step, rank, (uint16_t) rank, 2000);
        ck_assert_uint_eq(step.n_passes, PASSES_MAX);
        ck_assert_uint_eq(step.passes[3].rank, 502);
        for (size_t i = 1; i < step.n_passes; i++)
                ck_assert_uint_gt(step.passes[i].rank, step.passes[i - 1].rank);
}
END_TEST

START_TEST(test_take_at) {
        struct step range = { .started = true, .first_port = 5000, .last_port = 5009 };
        struct step single = { .started = true, .first_port = 5000, .last_port = 5000 };

        range.next = step_size(&range, &addresses);
        single.next = step_size(&single, &addresses);
        range.n_active = single.n_active = 1;

        ck_assert_uint_eq(step_take_at(&range, STEP_RANGE, &addresses, SIZE_MAX), USEC_INFINITY);
        pass(&range, 10, 5005, 1000);
        pass(&single, 1, 5000, 1000);

        /* A lower one is open; a higher one is; none is. */
        ck_assert_uint_eq(step_take_at(&range, STEP_RANGE, &addresses, 3), 1000 + STEP_TAKE_AFTER);
        ck_assert_uint_eq(step_take_at(&range, STEP_RANGE, &addresses, 12), 1000 + STEP_LINGER);
        range.n_active = 0;
        ck_assert_uint_eq(step_take_at(&range, STEP_RANGE, &addresses, SIZE_MAX), 1000);
        range.next = 19;
        ck_assert_uint_eq(step_take_at(&range, STEP_RANGE, &addresses, SIZE_MAX), 1000 + STEP_LINGER);

        /* Elsewhere there are no others to be told of. */
        ck_assert_uint_eq(step_take_at(&single, STEP_USUAL, &addresses, 0), 1000 + STEP_TAKE_AFTER);
        ck_assert_uint_eq(step_take_at(&single, STEP_USUAL, &addresses, SIZE_MAX), 1000);
}
END_TEST

/* ---- the words ---- */

static struct tally tally;

static void told(const char *words) {
        char error[ERROR_MAX];

        tally_words(&tally, 3 * USEC_PER_SEC, error);
        ck_assert_str_eq(error, words);
        tally = (struct tally) {};
}

static void failed(enum step_kind kind, size_t rank, int error) {
        struct failure failure;

        failure_from_errno(&failure, error);
        tally_asked(&tally, kind, rank);
        tally_failed(&tally, kind, rank, &failure);
}

static void strange(enum step_kind kind, size_t rank, uint16_t port) {
        struct failure failure = { .kind = FAILURE_STRANGER, .words = "Not ToolHive (HTTP 404)" };

        tally_asked(&tally, kind, rank);
        if (port)
                tally_open(&tally, port);
        tally_failed(&tally, kind, rank, &failure);
}

START_TEST(test_words) {
        told("Timed out after 3.0 s");

        failed(STEP_CONFIGURED, 0, ECONNREFUSED);
        failed(STEP_RANGE, 128, ECONNREFUSED);
        told("Connection refused");

        /* IPv6 is not there: no reason to speak of it, unless there is nothing else to say. */
        failed(STEP_RANGE, 0, ECONNREFUSED);
        failed(STEP_RANGE, 1, EADDRNOTAVAIL);
        told("Connection refused");
        failed(STEP_RANGE, 1, ENETUNREACH);
        told("Network is unreachable");

        /* The first candidate in order, whoever was first to fail. */
        failed(STEP_RANGE, 7, ETIMEDOUT);
        failed(STEP_CONFIGURED, 0, EHOSTUNREACH);
        tally_open(&tally, 50007);
        told("No route to host");

        /* The first refused: what counts are the open ports, each once. */
        failed(STEP_CONFIGURED, 0, ECONNREFUSED);
        strange(STEP_RANGE, 4, 50002);
        strange(STEP_RANGE, 5, 50002);
        strange(STEP_RANGE, 8, 50004);
        told("No ToolHive among 2 open ports");

        /* A stranger where ToolHive is expected speaks for itself; in the range it is one of many. */
        for (enum step_kind kind = STEP_CONFIGURED; kind < STEPS; kind++) {
                strange(kind, 0, 50002);
                failed(STEP_USUAL, 1, ECONNREFUSED);
                told(kind < STEP_RANGE ? "Not ToolHive (HTTP 404)" : "No ToolHive among 1 open ports");
        }
        failed(STEP_CONFIGURED, 0, ECONNREFUSED);
        strange(STEP_CONFIGURED, 1, 50002);
        told("No ToolHive among 1 open ports");
        strange(STEP_RANGE, 0, 50002);
        strange(STEP_FILE, 0, 50003);
        told("Not ToolHive (HTTP 404)");
        failed(STEP_RANGE, 0, ETIMEDOUT);
        strange(STEP_RANGE, 1, 50002);
        told("Connection timed out");
        strange(STEP_FILE, 0, 0);
        failed(STEP_RANGE, 0, ECONNREFUSED);
        told("Not ToolHive (HTTP 404)");

        /* Nothing open, the first refused: the first other failure. */
        failed(STEP_RANGE, 0, ECONNREFUSED);
        failed(STEP_RANGE, 9, ECONNRESET);
        failed(STEP_RANGE, 3, EHOSTUNREACH);
        failed(STEP_USUAL, 0, ETIMEDOUT);
        told("No route to host");
}
END_TEST

START_TEST(test_timeout_words) {
        static const struct {
                usec_t age;
                const char *words;
        } rows[] = {
                { 2 * USEC_PER_SEC, "Timed out after 2.0 s" },
                { 2 * USEC_PER_SEC - 1, "Timed out after 1.9 s" },
                { 1049 * USEC_PER_MSEC, "Timed out after 1.0 s" },
                { 3, "Timed out after 0.1 s" },
        };
        struct failure failure;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                failure_from_timeout(&failure, rows[i].age);
                ck_assert_int_eq(failure.kind, FAILURE_CONNECTION);
                ck_assert_str_eq(failure.words, rows[i].words);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("step");
        TCase *tcase = tcase_create("step");

        tcase_add_checked_fixture(tcase, setup, NULL);
        tcase_add_test(tcase, test_targets);
        tcase_add_test(tcase, test_asked_before);
        tcase_add_test(tcase, test_passes);
        tcase_add_test(tcase, test_take_at);
        tcase_add_test(tcase, test_words);
        tcase_add_test(tcase, test_timeout_words);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
