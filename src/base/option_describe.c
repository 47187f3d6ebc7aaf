/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The settings as people read them: --help before the program runs,
 * --check-config before the service is started, the start line after it. All
 * three walk the table; nothing here knows an option by its name.
 */

#include "base/option.h"

#include <inttypes.h>
#include <string.h>

#include "base/command_reader.h"
#include "base/option_table.h"

/* Where --help has its second column, and what stands below an option. */
#define VARIABLE_COLUMN 40
#define HELP_INDENT 6

/* A longer value pushes its origin to the right rather than those of all others. */
#define VALUE_COLUMN_MAX 64

const char *option_origin_name(enum option_origin origin) {
        switch (origin) {
        case ORIGIN_DEFAULT:
                return "default";
        case ORIGIN_ENVIRONMENT:
                return "environment";
        case ORIGIN_COMMAND_LINE:
                return "command line";
        }

        return NULL;
}

/* The second paragraph below an option: what it is when nothing is given, and what can be given. */
static void add_values(struct text *text, const struct option_row *row) {
        _cleanup_text_ struct text paragraph = TEXT_INIT;

        text_addf(&paragraph, "Default: %s; accepts ",
                  row->default_help ? row->default_help : row->default_value);
        row->type->accepted(row, &paragraph);

        if (text_error(&paragraph) < 0)
                text->failed = true;
        else
                text_add_paragraph(text, HELP_INDENT, paragraph.data);
}

void option_help(struct text *text) {
        text_add(text,
                 "Usage: mcp-optimizer [OPTIONS] [COMMAND ...]\n"
                 "\n"
                 "Stays connected to ToolHive (thv serve) through restarts, port changes and\n"
                 "outages, and knows at all times which MCP servers run and what the registry\n"
                 "offers.\n"
                 "\n"
                 "Commands:\n");
        command_help_list(text);
        text_add(text,
                 "\n"
                 "Every option is also an environment variable, the one beside it. The command\n"
                 "line comes before the environment, and that before the default. --log-level\n"
                 "INFO and --log-level=INFO are the same. Options may stand before the command or\n"
                 "behind it, and there beside its own: mcp-optimizer help COMMAND.\n");

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                const struct option_row *row = &option_rows[i];
                size_t used = strlen("  -- ") + strlen(row->option) + strlen(row->type->metavar);

                if (row->heading)
                        text_addf(text, "\n%s:\n", row->heading);
                text_addf(text, "  --%s %s%*s%s\n", row->option, row->type->metavar,
                          used < VARIABLE_COLUMN ? VARIABLE_COLUMN - (int) used : 1, "",
                          row->variable);
                text_add_paragraph(text, HELP_INDENT, row->help);
                add_values(text, row);
        }

        text_add(text, "\nInstead of running:\n");
        for (size_t i = 0; i < OPTION_ACTION_COUNT; i++) {
                text_addf(text, "  --%s\n", option_action_rows[i].option);
                text_add_paragraph(text, HELP_INDENT, option_action_rows[i].help);
        }

        text_add(text,
                 "\nExit status: 0 stopped on request, 1 ToolHive stayed away, 78 a bad setting.\n"
                 "The commands have their own: mcp-optimizer help COMMAND.\n"
                 "More in mcp-optimizer(8): man mcp-optimizer\n");
}

void configuration_view(const struct configuration *configuration, size_t row_index,
                        struct setting_view *ret_view) {
        const struct option_row *row = &option_rows[row_index];

        *ret_view = (struct setting_view) {
                .option = row->option,
                .variable = row->variable,
                .origin = configuration->origins[row_index],
        };
        row->type->format(row, option_field(row, &configuration->settings), &ret_view->value);
}

/* The value of a row as --check-config shows it. */
static void add_escaped_value(const struct configuration *configuration, size_t row_index,
                              struct text *text) {
        struct setting_view view;

        configuration_view(configuration, row_index, &view);
        if (text_error(&view.value) < 0)
                text->failed = true;
        else
                text_add_logfmt(text, view.value.data);
        text_done(&view.value);
}

void configuration_describe(const struct configuration *configuration, struct text *text) {
        const struct settings *settings = &configuration->settings;
        _cleanup_text_ struct text value = TEXT_INIT;
        int option_width = 0, value_width = 0;

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                int option_size = (int) strlen(option_rows[i].option);

                text_clear(&value);
                add_escaped_value(configuration, i, &value);
                if (text_error(&value) < 0) {
                        text->failed = true;
                        return;
                }
                if (option_size > option_width)
                        option_width = option_size;
                if ((int) value.size > value_width && value.size <= VALUE_COLUMN_MAX)
                        value_width = (int) value.size;
        }

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                text_clear(&value);
                add_escaped_value(configuration, i, &value);
                if (text_error(&value) < 0) {
                        text->failed = true;
                        return;
                }
                text_addf(text, "--%-*s  %-*s  (%s)\n", option_width, option_rows[i].option,
                          value_width, value.data,
                          option_origin_name(configuration->origins[i]));
        }

        text_addf(text, "\nWhen %s stays away, the service gives up after ",
                  settings->runtime_mode == RUNTIME_K8S ? "the Kubernetes API" : "ToolHive");
        text_add_duration(text, settings_retry_window(settings));
        text_add(text, " of waiting, plus the time that the attempts take");
        text_add(text, settings->backoff_jitter > 0 ? "; jitter makes the waits shorter\n" : "\n");
}

usec_t settings_retry_window(const struct settings *settings) {
        usec_t window = 0, delay = usec_min(settings->initial_backoff, settings->max_backoff);

        for (unsigned wait = 1; wait < settings->max_retries; wait++) {
                window = usec_add(window, delay);
                delay = usec_min(usec_add(delay, delay), settings->max_backoff);
        }

        return window;
}

void text_add_duration(struct text *text, usec_t usec) {
        /* to the millisecond first, or 59.9999 s would become "60.0 s" */
        usec_t msec = usec / USEC_PER_MSEC + (usec % USEC_PER_MSEC >= USEC_PER_MSEC / 2);
        usec_t hours = msec / 3600000, minutes = msec / 60000 % 60;

        msec %= 60000;
        if (hours > 0)
                text_addf(text, "%" PRIu64 " h", hours);
        if (minutes > 0)
                text_addf(text, "%s%" PRIu64 " min", hours > 0 ? " " : "", minutes);
        if (msec == 0 && hours + minutes > 0)
                return;

        text_add(text, hours + minutes > 0 ? " " : "");
        if (msec % 1000 == 0)
                text_addf(text, "%" PRIu64, msec / 1000);
        else
                text_add_seconds(text, msec * USEC_PER_MSEC);
        text_add(text, " s");
}
