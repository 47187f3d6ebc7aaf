/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mcp-optimizer: stays connected to ToolHive. Reads the configuration and runs
 * what was asked for; all else is in the folders beside this file, from
 * service/ down to base/, where arrows go only downward.
 */

#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "base/option.h"
#include "report/log.h"
#include "service/service.h"

extern char **environ;

static int print(const struct text *text) {
        if (text_error(text) < 0 || fputs(text->data ?: "", stdout) == EOF || fflush(stdout) == EOF) {
                fprintf(stderr, "mcp-optimizer: cannot write to standard output\n");
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

/* Each line of a configuration's problems or warnings as a log line of its own. */
static void log_lines(enum log_level level, enum event event, const struct text *lines) {
        for (const char *line = lines->data; line && *line;) {
                size_t n = strcspn(line, "\n");
                _cleanup_(freep) char *one = strndup(line, n);

                log_event(level, event, one ?: "Out of memory");
                line += n + (line[n] == '\n');
        }
}

static int run_command(const struct configuration *configuration, int argc, char **argv) {
        int first = configuration->first_argument;

        if (first < argc && strcmp(argv[first], "run") == 0)
                first++;
        if (first < argc) {
                _cleanup_text_ struct text name = TEXT_INIT;

                text_add_logfmt(&name, argv[first]);
                fprintf(stderr, "mcp-optimizer: %s: %s; see mcp-optimizer --help\n",
                        argv[first][0] == '-' ? "options come before the command" : "no such command",
                        name.data ?: "?");
                return SERVICE_CONFIG;
        }
        return service_run(configuration);
}

static int run(const struct configuration *configuration, int argc, char **argv) {
        bool check = configuration->action == ACTION_CHECK_CONFIG, bad = configuration->problems.size > 0;
        _cleanup_text_ struct text output = TEXT_INIT;
        int r;

        switch (configuration->action) {
        case ACTION_HELP:
                option_help(&output);
                return print(&output);
        case ACTION_VERSION:
                text_add(&output, "mcp-optimizer " PROJECT_VERSION "\n");
                return print(&output);
        case ACTION_CHECK_CONFIG:
        case ACTION_RUN:
                break;
        }

        /* Who checks is at a terminal, wherever the service's log goes. */
        log_init(configuration->settings.log_level,
                 check ? LOG_FORMAT_TEXT : configuration->settings.log_format);
        log_lines(LEVEL_WARNING, EVENT_UNKNOWN_VARIABLE, &configuration->warnings);
        log_lines(LEVEL_CRITICAL, EVENT_CONFIG_INVALID, &configuration->problems);
        if (check) {
                configuration_describe(configuration, &output);
                r = print(&output);
                return bad ? SERVICE_CONFIG : r;
        }
        return bad ? SERVICE_CONFIG : run_command(configuration, argc, argv);
}

int main(int argc, char **argv) {
        struct configuration configuration;
        int r;

        /*
         * The default, but fixed: else one large answer raises it to its size, and from
         * then on the memory of the large ones is kept instead of given back.
         */
        (void) mallopt(M_MMAP_THRESHOLD, 128 << 10);

        /* A reader of ours that goes away is an error of a write, not the end of the service. */
        signal(SIGPIPE, SIG_IGN);

        r = configuration_read(&configuration, argc, argv, environ);
        if (r == 0)
                r = run(&configuration, argc, argv);
        else {
                fprintf(stderr, "mcp-optimizer: %s\n", errno_words(-r));
                r = EXIT_FAILURE;
        }
        configuration_done(&configuration);
        return r;
}
