/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Completion for the shells
 *
 *         mcp-optimizer complete WORD…
 *
 * The words are those of the command line behind the program's name; the last is
 * the one under the cursor, perhaps empty. What can stand there is printed, one
 * candidate a line, with what it means behind a tab where that is known:
 *
 *         CANDIDATE
 *         CANDIDATE<TAB>DESCRIPTION
 *         <TAB>files
 *
 * The last form is no candidate: the shell is to add the names of files. Behind
 * "--option=" each candidate begins with that, and the shell puts it before the
 * files. All is plain text, which the shells' scripts (conf/completions/) quote as
 * they insert it; a tab or a line break is in no name that our parsers let pass.
 *
 * Commands, options and words come from the tables that the program itself reads
 * its command line by. Names come from the service's state file, or else from
 * the API, in one attempt within a second. Somebody is in the middle of a line:
 * whatever goes wrong here ends in no candidates, silence and exit 0.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/ascii.h"
#include "base/option_table.h"
#include "command/client.h"
#include "command/command.h"
#include "report/log.h"
#include "report/service_state.h"

/* Longer than that nobody waits for a key to do something. */
#define ASK_TIMEOUT USEC_PER_SEC

/* An option that takes a value, of either table; both NULL: none. */
struct valued_option {
        const struct option_row *setting;
        const struct command_option_row *option;
};

struct completion {
        struct command_context *context;
        const char *word;               /* under the cursor, behind the "=" of an option */
        const char *before;             /* what stands in front of it: "--log-level=", or nothing */
        size_t before_size;

        /* What the words before it came to. */
        const char *const *words;
        size_t n_words;
        const struct command_row *command;      /* NULL: none yet */
        struct valued_option expecting;         /* the option whose value comes next */
        size_t n_arguments;                     /* of the command */
        bool options_ended;                     /* by "--" */
        bool lost;                              /* there is no such command: nothing can be said */
};

/* Reading the words */

static bool is_long(const char *word) {
        return strncmp(word, "--", 2) == 0;
}

static bool is_spelt(const char *name, size_t size, const char *option) {
        return strlen(option) == size && memcmp(name, option, size) == 0;
}

/* What a word such as "--timeout" or "--timeout=5" is the option of. */
static struct valued_option find_valued(const struct completion *completion, const char *word) {
        const struct command_option_row *option = NULL;
        const char *name = word + strlen("--");
        size_t size = strcspn(name, "=");

        if (completion->command)
                option = command_option_find(completion->command, name, size);
        if (option)
                return (struct valued_option) { .option = option->metavar ? option : NULL };

        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (is_spelt(name, size, option_rows[i].option))
                        return (struct valued_option) { .setting = &option_rows[i] };
        return (struct valued_option) {};
}

static bool is_option(const struct completion *completion, const char *word) {
        return word[0] == '-' && !completion->options_ended;
}

/* Two dashes make an option of what would be a value. */
static bool is_expected(const struct completion *completion, const char *word) {
        return (completion->expecting.setting || completion->expecting.option) && !is_long(word);
}

/* One word before the cursor, as the command line's own reader takes it. */
static void take_word(struct completion *completion, const char *word) {
        bool is_value = is_expected(completion, word);

        completion->expecting = (struct valued_option) {};
        if (is_value)
                return;

        if (is_option(completion, word) && word[1]) {
                if (strcmp(word, "--") == 0)
                        completion->options_ended = true;
                else if (is_long(word) && !strchr(word, '='))
                        completion->expecting = find_valued(completion, word);
        } else if (!completion->command) {
                completion->command = command_find(word, strlen(word));
                if (!completion->command || completion->command->hidden)
                        completion->lost = true;
        } else
                completion->n_arguments++;
}

/* Offering */

static void add_line(const struct completion *completion, const char *candidate,
                     const char *description) {
        struct text *output = &completion->context->output;

        text_add_bytes(output, completion->before, completion->before_size);
        text_add(output, candidate);
        if (description && *description)
                text_addf(output, "\t%s", description);
        text_add(output, "\n");
}

/* If it begins with what has been typed. */
static void offer(const struct completion *completion, const char *candidate,
                  const char *description) {
        if (strncmp(candidate, completion->word, strlen(completion->word)) == 0)
                add_line(completion, candidate, description);
}

