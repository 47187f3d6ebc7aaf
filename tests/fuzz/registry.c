/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The registry: one answer, or two whose difference is taken, read as names (the
 * polls) and as entries (`registry`), which have to agree.
 */

#include <string.h>

#include "checks.h"
#include "fuzz.h"

static bool has_name(const struct registry *registry, const char *name) {
        for (size_t i = 0; i < registry->n_names; i++)
                if (strcmp(registry->names[i], name) == 0)
                        return true;
        return false;
}

static void check_catalog(const struct registry_catalog *catalog, const struct registry *registry) {
        must(catalog->n_entries <= registry->n_names);
        must(catalog->n_bad >= registry->n_bad);
        must(!catalog->last_updated == !registry->last_updated);
        must(!catalog->last_updated || strcmp(catalog->last_updated, registry->last_updated) == 0);
        for (size_t i = 0; i < catalog->n_entries; i++) {
                const struct registry_entry *entry = catalog->entries[i];

                check_registry_entry(entry);
                must(has_name(registry, entry->name));
                must(i == 0 || strcmp(catalog->entries[i - 1]->name, entry->name) < 0);
        }
}

static int parse(const struct part *body, struct registry **ret_registry) {
        _cleanup_(registry_catalog_freep) struct registry_catalog *catalog = NULL;
        const char *problem = NULL, *other = NULL;
        size_t peak;
        int r;

        memory_begin();
        r = registry_parse(body->data, body->size, ret_registry, &problem);
        peak = memory_peak();
        /* Names alone: 16 bytes and more of the body for one. */
        must(peak <= 4096 + body->size * 16);
        memory_begin();
        must(registry_catalog_parse(body->data, body->size, &catalog, &other) == r);
        must(memory_peak() <= 64 * 1024 + body->size * 400);
        if (r != 0) {
                must(r == JSON_BAD && problem && problem == other);
                must(is_harmless(problem, strlen(problem), ONE_LINE));
                return r;
        }

        check_registry(*ret_registry);
        check_catalog(catalog, *ret_registry);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(registry_freep) struct registry *old = NULL, *new = NULL;
        _cleanup_parts_ struct parts parts;

        parts_split(&parts, data, size);
        if (parse(&parts.parts[0], &old) == 0 && parts.n > 1 && parse(&parts.parts[1], &new) == 0)
                check_registry_diff(old, new);
        return 0;
}
