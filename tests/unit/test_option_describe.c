/* SPDX-License-Identifier: Apache-2.0 */

/* What is written from the tables: --help, help of a command, --check-config, how long the retries last. */

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "option_reader.h"
#include "suite.h"

static const struct {
        unsigned max_retries;
        usec_t initial, max, window;
        const char *text;
} windows[] = {
        { 100, 1000000, 60000000, 5643000000, "1 h 34 min 3 s" },
        { 20, 1000000, 120000000, 1567000000, "26 min 7 s" },
        { 3, 500000, 60000000, 1500000, "1.5 s" },
        { 1, 1000000, 60000000, 0, "0 s" },
        { 2, 1000000, 60000000, 1000000, "1 s" },
        { 500, 10000000, 300000000, 148510000000, "41 h 15 min 10 s" },
        { 500, 100000, 300000000, 146509500000, "40 h 41 min 49.5 s" },
        { 5, 10000000, 10000000, 40000000, "40 s" },
};

START_TEST(test_retry_window) {
        struct settings settings = {
                .max_retries = windows[_i].max_retries,
                .initial_backoff = windows[_i].initial,
                .max_backoff = windows[_i].max,
        };
        _cleanup_text_ struct text text = TEXT_INIT;

        ck_assert_uint_eq(settings_retry_window(&settings), windows[_i].window);
        text_add_duration(&text, windows[_i].window);
        ck_assert_str_eq(text.data, windows[_i].text);
}
END_TEST

static const struct {
        usec_t usec;
        const char *text;
} durations[] = {
        { 499, "0 s" },
        { 250000, "0.25 s" },
        { 59999600, "1 min" },
        { 60000000, "1 min" },
        { 60500000, "1 min 0.5 s" },
        { 3600000000, "1 h" },
        { 3603000000, "1 h 3 s" },
        { 7260000000, "2 h 1 min" },
        { UINT64_MAX, "5124095576 h 1 min 49.552 s" },
};

START_TEST(test_durations) {
        _cleanup_text_ struct text text = TEXT_INIT;

        text_add_duration(&text, durations[_i].usec);
        ck_assert_str_eq(text.data, durations[_i].text);
}
END_TEST

START_TEST(test_window_never_overflows) {
        struct settings settings = {
                .max_retries = UINT32_MAX / 1000,
                .initial_backoff = USEC_INFINITY / 2,
                .max_backoff = USEC_INFINITY,
        };

        ck_assert_uint_eq(settings_retry_window(&settings), USEC_INFINITY);
}
END_TEST

/* What the options' and the commands' help have in common: no line is wider than a terminal, or ends in blanks. */
static void assert_layout(const struct text *text) {
        ck_assert_int_eq(text_error(text), 0);
        for (const char *line = text->data; *line;) {
                size_t size = strcspn(line, "\n");

                ck_assert_msg(size <= 80, "%.*s", (int) size, line);
                ck_assert_msg(size == 0 || line[size - 1] != ' ', "%.*s", (int) size, line);
                ck_assert_int_eq(line[size], '\n');
                line += size + 1;
        }
}

/* Where lines break is of no matter for what they say. */
static void flatten(const char *lines, struct text *flat) {
        for (const char *p = lines; *p;) {
                size_t gap = strspn(p, " \n");

                if (gap > 0)
                        text_add(flat, " ");
                p += gap;
                gap = strcspn(p, " \n");
                text_add_bytes(flat, p, gap);
                p += gap;
        }
}

static void assert_contains(const struct text *text, const char *part) {
        ck_assert_msg(text->data && strstr(text->data, part), "%s\nis not in:\n%s", part, text->data);
}

/* Every option with its variable, its default and what is accepted, in 80 columns. */
START_TEST(test_help) {
        _cleanup_text_ struct text text = TEXT_INIT, flat = TEXT_INIT;

        option_help(&text);
        assert_layout(&text);
        flatten(text.data, &flat);

        for (size_t i = 0; i < OPTION_COUNT; i++) {
                const struct option_row *row = &option_rows[i];
                _cleanup_text_ struct text expected = TEXT_INIT;

                text_addf(&expected, " --%s %s %s %s Default: %s; accepts ", row->option,
                          row->type->metavar, row->variable, row->help,
                          row->default_help ? row->default_help : row->default_value);
                row->type->accepted(row, &expected);
                text_add(&expected, " ");
                ck_assert_msg(strstr(flat.data, expected.data), "not in --help: %s", expected.data);
        }

        ck_assert_ptr_nonnull(strstr(text.data, "  --check-config\n"));
        ck_assert_ptr_nonnull(strstr(text.data, "  --version\n"));
        ck_assert_ptr_nonnull(strstr(text.data, "mcp-optimizer(8)"));
        ck_assert_ptr_nonnull(strstr(text.data, "environment variable"));
        for (size_t i = 0; i < COMMAND_COUNT; i++) {
                _cleanup_text_ struct text expected = TEXT_INIT;

                text_addf(&expected, "\n  %-8s  %s\n", command_rows[i].name, command_rows[i].help);
                ck_assert_int_eq(strstr(text.data, expected.data) != NULL, !command_rows[i].hidden);
        }
}
END_TEST

