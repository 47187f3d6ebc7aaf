/* SPDX-License-Identifier: Apache-2.0 */

/* One poll(2) loop over a few connections, whole requests in, whole answers out: see the header. */

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/util.h"
#include "server_internal.h"

#define CONNECTIONS 64
#define API "/api/v1beta"

#define WORKLOAD(name, more) \
        "{\"name\":\"" name "\",\"package\":\"ghcr.io/x/" name ":1\",\"transport_type\":\"stdio\"" more \
        ",\"group\":\"default\"}"
#define FETCH ",\"port\":17003,\"status\":\"running\",\"url\":\"http://127.0.0.1:17003/mcp\""
#define LISTED \
        "{\"workloads\":[" WORKLOAD("a", ",\"port\":17001,\"status\":\"running\",\"url\":\"http://127.0.0.1:17001/mcp\"") "," \
        "%s" WORKLOAD("c", ",\"status\":\"running\"") "%s]}"
#define SERVERS \
        "\"servers\":{\"fetch\":" ENTRY ",\"github\":{\"name\":\"github\",\"image\":\"ghcr.io/x/github:1\"}}," \
        "\"remote_servers\":{\"notion\":{\"name\":\"notion\",\"url\":\"https://mcp.notion.com\"}}"
#define ENTRY \
        "{\"name\":\"fetch\",\"description\":\"Gets pages\",\"tier\":\"Community\",\"status\":\"Active\"," \
        "\"transport\":\"stdio\",\"tools\":[\"fetch\"],\"tags\":[\"web\"],\"image\":\"ghcr.io/x/fetch:1\"," \
        "\"env_vars\":[{\"name\":\"TOKEN\",\"description\":\"A token\",\"required\":true,\"secret\":true}]}"

static struct connection connections[CONNECTIONS];
static struct server *shared;

void server_send(int fd, const char *status, const char *body) {
        char answer[8192];
        int n;

        n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Toolhive-Nonce: " SERVER_NONCE
                     "\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
        (void) send(fd, answer, (size_t) n, MSG_NOSIGNAL);
}

static void send_details(int fd, const char *name, int port) {
        char body[1024];

        snprintf(body, sizeof body,
                 "{\"name\":\"%s\",\"image\":\"ghcr.io/x/%s:1\",\"proxy_port\":%d,\"transport\":\"stdio\","
                 "\"env_vars\":{\"TOKEN\":\"secret\"},\"group\":\"default\",\"url\":\"http://127.0.0.1:%d/mcp\"}",
                 name, name, port, port);
        server_send(fd, "200 OK", body);
}

static bool asks(const char *request, const char *line) {
        size_t size = strlen(line);

        return strncmp(request, line, size) == 0 && (request[size] == ' ' || request[size] == '?');
}

static void go_on_all(void) {
        for (size_t i = 0; i < CONNECTIONS; i++)
                if (connections[i].fd >= 0)
                        server_go_on(&connections[i]);
}

static void answer(struct connection *connection, const char *request) {
        int fd = connection->fd;
        char body[4096];

        if (server_answer_cluster(connection, request))
                return;
        if (asks(request, "POST /story")) {
                atomic_store(&shared->told, SERVER_STORY);
                go_on_all();
                server_send(fd, "200 OK", "{}");
        } else if (asks(request, "GET " API "/version"))
                server_send(fd, "200 OK", "{\"version\":\"v0.44.0\"}");
        else if (asks(request, "GET /health"))
                server_send(fd, "204 No Content", "");
        else if (asks(request, "GET " API "/workloads")) {
                atomic_fetch_add(&shared->lists, 1);
                snprintf(body, sizeof body, LISTED,
                         strstr(request, "?all=true HTTP") ? WORKLOAD("b", ",\"status\":\"stopped\"") "," : "",
                         atomic_load(&shared->installed) ? "," WORKLOAD("fetch", FETCH) : "");
                server_send(fd, "200 OK", body);
        } else if (asks(request, "GET " API "/workloads/a"))
                send_details(fd, "a", 17001);
        else if (asks(request, "GET " API "/workloads/c"))
                send_details(fd, "c", 17002);
        else if (asks(request, "GET " API "/workloads/fetch") && atomic_load(&shared->installed))
                send_details(fd, "fetch", 17003);
        else if (asks(request, "POST " API "/workloads")) {
                atomic_fetch_add(&shared->posts, 1);
                atomic_store(&shared->installed, true);
                server_send(fd, "201 Created", "{\"name\":\"fetch\",\"port\":17003}");
        } else if (asks(request, "GET " API "/registry/default")) {
                atomic_fetch_add(&shared->registries, 1);
                server_send(fd, "200 OK", "{\"name\":\"default\",\"registry\":{\"last_updated\":"
                            "\"2026-02-18T00:24:11Z\"," SERVERS "}}");
        } else if (asks(request, "GET " API "/registry/default/servers/fetch"))
                server_send(fd, "200 OK", "{\"server\":" ENTRY ",\"is_remote\":false}");
        else
                server_send(fd, "404 Not Found", "Not found");
}

