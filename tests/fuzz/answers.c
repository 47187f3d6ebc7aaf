/* SPDX-License-Identifier: Apache-2.0 */

/* The ToolHive of the input: see the header. */

#include <errno.h>
#include <string.h>

#include "answers.h"
#include "base/ascii.h"
#include "base/json.h"
#include "report/log.h"
#include "report/log_line.h"
#include "report/notify.h"

struct answers answers;

void answers_begin(struct parts *parts, size_t first, struct virtual_waiter *v) {
        if (first > parts->n)
                first = parts->n;
        answers = (struct answers) { .parts = parts->parts + first, .n = parts->n - first, .v = v };
}

void answers_end(void) {
        text_done(&answers.logged);
}

/* ---- base/http.h ---- */

struct http {
        struct waiter *waiter;
        struct http_transfer *streams;  /* all of them, linked */
};

/* A stream: its answer, of which so much has been told. */
struct http_transfer {
        struct http *http;
        struct http_transfer *next;
        http_receiver receive;
        void *user;
        struct http_response response;
        size_t told;
        bool finished;
};

static const struct {
        const char *name;
        enum http_result result;
        const char *error;
        bool sent;
} failures[] = {
        { "refused",  HTTP_REFUSED,       "Connection refused",          false },
        { "nobody",   HTTP_NO_CONNECTION, "No route to host",            false },
        { "timeout",  HTTP_TIMEOUT,       "Timed out after 10.0 s",      true  },
        { "cut",      HTTP_CUT,           "Connection reset by peer",    true  },
        { "not http", HTTP_NOT_HTTP,      "Not HTTP",                    true  },
        { "tls",      HTTP_TLS,           "TLS: self-signed certificate", false },
        { "large",    HTTP_TOO_LARGE,     "Body over 16 MiB",            true  },
        { "local",    HTTP_LOCAL,         "Too many open files",         false },
};

static void fail(struct http_response *response, size_t i) {
        response->result = failures[i].result;
        response->sent = failures[i].sent;
        response->status = response->result == HTTP_TOO_LARGE ? 200 : 0;
        snprintf(response->error, sizeof response->error, "%s", failures[i].error);
}

/* The status that the line begins with, or 200 where that is none of a final answer. */
static void succeed(struct http_response *response, const char *line, const char *body, size_t size) {
        char *rest;
        unsigned long status = strtoul(line, &rest, 10);

        response->status = status >= 200 && status <= 999 ? (int) status : 200;
        response->sent = true;
        if (*rest == ' ')
                response->retry_after = usec_min(strtoul(rest, NULL, 10), 1000000) * USEC_PER_SEC;
        if (size == 0)
                return;
        response->body = malloc(size + 1);
        must(response->body);
        memcpy(response->body, body, size);
        response->body[size] = '\0';
        response->size = size;
}

static void answer(struct http_response *response) {
        const struct part *part = answers.next < answers.n ? &answers.parts[answers.next++] : NULL;
        const char *line = part ? part->data : "refused", *end = strchr(line, '\n');
        size_t head = end ? (size_t) (end - line) : strlen(line);

        *response = (struct http_response) { .retry_after = USEC_INFINITY };
        for (size_t i = 0; i < ELEMENTSOF(failures); i++)
                if (strncmp(failures[i].name, line, head) == 0 && failures[i].name[head] == '\0') {
                        fail(response, i);
                        return;
                }
        succeed(response, line, end ? end + 1 : "", part && end ? part->size - head - 1 : 0);
}

/* One line, one host, one path: nothing that a name could have smuggled in. */
static void check_request(const struct http_request *request) {
        static const char host[] = "http://127.0.0.1:8080/";
        const char *path = request->url + strlen(host);

        must(strncmp(request->url, host, strlen(host)) == 0);
        for (const char *c = path; *c; c++)
                must(ascii_is_alphanumeric(*c) || strchr("-._~/%?=&", *c));
        must(!strstr(path, "/../") && !strstr(path, "/./") && !strstr(path, "//"));
        must(!request->unix_socket && request->timeout > 0 && request->timeout < USEC_INFINITY);
        if (request->body) {
                must(strcmp(request->method, "POST") == 0 && request->once);
                must_be_json(request->body, strlen(request->body));
                must(!answers.installed);
        } else
                must(strcmp(request->method, "GET") == 0);
}

static bool is_object(const struct http_response *response) {
        struct json_slice value;
        const char *problem;

        return response->result == HTTP_ANSWER && response->status >= 200 && response->status < 300 &&
               json_scan(response->body, response->size, &value, &problem) == 0 && json_type_of(value) == '{';
}

/* As much of a stream as comes at a time: now a line and a half, now a few bytes. */
static bool tell(struct http_transfer *stream) {
        struct http_response *response = &stream->response;
        size_t left = response->size - stream->told, n = stream->told % 2 ? 7 : 200;

        if (stream->finished)
                return false;
        n = n < left ? n : left;
        if (response->status != 200 || left == 0)
                stream->finished = true;
        else if (!stream->receive(response->body + stream->told, n, stream->user)) {
                stream->finished = true;
                response->result = HTTP_CUT;
                strcpy(response->error, "Ended by us");
        }
        stream->told += n;
        return true;
}

