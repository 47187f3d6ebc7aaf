/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Watching one file for its change with inotify(7), through parents that need
 * not exist yet: ToolHive's discovery file, and the service's state file.
 */

#include "base/util.h"

/* One inotify instance for one path. */
struct file_watch;

/* path: absolute, copied. 0 or negative errno. */
int file_watch_new(const char *path, struct file_watch **ret_watch);
struct file_watch *file_watch_free(struct file_watch *watch);
int file_watch_fd(const struct file_watch *watch);
/* Reads all events, follows folders that came or went; true when the file itself is another than before. */
bool file_watch_drain(struct file_watch *watch);

DEFINE_CLEANUP(struct file_watch *, file_watch_free)
