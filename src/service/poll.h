/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two polls: when each is due, and what its answer changes in the snapshot.
 * Intervals run from start to start; a poll that was held up runs once and then
 * goes on in step, it never catches up.
 */

#include "service/operation.h"

/* After an answer that is not the expected one, and where no interval is shorter. */
#define POLL_RETRY_MAX (60 * USEC_PER_SEC)

struct poll {
        enum call_kind kind;            /* CALL_LIST_WORKLOADS or CALL_REGISTRY */
        usec_t interval;                /* 0: until it has completed once */
        usec_t began;                   /* when its last attempt began */
        usec_t due;                     /* CLOCK_BOOTTIME; USEC_INFINITY: never again */
        struct poll_report *report;     /* in the snapshot */
        bool large, was_large;          /* memory of this answer, or of the one before, is worth giving back */
        enum call_kind problem_kind;    /* whose answer the report's problem is about, while there is one */
        unsigned denials;               /* in a row, by an account that lacks a right */
        char missing[CALL_LIST_MAX];    /* what was last told not to be installed */
};

/*
 * Runs the poll through the retry loop, takes over its results, logs what is
 * different, and sets when it is due again. *ret_news tells whether workloads or
 * registry differ from before. 0; OPERATION_EXHAUSTED; -ECANCELED, or another
 * negative errno.
 */
int poll_run(struct poll *poll, struct operations *operations, const struct settings *settings,
             bool *ret_news);

/*
 * After a WAIT_CHANGE: the same for what the source has seen by itself, without
 * asking anybody; or the poll is due now, where a list is wanted. 0 or a negative
 * errno.
 */
int poll_take_changes(struct poll *poll, struct operations *operations, const struct settings *settings,
                      bool *ret_news);

/*
 * What a list that came may still lack. Of ToolHive, the details of the running
 * workloads whose entries lack their URL are asked for (but for remote ones, whose
 * details do not have it), and the list is completed in place; what is not to be had
 * now keeps the URL that the snapshot knows. Of Kubernetes, a part may have been
 * refused. 0; OPERATION_ANSWER with the first such outcome, and what was asked,
 * which costs the others nothing; OPERATION_EXHAUSTED; negative errno.
 */
int poll_complete_list(struct operations *operations, struct workload_list *list, enum call_kind *ret_kind,
                       struct outcome *ret_outcome);

/* When the poll is due after one that began at `began` and is over now: pure. */
usec_t poll_next_due(usec_t began, usec_t now, usec_t interval);

/* How long to wait after an answer that is not the expected one: pure. retry_after: USEC_INFINITY for none. */
usec_t poll_retry_delay(usec_t interval, usec_t retry_after, usec_t initial_backoff);
