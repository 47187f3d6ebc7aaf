/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a search over closed ports costs: the default range, and every port there
 * is, on one address and on both of localhost. In a network namespace of its own,
 * so that nothing listens and nobody else's ports are knocked at; where the
 * machine does not allow one, the figures are skipped (exit 77).
 */

#include <time.h>

#include "../unit/own_network.h"
#include "source/locate.h"

#define RUNS 7

static double milliseconds(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}

static int ascending(const void *a, const void *b) {
        double x = *(const double *) a, y = *(const double *) b;

        return (x > y) - (x < y);
}

static int measure(const char *title, char *host, uint16_t first, uint16_t last) {
        struct settings settings = {
                .toolhive_host = host,
                .start_port_scan = first,
                .end_port_scan = last,
                .timeout = 10 * USEC_PER_SEC,
        };
        _cleanup_(http_freep) struct http *http = NULL;
        _cleanup_(locate_freep) struct locate *locate = NULL;
        double wall[RUNS], cpu[RUNS];
        struct waiter waiter;
        struct found found;
        char error[ERROR_MAX];
        bool scanned;

        if (waiter_init(&waiter) < 0 || http_new(&waiter, 1, &http) < 0 ||
            locate_new(&settings, NULL, http, &waiter, &locate) < 0)
                return EXIT_FAILURE;

        for (size_t i = 0; i < RUNS; i++) {
                double wall_before = milliseconds(CLOCK_MONOTONIC);
                double cpu_before = milliseconds(CLOCK_PROCESS_CPUTIME_ID);

                if (locate_search(locate, NULL, &found, &scanned, error) != LOCATE_NOTHING) {
                        fprintf(stderr, "something listens where nothing should\n");
                        return EXIT_FAILURE;
                }
                wall[i] = milliseconds(CLOCK_MONOTONIC) - wall_before;
                cpu[i] = milliseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_before;
        }
        qsort(wall, RUNS, sizeof wall[0], ascending);
        qsort(cpu, RUNS, sizeof cpu[0], ascending);
        printf("%-48s wall %8.2f ms (%.2f to %.2f), cpu %8.2f ms; %s\n", title, wall[RUNS / 2], wall[0],
               wall[RUNS - 1], cpu[RUNS / 2], error);
        return EXIT_SUCCESS;
}

int main(void) {
        if (!own_network()) {
                printf("skipped: no network namespace to be had here\n");
                return 77;
        }

        printf("search over closed ports, median of %d (least to most):\n", RUNS);
        if (measure("101 ports, 127.0.0.1 (target 5 ms)", (char[]) { "127.0.0.1" }, 50000, 50100) ||
            measure("101 ports, localhost, both addresses", (char[]) { "localhost" }, 50000, 50100) ||
            measure("64,512 ports, 127.0.0.1 (target 1,500 ms)", (char[]) { "127.0.0.1" }, 1024, 65535) ||
            measure("64,512 ports, localhost, both (target 3,000 ms)", (char[]) { "localhost" }, 1024, 65535))
                return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
