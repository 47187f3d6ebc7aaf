/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state file: the document to the letter, the lock between two services and
 * its heartbeat, files written whatever the umask and the disk, and reading back
 * what may be anybody's: a table of things that are wrong, and random damage.
 */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "report/state_file.h"
#include "suite.h"

#define SECOND(n) ((usec_t) (1795363291 + (n)) * USEC_PER_SEC + 936 * USEC_PER_MSEC)

static char folder[32];
static char path[64], kept_folder[64], kept_path[80];
static struct snapshot snapshot;
static struct state_file file;
static unsigned n_syncs;

/* In place of libc's, which some disks let wait: what it is called for is a test of base/file.h. */
int fdatasync(int fd _unused_) {
        n_syncs++;
        return 0;
}

static void set(char *field, size_t size, const char *value) {
        (void) snprintf(field, size, "%s", value);
}

#define SET(field, value) set((field), sizeof(field), (value))

static void add_workload(struct snapshot *to, const struct workload *fields) {
        struct workload *workload = workload_new(fields);

        ck_assert_ptr_nonnull(workload);
        ck_assert_int_eq(workload_list_add(to->workloads, workload), 0);
}

static void fill_snapshot(struct snapshot *to) {
        *to = (struct snapshot) {
                .host = "localhost",
                .pid = 4711,
                .started_at = SECOND(0),
                .connection = {
                        .state = CONNECTION_CONNECTED,
                        .since = SECOND(1),
                        .endpoint = "http://127.0.0.1:50001",
                        .port = 50001,
                        .version = "v0.44.0",
                        .max_retries = 100,
                        .last_error = "Connection refused",
                        .last_error_at = SECOND(2),
                },
                .workloads_poll = { .polled_at = SECOND(3), .next_poll_at = SECOND(63) },
                .registry_poll = { .polled_at = SECOND(4), .problem = "ToolHive answers \"503\"" },
                .counters = { .requests = 9, .failures = 8, .reconnects = 7, .port_changes = 6, .scans = 5 },
        };

        to->workloads = workload_list_new();
        ck_assert_ptr_nonnull(to->workloads);
        add_workload(to, &(struct workload) { .name = "everything", .status = "running",
                .url = "http://127.0.0.1:17520/mcp", .transport = "streamable-http", .group = "default",
                .package = "remote", .remote = true });
        add_workload(to, &(struct workload) { .name = "büro", .namespace = "tools", .status = "stopped" });
        to->workloads->skipped = 1;

        to->registry = registry_new();
        ck_assert_ptr_nonnull(to->registry);
        to->registry->last_updated = strdup("2026-02-18T00:24:11Z");
        ck_assert_int_eq(registry_add(to->registry, "fetch", 5), 0);
        ck_assert_int_eq(registry_add(to->registry, "time", 4), 0);
}

static const char document[] =
        "{\"schema\": 1, \"version\": \"" PROJECT_VERSION "\", \"pid\": 4711, "
        "\"started_at\": \"2026-11-22T16:01:31.936Z\", \"runtime_mode\": \"docker\", \"host\": \"localhost\",\n"
        " \"connection\": {\"state\": \"connected\", \"endpoint\": \"http://127.0.0.1:50001\", \"port\": 50001, "
        "\"toolhive_version\": \"v0.44.0\", \"since\": \"2026-11-22T16:01:32.936Z\",\n"
        "   \"attempt\": 0, \"max_retries\": 100, \"backoff_seconds\": 0.0, \"next_attempt_at\": null, "
        "\"last_error\": \"Connection refused\", \"last_error_at\": \"2026-11-22T16:01:33.936Z\"},\n"
        " \"workloads\": {\"polled_at\": \"2026-11-22T16:01:34.936Z\", "
        "\"next_poll_at\": \"2026-11-22T16:02:34.936Z\", \"problem\": null, "
        "\"total\": 2, \"running\": 1, \"skipped\": 1,\n"
        "   \"items\": [\n"
        "     {\"name\": \"everything\", \"namespace\": null, \"status\": \"running\", "
        "\"url\": \"http://127.0.0.1:17520/mcp\", \"transport\": \"streamable-http\", "
        "\"group\": \"default\", \"package\": \"remote\", \"remote\": true},\n"
        "     {\"name\": \"büro\", \"namespace\": \"tools\", \"status\": \"stopped\", "
        "\"url\": null, \"transport\": null, \"group\": null, \"package\": null, \"remote\": false}]},\n"
        " \"registry\": {\"polled_at\": \"2026-11-22T16:01:35.936Z\", \"next_poll_at\": null, "
        "\"problem\": \"ToolHive answers \\\"503\\\"\", \"last_updated\": \"2026-02-18T00:24:11Z\", "
        "\"servers\": 2,\n"
        "   \"names\": [\"fetch\", \"time\"]},\n"
        " \"counters\": {\"requests\": 9, \"failures\": 8, \"reconnects\": 7, \"port_changes\": 6, "
        "\"scans\": 5}}\n";

