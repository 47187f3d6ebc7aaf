/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Torture of what asks ToolHive: one request, each call, the search. Sockets are
 * real, to a server in a process of its own. The waiter is the real one: the search
 * waits for what falls due.
 */

#include <errno.h>

#include "server.h"
#include "source/toolhive.h"
#include "torture.h"

static struct waiter waiter;
static struct settings settings;
static struct source *source;
static struct call call;
static struct outcome outcome;
static char url[64];

static void begin(void) {
        snprintf(url, sizeof url, "http://" SERVER_HOST ":%u", server()->port);
        settings = (struct settings) {
                .toolhive_host = (char *) SERVER_HOST,
                .toolhive_api_url = url,
                .start_port_scan = 50000,
                .end_port_scan = 50003,
                .timeout = 5 * USEC_PER_SEC,
                .install_timeout = 5 * USEC_PER_SEC,
                .max_retries = 1,
        };
        if (waiter_init(&waiter) < 0)
                abort();
        server_renew();
        call = (struct call) {};
        outcome = (struct outcome) {};
}

static void open_source(void) {
        if (toolhive_new(&settings, &waiter, "", &source) < 0)
                abort();
        source->known = true;
}

static void end(void) {
        call_done(&call);
        source = source_free(source);
        waiter_done(&waiter);
}

/* ---- a source ---- */

static int act_new(void) {
        settings.toolhive_api_url = NULL;
        settings.discovery_file = (char *) "auto";
        setenv("XDG_STATE_HOME", torture_path("state"), 1);
        return toolhive_new(&settings, &waiter, "http://127.0.0.1:50002", &source);
}

static void judge_new(int r) {
        torture_expect(r <= 0 && (r == 0) == (source != NULL));
}

/* ---- one call each ---- */

static void begin_call(enum call_kind kind, const char *name) {
        begin();
        open_source();
        call = (struct call) { .kind = kind, .name = name };
}

static int act_call(void) {
        int r = source->ops->perform(source, &call, &outcome);

        return r ?: outcome.verdict != VERDICT_DONE;
}

/* A failure has its words; what was taken is whole. */
static void judge_call(int r) {
        torture_expect(r >= 0);
        torture_expect((outcome.verdict == VERDICT_DONE) == !outcome.error[0]);
        /* Nothing that the server sends is too large; who has no memory says so. */
        torture_expect(!torture_starves() || !strstr(outcome.error, "Headers over"));
        if (outcome.verdict != VERDICT_DONE)
                torture_expect(!call.workloads && !call.registry && !call.catalog);
}

static void begin_version(void) {
        begin_call(CALL_VERSION, NULL);
}

static void begin_list(void) {
        begin_call(CALL_LIST_WORKLOADS, NULL);
}

static void judge_list(int r) {
        judge_call(r);
        torture_expect(r != 0 || (call.workloads && call.workloads->n_items == 3 && call.workloads->n_bad == 0));
}

static void begin_details(void) {
        begin_call(CALL_WORKLOAD_DETAILS, "a");
}

static void begin_no_details(void) {
        begin_call(CALL_WORKLOAD_DETAILS, "none");
}

static void judge_details(int r) {
        judge_call(r);
        torture_expect(r != 0 || (call.found && call.document));
}

static void judge_no_details(int r) {
        judge_call(r);
        torture_expect(!call.found && !call.document);
}

static void begin_registry(void) {
        begin_call(CALL_REGISTRY, NULL);
}

static void judge_registry(int r) {
        judge_call(r);
        torture_expect(r != 0 || (call.registry && call.registry->n_names == 3 && call.registry->n_bad == 0));
}

static void begin_catalog(void) {
        begin_registry();
        call.want_catalog = true;
}

static void judge_catalog(int r) {
        judge_call(r);
        torture_expect(r != 0 || (call.catalog && call.catalog->n_entries == 3 && call.catalog->n_bad == 0));
}

static void begin_entry(void) {
        begin_call(CALL_REGISTRY_ENTRY, "fetch");
}

static void begin_install(void) {
        begin_call(CALL_INSTALL, "fetch");
        call.body = "{\"name\":\"fetch\",\"image\":\"ghcr.io/x/fetch:1\",\"transport\":\"stdio\"}";
}

/* Sent once at most; and who was sent one knows that he may have been. */
static void judge_install(int r) {
        unsigned posts = atomic_load(&server()->posts);

        judge_call(r);
        torture_expect(posts <= 1);
        torture_expect(r != 0 || (posts == 1 && call.install == INSTALL_CREATED));
        torture_expect(r == 0 || posts == 0 || call.install_sent);
}

/* ---- the search ---- */

static char error[ERROR_MAX];
static struct found found;

static void begin_search(void) {
        begin();
        settings.toolhive_api_url = NULL;
        if (toolhive_new(&settings, &waiter, "", &source) < 0)
                abort();
}

static void begin_search_nothing(void) {
        begin_search();
        error[0] = '\0';
}

static int find(void) {
        return source->ops->find(source, &found, error);
}

static int act_search_nothing(void) {
        int r = find();

        return r == FIND_NOTHING ? 0 : r ?: -1;
}

static void judge_search_nothing(int r) {
        torture_expect(r == 0 && error[0] && !source->known);
        if (!torture_injected())
                torture_expect(strcmp(error, "Connection refused") == 0);
}

static void begin_search_range(void) {
        begin_search();
        settings.start_port_scan = (uint16_t) (server()->port - 2);
        settings.end_port_scan = (uint16_t) (server()->port + 1);
}

static void begin_search_last(void) {
        begin_search();
        endpoint_set_tcp(&source->endpoint, SERVER_HOST, server()->port);
}

static int act_search(void) {
        int r = find();

        return r == FIND_FIRST ? 0 : r ?: -1;
}

/* Found or not, but never another. */
static void judge_search(int r) {
        if (r == 0)
                torture_expect(source->known && source->endpoint.port == server()->port &&
                               strcmp(source->version, "v0.44.0") == 0);
        else
                torture_expect(r == FIND_NOTHING && !source->known && error[0]);
}

const struct operation source_operations[] = {
        { "ToolHive, its source made", begin, act_new, judge_new, end, 3 },
        { "ToolHive, get version", begin_version, act_call, judge_call, end, 0 },
        { "ToolHive, list workloads", begin_list, act_call, judge_list, end, 0 },
        { "ToolHive, workload details", begin_details, act_call, judge_details, end, 0 },
        { "ToolHive, no such workload", begin_no_details, act_call, judge_no_details, end, 0 },
        { "ToolHive, registry", begin_registry, act_call, judge_registry, end, 0 },
        { "ToolHive, catalog", begin_catalog, act_call, judge_catalog, end, 0 },
        { "ToolHive, registry entry", begin_entry, act_call, judge_details, end, 0 },
        { "ToolHive, install", begin_install, act_call, judge_install, end, 0 },
        { "search, nothing there", begin_search_nothing, act_search_nothing, judge_search_nothing, end, 0 },
        { "search, in the range", begin_search_range, act_search, judge_search, end, 0 },
        { "search, at the last port", begin_search_last, act_search, judge_search, end, 0 },
        {},
};
