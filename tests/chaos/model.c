/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The specification's service: read live() at the end first, then run_poll() and
 * operation(). Each function is a paragraph of the specification, whose words are in
 * the comments. What is said in which words is in model_words.c.
 */

#include "model_words.h"

#define FILE_QUIET USEC_PER_SEC
#define CONNECTION_QUIET_MAX (64 * USEC_PER_SEC)

/* ---- stops and reloads, noticed where the service looks ---- */

static void take(struct model *m, unsigned events) {
        if (events & WAIT_RELOAD) {
                m->reload_pending = true;
                say(m, "INFO     Reload requested, polling workloads and registry at once");
        }
        if (events & WAIT_STOP)
                m->stopping = true;
}

static enum way look(struct model *m) {
        take(m, clock_run(m->clock, m->clock->now, 0));
        return m->stopping ? STOP : DONE;
}

/* Work of the source that takes time: a stop ends it, a reload lets it finish. */
static enum way work(struct model *m, usec_t takes) {
        usec_t until = m->clock->now + takes;

        while (takes > 0 && !m->stopping && m->clock->now < until)
                take(m, clock_run(m->clock, until, 0));
        return takes > 0 && m->stopping ? STOP : DONE;
}

/*
 * "Every wait can be interrupted." Returns the events, 0 at the deadline, or
 * WAIT_STOP. "At most one wake a second" by the file.
 */
static unsigned wait_until(struct model *m, usec_t deadline, unsigned mask) {
        if (m->life->fixed)
                mask &= ~(unsigned) WAIT_FILE;
        for (;;) {
                usec_t until = deadline, now = m->clock->now;
                unsigned wakes = mask, events;

                if (m->stopping)
                        return WAIT_STOP;
                if (m->reload_pending) {
                        m->reload_pending = false;
                        m->reloaded_at = now;
                        return WAIT_RELOAD;
                }
                if (now < deadline)
                        say_state(m);
                if (mask & WAIT_FILE && now < m->file_quiet_until) {
                        wakes &= ~(unsigned) WAIT_FILE;
                        until = usec_min(until, m->file_quiet_until);
                }
                if (mask & WAIT_CONNECTION && now < m->connection_quiet_until) {
                        wakes &= ~(unsigned) WAIT_CONNECTION;
                        until = usec_min(until, m->connection_quiet_until);
                }

                events = clock_run(m->clock, until, wakes);
                take(m, events);
                if (m->stopping || m->reload_pending)
                        continue;
                if (events & WAIT_FILE) {
                        clock_read_file(m->clock);
                        m->file_quiet_until = m->clock->now + FILE_QUIET;
                }
                if (events & WAIT_CONNECTION) {
                        m->connection_quiet_until = m->clock->now + m->connection_quiet;
                        m->connection_quiet = usec_min(m->connection_quiet * 2, CONNECTION_QUIET_MAX);
                }
                if (events || m->clock->now >= deadline)
                        return events;
        }
}

/* ---- one attempt ---- */

/* FOUND_NOTHING and m->error, or where; "known is an address that has passed the identity check". */
static enum way search(struct model *m, enum finding *ret_finding) {
        const struct world *world;
        uint16_t before = m->port;
        bool known = m->known;

        clock_read_file(m->clock);
        trace_expect(m->trace, m->clock->now, "search");
        world = script_world(m->script, m->clock->now);
        if (work(m, world->search_takes) == STOP)
                return STOP;

        *ret_finding = FOUND_NOTHING;
        if (world->port == 0 || (m->life->fixed && world->port != CHAOS_PORT)) {
                m->found_error = world->nothing;
                return DONE;
        }
        m->known = true;
        m->port = world->port;
        m->version = world->version;
        *ret_finding = !known ? FOUND_FIRST : m->port == before ? FOUND_SAME : FOUND_OTHER;
        if (*ret_finding == FOUND_OTHER)
                m->port_changes++;
        say_found(m, *ret_finding, before, world);
        return DONE;
}

/* The call of one attempt; "identity check made outside the attempts" is the source's. */
static enum way call(struct model *m, enum call_kind kind, int name) {
        const struct world *world = script_world(m->script, m->clock->now);
        const struct reply *reply = &world->replies[kind];
        bool there = world->port > 0 && world->port == m->port;

