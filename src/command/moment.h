/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Moments as a person reads them, in CLOCK_REALTIME and compared with now: two
 * units at most, and no clock that jumped shows.
 */

#include "base/text.h"

void text_add_span(struct text *text, usec_t span);                     /* "12 s", "1 h 4 min", "3 d 2 h" */
void text_add_ago(struct text *text, usec_t then, usec_t now);          /* "12 s ago", "just now" */
void text_add_until(struct text *text, usec_t then, usec_t now);        /* "in 12 s", "in 0 s" when it is over */
/* In local time: "Sun 2026-11-22 16:01:31 UTC; 1 h 4 min ago" */
void text_add_moment(struct text *text, usec_t then, usec_t now);
