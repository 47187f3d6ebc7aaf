/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing the state file
 *
 * The document is put together as text, piece by piece, and goes through a small
 * buffer into the new file: a tree of 10,000 workloads would cost many times their
 * size, at each change, and even their text would be megabytes that nobody else
 * can use. It is replaced whole (file_replace_by()), so that a reader who opens it
 * at any moment has all of one state.
 *
 * The lock is an open file description lock: it lives and dies with our
 * descriptor, whatever ends the process, and fcntl(F_OFD_GETLK) tells it to any
 * user who can open the lock file. That file is never removed, since a lock on a
 * removed file would exclude nobody. A file without a lock is not written to:
 * lock_fd is what decides.
 *
 * Into the lock file goes when its holder was started. After a crash the state
 * file still says "connected", and the next service has the lock before it has
 * written anything: without that line, who asks in between would take the old
 * document for the new service's word.
 *
 * All of this belongs to the worker's thread.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "report/state_file.h"

#define PUBLIC_MODE 0644
/* From this size on the text is worth a write(2); one workload more fits in any case. */
#define STREAM_SIZE ((size_t) 32 << 10)

/* The folder that a path is in, made where it is missing; its parent has to be there. */
static int make_folder(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_(freep) char *folder = NULL;

        if (!slash || slash == path)
                return 0;

        folder = strndup(path, (size_t) (slash - path));
        if (!folder)
                return -ENOMEM;

        if (mkdir(folder, 0755) < 0)
                return errno == EEXIST ? 0 : -errno;

        /* The umask is for files that are nobody else's business. */
        return chmod(folder, 0755) < 0 ? -errno : 0;
}

static int take_lock(const char *path, int *ret_fd) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_(freep) char *lock_path = NULL;
        _cleanup_(closep) int fd = -1;
        struct stat st;

        if (asprintf(&lock_path, "%s.lock", path) < 0) {
                lock_path = NULL;       /* undefined after a failure */
                return -ENOMEM;
        }

        fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
                  PUBLIC_MODE);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return errno == EAGAIN || errno == EACCES ? STATE_FILE_LOCKED : -errno;

        /* Fails for a lock file that another user left writable: it is as good. */
        (void) fchmod(fd, PUBLIC_MODE);

        *ret_fd = STEAL_FD(fd);
        return 0;
}

void state_file_format_holder(struct text *text, usec_t started_at) {
        text_add_time(text, started_at);
        text_add(text, "\n");
}

/* Emptied first: the name of the one before must be gone whatever becomes of the new one. */
static int name_holder(int fd, usec_t started_at) {
        _cleanup_text_ struct text name = TEXT_INIT;
        int r;

        if (ftruncate(fd, 0) < 0)
                return -errno;

        state_file_format_holder(&name, started_at);
        r = text_error(&name);
        return r < 0 ? r : file_write(fd, name.data, name.size);
}

/* The lock beside one of the two files, in a folder that is made where it is missing. */
static int lock_for(struct state_file *file, const char *path, usec_t started_at) {
        _cleanup_(closep) int fd = -1;
        int r;

        r = make_folder(path);
        if (r == 0)
                r = take_lock(path, &fd);
        if (r == 0)
                r = name_holder(fd, started_at);
        if (r == 0) {
                file->lock_fd = STEAL_FD(fd);
                state_file_beat(file);
        }
        return r;
}

int state_file_open(struct state_file *file, const char *path, const char *kept_directory,
                    usec_t started_at) {
        int r;

        *file = (struct state_file) { .lock_fd = -1 };

        if (path) {
                file->path = strdup(path);
                if (!file->path)
                        return -ENOMEM;
        }
        if (kept_directory && *kept_directory &&
            asprintf(&file->kept_path, "%s/state.json", kept_directory) < 0) {
                file->kept_path = NULL;
                return -ENOMEM;
        }

        r = file->path ? lock_for(file, file->path, started_at) : 0;
        if (r < 0)
                file->kept_only = true;

        /* With a kept copy alone, that is what the lock is for. */
        if (file->kept_path && (!file->path || file->kept_only)) {
                int kept = lock_for(file, file->kept_path, started_at);

                r = r < 0 ? r : kept;
        }
        return r;
}

