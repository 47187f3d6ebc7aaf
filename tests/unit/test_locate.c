/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Searches over real sockets: a machine where nothing is, the order of the steps, the proof that the
 * discovery file asks for. Which answer is taken, and the limits, are in test_locate_limits.c.
 */

#include <check.h>
#include <string.h>
#include <sys/stat.h>

#include "locate_fixture.h"
#include "suite.h"

/* ---- nothing there ---- */

START_TEST(test_all_closed) {
        size_t before = count_descriptors();

        settings.toolhive_port = 50001;
        write_discovery_port(50003, NONCE);
        expect_nothing(file, "Connection refused");
        write_discovery("unix:///run/no-such-folder/thv.sock", NONCE);
        expect_nothing(file, "Connection refused");
        ck_assert_uint_eq(http_requests(http), 0);
        ck_assert_uint_eq(count_descriptors(), before);
}
END_TEST

START_TEST(test_all_closed_wide) {
        char error[ERROR_MAX];
        struct found found;
        bool scanned;

        settings.start_port_scan = 1024;
        settings.end_port_scan = UINT16_MAX;
        ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), LOCATE_NOTHING);
        /* Somebody may listen on all addresses of this machine. */
        if (http_requests(http) == 0)
                ck_assert_str_eq(error, "Connection refused");
}
END_TEST

START_TEST(test_bad_name) {
        char error[ERROR_MAX], host[80], words[120];
        bool scanned = true;
        struct found found;

        /* A label of 64 letters is no name: the answer comes without asking any server. */
        memset(host, 'a', 64);
        host[64] = '\0';
        settings.toolhive_host = host;
        snprintf(words, sizeof words, "Cannot resolve host name \"%s\"", host);
        ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), LOCATE_NOTHING);
        ck_assert_str_eq(error, words);
        ck_assert(!scanned);
}
END_TEST

/* ---- the steps ---- */

START_TEST(test_order) {
        struct listener all[] = {
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE },
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE },
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE },
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE },
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE },
        };
        static const uint16_t ports[] = { 40001, 40002, 40003, 50007, 8080 };
        struct listeners *listeners;
        struct endpoint last;

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                open_at(&all[i], ports[i]);
        listeners = listeners_start(all, ELEMENTSOF(all));
        write_discovery_port(40002, NONCE);
        endpoint_set_tcp(&last, own_address(), 40003);

        /* One after the other is taken away, by its setting or by closing it. */
        settings.toolhive_port = 40001;
        expect_port(file, &last, 40001, false);
        settings.toolhive_port = 0;
        expect_port(file, &last, 40002, false);
        expect_port(NULL, &last, 40003, false);
        expect_port(NULL, NULL, 50007, true);
        settings.start_port_scan = 50008;
        expect_port(NULL, NULL, 8080, true);
        listeners_stop(listeners);
}
END_TEST

