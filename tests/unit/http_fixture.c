/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>

#include "http_fixture.h"

struct waiter waiter;
struct http *http;

void http_setup(void) {
        ck_assert_int_eq(waiter_init(&waiter), 0);
        ck_assert_int_eq(http_new(&waiter, 1, &http), 0);
}

void http_teardown(void) {
        http = http_free(http);
        waiter_done(&waiter);
}
