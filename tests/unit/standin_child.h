/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The stand-in for ToolHive (tests/standin.py) as a child of a test: started, told
 * how to behave over its control port, asked what was asked of it. It ends with
 * the process that started it, however that ends. The tree's root is taken from
 * MCP_OPTIMIZER_SOURCE. What goes wrong here fails the test.
 */

#include "base/http.h"
#include "base/json.h"
#include "base/waiter.h"

struct standin {
        pid_t pid;
        uint16_t port;                  /* 0 when it has only a socket */
        char url[128];                  /* for TOOLHIVE_API_URL */
        char control[64];
        struct waiter waiter;           /* of the control's own HTTP, on the real clock */
        struct http *http;
};

/* option, value: one option of its command line, or NULL and NULL. */
void standin_start(struct standin *standin, const char *option, const char *value);
void standin_stop(struct standin *standin);

/* POST /standin/VERB with that JSON; see the head of standin.py. The caller puts the answer. */
struct json_object *standin_ask(struct standin *standin, const char *verb, const char *format, ...)
        _printf_(3, 4);
/* The same for who does not care about the answer. */
void standin_tell(struct standin *standin, const char *verb, const char *format, ...) _printf_(3, 4);

/* A list in such an answer, borrowed. */
struct json_object *standin_list(struct json_object *answer, const char *key);

/* Compares all requests since the last call with "METHOD PATH\n" for each, and forgets them. */
void standin_expect_requests(struct standin *standin, const char *lines);
/* How many of that method there were since; the search asks too often for a literal list. */
size_t standin_count_requests(struct standin *standin, const char *wanted);
