/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker's whole life under the virtual clock: which call it makes when, what
 * systemd is told (read from a real socket, stamped with virtual time), what the
 * state file says, and how it ends. Days pass here in milliseconds.
 */

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "capture.h"
#include "fake_source.h"
#include "service/worker.h"
#include "suite.h"

#define S USEC_PER_SEC

#define TWO_WORKLOADS                                                                   \
        "{\"workloads\":[{\"name\":\"a\",\"status\":\"running\",\"url\":\"http://h/a\"}," \
        "{\"name\":\"b\",\"status\":\"stopped\",\"url\":\"http://h/b\"}]}"
#define ONE_SERVER "{\"registry\":{\"last_updated\":\"2026-02-18T00:24:11Z\",\"servers\":{\"x\":{}}}}"
#define GOOD .port = 50001, .workloads = TWO_WORKLOADS, .registry = ONE_SERVER
#define REFUSED(attempt, max, backoff) \
        "WARNING  ToolHive connection failed attempt=" attempt " max_retries=" max \
        " error=\"Connection refused\" backoff_seconds=" backoff "\n"
#define REDISCOVER "WARNING  Attempting to rediscover ToolHive port previous_port=50001\n"

static struct virtual_waiter v;
static struct fake_source fake;
static struct settings settings;
static struct worker worker;
static char last_endpoint[256];

static char folder[64], state_path[128], kept_folder[128], metrics_path[128];

/* ---- what systemd gets ---- */

struct datagram {
        usec_t when;                    /* since virtual_init() */
        char text[512];
};

static int receiver = -1;
static struct datagram datagrams[4096];
static size_t n_datagrams;
static bool state_before_ready;

/* Before time passes: what was sent, was sent now. The queue of a socket is short, so this may not come late. */
static void receive(void) {
        for (;;) {
                struct datagram *datagram = &datagrams[n_datagrams];
                ssize_t n = recv(receiver, datagram->text, sizeof datagram->text - 1, MSG_DONTWAIT);

                if (n < 0)
                        return;
                datagram->text[n] = '\0';
                datagram->when = virtual_elapsed(&v);
                n_datagrams++;
                ck_assert_uint_lt(n_datagrams, ELEMENTSOF(datagrams));
                if (strcmp(datagram->text, "READY=1") == 0 && access(state_path, R_OK) == 0)
                        state_before_ready = true;
        }
}

static const struct waiter_ops *virtual_ops;
static void (*on_block)(usec_t now);

static int receive_and_block(struct waiter *waiter, usec_t deadline, unsigned mask) {
        receive();
        if (on_block)
                on_block(virtual_elapsed(&v));
        return virtual_ops->block(waiter, deadline, mask);
}

/* The datagram that begins so, from the given index on; its index, or n_datagrams. */
static size_t find_datagram(const char *start, size_t from) {
        while (from < n_datagrams && strncmp(datagrams[from].text, start, strlen(start)) != 0)
                from++;
        return from;
}

static size_t count_datagrams(const char *start) {
        size_t n = 0;

        for (size_t i = find_datagram(start, 0); i < n_datagrams; i = find_datagram(start, i + 1))
                n++;
        return n;
}

static void expect_datagram(const char *text, double seconds) {
        for (size_t i = find_datagram(text, 0); i < n_datagrams; i = find_datagram(text, i + 1))
                if (datagrams[i].when == virtual_seconds(seconds) && strcmp(datagrams[i].text, text) == 0)
                        return;
        for (size_t i = 0; i < n_datagrams && i < 40; i++)
                printf("%.3f %s\n", (double) datagrams[i].when / 1e6, datagrams[i].text);
        ck_abort_msg("no \"%s\" at %g s", text, seconds);
}

/* The longest time without a ping, from the start to the end. */
static usec_t longest_silence(usec_t end) {
        usec_t last = 0, longest = 0;

        for (size_t i = find_datagram("WATCHDOG=1", 0); i < n_datagrams; i = find_datagram("WATCHDOG=1", i + 1)) {
                longest = usec_max(longest, datagrams[i].when - last);
                last = datagrams[i].when;
        }
        return usec_max(longest, end - last);
}

/* ---- a worker to run ---- */

static int make_fake(const struct settings *of _unused_, struct waiter *waiter _unused_, const char *last,
                     struct source **ret_source) {
        snprintf(last_endpoint, sizeof last_endpoint, "%s", last);
        if (last[0])
                ck_assert_int_eq(endpoint_parse(&fake.source.endpoint, last), 0);
        *ret_source = &fake.source;
        return 0;
}

/* Everything at its beginning but the files: once more for a second service in a test. */
static void start_anew(void) {
        static struct waiter_ops ops;

        virtual_init(&v);
        virtual_ops = v.waiter.ops;
        ops = *virtual_ops;
        ops.block = receive_and_block;
        v.waiter.ops = &ops;
        fake_init(&fake, &v);
        fake_from(&fake, 0, (struct fake_world) { GOOD });
        settings = (struct settings) {
                .toolhive_host = (char *) "localhost",
                .max_retries = 100,
                .initial_backoff = S,
                .max_backoff = 60 * S,
                .workload_polling_interval = 60 * S,
                .registry_polling_interval = 86400 * S,
                .state_file = state_path,
        };
        n_datagrams = 0;
        state_before_ready = false;
}

