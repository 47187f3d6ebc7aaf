/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The table of commands: all of them, what they take, and every word that
 * `mcp-optimizer help COMMAND` says of them. What is not in the rows is true of
 * all: settings are accepted beside a command's own options, wrong usage is exit
 * 78, Ctrl-C is 130.
 *
 * What --env, --secret and --url are given may be confidential, and what is
 * wrong with it may be that it stands in the wrong place. So these are marked,
 * and a problem line tells of them without showing them.
 */

#include "base/command_line.h"

#include <string.h>

#include "base/command_reader.h"
#include "base/json.h"
#include "base/option_value.h"
#include "base/spelling.h"
#include "base/url.h"

#define FIELD(member) offsetof(struct command_line, member)
#define SECRET_TARGET ",target="
#define REMOTE_URL_SIZE_MAX ((size_t) 2000)

/* What options accept. */

bool command_is_name(const char *value) {
        return json_is_clean_name(value, COMMAND_NAME_SIZE_MAX) && strcmp(value, ".") != 0 &&
               strcmp(value, "..") != 0;
}

bool command_is_workload(const char *value) {
        const char *slash = strchr(value, '/');

        return json_is_clean_name(value, COMMAND_NAMESPACE_SIZE_MAX + 1 + COMMAND_NAME_SIZE_MAX) &&
               command_is_name(slash ? slash + 1 : value);
}

static bool is_text(const char *value) {
        return json_is_clean_name(value, COMMAND_NAME_SIZE_MAX);
}

/* A setting that a registry may require has to be one that can be given. */
static bool is_env(const char *value) {
        return value_is_setting_name(value, strcspn(value, "="));
}

static bool is_secret(const char *value) {
        const char *comma = strchr(value, ',');
        char name[COMMAND_NAME_SIZE_MAX + 1] = "";

        if (!comma || strncmp(comma, SECRET_TARGET, strlen(SECRET_TARGET)) != 0 ||
            (size_t) (comma - value) >= sizeof(name))
                return false;

        memcpy(name, value, (size_t) (comma - value));
        comma += strlen(SECRET_TARGET);
        return is_text(name) && value_is_setting_name(comma, strlen(comma));
}

/* Unlike the URLs of the settings it may have a query: many remote servers want one. */
static bool is_remote_url(const char *value) {
        struct url url;

        if (strlen(value) > REMOTE_URL_SIZE_MAX || url_parse(value, &url) < 0 ||
            url.scheme == URL_UNIX)
                return false;
        for (const char *c = url.path; *c; c++)
                if (*c <= ' ' || *c >= 0x7F || strchr("#\"<>\\", *c))
                        return false;
        return true;
}

/* The rows. */

#define SECONDS(n) ((n) * USEC_PER_SEC)
#define TIMEOUT(least, words)                                                           \
        {                                                                               \
                .option = "timeout", .kind = COMMAND_OPTION_SECONDS,                    \
                .metavar = "SECONDS", .offset = FIELD(timeout),                         \
                .min = SECONDS(least), .max = SECONDS(86400),                           \
                .default_value = SECONDS(30), .help = (words),                          \
        }
#define TIMEOUT_READING TIMEOUT(1, "Gives up when it has lasted so long, retries included.")
#define JSON(words)                                                                     \
        {                                                                               \
                .option = "json", .kind = COMMAND_OPTION_FLAG, .offset = FIELD(json),   \
                .help = (words),                                                        \
        }
#define JSON_DOCUMENT JSON("Prints one JSON document instead.")
#define OPTIONS(array) .options = (array), .n_options = ELEMENTSOF(array)

static const struct command_option_row status_options[] = {
        {
                .option = "alive", .kind = COMMAND_OPTION_FLAG, .offset = FIELD(alive),
                .help = "Only says whether the service's worker still makes progress, whatever the "
                        "connection: for liveness probes.",
        },
        JSON_DOCUMENT,
};

static const struct command_option_row wait_options[] = {
        JSON("Prints one JSON document, also when it was in vain."),
        TIMEOUT(0, "Waits at most so long; 0 looks once."),
};

static const struct command_option_row list_options[] = {
        {
                .option = "all", .kind = COMMAND_OPTION_FLAG, .offset = FIELD(all),
                .help = "The stopped ones, too.",
        },
        JSON_DOCUMENT,
        TIMEOUT_READING,
};

static const struct command_option_row show_options[] = {
        JSON_DOCUMENT,
        TIMEOUT_READING,
};

static const struct command_option_row registry_options[] = {
        {
                .option = "search", .kind = COMMAND_OPTION_STRING, .metavar = "WORD",
                .offset = FIELD(search), .is_accepted = is_text, .accepted = TEXT_ACCEPTED,
                .help = "Only servers in whose name, title, description or tags the word occurs.",
        },
        JSON_DOCUMENT,
        TIMEOUT_READING,
};

static const char *const transports[] = { "sse", "streamable-http", NULL };

