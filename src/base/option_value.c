/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The syntax of values. Nothing here knows of options, ranges or defaults, and
 * nothing depends on the locale. Hosts and URLs have their grammar in base/url.h,
 * so that what is accepted here is an address to everybody else as well.
 */

#include "base/option_value.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/ascii.h"
#include "base/url.h"
#include "base/utf8.h"

#define NAMESPACE_SIZE_MAX ((size_t) 63)
#define HTTP_URL_SIZE_MAX ((size_t) ENDPOINT_URL_MAX - 1)
#define NAME_SIZE_MAX ((size_t) 255)

int value_parse_count(const char *value, uint64_t max, uint64_t *ret_count) {
        uint64_t count = 0;

        if (!*value)
                return VALUE_BAD;

        for (; *value; value++) {
                if (!ascii_is_digit(*value))
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

int value_parse_host(const char *value, char **ret_host) {
        char host[HOST_MAX], *copy;

        if (host_parse(value, host) < 0)
                return VALUE_BAD;

        copy = strdup(host);
        if (!copy)
                return -ENOMEM;

        *ret_host = copy;
        return 0;
}

bool value_is_api_url(const char *value) {
        char spelling[ENDPOINT_URL_MAX];
        struct url url;

        return url_parse_endpoint(value, &url, spelling) == 0;
}

bool value_is_http_url(const char *value) {
        struct url url;

        if (strlen(value) > HTTP_URL_SIZE_MAX || url_parse(value, &url) < 0 ||
            url.scheme == URL_UNIX)
                return false;

        for (const char *c = url.path; *c; c++)
                if (*c <= ' ' || *c >= 0x7F || strchr("?#\"<>\\", *c))
                        return false;

        return true;
}

bool value_is_namespace(const char *value) {
        size_t size = strlen(value);

        if (size == 0 || size > NAMESPACE_SIZE_MAX || value[0] == '-' || value[size - 1] == '-')
                return false;

        for (; *value; value++)
                if (!ascii_is_digit(*value) && !ascii_is_lower(*value) && *value != '-')
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

bool value_is_workload_name(const char *value) {
        size_t size = strlen(value);

        for (size_t i = 0; i < size; i++)
                if (!ascii_is_alphanumeric(value[i]) && !strchr("._-", value[i]))
                        return false;
        return size > 0 && size <= VALUE_WORKLOAD_NAME_MAX && strcmp(value, ".") != 0 &&
               strncmp(value, "..", 2) != 0;
}

bool value_is_setting_name(const char *name, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!ascii_is_alphanumeric(name[i]) && (!name[i] || !strchr("_-.", name[i])))
                        return false;
        return size > 0 && size <= VALUE_SETTING_NAME_MAX;
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
