/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The words of the retry loop, all in one place, since people grep for them: the
 * messages of the specification's section 3, for ToolHive and, with the name of
 * the source in front, for the Kubernetes API.
 */

#include "service/retry.h"
#include "source/source.h"

void operation_log_failed(const struct source *source, const struct retry *retry, const char *error,
                          usec_t delay);
void operation_log_rediscovering(const struct endpoint *previous);
/* code: FIND_FIRST, FIND_SAME or FIND_OTHER. */
void operation_log_found(const struct source *source, enum find_code code, const struct endpoint *previous,
                         const struct found *found);
/* One WARNING that lists them, unless *last is the same list; keeps the list in *last. */
void operation_log_several(struct found *last, const struct found *found);
void operation_log_retrying(const struct endpoint *previous, const struct endpoint *new);
void operation_log_restored(const struct source *source, unsigned attempts, usec_t outage);
void operation_log_exhausted(const struct source *source, const struct retry *retry, const char *error);

/*
 * An answer that is not the expected one, in a sentence without its end: "ToolHive
 * answers 500 to list workloads". For STATUS, the state file, and who runs a command.
 */
void operation_describe_answer(const struct source *source, enum call_kind kind, const struct outcome *outcome,
                               char ret_words[static ERROR_MAX]);
