/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Options: the table and its defaults, what wins over what, the usage of the
 * command line, values that do not go together, Kubernetes mode, misspelt
 * variables. Each line of a problem is asserted literally.
 */

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "option_reader.h"
#include "suite.h"

START_TEST(test_table_is_consistent) {
        struct configuration configuration;

        read_all(&configuration, NOTHING, NOTHING);
        ck_assert_str_eq(problems(&configuration), "");

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                const struct option_row *row = &option_rows[i];

                ck_assert_ptr_nonnull(row->option);
                ck_assert_uint_eq(row_of(row->option), i);
                ck_assert(row->default_value || row->default_help);
                if (row->default_value)
                        assert_view(&configuration, row->option, row->default_value,
                                    ORIGIN_DEFAULT);

                ck_assert_uint_eq(strlen(row->variable), strlen(row->option));
                for (size_t j = 0; row->option[j]; j++) {
                        char c = row->option[j];

                        ck_assert_int_eq(row->variable[j],
                                         c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
                }
        }
        configuration_done(&configuration);
}
END_TEST

/* The defaults of the specification, one by one, as the rest of the program gets them. */
START_TEST(test_defaults) {
        struct configuration configuration;
        const struct settings *settings = &configuration.settings;

        read_all(&configuration, NOTHING, NOTHING);
        ck_assert_int_eq(settings->runtime_mode, RUNTIME_DOCKER);
        ck_assert_str_eq(settings->toolhive_host, "localhost");
        ck_assert_uint_eq(settings->toolhive_port, 0);
        ck_assert_ptr_null(settings->toolhive_api_url);
        ck_assert_uint_eq(settings->start_port_scan, 50000);
        ck_assert_uint_eq(settings->end_port_scan, 50100);
        ck_assert_str_eq(settings->discovery_file, "auto");
        ck_assert_uint_eq(settings->timeout, 10 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->install_timeout, 300 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->max_retries, 100);
        ck_assert_uint_eq(settings->initial_backoff, USEC_PER_SEC);
        ck_assert_uint_eq(settings->max_backoff, 60 * USEC_PER_SEC);
        ck_assert(settings->backoff_jitter == 0.0);
        ck_assert_uint_eq(settings->workload_polling_interval, 60 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->registry_polling_interval, 86400 * USEC_PER_SEC);
        ck_assert_uint_eq(settings->startup_polling_delay, 0);
        ck_assert_ptr_null(settings->allowed_groups);
        ck_assert_str_eq(settings->skipped_workloads[0], "inspector");
        ck_assert_str_eq(settings->skipped_workloads[1], "mcp-optimizer");
        ck_assert_ptr_null(settings->skipped_workloads[2]);
        ck_assert_str_eq(settings->k8s_api_server_url, "http://127.0.0.1:8001");
        ck_assert_ptr_null(settings->k8s_namespace);
        ck_assert(settings->k8s_all_namespaces);
        ck_assert_int_eq(settings->log_level, LEVEL_INFO);
        ck_assert_int_eq(settings->log_format, LOG_FORMAT_AUTO);
        ck_assert_ptr_null(settings->metrics_file);
        ck_assert_ptr_null(settings->state_file);
        ck_assert_int_eq(configuration.action, ACTION_RUN);
        ck_assert_int_eq(configuration.command.command, COMMAND_RUN);
        configuration_done(&configuration);
}
END_TEST

START_TEST(test_priority) {
        struct configuration configuration;

        read_all(&configuration,
                 WORDS("--toolhive-port", "bad", "--toolhive-port=50001", "--toolhive-timeout",
                       "20", "--toolhive-timeout", "30", "run", "--toolhive-host=h"),
                 WORDS("TOOLHIVE_PORT=60000", "TOOLHIVE_TIMEOUT=bad", "LOG_LEVEL=ERROR",
                       "LOG_LEVEL=DEBUG", "LOG_FORMAT", "LOG_FORMATS=json"));
        ck_assert_str_eq(problems(&configuration), "");
        assert_view(&configuration, "toolhive-port", "50001", ORIGIN_COMMAND_LINE);
        assert_view(&configuration, "toolhive-timeout", "30", ORIGIN_COMMAND_LINE);
        assert_view(&configuration, "log-level", "ERROR", ORIGIN_ENVIRONMENT);
        assert_view(&configuration, "log-format", "auto", ORIGIN_DEFAULT);
        assert_view(&configuration, "toolhive-host", "h", ORIGIN_COMMAND_LINE);
        configuration_done(&configuration);
}
END_TEST