static void setup(void) {
        strcpy(folder, "/tmp/test-state-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void) snprintf(path, sizeof(path), "%s/run/state.json", folder);
        (void) snprintf(kept_folder, sizeof(kept_folder), "%s/kept", folder);
        (void) snprintf(kept_path, sizeof(kept_path), "%s/state.json", kept_folder);
        ck_assert_int_eq(mkdir(kept_folder, 0700), 0);
        fill_snapshot(&snapshot);
        file = (struct state_file) { .lock_fd = -1 };
}

/* rmdir(2) fails where anything unexpected was left behind. */
static void teardown(void) {
        char name[96];

        state_file_close(&file);
        snapshot_done(&snapshot);
        unlink(path);
        (void) snprintf(name, sizeof(name), "%s.lock", path);
        unlink(name);
        (void) snprintf(name, sizeof(name), "%s.lock", kept_path);
        unlink(name);
        unlink(kept_path);
        (void) snprintf(name, sizeof(name), "%s/run", folder);
        ck_assert(rmdir(name) == 0 || errno == ENOENT);
        ck_assert_int_eq(rmdir(kept_folder), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}

static void put(const char *name, const char *data, size_t size) {
        ck_assert_int_eq(file_replace(name, data, size, 0600), 0);
}

static void assert_file(const char *name, const char *expected) {
        _cleanup_(freep) char *data = NULL;
        struct stat st;
        size_t size;

        ck_assert_int_eq(stat(name, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0644);
        ck_assert_int_eq(file_read(name, STATE_FILE_MAX, &data, &size), 0);
        ck_assert_str_eq(data, expected);
}

/* The document. */

START_TEST(format_whole) {
        _cleanup_text_ struct text text = TEXT_INIT;

        state_file_format(&text, &snapshot);
        ck_assert_int_eq(text_error(&text), 0);
        ck_assert_str_eq(text.data, document);
}
END_TEST

static const char *formatted(struct text *text, const struct snapshot *of) {
        struct json_slice value;
        const char *problem = NULL;

        text_clear(text);
        state_file_format(text, of);
        ck_assert_int_eq(text_error(text), 0);
        ck_assert_msg(json_scan(text->data, text->size, &value, &problem) == 0, "%s", problem);
        return text->data;
}

START_TEST(format_nothing_known) {
        struct snapshot empty = { .host = "localhost", .connection = { .max_retries = 3, .attempt = 2,
                .state = CONNECTION_RECONNECTING, .backoff = 250 * USEC_PER_MSEC, .next_attempt_at = SECOND(0) } };
        _cleanup_text_ struct text text = TEXT_INIT;
        const char *data = formatted(&text, &empty);

        ck_assert_ptr_nonnull(strstr(data, "\"endpoint\": null, \"port\": null, \"toolhive_version\": null, "
                                           "\"since\": null"));
        ck_assert_ptr_nonnull(strstr(data, "\"attempt\": 2, \"max_retries\": 3, \"backoff_seconds\": 0.25, "
                                           "\"next_attempt_at\": \"2026-11-22T16:01:31.936Z\", "
                                           "\"last_error\": null, \"last_error_at\": null}"));
        ck_assert_ptr_nonnull(strstr(data, "\"workloads\": {\"polled_at\": null, \"next_poll_at\": null, "
                                           "\"problem\": null, \"total\": 0, \"running\": 0, \"skipped\": 0,\n"
                                           "   \"items\": []}"));
        ck_assert_ptr_nonnull(strstr(data, "\"last_updated\": null, \"servers\": 0,\n   \"names\": []}"));
}
END_TEST

START_TEST(format_kubernetes) {
        _cleanup_text_ struct text text = TEXT_INIT;
        const char *data;

        snapshot.runtime_mode = RUNTIME_K8S;
        data = formatted(&text, &snapshot);
        ck_assert_ptr_nonnull(strstr(data, "\"runtime_mode\": \"k8s\""));
        /* What the cluster says of itself is no version of ToolHive. */
        ck_assert_str_ne(snapshot.connection.version, "");
        ck_assert_ptr_nonnull(strstr(data, "\"toolhive_version\": null"));
        ck_assert_ptr_nonnull(strstr(data, "\n \"registry\": null,\n"));
}
END_TEST

START_TEST(format_hostile) {
        _cleanup_text_ struct text text = TEXT_INIT;
        const char *data;

        SET(snapshot.connection.last_error, "x\", \"schema\": 2, \"\n\\\xff\x1b");
        SET(snapshot.connection.version, "\xc0\xaf\xed\xa0\x80");
        data = formatted(&text, &snapshot);
        ck_assert_ptr_nonnull(strstr(data, "\"last_error\": \"x\\\", \\\"schema\\\": 2, \\\"\\n\\\\"));
}
END_TEST

/* Opening, lock, writing. */

START_TEST(write_and_keep) {
        mode_t mask = umask(077);
        char run[64];
        struct stat st;

        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        assert_file(path, document);
        ck_assert_int_ne(access(kept_path, F_OK), 0);
        ck_assert_uint_eq(n_syncs, 0);

        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        umask(mask);
        assert_file(kept_path, document);
        ck_assert_uint_eq(n_syncs, 1);

        (void) snprintf(run, sizeof(run), "%s/run", folder);
        ck_assert_int_eq(stat(run, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0755);
        (void) snprintf(run, sizeof(run), "%s.lock", path);
        ck_assert_int_eq(stat(run, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0644);
}
END_TEST

START_TEST(write_without) {
        ck_assert_int_eq(state_file_open(&file, NULL, "", SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        state_file_beat(&file);
        state_file_close(&file);

        ck_assert_int_eq(state_file_open(&file, NULL, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        assert_file(kept_path, document);
}
END_TEST

START_TEST(lock_excludes) {
        struct snapshot restored = { .host = "localhost" };
        struct state_file second;
        const char *from, *problem;

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);

        ck_assert_int_eq(state_file_open(&second, path, kept_folder, SECOND(0)), STATE_FILE_LOCKED);
        snapshot.pid = 1;
        ck_assert_int_eq(state_file_write(&second, &snapshot, true), 0);
        state_file_beat(&second);
        assert_file(path, document);
        ck_assert_int_ne(access(kept_path, F_OK), 0);

        /* What the first one knows, the second may read. */
        ck_assert_int_eq(state_file_restore(&second, &restored, &from, &problem), 0);
        ck_assert_int_eq(restored.connection.port, 50001);
        snapshot_done(&restored);
        state_file_close(&second);

        /* The lock goes with its holder, and the second's end does not end it. */
        ck_assert_int_eq(state_file_open(&second, path, NULL, SECOND(0)), STATE_FILE_LOCKED);
        state_file_close(&second);
        state_file_close(&file);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
}
END_TEST

/* The lock file says who holds it, from the moment on that it is held. */
START_TEST(lock_names_its_holder) {
        struct state_file second;
        char name[96];

        (void) snprintf(name, sizeof(name), "%s.lock", path);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        assert_file(name, "2026-11-22T16:01:31.936Z\n");

        /* Who does not get it does not write there. */
        ck_assert_int_eq(state_file_open(&second, path, NULL, SECOND(1)), STATE_FILE_LOCKED);
        assert_file(name, "2026-11-22T16:01:31.936Z\n");
        state_file_close(&second);
        state_file_close(&file);

        /* The next one's name is its own, whatever stood there. */
        put(name, document, sizeof(document) - 1);
        ck_assert_int_eq(chmod(name, 0666), 0);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(1)), 0);
        assert_file(name, "2026-11-22T16:01:32.936Z\n");
        state_file_close(&file);

        ck_assert_int_eq(state_file_open(&file, NULL, kept_folder, SECOND(2)), 0);
        (void) snprintf(name, sizeof(name), "%s.lock", kept_path);
        assert_file(name, "2026-11-22T16:01:33.936Z\n");
}
END_TEST

/* Whether the lock is held, as any user may ask with a descriptor for reading. */
static bool is_locked(void) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_(closep) int fd = -1;
        char name[80];

        (void) snprintf(name, sizeof(name), "%s.lock", path);
        fd = open(name, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
        return lock.l_type != F_UNLCK;
}

START_TEST(lock_dies_with_process) {
        int fds[2], status;
        char byte;

        ck_assert_int_eq(pipe(fds), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                byte = state_file_open(&file, path, NULL, SECOND(0)) == 0 ? 'y' : 'n';
                if (write(fds[1], &byte, 1) == 1)
                        pause();
                _exit(1);
        }

        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        ck_assert_int_eq(byte, 'y');
        ck_assert(is_locked());

        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(!is_locked());
        close(fds[0]);
        close(fds[1]);
}
END_TEST

START_TEST(heartbeat) {
        struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        struct stat st;
        char name[80];

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        (void) snprintf(name, sizeof(name), "%s.lock", path);
        ck_assert_int_eq(utimensat(AT_FDCWD, name, long_ago, 0), 0);

        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        ck_assert_int_eq(stat(name, &st), 0);
        ck_assert_int_eq(st.st_mtime, 1000);

        state_file_beat(&file);
        ck_assert_int_eq(stat(name, &st), 0);
        ck_assert_int_gt(st.st_mtime, 1000);
}
END_TEST

START_TEST(open_fails) {
        char name[128];

        /* The folder's folder is missing: nobody asked for that to be made. */
        (void) snprintf(name, sizeof(name), "%s/no/where/state.json", folder);
        ck_assert_int_eq(state_file_open(&file, name, NULL, SECOND(0)), -ENOENT);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        state_file_close(&file);

        /* A symbolic link is not locked, nor what it points to. */
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        state_file_close(&file);
        (void) snprintf(name, sizeof(name), "%s.lock", path);
        ck_assert_int_eq(unlink(name), 0);
        ck_assert_int_eq(symlink("/dev/null", name), 0);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), -ELOOP);
        state_file_close(&file);

        ck_assert_int_eq(unlink(name), 0);
        ck_assert_int_eq(mkfifo(name, 0600), 0);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), -EINVAL);
}
END_TEST

/* A path that cannot be opened costs itself: the kept copy is written, under a lock of its own. */
START_TEST(open_fails_kept_does_not) {
        struct snapshot restored = { .host = "localhost" };
        const char *from, *problem;
        struct state_file second;
        char name[96];

        (void) snprintf(name, sizeof(name), "%s.lock", path);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        state_file_close(&file);
        ck_assert_int_eq(unlink(name), 0);
        ck_assert_int_eq(mkfifo(name, 0600), 0);

        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), -EINVAL);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), 0);
        ck_assert_str_eq(from, path);
        snapshot_done(&restored);

        snapshot.pid = 1;
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        assert_file(path, document);
        ck_assert_int_eq(access(kept_path, F_OK), 0);

        /* A second one in the same place stays away from both. */
        ck_assert_int_eq(state_file_open(&second, path, kept_folder, SECOND(0)), -EINVAL);
        ck_assert_int_eq(unlink(kept_path), 0);
        ck_assert_int_eq(state_file_write(&second, &snapshot, true), 0);
        ck_assert_int_ne(access(kept_path, F_OK), 0);
        state_file_close(&second);
}
END_TEST

