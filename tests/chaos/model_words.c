/* SPDX-License-Identifier: Apache-2.0 */

/* The specification's words: see the header. */

#include <stdarg.h>
#include <time.h>

#include "model_words.h"

void say(struct model *m, const char *format, ...) {
        _cleanup_(freep) char *line = NULL;
        va_list arguments;

        va_start(arguments, format);
        if (vasprintf(&line, format, arguments) < 0)
                abort();
        va_end(arguments);
        trace_expect(m->trace, m->clock->now, "log %s", line);
}

const char *quoted(const char *words) {
        static char buffers[4][300];
        static unsigned next;
        char *buffer = buffers[next++ % ELEMENTSOF(buffers)];

        snprintf(buffer, sizeof buffers[0], strchr(words, ' ') ? "\"%s\"" : "%s", words);
        return buffer;
}

/* "Printed with as few decimals as needed, at least one, at most three." */
const char *seconds(usec_t usec) {
        static char buffers[4][32];
        static unsigned next;
        char *buffer = buffers[next++ % ELEMENTSOF(buffers)];
        usec_t milliseconds = (usec + 500) / 1000;
        size_t n;

        n = (size_t) snprintf(buffer, sizeof buffers[0], "%.3f", (double) milliseconds / 1000.0);
        while (buffer[n - 1] == '0' && buffer[n - 2] != '.')
                buffer[--n] = '\0';
        return buffer;
}

/* RFC 3339 in quotes, or null; when counts as the clock does. */
static const char *moment(usec_t when) {
        static char buffers[8][40];
        static unsigned next;
        char *buffer = buffers[next++ % ELEMENTSOF(buffers)], day[32];
        usec_t real = CHAOS_REALTIME + when;
        time_t second = (time_t) (real / USEC_PER_SEC);
        struct tm tm;

        if (when == 0)
                return "null";
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", gmtime_r(&second, &tm));
        snprintf(buffer, sizeof buffers[0], "\"%s.%03uZ\"", day, (unsigned) (real % USEC_PER_SEC / 1000));
        return buffer;
}

static const char *url_of(struct thing thing, int name) {
        static char buffers[4][32];
        static unsigned next;
        char *buffer = buffers[next++ % ELEMENTSOF(buffers)];

        if (thing.url == 0)
                return NULL;
        if (thing.url == URL_DETAILS)
                snprintf(buffer, sizeof buffers[0], "http://h/details-w%d", name);
        else
                snprintf(buffer, sizeof buffers[0], "http://h/%u", thing.url);
        return buffer;
}

/* ---- the retry loop's lines ---- */

void say_begin(struct model *m) {
        if (m->port > 0)
                trace_expect(m->trace, m->clock->now, "begin http://127.0.0.1:%u", m->port);
        else
                trace_expect(m->trace, m->clock->now, "begin ");
}

void expect_call(struct model *m, enum call_kind kind, int name) {
        char words[32] = "";

        if (name >= 0)
                snprintf(words, sizeof words, " of w%d", name);
        trace_expect(m->trace, m->clock->now, "call %s%s at %u", call_kind_name(kind), words, m->port);
}

void say_found(struct model *m, enum finding finding, uint16_t before, const struct world *world) {
        char others[64] = "";

        switch (finding) {
        case FOUND_NOTHING:
                return;
        case FOUND_FIRST:
                say(m, "INFO     Connected to ToolHive endpoint=http://127.0.0.1:%u version=%s", m->port, m->version);
                break;
        case FOUND_SAME:
                say(m, "INFO     ToolHive still available on same port port=%u", m->port);
                break;
        case FOUND_OTHER:
                say(m, "INFO     Successfully rediscovered ToolHive on new port old_port=%u new_port=%u", before,
                    m->port);
                break;
        }

        /* "When several pass, one WARNING lists them". */
        if (m->life->fixed || world->n_others == 0 || (m->told_several && m->told_several->port == world->port &&
                                     m->told_several->n_others == world->n_others))
                return;
        m->told_several = world;
        for (unsigned i = 0; i < world->n_others; i++)
                snprintf(others + strlen(others), sizeof others - strlen(others), "%shttp://127.0.0.1:%u",
                         i > 0 ? "," : "", world->port + 1 + i);
        say(m, "WARNING  Several ToolHives found, using the lowest port; set TOOLHIVE_PORT to choose another "
            "endpoint=http://127.0.0.1:%u others=%s", m->port, others);
}

void say_retrying(struct model *m, uint16_t before _unused_) {
        say(m, "INFO     Port rediscovery successful, retrying immediately new_port=%u", m->port);
}

void say_failed(struct model *m, usec_t delay) {
        say(m, "WARNING  ToolHive connection failed attempt=%u max_retries=%u error=%s backoff_seconds=%s", m->attempt,
            m->life->max_retries, quoted(m->error), seconds(delay));
}

void say_exhausted(struct model *m) {
        say(m, "ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts=%u",
            m->life->max_retries);
        say(m, "CRITICAL ToolHive connection failure - exiting max_retries=%u last_error=%s", m->life->max_retries,
            quoted(m->error));
}

void complete(struct model *m) {
        if (m->attempt > 0) {
                say(m, "INFO     ToolHive connection restored endpoint=http://127.0.0.1:%u attempts=%u "
                    "outage_seconds=%s", m->port, m->attempt, seconds(m->clock->now - m->outage_since));
                m->reconnects++;
        }
        m->attempt = 0;
        m->base = m->life->initial;
        m->immediate_allowed = m->completed = true;
}

/* ---- the polls' lines ---- */

