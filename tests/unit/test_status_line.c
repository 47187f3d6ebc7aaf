/* SPDX-License-Identifier: Apache-2.0 */

/* The status line: a table of what is so and how it is told. */

#include <check.h>
#include <string.h>
#include <time.h>

#include "model/snapshot.h"
#include "suite.h"

/* 2026-11-22T12:34:56Z */
#define NEXT_ATTEMPT ((usec_t) 1795350896 * USEC_PER_SEC)

static struct snapshot snapshot;

static void know_workloads(unsigned n, unsigned running) {
        snapshot.workloads = workload_list_new();
        ck_assert_ptr_nonnull(snapshot.workloads);

        for (unsigned i = 0; i < n; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "w%u", i);
                struct workload *workload = workload_new(&(struct workload) {
                        .name = name,
                        .status = i < running ? "running" : "stopped",
                });
                ck_assert_ptr_nonnull(workload);
                ck_assert_int_eq(workload_list_add(snapshot.workloads, workload), 0);
        }
        workload_list_sort(snapshot.workloads);
}

static void know_registry(unsigned n) {
        snapshot.registry = registry_new();
        ck_assert_ptr_nonnull(snapshot.registry);

        for (unsigned i = 0; i < n; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "s%u", i);
                ck_assert_int_eq(registry_add(snapshot.registry, name, strlen(name)), 0);
        }
        registry_sort(snapshot.registry);
}

static void setup(void) {
        setenv("TZ", "UTC", 1);
        tzset();
        snapshot = (struct snapshot) {
                .connection = {
                        .endpoint = "http://127.0.0.1:50001",
                        .port = 50001,
                        .version = "v0.44.0",
                        .max_retries = 100,
                },
        };
}

static void teardown(void) {
        snapshot_done(&snapshot);
}

static void assert_line(const char *expected) {
        _cleanup_text_ struct text text = TEXT_INIT;

        snapshot_status_line(&snapshot, &text);
        ck_assert_int_eq(text_error(&text), 0);
        ck_assert_str_eq(text.data, expected);
}

static void set(char *field, size_t size, const char *value) {
        (void) snprintf(field, size, "%s", value);
}

#define SET(field, value) set((field), sizeof(field), (value))

START_TEST(connected) {
        snapshot.connection.state = CONNECTION_CONNECTED;
        know_workloads(5, 4);
        know_registry(79);
        assert_line("Connected to ToolHive v0.44.0 on port 50001: 5 workloads (4 running), "
                    "79 servers in the registry");
}
END_TEST

START_TEST(connected_to_socket) {
        snapshot.connection.state = CONNECTION_CONNECTED;
        SET(snapshot.connection.endpoint, "unix:///run/thv.sock");
        snapshot.connection.port = 0;
        know_workloads(0, 0);
        know_registry(0);
        assert_line("Connected to ToolHive v0.44.0 on unix:///run/thv.sock: 0 workloads (0 running), "
                    "0 servers in the registry");
}
END_TEST

START_TEST(connected_singular) {
        snapshot.connection.state = CONNECTION_CONNECTED;
        know_workloads(1, 1);
        know_registry(1);
        assert_line("Connected to ToolHive v0.44.0 on port 50001: 1 workload (1 running), "
                    "1 server in the registry");
}
END_TEST

START_TEST(connected_not_all_known) {
        snapshot.connection.state = CONNECTION_CONNECTED;
        assert_line("Connected to ToolHive v0.44.0 on port 50001: workloads not known yet, "
                    "registry not known yet");
        know_workloads(2, 0);
        assert_line("Connected to ToolHive v0.44.0 on port 50001: 2 workloads (0 running), "
                    "registry not known yet");
}
END_TEST

START_TEST(connecting) {
        snapshot.connection.state = CONNECTION_CONNECTING;
        assert_line("Connected to ToolHive v0.44.0 on port 50001: first poll under way");

        /* An address that an earlier service knew is no connection. */
        snapshot.connection.version[0] = '\0';
        assert_line("Looking for ToolHive");
        know_workloads(2, 1);
        assert_line("Looking for ToolHive");
}
END_TEST

START_TEST(degraded) {
        snapshot.connection.state = CONNECTION_DEGRADED;
        SET(snapshot.workloads_poll.problem, "ToolHive answers 500 to list workloads");
        assert_line("Degraded: ToolHive answers 500 to list workloads");

        /* The workloads matter more. */
        SET(snapshot.registry_poll.problem, "ToolHive answers 503 to get registry");
        assert_line("Degraded: ToolHive answers 500 to list workloads");
        snapshot.workloads_poll.problem[0] = '\0';
        assert_line("Degraded: ToolHive answers 503 to get registry");
        snapshot.registry_poll.problem[0] = '\0';
        assert_line("Degraded: the last answer was not good");
}
END_TEST