/* What was in the way at the start may be gone later: then the path is written like any other. */
START_TEST(open_fails_and_succeeds_later) {
        const char *const kept[] = { NULL, kept_folder };
        struct state_file second;
        char name[96];

        (void) snprintf(name, sizeof(name), "%s.lock", path);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        state_file_close(&file);
        ck_assert_int_eq(unlink(name), 0);
        ck_assert_int_eq(mkdir(name, 0700), 0);

        ck_assert_int_eq(state_file_open(&file, path, kept[_i], SECOND(0)), -EISDIR);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        ck_assert_int_ne(access(path, F_OK), 0);
        ck_assert_int_eq(rmdir(name), 0);

        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        assert_file(path, document);
        assert_file(name, "2026-11-22T16:01:31.936Z\n");
        ck_assert_int_eq(state_file_open(&second, path, NULL, SECOND(1)), STATE_FILE_LOCKED);
        state_file_close(&second);
}
END_TEST

/* Each of the two copies is written though the other cannot be. */
START_TEST(write_fails) {
        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);

        ck_assert_int_eq(rmdir(kept_folder), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), -ENOENT);
        ck_assert_str_eq(file.failed_path, kept_path);
        assert_file(path, document);
        ck_assert_int_eq(mkdir(kept_folder, 0700), 0);

        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), -EISDIR);
        ck_assert_str_eq(file.failed_path, path);
        assert_file(kept_path, document);
        ck_assert_int_eq(rmdir(path), 0);

        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        assert_file(path, document);
}
END_TEST

