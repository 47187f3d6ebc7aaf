/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The values of options, good and bad, each given in all three ways; and how a
 * bad one is shown.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "option_reader.h"
#include "source/endpoint.h"
#include "suite.h"

#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_55 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
        const char *option, *value, *shown;
} accepted[] = {
        { "runtime-mode", "DOCKER", "docker" },
        { "toolhive-host", "ToolHive.Example.Org", "toolhive.example.org" },
        { "toolhive-host", "my_service-2", "my_service-2" },
        { "toolhive-host", "1host", "1host" },
        { "toolhive-host", LABEL_63 ".b", LABEL_63 ".b" },
        { "toolhive-host", "192.0.2.7", "192.0.2.7" },
        { "toolhive-host", "::1", "::1" },
        { "toolhive-host", "[2001:DB8::1]", "2001:db8::1" },
        { "toolhive-port", "none", "none" },
        { "toolhive-port", "1024", "1024" },
        { "toolhive-port", "065535", "65535" },
        { "toolhive-api-url", "none", "none" },
        { "toolhive-api-url", "http://localhost:50001", "http://localhost:50001" },
        { "toolhive-api-url", "http://localhost:50001/", "http://localhost:50001/" },
        { "toolhive-api-url", "http://127.0.0.1:1", "http://127.0.0.1:1" },
        { "toolhive-api-url", "https://[::1]:65535", "https://[::1]:65535" },
        { "toolhive-api-url", "HTTPS://thv.example.org", "HTTPS://thv.example.org" },
        { "toolhive-api-url", "http://[fe80::1%25eth0]:8080", "http://[fe80::1%25eth0]:8080" },
        { "toolhive-api-url", "unix:///run/thv.sock", "unix:///run/thv.sock" },
        { "toolhive-api-url", "unix:///" HUNDRED "123456", "unix:///" HUNDRED "123456" },
        { "toolhive-start-port-scan", "1024", "1024" },
        { "toolhive-end-port-scan", "65535", "65535" },
        { "toolhive-discovery-file", "none", "none" },
        { "toolhive-discovery-file", "/a folder/server.json", "/a folder/server.json" },
        { "toolhive-timeout", "1", "1" },
        { "toolhive-timeout", "60.000000", "60" },
        { "toolhive-timeout", "1.25", "1.25" },
        { "toolhive-install-timeout", "3600", "3600" },
        { "toolhive-max-retries", "1", "1" },
        { "toolhive-max-retries", "500", "500" },
        { "toolhive-initial-backoff", "0.1", "0.1" },
        { "toolhive-initial-backoff", ".5", "0.5" },
        { "toolhive-initial-backoff", "2.", "2.0" },
        { "toolhive-initial-backoff", "9.999999", "9.999999" },
        { "toolhive-initial-backoff", "0.100001", "0.100001" },
        { "toolhive-max-backoff", "300", "300.0" },
        { "toolhive-backoff-jitter", "1", "1.0" },
        { "toolhive-backoff-jitter", "0.3", "0.3" },
        { "toolhive-backoff-jitter", "0.000001", "0.000001" },
        { "workload-polling-interval", "0", "0" },
        { "registry-polling-interval", "86400", "86400" },
        { "startup-polling-delay", "0.05", "0.05" },
        { "allowed-groups", "a", "a" },
        { "allowed-groups", " a , b c,d ", "a,b c,d" },
        { "skipped-workloads", "none", "none" },
        { "k8s-api-server-url", "https://[fd00::1]:6443", "https://[fd00::1]:6443" },
        { "k8s-api-server-url", "https://rancher.example/k8s/clusters/c-1//",
          "https://rancher.example/k8s/clusters/c-1" },
        { "k8s-namespace", "toolhive-system", "toolhive-system" },
        { "k8s-namespace", "none", "none" },
        { "k8s-all-namespaces", "TRUE", "true" },
        { "k8s-all-namespaces", "yes", "true" },
        { "k8s-all-namespaces", "On", "true" },
        { "k8s-all-namespaces", "1", "true" },
        { "k8s-token-file", "/tmp/token", "/tmp/token" },
        { "k8s-ca-file", "none", "none" },
        { "log-level", "debug", "DEBUG" },
        { "log-level", "Critical", "CRITICAL" },
        { "log-format", "JSON", "json" },
        { "log-format", "journal", "journal" },
        { "metrics-file", "metrics.prom", "metrics.prom" },
        { "state-file", "none", "none" },
};

START_TEST(test_accepted) {
        for (int way = 0; way < 3; way++) {
                struct configuration configuration;

                read_one(&configuration, way, accepted[_i].option, accepted[_i].value);
                ck_assert_str_eq(problems(&configuration), "");
                assert_view(&configuration, accepted[_i].option, accepted[_i].shown,
                            way < 2 ? ORIGIN_COMMAND_LINE : ORIGIN_ENVIRONMENT);

                /* what is accepted here must never surprise the module that uses it */
                const char *url = configuration.settings.toolhive_api_url;
                if (url) {
                        struct endpoint endpoint;

                        ck_assert_int_eq(endpoint_parse(&endpoint, url), 0);
                }
                configuration_done(&configuration);
        }
}
END_TEST

