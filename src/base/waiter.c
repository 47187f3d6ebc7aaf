/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two layers. Above is what every caller sees: waits cut into slices, the hooks,
 * and the two flags that a stop and a reload leave behind. It knows time only
 * through struct waiter_ops. Below is the real clock: one poll(2) on the two
 * eventfds, the watched descriptors and a timer descriptor.
 *
 * The timer is a timerfd and not poll's own time-out, because only a timerfd
 * runs on CLOCK_BOOTTIME: poll(2) counts CLOCK_MONOTONIC, which stands still
 * while the machine is suspended, and would sleep the rest of a delay that has
 * long passed. A descriptor that the mask leaves out is not polled at all: it
 * stays readable until its owner reads it, and would turn the wait into a loop.
 *
 * The worker's thread owns the struct. Other threads only write to the eventfds,
 * whose numbers never change between waiter_init() and waiter_done().
 */

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/waiter.h"

/* 0 when the clock cannot be read, which only a kernel without it, or a filter of system calls, brings about. */
static usec_t clock_usec(clockid_t clock) {
        struct timespec t;

        if (clock_gettime(clock, &t) < 0)
                return 0;
        return (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

static usec_t real_now(struct waiter *waiter) {
        return clock_usec(CLOCK_BOOTTIME) ?: waiter->last_progress;
}

static usec_t real_realtime(struct waiter *waiter _unused_) {
        return clock_usec(CLOCK_REALTIME) ?: (usec_t) time(NULL) * USEC_PER_SEC;
}

static int arm_timer(int timer_fd, usec_t deadline) {
        /* A deadline is never 0, which would disarm. */
        struct itimerspec spec = {
                .it_value = {
                        .tv_sec = deadline / USEC_PER_SEC,
                        .tv_nsec = deadline % USEC_PER_SEC * 1000,
                },
        };

        return timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0 ? -errno : 0;
}

static int poll_again(struct pollfd *fds, size_t n, int timeout) {
        int r;

        do
                r = poll(fds, n, timeout);
        while (r < 0 && errno == EINTR);

        return r < 0 ? -errno : 0;
}

static int real_block(struct waiter *waiter, usec_t deadline, unsigned mask) {
        enum { STOP, RELOAD, FILE_CHANGE, CONNECTION, TIMER, N };
        /* poll(2) passes over negative descriptors. */
        struct pollfd fds[N] = {
                [STOP] = { .fd = waiter->stop_fd, .events = POLLIN },
                [RELOAD] = { .fd = waiter->reload_fd, .events = POLLIN },
                [FILE_CHANGE] = { .fd = mask & WAIT_FILE ? waiter->file_fd : -1, .events = POLLIN },
                [CONNECTION] = { .fd = mask & WAIT_CONNECTION ? waiter->connection_fd : -1,
                                 .events = POLLIN | POLLRDHUP },
                [TIMER] = { .fd = -1, .events = POLLIN },
        };
        int timeout = -1, events = 0, r;

        if (deadline <= real_now(waiter))
                timeout = 0;
        else if (deadline != USEC_INFINITY) {
                r = arm_timer(waiter->timer_fd, deadline);
                if (r < 0)
                        return r;
                fds[TIMER].fd = waiter->timer_fd;
        }

        r = poll_again(fds, N, timeout);
        if (r < 0)
                return r;

        if (fds[STOP].revents)
                events |= WAIT_STOP;
        if (fds[RELOAD].revents) {
                uint64_t count;

                /* Reloads that came together are one: what they ask for is still to be done. */
                if (read(waiter->reload_fd, &count, sizeof(count)) < 0)
                        return -errno;
                events |= WAIT_RELOAD;
        }
        if (fds[FILE_CHANGE].revents)
                events |= WAIT_FILE;
        if (fds[CONNECTION].revents)
                events |= WAIT_CONNECTION;
        return events;
}

static const struct waiter_ops real_ops = {
        .now = real_now,
        .realtime = real_realtime,
        .block = real_block,
};

int waiter_init(struct waiter *waiter) {
        _cleanup_(closep) int stop_fd = -1, reload_fd = -1, timer_fd = -1;

        stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (stop_fd < 0)
                return -errno;
        reload_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (reload_fd < 0)
                return -errno;
        timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
        if (timer_fd < 0)
                return -errno;

        *waiter = (struct waiter) {
                .ops = &real_ops,
                .stop_fd = STEAL_FD(stop_fd),
                .reload_fd = STEAL_FD(reload_fd),
                .timer_fd = STEAL_FD(timer_fd),
                .file_fd = -1,
                .connection_fd = -1,
                .slice = USEC_INFINITY,
        };
        return 0;
}

void waiter_done(struct waiter *waiter) {
        closep(&waiter->stop_fd);
        closep(&waiter->reload_fd);
        closep(&waiter->timer_fd);
        waiter->stop_fd = waiter->reload_fd = waiter->timer_fd = -1;
}

static void post(int fd) {
        int saved = errno;

        /* Fails only with the counter at its end (EAGAIN): the descriptor is readable anyway. */
        (void) !write(fd, &(uint64_t) { 1 }, sizeof(uint64_t));
        errno = saved;
}

void waiter_stop(struct waiter *waiter) {
        post(waiter->stop_fd);
}

void waiter_reload(struct waiter *waiter) {
        post(waiter->reload_fd);
}

void waiter_set_hooks(struct waiter *waiter, usec_t slice, void (*on_progress)(void *user),
                      void (*on_reload)(void *user), void *user) {
        waiter->slice = slice;
        waiter->last_progress = waiter_now(waiter);
        waiter->on_progress = on_progress;
        waiter->on_reload = on_reload;
        waiter->user = user;
}

usec_t waiter_now(struct waiter *waiter) {
        return waiter->ops->now(waiter);
}

usec_t waiter_realtime(struct waiter *waiter) {
        return waiter->ops->realtime(waiter);
}

static void prove_progress(struct waiter *waiter) {
        waiter->last_progress = waiter_now(waiter);
        if (waiter->on_progress)
                waiter->on_progress(waiter->user);
}

static int block(struct waiter *waiter, usec_t deadline, unsigned mask) {
        int events;

        events = waiter->ops->block(waiter, deadline, mask);
        if (events < 0)
                return events;

        if (events & WAIT_STOP)
                waiter->stopping = true;
        if (events & WAIT_RELOAD) {
                waiter->reload_pending = true;
                if (waiter->on_reload)
                        waiter->on_reload(waiter->user);
        }
        return events;
}

int waiter_until(struct waiter *waiter, usec_t deadline, unsigned mask) {
        mask |= WAIT_STOP;

        for (;;) {
                int events;

                prove_progress(waiter);
                if (waiter->stopping)
                        return WAIT_STOP;
                if (waiter->reload_pending && (mask & WAIT_RELOAD))
                        return WAIT_RELOAD;

                events = block(waiter, usec_min(deadline, waiter_slice_end(waiter)), mask);
                if (events < 0)
                        return events;
                if (events & mask)
                        return events & mask;
                if (waiter_now(waiter) >= deadline)
                        return 0;
        }
}

int waiter_progress(struct waiter *waiter) {
        int r;

        prove_progress(waiter);
        if (!waiter->stopping) {
                r = block(waiter, 0, 0);
                if (r < 0)
                        return r;
        }
        return waiter->stopping ? -ECANCELED : 0;
}

usec_t waiter_slice_end(const struct waiter *waiter) {
        return usec_add(waiter->last_progress, waiter->slice);
}

int waiter_pollfds(struct waiter *waiter, usec_t deadline, struct pollfd fds[static WAITER_POLLFDS_MAX]) {
        int n = 0, r;

        if (waiter->stop_fd >= 0)
                fds[n++] = (struct pollfd) { .fd = waiter->stop_fd, .events = POLLIN };
        if (waiter->reload_fd >= 0)
                fds[n++] = (struct pollfd) { .fd = waiter->reload_fd, .events = POLLIN };
        if (waiter->timer_fd >= 0 && deadline != USEC_INFINITY) {
                /* One in the past is due at once, and only 0 would be none. */
                r = arm_timer(waiter->timer_fd, usec_max(deadline, 1));
                if (r < 0)
                        return r;
                fds[n++] = (struct pollfd) { .fd = waiter->timer_fd, .events = POLLIN };
        }
        return n;
}

bool waiter_take_reload(struct waiter *waiter) {
        bool pending = waiter->reload_pending;

        waiter->reload_pending = false;
        return pending;
}
