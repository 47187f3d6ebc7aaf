/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the API server may answer instead of what was asked for, what counts as a
 * connection failure, and the token: what is sent, where from, and where to.
 */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "http_server.h"
#include "kubernetes_fixture.h"
#include "suite.h"

#define MCPSERVERS "LIST *mcpservers"
#define STATUS(code, more) ",\"code\":" #code more

/* ---- bodies that are no lists ---- */

static const struct {
        const char *body, *problem;
} bodies[] = {
        { "", "an empty body" },
        { "<html>", "not JSON" },
        { "{\"metadata\":{},\"items\":[", "JSON that is cut short" },
        { "[]", "not a list of the API server" },
        { "null", "not a list of the API server" },
        { "{\"items\":[]}", "not a list of the API server" },
        { "{\"metadata\":null,\"items\":[]}", "not a list of the API server" },
        { "{\"metadata\":[],\"items\":[]}", "not a list of the API server" },
        { "{\"metadata\":{},\"metadata\":{},\"items\":[]}", "not a list of the API server" },
        { "{\"metadata\":{}}", "no \"items\"" },
        { "{\"metadata\":{},\"items\":{}}", "no \"items\"" },
        { "{\"metadata\":{},\"items\":\"\"}", "no \"items\"" },
        { "{\"metadata\":{},\"items\":[],\"items\":[]}", "no \"items\"" },
        { "{\"metadata\":{\"continue\":7},\"items\":[]}", "invalid \"continue\"" },
        { "{\"metadata\":{\"continue\":\"a\",\"continue\":\"a\"},\"items\":[]}", "invalid \"continue\"" },
};

/* Each costs its resource this once, and the others nothing. */
START_TEST(no_lists) {
        objects("{\"add\":[\"tools/a\",\"virtualmcpservers/tools/b\"]}");
        expect_list("tools/a:running tools/b:running");
        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(json_object_putp) struct json_object *body = json_object_new_string(bodies[i].body);
                char error[ERROR_MAX];

                objects("{\"raw\":%s}", json_object_to_json_string(body));
                expect_list("tools/a:running tools/b:running");
                snprintf(error, sizeof error, "Unusable body: %s", bodies[i].problem);
                expect_problem(error);
                ck_assert_int_eq(outcome.status, 200);
                ck_assert_ptr_null(outcome.denied.verb);
        }
        objects("{}");
        expect_list("tools/a:running tools/b:running");
        expect_problem(NULL);
}
END_TEST

START_TEST(empty_lists) {
        static const char *const empty[] = {
                "{\"metadata\":{\"continue\":\"\",\"resourceVersion\":\"7\"},\"items\":[]}",
                "{\"metadata\":{\"continue\":null,\"resourceVersion\":\"7\"},\"items\":null}",
                " {\"items\" : [ ], \"more\": {}, \"metadata\" : { \"resourceVersion\" : \"7\" } } ",
        };

        for (size_t i = 0; i < ELEMENTSOF(empty); i++) {
                _cleanup_(json_object_putp) struct json_object *body = json_object_new_string(empty[i]);

                objects("{\"raw\":%s}", json_object_to_json_string(body));
                expect_list("");
                expect_problem(NULL);
        }
}
END_TEST

/* Objects that make no sense are named, as far as they have names; the others are there. */
START_TEST(bad_objects) {
        objects("{\"raw\":\"{\\\"metadata\\\":{\\\"resourceVersion\\\":\\\"7\\\"},\\\"items\\\":[null,{},"
                "{\\\"metadata\\\":{\\\"name\\\":\\\"x\\\",\\\"namespace\\\":\\\"n\\\"},\\\"spec\\\":[]},"
                "{\\\"metadata\\\":{\\\"name\\\":\\\"y\\\",\\\"namespace\\\":\\\"n\\\"}},"
                "{\\\"metadata\\\":{\\\"name\\\":\\\"y\\\",\\\"namespace\\\":\\\"n\\\"}}]}\"}");
        expect_list("n/y:unknown");
        expect_problem(NULL);
        ck_assert_uint_eq(call.workloads->n_bad, 3);
        ck_assert_str_eq(call.workloads->bad[0].name, "#0");
        ck_assert_str_eq(call.workloads->bad[0].problem, "no valid name or namespace");
        ck_assert_str_eq(call.workloads->bad[2].name, "n/x");
        ck_assert_str_eq(call.workloads->bad[2].problem, "invalid spec");
}
END_TEST

