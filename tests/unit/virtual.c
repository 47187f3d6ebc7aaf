/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The virtual clock of virtual.h: struct waiter_ops over a script of events. The
 * script is short, so each look walks all of it; an event that was delivered is
 * marked as over and stays where it is.
 */

#include <errno.h>

#include "virtual.h"

static struct virtual_waiter *of(struct waiter *waiter) {
        return (struct virtual_waiter *) waiter;
}

static usec_t virtual_now(struct waiter *waiter) {
        return of(waiter)->now;
}

static usec_t virtual_realtime(struct waiter *waiter) {
        return VIRTUAL_REALTIME_START + virtual_elapsed(of(waiter));
}

static bool concerns(const struct virtual_event *event, unsigned mask) {
        switch (event->kind) {
        case VIRTUAL_STOP:
        case VIRTUAL_RELOAD:
        case VIRTUAL_SUSPEND:
                return true;
        case VIRTUAL_FILE:
                return mask & WAIT_FILE;
        case VIRTUAL_CONNECTION:
                return mask & WAIT_CONNECTION;
        }
        return false;
}

static struct virtual_event *next_event(struct virtual_waiter *v, unsigned mask) {
        struct virtual_event *next = NULL;

        for (size_t i = 0; i < v->n_events; i++) {
                struct virtual_event *event = &v->events[i];

                if (!event->over && concerns(event, mask) && (!next || event->when < next->when))
                        next = event;
        }
        return next;
}

static int deliver(struct virtual_waiter *v, struct virtual_event *event) {
        event->over = true;

        switch (event->kind) {
        case VIRTUAL_STOP:
                return WAIT_STOP;
        case VIRTUAL_RELOAD:
                return WAIT_RELOAD;
        case VIRTUAL_FILE:
                return WAIT_FILE;
        case VIRTUAL_CONNECTION:
                return WAIT_CONNECTION;
        case VIRTUAL_SUSPEND:
                v->now = usec_add(v->now, event->asleep);
                return 0;
        }
        return 0;
}

static int deliver_due(struct virtual_waiter *v, unsigned mask) {
        struct virtual_event *event;
        int events = 0;

        while ((event = next_event(v, mask)) && event->when <= v->now)
                events |= deliver(v, event);
        return events;
}

static int virtual_block(struct waiter *waiter, usec_t deadline, unsigned mask) {
        struct virtual_waiter *v = of(waiter);

        if (deadline > v->now)
                v->wakeups++;

        for (;;) {
                const struct virtual_event *event;
                usec_t until = deadline;
                int events;

                events = deliver_due(v, mask);
                if (events || v->now >= deadline)
                        return events;

                event = next_event(v, mask);
                if (event)
                        until = usec_min(until, event->when);
                if (until > VIRTUAL_END)
                        return -EDEADLK;
                v->now = until;
        }
}

static const struct waiter_ops virtual_ops = {
        .now = virtual_now,
        .realtime = virtual_realtime,
        .block = virtual_block,
};

void virtual_init(struct virtual_waiter *v) {
        *v = (struct virtual_waiter) {
                .waiter = {
                        .ops = &virtual_ops,
                        .stop_fd = -1,
                        .reload_fd = -1,
                        .timer_fd = -1,
                        .file_fd = -1,
                        .connection_fd = -1,
                        .slice = USEC_INFINITY,
                        .last_progress = VIRTUAL_START,
                },
                .now = VIRTUAL_START,
        };
}

static void add(struct virtual_waiter *v, struct virtual_event event) {
        if (v->n_events == ELEMENTSOF(v->events))
                abort();
        event.when += VIRTUAL_START;
        v->events[v->n_events++] = event;
}

void virtual_at(struct virtual_waiter *v, usec_t when, enum virtual_kind kind) {
        add(v, (struct virtual_event) { .when = when, .kind = kind });
}

void virtual_suspend_at(struct virtual_waiter *v, usec_t when, usec_t asleep) {
        add(v, (struct virtual_event) { .when = when, .kind = VIRTUAL_SUSPEND, .asleep = asleep });
}

void virtual_advance(struct virtual_waiter *v, usec_t usec) {
        v->now = usec_add(v->now, usec);
}

usec_t virtual_elapsed(const struct virtual_waiter *v) {
        return v->now - VIRTUAL_START;
}
