/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the candidates of a search that found nothing said, and what that comes to in one line. */

#include "source/step.h"

enum failure_kind {
        FAILURE_REFUSED,
        FAILURE_NO_ROUTE,               /* no such address family here, or no way there */
        FAILURE_CONNECTION,             /* any other connection failure */
        FAILURE_STRANGER,               /* it answered, and is not ToolHive */
};

struct failure {
        enum failure_kind kind;
        char words[ERROR_MAX];
};

/* A failure by errno of connect(2). */
void failure_from_errno(struct failure *failure, int error);
/* A candidate whose time was up, after that long. */
void failure_from_timeout(struct failure *failure, usec_t age);

struct tally {
        bool asked, refused;
        size_t first;                   /* the first candidate in order */
        size_t told_by;                 /* the first in order that said more than a refusal */
        struct failure told, no_route;  /* words "": none */
        size_t n_open;
        uint8_t open[(UINT16_MAX + 1) / 8];     /* ports that accepted a connection, one bit each */
};

void tally_asked(struct tally *tally, enum step_kind kind, size_t rank);
void tally_open(struct tally *tally, uint16_t port);
void tally_failed(struct tally *tally, enum step_kind kind, size_t rank,
                  const struct failure *failure);

/* Why nothing was found. elapsed: how long the search took, for one that had no time to ask. */
void tally_words(const struct tally *tally, usec_t elapsed, char error[static ERROR_MAX]);