static const struct command_option_row install_options[] = {
        {
                .option = "as", .kind = COMMAND_OPTION_STRING, .metavar = "NAME",
                .offset = FIELD(as), .is_accepted = value_is_workload_name,
                .accepted = "up to 100 letters, digits, dots, hyphens and underscores",
                .default_help = "made from the server's name",
                .help = "The name of the workload, which a server installed twice needs.",
        },
        {
                .option = "env", .kind = COMMAND_OPTION_WORDS, .metavar = "KEY=VALUE",
                .offset = FIELD(env), .is_accepted = is_env, .confidential = true,
                .accepted = "KEY=VALUE, or KEY alone, where KEY consists of letters, digits, dots, "
                            "hyphens and underscores",
                .help = "A setting of the server. With KEY alone the value is that of this "
                        "environment, so that it shows in no list of processes. May be given again.",
        },
        {
                .option = "secret", .kind = COMMAND_OPTION_WORDS, .metavar = "NAME,target=KEY",
                .offset = FIELD(secrets), .is_accepted = is_secret, .confidential = true,
                .accepted = "NAME,target=KEY, where KEY consists of letters, digits, dots, hyphens "
                            "and underscores",
                .help = "A setting of the server whose value is the secret NAME in ToolHive's own "
                        "store (thv secret set NAME). May be given again.",
        },
        {
                .option = "group", .kind = COMMAND_OPTION_STRING, .metavar = "NAME",
                .offset = FIELD(group), .is_accepted = command_is_name, .accepted = NAME_ACCEPTED,
                .default_help = "ToolHive's default group",
                .help = "The ToolHive group of the workload.",
        },
        {
                .option = "url", .kind = COMMAND_OPTION_STRING, .metavar = "URL",
                .offset = FIELD(url), .is_accepted = is_remote_url, .confidential = true,
                .accepted = "an http:// or https:// URL without user and fragment",
                .help = "Installs the remote MCP server at this address; the registry is not asked.",
        },
        {
                .option = "transport", .kind = COMMAND_OPTION_STRING, .metavar = "WORD",
                .offset = FIELD(transport), .keywords = transports,
                .default_help = "streamable-http",
                .help = "What the server at --url speaks.",
        },
        {
                .option = "wait", .kind = COMMAND_OPTION_SECONDS, .metavar = "SECONDS",
                .offset = FIELD(wait), .max = SECONDS(3600), .default_value = SECONDS(120),
                .help = "Once it is installed, waits so long until it runs; 0 does not wait.",
        },
        {
                .option = "timeout", .kind = COMMAND_OPTION_SECONDS, .metavar = "SECONDS",
                .offset = FIELD(timeout), .min = SECONDS(1), .max = SECONDS(86400),
                .default_help = "--toolhive-install-timeout and 30 s more",
                .help = "Gives up when installing has lasted so long, retries included.",
        },
        JSON_DOCUMENT,
};

