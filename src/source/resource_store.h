/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the API server holds of one resource: filled by a list, kept up to date by
 * a watch. All objects are in it, also those that settings leave out and those
 * that make no sense, so that an event about any of them finds its place.
 */

#include "model/resource.h"

struct resource_item {
        struct workload *workload;
        const char *problem;            /* static; NULL: none */
};

struct resource_store {
        struct resource_item *items;    /* by namespace and name, no two the same */
        size_t n_items, n_allocated;
        size_t n_nameless;              /* objects of the list that have no name to be known by */
        size_t n_elsewhere;             /* of WORKLOADS_MAX so many are in other stores; the caller's to set */
};

/* Forgets all, and can be filled anew. */
void resource_store_clear(struct resource_store *store);

/*
 * One object of a list, in any order; takes the workload over, also when it
 * fails. After the last one resource_store_sort(). 0; -E2BIG with WORKLOADS_MAX
 * in it and elsewhere; -ENOMEM.
 */
int resource_store_add(struct resource_store *store, struct resource_object *object);
void resource_store_sort(struct resource_store *store);

/* Puts it in its place, or in the place of the one that was; likewise takes over. */
int resource_store_put(struct resource_store *store, struct resource_object *object, bool *ret_changed);

/* False where there is none. */
bool resource_store_remove(struct resource_store *store, const char *namespace, const char *name);

/* Adds what the filter keeps to the list, which then is to be settled. 0 or -ENOMEM. */
int resource_store_fill(const struct resource_store *store, const struct workload_filter *filter,
                        struct workload_list *list);

#define _cleanup_resource_store_ _cleanup_(resource_store_clear)
