/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists of Kubernetes, page by page, and the details of one object: each part of
 * the input is the answer to one request (answers.h). They are listed twice, so
 * that what changes in between, is refused or is gone meets what was known.
 */

#include "answers.h"
#include "checks.h"
#include "source/kubernetes.h"

static void check_outcome(const struct outcome *outcome) {
        must(memchr(outcome->error, '\0', sizeof outcome->error));
        must((outcome->verdict == VERDICT_DONE) != (outcome->error[0] != '\0'));
        must(outcome->retry_after == USEC_INFINITY || outcome->retry_after <= 1000000 * USEC_PER_SEC);
        must(!outcome->denied.verb || (outcome->status == 401 || outcome->status == 403));
        must(memchr(outcome->denied.resources, '\0', sizeof outcome->denied.resources));
}

static bool is_kept(const struct workload *workload) {
        return strcmp(workload->name, "inspector") != 0 &&
               (strcmp(workload->group, "default") == 0 || strcmp(workload->group, "a") == 0);
}

static void list(struct source *source) {
        char *groups[] = { (char *) "default", (char *) "a", NULL }, *skipped[] = { (char *) "inspector", NULL };
        const struct workload_filter filter = { groups, skipped };
        _cleanup_(call_done) struct call call = { .kind = CALL_LIST_WORKLOADS, .filter = &filter };
        struct outcome outcome;

        must(source->ops->perform(source, &call, &outcome) == 0);
        check_outcome(&outcome);
        must((call.workloads != NULL) == (outcome.verdict == VERDICT_DONE));
        if (!call.workloads)
                return;
        check_workload_list(call.workloads);
        for (size_t i = 0; i < call.workloads->n_items; i++) {
                must(call.workloads->items[i]->namespace);
                must(is_kept(call.workloads->items[i]));
        }
}

static void show(struct source *source) {
        _cleanup_(call_done) struct call call = { .kind = CALL_WORKLOAD_DETAILS, .name = "tools/fetch" };
        struct outcome outcome;

        must(source->ops->perform(source, &call, &outcome) == 0);
        check_outcome(&outcome);
        must(call.found == (call.document != NULL));
        must(!call.found || (outcome.verdict == VERDICT_DONE && !call.several));
        if (call.document) {
                const char *json = json_object_to_json_string_ext(call.document, JSON_C_TO_STRING_NOSLASHESCAPE);

                must_be_json(json, strlen(json));
        }
        must(!call.several || strchr(call.several, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct settings settings = {
                .runtime_mode = RUNTIME_K8S,
                .k8s_api_server_url = (char *) "http://127.0.0.1:8080",
                .k8s_namespace = (char *) "tools",
                .timeout = 10 * USEC_PER_SEC,
        };
        _cleanup_parts_ struct parts parts;
        struct virtual_waiter v;
        struct source *source;

        parts_split(&parts, data, size);
        virtual_init(&v);
        answers_begin(&parts, 0, &v);
        must(kubernetes_new(&settings, &v.waiter, "", &source) == 0);

        memory_begin();
        list(source);
        list(source);
        must(memory_peak() <= 64 * 1024 + size * 64);
        show(source);

        source_free(source);
        answers_end();
        return 0;
}
