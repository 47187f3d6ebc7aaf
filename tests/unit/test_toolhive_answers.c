/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is not the expected answer, against the stand-in: bodies that are of no
 * use, other statuses, strangers on the port, and connections that fail. Who
 * answers decides: the identity check of the same address. The pure judgement is
 * tested in test_verdict.c.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "suite.h"
#include "toolhive_fixture.h"

static const char *const routes[CALL_KINDS] = {
        [CALL_VERSION] = "GET " API "/version",
        [CALL_LIST_WORKLOADS] = "GET " API "/workloads",
        [CALL_WORKLOAD_DETAILS] = "GET " API "/workloads/one",
        [CALL_REGISTRY] = "GET " API "/registry/default",
        [CALL_REGISTRY_ENTRY] = "GET " API "/registry/default/servers/one",
};

/* All kinds but the install. */
static const enum call_kind reads[] = {
        CALL_VERSION, CALL_LIST_WORKLOADS, CALL_WORKLOAD_DETAILS, CALL_REGISTRY, CALL_REGISTRY_ENTRY,
};

/* Only workloads that cannot be had are a failure: a registry that breaks off is ToolHive's answer. */
static bool is_registry(enum call_kind kind) {
        return kind == CALL_REGISTRY || kind == CALL_REGISTRY_ENTRY;
}

static void add_one(void) {
        standin_tell(&standin, "workloads", "{\"add\":[\"one\"]}");
        standin_tell(&standin, "registry", "{\"add\":[\"one\"]}");
}

/* ---- answers that are not the expected one ---- */

START_TEST(bad_bodies) {
        static const struct {
                enum call_kind kind;
                const char *text, *error;
        } rows[] = {
                { CALL_VERSION, "{\"build\":\"v0.44.0\"}", "Unusable body: no version" },
                { CALL_VERSION, "{\"version\":44}", "Unusable body: no version" },
                { CALL_LIST_WORKLOADS, "{\"workloads\":[", NULL },
                { CALL_LIST_WORKLOADS, "{}", NULL },
                { CALL_LIST_WORKLOADS, "[]", NULL },
                { CALL_LIST_WORKLOADS, "", NULL },
                { CALL_WORKLOAD_DETAILS, "[]", "Unusable body: no JSON object" },
                { CALL_WORKLOAD_DETAILS, "{}", "Unusable body: no name" },
                { CALL_WORKLOAD_DETAILS, "{\"name\":7}", "Unusable body: no name" },
                { CALL_WORKLOAD_DETAILS, "<html>", NULL },
                { CALL_REGISTRY, "{\"registries\":[]}", NULL },
                { CALL_REGISTRY, "null", NULL },
                { CALL_REGISTRY_ENTRY, "\"one\"", "Unusable body: no JSON object" },
                { CALL_REGISTRY_ENTRY, "{\"is_remote\":false}", "Unusable body: no server" },
                { CALL_REGISTRY_ENTRY, "{\"server\":[]}", "Unusable body: no server" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_object_putp) struct json_object *text = json_object_new_string(rows[i].text);
                char more[256];

                snprintf(more, sizeof more, ",\"text\":%s", json_object_to_json_string(text));
                behave("json", routes[rows[i].kind], 1, more);
                attempt(rows[i].kind, "one");
                ck_assert_msg(outcome.verdict == VERDICT_ANSWER && outcome.status == 200, "%s: verdict %d, status %d",
                              rows[i].text, outcome.verdict, outcome.status);
                ck_assert_msg(strncmp(outcome.error, "Unusable body: ", 15) == 0 && outcome.error[15], "%s: \"%s\"",
                              rows[i].text, outcome.error);
                if (rows[i].error)
                        ck_assert_str_eq(outcome.error, rows[i].error);
                ck_assert(!call.found && !call.workloads && !call.registry && !call.document);
        }
}
END_TEST

START_TEST(bodies_out_of_bounds) {
        add_one();
        for (size_t i = 0; i < ELEMENTSOF(reads); i++) {
                const char *route = routes[reads[i]];

                behave("big", route, 1, ",\"mib\":17");
                expect(reads[i], "one", VERDICT_ANSWER, 200, "Body over 16 MiB");
                behave("header-many", route, 1, "");
                expect(reads[i], "one", VERDICT_ANSWER, 200, "Headers over 64 KiB");
        }
}
END_TEST

START_TEST(other_statuses) {
        static const int statuses[] = { 302, 400, 401, 405, 418, 500, 502, 503, 504, 599 };

        for (size_t i = 0; i < ELEMENTSOF(reads); i++)
                for (size_t j = 0; j < ELEMENTSOF(statuses); j++) {
                        char more[64];

                        snprintf(more, sizeof more, ",\"code\":%d,\"body\":\"words\\nmore\"", statuses[j]);
                        behave("status", routes[reads[i]], 1, more);
                        expect(reads[i], "one", VERDICT_ANSWER, statuses[j], "words");
                }
        expect_done(CALL_VERSION, NULL, 200);
}
END_TEST

