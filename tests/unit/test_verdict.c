/* SPDX-License-Identifier: Apache-2.0 */

/* What a response means: an answer, a question of identity, or a connection failure; and its words. */

#include <check.h>
#include <string.h>

#include "source/verdict.h"
#include "suite.h"

static const enum call_kind all_kinds[] = {
        CALL_VERSION, CALL_LIST_WORKLOADS, CALL_WORKLOAD_DETAILS, CALL_REGISTRY, CALL_REGISTRY_ENTRY, CALL_INSTALL,
};

static bool is_registry(enum call_kind kind) {
        return kind == CALL_REGISTRY || kind == CALL_REGISTRY_ENTRY;
}

/* Expected is a 2xx with the right body; every other answer is checked, whatever its status. */
START_TEST(answers) {
        static const struct {
                int status;
                bool body_good;
                enum reading reading;
        } rows[] = {
                { 200, true, READING_EXPECTED }, { 201, true, READING_EXPECTED }, { 299, true, READING_EXPECTED },
                { 200, false, READING_CHECK }, { 204, false, READING_CHECK }, { 100, true, READING_CHECK },
                { 199, true, READING_CHECK }, { 300, true, READING_CHECK }, { 302, false, READING_CHECK },
                { 400, false, READING_CHECK }, { 401, false, READING_CHECK }, { 404, false, READING_CHECK },
                { 409, false, READING_CHECK }, { 429, false, READING_CHECK }, { 500, false, READING_CHECK },
                { 502, false, READING_CHECK }, { 503, false, READING_CHECK }, { 504, false, READING_CHECK },
                { 999, false, READING_CHECK },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t k = 0; k < ELEMENTSOF(all_kinds); k++) {
                        struct http_response response = { .result = HTTP_ANSWER, .status = rows[i].status };

                        ck_assert_msg(verdict_read(&(struct call) { .kind = all_kinds[k] }, &response, rows[i].body_good) == rows[i].reading,
                                      "%s, HTTP %d", call_kind_name(all_kinds[k]), rows[i].status);
                }
}
END_TEST

START_TEST(failures) {
        static const struct {
                enum http_result result;
                enum reading reading, of_registry;
        } rows[] = {
                { HTTP_REFUSED, READING_FAILED, READING_FAILED },
                { HTTP_NO_CONNECTION, READING_FAILED, READING_FAILED },
                { HTTP_NO_NAME, READING_FAILED, READING_FAILED },
                { HTTP_TLS, READING_FAILED, READING_FAILED },
                { HTTP_LOCAL, READING_FAILED, READING_FAILED },
                /* Only workloads that cannot be had end the service. */
                { HTTP_TIMEOUT, READING_FAILED, READING_CHECK },
                { HTTP_CUT, READING_FAILED, READING_CHECK },
                { HTTP_NOT_HTTP, READING_FAILED, READING_CHECK },
                { HTTP_TOO_LARGE, READING_CHECK, READING_CHECK },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t k = 0; k < ELEMENTSOF(all_kinds); k++) {
                        /* An incomplete answer has a status, too: it does not make it whole. */
                        struct http_response response = { .result = rows[i].result, .status = 200, .sent = true };

                        ck_assert_msg(verdict_read(&(struct call) { .kind = all_kinds[k] }, &response, true) ==
                                              (is_registry(all_kinds[k]) ? rows[i].of_registry : rows[i].reading),
                                      "%s, result %d", call_kind_name(all_kinds[k]), rows[i].result);
                }
}
END_TEST

/* What a poll asks besides its list does not end the service either, however slow it is. */
START_TEST(secondary_calls) {
        const struct call details = { .kind = CALL_WORKLOAD_DETAILS, .secondary = true };
        static const enum http_result results[] = { HTTP_TIMEOUT, HTTP_CUT, HTTP_NOT_HTTP };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                struct http_response response = { .result = results[i], .sent = true };

                ck_assert_int_eq(verdict_read(&details, &response, false), READING_CHECK);
                response.sent = false;
                ck_assert_int_eq(verdict_read(&details, &response, false), READING_FAILED);
        }
}
END_TEST

