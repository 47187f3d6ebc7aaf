/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a misspelt word may have meant: options, variables, commands, names of
 * workloads and servers.
 *
 *         struct spelling spelling = spelling_of(word, strlen(word), SPELLING_NEAR);
 *
 *         for (…)
 *                 spelling_consider(&spelling, candidate);
 *         if (spelling.nearest)
 *                 …
 */

#include "base/util.h"

enum spelling_manner {
        SPELLING_NEAR,          /* for what was surely meant: a third of the letters and one may be wrong */
        SPELLING_TWO,           /* two letters may be wrong: further away it may be somebody else's */
};

struct spelling {
        const char *name;
        size_t size;
        enum spelling_manner manner;
        const char *nearest;    /* borrowed from the candidates; NULL: none is near */
        unsigned distance;      /* of the nearest; before there is one, the least that is too far */
};

/* The name is borrowed; one that is empty or longer than 48 bytes is near to nothing. */
struct spelling spelling_of(const char *name, size_t size, enum spelling_manner manner);
/* The first of equally near ones stays. With SPELLING_NEAR one that begins with the name is the nearest. */
void spelling_consider(struct spelling *spelling, const char *candidate);
