/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command line and the environment: words, one a line, and after a line with %
 * the variables. A vertical tab stands for a line break within a word. Settings
 * that were accepted are accepted again as they are printed, and mean the same.
 */

#include <string.h>

#include "base/option_table.h"
#include "fuzz.h"

enum { WORDS_MAX = 24 };          /* each one that is misspelt is held against all that there is */

static size_t words_of(struct part *part, char **words) {
        size_t n = part_lines(part, words, WORDS_MAX);

        for (size_t i = 0; i < n; i++)
                for (char *tab = words[i]; (tab = strchr(tab, '\v')); tab++)
                        *tab = '\n';
        return n;
}

/* Problems are lines: each names an option, a variable or a word, and shows no more of it than fits. */
static void check_lines(const struct text *lines) {
        const char *line = lines->data ?: "";

        must_be_harmless(lines, LINES);
        must(lines->size == 0 || line[lines->size - 1] == '\n');
        for (; *line; line += strcspn(line, "\n") + 1) {
                must(*line != '\n');
                must(strcspn(line, "\n") < 4096);
        }
}

/* All that was given, as it is printed, given again at once: nothing is wrong with it, and it is the same. */
static void check_given_again(const struct configuration *configuration) {
        _cleanup_(configuration_done) struct configuration again = {};
        char *words[OPTION_COUNT + 1] = { (char *) "mcp-optimizer" };
        struct setting_view views[OPTION_COUNT], other;
        static char *nothing[] = { NULL };
        int n = 1;

        for (size_t row = 0; row < OPTION_COUNT; row++) {
                configuration_view(configuration, row, &views[row]);
                must(views[row].value.data && views[row].origin == configuration->origins[row]);
                if (views[row].origin != ORIGIN_DEFAULT)
                        must(asprintf(&words[n++], "--%s=%s", views[row].option, views[row].value.data) > 0);
        }

        must(configuration_read(&again, n, words, nothing) == 0);
        must(again.problems.size == 0);
        for (size_t row = 0; row < OPTION_COUNT; row++) {
                if (views[row].origin != ORIGIN_DEFAULT) {
                        configuration_view(&again, row, &other);
                        must(strcmp(views[row].value.data, other.value.data) == 0);
                        text_done(&other.value);
                }
                text_done(&views[row].value);
        }
        while (n > 1)
                free(words[--n]);
}

static void check_accepted(const struct configuration *configuration) {
        const struct settings *settings = &configuration->settings;
        _cleanup_text_ struct text text = TEXT_INIT;

        must(settings->start_port_scan <= settings->end_port_scan && settings->start_port_scan >= 1024);
        must(settings->initial_backoff >= USEC_PER_SEC / 10 && settings->initial_backoff <= settings->max_backoff);
        must(settings->max_backoff <= 300 * USEC_PER_SEC);
        must(settings->max_retries >= 1 && settings->max_retries <= 500);
        must(settings->backoff_jitter >= 0.0 && settings->backoff_jitter <= 1.0);
        must(settings->timeout >= USEC_PER_SEC && settings->timeout <= 60 * USEC_PER_SEC);
        must(settings->workload_polling_interval <= 300 * USEC_PER_SEC);

        configuration_describe(configuration, &text);
        must_be_harmless(&text, LINES);
        check_given_again(configuration);
}

/* What the table asks of a command's words. */
static void check_command(const struct command_line *line) {
        const struct command_row *row = &command_rows[line->command];

        must(!row->argument_required || line->name || line->help);
        must(!line->name || row->argument != ARGUMENT_NONE);
        must(line->timeout <= 86400 * USEC_PER_SEC && line->wait <= 86400 * USEC_PER_SEC);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(configuration_done) struct configuration configuration = {};
        char *words[WORDS_MAX + 2] = { (char *) "mcp-optimizer" }, *variables[WORDS_MAX + 1] = { NULL };
        _cleanup_parts_ struct parts parts;
        size_t n;

        parts_split(&parts, data, size);
        n = 1 + words_of(&parts.parts[0], words + 1);
        if (parts.n > 1)
                words_of(&parts.parts[1], variables);

        must(configuration_read(&configuration, (int) n, words, variables) == 0);
        check_lines(&configuration.problems);
        check_lines(&configuration.warnings);
        if (configuration.problems.size == 0 && configuration.action == ACTION_RUN &&
            configuration.command.command != COMMAND_HELP && configuration.command.command != COMMAND_COMPLETE) {
                check_accepted(&configuration);
                check_command(&configuration.command);
        }
        return 0;
}
