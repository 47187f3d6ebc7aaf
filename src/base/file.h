/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whole files, written so that a reader never sees half of one. */

#include "base/util.h"

enum file_durability {
        FILE_VOLATILE,          /* a power cut may leave it empty: for what is asked for anew */
        FILE_DURABLE,           /* on the disk before it takes the old one's place */
};

/* Writes the content by file_write(). 0 or a negative errno, after which the old file stays. */
typedef int (*file_filler)(int fd, const void *user);

/*
 * PATH.new in the same folder, then rename(2). A path has one writer at a time:
 * the caller sees to that. 0 or a negative errno.
 */
int file_replace_by(const char *path, mode_t mode, enum file_durability durability,
                    file_filler fill, const void *user);
/* The same with a content that is at hand, FILE_VOLATILE. */
int file_replace(const char *path, const char *data, size_t size, mode_t mode);

/* All of the data, whatever write(2) takes at once. 0 or a negative errno. */
int file_write(int fd, const char *data, size_t size);

/* Up to size bytes, fewer only at the end, whatever read(2) gives at once. Their number, or a negative errno. */
ssize_t file_read_some(int fd, char *data, size_t size);

/*
 * Reads a regular file whole, at most max bytes, NUL-terminated, no FIFO or
 * device ever opened for blocking. 0 (the caller frees), -EFBIG, -EINVAL when it
 * is no regular file, or another negative errno.
 */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_size);
