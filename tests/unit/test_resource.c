/* SPDX-License-Identifier: Apache-2.0 */

/* model/resource.h: objects of both generations, what of them is wrong, and what that costs. */

#include <check.h>
#include <string.h>
#include <time.h>

#include "model/resource.h"
#include "suite.h"

#define WORD_MAX 64
#define URL_MAX 2048
#define PACKAGE_MAX 1024

/* An object x of namespace n, and what is added behind its metadata. */
#define META "\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"}"
#define OBJECT(more) "{" META more "}"
#define LABELLED(more) "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"labels\":{" \
                       "\"toolhive.stacklok.dev/group\":\"l\"}}" more "}"
#define SPEC(fields) OBJECT(",\"spec\":{" fields "}")
#define STATUS(fields) OBJECT(",\"status\":{" fields "}")

static int parse(enum resource resource, const char *text, struct resource_object *object, const char **problem) {
        const char *no_json = "";
        struct json_slice slice;
        int r = json_scan(text, strlen(text), &slice, &no_json);

        ck_assert_msg(r == 0, "%.200s: %s", text, no_json);
        *object = (struct resource_object) {};
        *problem = NULL;
        return resource_parse(resource, slice, object, problem);
}

static void done(struct resource_object *object) {
        object->workload = workload_free(object->workload);
}

#define _cleanup_object_ _cleanup_(done)

