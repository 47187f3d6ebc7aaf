/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ToolHive as a source: its address, how that is found and watched. What is
 * asked of it there is in toolhive_call.c.
 */

#include <errno.h>

#include "base/file_watch.h"
#include "report/log.h"
#include "source/discovery_file.h"
#include "source/toolhive.h"
#include "source/toolhive_call.h"

static int find_pinned(struct toolhive *toolhive, struct found *ret_found, char error[static ERROR_MAX]) {
        int r;

        *ret_found = (struct found) { .endpoint = toolhive->source.endpoint };
        r = identity_check(toolhive->http, &toolhive->source.endpoint, toolhive->identity_timeout,
                           ret_found->version, error);
        return r > 0 ? LOCATE_NOTHING : r;
}

static int toolhive_find(struct source *source, struct found *ret_found, char error[static ERROR_MAX]) {
        struct toolhive *toolhive = toolhive_of(source);
        struct endpoint previous = source->endpoint;
        bool scanned = false, known = source->known;
        int r;

        if (toolhive->locate)
                r = locate_search(toolhive->locate, endpoint_is_set(&source->endpoint) ? &source->endpoint : NULL,
                                  ret_found, &scanned, error);
        else
                r = find_pinned(toolhive, ret_found, error);
        if (scanned)
                source->scans++;
        if (r == -ECANCELED)
                return r;
        if (r < 0)
                snprintf(error, ERROR_MAX, "%s", errno_words(-r));
        if (r != 0)
                return FIND_NOTHING;

        source->known = true;
        source->endpoint = ret_found->endpoint;
        snprintf(source->version, sizeof source->version, "%s", ret_found->version);
        if (!known)
                return FIND_FIRST;
        return endpoint_equal(&previous, &ret_found->endpoint) ? FIND_SAME : FIND_OTHER;
}

static int toolhive_check(struct source *source) {
        struct toolhive *toolhive = toolhive_of(source);
        char error[ERROR_MAX];

        return identity_check(toolhive->http, &source->endpoint, toolhive->identity_timeout, source->version,
                              error);
}

static int toolhive_wait(struct source *source, usec_t deadline, unsigned mask) {
        struct toolhive *toolhive = toolhive_of(source);

        source->waiter->file_fd = toolhive->watch ? file_watch_fd(toolhive->watch) : -1;
        source->waiter->connection_fd = http_idle_socket(toolhive->http);
        return waiter_until(source->waiter, deadline, mask);
}

static bool toolhive_file_changed(struct source *source) {
        struct toolhive *toolhive = toolhive_of(source);

        return toolhive->watch && file_watch_drain(toolhive->watch);
}

static uint64_t toolhive_requests(const struct source *source) {
        return http_requests(((const struct toolhive *) source)->http);
}

static struct source *toolhive_free(struct source *source) {
        struct toolhive *toolhive = toolhive_of(source);

        source->waiter->file_fd = -1;
        source->waiter->connection_fd = -1;
        file_watch_free(toolhive->watch);
        locate_free(toolhive->locate);
        http_free(toolhive->http);
        free(toolhive);
        return NULL;
}

static const struct source_ops toolhive_ops = {
        .name = "ToolHive",
        .perform = toolhive_perform,
        .find = toolhive_find,
        .check = toolhive_check,
        .wait = toolhive_wait,
        .file_changed = toolhive_file_changed,
        .free = toolhive_free,
};

/* What a source that may move needs beside HTTP: the search, and the discovery file's watch. */
static int prepare_search(struct toolhive *toolhive) {
        _cleanup_(freep) char *path = NULL;
        int r;

        r = discovery_path(toolhive->settings, &path);
        if (r < 0)
                return r;
        r = locate_new(toolhive->settings, path, toolhive->http, toolhive->source.waiter, &toolhive->locate);
        if (r < 0)
                return r;
        if (!path)
                return 0;

        /* Without the watch, ToolHive's return is noticed by the next attempt instead. */
        r = file_watch_new(path, &toolhive->watch);
        if (r < 0)
                log_debug("Cannot watch the discovery file, going on without",
                          LOG_STRING("path", path), LOG_STRING("error", errno_words(-r)));
        return 0;
}

int toolhive_new(const struct settings *settings, struct waiter *waiter, const char *last,
                 struct source **ret_source) {
        _cleanup_(source_freep) struct source *source = NULL;
        struct toolhive *toolhive;
        int r;

        toolhive = calloc(1, sizeof *toolhive);
        if (!toolhive)
                return -ENOMEM;

        source = &toolhive->source;
        source->ops = &toolhive_ops;
        source->details_tell_urls = true;
        source->waiter = waiter;
        source->requests = toolhive_requests;
        toolhive->settings = settings;
        toolhive->identity_timeout = usec_min(settings->timeout, IDENTITY_TIMEOUT_MAX);

        r = http_new(waiter, 1, &toolhive->http);
        if (r < 0)
                return r;

        if (settings->toolhive_api_url) {
                r = endpoint_parse(&source->endpoint, settings->toolhive_api_url);
                if (r < 0)
                        return r;
        } else {
                if (last[0] && endpoint_parse(&source->endpoint, last) < 0)
                        log_debug("Ignoring the last endpoint, which is none", LOG_STRING("endpoint", last));
                source->can_move = true;
                r = prepare_search(toolhive);
                if (r < 0)
                        return r;
        }

        *ret_source = STEAL(source);
        return 0;
}
