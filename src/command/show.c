/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `mcp-optimizer show`: one workload's details, from the answer about it and from
 * its entry in the list, which alone knows the status and the URL of its proxy.
 * Those two are worth less than the rest: without the list they are not known.
 *
 * ToolHive's details hold what nobody must see over a shoulder or find in a
 * terminal's log: environment values, names of secrets, tokens in arguments and
 * URLs. So the answer is not shown but a view of it, which is filled member by
 * member: what is not known here does not get in, what is of a wrong type counts
 * as missing, and the confidential parts are masked as they are taken. Both forms
 * of the output are made of the view alone.
 */

#include <errno.h>

#include "command/client.h"
#include "command/command.h"
#include "command/mask.h"
#include "command/table.h"

struct words {
        char **words;
        size_t n;
};

struct view {
        const char *name;               /* borrowed from the answers, as all that is const; NULL: not told */
        const char *namespace, *resource, *message;     /* of Kubernetes only */
        const char *status;
        const char *transport;
        const char *proxy_mode;
        const char *image;
        const char *group;
        const char *host;
        const char *permission_profile;
        char *url, *remote_url;
        bool remote;
        int64_t proxy_port, target_port;        /* 0: not told */
        int network_isolation;                  /* -1: not told */
        struct words tools, arguments, volumes;
        struct words variables, secrets;        /* their names in the environment */
        bool failed;                            /* no memory */
};

static void words_done(struct words *words) {
        for (size_t i = 0; i < words->n; i++)
                free(words->words[i]);
        free(words->words);
}

static void view_done(struct view *view) {
        free(view->url);
        free(view->remote_url);
        words_done(&view->tools);
        words_done(&view->arguments);
        words_done(&view->volumes);
        words_done(&view->variables);
        words_done(&view->secrets);
}

/* ---- the view ---- */

static char *take_text(struct view *view, struct text *text) {
        if (text_error(text) < 0)
                view->failed = true;
        return STEAL(text->data);
}

static void add_word(struct view *view, struct words *words, struct text *word) {
        char **grown = reallocarray(words->words, words->n + 1, sizeof *grown);

        if (!grown) {
                view->failed = true;
                return;
        }
        words->words = grown;
        text_add(word, "");
        words->words[words->n++] = take_text(view, word);
}

static const char *string_of(struct json_object *document, const char *key) {
        const char *string;

        return json_get_string(document, key, &string) == 0 && *string ? string : NULL;
}

static struct json_object *list_of(struct json_object *document, const char *key) {
        struct json_object *list;

        (void) json_object_object_get_ex(document, key, &list);
        return json_object_is_type(list, json_type_array) ? list : NULL;
}

static void take_list(struct view *view, struct json_object *document, const char *key, struct words *words,
                      void (*add)(struct text *text, const char *string)) {
        struct json_object *list = list_of(document, key);

        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                struct json_object *item = json_object_array_get_idx(list, i);
                _cleanup_text_ struct text word = TEXT_INIT;

                if (!json_object_is_type(item, json_type_string))
                        continue;
                add(&word, json_object_get_string(item));
                add_word(view, words, &word);
        }
}

/* The word behind "--token" is a token, also where it looks like another option. */
static void take_arguments(struct view *view, struct json_object *document) {
        struct json_object *list = list_of(document, "cmd_arguments");
        bool is_value = false;

        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                struct json_object *item = json_object_array_get_idx(list, i);
                _cleanup_text_ struct text word = TEXT_INIT;
                const char *argument;

                if (!json_object_is_type(item, json_type_string))
                        continue;
                argument = json_object_get_string(item);
                if (is_value)
                        text_add(&word, MASK);
                else
                        text_add_masked(&word, argument);
                is_value = argument[0] == '-' && !strchr(argument, '=') &&
                           mask_is_confidential(argument, strlen(argument));
                add_word(view, &view->arguments, &word);
        }
}

static void take_confidential(struct view *view, struct json_object *document) {
        struct json_object *variables, *list = list_of(document, "secrets");

        if (json_get_object(document, "env_vars", &variables) == 0) {
                json_object_object_foreach(variables, key, value) {
                        _cleanup_text_ struct text word = TEXT_INIT;

                        (void) value;
                        text_add(&word, key);
                        add_word(view, &view->variables, &word);
                }
        }
        for (size_t i = 0; list && i < json_object_array_length(list); i++) {
                struct json_object *secret = json_object_array_get_idx(list, i);
                _cleanup_text_ struct text word = TEXT_INIT;

                if (!json_object_is_type(secret, json_type_object) || !string_of(secret, "target"))
                        continue;
                text_add(&word, string_of(secret, "target"));
                add_word(view, &view->secrets, &word);
        }
}

static int64_t port_of(struct json_object *document, const char *key) {
        int64_t port;

        return json_get_int(document, key, 1, UINT16_MAX, &port) == 0 ? port : 0;
}

static char *masked_url(struct view *view, const char *url) {
        _cleanup_text_ struct text text = TEXT_INIT;

        if (!url)
                return NULL;
        text_add_masked(&text, url);
        return take_text(view, &text);
}

