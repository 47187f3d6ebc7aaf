/* SPDX-License-Identifier: Apache-2.0 */

/* command/install_request.h: what was given, what is missing, what is sent. No values in sentences. */

#include <check.h>
#include <string.h>

#include "command/install_request.h"
#include "command/mask.h"
#include "suite.h"

#define WORDS(...) ((struct word_list) { (const char *[]) { __VA_ARGS__ }, \
                                         sizeof((const char *[]) { __VA_ARGS__ }) / sizeof(char *) })

static struct install_request request;
static struct command_line line;
static struct registry_entry *entry;
static struct text text;

static char *environment[] = {
        (char *) "TOKEN_EXTRA=no", (char *) "TOKEN=from the environment", (char *) "EMPTY=", (char *) "BROKEN", NULL
};

static void teardown(void) {
        install_request_done(&request);
        entry = registry_entry_free(entry);
        text_done(&text);
        line = (struct command_line) {};
}

static void use_entry(const char *json, bool remote) {
        struct json_object *object = json_tokener_parse(json);
        const char *problem = "";

        ck_assert_msg(object, "%s", json);
        entry = registry_entry_free(entry);
        ck_assert_msg(registry_entry_parse(object, NULL, remote, &entry, &problem) == 0, "%s: %s", json, problem);
        json_object_put(object);
}

/* Both steps, as the command makes them. */
static int prepare(void) {
        int r;

        install_request_done(&request);
        text_clear(&text);
        r = install_request_init(&request, &line, environment, &text);
        return r == 0 && entry ? install_request_set_entry(&request, entry, &text) : r;
}

static void expect_problem(const char *problem) {
        ck_assert_int_eq(prepare(), INSTALL_REQUEST_BAD);
        ck_assert_str_eq(text.data, problem);
}

static void expect_good(void) {
        int r = prepare();

        ck_assert_msg(r == 0, "%d: %s", r, text.data ?: "");
}

static void expect_body(const char *body) {
        expect_good();
        text_clear(&text);
        ck_assert_int_eq(install_request_body(&request, &line, &text), 0);
        ck_assert_str_eq(text.data, body);
}

static void expect_missing(size_t n, const char *lines) {
        expect_good();
        text_clear(&text);
        ck_assert_uint_eq(install_request_missing(&request, &text), n);
        ck_assert_str_eq(text.data ?: "", lines);
}

/* ---- names ---- */

#define WRONG_NAME "A workload's name may only contain letters, digits, dots, hyphens and underscores, 100 at most, " \
                   "and not begin with two dots"
#define NO_NAME "No name for a workload can be made from that of the server: give one by --as"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

START_TEST(names) {
        static const struct {
                const char *server, *as, *name, *problem;
        } rows[] = {
                { "fetch", NULL, "fetch", NULL },
                { "fetch", "my.Fetch_2-x", "my.Fetch_2-x", NULL },
                { "io.github.stacklok/fetch", NULL, "fetch", NULL },
                { "a/b/c d:e", NULL, "c-d-e", NULL },
                { "a/é", NULL, "--", NULL },
                { "a/", NULL, NULL, NO_NAME },
                { "a/..", NULL, NULL, NO_NAME },
                { "..x", NULL, NULL, NO_NAME },
                { ".", NULL, NULL, NO_NAME },
                { "a/..", "b", "b", NULL },
                { "x/" HUNDRED "1", NULL, HUNDRED, NULL },
                { "x", HUNDRED, HUNDRED, NULL },
                { "x", HUNDRED "1", NULL, WRONG_NAME },
                { "x", "a b", NULL, WRONG_NAME },
                { "x", "a/b", NULL, WRONG_NAME },
                { "x", "", NULL, WRONG_NAME },
                { "x", ".", NULL, WRONG_NAME },
                { "x", "..", NULL, WRONG_NAME },
                { "x", "é", NULL, WRONG_NAME },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char json[256];

                snprintf(json, sizeof json, "{\"name\":\"%s\"}", rows[i].server);
                use_entry(json, false);
                line.name = rows[i].server;
                line.as = rows[i].as;
                if (rows[i].problem)
                        expect_problem(rows[i].problem);
                else {
                        expect_good();
                        ck_assert_str_eq(request.name, rows[i].name);
                }
        }
}
END_TEST

