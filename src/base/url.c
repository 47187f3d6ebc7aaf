/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hosts and URLs
 *
 * Strict on purpose. What inet_aton(3) would understand ("127.1", "0x7f.1"), what libcurl would
 * repair and what a name server would never have heard of is refused here, at start and with a
 * line that names the setting, rather than by a connection that fails for hours. What passes is
 * an address to libcurl as well: the zone of an IPv6 address, for one, has no more characters than
 * it takes.
 */

#include "base/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/ascii.h"

#define LABEL_SIZE_MAX ((size_t) 63)

static const struct {
        const char *prefix;
        uint16_t port;
} schemes[] = {
        [URL_HTTP] = { "http://", 80 },
        [URL_HTTPS] = { "https://", 443 },
        [URL_UNIX] = { "unix://", 0 },
};

static bool is_ipv4(const char *text) {
        struct in_addr address;

        return inet_pton(AF_INET, text, &address) == 1;
}

/*
 * A last label that is a number makes it an address (RFC 1123, 2.1), and a bad one
 * where it was not recognised as an address: 256.1.1.1, 10.1, and 0x7f000001, of
 * which libcurl makes 127.0.0.1.
 */
static bool is_number(const char *label) {
        if (label[0] == '0' && ascii_to_lower(label[1]) == 'x')
                return label[2 + strspn(label + 2, "0123456789abcdefABCDEF")] == '\0';
        return label[strspn(label, "0123456789")] == '\0';
}

static bool is_host_name(const char *name) {
        const char *last = name;
        size_t label = 0;

        for (char previous = '.';; previous = *name++) {
                if (*name == '.' || !*name) {
                        if (label == 0 || label > LABEL_SIZE_MAX || previous == '-')
                                return false;
                        if (!*name)
                                return !is_number(last);

                        label = 0;
                        last = name + 1;
                        continue;
                }

                /* the underscore is in no host name of the RFC, and in many of containers */
                bool inner = label > 0 && (*name == '-' || *name == '_');
                if (!ascii_is_alphanumeric(*name) && !inner)
                        return false;

                label++;
        }
}

/* The name of an interface, or its number; unlike a host it has upper and lower case. */
static bool is_zone(const char *zone) {
        if (!*zone)
                return false;
        for (; *zone; zone++)
                if (!ascii_is_alphanumeric(*zone) && !strchr("-._", *zone))
                        return false;
        return true;
}

/* Copies in lower case. */
static int copy_host(const char *text, size_t size, char ret_host[static HOST_MAX]) {
        if (size >= HOST_MAX)
                return -EINVAL;
        for (size_t i = 0; i < size; i++)
                ret_host[i] = ascii_to_lower(text[i]);
        ret_host[size] = '\0';
        return 0;
}

/*
 * What stands between brackets: an IPv6 address, and perhaps "%25" and a zone (RFC 6874).
 * Of the many spellings of an address it becomes the one of inet_ntop(3), as libcurl makes
 * it too: [0::1] is [::1].
 */
static int parse_bracketed(const char *text, size_t size, char ret_host[static HOST_MAX]) {
        const char *percent = memchr(text, '%', size);
        size_t before = percent ? (size_t) (percent - text) : size;
        char zone[IF_NAMESIZE + 1] = "";
        struct in6_addr address;

        if (percent) {
                size_t escaped = size - before;

                if (escaped < 3 || escaped - 3 >= IF_NAMESIZE || memcmp(percent, "%25", 3) != 0)
                        return -EINVAL;
                zone[0] = '%';
                memcpy(zone + 1, percent + 3, escaped - 3);
                zone[escaped - 2] = '\0';
                if (!is_zone(zone + 1))
                        return -EINVAL;
        }
        if (copy_host(text, before, ret_host) < 0 || inet_pton(AF_INET6, ret_host, &address) != 1 ||
            !inet_ntop(AF_INET6, &address, ret_host, HOST_MAX))
                return -EINVAL;

        memcpy(ret_host + strlen(ret_host), zone, strlen(zone) + 1);    /* an address has at most 45 characters */
        return 0;
}

static int parse_name(const char *text, size_t size, char ret_host[static HOST_MAX]) {
        if (copy_host(text, size, ret_host) < 0)
                return -EINVAL;
        return is_ipv4(ret_host) || is_host_name(ret_host) ? 0 : -EINVAL;
}

int host_parse(const char *text, char ret_host[static HOST_MAX]) {
        size_t size = strlen(text);

        if (memchr(text, '%', size))
                return -EINVAL;
        if (size > 2 && text[0] == '[' && text[size - 1] == ']')
                return parse_bracketed(text + 1, size - 2, ret_host);
        if (memchr(text, ':', size))
                return parse_bracketed(text, size, ret_host);
        return parse_name(text, size, ret_host);
}

