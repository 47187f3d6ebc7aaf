/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The runner: see torture.h. It forks, waits and sums up. A child works the plans
 * off (job.c) and writes where it is to memory that both share, where it is found
 * when the child has died.
 *
 *         test-torture [--all] [--seed SEED] [--only NAME] [--plan memory,N | call,N,ERROR[,on]]
 */

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>

#include "job.h"
#include "own_network.h"

#define ABREAST 8                       /* most of what is tortured waits */
#define JOBS_MAX 256

static const struct operation *const groups[] = {
        /* Those that wait most begin first. */
        command_operations, service_operations, watch_operations, cluster_operations, source_operations,
        report_operations, model_operations,
};

static struct job *jobs;                /* shared with the children */
static size_t n_jobs;

static void start(struct job *job, const struct lot *lot) {
        pid_t parent = getpid(), child = fork();

        if (child == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                        _exit(EXIT_FAILURE);
                job_run(job, lot);
                exit(EXIT_SUCCESS);
        }
        if (child < 0) {
                perror("fork");
                exit(EXIT_FAILURE);
        }
        job->child = child;     /* by the parent alone: the memory is shared */
}

/* True when the job is done; false when another process has to go on with it. */
static bool conclude(struct job *job, int status) {
        job->child = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return true;
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
                job_fail(job, "hangs");
        else if (WIFSIGNALED(status))
                job_fail(job, "dies by signal %d", WTERMSIG(status));
        else
                job_fail(job, "ends with %d: a sanitizer's or valgrind's word", WEXITSTATUS(status));
        /* With a code of its own it came to its end; and without a first run there is nothing to go on from. */
        return WIFEXITED(status) || !job->counted || job->failures >= FAILURES_MAX;
}

static void run_all(const struct lot *lot) {
        size_t next = 0, running = 0;
        int status;

        while (next < n_jobs || running > 0) {
                pid_t child;

                if (next < n_jobs && running < ABREAST) {
                        start(&jobs[next++], lot);
                        running++;
                        continue;
                }
                child = wait(&status);
                if (child < 0)
                        abort();
                for (size_t i = 0; i < next; i++)
                        if (jobs[i].child == child) {
                                if (conclude(&jobs[i], status))
                                        running--;
                                else
                                        start(&jobs[i], lot);
                                break;
                        }
        }
}

/* The dear ones in parts, when there is much to do. */
static void add_jobs(const char *only, bool all) {
        for (size_t group = 0; group < ELEMENTSOF(groups); group++)
                for (const struct operation *operation = groups[group]; operation->name; operation++) {
                        uint32_t parts = all && operation->dear > 2 ? ABREAST : 1;

                        if (only && !strstr(operation->name, only))
                                continue;
                        for (uint32_t part = 0; part < parts && n_jobs < JOBS_MAX; part++)
                                jobs[n_jobs++] = (struct job) { .operation = operation, .part = part, .parts = parts };
                }
}

static bool parse_plan(const char *text, struct inject_plan *plan) {
        char what[8], on[4] = "";

        *plan = (struct inject_plan) {};
        if (sscanf(text, "%7[a-z],%" SCNu32 ",%" SCNu32 ",%3s", what, &plan->n, &plan->error, on) < 2)
                return false;
        plan->what = strcmp(what, "memory") == 0 ? INJECT_MEMORY : INJECT_CALL;
        plan->on = on[0];
        return true;
}

static void parse_arguments(int argc, char **argv, struct lot *lot, const char **only) {
        static struct inject_plan plan;
        const char *seed = getenv("MCP_OPTIMIZER_TORTURE_SEED");

        (void) !getrandom(&lot->seed, sizeof lot->seed, 0);
        lot->seed = seed ? strtoull(seed, NULL, 10) : lot->seed % 1000000;
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--all") == 0)
                        lot->all = true;
                else if (strcmp(argv[i], "--seed") == 0 && argv[i + 1])
                        lot->seed = strtoull(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--only") == 0 && argv[i + 1])
                        *only = argv[++i];
                else if (strcmp(argv[i], "--plan") == 0 && argv[i + 1] && parse_plan(argv[i + 1], &plan)) {
                        lot->one = &plan;
                        i++;
                } else {
                        fprintf(stderr, "usage: see the head of tests/torture/torture.c\n");
                        exit(EXIT_FAILURE);
                }
}

static void tell(const struct job *job) {
        printf("%6" PRIu32 " failures, %5" PRIu32 " calls, %4" PRIu32 " left out, %8.3f s, at most %7.3f s (", job->injected,
               job->places, job->left_out, (double) job->spent / 1e6, (double) job->longest / 1e6);
        job_print_plan(&job->longest_plan);
        printf("): %s\n", job->operation->name);
}

/* True when all is well. */
static bool sum_up(const struct lot *lot) {
        uint32_t injected = 0, places = 0, operations = 0, left_out = 0, failures = 0;

        for (const struct job *job = jobs; job < jobs + n_jobs; job++) {
                if (getenv("CK_VERBOSITY"))
                        tell(job);
                injected += job->injected;
                failures += job->failures;
                if (job->part == 0) {
                        places += job->places;
                        left_out += job->left_out;
                        operations++;
                }
        }
        printf("%" PRIu32 " failures injected in %" PRIu32 " calls of %" PRIu32 " operations, %" PRIu32
               " left out inside json-c, %" PRIu32 " wrong (%s, seed %" PRIu64 ")\n",
               injected, places, operations, left_out, failures, lot->all ? "all" : "drawn", lot->seed);
        return failures == 0 && operations > 0;
}

int main(int argc, char **argv) {
        struct lot lot = {};
        const char *only = NULL;

        parse_arguments(argc, argv, &lot, &only);
        jobs = mmap(NULL, sizeof *jobs * JOBS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (jobs == MAP_FAILED) {
                perror("mmap");
                return EXIT_FAILURE;
        }
        signal(SIGPIPE, SIG_IGN);
        /* A buffer of its own making would be an allocation that is lost. */
        setvbuf(stdout, NULL, _IONBF, 0);
        if (!own_network())
                printf("no network of its own: others' ports may be met\n");

        add_jobs(only, lot.all);
        run_all(&lot);
        return sum_up(&lot) ? EXIT_SUCCESS : EXIT_FAILURE;
}
