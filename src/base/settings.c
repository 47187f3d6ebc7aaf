/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The settings' memory. Each string is an allocation of its own, and so is each
 * list, whose names stand behind its pointers in one piece.
 */

#include "base/settings.h"

void settings_done(struct settings *settings) {
        free(settings->toolhive_host);
        free(settings->toolhive_api_url);
        free(settings->discovery_file);
        free(settings->allowed_groups);
        free(settings->skipped_workloads);
        free(settings->k8s_api_server_url);
        free(settings->k8s_namespace);
        free(settings->k8s_token_file);
        free(settings->k8s_ca_file);
        free(settings->metrics_file);
        free(settings->state_file);
        *settings = (struct settings) {};
}