static size_t document_size(void) {
        _cleanup_text_ struct text text = TEXT_INIT;

        state_file_format(&text, &snapshot);
        ck_assert_int_eq(text_error(&text), 0);
        return text.size;
}

/* One that makes the document longer by the same whatever the number is, and by the length. */
static struct workload *make_long(size_t number, size_t length) {
        char name[16], url[2048];
        struct workload *workload;

        ck_assert_uint_lt(length, sizeof(url));
        (void) snprintf(name, sizeof(name), "%06zu", number);
        memset(url, 'u', length);
        url[length] = '\0';
        workload = workload_new(&(struct workload) { .name = name, .status = "running", .url = url });
        ck_assert_ptr_nonnull(workload);
        return workload;
}

/* Adds workloads until the document has that size, to the last byte. */
static void grow(size_t size) {
        struct workload_list *list = snapshot.workloads;
        size_t before = document_size(), each, n;

        ck_assert_int_eq(workload_list_add(list, make_long(0, 800)), 0);
        each = document_size() - before;
        n = (size - before) / each;
        for (size_t i = 1; i < n; i++)
                ck_assert_int_eq(workload_list_add(list, make_long(i, 800)), 0);
        workload_list_replace(list, list->n_items - 1,
                              make_long(n, 800 + size - document_size()));
        ck_assert_uint_eq(document_size(), size);
}

/* The largest memory of this process so far, in bytes. */
static size_t peak(void) {
        _cleanup_(freep) char *status = NULL;
        size_t size, kib;

        ck_assert_int_eq(file_read("/proc/self/status", 1 << 16, &status, &size), 0);
        const char *at = strstr(status, "\nVmHWM:");
        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(sscanf(at, "\nVmHWM: %zu kB", &kib), 1);
        return kib << 10;
}

/* Writing costs a buffer, not the document; and both files are the same to the last byte. */
START_TEST(write_large) {
        _cleanup_text_ struct text text = TEXT_INIT;
        size_t before;

        for (unsigned i = 0; i < 4000; i++) {
                char name[200];

                memset(name, 'w', sizeof(name));
                (void) snprintf(name, 16, "%u", i);
                name[strlen(name)] = 'w';
                name[199] = '\0';
                add_workload(&snapshot, &(struct workload) { .name = name, .status = "running",
                        .url = name, .group = name, .package = name, .transport = name });
                ck_assert_int_eq(registry_add(snapshot.registry, name, strlen(name)), 0);
        }
        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        before = peak();
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        ck_assert_uint_lt(peak(), before + (2 << 20));

        state_file_format(&text, &snapshot);
        ck_assert_int_eq(text_error(&text), 0);
        ck_assert_uint_gt(text.size, 5 << 20);
        assert_file(path, text.data);
        assert_file(kept_path, text.data);
}
END_TEST

/* Nothing is written that would not be read again. */
START_TEST(write_too_large) {
        struct snapshot restored = { .host = "localhost" };
        const char *from, *problem;
        struct stat st;

        grow(STATE_FILE_MAX);
        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), 0);
        snapshot_done(&restored);

        SET(snapshot.connection.version, "v0.44.00");
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), -EFBIG);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_uint_eq(st.st_size, STATE_FILE_MAX);
        ck_assert_int_eq(stat(kept_path, &st), 0);
        ck_assert_uint_eq(st.st_size, STATE_FILE_MAX);
}
END_TEST

/* Reading back. */

static struct snapshot fresh(void) {
        return (struct snapshot) { .host = "localhost", .connection = { .max_retries = 100 } };
}

static int restore(struct snapshot *into, const char **ret_problem) {
        const char *from = NULL;
        int r;

        *ret_problem = NULL;
        r = state_file_restore(&file, into, &from, ret_problem);
        if (r == STATE_FILE_FOREIGN)
                ck_assert_ptr_nonnull(*ret_problem);
        if (r >= 0)
                ck_assert_ptr_nonnull(from);
        return r;
}

static void assert_untouched(const struct snapshot *restored) {
        ck_assert_ptr_null(restored->workloads);
        ck_assert_ptr_null(restored->registry);
        ck_assert_str_eq(restored->connection.endpoint, "");
        ck_assert_int_eq(restored->connection.port, 0);
        ck_assert_uint_eq(restored->workloads_poll.polled_at, 0);
        ck_assert_uint_eq(restored->registry_poll.polled_at, 0);
}

START_TEST(restore_round_trip) {
        struct snapshot restored = fresh();
        const struct workload *workload;
        const char *problem;

        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        ck_assert_int_eq(restore(&restored, &problem), 0);

        ck_assert_str_eq(restored.connection.endpoint, "http://127.0.0.1:50001");
        ck_assert_int_eq(restored.connection.port, 50001);
        ck_assert_uint_eq(restored.workloads_poll.polled_at, SECOND(3));
        ck_assert_uint_eq(restored.registry_poll.polled_at, SECOND(4));
        ck_assert_uint_eq(restored.workloads->n_items, 2);
        ck_assert_uint_eq(restored.workloads->running, 1);
        ck_assert_uint_eq(restored.workloads->skipped, 1);

        workload = workload_list_find(restored.workloads, NULL, "everything");
        ck_assert_ptr_nonnull(workload);
        ck_assert_str_eq(workload->url, "http://127.0.0.1:17520/mcp");
        ck_assert_str_eq(workload->transport, "streamable-http");
        ck_assert_str_eq(workload->group, "default");
        ck_assert_str_eq(workload->package, "remote");
        ck_assert(workload->remote);
        workload = workload_list_find(restored.workloads, "tools", "büro");
        ck_assert_ptr_nonnull(workload);
        ck_assert_str_eq(workload->status, "stopped");
        ck_assert_ptr_null(workload->url);
        ck_assert(!workload->remote);

        ck_assert_uint_eq(restored.registry->n_names, 2);
        ck_assert_str_eq(restored.registry->names[0], "fetch");
        ck_assert_str_eq(restored.registry->last_updated, "2026-02-18T00:24:11Z");

        /* Nothing else: the counters and the state are of a life that is over. */
        ck_assert_int_eq(restored.connection.state, CONNECTION_CONNECTING);
        ck_assert_str_eq(restored.connection.version, "");
        ck_assert_str_eq(restored.connection.last_error, "");
        ck_assert_str_eq(restored.registry_poll.problem, "");
        ck_assert_uint_eq(restored.counters.requests, 0);
        ck_assert_uint_eq(restored.started_at, 0);
        ck_assert_uint_eq(restored.workloads_poll.next_poll_at, 0);

        snapshot_done(&restored);
}
END_TEST