/* A 404 means something only where a name was asked for. */
START_TEST(not_found_for_what_must_be_there) {
        static const enum call_kind kinds[] = { CALL_VERSION, CALL_LIST_WORKLOADS, CALL_REGISTRY };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                behave("status", routes[kinds[i]], 1, ",\"code\":404,\"body\":\"\"");
                expect(kinds[i], NULL, VERDICT_ANSWER, 404, "HTTP 404");
        }
}
END_TEST

START_TEST(redirects_are_not_followed) {
        char more[256];

        snprintf(more, sizeof more, ",\"url\":\"%s" API "/workloads/elsewhere\"", standin.url);
        behave("redirect", routes[CALL_LIST_WORKLOADS], 1, more);
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_ANSWER, 302, "HTTP 302");
        standin_expect_requests(&standin, LIST VERSION HEALTH);
}
END_TEST

/* Nobody asked to switch: what comes is not HTTP any more. */
START_TEST(switching_protocols) {
        behave("switching", routes[CALL_LIST_WORKLOADS], 1, "");
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_FAILED, 0, "Not HTTP");
}
END_TEST

START_TEST(registry_problems) {
        static const struct {
                const char *problem, *error;
                int status;
        } rows[] = {
                { "registry_unavailable", "registry_unavailable: upstream registry is unavailable", 503 },
                { "registry_auth_required", "registry_auth_required: registry authentication required", 503 },
                { "registry_legacy_format", "registry_legacy_format: upstream registry uses the legacy format", 502 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                standin_tell(&standin, "registry", "{\"problem\":\"%s\"}", rows[i].problem);
                expect(CALL_REGISTRY, NULL, VERDICT_ANSWER, rows[i].status, rows[i].error);
                expect(CALL_REGISTRY_ENTRY, "server-001", VERDICT_ANSWER, rows[i].status, rows[i].error);
        }
}
END_TEST

START_TEST(runtime_away) {
        standin_tell(&standin, "toolhive", "{\"runtime_away\":true}");
        attempt(CALL_LIST_WORKLOADS, NULL);
        ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
        ck_assert_int_eq(outcome.status, 500);
        ck_assert_str_eq(outcome.error, "Internal Server Error");
        ck_assert(outcome.runtime_away);
        standin_expect_requests(&standin, LIST VERSION HEALTH);
        standin_tell(&standin, "toolhive", "{\"runtime_away\":false}");

        /* The runtime is back the next moment, or another thing is wrong. */
        behave("status", routes[CALL_LIST_WORKLOADS], 1, "");
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_ANSWER, 500, "Internal Server Error");
        standin_expect_requests(&standin, LIST VERSION HEALTH);

        /* /health is asked for the list alone. */
        behave("status", routes[CALL_REGISTRY], 1, "");
        expect(CALL_REGISTRY, NULL, VERDICT_ANSWER, 500, "Internal Server Error");
        standin_expect_requests(&standin, "GET " API "/registry/default\n" VERSION);
}
END_TEST

START_TEST(retry_after) {
        static const struct {
                const char *value;
                usec_t delay;
        } rows[] = {
                { "7", 7 * USEC_PER_SEC },
                { "0", 0 },
                /* The virtual clock stands at the year's first second. */
                { "Thu, 01 Jan 2026 00:01:30 GMT", 90 * USEC_PER_SEC },
                { "Wed, 31 Dec 2025 23:00:00 GMT", 0 },
                { "soon", USEC_INFINITY },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char more[128];

                snprintf(more, sizeof more, ",\"code\":503,\"headers\":{\"Retry-After\":\"%s\"}", rows[i].value);
                behave("status", routes[CALL_REGISTRY], 1, more);
                expect(CALL_REGISTRY, NULL, VERDICT_ANSWER, 503, "Internal Server Error");
                ck_assert_uint_eq(outcome.retry_after, rows[i].delay);
        }
}
END_TEST

/* ---- strangers and failures ---- */

START_TEST(strangers) {
        static const struct {
                int status;
                const char *error;
        } rows[] = {
                { 404, "Not ToolHive any more (HTTP 404)" },
                { 200, "Not ToolHive any more (HTTP 200)" },
                { 301, "Not ToolHive any more (HTTP 301)" },
                { 502, "Not ToolHive any more (HTTP 502)" },
                { 503, "Not ToolHive any more (HTTP 503)" },
                { 504, "Not ToolHive any more (HTTP 504)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char more[64];

                snprintf(more, sizeof more, ",\"code\":%d,\"body\":\"<html>\"", rows[i].status);
                behave("status", "*", 0, more);
                for (size_t j = 0; j < ELEMENTSOF(reads); j++) {
                        expect(reads[j], "one", VERDICT_FAILED, rows[i].status, rows[i].error);
                        ck_assert(!call.found);
                }
                ck_assert_int_gt(source->ops->check(source), 0);
                forget();
        }
        ck_assert_int_eq(source->ops->check(source), 0);
}
END_TEST

/* It answers with an error and is gone before it could be asked who it is. */
START_TEST(gone_after_the_answer) {
        behave("status", routes[CALL_LIST_WORKLOADS], 0, "");
        behave("close", "GET " API "/version", 0, "");
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_FAILED, 500, "Not ToolHive any more (HTTP 500)");
}
END_TEST

