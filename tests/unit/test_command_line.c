/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commands: their table, what the command line may look like, and every line
 * where it may not, asserted literally. Random lines are compared with a grammar
 * that is written down here once more.
 */

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "option_reader.h"
#include "suite.h"

#define NAME_250 HUNDRED HUNDRED TEN TEN TEN TEN TEN
#define SIXTY_THREE TEN TEN TEN TEN TEN TEN "012"
#define ROUNDS 20000
#define SECONDS(n) ((n) * USEC_PER_SEC)

START_TEST(table_is_consistent) {
        for (size_t i = 0; i < COMMAND_COUNT; i++) {
                const struct command_row *row = &command_rows[i];

                ck_assert_ptr_eq(command_find(row->name, strlen(row->name)), row);
                ck_assert(row->synopsis && row->help && row->description && row->exit_status);
                ck_assert_uint_le(row->n_options, 64);
                ck_assert(!row->argument_required || row->argument != ARGUMENT_NONE);
                ck_assert_int_eq(row->argument != ARGUMENT_NONE,
                                 strncmp(row->synopsis, "NAME", 4) == 0 ||
                                         strncmp(row->synopsis, "[NAME", 5) == 0 ||
                                         strncmp(row->synopsis, "[COMMAND", 8) == 0);

                for (size_t j = 0; j < row->n_options; j++) {
                        const struct command_option_row *option = &row->options[j];
                        size_t size = strlen(option->option);
                        _cleanup_text_ struct text dashed = TEXT_INIT;

                        ck_assert_ptr_eq(command_option_find(row, option->option, size), option);
                        text_addf(&dashed, "--%s", option->option);
                        ck_assert_msg(strstr(row->synopsis, dashed.data), "%s: %s", row->name,
                                      option->option);
                        ck_assert_int_eq(option->metavar == NULL,
                                         option->kind == COMMAND_OPTION_FLAG);
                        ck_assert_int_eq(option->kind == COMMAND_OPTION_SECONDS, option->max > 0);
                        if (option->kind == COMMAND_OPTION_STRING ||
                            option->kind == COMMAND_OPTION_WORDS)
                                ck_assert_int_eq(option->keywords != NULL, option->is_accepted == NULL);

                        /* or nobody could tell it from a setting */
                        for (size_t k = 0; k < OPTION_COUNT; k++)
                                ck_assert_str_ne(option->option, option_rows[k].option);
                        for (size_t k = 0; k < OPTION_ACTION_COUNT; k++)
                                ck_assert_str_ne(option->option, option_action_rows[k].option);
                }
        }
}
END_TEST

START_TEST(finding) {
        ck_assert_ptr_eq(command_find("list=", 4), &command_rows[COMMAND_LIST]);
        ck_assert_ptr_null(command_find("lis", 3));
        ck_assert_ptr_null(command_find("", 0));
        ck_assert_ptr_eq(command_find("complete", 8), &command_rows[COMMAND_COMPLETE]);
        ck_assert_str_eq(command_nearest("instal", 6), "install");
        ck_assert_ptr_null(command_nearest("complete", 8));
        ck_assert_ptr_null(command_option_find(&command_rows[COMMAND_RUN], "json", 4));
}
END_TEST

/* What was read, in one line; what has its default is left out. */
static void render(const struct command_line *line, struct text *text) {
        const struct {
                const char *name, *value;
        } strings[] = {
                { "search", line->search }, { "as", line->as }, { "group", line->group },
                { "url", line->url }, { "transport", line->transport },
        };
        const struct {
                const char *name;
                const struct word_list *list;
        } lists[] = { { "env", &line->env }, { "secret", &line->secrets }, { "words", &line->words } };

        text_add(text, command_rows[line->command].name);
        if (line->name)
                text_addf(text, " <%s>", line->name);
        text_addf(text, "%s%s%s%s", line->help ? " help" : "", line->json ? " json" : "",
                  line->all ? " all" : "", line->alive ? " alive" : "");
        if (line->timeout_given)
                text_addf(text, " timeout=%g", (double) line->timeout / 1e6);
        if (line->command == COMMAND_INSTALL && line->wait != SECONDS(120))
                text_addf(text, " wait=%g", (double) line->wait / 1e6);
        for (size_t i = 0; i < ELEMENTSOF(strings); i++)
                if (strings[i].value)
                        text_addf(text, " %s=%s", strings[i].name, strings[i].value);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (size_t j = 0; j < lists[i].list->n; j++)
                        text_addf(text, " %s[%s]", lists[i].name, lists[i].list->words[j]);
}