START_TEST(restore_not_known) {
        struct snapshot empty = fresh(), restored = fresh();
        const char *problem;

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        ck_assert_int_eq(restore(&restored, &problem), -ENOENT);

        /* Written before the first poll. */
        ck_assert_int_eq(state_file_write(&file, &empty, false), 0);
        ck_assert_int_eq(restore(&restored, &problem), 0);
        assert_untouched(&restored);
        state_file_close(&file);

        ck_assert_int_eq(state_file_open(&file, NULL, NULL, SECOND(0)), 0);
        ck_assert_int_eq(restore(&restored, &problem), -ENOENT);
}
END_TEST

START_TEST(restore_kept_first) {
        struct snapshot restored = fresh();
        const char *problem, *from;

        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), 0);
        ck_assert_str_eq(from, path);
        ck_assert_int_eq(restored.connection.port, 50001);

        snapshot.connection.port = 50002;
        ck_assert_int_eq(state_file_write(&file, &snapshot, true), 0);
        put(path, document, sizeof(document) - 1);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), 0);
        ck_assert_str_eq(from, kept_path);
        ck_assert_int_eq(restored.connection.port, 50002);
        snapshot_done(&restored);
}
END_TEST

/* A kept copy that is of no use does not hide a state file that is. */
START_TEST(restore_the_other) {
        struct snapshot restored = fresh();
        const char *problem, *from;

        ck_assert_int_eq(state_file_open(&file, path, kept_folder, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        put(kept_path, "{", 1);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), 0);
        ck_assert_str_eq(from, path);
        ck_assert_int_eq(restored.connection.port, 50001);
        snapshot_done(&restored);

        /* Two that are of no use: the first is the one that is told. */
        restored = fresh();
        SET(restored.host, "example.org");
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(from, kept_path);
        ck_assert_str_eq(problem, "JSON that is cut short");

        /* One that is of no use, and none. */
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(from, kept_path);

        /* None, and one that is of no use. */
        ck_assert_int_eq(rename(kept_path, path), 0);
        ck_assert_int_eq(state_file_restore(&file, &restored, &from, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(from, path);
        assert_untouched(&restored);
}
END_TEST

START_TEST(restore_kubernetes) {
        struct snapshot restored = fresh();
        const char *problem;

        snapshot.runtime_mode = RUNTIME_K8S;
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);

        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(problem, "another runtime mode");
        assert_untouched(&restored);

        restored.runtime_mode = RUNTIME_K8S;
        ck_assert_int_eq(restore(&restored, &problem), 0);
        ck_assert_uint_eq(restored.workloads->n_items, 2);
        ck_assert_ptr_null(restored.registry);
        snapshot_done(&restored);
}
END_TEST

/* The document with one piece of it replaced. */
static void edit(struct text *text, const char *from, const char *to) {
        const char *at = strstr(document, from);

        ck_assert_msg(at, "no %s", from);
        text_clear(text);
        text_add_bytes(text, document, (size_t) (at - document));
        text_add(text, to);
        text_add(text, at + strlen(from));
        ck_assert_int_eq(text_error(text), 0);
}

static void put_edited(const char *from, const char *to) {
        _cleanup_text_ struct text text = TEXT_INIT;

        edit(&text, from, to);
        put(path, text.data, text.size);
}

START_TEST(restore_doubts) {
        static const struct {
                const char *from, *to;
        } cases[] = {
                { "{\"schema\": 1", "{\"schema\": 2" },
                { "{\"schema\": 1", "{\"schema\": 0" },
                { "{\"schema\": 1", "{\"schema\": 1.0" },
                { "{\"schema\": 1", "{\"schema\": \"1\"" },
                { "{\"schema\": 1", "{\"schema\": 4294967297" },
                { "{\"schema\": 1,", "{" },
                { "{\"schema\": 1", "{\"schema\": 1, \"schema\": 1" },
                { "{\"schema\": 1", "{\"schema\": 1, \"\\u0073chema\": 1" },
                { "{\"schema\": 1", "{'schema': 1" },
                { "{\"schema\": 1", "[{\"schema\": 1" },
                { "\"docker\"", "\"k8s\"" },
                { "\"docker\"", "null" },
                { "\"host\": \"localhost\"", "\"host\": \"example.org\"" },
                { "\"host\": \"localhost\"", "\"host\": null" },
                { "\"host\": \"localhost\"", "\"host\": [\"localhost\"]" },
                { "\"connection\": {", "\"connection\": [{" },
                { "\"connection\": {", "\"connection\": null, \"x\": {" },
                { "\"endpoint\": \"http", "\"endpoint\": \"\\u001bhttp" },
                { "\"endpoint\": \"http://127.0.0.1:50001\"", "\"endpoint\": 1" },
                { "\"endpoint\": \"http", "\"endpoint\": \"http"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
                { "\"port\": 50001", "\"port\": 0" },
                { "\"port\": 50001", "\"port\": -1" },
                { "\"port\": 50001", "\"port\": 99999" },
                { "\"port\": 50001", "\"port\": 50001.0" },
                { "\"port\": 50001", "\"port\": 5e4" },
                { "\"port\": 50001", "\"port\": \"50001\"" },
                { "\"port\": 50001", "\"port\": true" },
                { "\"port\": 50001", "\"port\": 50001, \"port\": 50001" },
                { "\"polled_at\": \"2026-11-22T16:01:34.936Z\"", "\"polled_at\": 1" },
                { "T16:01:34.936Z", "T16:01:34Z" },
                { "2026-11-22T16:01:34.936Z", "2026-02-30T16:01:34.936Z" },
                { "2026-11-22T16:01:34.936Z", "2026-11-22T24:01:34.936Z" },
                { "2026-11-22T16:01:34.936Z", "2026-11-22T16:01: 4.936Z" },
                { "2026-11-22T16:01:34.936Z", "1926-11-22T16:01:34.936Z" },
                { "2026-11-22T16:01:34.936Z", "2026-11-22T16:01:34.936+" },
                { "2026-11-22T16:01:34.936Z", "" },
                { "\"total\": 2", "\"total\": 3" },
                { "\"total\": 2", "\"total\": 20001" },
                { "\"skipped\": 1", "\"skipped\": -1" },
                { "\"items\": [", "\"items\": [1, " },
                { "\"items\": [", "\"items\": [{}, " },
                { "\"items\": [", "\"things\": [" },
                { "\"name\": \"everything\"", "\"name\": \"\"" },
                { "\"name\": \"everything\"", "\"name\": null" },
                { "\"name\": \"everything\"", "\"name\": \".\"" },
                { "\"name\": \"everything\"", "\"name\": \"..\"" },
                { "\"name\": \"everything\"", "\"name\": \"every\\nthing\"" },
                { "\"name\": \"everything\"", "\"name\": \"every\\u202ething\"" },
                { "\"name\": \"everything\"", "\"name\": \"x\", \"name\": \"everything\"" },
                { "\"name\": \"everything\", \"namespace\": null", "\"name\": \"büro\", \"namespace\": \"tools\"" },
                { "\"status\": \"running\"", "\"status\": null" },
                { "\"status\": \"running\"", "\"status\": 1" },
                { "\"url\": \"http", "\"url\": \"\\thttp" },
                { "\"url\": \"http://127.0.0.1:17520/mcp\", ", "" },
                { "\"remote\": true", "\"remote\": 1" },
                { "\"remote\": true", "\"remote\": null" },
                { "\"servers\": 2", "\"servers\": 1" },
                { "\"names\": [", "\"names\": [1, " },
                { "\"names\": [", "\"names\": [\"\", " },
                { "\"names\": [", "\"names\": [\"fetch\", " },
                { "\"names\": [\"fetch\", \"time\"]", "\"names\": {}" },
                { "\"last_updated\": \"2026", "\"last_updated\": \"\\r2026" },
                { "\"scans\": 5}}", "\"scans\": 5}" },
                { "\"scans\": 5}}", "\"scans\": 5}} {}" },
                { "\"scans\": 5}}", "\"scans\": \xff}}" },
        };
        struct snapshot restored = fresh();
        const char *problem;

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put_edited(cases[i].from, cases[i].to);
                ck_assert_msg(restore(&restored, &problem) == STATE_FILE_FOREIGN, "taken: %s", cases[i].to);
                assert_untouched(&restored);
        }

        /* And what is no doubt: members of a version to come. */
        put_edited("{\"schema\": 1", "{\"schema\": 1, \"a_key_that_is_longer_than_any_of_ours\": [{}]");
        ck_assert_int_eq(restore(&restored, &problem), 0);
        ck_assert_uint_eq(restored.workloads->n_items, 2);
        snapshot_done(&restored);
}
END_TEST

/* Reading all of it, which is more than a new service may take over. */

START_TEST(parse_whole) {
        _cleanup_(snapshot_done) struct snapshot read = {};
        char version[STATE_FILE_VERSION_SIZE];
        const char *problem = NULL;

        ck_assert_msg(state_file_parse(document, sizeof(document) - 1, &read, version, &problem) == 0, "%s", problem);
        ck_assert_str_eq(version, PROJECT_VERSION);
        ck_assert_int_eq(read.pid, 4711);
        ck_assert_uint_eq(read.started_at, SECOND(0));
        ck_assert_int_eq(read.runtime_mode, RUNTIME_DOCKER);
        ck_assert_str_eq(read.host, "localhost");

        ck_assert_int_eq(read.connection.state, CONNECTION_CONNECTED);
        ck_assert_uint_eq(read.connection.since, SECOND(1));
        ck_assert_str_eq(read.connection.endpoint, "http://127.0.0.1:50001");
        ck_assert_int_eq(read.connection.port, 50001);
        ck_assert_str_eq(read.connection.version, "v0.44.0");
        ck_assert_uint_eq(read.connection.attempt, 0);
        ck_assert_uint_eq(read.connection.max_retries, 100);
        ck_assert_uint_eq(read.connection.backoff, 0);
        ck_assert_uint_eq(read.connection.next_attempt_at, 0);
        ck_assert_str_eq(read.connection.last_error, "Connection refused");
        ck_assert_uint_eq(read.connection.last_error_at, SECOND(2));

        ck_assert_uint_eq(read.workloads_poll.polled_at, SECOND(3));
        ck_assert_uint_eq(read.workloads_poll.next_poll_at, SECOND(63));
        ck_assert_str_eq(read.workloads_poll.problem, "");
        ck_assert_uint_eq(read.workloads->n_items, 2);
        ck_assert_uint_eq(read.workloads->running, 1);
        ck_assert_uint_eq(read.workloads->skipped, 1);
        ck_assert_uint_eq(read.registry_poll.polled_at, SECOND(4));
        ck_assert_uint_eq(read.registry_poll.next_poll_at, 0);
        ck_assert_str_eq(read.registry_poll.problem, "ToolHive answers \"503\"");
        ck_assert_str_eq(read.registry->last_updated, "2026-02-18T00:24:11Z");
        ck_assert_uint_eq(read.registry->n_names, 2);

        ck_assert_uint_eq(read.counters.requests, 9);
        ck_assert_uint_eq(read.counters.failures, 8);
        ck_assert_uint_eq(read.counters.reconnects, 7);
        ck_assert_uint_eq(read.counters.port_changes, 6);
        ck_assert_uint_eq(read.counters.scans, 5);
}
END_TEST

/* What is written is read, and written again it is the same: every state, every field at its end. */
START_TEST(parse_what_is_written) {
        for (enum connection_state at = CONNECTION_CONNECTING; at <= CONNECTION_STOPPED; at++) {
                _cleanup_text_ struct text text = TEXT_INIT, again = TEXT_INIT;
                _cleanup_(snapshot_done) struct snapshot read = {};
                char version[STATE_FILE_VERSION_SIZE];
                const char *problem = NULL;

                workload_list_sort(snapshot.workloads);
                snapshot.runtime_mode = at % 2 ? RUNTIME_K8S : RUNTIME_DOCKER;
                snapshot.pid = INT32_MAX;
                snapshot.connection.state = at;
                snapshot.connection.port = at % 2 ? 65535 : 0;
                snapshot.connection.attempt = 500;
                snapshot.connection.backoff = (at + 1) * 299010 * USEC_PER_MSEC;
                snapshot.connection.next_attempt_at = SECOND(5);
                snapshot.counters.requests = UINT64_MAX;
                snapshot.counters.scans = UINT64_MAX - 9;

                state_file_format(&text, &snapshot);
                ck_assert_int_eq(text_error(&text), 0);
                ck_assert_msg(state_file_parse(text.data, text.size, &read, version, &problem) == 0, "%s", problem);
                ck_assert_uint_eq(read.connection.backoff, snapshot.connection.backoff);
                state_file_format(&again, &read);
                ck_assert_str_eq(again.data, text.data);
        }
}
END_TEST

/* Errors come from outside, and are cut where they were kept: they are no reason to doubt. */
START_TEST(parse_words_from_outside) {
        _cleanup_text_ struct text text = TEXT_INIT;
        _cleanup_(snapshot_done) struct snapshot read = {};
        char version[STATE_FILE_VERSION_SIZE];
        const char *problem = NULL;

        memset(snapshot.connection.last_error, '\xff', sizeof(snapshot.connection.last_error) - 1);
        SET(snapshot.workloads_poll.problem, "\033[2J\r\n\xe2\x80\xae");
        state_file_format(&text, &snapshot);
        ck_assert_msg(state_file_parse(text.data, text.size, &read, version, &problem) == 0, "%s", problem);
        ck_assert_str_eq(read.workloads_poll.problem, "\033[2J\r\n\xe2\x80\xae");
        /* 255 bytes that were none became 255 characters of three bytes: 85 of them fit. */
        ck_assert_uint_eq(strlen(read.connection.last_error), 255);
        for (size_t i = 0; i < 255; i += 3)
                ck_assert_mem_eq(read.connection.last_error + i, "\xEF\xBF\xBD", 3);
}
END_TEST

START_TEST(parse_doubts) {
        static const struct {
                const char *from, *to;
        } cases[] = {
                { "\"version\": \"" PROJECT_VERSION "\"", "\"version\": \"\"" },
                { "\"version\": \"" PROJECT_VERSION "\"", "\"version\": null" },
                { "\"version\": \"", "\"version\": \"\\u001b" },
                { "\"pid\": 4711", "\"pid\": -1" },
                { "\"pid\": 4711", "\"pid\": 4294967296" },
                { "\"pid\": 4711", "\"pid\": null" },
                { "\"pid\": 4711, ", "" },
                { "\"started_at\": \"2026-11-22T16:01:31.936Z\"", "\"started_at\": 1" },
                { "\"docker\"", "\"Docker\"" },
                { "\"docker\"", "\"dockerdocker\"" },
                { "\"state\": \"connected\"", "\"state\": \"Connected\"" },
                { "\"state\": \"connected\"", "\"state\": \"\"" },
                { "\"state\": \"connected\"", "\"state\": null" },
                { "\"state\": \"connected\", ", "" },
                { "\"state\": \"connected\"", "\"state\": \"connected\", \"state\": \"connected\"" },
                { "\"toolhive_version\": \"v", "\"toolhive_version\": \"\\u0007v" },
                { "\"attempt\": 0", "\"attempt\": -0" },
                { "\"attempt\": 0", "\"attempt\": 1000001" },
                { "\"attempt\": 0", "\"attempt\": null" },
                { "\"max_retries\": 100", "\"max_retries\": 1e2" },
                { "\"max_retries\": 100", "\"max_retries\": 18446744073709551716" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": 0" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": 0.0000" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": -0.5" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": 1.5e1" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": 31536000.001" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": 99999999999999999999.0" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": null" },
                { "\"backoff_seconds\": 0.0", "\"backoff_seconds\": \"0.0\"" },
                { "\"next_attempt_at\": null", "\"next_attempt_at\": false" },
                { "\"last_error\": \"Connection refused\"", "\"last_error\": 111" },
                { "\"last_error\": \"Connection refused\"", "\"last_error\": [\"Connection refused\"]" },
                { "\"next_poll_at\": \"2026", "\"next_poll_at\": \"2026-" },
                { "\"problem\": null", "\"problem\": false" },
                { "\"running\": 1", "\"running\": 2" },
                { "\"running\": 1", "\"running\": \"1\"" },
                { "\"registry\": {", "\"registry\": null, \"x\": {" },
                { "\"counters\": {", "\"counters\": [], \"x\": {" },
                { "\"requests\": 9", "\"requests\": 18446744073709551616" },
                { "\"requests\": 9", "\"requests\": 9.0" },
                { "\"failures\": 8, ", "" },
                { "\"scans\": 5", "\"scans\": null" },
        };
        _cleanup_text_ struct text text = TEXT_INIT;
        struct snapshot read = { .pid = 1 };
        char version[STATE_FILE_VERSION_SIZE] = "untouched";

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *problem = NULL;

                edit(&text, cases[i].from, cases[i].to);
                ck_assert_msg(state_file_parse(text.data, text.size, &read, version, &problem) == STATE_FILE_FOREIGN,
                              "taken: %s", cases[i].to);
                ck_assert_ptr_nonnull(problem);
                ck_assert_int_eq(read.pid, 1);
                ck_assert_ptr_null(read.workloads);
                ck_assert_str_eq(version, "untouched");
        }
}
END_TEST

