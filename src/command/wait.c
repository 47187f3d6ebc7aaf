/* SPDX-License-Identifier: Apache-2.0 */

/*
 * mcp-optimizer wait: returns when the service is connected
 *
 * The state file is looked at, and then again whenever inotify(7) says that it
 * has changed; in between nothing runs. The watches begin before the first look,
 * so no change falls between the two. A service that is not there yet is waited
 * for in the same way, through folders that it has still to make, and in all the
 * places where one could be: the descriptors of their watches are in one epoll(7)
 * descriptor, which is what the waiter waits for.
 *
 * The lock needs no watching. A service that takes it writes its state file right
 * after, and one that loses it (a crash) is nothing to return for; when the time
 * is up, the last look finds that out.
 */

#include <errno.h>
#include <sys/epoll.h>

#include "base/file_watch.h"
#include "command/command.h"
#include "command/progress.h"
#include "report/log.h"

/* How often what cannot be read is tried again. */
#define LOOK_INTERVAL USEC_PER_SEC

struct vigil {
        struct command_context *context;
        struct service_state_paths paths;
        struct file_watch *watches[SERVICE_STATE_PATHS];
        const char *unwatchable;        /* the path that could not be watched; NULL: none */
        int epoll_fd;
        struct service_state state;     /* as last looked at */
        struct progress progress;
        usec_t deadline;                /* CLOCK_BOOTTIME */
        usec_t next_attempt;            /* the same; 0: none */
};

static void vigil_done(struct vigil *vigil) {
        struct waiter *waiter = vigil->context->waiter;

        progress_end(&vigil->progress);
        log_set_terminal(NULL, NULL, 0);
        waiter_set_hooks(waiter, USEC_INFINITY, NULL, NULL, NULL);
        waiter->file_fd = -1;
        closep(&vigil->epoll_fd);
        for (size_t i = 0; i < vigil->paths.n; i++)
                file_watch_free(vigil->watches[i]);
        service_state_done(&vigil->state);
        service_state_paths_done(&vigil->paths);
}

static bool is_known(const struct vigil *vigil) {
        return vigil->state.running && vigil->state.document;
}

static bool is_connected(const struct vigil *vigil) {
        enum connection_state state = vigil->state.snapshot.connection.state;

        return is_known(vigil) && (state == CONNECTION_CONNECTED || state == CONNECTION_DEGRADED);
}

/* How things stand, as the end of a sentence. */
static void describe(const struct vigil *vigil, struct text *text) {
        const struct snapshot *snapshot = &vigil->state.snapshot;
        const struct connection *connection = &snapshot->connection;
        const char *api = runtime_api_name(snapshot->runtime_mode);

        if (vigil->state.error)
                service_state_add_problem(&vigil->state, text);
        else if (!vigil->state.running)
                text_add(text, "it does not run");
        else if (!vigil->state.document)
                text_addf(text, "its state file is of no use (%s)", vigil->state.problem);
        else
                switch (connection->state) {
                case CONNECTION_CONNECTING:
                        text_addf(text, "it is looking for %s", api);
                        break;
                case CONNECTION_CONNECTED:
                case CONNECTION_DEGRADED:
                        text_add(text, "it is connected");
                        break;
                case CONNECTION_RECONNECTING:
                        text_addf(text, "%s unavailable (%s), attempt %u of %u", api,
                                  connection->last_error, connection->attempt, connection->max_retries);
                        break;
                case CONNECTION_EXHAUSTED:
                        text_addf(text, "%s unavailable (%s), it gives up", api, connection->last_error);
                        break;
                case CONNECTION_STOPPED:
                        text_add(text, "it is being stopped");
                        break;
                }
}

static int look(struct vigil *vigil) {
        struct waiter *waiter = vigil->context->waiter;
        const struct connection *connection = &vigil->state.snapshot.connection;
        int r;

        service_state_done(&vigil->state);
        r = service_state_read(&vigil->state, &vigil->paths);
        if (r < 0)
                return r;

        vigil->next_attempt = 0;
        if (is_known(vigil) && connection->next_attempt_at > 0)
                vigil->next_attempt = waiter_now(waiter) +
                                      usec_sub(connection->next_attempt_at, waiter_realtime(waiter));
        progress_begin(&vigil->progress, waiter_now(waiter), "Waiting for mcp-optimizer to %s",
                       vigil->state.running ? "connect" : "start");
        return 0;
}

static void on_progress(void *user) {
        struct vigil *vigil = user;
        struct waiter *waiter = vigil->context->waiter;
        const struct progress_times times = {
                .now = waiter_now(waiter),
                .next_attempt = vigil->next_attempt,
                .deadline = vigil->deadline,
        };

        progress_draw(&vigil->progress, is_known(vigil) ? &vigil->state.snapshot.connection : NULL, &times);
        waiter->slice = usec_sub(progress_next(&vigil->progress, times.now), times.now);
}

static void hide_line(void *user) {
        struct vigil *vigil = user;

        progress_hide(&vigil->progress);
}

