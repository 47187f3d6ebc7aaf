/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An API server, and Kubernetes' source on it: what all tests of the source begin
 * with. Sockets are real, the waiter's clock is virtual and stands still: what is
 * to come is waited for by its coming, and pauses take no time.
 *
 * One stand-in serves all tests of a program, each of which gets it as new.
 */

#include "source/kubernetes_watch.h"
#include "standin_child.h"
#include "virtual.h"

#define V1BETA1 "/apis/toolhive.stacklok.dev/v1beta1"
#define V1ALPHA1 "/apis/toolhive.stacklok.dev/v1alpha1"
#define VERSION "GET /version\n"
#define LIST(path) "GET " path "?limit=500\n"
#define LISTS LIST(V1BETA1 "/mcpservers") LIST(V1BETA1 "/virtualmcpservers") LIST(V1BETA1 "/mcpremoteproxies")

extern struct standin standin;
extern struct virtual_waiter v;
extern struct settings settings;
extern struct source *source;
extern struct call call;
extern struct outcome outcome;

/* A case of the suite, with the stand-in and what follows around it. */
struct Suite;
struct TCase *cluster_case(struct Suite *suite, const char *name);

/* The source anew, for settings that changed. */
void cluster_open(void);
/* A file of this process with that text, as a token has it: put in place by a rename. Its path. */
char *cluster_token(const char *text);

/* POST /standin/objects and /standin/kubernetes with that JSON object. */
void objects(const char *format, ...) _printf_(1, 2);
void cluster(const char *format, ...) _printf_(1, 2);
/* The stand-in misbehaves so often, 0: until told otherwise. more: further members, beginning with a comma. */
void behave(const char *name, const char *route, unsigned count, const char *more);

/* One attempt at a new call; call and outcome keep what came of it until the next. */
void attempt(enum call_kind kind, const char *name);
void expect(enum call_kind kind, enum verdict verdict, int status, const char *error);
/* A list that is had, with all that it holds as "NAMESPACE/NAME:STATUS …". */
void expect_list(const char *items);
/* The same of what source_ops.changes gives. */
void expect_changes(const char *items);
/* What is wrong beside the last list: its words, or NULL for nothing; outcome keeps the rest. */
void expect_problem(const char *error);

/* ---- watches ---- */

/* One look after the watches, which begins those that are due where the mask has WAIT_CHANGE: what wait returns. */
int look(unsigned mask);
/* Waits until something comes, and looks. */
void drive(void);
#define DRIVE_UNTIL(condition)          \
        while (!(condition))            \
                drive()

/* Begins all that can be watched, of which none was yet, and waits until they have begun. */
void watch_all(void);
bool are_all_answered(void);
/* Time passes until the next change may be told, which comes and is told. */
void expect_told(void);
/* How many requests there were with that path and query. */
size_t count_asked(const char *target);

static inline struct watch *watch_of(enum resource resource) {
        return kubernetes_of(source)->listed[resource].watch;
}
