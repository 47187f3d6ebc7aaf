/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "suite.h"

/* One case, or all of them for NULL. */
static int run(Suite *suite, const char *one) {
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_run(runner, NULL, one, CK_ENV);
        /* A name that no case has must not pass as a case without failures. */
        failed = srunner_ntests_failed(runner) > 0 || srunner_ntests_run(runner) == 0;
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

TCase *suite_case(Suite *suite, const char *name, SFun setup, SFun teardown) {
        TCase *tests = tcase_create(name);

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 60);
        suite_add_tcase(suite, tests);
        return tests;
}

int suite_run(Suite *suite) {
        return run(suite, NULL);
}

int suite_run_abreast(Suite *suite, const char *const *cases) {
        int result = EXIT_SUCCESS, status;

        for (size_t i = 0; cases[i]; i++) {
                pid_t child = fork();

                if (child < 0) {
                        perror("fork");
                        result = EXIT_FAILURE;
                } else if (child == 0)
                        exit(run(suite, cases[i]));
        }
        while (wait(&status) > 0)
                if (status != 0)
                        result = EXIT_FAILURE;
        srunner_free(srunner_create(suite));    /* check's only way to free a suite */
        return result;
}

bool suite_skips(bool condition, const char *test, const char *reason) {
        if (condition)
                printf("skipped: %s: %s\n", test, reason);
        return condition;
}

/*
 * Tasks that want to run, for two per processor, which the suite makes by itself and all limits
 * stand. Both figures, since the wait that is judged has just ended: the mean of the last minute
 * knows it if the load is an old one, and the count of this moment if the load is new.
 */
static double crowd(void) {
        _cleanup_(fclosep) FILE *file = fopen("/proc/loadavg", "re");
        double mean;
        unsigned now;

        if (!file || fscanf(file, "%lf %*f %*f %u", &mean, &now) != 2)
                return 1;
        return (mean > now ? mean : now) / (2 * (double) sysconf(_SC_NPROCESSORS_ONLN));
}

unsigned suite_slowness(void) {
        const char *given = getenv("MCP_OPTIMIZER_TEST_SLOWNESS");
        long slowness = given ? strtol(given, NULL, 10) : 1;
        double crowded = crowd();

        return (unsigned) ((slowness > 1 ? (double) slowness : 1) * (crowded > 1 ? crowded : 1));
}
