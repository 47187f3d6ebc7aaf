/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mcp-optimizer status: what the service says of itself
 *
 * Everything here is read, nothing is asked: neither the service nor ToolHive has
 * to answer for it, and whoever may read the state file may look. So it is also
 * what a monitor or a liveness probe runs, every few seconds, and its exit code
 * is the same whatever it prints.
 */

#include <errno.h>

#include "command/command.h"
#include "command/moment.h"
#include "command/status.h"

/* A worker that proves its progress every 30 s at least has missed two. */
#define ALIVE_WITHIN (60 * USEC_PER_SEC)

/* A heartbeat in the future is of a clock that was set back; a worker that lives has beaten since. */
bool status_is_alive(const struct service_state *state, usec_t now) {
        return state->running && usec_sub(now, state->beaten_at) < ALIVE_WITHIN &&
               usec_sub(state->beaten_at, now) < ALIVE_WITHIN;
}

void status_add_heartbeat(struct text *text, const struct service_state *state, usec_t now) {
        bool alive = status_is_alive(state, now);

        text_add(text, alive ? "heartbeat " : "hangs, last heartbeat ");
        if (alive || state->beaten_at <= now)
                text_add_ago(text, state->beaten_at, now);
        else {
                text_add_span(text, state->beaten_at - now);
                text_add(text, " in the future");
        }
}

static int show_alive(struct command_context *context, const struct service_state *state, usec_t now) {
        struct text *output = &context->output;

        if (state->running) {
                text_add(output, status_is_alive(state, now) ? "alive, " : "");
                status_add_heartbeat(output, state, now);
        } else
                text_add(output, "not running");
        text_add(output, "\n");
        return text_error(output);
}

/* Of a service that may run or not as well: null. */
static const char *json_of(const struct service_state *state, bool value) {
        return state->uncertain ? "null" : value ? "true" : "false";
}

/* The document as it was written: it has passed the scan, so it is one value. */
static int show_json(struct command_context *context, const struct service_state *state, usec_t now) {
        _cleanup_text_ struct text problem = TEXT_INIT;
        struct text *output = &context->output;
        size_t size = state->document_size;

        service_state_add_problem(state, &problem);
        if (text_error(&problem) < 0)
                return -ENOMEM;

        text_addf(output, "{\"running\": %s", json_of(state, state->running));
        text_addf(output, ", \"alive\": %s", json_of(state, status_is_alive(state, now)));
        text_add(output, ", \"heartbeat_at\": ");
        if (state->beaten_at > 0) {
                text_add(output, "\"");
                text_add_time(output, state->beaten_at);
                text_add(output, "\"");
        } else
                text_add(output, "null");
        text_add(output, ", \"state_file\": ");
        text_add_json(output, state->path);
        text_add(output, ", \"problem\": ");
        text_add_json(output, problem.size > 0 ? problem.data : NULL);
        text_add(output, ",\n\"state\": ");
        if (state->document) {
                while (size > 0 && state->document[size - 1] == '\n')
                        size--;
                text_add_bytes(output, state->document, size);
        } else
                text_add(output, "null");
        text_add(output, "}\n");
        return text_error(output);
}

/* What it is, or whether it is at all: that is for who may read it to say. */
static bool is_unreadable(const struct service_state *state) {
        return state->error && !state->running;
}

static int show(struct command_context *context, const struct service_state_paths *paths,
                const struct service_state *state, usec_t now) {
        const struct command_line *line = &context->configuration->command;

        if (is_unreadable(state))
                command_error("Cannot read %s: %s", state->unreadable, state->problem);

        if (line->json)
                return show_json(context, state, now);
        if (is_unreadable(state))
                return 0;
        return line->alive ? show_alive(context, state, now) : status_view(context, paths, state);
}

static int exit_code(const struct service_state *state, bool alive_only, usec_t now) {
        bool connected = state->document && state->snapshot.connection.state == CONNECTION_CONNECTED;

        if (is_unreadable(state))
                return COMMAND_FAILED;
        if (!state->running)
                return COMMAND_NOT_RUNNING;
        return status_is_alive(state, now) && (alive_only || connected) ? COMMAND_OK : COMMAND_FAILED;
}

int command_status(struct command_context *context) {
        _cleanup_(service_state_paths_done) struct service_state_paths paths = {};
        _cleanup_(service_state_done) struct service_state state = {};
        usec_t now = waiter_realtime(context->waiter);
        int r;

        r = command_state_paths(context, &paths);
        if (r == 0)
                r = service_state_read(&state, &paths);
        if (r == 0)
                r = show(context, &paths, &state, now);
        if (r < 0) {
                command_error("Cannot tell the state: %s", errno_words(-r));
                return COMMAND_FAILED;
        }
        return exit_code(&state, context->configuration->command.alive, now);
}