        expect_call(m, kind, name);
        if (there && reply->hangs)
                m->clock->now += reply->takes;
        else if (work(m, there ? reply->takes : world->elsewhere_takes) == STOP)
                return STOP;

        m->reply = reply;
        m->stock = &world->stock;
        if (!there || reply->manner == MANNER_FAILED) {
                m->error = there ? reply->error : world->elsewhere;
                return FAILED;
        }
        m->error = reply->error;
        return reply->manner == MANNER_GOOD ? DONE : ANSWERED;
}

/* ---- the retries ---- */

/* Waits backoff_seconds, "then doubles it up to the maximum"; or the way of a wake or a reload. */
static enum way back_off(struct model *m, usec_t delay) {
        usec_t deadline = m->clock->now + delay;
        enum finding finding;
        uint16_t before;
        unsigned events;

        m->backoff = delay;
        m->next_attempt_at = deadline;
        while ((events = wait_until(m, deadline, WAIT_FILE)) & WAIT_FILE) {
                /* "A wake makes a search, never an attempt: what is found is tried at once;
                 * nothing found, the wait goes on, uncounted and unlogged." */
                before = m->port;
                if (search(m, &finding) == STOP)
                        return STOP;
                if (finding == FOUND_NOTHING)
                        continue;
                m->immediate_allowed = false;
                if (finding == FOUND_OTHER) {
                        m->base = m->life->initial;
                        say_retrying(m, before);
                }
                break;
        }
        m->backoff = m->next_attempt_at = 0;
        if (events & WAIT_STOP)
                return STOP;
        /* "SIGHUP cuts the wait short, resets the delay". */
        if (events & WAIT_RELOAD)
                m->base = m->life->initial;
        else if (!(events & WAIT_FILE))
                m->base = usec_min(2 * m->base, m->life->maximum);
        return DONE;
}

/* A failed attempt, "in this order". DONE: try again; GIVEN_UP; STOP. */
static enum way after_failure(struct model *m, bool searched, bool *ret_last) {
        const struct life *life = m->life;
        enum finding finding = FOUND_NOTHING;
        double u = script_jitter(m->script, m->clock->now);
        usec_t delay;

        if (m->attempt == 0)
                m->outage_since = m->clock->now;
        if (m->attempt < life->max_retries)
                m->attempt++;
        m->failures++;
        *ret_last = m->attempt == life->max_retries;
        /* "delay = base x (1 - jitter x u)"; "the last failure with backoff_seconds=0.0". */
        delay = *ret_last ? 0 : (usec_t) ((double) m->base * (1.0 - life->jitter * u));
        m->last_error = m->error;
        m->last_error_at = m->clock->now;
        set_state(m, "reconnecting");
        say_failed(m, delay);

        /* "Pinned: no search, no rediscovery lines, no immediate retry, only the delays." */
        if (life->fixed)
                return *ret_last ? GIVEN_UP : back_off(m, delay);
        /* "A failed attempt that was itself a search is not followed by a second one." */
        if (!searched) {
                uint16_t before = m->port;

                say(m, "WARNING  Attempting to rediscover ToolHive port previous_port=%u", before);
                if (search(m, &finding) == STOP)
                        return STOP;
                if (finding != FOUND_NOTHING && m->immediate_allowed) {
                        /* "The delay goes back only with an immediate retry on another address." */
                        m->immediate_allowed = false;
                        if (finding == FOUND_OTHER) {
                                m->base = life->initial;
                                say_retrying(m, before);
                        }
                        return DONE;
                }
        }
        /* "One is allowed per outage, and one more after each rediscovery that found nothing." */
        if (finding == FOUND_NOTHING)
                m->immediate_allowed = true;
        return *ret_last ? GIVEN_UP : back_off(m, delay);
}

/* DONE, ANSWERED, GIVEN_UP or STOP. */
static enum way operation(struct model *m, enum call_kind kind, int name) {
        bool beyond_last = false;
        enum way way;

