/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Kubernetes as a source: the workloads are the objects of ToolHive's resources,
 * listed, and watched from then on. The stores hold what both have told; a list
 * of workloads is made of them, after a list as after a change.
 *
 * Nothing is searched for: the address is a setting, or the cluster's own. Before
 * the first list, and again after each connection failure, the server is asked
 * for its version, which every account may ask for: what answers that is there.
 */

#include <errno.h>
#include <string.h>

#include "source/kubernetes_call.h"
#include "source/verdict.h"

/* The watches, the one that lists are asked on, and room for the one that replaces it. */
#define CONNECTIONS_KEPT (RESOURCES + 2)

static int ask_version(struct kubernetes *kubernetes, enum answer *ret_answer, struct outcome *outcome) {
        _cleanup_(http_response_done) struct http_response response = {};
        _cleanup_text_ struct text url = TEXT_INIT;
        struct source *source = &kubernetes->source;
        struct json_slice document, version;
        const char *problem;
        int r;

        text_addf(&url, "%s/version", kubernetes->settings->k8s_api_server_url);
        r = text_error(&url);
        if (r == 0)
                r = kubernetes_get(kubernetes, url.data, &response);
        if (r < 0)
                return r;
        *ret_answer = kubernetes_read_answer(kubernetes, &response, "get", NULL, outcome);
        if (*ret_answer == ANSWER_FAILED)
                return 0;

        source->version[0] = '\0';
        if (*ret_answer == ANSWER_EXPECTED &&
            !(json_scan(response.body, response.size, &document, &problem) == 0 && json_type_of(document) == '{' &&
              json_slice_member(document, "gitVersion", &version) == 0 &&
              json_slice_string(version, source->version, sizeof source->version) &&
              json_is_clean_name(source->version, sizeof source->version - 1))) {
                source->version[0] = '\0';
                *ret_answer = ANSWER_OTHER;
                kubernetes_unusable(outcome, "no version");
        }
        return 0;
}

static int kubernetes_check(struct source *source) {
        struct outcome outcome;
        enum answer answer;
        int r;

        r = ask_version(kubernetes_of(source), &answer, &outcome);
        if (r == -ECANCELED)
                return r;
        return r < 0 || answer == ANSWER_FAILED;
}

/* ---- the workloads, from the stores ---- */

/* Whether the settings of this service, which an earlier one need not have had, let it in. */
static bool is_wanted(const struct kubernetes *kubernetes, const struct call *call, const struct workload *workload) {
        return workload_filter_keeps_name(call->filter, workload->name) &&
               workload_filter_keeps_group(call->filter, workload->group ?: "") &&
               (!kubernetes->namespace || strcmp(workload->namespace ?: "", kubernetes->namespace) == 0);
}

/* Of a resource that could not be listed yet stands what an earlier service knew. */
static int fill_known(const struct kubernetes *kubernetes, enum resource resource, const struct call *call,
                      struct workload_list *list) {
        int r = 0;

        for (size_t i = 0; call->known && i < call->known->n_items && r == 0; i++) {
                struct workload *workload = call->known->items[i];

                if (resource_of(workload) == resource && is_wanted(kubernetes, call, workload))
                        r = workload_list_add(list, workload_ref(workload));
        }
        return r;
}

static void add_missing(struct call *call, enum resource resource) {
        size_t size = strlen(call->missing);

        snprintf(call->missing + size, sizeof call->missing - size, "%s%s", size > 0 ? ", " : "",
                 resource_plural(resource));
}

static int collect(struct kubernetes *kubernetes, struct call *call) {
        _cleanup_(workload_list_freep) struct workload_list *list = workload_list_new();
        int r;

        if (!list)
                return -ENOMEM;
        call->missing[0] = '\0';
        for (size_t i = 0; i < RESOURCES; i++) {
                const struct listed *listed = &kubernetes->listed[i];

                r = listed->known ? resource_store_fill(&listed->store, call->filter, list)
                                  : fill_known(kubernetes, listed->resource, call, list);
                if (r < 0)
                        return r;
                if (listed->known && !listed->version)
                        add_missing(call, listed->resource);
        }
        r = workload_list_settle(list);
        if (r < 0)
                return r;
        call->workloads = STEAL(list);
        return 0;
}

static int kubernetes_changes(struct source *source, struct call *call) {
        struct kubernetes *kubernetes = kubernetes_of(source);
        bool expired = false;
        int r;

        for (size_t i = 0; i < RESOURCES; i++) {
                (void) watch_take_change(kubernetes->listed[i].watch);
                expired |= watch_take_expiry(kubernetes->listed[i].watch);
        }
        if (expired)
                return CHANGES_EXPIRED;
        r = collect(kubernetes, call);
        /* A list is tried instead, whose failure the retry loop waits out. */
        return r == -ENOMEM ? CHANGES_EXPIRED : r;
}

