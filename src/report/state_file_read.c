/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading a state file: what an earlier service left, or what one that runs says
 *
 * The file may be ours, from a version to come, cut by a full disk, or the work
 * of somebody who likes to see what happens: it is read like an answer from the
 * network. Its bytes are scanned once, then each object is walked by a table of
 * its members (state_value.h), all of which have to be there, once, and of the
 * right kind. On the first doubt the whole file counts for nothing, and the caller
 * gets the reason: to start without memory costs one poll, to believe nonsense
 * costs more.
 *
 * There is one reading, and it is of the whole document; state_file_restore.c
 * chooses from the snapshot that came of it.
 *
 * Nothing here keeps a tree or a second copy: besides the bytes there is only
 * what they come to.
 */

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "report/state_file.h"
#include "report/state_value.h"

/* All strings but names: what the service itself writes stays well under. */
#define STRING_MAX 2048
#define LAST_UPDATED_MAX 64
/* Far beyond what can be configured: numbers that are shown, and nothing more. */
#define ATTEMPTS_MAX 1000000
#define BACKOFF_MAX (365 * (86400 * USEC_PER_SEC))

static int doubt(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return STATE_FILE_FOREIGN;
}

static bool read_connection_state(struct json_slice object, enum connection_state *ret_state) {
        char name[16];
        const struct state_field field = { "state", STATE_STRING, 0, sizeof(name), 0 };

        if (!state_value_read(object, &field, 1, name))
                return false;

        for (enum connection_state state = CONNECTION_CONNECTING; state <= CONNECTION_STOPPED; state++)
                if (strcmp(name, connection_state_name(state)) == 0) {
                        *ret_state = state;
                        return true;
                }
        return false;
}

#define FIELD(member) STATE_FIELD(struct connection, member)
static const struct state_field connection_fields[] = {
        { "endpoint",         STATE_STRING_OR_NULL, FIELD(endpoint),        0            },
        { "port",             STATE_COUNT_OR_NULL,  FIELD(port),            UINT16_MAX   },
        { "toolhive_version", STATE_STRING_OR_NULL, FIELD(version),         0            },
        { "since",            STATE_TIME_OR_NULL,   FIELD(since),           0            },
        { "attempt",          STATE_COUNT,          FIELD(attempt),         ATTEMPTS_MAX },
        { "max_retries",      STATE_COUNT,          FIELD(max_retries),     ATTEMPTS_MAX },
        { "backoff_seconds",  STATE_SECONDS,        FIELD(backoff),         BACKOFF_MAX  },
        { "next_attempt_at",  STATE_TIME_OR_NULL,   FIELD(next_attempt_at), 0            },
        { "last_error",       STATE_WORDS_OR_NULL,  FIELD(last_error),      0            },
        { "last_error_at",    STATE_TIME_OR_NULL,   FIELD(last_error_at),   0            },
};
#undef FIELD

static int read_connection(struct json_slice object, struct connection *connection,
                           const char **ret_problem) {
        if (!read_connection_state(object, &connection->state) ||
            !state_value_read(object, connection_fields, ELEMENTSOF(connection_fields), connection))
                return doubt("connection is not as a service writes it", ret_problem);
        return 0;
}

/* An item before workload_new() has copied its strings. */
struct item {
        char name[WORKLOAD_NAME_MAX + 1], namespace[WORKLOAD_NAME_MAX + 1];
        char status[STRING_MAX + 1], url[STRING_MAX + 1], transport[STRING_MAX + 1];
        char group[STRING_MAX + 1], package[STRING_MAX + 1];
        bool remote;
};

#define FIELD(member) STATE_FIELD(struct item, member)
static const struct state_field item_fields[] = {
        { "name",      STATE_STRING,         FIELD(name),      0 },
        { "namespace", STATE_STRING_OR_NULL, FIELD(namespace), 0 },
        { "status",    STATE_STRING,         FIELD(status),    0 },
        { "url",       STATE_STRING_OR_NULL, FIELD(url),       0 },
        { "transport", STATE_STRING_OR_NULL, FIELD(transport), 0 },
        { "group",     STATE_STRING_OR_NULL, FIELD(group),     0 },
        { "package",   STATE_STRING_OR_NULL, FIELD(package),   0 },
        { "remote",    STATE_BOOL,           FIELD(remote),    0 },
};
#undef FIELD

static const char *known(const char *string) {
        return *string ? string : NULL;
}

static int read_item(struct json_slice object, struct workload_list *list, const char **ret_problem) {
        struct workload *workload;
        struct item item;

        if (!state_value_read(object, item_fields, ELEMENTSOF(item_fields), &item) ||
            !workload_name_is_valid(item.name))
                return doubt("a workload is not as a service writes it", ret_problem);

        workload = workload_new(&(struct workload) {
                .name = item.name,
                .namespace = known(item.namespace),
                .status = item.status,
                .url = known(item.url),
                .transport = known(item.transport),
                .group = known(item.group),
                .package = known(item.package),
                .remote = item.remote,
        });
        return workload ? workload_list_add(list, workload) : -ENOMEM;
}

