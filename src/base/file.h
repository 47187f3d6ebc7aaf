/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whole small files, written so that a reader never sees half of one. */

#include "base/util.h"

/* A new file in the same folder, then rename(2). No fsync: a state that a power cut loses is asked for anew. */
int file_replace(const char *path, const char *data, size_t size, mode_t mode);

/*
 * Reads a regular file whole, at most max bytes, NUL-terminated, no FIFO or
 * device ever opened for blocking. 0 (the caller frees), -EFBIG, -EINVAL when it
 * is no regular file, or another negative errno.
 */
int file_read(const char *path, size_t max, char **ret_data, size_t *ret_size);
