/* SPDX-License-Identifier: Apache-2.0 */

/* The polls' lines: see the header. A summary at INFO only when something is different, else at DEBUG. */

#include <string.h>

#include "report/log.h"
#include "service/poll_log.h"

struct changes {
        size_t lines;
        size_t added, removed, changed;
};

static bool line_left(struct changes *changes) {
        return changes->lines < POLL_LINES_MAX && ++changes->lines;
}

static void tell_left_out(const struct changes *changes) {
        size_t all = changes->added + changes->removed + changes->changed;

        if (all > changes->lines)
                log_event(LEVEL_INFO, EVENT_NONE, "Further differences not listed",
                          LOG_INT("count", all - changes->lines));
}

static void workload_differs(enum workload_change change, const struct workload *old,
                             const struct workload *new, void *user) {
        struct changes *changes = user;
        bool line = line_left(changes);

        switch (change) {
        case WORKLOAD_ADDED:
                changes->added++;
                if (line)
                        log_event(LEVEL_INFO, EVENT_WORKLOADS_CHANGED, "Workload added",
                                  LOG_STRING("name", new->name), LOG_STRING("status", new->status),
                                  LOG_STRING("url", new->url),
                                  new->namespace ? LOG_STRING("namespace", new->namespace) : LOG_NOTHING);
                break;
        case WORKLOAD_REMOVED:
                changes->removed++;
                if (line)
                        log_event(LEVEL_INFO, EVENT_WORKLOADS_CHANGED, "Workload removed",
                                  LOG_STRING("name", old->name),
                                  old->namespace ? LOG_STRING("namespace", old->namespace) : LOG_NOTHING);
                break;
        case WORKLOAD_CHANGED:
                changes->changed++;
                if (line)
                        log_event(LEVEL_INFO, EVENT_WORKLOADS_CHANGED, "Workload changed",
                                  LOG_STRING("name", new->name), LOG_STRING("status", new->status),
                                  LOG_STRING("previous_status", old->status), LOG_STRING("url", new->url),
                                  new->namespace ? LOG_STRING("namespace", new->namespace) : LOG_NOTHING);
                break;
        }
}

/* The same trouble as in the poll before; one without a name ("#12") may have another place by now. */
static bool was_bad(const struct workload_list *list, const struct bad_entry *entry) {
        for (size_t i = 0; list && i < list->n_bad && i < BAD_ENTRIES_NAMED; i++) {
                const struct bad_entry *before = &list->bad[i];

                if (strcmp(before->problem, entry->problem) == 0 &&
                    (strcmp(before->name, entry->name) == 0 || (before->name[0] == '#' && entry->name[0] == '#')))
                        return true;
        }
        return false;
}

void poll_log_bad_entries(const struct workload_list *old, const struct workload_list *new) {
        size_t n_old = old ? old->n_bad : 0;

        for (size_t i = 0; i < new->n_bad && i < BAD_ENTRIES_NAMED; i++)
                if (!was_bad(old, &new->bad[i]))
                        log_event(LEVEL_WARNING, EVENT_ENTRY_SKIPPED, "Skipping a workload that makes no sense",
                                  LOG_STRING("name", new->bad[i].name),
                                  LOG_STRING("problem", new->bad[i].problem));

        if (new->n_bad > BAD_ENTRIES_NAMED && new->n_bad != n_old)
                log_event(LEVEL_WARNING, EVENT_ENTRY_SKIPPED, "Skipping more workloads that make no sense",
                          LOG_INT("count", new->n_bad - BAD_ENTRIES_NAMED));
}

