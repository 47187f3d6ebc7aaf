/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Failures on demand. What is linked with inject*.c asks these files for memory and
 * for the calls to the system that can fail, whoever in the process it is: the
 * program's own code, libcurl, libsystemd, OpenSSL, libc itself where it allocates.
 * They count, pass the call on to the next definition (libc's, a sanitizer's,
 * valgrind's), and let the one fail that the plan names: the n-th allocation, or
 * the n-th call with one of the errors that are plausible for it there.
 *
 *         inject_arm(&(struct inject_plan) { .what = INJECT_MEMORY, .n = 17 });
 *         r = the_operation();
 *         inject_disarm();
 *
 * Allocations inside json-c are left out and counted: it crashes, or drops keys
 * without a word, when one fails (test_json_c.c). Clocks that libsystemd reads are
 * left out, too: it ends the process with an assertion where one fails.
 *
 * The record may be a file (TORTURE_RECORD), and the plan come from the environment
 * (TORTURE_PLAN=memory,17 or call,17,2 and ",on" for all like it from there on): so
 * the whole program is tortured from outside, by test_program.py, which knows the
 * layout of the record. It is also told, where TORTURE_PLACES names a file for them,
 * from where in the program each comes, so as not to torture the same again and again.
 */

#include <stdbool.h>
#include <stdint.h>

enum inject_what {
        INJECT_NOTHING,         /* count only */
        INJECT_MEMORY,
        INJECT_CALL,
        INJECT_JSON_C,          /* the n-th of the allocations that are left out otherwise */
};

struct inject_plan {
        enum inject_what what;
        uint32_t n;             /* from 1 on */
        uint32_t error;         /* INJECT_CALL: which of its errors, from 0 on */
        bool on;                /* not this one alone: all like it (memory, or calls of that function) from here on */
};

#define INJECT_NAMES 64
#define INJECT_TRACE 65536

struct inject_record {
        uint32_t allocations, calls;    /* while armed, those left out not counted */
        uint32_t left_out;              /* allocations inside json-c */
        uint32_t injected;
        char failed[64];                /* the first: "calloc", "rename: No space left on device" */
        char names[INJECT_NAMES][24];   /* of functions, in the order of their first call */
        struct {
                uint8_t name, errors;   /* which function, and how many errors it could have failed with */
        } trace[INJECT_TRACE];          /* of the calls */
};

/* Two that come by the same way have the same numbers, in each process. */
struct inject_place {
        uint64_t library;               /* the way from where the program leaves its own code; 0: it does not */
        uint64_t program;               /* the way through its code */
};

struct inject_places {
        struct inject_place allocations[INJECT_TRACE], calls[INJECT_TRACE];
};

extern struct inject_record *inject_record;

/* Counts anew, and injects as planned until inject_disarm(). */
void inject_arm(const struct inject_plan *plan);
void inject_disarm(void);

/* Allocations that were made and not freed since the process began: equal before and after, or there is a leak. */
long inject_live(void);

/* ---- between the files ---- */

/* Whether this allocation is to fail. */
bool inject_memory(const char *function, const void *caller);
/* Whether libsystemd makes this call. */
bool inject_is_by_libsystemd(const void *caller);
/* The errno with which this call is to fail, of a list that ends with 0; 0: it is to be made. */
int inject_call(const char *function, const void *caller, const int *errors);

/* From now on all places go to this file. */
void inject_map_places(const char *path);
/* The n-th allocation or call comes from there. */
void inject_note_place(enum inject_what what, uint32_t n, const void *caller);

/* The definition of a function that comes after this program's own, in the order of its libraries. */
#define INJECT_NEXT(function)                                                                           \
        ({                                                                                              \
                static typeof(function) *next;                                                          \
                if (!next)                                                                              \
                        next = (typeof(function) *) dlsym(RTLD_NEXT, #function);                        \
                next;                                                                                   \
        })
