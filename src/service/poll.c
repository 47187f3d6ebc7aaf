/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One poll from its start to the time of the next: run through the retry loop,
 * compared with what was known, and put in its place. What was known stays until
 * a good answer replaces it.
 */

#include <errno.h>
#include <string.h>

#include "service/operation_log.h"
#include "service/poll.h"
#include "service/poll_log.h"

/* From this size on an answer is worth giving its freed memory back at once (malloc_trim(3)). */
#define LARGE_ANSWER ((size_t) 256 << 10)
/* From the first on each one doubles the wait for the next try; then it is over an hour, and the interval less. */
#define DENIALS_MAX 16
/* A shorter interval than this is none: it would keep a core busy. */
#define INTERVAL_MIN (10 * USEC_PER_MSEC)

usec_t poll_next_due(usec_t began, usec_t now, usec_t interval) {
        if (interval == 0)
                return USEC_INFINITY;
        interval = usec_max(interval, INTERVAL_MIN);
        if (now < began)
                return began;
        return began + ((now - began) / interval + 1) * interval;
}

usec_t poll_retry_delay(usec_t interval, usec_t retry_after, usec_t initial_backoff) {
        usec_t longest = interval > 0 ? interval : POLL_RETRY_MAX;

        if (retry_after == USEC_INFINITY)
                return usec_min(longest, POLL_RETRY_MAX);
        return usec_min(usec_max(retry_after, initial_backoff), longest);
}

/* Puts the URL that was learnt elsewhere into the list; without memory the list is good as it is. */
static int put_url(struct workload_list *list, size_t i, const char *url) {
        struct workload fields = *list->items[i], *complete;

        fields.url = url;
        complete = workload_new(&fields);
        if (!complete)
                return -ENOMEM;
        workload_list_replace(list, i, complete);
        return 0;
}

/* Asks for the details of one running workload whose entry lacks its URL, and puts the URL in its place. */
static int ask_details(struct operations *operations, struct workload_list *list, size_t i,
                       struct outcome *outcome) {
        _cleanup_(call_done) struct call call = {
                .kind = CALL_WORKLOAD_DETAILS,
                .name = list->items[i]->name,
                .secondary = true,
        };
        const char *url;
        int r;

        r = operation_run(operations, &call, outcome);
        if (r != 0 || !call.found || json_get_string(call.document, "url", &url) != 0 || !json_is_clean_name(url, 2048))
                return r;

        r = put_url(list, i, url);
        if (r < 0) {
                /* The list is good without it, and the next poll asks again. */
                *outcome = (struct outcome) { .verdict = VERDICT_ANSWER, .retry_after = USEC_INFINITY };
                snprintf(outcome->error, sizeof outcome->error, "%s", errno_words(-r));
                return OPERATION_ANSWER;
        }
        return 0;
}

/* Details that are not to be had now do not unlearn a URL that was known. */
static void keep_url(struct workload_list *list, size_t i, const struct workload_list *known) {
        const struct workload *before;

        before = known ? workload_list_find(known, list->items[i]->namespace, list->items[i]->name) : NULL;
        if (before && before->url)
                (void) put_url(list, i, before->url);   /* without memory it is learnt again by the next poll */
}

static int complete_urls(struct operations *operations, struct workload_list *list, struct outcome *ret_outcome) {
        bool in_time = true;
        int result = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                struct outcome asked;
                int r = OPERATION_ANSWER;

                if (list->items[i]->url || !workload_is_running(list->items[i]))
                        continue;
                /* The details of a remote one have the URL that ToolHive goes to, not the one to come to. */
                if (list->items[i]->remote) {
                        keep_url(list, i, operations->snapshot->workloads);
                        continue;
                }
                /* One that does not answer in time says enough about the rest: the list must not wait for each. */
                if (in_time)
                        r = ask_details(operations, list, i, &asked);
                if (r < 0 || r == OPERATION_EXHAUSTED)
                        return r;
                if (r == 0)
                        continue;
                keep_url(list, i, operations->snapshot->workloads);
                in_time = in_time && asked.status > 0;
                if (result == 0)
                        *ret_outcome = asked;
                result = r;
        }
        return result;
}

/* What is wrong beside a list, and with what. */
static bool has_problem(struct source *source, enum call_kind *ret_kind, struct outcome *ret_outcome) {
        if (!source->ops->problem || !source->ops->problem(source, ret_outcome))
                return false;
        *ret_kind = ret_outcome->of_watch ? CALL_WATCH_WORKLOADS : CALL_LIST_WORKLOADS;
        return true;
}

int poll_complete_list(struct operations *operations, struct workload_list *list, enum call_kind *ret_kind,
                       struct outcome *ret_outcome) {
        struct source *source = operations->source;

        *ret_kind = CALL_LIST_WORKLOADS;
        if (has_problem(source, ret_kind, ret_outcome))
                return OPERATION_ANSWER;
        if (!source->details_tell_urls)
                return 0;
        *ret_kind = CALL_WORKLOAD_DETAILS;
        return complete_urls(operations, list, ret_outcome);
}

/* Takes the list of a good answer over into the snapshot; returns the number of differences. */
static size_t take_workloads(struct snapshot *snapshot, struct call *call) {
        size_t n = poll_log_workloads(snapshot->workloads, call->workloads);

        workload_list_free(snapshot->workloads);
        snapshot->workloads = STEAL(call->workloads);
        return n;
}

