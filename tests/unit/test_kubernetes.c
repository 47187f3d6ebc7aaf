/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is listed, from where, in which order, and what becomes of a part that is
 * not to be had. Answers that make no sense and failures are in
 * test_kubernetes_answers.c, watches in test_kubernetes_watch.c.
 */

#include <check.h>
#include <string.h>

#include "kubernetes_fixture.h"
#include "suite.h"

#define FIRST(path) "GET " V1BETA1 "/" path "?limit=500\n"
#define FORBIDDEN(resource, scope) \
        resource ".toolhive.stacklok.dev is forbidden: User \\\"system:admin\\\" cannot list resource \\\"" resource \
        "\\\" in API group \\\"toolhive.stacklok.dev\\\" " scope

static void refuse(const char *verb, const char *resources) {
        cluster("{\"rules\":[{\"verb\":%s,\"resource\":%s}]}", verb, resources);
}

/* ---- good answers ---- */

START_TEST(all_resources) {
        objects("{\"add\":[\"tools/fetch\",\"tools/github\",\"virtualmcpservers/tools/all\",\"mcpremoteproxies/a/far\","
                "{\"namespace\":\"b\",\"name\":\"x\",\"status\":{\"phase\":\"Failed\"}}]}");
        expect_list("a/far:running b/x:failed tools/all:running tools/fetch:running tools/github:running");
        ck_assert_str_eq(call.missing, "");
        ck_assert_str_eq(source->version, "v1.34.1");
        ck_assert(source->known);
        ck_assert_uint_eq(call.workloads->running, 4);
        expect_problem(NULL);
        standin_expect_requests(&standin, VERSION LISTS);
        ck_assert_uint_eq(source->requests(source), 4);

        /* Who has answered once is not asked who it is again. */
        objects("{\"remove\":[\"mcpremoteproxies/a/far\",\"virtualmcpservers/tools/all\",\"tools/github\",\"b/x\"]}");
        expect_list("tools/fetch:running");
        standin_expect_requests(&standin, LISTS);
        objects("{\"count\":0}");
        expect_list("");
}
END_TEST

/* A name stands for one workload, also where two resources have it. */
START_TEST(same_name_twice) {
        objects("{\"add\":[\"tools/x\",\"virtualmcpservers/tools/x\",\"virtualmcpservers/other/x\"]}");
        expect_list("other/x:running tools/x:running");
        ck_assert_uint_eq(call.workloads->n_bad, 1);
        ck_assert_str_eq(call.workloads->bad[0].name, "tools/x");
        ck_assert_str_eq(call.workloads->bad[0].problem, "the same name twice");
}
END_TEST

START_TEST(version) {
        expect(CALL_VERSION, VERDICT_DONE, 200, "");
        ck_assert_str_eq(source->version, "v1.34.1");
        ck_assert(source->known);
        expect(CALL_VERSION, VERDICT_DONE, 200, "");
        standin_expect_requests(&standin, VERSION VERSION);
        ck_assert_int_eq(source->ops->check(source), 0);
        standin_expect_requests(&standin, VERSION);
}
END_TEST

START_TEST(what_it_is) {
        ck_assert_str_eq(source->ops->name, "Kubernetes API");
        ck_assert_str_eq(source->endpoint.url, standin.url);
        ck_assert_int_eq(source->endpoint.port, atoi(strrchr(standin.url, ':') + 1));
        ck_assert(!source->ops->find && !source->can_move && !source->details_tell_urls && !source->known);
}
END_TEST

START_TEST(one_namespace) {
        settings.k8s_all_namespaces = false;
        settings.k8s_namespace = (char *) "tools";
        cluster_open();
        objects("{\"add\":[\"tools/fetch\",\"other/fetch\",\"virtualmcpservers/tools/all\","
                "\"mcpremoteproxies/other/far\"]}");
        expect_list("tools/all:running tools/fetch:running");
        standin_expect_requests(&standin, VERSION LIST(V1BETA1 "/namespaces/tools/mcpservers")
                                LIST(V1BETA1 "/namespaces/tools/virtualmcpservers")
                                LIST(V1BETA1 "/namespaces/tools/mcpremoteproxies"));

        /* That it is named does not matter where all are asked for. */
        settings.k8s_all_namespaces = true;
        cluster_open();
        expect_list("other/far:running other/fetch:running tools/all:running tools/fetch:running");
}
END_TEST

