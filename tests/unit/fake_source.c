/* SPDX-License-Identifier: Apache-2.0 */

/* The scripted source: see the header. It fails the test when a script does not make sense. */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "fake_source.h"

static struct fake_source *of(struct source *source) {
        return (struct fake_source *) source;
}

static const struct fake_world *world_now(const struct fake_source *fake) {
        const struct fake_world *world = &fake->worlds[0];

        for (size_t i = 1; i < fake->n_worlds; i++)
                if (fake->worlds[i].from <= virtual_elapsed(fake->v))
                        world = &fake->worlds[i];
        return world;
}

static bool somebody_listens(const struct fake_world *world) {
        return world->port > 0 || world->socket;
}

static struct endpoint endpoint_of(const struct fake_world *world) {
        struct endpoint endpoint = {};
        char url[sizeof endpoint.url];

        if (world->socket) {
                snprintf(url, sizeof url, "unix://%s", world->socket);
                ck_assert_int_eq(endpoint_parse(&endpoint, url), 0);
        } else if (world->port > 0)
                endpoint_set_tcp(&endpoint, "127.0.0.1", world->port);
        return endpoint;
}

static void note(struct fake_source *fake, struct fake_note what) {
        if (fake->n_notes == ELEMENTSOF(fake->notes))
                ck_abort_msg("more calls than any test of this program makes");
        what.when = virtual_elapsed(fake->v);
        what.endpoint = fake->source.endpoint;
        fake->notes[fake->n_notes++] = what;
}

/* Time passes as in a transfer: with signs of progress, ended by a stop alone; or in one silent piece. */
static int pass_time(struct fake_source *fake, usec_t usec, bool hangs) {
        int r;

        if (hangs)
                virtual_advance(fake->v, usec);
        else if (usec > 0) {
                r = waiter_until(&fake->v->waiter, usec_add(fake->v->now, usec), 0);
                if (r != 0)
                        return r < 0 ? r : -ECANCELED;
        }
        return 0;
}

static void give_details(struct call *call) {
        char url[256];

        snprintf(url, sizeof url, "http://127.0.0.1:17000/%s", call->name);
        call->document = json_object_new_object();
        json_object_object_add(call->document, "url", json_object_new_string(url));
}

static void give_results(const struct fake_world *world, const struct fake_reply *reply, struct call *call) {
        const char *body, *problem = NULL;
        int r = 0;

        switch (call->kind) {
        case CALL_LIST_WORKLOADS:
                snprintf(call->missing, sizeof call->missing, "%s", world->missing ?: "");
                body = world->workloads ?: "{\"workloads\":null}";
                r = workload_list_parse(body, strlen(body), call->filter, &call->workloads, &problem);
                break;
        case CALL_REGISTRY:
                body = world->registry ?: "{\"registry\":{}}";
                r = registry_parse(body, strlen(body), &call->registry, &problem);
                break;
        case CALL_WORKLOAD_DETAILS:
                call->found = !reply->not_found;
                if (call->found)
                        give_details(call);
                break;
        case CALL_VERSION:
        case CALL_REGISTRY_ENTRY:
        case CALL_INSTALL:
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                break;
        }
        ck_assert_msg(r == 0, "the script's body is not good: %s", problem);
}

static void deny(const char *resources, struct outcome *outcome) {
        outcome->denied.verb = "list";
        snprintf(outcome->denied.resources, sizeof outcome->denied.resources, "%s", resources);
        strcpy(outcome->denied.scope, "all namespaces");
        outcome->denied.remedy = "a role";
}