static const struct {
        const char *words[WORDS_MAX];
        const char *line;
} good[] = {
        { { NULL }, "run" },
        { { "run" }, "run" },
        { { "status" }, "status" },
        { { "status", "--alive", "--json" }, "status json alive" },
        { { "wait", "--timeout", "0" }, "wait timeout=0" },
        { { "wait", "--timeout=0.25" }, "wait timeout=0.25" },
        { { "wait", "--timeout=86400" }, "wait timeout=86400" },
        { { "wait", "--json" }, "wait json" },
        { { "list", "--all", "--timeout", "1.5" }, "list all timeout=1.5" },
        { { "--log-level=DEBUG", "list", "--json", "--toolhive-port", "50001" }, "list json" },
        { { "show", "fetch", "--json" }, "show <fetch> json" },
        { { "show", "--json", "fetch" }, "show <fetch> json" },
        { { "show", "--timeout", "5", "fetch", "--json" }, "show <fetch> json timeout=5" },
        { { "show", "--json", "--", "--json" }, "show <--json> json" },
        { { "show", "--", "fetch" }, "show <fetch>" },
        { { "--", "show", "-x" }, "show <-x>" },
        { { "--log-level", "INFO", "--", "list" }, "list" },
        { { "show", "-" }, "show <->" },
        { { "show", "name space/b" }, "show <name space/b>" },
        { { "show", "a=b" }, "show <a=b>" },
        { { "show", "..." }, "show <...>" },
        { { "show", NAME_250 "abc" }, "show <" NAME_250 "abc>" },
        { { "show", SIXTY_THREE "/" NAME_250 "abc" }, "show <" SIXTY_THREE "/" NAME_250 "abc>" },
        { { "registry" }, "registry" },
        { { "registry", "io.github.x/y" }, "registry <io.github.x/y>" },
        { { "registry", "--search", "-x" }, "registry search=-x" },
        { { "registry", "--search=--x" }, "registry search=--x" },
        { { "registry", "--search=a=b" }, "registry search=a=b" },
        { { "install", "fetch" }, "install <fetch>" },
        { { "install", "fetch", "--as", "f2", "--group=g", "--wait", "0", "--timeout=60", "--json" },
          "install <fetch> json timeout=60 wait=0 as=f2 group=g" },
        { { "install", "--env", "A=1", "x", "--env=_B9", "--env", "C=", "--env=D=--=,\n" },
          "install <x> env[A=1] env[_B9] env[C=] env[D=--=,\n]" },
        { { "install", "x", "--env=a.b-c=1", "--env", "9.x", "--secret=s,target=X-Key.1" },
          "install <x> env[a.b-c=1] env[9.x] secret[s,target=X-Key.1]" },
        { { "install", "x", "--secret", "s,target=K", "--secret=a b/c,target=_k1" },
          "install <x> secret[s,target=K] secret[a b/c,target=_k1]" },
        { { "install", "x", "--url", "https://h:8443/mcp?key=1&b=%20", "--transport=SSE" },
          "install <x> url=https://h:8443/mcp?key=1&b=%20 transport=sse" },
        { { "install", "x", "--transport", "streamable-http", "--url=http://[::1]:1" },
          "install <x> url=http://[::1]:1 transport=streamable-http" },
        { { "help" }, "help" },
        { { "help", "install" }, "help <install>" },
        { { "help", "help" }, "help <help>" },
        { { "help", "complete" }, "help <complete>" },
        { { "list", "--help" }, "list help" },
        { { "list", "-h" }, "list help" },
        { { "help", "--help" }, "help help" },
        { { "complete" }, "complete" },
        { { "complete", "" }, "complete words[]" },
        { { "--log-level", "INFO", "complete", "--frob", "--", "list", "--help", "--json=x" },
          "complete words[--frob] words[--] words[list] words[--help] words[--json=x]" },
        { { "--", "complete", "--", "" }, "complete words[--] words[]" },
        /* whose line is completed may have got anything wrong */
        { { "--frob=1", "--log-level=loud", "--json", "complete", "x" }, "complete words[x]" },
};

START_TEST(good_lines) {
        const char *words[WORDS_MAX];
        struct configuration configuration;
        _cleanup_text_ struct text line = TEXT_INIT;

        memcpy(words, good[_i].words, sizeof(words));
        read_all(&configuration, words, NOTHING);
        ck_assert_str_eq(problems(&configuration), "");
        ck_assert_int_eq(configuration.action, ACTION_RUN);
        render(&configuration.command, &line);
        ck_assert_str_eq(line.data, good[_i].line);
        configuration_done(&configuration);
}
END_TEST

