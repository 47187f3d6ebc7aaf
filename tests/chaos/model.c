/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The specification's service: read live() at the end first, then run_poll(), and
 * operation() in model_retry.c. Each function is a paragraph of the specification,
 * whose words are in the comments. What is said in which words is in model_words.c
 * and model_state.c.
 */

#include "model_words.h"

/* ---- the polls ---- */

/* "Details only of a running one whose entry lacks its URL"; what is not to be had keeps the URL known before. */
static enum way ask_details(struct model *m, struct thing *things, const struct reply **ret_reply) {
        enum way result = DONE;
        bool in_time = true;

        for (int i = 0; i < CHAOS_NAMES; i++) {
                enum way way = ANSWERED;

                if (!things[i].status || things[i].url > 0 || strcmp(things[i].status, "running") != 0)
                        continue;
                if (in_time)
                        way = operation(m, CALL_WORKLOAD_DETAILS, i);
                if (way == STOP || way == GIVEN_UP)
                        return way;
                if (way == DONE) {
                        things[i].url = m->reply->not_found ? 0 : URL_DETAILS;
                        continue;
                }
                if (m->memory->workloads && m->memory->things[i].status)
                        things[i].url = m->memory->things[i].url;
                in_time = in_time && m->reply->status > 0;
                if (result == DONE)
                        *ret_reply = m->reply;
                result = ANSWERED;
        }
        return result;
}

/* "Another try after the polling interval or 60 s, whichever is less, or when Retry-After says". */
static usec_t retry_after(const struct model *m, const struct poll_model *poll, const struct reply *reply) {
        usec_t most = poll->interval > 0 ? poll->interval : 60 * USEC_PER_SEC;

        if (reply->retry_after == USEC_INFINITY)
                return usec_min(most, 60 * USEC_PER_SEC);
        return usec_min(usec_max(reply->retry_after, m->life->initial), most);
}

/*
 * "An answer that is not the expected one": about that kind of call, and when it is
 * asked again. Rights that are missing are asked for sooner, at first: after the
 * initial backoff, which each list that lacks them doubles (poll.c). What a watch
 * tells meanwhile is no try, and puts none off.
 */
static void take_problem(struct model *m, struct poll_model *poll, enum call_kind kind, const struct reply *reply,
                         bool asked) {
        usec_t delay = retry_after(m, poll, reply);

        if (m->life->cluster && reply->denied) {
                delay = usec_min(delay, m->life->initial << usec_min(poll->denials, 16));
                poll->denials += asked;
        }
        if (!asked)
                delay = usec_min(delay, usec_sub(poll->due, m->clock->now));
        say_problem(m, poll, kind, reply, delay);
        poll->due = m->clock->now + delay;
}

static void take_success(struct model *m, struct poll_model *poll) {
        poll->denials = 0;
        say_answers_again(m, poll);
        /* "Measured from start to start, never piling up"; "0 polls once means until it has completed once". */
        poll->due = USEC_INFINITY;
        if (poll->interval > 0)
                for (poll->due = poll->began; poll->due <= m->clock->now; )
                        poll->due += ((m->clock->now - poll->due) / poll->interval ?: 1) * poll->interval;
}

/* A part of the list that was refused, or what is wrong with the watches now. */
static const struct reply *trouble(struct model *m, enum call_kind *ret_kind) {
        const struct reply *watch = &script_world(m->script, m->clock->now)->cluster.watch;

        *ret_kind = m->refusal ? CALL_LIST_WORKLOADS : CALL_WATCH_WORKLOADS;
        return m->refusal ?: watch->status > 0 ? watch : NULL;
}

/* The list is here: what it lacks, what is new. DONE, or ANSWERED with what is wrong beside it. */
static enum way take_list(struct model *m, const struct stock *stock, enum call_kind *ret_kind,
                          const struct reply **ret_reply) {
        struct thing things[CHAOS_NAMES];
        enum way way;

        memcpy(things, stock->things, sizeof things);
        if (m->life->cluster) {
                *ret_reply = trouble(m, ret_kind);
                way = *ret_reply ? ANSWERED : DONE;
                say_missing(m);
        } else {
                *ret_kind = CALL_WORKLOAD_DETAILS;
                way = ask_details(m, things, ret_reply);
        }
        if (way == DONE || way == ANSWERED)
                take_workloads(m, things);
        return way;
}

static enum way run_poll(struct model *m, struct poll_model *poll) {
        enum call_kind kind = poll->kind;
        const struct reply *reply;
        struct stock stock;
        enum way way;

        way = operation(m, kind, -1);
        poll->began = m->began;
        reply = m->reply;
        if (way == DONE) {
                stock = *m->stock;
                if (kind == CALL_LIST_WORKLOADS)
                        way = take_list(m, &stock, &kind, &reply);
                else
                        take_registry(m, &stock);
        }
        if (way == STOP || way == GIVEN_UP)
                return way;

