/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a test's code logs, to be compared line by line: stderr points to a file
 * in memory from capture_begin() to capture_end(), with the log at INFO as text.
 * A failed check ends the test while stderr is still away; check reports on
 * stdout, so nothing of that is lost.
 */

#include "base/util.h"

void capture_begin(void);
void capture_end(void);

/* Compares all that was logged since the last call with the text, whole lines, and forgets it. */
void capture_expect(const char *text);
/* The same for the end of it: what came before is of no interest. */
void capture_expect_end(const char *text);
/* What was logged since the last call that forgot; valid until the next call. */
const char *capture_text(void);
void capture_forget(void);
/* In how many places the string was logged since. */
unsigned capture_count(const char *string);
