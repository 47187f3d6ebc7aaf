/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One candidate of a search, from its connected socket to the verdict: the proof
 * where one is asked for, then the identity check, all within one time limit.
 */

#include <sys/queue.h>

#include "source/tally.h"

struct candidate {
        TAILQ_ENTRY(candidate) entry;   /* of the search: those under way, the oldest first */
        enum step_kind kind;
        size_t rank;
        struct endpoint endpoint;
        const char *nonce;              /* still to be proven; NULL: nothing; borrowed */
        usec_t started_at, timeout;
        int fd;                         /* while it connects; -1 otherwise */
        struct http_transfer *transfer; /* while it is asked */
};

TAILQ_HEAD(candidate_list, candidate);

enum candidate_code {
        CANDIDATE_PASSED = 1,
        CANDIDATE_FAILED,               /* failure tells how */
        CANDIDATE_UNPROVEN,             /* the same, by an answer that proves nothing */
};

/* fd: a socket that is connecting, owned from now on; -1 for a Unix socket. NULL: no memory. */
struct candidate *candidate_new(const struct target *target, const struct step *step,
                                enum step_kind kind, size_t rank, int fd);
struct candidate *candidate_free(struct candidate *candidate);

/* Sends the first request; the connected socket goes to it. 0 or CANDIDATE_FAILED. */
int candidate_ask(struct candidate *candidate, struct http *http, usec_t now,
                  struct failure *ret_failure);

/* What has come of it: 0, still under way; or a code, with the version or the failure. */
int candidate_look(struct candidate *candidate, struct http *http, usec_t now,
                   char version[static VERSION_MAX], struct failure *ret_failure);

DEFINE_CLEANUP(struct candidate *, candidate_free)
