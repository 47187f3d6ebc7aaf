/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading what an earlier service left
 *
 * The file may be ours, from a version to come, cut by a full disk, or the work
 * of somebody who likes to see what happens: it is read like an answer from the
 * network. Its bytes are scanned once, then each object is walked once for the
 * members that we want (state_value.h), all of which have to be there, once, and
 * of the right kind; strings are copied out into small buffers. On the first doubt
 * the whole file counts for nothing, the other of the two is tried, and where that
 * is no better the caller gets the reason: to start without memory costs one poll,
 * to believe nonsense costs more.
 *
 * Nothing here keeps a tree or a second copy: besides the body there is only
 * what is being restored.
 */

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "report/state_file.h"
#include "report/state_value.h"

/* All strings but names: what the service itself writes stays well under. */
#define STRING_MAX 2048
#define LAST_UPDATED_MAX 64

/* What a file comes to, before the snapshot is touched. */
struct restored {
        char endpoint[sizeof(((struct connection *) NULL)->endpoint)];
        int port;
        usec_t workloads_polled_at, registry_polled_at;
        struct workload_list *workloads;
        struct registry *registry;
};

static void restored_done(struct restored *restored) {
        workload_list_free(restored->workloads);
        registry_free(restored->registry);
}

static int doubt(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return STATE_FILE_FOREIGN;
}

static int restore_connection(struct json_slice object, struct restored *restored,
                              const char **ret_problem) {
        struct state_member members[] = { { .key = "endpoint" }, { .key = "port" } };
        unsigned port = 0;

        if (!state_value_collect(object, members, ELEMENTSOF(members)))
                return doubt("connection is incomplete", ret_problem);

        if (!state_value_optional_string(members[0].value, restored->endpoint,
                                         sizeof(restored->endpoint) - 1))
                return doubt("endpoint that is no address", ret_problem);

        if (json_type_of(members[1].value) != 'n' &&
            (!state_value_number(members[1].value, UINT16_MAX, &port) || port == 0))
                return doubt("port out of range", ret_problem);

        restored->port = (int) port;
        return 0;
}

/* One item; its strings stay in buffers here until workload_new() has copied them. */
static int restore_item(struct json_slice item, struct workload_list *list,
                        const char **ret_problem) {
        static const struct {
                size_t field;
                size_t max;
                bool required;
        } strings[] = {
                { offsetof(struct workload, name),      WORKLOAD_NAME_MAX, true  },
                { offsetof(struct workload, namespace), WORKLOAD_NAME_MAX, false },
                { offsetof(struct workload, status),    STRING_MAX,        true  },
                { offsetof(struct workload, url),       STRING_MAX,        false },
                { offsetof(struct workload, transport), STRING_MAX,        false },
                { offsetof(struct workload, group),     STRING_MAX,        false },
                { offsetof(struct workload, package),   STRING_MAX,        false },
        };
        struct state_member members[] = {
                { .key = "name" },      { .key = "namespace" }, { .key = "status" },
                { .key = "url" },       { .key = "transport" }, { .key = "group" },
                { .key = "package" },   { .key = "remote" },
        };
        char buffers[ELEMENTSOF(strings)][STRING_MAX + 1];
        struct workload fields = {}, *workload;

        if (!state_value_collect(item, members, ELEMENTSOF(members)))
                return doubt("a workload is incomplete", ret_problem);

        for (size_t i = 0; i < ELEMENTSOF(strings); i++) {
                if (!state_value_optional_string(members[i].value, buffers[i], strings[i].max) ||
                    (strings[i].required && !buffers[i][0]))
                        return doubt("a workload with a value that cannot be", ret_problem);

                if (buffers[i][0])
                        *(const char **) ((char *) &fields + strings[i].field) = buffers[i];
        }

        char type = json_type_of(members[ELEMENTSOF(strings)].value);
        if (type != 't' && type != 'f')
                return doubt("a workload with a value that cannot be", ret_problem);
        fields.remote = type == 't';

        if (!workload_name_is_valid(fields.name))
                return doubt("a workload with a value that cannot be", ret_problem);

        workload = workload_new(&fields);
        return workload ? workload_list_add(list, workload) : -ENOMEM;
}

