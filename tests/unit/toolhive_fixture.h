/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A stand-in, and ToolHive's source pinned to it: what all tests of ToolHive's
 * calls begin with. Sockets are real, the waiter's clock is virtual: what has to
 * time out does so by libcurl's own clock, and waits between attempts take no
 * time.
 */

#include "source/toolhive.h"
#include "standin_child.h"
#include "virtual.h"

#define API "/api/v1beta"
#define VERSION "GET " API "/version\n"
#define LIST "GET " API "/workloads?all=true\n"
#define HEALTH "GET /health\n"

extern struct standin standin;
extern struct virtual_waiter v;
extern struct settings settings;
extern struct source *source;
extern struct call call;
extern struct outcome outcome;

void toolhive_setup(void);
void toolhive_teardown(void);

/* Once more, for settings that changed, or pinned to another address. */
void toolhive_open(const char *url);

/* One attempt at a new call; call and outcome keep what came of it until the next. */
void attempt(enum call_kind kind, const char *name);
void expect(enum call_kind kind, const char *name, enum verdict verdict, int status, const char *error);
void expect_done(enum call_kind kind, const char *name, int status);

/* The stand-in misbehaves so often, 0: until forget(). more: further members, beginning with a comma. */
void behave(const char *name, const char *route, unsigned count, const char *more);
/* Good behaviour from now on, and no request so far. */
void forget(void);
