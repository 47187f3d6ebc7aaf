/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A candidate is asked on the socket that the scan has connected, so that each open port sees one
 * connection. Where the discovery file named it, GET /health has to show the file's nonce first;
 * ToolHive sends none while its container runtime is away (503), and then the identity check alone
 * decides. The second request goes over the connection that libcurl has kept from the first, unless
 * the search has so many that it was let go.
 *
 * The connection to the one that is taken in the end stays with libcurl for the calls that follow.
 */

#include <errno.h>
#include <string.h>

#include "source/candidate.h"

#define NONCE_HEADER "X-Toolhive-Nonce"
#define PROOF_BODY_MAX ((size_t) 64 << 10)
#define URL_MAX 512

struct candidate *candidate_new(const struct target *target, const struct step *step,
                                enum step_kind kind, size_t rank, int fd) {
        struct candidate *candidate = calloc(1, sizeof *candidate);

        if (!candidate)
                return NULL;
        candidate->kind = kind;
        candidate->rank = rank;
        candidate->nonce = step->nonce;
        candidate->fd = fd;
        target_endpoint(target, &candidate->endpoint);
        return candidate;
}

struct candidate *candidate_free(struct candidate *candidate) {
        if (!candidate)
                return NULL;
        closep(&candidate->fd);
        http_transfer_free(candidate->transfer);
        free(candidate);
        return NULL;
}

static void proof_request(const struct candidate *candidate, usec_t timeout,
                          struct http_request *ret_request, char *buffer, size_t size) {
        *ret_request = (struct http_request) {
                .method = "GET",
                .header = NONCE_HEADER,
                .timeout = timeout,
                .body_max = PROOF_BODY_MAX,
        };
        endpoint_address_request(&candidate->endpoint, "/health", ret_request, buffer, size);
}

int candidate_ask(struct candidate *candidate, struct http *http, usec_t now,
                  struct failure *ret_failure) {
        usec_t left = usec_sub(usec_add(candidate->started_at, candidate->timeout), now);
        struct http_request request;
        char url[URL_MAX];
        int r;

        if (left == 0) {
                failure_from_timeout(ret_failure, candidate->timeout);
                return CANDIDATE_FAILED;
        }

        if (candidate->nonce)
                proof_request(candidate, left, &request, url, sizeof url);
        else
                identity_request(&candidate->endpoint, left, &request, url, sizeof url);
        request.connected_fd = STEAL_FD(candidate->fd);

        candidate->transfer = http_transfer_free(candidate->transfer);
        r = http_start(http, &request, &candidate->transfer);
        if (r < 0) {
                failure_from_errno(ret_failure, -r);
                return CANDIDATE_FAILED;
        }
        return 0;
}

static bool proves(const struct http_response *response, const char *nonce) {
        if (response->result != HTTP_ANSWER)
                return false;
        return response->status == 503 || (response->status == 204 && response->header_value &&
                                           strcmp(response->header_value, nonce) == 0);
}

static void failure_from_response(struct failure *failure, const struct candidate *candidate,
                                  const struct http_response *response) {
        switch (response->result) {
        case HTTP_ANSWER:
        case HTTP_TOO_LARGE:
                failure->kind = FAILURE_STRANGER;
                snprintf(failure->words, sizeof failure->words, "Not ToolHive (HTTP %d)",
                         response->status);
                return;
        case HTTP_TIMEOUT:
                /* The request had only what the connection had left of the candidate's time. */
                failure_from_timeout(failure, candidate->timeout);
                return;
        case HTTP_REFUSED:
                failure->kind = FAILURE_REFUSED;
                break;
        case HTTP_NO_CONNECTION:
        case HTTP_NO_NAME:
        case HTTP_CUT:
        case HTTP_NOT_HTTP:
        case HTTP_TLS:
        case HTTP_LOCAL:
                failure->kind = FAILURE_CONNECTION;
                break;
        }
        snprintf(failure->words, sizeof failure->words, "%s", response->error);
}

int candidate_look(struct candidate *candidate, struct http *http, usec_t now,
                   char version[static VERSION_MAX], struct failure *ret_failure) {
        const struct http_response *response;

        response = candidate->transfer ? http_finished(candidate->transfer) : NULL;
        if (!response)
                return 0;

        if (candidate->nonce && proves(response, candidate->nonce)) {
                candidate->nonce = NULL;
                return candidate_ask(candidate, http, now, ret_failure);
        }
        if (!candidate->nonce && identity_judge(response, version) == 0)
                return CANDIDATE_PASSED;

        failure_from_response(ret_failure, candidate, response);
        if (candidate->nonce && ret_failure->kind == FAILURE_STRANGER)
                return CANDIDATE_UNPROVEN;
        return CANDIDATE_FAILED;
}
