/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `mcp-optimizer registry`: what ToolHive's registry offers, asked now. Without a
 * name a table of all servers, or of those that a word is found in; with one all
 * that a person needs to know to install it, and the command that does.
 *
 * The table says what one chooses by, and fits 80 columns: whether ToolHive runs
 * the server as a container or passes on to a remote one, and who answers for it.
 * How it is spoken to concerns nobody before it runs; `registry NAME` and --json
 * have it.
 */

#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "command/command.h"
#include "command/install_request.h"
#include "command/registry.h"
#include "command/table.h"
#include "report/log.h"

static const char *kind_of(const struct registry_entry *entry) {
        return entry->remote ? "remote" : "container";
}

/* ---- asking for one ---- */

/* "fetch" of "io.github.stacklok/fetch": ToolHive takes it where only one server has it. */
static const char *short_name(const char *name) {
        const char *slash = strrchr(name, '/');

        return slash ? slash + 1 : name;
}

/* Several servers have this short name: which are they? False when it is not so. */
static bool tell_several(const struct registry *registry, const char *name) {
        _cleanup_text_ struct text names = TEXT_INIT;

        for (size_t i = 0; i < registry->n_names; i++)
                if (strcmp(short_name(registry->names[i]), name) == 0) {
                        text_add(&names, names.size > 0 ? " or " : "");
                        text_add_logfmt(&names, registry->names[i]);
                }
        if (names.size == 0)
                return false;
        command_error("There is no server in the registry named %s: did you mean %s?", name,
                      text_error(&names) == 0 ? names.data : "another");
        return true;
}

static int tell_no_such(struct client *client, const char *name) {
        _cleanup_(call_done) struct call call = { .kind = CALL_REGISTRY };
        _cleanup_(freep) const char **names = NULL;
        size_t n;
        int r;

        r = client_run(client, &call, "Looking for similar names in the registry");
        if (r != 0)
                return r;
        if (tell_several(call.registry, name))
                return COMMAND_NO_SUCH;

        /* Each name, and its short form, by which it may be called too. */
        n = call.registry->n_names;
        names = calloc(2 * n + 1, sizeof *names);
        for (size_t i = 0; names && i < n; i++) {
                names[i] = call.registry->names[i];
                names[n + i] = short_name(names[i]);
        }
        client_no_such("server in the registry", name, names, names ? 2 * n : 0);
        return COMMAND_NO_SUCH;
}

int registry_ask_entry(struct client *client, const char *name, struct registry_entry **ret_entry) {
        _cleanup_(call_done) struct call call = { .kind = CALL_REGISTRY_ENTRY, .name = name };
        const char *problem = NULL;
        int r;

        r = client_run(client, &call, "Looking it up in the registry");
        if (r != 0)
                return r;
        if (!call.found)
                return tell_no_such(client, name);

        r = registry_entry_parse_answer(call.document, ret_entry, &problem);
        if (r != 0) {
                command_error("What the registry says of %s cannot be used: %s", name,
                              r < 0 ? errno_words(-r) : problem);
                return COMMAND_FAILED;
        }
        return COMMAND_OK;
}

/* ---- JSON ---- */

static void add_member(struct text *text, const char *key, const char *value) {
        text_addf(text, ", \"%s\": ", key);
        text_add_json(text, value);
}

static void add_list(struct text *text, const char *key, char *const *strings) {
        const char *separator = "";

        text_addf(text, ", \"%s\": [", key);
        for (; strings && *strings; strings++) {
                text_add(text, separator);
                text_add_json(text, *strings);
                separator = ", ";
        }
        text_add(text, "]");
}

/* The members that list and entry have in common, without the braces. */
static void add_summary(struct text *text, const struct registry_entry *entry) {
        text_add(text, "\"name\": ");
        text_add_json(text, entry->name);
        add_member(text, "title", entry->title);
        add_member(text, "description", entry->description);
        add_member(text, "tier", entry->tier);
        add_member(text, "status", entry->status);
        add_member(text, "transport", entry->transport);
        text_addf(text, ", \"remote\": %s", entry->remote ? "true" : "false");
        add_member(text, "image", entry->image);
        add_member(text, "url", entry->url);
        add_member(text, "repository_url", entry->repository_url);
        add_list(text, "tools", entry->tools);
        add_list(text, "tags", entry->tags);
}

