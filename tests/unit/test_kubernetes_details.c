/* SPDX-License-Identifier: Apache-2.0 */

/* One workload's details: where they are looked for, what is told of them, and what never is. */

#include <check.h>
#include <string.h>

#include "kubernetes_fixture.h"
#include "suite.h"

#define SELECTED(path, query) "GET " path "?limit=500&fieldSelector=" query "\n"
#define SELECTED_ALL(query)                                                                     \
        SELECTED(V1BETA1 "/mcpservers", query) SELECTED(V1BETA1 "/virtualmcpservers", query)    \
        SELECTED(V1BETA1 "/mcpremoteproxies", query)

static void ask(const char *name) {
        attempt(CALL_WORKLOAD_DETAILS, name);
        ck_assert_msg(outcome.verdict == VERDICT_DONE && outcome.status == 200, "%s: %d, %s", name, outcome.status,
                      outcome.error);
}

static void expect_found(const char *name, const char *document) {
        ask(name);
        ck_assert(call.found && !call.several);
        ck_assert_str_eq(json_object_to_json_string_ext(call.document,
                                                        JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE),
                         document);
}

static void expect_none(const char *name) {
        ask(name);
        ck_assert(!call.found && !call.several && !call.document);
}

static void expect_several(const char *name, const char *which) {
        ask(name);
        ck_assert(!call.found && !call.document);
        ck_assert_str_eq(call.several, which);
}

/* ---- finding it ---- */

START_TEST(by_name) {
        objects("{\"add\":[\"tools/fetch\",\"tools/github\"]}");
        ask("fetch");
        ck_assert(call.found);
        standin_expect_requests(&standin, VERSION SELECTED_ALL("metadata.name%3Dfetch"));
        ask("tools/fetch");
        ck_assert(call.found);
        standin_expect_requests(&standin, SELECTED_ALL("metadata.name%3Dfetch%2Cmetadata.namespace%3Dtools"));
        expect_none("other/fetch");
        expect_none("fetc");
        expect_none("/fetch");
        expect_none("fetch/");
}
END_TEST

START_TEST(in_one_namespace) {
        settings.k8s_all_namespaces = false;
        settings.k8s_namespace = (char *) "tools";
        cluster_open();
        objects("{\"add\":[\"tools/fetch\",\"other/fetch\",\"other/github\"]}");
        ask("fetch");
        ck_assert(call.found);
        standin_expect_requests(&standin, VERSION SELECTED(V1BETA1 "/namespaces/tools/mcpservers",
                                                           "metadata.name%3Dfetch")
                                SELECTED(V1BETA1 "/namespaces/tools/virtualmcpservers", "metadata.name%3Dfetch")
                                SELECTED(V1BETA1 "/namespaces/tools/mcpremoteproxies", "metadata.name%3Dfetch"));
        expect_none("github");
        expect_none("other/fetch");
}
END_TEST

START_TEST(several) {
        objects("{\"add\":[\"a/x\",\"b/x\",\"virtualmcpservers/b/x\",\"mcpremoteproxies/c/x\","
                "\"mcpremoteproxies/c/y\"]}");
        expect_several("x", "a/x, b/x, b/x, c/x");
        expect_several("b/x", "b/x, b/x");
        ask("a/x");
        ck_assert(call.found);
        ask("y");
        ck_assert(call.found);
}
END_TEST

/* What would be more than a name to the API server is no name, and is not asked for. */
START_TEST(names_that_are_none) {
        static const char *const names[] = { "x,metadata.namespace=a", "x=y", "a\\,b", "a\\b", "a/x,y", "=", "," };

        objects("{\"add\":[\"a/x\"]}");
        expect_none("none");
        standin_tell(&standin, "reset", "{}");
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                expect_none(names[i]);
        standin_expect_requests(&standin, "");
        expect_none("a b&limit?#%/\xC3\xA9");
        standin_expect_requests(&standin, SELECTED_ALL("metadata.name%3D%C3%A9%2Cmetadata.namespace%3D"
                                                       "a%20b%26limit%3F%23%25"));
}
END_TEST

START_TEST(long_name) {
        char name[CALL_NAME_MAX + 1];

        memset(name, 'x', CALL_NAME_MAX);
        name[CALL_NAME_MAX] = '\0';
        expect_none(name);
        name[CALL_NAME_MAX / 2] = '/';
        expect_none(name);
}
END_TEST

