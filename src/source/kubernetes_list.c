/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Lists, page by page. The pages of one list are of one moment, which the first
 * tells as its resourceVersion; where the API server does not remember that
 * moment any more (410), the list begins anew. What was known stays until the
 * last page has come.
 *
 * Which version of ToolHive's API is served is found by asking: the one that
 * was served last, then the others, newest first. A resource that is in none of
 * them is not installed. Resources do not depend on each other: one that is
 * refused, or missing, costs the others nothing, and keeps what is known of it.
 */

#include <errno.h>
#include <string.h>

#include "source/kubernetes_call.h"

#define PAGE "500"
/* Full ones hold more than is taken; with smaller ones, which a server may choose, there is an end as well. */
#define PAGES_MAX 1000
/* A list that is too old before it ends is begun so many times. */
#define BEGINNINGS_MAX 3
#define CONTINUE_SIZE 4096

const char *const kubernetes_versions[] = { "v1beta1", "v1alpha1", NULL };

/* What a page says beside its objects. */
struct page {
        struct json_slice items;        /* without data: null */
        char resource_version[RESOURCE_VERSION_SIZE];
        char next[CONTINUE_SIZE];       /* "": the last one */
        char asked[CONTINUE_SIZE];      /* what the one before said, and this one was asked for with */
};

static int refuse(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return JSON_BAD;
}

static int read_page(const struct http_response *response, struct page *page, const char **ret_problem) {
        struct json_slice document, metadata, next;
        int r;

        r = json_scan(response->body, response->size, &document, ret_problem);
        if (r != 0)
                return r;
        if (json_type_of(document) != '{' || json_slice_member(document, "metadata", &metadata) != 0 ||
            json_type_of(metadata) != '{')
                return refuse("not a list of the API server", ret_problem);

        resource_version(metadata, page->resource_version);
        page->next[0] = '\0';
        r = json_slice_member(metadata, "continue", &next);
        if (r != JSON_ABSENT && (r != 0 || !json_slice_string(next, page->next, sizeof page->next)))
                return refuse("invalid \"continue\"", ret_problem);

        page->items = (struct json_slice) {};
        r = json_slice_member(document, "items", &page->items);
        if (r == JSON_ABSENT && page->items.data) {
                /* Go writes an empty list as null. */
                page->items = (struct json_slice) {};
                return 0;
        }
        return r == 0 && json_type_of(page->items) == '[' ? 0 : refuse("no \"items\"", ret_problem);
}

static int take_items(enum resource resource, struct json_slice items, const struct listing *listing) {
        struct json_slice key, item;
        size_t position = 0;
        int r = 0;

        while (r == 0 && items.data && json_slice_next(items, &position, &key, &item))
                r = listing->take(resource, item, listing->user);
        return r;
}

static int add_page_url(const struct kubernetes *kubernetes, const struct listed *listed, const char *version,
                        const struct listing *listing, const char *next, struct text *url) {
        char escaped[3 * CONTINUE_SIZE];

        text_clear(url);
        kubernetes_add_url(kubernetes, listed, version, url);
        text_add(url, "?limit=" PAGE);
        text_add(url, listing->query);
        if (next[0]) {
                (void) url_escape(next, escaped);
                text_addf(url, "&continue=%s", escaped);
        }
        return text_error(url);
}

/* One page: what it means, its objects taken. *page has what follows. */
static int get_page(struct kubernetes *kubernetes, struct listed *listed, const char *url,
                    struct listing *listing, struct page *page, enum answer *ret_answer,
                    struct outcome *outcome) {
        _cleanup_(http_response_done) struct http_response response = {};
        const char *problem;
        int r;

        r = kubernetes_get(kubernetes, url, &response);
        if (r < 0)
                return r;
        listing->size += response.size;
        *ret_answer = kubernetes_read_answer(kubernetes, &response, "list", listed, outcome);
        if (*ret_answer != ANSWER_EXPECTED)
                return 0;

        r = read_page(&response, page, &problem);
        if (r == 0) {
                r = take_items(listed->resource, page->items, listing);
                problem = "too many workloads";
        }
        if (r == JSON_BAD || r == -E2BIG) {
                kubernetes_unusable(outcome, problem);
                *ret_answer = ANSWER_OTHER;
                return 0;
        }
        return r;
}

