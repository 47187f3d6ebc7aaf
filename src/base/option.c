/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the settings, from the command line, then the environment, then the
 * defaults of the table.
 *
 * Whoever starts a service and has to correct its settings should do so once, so
 * nothing here stops at a bad value: a line is written down, the default stands
 * in its place, and reading goes on. What is left to judge at the end is whether
 * values that are good by themselves go together; where one of them was bad, that
 * question is not asked.
 *
 * A problem line names the option or the variable, whichever was used, and shows
 * what was given. That may be anything, so it is escaped and cut.
 */

#include "base/option.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/command_reader.h"
#include "base/option_table.h"
#include "base/spelling.h"
#include "base/utf8.h"

/* As much of a bad value as is shown, in bytes. */
#define SHOWN_SIZE_MAX ((size_t) 100)

#define VARIABLE_PREFIX "TOOLHIVE_"

struct reader {
        struct configuration *configuration;
        struct text *problems;                  /* of values */
        char **environment;
        const char *values[OPTION_COUNT];       /* as given, where sources says */
        enum option_origin sources[OPTION_COUNT];
        bool bad[OPTION_COUNT];
};

void text_add_quoted(struct text *text, const char *value, size_t size) {
        _cleanup_text_ struct text cut = TEXT_INIT, escaped = TEXT_INIT;
        size_t shown = size > SHOWN_SIZE_MAX ? utf8_cut(value, SHOWN_SIZE_MAX) : size;

        text_add_bytes(&cut, value, shown);
        if (shown < size)
                text_add(&cut, "…");
        if (text_error(&cut) == 0)
                text_add_logfmt(&escaped, cut.data);
        if (text_error(&cut) < 0 || text_error(&escaped) < 0 || !escaped.data) {
                text->failed = true;
                return;
        }

        bool quoted = escaped.data[0] == '"';
        text_addf(text, quoted ? "%s" : "\"%s\"", escaped.data);
}

/*
 * A value as given, but for the user and the password of a URL: problem lines
 * end in the journal, where more people read than in the settings.
 */
static void add_value(struct text *text, const char *value) {
        const char *secret = strstr(value, "://");
        secret = secret ? secret + strlen("://") : strchr(value, ':');

        const char *at = secret ? strrchr(secret, '@') : NULL;
        if (!at) {
                text_add_quoted(text, value, strlen(value));
                return;
        }

        _cleanup_text_ struct text masked = TEXT_INIT;
        text_add_bytes(&masked, value, (size_t) (secret - value));
        text_add(&masked, *secret == ':' ? ":***" : "***");
        text_add(&masked, at);
        if (text_error(&masked) < 0)
                text->failed = true;
        else
                text_add_quoted(text, masked.data, masked.size);
}

/* The option or the variable; where neither was used, the variable. */
static void add_name(struct text *text, size_t i, enum option_origin source) {
        if (source == ORIGIN_COMMAND_LINE)
                text_addf(text, "--%s", option_rows[i].option);
        else
                text_add(text, option_rows[i].variable);
}

/* Begins the problem line of a value that was given; what is accepted comes next. */
static struct text *add_problem(struct reader *reader, size_t i) {
        struct text *problems = reader->problems;

        add_name(problems, i, reader->sources[i]);
        text_add(problems, ": ");
        add_value(problems, reader->values[i]);
        text_add(problems, " is not accepted: ");
        return problems;
}

/*
 * Finds out what one row was given, and sets its field. In Kubernetes mode the
 * addresses of ToolHive are not even looked at: a Service that is named toolhive
 * puts TOOLHIVE_PORT=tcp://… into the environment of every pod.
 */
static int read_row(struct reader *reader, size_t i) {
        struct settings *settings = &reader->configuration->settings;
        const struct option_row *row = &option_rows[i];
        void *field = (char *) settings + row->offset;
        int r;

        if (reader->values[i])
                reader->sources[i] = ORIGIN_COMMAND_LINE;
        else if (!row->address || settings->runtime_mode != RUNTIME_K8S) {
                reader->values[i] = option_environment_get(reader->environment, row->variable);
                reader->sources[i] = ORIGIN_ENVIRONMENT;
        }

        if (reader->values[i]) {
                r = row->type->parse(row, reader->values[i], field);
                if (r < 0)
                        return r;
                if (r == 0) {
                        reader->configuration->origins[i] = reader->sources[i];
                        return 0;
                }

                struct text *problems = add_problem(reader, i);
                row->type->accepted(row, problems);
                text_add(problems, "\n");
                reader->bad[i] = true;
        }

        if (!row->default_value)
                return 0;

        r = row->type->parse(row, row->default_value, field);
        assert(r != VALUE_BAD);
        return r;
}

