/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Running a command: with the log that is fit for who reads it, and with the
 * result on stdout.
 *
 * The result is kept until the end, and printed in one piece: a command that
 * fails half-way leaves nothing half on stdout.
 */

#include "base/file.h"
#include "command/command.h"
#include "report/log.h"

/* The registry is ToolHive's own, and so is installing from it. */
static int run_with_registry(struct command_context *context, int (*command)(struct command_context *context)) {
        if (context->configuration->settings.runtime_mode != RUNTIME_K8S)
                return command(context);
        command_error("There is no registry in Kubernetes mode: kubectl apply with an MCPServer installs one");
        return COMMAND_USAGE;
}

static int run(struct command_context *context) {
        switch (context->configuration->command.command) {
        case COMMAND_STATUS:
                return command_status(context);
        case COMMAND_WAIT:
                return command_wait(context);
        case COMMAND_LIST:
                return command_list(context);
        case COMMAND_SHOW:
                return command_show(context);
        case COMMAND_REGISTRY:
                return run_with_registry(context, command_registry);
        case COMMAND_INSTALL:
                return run_with_registry(context, command_install);
        case COMMAND_COMPLETE:
                return command_complete(context);
        case COMMAND_RUN:
        case COMMAND_HELP:
        case COMMAND_COUNT:
                break;
        }
        return COMMAND_USAGE;
}

static int print(const struct command_context *context) {
        int r = text_error(&context->output);

        if (r == 0)
                r = file_write(STDOUT_FILENO, context->output.data, context->output.size);
        if (r < 0) {
                command_error("Cannot write to standard output: %s", errno_words(-r));
                return COMMAND_FAILED;
        }
        if (context->err.is_terminal && text_error(&context->notes) == 0)
                (void) file_write(STDERR_FILENO, context->notes.data, context->notes.size);
        return COMMAND_OK;
}

int command_run(const struct configuration *configuration, char **environment) {
        struct command_context context = {
                .configuration = configuration,
                .environment = environment,
                .out = terminal_of(STDOUT_FILENO),
                .err = terminal_of(STDERR_FILENO),
        };
        const struct settings *settings = &configuration->settings;
        struct waiter waiter;
        int r, printed;

        /* Who sits there sees the progress line; who asked for a log, or reads one, gets it. */
        context.line_tells = context.err.is_terminal &&
                             configuration_origin(configuration, "log-level") == ORIGIN_DEFAULT;
        log_init(context.line_tells ? LEVEL_WARNING : settings->log_level, settings->log_format);

        r = waiter_init(&waiter);
        if (r < 0) {
                command_error("Cannot begin: %s", errno_words(-r));
                return COMMAND_FAILED;
        }
        context.waiter = &waiter;

        command_catch_signals(&waiter);
        r = run(&context);
        command_release_signals();
        printed = print(&context);

        waiter_done(&waiter);
        text_done(&context.output);
        text_done(&context.notes);
        return r != COMMAND_OK ? r : printed;
}
