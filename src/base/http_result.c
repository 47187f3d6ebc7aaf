/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From what libcurl reports to enum http_result and a word that is the system's
 * or the protocol's own: the one place that knows libcurl's codes. They are not
 * taken at face value, for (measured with 7.88.1):
 *
 *  - an OK can be headers that the end of the connection cut short;
 *  - CURLINFO_OS_ERRNO can be left from another address of the same host, that
 *    was tried before; what it was as the request was about to be sent is known,
 *    and an errno that has not changed since is not that of the failure, unless
 *    libcurl's words tell of a failed system call: a GET that it sends again by
 *    itself, since the kept connection had died, can fail as it did before;
 *  - RECV_ERROR without an errno is an answer that breaks the protocol, and
 *    UNSUPPORTED_PROTOCOL after connecting is an answer that is not HTTP;
 *  - OUT_OF_MEMORY is also a header line of more than 100 KiB;
 *  - WRITE_ERROR and ABORTED_BY_CALLBACK say only that one of our callbacks did it.
 */

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/http_transfer.h"
#include "base/text.h"

static void say(struct http_response *response, enum http_result result, const char *format, ...)
        _printf_(3, 4);

static void say(struct http_response *response, enum http_result result, const char *format, ...) {
        va_list arguments;

        response->result = result;
        va_start(arguments, format);
        (void) vsnprintf(response->error, sizeof(response->error), format, arguments);
        va_end(arguments);
}

static void say_errno(struct http_response *response, enum http_result result, int error) {
        say(response, result, "%s", errno_words(error));
}

void http_result_local(struct http_response *response, int error) {
        *response = (struct http_response) { .retry_after = USEC_INFINITY };
        say_errno(response, HTTP_LOCAL, error);
}

static long info_long(const struct http_transfer *transfer, CURLINFO info) {
        long value = 0;

        (void) curl_easy_getinfo(transfer->easy, info, &value);
        return value;
}

static int connect_errno(const struct http_transfer *transfer) {
        int error = (int) info_long(transfer, CURLINFO_OS_ERRNO);

        return error ? error : transfer->socket_errno;
}

static bool tells_of_system_call(const char *words) {
        return strncmp(words, "Recv failure: ", strlen("Recv failure: ")) == 0 ||
               strncmp(words, "Send failure: ", strlen("Send failure: ")) == 0;
}

/* 0 when the failure came with none. */
static int transfer_errno(const struct http_transfer *transfer) {
        int error = (int) info_long(transfer, CURLINFO_OS_ERRNO);

        return error != transfer->stale_errno || tells_of_system_call(transfer->words) ? error : 0;
}

/* A final one; interim answers do not count. */
static int final_status(const struct http_transfer *transfer) {
        long status = info_long(transfer, CURLINFO_RESPONSE_CODE);

        return status >= 200 ? (int) status : 0;
}

static void say_size(struct http_response *response, const char *what, size_t max) {
        if (max % (1 << 20) == 0)
                say(response, HTTP_TOO_LARGE, "%s over %zu MiB", what, max >> 20);
        else if (max % (1 << 10) == 0)
                say(response, HTTP_TOO_LARGE, "%s over %zu KiB", what, max >> 10);
        else
                say(response, HTTP_TOO_LARGE, "%s over %zu bytes", what, max);
}

static void say_not_http(struct http_response *response) {
        say(response, HTTP_NOT_HTTP, "Not HTTP");
}

static void say_cut_short(struct http_response *response) {
        say(response, HTTP_CUT, "Answer cut short");
}

static void say_headers_too_large(struct http_transfer *transfer) {
        if (final_status(transfer))
                say_size(&transfer->response, "Headers", HTTP_HEADERS_MAX);
        else
                say_not_http(&transfer->response);
}

static void say_timeout(struct http_transfer *transfer) {
        _cleanup_text_ struct text words = TEXT_INIT;

        text_add(&words, "Timed out after ");
        text_add_seconds(&words, transfer->timeout);
        text_add(&words, " s");
        say(&transfer->response, HTTP_TIMEOUT, "%s",
            text_error(&words) < 0 ? "Timed out" : words.data);
}

