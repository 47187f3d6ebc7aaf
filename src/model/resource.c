/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the objects of the API server to workloads.
 *
 * Objects are large (most of one is bookkeeping of the API server) and a handful
 * of members is wanted, so nothing is parsed into a tree: the members are looked
 * up in the bytes. Nothing is allocated but the workload.
 *
 * What differs from resource to resource is in the table; what differs from
 * generation to generation is tried in turn: newer first.
 */

#include "model/resource.h"

#include <errno.h>
#include <string.h>

#include "base/ascii.h"

/* What the longest honest value of its kind stays well under, in bytes. */
#define WORD_MAX 64
#define URL_MAX 2048
#define PACKAGE_MAX 1024

#define MCP_PATH "/mcp"

static const struct {
        const char *plural;
        bool has_image;                 /* spec.image is its package */
        bool has_transport;             /* spec.transport; else streamable-http */
        bool runs_degraded;             /* the phase Degraded still serves */
} types[RESOURCES] = {
        [RESOURCE_SERVER] = { "mcpservers", .has_image = true, .has_transport = true },
        [RESOURCE_VIRTUAL] = { "virtualmcpservers", .runs_degraded = true },
        [RESOURCE_PROXY] = { "mcpremoteproxies", .has_transport = true },
};

const char *resource_plural(enum resource resource) {
        return types[resource].plural;
}

enum resource resource_of(const struct workload *workload) {
        if (workload->remote)
                return RESOURCE_PROXY;
        return workload->package && strncmp(workload->package, "vmcp:", strlen("vmcp:")) == 0 ? RESOURCE_VIRTUAL
                                                                                              : RESOURCE_SERVER;
}

/* The strings of one object, "" for what it does not have. */
struct fields {
        char name[WORKLOAD_NAME_MAX + 1];
        char namespace[WORKLOAD_NAME_MAX + 1];
        char status[WORD_MAX + 1];
        char url[URL_MAX + sizeof MCP_PATH];
        char transport[WORD_MAX + 1];
        char group[WORKLOAD_NAME_MAX + 1];
        char package[PACKAGE_MAX + 1];
};

/* False where it is there and is no string, or none that is short and harmless. */
static bool take_string(struct json_slice object, const char *key, char *string, size_t size) {
        struct json_slice value;
        int r;

        string[0] = '\0';
        r = object.data ? json_slice_member(object, key, &value) : JSON_ABSENT;
        if (r == JSON_ABSENT)
                return true;
        if (r != 0 || !json_slice_string(value, string, size))
                return false;
        return !string[0] || json_is_clean_name(string, size - 1);
}

/* An object within the object; without data where it has none. False where it is something else. */
static bool take_object(struct json_slice object, const char *key, struct json_slice *ret_member) {
        struct json_slice member;
        int r;

        *ret_member = (struct json_slice) {};
        r = object.data ? json_slice_member(object, key, &member) : JSON_ABSENT;
        if (r == JSON_ABSENT)
                return true;
        if (r != 0 || json_type_of(member) != '{')
                return false;
        *ret_member = member;
        return true;
}

/* {"name": "…"} now, and a string of old. */
static bool take_group_ref(struct json_slice object, char group[static WORKLOAD_NAME_MAX + 1]) {
        struct json_slice ref;

        if (take_object(object, "groupRef", &ref))
                return take_string(ref, "name", group, WORKLOAD_NAME_MAX + 1);
        return take_string(object, "groupRef", group, WORKLOAD_NAME_MAX + 1);
}

static bool take_group(enum resource resource, struct json_slice metadata, struct json_slice spec,
                       struct fields *fields) {
        struct json_slice labels, config;

        if (!take_group_ref(spec, fields->group))
                return false;
        if (!fields->group[0] && resource == RESOURCE_VIRTUAL &&
            !(take_object(spec, "config", &config) && take_group_ref(config, fields->group)))
                return false;
        if (!fields->group[0] && !(take_object(metadata, "labels", &labels) &&
                                   take_string(labels, RESOURCE_GROUP "/group", fields->group, sizeof fields->group)))
                return false;
        if (!fields->group[0])
                strcpy(fields->group, "default");
        return true;
}

static bool take_status(enum resource resource, struct json_slice status, struct fields *fields) {
        if (!take_string(status, "phase", fields->status, sizeof fields->status))
                return false;

        for (char *c = fields->status; *c; c++)
                *c = ascii_to_lower(*c);
        if (!fields->status[0])
                strcpy(fields->status, "unknown");
        else if (strcmp(fields->status, "ready") == 0 ||
                 (types[resource].runs_degraded && strcmp(fields->status, "degraded") == 0))
                strcpy(fields->status, "running");
        return true;
}

