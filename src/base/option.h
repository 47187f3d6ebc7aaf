/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one table of options. It drives the command line, the environment,
 * --help, --check-config and the tests of man page and README: nothing else
 * lists an option. Priority: command line, environment, default.
 */

#include "base/command_line.h"
#include "base/settings.h"
#include "base/text.h"

enum option_origin {
        ORIGIN_DEFAULT,
        ORIGIN_ENVIRONMENT,
        ORIGIN_COMMAND_LINE,
};

/* What the command line asks for beside settings; of several, the one that comes first here. */
enum option_action {
        ACTION_RUN,             /* nothing: the service, or the command */
        ACTION_HELP,
        ACTION_VERSION,
        ACTION_CHECK_CONFIG,
};

enum { OPTION_COUNT = 27 };

/* The settings with what is told about them: where each came from, what was wrong. */
struct configuration {
        struct settings settings;
        enum option_origin origins[OPTION_COUNT];
        enum option_action action;
        struct command_line command;    /* what is asked for, and with which words */
        struct text problems;           /* one line for each bad value, "" when there is none */
        struct text warnings;           /* one line for each variable that looks misspelt */
};

/*
 * Reads argv and environ, all of both, and collects every problem rather than
 * stop at the first. The first word that is no option is the command; what comes
 * behind it may be options of the command and settings in any order, and after
 * "--" words alone. The caller ends with configuration_done(), also after an error.
 *
 * Returns 0, also when problems were found (configuration->problems.size > 0:
 * print them, exit 78), or -ENOMEM. No setting is a problem for COMMAND_HELP, and
 * nothing is one for COMMAND_COMPLETE.
 */
int configuration_read(struct configuration *configuration, int argc, char **argv, char **environ);
void configuration_done(struct configuration *configuration);

/* Appends --help: usage, every option with variable, default, range, help. */
void option_help(struct text *text);

/* Appends --check-config: each setting, its value, its origin; then how long the retries last. */
void configuration_describe(const struct configuration *configuration, struct text *text);

/* Where the value of an option came from, by its name: "log-level". */
enum option_origin configuration_origin(const struct configuration *configuration, const char *option);

/* Whether anything was given that says where ToolHive is: host, port, URL, range, discovery file. */
bool configuration_is_address_given(const struct configuration *configuration);

/* One setting as the start line tells it. No value holds a secret: no URL with one is accepted. */
struct setting_view {
        const char *option;             /* "toolhive-port" */
        const char *variable;           /* "TOOLHIVE_PORT" */
        enum option_origin origin;
        struct text value;              /* owned by the caller: text_done() */
};

/* The setting of the given row of the table, 0 <= row < OPTION_COUNT. */
void configuration_view(const struct configuration *configuration, size_t row,
                        struct setting_view *ret_view);

const char *option_origin_name(enum option_origin origin);     /* "command line", … */

/* The sum of all waits of one outage, in µs: max_retries - 1 of them, without jitter. */
usec_t settings_retry_window(const struct settings *settings);

/* Appends "1 h 34 min 3 s", "26 min 7 s", "1.5 s". */
void text_add_duration(struct text *text, usec_t usec);