#define NOT_A_WORKLOAD "up to 100 letters, digits, dots, hyphens and underscores"
#define NOT_A_NAME "1 to 253 bytes without control characters, neither . nor .."
#define NOT_A_SERVER NOT_A_NAME ", without ="
#define NOT_ENV " is not accepted: KEY=VALUE, or KEY alone, where KEY " \
                "consists of letters, digits, dots, hyphens and underscores\n"
#define NOT_SECRET " is not accepted: NAME,target=KEY, where KEY " \
                   "consists of letters, digits, dots, hyphens and underscores\n"
#define NOT_A_URL "--url is not accepted: an http:// or https:// URL without user and fragment\n"
#define MAY_BE_SECRET \
        "install has one word too many, which may be a secret and is not shown: " \
        "settings of the server are given by --env KEY=VALUE\n"
#define EXCLUDE_EACH_OTHER \
        "a name and --search exclude each other: the one shows one server, the other lists several\n"
#define FOR_URL_ONLY "--transport is for --url only: the registry knows what its servers speak\n"

static const struct {
        const char *words[WORDS_MAX];
        const char *problems;
} bad[] = {
        /* commands */
        { { "lsit" }, "\"lsit\" is no command: did you mean list?\n" },
        { { "frobnicate" }, "\"frobnicate\" is no command: --help lists all of them\n" },
        { { "comple" }, "\"comple\" is no command: --help lists all of them\n" },
        { { "List" }, "\"List\" is no command: did you mean list?\n" },
        { { "" }, "\"\" is no command: --help lists all of them\n" },
        { { "-", "--frob" }, "\"-\" is no command: --help lists all of them\n"
                             "\"--frob\" is no option: --help lists all of them\n" },
        { { "--", "--zzz" }, "\"--zzz\" is no command: --help lists all of them\n" },
        { { "TOKEN=abc" }, "\"TOKEN=…\" is no command: --help lists all of them\n" },
        { { "x\x1b[1m" }, "\"x\\x1b[1m\" is no command: --help lists all of them\n" },
        /* what belongs to a command that nobody knows is not judged */
        { { "lsit", "--json", "--timeout", "x", "y" }, "\"lsit\" is no command: did you mean list?\n" },
        { { "lsit", "--toolhive-port=1" },
          "\"lsit\" is no command: did you mean list?\n"
          "--toolhive-port: \"1\" is not accepted: a port from 1024 to 65535, or none\n" },
        { { "help", "lits" }, "\"lits\" is no command: did you mean list?\n" },
        { { "help", "A=b" }, "\"A=…\" is no command: --help lists all of them\n" },
        { { "help", "list", "x" }, "\"x\" is one word too many: help takes one argument\n" },

        /* options that are none */
        { { "list", "--jsno" }, "\"--jsno\" is no option: did you mean --json?\n" },
        { { "list", "--tiemout", "5" }, "\"--tiemout\" is no option: did you mean --timeout?\n" },
        { { "list", "--toolhive-prot", "5" },
          "\"--toolhive-prot\" is no option: did you mean --toolhive-port?\n" },
        { { "list", "--versoin" }, "\"--versoin\" is no option: did you mean --version?\n" },
        { { "list", "--frobnicate" },
          "\"--frobnicate\" is no option: mcp-optimizer help list lists all of them\n" },
        { { "show", "--jsno", "fetch" }, "\"--jsno\" is no option: did you mean --json?\n" },
        { { "show", "--jsno", "a", "b" }, "\"--jsno\" is no option: did you mean --json?\n"
                                          "\"b\" is one word too many: show takes one argument\n" },
        { { "show", "--jsno" }, "\"--jsno\" is no option: did you mean --json?\n"
                                "show needs a name: mcp-optimizer show NAME\n" },
        { { "show", "--frobnicate", "fetch" },
          "\"--frobnicate\" is no option: mcp-optimizer help show lists all of them\n" },
        { { "show", "--frobnicate", "5", "fetch" },
          "\"--frobnicate\" is no option: mcp-optimizer help show lists all of them\n" },
        { { "--frobnicate", "list", "--jsno" },
          "\"--frobnicate\" is no option: --help lists all of them\n"
          "\"--jsno\" is no option: did you mean --json?\n" },
        { { "install", "x", "-e", "A=hidden" }, "\"-e\" is no option: did you mean --env?\n" },
        { { "install", "x", "--evn=A=hidden" }, "\"--evn\" is no option: did you mean --env?\n" },
        { { "install", "x", "--evn", "A=hidden" }, "\"--evn\" is no option: did you mean --env?\n" },
        { { "install", "x", "--A_TOKEN_FOR_IT=hidden" },
          "\"--A_TOKEN_FOR_IT\" is no option: mcp-optimizer help install lists all of them\n" },
        { { "list", "-j" }, "\"-j\" is no option: did you mean --json?\n" },
        { { "list", "---" }, "\"---\" is no option: mcp-optimizer help list lists all of them\n" },

        /* options in the wrong place */
        { { "--json", "list" }, "--json belongs behind a command: mcp-optimizer list --json\n" },
        { { "--json" }, "--json belongs behind a command: mcp-optimizer status --json\n" },
        { { "--timeout", "5", "show", "x" },
          "--timeout belongs behind a command: mcp-optimizer show --timeout SECONDS\n" },
        { { "--env", "A=hidden", "install", "x" },
          "--env belongs behind a command: mcp-optimizer install --env KEY=VALUE\n" },
        { { "--env=hidden", "install", "x", "--jsno" },
          "--env belongs behind a command: mcp-optimizer install --env KEY=VALUE\n"
          "\"--jsno\" is no option: did you mean --json?\n" },
        { { "run", "--json" },
          "--json is no option of run, but of status, wait, list, show, registry, install\n" },
        { { "run", "--wait", "5" }, "--wait is no option of run, but of install\n" },
        { { "list", "--env", "A=hidden" }, "--env is no option of list, but of install\n" },
        { { "list", "--alive" }, "--alive is no option of list, but of status\n" },

        /* arguments */
        { { "list", "x" }, "\"x\" is one word too many: list takes no argument\n" },
        { { "run", "run" }, "\"run\" is one word too many: run takes no argument\n" },
        { { "list", "--", "--json" }, "\"--json\" is one word too many: list takes no argument\n" },
        { { "status", "A=hidden" }, "\"A=…\" is one word too many: status takes no argument\n" },
        { { "show" }, "show needs a name: mcp-optimizer show NAME\n" },
        { { "install", "--json" }, "install needs a name: mcp-optimizer install NAME\n" },
        { { "show", "a", "b" }, "\"b\" is one word too many: show takes one argument\n" },
        { { "show", "a", "b=hidden", "c" }, "\"b=…\" is one word too many: show takes one argument\n"
                                            "\"c\" is one word too many: show takes one argument\n" },
        { { "install", "x", "TOKEN=hidden" }, MAY_BE_SECRET },
        { { "install", "x", "--env", "TOKEN", "hidden" }, MAY_BE_SECRET },
        { { "install", "TOKEN=hidden" }, "\"TOKEN=…\" is no name for install: " NOT_A_SERVER "\n" },
        { { "registry", "a=hidden" }, "\"a=…\" is no name for registry: " NOT_A_SERVER "\n" },
        { { "show", "" }, "\"\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", "." }, "\".\" is no name for show: " NOT_A_NAME "\n" },
        { { "install", ".." }, "\"..\" is no name for install: " NOT_A_SERVER "\n" },
        { { "show", "a\nb" }, "\"a\\nb\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", "a\xFF" }, "\"a\\xff\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", NAME_250 "abcd" }, "\"" HUNDRED "…\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", "a/" NAME_250 "abcd" },
          "\"a/" TEN TEN TEN TEN TEN TEN TEN TEN TEN "01234567…\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", SIXTY_THREE "a/" NAME_250 "abc" },
          "\"" SIXTY_THREE "a/" TEN TEN TEN "01234…\" is no name for show: " NOT_A_NAME "\n" },
        { { "show", "a/.." }, "\"a/..\" is no name for show: " NOT_A_NAME "\n" },

        /* values */
        { { "status", "--alive=x" }, "--alive takes no value\n" },
        { { "list", "--json=" }, "--json takes no value\n" },
        { { "list", "--timeout" }, "--timeout needs a value: seconds from 1 to 86400\n" },
        { { "list", "--timeout", "--json" }, "--timeout needs a value: seconds from 1 to 86400\n" },
        { { "list", "--timeout", "0" },
          "--timeout: \"0\" is not accepted: seconds from 1 to 86400\n" },
        { { "list", "--timeout=86400.1" },
          "--timeout: \"86400.1\" is not accepted: seconds from 1 to 86400\n" },
        { { "wait", "--timeout=86401" },
          "--timeout: \"86401\" is not accepted: seconds from 0 to 86400\n" },
        { { "wait", "--timeout", "-1" },
          "--timeout: \"-1\" is not accepted: seconds from 0 to 86400\n" },
        { { "wait", "--timeout=" }, "--timeout: \"\" is not accepted: seconds from 0 to 86400\n" },
        { { "wait", "--timeout=1e3" }, "--timeout: \"1e3\" is not accepted: seconds from 0 to 86400\n" },
        { { "wait", "--timeout=99999999999999999999" },
          "--timeout: \"99999999999999999999\" is not accepted: seconds from 0 to 86400\n" },
        { { "install", "x", "--wait=3601" },
          "--wait: \"3601\" is not accepted: seconds from 0 to 3600\n" },
        { { "install", "x", "--wait", "A=hidden" },
          "--wait: \"A=…\" is not accepted: seconds from 0 to 3600\n" },
        { { "install", "x", "--url=http://h", "--transport=stdio" },
          "--transport: \"stdio\" is not accepted: sse or streamable-http\n" },
        { { "install", "x", "--url=http://h", "--transport=" },
          "--transport: \"\" is not accepted: sse or streamable-http\n" },
        { { "install", "x", "--as=" }, "--as: \"\" is not accepted: " NOT_A_WORKLOAD "\n" },
        { { "install", "x", "--as", ".." }, "--as: \"..\" is not accepted: " NOT_A_WORKLOAD "\n" },
        { { "install", "x", "--as", "a/b" }, "--as: \"a/b\" is not accepted: " NOT_A_WORKLOAD "\n" },
        { { "install", "x", "--group=\x7f" }, "--group: \"\\x7f\" is not accepted: " NOT_A_NAME "\n" },
        { { "registry", "--search=" },
          "--search: \"\" is not accepted: 1 to 253 bytes without control characters\n" },

        /* values that are never shown */
        { { "install", "x", "--env", "A=1", "--env", "=hidden" }, "--env number 2" NOT_ENV },
        { { "install", "x", "--env=" }, "--env number 1" NOT_ENV },
        { { "install", "x", "--env=A B=hidden", "--env=a/b" }, "--env number 1" NOT_ENV
                                                               "--env number 2" NOT_ENV },
        { { "install", "x", "--env=" NAME_250 "abcd=hidden" }, "--env number 1" NOT_ENV },
        { { "install", "x", "--env=\xC3\xA4=hidden" }, "--env number 1" NOT_ENV },
        { { "install", "x", "--env" }, "--env needs a value: KEY=VALUE, or KEY alone, where KEY "
                                       "consists of letters, digits, dots, hyphens and underscores\n" },
        { { "install", "x", "--secret", "hidden" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=,target=K" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=s,target=" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=s,target=a b" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=s,u,target=K" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=s\n,target=K" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--secret=" NAME_250 "abcd,target=K" }, "--secret number 1" NOT_SECRET },
        { { "install", "x", "--url=http://u:hidden@h/" }, NOT_A_URL },
        { { "install", "x", "--url=http://u@h/" }, NOT_A_URL },
        { { "install", "x", "--url=http://h/#hidden" }, NOT_A_URL },
        { { "install", "x", "--url=http://h/a b" }, NOT_A_URL },
        { { "install", "x", "--url=unix:///a" }, NOT_A_URL },
        { { "install", "x", "--url=ftp://h/" }, NOT_A_URL },
        { { "install", "x", "--url=" }, NOT_A_URL },
        { { "install", "x", "--url=http://h/" NAME_250 NAME_250 NAME_250 NAME_250 NAME_250 NAME_250
            NAME_250 NAME_250 }, NOT_A_URL },

        /* given twice, which for a setting means the last one */
        { { "list", "--json", "--json" }, "--json is given twice\n" },
        { { "list", "--timeout=5", "--timeout", "6" }, "--timeout is given twice\n" },
        { { "install", "x", "--as=a", "--as=a", "--as=a" }, "--as is given twice\n--as is given twice\n" },

        /* what does not go together */
        { { "registry", "x", "--search", "y" }, EXCLUDE_EACH_OTHER },
        { { "install", "x", "--transport=sse" }, FOR_URL_ONLY },

        /* all at once, those of settings last */
        { { "show", "--timeout=x", "--log-level=loud", "a", "b", "--jsno" },
          "--timeout: \"x\" is not accepted: seconds from 1 to 86400\n"
          "\"b\" is one word too many: show takes one argument\n"
          "\"--jsno\" is no option: did you mean --json?\n"
          "--log-level: \"loud\" is not accepted: DEBUG, INFO, WARNING, ERROR or CRITICAL\n" },
};

