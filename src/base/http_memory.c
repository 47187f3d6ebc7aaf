/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libcurl's memory, watched: libcurl says OUT_OF_MEMORY for a header line of more
 * than 100 KiB, too. Which it was is known by whether anything was refused.
 *
 * From any thread: libcurl's resolver allocates in its own.
 */

#include <stdatomic.h>

#include "base/http_transfer.h"

static atomic_uint refusals;

static void *watch(void *memory) {
        if (!memory)
                atomic_fetch_add(&refusals, 1);
        return memory;
}

static void *watched_malloc(size_t size) {
        return watch(malloc(size));
}

static void *watched_realloc(void *memory, size_t size) {
        return watch(realloc(memory, size));
}

static void *watched_calloc(size_t n, size_t size) {
        return watch(calloc(n, size));
}

static char *watched_strdup(const char *string) {
        return watch(strdup(string));
}

CURLcode http_memory_init(void) {
        return curl_global_init_mem(CURL_GLOBAL_DEFAULT, watched_malloc, free, watched_realloc, watched_strdup,
                                    watched_calloc);
}

unsigned http_memory_refusals(void) {
        return atomic_load(&refusals);
}
