/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a new service takes over from an old one: the workloads and the registry
 * that were known, when they were learnt, and where ToolHive was. All else starts
 * anew. The kept copy is asked first, since the public one does not outlive a stop
 * below systemd.
 */

#include <errno.h>
#include <string.h>

#include "report/state_file.h"

/* Only what was known: an empty place in the file leaves the snapshot's own. */
static void take_over(struct snapshot *old, struct snapshot *snapshot) {
        if (old->connection.endpoint[0]) {
                memcpy(snapshot->connection.endpoint, old->connection.endpoint,
                       sizeof(old->connection.endpoint));
                snapshot->connection.port = old->connection.port;
        }

        if (old->workloads) {
                workload_list_free(snapshot->workloads);
                snapshot->workloads = STEAL(old->workloads);
                snapshot->workloads_poll.polled_at = old->workloads_poll.polled_at;
        }

        if (old->registry) {
                registry_free(snapshot->registry);
                snapshot->registry = STEAL(old->registry);
                snapshot->registry_poll.polled_at = old->registry_poll.polled_at;
        }
}

static int restore_file(const char *path, struct snapshot *snapshot, const char **ret_problem) {
        _cleanup_(snapshot_done) struct snapshot old = {};
        _cleanup_(freep) char *data = NULL;
        char version[STATE_FILE_VERSION_SIZE];
        size_t size;
        int r;

        r = state_file_read(path, &data, &size, ret_problem);
        if (r == 0)
                r = state_file_parse(data, size, &old, version, ret_problem);
        if (r != 0)
                return r;

        if (old.runtime_mode != snapshot->runtime_mode)
                *ret_problem = "another runtime mode";
        else if (strcmp(old.host, snapshot->host) != 0)
                *ret_problem = "another host";
        else {
                take_over(&old, snapshot);
                return 0;
        }
        return STATE_FILE_FOREIGN;
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
