/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The header lines of an answer, as libcurl hands them out: whole, one at a
 * time, interim (1xx) answers and the trailers of a chunked body included. That
 * they all pass here is what makes counting them worth while, since libcurl
 * bounds neither trailers nor the time that interim answers may take up.
 *
 * Three things are found here that libcurl does not tell: whether the headers
 * came to their end (it calls headers that the end of the connection cut short a
 * success), the value of the one header that the caller wants, and Retry-After,
 * for which CURLINFO_RETRY_AFTER has one 0 for absent, past and out of range.
 */

#include <string.h>

#include "base/ascii.h"
#include "base/http_transfer.h"

/* Far more than any server sends: 100 or 103 come once or twice. */
#define INTERIM_ANSWERS_MAX 16

/* Where the seconds of Retry-After are cut off: past every interval that the settings allow. */
#define RETRY_AFTER_SECONDS_MAX ((usec_t) 1000000000)

static size_t refuse(struct http_transfer *transfer, enum http_abort reason) {
        transfer->aborted = reason;
        return 0;       /* not the length of the line, which is never 0: ends the transfer */
}

static bool is_empty_line(const char *line, size_t length) {
        return (length == 1 && line[0] == '\n') ||
               (length == 2 && line[0] == '\r' && line[1] == '\n');
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/*
 * HTTP/1.1 SP 200 SP OK, or with a version without a point. libcurl takes for a 200 whatever
 * begins with "HTTP/" in any case and is nothing that it can read: "HTTP/OK", "http/1.1 404".
 */
static bool is_status_line(const char *line, size_t length) {
        const char *at = line + strlen("HTTP/"), *end = line + length;
        unsigned digits = 0;

        if (length < strlen("HTTP/") || memcmp(line, "HTTP/", strlen("HTTP/")) != 0)
                return false;
        while (at < end && (ascii_is_digit(*at) || *at == '.'))
                at++;
        if (at == end || !is_blank(*at))
                return false;
        while (at < end && is_blank(*at))
                at++;
        for (; at < end && ascii_is_digit(*at); at++)
                digits++;
        return digits == 3;
}

/* The value of the line if it is of that header: RFC 9110, 5.5. The bytes are not terminated. */
static bool header_value(const char *line, size_t length, const char *name, const char **ret_value,
                         size_t *ret_length) {
        size_t name_length = strlen(name);
        const char *value, *end = line + length;

        if (length <= name_length || line[name_length] != ':' ||
            !curl_strnequal(line, name, name_length))
                return false;

        value = line + name_length + 1;
        while (value < end && is_blank(*value))
                value++;
        while (end > value && is_blank(end[-1]))
                end--;

        *ret_value = value;
        *ret_length = end - value;
        return true;
}

static bool is_digits(const char *string) {
        return string[0] && string[strspn(string, "0123456789")] == '\0';
}

/* RFC 9110, 10.2.3: seconds or a date. What is neither counts as absent. */
static usec_t parse_retry_after(const char *value, usec_t realtime) {
        time_t date;

        if (is_digits(value)) {
                usec_t seconds = 0;

                for (; *value; value++)
                        seconds = usec_min(seconds * 10 + (*value - '0'), RETRY_AFTER_SECONDS_MAX);
                return seconds * USEC_PER_SEC;
        }

        /* curl_getdate() takes bare numbers, too; each of HTTP's forms begins with a day's name. */
        if (value[0] >= '0' && value[0] <= '9')
                return USEC_INFINITY;
        date = curl_getdate(value, NULL);
        if (date < 0)
                return USEC_INFINITY;
        date = usec_min(date, UINT64_MAX / USEC_PER_SEC);
        return usec_min(usec_sub((usec_t) date * USEC_PER_SEC, realtime),
                        RETRY_AFTER_SECONDS_MAX * USEC_PER_SEC);
}

static void keep_retry_after(struct http_transfer *transfer, const char *value, size_t length) {
        char copy[64];

        if (length >= sizeof(copy))
                return;
        memcpy(copy, value, length);
        copy[length] = '\0';
        transfer->response.retry_after =
                parse_retry_after(copy, waiter_realtime(transfer->http->waiter));
}

/* What an interim answer said is not what the final one says. */
static void forget_headers(struct http_transfer *transfer) {
        free(STEAL(transfer->response.header_value));
        transfer->response.retry_after = USEC_INFINITY;
}

static size_t block_begins(struct http_transfer *transfer, const char *line, size_t length) {
        long status = 0;

        if (!is_status_line(line, length))
                return refuse(transfer, ABORT_STATUS_LINE);
        transfer->in_block = true;
        forget_headers(transfer);

        (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status == 101)
                return refuse(transfer, ABORT_INTERIM);
        if (status < 200 && ++transfer->interim_answers > INTERIM_ANSWERS_MAX)
                return refuse(transfer, ABORT_INTERIM);
        return length;
}

static size_t block_ends(struct http_transfer *transfer, size_t length) {
        long status = 0;

        transfer->in_block = false;
        (void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->headers_complete = status >= 200;
        if (transfer->headers_complete) {
                transfer->response.status = (int) status;
                transfer->http->news |= transfer->receive != NULL;
        }
        return length;
}

static size_t field_received(struct http_transfer *transfer, const char *line, size_t length) {
        const char *value;
        size_t value_length;

        if (header_value(line, length, "Retry-After", &value, &value_length))
                keep_retry_after(transfer, value, value_length);

        /* The first of several: a proxy that adds its own does so behind. */
        if (transfer->header && !transfer->response.header_value &&
            header_value(line, length, transfer->header, &value, &value_length)) {
                transfer->response.header_value = strndup(value, value_length);
                if (!transfer->response.header_value)
                        return refuse(transfer, ABORT_MEMORY);
        }
        return length;
}

size_t http_header_received(char *line, size_t size, size_t n, void *user) {
        struct http_transfer *transfer = user;
        size_t length = size * n;

        transfer->header_bytes += length;
        if (transfer->header_bytes > HTTP_HEADERS_MAX)
                return refuse(transfer, ABORT_HEADERS);
        if (transfer->headers_complete)
                return length;          /* a trailer */
        if (!transfer->in_block)
                return block_begins(transfer, line, length);
        if (is_empty_line(line, length))
                return block_ends(transfer, length);
        return field_received(transfer, line, length);
}
