/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one place that decides what a response means. Any HTTP status is first of
 * all an answer; whether the one who gave it is (still) the API is asked by the
 * identity check, which the caller makes when verdict_of() wants it.
 */

#include "source/source.h"

enum reading {
        READING_EXPECTED,               /* the answer that the call hoped for */
        READING_CHECK,                  /* an answer of some kind: the identity check decides */
        READING_FAILED,                 /* a connection failure */
};

/*
 * body_good: for a 2xx, whether the body was the right one. Expected are a 2xx
 * with the right body and nothing else: a 404 for details or a 4xx for an
 * install mean what they say only from ToolHive itself, so they are checked too.
 */
enum reading verdict_read(const struct call *call, const struct http_response *response, bool body_good);

/*
 * The same for the API server, at whose address nobody else is expected, so that
 * no check follows a READING_CHECK: any status is an answer, but for 429 and a
 * gateway's 502 to 504.
 */
enum reading verdict_of_cluster(const struct http_response *response);

/* After the check of a READING_CHECK that passed: whether the status is a result of the call, not an error. */
bool verdict_is_result(enum call_kind kind, int status);

/*
 * One line of words for an answer that is not the expected one: the first line
 * of a text body, "code: message" of a JSON one, body_problem for a bad body of a
 * 2xx, the transfer's words where it was cut or too large.
 */
void verdict_describe(const struct http_response *response, const char *body_problem,
                      char error[static ERROR_MAX]);
