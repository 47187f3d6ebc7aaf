/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one grammar of hosts and URLs, for the settings that are read at start and
 * for the endpoints that are made of them, read from files or found. It does not
 * ask the network: whether a host exists is found out by connecting.
 *
 * http://HOST[:PORT][/PATH], https:// likewise, or unix:///PATH. No user, since
 * URLs are logged. Nothing here depends on the locale.
 */

#include "base/util.h"

#define HOST_MAX 254                    /* with its NUL (RFC 1035, 2.3.4) */
#define SOCKET_PATH_MAX 108             /* with its NUL: sun_path, see unix(7) */
#define ENDPOINT_URL_MAX 256            /* with its NUL */

enum url_scheme {
        URL_HTTP,
        URL_HTTPS,
        URL_UNIX,
};

struct url {
        enum url_scheme scheme;
        char host[HOST_MAX];            /* lower case, IPv6 without brackets, shortened; "" for a socket */
        uint16_t port;                  /* the scheme's where none is given; 0 for a socket */
        const char *path;               /* what follows, in the text; the path of a socket */
};

/*
 * A host by itself: a name or an address literal, IPv6 with or without brackets
 * and given back without, in its shortest form. An IPv6 zone stands in URLs only.
 * 0 or -EINVAL.
 */
int host_parse(const char *text, char ret_host[static HOST_MAX]);

/*
 * Copies text as one segment of a path or one value of a query: all but RFC 3986's
 * unreserved characters percent-encoded, each of which becomes three. Returns the
 * length; buffer has room for 3 × strlen(text) + 1.
 */
size_t url_escape(const char *text, char *buffer);

/* 0 or -EINVAL. The path of an http or https URL is left to the caller. */
int url_parse(const char *text, struct url *ret_url);

/*
 * A URL with nothing behind the authority but one slash, or of a socket; and its
 * one spelling: scheme and host in lower case, the port always written, no slash
 * behind. -EINVAL also where the spelling does not fit.
 */
int url_parse_endpoint(const char *text, struct url *ret_url,
                       char ret_spelling[static ENDPOINT_URL_MAX]);

/* That spelling, for a host as above, perhaps with a zone behind a plain %. 0 or -EINVAL. */
int url_spell(enum url_scheme scheme, const char *host, uint16_t port,
              char ret_spelling[static ENDPOINT_URL_MAX]);
