/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What an answer means: identity, verdict, and the one line that tells it. The
 * first line of the input is the status; what follows is the body.
 */

#include <string.h>

#include "fuzz.h"
#include "report/log_line.h"
#include "source/identity.h"
#include "source/verdict.h"

static void check_version(const struct http_response *response) {
        char version[VERSION_MAX] = "untouched";
        int r;

        r = identity_judge(response, version);
        must(r == 0 || r == IDENTITY_STRANGER);
        must(r == 0 || strcmp(version, "untouched") == 0);
        must(r != 0 || (response->status == 200 && *version && strlen(version) < VERSION_MAX));
        must(is_harmless(version, strlen(version), ONE_LINE));
}

static void check_description(const struct http_response *response, const char *body_problem) {
        const struct log_field fields[] = { LOG_STRING("error", NULL), { .type = LOG_FIELD_END } };
        struct log_field told[ELEMENTSOF(fields)];
        _cleanup_text_ struct text line = TEXT_INIT;
        char error[ERROR_MAX];

        memset(error, 'x', sizeof error);
        verdict_describe(response, body_problem, error);
        must(memchr(error, '\0', sizeof error) && *error);
        must(!strpbrk(error, "\r\n"));

        memcpy(told, fields, sizeof fields);
        told[0].string = error;
        log_add_message(&line, "ToolHive connection failed", told);
        must_be_harmless(&line, ONE_LINE);
        /* A line of good text stays so where it is cut; escapes of JSON may stand for anything. */
        if (is_harmless(response->body, response->size, LINES) && !strchr(response->body, '\\'))
                must(is_harmless(error, strlen(error), ONE_LINE));
}

static void check_reading(const struct http_response *response) {
        for (enum call_kind kind = CALL_VERSION; kind < CALL_KINDS; kind++) {
                const struct call call = { .kind = kind };
                bool success = response->status >= 200 && response->status < 300;

                must(verdict_read(&call, response, true) == (success ? READING_EXPECTED : READING_CHECK));
                must(verdict_read(&call, response, false) == READING_CHECK);
                must(!verdict_is_result(kind, response->status) || !success);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
        size_t head = line ? (size_t) (line - data) + 1 : size, rest = size - head;
        _cleanup_(freep) char *first = strndup((const char *) data, head);
        _cleanup_(freep) char *body = malloc(rest + 1);
        struct http_response response = { .result = HTTP_ANSWER, .body = body, .size = rest };

        must(first && body);
        memcpy(body, data + head, rest);
        body[rest] = '\0';
        response.status = 100 + (int) (strtoul(first, NULL, 10) % 900);

        check_version(&response);
        check_reading(&response);
        check_description(&response, NULL);
        return 0;
}
