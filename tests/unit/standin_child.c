/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The stand-in as a child process: see the header. Control orders go through the
 * program's own HTTP, with a waiter of their own, so that a test's virtual clock
 * does not govern them.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "standin_child.h"

#define ORDER_TIMEOUT (20 * USEC_PER_SEC)

static void run_standin(const char *path, int output, pid_t parent, const char *option, const char *value) {
        /* It ends with us; but if we have ended already, nobody is left to bring the signal. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(output, STDOUT_FILENO) < 0)
                _exit(EXIT_FAILURE);
        /* -S: it uses nothing of the module site, which takes a good part of its start. */
        execlp("python3", "python3", "-S", path, "--control-port", "0", option, value, (char *) NULL);
        _exit(EXIT_FAILURE);
}

/* What it prints when all its ports listen. */
static void read_greeting(struct standin *standin, int fd) {
        _cleanup_(fclosep) FILE *stream = fdopen(fd, "re");
        _cleanup_(json_object_putp) struct json_object *greeting = NULL;
        _cleanup_(freep) char *line = NULL;
        const char *text, *problem;
        struct json_slice value;
        size_t size = 0;
        int64_t port;
        ssize_t n;

        ck_assert_ptr_nonnull(stream);
        n = getline(&line, &size, stream);
        ck_assert_msg(n > 0, "the stand-in did not start");
        ck_assert_int_eq(json_scan(line, (size_t) n, &value, &problem), 0);
        ck_assert_int_eq(json_parse(value, &greeting, &problem), 0);

        ck_assert_int_eq(json_get_string(greeting, "control", &text), 0);
        snprintf(standin->control, sizeof standin->control, "%s", text);
        ck_assert_int_eq(json_get_int(greeting, "port", 0, UINT16_MAX, &port), 0);
        standin->port = (uint16_t) port;
        if (json_get_string(greeting, "socket", &text) == 0)
                snprintf(standin->url, sizeof standin->url, "unix://%s", text);
        else
                snprintf(standin->url, sizeof standin->url, "http://127.0.0.1:%u", standin->port);
}

void standin_start(struct standin *standin, const char *option, const char *value) {
        const char *root = getenv("MCP_OPTIMIZER_SOURCE");
        pid_t parent = getpid();
        char path[4096];
        int fds[2];

        ck_assert_msg(root, "MCP_OPTIMIZER_SOURCE is not set: run this with meson test");
        snprintf(path, sizeof path, "%s/tests/standin.py", root);
        *standin = (struct standin) {};
        ck_assert_int_eq(waiter_init(&standin->waiter), 0);
        ck_assert_int_eq(http_new(&standin->waiter, 1, &standin->http), 0);
        ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);

        standin->pid = fork();
        ck_assert_int_ge(standin->pid, 0);
        if (standin->pid == 0)
                run_standin(path, fds[1], parent, option, value);
        close(fds[1]);
        read_greeting(standin, fds[0]);
}

void standin_stop(struct standin *standin) {
        int status;

        ck_assert_int_eq(kill(standin->pid, SIGTERM), 0);
        while (waitpid(standin->pid, &status, 0) < 0)
                ck_assert_int_eq(errno, EINTR);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        standin->http = http_free(standin->http);
        waiter_done(&standin->waiter);
}

static struct json_object *order(struct standin *standin, const char *verb, const char *body) {
        _cleanup_(http_response_done) struct http_response response = {};
        struct json_object *answer = NULL;
        struct json_slice value;
        const char *problem;
        char url[128];
        struct http_request request = {
                .method = "POST",
                .url = url,
                .body = body,
                .timeout = ORDER_TIMEOUT,
        };

        snprintf(url, sizeof url, "%s/standin/%s", standin->control, verb);
        ck_assert_int_eq(http_perform(standin->http, &request, &response), 0);
        ck_assert_msg(response.result == HTTP_ANSWER && response.status == 200, "%s %s: %d %s %s", verb, body,
                      response.status, response.error, response.body ?: "");
        ck_assert_int_eq(json_scan(response.body, response.size, &value, &problem), 0);
        ck_assert_int_eq(json_parse(value, &answer, &problem), 0);
        return answer;
}

static struct json_object *order_format(struct standin *standin, const char *verb, const char *format,
                                        va_list arguments) _printf_(3, 0);

static struct json_object *order_format(struct standin *standin, const char *verb, const char *format,
                                        va_list arguments) {
        _cleanup_(freep) char *body = NULL;

        ck_assert_int_ge(vasprintf(&body, format, arguments), 0);
        return order(standin, verb, body);
}

struct json_object *standin_ask(struct standin *standin, const char *verb, const char *format, ...) {
        struct json_object *answer;
        va_list arguments;

        va_start(arguments, format);
        answer = order_format(standin, verb, format, arguments);
        va_end(arguments);
        return answer;
}

void standin_tell(struct standin *standin, const char *verb, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        json_object_put(order_format(standin, verb, format, arguments));
        va_end(arguments);
}

struct json_object *standin_list(struct json_object *answer, const char *key) {
        struct json_object *list = json_object_object_get(answer, key);

        ck_assert(json_object_is_type(list, json_type_array));
        return list;
}

size_t standin_count_requests(struct standin *standin, const char *wanted) {
        _cleanup_(json_object_putp) struct json_object *journal = order(standin, "requests", "{}");
        struct json_object *requests = standin_list(journal, "requests");
        size_t n = 0;

        for (size_t i = 0; i < json_object_array_length(requests); i++) {
                const char *method;

                ck_assert_int_eq(json_get_string(json_object_array_get_idx(requests, i), "method", &method), 0);
                n += strcmp(method, wanted) == 0;
        }
        return n;
}

void standin_expect_requests(struct standin *standin, const char *lines) {
        _cleanup_(json_object_putp) struct json_object *journal = order(standin, "requests", "{}");
        struct json_object *requests = standin_list(journal, "requests");
        char asked[4096] = "";
        size_t size = 0;

        for (size_t i = 0; i < json_object_array_length(requests); i++) {
                struct json_object *request = json_object_array_get_idx(requests, i);
                const char *method, *path;

                ck_assert_int_eq(json_get_string(request, "method", &method), 0);
                ck_assert_int_eq(json_get_string(request, "path", &path), 0);
                size += (size_t) snprintf(asked + size, sizeof asked - size, "%s %s\n", method, path);
                ck_assert_uint_lt(size, sizeof asked);
        }
        ck_assert_str_eq(asked, lines);
        json_object_put(order(standin, "reset", "{}"));
}
