/* SPDX-License-Identifier: Apache-2.0 */

/* From a response to its meaning: see the header. Pure functions, no request is made here. */

#include <string.h>

#include "base/utf8.h"
#include "source/verdict.h"

static bool is_success(int status) {
        return status >= 200 && status < 300;
}

/*
 * ToolHive may fetch its registry from far away: one that is slow, breaks off or is garbled is ToolHive's
 * answer, since only workloads that cannot be had end the service. The same for what the polls ask besides.
 */
static bool is_secondary(const struct call *call) {
        return call->secondary || call->kind == CALL_REGISTRY || call->kind == CALL_REGISTRY_ENTRY;
}

enum reading verdict_read(const struct call *call, const struct http_response *response, bool body_good) {
        switch (response->result) {
        case HTTP_ANSWER:
                return is_success(response->status) && body_good ? READING_EXPECTED : READING_CHECK;
        case HTTP_TOO_LARGE:
                return READING_CHECK;
        case HTTP_TIMEOUT:
        case HTTP_CUT:
        case HTTP_NOT_HTTP:
                return is_secondary(call) && response->sent ? READING_CHECK : READING_FAILED;
        case HTTP_REFUSED:
        case HTTP_NO_CONNECTION:
        case HTTP_NO_NAME:
        case HTTP_TLS:
        case HTTP_LOCAL:
                return READING_FAILED;
        }
        return READING_FAILED;
}

enum reading verdict_of_cluster(const struct http_response *response) {
        int status = response->status;

        if (response->result != HTTP_ANSWER)
                return response->result == HTTP_TOO_LARGE ? READING_CHECK : READING_FAILED;
        if (is_success(status))
                return READING_EXPECTED;
        return status == 429 || (status >= 502 && status <= 504) ? READING_FAILED : READING_CHECK;
}

bool verdict_is_result(enum call_kind kind, int status) {
        switch (kind) {
        case CALL_WORKLOAD_DETAILS:
        case CALL_REGISTRY_ENTRY:
                return status == 404;
        case CALL_INSTALL:
                return status >= 400 && status < 500;
        case CALL_VERSION:
        case CALL_LIST_WORKLOADS:
        case CALL_REGISTRY:
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                return false;
        }
        return false;
}

/* Copies at most a line. What it holds is escaped where it is shown, as all that comes from outside. */
static void copy_line(const char *from, char error[static ERROR_MAX]) {
        size_t line = strcspn(from, "\r\n"), n = utf8_cut(from, ERROR_MAX - 1);

        n = n < line ? n : line;
        memcpy(error, from, n);
        error[n] = '\0';
}

static bool describe_json(const struct http_response *response, char error[static ERROR_MAX]) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        struct json_slice value;
        const char *code, *message, *problem;

        if (json_scan(response->body, response->size, &value, &problem) != 0 ||
            json_type_of(value) != '{' || json_parse(value, &object, &problem) != 0 ||
            json_get_string(object, "message", &message) != 0)
                return false;

        if (json_get_string(object, "code", &code) == 0) {
                char line[ERROR_MAX * 2];

                snprintf(line, sizeof line, "%s: %s", code, message);
                copy_line(line, error);
        } else
                copy_line(message, error);
        return true;
}

void verdict_describe(const struct http_response *response, const char *body_problem,
                      char error[static ERROR_MAX]) {
        if (response->result != HTTP_ANSWER)
                snprintf(error, ERROR_MAX, "%s", response->error);
        else if (is_success(response->status))
                snprintf(error, ERROR_MAX, "Unusable body: %s", body_problem ?: "not what was asked for");
        else {
                error[0] = '\0';
                if (response->size > 0 && !describe_json(response, error))
                        copy_line(response->body, error);
                if (!error[0])
                        snprintf(error, ERROR_MAX, "HTTP %d", response->status);
        }
}
