/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The body of the request that installs a server.
 *
 * ToolHive since April 2026 takes the name of a registry entry ("registry" and
 * "server") and fills in what the entry says of permissions, OAuth, provenance
 * and the like; fields of the request come before it. Earlier ones know nothing
 * of these two fields, ignore them, and need image, transport, arguments and
 * defaults spelt out. So both are sent: they say the same, and each generation
 * takes what it understands.
 *
 * A remote server has no environment that ToolHive could set: what its entry
 * wants are headers, which ToolHive adds to each request that it forwards.
 */

#include "command/install_request.h"

/* A member that is left out where there is no value. */
static void add_string(struct text *text, const char *key, const char *value) {
        if (!value)
                return;
        text_addf(text, ",\"%s\":", key);
        text_add_json(text, value);
}

static void add_pair(struct text *text, const char **separator, const char *key, const char *value) {
        text_add(text, *separator);
        text_add_json(text, key);
        text_add(text, ":");
        text_add_json(text, value);
        *separator = ",";
}

/* Which of the given settings are meant: variables or headers, values or names of secrets. */
static bool is_of(const struct install_request *request, const struct given_setting *setting, bool header,
                  bool secret) {
        return (install_request_header(request, setting->key) != NULL) == header &&
               (setting->secret != NULL) == secret;
}

/* The values that were given, and the defaults of what was not, as members. */
static void add_values(const struct install_request *request, struct text *text, bool headers) {
        const struct registry_entry *entry = request->entry;
        const struct registry_setting *settings = headers ? entry->headers : entry->env_vars;
        size_t n = headers ? entry->n_headers : entry->n_env_vars;
        const char *separator = "";

        for (size_t i = 0; i < request->n_settings; i++) {
                const struct given_setting *given = &request->settings[i];

                if (is_of(request, given, headers, false))
                        add_pair(text, &separator, install_request_header(request, given->key) ?: given->key,
                                 given->value);
        }
        for (size_t i = 0; i < n; i++)
                if (settings[i].default_value && !install_request_is_given(request, &settings[i], headers))
                        add_pair(text, &separator, settings[i].name, settings[i].default_value);
}

static void add_variables(const struct install_request *request, struct text *text) {
        const char *separator = "";

        text_add(text, ",\"env_vars\":{");
        add_values(request, text, false);
        text_add(text, "},\"secrets\":[");
        for (size_t i = 0; i < request->n_settings; i++) {
                const struct given_setting *given = &request->settings[i];

                if (!is_of(request, given, false, true))
                        continue;
                text_addf(text, "%s{\"name\":", separator);
                text_add_json(text, given->secret);
                add_string(text, "target", given->key);
                text_add(text, "}");
                separator = ",";
        }
        text_add(text, "]");
}

static void add_headers(const struct install_request *request, struct text *text) {
        const char *separator = "";

        text_add(text, ",\"header_forward\":{\"add_plaintext_headers\":{");
        add_values(request, text, true);
        text_add(text, "},\"add_headers_from_secret\":{");
        for (size_t i = 0; i < request->n_settings; i++) {
                const struct given_setting *given = &request->settings[i];

                if (is_of(request, given, true, true))
                        add_pair(text, &separator, install_request_header(request, given->key), given->secret);
        }
        text_add(text, "}}");
}

static void add_entry(const struct install_request *request, struct text *text) {
        const struct registry_entry *entry = request->entry;
        const char *separator = "";

        add_string(text, "registry", "default");
        add_string(text, "server", entry->name);
        add_string(text, "image", entry->image);
        add_string(text, "url", entry->url);
        add_string(text, "transport", entry->transport);
        if (entry->target_port > 0)
                text_addf(text, ",\"target_port\":%d", entry->target_port);
        if (entry->args) {
                text_add(text, ",\"cmd_arguments\":[");
                for (char **argument = entry->args; *argument; argument++) {
                        text_add(text, separator);
                        text_add_json(text, *argument);
                        separator = ",";
                }
                text_add(text, "]");
        }
        add_variables(request, text);
        if (entry->n_headers > 0)
                add_headers(request, text);
}

int install_request_body(const struct install_request *request, const struct command_line *line,
                         struct text *text) {
        text_add(text, "{\"name\":");
        text_add_json(text, request->name);
        if (request->entry)
                add_entry(request, text);
        else {
                add_string(text, "url", line->url);
                add_string(text, "transport", line->transport ?: "streamable-http");
        }
        add_string(text, "group", line->group);
        text_add(text, "}");
        return text_error(text);
}
