/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One API operation through its attempts: run it, tell an answer from an outage,
 * look for the API again, wait, try again, give up. Everything that asks the API
 * for something comes through operation_run(), the polls and the commands alike.
 * The outage belongs to the struct and not to the call: it outlives a call that
 * ends with an answer, and only a completed operation ends it.
 *
 * The messages are the interface that the specification's section 3 fixes.
 */

#include "model/snapshot.h"
#include "service/retry.h"
#include "source/source.h"

struct operations {
        struct source *source;          /* borrowed, like the two below */
        struct waiter *waiter;
        struct snapshot *snapshot;      /* connection and counters are kept up to date */
        struct retry retry;

        double (*random)(void *user);   /* uniform in [0, 1): the jitter; tests set their own */
        void (*changed)(void *user);    /* the connection is another now: publish the snapshot */
        void *user;

        usec_t attempt_at;              /* when the last attempt began */
        usec_t outage_since;            /* of the first failed attempt */
        usec_t file_wake_at;            /* no wake by the file before: at most one a second */
        usec_t connection_wake_at;      /* and likewise by the connection, … */
        usec_t connection_wake_interval;        /* … which doubles until the next attempt, that ends both */
        usec_t reloaded_at;             /* a reload cut a wait short: the owner polls, and sets it to 0 */
        struct found last_several;      /* the several ToolHives told last, not to be told again */
};

void operations_init(struct operations *operations, const struct settings *settings,
                     struct source *source, struct snapshot *snapshot);

enum operation_code {
        OPERATION_ANSWER = 1,           /* ToolHive lives and answers something else: see the outcome */
        OPERATION_EXHAUSTED,            /* given up, and said so at CRITICAL */
};

/* 0 and the results in the call; a code; -ECANCELED on a stop. The outcome is that of the last attempt. */
int operation_run(struct operations *operations, struct call *call, struct outcome *ret_outcome);

/*
 * Waits until the deadline, woken by a reload and by what the source watches
 * (mask: WAIT_FILE, WAIT_CONNECTION), by each at most once a second, by the
 * connection less and less often until the next attempt.
 * Returns the events, 0 at the deadline, -ECANCELED on a stop.
 */
int operations_wait(struct operations *operations, usec_t deadline, unsigned mask);

/* Sets the connection's state, and since when it is so. */
void operations_set_state(struct operations *operations, enum connection_state state);
