/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The steps of a search: what each asks, in which order, and which of its answers
 * is taken when. Rules only: no clock is read here and no socket touched.
 */

#include "source/identity.h"
#include "source/locate.h"
#include "source/scan.h"

#define STEP_STAGGER (250 * USEC_PER_MSEC)      /* after that long the next step starts as well */
#define STEP_TAKE_AFTER (250 * USEC_PER_MSEC)   /* from the first pass: lower ports had time */
#define STEP_LINGER (25 * USEC_PER_MSEC)        /* from the first pass: for others to be told of */

#define ADDRESSES_MAX 4
#define STEP_FIXED_MAX 2
#define PASSES_MAX (LOCATE_OTHERS_MAX + 1)

/* In the order in which they are asked and their answers taken. */
enum step_kind {
        STEP_CONFIGURED,
        STEP_FILE,
        STEP_LAST,
        STEP_RANGE,
        STEP_USUAL,                     /* where a plain `thv serve` listens */
        STEPS,
};

/* The addresses of TOOLHIVE_HOST, IPv4 first, as literals and without a port. */
struct addresses {
        struct http_address literals[ADDRESSES_MAX];
        union scan_address sockets[ADDRESSES_MAX];
        size_t n;
};

/* One place to ask. */
struct target {
        union scan_address socket;      /* AF_UNSPEC for a Unix socket */
        const struct endpoint *fixed;   /* or NULL, and literal and port tell the endpoint */
        const char *literal;
        uint16_t port;                  /* 0 for a Unix socket */
};

/* A target that has passed the identity check. rank is its place within the step. */
struct pass {
        size_t rank;
        struct endpoint endpoint;
        char version[VERSION_MAX];
};

/*
 * A step asks its fixed endpoints, then each of its ports on each address of the
 * host: targets by rank, made when they are asked for, since a range may have
 * 129,024 of them.
 */
struct step {
        struct endpoint fixed[STEP_FIXED_MAX];
        size_t n_fixed;
        uint16_t first_port, last_port; /* 0: none */
        const char *nonce;              /* what has to be proven before identity; NULL: nothing */

        bool started, unproven;         /* unproven: somebody there did not know the nonce */
        usec_t started_at;
        size_t next;                    /* rank of the next target to be asked */
        size_t n_active;                /* targets under way */

        struct pass passes[PASSES_MAX]; /* the lowest, by rank, one for each port */
        size_t n_passes;
        usec_t first_pass_at;
};

/* How many targets the step has, those included that an earlier step has asked. */
size_t step_size(const struct step *step, const struct addresses *addresses);

void step_target(const struct step *step, const struct addresses *addresses, size_t rank,
                 struct target *ret_target);
void target_endpoint(const struct target *target, struct endpoint *ret_endpoint);

/* Whether a step before this one asks the same place, for the same thing. */
bool step_asked_before(const struct step *steps, enum step_kind kind,
                       const struct addresses *addresses, const struct target *target);

/* Whether targets are left to ask or under way. A step that has not started is open. */
bool step_is_open(const struct step *step, const struct addresses *addresses);

void step_add_pass(struct step *step, const struct pass *pass, usec_t now);

/*
 * When the lowest pass may be taken; USEC_INFINITY where there is none.
 * lowest_active: the lowest rank under way, SIZE_MAX for none.
 */
usec_t step_take_at(const struct step *step, enum step_kind kind, const struct addresses *addresses,
                    size_t lowest_active);
