/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The client of a command under the virtual clock: where it looks first, its time
 * limit to the microsecond, what it says of each end, and its line on a terminal.
 */

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "capture.h"
#include "command/client.h"
#include "fake_source.h"
#include "option_reader.h"
#include "report/log.h"
#include "report/state_file.h"
#include "suite.h"

#define CONNECTED(port) "INFO     Connected to ToolHive endpoint=http://127.0.0.1:" port " version=v0.44.0\n"
#define FAILED(attempt, max, backoff) \
        "WARNING  ToolHive connection failed attempt=" attempt " max_retries=" max \
        " error=\"Connection refused\" backoff_seconds=" backoff "\n"
#define ERROR(words) "ERROR    " words "\n"

/* A ToolHive whose answers take longer than anybody waits. */
#define HANGING \
        ((struct fake_world) { .port = 50001, .replies = FAKE_ALL(FAKE_GOOD, .takes = 100 * USEC_PER_SEC) })

static struct virtual_waiter v;
static struct fake_source fake;
static struct configuration configuration;
static struct command_context context;
static struct client client;
static char last_endpoint[ENDPOINT_URL_MAX];    /* what the client gave its source to begin with */
static char folder[64];

static int make_fake(const struct settings *settings _unused_, struct waiter *waiter _unused_, const char *last,
                     struct source **ret_source) {
        snprintf(last_endpoint, sizeof last_endpoint, "%s", last);
        if (last[0])
                ck_assert_int_eq(endpoint_parse(&fake.source.endpoint, last), 0);
        *ret_source = &fake.source;
        return 0;
}

static void read_settings(const char **words, char *variable) {
        static char *environment[2];

        environment[0] = variable;
        configuration_done(&configuration);
        read_all(&configuration, words, (const char **) environment);
        ck_assert_str_eq(problems(&configuration), "");
        context.environment = environment;
}

/* No state file unless the test says so: a service of this machine is none of its business. */
static void settings(const char *option) {
        read_settings(WORDS("--state-file=none", option ?: "list", option ? "list" : NULL), NULL);
}

static void setup(void) {
        virtual_init(&v);
        fake_init(&fake, &v);
        context = (struct command_context) {
                .configuration = &configuration,
                .waiter = &v.waiter,
                .out = { .fd = -1 },
                .err = { .fd = -1 },
        };
        settings(NULL);
        last_endpoint[0] = '\0';
        capture_begin();
}

static void teardown(void) {
        capture_end();
        configuration_done(&configuration);
}

static int begin(double timeout) {
        return client_init(&client, &context, make_fake, virtual_seconds(timeout));
}

/* One call from beginning to end: its exit code. */
static int run(double timeout, enum call_kind kind) {
        _cleanup_(call_done) struct call call = { .kind = kind, .name = "one" };
        int r;

        r = begin(timeout);
        if (r == 0)
                r = client_run(&client, &call, "Listing workloads");
        client_done(&client);
        ck_assert(fake.freed);
        return r;
}

static void expect_elapsed(double seconds) {
        ck_assert_msg(virtual_elapsed(&v) == virtual_seconds(seconds), "after %.6f s",
                      (double) virtual_elapsed(&v) / 1e6);
}

/* ---- the operations are the service's ---- */

START_TEST(connects_and_asks) {
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        capture_expect(CONNECTED("50001"));
        expect_elapsed(0);
}
END_TEST

START_TEST(finishes_when_toolhive_returns_elsewhere) {
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(2.5), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        capture_expect(FAILED("1", "100", "1.0") FAILED("2", "100", "2.0") CONNECTED("50002")
                       "INFO     ToolHive connection restored endpoint=http://127.0.0.1:50002 attempts=2 "
                       "outage_seconds=3.0\n");
        expect_elapsed(3);
}
END_TEST