static int restore_items(struct json_slice items, struct workload_list *list,
                         const char **ret_problem) {
        struct json_slice key, item;
        size_t position = 0;

        while (json_slice_next(items, &position, &key, &item)) {
                int r;

                if (list->n_items >= WORKLOADS_MAX)
                        return doubt("too many workloads", ret_problem);

                r = restore_item(item, list, ret_problem);
                if (r != 0)
                        return r;
        }

        workload_list_sort(list);
        for (size_t i = 1; i < list->n_items; i++)
                if (workload_compare(list->items[i - 1], list->items[i]) == 0)
                        return doubt("the same workload twice", ret_problem);

        return 0;
}

static int restore_workloads(struct json_slice object, struct restored *restored,
                             const char **ret_problem) {
        struct state_member members[] = {
                { .key = "polled_at" }, { .key = "total" },
                { .key = "skipped" },   { .key = "items" },
        };
        unsigned total, skipped;
        int r;

        if (!state_value_collect(object, members, ELEMENTSOF(members)) ||
            !state_value_time(members[0].value, &restored->workloads_polled_at) ||
            !state_value_number(members[1].value, WORKLOADS_MAX, &total) ||
            !state_value_number(members[2].value, WORKLOADS_MAX, &skipped) ||
            json_type_of(members[3].value) != '[')
                return doubt("workloads is incomplete", ret_problem);

        /* Not polled yet: the list is empty because it is not known. */
        if (restored->workloads_polled_at == 0)
                return 0;

        restored->workloads = workload_list_new();
        if (!restored->workloads)
                return -ENOMEM;

        r = restore_items(members[3].value, restored->workloads, ret_problem);
        if (r != 0)
                return r;
        if (restored->workloads->n_items != total)
                return doubt("workloads do not add up", ret_problem);

        restored->workloads->skipped = skipped;
        return 0;
}

static int restore_names(struct json_slice names, struct registry *registry,
                         const char **ret_problem) {
        struct json_slice key, value;
        size_t position = 0;

        while (json_slice_next(names, &position, &key, &value)) {
                char name[REGISTRY_NAME_MAX + 1];
                int r;

                if (registry->n_names >= REGISTRY_SERVERS_MAX)
                        return doubt("too many servers in the registry", ret_problem);
                if (!state_value_string(value, name, REGISTRY_NAME_MAX))
                        return doubt("a registry name that cannot be", ret_problem);

                r = registry_add(registry, name, strlen(name));
                if (r < 0)
                        return r;
        }

        size_t n = registry->n_names;
        registry_sort(registry);
        return registry->n_names == n ? 0 : doubt("the same server twice", ret_problem);
}

static int restore_registry(struct json_slice object, struct restored *restored,
                            const char **ret_problem) {
        struct state_member members[] = {
                { .key = "polled_at" }, { .key = "last_updated" },
                { .key = "servers" },   { .key = "names" },
        };
        char last_updated[LAST_UPDATED_MAX + 1];
        unsigned servers;
        int r;

        /* As it is in Kubernetes, which has none. */
        if (json_type_of(object) == 'n')
                return 0;

        if (!state_value_collect(object, members, ELEMENTSOF(members)) ||
            !state_value_time(members[0].value, &restored->registry_polled_at) ||
            !state_value_optional_string(members[1].value, last_updated, LAST_UPDATED_MAX) ||
            !state_value_number(members[2].value, REGISTRY_SERVERS_MAX, &servers) ||
            json_type_of(members[3].value) != '[')
                return doubt("registry is incomplete", ret_problem);

        if (restored->registry_polled_at == 0)
                return 0;

        restored->registry = registry_new();
        if (!restored->registry)
                return -ENOMEM;

        if (last_updated[0]) {
                restored->registry->last_updated = strdup(last_updated);
                if (!restored->registry->last_updated)
                        return -ENOMEM;
        }

        r = restore_names(members[3].value, restored->registry, ret_problem);
        if (r != 0)
                return r;
        if (restored->registry->n_names != servers)
                return doubt("registry does not add up", ret_problem);

        return 0;
}

