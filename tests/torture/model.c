/* SPDX-License-Identifier: Apache-2.0 */

/* Torture of what only computes: options, the parsers of answers, their differences. */

#include <errno.h>

#include "base/option_table.h"
#include "base/option.h"
#include "model/registry.h"
#include "model/registry_entry.h"
#include "model/snapshot.h"
#include "torture.h"

/* A result is right or an error, and never both or neither. */
static void judge_errno(int r) {
        torture_expect(r == 0 || r == -ENOMEM);
}

static void nothing(void) {
}

/* ---- options ---- */

static struct configuration configuration;

static int act_configuration(void) {
        static char *argv[] = {
                (char *) "mcp-optimizer", (char *) "--toolhive-port=50007", (char *) "--allowed-groups", (char *) "one,two",
                (char *) "--log-level", (char *) "loud", (char *) "list", (char *) "--all", (char *) "--timeout=7", NULL,
        };
        static char *environment[] = {
                (char *) "TOOLHIVE_MAX_RETRIES=7", (char *) "TOOLHIVE_HOTS=x", (char *) "METRICS_FILE=/tmp/metrics",
                (char *) "XDG_RUNTIME_DIR=/run/user/1", (char *) "WORKLOAD_POLLING_INTERVAL=soon", NULL,
        };

        return configuration_read(&configuration, 9, argv, environment);
}

static void judge_configuration(int r) {
        judge_errno(r);
        if (r != 0)
                return;
        torture_expect(configuration.settings.toolhive_port == 50007);
        torture_expect(configuration.settings.max_retries == 7);
        torture_expect(strcmp(configuration.settings.allowed_groups[1], "two") == 0);
        torture_expect(configuration.command.command == COMMAND_LIST && configuration.command.all);
        /* A bad setting that went by unnoticed would start the service with another. */
        torture_expect(text_error(&configuration.problems) < 0 ||
                       (strstr(configuration.problems.data, "loud") && strstr(configuration.problems.data, "soon")));
}

static void end_configuration(void) {
        configuration_done(&configuration);
}

static struct text output;

static void begin_described(void) {
        (void) act_configuration();
}

static int act_described(void) {
        configuration_describe(&configuration, &output);
        option_help(&output);
        command_help(&output, COMMAND_INSTALL);
        return text_error(&output);
}

static void judge_described(int r) {
        static size_t whole;

        judge_errno(r);
        if (!torture_injected())
                whole = output.size;
        torture_expect(r != 0 || output.size == whole);
}

static void end_described(void) {
        text_done(&output);
        configuration_done(&configuration);
}

/* ---- answers ---- */

static const char *problem;

#define ENTRY(name, more) \
        "{\"name\":\"" name "\",\"package\":\"p\",\"transport_type\":\"sse\",\"group\":\"default\"" more "}"

static const char list_body[] =
        "{\"workloads\":[" ENTRY("a", ",\"status\":\"running\",\"url\":\"http://h/a\"") ","
        ENTRY("b", ",\"status\":\"stopped\"") "," ENTRY("skipped", ",\"status\":\"running\"") ",{\"name\":7},"
        ENTRY("d", ",\"status\":\"running\",\"tools\":[\"x\",\"y\"],\"labels\":{\"k\":\"v\"}") "]}";

static struct workload_list *list;

static int parse_list(void) {
        static char *skipped[] = { (char *) "skipped", NULL };
        const struct workload_filter filter = { .skipped_workloads = skipped };

        return workload_list_parse(list_body, strlen(list_body), &filter, &list, &problem);
}

static void judge_list(int r) {
        judge_errno(r);
        torture_expect((r == 0) == (list != NULL));
        if (!list)
                return;
        torture_expect(list->n_items == 3 && list->running == 2 && list->skipped == 1 && list->n_bad == 1);
        torture_expect(workload_list_find(list, NULL, "d") != NULL);
}

static void end_list(void) {
        list = workload_list_free(list);
}

static int act_format_list(void) {
        text_clear(&output);
        for (size_t i = 0; i < list->n_items; i++)
                workload_format_json(&output, list->items[i]);
        return text_error(&output);
}

static void begin_format_list(void) {
        (void) parse_list();
}

static void end_format_list(void) {
        text_done(&output);
        end_list();
}

static const char registry_body[] =
        "{\"name\":\"default\",\"registry\":{\"last_updated\":\"2026-02-18T00:24:11Z\",\"servers\":{"
        "\"fetch\":{\"name\":\"fetch\",\"title\":\"Fetch\",\"description\":\"d\",\"tier\":\"Community\",\"tags\":[\"web\",\"x\"],"
        "\"tools\":[\"fetch\"],\"args\":[\"-v\"],\"image\":\"i\",\"target_port\":8080,\"env_vars\":[{\"name\":\"TOKEN\","
        "\"description\":\"d\",\"required\":true,\"secret\":true,\"default\":\"v\"}]},\"git\":{\"image\":\"j\"}},"
        "\"remote_servers\":{\"notion\":{\"url\":\"https://mcp.notion.com\",\"headers\":[{\"name\":\"X-Key\"}]}}}}";

static struct registry *registry;

static int act_registry(void) {
        return registry_parse(registry_body, strlen(registry_body), &registry, &problem);
}

static void judge_registry(int r) {
        judge_errno(r);
        torture_expect((r == 0) == (registry != NULL));
        if (!registry)
                return;
        torture_expect(registry->n_names == 3 && registry->n_bad == 0);
        torture_expect(registry->last_updated && strcmp(registry->names[2], "notion") == 0);
}

static void end_registry(void) {
        registry = registry_free(registry);
}

static struct registry_catalog *catalog;

static int act_catalog(void) {
        return registry_catalog_parse(registry_body, strlen(registry_body), &catalog, &problem);
}

static void judge_catalog(int r) {
        const struct registry_entry *fetch;

        judge_errno(r);
        torture_expect((r == 0) == (catalog != NULL));
        if (!catalog)
                return;
        torture_expect(catalog->n_entries == 3 && catalog->n_bad == 0);
        fetch = catalog->entries[0];
        torture_expect(strcmp(fetch->name, "fetch") == 0 && strcmp(fetch->title, "Fetch") == 0);
        torture_expect(fetch->n_env_vars == 1 && fetch->env_vars[0].required && fetch->env_vars[0].secret);
        torture_expect(strcmp(fetch->env_vars[0].default_value, "v") == 0 && strcmp(fetch->tags[1], "x") == 0);
        torture_expect(catalog->entries[2]->remote && catalog->entries[2]->n_headers == 1);
}

static void end_catalog(void) {
        catalog = registry_catalog_free(catalog);
}

const struct operation model_operations[] = {
        { "configuration, read", nothing, act_configuration, judge_configuration, end_configuration, 0 },
        { "configuration, described, help", begin_described, act_described, judge_described, end_described, 0 },
        { "workloads, parsed", nothing, parse_list, judge_list, end_list, 0 },
        { "workloads, formatted", begin_format_list, act_format_list, judge_errno, end_format_list, 0 },
        { "registry, parsed", nothing, act_registry, judge_registry, end_registry, 0 },
        { "registry, entries parsed", nothing, act_catalog, judge_catalog, end_catalog, 0 },
        {},
};
