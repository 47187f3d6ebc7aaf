/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What changes after a list: a request for each resource whose answer does not
 * end, one line for each event (ADDED, MODIFIED, DELETED, and from time to time a
 * BOOKMARK, which only says how far all has been told). The three share the
 * multi handle with all other requests, and are driven wherever that is.
 *
 * A watch goes on from the version up to which the store is right. Its end is no
 * news: a server ends it after the time that it is given for it, or restarts, or
 * something between the two has had enough; then it begins again from where it
 * was. If it then cannot begin, that is WAIT_CONNECTION: the worker asks whether
 * the API server is still there, and where it is not, the retry loop takes over,
 * whose failure stops the watches until there is a list again. Where the server
 * does not remember that far back (410), a list is wanted as well.
 *
 * A watch that ends as soon as it has begun must not keep two machines busy: the
 * first time it begins anew at once, then after 1, 2, 4 … 60 s, until one holds.
 * In an outage the retry loop's delays take the place of these.
 *
 * A server that is told to end lets its watches be, and silent, for a minute; what
 * it ends at once is the connection that the lists are asked on. So that one is
 * watched too.
 */

#include <errno.h>
#include <string.h>

#include "source/kubernetes_watch.h"

#define TIMEOUT_SECONDS "290"
/* A watch in which nothing at all is told for so long is not one any more. */
#define SILENCE_MAX (300 * USEC_PER_SEC)
/* What lasts so long holds. */
#define STEADY_AFTER (10 * USEC_PER_SEC)
#define PAUSE_MAX (60 * USEC_PER_SEC)
/* From so many ends in a row on, it is told. */
#define FAILURES_TOLD 3
#define ERROR_BODY_MAX ((size_t) 64 << 10)
/* Changes that come together are told together, and telling them takes a fifth of the time at most. */
#define QUIET_MIN (50 * USEC_PER_MSEC)
#define QUIET_MAX USEC_PER_SEC
#define QUIET_SHARE 4

int watch_new(struct kubernetes *kubernetes, struct listed *listed, struct watch **ret_watch) {
        struct watch *watch = malloc(sizeof *watch);

        if (!watch)
                return -ENOMEM;
        *watch = (struct watch) {
                .kubernetes = kubernetes,
                .listed = listed,
                .begin_at = USEC_INFINITY,
                .problem.verdict = VERDICT_DONE,
        };
        *ret_watch = watch;
        return 0;
}

/* Ends what is under way. */
static void drop(struct watch *watch) {
        watch->transfer = http_transfer_free(watch->transfer);
        free(STEAL(watch->token));
        text_done(&watch->line);
        watch->answered = watch->too_old = false;
        watch->told[0] = '\0';
}

struct watch *watch_free(struct watch *watch) {
        if (!watch)
                return NULL;
        drop(watch);
        free(watch);
        return NULL;
}

void watch_stop(struct watch *watch) {
        drop(watch);
        watch->begin_at = USEC_INFINITY;
        watch->failures = 0;
        watch->problem = (struct outcome) { .verdict = VERDICT_DONE };
        watch->changed = watch->troubled = watch->expired = watch->lost = false;
}

void watch_expire(struct watch *watch) {
        watch->begin_at = USEC_INFINITY;
        watch->expired = true;
}

const struct outcome *watch_problem(const struct watch *watch) {
        return &watch->problem;
}

static void clear_problem(struct watch *watch) {
        watch_set_problem(watch, &(struct outcome) { .verdict = VERDICT_DONE });
}

static usec_t pause_after(unsigned failures) {
        if (failures <= 1)
                return 0;
        return failures > 8 ? PAUSE_MAX : usec_min(USEC_PER_SEC << (failures - 2), PAUSE_MAX);
}

/* A list of which nobody says when it was leaves nothing to go on from. */
static void tell_no_version(struct watch *watch) {
        struct outcome problem;

        kubernetes_unusable(&problem, "no \"resourceVersion\" to watch from");
        watch_set_problem(watch, &problem);
}

void watch_listed(struct watch *watch) {
        const char *version = watch->listed->resource_version;

        /* Too many were told, and the list is not too long. */
        if (watch->failures == 0 && watch->problem.status == 200)
                clear_problem(watch);
        if (!version[0])
                tell_no_version(watch);
        watch->changed = watch->troubled = watch->expired = false;
        if (watch->transfer && !watch_is_newer(watch->told, version))
                return;
        drop(watch);
        /* In a pause it is due when it was: lists that come more often than pauses end must not put it off for ever. */
        watch->begin_at = version[0] ? usec_min(watch->begin_at, watch_now(watch) + pause_after(watch->failures))
                                     : USEC_INFINITY;
}

