/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Raw bytes from a server, through the HTTP module and libcurl. The server is a
 * Unix socket in this process, served from the waiter's progress hook, which each
 * turn of a transfer calls: no thread, no time that matters, and the same every
 * time. The first byte of the input says how it is sent:
 *
 *         bits 0 to 1     in pieces of 1, 16, 4096 bytes, or whole
 *         bit 2           the request is not read: the end is a reset
 *         bit 3           it is an identity check, else a list, with a header wanted
 *         bit 4           the body may have 64 bytes only
 *         bit 5           it is a stream, of which no more than 64 bytes are wanted with bit 4
 *         bit 6           makes a letter of it
 *
 * Then a second request on a connection of its own is answered well: nothing of
 * what came before may be in its answer.
 */

#include <curl/curl.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/http.h"
#include "fuzz.h"
#include "source/identity.h"

#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 21\r\nConnection: close\r\n\r\n{\"version\":\"v0.44.0\"}"
#define TURNS_MAX 200000

static const size_t piece_sizes[] = { 1, 16, 4096, SIZE_MAX };

static struct {
        char path[sizeof "/tmp/fuzz-http-XXXXXX/s"];
        char folder[sizeof "/tmp/fuzz-http-XXXXXX"];
        int listener, connection;
        const char *answer;             /* what is left of it */
        size_t left, piece;
        bool deaf;                      /* does not read the request */
        size_t turns;
} server = { .folder = "/tmp/fuzz-http-XXXXXX", .listener = -1, .connection = -1 };

static struct waiter waiter;

static void end(void) {
        waiter_done(&waiter);
        closep(&server.listener);
        curl_global_cleanup();
        (void) unlink(server.path);
        (void) rmdir(server.folder);
}