/* Whether the document is one of a service like this one. */
static int check_kind(const struct state_member members[static 3], const struct snapshot *snapshot,
                      const char **ret_problem) {
        char string[sizeof(snapshot->host)];
        unsigned schema;

        if (!state_value_number(members[0].value, 1, &schema) || schema != 1)
                return doubt("another schema", ret_problem);

        if (!state_value_string(members[1].value, string, sizeof(string) - 1) ||
            strcmp(string, runtime_mode_name(snapshot->runtime_mode)) != 0)
                return doubt("another runtime mode", ret_problem);

        if (!state_value_optional_string(members[2].value, string, sizeof(string) - 1) ||
            strcmp(string, snapshot->host) != 0)
                return doubt("another host", ret_problem);

        return 0;
}

static int restore_document(const char *data, size_t size, const struct snapshot *snapshot,
                            struct restored *restored, const char **ret_problem) {
        struct state_member members[] = {
                { .key = "schema" },     { .key = "runtime_mode" }, { .key = "host" },
                { .key = "connection" }, { .key = "workloads" },    { .key = "registry" },
        };
        struct json_slice document;
        int r;

        r = json_scan(data, size, &document, ret_problem);
        if (r != 0)
                return r < 0 ? r : STATE_FILE_FOREIGN;
        if (!state_value_collect(document, members, ELEMENTSOF(members)))
                return doubt("no state file of schema 1", ret_problem);

        r = check_kind(members, snapshot, ret_problem);
        if (r == 0)
                r = restore_connection(members[3].value, restored, ret_problem);
        if (r == 0)
                r = restore_workloads(members[4].value, restored, ret_problem);
        if (r == 0)
                r = restore_registry(members[5].value, restored, ret_problem);
        return r;
}

/* Only what was known: an empty place in the file leaves the snapshot's own. */
static void apply(struct restored *restored, struct snapshot *snapshot) {
        if (restored->endpoint[0]) {
                memcpy(snapshot->connection.endpoint, restored->endpoint,
                       sizeof(restored->endpoint));
                snapshot->connection.port = restored->port;
        }

        if (restored->workloads) {
                workload_list_free(snapshot->workloads);
                snapshot->workloads = STEAL(restored->workloads);
                snapshot->workloads_poll.polled_at = restored->workloads_polled_at;
        }

        if (restored->registry) {
                registry_free(snapshot->registry);
                snapshot->registry = STEAL(restored->registry);
                snapshot->registry_poll.polled_at = restored->registry_polled_at;
        }
}

static int restore_file(const char *path, struct snapshot *snapshot, const char **ret_problem) {
        _cleanup_(restored_done) struct restored restored = {};
        _cleanup_(freep) char *data = NULL;
        size_t size;
        int r;

        r = file_read(path, STATE_FILE_MAX, &data, &size);
        if (r == -EFBIG)
                return doubt("larger than 16 MiB", ret_problem);
        if (r == -EINVAL)
                return doubt("no regular file", ret_problem);
        if (r < 0)
                return r;

        r = restore_document(data, size, snapshot, &restored, ret_problem);
        if (r != 0)
                return r;

        apply(&restored, snapshot);
        return 0;
}

int state_file_restore(const struct state_file *file, struct snapshot *snapshot,
                       const char **ret_path, const char **ret_problem) {
        const char *const paths[] = { file->kept_path, file->path };

        int result = -ENOENT;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                const char *problem = NULL;
                int r;

                if (!paths[i])
                        continue;

                r = restore_file(paths[i], snapshot, &problem);
                if (r == 0) {
                        *ret_path = paths[i];
                        return 0;
                }
                if (result == -ENOENT && r != -ENOENT) {
                        result = r;
                        *ret_path = paths[i];
                        *ret_problem = problem;
                }
        }

        return result;
}
