/* SPDX-License-Identifier: Apache-2.0 */

/* What the state file and STATUS say, in one line as the witness reads them: see the header. */

#include "model_words.h"

void set_state(struct model *m, const char *state) {
        if (m->state && strcmp(m->state, state) == 0)
                return;
        m->state = state;
        m->since = m->clock->now;
}

void judge_state(struct model *m) {
        if (m->attempt > 0)
                set_state(m, "reconnecting");
        else if (m->workloads.problem[0] || m->registry.problem[0])
                set_state(m, "degraded");
        else
                set_state(m, m->completed ? "connected" : "connecting");
}

static void add_status(struct model *m, struct text *text) {
        const char *problem = m->workloads.problem[0] ? m->workloads.problem : m->registry.problem;
        unsigned total = 0, running = 0;

        for (int i = 0; i < CHAOS_NAMES; i++) {
                const char *status = m->memory->things[i].status;

                total += status != NULL;
                running += status && strcmp(status, "running") == 0;
        }
        if (strcmp(m->state, "stopped") == 0)
                text_add(text, "Stopped");
        else if (strcmp(m->state, "exhausted") == 0)
                text_addf(text, "%s unavailable (%s): all %u attempts failed, exiting", api(m), m->last_error,
                          m->life->max_retries);
        else if (strcmp(m->state, "connecting") == 0)
                text_addf(text, "Looking for %s", api(m));
        else if (strcmp(m->state, "degraded") == 0)
                text_addf(text, "Degraded: %s", problem);
        else if (strcmp(m->state, "reconnecting") == 0 && m->next_attempt_at == 0)
                text_addf(text, "Reconnecting: %s (attempt %u of %u)", problem, m->attempt, m->life->max_retries);
        else if (strcmp(m->state, "reconnecting") == 0) {
                text_addf(text, "%s unavailable (%s): attempt %u of %u, next try at %.8s", api(m), m->last_error,
                          m->attempt, m->life->max_retries, moment(m->next_attempt_at) + strlen("\"2026-01-01T"));
        } else {
                text_addf(text, "Connected to %s %s on %s%u: ", api(m), m->version,
                          m->life->cluster ? "http://127.0.0.1:" : "port ", m->port);
                if (m->memory->workloads)
                        text_addf(text, "%u workload%s (%u running)", total, total == 1 ? "" : "s", running);
                else
                        text_add(text, "workloads not known yet");
                if (m->memory->registry)
                        text_addf(text, ", %d server%s in the registry", __builtin_popcount(m->memory->servers),
                                  __builtin_popcount(m->memory->servers) == 1 ? "" : "s");
                else if (!m->life->cluster)
                        text_add(text, ", registry not known yet");
        }
}

/* In quotes as JSON has it, or null. */
static const char *json(const char *words) {
        static char buffers[4][300];
        static unsigned next;
        char *buffer = buffers[next++ % ELEMENTSOF(buffers)];

        if (!words || !*words)
                return "null";
        snprintf(buffer, sizeof buffers[0], "\"%s\"", words);
        return buffer;
}

static void add_connection(struct model *m, struct text *text) {
        char port[16] = "null", endpoint[64] = "";

        if (m->port > 0) {
                snprintf(port, sizeof port, "%u", m->port);
                snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", m->port);
        }
        text_addf(text, "{\"state\":\"%s\",\"endpoint\":%s,\"port\":%s,\"toolhive_version\":%s,\"since\":%s,", m->state,
                  json(endpoint), port, json(m->life->cluster ? NULL : m->version), moment(m->since));
        text_addf(text, "\"attempt\":%u,\"max_retries\":%u,\"backoff_seconds\":%s,\"next_attempt_at\":%s,"
                  "\"last_error\":%s,\"last_error_at\":%s}",
                  m->attempt, m->life->max_retries, seconds(m->backoff), moment(m->next_attempt_at),
                  json(m->last_error), moment(m->last_error_at));
}

static void add_workloads(struct model *m, struct text *text) {
        const struct memory *memory = m->memory;
        unsigned total = 0, running = 0;

        for (int i = 0; i < CHAOS_NAMES; i++) {
                total += memory->things[i].status != NULL;
                running += memory->things[i].status && strcmp(memory->things[i].status, "running") == 0;
        }
        text_addf(text, "; workloads %s %s %s %u %u 0", moment(memory->workloads ? memory->workloads_polled : 0),
                  moment(m->workloads.next_at), json(m->workloads.problem), total, running);
        for (int i = 0; i < CHAOS_NAMES; i++)
                if (memory->things[i].status) {
                        if (m->life->cluster)
                                text_addf(text, " \"n%d\"", namespace_of(i));
                        text_addf(text, " \"w%d\" \"%s\" %s", name_of(m, i), memory->things[i].status,
                                  json(url_of(memory->things[i], i)));
                }
}

static void add_registry(struct model *m, struct text *text) {
        const struct memory *memory = m->memory;
        char updated[32] = "";

        if (m->life->cluster) {
                text_add(text, "; registry null");
                return;
        }
        if (memory->registry)
                snprintf(updated, sizeof updated, "update-%u", memory->updated);
        text_addf(text, "; registry %s %s %s %s %d [", moment(memory->registry ? memory->registry_polled : 0),
                  moment(m->registry.next_at), json(m->registry.problem), json(updated),
                  __builtin_popcount(memory->servers));
        for (int i = 0, n = 0; i < CHAOS_SERVERS; i++)
                if (memory->servers & 1u << i)
                        text_addf(text, "%s\"s%d\"", n++ > 0 ? "," : "", i);
        text_add(text, "]");
}

void say_state(struct model *m) {
        _cleanup_text_ struct text text = TEXT_INIT;

        add_connection(m, &text);
        add_workloads(m, &text);
        add_registry(m, &text);
        text_addf(&text, "; counters %u %u %u; ", m->failures, m->reconnects, m->port_changes);
        add_status(m, &text);
        if (strcmp(m->told, text.data) == 0)
                return;
        snprintf(m->told, sizeof m->told, "%s", text.data);
        trace_expect(m->trace, m->clock->now, "state %s", text.data);
}
