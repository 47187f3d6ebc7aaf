/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How connections come and go: failures to connect in all their kinds, what is
 * kept and used again, sockets that others made. What comes of answers is in
 * test_http.c, driving in test_http_driving.c.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/http.h"
#include "http_fixture.h"
#include "http_peer.h"
#include "http_server.h"
#include "suite.h"

#define LONG (20 * USEC_PER_SEC)
#define SHORT (300 * USEC_PER_MSEC)

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct server_script polite = { .answer = ANSWER, .end = SERVER_KEEP };
static const struct server_script silent = { .end = SERVER_HANG };

/* Performs and checks result, words, and whether anything was sent. */
static void expect(const struct http_request *request, enum http_result result,
                   const char *error, bool sent) {
        struct http_response response;

        ck_assert_int_eq(http_perform(http, request, &response), 0);
        ck_assert_msg(response.result == result && strcmp(response.error, error) == 0 &&
                              response.sent == sent,
                      "%s: result %d, \"%s\", sent %d", request->url, response.result,
                      response.error, response.sent);
        if (result == HTTP_ANSWER)
                ck_assert_str_eq(response.body, "ok");
        http_response_done(&response);
}

static struct http_request get(const char *url) {
        return (struct http_request) { .method = "GET", .url = url, .timeout = LONG };
}

static unsigned count_descriptors(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void begin_to_connect(int fd, const struct sockaddr_in *address) {
        if (connect(fd, (const struct sockaddr *) address, sizeof(*address)) == 0)
                return;
        ck_assert_int_eq(errno, EINPROGRESS);
        ck_assert_int_eq(poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, 20000), 1);
}

/* Failures to connect. */

START_TEST(refused) {
        struct http_request request;
        uint16_t port;
        char url[64];
        int fd;

        fd = closed_port(&port);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
        request = get(url);
        expect(&request, HTTP_REFUSED, "Connection refused", false);
        ck_assert_uint_eq(http_requests(http), 1);
        ck_assert_int_eq(http_idle_socket(http), -1);
        close(fd);
}
END_TEST

/* A socket that is connected to itself, as connecting to a closed ephemeral port can give. */
static int self_connected(uint16_t *ret_port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t size = sizeof(address);
        int fd;

        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        begin_to_connect(fd, &address);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

START_TEST(connected_to_itself) {
        unsigned before = count_descriptors();
        struct http_request request;
        uint16_t port;
        char url[64];
        int fd;

        fd = self_connected(&port);
        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
        request = get(url);
        request.connected_fd = fd;
        expect(&request, HTTP_REFUSED, "Connection refused", false);
        http_teardown();
        http_setup();
        ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

START_TEST(unix_sockets) {
        struct http_request request = get("http://localhost/");
        char folder[] = "/tmp/test-http-XXXXXX", path[64], long_path[200];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void) snprintf(path, sizeof(path), "%s/s", folder);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
        request.unix_socket = path;
        expect(&request, HTTP_NO_CONNECTION, "No such file or directory", false);

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        expect(&request, HTTP_REFUSED, "Connection refused", false);
        close(fd);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(folder), 0);

        memset(long_path, 'x', sizeof(long_path) - 1);
        long_path[0] = '/';
        long_path[sizeof(long_path) - 1] = '\0';
        request.unix_socket = long_path;
        expect(&request, HTTP_NO_CONNECTION, "File name too long", false);
}
END_TEST

