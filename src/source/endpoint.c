/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Endpoints: one spelling for each place
 *
 * An endpoint is compared, logged, kept in the state file and read back, so it has one spelling
 * only: scheme and host in lower case, the port always written, no slash at the end. Everything
 * here works on that text; a struct endpoint is a value, copied at will, and owns nothing. What may
 * be one, and how it is spelt, is base/url.h's to say, as for the settings.
 *
 * Loopback is judged by the address as written. A name other than "localhost" is not loopback
 * wherever it may resolve to: who wants the trust that loopback enjoys has to spell it out.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "source/endpoint.h"

void endpoint_set_tcp(struct endpoint *endpoint, const char *address, uint16_t port) {
        *endpoint = (struct endpoint) { .port = port };
        (void) url_spell(URL_HTTP, address, port, endpoint->url);       /* a literal always fits */
}

int endpoint_parse(struct endpoint *endpoint, const char *url) {
        struct endpoint parsed = {};
        struct url parts;

        if (url_parse_endpoint(url, &parts, parsed.url) < 0)
                return -EINVAL;

        parsed.port = parts.port;
        if (parts.scheme == URL_UNIX)
                snprintf(parsed.socket, sizeof parsed.socket, "%s", parts.path);
        *endpoint = parsed;
        return 0;
}

void endpoint_host(const struct endpoint *endpoint, char host[static HOST_MAX]) {
        const char *start = strstr(endpoint->url, "://"), *escape;
        size_t size;

        host[0] = '\0';
        if (endpoint->socket[0] || !start)
                return;

        start += strlen("://");
        if (*start == '[')
                size = strcspn(++start, "]");
        else
                size = strcspn(start, ":");
        memcpy(host, start, size);
        host[size] = '\0';

        escape = strstr(host, "%25");
        if (escape)
                memmove(host + (escape - host) + 1, escape + 3, strlen(escape + 3) + 1);
}

bool host_is_localhost(const char *host) {
        return ascii_equal_any_case(host, "localhost", SIZE_MAX);
}

static bool is_loopback_ipv4(struct in_addr address) {
        return ntohl(address.s_addr) >> 24 == IN_LOOPBACKNET;
}

bool host_is_loopback(const char *host) {
        char literal[INET6_ADDRSTRLEN];
        struct in6_addr v6;
        struct in_addr v4;
        size_t size = strlen(host);

        if (host_is_localhost(host))
                return true;
        if (inet_pton(AF_INET, host, &v4) == 1)
                return is_loopback_ipv4(v4);

        if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
                host++;
                size -= 2;
        }
        if (size >= sizeof literal)
                return false;
        memcpy(literal, host, size);
        literal[size] = '\0';
        if (inet_pton(AF_INET6, literal, &v6) != 1)
                return false;

        memcpy(&v4, v6.s6_addr + sizeof v6 - sizeof v4, sizeof v4);
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && is_loopback_ipv4(v4));
}

bool endpoint_is_loopback(const struct endpoint *endpoint) {
        char host[HOST_MAX];

        if (endpoint->socket[0])
                return true;
        endpoint_host(endpoint, host);
        return host_is_loopback(host);
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b) {
        return strcmp(a->url, b->url) == 0;
}

void endpoint_address_request(const struct endpoint *endpoint, const char *path,
                              struct http_request *request, char *buffer, size_t size) {
        bool is_socket = endpoint->socket[0];

        /* On a socket the URL only fills the Host header, which ToolHive does not look at. */
        snprintf(buffer, size, "%s%s", is_socket ? "http://localhost" : endpoint->url, path);
        request->url = buffer;
        request->unix_socket = is_socket ? endpoint->socket : NULL;
}