START_TEST(follows_toolhive_between_two_calls) {
        _cleanup_(call_done) struct call one = { .kind = CALL_REGISTRY }, another = { .kind = CALL_REGISTRY };

        fake_from(&fake, virtual_seconds(10), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(begin(30), 0);
        ck_assert_int_eq(client_run(&client, &one, "One"), 0);
        virtual_advance(&v, virtual_seconds(10));
        ck_assert_int_eq(client_run(&client, &another, "Another"), 0);
        ck_assert_str_eq(client.source->endpoint.url, "http://127.0.0.1:50002");
        expect_elapsed(10);
        client_done(&client);
}
END_TEST

START_TEST(the_delays_are_the_settings) {
        settings("--toolhive-backoff-jitter=1.0");
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, 1, (struct fake_world) { .port = 50001 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_uint_lt(virtual_elapsed(&v), virtual_seconds(1));
}
END_TEST

/* ---- the ends ---- */

START_TEST(time_is_up_in_a_wait) {
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(10, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        expect_elapsed(10);
        capture_expect_end(FAILED("4", "100", "8.0")
                           ERROR("ToolHive unavailable (Connection refused): gave up after 10 s and 4 attempts"));
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 4);
}
END_TEST

START_TEST(time_is_up_after_one_attempt) {
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(0.5, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        expect_elapsed(0.5);
        capture_expect_end(ERROR("ToolHive unavailable (Connection refused): gave up after 0.5 s and 1 attempt"));
}
END_TEST

START_TEST(time_is_up_in_a_hanging_call) {
        fake_from(&fake, 0, HANGING);
        ck_assert_int_eq(run(30, CALL_REGISTRY), COMMAND_FAILED);
        expect_elapsed(30);
        capture_expect(CONNECTED("50001") ERROR("ToolHive does not answer get registry: gave up after 30 s"));
}
END_TEST

START_TEST(time_is_up_in_a_search) {
        fake_from(&fake, 0, (struct fake_world) { .port = 50001, .search_takes = virtual_seconds(100) });
        ck_assert_int_eq(run(30, CALL_REGISTRY), COMMAND_FAILED);
        expect_elapsed(30);
        capture_expect(ERROR("ToolHive was not found: gave up after 30 s"));
}
END_TEST

/* What is not searched for was not "not found". */
START_TEST(time_is_up_with_a_cluster) {
        fake_be_cluster(&fake);
        fake_from(&fake, 0, HANGING);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        capture_expect(ERROR("Kubernetes API does not answer: gave up after 30 s"));

        virtual_init(&v);
        fake_init(&fake, &v);
        fake_be_cluster(&fake);
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(2, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        capture_expect_end(ERROR("Kubernetes API unavailable (Connection refused): gave up after 2 s and 2 attempts"));
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
}
END_TEST

START_TEST(time_goes_on_during_a_suspend) {
        fake_from(&fake, 0, FAKE_NOBODY);
        virtual_suspend_at(&v, virtual_seconds(5), virtual_seconds(3600));
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        capture_expect_end(ERROR("ToolHive unavailable (Connection refused): gave up after 30 s and 4 attempts"));
}
END_TEST

START_TEST(a_signal_ends_a_wait) {
        fake_from(&fake, 0, FAKE_NOBODY);
        virtual_at(&v, virtual_seconds(5), VIRTUAL_STOP);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_INTERRUPTED);
        expect_elapsed(5);
        ck_assert_uint_eq(capture_count("ERROR"), 0);
}
END_TEST

START_TEST(a_signal_ends_a_call) {
        fake_from(&fake, 0, HANGING);
        virtual_at(&v, virtual_seconds(5), VIRTUAL_STOP);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_INTERRUPTED);
        expect_elapsed(5);
        capture_expect(CONNECTED("50001"));
}
END_TEST

START_TEST(attempts_are_spent) {
        settings("--toolhive-max-retries=3");
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        capture_expect(FAILED("1", "3", "1.0") FAILED("2", "3", "2.0") FAILED("3", "3", "0.0")
                       "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=3\n"
                       "CRITICAL ToolHive connection failure - exiting max_retries=3 "
                       "last_error=\"Connection refused\"\n");
        expect_elapsed(3);
}
END_TEST

START_TEST(another_answer) {
        static const struct {
                struct fake_reply reply;
                const char *line;
        } rows[] = {
                { { .status = 500, .error = "Internal Server Error" },
                  "ToolHive answers 500 to list workloads error=\"Internal Server Error\"" },
                { { .status = 404, .error = "\033[2J\n" },
                  "ToolHive answers 404 to list workloads error=\"\\x1b[2J\\n\"" },
                { { .status = 200, .error = "Unusable body: no \"workloads\"" },
                  "ToolHive's answer to list workloads is of no use (Unusable body: no \"workloads\")" },
                { { .status = 500, .runtime_away = true, .error = "Internal Server Error" },
                  "ToolHive's container runtime is away" },
                { { .error = "Timed out\n" },
                  "ToolHive does not answer list workloads (Timed out\xEF\xBF\xBD)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_text_ struct text line = TEXT_INIT;
                struct fake_world world = { .port = 50001, .replies = { [CALL_LIST_WORKLOADS] = rows[i].reply } };

                world.replies[CALL_LIST_WORKLOADS].manner = FAKE_ANSWER;
                fake_init(&fake, &v);
                fake_from(&fake, 0, world);
                ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_FAILED);
                text_addf(&line, ERROR("%s"), rows[i].line);
                capture_expect_end(line.data);
        }
        expect_elapsed(0);
}
END_TEST

/* ---- sleeping, and other limits ---- */

START_TEST(sleeps) {
        ck_assert_int_eq(begin(30), 0);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(20), "Waiting"), 0);
        expect_elapsed(20);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(20), "Waiting"), COMMAND_FAILED);
        expect_elapsed(30);
        ck_assert(client.timed_out);
        client_done(&client);
}
END_TEST

