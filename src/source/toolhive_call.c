/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The calls of ToolHive's API: paths, bodies, shapes. Each is one exchange: a
 * request, the reading of its answer, and where the answer is not the expected
 * one the identity check of the same address, which tells a ToolHive in trouble
 * from a stranger on its port.
 *
 * Installing is two exchanges, since it is not idempotent: the name is asked for
 * before anything is sent, and again whenever an earlier sending has an unknown
 * outcome. See install().
 */

#include <errno.h>
#include <string.h>

#include "source/toolhive_call.h"
#include "source/verdict.h"

#define API "/api/v1beta"
#define PATH_MAX_SIZE 1024

static const char *const call_paths[CALL_KINDS] = {
        [CALL_VERSION] = API "/version",
        [CALL_LIST_WORKLOADS] = API "/workloads?all=true",
        [CALL_WORKLOAD_DETAILS] = API "/workloads/",
        [CALL_REGISTRY] = API "/registry/default",
        [CALL_REGISTRY_ENTRY] = API "/registry/default/servers/",
        [CALL_INSTALL] = API "/workloads",
};

/* Each byte of the name may become three. */
_Static_assert(sizeof API "/registry/default/servers/" + (size_t) 3 * CALL_NAME_MAX <= PATH_MAX_SIZE,
               "the longest name fits into a path");

/* The path of a call; a name is one segment of it. */
static void build_path(const struct call *call, char path[static PATH_MAX_SIZE]) {
        size_t n = (size_t) snprintf(path, PATH_MAX_SIZE, "%s", call_paths[call->kind]);
        char name[CALL_NAME_MAX + 1];

        if (call->kind != CALL_WORKLOAD_DETAILS && call->kind != CALL_REGISTRY_ENTRY)
                return;
        snprintf(name, sizeof name, "%s", call->name);
        (void) url_escape(name, path + n);
}

/* Any web server may answer with some object: it has to be one about what was asked for. */
static const char *document_problem(enum call_kind kind, struct json_object *document) {
        struct json_object *server;
        const char *name;

        if (kind == CALL_WORKLOAD_DETAILS && json_get_string(document, "name", &name) != 0)
                return "no name";
        if (kind == CALL_REGISTRY_ENTRY && json_get_object(document, "server", &server) != 0 &&
            json_get_object(document, "remote_server", &server) != 0)
                return "no server";
        return NULL;
}

/* The answer to details, entry or install: an object, kept as it is. */
static int take_document(const struct http_response *response, struct call *call, const char **ret_problem) {
        _cleanup_(json_object_putp) struct json_object *document = NULL;
        struct json_slice value;
        int r;

        r = json_scan(response->body, response->size, &value, ret_problem);
        if (r != 0)
                return r;
        if (json_type_of(value) != '{') {
                *ret_problem = "no JSON object";
                return JSON_BAD;
        }
        r = json_parse(value, &document, ret_problem);
        if (r != 0)
                return r;
        *ret_problem = document_problem(call->kind, document);
        if (*ret_problem)
                return JSON_BAD;

        json_object_put(call->document);
        call->document = STEAL(document);
        call->found = true;
        return 0;
}

/* A port in an answer, under the key that it has there; 0 when it is not told. */
static int port_in(struct json_object *document, const char *key) {
        int64_t port;

        return json_get_int(document, key, 1, UINT16_MAX, &port) == 0 ? (int) port : 0;
}

static int take_install(const struct http_response *response, struct call *call, const char **ret_problem) {
        int r;

        r = take_document(response, call, ret_problem);
        if (r != 0)
                return r;

        call->install = INSTALL_CREATED;
        call->install_port = port_in(call->document, "port");
        return 0;
}

/* Takes the results of a 2xx into the call: 0, JSON_BAD and the reason, -ENOMEM. */
static int take_results(const struct http_response *response, struct call *call, const char **ret_problem) {
        char version[VERSION_MAX];

        switch (call->kind) {
        case CALL_VERSION:
                *ret_problem = "no version";
                return identity_judge(response, version) == 0 ? 0 : JSON_BAD;
        case CALL_LIST_WORKLOADS:
                return workload_list_parse(response->body, response->size, call->filter, &call->workloads,
                                           ret_problem);
        case CALL_WORKLOAD_DETAILS:
        case CALL_REGISTRY_ENTRY:
                return take_document(response, call, ret_problem);
        case CALL_REGISTRY:
                return call->want_catalog
                     ? registry_catalog_parse(response->body, response->size, &call->catalog, ret_problem)
                     : registry_parse(response->body, response->size, &call->registry, ret_problem);
        case CALL_INSTALL:
                return take_install(response, call, ret_problem);
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                break;
        }
        return -EINVAL;
}

/* A status that is a result: 404 for what is not there, 4xx for an install that ToolHive refuses. */
static int take_status(const struct http_response *response, struct call *call) {
        char words[ERROR_MAX];

        call->found = false;
        if (call->kind != CALL_INSTALL)
                return 0;

        verdict_describe(response, NULL, words);
        free(call->message);
        call->message = strdup(words);
        if (!call->message)
                return -ENOMEM;

        if (response->status != 409)
                call->install = INSTALL_REFUSED;
        else
                call->install = call->install_sent ? INSTALL_CREATED : INSTALL_EXISTS;
        return 0;
}

static void fail(struct outcome *outcome, const char *error) {
        outcome->verdict = VERDICT_FAILED;
        snprintf(outcome->error, sizeof outcome->error, "%s", error);
}

