/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Header lines as libcurl hands them out, one call each: the header that is kept,
 * and Retry-After in its two forms. Those of the input end with a line feed each.
 */

#include <string.h>

#include "base/http_transfer.h"
#include "fuzz.h"

/* Where the seconds of Retry-After are cut off: 31 years. */
#define SECONDS_MAX ((usec_t) 1000000000 * USEC_PER_SEC)

static usec_t no_time(struct waiter *waiter _unused_) {
        return 0;
}

static const struct waiter_ops ops = { .now = no_time, .realtime = no_time };

/* As RFC 9110 writes it, by itself. */
static void check_seconds(struct http_transfer *transfer, const char *line, size_t size) {
        static const char name[] = "Retry-After: ";
        char value[32];
        size_t digits;

        if (size < sizeof name || size >= sizeof name - 1 + sizeof value ||
            strncasecmp(line, name, strlen(name)) != 0)
                return;
        memcpy(value, line + strlen(name), size - strlen(name));
        value[size - strlen(name)] = '\0';
        digits = strspn(value, "0123456789");
        if (digits > 0 && digits < 10 && strcmp(value + digits, "\r\n") == 0)
                must(transfer->response.retry_after == strtoull(value, NULL, 10) * USEC_PER_SEC);
}

static void check_response(const struct http_response *response, size_t size) {
        const char *value = response->header_value;

        must(response->retry_after == USEC_INFINITY || response->retry_after <= SECONDS_MAX);
        if (!value)
                return;
        must(strlen(value) <= size);
        must(!strpbrk(value, "\n"));
        must(!*value || !strchr(" \t\r\n", value[0]));
        must(!*value || !strchr(" \t\r\n", value[strlen(value) - 1]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct waiter waiter = { .ops = &ops };
        struct http http = { .waiter = &waiter };
        struct http_transfer transfer = {
                .http = &http,
                .header = (char *) "X-Toolhive-Nonce",
                .in_block = true,
                .response.retry_after = USEC_INFINITY,
        };
        const char *at = (const char *) data, *end = at + size;
        size_t sum = 0;

        while (at < end) {
                const char *next = memchr(at, '\n', (size_t) (end - at));
                size_t length = (size_t) ((next ? next + 1 : end) - at), taken;
                /* Exactly that long, since nothing says that a NUL stands behind it. */
                char *line = malloc(length);

                must(line);
                memcpy(line, at, length);
                /*
                 * The end of the block needs a transfer under way, which the target http has; a line
                 * with a NUL never comes, libcurl ends the transfer before.
                 */
                if (length > 2 && !memchr(line, '\0', length)) {
                        sum += length;
                        taken = http_header_received(line, 1, length, &transfer);
                        must(taken == (sum > HTTP_HEADERS_MAX ? 0 : length));
                        if (taken > 0)
                                check_seconds(&transfer, line, length);
                }
                free(line);
                at += length;
        }
        check_response(&transfer.response, size);
        http_response_done(&transfer.response);
        return 0;
}