static bool same(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* ---- whole objects, as the API server sends them ---- */

#define BOOKKEEPING \
        "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":" \
        "\"{\\\"metadata\\\":{\\\"name\\\":\\\"no\\\"}}\\n\"}," \
        "\"creationTimestamp\":\"2026-11-22T16:01:31Z\",\"generation\":1,\"managedFields\":[{\"fieldsV1\":" \
        "{\"f:spec\":{\".\":{},\"f:image\":{}}},\"manager\":\"thv-operator\"}],"

static const struct {
        const char *text;
        enum resource resource;
        struct workload workload;
        const char *version;
} wholes[] = {
        { "{\"apiVersion\":\"toolhive.stacklok.dev/v1beta1\",\"kind\":\"MCPServer\",\"metadata\":{" BOOKKEEPING
          "\"name\":\"fetch\",\"namespace\":\"tools\",\"resourceVersion\":\"219\",\"uid\":\"1\"},\"spec\":{"
          "\"groupRef\":{\"name\":\"web\"},\"image\":\"ghcr.io/stacklok/dockyard/uvx/mcp-server-fetch:1\","
          "\"proxyMode\":\"streamable-http\",\"proxyPort\":8080,\"transport\":\"stdio\"},\"status\":{\"conditions\":"
          "[{\"type\":\"Ready\",\"status\":\"True\"}],\"message\":\"MCP server is running\",\"phase\":\"Ready\","
          "\"url\":\"http://mcp-fetch-proxy.tools.svc.cluster.local:8080/mcp\"}}",
          RESOURCE_SERVER,
          { .name = "fetch", .namespace = "tools", .status = "running", .group = "web", .transport = "stdio",
            .url = "http://mcp-fetch-proxy.tools.svc.cluster.local:8080/mcp",
            .package = "ghcr.io/stacklok/dockyard/uvx/mcp-server-fetch:1" },
          "219" },
        { "{\"apiVersion\":\"toolhive.stacklok.dev/v1alpha1\",\"kind\":\"MCPServer\",\"metadata\":{\"name\":\"old\","
          "\"namespace\":\"tools\",\"resourceVersion\":\"7\"},\"spec\":{\"groupRef\":\"web\",\"image\":\"i:1\","
          "\"port\":8080,\"transport\":\"sse\"},\"status\":{\"phase\":\"Running\",\"url\":\"http://o:1/sse#old\"}}",
          RESOURCE_SERVER,
          { .name = "old", .namespace = "tools", .status = "running", .group = "web", .transport = "sse",
            .url = "http://o:1/sse#old", .package = "i:1" },
          "7" },
        { "{\"kind\":\"VirtualMCPServer\",\"metadata\":{\"name\":\"all\",\"namespace\":\"tools\",\"resourceVersion\":"
          "\"220\"},\"spec\":{\"groupRef\":{\"name\":\"web\"},\"incomingAuth\":{\"type\":\"anonymous\"}},\"status\":"
          "{\"phase\":\"Degraded\",\"url\":\"http://vmcp-all.tools.svc.cluster.local:4483\"}}",
          RESOURCE_VIRTUAL,
          { .name = "all", .namespace = "tools", .status = "running", .group = "web",
            .transport = "streamable-http", .url = "http://vmcp-all.tools.svc.cluster.local:4483/mcp",
            .package = "vmcp:all" },
          "220" },
        { "{\"kind\":\"VirtualMCPServer\",\"metadata\":{\"name\":\"all\",\"namespace\":\"tools\"},\"spec\":{"
          "\"config\":{\"groupRef\":\"web\"}},\"status\":{\"phase\":\"Pending\"}}",
          RESOURCE_VIRTUAL,
          { .name = "all", .namespace = "tools", .status = "pending", .group = "web",
            .transport = "streamable-http", .package = "vmcp:all" },
          "" },
        { "{\"kind\":\"MCPRemoteProxy\",\"metadata\":{\"name\":\"far\",\"namespace\":\"tools\",\"resourceVersion\":"
          "\"221\"},\"spec\":{\"groupRef\":{\"name\":\"web\"},\"proxyPort\":8080,\"remoteUrl\":\"https://far/mcp\","
          "\"transport\":\"sse\"},\"status\":{\"phase\":\"Ready\",\"url\":\"http://far:8080\"}}",
          RESOURCE_PROXY,
          { .name = "far", .namespace = "tools", .status = "running", .group = "web", .transport = "sse",
            .url = "http://far:8080", .package = "remote", .remote = true },
          "221" },
        /* Just applied: nobody has said anything about it yet. */
        { OBJECT(""), RESOURCE_SERVER,
          { .name = "x", .namespace = "n", .status = "unknown", .group = "default" }, "" },
        { "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"labels\":null,\"resourceVersion\":null},\"spec\":null,"
          "\"status\":null}",
          RESOURCE_SERVER, { .name = "x", .namespace = "n", .status = "unknown", .group = "default" }, "" },
};

START_TEST(as_the_api_server_answers) {
        const struct workload *wanted = &wholes[_i].workload, *had;
        _cleanup_object_ struct resource_object object;
        const char *problem;

        ck_assert_int_eq(parse(wholes[_i].resource, wholes[_i].text, &object, &problem), 0);
        had = object.workload;
        ck_assert_msg(!object.problem, "%s", object.problem);
        ck_assert_msg(workload_equal(had, wanted), "%s/%s: %s %s %s %s %s %d", had->namespace, had->name, had->status,
                      had->url, had->transport, had->group, had->package, had->remote);
        ck_assert_str_eq(object.version, wholes[_i].version);
        ck_assert_int_eq(resource_of(had), wholes[_i].resource);
}
END_TEST

/* ---- one field after the other ---- */

enum field { GROUP, PHASE, URL, PACKAGE, TRANSPORT };

static const struct {
        enum resource resource;
        const char *text;
        enum field field;
        const char *value;
} rows[] = {
        /* Where the group is looked for, and in which order. */
        { RESOURCE_SERVER, SPEC("\"groupRef\":{\"name\":\"g\"}"), GROUP, "g" },
        { RESOURCE_SERVER, SPEC("\"groupRef\":\"g\""), GROUP, "g" },
        { RESOURCE_PROXY, SPEC("\"groupRef\":{\"name\":\"g\"}"), GROUP, "g" },
        { RESOURCE_PROXY, SPEC("\"groupRef\":\"g\""), GROUP, "g" },
        { RESOURCE_VIRTUAL, SPEC("\"groupRef\":{\"name\":\"g\"},\"config\":{\"groupRef\":\"c\"}"), GROUP, "g" },
        { RESOURCE_VIRTUAL, SPEC("\"groupRef\":\"g\",\"config\":{\"groupRef\":\"c\"}"), GROUP, "g" },
        { RESOURCE_VIRTUAL, SPEC("\"config\":{\"groupRef\":\"c\"}"), GROUP, "c" },
        { RESOURCE_VIRTUAL, SPEC("\"config\":{\"groupRef\":{\"name\":\"c\"}}"), GROUP, "c" },
        { RESOURCE_VIRTUAL, SPEC("\"groupRef\":\"\",\"config\":{\"groupRef\":\"c\"}"), GROUP, "c" },
        { RESOURCE_VIRTUAL, LABELLED(",\"spec\":{\"config\":{\"groupRef\":\"c\"}}"), GROUP, "c" },
        { RESOURCE_VIRTUAL, LABELLED(",\"spec\":{\"config\":{}}"), GROUP, "l" },
        { RESOURCE_VIRTUAL, LABELLED(",\"spec\":{\"config\":null}"), GROUP, "l" },
        { RESOURCE_SERVER, SPEC("\"config\":{\"groupRef\":\"c\"}"), GROUP, "default" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":{\"name\":\"g\"}}"), GROUP, "g" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":{\"name\":\"\"}}"), GROUP, "l" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":{\"name\":null}}"), GROUP, "l" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":{}}"), GROUP, "l" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":\"\"}"), GROUP, "l" },
        { RESOURCE_SERVER, LABELLED(",\"spec\":{\"groupRef\":null}"), GROUP, "l" },
        { RESOURCE_SERVER, LABELLED(""), GROUP, "l" },
        { RESOURCE_PROXY, LABELLED(""), GROUP, "l" },
        { RESOURCE_SERVER, OBJECT(""), GROUP, "default" },
        { RESOURCE_VIRTUAL, OBJECT(""), GROUP, "default" },
        { RESOURCE_SERVER, SPEC("\"groupref\":\"g\",\"group\":\"g\""), GROUP, "default" },

        { RESOURCE_SERVER, STATUS("\"phase\":\"Ready\""), PHASE, "running" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"Running\""), PHASE, "running" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"Degraded\""), PHASE, "degraded" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"Pending\""), PHASE, "pending" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"Failed\""), PHASE, "failed" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"Terminating\""), PHASE, "terminating" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"NotReady\""), PHASE, "notready" },
        { RESOURCE_SERVER, STATUS("\"phase\":\"\""), PHASE, "unknown" },
        { RESOURCE_SERVER, STATUS("\"phase\":null"), PHASE, "unknown" },
        { RESOURCE_SERVER, STATUS("\"Phase\":\"Ready\""), PHASE, "unknown" },
        { RESOURCE_VIRTUAL, STATUS("\"phase\":\"Ready\""), PHASE, "running" },
        { RESOURCE_VIRTUAL, STATUS("\"phase\":\"Degraded\""), PHASE, "running" },
        { RESOURCE_VIRTUAL, STATUS("\"phase\":\"Failed\""), PHASE, "failed" },
        { RESOURCE_PROXY, STATUS("\"phase\":\"Ready\""), PHASE, "running" },
        { RESOURCE_PROXY, STATUS("\"phase\":\"Degraded\""), PHASE, "degraded" },

        { RESOURCE_VIRTUAL, STATUS("\"url\":\"http://v:4483\""), URL, "http://v:4483/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"http://v:4483/\""), URL, "http://v:4483/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"http://v:4483/mcp\""), URL, "http://v:4483/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"http://v:4483/mcp///\""), URL, "http://v:4483/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"http://v/xmcp\""), URL, "http://v/xmcp/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"cp\""), URL, "cp/mcp" },
        { RESOURCE_VIRTUAL, STATUS("\"url\":\"\""), URL, NULL },
        { RESOURCE_VIRTUAL, STATUS("\"url\":null"), URL, NULL },
        { RESOURCE_SERVER, STATUS("\"url\":\"http://s:8080\""), URL, "http://s:8080" },
        { RESOURCE_SERVER, STATUS("\"url\":\"http://s:8080/\""), URL, "http://s:8080/" },
        { RESOURCE_PROXY, STATUS("\"url\":\"http://p:8080\""), URL, "http://p:8080" },
        { RESOURCE_PROXY, SPEC("\"remoteUrl\":\"https://far/mcp\""), URL, NULL },

        { RESOURCE_SERVER, SPEC("\"image\":\"i@sha256:0\""), PACKAGE, "i@sha256:0" },
        { RESOURCE_SERVER, SPEC("\"image\":\"\""), PACKAGE, NULL },
        { RESOURCE_SERVER, OBJECT(""), PACKAGE, NULL },
        { RESOURCE_VIRTUAL, SPEC("\"image\":7"), PACKAGE, "vmcp:x" },
        { RESOURCE_PROXY, SPEC("\"image\":7"), PACKAGE, "remote" },

        { RESOURCE_SERVER, SPEC("\"transport\":\"carrier-pigeon\""), TRANSPORT, "carrier-pigeon" },
        { RESOURCE_SERVER, OBJECT(""), TRANSPORT, NULL },
        { RESOURCE_PROXY, SPEC("\"transport\":\"sse\""), TRANSPORT, "sse" },
        { RESOURCE_VIRTUAL, SPEC("\"transport\":\"sse\""), TRANSPORT, "streamable-http" },
};