/* ---- beginning and end ---- */

static int start(struct watch *watch) {
        struct kubernetes *kubernetes = watch->kubernetes;
        struct http_request request = {
                .method = "GET",
                .ca_file = kubernetes->settings->k8s_ca_file,
                .timeout = kubernetes->settings->timeout,
                .body_max = ERROR_BODY_MAX,
                .receive = watch_receive,
                .user = watch,
        };
        char version[3 * RESOURCE_VERSION_SIZE];
        _cleanup_text_ struct text url = TEXT_INIT;
        int r;

        (void) url_escape(watch->listed->resource_version, version);
        kubernetes_add_url(kubernetes, watch->listed, watch->listed->version, &url);
        text_addf(&url, "?watch=true&allowWatchBookmarks=true&timeoutSeconds=" TIMEOUT_SECONDS "&resourceVersion=%s",
                  version);
        r = text_error(&url);
        if (r == 0)
                r = kubernetes_read_token(kubernetes, &watch->token);
        if (r < 0)
                return r;
        request.url = url.data;
        request.token = watch->token;
        return http_start(kubernetes->http, &request, &watch->transfer);
}

/* One end more without one that held: by which status, and why. */
static void fail(struct watch *watch, int status, const char *error) {
        struct outcome problem = { .verdict = VERDICT_ANSWER, .status = status, .retry_after = USEC_INFINITY };

        snprintf(problem.error, sizeof problem.error, "%s", error);
        drop(watch);
        watch->failures++;
        watch->begin_at = watch_now(watch) + pause_after(watch->failures);
        if (watch->failures >= FAILURES_TOLD)
                watch_set_problem(watch, &problem);
}

static void begin(struct watch *watch) {
        usec_t now = watch_now(watch);
        int r;

        watch->begin_at = USEC_INFINITY;
        watch->begun_at = watch->heard_at = now;
        memcpy(watch->told, watch->listed->resource_version, sizeof watch->told);
        /* A token that cannot be read is told by the next list. */
        r = start(watch);
        if (r < 0) {
                fail(watch, 0, errno_words(-r));
                watch->begin_at = usec_max(watch->begin_at, now + USEC_PER_SEC);
        }
}

static void expire(struct watch *watch, int status, const char *error) {
        fail(watch, status, error);
        watch_expire(watch);
}

static bool has_other_token(const struct watch *watch) {
        _cleanup_(freep) char *token = NULL;

        return watch->token && kubernetes_read_token(watch->kubernetes, &token) == 0 && token &&
               strcmp(token, watch->token) != 0;
}

/* It was not to be had: why? */
static void refused(struct watch *watch, const struct http_response *response) {
        struct outcome outcome;

        switch (kubernetes_read_answer(watch->kubernetes, response, "watch", watch->listed, &outcome)) {
        case ANSWER_EXPECTED:
        case ANSWER_FAILED:
                fail(watch, outcome.status, outcome.error);
                watch->lost = true;
                if (outcome.retry_after != USEC_INFINITY)
                        watch->begin_at = usec_max(watch->begin_at, watch_now(watch) + outcome.retry_after);
                break;
        case ANSWER_NOT_FOUND:
        case ANSWER_GONE:
                expire(watch, outcome.status, outcome.error);
                break;
        case ANSWER_OTHER:
                if (outcome.status == 401 && has_other_token(watch)) {
                        fail(watch, outcome.status, outcome.error);
                        break;
                }
                drop(watch);
                watch_set_problem(watch, &outcome);
                break;
        }
}

/* It has begun, and is over. */
static void ended(struct watch *watch) {
        if (watch->too_old)
                expire(watch, 410, "Too old as soon as it has begun");
        else if (watch_now(watch) - watch->begun_at >= STEADY_AFTER) {
                drop(watch);
                watch->begin_at = watch_now(watch);
        } else
                fail(watch, 200, "Ends as soon as it has begun");
}