static bool kubernetes_problem(struct source *source, struct outcome *ret_outcome) {
        return kubernetes_refusal(kubernetes_of(source), ret_outcome);
}

/* ---- calls ---- */

static int list_workloads(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome) {
        int r;

        r = kubernetes_list(kubernetes, call, outcome);
        if (r < 0 || outcome->verdict != VERDICT_DONE)
                return r;
        return collect(kubernetes, call);
}

static int perform(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome) {
        enum answer answer;
        int r;

        if (!kubernetes->greeted || !kubernetes->source.version[0] || call->kind == CALL_VERSION) {
                r = ask_version(kubernetes, &answer, outcome);
                if (r < 0 || answer == ANSWER_FAILED)
                        return r;
                kubernetes->greeted = kubernetes->source.known = true;
        }

        switch (call->kind) {
        case CALL_VERSION:
                return 0;
        case CALL_LIST_WORKLOADS:
                return list_workloads(kubernetes, call, outcome);
        case CALL_WORKLOAD_DETAILS:
                return kubernetes_details(kubernetes, call, outcome);
        case CALL_REGISTRY:
        case CALL_REGISTRY_ENTRY:
        case CALL_INSTALL:
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                break;
        }
        *outcome = (struct outcome) { .verdict = VERDICT_ANSWER, .retry_after = USEC_INFINITY };
        strcpy(outcome->error, "Kubernetes has no such operation");
        return 0;
}

/* A list that failed is tried again; after anything else that did, one is wanted, for the watches to go on from. */
static void stop_watches(struct kubernetes *kubernetes, bool want_list) {
        for (size_t i = 0; i < RESOURCES; i++) {
                watch_stop(kubernetes->listed[i].watch);
                if (want_list)
                        watch_expire(kubernetes->listed[i].watch);
        }
}

static int kubernetes_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        struct kubernetes *kubernetes = kubernetes_of(source);
        int r;

        *ret_outcome = (struct outcome) { .retry_after = USEC_INFINITY };
        r = perform(kubernetes, call, ret_outcome);
        if (r == -ECANCELED)
                return r;
        if (r < 0) {
                /* No memory and the like: the retry loop waits for better times as for the API server itself. */
                ret_outcome->verdict = VERDICT_FAILED;
                snprintf(ret_outcome->error, sizeof ret_outcome->error, "%s", errno_words(-r));
        }
        if (ret_outcome->verdict == VERDICT_FAILED) {
                kubernetes->greeted = false;
                stop_watches(kubernetes, call->kind != CALL_LIST_WORKLOADS);
        }
        return 0;
}

static uint64_t kubernetes_requests(const struct source *source) {
        return http_requests(((const struct kubernetes *) source)->http);
}

static struct source *kubernetes_free(struct source *source) {
        struct kubernetes *kubernetes = kubernetes_of(source);

        for (size_t i = 0; i < RESOURCES; i++) {
                watch_free(kubernetes->listed[i].watch);
                resource_store_clear(&kubernetes->listed[i].store);
        }
        http_free(kubernetes->http);
        free(kubernetes);
        return NULL;
}

static const struct source_ops kubernetes_ops = {
        .name = "Kubernetes API",
        .perform = kubernetes_perform,
        .check = kubernetes_check,
        .wait = kubernetes_wait,
        .changes = kubernetes_changes,
        .problem = kubernetes_problem,
        .free = kubernetes_free,
};

static void set_endpoint(struct endpoint *endpoint, const char *address) {
        struct url url;

        snprintf(endpoint->url, sizeof endpoint->url, "%s", address);
        if (url_parse(address, &url) == 0)
                endpoint->port = url.port;
}

int kubernetes_new(const struct settings *settings, struct waiter *waiter, const char *last _unused_,
                   struct source **ret_source) {
        _cleanup_(source_freep) struct source *source = NULL;
        struct kubernetes *kubernetes;
        int r;

        kubernetes = calloc(1, sizeof *kubernetes);
        if (!kubernetes)
                return -ENOMEM;

        source = &kubernetes->source;
        source->ops = &kubernetes_ops;
        source->waiter = waiter;
        source->requests = kubernetes_requests;
        set_endpoint(&source->endpoint, settings->k8s_api_server_url);
        kubernetes->settings = settings;
        kubernetes->token_file = kubernetes_withholds_token(settings) ? NULL : settings->k8s_token_file;
        kubernetes->namespace = settings->k8s_all_namespaces ? NULL : settings->k8s_namespace;

        for (size_t i = 0; i < RESOURCES; i++) {
                struct listed *listed = &kubernetes->listed[i];

                listed->resource = (enum resource) i;
                listed->refusal.verdict = VERDICT_DONE;
                r = watch_new(kubernetes, listed, &listed->watch);
                if (r < 0)
                        return r;
        }
        r = http_new(waiter, CONNECTIONS_KEPT, &kubernetes->http);
        if (r < 0)
                return r;

        *ret_source = STEAL(source);
        return 0;
}
