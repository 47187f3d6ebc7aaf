/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The syntax of values. Nothing here knows of options, ranges or defaults; and
 * nothing here asks the network: whether a host exists is found out by
 * connecting, again and again, and not once at start.
 *
 * isalpha(3) and its like depend on the locale, so that letters and digits are
 * told by their ASCII codes.
 */

#include "base/option_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

#define HOST_SIZE_MAX ((size_t) 253)            /* RFC 1035, 2.3.4, as it is written in text */
#define LABEL_SIZE_MAX ((size_t) 63)
#define UNIX_PATH_SIZE_MAX ((size_t) 107)       /* sun_path without its NUL: unix(7) */
#define API_URL_SIZE_MAX ((size_t) 255)         /* what an endpoint holds */
#define HTTP_URL_SIZE_MAX ((size_t) 2000)
#define NAME_SIZE_MAX ((size_t) 255)

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_lower(char c) {
        return c >= 'a' && c <= 'z';
}

static bool is_upper(char c) {
        return c >= 'A' && c <= 'Z';
}

int value_parse_count(const char *value, uint64_t max, uint64_t *ret_count) {
        uint64_t count = 0;

        if (!*value)
                return VALUE_BAD;

        for (; *value; value++) {
                if (!is_digit(*value))
                        return VALUE_BAD;

                uint64_t digit = (uint64_t) (*value - '0');
                if (digit > max || count > (max - digit) / 10)
                        return VALUE_BAD;
                count = count * 10 + digit;
        }

        *ret_count = count;
        return 0;
}

int value_parse_decimal(const char *value, uint64_t max, uint64_t *ret_millionths) {
        const char *point = strchr(value, '.');
        size_t whole = point ? (size_t) (point - value) : strlen(value);
        size_t decimals = point ? strlen(point + 1) : 0;
        char digits[32];

        /* "1.5" is read as the count 1500000 */
        if (whole + decimals == 0 || decimals > 6 || whole + 6 >= sizeof(digits))
                return VALUE_BAD;

        memcpy(digits, value, whole);
        memset(digits + whole, '0', 6);
        if (decimals > 0)
                memcpy(digits + whole, point + 1, decimals);
        digits[whole + 6] = '\0';

        return value_parse_count(digits, max, ret_millionths);
}

static bool is_address(int family, const char *text) {
        struct in6_addr address;        /* the larger of the two */

        return inet_pton(family, text, &address) == 1;
}

/*
 * A last label of digits only makes it an address (RFC 1123, 2.1), and a bad one
 * where it was not recognised as an address: 256.1.1.1, 10.1.
 */
static bool is_host_name(const char *name) {
        size_t label = 0;
        bool digits_only = true;

        if (strlen(name) > HOST_SIZE_MAX)
                return false;

        for (char previous = '.';; previous = *name++) {
                if (*name == '.' || !*name) {
                        if (label == 0 || label > LABEL_SIZE_MAX || previous == '-')
                                return false;
                        if (!*name)
                                return !digits_only;

                        label = 0;
                        digits_only = true;
                        continue;
                }

                /* the underscore is in no host name of the RFC, and in many of containers */
                bool inner = label > 0 && (*name == '-' || *name == '_');
                if (!is_digit(*name) && !is_lower(*name) && !is_upper(*name) && !inner)
                        return false;

                digits_only = digits_only && is_digit(*name);
                label++;
        }
}

int value_parse_host(const char *value, char **ret_host) {
        size_t size = strlen(value);
        bool bracketed = size > 2 && value[0] == '[' && value[size - 1] == ']';
        _cleanup_(freep) char *host =
                bracketed ? strndup(value + 1, size - 2) : strndup(value, size);

        if (!host)
                return -ENOMEM;

        if (!is_address(AF_INET6, host) &&
            (bracketed || (!is_address(AF_INET, host) && !is_host_name(host))))
                return VALUE_BAD;

        /* Names have no case; "Localhost" is then "localhost" for whoever compares. */
        for (char *p = host; *p; p++)
                if (is_upper(*p))
                        *p = (char) (*p - 'A' + 'a');

        *ret_host = STEAL(host);
        return 0;
}

