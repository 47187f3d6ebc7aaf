/* SPDX-License-Identifier: Apache-2.0 */

/* Reading log, datagrams and state file: see the header. */

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/json.h"
#include "report/log.h"
#include "witness.h"

static char folder[64], state_path[128], notify_path[128];
static int receiver = -1, logged = -1;

static struct {
        usec_t watchdog;
        usec_t began, pinged;           /* awake */
        usec_t pinged_at;               /* by the clock */
        unsigned readies, reloads;
        uint64_t requests, scans;
        char status[1024];
        bool restated;                  /* STATUS is another since the last line */
        char raw[65536];                /* the state file as last read */
        char *line;                     /* what came of it */
        off_t log_read;
} seen;

static void remove_all(void) {
        static const char *const names[] = { "state.json", "state.json.lock", "notify" };
        char path[128];

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                snprintf(path, sizeof path, "%s/%s", folder, names[i]);
                (void) remove(path);
        }
        (void) remove(folder);
}

static void must(bool good, const char *what) {
        if (good)
                return;
        printf("chaos: %s: %s\n", what, strerror(errno));
        exit(EXIT_FAILURE);
}

void witness_init(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        /* The state file is replaced some thousand times a second: a place in memory makes it twice as fast. */
        snprintf(folder, sizeof folder, "%s/chaos-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        must(mkdtemp(folder), "a folder");
        atexit(remove_all);
        snprintf(state_path, sizeof state_path, "%s/state.json", folder);
        snprintf(notify_path, sizeof notify_path, "%s/notify", folder);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", notify_path);
        receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        must(receiver >= 0 && bind(receiver, (struct sockaddr *) &address, sizeof address) == 0, "a socket");
        setenv("NOTIFY_SOCKET", notify_path, 1);
        setenv("TZ", "UTC", 1);
        unsetenv("STATE_DIRECTORY");

        /* stderr is the log from now on; we speak on stdout. */
        logged = memfd_create("log", MFD_CLOEXEC);
        must(logged >= 0 && dup2(logged, STDERR_FILENO) >= 0, "a log");
        log_init(LEVEL_INFO, LOG_FORMAT_TEXT);
}

const char *witness_state_path(void) {
        return state_path;
}

void witness_begin(struct trace *trace _unused_, usec_t watchdog, usec_t now) {
        char value[32];

        seen.watchdog = watchdog;
        seen.began = seen.pinged = seen.pinged_at = now;
        seen.readies = seen.reloads = 0;
        seen.requests = seen.scans = 0;
        seen.status[0] = seen.raw[0] = '\0';
        free(STEAL(seen.line));

        snprintf(value, sizeof value, "%" PRIu64, watchdog);
        (watchdog > 0 ? setenv("WATCHDOG_USEC", value, 1) : unsetenv("WATCHDOG_USEC"));
        unsetenv("WATCHDOG_PID");
}

/* ---- the log ---- */

static void read_log(struct trace *trace, usec_t now) {
        char text[65536], *rest = text, *line;
        ssize_t n;

        n = pread(logged, text, sizeof text - 1, seen.log_read);
        must(n >= 0 && n < (ssize_t) sizeof text - 1, "reading the log");
        text[n] = '\0';
        seen.log_read += n;
        while ((line = strsep(&rest, "\n")) && rest)
                trace_add(trace, now, "log %s", line);
        if (seen.log_read > 1 << 20) {
                must(ftruncate(logged, 0) == 0 && lseek(logged, 0, SEEK_SET) == 0, "emptying the log");
                seen.log_read = 0;
        }
}

/* ---- systemd ---- */

static void judge_datagram(struct trace *trace, usec_t now, usec_t awake, const char *text) {
        static const char status[] = "STATUS=", reloading[] = "RELOADING=1\nMONOTONIC_USEC=";

        if (strcmp(text, "WATCHDOG=1") == 0) {
                if (now - seen.pinged_at < seen.watchdog / 2)
                        trace_fail(trace, now, "hot: a ping after %" PRIu64 " us", now - seen.pinged_at);
                seen.pinged = awake;
                seen.pinged_at = now;
        } else if (strcmp(text, "READY=1") == 0) {
                if (seen.readies++ > seen.reloads)
                        trace_fail(trace, now, "READY=1 again");
        } else if (strncmp(text, reloading, strlen(reloading)) == 0) {
                if (++seen.reloads > seen.readies)
                        trace_fail(trace, now, "RELOADING=1 and not ready");
        } else if (strncmp(text, status, strlen(status)) == 0) {
                if (strcmp(seen.status, text + strlen(status)) == 0)
                        trace_fail(trace, now, "STATUS twice the same: %s", text);
                snprintf(seen.status, sizeof seen.status, "%s", text + strlen(status));
                seen.restated = true;
        } else
                trace_fail(trace, now, "what is this: %s", text);
}

void witness_look(struct trace *trace, usec_t now, usec_t awake) {
        char text[2048];
        ssize_t n;

        if (seen.watchdog > 0 && awake - seen.pinged > seen.watchdog)
                trace_fail(trace, now, "silent: no ping for %" PRIu64 " us", awake - seen.pinged);
        while ((n = recv(receiver, text, sizeof text - 1, MSG_DONTWAIT)) >= 0) {
                text[n] = '\0';
                judge_datagram(trace, now, awake, text);
        }
        /* It is due after 1 s, and may be held up by a slice of 50 ms. */
        if (seen.readies == 0 && awake - seen.began > 1100 * USEC_PER_MSEC)
                trace_fail(trace, now, "not READY yet");
        read_log(trace, now);
}

void witness_end(struct trace *trace, usec_t now, usec_t awake) {
        witness_look(trace, now, awake);
        if (seen.readies != seen.reloads + 1 && (seen.readies > 0 || seen.reloads > 0))
                trace_fail(trace, now, "%u times READY=1 for %u reloads", seen.readies, seen.reloads);
}

/* ---- the state file ---- */

static struct json_object *member(struct json_object *object, const char *key) {
        struct json_object *value = NULL;

        (void) json_object_object_get_ex(object, key, &value);
        return value;
}

static const char *plain(struct json_object *value) {
        return value ? json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                     : "null";
}

static void add_member(struct text *text, struct json_object *object, const char *key) {
        text_add(text, " ");
        text_add(text, plain(member(object, key)));
}

static void add_poll(struct text *text, struct json_object *poll, const char *name) {
        text_addf(text, "; %s", name);
        add_member(text, poll, "polled_at");
        add_member(text, poll, "next_poll_at");
        add_member(text, poll, "problem");
}

static void add_workloads(struct text *text, struct json_object *workloads) {
        struct json_object *items = member(workloads, "items");

        add_poll(text, workloads, "workloads");
        add_member(text, workloads, "total");
        add_member(text, workloads, "running");
        add_member(text, workloads, "skipped");
        for (size_t i = 0; i < json_object_array_length(items); i++) {
                struct json_object *item = json_object_array_get_idx(items, i);

                if (member(item, "namespace"))
                        add_member(text, item, "namespace");
                add_member(text, item, "name");
                add_member(text, item, "status");
                add_member(text, item, "url");
        }
}

/* Requests and scans are told with the next publication, so no line is sure of them: they only grow. */
static bool judge_counters(struct json_object *counters) {
        uint64_t requests = json_object_get_uint64(member(counters, "requests"));
        uint64_t scans = json_object_get_uint64(member(counters, "scans"));
        bool good = requests >= seen.requests && scans >= seen.scans && scans <= requests;

        seen.requests = requests;
        seen.scans = scans;
        return good;
}

/* null where there is none to know. */
static void add_registry(struct text *text, struct json_object *registry) {
        if (!registry) {
                text_add(text, "; registry null");
                return;
        }
        add_poll(text, registry, "registry");
        add_member(text, registry, "last_updated");
        add_member(text, registry, "servers");
        add_member(text, registry, "names");
}

static char *describe(struct trace *trace, usec_t now) {
        _cleanup_(json_object_putp) struct json_object *document = json_tokener_parse(seen.raw);
        struct json_object *counters = member(document, "counters");
        struct text text = TEXT_INIT;

        if (!document || !counters)
                trace_fail(trace, now, "no state file: %s", seen.raw);
        if (!judge_counters(counters))
                trace_fail(trace, now, "counters went back: %s", plain(counters));
        text_add(&text, plain(member(document, "connection")));
        add_workloads(&text, member(document, "workloads"));
        add_registry(&text, member(document, "registry"));
        text_add(&text, "; counters");
        add_member(&text, counters, "failures");
        add_member(&text, counters, "reconnects");
        add_member(&text, counters, "port_changes");
        text_addf(&text, "; %s", seen.status);
        return text.data;
}

void witness_state(struct trace *trace, usec_t now) {
        static char raw[sizeof seen.raw];
        _cleanup_(fclosep) FILE *file = fopen(state_path, "re");
        char *line;
        size_t n;

        if (!file)
                trace_fail(trace, now, "no state file");
        n = fread(raw, 1, sizeof raw - 1, file);
        raw[n] = '\0';
        if (strcmp(raw, seen.raw) == 0 && !seen.restated)
                return;
        seen.restated = false;
        strcpy(seen.raw, raw);
        line = describe(trace, now);
        if (!seen.line || strcmp(line, seen.line) != 0)
                trace_add(trace, now, "state %s", line);
        free(seen.line);
        seen.line = line;
}
