/* SPDX-License-Identifier: Apache-2.0 */

/* The worker and ToolHive: see life.h. */

#include "fuzz.h"
#include "life.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static char *skipped[] = { (char *) "inspector", (char *) "mcp-optimizer", NULL };
        static const struct settings settings = {
                .toolhive_host = (char *) "localhost",
                .toolhive_api_url = (char *) "http://127.0.0.1:8080",
                .timeout = 10 * USEC_PER_SEC,
                .max_retries = 3,
                .initial_backoff = USEC_PER_SEC,
                .max_backoff = 4 * USEC_PER_SEC,
                .workload_polling_interval = 60 * USEC_PER_SEC,
                .registry_polling_interval = 120 * USEC_PER_SEC,
                .skipped_workloads = skipped,
        };

        life(&settings, data, size);
        return 0;
}
