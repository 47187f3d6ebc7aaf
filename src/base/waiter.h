/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The worker's relation to time: its clock, the one interruptible wait, and the
 * proof of progress. Nothing else in the worker reads a clock or sleeps, so a
 * test that puts a virtual waiter in place of the real one runs ninety minutes
 * of outage in milliseconds.
 *
 * The main thread asks for a stop or a reload by writing to an eventfd
 * (waiter_stop(), waiter_reload(): the only two calls that may come from another
 * thread). The worker learns of it in waiter_until() or waiter_progress(). All
 * waits run on CLOCK_BOOTTIME, which a suspend does not hold: a deadline that
 * passed meanwhile is due at once (time_namespaces(7), timerfd_create(2)).
 *
 * Progress: whoever works calls waiter_progress() between steps, and whoever
 * blocks does so at most until waiter_slice_end(). The owner's progress hook
 * pings the watchdog from there and nowhere else, so that a worker that hangs
 * falls silent.
 */

#include <poll.h>

#include "base/util.h"

/* Why a wait ended; a bit mask. 0 is the deadline. */
enum wait_event {
        WAIT_STOP = 1 << 0,
        WAIT_RELOAD = 1 << 1,           /* stays up until waiter_take_reload() */
        WAIT_FILE = 1 << 2,             /* the watched file descriptor is readable */
        WAIT_CONNECTION = 1 << 3,       /* the watched connection ended or spoke unasked */
        WAIT_CHANGE = 1 << 4,           /* no event of the waiter's own: what is driven meanwhile has something new */
};

#define WAITER_POLLFDS_MAX 3

struct waiter;

struct waiter_ops {
        usec_t (*now)(struct waiter *waiter);           /* CLOCK_BOOTTIME */
        usec_t (*realtime)(struct waiter *waiter);      /* CLOCK_REALTIME, for people */
        /*
         * Blocks until the deadline, a stop, a reload, or one of WAIT_FILE and
         * WAIT_CONNECTION that the mask asks for. Returns what came, 0 for the
         * deadline (one in the past only looks), or a negative errno.
         */
        int (*block)(struct waiter *waiter, usec_t deadline, unsigned mask);
};

struct waiter {
        const struct waiter_ops *ops;

        int stop_fd, reload_fd;         /* eventfds, written by the main thread */
        int timer_fd;                   /* CLOCK_BOOTTIME, absolute */
        int file_fd, connection_fd;     /* borrowed, -1 when not watched */

        bool stopping;
        bool reload_pending;

        usec_t slice;                   /* the longest time without a call of on_progress */
        usec_t last_progress;
        void (*on_progress)(void *user);
        void (*on_reload)(void *user);  /* at once, also from within a transfer */
        void *user;
};

/* A waiter on the real clock. 0 or negative errno. */
int waiter_init(struct waiter *waiter);
void waiter_done(struct waiter *waiter);

/* From any thread, also from a signal handler. */
void waiter_stop(struct waiter *waiter);
void waiter_reload(struct waiter *waiter);

/* The hooks, called by the worker's thread; slice in µs, USEC_INFINITY for never. */
void waiter_set_hooks(struct waiter *waiter, usec_t slice, void (*on_progress)(void *user),
                      void (*on_reload)(void *user), void *user);

usec_t waiter_now(struct waiter *waiter);
usec_t waiter_realtime(struct waiter *waiter);

/*
 * Waits until the deadline (USEC_INFINITY: for ever), in slices that prove
 * progress. mask says which of WAIT_RELOAD, WAIT_FILE, WAIT_CONNECTION end the
 * wait; a stop always does. Returns the events that did, 0 when the deadline has
 * passed, or a negative errno.
 */
int waiter_until(struct waiter *waiter, usec_t deadline, unsigned mask);

/*
 * One step was made: runs the hooks that are due. Returns 0, or -ECANCELED when
 * a stop was asked for; then the step's owner unwinds. Another negative errno
 * means that the descriptors could not be asked.
 */
int waiter_progress(struct waiter *waiter);

/* When waiter_progress() wants to be called again at the latest. */
usec_t waiter_slice_end(const struct waiter *waiter);

/*
 * The descriptors that a foreign poll loop has to include, so as to be woken by a
 * stop, a reload, and at the deadline (USEC_INFINITY: none) also where a suspend
 * comes in between. How many they are, or negative errno.
 */
int waiter_pollfds(struct waiter *waiter, usec_t deadline, struct pollfd fds[static WAITER_POLLFDS_MAX]);

/* Whether a reload was asked for since the last call. */
bool waiter_take_reload(struct waiter *waiter);
