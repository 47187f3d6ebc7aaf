/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From ToolHive's answers to workloads.
 *
 * The body is scanned once as bytes and then cut into its entries, each of which
 * becomes a tree of its own for a moment: whatever the length of the list, memory
 * holds the body, the list so far and one small tree. An entry that cannot be
 * taken is remembered by name and reason, and left out; only a body that is no
 * list at all is refused whole.
 *
 * Two things that callers may rely on: every string that is let in is short and
 * harmless to show, and no two workloads of a list have the same name.
 */

#include "model/workload.h"

#include <errno.h>
#include <string.h>

/* What the longest honest value of its kind stays well under, in bytes. */
#define WORD_MAX 64                     /* status, transport */
#define URL_MAX 2048
#define PACKAGE_MAX 1024                /* an image reference with its digest */

#define DEFAULT_GROUP "default"

/* Why an entry of the list is not taken. */
enum take_code {
        TAKE_BAD = 1,                   /* *ret_problem has the reason */
        TAKE_SKIPPED,                   /* by name or group */
};

/* A string that may be there, and where it goes: NULL when absent, null or empty. */
struct string_field {
        const char *key;
        size_t max;
        const char *problem;
        const char **string;
};

/* The strings stay the tree's. 0, or TAKE_BAD. */
static int take_strings(struct json_object *object, const struct string_field *fields, size_t n,
                        const char **ret_problem) {
        for (size_t i = 0; i < n; i++) {
                const char *string = NULL;
                int r = json_get_string(object, fields[i].key, &string);

                if (r == JSON_TYPE ||
                    (r == 0 && *string && !json_is_clean_name(string, fields[i].max))) {
                        *ret_problem = fields[i].problem;
                        return TAKE_BAD;
                }

                *fields[i].string = string && *string ? string : NULL;
        }

        return 0;
}

static int bad(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return TAKE_BAD;
}

/* All fields of an entry but its name. */
static int take_fields(struct json_object *object, struct workload *workload,
                       const char **ret_problem) {
        const struct string_field fields[] = {
                { "status", WORD_MAX, "invalid status", &workload->status },
                { "url", URL_MAX, "invalid url", &workload->url },
                { "transport_type", WORD_MAX, "invalid transport_type", &workload->transport },
                { "group", WORKLOAD_NAME_MAX, "invalid group", &workload->group },
                { "package", PACKAGE_MAX, "invalid package", &workload->package },
        };
        int64_t port;

        int r = take_strings(object, fields, ELEMENTSOF(fields), ret_problem);
        if (r != 0)
                return r;
        if (!workload->status)
                return bad("no status", ret_problem);

        /* 0 stands for a workload that has no port, such as one that is stopped. */
        if (json_get_int(object, "port", 0, UINT16_MAX, &port) == JSON_TYPE)
                return bad("invalid port", ret_problem);
        if (json_get_bool(object, "remote", &workload->remote) == JSON_TYPE)
                return bad("invalid remote", ret_problem);

        workload->group = workload->group ?: DEFAULT_GROUP;
        return 0;
}

/* One entry: 0 and a workload, TAKE_BAD with a reason, TAKE_SKIPPED, -ENOMEM. */
static int take_entry(struct json_slice entry, const struct workload_filter *filter,
                      struct workload **ret_workload, const char **ret_problem) {
        _cleanup_(json_object_putp) struct json_object *object = NULL;
        struct workload fields = {};
        const struct string_field name = {
                "name", WORKLOAD_NAME_MAX, "invalid name", &fields.name
        };
        int r;

        if (json_type_of(entry) != '{')
                return bad("not an object", ret_problem);

        r = json_parse(entry, &object, ret_problem);
        if (r != 0)
                return r < 0 ? r : TAKE_BAD;

        r = take_strings(object, &name, 1, ret_problem);
        if (r != 0)
                return r;
        if (!fields.name)
                return bad("no name", ret_problem);
        if (!workload_name_is_valid(fields.name))
                return bad(name.problem, ret_problem);

        /* Before the rest is looked at: what is left out on request is not complained of. */
        if (!workload_filter_keeps_name(filter, fields.name))
                return TAKE_SKIPPED;

        r = take_fields(object, &fields, ret_problem);
        if (r != 0)
                return r;
        if (!workload_filter_keeps_group(filter, fields.group))
                return TAKE_SKIPPED;

        *ret_workload = workload_new(&fields);
        return *ret_workload ? 0 : -ENOMEM;
}

/* The name of an entry of which no more is known than that it is JSON. */
static bool name_of(struct json_slice entry, char name[static WORKLOAD_NAME_MAX + 1]) {
        struct json_slice value;

        return json_slice_member(entry, "name", &value) == 0 &&
               json_slice_string(value, name, WORKLOAD_NAME_MAX + 1) &&
               json_is_clean_name(name, WORKLOAD_NAME_MAX);
}

static int add_entry(struct workload_list *list, struct json_slice entry, size_t index,
                     const struct workload_filter *filter) {
        char name[WORKLOAD_NAME_MAX + 1];
        const char *problem = NULL;
        struct workload *workload;

        int r = take_entry(entry, filter, &workload, &problem);
        if (r == 0)
                return workload_list_add(list, workload);
        if (r == TAKE_BAD)
                return workload_list_add_bad(list, name_of(entry, name) ? name : NULL, index, problem);
        if (r == TAKE_SKIPPED) {
                list->skipped++;
                return 0;
        }

        return r;
}

static int refuse(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return JSON_BAD;
}

/* The array of the answer; {} in place of it when the answer says null. */
static int find_list(const char *body, size_t size, struct json_slice *ret_array,
                     const char **ret_problem) {
        struct json_slice document, array = {};

        int r = json_scan(body, size, &document, ret_problem);
        if (r != 0)
                return r;
        if (json_type_of(document) != '{')
                return refuse("not a JSON object", ret_problem);

        switch (json_slice_member(document, "workloads", &array)) {
        case 0:
                if (json_type_of(array) != '[')
                        return refuse("\"workloads\" is no list", ret_problem);
                break;
        case JSON_ABSENT:
                /* Go writes an empty list as null. */
                if (!array.data)
                        return refuse("no \"workloads\"", ret_problem);
                array = (struct json_slice) {};
                break;
        default:
                return refuse("\"workloads\" twice", ret_problem);
        }

        if (array.data && json_slice_count(array) > WORKLOADS_MAX)
                return refuse("too many workloads", ret_problem);

        *ret_array = array;
        return 0;
}

int workload_list_parse(const char *body, size_t size, const struct workload_filter *filter,
                        struct workload_list **ret_list, const char **ret_problem) {
        _cleanup_(workload_list_freep) struct workload_list *list = NULL;
        struct json_slice array, key, entry;
        size_t position = 0, index = 0;

        int r = find_list(body, size, &array, ret_problem);
        if (r != 0)
                return r;

        list = workload_list_new();
        if (!list)
                return -ENOMEM;

        while (array.data && json_slice_next(array, &position, &key, &entry)) {
                r = add_entry(list, entry, index++, filter);
                if (r < 0)
                        return r;
        }

        r = workload_list_settle(list);
        if (r < 0)
                return r;

        *ret_list = STEAL(list);
        return 0;
}
