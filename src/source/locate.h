/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Finding ToolHive. One search asks, in this order: the configured port, the
 * discovery file, the last port that worked, every port of the range, 8080. Each
 * step starts when the one before has failed or is 250 ms old; answers are taken
 * in the order of the steps; within the range the lowest port that passed is
 * taken once no lower port is still open, or 250 ms after the first pass.
 *
 * Every candidate is an address literal and a port, and has
 * min(TOOLHIVE_TIMEOUT, 2 s) for connection and identity together. A search ends
 * within 3 s whatever listens, for a range over 1,000 ports 1 s later per 1,000.
 */

#include "base/http.h"
#include "base/settings.h"
#include "source/endpoint.h"
#include "source/identity.h"

#define LOCATE_OTHERS_MAX 16

/* What a search found. */
struct found {
        struct endpoint endpoint;
        char version[VERSION_MAX];
        struct endpoint others[LOCATE_OTHERS_MAX];      /* others of the range that passed too */
        size_t n_others;
};

enum { LOCATE_NOTHING = 1 };

struct locate;

/* Settings, http and waiter are borrowed. path: the discovery file, or NULL (copied). 0 or -ENOMEM. */
int locate_new(const struct settings *settings, const char *discovery_path, struct http *http,
               struct waiter *waiter, struct locate **ret_locate);
struct locate *locate_free(struct locate *locate);

/*
 * last: the endpoint that worked last, or NULL. 0 and what was found;
 * LOCATE_NOTHING with the words in error; -ECANCELED; another negative errno.
 * *ret_scanned tells whether the search reached the range.
 */
int locate_search(struct locate *locate, const struct endpoint *last, struct found *ret_found,
                  bool *ret_scanned, char error[static ERROR_MAX]);

DEFINE_CLEANUP(struct locate *, locate_free)