static int fake_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        struct fake_source *fake = of(source);
        const struct fake_world *world = world_now(fake);
        const struct fake_reply *reply = &world->replies[call->kind];
        struct endpoint there = endpoint_of(world);
        int r;

        note(fake, (struct fake_note) { .what = FAKE_CALL, .kind = call->kind });
        *ret_outcome = (struct outcome) {
                .verdict = VERDICT_FAILED,
                .retry_after = reply->retry_after ?: USEC_INFINITY,
                .error = "Connection refused",
        };
        if (!somebody_listens(world) || !endpoint_equal(&there, &source->endpoint))
                return 0;

        r = pass_time(fake, reply->takes, reply->hangs);
        if (fake->on_call)
                fake->on_call(call->kind);
        if (r < 0)
                return r;

        ret_outcome->status = reply->status;
        ret_outcome->runtime_away = reply->runtime_away;
        snprintf(ret_outcome->error, sizeof ret_outcome->error, "%s", reply->error ?: "");
        if (reply->denied)
                deny(reply->denied, ret_outcome);
        switch (reply->manner) {
        case FAKE_GOOD:
                ret_outcome->verdict = VERDICT_DONE;
                give_results(world, reply, call);
                break;
        case FAKE_ANSWER:
                ret_outcome->verdict = VERDICT_ANSWER;
                break;
        case FAKE_FAILED:
                break;
        }
        return 0;
}

static int fake_find(struct source *source, struct found *ret_found, char error[static ERROR_MAX]) {
        struct fake_source *fake = of(source);
        const struct fake_world *world = world_now(fake);
        bool known = source->known, same;
        int r;

        note(fake, (struct fake_note) { .what = FAKE_SEARCH });
        source->scans++;
        r = pass_time(fake, world->search_takes, false);
        if (r < 0)
                return r;
        if (!somebody_listens(world)) {
                strcpy(error, "Connection refused");
                return FIND_NOTHING;
        }

        *ret_found = (struct found) { .endpoint = endpoint_of(world) };
        snprintf(ret_found->version, sizeof ret_found->version, "%s", world->version ?: "v0.44.0");
        for (size_t i = 0; i < ELEMENTSOF(world->others) && world->others[i] > 0; i++)
                endpoint_set_tcp(&ret_found->others[ret_found->n_others++], "127.0.0.1", world->others[i]);

        same = endpoint_equal(&ret_found->endpoint, &source->endpoint);
        source->known = true;
        source->endpoint = ret_found->endpoint;
        strcpy(source->version, ret_found->version);
        return !known ? FIND_FIRST : same ? FIND_SAME : FIND_OTHER;
}

static int fake_check(struct source *source) {
        struct fake_source *fake = of(source);
        const struct fake_world *world = world_now(fake);
        struct endpoint there = endpoint_of(world);

        note(fake, (struct fake_note) { .what = FAKE_CHECK });
        return somebody_listens(world) && endpoint_equal(&there, &source->endpoint) ? 0 : 1;
}

static int fake_wait(struct source *source, usec_t deadline, unsigned mask) {
        return waiter_until(source->waiter, deadline, mask);
}

/* The next change that is still to be told. */
static struct fake_change *next_change(struct fake_source *fake) {
        for (size_t i = 0; i < fake->n_changes; i++)
                if (!fake->changes[i].over)
                        return &fake->changes[i];
        return NULL;
}

static int cluster_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        int r;

        r = fake_perform(source, call, ret_outcome);
        if (r == 0 && ret_outcome->verdict != VERDICT_FAILED) {
                source->known = true;
                snprintf(source->version, sizeof source->version, "%s", world_now(of(source))->version ?: "v1.34.1");
        }
        return r;
}

static int cluster_wait(struct source *source, usec_t deadline, unsigned mask) {
        const struct fake_change *change = mask & WAIT_CHANGE ? next_change(of(source)) : NULL;
        usec_t when = change ? VIRTUAL_START + change->when : USEC_INFINITY;
        int r;

        r = waiter_until(source->waiter, usec_min(deadline, when), mask & ~(unsigned) WAIT_CHANGE);
        return r == 0 && waiter_now(source->waiter) >= when ? WAIT_CHANGE : r;
}

static int cluster_changes(struct source *source, struct call *call) {
        struct fake_change *change = next_change(of(source));

        ck_assert_msg(change && change->when <= virtual_elapsed(of(source)->v), "nothing was told");
        change->over = true;
        if (change->code == CHANGES_TAKEN)
                give_results(world_now(of(source)), &(struct fake_reply) {}, call);
        return change->code;
}

static bool cluster_problem(struct source *source, struct outcome *ret_outcome) {
        const struct outcome *problem = &world_now(of(source))->problem;

        if (problem->verdict == VERDICT_DONE)
                return false;
        *ret_outcome = *problem;
        ret_outcome->retry_after = ret_outcome->retry_after ?: USEC_INFINITY;
        return true;
}