/* A registry that was never asked did not answer slowly: the connection is what failed. */
START_TEST(registry_not_reached) {
        static const enum http_result results[] = { HTTP_TIMEOUT, HTTP_CUT, HTTP_NOT_HTTP };

        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                struct http_response response = { .result = results[i], .sent = false };

                ck_assert_int_eq(verdict_read(&(struct call) { .kind = CALL_REGISTRY }, &response, false), READING_FAILED);
                ck_assert_int_eq(verdict_read(&(struct call) { .kind = CALL_REGISTRY_ENTRY }, &response, false), READING_FAILED);
        }
}
END_TEST

/* At the API server's address nobody else is expected: no check follows, and some statuses are no answers. */
START_TEST(of_a_cluster) {
        static const struct {
                enum http_result result;
                int status;
                enum reading reading;
        } rows[] = {
                { HTTP_ANSWER, 200, READING_EXPECTED }, { HTTP_ANSWER, 201, READING_EXPECTED },
                { HTTP_ANSWER, 299, READING_EXPECTED }, { HTTP_ANSWER, 199, READING_CHECK },
                { HTTP_ANSWER, 300, READING_CHECK }, { HTTP_ANSWER, 302, READING_CHECK },
                { HTTP_ANSWER, 400, READING_CHECK }, { HTTP_ANSWER, 401, READING_CHECK },
                { HTTP_ANSWER, 403, READING_CHECK }, { HTTP_ANSWER, 404, READING_CHECK },
                { HTTP_ANSWER, 410, READING_CHECK }, { HTTP_ANSWER, 428, READING_CHECK },
                { HTTP_ANSWER, 429, READING_FAILED }, { HTTP_ANSWER, 430, READING_CHECK },
                { HTTP_ANSWER, 500, READING_CHECK }, { HTTP_ANSWER, 501, READING_CHECK },
                { HTTP_ANSWER, 502, READING_FAILED }, { HTTP_ANSWER, 503, READING_FAILED },
                { HTTP_ANSWER, 504, READING_FAILED }, { HTTP_ANSWER, 505, READING_CHECK },
                { HTTP_TOO_LARGE, 200, READING_CHECK }, { HTTP_TOO_LARGE, 503, READING_CHECK },
                { HTTP_REFUSED, 0, READING_FAILED }, { HTTP_NO_CONNECTION, 0, READING_FAILED },
                { HTTP_NO_NAME, 0, READING_FAILED }, { HTTP_TLS, 0, READING_FAILED }, { HTTP_LOCAL, 0, READING_FAILED },
                { HTTP_TIMEOUT, 0, READING_FAILED }, { HTTP_TIMEOUT, 200, READING_FAILED },
                { HTTP_CUT, 200, READING_FAILED }, { HTTP_NOT_HTTP, 0, READING_FAILED },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_msg(verdict_of_cluster(&(struct http_response) { .result = rows[i].result, .status = rows[i].status }) ==
                                      rows[i].reading, "result %d, HTTP %d", rows[i].result, rows[i].status);
}
END_TEST

START_TEST(results) {
        static const struct {
                enum call_kind kind;
                int status;
                bool result;
        } rows[] = {
                { CALL_WORKLOAD_DETAILS, 404, true }, { CALL_WORKLOAD_DETAILS, 400, false },
                { CALL_WORKLOAD_DETAILS, 500, false }, { CALL_REGISTRY_ENTRY, 404, true },
                { CALL_REGISTRY_ENTRY, 503, false }, { CALL_INSTALL, 400, true }, { CALL_INSTALL, 404, true },
                { CALL_INSTALL, 409, true }, { CALL_INSTALL, 499, true }, { CALL_INSTALL, 500, false },
                { CALL_INSTALL, 399, false }, { CALL_LIST_WORKLOADS, 404, false }, { CALL_REGISTRY, 404, false },
                { CALL_VERSION, 404, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_msg(verdict_is_result(rows[i].kind, rows[i].status) == rows[i].result, "%s, HTTP %d",
                              call_kind_name(rows[i].kind), rows[i].status);
}
END_TEST

static struct http_response answer(int status, const char *body) {
        return (struct http_response) {
                .result = HTTP_ANSWER, .status = status, .body = (char *) body, .size = body ? strlen(body) : 0,
        };
}

START_TEST(words) {
        static const struct {
                int status;
                const char *body, *words;
        } rows[] = {
                { 500, "Internal Server Error\n", "Internal Server Error" },
                { 500, "first line\r\nsecond line\n", "first line" },
                { 503, NULL, "HTTP 503" },
                { 503, "{\"code\":\"registry_unavailable\",\"message\":\"no way there\"}",
                  "registry_unavailable: no way there" },
                { 503, "{\"message\":\"no way there\"}", "no way there" },
                { 503, "{\"message\":\"two\\nlines\"}", "two" },
                /* JSON without words, and what only begins like JSON, is told as it is. */
                { 403, "{\"code\":\"x\"}", "{\"code\":\"x\"}" },
                { 403, "{\"message\":7}", "{\"message\":7}" },
                { 403, "{\"message\":\"cut", "{\"message\":\"cut" },
                { 403, "[\"message\"]", "[\"message\"]" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct http_response response = answer(rows[i].status, rows[i].body);
                char error[ERROR_MAX] = "unset";

                verdict_describe(&response, NULL, error);
                ck_assert_str_eq(error, rows[i].words);
        }
}
END_TEST

START_TEST(words_of_a_bad_body_and_of_a_failure) {
        struct http_response response = answer(200, "[]");
        char error[ERROR_MAX];

        verdict_describe(&response, "no \"workloads\"", error);
        ck_assert_str_eq(error, "Unusable body: no \"workloads\"");
        verdict_describe(&response, NULL, error);
        ck_assert_str_eq(error, "Unusable body: not what was asked for");

        response = (struct http_response) { .result = HTTP_TIMEOUT, .error = "Timed out after 10.0 s" };
        verdict_describe(&response, NULL, error);
        ck_assert_str_eq(error, "Timed out after 10.0 s");
}
END_TEST

/* A long line is cut between characters, and never past the buffer. */
START_TEST(words_are_cut) {
        char body[2000], json[2100], error[ERROR_MAX];
        struct http_response response;

        memset(body, 'x', sizeof body - 1);
        body[sizeof body - 1] = '\0';
        response = answer(500, body);
        verdict_describe(&response, NULL, error);
        ck_assert_uint_eq(strlen(error), ERROR_MAX - 1);

        for (size_t offset = 0; offset < 4; offset++) {
                size_t n = offset;

                memset(body, 'x', offset);
                while (n + 3 < sizeof body - 1)
                        n += (size_t) snprintf(body + n, sizeof body - n, "€");
                response = answer(500, body);
                verdict_describe(&response, NULL, error);
                ck_assert_uint_lt(strlen(error), ERROR_MAX);
                ck_assert_uint_gt(strlen(error), ERROR_MAX - 5);
                ck_assert_uint_eq((strlen(error) - offset) % 3, 0);

                snprintf(json, sizeof json, "{\"code\":\"c\",\"message\":\"%s\"}", body);
                response = answer(500, json);
                verdict_describe(&response, NULL, error);
                ck_assert_uint_lt(strlen(error), ERROR_MAX);
                ck_assert_uint_eq((strlen(error) - offset - strlen("c: ")) % 3, 0);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("verdict");
        TCase *reading = tcase_create("reading"), *describing = tcase_create("words");

        tcase_add_test(reading, answers);
        tcase_add_test(reading, failures);
        tcase_add_test(reading, registry_not_reached);
        tcase_add_test(reading, secondary_calls);
        tcase_add_test(reading, of_a_cluster);
        tcase_add_test(reading, results);
        suite_add_tcase(suite, reading);

        tcase_add_test(describing, words);
        tcase_add_test(describing, words_of_a_bad_body_and_of_a_failure);
        tcase_add_test(describing, words_are_cut);
        suite_add_tcase(suite, describing);

        return suite_run(suite);
}
