/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server that plays one script to whoever connects: what it sends, how often,
 * how slowly, and how it ends. It listens on a free loopback port, or on a Unix
 * socket in a folder of its own, and has a thread for each connection, so that a
 * connection that hangs keeps no other from being served. server_stop() ends all.
 */

#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"

enum server_end {
        SERVER_CLOSE,           /* after the answer */
        SERVER_RESET,           /* close with an RST */
        SERVER_HANG,            /* say no more, until the peer closes or the test ends */
        SERVER_KEEP,            /* wait for the next request */
};

struct server_script {
        const char *answer;     /* NULL: nothing */
        size_t size;            /* of the answer; 0: strlen() */
        const char *piece;      /* then this, */
        size_t repeat;          /* so many times, */
        usec_t pause;           /* waiting so long before each, */
        const char *tail;       /* then this, */
        enum server_end end;    /* then that */
        unsigned answers;       /* SERVER_KEEP: closes upon the request after so many; 0: never */
        bool unread;            /* speaks without reading the request */
};

enum server_place {
        SERVER_IPV4,
        SERVER_IPV6_ONLY,       /* on ::1, with the same port of 127.0.0.1 taken and closed */
        SERVER_UNIX,
};

#define SERVER_CONNECTIONS_MAX 256

struct server {
        struct server_script script;
        int listen_fd, reserved_fd, stop_fd;
        uint16_t port;
        char url[64];                   /* http://127.0.0.1:PORT/ and the like, to be added to */
        char path[108];                 /* of the Unix socket, else "" */

        pthread_t thread;
        pthread_t connection_threads[SERVER_CONNECTIONS_MAX];
        size_t n_threads;               /* of the accepting thread alone, until it has ended */

        atomic_uint connections;
        atomic_uint requests;
        pthread_mutex_t lock;
        char request[4096];             /* the last one, as it came; under the lock */
};

/* False where the machine has no such place (no IPv6): the test has nothing to do then. */
bool server_start(struct server *server, enum server_place place,
                  const struct server_script *script);
void server_stop(struct server *server);

/* Waits until so many requests have come: true; false when that takes more than 20 s. */
bool server_wait_requests(struct server *server, unsigned n);

/* A port of 127.0.0.1 that is closed and stays so until the descriptor is closed. */
int closed_port(uint16_t *ret_port);
