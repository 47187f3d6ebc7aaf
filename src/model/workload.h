/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The workloads (running or stopped MCP servers) as one poll learnt them, and the
 * difference between two polls. A list never changes once it is parsed.
 */

#include "base/json.h"
#include "base/text.h"

#define WORKLOADS_MAX ((size_t) 20000)
#define WORKLOAD_NAME_MAX 253
#define BAD_ENTRIES_NAMED 10

/* One allocation each; the strings follow the struct. Never changed once made: lists share it by reference. */
struct workload {
        const char *name;
        const char *namespace;          /* NULL outside of Kubernetes */
        const char *status;
        const char *url;                /* NULL when not known */
        const char *transport;          /* NULL when not known, and so on */
        const char *group;
        const char *package;
        bool remote;
        unsigned references;            /* counted by one thread only */
};

/* An entry of a list that could not be taken; it costs the others nothing. */
struct bad_entry {
        char *name;                     /* or "#12" where it has none that can be shown */
        const char *problem;            /* static */
};

struct workload_list {
        struct workload **items;        /* by namespace and name */
        size_t n_items;
        size_t running;                 /* of items */
        size_t skipped;                 /* left out by name or group */
        struct bad_entry bad[BAD_ENTRIES_NAMED];        /* the first by name and problem */
        size_t n_bad;                   /* all of them, also those beyond the named ones */
};

/* What is kept; both may be NULL. */
struct workload_filter {
        char **allowed_groups;          /* NULL-terminated; NULL: all */
        char **skipped_workloads;       /* NULL-terminated; NULL: none */
};

bool workload_filter_keeps_name(const struct workload_filter *filter, const char *name);
bool workload_filter_keeps_group(const struct workload_filter *filter, const char *group);

struct workload *workload_new(const struct workload *fields);  /* copies the strings; NULL: no memory */
struct workload *workload_ref(struct workload *workload);       /* one more owner, who ends with workload_free() */
struct workload *workload_free(struct workload *workload);
bool workload_is_running(const struct workload *workload);
/* Short and harmless to show, and no "." or "..", which in the path of a request is not a name. */
bool workload_name_is_valid(const char *name);
/* Appends its name as people give it: "fetch", or "tools/fetch" where it is in a namespace. */
void workload_format_name(struct text *text, const struct workload *workload);
/* Appends it as the state file and `list --json` show it: null for what is not known. */
void workload_format_json(struct text *text, const struct workload *workload);
/* By namespace, then name, as in the list. */
int workload_compare(const struct workload *a, const struct workload *b);
/* Whether a reader would see no difference. */
bool workload_equal(const struct workload *a, const struct workload *b);

/*
 * Parses ToolHive's {"workloads": […]} or {"workloads": null}. 0; JSON_BAD and a
 * static reason when it is no such answer; -ENOMEM. An absent "group" is
 * "default" for the filter and in the item.
 */
int workload_list_parse(const char *body, size_t size, const struct workload_filter *filter,
                        struct workload_list **ret_list, const char **ret_problem);
/* An empty list to be filled by hand: by the state file, by Kubernetes, by tests. */
struct workload_list *workload_list_new(void);
/* Takes over the workload, also when it fails. 0 or -ENOMEM. Then workload_list_sort() or _settle(), once. */
int workload_list_add(struct workload_list *list, struct workload *workload);
/*
 * Remembers an entry that was not taken. name is copied, NULL where the entry has
 * none that can be shown: then it is told by its index. 0 or -ENOMEM.
 */
int workload_list_add_bad(struct workload_list *list, const char *name, size_t index, const char *problem);
void workload_list_sort(struct workload_list *list);
/* Sorts, and of several workloads with one key leaves the first in; the others are bad. 0 or -ENOMEM. */
int workload_list_settle(struct workload_list *list);
struct workload_list *workload_list_free(struct workload_list *list);
/* NULL when there is none. The list must be sorted. */
const struct workload *workload_list_find(const struct workload_list *list, const char *namespace,
                                          const char *name);
/* Puts another workload with the same key in place of items[i]: takes over, frees the old one. */
void workload_list_replace(struct workload_list *list, size_t i, struct workload *workload);

enum workload_change {
        WORKLOAD_ADDED,
        WORKLOAD_REMOVED,
        WORKLOAD_CHANGED,
};
/*
 * Calls back for each difference in order of namespace and name; old or new is
 * NULL where there is none. A list that is NULL is empty. Returns how many.
 */
size_t workload_list_diff(const struct workload_list *old, const struct workload_list *new,
                          void (*found)(enum workload_change change, const struct workload *old,
                                        const struct workload *new, void *user),
                          void *user);

DEFINE_CLEANUP(struct workload *, workload_free)
DEFINE_CLEANUP(struct workload_list *, workload_list_free)
