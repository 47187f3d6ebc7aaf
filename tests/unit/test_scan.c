/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connecting: closed ports by the thousand on one socket, open ones among them, a socket that meets
 * itself, connects that hang.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "listeners.h"
#include "own_network.h"
#include "source/scan.h"
#include "suite.h"

static struct scan *scan;

static void setup(void) {
        ck_assert_int_eq(scan_new(&scan), 0);
}

static void teardown(void) {
        scan = scan_free(scan);
}

/* A listening socket on a free port of the address. */
static int listen_on(const char *literal, union scan_address *ret_address, int backlog) {
        socklen_t size = sizeof *ret_address;
        int fd;

        ck_assert_int_eq(scan_address_parse(literal, ret_address), 0);
        fd = socket(ret_address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, &ret_address->any, size), 0);
        ck_assert_int_eq(listen(fd, backlog), 0);
        ck_assert_int_eq(getsockname(fd, &ret_address->any, &size), 0);
        return fd;
}

/*
 * Connects and waits for the decision: how it went, -EINPROGRESS when it hangs,
 * as it may where others on this machine let their listeners fill up.
 */
static int connect_to(const union scan_address *address) {
        struct pollfd poller = { .fd = scan_fd(scan), .events = POLLIN };
        _cleanup_(closep) int fd = scan_connect(scan, address);
        void *cookie = NULL;
        int token;

        if (fd < 0)
                return STEAL_FD(fd);
        ck_assert_int_eq(scan_watch(scan, fd, &token), 0);
        if (poll(&poller, 1, 1000) == 0)
                return -EINPROGRESS;
        ck_assert_int_eq(scan_decided(scan, &cookie, 1), 1);
        ck_assert_ptr_eq(cookie, &token);
        return scan_result(scan, fd);
}

static size_t count_descriptors(void) {
        _cleanup_(closedirp) DIR *folder = opendir("/proc/self/fd");
        size_t n = 0;

        ck_assert_ptr_nonnull(folder);
        while (readdir(folder))
                n++;
        return n;
}

START_TEST(test_parse) {
        union scan_address v4, v6, zone;

        ck_assert_int_eq(scan_address_parse("127.0.0.1", &v4), 0);
        ck_assert_int_eq(v4.any.sa_family, AF_INET);
        ck_assert_int_eq(scan_address_parse("::1", &v6), 0);
        ck_assert_int_eq(v6.any.sa_family, AF_INET6);
        ck_assert_int_eq(scan_address_parse("fe80::1%1", &zone), 0);
        ck_assert_uint_eq(zone.v6.sin6_scope_id, 1);
        ck_assert_int_eq(scan_address_parse("localhost", &v4), -EINVAL);
        ck_assert_int_eq(scan_address_parse("[::1]", &v4), -EINVAL);
        ck_assert_int_eq(scan_address_parse("", &v4), -EINVAL);

        union scan_address other = v4;
        ck_assert(scan_address_equal(&v4, &other));
        scan_address_set_port(&other, 1024);
        ck_assert(!scan_address_equal(&v4, &other));
        ck_assert(!scan_address_equal(&v4, &v6));
}
END_TEST

/*
 * Every port there is, 30 of them open: none is passed over, and one socket serves
 * all the closed ones.
 */
START_TEST(test_mixed) {
        const char *literal = _i == 0 ? own_address() : "::1";
        union scan_address addresses[30], address;
        bool found[ELEMENTSOF(addresses)] = {};
        size_t before, n_found = 0;
        int fds[ELEMENTSOF(addresses)];

        /* There is but one ::1, and other tests' ports on it are none of ours. */
        if (_i == 1 && !own_network()) {
                printf("skipped: all ports of ::1, since no network namespace is to be had here\n");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = listen_on(literal, &addresses[i], 128);
        before = count_descriptors();

        ck_assert_int_eq(scan_address_parse(literal, &address), 0);
        for (unsigned port = 1024; port <= UINT16_MAX; port++) {
                scan_address_set_port(&address, (uint16_t) port);
                if (connect_to(&address) != 0)
                        continue;
                for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                        if (scan_address_equal(&address, &addresses[i])) {
                                found[i] = true;
                                n_found++;
                        }
        }
        ck_assert_uint_eq(n_found, ELEMENTSOF(fds));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                ck_assert(found[i]);
                close(fds[i]);
        }
        ck_assert_uint_le(count_descriptors(), before - ELEMENTSOF(fds) + 1);
}
END_TEST