START_TEST(bad_lines) {
        const char *words[WORDS_MAX];
        struct configuration configuration;

        memcpy(words, bad[_i].words, sizeof(words));
        read_all(&configuration, words, NOTHING);
        ck_assert_str_eq(problems(&configuration), bad[_i].problems);
        ck_assert_ptr_null(strstr(problems(&configuration), "hidden"));
        configuration_done(&configuration);
}
END_TEST

START_TEST(default_times) {
        static const struct {
                const char *command;
                usec_t timeout, wait;
        } rows[] = {
                { "run", 0, 0 },
                { "status", 0, 0 },
                { "wait", SECONDS(30), 0 },
                { "list", SECONDS(30), 0 },
                { "show", SECONDS(30), 0 },
                { "registry", SECONDS(30), 0 },
                { "install", 0, SECONDS(120) },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct configuration configuration;

                read_all(&configuration, WORDS(rows[i].command), NOTHING);
                ck_assert_uint_eq(configuration.command.timeout, rows[i].timeout);
                ck_assert_uint_eq(configuration.command.wait, rows[i].wait);
                ck_assert(!configuration.command.timeout_given);
                configuration_done(&configuration);
        }
}
END_TEST

/* Settings stand on either side; which side has no weight, the last one wins. */
START_TEST(settings_on_both_sides) {
        struct configuration configuration;

        read_all(&configuration,
                 WORDS("--toolhive-port=50001", "--toolhive-timeout", "5", "show", "--toolhive-port",
                       "50002", "fetch", "--log-level=debug"),
                 WORDS("LOG_LEVEL=ERROR"));
        ck_assert_str_eq(problems(&configuration), "");
        ck_assert_str_eq(configuration.command.name, "fetch");
        assert_view(&configuration, "toolhive-port", "50002", ORIGIN_COMMAND_LINE);
        assert_view(&configuration, "toolhive-timeout", "5", ORIGIN_COMMAND_LINE);
        assert_view(&configuration, "log-level", "DEBUG", ORIGIN_COMMAND_LINE);
        configuration_done(&configuration);
}
END_TEST

