/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The addresses of a name, asked of libcurl's resolver by a transfer that never
 * connects: wherever libcurl would open a socket for the next address, it is
 * noted and none is given, until libcurl has no address left. The port in the
 * URL is of no account.
 *
 * After the first address libcurl paces its attempts as it would real ones, by
 * its happy-eyeballs delay, and with no socket to wait for, not always by a timer
 * that curl_multi_poll() knows. So the delay is set to its least, and short turns
 * are made while addresses come.
 */

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/http_transfer.h"

#define TURN USEC_PER_MSEC

struct collection {
        struct http_address *addresses;
        size_t size, n;
        size_t n_ipv4;                  /* they are kept in front */
        bool begun;
};

static bool is_known(const struct collection *collection, const char *literal) {
        for (size_t i = 0; i < collection->n; i++)
                if (strcmp(collection->addresses[i].literal, literal) == 0)
                        return true;
        return false;
}

static void insert(struct collection *collection, const char *literal, bool ipv4) {
        size_t at = ipv4 ? collection->n_ipv4 : collection->n;

        if (at == collection->size)
                return;
        /* An IPv4 address is worth more than the last of the IPv6 ones. */
        if (collection->n == collection->size)
                collection->n--;

        memmove(&collection->addresses[at + 1], &collection->addresses[at],
                (collection->n - at) * sizeof(*collection->addresses));
        memcpy(collection->addresses[at].literal, literal, strlen(literal) + 1);
        collection->n++;
        collection->n_ipv4 += ipv4;
}

static curl_socket_t note_address(void *user, curlsocktype purpose _unused_,
                                  struct curl_sockaddr *address) {
        struct collection *collection = user;
        char literal[sizeof(collection->addresses->literal)];

        collection->begun = true;
        /* Unlike inet_ntop(3) this keeps the zone, without which a link-local one is nothing. */
        if (getnameinfo(&address->addr, address->addrlen, literal, sizeof(literal), NULL, 0,
                        NI_NUMERICHOST) == 0 &&
            !is_known(collection, literal))
                insert(collection, literal, address->family == AF_INET);
        return CURL_SOCKET_BAD;
}

/* The URL by its parts, so that no host name, whatever is in it, can become anything but a host. */
static int make_url(const char *host, char **ret_url) {
        CURLU *parts = curl_url();
        char bracketed[80];
        CURLUcode code;

        if (!parts)
                return -ENOMEM;

        if (strchr(host, ':') &&
            snprintf(bracketed, sizeof(bracketed), "[%s]", host) < (int) sizeof(bracketed))
                host = bracketed;

        code = curl_url_set(parts, CURLUPART_SCHEME, "http", 0);
        if (code == CURLUE_OK)
                code = curl_url_set(parts, CURLUPART_HOST, host, 0);
        if (code == CURLUE_OK)
                code = curl_url_set(parts, CURLUPART_PORT, "1", 0);
        if (code == CURLUE_OK)
                code = curl_url_get(parts, CURLUPART_URL, ret_url, 0);
        curl_url_cleanup(parts);

        if (code == CURLUE_OUT_OF_MEMORY)
                return -ENOMEM;
        return code == CURLUE_OK ? 0 : HTTP_NO_NAME;
}

static int begin(struct http *http, const char *url, usec_t timeout, struct collection *collection,
                 struct http_transfer **ret_transfer) {
        const struct http_request request = {
                .method = "GET",
                .url = url,
                .timeout = timeout,
                .once = true,
        };
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        int bad = 0, r;

        r = http_transfer_new(http, &request, &transfer);
        if (r < 0)
                return r;

        bad |= curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETFUNCTION, note_address);
        bad |= curl_easy_setopt(transfer->easy, CURLOPT_OPENSOCKETDATA, collection);
        bad |= curl_easy_setopt(transfer->easy, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 1L);
        /* Who asks again does so because the answer may be another by now. */
        bad |= curl_easy_setopt(transfer->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
        if (bad)
                return -ENOMEM;

        r = http_transfer_begin(transfer);
        if (r < 0)
                return r;
        *ret_transfer = STEAL(transfer);
        return 0;
}

static int drive(struct http *http, const struct http_transfer *transfer,
                 const struct collection *collection) {
        while (!http_finished(transfer)) {
                usec_t turn_end = USEC_INFINITY;
                int r;

                if (collection->begun)
                        turn_end = usec_add(waiter_now(http->waiter), TURN);
                r = http_run(http, -1, turn_end);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int fail(char error[static ERROR_MAX], int code, const char *words) {
        (void) snprintf(error, ERROR_MAX, "%s", words);
        return code;
}

static int fail_local(char error[static ERROR_MAX], int r) {
        struct http_response response;

        if (r == -ECANCELED)
                return r;
        http_result_local(&response, -r);
        return fail(error, HTTP_LOCAL, response.error);
}

int http_resolve(struct http *http, const char *host, usec_t timeout,
                 struct http_address *addresses, size_t size, size_t *ret_n,
                 char error[static ERROR_MAX]) {
        struct collection collection = { .addresses = addresses, .size = size };
        _cleanup_(http_transfer_freep) struct http_transfer *transfer = NULL;
        char *url = NULL;
        int r;

        r = make_url(host, &url);
        if (r == HTTP_NO_NAME) {
                (void) snprintf(error, ERROR_MAX, "Cannot resolve host name \"%s\"", host);
                return HTTP_NO_NAME;
        }
        if (r == 0) {
                r = begin(http, url, timeout, &collection, &transfer);
                curl_free(url);
        }
        if (r == 0)
                r = drive(http, transfer, &collection);
        if (r < 0)
                return fail_local(error, r);

        if (collection.n > 0) {
                *ret_n = collection.n;
                return 0;
        }

        switch (transfer->response.result) {
        case HTTP_TIMEOUT:
        case HTTP_LOCAL:
                return fail(error, transfer->response.result, transfer->response.error);
        default:
                return fail(error, HTTP_NO_NAME, transfer->response.error);
        }
}