void state_file_close(struct state_file *file) {
        closep(&file->lock_fd);
        free(file->path);
        free(file->kept_path);
        *file = (struct state_file) { .lock_fd = -1 };
}

void state_file_beat(struct state_file *file) {
        /* One that cannot be written is one that is missed: its readers draw the conclusion. */
        if (file->lock_fd >= 0)
                (void) futimens(file->lock_fd, NULL);
}

/* Where the document goes: into the text, and where there is a file through that into the file. */
struct stream {
        struct text *text;
        int fd;                         /* -1: all of it stays in the text */
        size_t size;                    /* of what is in the file */
        int error;                      /* the first; nothing more is written after it */
};

static int stream_write(struct stream *stream) {
        const struct text *text = stream->text;
        int r = text_error(text);

        if (r < 0)
                return r;
        if (text->size > STATE_FILE_MAX - stream->size)
                return -EFBIG;

        stream->size += text->size;
        return file_write(stream->fd, text->data, text->size);
}

/* Between two pieces: hands on what there is, once it has that size. */
static void stream_flush(struct stream *stream, size_t size) {
        if (stream->fd < 0 || stream->text->size < size)
                return;

        if (stream->error == 0)
                stream->error = stream_write(stream);
        text_clear(stream->text);
}

/* The separator, the key, and the value: null for what is not known. */

static void add_string(struct text *text, const char *key, const char *value) {
        text_add(text, key);
        text_add_json(text, value && *value ? value : NULL);
}

static void add_time(struct text *text, const char *key, usec_t realtime) {
        text_add(text, key);
        if (realtime == 0) {
                text_add(text, "null");
                return;
        }

        text_add(text, "\"");
        text_add_time(text, realtime);
        text_add(text, "\"");
}

/* The version of the Kubernetes API is none of ToolHive's. */
static void add_connection(struct text *text, const struct snapshot *snapshot) {
        const struct connection *connection = &snapshot->connection;
        const char *version = snapshot->runtime_mode == RUNTIME_DOCKER ? connection->version : "";

        text_add(text, ",\n \"connection\": ");
        add_string(text, "{\"state\": ", connection_state_name(connection->state));
        add_string(text, ", \"endpoint\": ", connection->endpoint);
        if (connection->port > 0)
                text_addf(text, ", \"port\": %d", connection->port);
        else
                text_add(text, ", \"port\": null");
        add_string(text, ", \"toolhive_version\": ", version);
        add_time(text, ", \"since\": ", connection->since);
        text_addf(text, ",\n   \"attempt\": %u, \"max_retries\": %u", connection->attempt,
                  connection->max_retries);
        text_add(text, ", \"backoff_seconds\": ");
        text_add_seconds(text, connection->backoff);
        add_time(text, ", \"next_attempt_at\": ", connection->next_attempt_at);
        add_string(text, ", \"last_error\": ", connection->last_error);
        add_time(text, ", \"last_error_at\": ", connection->last_error_at);
        text_add(text, "}");
}

static void add_poll(struct text *text, const struct poll_report *poll) {
        add_time(text, "{\"polled_at\": ", poll->polled_at);
        add_time(text, ", \"next_poll_at\": ", poll->next_poll_at);
        add_string(text, ", \"problem\": ", poll->problem);
}

static void add_workloads(struct stream *stream, const struct snapshot *snapshot) {
        static const struct workload_list nothing;
        const struct workload_list *list = snapshot->workloads ?: &nothing;
        struct text *text = stream->text;

        text_add(text, ",\n \"workloads\": ");
        add_poll(text, &snapshot->workloads_poll);
        text_addf(text, ", \"total\": %zu, \"running\": %zu, \"skipped\": %zu,\n   \"items\": [",
                  list->n_items, list->running, list->skipped);
        for (size_t i = 0; i < list->n_items; i++) {
                text_add(text, i == 0 ? "\n     " : ",\n     ");
                workload_format_json(text, list->items[i]);
                stream_flush(stream, STREAM_SIZE);
        }
        text_add(text, "]}");
}

