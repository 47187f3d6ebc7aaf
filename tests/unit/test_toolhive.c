/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is read from ToolHive, against the stand-in: each call's good answer and
 * its 404, how names are put into paths, and finding it. What comes of other
 * answers is in test_toolhive_answers.c, installing in test_install.c.
 */

#include <check.h>
#include <string.h>

#include "suite.h"
#include "toolhive_fixture.h"

/* ---- good answers ---- */

START_TEST(version) {
        expect_done(CALL_VERSION, NULL, 200);
        standin_expect_requests(&standin, VERSION);
        ck_assert_uint_eq(source->requests(source), 1);
}
END_TEST

START_TEST(list) {
        char *groups[] = { (char *) "default", NULL };
        struct workload_filter filter = { .allowed_groups = groups };

        expect_done(CALL_LIST_WORKLOADS, NULL, 200);
        ck_assert_uint_eq(call.workloads->n_items, 0);

        standin_tell(&standin, "workloads",
                     "{\"count\":3,\"add\":[{\"name\":\"other\",\"group\":\"else\"}],"
                     "\"status\":{\"workload-00001\":\"stopped\"}}");
        expect_done(CALL_LIST_WORKLOADS, NULL, 200);
        ck_assert_uint_eq(call.workloads->n_items, 4);
        ck_assert_uint_eq(call.workloads->running, 3);

        call_done(&call);
        call.filter = &filter;
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
        ck_assert_int_eq(outcome.verdict, VERDICT_DONE);
        ck_assert_uint_eq(call.workloads->n_items, 3);
        ck_assert_uint_eq(call.workloads->skipped, 1);
        standin_expect_requests(&standin, LIST LIST LIST);
}
END_TEST

START_TEST(details) {
        const char *name;
        int64_t port;

        standin_tell(&standin, "workloads", "{\"count\":1}");
        expect_done(CALL_WORKLOAD_DETAILS, "workload-00000", 200);
        ck_assert(call.found);
        ck_assert_int_eq(json_get_string(call.document, "name", &name), 0);
        ck_assert_str_eq(name, "workload-00000");
        ck_assert_int_eq(json_get_int(call.document, "proxy_port", 1, 65535, &port), 0);
        standin_expect_requests(&standin, "GET " API "/workloads/workload-00000\n");

        expect_done(CALL_WORKLOAD_DETAILS, "other", 404);
        ck_assert(!call.found);
        ck_assert_ptr_null(call.document);
        standin_expect_requests(&standin, "GET " API "/workloads/other\n" VERSION);
}
END_TEST

START_TEST(registry) {
        expect_done(CALL_REGISTRY, NULL, 200);
        ck_assert_uint_eq(call.registry->n_names, 84);
        ck_assert_str_eq(call.registry->names[0], "remote-000");
        ck_assert_str_eq(call.registry->last_updated, "2026-02-18T00:24:11Z");
        ck_assert_ptr_null(call.catalog);
        standin_expect_requests(&standin, "GET " API "/registry/default\n");
}
END_TEST

START_TEST(catalog) {
        call_done(&call);
        call = (struct call) { .kind = CALL_REGISTRY, .want_catalog = true };
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
        ck_assert_int_eq(outcome.verdict, VERDICT_DONE);
        ck_assert_ptr_null(call.registry);
        ck_assert_uint_eq(call.catalog->n_entries, 84);
        ck_assert_uint_eq(call.catalog->n_bad, 0);
        ck_assert_str_eq(call.catalog->last_updated, "2026-02-18T00:24:11Z");
        ck_assert_str_eq(call.catalog->entries[0]->url, "https://remote-000.example.com/mcp");
        ck_assert_str_eq(call.catalog->entries[5]->env_vars[0].name, "API_TOKEN");

        /* The next call is not for the catalog any more. */
        call_done(&call);
        ck_assert(!call.want_catalog);
        ck_assert_ptr_null(call.catalog);

        call.want_catalog = true;
        standin_tell(&standin, "registry", "{\"raw\":\"{}\"}");
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
        ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
        ck_assert_str_eq(outcome.error, "Unusable body: no \"registry\"");
}
END_TEST

START_TEST(registry_entry) {
        struct json_object *server;

        expect_done(CALL_REGISTRY_ENTRY, "server-007", 200);
        ck_assert(call.found);
        ck_assert_int_eq(json_get_object(call.document, "server", &server), 0);
        expect_done(CALL_REGISTRY_ENTRY, "remote-001", 200);
        ck_assert(call.found);
        ck_assert_int_eq(json_get_object(call.document, "remote_server", &server), 0);
        standin_tell(&standin, "reset", "{}");

        expect_done(CALL_REGISTRY_ENTRY, "server-999", 404);
        ck_assert(!call.found);
        ck_assert_ptr_null(call.document);
        standin_expect_requests(&standin, "GET " API "/registry/default/servers/server-999\n" VERSION);
}
END_TEST

