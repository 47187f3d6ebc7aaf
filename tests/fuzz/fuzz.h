/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What all fuzz targets share. A target is one file with LLVMFuzzerTestOneInput():
 * it gives the input to one entry point of the program and then says, with must(),
 * what has to be so whatever the input was. With -Dfuzz=true libFuzzer makes up
 * inputs; without it standalone.c runs those that are kept below corpus/, so that
 * each is a regression test everywhere.
 */

#include "base/text.h"
#include "base/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process where the condition does not hold, so that the input is kept. Not undone by NDEBUG. */
#define must(condition)                                                         \
        do {                                                                    \
                if (!(condition))                                               \
                        fuzz_fail(#condition, __FILE__, __LINE__);              \
        } while (false)

_Noreturn void fuzz_fail(const char *condition, const char *file, int line);

/*
 * Inputs of several texts stay readable as files: a line with a single % parts
 * them. Each part is an allocation of its own, with a NUL behind it, so that
 * AddressSanitizer sees who reads too far. What is beyond PARTS_MAX stays in the last.
 */
enum { PARTS_MAX = 32 };

struct part {
        char *data;
        size_t size;
};

struct parts {
        struct part parts[PARTS_MAX];
        size_t n;                       /* at least 1 */
};

void parts_split(struct parts *parts, const uint8_t *data, size_t size);
void parts_done(struct parts *parts);

/* The lines of a part, in place: NUL-terminated, at most max of them, a NULL behind the last. Returns how many. */
size_t part_lines(struct part *part, char **lines, size_t max);

#define _cleanup_parts_ _cleanup_(parts_done)

/*
 * A text that people see: UTF-8 by the grammar of RFC 3629 (checked here without
 * the program's own decoder) and no dangerous character; LINES: but line breaks.
 */
enum harmless { ONE_LINE, LINES };
bool is_harmless(const char *string, size_t size, enum harmless lines);
void must_be_harmless(const struct text *text, enum harmless lines);

/* One JSON value that also json-c takes, each key once. */
void must_be_json(const char *string, size_t size);

/* Every line takes so many columns at most. */
void must_fit(const struct text *text, size_t columns);

/* Whether some bytes are in others. */
bool holds(const char *string, size_t size, const char *part, size_t part_size);

/* How often they are, up to two. */
unsigned count_of(const uint8_t *data, size_t size, const char *part, size_t part_size);

/*
 * How many bytes were allocated at a time, at most, since memory_begin(); 0
 * without AddressSanitizer, which alone can tell.
 */
void memory_begin(void);
size_t memory_peak(void);
