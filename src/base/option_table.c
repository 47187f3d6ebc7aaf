/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The table of options: all of them, and nothing but them. A row says everything
 * that the program knows of an option; what is not in the rows is true of all.
 */

#include <assert.h>

#include "base/option_table.h"

#define MILLIONTHS(number) ((uint64_t) ((number) * 1e6 + 0.5))
#define FIELD(member) offsetof(struct settings, member)
#define PORT_MIN 1024
#define PORT_MAX 65535

static_assert((int) OPTION_INDEX_END == (int) OPTION_COUNT, "each option has its row");

static const char *const runtime_mode_names[] = {
        [RUNTIME_DOCKER] = "docker",
        [RUNTIME_K8S] = "k8s",
        NULL,
};

static const char *const log_level_names[] = {
        [LEVEL_DEBUG] = "DEBUG",
        [LEVEL_INFO] = "INFO",
        [LEVEL_WARNING] = "WARNING",
        [LEVEL_ERROR] = "ERROR",
        [LEVEL_CRITICAL] = "CRITICAL",
        NULL,
};

static const char *const log_format_names[] = {
        [LOG_FORMAT_AUTO] = "auto",
        [LOG_FORMAT_TEXT] = "text",
        [LOG_FORMAT_JSON] = "json",
        [LOG_FORMAT_JOURNAL] = "journal",
        NULL,
};

static const char *const auto_word[] = { "auto", NULL };