static void setup(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        strcpy(folder, "/tmp/test-worker-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(state_path, sizeof state_path, "%s/state.json", folder);
        snprintf(metrics_path, sizeof metrics_path, "%s/metrics", folder);
        snprintf(kept_folder, sizeof kept_folder, "%s/kept", folder);
        ck_assert_int_eq(mkdir(kept_folder, 0755), 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
        receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(receiver, 0);
        ck_assert_int_eq(bind(receiver, (struct sockaddr *) &address, sizeof address), 0);
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        setenv("TZ", "UTC", 1);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        unsetenv("STATE_DIRECTORY");

        capture_begin();
        start_anew();
}

static void teardown(void) {
        static const char *const files[] = {
                "state.json", "state.json.lock", "kept/state.json", "kept/state.json.lock", "kept", "notify", "metrics",
        };

        capture_end();
        close(receiver);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                char path[256];

                snprintf(path, sizeof path, "%s/%s", folder, files[i]);
                (void) remove(path);
        }
        ck_assert_int_eq(rmdir(folder), 0);
}

/* Runs the worker, with a stop at that time (0: none); returns the exit code. */
static int run_until(double seconds) {
        int code;

        if (seconds > 0)
                virtual_at(&v, virtual_seconds(seconds), VIRTUAL_STOP);
        worker_init(&worker, &settings, &v.waiter, make_fake);
        code = worker_run(&worker);
        receive();
        ck_assert(fake.freed);
        return code;
}

/* A member of the state file in JSON's own words: "connected" with its quotes, 5, null. */
static const char *state_member(const char *object_name, const char *key) {
        static char member[4096];
        _cleanup_(json_object_putp) struct json_object *document = json_object_from_file(state_path);
        struct json_object *object, *value;

        ck_assert_ptr_nonnull(document);
        ck_assert(json_object_object_get_ex(document, object_name, &object));
        ck_assert(json_object_object_get_ex(object, key, &value));
        snprintf(member, sizeof member, "%s",
                 json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        return member;
}

/* ---- a good life ---- */

START_TEST(first_polls) {
        ck_assert_int_eq(run_until(10), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(10));
        capture_expect("INFO     Connected to ToolHive endpoint=http://127.0.0.1:50001 version=v0.44.0\n"
                       "INFO     Workload added name=a status=running url=http://h/a\n"
                       "INFO     Workload added name=b status=stopped url=http://h/b\n"
                       "INFO     Workloads polled total=2 running=1 skipped=0 added=2 removed=0 changed=0\n"
                       "INFO     Registry polled servers=1 added=0 removed=0 last_updated=2026-02-18T00:24:11Z\n");
        expect_datagram("STATUS=Looking for ToolHive", 0);
        expect_datagram("READY=1", 0);
        expect_datagram("STATUS=Connected to ToolHive v0.44.0 on port 50001: 2 workloads (1 running), "
                        "1 server in the registry", 0);
        expect_datagram("STATUS=Stopped", 10);
        ck_assert_uint_eq(count_datagrams("READY=1"), 1);
        ck_assert(state_before_ready);

        ck_assert_str_eq(state_member("connection", "state"), "\"stopped\"");
        ck_assert_str_eq(state_member("connection", "port"), "50001");
        ck_assert_str_eq(state_member("workloads", "total"), "2");
        ck_assert_str_eq(state_member("workloads", "polled_at"), "\"2026-01-01T00:00:00.000Z\"");
        ck_assert_str_eq(state_member("workloads", "next_poll_at"), "null");
        ck_assert_str_eq(state_member("registry", "names"), "[\"x\"]");
        ck_assert_str_eq(state_member("counters", "failures"), "0");
}
END_TEST

/* Intervals run from start to start, whatever an answer takes. */
START_TEST(polls_keep_step) {
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = {
                [CALL_LIST_WORKLOADS] = { .takes = 7 * S }, [CALL_REGISTRY] = { .takes = 2 * S } } });
        settings.registry_polling_interval = 150 * S;
        ck_assert_int_eq(run_until(320), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 6, (double[]) { 0, 60, 120, 180, 240, 300 });
        fake_expect_calls(&fake, CALL_REGISTRY, 3, (double[]) { 7, 157, 307 });
}
END_TEST

START_TEST(nothing_wakes_an_idle_worker) {
        settings.workload_polling_interval = 300 * S;
        ck_assert_int_eq(run_until(86400 - 1), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_LIST_WORKLOADS, NULL, 0), 288);
        /* The polls, and the heartbeat of each 30 s. */
        ck_assert_uint_le(v.wakeups, 86400 / 30 + 30);
        capture_forget();
}
END_TEST

START_TEST(nothing_left_to_poll) {
        settings.workload_polling_interval = settings.registry_polling_interval = 0;
        settings.max_retries = 2;
        fake_from(&fake, 200 * S, FAKE_NOBODY);
        ck_assert_int_eq(run_until(0), 1);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 1, (double[]) { 0 });
        fake_expect_calls(&fake, CALL_REGISTRY, 1, (double[]) { 0 });
        fake_expect_calls(&fake, CALL_VERSION, 5, (double[]) { 60, 120, 180, 240, 241 });
        capture_expect_end(REFUSED("1", "2", "1.0") REDISCOVER REFUSED("2", "2", "0.0") REDISCOVER
                           "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=2\n"
                           "CRITICAL ToolHive connection failure - exiting max_retries=2 last_error=\"Connection refused\"\n");
}
END_TEST

/* ---- outages ---- */

START_TEST(exhausted) {
        fake_from(&fake, 0, FAKE_NOBODY);
        settings.max_retries = 3;
        settings.initial_backoff = S / 2;
        ck_assert_int_eq(run_until(0), 1);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(1.5));
        capture_expect(REFUSED("1", "3", "0.5") REFUSED("2", "3", "1.0") REFUSED("3", "3", "0.0")
                       "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=3\n"
                       "CRITICAL ToolHive connection failure - exiting max_retries=3 last_error=\"Connection refused\"\n");
        expect_datagram("READY=1", 0);
        expect_datagram("STATUS=ToolHive unavailable (Connection refused): attempt 1 of 3, next try at 00:00:00", 0);
        expect_datagram("STATUS=ToolHive unavailable (Connection refused): all 3 attempts failed, exiting", 1.5);
        ck_assert_str_eq(state_member("connection", "state"), "\"exhausted\"");
        ck_assert_str_eq(state_member("connection", "last_error"), "\"Connection refused\"");
        ck_assert_str_eq(state_member("counters", "failures"), "3");
}
END_TEST

