/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of workloads: filling it, finding in it, and telling two polls apart.
 *
 * A workload is one block of memory, the struct with its strings behind it, so
 * that 10,000 of them are 10,000 allocations and not 70,000. Lists own their
 * workloads, several of them the same one where each is made of the last by a
 * change or two, so that 10,000 are not copied for it. A list is filled, sorted once, and from then on read by everybody who
 * needs order: find by halving, diff by walking two lists side by side.
 *
 * A list is handed from the parser to the worker, which keeps it; nobody else
 * sees it, and nothing here is shared.
 */

#include "model/workload.h"

#include <errno.h>
#include <string.h>

#define ITEMS_MIN ((size_t) 16)

static bool contains(char *const *list, const char *string) {
        for (; *list; list++)
                if (strcmp(*list, string) == 0)
                        return true;

        return false;
}

bool workload_filter_keeps_name(const struct workload_filter *filter, const char *name) {
        return !filter || !filter->skipped_workloads || !contains(filter->skipped_workloads, name);
}

bool workload_filter_keeps_group(const struct workload_filter *filter, const char *group) {
        return !filter || !filter->allowed_groups || contains(filter->allowed_groups, group);
}

static size_t size_of(const char *string) {
        return string ? strlen(string) + 1 : 0;
}

/* Copies a string to *end, which moves behind it. */
static const char *place(char **end, const char *string) {
        if (!string)
                return NULL;

        char *start = *end;
        *end = stpcpy(start, string) + 1;
        return start;
}

struct workload *workload_new(const struct workload *fields) {
        struct workload *workload = malloc(sizeof(*workload) + size_of(fields->name) +
                                           size_of(fields->namespace) + size_of(fields->status) +
                                           size_of(fields->url) + size_of(fields->transport) +
                                           size_of(fields->group) + size_of(fields->package));
        if (!workload)
                return NULL;

        char *end = (char *) (workload + 1);

        *workload = (struct workload) {
                .name = place(&end, fields->name),
                .namespace = place(&end, fields->namespace),
                .status = place(&end, fields->status),
                .url = place(&end, fields->url),
                .transport = place(&end, fields->transport),
                .group = place(&end, fields->group),
                .package = place(&end, fields->package),
                .remote = fields->remote,
                .references = 1,
        };
        return workload;
}

struct workload *workload_ref(struct workload *workload) {
        workload->references++;
        return workload;
}

void workload_format_name(struct text *text, const struct workload *workload) {
        if (workload->namespace)
                text_addf(text, "%s/", workload->namespace);
        text_add(text, workload->name);
}

static void add_member(struct text *text, const char *key, const char *value) {
        text_add(text, key);
        text_add_json(text, value && *value ? value : NULL);
}

void workload_format_json(struct text *text, const struct workload *workload) {
        add_member(text, "{\"name\": ", workload->name);
        add_member(text, ", \"namespace\": ", workload->namespace);
        add_member(text, ", \"status\": ", workload->status);
        add_member(text, ", \"url\": ", workload->url);
        add_member(text, ", \"transport\": ", workload->transport);
        add_member(text, ", \"group\": ", workload->group);
        add_member(text, ", \"package\": ", workload->package);
        text_add(text, workload->remote ? ", \"remote\": true}" : ", \"remote\": false}");
}

struct workload *workload_free(struct workload *workload) {
        if (workload && --workload->references == 0)
                free(workload);
        return NULL;
}

bool workload_is_running(const struct workload *workload) {
        return strcmp(workload->status, "running") == 0;
}

bool workload_name_is_valid(const char *name) {
        return json_is_clean_name(name, WORKLOAD_NAME_MAX) && strcmp(name, ".") != 0 &&
               strcmp(name, "..") != 0;
}

/* strcmp(3) for strings that may be NULL, which comes first. */
static int compare_strings(const char *a, const char *b) {
        if (!a || !b)
                return (a != NULL) - (b != NULL);

        return strcmp(a, b);
}

int workload_compare(const struct workload *a, const struct workload *b) {
        if (a == b)
                return 0;
        return compare_strings(a->namespace, b->namespace) ?: strcmp(a->name, b->name);
}

/* By all fields: 0 when a reader would see no difference. */
static int compare_whole(const struct workload *a, const struct workload *b) {
        int r = workload_compare(a, b);

        if (a == b)
                return 0;
        r = r ?: compare_strings(a->status, b->status);
        r = r ?: compare_strings(a->url, b->url);
        r = r ?: compare_strings(a->transport, b->transport);
        r = r ?: compare_strings(a->group, b->group);
        r = r ?: compare_strings(a->package, b->package);

        return r ?: (int) a->remote - (int) b->remote;
}

bool workload_equal(const struct workload *a, const struct workload *b) {
        return compare_whole(a, b) == 0;
}

static int compare_items(const void *a, const void *b) {
        return compare_whole(*(struct workload *const *) a, *(struct workload *const *) b);
}

static int compare_keys(const void *a, const void *b) {
        return workload_compare(*(struct workload *const *) a, *(struct workload *const *) b);
}