static int read_items(struct json_slice items, struct workload_list *list, const char **ret_problem) {
        struct json_slice key, item;
        size_t position = 0;

        while (json_slice_next(items, &position, &key, &item)) {
                int r;

                if (list->n_items >= WORKLOADS_MAX)
                        return doubt("too many workloads", ret_problem);

                r = read_item(item, list, ret_problem);
                if (r != 0)
                        return r;
        }

        workload_list_sort(list);
        for (size_t i = 1; i < list->n_items; i++)
                if (workload_compare(list->items[i - 1], list->items[i]) == 0)
                        return doubt("the same workload twice", ret_problem);

        return 0;
}

/* What a poll left: the report of it, and what it learnt, as numbers and as a list. */
struct section {
        struct poll_report poll;
        size_t total, running, skipped;
        char last_updated[LAST_UPDATED_MAX + 1];
        struct json_slice list;
};

#define FIELD(member) STATE_FIELD(struct section, member)
static const struct state_field workloads_fields[] = {
        { "polled_at",    STATE_TIME_OR_NULL,  FIELD(poll.polled_at),    0             },
        { "next_poll_at", STATE_TIME_OR_NULL,  FIELD(poll.next_poll_at), 0             },
        { "problem",      STATE_WORDS_OR_NULL, FIELD(poll.problem),      0             },
        { "total",        STATE_COUNT,         FIELD(total),             WORKLOADS_MAX },
        { "running",      STATE_COUNT,         FIELD(running),           WORKLOADS_MAX },
        { "skipped",      STATE_COUNT,         FIELD(skipped),           WORKLOADS_MAX },
        { "items",        STATE_SLICE,         FIELD(list),              0             },
};

static const struct state_field registry_fields[] = {
        { "polled_at",    STATE_TIME_OR_NULL,   FIELD(poll.polled_at),    0                    },
        { "next_poll_at", STATE_TIME_OR_NULL,   FIELD(poll.next_poll_at), 0                    },
        { "problem",      STATE_WORDS_OR_NULL,  FIELD(poll.problem),      0                    },
        { "last_updated", STATE_STRING_OR_NULL, FIELD(last_updated),      0                    },
        { "servers",      STATE_COUNT,          FIELD(total),             REGISTRY_SERVERS_MAX },
        { "names",        STATE_SLICE,          FIELD(list),              0                    },
};
#undef FIELD

static int read_workloads(struct json_slice object, struct snapshot *snapshot,
                          const char **ret_problem) {
        struct section section;
        int r;

        if (!state_value_read(object, workloads_fields, ELEMENTSOF(workloads_fields), &section) ||
            json_type_of(section.list) != '[')
                return doubt("workloads is not as a service writes it", ret_problem);

        snapshot->workloads_poll = section.poll;
        /* Not polled yet: the list is empty because it is not known. */
        if (section.poll.polled_at == 0)
                return 0;

        snapshot->workloads = workload_list_new();
        if (!snapshot->workloads)
                return -ENOMEM;

        r = read_items(section.list, snapshot->workloads, ret_problem);
        if (r != 0)
                return r;
        if (snapshot->workloads->n_items != section.total ||
            snapshot->workloads->running != section.running)
                return doubt("workloads do not add up", ret_problem);

        snapshot->workloads->skipped = section.skipped;
        return 0;
}

static int read_names(struct json_slice names, struct registry *registry, const char **ret_problem) {
        struct json_slice key, value;
        size_t position = 0;

        while (json_slice_next(names, &position, &key, &value)) {
                char name[REGISTRY_NAME_MAX + 1];
                int r;

                if (registry->n_names >= REGISTRY_SERVERS_MAX)
                        return doubt("too many servers in the registry", ret_problem);
                if (!json_slice_string(value, name, sizeof(name)) ||
                    !json_is_clean_name(name, REGISTRY_NAME_MAX))
                        return doubt("a registry name that cannot be", ret_problem);

                r = registry_add(registry, name, strlen(name));
                if (r < 0)
                        return r;
        }

        size_t n = registry->n_names;
        registry_sort(registry);
        return registry->n_names == n ? 0 : doubt("the same server twice", ret_problem);
}

static int read_registry(struct json_slice object, struct snapshot *snapshot,
                         const char **ret_problem) {
        struct section section;
        int r;

        /* Kubernetes has none. */
        if (snapshot->runtime_mode == RUNTIME_K8S && json_type_of(object) == 'n')
                return 0;

        if (!state_value_read(object, registry_fields, ELEMENTSOF(registry_fields), &section) ||
            json_type_of(section.list) != '[')
                return doubt("registry is not as a service writes it", ret_problem);

        snapshot->registry_poll = section.poll;
        if (section.poll.polled_at == 0)
                return 0;

        snapshot->registry = registry_new();
        if (!snapshot->registry)
                return -ENOMEM;

        if (section.last_updated[0]) {
                snapshot->registry->last_updated = strdup(section.last_updated);
                if (!snapshot->registry->last_updated)
                        return -ENOMEM;
        }

        r = read_names(section.list, snapshot->registry, ret_problem);
        if (r != 0)
                return r;
        return snapshot->registry->n_names == section.total
                       ? 0
                       : doubt("registry does not add up", ret_problem);
}

