/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Chaos in virtual time: the real worker lives through simulated days of outages,
 * moves, bad answers, hangs, reloads, wakes, suspends and stops, life after life,
 * and must do at each moment what the specification says.
 *
 *         test-chaos-year [--seed N] [--seeds N] [--days N] [--minutes N]
 *
 * Without a seed there is a new one each time; it is printed, and makes the same
 * again. --seeds: so many, one after the other; --minutes: until that much real time
 * has passed, in the middle of a script if need be.
 */

#include <getopt.h>
#include <inttypes.h>
#include <sys/random.h>
#include <time.h>

#include "actor.h"
#include "model.h"

#define DAY ((usec_t) 86400 * USEC_PER_SEC)

static uint64_t argument_seed, argument_seeds = 1, argument_days = 30, argument_minutes;
static time_t began;

static bool is_time_up(void) {
        return argument_minutes > 0 && time(NULL) - began >= (time_t) argument_minutes * 60;
}

/* A life ends where the worker ended it, and the model must have ended it there, too. */
static void live_through(uint64_t seed, struct figures *figures) {
        struct script script;
        struct trace trace = { .seed = seed };
        struct memory memory = {};
        struct chaos_clock clock = {};
        usec_t now = CHAOS_START;

        actor_forget();
        script_write(&script, seed, argument_days * DAY);
        for (; now < script.end && !is_time_up(); trace.life++) {
                struct life life;
                usec_t begin = now;

                script_life(&script, trace.life, &life);
                now = actor_play(&script, &life, begin, &trace, figures);
                model_live(&script, &life, begin, &memory, &trace, &clock);
                trace_clear(&trace);
                now += life.pause;
        }
        script_free(&script);
}

static bool parse(int argc, char **argv) {
        static const struct option options[] = {
                { "seed", required_argument, NULL, 's' },
                { "seeds", required_argument, NULL, 'n' },
                { "days", required_argument, NULL, 'd' },
                { "minutes", required_argument, NULL, 'm' },
                {},
        };
        bool seeded = false;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                uint64_t value = c == '?' ? 0 : strtoull(optarg, NULL, 10);

                switch (c) {
                case 's':
                        argument_seed = value;
                        seeded = true;
                        break;
                case 'n':
                        argument_seeds = value;
                        break;
                case 'd':
                        argument_days = value;
                        break;
                case 'm':
                        argument_minutes = value;
                        break;
                default:
                        return false;
                }
        }
        if (!seeded && getrandom(&argument_seed, sizeof(uint32_t), 0) != sizeof(uint32_t))
                argument_seed = (uint64_t) time(NULL);
        return optind == argc && argument_days > 0;
}

int main(int argc, char **argv) {
        struct figures figures = {};
        uint64_t n = 0;

        if (!parse(argc, argv)) {
                printf("usage: %s [--seed N] [--seeds N] [--days N] [--minutes N]\n", argv[0]);
                return EXIT_FAILURE;
        }
        actor_init();
        printf("chaos: seed %" PRIu64 ", %" PRIu64 " days each\n", argument_seed, argument_days);
        fflush(stdout);
        began = time(NULL);
        while (argument_minutes > 0 ? !is_time_up() : n < argument_seeds)
                live_through(argument_seed + n++, &figures);

        printf("chaos: %" PRIu64 " seeds, %.1f days lived in %lld s: %u lives, %u in a cluster, %u exhausted, %" PRIu64
               " calls, %" PRIu64 " searches, %" PRIu64 " checks, %" PRIu64 " changes, %" PRIu64 " wake-ups, %" PRIu64
               " lines compared\n",
               n, (double) figures.lived / (double) DAY, (long long) (time(NULL) - began), figures.lives,
               figures.clusters, figures.exhausted, figures.calls, figures.searches, figures.checks, figures.changes,
               figures.wakeups, figures.lines);
        return EXIT_SUCCESS;
}
