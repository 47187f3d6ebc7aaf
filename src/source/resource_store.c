/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A sorted array of references. To look a name up is to halve it, to let one in
 * or out moves what is behind; with the 20,000 that a list may have, that is a
 * tenth of a megabyte, once for an event that a person or a controller caused.
 *
 * The lists that are made of it share its workloads: making one costs a pointer
 * each. It belongs to the worker's thread, as the lists do.
 */

#include <errno.h>
#include <string.h>

#include "source/resource_store.h"

#define ALLOCATED_MIN ((size_t) 16)

void resource_store_clear(struct resource_store *store) {
        for (size_t i = 0; i < store->n_items; i++)
                workload_free(store->items[i].workload);
        free(store->items);
        *store = (struct resource_store) {};
}

static int reserve(struct resource_store *store) {
        size_t n = store->n_allocated > 0 ? 2 * store->n_allocated : ALLOCATED_MIN;
        struct resource_item *items;

        if (store->n_items + store->n_elsewhere >= WORKLOADS_MAX)
                return -E2BIG;
        if (store->n_items < store->n_allocated)
                return 0;

        items = reallocarray(store->items, n, sizeof *items);
        if (!items)
                return -ENOMEM;
        store->items = items;
        store->n_allocated = n;
        return 0;
}

static struct resource_item take(struct resource_object *object) {
        return (struct resource_item) { STEAL(object->workload), object->problem };
}

int resource_store_add(struct resource_store *store, struct resource_object *object) {
        int r = reserve(store);

        if (r < 0) {
                object->workload = workload_free(object->workload);
                return r;
        }
        store->items[store->n_items++] = take(object);
        return 0;
}

static int compare_items(const void *a, const void *b) {
        const struct resource_item *one = a, *other = b;

        return workload_compare(one->workload, other->workload);
}

/* The API server keeps names unique: of two that a false one sends, either is as good. */
void resource_store_sort(struct resource_store *store) {
        size_t kept = 0;

        if (store->n_items > 1)
                qsort(store->items, store->n_items, sizeof *store->items, compare_items);
        for (size_t i = 0; i < store->n_items; i++)
                if (kept > 0 && compare_items(&store->items[kept - 1], &store->items[i]) == 0)
                        workload_free(store->items[i].workload);
                else
                        store->items[kept++] = store->items[i];
        store->n_items = kept;
}

/* Where it is, or where it would be: the first that is not before it. */
static size_t find(const struct resource_store *store, const struct workload *key, bool *ret_found) {
        size_t low = 0, high = store->n_items;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (workload_compare(store->items[middle].workload, key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = low < store->n_items && workload_compare(store->items[low].workload, key) == 0;
        return low;
}

int resource_store_put(struct resource_store *store, struct resource_object *object, bool *ret_changed) {
        struct resource_item *item;
        bool found;
        size_t at;
        int r;

        at = find(store, object->workload, &found);
        if (!found) {
                r = reserve(store);
                if (r < 0) {
                        object->workload = workload_free(object->workload);
                        return r;
                }
                item = &store->items[at];
                memmove(item + 1, item, (store->n_items - at) * sizeof *item);
                store->n_items++;
                *item = take(object);
                *ret_changed = true;
                return 0;
        }

        item = &store->items[at];
        *ret_changed = item->problem != object->problem || !workload_equal(item->workload, object->workload);
        workload_free(item->workload);
        *item = take(object);
        return 0;
}

bool resource_store_remove(struct resource_store *store, const char *namespace, const char *name) {
        const struct workload key = { .namespace = namespace, .name = name };
        struct resource_item *item;
        bool found;
        size_t at;

        at = find(store, &key, &found);
        if (!found)
                return false;

        item = &store->items[at];
        workload_free(item->workload);
        store->n_items--;
        memmove(item, item + 1, (store->n_items - at) * sizeof *item);
        return true;
}

static int add_bad(struct workload_list *list, const struct resource_item *item, size_t index) {
        _cleanup_text_ struct text name = TEXT_INIT;

        workload_format_name(&name, item->workload);
        return text_error(&name) ?: workload_list_add_bad(list, name.data, index, item->problem);
}

int resource_store_fill(const struct resource_store *store, const struct workload_filter *filter,
                        struct workload_list *list) {
        int r = 0;

        for (size_t i = 0; i < store->n_items && r == 0; i++) {
                struct workload *workload = store->items[i].workload;
                const char *problem = store->items[i].problem;

                if (!workload_filter_keeps_name(filter, workload->name) ||
                    (!problem && !workload_filter_keeps_group(filter, workload->group)))
                        list->skipped++;
                else if (problem)
                        r = add_bad(list, &store->items[i], i);
                else
                        r = workload_list_add(list, workload_ref(workload));
        }
        for (size_t i = 0; i < store->n_nameless && r == 0; i++)
                r = workload_list_add_bad(list, NULL, i, "no valid name or namespace");
        return r;
}