START_TEST(a_new_limit_begins_anew) {
        ck_assert_int_eq(begin(30), 0);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(20), "Waiting"), 0);
        client_set_timeout(&client, virtual_seconds(100));
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(99), "Waiting"), 0);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(2), "Waiting"), COMMAND_FAILED);
        expect_elapsed(120);
        capture_expect_end(ERROR("ToolHive was not found: gave up after 1 min 40 s"));
        client_done(&client);
}
END_TEST

/* Of the old limit, over or longer, nothing is felt any more. */
START_TEST(a_new_limit_forgets_the_old_one) {
        ck_assert_int_eq(begin(30), 0);
        virtual_advance(&v, virtual_seconds(30));
        ck_assert_int_eq(waiter_progress(&v.waiter), -ECANCELED);
        ck_assert(client.timed_out);
        client_set_timeout(&client, virtual_seconds(100));
        ck_assert(!client.timed_out);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(10), "Waiting"), 0);

        client_set_timeout(&client, virtual_seconds(5));
        virtual_advance(&v, virtual_seconds(5));
        ck_assert_int_eq(waiter_progress(&v.waiter), -ECANCELED);
        ck_assert(client.timed_out);
        client_done(&client);
        ck_assert_uint_eq(capture_count("ERROR"), 0);
}
END_TEST

/* The stop of a signal is not ours to take back. */
START_TEST(a_new_limit_keeps_a_stop) {
        ck_assert_int_eq(begin(30), 0);
        virtual_at(&v, virtual_seconds(5), VIRTUAL_STOP);
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(20), "Waiting"), COMMAND_INTERRUPTED);
        client_set_timeout(&client, virtual_seconds(100));
        ck_assert_int_eq(client_sleep(&client, virtual_seconds(1), "Waiting"), COMMAND_INTERRUPTED);
        client_done(&client);
}
END_TEST

