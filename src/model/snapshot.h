/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * All that the service knows at one moment, in one place: the worker fills it,
 * and state file, metrics and status line are views of it. It belongs to the
 * worker's thread. Times of day are µs since 1970, 0 for "not yet".
 */

#include "base/settings.h"
#include "base/text.h"
#include "model/registry.h"
#include "model/workload.h"

enum connection_state {
        CONNECTION_CONNECTING,          /* nothing completed since start */
        CONNECTION_CONNECTED,           /* the last answer of each poll was good */
        CONNECTION_DEGRADED,            /* it lives, and the last answer of a poll was not good */
        CONNECTION_RECONNECTING,        /* an attempt failed, the outage lasts */
        CONNECTION_EXHAUSTED,           /* written last */
        CONNECTION_STOPPED,             /* written last */
};

const char *runtime_mode_name(enum runtime_mode mode);                 /* "docker", "k8s" */
const char *runtime_api_name(enum runtime_mode mode);                  /* "ToolHive", "Kubernetes API" */
const char *connection_state_name(enum connection_state state);        /* "connecting", … */

struct connection {
        enum connection_state state;
        usec_t since;                   /* of this state */
        char endpoint[256];             /* "http://127.0.0.1:50001", "unix:///path"; "" when not known */
        int port;                       /* 0 when not known or a socket */
        char version[128];              /* ToolHive's; "" when not known */
        unsigned attempt;               /* consecutive failures of the outage */
        unsigned max_retries;
        usec_t backoff;                 /* the delay under way */
        usec_t next_attempt_at;
        char last_error[ERROR_MAX];     /* "" when there was none */
        usec_t last_error_at;
};

/* One of the two polls, as it is told to the outside. */
struct poll_report {
        usec_t polled_at;               /* of the last good answer */
        usec_t next_poll_at;            /* 0: never again */
        char problem[ERROR_MAX];        /* of the last answer; "" when it was good */
};

struct counters {
        uint64_t requests;              /* HTTP requests, identity checks included */
        uint64_t requests_ok, requests_answer, requests_failure;        /* API calls by verdict */
        uint64_t failures;              /* attempts that failed */
        uint64_t reconnects;            /* outages that ended */
        uint64_t port_changes;          /* moves of the endpoint */
        uint64_t scans;                 /* searches that reached the range */
};

struct snapshot {
        enum runtime_mode runtime_mode;
        char host[256];                 /* what was configured: host, or pinned address */
        int64_t pid;
        usec_t started_at;
        usec_t last_success_at;
        struct connection connection;
        struct poll_report workloads_poll;
        struct workload_list *workloads;        /* NULL: not known yet */
        struct poll_report registry_poll;
        struct registry *registry;              /* NULL: not known yet */
        struct counters counters;
};

/* Frees lists, not the struct. */
void snapshot_done(struct snapshot *snapshot);

/*
 * Appends the status line for sd_notify's STATUS= and `systemctl status`: what is
 * so now, in one line that a person can read; the time of the next attempt in
 * local time. Safe to be shown, whatever the outside put into the snapshot.
 */
void snapshot_status_line(const struct snapshot *snapshot, struct text *text);