static void say_no_name(struct http_transfer *transfer) {
        struct http_response *response = &transfer->response;
        char *url = NULL, *host = NULL;
        CURLU *parts;

        /* libcurl's code for a path that does not fit into sockaddr_un, too. */
        if (transfer->unix_socket) {
                say_errno(response, HTTP_NO_CONNECTION, ENAMETOOLONG);
                return;
        }

        parts = curl_url();
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
        if (parts && url && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
                say(response, HTTP_NO_NAME, "Cannot resolve host name \"%s\"", host);
        else
                say(response, HTTP_NO_NAME, "Cannot resolve host name");
        curl_free(host);
        curl_url_cleanup(parts);
}

static void say_no_connection(struct http_transfer *transfer) {
        struct http_response *response = &transfer->response;
        int error = connect_errno(transfer);

        switch (error) {
        case ECONNREFUSED:
                say_errno(response, HTTP_REFUSED, error);
                break;
        case ECONNRESET:
                say_errno(response, HTTP_CUT, error);
                break;
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
                say_errno(response, HTTP_LOCAL, error);
                break;
        case 0:
                /* A Unix socket's backlog is full: libcurl keeps no errno of that. */
                say_errno(response, HTTP_NO_CONNECTION, transfer->unix_socket ? EAGAIN : ENOTCONN);
                break;
        default:
                say_errno(response, HTTP_NO_CONNECTION, error);
        }
}

/* Sending or receiving failed. */
static void say_cut(struct http_transfer *transfer) {
        int error = transfer_errno(transfer);

        if (error)
                say_errno(&transfer->response, HTTP_CUT, error);
        else
                say_not_http(&transfer->response);
}

/*
 * The TLS library's words, without what libcurl and OpenSSL put before them:
 * "SSL certificate problem: self-signed certificate",
 * "error:0A00010B:SSL routines::wrong version number".
 */
static void say_tls(struct http_transfer *transfer) {
        static const char *const prefixes[] = {
                "SSL certificate problem: ",
                "SSL routines::",
                "SSL: ",
        };
        struct http_response *response = &transfer->response;
        int error = transfer_errno(transfer);

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                const char *found = strstr(transfer->words, prefixes[i]);

                if (found) {
                        say(response, HTTP_TLS, "TLS: %s", found + strlen(prefixes[i]));
                        return;
                }
        }
        say(response, HTTP_TLS, "TLS: %s", error ? errno_words(error) : "handshake failed");
}

/* An abort of our own: true when there was one, whatever libcurl called it. */
static bool say_aborted(struct http_transfer *transfer) {
        struct http_response *response = &transfer->response;

        switch (transfer->aborted) {
        case ABORT_NONE:
                return false;
        case ABORT_BODY:
                say_size(response, "Body", transfer->body_max);
                break;
        case ABORT_HEADERS:
                say_headers_too_large(transfer);
                break;
        case ABORT_STATUS_LINE:
        case ABORT_INTERIM:
                say_not_http(response);
                break;
        case ABORT_MEMORY:
                say_errno(response, HTTP_LOCAL, ENOMEM);
                break;
        case ABORT_SELF:
                say_errno(response, HTTP_REFUSED, ECONNREFUSED);
                break;
        case ABORT_RECEIVER:
                say(response, HTTP_CUT, "Ended by us");
                break;
        }
        return true;
}

static void say_no_memory(struct http_transfer *transfer) {
        if (transfer->response.sent && transfer->refusals == http_memory_refusals())
                say_headers_too_large(transfer);
        else
                say_errno(&transfer->response, HTTP_LOCAL, ENOMEM);
}

static void say_not_spoken(struct http_response *response) {
        if (response->sent)
                say_not_http(response);
        else
                say(response, HTTP_LOCAL, "Not an HTTP address");
}

static bool is_tls_failure(CURLcode code) {
        switch (code) {
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
        case CURLE_SSL_ENGINE_NOTFOUND:
        case CURLE_SSL_ENGINE_SETFAILED:
        case CURLE_SSL_ENGINE_INITFAILED:
        case CURLE_PEER_FAILED_VERIFICATION:
                return true;
        default:
                return false;
        }
}

static void judge_code(struct http_transfer *transfer, CURLcode code) {
        struct http_response *response = &transfer->response;

        switch (code) {
        case CURLE_OK:
                if (transfer->headers_complete)
                        response->result = HTTP_ANSWER;
                else
                        say_cut_short(response);
                break;
        case CURLE_COULDNT_CONNECT:
                say_no_connection(transfer);
                break;
        case CURLE_COULDNT_RESOLVE_HOST:
                say_no_name(transfer);
                break;
        case CURLE_OPERATION_TIMEDOUT:
                say_timeout(transfer);
                break;
        case CURLE_GOT_NOTHING:
                say(response, HTTP_CUT, "Connection closed before the answer");
                break;
        case CURLE_PARTIAL_FILE:
                say_cut_short(response);
                break;
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
                say_cut(transfer);
                break;
        case CURLE_FILESIZE_EXCEEDED:
                say_size(response, "Body", transfer->body_max);
                break;
        case CURLE_OUT_OF_MEMORY:
                say_no_memory(transfer);
                break;
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
                say_not_spoken(response);
                break;
        case CURLE_SSL_CACERT_BADFILE:
                say(response, HTTP_TLS, "TLS: no certificates in the CA file");
                break;
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_BAD_CONTENT_ENCODING:
                say_not_http(response);
                break;
        default:
                if (is_tls_failure(code))
                        say_tls(transfer);
                else
                        say(response, response->sent ? HTTP_CUT : HTTP_NO_CONNECTION,
                            "Transfer failed (libcurl code %d)", (int) code);
        }
}

void http_result_judge(struct http_transfer *transfer, CURLcode code) {
        struct http_response *response = &transfer->response;

        if (!say_aborted(transfer))
                judge_code(transfer, code);
        response->status = response->result == HTTP_NOT_HTTP ? 0 : final_status(transfer);
}