START_TEST(urls_are_completed) {
        static const char body[] = "{\"workloads\":[{\"name\":\"a\",\"status\":\"running\"},"
                                   "{\"name\":\"b\",\"status\":\"stopped\"}]}";
        static const struct fake_reply slow = { .manner = FAKE_ANSWER, .status = 504, .error = "too slow" };

        for (int fails = 0; fails < 2; fails++) {
                _cleanup_(call_done) struct call call = { .kind = CALL_LIST_WORKLOADS };
                struct fake_world world = { .port = 50001, .workloads = body };

                if (fails)
                        world.replies[CALL_WORKLOAD_DETAILS] = slow;
                fake_init(&fake, &v);
                fake_from(&fake, 0, world);
                ck_assert_int_eq(begin(30), 0);
                ck_assert_int_eq(client_run(&client, &call, "Listing workloads"), 0);
                capture_forget();
                ck_assert_int_eq(client_complete_list(&client, call.workloads), 0);
                ck_assert_pstr_eq(call.workloads->items[0]->url, fails ? NULL : "http://127.0.0.1:17000/a");
                ck_assert_pstr_eq(call.workloads->items[1]->url, NULL);
                capture_expect(fails ? "WARNING  ToolHive answers 504 to get workload details error=\"too slow\"\n" : "");
                client_done(&client);
        }
}
END_TEST

/* What a part of the cluster was refused is told beside the list, which is had. */
START_TEST(a_part_is_refused) {
        static const struct outcome denied = {
                .verdict = VERDICT_ANSWER, .status = 403, .error = "x is forbidden",
                .denied = { "list", "virtualmcpservers", "all namespaces", "a role" },
        };
        _cleanup_(call_done) struct call call = { .kind = CALL_LIST_WORKLOADS };

        fake_be_cluster(&fake);
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50001, .problem = denied,
                .workloads = "{\"workloads\":[{\"name\":\"a\",\"status\":\"running\"}]}" });
        ck_assert_int_eq(begin(30), 0);
        ck_assert_str_eq(client.progress.api, "Kubernetes API");
        ck_assert_int_eq(client_run(&client, &call, "Listing workloads"), 0);
        capture_forget();
        ck_assert_int_eq(client_complete_list(&client, call.workloads), 0);
        capture_expect("WARNING  Kubernetes API denies the account to list virtualmcpservers in all namespaces "
                       "error=\"x is forbidden\"\n");
        /* Details would tell no URL that the list does not have. */
        ck_assert_uint_eq(fake_calls(&fake, CALL_WORKLOAD_DETAILS, NULL, 0), 0);
        client_done(&client);
}
END_TEST

/* ---- where it looks first ---- */

#define SERVICE "http://127.0.0.1:50005"

/* A service that runs, as its state file tells it, until state_file_close(). */
static void start_service_in(struct state_file *file, enum runtime_mode mode) {
        struct snapshot snapshot = {
                .runtime_mode = mode,
                .pid = 4711,
                .started_at = VIRTUAL_REALTIME_START,
                .connection = { .state = CONNECTION_CONNECTED, .since = VIRTUAL_REALTIME_START, .port = 50005,
                                .max_retries = 100, .version = "v0.44.0", .endpoint = SERVICE },
        };
        char path[sizeof folder + sizeof "/state.json"];

        strcpy(snapshot.host, "localhost");
        strcpy(folder, "/tmp/mcp-optimizer-client-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/state.json", folder);
        ck_assert_int_eq(state_file_open(file, path, NULL, snapshot.started_at), 0);
        ck_assert_int_eq(state_file_write(file, &snapshot, true), 0);
}

static void start_service(struct state_file *file) {
        start_service_in(file, RUNTIME_DOCKER);
}

static void remove_service(struct state_file *file) {
        char path[sizeof folder + sizeof "/state.json.lock"];

        state_file_close(file);
        snprintf(path, sizeof path, "%s/state.json", folder);
        (void) unlink(path);
        snprintf(path, sizeof path, "%s/state.json.lock", folder);
        (void) unlink(path);
        (void) rmdir(folder);
}

static void settings_with_service(const char *option) {
        static char variable[sizeof folder + sizeof "RUNTIME_DIRECTORY="];

        snprintf(variable, sizeof variable, "RUNTIME_DIRECTORY=%s", folder);
        read_settings(WORDS("list", option), variable);
}