/* Digits only, and no more than a port has. */
static int parse_port(const char *digits, size_t size, uint16_t *ret_port) {
        unsigned port = 0;

        if (size == 0 || size > 5)
                return -EINVAL;
        for (size_t i = 0; i < size; i++) {
                if (!ascii_is_digit(digits[i]))
                        return -EINVAL;
                port = port * 10 + (unsigned) (digits[i] - '0');
        }
        if (port == 0 || port > UINT16_MAX)
                return -EINVAL;

        *ret_port = (uint16_t) port;
        return 0;
}

/* HOST or HOST:PORT, where IPv6 must have its brackets, or its end could not be told. */
static int parse_authority(const char *text, size_t size, struct url *url) {
        bool brackets = size > 0 && text[0] == '[';
        const char *end = memchr(text, brackets ? ']' : ':', size);
        size_t host_size, rest;
        int r;

        if (brackets && !end)
                return -EINVAL;
        host_size = end ? (size_t) (end - text) + brackets : size;
        r = brackets ? parse_bracketed(text + 1, host_size - 2, url->host)
                     : parse_name(text, host_size, url->host);
        if (r < 0)
                return r;

        rest = size - host_size;
        if (rest == 0)
                return 0;
        if (text[host_size] != ':')
                return -EINVAL;
        return parse_port(text + host_size + 1, rest - 1, &url->port);
}

/* A path that can be bound, and needs no escape in a URL. */
static int parse_socket(const char *path) {
        size_t size = strlen(path);

        if (path[0] != '/' || path[size - 1] == '/' || size >= SOCKET_PATH_MAX)
                return -EINVAL;
        for (; *path; path++)
                if ((unsigned char) *path < ' ' || *path == 0x7F || *path == '?' || *path == '#')
                        return -EINVAL;
        return 0;
}

size_t url_escape(const char *text, char *buffer) {
        static const char hex[] = "0123456789ABCDEF";
        size_t n = 0;

        for (; *text; text++) {
                unsigned char byte = (unsigned char) *text;

                if (ascii_is_alphanumeric(*text) || strchr("-._~", *text))
                        buffer[n++] = *text;
                else {
                        buffer[n++] = '%';
                        buffer[n++] = hex[byte >> 4];
                        buffer[n++] = hex[byte & 15];
                }
        }
        buffer[n] = '\0';
        return n;
}

int url_parse(const char *text, struct url *ret_url) {
        for (size_t i = 0; i < ELEMENTSOF(schemes); i++) {
                struct url url = { .scheme = (enum url_scheme) i, .port = schemes[i].port };
                size_t size = strlen(schemes[i].prefix);
                int r;

                if (!ascii_equal_any_case(text, schemes[i].prefix, size))
                        continue;

                text += size;
                size = url.scheme == URL_UNIX ? 0 : strcspn(text, "/");
                url.path = text + size;
                r = url.scheme == URL_UNIX ? parse_socket(text) : parse_authority(text, size, &url);
                if (r < 0)
                        return r;

                *ret_url = url;
                return 0;
        }
        return -EINVAL;
}

int url_spell(enum url_scheme scheme, const char *host, uint16_t port,
              char ret_spelling[static ENDPOINT_URL_MAX]) {
        int before_zone = (int) strcspn(host, "%"), size;
        bool brackets = strchr(host, ':');

        /* The % before a zone is itself escaped. */
        size = snprintf(ret_spelling, ENDPOINT_URL_MAX, "%s%s%.*s%s%s%s:%u",
                        schemes[scheme].prefix, brackets ? "[" : "", before_zone, host,
                        host[before_zone] ? "%25" : "",
                        host[before_zone] ? host + before_zone + 1 : "", brackets ? "]" : "", port);
        return size < 0 || size >= ENDPOINT_URL_MAX ? -EINVAL : 0;
}

int url_parse_endpoint(const char *text, struct url *ret_url,
                       char ret_spelling[static ENDPOINT_URL_MAX]) {
        int r;

        r = url_parse(text, ret_url);
        if (r < 0)
                return r;
        if (ret_url->scheme == URL_UNIX) {
                snprintf(ret_spelling, ENDPOINT_URL_MAX, "%s%s", schemes[URL_UNIX].prefix,
                         ret_url->path);
                return 0;
        }
        if (ret_url->path[0] && strcmp(ret_url->path, "/") != 0)
                return -EINVAL;
        return url_spell(ret_url->scheme, ret_url->host, ret_url->port, ret_spelling);
}
