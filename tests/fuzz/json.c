/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The byte scanner against json-c: what passes the scan json-c takes, and all that
 * our walk over the bytes says of it (types, keys, strings, counts) is what json-c's
 * tree says.
 */

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "fuzz.h"

struct counts {
        size_t values, pairs;
        bool limitless;                 /* a number that JSON cannot write again */
};

static void check_string(struct json_slice string, struct json_object *object) {
        const char *expected = json_object_get_string(object);
        size_t size = (size_t) json_object_get_string_len(object);
        _cleanup_(freep) char *exact = malloc(size + 1);

        must(exact && json_slice_string(string, exact, size + 1));
        must(memcmp(exact, expected, size + 1) == 0);
        must(size == 0 || !json_slice_string(string, exact, size));
}

static void check_scalar(struct json_slice value, struct json_object *object, struct counts *counts) {
        switch (json_type_of(value)) {
        case '"':
                must(json_object_is_type(object, json_type_string));
                check_string(value, object);
                break;
        case 't':
        case 'f':
                must(json_object_is_type(object, json_type_boolean));
                must(json_object_get_boolean(object) == (json_type_of(value) == 't'));
                break;
        case 'n':
                must(!object);
                break;
        default:
                must(json_object_is_type(object, json_type_int) || json_object_is_type(object, json_type_double));
                if (json_object_is_type(object, json_type_double) && !isfinite(json_object_get_double(object)))
                        counts->limitless = true;
        }
}

/*
 * json-c 0.16 takes an escaped pair for half of one where the lower 16 bits of what it
 * stands for look like a half, as of U+1D800 to U+1DFFF: it makes U+FFFD of it.
 */
static bool is_lost(const char *body, size_t size) {
        const char *end = body + size;

        while ((body = memmem(body, (size_t) (end - body), "\\u", 2)) && end - body >= 6) {
                unsigned unit = 0;

                if (sscanf((char[]) { body[2], body[3], body[4], body[5], '\0' }, "%4x", &unit) == 1 &&
                    (unit & 0xFC3E) == 0xD836)
                        return true;
                body += 2;
        }
        return false;
}

/* Each pair of slice and tree; duplicate keys are none of a tree. */
static void check_value(struct json_slice value, struct json_object *object, struct counts *counts) {
        char type = json_type_of(value);
        struct json_slice key, entry, whole;
        size_t position = 0, n = 0;
        const char *problem;

        counts->values++;
        must(json_scan(value.data, value.size, &whole, &problem) == 0 && whole.data == value.data &&
             whole.size == value.size);
        if (type != '{' && type != '[') {
                must(!json_slice_next(value, &position, &key, &entry));
                check_scalar(value, object, counts);
                return;
        }

        must(json_object_is_type(object, type == '{' ? json_type_object : json_type_array));
        for (; json_slice_next(value, &position, &key, &entry); n++) {
                struct json_object *child;

                must(entry.data > value.data && entry.data + entry.size < value.data + value.size);
                if (type == '{') {
                        _cleanup_(freep) char *name = malloc(key.size);

                        must(name && json_slice_string(key, name, key.size));
                        must(json_object_object_get_ex(object, name, &child));
                        counts->pairs++;
                } else
                        child = json_object_array_get_idx(object, n);
                check_value(entry, child, counts);
        }
        counts->values += n == 0;       /* an empty container counts twice */
        must(n == json_slice_count(value));
        must(n == (type == '{' ? (size_t) json_object_object_length(object) : json_object_array_length(object)));
}

static void check_members(struct json_slice value) {
        struct json_slice key, entry, found;
        size_t position = 0;
        char name[64];

        for (unsigned i = 0; i < 100 && json_slice_next(value, &position, &key, &entry); i++)
                if (json_type_of(value) == '{' && json_slice_string(key, name, sizeof name)) {
                        int r = json_slice_member(value, name, &found);

                        must(r == JSON_DUPLICATE || (found.data == entry.data && found.size == entry.size));
                        must(r == JSON_DUPLICATE || (r == JSON_ABSENT) == (json_type_of(entry) == 'n'));
                }
}

/* Written and read again it is the same. */
static void check_again(struct json_object *tree) {
        const char *text = json_object_to_json_string_ext(tree, JSON_C_TO_STRING_NOSLASHESCAPE);
        _cleanup_(json_object_putp) struct json_object *again = NULL;
        struct json_slice value;
        const char *problem;

        must(json_scan(text, strlen(text), &value, &problem) == 0);
        if (value.size > JSON_ENTRY_SIZE_MAX)
                return;
        must(json_parse(value, &again, &problem) == 0);
        must(json_object_equal(tree, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(json_object_putp) struct json_object *tree = NULL;
        size_t values, pairs;
        struct counts counts = {};
        struct json_slice value = {};
        const char *problem = NULL;
        int r;

        r = json_scan((const char *) data, size, &value, &problem);
        if (r != 0) {
                must(r == JSON_BAD && problem && is_harmless(problem, strlen(problem), ONE_LINE));
                return 0;
        }
        must(value.data >= (const char *) data && value.size > 0 &&
             value.data + value.size <= (const char *) data + size);
        check_members(value);
        json_slice_measure(value, &values, &pairs);

        memory_begin();
        r = json_parse(value, &tree, &problem);
        must(memory_peak() <= 16 * 1024 + size * 400);
        if (r != 0) {
                must(r == JSON_BAD && problem);
                must(strcmp(problem, "a duplicate key") == 0 || value.size > JSON_ENTRY_SIZE_MAX ||
                     values > JSON_ENTRY_VALUES_MAX);
                return 0;
        }

        if (is_lost(value.data, value.size))
                return 0;
        check_value(value, tree, &counts);
        must(counts.values == values && counts.pairs == pairs);
        if (!counts.limitless)
                check_again(tree);
        return 0;
}
