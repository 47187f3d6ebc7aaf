/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Searches over real sockets, with more than one candidate: which is taken and when, who is passed
 * over, limits of time and descriptors, a stop. Times are judged only where the specification gives
 * a limit, with room for a loaded machine.
 */

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "locate_fixture.h"
#include "suite.h"

/* ---- which is taken ---- */

START_TEST(test_several) {
        struct listener all[20] = {};
        struct listeners *listeners;
        char error[ERROR_MAX];
        struct found found;
        bool scanned;

        for (size_t i = 0; i < ELEMENTSOF(all); i++) {
                all[i].version = i == 0 ? LISTENER_TOOLHIVE : OTHER_TOOLHIVE;
                open_at(&all[i], (uint16_t) (50010 + 3 * i));
        }
        listeners = listeners_start(all, ELEMENTSOF(all));
        ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), 0);
        ck_assert_uint_eq(found.endpoint.port, 50010);
        ck_assert_str_eq(found.version, "v0.44.0");
        /* How many others have answered by then is up to the machine; their order is not. */
        ck_assert_uint_le(found.n_others, LOCATE_OTHERS_MAX);
        for (size_t i = 1; i < found.n_others; i++)
                ck_assert_uint_gt(found.others[i].port, found.others[i - 1].port);
        listeners_stop(listeners);
}
END_TEST

/* A second ToolHive above is told of although the first could have been taken before. */
START_TEST(test_other_told) {
        struct listener all[] = {
                { .version = LISTENER_TOOLHIVE },
                { .version = OTHER_TOOLHIVE, .delay = 5 },
        };
        struct listeners *listeners;
        char error[ERROR_MAX];
        struct found found;
        bool scanned;

        open_at(&all[0], 50010);
        open_at(&all[1], 50011);
        listeners = listeners_start(all, ELEMENTSOF(all));
        /* On a machine under load the delay may become longer than the moment it is waited for. */
        for (unsigned i = 0; i < 20; i++) {
                ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), 0);
                ck_assert_uint_eq(found.endpoint.port, 50010);
                if (found.n_others > 0)
                        break;
        }
        ck_assert_uint_eq(found.n_others, 1);
        ck_assert_uint_eq(found.others[0].port, 50011);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_slow_lower) {
        struct listener all[] = {
                { .version = LISTENER_TOOLHIVE, .delay = 60 },
                { .version = OTHER_TOOLHIVE },
        };
        struct listeners *listeners;

        open_at(&all[0], 50010);
        open_at(&all[1], 50011);
        listeners = listeners_start(all, ELEMENTSOF(all));
        expect_port(NULL, NULL, 50010, true);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_silent_lower) {
        struct listener all[] = {
                { .version = NULL },
                { .version = LISTENER_TOOLHIVE },
        };
        struct listeners *listeners;

        open_at(&all[0], 50010);
        open_at(&all[1], 50011);
        listeners = listeners_start(all, ELEMENTSOF(all));
        expect_port(NULL, NULL, 50011, true);
        ck_assert_uint_ge(elapsed, 240 * USEC_PER_MSEC);
        ck_assert_uint_lt(elapsed, 1900 * USEC_PER_MSEC * suite_slowness());
        listeners_stop(listeners);
}
END_TEST

/* Answers are taken in the order of the steps: the range's waits for the configured port's end. */
START_TEST(test_slow_configured) {
        struct listener all[] = {
                { .version = LISTENER_TOOLHIVE, .delay = 600 },
                { .version = OTHER_TOOLHIVE },
        };
        struct listeners *listeners;

        open_at(&all[0], 40001);
        open_at(&all[1], 50011);
        listeners = listeners_start(all, ELEMENTSOF(all));
        settings.toolhive_port = 40001;
        expect_port(NULL, NULL, 40001, true);

        all[0].version = NULL;
        all[1].version = LISTENER_TOOLHIVE;
        expect_port(NULL, NULL, 50011, true);
        ck_assert_uint_ge(elapsed, 1900 * USEC_PER_MSEC);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_ipv6_only) {
        struct listener toolhive = { .version = LISTENER_TOOLHIVE }, v4 = {};
        struct listeners *listeners;
        char url[64];

        /* A port that is free on both; it is then closed on 127.0.0.1. */
        if (suite_skips(!listener_open(&toolhive, "::1", 0), __func__, "no IPv6"))
                return;
        if (!listener_open(&v4, "127.0.0.1", toolhive.port)) {
                close(toolhive.fd);
                return;
        }
        close(v4.fd);
        listeners = listeners_start(&toolhive, 1);
        settings.toolhive_host = (char *) "LocalHost";
        settings.start_port_scan = settings.end_port_scan = toolhive.port;
        snprintf(url, sizeof url, "http://[::1]:%u", toolhive.port);
        expect_found_at(NULL, NULL, url, true);
        settings.toolhive_host = (char *) "[::1]";
        expect_found_at(NULL, NULL, url, true);

        /* And by a file that says localhost. */
        toolhive.health = LISTENER_NONCE(NONCE);
        snprintf(url, sizeof url, "http://localhost:%u", toolhive.port);
        write_discovery(url, NONCE);
        snprintf(url, sizeof url, "http://[::1]:%u", toolhive.port);
        expect_found_at(file, NULL, url, false);
        listeners_stop(listeners);
}
END_TEST