START_TEST(reconnecting) {
        snapshot.connection.state = CONNECTION_RECONNECTING;
        snapshot.connection.attempt = 7;
        snapshot.connection.next_attempt_at = NEXT_ATTEMPT;
        SET(snapshot.connection.last_error, "Connection refused");
        assert_line("ToolHive unavailable (Connection refused): attempt 7 of 100, next try at 12:34:56");

        /* What a poll complained of before the outage is not what keeps it waiting now. */
        SET(snapshot.registry_poll.problem, "ToolHive answers 503 to get registry");
        assert_line("ToolHive unavailable (Connection refused): attempt 7 of 100, next try at 12:34:56");
        snapshot.registry_poll.problem[0] = '\0';

        snapshot.connection.next_attempt_at = 0;
        snapshot.connection.backoff = USEC_PER_SEC;
        assert_line("ToolHive unavailable (Connection refused): attempt 7 of 100, looking for it");
        snapshot.connection.backoff = 0;
        assert_line("ToolHive unavailable (Connection refused): attempt 8 of 100 under way");

        snapshot.connection.attempt = 100;
        assert_line("ToolHive unavailable (Connection refused): attempt 100 of 100 failed, "
                    "last retry under way");
}
END_TEST

START_TEST(reconnecting_local_time) {
        snapshot.connection.state = CONNECTION_RECONNECTING;
        snapshot.connection.attempt = 1;
        snapshot.connection.next_attempt_at = NEXT_ATTEMPT + USEC_PER_SEC / 2;
        setenv("TZ", "XXX-2", 1);
        tzset();
        assert_line("ToolHive unavailable: attempt 1 of 100, next try at 14:34:56");
}
END_TEST

/* Attempts failed, then ToolHive answered with an error: not over, and no attempt is what is waited for. */
START_TEST(reconnecting_with_answer) {
        snapshot.connection.state = CONNECTION_RECONNECTING;
        snapshot.connection.attempt = 7;
        SET(snapshot.connection.last_error, "Connection refused");
        SET(snapshot.workloads_poll.problem, "ToolHive answers 500 to list workloads");
        assert_line("Reconnecting: ToolHive answers 500 to list workloads (attempt 7 of 100)");
}
END_TEST

START_TEST(ended) {
        SET(snapshot.connection.last_error, "Timed out after 10.0 s");
        snapshot.connection.attempt = 100;
        snapshot.connection.state = CONNECTION_EXHAUSTED;
        assert_line("ToolHive unavailable (Timed out after 10.0 s): all 100 attempts failed, exiting");
        snapshot.connection.state = CONNECTION_STOPPED;
        assert_line("Stopped");
}
END_TEST

START_TEST(kubernetes) {
        snapshot.runtime_mode = RUNTIME_K8S;
        SET(snapshot.connection.endpoint, "https://10.0.0.1:6443");
        snapshot.connection.port = 6443;
        snapshot.connection.version[0] = '\0';

        snapshot.connection.state = CONNECTION_CONNECTING;
        assert_line("Looking for Kubernetes API");

        snapshot.connection.state = CONNECTION_CONNECTED;
        know_workloads(3, 2);
        assert_line("Connected to Kubernetes API on https://10.0.0.1:6443: 3 workloads (2 running)");

        snapshot.connection.state = CONNECTION_RECONNECTING;
        snapshot.connection.attempt = 2;
        snapshot.connection.next_attempt_at = NEXT_ATTEMPT;
        SET(snapshot.connection.last_error, "Connection refused");
        assert_line("Kubernetes API unavailable (Connection refused): attempt 2 of 100, "
                    "next try at 12:34:56");
}
END_TEST

START_TEST(hostile) {
        snapshot.connection.state = CONNECTION_RECONNECTING;
        snapshot.connection.attempt = 1;
        SET(snapshot.connection.last_error, "x\nREADY=1 \033[2J");
        assert_line("ToolHive unavailable (\"x\\nREADY=1 \\x1b[2J\"): attempt 2 of 100 under way");

        SET(snapshot.connection.version, "v1\r");
        snapshot.connection.state = CONNECTION_CONNECTING;
        assert_line("Connected to ToolHive \"v1\\r\" on port 50001: first poll under way");
}
END_TEST

START_TEST(names) {
        ck_assert_str_eq(connection_state_name(CONNECTION_CONNECTING), "connecting");
        ck_assert_str_eq(connection_state_name(CONNECTION_CONNECTED), "connected");
        ck_assert_str_eq(connection_state_name(CONNECTION_DEGRADED), "degraded");
        ck_assert_str_eq(connection_state_name(CONNECTION_RECONNECTING), "reconnecting");
        ck_assert_str_eq(connection_state_name(CONNECTION_EXHAUSTED), "exhausted");
        ck_assert_str_eq(connection_state_name(CONNECTION_STOPPED), "stopped");
        ck_assert_str_eq(runtime_mode_name(RUNTIME_DOCKER), "docker");
        ck_assert_str_eq(runtime_mode_name(RUNTIME_K8S), "k8s");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("status line");
        TCase *lines = tcase_create("lines");

        tcase_add_checked_fixture(lines, setup, teardown);
        tcase_set_timeout(lines, 60);
        tcase_add_test(lines, connected);
        tcase_add_test(lines, connected_to_socket);
        tcase_add_test(lines, connected_singular);
        tcase_add_test(lines, connected_not_all_known);
        tcase_add_test(lines, connecting);
        tcase_add_test(lines, degraded);
        tcase_add_test(lines, reconnecting);
        tcase_add_test(lines, reconnecting_local_time);
        tcase_add_test(lines, reconnecting_with_answer);
        tcase_add_test(lines, ended);
        tcase_add_test(lines, kubernetes);
        tcase_add_test(lines, hostile);
        tcase_add_test(lines, names);
        suite_add_tcase(suite, lines);

        return suite_run(suite);
}