/* A watch for each place, and one descriptor for all. What another user's folders hide is passed over. */
static int watch(struct vigil *vigil) {
        size_t n_hidden = 0;

        vigil->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (vigil->epoll_fd < 0)
                return -errno;

        for (size_t i = 0; i < vigil->paths.n; i++) {
                struct epoll_event event = { .events = EPOLLIN };
                int r;

                r = file_watch_new(vigil->paths.paths[i], &vigil->watches[i]);
                if (r == -EACCES && ++n_hidden < vigil->paths.n)
                        continue;
                if (r < 0) {
                        vigil->unwatchable = vigil->paths.paths[i];
                        return r;
                }
                if (epoll_ctl(vigil->epoll_fd, EPOLL_CTL_ADD, file_watch_fd(vigil->watches[i]), &event) < 0)
                        return -errno;
        }

        vigil->context->waiter->file_fd = vigil->epoll_fd;
        return 0;
}

static bool drain(struct vigil *vigil) {
        bool changed = false;

        for (size_t i = 0; i < vigil->paths.n; i++)
                if (vigil->watches[i] && file_watch_drain(vigil->watches[i]))
                        changed = true;
        return changed;
}

/* Until it is connected, the time is up, or a stop: a positive event, 0, or a negative errno. */
static int keep_vigil(struct vigil *vigil) {
        struct waiter *waiter = vigil->context->waiter;
        int r;

        r = watch(vigil);
        if (r == 0)
                r = look(vigil);
        waiter_set_hooks(waiter, 0, on_progress, NULL, vigil);

        while (r == 0 && !is_connected(vigil)) {
                usec_t again = USEC_INFINITY;

                /* What could not be read may be by now, and no event tells so. */
                if (vigil->state.error)
                        again = usec_add(waiter_now(waiter), LOOK_INTERVAL);
                r = waiter_until(waiter, usec_min(vigil->deadline, again), WAIT_FILE);
                if (r == 0 && waiter_now(waiter) >= vigil->deadline)
                        return look(vigil);
                if (r != 0 && r != WAIT_FILE)
                        return r;
                r = r == 0 || drain(vigil) ? look(vigil) : 0;
        }
        return r;
}

/* The sentence of a wait that ended without a connection. */
static void add_failure(const struct vigil *vigil, usec_t timeout, struct text *problem) {
        if (timeout > 0) {
                text_add(problem, "mcp-optimizer did not connect within ");
                text_add_duration(problem, timeout);
        } else
                text_add(problem, "mcp-optimizer is not connected");
        text_add(problem, ": ");
        describe(vigil, problem);
}

/* The exit code, with the problem for all but 0 and what the person knows, having ended it. */
static int conclude(const struct vigil *vigil, int r, usec_t timeout, struct text *problem) {
        if (r < 0) {
                if (vigil->unwatchable)
                        text_addf(problem, "Cannot watch %s: ", vigil->unwatchable);
                else
                        text_add(problem, "Cannot wait for mcp-optimizer: ");
                text_add(problem, errno_words(-r));
                return COMMAND_FAILED;
        }
        if (r & WAIT_STOP)
                return command_interrupted() ?: COMMAND_INTERRUPTED;
        if (is_connected(vigil))
                return COMMAND_OK;

        add_failure(vigil, timeout, problem);
        return timeout == 0 && !vigil->state.running && !vigil->state.error ? COMMAND_NOT_RUNNING
                                                                           : COMMAND_FAILED;
}

static const char *json_of(bool value) {
        return value ? "true" : "false";
}

static void show_json(const struct vigil *vigil, const struct text *problem) {
        const struct connection *connection = &vigil->state.snapshot.connection;
        struct text *output = &vigil->context->output;

        text_addf(output, "{\"connected\": %s", json_of(is_connected(vigil)));
        text_addf(output, ", \"running\": %s",
                  vigil->state.uncertain ? "null" : json_of(vigil->state.running));
        text_add(output, ", \"state\": ");
        text_add_json(output, is_known(vigil) ? connection_state_name(connection->state) : NULL);
        text_add(output, ", \"problem\": ");
        text_add_json(output, problem->size > 0 ? problem->data : NULL);
        text_add(output, "}\n");
}

int command_wait(struct command_context *context) {
        /* Until the first look nothing is known. */
        _cleanup_(vigil_done) struct vigil vigil = {
                .context = context, .epoll_fd = -1, .state.uncertain = true,
        };
        const struct command_line *line = &context->configuration->command;
        _cleanup_text_ struct text problem = TEXT_INIT;
        usec_t timeout = line->timeout;
        int r, code;

        vigil.deadline = usec_add(waiter_now(context->waiter), timeout);
        progress_init(&vigil.progress, &context->err);
        log_set_terminal(hide_line, &vigil, 0);

        r = command_state_paths(context, &vigil.paths);
        if (r == 0 && vigil.paths.n == 0) {
                text_add(&problem, "There is no state file to wait for: it is set to none");
                code = COMMAND_USAGE;
        } else {
                if (r == 0)
                        r = timeout > 0 ? keep_vigil(&vigil) : look(&vigil);
                code = conclude(&vigil, r, timeout, &problem);
        }

        if (text_error(&problem) < 0)
                command_error("Out of memory");
        else if (problem.size > 0)
                command_error("%s", problem.data);
        /* One that was interrupted has nothing to say. */
        if (line->json && (code == COMMAND_OK || problem.size > 0))
                show_json(&vigil, &problem);
        return code;
}
