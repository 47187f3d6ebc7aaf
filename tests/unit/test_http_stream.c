/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Streams: bodies that come piece by piece, what ends them, what limits them, and
 * the wait that drives them. Certificates are in test_http_tls.c.
 */

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/text.h"
#include "http_fixture.h"
#include "http_peer.h"
#include "suite.h"

#define LONG (20 * USEC_PER_SEC)
#define SHORT (100 * USEC_PER_MSEC)

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LAST_CHUNK "0\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct peer peer;
static struct http_transfer *transfer;

/* What the receiver has got, and when it has enough of it. */
static struct text got = TEXT_INIT;
static unsigned calls, calls_wanted;

static void setup(void) {
        http_setup();
        /* Room for the stream and for one that is kept. */
        http = http_free(http);
        ck_assert_int_eq(http_new(&waiter, 2, &http), 0);
        peer_open(&peer);
}

static void teardown(void) {
        transfer = http_transfer_free(transfer);
        peer_close(&peer);
        text_done(&got);
        http_teardown();
}

static bool receive(const char *data, size_t size, void *user) {
        ck_assert_ptr_eq(user, &got);
        text_add_bytes(&got, data, size);
        return ++calls != calls_wanted;
}

static struct http_request stream(void) {
        return (struct http_request) {
                .method = "GET", .url = peer.url, .timeout = LONG, .receive = receive, .user = &got, .body_max = 64,
        };
}

/* A stream whose request has come to the peer. */
static void begin(const struct http_request *request) {
        text_clear(&got);
        calls = calls_wanted = 0;
        transfer = http_transfer_free(transfer);
        ck_assert_int_eq(http_start(http, request, &transfer), 0);
        peer_accept(&peer);
        ck_assert_int_eq(http_status(transfer), 0);
}

static void begin_stream(void) {
        struct http_request request = stream();

        begin(&request);
}

static usec_t soon(usec_t usec) {
        return waiter_now(&waiter) + usec;
}

static void drive_until_got(size_t size) {
        while (got.size < size)
                ck_assert_int_eq(http_wait(http, soon(LONG), 0), WAIT_CHANGE);
        ck_assert_uint_eq(got.size, size);
}

static const struct http_response *drive_to_its_end(void) {
        while (!http_finished(transfer))
                ck_assert_int_eq(http_wait(http, soon(LONG), 0), WAIT_CHANGE);
        return http_finished(transfer);
}

static void expect_end(enum http_result result, int status, const char *error) {
        const struct http_response *response = drive_to_its_end();

        ck_assert_msg(response->result == result && response->status == status && strcmp(response->error, error) == 0,
                      "result %d, status %d, \"%s\"", response->result, response->status, response->error);
        ck_assert(!response->body && response->size == 0);
        ck_assert_int_eq(http_status(transfer), status);
}

/* ---- pieces ---- */