/* In Kubernetes there is none: null, which is more than not to know it. */
static void add_registry(struct stream *stream, const struct snapshot *snapshot) {
        static const struct registry nothing;
        const struct registry *registry = snapshot->registry ?: &nothing;
        struct text *text = stream->text;

        text_add(text, ",\n \"registry\": ");
        if (snapshot->runtime_mode == RUNTIME_K8S) {
                text_add(text, "null");
                return;
        }

        add_poll(text, &snapshot->registry_poll);
        add_string(text, ", \"last_updated\": ", registry->last_updated);
        text_addf(text, ", \"servers\": %zu,\n   \"names\": [", registry->n_names);
        for (size_t i = 0; i < registry->n_names; i++) {
                add_string(text, i == 0 ? "" : ", ", registry->names[i]);
                stream_flush(stream, STREAM_SIZE);
        }
        text_add(text, "]}");
}

static void add_counters(struct text *text, const struct counters *counters) {
        text_addf(text,
                  ",\n \"counters\": {\"requests\": %" PRIu64 ", \"failures\": %" PRIu64
                  ", \"reconnects\": %" PRIu64 ", \"port_changes\": %" PRIu64
                  ", \"scans\": %" PRIu64 "}",
                  counters->requests, counters->failures, counters->reconnects,
                  counters->port_changes, counters->scans);
}

static void add_document(struct stream *stream, const struct snapshot *snapshot) {
        struct text *text = stream->text;

        text_add(text, "{\"schema\": 1, \"version\": \"" PROJECT_VERSION "\"");
        text_addf(text, ", \"pid\": %" PRId64, snapshot->pid);
        add_time(text, ", \"started_at\": ", snapshot->started_at);
        add_string(text, ", \"runtime_mode\": ", runtime_mode_name(snapshot->runtime_mode));
        add_string(text, ", \"host\": ", snapshot->host);
        add_connection(text, snapshot);
        add_workloads(stream, snapshot);
        add_registry(stream, snapshot);
        add_counters(text, &snapshot->counters);
        text_add(text, "}\n");
}

void state_file_format(struct text *text, const struct snapshot *snapshot) {
        struct stream stream = { .text = text, .fd = -1 };

        add_document(&stream, snapshot);
}

/* Fills the new file, for file_replace_by(). */
static int write_document(int fd, const void *snapshot) {
        _cleanup_text_ struct text text = TEXT_INIT;
        struct stream stream = { .text = &text, .fd = fd };

        add_document(&stream, snapshot);
        stream_flush(&stream, 0);
        return stream.error;
}

static int write_file(struct state_file *file, const char *path, enum file_durability durability,
                      const struct snapshot *snapshot) {
        int r = file_replace_by(path, PUBLIC_MODE, durability, write_document, snapshot);

        if (r < 0)
                file->failed_path = path;
        return r;
}

/* A path that could not be opened, for want of space or of its folder's folder, may be one by now. */
static void open_again(struct state_file *file, usec_t started_at) {
        int kept_lock = file->lock_fd;

        if (!file->kept_only || lock_for(file, file->path, started_at) != 0)
                return;
        closep(&kept_lock);
        file->kept_only = false;
}

int state_file_write(struct state_file *file, const struct snapshot *snapshot, bool keep) {
        int r = 0, kept = 0;

        open_again(file, snapshot->started_at);
        if (file->lock_fd < 0)
                return 0;

        /* One that fails does not keep the other from being written. */
        if (keep && file->kept_path)
                kept = write_file(file, file->kept_path, FILE_DURABLE, snapshot);
        if (file->path && !file->kept_only)
                r = write_file(file, file->path, FILE_VOLATILE, snapshot);

        return r < 0 ? r : kept;
}
