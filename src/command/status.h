/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of `status`: what its parts share. */

#include "command/context.h"

/* Whether the worker has shown life within the last minute; now in CLOCK_REALTIME. */
bool status_is_alive(const struct service_state *state, usec_t now);
/* Appends when that was: "heartbeat 12 s ago", "hangs, last heartbeat 2 min 3 s ago". */
void status_add_heartbeat(struct text *text, const struct service_state *state, usec_t now);

/* Appends to the output what a person reads. 0 or -ENOMEM. */
int status_view(struct command_context *context, const struct service_state_paths *paths,
                const struct service_state *state);