/* A virtual server tells where it is, and not always the path at which it is spoken to. */
static bool take_url(enum resource resource, struct json_slice status, struct fields *fields) {
        size_t size;

        if (!take_string(status, "url", fields->url, URL_MAX + 1))
                return false;
        if (resource != RESOURCE_VIRTUAL || !fields->url[0])
                return true;

        for (size = strlen(fields->url); size > 0 && fields->url[size - 1] == '/'; size--)
                fields->url[size - 1] = '\0';
        if (size < strlen(MCP_PATH) || strcmp(fields->url + size - strlen(MCP_PATH), MCP_PATH) != 0)
                memcpy(fields->url + size, MCP_PATH, sizeof MCP_PATH);
        return true;
}

static bool take_package(enum resource resource, struct json_slice spec, struct fields *fields) {
        if (types[resource].has_image)
                return take_string(spec, "image", fields->package, sizeof fields->package);
        if (resource == RESOURCE_VIRTUAL)
                (void) snprintf(fields->package, sizeof fields->package, "vmcp:%s", fields->name);
        else
                strcpy(fields->package, "remote");
        return true;
}

static bool is_port(struct json_slice spec) {
        struct json_slice value;
        unsigned port = 0;

        switch (spec.data ? json_slice_member(spec, "proxyPort", &value) : JSON_ABSENT) {
        case JSON_ABSENT:
                return true;
        case 0:
                break;
        default:
                return false;
        }
        for (size_t i = 0; i < value.size; i++) {
                if (i == 5 || !ascii_is_digit(value.data[i]))
                        return false;
                port = port * 10 + (unsigned) (value.data[i] - '0');
        }
        return port <= UINT16_MAX;
}

/* All but name and namespace: NULL, or why the object makes no sense. */
static const char *take_fields(enum resource resource, struct json_slice object, struct json_slice metadata,
                               struct fields *fields) {
        struct json_slice spec, status;

        if (!take_object(object, "spec", &spec))
                return "invalid spec";
        if (!take_object(object, "status", &status))
                return "invalid status";
        if (!take_status(resource, status, fields))
                return "invalid phase";
        if (!take_url(resource, status, fields))
                return "invalid url";
        if (!types[resource].has_transport)
                strcpy(fields->transport, "streamable-http");
        else if (!take_string(spec, "transport", fields->transport, sizeof fields->transport))
                return "invalid transport";
        if (!take_group(resource, metadata, spec, fields))
                return "invalid group";
        if (!take_package(resource, spec, fields))
                return "invalid image";
        return is_port(spec) ? NULL : "invalid proxyPort";
}

void resource_version(struct json_slice metadata, char ret_version[static RESOURCE_VERSION_SIZE]) {
        if (!take_string(metadata, "resourceVersion", ret_version, RESOURCE_VERSION_SIZE))
                ret_version[0] = '\0';
}

static int refuse(const char *problem, const char **ret_problem) {
        *ret_problem = problem;
        return JSON_BAD;
}

static const char *or_null(const char *string) {
        return string[0] ? string : NULL;
}

int resource_parse(enum resource resource, struct json_slice object, struct resource_object *ret_object,
                   const char **ret_problem) {
        struct resource_object parsed = {};
        struct workload workload = {};
        struct json_slice metadata;
        struct fields fields = {};

        if (json_type_of(object) != '{')
                return refuse("not an object", ret_problem);
        if (!take_object(object, "metadata", &metadata) || !metadata.data)
                return refuse("no metadata", ret_problem);
        if (!take_string(metadata, "name", fields.name, sizeof fields.name) ||
            !workload_name_is_valid(fields.name))
                return refuse("no valid name", ret_problem);
        if (!take_string(metadata, "namespace", fields.namespace, sizeof fields.namespace) ||
            !workload_name_is_valid(fields.namespace))
                return refuse("no valid namespace", ret_problem);

        resource_version(metadata, parsed.version);
        parsed.problem = take_fields(resource, object, metadata, &fields);
        workload.name = fields.name;
        workload.namespace = fields.namespace;
        workload.status = "";
        if (!parsed.problem) {
                workload.status = fields.status;
                workload.url = or_null(fields.url);
                workload.transport = or_null(fields.transport);
                workload.group = fields.group;
                workload.package = or_null(fields.package);
                workload.remote = resource == RESOURCE_PROXY;
        }
        parsed.workload = workload_new(&workload);
        if (!parsed.workload)
                return -ENOMEM;
        *ret_object = parsed;
        return 0;
}
