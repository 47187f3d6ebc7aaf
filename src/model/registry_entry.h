/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The servers of the registry as a person wants to see them: `registry` lists
 * them, `install` needs one. The polls keep names only (model/registry.h); this
 * is read when somebody asks.
 */

#include "base/json.h"

/* A setting that a server needs or takes: an environment variable, or a header of a remote one. */
struct registry_setting {
        char *name;
        char *description;              /* NULL when absent, and so on */
        char *default_value;
        bool required;
        bool secret;
};

struct registry_entry {
        char *name;
        char *title;
        char *description;
        char *tier;
        char *status;
        char *transport;
        char *image;                    /* NULL for a remote one */
        char *url;                      /* of a remote one */
        char *repository_url;
        int target_port;                /* 0: not told */
        bool remote;
        char **tools, **tags, **args;   /* NULL-terminated, or NULL */
        struct registry_setting *env_vars, *headers;
        size_t n_env_vars, n_headers;
};

/* One entry from its tree. name is the key it has in a list; NULL: its own. 0, JSON_BAD and a reason, -ENOMEM. */
int registry_entry_parse(struct json_object *object, const char *name, bool remote,
                         struct registry_entry **ret_entry, const char **ret_problem);
/* The answer to CALL_REGISTRY_ENTRY: {"server": {…}} or {"remote_server": {…}}. */
int registry_entry_parse_answer(struct json_object *document, struct registry_entry **ret_entry,
                                const char **ret_problem);
struct registry_entry *registry_entry_free(struct registry_entry *entry);

struct registry_catalog {
        char *last_updated;             /* NULL when absent */
        struct registry_entry **entries;        /* sorted by name */
        size_t n_entries;
        size_t n_bad;                   /* entries that could not be taken */
};

/* The whole answer to CALL_REGISTRY, entry by entry. 0, JSON_BAD and a reason, -ENOMEM. */
int registry_catalog_parse(const char *body, size_t size, struct registry_catalog **ret_catalog,
                           const char **ret_problem);
struct registry_catalog *registry_catalog_free(struct registry_catalog *catalog);

/*
 * Whether the word is in name, title, description or a tag, in any case (ASCII);
 * in the part of the name before its last slash only for a word with a slash.
 */
bool registry_entry_matches(const struct registry_entry *entry, const char *word);

DEFINE_CLEANUP(struct registry_entry *, registry_entry_free)
DEFINE_CLEANUP(struct registry_catalog *, registry_catalog_free)
