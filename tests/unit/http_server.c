/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Blocking sockets and threads. All that could last is bounded: sends by a socket
 * time-out, the rest by a poll(2) that includes the eventfd that server_stop()
 * writes.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "http_server.h"

struct connection {
        struct server *server;
        int fd;
};

enum heard { NOTHING, PEER, STOP };

static enum heard listen_to(struct server *server, int fd, short events, int milliseconds) {
        struct pollfd fds[] = {
                { .fd = server->stop_fd, .events = POLLIN },
                { .fd = fd, .events = events },
        };

        if (poll(fds, ELEMENTSOF(fds), milliseconds) <= 0)
                return NOTHING;
        return fds[0].revents ? STOP : PEER;
}

static bool send_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        return false;
                data += n;
                size -= n;
        }
        return true;
}

/* Head and body of one request, as far as the buffer goes; false when the peer has gone. */
static bool read_request(struct server *server, int fd, char *buffer, size_t size) {
        size_t have = 0, wanted = SIZE_MAX;

        while (have < wanted && have < size - 1) {
                const char *end, *length;
                ssize_t n;

                if (listen_to(server, fd, POLLIN, 30000) != PEER)
                        return false;
                n = recv(fd, buffer + have, size - 1 - have, 0);
                if (n <= 0)
                        return false;
                have += n;
                buffer[have] = '\0';

                end = strstr(buffer, "\r\n\r\n");
                length = strcasestr(buffer, "\r\nContent-Length:");
                if (end)
                        wanted = end + 4 - buffer + (length ? strtoul(length + 17, NULL, 10) : 0);
        }
        return true;
}

static bool answer(struct server *server, int fd) {
        const struct server_script *script = &server->script;
        int pause = (int) (script->pause / USEC_PER_MSEC);

        if (script->answer &&
            !send_all(fd, script->answer, script->size > 0 ? script->size : strlen(script->answer)))
                return false;
        for (size_t i = 0; i < script->repeat; i++) {
                if (pause > 0 && listen_to(server, fd, POLLRDHUP, pause) != NOTHING)
                        return false;
                if (!send_all(fd, script->piece, strlen(script->piece)))
                        return false;
        }
        return !script->tail || send_all(fd, script->tail, strlen(script->tail));
}

static void converse(struct server *server, int fd) {
        const struct server_script *script = &server->script;
        unsigned answers = 0;

        do {
                char request[sizeof(server->request)];

                if (!script->unread) {
                        if (!read_request(server, fd, request, sizeof(request)))
                                return;
                        pthread_mutex_lock(&server->lock);
                        memcpy(server->request, request, strlen(request) + 1);
                        pthread_mutex_unlock(&server->lock);
                        atomic_fetch_add(&server->requests, 1);
                }
                if (script->answers > 0 && answers == script->answers)
                        return;
                if (!answer(server, fd))
                        return;
                answers++;
        } while (script->end == SERVER_KEEP);

        if (script->end == SERVER_HANG)
                (void) listen_to(server, fd, POLLRDHUP, -1);
        if (script->end == SERVER_RESET)
                (void) setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger) { .l_onoff = 1 },
                                  sizeof(struct linger));
}

static void *connection_main(void *user) {
        struct connection *connection = user;

        converse(connection->server, connection->fd);
        close(connection->fd);
        free(connection);
        return NULL;
}

static bool accept_one(struct server *server) {
        const struct timeval limit = { .tv_sec = 30 };
        struct connection *connection;
        int fd;

        fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
                return errno == ECONNABORTED || errno == EINTR;
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        atomic_fetch_add(&server->connections, 1);

        connection = malloc(sizeof(*connection));
        if (!connection || server->n_threads == SERVER_CONNECTIONS_MAX) {
                free(connection);
                close(fd);
                return false;
        }
        *connection = (struct connection) { .server = server, .fd = fd };
        if (pthread_create(&server->connection_threads[server->n_threads], NULL, connection_main,
                           connection) != 0) {
                free(connection);
                close(fd);
                return false;
        }
        server->n_threads++;
        return true;
}

static void *server_main(void *user) {
        struct server *server = user;
        struct pollfd fds[] = {
                { .fd = server->stop_fd, .events = POLLIN },
                { .fd = server->listen_fd, .events = POLLIN },
        };

        for (;;) {
                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        return NULL;
                if (fds[0].revents)
                        return NULL;
                if (fds[1].revents && !accept_one(server))
                        return NULL;
        }
}

static int bound_ipv4(uint16_t *port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t size = sizeof(address);
        int fd;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        *port = ntohs(address.sin_port);
        return fd;
}

int closed_port(uint16_t *ret_port) {
        return bound_ipv4(ret_port);
}

/* The same port on both families: bound on the first, listened to on the second. */
static int bound_ipv6(struct server *server) {
        for (unsigned i = 0; i < 100; i++) {
                struct sockaddr_in6 address = {
                        .sin6_family = AF_INET6,
                        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                };
                int fd;

                fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
                if (fd < 0)
                        return -1;
                server->reserved_fd = bound_ipv4(&server->port);
                address.sin6_port = htons(server->port);
                if (bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0)
                        return fd;
                close(fd);
                close(STEAL_FD(server->reserved_fd));
        }
        return -1;
}

static int bound_unix(struct server *server) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char folder[] = "/tmp/test-http-XXXXXX";
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void) snprintf(server->path, sizeof(server->path), "%s/socket", folder);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        return fd;
}

bool server_start(struct server *server, enum server_place place,
                  const struct server_script *script) {
        *server = (struct server) {
                .script = *script,
                .listen_fd = -1,
                .reserved_fd = -1,
                .stop_fd = eventfd(0, EFD_CLOEXEC),
        };
        ck_assert_int_ge(server->stop_fd, 0);

        switch (place) {
        case SERVER_IPV4:
                server->listen_fd = bound_ipv4(&server->port);
                (void) snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/",
                                server->port);
                break;
        case SERVER_IPV6_ONLY:
                server->listen_fd = bound_ipv6(server);
                (void) snprintf(server->url, sizeof(server->url), "http://localhost:%u/",
                                server->port);
                break;
        case SERVER_UNIX:
                server->listen_fd = bound_unix(server);
                (void) snprintf(server->url, sizeof(server->url), "http://localhost/");
                break;
        }
        if (server->listen_fd < 0) {
                close(server->stop_fd);
                return false;
        }

        ck_assert_int_eq(listen(server->listen_fd, 128), 0);
        ck_assert_int_eq(pthread_mutex_init(&server->lock, NULL), 0);
        ck_assert_int_eq(pthread_create(&server->thread, NULL, server_main, server), 0);
        return true;
}

void server_stop(struct server *server) {
        ck_assert_int_eq(write(server->stop_fd, &(uint64_t) { 1 }, sizeof(uint64_t)),
                         sizeof(uint64_t));
        ck_assert_int_eq(pthread_join(server->thread, NULL), 0);
        for (size_t i = 0; i < server->n_threads; i++)
                ck_assert_int_eq(pthread_join(server->connection_threads[i], NULL), 0);

        close(server->listen_fd);
        closep(&server->reserved_fd);
        close(server->stop_fd);
        pthread_mutex_destroy(&server->lock);
        if (server->path[0]) {
                (void) unlink(server->path);
                *strrchr(server->path, '/') = '\0';
                (void) rmdir(server->path);
        }
}

bool server_wait_requests(struct server *server, unsigned n) {
        for (unsigned i = 0; i < 20000; i++) {
                if (atomic_load(&server->requests) >= n)
                        return true;
                (void) poll(NULL, 0, 1);
        }
        return false;
}
