/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole registry, for `registry` without a name and with --search.
 *
 * As for the names alone (model/registry.c) the body is scanned once and cut into
 * its two maps; here each value becomes a tree for a moment and an entry for good.
 * An entry that makes no sense is counted and left out. ToolHive looks a name up
 * among the local servers first: of two with one name only that one can be had.
 */

#include <errno.h>
#include <string.h>

#include "model/registry.h"
#include "model/registry_entry.h"

struct registry_catalog *registry_catalog_free(struct registry_catalog *catalog) {
        if (!catalog)
                return NULL;

        for (size_t i = 0; i < catalog->n_entries; i++)
                registry_entry_free(catalog->entries[i]);
        free(catalog->entries);
        free(catalog->last_updated);
        free(catalog);
        return NULL;
}

/* 0 and an entry, JSON_BAD, -ENOMEM. */
static int take_entry(struct json_slice key, struct json_slice value, bool remote,
                      struct registry_entry **ret_entry) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        char name[REGISTRY_NAME_MAX + 1];
        const char *problem;
        int r;

        if (json_type_of(value) != '{' || !json_slice_string(key, name, sizeof(name)))
                return JSON_BAD;
        r = json_parse(value, &object, &problem);
        return r == 0 ? registry_entry_parse(object, name, remote, ret_entry, &problem) : r;
}

/* The array has room for all entries of both maps. 0 or -ENOMEM. */
static int add_map(struct registry_catalog *catalog, struct json_slice map, bool remote) {
        struct json_slice key, value;
        size_t position = 0;

        while (map.data && json_slice_next(map, &position, &key, &value)) {
                int r = take_entry(key, value, remote, &catalog->entries[catalog->n_entries]);

                if (r < 0)
                        return r;
                if (r == 0)
                        catalog->n_entries++;
                else
                        catalog->n_bad++;
        }
        return 0;
}

static int compare_entries(const void *left, const void *right) {
        const struct registry_entry *a = *(struct registry_entry *const *) left,
                                    *b = *(struct registry_entry *const *) right;

        return strcmp(a->name, b->name) ?: (int) a->remote - (int) b->remote;
}

/* By name, each once. */
static void sort(struct registry_catalog *catalog) {
        struct registry_entry **entries = catalog->entries;
        size_t n = catalog->n_entries, kept = 0;

        if (n > 1)
                qsort(entries, n, sizeof(*entries), compare_entries);
        for (size_t i = 0; i < n; i++)
                if (kept > 0 && strcmp(entries[kept - 1]->name, entries[i]->name) == 0)
                        registry_entry_free(entries[i]);
                else
                        entries[kept++] = entries[i];
        catalog->n_entries = kept;
}

int registry_catalog_parse(const char *body, size_t size, struct registry_catalog **ret_catalog,
                           const char **ret_problem) {
        _cleanup_(registry_catalog_freep) struct registry_catalog *catalog = NULL;
        struct registry_parts parts;
        size_t n = 0;

        int r = registry_split(body, size, &parts, ret_problem);
        if (r != 0)
                return r;
        for (size_t i = 0; i < REGISTRY_MAPS; i++)
                n += parts.maps[i].data ? json_slice_count(parts.maps[i]) : 0;

        catalog = calloc(1, sizeof(*catalog));
        if (!catalog)
                return -ENOMEM;
        catalog->entries = calloc(n + 1, sizeof(*catalog->entries));
        if (!catalog->entries)
                return -ENOMEM;
        if (parts.last_updated[0]) {
                catalog->last_updated = strdup(parts.last_updated);
                if (!catalog->last_updated)
                        return -ENOMEM;
        }

        for (size_t i = 0; r == 0 && i < REGISTRY_MAPS; i++)
                r = add_map(catalog, parts.maps[i], i == REGISTRY_REMOTE);
        if (r < 0)
                return r;

        sort(catalog);
        *ret_catalog = STEAL(catalog);
        return 0;
}
