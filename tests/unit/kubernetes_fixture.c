/* SPDX-License-Identifier: Apache-2.0 */

/* See the header. */

#include <check.h>
#include <stdarg.h>
#include <string.h>

#include "kubernetes_fixture.h"
#include "suite.h"

struct standin standin;
struct virtual_waiter v;
struct settings settings;
struct source *source;
struct call call;
struct outcome outcome;

static char folder[] = "/tmp/test-kubernetes-XXXXXX";
static char token_path[64];     /* "" until a test has a token */

void cluster_open(void) {
        source = source_free(source);
        ck_assert_int_eq(kubernetes_new(&settings, &v.waiter, "", &source), 0);
}

static void start(void) {
        standin_start(&standin, "--backend", "kubernetes");
}

static void stop(void) {
        standin_stop(&standin);
}

static void setup(void) {
        _cleanup_(json_object_putp) struct json_object *told =
                standin_ask(&standin, "renew", "{\"arguments\":[\"--backend\",\"kubernetes\"]}");
        int64_t port;

        ck_assert_int_eq(json_get_int(told, "port", 1, UINT16_MAX, &port), 0);
        snprintf(standin.url, sizeof standin.url, "http://127.0.0.1:%d", (int) port);
        virtual_init(&v);
        settings = (struct settings) {
                .runtime_mode = RUNTIME_K8S,
                .k8s_api_server_url = standin.url,
                .k8s_all_namespaces = true,
                .timeout = 20 * USEC_PER_SEC,
        };
        cluster_open();
}

static void teardown(void) {
        call_done(&call);
        source = source_free(source);
        if (token_path[0]) {
                (void) unlink(token_path);
                (void) rmdir(folder);
                token_path[0] = '\0';
                memset(strrchr(folder, '-') + 1, 'X', 6);
        }
}

struct TCase *cluster_case(struct Suite *suite, const char *name) {
        struct TCase *tcase = suite_case(suite, name, setup, teardown);

        tcase_add_unchecked_fixture(tcase, start, stop);
        return tcase;
}

char *cluster_token(const char *text) {
        char fresh[sizeof token_path + 8];
        FILE *file;

        if (!token_path[0]) {
                ck_assert_ptr_nonnull(mkdtemp(folder));
                snprintf(token_path, sizeof token_path, "%s/token", folder);
        }
        snprintf(fresh, sizeof fresh, "%s.new", token_path);
        file = fopen(fresh, "we");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(rename(fresh, token_path), 0);
        return token_path;
}

static void tell_format(const char *verb, const char *format, va_list arguments) _printf_(2, 0);

static void tell_format(const char *verb, const char *format, va_list arguments) {
        _cleanup_(freep) char *body = NULL;

        ck_assert_int_ge(vasprintf(&body, format, arguments), 0);
        standin_tell(&standin, verb, "%s", body);
}

void objects(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        tell_format("objects", format, arguments);
        va_end(arguments);
}

void cluster(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        tell_format("kubernetes", format, arguments);
        va_end(arguments);
}

void behave(const char *name, const char *route, unsigned count, const char *more) {
        char limit[16] = "null";

        if (count > 0)
                snprintf(limit, sizeof limit, "%u", count);
        standin_tell(&standin, "behave", "{\"name\":\"%s\",\"route\":\"%s\",\"count\":%s%s}", name, route, limit, more);
}

void attempt(enum call_kind kind, const char *name) {
        const struct workload_filter *filter = call.filter;
        const struct workload_list *known = call.known;

        call_done(&call);
        call = (struct call) { .kind = kind, .name = name, .filter = filter, .known = known };
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
}

void expect(enum call_kind kind, enum verdict verdict, int status, const char *error) {
        attempt(kind, NULL);
        ck_assert_msg(outcome.verdict == verdict && outcome.status == status && strcmp(outcome.error, error) == 0,
                      "%s: verdict %d, status %d, \"%s\" instead of %d, %d, \"%s\"", call_kind_name(kind),
                      outcome.verdict, outcome.status, outcome.error, verdict, status, error);
}

static void expect_items(const char *items) {
        char had[4096] = "";
        size_t size = 0;

        for (size_t i = 0; i < call.workloads->n_items; i++) {
                const struct workload *workload = call.workloads->items[i];

                size += (size_t) snprintf(had + size, sizeof had - size, "%s%s/%s:%s", i > 0 ? " " : "",
                                          workload->namespace,
                                          workload->name, workload->status);
                ck_assert_uint_lt(size, sizeof had);
        }
        ck_assert_str_eq(had, items);
}

void expect_list(const char *items) {
        expect(CALL_LIST_WORKLOADS, VERDICT_DONE, 200, "");
        ck_assert_uint_eq(outcome.retry_after, USEC_INFINITY);
        expect_items(items);
}

void expect_changes(const char *items) {
        const struct workload_filter *filter = call.filter;

        call_done(&call);
        call = (struct call) { .kind = CALL_LIST_WORKLOADS, .filter = filter };
        ck_assert_int_eq(source->ops->changes(source, &call), CHANGES_TAKEN);
        expect_items(items);
}

void expect_problem(const char *error) {
        bool problem;

        outcome = (struct outcome) {};
        problem = source->ops->problem(source, &outcome);
        ck_assert_msg(problem == (error != NULL), "%s", outcome.error);
        if (error) {
                ck_assert_int_eq(outcome.verdict, VERDICT_ANSWER);
                ck_assert_str_eq(outcome.error, error);
        }
}

/* ---- watches ---- */

int look(unsigned mask) {
        return source->ops->wait(source, 0, mask);
}

void drive(void) {
        ck_assert_int_eq(http_run(kubernetes_of(source)->http, -1, USEC_INFINITY), 0);
        ck_assert_int_eq(look(0), 0);
}

bool are_all_answered(void) {
        for (enum resource i = 0; i < RESOURCES; i++)
                if (kubernetes_of(source)->listed[i].version && !watch_of(i)->answered)
                        return false;
        return true;
}

void watch_all(void) {
        ck_assert_int_eq(look(WAIT_CHANGE), 0);
        DRIVE_UNTIL(are_all_answered());
}

void expect_told(void) {
        int r;

        ck_assert_int_eq(look(0), 0);
        virtual_advance(&v, 50 * USEC_PER_MSEC);
        while ((r = look(WAIT_CHANGE)) == 0)
                ck_assert_int_eq(http_run(kubernetes_of(source)->http, -1, USEC_INFINITY), 0);
        ck_assert_int_eq(r, WAIT_CHANGE);
}

size_t count_asked(const char *target) {
        _cleanup_(json_object_putp) struct json_object *journal = standin_ask(&standin, "requests", "{}");
        struct json_object *requests = standin_list(journal, "requests");
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(requests); i++) {
                const char *path;

                ck_assert_int_eq(json_get_string(json_object_array_get_idx(requests, i), "path", &path), 0);
                n += strcmp(path, target) == 0;
        }
        return n;
}
