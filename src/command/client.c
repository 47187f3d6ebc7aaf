/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client of a command
 *
 * It stands where the worker stands in the service: it owns the source and the
 * outage, and lends both to operation_run(). What a person adds to that is
 * impatience, so the waiter's progress hook, which is called at least as often as
 * something is to be seen or to be ended, does two things: it draws the progress
 * line, and when the time is up it stops the waiter. The slice is cut to the next
 * of the two moments, so that neither is missed by more than the machine is late.
 *
 * Where the running service is connected, ToolHive is most likely, so that
 * address is asked first: it becomes the source's last endpoint, and known at
 * once where it passes the identity check. If it does not, nothing is lost: the
 * first attempt searches, as it would have. Who said by a setting where ToolHive
 * is, means that one, whatever the service does.
 *
 * All on the main thread; everything is freed by client_done().
 */

#include <errno.h>

#include "base/option.h"
#include "base/spelling.h"
#include "command/client.h"
#include "report/log.h"
#include "report/service_state.h"
#include "service/operation_log.h"
#include "service/poll.h"

/* The warnings of the retry loop: on a terminal the progress line tells them. */
#define TOLD_BY_LINE (LOG_EVENT_BIT(EVENT_ATTEMPT_FAILED) | LOG_EVENT_BIT(EVENT_REDISCOVERING))

static void hide_line(void *user) {
        struct client *client = user;

        progress_hide(&client->progress);
}

/* How long the waiter may block from now on: until the line is due again, or the time is up. */
static usec_t next_slice(const struct client *client, usec_t now) {
        usec_t next = usec_min(progress_next(&client->progress, now), client->deadline);

        return usec_sub(next, client->context->waiter->last_progress);
}

static void on_progress(void *user) {
        struct client *client = user;
        struct waiter *waiter = client->context->waiter;
        usec_t now = waiter_now(waiter);
        const struct progress_times times = {
                .now = now,
                .next_attempt = client->next_attempt,
                .deadline = client->deadline == USEC_INFINITY ? 0 : client->deadline,
        };

        if (now >= client->deadline && !waiter->stopping) {
                client->timed_out = true;
                /* We are within the waiter, which looks at this next: no detour over waiter_stop(). */
                waiter->stopping = true;
        }
        if (!waiter->stopping)
                progress_draw(&client->progress, &client->snapshot.connection, &times);
        waiter->slice = next_slice(client, now);
}

/* The snapshot tells the next attempt by the time of day, with which the countdown must not jump. */
static void on_change(void *user) {
        struct client *client = user;
        struct waiter *waiter = client->context->waiter;
        usec_t at = client->snapshot.connection.next_attempt_at;

        client->next_attempt = at > 0 ? waiter_now(waiter) + usec_sub(at, waiter_realtime(waiter)) : 0;
}

/* waited_for: the name of the call, or NULL for a mere wait. */
static void tell_timeout(const struct client *client, enum log_level level, const char *waited_for) {
        const struct connection *connection = &client->snapshot.connection;
        _cleanup_text_ struct text words = TEXT_INIT;
        const char *name = client->source->ops->name;

        if (connection->attempt > 0) {
                text_addf(&words, "%s unavailable (", name);
                text_add_styled(&words, false, STYLE_NONE, connection->last_error);
                text_add(&words, "): gave up after ");
        } else if (!client->source->known)
                text_addf(&words, client->source->ops->find ? "%s was not found: gave up after "
                                                            : "%s does not answer: gave up after ", name);
        else if (waited_for)
                text_addf(&words, "%s does not answer %s: gave up after ", name, waited_for);
        else
                text_add(&words, "Gave up after ");
        text_add_duration(&words, client->timeout);
        if (connection->attempt > 0)
                text_addf(&words, " and %u attempt%s", connection->attempt,
                          connection->attempt == 1 ? "" : "s");
        log_event(level, EVENT_NONE, text_error(&words) == 0 ? words.data : "Out of memory");
}