static const struct {
        const char *words[WORDS_MAX];
        enum option_action action;
        bool help;
} actions[] = {
        { { "list", "--version" }, ACTION_VERSION, false },
        { { "--check-config", "list", "--json" }, ACTION_CHECK_CONFIG, false },
        { { "list", "--check-config" }, ACTION_CHECK_CONFIG, false },
        { { "--help", "list" }, ACTION_HELP, false },
        { { "--check-config", "list", "--help" }, ACTION_CHECK_CONFIG, true },
        /* there is no help of a command that is none, but its problem */
        { { "lsit", "--help" }, ACTION_HELP, false },
};

START_TEST(actions_behind_a_command) {
        const char *words[WORDS_MAX];
        struct configuration configuration;

        memcpy(words, actions[_i].words, sizeof(words));
        read_all(&configuration, words, NOTHING);
        ck_assert_int_eq(configuration.action, actions[_i].action);
        ck_assert_int_eq(configuration.command.help, actions[_i].help);
        configuration_done(&configuration);
}
END_TEST

/* Bad settings keep nobody from the help, and put no words into a line that is being completed. */
START_TEST(bad_settings_where_none_are_needed) {
        const char **variables = WORDS("RUNTIME_MODE=k8s", "TOOLHIVE_TIMEOUT=x", "LOG_LEVEL=loud"),
                   **misspelt = WORDS("TOOLHIVE_PROT=1");
        struct configuration configuration;

        read_all(&configuration, WORDS("help", "list", "--log-level=loud"), variables);
        ck_assert_str_eq(problems(&configuration), "");
        configuration_done(&configuration);

        /* its own words are judged all the same */
        read_all(&configuration, WORDS("help", "lits"), variables);
        ck_assert_str_eq(problems(&configuration), "\"lits\" is no command: did you mean list?\n");
        configuration_done(&configuration);

        /* and who checks the settings has asked for theirs */
        read_all(&configuration, WORDS("--check-config", "help"), variables);
        ck_assert_str_ne(problems(&configuration), "");
        configuration_done(&configuration);

        read_all(&configuration, WORDS("complete", "x"), variables);
        ck_assert_str_eq(problems(&configuration), "");
        configuration_done(&configuration);

        read_all(&configuration, WORDS("complete", "x"), misspelt);
        ck_assert_uint_eq(configuration.warnings.size, 0);
        configuration_done(&configuration);

        read_all(&configuration, WORDS("list"), misspelt);
        ck_assert_uint_gt(configuration.warnings.size, 0);
        configuration_done(&configuration);
}
END_TEST

