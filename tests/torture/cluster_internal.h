/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between cluster.c, which asks, and cluster_watch.c, which waits. */

#include "cluster.h"
#include "torture.h"

extern struct source *source;
extern struct call call;                /* what is asked, and what came of it last */
extern struct outcome outcome;

/* The server anew, and a source on it, on the real clock; a call for the list. */
void cluster_begin(void);
void cluster_end(void);
/* The same on a clock of the caller's; cluster_end() without a clock. */
void cluster_begin_on(struct waiter *clock);
void cluster_close(void);

/* From now on another token is known, which is in the file before the answer to the first comes. */
void cluster_replace_token(void);
/* The same call anew, when nothing is in its way: it has to be answered. */
void cluster_ask_again(void);
/* Whether a list has all, with so much of the story. */
bool cluster_is_whole(const struct workload_list *list, unsigned told);