START_TEST(ninety_four_minutes) {
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run_until(0), 1);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(5643));
        ck_assert_uint_eq(count_datagrams("READY=1"), 1);
        capture_forget();
}
END_TEST

/* No poll starts while another waits for its next attempt; what fell due meanwhile runs once. */
START_TEST(polls_wait_for_the_end_of_an_outage) {
        settings.workload_polling_interval = 10 * S;
        settings.registry_polling_interval = 15 * S;
        fake_from(&fake, 16 * S, FAKE_NOBODY);
        fake_from(&fake, 100 * S, (struct fake_world) { GOOD });
        ck_assert_int_eq(run_until(159), 0);
        /* Attempts from 20 s on after 1, 2, 4, 8, 16, 32 and 60 s; the polls keep their own step afterwards. */
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 11,
                          (double[]) { 0, 10, 20, 21, 23, 27, 35, 51, 83, 143, 153 });
        fake_expect_calls(&fake, CALL_REGISTRY, 4, (double[]) { 0, 15, 143, 158 });
        ck_assert_uint_eq(capture_count("connection restored"), 1);
        capture_expect_end("INFO     ToolHive connection restored endpoint=http://127.0.0.1:50001 attempts=7 "
                           "outage_seconds=123.0\n");
        ck_assert_str_eq(state_member("counters", "reconnects"), "1");
}
END_TEST

START_TEST(polls_do_not_pile_up_in_a_suspend) {
        settings.registry_polling_interval = 600 * S;
        virtual_suspend_at(&v, 90 * S, 8 * 3600 * S);
        ck_assert_int_eq(run_until(8 * 3600 + 160), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 4,
                          (double[]) { 0, 60, 8 * 3600 + 90, 8 * 3600 + 150 });
        fake_expect_calls(&fake, CALL_REGISTRY, 2, (double[]) { 0, 8 * 3600 + 90 });
}
END_TEST

START_TEST(attempt_is_due_after_a_suspend) {
        settings.initial_backoff = settings.max_backoff = 300 * S;
        fake_from(&fake, 0, FAKE_NOBODY);
        fake_from(&fake, 50 * S, (struct fake_world) { GOOD });
        virtual_suspend_at(&v, 10 * S, 3600 * S);
        ck_assert_int_eq(run_until(3640), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 1, (double[]) { 3610 });
}
END_TEST

START_TEST(stop_in_a_long_wait) {
        settings.initial_backoff = settings.max_backoff = 300 * S;
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run_until(123), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(123));
        capture_expect(REFUSED("1", "100", "300.0"));
        ck_assert_str_eq(state_member("connection", "state"), "\"stopped\"");
        ck_assert_str_eq(state_member("connection", "backoff_seconds"), "0.0");
        ck_assert_str_eq(state_member("connection", "next_attempt_at"), "null");
}
END_TEST

START_TEST(stop_in_a_call) {
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = FAKE_ALL(.takes = 10 * S) });
        ck_assert_int_eq(run_until(0.3), 0);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(0.3));
}
END_TEST

START_TEST(stop_before_anything) {
        virtual_at(&v, 0, VIRTUAL_STOP);
        ck_assert_int_eq(run_until(0), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_KINDS, NULL, 0), 0);
        capture_expect("");
}
END_TEST

/* ---- answers that are not the expected ones ---- */

static char states[64][32];
static size_t n_states;

static void note_state(enum call_kind kind _unused_) {
        const char *name = connection_state_name(worker.snapshot.connection.state);

        if (n_states > 0 && strcmp(states[n_states - 1], name) == 0)
                return;
        ck_assert_uint_lt(n_states, ELEMENTSOF(states));
        strcpy(states[n_states++], name);
}

START_TEST(degraded_and_back) {
        static const char *const expected[] = { "connecting", "connected", "degraded", "reconnecting", "connected" };
        struct fake_world away = { GOOD, .replies = { [CALL_LIST_WORKLOADS] = {
                .manner = FAKE_ANSWER, .status = 500, .error = "Internal Server Error" } } };

        n_states = 0;
        fake.on_call = note_state;
        fake_from(&fake, 50 * S, away);
        fake_from(&fake, 150 * S, FAKE_NOBODY);
        fake_from(&fake, 182 * S, (struct fake_world) { GOOD });
        ck_assert_int_eq(run_until(250), 0);

        ck_assert_uint_eq(n_states, ELEMENTSOF(expected));
        for (size_t i = 0; i < n_states; i++)
                ck_assert_str_eq(states[i], expected[i]);
        expect_datagram("STATUS=Degraded: ToolHive answers 500 to list workloads", 60);
        expect_datagram("STATUS=ToolHive unavailable (Connection refused): attempt 1 of 100, next try at 00:03:01", 180);
        capture_expect_end("WARNING  ToolHive gives an answer that is of no use operation=\"list workloads\" status=500 "
                           "error=\"Internal Server Error\" next_try_seconds=60.0\n"
                           REFUSED("1", "100", "1.0") REDISCOVER REFUSED("2", "100", "2.0") REDISCOVER
                           "INFO     ToolHive connection restored endpoint=http://127.0.0.1:50001 attempts=2 "
                           "outage_seconds=3.0\n"
                           "INFO     ToolHive answers again operation=\"list workloads\"\n");
}
END_TEST

