/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The options of the command line. Settings and actions are taken everywhere,
 * since nobody remembers on which side of the command they belong; the options of
 * a command only behind it, where those of the same name can be told apart.
 *
 * An option that is none, or not here, is told with the one that was meant: the
 * command that has it, or else the nearest in spelling of all that could stand in
 * its place.
 */

#include <string.h>

#include "base/ascii.h"
#include "base/command_reader.h"
#include "base/option_table.h"
#include "base/spelling.h"

/* Longer than each option by more than any distance that counts. */
#define OPTION_SIZE_MAX ((size_t) 64)

/* A word that is an option, taken apart. */
struct option_word {
        const char *word;
        size_t size;            /* up to its '=' */
        const char *name;       /* without its dashes; what has one dash has no name */
        size_t name_size;
        const char *value;      /* behind '='; NULL: none */
};

static const char *next_word(const struct command_reader *reader) {
        return reader->position + 1 < reader->n_words ? reader->words[reader->position + 1] : NULL;
}

static bool is_spelt(const struct option_word *word, const char *option) {
        return word->name && strlen(option) == word->name_size &&
               memcmp(word->name, option, word->name_size) == 0;
}

static const struct option_action_row *find_action(const struct option_word *word) {
        for (size_t i = 0; i < OPTION_ACTION_COUNT; i++) {
                const struct option_action_row *row = &option_action_rows[i];

                if (is_spelt(word, row->option) ||
                    (word->size == 2 && word->word[1] == row->letter && row->letter))
                        return row;
        }
        return NULL;
}

/* The index of a setting; OPTION_COUNT: none. */
static size_t find_setting(const struct option_word *word) {
        size_t i = 0;

        while (i < OPTION_COUNT && !is_spelt(word, option_rows[i].option))
                i++;
        return i;
}

static const struct command_option_row *find_own(const struct command_row *row,
                                                 const struct option_word *word) {
        return row && word->name ? command_option_find(row, word->name, word->name_size) : NULL;
}

/*
 * The value of an option: behind '=', or else the next word, which is then passed.
 * Two dashes make an option of that; a value that starts so stands behind '='.
 */
static const char *take_value(struct command_reader *reader, const struct option_word *word) {
        const char *next = next_word(reader);

        if (word->value)
                return word->value;
        if (!next || strncmp(next, "--", 2) == 0)
                return NULL;
        reader->position++;
        return next;
}

static void read_action(struct command_reader *reader, const struct option_action_row *row,
                        const struct option_word *word) {
        enum option_action *action = &reader->configuration->action;

        if (word->value)
                text_addf(reader->problems, "--%s takes no value\n", row->option);
        else if (row->action == ACTION_HELP && reader->row)
                reader->line->help = true;
        else if (*action == ACTION_RUN || row->action < *action)
                *action = row->action;
}

static void read_setting(struct command_reader *reader, size_t i, const struct option_word *word) {
        const struct option_row *row = &option_rows[i];
        const char *value = take_value(reader, word);

        if (value) {
                reader->values[i] = value;
                return;
        }
        text_addf(reader->problems, "--%s needs a value: ", row->option);
        row->type->accepted(row, reader->problems);
        text_add(reader->problems, "\n");
}

/* A value that is not accepted; of several, which are never shown, the number. */
static void add_bad_value(struct command_reader *reader, const struct command_option_row *option,
                          const char *value, size_t number) {
        text_addf(reader->problems, "--%s", option->option);
        if (number > 0)
                text_addf(reader->problems, " number %zu", number);
        if (!option->confidential) {
                text_add(reader->problems, ": ");
                text_add_stray(reader->problems, value);
        }
        text_add(reader->problems, " is not accepted: ");
        command_option_accepted(option, reader->problems);
        text_add(reader->problems, "\n");
}

