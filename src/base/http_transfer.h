/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside base/http: one transfer, and what its parts do to it. Nobody but
 * http*.c includes this.
 *
 *         http.c            the multi handle, driving
 *         http_transfer.c   the easy handle: what is asked for, the connection
 *         http_header.c     the header lines of the answer
 *         http_body.c       its body
 *         http_result.c     what came of it, as enum http_result and in words
 *         http_resolve.c    the addresses of a name
 *         http_memory.c     libcurl's memory
 */

#include <curl/curl.h>

#include "base/http.h"

struct http {
        struct waiter *waiter;          /* borrowed */
        CURLM *multi;
        uint64_t requests;
        int idle_socket;                /* libcurl's; -1: none */
        bool news;                      /* a stream has headers or a piece of its body */
};

/* Why one of our callbacks ended a transfer: libcurl itself only knows that one did. */
enum http_abort {
        ABORT_NONE,
        ABORT_BODY,                     /* over body_max */
        ABORT_HEADERS,                  /* over HTTP_HEADERS_MAX */
        ABORT_STATUS_LINE,              /* libcurl's guess at a status that is none */
        ABORT_INTERIM,                  /* 1xx without end, or a 101 that nobody asked for */
        ABORT_MEMORY,
        ABORT_SELF,                     /* the connection leads to its own socket */
        ABORT_RECEIVER,                 /* who reads the stream wants no more of it */
};

struct http_transfer {
        struct http *http;              /* borrowed; outlives the transfer */
        CURL *easy;                     /* on the multi handle; NULL once finished */
        struct curl_slist *headers;     /* of the request */
        char words[CURL_ERROR_SIZE];    /* libcurl's sentence; only those on TLS are used */

        usec_t timeout;
        size_t body_max;
        char *header;                   /* name of the answer's header to keep, or NULL */
        bool unix_socket;
        http_receiver receive;          /* NULL: no stream */
        void *user;
        int connected_fd;               /* until libcurl takes it; -1 */
        bool socket_given;              /* the last socket that libcurl got was connected_fd */
        int socket_errno;               /* of socket(2) */

        enum http_abort aborted;
        int stale_errno;                /* CURLINFO_OS_ERRNO as the request was about to be sent */
        size_t header_bytes;            /* interim answers and trailers included */
        unsigned interim_answers;
        bool in_block;                  /* between a status line and its empty line */
        bool headers_complete;          /* the empty line of the final answer came */
        size_t body_allocated;
        unsigned refusals;              /* http_memory_refusals() as it was made */

        bool finished;
        struct http_response response;
};

/* Prepared and not yet on the multi handle. Takes request->connected_fd, also when it fails. */
int http_transfer_new(struct http *http, const struct http_request *request,
                      struct http_transfer **ret_transfer);

/* Puts it on the multi handle. 0, -ENOMEM or -EIO. */
int http_transfer_begin(struct http_transfer *transfer);

/*
 * libcurl 7.88, alone of its kind, calls connect(2) even on a socket that it was
 * told is connected, and takes EISCONN for a failure; it lives with a socket
 * whose connect() was called once only, since that one still has a success to
 * tell. Where it failed so, starts the transfer again, on a socket that libcurl
 * makes for itself: true.
 */
bool http_transfer_again(struct http_transfer *transfer, CURLcode code);

/* libcurl has done with it: fills the response and lets go of the easy handle. */
void http_transfer_finish(struct http_transfer *transfer, CURLcode code);

/* CURLOPT_HEADERFUNCTION; user is the transfer. */
size_t http_header_received(char *line, size_t size, size_t n, void *user);

/* CURLOPT_WRITEFUNCTION; user is the transfer. */
size_t http_body_received(char *data, size_t size, size_t n, void *user);

/* Sets result, status and error of the response. The easy handle is still on the multi handle. */
void http_result_judge(struct http_transfer *transfer, CURLcode code);

/* A response that came to nothing, for want of something on this machine. */
void http_result_local(struct http_response *response, int error);

/* curl_global_init(), with libcurl's memory watched. */
CURLcode http_memory_init(void);
/* How often libcurl was refused memory by now. */
unsigned http_memory_refusals(void);
