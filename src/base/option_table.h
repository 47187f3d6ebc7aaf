/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The rows of the option table, and the types that their values are of. Private
 * to the modules of options and of the command line: everybody else asks
 * base/option.h.
 */

#include "base/option.h"
#include "base/option_value.h"

struct option_row;

/* What all options of one kind of value have in common. */
struct option_type {
        const char *metavar;            /* "PORT": what --help puts behind the option */

        /* Reads a value into its field, which stays untouched on VALUE_BAD and -ENOMEM. */
        int (*parse)(const struct option_row *row, const char *value, void *field);

        /* Appends the field's value as it could be given again. */
        void (*format)(const struct option_row *row, const void *field, struct text *text);

        /* Appends what is accepted: "a port from 1024 to 65535". */
        void (*accepted)(const struct option_row *row, struct text *text);
};

extern const struct option_type option_type_keyword;    /* an enum, by its names */
extern const struct option_type option_type_boolean;
extern const struct option_type option_type_count;
extern const struct option_type option_type_seconds;
extern const struct option_type option_type_fraction;
extern const struct option_type option_type_port;
extern const struct option_type option_type_host;
extern const struct option_type option_type_api_url;
extern const struct option_type option_type_http_url;
extern const struct option_type option_type_namespace;
extern const struct option_type option_type_path;
extern const struct option_type option_type_list;

/* In the order of --help and of the documentation. */
enum option_index {
        OPTION_RUNTIME_MODE,
        OPTION_TOOLHIVE_HOST,
        OPTION_TOOLHIVE_PORT,
        OPTION_TOOLHIVE_API_URL,
        OPTION_START_PORT_SCAN,
        OPTION_END_PORT_SCAN,
        OPTION_DISCOVERY_FILE,
        OPTION_TIMEOUT,
        OPTION_INSTALL_TIMEOUT,
        OPTION_MAX_RETRIES,
        OPTION_INITIAL_BACKOFF,
        OPTION_MAX_BACKOFF,
        OPTION_BACKOFF_JITTER,
        OPTION_WORKLOAD_POLLING_INTERVAL,
        OPTION_REGISTRY_POLLING_INTERVAL,
        OPTION_STARTUP_POLLING_DELAY,
        OPTION_ALLOWED_GROUPS,
        OPTION_SKIPPED_WORKLOADS,
        OPTION_K8S_API_SERVER_URL,
        OPTION_K8S_NAMESPACE,
        OPTION_K8S_ALL_NAMESPACES,
        OPTION_K8S_TOKEN_FILE,
        OPTION_K8S_CA_FILE,
        OPTION_LOG_LEVEL,
        OPTION_LOG_FORMAT,
        OPTION_METRICS_FILE,
        OPTION_STATE_FILE,
        OPTION_INDEX_END,
};

struct option_row {
        const char *heading;            /* in --help, above this row; NULL: as before */
        const char *option;             /* without its dashes */
        const char *variable;
        const struct option_type *type;
        size_t offset;                  /* of the field in struct settings */

        uint64_t min, max;              /* a number's range: counts, ports, or millionths */
        bool none;                      /* "none" is accepted: no port, no file */
        const char *const *keywords;    /* an enum's names, by number; words that are no path */

        const char *default_value;      /* as if given; NULL where it is computed */
        const char *default_help;       /* what --help says of it, where not the value */
        bool address;                   /* not read from the environment in Kubernetes mode */
        const char *help;
};

extern const struct option_row option_rows[OPTION_COUNT];

/* The options without a value and without a variable. */
struct option_action_row {
        const char *option;
        char letter;                    /* 'h' for -h; 0: none */
        enum option_action action;
        const char *help;
};

enum { OPTION_ACTION_COUNT = 3 };

extern const struct option_action_row option_action_rows[OPTION_ACTION_COUNT];

static inline const void *option_field(const struct option_row *row,
                                       const struct settings *settings) {
        return (const char *) settings + row->offset;
}

/* The value of a variable; NULL when it is unset or empty, which is the same here. */
const char *option_environment_get(char **environment, const char *name);

/* Fills the fields that were not given and whose default is computed. 0 or -ENOMEM. */
int option_compute_defaults(struct configuration *configuration, char **environment);

/*
 * The namespace of the pod that this process runs in, as the file beside the
 * service account's token tells it. 0, VALUE_BAD when there is none, -ENOMEM.
 */
int option_pod_namespace(const struct settings *settings, char **ret_namespace);
