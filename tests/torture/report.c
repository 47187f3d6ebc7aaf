/* SPDX-License-Identifier: Apache-2.0 */

/* Torture of the ways out and of what comes back in by them: state file, metrics, log, notify, files watched. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/file_watch.h"
#include "report/log.h"
#include "report/metrics.h"
#include "report/notify.h"
#include "report/service_state.h"
#include "source/discovery_file.h"
#include "server.h"
#include "torture.h"

#define REALTIME ((usec_t) 1767225600 * USEC_PER_SEC)

static struct snapshot snapshot;

static void fill_snapshot(const char *version, const char *const *names) {
        snapshot = (struct snapshot) {
                .host = "localhost",
                .pid = getpid(),
                .started_at = REALTIME,
                .last_success_at = REALTIME,
                .connection = {
                        .state = CONNECTION_CONNECTED,
                        .since = REALTIME,
                        .endpoint = "http://127.0.0.1:50001",
                        .port = 50001,
                        .max_retries = 100,
                },
                .workloads_poll.polled_at = REALTIME,
                .registry_poll.polled_at = REALTIME,
        };
        snprintf(snapshot.connection.version, sizeof snapshot.connection.version, "%s", version);
        snapshot.workloads = workload_list_new();
        snapshot.registry = registry_new();
        for (; *names; names++) {
                (void) workload_list_add(snapshot.workloads, workload_new(&(struct workload) {
                        .name = *names, .status = "running", .url = "http://h/" }));
                (void) registry_add(snapshot.registry, *names, strlen(*names));
        }
        workload_list_sort(snapshot.workloads);
        registry_sort(snapshot.registry);
}

static const char *const old_names[] = { "a", NULL }, *const new_names[] = { "b", "c", NULL };

/* ---- state file, written ---- */

static struct state_file file;

static int open_file(void) {
        return state_file_open(&file, torture_path("run/state.json"), torture_path(""), REALTIME);
}

static void begin_write(void) {
        (void) open_file();
        fill_snapshot("v-old", old_names);
        (void) state_file_write(&file, &snapshot, true);
        state_file_close(&file);
        snapshot_done(&snapshot);
        fill_snapshot("v-new", new_names);
}

static int act_write(void) {
        int r;

        r = open_file();
        if (r != 0)
                return r;
        r = state_file_write(&file, &snapshot, true);
        state_file_beat(&file);
        return r;
}

/* Old or new, but whole; and new where the write said so. */
static void judge_document(const char *name, bool is_new) {
        _cleanup_(snapshot_done) struct snapshot read = {};
        char version[STATE_FILE_VERSION_SIZE];
        _cleanup_(freep) char *data = NULL;
        const char *problem;
        size_t size;

        torture_expect(state_file_read(torture_path(name), &data, &size, &problem) == 0);
        if (!data)
                return;
        torture_expect(state_file_parse(data, size, &read, version, &problem) == 0);
        if (is_new)
                torture_expect(strcmp(read.connection.version, "v-new") == 0);
        torture_expect(read.workloads && read.workloads->n_items == (read.connection.version[2] == 'n' ? 2 : 1));
        /* What could not be finished is not left lying about. Where removing it fails, it may be. */
        if (strncmp(inject_record->failed, "unlink", 6) != 0)
                torture_expect(access(torture_path("run/state.json.new"), F_OK) < 0);
}

static void judge_write(int r) {
        torture_expect(r <= 0 || r == STATE_FILE_LOCKED);
        judge_document("run/state.json", r == 0);
        judge_document("state.json", r == 0);
}

static void end_write(void) {
        state_file_close(&file);
        snapshot_done(&snapshot);
}

/* ---- state file, read ---- */

static const char *path, *problem;

static void begin_restore(void) {
        (void) open_file();
        fill_snapshot("v-old", old_names);
        (void) state_file_write(&file, &snapshot, true);
        snapshot_done(&snapshot);
        snapshot = (struct snapshot) { .host = "localhost" };
}

static int act_restore(void) {
        return state_file_restore(&file, &snapshot, &path, &problem);
}

static void judge_restore(int r) {
        if (r == 0) {
                torture_expect(snapshot.connection.port == 50001 && snapshot.workloads && snapshot.registry);
                torture_expect(snapshot.workloads->n_items == 1 && snapshot.workloads_poll.polled_at == REALTIME);
        } else
                torture_expect(!snapshot.workloads && !snapshot.registry && !snapshot.connection.endpoint[0]);
        torture_expect(r <= 0);
}