/* ---- who is passed over, and limits ---- */

START_TEST(test_squatters) {
        static const char *const versions[] = {
                LISTENER_404,
                LISTENER_503,
                LISTENER_ANSWER("302 Found", "Location: http://127.0.0.1:50030/api/v1beta/version\r\n", 0, ""),
                LISTENER_ANSWER("200 OK", "", 15, "{\"version\": 44}"),
                LISTENER_ANSWER("200 OK", "", 2, "{}"),
                "SSH-2.0-OpenSSH_9.2p1\r\n",
                "\x15\x03\x03\x00\x02\x02\x46",
                "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{",
                "HTTP/1.1 200 OK\r\nContent-Le",
                "<html>",
        };
        struct listener all[ELEMENTSOF(versions) + 1] = {};
        struct listeners *listeners;

        for (size_t i = 0; i < ELEMENTSOF(versions); i++) {
                all[i] = (struct listener) { .version = versions[i], .cut = true };
                open_at(&all[i], (uint16_t) (50010 + i));
        }
        open_at(&all[ELEMENTSOF(versions)], 50030);
        listeners = listeners_start(all, ELEMENTSOF(all));
        expect_nothing(NULL, "No ToolHive among 11 open ports");

        all[ELEMENTSOF(versions)].version = LISTENER_TOOLHIVE;
        expect_port(NULL, NULL, 50030, true);
        listeners_stop(listeners);
}
END_TEST

START_TEST(test_silent_configured) {
        struct listener silent = {};

        open_at(&silent, 40001);
        settings.toolhive_port = 40001;
        settings.timeout = USEC_PER_SEC;
        expect_nothing(NULL, "Timed out after 1.0 s");
        ck_assert_uint_ge(elapsed, 900 * USEC_PER_MSEC);
        close(silent.fd);
}
END_TEST

/* Accepts nothing, and its backlog is full: the connect itself gets no answer. */
START_TEST(test_black_hole) {
        struct listener toolhive = { .version = LISTENER_TOOLHIVE }, hole = {};
        struct sockaddr_in address;
        socklen_t size = sizeof address;
        struct listeners *listeners;
        int fillers[4];

        open_at(&hole, 50001);
        ck_assert_int_eq(listen(hole.fd, 0), 0);
        ck_assert_int_eq(getsockname(hole.fd, (struct sockaddr *) &address, &size), 0);
        for (size_t i = 0; i < ELEMENTSOF(fillers); i++) {
                fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                (void) !connect(fillers[i], (struct sockaddr *) &address, size);
        }
        open_at(&toolhive, 50002);
        listeners = listeners_start(&toolhive, 1);
        expect_port(NULL, NULL, 50002, true);
        ck_assert_uint_lt(elapsed, 1900 * USEC_PER_MSEC * suite_slowness());
        listeners_stop(listeners);

        expect_nothing(NULL, "Timed out after 2.0 s");
        ck_assert_uint_lt(elapsed, 3500 * USEC_PER_MSEC * suite_slowness());
        for (size_t i = 0; i < ELEMENTSOF(fillers); i++)
                close(fillers[i]);
        close(hole.fd);
}
END_TEST

static bool allow_descriptors(rlim_t n) {
        struct rlimit limit;

        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < n)
                return false;
        limit.rlim_cur = n;
        return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void open_silent(struct listener *silent, size_t n, uint16_t first) {
        for (size_t i = 0; i < n; i++)
                open_at(&silent[i], (uint16_t) (first + i));
}

static void close_silent(struct listener *silent, size_t n) {
        for (size_t i = 0; i < n; i++)
                close(silent[i].fd);
}

static struct listener many[1000];

/* A thousand silent ports: over within the limit, whatever. */
START_TEST(test_thousand_silent) {
        char error[ERROR_MAX];
        struct found found;
        size_t before;
        bool scanned;

        if (suite_skips(!allow_descriptors(2048), __func__, "fewer than 2,048 descriptors"))
                return;
        settings.start_port_scan = 40000;
        settings.end_port_scan = 40999;
        open_silent(many, ELEMENTSOF(many), 40000);
        before = count_descriptors();
        ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), LOCATE_NOTHING);
        ck_assert_msg(strncmp(error, "Timed out after ", 16) == 0, "%s", error);
        ck_assert_uint_lt(elapsed, 3400 * USEC_PER_MSEC * suite_slowness());
        ck_assert_uint_eq(count_descriptors(), before);
        close_silent(many, ELEMENTSOF(many));
}
END_TEST

