/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Whole files.
 *
 * Writing goes to a new file beside the old one, which then takes the old one's
 * place: a reader sees all of the old or all of the new. Its name is always the
 * same, so that a writer who is killed leaves one such file at most, and the next
 * one removes it; what is opened is none the less a file that did not exist
 * before, whatever somebody else has prepared there.
 *
 * Reading trusts neither the kind nor the size that the file had a moment ago:
 * what is opened is looked at, and what is read is counted.
 *
 * Any thread may call these; they keep nothing. A path has one writer at a time:
 * two would take each other's new file away.
 */

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* What a file whose size is not known (those of proc(5) say 0) is given at first. */
#define READ_SIZE_MIN ((size_t) 4096)

int file_write(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t written = write(fd, data, size);

                if (written < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                data += written;
                size -= (size_t) written;
        }

        return 0;
}

/* A descriptor of a new and empty file, or a negative errno. */
static int create(const char *path) {
        int fd;

        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;

        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
        return fd < 0 ? -errno : fd;
}

/* The content and the mode of a new file; fchmod(2), so that no umask narrows the mode. */
static int complete(int fd, mode_t mode, enum file_durability durability, file_filler fill,
                    const void *user) {
        int r = fill(fd, user);

        if (r < 0)
                return r;
        if (fchmod(fd, mode) < 0)
                return -errno;
        if (durability == FILE_DURABLE && fdatasync(fd) < 0)
                return -errno;

        return 0;
}

int file_replace_by(const char *path, mode_t mode, enum file_durability durability,
                    file_filler fill, const void *user) {
        _cleanup_(freep) char *fresh = NULL;

        if (asprintf(&fresh, "%s.new", path) < 0) {
                fresh = NULL;           /* undefined after a failure */
                return -ENOMEM;
        }

        int fd = create(fresh);
        if (fd < 0)
                return fd;

        int r = complete(fd, mode, durability, fill, user);

        /* NFS and quotas report a full disk as late as here. */
        if (close(fd) < 0 && r == 0)
                r = -errno;
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(fresh);

        return r;
}

struct content {
        const char *data;
        size_t size;
};

static int write_content(int fd, const void *user) {
        const struct content *content = user;

        return file_write(fd, content->data, content->size);
}

int file_replace(const char *path, const char *data, size_t size, mode_t mode) {
        struct content content = { data, size };

        return file_replace_by(path, mode, FILE_VOLATILE, write_content, &content);
}

ssize_t file_read_some(int fd, char *data, size_t size) {
        size_t n_read = 0;

        while (n_read < size) {
                ssize_t n = read(fd, data + n_read, size - n_read);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                n_read += (size_t) n;
        }

        return (ssize_t) n_read;
}

/*
 * Reads to the end, into a buffer that always has room for one byte more than
 * what is there: for the byte that proves a file too large, or for the NUL.
 */
static int read_all(int fd, size_t max, size_t expected, char **ret_data, size_t *ret_size) {
        _cleanup_(freep) char *data = NULL;
        size_t size = 0, allocated = expected + 1;

        data = malloc(allocated);
        if (!data)
                return -ENOMEM;

        for (;;) {
                size_t more = allocated <= max / 2 ? allocated * 2 : max + 1;
                ssize_t n = file_read_some(fd, data + size, allocated - size);
                char *grown;

                if (n < 0)
                        return (int) n;
                size += (size_t) n;
                if (size > max)
                        return -EFBIG;
                if (size < allocated)
                        break;

                grown = realloc(data, more);
                if (!grown)
                        return -ENOMEM;
                data = grown;
                allocated = more;
        }

        data[size] = '\0';
        *ret_data = STEAL(data);
        *ret_size = size;
        return 0;
}

int file_read(const char *path, size_t max, char **ret_data, size_t *ret_size) {
        /* O_NONBLOCK: opening a FIFO would wait for its writer. Regular files ignore it. */
        _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size < 0 || (uintmax_t) st.st_size > max)
                return -EFBIG;

        size_t expected = st.st_size > 0 ? (size_t) st.st_size : READ_SIZE_MIN;

        return read_all(fd, max, expected < max ? expected : max, ret_data, ret_size);
}
