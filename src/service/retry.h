/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The retry policy: how many attempts, which delay, when a retry may be
 * immediate. A pure function of what happened; it never sleeps, logs or looks at
 * a clock. The arithmetic is that of the specification's section 3:
 *
 *   retry_failed()     an attempt failed: counts it, and says the delay to tell
 *   retry_decide()     after the search that may follow it: now, wait, or give up
 *   retry_waited()     the delay is over: the next one is twice as long
 */

#include "base/settings.h"

struct retry {
        /* the policy */
        unsigned max_attempts;
        usec_t initial, maximum;
        double jitter;

        /* the outage under way */
        unsigned attempt;               /* consecutive failures; 0: no outage */
        usec_t base;                    /* the delay before jitter */
        bool immediate_allowed;
};

/* What a search found, seen from the endpoint known before it. */
enum retry_search {
        RETRY_SEARCH_NONE,              /* no search was made */
        RETRY_SEARCH_NOTHING,
        RETRY_SEARCH_SAME,
        RETRY_SEARCH_OTHER,
};

enum retry_decision {
        RETRY_NOW,
        RETRY_WAIT,
        RETRY_GIVE_UP,
};

void retry_init(struct retry *retry, const struct settings *settings);

/* A completed operation: the outage is over, counter and delay go back. */
void retry_succeeded(struct retry *retry);

/*
 * Counts a failed attempt and returns the delay until the next, in µs: the base
 * shortened by jitter, random being uniform in [0, 1); at least `at_least` (a
 * Retry-After, 0 for none); 0 when this was the last attempt.
 */
usec_t retry_failed(struct retry *retry, double random, usec_t at_least);

bool retry_is_last(const struct retry *retry);

/*
 * What follows the failed attempt. One immediate retry is allowed per outage, and
 * one more after each search that found nothing: else a ToolHive that passes the
 * identity check while its calls fail would burn all attempts in a second.
 */
enum retry_decision retry_decide(struct retry *retry, enum retry_search search);

/*
 * A search during the wait found the API, which is tried at once: that is an
 * immediate retry too, so no second one follows it, and on another address it
 * sets the delay back.
 */
void retry_woken(struct retry *retry, enum retry_search search);

/* The delay was waited for: doubles it, up to the maximum. */
void retry_waited(struct retry *retry);

/* The delay goes back to its initial value, the counter stays. */
void retry_reset_delay(struct retry *retry);