START_TEST(unix_backlog_full) {
        struct http_request request = get("http://localhost/");
        char folder[] = "/tmp/test-http-XXXXXX";
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, waiting[64];
        size_t n = 0;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        ck_assert_int_eq(listen(fd, 0), 0);
        while (n < ELEMENTSOF(waiting)) {
                waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                ck_assert_int_ge(waiting[n], 0);
                if (connect(waiting[n++], (struct sockaddr *) &address, sizeof(address)) < 0)
                        break;
        }

        request.unix_socket = address.sun_path;
        expect(&request, HTTP_NO_CONNECTION, "Resource temporarily unavailable", false);

        while (n > 0)
                close(waiting[--n]);
        close(fd);
        ck_assert_int_eq(unlink(address.sun_path), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(unix_answer) {
        struct http_request request;
        struct server server;

        ck_assert(server_start(&server, SERVER_UNIX, &polite));
        request = get(server.url);
        request.unix_socket = server.path;
        expect(&request, HTTP_ANSWER, "", true);
        ck_assert_int_ge(http_idle_socket(http), 0);
        server_stop(&server);
}
END_TEST

/* The errno of the address that refused must not become the word of the one that was connected. */
START_TEST(second_address) {
        static const struct {
                struct server_script script;
                enum http_result result;
                const char *error;
        } cases[] = {
                { { .answer = ANSWER }, HTTP_ANSWER, "" },
                { { .end = SERVER_HANG }, HTTP_TIMEOUT, "Timed out after 0.3 s" },
                { { .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" },
                  HTTP_NOT_HTTP, "Not HTTP" },
                { { .end = SERVER_RESET }, HTTP_CUT, "Connection reset by peer" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                struct http_request request;
                struct server server;

                if (suite_skips(!server_start(&server, SERVER_IPV6_ONLY, &cases[i].script), __func__, "no IPv6"))
                        return;
                request = get(server.url);
                if (cases[i].result == HTTP_TIMEOUT)
                        request.timeout = SHORT;
                expect(&request, cases[i].result, cases[i].error, true);
                server_stop(&server);
        }
}
END_TEST

START_TEST(connecting_takes_too_long) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        struct http_request request;
        int fd, waiting[8];
        uint16_t port;
        char url[64];

        /* A backlog of 0 that is full: the kernel drops what comes. */
        fd = closed_port(&port);
        ck_assert_int_eq(listen(fd, 0), 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                ck_assert_int_ge(waiting[i], 0);
                (void) connect(waiting[i], (struct sockaddr *) &address, sizeof(address));
        }

        (void) snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
        request = get(url);
        request.timeout = SHORT;
        expect(&request, HTTP_TIMEOUT, "Timed out after 0.3 s", false);

        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                close(waiting[i]);
        close(fd);
}
END_TEST

START_TEST(no_descriptor) {
        struct rlimit limit, before;
        struct http_request request;
        struct server server;
        int lowest;

        ck_assert(server_start(&server, SERVER_IPV4, &polite));
        request = get(server.url);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        lowest = dup(0);
        ck_assert_int_ge(lowest, 0);
        close(lowest);
        limit = before;
        limit.rlim_cur = lowest;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        expect(&request, HTTP_LOCAL, "Too many open files", false);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        expect(&request, HTTP_ANSWER, "", true);
        server_stop(&server);
}
END_TEST

START_TEST(bad_addresses) {
        static const char *const urls[] = {
                "ftp://127.0.0.1/",
                "file:///etc/passwd",
                "http://",
                "http://127.0.0.1:99999/",
        };

        for (size_t i = 0; i < ELEMENTSOF(urls); i++) {
                struct http_request request = get(urls[i]);

                expect(&request, HTTP_LOCAL, "Not an HTTP address", false);
        }
}
END_TEST

/* TLS is asked of servers that speak none; the words behind "TLS: " are the TLS library's. */
START_TEST(tls_failures) {
        static const struct server_script scripts[] = {
                { .answer = "SSH-2.0-OpenSSH_9.2\r\n", .unread = true, .end = SERVER_HANG },
                { .answer = "HTTP/1.1 400 Bad Request\r\n\r\n", .unread = true,
                  .end = SERVER_HANG },
                { .answer = "\x15\x03\x01\x00\x02\x02\x28", .size = 7, .unread = true,
                  .end = SERVER_HANG },
        };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                struct http_response response;
                struct http_request request;
                struct server server;
                char url[64];

                ck_assert(server_start(&server, SERVER_IPV4, &scripts[i]));
                (void) snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server.port);
                request = get(url);
                ck_assert_int_eq(http_perform(http, &request, &response), 0);
                ck_assert_int_eq(response.result, HTTP_TLS);
                ck_assert_msg(strncmp(response.error, "TLS: ", 5) == 0 &&
                                      !strstr(response.error, "error:"),
                              "%s", response.error);
                ck_assert(!response.sent);
                http_response_done(&response);
                server_stop(&server);
        }
}
END_TEST

/* Connections that stay. */

START_TEST(connection_kept) {
        struct http_request request;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &polite));
        request = get(server.url);
        for (unsigned i = 0; i < 5; i++) {
                expect(&request, HTTP_ANSWER, "", true);
                ck_assert_int_ge(http_idle_socket(http), 0);
        }
        ck_assert_uint_eq(atomic_load(&server.connections), 1);

        /* Made anew, and kept like any other. */
        request.fresh = true;
        expect(&request, HTTP_ANSWER, "", true);
        expect(&request, HTTP_ANSWER, "", true);
        ck_assert_int_ge(http_idle_socket(http), 0);
        ck_assert_uint_eq(atomic_load(&server.connections), 3);
        request.fresh = false;
        expect(&request, HTTP_ANSWER, "", true);
        ck_assert_uint_eq(atomic_load(&server.connections), 3);

        request.once = true;
        expect(&request, HTTP_ANSWER, "", true);
        ck_assert_int_eq(http_idle_socket(http), -1);
        ck_assert_uint_eq(atomic_load(&server.connections), 4);
        ck_assert_uint_eq(http_requests(http), 9);
        server_stop(&server);
}
END_TEST

