/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The registry "default" as one poll learnt it: the names of its servers and
 * remote servers together, and when it was last updated.
 */

#include "base/json.h"
#include "base/util.h"

#define REGISTRY_SERVERS_MAX ((size_t) 20000)
#define REGISTRY_NAME_MAX 253

struct registry {
        char *last_updated;             /* as the registry writes it; NULL when absent */
        char **names;                   /* sorted, no duplicates */
        size_t n_names;
        size_t n_bad;                   /* names that could not be taken */
};

/* The parts of an answer, as bytes of the body. A map that is absent has no data. */
enum { REGISTRY_LOCAL, REGISTRY_REMOTE, REGISTRY_MAPS };

struct registry_parts {
        struct json_slice maps[REGISTRY_MAPS];  /* name to server, REGISTRY_SERVERS_MAX together at most */
        char last_updated[65];                  /* "" when absent */
};

/* 0; JSON_BAD and a static reason. */
int registry_split(const char *body, size_t size, struct registry_parts *ret_parts,
                   const char **ret_problem);

/* 0; JSON_BAD and a static reason; -ENOMEM. Any of the maps may be absent. */
int registry_parse(const char *body, size_t size, struct registry **ret_registry,
                   const char **ret_problem);
struct registry *registry_new(void);
int registry_add(struct registry *registry, const char *name, size_t size);    /* 0 or -ENOMEM */
/* Once, after the last registry_add(). Drops duplicates. */
void registry_sort(struct registry *registry);
struct registry *registry_free(struct registry *registry);

/* Calls back for each name that came or went, in order; NULL is an empty one. Returns how many. */
size_t registry_diff(const struct registry *old, const struct registry *new,
                     void (*found)(bool added, const char *name, void *user), void *user);

DEFINE_CLEANUP(struct registry *, registry_free)