START_TEST(names_at_a_url) {
        line = (struct command_line) { .name = "everything", .url = "https://e/mcp" };
        expect_good();
        ck_assert_str_eq(request.name, "everything");
        line.as = "other";
        expect_good();
        ck_assert_str_eq(request.name, "other");
        line = (struct command_line) { .name = "every thing", .url = "https://e/mcp" };
        expect_problem(WRONG_NAME);
}
END_TEST

/* ---- what was given ---- */

START_TEST(given) {
        use_entry("{\"name\":\"x\"}", false);
        line.env = WORDS("A=1", "B=", "C=x=y=z", "TOKEN", "LINES=one\ntwo");
        line.secrets = WORDS("a secret,target=D", "with,target=E");
        expect_body("{\"name\":\"x\",\"registry\":\"default\",\"server\":\"x\",\"env_vars\":{\"A\":\"1\",\"B\":\"\","
                    "\"C\":\"x=y=z\",\"TOKEN\":\"from the environment\",\"LINES\":\"one\\ntwo\"},"
                    "\"secrets\":[{\"name\":\"a secret\",\"target\":\"D\"},{\"name\":\"with\",\"target\":\"E\"}]}");
}
END_TEST

#define NOT_THERE " takes its value from the environment, where it is not set, or empty"

START_TEST(given_wrongly) {
        const struct {
                struct word_list env, secrets;
                const char *problem;
        } rows[] = {
                { WORDS("A=hidden", "A=hidden"), {}, "A is given twice" },
                { WORDS("A=hidden"), WORDS("hidden,target=A"), "A is given twice" },
                { {}, WORDS("hidden,target=A", "hidden2,target=A"), "A is given twice" },
                { WORDS("TOKEN", "TOKEN=hidden"), {}, "TOKEN is given twice" },
                { WORDS("NOT_SET"), {}, "--env NOT_SET" NOT_THERE },
                { WORDS("TOK"), {}, "--env TOK" NOT_THERE },
                { WORDS("BROKEN"), {}, "--env BROKEN" NOT_THERE },
                { WORDS("EMPTY"), {}, "--env EMPTY" NOT_THERE },
                { WORDS("=hidden"), {}, "--env and --secret need the name of a setting" },
                { WORDS("\x1b[2J=hidden"), {}, "--env and --secret need the name of a setting" },
                { WORDS("\x1b[2J"), {}, "--env needs the name of a setting" },
                { WORDS(""), {}, "--env needs the name of a setting" },
                { {}, WORDS("hidden"), "--secret is to be NAME,target=KEY" },
                { {}, WORDS(",target=A"), "--secret is to be NAME,target=KEY" },
                { {}, WORDS("hidden,target="), "--env and --secret need the name of a setting" },
                { WORDS("A=hidden\xff"), {}, "What is given for A is no UTF-8" },
                { WORDS("A=hidden\xed\xa0\x80"), {}, "What is given for A is no UTF-8" },
                { {}, WORDS("hidden\xc0\xaf,target=A"), "What is given for A is no UTF-8" },
        };

        use_entry("{\"name\":\"x\"}", false);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                line.env = rows[i].env;
                line.secrets = rows[i].secrets;
                expect_problem(rows[i].problem);
                ck_assert_ptr_null(strstr(text.data, "hidden"));
        }
}
END_TEST

/* What is none of its settings would reach nobody. */
START_TEST(given_for_a_remote) {
        const struct {
                struct word_list env, secrets;
                const char *problem;
        } rows[] = {
                { WORDS("X_APY_KEY=hidden"), {}, "io.x/r has no setting X_APY_KEY: did you mean X_API_KEY?" },
                { WORDS("x-apy-key=hidden"), {}, "io.x/r has no setting x-apy-key: did you mean X_API_KEY?" },
                { {}, WORDS("hidden,target=X_API"), "io.x/r has no setting X_API: did you mean X_API_KEY?" },
                { WORDS("api.tokem=hidden"), {}, "io.x/r has no setting api.tokem: did you mean api.token?" },
                { WORDS("API.TOKEN=hidden"), {}, "io.x/r has no setting API.TOKEN: did you mean api.token?" },
                { WORDS("X_API_KEY=hidden", "OTHER=hidden"), {}, "io.x/r has no setting OTHER" },
        };
        static const char json[] = "{\"name\":\"io.x/r\",\"headers\":[{\"name\":\"X-API-Key\"}],"
                                   "\"env_vars\":[{\"name\":\"api.token\"}]}";

        use_entry(json, true);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                line.env = rows[i].env;
                line.secrets = rows[i].secrets;
                expect_problem(rows[i].problem);
        }
        line.env = WORDS("X_API_KEY=k", "api.token=t");
        line.secrets = (struct word_list) {};
        expect_good();

        use_entry("{\"name\":\"io.x/r\"}", true);
        line.env = WORDS("A=hidden");
        expect_problem("io.x/r has no setting A");

        /* A container may take more than the registry knows of. */
        use_entry(json, false);
        expect_good();
}
END_TEST

