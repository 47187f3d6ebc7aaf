/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The retry loop. Read operation_run() first: an attempt, its verdict, and after
 * a failure the three ways on: now, after a wait, or not at all. What is decided
 * is in retry.c and source/verdict.c, what is said is in operation_log.c; here is
 * the order in which it happens.
 */

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "report/log.h"
#include "service/operation.h"
#include "service/operation_log.h"

/* A discovery file that is rewritten, or a connection that is closed, all the time must not keep us busy. */
#define WAKE_INTERVAL USEC_PER_SEC
/* A server that closes every connection after its answer wakes us in vain, so less and less often. */
#define CONNECTION_WAKE_INTERVAL_MAX (64 * USEC_PER_SEC)

/*
 * Once per failed attempt, so the kernel's own chance is cheap enough. Without it
 * (early in the boot) the wait is the longest.
 */
static double random_fraction(void *user _unused_) {
        uint32_t number;

        if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
                return 0.0;
        return number / 4294967296.0;
}

static void nothing_changed(void *user _unused_) {
}

void operations_init(struct operations *operations, const struct settings *settings,
                     struct source *source, struct snapshot *snapshot) {
        *operations = (struct operations) {
                .source = source,
                .waiter = source->waiter,
                .snapshot = snapshot,
                .random = random_fraction,
                .changed = nothing_changed,
                .connection_wake_interval = WAKE_INTERVAL,
        };
        retry_init(&operations->retry, settings);
        snapshot->connection.max_retries = settings->max_retries;
}

void operations_set_state(struct operations *operations, enum connection_state state) {
        struct connection *connection = &operations->snapshot->connection;

        if (connection->state == state && connection->since > 0)
                return;
        connection->state = state;
        connection->since = waiter_realtime(operations->waiter);
}

/* Brings the snapshot up to date with what the source knows and the retry state says. */
static void update(struct operations *operations, usec_t delay, usec_t next_attempt_at) {
        struct connection *connection = &operations->snapshot->connection;
        const struct source *source = operations->source;

        if (source->known) {
                snprintf(connection->endpoint, sizeof connection->endpoint, "%s", source->endpoint.url);
                snprintf(connection->version, sizeof connection->version, "%s", source->version);
                connection->port = source->endpoint.port;
        }
        connection->attempt = operations->retry.attempt;
        connection->backoff = delay;
        connection->next_attempt_at = next_attempt_at;
        operations->snapshot->counters.requests = source->requests ? source->requests(source) : 0;
        operations->snapshot->counters.scans = source->scans;
}

static void publish(struct operations *operations, usec_t delay, usec_t next_attempt_at) {
        update(operations, delay, next_attempt_at);
        operations->changed(operations->user);
}

static bool file_changed(struct source *source) {
        return source->ops->file_changed && source->ops->file_changed(source);
}

/* Looks for the API, makes what was found known, tells it. An enum find_code, or -ECANCELED. */
static int search(struct operations *operations, struct endpoint *ret_previous,
                  char error[static ERROR_MAX]) {
        struct found found = {};
        int r;

        /* This search reads what the discovery file says by now: no wait after it is to be woken by older news. */
        (void) file_changed(operations->source);
        *ret_previous = operations->source->endpoint;
        r = operations->source->ops->find(operations->source, &found, error);
        if (r < 0 || r == FIND_NOTHING)
                return r;

        if (r == FIND_OTHER)
                operations->snapshot->counters.port_changes++;
        operation_log_found(operations->source, r, ret_previous, &found);
        operation_log_several(&operations->last_several, &found);
        return r;
}

/* What was not looked for has answered for the first time. */
static void greet(struct operations *operations) {
        const struct source *source = operations->source;
        struct found found = { .endpoint = source->endpoint };

        snprintf(found.version, sizeof found.version, "%s", source->version);
        operation_log_found(source, FIND_FIRST, NULL, &found);
        publish(operations, 0, 0);
}

/*
 * One attempt: the search where nothing is known yet, then the call.
 * *ret_searched tells that it failed as a search. 0, or -ECANCELED.
 */
