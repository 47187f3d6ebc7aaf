/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker on the script's stage: see the header. The waiter and the source are
 * the two seams through which all of it comes; both record before time passes, so
 * every line bears the time at which it was written.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "actor_stage.h"
#include "report/log.h"
#include "witness.h"

#define HOT 10000

struct stage stage;

void stage_witness(void) {
        witness_look(stage.trace, stage.clock.now, stage.clock.now - stage.clock.asleep - stage.hung);
        if (++stage.in_place > HOT)
                trace_fail(stage.trace, stage.clock.now, "hot: nothing waits any more");
}

/* ---- the waiter ---- */

static usec_t stage_now(struct waiter *waiter _unused_) {
        return stage.clock.now;
}

static usec_t stage_realtime(struct waiter *waiter _unused_) {
        return CHAOS_REALTIME + stage.clock.now;
}

static int stage_block(struct waiter *waiter _unused_, usec_t deadline, unsigned mask) {
        usec_t before = stage.clock.now;
        int events;

        stage_witness();
        if (stage.life->fixed)
                mask &= ~(unsigned) WAIT_FILE;
        if (deadline > before) {
                stage.figures->wakeups++;
                if (!stage.busy)
                        witness_state(stage.trace, before);
        }
        events = (int) clock_run(&stage.clock, deadline, mask);
        if (stage.clock.now > before)
                stage.in_place = 0;
        return events;
}

static const struct waiter_ops stage_waiter = {
        .now = stage_now,
        .realtime = stage_realtime,
        .block = stage_block,
};

/* ---- the sources ---- */

static double jitter(void *user _unused_) {
        return script_jitter(stage.script, stage.clock.now);
}

const struct world *stage_begin(const char *what, const char *arguments) {
        stage_witness();
        trace_add(stage.trace, stage.clock.now, "%s%s", what, arguments);
        stage.worker.operations.random = jitter;
        stage.requests++;
        return script_world(stage.script, stage.clock.now);
}

int stage_pass(usec_t usec, bool hangs) {
        int r = 0;

        if (hangs) {
                stage.clock.now += usec;
                stage.hung += usec;
                stage.in_place = 0;
        } else if (usec > 0) {
                stage.busy = true;
                r = waiter_until(&stage.waiter, stage.clock.now + usec, 0);
                stage.busy = false;
        }
        return r & WAIT_STOP ? -ECANCELED : 0;
}

void stage_conclude(const struct world *world, const struct reply *reply, bool there, struct outcome *ret_outcome) {
        *ret_outcome = (struct outcome) { .verdict = VERDICT_FAILED, .retry_after = USEC_INFINITY };
        snprintf(ret_outcome->error, sizeof ret_outcome->error, "%s", there ? reply->error ?: "" : world->elsewhere);
        if (!there || reply->manner == MANNER_FAILED)
                return;

        ret_outcome->status = reply->status;
        ret_outcome->runtime_away = reply->runtime_away;
        ret_outcome->retry_after = reply->retry_after;
        ret_outcome->verdict = reply->manner == MANNER_GOOD ? VERDICT_DONE : VERDICT_ANSWER;
}

uint64_t stage_requests(const struct source *source _unused_) {
        return stage.requests;
}

struct source *stage_free(struct source *source _unused_) {
        return NULL;
}

static int make_source(const struct settings *settings _unused_, struct waiter *waiter, const char *last,
                       struct source **ret_source) {
        stage.source = (struct source) {
                .ops = stage.life->cluster ? &stage_cluster : &stage_toolhive,
                .waiter = waiter,
                .can_move = !stage.life->fixed,
                .details_tell_urls = !stage.life->cluster,
                .requests = stage_requests,
        };
        if (stage.life->cluster)
                endpoint_set_tcp(&stage.source.endpoint, "127.0.0.1", CHAOS_PORT);
        else if (last[0] && endpoint_parse(&stage.source.endpoint, last) < 0)
                trace_fail(stage.trace, stage.clock.now, "no endpoint to begin with: %s", last);
        stage_witness();
        trace_add(stage.trace, stage.clock.now, "begin %s", last);
        *ret_source = &stage.source;
        return 0;
}

/* ---- a life ---- */

void actor_init(void) {
        witness_init();
}

void actor_forget(void) {
        stage.clock = (struct chaos_clock) {};
        (void) unlink(witness_state_path());
}

/* Slices of waits, the first second's, and the ends of waits: everything that has a reason. */
static void judge_wakeups(uint64_t wakeups, uint64_t work, usec_t lasted) {
        usec_t slice = 30 * USEC_PER_SEC;
        uint64_t allowed;

        if (stage.life->watchdog > 0)
                slice = usec_min(slice, stage.life->watchdog / 2);
        allowed = 50 + lasted / slice + 4 * work;
        if (wakeups > allowed)
                trace_fail(stage.trace, stage.clock.now, "hot: %" PRIu64 " wake-ups, not %" PRIu64, wakeups, allowed);
}

usec_t actor_play(const struct script *script, const struct life *life, usec_t begin_at, struct trace *trace,
                  struct figures *figures) {
        const struct settings settings = {
                .runtime_mode = life->cluster ? RUNTIME_K8S : RUNTIME_DOCKER,
                .toolhive_host = (char *) "localhost",
                .k8s_api_server_url = (char *) "http://127.0.0.1:50001",
                .max_retries = life->max_retries,
                .initial_backoff = life->initial,
                .max_backoff = life->maximum,
                .backoff_jitter = life->jitter,
                .workload_polling_interval = life->workloads_interval,
                .registry_polling_interval = life->registry_interval,
                .startup_polling_delay = life->delay,
                .state_file = (char *) witness_state_path(),
        };
        struct figures before = *figures;
        size_t happened = stage.clock.next;
        int code;

        stage.waiter = (struct waiter) {
                .ops = &stage_waiter,
                .stop_fd = -1,
                .reload_fd = -1,
                .timer_fd = -1,
                .file_fd = -1,
                .connection_fd = -1,
                .slice = USEC_INFINITY,
        };
        clock_begin(&stage.clock, script, begin_at, usec_min(begin_at + life->lasts, script->end));
        stage.script = script;
        stage.life = life;
        stage.trace = trace;
        stage.figures = figures;
        stage.requests = stage.in_place = stage.hung = 0;
        stage.watching = false;
        stage.refusal = NULL;
        stage.missing = "";
        witness_begin(trace, life->watchdog, begin_at);

        worker_init(&stage.worker, &settings, &stage.waiter, make_source);
        code = worker_run(&stage.worker);

        stage_witness();
        witness_state(trace, stage.clock.now);
        trace_add(trace, stage.clock.now, "exit %d", code);
        witness_end(trace, stage.clock.now, stage.clock.now - stage.clock.asleep - stage.hung);
        judge_wakeups(figures->wakeups - before.wakeups,
                      figures->calls + figures->searches + figures->checks + figures->changes + stage.clock.next
                      - before.calls - before.searches - before.checks - before.changes - happened,
                      stage.clock.now - begin_at);
        figures->lives++;
        figures->clusters += life->cluster;
        figures->exhausted += code == 1;
        figures->lived += stage.clock.now - begin_at;
        figures->lines += trace->n;
        return stage.clock.now;
}
