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

enum { WORDS_MAX = 24 };

#define ADDRESS "http://127.0.0.1:8080"
#define EXPORTED "the value of the environment"

/* The API of the input is the only one there is, and nothing is on the disk. */
static char *environment[] = {
        (char *) "TOOLHIVE_API_URL=" ADDRESS, (char *) "K8S_API_SERVER_URL=" ADDRESS, (char *) "K8S_TOKEN_FILE=none",
        (char *) "STATE_FILE=none", (char *) "EXPORTED=" EXPORTED, NULL
};

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

static bool is_key(struct json_slice key, const char *name) {
        char string[32];

        return key.data && json_slice_string(key, string, sizeof string) && strcmp(string, name) == 0;
}

/* Every string behind one of the keys, at any depth: ToolHive has env_vars, Kubernetes the value of each of env. */
static void hide_values(struct json_slice value, bool hidden, const struct command_context *context,
                        const uint8_t *data, size_t size) {
        struct json_slice key, entry;
        size_t position = 0;
        char string[256];

        if (hidden && json_slice_string(value, string, sizeof string))
                must_hide(string, context, data, size);
        while (json_slice_next(value, &position, &key, &entry))
                hide_values(entry, hidden || is_key(key, "env_vars") || is_key(key, "value"), context, data, size);
}

static void hide_details(const struct parts *parts, const struct command_context *context, const uint8_t *data,
                         size_t size) {
        for (size_t i = 1; i < parts->n; i++) {
                const struct part *part = &parts->parts[i];
                const char *body = memchr(part->data, '\n', part->size), *problem;
                struct json_slice document;

                if (body && json_scan(body, part->size - (size_t) (body - part->data), &document, &problem) == 0)
                        hide_values(document, false, context, data, size);
        }
}

/* Lines, of which each may have a description behind a tab. */
static void check_candidates(const struct text *output) {
        _cleanup_text_ struct text copy = TEXT_INIT;

        text_add_bytes(&copy, output->data ?: "", output->size);
        for (char *line = copy.data, *end; *line; line = end + 1) {
                char *tab = strchr(line, '\t');

                end = strchr(line, '\n');
                must(end && end > line);
                if (tab && tab < end)
                        *tab = ' ';
        }
        must_be_harmless(&copy, LINES);
}

static void check_output(const struct command_context *context, int r) {
        const struct command_line *line = &context->configuration->command;
        const struct text *output = &context->output;

        must(text_error(output) == 0 && text_error(&context->notes) == 0);
        if (line->command == COMMAND_COMPLETE) {
                must(r == COMMAND_OK);
                check_candidates(output);
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

/* Words may have other settings. */
static bool is_ours(const struct settings *settings) {
        const char *address = settings->runtime_mode == RUNTIME_K8S ? settings->k8s_api_server_url
                                                                    : settings->toolhive_api_url;

        return address && strcmp(address, ADDRESS) == 0 && !settings->k8s_token_file && !settings->state_file;
}

/*
 * The settings are those of the words that are being typed, all but the last one;
 * and it silences stderr for good, which libFuzzer needs.
 */
static int complete(struct command_context *context) {
        const struct word_list *line = &context->configuration->command.words;
        _cleanup_(configuration_done) struct configuration typed = {};
        char *words[WORDS_MAX + 1] = { (char *) "mcp-optimizer" };
        _cleanup_(closep) int saved = -1;
        int r, n = 1;

        for (size_t i = 0; i + 1 < line->n; i++)
                words[n++] = (char *) line->words[i];
        must(configuration_read(&typed, n, words, environment) == 0);
        if (!is_ours(&typed.settings))
                return -1;

        saved = dup(STDERR_FILENO);
        r = command_complete(context);
        must(saved >= 0 && dup2(saved, STDERR_FILENO) >= 0);
        return r;
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
                return complete(context);
        case COMMAND_RUN:
        case COMMAND_STATUS:
        case COMMAND_WAIT:
        case COMMAND_HELP:
        case COMMAND_COUNT:
                break;
        }
        return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *words[WORDS_MAX + 2] = { (char *) "mcp-optimizer" };
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
        r = 1 + (int) part_lines(&parts.parts[0], words + 1, WORDS_MAX);
        must(configuration_read(&configuration, r, words, environment) == 0);
        if (configuration.problems.size > 0 || configuration.action != ACTION_RUN || configuration.command.help ||
            !is_ours(&configuration.settings))
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
                if (configuration.command.command == COMMAND_SHOW)
                        hide_details(&parts, &context, data, size);
        }
        answers_end();
        text_done(&context.output);
        text_done(&context.notes);
        return 0;
}