START_TEST(the_running_service_knows_where) {
        struct state_file file;

        start_service(&file);
        settings_with_service(NULL);
        fake_from(&fake, 0, (struct fake_world) { .port = 50005 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_str_eq(last_endpoint, SERVICE);
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 1);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 0);
        ck_assert_uint_eq(capture_count(SERVICE), 1);
        remove_service(&file);
}
END_TEST

START_TEST(an_address_that_does_not_answer_is_searched_for) {
        struct state_file file;

        start_service(&file);
        settings_with_service(NULL);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 1);
        ck_assert_uint_eq(fake_searches(&fake, NULL, 0), 1);
        capture_expect(CONNECTED("50001"));
        remove_service(&file);
}
END_TEST

START_TEST(a_given_address_wins) {
        static const char *const given[] = {
                "--toolhive-host=127.0.0.1", "--toolhive-port=50001",
                "--toolhive-api-url=http://127.0.0.1:50001", "--toolhive-start-port-scan=50001",
                "--toolhive-end-port-scan=50001", "--toolhive-discovery-file=none",
        };
        struct state_file file;

        start_service(&file);
        for (size_t i = 0; i < ELEMENTSOF(given); i++) {
                strcpy(last_endpoint, "nothing yet");
                settings_with_service(given[i]);
                fake_init(&fake, &v);
                ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
                ck_assert_msg(!last_endpoint[0], "%s: %s", given[i], last_endpoint);
                ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 0);
        }
        remove_service(&file);
}
END_TEST

/* In Kubernetes the address is a setting, and goes with the token and the certificates. */
START_TEST(a_cluster_is_where_the_settings_say) {
        struct state_file file;

        start_service_in(&file, RUNTIME_K8S);
        settings_with_service("--runtime-mode=k8s");
        fake_be_cluster(&fake);
        strcpy(last_endpoint, "nothing yet");
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_str_eq(last_endpoint, "");
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 0);
        remove_service(&file);
}
END_TEST

START_TEST(a_service_that_ended_is_not_asked_for) {
        struct state_file file;

        start_service(&file);
        state_file_close(&file);
        settings_with_service(NULL);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_str_eq(last_endpoint, "");
        remove_service(&file);
}
END_TEST

/* ---- the line on a terminal ---- */

static char *drawn(void) {
        struct stat st;
        char *text;

        ck_assert_int_eq(fstat(context.err.fd, &st), 0);
        text = calloc(1, (size_t) st.st_size + 1);
        ck_assert_ptr_nonnull(text);
        ck_assert_int_eq(pread(context.err.fd, text, (size_t) st.st_size, 0), st.st_size);
        return text;
}

static void sit_at_terminal(bool line_tells) {
        context.line_tells = line_tells;
        context.err = (struct terminal) {
                .fd = memfd_create("terminal", MFD_CLOEXEC),
                .is_terminal = true,
                .width = 200,
        };
        ck_assert_int_ge(context.err.fd, 0);
        if (line_tells)
                log_init(LEVEL_WARNING, LOG_FORMAT_TEXT);
}

START_TEST(the_wait_counts_down) {
        _cleanup_(freep) char *line = NULL;

        sit_at_terminal(true);
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(6.5), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        expect_elapsed(7);
        capture_expect("");

        line = drawn();
        for (int left = 4; left > 0; left--) {
                _cleanup_text_ struct text wanted = TEXT_INIT;

                text_addf(&wanted, "attempt 3 of 100, next try in %d s; gives up in %d s", left, 23 + left);
                ck_assert_msg(strstr(line, wanted.data), "%s is not in %s", wanted.data, line);
        }
        ck_assert_msg(strlen(line) > 4 && strcmp(line + strlen(line) - 4, "\r\033[K") == 0,
                      "not taken away: %s", line);
        /* A wake a second, and one for each attempt. */
        ck_assert_uint_le(v.wakeups, 7 + 4);
        close(context.err.fd);
}
END_TEST

START_TEST(only_the_last_word_is_logged_beside_the_line) {
        sit_at_terminal(true);
        settings("--toolhive-max-retries=2");
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_FAILED);
        capture_expect("ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=2\n"
                       "CRITICAL ToolHive connection failure - exiting max_retries=2 "
                       "last_error=\"Connection refused\"\n");
        close(context.err.fd);
}
END_TEST

