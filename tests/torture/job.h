/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between torture.c, which starts processes and sums up, and job.c, which is what runs in each. */

#include "torture.h"

/* One operation, or a part of its plans; in memory that parent and child share. */
struct job {
        const struct operation *operation;
        uint32_t part, parts;
        pid_t child;                    /* 0: none now */

        uint32_t position;              /* in the list of plans: where the next process goes on */
        bool counted;
        uint32_t places, left_out;      /* of a run without failures: allocations and calls; those in json-c */
        uint32_t runs, injected, failures;
        struct inject_plan plan;        /* of the run under way */
        char failed[64];                /* what failed in it, once it is over */
        usec_t spent, longest;
        struct inject_plan longest_plan;
};

/* A run's limit, in seconds; and so many failures of one operation are enough. */
#define PATIENCE 20
#define FAILURES_MAX 20

struct lot {
        bool all;                       /* every plan, else so many as are drawn */
        uint64_t seed;
        const struct inject_plan *one;  /* this one alone; or NULL */
};

/* Works the plans off from the position on, in this process. */
void job_run(struct job *job, const struct lot *lot);

/* The same line for a failure that the child finds and for one that is the child's end. */
void job_fail(struct job *job, const char *format, ...) _printf_(2, 3);
void job_print_plan(const struct inject_plan *plan);
