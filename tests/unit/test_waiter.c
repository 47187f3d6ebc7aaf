/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The waiter, on both clocks: what ends a wait and what does not, the slices and
 * their hooks under the virtual clock, the descriptors and the crossing from
 * another thread under the real one.
 */

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/waiter.h"
#include "suite.h"
#include "virtual.h"

/* A wait that shall be ended by something else; a test that meets it has failed. */
#define LONG (20 * USEC_PER_SEC)

/* On the virtual clock: so many seconds from its start. */
static usec_t at(double seconds) {
        return VIRTUAL_START + virtual_seconds(seconds);
}

struct hooks {
        struct waiter *waiter;
        unsigned progress, reloads;
        usec_t last, longest_silence;
};

static void count_progress(void *user) {
        struct hooks *hooks = user;
        usec_t now = waiter_now(hooks->waiter);

        hooks->progress++;
        hooks->longest_silence = usec_max(hooks->longest_silence, now - hooks->last);
        hooks->last = now;
}

static void count_reload(void *user) {
        struct hooks *hooks = user;

        hooks->reloads++;
}

static void watch_hooks(struct hooks *hooks, struct waiter *waiter, usec_t slice) {
        *hooks = (struct hooks) { .waiter = waiter, .last = waiter_now(waiter) };
        waiter_set_hooks(waiter, slice, count_progress, count_reload, hooks);
}

/* The virtual clock. */

START_TEST(virtual_deadline) {
        struct virtual_waiter v;

        virtual_init(&v);
        ck_assert_uint_eq(waiter_now(&v.waiter), VIRTUAL_START);
        ck_assert_int_eq(waiter_until(&v.waiter, at(90), 0), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(90));
        ck_assert_uint_eq(waiter_realtime(&v.waiter), VIRTUAL_REALTIME_START + virtual_seconds(90));
        ck_assert_uint_eq(v.wakeups, 1);

        /* A deadline in the past is due at once. */
        ck_assert_int_eq(waiter_until(&v.waiter, 1, 0), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(90));
        ck_assert_uint_eq(v.wakeups, 1);
}
END_TEST

START_TEST(virtual_slices) {
        struct virtual_waiter v;
        struct hooks hooks;

        virtual_init(&v);
        watch_hooks(&hooks, &v.waiter, virtual_seconds(30));
        ck_assert_int_eq(waiter_until(&v.waiter, at(300), 0), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(300));
        ck_assert_uint_eq(v.wakeups, 10);
        ck_assert_uint_eq(hooks.progress, 10);
        ck_assert_uint_eq(hooks.longest_silence, virtual_seconds(30));

        virtual_advance(&v, virtual_seconds(5));
        ck_assert_int_eq(waiter_progress(&v.waiter), 0);
        ck_assert_uint_eq(hooks.progress, 11);
        ck_assert_uint_eq(waiter_slice_end(&v.waiter), at(335));
        ck_assert_uint_eq(v.wakeups, 10);
}
END_TEST

START_TEST(virtual_stop) {
        struct virtual_waiter v;

        virtual_init(&v);
        virtual_at(&v, virtual_seconds(12), VIRTUAL_STOP);
        ck_assert_int_eq(waiter_progress(&v.waiter), 0);
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, 0), WAIT_STOP);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(12));

        /* For good. */
        ck_assert_int_eq(waiter_progress(&v.waiter), -ECANCELED);
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, 0), WAIT_STOP);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(12));
}
END_TEST

START_TEST(virtual_stop_during_work) {
        struct virtual_waiter v;

        virtual_init(&v);
        virtual_at(&v, virtual_seconds(12), VIRTUAL_STOP);
        virtual_advance(&v, virtual_seconds(11));
        ck_assert_int_eq(waiter_progress(&v.waiter), 0);
        virtual_advance(&v, virtual_seconds(1));
        ck_assert_int_eq(waiter_progress(&v.waiter), -ECANCELED);
}
END_TEST

START_TEST(virtual_reload) {
        struct virtual_waiter v;
        struct hooks hooks;

        virtual_init(&v);
        watch_hooks(&hooks, &v.waiter, USEC_INFINITY);
        virtual_at(&v, virtual_seconds(10), VIRTUAL_RELOAD);

        /* Who does not ask for it is not woken, but the hook runs and the flag stays. */
        ck_assert_int_eq(waiter_until(&v.waiter, at(20), WAIT_FILE), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(20));
        ck_assert_uint_eq(hooks.reloads, 1);

        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, WAIT_RELOAD), WAIT_RELOAD);
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, WAIT_RELOAD), WAIT_RELOAD);
        ck_assert(waiter_take_reload(&v.waiter));
        ck_assert(!waiter_take_reload(&v.waiter));
        ck_assert_int_eq(waiter_until(&v.waiter, at(30), WAIT_RELOAD), 0);
        ck_assert_uint_eq(hooks.reloads, 1);
}
END_TEST

