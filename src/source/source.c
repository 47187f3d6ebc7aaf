/* SPDX-License-Identifier: Apache-2.0 */

/* What is common to the backends: the names of the calls, and the end of one. */

#include "source/source.h"

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
        *call = (struct call) { .kind = call->kind };
}