/* ToolHive's own words are told beside the sentence, where that does not have them. */
void client_tell_answer(const struct client *client, enum log_level level, enum call_kind kind,
                        const struct outcome *outcome) {
        bool has_words = outcome->status >= 300 && !outcome->runtime_away;
        struct log_field error = has_words ? LOG_STRING("error", outcome->error) : LOG_NOTHING;
        _cleanup_text_ struct text harmless = TEXT_INIT;
        char words[ERROR_MAX];

        operation_describe_answer(client->source, kind, outcome, words);
        text_add_styled(&harmless, false, STYLE_NONE, words);
        log_event(level, EVENT_NONE, text_error(&harmless) == 0 ? harmless.data : "Out of memory", error);
}

/* What an operation or a wait came to: 0, or the exit code, told. */
static int conclude(struct client *client, int r, const char *waited_for) {
        if (r == 0)
                return COMMAND_OK;
        if (r != -ECANCELED) {
                command_error("Internal failure: %s", errno_words(-r));
                return COMMAND_FAILED;
        }
        if (client->timed_out) {
                tell_timeout(client, LEVEL_ERROR, waited_for);
                return COMMAND_FAILED;
        }
        /* The person knows. */
        return command_interrupted() ?: COMMAND_INTERRUPTED;
}

/* Of an operation that did not end with another answer than the expected one. */
static int conclude_operation(struct client *client, int r, enum call_kind kind) {
        /* The retry loop has said so, at ERROR and CRITICAL. */
        if (r == OPERATION_EXHAUSTED)
                return COMMAND_FAILED;
        return conclude(client, r, call_kind_name(kind));
}

/* Where the running service is connected; "" when that is not known or not wanted. */
static int find_service(const struct command_context *context, char endpoint[static ENDPOINT_URL_MAX]) {
        _cleanup_(service_state_paths_done) struct service_state_paths paths = {};
        _cleanup_(service_state_done) struct service_state state = {};
        const struct connection *connection = &state.snapshot.connection;
        int r;

        endpoint[0] = '\0';
        /* In Kubernetes the address is a setting, as are the token and the certificates that go with it. */
        if (context->configuration->settings.runtime_mode == RUNTIME_K8S ||
            configuration_is_address_given(context->configuration))
                return 0;

        r = command_state_paths(context, &paths);
        if (r == 0)
                r = service_state_read(&state, &paths);
        if (r < 0)
                return r;

        if (state.running && state.document &&
            state.snapshot.runtime_mode == context->configuration->settings.runtime_mode)
                snprintf(endpoint, ENDPOINT_URL_MAX, "%s", connection->endpoint);
        return 0;
}

/* The address of the running service is known at once if ToolHive answers there. 0, -ECANCELED. */
static int try_service(struct client *client) {
        struct source *source = client->source;
        struct found found = { .endpoint = source->endpoint };
        int r;

        r = source->ops->check(source);
        if (r != 0)
                return r < 0 ? r : 0;

        source->known = true;
        snprintf(found.version, sizeof found.version, "%s", source->version);
        operation_log_found(source, FIND_FIRST, NULL, &found);
        return 0;
}

static void begin(struct client *client, const char *doing) {
        progress_begin(&client->progress, waiter_now(client->context->waiter), "%s", doing);
}

int client_init(struct client *client, struct command_context *context, source_maker make_source,
                usec_t timeout) {
        const struct settings *settings = &context->configuration->settings;
        char endpoint[ENDPOINT_URL_MAX];
        int r;

        *client = (struct client) { .context = context };
        client->snapshot.runtime_mode = settings->runtime_mode;
        client_set_timeout(client, timeout);
        progress_init(&client->progress, &context->err);
        log_set_terminal(hide_line, client, context->line_tells ? TOLD_BY_LINE : 0);

        r = find_service(context, endpoint);
        if (r == 0)
                r = make_source(settings, context->waiter, endpoint, &client->source);
        if (r < 0) {
                command_error("Cannot begin: %s", errno_words(-r));
                return COMMAND_FAILED;
        }

        operations_init(&client->operations, settings, client->source, &client->snapshot);
        client->progress.api = client->source->ops->name;
        client->operations.changed = on_change;
        client->operations.user = client;
        waiter_set_hooks(context->waiter, 0, on_progress, NULL, client);

        if (endpoint[0] && endpoint_is_set(&client->source->endpoint)) {
                begin(client, "Connecting to ToolHive");
                r = try_service(client);
        }
        return conclude(client, r, call_kind_name(CALL_VERSION));
}

