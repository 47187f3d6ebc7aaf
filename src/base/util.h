/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The few words that every module uses: the time type, cleanup attributes, and
 * the steal idiom. Errors are 0, a negative errno that is forwarded as it is, or
 * a positive code that the header of the module names.
 */

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every time in the program: microseconds. */
typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_SEC ((usec_t) 1000000)
#define USEC_PER_MSEC ((usec_t) 1000)

/* The length that an error text for people is cut to, its NUL included. */
#define ERROR_MAX 256

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _printf_(position, first) __attribute__((format(printf, position, first)))
#define _unused_ __attribute__((unused))

/* Hands a resource over: the value, and NULL (or -1) where it was. */
#define STEAL(pointer)                            \
        ({                                        \
                typeof(pointer) _p = (pointer);   \
                (pointer) = NULL;                 \
                _p;                               \
        })
#define STEAL_FD(fd)             \
        ({                       \
                int _f = (fd);   \
                (fd) = -1;       \
                _f;              \
        })

/* NAME##p for a destructor that takes NULL, to be used with _cleanup_. */
#define DEFINE_CLEANUP(type, destructor)                                                                \
        static inline void destructor##p(type *p) { /* NOLINT(bugprone-macro-parentheses): a type */   \
                if (*p)                                                                                 \
                        (void) destructor(*p);                                                          \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

/* Unlike strerror(3) safe in any thread, and in no language but one: people grep for the words. */
static inline const char *errno_words(int error) {
        return strerrordesc_np(error) ?: "Unknown error";
}

static inline usec_t usec_min(usec_t a, usec_t b) {
        return a < b ? a : b;
}

static inline usec_t usec_max(usec_t a, usec_t b) {
        return a > b ? a : b;
}

/* a + b, where infinity absorbs. */
static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* a - b, never below zero. */
static inline usec_t usec_sub(usec_t a, usec_t b) {
        return a > b ? a - b : 0;
}