START_TEST(fields) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_object_ struct resource_object object;
                const char *problem, *value = NULL;

                ck_assert_int_eq(parse(rows[i].resource, rows[i].text, &object, &problem), 0);
                switch (rows[i].field) {
                case GROUP:
                        value = object.workload->group;
                        break;
                case PHASE:
                        value = object.workload->status;
                        break;
                case URL:
                        value = object.workload->url;
                        break;
                case PACKAGE:
                        value = object.workload->package;
                        break;
                case TRANSPORT:
                        value = object.workload->transport;
                        break;
                }
                ck_assert_msg(!object.problem && same(value, rows[i].value), "%s %s: %s, %s",
                              resource_plural(rows[i].resource), rows[i].text, value, object.problem);
        }
}
END_TEST

/* ---- what makes no sense ---- */

#define BAD_FIELD(resource, text, problem) { resource, text, problem, true }
#define NAMELESS(text, problem) { RESOURCE_SERVER, text, problem, false }
#define NAME(name) "{\"metadata\":{\"name\":" name ",\"namespace\":\"n\"}}"
#define NAMESPACE(namespace) "{\"metadata\":{\"name\":\"x\",\"namespace\":" namespace "}}"

static const struct {
        enum resource resource;
        const char *text, *problem;
        bool named;                     /* so it keeps its place, with its problem */
} bad[] = {
        NAMELESS("[]", "not an object"),
        NAMELESS("\"x\"", "not an object"),
        NAMELESS("null", "not an object"),
        NAMELESS("{}", "no metadata"),
        NAMELESS("{\"metadata\":null}", "no metadata"),
        NAMELESS("{\"metadata\":[]}", "no metadata"),
        NAMELESS("{\"metadata\":\"x\"}", "no metadata"),
        NAMELESS("{" META "," META "}", "no metadata"),
        NAMELESS("{\"metadata\":{\"namespace\":\"n\"}}", "no valid name"),
        NAMELESS("{\"name\":\"x\",\"metadata\":{\"namespace\":\"n\"}}", "no valid name"),
        NAMELESS(NAME("null"), "no valid name"),
        NAMELESS(NAME("\"\""), "no valid name"),
        NAMELESS(NAME("5"), "no valid name"),
        NAMELESS(NAME("{}"), "no valid name"),
        NAMELESS(NAME("\".\""), "no valid name"),
        NAMELESS(NAME("\"..\""), "no valid name"),
        NAMELESS(NAME("\"\\u002e\\u002E\""), "no valid name"),
        NAMELESS(NAME("\"a\\nb\""), "no valid name"),
        NAMELESS(NAME("\"\\u001b[2J\""), "no valid name"),
        NAMELESS(NAME("\"\\u202e\""), "no valid name"),
        NAMELESS(NAME("\"x\",\"name\":\"x\""), "no valid name"),
        NAMELESS("{\"metadata\":{\"name\":\"x\"}}", "no valid namespace"),
        NAMELESS(NAMESPACE("null"), "no valid namespace"),
        NAMELESS(NAMESPACE("\"\""), "no valid namespace"),
        NAMELESS(NAMESPACE("[\"n\"]"), "no valid namespace"),
        NAMELESS(NAMESPACE("\"..\""), "no valid namespace"),
        NAMELESS(NAMESPACE("\"\\u0007\""), "no valid namespace"),
        NAMELESS(NAMESPACE("\"n\",\"namespace\":\"n\""), "no valid namespace"),

        BAD_FIELD(RESOURCE_SERVER, OBJECT(",\"spec\":[]"), "invalid spec"),
        BAD_FIELD(RESOURCE_SERVER, OBJECT(",\"spec\":\"\""), "invalid spec"),
        BAD_FIELD(RESOURCE_SERVER, OBJECT(",\"spec\":{},\"spec\":{}"), "invalid spec"),
        BAD_FIELD(RESOURCE_SERVER, OBJECT(",\"status\":\"Ready\""), "invalid status"),
        BAD_FIELD(RESOURCE_SERVER, OBJECT(",\"status\":{},\"status\":{}"), "invalid status"),
        BAD_FIELD(RESOURCE_SERVER, STATUS("\"phase\":1"), "invalid phase"),
        BAD_FIELD(RESOURCE_SERVER, STATUS("\"phase\":\"Rea\\tdy\""), "invalid phase"),
        BAD_FIELD(RESOURCE_SERVER, STATUS("\"phase\":\"Ready\",\"phase\":\"Ready\""), "invalid phase"),
        BAD_FIELD(RESOURCE_SERVER, STATUS("\"url\":{}"), "invalid url"),
        BAD_FIELD(RESOURCE_VIRTUAL, STATUS("\"url\":\"http://\\u001b]0;x\""), "invalid url"),
        BAD_FIELD(RESOURCE_PROXY, STATUS("\"url\":\"a\",\"url\":\"b\""), "invalid url"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"transport\":7"), "invalid transport"),
        BAD_FIELD(RESOURCE_PROXY, SPEC("\"transport\":[\"sse\"]"), "invalid transport"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"groupRef\":7"), "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"groupRef\":[\"g\"]"), "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"groupRef\":{\"name\":7}"), "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"groupRef\":{\"name\":\"a\\u0085b\"}"), "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"groupRef\":\"g\",\"groupRef\":\"g\""), "invalid group"),
        BAD_FIELD(RESOURCE_VIRTUAL, SPEC("\"config\":[]"), "invalid group"),
        BAD_FIELD(RESOURCE_VIRTUAL, SPEC("\"config\":{\"groupRef\":true}"), "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"labels\":[]}}",
                  "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"labels\":{"
                                   "\"toolhive.stacklok.dev/group\":3}}}", "invalid group"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"image\":{}"), "invalid image"),
        BAD_FIELD(RESOURCE_SERVER, SPEC("\"image\":\"i\\u2028\""), "invalid image"),
};

