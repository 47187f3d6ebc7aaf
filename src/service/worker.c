/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker's life: begin, step after step, end. A step runs the poll that is
 * due, or waits for the next; a wait between polls ends early when ToolHive's
 * discovery file changes or its kept-alive connection ends, which costs one
 * identity check and, where that fails, one poll of the workloads at once.
 */

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "report/log.h"
#include "report/metrics.h"
#include "service/worker.h"

/* READY is due this long after the start, whatever ToolHive does. */
#define READY_AFTER USEC_PER_SEC
/* How finely the wait is sliced until then. */
#define READY_SLICE (50 * USEC_PER_MSEC)
/* The heartbeat of a worker without a watchdog, and how often it is worth a system call. */
#define HEARTBEAT_INTERVAL (30 * USEC_PER_SEC)
#define HEARTBEAT_MIN USEC_PER_SEC
/* A report that could not be written is tried again, where nothing else comes before. */
#define REWRITE_INTERVAL (5 * USEC_PER_SEC)
/* With nothing left to poll, the identity is checked this often. */
#define CHECK_INTERVAL (60 * USEC_PER_SEC)

/* A report that cannot be written is told once, until it can be again. */
static void tell_broken(bool *broken, int r, const char *message, const char *path) {
        if (r < 0 && !*broken)
                log_event(LEVEL_WARNING, EVENT_STATE_UNWRITABLE, message, LOG_STRING("path", path),
                          LOG_STRING("error", errno_words(-r)));
        *broken = r < 0;
}

/* Writes all reports. news: workloads or registry are others, so the kept copy is written too. */
static void publish(struct worker *worker, bool news) {
        const struct connection *connection = &worker->snapshot.connection;
        _cleanup_text_ struct text status = TEXT_INIT;
        bool up = connection->state < CONNECTION_EXHAUSTED;
        int r;

        if (strcmp(worker->kept_endpoint, connection->endpoint) != 0) {
                memcpy(worker->kept_endpoint, connection->endpoint, sizeof worker->kept_endpoint);
                news = true;
        }

        if (worker->state_file.path || worker->state_file.kept_path) {
                news |= worker->unkept;
                r = state_file_write(&worker->state_file, &worker->snapshot, news);
                worker->unkept = news && r < 0;
                tell_broken(&worker->state_file.broken, r, "Cannot write the state file",
                            worker->state_file.failed_path);
        }
        if (worker->settings->metrics_file && !worker->second) {
                r = metrics_write(worker->settings->metrics_file, &worker->snapshot, up);
                tell_broken(&worker->metrics_broken, r, "Cannot write the metrics file",
                            worker->settings->metrics_file);
        }

        snapshot_status_line(&worker->snapshot, &status);
        if (text_error(&status) == 0)
                notify_status(&worker->notify, status.data);
}

/* How long the worker may block from now on: to the next ping, and not much past the moment when READY is due. */
static usec_t next_slice(const struct worker *worker, usec_t now) {
        const struct notify *notify = &worker->notify;
        usec_t slice = notify->ready ? HEARTBEAT_INTERVAL : READY_SLICE;
        usec_t half = notify->watchdog_period / 2;

        /* A ping that could not be sent stays due, which is no reason to spin. */
        if (half > 0)
                slice = usec_min(slice, usec_max(usec_sub(notify->last_ping + half, now), half / 4));
        return slice;
}

static void operations_changed(void *user) {
        struct worker *worker = user;

        publish(worker, false);
        if (worker->snapshot.counters.failures > 0)
                notify_ready(&worker->notify);  /* the first attempt has concluded */
}

static void on_progress(void *user) {
        struct worker *worker = user;
        usec_t now = waiter_now(worker->waiter);

        notify_progress(&worker->notify, now);
        if (now - worker->beaten_at >= HEARTBEAT_MIN) {
                worker->beaten_at = now;
                state_file_beat(&worker->state_file);
        }
        if (now - worker->started_at >= READY_AFTER)
                notify_ready(&worker->notify);
        worker->waiter->slice = next_slice(worker, now);
}

static void on_reload(void *user) {
        struct worker *worker = user;

        notify_reloaded(&worker->notify);
        log_event(LEVEL_INFO, EVENT_RELOADED, "Reload requested, polling workloads and registry at once");
}

static void update_state(struct worker *worker) {
        const struct snapshot *snapshot = &worker->snapshot;
        enum connection_state state;

        if (worker->operations.retry.attempt > 0)
                state = CONNECTION_RECONNECTING;
        else if (snapshot->workloads_poll.problem[0] || snapshot->registry_poll.problem[0])
                state = CONNECTION_DEGRADED;
        else
                state = snapshot->last_success_at > 0 ? CONNECTION_CONNECTED : CONNECTION_CONNECTING;
        operations_set_state(&worker->operations, state);
}