/* In the details "url" is what a remote workload stands for; of others it is the proxy's, as in the list. */
static void take_urls(struct view *view, struct json_object *document, const struct workload *workload) {
        const char *proxy = workload ? workload->url : string_of(document, "proxy_url");
        const char *told = string_of(document, "url");

        view->remote = workload ? workload->remote : told && !view->image;
        if (!view->remote)
                proxy = proxy ?: told;
        else if (told && (!proxy || strcmp(proxy, told) != 0))
                view->remote_url = masked_url(view, told);
        view->url = masked_url(view, proxy);
}

/* workload: NULL where the list has none of that name, or there is no list. view_done() also after an error. */
static int view_init(struct view *view, const char *name, struct json_object *document,
                     const struct workload *workload) {
        struct json_object *profile;
        bool isolated;

        *view = (struct view) {
                .name = name,
                .namespace = string_of(document, "namespace"),
                .resource = string_of(document, "resource"),
                .message = string_of(document, "message"),
                .status = workload ? workload->status : string_of(document, "status"),
                .transport = string_of(document, "transport"),
                .proxy_mode = string_of(document, "proxy_mode"),
                .image = string_of(document, "image"),
                .group = string_of(document, "group"),
                .host = string_of(document, "host"),
                .proxy_port = port_of(document, "proxy_port"),
                .target_port = port_of(document, "target_port"),
                .network_isolation = json_get_bool(document, "network_isolation", &isolated) == 0 ? isolated : -1,
        };
        if (json_get_object(document, "permission_profile", &profile) == 0)
                view->permission_profile = string_of(profile, "name");
        take_urls(view, document, workload);
        take_list(view, document, "tools", &view->tools, text_add);
        take_list(view, document, "volumes", &view->volumes, text_add);
        take_arguments(view, document);
        take_confidential(view, document);
        return view->failed ? -ENOMEM : 0;
}

/* ---- the two forms ---- */

static void add_string(struct text *text, const char *key, const char *value) {
        text_add(text, key);
        text_add_json(text, value);
}

static void add_port(struct text *text, const char *key, int64_t port) {
        if (port > 0)
                text_addf(text, "%s%d", key, (int) port);
        else
                text_addf(text, "%snull", key);
}

/* Each word between before and after, in the brackets. */
static void add_words(struct text *text, const char *key, char opening, const struct words *words,
                      const char *before, const char *after, char closing) {
        text_addf(text, "%s%c", key, opening);
        for (size_t i = 0; i < words->n; i++) {
                text_add(text, i == 0 ? "" : ", ");
                text_add(text, before);
                text_add_json(text, words->words[i]);
                text_add(text, after);
        }
        text_addf(text, "%c", closing);
}

static void format_json(const struct view *view, struct text *text) {
        static const char *const truth[] = { "null", "false", "true" };

        add_string(text, "{\"name\": ", view->name);
        add_string(text, ",\n \"namespace\": ", view->namespace);
        add_string(text, ",\n \"resource\": ", view->resource);
        add_string(text, ",\n \"status\": ", view->status);
        add_string(text, ",\n \"message\": ", view->message);
        add_string(text, ",\n \"url\": ", view->url);
        add_string(text, ",\n \"transport\": ", view->transport);
        add_string(text, ",\n \"proxy_mode\": ", view->proxy_mode);
        add_string(text, ",\n \"image\": ", view->image);
        text_addf(text, ",\n \"remote\": %s", truth[view->remote + 1]);
        add_string(text, ",\n \"remote_url\": ", view->remote_url);
        add_string(text, ",\n \"group\": ", view->group);
        add_string(text, ",\n \"host\": ", view->host);
        add_port(text, ",\n \"proxy_port\": ", view->proxy_port);
        add_port(text, ",\n \"target_port\": ", view->target_port);
        add_words(text, ",\n \"tools\": ", '[', &view->tools, "", "", ']');
        add_words(text, ",\n \"arguments\": ", '[', &view->arguments, "", "", ']');
        add_words(text, ",\n \"volumes\": ", '[', &view->volumes, "", "", ']');
        text_addf(text, ",\n \"network_isolation\": %s", truth[view->network_isolation + 1]);
        add_string(text, ",\n \"permission_profile\": ", view->permission_profile);
        add_words(text, ",\n \"env_vars\": ", '{', &view->variables, "", ": \"" MASK "\"", '}');
        add_words(text, ",\n \"secrets\": ", '[', &view->secrets, "{\"target\": ",
                  ", \"name\": \"" MASK "\"}", ']');
        text_add(text, "}\n");
}

static void add_lines(struct facts *facts, const char *label, const struct words *words, const char *after) {
        for (size_t i = 0; i < words->n; i++)
                facts_addf(facts, STYLE_NONE, i == 0 ? label : NULL, "%s%s", words->words[i], after);
}