/* The grammar once more, as a judge of random lines: it only says yes or no. */
static const struct grammar {
        const char *command;
        int arguments_min, arguments_max;
        const char *flags, *once, *many;
} grammars[] = {
        { "run", 0, 0, "", "", "" },
        { "status", 0, 0, " alive json ", "", "" },
        { "wait", 0, 0, " json ", " timeout ", "" },
        { "list", 0, 0, " all json ", " timeout ", "" },
        { "show", 1, 1, " json ", " timeout ", "" },
        { "registry", 0, 1, " json ", " search timeout ", "" },
        { "install", 1, 1, " json ", " as group url transport wait timeout ", " env secret " },
        { "help", 0, 1, "", "", "" },
};

/* The words that lines are made of: whole options, options in two words, values, strays. */
static const char *const pool[] = {
        "run", "status", "wait", "list", "show", "registry", "install", "help", "lsit", "--", "-",
        "--json", "--json", "--json=", "--all", "--alive", "--timeout", "--timeout=5", "--timeout=0",
        "--wait", "--search", "--search=x", "--as", "--group", "--url", "--url=http://h/x",
        "--transport", "--transport=sse", "--env", "--env=A=hidden", "--env=/=hidden", "--secret",
        "--secret=s,target=K", "--secret=hidden", "--toolhive-port=50001", "--toolhive-port=x",
        "--log-level", "--help", "--version", "--check-config=", "--jsno", "-x", "fetch", "fetch", "5",
        "0", "", ".", "a\x1b", "A=hidden", "s,target=K", "sse", "http://h/x", "debug",
};

