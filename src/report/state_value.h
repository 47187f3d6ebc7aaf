/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading the objects of a state file that has passed json_scan(), by tables of their members. */

#include "base/json.h"

/* What a member has to be, and what it becomes. */
enum state_kind {
        STATE_STRING,           /* char[]: at least one byte, all that fits, and fit to be shown */
        STATE_STRING_OR_NULL,   /* the same; empty for null */
        STATE_WORDS_OR_NULL,    /* any text, cut to what fits: to be escaped where it is shown */
        STATE_COUNT,            /* an integer of any size: digits alone, none of JSON's other ways */
        STATE_COUNT_OR_NULL,    /* the same, at least 1; 0 for null */
        STATE_SECONDS,          /* usec_t: as text_add_seconds() writes it */
        STATE_TIME_OR_NULL,     /* usec_t: as text_add_time() writes it; 0 for null */
        STATE_BOOL,             /* bool */
        STATE_SLICE,            /* struct json_slice: whatever it is */
};

/* A member that is looked for in an object, and the field of a struct that it fills. */
struct state_field {
        const char *key;
        enum state_kind kind;
        size_t offset, size;
        uint64_t max;           /* of a count; of seconds, in µs */
};

#define STATE_FIELD(type, member) offsetof(type, member), sizeof(((type *) NULL)->member)

/*
 * Fills the struct from the object, in one walk. False on any doubt: no object, a
 * member that is missing, there twice, or of another kind; the struct may then be
 * filled in part. Members that no row asks for are passed over. At most 31 rows.
 */
bool state_value_read(struct json_slice object, const struct state_field *fields, size_t n_fields,
                      void *into);