START_TEST(connection_not_kept) {
        static const struct server_script scripts[] = {
                { .answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                  .end = SERVER_HANG },
                { .answer = "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", .end = SERVER_HANG },
                { .answer = "HTTP/1.1 200 OK\r\n\r\nok" },
        };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                struct http_request request;
                struct server server;

                ck_assert(server_start(&server, SERVER_IPV4, &scripts[i]));
                request = get(server.url);
                expect(&request, HTTP_ANSWER, "", true);
                ck_assert_int_eq(http_idle_socket(http), -1);
                server_stop(&server);
        }
}
END_TEST

START_TEST(end_of_kept_connection_wakes) {
        struct http_request request;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &polite));
        request = get(server.url);
        expect(&request, HTTP_ANSWER, "", true);

        waiter.connection_fd = http_idle_socket(http);
        ck_assert_int_ge(waiter.connection_fd, 0);
        ck_assert_int_eq(waiter_until(&waiter, waiter_now(&waiter) + 20 * USEC_PER_MSEC,
                                      WAIT_CONNECTION),
                         0);
        server_stop(&server);
        ck_assert_int_eq(waiter_until(&waiter, waiter_now(&waiter) + LONG, WAIT_CONNECTION),
                         WAIT_CONNECTION);
        waiter.connection_fd = -1;

        /* The port is closed by now, and the dead connection is not taken for a live one. */
        expect(&request, HTTP_REFUSED, "Connection refused", false);
}
END_TEST

static bool pass_over(const char *data _unused_, size_t size _unused_, void *user _unused_) {
        return true;
}

/* libcurl closes it as a stream begins, whose socket then has its number; it looks once a second at most. */
START_TEST(end_of_kept_connection_found_by_a_stream) {
        struct http_request kept, stream;
        struct http_transfer *transfer;
        struct server first, second;

        ck_assert(server_start(&first, SERVER_IPV4, &polite));
        ck_assert(server_start(&second, SERVER_IPV4, &silent));
        kept = get(first.url);
        expect(&kept, HTTP_ANSWER, "", true);
        server_stop(&first);
        ck_assert_int_eq(http_run(http, -1, waiter_now(&waiter) + USEC_PER_SEC + 50 * USEC_PER_MSEC), 0);
        ck_assert_int_ge(http_idle_socket(http), 0);

        stream = get(second.url);
        stream.receive = pass_over;
        ck_assert_int_eq(http_start(http, &stream, &transfer), 0);
        ck_assert_int_eq(http_wait(http, waiter_now(&waiter) + SHORT, WAIT_CONNECTION), 0);
        ck_assert_int_eq(http_idle_socket(http), -1);
        http_transfer_free(transfer);
        server_stop(&second);
}
END_TEST

/* Reset on the kept connection, and again where libcurl sends it by itself: it is the second that is told. */
START_TEST(reset_twice) {
        struct http_transfer *transfer;
        struct http_request request;
        struct peer peer;

        peer_open(&peer);
        request = get(peer.url);
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        peer_accept(&peer);
        peer_send(&peer, ANSWER);
        while (!http_finished(transfer))
                ck_assert_int_eq(http_run(http, -1, USEC_INFINITY), 0);
        http_transfer_free(transfer);

        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        peer_read(&peer);
        peer_reset(&peer);
        peer_accept(&peer);
        peer_reset(&peer);
        while (!http_finished(transfer))
                ck_assert_int_eq(http_run(http, -1, USEC_INFINITY), 0);
        ck_assert_int_eq(http_finished(transfer)->result, HTTP_CUT);
        ck_assert_str_eq(http_finished(transfer)->error, "Connection reset by peer");
        http_transfer_free(transfer);
        peer_close(&peer);
}
END_TEST

