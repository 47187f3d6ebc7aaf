/* SPDX-License-Identifier: Apache-2.0 */

/* See the header. Whatever goes wrong here fails the test. */

#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "http_fixture.h"
#include "http_peer.h"
#include "http_server.h"

void peer_open(struct peer *peer) {
        *peer = (struct peer) { .fd = -1 };
        peer->listen_fd = closed_port(&peer->port);
        ck_assert_int_eq(listen(peer->listen_fd, 16), 0);
        snprintf(peer->url, sizeof peer->url, "http://127.0.0.1:%u/", peer->port);
}

void peer_close(struct peer *peer) {
        closep(&peer->fd);
        close(peer->listen_fd);
}

/* Drives until the descriptor is readable, however often transfers have news meanwhile. */
static void drive_until_readable(int fd) {
        struct pollfd readable = { .fd = fd, .events = POLLIN };

        while (poll(&readable, 1, 0) == 0)
                ck_assert_int_eq(http_run(http, fd, USEC_INFINITY), 0);
}

void peer_read(struct peer *peer) {
        size_t size = 0;

        do {
                ssize_t n;

                drive_until_readable(peer->fd);
                n = recv(peer->fd, peer->request + size, sizeof peer->request - 1 - size, 0);
                ck_assert_int_gt(n, 0);
                size += (size_t) n;
                peer->request[size] = '\0';
        } while (!strstr(peer->request, "\r\n\r\n"));
}

void peer_accept(struct peer *peer) {
        closep(&peer->fd);
        drive_until_readable(peer->listen_fd);
        peer->fd = accept4(peer->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(peer->fd, 0);
        peer_read(peer);
}

void peer_send_bytes(struct peer *peer, const char *bytes, size_t size) {
        ck_assert_int_eq(send(peer->fd, bytes, size, MSG_NOSIGNAL), (ssize_t) size);
}

void peer_send(struct peer *peer, const char *text) {
        peer_send_bytes(peer, text, strlen(text));
}

void peer_send_chunk(struct peer *peer, const char *text) {
        char head[32];

        snprintf(head, sizeof head, "%zx\r\n", strlen(text));
        peer_send(peer, head);
        peer_send(peer, text);
        peer_send(peer, "\r\n");
}

void peer_hang_up(struct peer *peer) {
        close(STEAL_FD(peer->fd));
}

void peer_reset(struct peer *peer) {
        ck_assert_int_eq(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &(struct linger) { .l_onoff = 1 },
                                    sizeof(struct linger)), 0);
        peer_hang_up(peer);
}

bool peer_was_left(struct peer *peer) {
        struct pollfd ended = { .fd = peer->fd, .events = POLLIN | POLLRDHUP };
        char byte;

        return poll(&ended, 1, 20000) == 1 && recv(peer->fd, &byte, 1, 0) <= 0;
}
