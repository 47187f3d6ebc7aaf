/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects of Kubernetes, each line one, as each of the three resources: what is
 * taken of them, and a store that they are put into and removed from.
 */

#include "checks.h"
#include "fuzz.h"
#include "source/resource_store.h"

static void check_object(enum resource resource, const struct resource_object *object) {
        const struct workload *workload = object->workload;
        _cleanup_text_ struct text json = TEXT_INIT;

        must(workload->namespace && workload_name_is_valid(workload->name) &&
             workload_name_is_valid(workload->namespace));
        must(is_harmless(object->version, strlen(object->version), ONE_LINE));
        workload_format_json(&json, workload);
        must_be_harmless(&json, ONE_LINE);
        must_be_json(json.data, json.size);
        if (object->problem) {
                must(is_harmless(object->problem, strlen(object->problem), ONE_LINE) && *object->problem);
                return;
        }
        must(*workload->status && workload->group && *workload->group);
        must(resource_of(workload) == resource);
        must(workload->remote == (resource == RESOURCE_PROXY));
        if (resource == RESOURCE_VIRTUAL && workload->url) {
                must(strlen(workload->url) >= 4);
                must(strcmp(workload->url + strlen(workload->url) - 4, "/mcp") == 0);
        }
}

static void put(struct resource_store *store, struct resource_object *object) {
        const struct workload *workload = object->workload;
        bool changed = false, again = true;
        struct resource_object same = *object;

        same.workload = workload_ref(object->workload);
        must(resource_store_put(store, object, &changed) == 0);
        must(resource_store_put(store, &same, &again) == 0 && !again);
        for (size_t i = 1; i < store->n_items; i++)
                must(workload_compare(store->items[i - 1].workload, store->items[i].workload) < 0);
        must(workload->references == 1);
}

static void take(enum resource resource, const char *line, size_t size, struct resource_store *store) {
        struct resource_object object;
        struct json_slice value;
        const char *problem = NULL;
        int r;

        if (json_scan(line, size, &value, &problem) != 0)
                return;
        r = resource_parse(resource, value, &object, &problem);
        if (r != 0) {
                must(r == JSON_BAD && problem && is_harmless(problem, strlen(problem), ONE_LINE));
                return;
        }
        check_object(resource, &object);
        put(store, &object);
}

static void check_removal(struct resource_store *store) {
        while (store->n_items > 0) {
                struct workload *workload = workload_ref(store->items[store->n_items / 2].workload);

                must(resource_store_remove(store, workload->namespace, workload->name));
                must(!resource_store_remove(store, workload->namespace, workload->name));
                must(workload->references == 1);
                workload_free(workload);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = malloc(size + 1);

        must(text);
        memcpy(text, data, size);
        text[size] = '\n';
        for (enum resource resource = RESOURCE_SERVER; resource < RESOURCES; resource++) {
                _cleanup_resource_store_ struct resource_store store = {};

                for (const char *at = text, *end; at <= text + size; at = end + 1) {
                        end = memchr(at, '\n', (size_t) (text + size + 1 - at));
                        take(resource, at, (size_t) (end - at), &store);
                }
                check_removal(&store);
        }
        return 0;
}