/* An answer amid an outage: the outage lasts, and hides that the answer was not good. */
START_TEST(outage_hides_degraded) {
        fake_from(&fake, 50 * S, FAKE_NOBODY);
        fake_from(&fake, 62 * S, (struct fake_world) { GOOD, .replies = { [CALL_LIST_WORKLOADS] = {
                .manner = FAKE_ANSWER, .status = 500, .error = "Internal Server Error" } } });
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 4, (double[]) { 0, 60, 61, 63 });
        expect_datagram("STATUS=Reconnecting: ToolHive answers 500 to list workloads (attempt 2 of 100)", 63);
        ck_assert_uint_eq(count_datagrams("STATUS=Degraded"), 0);
        ck_assert_uint_eq(capture_count("connection restored"), 0);
        ck_assert_str_eq(state_member("connection", "attempt"), "2");
}
END_TEST

/* A day of a registry that is not to be had: tried each minute, told once, and no end of the service. */
START_TEST(a_bad_registry_does_not_end_the_service) {
        settings.workload_polling_interval = 300 * S;
        settings.max_retries = 1;
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = { [CALL_REGISTRY] = {
                .manner = FAKE_ANSWER, .status = 503, .error = "registry_unavailable: no way there" } } });
        ck_assert_int_eq(run_until(86400 - 1), 0);
        ck_assert_uint_eq(fake_calls(&fake, CALL_REGISTRY, NULL, 0), 1440);
        ck_assert_uint_eq(fake_calls(&fake, CALL_LIST_WORKLOADS, NULL, 0), 288);
        ck_assert_uint_eq(capture_count("WARNING"), 1);
        expect_datagram("STATUS=Degraded: ToolHive answers 503 to get registry", 0);
        ck_assert_str_eq(state_member("registry", "problem"), "\"ToolHive answers 503 to get registry\"");
        ck_assert_str_eq(state_member("workloads", "problem"), "null");
}
END_TEST

/* ---- woken ---- */

START_TEST(woken_between_polls_and_all_is_well) {
        usec_t checks[32];
        size_t n;

        settings.workload_polling_interval = 300 * S;
        virtual_at(&v, 10 * S, VIRTUAL_FILE);
        virtual_at(&v, 20 * S, VIRTUAL_CONNECTION);
        for (unsigned i = 0; i < 20; i++)
                virtual_at(&v, 30 * S + i * S / 10, VIRTUAL_CONNECTION);
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 1, (double[]) { 0 });
        n = fake_checks(&fake, checks, ELEMENTSOF(checks));
        ck_assert_uint_ge(n, 4);
        ck_assert_uint_eq(checks[0], 10 * S);
        ck_assert_uint_eq(checks[1], 20 * S);
        ck_assert_uint_eq(checks[2], 30 * S);
        for (size_t i = 3; i < n; i++)
                ck_assert_uint_ge(checks[i] - checks[i - 1], S);
        ck_assert_uint_eq(capture_count("WARNING"), 0);
}
END_TEST

/* A restart on another port is survived at once, and not at the next poll. */
START_TEST(woken_and_toolhive_has_moved) {
        settings.workload_polling_interval = 300 * S;
        fake_from(&fake, 42 * S, (struct fake_world) { .port = 50002, .workloads = TWO_WORKLOADS });
        virtual_at(&v, 42 * S, VIRTUAL_CONNECTION);
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 3, (double[]) { 0, 42, 42 });
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 1);
        capture_expect_end(REFUSED("1", "100", "1.0") REDISCOVER
                           "INFO     Successfully rediscovered ToolHive on new port old_port=50001 new_port=50002\n"
                           "INFO     Port rediscovery successful, retrying immediately new_port=50002\n"
                           "INFO     ToolHive connection restored endpoint=http://127.0.0.1:50002 attempts=1 "
                           "outage_seconds=0.0\n");
        ck_assert_str_eq(state_member("counters", "port_changes"), "1");
        ck_assert_str_eq(state_member("connection", "endpoint"), "\"http://127.0.0.1:50002\"");
}
END_TEST

/* A server that closed each connection for a while has woken us less and less often; a poll ends that. */
START_TEST(woken_soon_after_a_poll) {
        static const unsigned ends[] = { 10, 11, 13, 17, 25, 41, 73, 137, 201, 265 };

        settings.workload_polling_interval = 300 * S;
        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                virtual_at(&v, ends[i] * S, VIRTUAL_CONNECTION);
        fake_from(&fake, 302 * S, (struct fake_world) { .port = 50002, .workloads = TWO_WORKLOADS });
        virtual_at(&v, 302 * S, VIRTUAL_CONNECTION);
        ck_assert_int_eq(run_until(400), 0);
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), ELEMENTSOF(ends) + 1);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 4, (double[]) { 0, 300, 302, 302 });
}
END_TEST

START_TEST(woken_with_nothing_left_to_poll) {
        settings.workload_polling_interval = settings.registry_polling_interval = 0;
        fake_from(&fake, 42 * S, (struct fake_world) { .port = 50002, .workloads = TWO_WORKLOADS });
        virtual_at(&v, 42 * S, VIRTUAL_FILE);
        ck_assert_int_eq(run_until(110), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 3, (double[]) { 0, 42, 42 });
        fake_expect_calls(&fake, CALL_VERSION, 1, (double[]) { 102 });
}
END_TEST

/* ---- in a cluster ---- */

#define ONE_WORKLOAD "{\"workloads\":[{\"name\":\"c\",\"status\":\"running\",\"url\":\"http://h/c\"}]}"

static void begin_in_a_cluster(void) {
        settings.runtime_mode = RUNTIME_K8S;
        settings.k8s_api_server_url = (char *) "http://127.0.0.1:50001";
        fake_be_cluster(&fake);
}

