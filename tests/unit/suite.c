/* SPDX-License-Identifier: Apache-2.0 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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

unsigned suite_slowness(void) {
        const char *given = getenv("MCP_OPTIMIZER_TEST_SLOWNESS");
        long slowness = given ? strtol(given, NULL, 10) : 1;

        return slowness > 1 ? (unsigned) slowness : 1;
}