/* What has become of it since the last look. */
static void look(struct watch *watch, usec_t now) {
        const struct http_response *response;

        if (!watch->transfer)
                return;
        if (!watch->answered && http_status(watch->transfer) == 200) {
                watch->answered = true;
                watch->heard_at = now;
                /* One that was refused is so no more; one that did not hold has to hold first. */
                if (watch->failures == 0 && watch->problem.status != 200)
                        clear_problem(watch);
        }
        if (watch->answered && watch->failures > 0 && now - watch->begun_at >= STEADY_AFTER) {
                watch->failures = 0;
                clear_problem(watch);
        }

        response = http_finished(watch->transfer);
        if (watch->answered && (response || now - watch->heard_at >= SILENCE_MAX))
                ended(watch);
        else if (response)
                refused(watch, response);
        else if (!watch->answered && now - watch->begun_at >= watch->kubernetes->settings->timeout) {
                fail(watch, 0, "Timed out");
                watch->lost = true;
        }
}

/* When the next look is due, whatever comes before. */
static usec_t next_look(const struct watch *watch) {
        if (!watch->transfer)
                return watch->begin_at;
        if (!watch->answered)
                return watch->begun_at + watch->kubernetes->settings->timeout;
        if (watch->failures > 0)
                return watch->begun_at + STEADY_AFTER;
        return watch->heard_at + SILENCE_MAX;
}

/* ---- waiting ---- */

bool watch_take_change(struct watch *watch) {
        bool changed = watch->changed || watch->troubled;

        watch->changed = watch->troubled = false;
        return changed;
}

bool watch_take_expiry(struct watch *watch) {
        bool expired = watch->expired;

        watch->expired = false;
        return expired;
}

/*
 * Looks after all of them: what there is to tell, as events; *until becomes earlier
 * where a look is due before. What is wrong with one is told when all have been
 * answered: most likely it is wrong with the others as well.
 */
static unsigned look_after(struct kubernetes *kubernetes, usec_t now, bool may_begin, usec_t *until) {
        bool troubled = false, unanswered = false;
        unsigned events = 0;

        for (size_t i = 0; i < RESOURCES; i++) {
                struct watch *watch = kubernetes->listed[i].watch;

                look(watch, now);
                if (may_begin && !watch->transfer && now >= watch->begin_at)
                        begin(watch);
                if (may_begin || watch->transfer)
                        *until = usec_min(*until, next_look(watch));
                if (watch->changed || watch->expired)
                        events |= WAIT_CHANGE;
                if (watch->lost)
                        events |= WAIT_CONNECTION;
                troubled |= watch->troubled;
                unanswered |= watch->transfer && !watch->answered;
        }
        return troubled && !unanswered ? events | WAIT_CHANGE : events;
}

static void forget_losses(struct kubernetes *kubernetes) {
        for (size_t i = 0; i < RESOURCES; i++)
                kubernetes->listed[i].watch->lost = false;
}

/* What was told last took some time to be written down: so long, and then some, nothing is told. */
static void keep_quiet(struct kubernetes *kubernetes, usec_t now) {
        usec_t quiet;

        if (kubernetes->told_at == 0)
                return;
        quiet = usec_max(QUIET_SHARE * (now - kubernetes->told_at), QUIET_MIN);
        kubernetes->quiet_until = now + usec_min(quiet, QUIET_MAX);
        kubernetes->told_at = 0;
}

int kubernetes_wait(struct source *source, usec_t deadline, unsigned mask) {
        struct kubernetes *kubernetes = kubernetes_of(source);
        usec_t now = waiter_now(source->waiter);

        keep_quiet(kubernetes, now);
        for (bool first = true;; first = false) {
                usec_t until = deadline;
                unsigned events;
                int r;

                events = look_after(kubernetes, now, mask & WAIT_CHANGE, &until) & mask;
                if ((events & WAIT_CHANGE) && now >= kubernetes->quiet_until) {
                        kubernetes->told_at = now;
                        return WAIT_CHANGE;
                }
                if (events & WAIT_CHANGE)
                        until = usec_min(until, kubernetes->quiet_until);
                if (events & WAIT_CONNECTION) {
                        forget_losses(kubernetes);
                        return WAIT_CONNECTION;
                }
                if (!first && now >= deadline)
                        return 0;

                r = http_wait(kubernetes->http, until, mask & (WAIT_RELOAD | WAIT_CONNECTION));
                if (r < 0 || (r & ~WAIT_CHANGE))
                        return r;
                now = waiter_now(source->waiter);
        }
}