const struct option_row option_rows[OPTION_COUNT] = {
        [OPTION_RUNTIME_MODE] = {
                .heading = "Mode",
                .option = "runtime-mode", .variable = "RUNTIME_MODE",
                .type = &option_type_keyword, .offset = FIELD(runtime_mode),
                .keywords = runtime_mode_names, .default_value = "docker",
                .help = "Where ToolHive runs its servers: docker is ToolHive's own API, whatever engine it "
                        "drives; k8s is the API server of Kubernetes.",
        },
        [OPTION_TOOLHIVE_HOST] = {
                .heading = "Where ToolHive listens",
                .option = "toolhive-host", .variable = "TOOLHIVE_HOST",
                .type = &option_type_host, .offset = FIELD(toolhive_host),
                .default_value = "localhost", .address = true,
                .help = "The host of thv serve.",
        },
        [OPTION_TOOLHIVE_PORT] = {
                .option = "toolhive-port", .variable = "TOOLHIVE_PORT",
                .type = &option_type_port, .offset = FIELD(toolhive_port),
                .min = PORT_MIN, .max = PORT_MAX, .none = true,
                .default_value = "none", .address = true,
                .help = "The port that is tried first.",
        },
        [OPTION_TOOLHIVE_API_URL] = {
                .option = "toolhive-api-url", .variable = "TOOLHIVE_API_URL",
                .type = &option_type_api_url, .offset = FIELD(toolhive_api_url),
                .none = true, .default_value = "none", .address = true,
                .help = "The one address of ToolHive: nothing else is tried.",
        },
        [OPTION_START_PORT_SCAN] = {
                .option = "toolhive-start-port-scan", .variable = "TOOLHIVE_START_PORT_SCAN",
                .type = &option_type_port, .offset = FIELD(start_port_scan),
                .min = PORT_MIN, .max = PORT_MAX,
                .default_value = "50000", .address = true,
                .help = "The first port of the range that is searched.",
        },
        [OPTION_END_PORT_SCAN] = {
                .option = "toolhive-end-port-scan", .variable = "TOOLHIVE_END_PORT_SCAN",
                .type = &option_type_port, .offset = FIELD(end_port_scan),
                .min = PORT_MIN, .max = PORT_MAX,
                .default_value = "50100", .address = true,
                .help = "The last port of that range, not below the first.",
        },
        [OPTION_DISCOVERY_FILE] = {
                .option = "toolhive-discovery-file", .variable = "TOOLHIVE_DISCOVERY_FILE",
                .type = &option_type_path, .offset = FIELD(discovery_file),
                .none = true, .keywords = auto_word,
                .default_value = "auto", .address = true,
                .help = "ToolHive's own file that names its address.",
        },
        [OPTION_TIMEOUT] = {
                .heading = "Time limits and retries",
                .option = "toolhive-timeout", .variable = "TOOLHIVE_TIMEOUT",
                .type = &option_type_seconds, .offset = FIELD(timeout),
                .min = MILLIONTHS(1), .max = MILLIONTHS(60), .default_value = "10",
                .help = "How long one request may last.",
        },
        [OPTION_INSTALL_TIMEOUT] = {
                .option = "toolhive-install-timeout", .variable = "TOOLHIVE_INSTALL_TIMEOUT",
                .type = &option_type_seconds, .offset = FIELD(install_timeout),
                .min = MILLIONTHS(1), .max = MILLIONTHS(3600), .default_value = "300",
                .help = "How long one install request may last.",
        },
        [OPTION_MAX_RETRIES] = {
                .option = "toolhive-max-retries", .variable = "TOOLHIVE_MAX_RETRIES",
                .type = &option_type_count, .offset = FIELD(max_retries),
                .min = 1, .max = 500, .default_value = "100",
                .help = "Attempts of one outage; then the service exits with 1.",
        },
        [OPTION_INITIAL_BACKOFF] = {
                .option = "toolhive-initial-backoff", .variable = "TOOLHIVE_INITIAL_BACKOFF",
                .type = &option_type_seconds, .offset = FIELD(initial_backoff),
                .min = MILLIONTHS(0.1), .max = MILLIONTHS(10), .default_value = "1.0",
                .help = "The wait after the first failure. It doubles from there.",
        },
        [OPTION_MAX_BACKOFF] = {
                .option = "toolhive-max-backoff", .variable = "TOOLHIVE_MAX_BACKOFF",
                .type = &option_type_seconds, .offset = FIELD(max_backoff),
                .min = MILLIONTHS(1), .max = MILLIONTHS(300), .default_value = "60.0",
                .help = "The longest wait, not below the initial one.",
        },
        [OPTION_BACKOFF_JITTER] = {
                .option = "toolhive-backoff-jitter", .variable = "TOOLHIVE_BACKOFF_JITTER",
                .type = &option_type_fraction, .offset = FIELD(backoff_jitter),
                .min = 0, .max = MILLIONTHS(1), .default_value = "0.0",
                .help = "The part of each wait that chance may take away.",
        },
        [OPTION_WORKLOAD_POLLING_INTERVAL] = {
                .heading = "What is polled",
                .option = "workload-polling-interval", .variable = "WORKLOAD_POLLING_INTERVAL",
                .type = &option_type_seconds, .offset = FIELD(workload_polling_interval),
                .min = 0, .max = MILLIONTHS(300), .default_value = "60",
                .help = "From one poll of the workloads to the next; 0 polls once.",
        },
        [OPTION_REGISTRY_POLLING_INTERVAL] = {
                .option = "registry-polling-interval", .variable = "REGISTRY_POLLING_INTERVAL",
                .type = &option_type_seconds, .offset = FIELD(registry_polling_interval),
                .min = 0, .max = MILLIONTHS(86400), .default_value = "86400",
                .help = "From one poll of the registry to the next; 0 polls once.",
        },
        [OPTION_STARTUP_POLLING_DELAY] = {
                .option = "startup-polling-delay", .variable = "STARTUP_POLLING_DELAY",
                .type = &option_type_seconds, .offset = FIELD(startup_polling_delay),
                .min = 0, .max = MILLIONTHS(300), .default_value = "0",
                .help = "The wait before the first poll.",
        },
        [OPTION_ALLOWED_GROUPS] = {
                .option = "allowed-groups", .variable = "ALLOWED_GROUPS",
                .type = &option_type_list, .offset = FIELD(allowed_groups),
                .none = true, .default_value = "none",
                .help = "The ToolHive groups whose workloads are kept; none keeps all.",
        },
        [OPTION_SKIPPED_WORKLOADS] = {
                .option = "skipped-workloads", .variable = "SKIPPED_WORKLOADS",
                .type = &option_type_list, .offset = FIELD(skipped_workloads),
                .none = true, .default_value = "inspector,mcp-optimizer",
                .help = "The workloads that are left out.",
        },
        [OPTION_K8S_API_SERVER_URL] = {
                .heading = "Kubernetes",
                .option = "k8s-api-server-url", .variable = "K8S_API_SERVER_URL",
                .type = &option_type_http_url, .offset = FIELD(k8s_api_server_url),
                .default_help = "in a pod the cluster's own, else http://127.0.0.1:8001",
                .help = "The API server.",
        },
        [OPTION_K8S_NAMESPACE] = {
                .option = "k8s-namespace", .variable = "K8S_NAMESPACE",
                .type = &option_type_namespace, .offset = FIELD(k8s_namespace),
                .none = true, .default_value = "none",
                .help = "The namespace whose resources are listed, alone that one only.",
        },
        [OPTION_K8S_ALL_NAMESPACES] = {
                .option = "k8s-all-namespaces", .variable = "K8S_ALL_NAMESPACES",
                .type = &option_type_boolean, .offset = FIELD(k8s_all_namespaces),
                .default_help = "true unless a namespace is given",
                .help = "Whether all are listed; false needs a namespace, or the pod's own.",
        },
        [OPTION_K8S_TOKEN_FILE] = {
                .option = "k8s-token-file", .variable = "K8S_TOKEN_FILE",
                .type = &option_type_path, .offset = FIELD(k8s_token_file),
                .none = true,
                .default_help = "the service account's, where there is one",
                .help = "The bearer token, read again when it changes.",
        },
        [OPTION_K8S_CA_FILE] = {
                .option = "k8s-ca-file", .variable = "K8S_CA_FILE",
                .type = &option_type_path, .offset = FIELD(k8s_ca_file),
                .none = true,
                .default_help = "the service account's, where there is one",
                .help = "The certificates that the API server's is checked against; none is the system's.",
        },
        [OPTION_LOG_LEVEL] = {
                .heading = "What is reported",
                .option = "log-level", .variable = "LOG_LEVEL",
                .type = &option_type_keyword, .offset = FIELD(log_level),
                .keywords = log_level_names, .default_value = "INFO",
                .help = "The least level that is logged.",
        },
        [OPTION_LOG_FORMAT] = {
                .option = "log-format", .variable = "LOG_FORMAT",
                .type = &option_type_keyword, .offset = FIELD(log_format),
                .keywords = log_format_names, .default_value = "auto",
                .help = "How; auto is journal where stderr is the journal, else text.",
        },
        [OPTION_METRICS_FILE] = {
                .option = "metrics-file", .variable = "METRICS_FILE",
                .type = &option_type_path, .offset = FIELD(metrics_file),
                .none = true, .default_value = "none",
                .help = "Metrics for the textfile collector of Prometheus.",
        },
        [OPTION_STATE_FILE] = {
                .option = "state-file", .variable = "STATE_FILE",
                .type = &option_type_path, .offset = FIELD(state_file),
                .none = true,
                .default_help = "$RUNTIME_DIRECTORY/state.json, else "
                                "$XDG_RUNTIME_DIR/mcp-optimizer/state.json, else none",
                .help = "What the service knows, as JSON.",
        },
};

const struct option_action_row option_action_rows[OPTION_ACTION_COUNT] = {
        { "help", 'h', ACTION_HELP,
          "Prints this and exits; behind a command, its own help. -h is the same." },
        { "version", 'V', ACTION_VERSION, "Prints the version and exits. -V is the same." },
        { "check-config", '\0', ACTION_CHECK_CONFIG,
          "Prints every setting, its value and its origin, and exits with 0, or with 78 when a "
          "value is bad." },
};
