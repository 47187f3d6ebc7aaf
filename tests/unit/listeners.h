/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Many servers on chosen loopback addresses and ports, all played by one thread:
 * ToolHives, strangers, ports that are open and silent. A search asks fixed
 * ports, so a test takes an address of 127.0.0.0/8 for itself, where all of them
 * are free whoever else is on the machine.
 */

#include <stdatomic.h>

#include "base/util.h"

struct listener {
        /* What GET /health and the identity check get; NULL: silence. May change at any time. */
        const char *_Atomic health, *_Atomic version;
        unsigned delay;                 /* ms before an answer */
        bool cut;                       /* close after an answer */
        uint16_t port;
        int fd;
        atomic_uint connections, requests;
};

#define LISTENER_ANSWER(status, headers, length, body) \
        "HTTP/1.1 " status "\r\n" headers "Content-Length: " #length "\r\n\r\n" body
#define LISTENER_TOOLHIVE LISTENER_ANSWER("200 OK", "", 21, "{\"version\":\"v0.44.0\"}")
#define LISTENER_404 LISTENER_ANSWER("404 Not Found", "", 0, "")
#define LISTENER_503 LISTENER_ANSWER("503 Service Unavailable", "", 0, "")
#define LISTENER_NONCE(nonce) "HTTP/1.1 204 No Content\r\nX-Toolhive-Nonce: " nonce "\r\n\r\n"

/* An address of 127.0.0.0/8 for this process. */
const char *own_address(void);

/* Listens on address and port, 0 for any; false when that cannot be had. The rest of it is kept. */
bool listener_open(struct listener *listener, const char *address, uint16_t port);

/* On a path instead. */
void listener_open_unix(struct listener *listener, const char *path);

/* Plays them from now on, until listeners_stop(), which closes all. */
struct listeners;
struct listeners *listeners_start(struct listener *listeners, size_t n);
void listeners_stop(struct listeners *listeners);
