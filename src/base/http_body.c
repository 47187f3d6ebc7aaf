/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The body of an answer: a stream's goes to who reads it, piece by piece; any
 * other is gathered in one buffer that grows by doubling and is handed to the
 * caller as it is. CURLOPT_MAXFILESIZE ends only what announces its length, so
 * what comes is counted here.
 */

#include <errno.h>
#include <string.h>

#include "base/http_transfer.h"

#define BODY_ALLOCATED_MIN ((size_t) 4096)

static int reserve(struct http_transfer *transfer, size_t more) {
        struct http_response *response = &transfer->response;
        size_t wanted = response->size + more + 1, allocated = transfer->body_allocated * 2;
        curl_off_t announced = -1;
        char *body;

        if (wanted <= transfer->body_allocated)
                return 0;

        /* What is announced and never comes costs address space: untouched pages are no memory. */
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
        if (announced > 0 && (size_t) announced <= transfer->body_max &&
            (size_t) announced >= allocated)
                allocated = (size_t) announced + 1;
        if (allocated < BODY_ALLOCATED_MIN)
                allocated = BODY_ALLOCATED_MIN;
        if (allocated < wanted)
                allocated = wanted;

        body = realloc(response->body, allocated);
        if (!body)
                return -ENOMEM;
        response->body = body;
        transfer->body_allocated = allocated;
        return 0;
}

size_t http_body_received(char *data, size_t size, size_t n, void *user) {
        struct http_transfer *transfer = user;
        struct http_response *response = &transfer->response;
        size_t length = size * n;

        if (transfer->receive && response->status == 200) {
                transfer->http->news = true;
                if (transfer->receive(data, length, transfer->user))
                        return length;
                transfer->aborted = ABORT_RECEIVER;
                return 0;
        }
        if (length > transfer->body_max - response->size) {
                transfer->aborted = ABORT_BODY;
                return 0;
        }
        if (reserve(transfer, length) < 0) {
                transfer->aborted = ABORT_MEMORY;
                return 0;
        }

        memcpy(response->body + response->size, data, length);
        response->size += length;
        response->body[response->size] = '\0';
        return length;
}
