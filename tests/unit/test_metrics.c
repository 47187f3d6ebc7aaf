/* SPDX-License-Identifier: Apache-2.0 */

/* The metrics file: all of it to the letter, what is left out, and what labels are made of. */

#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "report/metrics.h"
#include "suite.h"

static struct snapshot snapshot;
static struct text text;

static void add_workload(const char *name, const char *status) {
        struct workload *workload = workload_new(&(struct workload) { .name = name, .status = status });

        ck_assert_ptr_nonnull(workload);
        ck_assert_int_eq(workload_list_add(snapshot.workloads, workload), 0);
}

static void setup(void) {
        snapshot = (struct snapshot) {
                .connection = { .state = CONNECTION_CONNECTED },
                .last_success_at = (usec_t) 1795363291936815,
                .counters = {
                        .requests = 100,
                        .requests_ok = 80,
                        .requests_answer = 3,
                        .requests_failure = 7,
                        .reconnects = 2,
                        .port_changes = 1,
                },
        };
        snapshot.workloads = workload_list_new();
        ck_assert_ptr_nonnull(snapshot.workloads);
}

static void teardown(void) {
        snapshot_done(&snapshot);
        text_done(&text);
}

static void format(bool up) {
        text_clear(&text);
        metrics_format(&text, &snapshot, up);
        ck_assert_int_eq(text_error(&text), 0);
}

START_TEST(whole) {
        add_workload("a", "running");
        add_workload("b", "stopped");
        add_workload("c", "running");
        snapshot.registry = registry_new();
        ck_assert_int_eq(registry_add(snapshot.registry, "one", 3), 0);
        ck_assert_int_eq(registry_add(snapshot.registry, "two", 3), 0);

        format(true);
        ck_assert_str_eq(text.data,
                "# HELP mcp_optimizer_up Whether the service runs.\n"
                "# TYPE mcp_optimizer_up gauge\n"
                "mcp_optimizer_up 1\n"
                "# HELP mcp_optimizer_connected Whether the API answers, be it with an error.\n"
                "# TYPE mcp_optimizer_connected gauge\n"
                "mcp_optimizer_connected 1\n"
                "# HELP mcp_optimizer_attempt Consecutive failed attempts of the outage that lasts; 0 without one.\n"
                "# TYPE mcp_optimizer_attempt gauge\n"
                "mcp_optimizer_attempt 0\n"
                "# HELP mcp_optimizer_workloads Workloads that are kept, by status.\n"
                "# TYPE mcp_optimizer_workloads gauge\n"
                "mcp_optimizer_workloads{status=\"running\"} 2\n"
                "mcp_optimizer_workloads{status=\"stopped\"} 1\n"
                "# HELP mcp_optimizer_registry_servers Servers in the registry, local and remote.\n"
                "# TYPE mcp_optimizer_registry_servers gauge\n"
                "mcp_optimizer_registry_servers 2\n"
                "# HELP mcp_optimizer_requests_total API calls, by result: as expected, another answer, connection failure.\n"
                "# TYPE mcp_optimizer_requests_total counter\n"
                "mcp_optimizer_requests_total{result=\"ok\"} 80\n"
                "mcp_optimizer_requests_total{result=\"answer\"} 3\n"
                "mcp_optimizer_requests_total{result=\"failure\"} 7\n"
                "# HELP mcp_optimizer_reconnects_total Outages that ended.\n"
                "# TYPE mcp_optimizer_reconnects_total counter\n"
                "mcp_optimizer_reconnects_total 2\n"
                "# HELP mcp_optimizer_port_changes_total Moves of the API to another address.\n"
                "# TYPE mcp_optimizer_port_changes_total counter\n"
                "mcp_optimizer_port_changes_total 1\n"
                "# HELP mcp_optimizer_last_success_timestamp_seconds Time of the last completed API call, in seconds since 1970; 0 before the first.\n"
                "# TYPE mcp_optimizer_last_success_timestamp_seconds gauge\n"
                "mcp_optimizer_last_success_timestamp_seconds 1795363291.937\n");
}
END_TEST