/* The page of a command has all that its row says. */
START_TEST(test_command_help) {
        const struct command_row *row = &command_rows[_i];
        _cleanup_text_ struct text text = TEXT_INIT, flat = TEXT_INIT, usage = TEXT_INIT;

        command_help(&text, (enum command) _i);
        assert_layout(&text);
        flatten(text.data, &flat);

        text_addf(&usage, "Usage: mcp-optimizer %s%s%s ", row->name, *row->synopsis ? " " : "",
                  row->synopsis);
        assert_contains(&flat, usage.data);
        for (size_t i = 0; i < row->n_options; i++) {
                const struct command_option_row *option = &row->options[i];
                _cleanup_text_ struct text expected = TEXT_INIT;

                text_addf(&expected, " --%s%s%s %s ", option->option, option->metavar ? " " : "",
                          option->metavar ?: "", option->help);
                if (option->kind != COMMAND_OPTION_FLAG) {
                        text_add(&expected, option->default_help || option->kind == COMMAND_OPTION_SECONDS
                                                    ? "Default: " : "Accepts ");
                        text_add(&expected, option->default_help ?: "");
                }
                assert_contains(&flat, expected.data);
        }
        assert_contains(&flat, " man mcp-optimizer");
        assert_contains(&flat, " mcp-optimizer --help");
}
END_TEST

START_TEST(test_command_help_layout) {
        _cleanup_text_ struct text text = TEXT_INIT;

        command_help(&text, COMMAND_INSTALL);
        assert_contains(&text, "Usage: mcp-optimizer install NAME [--as NAME] [--env KEY[=VALUE]]...\n"
                               "                             [--secret NAME,target=KEY]... ");
        assert_contains(&text, "\n\n  mcp-optimizer install fetch\n  mcp-optimizer install ");
        assert_contains(&text, "\n      Default: 120; accepts seconds from 0 to 3600\n");
        assert_contains(&text, "; accepts sse or streamable-http\n");
        assert_contains(&text, "\nExit status:\n  0   installed and running\n  1   ");
        assert_contains(&text, "\n  78  wrong usage, or a bad setting\n  130 Ctrl-C\n");
}
END_TEST

START_TEST(test_describe) {
        struct configuration configuration;
        _cleanup_text_ struct text text = TEXT_INIT;
        size_t rows = 0;

        read_all(&configuration, WORDS("--toolhive-port=50001", "--toolhive-backoff-jitter=0.25"),
                 WORDS("LOG_LEVEL=debug", "STATE_FILE=/a b\x1b/c"));
        configuration_describe(&configuration, &text);
        ck_assert_int_eq(text_error(&text), 0);

        ck_assert_ptr_nonnull(strstr(text.data, "--toolhive-port              50001 "));
        ck_assert_ptr_nonnull(strstr(text.data, "--toolhive-backoff-jitter    0.25 "));
        ck_assert_ptr_nonnull(strstr(text.data, "--log-level                  DEBUG "));
        ck_assert_ptr_nonnull(strstr(text.data, "--state-file                 \"/a b\\x1b/c\" "));

        size_t column = strcspn(text.data, "(");
        for (const char *line = text.data; *line != '\n'; line += strcspn(line, "\n") + 1, rows++)
                ck_assert_uint_eq(strcspn(line, "("), column);
        ck_assert_uint_eq(rows, OPTION_COUNT);

        ck_assert_ptr_nonnull(strstr(text.data, "(command line)\n"));
        ck_assert_ptr_nonnull(strstr(text.data, "(environment)\n"));
        ck_assert_ptr_nonnull(strstr(text.data, "(default)\n"));
        ck_assert_ptr_nonnull(strstr(text.data,
                                     "gives up after 1 h 34 min 3 s of waiting, "
                                     "plus the time that the attempts take; "
                                     "jitter makes the waits shorter\n"));
        configuration_done(&configuration);
}
END_TEST

START_TEST(test_describe_kubernetes) {
        struct configuration configuration;
        _cleanup_text_ struct text text = TEXT_INIT;

        read_all(&configuration, NOTHING, WORDS("RUNTIME_MODE=k8s"));
        configuration_describe(&configuration, &text);
        ck_assert_ptr_nonnull(strstr(text.data, "When the Kubernetes API stays away, the service gives up after "));
        configuration_done(&configuration);

        text_clear(&text);
        read_all(&configuration, NOTHING, NOTHING);
        configuration_describe(&configuration, &text);
        ck_assert_ptr_nonnull(strstr(text.data, "When ToolHive stays away, the service gives up after "));
        configuration_done(&configuration);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("option texts");
        TCase *tcase = tcase_create("option texts");

        tcase_add_loop_test(tcase, test_retry_window, 0, ELEMENTSOF(windows));
        tcase_add_loop_test(tcase, test_durations, 0, ELEMENTSOF(durations));
        tcase_add_test(tcase, test_window_never_overflows);
        tcase_add_test(tcase, test_help);
        tcase_add_loop_test(tcase, test_command_help, 0, COMMAND_COUNT);
        tcase_add_test(tcase, test_command_help_layout);
        tcase_add_test(tcase, test_describe);
        tcase_add_test(tcase, test_describe_kubernetes);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
