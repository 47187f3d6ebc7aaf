/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `registry NAME` and `install NAME` begin with. */

#include "command/client.h"
#include "model/registry_entry.h"

/* The entry of that name: 0, or the exit code of the command, told; COMMAND_NO_SUCH with what was perhaps meant. */
int registry_ask_entry(struct client *client, const char *name, struct registry_entry **ret_entry);