static bool fake_file_changed(struct source *source) {
        struct fake_source *fake = of(source);

        /* What has happened by now is read, and wakes nobody any more. */
        for (size_t i = 0; i < fake->v->n_events; i++) {
                struct virtual_event *event = &fake->v->events[i];

                if (event->kind == VIRTUAL_FILE && event->when <= fake->v->now)
                        event->over = true;
        }
        return !fake->file_unchanged;
}

static uint64_t fake_requests(const struct source *source) {
        return ((const struct fake_source *) source)->n_notes;
}

/* The fake belongs to the test, which still wants to read its notes. */
static struct source *fake_free(struct source *source) {
        of(source)->freed = true;
        return NULL;
}

static const struct source_ops fake_ops = {
        .name = "ToolHive",
        .perform = fake_perform,
        .find = fake_find,
        .check = fake_check,
        .wait = fake_wait,
        .file_changed = fake_file_changed,
        .free = fake_free,
};

static const struct source_ops cluster_ops = {
        .name = "Kubernetes API",
        .perform = cluster_perform,
        .check = fake_check,
        .wait = cluster_wait,
        .changes = cluster_changes,
        .problem = cluster_problem,
        .free = fake_free,
};

void fake_init(struct fake_source *fake, struct virtual_waiter *v) {
        *fake = (struct fake_source) {
                .source = {
                        .ops = &fake_ops,
                        .waiter = &v->waiter,
                        .can_move = true,
                        .details_tell_urls = true,
                        .requests = fake_requests,
                },
                .v = v,
                .worlds = { { .port = 50001 } },
                .n_worlds = 1,
        };
}

void fake_be_cluster(struct fake_source *fake) {
        fake->source.ops = &cluster_ops;
        fake->source.can_move = fake->source.details_tell_urls = false;
        endpoint_set_tcp(&fake->source.endpoint, "127.0.0.1", 50001);
}

void fake_change_at(struct fake_source *fake, usec_t when, int code) {
        ck_assert_uint_lt(fake->n_changes, ELEMENTSOF(fake->changes));
        fake->changes[fake->n_changes++] = (struct fake_change) { .when = when, .code = code };
}

void fake_from(struct fake_source *fake, usec_t when, struct fake_world world) {
        world.from = when;
        if (when == 0)
                fake->n_worlds = 0;
        else
                ck_assert_uint_gt(when, fake->worlds[fake->n_worlds - 1].from);
        ck_assert_uint_lt(fake->n_worlds, ELEMENTSOF(fake->worlds));
        fake->worlds[fake->n_worlds++] = world;
}

static size_t list_notes(const struct fake_source *fake, int what, enum call_kind kind, usec_t *times,
                         size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < fake->n_notes; i++) {
                const struct fake_note *made = &fake->notes[i];

                if ((int) made->what != what || (kind != CALL_KINDS && made->kind != kind))
                        continue;
                if (n < size)
                        times[n] = made->when;
                n++;
        }
        return n;
}

size_t fake_calls(const struct fake_source *fake, enum call_kind kind, usec_t *times, size_t size) {
        return list_notes(fake, FAKE_CALL, kind, times, size);
}

size_t fake_searches(const struct fake_source *fake, usec_t *times, size_t size) {
        return list_notes(fake, FAKE_SEARCH, CALL_KINDS, times, size);
}

size_t fake_checks(const struct fake_source *fake, usec_t *times, size_t size) {
        return list_notes(fake, FAKE_CHECK, CALL_KINDS, times, size);
}

void fake_expect_calls(const struct fake_source *fake, enum call_kind kind, size_t n, const double *seconds) {
        usec_t times[ELEMENTSOF(fake->notes)];
        size_t made = fake_calls(fake, kind, times, ELEMENTSOF(times));

        for (size_t i = 0; i < made && i < n; i++)
                ck_assert_msg(times[i] == virtual_seconds(seconds[i]),
                              "call %zu of \"%s\" came at %.6f s, not %.6f s", i, call_kind_name(kind), (double) times[i] / 1e6, seconds[i]);
        ck_assert_uint_eq(made, n);
}
