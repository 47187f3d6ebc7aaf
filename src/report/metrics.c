/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The metrics file
 *
 * A view of the snapshot in the Prometheus text format (version 0.0.4), for
 * node_exporter's textfile collector. What is not known yet has no sample: to an
 * alert, absent and zero are different things. The statuses of workloads are
 * ToolHive's words, so their number is bounded: each becomes a time series that
 * somebody stores.
 */

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "report/metrics.h"

/* ToolHive has eleven; whatever comes after these is counted as "other". */
#define STATUSES_MAX 32
#define OTHER_STATUS "other"

struct status_count {
        const char *status;
        size_t n;
};

static void add_header(struct text *text, const char *name, const char *type, const char *help) {
        text_addf(text, "# HELP mcp_optimizer_%s %s\n", name, help);
        text_addf(text, "# TYPE mcp_optimizer_%s %s\n", name, type);
}

static void add_metric(struct text *text, const char *name, const char *type, const char *help,
                       uint64_t value) {
        add_header(text, name, type, help);
        text_addf(text, "mcp_optimizer_%s %" PRIu64 "\n", name, value);
}

/* The format knows these three escapes; any other character stands for itself. */
static void add_label_value(struct text *text, const char *value) {
        for (const char *c = value; *c; c++)
                switch (*c) {
                case '\\':
                        text_add(text, "\\\\");
                        break;
                case '"':
                        text_add(text, "\\\"");
                        break;
                case '\n':
                        text_add(text, "\\n");
                        break;
                default:
                        text_add_bytes(text, c, 1);
                }
}

static int compare_statuses(const void *a, const void *b) {
        const struct status_count *left = a, *right = b;

        return strcmp(left->status, right->status);
}

/* The index of a status, or n. */
static size_t find_status(const struct status_count *counts, size_t n, const char *status) {
        size_t i = 0;

        while (i < n && strcmp(counts[i].status, status) != 0)
                i++;

        return i;
}

/* Returns how many there are. The last place is for "other", which may be ToolHive's word, too. */
static size_t count_statuses(const struct workload_list *list,
                             struct status_count counts[static STATUSES_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                const char *status = list->items[i]->status;
                size_t j = find_status(counts, n, status);

                if (j == n && n >= STATUSES_MAX - 1) {
                        status = OTHER_STATUS;
                        j = find_status(counts, n, status);
                }
                if (j == n)
                        counts[n++] = (struct status_count) { .status = status };
                counts[j].n++;
        }

        qsort(counts, n, sizeof(counts[0]), compare_statuses);
        return n;
}

static void add_workloads(struct text *text, const struct workload_list *list) {
        struct status_count counts[STATUSES_MAX];
        size_t n = 0;

        add_header(text, "workloads", "gauge", "Workloads that are kept, by status.");
        if (list)
                n = count_statuses(list, counts);

        for (size_t i = 0; i < n; i++) {
                text_add(text, "mcp_optimizer_workloads{status=\"");
                add_label_value(text, counts[i].status);
                text_addf(text, "\"} %zu\n", counts[i].n);
        }
}

static void add_requests(struct text *text, const struct counters *counters) {
        add_header(text, "requests_total", "counter",
                   "API calls, by result: as expected, another answer, connection failure.");
        text_addf(text,
                  "mcp_optimizer_requests_total{result=\"ok\"} %" PRIu64 "\n"
                  "mcp_optimizer_requests_total{result=\"answer\"} %" PRIu64 "\n"
                  "mcp_optimizer_requests_total{result=\"failure\"} %" PRIu64 "\n",
                  counters->requests_ok, counters->requests_answer, counters->requests_failure);
}

void metrics_format(struct text *text, const struct snapshot *snapshot, bool up) {
        enum connection_state state = snapshot->connection.state;

        add_metric(text, "up", "gauge", "Whether the service runs.", up);
        add_metric(text, "connected", "gauge", "Whether the API answers, be it with an error.",
                   state == CONNECTION_CONNECTED || state == CONNECTION_DEGRADED);
        add_metric(text, "attempt", "gauge",
                   "Consecutive failed attempts of the outage that lasts; 0 without one.",
                   snapshot->connection.attempt);

        add_workloads(text, snapshot->workloads);

        add_header(text, "registry_servers", "gauge", "Servers in the registry, local and remote.");
        if (snapshot->registry)
                text_addf(text, "mcp_optimizer_registry_servers %zu\n", snapshot->registry->n_names);

        add_requests(text, &snapshot->counters);
        add_metric(text, "reconnects_total", "counter", "Outages that ended.",
                   snapshot->counters.reconnects);
        add_metric(text, "port_changes_total", "counter", "Moves of the API to another address.",
                   snapshot->counters.port_changes);

        add_header(text, "last_success_timestamp_seconds", "gauge",
                   "Time of the last completed API call, in seconds since 1970; 0 before the first.");
        text_add(text, "mcp_optimizer_last_success_timestamp_seconds ");
        text_add_seconds(text, snapshot->last_success_at);
        text_add(text, "\n");
}

int metrics_write(const char *path, const struct snapshot *snapshot, bool up) {
        _cleanup_text_ struct text text = TEXT_INIT;
        int r;

        metrics_format(&text, snapshot, up);
        r = text_error(&text);
        if (r < 0)
                return r;

        return file_replace(path, text.data, text.size, 0644);
}
