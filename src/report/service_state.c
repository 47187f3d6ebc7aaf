/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state of a service as others read it
 *
 * Three questions, asked in this order: is the lock held, who holds it, what does
 * the file say. A service takes the lock, writes its name into the lock file, and
 * only then the state file, so that an answer to a later question is never older
 * than the one before it: a document that bears the holder's name is the holder's.
 * Where the two differ the document is not shown at all. It may say "connected",
 * and be what a crash left behind.
 *
 * None of the files is ours, and whoever may write to their folders may put there
 * what he likes: nothing is opened that blocks, no link to a lock is followed,
 * sizes are bounded, and the document is believed as far as state_file_parse()
 * goes. No lock is taken and nothing is written: whoever may read may ask.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/option_table.h"
#include "report/service_state.h"

#define HOLDER_MAX 64

static usec_t usec_of(struct timespec t) {
        return t.tv_sec < 0 ? 0 : (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

/* Where to look. */

/* Takes over the path; one that is there already is dropped. */
static void add_path(struct service_state_paths *paths, char *path) {
        for (size_t i = 0; i < paths->n; i++)
                if (strcmp(paths->paths[i], path) == 0) {
                        free(path);
                        return;
                }
        paths->paths[paths->n++] = path;
}

/* NAME below the folder of so many bytes; a relative one is nobody's. */
static int add_below(struct service_state_paths *paths, const char *folder, size_t size,
                     const char *name) {
        char *path;

        if (!folder || folder[0] != '/')
                return 0;
        while (size > 1 && folder[size - 1] == '/')
                size--;

        if (asprintf(&path, "%.*s/%s", (int) size, size > 1 ? folder : "", name) < 0)
                return -ENOMEM;
        add_path(paths, path);
        return 0;
}

int service_state_paths(struct service_state_paths *paths, const char *given, char **environment) {
        const char *runtime = option_environment_get(environment, "RUNTIME_DIRECTORY");
        const char *session = option_environment_get(environment, "XDG_RUNTIME_DIR");
        int r;

        *paths = (struct service_state_paths) {};
        if (given) {
                char *path = *given ? strdup(given) : NULL;

                if (*given && !path)
                        return -ENOMEM;
                if (path)
                        add_path(paths, path);
                return 0;
        }

        /* The first of a list, as the service has it (systemd.exec(5)). */
        r = add_below(paths, runtime, runtime ? strcspn(runtime, ":") : 0, "state.json");
        if (r == 0)
                r = add_below(paths, session, session ? strlen(session) : 0, "mcp-optimizer/state.json");
        if (r == 0)
                r = add_below(paths, "/run", strlen("/run"), "mcp-optimizer/state.json");
        if (r < 0)
                service_state_paths_done(paths);
        return r;
}

void service_state_paths_done(struct service_state_paths *paths) {
        for (size_t i = 0; i < paths->n; i++)
                free(paths->paths[i]);
        *paths = (struct service_state_paths) {};
}

/* What is there. */

/* What can be told without the document. */
struct glance {
        bool running;
        int lock_error, error;          /* negative errno: of the lock, of the file */
        usec_t beaten_at, written_at;
        char holder[HOLDER_MAX];        /* what the lock file says; "" when that is too long, or nothing */
};

static bool is_absent(int error) {
        return error == -ENOENT || error == -ENOTDIR;
}

/* The path of the lock; NULL: no memory. */
static char *lock_path_new(const char *path) {
        char *lock_path;

        return asprintf(&lock_path, "%s.lock", path) < 0 ? NULL : lock_path;
}

/* 0, -ENOENT, or another negative errno; -EINVAL: it is no regular file. */
static int look_at_lock(const char *path, struct glance *glance) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        _cleanup_(freep) char *lock_path = lock_path_new(path);
        _cleanup_(closep) int fd = -1;
        struct stat st;
        ssize_t n;

        if (!lock_path)
                return -ENOMEM;

        fd = open(lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;

        /* Whether a lock for writing could be had needs no descriptor for writing, unlike the lock. */
        if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
                return -errno;
        n = file_read_some(fd, glance->holder, sizeof(glance->holder) - 1);
        if (n < 0)
                return (int) n;
        glance->holder[n] = '\0';

        glance->running = lock.l_type != F_UNLCK;
        glance->beaten_at = usec_of(st.st_mtim);
        return 0;
}

/* 0; -ENOENT: neither the file nor its lock is there; -ENOMEM. */
static int look(const char *path, struct glance *glance) {
        bool absent;
        struct stat st;
        int r;

        *glance = (struct glance) {};
        r = look_at_lock(path, glance);
        if (r == -ENOMEM)
                return r;
        absent = is_absent(r);
        if (!absent)
                glance->lock_error = r;

        if (stat(path, &st) == 0)
                glance->written_at = usec_of(st.st_mtim);
        else if (!is_absent(-errno))
                glance->error = -errno;
        else if (absent)
                return -ENOENT;
        return 0;
}

/* Smaller is better; all that is greater is worth nothing. */
enum rank {
        RANK_RUNNING,
        RANK_EXISTING,
        RANK_UNREADABLE,
        RANK_NONE,
};

static int choose(const struct service_state_paths *paths, const char **ret_path,
                  struct glance *ret_glance) {
        enum rank best = RANK_NONE;

        *ret_path = NULL;
        for (size_t i = 0; i < paths->n; i++) {
                struct glance glance;
                enum rank rank;
                int r;

                r = look(paths->paths[i], &glance);
                if (r == -ENOENT)
                        continue;
                if (r < 0)
                        return r;

                if (glance.running)
                        rank = RANK_RUNNING;
                else
                        rank = glance.lock_error || glance.error ? RANK_UNREADABLE : RANK_EXISTING;
                if (rank < best) {
                        best = rank;
                        *ret_path = paths->paths[i];
                        *ret_glance = glance;
                }
        }
        return 0;
}

/* Whether the document is of the one that holds the lock. */
static int check_holder(const struct snapshot *snapshot, const char *holder, const char **ret_problem) {
        _cleanup_text_ struct text name = TEXT_INIT;
        int r;

        state_file_format_holder(&name, snapshot->started_at);
        r = text_error(&name);
        if (r < 0)
                return r;
        if (strcmp(name.data, holder) == 0)
                return 0;

        *ret_problem = "written by an earlier service";
        return STATE_FILE_FOREIGN;
}

/* 0, STATE_FILE_FOREIGN with a problem, negative errno. */
static int read_document(struct service_state *state, const char *holder, const char **ret_problem) {
        _cleanup_(snapshot_done) struct snapshot snapshot = {};
        _cleanup_(freep) char *data = NULL;
        char version[STATE_FILE_VERSION_SIZE];
        size_t size;
        int r;

        r = state_file_read(state->path, &data, &size, ret_problem);
        if (r == 0 && size == 0) {
                *ret_problem = "empty";
                return STATE_FILE_FOREIGN;
        }
        if (r == 0)
                r = state_file_parse(data, size, &snapshot, version, ret_problem);
        if (r == 0 && state->running)
                r = check_holder(&snapshot, holder, ret_problem);
        if (r != 0)
                return r;

        state->document = STEAL(data);
        state->document_size = size;
        memcpy(state->version, version, sizeof(version));
        state->snapshot = snapshot;
        snapshot = (struct snapshot) {};
        return 0;
}

/*
 * What cannot be read, and why. The document's own error comes first: where a
 * folder is hidden, so is all in it, and the state file is what people know.
 */
static int set_error(struct service_state *state, const struct glance *glance, int document_error) {
        bool of_lock = !glance->error && !document_error;

        state->error = glance->error ?: document_error ?: glance->lock_error;
        if (!state->error)
                return 0;

        state->unreadable = of_lock ? lock_path_new(state->path) : strdup(state->path);
        if (!state->unreadable)
                return -ENOMEM;

        /* A link is not followed to the lock, and what is no file has none. */
        if (of_lock && state->error == -ELOOP)
                state->problem = "a symbolic link";
        else if (of_lock && state->error == -EINVAL)
                state->problem = "no regular file";
        else
                state->problem = errno_words(-state->error);
        return 0;
}

int service_state_read(struct service_state *state, const struct service_state_paths *paths) {
        struct glance glance = {};
        const char *path;
        int r;

        *state = (struct service_state) {};
        r = choose(paths, &path, &glance);
        if (r < 0 || !path)
                return r;

        state->path = strdup(path);
        if (!state->path)
                return -ENOMEM;
        state->running = glance.running;
        state->uncertain = glance.lock_error != 0;
        state->beaten_at = glance.beaten_at;
        state->written_at = glance.written_at;

        r = read_document(state, glance.holder, &state->problem);
        if (r == -ENOMEM)
                return r;
        if (is_absent(r))
                state->problem = "not written yet";
        return set_error(state, &glance, r < 0 && !is_absent(r) ? r : 0);
}

void service_state_add_problem(const struct service_state *state, struct text *text) {
        if (state->unreadable)
                text_addf(text, "cannot read %s: ", state->unreadable);
        text_add(text, state->problem ?: "");
}

void service_state_done(struct service_state *state) {
        free(state->path);
        free(state->unreadable);
        free(state->document);
        snapshot_done(&state->snapshot);
        *state = (struct service_state) {};
}
