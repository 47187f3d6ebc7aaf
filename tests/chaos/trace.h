/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a life came to, as lines of text with their times: the actor records what
 * the worker did, then the model says line by line what it should have done.
 */

#include "base/text.h"

struct trace {
        uint64_t seed;
        unsigned life;
        char **lines;
        size_t n, next;
};

void trace_add(struct trace *trace, usec_t when, const char *format, ...) _printf_(3, 4);
/* The next line is that one; else tells both, with what was before, and ends the program with 1. */
void trace_expect(struct trace *trace, usec_t when, const char *format, ...) _printf_(3, 4);
/* Nothing is left. */
void trace_expect_end(struct trace *trace);
/* For the next life. */
void trace_clear(struct trace *trace);
/* Something that no line is about: tells it, with the lines so far, and ends the program with 1. */
_Noreturn void trace_fail(struct trace *trace, usec_t when, const char *format, ...) _printf_(3, 4);
