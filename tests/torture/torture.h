/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Torture of one process: each operation is run again and again, each time with
 * another of its allocations or calls failing (inject.h), until all have, or, by
 * default, so many that were drawn by lot. After each run three things must hold:
 * nothing was lost (allocations and descriptors are as many as before), what the
 * operation says and what it left is no lie (judge), and the process is alive.
 *
 * Each operation runs in a process of its own; one that crashes or hangs is told
 * with its plan, and the next plan goes on in another process. To see one again:
 *
 *         test-torture --only "state file, written" --plan memory,17
 *
 * Under AddressSanitizer and valgrind the same binary proves the same by their
 * means; a leak that the counting finds is named there.
 */

#include "base/util.h"
#include "inject.h"

struct operation {
        const char *name;
        void (*begin)(void);            /* prepares; nothing fails yet */
        int (*act)(void);               /* 0, or what it fails with: without a failure injected it has to be 0 */
        void (*judge)(int r);           /* looks at what it left; nothing fails any more */
        void (*end)(void);              /* frees what begin and act left */
        unsigned dear;                  /* a run costs that much more than others: drawn less often; 0, 1: none */
};

extern const struct operation model_operations[], report_operations[], source_operations[],
        cluster_operations[], watch_operations[], service_operations[], command_operations[];

/* Whether this run had a failure injected by now. */
bool torture_injected(void);
/* Whether it is memory that fails. */
bool torture_starves(void);
/* Whether the plan is one that lasts: all calls or allocations like it fail from there on. */
bool torture_lasts(void);

/* Fails the run with these words; the run goes on. */
void torture_fail(const char *format, ...) _printf_(1, 2);
#define torture_expect(condition)                                                               \
        do {                                                                                    \
                if (!(condition))                                                               \
                        torture_fail("%s:%d: not so: %s", __FILE_NAME__, __LINE__, #condition); \
        } while (false)

/* A path in the folder of this process, which is empty when it begins; valid for the next four calls. */
const char *torture_path(const char *name);
/* Removes whatever files are in the folder, and in folders in it. */
void torture_clear(void);

/* From now on this stream (STDOUT_FILENO, STDERR_FILENO) goes to memory; torture_taken() ends that. */
void torture_take(int stream);
/* What came since, NUL-terminated, valid until the stream is taken again. */
const char *torture_taken(int stream);
