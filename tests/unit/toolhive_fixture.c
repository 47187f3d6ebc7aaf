/* SPDX-License-Identifier: Apache-2.0 */

/* See the header. */

#include <check.h>
#include <string.h>

#include "toolhive_fixture.h"

struct standin standin;
struct virtual_waiter v;
struct settings settings;
struct source *source;
struct call call;
struct outcome outcome;

void toolhive_open(const char *url) {
        source = source_free(source);
        settings.toolhive_api_url = (char *) url;
        ck_assert_int_eq(toolhive_new(&settings, &v.waiter, "", &source), 0);
}

void toolhive_setup(void) {
        standin_start(&standin, NULL, NULL);
        virtual_init(&v);
        settings = (struct settings) {
                .timeout = 20 * USEC_PER_SEC,
                .install_timeout = 20 * USEC_PER_SEC,
                .max_retries = 5,
                .initial_backoff = USEC_PER_SEC,
                .max_backoff = 60 * USEC_PER_SEC,
        };
        toolhive_open(standin.url);
}

void toolhive_teardown(void) {
        call_done(&call);
        source = source_free(source);
        standin_stop(&standin);
}

void attempt(enum call_kind kind, const char *name) {
        call_done(&call);
        call = (struct call) { .kind = kind, .name = name };
        ck_assert_int_eq(source->ops->perform(source, &call, &outcome), 0);
}

void expect(enum call_kind kind, const char *name, enum verdict verdict, int status, const char *error) {
        attempt(kind, name);
        ck_assert_msg(outcome.verdict == verdict && outcome.status == status && strcmp(outcome.error, error) == 0,
                      "%s: verdict %d, status %d, \"%s\" instead of %d, %d, \"%s\"", call_kind_name(kind),
                      outcome.verdict, outcome.status, outcome.error, verdict, status, error);
        ck_assert(!outcome.runtime_away);
}

void expect_done(enum call_kind kind, const char *name, int status) {
        expect(kind, name, VERDICT_DONE, status, "");
        ck_assert_uint_eq(outcome.retry_after, USEC_INFINITY);
}

void behave(const char *name, const char *route, unsigned count, const char *more) {
        char limit[16] = "null";

        if (count > 0)
                snprintf(limit, sizeof limit, "%u", count);
        standin_tell(&standin, "behave", "{\"name\":\"%s\",\"route\":\"%s\",\"count\":%s%s}", name, route, limit,
                     more);
}

void forget(void) {
        standin_tell(&standin, "clear", "{}");
        standin_tell(&standin, "reset", "{}");
}
