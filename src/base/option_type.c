/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The types of options: how a value gets into its field of the settings, how it
 * is written again, and how a person is told what is accepted. The syntax comes
 * from base/option_value.h, the range and the words from the row.
 *
 * What a number accepts is worded from the range that it is tested against, so
 * the two cannot differ.
 */

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/ascii.h"
#include "base/option_table.h"

#define MILLION 1000000

/* Keywords: the field is an enum, which is kept in an unsigned where nothing is negative. */

static_assert(sizeof(enum runtime_mode) == sizeof(unsigned), "keywords are stored as unsigned");
static_assert(sizeof(enum log_level) == sizeof(unsigned), "keywords are stored as unsigned");
static_assert(sizeof(enum log_format) == sizeof(unsigned), "keywords are stored as unsigned");

static int keyword_parse(const struct option_row *row, const char *value, void *field) {
        for (unsigned i = 0; row->keywords[i]; i++)
                if (ascii_equal_any_case(value, row->keywords[i], SIZE_MAX)) {
                        memcpy(field, &i, sizeof(i));
                        return 0;
                }

        return VALUE_BAD;
}

static void keyword_format(const struct option_row *row, const void *field, struct text *text) {
        unsigned i;

        memcpy(&i, field, sizeof(i));
        text_add(text, row->keywords[i]);
}

static void keyword_accepted(const struct option_row *row, struct text *text) {
        for (const char *const *keyword = row->keywords; *keyword; keyword++) {
                if (keyword > row->keywords)
                        text_add(text, keyword[1] ? ", " : " or ");
                text_add(text, *keyword);
        }
}

const struct option_type option_type_keyword = {
        "WORD", keyword_parse, keyword_format, keyword_accepted,
};

/* Booleans */

static int boolean_parse(const struct option_row *row _unused_, const char *value, void *field) {
        static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (ascii_equal_any_case(value, words[i], SIZE_MAX)) {
                        *(bool *) field = i % 2;
                        return 0;
                }

        return VALUE_BAD;
}

static void boolean_format(const struct option_row *row _unused_, const void *field,
                           struct text *text) {
        text_add(text, *(const bool *) field ? "true" : "false");
}

static void boolean_accepted(const struct option_row *row _unused_, struct text *text) {
        text_add(text, "true, false, yes, no, on, off, 1 or 0");
}

const struct option_type option_type_boolean = {
        "BOOLEAN", boolean_parse, boolean_format, boolean_accepted,
};

/* Numbers */

static int count_parse(const struct option_row *row, const char *value, void *field) {
        uint64_t count;

        if (value_parse_count(value, row->max, &count) != 0 || count < row->min)
                return VALUE_BAD;

        *(unsigned *) field = (unsigned) count;
        return 0;
}

static void count_format(const struct option_row *row _unused_, const void *field,
                         struct text *text) {
        text_addf(text, "%u", *(const unsigned *) field);
}

static void count_accepted(const struct option_row *row, struct text *text) {
        text_addf(text, "a whole number from %" PRIu64 " to %" PRIu64, row->min, row->max);
}

const struct option_type option_type_count = {
        "NUMBER", count_parse, count_format, count_accepted,
};

/* Exact, with as few decimals as needed; with one at least where the default is written so. */
static void add_decimal(const struct option_row *row, uint64_t millionths, struct text *text) {
        uint64_t fraction = millionths % MILLION;
        int decimals = 6;

        text_addf(text, "%" PRIu64, millionths / MILLION);
        if (fraction == 0) {
                if (strchr(row->default_value, '.'))
                        text_add(text, ".0");
                return;
        }

        for (; fraction % 10 == 0; fraction /= 10)
                decimals--;
        text_addf(text, ".%0*" PRIu64, decimals, fraction);
}

static int decimal_parse(const struct option_row *row, const char *value,
                         uint64_t *ret_millionths) {
        uint64_t millionths;

        if (value_parse_decimal(value, row->max, &millionths) != 0 || millionths < row->min)
                return VALUE_BAD;

        *ret_millionths = millionths;
        return 0;
}

static void decimal_accepted(const struct option_row *row, const char *what, struct text *text) {
        text_add(text, what);
        text_add(text, " from ");
        add_decimal(row, row->min, text);
        text_add(text, " to ");
        add_decimal(row, row->max, text);
        text_add(text, ", with up to 6 decimals");
}

static int seconds_parse(const struct option_row *row, const char *value, void *field) {
        return decimal_parse(row, value, field);
}

static void seconds_format(const struct option_row *row, const void *field, struct text *text) {
        add_decimal(row, *(const usec_t *) field, text);
}

static void seconds_accepted(const struct option_row *row, struct text *text) {
        decimal_accepted(row, "seconds", text);
}

const struct option_type option_type_seconds = {
        "SECONDS", seconds_parse, seconds_format, seconds_accepted,
};

static int fraction_parse(const struct option_row *row, const char *value, void *field) {
        uint64_t millionths;

        if (decimal_parse(row, value, &millionths) != 0)
                return VALUE_BAD;

        *(double *) field = (double) millionths / MILLION;
        return 0;
}

static void fraction_format(const struct option_row *row, const void *field, struct text *text) {
        /* to the nearest: 0.3 × 1,000,000 is a little less than 300,000 */
        add_decimal(row, (uint64_t) (*(const double *) field * MILLION + 0.5), text);
}

static void fraction_accepted(const struct option_row *row, struct text *text) {
        decimal_accepted(row, "a number", text);
}