START_TEST(piece_by_piece) {
        begin_stream();
        peer_send(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n");
        ck_assert_int_eq(http_wait(http, soon(SHORT), 0), 0);
        ck_assert_int_eq(http_status(transfer), 0);

        /* The headers alone are news, or nobody would know that it has begun. */
        peer_send(&peer, "\r\n");
        ck_assert_int_eq(http_wait(http, soon(LONG), 0), WAIT_CHANGE);
        ck_assert_int_eq(http_status(transfer), 200);
        ck_assert_uint_eq(calls, 0);
        ck_assert_ptr_null(http_finished(transfer));

        peer_send_chunk(&peer, "one\n");
        drive_until_got(4);
        peer_send(&peer, "8\r\ntw");                    /* a part of a chunk */
        drive_until_got(6);
        peer_send(&peer, "o\nthr");
        drive_until_got(11);
        ck_assert_ptr_null(http_finished(transfer));
        peer_send(&peer, "e\r\n" "2\r\ne\n\r\n" LAST_CHUNK);
        expect_end(HTTP_ANSWER, 200, "");
        ck_assert_str_eq(got.data, "one\ntwo\nthree\n");
}
END_TEST

enum framing { CHUNKS, LENGTH, UNTIL_CLOSE, FRAMINGS };

static void frame(enum framing framing, const char *body, size_t size, struct text *wire) {
        switch (framing) {
        case CHUNKS:
                text_add(wire, CHUNKED);
                for (size_t at = 0, n; at < size; at += n) {
                        n = 1 + (size_t) random() % 3000;
                        n = n < size - at ? n : size - at;
                        text_addf(wire, "%zx\r\n", n);
                        text_add_bytes(wire, body + at, n);
                        text_add(wire, "\r\n");
                }
                text_add(wire, LAST_CHUNK);
                return;
        case LENGTH:
                text_addf(wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
                break;
        case UNTIL_CLOSE:
        case FRAMINGS:
                text_add(wire, "HTTP/1.1 200 OK\r\n\r\n");
        }
        text_add_bytes(wire, body, size);
}

/* Far over body_max, which is not a stream's, in slices that know nothing of chunks and lines. */
START_TEST(any_cuts) {
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL);

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (unsigned round = 0; round < 12; round++) {
                size_t size = (size_t) random() % 20000, wide = round % 2 ? 40 : 5000;
                _cleanup_(freep) char *body = malloc(size + 1);
                _cleanup_text_ struct text wire = TEXT_INIT;

                ck_assert_ptr_nonnull(body);
                for (size_t i = 0; i < size; i++)
                        body[i] = (char) random();
                frame((enum framing) (round % FRAMINGS), body, size, &wire);
                ck_assert_int_eq(text_error(&wire), 0);
                begin_stream();
                for (size_t at = 0, n; at < wire.size; at += n) {
                        n = 1 + (size_t) random() % wide;
                        n = n < wire.size - at ? n : wire.size - at;
                        peer_send_bytes(&peer, wire.data + at, n);
                        ck_assert_int_ge(http_wait(http, 0, 0), 0);
                }
                peer_hang_up(&peer);
                expect_end(HTTP_ANSWER, 200, "");
                ck_assert_uint_eq(got.size, size);
                ck_assert(size == 0 || memcmp(got.data, body, size) == 0);
        }
}
END_TEST

/* ---- what is no stream ---- */

static const struct {
        int status;
        const char *answer, *body;
} others[] = {
        { 403, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied", "denied" },
        { 410, "HTTP/1.1 410 Gone\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nto\r\n5\r\no old\r\n0\r\n\r\n", "too old" },
        { 429, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", NULL },
        { 201, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", "ok" },
        { 500, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno", "no" },
};

/* The receiver never sees it: what an error says is an answer as ever. */
START_TEST(other_answers) {
        const struct http_response *response;

        begin_stream();
        peer_send(&peer, others[_i].answer);
        response = drive_to_its_end();
        ck_assert_int_eq(response->result, HTTP_ANSWER);
        ck_assert_int_eq(response->status, others[_i].status);
        ck_assert_int_eq(http_status(transfer), others[_i].status);
        if (others[_i].body)
                ck_assert_str_eq(response->body, others[_i].body);
        else
                ck_assert_ptr_null(response->body);
        ck_assert_uint_eq(response->retry_after, others[_i].status == 429 ? 7 * USEC_PER_SEC : USEC_INFINITY);
        ck_assert_uint_eq(calls, 0);
}
END_TEST

/* Their bodies have the limit that a stream has not. */
START_TEST(other_answers_are_limited) {
        static const char *const heads[] = {
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 65\r\n\r\n",
                "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n",
        };
        char body[66];

        memset(body, 'x', sizeof body - 1);
        body[sizeof body - 1] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(heads); i++) {
                begin_stream();
                peer_send(&peer, heads[i]);
                if (i == 0)
                        peer_send(&peer, body);
                else
                        peer_send_chunk(&peer, body);
                expect_end(HTTP_TOO_LARGE, 403, "Body over 64 bytes");
                ck_assert_uint_eq(calls, 0);
        }
}
END_TEST

/* ---- ends ---- */

START_TEST(ended_by_the_receiver) {
        begin_stream();
        calls_wanted = 2;
        peer_send(&peer, CHUNKED);
        peer_send_chunk(&peer, "one");
        drive_until_got(3);
        peer_send_chunk(&peer, "two");
        peer_send_chunk(&peer, "three");
        expect_end(HTTP_CUT, 200, "Ended by us");
        ck_assert_uint_eq(calls, 2);
        ck_assert_str_eq(got.data, "onetwo");
        ck_assert(peer_was_left(&peer));
}
END_TEST

START_TEST(ended_by_the_server) {
        begin_stream();
        peer_send(&peer, CHUNKED "5\r\none");
        drive_until_got(3);
        peer_hang_up(&peer);
        expect_end(HTTP_CUT, 200, "Answer cut short");

        begin_stream();
        peer_send(&peer, CHUNKED);
        peer_send_chunk(&peer, "one");
        drive_until_got(3);
        peer_reset(&peer);
        expect_end(HTTP_CUT, 200, "Connection reset by peer");

        begin_stream();
        peer_send(&peer, "HTTP/1.1 200 OK\r\nTransfer-Enc");
        peer_hang_up(&peer);
        ck_assert_int_eq(drive_to_its_end()->result, HTTP_CUT);
        ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(freed_under_way) {
        begin_stream();
        peer_send(&peer, CHUNKED);
        peer_send_chunk(&peer, "one");
        drive_until_got(3);
        transfer = http_transfer_free(transfer);
        ck_assert(peer_was_left(&peer));
        ck_assert_uint_eq(calls, 1);
}
END_TEST

/* ---- limits ---- */

/* The time-out is over before the headers have come, and once more before the next piece. */
START_TEST(no_time_limit) {
        struct http_request request = stream();
        usec_t timeout = 3 * SHORT * suite_slowness();  /* connecting has to be done by then */

        request.timeout = timeout;
        begin(&request);
        ck_assert_int_eq(http_wait(http, soon(timeout + SHORT / 2), 0), 0);
        peer_send(&peer, CHUNKED);
        ck_assert_int_eq(http_wait(http, soon(LONG), 0), WAIT_CHANGE);
        ck_assert_int_eq(http_wait(http, soon(timeout + SHORT / 2), 0), 0);
        peer_send_chunk(&peer, "one");
        drive_until_got(3);
        peer_send(&peer, LAST_CHUNK);
        expect_end(HTTP_ANSWER, 200, "");
}
END_TEST

START_TEST(connecting_is_limited) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(peer.port) };
        struct http_request request = stream();
        int waiting[8];

        /* A backlog of 0 that is full: the kernel drops what comes. */
        ck_assert_int_eq(listen(peer.listen_fd, 0), 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                ck_assert_int_ge(waiting[i], 0);
                (void) connect(waiting[i], (struct sockaddr *) &address, sizeof address);
        }
        request.timeout = SHORT;
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        expect_end(HTTP_TIMEOUT, 0, "Timed out after 0.1 s");
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                close(waiting[i]);
}
END_TEST

/* The client's socket, by whom it is connected to. */
static int socket_to(uint16_t port) {
        for (int fd = 3; fd < 256; fd++) {
                struct sockaddr_in address = {};
                socklen_t size = sizeof address;

                if (getpeername(fd, (struct sockaddr *) &address, &size) == 0 && address.sin_family == AF_INET &&
                    ntohs(address.sin_port) == port)
                        return fd;
        }
        ck_abort_msg("no socket to port %u", port);
}

/* What lets a silent one be known for dead: nothing else would, for hours. */
START_TEST(kept_alive) {
        struct http_request request = stream();
        socklen_t size = sizeof(int);
        int fd, value;

        begin(&request);
        fd = socket_to(peer.port);
        ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
        ck_assert_int_eq(value, 1);
        ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &size), 0);
        ck_assert_int_eq(value, 30);
        ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &value, &size), 0);
        ck_assert_int_eq(value, 10);

        request.receive = NULL;
        begin(&request);
        ck_assert_int_eq(getsockopt(socket_to(peer.port), SOL_SOCKET, SO_KEEPALIVE, &value, &size), 0);
        ck_assert_int_eq(value, 0);
}
END_TEST

