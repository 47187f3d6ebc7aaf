/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The multi handle and the loop that drives it. libcurl is never left alone with
 * a wait: each turn proves progress, sees a stop or a reload, lets libcurl do
 * what it can without blocking, and then sleeps in curl_multi_poll() on libcurl's
 * sockets, the waiter's eventfds and the caller's descriptor together. A stop is
 * obeyed within a fraction of a millisecond that way, where a progress callback
 * of curl_easy_perform() would see it once a second; and a transfer in which
 * nothing happens wakes nobody before the slice ends.
 *
 * All belongs to the worker's thread. libcurl's resolver has a thread of its own
 * for each name that is no literal.
 */

#include <errno.h>
#include <limits.h>

#include "base/http_transfer.h"

static int multi_errno(CURLMcode code) {
        switch (code) {
        case CURLM_OK:
                return 0;
        case CURLM_OUT_OF_MEMORY:
                return -ENOMEM;
        default:
                return -EIO;
        }
}

int http_new(struct waiter *waiter, unsigned connections_kept, struct http **ret_http) {
        _cleanup_(freep) struct http *http = NULL;

        http = malloc(sizeof(*http));
        if (!http)
                return -ENOMEM;
        *http = (struct http) { .waiter = waiter, .idle_socket = -1 };

        /* Counted by libcurl: http_free() has the other half. */
        if (http_memory_init() != CURLE_OK)
                return -EIO;
        http->multi = curl_multi_init();
        if (!http->multi ||
            curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long) connections_kept) != CURLM_OK) {
                (void) curl_multi_cleanup(http->multi);
                curl_global_cleanup();
                return -ENOMEM;
        }

        *ret_http = STEAL(http);
        return 0;
}

struct http *http_free(struct http *http) {
        if (!http)
                return NULL;

        (void) curl_multi_cleanup(http->multi);
        curl_global_cleanup();
        free(http);
        return NULL;
}

uint64_t http_requests(const struct http *http) {
        return http->requests;
}

int http_idle_socket(const struct http *http) {
        return http->idle_socket;
}

int http_start(struct http *http, const struct http_request *request,
               struct http_transfer **ret_transfer) {
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        int r;

        r = http_transfer_new(http, request, &transfer);
        if (r < 0)
                return r;
        r = http_transfer_begin(transfer);
        if (r < 0)
                return r;

        http->requests++;
        if (!request->receive)
                http->idle_socket = -1;
        *ret_transfer = STEAL(transfer);
        return 0;
}

/* Asked while the transfer is on the multi handle: afterwards libcurl knows no socket any more. */
static int kept_socket(CURL *easy) {
        curl_socket_t fd = CURL_SOCKET_BAD;

        if (curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK)
                return -1;
        return fd;      /* CURL_SOCKET_BAD is -1 */
}

static bool finish_transfers(struct http *http) {
        bool any = false;
        CURLMsg *message;
        int left;

        while ((message = curl_multi_info_read(http->multi, &left))) {
                struct http_transfer *transfer = NULL;
                CURLcode code = message->data.result;

                if (message->msg != CURLMSG_DONE)
                        continue;
                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
                if (http_transfer_again(transfer, code))
                        continue;
                if (!transfer->receive)
                        http->idle_socket = kept_socket(transfer->easy);
                http_transfer_finish(transfer, code);
                any = true;
        }
        return any;
}

static int milliseconds_until(usec_t deadline, usec_t now) {
        usec_t left = usec_sub(deadline, now);

        if (left > (usec_t) INT_MAX * USEC_PER_MSEC)
                return INT_MAX;
        return (int) ((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

/*
 * Sleeps until any of it has something to do; 1 when it is extra_fd. libcurl's own
 * time-out stands still while the machine is suspended, the waiter's timer does not.
 */
static int sleep_on(struct http *http, int extra_fd, usec_t deadline) {
        usec_t now = waiter_now(http->waiter);
        usec_t until = usec_min(deadline, waiter_slice_end(http->waiter));
        struct curl_waitfd watched[WAITER_POLLFDS_MAX + 1] = {};
        struct pollfd fds[WAITER_POLLFDS_MAX];
        unsigned n = 0;
        int r;

        r = waiter_pollfds(http->waiter, until, fds);
        if (r < 0)
                return r;
        for (; n < (unsigned) r; n++)
                watched[n] = (struct curl_waitfd) { .fd = fds[n].fd, .events = CURL_WAIT_POLLIN };
        if (extra_fd >= 0)
                watched[n++] = (struct curl_waitfd) { .fd = extra_fd, .events = CURL_WAIT_POLLIN };

        r = multi_errno(curl_multi_poll(http->multi, watched, n, milliseconds_until(until, now), NULL));
        if (r < 0)
                return r;
        return extra_fd >= 0 && watched[n - 1].revents;
}

/* Lets libcurl do what it can without blocking: 1 when that has brought something new, 0, or negative errno. */
static int turn(struct http *http) {
        int running, r;

        http->news = false;
        r = waiter_progress(http->waiter);
        if (r < 0)
                return r;
        r = multi_errno(curl_multi_perform(http->multi, &running));
        if (r < 0)
                return r;
        return finish_transfers(http) || http->news;
}

int http_run(struct http *http, int extra_fd, usec_t deadline) {
        for (;;) {
                int r;

                r = turn(http);
                if (r != 0 || waiter_now(http->waiter) >= deadline)
                        return r < 0 ? r : 0;
                r = sleep_on(http, extra_fd, deadline);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
}

int http_wait(struct http *http, usec_t deadline, unsigned mask) {
        for (;;) {
                int r;

                r = turn(http);
                if (r != 0)
                        return r < 0 ? r : WAIT_CHANGE;
                if (http->waiter->reload_pending && (mask & WAIT_RELOAD))
                        return WAIT_RELOAD;
                if (waiter_now(http->waiter) >= deadline)
                        return 0;
                r = sleep_on(http, mask & WAIT_CONNECTION ? http->idle_socket : -1, deadline);
                if (r != 0)
                        return r < 0 ? r : WAIT_CONNECTION;
        }
}

int http_perform(struct http *http, const struct http_request *request,
                 struct http_response *ret_response) {
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        int r;

        r = http_start(http, request, &transfer);
        while (r == 0 && !http_finished(transfer))
                r = http_run(http, -1, USEC_INFINITY);

        if (r < 0) {
                http_result_local(ret_response, -r);
                ret_response->sent = transfer && transfer->response.sent;
                return r == -ECANCELED ? r : 0;
        }

        *ret_response = transfer->response;
        transfer->response = (struct http_response) {};
        return 0;
}
