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

#include "base/option_table.h"
#include "base/utf8.h"

/* As much of a bad value as is shown, in bytes. */
#define SHOWN_SIZE_MAX ((size_t) 100)

#define VARIABLE_PREFIX "TOOLHIVE_"

struct reader {
        struct configuration *configuration;
        char **environment;
        const char *values[OPTION_COUNT];       /* as given, where sources says */
        enum option_origin sources[OPTION_COUNT];
        bool bad[OPTION_COUNT];
};

/* In quotes, whatever it is, so that an empty value can be seen, and where a long one ends. */
static void add_quoted(struct text *text, const char *value, size_t size) {
        _cleanup_text_ struct text cut = TEXT_INIT, escaped = TEXT_INIT;
        size_t shown = size > SHOWN_SIZE_MAX ? utf8_cut(value, SHOWN_SIZE_MAX) : size;

        text_add_bytes(&cut, value, shown);
        if (shown < size)
                text_add(&cut, "…");
        if (text_error(&cut) == 0)
                text_add_logfmt(&escaped, cut.data);
        if (text_error(&cut) < 0 || text_error(&escaped) < 0) {
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
                add_quoted(text, value, strlen(value));
                return;
        }

        _cleanup_text_ struct text masked = TEXT_INIT;
        text_add_bytes(&masked, value, (size_t) (secret - value));
        text_add(&masked, *secret == ':' ? ":***" : "***");
        text_add(&masked, at);
        if (text_error(&masked) < 0)
                text->failed = true;
        else
                add_quoted(text, masked.data, masked.size);
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
        struct text *problems = &reader->configuration->problems;

        add_name(problems, i, reader->sources[i]);
        text_add(problems, ": ");
        add_value(problems, reader->values[i]);
        text_add(problems, " is not accepted: ");
        return problems;
}

static void add_unknown_option(struct text *problems, const char *word, size_t size) {
        size_t dashes = strspn(word, "-");
        const char *nearest = option_nearest(word + dashes, size > dashes ? size - dashes : 0);

        add_quoted(problems, word, size);
        if (nearest)
                text_addf(problems, " is no option: did you mean --%s?\n", nearest);
        else
                text_add(problems, " is no option: --help lists all of them\n");
}

static bool is_spelt(const char *name, size_t size, const char *option) {
        return strlen(option) == size && memcmp(name, option, size) == 0;
}

/* Takes in one option, and the word behind it where that is its value. Returns how many words. */
static int read_option(struct reader *reader, const char *word, const char *next) {
        struct configuration *configuration = reader->configuration;
        size_t size = strcspn(word, "=");
        const char *value = word[size] == '=' ? word + size + 1 : NULL;
        bool is_long = strncmp(word, "--", 2) == 0;

        for (size_t i = 0; is_long && i < OPTION_ACTION_COUNT; i++) {
                const struct option_action_row *row = &option_action_rows[i];

                if (!is_spelt(word + 2, size - 2, row->option))
                        continue;

                if (value)
                        text_addf(&configuration->problems, "--%s takes no value\n", row->option);
                else if (configuration->action == ACTION_RUN || row->action < configuration->action)
                        configuration->action = row->action;
                return 1;
        }

        for (size_t i = 0; is_long && i < OPTION_COUNT; i++) {
                const struct option_row *row = &option_rows[i];
                int words = 1;

                if (!is_spelt(word + 2, size - 2, row->option))
                        continue;

                /* two dashes make an option of it; a value that starts so stands behind '=' */
                if (!value && next && strncmp(next, "--", 2) != 0) {
                        value = next;
                        words = 2;
                }
                if (value) {
                        reader->values[i] = value;
                        return words;
                }

                text_addf(&configuration->problems, "--%s needs a value: ", row->option);
                row->type->accepted(row, &configuration->problems);
                text_add(&configuration->problems, "\n");
                return 1;
        }

        add_unknown_option(&configuration->problems, word, size);

        /* What follows is likely its value; as a command, it would hide the options behind it. */
        return !value && next && next[0] != '-' ? 2 : 1;
}

static void read_command_line(struct reader *reader, int argc, char **argv) {
        int i = 1;

        while (i < argc && argv[i][0] == '-' && argv[i][1]) {
                if (strcmp(argv[i], "--") == 0) {
                        i++;
                        break;
                }
                i += read_option(reader, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        }

        reader->configuration->first_argument = i < argc ? i : argc;
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

        if (settings->runtime_mode == RUNTIME_K8S)
                text_add(add_problem(reader, OPTION_RUNTIME_MODE),
                         "docker; Kubernetes mode is not built yet in this version\n");

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

                const char *nearest = option_nearest_variable(*p, size);
                if (!nearest || is_spelt(*p, size, nearest))
                        continue;

                add_quoted(warnings, *p, size);
                text_addf(warnings, " is no setting: did you mean %s?\n", nearest);
        }
}

int configuration_read(struct configuration *configuration, int argc, char **argv,
                       char **environment) {
        struct reader reader = { .configuration = configuration, .environment = environment };
        int r;

        *configuration = (struct configuration) { .action = ACTION_RUN };
        read_command_line(&reader, argc, argv);

        /* the mode has the first row: others depend on it */
        for (size_t i = 0; i < OPTION_COUNT; i++) {
                r = read_row(&reader, i);
                if (r < 0)
                        return r;
        }

        r = option_compute_defaults(configuration, environment);
        if (r < 0)
                return r;

        r = check_together(&reader);
        if (r < 0)
                return r;

        if (configuration->settings.runtime_mode != RUNTIME_K8S)
                warn_of_misspelt(&reader);

        r = text_error(&configuration->problems);
        return r < 0 ? r : text_error(&configuration->warnings);
}

void configuration_done(struct configuration *configuration) {
        settings_done(&configuration->settings);
        text_done(&configuration->problems);
        text_done(&configuration->warnings);
}
