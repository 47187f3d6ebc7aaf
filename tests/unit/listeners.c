/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One thread, one epoll instance: listeners and connections are told apart by what their event
 * points to. An answer that is to be late is put off by a time, which the loop looks at each
 * millisecond while there is any; nobody else needs a clock here.
 */

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "listeners.h"

enum kind { STOP, LISTENER, CONNECTION };

struct event {
        enum kind kind;
        struct listener *listener;
        struct event *next;             /* of connections */
        int fd;
        char request[2048];
        size_t size;
        usec_t answer_at;               /* 0: nothing is put off */
        const char *answer;
};

struct listeners {
        pthread_t thread;
        int epoll_fd;
        struct event stop;
        struct event *events;           /* of the listeners */
        struct listener *listeners;
        size_t n;
        struct event *connections;
};

const char *own_address(void) {
        static char address[16];
        pid_t pid = getpid();

        snprintf(address, sizeof address, "127.%d.%d.%d", 64 + (pid >> 16) % 128, (pid >> 8) & 255,
                 pid & 255);
        return address;
}

bool listener_open(struct listener *listener, const char *address, uint16_t port) {
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
        bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
        struct sockaddr *name = is_v4 ? (struct sockaddr *) &v4 : (struct sockaddr *) &v6;
        socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
        int fd;

        if (!is_v4)
                ck_assert_int_eq(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
        fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return false;
        ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)), 0);
        if (bind(fd, name, size) < 0 || listen(fd, 64) < 0) {
                close(fd);
                return false;
        }
        ck_assert_int_eq(getsockname(fd, name, &size), 0);
        listener->fd = fd;
        listener->port = ntohs(is_v4 ? v4.sin_port : v6.sin6_port);
        return true;
}

void listener_open_unix(struct listener *listener, const char *path) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };

        snprintf(name.sun_path, sizeof name.sun_path, "%s", path);
        listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(listener->fd, 0);
        ck_assert_int_eq(bind(listener->fd, (struct sockaddr *) &name, sizeof name), 0);
        ck_assert_int_eq(listen(listener->fd, 64), 0);
}

static usec_t now(void) {
        struct timespec time;

        ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &time), 0);
        return (usec_t) time.tv_sec * USEC_PER_SEC + (usec_t) time.tv_nsec / 1000;
}

static void add(struct listeners *listeners, struct event *event, int fd) {
        struct epoll_event epoll = { .events = EPOLLIN, .data.ptr = event };

        event->fd = fd;
        ck_assert_int_eq(epoll_ctl(listeners->epoll_fd, EPOLL_CTL_ADD, fd, &epoll), 0);
}

static void hang_up(struct event *connection) {
        if (connection->fd >= 0)
                close(STEAL_FD(connection->fd));
        connection->answer_at = 0;
}

static void take_connection(struct listeners *listeners, struct listener *listener) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct event *connection;

        if (fd < 0)
                return;
        connection = calloc(1, sizeof *connection);
        ck_assert_ptr_nonnull(connection);
        connection->kind = CONNECTION;
        connection->listener = listener;
        connection->next = listeners->connections;
        listeners->connections = connection;
        atomic_fetch_add(&listener->connections, 1);
        add(listeners, connection, fd);
}

static void take_request(struct event *connection) {
        struct listener *listener = connection->listener;
        ssize_t n;

        n = read(connection->fd, connection->request + connection->size,
                 sizeof connection->request - 1 - connection->size);
        if (n <= 0) {
                hang_up(connection);
                return;
        }
        connection->size += (size_t) n;
        connection->request[connection->size] = '\0';
        if (!strstr(connection->request, "\r\n\r\n"))
                return;

        atomic_fetch_add(&listener->requests, 1);
        connection->size = 0;
        if (strncmp(connection->request, "GET /health ", 12) == 0)
                connection->answer = listener->health;
        else
                connection->answer = listener->version;
        if (connection->answer)
                connection->answer_at = now() + listener->delay * USEC_PER_MSEC;
}

/* Sends what is due; true when something is still put off. */
static bool send_due(struct event *connection) {
        if (!connection->answer_at)
                return false;
        if (connection->answer_at > now())
                return true;
        connection->answer_at = 0;
        (void) !send(connection->fd, connection->answer, strlen(connection->answer), MSG_NOSIGNAL);
        if (connection->listener->cut)
                hang_up(connection);
        return false;
}

static void *play(void *user) {
        struct listeners *listeners = user;
        bool put_off = false;

        for (;;) {
                struct epoll_event epoll;

                if (epoll_wait(listeners->epoll_fd, &epoll, 1, put_off ? 1 : -1) > 0) {
                        struct event *event = epoll.data.ptr;

                        switch (event->kind) {
                        case STOP:
                                return NULL;
                        case LISTENER:
                                take_connection(listeners, event->listener);
                                break;
                        case CONNECTION:
                                take_request(event);
                                break;
                        }
                }
                put_off = false;
                for (struct event *event = listeners->connections; event; event = event->next)
                        put_off = send_due(event) || put_off;
        }
}

struct listeners *listeners_start(struct listener *all, size_t n) {
        struct listeners *listeners = calloc(1, sizeof *listeners);

        ck_assert_ptr_nonnull(listeners);
        listeners->listeners = all;
        listeners->n = n;
        listeners->events = calloc(n, sizeof *listeners->events);
        ck_assert_ptr_nonnull(listeners->events);
        listeners->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        ck_assert_int_ge(listeners->epoll_fd, 0);
        add(listeners, &listeners->stop, eventfd(0, EFD_CLOEXEC));
        for (size_t i = 0; i < n; i++) {
                listeners->events[i] = (struct event) { .kind = LISTENER, .listener = &all[i] };
                add(listeners, &listeners->events[i], all[i].fd);
        }
        ck_assert_int_eq(pthread_create(&listeners->thread, NULL, play, listeners), 0);
        return listeners;
}

void listeners_stop(struct listeners *listeners) {
        ck_assert_int_eq(write(listeners->stop.fd, &(uint64_t) { 1 }, sizeof(uint64_t)),
                         sizeof(uint64_t));
        ck_assert_int_eq(pthread_join(listeners->thread, NULL), 0);
        for (size_t i = 0; i < listeners->n; i++)
                close(listeners->listeners[i].fd);
        while (listeners->connections) {
                struct event *connection = listeners->connections;

                listeners->connections = connection->next;
                hang_up(connection);
                free(connection);
        }
        close(listeners->stop.fd);
        close(listeners->epoll_fd);
        free(listeners->events);
        free(listeners);
}