static size_t take_registry(struct snapshot *snapshot, struct call *call) {
        size_t n = poll_log_registry(snapshot->registry, call->registry);

        registry_free(snapshot->registry);
        snapshot->registry = STEAL(call->registry);
        return n;
}

/* The answer to a call of this kind was not the expected one: tells it once, and tries again soon. asked: by the poll. */
static void take_problem(struct poll *poll, enum call_kind kind, bool asked, struct operations *operations,
                         const struct settings *settings, const struct outcome *outcome) {
        usec_t delay = poll_retry_delay(poll->interval, outcome->retry_after, settings->initial_backoff);
        char problem[ERROR_MAX];

        /* Rights often come a moment after the account, and an API server that has just begun denies what it allows. */
        if (outcome->denied.verb) {
                delay = usec_min(delay, settings->initial_backoff << usec_min(poll->denials, DENIALS_MAX));
                poll->denials += asked;
        }
        /* Changes that go on coming must not put off the next try. */
        if (!asked)
                delay = usec_min(delay, usec_sub(poll->due, waiter_now(operations->waiter)));

        operation_describe_answer(operations->source, kind, outcome, problem);
        /* One warning for as long as it lasts, also where the answers change: STATUS has the latest. */
        poll_log_problem(operations->source, kind, outcome, delay, poll->report->problem[0]);
        poll->problem_kind = kind;
        snprintf(poll->report->problem, sizeof poll->report->problem, "%s", problem);
        poll->due = waiter_now(operations->waiter) + delay;
}

static void take_success(struct poll *poll, struct operations *operations) {
        poll->denials = 0;
        if (poll->report->problem[0]) {
                poll_log_answers_again(operations->source, poll->problem_kind);
                poll->report->problem[0] = '\0';
        }
        poll->due = poll_next_due(poll->began, waiter_now(operations->waiter), poll->interval);
}

static void set_next_poll_at(struct poll *poll, struct waiter *waiter) {
        poll->report->next_poll_at =
                poll->due == USEC_INFINITY
                        ? 0
                        : waiter_realtime(waiter) + usec_sub(poll->due, waiter_now(waiter));
}

/* Takes over what came, asked for or not; problem: what was wrong, about which call, or NULL. */
static void conclude(struct poll *poll, struct operations *operations, const struct settings *settings,
                     struct call *call, bool asked, const struct outcome *problem, enum call_kind kind,
                     bool *ret_news) {
        struct snapshot *snapshot = operations->snapshot;

        if (call->workloads && strcmp(poll->missing, call->missing) != 0) {
                memcpy(poll->missing, call->missing, sizeof poll->missing);
                poll_log_missing(call->missing);
        }
        if (call->workloads || call->registry) {
                poll->report->polled_at = waiter_realtime(operations->waiter);
                *ret_news = (call->workloads ? take_workloads(snapshot, call) : take_registry(snapshot, call)) > 0;
        }
        if (problem)
                take_problem(poll, kind, asked, operations, settings, problem);
        else
                take_success(poll, operations);
        set_next_poll_at(poll, operations->waiter);
}

int poll_run(struct poll *poll, struct operations *operations, const struct settings *settings,
             bool *ret_news) {
        struct workload_filter filter = { settings->allowed_groups, settings->skipped_workloads };
        _cleanup_(call_done) struct call call = {
                .kind = poll->kind,
                .filter = &filter,
                .known = operations->snapshot->workloads,
        };
        enum call_kind problem_kind = poll->kind;
        struct outcome outcome;
        int r;

        *ret_news = false;
        r = operation_run(operations, &call, &outcome);
        poll->began = operations->attempt_at;
        if (r == 0 && call.workloads)
                r = poll_complete_list(operations, call.workloads, &problem_kind, &outcome);
        if (r < 0 || r == OPERATION_EXHAUSTED)
                return r;

        /* Once more after it has shrunk: the last large one is freed only now. */
        poll->large = poll->was_large || call.answer_size >= LARGE_ANSWER;
        poll->was_large = call.answer_size >= LARGE_ANSWER;
        conclude(poll, operations, settings, &call, true, r == OPERATION_ANSWER ? &outcome : NULL, problem_kind,
                 ret_news);
        return 0;
}

int poll_take_changes(struct poll *poll, struct operations *operations, const struct settings *settings,
                      bool *ret_news) {
        struct workload_filter filter = { settings->allowed_groups, settings->skipped_workloads };
        struct source *source = operations->source;
        _cleanup_(call_done) struct call call = {
                .kind = CALL_LIST_WORKLOADS,
                .filter = &filter,
                .known = operations->snapshot->workloads,
        };
        enum call_kind problem_kind = poll->kind;
        struct outcome outcome;
        bool problem;
        int r;

        *ret_news = false;
        r = source->ops->changes(source, &call);
        if (r == CHANGES_EXPIRED) {
                poll->due = 0;
                return 0;
        }
        if (r < 0)
                return r;
        problem = has_problem(source, &problem_kind, &outcome);
        conclude(poll, operations, settings, &call, false, problem ? &outcome : NULL, problem_kind, ret_news);
        return 0;
}