START_TEST(below_a_path) {
        char url[160];

        snprintf(url, sizeof url, "%s/clusters/one", standin.url);
        settings.k8s_api_server_url = url;
        cluster_open();
        attempt(CALL_LIST_WORKLOADS, NULL);
        standin_expect_requests(&standin, "GET /clusters/one/version\n"
                                "GET /clusters/one" V1BETA1 "/mcpservers?limit=500\n"
                                "GET /clusters/one" V1ALPHA1 "/mcpservers?limit=500\n"
                                "GET /clusters/one" V1BETA1 "/virtualmcpservers?limit=500\n"
                                "GET /clusters/one" V1ALPHA1 "/virtualmcpservers?limit=500\n"
                                "GET /clusters/one" V1BETA1 "/mcpremoteproxies?limit=500\n"
                                "GET /clusters/one" V1ALPHA1 "/mcpremoteproxies?limit=500\n");
}
END_TEST

START_TEST(filters) {
        char *groups[] = { (char *) "web", NULL }, *names[] = { (char *) "inspector", NULL };
        struct workload_filter filter = { groups, names };

        objects("{\"add\":[\"tools/fetch\",{\"namespace\":\"tools\",\"name\":\"page\","
                "\"spec\":{\"groupRef\":{\"name\":\"web\"}}},"
                "{\"namespace\":\"tools\",\"name\":\"inspector\",\"spec\":{\"groupRef\":{\"name\":\"web\"}}}]}");
        call.filter = &filter;
        expect_list("tools/page:running");
        ck_assert_uint_eq(call.workloads->skipped, 2);
}
END_TEST

/* ToolHive's first generation beside the second, as after an upgrade. */
START_TEST(both_generations) {
        objects("{\"add\":[{\"name\":\"old\",\"old\":true},\"new\",{\"resource\":\"virtualmcpservers\",\"name\":\"v\","
                "\"old\":true}]}");
        expect_list("default/new:running default/old:running default/v:running");
        for (size_t i = 0; i < 3; i++)
                ck_assert_str_eq(call.workloads->items[i]->group, "default");
}
END_TEST

/* ---- pages ---- */

START_TEST(pages) {
        _cleanup_(json_object_putp) struct json_object *journal = NULL;
        struct json_object *requests;
        const char *path;

        objects("{\"count\":5}");
        cluster("{\"page_max\":2}");
        expect_list("default/mcpserver-00000:running default/mcpserver-00001:running default/mcpserver-00002:running "
                    "default/mcpserver-00003:running default/mcpserver-00004:running");
        journal = standin_ask(&standin, "requests", "{}");
        requests = standin_list(journal, "requests");
        ck_assert_uint_eq(json_object_array_length(requests), 1 + 3 + 2);
        ck_assert_int_eq(json_get_string(json_object_array_get_idx(requests, 2), "path", &path), 0);
        ck_assert(strstr(path, V1BETA1 "/mcpservers?limit=500&continue=") == path);
        /* Of the moment of the first page, whatever the others say. */
        ck_assert_str_eq(kubernetes_of(source)->listed[RESOURCE_SERVER].resource_version, "223");
}
END_TEST

/* What continues the list is the server's own, and any character may be in it. */
START_TEST(escaped_continuation) {
        behave("status", "LIST *mcpservers", 1,
               ",\"code\":200,\"body\":\"{\\\"metadata\\\":{\\\"continue\\\":\\\"a+b/c=&?#% \\u00e9\\\"},"
               "\\\"items\\\":[]}\"");
        attempt(CALL_LIST_WORKLOADS, NULL);
        standin_expect_requests(&standin, VERSION FIRST("mcpservers")
                                "GET " V1BETA1 "/mcpservers?limit=500&continue=a%2Bb%2Fc%3D%26%3F%23%25%20%C3%A9\n"
                                FIRST("virtualmcpservers") FIRST("mcpremoteproxies"));
        ck_assert_int_eq(outcome.verdict, VERDICT_DONE);
        ck_assert_int_eq(kubernetes_of(source)->listed[RESOURCE_SERVER].refusal.status, 400);
}
END_TEST

