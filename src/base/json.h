/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Careful JSON. A body is first scanned as bytes, against RFC 8259 and RFC 3629
 * to the letter, with limits on depth and number of values: json-c lets too much
 * through and costs 250 times the size of a hostile body. What passed the scan
 * can be walked as bytes without any further failure; so a long list is cut into
 * its entries, and json-c gets one entry at a time.
 */

#include <json-c/json.h>

#include "base/util.h"

#define JSON_DEPTH_MAX 32
#define JSON_VALUES_MAX ((size_t) 4000000)      /* in a body */
#define JSON_ENTRY_SIZE_MAX ((size_t) 1 << 20)  /* what json-c gets at once */
#define JSON_ENTRY_VALUES_MAX ((size_t) 20000)

/* Bytes of a text that has passed json_scan(): one whole value, without white space around it. */
struct json_slice {
        const char *data;
        size_t size;
};

/* The positive codes of this module. */
enum json_code {
        JSON_BAD = 1,           /* no JSON, or over a limit; the reason in *ret_problem */
        JSON_ABSENT,            /* no such member, or null */
        JSON_DUPLICATE,         /* the member is there more than once */
        JSON_TYPE,              /* of another type, or a number out of range */
};

/*
 * Checks a body whole: grammar, UTF-8, no NUL escapes and no lone surrogates in
 * strings, depth, number of values. 0 and the slice of its one value; JSON_BAD
 * with a static text such as "invalid UTF-8", "nested deeper than 32".
 */
int json_scan(const char *body, size_t size, struct json_slice *ret_value,
              const char **ret_problem);

char json_type_of(struct json_slice value);     /* one of { [ " 0 t f n */

/*
 * A member of an object by its (unescaped) key of at most 63 bytes. 0;
 * JSON_ABSENT, also for null, and only then with *ret_value set, to that null;
 * JSON_DUPLICATE.
 */
int json_slice_member(struct json_slice object, const char *key, struct json_slice *ret_value);

/*
 * Walks an array or object: *position starts as 0. False at the end, and for any
 * other type. key is the quoted key, or empty in an array.
 */
bool json_slice_next(struct json_slice container, size_t *position, struct json_slice *ret_key,
                     struct json_slice *ret_value);

/* Entries of an array or object. */
size_t json_slice_count(struct json_slice container);

/*
 * What a tree of this value would hold, at any depth: values (an empty container
 * counts twice) and pairs of key and value.
 */
void json_slice_measure(struct json_slice value, size_t *ret_values, size_t *ret_pairs);

/* The text of a string, unescaped and NUL-terminated. False when it is none or does not fit. */
bool json_slice_string(struct json_slice string, char *buffer, size_t size);

/*
 * The tree of one value: 0, JSON_BAD (too large for a tree, duplicate keys at
 * any depth) with the reason, -ENOMEM. The caller ends with json_object_put().
 */
int json_parse(struct json_slice value, struct json_object **ret_object, const char **ret_problem);

/*
 * Typed members of a tree: 0, JSON_ABSENT (missing or null), JSON_TYPE. Nothing is
 * converted: "80" is no number, 1 no boolean, 80.0 no integer. What is returned is
 * borrowed from the tree.
 */
int json_get_string(struct json_object *object, const char *key, const char **ret_string);
int json_get_int(struct json_object *object, const char *key, int64_t min, int64_t max,
                 int64_t *ret_int);
int json_get_bool(struct json_object *object, const char *key, bool *ret_bool);
int json_get_object(struct json_object *object, const char *key, struct json_object **ret_object);

/*
 * Whether a name from outside is fit to be shown: 1 to max bytes of UTF-8 without
 * a dangerous character (base/utf8.h).
 */
bool json_is_clean_name(const char *string, size_t max);

static inline void json_object_putp(struct json_object **object) {
        json_object_put(*object);
}
