/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The byte scanner: whether a body is JSON, before anything is allocated for it.
 *
 * One pass over the bytes, by a machine that knows what may come next and, in one
 * bit for each open container, whether that is an array or an object; so it needs
 * neither recursion nor memory, whatever it is sent. It is stricter than json-c in
 * all that json-c lets through: NaN, single quotes, raw control characters,
 * overlong UTF-8 and surrogates, NUL escapes (which cut a key short), `1.`.
 *
 * What this file lets pass is what json_slice.c walks without a further look at
 * the grammar.
 */

#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

#define TEXT_OF(number) TEXT_OF_(number)
#define TEXT_OF_(number) #number

enum expect {
        EXPECT_VALUE,
        EXPECT_VALUE_OR_END,            /* an array was just opened */
        EXPECT_KEY,
        EXPECT_KEY_OR_END,              /* an object was just opened */
        EXPECT_COLON,
        EXPECT_COMMA_OR_END,
        EXPECT_NOTHING,                 /* the value is whole */
};

struct scan {
        const char *at, *end;
        enum expect expect;
        uint64_t objects;               /* bit 0 is the innermost container: set for an object */
        unsigned depth;
        size_t values;
        const char *problem;
};

_Static_assert(JSON_DEPTH_MAX <= 64, "one bit for each level");

static bool refuse(struct scan *scan, const char *problem) {
        scan->problem = problem;
        return false;
}

static bool refuse_byte(struct scan *scan) {
        return refuse(scan, scan->at < scan->end ? "not JSON" : "JSON that is cut short");
}

