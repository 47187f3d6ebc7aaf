/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ToolHive's discovery file, $XDG_STATE_HOME/toolhive/server/server.json: reading
 * it with the distrust that a file in somebody's home deserves, and proving by
 * its nonce that who wrote it is who listens. base/file_watch.h watches it.
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
