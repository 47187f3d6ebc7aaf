/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ToolHive's discovery file, $XDG_STATE_HOME/toolhive/server/server.json: reading
 * it with the distrust that a file in somebody's home deserves, proving by its
 * nonce that who wrote it is who listens, and watching for its change with
 * inotify(7), through parents that do not exist yet.
 */

#include "base/http.h"
#include "base/settings.h"
#include "source/endpoint.h"

#define DISCOVERY_FILE_MAX ((size_t) 64 << 10)
#define NONCE_MAX 129

/*
 * The path to use: the one given, else for "auto" below $XDG_STATE_HOME or
 * ~/.local/state, and only when TOOLHIVE_HOST is loopback. NULL in *ret_path when
 * there is none. 0 or -ENOMEM.
 */
int discovery_path(const struct settings *settings, char **ret_path);

struct discovery {
        struct endpoint endpoint;
        char nonce[NONCE_MAX];          /* never "": a file without one is not believed */
};

enum { DISCOVERY_DISTRUSTED = 1 };

/* 0; DISCOVERY_DISTRUSTED with a static reason; -ENOENT; another negative errno. */
int discovery_read(const char *path, struct discovery *ret_discovery, const char **ret_reason);

/* One inotify instance for one path. */
struct discovery_watch;

/* 0 or negative errno. */
int discovery_watch_new(const char *path, struct discovery_watch **ret_watch);
struct discovery_watch *discovery_watch_free(struct discovery_watch *watch);
int discovery_watch_fd(const struct discovery_watch *watch);
/* Reads all events, follows folders that came or went; true when the file itself is another than before. */
bool discovery_watch_drain(struct discovery_watch *watch);

DEFINE_CLEANUP(struct discovery_watch *, discovery_watch_free)
