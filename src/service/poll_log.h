/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the polls tell: differences by name, bad entries, answers that are not the expected ones. */

#include "model/snapshot.h"
#include "source/source.h"

/* A flood of names says less than its size: lines of one poll about single entries, at most. */
#define POLL_LINES_MAX 1000

/* old is NULL when nothing was known. Return the number of differences, a newer registry being one. */
size_t poll_log_workloads(const struct workload_list *old, const struct workload_list *new);
size_t poll_log_registry(const struct registry *old, const struct registry *new);

/* The part of it about entries that could not be taken: those that old had too are not told again. */
void poll_log_bad_entries(const struct workload_list *old, const struct workload_list *new);

/* Once: which of Kubernetes' resources are not installed, or that all of them are by now. */
void poll_log_missing(const char *missing);

/* The answer is not the expected one: the first time a WARNING, while it lasts DEBUG. */
void poll_log_problem(const struct source *source, enum call_kind kind, const struct outcome *outcome,
                      usec_t next_try, bool repeated);
void poll_log_answers_again(const struct source *source, enum call_kind kind);
