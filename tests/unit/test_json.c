/* SPDX-License-Identifier: Apache-2.0 */

/*
 * base/json.h: what is let in, what is not, and that what is let in can be walked.
 *
 * Texts are given to the scanner as heap copies of their exact size, without a
 * NUL behind them, so that valgrind and AddressSanitizer see any byte read too far.
 */

#include "base/json.h"
#include "base/utf8.h"
#include "suite.h"

#include <check.h>
#include <string.h>
#include <time.h>

/* A text with its size, which a NUL inside does not end. */
#define TEXT(literal) literal, sizeof(literal) - 1

static char *exact(const char *text, size_t size) {
        char *copy = malloc(size ?: 1);

        ck_assert_ptr_nonnull(copy);
        memcpy(copy, text, size);
        return copy;
}

/* The problem of a text, or NULL when the scan lets it pass. */
static const char *problem_of(const char *text, size_t size) {
        _cleanup_(freep) char *copy = exact(text, size);
        struct json_slice value = {};
        const char *problem = NULL;
        int r = json_scan(copy, size, &value, &problem);

        if (r == 0) {
                ck_assert_ptr_null(problem);
                ck_assert_uint_gt(value.size, 0);
                return NULL;
        }
        ck_assert_int_eq(r, JSON_BAD);
        ck_assert_ptr_nonnull(problem);
        ck_assert_ptr_null(value.data);         /* untouched */
        return problem;
}

/* The slice of a literal that must be good; literals outlive the test. */
static struct json_slice slice_of(const char *text) {
        struct json_slice value;
        const char *problem = "";

        ck_assert_msg(json_scan(text, strlen(text), &value, &problem) == 0, "%s: %s", text, problem);
        return value;
}

