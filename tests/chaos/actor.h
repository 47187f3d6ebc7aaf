/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One life of the real worker in the script's world: on the script's clock, with a
 * source that answers as the world of the moment says. Everything that can be seen
 * from outside goes into the trace: calls, searches and checks as they begin, log
 * lines, and at each wait what the state file and STATUS say, when that is another.
 *
 * What no line can say is judged here: pings, READY, the number of wake-ups.
 */

#include "script.h"
#include "trace.h"

struct figures {
        unsigned lives, clusters, exhausted;
        uint64_t calls, searches, checks, changes, wakeups, lines;
        usec_t lived;
};

/* Folder, socket, log; once. The folder is removed at the exit. */
void actor_init(void);
/* Before another script: no earlier life is known. */
void actor_forget(void);
/* From `begin` on, with a stop at the end of the life; returns when it was over. */
usec_t actor_play(const struct script *script, const struct life *life, usec_t begin, struct trace *trace,
                  struct figures *figures);