/* All pages, from the first. ANSWER_GONE: they are to be begun anew. */
static int get_pages(struct kubernetes *kubernetes, struct listed *listed, const char *version,
                     struct listing *listing, enum answer *ret_answer, struct outcome *outcome) {
        _cleanup_(freep) struct page *page = calloc(1, sizeof *page);
        _cleanup_text_ struct text url = TEXT_INIT;
        int r;

        if (!page)
                return -ENOMEM;
        listing->begin(listing->user);
        for (unsigned n = 0; n < PAGES_MAX; n++) {
                memcpy(page->asked, page->next, sizeof page->asked);
                r = add_page_url(kubernetes, listed, version, listing, page->next, &url);
                if (r == 0)
                        r = get_page(kubernetes, listed, url.data, listing, page, ret_answer, outcome);
                if (r < 0 || *ret_answer != ANSWER_EXPECTED)
                        return r;
                if (n == 0)
                        memcpy(listing->resource_version, page->resource_version, sizeof page->resource_version);
                if (!page->next[0])
                        return 0;
                if (strcmp(page->next, page->asked) == 0)
                        break;
        }
        kubernetes_unusable(outcome, "a list without end");
        *ret_answer = ANSWER_OTHER;
        return 0;
}

static int get_version(struct kubernetes *kubernetes, struct listed *listed, const char *version,
                       struct listing *listing, enum answer *ret_answer, struct outcome *outcome) {
        int r = 0;

        *ret_answer = ANSWER_GONE;
        for (unsigned n = 0; n < BEGINNINGS_MAX && r == 0 && *ret_answer == ANSWER_GONE; n++)
                r = get_pages(kubernetes, listed, version, listing, ret_answer, outcome);
        return r;
}

int kubernetes_list_one(struct kubernetes *kubernetes, struct listed *listed, struct listing *listing,
                        enum answer *ret_answer, struct outcome *outcome) {
        const char *first = listed->version;
        int r = 0;

        *ret_answer = ANSWER_NOT_FOUND;
        if (first)
                r = get_version(kubernetes, listed, first, listing, ret_answer, outcome);
        for (size_t i = 0; kubernetes_versions[i] && r == 0 && *ret_answer == ANSWER_NOT_FOUND; i++) {
                if (kubernetes_versions[i] == first)
                        continue;
                listed->version = kubernetes_versions[i];
                r = get_version(kubernetes, listed, listed->version, listing, ret_answer, outcome);
        }
        if (r == 0 && *ret_answer == ANSWER_NOT_FOUND)
                listed->version = NULL;
        return r;
}

/* ---- into the stores ---- */

size_t kubernetes_n_elsewhere(const struct kubernetes *kubernetes, const struct listed *listed) {
        size_t n = 0;

        for (size_t i = 0; i < RESOURCES; i++)
                if (&kubernetes->listed[i] != listed)
                        n += kubernetes->listed[i].store.n_items;
        return n;
}

static void begin_store(void *user) {
        struct resource_store *store = user;
        size_t n_elsewhere = store->n_elsewhere;

        resource_store_clear(store);
        store->n_elsewhere = n_elsewhere;
}

static int take_into_store(enum resource resource, struct json_slice item, void *user) {
        struct resource_store *store = user;
        struct resource_object object;
        const char *problem;
        int r;

        r = resource_parse(resource, item, &object, &problem);
        if (r == JSON_BAD)
                return ++store->n_nameless > WORKLOADS_MAX ? -E2BIG : 0;
        return r < 0 ? r : resource_store_add(store, &object);
}

