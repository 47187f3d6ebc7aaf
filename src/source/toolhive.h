/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The source that is ToolHive's HTTP API. */

#include "base/settings.h"
#include "source/source.h"

/*
 * Settings and waiter are borrowed. last is the endpoint that worked for an
 * earlier process (a candidate of the search), or "". With TOOLHIVE_API_URL the
 * source is pinned: it never searches and cannot move. 0 or negative errno.
 */
int toolhive_new(const struct settings *settings, struct waiter *waiter, const char *last,
                 struct source **ret_source);