START_TEST(cut_short) {
        static const struct {
                const char *behaviour, *error;
                int status;
        } rows[] = {
                { "close", "Connection closed before the answer", 0 },
                { "reset-after-request", "Connection reset by peer", 0 },
                { "cut-headers", "Answer cut short", 200 },
                { "cut-body", "Answer cut short", 200 },
                { "length-long", "Answer cut short", 200 },
        };

        add_one();
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t j = 0; j < ELEMENTSOF(reads); j++) {
                        enum call_kind kind = reads[j];

                        behave(rows[i].behaviour, routes[kind], 1, "");
                        expect(kind, "one", is_registry(kind) ? VERDICT_ANSWER : VERDICT_FAILED, rows[i].status,
                               rows[i].error);
                        /* The rule is used up: asked once, never twice by libcurl itself. */
                        expect_done(kind, "one", 200);
                }

        /* A registry that breaks off at a stranger's is a failure, in its own words. */
        behave("close", "GET " API "/version", 0, "");
        behave("cut-body", routes[CALL_REGISTRY], 1, "");
        expect(CALL_REGISTRY, NULL, VERDICT_FAILED, 200, "Answer cut short");
}
END_TEST

START_TEST(silent) {
        settings.timeout = 1500 * USEC_PER_MSEC;
        toolhive_open(standin.url);

        behave("hang", routes[CALL_REGISTRY], 1, "");
        expect(CALL_REGISTRY, NULL, VERDICT_ANSWER, 0, "Timed out after 1.5 s");
        behave("hang", routes[CALL_LIST_WORKLOADS], 1, "");
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_FAILED, 0, "Timed out after 1.5 s");
}
END_TEST

START_TEST(too_slow) {
        settings.timeout = 1500 * USEC_PER_MSEC;
        toolhive_open(standin.url);

        behave("drip-body", routes[CALL_REGISTRY_ENTRY], 1, ",\"interval\":0.2");
        expect(CALL_REGISTRY_ENTRY, "one", VERDICT_ANSWER, 404, "Timed out after 1.5 s");
        behave("drip-body", routes[CALL_WORKLOAD_DETAILS], 1, ",\"interval\":0.2");
        expect(CALL_WORKLOAD_DETAILS, "one", VERDICT_FAILED, 404, "Timed out after 1.5 s");
}
END_TEST

START_TEST(not_http) {
        for (size_t i = 0; i < ELEMENTSOF(reads); i++) {
                behave("garbage", routes[reads[i]], 1, "");
                expect(reads[i], "one", is_registry(reads[i]) ? VERDICT_ANSWER : VERDICT_FAILED, 0, "Not HTTP");
        }
}
END_TEST

START_TEST(refused) {
        standin_tell(&standin, "stop", "{}");
        for (size_t i = 0; i < ELEMENTSOF(reads); i++)
                expect(reads[i], "one", VERDICT_FAILED, 0, "Connection refused");
        standin_tell(&standin, "start", "{}");
        expect_done(CALL_VERSION, NULL, 200);
}
END_TEST

START_TEST(stopped) {
        virtual_at(&v, 0, VIRTUAL_STOP);
        for (size_t i = 0; i < ELEMENTSOF(reads); i++) {
                call = (struct call) { .kind = reads[i], .name = "one" };
                ck_assert_int_eq(source->ops->perform(source, &call, &outcome), -ECANCELED);
        }
        standin_expect_requests(&standin, "");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
        TCase *tests = tcase_create(name);

        tcase_set_timeout(tests, 100);
        tcase_add_checked_fixture(tests, toolhive_setup, toolhive_teardown);
        suite_add_tcase(suite, tests);
        return tests;
}

int main(void) {
        static const char *const cases[] = { "bodies and statuses", "problems", "failures", "silent", "too slow", NULL };
        Suite *suite = suite_create("toolhive answers");
        TCase *tests;

        tests = add_case(suite, "bodies and statuses");
        tcase_add_test(tests, bad_bodies);
        tcase_add_test(tests, bodies_out_of_bounds);
        tcase_add_test(tests, other_statuses);
        tcase_add_test(tests, not_found_for_what_must_be_there);
        tcase_add_test(tests, redirects_are_not_followed);
        tcase_add_test(tests, switching_protocols);

        tests = add_case(suite, "problems");
        tcase_add_test(tests, registry_problems);
        tcase_add_test(tests, runtime_away);
        tcase_add_test(tests, retry_after);
        tcase_add_test(tests, strangers);
        tcase_add_test(tests, gone_after_the_answer);

        tests = add_case(suite, "failures");
        tcase_add_test(tests, cut_short);
        tcase_add_test(tests, not_http);
        tcase_add_test(tests, refused);
        tcase_add_test(tests, stopped);

        tests = add_case(suite, "silent");
        tcase_add_test(tests, silent);

        tests = add_case(suite, "too slow");
        tcase_add_test(tests, too_slow);

        return suite_run_abreast(suite, cases);
}