static void begin(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        must(mkdtemp(server.folder) && atexit(end) == 0);
        snprintf(server.path, sizeof server.path, "%s/s", server.folder);
        strcpy(address.sun_path, server.path);
        server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        must(server.listener >= 0);
        must(bind(server.listener, (struct sockaddr *) &address, sizeof address) == 0);
        must(listen(server.listener, 8) == 0);
        must(waiter_init(&waiter) == 0);
        /* libcurl's once: http_new() and http_free() count. */
        must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static void hang_up(void) {
        closep(&server.connection);
        server.connection = -1;
}

/* Whether there is somebody who has asked. */
static bool is_asked(void) {
        char request[4096];

        if (server.connection < 0)
                server.connection = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (server.connection < 0)
                return false;
        if (server.deaf)
                return true;
        return recv(server.connection, request, sizeof request, 0) > 0;
}

/* One turn of the server: a piece, and at the end the end. */
static void serve(void *user _unused_) {
        static bool asked;
        ssize_t n;

        must(++server.turns < TURNS_MAX);
        if (server.connection < 0)
                asked = false;
        asked = asked || is_asked();
        if (!asked)
                return;

        n = send(server.connection, server.answer, server.left < server.piece ? server.left : server.piece,
                 MSG_NOSIGNAL);
        if (n > 0) {
                server.answer += n;
                server.left -= (size_t) n;
        }
        if (server.left == 0 || (n < 0 && errno != EAGAIN))
                hang_up();
}

static void answer_with(const char *answer, size_t size, size_t piece, bool deaf) {
        server.answer = answer;
        server.left = size;
        server.piece = piece;
        server.deaf = deaf;
        server.turns = 0;
}

static void check_response(const struct http_response *response, size_t body_max, const char *raw, size_t size) {
        bool whole = response->result == HTTP_ANSWER;

        must(memchr(response->error, '\0', sizeof response->error));
        must(is_harmless(response->error, strlen(response->error), ONE_LINE));
        must(whole == !*response->error);
        must(whole || (!response->body && response->size == 0));
        must(!whole || (response->status >= 200 && response->status <= 999));
        must(response->status == 0 || (response->status >= 200 && response->status <= 999));
        must(response->size <= body_max && response->size <= size);
        must(!response->body || response->body[response->size] == '\0');
        must((response->body != NULL) == (response->size > 0));
        must(response->result != HTTP_TIMEOUT && response->result != HTTP_LOCAL && response->result != HTTP_TLS);
        must(!response->header_value || strlen(response->header_value) < size);
        must(!whole || response->sent);
        /* HTTP/0.9, ICY and the like are not HTTP here. */
        must(!whole || (raw && size > 12 && strncasecmp(raw, "HTTP/", 5) == 0 &&
                        (memmem(raw, size, "\n\r\n", 3) || memmem(raw, size, "\n\n", 2))));
}

static void ask(struct http *http, size_t body_max, bool check, const char *raw, size_t size) {
        _cleanup_(http_response_done) struct http_response response = {};
        char version[VERSION_MAX] = "";
        const struct http_request request = {
                .method = "GET",
                .url = "http://localhost/api/v1beta/workloads?all=true",
                .unix_socket = server.path,
                .header = check ? NULL : "X-Toolhive-Nonce",
                .timeout = 60 * USEC_PER_SEC,
                .body_max = body_max,
                .fresh = true,
        };

        must(http_perform(http, &request, &response) == 0);
        check_response(&response, body_max ?: HTTP_BODY_MAX, raw, size);
        if (identity_judge(&response, version) == 0)
                must(*version && is_harmless(version, strlen(version), ONE_LINE));
}

/* What a stream told. */
struct told {
        size_t size, max;
        bool ended;
};

static bool receive(const char *data, size_t size, void *user) {
        struct told *told = user;

        must(size > 0 && data && !told->ended);
        told->size += size;
        told->ended = told->size > told->max;
        return !told->ended;
}

static void open_stream(struct http *http, size_t max, const char *raw, size_t size) {
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        struct told told = { .max = max ?: SIZE_MAX };
        const struct http_request request = {
                .method = "GET",
                .url = "http://localhost/apis/watch",
                .unix_socket = server.path,
                .token = "a.token",
                .timeout = 60 * USEC_PER_SEC,
                .body_max = 64 << 10,
                .receive = receive,
                .user = &told,
        };
        const struct http_response *response;

        must(http_start(http, &request, &transfer) == 0);
        while (!(response = http_finished(transfer)))
                must(http_wait(http, USEC_INFINITY, 0) == WAIT_CHANGE);

        must(told.size == 0 || http_status(transfer) == 200 || response->result == HTTP_NOT_HTTP);
        must(told.size <= size);
        if (told.ended)
                must(response->result == HTTP_CUT && strcmp(response->error, "Ended by us") == 0);
        else if (response->status != 200 || response->result != HTTP_ANSWER)
                check_response(response, 64 << 10, raw, size);
        else
                must(!response->body && response->size == 0);
}

static void ask_well(struct http *http) {
        struct endpoint endpoint = { .url = "unix:" };
        char version[VERSION_MAX] = "", error[ERROR_MAX] = "";

        strcpy(endpoint.socket, server.path);
        hang_up();
        answer_with(GOOD, sizeof GOOD - 1, SIZE_MAX, false);
        must(identity_check(http, &endpoint, 60 * USEC_PER_SEC, version, error) == 0);
        must(strcmp(version, "v0.44.0") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(http_freep) struct http *http = NULL;
        const char *raw = (const char *) data + 1;

        if (size == 0)
                return 0;
        if (server.listener < 0)
                begin();

        must(http_new(&waiter, 1, &http) == 0);
        waiter_set_hooks(&waiter, 0, serve, NULL, NULL);
        answer_with(raw, size - 1, piece_sizes[data[0] & 3], data[0] & 4);
        if (data[0] & 32)
                open_stream(http, data[0] & 16 ? 64 : 0, raw, size - 1);
        else
                ask(http, data[0] & 16 ? 64 : 0, data[0] & 8, raw, size - 1);
        ask_well(http);
        hang_up();
        return 0;
}
