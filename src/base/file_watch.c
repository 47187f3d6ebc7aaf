/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watching one file for its change, inotify(7)
 *
 * Two wait for a file: the service for ToolHive's discovery file, and `wait` for the state file of a
 * service. Either comes and goes with whoever writes it, and its folders may not exist before that
 * one's first start. So every folder on the way is watched that exists: all of them for their own
 * end (removed or renamed, when the way leads elsewhere), and the deepest one for what appears in
 * it. Watching the others for that too would wake the caller for every file that somebody creates
 * in his home.
 *
 * At each event the way is followed again from its top, and once the deepest folder is watched, the
 * next is looked for once more, so `mkdir -p` cannot outrun it. Events are then only a reason to
 * look: what counts is whether stat(2) shows another file than before. That is what makes the order
 * of events, their overflow and their absence of detail harmless.
 *
 * A file that is gone or still empty is remembered and not reported. It is removed when its writer
 * ends, and truncated first by one that writes in place: neither is what is waited for, and a look
 * at it would find nothing.
 */

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/file_watch.h"

#define FOLDERS_MAX 64
#define READS_MAX 64                    /* for one drain: a flood must not hold the worker */

#define OWN_END (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define APPEARANCE (IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM)

/* What tells one state of the file from another; all zero where there is none. */
struct mark {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec modified, changed;
};

struct file_watch {
        int fd;
        char *path;                     /* absolute */
        int folders[FOLDERS_MAX];       /* watch descriptors on the way, from the root down */
        size_t n_folders;
        struct mark mark;
};

static bool same_time(struct timespec a, struct timespec b) {
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_mark(const struct mark *a, const struct mark *b) {
        return a->device == b->device && a->inode == b->inode && a->size == b->size &&
               same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static struct mark take_mark(const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return (struct mark) {};
        return (struct mark) { st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool watches(const struct file_watch *watch, int folder) {
        for (size_t i = 0; i < watch->n_folders; i++)
                if (watch->folders[i] == folder)
                        return true;
        return false;
}

/* Where the path of the next folder on the way ends; 0 when the file itself comes next. */
static size_t next_folder(const struct file_watch *watch, size_t end) {
        const char *slash = strchr(watch->path + end + 1, '/');

        return slash ? (size_t) (slash - watch->path) : 0;
}

/* Watches the folder whose path ends there, for that mask. A watch descriptor or negative errno. */
static int watch_folder(const struct file_watch *watch, size_t end, uint32_t mask) {
        _cleanup_(freep) char *folder = strndup(watch->path, end > 0 ? end : 1);
        int wd;

        if (!folder)
                return -ENOMEM;
        wd = inotify_add_watch(watch->fd, folder, mask);
        return wd < 0 ? -errno : wd;
}

/*
 * Watches the folders on the way for their end, as far as they exist. *ret_deepest is where the
 * path of the last one ends, *ret_next that of the missing one, 0 for none. 0 or negative errno.
 */
static int walk(struct file_watch *watch, size_t *ret_deepest, size_t *ret_next) {
        size_t end = 0, deepest = 0;
        int wd;

        watch->n_folders = 0;
        do {
                wd = watch_folder(watch, end, OWN_END);
                if (wd >= 0) {
                        watch->folders[watch->n_folders++] = wd;
                        deepest = end;
                } else if (wd != -EACCES)
                        break;          /* what may be crossed but not read is no end of the way */
                end = next_folder(watch, end);
        } while (end > 0 && watch->n_folders < FOLDERS_MAX);

        if (wd < 0 && wd != -ENOENT && wd != -ENOTDIR)
                return wd;
        *ret_deepest = deepest;
        *ret_next = end;
        return 0;
}

/* Watches the way as it is now. 0, or the errno that kept its deepest folder from being watched. */
static int follow(struct file_watch *watch) {
        int old[FOLDERS_MAX], r, wd;
        size_t n_old = watch->n_folders, deepest, next;

        memcpy(old, watch->folders, sizeof old);
        for (unsigned turns = 0; turns < FOLDERS_MAX; turns++) {
                r = walk(watch, &deepest, &next);
                if (r < 0)
                        break;
                wd = watch_folder(watch, deepest, OWN_END | APPEARANCE);
                if (wd >= 0 && (next == 0 || watch_folder(watch, next, OWN_END) < 0))
                        break;
        }

        for (size_t i = 0; i < n_old; i++)
                if (!watches(watch, old[i]))
                        (void) inotify_rm_watch(watch->fd, old[i]);
        return r;
}

static int absolute_path(const char *path, char **ret_path) {
        _cleanup_(freep) char *folder = NULL;

        if (path[0] == '/') {
                *ret_path = strdup(path);
                return *ret_path ? 0 : -ENOMEM;
        }

        folder = getcwd(NULL, 0);
        if (!folder)
                return -errno;
        return asprintf(ret_path, "%s/%s", folder, path) < 0 ? -ENOMEM : 0;
}

int file_watch_new(const char *path, struct file_watch **ret_watch) {
        _cleanup_(file_watch_freep) struct file_watch *watch = calloc(1, sizeof *watch);
        int r;

        if (!watch)
                return -ENOMEM;

        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watch->fd < 0)
                return -errno;
        r = absolute_path(path, &watch->path);
        if (r < 0)
                return r;
        r = follow(watch);
        if (r < 0)
                return r;
        watch->mark = take_mark(watch->path);

        *ret_watch = STEAL(watch);
        return 0;
}

struct file_watch *file_watch_free(struct file_watch *watch) {
        if (!watch)
                return NULL;
        if (watch->fd >= 0)
                close(watch->fd);
        free(watch->path);
        free(watch);
        return NULL;
}

int file_watch_fd(const struct file_watch *watch) {
        return watch->fd;
}

bool file_watch_drain(struct file_watch *watch) {
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        struct mark mark;
        bool changed;

        for (size_t i = 0; i < READS_MAX; i++)
                if (read(watch->fd, events, sizeof events) <= 0 && errno != EINTR)
                        break;

        /* A way that cannot be watched to its end any more is followed again at the next event. */
        (void) follow(watch);

        mark = take_mark(watch->path);
        changed = mark.size > 0 && !same_mark(&mark, &watch->mark);
        watch->mark = mark;
        return changed;
}
