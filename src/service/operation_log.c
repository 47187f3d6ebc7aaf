/* SPDX-License-Identifier: Apache-2.0 */

/* The retry loop's messages: see the header. Order and spelling of the pairs are part of the interface. */

#include <string.h>

#include "report/log.h"
#include "service/operation_log.h"

/* Long enough for the longest message with the longest name in front. */
#define MESSAGE_MAX 128

/* "ToolHive connection failed", "Kubernetes API connection failed". */
#define compose(buffer, source, rest) snprintf((buffer), sizeof(buffer), "%s " rest, (source)->ops->name)

void operation_log_failed(const struct source *source, const struct retry *retry, const char *error,
                          usec_t delay) {
        char message[MESSAGE_MAX];

        compose(message, source, "connection failed");
        log_event(LEVEL_WARNING, EVENT_ATTEMPT_FAILED, message,
                  LOG_INT("attempt", retry->attempt),
                  LOG_INT("max_retries", retry->max_attempts),
                  LOG_STRING("error", error),
                  LOG_SECONDS("backoff_seconds", delay));
}

/* A pair that names an address: by its port where the ports tell two addresses apart, else whole. */
static struct log_field address_field(const char *port_key, const char *endpoint_key, bool by_port,
                                      const struct endpoint *endpoint) {
        return by_port ? LOG_INT(port_key, endpoint->port) : LOG_STRING(endpoint_key, endpoint->url);
}

static bool told_by_port(const struct endpoint *old, const struct endpoint *new) {
        return old->port > 0 && new->port > 0 && old->port != new->port;
}

void operation_log_rediscovering(const struct endpoint *previous) {
        log_event(LEVEL_WARNING, EVENT_REDISCOVERING, "Attempting to rediscover ToolHive port",
                  address_field("previous_port", "previous_endpoint", previous->port > 0, previous));
}

void operation_log_found(const struct source *source, enum find_code code, const struct endpoint *previous,
                         const struct found *found) {
        const struct endpoint *new = &found->endpoint;
        char message[MESSAGE_MAX];

        switch (code) {
        case FIND_FIRST:
                snprintf(message, sizeof message, "Connected to %s", source->ops->name);
                log_event(LEVEL_INFO, EVENT_CONNECTED, message,
                          LOG_STRING("endpoint", new->url),
                          /* The API server may keep it to itself. */
                          found->version[0] ? LOG_STRING("version", found->version) : LOG_NOTHING);
                break;
        case FIND_SAME:
                log_event(LEVEL_INFO, EVENT_SAME_PORT, "ToolHive still available on same port",
                          new->port > 0 ? LOG_INT("port", new->port) : LOG_STRING("endpoint", new->url));
                break;
        case FIND_OTHER: {
                bool by_port = told_by_port(previous, new);

                log_event(LEVEL_INFO, EVENT_PORT_CHANGED, "Successfully rediscovered ToolHive on new port",
                          address_field("old_port", "old_endpoint", by_port, previous),
                          address_field("new_port", "new_endpoint", by_port, new));
                break;
        }
        case FIND_NOTHING:
                break;
        }
}

void operation_log_retrying(const struct endpoint *previous, const struct endpoint *new) {
        log_event(LEVEL_INFO, EVENT_RETRYING_IMMEDIATELY,
                  "Port rediscovery successful, retrying immediately",
                  address_field("new_port", "new_endpoint", told_by_port(previous, new), new));
}

static bool same_list(const struct found *a, const struct found *b) {
        if (a->n_others != b->n_others || !endpoint_equal(&a->endpoint, &b->endpoint))
                return false;
        for (size_t i = 0; i < a->n_others; i++)
                if (!endpoint_equal(&a->others[i], &b->others[i]))
                        return false;
        return true;
}

void operation_log_several(struct found *last, const struct found *found) {
        _cleanup_text_ struct text others = TEXT_INIT;

        if (found->n_others == 0 || same_list(last, found))
                return;
        *last = *found;
        for (size_t i = 0; i < found->n_others; i++)
                text_addf(&others, "%s%s", i > 0 ? "," : "", found->others[i].url);
        log_event(LEVEL_WARNING, EVENT_SEVERAL_FOUND,
                  "Several ToolHives found, using the lowest port; set TOOLHIVE_PORT to choose another",
                  LOG_STRING("endpoint", found->endpoint.url),
                  LOG_STRING("others", others.data));
}

void operation_log_restored(const struct source *source, unsigned attempts, usec_t outage) {
        char message[MESSAGE_MAX];

        compose(message, source, "connection restored");
        log_event(LEVEL_INFO, EVENT_RESTORED, message,
                  LOG_STRING("endpoint", source->endpoint.url),
                  LOG_INT("attempts", attempts),
                  LOG_SECONDS("outage_seconds", outage));
}

void operation_log_exhausted(const struct source *source, const struct retry *retry, const char *error) {
        char message[MESSAGE_MAX];

        snprintf(message, sizeof message, "All retry attempts exhausted. %s is unavailable.",
                 source->ops->name);
        log_event(LEVEL_ERROR, EVENT_EXHAUSTED, message, LOG_INT("total_attempts", retry->max_attempts));

        compose(message, source, "connection failure - exiting");
        log_event(LEVEL_CRITICAL, EVENT_EXITING, message,
                  LOG_INT("max_retries", retry->max_attempts),
                  LOG_STRING("last_error", error));
}

void operation_describe_answer(const struct source *source, enum call_kind kind, const struct outcome *outcome,
                               char ret_words[static ERROR_MAX]) {
        const char *name = source->ops->name, *call = call_kind_name(kind);

        if (outcome->runtime_away)
                snprintf(ret_words, ERROR_MAX, "%s's container runtime is away", name);
        else if (outcome->denied.verb)
                snprintf(ret_words, ERROR_MAX, outcome->status == 401 ? "%s does not know the account that would %s %s in %s"
                                                                      : "%s denies the account to %s %s in %s",
                         name, outcome->denied.verb, outcome->denied.resources, outcome->denied.scope);
        else if (outcome->status >= 200 && outcome->status < 300)
                snprintf(ret_words, ERROR_MAX, "%s's answer to %s is of no use (%s)", name, call, outcome->error);
        else if (outcome->status > 0)
                snprintf(ret_words, ERROR_MAX, "%s answers %d to %s", name, outcome->status, call);
        else
                snprintf(ret_words, ERROR_MAX, "%s does not answer %s (%s)", name, call, outcome->error);
}
