/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the tree of one server to what is shown and installed of it.
 *
 * An allow-list: of an entry are taken the members that are known here, where they
 * have the type that is known here. What is of another type, too long, or could
 * not be shown is as good as absent, since all of it is optional; only a name, and
 * arguments, with which another program would run if one of them were left out,
 * make an entry unusable.
 *
 * Callers may rely on this: every string but a default and an argument is short
 * and harmless to show. Those two are handed on to ToolHive and not ours to mend.
 */

#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "base/option_value.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/registry.h"
#include "model/registry_entry.h"

/* What the longest honest value of its kind stays well under, in bytes. */
#define WORD_MAX 64                     /* tier, status, transport */
#define PROSE_MAX 2048                  /* what is longer is cut */
#define URL_MAX 2048
#define IMAGE_MAX 1024                  /* with its digest */
#define DATA_MAX 32768                  /* a default, an argument */

static void strings_free(char **strings) {
        for (char **string = strings; string && *string; string++)
                free(*string);
        free(strings);
}

static void strings_freep(char ***strings) {
        strings_free(*strings);
}

static void settings_free(struct registry_setting *settings, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(settings[i].name);
                free(settings[i].description);
                free(settings[i].default_value);
        }
        free(settings);
}

struct registry_entry *registry_entry_free(struct registry_entry *entry) {
        if (!entry)
                return NULL;

        free(entry->name);
        free(entry->title);
        free(entry->description);
        free(entry->tier);
        free(entry->status);
        free(entry->transport);
        free(entry->image);
        free(entry->url);
        free(entry->repository_url);
        strings_free(entry->tools);
        strings_free(entry->tags);
        strings_free(entry->args);
        settings_free(entry->env_vars, entry->n_env_vars);
        settings_free(entry->headers, entry->n_headers);
        free(entry);
        return NULL;
}

static bool is_data(const char *string) {
        return strnlen(string, DATA_MAX + 1) <= DATA_MAX;
}

/* Below, *ret_string stays NULL where there is no such member that can be taken. 0 or -ENOMEM. */

static int take_name(struct json_object *object, const char *key, size_t max, char **ret_string) {
        const char *string;

        if (json_get_string(object, key, &string) != 0 || !json_is_clean_name(string, max))
                return 0;
        *ret_string = strdup(string);
        return *ret_string ? 0 : -ENOMEM;
}

static int take_data(struct json_object *object, const char *key, char **ret_string) {
        const char *string;

        if (json_get_string(object, key, &string) != 0 || !*string || !is_data(string))
                return 0;
        *ret_string = strdup(string);
        return *ret_string ? 0 : -ENOMEM;
}

/* Prose becomes one line: white space is folded, and what is never shown as it is becomes U+FFFD. */
static int take_prose(struct json_object *object, const char *key, char **ret_string) {
        _cleanup_text_ struct text text = TEXT_INIT;
        const char *string;
        bool space = false;

        if (json_get_string(object, key, &string) != 0)
                return 0;

        while (*string && text.size < PROSE_MAX) {
                uint32_t code;
                size_t n = utf8_decode(string, SIZE_MAX, &code);

                if (strchr(" \t\r\n", *string))
                        space = text.size > 0;
                else {
                        text_add(&text, space ? " " : "");
                        space = false;
                        if (n == 0 || utf8_is_dangerous(code))
                                text_add(&text, "\uFFFD");
                        else
                                text_add_bytes(&text, string, n);
                }
                string += n ?: 1;
        }

        if (*string)
                text_add(&text, "…");
        if (text_error(&text) < 0)
                return -ENOMEM;
        *ret_string = STEAL(text.data);
        return 0;
}

/* An array of that name, or NULL. */
static struct json_object *find_array(struct json_object *object, const char *key) {
        struct json_object *array;

        if (!json_object_object_get_ex(object, key, &array) ||
            !json_object_is_type(array, json_type_array) || json_object_array_length(array) == 0)
                return NULL;
        return array;
}

/* The strings of an array; what is none of them is left out. 0 or -ENOMEM. */
static int take_names(struct json_object *object, const char *key, char ***ret_strings) {
        _cleanup_(strings_freep) char **strings = NULL;
        struct json_object *array = find_array(object, key);
        size_t n = 0;

        if (!array)
                return 0;
        strings = calloc(json_object_array_length(array) + 1, sizeof(*strings));
        if (!strings)
                return -ENOMEM;

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *item = json_object_array_get_idx(array, i);

                if (!json_object_is_type(item, json_type_string) ||
                    !json_is_clean_name(json_object_get_string(item), REGISTRY_NAME_MAX))
                        continue;
                strings[n] = strdup(json_object_get_string(item));
                if (!strings[n++])
                        return -ENOMEM;
        }

        *ret_strings = STEAL(strings);
        return 0;
}

/* Arguments, all or none of them: 0, JSON_BAD, -ENOMEM. */
static int take_args(struct json_object *object, char ***ret_args, const char **ret_problem) {
        _cleanup_(strings_freep) char **args = NULL;
        struct json_object *array = find_array(object, "args");

        if (!array)
                return 0;
        args = calloc(json_object_array_length(array) + 1, sizeof(*args));
        if (!args)
                return -ENOMEM;

        for (size_t i = 0; i < json_object_array_length(array); i++) {
                struct json_object *item = json_object_array_get_idx(array, i);

                if (!json_object_is_type(item, json_type_string) ||
                    !is_data(json_object_get_string(item))) {
                        *ret_problem = "invalid args";
                        return JSON_BAD;
                }
                args[i] = strdup(json_object_get_string(item));
                if (!args[i])
                        return -ENOMEM;
        }

        *ret_args = STEAL(args);
        return 0;
}