/* Known as it happens, without asking; the next list comes when it would have come. */
START_TEST(changes_between_polls) {
        begin_in_a_cluster();
        fake_from(&fake, 30 * S, (struct fake_world) { .port = 50001, .workloads = ONE_WORKLOAD });
        fake_change_at(&fake, 30 * S, CHANGES_TAKEN);
        ck_assert_int_eq(run_until(70), 0);
        fake_expect_calls(&fake, CALL_KINDS, 2, (double[]) { 0, 60 });
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 0);
        capture_expect_end("INFO     Workload removed name=a\n"
                           "INFO     Workload removed name=b\n"
                           "INFO     Workload added name=c status=running url=http://h/c\n"
                           "INFO     Workloads polled total=1 running=1 skipped=0 added=1 removed=2 changed=0\n");
        expect_datagram("STATUS=Connected to Kubernetes API v1.34.1 on http://127.0.0.1:50001: 2 workloads (1 running)", 0);
        expect_datagram("STATUS=Connected to Kubernetes API v1.34.1 on http://127.0.0.1:50001: 1 workload (1 running)", 30);
        ck_assert_str_eq(state_member("connection", "toolhive_version"), "null");
        ck_assert_str_eq(state_member("workloads", "total"), "1");
}
END_TEST

/* Too old to go on from: a list at once, and from then on in step with that one. */
START_TEST(changes_expire) {
        begin_in_a_cluster();
        fake_change_at(&fake, 30 * S, CHANGES_EXPIRED);
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_KINDS, 3, (double[]) { 0, 30, 90 });
        ck_assert_uint_eq(capture_count("WARNING"), 0);
}
END_TEST

START_TEST(changes_that_cannot_be_taken) {
        begin_in_a_cluster();
        fake_change_at(&fake, 30 * S, -ENOMEM);
        ck_assert_int_eq(run_until(0), 1);
        ck_assert_uint_eq(virtual_elapsed(&v), virtual_seconds(30));
        capture_expect_end("CRITICAL Internal failure - exiting error=\"Cannot allocate memory\"\n");
}
END_TEST

/* Listed once, and then watched; that the API server is there is asked all the same. */
START_TEST(changes_with_nothing_left_to_poll) {
        begin_in_a_cluster();
        settings.workload_polling_interval = 0;
        fake_change_at(&fake, 30 * S, CHANGES_TAKEN);
        fake_change_at(&fake, 100 * S, CHANGES_EXPIRED);
        ck_assert_int_eq(run_until(170), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 2, (double[]) { 0, 100 });
        fake_expect_calls(&fake, CALL_VERSION, 2, (double[]) { 90, 160 });
}
END_TEST

static void expect_no_change_yet(enum call_kind kind _unused_) {
        if (fake.n_notes == 1)
                ck_assert(!fake.changes[0].over);
}

/* Not during the start-up delay, nor in an outage, whose end brings a list anyway. */
START_TEST(changes_wait) {
        begin_in_a_cluster();
        settings.startup_polling_delay = 20 * S;
        fake.on_call = expect_no_change_yet;
        fake_change_at(&fake, 10 * S, CHANGES_TAKEN);
        fake_change_at(&fake, 82 * S, CHANGES_TAKEN);
        fake_from(&fake, 75 * S, FAKE_NOBODY);
        fake_from(&fake, 85 * S, (struct fake_world) { GOOD });
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 5, (double[]) { 20, 80, 81, 83, 87 });
        ck_assert(fake.changes[0].over && fake.changes[1].over);
        ck_assert_uint_eq(capture_count("connection restored"), 1);
}
END_TEST

/* What is wrong beside the list degrades the service, and a change may end that. */
START_TEST(degraded_by_a_part) {
        begin_in_a_cluster();
        fake_from(&fake, 10 * S, (struct fake_world) { GOOD, .problem = {
                .verdict = VERDICT_ANSWER, .status = 403, .of_watch = true,
                .denied = { "watch", "mcpservers", "all namespaces", "a role" } } });
        fake_from(&fake, 20 * S, (struct fake_world) { GOOD });
        fake_change_at(&fake, 10 * S, CHANGES_TAKEN);
        fake_change_at(&fake, 20 * S, CHANGES_TAKEN);
        ck_assert_int_eq(run_until(30), 0);
        expect_datagram("STATUS=Degraded: Kubernetes API denies the account to watch mcpservers in all namespaces", 10);
        expect_datagram("STATUS=Connected to Kubernetes API v1.34.1 on http://127.0.0.1:50001: 2 workloads (1 running)", 20);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 5, (double[]) { 0, 11, 12, 14, 18 });
        ck_assert_uint_eq(capture_count("WARNING"), 1);
        ck_assert_str_eq(state_member("workloads", "problem"), "null");
}
END_TEST

/* There is nothing to check yet, and the administrator wanted the delay. */
START_TEST(start_up_delay_holds) {
        settings.startup_polling_delay = 300 * S;
        virtual_at(&v, 100 * S, VIRTUAL_FILE);
        ck_assert_int_eq(run_until(310), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 1, (double[]) { 300 });
        fake_expect_calls(&fake, CALL_REGISTRY, 1, (double[]) { 300 });
        ck_assert_uint_eq(fake_checks(&fake, NULL, 0), 0);
        expect_datagram("READY=1", 1);
        ck_assert(state_before_ready);
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_polls_both) {
        settings.workload_polling_interval = 300 * S;
        virtual_at(&v, 100 * S, VIRTUAL_RELOAD);
        ck_assert_int_eq(run_until(450), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 3, (double[]) { 0, 100, 400 });
        fake_expect_calls(&fake, CALL_REGISTRY, 2, (double[]) { 0, 100 });
        ck_assert_uint_eq(capture_count("INFO     Reload requested, polling workloads and registry at once\n"), 1);

        size_t reloading = find_datagram("RELOADING=1\nMONOTONIC_USEC=", 0);
        size_t ready = find_datagram("READY=1", reloading);

        ck_assert_uint_lt(reloading, n_datagrams);
        ck_assert_uint_eq(datagrams[reloading].when, 100 * S);
        ck_assert_uint_eq(ready, reloading + 1);
        ck_assert_uint_eq(datagrams[ready].when, 100 * S);
}
END_TEST

