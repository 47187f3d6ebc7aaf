/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Torture of what watches an API server. What fails once keeps nothing from being known:
 * the story of server.h, to its end. The wait runs on the real clock; where pauses are to
 * pass the clock is virtual, and stands still for as long as anything is on its way.
 */

#include <errno.h>
#include <string.h>

#include "cluster_internal.h"
#include "server.h"
#include "suite.h"

static struct virtual_waiter v;

/* ---- the wait ---- */

static void list_now(void) {
        call.kind = CALL_LIST_WORKLOADS;
        if (source->ops->perform(source, &call, &outcome) < 0 || outcome.verdict != VERDICT_DONE)
                abort();
}

static bool are_begun(void) {
        struct kubernetes *kubernetes = kubernetes_of(source);

        for (size_t i = 0; i < RESOURCES; i++)
                if (kubernetes->listed[i].version && !kubernetes->listed[i].watch->answered)
                        return false;
        return true;
}

static void watch_now_all(void) {
        list_now();
        while (source->ops->wait(source, 0, WAIT_CHANGE) == 0 && !are_begun())
                if (http_run(kubernetes_of(source)->http, -1, USEC_INFINITY) < 0)
                        abort();
}

/* Watches that have begun, and a story that is on its way to them. */
static void begin_wait(void) {
        cluster_begin();
        watch_now_all();
        server_tell();
}

/* Some of it is a change; the wait itself may fail, and then does so again. */
static int act_wait(void) {
        usec_t deadline = waiter_now(source->waiter) + 300 * USEC_PER_MSEC * suite_slowness();
        int r = source->ops->wait(source, deadline, WAIT_CHANGE);

        return r == WAIT_CHANGE ? 0 : r ?: -ETIMEDOUT;
}

static void judge_wait(int r) {
        torture_expect(r <= 0);
        if (r == 0) {
                call_done(&call);
                call = (struct call) { .kind = CALL_LIST_WORKLOADS };
                r = source->ops->changes(source, &call);
                torture_expect(r == CHANGES_TAKEN || (r == CHANGES_EXPIRED && torture_injected()));
        }
        call.kind = CALL_LIST_WORKLOADS;
        cluster_ask_again();
        torture_expect(cluster_is_whole(call.workloads, SERVER_STORY));
}

/* ---- watches, as the worker goes about them ---- */

/* What the server has told the watch, or is about to. */
static bool is_coming(const struct watch *watch) {
        char told[16];

        snprintf(told, sizeof told, "%u", 100 + atomic_load(&server()->told));
        return watch->transfer && !http_finished(watch->transfer) &&
               (!watch->answered || (watch->listed->resource == RESOURCE_SERVER &&
                                     strcmp(watch->listed->resource_version, told) != 0));
}

int cluster_wait(struct source *of, usec_t deadline, unsigned mask) {
        struct virtual_waiter *clock = (struct virtual_waiter *) of->waiter;
        struct kubernetes *kubernetes = kubernetes_of(of);

        for (;;) {
                bool coming = false;
                int r = kubernetes_wait(of, clock->now, mask);

                if (r != 0 || clock->now >= deadline)
                        return r;
                for (size_t i = 0; i < RESOURCES; i++)
                        coming = coming || is_coming(kubernetes->listed[i].watch);
                if (coming)
                        r = http_run(kubernetes->http, -1, USEC_INFINITY);
                else
                        clock->now = usec_min(deadline, clock->now + USEC_PER_SEC);
                if (r < 0)
                        return r;
        }
}

static usec_t list_at;                  /* USEC_INFINITY: none is wanted */

static void want_list(bool wanted, usec_t delay) {
        list_at = wanted ? v.now + delay : USEC_INFINITY;
}

static int ask_for_list(void) {
        struct outcome problem;
        int r;

        call_done(&call);
        call = (struct call) { .kind = CALL_LIST_WORKLOADS };
        r = source->ops->perform(source, &call, &outcome);
        want_list(outcome.verdict == VERDICT_FAILED || source->ops->problem(source, &problem), USEC_PER_SEC);
        return r;
}