/* Kubernetes has no registry. */
static bool has_poll(const struct worker *worker, const struct poll *poll) {
        return poll->kind == CALL_LIST_WORKLOADS || worker->settings->runtime_mode == RUNTIME_DOCKER;
}

/* A reload may come during any operation and any wait; it makes due what was not asked for since. */
static void take_reload(struct worker *worker) {
        struct operations *operations = &worker->operations;
        struct poll *const polls[] = { &worker->workloads, &worker->registry };

        if (waiter_take_reload(worker->waiter))
                operations->reloaded_at = waiter_now(worker->waiter);
        for (size_t i = 0; i < ELEMENTSOF(polls); i++)
                if (polls[i]->began < operations->reloaded_at && has_poll(worker, polls[i]))
                        polls[i]->due = 0;
        operations->reloaded_at = 0;
}

static int run_poll(struct worker *worker, struct poll *poll) {
        bool news;
        int r;

        r = poll_run(poll, &worker->operations, worker->settings, &news);
        if (r != 0)
                return r;

        update_state(worker);
        publish(worker, news);
        notify_ready(&worker->notify);
        if (poll->large)
                malloc_trim(0);
        return 0;
}

/* What a watch has told, which is no poll and asks nobody. */
static int take_changes(struct worker *worker) {
        bool news;
        int r;

        r = poll_take_changes(&worker->workloads, &worker->operations, worker->settings, &news);
        if (r < 0)
                return r;
        update_state(worker);
        publish(worker, news);
        return 0;
}

/* Nothing is left to poll: asks the version instead, through the same retries. */
static int check_alive(struct worker *worker) {
        _cleanup_(call_done) struct call call = { .kind = CALL_VERSION };
        struct outcome outcome;
        int r;

        r = operation_run(&worker->operations, &call, &outcome);
        if (r < 0 || r == OPERATION_EXHAUSTED)
                return r;

        update_state(worker);
        publish(worker, false);
        return 0;
}

/* Woken between polls: a ToolHive that still answers stays, one that does not is polled at once. */
static int check_woken(struct worker *worker) {
        int r;

        r = worker->source->ops->check(worker->source);
        if (r < 0)
                return r;
        log_debug(r == 0 ? "Woken, and all is as it was" : "Woken, and nobody answers",
                  LOG_STRING("endpoint", worker->source->endpoint.url));
        if (r > 0) {
                worker->workloads.due = 0;
        } else if (strcmp(worker->snapshot.connection.version, worker->source->version) != 0) {
                /* Restarted as another version, on the same port and too fast to be missed. */
                snprintf(worker->snapshot.connection.version, sizeof worker->snapshot.connection.version, "%s",
                         worker->source->version);
                publish(worker, false);
        }
        return 0;
}

/* operations_wait(), in which what could not be written is tried again. */
static int wait_and_rewrite(struct worker *worker, usec_t deadline, unsigned mask) {
        for (;;) {
                bool broken = worker->state_file.broken || worker->metrics_broken;
                usec_t until = deadline;
                int r;

                if (broken)
                        until = usec_min(until, waiter_now(worker->waiter) + REWRITE_INTERVAL);
                r = operations_wait(&worker->operations, until, mask);
                if (r != 0 || until == deadline)
                        return r;
                publish(worker, false);
        }
}

static int wait_for_due(struct worker *worker, usec_t due) {
        usec_t deadline = due != USEC_INFINITY ? due : waiter_now(worker->waiter) + CHECK_INTERVAL;
        /* During the start-up delay there is no ToolHive yet whose identity could be checked. */
        unsigned mask = worker->source->known ? WAIT_FILE | WAIT_CONNECTION | WAIT_CHANGE : 0;
        int r;

        r = wait_and_rewrite(worker, deadline, mask);
        if (r < 0)
                return r;
        if (r & WAIT_RELOAD)
                return 0;
        if (r & WAIT_CHANGE)
                return take_changes(worker);
        if (r & (WAIT_FILE | WAIT_CONNECTION))
                return check_woken(worker);
        return due == USEC_INFINITY ? check_alive(worker) : 0;
}

static int step(struct worker *worker) {
        struct poll *next = worker->registry.due < worker->workloads.due ? &worker->registry : &worker->workloads;
        int r;

        r = waiter_progress(worker->waiter);
        if (r < 0)
                return r;
        if (next->due <= waiter_now(worker->waiter))
                r = run_poll(worker, next);
        else
                r = wait_for_due(worker, next->due);
        take_reload(worker);
        return r;
}

static void restore(struct worker *worker) {
        const char *path = NULL, *problem = NULL;
        int r;

        r = state_file_restore(&worker->state_file, &worker->snapshot, &path, &problem);
        if (r == 0)
                log_debug("Restored what an earlier service knew", LOG_STRING("path", path));
        else if (r != -ENOENT)
                log_event(LEVEL_INFO, EVENT_STATE_IGNORED, "Ignoring the state file of an earlier service",
                          LOG_STRING("path", path),
                          LOG_STRING("reason", r > 0 ? problem : errno_words(-r)));
        memcpy(worker->kept_endpoint, worker->snapshot.connection.endpoint, sizeof worker->kept_endpoint);
}