static void skip_space(struct scan *scan) {
        while (scan->at < scan->end &&
               (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
                scan->at++;
}

static bool scan_literal(struct scan *scan, const char *literal) {
        for (; *literal; literal++, scan->at++)
                if (scan->at == scan->end || *scan->at != *literal)
                        return refuse_byte(scan);

        return true;
}

static bool scan_digits(struct scan *scan) {
        const char *start = scan->at;

        while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
                scan->at++;

        return scan->at > start || refuse_byte(scan);
}

static bool take(struct scan *scan, char byte) {
        if (scan->at == scan->end || *scan->at != byte)
                return false;

        scan->at++;
        return true;
}

static bool take_one_of(struct scan *scan, const char *bytes) {
        if (scan->at == scan->end || *scan->at == '\0' || !strchr(bytes, *scan->at))
                return false;

        scan->at++;
        return true;
}

static bool scan_number(struct scan *scan) {
        (void) take(scan, '-');
        if (!take(scan, '0') && !scan_digits(scan))
                return false;
        if (take(scan, '.') && !scan_digits(scan))
                return false;
        if (take_one_of(scan, "eE")) {
                (void) take_one_of(scan, "+-");
                if (!scan_digits(scan))
                        return false;
        }

        return true;
}

/* The four digits behind \u. */
static bool scan_hex(struct scan *scan, uint32_t *ret_unit) {
        uint32_t unit = 0;

        for (unsigned i = 0; i < 4; i++, scan->at++) {
                char c = scan->at < scan->end ? *scan->at : '\0';

                if (c >= '0' && c <= '9')
                        unit = unit << 4 | (uint32_t) (c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        unit = unit << 4 | (uint32_t) ((c | 0x20) - 'a' + 10);
                else
                        return refuse_byte(scan);
        }

        *ret_unit = unit;
        return true;
}

/* An escape, its backslash already taken. */
static bool scan_escape(struct scan *scan) {
        uint32_t unit = 0, second;

        if (take_one_of(scan, "\"\\/bfnrt"))
                return true;
        if (!take(scan, 'u'))
                return refuse_byte(scan);
        if (!scan_hex(scan, &unit))
                return false;

        if (unit == 0)
                return refuse(scan, "a NUL in a string");
        if (unit < 0xD800 || unit > 0xDFFF)
                return true;
        if (unit > 0xDBFF || !take(scan, '\\') || !take(scan, 'u'))
                return refuse(scan, "half a surrogate pair");
        if (!scan_hex(scan, &second))
                return false;

        return (second >= 0xDC00 && second <= 0xDFFF) || refuse(scan, "half a surrogate pair");
}

/* A string, its opening quote already taken. */
static bool scan_string(struct scan *scan) {
        while (scan->at < scan->end) {
                unsigned char c = (unsigned char) *scan->at;

                if (c >= 0x80) {
                        uint32_t code;
                        size_t left = (size_t) (scan->end - scan->at);
                        size_t length = utf8_decode(scan->at, left, &code);

                        if (length == 0)
                                return refuse(scan, "invalid UTF-8");
                        scan->at += length;
                        continue;
                }
                if (c < 0x20)
                        return refuse(scan, "a control character in a string");

                scan->at++;
                if (c == '"')
                        return true;
                if (c == '\\' && !scan_escape(scan))
                        return false;
        }

        return refuse_byte(scan);
}

/* What may follow once a value has ended. */
static enum expect after_value(const struct scan *scan) {
        return scan->depth > 0 ? EXPECT_COMMA_OR_END : EXPECT_NOTHING;
}

static bool open_container(struct scan *scan, bool object) {
        if (scan->depth == JSON_DEPTH_MAX)
                return refuse(scan, "nested deeper than " TEXT_OF(JSON_DEPTH_MAX));

        scan->at++;
        scan->depth++;
        scan->objects = scan->objects << 1 | object;
        scan->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
        return true;
}

static void close_container(struct scan *scan) {
        scan->at++;
        scan->depth--;
        scan->objects >>= 1;
        scan->expect = after_value(scan);
}

static bool scan_value(struct scan *scan) {
        if (++scan->values > JSON_VALUES_MAX)
                return refuse(scan, "too many values");

        scan->expect = after_value(scan);

        switch (*scan->at) {
        case '{':
                return open_container(scan, true);
        case '[':
                return open_container(scan, false);
        case '"':
                scan->at++;
                return scan_string(scan);
        case 't':
                return scan_literal(scan, "true");
        case 'f':
                return scan_literal(scan, "false");
        case 'n':
                return scan_literal(scan, "null");
        default:
                return scan_number(scan);
        }
}

/* One token: the byte at hand is neither white space nor the end. */
static bool scan_token(struct scan *scan) {
        bool in_object = scan->depth > 0 && (scan->objects & 1);
        char closing = in_object ? '}' : ']';

        switch (scan->expect) {
        case EXPECT_VALUE_OR_END:
                if (*scan->at == closing) {
                        close_container(scan);
                        return true;
                }
                return scan_value(scan);
        case EXPECT_VALUE:
                return scan_value(scan);
        case EXPECT_KEY_OR_END:
                if (*scan->at == closing) {
                        close_container(scan);
                        return true;
                }
                __attribute__((fallthrough));
        case EXPECT_KEY:
                scan->expect = EXPECT_COLON;
                return take(scan, '"') ? scan_string(scan) : refuse_byte(scan);
        case EXPECT_COLON:
                scan->expect = EXPECT_VALUE;
                return take(scan, ':') || refuse_byte(scan);
        case EXPECT_COMMA_OR_END:
                if (*scan->at == closing) {
                        close_container(scan);
                        return true;
                }
                scan->expect = in_object ? EXPECT_KEY : EXPECT_VALUE;
                return take(scan, ',') || refuse_byte(scan);
        case EXPECT_NOTHING:
                return refuse(scan, "more than one JSON value");
        }

        return refuse_byte(scan);
}

int json_scan(const char *body, size_t size, struct json_slice *ret_value,
              const char **ret_problem) {
        if (size == 0) {
                *ret_problem = "an empty body";
                return JSON_BAD;
        }

        struct scan scan = { .at = body, .end = body + size, .expect = EXPECT_VALUE };
        const char *start, *end = body;

        skip_space(&scan);
        start = scan.at;
        while (scan.at < scan.end) {
                if (!scan_token(&scan)) {
                        *ret_problem = scan.problem;
                        return JSON_BAD;
                }
                end = scan.at;
                skip_space(&scan);
        }

        if (scan.expect != EXPECT_NOTHING) {
                *ret_problem = "JSON that is cut short";
                return JSON_BAD;
        }

        *ret_value = (struct json_slice) { start, (size_t) (end - start) };
        return 0;
}