START_TEST(virtual_mask) {
        struct virtual_waiter v;

        virtual_init(&v);
        virtual_at(&v, virtual_seconds(10), VIRTUAL_FILE);
        virtual_at(&v, virtual_seconds(5), VIRTUAL_CONNECTION);

        ck_assert_int_eq(waiter_until(&v.waiter, at(60), WAIT_FILE), WAIT_FILE);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(10));
        /* Once only; the other one is still pending. */
        ck_assert_int_eq(waiter_until(&v.waiter, at(60),
                                      WAIT_FILE | WAIT_CONNECTION),
                         WAIT_CONNECTION);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(10));
        ck_assert_int_eq(waiter_until(&v.waiter, at(60),
                                      WAIT_FILE | WAIT_CONNECTION),
                         0);
}
END_TEST

START_TEST(virtual_suspend) {
        struct virtual_waiter v;

        virtual_init(&v);
        virtual_suspend_at(&v, virtual_seconds(10), virtual_seconds(7200));
        virtual_at(&v, virtual_seconds(100), VIRTUAL_FILE);

        /* The deadline passes while the machine sleeps: due at once. */
        ck_assert_int_eq(waiter_until(&v.waiter, at(60), 0), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(7210));
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, WAIT_FILE), WAIT_FILE);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(7210));
}
END_TEST

START_TEST(virtual_dead_end) {
        struct virtual_waiter v;

        virtual_init(&v);
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, WAIT_FILE), -EDEADLK);
        waiter_set_hooks(&v.waiter, virtual_seconds(30), NULL, NULL, NULL);
        ck_assert_int_eq(waiter_until(&v.waiter, USEC_INFINITY, WAIT_FILE), -EDEADLK);
}
END_TEST

/* The real clock. */

static struct waiter real;

static void setup(void) {
        ck_assert_int_eq(waiter_init(&real), 0);
}

static void teardown(void) {
        waiter_done(&real);
}

START_TEST(real_deadline) {
        usec_t start = waiter_now(&real), realtime = waiter_realtime(&real);

        ck_assert_int_eq(waiter_until(&real, start + 30 * USEC_PER_MSEC, WAIT_FILE), 0);
        ck_assert_uint_ge(waiter_now(&real), start + 30 * USEC_PER_MSEC);
        ck_assert_uint_ge(waiter_realtime(&real), realtime + 20 * USEC_PER_MSEC);

        /* The past, and 0, which would disarm a timer: due at once. */
        ck_assert_int_eq(waiter_until(&real, start, 0), 0);
        ck_assert_int_eq(waiter_until(&real, 0, 0), 0);
        ck_assert_uint_lt(waiter_now(&real), start + LONG);
}
END_TEST

START_TEST(real_slices) {
        struct hooks hooks;
        usec_t start = waiter_now(&real);

        watch_hooks(&hooks, &real, 10 * USEC_PER_MSEC);
        ck_assert_int_eq(waiter_until(&real, start + 100 * USEC_PER_MSEC, 0), 0);
        ck_assert_uint_ge(hooks.progress, 2);
        ck_assert_uint_le(hooks.progress, 11);
}
END_TEST

START_TEST(real_stop) {
        waiter_stop(&real);
        waiter_stop(&real);
        ck_assert_int_eq(waiter_until(&real, waiter_now(&real) + LONG, 0), WAIT_STOP);
        ck_assert_int_eq(waiter_progress(&real), -ECANCELED);
}
END_TEST

START_TEST(real_stop_seen_by_progress) {
        ck_assert_int_eq(waiter_progress(&real), 0);
        waiter_stop(&real);
        ck_assert_int_eq(waiter_progress(&real), -ECANCELED);
        ck_assert_int_eq(waiter_progress(&real), -ECANCELED);
}
END_TEST

START_TEST(real_reload) {
        struct hooks hooks;
        usec_t start = waiter_now(&real);

        watch_hooks(&hooks, &real, USEC_INFINITY);
        waiter_reload(&real);
        ck_assert_int_eq(waiter_until(&real, start + 20 * USEC_PER_MSEC, 0), 0);
        ck_assert_uint_eq(hooks.reloads, 1);
        ck_assert_int_eq(waiter_until(&real, start + LONG, WAIT_RELOAD), WAIT_RELOAD);
        ck_assert(waiter_take_reload(&real));

        /* Two that come together are one. */
        waiter_reload(&real);
        waiter_reload(&real);
        ck_assert_int_eq(waiter_progress(&real), 0);
        ck_assert_int_eq(waiter_progress(&real), 0);
        ck_assert_uint_eq(hooks.reloads, 2);
        ck_assert(waiter_take_reload(&real));
        ck_assert(!waiter_take_reload(&real));
}
END_TEST

START_TEST(real_file) {
        _cleanup_(closep) int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        usec_t start = waiter_now(&real);
        struct hooks hooks;

        ck_assert_int_ge(fd, 0);
        real.file_fd = fd;
        /* Not asked for: neither an end nor a loop. */
        watch_hooks(&hooks, &real, USEC_INFINITY);
        ck_assert_int_eq(waiter_until(&real, start + 20 * USEC_PER_MSEC, WAIT_CONNECTION), 0);
        ck_assert_uint_eq(hooks.progress, 1);
        ck_assert_int_eq(waiter_until(&real, start + LONG, WAIT_FILE), WAIT_FILE);
        real.file_fd = -1;
}
END_TEST

