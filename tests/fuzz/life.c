/* SPDX-License-Identifier: Apache-2.0 */

/* See the header. */

#include "answers.h"
#include "checks.h"
#include "life.h"
#include "report/state_file.h"
#include "service/worker.h"

#define STOP_AFTER 300                  /* virtual seconds */
#define REQUESTS_MAX 2000

static struct worker worker;

static void check_state(const struct snapshot *snapshot) {
        _cleanup_text_ struct text written = TEXT_INIT, twice = TEXT_INIT;
        _cleanup_(snapshot_done) struct snapshot again = {};
        char version[STATE_FILE_VERSION_SIZE];
        const char *problem;

        state_file_format(&written, snapshot);
        must_be_harmless(&written, LINES);
        must(state_file_parse(written.data, written.size, &again, version, &problem) == 0);
        must(again.connection.state == snapshot->connection.state);
        must(again.connection.attempt == snapshot->connection.attempt);
        state_file_format(&twice, &again);
        must(written.size == twice.size && memcmp(written.data, twice.data, written.size) == 0);
}

static void check_snapshot(const struct snapshot *snapshot) {
        const struct connection *connection = &snapshot->connection;

        must(connection->attempt <= connection->max_retries);
        must(connection->state != CONNECTION_RECONNECTING || connection->attempt > 0);
        must(!snapshot->workloads == (snapshot->workloads_poll.polled_at == 0));
        must(!snapshot->registry == (snapshot->registry_poll.polled_at == 0));
        must(!snapshot->registry || snapshot->runtime_mode == RUNTIME_DOCKER);
        if (snapshot->workloads)
                check_workload_list(snapshot->workloads);
        if (snapshot->registry)
                check_registry(snapshot->registry);
}

static void on_status(const char *status) {
        must(*status && is_harmless(status, strlen(status), ONE_LINE));
        check_snapshot(&worker.snapshot);
        check_state(&worker.snapshot);
}

void life(const struct settings *settings, const uint8_t *data, size_t size) {
        _cleanup_parts_ struct parts parts;
        struct virtual_waiter v;
        int r;

        parts_split(&parts, data, size);
        virtual_init(&v);
        virtual_at(&v, STOP_AFTER * USEC_PER_SEC, VIRTUAL_STOP);
        /* Every third one is reloaded in between. */
        if (size % 3 == 0)
                virtual_at(&v, 30 * USEC_PER_SEC, VIRTUAL_RELOAD);

        answers_begin(&parts, 0, &v);
        answers.on_status = on_status;
        worker_init(&worker, settings, &v.waiter, source_new);
        r = worker_run(&worker);
        must(r == (answers.exiting ? 1 : 0));
        must(answers.exiting || virtual_elapsed(&v) >= STOP_AFTER * USEC_PER_SEC);
        must(answers.exiting == answers.exhausted);
        must(answers.requests < REQUESTS_MAX);
        answers_end();
}