/* The last port counts, not the address that a state file may say. */
START_TEST(test_last_elsewhere) {
        struct listener toolhive = { .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;
        struct endpoint last;

        open_at(&toolhive, 40001);
        listeners = listeners_start(&toolhive, 1);
        endpoint_set_tcp(&last, "192.0.2.1", 40001);
        expect_port(NULL, &last, 40001, false);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_one_connection_each) {
        struct listener all[] = {
                { .version = LISTENER_404 },
                { .health = LISTENER_NONCE(NONCE), .version = LISTENER_404 },
                { .version = LISTENER_404 },
                { .version = LISTENER_404, .cut = true },
                { .version = LISTENER_404 },
        };
        static const uint16_t ports[] = { 50001, 50003, 50005, 50006, 8080 };
        char error[ERROR_MAX];
        struct listeners *listeners;
        struct endpoint last;
        struct found found;
        bool scanned;

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                open_at(&all[i], ports[i]);
        listeners = listeners_start(all, ELEMENTSOF(all));
        settings.toolhive_port = 50001;
        settings.start_port_scan = 8000;
        write_discovery_port(50003, NONCE);
        endpoint_set_tcp(&last, own_address(), 50001);
        ck_assert_int_eq(search(file, &last, &found, &scanned, error), LOCATE_NOTHING);
        ck_assert_str_eq(error, "Not ToolHive (HTTP 404)");
        ck_assert_uint_eq(http_requests(http), 6);
        /* libcurl may have let go of the file's connection between proof and identity. */
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                ck_assert_msg(atomic_load(&all[i].connections) <= (all[i].health ? 2 : 1),
                              "%u on port %u", all[i].connections, all[i].port);
        listeners_stop(listeners);
}
END_TEST

/* Only of a place that was named are the words told; of the range, and of 8080, how many there are. */
START_TEST(test_strangers) {
        struct listener all[] = { { .version = LISTENER_404 }, { .version = LISTENER_404 } };
        struct listeners *listeners;

        open_at(&all[0], 50000);
        open_at(&all[1], 50003);
        listeners = listeners_start(all, ELEMENTSOF(all));
        expect_nothing(NULL, "No ToolHive among 2 open ports");
        settings.toolhive_port = 50001;
        expect_nothing(NULL, "No ToolHive among 2 open ports");
        settings.toolhive_port = 50003;
        expect_nothing(NULL, "Not ToolHive (HTTP 404)");
        listeners_stop(listeners);
}
END_TEST

/* ---- proof ---- */

static const struct {
        const char *health, *version;
        bool found;
} proofs[] = {
        { LISTENER_NONCE(NONCE), LISTENER_TOOLHIVE, true },
        { LISTENER_503, LISTENER_TOOLHIVE, true },
        { LISTENER_NONCE(NONCE), LISTENER_404, false },
        { LISTENER_503, LISTENER_404, false },
        { LISTENER_NONCE("00000000000000000000000000000000"), LISTENER_TOOLHIVE, false },
        { LISTENER_NONCE(NONCE "0"), LISTENER_TOOLHIVE, false },
        { LISTENER_NONCE(""), LISTENER_TOOLHIVE, false },
        { "HTTP/1.1 204 No Content\r\n\r\n", LISTENER_TOOLHIVE, false },
        { LISTENER_ANSWER("200 OK", "X-Toolhive-Nonce: " NONCE "\r\n", 0, ""), LISTENER_TOOLHIVE, false },
        { LISTENER_404, LISTENER_TOOLHIVE, false },
        { "SSH-2.0-OpenSSH_9.2p1\r\n", LISTENER_TOOLHIVE, false },
};

/* Outside the range, where only the file can tell the port. */
START_TEST(test_proof) {
        struct listener toolhive = { .health = proofs[_i].health, .version = proofs[_i].version };
        struct listeners *listeners;
        char error[ERROR_MAX];
        struct found found;
        bool scanned;

        open_at(&toolhive, 40001);
        listeners = listeners_start(&toolhive, 1);
        write_discovery_port(40001, NONCE);
        if (proofs[_i].found)
                expect_port(file, NULL, 40001, false);
        else
                ck_assert_int_eq(search(file, NULL, &found, &scanned, error), LOCATE_NOTHING);
        listeners_stop(listeners);
}
END_TEST

/* A ToolHive that did not write the file is found by its port, not by the file. */
START_TEST(test_unproven_in_range) {
        struct listener toolhive = { .health = LISTENER_404, .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;

        open_at(&toolhive, 50004);
        listeners = listeners_start(&toolhive, 1);
        write_discovery_port(50004, NONCE);
        expect_port(file, NULL, 50004, true);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_distrusted_file) {
        struct listener toolhive = { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;

        open_at(&toolhive, 40001);
        listeners = listeners_start(&toolhive, 1);
        write_discovery_port(40001, NONCE);
        ck_assert_int_eq(chmod(file, 0620), 0);
        expect_nothing(file, "Connection refused");
        ck_assert_uint_eq(atomic_load(&toolhive.connections), 0);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_unix_socket) {
        struct listener toolhive = { .health = LISTENER_NONCE(NONCE), .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;
        struct endpoint last;
        char path[64], url[80];

        snprintf(path, sizeof path, "%s/thv.sock", folder);
        snprintf(url, sizeof url, "unix://%s", path);
        listener_open_unix(&toolhive, path);
        listeners = listeners_start(&toolhive, 1);
        write_discovery(url, NONCE);
        expect_found_at(file, NULL, url, false);
        ck_assert_int_eq(endpoint_parse(&last, url), 0);
        expect_found_at(NULL, &last, url, false);
        listeners_stop(listeners);

        /* Left behind, with nobody behind it. */
        expect_nothing(file, "Connection refused");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("locate");
        TCase *tcase = tcase_create("locate");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_all_closed);
        tcase_add_test(tcase, test_all_closed_wide);
        tcase_add_test(tcase, test_bad_name);
        tcase_add_test(tcase, test_order);
        tcase_add_test(tcase, test_last_elsewhere);
        tcase_add_test(tcase, test_one_connection_each);
        tcase_add_test(tcase, test_strangers);
        tcase_add_loop_test(tcase, test_proof, 0, ELEMENTSOF(proofs));
        tcase_add_test(tcase, test_unproven_in_range);
        tcase_add_test(tcase, test_distrusted_file);
        tcase_add_test(tcase, test_unix_socket);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