/* Usage of the settings and the actions, and the lines where it is wrong. */
static const struct {
        const char *words[WORDS_MAX];
        enum option_action action;
        const char *problems;
} usages[] = {
        { { "run" }, ACTION_RUN, "" },
        { { "--log-level", "INFO", "run", "--toolhive-prot" }, ACTION_RUN,
          "\"--toolhive-prot\" is no option: did you mean --toolhive-port?\n" },
        { { "--help" }, ACTION_HELP, "" },
        { { "-h" }, ACTION_HELP, "" },
        { { "--version" }, ACTION_VERSION, "" },
        { { "-V" }, ACTION_VERSION, "" },
        { { "--check-config" }, ACTION_CHECK_CONFIG, "" },
        { { "run", "--check-config" }, ACTION_CHECK_CONFIG, "" },
        { { "--check-config", "--version", "--help" }, ACTION_HELP, "" },
        { { "--help", "--check-config" }, ACTION_HELP, "" },
        { { "--help=x" }, ACTION_RUN, "--help takes no value\n" },
        { { "-h=x" }, ACTION_RUN, "--help takes no value\n" },
        { { "-hV" }, ACTION_RUN, "\"-hV\" is no option: --help lists all of them\n" },
        { { "--helpx" }, ACTION_RUN, "\"--helpx\" is no option: did you mean --help?\n" },
        { { "--h" }, ACTION_RUN, "\"--h\" is no option: did you mean --help?\n" },
        { { "-H" }, ACTION_RUN, "\"-H\" is no option: did you mean --help?\n" },
        { { "-log-level", "INFO" }, ACTION_RUN,
          "\"-log-level\" is no option: did you mean --log-level?\n" },
        { { "--toolhive-prot", "1" }, ACTION_RUN,
          "\"--toolhive-prot\" is no option: did you mean --toolhive-port?\n" },
        { { "--toolhive-po=50001" }, ACTION_RUN,
          "\"--toolhive-po\" is no option: did you mean --toolhive-port?\n" },
        { { "--workload", "5" }, ACTION_RUN,
          "\"--workload\" is no option: did you mean --workload-polling-interval?\n" },
        { { "--TOOLHIVE_PORT", "5" }, ACTION_RUN,
          "\"--TOOLHIVE_PORT\" is no option: did you mean --toolhive-port?\n" },
        { { "--frobnicate", "--log-level=DEBUG" }, ACTION_RUN,
          "\"--frobnicate\" is no option: --help lists all of them\n" },
        { { "--a\x1b" "b=secret" }, ACTION_RUN,
          "\"--a\\x1bb\" is no option: --help lists all of them\n" },
        { { "--=x" }, ACTION_RUN, "\"--\" is no option: --help lists all of them\n" },
        { { "---" }, ACTION_RUN, "\"---\" is no option: --help lists all of them\n" },
        { { "--toolhive-port" }, ACTION_RUN,
          "--toolhive-port needs a value: a port from 1024 to 65535, or none\n" },
        { { "--toolhive-port", "--log-level", "x" }, ACTION_RUN,
          "--toolhive-port needs a value: a port from 1024 to 65535, or none\n"
          "--log-level: \"x\" is not accepted: DEBUG, INFO, WARNING, ERROR or CRITICAL\n" },
        { { "--toolhive-max-retries", "-5" }, ACTION_RUN,
          "--toolhive-max-retries: \"-5\" is not accepted: a whole number from 1 to 500\n" },
};

START_TEST(test_usage) {
        const char *words[WORDS_MAX];
        struct configuration configuration;

        memcpy(words, usages[_i].words, sizeof(words));
        read_all(&configuration, words, NOTHING);
        ck_assert_str_eq(problems(&configuration), usages[_i].problems);
        ck_assert_int_eq(configuration.action, usages[_i].action);
        ck_assert_int_eq(configuration.command.command, COMMAND_RUN);
        configuration_done(&configuration);
}
END_TEST

