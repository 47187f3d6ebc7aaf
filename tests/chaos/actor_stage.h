/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside of the actor: the stage on which a life is played, and the two sources
 * that the worker may find there.
 *
 *         actor.c                the waiter, a life from its beginning to its end
 *         actor_toolhive.c       ToolHive, where it is and as it answers in the script
 *         actor_cluster.c        the API server of a cluster, with its watches
 */

#include "actor.h"
#include "service/worker.h"

struct stage {
        struct waiter waiter;
        struct source source;
        struct chaos_clock clock;
        const struct script *script;
        const struct life *life;
        struct trace *trace;
        struct figures *figures;
        struct worker worker;
        uint64_t requests;
        unsigned in_place;              /* calls of ours since time has passed */
        usec_t hung;                    /* in all */
        bool busy;                      /* in the source */

        /* of a cluster */
        bool watching;                  /* a list was had, and nothing has ended its watches */
        const struct reply *refusal;    /* what was wrong with the last list; NULL: nothing */
        const char *missing;            /* of the last list */
};

extern struct stage stage;

extern const struct source_ops stage_toolhive, stage_cluster;

/* The source is asked something: into the trace it goes, and the world of the moment is what answers. */
const struct world *stage_begin(const char *what, const char *arguments);
/* That takes so long. 0 or -ECANCELED. */
int stage_pass(usec_t usec, bool hangs);
/* The outcome of a call as the reply has it; there: somebody is, who gives it. */
void stage_conclude(const struct world *world, const struct reply *reply, bool there, struct outcome *ret_outcome);
uint64_t stage_requests(const struct source *source);
struct source *stage_free(struct source *source);
/* Whatever the worker did until now, it did now. */
void stage_witness(void);
