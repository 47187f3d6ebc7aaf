/* SPDX-License-Identifier: Apache-2.0 */

/* model/registry.h: the names that a registry offers, and how two polls differ. */

#include "model/registry.h"
#include "suite.h"

#include <check.h>
#include <string.h>
#include <time.h>

static struct registry *parse(const char *body) {
        struct registry *registry = NULL;
        const char *problem = "";

        int r = registry_parse(body, strlen(body), &registry, &problem);
        ck_assert_msg(r == 0, "%.200s: %s", body, problem);
        return registry;
}

/* All names in one line. */
static const char *names_of(const struct registry *registry) {
        static char line[512];

        line[0] = '\0';
        for (size_t i = 0; i < registry->n_names; i++) {
                strcat(line, i > 0 ? " " : "");
                strcat(line, registry->names[i]);
        }
        return line;
}

START_TEST(answers) {
        static const struct {
                const char *body, *names, *last_updated;
                size_t bad;
        } rows[] = {
                { "{\"name\":\"default\",\"last_updated\":\"2026-02-18T00:24:11Z\",\"server_count\":2,"
                  "\"registry\":{\"version\":\"1.0.0\",\"last_updated\":\"2026-02-19T00:00:00Z\","
                  "\"servers\":{\"fetch\":{\"image\":\"x\",\"tags\":[\"a\"]},\"github\":{}},"
                  "\"remote_servers\":{\"atlassian\":{\"url\":\"https://x\"}},\"groups\":[]}}",
                  "atlassian fetch github", "2026-02-19T00:00:00Z", 0 },
                { "{\"last_updated\":\"top\",\"registry\":{\"servers\":{\"b\":{},\"a\":{}}}}", "a b", "top", 0 },
                { "{\"registry\":{\"remote_servers\":{\"r\":{}}}}", "r", NULL, 0 },
                { "{\"registry\":{\"servers\":null,\"remote_servers\":null}}", "", NULL, 0 },
                { "{\"registry\":{}}", "", NULL, 0 },
                { "{\"registry\":{\"servers\":{\"both\":{}},\"remote_servers\":{\"both\":{},\"one\":{}}}}",
                  "both one", NULL, 0 },
                { "{\"registry\":{\"servers\":{\"io.x\\/y\":{},\"\\u0061\\\"b\":{}}}}", "a\"b io.x/y", NULL, 0 },
                { "{\"registry\":{\"servers\":{\"\":{},\"a\\nb\":{},\"\\u202e\":{},\"ok\":{}}}}",
                  "ok", NULL, 3 },
                { "{\"registry\":{\"servers\":{\"a\":null,\"b\":[],\"c\":1,\"d\":\"{}\",\"ok\":{}}}}",
                  "ok", NULL, 4 },
                /* a date that cannot be shown is none */
                { "{\"last_updated\":\"top\",\"registry\":{\"last_updated\":\"\\u0007\"}}", "", "top", 0 },
                { "{\"registry\":{\"last_updated\":7}}", "", NULL, 0 },
                { "{\"registry\":{\"last_updated\":\"01234567890123456789012345678901"
                  "234567890123456789012345678901234\"}}",
                  "", NULL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(registry_freep) struct registry *registry = parse(rows[i].body);

                ck_assert_str_eq(names_of(registry), rows[i].names);
                ck_assert_uint_eq(registry->n_bad, rows[i].bad);
                ck_assert_pstr_eq(registry->last_updated, rows[i].last_updated);
        }
}
END_TEST

START_TEST(no_answers) {
        static const struct {
                const char *body, *problem;
        } rows[] = {
                { "", "an empty body" },
                { "Bad Gateway", "not JSON" },
                { "{\"registry\":{\"servers\":{", "JSON that is cut short" },
                { "[]", "not a JSON object" },
                { "null", "not a JSON object" },
                { "{}", "no \"registry\"" },
                { "{\"registry\":null}", "no \"registry\"" },
                { "{\"registry\":[]}", "no \"registry\"" },
                { "{\"registry\":\"servers\"}", "no \"registry\"" },
                { "{\"registry\":{},\"registry\":{}}", "\"registry\" twice" },
                { "{\"registry\":{\"servers\":[]}}", "\"servers\" is no map" },
                { "{\"registry\":{\"servers\":7}}", "\"servers\" is no map" },
                { "{\"registry\":{\"servers\":{},\"servers\":{}}}", "\"servers\" twice" },
                { "{\"registry\":{\"remote_servers\":[{}]}}", "\"remote_servers\" is no map" },
                { "{\"registry\":{\"remote_servers\":null,\"remote_servers\":{}}}", "\"remote_servers\" twice" },
                { "{\"registry\":{\"servers\":{\"a\\u0000b\":{}}}}", "a NUL in a string" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct registry *registry = NULL;
                const char *problem = NULL;

                ck_assert_int_eq(registry_parse(rows[i].body, strlen(rows[i].body), &registry, &problem),
                                 JSON_BAD);
                ck_assert_str_eq(problem, rows[i].problem);
                ck_assert_ptr_null(registry);
        }
}
END_TEST

/* Both maps together are counted before a name is taken. */
START_TEST(limit_of_servers) {
        for (size_t over = 0; over < 2; over++) {
                _cleanup_(freep) char *body = malloc(64 + (REGISTRY_SERVERS_MAX + 1) * 16);
                _cleanup_(registry_freep) struct registry *registry = NULL;
                size_t n = REGISTRY_SERVERS_MAX + over;
                const char *problem = NULL;
                char *end;

                ck_assert_ptr_nonnull(body);
                end = stpcpy(body, "{\"registry\":{\"servers\":{");
                for (size_t i = 0; i < n; i++) {
                        const char *between = i == n / 2 ? "},\"remote_servers\":{"
                                              : i > 0 ? "," : "";

                        end += sprintf(end, "%s\"s%zu\":{}", between, i);
                }
                strcpy(end, "}}}");

                ck_assert_int_eq(registry_parse(body, strlen(body), &registry, &problem),
                                 over ? JSON_BAD : 0);
                if (over)
                        ck_assert_str_eq(problem, "too many servers");
                else
                        ck_assert_uint_eq(registry->n_names, n);
        }
}
END_TEST

START_TEST(length_of_names) {
        for (size_t over = 0; over < 2; over++) {
                char name[REGISTRY_NAME_MAX + 2] = "", body[512];

                memset(name, 'n', REGISTRY_NAME_MAX + over);
                snprintf(body, sizeof(body), "{\"registry\":{\"servers\":{\"%s\":{}}}}", name);
                _cleanup_(registry_freep) struct registry *registry = parse(body);
                ck_assert_uint_eq(registry->n_names, 1 - over);
                ck_assert_uint_eq(registry->n_bad, over);
        }
}
END_TEST

/* A registry of the letters of a word. */
static struct registry *make(const char *letters) {
        struct registry *registry = registry_new();

        ck_assert_ptr_nonnull(registry);
        for (; *letters; letters++)
                ck_assert_int_eq(registry_add(registry, letters, 1), 0);
        registry_sort(registry);
        return registry;
}

static void write_down(bool added, const char *name, void *user) {
        char *line = user;

        strcat(line, added ? " +" : " -");
        strcat(line, name);
}

START_TEST(by_hand) {
        _cleanup_(registry_freep) struct registry *registry = make("hellofromtheregistry");

        ck_assert_str_eq(names_of(registry), "e f g h i l m o r s t y");
}
END_TEST

START_TEST(differences) {
        static const struct {
                const char *old, *new, *expected;
                size_t n;
        } rows[] = {
                { "", "", "", 0 },
                { "abc", "cba", "", 0 },
                { "", "ab", " +a +b", 2 },
                { "ab", "", " -a -b", 2 },
                { "ace", "bcd", " -a +b +d -e", 4 },
        };
        char line[64];

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(registry_freep) struct registry *old = make(rows[i].old);
                _cleanup_(registry_freep) struct registry *new = make(rows[i].new);

                line[0] = '\0';
                ck_assert_uint_eq(registry_diff(old, new, write_down, line), rows[i].n);
                ck_assert_str_eq(line, rows[i].expected);
        }

        _cleanup_(registry_freep) struct registry *one = make("a");
        line[0] = '\0';
        ck_assert_uint_eq(registry_diff(NULL, one, write_down, line), 1);
        ck_assert_uint_eq(registry_diff(one, NULL, write_down, line), 1);
        ck_assert_uint_eq(registry_diff(NULL, NULL, write_down, line), 0);
        ck_assert_str_eq(line, " +a -a");
}
END_TEST

static uint64_t random_state;

static uint64_t next_random(void) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

START_TEST(mutations) {
        static const char body[] =
                "{\"last_updated\":\"2026\",\"registry\":{\"last_updated\":\"2027\",\"servers\":{\"s1\":{\"a\":[1]},"
                "\"s2\":{\"b\":null},\"s\\u0033\":{}},\"remote_servers\":{\"s1\":{},\"r1\":{\"url\":\"x\"}}}}";
        static const char alphabet[] = "{}[]\",:\\u01239rs-. \n\x1b\x7f\xC2\x85\xE2\x80\xAE";
        const char *given = getenv("TEST_SEED");
        size_t parsed = 0;

        random_state = given ? strtoull(given, NULL, 10) : (uint64_t) time(NULL);
        random_state = random_state ?: 1;
        printf("TEST_SEED=%llu\n", (unsigned long long) random_state);
        fflush(stdout);

        for (unsigned round = 0; round < 20000; round++) {
                size_t size = sizeof(body) - 1;
                _cleanup_(freep) char *copy = malloc(size);     /* the exact size: no NUL behind */
                _cleanup_(registry_freep) struct registry *registry = NULL;
                const char *problem = NULL;

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, body, size);
                for (uint64_t n = 1 + next_random() % 3; n > 0; n--)
                        copy[next_random() % size] =
                                alphabet[next_random() % (sizeof(alphabet) - 1)];

                if (registry_parse(copy, size, &registry, &problem) != 0) {
                        ck_assert_ptr_nonnull(problem);
                        continue;
                }
                parsed++;
                ck_assert_uint_le(registry->n_names + registry->n_bad, 5);
                for (size_t i = 0; i < registry->n_names; i++) {
                        ck_assert(json_is_clean_name(registry->names[i], REGISTRY_NAME_MAX));
                        if (i > 0)
                                ck_assert_int_lt(strcmp(registry->names[i - 1],
                                                        registry->names[i]), 0);
                }
        }

        ck_assert_uint_gt(parsed, 2000);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry");
        TCase *tcase = tcase_create("registry");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, answers);
        tcase_add_test(tcase, no_answers);
        tcase_add_test(tcase, limit_of_servers);
        tcase_add_test(tcase, length_of_names);
        tcase_add_test(tcase, by_hand);
        tcase_add_test(tcase, differences);
        tcase_add_test(tcase, mutations);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
