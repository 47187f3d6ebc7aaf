/* SPDX-License-Identifier: Apache-2.0 */

/* Endpoints: what is taken, in which one spelling, and what counts as loopback. */

#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/option_value.h"
#include "source/endpoint.h"
#include "suite.h"

static const struct {
        const char *text, *url, *host;
        uint16_t port;
        bool loopback;
} taken[] = {
        { "http://127.0.0.1:50001", "http://127.0.0.1:50001", "127.0.0.1", 50001, true },
        { "http://127.0.0.1:50001/", "http://127.0.0.1:50001", "127.0.0.1", 50001, true },
        { "HTTP://LocalHost:8080", "http://localhost:8080", "localhost", 8080, true },
        { "http://127.255.1.2:1", "http://127.255.1.2:1", "127.255.1.2", 1, true },
        { "http://[::1]:65535/", "http://[::1]:65535", "::1", 65535, true },
        { "http://[::FFFF:127.0.0.1]:80", "http://[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", 80, true },
        { "http://toolhive.example", "http://toolhive.example:80", "toolhive.example", 80, false },
        { "https://toolhive_1.example", "https://toolhive_1.example:443", "toolhive_1.example", 443, false },
        { "https://[2001:db8::1]", "https://[2001:db8::1]:443", "2001:db8::1", 443, false },
        { "http://[fe80::1%25eth0]:8080", "http://[fe80::1%25eth0]:8080", "fe80::1%eth0", 8080, false },
        { "http://128.0.0.1:5", "http://128.0.0.1:5", "128.0.0.1", 5, false },
        { "http://0.0.0.0:5", "http://0.0.0.0:5", "0.0.0.0", 5, false },
        { "http://[::]:5", "http://[::]:5", "::", 5, false },
        { "http://[FE80::1%25Wlan_0.7]:8080", "http://[fe80::1%25Wlan_0.7]:8080", "fe80::1%Wlan_0.7", 8080,
          false },
        /* One place has one spelling. */
        { "http://[0::0001]:8080", "http://[::1]:8080", "::1", 8080, true },
        { "http://[0:0:0:0:0:0:7f00:1]:8080", "http://[::127.0.0.1]:8080", "::127.0.0.1", 8080, false },
        { "http://[FE80:0:0::1%25eth0]:8080", "http://[fe80::1%25eth0]:8080", "fe80::1%eth0", 8080, false },
        /* Not spelt out, so not trusted, whatever they resolve to. */
        { "http://localhost.example:5", "http://localhost.example:5", "localhost.example", 5, false },
        { "http://127.0.0.1.example:5", "http://127.0.0.1.example:5", "127.0.0.1.example", 5, false },
};

START_TEST(test_taken) {
        struct endpoint endpoint;
        char host[HOST_MAX];

        ck_assert_int_eq(endpoint_parse(&endpoint, taken[_i].text), 0);
        ck_assert_str_eq(endpoint.url, taken[_i].url);
        ck_assert_str_eq(endpoint.socket, "");
        ck_assert_uint_eq(endpoint.port, taken[_i].port);
        endpoint_host(&endpoint, host);
        ck_assert_str_eq(host, taken[_i].host);
        ck_assert_int_eq(endpoint_is_loopback(&endpoint), taken[_i].loopback);
        ck_assert(endpoint_is_set(&endpoint));
}
END_TEST

static const char *const refused[] = {
        "", "x", "127.0.0.1:50001", "http:", "http:/", "http://", "http:///", "http://:80",
        "http://127.0.0.1:", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:-1",
        "http://127.0.0.1:+80", "http://127.0.0.1: 80", "http://127.0.0.1:80x", "http://127.0.0.1:000080",
        "http://127.0.0.1:80//", "http://127.0.0.1:80/x", "http://127.0.0.1:80?x", "http://127.0.0.1:80#x",
        "http://user@127.0.0.1:80", "http://user:word@127.0.0.1:80", "http://127.0.0.1@evil.example:80",
        "http://[::1", "http://[::1]80", "http://[::1]x", "http://[]:80", "http://[127.0.0.1]:80",
        "http://127.1:5", "http://0x7f.1:5", "http://0x7f000001:5", "http://a.0X:5", "http://256.1.1.1:5", "http://a..b:5", "http://a-.b:5", "http://_a:5", "http://[]",
        "http://[fe80::1%25a/b]:5", "http://[fe80::1%25sixteen_letters_]:5", "http://[fe80::1%2]:5",
        "http://[::1]:80]:80", "http://[:80", "unix:///run/thv.sock/",
        "http://[::g]:80", "http://[::1%eth0]:80", "http://[::1%25]:80", "http://::1:80",
        "http://host name:80", "http://host\n:80", "http://h\xc3\xb6st:80", "http://-host:80", "http://%31:80",
        "ftp://127.0.0.1:80", "file:///etc/passwd", "http+unix:///run/x", " http://127.0.0.1:80",
        "unix://", "unix:///", "unix://run/thv.sock", "unix:/run/thv.sock", "unix:///run/a?b",
        "unix:///run/a#b", "unix:///run/a\nb", "unix:///run/a\x7f",
};

