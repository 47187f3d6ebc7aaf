/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The source that is the Kubernetes API server, and ToolHive's resources in it. */

#include "base/settings.h"
#include "source/source.h"

/*
 * Settings and waiter are borrowed. The address is the one that the settings
 * name: it is never searched for and never moves, so last is not looked at. 0 or
 * negative errno.
 */
int kubernetes_new(const struct settings *settings, struct waiter *waiter, const char *last,
                   struct source **ret_source);

/* Whether there is a token and the address is one that it must not be sent to: plain HTTP to another machine. */
bool kubernetes_withholds_token(const struct settings *settings);
