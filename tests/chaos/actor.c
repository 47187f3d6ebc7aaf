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

#include "actor.h"
#include "report/log.h"
#include "service/worker.h"
#include "witness.h"

#define HOT 10000

static struct {
        struct waiter waiter;
        struct source source;
        struct chaos_clock clock;
        const struct script *script;
        const struct life *life;
        struct trace *trace;
        struct figures *figures;
        struct worker worker;
        uint64_t requests;
        unsigned in_place;              /* calls of ours since time has passed */
        usec_t hung;                    /* in all */
        bool busy;                      /* in the source */
} stage;

/* Whatever the worker did until now, it did now. */
static void witness(void) {
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

        witness();
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

/* ---- the source ---- */

static double jitter(void *user _unused_) {
        return script_jitter(stage.script, stage.clock.now);
}

static const struct world *begin(const char *what, const char *arguments) {
        witness();
        trace_add(stage.trace, stage.clock.now, "%s%s", what, arguments);
        stage.worker.operations.random = jitter;
        stage.requests++;
        return script_world(stage.script, stage.clock.now);
}

/* 0 or -ECANCELED. */
static int pass(usec_t usec, bool hangs) {
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

static void give(const struct stock *stock, const struct reply *reply, struct call *call) {
        _cleanup_text_ struct text body = TEXT_INIT;
        const char *problem = "";
        int r = 0;

        switch (call->kind) {
        case CALL_LIST_WORKLOADS:
                text_add(&body, "{\"workloads\":[");
                for (unsigned i = 0, n = 0; i < CHAOS_NAMES; i++) {
                        const struct thing *thing = &stock->things[i];

                        if (!thing->status)
                                continue;
                        text_addf(&body, "%s{\"name\":\"w%u\",\"status\":\"%s\"", n++ > 0 ? "," : "", i, thing->status);
                        if (thing->url > 0)
                                text_addf(&body, ",\"url\":\"http://h/%u\"", thing->url);
                        text_add(&body, "}");
                }
                text_add(&body, "]}");
                r = workload_list_parse(body.data, body.size, call->filter, &call->workloads, &problem);
                break;
        case CALL_REGISTRY:
                text_addf(&body, "{\"registry\":{\"last_updated\":\"update-%u\",\"servers\":{", stock->updated);
                for (unsigned i = 0, n = 0; i < CHAOS_SERVERS; i++)
                        if (stock->servers & 1u << i)
                                text_addf(&body, "%s\"s%u\":{}", n++ > 0 ? "," : "", i);
                text_add(&body, "}}}");
                r = registry_parse(body.data, body.size, &call->registry, &problem);
                break;
        case CALL_WORKLOAD_DETAILS:
                call->found = !reply->not_found;
                if (!call->found)
                        break;
                text_addf(&body, "http://h/details-%s", call->name);
                call->document = json_object_new_object();
                json_object_object_add(call->document, "url", json_object_new_string(body.data));
                break;
        case CALL_VERSION:
        case CALL_REGISTRY_ENTRY:
        case CALL_INSTALL:
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                break;
        }
        if (r != 0)
                trace_fail(stage.trace, stage.clock.now, "the script's body is not good: %s", problem);
}

static int stage_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        const struct world *world;
        const struct reply *reply;
        char words[128];
        bool there;
        int r;

        snprintf(words, sizeof words, " %s%s%s at %u", call_kind_name(call->kind), call->name ? " of " : "",
                 call->name ?: "", source->endpoint.port);
        world = begin("call", words);
        stage.figures->calls++;
        reply = &world->replies[call->kind];
        there = world->port > 0 && world->port == source->endpoint.port;
        r = there ? pass(reply->takes, reply->hangs) : pass(world->elsewhere_takes, false);
        if (r < 0)
                return r;

        *ret_outcome = (struct outcome) { .verdict = VERDICT_FAILED, .retry_after = USEC_INFINITY };
        snprintf(ret_outcome->error, sizeof ret_outcome->error, "%s", there ? reply->error ?: "" : world->elsewhere);
        if (!there || reply->manner == MANNER_FAILED)
                return 0;

        ret_outcome->status = reply->status;
        ret_outcome->runtime_away = reply->runtime_away;
        ret_outcome->retry_after = reply->retry_after;
        ret_outcome->verdict = reply->manner == MANNER_GOOD ? VERDICT_DONE : VERDICT_ANSWER;
        if (reply->manner == MANNER_GOOD)
                give(&world->stock, reply, call);
        return 0;
}

static int stage_find(struct source *source, struct found *ret_found, char error[static ERROR_MAX]) {
        const struct world *world = begin("search", "");
        struct endpoint before = source->endpoint;
        bool known = source->known, fixed = stage.life->fixed;
        int r;

        source->scans++;
        stage.figures->searches++;
        r = pass(world->search_takes, false);
        if (r < 0)
                return r;
        if (world->port == 0 || (fixed && world->port != CHAOS_PORT)) {
                snprintf(error, ERROR_MAX, "%s", world->nothing);
                return FIND_NOTHING;
        }

        *ret_found = (struct found) { .n_others = fixed ? 0 : world->n_others };
        endpoint_set_tcp(&ret_found->endpoint, "127.0.0.1", world->port);
        snprintf(ret_found->version, sizeof ret_found->version, "%s", world->version);
        for (unsigned i = 0; i < ret_found->n_others; i++)
                endpoint_set_tcp(&ret_found->others[i], "127.0.0.1", (uint16_t) (world->port + 1 + i));
        source->known = true;
        source->endpoint = ret_found->endpoint;
        strcpy(source->version, ret_found->version);
        if (!known)
                return FIND_FIRST;
        return endpoint_equal(&before, &ret_found->endpoint) ? FIND_SAME : FIND_OTHER;
}

static int stage_check(struct source *source) {
        const struct world *world = begin("check", "");

        stage.figures->checks++;
        if (world->port == 0 || world->port != source->endpoint.port)
                return 1;
        strcpy(source->version, world->version);
        return 0;
}

static int stage_wait(struct source *source, usec_t deadline, unsigned mask) {
        return waiter_until(source->waiter, deadline, mask);
}

static bool stage_file_changed(struct source *source _unused_) {
        witness();
        clock_read_file(&stage.clock);
        return !stage.life->fixed;
}

static uint64_t stage_requests(const struct source *source _unused_) {
        return stage.requests;
}

static struct source *stage_free(struct source *source _unused_) {
        return NULL;
}

static const struct source_ops stage_source = {
        .name = "ToolHive",
        .perform = stage_perform,
        .find = stage_find,
        .check = stage_check,
        .wait = stage_wait,
        .file_changed = stage_file_changed,
        .free = stage_free,
};

static int make_source(const struct settings *settings _unused_, struct waiter *waiter, const char *last,
                       struct source **ret_source) {
        stage.source = (struct source) {
                .ops = &stage_source,
                .waiter = waiter,
                .can_move = !stage.life->fixed,
                .details_tell_urls = true,
                .requests = stage_requests,
        };
        if (last[0] && endpoint_parse(&stage.source.endpoint, last) < 0)
                trace_fail(stage.trace, stage.clock.now, "no endpoint to begin with: %s", last);
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
                .toolhive_host = (char *) "localhost",
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
        witness_begin(trace, life->watchdog, begin_at);

        worker_init(&stage.worker, &settings, &stage.waiter, make_source);
        code = worker_run(&stage.worker);

        witness();
        witness_state(trace, stage.clock.now);
        trace_add(trace, stage.clock.now, "exit %d", code);
        witness_end(trace, stage.clock.now, stage.clock.now - stage.clock.asleep - stage.hung);
        judge_wakeups(figures->wakeups - before.wakeups,
                      figures->calls + figures->searches + figures->checks + stage.clock.next
                      - before.calls - before.searches - before.checks - happened,
                      stage.clock.now - begin_at);
        figures->lives++;
        figures->exhausted += code == 1;
        figures->lived += stage.clock.now - begin_at;
        figures->lines += trace->n;
        return stage.clock.now;
}