START_TEST(reload_during_an_outage) {
        usec_t times[32];

        settings.workload_polling_interval = 300 * S;
        settings.initial_backoff = 10 * S;
        fake_from(&fake, 300 * S, FAKE_NOBODY);
        fake_from(&fake, 335 * S, (struct fake_world) { GOOD });
        virtual_at(&v, 340 * S, VIRTUAL_RELOAD);
        ck_assert_int_eq(run_until(400), 0);
        ck_assert_uint_ge(fake_calls(&fake, CALL_LIST_WORKLOADS, times, ELEMENTSOF(times)), 5);
        ck_assert_uint_eq(times[1], 300 * S);
        ck_assert_uint_eq(times[2], 310 * S);
        ck_assert_uint_eq(times[3], 330 * S);
        ck_assert_uint_eq(times[4], 340 * S);
        fake_expect_calls(&fake, CALL_REGISTRY, 2, (double[]) { 0, 340 });
        ck_assert_uint_eq(capture_count("attempts=3 outage_seconds=40.0"), 1);
}
END_TEST

/* systemd hears of it at once, the request in flight is left to finish. */
START_TEST(reload_during_a_call) {
        settings.workload_polling_interval = 300 * S;
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = { [CALL_LIST_WORKLOADS] = { .takes = 10 * S } } });
        virtual_at(&v, 5 * S, VIRTUAL_RELOAD);
        ck_assert_int_eq(run_until(100), 0);
        fake_expect_calls(&fake, CALL_LIST_WORKLOADS, 2, (double[]) { 0, 10 });
        fake_expect_calls(&fake, CALL_REGISTRY, 1, (double[]) { 20 });

        size_t reloading = find_datagram("RELOADING=1\nMONOTONIC_USEC=", 0);

        ck_assert_uint_lt(reloading, n_datagrams);
        ck_assert_uint_eq(datagrams[reloading].when, 5 * S);
}
END_TEST

/* ---- READY and the watchdog ---- */

START_TEST(ready_while_toolhive_is_slow) {
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = FAKE_ALL(.takes = 60 * S) });
        ck_assert_int_eq(run_until(90), 0);
        expect_datagram("READY=1", 1);
        ck_assert_uint_eq(count_datagrams("READY=1"), 1);
        ck_assert(state_before_ready);
}
END_TEST

START_TEST(ready_while_the_search_is_slow) {
        fake_from(&fake, 0, (struct fake_world) { .search_takes = 3 * S });
        ck_assert_int_eq(run_until(2), 0);
        expect_datagram("READY=1", 1);
}
END_TEST

static void want_watchdog(unsigned long long usec) {
        char value[32];

        snprintf(value, sizeof value, "%llu", usec);
        setenv("WATCHDOG_USEC", value, 1);
        snprintf(value, sizeof value, "%d", (int) getpid());
        setenv("WATCHDOG_PID", value, 1);
}

/* An interval that misses each half period by little: pings still come far before the period is over. */
static const double awkward_intervals[] = { 1, 29, 29.9, 30, 30.1, 31, 59, 61, 300 };

START_TEST(watchdog_while_idle) {
        want_watchdog(60 * S);
        settings.workload_polling_interval = virtual_seconds(awkward_intervals[_i]);
        ck_assert_int_eq(run_until(1200), 0);
        ck_assert_uint_gt(count_datagrams("WATCHDOG=1"), 20);
        ck_assert_uint_le(longest_silence(virtual_seconds(1200)), 45 * S);
        /* No more often than needed: half the period, and what each poll sends. */
        ck_assert_uint_le(count_datagrams("WATCHDOG=1"), 1200 / 30 + 1);
}
END_TEST

START_TEST(watchdog_in_a_long_backoff) {
        want_watchdog(60 * S);
        settings.initial_backoff = settings.max_backoff = 300 * S;
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run_until(3000), 0);
        ck_assert_uint_le(longest_silence(virtual_seconds(3000)), 45 * S);
}
END_TEST

START_TEST(watchdog_in_a_long_transfer) {
        want_watchdog(60 * S);
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = FAKE_ALL(.takes = 300 * S) });
        ck_assert_int_eq(run_until(1000), 0);
        ck_assert_uint_le(longest_silence(virtual_seconds(1000)), 45 * S);
}
END_TEST

START_TEST(watchdog_with_a_short_period) {
        want_watchdog(S / 10);
        ck_assert_int_eq(run_until(20), 0);
        ck_assert_uint_le(longest_silence(virtual_seconds(20)), S * 3 / 40);
}
END_TEST

static size_t pings_in_the_hang;

static void note_pings(enum call_kind kind _unused_) {
        receive();
        pings_in_the_hang = count_datagrams("WATCHDOG=1");
}

/* A worker that hangs falls silent, however long: neither a ping nor READY. */
START_TEST(watchdog_hangs_with_the_worker) {
        want_watchdog(60 * S);
        fake.on_call = note_pings;
        pings_in_the_hang = 99;
        fake_from(&fake, 0, (struct fake_world) { GOOD, .replies = { [CALL_LIST_WORKLOADS] = {
                .takes = 600 * S, .hangs = true } } });
        ck_assert_int_eq(run_until(600), 0);
        ck_assert_uint_eq(pings_in_the_hang, 0);
        ck_assert_uint_ge(datagrams[find_datagram("READY=1", 0)].when, 600 * S);
}
END_TEST

START_TEST(no_watchdog_no_ping) {
        ck_assert_int_eq(run_until(600), 0);
        ck_assert_uint_eq(count_datagrams("WATCHDOG=1"), 0);
}
END_TEST