/* Whether /health says 503: ToolHive is there and its container runtime is not. 0, or -ECANCELED. */
static int ask_health(struct toolhive *toolhive, bool *ret_away) {
        _cleanup_(http_response_done) struct http_response response = {};
        struct http_request request = { .method = "GET", .timeout = toolhive->identity_timeout };
        char url[PATH_MAX_SIZE];
        int r;

        endpoint_address_request(&toolhive->source.endpoint, "/health", &request, url, sizeof url);
        r = http_perform(toolhive->http, &request, &response);
        if (r < 0)
                return r;

        *ret_away = response.result == HTTP_ANSWER && response.status == 503;
        return 0;
}

/* An answer of some kind: is it (still) ToolHive who gives it? Decides between answer and failure. */
static int check_answer(struct toolhive *toolhive, struct call *call, const struct http_response *response,
                        const char *body_problem, struct outcome *outcome) {
        /* One that was cut or too slow has words of its own, even where its status came. */
        bool answered = response->result == HTTP_ANSWER || response->result == HTTP_TOO_LARGE;
        char version[VERSION_MAX], words[ERROR_MAX];
        int r;

        r = identity_check(toolhive->http, &toolhive->source.endpoint, toolhive->identity_timeout, version,
                           words);
        if (r < 0)
                return r;
        if (r > 0) {
                snprintf(words, sizeof words, "Not ToolHive any more (HTTP %d)", response->status);
                fail(outcome, answered ? words : response->error);
                return 0;
        }

        if (response->result == HTTP_ANSWER && verdict_is_result(call->kind, response->status)) {
                outcome->verdict = VERDICT_DONE;
                return take_status(response, call);
        }

        outcome->verdict = VERDICT_ANSWER;
        outcome->retry_after = response->retry_after;
        verdict_describe(response, body_problem, outcome->error);
        if (call->kind == CALL_LIST_WORKLOADS)
                return ask_health(toolhive, &outcome->runtime_away);
        return 0;
}

/* One request of a call and the reading of its answer. 0 and the outcome, or a negative errno. */
static int exchange(struct toolhive *toolhive, struct call *call, bool *ret_sent, struct outcome *outcome) {
        _cleanup_(http_response_done) struct http_response response = {};
        bool install = call->kind == CALL_INSTALL, good = false;
        struct http_request request = {
                .method = install ? "POST" : "GET",
                .body = install ? call->body : NULL,
                .timeout = install ? toolhive->settings->install_timeout : toolhive->settings->timeout,
                /* Else a call that is reset would be two to ToolHive; where that matters little, many would
                 * use up the local ports. */
                .fresh = !call->secondary,
                .once = install,
        };
        char path[PATH_MAX_SIZE], url[PATH_MAX_SIZE + sizeof toolhive->source.endpoint.url];
        const char *problem = NULL;
        int r;

        build_path(call, path);
        endpoint_address_request(&toolhive->source.endpoint, path, &request, url, sizeof url);
        r = http_perform(toolhive->http, &request, &response);
        if (ret_sent)
                *ret_sent = response.sent;
        if (r < 0)
                return r;

        *outcome = (struct outcome) { .status = response.status, .retry_after = USEC_INFINITY };
        call->answer_size = response.size;

        if (response.result == HTTP_ANSWER && response.status >= 200 && response.status < 300) {
                r = take_results(&response, call, &problem);
                if (r < 0)
                        return r;
                good = r == 0;
        }

        switch (verdict_read(call, &response, good)) {
        case READING_EXPECTED:
                outcome->verdict = VERDICT_DONE;
                return 0;
        case READING_CHECK:
                return check_answer(toolhive, call, &response, problem, outcome);
        case READING_FAILED:
                fail(outcome, response.error);
                return 0;
        }
        return -EINVAL;
}

/*
 * Whether an answer to the sending leaves open what came of it. ToolHive's own
 * failures are 500: 502 to 504 are a gateway's, which does not know what ToolHive
 * did. And a success whose body is of no use may well be one.
 */
static bool is_open(const struct outcome *outcome) {
        return outcome->verdict == VERDICT_FAILED ||
               (outcome->verdict == VERDICT_ANSWER && (outcome->status < 300 || outcome->status > 500));
}

/*
 * Installs, once and only once. Before a sending the name is asked for: present,
 * it is somebody's, unless an earlier sending of ours has an unknown outcome,
 * which it then settles. A sending that fails before it left is simply tried
 * again by the retry loop, which comes back to this function.
 */
static int install(struct toolhive *toolhive, struct call *call, struct outcome *outcome) {
        _cleanup_(call_done) struct call details = { .kind = CALL_WORKLOAD_DETAILS, .name = call->name };
        bool sent = false;
        int r;

        r = exchange(toolhive, &details, NULL, outcome);
        if (r < 0 || outcome->verdict != VERDICT_DONE)
                return r;
        if (details.found) {
                call->install = call->install_sent ? INSTALL_CREATED : INSTALL_EXISTS;
                call->install_port = port_in(details.document, "proxy_port");
                return 0;
        }

        r = exchange(toolhive, call, &sent, outcome);
        if (sent && (r < 0 || is_open(outcome)))
                call->install_sent = true;
        return r;
}

int toolhive_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        struct toolhive *toolhive = toolhive_of(source);
        int r;

        *ret_outcome = (struct outcome) { .retry_after = USEC_INFINITY };
        r = call->kind == CALL_INSTALL ? install(toolhive, call, ret_outcome)
                                       : exchange(toolhive, call, NULL, ret_outcome);
        if (r == 0 || r == -ECANCELED)
                return r;

        /* No memory and the like: the retry loop waits for better times as for ToolHive itself. */
        fail(ret_outcome, errno_words(-r));
        return 0;
}