/* A list of so many objects, named by their numbers or without a name, as a string in JSON. The caller frees. */
static char *many(size_t n, bool named) {
        char *body = malloc(n * 80 + 128), *end;

        ck_assert_ptr_nonnull(body);
        end = stpcpy(body, "\"{\\\"metadata\\\":{\\\"resourceVersion\\\":\\\"7\\\"},\\\"items\\\":[");
        for (size_t i = 0; i < n; i++)
                end += sprintf(end, "{\\\"metadata\\\":{\\\"name\\\":\\\"%zu\\\",\\\"namespace\\\":\\\"%s\\\"}},", i,
                               named ? "n" : "");
        strcpy(end - 1, "]}\"");
        return body;
}

START_TEST(too_many) {
        for (size_t named = 0; named < 2; named++)
                for (size_t over = 0; over < 2; over++) {
                        _cleanup_(freep) char *body = many(WORKLOADS_MAX + over, named);

                        objects("{\"raw\":%s}", body);
                        attempt(CALL_LIST_WORKLOADS, NULL);
                        ck_assert_int_eq(outcome.verdict, VERDICT_DONE);
                        expect_problem(over ? "Unusable body: too many workloads" : NULL);
                        ck_assert_uint_eq(call.workloads->n_items + call.workloads->n_bad, WORKLOADS_MAX);
                }
}
END_TEST

/* A server whose next page is the one that was asked for: it is not asked for a third time. */
START_TEST(list_without_end) {
        static const struct server_script endless = {
                .answer = "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n{\"metadata\":{\"continue\":\"x\"},"
                          "\"items\":null}",
                .end = SERVER_KEEP,
        };
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &endless));
        *strrchr(server.url, '/') = '\0';
        settings.k8s_api_server_url = server.url;
        cluster_open();
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 200, "Unusable body: a list without end");
        ck_assert_uint_eq(atomic_load(&server.requests), 1 + 3 * 2);
        source = source_free(source);
        server_stop(&server);
}
END_TEST

/* ---- other statuses ---- */

static const struct {
        const char *more;
        int status;
        enum verdict verdict;
        const char *error;
        usec_t retry_after;
} statuses[] = {
        { STATUS(500, ""), 500, VERDICT_ANSWER, "Internal Server Error", USEC_INFINITY },
        { STATUS(400, ",\"body\":\"{\\\"kind\\\":\\\"Status\\\",\\\"message\\\":\\\"no way\\\"}\""), 400,
          VERDICT_ANSWER,
          "no way", USEC_INFINITY },
        { STATUS(302, ",\"body\":\"\",\"headers\":{\"Location\":\"http://127.0.0.1:1/\"}"), 302, VERDICT_ANSWER,
          "HTTP 302",
          USEC_INFINITY },
        { STATUS(500, ",\"headers\":{\"Retry-After\":\"7\"}"), 500, VERDICT_ANSWER, "Internal Server Error",
          7 * USEC_PER_SEC },
        { STATUS(201, ",\"body\":\"{}\""), 201, VERDICT_ANSWER, "Unusable body: not what was asked for",
          USEC_INFINITY },
        { STATUS(429, ""), 429, VERDICT_FAILED, "HTTP 429", USEC_INFINITY },
        { STATUS(429, ",\"headers\":{\"Retry-After\":\"1\"}"), 429, VERDICT_FAILED, "HTTP 429", USEC_PER_SEC },
        { STATUS(502, ""), 502, VERDICT_FAILED, "HTTP 502", USEC_INFINITY },
        { STATUS(503, ",\"headers\":{\"Retry-After\":\"300\"}"), 503, VERDICT_FAILED, "HTTP 503", 300 * USEC_PER_SEC },
        { STATUS(504, ",\"headers\":{\"Retry-After\":\"86400\"}"), 504, VERDICT_FAILED, "HTTP 504",
          300 * USEC_PER_SEC },
        { STATUS(501, ""), 501, VERDICT_ANSWER, "Internal Server Error", USEC_INFINITY },
        { STATUS(505, ""), 505, VERDICT_ANSWER, "Internal Server Error", USEC_INFINITY },
};