static bool tell_all(struct http *http) {
        struct http_transfer *next;
        bool any = false;

        for (struct http_transfer *stream = http->streams; stream; stream = next) {
                next = stream->next;
                any |= tell(stream);
        }
        return any;
}

int http_perform(struct http *http, const struct http_request *request, struct http_response *ret_response) {
        int r;

        check_request(request);
        virtual_advance(answers.v, USEC_PER_MSEC);
        r = waiter_progress(http->waiter);
        (void) tell_all(http);
        answer(ret_response);
        if (r < 0) {
                http_response_done(ret_response);
                return r;
        }

        answers.requests++;
        if (request->body && is_object(ret_response))
                answers.installed = true;
        return 0;
}

int http_new(struct waiter *waiter, unsigned connections_kept, struct http **ret_http) {
        must(connections_kept > 0);
        *ret_http = malloc(sizeof **ret_http);
        must(*ret_http);
        **ret_http = (struct http) { .waiter = waiter };
        return 0;
}

struct http *http_free(struct http *http) {
        must(!http || !http->streams);
        free(http);
        return NULL;
}

uint64_t http_requests(const struct http *http _unused_) {
        return answers.requests;
}

int http_idle_socket(const struct http *http _unused_) {
        return -1;
}

void http_response_done(struct http_response *response) {
        free(response->body);
        free(response->header_value);
        *response = (struct http_response) {};
}

/* Streams only: a search has many requests under way too, but the address is pinned here. */
int http_start(struct http *http, const struct http_request *request, struct http_transfer **ret_transfer) {
        struct http_transfer *stream = malloc(sizeof *stream);

        must(stream && request->receive);
        check_request(request);
        *stream = (struct http_transfer) {
                .http = http,
                .next = http->streams,
                .receive = request->receive,
                .user = request->user,
        };
        answer(&stream->response);
        answers.requests++;
        http->streams = stream;
        *ret_transfer = stream;
        return 0;
}

int http_run(struct http *http _unused_, int extra_fd _unused_, usec_t deadline _unused_) {
        abort();
}

int http_wait(struct http *http, usec_t deadline, unsigned mask) {
        int r;

        r = waiter_progress(http->waiter);
        if (r < 0)
                return r;
        if (tell_all(http)) {
                virtual_advance(answers.v, USEC_PER_MSEC);
                return WAIT_CHANGE;
        }
        r = waiter_until(http->waiter, deadline, mask & WAIT_RELOAD);
        return r >= 0 && (r & WAIT_STOP) ? -ECANCELED : r;
}

const struct http_response *http_finished(const struct http_transfer *transfer) {
        return transfer->finished ? &transfer->response : NULL;
}

/* The headers of a stream come with its first piece. */
int http_status(const struct http_transfer *transfer) {
        return transfer->told > 0 || transfer->finished ? transfer->response.status : 0;
}

struct http_transfer *http_transfer_free(struct http_transfer *transfer) {
        struct http_transfer **link;

        if (!transfer)
                return NULL;
        for (link = &transfer->http->streams; *link != transfer;)
                link = &(*link)->next;
        *link = transfer->next;
        http_response_done(&transfer->response);
        free(transfer);
        return NULL;
}

int http_resolve(struct http *http _unused_, const char *host _unused_, usec_t timeout _unused_,
                 struct http_address *addresses _unused_, size_t size _unused_, size_t *ret_n _unused_,
                 char error[static ERROR_MAX] _unused_) {
        abort();
}

/* ---- report/log.h ---- */

void log_init(enum log_level level _unused_, enum log_format format _unused_) {
}

bool log_wants_colour(int fd _unused_) {
        return false;
}

void log_set_terminal(void (*hide)(void *user) _unused_, void *user _unused_, uint64_t silenced _unused_) {
}

bool log_enabled(enum log_level level _unused_) {
        return true;
}

/* Each line is one, and after the last word there is none of a failure any more. */
void log_write(enum log_level level, enum event event, const char *message, const struct log_field *fields) {
        _cleanup_text_ struct text line = TEXT_INIT;

        log_add_message(&line, message, fields);
        must_be_harmless(&line, ONE_LINE);
        must(line.size > 0 && line.size < (size_t) 64 << 10);

        must(!answers.exiting);
        must(event != EVENT_EXITING || answers.exhausted);
        must(event != EVENT_INTERNAL_FAILURE);
        answers.exhausted |= event == EVENT_EXHAUSTED;
        answers.exiting |= event == EVENT_EXITING && level == LEVEL_CRITICAL;
        text_add(&answers.logged, line.data);
        text_add(&answers.logged, "\n");
}

/* ---- report/notify.h ---- */

void notify_init(struct notify *notify, usec_t now _unused_) {
        *notify = (struct notify) {};
}

void notify_done(struct notify *notify _unused_) {
}

void notify_ready(struct notify *notify) {
        notify->ready = true;
}

void notify_status(struct notify *notify _unused_, const char *status) {
        if (answers.on_status)
                answers.on_status(status);
}

void notify_progress(struct notify *notify _unused_, usec_t now _unused_) {
}

void notify_reloaded(struct notify *notify _unused_) {
}

void notify_stopping(void) {
}
