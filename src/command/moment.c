/* SPDX-License-Identifier: Apache-2.0 */

/* Times of day as a person reads them: how far away, and when that is on the clock. */

#include <inttypes.h>
#include <time.h>

#include "command/moment.h"

void text_add_span(struct text *text, usec_t span) {
        static const struct {
                uint64_t seconds;
                const char *name;
        } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
        uint64_t seconds = span / USEC_PER_SEC;
        size_t i = 0;

        while (i + 1 < ELEMENTSOF(units) && seconds < units[i].seconds)
                i++;

        text_addf(text, "%" PRIu64 " %s", seconds / units[i].seconds, units[i].name);
        seconds %= units[i].seconds;
        if (i + 1 < ELEMENTSOF(units) && seconds >= units[i + 1].seconds)
                text_addf(text, " %" PRIu64 " %s", seconds / units[i + 1].seconds, units[i + 1].name);
}

void text_add_ago(struct text *text, usec_t then, usec_t now) {
        usec_t span = usec_sub(now, then);

        if (span < USEC_PER_SEC) {
                text_add(text, "just now");
                return;
        }
        text_add_span(text, span);
        text_add(text, " ago");
}

/* Rounded up, as a countdown is: at 0 it has come. */
void text_add_until(struct text *text, usec_t then, usec_t now) {
        text_add(text, "in ");
        text_add_span(text, usec_add(usec_sub(then, now), USEC_PER_SEC - 1));
}

static struct tm local_time(usec_t realtime) {
        time_t seconds = (time_t) (realtime / USEC_PER_SEC);
        struct tm tm = {};

        /* Cannot fail: all times here have four digits of a year. */
        (void) localtime_r(&seconds, &tm);
        return tm;
}

/* "Sun 2026-11-22 16:01:31 UTC; 1 h 4 min ago" */
void text_add_moment(struct text *text, usec_t then, usec_t now) {
        struct tm tm = local_time(then);
        char words[64];

        if (strftime(words, sizeof(words), "%a %Y-%m-%d %H:%M:%S %Z; ", &tm) > 0)
                text_add(text, words);
        text_add_ago(text, then, now);
}
