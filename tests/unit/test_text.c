/* SPDX-License-Identifier: Apache-2.0 */

/* Texts: growth, what is escaped in JSON and in log values, seconds and times. */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "suite.h"

START_TEST(test_growth) {
        _cleanup_text_ struct text text = TEXT_INIT;

        ck_assert_ptr_null(text.data);
        text_add(&text, "");
        ck_assert_str_eq(text.data, "");

        for (unsigned i = 0; i < 10000; i++)
                text_addf(&text, "%04u", i);
        ck_assert_int_eq(text_error(&text), 0);
        ck_assert_uint_eq(text.size, 40000);
        ck_assert_uint_eq(strlen(text.data), 40000);
        ck_assert_str_eq(text.data + 39996, "9999");

        text_clear(&text);
        ck_assert_uint_eq(text.size, 0);
        ck_assert_str_eq(text.data, "");

        text_add_bytes(&text, "a\0b", 3);
        ck_assert_uint_eq(text.size, 3);
        ck_assert_mem_eq(text.data, "a\0b", 4);
}
END_TEST

START_TEST(test_failure_is_remembered) {
        _cleanup_text_ struct text text = TEXT_INIT;

        text_add(&text, "before");
        text_add_bytes(&text, "", SIZE_MAX - 3);        /* refused before a byte of it is read */
        ck_assert_int_eq(text_error(&text), -ENOMEM);

        text_add(&text, "after");
        text_addf(&text, "%d", 1);
        ck_assert_str_eq(text.data, "before");

        text_clear(&text);
        ck_assert_int_eq(text_error(&text), 0);
        text_add(&text, "again");
        ck_assert_str_eq(text.data, "again");
}
END_TEST

static const struct {
        const char *input, *logfmt, *json;
} escapes[] = {
        { NULL,                     "null",                       "null" },
        { "",                       "\"\"",                       "\"\"" },
        { "plain-1.2:3/4,[x]",      "plain-1.2:3/4,[x]",          "\"plain-1.2:3/4,[x]\"" },
        { "http://[::1]:50001",     "http://[::1]:50001",         "\"http://[::1]:50001\"" },
        { "two words",              "\"two words\"",              "\"two words\"" },
        { "say \"hi\"",             "\"say \\\"hi\\\"\"",         "\"say \\\"hi\\\"\"" },
        { "\"",                     "\"\\\"\"",                   "\"\\\"\"" },
        { "a\\b",                   "\"a\\\\b\"",                 "\"a\\\\b\"" },
        { "x=1",                    "\"x=1\"",                    "\"x=1\"" },
        { "a\nERROR forged=1",      "\"a\\nERROR forged=1\"",     "\"a\\nERROR forged=1\"" },
        { "\t\r",                   "\"\\t\\r\"",                 "\"\\t\\r\"" },
        { "\x1b[31m",               "\"\\x1b[31m\"",              "\"\\u001b[31m\"" },
        { "\x01\x7f",               "\"\\x01\\x7f\"",             "\"\\u0001\\u007f\"" },
        { "caf\xc3\xa9",            "caf\xc3\xa9",                "\"caf\xc3\xa9\"" },
        { "\xe6\x97\xa5\xf0\x9f\x99\x82", "\xe6\x97\xa5\xf0\x9f\x99\x82",
          "\"\xe6\x97\xa5\xf0\x9f\x99\x82\"" },
        /* C1: a single byte of CSI on some terminals */
        { "\xc2\x9b" "31m",         "\"\\u009b31m\"",             "\"\\u009b31m\"" },
        { "\xc2\x80\xc2\xa0",       "\"\\u0080\xc2\xa0\"",        "\"\\u0080\xc2\xa0\"" },
        /* line separators, bidirectional controls, byte order mark, annotations */
        { "\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"",       "\"\\u2028\\u2029\"" },
        { "\xe2\x80\x8e\xe2\x80\x8f", "\"\\u200e\\u200f\"",       "\"\\u200e\\u200f\"" },
        { "\xe2\x80\xaa\xe2\x80\xae", "\"\\u202a\\u202e\"",       "\"\\u202a\\u202e\"" },
        { "\xe2\x81\xa6\xe2\x81\xa9", "\"\\u2066\\u2069\"",       "\"\\u2066\\u2069\"" },
        { "\xef\xbb\xbf\xef\xbf\xb9", "\"\\ufeff\\ufff9\"",       "\"\\ufeff\\ufff9\"" },
        /* tags: an invisible copy of ASCII */
        { "\xf3\xa0\x81\x81",       "\"\\U000e0041\"",            "\"\\udb40\\udc41\"" },
        /* no UTF-8: lone continuation, cut, overlong, surrogate, beyond the last code point */
        { "a\x80z",                 "\"a\\x80z\"",                "\"a\xef\xbf\xbdz\"" },
        { "\xe2\x82",               "\"\\xe2\\x82\"",             "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xc0\xaf",               "\"\\xc0\\xaf\"",             "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xed\xa0\x80",           "\"\\xed\\xa0\\x80\"",
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xf4\x90\x80\x80",       "\"\\xf4\\x90\\x80\\x80\"",
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xff",                   "\"\\xff\"",                  "\"\xef\xbf\xbd\"" },
};