START_TEST(other_statuses) {
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                standin_tell(&standin, "clear", "{}");
                behave("status", "LIST *", 0, statuses[i].more);
                expect(CALL_LIST_WORKLOADS, statuses[i].verdict, statuses[i].status, statuses[i].error);
                ck_assert_msg(outcome.retry_after == statuses[i].retry_after, "%s", statuses[i].more);
        }
}
END_TEST

/* ---- failures ---- */

static void expect_failure(const char *error) {
        expect(CALL_LIST_WORKLOADS, VERDICT_FAILED, 0, error);
        ck_assert_uint_eq(outcome.retry_after, USEC_INFINITY);
        ck_assert_ptr_null(call.workloads);
}

START_TEST(failures) {
        objects("{\"add\":[\"tools/a\"]}");
        /* Not once only: on a kept connection that dies libcurl asks again by itself. */
        behave("reset-after-request", "LIST *virtualmcpservers", 0, "");
        expect_failure("Connection reset by peer");
        standin_tell(&standin, "clear", "{}");
        /* After a failure it is asked again who is there. */
        standin_tell(&standin, "reset", "{}");
        expect_list("tools/a:running");
        standin_expect_requests(&standin, VERSION LISTS);

        behave("close", MCPSERVERS, 0, "");
        expect_failure("Connection closed before the answer");
        standin_tell(&standin, "clear", "{}");
        settings.timeout = 100 * USEC_PER_MSEC;
        behave("hang", "GET /version", 1, "");
        expect_failure("Timed out after 0.1 s");
        behave("hang", "GET /version", 1, "");
        ck_assert_int_gt(source->ops->check(source), 0);
        settings.timeout = 20 * USEC_PER_SEC;
        ck_assert_int_eq(source->ops->check(source), 0);

        standin_tell(&standin, "stop", "{}");
        expect_failure("Connection refused");
        ck_assert_int_gt(source->ops->check(source), 0);
        standin_tell(&standin, "start", "{}");
        ck_assert_int_eq(source->ops->check(source), 0);
        expect_list("tools/a:running");
}
END_TEST

/* Retrying is for others: one attempt, and what was listed before the failure is listed. */
START_TEST(failure_in_the_middle) {
        objects("{\"add\":[\"tools/a\",\"virtualmcpservers/tools/b\"]}");
        expect_list("tools/a:running tools/b:running");
        objects("{\"remove\":[\"tools/a\",\"virtualmcpservers/tools/b\"]}");
        standin_tell(&standin, "reset", "{}");
        behave("status", "LIST *virtualmcpservers", 1, STATUS(503, ""));
        expect(CALL_LIST_WORKLOADS, VERDICT_FAILED, 503, "HTTP 503");
        ck_assert_uint_eq(standin_count_requests(&standin, "GET"), 2);
        ck_assert_uint_eq(kubernetes_of(source)->listed[RESOURCE_SERVER].store.n_items, 0);
        ck_assert_uint_eq(kubernetes_of(source)->listed[RESOURCE_VIRTUAL].store.n_items, 1);
}
END_TEST

START_TEST(stopped) {
        behave("hang", MCPSERVERS, 0, "");
        virtual_at(&v, virtual_seconds(1), VIRTUAL_STOP);
        virtual_advance(&v, USEC_PER_SEC);
        call = (struct call) { .kind = CALL_LIST_WORKLOADS };
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), -ECANCELED);
        ck_assert_int_eq(source->ops->check(source), -ECANCELED);
}
END_TEST