/* The keyword as the table spells it; NULL: none. */
static const char *find_keyword(const struct command_option_row *option, const char *value) {
        for (const char *const *keyword = option->keywords; *keyword; keyword++)
                if (ascii_equal_any_case(value, *keyword, SIZE_MAX))
                        return *keyword;
        return NULL;
}

static void set_string(struct command_reader *reader, const struct command_option_row *option,
                       const char *value) {
        const char **field = command_option_field(option, reader->line);

        if (option->keywords)
                *field = find_keyword(option, value);
        else
                *field = option->is_accepted(value) ? value : NULL;
        if (!*field)
                add_bad_value(reader, option, value, 0);
}

static void set_seconds(struct command_reader *reader, const struct command_option_row *option,
                        const char *value) {
        usec_t *field = command_option_field(option, reader->line);
        uint64_t usec;

        if (value_parse_decimal(value, option->max, &usec) != 0 || usec < option->min) {
                add_bad_value(reader, option, value, 0);
                return;
        }
        *field = usec;
        if (field == &reader->line->timeout)
                reader->line->timeout_given = true;
}

static int add_word(struct command_reader *reader, const struct command_option_row *option,
                    const char *value) {
        struct word_list *field = command_option_field(option, reader->line);
        int r;

        r = command_words_add(field, value);
        if (r == 0 && !option->is_accepted(value))
                add_bad_value(reader, option, value, field->n);
        return r;
}

/* Of values that were given twice either may be the one that was meant. */
static void note_given(struct command_reader *reader, const struct command_option_row *option) {
        uint64_t bit = UINT64_C(1) << (option - reader->row->options);

        if (option->kind != COMMAND_OPTION_WORDS && (reader->given & bit))
                text_addf(reader->problems, "--%s is given twice\n", option->option);
        reader->given |= bit;
}

/* An option of the command itself. */
static int read_own(struct command_reader *reader, const struct command_option_row *option,
                    const struct option_word *word) {
        const char *value = NULL;

        note_given(reader, option);
        if (option->kind != COMMAND_OPTION_FLAG) {
                value = take_value(reader, word);
                if (!value) {
                        text_addf(reader->problems, "--%s needs a value: ", option->option);
                        command_option_accepted(option, reader->problems);
                        text_add(reader->problems, "\n");
                        return 0;
                }
        }

        switch (option->kind) {
        case COMMAND_OPTION_FLAG:
                if (word->value)
                        text_addf(reader->problems, "--%s takes no value\n", option->option);
                *(bool *) command_option_field(option, reader->line) = true;
                return 0;
        case COMMAND_OPTION_STRING:
                set_string(reader, option, value);
                return 0;
        case COMMAND_OPTION_WORDS:
                return add_word(reader, option, value);
        case COMMAND_OPTION_SECONDS:
                set_seconds(reader, option, value);
                return 0;
        }
        return 0;
}

/* The first command for people, from a given one on, that has the option; COMMAND_COUNT: none. */
static size_t find_owner(const struct option_word *word, size_t from) {
        while (from < COMMAND_COUNT &&
               (command_rows[from].hidden || !find_own(&command_rows[from], word)))
                from++;
        return from;
}

/* The command that comes later on the line, where it has the option; else any that has it. */
static const struct command_row *find_meant(const struct command_reader *reader,
                                            const struct option_word *word) {
        for (int i = reader->position + 1; i < reader->n_words; i++) {
                const char *later = reader->words[i];
                const struct command_row *row = command_find(later, strlen(later));

                if (row && find_own(row, word))
                        return row;
        }
        return &command_rows[find_owner(word, 0)];
}