START_TEST(real_connection) {
        int pair[2];
        usec_t start = waiter_now(&real);

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        real.connection_fd = pair[0];
        ck_assert_int_eq(waiter_until(&real, start + 20 * USEC_PER_MSEC, WAIT_CONNECTION), 0);
        close(pair[1]);
        ck_assert_int_eq(waiter_until(&real, start + LONG, WAIT_CONNECTION), WAIT_CONNECTION);
        close(pair[0]);
        real.connection_fd = -1;
}
END_TEST

static void *stop_it(void *user) {
        waiter_reload(user);
        waiter_stop(user);
        return NULL;
}

START_TEST(real_other_thread) {
        struct hooks hooks;
        pthread_t thread;

        watch_hooks(&hooks, &real, USEC_INFINITY);
        ck_assert_int_eq(pthread_create(&thread, NULL, stop_it, &real), 0);
        ck_assert_int_eq(waiter_until(&real, USEC_INFINITY, 0), WAIT_STOP);
        ck_assert_uint_eq(hooks.reloads, 1);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void stop_by_signal(int signal_number _unused_) {
        waiter_stop(&real);
}

static void ignore_signal(int signal_number _unused_) {
}

static void handle(int signal_number, void (*handler)(int)) {
        struct sigaction action = { .sa_handler = handler };

        ck_assert_int_eq(sigaction(signal_number, &action, NULL), 0);
}

/* A signal handler alone ends nothing; one that calls waiter_stop() does. */
START_TEST(real_interrupted) {
        struct sigevent by_signal = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
        timer_t timer;
        struct itimerspec soon = { .it_value.tv_nsec = 5000000, .it_interval.tv_nsec = 5000000 };
        usec_t start = waiter_now(&real);

        handle(SIGUSR1, ignore_signal);
        ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &by_signal, &timer), 0);
        ck_assert_int_eq(timer_settime(timer, 0, &soon, NULL), 0);
        ck_assert_int_eq(waiter_until(&real, start + 50 * USEC_PER_MSEC, 0), 0);
        ck_assert_uint_ge(waiter_now(&real), start + 50 * USEC_PER_MSEC);

        handle(SIGUSR1, stop_by_signal);
        ck_assert_int_eq(waiter_until(&real, waiter_now(&real) + LONG, 0), WAIT_STOP);
        ck_assert_int_eq(timer_delete(timer), 0);
        handle(SIGUSR1, SIG_DFL);
}
END_TEST

START_TEST(real_pollfds) {
        struct pollfd fds[WAITER_POLLFDS_MAX];

        ck_assert_int_eq(waiter_pollfds(&real, USEC_INFINITY, fds), 2);
        ck_assert_int_eq(poll(fds, 2, 0), 0);

        /* A deadline, and one that has passed; the one after it is not due because of them. */
        ck_assert_int_eq(waiter_pollfds(&real, waiter_now(&real) + 20 * USEC_PER_MSEC, fds), 3);
        ck_assert_int_eq(poll(fds, 3, 60000), 1);
        ck_assert_int_eq(waiter_pollfds(&real, 0, fds), 3);
        ck_assert_int_eq(poll(fds, 3, 60000), 1);
        ck_assert_int_eq(waiter_pollfds(&real, waiter_now(&real) + LONG, fds), 3);
        ck_assert_int_eq(poll(fds, 3, 0), 0);

        waiter_reload(&real);
        ck_assert_int_eq(poll(fds, 3, 0), 1);
        waiter_stop(&real);
        ck_assert_int_eq(poll(fds, 3, 0), 2);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("waiter");
        TCase *virtual_clock = tcase_create("virtual clock");
        TCase *real_clock = tcase_create("real clock");

        tcase_add_test(virtual_clock, virtual_deadline);
        tcase_add_test(virtual_clock, virtual_slices);
        tcase_add_test(virtual_clock, virtual_stop);
        tcase_add_test(virtual_clock, virtual_stop_during_work);
        tcase_add_test(virtual_clock, virtual_reload);
        tcase_add_test(virtual_clock, virtual_mask);
        tcase_add_test(virtual_clock, virtual_suspend);
        tcase_add_test(virtual_clock, virtual_dead_end);
        suite_add_tcase(suite, virtual_clock);

        tcase_add_checked_fixture(real_clock, setup, teardown);
        tcase_set_timeout(real_clock, 60);
        tcase_add_test(real_clock, real_deadline);
        tcase_add_test(real_clock, real_slices);
        tcase_add_test(real_clock, real_stop);
        tcase_add_test(real_clock, real_stop_seen_by_progress);
        tcase_add_test(real_clock, real_reload);
        tcase_add_test(real_clock, real_file);
        tcase_add_test(real_clock, real_connection);
        tcase_add_test(real_clock, real_other_thread);
        tcase_add_test(real_clock, real_interrupted);
        tcase_add_test(real_clock, real_pollfds);
        suite_add_tcase(suite, real_clock);

        return suite_run(suite);
}
