/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a command that asks the API works with: the service's source, operations
 * and retries, first at the address where the running service is connected,
 * within a time limit, the wait visible on a terminal.
 *
 * Limit and progress line hang on the waiter's hook: when the time is up, it
 * stops the waiter, and the operation unwinds as it does for Ctrl-C.
 */

#include "command/context.h"
#include "command/progress.h"
#include "service/operation.h"

struct client {
        struct command_context *context;        /* borrowed */
        struct source *source;
        struct operations operations;
        struct snapshot snapshot;
        struct progress progress;
        usec_t timeout;                 /* all calls together */
        usec_t deadline;                /* CLOCK_BOOTTIME */
        usec_t next_attempt;            /* CLOCK_BOOTTIME; 0: none is waited for */
        bool timed_out;
};

/* 0, or an enum command_exit, told. client_done() also after a failure. */
int client_init(struct client *client, struct command_context *context, source_maker make_source,
                usec_t timeout);
void client_done(struct client *client);

/*
 * Runs the call through the retries. doing is what the person reads meanwhile:
 * "Listing workloads". 0 with the results in the call; or the exit code of the
 * command, told: spent attempts, another answer than the expected one, the time
 * is up, a signal.
 */
int client_run(struct client *client, struct call *call, const char *doing);

/* The same for who has words of his own for another answer: CLIENT_ANSWER, not told, with the outcome. */
enum { CLIENT_ANSWER = -1 };
int client_try(struct client *client, struct call *call, const char *doing, struct outcome *ret_outcome);

/* Tells such an answer in the words of client_run(). */
void client_tell_answer(const struct client *client, enum log_level level, enum call_kind kind,
                        const struct outcome *outcome);

/*
 * The same for what the command can do without: another answer, or none in time,
 * is a WARNING and 0, and the call is without results. Once the time is up, no
 * later call gets any.
 */
int client_run_optional(struct client *client, struct call *call, const char *doing);

/*
 * Asks for what the list still lacks: poll_complete_list(). What cannot be learnt,
 * or not in time, is a WARNING, and stays unknown. 0, or as above.
 */
int client_complete_list(struct client *client, struct workload_list *list);

/* Waits for so long, the progress line visible: 0, or as above. */
int client_sleep(struct client *client, usec_t usec, const char *doing);

/* The time limit begins anew with another length. */
void client_set_timeout(struct client *client, usec_t timeout);

/*
 * Says that there is no workload (or server) of that name, with the nearest of
 * the names given, if one is near: "There is no workload named fetsh: did you
 * mean fetch?". The exit code is COMMAND_NO_SUCH.
 */
void client_no_such(const char *what, const char *name, const char *const *names, size_t n_names);

#define _cleanup_client_ _cleanup_(client_done)