static int wait_and_take(void) {
        struct outcome problem;
        int r;

        r = cluster_wait(source, usec_min(list_at, v.now + 60 * USEC_PER_SEC), WAIT_CHANGE | WAIT_CONNECTION);
        if (r > 0 && (r & WAIT_CHANGE)) {
                call_done(&call);
                call = (struct call) { .kind = CALL_LIST_WORKLOADS };
                r = source->ops->changes(source, &call);
                if (r == CHANGES_EXPIRED)
                        want_list(true, 0);
                else
                        want_list(source->ops->problem(source, &problem), USEC_PER_SEC);
        } else if (r > 0 && (r & WAIT_CONNECTION)) {
                r = source->ops->check(source);
                if (r > 0)
                        want_list(true, 0);
        }
        return r;
}

/* Until the story is known to its end. Lists where the worker would at once, and never because time has passed. */
static int follow(void) {
        for (unsigned i = 0; i < 40; i++) {
                int r = v.now >= list_at ? ask_for_list() : wait_and_take();

                if (r < 0)
                        return r;
                if (cluster_is_whole(call.workloads, SERVER_STORY))
                        return 0;
        }
        return -ETIMEDOUT;
}

static void begin_watching(void) {
        virtual_init(&v);
        list_at = USEC_INFINITY;
        cluster_begin_on(&v.waiter);
}

/* They begin, and are told all of it at once. */
static void begin_watches(void) {
        begin_watching();
        list_now();
        atomic_store(&server()->hurries, true);
}

/* The one of the VirtualMCPServers is told that it is too old. */
static void begin_too_old(void) {
        begin_watches();
        atomic_store(&server()->too_old, 1);
}

static void begin_late_watches(void) {
        begin_watches();
        cluster_replace_token();
}

static void begin_denied(void) {
        begin_watches();
        atomic_store(&server()->denied, 2);
}

static void begin_events(void) {
        begin_watching();
        watch_now_all();
        server_tell();
}

/* What fails once costs nothing that comes to be known. */
static void judge_follow(int r) {
        /* The worker ends where it cannot wait. */
        torture_expect(r == 0 || torture_lasts() || strncmp(inject_record->failed, "poll: ", 6) == 0);
        atomic_store(&server()->told, SERVER_STORY);
        if (r != 0)
                torture_expect(follow() == 0);
        torture_expect(cluster_is_whole(call.workloads, SERVER_STORY));
        call.kind = CALL_LIST_WORKLOADS;
        cluster_ask_again();
        torture_expect(cluster_is_whole(call.workloads, SERVER_STORY));
}

/* ---- changes that a watch has told ---- */

static void begin_changes(void) {
        const struct watch *watch;

        begin_events();
        watch = kubernetes_of(source)->listed[RESOURCE_SERVER].watch;
        while (strcmp(watch->listed->resource_version, "104") != 0)
                if (http_run(kubernetes_of(source)->http, -1, USEC_INFINITY) < 0)
                        abort();
        call_done(&call);
        call = (struct call) { .kind = CALL_LIST_WORKLOADS };
}

static int act_changes(void) {
        return source->ops->changes(source, &call);
}

/* All of them, or a list is wanted. */
static void judge_changes(int r) {
        torture_expect(r == CHANGES_TAKEN || (r == CHANGES_EXPIRED && torture_injected()));
        torture_expect((r == CHANGES_TAKEN) == (call.workloads != NULL));
        torture_expect(r != CHANGES_TAKEN || cluster_is_whole(call.workloads, SERVER_STORY));
        cluster_ask_again();
        torture_expect(cluster_is_whole(call.workloads, SERVER_STORY));
}

const struct operation watch_operations[] = {
        { "Kubernetes, wait", begin_wait, act_wait, judge_wait, cluster_end, 2 },
        { "Kubernetes, watches begun", begin_watches, follow, judge_follow, cluster_close, 2 },
        { "Kubernetes, a watch is too old", begin_too_old, follow, judge_follow, cluster_close, 2 },
        { "Kubernetes, watches and another token", begin_late_watches, follow, judge_follow, cluster_close, 2 },
        { "Kubernetes, watches denied at first", begin_denied, follow, judge_follow, cluster_close, 2 },
        { "Kubernetes, events", begin_events, follow, judge_follow, cluster_close, 2 },
        { "Kubernetes, changes taken", begin_changes, act_changes, judge_changes, cluster_close, 0 },
        {},
};