/*
 * And the real one among them is found, the last that is asked. Where each step takes many times as
 * long (valgrind) there are fewer of them: the limits within the search do not grow with it.
 */
START_TEST(test_one_in_a_thousand) {
        const size_t n = suite_slowness() > 2 ? 99 : 999;
        struct listener toolhive = { .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;

        if (suite_skips(!allow_descriptors(2048), __func__, "fewer than 2,048 descriptors"))
                return;
        settings.start_port_scan = 40000;
        settings.end_port_scan = 40999;
        open_silent(many, n, (uint16_t) (40999 - n));
        open_at(&toolhive, 40999);
        listeners = listeners_start(&toolhive, 1);
        expect_port(NULL, NULL, 40999, true);
        ck_assert_uint_lt(elapsed, 3400 * USEC_PER_MSEC * suite_slowness());
        listeners_stop(listeners);
        close_silent(many, n);
}
END_TEST

/* 64 descriptors in all, a dozen of them the silent listeners' of this process. */
START_TEST(test_few_descriptors) {
        struct listener silent[12] = {}, toolhive = { .version = LISTENER_TOOLHIVE };
        struct listeners *listeners;

        open_silent(silent, ELEMENTSOF(silent), 50001);
        open_at(&toolhive, 50100);
        listeners = listeners_start(&toolhive, 1);
        ck_assert(allow_descriptors(64));
        expect_port(NULL, NULL, 50100, true);
        ck_assert_uint_lt(elapsed, 3400 * USEC_PER_MSEC * suite_slowness());
        listeners_stop(listeners);
        close_silent(silent, ELEMENTSOF(silent));
}
END_TEST

START_TEST(test_nothing_with_few_descriptors) {
        struct listener silent[12] = {};

        open_silent(silent, ELEMENTSOF(silent), 50001);
        ck_assert(allow_descriptors(64));
        expect_nothing(NULL, "No ToolHive among 12 open ports");
        close_silent(silent, ELEMENTSOF(silent));
}
END_TEST

static void stop_now(void *user _unused_) {
        waiter_stop(&waiter);
}

/* A stop in the middle of a scan, and one while a silent port is waited for. */
START_TEST(test_stop) {
        struct listener silent = {};
        size_t before;
        char error[ERROR_MAX];
        struct found found;
        bool scanned;

        open_at(&silent, 50001);
        if (_i == 1) {
                settings.start_port_scan = 1024;
                settings.end_port_scan = UINT16_MAX;
        }
        before = count_descriptors();
        waiter_set_hooks(&waiter, 20 * USEC_PER_MSEC, stop_now, NULL, NULL);
        ck_assert_int_eq(search(NULL, NULL, &found, &scanned, error), -ECANCELED);
        ck_assert_uint_lt(elapsed, USEC_PER_SEC * suite_slowness());
        ck_assert_uint_eq(count_descriptors(), before);
        close(silent.fd);
}
END_TEST

int main(void) {
        /* Each waits for the end of a search, and does next to nothing: so they are many. */
        static const char *const cases[] = {
                "slow", "squatters", "silent", "many", "one in many", "few descriptors", "nothing", NULL,
        };
        Suite *suite = suite_create("locate limits");
        TCase *tcase;

        tcase = suite_case(suite, "slow", setup, teardown);
        tcase_add_test(tcase, test_several);
        tcase_add_test(tcase, test_other_told);
        tcase_add_test(tcase, test_slow_lower);
        tcase_add_test(tcase, test_silent_lower);
        tcase_add_test(tcase, test_slow_configured);
        tcase_add_test(tcase, test_ipv6_only);

        tcase = suite_case(suite, "squatters", setup, teardown);
        tcase_add_test(tcase, test_squatters);

        tcase = suite_case(suite, "silent", setup, teardown);
        tcase_add_test(tcase, test_silent_configured);
        tcase_add_test(tcase, test_black_hole);
        tcase_add_loop_test(tcase, test_stop, 0, 2);

        tcase = suite_case(suite, "many", setup, teardown);
        tcase_add_test(tcase, test_thousand_silent);

        tcase = suite_case(suite, "one in many", setup, teardown);
        tcase_add_test(tcase, test_one_in_a_thousand);

        tcase = suite_case(suite, "few descriptors", setup, teardown);
        tcase_add_test(tcase, test_few_descriptors);

        tcase = suite_case(suite, "nothing", setup, teardown);
        tcase_add_test(tcase, test_nothing_with_few_descriptors);

        return suite_run_abreast(suite, cases);
}
