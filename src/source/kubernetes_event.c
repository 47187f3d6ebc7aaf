/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a watch tells: a line for each event, with the object as it is then, or was
 * last. Lines come cut in any way; most come whole and are not copied.
 *
 * While a list is under way its watch goes on, and may tell changes that the list
 * does not have yet; so may what is told after the list be older than the list. The
 * versions of both decide. resourceVersion is opaque by contract and has always been
 * a number; where it is none, each list is followed by a new watch.
 *
 * What makes no sense ends the watch, which then begins again from the last event
 * that did; an object that makes no sense is one all the same, and is told with
 * the others by the poll.
 */

#include <errno.h>
#include <string.h>

#include "report/log.h"
#include "source/kubernetes_watch.h"

/* More than etcd takes for an object, and what is around it. */
#define LINE_MAX ((size_t) 2 << 20)

void watch_set_problem(struct watch *watch, const struct outcome *problem) {
        watch->troubled |= watch->problem.verdict != problem->verdict || strcmp(watch->problem.error, problem->error) != 0;
        watch->problem = *problem;
}

static bool is_number(const char *version) {
        return version[0] && version[strspn(version, "0123456789")] == '\0';
}

/* Without the width of any type as a limit; true where it cannot be told. */
bool watch_is_newer(const char *version, const char *than) {
        size_t size, than_size;

        if (!is_number(version) || !is_number(than))
                return true;
        version += strspn(version, "0");
        than += strspn(than, "0");
        size = strlen(version);
        than_size = strlen(than);
        return size != than_size ? size > than_size : strcmp(version, than) > 0;
}

static int take_object(struct watch *watch, const char *type, struct json_slice object) {
        struct listed *listed = watch->listed;
        struct resource_object parsed;
        bool changed = false;
        const char *problem;
        int r;

        r = resource_parse(listed->resource, object, &parsed, &problem);
        if (r == JSON_BAD)
                log_debug("Passing over an event that makes no sense", LOG_STRING("problem", problem));
        if (r != 0)
                return r < 0 ? r : 0;

        if (!watch_is_newer(parsed.version, listed->resource_version))
                workload_free(parsed.workload);
        else if (strcmp(type, "DELETED") == 0) {
                changed = resource_store_remove(&listed->store, parsed.workload->namespace, parsed.workload->name);
                workload_free(parsed.workload);
        } else {
                listed->store.n_elsewhere = kubernetes_n_elsewhere(watch->kubernetes, listed);
                r = resource_store_put(&listed->store, &parsed, &changed);
                if (r < 0)
                        return r;
        }
        watch->changed |= changed;
        return 0;
}

static void advance(struct watch *watch, struct json_slice object) {
        char version[RESOURCE_VERSION_SIZE];
        struct json_slice metadata;

        if (json_slice_member(object, "metadata", &metadata) != 0 || json_type_of(metadata) != '{')
                return;
        resource_version(metadata, version);
        if (!version[0])
                return;
        memcpy(watch->told, version, sizeof version);
        if (watch_is_newer(version, watch->listed->resource_version))
                memcpy(watch->listed->resource_version, version, sizeof version);
}

/* What an ERROR says is a Status of the API server. */
static bool is_expiry(struct json_slice status) {
        struct json_slice code;

        return json_slice_member(status, "code", &code) == 0 && code.size == 3 && memcmp(code.data, "410", 3) == 0;
}

static bool is_change(const char *type) {
        return strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0 || strcmp(type, "DELETED") == 0;
}

/* False ends the watch. */
static bool take_line(struct watch *watch, const char *line, size_t size) {
        struct json_slice event, type, object;
        const char *problem;
        char word[16];
        int r = 0;

        if (json_scan(line, size, &event, &problem) != 0 || json_type_of(event) != '{' ||
            json_slice_member(event, "type", &type) != 0 || !json_slice_string(type, word, sizeof word) ||
            json_slice_member(event, "object", &object) != 0 || json_type_of(object) != '{') {
                log_debug("A watch tells what is no event");
                return false;
        }

        watch->heard_at = watch_now(watch);
        if (strcmp(word, "ERROR") == 0) {
                watch->too_old = is_expiry(object);
                return false;
        }
        if (is_change(word))
                r = take_object(watch, word, object);
        if (r == -E2BIG) {
                struct outcome full;

                kubernetes_unusable(&full, "too many workloads");
                watch_set_problem(watch, &full);
        } else if (r < 0)
                return false;           /* and is told again, from before this one on */
        advance(watch, object);
        return true;
}

/* Cuts the stream into lines, most of which come whole and are not copied. */
bool watch_receive(const char *data, size_t size, void *user) {
        struct watch *watch = user;
        const char *end;

        while ((end = memchr(data, '\n', size))) {
                size_t n = (size_t) (end - data);
                bool go_on = true;

                if (watch->line.size > 0) {
                        text_add_bytes(&watch->line, data, n);
                        go_on = text_error(&watch->line) == 0 && take_line(watch, watch->line.data, watch->line.size);
                        text_done(&watch->line);
                } else if (n > 0)
                        go_on = take_line(watch, data, n);
                if (!go_on)
                        return false;
                data = end + 1;
                size -= n + 1;
        }

        text_add_bytes(&watch->line, data, size);
        return text_error(&watch->line) == 0 && watch->line.size <= LINE_MAX;
}