START_TEST(test_meets_itself) {
        union scan_address address;
        socklen_t size = sizeof address;
        int fd, token;
        void *cookie;

        /* Bound to its own target, the socket does what chance does once in 30,000 connects. */
        ck_assert_int_eq(scan_address_parse("127.0.0.1", &address), 0);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, &address.any, sizeof address.v4), 0);
        ck_assert_int_eq(getsockname(fd, &address.any, &size), 0);
        ck_assert(connect(fd, &address.any, sizeof address.v4) == 0 || errno == EINPROGRESS);

        ck_assert_int_eq(scan_watch(scan, fd, &token), 0);
        ck_assert_int_eq(scan_decided(scan, &cookie, 1), 1);
        ck_assert_int_eq(scan_result(scan, fd), -ECONNREFUSED);
        close(fd);

        /* And has left the port free for who wants to listen there. */
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(fd, &address.any, sizeof address.v4), 0);
        close(fd);
}
END_TEST

/* A full backlog: the connect hangs, is not reported, and does not keep others from being. */
START_TEST(test_undecided) {
        union scan_address full, open;
        int listener = listen_on("127.0.0.1", &full, 0), other = listen_on("127.0.0.1", &open, 1);
        int waiting[4], token;
        void *cookie;

        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = scan_connect(scan, &full);
                ck_assert_int_ge(waiting[i], 0);
        }
        /* The first ones fill the backlog; the last one is surely without a place. */
        ck_assert_int_eq(scan_watch(scan, waiting[ELEMENTSOF(waiting) - 1], &token), 0);
        ck_assert_int_eq(scan_decided(scan, &cookie, 1), 0);
        ck_assert_int_eq(poll(&(struct pollfd) { .fd = scan_fd(scan), .events = POLLIN }, 1, 0), 0);
        ck_assert_int_eq(connect_to(&open), 0);

        /* Closing is all it takes to forget it. */
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                close(waiting[i]);
        ck_assert_int_eq(scan_decided(scan, &cookie, 1), 0);
        close(listener);
        close(other);
}
END_TEST

START_TEST(test_failures) {
        union scan_address address;

        /* Port 0 refuses; a broadcast address is refused by the system itself. */
        ck_assert_int_eq(scan_address_parse("127.0.0.1", &address), 0);
        ck_assert_int_eq(connect_to(&address), -ECONNREFUSED);
        ck_assert_int_eq(scan_address_parse("255.255.255.255", &address), 0);
        scan_address_set_port(&address, 50000);
        ck_assert_int_lt(connect_to(&address), 0);
        ck_assert_int_ne(connect_to(&address), -ECONNREFUSED);
}
END_TEST

START_TEST(test_room) {
        struct rlimit limit, small;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        small = limit;

        small.rlim_cur = 1024;
        if (limit.rlim_max >= small.rlim_cur) {
                ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
                ck_assert_uint_eq(scan_room(), 512);
        }
        small.rlim_cur = 64;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
        ck_assert_uint_ge(scan_room(), 4);
        ck_assert_uint_le(scan_room(), 40);
        small.rlim_cur = 16;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &small), 0);
        ck_assert_uint_eq(scan_room(), 4);
}
END_TEST

static bool has_ipv6(void) {
        union scan_address address;
        int fd;

        if (scan_address_parse("::1", &address) < 0)
                return false;
        fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return false;
        if (bind(fd, &address.any, sizeof address.v6) < 0) {
                close(fd);
                return false;
        }
        close(fd);
        return true;
}

int main(void) {
        Suite *suite = suite_create("scan");
        TCase *tcase = tcase_create("scan");

        tcase_set_timeout(tcase, 100);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_parse);
        tcase_add_loop_test(tcase, test_mixed, 0, has_ipv6() ? 2 : 1);
        tcase_add_test(tcase, test_meets_itself);
        tcase_add_test(tcase, test_undecided);
        tcase_add_test(tcase, test_failures);
        tcase_add_test(tcase, test_room);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
