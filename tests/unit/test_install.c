/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Installing, against the stand-in. It is not idempotent, and its body may hold
 * secrets: nothing is sent where the name is taken or where somebody else than
 * ToolHive answers, and never twice without having asked what became of the first
 * sending. Each test says literally what was sent, in which order.
 */

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "capture.h"
#include "service/operation.h"
#include "suite.h"
#include "toolhive_fixture.h"

#define NAME "everything"
#define BODY "{\"name\":\"" NAME "\",\"image\":\"ghcr.io/example/everything:1\",\"env_vars\":{\"KEY\":\"secret\"}}"

#define PRESENT "GET " API "/workloads/" NAME "\n"
#define ABSENT PRESENT VERSION
#define SENT "POST " API "/workloads\n"
#define INSTALL_ROUTE "POST " API "/workloads"
#define DETAILS_ROUTE "GET " API "/workloads/" NAME

static struct snapshot snapshot;
static struct operations operations;

static void setup(void) {
        toolhive_setup();
        call = (struct call) { .kind = CALL_INSTALL, .name = NAME, .body = BODY };
        snapshot = (struct snapshot) {};
        operations_init(&operations, &settings, source, &snapshot);
        capture_begin();
}

static void teardown(void) {
        capture_end();
        snapshot_done(&snapshot);
        toolhive_teardown();
}

/* One more attempt at the same call: what is known of earlier ones stays. */
static void expect_attempt(enum verdict verdict, int status, const char *error) {
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
        ck_assert_msg(outcome.verdict == verdict && outcome.status == status && strcmp(outcome.error, error) == 0,
                      "verdict %d, status %d, \"%s\" instead of %d, %d, \"%s\"", outcome.verdict, outcome.status,
                      outcome.error, verdict, status, error);
}

static void expect_result(enum install_result result, int status) {
        expect_attempt(VERDICT_DONE, status, "");
        ck_assert_int_eq(call.install, result);
}

static void expect_workloads(size_t n) {
        _cleanup_(json_object_putp) struct json_object *told = standin_ask(&standin, "workloads", "{}");

        ck_assert_uint_eq(json_object_array_length(standin_list(told, "workloads")), n);
}

static void begin_again(void) {
        call_done(&call);
        call = (struct call) { .kind = CALL_INSTALL, .name = NAME, .body = BODY };
        standin_tell(&standin, "workloads", "{\"count\":0}");
        forget();
}

/* ---- answers ---- */

START_TEST(created) {
        _cleanup_(json_object_putp) struct json_object *journal = NULL;
        struct json_object *requests, *headers;
        const char *text;

        expect_result(INSTALL_CREATED, 201);
        ck_assert_int_eq(call.install_port, 17520);
        ck_assert_ptr_null(call.message);
        expect_workloads(1);

        journal = standin_ask(&standin, "requests", "{}");
        requests = standin_list(journal, "requests");
        ck_assert_uint_eq(json_object_array_length(requests), 3);
        ck_assert_int_eq(json_get_string(json_object_array_get_idx(requests, 2), "body", &text), 0);
        ck_assert_str_eq(text, BODY);
        ck_assert_int_eq(json_get_object(json_object_array_get_idx(requests, 2), "headers", &headers), 0);
        ck_assert_int_eq(json_get_string(headers, "content-type", &text), 0);
        ck_assert_str_eq(text, "application/json");
        standin_expect_requests(&standin, ABSENT SENT);
}
END_TEST

START_TEST(exists) {
        standin_tell(&standin, "workloads", "{\"add\":[\"" NAME "\"]}");
        expect_result(INSTALL_EXISTS, 200);
        ck_assert_int_eq(call.install_port, 17520);
        standin_expect_requests(&standin, PRESENT);
        expect_workloads(1);
}
END_TEST

/* Somebody was faster, between the question and the sending. */
START_TEST(conflict) {
        behave("status", INSTALL_ROUTE, 1, ",\"code\":409,\"body\":\"workload with name x already exists\\n\"");
        expect_result(INSTALL_EXISTS, 409);
        ck_assert_str_eq(call.message, "workload with name x already exists");
        standin_expect_requests(&standin, ABSENT SENT VERSION);
}
END_TEST

