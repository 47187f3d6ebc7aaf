/* SPDX-License-Identifier: Apache-2.0 */

#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "locate_fixture.h"

struct waiter waiter;
struct http *http;
struct settings settings;
char folder[32], file[64];
usec_t elapsed;

void setup(void) {
        ck_assert_int_eq(waiter_init(&waiter), 0);
        ck_assert_int_eq(http_new(&waiter, 1, &http), 0);
        settings = (struct settings) {
                .toolhive_host = (char *) own_address(),
                .start_port_scan = 50000,
                .end_port_scan = 50100,
                .timeout = 10 * USEC_PER_SEC,
        };
        strcpy(folder, "/tmp/test-locate-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(file, sizeof file, "%s/server.json", folder);
}

void teardown(void) {
        char path[64];

        http = http_free(http);
        waiter_done(&waiter);
        (void) unlink(file);
        snprintf(path, sizeof path, "%s/thv.sock", folder);
        (void) unlink(path);
        ck_assert_int_eq(rmdir(folder), 0);
}

int search(const char *path, const struct endpoint *last, struct found *found, bool *scanned,
           char error[static ERROR_MAX]) {
        _cleanup_(locate_freep) struct locate *locate = NULL;
        usec_t start = waiter_now(&waiter);
        int r;

        ck_assert_int_eq(locate_new(&settings, path, http, &waiter, &locate), 0);
        r = locate_search(locate, last, found, scanned, error);
        elapsed = waiter_now(&waiter) - start;
        return r;
}

void expect_found_at(const char *path, const struct endpoint *last, const char *url, bool scanned) {
        char error[ERROR_MAX] = "";
        bool reached = !scanned;
        struct found found;

        ck_assert_msg(search(path, last, &found, &reached, error) == 0, "not found: %s", error);
        ck_assert_str_eq(found.endpoint.url, url);
        ck_assert_str_eq(found.version, "v0.44.0");
        ck_assert_int_eq(reached, scanned);
}

void expect_port(const char *path, const struct endpoint *last, uint16_t port, bool scanned) {
        struct endpoint endpoint;

        endpoint_set_tcp(&endpoint, own_address(), port);
        expect_found_at(path, last, endpoint.url, scanned);
}

void expect_nothing(const char *path, const char *words) {
        char error[ERROR_MAX] = "";
        bool scanned = false;
        struct found found;

        ck_assert_int_eq(search(path, NULL, &found, &scanned, error), LOCATE_NOTHING);
        ck_assert_str_eq(error, words);
        ck_assert(scanned);
}

void open_at(struct listener *listener, uint16_t port) {
        ck_assert_msg(listener_open(listener, own_address(), port), "%s:%u is taken: %m",
                      own_address(), port);
}

void write_discovery(const char *url, const char *nonce) {
        FILE *stream = fopen(file, "we");

        ck_assert_ptr_nonnull(stream);
        ck_assert_int_gt(fprintf(stream, "{\"url\":\"%s\",\"nonce\":\"%s\"}", url, nonce), 0);
        ck_assert_int_eq(fchmod(fileno(stream), 0600), 0);
        ck_assert_int_eq(fclose(stream), 0);
}

void write_discovery_port(uint16_t port, const char *nonce) {
        struct endpoint endpoint;

        endpoint_set_tcp(&endpoint, own_address(), port);
        write_discovery(endpoint.url, nonce);
}

size_t count_descriptors(void) {
        _cleanup_(closedirp) DIR *descriptors = opendir("/proc/self/fd");
        size_t n = 0;

        ck_assert_ptr_nonnull(descriptors);
        while (readdir(descriptors))
                n++;
        return n;
}
