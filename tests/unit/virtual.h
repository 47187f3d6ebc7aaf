/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A waiter on a clock that only tests move: a wait jumps to its deadline, or to
 * the next event of a script, whichever comes first. Ninety minutes of outage
 * pass in as long as the code under test needs to compute them.
 *
 *         struct virtual_waiter v;
 *
 *         virtual_init(&v);
 *         virtual_at(&v, virtual_seconds(30), VIRTUAL_FILE);
 *         virtual_suspend_at(&v, virtual_seconds(50), virtual_seconds(3600));
 *         virtual_at(&v, virtual_seconds(7200), VIRTUAL_STOP);
 *         run_the_thing(&v.waiter);
 *         ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(7200));
 *
 * All times are counted from virtual_init(). Time that work itself takes (a
 * request in a fake source) is told with virtual_advance(); the clock stands
 * still otherwise. Events that fell due meanwhile are found by the next wait or,
 * for a stop and a reload, by the next waiter_progress().
 *
 * A stop and a reload come whatever is waited for. WAIT_FILE and WAIT_CONNECTION
 * stay pending until a wait asks for them and end that one wait: as if whoever
 * is woken reads the descriptor. file_fd and connection_fd play no part.
 *
 * A wait that would leave the year returns -EDEADLK, in slices or not: what waits
 * for ever with nothing left in the script to end it must fail and not hang.
 */

#include "base/waiter.h"

enum virtual_kind {
        VIRTUAL_STOP,
        VIRTUAL_RELOAD,
        VIRTUAL_FILE,
        VIRTUAL_CONNECTION,
        VIRTUAL_SUSPEND,        /* the machine sleeps: no event, but the clock has moved on */
};

struct virtual_event {
        usec_t when;
        enum virtual_kind kind;
        usec_t asleep;          /* VIRTUAL_SUSPEND: for how long */
        bool over;
};

/* Where the clocks stand at virtual_init(): a machine up for 1,000 s, on 2026-01-01T00:00:00Z. */
#define VIRTUAL_START ((usec_t) 1000 * USEC_PER_SEC)
#define VIRTUAL_REALTIME_START ((usec_t) 1767225600 * USEC_PER_SEC)
#define VIRTUAL_END (VIRTUAL_START + (usec_t) 365 * 86400 * USEC_PER_SEC)

struct virtual_waiter {
        struct waiter waiter;   /* the first member: the operations cast back */
        usec_t now;             /* what waiter_now() says */
        struct virtual_event events[64];
        size_t n_events;
        unsigned wakeups;       /* waits that came back, a slice's end included; no looks */
};

void virtual_init(struct virtual_waiter *v);

/* Adds an event at the given time since virtual_init(), in any order. */
void virtual_at(struct virtual_waiter *v, usec_t when, enum virtual_kind kind);
void virtual_suspend_at(struct virtual_waiter *v, usec_t when, usec_t asleep);

/* Time passes in which nobody waits. */
void virtual_advance(struct virtual_waiter *v, usec_t usec);

/* Since virtual_init(). */
usec_t virtual_elapsed(const struct virtual_waiter *v);

static inline usec_t virtual_seconds(double seconds) {
        return (usec_t) (seconds * (double) USEC_PER_SEC + 0.5);
}