static void describe_problem(char problem[static 256], enum call_kind kind, const struct reply *reply) {
        const char *name = call_kind_name(kind);

        if (reply->runtime_away)
                strcpy(problem, "ToolHive's container runtime is away");
        else if (reply->status == 0)
                snprintf(problem, 256, "ToolHive does not answer %s (%s)", name, reply->error);
        else if (reply->status < 300)
                snprintf(problem, 256, "ToolHive's answer to %s is of no use (%s)", name, reply->error);
        else
                snprintf(problem, 256, "ToolHive answers %d to %s", reply->status, name);
}

/* "One WARNING (not one every poll while it lasts)". */
void say_problem(struct model *m, struct poll_model *poll, enum call_kind kind, const struct reply *reply,
                 usec_t delay) {
        if (!poll->problem[0])
                say(m, "WARNING  ToolHive%s operation=%s status=%d error=%s next_try_seconds=%s",
                    reply->runtime_away ? "'s container runtime is away" : " gives an answer that is of no use",
                    quoted(call_kind_name(kind)), reply->status, quoted(reply->error), seconds(delay));
        describe_problem(poll->problem, kind, reply);
        poll->problem_kind = kind;
}

void say_answers_again(struct model *m, struct poll_model *poll) {
        if (poll->problem[0])
                say(m, "INFO     ToolHive answers again operation=%s", quoted(call_kind_name(poll->problem_kind)));
        poll->problem[0] = '\0';
}

static bool same(struct thing a, struct thing b) {
        return strcmp(a.status, b.status) == 0 && a.url == b.url;
}

void take_workloads(struct model *m, const struct thing *things) {
        struct memory *memory = m->memory;
        unsigned total = 0, running = 0, added = 0, removed = 0, changed = 0;

        for (int i = 0; i < CHAOS_NAMES; i++) {
                struct thing old = memory->workloads ? memory->things[i] : (struct thing) {}, new = things[i];

                total += new.status != NULL;
                running += new.status && strcmp(new.status, "running") == 0;
                if (!old.status && new.status) {
                        added++;
                        say(m, "INFO     Workload added name=w%d status=%s url=%s", i, new.status,
                            url_of(new, i) ?: "null");
                } else if (old.status && !new.status) {
                        removed++;
                        say(m, "INFO     Workload removed name=w%d", i);
                } else if (old.status && !same(old, new)) {
                        changed++;
                        say(m, "INFO     Workload changed name=w%d status=%s previous_status=%s url=%s", i, new.status,
                            old.status, url_of(new, i) ?: "null");
                }
        }
        /* "A summary line only when something changed." */
        if (added + removed + changed > 0 || !memory->workloads)
                say(m, "INFO     Workloads polled total=%u running=%u skipped=0 added=%u removed=%u changed=%u", total,
                    running, added, removed, changed);
        memory->workloads = true;
        memory->workloads_polled = m->clock->now;
        memcpy(memory->things, things, sizeof memory->things);
}

void take_registry(struct model *m, const struct stock *stock) {
        struct memory *memory = m->memory;
        unsigned added = 0, removed = 0, old = memory->registry ? memory->servers : stock->servers;
        bool news = !memory->registry || memory->updated != stock->updated;

        for (int i = 0; i < CHAOS_SERVERS; i++) {
                bool before = old & 1u << i, now = stock->servers & 1u << i;

                if (before == now)
                        continue;
                *(now ? &added : &removed) += 1;
                say(m, "INFO     Registry server %s name=s%d", now ? "added" : "removed", i);
        }
        if (news || added + removed > 0)
                say(m, "INFO     Registry polled servers=%d added=%u removed=%u last_updated=update-%u",
                    __builtin_popcount(stock->servers), added, removed, stock->updated);
        memory->registry = true;
        memory->registry_polled = m->clock->now;
        memory->servers = stock->servers;
        memory->updated = stock->updated;
}

/* ---- the state ---- */

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
                text_addf(text, "ToolHive unavailable (%s): all %u attempts failed, exiting", m->last_error,
                          m->life->max_retries);
        else if (strcmp(m->state, "connecting") == 0)
                text_add(text, "Looking for ToolHive");
        else if (strcmp(m->state, "degraded") == 0)
                text_addf(text, "Degraded: %s", problem);
        else if (strcmp(m->state, "reconnecting") == 0 && m->next_attempt_at == 0)
                text_addf(text, "Reconnecting: %s (attempt %u of %u)", problem, m->attempt, m->life->max_retries);
        else if (strcmp(m->state, "reconnecting") == 0) {
                text_addf(text, "ToolHive unavailable (%s): attempt %u of %u, next try at %.8s", m->last_error,
                          m->attempt, m->life->max_retries, moment(m->next_attempt_at) + strlen("\"2026-01-01T"));
        } else {
                text_addf(text, "Connected to ToolHive %s on port %u: ", m->version, m->port);
                if (m->memory->workloads)
                        text_addf(text, "%u workload%s (%u running)", total, total == 1 ? "" : "s", running);
                else
                        text_add(text, "workloads not known yet");
                if (m->memory->registry)
                        text_addf(text, ", %d server%s in the registry", __builtin_popcount(m->memory->servers),
                                  __builtin_popcount(m->memory->servers) == 1 ? "" : "s");
                else
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
                  json(endpoint), port, json(m->version), moment(m->since));
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
                if (memory->things[i].status)
                        text_addf(text, " \"w%d\" \"%s\" %s", i, memory->things[i].status,
                                  json(url_of(memory->things[i], i)));
}

static void add_registry(struct model *m, struct text *text) {
        const struct memory *memory = m->memory;
        char updated[32] = "";

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
