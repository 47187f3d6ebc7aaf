/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A ToolHive of the imagination: a source whose answers follow a script on the
 * virtual clock. The script is a list of worlds, each true from its time on:
 *
 *         struct fake_source fake;
 *
 *         fake_init(&fake, &v);
 *         fake_from(&fake, 0, FAKE_NOBODY);
 *         fake_from(&fake, virtual_seconds(30), (struct fake_world) { .port = 50002 });
 *
 * A call to a port where nobody listens is refused; one that reaches the port of
 * the world gets what the world says for its kind, or else the good answer. A
 * search finds the port of the world, and so does the identity check. Every call,
 * search and check is noted with its virtual time.
 *
 * Good answers go through the parsers of the program: workloads and registry are
 * given as JSON.
 *
 * After fake_be_cluster() it is an API server of Kubernetes: never searched for,
 * made known by its first answer, and with changes that come by themselves.
 */

#include "source/source.h"
#include "virtual.h"

enum fake_manner {
        FAKE_GOOD,
        FAKE_ANSWER,                    /* VERDICT_ANSWER */
        FAKE_FAILED,                    /* VERDICT_FAILED, although the identity check passes */
};

struct fake_reply {
        enum fake_manner manner;
        int status;
        const char *error;
        usec_t retry_after;             /* 0: nothing said */
        bool runtime_away;
        bool not_found;                 /* details: a 404 */
        const char *denied;             /* the resources that may not be listed: a 403 by status */
        usec_t takes;                   /* how long the call lasts */
        bool hangs;                     /* all that time without a sign of progress */
};

struct fake_world {
        usec_t from;                    /* since virtual_init(); set by fake_from() */
        uint16_t port;                  /* 0: nobody listens there */
        const char *socket;             /* instead of a port */
        struct fake_reply replies[CALL_KINDS];
        const char *workloads;          /* the body of a list; NULL: none at all */
        const char *registry;           /* the body; NULL: an empty one */
        const char *version;            /* NULL: "v0.44.0", of a cluster "v1.34.1" */
        const char *missing;            /* of a cluster: what is not installed */
        struct outcome problem;         /* of a cluster: what is wrong beside a list; VERDICT_DONE: nothing */
        uint16_t others[2];             /* more ToolHives that a search finds */
        usec_t search_takes;
};

#define FAKE_NOBODY ((struct fake_world) {})

/* The same reply to calls of every kind. */
#define FAKE_ALL(...) { [0 ... CALL_KINDS - 1] = { __VA_ARGS__ } }

struct fake_note {
        enum { FAKE_CALL, FAKE_SEARCH, FAKE_CHECK } what;
        enum call_kind kind;            /* of a call */
        usec_t when;                    /* since virtual_init() */
        struct endpoint endpoint;       /* that was asked */
};

/* What a cluster tells by itself. */
struct fake_change {
        usec_t when;                    /* since virtual_init() */
        int code;                       /* CHANGES_TAKEN: the workloads of the world; CHANGES_EXPIRED, or an errno */
        bool over;
};

struct fake_source {
        struct source source;           /* first: the operations cast back */
        struct virtual_waiter *v;
        struct fake_world worlds[16];
        size_t n_worlds;
        struct fake_change changes[16];
        size_t n_changes;
        struct fake_note notes[4096];
        size_t n_notes;
        bool file_unchanged;            /* the folder was touched, the discovery file was not */
        void (*on_call)(enum call_kind kind);   /* at the end of each call, or NULL */
        bool freed;
};

/* Moves (a search follows failures), knows no endpoint, world 0 is a good ToolHive on port 50001. */
void fake_init(struct fake_source *fake, struct virtual_waiter *v);
/* Once, before anything is asked: in place of ToolHive's ways. */
void fake_be_cluster(struct fake_source *fake);
/* Then, in ascending order: a change is to be told. */
void fake_change_at(struct fake_source *fake, usec_t when, int code);
/* Times in ascending order; from 0 replaces the first world. */
void fake_from(struct fake_source *fake, usec_t when, struct fake_world world);

/*
 * Fills times (size of them) with those of the calls of a kind; CALL_KINDS means
 * all. Returns how many there were, which may be more than size.
 */
size_t fake_calls(const struct fake_source *fake, enum call_kind kind, usec_t *times, size_t size);
/* The same for searches and checks. */
size_t fake_searches(const struct fake_source *fake, usec_t *times, size_t size);
size_t fake_checks(const struct fake_source *fake, usec_t *times, size_t size);

/* Compares the first times with those expected, in seconds, and the number of them. */
void fake_expect_calls(const struct fake_source *fake, enum call_kind kind, size_t n, const double *seconds);
