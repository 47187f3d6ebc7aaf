/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The API server of the torture: see server.h. Its MCPServers come in two pages and
 * have a story, which each list tells as far as it has come and each watch from the
 * version on that it is asked for. The answer's head and what follows go out as one,
 * so that what is read is the same each time.
 */

#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "server_internal.h"

#define GROUP "/apis/toolhive.stacklok.dev/v1beta1/"
#define FIRST_VERSION 100

#define OBJECT(name, version, phase) \
        "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"tools\",\"resourceVersion\":\"" version "\"}," \
        "\"spec\":{\"image\":\"ghcr.io/x/" name ":1\",\"transport\":\"stdio\",\"proxyPort\":8080," \
        "\"env\":[{\"name\":\"TOKEN\",\"value\":\"secret\"}]}," \
        "\"status\":{\"phase\":\"" phase "\",\"url\":\"http://" name ".tools:8080/mcp\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

static const char *const story[SERVER_STORY] = {
        EVENT("ADDED", OBJECT("d", "101", "Ready")),
        EVENT("MODIFIED", OBJECT("b", "102", "Failed")),
        EVENT("DELETED", OBJECT("a", "103", "Ready")),
        EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"104\"}}"),
};

struct answer {
        size_t size;
        char data[16384];
};

static void _printf_(2, 3) add(struct answer *answer, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        answer->size += (size_t) vsnprintf(answer->data + answer->size, sizeof answer->data - answer->size, format,
                                           arguments);
        va_end(arguments);
        if (answer->size >= sizeof answer->data)
                abort();
}

static void refuse(int fd, const char *status, const char *reason, unsigned code) {
        char body[256];

        snprintf(body, sizeof body,
                 "{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"%s\",\"reason\":\"%s\",\"code\":%u}", reason,
                 reason, code);
        server_send(fd, status, body);
}

/* Whether one of so many is left. */
static bool take_one(atomic_uint *left) {
        if (atomic_load(left) == 0)
                return false;
        atomic_fetch_sub(left, 1);
        return true;
}

/* ---- lists ---- */

static void add_servers(struct answer *body, const char *request, unsigned told) {
        if (strstr(request, "fieldSelector=")) {
                if (strstr(request, "metadata.name%3Dc"))
                        add(body, OBJECT("c", "90", "Ready"));
        } else if (strstr(request, "&continue=rest")) {
                add(body, OBJECT("c", "90", "Ready") "%s", told >= 1 ? "," OBJECT("d", "101", "Ready") : "");
        } else {
                if (told < 3)
                        add(body, OBJECT("a", "90", "Ready") ",");
                add(body, "%s", told < 2 ? OBJECT("b", "90", "Ready") : OBJECT("b", "102", "Failed"));
        }
}

static void list_servers(int fd, const char *request) {
        static struct answer body;
        unsigned told = atomic_load(&server()->told);
        bool first = !strstr(request, "fieldSelector=") && !strstr(request, "&continue=");

        if (strstr(request, "&continue=") && take_one(&server()->expired)) {
                refuse(fd, "410 Gone", "Expired", 410);
                return;
        }
        atomic_fetch_add(&server()->lists, first);
        body.size = 0;
        add(&body, "{\"kind\":\"MCPServerList\",\"metadata\":{\"resourceVersion\":\"%u\",\"continue\":\"%s\"},\"items\":[",
            FIRST_VERSION + told, first ? "rest" : "");
        add_servers(&body, request, told);
        add(&body, "]}");
        server_send(fd, "200 OK", body.data);
}

/* So many that a list of all grows more than once. */
static void list_virtual_servers(int fd, const char *request) {
        static struct answer body;
        bool all = !strstr(request, "fieldSelector=");

        body.size = 0;
        add(&body, "{\"metadata\":{\"resourceVersion\":\"%u\"},\"items\":[", FIRST_VERSION);
        for (unsigned i = 0; i < SERVER_VIRTUAL && all; i++)
                add(&body, "%s{\"metadata\":{\"name\":\"v%02u\",\"namespace\":\"tools\"},\"status\":{\"phase\":\"Ready\"}}",
                    i > 0 ? "," : "", i);
        add(&body, "]}");
        server_send(fd, "200 OK", body.data);
}

/* ---- watches ---- */

static void add_chunk(struct answer *answer, const char *text) {
        add(answer, "%zx\r\n%s\r\n", strlen(text), text);
}

/* What came after version, up to where the story has come. */
static void add_story(struct answer *answer, unsigned *version) {
        for (; *version < FIRST_VERSION + atomic_load(&server()->told); ++*version)
                add_chunk(answer, story[*version - FIRST_VERSION]);
}

static void begin_watch(struct connection *connection, const char *request) {
        static struct answer answer;
        const char *version = strstr(request, "&resourceVersion=");
        bool of_servers = strncmp(request, "GET " GROUP "mcpservers", strlen("GET " GROUP "mcpservers")) == 0;

        answer.size = 0;
        add(&answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
        if (of_servers) {
                connection->watched = version ? (unsigned) strtoul(version + 17, NULL, 10) : FIRST_VERSION;
                if (atomic_load(&server()->hurries))
                        atomic_store(&server()->told, SERVER_STORY);
                add_story(&answer, &connection->watched);
        } else if (strstr(request, "/virtualmcpservers?") && take_one(&server()->too_old))
                add_chunk(&answer, EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}"));
        (void) send(connection->fd, answer.data, answer.size, MSG_NOSIGNAL);
}

void server_go_on(struct connection *connection) {
        static struct answer answer;

        answer.size = 0;
        if (connection->watched > 0)
                add_story(&answer, &connection->watched);
        if (answer.size > 0)
                (void) send(connection->fd, answer.data, answer.size, MSG_NOSIGNAL);
}

/* ---- who asks, and for what ---- */

/* One who is not known finds another token in the file by then, where one is laid out. */
static bool is_known(int fd, const char *request) {
        const char *token = strstr(request, "\r\nAuthorization: Bearer ");

        if (!server()->token[0] ||
            (token && strncmp(token + 24, server()->token, strlen(server()->token)) == 0))
                return true;
        if (server()->fresh_file[0])
                (void) rename(server()->fresh_file, server()->token_file);
        refuse(fd, "401 Unauthorized", "Unauthorized", 401);
        return false;
}

bool server_answer_cluster(struct connection *connection, const char *request) {
        bool served = strncmp(request, "GET " GROUP, strlen("GET " GROUP)) == 0 &&
                      !strstr(request, "/mcpremoteproxies") && !atomic_load(&server()->bare);
        bool watch = strstr(request, "?watch=true");
        int fd = connection->fd;

        if (strncmp(request, "GET /version ", 13) != 0 && strncmp(request, "GET /apis/", 10) != 0)
                return false;
        if (!is_known(fd, request))
                return true;
        if (strncmp(request, "GET /version ", 13) == 0)
                server_send(fd, "200 OK", "{\"gitVersion\":\"v1.34.1\"}");
        else if (atomic_load(&server()->forbids) || (served && watch && take_one(&server()->denied)))
                refuse(fd, "403 Forbidden", "Forbidden", 403);
        else if (!served)
                server_send(fd, "404 Not Found", "404 page not found");
        else if (watch)
                begin_watch(connection, request);
        else if (strstr(request, "/mcpservers?"))
                list_servers(fd, request);
        else
                list_virtual_servers(fd, request);
        return true;
}