START_TEST(test_no_arguments_at_all) {
        struct configuration configuration;
        char *argv[] = { NULL }, *environment[] = { NULL };

        ck_assert_int_eq(configuration_read(&configuration, 0, argv, environment), 0);
        ck_assert_str_eq(problems(&configuration), "");
        ck_assert_int_eq(configuration.command.command, COMMAND_RUN);
        configuration_done(&configuration);
}
END_TEST

/* All of them, in the order of the table, each with the name by which it was given. */
START_TEST(test_all_problems_at_once) {
        struct configuration configuration;

        read_all(&configuration,
                 WORDS("--toolhive-port", "abc", "--frob", "--log-level=loud",
                       "--toolhive-max-backoff", "0"),
                 WORDS("TOOLHIVE_TIMEOUT=nan", "TOOLHIVE_HOST=http://x", "LOG_FORMAT=",
                       "ALLOWED_GROUPS=,"));
        ck_assert_str_eq(problems(&configuration),
                         "\"--frob\" is no option: --help lists all of them\n"
                         "TOOLHIVE_HOST: \"http://x\" is not accepted: "
                         "a host name or an address, without scheme, port or slash\n"
                         "--toolhive-port: \"abc\" is not accepted: "
                         "a port from 1024 to 65535, or none\n"
                         "TOOLHIVE_TIMEOUT: \"nan\" is not accepted: "
                         "seconds from 1 to 60, with up to 6 decimals\n"
                         "--toolhive-max-backoff: \"0\" is not accepted: "
                         "seconds from 1.0 to 300.0, with up to 6 decimals\n"
                         "ALLOWED_GROUPS: \",\" is not accepted: "
                         "names separated by commas, or none\n"
                         "--log-level: \"loud\" is not accepted: "
                         "DEBUG, INFO, WARNING, ERROR or CRITICAL\n");
        configuration_done(&configuration);
}
END_TEST

static const struct {
        const char *words[WORDS_MAX], *variables[WORDS_MAX];
        const char *problems;
} pairs[] = {
        { { NULL }, { "TOOLHIVE_START_PORT_SCAN=50100" }, "" },
        { { NULL }, { "TOOLHIVE_START_PORT_SCAN=50101" },
          "TOOLHIVE_START_PORT_SCAN: \"50101\" is not accepted: "
          "not above TOOLHIVE_END_PORT_SCAN, which is 50100 (default)\n" },
        { { "--toolhive-end-port-scan=49999" }, { NULL },
          "--toolhive-end-port-scan: \"49999\" is not accepted: "
          "not below TOOLHIVE_START_PORT_SCAN, which is 50000 (default)\n" },
        { { "--toolhive-start-port-scan=3000" }, { "TOOLHIVE_END_PORT_SCAN=2000" },
          "TOOLHIVE_END_PORT_SCAN: \"2000\" is not accepted: "
          "not below --toolhive-start-port-scan, which is 3000 (command line)\n" },
        /* where one is bad by itself, the two are not compared */
        { { NULL }, { "TOOLHIVE_START_PORT_SCAN=60000", "TOOLHIVE_END_PORT_SCAN=x" },
          "TOOLHIVE_END_PORT_SCAN: \"x\" is not accepted: a port from 1024 to 65535\n" },
        { { NULL }, { "TOOLHIVE_INITIAL_BACKOFF=10", "TOOLHIVE_MAX_BACKOFF=10" }, "" },
        { { NULL }, { "TOOLHIVE_INITIAL_BACKOFF=10", "TOOLHIVE_MAX_BACKOFF=9.5" },
          "TOOLHIVE_MAX_BACKOFF: \"9.5\" is not accepted: "
          "not below TOOLHIVE_INITIAL_BACKOFF, which is 10.0 (environment)\n" },
        { { NULL }, { "K8S_ALL_NAMESPACES=false", "K8S_NAMESPACE=x" }, "" },
        { { NULL }, { "K8S_ALL_NAMESPACES=false", "K8S_TOKEN_FILE=none" },
          "K8S_ALL_NAMESPACES: \"false\" is not accepted: "
          "true, or false with a namespace in K8S_NAMESPACE\n" },
        { { NULL }, { "K8S_ALL_NAMESPACES=false", "K8S_NAMESPACE=X" },
          "K8S_NAMESPACE: \"X\" is not accepted: "
          "a namespace (up to 63 of a-z, 0-9 and -), or none\n" },
};

