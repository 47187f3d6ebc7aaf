/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What comes of answers, good and bad: a table of what a server says, and what
 * is to be made of it; then the limits, and what is kept of the headers. How
 * connections come and go is in test_http_connection.c.
 */

#include <check.h>
#include <string.h>

#include "base/http.h"
#include "http_fixture.h"
#include "http_server.h"
#include "suite.h"

/* For what shall not take its time-out, and for what shall. */
#define LONG (20 * USEC_PER_SEC)
#define SHORT (300 * USEC_PER_MSEC)

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"
#define TWO_BYTES OK "Content-Length: 2\r\n\r\nok"
#define NO_BYTES OK "Content-Length: 0\r\n\r\n"

/* One request to a server of that script. */
static void ask(const struct server_script *script, const struct http_request *request,
                struct http_response *ret_response) {
        struct http_request copy = *request;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, script));
        copy.url = server.url;
        ck_assert_int_eq(http_perform(http, &copy, ret_response), 0);
        server_stop(&server);
}

static const struct http_request get = { .method = "GET", .timeout = LONG };

struct row {
        const char *name;
        struct server_script script;
        enum http_result result;
        int status;
        const char *words;      /* the error, or for an answer its body */
};

static const struct row rows[] = {
        /* Answers. */
        { "length", { .answer = TWO_BYTES }, HTTP_ANSWER, 200, "ok" },
        { "chunked", { .answer = CHUNKED "2\r\nok\r\n0\r\n\r\n" },
          HTTP_ANSWER, 200, "ok" },
        { "ended by close", { .answer = OK "\r\nok" }, HTTP_ANSWER, 200, "ok" },
        { "HTTP/1.0", { .answer = "HTTP/1.0 200 OK\r\n\r\nok" }, HTTP_ANSWER, 200, "ok" },
        { "bare newlines", { .answer = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" },
          HTTP_ANSWER, 200, "ok" },
        { "no body", { .answer = "HTTP/1.1 204 No Content\r\n\r\n", .end = SERVER_HANG },
          HTTP_ANSWER, 204, "" },
        { "not found", { .answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno" },
          HTTP_ANSWER, 404, "no" },
        { "redirect is not followed",
          { .answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                      "Content-Length: 0\r\n\r\n" },
          HTTP_ANSWER, 302, "" },
        { "length too short", { .answer = OK "Content-Length: 2\r\n\r\nokay" },
          HTTP_ANSWER, 200, "ok" },
        { "100 and 103 before it",
          { .answer = "HTTP/1.1 100 Continue\r\n\r\n"
                      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" TWO_BYTES },
          HTTP_ANSWER, 200, "ok" },
        { "compressed unasked is left as it is",
          { .answer = OK "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok" },
          HTTP_ANSWER, 200, "ok" },

        /* The time is up. */
        { "silent", { .end = SERVER_HANG }, HTTP_TIMEOUT, 0, "Timed out after 0.3 s" },
        { "silent from the start", { .unread = true, .end = SERVER_HANG }, HTTP_TIMEOUT, 0,
          "Timed out after 0.3 s" },
        { "silent after the headers",
          { .answer = OK "Content-Length: 2\r\n\r\n", .end = SERVER_HANG },
          HTTP_TIMEOUT, 200, "Timed out after 0.3 s" },
        { "status line drips",
          { .answer = "HTTP/1.1 200 ", .piece = "x", .repeat = 100000, .pause = 10000 },
          HTTP_TIMEOUT, 0, "Timed out after 0.3 s" },
        { "headers drip", { .answer = OK, .piece = "A: b\r\n", .repeat = 10000, .pause = 20000 },
          HTTP_TIMEOUT, 200, "Timed out after 0.3 s" },
        { "body drips",
          { .answer = OK "Content-Length: 10000\r\n\r\n", .piece = "x", .repeat = 10000,
            .pause = 10000 },
          HTTP_TIMEOUT, 200, "Timed out after 0.3 s" },
        { "chunk extension without end",
          { .answer = CHUNKED "2;", .piece = "xxxxxxxx", .repeat = 100000000 },
          HTTP_TIMEOUT, 200, "Timed out after 0.3 s" },

        /* Cut short. */
        { "reset after the request", { .end = SERVER_RESET },
          HTTP_CUT, 0, "Connection reset by peer" },
        { "reset in the headers", { .answer = OK "Content-", .end = SERVER_RESET },
          HTTP_CUT, 200, "Connection reset by peer" },
        { "reset in the body", { .answer = OK "Content-Length: 5\r\n\r\nok", .end = SERVER_RESET },
          HTTP_CUT, 200, "Connection reset by peer" },
        { "closed after the request", {}, HTTP_CUT, 0, "Connection closed before the answer" },
        { "closed in the protocol's name", { .answer = "HT" },
          HTTP_CUT, 0, "Connection closed before the answer" },
        { "closed after 100", { .answer = "HTTP/1.1 100 Continue\r\n\r\n" },
          HTTP_CUT, 0, "Connection closed before the answer" },
        { "closed in the headers", { .answer = OK "Content-Le" },
          HTTP_CUT, 200, "Answer cut short" },
        { "closed before the empty line", { .answer = OK "Content-Length: 0\r\n" },
          HTTP_CUT, 200, "Answer cut short" },
        { "length too long", { .answer = OK "Content-Length: 5\r\n\r\nok" },
          HTTP_CUT, 200, "Answer cut short" },
        { "chunk cut", { .answer = CHUNKED "5\r\nok" },
          HTTP_CUT, 200, "Answer cut short" },
        { "last chunk missing", { .answer = CHUNKED "2\r\nok\r\n" },
          HTTP_CUT, 200, "Answer cut short" },

        /* Something else. */
        { "bad chunk size", { .answer = CHUNKED "zz\r\nok" },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "negative length", { .answer = OK "Content-Length: -5\r\n\r\nok" },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "NUL in a header",
          { .answer = OK "A: b\0c\r\n\r\n", .size = sizeof(OK "A: b\0c\r\n\r\n") - 1 },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "header without colon", { .answer = OK "nonsense\r\n\r\n" },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "unknown transfer coding", { .answer = OK "Transfer-Encoding: rot13\r\n\r\nok" },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "binary", { .answer = "\x01\x02\xff\x00\xfe", .size = 5, .end = SERVER_HANG },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "SSH", { .answer = "SSH-2.0-OpenSSH_9.2\r\n", .unread = true, .end = SERVER_HANG },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "SMTP", { .answer = "220 mail ESMTP\r\n", .unread = true, .end = SERVER_HANG },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "HTTP/0.9", { .answer = "<html>hello</html>" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "ICY", { .answer = "ICY 200 OK\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "TLS alert", { .answer = "\x15\x03\x01\x00\x02\x02\x46", .size = 7 },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "HTTP/3", { .answer = "HTTP/3 200 OK\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "status 99", { .answer = "HTTP/1.1 99 Low\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "status 2000", { .answer = "HTTP/1.1 2000 High\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        /* A 200 to libcurl. */
        { "HTTP without a status", { .answer = "HTTP/OK\r\n\r\n{\"version\":\"v1\"}" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "small letters", { .answer = "http/1.1 404 Not Found\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "status abc", { .answer = "HTTP/1.1 abc\r\n\r\n" }, HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "101 and silence",
          { .answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            .end = SERVER_HANG },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "101 and close", { .answer = "HTTP/1.1 101 Switching Protocols\r\n\r\n" },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "flood of 103", { .piece = "HTTP/1.1 103 Early Hints\r\n\r\n", .repeat = 10000000 },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "100 drips",
          { .piece = "HTTP/1.1 100 Continue\r\n\r\n", .repeat = 100000, .pause = 10000 },
          HTTP_NOT_HTTP, 0, "Not HTTP" },

        /* Too large. */
        { "headers of 70 KiB",
          { .answer = OK, .piece = "X-Filler: 01234567890123456789\r\n", .repeat = 2300,
            .tail = "Content-Length: 0\r\n\r\n" },
          HTTP_TOO_LARGE, 200, "Headers over 64 KiB" },
        { "headers without end",
          { .answer = OK, .piece = "X-Filler: 01234567890123456789\r\n", .repeat = 10000000 },
          HTTP_TOO_LARGE, 200, "Headers over 64 KiB" },
        { "one header without end",
          { .answer = OK "X-Filler: ", .piece = "0123456789", .repeat = 100000000 },
          HTTP_TOO_LARGE, 200, "Headers over 64 KiB" },
        { "status line without end",
          { .answer = "HTTP/1.1 200 ", .piece = "0123456789", .repeat = 100000000 },
          HTTP_NOT_HTTP, 0, "Not HTTP" },
        { "trailers of megabytes",
          { .answer = CHUNKED "2\r\nok\r\n0\r\n", .piece = "X-Filler: 01234567890123456789\r\n",
            .repeat = 100000, .tail = "\r\n" },
          HTTP_TOO_LARGE, 200, "Headers over 64 KiB" },
        { "length over the cap",
          { .answer = OK "Content-Length: 20000000\r\n\r\n", .end = SERVER_HANG },
          HTTP_TOO_LARGE, 200, "Body over 16 MiB" },
        { "length overflows",
          { .answer = OK "Content-Length: 99999999999999999999\r\n\r\n", .end = SERVER_HANG },
          HTTP_TOO_LARGE, 200, "Body over 16 MiB" },
};

START_TEST(answers) {
        const struct row *row = &rows[_i];
        struct http_request request = get;
        struct http_response response;
        usec_t start = waiter_now(&waiter);

        if (row->result == HTTP_TIMEOUT)
                request.timeout = SHORT;
        ask(&row->script, &request, &response);

        ck_assert_msg(response.result == row->result && response.status == row->status,
                      "%s: result %d, status %d, \"%s\"", row->name, response.result,
                      response.status, response.error);
        if (row->result == HTTP_ANSWER) {
                ck_assert_str_eq(response.body ? response.body : "", row->words);
                ck_assert_uint_eq(response.size, strlen(row->words));
                ck_assert_str_eq(response.error, "");
        } else {
                ck_assert_str_eq(response.error, row->words);
                ck_assert_ptr_null(response.body);
                ck_assert_uint_eq(response.size, 0);
        }
        ck_assert(response.sent);
        /* libcurl counts in milliseconds, on another clock. */
        if (row->result == HTTP_TIMEOUT)
                ck_assert_uint_ge(waiter_now(&waiter) + 2 * USEC_PER_MSEC, start + request.timeout);
        else
                ck_assert_uint_lt(waiter_now(&waiter), start + LONG);
        http_response_done(&response);
}
END_TEST

static struct http_response ask_piece(const char *headers, size_t piece, size_t repeat,
                                      size_t body_max) {
        struct http_request request = { .method = "GET", .timeout = LONG, .body_max = body_max };
        struct http_response response;
        char *filler;

        filler = malloc(piece + 1);
        ck_assert_ptr_nonnull(filler);
        memset(filler, 'x', piece);
        filler[piece] = '\0';
        ask(&(struct server_script) { .answer = headers, .piece = filler, .repeat = repeat },
            &request, &response);
        free(filler);
        return response;
}

START_TEST(body_limit) {
        struct http_response response;

        response = ask_piece(OK "\r\n", 65536, 257, 0);
        ck_assert_int_eq(response.result, HTTP_TOO_LARGE);
        ck_assert_str_eq(response.error, "Body over 16 MiB");
        http_response_done(&response);

        response = ask_piece(OK "\r\n", 65536, 2, 65536);
        ck_assert_str_eq(response.error, "Body over 64 KiB");
        http_response_done(&response);

        response = ask_piece(OK "\r\n", 1001, 1, 1000);
        ck_assert_str_eq(response.error, "Body over 1000 bytes");
        http_response_done(&response);

        /* Just fits, announced or not. */
        response = ask_piece(OK "\r\n", 65536, 256, 0);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        ck_assert_uint_eq(response.size, HTTP_BODY_MAX);
        http_response_done(&response);
        response = ask_piece(OK "Content-Length: 1000\r\n\r\n", 1000, 1, 1000);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        ck_assert_uint_eq(response.size, 1000);
        ck_assert_uint_eq(strspn(response.body, "x"), 1000);
        http_response_done(&response);
}
END_TEST

START_TEST(body_chunked_over_the_limit) {
        struct http_request request = { .method = "GET", .timeout = LONG, .body_max = 4096 };
        struct http_response response;

        ask(&(struct server_script) { .answer = CHUNKED, .piece = "8\r\n01234567\r\n",
                                      .repeat = 100000000 },
            &request, &response);
        ck_assert_int_eq(response.result, HTTP_TOO_LARGE);
        ck_assert_int_eq(response.status, 200);
        ck_assert_str_eq(response.error, "Body over 4 KiB");
        http_response_done(&response);
}
END_TEST

START_TEST(body_binary) {
        static const char answer[] = OK "Content-Length: 5\r\n\r\na\0b\xff";
        struct http_response response;

        ask(&(struct server_script) { .answer = answer, .size = sizeof(answer) }, &get, &response);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        ck_assert_uint_eq(response.size, 5);
        ck_assert_mem_eq(response.body, "a\0b\xff\0", 6);
        http_response_done(&response);
}
END_TEST

START_TEST(header_kept) {
        static const struct {
                const char *answer, *value;
        } cases[] = {
                { OK "x-nonce:  0123 \r\nContent-Length: 0\r\n\r\n", "0123" },
                { OK "X-Nonce:\r\nContent-Length: 0\r\n\r\n", "" },
                { OK "X-Nonce: a\r\nX-Nonce: b\r\nContent-Length: 0\r\n\r\n", "a" },
                { OK "X-Nonces: a\r\nX-Nonc: b\r\nContent-Length: 0\r\n\r\n", NULL },
                /* Neither an interim answer's nor a trailer. */
                { "HTTP/1.1 103 Early\r\nX-Nonce: a\r\n\r\n" NO_BYTES, NULL },
                { CHUNKED "0\r\nX-Nonce: a\r\n\r\n", NULL },
        };
        struct http_request request = { .method = "GET", .timeout = LONG, .header = "X-Nonce" };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct http_response response;

                ask(&(struct server_script) { .answer = cases[i].answer }, &request, &response);
                ck_assert_int_eq(response.result, HTTP_ANSWER);
                ck_assert_pstr_eq(response.header_value, cases[i].value);
                http_response_done(&response);
        }
}
END_TEST

static usec_t retry_after(const char *value) {
        struct http_response response;
        char answer[256];
        usec_t delay;

        (void) snprintf(answer, sizeof(answer),
                        "HTTP/1.1 503 Service Unavailable\r\n%s%s\r\nContent-Length: 0\r\n\r\n",
                        value ? "Retry-After: " : "X: y", value ? value : "");
        ask(&(struct server_script) { .answer = answer }, &get, &response);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        delay = response.retry_after;
        http_response_done(&response);
        return delay;
}

START_TEST(retry_after_told) {
        char date[64];
        time_t soon = time(NULL) + 3600;
        struct tm tm;

        ck_assert_uint_eq(retry_after(NULL), USEC_INFINITY);
        ck_assert_uint_eq(retry_after("7"), 7 * USEC_PER_SEC);
        ck_assert_uint_eq(retry_after("0"), 0);
        ck_assert_uint_eq(retry_after("-7"), USEC_INFINITY);
        ck_assert_uint_eq(retry_after("soon"), USEC_INFINITY);
        ck_assert_uint_eq(retry_after("7.5"), USEC_INFINITY);
        ck_assert_uint_eq(retry_after(""), USEC_INFINITY);
        ck_assert_uint_ge(retry_after("99999999999999999999999999"), 86400 * USEC_PER_SEC);
        ck_assert_uint_ne(retry_after("99999999999999999999999999"), USEC_INFINITY);
        ck_assert_uint_eq(retry_after("Thu, 01 Jan 1970 00:00:10 GMT"), 0);
        ck_assert_uint_eq(retry_after("Tue, 01 Jan 2199 00:00:00 GMT"), retry_after("99999999999999999999999999"));

        ck_assert_ptr_nonnull(gmtime_r(&soon, &tm));
        ck_assert_uint_gt(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm), 0);
        ck_assert_uint_le(retry_after(date), 3600 * USEC_PER_SEC);
        ck_assert_uint_ge(retry_after(date), 3000 * USEC_PER_SEC);
}
END_TEST

START_TEST(request_get) {
        struct http_request request = get;
        struct http_response response;
        struct server server;
        char url[128], expected[512];

        ck_assert(server_start(&server, SERVER_IPV4,
                               &(struct server_script) { .answer = NO_BYTES }));
        (void) snprintf(url, sizeof(url), "%sapi/v1beta/workloads?all=true", server.url);
        request.url = url;
        ck_assert_int_eq(http_perform(http, &request, &response), 0);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        http_response_done(&response);

        (void) snprintf(expected, sizeof(expected),
                        "GET /api/v1beta/workloads?all=true HTTP/1.1\r\n"
                        "Host: 127.0.0.1:%u\r\n"
                        "User-Agent: mcp-optimizer/" PROJECT_VERSION "\r\n"
                        "Accept: application/json\r\n\r\n",
                        server.port);
        ck_assert_str_eq(server.request, expected);
        server_stop(&server);
}
END_TEST

START_TEST(request_post) {
        const struct server_script created = {
                .answer = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
        };
        struct http_request request = {
                .method = "POST",
                .timeout = LONG,
                .once = true,
                .body = "{\"name\":\"a\"}",
        };
        struct http_response response;
        struct server server;
        char expected[512];

        ck_assert(server_start(&server, SERVER_IPV4, &created));
        request.url = server.url;
        ck_assert_int_eq(http_perform(http, &request, &response), 0);
        ck_assert_int_eq(response.status, 201);
        ck_assert_str_eq(response.body, "{}");
        http_response_done(&response);

        (void) snprintf(expected, sizeof(expected),
                        "POST / HTTP/1.1\r\n"
                        "Host: 127.0.0.1:%u\r\n"
                        "User-Agent: mcp-optimizer/" PROJECT_VERSION "\r\n"
                        "Accept: application/json\r\n"
                        "Content-Type: application/json\r\n"
                        "Content-Length: 12\r\n\r\n"
                        "{\"name\":\"a\"}",
                        server.port);
        ck_assert_str_eq(server.request, expected);
        server_stop(&server);
}
END_TEST

/* A proxy in the environment plays no part. */
START_TEST(request_without_proxy) {
        struct http_response response;

        ck_assert_int_eq(setenv("http_proxy", "http://127.0.0.1:1/", 1), 0);
        ck_assert_int_eq(setenv("ALL_PROXY", "socks5://127.0.0.1:1/", 1), 0);
        ask(&(struct server_script) { .answer = TWO_BYTES }, &get, &response);
        ck_assert_int_eq(response.result, HTTP_ANSWER);
        http_response_done(&response);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("http");
        TCase *table = tcase_create("answers");
        TCase *limits = tcase_create("limits");
        TCase *requests = tcase_create("requests");

        tcase_add_checked_fixture(table, http_setup, http_teardown);
        tcase_set_timeout(table, 60);
        tcase_add_loop_test(table, answers, 0, ELEMENTSOF(rows));
        suite_add_tcase(suite, table);

        tcase_add_checked_fixture(limits, http_setup, http_teardown);
        tcase_set_timeout(limits, 120);
        tcase_add_test(limits, body_limit);
        tcase_add_test(limits, body_chunked_over_the_limit);
        tcase_add_test(limits, body_binary);
        tcase_add_test(limits, header_kept);
        tcase_add_test(limits, retry_after_told);
        suite_add_tcase(suite, limits);

        tcase_add_checked_fixture(requests, http_setup, http_teardown);
        tcase_set_timeout(requests, 60);
        tcase_add_test(requests, request_get);
        tcase_add_test(requests, request_post);
        tcase_add_test(requests, request_without_proxy);
        suite_add_tcase(suite, requests);

        return suite_run(suite);
}
