/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Torture of the commands, from the words to stdout. Each ends with a documented
 * exit code; with 0 it has printed what it prints on a good day, whole, and with
 * another it has said why. An install is sent once at most.
 */

#include <errno.h>
#include <time.h>

#include "base/option.h"
#include "command/command.h"
#include "report/state_file.h"
#include "server.h"
#include "suite.h"
#include "torture.h"

#define WORDS_MAX 8

static struct configuration configuration;
static struct state_file file;
static char variables[3][192];
static char *environment[] = { variables[0], variables[1], variables[2], NULL };

/* As the words ask; where the service is said to run, it holds its lock. */
static void begin(const char *const *words) {
        char *argv[WORDS_MAX + 8] = {
                (char *) "mcp-optimizer", (char *) "--toolhive-max-retries=1", (char *) "--toolhive-start-port-scan=50000",
                (char *) "--toolhive-end-port-scan=50001", (char *) "--toolhive-discovery-file=none",
        };
        int argc = 5;

        for (; *words; words++)
                argv[argc++] = (char *) *words;
        snprintf(variables[0], sizeof variables[0], "RUNTIME_DIRECTORY=%s", torture_path("run"));
        snprintf(variables[1], sizeof variables[1], "TOKEN=secret");
        snprintf(variables[2], sizeof variables[2], "TOOLHIVE_PORT=%u", server()->port);
        if (configuration_read(&configuration, argc, argv, environment) < 0 || configuration.problems.size > 0)
                abort();
        server_renew();
        torture_take(STDOUT_FILENO);
        torture_take(STDERR_FILENO);
}

static int act(void) {
        return command_run(&configuration, environment);
}

/* Whether the failure can have kept the last word from stderr. */
static bool can_be_mute(void) {
        return strncmp(inject_record->failed, "write", 5) == 0;
}

static void judge_output(int r, const int *codes) {
        static char good[1 << 16];
        const char *said = torture_taken(STDERR_FILENO), *printed = torture_taken(STDOUT_FILENO);

        if (!torture_injected())
                snprintf(good, sizeof good, "%s", printed);
        while (*codes >= 0 && *codes != r)
                codes++;
        torture_expect(*codes == r);
        /* What it could do without, it says. */
        if (r == 0 && strcmp(printed, good) != 0 && !strstr(said, "WARNING "))
                torture_fail("says yes and prints: %s(and on stderr: %s)", printed, said);
        if (r != 0 && !*said && !*printed && !can_be_mute())
                torture_fail("ends with %d and says nothing", r);
}

#define CODES(...) ((const int[]) { __VA_ARGS__, -1 })

static void judge(int r) {
        judge_output(r, CODES(COMMAND_OK, COMMAND_FAILED));
}

static void end(void) {
        configuration_done(&configuration);
        state_file_close(&file);
}

static void begin_list(void) {
        begin((const char *[]) { "list", "--all", NULL });
}

static void begin_list_json(void) {
        begin((const char *[]) { "list", "--json", NULL });
}

static void begin_show(void) {
        begin((const char *[]) { "show", "a", NULL });
}

static void begin_registry(void) {
        begin((const char *[]) { "registry", NULL });
}

static void begin_search(void) {
        begin((const char *[]) { "registry", "--search", "web", "--json", NULL });
}

static void begin_entry(void) {
        begin((const char *[]) { "registry", "fetch", NULL });
}

static void begin_install(void) {
        begin((const char *[]) { "install", "fetch", "--env", "TOKEN", NULL });
}

/* Once at most, and a yes only where it is so. */
static void judge_install(int r) {
        unsigned posts = atomic_load(&server()->posts);

        judge_output(r, CODES(COMMAND_OK, COMMAND_FAILED, COMMAND_EXISTS, COMMAND_NOT_UP));
        torture_expect(posts <= 1);
        torture_expect(r != COMMAND_OK || posts == 1);
        torture_expect(r != COMMAND_EXISTS);
}

/* ---- those that read the state file ---- */

static struct timespec began;

static void begin_service(const char *const *words) {
        struct snapshot snapshot = {
                .host = "localhost",
                .pid = getpid(),
                .started_at = 1767225600 * USEC_PER_SEC,
                .last_success_at = 1767225600 * USEC_PER_SEC,
                .connection = { .state = CONNECTION_CONNECTED, .since = 1767225600 * USEC_PER_SEC, .max_retries = 100 },
                .workloads_poll.polled_at = 1767225600 * USEC_PER_SEC,
        };

        snprintf(snapshot.connection.endpoint, sizeof snapshot.connection.endpoint, "http://" SERVER_HOST ":%u", server()->port);
        snapshot.connection.port = server()->port;
        snapshot.workloads = workload_list_new();
        if (state_file_open(&file, torture_path("run/state.json"), NULL, snapshot.started_at) != 0 ||
            state_file_write(&file, &snapshot, false) != 0)
                abort();
        snapshot_done(&snapshot);
        begin(words);
}

static void begin_status(void) {
        begin_service((const char *[]) { "status", NULL });
}

static void begin_status_json(void) {
        begin_service((const char *[]) { "status", "--json", NULL });
}

static void begin_alive(void) {
        begin_service((const char *[]) { "status", "--alive", NULL });
}

static void begin_wait(void) {
        begin_service((const char *[]) { "wait", "--timeout=3", NULL });
        clock_gettime(CLOCK_MONOTONIC, &began);
}

/* The service is connected all the time: what fails once delays it by a second, and not until the time is up. */
static void judge_wait(int r) {
        struct timespec now;
        double seconds;

        clock_gettime(CLOCK_MONOTONIC, &now);
        seconds = (double) (now.tv_sec - began.tv_sec) + (double) (now.tv_nsec - began.tv_nsec) / 1e9;
        judge(r);
        torture_expect(seconds < 2.5 * suite_slowness() || torture_lasts());
}

/* Ages are in it, which no two runs share. */
static void judge_status(int r) {
        const char *said = torture_taken(STDERR_FILENO), *printed = torture_taken(STDOUT_FILENO);

        torture_expect(r == COMMAND_OK || r == COMMAND_FAILED);
        if (r == COMMAND_OK)
                torture_expect(*printed);
        else if (!*said && !*printed && !can_be_mute())
                torture_fail("ends with %d and says nothing", r);
}

const struct operation command_operations[] = {
        { "list", begin_list, act, judge, end, 2 },
        { "list --json", begin_list_json, act, judge, end, 0 },
        { "show", begin_show, act, judge, end, 2 },
        { "registry", begin_registry, act, judge, end, 2 },
        { "registry --search --json", begin_search, act, judge, end, 0 },
        { "registry NAME", begin_entry, act, judge, end, 0 },
        { "install", begin_install, act, judge_install, end, 2 },
        { "status", begin_status, act, judge_status, end, 2 },
        { "status --json", begin_status_json, act, judge_status, end, 2 },
        { "status --alive", begin_alive, act, judge, end, 0 },
        { "wait", begin_wait, act, judge_wait, end, 40 },
        {},
};
