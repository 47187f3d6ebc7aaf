/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One request to the API server. The token is read from its file each time: it is
 * replaced about every hour, and a file of a kilobyte is read faster than it is
 * asked whether it has changed. A token that was replaced between the reading and
 * the answer is the one case that is left: then the other is tried at once.
 */

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "source/endpoint.h"
#include "source/kubernetes_call.h"
#include "source/verdict.h"

/* Some tokens are long, with all that an authority has to say about an account. */
#define TOKEN_FILE_MAX ((size_t) 64 << 10)
/* As long as any wait that the settings allow. */
#define RETRY_AFTER_MAX (300 * USEC_PER_SEC)

static bool may_send_token(const struct settings *settings) {
        struct url url;

        return url_parse(settings->k8s_api_server_url, &url) == 0 &&
               (url.scheme == URL_HTTPS || host_is_loopback(url.host));
}

bool kubernetes_withholds_token(const struct settings *settings) {
        return settings->k8s_token_file && !may_send_token(settings);
}

/* One word of visible characters: what else is in a header would be another header. */
static bool is_token(const char *token, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (token[i] <= ' ' || token[i] >= 0x7F)
                        return false;
        return size > 0;
}

int kubernetes_read_token(const struct kubernetes *kubernetes, char **ret_token) {
        _cleanup_(freep) char *token = NULL;
        size_t size;
        int r;

        *ret_token = NULL;
        if (!kubernetes->token_file)
                return 0;

        r = file_read(kubernetes->token_file, TOKEN_FILE_MAX, &token, &size);
        if (r < 0)
                return r;
        while (size > 0 && (token[size - 1] == '\n' || token[size - 1] == '\r'))
                token[--size] = '\0';
        if (!is_token(token, size))
                return -EBADMSG;

        *ret_token = STEAL(token);
        return 0;
}

/* Whoever named the file has to be told; asking without it would only be refused. */
static void tell_no_token(const struct kubernetes *kubernetes, int error, struct http_response *ret_response) {
        *ret_response = (struct http_response) { .result = HTTP_LOCAL, .retry_after = USEC_INFINITY };
        snprintf(ret_response->error, sizeof ret_response->error, "Cannot read the token in %.150s: %s",
                 kubernetes->token_file, error == EBADMSG ? "No token in it" : errno_words(error));
}

static int perform(struct kubernetes *kubernetes, const char *url, const char *token,
                   struct http_response *ret_response) {
        const struct http_request request = {
                .method = "GET",
                .url = url,
                .token = token,
                .ca_file = kubernetes->settings->k8s_ca_file,
                .timeout = kubernetes->settings->timeout,
        };

        return http_perform(kubernetes->http, &request, ret_response);
}

int kubernetes_get(struct kubernetes *kubernetes, const char *url, struct http_response *ret_response) {
        _cleanup_(freep) char *token = NULL, *other = NULL;
        int r;

        r = kubernetes_read_token(kubernetes, &token);
        if (r < 0) {
                tell_no_token(kubernetes, -r, ret_response);
                return 0;
        }
        r = perform(kubernetes, url, token, ret_response);
        if (r < 0 || ret_response->status != 401 || !token)
                return r;
        if (kubernetes_read_token(kubernetes, &other) < 0 || !other || strcmp(other, token) == 0)
                return 0;

        http_response_done(ret_response);
        return perform(kubernetes, url, other, ret_response);
}

void kubernetes_add_url(const struct kubernetes *kubernetes, const struct listed *listed, const char *version,
                        struct text *text) {
        text_addf(text, "%s/apis/" RESOURCE_GROUP "/%s", kubernetes->settings->k8s_api_server_url, version);
        if (kubernetes->namespace)
                text_addf(text, "/namespaces/%s", kubernetes->namespace);
        text_addf(text, "/%s", resource_plural(listed->resource));
}

void kubernetes_unusable(struct outcome *outcome, const char *problem) {
        *outcome = (struct outcome) { .verdict = VERDICT_ANSWER, .status = 200, .retry_after = USEC_INFINITY };
        snprintf(outcome->error, sizeof outcome->error, "Unusable body: %s", problem);
}

/* Who is not known, or has not said who he is, gets no right by a role. */
static const char *remedy(const struct kubernetes *kubernetes, const struct outcome *outcome) {
        if (kubernetes_withholds_token(kubernetes->settings))
                return "https in K8S_API_SERVER_URL";
        if (outcome->status == 401 && kubernetes->token_file)
                return "another token in K8S_TOKEN_FILE";
        if (outcome->status == 401 || strstr(outcome->error, "\"system:anonymous\""))
                return "a token in K8S_TOKEN_FILE";
        return kubernetes->namespace ? "kubectl apply -f role.yaml" : "kubectl apply -f cluster-role.yaml";
}

static void deny(const struct kubernetes *kubernetes, const char *verb, const struct listed *listed,
                 struct outcome *outcome) {
        outcome->denied.verb = verb;
        outcome->denied.remedy = remedy(kubernetes, outcome);
        snprintf(outcome->denied.resources, sizeof outcome->denied.resources, "%s",
                 resource_plural(listed->resource));
        if (kubernetes->namespace)
                snprintf(outcome->denied.scope, sizeof outcome->denied.scope, "namespace %s", kubernetes->namespace);
        else
                strcpy(outcome->denied.scope, "all namespaces");
}

enum answer kubernetes_read_answer(const struct kubernetes *kubernetes, const struct http_response *response,
                                   const char *verb, const struct listed *listed, struct outcome *ret_outcome) {
        *ret_outcome = (struct outcome) { .status = response->status, .retry_after = USEC_INFINITY };

        if (verdict_of_cluster(response) == READING_FAILED) {
                ret_outcome->verdict = VERDICT_FAILED;
                if (response->result == HTTP_ANSWER) {
                        snprintf(ret_outcome->error, sizeof ret_outcome->error, "HTTP %d", response->status);
                        if (response->retry_after != USEC_INFINITY)
                                ret_outcome->retry_after = usec_min(response->retry_after, RETRY_AFTER_MAX);
                } else
                        snprintf(ret_outcome->error, sizeof ret_outcome->error, "%s", response->error);
                return ANSWER_FAILED;
        }

        if (response->result == HTTP_ANSWER && response->status == 200) {
                ret_outcome->verdict = VERDICT_DONE;
                return ANSWER_EXPECTED;
        }

        ret_outcome->verdict = VERDICT_ANSWER;
        ret_outcome->retry_after = response->retry_after;
        verdict_describe(response, NULL, ret_outcome->error);
        if (listed && (response->status == 401 || response->status == 403))
                deny(kubernetes, verb, listed, ret_outcome);
        if (response->result == HTTP_ANSWER && response->status == 404)
                return ANSWER_NOT_FOUND;
        if (response->result == HTTP_ANSWER && response->status == 410)
                return ANSWER_GONE;
        return ANSWER_OTHER;
}
