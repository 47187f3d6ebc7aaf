/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What was given for a server, held against what its entry in the registry wants.
 *
 * Values stay in this struct and in the body that install_body.c makes of it. No
 * sentence made here holds one.
 */

#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "base/json.h"
#include "base/option_value.h"
#include "base/spelling.h"
#include "base/utf8.h"
#include "command/install_request.h"
#include "command/mask.h"

#define TARGET ",target="
#define MASKED_MIN 4                    /* what is shorter is no secret, and stands in any sentence by chance */

/* ---- what was given ---- */

static int bad(struct text *problem) {
        return text_error(problem) < 0 ? -ENOMEM : INSTALL_REQUEST_BAD;
}

static const char *look_up(char **environment, const char *name) {
        size_t size = strlen(name);

        for (char **variable = environment; variable && *variable; variable++)
                if (strncmp(*variable, name, size) == 0 && (*variable)[size] == '=')
                        return *variable + size + 1;
        return NULL;
}

/* JSON is UTF-8. ToolHive would mend other bytes without a word, and a password would not be it any more. */
static bool is_utf8(const char *string) {
        uint32_t code;

        while (*string) {
                size_t n = utf8_decode(string, SIZE_MAX, &code);

                if (n == 0)
                        return false;
                string += n;
        }
        return true;
}

/* Takes over nothing. A key is told in problems, so it has to be fit to be shown. */
static int add_setting(struct install_request *request, const char *key, size_t key_size,
                       const char *value, const char *secret, size_t secret_size,
                       struct text *problem) {
        struct given_setting *setting = &request->settings[request->n_settings];

        setting->key = strndup(key, key_size);
        setting->value = value ? strdup(value) : NULL;
        setting->secret = secret ? strndup(secret, secret_size) : NULL;
        request->n_settings++;
        if (!setting->key || (value && !setting->value) || (secret && !setting->secret))
                return -ENOMEM;

        if (!json_is_clean_name(setting->key, VALUE_SETTING_NAME_MAX))
                text_add(problem, "--env and --secret need the name of a setting");
        else if (!is_utf8(setting->value ?: setting->secret))
                text_addf(problem, "What is given for %s is no UTF-8", setting->key);
        else {
                for (size_t i = 0; i + 1 < request->n_settings; i++)
                        if (strcmp(request->settings[i].key, setting->key) == 0) {
                                text_addf(problem, "%s is given twice", setting->key);
                                return bad(problem);
                        }
                return 0;
        }
        return bad(problem);
}

/* KEY=VALUE, or KEY: its value is this environment's, where an empty one is as good as none. */
static int add_env(struct install_request *request, const char *word, char **environment,
                   struct text *problem) {
        size_t size = strcspn(word, "=");
        const char *value = word[size] ? word + size + 1 : look_up(environment, word);

        if (!value || (!word[size] && !*value)) {
                if (json_is_clean_name(word, VALUE_SETTING_NAME_MAX))
                        text_addf(problem, "--env %s takes its value from the environment, "
                                           "where it is not set, or empty", word);
                else
                        text_add(problem, "--env needs the name of a setting");
                return bad(problem);
        }
        return add_setting(request, word, size, value, NULL, 0, problem);
}

/* NAME,target=KEY, as `thv run --secret` takes it. */
static int add_secret(struct install_request *request, const char *word, struct text *problem) {
        const char *target = strstr(word, TARGET), *key = target ? target + strlen(TARGET) : NULL;

        if (!target || target == word) {
                text_add(problem, "--secret is to be NAME" TARGET "KEY");
                return bad(problem);
        }
        return add_setting(request, key, strlen(key), NULL, word, (size_t) (target - word), problem);
}

/* ---- the name ---- */

static int set_name(struct install_request *request, const char *name, struct text *problem) {
        if (!value_is_workload_name(name)) {
                text_addf(problem, "A workload's name may only contain letters, digits, dots, hyphens and underscores, "
                                   "%d at most, and not begin with two dots", VALUE_WORKLOAD_NAME_MAX);
                return bad(problem);
        }
        request->name = strdup(name);
        return request->name ? 0 : -ENOMEM;
}

