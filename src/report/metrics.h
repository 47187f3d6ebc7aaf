/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The metrics file, in the Prometheus text format, for a textfile collector. */

#include "model/snapshot.h"

/* Replaces the file atomically, mode 0644. up is 0 at the end of the service. 0 or negative errno. */
int metrics_write(const char *path, const struct snapshot *snapshot, bool up);

void metrics_format(struct text *text, const struct snapshot *snapshot, bool up);