START_TEST(refused_by_toolhive) {
        call.body = "{\"name\":\"\"}";
        expect_result(INSTALL_REFUSED, 400);
        ck_assert_str_eq(call.message, "invalid workload name: workload name cannot be empty");
        standin_expect_requests(&standin, ABSENT SENT VERSION);

        call.body = "no JSON";
        expect_result(INSTALL_REFUSED, 400);
        ck_assert_int_eq(strncmp(call.message, "failed to decode request: ", 26), 0);

        behave("status", INSTALL_ROUTE, 1, ",\"code\":422,\"body\":\"\"");
        expect_result(INSTALL_REFUSED, 422);
        ck_assert_str_eq(call.message, "HTTP 422");
        ck_assert(!call.install_sent);
        expect_workloads(0);
}
END_TEST

START_TEST(answers_that_settle_nothing) {
        call.body = "{\"name\":\"" NAME "\",\"image\":\"missing.example/x\"}";
        expect_attempt(VERDICT_ANSWER, 500, "failed to retrieve or pull image: missing.example/x");
        standin_expect_requests(&standin, ABSENT SENT VERSION);

        ck_assert(!call.install_sent);
        behave("status", DETAILS_ROUTE, 1, ",\"code\":503,\"body\":\"busy\"");
        expect_attempt(VERDICT_ANSWER, 503, "busy");
        ck_assert(!call.install_sent);

        /* These do not even say that it was not installed. */
        behave("status", INSTALL_ROUTE, 1, ",\"code\":503,\"body\":\"busy\",\"headers\":{\"Retry-After\":\"9\"}");
        expect_attempt(VERDICT_ANSWER, 503, "busy");
        ck_assert_uint_eq(outcome.retry_after, 9 * USEC_PER_SEC);
        ck_assert(call.install_sent);
        call.install_sent = false;
        behave("json", INSTALL_ROUTE, 1, ",\"text\":\"[]\"");
        expect_attempt(VERDICT_ANSWER, 200, "Unusable body: no JSON object");
        ck_assert(call.install_sent);
}
END_TEST

/* While the name cannot be asked for, nothing is sent. */
START_TEST(question_not_answered) {
        behave("status", DETAILS_ROUTE, 1, "");
        expect_attempt(VERDICT_ANSWER, 500, "Internal Server Error");
        behave("json", DETAILS_ROUTE, 1, ",\"text\":\"{}\"");
        expect_attempt(VERDICT_ANSWER, 200, "Unusable body: no name");
        behave("close", DETAILS_ROUTE, 1, "");
        expect_attempt(VERDICT_FAILED, 0, "Connection closed before the answer");
        standin_expect_requests(&standin, ABSENT ABSENT PRESENT);
}
END_TEST

/* ---- outcomes that are not known ---- */

