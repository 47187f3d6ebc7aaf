/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside of the ToolHive source: what its two halves, the calls and the address, share. */

#include "base/settings.h"
#include "source/source.h"

struct file_watch;

struct toolhive {
        struct source source;           /* first: the public part */
        const struct settings *settings;
        struct http *http;
        struct locate *locate;          /* NULL when pinned */
        struct file_watch *watch;  /* NULL when there is no discovery file to watch */
        usec_t identity_timeout;
};

static inline struct toolhive *toolhive_of(struct source *source) {
        return (struct toolhive *) source;
}

/* source_ops.perform: one attempt at a call. */
int toolhive_perform(struct source *source, struct call *call, struct outcome *ret_outcome);
