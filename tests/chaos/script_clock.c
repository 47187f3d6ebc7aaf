/* SPDX-License-Identifier: Apache-2.0 */

/* The clock on which a script happens: see script.h. */

#include "script.h"

void clock_begin(struct chaos_clock *clock, const struct script *script, usec_t now, usec_t stop_at) {
        *clock = (struct chaos_clock) {
                .script = script,
                .now = now,
                .stop_at = stop_at,
                .next = clock->next,
        };
        while (clock->next < script->n_happenings && script->happenings[clock->next].when < now)
                clock->next++;
}

static usec_t next_when(const struct chaos_clock *clock) {
        return clock->next < clock->script->n_happenings ? clock->script->happenings[clock->next].when
                                                         : USEC_INFINITY;
}

/* What has come by now becomes pending; a suspend moves the clock, and more may have come. */
static void settle(struct chaos_clock *clock) {
        for (; next_when(clock) <= clock->now; clock->next++) {
                const struct happening *happening = &clock->script->happenings[clock->next];

                switch (happening->kind) {
                case HAPPENING_RELOAD:
                        clock->pending |= WAIT_RELOAD;
                        break;
                case HAPPENING_FILE:
                        clock->pending |= WAIT_FILE;
                        break;
                case HAPPENING_CONNECTION:
                        clock->pending |= WAIT_CONNECTION;
                        break;
                case HAPPENING_EXPIRY:
                        clock->expired = true;
                        clock->pending |= WAIT_CHANGE;
                        break;
                case HAPPENING_CHANGE:
                        clock->pending |= WAIT_CHANGE;
                        break;
                case HAPPENING_SUSPEND:
                        clock->now += happening->asleep;
                        clock->asleep += happening->asleep;
                        break;
                }
        }
        if (clock->stop_at <= clock->now)
                clock->pending |= WAIT_STOP;
}

unsigned clock_run(struct chaos_clock *clock, usec_t deadline, unsigned mask) {
        for (;;) {
                unsigned events;

                settle(clock);
                events = clock->pending & (mask | WAIT_STOP | WAIT_RELOAD);
                if (events & WAIT_RELOAD)
                        events &= ~(unsigned) WAIT_CHANGE;
                else if (events & WAIT_CHANGE)
                        events &= ~(unsigned) WAIT_CONNECTION;
                clock->pending &= ~events;
                if (events || clock->now >= deadline)
                        return events;
                clock->now = usec_min(deadline, usec_min(next_when(clock), clock->stop_at));
        }
}

void clock_read_file(struct chaos_clock *clock) {
        settle(clock);
        clock->pending &= ~(unsigned) WAIT_FILE;
}

bool clock_take_expiry(struct chaos_clock *clock) {
        bool expired = clock->expired;

        clock->expired = false;
        return expired;
}

void clock_forget_changes(struct chaos_clock *clock) {
        settle(clock);
        clock->pending &= ~(unsigned) WAIT_CHANGE;
        clock->expired = false;
}

void clock_expire(struct chaos_clock *clock) {
        clock->pending |= WAIT_CHANGE;
        clock->expired = true;
}
