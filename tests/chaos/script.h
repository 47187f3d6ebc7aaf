/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What befalls a service in a simulated year, all of it from one seed: where
 * ToolHive is and how it answers (worlds, each true from its time on), what comes
 * unasked (reloads, wakes, suspends), and with which settings the service begins
 * each of its lives. And the clock on which all of that happens.
 *
 * Both sides of the comparison read it: the worker through actor.c, the
 * specification through model.c, each with a clock of its own.
 */

#include "base/waiter.h"
#include "source/source.h"

#define CHAOS_START (1000 * USEC_PER_SEC)
#define CHAOS_REALTIME ((usec_t) 1767225600 * USEC_PER_SEC)     /* 2026-01-01T00:00:00Z, at clock 0 */
#define CHAOS_PORT 50001
#define CHAOS_NAMES 6
#define CHAOS_SERVERS 8

/* splitmix64: good enough, and the same everywhere. */
struct chance {
        uint64_t state;
};

uint64_t chance_next(struct chance *chance);
/* In [0, n). */
unsigned chance_below(struct chance *chance, unsigned n);
/* In [0, 1). */
double chance_fraction(struct chance *chance);
bool chance_percent(struct chance *chance, unsigned percent);
/* Of any size between the two, each order of magnitude as likely as the other. */
usec_t chance_duration(struct chance *chance, usec_t shortest, usec_t longest);

enum manner {
        MANNER_GOOD,
        MANNER_ANSWER,                  /* another answer; the identity check passes */
        MANNER_FAILED,                  /* a connection failure, although the identity check passes */
};

struct reply {
        enum manner manner;
        int status;                     /* 0: the answer was too slow or cut short, which some calls may */
        const char *error;
        usec_t retry_after;             /* USEC_INFINITY: nothing said */
        const char *denied;             /* in a cluster: the resources that the account may not have */
        bool runtime_away, not_found;
        usec_t takes;
        bool hangs;                     /* all that time without a sign of progress */
};

/* One workload; url 0: its entry lacks it. */
struct thing {
        const char *status;             /* NULL: not there */
        unsigned url;
};

/* What ToolHive has to tell. */
struct stock {
        struct thing things[CHAOS_NAMES];
        unsigned servers;               /* a bit each */
        unsigned updated;
};

/* The world as lives in a cluster see it: its stock is the same. */
struct cluster {
        bool there;                     /* at CHAOS_PORT */
        struct reply replies[CALL_LIST_WORKLOADS + 1];  /* the version and the list */
        struct reply part, watch;       /* what is wrong beside a good list, and with the watches; status 0: nothing */
        const char *missing;            /* resources that are not installed */
};

struct world {
        usec_t from;
        uint16_t port;                  /* 0: nobody */
        const char *version;
        struct reply replies[CALL_KINDS];
        struct stock stock;
        const char *elsewhere;          /* what becomes of calls to another port */
        usec_t elsewhere_takes;
        const char *nothing;            /* the words of a search in vain */
        usec_t search_takes;
        unsigned n_others;              /* more ToolHives that a search finds, on the ports after it */
        struct cluster cluster;
};

enum happening_kind {
        HAPPENING_RELOAD,
        HAPPENING_FILE,
        HAPPENING_CONNECTION,
        HAPPENING_SUSPEND,
        HAPPENING_CHANGE,               /* the watches of a cluster tell something */
        HAPPENING_EXPIRY,               /* … or that they cannot go on without a list */
};

struct happening {
        usec_t when;
        enum happening_kind kind;
        usec_t asleep;
};

/* The settings of one life of the service, and when it is told to stop. */
struct life {
        unsigned max_retries;
        usec_t initial, maximum;
        double jitter;
        usec_t workloads_interval, registry_interval, delay;
        usec_t watchdog;                /* 0: none */
        bool fixed;                     /* the address is CHAOS_PORT and no other: no search that moves, no file */
        bool cluster;                   /* fixed, in Kubernetes */
        usec_t lasts, pause;            /* then it is stopped; and begins again so much later */
};

struct script {
        uint64_t seed;
        usec_t end;                     /* of everything */
        struct world *worlds;
        size_t n_worlds;
        struct happening *happenings;
        size_t n_happenings;
};

void script_write(struct script *script, uint64_t seed, usec_t span);
void script_free(struct script *script);
const struct world *script_world(const struct script *script, usec_t when);
void script_life(const struct script *script, unsigned number, struct life *ret_life);
/* The chance of a delay that begins at that time, uniform in [0, 1). */
double script_jitter(const struct script *script, usec_t when);

struct chaos_clock {
        const struct script *script;
        usec_t now, stop_at;
        size_t next;                    /* happening */
        unsigned pending;               /* enum wait_event */
        bool expired;                   /* what WAIT_CHANGE is about */
        usec_t asleep;                  /* in all: suspends, of which nobody notices anything else */
};

/* From that time on, for a new process: what was pending is nobody's any more. */
void clock_begin(struct chaos_clock *clock, const struct script *script, usec_t now, usec_t stop_at);
/*
 * Until the deadline or one of the events of the mask, a stop, a reload: returns those. What watches have to tell
 * waits for a reload, and comes before the end of a connection.
 */
unsigned clock_run(struct chaos_clock *clock, usec_t deadline, unsigned mask);
/* The discovery file is read: what has happened to it by now wakes nobody any more. */
void clock_read_file(struct chaos_clock *clock);
/* After a WAIT_CHANGE, once: whether a list is wanted. */
bool clock_take_expiry(struct chaos_clock *clock);
/* A list was had: what the watches told before it is older. */
void clock_forget_changes(struct chaos_clock *clock);
/* The watches were given up, and a list is wanted. */
void clock_expire(struct chaos_clock *clock);
