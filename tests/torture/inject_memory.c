/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The allocating functions of libc, in front of libc's or a sanitizer's own: see
 * inject.h. strdup() and strndup() are here whole, since a sanitizer has its own
 * of them, which do not come through malloc().
 */

#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "inject.h"

#define CALLER __builtin_return_address(0)

/*
 * Until this program's own constructor runs, memory comes from here and is never
 * given back: a sanitizer that is just setting itself up has none to give yet, and
 * asks for some, by way of dlsym(3).
 */
static char early[1 << 20] __attribute__((aligned(16)));
static size_t early_size;
static bool ready;

__attribute__((constructor(101))) static void begin(void) {
        void *frame;

        /* What it loads at its first use is loaded now: inject.c unwinds. */
        (void) backtrace(&frame, 1);
        ready = true;
}

static void *allocate_early(size_t size) {
        size_t *block = (size_t *) (void *) (early + early_size);

        if (size > sizeof early - early_size - 32)
                abort();
        early_size += 16 + (size + 15) / 16 * 16;
        *block = size;
        return memset((char *) block + 16, 0, size);
}

static bool is_early(const void *memory) {
        return (const char *) memory >= early && (const char *) memory < early + sizeof early;
}

static atomic_long live;

long inject_live(void) {
        return atomic_load(&live);
}

static void *count(void *memory) {
        if (memory)
                atomic_fetch_add(&live, 1);
        return memory;
}

static bool fails(const char *function, const void *caller) {
        if (!inject_memory(function, caller))
                return false;
        errno = ENOMEM;
        return true;
}

void *malloc(size_t size) {
        if (!ready)
                return allocate_early(size);
        return fails("malloc", CALLER) ? NULL : count(INJECT_NEXT(malloc)(size));
}

void *calloc(size_t n, size_t size) {
        if (!ready)
                return allocate_early(n * size);
        return fails("calloc", CALLER) ? NULL : count(INJECT_NEXT(calloc)(n, size));
}

static void *reallocate(void *memory, size_t size) {
        void *moved;

        if (!ready || is_early(memory)) {
                size_t old = memory ? ((size_t *) memory)[-2] : 0;

                moved = ready ? count(INJECT_NEXT(malloc)(size)) : allocate_early(size);
                return moved && old ? memcpy(moved, memory, old < size ? old : size) : moved;
        }

        moved = INJECT_NEXT(realloc)(memory, size);
        if (!memory)
                return count(moved);
        if (!moved && size == 0)
                atomic_fetch_sub(&live, 1);
        return moved;
}

void *realloc(void *memory, size_t size) {
        return fails("realloc", CALLER) ? NULL : reallocate(memory, size);
}

void *reallocarray(void *memory, size_t n, size_t size) {
        size_t bytes;

        if (fails("reallocarray", CALLER))
                return NULL;
        if (__builtin_mul_overflow(n, size, &bytes)) {
                errno = ENOMEM;
                return NULL;
        }
        return reallocate(memory, bytes);
}

void free(void *memory) {
        if (!memory || is_early(memory))
                return;
        atomic_fetch_sub(&live, 1);
        INJECT_NEXT(free)(memory);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size) {
        int r;

        if (inject_memory("posix_memalign", CALLER))
                return ENOMEM;
        r = INJECT_NEXT(posix_memalign)(ret_memory, alignment, size);
        if (r == 0)
                (void) count(*ret_memory);
        return r;
}

void *aligned_alloc(size_t alignment, size_t size) {
        return fails("aligned_alloc", CALLER) ? NULL : count(INJECT_NEXT(aligned_alloc)(alignment, size));
}

void *memalign(size_t alignment, size_t size) {
        return fails("memalign", CALLER) ? NULL : count(INJECT_NEXT(memalign)(alignment, size));
}

static char *duplicate(const char *string, size_t size) {
        char *copy = ready ? count(INJECT_NEXT(malloc)(size + 1)) : allocate_early(size + 1);

        if (copy) {
                memcpy(copy, string, size);
                copy[size] = '\0';
        }
        return copy;
}

char *strdup(const char *string) {
        return fails("strdup", CALLER) ? NULL : duplicate(string, strlen(string));
}

char *strndup(const char *string, size_t n) {
        return fails("strndup", CALLER) ? NULL : duplicate(string, strnlen(string, n));
}
