/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One search: the engine that plays the steps. locate.c fills the plan, runs it
 * once and reads what came of it.
 */

#include "source/candidate.h"

struct search {
        /* The plan. */
        struct http *http;              /* borrowed */
        struct waiter *waiter;          /* borrowed */
        usec_t timeout;                 /* of a candidate */
        usec_t started_at, deadline;
        struct addresses addresses;
        struct step steps[STEPS];

        /* The state. */
        struct scan *scan;
        size_t n_started;               /* steps */
        struct candidate_list active;   /* the oldest first */
        size_t room;                    /* how many candidates of the range may be active */
        size_t n_transfers;             /* requests so far */
        struct tally tally;
};

/* Prepares the state, zeroed so far; done frees what it owns. 0 or negative errno. */
int search_init(struct search *search);
void search_done(struct search *search);

/* 0 and the step whose first pass is the answer; LOCATE_NOTHING; -ECANCELED or another errno. */
int search_run(struct search *search, const struct step **ret_step);
