/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The worker and the API server of a cluster: see life.h. Lists and watches take
 * their answers in the order in which they are begun; what a watch tells comes in
 * pieces, between and during other requests.
 */

#include "fuzz.h"
#include "life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static char *skipped[] = { (char *) "inspector", NULL };
        static const struct settings settings = {
                .runtime_mode = RUNTIME_K8S,
                .toolhive_host = (char *) "localhost",
                .k8s_api_server_url = (char *) "http://127.0.0.1:8080",
                .k8s_all_namespaces = true,
                .timeout = 10 * USEC_PER_SEC,
                .max_retries = 3,
                .initial_backoff = USEC_PER_SEC,
                .max_backoff = 4 * USEC_PER_SEC,
                .workload_polling_interval = 60 * USEC_PER_SEC,
                .skipped_workloads = skipped,
        };

        life(&settings, data, size);
        return 0;
}
