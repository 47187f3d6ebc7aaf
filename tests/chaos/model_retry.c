/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Section 3 of the specification: read operation() at the end first. Each function is
 * a paragraph of it, whose words are in the comments.
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

enum way look(struct model *m) {
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

/* "Every wait can be interrupted." "At most one wake a second" by the file. */
unsigned wait_until(struct model *m, usec_t deadline, unsigned mask) {
        if (m->life->fixed)
                mask &= ~(unsigned) WAIT_FILE;
        if (!m->watching)
                mask &= ~(unsigned) WAIT_CHANGE;
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

/* In a cluster nothing is searched for: it is known as soon as somebody answers. */
static void meet(struct model *m, const struct world *world) {
        m->version = world->version;
        if (m->known)
                return;
        m->known = true;
        m->port = CHAOS_PORT;
        say_found(m, FOUND_FIRST, 0, world);
}

/* Watches tell what follows a list, until a failure: then a list is wanted, which one that failed is again anyway. */
static void begin_watches(struct model *m, const struct world *world) {
        m->refusal = m->reply->manner == MANNER_ANSWER ? m->reply : NULL;
        if (m->refusal)
                return;
        if (world->cluster.part.status > 0)
                m->refusal = &world->cluster.part;
        m->missing = world->cluster.missing;
        m->watching = true;
        clock_forget_changes(m->clock);
}

static void lose_watches(struct model *m, enum call_kind kind) {
        if (!m->life->cluster)
                return;
        if (kind == CALL_LIST_WORKLOADS)
                m->watching = false;
        else
                clock_expire(m->clock);
}

/* The call of one attempt; "identity check made outside the attempts" is the source's. */
static enum way call(struct model *m, enum call_kind kind, int name) {
        const struct world *world = script_world(m->script, m->clock->now);
        bool cluster = m->life->cluster;
        const struct reply *reply = cluster ? &world->cluster.replies[kind] : &world->replies[kind];
        bool there = cluster ? world->cluster.there : world->port > 0 && world->port == m->port;

        expect_call(m, kind, name);
        if (there && reply->hangs)
                m->clock->now += reply->takes;
        else if (work(m, there ? reply->takes : world->elsewhere_takes) == STOP)
                return STOP;

        m->reply = reply;
        m->stock = &world->stock;
        m->at_least = 0;
        if (!there || reply->manner == MANNER_FAILED) {
                m->error = there ? reply->error : world->elsewhere;
                /* "A longer Retry-After replaces the delay." */
                if (cluster && there && reply->retry_after != USEC_INFINITY)
                        m->at_least = reply->retry_after;
                lose_watches(m, kind);
                return FAILED;
        }
        m->error = reply->error;
        if (cluster)
                meet(m, world);
        if (cluster && kind == CALL_LIST_WORKLOADS)
                begin_watches(m, world);
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
        delay = *ret_last ? 0 : usec_max((usec_t) ((double) m->base * (1.0 - life->jitter * u)), m->at_least);
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

enum way operation(struct model *m, enum call_kind kind, int name) {
        bool beyond_last = false;
        enum way way;

        for (;;) {
                enum finding finding = FOUND_FIRST;
                bool searched;

                m->began = m->clock->now;
                m->connection_quiet = USEC_PER_SEC;
                m->connection_quiet_until = usec_min(m->connection_quiet_until, m->clock->now + USEC_PER_SEC);
                if (!m->known && !m->life->cluster && search(m, &finding) == STOP)
                        return STOP;
                searched = finding == FOUND_NOTHING;
                if (searched) {
                        m->error = m->found_error;
                        m->at_least = 0;
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