/* ---- beside other requests ---- */

/* One request, answered by the peer; on the connection that is there, or a new one. */
static void ask(bool kept) {
        struct http_request request = { .method = "GET", .url = peer.url, .timeout = LONG };
        struct http_transfer *other;

        ck_assert_int_eq(http_start(http, &request, &other), 0);
        if (kept)
                peer_read(&peer);
        else
                peer_accept(&peer);
        peer_send(&peer, ANSWER);
        while (!http_finished(other))
                ck_assert_int_ge(http_wait(http, soon(LONG), 0), 0);
        ck_assert_int_eq(http_finished(other)->result, HTTP_ANSWER);
        http_transfer_free(other);
}

START_TEST(beside_a_kept_connection) {
        struct peer server;
        struct http_request request;
        int idle;

        ask(false);
        idle = http_idle_socket(http);
        ck_assert_int_ge(idle, 0);

        /* On a connection of its own, while it lasts and when it is over. */
        peer_open(&server);
        request = stream();
        request.url = server.url;
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        ck_assert_int_eq(http_idle_socket(http), idle);
        peer_accept(&server);
        peer_send(&server, CHUNKED);
        peer_send_chunk(&server, "one");
        drive_until_got(3);
        ask(true);
        ck_assert_int_eq(http_idle_socket(http), idle);
        peer_send(&server, LAST_CHUNK);
        expect_end(HTTP_ANSWER, 200, "");
        ck_assert_int_eq(http_idle_socket(http), idle);
        ck_assert(peer_was_left(&server));
        ask(true);
        ck_assert_uint_eq(http_requests(http), 4);
        peer_close(&server);
}
END_TEST