static void add_settings(struct text *text, const char *key, const struct registry_setting *settings, size_t n) {
        text_addf(text, ",\n \"%s\": [", key);
        for (size_t i = 0; i < n; i++) {
                text_add(text, i > 0 ? ",\n  {\"name\": " : "\n  {\"name\": ");
                text_add_json(text, settings[i].name);
                add_member(text, "description", settings[i].description);
                text_addf(text, ", \"required\": %s, \"secret\": %s", settings[i].required ? "true" : "false",
                          settings[i].secret ? "true" : "false");
                add_member(text, "default", settings[i].default_value);
                text_add(text, "}");
        }
        text_add(text, "]");
}

static void entry_format_json(const struct registry_entry *entry, struct text *text) {
        text_add(text, "{");
        add_summary(text, entry);
        add_settings(text, "env_vars", entry->env_vars, entry->n_env_vars);
        add_settings(text, "headers", entry->headers, entry->n_headers);
        add_list(text, "args", entry->args);
        text_add(text, "}\n");
}

static void catalog_format_json(const struct registry_catalog *catalog, const char *word, struct text *text) {
        _cleanup_text_ struct text servers = TEXT_INIT;
        size_t n = 0;

        for (size_t i = 0; i < catalog->n_entries; i++)
                if (!word || registry_entry_matches(catalog->entries[i], word)) {
                        text_add(&servers, n++ > 0 ? ",\n  {" : "\n  {");
                        add_summary(&servers, catalog->entries[i]);
                        text_add(&servers, "}");
                }

        text_add(text, "{\"last_updated\": ");
        text_add_json(text, catalog->last_updated);
        text_addf(text, ", \"total\": %zu,\n \"servers\": [", n);
        text_add_bytes(text, servers.data ?: "", servers.size);
        text_add(text, "]}\n");
        text->failed |= servers.failed;
}

/* ---- for people: all of them ---- */

static int catalog_format(const struct registry_catalog *catalog, const char *word,
                          struct command_context *context) {
        static const char *const headings[] = { "NAME", "KIND", "TIER", "DESCRIPTION", NULL };
        _cleanup_table_ struct table table;
        size_t n = 0;

        table_init(&table, headings);
        table.kept = 1u << 0;           /* NAME */
        for (size_t i = 0; i < catalog->n_entries; i++) {
                const struct registry_entry *entry = catalog->entries[i];

                if (word && !registry_entry_matches(entry, word))
                        continue;
                n++;
                table_add_row(&table, (const char *const[]) {
                        entry->name, kind_of(entry), entry->tier, entry->description ?: entry->title });
        }

        if (n == 0 && word)
                text_addf(&context->notes, "None of the %zu servers of the registry has that word in its name, "
                                           "title, description or tags.\n", catalog->n_entries);
        else if (n == 0)
                text_add(&context->notes, "The registry is empty.\n");
        return table_format(&table, &context->out, &context->output);
}

static int show_catalog(struct client *client) {
        struct command_context *context = client->context;
        const struct command_line *line = &context->configuration->command;
        _cleanup_(call_done) struct call call = { .kind = CALL_REGISTRY, .want_catalog = true };
        int r;

        r = client_run(client, &call, "Asking for the registry");
        if (r != 0)
                return r;

        if (call.catalog->n_bad > 0)
                log_event(LEVEL_WARNING, EVENT_ENTRY_SKIPPED, "Skipping registry servers that make no sense",
                          LOG_INT("count", call.catalog->n_bad));
        if (line->json) {
                catalog_format_json(call.catalog, line->search, &context->output);
                return COMMAND_OK;
        }
        r = catalog_format(call.catalog, line->search, context);
        if (r < 0)
                command_error("%s", errno_words(-r));
        return r < 0 ? COMMAND_FAILED : COMMAND_OK;
}

/* ---- for people: one of them ---- */

static void add_words(struct facts *facts, const char *label, char *const *strings) {
        _cleanup_text_ struct text words = TEXT_INIT;

        for (; strings && *strings; strings++) {
                text_add(&words, words.size > 0 ? ", " : "");
                text_add(&words, *strings);
        }
        facts_add(facts, STYLE_NONE, label, words.data);
        facts->failed |= words.failed;
}

