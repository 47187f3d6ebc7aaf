/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry as a sorted list of names.
 *
 * An answer holds two maps, of local and of remote servers. Only their keys are
 * wanted: the values (about 1.7 kB each) have been scanned with the rest of the
 * body and are stepped over as bytes; nothing is built from them. A name that is
 * in both maps counts once.
 *
 * A registry belongs to whoever parsed or built it.
 */

#include "model/registry.h"

#include <errno.h>
#include <string.h>

#define NAMES_MIN ((size_t) 16)

struct registry *registry_new(void) {
        return calloc(1, sizeof(struct registry));
}

struct registry *registry_free(struct registry *registry) {
        if (!registry)
                return NULL;

        for (size_t i = 0; i < registry->n_names; i++)
                free(registry->names[i]);
        free(registry->names);
        free(registry->last_updated);
        free(registry);
        return NULL;
}

int registry_add(struct registry *registry, const char *name, size_t size) {
        size_t n = registry->n_names;

        /* The array grows at each power of two, which is why its size needs no field. */
        if (n == 0 || (n >= NAMES_MIN && (n & (n - 1)) == 0)) {
                char **grown = reallocarray(registry->names, n == 0 ? NAMES_MIN : n * 2,
                                            sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                registry->names = grown;
        }

        char *copy = strndup(name, size);
        if (!copy)
                return -ENOMEM;

        registry->names[registry->n_names++] = copy;
        return 0;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

void registry_sort(struct registry *registry) {
        size_t n = registry->n_names, kept = 0;

        if (n > 1)
                qsort(registry->names, n, sizeof(*registry->names), compare_names);

        for (size_t i = 0; i < n; i++)
                if (kept > 0 && strcmp(registry->names[kept - 1], registry->names[i]) == 0)
                        free(registry->names[i]);
                else
                        registry->names[kept++] = registry->names[i];

        registry->n_names = kept;
}

static int refuse(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return JSON_BAD;
}

/* The keys of one map, of which those that no server can have are only counted. */
static int add_keys(struct registry *registry, struct json_slice map) {
        struct json_slice key, value;
        size_t position = 0;

        while (json_slice_next(map, &position, &key, &value)) {
                char name[REGISTRY_NAME_MAX + 1];

                if (json_type_of(value) != '{' ||
                    !json_slice_string(key, name, sizeof(name)) ||
                    !json_is_clean_name(name, REGISTRY_NAME_MAX)) {
                        registry->n_bad++;
                        continue;
                }

                int r = registry_add(registry, name, strlen(name));
                if (r < 0)
                        return r;
        }

        return 0;
}

/* Both maps, of which either may be absent or null. */
static int split_maps(struct json_slice object, struct registry_parts *parts,
                      const char **ret_problem) {
        static const struct {
                const char *key, *wrong, *twice;
        } maps[REGISTRY_MAPS] = {
                { "servers", "\"servers\" is no map", "\"servers\" twice" },
                { "remote_servers", "\"remote_servers\" is no map", "\"remote_servers\" twice" },
        };
        size_t n = 0;

        for (size_t i = 0; i < REGISTRY_MAPS; i++) {
                struct json_slice map;

                int r = json_slice_member(object, maps[i].key, &map);
                if (r == JSON_ABSENT)
                        continue;
                if (r == JSON_DUPLICATE)
                        return refuse(maps[i].twice, ret_problem);
                if (json_type_of(map) != '{')
                        return refuse(maps[i].wrong, ret_problem);

                n += json_slice_count(map);
                if (n > REGISTRY_SERVERS_MAX)
                        return refuse("too many servers", ret_problem);
                parts->maps[i] = map;
        }

        return 0;
}

/* It is only shown: one that cannot be shown is none. */
static bool take_last_updated(struct json_slice object, struct registry_parts *parts) {
        char *text = parts->last_updated;
        struct json_slice value;

        if (json_slice_member(object, "last_updated", &value) == 0 &&
            json_slice_string(value, text, sizeof(parts->last_updated)) &&
            json_is_clean_name(text, sizeof(parts->last_updated) - 1))
                return true;

        text[0] = '\0';
        return false;
}

int registry_split(const char *body, size_t size, struct registry_parts *ret_parts,
                   const char **ret_problem) {
        struct registry_parts parts = {};
        struct json_slice document, object;

        int r = json_scan(body, size, &document, ret_problem);
        if (r != 0)
                return r;
        if (json_type_of(document) != '{')
                return refuse("not a JSON object", ret_problem);

        r = json_slice_member(document, "registry", &object);
        if (r == JSON_DUPLICATE)
                return refuse("\"registry\" twice", ret_problem);
        if (r != 0 || json_type_of(object) != '{')
                return refuse("no \"registry\"", ret_problem);

        r = split_maps(object, &parts, ret_problem);
        if (r != 0)
                return r;
        if (!take_last_updated(object, &parts))
                (void) take_last_updated(document, &parts);

        *ret_parts = parts;
        return 0;
}

int registry_parse(const char *body, size_t size, struct registry **ret_registry,
                   const char **ret_problem) {
        _cleanup_(registry_freep) struct registry *registry = NULL;
        struct registry_parts parts;

        int r = registry_split(body, size, &parts, ret_problem);
        if (r != 0)
                return r;

        registry = registry_new();
        if (!registry)
                return -ENOMEM;

        for (size_t i = 0; i < REGISTRY_MAPS && r == 0; i++)
                if (parts.maps[i].data)
                        r = add_keys(registry, parts.maps[i]);
        if (r == 0 && parts.last_updated[0]) {
                registry->last_updated = strdup(parts.last_updated);
                r = registry->last_updated ? 0 : -ENOMEM;
        }
        if (r < 0)
                return r;

        registry_sort(registry);
        *ret_registry = STEAL(registry);
        return 0;
}

size_t registry_diff(const struct registry *old, const struct registry *new,
                     void (*found)(bool added, const char *name, void *user), void *user) {
        static const struct registry nothing;
        size_t i = 0, j = 0, n_found = 0;

        old = old ?: &nothing;
        new = new ?: &nothing;

        while (i < old->n_names || j < new->n_names) {
                const char *a = i < old->n_names ? old->names[i] : NULL;
                const char *b = j < new->n_names ? new->names[j] : NULL;
                int order = !a ? 1 : !b ? -1 : strcmp(a, b);

                if (order != 0) {
                        found(order > 0, order > 0 ? b : a, user);
                        n_found++;
                }
                i += order <= 0;
                j += order >= 0;
        }

        return n_found;
}
