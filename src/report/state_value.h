/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading the values of a state file that has passed json_scan(): all return false on a doubt. */

#include "base/json.h"

/* A member that is looked for in an object. */
struct state_member {
        const char *key;
        struct json_slice value;        /* none before it is found */
};

/* Finds all members in one walk. False when one is missing or there twice; null is a value here. */
bool state_value_collect(struct json_slice object, struct state_member *members, size_t n_members);

/* A string that can be shown, of 1 to max bytes; the buffer has room for one more. */
bool state_value_string(struct json_slice value, char *buffer, size_t max);

/* The same, or null, which leaves the buffer empty. */
bool state_value_optional_string(struct json_slice value, char *buffer, size_t max);

/* A count: digits alone, none of the other ways in which JSON writes numbers. */
bool state_value_number(struct json_slice value, unsigned max, unsigned *ret_number);

/* The one layout that text_add_time() writes, or null, which is 0. */
bool state_value_time(struct json_slice value, usec_t *ret_realtime);
