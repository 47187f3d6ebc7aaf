/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a ToolHive listens, or may listen: a literal address and port, or a Unix socket. */

#include "base/http.h"
#include "base/url.h"

struct endpoint {
        char url[ENDPOINT_URL_MAX];     /* "http://127.0.0.1:50001", "unix:///run/thv.sock" */
        char socket[SOCKET_PATH_MAX];   /* path of a Unix socket, else "" */
        uint16_t port;                  /* 0 for a socket */
};

/* address is a literal, IPv6 without brackets. */
void endpoint_set_tcp(struct endpoint *endpoint, const char *address, uint16_t port);

/* Takes what url_parse_endpoint() takes. 0, or -EINVAL. */
int endpoint_parse(struct endpoint *endpoint, const char *url);

/* The host of it, IPv6 without brackets; "" for a socket. */
void endpoint_host(const struct endpoint *endpoint, char host[static HOST_MAX]);

/* Whether it names this machine's loopback, or a socket on it. */
bool endpoint_is_loopback(const struct endpoint *endpoint);

/* The same of a host: "localhost" in any case, 127.0.0.0/8, ::1, with or without brackets. */
bool host_is_localhost(const char *host);
bool host_is_loopback(const char *host);

/* Nothing set: no such endpoint. */
static inline bool endpoint_is_set(const struct endpoint *endpoint) {
        return endpoint->url[0];
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);

/* Fills url and unix_socket of a request for the path ("/health"); buffer holds the URL. */
void endpoint_address_request(const struct endpoint *endpoint, const char *path,
                              struct http_request *request, char *buffer, size_t size);
