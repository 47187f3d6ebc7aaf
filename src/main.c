/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mcp-optimizer: stays connected to ToolHive. Reads the configuration and runs
 * what was asked for; all else is in the folders beside this file, from
 * service/ down to base/, where arrows go only downward.
 */

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "base/option.h"
#include "command/command.h"
#include "report/log.h"
#include "service/service.h"

extern char **environ;

/* Of the problems that the settings and the words have, those that are told one by one. */
#define LINES_MAX ((size_t) 20)

/*
 * Whoever closed one of the three (2>&-) has the next file that is opened take its
 * number: a log line would go into an eventfd, where it asks for a stop.
 */
static bool fill_standard_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
                        return false;
        return true;
}

/* A reader that has seen enough (--help | head) ends us in silence, as it ends any tool. */
static int print(const struct text *text) {
        (void) signal(SIGPIPE, SIG_DFL);
        if (text_error(text) < 0 || fputs(text->data ?: "", stdout) == EOF || fflush(stdout) == EOF) {
                fprintf(stderr, "mcp-optimizer: cannot write to standard output\n");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

/*
 * Each line of a configuration's problems or warnings as a log line of its own.
 * Whoever gave ten thousand bad words has one mistake to correct, not so many.
 */
static void log_lines(enum log_level level, enum event event, const struct text *lines) {
        _cleanup_text_ struct text rest = TEXT_INIT;
        size_t n_lines = 0;

        for (const char *line = lines->data; line && *line; n_lines++) {
                size_t n = strcspn(line, "\n");

                if (n_lines < LINES_MAX) {
                        _cleanup_(freep) char *one = strndup(line, n);

                        log_event(level, event, one ?: "Out of memory");
                }
                line += n + (line[n] == '\n');
        }

        if (n_lines > LINES_MAX) {
                text_addf(&rest, "%zu more of this kind", n_lines - LINES_MAX);
                log_event(level, event, text_error(&rest) == 0 ? rest.data : "Out of memory");
        }
}

/* What was asked for instead of running anything. False: nothing. */
static bool describe(const struct configuration *configuration, struct text *output) {
        const struct command_line *line = &configuration->command;
        const struct command_row *named = NULL;

        if (line->command == COMMAND_HELP && line->name)
                named = command_find(line->name, strlen(line->name));

        if (line->help && !named)
                command_help(output, line->command);
        else if (configuration->action == ACTION_HELP)
                option_help(output); /* NOLINT(bugprone-branch-clone): what is asked for goes before what is wrong */
        else if (configuration->action == ACTION_VERSION)
                text_add(output, "mcp-optimizer " PROJECT_VERSION "\n");
        else if (configuration->action == ACTION_CHECK_CONFIG || line->command != COMMAND_HELP ||
                 configuration->problems.size > 0)
                return false;
        else if (named)
                command_help(output, (enum command) (named - command_rows));
        else
                option_help(output);
        return true;
}

static int run(const struct configuration *configuration) {
        enum command command = configuration->command.command;
        enum log_format format = configuration->settings.log_format;
        bool check = configuration->action == ACTION_CHECK_CONFIG;
        bool bad = configuration->problems.size > 0;
        _cleanup_text_ struct text output = TEXT_INIT;
        int r;

        if (describe(configuration, &output))
                return print(&output);

        /* Who checks or asks is at a terminal, wherever the service's log goes. */
        if (check || (command != COMMAND_RUN && format == LOG_FORMAT_AUTO))
                format = LOG_FORMAT_TEXT;
        log_init(configuration->settings.log_level, format);
        log_lines(LEVEL_WARNING, EVENT_UNKNOWN_VARIABLE, &configuration->warnings);
        log_lines(LEVEL_CRITICAL, EVENT_CONFIG_INVALID, &configuration->problems);
        if (check) {
                configuration_describe(configuration, &output);
                r = print(&output);
                return bad ? SERVICE_CONFIG : r;
        }
        if (bad)
                return SERVICE_CONFIG;
        return command == COMMAND_RUN ? service_run(configuration)
                                      : command_run(configuration, environ);
}

int main(int argc, char **argv) {
        struct configuration configuration;
        int r;

        if (!fill_standard_streams()) {
                /* to the true standard error or to nowhere: nothing else is open yet */
                fprintf(stderr, "mcp-optimizer: cannot open /dev/null: %s\n", errno_words(errno));
                return EXIT_FAILURE;
        }

        /*
         * The default, but fixed: else one large answer raises it to its size, and from
         * then on the memory of the large ones is kept instead of given back.
         */
        (void) mallopt(M_MMAP_THRESHOLD, 128 << 10);

        /* A reader of ours that goes away is an error of a write, not the end of the service. */
        (void) signal(SIGPIPE, SIG_IGN);

        r = configuration_read(&configuration, argc, argv, environ);
        if (r == 0)
                r = run(&configuration);
        else {
                fprintf(stderr, "mcp-optimizer: %s\n", errno_words(-r));
                r = EXIT_FAILURE;
        }
        configuration_done(&configuration);
        log_settle();
        return r;
}