/* To the same server: it neither takes the kept connection nor leaves its own to others. */
START_TEST(not_on_a_kept_connection) {
        int kept;

        ask(false);
        kept = STEAL_FD(peer.fd);
        begin_stream();
        peer_send(&peer, CHUNKED LAST_CHUNK);
        expect_end(HTTP_ANSWER, 200, "");
        ck_assert(peer_was_left(&peer));
        close(peer.fd);
        peer.fd = kept;
        ask(true);
}
END_TEST

/*
 * libcurl clears away what it finds dead when it opens a connection, whose socket
 * then has the number of the one that was kept.
 */
START_TEST(after_a_dead_connection) {
        struct http_request request = stream();
        struct peer server;

        ask(false);
        ck_assert_int_ge(http_idle_socket(http), 0);
        peer_hang_up(&peer);
        /* It does so once a second at most. */
        ck_assert_int_eq(http_wait(http, soon(1100 * USEC_PER_MSEC), 0), 0);
        peer_open(&server);
        request.url = server.url;
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        peer_accept(&server);
        ck_assert_int_ne(http_idle_socket(http), socket_to(server.port));
        peer_send(&server, CHUNKED);
        while (http_status(transfer) == 0)
                ck_assert_int_eq(http_wait(http, soon(LONG), WAIT_CONNECTION), WAIT_CHANGE);
        peer_close(&server);
}
END_TEST

/* What comes while something else is asked is not lost. */
START_TEST(pieces_during_a_request) {
        struct http_request request = { .method = "GET", .timeout = SHORT };
        struct http_response response;
        struct peer silent;

        peer_open(&silent);
        request.url = silent.url;
        begin_stream();
        peer_send(&peer, CHUNKED);
        peer_send_chunk(&peer, "one");
        ck_assert_int_eq(http_perform(http, &request, &response), 0);
        ck_assert_int_eq(response.result, HTTP_TIMEOUT);
        ck_assert_str_eq(got.data, "one");
        ck_assert_int_eq(http_status(transfer), 200);
        http_response_done(&response);
        peer_close(&silent);
}
END_TEST

/* ---- waiting ---- */

START_TEST(wait_until_a_deadline) {
        usec_t deadline;

        begin_stream();
        deadline = soon(SHORT);
        ck_assert_int_eq(http_wait(http, deadline, WAIT_RELOAD | WAIT_CONNECTION), 0);
        ck_assert_uint_ge(waiter_now(&waiter), deadline);
        ck_assert_uint_lt(waiter_now(&waiter), deadline + LONG);

        /* One that has passed lets it do what is to be done, and does not sleep. */
        peer_send(&peer, CHUNKED);
        while (http_status(transfer) == 0)
                ck_assert_int_ge(http_wait(http, 0, 0), 0);
        ck_assert_int_eq(http_wait(http, 0, 0), 0);
}
END_TEST

START_TEST(wait_for_a_reload) {
        begin_stream();
        waiter_reload(&waiter);
        ck_assert_int_eq(http_wait(http, soon(SHORT), WAIT_CONNECTION), 0);
        ck_assert_int_eq(http_wait(http, soon(LONG), WAIT_RELOAD), WAIT_RELOAD);
        ck_assert_int_eq(http_wait(http, soon(LONG), WAIT_RELOAD), WAIT_RELOAD);
        ck_assert(waiter_take_reload(&waiter));
        ck_assert_int_eq(http_wait(http, soon(SHORT), WAIT_RELOAD), 0);

        /* What is new of a stream is told first. */
        waiter_reload(&waiter);
        peer_send(&peer, CHUNKED);
        while (http_wait(http, soon(LONG), WAIT_RELOAD) != WAIT_CHANGE)
                ck_assert_int_eq(http_status(transfer), 0);
}
END_TEST