/* In the version that is served; what is not installed has none. */
START_TEST(old_installation) {
        objects("{\"add\":[{\"namespace\":\"a\",\"name\":\"x\",\"old\":true}]}");
        cluster("{\"serve\":{\"mcpservers\":[\"v1alpha1\"],\"virtualmcpservers\":[],\"mcpremoteproxies\":[]}}");
        ask("x");
        ck_assert(call.found);
        expect_none("y");
}
END_TEST

/* ---- what is told ---- */

START_TEST(server) {
        objects("{\"add\":[{\"namespace\":\"tools\",\"name\":\"fetch\",\"spec\":{"
                "\"transport\":\"stdio\",\"image\":\"i:1\",\"proxyPort\":8080,\"mcpPort\":9090,"
                "\"args\":[\"--verbose\",\"x\"],"
                "\"groupRef\":{\"name\":\"web\"},"
                "\"env\":[{\"name\":\"PUBLIC\",\"value\":\"hidden\"},{\"name\":\"OTHER\",\"value\":\"hidden\"}],"
                "\"secrets\":[{\"name\":\"s\",\"key\":\"k\",\"targetEnvName\":\"TOKEN\"},"
                "{\"name\":\"s\",\"key\":\"KEY\"}],"
                "\"permissionProfile\":{\"type\":\"builtin\",\"name\":\"network\"}},"
                "\"status\":{\"message\":\"all is well\",\"url\":\"http://fetch:8080/mcp\"}}]}");
        expect_found("fetch",
                     "{ \"name\": \"fetch\", \"namespace\": \"tools\", \"resource\": \"mcpservers\", "
                     "\"status\": \"running\", \"proxy_url\": \"http://fetch:8080/mcp\", \"transport\": \"stdio\", "
                     "\"group\": \"web\", "
                     "\"image\": \"i:1\", \"proxy_mode\": \"streamable-http\", \"proxy_port\": 8080, "
                     "\"target_port\": 9090, \"cmd_arguments\": [ \"--verbose\", \"x\" ], "
                     "\"env_vars\": { \"PUBLIC\": \"\", \"OTHER\": \"\" }, "
                     "\"secrets\": [ { \"target\": \"TOKEN\" }, { \"target\": \"KEY\" } ], "
                     "\"permission_profile\": { \"name\": \"network\" }, \"message\": \"all is well\" }");
        ck_assert_ptr_null(strstr(json_object_to_json_string(call.document), "hidden"));
}
END_TEST

START_TEST(others) {
        objects("{\"add\":[{\"resource\":\"virtualmcpservers\",\"namespace\":\"t\",\"name\":\"v\","
                "\"spec\":{\"proxyMode\":null},"
                "\"status\":{\"url\":\"http://v:4483\",\"message\":null,\"phase\":\"Degraded\"}},"
                "{\"resource\":\"mcpremoteproxies\",\"namespace\":\"t\",\"name\":\"p\",\"spec\":{\"proxyMode\":null,"
                "\"remoteUrl\":\"https://far/mcp\",\"transport\":\"sse\",\"proxyPort\":8081},"
                "\"status\":{\"url\":\"http://p:8081\",\"message\":\"gone\",\"phase\":\"Failed\"}}]}");
        expect_found("v", "{ \"name\": \"v\", \"namespace\": \"t\", \"resource\": \"virtualmcpservers\", "
                     "\"status\": \"running\", \"proxy_url\": \"http://v:4483/mcp\", "
                     "\"transport\": \"streamable-http\", "
                     "\"group\": \"default\" }");
        expect_found("p", "{ \"name\": \"p\", \"namespace\": \"t\", \"resource\": \"mcpremoteproxies\", "
                     "\"status\": \"failed\", \"proxy_url\": \"http://p:8081\", \"transport\": \"sse\", "
                     "\"group\": \"default\", \"url\": \"https://far/mcp\", \"proxy_port\": 8081, "
                     "\"message\": \"gone\" }");
}
END_TEST

#define ITEM(fields) \
        "{\\\"metadata\\\":{\\\"name\\\":\\\"x\\\",\\\"namespace\\\":\\\"n\\\"}" fields "}"
#define BARE "{ \"name\": \"x\", \"namespace\": \"n\", \"resource\": \"mcpservers\""

