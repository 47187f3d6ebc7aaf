/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside of the Kubernetes source: what its parts share.
 *
 *         kubernetes.c           the source: what it is asked, in which order
 *         kubernetes_call.c      one request: address, token, what its answer means
 *         kubernetes_list.c      a list of a resource, page by page
 *         kubernetes_watch.c     what changes after the list: the watches
 *         kubernetes_event.c     … and what they tell
 *         kubernetes_details.c   one object, for people
 */

#include "base/http.h"
#include "base/text.h"
#include "source/kubernetes.h"
#include "source/resource_store.h"

/* The same for each of the three resources: what is known of it, and how. */
struct listed {
        enum resource resource;
        const char *version;            /* of the API, that last served it: "v1beta1"; NULL: none did */
        bool known;                     /* the store holds a list that was had by this process */
        struct resource_store store;
        char resource_version[RESOURCE_VERSION_SIZE];   /* up to which the store is right */
        struct outcome refusal;         /* VERDICT_ANSWER: why the last list was not had; else VERDICT_DONE */
        struct watch *watch;
};

struct kubernetes {
        struct source source;           /* first: the public part */
        const struct settings *settings;
        struct http *http;
        const char *token_file;         /* NULL: none is sent */
        const char *namespace;          /* NULL: all of them */
        struct listed listed[RESOURCES];
        bool greeted;                   /* somebody answered since the last connection failure */
        usec_t told_at;                 /* when changes were last handed out, and … */
        usec_t quiet_until;             /* … until when no more are, so that telling them leaves time for others */
};

static inline struct kubernetes *kubernetes_of(struct source *source) {
        return (struct kubernetes *) source;
}

/* ---- one request ---- */

/* What an answer means; the words of all but ANSWER_EXPECTED are in the outcome. */
enum answer {
        ANSWER_EXPECTED,                /* 200 */
        ANSWER_NOT_FOUND,               /* 404: no such resource, version or object */
        ANSWER_GONE,                    /* 410: too old to go on from */
        ANSWER_OTHER,                   /* VERDICT_ANSWER: 401 and 403 with it */
        ANSWER_FAILED,                  /* VERDICT_FAILED */
};

/* verb, resource: what the account may not do where it is denied. The outcome is filled whole. */
enum answer kubernetes_read_answer(const struct kubernetes *kubernetes, const struct http_response *response,
                                   const char *verb, const struct listed *listed, struct outcome *ret_outcome);

/* A 200 whose body is not what was asked for. */
void kubernetes_unusable(struct outcome *outcome, const char *problem);

/*
 * Appends the URL of a list or a watch: of the resource in that version of the API,
 * in the namespaces asked for.
 */
void kubernetes_add_url(const struct kubernetes *kubernetes, const struct listed *listed, const char *version,
                        struct text *text);

/*
 * GET, with the token as it is now; once more where that one is not accepted and
 * the file has another by then. 0 and the response, -ECANCELED or -ENOMEM.
 */
int kubernetes_get(struct kubernetes *kubernetes, const char *url, struct http_response *ret_response);

/* The token that the file has now; NULL where none is to be sent. 0, or negative errno. */
int kubernetes_read_token(const struct kubernetes *kubernetes, char **ret_token);

/* ---- lists ---- */

/* The versions of the API, newest first, NULL-terminated. */
extern const char *const kubernetes_versions[];

/*
 * Lists all resources anew. VERDICT_DONE: at least one was had, the others' refusal
 * is in their place. Otherwise the outcome says why none was. 0 or a negative errno.
 */
int kubernetes_list(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome);

/* How many objects the other resources' stores hold: all of them share one limit, as the state file has one. */
size_t kubernetes_n_elsewhere(const struct kubernetes *kubernetes, const struct listed *listed);

/* What is wrong with lists, or else with watches: true and the words. source_ops.problem. */
bool kubernetes_refusal(const struct kubernetes *kubernetes, struct outcome *ret_outcome);

/* Called for each object of a list, which may be kept in no way. 0, or what ends the list. */
typedef int (*kubernetes_taker)(enum resource resource, struct json_slice object, void *user);

/*
 * One resource, in the first version that is served; query is appended to each
 * URL ("&fieldSelector=…"). begin is called before the first object, and again
 * where a list has to begin anew. ANSWER_NOT_FOUND: in no version.
 */
struct listing {
        void (*begin)(void *user);
        kubernetes_taker take;
        void *user;
        const char *query;
        char resource_version[RESOURCE_VERSION_SIZE];   /* filled: of the list */
        size_t size;                    /* likewise: bytes of its pages */
};
int kubernetes_list_one(struct kubernetes *kubernetes, struct listed *listed, struct listing *listing,
                        enum answer *ret_answer, struct outcome *outcome);

/* ---- watches ---- */

int watch_new(struct kubernetes *kubernetes, struct listed *listed, struct watch **ret_watch);
struct watch *watch_free(struct watch *watch);

/*
 * The store was listed anew as of listed->resource_version: the watch goes on from
 * there, begins there, or, where it was told of later changes that the list
 * cannot have, begins again.
 */
void watch_listed(struct watch *watch);
/* Ends it until the next list, */
void watch_stop(struct watch *watch);
/* … which is wanted: told by watch_take_expiry(). */
void watch_expire(struct watch *watch);

/* What is wrong with it: VERDICT_ANSWER and the words; VERDICT_DONE while all is well. */
const struct outcome *watch_problem(const struct watch *watch);

/* source_ops.wait: drives the watches meanwhile. */
int kubernetes_wait(struct source *source, usec_t deadline, unsigned mask);
/* Since the last call: whether a store, or a watch's problem, is another; whether a list is wanted. */
bool watch_take_change(struct watch *watch);
bool watch_take_expiry(struct watch *watch);

/* ---- details ---- */

/* The workload of call->name, "NAME" or "NAMESPACE/NAME", in the shape of ToolHive's details. */
int kubernetes_details(struct kubernetes *kubernetes, struct call *call, struct outcome *outcome);

DEFINE_CLEANUP(struct watch *, watch_free)