static struct service_state_paths paths;
static struct service_state state;

static int act_state(void) {
        char *environment[] = { NULL, NULL };
        char variable[160];
        int r;

        snprintf(variable, sizeof variable, "RUNTIME_DIRECTORY=%s", torture_path("run"));
        environment[0] = variable;
        r = service_state_paths(&paths, NULL, environment);
        if (r == 0)
                r = service_state_read(&state, &paths);
        if (r == 0)
                r = state.error;
        return r;
}

static void judge_state(int r) {
        _cleanup_text_ struct text words = TEXT_INIT;

        if (r == 0 && state.path && strncmp(state.path, torture_path(""), strlen(torture_path(""))) == 0) {
                torture_expect(state.running && state.document);
                torture_expect(!state.document || state.snapshot.connection.state == CONNECTION_CONNECTED);
        }
        torture_expect(r == 0 || torture_injected());
        if (state.error) {
                service_state_add_problem(&state, &words);
                torture_expect(words.size > 0);
        }
}

static void end_state(void) {
        service_state_done(&state);
        service_state_paths_done(&paths);
        end_write();
}

/* ---- metrics ---- */

static int act_metrics(void) {
        struct text line = TEXT_INIT;
        int r;

        snapshot_status_line(&snapshot, &line);
        r = text_error(&line);
        text_done(&line);
        return r ?: metrics_write(torture_path("metrics"), &snapshot, true);
}

static void begin_metrics(void) {
        fill_snapshot("v-new", new_names);
        (void) file_replace(torture_path("metrics"), "old\n", 4, 0644);
}

static void judge_metrics(int r) {
        _cleanup_(freep) char *data = NULL;
        size_t size;

        torture_expect(file_read(torture_path("metrics"), 1 << 16, &data, &size) == 0);
        if (r == 0)
                torture_expect(data && strstr(data, "mcp_optimizer_up 1\n"));
        else
                torture_expect(data && (strcmp(data, "old\n") == 0 || strstr(data, "mcp_optimizer_up 1\n")));
}

static void end_metrics(void) {
        snapshot_done(&snapshot);
}

/* ---- log ---- */

static enum log_format format;

static int act_log(void) {
        log_init(LEVEL_INFO, format);
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, "first", LOG_STRING("error", "a \"b\" c"), LOG_INT("attempt", 7),
                  LOG_SECONDS("backoff_seconds", 1500 * USEC_PER_MSEC));
        log_event(LEVEL_INFO, EVENT_RESTORED, "second");
        return 0;
}

static void begin_log_text(void) {
        format = LOG_FORMAT_TEXT;
        torture_take(STDERR_FILENO);
}

static void begin_log_json(void) {
        format = LOG_FORMAT_JSON;
        torture_take(STDERR_FILENO);
}

/* Without a journal at hand; with one, what is injected here would be in it. */
static void begin_log_journal(void) {
        format = access("/run/systemd/journal/socket", F_OK) < 0 ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
        torture_take(STDERR_FILENO);
}

static bool is_one_of(const char *line, const char *const *lines) {
        for (; *lines; lines++)
                if (strcmp(line, *lines) == 0)
                        return true;
        return false;
}

/* Each line whole, or without memory its message alone. A stderr that fails may lose and tear any. */
static void judge_log(int r _unused_) {
        static const char *const text_lines[] = {
                "WARNING  first error=\"a \\\"b\\\" c\" attempt=7 backoff_seconds=1.5", "INFO     second",
                "WARNING  first", NULL };
        static const char *const bare_json[] = {
                "{\"level\": \"WARNING\", \"message\": \"first\"}",
                "{\"level\": \"INFO\", \"message\": \"second\"}", NULL };
        bool torn = strncmp(inject_record->failed, "write", 5) == 0;
        char lines[1024], *rest = lines;

        snprintf(lines, sizeof lines, "%s", torture_taken(STDERR_FILENO));
        torture_expect(torn || (strstr(lines, "first") && strstr(lines, "second")));
        for (char *line; !torn && (line = strsep(&rest, "\n"));)
                if (format == LOG_FORMAT_JSON)
                        torture_expect(!*line || strncmp(line, "{\"time\":", 8) == 0 || is_one_of(line, bare_json));
                else
                        torture_expect(!*line || is_one_of(line, text_lines));
}

static void end_nothing(void) {
}

/* ---- notify ---- */

