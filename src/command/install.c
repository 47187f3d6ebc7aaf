/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `mcp-optimizer install`: asks the registry what the server needs, sends the
 * request once, waits until the workload runs.
 *
 * Up to the sending nothing has happened, and every failure can say so by its exit
 * code alone. From then on something may have, so each way out tells what is known:
 * installed or perhaps, running or not, and where to look. That the request is
 * carried out once, whatever becomes of its connection, is the source's business
 * (source/toolhive_call.c); that nothing is sent while a required setting is
 * missing is ours.
 *
 * The waiting part looks at the list of workloads. ToolHive may answer 500 there
 * while its container runtime is busy with ours: that is no reason to stop looking.
 */

#include <errno.h>
#include <string.h>

#include "base/url.h"
#include "command/command.h"
#include "command/install_request.h"
#include "command/registry.h"
#include "service/operation_log.h"
#include "service/poll_log.h"

#define OTHER_REQUESTS (30 * USEC_PER_SEC)      /* the default limit's part for all but the installing itself */
#define LOOK_FIRST (250 * USEC_PER_MSEC)        /* between two looks; doubles … */
#define LOOK_MAX USEC_PER_SEC                   /* … up to this */
/* So much before its end the wait is over: at the end itself it is the client who speaks. */
#define LAST_LOOK (50 * USEC_PER_MSEC)
#define SHOWN (100 * USEC_PER_MSEC)             /* what "after 12.5 s" is told by */

/* What became of it. */
struct installed {
        const char *name;
        int port;                       /* 0: not told */
        usec_t since;                   /* CLOCK_BOOTTIME */
        char *status;                   /* as the last look saw it; NULL: it did not */
        char *url;
        char *group;
        struct workload_list *list;     /* the last that came; NULL: none yet */
        bool listed;                    /* the last look got it */
        char answer[ERROR_MAX];         /* what was last answered instead of a list; "": never anything */
};

static void installed_done(struct installed *installed) {
        free(installed->status);
        free(installed->url);
        free(installed->group);
        workload_list_free(installed->list);
}

/* ---- sending ---- */

/* Lists what is missing, a line each: nothing has been sent. */
static int tell_missing(const struct install_request *request) {
        _cleanup_text_ struct text lines = TEXT_INIT;
        size_t n = install_request_missing(request, &lines);
        char *rest = lines.data;

        if (n == 0)
                return COMMAND_OK;
        command_error("%s needs %zu more setting%s, nothing was installed:", request->entry->name, n,
                      n == 1 ? "" : "s");
        for (const char *line; (line = strsep(&rest, "\n")) && *line;)
                command_error("%s", line);
        return COMMAND_MISSING;
}

/* "ToolHive cannot install fetch: failed to retrieve or pull image", without what is confidential. */
static int tell_words(const struct install_request *request, const char *verb, const char *words) {
        _cleanup_text_ struct text harmless = TEXT_INIT;

        install_request_add_words(request, words ?: "it gives no reason", &harmless);
        command_error("ToolHive %s %s: %s", verb, request->name,
                      text_error(&harmless) == 0 && harmless.data ? harmless.data : "it gives no reason");
        return COMMAND_FAILED;
}

/* It was sent, and no answer settles it: only the list of workloads knows. */
static void tell_unknown(const struct install_request *request) {
        command_error("Whether %s was installed is not known: mcp-optimizer list --all tells", request->name);
}

static void describe(const struct install_request *request, char doing[static ERROR_MAX]) {
        const struct registry_entry *entry = request->entry;

        if (entry && entry->image)
                snprintf(doing, ERROR_MAX, "Installing %s: ToolHive may be pulling %s", request->name, entry->image);
        else
                snprintf(doing, ERROR_MAX, "Installing %s", request->name);
}

/* 0: the workload is there, and it is ours; or the exit code, told. */
static int send_request(struct client *client, const struct install_request *request, const char *body,
                        int *ret_port) {
        _cleanup_(call_done) struct call call = { .kind = CALL_INSTALL, .name = request->name, .body = body };
        struct outcome outcome;
        char doing[ERROR_MAX];
        int r;

        describe(request, doing);
        r = client_try(client, &call, doing, &outcome);
        if (r == CLIENT_ANSWER)
                r = tell_words(request,
                               call.install_sent ? "does not say that it installed" : "cannot install",
                               outcome.error);
        if (r != 0) {
                if (call.install_sent)
                        tell_unknown(request);
                return r;
        }

        switch (call.install) {
        case INSTALL_CREATED:
                *ret_port = call.install_port;
                return COMMAND_OK;
        case INSTALL_EXISTS:
                command_error("There is a workload named %s already: --as gives this one another name, "
                              "thv rm %s removes that one", request->name, request->name);
                return COMMAND_EXISTS;
        case INSTALL_REFUSED:
                return tell_words(request, "cannot install", call.message);
        }
        return COMMAND_FAILED;
}

