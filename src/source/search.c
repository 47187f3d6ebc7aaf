/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The engine of the search
 *
 * One thread, one loop, nothing blocks but http_run(). Each turn starts the steps that are due and
 * as many of their targets as there is room for, takes what the scan and the transfers have
 * concluded, gives up what is too old, and looks whether an answer may be taken. Then it sleeps
 * until something happens or falls due. All waiting is one number, next_wake().
 *
 * A target that refuses costs no memory and no request. One that does not is a candidate and holds
 * a descriptor until it is decided, first connecting and then being asked. The range may hold as
 * many as there is room for; the other steps have a handful each and take theirs from a reserve, so
 * that a range full of silent ports cannot keep them waiting.
 *
 * When the range wants more room than there is, its candidates have to be quicker: each may stay as
 * long as lets the rest have the same before the search's deadline. A host that drops packets is
 * scanned to its end that way, and where there is room for all, nobody is hurried.
 */

#include <errno.h>

#include "source/search.h"

#define BURST 256                       /* connects before the waiter is asked again: about 3 ms */
#define DECIDED_BATCH 64

int search_init(struct search *search) {
        TAILQ_INIT(&search->active);
        search->room = scan_room();
        return scan_new(&search->scan);
}

/* The candidate's end, whatever came of it. */
static void drop(struct search *search, struct candidate *candidate) {
        TAILQ_REMOVE(&search->active, candidate, entry);
        search->steps[candidate->kind].n_active--;
        candidate_free(candidate);
}

void search_done(struct search *search) {
        while (!TAILQ_EMPTY(&search->active))
                drop(search, TAILQ_FIRST(&search->active));
        scan_free(search->scan);
}

static void fail(struct search *search, struct candidate *candidate,
                 const struct failure *failure) {
        tally_failed(&search->tally, candidate->kind, candidate->rank, failure);
        drop(search, candidate);
}

static void fail_errno(struct search *search, struct candidate *candidate, int error) {
        struct failure failure;

        failure_from_errno(&failure, error);
        fail(search, candidate, &failure);
}

/* The connection stands, or there is none to wait for. */
static void ask(struct search *search, struct candidate *candidate, usec_t now) {
        struct failure failure;

        search->n_transfers++;
        if (candidate_ask(candidate, search->http, now, &failure) != 0)
                fail(search, candidate, &failure);
}

/* Makes a candidate of a target that has not failed to connect yet; fd is owned from now on. */
static int add_candidate(struct search *search, const struct target *target, enum step_kind kind,
                         size_t rank, int fd, usec_t now) {
        struct step *step = &search->steps[kind];
        struct candidate *candidate = candidate_new(target, step, kind, rank, fd);
        int r;

        if (!candidate) {
                closep(&fd);
                return -ENOMEM;
        }
        candidate->started_at = now;
        candidate->timeout = search->timeout;
        TAILQ_INSERT_TAIL(&search->active, candidate, entry);
        step->n_active++;

        if (fd < 0) {
                ask(search, candidate, now);
                return 0;
        }
        r = scan_watch(search->scan, fd, candidate);
        if (r < 0)
                fail_errno(search, candidate, -r);
        return 0;
}