/* A name of the registry can be like io.github.stacklok/fetch: its last part, with "-" for what may not be in it. */
static int set_name_after(struct install_request *request, const struct registry_entry *entry,
                          struct text *problem) {
        const char *slash = strrchr(entry->name, '/'), *from = slash ? slash + 1 : entry->name;
        char name[VALUE_WORKLOAD_NAME_MAX + 1];
        size_t n = 0;

        for (; from[n] && n < VALUE_WORKLOAD_NAME_MAX; n++)
                name[n] = ascii_is_alphanumeric(from[n]) || strchr("._-", from[n]) ? from[n] : '-';
        name[n] = '\0';

        if (value_is_workload_name(name))
                return set_name(request, name, problem);
        text_add(problem, "No name for a workload can be made from that of the server: give one by --as");
        return bad(problem);
}

int install_request_init(struct install_request *request, const struct command_line *line,
                         char **environment, struct text *problem) {
        int r = 0;

        *request = (struct install_request) {};
        if (line->url && line->env.n + line->secrets.n > 0) {
                text_add(problem, "A server at a URL takes neither --env nor --secret: it has no environment here");
                return bad(problem);
        }
        if (line->as || line->url)
                r = set_name(request, line->as ?: line->name, problem);

        request->settings = calloc(line->env.n + line->secrets.n + 1, sizeof *request->settings);
        if (!request->settings)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < line->env.n; i++)
                r = add_env(request, line->env.words[i], environment, problem);
        for (size_t i = 0; r == 0 && i < line->secrets.n; i++)
                r = add_secret(request, line->secrets.words[i], problem);
        return r;
}

void install_request_done(struct install_request *request) {
        for (size_t i = 0; i < request->n_settings; i++) {
                free(request->settings[i].key);
                free(request->settings[i].value);
                free(request->settings[i].secret);
        }
        free(request->settings);
        free(request->name);
        *request = (struct install_request) {};
}

/* ---- which of the entry's settings they are ---- */

static bool is_key_of_header(const char *key, const char *header) {
        for (; *key && *header; key++, header++)
                if (ascii_to_lower(*key == '_' ? '-' : *key) != ascii_to_lower(*header == '_' ? '-' : *header))
                        return false;
        return *key == *header;
}

static bool has_variable(const struct registry_entry *entry, const char *key) {
        for (size_t i = 0; i < entry->n_env_vars; i++)
                if (strcmp(entry->env_vars[i].name, key) == 0)
                        return true;
        return false;
}

const char *install_request_header(const struct install_request *request, const char *key) {
        const struct registry_entry *entry = request->entry;

        if (!entry || has_variable(entry, key))
                return NULL;
        for (size_t i = 0; i < entry->n_headers; i++)
                if (is_key_of_header(key, entry->headers[i].name))
                        return entry->headers[i].name;
        return NULL;
}

bool install_request_is_given(const struct install_request *request,
                              const struct registry_setting *setting, bool is_header) {
        for (size_t i = 0; i < request->n_settings; i++) {
                const char *key = request->settings[i].key, *header = install_request_header(request, key);

                /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): no setting is without a name */
                if (is_header ? header && strcmp(header, setting->name) == 0
                              : strcmp(key, setting->name) == 0)
                        return true;
        }
        return false;
}

/* As CGI names the variable of a header. */
static void add_folded(struct text *text, const char *header) {
        for (const char *c = header; *c; c++) {
                char folded = *c == '-' ? '_' : ascii_is_lower(*c) ? (char) (*c - 'a' + 'A') : *c;

                text_add_bytes(text, &folded, 1);
        }
}

void install_request_add_key(struct text *text, const struct registry_setting *setting, bool is_header) {
        if (is_header)
                add_folded(text, setting->name);
        else
                text_add(text, setting->name);
}

/* Which key was meant by a misspelt one, whatever their case; nothing when none is near. */
static void add_nearest_key(struct text *text, const struct registry_entry *entry, const char *key) {
        _cleanup_text_ struct text name = TEXT_INIT, candidate = TEXT_INIT;
        const struct registry_setting *nearest = NULL;
        struct spelling spelling;
        bool is_header = false;

        add_folded(&name, key);
        spelling = spelling_of(name.data ?: "", name.size, SPELLING_NEAR);
        for (size_t i = 0; i < entry->n_env_vars + entry->n_headers; i++) {
                bool header = i >= entry->n_env_vars;
                const struct registry_setting *setting =
                        header ? &entry->headers[i - entry->n_env_vars] : &entry->env_vars[i];

                text_clear(&candidate);
                add_folded(&candidate, setting->name);
                spelling.nearest = NULL;
                spelling_consider(&spelling, candidate.data ?: "");
                if (spelling.nearest) {
                        nearest = setting;
                        is_header = header;
                }
        }
        if (nearest) {
                text_add(text, ": did you mean ");
                install_request_add_key(text, nearest, is_header);
                text_add(text, "?");
        }
        text->failed |= name.failed | candidate.failed;
}