/* ---- waiting until it runs ---- */

static bool is_running(const struct installed *installed) {
        return installed->status && strcmp(installed->status, "running") == 0;
}

/* Out of these it does not come by itself. */
static bool is_stuck(const struct installed *installed) {
        static const char *const statuses[] = { "error", "unauthenticated", "policy_stopped", "stopped" };

        for (size_t i = 0; installed->status && i < ELEMENTSOF(statuses); i++)
                if (strcmp(installed->status, statuses[i]) == 0)
                        return true;
        return false;
}

static int keep(char **string, const char *from) {
        char *copy = from ? strdup(from) : NULL;

        if (from && !copy)
                return -ENOMEM;
        free(*string);
        *string = copy;
        return 0;
}

/* Not every answer to an installation tells the port, but the URL of what runs has it. */
static int port_of(const char *workload_url) {
        struct url url;

        return workload_url && url_parse(workload_url, &url) == 0 ? url.port : 0;
}

/* One look at the list: 0, also where ToolHive answers something else; or the exit code, told. */
static int look(struct client *client, struct installed *installed, const char *doing) {
        _cleanup_(call_done) struct call call = { .kind = CALL_LIST_WORKLOADS };
        const struct workload *workload;
        struct outcome outcome;
        int r;

        /* What an earlier look saw may not be so any more. */
        (void) keep(&installed->status, NULL);
        installed->listed = false;
        r = client_try(client, &call, doing, &outcome);
        if (r == CLIENT_ANSWER)
                operation_describe_answer(client->source, call.kind, &outcome, installed->answer);
        if (r != 0)
                return r == CLIENT_ANSWER ? COMMAND_OK : r;

        poll_log_bad_entries(installed->list, call.workloads);
        workload_list_free(installed->list);
        installed->list = STEAL(call.workloads);
        installed->listed = true;

        workload = workload_list_find(installed->list, NULL, installed->name);
        if (!workload)
                return COMMAND_OK;
        r = keep(&installed->status, workload->status);
        if (r == 0)
                r = keep(&installed->url, workload->url);
        if (r == 0)
                r = keep(&installed->group, workload->group);
        if (r < 0) {
                command_error("%s is installed: %s", installed->name, errno_words(-r));
                return COMMAND_FAILED;
        }
        installed->port = installed->port ?: port_of(installed->url);
        return COMMAND_OK;
}

/* Its entry is there, and could not be taken. */
static bool is_skipped(const struct installed *installed) {
        const struct workload_list *list = installed->list;

        for (size_t i = 0; i < list->n_bad && i < BAD_ENTRIES_NAMED; i++)
                if (strcmp(list->bad[i].name, installed->name) == 0)
                        return true;
        return false;
}

/* "fetch is installed, and its status is error after 12.5 s": the exit code. */
static int tell_not_up(const struct client *client, const struct installed *installed) {
        usec_t waited = waiter_now(client->context->waiter) - installed->since;
        _cleanup_text_ struct text words = TEXT_INIT;

        if (installed->status) {
                text_add(&words, "and its status is ");
                text_add_logfmt(&words, installed->status);
        } else if (!installed->listed)
                text_add(&words, "and whether it runs is not known");
        else if (is_skipped(installed))
                text_add(&words, "and what ToolHive lists of it makes no sense");
        else
                text_add(&words, "and ToolHive does not list it");
        text_add(&words, " after ");
        text_add_duration(&words, (waited + SHOWN / 2) / SHOWN * SHOWN);
        if (!installed->listed && installed->answer[0])
                text_addf(&words, " (%s)", installed->answer);
        command_error("%s is installed, %s: thv logs %s may say why", installed->name,
                      text_error(&words) == 0 ? words.data : "and does not run", installed->name);
        return COMMAND_NOT_UP;
}

