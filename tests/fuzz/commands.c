/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The commands that ask ToolHive, from the words to what they print. The input: the
 * words, one a line; then, after lines with %, what ToolHive answers (answers.h).
 * What is printed is harmless or JSON, fits the terminal, and holds no confidential
 * value; each command ends, with an exit code of its own.
 */

#include <errno.h>

#include "answers.h"
#include "base/json.h"
#include "command/command.h"

enum { WORDS_MAX = 24, FIXED = 5 };

#define EXPORTED "the value of the environment"

static char *environment[] = { (char *) "EXPORTED=" EXPORTED, NULL };

/* Long enough not to be anywhere by chance, and in the input only once. */
static void must_hide(const char *value, const struct command_context *context, const uint8_t *data, size_t size) {
        const struct text *const shown[] = { &context->output, &context->notes, &answers.logged };
        size_t length = strlen(value);

        if (length < 8 || count_of(data, size, value, length) != 1)
                return;
        for (size_t i = 0; i < ELEMENTSOF(shown); i++)
                must(!holds(shown[i]->data, shown[i]->size, value, length));
}

static void hide_given(const struct command_context *context, const uint8_t *data, size_t size) {
        const struct word_list *env = &context->configuration->command.env;

        for (size_t i = 0; i < env->n; i++)
                if (strchr(env->words[i], '='))
                        must_hide(strchr(env->words[i], '=') + 1, context, data, size);
        if (count_of(data, size, EXPORTED, strlen(EXPORTED)) == 0)
                must_hide(EXPORTED, context, (const uint8_t *) EXPORTED, strlen(EXPORTED));
}

/* The values of env_vars in the answer about a workload. */
static void hide_details(const struct part *part, const struct command_context *context, const uint8_t *data,
                         size_t size) {
        const char *body = memchr(part->data, '\n', part->size), *problem;
        struct json_slice document, variables, key, value;
        size_t position = 0;
        char string[256];

        if (!body || json_scan(body, part->size - (size_t) (body - part->data), &document, &problem) != 0 ||
            json_slice_member(document, "env_vars", &variables) != 0 || json_type_of(variables) != '{')
                return;
        while (json_slice_next(variables, &position, &key, &value))
                if (json_slice_string(value, string, sizeof string))
                        must_hide(string, context, data, size);
}

static void check_output(const struct command_context *context, int r) {
        const struct command_line *line = &context->configuration->command;
        const struct text *output = &context->output;

        must(text_error(output) == 0 && text_error(&context->notes) == 0);
        if (line->command == COMMAND_COMPLETE) {
                must(r == COMMAND_OK);
                return;
        }
        must(r == COMMAND_OK || r == COMMAND_FAILED || (r >= COMMAND_NO_SUCH && r <= COMMAND_NOT_UP) ||
             r == COMMAND_USAGE);
        must(r == COMMAND_OK || answers.logged.size > 0);
        must_be_harmless(&context->notes, LINES);
        if (line->json && output->size > 0)
                must_be_json(output->data, output->size);
        must(!line->json || output->size > 0 || r != COMMAND_OK);
        must_be_harmless(output, LINES);
        if (!line->json && context->out.width > 0 &&
            (line->command == COMMAND_LIST || line->command == COMMAND_SHOW))
                must_fit(output, context->out.width);
}

static int run(struct command_context *context) {
        switch (context->configuration->command.command) {
        case COMMAND_LIST:
                return command_list(context);
        case COMMAND_SHOW:
                return command_show(context);
        case COMMAND_REGISTRY:
                return command_registry(context);
        case COMMAND_INSTALL:
                return command_install(context);
        case COMMAND_COMPLETE:
        case COMMAND_RUN:
        case COMMAND_STATUS:
        case COMMAND_WAIT:
        case COMMAND_HELP:
        case COMMAND_COUNT:
                break;
        }
        return -1;
}

/* The ToolHive of the input is the only one there is, and nothing is on the disk. */
static bool is_ours(const struct configuration *configuration) {
        const struct settings *settings = &configuration->settings;

        return configuration->problems.size == 0 && configuration->action == ACTION_RUN &&
               !configuration->command.help && settings->toolhive_api_url && !settings->state_file &&
               strcmp(settings->toolhive_api_url, "http://127.0.0.1:8080") == 0 &&
               strcmp(settings->k8s_api_server_url, "http://127.0.0.1:8080") == 0 && !settings->k8s_token_file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *words[WORDS_MAX + FIXED + 1] = { (char *) "mcp-optimizer",
                                               (char *) "--toolhive-api-url=http://127.0.0.1:8080",
                                               (char *) "--k8s-api-server-url=http://127.0.0.1:8080",
                                               (char *) "--k8s-token-file=none",
                                               (char *) "--state-file=none" };
        _cleanup_(configuration_done) struct configuration configuration = {};
        struct command_context context = {
                .configuration = &configuration,
                .environment = environment,
                .out = { .fd = -1, .is_terminal = size % 3 > 0, .width = size % 3 * 40 },
                .err = { .fd = -1 },
        };
        _cleanup_parts_ struct parts parts;
        struct virtual_waiter v;
        int r;

        parts_split(&parts, data, size);
        r = FIXED + (int) part_lines(&parts.parts[0], words + FIXED, WORDS_MAX);
        must(configuration_read(&configuration, r, words, environment) == 0);
        if (!is_ours(&configuration))
                return 0;

        virtual_init(&v);
        context.waiter = &v.waiter;
        answers_begin(&parts, 1, &v);
        r = run(&context);
        if (r >= 0) {
                /* No command lasts longer than its time limits, an installation with its wait. */
                must(virtual_elapsed(&v) <= 200000 * USEC_PER_SEC);
                check_output(&context, r);
                hide_given(&context, data, size);
                if (configuration.command.command == COMMAND_SHOW && parts.n > 1)
                        hide_details(&parts.parts[1], &context, data, size);
        }
        answers_end();
        text_done(&context.output);
        text_done(&context.notes);
        return 0;
}
