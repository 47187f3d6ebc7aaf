/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The worker: the one blocking thread that does everything but signals. It asks
 * what is due, runs it as an operation of the source through the retries, and
 * reports what the model learnt: to the log, to systemd, to the state file and
 * the metrics. It alone sends READY, STATUS, RELOADING and watchdog pings, the
 * last only from places that prove progress.
 */

#include <stdatomic.h>

#include "base/settings.h"
#include "report/notify.h"
#include "report/state_file.h"
#include "service/operation.h"
#include "service/poll.h"

struct worker {
        const struct settings *settings;
        struct waiter *waiter;
        source_maker make_source;

        struct source *source;
        struct operations operations;
        struct snapshot snapshot;
        struct poll workloads, registry;

        struct notify notify;
        struct state_file state_file;
        usec_t started_at;              /* CLOCK_BOOTTIME */
        usec_t beaten_at;               /* the last heartbeat */
        char kept_endpoint[sizeof ((struct connection *) NULL)->endpoint];      /* as last kept */
        bool unkept;                    /* the last news could not be kept: they are to be, with the next writing */
        bool metrics_broken;            /* told once */
        bool second;                    /* another service holds the state file: this one writes no files */
        atomic_int exit_code;           /* 1 from the CRITICAL line on; the main thread reads it */
};

/* Settings and waiter are borrowed; nothing is opened yet. */
void worker_init(struct worker *worker, const struct settings *settings, struct waiter *waiter,
                 source_maker make_source);

/*
 * Runs until a stop or until the attempts are spent: 0, or 1 after the CRITICAL
 * line (or when the worker cannot even start). Frees all that it opened.
 */
int worker_run(struct worker *worker);