/* What is known of it is replaced, where it was had; or its refusal is kept. */
static int list_resource(struct kubernetes *kubernetes, struct listed *listed, struct call *call,
                         enum answer *ret_answer, struct outcome *outcome) {
        _cleanup_resource_store_ struct resource_store fresh = { .n_elsewhere = kubernetes_n_elsewhere(kubernetes, listed) };
        struct listing listing = { .begin = begin_store, .take = take_into_store, .user = &fresh, .query = "" };
        int r;

        r = kubernetes_list_one(kubernetes, listed, &listing, ret_answer, outcome);
        call->answer_size += listing.size;
        if (r < 0)
                return r;

        switch (*ret_answer) {
        case ANSWER_EXPECTED:
                resource_store_sort(&fresh);
                break;
        case ANSWER_NOT_FOUND:
                /* Not installed, or not any more. */
                resource_store_clear(&fresh);
                listing.resource_version[0] = '\0';
                break;
        case ANSWER_GONE:
        case ANSWER_OTHER:
        case ANSWER_FAILED:
                listed->refusal = *outcome;
                return 0;
        }

        resource_store_clear(&listed->store);
        listed->store = fresh;
        fresh = (struct resource_store) {};
        listed->known = true;
        listed->refusal = (struct outcome) { .verdict = VERDICT_DONE };
        memcpy(listed->resource_version, listing.resource_version, sizeof listing.resource_version);
        if (listed->version)
                watch_listed(listed->watch);
        else
                watch_stop(listed->watch);
        return 0;
}

/* What is wrong with several, as one: the first, with the others that are denied as it is. */
static void merge_refusal(struct outcome *merged, const struct outcome *refusal) {
        size_t size = strlen(merged->denied.resources);

        if (refusal->verdict == VERDICT_DONE)
                return;
        if (merged->verdict == VERDICT_DONE)
                *merged = *refusal;
        else if (merged->denied.verb && refusal->denied.verb && strcmp(merged->denied.verb, refusal->denied.verb) == 0)
                snprintf(merged->denied.resources + size, sizeof merged->denied.resources - size, ", %s",
                         refusal->denied.resources);
}

bool kubernetes_refusal(const struct kubernetes *kubernetes, struct outcome *ret_outcome) {
        struct outcome merged = { .verdict = VERDICT_DONE };

        for (size_t i = 0; i < RESOURCES; i++)
                merge_refusal(&merged, &kubernetes->listed[i].refusal);
        if (merged.verdict == VERDICT_DONE) {
                for (size_t i = 0; i < RESOURCES; i++)
                        merge_refusal(&merged, watch_problem(kubernetes->listed[i].watch));
                merged.of_watch = true;
        }
        if (merged.verdict == VERDICT_DONE)
                return false;
        *ret_outcome = merged;
        return true;
}

/* A server of another kind has none of the paths either, nor a version. */
static void not_installed(const struct kubernetes *kubernetes, struct outcome *outcome) {
        *outcome = (struct outcome) { .verdict = VERDICT_ANSWER, .status = 404, .retry_after = USEC_INFINITY };
        snprintf(outcome->error, sizeof outcome->error, RESOURCE_GROUP "%s",
                 kubernetes->source.version[0] ? " is not installed in the cluster"
                                               : " is not there, nor a version: this may be no API server");
}

int kubernetes_list(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome) {
        unsigned n_had = 0, n_refused = 0;
        enum answer answer;
        int r;

        call->answer_size = 0;
        for (size_t i = 0; i < RESOURCES; i++) {
                struct listed *listed = &kubernetes->listed[i];

                r = list_resource(kubernetes, listed, call, &answer, outcome);
                if (r < 0 || answer == ANSWER_FAILED)
                        return r;
                n_had += answer == ANSWER_EXPECTED;
                if (answer == ANSWER_EXPECTED || answer == ANSWER_NOT_FOUND)
                        continue;
                n_refused++;
                /* Who is not known at all need not ask for more. */
                if (outcome->status == 401)
                        return 0;
        }

        if (n_had > 0)
                *outcome = (struct outcome) { .verdict = VERDICT_DONE, .status = 200, .retry_after = USEC_INFINITY };
        else if (n_refused == 0)
                not_installed(kubernetes, outcome);
        else
                (void) kubernetes_refusal(kubernetes, outcome);
        return 0;
}