const struct command_row command_rows[COMMAND_COUNT] = {
        [COMMAND_RUN] = {
                .name = "run",
                .synopsis = "",
                .help = "the service, in the foreground; the same without a command",
                .description =
                        "Runs the service in the foreground: it stays connected to ToolHive, and "
                        "says what it sees on standard error. systemd does the same: systemctl "
                        "start mcp-optimizer.\n"
                        "SIGTERM or Ctrl-C ends it, SIGHUP makes it poll at once.",
                .exit_status = "0 stopped on request; 1 ToolHive stayed away, all attempts are spent",
        },
        [COMMAND_STATUS] = {
                .name = "status",
                .synopsis = "[--alive] [--json]",
                .help = "what the service says of itself: connection, polls, last error",
                .description =
                        "Says what the running service is connected to and since when, how many "
                        "workloads there are, when it polls next, and the last error. It reads the "
                        "state file of the service and asks neither the service nor ToolHive, so "
                        "that it answers whatever they do.\n"
                        "  mcp-optimizer status\n"
                        "  mcp-optimizer status --json | jq .state.connection",
                OPTIONS(status_options),
                .exit_status = "0 connected, or with --alive: alive; 1 running, but without progress for "
                               "60 s or, without --alive, degraded or not connected, or its state "
                               "cannot be read; 3 not running",
        },
        [COMMAND_WAIT] = {
                .name = "wait",
                .synopsis = "[--json] [--timeout SECONDS]",
                .help = "returns when the service is connected to ToolHive",
                .description =
                        "Waits until the service is connected, also for a service that does not run "
                        "yet. Degraded is connected enough: ToolHive is there.\n"
                        "  mcp-optimizer wait --timeout 120 && mcp-optimizer list",
                OPTIONS(wait_options),
                .exit_status = "0 connected or degraded; 1 the time is up; 3 not running, with "
                               "--timeout 0",
        },
        [COMMAND_LIST] = {
                .name = "list",
                .synopsis = "[--all] [--json] [--timeout SECONDS]",
                .help = "the MCP servers that ToolHive runs, as a table",
                .description =
                        "Asks ToolHive for its workloads and prints those that are not stopped: name, "
                        "status, transport, group and URL. --allowed-groups and --skipped-workloads hold as "
                        "for the service. The table masks passwords and tokens in URLs, --json does not.\n"
                        "  mcp-optimizer list --all\n"
                        "  mcp-optimizer list --json | jq -r '.workloads[].url'",
                OPTIONS(list_options),
                .exit_status = "0 listed; 1 ToolHive is unavailable or answers with an error",
        },
        [COMMAND_SHOW] = {
                .name = "show",
                .argument = ARGUMENT_WORKLOAD,
                .argument_required = true,
                .synopsis = "NAME [--json] [--timeout SECONDS]",
                .help = "one workload's details",
                .description =
                        "Asks for the details of one workload. The values of its environment and "
                        "its secrets are masked. In Kubernetes the name may have its namespace in "
                        "front, and must where several have the name.\n"
                        "  mcp-optimizer show fetch\n"
                        "  mcp-optimizer show tools/fetch",
                OPTIONS(show_options),
                .exit_status = "0 shown; 1 ToolHive is unavailable or answers with an error; 4 no "
                               "workload of that name, or several",
        },
        [COMMAND_REGISTRY] = {
                .name = "registry",
                .argument = ARGUMENT_SERVER,
                .synopsis = "[NAME] [--search WORD] [--json] [--timeout SECONDS]",
                .help = "what the registry offers; one server with what it needs",
                .description =
                        "Lists the servers that ToolHive's registry offers, or those that a word "
                        "finds. With a name, one server with the settings that it needs. Kubernetes "
                        "has no registry.\n"
                        "  mcp-optimizer registry --search github\n"
                        "  mcp-optimizer registry fetch",
                OPTIONS(registry_options),
                .exit_status = "0 listed; 1 ToolHive is unavailable or answers with an error; 4 no "
                               "server of that name",
        },
        [COMMAND_INSTALL] = {
                .name = "install",
                .argument = ARGUMENT_SERVER,
                .argument_required = true,
                .synopsis = "NAME [--as NAME] [--env KEY[=VALUE]]... [--secret NAME,target=KEY]... "
                            "[--group NAME] [--url URL [--transport WORD]] [--wait SECONDS] "
                            "[--timeout SECONDS] [--json]",
                .help = "installs a server of the registry, or with --url a remote one",
                .description =
                        "Has ToolHive install a server of its registry, waits until it runs, and "
                        "says on which URL. When settings that the server requires are missing they "
                        "are listed, each with the way to give it, and nothing is sent. With --url, "
                        "NAME is the name of the new workload.\n"
                        "A connection that fails on the way does no harm: the request is sent again "
                        "only where it has done nothing yet.\n"
                        "  mcp-optimizer install fetch\n"
                        "  mcp-optimizer install github --env GITHUB_PERSONAL_ACCESS_TOKEN\n"
                        "  mcp-optimizer install docs --url https://mcp.example.com/mcp",
                OPTIONS(install_options),
                .exit_status = "0 installed and running; 1 ToolHive is unavailable or refuses; 4 no "
                               "server of that name; 5 a workload of that name exists already; 6 "
                               "settings are missing; 7 installed, but not running in time",
        },
        [COMMAND_HELP] = {
                .name = "help",
                .argument = ARGUMENT_COMMAND,
                .synopsis = "[COMMAND]",
                .help = "all about one command; the same as --help behind it",
                .description = "Prints the help of a command, or without one what --help prints.",
                .exit_status = "0 printed",
        },
        [COMMAND_COMPLETE] = {
                .name = "complete",
                .hidden = true,
                .synopsis = "WORD...",
                .help = "what may come next on a command line",
                .description =
                        "Prints what the last of the words can be completed to, one candidate a "
                        "line. The completions of bash, zsh and fish call it.",
                .exit_status = "0 always",
        },
};

const struct command_row *command_find(const char *name, size_t size) {
        for (size_t i = 0; i < COMMAND_COUNT; i++)
                if (strlen(command_rows[i].name) == size &&
                    memcmp(command_rows[i].name, name, size) == 0)
                        return &command_rows[i];
        return NULL;
}

const struct command_option_row *command_option_find(const struct command_row *row,
                                                     const char *option, size_t size) {
        for (size_t i = 0; i < row->n_options; i++)
                if (strlen(row->options[i].option) == size &&
                    memcmp(row->options[i].option, option, size) == 0)
                        return &row->options[i];
        return NULL;
}

const char *command_nearest(const char *name, size_t size) {
        struct spelling spelling = spelling_of(name, size, SPELLING_NEAR);

        for (size_t i = 0; i < COMMAND_COUNT; i++)
                if (!command_rows[i].hidden)
                        spelling_consider(&spelling, command_rows[i].name);
        return spelling.nearest;
}
