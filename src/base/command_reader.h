/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the modules of options and commands share among each other, and nobody
 * else needs: the walk over the command line, and how words are checked and told.
 */

#include "base/option.h"

#define COMMAND_NAME_SIZE_MAX ((size_t) 253)
#define COMMAND_NAMESPACE_SIZE_MAX ((size_t) 63)
#define TEXT_ACCEPTED "1 to 253 bytes without control characters"
#define NAME_ACCEPTED TEXT_ACCEPTED ", neither . nor .."

/* The walk over the command line, as far as it has come. */
struct command_reader {
        struct configuration *configuration;
        struct command_line *line;              /* both are parts of the configuration */
        struct text *problems;
        const char **values;                    /* of the settings, as given */

        char **words;
        int n_words;
        int position;                           /* of the word that is looked at */

        const struct command_row *row;          /* NULL: no command yet, or one that there is not */
        bool command_seen;
        bool only_words;                        /* behind "--" */
        bool passed_over;                       /* a word, perhaps the argument */
        uint64_t given;                         /* the command's options, by their place in its row */
};

/*
 * Walks argv, all of it: fills the action, the command with its words, and for each
 * setting that was given its value, as given; problems go to the configuration.
 * 0 or -ENOMEM.
 */
int command_line_read(struct configuration *configuration, const char *values[static OPTION_COUNT],
                      int argc, char **argv);

/*
 * Reads the option at the position, and passes the word behind it where that is its
 * value. 0 or -ENOMEM.
 */
int command_option_read(struct command_reader *reader, const char *text);

int command_words_add(struct word_list *list, const char *word);

/* Whether a text can be a name of a workload or of a server: see NAME_ACCEPTED. */
bool command_is_name(const char *value);
/* The same where a namespace may be in front: "tools/fetch". */
bool command_is_workload(const char *value);

/* Appends what an option of a command accepts: "seconds from 1 to 86400". */
void command_option_accepted(const struct command_option_row *row, struct text *text);

/*
 * Appends so many bytes of a value in quotes, so that an empty one can be seen and
 * where a long one ends; escaped, and cut where it is very long.
 */
void text_add_quoted(struct text *text, const char *value, size_t size);

/*
 * The same for a word that is not what it should be: no more of it than what stands
 * before its '=', since it may be a setting that has lost its --env.
 */
void text_add_stray(struct text *text, const char *word);

/* Appends a paragraph in lines of at most 80 columns, each behind the indent. ASCII only. */
void text_add_paragraph(struct text *text, size_t indent, const char *paragraph);

static inline void *command_option_field(const struct command_option_row *row,
                                         struct command_line *line) {
        return (char *) line + row->offset;
}