        if (way == ANSWERED)
                take_problem(m, poll, kind, reply, true);
        else
                take_success(m, poll);
        poll->next_at = poll->due == USEC_INFINITY ? 0 : poll->due;
        judge_state(m);
        return DONE;
}

/* Told by the watches, without asking anybody; or they cannot go on, and a list is wanted now. */
static void take_changes(struct model *m) {
        struct poll_model *poll = &m->workloads;
        bool expired = clock_take_expiry(m->clock);
        const struct reply *reply;
        enum call_kind kind;

        trace_expect(m->trace, m->clock->now, "changes%s", expired ? " expired" : "");
        if (expired)
                poll->due = 0;
        else {
                if (take_list(m, &script_world(m->script, m->clock->now)->stock, &kind, &reply) == ANSWERED)
                        take_problem(m, poll, kind, reply, false);
                else
                        take_success(m, poll);
                poll->next_at = poll->due == USEC_INFINITY ? 0 : poll->due;
        }
        judge_state(m);
}

/* "Between polls it means one identity check of the connected address, and no move while that passes." */
static void check(struct model *m) {
        const struct world *world = script_world(m->script, m->clock->now);

        trace_expect(m->trace, m->clock->now, "check");
        if (m->life->cluster ? world->cluster.there : world->port != 0 && world->port == m->port)
                m->version = world->version;
        else
                m->workloads.due = 0;
}

static enum way idle(struct model *m, usec_t due) {
        /* "A service with nothing left to poll checks identity every 60 s." */
        usec_t deadline = due != USEC_INFINITY ? due : m->clock->now + 60 * USEC_PER_SEC;
        unsigned events = wait_until(m, deadline, m->known ? WAIT_FILE | WAIT_CONNECTION | WAIT_CHANGE : 0);
        enum way way;

        if (events & WAIT_STOP)
                return STOP;
        if (events & WAIT_CHANGE)
                take_changes(m);
        else if (events & (WAIT_FILE | WAIT_CONNECTION))
                check(m);
        if (events || due != USEC_INFINITY)
                return DONE;
        way = operation(m, CALL_VERSION, -1);
        if (way != STOP && way != GIVEN_UP)
                judge_state(m);
        return way == ANSWERED ? DONE : way;
}

/* "SIGHUP polls both at once": what was not asked for since it was noticed. */
static void reload(struct model *m) {
        if (m->reload_pending)
                m->reloaded_at = m->clock->now;
        m->reload_pending = false;
        if (m->workloads.began < m->reloaded_at)
                m->workloads.due = 0;
        if (m->registry.began < m->reloaded_at && !m->life->cluster)
                m->registry.due = 0;
        m->reloaded_at = 0;
}

static enum way live(struct model *m) {
        for (;;) {
                struct poll_model *next = m->registry.due < m->workloads.due ? &m->registry : &m->workloads;
                enum way way = look(m);

                if (way == DONE)
                        way = next->due <= m->clock->now ? run_poll(m, next) : idle(m, next->due);
                if (way == STOP || way == GIVEN_UP)
                        return way;
                reload(m);
        }
}

/* "A file of another mode is ignored with one INFO." */
static void recall(struct model *m) {
        struct memory *memory = m->memory;

        if (memory->any && memory->cluster != m->life->cluster) {
                say_ignored(m);
                *memory = (struct memory) {};
        }
        memory->any = true;
        memory->cluster = m->life->cluster;
        m->port = memory->port;
}

void model_live(const struct script *script, const struct life *life, usec_t begin, struct memory *memory,
                struct trace *trace, struct chaos_clock *clock) {
        struct model model = {
                .script = script, .life = life, .memory = memory, .trace = trace, .clock = clock,
                .workloads = { .kind = CALL_LIST_WORKLOADS, .interval = life->workloads_interval },
                .registry = { .kind = CALL_REGISTRY, .interval = life->registry_interval },
                .base = life->initial, .immediate_allowed = true,
                .connection_quiet = USEC_PER_SEC, .missing = "", .told_missing = "",
        };
        enum way way;

        clock_begin(clock, script, begin, usec_min(begin + life->lasts, script->end));
        recall(&model);
        say_begin(&model);
        model.workloads.due = model.workloads.next_at = begin + life->delay;
        model.registry.due = model.registry.next_at = begin + life->delay;
        if (life->cluster)
                model.registry.due = USEC_INFINITY;
        judge_state(&model);

        way = live(&model);

        set_state(&model, way == STOP ? "stopped" : "exhausted");
        model.backoff = model.next_attempt_at = model.workloads.next_at = model.registry.next_at = 0;
        say_state(&model);
        trace_expect(trace, clock->now, "exit %d", way == STOP ? 0 : 1);
        trace_expect_end(trace);
        memory->port = model.port;
}