START_TEST(restore_kinds_of_file) {
        struct snapshot restored = fresh();
        const char *problem;

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);

        put(path, "", 0);
        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
        put(path, "null", 4);
        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);

        ck_assert_int_eq(truncate(path, (off_t) STATE_FILE_MAX + 1), 0);
        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(problem, "larger than 16 MiB");

        /* Not waited for until somebody writes. */
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_eq(mkfifo(path, 0600), 0);
        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
        ck_assert_str_eq(problem, "no regular file");
        assert_untouched(&restored);
}
END_TEST

/* Cut anywhere, it is no state file any more. */
START_TEST(restore_cut) {
        struct snapshot restored = fresh();
        const char *problem;

        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        for (size_t size = 0; size < sizeof(document) - 2; size += 7) {
                put(path, document, size);
                ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
                assert_untouched(&restored);
        }
}
END_TEST

/* Damaged anyhow, it is refused, or what it comes to can be shown: written again it is read again. */
START_TEST(restore_damaged) {
        unsigned seed = (unsigned) getpid(), n_taken = 0;
        char damaged[sizeof(document)];

        printf("seed %u\n", seed);
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        for (unsigned round = 0; round < 1000; round++) {
                static const char favourites[] = "\"{}[],:\\0n\x80";
                struct snapshot restored = fresh(), again = fresh();
                const char *problem;

                memcpy(damaged, document, sizeof(damaged));
                for (int i = rand_r(&seed) % 3; i >= 0; i--)
                        damaged[(size_t) rand_r(&seed) % (sizeof(document) - 1)] =
                                rand_r(&seed) % 2 ? favourites[(size_t) rand_r(&seed) % (sizeof(favourites) - 1)]
                                                  : (char) rand_r(&seed);
                put(path, damaged, sizeof(damaged) - 1);

                int r = restore(&restored, &problem);
                ck_assert(r == 0 || r == STATE_FILE_FOREIGN);
                if (r == 0) {
                        n_taken++;
                        ck_assert_int_eq(state_file_write(&file, &restored, false), 0);
                        ck_assert_int_eq(restore(&again, &problem), 0);
                } else
                        assert_untouched(&restored);
                snapshot_done(&restored);
                snapshot_done(&again);
        }
        /* Damage to what is not read does not count: some must get through, or nothing was tested. */
        ck_assert_uint_gt(n_taken, 0);
        ck_assert_uint_lt(n_taken, 1000);
}
END_TEST