START_TEST(a_log_that_was_asked_for_is_given) {
        sit_at_terminal(false);
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(0.5), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_uint_eq(capture_count("WARNING  ToolHive connection failed"), 1);
        close(context.err.fd);
}
END_TEST

START_TEST(without_a_terminal_nobody_is_woken_for_the_line) {
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, virtual_seconds(6.5), (struct fake_world) { .port = 50002 });
        ck_assert_int_eq(run(30, CALL_LIST_WORKLOADS), COMMAND_OK);
        ck_assert_uint_eq(v.wakeups, 3);
}
END_TEST

/* ---- names ---- */

START_TEST(no_such_name) {
        static const char *const names[] = { "fetch", "github", "time \"2\"" };

        client_no_such("workload", "fetsh", names, ELEMENTSOF(names));
        capture_expect(ERROR("There is no workload named fetsh: did you mean fetch?"));
        client_no_such("workload", "tine \"2\"", names, ELEMENTSOF(names));
        capture_expect(ERROR("There is no workload named \"tine \\\"2\\\"\": did you mean \"time \\\"2\\\"\"?"));
        client_no_such("server in the registry", "everything", names, ELEMENTSOF(names));
        capture_expect(ERROR("There is no server in the registry named everything"));
        client_no_such("workload", "x", NULL, 0);
        capture_expect(ERROR("There is no workload named x"));
}
END_TEST

START_TEST(an_error_is_one_harmless_line) {
        command_error("%s", "a\nb\033[2Jc");
        capture_expect(ERROR("a\xEF\xBF\xBD" "b\xEF\xBF\xBD[2Jc"));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("client");
        TCase *tcase = tcase_create("client");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, connects_and_asks);
        tcase_add_test(tcase, finishes_when_toolhive_returns_elsewhere);
        tcase_add_test(tcase, follows_toolhive_between_two_calls);
        tcase_add_test(tcase, the_delays_are_the_settings);
        tcase_add_test(tcase, time_is_up_in_a_wait);
        tcase_add_test(tcase, time_is_up_after_one_attempt);
        tcase_add_test(tcase, time_is_up_in_a_hanging_call);
        tcase_add_test(tcase, time_is_up_in_a_search);
        tcase_add_test(tcase, time_is_up_with_a_cluster);
        tcase_add_test(tcase, time_goes_on_during_a_suspend);
        tcase_add_test(tcase, a_signal_ends_a_wait);
        tcase_add_test(tcase, a_signal_ends_a_call);
        tcase_add_test(tcase, attempts_are_spent);
        tcase_add_test(tcase, another_answer);
        tcase_add_test(tcase, sleeps);
        tcase_add_test(tcase, a_new_limit_begins_anew);
        tcase_add_test(tcase, a_new_limit_forgets_the_old_one);
        tcase_add_test(tcase, a_new_limit_keeps_a_stop);
        tcase_add_test(tcase, urls_are_completed);
        tcase_add_test(tcase, a_part_is_refused);
        tcase_add_test(tcase, the_running_service_knows_where);
        tcase_add_test(tcase, an_address_that_does_not_answer_is_searched_for);
        tcase_add_test(tcase, a_given_address_wins);
        tcase_add_test(tcase, a_cluster_is_where_the_settings_say);
        tcase_add_test(tcase, a_service_that_ended_is_not_asked_for);
        tcase_add_test(tcase, the_wait_counts_down);
        tcase_add_test(tcase, only_the_last_word_is_logged_beside_the_line);
        tcase_add_test(tcase, a_log_that_was_asked_for_is_given);
        tcase_add_test(tcase, without_a_terminal_nobody_is_woken_for_the_line);
        tcase_add_test(tcase, no_such_name);
        tcase_add_test(tcase, an_error_is_one_harmless_line);
        suite_add_tcase(suite, tcase);
        return suite_run(suite);
}
