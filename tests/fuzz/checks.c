/* SPDX-License-Identifier: Apache-2.0 */

/* See the header. */

#include <string.h>

#include "checks.h"
#include "fuzz.h"

#define STRING_MAX 2048                 /* what any string of the model stays under */

static void check_string(const char *string, size_t max) {
        if (!string)
                return;
        must(*string);
        must(strlen(string) <= max);
        must(is_harmless(string, strlen(string), ONE_LINE));
}

static void check_workload(const struct workload *workload) {
        must(workload->name && workload->status);
        check_string(workload->name, WORKLOAD_NAME_MAX);
        check_string(workload->namespace, WORKLOAD_NAME_MAX);
        check_string(workload->status, STRING_MAX);
        check_string(workload->url, STRING_MAX);
        check_string(workload->transport, STRING_MAX);
        check_string(workload->group, STRING_MAX);
        check_string(workload->package, STRING_MAX);
        must(workload_name_is_valid(workload->name));
}

static void check_bad_entries(const struct workload_list *list) {
        size_t n = list->n_bad < BAD_ENTRIES_NAMED ? list->n_bad : BAD_ENTRIES_NAMED;

        for (size_t i = 0; i < n; i++) {
                check_string(list->bad[i].name, WORKLOAD_NAME_MAX);
                check_string(list->bad[i].problem, STRING_MAX);
                must(list->bad[i].name && list->bad[i].problem);
                must(i == 0 || strcmp(list->bad[i - 1].name, list->bad[i].name) <= 0);
        }
}

void check_workload_list(const struct workload_list *list) {
        size_t running = 0;

        must(list->n_items <= WORKLOADS_MAX);
        for (size_t i = 0; i < list->n_items; i++) {
                const struct workload *workload = list->items[i];

                check_workload(workload);
                running += strcmp(workload->status, "running") == 0;
                must(i == 0 || workload_compare(list->items[i - 1], workload) < 0);
                must(workload_list_find(list, workload->namespace, workload->name) == workload);
        }
        must(running == list->running);
        check_bad_entries(list);
}

void check_registry(const struct registry *registry) {
        must(registry->n_names <= REGISTRY_SERVERS_MAX);
        for (size_t i = 0; i < registry->n_names; i++) {
                check_string(registry->names[i], REGISTRY_NAME_MAX);
                must(i == 0 || strcmp(registry->names[i - 1], registry->names[i]) < 0);
        }
        check_string(registry->last_updated, 64);
}

static void check_strings(char *const *strings) {
        for (; strings && *strings; strings++)
                check_string(*strings, STRING_MAX);
}

/* Prose may be empty, and is cut with an ellipsis behind a whole character. */
static void check_prose(const char *prose) {
        if (prose && *prose)
                check_string(prose, STRING_MAX + 16);
}

static void check_settings(const struct registry_setting *settings, size_t n) {
        for (size_t i = 0; i < n; i++) {
                must(settings[i].name);
                check_string(settings[i].name, REGISTRY_NAME_MAX);
                for (size_t j = 0; j < i && j < 100; j++)
                        must(strcmp(settings[j].name, settings[i].name) != 0);
                check_prose(settings[i].description);
        }
}

void check_registry_entry(const struct registry_entry *entry) {
        must(entry->name);
        check_string(entry->name, REGISTRY_NAME_MAX);
        check_prose(entry->title);
        check_prose(entry->description);
        check_string(entry->tier, STRING_MAX);
        check_string(entry->status, STRING_MAX);
        check_string(entry->transport, STRING_MAX);
        check_string(entry->image, STRING_MAX);
        check_string(entry->url, STRING_MAX);
        check_string(entry->repository_url, STRING_MAX);
        check_strings(entry->tools);
        check_strings(entry->tags);
        check_settings(entry->env_vars, entry->n_env_vars);
        check_settings(entry->headers, entry->n_headers);
        must(entry->remote ? !entry->image : !entry->url);
        must(entry->target_port >= 0 && entry->target_port <= UINT16_MAX);
        must(registry_entry_matches(entry, ""));
        must(registry_entry_matches(entry, entry->name));
}

/* ---- differences ---- */

struct differences {
        size_t added, removed, changed;
        const struct workload *last;
        const char *last_name;
};

static void on_workload(enum workload_change change, const struct workload *old, const struct workload *new,
                        void *user) {
        const struct workload *it = old ?: new;
        struct differences *differences = user;

        must((old != NULL) == (change != WORKLOAD_ADDED));
        must((new != NULL) == (change != WORKLOAD_REMOVED));
        must(!differences->last || workload_compare(differences->last, it) < 0);
        differences->last = it;
        differences->added += change == WORKLOAD_ADDED;
        differences->removed += change == WORKLOAD_REMOVED;
        differences->changed += change == WORKLOAD_CHANGED;
}

void check_workload_diff(const struct workload_list *a, const struct workload_list *b) {
        struct differences there = {}, back = {}, all = {};

        must(workload_list_diff(a, a, on_workload, &(struct differences) {}) == 0);
        must(workload_list_diff(NULL, b, on_workload, &all) == b->n_items && all.added == b->n_items);
        must(workload_list_diff(a, b, on_workload, &there) == workload_list_diff(b, a, on_workload, &back));
        must(there.added == back.removed && there.removed == back.added && there.changed == back.changed);
        must(a->n_items + there.added == b->n_items + there.removed);
}

static void on_name(bool added, const char *name, void *user) {
        struct differences *differences = user;

        must(!differences->last_name || strcmp(differences->last_name, name) < 0);
        differences->last_name = name;
        differences->added += added;
        differences->removed += !added;
}

void check_registry_diff(const struct registry *a, const struct registry *b) {
        struct differences there = {}, back = {}, all = {};

        must(registry_diff(a, a, on_name, &(struct differences) {}) == 0);
        must(registry_diff(NULL, b, on_name, &all) == b->n_names && all.added == b->n_names);
        must(registry_diff(a, b, on_name, &there) == registry_diff(b, a, on_name, &back));
        must(there.added == back.removed && there.removed == back.added);
        must(a->n_names + there.added == b->n_names + there.removed);
}