START_TEST(test_pairs) {
        const char *words[WORDS_MAX], *variables[WORDS_MAX];
        struct configuration configuration;

        memcpy(words, pairs[_i].words, sizeof(words));
        memcpy(variables, pairs[_i].variables, sizeof(variables));
        read_all(&configuration, words, variables);
        ck_assert_str_eq(problems(&configuration), pairs[_i].problems);
        configuration_done(&configuration);
}
END_TEST

/* What a Service that is named toolhive puts into a pod is not read there, nor warned of. */
START_TEST(test_kubernetes_mode) {
        const char **variables =
                WORDS("TOOLHIVE_PORT=tcp://10.0.0.1:8080", "TOOLHIVE_HOST=x y",
                      "TOOLHIVE_API_URL=x",
                      "TOOLHIVE_START_PORT_SCAN=x", "TOOLHIVE_END_PORT_SCAN=1",
                      "TOOLHIVE_DISCOVERY_FILE=/", "TOOLHIVE_PROT=1", "TOOLHIVE_TIMEOUT=20",
                      "RUNTIME_MODE=K8S");
        struct configuration configuration;

        read_all(&configuration, NOTHING, variables);
        ck_assert_int_eq(configuration.settings.runtime_mode, RUNTIME_K8S);
        ck_assert_str_eq(problems(&configuration), "");
        ck_assert_uint_eq(configuration.warnings.size, 0);
        assert_view(&configuration, "toolhive-host", "localhost", ORIGIN_DEFAULT);
        assert_view(&configuration, "toolhive-port", "none", ORIGIN_DEFAULT);
        assert_view(&configuration, "toolhive-timeout", "20", ORIGIN_ENVIRONMENT);
        configuration_done(&configuration);

        /* the command line is somebody's own word, in either mode */
        read_all(&configuration, WORDS("--toolhive-port=x"), variables);
        ck_assert_ptr_nonnull(strstr(problems(&configuration),
                                     "--toolhive-port: \"x\" is not accepted"));
        configuration_done(&configuration);

        /* the command line's mode decides */
        read_all(&configuration, WORDS("--runtime-mode=docker"), variables);
        ck_assert_ptr_nonnull(strstr(problems(&configuration),
                                     "TOOLHIVE_PORT: \"tcp://10.0.0.1:8080\""));
        ck_assert_ptr_null(strstr(problems(&configuration), "RUNTIME_MODE"));
        ck_assert_uint_ne(configuration.warnings.size, 0);
        configuration_done(&configuration);
}
END_TEST

static const struct {
        const char *variable;
        const char *nearest;    /* NULL: no warning */
} misspelt[] = {
        { "TOOLHIVE_PROT=1", "TOOLHIVE_PORT" },
        { "TOOLHIVE_HOTS=1", "TOOLHIVE_HOST" },
        { "TOOLHIVE_PORTS=1", "TOOLHIVE_PORT" },
        { "TOOLHIVE_MAX_RETRYS=1", "TOOLHIVE_MAX_RETRIES" },
        { "TOOLHIVE_MAXBACKOF=1", "TOOLHIVE_MAX_BACKOFF" },
        { "TOOLHIVE_ENDPORTSCAN=1", "TOOLHIVE_END_PORT_SCAN" },
        { "TOOLHIVE_API_URI=1", "TOOLHIVE_API_URL" },
        { "TOOLHIVE_PORT=50001", NULL },
        { "TOOLHIVE_PROT=", NULL },
        { "TOOLHIVE_PROT", NULL },
        { "TOOLHIVE_DEV=1", NULL },
        { "TOOLHIVE_MAXBACKO=1", NULL },
        { "TOOLHIVE_SECRETS_PROVIDER=1password", NULL },
        { "TOOLHIVE_" HUNDRED "=1", NULL },
        { "LOG_LEVLE=1", NULL },
        { "TOLHIVE_PORT=1", NULL },
};

START_TEST(test_misspelt_variables) {
        struct configuration configuration;
        _cleanup_text_ struct text expected = TEXT_INIT;

        read_all(&configuration, NOTHING, WORDS(misspelt[_i].variable));
        ck_assert_str_eq(problems(&configuration), "");
        if (misspelt[_i].nearest) {
                text_addf(&expected, "\"%.*s\" is no setting: did you mean %s?\n",
                          (int) strcspn(misspelt[_i].variable, "="), misspelt[_i].variable,
                          misspelt[_i].nearest);
                ck_assert_str_eq(configuration.warnings.data, expected.data);
        } else
                ck_assert_uint_eq(configuration.warnings.size, 0);
        configuration_done(&configuration);
}
END_TEST

