/* SPDX-License-Identifier: Apache-2.0 */

/* What is common to the backends: the choice between them, the names of the calls, and the end of one. */

#include <errno.h>

#include "source/kubernetes.h"
#include "source/source.h"
#include "source/toolhive.h"

int source_new(const struct settings *settings, struct waiter *waiter, const char *last,
               struct source **ret_source) {
        switch (settings->runtime_mode) {
        case RUNTIME_DOCKER:
                return toolhive_new(settings, waiter, last, ret_source);
        case RUNTIME_K8S:
                return kubernetes_new(settings, waiter, last, ret_source);
        }
        return -EINVAL;
}

const char *call_kind_name(enum call_kind kind) {
        switch (kind) {
        case CALL_VERSION:
                return "get version";
        case CALL_LIST_WORKLOADS:
                return "list workloads";
        case CALL_WORKLOAD_DETAILS:
                return "get workload details";
        case CALL_REGISTRY:
                return "get registry";
        case CALL_REGISTRY_ENTRY:
                return "get registry entry";
        case CALL_INSTALL:
                return "install server";
        case CALL_WATCH_WORKLOADS:
                return "watch workloads";
        case CALL_KINDS:
                break;
        }
        return "unknown call";
}

void call_done(struct call *call) {
        workload_list_free(call->workloads);
        registry_free(call->registry);
        registry_catalog_free(call->catalog);
        json_object_put(call->document);
        free(call->message);
        free(call->several);
        *call = (struct call) { .kind = call->kind };
}