/* Words that are accepted in any case are completed so: whoever types "de" means DEBUG. */
static void offer_keywords(const struct completion *completion, const char *const *keywords) {
        for (; *keywords; keywords++)
                if (ascii_equal_any_case(*keywords, completion->word, strlen(completion->word)))
                        add_line(completion, *keywords, NULL);
}

static void offer_value(const struct completion *completion, struct valued_option valued) {
        static const char *const booleans[] = { "true", "false", NULL };
        static const char *const none[] = { "none", NULL };
        const struct option_row *setting = valued.setting;

        if (valued.option && valued.option->keywords)
                offer_keywords(completion, valued.option->keywords);
        if (!setting)
                return;

        if (setting->keywords)
                offer_keywords(completion, setting->keywords);
        if (setting->type == &option_type_boolean)
                offer_keywords(completion, booleans);
        if (setting->type == &option_type_path) {
                if (setting->none)
                        offer_keywords(completion, none);
                text_add(&completion->context->output, "\tfiles\n");
        }
}

/* Whether the option stands before the cursor already. */
static bool is_given(const struct completion *completion, const char *option) {
        for (size_t i = 0; i < completion->n_words; i++) {
                const char *word = completion->words[i];

                if (is_long(word) && is_spelt(word + 2, strcspn(word + 2, "="), option))
                        return true;
        }
        return false;
}

static void offer_option(const struct completion *completion, const char *option,
                         const char *help) {
        _cleanup_text_ struct text dashed = TEXT_INIT;

        text_addf(&dashed, "--%s", option);
        if (text_error(&dashed) == 0)
                offer(completion, dashed.data, help);
}

static void offer_own_options(const struct completion *completion) {
        const struct command_row *command = completion->command;

        for (size_t i = 0; i < command->n_options; i++) {
                const struct command_option_row *row = &command->options[i];

                if (row->kind == COMMAND_OPTION_WORDS || !is_given(completion, row->option))
                        offer_option(completion, row->option, row->help);
        }
}

static void offer_options(const struct completion *completion) {
        if (completion->command)
                offer_own_options(completion);

        /* Behind a command --help is about that; the others mean the program. */
        for (size_t i = 0; i < OPTION_ACTION_COUNT; i++) {
                const struct option_action_row *row = &option_action_rows[i];

                if (!completion->command || row->action == ACTION_HELP)
                        offer_option(completion, row->option, row->help);
        }

        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (!is_given(completion, option_rows[i].option))
                        offer_option(completion, option_rows[i].option, option_rows[i].help);
}

static void offer_commands(const struct completion *completion) {
        for (size_t i = 0; i < COMMAND_COUNT; i++)
                if (!command_rows[i].hidden)
                        offer(completion, command_rows[i].name, command_rows[i].help);
}

/* Names */

/* One that begins with a dash would be an option there. */
static void offer_name(const struct completion *completion, const char *name,
                       const char *description) {
        if (!is_option(completion, name))
                offer(completion, name, description);
}

static void offer_workload(const struct completion *completion, const struct workload *workload) {
        _cleanup_text_ struct text name = TEXT_INIT;

        workload_format_name(&name, workload);
        if (text_error(&name) == 0)
                offer_name(completion, name.data, workload->status);
}

static void offer_workloads(const struct completion *completion, const struct workload_list *list) {
        for (size_t i = 0; i < list->n_items; i++)
                offer_workload(completion, list->items[i]);
}

static void offer_servers(const struct completion *completion, const struct registry *registry) {
        for (size_t i = 0; i < registry->n_names; i++)
                offer_name(completion, registry->names[i], NULL);
}

/* From what the service wrote down. False when it does not say. */
static bool offer_from_state(const struct completion *completion,
                             const struct command_context *context) {
        _cleanup_(service_state_paths_done) struct service_state_paths paths = {};
        _cleanup_(service_state_done) struct service_state state = {};
        enum command_argument argument = completion->command->argument;

        if (command_state_paths(context, &paths) < 0 || service_state_read(&state, &paths) < 0 ||
            !state.document)
                return false;

        if (argument == ARGUMENT_WORKLOAD && state.snapshot.workloads) {
                offer_workloads(completion, state.snapshot.workloads);
                return true;
        }
        if (argument == ARGUMENT_SERVER && state.snapshot.registry) {
                offer_servers(completion, state.snapshot.registry);
                return true;
        }
        return false;
}

