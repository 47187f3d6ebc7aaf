/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The interface that both backends fill: what the API is called, one call of it,
 * and, where the address can change, finding it. A call is one request or a few
 * that belong together; it never waits and never retries: service/operation.h
 * does that. A source belongs to the worker's thread.
 */

#include "base/waiter.h"
#include "model/registry.h"
#include "model/registry_entry.h"
#include "model/workload.h"
#include "source/locate.h"

enum call_kind {
        CALL_VERSION,
        CALL_LIST_WORKLOADS,
        CALL_WORKLOAD_DETAILS,
        CALL_REGISTRY,
        CALL_REGISTRY_ENTRY,
        CALL_INSTALL,
        CALL_WATCH_WORKLOADS,           /* not to be asked for: what a problem is about */
        CALL_KINDS,
};

/* "get version", "list workloads", … as messages name it. */
const char *call_kind_name(enum call_kind kind);

enum install_result {
        INSTALL_CREATED,
        INSTALL_EXISTS,                 /* somebody else's: nothing was sent, or 409 */
        INSTALL_REFUSED,                /* a 4xx: message has ToolHive's words */
};

#define CALL_NAME_MAX 320               /* bytes of a name, in Kubernetes with its namespace: who makes a call sees to it */
#define CALL_LIST_MAX 128               /* bytes of the names of all of Kubernetes' resources */

/* One API operation: what is asked, and what came of it. The caller ends with call_done(). */
struct call {
        enum call_kind kind;
        const char *name;               /* of the workload or the registry entry; borrowed */
        const char *body;               /* CALL_INSTALL: the JSON document to send; borrowed */
        const struct workload_filter *filter;   /* CALL_LIST_WORKLOADS; borrowed, may be NULL */
        const struct workload_list *known;      /* likewise: what stands for a part that cannot be had now */

        bool secondary;                 /* not what the service lives by: a ToolHive that passes the identity check
                                         * and is too slow for this, or breaks off, is alive all the same */

        bool want_catalog;              /* CALL_REGISTRY: its entries, not only their names */

        bool found;                     /* details, entry: false is a 404 */
        char *several;                  /* details: not found, since several have the name: "a/x, b/x" */
        char missing[CALL_LIST_MAX];    /* list: Kubernetes' resources that are not installed: "mcpremoteproxies" */
        struct workload_list *workloads;
        struct registry *registry;      /* NULL where the catalog was wanted */
        struct registry_catalog *catalog;
        struct json_object *document;   /* details, entry: as answered */
        enum install_result install;
        int install_port;               /* of the workload, old or new; 0 when not told */
        char *message;
        size_t answer_size;             /* bytes of the body, or of all bodies of a list in pages */

        /* CALL_INSTALL, kept from attempt to attempt: installing is not idempotent. */
        bool install_sent;              /* it may have arrived, and no answer settles it */
};

void call_done(struct call *call);

/* What one attempt at a call came to. source/verdict.h decides. */
enum verdict {
        VERDICT_DONE,                   /* the expected answer: results are in the call */
        VERDICT_ANSWER,                 /* another answer, and who gave it passes the identity check */
        VERDICT_FAILED,                 /* a connection failure */
};

struct outcome {
        enum verdict verdict;
        int status;                     /* HTTP's, 0 when none came */
        bool runtime_away;              /* /health says so: 503 */
        bool of_watch;                  /* the list is good, and what follows it is not to be had */
        struct {
                const char *verb;       /* what the account may not do in Kubernetes: "list"; NULL: nothing of the kind */
                char resources[CALL_LIST_MAX];  /* "mcpservers, virtualmcpservers" */
                char scope[80];         /* "all namespaces", "namespace tools" */
                const char *remedy;     /* what helps, and names a file of conf/kubernetes or a setting */
        } denied;
        usec_t retry_after;             /* from now; USEC_INFINITY: nothing said */
        char error[ERROR_MAX];
};

/* What a search changed. Positive, so that negative errno can be returned beside it. */
enum find_code {
        FIND_NOTHING = 1,               /* the words are in error */
        FIND_SAME,                      /* at the endpoint known before */
        FIND_OTHER,                     /* moved: source->endpoint is the new one */
        FIND_FIRST,                     /* nothing was known before */
};

struct source;

/* What source_ops.changes came to. */
enum changes_code {
        CHANGES_TAKEN,
        CHANGES_EXPIRED,                /* what is known is too old to go on from: a list is wanted */
};

struct source_ops {
        const char *name;               /* "ToolHive", "Kubernetes API": messages begin with it */
        /*
         * One attempt at a known source; where there is no find, at any, which an
         * answer makes known. 0 and the outcome, or -ECANCELED.
         */
        int (*perform)(struct source *source, struct call *call, struct outcome *ret_outcome);
        /*
         * Looks for the API and makes what it found the known endpoint. A code of
         * enum find_code with *ret_found filled (but for FIND_NOTHING), or -ECANCELED.
         * NULL: there is nothing to look for.
         */
        int (*find)(struct source *source, struct found *ret_found, char error[static ERROR_MAX]);
        /* The identity check of the known endpoint: 0, a positive code, -ECANCELED. */
        int (*check)(struct source *source);
        /*
         * waiter_until(), woken by what the source sees to meanwhile: WAIT_FILE and
         * WAIT_CONNECTION, and WAIT_CHANGE after which changes has something. A stop
         * is WAIT_STOP or -ECANCELED.
         */
        int (*wait)(struct source *source, usec_t deadline, unsigned mask);
        /* Reads what the watch has to tell: whether the discovery file really changed since the last time. NULL: never. */
        bool (*file_changed)(struct source *source);
        /*
         * After a WAIT_CHANGE, without asking anybody: the workloads as they are now,
         * into a CALL_LIST_WORKLOADS. An enum changes_code, or negative errno.
         * NULL: the source sees nothing by itself.
         */
        int (*changes)(struct source *source, struct call *call);
        /* What is wrong beside the last completed list: true and a VERDICT_ANSWER. NULL: nothing ever. */
        bool (*problem)(struct source *source, struct outcome *ret_outcome);
        struct source *(*free)(struct source *source);
};

struct source {
        const struct source_ops *ops;
        struct waiter *waiter;          /* borrowed */
        bool can_move;                  /* whether a failed call is followed by a search */
        bool details_tell_urls;         /* whether details may have the URL that an entry of the list lacks */
        bool known;                     /* endpoint has passed the identity check in this process */
        struct endpoint endpoint;       /* the known one, or the one that worked last for an earlier process */
        char version[VERSION_MAX];
        uint64_t scans;                 /* searches that reached the range */
        uint64_t (*requests)(const struct source *source);
};

/* How a worker or a command makes its source: source_new(), or what a test puts there. */
typedef int (*source_maker)(const struct settings *settings, struct waiter *waiter, const char *last,
                            struct source **ret_source);

/* The one that the runtime mode asks for: see toolhive_new(), kubernetes_new(). */
int source_new(const struct settings *settings, struct waiter *waiter, const char *last,
               struct source **ret_source);

static inline struct source *source_free(struct source *source) {
        return source ? source->ops->free(source) : NULL;
}

DEFINE_CLEANUP(struct source *, source_free)