/* As many as are normal, and one more than are taken. */
START_TEST(restore_many) {
        struct snapshot restored = fresh();
        const char *problem;

        for (unsigned i = 0; i < 9998; i++) {
                char name[16];

                (void) snprintf(name, sizeof(name), "w%u", i);
                add_workload(&snapshot, &(struct workload) { .name = name, .status = "running" });
        }
        ck_assert_int_eq(state_file_open(&file, path, NULL, SECOND(0)), 0);
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        ck_assert_int_eq(restore(&restored, &problem), 0);
        ck_assert_uint_eq(restored.workloads->n_items, 10000);
        ck_assert_uint_eq(restored.workloads->running, 9999);
        snapshot_done(&restored);

        while (snapshot.workloads->n_items <= WORKLOADS_MAX) {
                char name[16];

                (void) snprintf(name, sizeof(name), "x%zu", snapshot.workloads->n_items);
                add_workload(&snapshot, &(struct workload) { .name = name, .status = "running" });
        }
        restored = fresh();
        ck_assert_int_eq(state_file_write(&file, &snapshot, false), 0);
        ck_assert_int_eq(restore(&restored, &problem), STATE_FILE_FOREIGN);
        assert_untouched(&restored);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("state file");
        TCase *writing = tcase_create("writing"), *reading = tcase_create("reading");

        tcase_add_checked_fixture(writing, setup, teardown);
        tcase_set_timeout(writing, 60);
        tcase_add_test(writing, format_whole);
        tcase_add_test(writing, format_nothing_known);
        tcase_add_test(writing, format_kubernetes);
        tcase_add_test(writing, format_hostile);
        tcase_add_test(writing, write_and_keep);
        tcase_add_test(writing, write_without);
        tcase_add_test(writing, lock_excludes);
        tcase_add_test(writing, lock_names_its_holder);
        tcase_add_test(writing, lock_dies_with_process);
        tcase_add_test(writing, heartbeat);
        tcase_add_test(writing, open_fails);
        tcase_add_test(writing, open_fails_kept_does_not);
        tcase_add_loop_test(writing, open_fails_and_succeeds_later, 0, 2);
        tcase_add_test(writing, write_fails);
        tcase_add_test(writing, write_large);
        tcase_add_test(writing, write_too_large);
        suite_add_tcase(suite, writing);

        tcase_add_checked_fixture(reading, setup, teardown);
        tcase_set_timeout(reading, 120);
        tcase_add_test(reading, restore_round_trip);
        tcase_add_test(reading, restore_not_known);
        tcase_add_test(reading, restore_kept_first);
        tcase_add_test(reading, restore_the_other);
        tcase_add_test(reading, restore_kubernetes);
        tcase_add_test(reading, restore_doubts);
        tcase_add_test(reading, parse_whole);
        tcase_add_test(reading, parse_what_is_written);
        tcase_add_test(reading, parse_words_from_outside);
        tcase_add_test(reading, parse_doubts);
        tcase_add_test(reading, restore_kinds_of_file);
        tcase_add_test(reading, restore_cut);
        tcase_add_test(reading, restore_damaged);
        tcase_add_test(reading, restore_many);
        suite_add_tcase(suite, reading);

        return suite_run(suite);
}