static bool slice_is(struct json_slice slice, const char *text) {
        return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

START_TEST(scan_accepts) {
        static const char *const texts[] = {
                "{}", "[]", "0", "-0", "\"\"", "true", "false", "null",
                " \t\r\n{ \"a\" : [ 1 , 2 ] } \n",
                "[0.5,-1.25e10,1E+2,1e-2,10,1e999,123456789012345678901234567890]",
                "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\uabcd\\uABCD\"",
                "\"\\ud83d\\ude00\"", "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"\\ud7ff\\ue000\"",
                "\"\x7f\"", "\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\"",
                "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"",
                "{\"a\":{\"a\":{}},\"\":null}", "[[[]],[{}],{}]", "{\"a\":1,\"a\":2}",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                const char *problem = problem_of(texts[i], strlen(texts[i]));

                ck_assert_msg(!problem, "%s: %s", texts[i], problem);
        }
}
END_TEST

START_TEST(scan_refuses) {
        static const struct {
                const char *text;
                size_t size;
                const char *problem;
        } rows[] = {
                { TEXT(""), "an empty body" },
                { TEXT(" \n"), "JSON that is cut short" },
                { TEXT("{"), "JSON that is cut short" },
                { TEXT("{\"a\""), "JSON that is cut short" },
                { TEXT("{\"a\":"), "JSON that is cut short" },
                { TEXT("{\"a\":1,"), "JSON that is cut short" },
                { TEXT("[1"), "JSON that is cut short" },
                { TEXT("\"abc"), "JSON that is cut short" },
                { TEXT("\"abc\\"), "JSON that is cut short" },
                { TEXT("\"\\u12"), "JSON that is cut short" },
                { TEXT("tru"), "JSON that is cut short" },
                { TEXT("-"), "JSON that is cut short" },
                { TEXT("1."), "JSON that is cut short" },
                { TEXT("1e"), "JSON that is cut short" },
                { TEXT("{}x"), "more than one JSON value" },
                { TEXT("{}{}"), "more than one JSON value" },
                { TEXT("{}]"), "more than one JSON value" },
                { TEXT("1 2"), "more than one JSON value" },
                { TEXT("0x10"), "more than one JSON value" },
                { TEXT("007"), "more than one JSON value" },
                { TEXT("{}\0"), "more than one JSON value" },
                { TEXT("{\"a\":1,}"), "not JSON" },
                { TEXT("[1,]"), "not JSON" },
                { TEXT("[,1]"), "not JSON" },
                { TEXT("[1 2]"), "not JSON" },
                { TEXT("{\"a\" 1}"), "not JSON" },
                { TEXT("{\"a\":}"), "not JSON" },
                { TEXT("{1:2}"), "not JSON" },
                { TEXT("{a:2}"), "not JSON" },
                { TEXT("{,}"), "not JSON" },
                { TEXT("[}"), "not JSON" },
                { TEXT("{]"), "not JSON" },
                { TEXT("]"), "not JSON" },
                { TEXT("[1}"), "not JSON" },
                { TEXT("{\"a\":1]"), "not JSON" },
                { TEXT("'a'"), "not JSON" },
                { TEXT("NaN"), "not JSON" },
                { TEXT("nan"), "not JSON" },
                { TEXT("Infinity"), "not JSON" },
                { TEXT("-Infinity"), "not JSON" },
                { TEXT("[-]"), "not JSON" },
                { TEXT("[1.]"), "not JSON" },
                { TEXT("[.5]"), "not JSON" },
                { TEXT("[+1]"), "not JSON" },
                { TEXT("[1e+]"), "not JSON" },
                { TEXT("[01]"), "not JSON" },
                { TEXT("TRUE"), "not JSON" },
                { TEXT("[truE]"), "not JSON" },
                { TEXT("/* */ {}"), "not JSON" },
                { TEXT("{} // x"), "more than one JSON value" },
                { TEXT("[1,/**/2]"), "not JSON" },
                { TEXT("[\0]"), "not JSON" },
                { TEXT("[\v]"), "not JSON" },
                { TEXT("\xEF\xBB\xBF{}"), "not JSON" },
                { TEXT("<html>"), "not JSON" },
                { TEXT("404 page not found\n"), "more than one JSON value" },
                { TEXT("\"\\x41\""), "not JSON" },
                { TEXT("\"\\u00g0\""), "not JSON" },
                { TEXT("\"\\'\""), "not JSON" },
                { TEXT("\"\\\0\""), "not JSON" },
                { TEXT("\"a\0b\""), "a control character in a string" },
                { TEXT("\"a\nb\""), "a control character in a string" },
                { TEXT("\"\x1f\""), "a control character in a string" },
                { TEXT("{\"a\tb\":1}"), "a control character in a string" },
                { TEXT("\"\\u0000\""), "a NUL in a string" },
                { TEXT("{\"port\\u0000x\":1}"), "a NUL in a string" },
                { TEXT("\"\\ud800\""), "half a surrogate pair" },
                { TEXT("\"\\udc00\""), "half a surrogate pair" },
                { TEXT("\"\\ud800x\""), "half a surrogate pair" },
                { TEXT("\"\\ud800\\n\""), "half a surrogate pair" },
                { TEXT("\"\\ud800\\ud800\""), "half a surrogate pair" },
                { TEXT("\"\\udc00\\ud800\""), "half a surrogate pair" },
                { TEXT("\"\x80\""), "invalid UTF-8" },
                { TEXT("\"\xC0\xAF\""), "invalid UTF-8" },
                { TEXT("\"\xC1\xBF\""), "invalid UTF-8" },
                { TEXT("\"\xE0\x9F\xBF\""), "invalid UTF-8" },
                { TEXT("\"\xED\xA0\x80\""), "invalid UTF-8" },
                { TEXT("\"\xF0\x8F\xBF\xBF\""), "invalid UTF-8" },
                { TEXT("\"\xF4\x90\x80\x80\""), "invalid UTF-8" },
                { TEXT("\"\xF5\x80\x80\x80\""), "invalid UTF-8" },
                { TEXT("\"\xFF\""), "invalid UTF-8" },
                { TEXT("\"\xC3\""), "invalid UTF-8" },
                { TEXT("\"\xE2\x82"), "invalid UTF-8" },
                { TEXT("{\"\xC3\":1}"), "invalid UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *problem = problem_of(rows[i].text, rows[i].size);

                ck_assert_msg(problem, "row %zu (%s) was let in", i, rows[i].text);
                ck_assert_str_eq(problem, rows[i].problem);
        }
}
END_TEST

/* A document that lacks its end is refused, wherever it was cut. */
START_TEST(scan_refuses_every_prefix) {
        static const char text[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\xE2\x82\xAC\",true,null],\"b\":{}}";

        for (size_t size = 0; size < sizeof(text) - 1; size++)
                ck_assert_msg(problem_of(text, size), "the first %zu bytes were let in", size);
        ck_assert_ptr_null(problem_of(text, sizeof(text) - 1));
}
END_TEST

START_TEST(scan_depth) {
        static const struct {
                const char *open, *inner, *close;
        } rows[] = {
                { "[", "", "]" },
                { "[", "1", "]" },
                { "{\"a\":", "\"x\"", "}" },
                { "[{\"a\":", "[]", "}]" },     /* two levels at a time, and one */
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (unsigned n = 1; n <= 40; n++) {
                        unsigned levels = i == 3 ? 2 * n + 1 : n;
                        char text[1024] = "";

                        for (unsigned j = 0; j < n; j++)
                                strcat(text, rows[i].open);
                        strcat(text, rows[i].inner);
                        for (unsigned j = 0; j < n; j++)
                                strcat(text, rows[i].close);

                        const char *problem = problem_of(text, strlen(text));
                        if (levels <= JSON_DEPTH_MAX) {
                                struct json_object *tree = NULL;

                                ck_assert_msg(!problem, "%s: %s", text, problem);
                                ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), 0);
                                json_object_put(tree);
                        } else
                                ck_assert_str_eq(problem, "nested deeper than 32");
                }

        /* a depth that no stack would hold */
        char *deep = malloc(8 << 20);
        ck_assert_ptr_nonnull(deep);
        memset(deep, '[', 8 << 20);
        ck_assert_str_eq(problem_of(deep, 8 << 20), "nested deeper than 32");
        free(deep);
}
END_TEST

START_TEST(scan_counts_values) {
        static const struct {
                size_t zeros;           /* beside the array itself */
                bool accepted;
        } rows[] = {
                { JSON_VALUES_MAX - 1, true },
                { JSON_VALUES_MAX, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t size = 2 * rows[i].zeros + 1;
                char *text = malloc(size);

                ck_assert_ptr_nonnull(text);
                text[0] = '[';
                for (size_t j = 0; j < rows[i].zeros; j++) {
                        text[1 + 2 * j] = '0';
                        text[2 + 2 * j] = ',';
                }
                text[size - 1] = ']';

                const char *problem = problem_of(text, size);
                if (rows[i].accepted)
                        ck_assert_ptr_null(problem);
                else
                        ck_assert_str_eq(problem, "too many values");
                free(text);
        }
}
END_TEST

/* Four bytes of which the first two begin a character of this length, or none when it is 0. */
static void check_character(const unsigned char bytes[static 4], size_t length) {
        uint32_t code;

        if (length > 2 && (bytes[2] & 0xC0) != 0x80)
                length = 0;
        if (length > 3 && (bytes[3] & 0xC0) != 0x80)
                length = 0;

        /* millions of calls: too many for the notes that check takes of each assertion */
        if (utf8_decode((const char *) bytes, 4, &code) != length)
                ck_abort_msg("%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
        if (length > 1 && utf8_decode((const char *) bytes, length - 1, &code) != 0)
                ck_abort_msg("%02x %02x %02x %02x, cut", bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* The table of RFC 3629, section 4, and nothing else. */
START_TEST(utf8_table) {
        static const struct {
                unsigned char first[2], second[2];
                size_t length;
        } table[] = {
                { { 0xC2, 0xDF }, { 0x80, 0xBF }, 2 },
                { { 0xE0, 0xE0 }, { 0xA0, 0xBF }, 3 },
                { { 0xE1, 0xEC }, { 0x80, 0xBF }, 3 },
                { { 0xED, 0xED }, { 0x80, 0x9F }, 3 },
                { { 0xEE, 0xEF }, { 0x80, 0xBF }, 3 },
                { { 0xF0, 0xF0 }, { 0x90, 0xBF }, 4 },
                { { 0xF1, 0xF3 }, { 0x80, 0xBF }, 4 },
                { { 0xF4, 0xF4 }, { 0x80, 0x8F }, 4 },
        };
        static const unsigned char tails[] = { 0x00, 0x22, 0x7F, 0x80, 0xA5, 0xBF, 0xC0, 0xFF };

        for (unsigned a = 0; a < 256; a++)
                for (unsigned b = 0; b < 256; b++) {
                        size_t expected = a < 0x80 ? 1 : 0;

                        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                                if (a >= table[i].first[0] && a <= table[i].first[1] &&
                                    b >= table[i].second[0] && b <= table[i].second[1])
                                        expected = table[i].length;

                        for (size_t i = 0; i < ELEMENTSOF(tails); i++)
                                for (size_t j = 0; j < ELEMENTSOF(tails); j++) {
                                        const unsigned char bytes[] = {
                                                (unsigned char) a, (unsigned char) b, tails[i], tails[j]
                                        };

                                        check_character(bytes, expected);
                                }
                }
}
END_TEST

START_TEST(walk) {
        static const char text[] = " { \"a\" : 1 ,\"b\\\"\":[ \"x\\\\\" , {\"c\":\"]}\"} ,null ]\n,\"\":-2.5e3} ";
        struct json_slice object = slice_of(text), key, value, list;
        size_t position = 0;

        ck_assert_uint_eq(json_slice_count(object), 3);

        ck_assert(json_slice_next(object, &position, &key, &value));
        ck_assert(slice_is(key, "\"a\"") && slice_is(value, "1"));
        ck_assert(json_slice_next(object, &position, &key, &list));
        ck_assert(slice_is(key, "\"b\\\"\"") &&
                  slice_is(list, "[ \"x\\\\\" , {\"c\":\"]}\"} ,null ]"));
        ck_assert(json_slice_next(object, &position, &key, &value));
        ck_assert(slice_is(key, "\"\"") && slice_is(value, "-2.5e3"));
        ck_assert(!json_slice_next(object, &position, &key, &value));
        ck_assert(!json_slice_next(object, &position, &key, &value));

        position = 0;
        ck_assert_uint_eq(json_slice_count(list), 3);
        ck_assert(json_slice_next(list, &position, &key, &value));
        ck_assert(slice_is(value, "\"x\\\\\"") && key.size == 0);
        ck_assert(json_slice_next(list, &position, &key, &value));
        ck_assert(slice_is(value, "{\"c\":\"]}\"}"));
        ck_assert(json_slice_next(list, &position, &key, &value));
        ck_assert(slice_is(value, "null"));
        ck_assert(!json_slice_next(list, &position, &key, &value));

        static const char *const no_entries[] = { "[]", "{ }", "[\n]", "1", "\"[1]\"", "null" };
        for (size_t i = 0; i < ELEMENTSOF(no_entries); i++)
                ck_assert_uint_eq(json_slice_count(slice_of(no_entries[i])), 0);
}
END_TEST

START_TEST(types) {
        static const struct {
                const char *text;
                char type;
        } rows[] = {
                { "{}", '{' }, { "[]", '[' }, { "\"\"", '"' }, { "true", 't' }, { "false", 'f' },
                { "null", 'n' }, { "0", '0' }, { "7.5", '0' }, { "-1", '0' },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_int_eq(json_type_of(slice_of(rows[i].text)), rows[i].type);
}
END_TEST

START_TEST(member) {
        static const struct {
                const char *text;
                int expected;
                const char *value;              /* NULL: untouched */
        } rows[] = {
                { "{\"key\":1}", 0, "1" },
                { "{\"a\":{\"key\":2},\"key\":[3]}", 0, "[3]" },
                { "{\"\\u006bey\":4}", 0, "4" },
                { "{\"k\\u0065y\":false}", 0, "false" },
                { "{\"key\":null}", JSON_ABSENT, "null" },
                { "{}", JSON_ABSENT, NULL },
                { "{\"keys\":1,\"ke\":1,\"KEY\":1,\"key \":1}", JSON_ABSENT, NULL },
                { "{\"a\":{\"key\":1}}", JSON_ABSENT, NULL },
                { "{\"a\":\"key\"}", JSON_ABSENT, NULL },
                { "[\"key\",1]", JSON_ABSENT, NULL },
                { "\"key\"", JSON_ABSENT, NULL },
                { "{\"key\":1,\"key\":1}", JSON_DUPLICATE, NULL },
                { "{\"key\":1,\"\\u006bey\":null}", JSON_DUPLICATE, NULL },
                { "{\"key\":null,\"b\":1,\"key\":null}", JSON_DUPLICATE, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct json_slice value = {};

                ck_assert_int_eq(json_slice_member(slice_of(rows[i].text), "key", &value),
                                 rows[i].expected);
                if (rows[i].value)
                        ck_assert(slice_is(value, rows[i].value));
                else
                        ck_assert_ptr_null(value.data);
        }
}
END_TEST

START_TEST(strings) {
        static const struct {
                const char *text, *expected;    /* NULL: no string */
        } rows[] = {
                { "\"\"", "" },
                { "\"plain\"", "plain" },
                { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
                { "\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80" },
                { "\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff\"", "\x01\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF" },
                { "\"\\ud800\\udc00\\udbff\\udfff\"", "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF" },
                { "\"\xE2\x82\xAC\\\\\"", "\xE2\x82\xAC\\" },
                { "12", NULL }, { "[\"a\"]", NULL }, { "null", NULL }, { "{}", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char buffer[64];
                struct json_slice slice = slice_of(rows[i].text);

                ck_assert_int_eq(json_slice_string(slice, buffer, sizeof(buffer)),
                                 rows[i].expected != NULL);
                if (!rows[i].expected)
                        continue;
                ck_assert_str_eq(buffer, rows[i].expected);

                /* the very size, and each that is too small */
                for (size_t size = 1; size <= strlen(rows[i].expected) + 1; size++) {
                        _cleanup_(freep) char *small = malloc(size);

                        ck_assert_ptr_nonnull(small);
                        ck_assert_int_eq(json_slice_string(slice, small, size),
                                         size == strlen(rows[i].expected) + 1);
                }
        }
}
END_TEST

START_TEST(measure) {
        static const struct {
                const char *text;
                size_t values, pairs;
        } rows[] = {
                { "1", 1, 0 },
                { "\"a,b:{[\"", 1, 0 },
                { "[1,2,3]", 4, 0 },
                { "{\"a:\":1,\"b\":{\"c\":[true]}}", 5, 3 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t values, pairs;

                json_slice_measure(slice_of(rows[i].text), &values, &pairs);
                ck_assert_uint_eq(values, rows[i].values);
                ck_assert_uint_eq(pairs, rows[i].pairs);
        }
}
END_TEST

START_TEST(parse) {
        static const struct {
                const char *text;
                const char *problem;            /* NULL: it has a tree */
        } rows[] = {
                { "{}", NULL }, { "[]", NULL }, { "17", NULL }, { "-0.5e-3", NULL }, { "true", NULL },
                { "\"x\"", NULL }, { "{\"a\":{\"a\":{\"a\":null}}}", NULL },
                { "[{\"a\":1},{\"a\":1}]", NULL },
                { "{\"a\":1,\"a\":1}", "a duplicate key" },
                { "{\"a\":1,\"\\u0061\":1}", "a duplicate key" },
                { "[0,{\"b\":[{\"a\":1,\"c\":2,\"a\":3}]}]", "a duplicate key" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_object_putp) struct json_object *tree = NULL;
                const char *problem = NULL;
                int r = json_parse(slice_of(rows[i].text), &tree, &problem);

                ck_assert_int_eq(r, rows[i].problem ? JSON_BAD : 0);
                if (rows[i].problem)
                        ck_assert_str_eq(problem, rows[i].problem);
                ck_assert_int_eq(tree != NULL, rows[i].problem == NULL);
        }

        /* null is a value, and its tree is NULL */
        struct json_object *tree = (struct json_object *) 1;
        const char *problem;
        ck_assert_int_eq(json_parse(slice_of("null"), &tree, &problem), 0);
        ck_assert_ptr_null(tree);
}
END_TEST

/* A slice ends where it ends: what follows in the body is not read as part of it. */
START_TEST(parse_a_piece) {
        struct json_slice list = slice_of("[12,\"ab\",{\"a\":1},345]"), key, value;
        static const char *const expected[] = { "12", "\"ab\"", "{\"a\":1}", "345" };
        size_t position = 0, n = 0;

        while (json_slice_next(list, &position, &key, &value)) {
                _cleanup_(json_object_putp) struct json_object *tree = NULL;
                const char *problem;

                ck_assert_int_eq(json_parse(value, &tree, &problem), 0);
                ck_assert_str_eq(json_object_to_json_string_ext(tree, JSON_C_TO_STRING_PLAIN),
                                 expected[n++]);
        }
        ck_assert_uint_eq(n, ELEMENTSOF(expected));
}
END_TEST

START_TEST(parse_limits) {
        static char text[JSON_ENTRY_SIZE_MAX + 2];
        struct json_object *tree = NULL;
        const char *problem = NULL;

        memset(text, 'x', sizeof(text) - 1);
        text[0] = text[JSON_ENTRY_SIZE_MAX - 1] = '"';
        text[JSON_ENTRY_SIZE_MAX] = '\0';
        ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), 0);
        json_object_put(tree);

        text[JSON_ENTRY_SIZE_MAX - 1] = 'x';
        text[JSON_ENTRY_SIZE_MAX] = '"';
        ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), JSON_BAD);
        ck_assert_str_eq(problem, "too large");

        for (size_t i = 0; i <= JSON_ENTRY_VALUES_MAX; i++)
                memcpy(text + 2 * i, i == 0 ? "[0" : ",0", 2);
        strcpy(text + 2 * (JSON_ENTRY_VALUES_MAX - 1), "]");
        ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), 0);
        json_object_put(tree);

        strcpy(text + 2 * (JSON_ENTRY_VALUES_MAX - 1), ",0]");
        ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), JSON_BAD);
        ck_assert_str_eq(problem, "too many values");
}
END_TEST

START_TEST(typed_members) {
        static const char text[] =
                "{\"string\":\"80\",\"empty\":\"\",\"int\":80,\"negative\":-1,\"float\":80.0,\"exp\":8e1,"
                "\"true\":true,\"false\":false,\"null\":null,\"object\":{},\"array\":[],"
                "\"max\":9223372036854775807,\"over\":9223372036854775808,\"huge\":1e999,"
                "\"far\":99999999999999999999999,\"least\":-9223372036854775808,"
                "\"under\":-99999999999999999999999}";
        static const struct {
                const char *key;
                int string, integer, boolean, object;
        } rows[] = {
                { "string",   0,           JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "empty",    0,           JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "int",      JSON_TYPE,   0,           JSON_TYPE,   JSON_TYPE },
                { "negative", JSON_TYPE,   0,           JSON_TYPE,   JSON_TYPE },
                { "float",    JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "exp",      JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "true",     JSON_TYPE,   JSON_TYPE,   0,           JSON_TYPE },
                { "false",    JSON_TYPE,   JSON_TYPE,   0,           JSON_TYPE },
                { "null",     JSON_ABSENT, JSON_ABSENT, JSON_ABSENT, JSON_ABSENT },
                { "missing",  JSON_ABSENT, JSON_ABSENT, JSON_ABSENT, JSON_ABSENT },
                { "object",   JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   0 },
                { "array",    JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "max",      JSON_TYPE,   0,           JSON_TYPE,   JSON_TYPE },
                { "over",     JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "huge",     JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "far",      JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "least",    JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
                { "under",    JSON_TYPE,   JSON_TYPE,   JSON_TYPE,   JSON_TYPE },
        };
        _cleanup_(json_object_putp) struct json_object *tree = NULL;
        const char *problem, *string = NULL;
        struct json_object *object, *array;
        int64_t number = 0;
        bool truth = false;

        ck_assert_int_eq(json_parse(slice_of(text), &tree, &problem), 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *key = rows[i].key;

                ck_assert_int_eq(json_get_string(tree, key, &string), rows[i].string);
                ck_assert_int_eq(json_get_int(tree, key, INT64_MIN, INT64_MAX, &number),
                                 rows[i].integer);
                ck_assert_int_eq(json_get_bool(tree, key, &truth), rows[i].boolean);
                ck_assert_int_eq(json_get_object(tree, key, &object), rows[i].object);
        }
        ck_assert_int_eq(number, INT64_MAX);

        ck_assert_int_eq(json_get_int(tree, "int", 80, 80, &number), 0);
        ck_assert_int_eq(number, 80);
        ck_assert_int_eq(json_get_int(tree, "int", 81, 100, &number), JSON_TYPE);
        ck_assert_int_eq(json_get_int(tree, "int", 0, 79, &number), JSON_TYPE);
        ck_assert_int_eq(json_get_int(tree, "negative", 0, 65535, &number), JSON_TYPE);
        ck_assert_int_eq(number, 80);

        /* what is no object has no members */
        array = json_object_object_get(tree, "array");
        ck_assert_int_eq(json_get_string(array, "string", &string), JSON_ABSENT);
        ck_assert_int_eq(json_get_string(NULL, "string", &string), JSON_ABSENT);
}
END_TEST

START_TEST(clean_names) {
        static const struct {
                const char *name;
                size_t max;
                bool clean;
        } rows[] = {
                { "a", 1, true },
                { "everything", 10, true },
                { "everything", 9, false },
                { "io.github.x/y-z_1 2~", 253, true },
                { "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", 253, true },
                { "\xE2\x82\xAC", 3, true },
                { "\xE2\x82\xAC", 2, false },
                { "", 253, false },
                { "a\nb", 253, false },
                { "\t", 253, false },
                { "\x1b[31m", 253, false },
                { "\x01", 253, false },
                { "\x7f", 253, false },
                { "\xC2\x85", 253, false },         /* next line */
                { "\xC2\x9B" "31m", 253, false },   /* the one-byte form of ESC [ */
                { "\xE2\x80\xA8", 253, false },     /* line separator */
                { "\xE2\x80\xAE", 253, false },     /* right-to-left override */
                { "\xE2\x81\xA6", 253, false },     /* left-to-right isolate */
                { "\xD8\x9C", 253, false },         /* Arabic letter mark */
                { "\xEF\xBB\xBF", 253, false },     /* byte order mark */
                { "\xF3\xA0\x80\x81", 253, false }, /* a tag */
                { "\xFF", 253, false },
                { "a\xC3", 253, false },
                { "\xC0\xAF", 253, false },
                { "\xED\xA0\x80", 253, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_msg(json_is_clean_name(rows[i].name, rows[i].max) == rows[i].clean,
                              "row %zu", i);
}
END_TEST

static uint64_t random_state;

static uint64_t next_random(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

static void seed(void) {
        const char *given = getenv("TEST_SEED");

        random_state = given ? strtoull(given, NULL, 10) : (uint64_t) time(NULL);
        random_state = random_state ?: 1;
        printf("TEST_SEED=%llu\n", (unsigned long long) random_state);
        fflush(stdout);
}

/* Walks all of a value beside its tree: as many entries, and the strings alike. */
static void compare(struct json_slice value, struct json_object *tree) {
        struct json_slice key, entry;
        size_t position = 0, n = 0;
        char text[512];

        if (json_slice_string(value, text, sizeof(text)))
                ck_assert_str_eq(text, json_object_get_string(tree));

        while (json_slice_next(value, &position, &key, &entry)) {
                struct json_object *child = NULL;

                if (key.size == 0)
                        child = json_object_array_get_idx(tree, n);
                else {
                        ck_assert(json_slice_string(key, text, sizeof(text)));
                        ck_assert(json_object_object_get_ex(tree, text, &child));
                }
                compare(entry, child);
                n++;
        }

        if (json_object_is_type(tree, json_type_array))
                ck_assert_uint_eq(n, json_object_array_length(tree));
        if (json_object_is_type(tree, json_type_object))
                ck_assert_int_eq((int) n, json_object_object_length(tree));
}

/*
 * Thousands of documents that are nearly right. Whatever the scan lets pass,
 * json-c understands too, and the walk sees in it what json-c sees.
 */
START_TEST(mutations) {
        static const char document[] =
                "{\"workloads\":[{\"name\":\"a\\u0041\\ud83d\\ude00\",\"port\":-1.5e3,\"ok\":true,"
                "\"labels\":{\"x\\\\\":\"y\\\"\",\"\":[null,[],{}]}},{\"name\":\"\xE2\x82\xAC\"},[[[1,2],3]]]}";
        static const char alphabet[] = "{}[]\",:\\u0019dDcCeE+-. \n\ttfnrb/'\x01\x7f\x80\xC0\xE2\xED\xF4\xFF";
        size_t passed = 0;

        seed();
        for (unsigned round = 0; round < 20000; round++) {
                char text[2 * sizeof(document)];
                size_t size = sizeof(document) - 1;

                memcpy(text, document, size);
                for (uint64_t n = 1 + next_random() % 3; n > 0; n--) {
                        size_t at = next_random() % size, piece = 1 + next_random() % 8;

                        piece = piece < size - at ? piece : size - at;
                        switch (next_random() % 4) {
                        case 0:         /* another byte */
                                text[at] = alphabet[next_random() % (sizeof(alphabet) - 1)];
                                break;
                        case 1:         /* a piece left out */
                                memmove(text + at, text + at + piece, size - at - piece);
                                size -= piece < size ? piece : 0;
                                break;
                        case 2:         /* a piece twice */
                                memmove(text + at + piece, text + at, size - at);
                                size += piece;
                                break;
                        case 3:         /* cut off */
                                size = next_random() % 8 == 0 ? at + 1 : size;
                                break;
                        }
                }

                _cleanup_(freep) char *copy = exact(text, size);
                _cleanup_(json_object_putp) struct json_object *tree = NULL;
                struct json_slice value;
                const char *problem = NULL;

                if (json_scan(copy, size, &value, &problem) != 0) {
                        ck_assert_ptr_nonnull(problem);
                        continue;
                }
                passed++;

                int r = json_parse(value, &tree, &problem);
                if (r != 0)
                        ck_assert_str_eq(problem, "a duplicate key");
                else
                        compare(value, tree);
        }

        /* a mutator that breaks everything would test nothing behind the scan */
        ck_assert_uint_gt(passed, 500);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("json");
        TCase *tcase = tcase_create("json");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, scan_accepts);
        tcase_add_test(tcase, scan_refuses);
        tcase_add_test(tcase, scan_refuses_every_prefix);
        tcase_add_test(tcase, scan_depth);
        tcase_add_test(tcase, scan_counts_values);
        tcase_add_test(tcase, utf8_table);
        tcase_add_test(tcase, walk);
        tcase_add_test(tcase, types);
        tcase_add_test(tcase, member);
        tcase_add_test(tcase, strings);
        tcase_add_test(tcase, measure);
        tcase_add_test(tcase, parse);
        tcase_add_test(tcase, parse_a_piece);
        tcase_add_test(tcase, parse_limits);
        tcase_add_test(tcase, typed_members);
        tcase_add_test(tcase, clean_names);
        tcase_add_test(tcase, mutations);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
