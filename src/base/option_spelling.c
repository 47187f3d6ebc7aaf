/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Who wrote --toolhive-prot meant something. The distance between two spellings
 * is the optimal string alignment distance: the fewest letters put in, left out,
 * changed, or exchanged with their neighbour, which is how fingers err.
 */

#include <string.h>

#include "base/option_table.h"

/* Longer than each name of the table by more than any distance that counts. */
#define NAME_MAX_SIZE ((size_t) 48)

/* A variable is taken for a misspelt one up to here; further away it may be somebody else's. */
#define VARIABLE_DISTANCE_MAX 2

static unsigned least(unsigned a, unsigned b) {
        return a < b ? a : b;
}

/* sizes up to NAME_MAX_SIZE; three rows of the usual matrix, since an exchange looks back two */
static unsigned spelling_distance(const char *a, size_t a_size, const char *b, size_t b_size) {
        unsigned rows[3][NAME_MAX_SIZE + 1];

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

/* Keeps the nearer of two candidates; one that starts with all of the name is the nearest. */
static void consider(const char *name, size_t size, const char *candidate, const char **nearest,
                     unsigned *nearest_distance) {
        unsigned distance = strncmp(name, candidate, size) == 0
                                    ? 0
                                    : spelling_distance(name, size, candidate, strlen(candidate));

        if (distance < *nearest_distance) {
                *nearest = candidate;
                *nearest_distance = distance;
        }
}

const char *option_nearest(const char *name, size_t size) {
        char spelling[NAME_MAX_SIZE];
        const char *nearest = NULL;
        unsigned distance;

        if (size == 0 || size > sizeof(spelling))
                return NULL;

        /* a variable's name behind two dashes is an option nearly well spelt */
        for (size_t i = 0; i < size; i++) {
                char c = name[i];

                spelling[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
        }

        distance = (unsigned) size / 3 + 2;
        for (size_t i = 0; i < OPTION_COUNT; i++)
                consider(spelling, size, option_rows[i].option, &nearest, &distance);
        for (size_t i = 0; i < OPTION_ACTION_COUNT; i++)
                consider(spelling, size, option_action_rows[i].option, &nearest, &distance);

        return nearest;
}

const char *option_nearest_variable(const char *name, size_t size) {
        const char *nearest = NULL;
        unsigned nearest_distance = VARIABLE_DISTANCE_MAX + 1;

        if (size > NAME_MAX_SIZE)
                return NULL;

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                const char *variable = option_rows[i].variable;
                unsigned distance = spelling_distance(name, size, variable, strlen(variable));

                if (distance < nearest_distance) {
                        nearest = variable;
                        nearest_distance = distance;
                }
        }

        return nearest;
}