static const struct grammar *grammar_of(const char *command) {
        for (size_t i = 0; i < ELEMENTSOF(grammars); i++)
                if (strcmp(grammars[i].command, command) == 0)
                        return &grammars[i];
        return NULL;
}

static bool is_among(const char *name, const char *names) {
        char spaced[64];

        snprintf(spaced, sizeof(spaced), " %s ", name);
        return strstr(names, spaced);
}

static bool is_plain_name(const char *value) {
        return *value && !strchr(value, '\x1b') && strcmp(value, ".") != 0;
}

static bool is_key(const char *value) {
        size_t size = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_-.abcdefghijklmnopqrstuvwxyz0123456789");

        return size > 0 && (value[size] == '=' || !value[size]);
}

static bool judge_value(const char *command, const char *option, const char *value) {
        static const struct {
                const char *option, *value;
        } only[] = { { "secret", "s,target=K" }, { "url", "http://h/x" }, { "transport", "sse" } };

        if (strcmp(option, "timeout") == 0)
                return strcmp(value, "5") == 0 ||
                       (strcmp(value, "0") == 0 && strcmp(command, "wait") == 0);
        if (strcmp(option, "wait") == 0)
                return strcmp(value, "5") == 0 || strcmp(value, "0") == 0;
        if (strcmp(option, "env") == 0)
                return is_key(value);
        if (strcmp(option, "search") == 0)
                return *value && !strchr(value, '\x1b');
        if (strcmp(option, "as") == 0)
                return is_plain_name(value) && !strpbrk(value, "=,:/");
        for (size_t i = 0; i < ELEMENTSOF(only); i++)
                if (strcmp(option, only[i].option) == 0)
                        return strcmp(value, only[i].value) == 0;
        return is_plain_name(value);
}

struct judge {
        const struct grammar *grammar;
        const char *argument;
        char seen[256];                 /* the command's options, with blanks around each */
        bool bad_port, bad_level;       /* of each the last one counts */
};

static bool judge_word(struct judge *judge, const char *word) {
        if (!judge->grammar) {
                judge->grammar = grammar_of(word);
                return judge->grammar;
        }
        if (judge->argument || judge->grammar->arguments_max == 0)
                return false;
        judge->argument = word;
        if (strcmp(judge->grammar->command, "help") == 0)
                return grammar_of(word);
        return is_plain_name(word) &&
               (!strchr(word, '=') || strcmp(judge->grammar->command, "show") == 0);
}

