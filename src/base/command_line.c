/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The walk over the command line.
 *
 * Words are options or not; the first that is none is the command, and its row of
 * the table says what may stand behind it. Nothing here judges the value of a
 * setting: base/option.c does, for all origins alike.
 *
 * Whoever mistyped should have to correct it once, so every problem becomes a line
 * and the walk goes on. A word that may belong to an option nobody knows is passed
 * over rather than taken for an argument.
 *
 * What should not be shown is not: a word up to its '=' at most, since people
 * write `install x TOKEN=abc`, and no stray word of a command that takes secrets.
 */

#include <errno.h>
#include <string.h>

#include "base/command_reader.h"

int command_words_add(struct word_list *list, const char *word) {
        const char **words = reallocarray(list->words, list->n + 1, sizeof(*words));

        if (!words)
                return -ENOMEM;
        words[list->n++] = word;
        list->words = words;
        return 0;
}

void text_add_stray(struct text *text, const char *word) {
        size_t size = strcspn(word, "=");
        _cleanup_text_ struct text shown = TEXT_INIT;

        text_add_bytes(&shown, word, size);
        text_add(&shown, word[size] ? "=…" : "");
        if (text_error(&shown) < 0)
                text->failed = true;
        else
                text_add_quoted(text, shown.data, shown.size);
}

static void add_no_command(struct text *problems, const char *word) {
        const char *nearest = command_nearest(word, strlen(word));

        text_add_stray(problems, word);
        if (nearest)
                text_addf(problems, " is no command: did you mean %s?\n", nearest);
        else
                text_add(problems, " is no command: --help lists all of them\n");
}

static void read_command(struct command_reader *reader, const char *word) {
        const struct command_row *row = command_find(word, strlen(word));

        reader->command_seen = true;
        if (!row) {
                add_no_command(reader->problems, word);
                return;
        }

        reader->row = row;
        reader->line->command = (enum command) (row - command_rows);
        for (size_t i = 0; i < row->n_options; i++)
                if (row->options[i].kind == COMMAND_OPTION_SECONDS)
                        *(usec_t *) command_option_field(&row->options[i], reader->line) =
                                row->options[i].default_value;
}

static void add_bad_name(struct command_reader *reader, const char *name, const char *accepted) {
        text_add_stray(reader->problems, name);
        text_addf(reader->problems, " is no name for %s: %s\n", reader->row->name, accepted);
}

static void add_too_many(struct command_reader *reader, const char *word) {
        const struct command_row *row = reader->row;

        if (command_option_find(row, "secret", strlen("secret"))) {
                text_addf(reader->problems,
                          "%s has one word too many, which may be a secret and is not shown: "
                          "settings of the server are given by --env KEY=VALUE\n", row->name);
                return;
        }
        text_add_stray(reader->problems, word);
        text_addf(reader->problems, " is one word too many: %s takes %s\n", row->name,
                  row->argument == ARGUMENT_NONE ? "no argument" : "one argument");
}

static void read_argument(struct command_reader *reader, const char *word) {
        const struct command_row *row = reader->row;

        if (row->argument == ARGUMENT_NONE || reader->line->name) {
                add_too_many(reader, word);
                return;
        }

        reader->line->name = word;
        switch (row->argument) {
        case ARGUMENT_NONE:
                break;
        case ARGUMENT_SERVER:
                /* in no name of a registry, but in a setting that lost its --env */
                if (!command_is_name(word) || strchr(word, '='))
                        add_bad_name(reader, word, NAME_ACCEPTED ", without =");
                break;
        case ARGUMENT_WORKLOAD:
                if (!command_is_workload(word))
                        add_bad_name(reader, word, NAME_ACCEPTED);
                break;
        case ARGUMENT_COMMAND:
                if (!command_find(word, strlen(word)))
                        add_no_command(reader->problems, word);
                break;
        }
}

/* What the words of a command have to do with each other. */
static void check_command(struct command_reader *reader) {
        const struct command_row *row = reader->row;
        const struct command_line *line = reader->line;

        if (row && row->argument_required && !line->name && !reader->passed_over)
                text_addf(reader->problems, "%s needs a name: mcp-optimizer %s NAME\n", row->name,
                          row->name);
        if (line->name && line->search)
                text_add(reader->problems,
                         "a name and --search exclude each other: the one shows one server, the "
                         "other lists several\n");
        if (line->transport && !line->url)
                text_add(reader->problems, "--transport is for --url only: the registry knows what "
                                           "its servers speak\n");
}

int command_line_read(struct configuration *configuration, const char *values[static OPTION_COUNT],
                      int argc, char **argv) {
        struct command_reader reader = {
                .configuration = configuration,
                .line = &configuration->command,
                .problems = &configuration->problems,
                .values = values,
                .words = argv,
                .n_words = argc,
        };
        int r = 0;

        for (reader.position = 1; r == 0 && reader.position < argc; reader.position++) {
                const char *word = argv[reader.position];

                if (reader.line->command == COMMAND_COMPLETE)
                        r = command_words_add(&reader.line->words, word);
                else if (!reader.only_words && strcmp(word, "--") == 0)
                        reader.only_words = true;
                else if (!reader.only_words && word[0] == '-' && word[1])
                        r = command_option_read(&reader, word);
                else if (!reader.command_seen)
                        read_command(&reader, word);
                else if (reader.row)
                        read_argument(&reader, word);
        }
        if (r == 0)
                check_command(&reader);
        return r;
}

void command_line_done(struct command_line *line) {
        free(line->env.words);
        free(line->secrets.words);
        free(line->words.words);
        *line = (struct command_line) {};
}
