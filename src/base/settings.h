/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The settings: what command line, environment and defaults came to. Read once
 * at start by base/option.h, immutable afterwards, shared by both threads.
 */

#include "base/util.h"

enum runtime_mode {
        RUNTIME_DOCKER,
        RUNTIME_K8S,
};

enum log_format {
        LOG_FORMAT_AUTO,
        LOG_FORMAT_TEXT,
        LOG_FORMAT_JSON,
        LOG_FORMAT_JOURNAL,
};

/* Ordered by weight; the numbers have no other meaning. */
enum log_level {
        LEVEL_DEBUG,
        LEVEL_INFO,
        LEVEL_WARNING,
        LEVEL_ERROR,
        LEVEL_CRITICAL,
};

struct settings {
        enum runtime_mode runtime_mode;

        char *toolhive_host;            /* a name in lower case, or an address without brackets */
        uint16_t toolhive_port;         /* 0: none */
        char *toolhive_api_url;         /* NULL: not pinned */
        uint16_t start_port_scan;
        uint16_t end_port_scan;         /* inclusive */
        char *discovery_file;           /* "auto", a path, or NULL: none */
        usec_t timeout;
        usec_t install_timeout;

        unsigned max_retries;
        usec_t initial_backoff;
        usec_t max_backoff;
        double backoff_jitter;          /* 0.0 to 1.0 */

        usec_t workload_polling_interval;       /* 0: once */
        usec_t registry_polling_interval;       /* 0: once */
        usec_t startup_polling_delay;

        char **allowed_groups;          /* NULL-terminated; NULL: all. A list is one allocation */
        char **skipped_workloads;       /* NULL-terminated; NULL: none */

        char *k8s_api_server_url;
        char *k8s_namespace;
        bool k8s_all_namespaces;
        char *k8s_token_file;
        char *k8s_ca_file;

        enum log_level log_level;
        enum log_format log_format;
        char *metrics_file;             /* NULL: none */
        char *state_file;               /* the path, with its default applied; NULL: none */
};

/* Frees what the settings own, not the struct. */
void settings_done(struct settings *settings);
