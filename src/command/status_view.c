/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state of the service for a person, line by line.
 *
 * It is read from the top: the first line has what one wants to know, the lines
 * below it when one wants to know more. Times are told as distances, which is what
 * one would compute from them.
 */

#include <inttypes.h>

#include "base/option_table.h"
#include "command/moment.h"
#include "command/status.h"
#include "command/table.h"

/* Kinds of status that are counted one by one; there are eleven. */
#define STATUSES_MAX 12

struct view {
        const struct service_state *state;
        const struct snapshot *snapshot;        /* of it; empty when the document is of no use */
        usec_t now;                             /* CLOCK_REALTIME */
        struct facts facts;
        struct text value;                      /* of the fact that is being put together */
};

static void view_done(struct view *view) {
        facts_done(&view->facts);
        text_done(&view->value);
}

/* The value is complete: a fact, or with a label of NULL one more line of the last one. */
static void add_fact(struct view *view, enum style style, const char *label) {
        if (text_error(&view->value) < 0)
                view->facts.failed = true;
        else
                facts_add(&view->facts, style, label, view->value.data);
        text_clear(&view->value);
}

/* The first line: a mark that can be told apart without colours too, and one clause. */
struct headline {
        const char *mark;
        enum style style;
};

#define RUNNING "●"
#define ENDED "○"
#define FAILED "×"

static void add_name(struct text *text, const struct view *view) {
        const char *version = view->state->version;

        text_addf(text, "mcp-optimizer%s%s - ", *version ? " " : "", version);
}

static void add_api(struct text *text, const struct snapshot *snapshot) {
        const char *version = snapshot->connection.version;

        text_addf(text, "%s%s%s", runtime_api_name(snapshot->runtime_mode), *version ? " " : "", version);
}

static struct headline describe_ended(const struct view *view, struct text *text) {
        const struct connection *connection = &view->snapshot->connection;

        text_add(text, "not running");
        if (!view->state->document)
                return (struct headline) { ENDED, STYLE_DIM };

        switch (connection->state) {
        case CONNECTION_STOPPED:
                text_add(text, ", stopped on request");
                return (struct headline) { ENDED, STYLE_DIM };
        case CONNECTION_EXHAUSTED:
                text_addf(text, ", gave up after %u attempt%s", connection->max_retries,
                          connection->max_retries == 1 ? "" : "s");
                return (struct headline) { FAILED, STYLE_BAD };
        case CONNECTION_CONNECTING:
        case CONNECTION_CONNECTED:
        case CONNECTION_DEGRADED:
        case CONNECTION_RECONNECTING:
                break;
        }

        text_addf(text, ", ended while it was %s", connection_state_name(connection->state));
        return (struct headline) { FAILED, STYLE_BAD };
}

static struct headline describe_running(const struct view *view, struct text *text) {
        const struct snapshot *snapshot = view->snapshot;
        const char *api = runtime_api_name(snapshot->runtime_mode);
        bool alive = status_is_alive(view->state, view->now);

        if (!view->state->document) {
                text_addf(text, "%s, connection not known", alive ? "running" : "hangs");
                return (struct headline) { RUNNING, alive ? STYLE_WARNING : STYLE_BAD };
        }
        if (!alive) {
                text_addf(text, "hangs, was %s", connection_state_name(snapshot->connection.state));
                return (struct headline) { RUNNING, STYLE_BAD };
        }

        switch (snapshot->connection.state) {
        case CONNECTION_CONNECTED:
                text_add(text, "connected to ");
                add_api(text, snapshot);
                return (struct headline) { RUNNING, STYLE_GOOD };
        case CONNECTION_DEGRADED:
                text_add(text, "degraded, connected to ");
                add_api(text, snapshot);
                return (struct headline) { RUNNING, STYLE_WARNING };
        case CONNECTION_CONNECTING:
                text_addf(text, "connecting to %s", api);
                return (struct headline) { RUNNING, STYLE_WARNING };
        case CONNECTION_RECONNECTING:
                text_addf(text, "reconnecting, %s is unavailable", api);
                return (struct headline) { RUNNING, STYLE_BAD };
        case CONNECTION_EXHAUSTED:
                text_addf(text, "giving up, %s is unavailable", api);
                return (struct headline) { RUNNING, STYLE_BAD };
        case CONNECTION_STOPPED:
                text_add(text, "stopping");
                break;
        }
        return (struct headline) { RUNNING, STYLE_WARNING };
}

static void add_headline(struct text *output, const struct view *view, const struct terminal *terminal) {
        size_t width = terminal->width > 0 ? terminal->width : SIZE_MAX;
        _cleanup_text_ struct text words = TEXT_INIT;
        struct headline headline;

        add_name(&words, view);
        headline = view->state->running ? describe_running(view, &words) : describe_ended(view, &words);

        text_add_styled(output, terminal->colour, headline.style, headline.mark);
        if (width > 2) {
                text_add(output, " ");
                text_begin_style(output, terminal->colour, STYLE_BOLD);
                (void) text_add_cut(output, words.data ?: "", width - 2);
                text_end_style(output, terminal->colour, STYLE_BOLD);
        }
        text_add(output, "\n");
}

