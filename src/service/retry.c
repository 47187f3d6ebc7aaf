/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The policy of section 3. The base is doubled by waiting and by nothing else:
 * an immediate retry leaves it alone, so that the delay that was told for the
 * failure before it is still the next one to be waited.
 */

#include "service/retry.h"

void retry_init(struct retry *retry, const struct settings *settings) {
        *retry = (struct retry) {
                .max_attempts = settings->max_retries,
                .initial = settings->initial_backoff,
                .maximum = settings->max_backoff,
                .jitter = settings->backoff_jitter,
        };
        retry_succeeded(retry);
}

void retry_succeeded(struct retry *retry) {
        retry->attempt = 0;
        retry->base = retry->initial;
        retry->immediate_allowed = true;
}

usec_t retry_failed(struct retry *retry, double random, usec_t at_least) {
        /* An answer between two failures does not end the outage, and there is no attempt after the last. */
        if (retry->attempt < retry->max_attempts)
                retry->attempt++;

        if (retry_is_last(retry))
                return 0;

        return usec_max((usec_t) ((double) retry->base * (1.0 - retry->jitter * random)), at_least);
}

bool retry_is_last(const struct retry *retry) {
        return retry->attempt >= retry->max_attempts;
}

enum retry_decision retry_decide(struct retry *retry, enum retry_search search) {
        bool found = search == RETRY_SEARCH_SAME || search == RETRY_SEARCH_OTHER;

        if (found && retry->immediate_allowed) {
                retry->immediate_allowed = false;
                if (search == RETRY_SEARCH_OTHER)
                        retry_reset_delay(retry);
                return RETRY_NOW;
        }

        if (search == RETRY_SEARCH_NOTHING)
                retry->immediate_allowed = true;

        return retry_is_last(retry) ? RETRY_GIVE_UP : RETRY_WAIT;
}

void retry_woken(struct retry *retry, enum retry_search search) {
        retry->immediate_allowed = false;
        if (search == RETRY_SEARCH_OTHER)
                retry_reset_delay(retry);
}

void retry_waited(struct retry *retry) {
        retry->base = usec_min(retry->base * 2, retry->maximum);
}

void retry_reset_delay(struct retry *retry) {
        retry->base = retry->initial;
}