/* Passes the word that is the option's value. */
static bool judge_option(struct judge *judge, const char ***words) {
        const struct grammar *grammar = judge->grammar;
        const char *word = **words, *value = strchr(word, '=');
        char option[64];
        bool again;

        if (word[1] != '-')
                return false;
        snprintf(option, sizeof(option), "%.*s", (int) strcspn(word + 2, "="), word + 2);
        value = value ? value + 1 : NULL;
        if (is_among(option, " help version check-config "))
                return !value;

        again = is_among(option, judge->seen);
        strcat(strcat(judge->seen, option), " ");
        if (grammar && is_among(option, grammar->flags))
                return !value && !again;

        if (!value && (*words)[1] && strncmp((*words)[1], "--", 2) != 0)
                value = *++*words;
        if (!value)
                return false;
        if (strcmp(option, "toolhive-port") == 0)
                judge->bad_port = strcmp(value, "50001") != 0;
        else if (strcmp(option, "log-level") == 0)
                judge->bad_level = strcmp(value, "debug") != 0;
        else
                return grammar && judge_value(grammar->command, option, value) &&
                       (is_among(option, grammar->many) || (is_among(option, grammar->once) && !again));
        return true;
}

/* Whether a line is right; one problem is enough. */
static bool judge(const char **words) {
        struct judge judge = { .seen = " " };
        bool only_words = false, is_help;

        for (; *words; words++) {
                bool is_option = !only_words && (*words)[0] == '-' && (*words)[1];

                if (is_option && strcmp(*words, "--") == 0)
                        only_words = true;
                else if (!(is_option ? judge_option(&judge, &words) : judge_word(&judge, *words)))
                        return false;
        }

        if (judge.grammar && judge.grammar->arguments_min > 0 && !judge.argument)
                return false;
        is_help = judge.grammar && strcmp(judge.grammar->command, "help") == 0;
        return !(judge.argument && is_among("search", judge.seen)) &&
               (is_among("url", judge.seen) || !is_among("transport", judge.seen)) &&
               (is_help || !(judge.bad_port || judge.bad_level));
}

START_TEST(random_lines) {
        const char *given = getenv("MCP_OPTIMIZER_TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL);
        size_t n_right = 0;

        printf("seed %u\n", seed);
        srandom(seed);
        for (int round = 0; round < ROUNDS; round++) {
                const char *words[WORDS_MAX] = { NULL };
                int n = (int) (random() % 7);
                struct configuration configuration;
                _cleanup_text_ struct text line = TEXT_INIT;
                bool shows_a_setting = false, right;

                /* most begin with a command, or hardly any would be right */
                for (int i = 0; i < n; i++) {
                        long n_choices = i == 0 && round % 4 ? 8 : (long) ELEMENTSOF(pool);

                        words[i] = pool[random() % n_choices];
                        text_addf(&line, " '%s'", words[i]);
                        shows_a_setting |= strcmp(words[i], "--log-level") == 0;
                }

                read_all(&configuration, words, NOTHING);
                right = judge(words);
                n_right += right;

                /* who checks the configuration is told of settings even where help is asked for */
                if (configuration.action == ACTION_RUN)
                        ck_assert_msg((configuration.problems.size == 0) == right, "seed %u:%s\n%s",
                                      seed, line.data, problems(&configuration));
                ck_assert_msg(shows_a_setting || !strstr(problems(&configuration), "hidden"),
                              "seed %u:%s\n%s", seed, line.data, problems(&configuration));
                configuration_done(&configuration);
        }
        ck_assert_uint_gt(n_right, ROUNDS / 50);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("command line");
        TCase *tcase = tcase_create("command line");

        tcase_add_test(tcase, table_is_consistent);
        tcase_add_test(tcase, finding);
        tcase_add_loop_test(tcase, good_lines, 0, ELEMENTSOF(good));
        tcase_add_loop_test(tcase, bad_lines, 0, ELEMENTSOF(bad));
        tcase_add_test(tcase, default_times);
        tcase_add_test(tcase, settings_on_both_sides);
        tcase_add_loop_test(tcase, actions_behind_a_command, 0, ELEMENTSOF(actions));
        tcase_add_test(tcase, bad_settings_where_none_are_needed);
        tcase_add_test(tcase, random_lines);
        tcase_set_timeout(tcase, 60);
        suite_add_tcase(suite, tcase);
        return suite_run(suite);
}