/* ---- the version ---- */

static const struct {
        const char *more;
        enum verdict verdict;
        const char *error;
} versions[] = {
        { STATUS(403, ",\"body\":\"no\""), VERDICT_ANSWER, "no" },
        { STATUS(404, ",\"body\":\"404 page not found\""), VERDICT_ANSWER, "404 page not found" },
        { STATUS(200, ",\"body\":\"{}\""), VERDICT_ANSWER, "Unusable body: no version" },
        { STATUS(200, ",\"body\":\"ok\""), VERDICT_ANSWER, "Unusable body: no version" },
        { STATUS(200, ",\"body\":\"[]\""), VERDICT_ANSWER, "Unusable body: no version" },
        { STATUS(200, ",\"body\":\"{\\\"gitVersion\\\":1}\""), VERDICT_ANSWER, "Unusable body: no version" },
        { STATUS(200, ",\"body\":\"{\\\"gitVersion\\\":\\\"\\\"}\""), VERDICT_ANSWER, "Unusable body: no version" },
        { STATUS(200, ",\"body\":\"{\\\"gitVersion\\\":\\\"v1\\\\u001b[2J\\\"}\""), VERDICT_ANSWER,
          "Unusable body: no version" },
};

/* Who keeps it to himself is there all the same, and is asked again. */
START_TEST(no_version) {
        objects("{\"add\":[\"tools/a\"]}");
        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                cluster_open();
                standin_tell(&standin, "clear", "{}");
                standin_tell(&standin, "reset", "{}");
                behave("status", "GET /version", 0, versions[i].more);
                attempt(CALL_VERSION, NULL);
                ck_assert_int_eq(outcome.verdict, versions[i].verdict);
                ck_assert_str_eq(outcome.error, versions[i].error);
                ck_assert_ptr_null(outcome.denied.verb);
                ck_assert(source->known);
                ck_assert_str_eq(source->version, "");
                ck_assert_int_eq(source->ops->check(source), 0);
                expect_list("tools/a:running");
                expect_list("tools/a:running");
                standin_expect_requests(&standin, VERSION VERSION VERSION LISTS VERSION LISTS);
        }
        standin_tell(&standin, "clear", "{}");
        expect_list("tools/a:running");
        ck_assert_str_eq(source->version, "v1.34.1");
        expect_list("tools/a:running");
        standin_expect_requests(&standin, VERSION LISTS LISTS);
}
END_TEST

START_TEST(no_such_operation) {
        static const enum call_kind kinds[] = { CALL_REGISTRY, CALL_REGISTRY_ENTRY, CALL_INSTALL };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                expect(kinds[i], VERDICT_ANSWER, 0, "Kubernetes has no such operation");
        standin_expect_requests(&standin, VERSION);
}
END_TEST

/* ---- the token ---- */

static void require_token(const char *token) {
        cluster("{\"tokens\":{\"%s\":\"system:serviceaccount:tools:mcp-optimizer\"},\"anonymous\":false}", token);
}

START_TEST(token_is_read_each_time) {
        settings.k8s_token_file = cluster_token("first\n");
        cluster_open();
        require_token("first");
        expect_list("");
        settings.k8s_token_file = cluster_token("second");
        require_token("second");
        expect_list("");
        cluster_token("third\r\n");
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        ck_assert_str_eq(outcome.denied.remedy, "another token in K8S_TOKEN_FILE");
}
END_TEST

static void replace_token(void *user) {
        cluster_token(user);
        waiter_set_hooks(&v.waiter, USEC_INFINITY, NULL, NULL, NULL);
}

/* Replaced between the reading and the answer: with the other one at once, and once only. */
START_TEST(token_is_replaced_meanwhile) {
        char second[] = "second", third[] = "third";

        settings.k8s_token_file = cluster_token("first");
        cluster_open();
        require_token("second");
        waiter_set_hooks(&v.waiter, 0, replace_token, NULL, second);
        expect_list("");
        standin_expect_requests(&standin, VERSION VERSION LISTS);

        require_token("else");
        waiter_set_hooks(&v.waiter, 0, replace_token, NULL, third);
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        standin_expect_requests(&standin, LIST(V1BETA1 "/mcpservers") LIST(V1BETA1 "/mcpservers"));
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        standin_expect_requests(&standin, LIST(V1BETA1 "/mcpservers"));
}
END_TEST