START_TEST(test_misspelt_variable_is_escaped) {
        struct configuration configuration;

        read_all(&configuration, NOTHING, WORDS("TOOLHIVE_P\nRT=1", "TOOLHIVE_PROT=1"));
        ck_assert_str_eq(configuration.warnings.data,
                         "\"TOOLHIVE_P\\nRT\" is no setting: did you mean TOOLHIVE_PORT?\n"
                         "\"TOOLHIVE_PROT\" is no setting: did you mean TOOLHIVE_PORT?\n");
        configuration_done(&configuration);
}
END_TEST

static const struct {
        const char *variables[WORDS_MAX];
        const char *option, *value;
} computed[] = {
        { { NULL }, "state-file", "none" },
        { { "RUNTIME_DIRECTORY=/run/mcp-optimizer", "XDG_RUNTIME_DIR=/run/user/1000" },
          "state-file", "/run/mcp-optimizer/state.json" },
        { { "RUNTIME_DIRECTORY=/run/a:/run/b" }, "state-file", "/run/a/state.json" },
        { { "RUNTIME_DIRECTORY=", "XDG_RUNTIME_DIR=/run/user/1000" }, "state-file",
          "/run/user/1000/mcp-optimizer/state.json" },
        { { "XDG_RUNTIME_DIR=relative" }, "state-file", "none" },
        { { "RUNTIME_DIRECTORY=relative", "XDG_RUNTIME_DIR=/x" }, "state-file",
          "/x/mcp-optimizer/state.json" },
        { { "KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443" },
          "k8s-api-server-url", "https://10.96.0.1:443" },
        { { "KUBERNETES_SERVICE_HOST=fd00::1", "KUBERNETES_SERVICE_PORT=443" },
          "k8s-api-server-url", "https://[fd00::1]:443" },
        { { "KUBERNETES_SERVICE_HOST=[fd00::1]", "KUBERNETES_SERVICE_PORT=443" },
          "k8s-api-server-url", "https://[fd00::1]:443" },
        { { "KUBERNETES_SERVICE_HOST=10.96.0.1" }, "k8s-api-server-url", "http://127.0.0.1:8001" },
        { { "KUBERNETES_SERVICE_HOST=a b", "KUBERNETES_SERVICE_PORT=443" },
          "k8s-api-server-url", "http://127.0.0.1:8001" },
        { { "K8S_NAMESPACE=x" }, "k8s-all-namespaces", "false" },
        { { "K8S_NAMESPACE=none" }, "k8s-all-namespaces", "true" },
};

START_TEST(test_computed_defaults) {
        const char *variables[WORDS_MAX];
        struct configuration configuration;

        memcpy(variables, computed[_i].variables, sizeof(variables));
        read_all(&configuration, NOTHING, variables);
        ck_assert_str_eq(problems(&configuration), "");
        assert_view(&configuration, computed[_i].option, computed[_i].value, ORIGIN_DEFAULT);
        configuration_done(&configuration);
}
END_TEST

START_TEST(test_computed_defaults_give_way) {
        struct configuration configuration;

        read_all(&configuration, NOTHING,
                 WORDS("RUNTIME_DIRECTORY=/run/x", "STATE_FILE=/elsewhere",
                       "K8S_API_SERVER_URL=http://h", "K8S_NAMESPACE=x",
                       "K8S_ALL_NAMESPACES=true"));
        assert_view(&configuration, "state-file", "/elsewhere", ORIGIN_ENVIRONMENT);
        assert_view(&configuration, "k8s-api-server-url", "http://h", ORIGIN_ENVIRONMENT);
        assert_view(&configuration, "k8s-all-namespaces", "true", ORIGIN_ENVIRONMENT);
        configuration_done(&configuration);

        read_all(&configuration, WORDS("--state-file=none"), WORDS("RUNTIME_DIRECTORY=/run/x"));
        assert_view(&configuration, "state-file", "none", ORIGIN_COMMAND_LINE);
        configuration_done(&configuration);
}
END_TEST