#define FIELD(member) STATE_FIELD(struct counters, member)
static const struct state_field counters_fields[] = {
        { "requests",     STATE_COUNT, FIELD(requests),     UINT64_MAX },
        { "failures",     STATE_COUNT, FIELD(failures),     UINT64_MAX },
        { "reconnects",   STATE_COUNT, FIELD(reconnects),   UINT64_MAX },
        { "port_changes", STATE_COUNT, FIELD(port_changes), UINT64_MAX },
        { "scans",        STATE_COUNT, FIELD(scans),        UINT64_MAX },
};
#undef FIELD

/* The document's own members: those of a line, and the objects, still to be read. */
struct document {
        char version[STATE_FILE_VERSION_SIZE];
        int64_t pid;
        usec_t started_at;
        char runtime_mode[8];
        char host[sizeof(((struct snapshot *) NULL)->host)];
        struct json_slice connection, workloads, registry, counters;
};

#define FIELD(member) STATE_FIELD(struct document, member)
static const struct state_field document_fields[] = {
        { "version",      STATE_STRING,         FIELD(version),      0         },
        { "pid",          STATE_COUNT,          FIELD(pid),          INT32_MAX },
        { "started_at",   STATE_TIME_OR_NULL,   FIELD(started_at),   0         },
        { "runtime_mode", STATE_STRING,         FIELD(runtime_mode), 0         },
        { "host",         STATE_STRING_OR_NULL, FIELD(host),         0         },
        { "connection",   STATE_SLICE,          FIELD(connection),   0         },
        { "workloads",    STATE_SLICE,          FIELD(workloads),    0         },
        { "registry",     STATE_SLICE,          FIELD(registry),     0         },
        { "counters",     STATE_SLICE,          FIELD(counters),     0         },
};
#undef FIELD

/* Looked at before all else: of another schema nothing is known. */
static int check_schema(struct json_slice object, const char **ret_problem) {
        uint64_t schema;
        const struct state_field field = { "schema", STATE_COUNT, 0, sizeof(schema), UINT64_MAX };

        if (!state_value_read(object, &field, 1, &schema))
                return doubt("no state file", ret_problem);
        return schema == 1 ? 0 : doubt("another schema", ret_problem);
}

static int read_document(const struct document *document, struct snapshot *snapshot,
                         const char **ret_problem) {
        int r;

        if (strcmp(document->runtime_mode, runtime_mode_name(RUNTIME_DOCKER)) == 0)
                snapshot->runtime_mode = RUNTIME_DOCKER;
        else if (strcmp(document->runtime_mode, runtime_mode_name(RUNTIME_K8S)) == 0)
                snapshot->runtime_mode = RUNTIME_K8S;
        else
                return doubt("a runtime mode that is not known", ret_problem);

        snapshot->pid = document->pid;
        snapshot->started_at = document->started_at;
        memcpy(snapshot->host, document->host, sizeof(snapshot->host));

        r = read_connection(document->connection, &snapshot->connection, ret_problem);
        if (r == 0)
                r = read_workloads(document->workloads, snapshot, ret_problem);
        if (r == 0)
                r = read_registry(document->registry, snapshot, ret_problem);
        if (r == 0 && !state_value_read(document->counters, counters_fields,
                                        ELEMENTSOF(counters_fields), &snapshot->counters))
                r = doubt("counters is not as a service writes it", ret_problem);
        return r;
}

int state_file_parse(const char *data, size_t size, struct snapshot *snapshot,
                     char version[static STATE_FILE_VERSION_SIZE], const char **ret_problem) {
        _cleanup_(snapshot_done) struct snapshot read = {};
        struct document document;
        struct json_slice object;
        int r;

        r = json_scan(data, size, &object, ret_problem);
        if (r != 0)
                return r < 0 ? r : STATE_FILE_FOREIGN;

        r = check_schema(object, ret_problem);
        if (r != 0)
                return r;
        if (!state_value_read(object, document_fields, ELEMENTSOF(document_fields), &document))
                return doubt("no state file of schema 1", ret_problem);

        r = read_document(&document, &read, ret_problem);
        if (r != 0)
                return r;

        memcpy(version, document.version, sizeof(document.version));
        *snapshot = read;
        read = (struct snapshot) {};
        return 0;
}

int state_file_read(const char *path, char **ret_data, size_t *ret_size, const char **ret_problem) {
        int r = file_read(path, STATE_FILE_MAX, ret_data, ret_size);

        if (r == -EFBIG)
                return doubt("larger than 16 MiB", ret_problem);
        if (r == -EINVAL)
                return doubt("no regular file", ret_problem);
        return r;
}