/* It was carried out, and the answer never came, or not whole. */
START_TEST(created_and_answer_lost) {
        static const char *const behaviours[][2] = {
                { "create-then-drop", "" },
                { "create-then-drop", ",\"reset\":true" },
                { "cut-headers", "" },
                { "cut-body", "" },
                { "reset-in-headers", "" },
                { "reset-in-body", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(behaviours); i++) {
                behave(behaviours[i][0], INSTALL_ROUTE, 0, behaviours[i][1]);
                ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
                ck_assert_msg(outcome.verdict == VERDICT_FAILED, "%s", behaviours[i][0]);
                ck_assert(call.install_sent);
                expect_result(INSTALL_CREATED, 200);
                ck_assert_int_eq(call.install_port, 17520);
                standin_expect_requests(&standin, ABSENT SENT PRESENT);
                expect_workloads(1);
                begin_again();
        }
}
END_TEST

/* It arrived and was not carried out: that is only known by asking. */
START_TEST(not_created_and_answer_lost) {
        behave("close", INSTALL_ROUTE, 1, "");
        expect_attempt(VERDICT_FAILED, 0, "Connection closed before the answer");
        standin_expect_requests(&standin, ABSENT SENT);
        ck_assert(call.install_sent);
        expect_result(INSTALL_CREATED, 201);
        standin_expect_requests(&standin, ABSENT SENT);
        expect_workloads(1);
}
END_TEST

/* The first sending was carried out between the question and the second: the 409 is about our own. */
START_TEST(conflict_with_oneself) {
        behave("close", INSTALL_ROUTE, 1, "");
        expect_attempt(VERDICT_FAILED, 0, "Connection closed before the answer");
        behave("status", INSTALL_ROUTE, 1, ",\"code\":409,\"body\":\"already exists\"");
        expect_result(INSTALL_CREATED, 409);
}
END_TEST

/* A gateway's 504 tells nothing about what happened behind it. */
START_TEST(gateway_after_sending) {
        behave("status", INSTALL_ROUTE, 1, ",\"code\":504");
        /* The check before the sending passes, the one after it does not. */
        behave("normal", "GET " API "/version", 1, "");
        behave("status", "GET " API "/version", 1, ",\"code\":504");
        expect_attempt(VERDICT_FAILED, 504, "Not ToolHive any more (HTTP 504)");
        ck_assert(call.install_sent);
        standin_tell(&standin, "workloads", "{\"add\":[\"" NAME "\"]}");
        expect_result(INSTALL_CREATED, 200);
}
END_TEST

/* It may take minutes: its limit is not that of the other calls. */
START_TEST(time_limit_of_its_own) {
        settings.timeout = 2 * USEC_PER_SEC;
        toolhive_open(standin.url);
        standin_tell(&standin, "toolhive", "{\"install_ms\":2300}");
        expect_result(INSTALL_CREATED, 201);
        begin_again();

        settings.timeout = 20 * USEC_PER_SEC;
        settings.install_timeout = USEC_PER_SEC;
        toolhive_open(standin.url);
        behave("hang", INSTALL_ROUTE, 1, "");
        expect_attempt(VERDICT_FAILED, 0, "Timed out after 1.0 s");
        ck_assert(call.install_sent);
        standin_tell(&standin, "workloads", "{\"add\":[\"" NAME "\"]}");
        expect_result(INSTALL_CREATED, 200);
        standin_expect_requests(&standin, ABSENT SENT PRESENT);
}
END_TEST

/* ---- strangers ---- */

START_TEST(nothing_for_strangers) {
        static const struct {
                int status;
                const char *error;
        } rows[] = {
                { 200, "Not ToolHive any more (HTTP 200)" }, { 201, "Not ToolHive any more (HTTP 201)" },
                { 404, "Not ToolHive any more (HTTP 404)" }, { 409, "Not ToolHive any more (HTTP 409)" },
                { 307, "Not ToolHive any more (HTTP 307)" }, { 502, "Not ToolHive any more (HTTP 502)" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char more[64];

                snprintf(more, sizeof more, ",\"code\":%d,\"body\":\"{}\"", rows[i].status);
                behave("status", "*", 0, more);
                /* Before the first sending, and after one whose outcome is not known. */
                for (int sent = 0; sent < 2; sent++) {
                        call.install_sent = sent;
                        expect_attempt(VERDICT_FAILED, rows[i].status, rows[i].error);
                        standin_expect_requests(&standin, ABSENT);
                }
                begin_again();
        }
}
END_TEST

/* ---- through the retry loop ---- */

static void (*pending)(void);

static void changed(void *user _unused_) {
        void (*change)(void) = STEAL(pending);

        if (change)
                change();
}

/* Has the world change once the first attempt has failed, before the wait for the second. */
static void after_failure(void (*change)(void)) {
        pending = change;
        operations.changed = changed;
}

static int run(void) {
        return operation_run(&operations, &call, &outcome);
}

static void start_standin(void) {
        standin_tell(&standin, "start", "{}");
}

START_TEST(refused_before_sending) {
        standin_tell(&standin, "stop", "{}");
        after_failure(start_standin);
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(call.install, INSTALL_CREATED);
        standin_expect_requests(&standin, VERSION ABSENT SENT);
        expect_workloads(1);
        ck_assert_uint_eq(snapshot.counters.failures, 1);
}
END_TEST

START_TEST(retried_after_an_unknown_outcome) {
        behave("create-then-drop", INSTALL_ROUTE, 1, "");
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(call.install, INSTALL_CREATED);
        standin_expect_requests(&standin, VERSION ABSENT SENT PRESENT);
        expect_workloads(1);
        ck_assert_uint_eq(virtual_elapsed(&v), USEC_PER_SEC);
        ck_assert_ptr_nonnull(strstr(capture_text(), "WARNING  ToolHive connection failed attempt=1 max_retries=5 "
                                                     "error=\"Connection closed before the answer\" "
                                                     "backoff_seconds=1.0\n"));
}
END_TEST

START_TEST(given_up) {
        behave("close", INSTALL_ROUTE, 0, "");
        settings.max_retries = 2;
        operations_init(&operations, &settings, source, &snapshot);
        ck_assert_int_eq(run(), OPERATION_EXHAUSTED);
        standin_expect_requests(&standin, VERSION ABSENT SENT ABSENT SENT);
        expect_workloads(0);
}
END_TEST

START_TEST(answer_ends_the_operation) {
        call.body = "{\"name\":\"" NAME "\",\"image\":\"missing.example/x\"}";
        ck_assert_int_eq(run(), OPERATION_ANSWER);
        standin_expect_requests(&standin, VERSION ABSENT SENT VERSION);
        ck_assert_uint_eq(snapshot.counters.failures, 0);
}
END_TEST

/* ToolHive carries it out, goes, and is found on another port: real clock, real search. */
START_TEST(moved_after_sending) {
        _cleanup_(waiter_done) struct waiter waiter;
        _cleanup_(source_freep) struct source *moving = NULL;
        _cleanup_(json_object_putp) struct json_object *told = NULL;
        char url[64];
        int64_t port;

        /* The address known before is a second door to the same ToolHive, which the search does not look for. */
        told = standin_ask(&standin, "squat", "{\"name\":\"door\",\"behaviours\":[{\"name\":\"create-then-drop\","
                                              "\"route\":\"" INSTALL_ROUTE "\"}]}");
        ck_assert_int_eq(json_get_int(told, "port", 1, UINT16_MAX, &port), 0);
        snprintf(url, sizeof url, "http://127.0.0.1:%d", (int) port);

        ck_assert_int_eq(waiter_init(&waiter), 0);
        settings.toolhive_api_url = NULL;
        settings.toolhive_host = (char *) "127.0.0.1";
        settings.toolhive_port = standin.port;
        settings.start_port_scan = settings.end_port_scan = standin.port;
        settings.initial_backoff = 10 * USEC_PER_MSEC;
        ck_assert_int_eq(toolhive_new(&settings, &waiter, url, &moving), 0);
        moving->known = true;
        operations_init(&operations, &settings, moving, &snapshot);

        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(call.install, INSTALL_CREATED);
        ck_assert_int_eq(moving->endpoint.port, standin.port);
        expect_workloads(1);
        ck_assert_uint_eq(standin_count_requests(&standin, "POST"), 1);
        ck_assert_uint_eq(capture_count("Port rediscovery successful, retrying immediately"), 1);
}
END_TEST

/* ---- a ToolHive that ends between the question and the sending ---- */

/*
 * Says 404 to the question, then closes its port, and only then proves to be a
 * ToolHive: the sending is refused, with nothing sent.
 */
static void *play_last_words(void *user) {
        static const char *const answers[] = {
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n{\"version\":\"1\"}",
        };
        int listener = *(int *) user;

        for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
                _cleanup_(closep) int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                char request[4096];

                if (fd < 0)
                        break;
                if (i + 1 == ELEMENTSOF(answers))
                        close(STEAL_FD(listener));
                if (read(fd, request, sizeof request) <= 0 ||
                    send(fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL) < 0)
                        break;
        }
        closep(&listener);
        return NULL;
}

static uint16_t last_port;

static void start_on_last_port(void) {
        standin_tell(&standin, "move", "{\"port\":%u}", last_port);
}

START_TEST(refused_after_the_question) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof address;
        pthread_t thread;
        char url[64];

        ck_assert_int_ge(listener, 0);
        ck_assert_int_eq(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int) { 1 }, sizeof(int)), 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *) &address, size), 0);
        ck_assert_int_eq(listen(listener, 8), 0);
        ck_assert_int_eq(getsockname(listener, (struct sockaddr *) &address, &size), 0);
        last_port = ntohs(address.sin_port);
        snprintf(url, sizeof url, "http://127.0.0.1:%u", last_port);
        ck_assert_int_eq(pthread_create(&thread, NULL, play_last_words, &listener), 0);

        toolhive_open(url);
        source->known = true;
        operations_init(&operations, &settings, source, &snapshot);
        after_failure(start_on_last_port);
        ck_assert_int_eq(run(), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);

        ck_assert_int_eq(call.install, INSTALL_CREATED);
        ck_assert(!call.install_sent);
        ck_assert_uint_eq(snapshot.counters.failures, 1);
        ck_assert_uint_eq(capture_count("error=\"Connection refused\""), 1);
        standin_expect_requests(&standin, ABSENT SENT);
        expect_workloads(1);
}
END_TEST