START_TEST(test_refused) {
        struct endpoint endpoint = { .url = "untouched" };

        ck_assert_msg(endpoint_parse(&endpoint, refused[_i]) == -EINVAL, "taken: %s", refused[_i]);
        ck_assert_str_eq(endpoint.url, "untouched");
}
END_TEST

START_TEST(test_socket) {
        struct endpoint endpoint, longest;
        char path[160], host[HOST_MAX];

        ck_assert_int_eq(endpoint_parse(&endpoint, "unix:///run/user/1000/thv.sock"), 0);
        ck_assert_str_eq(endpoint.url, "unix:///run/user/1000/thv.sock");
        ck_assert_str_eq(endpoint.socket, "/run/user/1000/thv.sock");
        ck_assert_uint_eq(endpoint.port, 0);
        ck_assert(endpoint_is_loopback(&endpoint));
        endpoint_host(&endpoint, host);
        ck_assert_str_eq(host, "");

        /* What fits into sockaddr_un with its NUL is taken, one byte more is not. */
        snprintf(path, sizeof path, "unix:///%0106d", 1);
        ck_assert_int_eq(endpoint_parse(&longest, path), 0);
        ck_assert_uint_eq(strlen(longest.socket), 107);
        snprintf(path, sizeof path, "unix:///%0107d", 1);
        ck_assert_int_eq(endpoint_parse(&longest, path), -EINVAL);
}
END_TEST

static const struct {
        const char *scheme, *behind, *port;
} ways[] = {
        { "http://", "", ":80" },       { "https://", "", ":443" },
        { "http://", "/", ":80" },      { "https://", "/", ":443" },
        { "http://", ":1", ":1" },      { "https://", ":50001/", ":50001" },
};

/* Whatever the size, with and without a port: whole, or refused; and as the settings see it. */
START_TEST(test_long_host) {
        char host[400], url[500], spelling[500];

        for (size_t size = 1; size < sizeof host; size++) {
                struct endpoint endpoint = {};
                bool fits;

                for (size_t i = 0; i < size; i++)
                        host[i] = i % 50 == 49 && i + 1 < size ? '.' : 'h';
                host[size] = '\0';
                snprintf(url, sizeof url, "%s%s%s", ways[_i].scheme, host, ways[_i].behind);
                snprintf(spelling, sizeof spelling, "%s%s%s", ways[_i].scheme, host, ways[_i].port);
                fits = size < HOST_MAX && strlen(spelling) < ENDPOINT_URL_MAX;

                ck_assert_int_eq(endpoint_parse(&endpoint, url), fits ? 0 : -EINVAL);
                ck_assert_str_eq(endpoint.url, fits ? spelling : "");
                ck_assert_int_eq(value_is_api_url(url), fits);
        }
}
END_TEST

/* What --check-config accepts is an endpoint, and nothing else is. */
START_TEST(test_settings_agree) {
        static const char pieces[][16] = {
                "http://", "HTTPS://", "unix://", "localhost", "127.0.0.1", "127.1", "[", "]", "::1", "fe80::1",
                "%25", "%", "eth0", ":", "80", "0", "65536", "/", "//", ".", "-", "_", "?", "#", "@", " ", "run",
                "\xc3\xb6", "\x7f", "A",
        };
        unsigned seed = 1, n_accepted = 0;

        for (unsigned n = 0; n < 200000; n++) {
                struct endpoint endpoint, again;
                char url[128];
                bool accepted;

                strcpy(url, pieces[rand_r(&seed) % 3]);
                for (int left = 1 + rand_r(&seed) % 6; left > 0; left--)
                        strcat(url, pieces[(size_t) rand_r(&seed) % ELEMENTSOF(pieces)]);

                accepted = endpoint_parse(&endpoint, url) == 0;
                ck_assert_msg(value_is_api_url(url) == accepted, "%s", url);
                if (!accepted)
                        continue;

                n_accepted++;
                ck_assert_msg(endpoint_parse(&again, endpoint.url) == 0, "%s", endpoint.url);
                ck_assert(endpoint_equal(&endpoint, &again));
        }
        ck_assert_uint_gt(n_accepted, 1000);
}
END_TEST