/* An option that is known, of other commands than this one; or that stands before its command. */
static void read_misplaced(struct command_reader *reader, const struct option_word *word) {
        const struct command_row *meant = find_meant(reader, word);
        const struct command_option_row *option = find_own(meant, word);

        if (reader->row) {
                text_addf(reader->problems, "--%s is no option of %s, but of ", option->option,
                          reader->row->name);
                for (size_t i = find_owner(word, 0), next; i < COMMAND_COUNT; i = next) {
                        next = find_owner(word, i + 1);
                        text_addf(reader->problems, "%s%s", command_rows[i].name,
                                  next < COMMAND_COUNT ? ", " : "\n");
                }
        } else if (!reader->command_seen)
                text_addf(reader->problems,
                          "--%s belongs behind a command: mcp-optimizer %s --%s%s%s\n",
                          option->option, meant->name, option->option, option->metavar ? " " : "",
                          option->metavar ?: "");

        if (option->kind != COMMAND_OPTION_FLAG)
                (void) take_value(reader, word);
}

/* The option that a misspelt or cut one is nearest to; NULL: none is near. */
static const char *find_nearest(const struct command_reader *reader,
                                const struct option_word *word) {
        size_t dashes = strspn(word->word, "-");
        size_t size = word->size > dashes ? word->size - dashes : 0;
        char name[OPTION_SIZE_MAX];
        struct spelling spelling;

        if (size > sizeof(name))
                return NULL;

        /* a variable's name behind two dashes is an option nearly well spelt */
        for (size_t i = 0; i < size; i++) {
                char c = word->word[dashes + i];

                name[i] = c == '_' ? '-' : ascii_to_lower(c);
        }

        spelling = spelling_of(name, size, SPELLING_NEAR);
        for (size_t i = 0; reader->row && i < reader->row->n_options; i++)
                spelling_consider(&spelling, reader->row->options[i].option);
        for (size_t i = 0; i < OPTION_COUNT; i++)
                spelling_consider(&spelling, option_rows[i].option);
        for (size_t i = 0; i < OPTION_ACTION_COUNT; i++)
                spelling_consider(&spelling, option_action_rows[i].option);
        return spelling.nearest;
}

/* Whether an option that exists, here, has no value. */
static bool is_flag(const struct command_reader *reader, const char *option) {
        size_t size = strlen(option);
        const struct option_word word = { option, size, option, size, NULL };
        const struct command_option_row *own = find_own(reader->row, &word);

        return own ? own->kind == COMMAND_OPTION_FLAG : find_action(&word) != NULL;
}

static void read_unknown(struct command_reader *reader, const struct option_word *word) {
        const char *nearest = find_nearest(reader, word), *next = next_word(reader);

        text_add_quoted(reader->problems, word->word, word->size);
        if (nearest)
                text_addf(reader->problems, " is no option: did you mean --%s?\n", nearest);
        else if (reader->row)
                text_addf(reader->problems,
                          " is no option: mcp-optimizer help %s lists all of them\n",
                          reader->row->name);
        else
                text_add(reader->problems, " is no option: --help lists all of them\n");

        /* What follows is likely its value; as a command, it would hide the options behind it. */
        if (word->value || !next || next[0] == '-' || (nearest && is_flag(reader, nearest)) ||
            (!reader->command_seen && command_find(next, strlen(next))))
                return;
        reader->position++;
        reader->passed_over = true;
}

int command_option_read(struct command_reader *reader, const char *text) {
        struct option_word word = { .word = text, .size = strcspn(text, "=") };
        const struct option_action_row *action;
        const struct command_option_row *own;
        size_t setting;

        word.value = text[word.size] ? text + word.size + 1 : NULL;
        if (strncmp(text, "--", 2) == 0) {
                word.name = text + 2;
                word.name_size = word.size - 2;
        }
        action = find_action(&word);
        setting = find_setting(&word);
        own = find_own(reader->row, &word);

        if (action)
                read_action(reader, action, &word);
        else if (setting < OPTION_COUNT)
                read_setting(reader, setting, &word);
        else if (own)
                return read_own(reader, own, &word);
        else if (find_owner(&word, 0) < COMMAND_COUNT)
                read_misplaced(reader, &word);
        else
                read_unknown(reader, &word);
        return 0;
}
