/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The commands of the person at the terminal. Results go to stdout, all else to
 * stderr, as log lines; on a terminal a wait shows itself on one line that is
 * gone afterwards (command/progress.h). A command runs on the main thread; the
 * first Ctrl-C stops its wait or its request, the second ends the process.
 */

#include "command/context.h"

/* Runs the command that the configuration names; returns its exit code. Never COMMAND_RUN. */
int command_run(const struct configuration *configuration, char **environment);

/*
 * The commands: each an enum command_exit, or 128 and the signal's number. Who
 * returns another code than 0 has said why, by command_error().
 */
int command_status(struct command_context *context);
int command_wait(struct command_context *context);
int command_list(struct command_context *context);
int command_show(struct command_context *context);
int command_registry(struct command_context *context);
int command_install(struct command_context *context);
int command_complete(struct command_context *context);