static const struct {
        const char *option, *value;
} refused[] = {
        { "runtime-mode", "podman" },
        { "runtime-mode", "docker " },
        { "toolhive-host", "http://localhost" },
        { "toolhive-host", "localhost:50001" },
        { "toolhive-host", "localhost/" },
        { "toolhive-host", "[localhost]" },
        { "toolhive-host", "[127.0.0.1]" },
        { "toolhive-host", "[::1" },
        { "toolhive-host", "256.1.1.1" },
        { "toolhive-host", "127.1" },
        { "toolhive-host", "fe80::1%eth0" },
        { "toolhive-host", "[fe80::1%25eth0]" },
        { "toolhive-host", "a..b" },
        { "toolhive-host", "-a" },
        { "toolhive-host", "a-.b" },
        { "toolhive-host", "a b" },
        { "toolhive-host", LABEL_63 "a" },
        { "toolhive-host", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 },
        { "toolhive-host", "h\xc3\xb6st" },
        { "toolhive-port", "0" },
        { "toolhive-port", "80" },
        { "toolhive-port", "1023" },
        { "toolhive-port", "65536" },
        { "toolhive-port", "+50001" },
        { "toolhive-port", "-1" },
        { "toolhive-port", " 50001" },
        { "toolhive-port", "50001 " },
        { "toolhive-port", "50001\n" },
        { "toolhive-port", "0xc351" },
        { "toolhive-port", "5e4" },
        { "toolhive-port", "50001.0" },
        { "toolhive-port", "18446744073709601617" },
        { "toolhive-port", "None" },
        { "toolhive-port", "tcp://10.0.0.1:8080" },
        { "toolhive-api-url", "localhost:50001" },
        { "toolhive-api-url", "ftp://localhost" },
        { "toolhive-api-url", "http://" },
        { "toolhive-api-url", "http://:50001" },
        { "toolhive-api-url", "http://localhost:" },
        { "toolhive-api-url", "http://localhost:0" },
        { "toolhive-api-url", "http://localhost:65536" },
        { "toolhive-api-url", "http://localhost:5 0" },
        { "toolhive-api-url", "http://::1:50001" },
        { "toolhive-api-url", "http://[::1]50001" },
        { "toolhive-api-url", "http://[::1" },
        { "toolhive-api-url", "http://localhost/api" },
        { "toolhive-api-url", "http://localhost//" },
        { "toolhive-api-url", "http://localhost?x" },
        { "toolhive-api-url", "http://127.1:50001" },
        { "toolhive-api-url", "http://user@localhost:50001" },
        /* the host would do, but not with the port that the scheme brings along */
        { "toolhive-api-url", "http://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_55 },
        { "toolhive-api-url", "http://localhost#x" },
        { "toolhive-api-url", "unix://run/thv.sock" },
        { "toolhive-api-url", "unix:///" },
        { "toolhive-api-url", "unix:///run/" },
        { "toolhive-api-url", "unix:///run/thv?x" },
        { "toolhive-api-url", "unix:///run/\x01" },
        { "toolhive-api-url", "unix:///" HUNDRED "1234567" },
        { "toolhive-start-port-scan", "none" },
        { "toolhive-end-port-scan", "65536" },
        { "toolhive-discovery-file", "/run/" },
        { "toolhive-timeout", "0" },
        { "toolhive-timeout", "0.999999" },
        { "toolhive-timeout", "60.000001" },
        { "toolhive-timeout", "nan" },
        { "toolhive-timeout", "inf" },
        { "toolhive-timeout", "-1" },
        { "toolhive-timeout", "+1" },
        { "toolhive-timeout", "1e1" },
        { "toolhive-timeout", "0x10" },
        { "toolhive-timeout", "1,5" },
        { "toolhive-timeout", "1.2.3" },
        { "toolhive-timeout", "." },
        { "toolhive-timeout", "10s" },
        { "toolhive-timeout", " 10" },
        { "toolhive-timeout", "1.0000000" },
        { "toolhive-timeout", "18446744073709.551616" },
        { "toolhive-timeout", HUNDRED },
        { "toolhive-max-retries", "0" },
        { "toolhive-max-retries", "501" },
        { "toolhive-max-retries", "10.0" },
        { "toolhive-initial-backoff", "0.099999" },
        { "toolhive-initial-backoff", "10.1" },
        { "toolhive-max-backoff", "0.9" },
        { "toolhive-max-backoff", "300.000001" },
        { "toolhive-backoff-jitter", "1.1" },
        { "workload-polling-interval", "301" },
        { "registry-polling-interval", "86401" },
        { "startup-polling-delay", "301" },
        { "allowed-groups", "a,,b" },
        { "allowed-groups", "a," },
        { "allowed-groups", " " },
        { "allowed-groups", "a\x1b[2J" },
        { "allowed-groups", "\xff" },
        { "allowed-groups", HUNDRED HUNDRED HUNDRED },
        { "k8s-api-server-url", "none" },
        { "k8s-api-server-url", "unix:///run/x" },
        { "k8s-api-server-url", "https://host/a b" },
        { "k8s-api-server-url", "https://host/?a" },
        { "k8s-namespace", "Upper" },
        { "k8s-namespace", "-a" },
        { "k8s-namespace", "a/b" },
        { "k8s-namespace", LABEL_63 "a" },
        { "k8s-all-namespaces", "maybe" },
        { "k8s-all-namespaces", "2" },
        { "log-level", "TRACE" },
        { "log-level", "INFO,DEBUG" },
        { "log-format", "xml" },
        { "metrics-file", "/var/lib/" },
};

/* One line, which names what was used, and the default in the value's place. */
START_TEST(test_refused) {
        const struct option_row *row = &option_rows[row_of(refused[_i].option)];
        struct configuration defaults;

        read_all(&defaults, NOTHING, NOTHING);
        for (int way = 0; way < 3; way++) {
                struct configuration configuration;
                struct setting_view before;
                _cleanup_text_ struct text start = TEXT_INIT, end = TEXT_INIT;

                read_one(&configuration, way, refused[_i].option, refused[_i].value);

                text_addf(&start, "%s%s: \"", way < 2 ? "--" : "",
                          way < 2 ? row->option : row->variable);
                text_add(&end, "\" is not accepted: ");
                row->type->accepted(row, &end);
                text_add(&end, "\n");

                const char *lines = problems(&configuration);
                ck_assert_msg(strncmp(lines, start.data, start.size) == 0, "%s: %s",
                              refused[_i].value, lines);
                ck_assert_msg(configuration.problems.size > end.size &&
                              strcmp(lines + configuration.problems.size - end.size, end.data) == 0,
                              "%s: %s", refused[_i].value, lines);
                ck_assert_uint_eq(strcspn(lines, "\n"), configuration.problems.size - 1);

                configuration_view(&defaults, row_of(row->option), &before);
                assert_view(&configuration, row->option, before.value.data, ORIGIN_DEFAULT);
                text_done(&before.value);
                configuration_done(&configuration);
        }
        configuration_done(&defaults);
}
END_TEST

/* An empty variable is unset; an empty value on the command line is a bad one. */
START_TEST(test_empty) {
        const struct option_row *row = &option_rows[_i];

        for (int way = 0; way < 3; way++) {
                struct configuration configuration;

                read_one(&configuration, way, row->option, "");
                ck_assert_int_eq(configuration.problems.size > 0, way < 2);
                ck_assert_int_eq(configuration.origins[_i], ORIGIN_DEFAULT);
                configuration_done(&configuration);
        }
}
END_TEST

static const struct {
        const char *value, *shown;
} shown_values[] = {
        { "x y", "\"x y\"" },
        { "a\nb", "\"a\\nb\"" },
        { "\x1b]0;x\x07", "\"\\x1b]0;x\\x07\"" },
        { "\"", "\"\\\"\"" },
        { HUNDRED, "\"" HUNDRED "\"" },
        { HUNDRED "x", "\"" HUNDRED "…\"" },
        /* the limit falls into a character */
        { "x" HUNDRED, "\"x0123456789" TEN TEN TEN TEN TEN TEN TEN TEN "012345678…\"" },
        { "123456789" TEN TEN TEN TEN TEN TEN TEN TEN TEN "€€",
          "\"123456789" TEN TEN TEN TEN TEN TEN TEN TEN TEN "…\"" },
        { "http://user:secret@host:50001", "\"http://***@host:50001\"" },
        { "http://token@host", "\"http://***@host\"" },
        { "http://u:p/@w@host", "\"http://***@host\"" },
        { "user:secret@host", "\"user:***@host\"" },
        { "user@host", "\"user@host\"" },
};

START_TEST(test_shown_values) {
        struct configuration configuration;
        _cleanup_text_ struct text expected = TEXT_INIT;

        read_one(&configuration, 2, "toolhive-host", shown_values[_i].value);
        text_addf(&expected,
                  "TOOLHIVE_HOST: %s is not accepted: "
                  "a host name or an address, without scheme, port or slash\n",
                  shown_values[_i].shown);
        ck_assert_str_eq(problems(&configuration), expected.data);
        configuration_done(&configuration);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("option values");
        TCase *tcase = tcase_create("option values");

        tcase_add_loop_test(tcase, test_accepted, 0, ELEMENTSOF(accepted));
        tcase_add_loop_test(tcase, test_refused, 0, ELEMENTSOF(refused));
        tcase_add_loop_test(tcase, test_empty, 0, OPTION_COUNT);
        tcase_add_loop_test(tcase, test_shown_values, 0, ELEMENTSOF(shown_values));
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
