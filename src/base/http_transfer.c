/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One transfer: an easy handle, made for one request and gone once libcurl has
 * done with it, and the callbacks that guard it. A handle is never used again:
 * libcurl clears its OS_ERRNO neither between transfers nor in curl_easy_reset(),
 * and a new handle costs less than a tenth of a millisecond.
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/http_transfer.h"
#include "base/text.h"

/* One read of the socket, where a body may be large; libcurl's 16 KiB do for all else, a search's many above all. */
#define LARGE_BODY ((size_t) 1 << 20)
#define LARGE_BUFFER (64L << 10)
/* Seconds: with the kernel's nine probes a dead end is known after two minutes, where TCP alone never would. */
#define KEEPALIVE_IDLE 30L
#define KEEPALIVE_INTERVAL 10L

/*
 * Called when the connection stands (with TLS, after the handshake) and before
 * the first byte of the request. Connecting to a closed port of this machine out
 * of the ephemeral range, in which ToolHive's ports lie, can by chance connect
 * the socket to itself: both ends are the same then, and the port is closed.
 */
static int about_to_send(void *user, char *peer_address, char *own_address, int peer_port,
                         int own_port) {
        struct http_transfer *transfer = user;
        long stale_errno = 0;

        if (!transfer->unix_socket && peer_port == own_port &&
            strcmp(peer_address, own_address) == 0) {
                transfer->aborted = ABORT_SELF;
                return CURL_PREREQFUNC_ABORT;
        }

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &stale_errno);
        transfer->stale_errno = (int) stale_errno;
        transfer->response.sent = true;
        return CURL_PREREQFUNC_OK;
}

/*
 * Not left to libcurl, which tells no errno (no descriptor left, say), sets no
 * SOCK_CLOEXEC, and takes a socket that it cannot make non-blocking as it is: then
 * TLS waits in it, past every limit.
 */
static curl_socket_t open_socket(void *user, curlsocktype purpose _unused_,
                                 struct curl_sockaddr *address) {
        struct http_transfer *transfer = user;
        int fd;

        transfer->socket_given = transfer->connected_fd >= 0;
        if (transfer->socket_given)
                return STEAL_FD(transfer->connected_fd);

        fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
        if (fd < 0) {
                transfer->socket_errno = errno;
                return CURL_SOCKET_BAD;
        }
        return fd;
}

static int socket_opened(void *user, curl_socket_t fd _unused_, curlsocktype purpose _unused_) {
        const struct http_transfer *transfer = user;

        return transfer->socket_given ? CURL_SOCKOPT_ALREADY_CONNECTED : CURL_SOCKOPT_OK;
}

/*
 * libcurl closes a kept connection whose end it has seen when the next transfer
 * begins, and that one's socket may get the number: it must not be watched any more.
 */
static int close_socket(void *user, curl_socket_t fd) {
        struct http *http = user;

        if (http->idle_socket == fd)
                http->idle_socket = -1;
        return close(fd);
}

static int add_header(struct http_transfer *transfer, const char *line) {
        struct curl_slist *headers = curl_slist_append(transfer->headers, line);

        if (!headers)
                return -ENOMEM;
        transfer->headers = headers;
        return 0;
}

static int add_token(struct http_transfer *transfer, const char *token) {
        _cleanup_text_ struct text line = TEXT_INIT;
        int r;

        text_add(&line, "Authorization: Bearer ");
        text_add(&line, token);
        r = text_error(&line);
        if (r == 0)
                r = add_header(transfer, line.data);
        return r;
}

static int set_headers(struct http_transfer *transfer, const struct http_request *request) {
        int r;

        r = add_header(transfer, "Accept: application/json");
        if (r < 0)
                return r;
        if (request->token) {
                r = add_token(transfer, request->token);
                if (r < 0)
                        return r;
        }
        if (request->body) {
                r = add_header(transfer, "Content-Type: application/json");
                if (r < 0)
                        return r;
                /* Nobody waits for "100 Continue" here. */
                r = add_header(transfer, "Expect:");
                if (r < 0)
                        return r;
        }
        if (curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

/* Where libcurl has no memory to take the query out of a URL, it asks without it, which is another question. */
static const char *target_of(const char *url) {
        const char *host = strstr(url, "://");

        return host ? strchr(host + 3, '/') : NULL;
}

/* What is sent, and where to. Fails for want of memory, or, much the same, with a huge string. */
static int set_request(struct http_transfer *transfer, const struct http_request *request) {
        CURL *easy = transfer->easy;
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_URL, request->url);
        bad |= curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, target_of(request->url));
        bad |= curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
        bad |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "mcp-optimizer/" PROJECT_VERSION);
        bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
        if (request->body) {
                bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                        (curl_off_t) strlen(request->body));
                bad |= curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
        }
        bad |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        return bad ? -ENOMEM : set_headers(transfer, request);
}

/*
 * Whose certificate is taken. Without the folder set to none, libcurl would trust
 * the system's as well; and it would keep what it once read of the file for a day,
 * over which a cluster may have changed its authority. Sessions are kept by the easy
 * handle and so never used again; and 7.88 frees one twice where memory ran out.
 */
static int set_trust(struct http_transfer *transfer, const char *ca_file) {
        CURL *easy = transfer->easy;
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
        bad |= curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
        if (ca_file) {
                bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
                bad |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
                bad |= curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
        }
        return bad ? -ENOMEM : 0;
}

