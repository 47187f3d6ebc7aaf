/* SPDX-License-Identifier: Apache-2.0 */

/* ToolHive as a source: where the script has it, and with the answers that the script gives it. */

#include <errno.h>

#include "actor_stage.h"

static void give(const struct stock *stock, const struct reply *reply, struct call *call) {
        _cleanup_text_ struct text body = TEXT_INIT;
        const char *problem = "";
        int r = 0;

        switch (call->kind) {
        case CALL_LIST_WORKLOADS:
                text_add(&body, "{\"workloads\":[");
                for (unsigned i = 0, n = 0; i < CHAOS_NAMES; i++) {
                        const struct thing *thing = &stock->things[i];

                        if (!thing->status)
                                continue;
                        text_addf(&body, "%s{\"name\":\"w%u\",\"status\":\"%s\"", n++ > 0 ? "," : "", i, thing->status);
                        if (thing->url > 0)
                                text_addf(&body, ",\"url\":\"http://h/%u\"", thing->url);
                        text_add(&body, "}");
                }
                text_add(&body, "]}");
                r = workload_list_parse(body.data, body.size, call->filter, &call->workloads, &problem);
                break;
        case CALL_REGISTRY:
                text_addf(&body, "{\"registry\":{\"last_updated\":\"update-%u\",\"servers\":{", stock->updated);
                for (unsigned i = 0, n = 0; i < CHAOS_SERVERS; i++)
                        if (stock->servers & 1u << i)
                                text_addf(&body, "%s\"s%u\":{}", n++ > 0 ? "," : "", i);
                text_add(&body, "}}}");
                r = registry_parse(body.data, body.size, &call->registry, &problem);
                break;
        case CALL_WORKLOAD_DETAILS:
                call->found = !reply->not_found;
                if (!call->found)
                        break;
                text_addf(&body, "http://h/details-%s", call->name);
                call->document = json_object_new_object();
                json_object_object_add(call->document, "url", json_object_new_string(body.data));
                break;
        case CALL_VERSION:
        case CALL_REGISTRY_ENTRY:
        case CALL_INSTALL:
        case CALL_WATCH_WORKLOADS:
        case CALL_KINDS:
                break;
        }
        if (r != 0)
                trace_fail(stage.trace, stage.clock.now, "the script's body is not good: %s", problem);
}

static int toolhive_perform(struct source *source, struct call *call, struct outcome *ret_outcome) {
        const struct world *world;
        const struct reply *reply;
        char words[128];
        bool there;
        int r;

        snprintf(words, sizeof words, " %s%s%s at %u", call_kind_name(call->kind), call->name ? " of " : "",
                 call->name ?: "", source->endpoint.port);
        world = stage_begin("call", words);
        stage.figures->calls++;
        reply = &world->replies[call->kind];
        there = world->port > 0 && world->port == source->endpoint.port;
        r = there ? stage_pass(reply->takes, reply->hangs) : stage_pass(world->elsewhere_takes, false);
        if (r < 0)
                return r;

        stage_conclude(world, reply, there, ret_outcome);
        if (ret_outcome->verdict == VERDICT_DONE)
                give(&world->stock, reply, call);
        return 0;
}

static int toolhive_find(struct source *source, struct found *ret_found, char error[static ERROR_MAX]) {
        const struct world *world = stage_begin("search", "");
        struct endpoint before = source->endpoint;
        bool known = source->known, fixed = stage.life->fixed;
        int r;

        source->scans++;
        stage.figures->searches++;
        r = stage_pass(world->search_takes, false);
        if (r < 0)
                return r;
        if (world->port == 0 || (fixed && world->port != CHAOS_PORT)) {
                snprintf(error, ERROR_MAX, "%s", world->nothing);
                return FIND_NOTHING;
        }

        *ret_found = (struct found) { .n_others = fixed ? 0 : world->n_others };
        endpoint_set_tcp(&ret_found->endpoint, "127.0.0.1", world->port);
        snprintf(ret_found->version, sizeof ret_found->version, "%s", world->version);
        for (unsigned i = 0; i < ret_found->n_others; i++)
                endpoint_set_tcp(&ret_found->others[i], "127.0.0.1", (uint16_t) (world->port + 1 + i));
        source->known = true;
        source->endpoint = ret_found->endpoint;
        strcpy(source->version, ret_found->version);
        if (!known)
                return FIND_FIRST;
        return endpoint_equal(&before, &ret_found->endpoint) ? FIND_SAME : FIND_OTHER;
}

static int toolhive_check(struct source *source) {
        const struct world *world = stage_begin("check", "");

        stage.figures->checks++;
        if (world->port == 0 || world->port != source->endpoint.port)
                return 1;
        strcpy(source->version, world->version);
        return 0;
}

static int toolhive_wait(struct source *source, usec_t deadline, unsigned mask) {
        return waiter_until(source->waiter, deadline, mask & ~(unsigned) WAIT_CHANGE);
}

static bool toolhive_file_changed(struct source *source _unused_) {
        stage_witness();
        clock_read_file(&stage.clock);
        return !stage.life->fixed;
}

const struct source_ops stage_toolhive = {
        .name = "ToolHive",
        .perform = toolhive_perform,
        .find = toolhive_find,
        .check = toolhive_check,
        .wait = toolhive_wait,
        .file_changed = toolhive_file_changed,
        .free = stage_free,
};