        for (;;) {
                enum finding finding = FOUND_FIRST;
                bool searched;

                m->began = m->clock->now;
                m->connection_quiet = USEC_PER_SEC;
                if (!m->known && search(m, &finding) == STOP)
                        return STOP;
                searched = finding == FOUND_NOTHING;
                if (searched) {
                        m->error = m->found_error;
                        way = FAILED;
                } else
                        way = call(m, kind, name);

                if (way == DONE)
                        complete(m);
                if (way != FAILED)
                        return way;
                /* "Or that retry fails too": the immediate one after the last. */
                way = beyond_last ? GIVEN_UP : after_failure(m, searched, &beyond_last);
                if (way == GIVEN_UP)
                        break;
                if (way == STOP)
                        return STOP;
        }

        /* "A stop before the CRITICAL line is exit 0." */
        if (look(m) == STOP)
                return STOP;
        say_exhausted(m);
        return GIVEN_UP;
}

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

static enum way run_poll(struct model *m, struct poll_model *poll) {
        struct thing things[CHAOS_NAMES];
        enum call_kind kind = poll->kind;
        const struct reply *reply;
        struct stock stock;
        usec_t delay;
        enum way way;

        way = operation(m, kind, -1);
        poll->began = m->began;
        if (way == DONE) {
                stock = *m->stock;
                memcpy(things, stock.things, sizeof things);
        }
        reply = m->reply;
        if (way == DONE && kind == CALL_LIST_WORKLOADS) {
                way = ask_details(m, things, &reply);
                if (way == DONE || way == ANSWERED)
                        take_workloads(m, things);
                kind = CALL_WORKLOAD_DETAILS;
        } else if (way == DONE)
                take_registry(m, &stock);
        if (way == STOP || way == GIVEN_UP)
                return way;

        if (way == ANSWERED) {
                delay = retry_after(m, poll, reply);
                say_problem(m, poll, kind, reply, delay);
                poll->due = m->clock->now + delay;
        } else {
                say_answers_again(m, poll);
                /* "Measured from start to start, never piling up"; "0 polls once means until it has completed once". */
                poll->due = USEC_INFINITY;
                if (poll->interval > 0)
                        for (poll->due = poll->began; poll->due <= m->clock->now; )
                                poll->due += ((m->clock->now - poll->due) / poll->interval ?: 1) * poll->interval;
        }
        poll->next_at = poll->due == USEC_INFINITY ? 0 : poll->due;
        judge_state(m);
        return DONE;
}

/* "Between polls it means one identity check of the connected address, and no move while that passes." */
static void check(struct model *m) {
        const struct world *world = script_world(m->script, m->clock->now);

        trace_expect(m->trace, m->clock->now, "check");
        if (world->port != 0 && world->port == m->port)
                m->version = world->version;
        else
                m->workloads.due = 0;
}

static enum way idle(struct model *m, usec_t due) {
        /* "A service with nothing left to poll checks identity every 60 s." */
        usec_t deadline = due != USEC_INFINITY ? due : m->clock->now + 60 * USEC_PER_SEC;
        unsigned events = wait_until(m, deadline, m->known ? WAIT_FILE | WAIT_CONNECTION : 0);
        enum way way;

        if (events & WAIT_STOP)
                return STOP;
        if (events & (WAIT_FILE | WAIT_CONNECTION))
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
        if (m->registry.began < m->reloaded_at)
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

void model_live(const struct script *script, const struct life *life, usec_t begin, struct memory *memory,
                struct trace *trace, struct chaos_clock *clock) {
        struct model model = {
                .script = script, .life = life, .memory = memory, .trace = trace, .clock = clock,
                .workloads = { .kind = CALL_LIST_WORKLOADS, .interval = life->workloads_interval },
                .registry = { .kind = CALL_REGISTRY, .interval = life->registry_interval },
                .port = memory->port, .base = life->initial, .immediate_allowed = true,
                .connection_quiet = USEC_PER_SEC,
        };
        enum way way;

        clock_begin(clock, script, begin, usec_min(begin + life->lasts, script->end));
        say_begin(&model);
        model.workloads.due = model.workloads.next_at = begin + life->delay;
        model.registry.due = model.registry.next_at = begin + life->delay;
        judge_state(&model);

        way = live(&model);

        set_state(&model, way == STOP ? "stopped" : "exhausted");
        model.backoff = model.next_attempt_at = model.workloads.next_at = model.registry.next_at = 0;
        say_state(&model);
        trace_expect(trace, clock->now, "exit %d", way == STOP ? 0 : 1);
        trace_expect_end(trace);
        memory->port = model.port;
}