/*
 * A container may take variables of which the registry knows nothing. A remote
 * server has no environment: what is none of its settings would reach nobody.
 */
static int check_keys(const struct install_request *request, struct text *problem) {
        const struct registry_entry *entry = request->entry;

        for (size_t i = 0; entry->remote && i < request->n_settings; i++) {
                const char *key = request->settings[i].key;

                if (!has_variable(entry, key) && !install_request_header(request, key)) {
                        text_addf(problem, "%s has no setting %s", entry->name, key);
                        add_nearest_key(problem, entry, key);
                        return bad(problem);
                }
        }
        return 0;
}

int install_request_set_entry(struct install_request *request, const struct registry_entry *entry,
                              struct text *problem) {
        int r;

        request->entry = entry;
        r = check_keys(request, problem);
        if (r != 0)
                return r;
        for (size_t i = 0; i < request->n_settings; i++) {
                const char *header = install_request_header(request, request->settings[i].key);

                for (size_t j = 0; header && j < i; j++)
                        if (install_request_header(request, request->settings[j].key) == header) {
                                text_addf(problem, "The header %s is given twice", header);
                                return bad(problem);
                        }
        }
        return request->name ? 0 : set_name_after(request, entry, problem);
}

/* ---- what is missing ---- */

static void add_missing(struct text *text, const struct registry_setting *setting, bool is_header) {
        _cleanup_text_ struct text key = TEXT_INIT;
        int width;

        install_request_add_key(&key, setting, is_header);
        width = (int) (strlen("--secret NAME" TARGET) + key.size);
        text_addf(text, "%s%s: %s\n", setting->name,
                  is_header ? setting->secret ? " (header, secret)" : " (header)"
                            : setting->secret ? " (secret)" : "",
                  setting->description ?: "no description");
        if (setting->secret) {
                text_addf(text, "    --secret NAME" TARGET "%s   from ToolHive's secret store (thv secret set NAME)\n",
                          key.data);
                text_addf(text, "    --env %-*s   from this environment\n", width - (int) strlen("--env "), key.data);
        } else
                text_addf(text, "    --env %s=VALUE\n", key.data);
        text->failed |= key.failed;
}

size_t install_request_missing(const struct install_request *request, struct text *text) {
        const struct registry_entry *entry = request->entry;
        size_t n = entry ? entry->n_env_vars + entry->n_headers : 0, missing = 0;

        for (size_t i = 0; i < n; i++) {
                bool is_header = i >= entry->n_env_vars;
                const struct registry_setting *setting =
                        is_header ? &entry->headers[i - entry->n_env_vars] : &entry->env_vars[i];

                if (!setting->required || setting->default_value || install_request_is_given(request, setting, is_header))
                        continue;
                add_missing(text, setting, is_header);
                missing++;
        }
        return missing;
}

/* ---- what ToolHive says of it ---- */

/*
 * Whether the value looks the same when it is repeated as a string of JSON or of
 * Go (%q, %+q), in HTML, or in quotes. Others could be repeated in many a spelling.
 */
static bool is_plain(const char *value) {
        for (; *value; value++)
                if (*value < ' ' || *value > '~' || strchr("\"\\'`<>&", *value))
                        return false;
        return true;
}

/*
 * How much at the start of the words repeats the value. ToolHive's words may have
 * been cut within it.
 */
static size_t repeats(const char *words, const char *value) {
        size_t n = 0;

        while (value[n] && words[n] == value[n])
                n++;
        return n >= MASKED_MIN && (!value[n] || !words[n]) ? n : 0;
}

void install_request_add_words(const struct install_request *request, const char *words,
                               struct text *text) {
        for (size_t i = 0; i < request->n_settings; i++) {
                const char *value = request->settings[i].value ?: "";

                if (strlen(value) >= MASKED_MIN && !is_plain(value)) {
                        text_add(text, "its words are not shown, since they may hold a value that was given");
                        return;
                }
        }
        while (*words) {
                size_t longest = 0;

                for (size_t i = 0; i < request->n_settings; i++) {
                        size_t n = repeats(words, request->settings[i].value ?: "");

                        longest = n > longest ? n : longest;
                }
                if (longest > 0)
                        text_add(text, MASK);
                else
                        text_add_bytes(text, words, 1);
                words += longest ?: 1;
        }
}
