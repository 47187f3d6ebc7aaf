/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Inside of the model: its state, and what its parts share.
 *
 *         model.c                polls, reloads, a life
 *         model_retry.c          waits, attempts, retries
 *         model_words.c          log lines
 *         model_state.c          state file, STATUS
 */

#include "model.h"

#define URL_DETAILS 99                  /* a thing's url that the details told */

enum way {
        DONE,
        ANSWERED,
        FAILED,
        GIVEN_UP,
        STOP,
};

enum finding {
        FOUND_NOTHING,
        FOUND_FIRST,
        FOUND_SAME,
        FOUND_OTHER,
};

struct poll_model {
        enum call_kind kind, problem_kind;
        usec_t interval, began, due;
        usec_t next_at;                 /* as told; 0: never */
        unsigned denials;               /* in a row */
        char problem[256];
};

struct model {
        const struct script *script;
        const struct life *life;
        struct memory *memory;
        struct trace *trace;
        struct chaos_clock *clock;

        bool stopping, reload_pending;
        usec_t reloaded_at, file_quiet_until, connection_quiet_until, connection_quiet;
        struct poll_model workloads, registry;

        bool known;
        uint16_t port;
        const char *version;            /* NULL: none yet */
        const struct world *told_several;

        /* the outage */
        unsigned attempt;
        usec_t base, outage_since, began;
        bool immediate_allowed, completed;

        /* of the last call or search */
        const struct reply *reply;
        const struct stock *stock;
        const char *error, *found_error;
        usec_t at_least;                /* what its Retry-After says */

        /* of a cluster */
        bool watching;
        const struct reply *refusal;    /* what was wrong with the last list; NULL: nothing */
        const char *missing, *told_missing;

        /* as told */
        const char *state;
        usec_t since, backoff, next_attempt_at, last_error_at;
        const char *last_error;
        unsigned failures, reconnects, port_changes;
        char told[8192];
        bool told_version;
};

/* ---- model_retry.c ---- */

/* Stops and reloads are noticed where the service looks: STOP, or DONE. */
enum way look(struct model *m);
/* Returns the events, 0 at the deadline, or WAIT_STOP. */
unsigned wait_until(struct model *m, usec_t deadline, unsigned mask);
/* DONE, ANSWERED, GIVEN_UP or STOP. */
enum way operation(struct model *m, enum call_kind kind, int name);

/* ---- model_words.c ---- */

void say(struct model *m, const char *format, ...) _printf_(2, 3);
/* In quotes when it has spaces; static memory. */
const char *quoted(const char *words);
const char *seconds(usec_t usec);

/* What messages call the API. */
const char *api(const struct model *m);
/* RFC 3339 in quotes, or null; when counts as the clock does. Static memory, as below. */
const char *moment(usec_t when);
/* NULL when not known. */
const char *url_of(struct thing thing, int name);
/* Names repeat themselves in the namespaces of a cluster. */
int name_of(const struct model *m, int i);
int namespace_of(int i);

void say_begin(struct model *m);
void say_ignored(struct model *m);
void say_missing(struct model *m);
void expect_call(struct model *m, enum call_kind kind, int name);
void say_found(struct model *m, enum finding finding, uint16_t before, const struct world *world);
void say_retrying(struct model *m, uint16_t before);
void say_failed(struct model *m, usec_t delay);
void say_exhausted(struct model *m);
void say_problem(struct model *m, struct poll_model *poll, enum call_kind kind, const struct reply *reply,
                 usec_t delay);
void say_answers_again(struct model *m, struct poll_model *poll);

/* A completed operation ends the outage. */
void complete(struct model *m);
/* Takes over what is new, and says what is different. */
void take_workloads(struct model *m, const struct thing *things);
void take_registry(struct model *m, const struct stock *stock);

/* ---- model_state.c ---- */

void set_state(struct model *m, const char *state);
/* Connected, degraded and the like, after a poll. */
void judge_state(struct model *m);
/* What the state file and STATUS have to say now, unless they said it before. */
void say_state(struct model *m);
