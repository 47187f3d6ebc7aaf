/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who wrote --toolhive-prot meant something. The distance between two spellings
 * is the optimal string alignment distance: the fewest letters put in, left out,
 * changed, or exchanged with their neighbour, which is how fingers err.
 *
 * Letters are bytes: a word in UTF-8 seems further away from another than it is,
 * and is then not suggested. Candidates may come from outside, thousands of
 * them and of any length, so those that cannot be near are left out by their
 * lengths, before any work.
 */

#include "base/spelling.h"

#include <string.h>

#define NAME_SIZE_MAX ((size_t) 48)

/* The least distance that is too far. */
#define NEAR_LIMIT(size) ((unsigned) (size) / 3 + 2)
#define TWO_LIMIT 3u

/* A candidate that is longer is too far from every name. */
#define CANDIDATE_SIZE_MAX (NAME_SIZE_MAX + NEAR_LIMIT(NAME_SIZE_MAX))

static unsigned least(unsigned a, unsigned b) {
        return a < b ? a : b;
}

/* b_size is CANDIDATE_SIZE_MAX at most. Three rows of the matrix, since an exchange looks back two. */
static unsigned spelling_distance(const char *a, size_t a_size, const char *b, size_t b_size) {
        unsigned rows[3][CANDIDATE_SIZE_MAX + 1];

        for (size_t j = 0; j <= b_size; j++)
                rows[0][j] = (unsigned) j;

        for (size_t i = 1; i <= a_size; i++) {
                unsigned *row = rows[i % 3], *before = rows[(i + 2) % 3];
                unsigned *two_before = rows[(i + 1) % 3];

                row[0] = (unsigned) i;
                for (size_t j = 1; j <= b_size; j++) {
                        row[j] = least(least(before[j] + 1, row[j - 1] + 1),
                                       before[j - 1] + (a[i - 1] != b[j - 1]));

                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = least(row[j], two_before[j - 2] + 1);
                }
        }

        return rows[a_size % 3][b_size];
}

struct spelling spelling_of(const char *name, size_t size, enum spelling_manner manner) {
        struct spelling spelling = { .name = name, .size = size, .manner = manner };

        /* with 0 nothing is near enough */
        if (size > 0 && size <= NAME_SIZE_MAX)
                spelling.distance = manner == SPELLING_NEAR ? NEAR_LIMIT(size) : TWO_LIMIT;
        return spelling;
}

void spelling_consider(struct spelling *spelling, const char *candidate) {
        size_t limit = spelling->size + spelling->distance, size = strnlen(candidate, limit);
        unsigned distance;

        if (spelling->distance == 0)
                return;

        if (spelling->manner == SPELLING_NEAR &&
            strncmp(candidate, spelling->name, spelling->size) == 0)
                distance = 0;
        else if (size == limit || size + spelling->distance <= spelling->size)
                return;
        else
                distance = spelling_distance(spelling->name, spelling->size, candidate, size);

        if (distance < spelling->distance) {
                spelling->nearest = candidate;
                spelling->distance = distance;
        }
}