static int attempt(struct operations *operations, struct call *call, struct outcome *outcome,
                   bool *ret_searched) {
        struct counters *counters = &operations->snapshot->counters;
        struct endpoint previous;
        bool known;
        int r;

        *ret_searched = false;
        operations->attempt_at = waiter_now(operations->waiter);
        operations->connection_wake_interval = WAKE_INTERVAL;
        operations->connection_wake_at = usec_min(operations->connection_wake_at, operations->attempt_at + WAKE_INTERVAL);
        if (!operations->source->known && operations->source->ops->find) {
                *outcome = (struct outcome) { .verdict = VERDICT_FAILED, .retry_after = USEC_INFINITY };
                r = search(operations, &previous, outcome->error);
                if (r < 0)
                        return r;
                if (r == FIND_NOTHING) {
                        *ret_searched = true;
                        counters->requests_failure++;
                        return 0;
                }
                publish(operations, 0, 0);
        }

        known = operations->source->known;
        r = operations->source->ops->perform(operations->source, call, outcome);
        if (r < 0)
                return r;
        if (!known && operations->source->known)
                greet(operations);

        switch (outcome->verdict) {
        case VERDICT_DONE:
                counters->requests_ok++;
                break;
        case VERDICT_ANSWER:
                counters->requests_answer++;
                break;
        case VERDICT_FAILED:
                counters->requests_failure++;
                break;
        }
        return 0;
}

static void complete(struct operations *operations) {
        struct snapshot *snapshot = operations->snapshot;

        snapshot->last_success_at = waiter_realtime(operations->waiter);
        if (operations->retry.attempt > 0) {
                snapshot->counters.reconnects++;
                operation_log_restored(operations->source, operations->retry.attempt,
                                       waiter_now(operations->waiter) - operations->outage_since);
                retry_succeeded(&operations->retry);
        }
        update(operations, 0, 0);
}

/* Counts and tells a failed attempt; returns the delay until the next. */
static usec_t fail(struct operations *operations, const struct outcome *outcome) {
        struct snapshot *snapshot = operations->snapshot;
        struct connection *connection = &snapshot->connection;
        usec_t delay;

        if (operations->retry.attempt == 0)
                operations->outage_since = waiter_now(operations->waiter);

        delay = retry_failed(&operations->retry, operations->random(operations->user),
                             outcome->retry_after == USEC_INFINITY ? 0 : outcome->retry_after);
        snapshot->counters.failures++;
        snprintf(connection->last_error, sizeof connection->last_error, "%s", outcome->error);
        connection->last_error_at = waiter_realtime(operations->waiter);
        operation_log_failed(operations->source, &operations->retry, outcome->error, delay);
        operations_set_state(operations, CONNECTION_RECONNECTING);
        /* When the next attempt comes is known after the search: that takes its time, or makes it immediate. */
        publish(operations, delay, 0);
        return delay;
}

/* Looks for the API again where that can help, and decides how to go on: an enum retry_decision, or -ECANCELED. */
static int rediscover(struct operations *operations, bool searched) {
        struct source *source = operations->source;
        enum retry_search result = RETRY_SEARCH_NONE;
        enum retry_decision decision;
        struct endpoint previous;
        char error[ERROR_MAX];

        if (source->can_move && !searched) {
                int r;

                operation_log_rediscovering(&source->endpoint);
                r = search(operations, &previous, error);
                if (r < 0)
                        return r;
                result = r == FIND_NOTHING ? RETRY_SEARCH_NOTHING
                       : r == FIND_SAME    ? RETRY_SEARCH_SAME
                                           : RETRY_SEARCH_OTHER;
        } else if (searched)
                result = RETRY_SEARCH_NOTHING;

        decision = retry_decide(&operations->retry, result);
        if (decision == RETRY_NOW && result == RETRY_SEARCH_OTHER)
                operation_log_retrying(&previous, &source->endpoint);
        return decision;
}

/* After a wake: 1 when the API was found and shall be tried at once, 0 when the wait goes on, -ECANCELED. */
static int search_woken(struct operations *operations) {
        struct endpoint previous;
        char error[ERROR_MAX];
        int r;

        r = search(operations, &previous, error);
        if (r < 0)
                return r;
        if (r == FIND_NOTHING) {
                log_debug("The discovery file changed, and no ToolHive was found",
                          LOG_STRING("error", error));
                return 0;
        }
        if (r == FIND_OTHER)
                operation_log_retrying(&previous, &operations->source->endpoint);
        retry_woken(&operations->retry, r == FIND_OTHER ? RETRY_SEARCH_OTHER : RETRY_SEARCH_SAME);
        return 1;
}