/* 0 once it runs, or the exit code, told. */
static int wait_until_up(struct client *client, struct installed *installed, usec_t limit) {
        struct waiter *waiter = client->context->waiter;
        usec_t interval = LOOK_FIRST;
        char doing[ERROR_MAX];
        bool was_stuck = false;
        int r;

        snprintf(doing, sizeof doing, "Waiting until %s runs", installed->name);
        client_set_timeout(client, limit);
        for (;;) {
                usec_t left;

                r = look(client, installed, doing);
                if (r != 0 || is_running(installed))
                        break;
                /* One look may see what is about to be left: a restart passes through "stopped". */
                left = usec_sub(client->deadline, waiter_now(waiter));
                if (left <= LAST_LOOK || (was_stuck && is_stuck(installed)))
                        return tell_not_up(client, installed);

                was_stuck = is_stuck(installed);
                interval = was_stuck ? LOOK_MAX : interval;
                r = client_sleep(client, usec_min(interval, left - LAST_LOOK), doing);
                if (r != 0)
                        break;
                interval = usec_min(interval * 2, LOOK_MAX);
        }

        if (client->timed_out)
                return tell_not_up(client, installed);
        if (r != 0)
                command_error("%s is installed, and was not waited for until it runs", installed->name);
        return r;
}

/* ---- the result ---- */

static void format_json(const struct installed *installed, struct text *text) {
        text_add(text, "{\"name\": ");
        text_add_json(text, installed->name);
        text_add(text, ", \"status\": ");
        text_add_json(text, installed->status);
        text_add(text, ", \"url\": ");
        text_add_json(text, installed->url);
        text_add(text, ", \"port\": ");
        if (installed->port > 0)
                text_addf(text, "%d", installed->port);
        else
                text_add(text, "null");
        text_add(text, ", \"group\": ");
        text_add_json(text, installed->group);
        text_add(text, "}\n");
}

/* "fetch runs at http://127.0.0.1:17520/mcp"; not waited for: "fetch is installed, on port 17520". */
static void format_sentence(const struct installed *installed, struct text *text) {
        bool runs = is_running(installed);

        text_addf(text, "%s %s", installed->name, runs ? "runs" : "is installed");
        if (runs && installed->url) {
                text_add(text, " at ");
                text_add_styled(text, false, STYLE_NONE, installed->url);
        } else if (installed->port > 0)
                text_addf(text, "%s on port %d", runs ? "" : ",", installed->port);
        text_add(text, "\n");
}

/* Sends, waits, and reports. */
static int install(struct client *client, const struct install_request *request) {
        struct command_context *context = client->context;
        const struct command_line *line = &context->configuration->command;
        _cleanup_(installed_done) struct installed installed = { .name = request->name };
        _cleanup_text_ struct text body = TEXT_INIT;
        int r;

        r = install_request_body(request, line, &body);
        if (r == 0)
                r = keep(&installed.group, line->group ?: "default");
        if (r < 0) {
                command_error("Nothing was installed: %s", errno_words(-r));
                return COMMAND_FAILED;
        }

        r = send_request(client, request, body.data, &installed.port);
        if (r != 0)
                return r;
        installed.since = waiter_now(context->waiter);
        if (line->wait > 0)
                r = wait_until_up(client, &installed, line->wait);

        if (line->json)
                format_json(&installed, &context->output);
        else if (r == 0)
                format_sentence(&installed, &context->output);
        return r;
}

/* What install_request's functions return, as an exit code, told. */
static int tell_problem(int r, const struct text *problem) {
        if (r == 0)
                return COMMAND_OK;
        command_error("%s", r < 0 ? errno_words(-r) : problem->data);
        return r < 0 ? COMMAND_FAILED : COMMAND_USAGE;
}

/* Asks the registry about it, and checks that nothing is missing. 0, or the exit code, told. */
static int choose(struct client *client, struct install_request *request, struct registry_entry **ret_entry) {
        _cleanup_text_ struct text problem = TEXT_INIT;
        int r;

        r = registry_ask_entry(client, client->context->configuration->command.name, ret_entry);
        if (r != 0)
                return r;
        r = tell_problem(install_request_set_entry(request, *ret_entry, &problem), &problem);
        return r == 0 ? tell_missing(request) : r;
}

static int run(struct command_context *context, struct install_request *request) {
        const struct command_line *line = &context->configuration->command;
        usec_t timeout = line->timeout ?: context->configuration->settings.install_timeout + OTHER_REQUESTS;
        _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
        _cleanup_client_ struct client client;
        int r;

        r = client_init(&client, context, source_new, timeout);
        if (r == 0 && !line->url)
                r = choose(&client, request, &entry);
        return r == 0 ? install(&client, request) : r;
}

int command_install(struct command_context *context) {
        _cleanup_install_request_ struct install_request request;
        _cleanup_text_ struct text problem = TEXT_INIT;
        int r;

        r = tell_problem(install_request_init(&request, &context->configuration->command, context->environment,
                                              &problem), &problem);
        return r == 0 ? run(context, &request) : r;
}