/* Of several with one name the first is meant: no request could hold more, nor could they be told apart. */
static bool has_setting(const struct registry_setting *settings, size_t n, const char *name, bool any_case) {
        for (size_t i = 0; i < n; i++)
                if (any_case ? ascii_equal_any_case(settings[i].name, name, SIZE_MAX)
                             : strcmp(settings[i].name, name) == 0)
                        return true;
        return false;
}

/* Into the n-th place, which stays empty where it is none, or none that is new. */
static int take_setting(struct json_object *object, struct registry_setting *settings, size_t n, bool any_case) {
        struct registry_setting *setting = &settings[n];
        const char *name;
        int r;

        if (json_get_string(object, "name", &name) != 0 || !value_is_setting_name(name, strlen(name)) ||
            has_setting(settings, n, name, any_case))
                return 0;
        setting->name = strdup(name);
        if (!setting->name)
                return -ENOMEM;
        r = take_prose(object, "description", &setting->description);
        if (r < 0)
                return r;

        (void) json_get_bool(object, "required", &setting->required);
        (void) json_get_bool(object, "secret", &setting->secret);
        return take_data(object, "default", &setting->default_value);
}

/* Environment variables, or headers, whose names have no case; those without a name are left out. 0 or -ENOMEM. */
static int take_settings(struct json_object *object, const char *key, bool any_case,
                         struct registry_setting **ret_settings, size_t *ret_n) {
        struct json_object *array = find_array(object, key);
        struct registry_setting *settings;
        size_t n = 0;
        int r = 0;

        if (!array)
                return 0;
        settings = calloc(json_object_array_length(array), sizeof(*settings));
        if (!settings)
                return -ENOMEM;

        for (size_t i = 0; r == 0 && i < json_object_array_length(array); i++) {
                struct json_object *item = json_object_array_get_idx(array, i);

                if (json_object_is_type(item, json_type_object))
                        r = take_setting(item, settings, n, any_case);
                n += settings[n].name != NULL;
        }

        /* Also after a failure: the entry frees what it has got. */
        *ret_settings = settings;
        *ret_n = n;
        return r;
}

/* All strings but the name. */
static int take_strings(struct json_object *object, struct registry_entry *entry) {
        const struct {
                const char *key;
                size_t max;             /* 0: prose */
                char **string;
        } fields[] = {
                { "title", 0, &entry->title },
                { "description", 0, &entry->description },
                { "tier", WORD_MAX, &entry->tier },
                { "status", WORD_MAX, &entry->status },
                { "transport", WORD_MAX, &entry->transport },
                { "repository_url", URL_MAX, &entry->repository_url },
                entry->remote ? (typeof(fields[0])) { "url", URL_MAX, &entry->url }
                              : (typeof(fields[0])) { "image", IMAGE_MAX, &entry->image },
        };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                int r = fields[i].max > 0
                      ? take_name(object, fields[i].key, fields[i].max, fields[i].string)
                      : take_prose(object, fields[i].key, fields[i].string);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_lists(struct json_object *object, struct registry_entry *entry,
                      const char **ret_problem) {
        int r = take_names(object, "tools", &entry->tools);

        if (r == 0)
                r = take_names(object, "tags", &entry->tags);
        if (r == 0)
                r = take_settings(object, "env_vars", false, &entry->env_vars, &entry->n_env_vars);
        if (r == 0)
                r = take_settings(object, "headers", true, &entry->headers, &entry->n_headers);
        return r == 0 ? take_args(object, &entry->args, ret_problem) : r;
}

static int refuse(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return JSON_BAD;
}

int registry_entry_parse(struct json_object *object, const char *name, bool remote,
                         struct registry_entry **ret_entry, const char **ret_problem) {
        _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
        int64_t port;
        int r;

        if (!name && json_get_string(object, "name", &name) != 0)
                return refuse("no name", ret_problem);
        if (!json_is_clean_name(name, REGISTRY_NAME_MAX))
                return refuse("invalid name", ret_problem);

        entry = calloc(1, sizeof(*entry));
        if (!entry)
                return -ENOMEM;
        entry->remote = remote;
        entry->name = strdup(name);
        if (!entry->name)
                return -ENOMEM;

        r = take_strings(object, entry);
        if (r == 0)
                r = take_lists(object, entry, ret_problem);
        if (r != 0)
                return r;
        if (json_get_int(object, "target_port", 1, UINT16_MAX, &port) == 0)
                entry->target_port = (int) port;

        *ret_entry = STEAL(entry);
        return 0;
}

int registry_entry_parse_answer(struct json_object *document, struct registry_entry **ret_entry,
                                const char **ret_problem) {
        struct json_object *server;

        if (json_get_object(document, "server", &server) == 0)
                return registry_entry_parse(server, NULL, false, ret_entry, ret_problem);
        if (json_get_object(document, "remote_server", &server) == 0)
                return registry_entry_parse(server, NULL, true, ret_entry, ret_problem);
        return refuse("no server", ret_problem);
}

static bool holds(const char *string, const char *word) {
        size_t size = strlen(word);

        for (const char *at = string ?: ""; *at; at++)
                if (ascii_equal_any_case(at, word, size))
                        return true;
        return size == 0;
}

bool registry_entry_matches(const struct registry_entry *entry, const char *word) {
        /* All names may share a publisher's prefix, "io.github.example/": who looks for "github" means none of that. */
        const char *slash = strchr(word, '/') ? NULL : strrchr(entry->name, '/');

        if (holds(slash ? slash + 1 : entry->name, word) || holds(entry->title, word) ||
            holds(entry->description, word))
                return true;
        for (char **tag = entry->tags; tag && *tag; tag++)
                if (holds(*tag, word))
                        return true;
        return false;
}
