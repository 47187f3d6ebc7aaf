/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A ToolHive for torture: small, quick, always good, in a process of its own that
 * no failure reaches. It answers with the same few workloads and servers, and
 * counts what it was asked where the operation's process sees it.
 */

#include <stdatomic.h>
#include <stdint.h>

#define SERVER_HOST "127.0.0.1"
#define SERVER_NONCE "0123456789abcdef0123456789abcdef"

struct server {
        uint16_t port;
        atomic_uint lists, registries, posts;
        atomic_bool installed;          /* the workload "fetch" is there */
};

/* The one of this process: started at the first call, it ends with the process. */
struct server *server(void);
/* Nobody has asked for anything and nothing is installed: what an earlier run has sent is answered by then. */
void server_renew(void);