/* A kept connection that dies under a request: what changes something must arrive once at most. */
START_TEST(post_sent_once) {
        const struct server_script script = { .answer = ANSWER, .end = SERVER_KEEP, .answers = 1 };
        struct http_request post = {
                .method = "POST",
                .timeout = LONG,
                .body = "{}",
                .once = true,
        };
        struct http_request request;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &script));
        request = get(server.url);
        expect(&request, HTTP_ANSWER, "", true);
        post.url = server.url;
        expect(&post, HTTP_ANSWER, "", true);
        ck_assert_uint_eq(atomic_load(&server.connections), 2);
        ck_assert_uint_eq(atomic_load(&server.requests), 2);
        server_stop(&server);

        ck_assert(server_start(&server, SERVER_IPV4,
                               &(struct server_script) { .end = SERVER_CLOSE }));
        post.url = server.url;
        expect(&post, HTTP_CUT, "Connection closed before the answer", true);
        ck_assert_uint_eq(atomic_load(&server.requests), 1);
        server_stop(&server);
}
END_TEST

static int connected_to(uint16_t port) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        int fd;

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(fd, 0);
        begin_to_connect(fd, &address);
        return fd;
}

START_TEST(connected_socket_used) {
        unsigned before = count_descriptors();
        struct http_request request, plain;
        struct server server;

        ck_assert(server_start(&server, SERVER_IPV4, &polite));
        plain = get(server.url);
        expect(&plain, HTTP_ANSWER, "", true);

        /* Even where another connection is at hand; and it is kept like any other. */
        request = plain;
        request.connected_fd = connected_to(server.port);
        expect(&request, HTTP_ANSWER, "", true);
        ck_assert_int_eq(http_idle_socket(http), request.connected_fd);
        ck_assert_uint_eq(atomic_load(&server.connections), 2);
        expect(&plain, HTTP_ANSWER, "", true);
        ck_assert_uint_eq(atomic_load(&server.connections), 2);

        /* A socket whose connect(2) was asked twice: libcurl 7.88 has to make its own then. */
        request.connected_fd = connected_to(server.port);
        begin_to_connect(request.connected_fd, &(struct sockaddr_in) {
                                 .sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                 .sin_port = htons(server.port),
                         });
        expect(&request, HTTP_ANSWER, "", true);

        /* Never taken: the URL is none. */
        request.url = "ftp://127.0.0.1/";
        request.connected_fd = connected_to(server.port);
        expect(&request, HTTP_LOCAL, "Not an HTTP address", false);

        http_teardown();
        server_stop(&server);
        http_setup();
        ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

START_TEST(connections_do_not_pile_up) {
        struct server servers[8];
        unsigned before;

        for (size_t i = 0; i < ELEMENTSOF(servers); i++)
                ck_assert(server_start(&servers[i], SERVER_IPV4, &silent));
        for (size_t i = 0; i < ELEMENTSOF(servers); i++)
                server_stop(&servers[i]);

        before = count_descriptors();
        for (size_t i = 0; i < ELEMENTSOF(servers); i++) {
                struct http_request request;

                ck_assert(server_start(&servers[i], SERVER_IPV4, &polite));
                request = get(servers[i].url);
                expect(&request, HTTP_ANSWER, "", true);
        }
        for (size_t i = 0; i < ELEMENTSOF(servers); i++)
                server_stop(&servers[i]);
        /* One connection, and what libcurl itself opens once. */
        ck_assert_uint_le(count_descriptors(), before + 3);
}
END_TEST

static void add_case(Suite *suite, const char *name, const TTest *const *tests, size_t n) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, http_setup, http_teardown);
        tcase_set_timeout(tcase, 60);
        for (size_t i = 0; i < n; i++)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        const TTest *const failures[] = {
                refused, connected_to_itself, unix_sockets, unix_backlog_full, unix_answer,
                second_address, connecting_takes_too_long, no_descriptor, bad_addresses,
                tls_failures,
        };
        const TTest *const kept[] = {
                connection_kept, connection_not_kept, end_of_kept_connection_wakes,
                end_of_kept_connection_found_by_a_stream, reset_twice, post_sent_once,
                connected_socket_used, connections_do_not_pile_up,
        };
        Suite *suite = suite_create("http connections");

        add_case(suite, "failures", failures, ELEMENTSOF(failures));
        add_case(suite, "kept", kept, ELEMENTSOF(kept));

        return suite_run(suite);
}