/* Too old before it was whole: from the first page, and nothing twice. */
START_TEST(pages_that_expire) {
        objects("{\"count\":5}");
        cluster("{\"page_max\":2,\"expire_continue\":2}");
        expect_list("default/mcpserver-00000:running default/mcpserver-00001:running default/mcpserver-00002:running "
                    "default/mcpserver-00003:running default/mcpserver-00004:running");
        expect_problem(NULL);
        ck_assert_uint_eq(standin_count_requests(&standin, "GET"), 1 + 2 + 2 + 3 + 2);

        /* Not for ever; what was known stays. */
        cluster("{\"expire_continue\":100}");
        expect_list("default/mcpserver-00000:running default/mcpserver-00001:running default/mcpserver-00002:running "
                    "default/mcpserver-00003:running default/mcpserver-00004:running");
        ck_assert_uint_eq(standin_count_requests(&standin, "GET"), 10 + 6 + 2);
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_int_eq(outcome.status, 410);
        ck_assert(strncmp(outcome.error, "The provided continue parameter is too old", 42) == 0);
        ck_assert_ptr_null(outcome.denied.verb);
}
END_TEST

#define PAGE(version, next, name) \
        ",\"code\":200,\"body\":\"{\\\"metadata\\\":{\\\"resourceVersion\\\":\\\"" version "\\\",\\\"continue\\\":" \
        "\\\"" next "\\\"},\\\"items\\\":[{\\\"metadata\\\":{\\\"name\\\":\\\"" name "\\\",\\\"namespace\\\":" \
        "\\\"n\\\"}}]}\""

/* What only the beginning that came to nothing had is gone by then; and the first page's moment is the list's. */
START_TEST(pages_begun_anew) {
        const struct listed *listed = &kubernetes_of(source)->listed[RESOURCE_SERVER];

        behave("status", "LIST *mcpservers", 1, PAGE("7", "x", "gone"));
        behave("status", "LIST *mcpservers", 1, ",\"code\":410");
        behave("status", "LIST *mcpservers", 1, PAGE("8", "y", "b"));
        behave("status", "LIST *mcpservers", 1, PAGE("9", "", "a"));
        expect_list("n/a:unknown n/b:unknown");
        ck_assert_str_eq(listed->resource_version, "8");
        /* In order, so that events find their places. */
        ck_assert_str_eq(listed->store.items[0].workload->name, "a");
}
END_TEST

/* ---- what is installed ---- */

START_TEST(old_installation) {
        objects("{\"add\":[{\"name\":\"old\",\"old\":true}]}");
        cluster("{\"serve\":{\"mcpservers\":[\"v1alpha1\"],\"virtualmcpservers\":[],\"mcpremoteproxies\":[]}}");
        expect_list("default/old:running");
        ck_assert_str_eq(call.missing, "virtualmcpservers, mcpremoteproxies");
        expect_problem(NULL);
        standin_expect_requests(&standin, VERSION FIRST("mcpservers") LIST(V1ALPHA1 "/mcpservers")
                                FIRST("virtualmcpservers")
                                LIST(V1ALPHA1 "/virtualmcpservers") FIRST("mcpremoteproxies")
                                LIST(V1ALPHA1 "/mcpremoteproxies"));

        /* What served it last is asked first; what is not there is looked for again. */
        expect_list("default/old:running");
        standin_expect_requests(&standin, LIST(V1ALPHA1 "/mcpservers") FIRST("virtualmcpservers")
                                LIST(V1ALPHA1 "/virtualmcpservers") FIRST("mcpremoteproxies")
                                LIST(V1ALPHA1 "/mcpremoteproxies"));

        /* The upgrade takes the old version away. */
        cluster("{\"serve\":{\"mcpservers\":[\"v1beta1\"]}}");
        expect_list("default/old:running");
        ck_assert_str_eq(call.missing, "");
        standin_expect_requests(&standin, LIST(V1ALPHA1 "/mcpservers") LISTS);
        expect_list("default/old:running");
        standin_expect_requests(&standin, LISTS);
}
END_TEST