void client_done(struct client *client) {
        progress_end(&client->progress);
        log_set_terminal(NULL, NULL, 0);
        waiter_set_hooks(client->context->waiter, USEC_INFINITY, NULL, NULL, NULL);
        source_free(client->source);
        snapshot_done(&client->snapshot);
}

void client_set_timeout(struct client *client, usec_t timeout) {
        struct waiter *waiter = client->context->waiter;

        client->timeout = timeout;
        client->deadline = usec_add(waiter_now(waiter), timeout);
        /* The old limit was over as an answer came: that stop is ours, unless a signal came too. */
        if (client->timed_out && !command_interrupted())
                waiter->stopping = false;
        client->timed_out = false;
}

int client_try(struct client *client, struct call *call, const char *doing, struct outcome *ret_outcome) {
        int r;

        *ret_outcome = (struct outcome) {};
        begin(client, doing);
        r = operation_run(&client->operations, call, ret_outcome);
        return r == OPERATION_ANSWER ? CLIENT_ANSWER : conclude_operation(client, r, call->kind);
}

int client_run(struct client *client, struct call *call, const char *doing) {
        struct outcome outcome;
        int r;

        r = client_try(client, call, doing, &outcome);
        if (r != CLIENT_ANSWER)
                return r;
        client_tell_answer(client, LEVEL_ERROR, call->kind, &outcome);
        return COMMAND_FAILED;
}

/* The same of one that the command can do without. */
static int conclude_optional(struct client *client, int r, enum call_kind kind,
                             const struct outcome *outcome) {
        if (r == OPERATION_ANSWER)
                client_tell_answer(client, LEVEL_WARNING, kind, outcome);
        else if (r == -ECANCELED && client->timed_out)
                tell_timeout(client, LEVEL_WARNING, call_kind_name(kind));
        else
                return conclude_operation(client, r, kind);
        return COMMAND_OK;
}

int client_run_optional(struct client *client, struct call *call, const char *doing) {
        struct outcome outcome = {};
        int r;

        begin(client, doing);
        r = operation_run(&client->operations, call, &outcome);
        return conclude_optional(client, r, call->kind, &outcome);
}

int client_complete_list(struct client *client, struct workload_list *list) {
        struct outcome outcome = {};
        enum call_kind kind;
        int r;

        r = poll_complete_list(&client->operations, list, &kind, &outcome);
        return conclude_optional(client, r, kind, &outcome);
}

int client_sleep(struct client *client, usec_t usec, const char *doing) {
        struct waiter *waiter = client->context->waiter;
        int r;

        begin(client, doing);
        r = waiter_until(waiter, usec_add(waiter_now(waiter), usec), 0);
        return conclude(client, r > 0 ? -ECANCELED : r, NULL);
}

void client_no_such(const char *what, const char *name, const char *const *names, size_t n_names) {
        struct spelling spelling = spelling_of(name, strlen(name), SPELLING_NEAR);
        _cleanup_text_ struct text words = TEXT_INIT;

        for (size_t i = 0; i < n_names; i++)
                spelling_consider(&spelling, names[i]);

        text_addf(&words, "There is no %s named ", what);
        text_add_logfmt(&words, name);
        if (spelling.nearest) {
                text_add(&words, ": did you mean ");
                text_add_logfmt(&words, spelling.nearest);
                text_add(&words, "?");
        }
        command_error("%s", text_error(&words) == 0 ? words.data : "Out of memory");
}