/* Answers once the request is whole; false when the peer has ended. */
static bool go_on(struct connection *connection) {
        char *request = connection->request, *end, *length;
        ssize_t n = recv(connection->fd, request + connection->size, sizeof connection->request - 1 - connection->size, 0);
        size_t whole;

        /* Whoever begins to speak TLS (RFC 8446, 5.1) is not answered. */
        if (n <= 0 || (connection->size == 0 && request[0] == 22))
                return false;
        connection->size += (size_t) n;
        request[connection->size] = '\0';
        end = strstr(request, "\r\n\r\n");
        if (!end)
                return true;
        length = strstr(request, "Content-Length: ");
        whole = (size_t) (end + 4 - request) + (length && length < end ? strtoul(length + 16, NULL, 10) : 0);
        if (connection->size >= whole) {
                answer(connection, request);
                connection->size = 0;
        }
        return true;
}

static _Noreturn void serve(int listener) {
        struct pollfd fds[CONNECTIONS + 1] = { { .fd = listener, .events = POLLIN } };

        for (size_t i = 0; i < CONNECTIONS; i++)
                connections[i].fd = -1;
        for (;;) {
                for (size_t i = 0; i < CONNECTIONS; i++)
                        fds[i + 1] = (struct pollfd) { .fd = connections[i].fd, .events = POLLIN };
                if (poll(fds, CONNECTIONS + 1, -1) < 0)
                        continue;
                for (size_t i = 0; i < CONNECTIONS; i++)
                        if (fds[i + 1].revents && !go_on(&connections[i]))
                                closep(&connections[i].fd), connections[i].fd = -1;
                for (size_t i = 0; fds[0].revents && i < CONNECTIONS; i++)
                        if (connections[i].fd < 0) {
                                connections[i] = (struct connection) { .fd = accept(listener, NULL, NULL) };
                                break;
                        }
        }
}

static void start(void) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;
        pid_t parent = getpid(), child;
        int listener;

        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (shared == MAP_FAILED || listener < 0 || bind(listener, (struct sockaddr *) &address, sizeof address) < 0 ||
            listen(listener, CONNECTIONS) < 0 || getsockname(listener, (struct sockaddr *) &address, &size) < 0) {
                perror("the server of the torture");
                exit(EXIT_FAILURE);
        }
        shared->port = ntohs(address.sin_port);
        child = fork();
        if (child == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                        _exit(EXIT_FAILURE);
                alarm(0);
                serve(listener);
        }
        if (child < 0) {
                perror("fork");
                exit(EXIT_FAILURE);
        }
        close(listener);
}

/* Once it answers for the second time, it has seen all that came before the first. */
static void ask_twice(const char *request) {
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(shared->port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        _cleanup_(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char buffer[1024];

        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                abort();
        for (unsigned i = 0; i < 2; i++)
                if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0 || recv(fd, buffer, sizeof buffer, 0) <= 0)
                        abort();
}

void server_tell(void) {
        ask_twice("POST /story HTTP/1.1\r\n\r\n");
}

void server_renew(void) {
        const uint16_t port = server()->port;

        ask_twice("GET " API "/version HTTP/1.1\r\n\r\n");
        *shared = (struct server) { .port = port };
}

struct server *server(void) {
        if (!shared)
                start();
        return shared;
}