static int format_facts(const struct registry_entry *entry, const struct terminal *terminal, struct text *text) {
        _cleanup_facts_ struct facts facts = FACTS_INIT;

        facts_add(&facts, STYLE_BOLD, "Name", entry->name);
        facts_add(&facts, STYLE_NONE, "Title", entry->title);
        facts_add(&facts, STYLE_NONE, "Description", entry->description);
        facts_add(&facts, STYLE_NONE, "Kind", kind_of(entry));
        facts_add(&facts, STYLE_NONE, "Image", entry->image);
        facts_add(&facts, STYLE_NONE, "URL", entry->url);
        facts_add(&facts, STYLE_NONE, "Transport", entry->transport);
        facts_add(&facts, STYLE_NONE, "Tier", entry->tier);
        facts_add(&facts, STYLE_NONE, "Status", entry->status);
        add_words(&facts, "Tools", entry->tools);
        add_words(&facts, "Tags", entry->tags);
        facts_add(&facts, STYLE_NONE, "Repository", entry->repository_url);
        return facts_format(&facts, terminal, text);
}

static void add_setting_rows(struct table *table, const struct registry_setting *settings, size_t n,
                             bool are_headers) {
        for (size_t i = 0; i < n; i++) {
                char name[sizeof " (header)" + 256];

                snprintf(name, sizeof name, "%s%s", settings[i].name, are_headers ? " (header)" : "");
                table_add_row(table, (const char *const[]) {
                        name, settings[i].required ? "yes" : "no", settings[i].secret ? "yes" : "no",
                        settings[i].default_value, settings[i].description });
        }
}

static int format_settings(const struct registry_entry *entry, const struct terminal *terminal, struct text *text) {
        static const char *const headings[] = { "SETTING", "REQUIRED", "SECRET", "DEFAULT", "DESCRIPTION", NULL };
        _cleanup_table_ struct table table;

        table_init(&table, headings);
        if (entry->n_env_vars + entry->n_headers == 0)
                return 0;
        table.kept = 1u << 0;           /* SETTING */
        add_setting_rows(&table, entry->env_vars, entry->n_env_vars, false);
        add_setting_rows(&table, entry->headers, entry->n_headers, true);
        text_add(text, "\n");
        return table_format(&table, terminal, text);
}

/* As a word for a shell: quoted unless nothing in it could mean anything. */
static void add_shell_word(struct text *text, const char *word) {
        bool plain = word[0] != '-';

        for (const char *c = word; *c; c++)
                plain &= ascii_is_alphanumeric(*c) || strchr("._/@:+-", *c);
        text_add(text, plain ? "" : "'");
        for (const char *c = word; *c; c++)
                if (*c == '\'')
                        text_add(text, "'\\''");
                else
                        text_add_bytes(text, c, 1);
        text_add(text, plain ? "" : "'");
}

static void add_required(struct text *text, const struct registry_setting *settings, size_t n, bool are_headers) {
        for (size_t i = 0; i < n; i++) {
                if (!settings[i].required || settings[i].default_value)
                        continue;
                text_add(text, settings[i].secret ? " \\\n    --secret NAME,target=" : " \\\n    --env ");
                install_request_add_key(text, &settings[i], are_headers);
                text_add(text, settings[i].secret ? "" : "=VALUE");
        }
}

/* What is to be typed. Never cut: it is there to be copied. */
static void format_command(const struct registry_entry *entry, struct text *text) {
        /* What looks like an option goes behind "--", and that behind all options. */
        bool dash = entry->name[0] == '-';

        text_add(text, "\nmcp-optimizer install");
        if (!dash) {
                text_add(text, " ");
                add_shell_word(text, entry->name);
        }
        add_required(text, entry->env_vars, entry->n_env_vars, false);
        add_required(text, entry->headers, entry->n_headers, true);
        if (dash) {
                text_add(text, " -- ");
                add_shell_word(text, entry->name);
        }
        text_add(text, "\n");
}

static int show_entry(struct client *client) {
        struct command_context *context = client->context;
        const struct command_line *line = &context->configuration->command;
        _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
        int r;

        r = registry_ask_entry(client, line->name, &entry);
        if (r != 0)
                return r;
        if (line->json) {
                entry_format_json(entry, &context->output);
                return COMMAND_OK;
        }

        r = format_facts(entry, &context->out, &context->output);
        if (r == 0)
                r = format_settings(entry, &context->out, &context->output);
        if (r < 0) {
                command_error("%s", errno_words(-r));
                return COMMAND_FAILED;
        }
        format_command(entry, &context->output);
        return COMMAND_OK;
}

int command_registry(struct command_context *context) {
        const struct command_line *line = &context->configuration->command;
        _cleanup_client_ struct client client;
        int r;

        r = client_init(&client, context, source_new, line->timeout);
        if (r != 0)
                return r;
        return line->name ? show_entry(&client) : show_catalog(&client);
}