START_TEST(taken_away) {
        objects("{\"add\":[\"a\",\"virtualmcpservers/default/b\"]}");
        expect_list("default/a:running default/b:running");
        cluster("{\"serve\":{\"virtualmcpservers\":[]}}");
        standin_tell(&standin, "reset", "{}");
        expect_list("default/a:running");
        ck_assert_str_eq(call.missing, "virtualmcpservers");
        standin_expect_requests(&standin, FIRST("mcpservers") FIRST("virtualmcpservers")
                                LIST(V1ALPHA1 "/virtualmcpservers") FIRST("mcpremoteproxies"));
        ck_assert_ptr_null(kubernetes_of(source)->listed[RESOURCE_VIRTUAL].version);
}
END_TEST

START_TEST(not_installed) {
        cluster("{\"serve\":{\"mcpservers\":[],\"virtualmcpservers\":[],\"mcpremoteproxies\":[]}}");
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 404, "toolhive.stacklok.dev is not installed in the cluster");
        ck_assert_ptr_null(call.workloads);
        ck_assert(source->known);

        /* Of whom no version is known, more than that may be wrong: the address, most likely. */
        behave("status", "GET /version", 0, ",\"code\":404");
        cluster_open();
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 404,
               "toolhive.stacklok.dev is not there, nor a version: this may be no API server");
        cluster("{\"serve\":null}");
        objects("{\"add\":[\"a\"]}");
        expect_list("default/a:running");
}
END_TEST

/* ---- what is refused ---- */

START_TEST(refused_in_part) {
        objects("{\"add\":[\"tools/a\",\"virtualmcpservers/tools/b\",\"mcpremoteproxies/tools/c\"]}");
        refuse("\"*\"", "[\"mcpservers\"]");
        expect_list("tools/a:running");
        ck_assert_str_eq(call.missing, "");
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.verb, "list");
        ck_assert_str_eq(outcome.denied.resources, "virtualmcpservers, mcpremoteproxies");
        ck_assert_str_eq(outcome.denied.scope, "all namespaces");
        ck_assert_ptr_nonnull(strstr(outcome.denied.remedy, "cluster-role.yaml"));
        ck_assert_ptr_nonnull(strstr(outcome.error, "virtualmcpservers.toolhive.stacklok.dev is forbidden"));

        /* Granted, and taken away again: then what was known stays. */
        cluster("{\"rules\":null}");
        expect_list("tools/a:running tools/b:running tools/c:running");
        expect_problem(NULL);
        refuse("\"*\"", "[\"mcpservers\"]");
        objects("{\"remove\":[\"virtualmcpservers/tools/b\",\"tools/a\"]}");
        expect_list("tools/b:running tools/c:running");
        ck_assert(source->ops->problem(source, &outcome));
}
END_TEST

/* Of what could not be listed yet stands what an earlier service knew; of the rest what is listed. */
START_TEST(refused_and_known) {
        _cleanup_(workload_list_freep) struct workload_list *known = workload_list_new();
        static const struct workload before[] = {
                { .namespace = "t", .name = "server", .status = "running", .package = "i:1" },
                { .namespace = "t", .name = "v", .status = "running", .package = "vmcp:v" },
                { .namespace = "t", .name = "proxy", .status = "failed", .package = "remote", .remote = true },
        };

        for (size_t i = 0; i < ELEMENTSOF(before); i++)
                ck_assert_int_eq(workload_list_add(known, workload_new(&before[i])), 0);
        workload_list_sort(known);
        objects("{\"add\":[\"t/a\"]}");
        refuse("\"*\"", "[\"mcpservers\"]");
        call.known = known;
        expect_list("t/a:running t/proxy:failed t/v:running");

        /* A proxy that is listed, and is none, is known better. */
        refuse("\"*\"", "[\"mcpservers\",\"mcpremoteproxies\"]");
        expect_list("t/a:running t/v:running");
        call.known = NULL;
        call_done(&call);
}
END_TEST