START_TEST(bad_objects) {
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_object_ struct resource_object object;
                const char *problem;
                int r = parse(bad[i].resource, bad[i].text, &object, &problem);

                ck_assert_msg(r == (bad[i].named ? 0 : JSON_BAD), "%s: %d", bad[i].text, r);
                ck_assert_str_eq(bad[i].named ? object.problem : problem, bad[i].problem);
                if (!bad[i].named) {
                        ck_assert_ptr_null(object.workload);
                        continue;
                }
                /* Its place is all that is known of it. */
                ck_assert_str_eq(object.workload->name, "x");
                ck_assert_str_eq(object.workload->namespace, "n");
                ck_assert_str_eq(object.workload->status, "");
                ck_assert(!object.workload->url && !object.workload->transport && !object.workload->group &&
                          !object.workload->package && !object.workload->remote);
        }
}
END_TEST

/* Ports are only looked at: what is none says that the rest is not to be trusted either. */
START_TEST(proxy_ports) {
        static const struct {
                const char *port;
                bool good;
        } ports[] = {
                { "0", true }, { "1", true }, { "8080", true }, { "65535", true }, { "null", true },
                { "65536", false }, { "99999", false }, { "100000", false }, { "4294967376", false }, { "-1", false },
                { "-0", false }, { "8080.0", false }, { "8e3", false }, { "\"8080\"", false }, { "true", false },
                { "[8080]", false }, { "8080,\"proxyPort\":8080", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(ports); i++)
                for (enum resource resource = 0; resource < RESOURCES; resource++) {
                        _cleanup_object_ struct resource_object object;
                        const char *problem;
                        char text[128];

                        snprintf(text, sizeof text, SPEC("\"proxyPort\":%s"), ports[i].port);
                        ck_assert_int_eq(parse(resource, text, &object, &problem), 0);
                        ck_assert_msg(same(object.problem, ports[i].good ? NULL : "invalid proxyPort"), "%s: %s", text,
                                      object.problem);
                }
}
END_TEST

/* ---- lengths ---- */

static const struct {
        enum resource resource;
        const char *before, *behind;
        size_t max;
        const char *problem;            /* of one more */
        bool named;
} lengths[] = {
        { RESOURCE_SERVER, "{\"metadata\":{\"namespace\":\"n\",\"name\":\"", "\"}}", WORKLOAD_NAME_MAX, "no valid name",
          false },
        { RESOURCE_VIRTUAL, "{\"metadata\":{\"namespace\":\"n\",\"name\":\"", "\"}}", WORKLOAD_NAME_MAX,
          "no valid name",
          false },
        { RESOURCE_SERVER, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"", "\"}}", WORKLOAD_NAME_MAX,
          "no valid namespace", false },
        { RESOURCE_SERVER, "{" META ",\"status\":{\"phase\":\"", "\"}}", WORD_MAX, "invalid phase", true },
        { RESOURCE_SERVER, "{" META ",\"status\":{\"url\":\"", "\"}}", URL_MAX, "invalid url", true },
        { RESOURCE_VIRTUAL, "{" META ",\"status\":{\"url\":\"", "\"}}", URL_MAX, "invalid url", true },
        { RESOURCE_SERVER, "{" META ",\"spec\":{\"transport\":\"", "\"}}", WORD_MAX, "invalid transport", true },
        { RESOURCE_SERVER, "{" META ",\"spec\":{\"groupRef\":\"", "\"}}", WORKLOAD_NAME_MAX, "invalid group", true },
        { RESOURCE_SERVER, "{" META ",\"spec\":{\"groupRef\":{\"name\":\"", "\"}}}", WORKLOAD_NAME_MAX, "invalid group",
          true },
        { RESOURCE_SERVER, "{" META ",\"spec\":{\"image\":\"", "\"}}", PACKAGE_MAX, "invalid image", true },
};

START_TEST(lengths_at_the_limit) {
        for (size_t i = 0; i < ELEMENTSOF(lengths); i++)
                for (size_t over = 0; over < 2; over++) {
                        size_t n = lengths[i].max + over;
                        _cleanup_object_ struct resource_object object;
                        char text[4096], value[URL_MAX + 2];
                        const char *problem;
                        int r;

                        memset(value, 'y', n);
                        value[n] = '\0';
                        snprintf(text, sizeof text, "%s%s%s", lengths[i].before, value, lengths[i].behind);
                        r = parse(lengths[i].resource, text, &object, &problem);
                        ck_assert_int_eq(r, over && !lengths[i].named ? JSON_BAD : 0);
                        ck_assert_msg(same(r == 0 ? object.problem : problem, over ? lengths[i].problem : NULL),
                                      "row %zu, %zu bytes: %s", i, n, r == 0 ? object.problem : problem);
                        if (!over && lengths[i].resource == RESOURCE_VIRTUAL && object.workload->url)
                                ck_assert_uint_eq(strlen(object.workload->url), URL_MAX + strlen("/mcp"));
                }
}
END_TEST

/* ---- versions, names ---- */

START_TEST(resource_versions) {
        static const struct {
                const char *metadata, *version;
        } versions[] = {
                { "{\"resourceVersion\":\"219\"}", "219" },
                { "{\"resourceVersion\":\"00019\"}", "00019" },
                { "{\"resourceVersion\":\"any word\"}", "any word" },
                { "{\"resourceVersion\":\"18446744073709551616\"}", "18446744073709551616" },
                { "{\"resourceVersion\":\"123456789012345678901234567890123456789012345678901234567890123\"}",
                  "123456789012345678901234567890123456789012345678901234567890123" },
                { "{\"resourceVersion\":\"1234567890123456789012345678901234567890123456789012345678901234\"}", "" },
                { "{\"resourceVersion\":\"\"}", "" },
                { "{\"resourceVersion\":null}", "" },
                { "{\"resourceVersion\":219}", "" },
                { "{\"resourceVersion\":\"1\\n2\"}", "" },
                { "{\"resourceVersion\":\"1\",\"resourceVersion\":\"1\"}", "" },
                { "{\"resourceversion\":\"1\"}", "" },
                { "{}", "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                char version[RESOURCE_VERSION_SIZE];
                const char *problem;
                struct json_slice slice;

                memset(version, '?', sizeof version);
                ck_assert_int_eq(json_scan(versions[i].metadata, strlen(versions[i].metadata), &slice, &problem), 0);
                resource_version(slice, version);
                ck_assert_str_eq(version, versions[i].version);
        }
}
END_TEST

START_TEST(plurals) {
        ck_assert_str_eq(resource_plural(RESOURCE_SERVER), "mcpservers");
        ck_assert_str_eq(resource_plural(RESOURCE_VIRTUAL), "virtualmcpservers");
        ck_assert_str_eq(resource_plural(RESOURCE_PROXY), "mcpremoteproxies");
}
END_TEST

/* As it is found in the state file, where the resource itself is not written. */
START_TEST(resources_of_workloads) {
        static const struct {
                struct workload workload;
                enum resource resource;
        } workloads[] = {
                { { .package = NULL }, RESOURCE_SERVER },
                { { .package = "remote" }, RESOURCE_SERVER },
                { { .package = "ghcr.io/x/vmcp:1" }, RESOURCE_SERVER },
                { { .package = "vmc" }, RESOURCE_SERVER },
                { { .package = "vmcp:x" }, RESOURCE_VIRTUAL },
                { { .package = "vmcp:x", .remote = true }, RESOURCE_PROXY },
                { { .package = NULL, .remote = true }, RESOURCE_PROXY },
        };

        for (size_t i = 0; i < ELEMENTSOF(workloads); i++)
                ck_assert_int_eq(resource_of(&workloads[i].workload), workloads[i].resource);
}
END_TEST

/* ---- random damage ---- */

static void expect_clean(const char *string, size_t max, bool needed) {
        ck_assert(string && *string ? json_is_clean_name(string, max) : !needed);
}

START_TEST(damage) {
        static const char alphabet[] = "{}[]\",:\\u01239ant-. \n\x1b\x7f\xC2\x85\xE2\x80\xAE";
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL), good = 0, named = 0;

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (unsigned round = 0; round < 10000; round++) {
                const char *text = wholes[round % ELEMENTSOF(wholes)].text, *problem = NULL;
                size_t size = strlen(text);
                _cleanup_(freep) char *copy = malloc(size);     /* the exact size: no NUL behind */
                _cleanup_object_ struct resource_object object = {};
                struct json_slice slice;

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, text, size);
                for (long n = 1 + random() % 3; n > 0; n--)
                        copy[(size_t) random() % size] = alphabet[(size_t) random() % (sizeof alphabet - 1)];
                if (json_scan(copy, size, &slice, &problem) != 0)
                        continue;
                if (resource_parse((enum resource) (random() % RESOURCES), slice, &object, &problem) != 0) {
                        ck_assert_ptr_nonnull(problem);
                        continue;
                }
                named++;
                good += !object.problem;
                expect_clean(object.workload->name, WORKLOAD_NAME_MAX, true);
                expect_clean(object.workload->namespace, WORKLOAD_NAME_MAX, true);
                expect_clean(object.workload->status, WORD_MAX, !object.problem);
                expect_clean(object.workload->group, WORKLOAD_NAME_MAX, !object.problem);
                expect_clean(object.workload->url, URL_MAX + strlen("/mcp"), false);
                expect_clean(object.workload->transport, WORD_MAX, false);
                expect_clean(object.workload->package, PACKAGE_MAX, false);
        }
        ck_assert_uint_gt(good, 500);
        ck_assert_uint_gt(named - good, 3);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("resource");
        TCase *tcase = suite_case(suite, "resource", NULL, NULL);

        tcase_add_loop_test(tcase, as_the_api_server_answers, 0, ELEMENTSOF(wholes));
        tcase_add_test(tcase, fields);
        tcase_add_test(tcase, bad_objects);
        tcase_add_test(tcase, proxy_ports);
        tcase_add_test(tcase, lengths_at_the_limit);
        tcase_add_test(tcase, resource_versions);
        tcase_add_test(tcase, plurals);
        tcase_add_test(tcase, resources_of_workloads);
        tcase_add_test(tcase, damage);

        return suite_run(suite);
}
