/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The snapshot in words
 *
 * The status line is what someone sees first who types `systemctl status`, often
 * in a hurry. So it says one thing, the one that explains most: during an outage
 * what was tried and when it is tried again, in a degraded state what ToolHive
 * answered, and else what is there. What was learnt before an outage is not
 * repeated during it; the state file has it.
 */

#include <string.h>
#include <time.h>

#include "model/snapshot.h"

void snapshot_done(struct snapshot *snapshot) {
        snapshot->workloads = workload_list_free(snapshot->workloads);
        snapshot->registry = registry_free(snapshot->registry);
}

const char *runtime_mode_name(enum runtime_mode mode) {
        switch (mode) {
        case RUNTIME_DOCKER:
                return "docker";
        case RUNTIME_K8S:
                return "k8s";
        }

        return "unknown";
}

const char *connection_state_name(enum connection_state state) {
        switch (state) {
        case CONNECTION_CONNECTING:
                return "connecting";
        case CONNECTION_CONNECTED:
                return "connected";
        case CONNECTION_DEGRADED:
                return "degraded";
        case CONNECTION_RECONNECTING:
                return "reconnecting";
        case CONNECTION_EXHAUSTED:
                return "exhausted";
        case CONNECTION_STOPPED:
                return "stopped";
        }

        return "unknown";
}

const char *runtime_api_name(enum runtime_mode mode) {
        switch (mode) {
        case RUNTIME_DOCKER:
                return "ToolHive";
        case RUNTIME_K8S:
                return "Kubernetes API";
        }

        return "API";
}

/* Words from outside stand as they are, with their spaces, unless that could break the line. */
static void add_words(struct text *text, const char *words) {
        if (json_is_clean_name(words, strlen(words)))
                text_add(text, words);
        else
                text_add_logfmt(text, words);
}

static void add_count(struct text *text, size_t n, const char *noun) {
        text_addf(text, "%zu %s%s", n, noun, n == 1 ? "" : "s");
}

static void add_connected(struct text *text, const struct snapshot *snapshot) {
        const struct connection *connection = &snapshot->connection;

        text_addf(text, "Connected to %s", runtime_api_name(snapshot->runtime_mode));
        if (connection->version[0]) {
                text_add(text, " ");
                add_words(text, connection->version);
        }

        /* A port says all where the host is the configured one; in a cluster the host matters. */
        if (connection->port > 0 && snapshot->runtime_mode == RUNTIME_DOCKER)
                text_addf(text, " on port %d", connection->port);
        else if (connection->endpoint[0]) {
                text_add(text, " on ");
                add_words(text, connection->endpoint);
        }
}

static void add_inventory(struct text *text, const struct snapshot *snapshot) {
        if (snapshot->workloads) {
                add_count(text, snapshot->workloads->n_items, "workload");
                text_addf(text, " (%zu running)", snapshot->workloads->running);
        } else
                text_add(text, "workloads not known yet");

        if (snapshot->registry) {
                text_add(text, ", ");
                add_count(text, snapshot->registry->n_names, "server");
                text_add(text, " in the registry");
        } else if (snapshot->runtime_mode == RUNTIME_DOCKER)
                text_add(text, ", registry not known yet");
}

/* The problem of the poll that matters more; "" when both were good. */
static const char *poll_problem(const struct snapshot *snapshot) {
        return snapshot->workloads_poll.problem[0] ? snapshot->workloads_poll.problem
                                                   : snapshot->registry_poll.problem;
}

static void add_unavailable(struct text *text, const struct snapshot *snapshot) {
        const struct connection *connection = &snapshot->connection;

        text_addf(text, "%s unavailable", runtime_api_name(snapshot->runtime_mode));
        if (connection->last_error[0]) {
                text_add(text, " (");
                add_words(text, connection->last_error);
                text_add(text, ")");
        }
        text_add(text, ": ");
}

static void add_reconnecting(struct text *text, const struct snapshot *snapshot) {
        const struct connection *connection = &snapshot->connection;
        unsigned attempt = connection->attempt, max = connection->max_retries;

        /*
         * An answer that was not good does not end the outage, but the wait that
         * follows it is for a poll, not for an attempt: the answer is the last word.
         */
        if (connection->next_attempt_at == 0 && poll_problem(snapshot)[0]) {
                text_add(text, "Reconnecting: ");
                add_words(text, poll_problem(snapshot));
                text_addf(text, " (attempt %u of %u)", attempt, max);
                return;
        }

        add_unavailable(text, snapshot);
        if (connection->next_attempt_at > 0) {
                text_addf(text, "attempt %u of %u, next try at ", attempt, max);
                text_add_clock(text, connection->next_attempt_at);
        } else if (connection->backoff > 0)
                /* Not waiting yet: the search that follows the failure goes on. */
                text_addf(text, "attempt %u of %u, looking for it", attempt, max);
        else if (attempt < max)
                text_addf(text, "attempt %u of %u under way", attempt + 1, max);
        else
                text_addf(text, "attempt %u of %u failed, last retry under way", attempt, max);
}

static void add_connecting(struct text *text, const struct snapshot *snapshot) {
        /* A version is of this process's identity check; an endpoint may be of an earlier life. */
        if (snapshot->connection.version[0]) {
                add_connected(text, snapshot);
                text_add(text, ": first poll under way");
        } else
                text_addf(text, "Looking for %s", runtime_api_name(snapshot->runtime_mode));
}

void snapshot_status_line(const struct snapshot *snapshot, struct text *text) {
        const char *problem = poll_problem(snapshot);

        switch (snapshot->connection.state) {
        case CONNECTION_CONNECTING:
                add_connecting(text, snapshot);
                break;
        case CONNECTION_CONNECTED:
                add_connected(text, snapshot);
                text_add(text, ": ");
                add_inventory(text, snapshot);
                break;
        case CONNECTION_DEGRADED:
                text_add(text, "Degraded: ");
                add_words(text, problem[0] ? problem : "the last answer was not good");
                break;
        case CONNECTION_RECONNECTING:
                add_reconnecting(text, snapshot);
                break;
        case CONNECTION_EXHAUSTED:
                add_unavailable(text, snapshot);
                text_addf(text, "all %u attempts failed, exiting",
                          snapshot->connection.max_retries);
                break;
        case CONNECTION_STOPPED:
                text_add(text, "Stopped");
                break;
        }
}
