/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The list of workloads: one answer, or two of them whose difference is taken.
 * Whatever is in them, each entry is kept, left out by the filter, or bad; and the
 * order in which they were sent makes no difference.
 */

#include <string.h>

#include "checks.h"
#include "fuzz.h"

static char *groups[] = { (char *) "default", (char *) "a", NULL };
static char *skipped[] = { (char *) "inspector", (char *) "a", NULL };

/* The array of an answer that was taken; without data for null. */
static struct json_slice entries_of(const struct part *body) {
        struct json_slice document, array = {};
        const char *problem;

        must(json_scan(body->data, body->size, &document, &problem) == 0);
        return json_slice_member(document, "workloads", &array) == 0 ? array : (struct json_slice) {};
}

/* The same answer with its entries the other way round. */
static void add_reversed(struct text *text, struct json_slice array) {
        size_t n = json_slice_count(array), position = 0;
        _cleanup_(freep) struct json_slice *entries = calloc(n + 1, sizeof *entries);
        struct json_slice key;

        must(entries);
        for (size_t i = 0; i < n; i++)
                must(json_slice_next(array, &position, &key, &entries[i]));
        text_add(text, "{\"workloads\":[");
        while (n-- > 0) {
                text_add_bytes(text, entries[n].data, entries[n].size);
                text_add(text, n > 0 ? "," : "");
        }
        text_add(text, "]}");
}

static void check_reversed(const struct workload_list *list, struct json_slice array) {
        _cleanup_(workload_list_freep) struct workload_list *other = NULL;
        _cleanup_text_ struct text body = TEXT_INIT;
        const char *problem;

        add_reversed(&body, array);
        must(workload_list_parse(body.data, body.size, NULL, &other, &problem) == 0);
        check_workload_diff(list, other);
        must(workload_list_diff(list, other, NULL, NULL) == 0);
        must(list->n_bad == other->n_bad);
}

static void check_filtered(const struct part *body, const struct workload_list *all, size_t n_entries) {
        const struct workload_filter filter = { groups, skipped };
        _cleanup_(workload_list_freep) struct workload_list *list = NULL;
        const char *problem;

        must(workload_list_parse(body->data, body->size, &filter, &list, &problem) == 0);
        check_workload_list(list);
        must(list->n_items + list->skipped + list->n_bad == n_entries);
        must(list->n_bad <= all->n_bad);
        for (size_t i = 0; i < list->n_items; i++) {
                const struct workload *workload = list->items[i];

                must(strcmp(workload->group, groups[0]) == 0 || strcmp(workload->group, groups[1]) == 0);
                must(strcmp(workload->name, skipped[0]) != 0 && strcmp(workload->name, skipped[1]) != 0);
                must(workload_list_find(all, NULL, workload->name));
        }
}

static void check_json(const struct workload_list *list) {
        for (size_t i = 0; i < list->n_items; i++) {
                _cleanup_text_ struct text json = TEXT_INIT;

                workload_format_json(&json, list->items[i]);
                must_be_harmless(&json, ONE_LINE);
                must_be_json(json.data, json.size);
        }
}

static int parse(const struct part *body, struct workload_list **ret_list) {
        const char *problem = NULL;
        struct json_slice array;
        size_t n;
        int r;

        memory_begin();
        r = workload_list_parse(body->data, body->size, NULL, ret_list, &problem);
        must(memory_peak() <= 64 * 1024 + body->size * 400);
        if (r != 0) {
                must(r == JSON_BAD && problem && is_harmless(problem, strlen(problem), ONE_LINE));
                return r;
        }

        array = entries_of(body);
        n = array.data ? json_slice_count(array) : 0;
        check_workload_list(*ret_list);
        must((*ret_list)->skipped == 0 && (*ret_list)->n_items + (*ret_list)->n_bad == n);
        check_filtered(body, *ret_list, n);
        check_json(*ret_list);
        if (n > 0)
                check_reversed(*ret_list, array);
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(workload_list_freep) struct workload_list *old = NULL, *new = NULL;
        _cleanup_parts_ struct parts parts;

        parts_split(&parts, data, size);
        if (parse(&parts.parts[0], &old) == 0 && parts.n > 1 && parse(&parts.parts[1], &new) == 0)
                check_workload_diff(old, new);
        return 0;
}