static void *stop_soon(void *user _unused_) {
        (void) nanosleep(&(struct timespec) { .tv_nsec = 50 * 1000000 }, NULL);
        waiter_stop(&waiter);
        return NULL;
}

START_TEST(wait_for_a_stop) {
        pthread_t thread;
        usec_t start;

        begin_stream();
        start = waiter_now(&waiter);
        ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, NULL), 0);
        ck_assert_int_eq(http_wait(http, USEC_INFINITY, 0), -ECANCELED);
        ck_assert_uint_lt(waiter_now(&waiter), start + LONG);
        ck_assert_int_eq(http_wait(http, USEC_INFINITY, 0), -ECANCELED);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

START_TEST(wait_for_the_kept_connection) {
        struct peer server;
        struct http_request request;

        ask(false);
        peer_open(&server);
        request = stream();
        request.url = server.url;
        ck_assert_int_eq(http_start(http, &request, &transfer), 0);
        peer_accept(&server);
        ck_assert_int_eq(http_wait(http, soon(SHORT), WAIT_CONNECTION), 0);

        peer_hang_up(&peer);
        ck_assert_int_eq(http_wait(http, soon(SHORT), WAIT_RELOAD), 0);
        ck_assert_int_eq(http_wait(http, soon(LONG), WAIT_CONNECTION), WAIT_CONNECTION);
        peer_close(&server);
}
END_TEST

/* Nothing to drive at all: a wait like any other. */
START_TEST(wait_without_a_transfer) {
        usec_t deadline = soon(SHORT);

        ck_assert_int_eq(http_wait(http, deadline, WAIT_CONNECTION), 0);
        ck_assert_uint_ge(waiter_now(&waiter), deadline);
}
END_TEST

/* ---- the token ---- */

static void expect_header(const char *header, bool there) {
        ck_assert_msg(!strcasestr(peer.request, header) == !there, "%s", peer.request);
}

START_TEST(token) {
        struct http_request request = stream();
        char line[16 << 10], word[12 << 10];

        begin(&request);
        expect_header("\r\nAuthorization:", false);

        request.token = "a.b-c_d";
        begin(&request);
        expect_header("\r\nAuthorization: Bearer a.b-c_d\r\n", true);

        /* A long one, and on a request that is no stream. */
        memset(word, 'x', sizeof word - 1);
        word[sizeof word - 1] = '\0';
        request.token = word;
        request.receive = NULL;
        begin(&request);
        snprintf(line, sizeof line, "\r\nAuthorization: Bearer %s\r\n", word);
        expect_header(line, true);
        expect_header("\r\nAccept: application/json\r\n", true);
}
END_TEST

int main(void) {
        static const char *const cases[] = { "streams", "waits", "slow", "dead", NULL };
        const TTest *const streams[] = {
                piece_by_piece, any_cuts, other_answers_are_limited, ended_by_the_receiver, ended_by_the_server,
                freed_under_way, connecting_is_limited, kept_alive, beside_a_kept_connection,
                not_on_a_kept_connection, pieces_during_a_request, token,
        };
        const TTest *const waits[] = {
                wait_until_a_deadline, wait_for_a_reload, wait_for_a_stop, wait_for_the_kept_connection,
                wait_without_a_transfer,
        };
        Suite *suite = suite_create("http streams");
        TCase *tcase;

        tcase = suite_case(suite, "streams", setup, teardown);
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                tcase_add_test(tcase, streams[i]);
        tcase_add_loop_test(tcase, other_answers, 0, ELEMENTSOF(others));

        tcase = suite_case(suite, "waits", setup, teardown);
        for (size_t i = 0; i < ELEMENTSOF(waits); i++)
                tcase_add_test(tcase, waits[i]);

        tcase = suite_case(suite, "slow", setup, teardown);
        tcase_add_test(tcase, no_time_limit);

        tcase = suite_case(suite, "dead", setup, teardown);
        tcase_add_test(tcase, after_a_dead_connection);

        return suite_run_abreast(suite, cases);
}