/* Waits out the delay, unless a reload or a ToolHive that is back makes it needless. 0 or -ECANCELED. */
static int wait_for_next(struct operations *operations, usec_t delay) {
        usec_t deadline = waiter_now(operations->waiter) + delay;
        int r;

        publish(operations, delay, waiter_realtime(operations->waiter) + delay);
        for (;;) {
                r = operations_wait(operations, deadline, WAIT_FILE);
                if (r < 0)
                        return r;
                if (r & WAIT_RELOAD) {
                        retry_reset_delay(&operations->retry);
                        return 0;
                }
                if (r == 0) {
                        retry_waited(&operations->retry);
                        return 0;
                }

                r = search_woken(operations);
                if (r < 0)
                        return r;
                if (r > 0)
                        return 0;
        }
}

int operation_run(struct operations *operations, struct call *call, struct outcome *ret_outcome) {
        bool beyond_last = false;
        int r;

        for (;;) {
                bool searched;
                usec_t delay;

                r = attempt(operations, call, ret_outcome, &searched);
                if (r < 0)
                        return r;

                if (ret_outcome->verdict == VERDICT_DONE) {
                        complete(operations);
                        return 0;
                }
                if (ret_outcome->verdict == VERDICT_ANSWER) {
                        update(operations, 0, 0);
                        return OPERATION_ANSWER;
                }

                if (beyond_last)
                        break;
                delay = fail(operations, ret_outcome);
                r = rediscover(operations, searched);
                if (r < 0)
                        return r;
                if (r == RETRY_GIVE_UP)
                        break;
                if (r == RETRY_NOW) {
                        /* The immediate retry after the last attempt has no number and no warning of its own. */
                        beyond_last = retry_is_last(&operations->retry);
                } else {
                        r = wait_for_next(operations, delay);
                        if (r < 0)
                                return r;
                }
                publish(operations, 0, 0);
        }

        /* A stop that came before the last word is a stop. */
        r = waiter_progress(operations->waiter);
        if (r < 0)
                return r;
        /* The last search may have found another address: the next process begins there. */
        update(operations, 0, 0);
        operation_log_exhausted(operations->source, &operations->retry, ret_outcome->error);
        return OPERATION_EXHAUSTED;
}

/* Lets the event end a wait, or has the wait look again when it may. */
static void admit(enum wait_event event, usec_t allowed_at, usec_t now, unsigned *woken_by, usec_t *until) {
        if (now >= allowed_at)
                *woken_by |= event;
        else
                *until = usec_min(*until, allowed_at);
}

int operations_wait(struct operations *operations, usec_t deadline, unsigned mask) {
        struct source *source = operations->source;

        for (;;) {
                usec_t now = waiter_now(operations->waiter), until = deadline;
                unsigned woken_by = 0;
                int r;

                if (mask & WAIT_FILE)
                        admit(WAIT_FILE, operations->file_wake_at, now, &woken_by, &until);
                if (mask & WAIT_CONNECTION)
                        admit(WAIT_CONNECTION, operations->connection_wake_at, now, &woken_by, &until);

                r = source->ops->wait(source, until, WAIT_RELOAD | woken_by | (mask & WAIT_CHANGE));
                if (r < 0)
                        return r;
                if (r & WAIT_STOP)
                        return -ECANCELED;
                if (waiter_take_reload(operations->waiter)) {
                        operations->reloaded_at = waiter_now(operations->waiter);
                        return WAIT_RELOAD;
                }

                now = waiter_now(operations->waiter);
                if ((r & WAIT_FILE) && !file_changed(source))
                        r &= ~WAIT_FILE;
                if (r & WAIT_FILE)
                        operations->file_wake_at = now + WAKE_INTERVAL;
                if (r & WAIT_CONNECTION) {
                        operations->connection_wake_at = now + operations->connection_wake_interval;
                        operations->connection_wake_interval =
                                usec_min(operations->connection_wake_interval * 2, CONNECTION_WAKE_INTERVAL_MAX);
                }
                if (r || now >= deadline)
                        return r;
        }
}
