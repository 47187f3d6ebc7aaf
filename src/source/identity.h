/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The identity check: who answers GET /api/v1beta/version with 200 and a JSON
 * object with a string "version", in at most 64 KiB, is ToolHive. Whoever does
 * not is a stranger, however politely it answers.
 */

#include "base/http.h"
#include "source/endpoint.h"

#define VERSION_MAX 128
#define IDENTITY_TIMEOUT_MAX (2 * USEC_PER_SEC)

enum identity_code {
        IDENTITY_STRANGER = 1,          /* it answered, and is not ToolHive; response tells how */
        IDENTITY_NO_ANSWER,             /* a connection failure */
};

/* The request that asks; buffer holds its URL. timeout: min(TOOLHIVE_TIMEOUT, IDENTITY_TIMEOUT_MAX). */
void identity_request(const struct endpoint *endpoint, usec_t timeout, struct http_request *ret_request,
                      char *buffer, size_t size);

/* What the response came to: 0 and the version, or a positive code. */
int identity_judge(const struct http_response *response, char version[static VERSION_MAX]);

/* Both at once, blocking. 0, a positive code with words in error, or -ECANCELED. */
int identity_check(struct http *http, const struct endpoint *endpoint, usec_t timeout,
                   char version[static VERSION_MAX], char error[static ERROR_MAX]);