/* The two are the wrong way round. The one that was given is wrong; of two, the upper one. */
static void add_disorder(struct reader *reader, size_t low, size_t high) {
        const struct configuration *configuration = reader->configuration;
        bool high_given = configuration->origins[high] != ORIGIN_DEFAULT;
        size_t other = high_given ? low : high;
        const struct option_row *row = &option_rows[other];
        struct text *problems = add_problem(reader, high_given ? high : low);

        text_add(problems, high_given ? "not below " : "not above ");
        add_name(problems, other, configuration->origins[other]);
        text_add(problems, ", which is ");
        row->type->format(row, option_field(row, &configuration->settings), problems);
        text_addf(problems, " (%s)\n", option_origin_name(configuration->origins[other]));
}

/* Values that are good by themselves and do not go together. */
static int check_together(struct reader *reader) {
        struct settings *settings = &reader->configuration->settings;
        const bool *bad = reader->bad;
        int r;

        if (!bad[OPTION_START_PORT_SCAN] && !bad[OPTION_END_PORT_SCAN] &&
            settings->end_port_scan < settings->start_port_scan)
                add_disorder(reader, OPTION_START_PORT_SCAN, OPTION_END_PORT_SCAN);

        if (!bad[OPTION_INITIAL_BACKOFF] && !bad[OPTION_MAX_BACKOFF] &&
            settings->max_backoff < settings->initial_backoff)
                add_disorder(reader, OPTION_INITIAL_BACKOFF, OPTION_MAX_BACKOFF);

        if (!bad[OPTION_K8S_NAMESPACE] && !settings->k8s_all_namespaces &&
            !settings->k8s_namespace) {
                r = option_pod_namespace(settings, &settings->k8s_namespace);
                if (r < 0)
                        return r;
                if (r == VALUE_BAD)
                        text_add(add_problem(reader, OPTION_K8S_ALL_NAMESPACES),
                                 "true, or false with a namespace in K8S_NAMESPACE\n");
        }

        return 0;
}

/* Who misspells a variable would otherwise never learn why it has no effect. */
static void warn_of_misspelt(struct reader *reader) {
        struct text *warnings = &reader->configuration->warnings;

        for (char **p = reader->environment; *p; p++) {
                size_t size = strcspn(*p, "=");

                if (strncmp(*p, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 || !(*p)[size] ||
                    !(*p)[size + 1])
                        continue;

                struct spelling spelling = spelling_of(*p, size, SPELLING_TWO);
                for (size_t i = 0; i < OPTION_COUNT; i++)
                        spelling_consider(&spelling, option_rows[i].variable);
                if (!spelling.nearest || spelling.distance == 0)
                        continue;

                text_add_quoted(warnings, *p, size);
                text_addf(warnings, " is no setting: did you mean %s?\n", spelling.nearest);
        }
}

/* The values of the rows, whether they go together, and what looks like a setting. */
static int read_settings(struct reader *reader) {
        struct configuration *configuration = reader->configuration;
        int r;

        /* the mode has the first row: others depend on it */
        for (size_t i = 0; i < OPTION_COUNT; i++) {
                r = read_row(reader, i);
                if (r < 0)
                        return r;
        }

        r = option_compute_defaults(configuration, reader->environment);
        if (r < 0)
                return r;

        r = check_together(reader);
        if (r < 0)
                return r;

        if (configuration->settings.runtime_mode != RUNTIME_K8S)
                warn_of_misspelt(reader);
        return 0;
}

int configuration_read(struct configuration *configuration, int argc, char **argv,
                       char **environment) {
        _cleanup_text_ struct text unheard = TEXT_INIT;
        struct reader reader = {
                .configuration = configuration,
                .problems = &configuration->problems,
                .environment = environment,
        };
        int r;

        *configuration = (struct configuration) { .action = ACTION_RUN };
        r = command_line_read(configuration, reader.values, argc, argv);
        if (r < 0)
                return r;

        /* Who asks for help may have come because of the settings. */
        if (configuration->command.command == COMMAND_HELP && configuration->action == ACTION_RUN)
                reader.problems = &unheard;

        r = read_settings(&reader);
        if (r < 0)
                return r;

        /* A shell that completes a line has no place for words of ours. */
        if (configuration->command.command == COMMAND_COMPLETE) {
                text_clear(&configuration->problems);
                text_clear(&configuration->warnings);
        }

        r = text_error(&configuration->problems);
        return r < 0 ? r : text_error(&configuration->warnings);
}

void configuration_done(struct configuration *configuration) {
        settings_done(&configuration->settings);
        command_line_done(&configuration->command);
        text_done(&configuration->problems);
        text_done(&configuration->warnings);
}

enum option_origin configuration_origin(const struct configuration *configuration, const char *option) {
        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (strcmp(option_rows[i].option, option) == 0)
                        return configuration->origins[i];
        return ORIGIN_DEFAULT;
}

bool configuration_is_address_given(const struct configuration *configuration) {
        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (option_rows[i].address && configuration->origins[i] != ORIGIN_DEFAULT)
                        return true;
        return false;
}