START_TEST(states) {
        static const struct {
                enum connection_state state;
                const char *connected;
        } cases[] = {
                { CONNECTION_CONNECTING,   "\nmcp_optimizer_connected 0\n" },
                { CONNECTION_CONNECTED,    "\nmcp_optimizer_connected 1\n" },
                { CONNECTION_DEGRADED,     "\nmcp_optimizer_connected 1\n" },
                { CONNECTION_RECONNECTING, "\nmcp_optimizer_connected 0\n" },
                { CONNECTION_EXHAUSTED,    "\nmcp_optimizer_connected 0\n" },
                { CONNECTION_STOPPED,      "\nmcp_optimizer_connected 0\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                snapshot.connection.state = cases[i].state;
                format(true);
                ck_assert_ptr_nonnull(strstr(text.data, cases[i].connected));
        }

        snapshot.connection.attempt = 7;
        format(false);
        ck_assert_ptr_nonnull(strstr(text.data, "\nmcp_optimizer_up 0\n"));
        ck_assert_ptr_nonnull(strstr(text.data, "\nmcp_optimizer_attempt 7\n"));
}
END_TEST

/* Absent, which an alert can tell from zero. */
START_TEST(not_known) {
        snapshot.workloads = workload_list_free(snapshot.workloads);
        snapshot.last_success_at = 0;
        format(true);
        ck_assert_ptr_null(strstr(text.data, "mcp_optimizer_workloads{"));
        ck_assert_ptr_null(strstr(text.data, "\nmcp_optimizer_registry_servers "));
        ck_assert_ptr_nonnull(strstr(text.data, "\nmcp_optimizer_last_success_timestamp_seconds 0.0\n"));
}
END_TEST

START_TEST(labels_escaped) {
        add_workload("a", "x\\y\"} 1\nforged 1");
        format(true);
        ck_assert_ptr_nonnull(strstr(text.data,
                "\nmcp_optimizer_workloads{status=\"x\\\\y\\\"} 1\\nforged 1\"} 1\n"));
}
END_TEST

/* Every status is a time series that somebody stores: their number has an end. */
START_TEST(many_statuses) {
        unsigned n_series = 0, sum = 0;

        for (unsigned i = 0; i < 1000; i++) {
                char status[16];

                (void) snprintf(status, sizeof(status), "s%u", i % 500);
                add_workload("w", i == 999 ? "other" : status);
        }

        format(true);
        for (const char *at = text.data; (at = strstr(at, "mcp_optimizer_workloads{")); at++) {
                unsigned n;

                ck_assert_int_eq(sscanf(at, "mcp_optimizer_workloads{status=\"%*[^\"]\"} %u\n", &n), 1);
                sum += n;
                n_series++;
        }
        ck_assert_uint_eq(sum, 1000);
        ck_assert_uint_eq(n_series, 32);
        ck_assert_ptr_nonnull(strstr(text.data, "{status=\"other\"} 938\n"));
}
END_TEST

START_TEST(written) {
        char folder[] = "/tmp/test-metrics-XXXXXX", path[64];
        _cleanup_(freep) char *data = NULL;
        mode_t mask = umask(077);
        struct stat st;
        size_t size;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void) snprintf(path, sizeof(path), "%s/mcp.prom", folder);

        ck_assert_int_eq(metrics_write(path, &snapshot, true), 0);
        ck_assert_int_eq(metrics_write(path, &snapshot, false), 0);
        umask(mask);

        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0644);
        ck_assert_int_eq(file_read(path, 1 << 16, &data, &size), 0);
        format(false);
        ck_assert_str_eq(data, text.data);

        /* Nothing else is left in the folder. */
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(rmdir(folder), 0);
        ck_assert_int_lt(metrics_write(path, &snapshot, true), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("metrics");
        TCase *all = tcase_create("all");

        tcase_add_checked_fixture(all, setup, teardown);
        tcase_set_timeout(all, 60);
        tcase_add_test(all, whole);
        tcase_add_test(all, states);
        tcase_add_test(all, not_known);
        tcase_add_test(all, labels_escaped);
        tcase_add_test(all, many_statuses);
        tcase_add_test(all, written);
        suite_add_tcase(suite, all);

        return suite_run(suite);
}