/* The pod's own namespace stands beside the token. */
START_TEST(test_pod_namespace) {
        static const struct {
                const char *content;
                bool accepted;
        } contents[] = {
                { "toolhive-system\n", true },
                { "toolhive-system", true },
                { "", false },
                { "../x", false },
        };
        char folder[] = "/tmp/test-option-XXXXXX";
        _cleanup_text_ struct text path = TEXT_INIT, token = TEXT_INIT;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        text_addf(&path, "%s/namespace", folder);
        text_addf(&token, "K8S_TOKEN_FILE=%s/token", folder);

        for (size_t i = 0; i < ELEMENTSOF(contents); i++) {
                struct configuration configuration;
                FILE *file = fopen(path.data, "w");

                ck_assert_ptr_nonnull(file);
                ck_assert_int_ge(fputs(contents[i].content, file), 0);
                ck_assert_int_eq(fclose(file), 0);

                read_all(&configuration, NOTHING, WORDS(token.data, "K8S_ALL_NAMESPACES=off"));
                ck_assert_int_eq(configuration.problems.size == 0, contents[i].accepted);
                if (contents[i].accepted)
                        ck_assert_str_eq(configuration.settings.k8s_namespace, "toolhive-system");
                configuration_done(&configuration);
        }

        ck_assert_int_eq(unlink(path.data), 0);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* In place of libc's: whether this is a pod with those files is the test's to say. */
static const char *account_files;

int access(const char *path, int mode _unused_) {
        if (account_files && strstr(account_files, path))
                return 0;
        errno = ENOENT;
        return -1;
}

#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

/* What a service account is known by is taken where it is there, and gives way to what is named. */
START_TEST(test_service_account) {
        static const struct {
                const char *files, *token, *ca;
                const char *variables[WORDS_MAX];
        } rows[] = {
                { NULL, "none", "none", {} },
                { ACCOUNT "/token " ACCOUNT "/ca.crt", ACCOUNT "/token", ACCOUNT "/ca.crt", {} },
                { ACCOUNT "/token", ACCOUNT "/token", "none", {} },
                { ACCOUNT "/ca.crt", "none", ACCOUNT "/ca.crt", {} },
                { ACCOUNT "/token " ACCOUNT "/ca.crt", "none", "none", { "K8S_TOKEN_FILE=none", "K8S_CA_FILE=none" } },
                { ACCOUNT "/token " ACCOUNT "/ca.crt", "/t", "/c", { "K8S_TOKEN_FILE=/t", "K8S_CA_FILE=/c" } },
                /* What is named has to be there, sooner or later. */
                { NULL, "/t", "/c", { "K8S_TOKEN_FILE=/t", "K8S_CA_FILE=/c" } },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                enum option_origin origin = rows[i].variables[0] ? ORIGIN_ENVIRONMENT : ORIGIN_DEFAULT;
                const char *variables[WORDS_MAX];
                struct configuration configuration;

                account_files = rows[i].files;
                memcpy(variables, rows[i].variables, sizeof variables);
                read_all(&configuration, NOTHING, variables);
                ck_assert_str_eq(problems(&configuration), "");
                assert_view(&configuration, "k8s-token-file", rows[i].token, origin);
                assert_view(&configuration, "k8s-ca-file", rows[i].ca, origin);
                configuration_done(&configuration);
        }
        account_files = NULL;
}
END_TEST

int main(void) {
        Suite *suite = suite_create("option");
        TCase *tcase = tcase_create("option");

        tcase_add_test(tcase, test_table_is_consistent);
        tcase_add_test(tcase, test_defaults);
        tcase_add_test(tcase, test_priority);
        tcase_add_loop_test(tcase, test_usage, 0, ELEMENTSOF(usages));
        tcase_add_test(tcase, test_no_arguments_at_all);
        tcase_add_test(tcase, test_all_problems_at_once);
        tcase_add_loop_test(tcase, test_pairs, 0, ELEMENTSOF(pairs));
        tcase_add_test(tcase, test_kubernetes_mode);
        tcase_add_loop_test(tcase, test_misspelt_variables, 0, ELEMENTSOF(misspelt));
        tcase_add_test(tcase, test_misspelt_variable_is_escaped);
        tcase_add_loop_test(tcase, test_computed_defaults, 0, ELEMENTSOF(computed));
        tcase_add_test(tcase, test_computed_defaults_give_way);
        tcase_add_test(tcase, test_pod_namespace);
        tcase_add_test(tcase, test_service_account);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