START_TEST(given_for_a_url) {
        static const char problem[] =
                "A server at a URL takes neither --env nor --secret: it has no environment here";

        line = (struct command_line) { .name = "x", .url = "https://e", .env = WORDS("A=hidden") };
        expect_problem(problem);
        line = (struct command_line) { .name = "x", .url = "https://e", .secrets = WORDS("s,target=A") };
        expect_problem(problem);
}
END_TEST

/* ---- what is missing ---- */

#define NEEDY "{\"name\":\"x\",\"env_vars\":[" \
              "{\"name\":\"TOKEN\",\"description\":\"For the\\nservice\",\"required\":true,\"secret\":true}," \
              "{\"name\":\"URL\",\"description\":\"Where it is\",\"required\":true}," \
              "{\"name\":\"PORT\",\"required\":true,\"default\":\"80\"}," \
              "{\"name\":\"BARE\",\"required\":true}," \
              "{\"name\":\"MAY\",\"description\":\"or not\"}]}"

#define TOKEN_LINES "TOKEN (secret): For the service\n" \
                    "    --secret NAME,target=TOKEN   from ToolHive's secret store (thv secret set NAME)\n" \
                    "    --env TOKEN                  from this environment\n"
#define URL_LINES "URL: Where it is\n" \
                  "    --env URL=VALUE\n"
#define BARE_LINES "BARE: no description\n" \
                   "    --env BARE=VALUE\n"

START_TEST(missing) {
        use_entry(NEEDY, false);
        expect_missing(3, TOKEN_LINES URL_LINES BARE_LINES);
        line.env = WORDS("URL=https://x", "token=1");
        expect_missing(2, TOKEN_LINES BARE_LINES);
        line.secrets = WORDS("s,target=BARE");
        expect_missing(1, TOKEN_LINES);
        line.env = WORDS("URL=https://x", "TOKEN");
        expect_missing(0, "");

        line = (struct command_line) { .name = "x", .url = "https://x" };
        entry = registry_entry_free(entry);
        expect_missing(0, "");
}
END_TEST

#define REMOTE "{\"name\":\"io.x/r\",\"url\":\"https://r/mcp\",\"transport\":\"sse\",\"headers\":[" \
               "{\"name\":\"X-API-Key\",\"description\":\"A key\",\"required\":true,\"secret\":true}," \
               "{\"name\":\"X-Region\",\"required\":true,\"default\":\"eu\"},{\"name\":\"X-Team\",\"required\":true}]," \
               "\"env_vars\":[{\"name\":\"X_TEAM\"}]}"

START_TEST(missing_headers) {
        use_entry(REMOTE, true);
        expect_missing(2, "X-API-Key (header, secret): A key\n"
                          "    --secret NAME,target=X_API_KEY   from ToolHive's secret store (thv secret set NAME)\n"
                          "    --env X_API_KEY                  from this environment\n"
                          "X-Team (header): no description\n"
                          "    --env X_TEAM=VALUE\n");
        line.env = WORDS("x_api_key=1");
        line.secrets = WORDS("s,target=X-Team");
        expect_missing(0, "");
        /* A variable of just that name comes first. */
        line.secrets = WORDS("s,target=X_TEAM");
        expect_missing(1, "X-Team (header): no description\n"
                          "    --env X_TEAM=VALUE\n");
}
END_TEST

/* ---- what is sent ---- */

