/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Torture of the waiter's clocks; and of the worker: its whole life, with ToolHive
 * and in a cluster, with real files, sockets and server, and waits on the virtual
 * clock. What fails once is an outage that is over with the next attempt; so it has
 * to come through nearly all of it, and say what is so.
 */

#include <errno.h>
#include <sys/stat.h>

#include "cluster.h"
#include "report/log.h"
#include "report/state_file.h"
#include "server.h"
#include "service/worker.h"
#include "source/toolhive.h"
#include "torture.h"
#include "virtual.h"

static struct virtual_waiter v;
static struct settings settings;
static struct worker worker;

static void begin_life(source_maker make_source) {
        settings.state_file = strdup(torture_path("run/state.json"));
        settings.metrics_file = strdup(torture_path("metrics"));
        if (mkdir(torture_path("kept"), 0755) < 0 || !settings.state_file || !settings.metrics_file)
                abort();
        setenv("STATE_DIRECTORY", torture_path("kept"), 1);
        setenv("XDG_STATE_HOME", torture_path("home"), 1);
        virtual_init(&v);
        virtual_at(&v, virtual_seconds(40), VIRTUAL_RELOAD);
        virtual_at(&v, virtual_seconds(130), VIRTUAL_STOP);
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
        torture_take(STDERR_FILENO);
        worker_init(&worker, &settings, &v.waiter, make_source);
}

static void begin(void) {
        server_renew();
        settings = (struct settings) {
                .toolhive_host = (char *) SERVER_HOST,
                .toolhive_port = server()->port,
                .start_port_scan = 50000,
                .end_port_scan = 50003,
                .discovery_file = (char *) "auto",
                .timeout = 5 * USEC_PER_SEC,
                .install_timeout = 5 * USEC_PER_SEC,
                .max_retries = 5,
                .initial_backoff = USEC_PER_SEC,
                .max_backoff = 60 * USEC_PER_SEC,
                .workload_polling_interval = 60 * USEC_PER_SEC,
                .registry_polling_interval = 86400 * USEC_PER_SEC,
        };
        begin_life(toolhive_new);
}

static int make_cluster(const struct settings *wanted, struct waiter *waiter, const char *last,
                        struct source **ret_source) {
        static struct source_ops ops;
        int r = kubernetes_new(wanted, waiter, last, ret_source);

        if (r < 0)
                return r;
        ops = *(*ret_source)->ops;
        ops.wait = cluster_wait;
        (*ret_source)->ops = &ops;
        return 0;
}

static void begin_in_cluster(void) {
        cluster_renew();
        atomic_store(&server()->hurries, true);
        cluster_settings(&settings);
        begin_life(make_cluster);
}

static int act(void) {
        return worker_run(&worker);
}

/* Those of ToolHive; or of the cluster, before its story and, where nothing is in the way, after it. */
static void judge_workloads(const struct workload_list *list, bool is_end) {
        torture_expect(atomic_load(&server()->lists) > 0);
        if (settings.runtime_mode == RUNTIME_DOCKER) {
                torture_expect(list->n_items == 3 && list->running == 2);
                return;
        }
        torture_expect(!is_end || atomic_load(&server()->told) == SERVER_STORY);
        torture_expect(!is_end || (list->n_items == SERVER_VIRTUAL + 3 && list->running == SERVER_VIRTUAL + 2));
}

/* What the state file says at the end, if it could be written: stopped or exhausted, and what the server told. */
static void judge_state(const char *name, int r, const char *log) {
        _cleanup_(snapshot_done) struct snapshot snapshot = {};
        char version[STATE_FILE_VERSION_SIZE];
        _cleanup_(freep) char *data = NULL;
        const char *problem;
        bool written = !strstr(log, "Cannot write the state file") && !strstr(log, "Cannot open the state file");
        size_t size;
        int error = state_file_read(torture_path(name), &data, &size, &problem);

        /* A file that cannot be written was told, unless there was no memory to tell it or no stderr. */
        if (error != 0) {
                torture_expect(error == -ENOENT && torture_injected());
                return;
        }
        torture_expect(state_file_parse(data, size, &snapshot, version, &problem) == 0);
        if (snapshot.workloads)
                judge_workloads(snapshot.workloads, written && r == 0 && !torture_lasts());
        if (written && !torture_lasts())
                torture_expect(snapshot.connection.state == (r == 0 ? CONNECTION_STOPPED : CONNECTION_EXHAUSTED));
        if (snapshot.connection.state == CONNECTION_CONNECTED)
                torture_expect(snapshot.workloads && snapshot.connection.port == server()->port);
}

static void judge(int r) {
        const char *log = torture_taken(STDERR_FILENO);

        torture_expect(r == 0 || r == 1);
        if (r == 1)
                torture_expect(strstr(log, "CRITICAL ") || torture_lasts());
        /* Fails once, and it is over with the next attempt. */
        if (r == 0 && !torture_lasts())
                torture_expect(atomic_load(&server()->lists) >= 2);
        if (r == 1 && !torture_lasts())
                torture_expect(strstr(log, "Internal failure") != NULL);
        judge_state("run/state.json", r, log);
}

static void end(void) {
        free(settings.state_file);
        free(settings.metrics_file);
        unsetenv("STATE_DIRECTORY");
}

/* ---- the clocks ---- */

static struct waiter waiter;
static usec_t told, told_realtime;

static void begin_clocks(void) {
        if (waiter_init(&waiter) < 0 || waiter_progress(&waiter) < 0)
                abort();
}

static int act_clocks(void) {
        told = waiter_now(&waiter);
        told_realtime = waiter_realtime(&waiter);
        return 0;
}

static bool is_near(usec_t a, usec_t b) {
        return usec_sub(usec_max(a, b), usec_min(a, b)) < 5 * USEC_PER_SEC;
}

static void judge_clocks(int r _unused_) {
        torture_expect(is_near(told, waiter_now(&waiter)));
        torture_expect(is_near(told_realtime, waiter_realtime(&waiter)));
}

static void end_clocks(void) {
        waiter_done(&waiter);
}

const struct operation service_operations[] = {
        { "clocks", begin_clocks, act_clocks, judge_clocks, end_clocks, 0 },
        { "worker, a life", begin, act, judge, end, 4 },
        { "worker, a life in a cluster", begin_in_cluster, act, judge, end, 4 },
        {},
};
