/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What has to be so of what the model learnt, wherever it was learnt. */

#include "model/registry.h"
#include "model/registry_entry.h"
#include "model/workload.h"

void check_workload_list(const struct workload_list *list);
void check_registry(const struct registry *registry);
void check_registry_entry(const struct registry_entry *entry);

/* No difference to itself, all of it to nothing. */
void check_workload_diff(const struct workload_list *a, const struct workload_list *b);
void check_registry_diff(const struct registry *a, const struct registry *b);