/* The hook of a waiter; asking the stand-in proves no progress of ours, so it is not called again meanwhile. */
static void stop_when_sent(void *user) {
        struct waiter *waiter = user;
        _cleanup_(json_object_putp) struct json_object *journal = standin_ask(&standin, "requests", "{}");

        if (json_object_array_length(standin_list(journal, "requests")) >= 3)
                waiter_stop(waiter);
}

START_TEST(stopped) {
        virtual_at(&v, 0, VIRTUAL_STOP);
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), -ECANCELED);
        standin_expect_requests(&standin, "");
}
END_TEST

/* Who gives up has to be told whether something may have been installed. */
START_TEST(stopped_after_sending) {
        _cleanup_(waiter_done) struct waiter waiter;
        _cleanup_(source_freep) struct source *own = NULL;

        ck_assert_int_eq(waiter_init(&waiter), 0);
        waiter_set_hooks(&waiter, USEC_PER_MSEC, stop_when_sent, NULL, &waiter);
        ck_assert_int_eq(toolhive_new(&settings, &waiter, "", &own), 0);
        behave("hang", INSTALL_ROUTE, 1, "");
        ck_assert_int_eq(own->ops->perform(own, &call, &outcome), -ECANCELED);
        ck_assert(call.install_sent);
        standin_expect_requests(&standin, ABSENT SENT);
}
END_TEST

