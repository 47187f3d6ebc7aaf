/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Where allocations and calls come from: see inject.h. A return address counts by how
 * far it is from where its file begins in memory, which is the same in each process.
 */

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject.h"

#define FRAMES 64

static struct inject_places *places;    /* NULL: nobody wants to know */
static const void *program;             /* where its file begins in memory */

static uint64_t mix(uint64_t hash, uint64_t word) {
        return (hash ^ word) * 0x100000001b3 ^ hash >> 29;
}

static struct inject_place place_of(const void *caller) {
        struct inject_place place = { .library = 1, .program = 1 };
        bool by_library = false, in_program = false;
        struct dl_find_object found;
        void *frames[FRAMES];
        int n, i = 0;

        n = backtrace(frames, FRAMES);
        while (i < n && frames[i] != caller)
                i++;
        for (; i < n; i++) {
                uint64_t offset;
                bool is_program;

                if (_dl_find_object(frames[i], &found) < 0)
                        continue;
                offset = (uint64_t) ((const char *) frames[i] - (const char *) found.dlfo_map_start);
                is_program = found.dlfo_map_start == program;
                if (!in_program)
                        place.library = mix(place.library, offset);
                if (is_program)
                        place.program = mix(place.program, offset);
                in_program |= is_program;
                by_library |= !in_program;
        }
        if (!by_library)
                place.library = 0;
        return place;
}

void inject_note_place(enum inject_what what, uint32_t n, const void *caller) {
        if (places && n <= INJECT_TRACE)
                (what == INJECT_CALL ? places->calls : places->allocations)[n - 1] = place_of(caller);
}

void inject_map_places(const char *path) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        struct dl_find_object found;
        void *memory = MAP_FAILED;

        if (fd >= 0 && ftruncate(fd, sizeof *places) == 0)
                memory = mmap(NULL, sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED || _dl_find_object((void *) inject_map_places, &found) < 0) {
                perror(path);
                abort();
        }
        close(fd);
        program = found.dlfo_map_start;
        places = memory;
}