START_TEST(test_set_tcp) {
        struct endpoint v4, v6, zone, parsed;

        endpoint_set_tcp(&v4, "127.0.0.1", 50001);
        ck_assert_str_eq(v4.url, "http://127.0.0.1:50001");
        ck_assert_uint_eq(v4.port, 50001);
        endpoint_set_tcp(&v6, "::1", 50001);
        ck_assert_str_eq(v6.url, "http://[::1]:50001");
        ck_assert(!endpoint_equal(&v4, &v6));
        endpoint_set_tcp(&zone, "fe80::1%eth0", 8080);
        ck_assert_str_eq(zone.url, "http://[fe80::1%25eth0]:8080");

        /* What was written comes back from a state file as the same. */
        ck_assert_int_eq(endpoint_parse(&parsed, zone.url), 0);
        ck_assert(endpoint_equal(&zone, &parsed));
}
END_TEST

START_TEST(test_host_is_loopback) {
        static const char *const yes[] = {
                "localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]",
        };
        static const char *const no[] = {
                "", "[", "[]", "example", "10.0.0.1", "::", "::2", "[::1", "127.0.0.1 ",
        };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                ck_assert_msg(host_is_loopback(yes[i]), "%s", yes[i]);
        for (size_t i = 0; i < ELEMENTSOF(no); i++)
                ck_assert_msg(!host_is_loopback(no[i]), "%s", no[i]);
}
END_TEST

/* As one segment of a path, or one value of a query, whatever it is. */
START_TEST(test_escape) {
        static const struct {
                const char *text, *escaped;
        } rows[] = {
                { "", "" },
                { "azAZ09-._~", "azAZ09-._~" },
                { " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}",
                  "%20%21%22%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D" },
                { "%41", "%2541" },
                { "\xC3\xA9\xFF\x80\x7F\x01\n", "%C3%A9%FF%80%7F%01%0A" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t room = 3 * strlen(rows[i].text) + 1;
                _cleanup_(freep) char *buffer = malloc(room);   /* no more than is asked for */

                ck_assert_ptr_nonnull(buffer);
                ck_assert_uint_eq(url_escape(rows[i].text, buffer), strlen(rows[i].escaped));
                ck_assert_str_eq(buffer, rows[i].escaped);
        }
}
END_TEST

START_TEST(test_request) {
        struct http_request request = {};
        struct endpoint endpoint;
        char url[300];

        endpoint_set_tcp(&endpoint, "::1", 50001);
        endpoint_address_request(&endpoint, "/health", &request, url, sizeof url);
        ck_assert_str_eq(request.url, "http://[::1]:50001/health");
        ck_assert_ptr_null(request.unix_socket);

        ck_assert_int_eq(endpoint_parse(&endpoint, "unix:///run/thv.sock"), 0);
        endpoint_address_request(&endpoint, "/health", &request, url, sizeof url);
        ck_assert_str_eq(request.url, "http://localhost/health");
        ck_assert_str_eq(request.unix_socket, "/run/thv.sock");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("endpoint");
        TCase *tcase = tcase_create("endpoint");

        tcase_add_loop_test(tcase, test_taken, 0, ELEMENTSOF(taken));
        tcase_add_loop_test(tcase, test_refused, 0, ELEMENTSOF(refused));
        tcase_add_test(tcase, test_socket);
        tcase_add_loop_test(tcase, test_long_host, 0, ELEMENTSOF(ways));
        tcase_add_test(tcase, test_settings_agree);
        tcase_add_test(tcase, test_set_tcp);
        tcase_add_test(tcase, test_host_is_loopback);
        tcase_add_test(tcase, test_escape);
        tcase_add_test(tcase, test_request);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
