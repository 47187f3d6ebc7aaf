/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server without a thread: the test itself is both ends, so that it decides what
 * has come when. One connection at a time; the HTTP of http_fixture.h is driven
 * while the peer waits for it.
 */

#include "base/util.h"

struct peer {
        int listen_fd, fd;              /* fd: the connection, -1: none */
        uint16_t port;
        char url[64];
        char request[32 << 10];         /* the last one, as it came */
};

void peer_open(struct peer *peer);
void peer_close(struct peer *peer);

/* Takes the next connection, in place of the one before, and its request. */
void peer_accept(struct peer *peer);
/* The next request on the same connection. */
void peer_read(struct peer *peer);

void peer_send_bytes(struct peer *peer, const char *bytes, size_t size);
void peer_send(struct peer *peer, const char *text);
/* As a chunk of its own. */
void peer_send_chunk(struct peer *peer, const char *text);

/* An end, and one with an RST. */
void peer_hang_up(struct peer *peer);
void peer_reset(struct peer *peer);
/* Whether the other side has ended the connection, by now or soon. */
bool peer_was_left(struct peer *peer);