static int format_facts(const struct view *view, const struct terminal *terminal, struct text *text) {
        static const char *const isolation[] = { NULL, "no", "yes" };
        _cleanup_facts_ struct facts facts = FACTS_INIT;

        facts_add(&facts, STYLE_BOLD, "Name", view->name);
        facts_add(&facts, STYLE_NONE, "Namespace", view->namespace);
        facts_add(&facts, STYLE_NONE, "Resource", view->resource);
        facts_add(&facts, style_of_status(view->status ?: ""), "Status", view->status ?: "");
        facts_add(&facts, STYLE_NONE, "Message", view->message);
        facts_add(&facts, STYLE_NONE, "URL", view->url ?: "");
        facts_add(&facts, STYLE_NONE, "Transport", view->transport);
        facts_add(&facts, STYLE_NONE, "Proxy mode", view->proxy_mode);
        facts_add(&facts, STYLE_NONE, "Image", view->image);
        facts_add(&facts, STYLE_NONE, "Remote URL", view->remote_url);
        facts_add(&facts, STYLE_NONE, "Group", view->group);
        facts_add(&facts, STYLE_NONE, "Host", view->host);
        if (view->proxy_port > 0)
                facts_addf(&facts, STYLE_NONE, "Proxy port", "%d", (int) view->proxy_port);
        if (view->target_port > 0)
                facts_addf(&facts, STYLE_NONE, "Target port", "%d", (int) view->target_port);
        add_lines(&facts, "Tools", &view->tools, "");
        add_lines(&facts, "Arguments", &view->arguments, "");
        add_lines(&facts, "Volumes", &view->volumes, "");
        facts_add(&facts, STYLE_NONE, "Network isolation", isolation[view->network_isolation + 1]);
        facts_add(&facts, STYLE_NONE, "Permissions", view->permission_profile);
        add_lines(&facts, "Environment", &view->variables, "=" MASK);
        add_lines(&facts, "Secrets", &view->secrets, "=" MASK);
        return facts_format(&facts, terminal, text);
}

/* ---- the command ---- */

/* workload_format_name() by itself. 0 or -ENOMEM; the caller frees. */
static int whole_name(const struct workload *workload, char **ret_name) {
        _cleanup_text_ struct text name = TEXT_INIT;

        workload_format_name(&name, workload);
        if (text_error(&name) < 0)
                return -ENOMEM;
        *ret_name = STEAL(name.data);
        return 0;
}

/* list: NULL where it could not be had. */
static int no_such(const char *name, const struct workload_list *list) {
        struct words names = {};

        names.words = list ? calloc(list->n_items + 1, sizeof *names.words) : NULL;
        for (size_t i = 0; names.words && i < list->n_items; i++)
                if (whole_name(list->items[i], &names.words[names.n]) == 0)
                        names.n++;
        client_no_such("workload", name, (const char *const *) names.words, names.n);
        words_done(&names);
        return COMMAND_NO_SUCH;
}

static int several(const char *name, const char *which) {
        _cleanup_text_ struct text words = TEXT_INIT;

        text_add_logfmt(&words, name);
        text_addf(&words, " is the name of several workloads: %s", which);
        command_error("%s", text_error(&words) == 0 ? words.data : "Out of memory");
        return COMMAND_NO_SUCH;
}

/* The details; or call->found is false: a name that ToolHive refuses to look for (400) is nobody's. */
static int ask_details(struct client *client, struct call *call, const char *doing) {
        struct outcome outcome;
        int r;

        r = client_try(client, call, doing, &outcome);
        if (r != CLIENT_ANSWER || outcome.status == 400)
                return r == CLIENT_ANSWER ? COMMAND_OK : r;
        client_tell_answer(client, LEVEL_ERROR, call->kind, &outcome);
        return COMMAND_FAILED;
}

static int show(struct command_context *context, const struct call *details, const struct workload *workload) {
        const struct command_line *line = &context->configuration->command;
        _cleanup_(view_done) struct view view = {};
        int r;

        r = view_init(&view, string_of(details->document, "namespace") ? string_of(details->document, "name") : line->name,
                      details->document, workload);
        if (r == 0 && line->json)
                format_json(&view, &context->output);
        else if (r == 0)
                r = format_facts(&view, &context->out, &context->output);
        if (r < 0)
                command_error("%s", errno_words(-r));
        return r < 0 ? COMMAND_FAILED : COMMAND_OK;
}

int command_show(struct command_context *context) {
        const struct command_line *line = &context->configuration->command;
        _cleanup_client_ struct client client;
        _cleanup_(call_done) struct call details = { .kind = CALL_WORKLOAD_DETAILS, .name = line->name };
        _cleanup_(call_done) struct call list = { .kind = CALL_LIST_WORKLOADS };
        char doing[ERROR_MAX];
        int r;

        snprintf(doing, sizeof doing, "Looking up %s", line->name);
        r = client_init(&client, context, source_new, line->timeout);
        if (r == 0)
                r = ask_details(&client, &details, doing);
        if (r == 0 && details.several)
                return several(line->name, details.several);
        /* Where the details do not say it, the list knows the status; and it knows similar names. */
        if (r == 0 && (client.source->details_tell_urls || !details.found))
                r = client_run_optional(&client, &list, doing);
        if (r != 0)
                return r;
        if (!details.found)
                return no_such(line->name, list.workloads);
        return show(context, &details,
                    list.workloads ? workload_list_find(list.workloads, NULL, line->name) : NULL);
}
