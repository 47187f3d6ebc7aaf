/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside of the watches: their life (kubernetes_watch.c), and what they tell (kubernetes_event.c). */

#include "source/kubernetes_call.h"

struct watch {
        struct kubernetes *kubernetes;  /* borrowed */
        struct listed *listed;          /* borrowed: what it keeps up to date */

        struct http_transfer *transfer; /* NULL: none under way */
        char *token;                    /* that it was begun with */
        struct text line;               /* whose end has not come yet */
        usec_t begun_at;
        usec_t heard_at;                /* the last event */
        bool answered;                  /* with 200 */
        bool too_old;                   /* an event said so */
        char told[RESOURCE_VERSION_SIZE];       /* of the last event of this transfer, or where it began */

        usec_t begin_at;                /* USEC_INFINITY: after the next list */
        unsigned failures;              /* in a row, without one that held */
        struct outcome problem;         /* VERDICT_DONE: none */

        bool changed, troubled, expired, lost;  /* still to be told: see kubernetes_wait() */
};

static inline usec_t watch_now(const struct watch *watch) {
        return waiter_now(watch->kubernetes->source.waiter);
}

/* Another problem than before, or none (VERDICT_DONE), is a change. */
void watch_set_problem(struct watch *watch, const struct outcome *problem);

/* Whether one resourceVersion is newer than another: by their numbers; true where either is none. */
bool watch_is_newer(const char *version, const char *than);

/* http_receiver of the stream: takes the events that are whole into the store. */
bool watch_receive(const char *data, size_t size, void *user);