START_TEST(body_of_a_container) {
        use_entry("{\"name\":\"io.github.stacklok/fetch\",\"image\":\"ghcr.io/x/fetch:1\",\"transport\":\"stdio\","
                  "\"target_port\":8080,\"args\":[\"--a\",\"b \\\"c\\\"\"],\"env_vars\":["
                  "{\"name\":\"K\",\"default\":\"k\"},{\"name\":\"L\",\"default\":\"l\"},{\"name\":\"M\",\"default\":\"m\"},"
                  "{\"name\":\"N\"}]}", false);
        line.env = WORDS("L=mine");
        line.secrets = WORDS("s,target=M");
        line.group = "team";
        expect_body("{\"name\":\"fetch\",\"registry\":\"default\",\"server\":\"io.github.stacklok/fetch\","
                    "\"image\":\"ghcr.io/x/fetch:1\",\"transport\":\"stdio\",\"target_port\":8080,"
                    "\"cmd_arguments\":[\"--a\",\"b \\\"c\\\"\"],\"env_vars\":{\"L\":\"mine\",\"K\":\"k\"},"
                    "\"secrets\":[{\"name\":\"s\",\"target\":\"M\"}],\"group\":\"team\"}");
}
END_TEST

START_TEST(body_of_a_remote) {
        use_entry(REMOTE, true);
        line.as = "mine";
        line.env = WORDS("X_API_KEY=k", "X_TEAM=o");
        line.secrets = WORDS("s,target=X-TEAM");
        expect_body("{\"name\":\"mine\",\"registry\":\"default\",\"server\":\"io.x/r\",\"url\":\"https://r/mcp\","
                    "\"transport\":\"sse\",\"env_vars\":{\"X_TEAM\":\"o\"},\"secrets\":[],"
                    "\"header_forward\":{\"add_plaintext_headers\":{\"X-API-Key\":\"k\",\"X-Region\":\"eu\"},"
                    "\"add_headers_from_secret\":{\"X-Team\":\"s\"}}}");

        line.env = WORDS("X_API_KEY=hidden", "x-api-key=hidden");
        expect_problem("The header X-API-Key is given twice");
}
END_TEST

START_TEST(body_of_a_url) {
        line = (struct command_line) { .name = "x", .url = "https://e/mcp?a=1" };
        expect_body("{\"name\":\"x\",\"url\":\"https://e/mcp?a=1\",\"transport\":\"streamable-http\"}");
}
END_TEST

/* ---- ToolHive's words ---- */

START_TEST(words) {
        static const struct {
                const char *words, *shown;
        } rows[] = {
                { "cannot start", "cannot start" },
                { "bad value hunter2hunter2 for A", "bad value ******** for A" },
                { "\"hunter2\",\"hunter2x\"", "\"********\",\"********x\"" },
                { "b is b", "b is b" },
                /* cut within it */
                { "A=hunt", "A=********" },
                { "A=hun", "A=hun" },
                { "A=hunt er", "A=hunt er" },
                { "", "" },
        };

        use_entry("{\"name\":\"x\"}", false);
        line.env = WORDS("A=hunter2", "B=b", "C=hunter2hunter2");
        expect_good();
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                text_clear(&text);
                install_request_add_words(&request, rows[i].words, &text);
                ck_assert_str_eq(text.data ?: "", rows[i].shown);
        }
}
END_TEST

/* A value may be repeated in a spelling that a comparison does not find. */
#define HIDDEN "its words are not shown, since they may hold a value that was given"

START_TEST(words_that_may_hold_a_value) {
        static const char *const values[] = {
                "A=two\nlines", "A=tab\ttab", "A=say \"x\"", "A=back\\slash", "A=it's", "A=a<b>c",
                "A=this&that", "A=caf\xC3\xA9", "A=\xE2\x80\xA8xyz", ("A=del\x7F" "ete"),
        };
        static const char *const harmless[] = { "A=", "A=a\"b", "A=a/b+c=d:e;f,g(h){i} ~$%#@!^*[j]|k?" };

        use_entry("{\"name\":\"x\"}", false);
        for (size_t i = 0; i < ELEMENTSOF(values) + ELEMENTSOF(harmless); i++) {
                bool hidden = i < ELEMENTSOF(values);
                const char *word = hidden ? values[i] : harmless[i - ELEMENTSOF(values)];

                line.env = WORDS("B=plain", word);
                expect_good();
                text_clear(&text);
                install_request_add_words(&request, "cannot start", &text);
                ck_assert_msg(strcmp(text.data, hidden ? HIDDEN : "cannot start") == 0, "%s: %s", word,
                              text.data);
        }
        line.env = (struct word_list) {};
        line.secrets = WORDS("na\"me,target=A");
        expect_good();
        text_clear(&text);
        install_request_add_words(&request, "cannot start", &text);
        ck_assert_str_eq(text.data, "cannot start");
}
END_TEST

