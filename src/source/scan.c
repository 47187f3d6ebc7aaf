/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connecting to thousands of ports
 *
 * Nearly all of them refuse, and on loopback the refusal is there before connect(2) has returned,
 * which yet says EINPROGRESS. SO_ERROR brings it out, and the socket is free for the next address:
 * one socket serves all ports that refuse. Since the kernel still thinks of it as connecting, the
 * next connect() only ends that, with ECONNABORTED, and has to be made again; without that every
 * second port would be passed over unnoticed.
 *
 * A second connect() in place of SO_ERROR would tell the same and clear the state at once. But
 * where the port is open it would return 0, and the one after it EISCONN, which libcurl 7.88 takes
 * for a failure: it calls connect() on a socket that it was told is connected. So that 0 is left
 * for it.
 *
 * The default range lies among the ports that the kernel gives to clients. Connecting to a closed
 * one of them on loopback, it can choose that very port as the source, and the socket meets itself
 * (TCP's simultaneous open): connected, with nobody there. Both its names are then the same. It is
 * reset on closing, since in TIME_WAIT it would hold the port against a ToolHive about to listen.
 *
 * A scan is used by one thread. It keeps one unused socket for each address family.
 */

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "source/scan.h"

#define ROOM_MAX 512                    /* half of the usual limit on descriptors */
#define ROOM_MIN 4
#define ROOM_RESERVE 24                 /* for the other steps, libcurl, the state file */
#define EVENTS_MAX 64

struct scan {
        int epoll_fd;
        int spare_v4, spare_v6;         /* unconnected, left over from a refusal; -1: none */
};

int scan_address_parse(const char *literal, union scan_address *ret_address) {
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *info;
        union scan_address address = {};

        /* With AI_NUMERICHOST no resolver is asked; unlike inet_pton(3) this knows zones. */
        if (getaddrinfo(literal, NULL, &hints, &info) != 0)
                return -EINVAL;
        if (info->ai_addrlen <= sizeof address)
                memcpy(&address, info->ai_addr, info->ai_addrlen);
        freeaddrinfo(info);

        *ret_address = address;
        return 0;
}

void scan_address_set_port(union scan_address *address, uint16_t port) {
        if (address->any.sa_family == AF_INET6)
                address->v6.sin6_port = htons(port);
        else
                address->v4.sin_port = htons(port);
}

bool scan_address_equal(const union scan_address *a, const union scan_address *b) {
        if (a->any.sa_family != b->any.sa_family)
                return false;
        if (a->any.sa_family == AF_INET6)
                return a->v6.sin6_port == b->v6.sin6_port &&
                       a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
                       IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

static socklen_t address_size(const union scan_address *address) {
        return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

int scan_new(struct scan **ret_scan) {
        _cleanup_(freep) struct scan *scan = malloc(sizeof *scan);

        if (!scan)
                return -ENOMEM;
        *scan = (struct scan) { .epoll_fd = -1, .spare_v4 = -1, .spare_v6 = -1 };
        scan->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (scan->epoll_fd < 0)
                return -errno;

        *ret_scan = STEAL(scan);
        return 0;
}

struct scan *scan_free(struct scan *scan) {
        if (!scan)
                return NULL;
        closep(&scan->spare_v4);
        closep(&scan->spare_v6);
        close(scan->epoll_fd);
        free(scan);
        return NULL;
}

int scan_fd(const struct scan *scan) {
        return scan->epoll_fd;
}

/* The errno of it, EINPROGRESS also where it has succeeded by now. */
static int try_connect(int fd, const union scan_address *address) {
        socklen_t size = sizeof(int);
        int error;

        error = connect(fd, &address->any, address_size(address)) < 0 ? errno : 0;
        if (error == ECONNABORTED)
                error = connect(fd, &address->any, address_size(address)) < 0 ? errno : 0;
        if (error != EINPROGRESS)
                return error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return errno;
        return error ?: EINPROGRESS;
}

int scan_connect(struct scan *scan, const union scan_address *address) {
        int *spare = address->any.sa_family == AF_INET6 ? &scan->spare_v6 : &scan->spare_v4;
        _cleanup_(closep) int fd = STEAL_FD(*spare);
        int error;

        if (fd < 0)
                fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            IPPROTO_TCP);
        if (fd < 0)
                return -errno;

        error = try_connect(fd, address);
        switch (error) {
        case 0:
        case EINPROGRESS:
                return STEAL_FD(fd);
        case ECONNREFUSED:
                *spare = STEAL_FD(fd);
                return -ECONNREFUSED;
        default:
                return -error;
        }
}

int scan_watch(struct scan *scan, int fd, void *cookie) {
        struct epoll_event event = { .events = EPOLLOUT, .data.ptr = cookie };

        return epoll_ctl(scan->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int scan_decided(struct scan *scan, void **cookies, size_t size) {
        struct epoll_event events[EVENTS_MAX];
        int n;

        n = epoll_wait(scan->epoll_fd, events, size < EVENTS_MAX ? (int) size : EVENTS_MAX, 0);
        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; i++)
                cookies[i] = events[i].data.ptr;
        return n;
}

static bool met_itself(int fd) {
        union scan_address local = {}, remote = {};
        socklen_t local_size = sizeof local, remote_size = sizeof remote;

        return getsockname(fd, &local.any, &local_size) == 0 &&
               getpeername(fd, &remote.any, &remote_size) == 0 &&
               scan_address_equal(&local, &remote);
}

int scan_result(struct scan *scan, int fd) {
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        socklen_t size = sizeof(int);
        int error;

        if (epoll_ctl(scan->epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0)
                return -errno;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        if (error != 0)
                return -error;
        if (met_itself(fd)) {
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
                return -ECONNREFUSED;
        }
        return 0;
}

/* Descriptors open now. Without /proc, a guess that is rather too high. */
static size_t count_open(void) {
        _cleanup_(closedirp) DIR *folder = opendir("/proc/self/fd");
        size_t n = 0;

        if (!folder)
                return ROOM_RESERVE;
        while (readdir(folder))
                n++;
        return n;
}

size_t scan_room(void) {
        struct rlimit limit;
        size_t used = count_open() + ROOM_RESERVE;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= used + ROOM_MAX)
                return ROOM_MAX;
        return limit.rlim_cur > used + ROOM_MIN ? limit.rlim_cur - used : ROOM_MIN;
}