START_TEST(on_a_unix_socket) {
        char folder[] = "/tmp/test-install-XXXXXX", path[64];
        struct standin other;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/thv.sock", folder);
        standin_start(&other, "--socket", path);
        toolhive_open(other.url);
        standin_tell(&other, "behave", "{\"name\":\"create-then-drop\",\"route\":\"" INSTALL_ROUTE "\",\"count\":1}");

        expect_attempt(VERDICT_FAILED, 0, "Connection closed before the answer");
        expect_result(INSTALL_CREATED, 200);
        standin_expect_requests(&other, ABSENT SENT PRESENT);
        standin_stop(&other);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
        TCase *tests = tcase_create(name);

        tcase_set_timeout(tests, 100);
        tcase_add_checked_fixture(tests, setup, teardown);
        suite_add_tcase(suite, tests);
        return tests;
}

int main(void) {
        static const char *const cases[] = { "answers", "unknown outcomes", "operation", NULL };
        Suite *suite = suite_create("install");
        TCase *tests;

        tests = add_case(suite, "answers");
        tcase_add_test(tests, created);
        tcase_add_test(tests, exists);
        tcase_add_test(tests, conflict);
        tcase_add_test(tests, refused_by_toolhive);
        tcase_add_test(tests, answers_that_settle_nothing);
        tcase_add_test(tests, question_not_answered);
        tcase_add_test(tests, nothing_for_strangers);

        tests = add_case(suite, "unknown outcomes");
        tcase_add_test(tests, created_and_answer_lost);
        tcase_add_test(tests, not_created_and_answer_lost);
        tcase_add_test(tests, conflict_with_oneself);
        tcase_add_test(tests, gateway_after_sending);
        tcase_add_test(tests, time_limit_of_its_own);
        tcase_add_test(tests, refused_before_sending);

        tests = add_case(suite, "operation");
        tcase_add_test(tests, retried_after_an_unknown_outcome);
        tcase_add_test(tests, given_up);
        tcase_add_test(tests, answer_ends_the_operation);
        tcase_add_test(tests, moved_after_sending);
        tcase_add_test(tests, refused_after_the_question);
        tcase_add_test(tests, stopped);
        tcase_add_test(tests, stopped_after_sending);
        tcase_add_test(tests, on_a_unix_socket);

        return suite_run_abreast(suite, cases);
}