START_TEST(test_escapes) {
        _cleanup_text_ struct text text = TEXT_INIT;

        text_add_logfmt(&text, escapes[_i].input);
        ck_assert_str_eq(text.data, escapes[_i].logfmt);

        text_clear(&text);
        text_add_json(&text, escapes[_i].input);
        ck_assert_str_eq(text.data, escapes[_i].json);
}
END_TEST

/* Whatever single bytes and pairs of bytes come in, nothing raw comes out that a terminal obeys. */
START_TEST(test_no_control_byte_passes) {
        _cleanup_text_ struct text text = TEXT_INIT;

        for (unsigned first = 1; first < 256; first++)
                for (unsigned second = 0; second < 256; second++) {
                        char input[3] = { (char) first, (char) second, '\0' };

                        text_clear(&text);
                        text_add_logfmt(&text, input);
                        text_add_json(&text, input);
                        for (size_t i = 0; i < text.size; i++) {
                                unsigned char c = (unsigned char) text.data[i];

                                /* Tested by hand: an assertion is a message to check, and these are a million. */
                                if (c < 0x20 || c == 0x7f ||
                                    (c == 0xc2 && (unsigned char) text.data[i + 1] < 0xa0))
                                        ck_abort_msg("%02x %02x", first, second);
                        }
                }
}
END_TEST

static const struct {
        usec_t usec;
        const char *expected;
} seconds[] = {
        { 0,                        "0.0" },
        { 1000000,                  "1.0" },
        { 10000000,                 "10.0" },
        { 500000,                   "0.5" },
        { 250000,                   "0.25" },
        { 63204000,                 "63.204" },
        { 1005000,                  "1.005" },
        { 50000,                    "0.05" },
        { 499,                      "0.0" },
        { 500,                      "0.001" },
        { 999499,                   "0.999" },
        { 999500,                   "1.0" },
        { UINT64_MAX,               "18446744073709.552" },
};

START_TEST(test_seconds) {
        _cleanup_text_ struct text text = TEXT_INIT;

        text_add_seconds(&text, seconds[_i].usec);
        ck_assert_str_eq(text.data, seconds[_i].expected);
}
END_TEST

static const struct {
        usec_t realtime;
        const char *expected;
} times[] = {
        { 0,                        "1970-01-01T00:00:00.000Z" },
        { 999,                      "1970-01-01T00:00:00.000Z" },
        { 1709208000123456,         "2024-02-29T12:00:00.123Z" },
        { 4102444799999999,         "2099-12-31T23:59:59.999Z" },
};

START_TEST(test_time) {
        _cleanup_text_ struct text text = TEXT_INIT;

        text_add_time(&text, times[_i].realtime);
        ck_assert_str_eq(text.data, times[_i].expected);
}
END_TEST

START_TEST(test_utf8_cut) {
        static const struct {
                const char *string;
                size_t max, size;
        } rows[] = {
                { "", 0, 0 }, { "", 5, 0 }, { "abc", 5, 3 }, { "abc", 3, 3 }, { "abc", 2, 2 }, { "abc", 0, 0 },
                { "a\xc3\xb6", 3, 3 }, { "a\xc3\xb6", 2, 1 }, { "\xc3\xb6", 1, 0 }, { "\xc3\xb6" "b", 2, 2 },
                { "a\xe2\x82\xac", 4, 4 }, { "a\xe2\x82\xac", 3, 1 }, { "a\xe2\x82\xac", 2, 1 },
                { "a\xf0\x9f\x98\x80", 5, 5 }, { "a\xf0\x9f\x98\x80", 4, 1 }, { "a\xf0\x9f\x98\x80", 2, 1 },
                /* no UTF-8: cut all the same, near the limit */
                { "\x80\x80\x80\x80\x80\x80\x80", 5, 2 }, { "\x80\x80\x80", 2, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_uint_eq(utf8_cut(rows[i].string, rows[i].max), rows[i].size);
        ck_assert_uint_eq(utf8_cut("abc", SIZE_MAX), 3);
}
END_TEST

START_TEST(test_errno_words) {
        ck_assert_str_eq(errno_words(ECONNREFUSED), "Connection refused");
        ck_assert_str_eq(errno_words(0), "Success");
        ck_assert_str_eq(errno_words(-1), "Unknown error");
        ck_assert_str_eq(errno_words(4096), "Unknown error");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("text");
        TCase *tcase = tcase_create("text");

        tcase_add_test(tcase, test_growth);
        tcase_add_test(tcase, test_failure_is_remembered);
        tcase_add_loop_test(tcase, test_escapes, 0, ELEMENTSOF(escapes));
        tcase_add_test(tcase, test_no_control_byte_passes);
        tcase_add_loop_test(tcase, test_seconds, 0, ELEMENTSOF(seconds));
        tcase_add_loop_test(tcase, test_time, 0, ELEMENTSOF(times));
        tcase_add_test(tcase, test_utf8_cut);
        tcase_add_test(tcase, test_errno_words);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
