/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The identity check, in its two halves (what to ask, what the answer means) for a search that
 * has many of them under way, and whole for who asks one address and waits.
 *
 * The version goes into log lines, the status of the unit and the state file, and a squatter may
 * send anything under that name. All of these escape what they print; still, a version that no
 * person could read is no version, and its sender no ToolHive.
 */

#include <string.h>

#include "base/json.h"
#include "source/identity.h"

#define IDENTITY_PATH "/api/v1beta/version"
#define IDENTITY_BODY_MAX ((size_t) 64 << 10)
#define URL_MAX 512

void identity_request(const struct endpoint *endpoint, usec_t timeout,
                      struct http_request *ret_request, char *buffer, size_t size) {
        *ret_request = (struct http_request) {
                .method = "GET",
                .timeout = timeout,
                .body_max = IDENTITY_BODY_MAX,
        };
        endpoint_address_request(endpoint, IDENTITY_PATH, ret_request, buffer, size);
}

/* Whether the body is an object with a version that can be shown; copies it. */
static bool read_version(const struct http_response *response, char version[static VERSION_MAX]) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        struct json_slice body, member;
        const char *problem, *text;

        if (json_scan(response->body, response->size, &body, &problem) != 0 ||
            json_type_of(body) != '{' || json_slice_member(body, "version", &member) != 0 ||
            json_type_of(member) != '"' || json_parse(member, &object, &problem) != 0)
                return false;

        text = json_object_get_string(object);
        if (!json_is_clean_name(text, VERSION_MAX - 1))
                return false;

        snprintf(version, VERSION_MAX, "%s", text);
        return true;
}

int identity_judge(const struct http_response *response, char version[static VERSION_MAX]) {
        switch (response->result) {
        case HTTP_ANSWER:
                if (response->status == 200 && read_version(response, version))
                        return 0;
                return IDENTITY_STRANGER;
        case HTTP_TOO_LARGE:
                return IDENTITY_STRANGER;
        case HTTP_REFUSED:
        case HTTP_NO_CONNECTION:
        case HTTP_NO_NAME:
        case HTTP_TIMEOUT:
        case HTTP_CUT:
        case HTTP_NOT_HTTP:
        case HTTP_TLS:
        case HTTP_LOCAL:
                return IDENTITY_NO_ANSWER;
        }
        return IDENTITY_NO_ANSWER;
}

int identity_check(struct http *http, const struct endpoint *endpoint, usec_t timeout,
                   char version[static VERSION_MAX], char error[static ERROR_MAX]) {
        _cleanup_(http_response_done) struct http_response response = {};
        struct http_request request;
        char url[URL_MAX];
        int r;

        identity_request(endpoint, timeout, &request, url, sizeof url);
        r = http_perform(http, &request, &response);
        if (r < 0)
                return r;

        r = identity_judge(&response, version);
        if (r == IDENTITY_STRANGER)
                snprintf(error, ERROR_MAX, "Not ToolHive (HTTP %d)", response.status);
        else if (r == IDENTITY_NO_ANSWER)
                snprintf(error, ERROR_MAX, "%s", response.error);
        return r;
}
