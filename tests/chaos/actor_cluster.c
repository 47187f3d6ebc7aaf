/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A cluster as a source: never searched for, listed, and watched from the first
 * list on. What is wrong with a list stays wrong until the next one; what is
 * wrong with the watches is the world's, at every moment. A failure ends the
 * watches: a list's until there is one, any other's so that a list is wanted.
 */

#include <errno.h>

#include "actor_stage.h"

static void deny(const struct reply *reply, const char *verb, struct outcome *outcome) {
        if (!reply->denied)
                return;
        outcome->denied.verb = verb;
        outcome->denied.remedy = "kubectl apply -f cluster-role.yaml";
        strcpy(outcome->denied.scope, "all namespaces");
        snprintf(outcome->denied.resources, sizeof outcome->denied.resources, "%s", reply->denied);
}

/* The same three names in two namespaces. */
static void give(const struct stock *stock, struct call *call) {
        struct workload_list *list = workload_list_new();
        char name[8], namespace[8], url[32];
        int r = list ? 0 : -ENOMEM;

        for (unsigned i = 0; i < CHAOS_NAMES && r == 0; i++) {
                const struct thing *thing = &stock->things[i];
                struct workload fields = { .name = name, .namespace = namespace, .status = thing->status };

                if (!thing->status)
                        continue;
                snprintf(name, sizeof name, "w%u", i % (CHAOS_NAMES / 2));
                snprintf(namespace, sizeof namespace, "n%u", i / (CHAOS_NAMES / 2));
                snprintf(url, sizeof url, "http://h/%u", thing->url);
                if (thing->url > 0)
                        fields.url = url;
                r = workload_list_add(list, workload_new(&fields));
        }
        if (r == 0)
                r = workload_list_settle(list);
        if (r != 0)
                trace_fail(stage.trace, stage.clock.now, "no memory for a list");
        call->workloads = list;
        strcpy(call->missing, stage.missing);
}

static void end_watches(enum call_kind kind) {
        if (kind == CALL_LIST_WORKLOADS)
                stage.watching = false;
        else
                clock_expire(&stage.clock);
}

static void take_list(const struct world *world, const struct reply *reply, struct call *call) {
        const struct cluster *cluster = &world->cluster;

        stage.refusal = reply->manner == MANNER_ANSWER ? reply : NULL;
        if (stage.refusal)
                return;
        if (cluster->part.status > 0)
                stage.refusal = &cluster->part;
        stage.missing = cluster->missing;
        stage.watching = true;
        clock_forget_changes(&stage.clock);
        give(&world->stock, call);
}

static int cluster_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        const struct world *world;
        const struct reply *reply;
        char words[64];
        bool there;
        int r;

        snprintf(words, sizeof words, " %s at %u", call_kind_name(call->kind), source->endpoint.port);
        world = stage_begin("call", words);
        stage.figures->calls++;
        there = world->cluster.there;
        reply = &world->cluster.replies[call->kind];
        r = there ? stage_pass(reply->takes, reply->hangs) : stage_pass(world->elsewhere_takes, false);
        if (r < 0)
                return r;

        stage_conclude(world, reply, there, ret_outcome);
        if (ret_outcome->verdict == VERDICT_FAILED) {
                if (there)
                        ret_outcome->retry_after = reply->retry_after;
                end_watches(call->kind);
                return 0;
        }
        source->known = true;
        strcpy(source->version, world->version);
        deny(reply, "list", ret_outcome);
        if (call->kind == CALL_LIST_WORKLOADS)
                take_list(world, reply, call);
        return 0;
}

static int cluster_check(struct source *source) {
        const struct world *world = stage_begin("check", "");

        stage.figures->checks++;
        if (!world->cluster.there)
                return 1;
        strcpy(source->version, world->version);
        return 0;
}

static int cluster_wait(struct source *source, usec_t deadline, unsigned mask) {
        if (!stage.watching)
                mask &= ~(unsigned) WAIT_CHANGE;
        return waiter_until(source->waiter, deadline, mask);
}

static int cluster_changes(struct source *source _unused_, struct call *call) {
        bool expired = clock_take_expiry(&stage.clock);
        const struct world *world = stage_begin("changes", expired ? " expired" : "");

        stage.figures->changes++;
        if (expired)
                return CHANGES_EXPIRED;
        give(&world->stock, call);
        return CHANGES_TAKEN;
}

static bool cluster_problem(struct source *source _unused_, struct outcome *ret_outcome) {
        const struct reply *watch = &script_world(stage.script, stage.clock.now)->cluster.watch;
        const struct reply *reply = stage.refusal ?: watch->status > 0 ? watch : NULL;

        if (!reply)
                return false;
        stage_conclude(NULL, reply, true, ret_outcome);
        ret_outcome->of_watch = !stage.refusal;
        deny(reply, ret_outcome->of_watch ? "watch" : "list", ret_outcome);
        return true;
}

const struct source_ops stage_cluster = {
        .name = "Kubernetes API",
        .perform = cluster_perform,
        .check = cluster_check,
        .wait = cluster_wait,
        .changes = cluster_changes,
        .problem = cluster_problem,
        .free = stage_free,
};