/* Where the retry loop is; in the order of the status line (model/snapshot.c). */
static void add_attempt(struct view *view) {
        const struct connection *connection = &view->snapshot->connection;
        unsigned attempt = connection->attempt, max = connection->max_retries;
        struct text *value = &view->value;

        if (connection->next_attempt_at > 0) {
                text_addf(value, "%u of %u failed, next try ", attempt, max);
                text_add_until(value, connection->next_attempt_at, view->now);
                text_add(value, " (at ");
                text_add_clock(value, connection->next_attempt_at);
                text_add(value, ")");
        } else if (connection->backoff > 0)
                text_addf(value, "%u of %u failed, looking for it", attempt, max);
        else if (attempt < max)
                text_addf(value, "%u of %u under way", attempt + 1, max);
        else
                text_addf(value, "%u of %u failed, last retry under way", attempt, max);
        add_fact(view, STYLE_WARNING, "Attempt");
}

static void add_connection(struct view *view) {
        const struct connection *connection = &view->snapshot->connection;
        /* Restored from an earlier run, it is where the search begins, and nothing more. */
        bool restored = connection->state == CONNECTION_CONNECTING;

        if (connection->endpoint[0])
                facts_add(&view->facts, STYLE_NONE, restored ? "Last endpoint" : "Endpoint",
                          connection->endpoint);
        if (connection->since > 0) {
                text_add_moment(&view->value, connection->since, view->now);
                add_fact(view, STYLE_NONE, "Since");
        }
        if (view->state->running && connection->state == CONNECTION_RECONNECTING)
                add_attempt(view);
}

static void add_last_error(struct view *view) {
        const struct connection *connection = &view->snapshot->connection;

        if (!connection->last_error[0])
                return;

        facts_add(&view->facts, STYLE_NONE, "Last error", connection->last_error);
        if (connection->last_error_at > 0) {
                text_add_moment(&view->value, connection->last_error_at, view->now);
                add_fact(view, STYLE_NONE, NULL);
        }
}

/* What both polls have: the problem, and the times. */
static void add_poll(struct view *view, const struct poll_report *poll) {
        struct text *value = &view->value;

        if (poll->problem[0])
                facts_add(&view->facts, STYLE_WARNING, NULL, poll->problem);

        if (poll->polled_at > 0) {
                text_add(value, "polled ");
                text_add_ago(value, poll->polled_at, view->now);
        } else
                text_add(value, "not polled yet");

        if (poll->next_poll_at > view->now) {
                text_add(value, ", next ");
                text_add_until(value, poll->next_poll_at, view->now);
        } else
                text_add(value, poll->next_poll_at > 0 ? ", due" : ", not again");
        add_fact(view, STYLE_NONE, NULL);
}

/* Those that run first, the others by name. */
static int compare_statuses(const void *a, const void *b) {
        const struct workload *const *x = a, *const *y = b;
        bool runs = workload_is_running(*x);

        return runs != workload_is_running(*y) ? (runs ? -1 : 1) : strcmp((*x)->status, (*y)->status);
}

/* " (4 running, 1 stopped)": the list, sorted by status, in runs of the same. 0 or -1: no memory. */
static int add_statuses(struct text *text, const struct workload_list *list) {
        _cleanup_(freep) struct workload **sorted = NULL;
        size_t kinds = 0, end;

        if (list->n_items == 0)
                return 0;

        sorted = reallocarray(NULL, list->n_items, sizeof(*sorted));
        if (!sorted)
                return -1;
        memcpy(sorted, list->items, list->n_items * sizeof(*sorted));
        qsort(sorted, list->n_items, sizeof(*sorted), compare_statuses);

        for (size_t i = 0; i < list->n_items; i = end) {
                for (end = i + 1; end < list->n_items; end++)
                        if (strcmp(sorted[i]->status, sorted[end]->status) != 0)
                                break;

                text_add(text, kinds == 0 ? " (" : ", ");
                if (kinds++ == STATUSES_MAX) {
                        text_addf(text, "%zu others", list->n_items - i);
                        break;
                }
                text_addf(text, "%zu %.64s", end - i, sorted[i]->status);
        }
        text_add(text, ")");
        return 0;
}

static void add_workloads(struct view *view) {
        const struct workload_list *list = view->snapshot->workloads;
        struct text *value = &view->value;

        if (list) {
                text_addf(value, "%zu", list->n_items);
                if (add_statuses(value, list) < 0)
                        view->facts.failed = true;
                if (list->skipped > 0)
                        text_addf(value, ", %zu left out", list->skipped);
        } else
                text_add(value, "not known yet");
        add_fact(view, STYLE_NONE, "Workloads");
        add_poll(view, &view->snapshot->workloads_poll);
}

