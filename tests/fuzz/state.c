/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state file: parsed as by a service that starts, and read as by `status`, from
 * the disk, with its lock held. What was taken is written again, and what was
 * written is taken again, as the same: parse and format are each other's inverse.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "checks.h"
#include "command/command.h"
#include "command/status.h"
#include "fuzz.h"
#include "report/metrics.h"
#include "report/state_file.h"

/* The holder of the lock was started then: "2026-11-22T22:11:35.000Z" in the documents that `status` believes. */
#define STARTED_AT ((usec_t) 1795385495 * USEC_PER_SEC)
#define NOW (STARTED_AT + 3 * USEC_PER_SEC)

static char folder[] = "/tmp/fuzz-state-XXXXXX";
static char path[sizeof folder + 16];
static struct configuration person, program;
static struct state_file locked;
static int file = -1;

static usec_t now(struct waiter *waiter _unused_) {
        return NOW;
}

static const struct waiter_ops ops = { .now = now, .realtime = now };

static void end(void) {
        _cleanup_text_ struct text lock = TEXT_INIT;

        configuration_done(&person);
        configuration_done(&program);
        state_file_close(&locked);
        text_addf(&lock, "%s.lock", path);
        (void) unlink(lock.data ?: "");
        (void) unlink(path);
        (void) rmdir(folder);
}

static void begin(void) {
        static char *environment[] = { NULL };
        char option[sizeof path + 16];
        char *words[] = { (char *) "mcp-optimizer", option, (char *) "status", (char *) "--json", NULL };

        must(mkdtemp(folder) && atexit(end) == 0);
        snprintf(path, sizeof path, "%s/state.json", folder);
        snprintf(option, sizeof option, "--state-file=%s", path);
        must(configuration_read(&person, 3, words, environment) == 0 && person.problems.size == 0);
        must(configuration_read(&program, 4, words, environment) == 0 && program.problems.size == 0);
        must(state_file_open(&locked, path, NULL, STARTED_AT) == 0);
        file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        must(file >= 0);
}

static void write_file(const uint8_t *data, size_t size) {
        if (file < 0)
                begin();
        must(ftruncate(file, 0) == 0);
        must(pwrite(file, data, size, 0) == (ssize_t) size);
}

/* As a person reads it on a terminal of some width, and as a program does. */
static void check_status(bool believed, unsigned width, const uint8_t *data, size_t size) {
        static char *environment[] = { NULL };
        struct waiter waiter = { .ops = &ops };
        struct command_context context = {
                .configuration = &person,
                .environment = environment,
                .waiter = &waiter,
                .out = { .fd = -1, .is_terminal = width > 0, .width = width },
                .err = { .fd = -1 },
        };
        struct json_slice value;
        const char *problem;
        int r;

        write_file(data, size);
        r = command_status(&context);
        must(r == COMMAND_OK || r == COMMAND_FAILED);
        must(r != COMMAND_OK || believed);
        must_be_harmless(&context.output, LINES);
        if (width > 0)
                must_fit(&context.output, width);
        text_clear(&context.output);

        context.configuration = &program;
        must(command_status(&context) == r);
        /* The document is a member there: one level more than it has itself. */
        must(json_scan(context.output.data, context.output.size, &value, &problem) == 0 ||
             strncmp(problem, "nested deeper", 13) == 0);
        text_done(&context.output);
        text_done(&context.notes);
}

/* What is made of it for systemd and for Prometheus. */
static void check_views(const struct snapshot *snapshot) {
        _cleanup_text_ struct text status = TEXT_INIT, metrics = TEXT_INIT;
        const char *line;

        snapshot_status_line(snapshot, &status);
        must_be_harmless(&status, ONE_LINE);
        must(status.size > 0);

        metrics_format(&metrics, snapshot, true);
        must_be_harmless(&metrics, LINES);
        for (line = metrics.data; *line; line += strcspn(line, "\n") + 1)
                must(strncmp(line, "# ", 2) == 0 || strncmp(line, "mcp_optimizer_", 14) == 0);
}

static void check_again(const struct snapshot *snapshot) {
        _cleanup_text_ struct text written = TEXT_INIT, twice = TEXT_INIT;
        _cleanup_(snapshot_done) struct snapshot again = {};
        char version[STATE_FILE_VERSION_SIZE];
        const char *problem;

        state_file_format(&written, snapshot);
        must_be_harmless(&written, LINES);
        must(state_file_parse(written.data, written.size, &again, version, &problem) == 0);
        must(strcmp(version, PROJECT_VERSION) == 0);
        state_file_format(&twice, &again);
        must(written.size == twice.size && memcmp(written.data, twice.data, twice.size) == 0);
}

static void check_connection(const struct connection *connection) {
        must(is_harmless(connection->endpoint, strlen(connection->endpoint), ONE_LINE));
        must(is_harmless(connection->version, strlen(connection->version), ONE_LINE));
        must(memchr(connection->last_error, '\0', sizeof connection->last_error));
        must(connection->port >= 0 && connection->port <= UINT16_MAX);
        must(connection->state >= CONNECTION_CONNECTING && connection->state <= CONNECTION_STOPPED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(snapshot_done) struct snapshot snapshot = {};
        char version[STATE_FILE_VERSION_SIZE];
        const char *problem = NULL;
        int r;

        memory_begin();
        r = state_file_parse((const char *) data, size, &snapshot, version, &problem);
        must(memory_peak() <= 16 * 1024 + size * 16);
        if (r == 0) {
                check_connection(&snapshot.connection);
                if (snapshot.workloads)
                        check_workload_list(snapshot.workloads);
                if (snapshot.registry)
                        check_registry(snapshot.registry);
                must(is_harmless(version, strlen(version), ONE_LINE));
                check_views(&snapshot);
                check_again(&snapshot);
        } else
                must(r == STATE_FILE_FOREIGN && problem && is_harmless(problem, strlen(problem), ONE_LINE));

        check_status(r == 0 && snapshot.started_at == STARTED_AT, size % 3 * 40, data, size);
        return 0;
}