/* A stream may be silent for minutes; what is between us and a server that is gone must not let that pass for silence. */
static int set_stream(struct http_transfer *transfer) {
        CURL *easy = transfer->easy;
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE);
        bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
        return bad ? -ENOMEM : 0;
}

/* What an answer may be, and how long all of it may take. */
static int set_limits(struct http_transfer *transfer) {
        CURL *easy = transfer->easy;
        long milliseconds = (long) ((transfer->timeout + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, transfer->receive ? 0L : milliseconds);
        /* The same, or libcurl's own 300 s would end the connecting of a longer request. */
        bad |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
        bad |= curl_easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE,
                                (curl_off_t) (transfer->receive ? 0 : transfer->body_max));
        if (transfer->body_max >= LARGE_BODY)
                bad |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, LARGE_BUFFER);
        bad |= curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
        bad |= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
        bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        bad |= curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
        bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        /* It keeps an entry for each literal and port too: megabytes after a search among open ports. */
        bad |= curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
        /* Leaves a resolver thread behind that hangs, where libcurl by default waits for it. */
        bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
        return bad ? -ENOMEM : 0;
}

static int set_callbacks(struct http_transfer *transfer) {
        CURL *easy = transfer->easy;
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->words);
        bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_body_received);
        bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_header_received);
        bad |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, about_to_send);
        bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, socket_opened);
        bad |= curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, transfer);
        bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        /* Connections outlive their transfers. */
        bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->http);
        return bad ? -ENOMEM : 0;
}

/*
 * libcurl sends a request again by itself, a POST too, when a connection that it
 * had kept dies without an answer. A fresh connection is the only way out of it.
 */
static int set_connection(struct http_transfer *transfer, const struct http_request *request) {
        bool once = request->once || request->receive;
        bool fresh = request->fresh || once || transfer->connected_fd >= 0;
        CURL *easy = transfer->easy;
        int bad = 0;

        bad |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long) fresh);
        bad |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, (long) once);
        return bad ? -ENOMEM : 0;
}

int http_transfer_new(struct http *http, const struct http_request *request,
                      struct http_transfer **ret_transfer) {
        _cleanup_(closep) int connected_fd = request->connected_fd > 0 ? request->connected_fd : -1;
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        int r;

        transfer = malloc(sizeof(*transfer));
        if (!transfer)
                return -ENOMEM;
        *transfer = (struct http_transfer) {
                .http = http,
                .timeout = request->timeout,
                .body_max = request->body_max > 0 ? request->body_max : HTTP_BODY_MAX,
                .unix_socket = request->unix_socket,
                .receive = request->receive,
                .user = request->user,
                .connected_fd = STEAL_FD(connected_fd),
                .refusals = http_memory_refusals(),
                .response.retry_after = USEC_INFINITY,
        };

        transfer->easy = curl_easy_init();
        if (!transfer->easy)
                return -ENOMEM;
        if (request->header) {
                transfer->header = strdup(request->header);
                if (!transfer->header)
                        return -ENOMEM;
        }

        r = set_request(transfer, request);
        if (r < 0)
                return r;
        r = set_trust(transfer, request->ca_file);
        if (r < 0)
                return r;
        r = transfer->receive ? set_stream(transfer) : 0;
        if (r < 0)
                return r;
        r = set_limits(transfer);
        if (r < 0)
                return r;
        r = set_callbacks(transfer);
        if (r < 0)
                return r;
        r = set_connection(transfer, request);
        if (r < 0)
                return r;

        *ret_transfer = STEAL(transfer);
        return 0;
}

int http_transfer_begin(struct http_transfer *transfer) {
        switch (curl_multi_add_handle(transfer->http->multi, transfer->easy)) {
        case CURLM_OK:
                return 0;
        case CURLM_OUT_OF_MEMORY:
                return -ENOMEM;
        default:
                return -EIO;
        }
}

bool http_transfer_again(struct http_transfer *transfer, CURLcode code) {
        long error = 0;

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &error);
        return code == CURLE_COULDNT_CONNECT && error == EISCONN && transfer->socket_given &&
               curl_multi_remove_handle(transfer->http->multi, transfer->easy) == CURLM_OK &&
               http_transfer_begin(transfer) == 0;
}

static void drop_easy(struct http_transfer *transfer) {
        if (!transfer->easy)
                return;

        /* Does nothing where it was never added, and cannot fail otherwise. */
        (void) curl_multi_remove_handle(transfer->http->multi, transfer->easy);
        curl_easy_cleanup(STEAL(transfer->easy));
}

void http_transfer_finish(struct http_transfer *transfer, CURLcode code) {
        struct http_response *response = &transfer->response;

        http_result_judge(transfer, code);
        if (response->result != HTTP_ANSWER) {
                free(STEAL(response->body));
                response->size = 0;
        }
        transfer->finished = true;
        drop_easy(transfer);
}

const struct http_response *http_finished(const struct http_transfer *transfer) {
        return transfer->finished ? &transfer->response : NULL;
}

int http_status(const struct http_transfer *transfer) {
        return transfer->response.status;
}

struct http_transfer *http_transfer_free(struct http_transfer *transfer) {
        if (!transfer)
                return NULL;

        drop_easy(transfer);
        curl_slist_free_all(transfer->headers);
        closep(&transfer->connected_fd);
        http_response_done(&transfer->response);
        free(transfer->header);
        free(transfer);
        return NULL;
}

void http_response_done(struct http_response *response) {
        free(response->body);
        free(response->header_value);
        *response = (struct http_response) {};
}
