/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The events that an operator watches
 *
 * Each has a 128-bit ID, which the journal keeps as MESSAGE_ID. Wordings differ (ToolHive or
 * Kubernetes) and may be reworded; the ID is what scripts and alerts match
 * (`journalctl MESSAGE_ID=…`) and what `journalctl -x` looks its explanation up by, in
 * units/mcp-optimizer.catalog. So an ID never changes, is never used for another event, and a
 * new event gets a fresh one from `systemd-id128 new`, with a catalog entry: a test compares
 * this list with the catalog, in both directions.
 *
 * Lines that nobody needs to find again (DEBUG, details of another event) are EVENT_NONE.
 */

#include <stddef.h>

#define EVENTS(EVENT)                                                                   \
        /* the connection */                                                            \
        EVENT(CONNECTED,            "bf1719adc5f045e49f90e7188675d50b")                 \
        EVENT(ATTEMPT_FAILED,       "9723aa852c4f477ab8c4688b5e30fd5a")                 \
        EVENT(REDISCOVERING,        "6dfa605473d34bb4b594b507b027c80b")                 \
        EVENT(PORT_CHANGED,         "119097ff4c50418ab1121f0ea62af426")                 \
        EVENT(SAME_PORT,            "80ae453f8f73469eb761df30939e54fd")                 \
        EVENT(RETRYING_IMMEDIATELY, "09d0e233ac7b4db09dd10e7731f558e1")                 \
        EVENT(RESTORED,             "bcaad22aaa074e7ba028392f41e9884a")                 \
        EVENT(EXHAUSTED,            "df6be39716ab4ee1bd15c92fab89c244")                 \
        EVENT(EXITING,              "f48179c181704d6781f77b1c0afb5456")                 \
        EVENT(DEGRADED,             "ba1371c768aa4b48950a172cc1dbd154")                 \
        EVENT(ANSWERS_AGAIN,        "68dbebd81cfe4dcabbe764d5c89a9199")                 \
        EVENT(SEVERAL_FOUND,        "6db145250cc54c22b5d8dbaf63141af1")                 \
        /* what the polls learnt */                                                     \
        EVENT(ENTRY_SKIPPED,        "6f9e35c467aa4ddb86f5d01fe429f2eb")                 \
        EVENT(WORKLOADS_CHANGED,    "ab316015d5b847d3be055d23b720cdf5")                 \
        EVENT(REGISTRY_CHANGED,     "89a9fae417ee492b99cc87db37d89082")                 \
        /* the service */                                                               \
        EVENT(STARTED,              "d3735cb073f84ba7b898fcd7164f59cb")                 \
        EVENT(INTERNAL_FAILURE,     "ecde9398ac1846f68cfec97d0a9b7b95")                 \
        EVENT(STOPPED,              "7bfe3b33f7de4586bd54047378e687ea")                 \
        EVENT(RELOADED,             "ba93148e6cc14b34b1cce7d230053a34")                 \
        EVENT(STATE_IGNORED,        "c584b8ce1b3b4f67a94c4c285fbfe391")                 \
        EVENT(STATE_UNWRITABLE,     "400b762313f84212b428b7b5a17991a3")                 \
        EVENT(SECOND_SERVICE,       "23e8f58c62ac44fba928016cedd075b8")                 \
        /* the settings */                                                              \
        EVENT(PINNED_OVERRIDES,     "13e62c779e27457e9cdca0a144f7505f")                 \
        EVENT(TOKEN_WITHHELD,       "1147258afdea424f811ec6a0ab1fa44c")                 \
        EVENT(UNKNOWN_VARIABLE,     "cd06fd3de06d44f493cc85f4b3fb8db0")                 \
        EVENT(CONFIG_INVALID,       "7ceb2a5ed6c24867a03ab8fe66557175")

#define EVENT_ENUMERATOR(name, id) EVENT_##name,
enum event {
        EVENT_NONE,
        EVENTS(EVENT_ENUMERATOR)
};
#undef EVENT_ENUMERATOR

/* event_message_id() - the event's MESSAGE_ID as 32 hex digits; NULL for EVENT_NONE. */
static inline const char *event_message_id(enum event event) {
#define EVENT_CASE(name, id) case EVENT_##name: return id;
        switch (event) {
        case EVENT_NONE:
                return NULL;
        EVENTS(EVENT_CASE)
        }
#undef EVENT_CASE
        return NULL;
}