static void add_registry(struct view *view) {
        const struct registry *registry = view->snapshot->registry;
        struct text *value = &view->value;

        if (view->snapshot->runtime_mode == RUNTIME_K8S)
                return;

        if (registry) {
                text_addf(value, "%zu server%s", registry->n_names, registry->n_names == 1 ? "" : "s");
                /* The date says enough, where it begins with one. */
                if (registry->last_updated)
                        text_addf(value, ", updated %.*s", (int) strcspn(registry->last_updated, "T"),
                                  registry->last_updated);
        } else
                text_add(value, "not known yet");
        add_fact(view, STYLE_NONE, "Registry");
        add_poll(view, &view->snapshot->registry_poll);
}

static void add_count(struct text *text, uint64_t n, const char *noun) {
        text_addf(text, "%s%" PRIu64 " %s%s", text->size > 0 ? ", " : "", n, noun, n == 1 ? "" : "s");
}

static void add_counters(struct view *view) {
        const struct counters *counters = &view->snapshot->counters;
        struct text *value = &view->value;

        add_count(value, counters->requests, "request");
        add_count(value, counters->failures, "failure");
        add_count(value, counters->reconnects, "reconnect");
        add_count(value, counters->port_changes, "port change");
        add_count(value, counters->scans, "scan");
        add_fact(view, STYLE_NONE, "Counters");
}

static void add_process(struct view *view) {
        const struct service_state *state = view->state;
        bool alive = status_is_alive(state, view->now);
        const char *label = "Service";

        if (view->snapshot->started_at > 0) {
                text_add(&view->value, "since ");
                text_add_moment(&view->value, view->snapshot->started_at, view->now);
                add_fact(view, STYLE_NONE, label);
                label = NULL;
        }

        if (view->snapshot->pid > 0)
                text_addf(&view->value, "PID %" PRId64 ", ", view->snapshot->pid);
        status_add_heartbeat(&view->value, state, view->now);
        add_fact(view, alive ? STYLE_NONE : STYLE_BAD, label);
}

/* What helps: the unit that the state file belongs to, or either where that cannot be known. */
static void add_start(struct view *view, char **environment) {
        const char *session = option_environment_get(environment, "XDG_RUNTIME_DIR");
        const char *path = view->state->path;
        size_t size = session ? strlen(session) : 0;
        bool user = path && size > 0 && strncmp(path, session, size) == 0 && path[size] == '/';
        bool system = path && !user && strncmp(path, "/run/mcp-optimizer/", 19) == 0;

        if (!user)
                facts_add(&view->facts, STYLE_NONE, "Start it by", "systemctl start mcp-optimizer");
        if (!system)
                facts_add(&view->facts, STYLE_NONE, user ? "Start it by" : NULL,
                          "systemctl --user start mcp-optimizer");
}

static void add_where(struct view *view, const struct service_state_paths *paths) {
        const struct service_state *state = view->state;

        if (state->problem) {
                service_state_add_problem(state, &view->value);
                add_fact(view, STYLE_WARNING, "Problem");
        }
        if (state->path) {
                facts_add(&view->facts, STYLE_NONE, "State file", state->path);
                return;
        }

        facts_add(&view->facts, STYLE_NONE, "State file", paths->n > 0 ? "none at" : "none, as it is set");
        for (size_t i = 0; i < paths->n; i++)
                facts_add(&view->facts, STYLE_NONE, NULL, paths->paths[i]);
}

/* One that does not run: what it said last, and when. */
static void add_end(struct view *view) {
        const struct service_state *state = view->state;

        if (state->document) {
                add_connection(view);
                add_last_error(view);
        }
        if (state->written_at > 0) {
                text_add_moment(&view->value, usec_max(state->written_at, state->beaten_at), view->now);
                add_fact(view, STYLE_NONE, "Last seen");
        }
}

int status_view(struct command_context *context, const struct service_state_paths *paths,
                const struct service_state *state) {
        _cleanup_(view_done) struct view view = {
                .state = state,
                .snapshot = &state->snapshot,
                .now = waiter_realtime(context->waiter),
        };

        add_headline(&context->output, &view, &context->out);
        if (state->running && state->document) {
                add_connection(&view);
                add_workloads(&view);
                add_registry(&view);
                add_last_error(&view);
                add_process(&view);
                add_counters(&view);
        } else if (state->running)
                add_process(&view);
        else
                add_end(&view);
        add_where(&view, paths);
        if (!state->running)
                add_start(&view, context->environment);
        return facts_format(&view.facts, &context->out, &context->output);
}
