/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `mcp-optimizer list`: the workloads as the service sees them, groups and names
 * left out by the same settings, asked of the API now. Those that do not run
 * because somebody stopped them are shown with --all only; one that should run
 * and does not is always shown.
 *
 * The table goes to stdout with its heading, also where no row follows, so that
 * what reads it need not tell two cases apart; what is left out, and why, is told
 * to a person only.
 *
 * A URL may have a password or a token in it. The table masks it, since it is read
 * over shoulders and pasted into reports; --json does not, since programs connect
 * with what it says.
 */

#include "command/client.h"
#include "command/command.h"
#include "command/mask.h"
#include "command/table.h"
#include "service/poll_log.h"

/* The first is for Kubernetes only. */
static const char *const headings[] = { "NAMESPACE", "NAME", "STATUS", "TRANSPORT", "GROUP", "URL", NULL };
enum { COLUMN_NAMESPACE, COLUMN_NAME, COLUMN_STATUS, COLUMN_TRANSPORT, COLUMN_GROUP, COLUMN_URL, COLUMNS };

/* What of the list is shown. */
struct listing {
        const struct workload_list *list;
        bool all;
        bool namespaces;                /* whether workloads have one: in Kubernetes */
        size_t shown, running;
};

static bool is_stopped(const struct workload *workload) {
        return strcmp(workload->status, "stopped") == 0 || strcmp(workload->status, "policy_stopped") == 0;
}

static bool is_shown(const struct listing *listing, const struct workload *workload) {
        return listing->all || !is_stopped(workload);
}

static struct listing listing_of(const struct workload_list *list, bool all, bool namespaces) {
        struct listing listing = { .list = list, .all = all, .namespaces = namespaces };

        for (size_t i = 0; i < list->n_items; i++)
                if (is_shown(&listing, list->items[i])) {
                        listing.shown++;
                        listing.running += workload_is_running(list->items[i]);
                }
        return listing;
}

/* The items as in the state file; total is how many they are. */
static void format_json(const struct listing *listing, const char *endpoint, struct text *text) {
        const char *separator = "\n   ";

        text_add(text, "{\"endpoint\": ");
        text_add_json(text, endpoint);
        text_add(text, ",\n \"workloads\": [");
        for (size_t i = 0; i < listing->list->n_items; i++) {
                if (!is_shown(listing, listing->list->items[i]))
                        continue;
                text_add(text, separator);
                workload_format_json(text, listing->list->items[i]);
                separator = ",\n   ";
        }
        text_addf(text, "],\n \"total\": %zu, \"running\": %zu, \"skipped\": %zu}\n", listing->shown,
                  listing->running, listing->list->skipped);
}

static enum style style_of_cell(size_t column, const char *cell) {
        return column == COLUMN_STATUS - 1 ? style_of_status(cell) : STYLE_NONE;
}

static enum style style_of_namespaced_cell(size_t column, const char *cell) {
        return column == COLUMN_STATUS ? style_of_status(cell) : STYLE_NONE;
}

static int format_table(const struct listing *listing, const struct terminal *terminal, struct text *text) {
        size_t first = listing->namespaces ? COLUMN_NAMESPACE : COLUMN_NAME;
        _cleanup_table_ struct table table;
        _cleanup_text_ struct text url = TEXT_INIT;

        table_init(&table, headings + first);
        table.style = listing->namespaces ? style_of_namespaced_cell : style_of_cell;
        table.kept = (1u << COLUMN_NAMESPACE | 1u << COLUMN_NAME | 1u << COLUMN_STATUS | 1u << COLUMN_URL) >> first;
        for (size_t i = 0; i < listing->list->n_items; i++) {
                const struct workload *workload = listing->list->items[i];
                const char *cells[COLUMNS] = {
                        [COLUMN_NAMESPACE] = workload->namespace,
                        [COLUMN_NAME] = workload->name,
                        [COLUMN_STATUS] = workload->status,
                        [COLUMN_TRANSPORT] = workload->transport,
                        [COLUMN_GROUP] = workload->group,
                };

                if (!is_shown(listing, workload))
                        continue;
                text_clear(&url);
                text_add_masked(&url, workload->url ?: "");
                table.failed |= url.failed;
                cells[COLUMN_URL] = url.data;
                table_add_row(&table, cells + first);
        }
        return table_format(&table, terminal, text);
}

/* What a person may miss in the table, and how to see it. */
static void add_notes(const struct listing *listing, struct text *notes) {
        size_t hidden = listing->list->n_items - listing->shown, skipped = listing->list->skipped;

        if (listing->shown == 0 && hidden > 0)
                text_addf(notes, "No workload runs; --all shows %zu stopped.\n", hidden);
        else if (listing->shown == 0)
                text_add(notes, "There are no workloads.\n");
        else if (hidden > 0)
                text_addf(notes, "%zu stopped not shown: --all shows %s.\n", hidden, hidden == 1 ? "it" : "them");
        if (skipped > 0)
                text_addf(notes, "%zu left out by --skipped-workloads or --allowed-groups.\n", skipped);
}

int command_list(struct command_context *context) {
        const struct command_line *line = &context->configuration->command;
        const struct settings *settings = &context->configuration->settings;
        const struct workload_filter filter = { settings->allowed_groups, settings->skipped_workloads };
        _cleanup_client_ struct client client;
        _cleanup_(call_done) struct call call = { .kind = CALL_LIST_WORKLOADS, .filter = &filter };
        struct listing listing;
        int r;

        r = client_init(&client, context, source_new, line->timeout);
        if (r == 0)
                r = client_run(&client, &call, "Listing workloads");
        if (r == 0)
                r = client_complete_list(&client, call.workloads);
        if (r != 0)
                return r;

        poll_log_bad_entries(NULL, call.workloads);
        listing = listing_of(call.workloads, line->all, settings->runtime_mode == RUNTIME_K8S);
        if (line->json)
                format_json(&listing, client.source->endpoint.url, &context->output);
        else {
                r = format_table(&listing, &context->out, &context->output);
                if (r < 0)
                        command_error("%s", errno_words(-r));
                add_notes(&listing, &context->notes);
        }
        return r < 0 ? COMMAND_FAILED : COMMAND_OK;
}
