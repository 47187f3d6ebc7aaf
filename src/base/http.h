/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP requests on libcurl's multi interface, from one thread. http_perform()
 * blocks for one request; a search starts many with http_start() and drives them
 * together with http_run(). Both prove progress to the waiter and end with
 * -ECANCELED as soon as a stop is asked for, whatever the transfer does.
 *
 * A request has a time limit for all of it, name resolution included; an answer
 * has a limit for its body and for its headers. A stream, whose body comes piece
 * by piece for as long as it likes, has neither: who opens it watches it. It has a
 * connection of its own, which ends with it. Redirects are not followed,
 * proxies of the environment not used, nothing but http, https and Unix sockets
 * spoken. What came is told apart here, in one place, into enum http_result;
 * what that means for an operation is decided in source/verdict.h.
 *
 * A fresh easy handle for each request, since libcurl never clears its
 * OS_ERRNO; the connections are kept by the multi handle and used again.
 */

#include "base/waiter.h"

#define HTTP_BODY_MAX ((size_t) 16 << 20)
#define HTTP_HEADERS_MAX ((size_t) 64 << 10)

enum http_result {
        HTTP_ANSWER,            /* a whole answer: status, headers, body */
        HTTP_REFUSED,           /* ECONNREFUSED, or a connection of a port to itself */
        HTTP_NO_CONNECTION,     /* any other failure to connect: unreachable, no permission */
        HTTP_NO_NAME,           /* the host name cannot be resolved */
        HTTP_TIMEOUT,           /* the time is up: resolving, connecting, or reading */
        HTTP_CUT,               /* reset, or ended before the answer was whole */
        HTTP_NOT_HTTP,          /* something else speaks there */
        HTTP_TLS,               /* handshake or certificate */
        HTTP_TOO_LARGE,         /* an answer with a status, whose body or headers pass the limit */
        HTTP_LOCAL,             /* no memory, no descriptor: error has the system's word */
};

/* A piece of a stream's body, as it comes; false ends the transfer. Called from within http_run() and its like. */
typedef bool (*http_receiver)(const char *data, size_t size, void *user);

struct http_request {
        const char *method;             /* "GET", or "POST" with a body */
        const char *url;                /* with a literal address wherever one is known */
        const char *unix_socket;        /* path, or NULL */
        const char *body;               /* JSON to send, or NULL */
        const char *header;             /* name of the one answer header to be kept, or NULL */
        const char *token;              /* bearer token (RFC 6750), or NULL */
        const char *ca_file;            /* the only certificates that are trusted; NULL: the system's */
        usec_t timeout;                 /* for all of the request, > 0; of a stream, for connecting only */
        http_receiver receive;          /* a stream: takes the body of a 200, in place of the response; else NULL */
        void *user;                     /* of receive */
        size_t body_max;                /* 0: HTTP_BODY_MAX */
        bool fresh;                     /* not on a kept one: if that dies, libcurl sends again */
        bool once;                      /* on a connection of its own, so as to be sent once */
        int connected_fd;               /* a connected socket, owned by the transfer; 0, -1: none.
                                           Best after one connect(2) only: see http_transfer.h */
};

struct http_response {
        enum http_result result;
        int status;                     /* 0 when none came */
        char *body;                     /* NUL-terminated, also binary; NULL when empty */
        size_t size;
        char *header_value;             /* of http_request.header, or NULL */
        bool sent;                      /* some byte of the request may have been sent */
        usec_t retry_after;             /* Retry-After (RFC 9110) from now; USEC_INFINITY: none */
        char error[ERROR_MAX];          /* the system's or the protocol's word; "": HTTP_ANSWER */
};

void http_response_done(struct http_response *response);

struct http;
struct http_transfer;

/*
 * The waiter is borrowed. Of the connections that are open at once, as many as
 * said stay open afterwards, to be used again. 0, -ENOMEM, or -EIO when libcurl
 * cannot start.
 */
int http_new(struct waiter *waiter, unsigned connections_kept, struct http **ret_http);
struct http *http_free(struct http *http);

/* How many requests were started: for the counters. */
uint64_t http_requests(const struct http *http);

/*
 * Blocks for one request. Every outcome of the transfer is in the response, which
 * the caller ends with http_response_done(). Returns 0, or -ECANCELED; also then
 * the response tells whether the request may have been sent.
 */
int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *ret_response);

/*
 * Starts a transfer without driving it. The strings of the request need not
 * outlive the call; connected_fd is taken also when it fails. Every transfer is
 * to be freed before its http. 0, -ENOMEM or -EIO.
 */
int http_start(struct http *http, const struct http_request *request,
               struct http_transfer **ret_transfer);

/*
 * Drives all transfers until one more has finished or has something new of a
 * stream, extra_fd (-1: none) is readable, or the deadline has passed. 0 or
 * -ECANCELED, or a negative errno.
 */
int http_run(struct http *http, int extra_fd, usec_t deadline);

/*
 * The same for who has nothing else to do, as waiter_until(), and the deadline
 * holds through a suspend. WAIT_CHANGE for the transfers; WAIT_RELOAD, and
 * WAIT_CONNECTION for the idle socket, where the mask asks for them; 0 at the
 * deadline; -ECANCELED, or another negative errno.
 */
int http_wait(struct http *http, usec_t deadline, unsigned mask);

/* NULL while the transfer is under way; then its response, valid until http_transfer_free(). */
const struct http_response *http_finished(const struct http_transfer *transfer);

/* The status of an answer whose headers are whole, also while its body comes; else 0. */
int http_status(const struct http_transfer *transfer);

/* Aborts it where it is still under way. */
struct http_transfer *http_transfer_free(struct http_transfer *transfer);

/*
 * The socket of the connection that the last finished request left open, for
 * watching only; -1 when there is none, or no more. Valid until the next request
 * starts: one other than a stream uses it, and libcurl then closes one that has died.
 */
int http_idle_socket(const struct http *http);

/*
 * The addresses of a host name as libcurl's resolver gives them, without
 * connecting to any: its thread can be left behind when it hangs, where
 * getaddrinfo(3) would hold a stop for seconds. IPv4 first, at most size of them,
 * as literals ("127.0.0.1", "::1"). 0 with *ret_n > 0; -ECANCELED; or the
 * positive HTTP_NO_NAME, HTTP_TIMEOUT or HTTP_LOCAL with the words in error.
 */
struct http_address {
        char literal[48];
};
int http_resolve(struct http *http, const char *host, usec_t timeout,
                 struct http_address *addresses, size_t size, size_t *ret_n,
                 char error[static ERROR_MAX]);

DEFINE_CLEANUP(struct http *, http_free)
DEFINE_CLEANUP(struct http_transfer *, http_transfer_free)
