/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trees: json-c, kept on a short lead.
 *
 * A tree costs json-c up to 250 times the size of its text, so json_parse() first
 * counts what it would have to hold. By the same count it finds the duplicate
 * keys, of which json-c keeps the last without a word. What is read from a tree
 * is never converted: json-c would make 80 of "80", and 1 of true.
 *
 * Nothing is kept between calls: any thread may use this on texts of its own.
 */

#include "base/json.h"
#include "base/utf8.h"

#include <errno.h>

/* json-c counts the scalar in the innermost container as a level of its own. */
#define TREE_DEPTH (JSON_DEPTH_MAX + 1)

/* Members of all objects of a tree; recursive, but no deeper than the scan allows. */
static size_t count_members(struct json_object *tree) {
        size_t n = 0;

        if (json_object_is_type(tree, json_type_object)) {
                n = (size_t) json_object_object_length(tree);
                json_object_object_foreach(tree, key, member) {
                        (void) key;
                        n += count_members(member);
                }
        } else if (json_object_is_type(tree, json_type_array)) {
                size_t length = json_object_array_length(tree);

                for (size_t i = 0; i < length; i++)
                        n += count_members(json_object_array_get_idx(tree, i));
        }

        return n;
}

static void tokener_freep(struct json_tokener **tokener) {
        if (*tokener)
                json_tokener_free(*tokener);
}

int json_parse(struct json_slice value, struct json_object **ret_object, const char **ret_problem) {
        _cleanup_(tokener_freep) struct json_tokener *tokener = NULL;
        _cleanup_(json_object_putp) struct json_object *tree = NULL;
        size_t values, pairs;

        if (value.size > JSON_ENTRY_SIZE_MAX) {
                *ret_problem = "too large";
                return JSON_BAD;
        }

        json_slice_measure(value, &values, &pairs);
        if (values > JSON_ENTRY_VALUES_MAX) {
                *ret_problem = "too many values";
                return JSON_BAD;
        }

        tokener = json_tokener_new_ex(TREE_DEPTH);
        if (!tokener)
                return -ENOMEM;
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);

        /* A number or a literal ends only with what follows it: the second call brings the NUL. */
        tree = json_tokener_parse_ex(tokener, value.data, (int) value.size);
        if (json_tokener_get_error(tokener) == json_tokener_continue)
                tree = json_tokener_parse_ex(tokener, "", 1);

        enum json_tokener_error error = json_tokener_get_error(tokener);
        if (error != json_tokener_success) {
                *ret_problem = json_tokener_error_desc(error);
                return JSON_BAD;
        }

        /* json-c 0.16 has no word for a lack of memory: it says success, and there is no tree. */
        if (!tree && json_type_of(value) != 'n')
                return -ENOMEM;

        if (count_members(tree) != pairs) {
                *ret_problem = "a duplicate key";
                return JSON_BAD;
        }

        *ret_object = STEAL(tree);
        return 0;
}

/* A member of the type wanted, or the code that says why not. */
static int get_member(struct json_object *object, const char *key, enum json_type type,
                      struct json_object **ret_member) {
        struct json_object *member;

        if (!json_object_object_get_ex(object, key, &member) || !member)
                return JSON_ABSENT;
        if (!json_object_is_type(member, type))
                return JSON_TYPE;

        *ret_member = member;
        return 0;
}

int json_get_string(struct json_object *object, const char *key, const char **ret_string) {
        struct json_object *member;
        int r = get_member(object, key, json_type_string, &member);

        if (r == 0)
                *ret_string = json_object_get_string(member);
        return r;
}

int json_get_int(struct json_object *object, const char *key, int64_t min, int64_t max,
                 int64_t *ret_int) {
        struct json_object *member;
        int r = get_member(object, key, json_type_int, &member);

        if (r != 0)
                return r;

        /* json-c clamps silently to INT64_MIN and UINT64_MAX: the ends count as out of range. */
        int64_t number = json_object_get_int64(member);
        if (number == INT64_MIN || json_object_get_uint64(member) > INT64_MAX)
                return JSON_TYPE;
        if (number < min || number > max)
                return JSON_TYPE;

        *ret_int = number;
        return 0;
}

int json_get_bool(struct json_object *object, const char *key, bool *ret_bool) {
        struct json_object *member;
        int r = get_member(object, key, json_type_boolean, &member);

        if (r == 0)
                *ret_bool = json_object_get_boolean(member);
        return r;
}

int json_get_object(struct json_object *object, const char *key, struct json_object **ret_object) {
        return get_member(object, key, json_type_object, ret_object);
}

bool json_is_clean_name(const char *string, size_t max) {
        size_t size = 0;

        while (string[size]) {
                uint32_t code;
                size_t length = 1;

                /* Names are plain ASCII but for the rarest. */
                if (string[size] < ' ' || string[size] > '~') {
                        length = utf8_decode(string + size, SIZE_MAX, &code);
                        if (length == 0 || utf8_is_dangerous(code))
                                return false;
                }

                size += length;
                if (size > max)
                        return false;
        }

        return size > 0;
}
