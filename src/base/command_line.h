/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The one table of commands: what each is called, what it takes, what it is for.
 * It drives the command line, `help`, the completion, and the tests of man page
 * and README, as the option table does for the settings (base/option.h). What a
 * command does is in command/.
 */

#include "base/text.h"

enum command {
        COMMAND_RUN,            /* the service; the same without a command */
        COMMAND_STATUS,
        COMMAND_WAIT,
        COMMAND_LIST,
        COMMAND_SHOW,
        COMMAND_REGISTRY,
        COMMAND_INSTALL,
        COMMAND_HELP,
        COMMAND_COMPLETE,       /* for the shells' completion: not in --help, its words are not looked at */
        COMMAND_COUNT,
};

/* The words of one repeated option, or of COMMAND_COMPLETE; borrowed from argv. */
struct word_list {
        const char **words;
        size_t n;
};

/* What the command line said of the command. Strings are borrowed from argv; NULL: not given. */
struct command_line {
        enum command command;
        const char *name;               /* the argument: of a workload, a registry entry, a command */
        bool help;                      /* --help behind the command */

        bool json;
        bool all;                       /* list */
        bool alive;                     /* status */
        usec_t timeout;                 /* the default of the command where it was not given */
        bool timeout_given;
        const char *search;             /* registry */

        const char *as;                 /* install, to the end */
        struct word_list env;           /* KEY=VALUE, or KEY: the value is this environment's */
        struct word_list secrets;       /* NAME,target=KEY */
        const char *group;
        const char *url;
        const char *transport;
        usec_t wait;                    /* 0: does not wait */

        struct word_list words;         /* COMMAND_COMPLETE: all that follows */
};

enum command_option_kind {
        COMMAND_OPTION_FLAG,            /* bool */
        COMMAND_OPTION_STRING,          /* const char * */
        COMMAND_OPTION_WORDS,           /* struct word_list: may be given again */
        COMMAND_OPTION_SECONDS,         /* usec_t */
};

struct command_option_row {
        const char *option;             /* without its dashes */
        enum command_option_kind kind;
        const char *metavar;            /* "SECONDS"; NULL for a flag */
        size_t offset;                  /* of the field in struct command_line */

        uint64_t min, max;              /* seconds: in millionths, as in the option table */
        uint64_t default_value;         /* seconds likewise */
        const char *default_help;       /* what help says of it, where it is not that */

        const char *const *keywords;    /* what completes, and all that is accepted, in any case */
        bool (*is_accepted)(const char *value); /* where there are no keywords */
        const char *accepted;           /* the same in words */
        bool confidential;              /* a problem line never shows what was given */
        const char *help;
};

/* What the argument of a command names: for its check, and for its completion. */
enum command_argument {
        ARGUMENT_NONE,
        ARGUMENT_WORKLOAD,
        ARGUMENT_SERVER,                /* of the registry */
        ARGUMENT_COMMAND,
};

struct command_row {
        const char *name;
        bool hidden;                    /* in no list for people */
        enum command_argument argument;
        bool argument_required;
        const char *synopsis;           /* what follows the name: "NAME [--as NAME] …" */
        const char *help;               /* one line, for --help */
        const char *description;        /* for `help COMMAND`: a paragraph a line; examples are indented */
        const struct command_option_row *options;
        size_t n_options;
        const char *exit_status;        /* "0 connected; 1 …": as in the man page; without 78 and 130 */
};

extern const struct command_row command_rows[COMMAND_COUNT];

/* NULL when there is none of that name; a hidden one is found too. */
const struct command_row *command_find(const char *name, size_t size);
const struct command_option_row *command_option_find(const struct command_row *row, const char *option,
                                                     size_t size);
/* The command of this or nearly this name, never a hidden one; NULL: none is near. */
const char *command_nearest(const char *name, size_t size);

/* The commands as --help lists them. */
void command_help_list(struct text *text);
/* All of one command, for `help COMMAND` and `COMMAND --help`. */
void command_help(struct text *text, enum command command);

void command_line_done(struct command_line *line);
