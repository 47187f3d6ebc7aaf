/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ToolHive's resources in Kubernetes: MCPServer, VirtualMCPServer and
 * MCPRemoteProxy, of both generations. An object of any of them is a workload.
 */

#include "model/workload.h"

#define RESOURCE_GROUP "toolhive.stacklok.dev"

enum resource {
        RESOURCE_SERVER,
        RESOURCE_VIRTUAL,
        RESOURCE_PROXY,
        RESOURCES,
};

const char *resource_plural(enum resource resource);    /* "mcpservers": as paths and roles name it */

/* A resourceVersion with its NUL: opaque, and in practice a number of 64 bits. */
#define RESOURCE_VERSION_SIZE 64

struct resource_object {
        struct workload *workload;      /* the caller's to free; with a problem, only name and namespace say anything */
        const char *problem;            /* static: why the object makes no sense; NULL when it does */
        char version[RESOURCE_VERSION_SIZE];    /* its resourceVersion; "": none, or none that can be used */
};

/*
 * Reads an object out of a text that has passed json_scan(). 0; JSON_BAD and a
 * static reason when not even its name can be told; -ENOMEM. phase is told as
 * the status: in lower case, and "running" where the object does its work.
 */
int resource_parse(enum resource resource, struct json_slice object, struct resource_object *ret_object,
                   const char **ret_problem);

/* The resourceVersion of metadata, for which "" is none. */
void resource_version(struct json_slice metadata, char ret_version[static RESOURCE_VERSION_SIZE]);

/* Which resource a workload of the cluster comes from. */
enum resource resource_of(const struct workload *workload);