struct workload_list *workload_list_new(void) {
        return calloc(1, sizeof(struct workload_list));
}

struct workload_list *workload_list_free(struct workload_list *list) {
        if (!list)
                return NULL;

        for (size_t i = 0; i < list->n_items; i++)
                workload_free(list->items[i]);
        free(list->items);
        for (size_t i = 0; i < list->n_bad && i < BAD_ENTRIES_NAMED; i++)
                free(list->bad[i].name);
        free(list);
        return NULL;
}

int workload_list_add(struct workload_list *list, struct workload *workload) {
        _cleanup_(workload_freep) struct workload *owned = workload;
        size_t n = list->n_items;

        /* The array grows at each power of two, which is why its size needs no field. */
        if (n == 0 || (n >= ITEMS_MIN && (n & (n - 1)) == 0)) {
                struct workload **grown = reallocarray(list->items, n == 0 ? ITEMS_MIN : n * 2,
                                                       sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                list->items = grown;
        }

        list->running += workload_is_running(owned);
        list->items[list->n_items++] = STEAL(owned);
        return 0;
}

/*
 * Those that are kept are the first by name and problem, so that two polls name
 * the same ones, in whatever order the entries were sent.
 */
int workload_list_add_bad(struct workload_list *list, const char *name, size_t index, const char *problem) {
        size_t n = list->n_bad < BAD_ENTRIES_NAMED ? list->n_bad : BAD_ENTRIES_NAMED, i = n;
        struct bad_entry *bad = list->bad;
        char number[32];

        (void) snprintf(number, sizeof(number), "#%zu", index);
        name = name ?: number;
        while (i > 0 && (strcmp(name, bad[i - 1].name) ?: strcmp(problem, bad[i - 1].problem)) < 0)
                i--;

        if (i < BAD_ENTRIES_NAMED) {
                char *copy = strdup(name);

                if (!copy)
                        return -ENOMEM;
                if (n == BAD_ENTRIES_NAMED)
                        free(bad[--n].name);
                memmove(bad + i + 1, bad + i, (n - i) * sizeof(*bad));
                bad[i] = (struct bad_entry) { .name = copy, .problem = problem };
        }

        list->n_bad++;
        return 0;
}

/*
 * By all fields and not by the key alone, so that of several entries with one
 * name the same one comes first in every poll, in whatever order they were sent.
 */
void workload_list_sort(struct workload_list *list) {
        if (list->n_items > 1)
                qsort(list->items, list->n_items, sizeof(*list->items), compare_items);
}

static int add_second(struct workload_list *list, const struct workload *workload, size_t index) {
        _cleanup_text_ struct text name = TEXT_INIT;

        workload_format_name(&name, workload);
        return text_error(&name) ?: workload_list_add_bad(list, name.data, index, "the same name twice");
}

int workload_list_settle(struct workload_list *list) {
        size_t n = list->n_items, kept = 0;
        int r = 0;

        workload_list_sort(list);
        for (size_t i = 0; i < n; i++) {
                struct workload *workload = list->items[i];

                if (r < 0 || kept == 0 || workload_compare(list->items[kept - 1], workload) != 0) {
                        list->items[kept++] = workload;
                        continue;
                }

                r = add_second(list, workload, i);
                list->running -= workload_is_running(workload);
                workload_free(workload);
        }

        list->n_items = kept;
        return r;
}

const struct workload *workload_list_find(const struct workload_list *list, const char *namespace,
                                          const char *name) {
        struct workload key = { .name = name, .namespace = namespace }, *keyp = &key, **found;

        if (list->n_items == 0)
                return NULL;

        found = bsearch(&keyp, list->items, list->n_items, sizeof(*list->items), compare_keys);
        return found ? *found : NULL;
}

void workload_list_replace(struct workload_list *list, size_t i, struct workload *workload) {
        list->running -= workload_is_running(list->items[i]);
        list->running += workload_is_running(workload);
        workload_free(list->items[i]);
        list->items[i] = workload;
}

size_t workload_list_diff(const struct workload_list *old, const struct workload_list *new,
                          void (*found)(enum workload_change change, const struct workload *old,
                                        const struct workload *new, void *user),
                          void *user) {
        static const struct workload_list nothing;
        size_t i = 0, j = 0, n_found = 0;

        old = old ?: &nothing;
        new = new ?: &nothing;

        while (i < old->n_items || j < new->n_items) {
                const struct workload *a = i < old->n_items ? old->items[i] : NULL;
                const struct workload *b = j < new->n_items ? new->items[j] : NULL;
                int order = !a ? 1 : !b ? -1 : workload_compare(a, b);
                bool same = order == 0 && compare_whole(a, b) == 0;

                if (order < 0)
                        found(WORKLOAD_REMOVED, a, NULL, user);
                else if (order > 0)
                        found(WORKLOAD_ADDED, NULL, b, user);
                else if (!same)
                        found(WORKLOAD_CHANGED, a, b, user);

                n_found += !same;
                i += order <= 0;
                j += order >= 0;
        }

        return n_found;
}
