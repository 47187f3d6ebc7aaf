/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Driving transfers: a stop and a reload in the middle of one, the slices of the
 * watchdog, many at once; and the addresses of names. What comes of answers is in
 * test_http.c, how connections come and go in test_http_connection.c.
 */

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/http.h"
#include "http_fixture.h"
#include "http_server.h"
#include "suite.h"

#define LONG (20 * USEC_PER_SEC)
#define SHORT (300 * USEC_PER_MSEC)

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct server_script polite = { .answer = ANSWER, .end = SERVER_KEEP };
static const struct server_script silent = { .end = SERVER_HANG };

static struct http_request get(const char *url) {
        return (struct http_request) { .method = "GET", .url = url, .timeout = LONG };
}

/* Performs and checks result and words. */
static void expect(const struct http_request *request, enum http_result result,
                   const char *error) {
        struct http_response response;

        ck_assert_int_eq(http_perform(http, request, &response), 0);
        ck_assert_msg(response.result == result && strcmp(response.error, error) == 0,
                      "result %d, \"%s\"", response.result, response.error);
        http_response_done(&response);
}

struct from_outside {
        struct server *server;
        bool stop;
};

static void *when_requested(void *user) {
        const struct from_outside *what = user;

        if (server_wait_requests(what->server, 1)) {
                waiter_reload(&waiter);
                if (what->stop)
                        waiter_stop(&waiter);
        }
        return NULL;
}

static unsigned reloads, progress;

static void count_reload(void *user _unused_) {
        reloads++;
}

static void count_progress(void *user _unused_) {
        progress++;
}

START_TEST(stop_in_a_request) {
        struct http_transfer *transfer;
        struct http_request request;
        struct http_response response;
        struct server server;
        struct from_outside what = { &server, true };
        pthread_t thread;
        usec_t start;

        ck_assert(server_start(&server, SERVER_IPV4, &silent));
        request = get(server.url);
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        /* Until libcurl's timers from connecting are over, which would end its sleep as well. */
        ck_assert_int_eq(http_run(http, -1, waiter_now(&waiter) + 500 * USEC_PER_MSEC), 0);

        ck_assert_int_eq(pthread_create(&thread, NULL, when_requested, &what), 0);
        start = waiter_now(&waiter);
        ck_assert_int_eq(http_run(http, -1, USEC_INFINITY), -ECANCELED);
        ck_assert_uint_lt(waiter_now(&waiter), start + LONG / 2);
        ck_assert_ptr_null(http_transfer_free(transfer));

        /* For good: nothing is driven any more. */
        ck_assert_int_eq(http_perform(http, &request, &response), -ECANCELED);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        server_stop(&server);
}
END_TEST

START_TEST(reload_in_a_request) {
        struct server_script slow = { .piece = ANSWER, .repeat = 1, .pause = 200 * USEC_PER_MSEC };
        struct http_request request;
        struct server server;
        struct from_outside what = { &server, false };
        pthread_t thread;

        reloads = 0;
        waiter_set_hooks(&waiter, USEC_INFINITY, NULL, count_reload, NULL);
        ck_assert(server_start(&server, SERVER_IPV4, &slow));
        request = get(server.url);
        ck_assert_int_eq(pthread_create(&thread, NULL, when_requested, &what), 0);
        expect(&request, HTTP_ANSWER, "");
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        (void) waiter_progress(&waiter);
        ck_assert_uint_eq(reloads, 1);
        ck_assert(waiter_take_reload(&waiter));
        server_stop(&server);
}
END_TEST

/* Nothing happens: the watchdog's slices are seen, and nothing else wakes. */
static const struct {
        usec_t slice;
        unsigned least, most;
} slices[] = {
        { 100 * USEC_PER_MSEC, 5, 30 },
        { USEC_INFINITY, 0, 10 },
};

START_TEST(slices_in_a_silent_request) {
        struct http_request request;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &silent));
        request = get(server.url);
        request.timeout = 1500 * USEC_PER_MSEC;

        progress = 0;
        waiter_set_hooks(&waiter, slices[_i].slice, count_progress, NULL, NULL);
        expect(&request, HTTP_TIMEOUT, "Timed out after 1.5 s");
        ck_assert_uint_ge(progress, slices[_i].least);
        ck_assert_uint_le(progress, slices[_i].most);
        server_stop(&server);
}
END_TEST

START_TEST(many_at_once) {
        struct http_transfer *transfers[40] = {};
        struct server good, bad;
        unsigned answers = 0, timeouts = 0;
        usec_t start = waiter_now(&waiter);

        ck_assert(server_start(&good, SERVER_IPV4, &polite));
        ck_assert(server_start(&bad, SERVER_IPV4, &silent));
        for (size_t i = 0; i < ELEMENTSOF(transfers); i++) {
                struct http_request request = get(i % 2 ? good.url : bad.url);

                request.timeout = i % 2 ? LONG : SHORT;
                request.once = true;
                ck_assert_int_eq(http_start(http, &request, &transfers[i]), 0);
                ck_assert_ptr_null(http_finished(transfers[i]));
        }

        for (unsigned turns = 0; answers + timeouts < ELEMENTSOF(transfers); turns++) {
                ck_assert_uint_le(turns, ELEMENTSOF(transfers));
                ck_assert_int_eq(http_run(http, -1, start + LONG), 0);
                for (size_t i = 0; i < ELEMENTSOF(transfers); i++) {
                        const struct http_response *response;

                        response = transfers[i] ? http_finished(transfers[i]) : NULL;
                        if (!response)
                                continue;
                        answers += response->result == HTTP_ANSWER;
                        timeouts += response->result == HTTP_TIMEOUT;
                        ck_assert_int_eq(response->result, i % 2 ? HTTP_ANSWER : HTTP_TIMEOUT);
                        transfers[i] = http_transfer_free(transfers[i]);
                }
        }
        ck_assert_uint_eq(answers, 20);
        /* Twenty that are silent take no longer than one. */
        ck_assert_uint_lt(waiter_now(&waiter), start + LONG / 2);
        server_stop(&good);
        server_stop(&bad);
}
END_TEST