size_t poll_log_workloads(const struct workload_list *old, const struct workload_list *new) {
        struct changes changes = {};
        size_t n;

        poll_log_bad_entries(old, new);
        n = workload_list_diff(old, new, workload_differs, &changes);
        tell_left_out(&changes);
        log_event(n > 0 || !old ? LEVEL_INFO : LEVEL_DEBUG, EVENT_WORKLOADS_CHANGED, "Workloads polled",
                  LOG_INT("total", new->n_items), LOG_INT("running", new->running),
                  LOG_INT("skipped", new->skipped), LOG_INT("added", changes.added),
                  LOG_INT("removed", changes.removed), LOG_INT("changed", changes.changed));
        return n;
}

static void server_differs(bool added, const char *name, void *user) {
        struct changes *changes = user;
        bool line = line_left(changes);

        if (added)
                changes->added++;
        else
                changes->removed++;
        if (line)
                log_event(LEVEL_INFO, EVENT_REGISTRY_CHANGED,
                          added ? "Registry server added" : "Registry server removed",
                          LOG_STRING("name", name));
}

size_t poll_log_registry(const struct registry *old, const struct registry *new) {
        struct changes changes = {};
        bool updated = !old || strcmp(old->last_updated ?: "", new->last_updated ?: "") != 0;
        size_t n = updated;

        if (new->n_bad > 0 && (!old || old->n_bad != new->n_bad))
                log_event(LEVEL_WARNING, EVENT_ENTRY_SKIPPED, "Skipping registry servers whose names make no sense",
                          LOG_INT("count", new->n_bad));

        /* With nothing to compare, a whole registry is no news by name. */
        if (old) {
                n += registry_diff(old, new, server_differs, &changes);
                tell_left_out(&changes);
        }
        log_event(n > 0 ? LEVEL_INFO : LEVEL_DEBUG, EVENT_REGISTRY_CHANGED, "Registry polled",
                  LOG_INT("servers", new->n_names), LOG_INT("added", changes.added),
                  LOG_INT("removed", changes.removed), LOG_STRING("last_updated", new->last_updated));
        return n;
}

void poll_log_missing(const char *missing) {
        if (missing[0])
                log_event(LEVEL_INFO, EVENT_NONE, "Resources of ToolHive that are not installed in the cluster are passed over",
                          LOG_STRING("resources", missing));
        else
                log_event(LEVEL_INFO, EVENT_NONE, "All resources of ToolHive are installed in the cluster");
}

void poll_log_problem(const struct source *source, enum call_kind kind, const struct outcome *outcome,
                      usec_t next_try, bool repeated) {
        char message[128];

        if (outcome->denied.verb) {
                snprintf(message, sizeof message, outcome->status == 401 ? "%s does not know the account"
                                                                         : "%s denies the account what it needs",
                         source->ops->name);
                log_event(repeated ? LEVEL_DEBUG : LEVEL_WARNING, EVENT_DEGRADED, message,
                          LOG_STRING("operation", call_kind_name(kind)), LOG_INT("status", outcome->status),
                          LOG_STRING("verb", outcome->denied.verb), LOG_STRING("resources", outcome->denied.resources),
                          LOG_STRING("scope", outcome->denied.scope), LOG_STRING("remedy", outcome->denied.remedy),
                          LOG_STRING("error", outcome->error), LOG_SECONDS("next_try_seconds", next_try));
                return;
        }

        if (outcome->runtime_away)
                snprintf(message, sizeof message, "%s's container runtime is away", source->ops->name);
        else
                snprintf(message, sizeof message, "%s gives an answer that is of no use", source->ops->name);

        log_event(repeated ? LEVEL_DEBUG : LEVEL_WARNING, EVENT_DEGRADED, message,
                  LOG_STRING("operation", call_kind_name(kind)), LOG_INT("status", outcome->status),
                  LOG_STRING("error", outcome->error), LOG_SECONDS("next_try_seconds", next_try));
}

void poll_log_answers_again(const struct source *source, enum call_kind kind) {
        char message[128];

        snprintf(message, sizeof message, "%s answers again", source->ops->name);
        log_event(LEVEL_INFO, EVENT_ANSWERS_AGAIN, message, LOG_STRING("operation", call_kind_name(kind)));
}
