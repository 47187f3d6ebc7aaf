/* SPDX-License-Identifier: Apache-2.0 */

/* The specification's words: see the header. */

#include <stdarg.h>
#include <time.h>

#include "model_words.h"
#include "witness.h"

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

const char *moment(usec_t when) {
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

const char *url_of(struct thing thing, int name) {
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

const char *api(const struct model *m) {
        return m->life->cluster ? "Kubernetes API" : "ToolHive";
}

int name_of(const struct model *m, int i) {
        return m->life->cluster ? i % (CHAOS_NAMES / 2) : i;
}

int namespace_of(int i) {
        return i / (CHAOS_NAMES / 2);
}

/* ---- the retry loop's lines ---- */

void say_begin(struct model *m) {
        if (m->port > 0)
                trace_expect(m->trace, m->clock->now, "begin http://127.0.0.1:%u", m->port);
        else
                trace_expect(m->trace, m->clock->now, "begin ");
}

void say_ignored(struct model *m) {
        say(m, "INFO     Ignoring the state file of an earlier service path=%s reason=\"another runtime mode\"",
            witness_state_path());
}

void expect_call(struct model *m, enum call_kind kind, int name) {
        char words[32] = "";

        if (name >= 0)
                snprintf(words, sizeof words, " of w%d", name);
        trace_expect(m->trace, m->clock->now, "call %s%s at %u", call_kind_name(kind), words,
                     m->life->cluster ? CHAOS_PORT : m->port);
}

void say_found(struct model *m, enum finding finding, uint16_t before, const struct world *world) {
        char others[64] = "";

        switch (finding) {
        case FOUND_NOTHING:
                return;
        case FOUND_FIRST:
                say(m, "INFO     Connected to %s endpoint=http://127.0.0.1:%u version=%s", api(m), m->port,
                    m->version);
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
        say(m, "WARNING  %s connection failed attempt=%u max_retries=%u error=%s backoff_seconds=%s", api(m),
            m->attempt, m->life->max_retries, quoted(m->error), seconds(delay));
}

void say_exhausted(struct model *m) {
        say(m, "ERROR    All retry attempts exhausted. %s is unavailable. total_attempts=%u", api(m),
            m->life->max_retries);
        say(m, "CRITICAL %s connection failure - exiting max_retries=%u last_error=%s", api(m), m->life->max_retries,
            quoted(m->error));
}

void complete(struct model *m) {
        if (m->attempt > 0) {
                say(m, "INFO     %s connection restored endpoint=http://127.0.0.1:%u attempts=%u outage_seconds=%s",
                    api(m), m->port, m->attempt, seconds(m->clock->now - m->outage_since));
                m->reconnects++;
        }
        m->attempt = 0;
        m->base = m->life->initial;
        m->immediate_allowed = m->completed = true;
}

/* ---- the polls' lines ---- */

/* What the account may not do. */
static const char *verb_of(enum call_kind kind) {
        return kind == CALL_WATCH_WORKLOADS ? "watch" : "list";
}

static void describe_problem(const struct model *m, char problem[static 256], enum call_kind kind,
                             const struct reply *reply) {
        const char *name = call_kind_name(kind);

        if (reply->runtime_away)
                strcpy(problem, "ToolHive's container runtime is away");
        else if (m->life->cluster && reply->denied)
                snprintf(problem, 256, "Kubernetes API %s %s %s in all namespaces",
                         reply->status == 401 ? "does not know the account that would" : "denies the account to",
                         verb_of(kind), reply->denied);
        else if (reply->status == 0)
                snprintf(problem, 256, "%s does not answer %s (%s)", api(m), name, reply->error);
        else if (reply->status < 300)
                snprintf(problem, 256, "%s's answer to %s is of no use (%s)", api(m), name, reply->error);
        else
                snprintf(problem, 256, "%s answers %d to %s", api(m), reply->status, name);
}

static void say_denied(struct model *m, enum call_kind kind, const struct reply *reply, usec_t delay) {
        say(m, "WARNING  Kubernetes API %s operation=%s status=%d verb=%s resources=%s scope=\"all namespaces\" "
            "remedy=\"kubectl apply -f cluster-role.yaml\" error=%s next_try_seconds=%s",
            reply->status == 401 ? "does not know the account" : "denies the account what it needs",
            quoted(call_kind_name(kind)), reply->status, verb_of(kind), quoted(reply->denied), quoted(reply->error),
            seconds(delay));
}

/* "One WARNING (not one every poll while it lasts)". */
void say_problem(struct model *m, struct poll_model *poll, enum call_kind kind, const struct reply *reply,
                 usec_t delay) {
        bool first = !poll->problem[0];

        describe_problem(m, poll->problem, kind, reply);
        poll->problem_kind = kind;
        if (first && m->life->cluster && reply->denied)
                say_denied(m, kind, reply, delay);
        else if (first)
                say(m, "WARNING  %s%s operation=%s status=%d error=%s next_try_seconds=%s", api(m),
                    reply->runtime_away ? "'s container runtime is away" : " gives an answer that is of no use",
                    quoted(call_kind_name(kind)), reply->status, quoted(reply->error), seconds(delay));
}

void say_answers_again(struct model *m, struct poll_model *poll) {
        if (poll->problem[0])
                say(m, "INFO     %s answers again operation=%s", api(m), quoted(call_kind_name(poll->problem_kind)));
        poll->problem[0] = '\0';
}

/* Of a list that was had, when it is another than was told before. */
void say_missing(struct model *m) {
        if (strcmp(m->missing, m->told_missing) == 0)
                return;
        m->told_missing = m->missing;
        if (m->missing[0])
                say(m, "INFO     Resources of ToolHive that are not installed in the cluster are passed over "
                    "resources=%s", quoted(m->missing));
        else
                say(m, "INFO     All resources of ToolHive are installed in the cluster");
}

static bool same(struct thing a, struct thing b) {
        return strcmp(a.status, b.status) == 0 && a.url == b.url;
}

void take_workloads(struct model *m, const struct thing *things) {
        struct memory *memory = m->memory;
        unsigned total = 0, running = 0, added = 0, removed = 0, changed = 0;

        for (int i = 0; i < CHAOS_NAMES; i++) {
                struct thing old = memory->workloads ? memory->things[i] : (struct thing) {}, new = things[i];
                char where[16] = "";

                if (m->life->cluster)
                        snprintf(where, sizeof where, " namespace=n%d", namespace_of(i));
                total += new.status != NULL;
                running += new.status && strcmp(new.status, "running") == 0;
                if (!old.status && new.status) {
                        added++;
                        say(m, "INFO     Workload added name=w%d status=%s url=%s%s", name_of(m, i), new.status,
                            url_of(new, i) ?: "null", where);
                } else if (old.status && !new.status) {
                        removed++;
                        say(m, "INFO     Workload removed name=w%d%s", name_of(m, i), where);
                } else if (old.status && !same(old, new)) {
                        changed++;
                        say(m, "INFO     Workload changed name=w%d status=%s previous_status=%s url=%s%s",
                            name_of(m, i), new.status, old.status, url_of(new, i) ?: "null", where);
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