/* What is of another type than it should be, or missing, is left out; the first generation had other names. */
START_TEST(shapes) {
        static const struct {
                const char *item, *document;
        } rows[] = {
                { ITEM(""), BARE ", \"status\": \"unknown\", \"group\": \"default\" }" },
                { ITEM(",\\\"spec\\\":{\\\"port\\\":8080,\\\"targetPort\\\":1}"),
                  BARE ", \"status\": \"unknown\", \"group\": \"default\", \"proxy_port\": 8080, "
                  "\"target_port\": 1 }" },
                { ITEM(",\\\"spec\\\":{\\\"proxyPort\\\":1,\\\"port\\\":2,\\\"mcpPort\\\":3,\\\"targetPort\\\":4}"),
                  BARE ", \"status\": \"unknown\", \"group\": \"default\", \"proxy_port\": 1, \"target_port\": 3 }" },
                { ITEM(",\\\"spec\\\":{\\\"mcpPort\\\":70000,\\\"args\\\":{},\\\"env\\\":{},\\\"secrets\\\":1,"
                       "\\\"proxyMode\\\":1,\\\"remoteUrl\\\":[],\\\"permissionProfile\\\":\\\"none\\\"}"),
                  BARE ", \"status\": \"unknown\", \"group\": \"default\" }" },
                { ITEM(",\\\"spec\\\":{\\\"remoteURL\\\":\\\"https://far\\\",\\\"args\\\":[],"
                       "\\\"permissionProfile\\\":{},"
                       "\\\"env\\\":[1,{},{\\\"name\\\":\\\"A\\\"}],\\\"secrets\\\":[null,{},{\\\"key\\\":7}]}"),
                  BARE ", \"status\": \"unknown\", \"group\": \"default\", \"url\": \"https://far\", "
                  "\"cmd_arguments\": [ ], \"env_vars\": { \"\": \"\", \"A\": \"\" }, "
                  "\"secrets\": [ { }, { } ], \"permission_profile\": { } }" },
                /* What makes no sense says its name, and what of it can be read. */
                { ITEM(",\\\"spec\\\":{\\\"transport\\\":7,\\\"port\\\":9}"),
                  BARE ", \"status\": \"\", \"proxy_port\": 9 }" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                objects("{\"raw\":\"{\\\"metadata\\\":{},\\\"items\\\":[null,%s,{}]}\"}", rows[i].item);
                expect_found("x", rows[i].document);
        }
}
END_TEST

/* More than a tree is made of. */
START_TEST(too_large) {
        _cleanup_(freep) char *padding = malloc(JSON_ENTRY_SIZE_MAX + 1);

        ck_assert_ptr_nonnull(padding);
        memset(padding, 'x', JSON_ENTRY_SIZE_MAX);
        padding[JSON_ENTRY_SIZE_MAX] = '\0';
        objects("{\"add\":[{\"name\":\"huge\",\"metadata\":{\"annotations\":{\"a\":\"%s\"}}}]}", padding);
        attempt(CALL_WORKLOAD_DETAILS, "huge");
        ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
        ck_assert_str_eq(outcome.error, "Unusable body: an object too large");
        ck_assert(!call.found);
}
END_TEST

/* ---- what is refused ---- */

/* Found where it may be looked for is found; not found there, it may be where it may not. */
START_TEST(refused_in_part) {
        objects("{\"add\":[\"tools/a\",\"virtualmcpservers/tools/b\"]}");
        cluster("{\"rules\":[{\"resource\":[\"mcpservers\"]}]}");
        ask("a");
        ck_assert(call.found);
        attempt(CALL_WORKLOAD_DETAILS, "b");
        ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.verb, "list");
        ck_assert_str_eq(outcome.denied.resources, "virtualmcpservers");
        ck_assert(!call.found && !call.several);
}
END_TEST

START_TEST(failure) {
        objects("{\"add\":[\"tools/a\"]}");
        behave("status", "LIST *virtualmcpservers", 1, ",\"code\":503");
        attempt(CALL_WORKLOAD_DETAILS, "a");
        ck_assert_int_eq(outcome.verdict, VERDICT_FAILED);
        ck_assert_str_eq(outcome.error, "HTTP 503");
        ck_assert(!call.found && !call.document);
        ask("a");
        ck_assert(call.found);
}
END_TEST

/* Pages that expire are asked for anew, and what they had is not found twice. */
START_TEST(pages_that_expire) {
        objects("{\"add\":[\"a/x\",\"b/x\",\"c/x\"]}");
        cluster("{\"page_max\":1,\"expire_continue\":1}");
        expect_several("x", "a/x, b/x, c/x");
        /* Till nothing is left of it. */
        cluster("{\"expire_continue\":100}");
        attempt(CALL_WORKLOAD_DETAILS, "x");
        ck_assert_int_eq(outcome.status, 410);
        ck_assert(!call.found && !call.several);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                by_name, in_one_namespace, several, names_that_are_none, long_name,
                old_installation, server, others, shapes, too_large, refused_in_part, failure,
                pages_that_expire,
        };
        Suite *suite = suite_create("kubernetes details");
        TCase *tcase = cluster_case(suite, "details");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
