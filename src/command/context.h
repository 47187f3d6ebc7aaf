/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What all commands are given, and what they share: how to say that something
 * went wrong, where the service's state is, how a signal ends them.
 */

#include "base/option.h"
#include "base/waiter.h"
#include "command/terminal.h"
#include "report/service_state.h"

/* The exit codes of all commands; man page and command table know them. */
enum command_exit {
        COMMAND_OK = 0,
        COMMAND_FAILED = 1,             /* ToolHive unavailable, or answering with an error; not connected */
        COMMAND_NOT_RUNNING = 3,        /* the service does not run */
        COMMAND_NO_SUCH = 4,            /* no workload or server of that name */
        COMMAND_EXISTS = 5,             /* a workload of that name exists already */
        COMMAND_MISSING = 6,            /* settings that the server needs are missing */
        COMMAND_NOT_UP = 7,             /* installed, and not running in time */
        COMMAND_USAGE = 78,             /* as for a bad setting */
        COMMAND_INTERRUPTED = 130,      /* Ctrl-C; 143 for SIGTERM */
};

struct command_context {
        const struct configuration *configuration;      /* the settings, and .command: what was asked */
        char **environment;
        struct waiter *waiter;
        struct terminal out;            /* what stdout is */
        struct terminal err;            /* what stderr is */
        bool line_tells;                /* stderr is a terminal, and no log level was asked for: what the retry
                                         * loop has to say below ERROR is left to the progress line */
        struct text output;             /* the result: printed when the command has ended, whatever its code */
        struct text notes;              /* for the person, below it: printed on stderr where that is a terminal */
};

/*
 * One sentence on stderr, as an ERROR of the log. Dangerous characters become
 * U+FFFD; what comes from outside and needs quotes is put in by text_add_logfmt().
 */
void command_error(const char *format, ...) _printf_(1, 2);

/* Where the state file of the service may be, as the settings say. 0 or -ENOMEM. */
int command_state_paths(const struct command_context *context, struct service_state_paths *paths);

/* 128 and the number of the signal that stopped the command; 0 when none did. */
int command_interrupted(void);

/*
 * From now on the first SIGINT or SIGTERM stops the waiter, the second ends the
 * process; SIGPIPE does nothing. The waiter has to stay until the release.
 */
void command_catch_signals(struct waiter *waiter);
/* Any of them ends the process, as is the custom of programs that print. */
void command_release_signals(void);
