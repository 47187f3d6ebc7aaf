/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A ToolHive, or an API server of Kubernetes, that answers what the input says, one
 * part to each request, and then nothing any more; in place of base/http.c,
 * report/log.c and report/notify.c, whose functions are defined here, so that all
 * between them runs in this process, without a socket, at a speed that makes fuzzing
 * worth while. The first line of a part is the status, or the name of a failure:
 *
 *         200                     refused
 *         {"workloads":null}
 *
 * "503 7" has a Retry-After. The body of a stream is told in pieces. What is asked
 * is checked: that each URL is one, that bodies are JSON, and that what was
 * installed is not installed again.
 */

#include "base/http.h"
#include "fuzz.h"
#include "virtual.h"

struct answers {
        struct part *parts;             /* borrowed */
        size_t n, next;
        struct virtual_waiter *v;       /* its clock moves with each request */
        size_t requests;
        bool installed;                 /* a POST had its 2xx with an object */
        struct text logged;             /* all lines so far */
        bool exhausted, exiting;        /* the last two lines of a service that gives up */
        void (*on_status)(const char *status);  /* what systemd is told, or NULL */
};

extern struct answers answers;

void answers_begin(struct parts *parts, size_t first, struct virtual_waiter *v);
void answers_end(void);
