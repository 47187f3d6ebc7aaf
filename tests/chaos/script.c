/* SPDX-License-Identifier: Apache-2.0 */

/* A year from a seed: see the header. */

#include "script.h"

#define S USEC_PER_SEC
#define MS USEC_PER_MSEC
#define HOUR (3600 * S)

#define PICK(chance, ...)                                                                   \
        ({                                                                                  \
                static const typeof(FIRST_OF(__VA_ARGS__, 0)) _of[] = { __VA_ARGS__ };      \
                _of[chance_below((chance), ELEMENTSOF(_of))];                               \
        })
#define FIRST_OF(first, ...) first

/* ---- chance ---- */

uint64_t chance_next(struct chance *chance) {
        uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

unsigned chance_below(struct chance *chance, unsigned n) {
        return (unsigned) (chance_next(chance) % n);
}

double chance_fraction(struct chance *chance) {
        return (double) (chance_next(chance) >> 11) / 9007199254740992.0;
}

bool chance_percent(struct chance *chance, unsigned percent) {
        return chance_below(chance, 100) < percent;
}

usec_t chance_duration(struct chance *chance, usec_t shortest, usec_t longest) {
        usec_t top = shortest;

        /* A power of two between them, then anything below it. */
        for (unsigned n = chance_below(chance, 64); n > 0; n--)
                top = top * 2 > longest ? shortest : top * 2;
        return shortest + chance_next(chance) % usec_min(top, longest - shortest + 1);
}

double script_jitter(const struct script *script, usec_t when) {
        struct chance chance = { script->seed ^ when };

        return chance_fraction(&chance);
}

/* ---- worlds ---- */

static void change_stock(struct chance *chance, struct stock *stock) {
        for (unsigned n = chance_below(chance, 3); n > 0; n--) {
                struct thing *thing = &stock->things[chance_below(chance, CHAOS_NAMES)];

                thing->status = PICK(chance, (const char *) "running", "running", "stopped", "error", NULL);
                thing->url = chance_percent(chance, 30) ? 0 : 1 + chance_below(chance, 4);
        }
        if (chance_percent(chance, 30)) {
                stock->servers ^= 1u << chance_below(chance, CHAOS_SERVERS);
                stock->updated++;
        }
}

static void write_failure(struct chance *chance, struct reply *reply) {
        reply->manner = MANNER_FAILED;
        if (chance_percent(chance, 20)) {
                reply->error = "Timed out after 10.0 s";
                reply->takes = 10 * S;
        } else
                reply->error = PICK(chance, (const char *) "Connection reset by peer", "Answer cut short");
}

static void write_answer(struct chance *chance, enum call_kind kind, struct reply *reply) {
        reply->manner = MANNER_ANSWER;
        if (chance_percent(chance, 30))
                reply->retry_after = PICK(chance, (usec_t) 0, S, 5 * S, 120 * S, 7200 * S);
        reply->status = PICK(chance, 500, 503, 504, 200);
        if (kind != CALL_LIST_WORKLOADS && chance_percent(chance, 40)) {
                reply->status = 0;
                reply->error = "Timed out after 10.0 s";
                reply->takes = 10 * S;
        } else if (reply->status == 200)
                reply->error = "Unusable body: no JSON object";
        else {
                reply->error = "Internal Server Error";
                reply->runtime_away = kind == CALL_LIST_WORKLOADS && chance_percent(chance, 30);
        }
}

static void write_replies(struct chance *chance, struct world *world, bool sick) {
        usec_t takes = PICK(chance, (usec_t) 0, MS, 30 * MS, 2 * S, 9900 * MS);

        for (enum call_kind kind = 0; kind < CALL_KINDS; kind++) {
                struct reply *reply = &world->replies[kind];

                *reply = (struct reply) { .status = 200, .retry_after = USEC_INFINITY, .takes = takes };
                reply->not_found = kind == CALL_WORKLOAD_DETAILS && chance_percent(chance, 20);
                if (!sick)
                        continue;
                if (kind != CALL_VERSION && chance_percent(chance, 40))
                        write_answer(chance, kind, reply);
                else if (chance_percent(chance, 40))
                        write_failure(chance, reply);
                if (chance_percent(chance, 2)) {
                        reply->takes = chance_duration(chance, S, 600 * S);
                        reply->hangs = true;
                }
        }
}

/* ---- worlds as a cluster ---- */

static void deny(struct chance *chance, struct reply *reply) {
        reply->manner = MANNER_ANSWER;
        reply->status = PICK(chance, 403, 403, 401);
        reply->error = reply->status == 401 ? "Unauthorized" : "x is forbidden";
        reply->denied = PICK(chance, (const char *) "mcpservers", "mcpservers, virtualmcpservers, mcpremoteproxies");
}

/* What is wrong beside a list or with the watches, or nothing. */
static void write_trouble(struct chance *chance, unsigned percent, struct reply *reply) {
        *reply = (struct reply) { .manner = MANNER_ANSWER, .retry_after = USEC_INFINITY };
        if (!chance_percent(chance, percent))
                return;
        reply->status = PICK(chance, 500, 200);
        reply->error = PICK(chance, (const char *) "etcd is away", "Ends as soon as it has begun");
        if (chance_percent(chance, 20))
                reply->retry_after = PICK(chance, (usec_t) 0, 5 * S, 7200 * S);
        if (chance_percent(chance, 60))
                deny(chance, reply);
}

static void write_cluster_reply(struct chance *chance, enum call_kind kind, bool sick, struct reply *reply) {
        *reply = (struct reply) { .status = 200, .retry_after = USEC_INFINITY,
                                  .takes = PICK(chance, (usec_t) 0, MS, 30 * MS, 2 * S) };
        if (!sick)
                return;
        if (kind != CALL_VERSION && chance_percent(chance, 40)) {
                write_answer(chance, kind, reply);
                reply->runtime_away = false;
                if (chance_percent(chance, 50))
                        deny(chance, reply);
        } else if (chance_percent(chance, 50)) {
                write_failure(chance, reply);
                if (chance_percent(chance, 40)) {
                        reply->error = "HTTP 503";
                        reply->retry_after = PICK(chance, (usec_t) 0, S, 30 * S, 300 * S);
                }
        }
        if (chance_percent(chance, 2)) {
                reply->takes = chance_duration(chance, S, 600 * S);
                reply->hangs = true;
        }
}

static void write_cluster(struct chance *chance, struct cluster *cluster, const struct cluster *before, bool sick) {
        cluster->there = chance_percent(chance, before->there ? 80 : 60);
        for (enum call_kind kind = 0; kind < ELEMENTSOF(cluster->replies); kind++)
                write_cluster_reply(chance, kind, sick, &cluster->replies[kind]);
        write_trouble(chance, 10, &cluster->part);
        write_trouble(chance, 10, &cluster->watch);
        cluster->missing = before->missing;
        if (!before->missing || chance_percent(chance, 20))
                cluster->missing = PICK(chance, (const char *) "", "", "mcpremoteproxies",
                                        "virtualmcpservers, mcpremoteproxies");
}

/* ---- worlds as ToolHive's ---- */

static void write_world(struct chance *chance, struct world *world, const struct world *before, bool restless) {
        unsigned what = chance_below(chance, 100);

        world->stock = before->stock;
        change_stock(chance, &world->stock);
        if (what < 25)
                world->port = 0;
        else if (what < 45 || before->port == 0)
                world->port = (uint16_t) (CHAOS_PORT + chance_below(chance, 5));
        else
                world->port = before->port;
        write_replies(chance, world, what >= 80 || (restless && chance_percent(chance, 50)));

        world->version = PICK(chance, (const char *) "v0.44.0", "v0.44.0", "v0.45.1", "build-unknown");
        world->elsewhere = PICK(chance, (const char *) "Connection refused", "Connection refused",
                                "No route to host", "Not ToolHive any more (HTTP 404)");
        if (chance_percent(chance, 10)) {
                world->elsewhere = "Timed out after 10.0 s";
                world->elsewhere_takes = 10 * S;
        }
        world->nothing = PICK(chance, (const char *) "Connection refused", "No ToolHive among 3 open ports");
        world->search_takes = PICK(chance, (usec_t) 0, 0, 300 * MS, 3 * S);
        world->n_others = chance_percent(chance, 15) ? 1 + chance_below(chance, 2) : 0;
        write_cluster(chance, &world->cluster, &before->cluster,
                      what >= 80 || (restless && chance_percent(chance, 50)));
}

/* ---- what comes unasked ---- */

static void add(struct script *script, usec_t when, enum happening_kind kind, usec_t asleep) {
        /* In steps of 4,096, as all growing here. */
        if (script->n_happenings % 4096 == 0) {
                script->happenings = reallocarray(script->happenings, script->n_happenings + 4096,
                                                  sizeof *script->happenings);
                if (!script->happenings)
                        abort();
        }
        script->happenings[script->n_happenings++] = (struct happening) { when, kind, asleep };
}

/* What is another is told by the watches, soon; so is much that is not, and that they have lost their place. */
static void write_changes(struct script *script, struct chance *chance, const struct world *world,
                          const struct world *before, usec_t span) {
        usec_t when = world->from + chance_next(chance) % span;

        if (before->cluster.there && !world->cluster.there && chance_percent(chance, 60))
                add(script, world->from + chance_below(chance, 3000), HAPPENING_CONNECTION, 0);
        if (!world->cluster.there)
                return;
        if (chance_percent(chance, 80))
                add(script, world->from + chance_duration(chance, MS, 2 * S), HAPPENING_CHANGE, 0);
        if (chance_percent(chance, 20))
                for (unsigned n = chance_below(chance, 30); n > 0; n--)
                        add(script, when += chance_duration(chance, 50 * MS, 3 * S), HAPPENING_CHANGE, 0);
        if (chance_percent(chance, 10))
                add(script, when, HAPPENING_EXPIRY, 0);
}

/* A ToolHive that goes ends its connection, one that comes writes its file; and things that only look so. */
static void write_happenings(struct script *script, struct chance *chance, const struct world *world,
                             const struct world *before, usec_t until) {
        usec_t span = until - world->from;

        write_changes(script, chance, world, before, span);
        if (before->port != 0 && before->port != world->port && chance_percent(chance, 60))
                add(script, world->from + chance_below(chance, 3000), HAPPENING_CONNECTION, 0);
        if (before->port != world->port && chance_percent(chance, 60))
                add(script, world->from + chance_below(chance, 5000), HAPPENING_FILE, 0);
        if (chance_percent(chance, 15))
                add(script, world->from + chance_next(chance) % span, HAPPENING_RELOAD, 0);
        if (chance_percent(chance, 5))
                add(script, world->from + chance_next(chance) % span, HAPPENING_SUSPEND,
                    chance_duration(chance, S, 12 * HOUR));
        if (chance_percent(chance, 10)) {
                usec_t when = world->from + chance_next(chance) % span;
                enum happening_kind kind = chance_percent(chance, 50) ? HAPPENING_FILE : HAPPENING_CONNECTION;

                for (unsigned n = chance_below(chance, 30); n > 0; n--)
                        add(script, when += chance_duration(chance, 20 * MS, 3 * S), kind, 0);
        }
}

static int compare(const void *a, const void *b) {
        const struct happening *x = a, *y = b;

        return x->when < y->when ? -1 : x->when > y->when;
}

void script_write(struct script *script, uint64_t seed, usec_t span) {
        struct chance chance = { seed };
        struct world before = {};
        usec_t when = CHAOS_START;
        unsigned restless = 0;          /* worlds to come that change all the time */

        *script = (struct script) { .seed = seed, .end = CHAOS_START + span };
        for (; when < script->end; script->n_worlds++) {
                struct world world = { .from = when };

                if (restless == 0 && chance_percent(&chance, 15))
                        restless = 1 + chance_below(&chance, 15);
                when += chance_duration(&chance, 50 * MS, restless > 0 ? 20 * S : 12 * HOUR);
                write_world(&chance, &world, &before, restless > 0);
                write_happenings(script, &chance, &world, &before, when);
                restless -= restless > 0;
                if (script->n_worlds % 1024 == 0) {
                        script->worlds = reallocarray(script->worlds, script->n_worlds + 1024, sizeof world);
                        if (!script->worlds)
                                abort();
                }
                before = script->worlds[script->n_worlds] = world;
        }
        if (script->n_happenings > 0)
                qsort(script->happenings, script->n_happenings, sizeof *script->happenings, compare);
}

void script_free(struct script *script) {
        free(STEAL(script->worlds));
        free(STEAL(script->happenings));
}

const struct world *script_world(const struct script *script, usec_t when) {
        size_t low = 0, high = script->n_worlds;

        while (high - low > 1) {
                size_t middle = (low + high) / 2;

                if (script->worlds[middle].from <= when)
                        low = middle;
                else
                        high = middle;
        }
        return &script->worlds[low];
}

void script_life(const struct script *script, unsigned number, struct life *ret_life) {
        struct chance chance = { script->seed * 31 + number };
        usec_t interval;

        *ret_life = (struct life) {
                .max_retries = PICK(&chance, 1u, 2, 3, 6, 20, 100, 100, 500),
                .initial = PICK(&chance, S / 10, S / 2, S, S, 3700 * MS, 10 * S),
                .maximum = PICK(&chance, S, 5 * S, 60 * S, 60 * S, 300 * S),
                .jitter = PICK(&chance, 0.0, 0.0, 0.1, 0.5, 1.0),
                .workloads_interval = PICK(&chance, (usec_t) 0, S, 7500 * MS, 60 * S, 60 * S, 300 * S, 300 * S),
                .registry_interval = PICK(&chance, (usec_t) 0, 45 * S, 150 * S, HOUR, 24 * HOUR),
                .watchdog = PICK(&chance, (usec_t) 0, 0, 10 * S, 60 * S, 60 * S),
                .pause = PICK(&chance, (usec_t) 0, S / 10, 10 * S, 10 * S, 600 * S),
        };
        ret_life->cluster = chance_percent(&chance, 33);
        ret_life->fixed = ret_life->cluster || chance_percent(&chance, 20);
        if (ret_life->cluster)
                ret_life->registry_interval = 0;
        ret_life->maximum = usec_max(ret_life->maximum, ret_life->initial);
        if (chance_percent(&chance, 20))
                ret_life->delay = chance_below(&chance, 300) * S;

        /* So that those who poll often do not take all the time there is. */
        interval = usec_min(ret_life->workloads_interval ?: 60 * S, ret_life->registry_interval ?: 60 * S);
        ret_life->lasts = chance_duration(&chance, S, usec_min(20 * 24 * HOUR, interval * 4000));
}