const struct option_type option_type_fraction = {
        "FRACTION", fraction_parse, fraction_format, fraction_accepted,
};

/* Ports: 0 in the field is none. */

static bool is_none(const struct option_row *row, const char *value) {
        return row->none && strcmp(value, "none") == 0;
}

static void add_or_none(const struct option_row *row, struct text *text) {
        if (row->none)
                text_add(text, ", or none");
}

static int port_parse(const struct option_row *row, const char *value, void *field) {
        uint64_t port = 0;

        if (!is_none(row, value) &&
            (value_parse_count(value, row->max, &port) != 0 || port < row->min))
                return VALUE_BAD;

        *(uint16_t *) field = (uint16_t) port;
        return 0;
}

static void port_format(const struct option_row *row _unused_, const void *field,
                        struct text *text) {
        uint16_t port = *(const uint16_t *) field;

        if (port)
                text_addf(text, "%u", port);
        else
                text_add(text, "none");
}

static void port_accepted(const struct option_row *row, struct text *text) {
        text_addf(text, "a port from %" PRIu64 " to %" PRIu64, row->min, row->max);
        add_or_none(row, text);
}

const struct option_type option_type_port = {
        "PORT", port_parse, port_format, port_accepted,
};

/* Strings: a field owns its string, and NULL in it is none. */

static void string_set(void *field, char *string) {
        char **fieldp = field;

        free(*fieldp);
        *fieldp = string;
}

static int string_parse(const struct option_row *row, const char *value, void *field,
                        bool (*is_accepted)(const char *value)) {
        char *string = NULL;

        if (!is_none(row, value)) {
                if (!is_accepted(value))
                        return VALUE_BAD;

                string = strdup(value);
                if (!string)
                        return -ENOMEM;
        }

        string_set(field, string);
        return 0;
}

static void string_format(const struct option_row *row _unused_, const void *field,
                          struct text *text) {
        const char *string = *(char *const *) field;

        text_add(text, string ? string : "none");
}

static int host_parse(const struct option_row *row _unused_, const char *value, void *field) {
        char *host;
        int r;

        r = value_parse_host(value, &host);
        if (r != 0)
                return r;

        string_set(field, host);
        return 0;
}

static void host_accepted(const struct option_row *row _unused_, struct text *text) {
        text_add(text, "a host name or an address, without scheme, port or slash");
}

const struct option_type option_type_host = {
        "HOST", host_parse, string_format, host_accepted,
};

static int api_url_parse(const struct option_row *row, const char *value, void *field) {
        return string_parse(row, value, field, value_is_api_url);
}

static void api_url_accepted(const struct option_row *row, struct text *text) {
        text_add(text, "http://HOST:PORT, https://HOST:PORT or unix:///PATH");
        add_or_none(row, text);
}

const struct option_type option_type_api_url = {
        "URL", api_url_parse, string_format, api_url_accepted,
};

static int http_url_parse(const struct option_row *row, const char *value, void *field) {
        int r;

        r = string_parse(row, value, field, value_is_http_url);
        if (r != 0)
                return r;

        /* Paths are appended to it. */
        char *url = *(char **) field;
        for (size_t size = url ? strlen(url) : 0; size > 0 && url[size - 1] == '/'; size--)
                url[size - 1] = '\0';
        return 0;
}

static void http_url_accepted(const struct option_row *row _unused_, struct text *text) {
        text_add(text, "an http:// or https:// URL without user, query and fragment");
}

const struct option_type option_type_http_url = {
        "URL", http_url_parse, string_format, http_url_accepted,
};

static int namespace_parse(const struct option_row *row, const char *value, void *field) {
        return string_parse(row, value, field, value_is_namespace);
}

static void namespace_accepted(const struct option_row *row, struct text *text) {
        text_add(text, "a namespace (up to 63 of a-z, 0-9 and -)");
        add_or_none(row, text);
}

const struct option_type option_type_namespace = {
        "NAMESPACE", namespace_parse, string_format, namespace_accepted,
};

static int path_parse(const struct option_row *row, const char *value, void *field) {
        return string_parse(row, value, field, value_is_path);
}

static void path_accepted(const struct option_row *row, struct text *text) {
        for (const char *const *keyword = row->keywords; keyword && *keyword; keyword++)
                text_addf(text, "%s, ", *keyword);
        text_add(text, "the path of a file");
        add_or_none(row, text);
}

const struct option_type option_type_path = {
        "PATH", path_parse, string_format, path_accepted,
};

/* Lists of names: NULL in the field is none. */

static int list_parse(const struct option_row *row, const char *value, void *field) {
        char **list = NULL, ***fieldp = field;
        int r;

        if (!is_none(row, value)) {
                r = value_parse_list(value, &list);
                if (r != 0)
                        return r;
        }

        free(*fieldp);
        *fieldp = list;
        return 0;
}

static void list_format(const struct option_row *row _unused_, const void *field,
                        struct text *text) {
        char **list = *(char **const *) field;

        if (!list)
                text_add(text, "none");

        for (size_t i = 0; list && list[i]; i++) {
                if (i > 0)
                        text_add(text, ",");
                text_add(text, list[i]);
        }
}

static void list_accepted(const struct option_row *row, struct text *text) {
        text_add(text, "names separated by commas");
        add_or_none(row, text);
}

const struct option_type option_type_list = {
        "NAMES", list_parse, list_format, list_accepted,
};
