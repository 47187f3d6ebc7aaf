/* SPDX-License-Identifier: Apache-2.0 */

/* The identity check: who passes, who is a stranger, and who does not answer at all. */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "http_server.h"
#include "source/identity.h"
#include "suite.h"

#define LONG (20 * USEC_PER_SEC)

static struct waiter waiter;
static struct http *http;

static void setup(void) {
        ck_assert_int_eq(waiter_init(&waiter), 0);
        ck_assert_int_eq(http_new(&waiter, 1, &http), 0);
}

static void teardown(void) {
        http = http_free(http);
        waiter_done(&waiter);
}

static const struct {
        enum http_result result;
        int status;
        const char *body;
        int code;
        const char *version;
} judged[] = {
        { HTTP_ANSWER, 200, "{\"version\":\"v0.44.0\"}", 0, "v0.44.0" },
        { HTTP_ANSWER, 200, " {\"other\":[1],\"version\":\"build-7c3a3077\"}\n", 0, "build-7c3a3077" },
        { HTTP_ANSWER, 200, "{\"version\":\"build-unknown\",\"x\":null}", 0, "build-unknown" },
        { HTTP_ANSWER, 200, NULL, IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "[\"version\"]", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "\"version\"", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":44}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":null}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":{\"version\":\"v1\"}}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"v1\",\"version\":\"v2\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"v1\\nSTATUS=gone\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"v1\\u0000\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"v1\"", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{\"version\":\"v1\"} x", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "{'version':'v1'}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 200, "<html>version</html>", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 201, "{\"version\":\"v0.44.0\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 301, "{\"version\":\"v0.44.0\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 404, "{\"version\":\"v0.44.0\"}", IDENTITY_STRANGER, NULL },
        { HTTP_ANSWER, 503, "{\"version\":\"v0.44.0\"}", IDENTITY_STRANGER, NULL },
        { HTTP_TOO_LARGE, 200, NULL, IDENTITY_STRANGER, NULL },
        { HTTP_REFUSED, 0, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_NO_CONNECTION, 0, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_NO_NAME, 0, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_TIMEOUT, 200, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_CUT, 200, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_NOT_HTTP, 0, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_TLS, 0, NULL, IDENTITY_NO_ANSWER, NULL },
        { HTTP_LOCAL, 0, NULL, IDENTITY_NO_ANSWER, NULL },
};

START_TEST(test_judge) {
        struct http_response response = {
                .result = judged[_i].result,
                .status = judged[_i].status,
                .body = (char *) judged[_i].body,
                .size = judged[_i].body ? strlen(judged[_i].body) : 0,
        };
        char version[VERSION_MAX] = "untouched";

        ck_assert_msg(identity_judge(&response, version) == judged[_i].code, "%d %s", judged[_i].status,
                      judged[_i].body);
        ck_assert_str_eq(version, judged[_i].version ?: "untouched");
}
END_TEST

START_TEST(test_version_size) {
        char body[VERSION_MAX + 32], version[VERSION_MAX];

        for (int size = 1; size <= VERSION_MAX; size++) {
                struct http_response response = { .result = HTTP_ANSWER, .status = 200, .body = body };
                int code = size < VERSION_MAX ? 0 : IDENTITY_STRANGER;

                response.size = (size_t) snprintf(body, sizeof body, "{\"version\":\"%0*d\"}", size, 1);
                ck_assert_int_eq(identity_judge(&response, version), code);
        }
        ck_assert_uint_eq(strlen(version), VERSION_MAX - 1);
}
END_TEST

#define ANSWER(status, length, body) \
        "HTTP/1.1 " status "\r\nContent-Length: " #length "\r\n\r\n" body

static const struct {
        struct server_script script;
        int code;
        const char *words;
} served[] = {
        { { .answer = ANSWER("200 OK", 21, "{\"version\":\"v0.44.0\"}"), .end = SERVER_KEEP }, 0, NULL },
        { { .answer = ANSWER("200 OK", 2, "ok"), .end = SERVER_KEEP }, IDENTITY_STRANGER,
          "Not ToolHive (HTTP 200)" },
        { { .answer = ANSWER("404 Not Found", 0, ""), .end = SERVER_KEEP }, IDENTITY_STRANGER,
          "Not ToolHive (HTTP 404)" },
        { { .answer = "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", .end = SERVER_KEEP },
          IDENTITY_STRANGER, "Not ToolHive (HTTP 302)" },
        /* 128 KiB, announced or not. */
        { { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n", .piece = "{               ",
            .repeat = 8192 }, IDENTITY_STRANGER, "Not ToolHive (HTTP 200)" },
        { { .answer = "HTTP/1.1 200 OK\r\n\r\n", .piece = "{               ", .repeat = 8192 },
          IDENTITY_STRANGER, "Not ToolHive (HTTP 200)" },
        { { .answer = "SSH-2.0-OpenSSH_9.2p1\r\n", .unread = true }, IDENTITY_NO_ANSWER, "Not HTTP" },
};

START_TEST(test_check) {
        char version[VERSION_MAX] = "", error[ERROR_MAX] = "";
        struct endpoint endpoint;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &served[_i].script));
        endpoint_set_tcp(&endpoint, "127.0.0.1", server.port);
        ck_assert_int_eq(identity_check(http, &endpoint, LONG, version, error), served[_i].code);
        if (served[_i].code == 0)
                ck_assert_str_eq(version, "v0.44.0");
        else
                ck_assert_str_eq(error, served[_i].words);
        http = http_free(http);
        server_stop(&server);
}
END_TEST

START_TEST(test_check_socket) {
        static const struct server_script script = {
                .answer = ANSWER("200 OK", 21, "{\"version\":\"v0.44.0\"}"),
        };
        char version[VERSION_MAX] = "", error[ERROR_MAX], url[sizeof "unix://" + 108];
        struct endpoint endpoint;
        struct server server;

        ck_assert(server_start(&server, SERVER_UNIX, &script));
        snprintf(url, sizeof url, "unix://%s", server.path);
        ck_assert_int_eq(endpoint_parse(&endpoint, url), 0);
        ck_assert_int_eq(identity_check(http, &endpoint, LONG, version, error), 0);
        ck_assert_str_eq(version, "v0.44.0");
        ck_assert(strncmp(server.request, "GET /api/v1beta/version HTTP/1.1\r\n", 34) == 0);
        server_stop(&server);
}
END_TEST

START_TEST(test_check_silent) {
        static const struct server_script script = { .end = SERVER_HANG };
        char version[VERSION_MAX], error[ERROR_MAX];
        struct endpoint endpoint;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &script));
        endpoint_set_tcp(&endpoint, "127.0.0.1", server.port);
        ck_assert_int_eq(identity_check(http, &endpoint, USEC_PER_SEC / 5, version, error),
                         IDENTITY_NO_ANSWER);
        ck_assert_str_eq(error, "Timed out after 0.2 s");

        waiter_stop(&waiter);
        ck_assert_int_eq(identity_check(http, &endpoint, LONG, version, error), -ECANCELED);
        http = http_free(http);
        server_stop(&server);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("identity");
        TCase *tcase = tcase_create("identity");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, test_judge, 0, ELEMENTSOF(judged));
        tcase_add_test(tcase, test_version_size);
        tcase_add_loop_test(tcase, test_check, 0, ELEMENTSOF(served));
        tcase_add_test(tcase, test_check_socket);
        tcase_add_test(tcase, test_check_silent);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
