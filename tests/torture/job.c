/* SPDX-License-Identifier: Apache-2.0 */

/* The plans of an operation, and its runs: see torture.h. */

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "job.h"
#include "suite.h"

/* Runs of one operation when they are drawn by lot. */
#define DRAWN 120

static struct job *job;                 /* of this process */
static struct inject_plan *plans;
static size_t n_plans;
static bool warming_up;

/* ---- what operations ask ---- */

bool torture_injected(void) {
        return inject_record->injected > 0;
}

bool torture_starves(void) {
        return job->plan.what == INJECT_MEMORY;
}

bool torture_lasts(void) {
        return job->plan.on;
}

void job_print_plan(const struct inject_plan *plan) {
        if (plan->what == INJECT_NOTHING)
                printf("no failure");
        else if (plan->what == INJECT_MEMORY)
                printf("memory,%" PRIu32 "%s", plan->n, plan->on ? ",0,on" : "");
        else
                printf("call,%" PRIu32 ",%" PRIu32 "%s", plan->n, plan->error, plan->on ? ",on" : "");
}

static void _printf_(2, 0) tell_failure(struct job *of, const char *format, va_list arguments) {
        of->failures++;
        printf("FAILED: \"%s\" with ", of->operation->name);
        job_print_plan(&of->plan);
        printf(" (%s): ", of->failed);
        vprintf(format, arguments);
        printf("\n");
}

void job_fail(struct job *of, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        tell_failure(of, format, arguments);
        va_end(arguments);
}

void torture_fail(const char *format, ...) {
        va_list arguments;

        if (warming_up)
                return;
        va_start(arguments, format);
        tell_failure(job, format, arguments);
        va_end(arguments);
}

/* ---- plans ---- */

static void add_plan(struct inject_plan plan) {
        if ((n_plans & (n_plans - 1)) == 0)
                plans = realloc(plans, (n_plans ? 2 * n_plans : 1) * sizeof *plans);
        if (!plans)
                abort();
        plans[n_plans++] = plan;
}

/* Every allocation, every call with each of its errors; each alone, and with all like it that follow. */
static void make_plans(void) {
        for (int on = 0; on < 2; on++) {
                for (uint32_t n = 1; n <= inject_record->allocations; n++)
                        add_plan((struct inject_plan) { .what = INJECT_MEMORY, .n = n, .on = on });
                for (uint32_t n = 1; n <= inject_record->calls && n <= INJECT_TRACE; n++)
                        for (uint32_t error = 0; error < inject_record->trace[n - 1].errors; error++)
                                add_plan((struct inject_plan) { INJECT_CALL, n, error, on });
        }
}

static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* The same lot for the same seed and operation, whatever process asks. */
static void draw_plans(uint64_t state) {
        size_t n = DRAWN / (job->operation->dear ?: 1);

        for (const char *c = job->operation->name; *c; c++)
                state = (state ^ (unsigned char) *c) * 0x100000001b3;
        state = state ?: 1;
        if (n >= n_plans)
                return;
        for (size_t i = 0; i < n; i++) {
                size_t other = i + next_random(&state) % (n_plans - i);
                struct inject_plan plan = plans[i];

                plans[i] = plans[other];
                plans[other] = plan;
        }
        n_plans = n;
}

/* ---- runs ---- */

static size_t count_descriptors(void) {
        _cleanup_(closedirp) DIR *folder = opendir("/proc/self/fd");
        size_t n = 0;

        while (folder && readdir(folder))
                n++;
        return n;
}

static usec_t now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (usec_t) t.tv_sec * USEC_PER_SEC + (usec_t) t.tv_nsec / 1000;
}

static void note_time(usec_t spent) {
        job->spent += spent;
        if (spent > job->longest) {
                job->longest = spent;
                job->longest_plan = job->plan;
        }
}

/* A resolver's thread that libcurl leaves behind gives back what it has within moments, or it never does. */
static void settle(long live, size_t descriptors) {
        for (unsigned i = 0; i < 500 && (inject_live() != live || count_descriptors() != descriptors); i++)
                (void) usleep(USEC_PER_MSEC);
}

/* How many allocations it lost. */
static long run_once(const struct inject_plan *plan) {
        const struct operation *operation = job->operation;
        size_t descriptors = count_descriptors(), left;
        long live = inject_live();
        usec_t began = now();
        int r;

        job->plan = *plan;
        job->failed[0] = '\0';
        alarm(PATIENCE * suite_slowness());
        operation->begin();
        inject_arm(plan);
        r = operation->act();
        inject_disarm();
        memcpy(job->failed, inject_record->failed, sizeof job->failed);
        operation->judge(r);
        if (r != 0 && !torture_injected())
                torture_fail("fails with %d for no reason", r);
        operation->end();
        torture_clear();

        note_time(now() - began);
        job->runs++;
        job->injected += torture_injected();
        if (!warming_up)
                settle(live, descriptors);
        left = count_descriptors();
        if (left != descriptors)
                torture_fail("%zu descriptors are open, of %zu before", left, descriptors);
        return inject_live() - live;
}

/* What a library keeps from now on it keeps once: what is lost is lost each time. */
static void run_plan(const struct inject_plan *plan) {
        long lost = run_once(plan);

        if (lost != 0)
                lost = run_once(plan);
        if (lost != 0)
                torture_fail("%ld allocations are lost each time", lost);
}

void job_run(struct job *wanted, const struct lot *lot) {
        const struct inject_plan nothing = {};

        job = wanted;
        /* What is made once for all, such as libcurl's and OpenSSL's own, is no leak. */
        warming_up = true;
        (void) run_once(&nothing);
        warming_up = false;
        run_plan(&nothing);
        if (!job->counted) {
                job->places = inject_record->allocations + inject_record->calls;
                job->left_out = inject_record->left_out;
                job->runs = 0;
                job->spent = job->longest = 0;
                job->position = job->part;
                job->counted = true;
        }

        if (lot->one)
                add_plan(*lot->one);
        else
                make_plans();
        if (!lot->one && !lot->all)
                draw_plans(lot->seed);
        while (job->position < n_plans && job->failures < FAILURES_MAX) {
                const struct inject_plan *plan = &plans[job->position];

                job->position += job->parts;
                run_plan(plan);
        }
        free(plans);
}