/* ---- the state that outlives a worker ---- */

START_TEST(what_was_known_stays_known) {
        ck_assert_int_eq(run_until(10), 0);
        capture_forget();

        start_anew();
        settings.max_retries = 2;
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run_until(0), 1);
        ck_assert_str_eq(last_endpoint, "http://127.0.0.1:50001");
        ck_assert_str_eq(state_member("workloads", "total"), "2");
        ck_assert_str_eq(state_member("workloads", "polled_at"), "\"2026-01-01T00:00:00.000Z\"");
        ck_assert_str_eq(state_member("registry", "names"), "[\"x\"]");
        ck_assert_str_eq(state_member("connection", "state"), "\"exhausted\"");
        capture_forget();

        /* And what differs since is told by name. */
        start_anew();
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50007,
                .workloads = "{\"workloads\":[{\"name\":\"a\",\"status\":\"running\",\"url\":\"http://h/a\"}]}",
                .registry = "{\"registry\":{\"servers\":{\"x\":{},\"y\":{}}}}",
        });
        ck_assert_int_eq(run_until(10), 0);
        capture_expect("INFO     Connected to ToolHive endpoint=http://127.0.0.1:50007 version=v0.44.0\n"
                       "INFO     Workload removed name=b\n"
                       "INFO     Workloads polled total=1 running=1 skipped=0 added=0 removed=1 changed=0\n"
                       "INFO     Registry server added name=y\n"
                       "INFO     Registry polled servers=2 added=1 removed=0 last_updated=null\n");
        ck_assert_str_eq(state_member("counters", "failures"), "0");
}
END_TEST

/* With a StateDirectory the same is kept there, and found there when the public file is gone. */
START_TEST(kept_in_the_state_directory) {
        char kept[160];

        setenv("STATE_DIRECTORY", kept_folder, 1);
        snprintf(kept, sizeof kept, "%s/state.json", kept_folder);
        ck_assert_int_eq(run_until(10), 0);
        ck_assert_int_eq(access(kept, R_OK), 0);
        ck_assert_int_eq(unlink(state_path), 0);

        /* Another port alone is worth keeping. */
        start_anew();
        fake_from(&fake, 0, (struct fake_world) {
                .port = 50002, .workloads = TWO_WORKLOADS, .registry = ONE_SERVER });
        ck_assert_int_eq(run_until(10), 0);
        ck_assert_str_eq(last_endpoint, "http://127.0.0.1:50001");
        ck_assert_int_eq(unlink(state_path), 0);

        start_anew();
        fake_from(&fake, 0, FAKE_NOBODY);
        ck_assert_int_eq(run_until(0.5), 0);
        ck_assert_str_eq(last_endpoint, "http://127.0.0.1:50002");
        ck_assert_str_eq(state_member("workloads", "total"), "2");
}
END_TEST

START_TEST(a_foreign_state_file_is_ignored) {
        FILE *file = fopen(state_path, "w");

        ck_assert_ptr_nonnull(file);
        fputs("{\"schema\": 7}", file);
        fclose(file);
        ck_assert_int_eq(run_until(1), 0);
        ck_assert_uint_eq(capture_count("INFO     Ignoring the state file of an earlier service path="), 1);
        ck_assert_str_eq(last_endpoint, "");
        ck_assert_str_eq(state_member("workloads", "total"), "2");
}
END_TEST

START_TEST(a_second_service_writes_none) {
        struct state_file other;
        struct stat st;

        ck_assert_int_eq(state_file_open(&other, state_path, NULL, VIRTUAL_REALTIME_START), 0);
        ck_assert_int_eq(run_until(1), 0);
        ck_assert_uint_eq(capture_count("WARNING  Another service holds the state file, this one writes none path="),
                          1);
        ck_assert_int_eq(stat(state_path, &st), -1);
        state_file_close(&other);
        expect_datagram("READY=1", 0);
}
END_TEST

static void break_and_mend(enum call_kind kind _unused_) {
        usec_t now = virtual_elapsed(&v);
        char away[sizeof folder + 8];

        snprintf(away, sizeof away, "%s-away", folder);
        if (now == 60 * S || now == 300 * S)
                ck_assert_int_eq(rename(folder, away), 0);
        else if (now == 240 * S || now == 360 * S)
                ck_assert_int_eq(rename(away, folder), 0);
}

/* A report that cannot be written is told once while that lasts, and costs nothing else. */
START_TEST(an_unwritable_report_is_told_once) {
        fake.on_call = break_and_mend;
        settings.metrics_file = metrics_path;
        ck_assert_int_eq(run_until(400), 0);
        ck_assert_uint_eq(capture_count("WARNING  Cannot write the state file path="), 2);
        ck_assert_uint_eq(capture_count("WARNING  Cannot write the metrics file path="), 2);
        ck_assert_uint_eq(capture_count("error=\"No such file or directory\""), 4);
        ck_assert_str_eq(state_member("connection", "state"), "\"stopped\"");
}
END_TEST

static void break_at_first(enum call_kind kind) {
        char away[sizeof folder + 8];

        snprintf(away, sizeof away, "%s-away", folder);
        if (kind == CALL_LIST_WORKLOADS && virtual_elapsed(&v) == 0)
                ck_assert_int_eq(rename(folder, away), 0);
}

static bool mended, was_written, was_kept;

static bool holds_two_workloads(const char *path) {
        _cleanup_(json_object_putp) struct json_object *document = json_object_from_file(path);
        struct json_object *workloads, *total;

        return json_object_object_get_ex(document, "workloads", &workloads) &&
               json_object_object_get_ex(workloads, "total", &total) && json_object_get_int(total) == 2;
}