/* Whoever named the file is told; asking without it would only be refused. */
START_TEST(token_that_is_none) {
        static const char *const bad[] = { "", "\n", "two words", "two\nlines", " word", "w\xC3\xB6rd", "word\x7F",
                                           "a\tb" };
        char error[ERROR_MAX], *path = cluster_token("word");

        settings.k8s_token_file = path;
        cluster_open();
        snprintf(error, sizeof error, "Cannot read the token in %s: No token in it", path);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                cluster_token(bad[i]);
                expect_failure(error);
        }
        snprintf(error, sizeof error, "Cannot read the token in %s: No such file or directory", path);
        ck_assert_int_eq(unlink(path), 0);
        expect_failure(error);
        ck_assert_uint_eq(source->requests(source), 0);
        ck_assert_int_gt(source->ops->check(source), 0);
}
END_TEST

/* Over plain HTTP it goes to this machine only. */
START_TEST(token_is_withheld) {
        static const struct {
                const char *url;
                bool withheld;
        } rows[] = {
                { "https://10.0.0.1:443", false }, { "https://kubernetes.default.svc", false },
                { "http://127.0.0.1:8001", false }, { "http://localhost:8001", false }, { "http://[::1]:8001", false },
                { "http://127.9.9.9", false }, { "http://10.0.0.1:8001", true }, { "http://kubernetes:8001", true },
                { "http://localhost.example:8001", true }, { "http://[fd00::1]", true },
                { "http://127.0.0.1.example", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                settings.k8s_api_server_url = (char *) rows[i].url;
                settings.k8s_token_file = (char *) "/token";
                ck_assert_msg(kubernetes_withholds_token(&settings) == rows[i].withheld, "%s", rows[i].url);
                cluster_open();
                ck_assert_int_eq(!kubernetes_of(source)->token_file, rows[i].withheld);
                settings.k8s_token_file = NULL;
                ck_assert(!kubernetes_withholds_token(&settings));
        }
}
END_TEST

/* It is not sent to any other, who then denies; 0.0.0.0 is another by its name, and here all the same. */
START_TEST(token_is_not_sent) {
        _cleanup_(json_object_putp) struct json_object *journal = NULL;
        char url[64];

        snprintf(url, sizeof url, "http://0.0.0.0:%s", strrchr(standin.url, ':') + 1);
        settings.k8s_api_server_url = url;
        settings.k8s_token_file = cluster_token("word");
        cluster_open();
        require_token("word");
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        ck_assert_str_eq(outcome.denied.remedy, "https in K8S_API_SERVER_URL");
        journal = standin_ask(&standin, "requests", "{}");
        ck_assert_ptr_nonnull(strstr(json_object_to_json_string(journal), "\"accept\""));
        ck_assert_ptr_null(strstr(json_object_to_json_string(journal), "\"authorization\""));
}
END_TEST

START_TEST(no_token) {
        require_token("word");
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        ck_assert_str_eq(outcome.denied.remedy, "a token in K8S_TOKEN_FILE");

        /* As most clusters see it: nobody in particular, who has no right. */
        cluster("{\"anonymous\":true}");
        attempt(CALL_LIST_WORKLOADS, NULL);
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.remedy, "a token in K8S_TOKEN_FILE");
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                no_lists, empty_lists, bad_objects, too_many, list_without_end, other_statuses,
                failures, failure_in_the_middle, stopped, no_version, no_such_operation,
                token_is_read_each_time, token_is_replaced_meanwhile, token_that_is_none,
                token_is_withheld, token_is_not_sent, no_token,
        };
        Suite *suite = suite_create("kubernetes answers");
        TCase *tcase = cluster_case(suite, "answers");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