/* A name is one segment of the path, whatever it holds. */
START_TEST(names_are_encoded) {
        static const struct {
                const char *name, *path;
        } rows[] = {
                { "AZaz09-._~", "AZaz09-._~" },
                { "io.github/server", "io.github%2Fserver" },
                { "a b?c#d%e&f+g;h:i@j", "a%20b%3Fc%23d%25e%26f%2Bg%3Bh%3Ai%40j" },
                { "\xc3\xa9\xff\x01\x7f", "%C3%A9%FF%01%7F" },
                { "..", ".." },
                { "../version", "..%2Fversion" },
                { "a\r\nHost: b", "a%0D%0AHost%3A%20b" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char lines[256];

                expect_done(CALL_WORKLOAD_DETAILS, rows[i].name, 404);
                snprintf(lines, sizeof lines, "GET " API "/workloads/%s\n" VERSION, rows[i].path);
                standin_expect_requests(&standin, lines);
                expect_done(CALL_REGISTRY_ENTRY, rows[i].name, 404);
                snprintf(lines, sizeof lines, "GET " API "/registry/default/servers/%s\n" VERSION, rows[i].path);
                standin_expect_requests(&standin, lines);
        }
}
END_TEST

START_TEST(longest_name) {
        char name[WORKLOAD_NAME_MAX + 1], lines[1024] = "GET " API "/workloads/";

        memset(name, '/', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        for (size_t i = 0; i < WORKLOAD_NAME_MAX; i++)
                strcat(lines, "%2F");
        strcat(lines, "\n" VERSION);

        expect_done(CALL_WORKLOAD_DETAILS, name, 404);
        standin_expect_requests(&standin, lines);
}
END_TEST

/* ---- where it is ---- */

START_TEST(pinned) {
        char error[ERROR_MAX] = "";
        struct found found;

        ck_assert(!source->can_move);
        ck_assert(!source->known);
        ck_assert_int_eq(source->ops->find(source, &found, error), FIND_FIRST);
        ck_assert_str_eq(found.endpoint.url, standin.url);
        ck_assert_str_eq(source->version, "v0.44.0");
        ck_assert(source->known);
        ck_assert_int_eq(source->ops->find(source, &found, error), FIND_SAME);

        behave("status", "*", 0, ",\"code\":404");
        ck_assert_int_eq(source->ops->find(source, &found, error), FIND_NOTHING);
        ck_assert_str_eq(error, "Not ToolHive (HTTP 404)");
        standin_tell(&standin, "stop", "{}");
        ck_assert_int_eq(source->ops->find(source, &found, error), FIND_NOTHING);
        ck_assert_str_eq(error, "Connection refused");
        ck_assert(!source->ops->file_changed(source));
}
END_TEST

START_TEST(unix_socket) {
        char folder[] = "/tmp/test-toolhive-XXXXXX", path[64];
        struct standin other;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/thv.sock", folder);
        standin_start(&other, "--socket", path);
        standin_tell(&other, "workloads", "{\"count\":2}");
        toolhive_open(other.url);

        expect_done(CALL_VERSION, NULL, 200);
        expect_done(CALL_LIST_WORKLOADS, NULL, 200);
        ck_assert_uint_eq(call.workloads->n_items, 2);
        expect_done(CALL_WORKLOAD_DETAILS, "workload-00001", 200);
        expect_done(CALL_WORKLOAD_DETAILS, "other", 404);
        expect_done(CALL_REGISTRY, NULL, 200);
        expect_done(CALL_REGISTRY_ENTRY, "server-001", 200);
        standin_tell(&other, "stop", "{}");
        expect(CALL_LIST_WORKLOADS, NULL, VERDICT_FAILED, 0, "No such file or directory");

        standin_stop(&other);
        ck_assert_int_eq(rmdir(folder), 0);
        standin_expect_requests(&standin, "");
}
END_TEST

/* With a search, from nothing known over a move to the end; it reads the real clock. */
START_TEST(moves) {
        _cleanup_(waiter_done) struct waiter waiter;
        _cleanup_(source_freep) struct source *moving = NULL;
        _cleanup_(json_object_putp) struct json_object *told = NULL;
        char error[ERROR_MAX] = "", last[128];
        struct found found;
        int64_t port;

        ck_assert_int_eq(waiter_init(&waiter), 0);
        snprintf(last, sizeof last, "%s", standin.url);
        settings.toolhive_api_url = NULL;
        settings.toolhive_host = (char *) "127.0.0.1";
        settings.start_port_scan = settings.end_port_scan = standin.port;
        ck_assert_int_eq(toolhive_new(&settings, &waiter, last, &moving), 0);
        ck_assert(moving->can_move);
        ck_assert(!moving->known);
        ck_assert_str_eq(moving->endpoint.url, last);

        ck_assert_int_eq(moving->ops->find(moving, &found, error), FIND_FIRST);
        ck_assert_int_eq(moving->ops->find(moving, &found, error), FIND_SAME);
        ck_assert_int_eq(moving->ops->check(moving), 0);

        standin_tell(&standin, "stop", "{}");
        ck_assert_int_gt(moving->ops->check(moving), 0);
        told = standin_ask(&standin, "move", "{}");
        ck_assert_int_eq(json_get_int(told, "port", 1, UINT16_MAX, &port), 0);
        settings.toolhive_port = (uint16_t) port;
        ck_assert_int_eq(moving->ops->find(moving, &found, error), FIND_OTHER);
        ck_assert_int_eq(moving->endpoint.port, settings.toolhive_port);
        ck_assert(endpoint_equal(&moving->endpoint, &found.endpoint));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("toolhive");
        TCase *tests = tcase_create("toolhive");

        tcase_add_checked_fixture(tests, toolhive_setup, toolhive_teardown);
        tcase_set_timeout(tests, 100);
        tcase_add_test(tests, version);
        tcase_add_test(tests, list);
        tcase_add_test(tests, details);
        tcase_add_test(tests, registry);
        tcase_add_test(tests, catalog);
        tcase_add_test(tests, registry_entry);
        tcase_add_test(tests, names_are_encoded);
        tcase_add_test(tests, longest_name);
        tcase_add_test(tests, pinned);
        tcase_add_test(tests, unix_socket);
        tcase_add_test(tests, moves);
        suite_add_tcase(suite, tests);

        return suite_run(suite);
}