/* Whether it is the system that is short of something, so that the target is asked later. */
static bool is_shortage(int error) {
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Asks the step's next target. 0, -EAGAIN when there is no room for it at present, or -ENOMEM. */
static int start_target(struct search *search, enum step_kind kind, usec_t now) {
        struct step *step = &search->steps[kind];
        struct failure failure;
        struct target target;
        int fd = -1, error = 0;

        step_target(step, &search->addresses, step->next, &target);
        if (step_asked_before(search->steps, kind, &search->addresses, &target)) {
                step->next++;
                return 0;
        }

        if (target.port) {
                fd = scan_connect(search->scan, &target.socket);
                error = fd < 0 ? -fd : 0;
        } else if (access(target.fixed->socket, F_OK) < 0 && errno == ENOENT)
                error = ECONNREFUSED;   /* a server that has ended takes its socket with it */

        if (is_shortage(error) && kind == STEP_RANGE && step->n_active > 0) {
                search->room = step->n_active;
                return -EAGAIN;
        }

        tally_asked(&search->tally, kind, step->next);
        if (error == 0)
                return add_candidate(search, &target, kind, step->next++, fd, now);

        failure_from_errno(&failure, error);
        tally_failed(&search->tally, kind, step->next++, &failure);
        return 0;
}

static bool has_room(const struct search *search, enum step_kind kind) {
        return kind != STEP_RANGE || search->steps[kind].n_active < search->room;
}

static bool has_targets(const struct search *search, enum step_kind kind) {
        const struct step *step = &search->steps[kind];

        return step->started && step->next < step_size(step, &search->addresses);
}

static bool has_failed(const struct search *search, const struct step *step) {
        return !step_is_open(step, &search->addresses) && step->n_passes == 0;
}

/* When the next step starts: once the one before has failed or is old enough. */
static usec_t next_step_at(const struct search *search) {
        const struct step *before;

        if (search->n_started == STEPS)
                return USEC_INFINITY;
        if (search->n_started == 0)
                return 0;
        before = &search->steps[search->n_started - 1];
        return has_failed(search, before) ? 0 : usec_add(before->started_at, STEP_STAGGER);
}

/* Starts the steps that are due and their targets, up to a burst. 0 or -ENOMEM. */
static int start_due(struct search *search, usec_t now) {
        size_t burst = BURST;
        int r;

        do {
                if (next_step_at(search) <= now) {
                        struct step *step = &search->steps[search->n_started++];

                        step->started = true;
                        step->started_at = now;
                }
                for (enum step_kind kind = 0; kind < search->n_started; kind++)
                        while (has_targets(search, kind) && has_room(search, kind)) {
                                if (burst-- == 0)
                                        return 0;
                                r = start_target(search, kind, now);
                                if (r == -EAGAIN)
                                        break;
                                if (r < 0)
                                        return r;
                        }
        } while (next_step_at(search) <= now);
        return 0;
}

static int take_connects(struct search *search, usec_t now) {
        void *decided[DECIDED_BATCH];
        int n, r;

        do {
                n = scan_decided(search->scan, decided, ELEMENTSOF(decided));
                if (n < 0)
                        return n;
                for (int i = 0; i < n; i++) {
                        struct candidate *candidate = decided[i];

                        r = scan_result(search->scan, candidate->fd);
                        if (r < 0) {
                                fail_errno(search, candidate, -r);
                                continue;
                        }
                        tally_open(&search->tally, candidate->endpoint.port);
                        ask(search, candidate, now);
                }
        } while (n == (int) ELEMENTSOF(decided));
        return 0;
}

static void take_answer(struct search *search, struct candidate *candidate, usec_t now) {
        struct step *step = &search->steps[candidate->kind];
        struct pass pass = { .rank = candidate->rank };
        struct failure failure;

        switch (candidate_look(candidate, search->http, now, pass.version, &failure)) {
        case 0:
                return;
        case CANDIDATE_PASSED:
                pass.endpoint = candidate->endpoint;
                step_add_pass(step, &pass, now);
                drop(search, candidate);
                return;
        case CANDIDATE_UNPROVEN:
                step->unproven = true;
                fail(search, candidate, &failure);
                return;
        case CANDIDATE_FAILED:
                fail(search, candidate, &failure);
                return;
        }
}

static void take_answers(struct search *search, usec_t now) {
        struct candidate *candidate = TAILQ_FIRST(&search->active), *next;

        for (; candidate; candidate = next) {
                next = TAILQ_NEXT(candidate, entry);
                take_answer(search, candidate, now);
        }
}

/* How long a candidate of the step may take: its time-out, or its fair share of what is left. */
static usec_t patience(const struct search *search, enum step_kind kind, usec_t now) {
        const struct step *step = &search->steps[kind];
        usec_t left = usec_sub(search->deadline, now);
        size_t waiting;

        if (has_room(search, kind) || !has_targets(search, kind))
                return search->timeout;
        waiting = step_size(step, &search->addresses) - step->next;
        return usec_min(search->timeout, left * search->room / (waiting + search->room));
}

static void give_up_old(struct search *search, usec_t now) {
        usec_t least = patience(search, STEP_RANGE, now);
        struct candidate *candidate = TAILQ_FIRST(&search->active), *next;
        struct failure failure;

        for (; candidate; candidate = next) {
                usec_t age = usec_sub(now, candidate->started_at);
                bool over = now >= search->deadline;

                if (!over && age < least)
                        return;
                next = TAILQ_NEXT(candidate, entry);
                if (!over && candidate->kind != STEP_RANGE && age < search->timeout)
                        continue;
                failure_from_timeout(&failure, usec_min(age, search->timeout));
                fail(search, candidate, &failure);
        }
}

static size_t lowest_active(const struct search *search, enum step_kind kind) {
        const struct candidate *candidate;
        size_t lowest = SIZE_MAX;

        TAILQ_FOREACH(candidate, &search->active, entry)
                if (candidate->kind == kind && candidate->rank < lowest)
                        lowest = candidate->rank;
        return lowest;
}

/* When the answer of a step may be taken; USEC_INFINITY while it has none. */
static usec_t take_at(const struct search *search, enum step_kind kind) {
        const struct step *step = &search->steps[kind];

        if (step->n_passes == 0)
                return USEC_INFINITY;
        return step_take_at(step, kind, &search->addresses, lowest_active(search, kind));
}

/*
 * The first step in order that has not failed, provided that its answer may be
 * taken by now. At the deadline, when nothing is under way any more, any answer may.
 */
static const struct step *choose(const struct search *search, usec_t now) {
        for (enum step_kind kind = 0; kind < STEPS; kind++) {
                const struct step *step = &search->steps[kind];

                if (take_at(search, kind) <= now || (now >= search->deadline && step->n_passes > 0))
                        return step;
                if (!has_failed(search, step) && now < search->deadline)
                        return NULL;
        }
        return NULL;
}

static bool is_over(const struct search *search, usec_t now) {
        if (now >= search->deadline)
                return true;
        for (enum step_kind kind = 0; kind < STEPS; kind++)
                if (step_is_open(&search->steps[kind], &search->addresses))
                        return false;
        return true;
}

static usec_t next_wake(const struct search *search, usec_t now) {
        usec_t wake = usec_min(search->deadline, next_step_at(search));
        const struct candidate *candidate;

        for (enum step_kind kind = 0; kind < search->n_started; kind++) {
                if (has_targets(search, kind) && has_room(search, kind))
                        return now;
                /* What is due already waits for an earlier step, and no clock can help it. */
                if (take_at(search, kind) > now)
                        wake = usec_min(wake, take_at(search, kind));
        }
        TAILQ_FOREACH(candidate, &search->active, entry) {
                usec_t limit = patience(search, candidate->kind, now);

                wake = usec_min(wake, usec_add(candidate->started_at, limit));
                if (candidate->kind == STEP_RANGE)
                        break;          /* those behind it are younger */
        }
        return wake;
}

int search_run(struct search *search, const struct step **ret_step) {
        for (;;) {
                usec_t now = waiter_now(search->waiter);
                int r;

                r = start_due(search, now);
                if (r < 0)
                        return r;
                r = take_connects(search, now);
                if (r < 0)
                        return r;
                take_answers(search, now);
                give_up_old(search, now);

                *ret_step = choose(search, now);
                if (*ret_step)
                        return 0;
                if (is_over(search, now))
                        return LOCATE_NOTHING;

                r = http_run(search->http, scan_fd(search->scan), next_wake(search, now));
                if (r < 0)
                        return r;
        }
}