/* ---- command/mask.h ---- */

START_TEST(masks) {
        static const struct {
                const char *string, *shown;
        } rows[] = {
                { "", "" },
                { "plain words", "plain words" },
                { "--port=80", "--port=80" },
                { "--api-token=hidden", "--api-token=" MASK },
                { "PASSWORD: hid den", "PASSWORD:" MASK },
                { "{\"secret\": \"hidden\"}", "{\"secret\":" MASK },
                /* names */
                { "Cookie: id=hidden", "Cookie:" MASK },
                { "set-cookie=hidden", "set-cookie=" MASK },
                { "PHPSESSIONID=hidden", "PHPSESSIONID=" MASK },
                { "my_session:hidden", "my_session:" MASK },
                { "sig=hidden", "sig=" MASK },
                { "--X-Sig=hidden", "--X-Sig=" MASK },
                { "url_sig_v2=hidden", "url_sig_v2=" MASK },
                { "--signal=HUP", "--signal=HUP" },
                { "design=flat", "design=flat" },
                { "sigs=x", "sigs=x" },
                /* credentials of HTTP */
                { "Authorization: Bearer hidden", "Authorization:" MASK },
                { "Bearer hidden", "Bearer " MASK },
                { "X: bEaReR  hidden, more", "X: bEaReR  " MASK " more" },
                { "-H 'X: Basic aGlkZGVu==' -v", "-H 'X: Basic " MASK "' -v" },
                { "[\"x\", \"basic hidden=x:y\"]", "[\"x\", \"basic " MASK "\"]" },
                { "Bearer hid=den", "Bearer " MASK },
                { "the bearer token: hidden", "the bearer " MASK },
                { "Basic hidden Basic hidden", "Basic " MASK " Basic " MASK },
                { "--mode=basic", "--mode=basic" },
                { "basic ", "basic " },
                { "basically fine", "basically fine" },
                { "acidbasic fine", "acidbasic fine" },
                /* logins */
                { "--user=bob:hidden", "--user=bob:" MASK },
                { "proxyUser=bob:hid:den more", "proxyUser=bob:" MASK },
                { "--login=bob:hidden", "--login=bob:" MASK },
                { "-u=bob:hidden", "-u=bob:" MASK },
                { "--user=bob", "--user=bob" },
                { "--user-url=https://h/x?a=hidden", "--user-url=https://h/x?a=" MASK },
                { "--listen=localhost:8080", "--listen=localhost:8080" },
                { "--dsn=root:hidden@tcp(db)/x", "--dsn=" MASK "@tcp(db)/x" },
                /* URLs */
                { "https://bob:hidden@h/x?a=hidden&b#c", "https://" MASK "@h/x?a=" MASK "&" MASK "#c" },
                { "git@host:path", "git@host:path" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                text_clear(&text);
                text_add_masked(&text, rows[i].string);
                ck_assert_msg(strcmp(text.data ?: "", rows[i].shown) == 0, "%s: %s", rows[i].string,
                              text.data);
                ck_assert_ptr_null(strstr(text.data ?: "", "hidden"));
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("install request");
        TCase *tests = tcase_create("install request");

        tcase_add_checked_fixture(tests, NULL, teardown);
        tcase_add_test(tests, names);
        tcase_add_test(tests, names_at_a_url);
        tcase_add_test(tests, given);
        tcase_add_test(tests, given_wrongly);
        tcase_add_test(tests, given_for_a_url);
        tcase_add_test(tests, given_for_a_remote);
        tcase_add_test(tests, missing);
        tcase_add_test(tests, missing_headers);
        tcase_add_test(tests, body_of_a_container);
        tcase_add_test(tests, body_of_a_remote);
        tcase_add_test(tests, body_of_a_url);
        tcase_add_test(tests, words);
        tcase_add_test(tests, words_that_may_hold_a_value);
        tcase_add_test(tests, masks);
        suite_add_tcase(suite, tests);
        return suite_run(suite);
}