static struct notify notify;
static int receiver = -1;

static void begin_notify(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        snprintf(address.sun_path, sizeof address.sun_path, "%s", torture_path("notify"));
        receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (receiver < 0 || bind(receiver, (struct sockaddr *) &address, sizeof address) < 0)
                abort();
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        setenv("WATCHDOG_USEC", "20000000", 1);
}

static int act_notify(void) {
        notify_init(&notify, 0);
        notify_status(&notify, "Looking");
        notify_ready(&notify);
        notify_status(&notify, "Connected");
        notify_progress(&notify, 11 * USEC_PER_SEC);
        notify_reloaded(&notify);
        notify_stopping();
        return 0;
}

static bool has_come(const char *wanted) {
        char text[256];
        ssize_t n;
        bool come = false;

        while ((n = recv(receiver, text, sizeof text - 1, MSG_DONTWAIT)) >= 0) {
                text[n] = '\0';
                come = come || strcmp(text, wanted) == 0;
        }
        return come;
}

/* A READY that did not arrive is owed and comes with the next progress. */
static void judge_notify(int r _unused_) {
        torture_expect(notify.ready);
        torture_expect(has_come("READY=1") || notify.ready_owed);
        notify_progress(&notify, 12 * USEC_PER_SEC);
        torture_expect(!notify.ready_owed);
}

static void end_notify(void) {
        notify_done(&notify);
        close(receiver);
        unsetenv("NOTIFY_SOCKET");
        unsetenv("WATCHDOG_USEC");
}

/* ---- the discovery file, read and watched ---- */

static struct discovery discovery;

static void write_discovery(const char *name) {
        static const char text[] =
                "{\"url\":\"http://127.0.0.1:50004\",\"pid\":1,\"nonce\":\"" SERVER_NONCE "\",\"started_at\":\"2026\"}";

        (void) file_replace(torture_path(name), text, strlen(text), 0600);
}

static void begin_discovery(void) {
        write_discovery("server.json");
        discovery = (struct discovery) {};
}

static int act_discovery(void) {
        const char *reason;

        return discovery_read(torture_path("server.json"), &discovery, &reason);
}

static void judge_discovery(int r) {
        torture_expect(r <= 0);
        torture_expect(r != 0 || (discovery.endpoint.port == 50004 && strcmp(discovery.nonce, SERVER_NONCE) == 0));
        torture_expect(r == 0 || !discovery.nonce[0]);
}

static struct file_watch *watch;

static int act_watch(void) {
        return file_watch_new(torture_path("server/server.json"), &watch);
}

/* The file comes after all; a watch that was made notices. */
static void judge_watch(int r) {
        torture_expect((r == 0) == (watch != NULL));
        if (!watch)
                return;
        torture_expect(mkdir(torture_path("server"), 0700) == 0);
        (void) file_watch_drain(watch);
        write_discovery("server/server.json");
        torture_expect(file_watch_drain(watch));
}

static void end_watch(void) {
        watch = file_watch_free(watch);
}

static void begin_drain(void) {
        (void) file_watch_new(torture_path("server/server.json"), &watch);
        (void) mkdir(torture_path("server"), 0700);
}

static int act_drain(void) {
        (void) file_watch_drain(watch);
        return 0;
}

static void judge_drain(int r _unused_) {
        write_discovery("server/server.json");
        torture_expect(file_watch_drain(watch));
}

const struct operation report_operations[] = {
        { "state file, written", begin_write, act_write, judge_write, end_write, 2 },
        { "state file, restored", begin_restore, act_restore, judge_restore, end_write, 2 },
        { "state of a service, read", begin_restore, act_state, judge_state, end_state, 2 },
        { "metrics and status line", begin_metrics, act_metrics, judge_metrics, end_metrics, 0 },
        { "log, text", begin_log_text, act_log, judge_log, end_nothing, 0 },
        { "log, JSON", begin_log_json, act_log, judge_log, end_nothing, 0 },
        { "log, journal", begin_log_journal, act_log, judge_log, end_nothing, 0 },
        { "notify", begin_notify, act_notify, judge_notify, end_notify, 0 },
        { "discovery file, read", begin_discovery, act_discovery, judge_discovery, end_nothing, 0 },
        { "file watch, begun", end_nothing, act_watch, judge_watch, end_watch, 3 },
        { "file watch, drained", begin_drain, act_drain, judge_drain, end_watch, 3 },
        {},
};
