/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <check.h>
#include <stdbool.h>

/* A case of the suite, its fixture around each test, with a minute for one. */
TCase *suite_case(Suite *suite, const char *name, SFun setup, SFun teardown);

/* Runs and frees the suite, as chatty as CK_VERBOSITY says. What main() is to return. */
int suite_run(Suite *suite);

/*
 * The same for a suite whose tests wait more than they work: each of its cases,
 * whose names end with NULL, runs in a process of its own, all side by side.
 */
int suite_run_abreast(Suite *suite, const char *const *cases);

/*
 * Whether to skip the test, as the condition says; then with a line that says why, which .ci/run counts:
 *
 *         if (suite_skips(geteuid() != 0, __func__, "only root can give a file away"))
 *                 return;
 */
bool suite_skips(bool condition, const char *test, const char *reason);

/*
 * How many times slower than on a free machine what has just been waited for may have been:
 * MCP_OPTIMIZER_TEST_SLOWNESS, times what too many tasks make of it; at least 1.
 */
unsigned suite_slowness(void);
