/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One entry of the registry, and the request that installs it. The input: the
 * answer about the entry; then, after a line with %, what was given: lines like
 * --env's KEY=VALUE, or --secret's NAME,target=KEY. The body is JSON without
 * duplicates, and no sentence for the person repeats a value.
 */

#include <string.h>

#include "checks.h"
#include "command/install_request.h"
#include "fuzz.h"

enum { GIVEN_MAX = 16 };

/* Long enough not to be anywhere by chance, and in the input only once. */
static bool is_traceable(const char *value, const uint8_t *data, size_t size) {
        return strlen(value) >= 8 && count_of(data, size, value, strlen(value)) == 1;
}

static void must_hide(const struct install_request *request, const struct text *text, const uint8_t *data,
                      size_t size) {
        for (size_t i = 0; i < request->n_settings; i++) {
                const char *value = request->settings[i].value ?: "";

                if (is_traceable(value, data, size))
                        must(!holds(text->data, text->size, value, strlen(value)));
        }
}

/* What ToolHive says when it refuses, should it repeat the value. */
static void check_words(const struct install_request *request, const uint8_t *data, size_t size) {
        for (size_t i = 0; i < request->n_settings; i++) {
                _cleanup_text_ struct text words = TEXT_INIT, shown = TEXT_INIT;

                if (!request->settings[i].value || !is_traceable(request->settings[i].value, data, size))
                        continue;
                text_addf(&words, "failed to decode request: %s is invalid", request->settings[i].value);
                install_request_add_words(request, words.data, &shown);
                must_hide(request, &shown, data, size);
        }
}

static void install(const struct registry_entry *entry, struct command_line *line, const uint8_t *data,
                    size_t size) {
        static char *environment[] = { (char *) "EXPORTED=the value of the environment", NULL };
        _cleanup_text_ struct text problem = TEXT_INIT, missing = TEXT_INIT, body = TEXT_INIT;
        _cleanup_install_request_ struct install_request request;
        int r;

        r = install_request_init(&request, line, environment, &problem);
        if (r == 0)
                r = install_request_set_entry(&request, entry, &problem);
        must(r == 0 || (r == INSTALL_REQUEST_BAD && problem.size > 0));
        text_add(&problem, "");
        must_be_harmless(&problem, ONE_LINE);
        must_hide(&request, &problem, data, size);
        if (r != 0)
                return;

        must(install_request_missing(&request, &missing) <= entry->n_env_vars + entry->n_headers);
        text_add(&missing, "");
        must_be_harmless(&missing, LINES);
        must_hide(&request, &missing, data, size);
        check_words(&request, data, size);

        must(install_request_body(&request, line, &body) == 0);
        must_be_harmless(&body, ONE_LINE);
        must_be_json(body.data, body.size);
}

/* A line is a secret where it looks like one, else a value. */
static void give(struct part *part, struct command_line *line, const char **words) {
        char *lines[GIVEN_MAX + 1];
        size_t n = part_lines(part, lines, GIVEN_MAX);

        for (size_t i = 0; i < n; i++)
                if (!strstr(lines[i], ",target="))
                        words[line->env.n++] = lines[i];
        line->env.words = words;
        line->secrets.words = words + line->env.n;
        for (size_t i = 0; i < n; i++)
                if (strstr(lines[i], ",target="))
                        line->secrets.words[line->secrets.n++] = lines[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
        _cleanup_(json_object_putp) struct json_object *document = NULL;
        struct command_line line = { .command = COMMAND_INSTALL, .name = "fetch" };
        const char *words[GIVEN_MAX + 1], *problem = NULL;
        _cleanup_parts_ struct parts parts;
        struct json_slice value;
        int r;

        parts_split(&parts, data, size);
        if (json_scan(parts.parts[0].data, parts.parts[0].size, &value, &problem) != 0 ||
            json_type_of(value) != '{' || json_parse(value, &document, &problem) != 0)
                return 0;

        r = registry_entry_parse_answer(document, &entry, &problem);
        if (r != 0) {
                must(r == JSON_BAD && problem);
                return 0;
        }
        check_registry_entry(entry);

        if (parts.n > 1)
                give(&parts.parts[1], &line, words);
        install(entry, &line, data, size);
        return 0;
}