/* HOST or HOST:PORT, where an IPv6 address must have its brackets, or its end could not be told. */
static bool is_authority(const char *text, size_t size) {
        char host[HOST_SIZE_MAX + 1];
        const char *end = text + size, *colon;

        if (size > 0 && text[0] == '[') {
                const char *bracket = memchr(text, ']', size);

                if (!bracket)
                        return false;
                text++;
                colon = bracket + 1;
                if ((size_t) (bracket - text) >= sizeof(host))
                        return false;
                memcpy(host, text, (size_t) (bracket - text));
                host[bracket - text] = '\0';
                if (!is_address(AF_INET6, host))
                        return false;
        } else {
                colon = memchr(text, ':', size);
                if (!colon)
                        colon = end;
                if ((size_t) (colon - text) >= sizeof(host))
                        return false;
                memcpy(host, text, (size_t) (colon - text));
                host[colon - text] = '\0';
                if (!is_address(AF_INET, host) && !is_host_name(host))
                        return false;
        }

        if (colon == end)
                return true;

        char port[sizeof("65535")];
        uint64_t number;
        size_t digits = (size_t) (end - colon - 1);

        if (*colon != ':' || digits >= sizeof(port))
                return false;
        memcpy(port, colon + 1, digits);
        port[digits] = '\0';
        return value_parse_count(port, UINT16_MAX, &number) == 0 && number > 0;
}

/* What stands behind a scheme, which has no case (RFC 3986, 3.1); NULL: it has another. */
static const char *after_scheme(const char *value, const char *scheme) {
        size_t size = strlen(scheme);

        return strncasecmp(value, scheme, size) == 0 ? value + size : NULL;
}

/* Where the path of an http or https URL starts, at the latest its end; NULL: no such URL. */
static const char *http_url_path(const char *value) {
        const char *authority = after_scheme(value, "http://");

        if (!authority)
                authority = after_scheme(value, "https://");
        if (!authority)
                return NULL;

        size_t size = strcspn(authority, "/");
        return is_authority(authority, size) ? authority + size : NULL;
}

/* A path that can be bound, and needs no escape in a URL. */
static bool is_unix_path(const char *path) {
        size_t size = strlen(path);

        if (path[0] != '/' || path[size - 1] == '/' || size > UNIX_PATH_SIZE_MAX)
                return false;

        for (; *path; path++)
                if ((unsigned char) *path < ' ' || *path == 0x7F || *path == '?' || *path == '#')
                        return false;

        return true;
}

bool value_is_api_url(const char *value) {
        const char *path = after_scheme(value, "unix://");

        if (path)
                return is_unix_path(path);

        if (strlen(value) > API_URL_SIZE_MAX)
                return false;

        path = http_url_path(value);
        return path && (!*path || strcmp(path, "/") == 0);
}

bool value_is_http_url(const char *value) {
        if (strlen(value) > HTTP_URL_SIZE_MAX)
                return false;

        const char *path = http_url_path(value);
        if (!path)
                return false;

        for (; *path; path++)
                if (*path <= ' ' || *path >= 0x7F || strchr("?#\"<>\\", *path))
                        return false;

        return true;
}

bool value_is_namespace(const char *value) {
        size_t size = strlen(value);

        if (size == 0 || size > LABEL_SIZE_MAX || value[0] == '-' || value[size - 1] == '-')
                return false;

        for (; *value; value++)
                if (!is_digit(*value) && !is_lower(*value) && *value != '-')
                        return false;

        return true;
}

/* Whether all of a string is UTF-8 that can be shown. */
static bool is_clean(const char *string, size_t size) {
        for (size_t i = 0, length; i < size; i += length) {
                uint32_t code;

                length = utf8_decode(string + i, size - i, &code);
                if (length == 0 || utf8_is_dangerous(code))
                        return false;
        }

        return true;
}

/* Any byte but NUL may stand in a path; only one that names a folder can be no file's. */
bool value_is_path(const char *value) {
        size_t size = strlen(value);

        return size > 0 && size < PATH_MAX && value[size - 1] != '/';
}

int value_parse_list(const char *value, char ***ret_list) {
        size_t size = strlen(value) + 1, n = 1, filled = 0;

        for (const char *p = value; *p; p++)
                n += *p == ',';

        /* the pointers, their NULL, then the names */
        _cleanup_(freep) char **list = malloc((n + 1) * sizeof(char *) + size);
        if (!list)
                return -ENOMEM;

        char *name = memcpy(list + n + 1, value, size);
        for (char *next; name; name = next) {
                next = strchr(name, ',');
                if (next)
                        *next++ = '\0';

                name += strspn(name, " ");
                size_t length = strlen(name);
                while (length > 0 && name[length - 1] == ' ')
                        length--;
                name[length] = '\0';

                if (length == 0 || length > NAME_SIZE_MAX || !is_clean(name, length))
                        return VALUE_BAD;
                list[filled++] = name;
        }

        list[filled] = NULL;
        *ret_list = STEAL(list);
        return 0;
}
