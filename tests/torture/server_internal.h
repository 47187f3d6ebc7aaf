/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between server.c, which serves and is ToolHive, and server_cluster.c, which is an API server. */

#include <stdbool.h>
#include <stddef.h>

#include "server.h"

struct connection {
        int fd;
        size_t size;
        char request[8192];
        unsigned watched;               /* it is a watch of the MCPServers, and told up to this version; 0: it is none */
};

void server_send(int fd, const char *status, const char *body);

/* False where it is not asked as an API server. */
bool server_answer_cluster(struct connection *connection, const char *request);
/* Tells a watch what it has not been told of the story. */
void server_go_on(struct connection *connection);