static void open_state_file(struct worker *worker) {
        const char *path = worker->settings->state_file, *kept = getenv("STATE_DIRECTORY");
        _cleanup_(freep) char *first = NULL;
        int r = 0;

        /* The first of a list (systemd.exec(5)): where the unit names one, it is the only one. */
        if (kept) {
                first = strndup(kept, strcspn(kept, ":"));
                if (!first)
                        r = -ENOMEM;
        }
        if (r == 0)
                r = state_file_open(&worker->state_file, path, first, worker->snapshot.started_at);
        worker->second = r == STATE_FILE_LOCKED;
        if (worker->second)
                log_event(LEVEL_WARNING, EVENT_SECOND_SERVICE,
                          "Another service holds the state file, this one writes none", LOG_STRING("path", path));
        else if (r < 0)
                log_event(LEVEL_WARNING, EVENT_STATE_UNWRITABLE, "Cannot open the state file",
                          LOG_STRING("path", path), LOG_STRING("error", errno_words(-r)));
}

static int begin(struct worker *worker) {
        const struct settings *settings = worker->settings;
        struct snapshot *snapshot = &worker->snapshot;
        usec_t now = waiter_now(worker->waiter), due;
        int r;

        worker->started_at = worker->beaten_at = now;
        notify_init(&worker->notify, now);
        *snapshot = (struct snapshot) {
                .runtime_mode = settings->runtime_mode,
                .pid = getpid(),
                .started_at = waiter_realtime(worker->waiter),
        };
        snprintf(snapshot->host, sizeof snapshot->host, "%s",
                 settings->runtime_mode == RUNTIME_K8S
                         ? settings->k8s_api_server_url
                         : settings->toolhive_api_url ?: settings->toolhive_host);
        open_state_file(worker);
        restore(worker);

        r = worker->make_source(settings, worker->waiter, snapshot->connection.endpoint, &worker->source);
        if (r < 0)
                return r;
        operations_init(&worker->operations, settings, worker->source, snapshot);
        worker->operations.changed = operations_changed;
        worker->operations.user = worker;

        due = now + settings->startup_polling_delay;
        worker->workloads = (struct poll) {
                .kind = CALL_LIST_WORKLOADS,
                .interval = settings->workload_polling_interval,
                .due = due,
                .report = &snapshot->workloads_poll,
        };
        worker->registry = (struct poll) {
                .kind = CALL_REGISTRY,
                .interval = settings->registry_polling_interval,
                .report = &snapshot->registry_poll,
        };
        worker->registry.due = has_poll(worker, &worker->registry) ? due : USEC_INFINITY;
        snapshot->workloads_poll.next_poll_at = snapshot->registry_poll.next_poll_at =
                snapshot->started_at + settings->startup_polling_delay;

        update_state(worker);
        publish(worker, false);
        waiter_set_hooks(worker->waiter, READY_SLICE, on_progress, on_reload, worker);
        return 0;
}

static void end(struct worker *worker, enum connection_state state) {
        if (worker->source) {
                operations_set_state(&worker->operations, state);
                worker->snapshot.connection.next_attempt_at = worker->snapshot.connection.backoff = 0;
                worker->snapshot.workloads_poll.next_poll_at = worker->snapshot.registry_poll.next_poll_at = 0;
                publish(worker, false);
        }
        waiter_set_hooks(worker->waiter, USEC_INFINITY, NULL, NULL, NULL);
        source_free(worker->source);
        state_file_close(&worker->state_file);
        snapshot_done(&worker->snapshot);
        notify_done(&worker->notify);
}

void worker_init(struct worker *worker, const struct settings *settings, struct waiter *waiter,
                 source_maker make_source) {
        *worker = (struct worker) {
                .settings = settings,
                .waiter = waiter,
                .make_source = make_source,
                .state_file.lock_fd = -1,
        };
}

int worker_run(struct worker *worker) {
        int r;

        r = begin(worker);
        while (r == 0)
                r = step(worker);

        /* From the last word on the exit code stands, also for a stop that comes while the files are written. */
        if (r != -ECANCELED)
                atomic_store(&worker->exit_code, 1);
        if (r < 0 && r != -ECANCELED)
                log_event(LEVEL_CRITICAL, EVENT_INTERNAL_FAILURE, "Internal failure - exiting",
                          LOG_STRING("error", errno_words(-r)));
        end(worker, r == -ECANCELED ? CONNECTION_STOPPED : CONNECTION_EXHAUSTED);
        return atomic_load(&worker->exit_code);
}