/*
 * Nothing may be written between the prompt and what is being typed: no log, no
 * progress, whoever has them. 0 or a negative errno, after which nothing that
 * could speak may be called.
 */
static int fall_silent(struct command_context *context) {
        _cleanup_(closep) int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
                return -errno;

        log_init(LEVEL_CRITICAL, LOG_FORMAT_TEXT);
        context->err = terminal_of(STDERR_FILENO);
        return 0;
}

static void offer_from_api(const struct completion *completion,
                                struct command_context *context) {
        bool workloads = completion->command->argument == ARGUMENT_WORKLOAD;
        struct call call = { .kind = workloads ? CALL_LIST_WORKLOADS : CALL_REGISTRY };
        struct client client;

        if (!workloads && context->configuration->settings.runtime_mode == RUNTIME_K8S)
                return;
        if (fall_silent(context) < 0)
                return;

        if (client_init(&client, context, source_new, ASK_TIMEOUT) == 0 &&
            client_run(&client, &call, "") == 0) {
                if (call.workloads)
                        offer_workloads(completion, call.workloads);
                if (call.registry)
                        offer_servers(completion, call.registry);
        }
        call_done(&call);
        client_done(&client);
}

/*
 * The settings are those of the line that is being typed, read as it would be if
 * it ended before the cursor; what is bad about it is told when it is entered.
 */
static void offer_names(const struct completion *completion) {
        _cleanup_(freep) char **argv = calloc(completion->n_words + 2, sizeof(*argv));
        struct command_context context = *completion->context;
        struct configuration typed;

        if (!argv)
                return;

        argv[0] = (char *) "mcp-optimizer";
        memcpy(&argv[1], completion->words, completion->n_words * sizeof(*argv));

        if (configuration_read(&typed, (int) completion->n_words + 1, argv, context.environment) == 0) {
                /* One attempt: an API that refuses is not waited for. */
                typed.settings.max_retries = 1;
                context.configuration = &typed;
                if (!offer_from_state(completion, &context))
                        offer_from_api(completion, &context);
        }
        configuration_done(&typed);
}

static void offer_argument(const struct completion *completion) {
        switch (completion->command->argument) {
        case ARGUMENT_NONE:
                return;
        case ARGUMENT_WORKLOAD:
        case ARGUMENT_SERVER:
                offer_names(completion);
                return;
        case ARGUMENT_COMMAND:
                offer_commands(completion);
                return;
        }
}

/* Which of all that can stand where the cursor is. */
static void offer_all(struct completion *completion) {
        const char *word = completion->word, *equals = strchr(word, '=');

        if (completion->lost)
                return;

        if (is_expected(completion, word))
                offer_value(completion, completion->expecting);
        else if (is_option(completion, word) && is_long(word) && equals) {
                completion->before = word;
                completion->before_size = (size_t) (equals + 1 - word);
                completion->word = equals + 1;
                offer_value(completion, find_valued(completion, word));
        } else if (is_option(completion, word))
                offer_options(completion);
        else if (!completion->command)
                offer_commands(completion);
        else if (completion->n_arguments == 0 && completion->command->argument != ARGUMENT_NONE)
                offer_argument(completion);
        else if (!completion->options_ended)
                offer_own_options(completion);
}

int command_complete(struct command_context *context) {
        const struct word_list *line = &context->configuration->command.words;
        struct completion completion = { .context = context, .before = "" };

        if (line->n == 0)
                return COMMAND_OK;

        completion.word = line->words[line->n - 1];
        completion.words = line->words;
        completion.n_words = line->n - 1;
        for (size_t i = 0; i < completion.n_words; i++)
                take_word(&completion, completion.words[i]);

        offer_all(&completion);

        /* Half an answer would be taken for all of it. */
        if (text_error(&context->output) < 0)
                text_clear(&context->output);
        return COMMAND_OK;
}