/* That one may have had other settings. */
START_TEST(refused_and_not_wanted) {
        _cleanup_(workload_list_freep) struct workload_list *known = workload_list_new();
        static const struct workload before[] = {
                { .namespace = "t", .name = "v", .status = "running", .package = "vmcp:v", .group = "a" },
                { .namespace = "t", .name = "w", .status = "running", .package = "vmcp:w", .group = "b" },
                { .namespace = "t", .name = "x", .status = "running", .package = "vmcp:x", .group = "a" },
                { .namespace = "u", .name = "v", .status = "running", .package = "vmcp:v", .group = "a" },
        };
        char *groups[] = { (char *) "a", NULL }, *skipped[] = { (char *) "x", NULL };
        const struct workload_filter filter = { groups, skipped };

        for (size_t i = 0; i < ELEMENTSOF(before); i++)
                ck_assert_int_eq(workload_list_add(known, workload_new(&before[i])), 0);
        workload_list_sort(known);
        settings.k8s_all_namespaces = false;
        settings.k8s_namespace = (char *) "t";
        cluster_open();
        refuse("\"*\"", "[\"mcpservers\"]");
        call.known = known;
        call.filter = &filter;
        expect_list("t/v:running");
        call_done(&call);
}
END_TEST

START_TEST(refused_altogether) {
        settings.k8s_all_namespaces = false;
        settings.k8s_namespace = (char *) "tools";
        cluster_open();
        refuse("\"nothing\"", "\"*\"");
        attempt(CALL_LIST_WORKLOADS, NULL);
        ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.resources, "mcpservers, virtualmcpservers, mcpremoteproxies");
        ck_assert_str_eq(outcome.denied.scope, "namespace tools");
        ck_assert_ptr_nonnull(strstr(outcome.denied.remedy, " role.yaml"));
        ck_assert_ptr_null(call.workloads);
}
END_TEST

/* Who is not known at all need not ask for more. */
START_TEST(not_known) {
        cluster("{\"tokens\":{},\"anonymous\":false}");
        expect(CALL_LIST_WORKLOADS, VERDICT_ANSWER, 401, "Unauthorized");
        ck_assert_str_eq(outcome.denied.verb, "list");
        ck_assert_str_eq(outcome.denied.resources, "mcpservers");
        ck_assert_ptr_nonnull(strstr(outcome.denied.remedy, "K8S_TOKEN_FILE"));
        standin_expect_requests(&standin, VERSION FIRST("mcpservers"));
}
END_TEST

/* Of different reasons the first is told, with those that are of its kind. */
START_TEST(refused_for_several_reasons) {
        objects("{\"add\":[\"mcpremoteproxies/tools/c\"]}");
        behave("status", "LIST *virtualmcpservers", 0, "");
        refuse("\"*\"", "[\"virtualmcpservers\",\"mcpremoteproxies\"]");
        expect_list("tools/c:running");
        ck_assert(source->ops->problem(source, &outcome));
        ck_assert_int_eq(outcome.status, 403);
        ck_assert_str_eq(outcome.denied.resources, "mcpservers");

        cluster("{\"rules\":null}");
        expect_list("tools/c:running");
        expect_problem("Internal Server Error");
        ck_assert_int_eq(outcome.status, 500);
        ck_assert_ptr_null(outcome.denied.verb);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                all_resources, same_name_twice, version, what_it_is, one_namespace, below_a_path,
                filters, both_generations, pages, escaped_continuation, pages_that_expire,
                pages_begun_anew, old_installation, taken_away, not_installed, refused_in_part,
                refused_and_known, refused_and_not_wanted, refused_altogether, not_known,
                refused_for_several_reasons,
        };
        Suite *suite = suite_create("kubernetes");
        TCase *tcase = cluster_case(suite, "lists");

        for (size_t i = 0; i < ELEMENTSOF(tests); i++)
                tcase_add_test(tcase, tests[i]);

        return suite_run(suite);
}
