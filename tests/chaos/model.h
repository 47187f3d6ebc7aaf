/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The specification as a program: sections 2, 3 and 5 to 8, for a ToolHive that may
 * move, for one whose address is pinned, and for a cluster. It lives through the same
 * script as the worker and says, line by line, what the worker must have done; it
 * knows nothing of the worker's code and calls none.
 *
 * Where the specification leaves something open, what is written in a header holds:
 * how much less often a connection that closes all the time wakes (operation.h), what
 * a source sees by itself (source.h) and what becomes of it (poll.h), and which of two
 * things is done first that fell due at once (workloads).
 */

#include "script.h"
#include "trace.h"

/* What outlives a life, through the state file. */
struct memory {
        bool any, cluster;              /* whose file it is */
        bool workloads, registry;       /* known at all */
        struct thing things[CHAOS_NAMES];       /* url as in the worker: 0 unknown, URL_DETAILS from the details */
        unsigned servers, updated;
        usec_t workloads_polled, registry_polled;
        uint16_t port;                  /* 0: none */
};

/* Compares the life in the trace with what it should have been; does not return when they differ. */
void model_live(const struct script *script, const struct life *life, usec_t begin, struct memory *memory,
                struct trace *trace, struct chaos_clock *clock);