START_TEST(run_ends) {
        struct http_transfer *transfer;
        struct http_request request;
        struct server server;
        usec_t start;
        int fd;

        ck_assert(server_start(&server, SERVER_IPV4, &silent));
        request = get(server.url);
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);

        start = waiter_now(&waiter);
        ck_assert_int_eq(http_run(http, -1, start + 50 * USEC_PER_MSEC), 0);
        ck_assert_uint_ge(waiter_now(&waiter), start + 50 * USEC_PER_MSEC);
        ck_assert_ptr_null(http_finished(transfer));

        fd = eventfd(1, EFD_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(http_run(http, fd, USEC_INFINITY), 0);
        ck_assert_ptr_null(http_finished(transfer));
        ck_assert_int_eq(http_run(http, fd, 0), 0);
        close(fd);

        /* Aborted under way; there is nothing to be seen of it afterwards. */
        ck_assert_ptr_null(http_transfer_free(transfer));
        ck_assert_ptr_null(http_transfer_free(NULL));
        server_stop(&server);
}
END_TEST

/* Names. */

static char words[ERROR_MAX];
static struct http_address addresses[4];
static size_t n_addresses;

static int resolve(const char *host, size_t size) {
        n_addresses = 0;
        words[0] = '\0';
        return http_resolve(http, host, LONG, addresses, size, &n_addresses, words);
}

START_TEST(names) {
        char label[80];

        ck_assert_int_eq(resolve("127.0.0.1", 4), 0);
        ck_assert_uint_eq(n_addresses, 1);
        ck_assert_str_eq(addresses[0].literal, "127.0.0.1");

        ck_assert_int_eq(resolve("localhost", 4), 0);
        ck_assert_uint_ge(n_addresses, 1);
        ck_assert_str_eq(addresses[0].literal, "127.0.0.1");
        if (n_addresses > 1)
                ck_assert_str_eq(addresses[1].literal, "::1");
        ck_assert_int_eq(resolve("localhost", 1), 0);
        ck_assert_uint_eq(n_addresses, 1);
        ck_assert_str_eq(addresses[0].literal, "127.0.0.1");

        /* A label of 64 letters is no name: refused without asking anybody. */
        memset(label, 'a', 64);
        memcpy(label + 64, ".invalid", sizeof(".invalid"));
        ck_assert_int_eq(resolve(label, 4), HTTP_NO_NAME);
        ck_assert_uint_eq(n_addresses, 0);
        ck_assert(strncmp(words, "Cannot resolve host name \"aaaa", 30) == 0);

        ck_assert_int_eq(resolve("user@127.0.0.1", 4), HTTP_NO_NAME);
        ck_assert_str_eq(words, "Cannot resolve host name \"user@127.0.0.1\"");
        ck_assert_int_eq(resolve("127.0.0.1/path", 4), HTTP_NO_NAME);
        ck_assert_int_eq(resolve("", 4), HTTP_NO_NAME);
        ck_assert_uint_eq(http_requests(http), 0);
}
END_TEST

START_TEST(name_of_ipv6) {
        struct server server;

        if (suite_skips(!server_start(&server, SERVER_IPV6_ONLY, &polite), __func__, "no IPv6"))
                return;
        ck_assert_int_eq(resolve("::1", 4), 0);
        ck_assert_uint_eq(n_addresses, 1);
        ck_assert_str_eq(addresses[0].literal, "::1");
        server_stop(&server);
}
END_TEST

START_TEST(unknown_name_in_a_request) {
        struct http_request request;
        struct http_response response;
        char url[128] = "http://";

        memset(url + 7, 'a', 64);
        memcpy(url + 71, ".invalid/", sizeof(".invalid/"));
        request = get(url);
        ck_assert_int_eq(http_perform(http, &request, &response), 0);
        ck_assert_int_eq(response.result, HTTP_NO_NAME);
        ck_assert(strncmp(response.error, "Cannot resolve host name \"aaaa", 30) == 0);
        ck_assert(!response.sent);
        http_response_done(&response);
}
END_TEST

int main(void) {
        static const char *const cases[] = { "driving", "slices", "endless slices", "names", NULL };
        Suite *suite = suite_create("http driving");
        TCase *tcase;

        tcase = suite_case(suite, "driving", http_setup, http_teardown);
        tcase_add_test(tcase, stop_in_a_request);
        tcase_add_test(tcase, reload_in_a_request);
        tcase_add_test(tcase, many_at_once);
        tcase_add_test(tcase, run_ends);

        tcase = suite_case(suite, "slices", http_setup, http_teardown);
        tcase_add_loop_test(tcase, slices_in_a_silent_request, 0, 1);

        tcase = suite_case(suite, "endless slices", http_setup, http_teardown);
        tcase_add_loop_test(tcase, slices_in_a_silent_request, 1, ELEMENTSOF(slices));

        tcase = suite_case(suite, "names", http_setup, http_teardown);
        tcase_add_test(tcase, names);
        tcase_add_test(tcase, name_of_ipv6);
        tcase_add_test(tcase, unknown_name_in_a_request);

        return suite_run_abreast(suite, cases);
}