static void mend_and_look(usec_t now) {
        char away[sizeof folder + 8], kept[sizeof kept_folder + 16];

        snprintf(away, sizeof away, "%s-away", folder);
        snprintf(kept, sizeof kept, "%s/state.json", kept_folder);
        if (now >= 20 * S && !mended)
                mended = rename(away, folder) == 0;
        if (now > 20 * S && now < 40 * S) {
                was_written = holds_two_workloads(state_path);
                was_kept = holds_two_workloads(kept);
        }
}

/* A disk that was full is not to be told of until the next poll; nor is what was news then forgotten. */
START_TEST(what_could_not_be_written_is_written_soon) {
        setenv("STATE_DIRECTORY", kept_folder, 1);
        settings.workload_polling_interval = settings.registry_polling_interval = _i * 300 * S;
        fake.on_call = break_at_first;
        on_block = mend_and_look;
        mended = was_written = was_kept = false;
        ck_assert_int_eq(run_until(40), 0);
        on_block = NULL;
        ck_assert(mended);
        ck_assert(was_written);
        ck_assert(was_kept);
        ck_assert_uint_eq(fake_calls(&fake, CALL_KINDS, NULL, 0), 2);
        ck_assert_uint_eq(capture_count("WARNING  Cannot write the state file path="), 1);
}
END_TEST

static bool was_up;

static bool metrics_say(const char *line) {
        char text[8192] = "";
        FILE *file = fopen(metrics_path, "r");

        ck_assert_ptr_nonnull(file);
        ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
        fclose(file);
        return strstr(text, line);
}

static void look_at_metrics(enum call_kind kind _unused_) {
        was_up = metrics_say("\nmcp_optimizer_up 1\n") && metrics_say("\nmcp_optimizer_connected 1\n");
}

START_TEST(metrics_say_up_until_the_end) {
        settings.metrics_file = metrics_path;
        fake.on_call = look_at_metrics;
        ck_assert_int_eq(run_until(100), 0);
        ck_assert(was_up);
        ck_assert(metrics_say("\nmcp_optimizer_up 0\n"));
}
END_TEST

static int make_nothing(const struct settings *of _unused_, struct waiter *waiter _unused_,
                        const char *last _unused_, struct source **ret_source _unused_) {
        return -ENOMEM;
}

START_TEST(no_source_no_service) {
        worker_init(&worker, &settings, &v.waiter, make_nothing);
        ck_assert_int_eq(worker_run(&worker), 1);
        capture_expect("CRITICAL Internal failure - exiting error=\"Cannot allocate memory\"\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("worker");
        TCase *tests;

        tests = suite_case(suite, "good life", setup, teardown);
        tcase_add_test(tests, first_polls);
        tcase_add_test(tests, polls_keep_step);
        tcase_add_test(tests, nothing_wakes_an_idle_worker);
        tcase_add_test(tests, nothing_left_to_poll);

        tests = suite_case(suite, "outages", setup, teardown);
        tcase_add_test(tests, exhausted);
        tcase_add_test(tests, ninety_four_minutes);
        tcase_add_test(tests, polls_wait_for_the_end_of_an_outage);
        tcase_add_test(tests, polls_do_not_pile_up_in_a_suspend);
        tcase_add_test(tests, attempt_is_due_after_a_suspend);
        tcase_add_test(tests, stop_in_a_long_wait);
        tcase_add_test(tests, stop_in_a_call);
        tcase_add_test(tests, stop_before_anything);

        tests = suite_case(suite, "answers", setup, teardown);
        tcase_add_test(tests, degraded_and_back);
        tcase_add_test(tests, outage_hides_degraded);
        tcase_add_test(tests, a_bad_registry_does_not_end_the_service);

        tests = suite_case(suite, "wakes and reloads", setup, teardown);
        tcase_add_test(tests, woken_between_polls_and_all_is_well);
        tcase_add_test(tests, woken_and_toolhive_has_moved);
        tcase_add_test(tests, woken_soon_after_a_poll);
        tcase_add_test(tests, woken_with_nothing_left_to_poll);
        tcase_add_test(tests, start_up_delay_holds);
        tcase_add_test(tests, reload_polls_both);
        tcase_add_test(tests, reload_during_an_outage);
        tcase_add_test(tests, reload_during_a_call);

        tests = suite_case(suite, "in a cluster", setup, teardown);
        tcase_add_test(tests, changes_between_polls);
        tcase_add_test(tests, changes_expire);
        tcase_add_test(tests, changes_that_cannot_be_taken);
        tcase_add_test(tests, changes_with_nothing_left_to_poll);
        tcase_add_test(tests, changes_wait);
        tcase_add_test(tests, degraded_by_a_part);

        tests = suite_case(suite, "systemd", setup, teardown);
        tcase_add_test(tests, ready_while_toolhive_is_slow);
        tcase_add_test(tests, ready_while_the_search_is_slow);
        tcase_add_loop_test(tests, watchdog_while_idle, 0, ELEMENTSOF(awkward_intervals));
        tcase_add_test(tests, watchdog_in_a_long_backoff);
        tcase_add_test(tests, watchdog_in_a_long_transfer);
        tcase_add_test(tests, watchdog_with_a_short_period);
        tcase_add_test(tests, watchdog_hangs_with_the_worker);
        tcase_add_test(tests, no_watchdog_no_ping);

        tests = suite_case(suite, "reports", setup, teardown);
        tcase_add_test(tests, what_was_known_stays_known);
        tcase_add_test(tests, kept_in_the_state_directory);
        tcase_add_test(tests, a_foreign_state_file_is_ignored);
        tcase_add_test(tests, a_second_service_writes_none);
        tcase_add_test(tests, an_unwritable_report_is_told_once);
        tcase_add_loop_test(tests, what_could_not_be_written_is_written_soon, 0, 2);
        tcase_add_test(tests, metrics_say_up_until_the_end);
        tcase_add_test(tests, no_source_no_service);

        return suite_run(suite);
}
