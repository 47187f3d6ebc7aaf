/* SPDX-License-Identifier: Apache-2.0 */

/* model/registry_entry.h: what is taken of a server of the registry, and of all of them. */

#include <check.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "model/registry.h"
#include "model/registry_entry.h"
#include "suite.h"

static struct json_object *tree(const char *text) {
        struct json_object *object = json_tokener_parse(text);

        ck_assert_msg(object, "%s", text);
        return object;
}

static struct registry_entry *parse(const char *text, bool remote) {
        _cleanup_(json_object_putp) struct json_object *object = tree(text);
        struct registry_entry *entry = NULL;
        const char *problem = "";
        int r = registry_entry_parse(object, NULL, remote, &entry, &problem);

        ck_assert_msg(r == 0, "%s: %s", text, problem);
        return entry;
}

/* All of an entry on one line, absent parts left out. */
static const char *line_of(const struct registry_entry *entry) {
        static struct text line;
        const char *const strings[] = { entry->name, entry->title, entry->description, entry->tier, entry->status,
                                        entry->transport, entry->image, entry->url, entry->repository_url };
        char *const *const lists[] = { entry->tools, entry->tags, entry->args };

        text_clear(&line);
        text_addf(&line, "%s %d", entry->remote ? "remote" : "local", entry->target_port);
        for (size_t i = 0; i < ELEMENTSOF(strings); i++)
                if (strings[i])
                        text_addf(&line, " %zu:%s", i, strings[i]);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (char *const *item = lists[i]; item && *item; item++)
                        text_addf(&line, " %c:%s", "TGA"[i], *item);
        for (size_t i = 0; i < entry->n_env_vars + entry->n_headers; i++) {
                const struct registry_setting *setting = i < entry->n_env_vars ? &entry->env_vars[i]
                                                       : &entry->headers[i - entry->n_env_vars];

                text_addf(&line, " %c(%s", i < entry->n_env_vars ? 'E' : 'H', setting->name);
                text_addf(&line, "%s%s", setting->required ? " required" : "", setting->secret ? " secret" : "");
                text_addf(&line, "%s%s", setting->default_value ? " =" : "", setting->default_value ?: "");
                text_addf(&line, "%s%s)", setting->description ? " " : "", setting->description ?: "");
        }
        ck_assert_int_eq(text_error(&line), 0);
        return line.data;
}

START_TEST(entries) {
        static const struct {
                const char *text, *line;
                bool remote;
        } rows[] = {
                { "{\"name\":\"fetch\",\"title\":\"Fetch\",\"description\":\"Fetches pages\",\"tier\":\"Official\","
                  "\"status\":\"Active\",\"transport\":\"streamable-http\",\"tools\":[\"fetch\",\"raw\"],"
                  "\"metadata\":{\"stars\":1},\"repository_url\":\"https://x/y\",\"tags\":[\"web\"],"
                  "\"image\":\"ghcr.io/x/fetch:1\",\"target_port\":8080,\"permissions\":{},"
                  "\"env_vars\":[{\"name\":\"TOKEN\",\"description\":\"For it\",\"required\":true,\"secret\":true},"
                  "{\"name\":\"URL\",\"required\":false,\"default\":\"https://z\"}],\"args\":[\"-v\",\"\"]}",
                  "local 8080 0:fetch 1:Fetch 2:Fetches pages 3:Official 4:Active 5:streamable-http "
                  "6:ghcr.io/x/fetch:1 8:https://x/y T:fetch T:raw G:web A:-v A: E(TOKEN required secret For it) "
                  "E(URL =https://z)", false },
                { "{\"name\":\"io.github.x/r\",\"url\":\"https://r/mcp\",\"image\":\"none\",\"headers\":["
                  "{\"name\":\"X-API-Key\",\"required\":true,\"secret\":true,\"description\":\"Key\"}]}",
                  "remote 0 0:io.github.x/r 7:https://r/mcp H(X-API-Key required secret Key)", true },
                { "{\"name\":\"a\",\"url\":\"https://r\"}", "local 0 0:a", false },
                /* another type is none, and null is none */
                { "{\"name\":\"a\",\"title\":1,\"description\":[],\"tier\":{},\"status\":true,\"transport\":null,"
                  "\"image\":7,\"repository_url\":false,\"target_port\":\"80\",\"tools\":\"x\",\"tags\":{},\"args\":3,"
                  "\"env_vars\":{},\"headers\":\"h\"}", "local 0 0:a", false },
                { "{\"name\":\"a\",\"target_port\":0}", "local 0 0:a", false },
                { "{\"name\":\"a\",\"target_port\":65536}", "local 0 0:a", false },
                /* nor is what could not be shown */
                { "{\"name\":\"a\",\"image\":\"x\\u001b[2J\",\"tier\":\"\\n\",\"tools\":[\"ok\",\"\\u0007\",1,null,\"\"],"
                  "\"tags\":[\"\\u202e\",\"fine\"]}", "local 0 0:a T:ok G:fine", false },
                /* prose is one harmless line */
                { "{\"name\":\"a\",\"description\":\"  one\\r\\n\\ttwo \\u001b[31mthree\\u2028 \"}",
                  "local 0 0:a 2:one two \uFFFD[31mthree\uFFFD", false },
                { "{\"name\":\"a\",\"title\":\" \\n\",\"description\":\"\"}", "local 0 0:a", false },
                /* settings without a name that can be given are none; the others stay */
                { "{\"name\":\"a\",\"env_vars\":[null,7,{},{\"name\":3},{\"name\":\"\"},{\"name\":\"A B\"},{\"name\":\"A;B\"},"
                  "{\"name\":\"$(x)\"},{\"name\":\"OK\",\"required\":1,\"secret\":\"yes\",\"default\":\"\"}]}",
                  "local 0 0:a E(OK)", false },
                { "{\"name\":\"a\",\"env_vars\":[{\"name\":\"K\",\"default\":\"1\"},{\"name\":\"K\",\"default\":\"2\"},"
                  "{\"name\":\"k\"}],\"headers\":[{\"name\":\"X-K\"},{\"name\":\"x-k\",\"required\":true}]}",
                  "local 0 0:a E(K =1) E(k) H(X-K)", false },
                { "{\"name\":\"a\",\"env_vars\":[{\"name\":\"K\",\"default\":\"two\\nlines\",\"required\":true}]}",
                  "local 0 0:a E(K required =two\nlines)", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(registry_entry_freep) struct registry_entry *entry = parse(rows[i].text, rows[i].remote);

                ck_assert_str_eq(line_of(entry), rows[i].line);
        }
}
END_TEST

START_TEST(no_entries) {
        static const struct {
                const char *text, *problem;
        } rows[] = {
                { "{}", "no name" },
                { "{\"name\":null}", "no name" },
                { "{\"name\":5}", "no name" },
                { "{\"name\":\"\"}", "invalid name" },
                { "{\"name\":\"a\\u001bb\"}", "invalid name" },
                /* one argument less would be another program */
                { "{\"name\":\"a\",\"args\":[\"--read-only\",7]}", "invalid args" },
                { "{\"name\":\"a\",\"args\":[null]}", "invalid args" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_object_putp) struct json_object *object = tree(rows[i].text);
                struct registry_entry *entry = NULL;
                const char *problem = "";

                ck_assert_int_eq(registry_entry_parse(object, NULL, false, &entry, &problem), JSON_BAD);
                ck_assert_str_eq(problem, rows[i].problem);
                ck_assert_ptr_null(entry);
        }
}
END_TEST

/* The text of one member of so many bytes. */
static const char *entry_with(const char *key, const char *before, size_t size, const char *after) {
        static struct text text;

        text_clear(&text);
        text_addf(&text, "{\"name\":\"a\",\"%s\":%s\"", key, before);
        for (size_t i = 0; i < size; i++)
                text_add(&text, "x");
        text_addf(&text, "\"%s}", after);
        ck_assert_int_eq(text_error(&text), 0);
        return text.data;
}

START_TEST(limits) {
        _cleanup_(json_object_putp) struct json_object *too_long = tree(entry_with("args", "[", 32769, "]"));
        struct registry_entry *entry;
        const char *problem;
        char name[REGISTRY_NAME_MAX + 2];

        entry = parse(entry_with("image", "", 1024, ""), false);
        ck_assert_uint_eq(strlen(entry->image), 1024);
        registry_entry_free(entry);
        entry = parse(entry_with("image", "", 1025, ""), false);
        ck_assert_ptr_null(entry->image);
        registry_entry_free(entry);

        /* Prose is cut, and says so. */
        entry = parse(entry_with("description", "", 2048, ""), false);
        ck_assert_uint_eq(strlen(entry->description), 2048);
        registry_entry_free(entry);
        entry = parse(entry_with("description", "", 5000, ""), false);
        ck_assert_uint_eq(strlen(entry->description), 2048 + strlen("…"));
        ck_assert_str_eq(entry->description + 2048, "…");
        registry_entry_free(entry);

        /* A default and an argument are whole or not there. */
        entry = parse(entry_with("env_vars", "[{\"name\":\"K\",\"default\":", 32768, "}]"), false);
        ck_assert_uint_eq(strlen(entry->env_vars[0].default_value), 32768);
        registry_entry_free(entry);
        entry = parse(entry_with("env_vars", "[{\"name\":\"K\",\"default\":", 32769, "}]"), false);
        ck_assert_ptr_null(entry->env_vars[0].default_value);
        registry_entry_free(entry);
        ck_assert_int_eq(registry_entry_parse(too_long, NULL, false, &entry, &problem), JSON_BAD);

        memset(name, 'n', sizeof name);
        name[REGISTRY_NAME_MAX + 1] = '\0';
        ck_assert_int_eq(registry_entry_parse(too_long, name, false, &entry, &problem), JSON_BAD);
        ck_assert_str_eq(problem, "invalid name");
}
END_TEST

START_TEST(answers) {
        static const struct {
                const char *text, *line;
        } rows[] = {
                { "{\"server\":{\"name\":\"a\",\"image\":\"i\"},\"is_remote\":false}", "local 0 0:a 6:i" },
                { "{\"remote_server\":{\"name\":\"a\",\"url\":\"https://u\"},\"is_remote\":true}",
                  "remote 0 0:a 7:https://u" },
                { "{\"server\":null,\"remote_server\":{\"name\":\"a\"}}", "remote 0 0:a" },
                { "{\"server\":[],\"is_remote\":false}", NULL },
                { "{\"server\":{}}", NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(json_object_putp) struct json_object *object = tree(rows[i].text);
                _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
                const char *problem = NULL;
                int r = registry_entry_parse_answer(object, &entry, &problem);

                ck_assert_int_eq(r, rows[i].line ? 0 : JSON_BAD);
                if (rows[i].line)
                        ck_assert_str_eq(line_of(entry), rows[i].line);
                else
                        ck_assert_ptr_nonnull(problem);
        }
}
END_TEST

/* ---- all of them ---- */

START_TEST(catalogs) {
        static const struct {
                const char *body, *names, *last_updated;
                size_t bad;
        } rows[] = {
                { "{\"last_updated\":\"top\",\"registry\":{\"last_updated\":\"inner\",\"servers\":{"
                  "\"b\":{\"name\":\"other\"},\"a\":{}},\"remote_servers\":{\"c\":{\"url\":\"https://c\"}}}}",
                  "a b c*", "inner", 0 },
                { "{\"registry\":{}}", "", NULL, 0 },
                { "{\"last_updated\":\"top\",\"registry\":{\"servers\":null}}", "", "top", 0 },
                /* of two with one name the local one can be had */
                { "{\"registry\":{\"servers\":{\"x\":{}},\"remote_servers\":{\"x\":{},\"y\":{}}}}", "x y*", NULL, 0 },
                { "{\"registry\":{\"servers\":{\"x\":{\"title\":\"1\"},\"x\":{\"title\":\"2\"}}}}", "x", NULL, 0 },
                /* bad ones are counted and cost no other */
                { "{\"registry\":{\"servers\":{\"a\":{},\"b\":[],\"c\":null,\"\":{},\"d\\n\":{},\"e\":{\"args\":[1]},"
                  "\"f\":{\"image\":\"1\",\"image\":\"2\"},\"g\":{}}}}", "a g", NULL, 6 },
                { "{\"registry\":{\"servers\":{\"io.x\\/y\":{},\"\\u0061\":{}}}}", "a io.x/y", NULL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(registry_catalog_freep) struct registry_catalog *catalog = NULL;
                const char *problem = "";
                char names[256] = "";

                ck_assert_msg(registry_catalog_parse(rows[i].body, strlen(rows[i].body), &catalog, &problem) == 0,
                              "%s: %s", rows[i].body, problem);
                for (size_t j = 0; j < catalog->n_entries; j++) {
                        strcat(names, j > 0 ? " " : "");
                        strcat(names, catalog->entries[j]->name);
                        strcat(names, catalog->entries[j]->remote ? "*" : "");
                }
                ck_assert_str_eq(names, rows[i].names);
                ck_assert_pstr_eq(catalog->last_updated, rows[i].last_updated);
                ck_assert_uint_eq(catalog->n_bad, rows[i].bad);
        }
}
END_TEST

START_TEST(no_catalogs) {
        static const struct {
                const char *body, *problem;
        } rows[] = {
                { "", "an empty body" },
                { "{\"registry\":{\"servers\":{", "JSON that is cut short" },
                { "[]", "not a JSON object" },
                { "{\"registry\":7}", "no \"registry\"" },
                { "{\"registry\":{\"servers\":[]}}", "\"servers\" is no map" },
                { "{\"registry\":{\"servers\":{},\"servers\":{}}}", "\"servers\" twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct registry_catalog *catalog = NULL;
                const char *problem = "";

                ck_assert_int_eq(registry_catalog_parse(rows[i].body, strlen(rows[i].body), &catalog, &problem),
                                 JSON_BAD);
                ck_assert_str_eq(problem, rows[i].problem);
                ck_assert_ptr_null(catalog);
        }
}
END_TEST

START_TEST(as_many_as_allowed) {
        for (size_t more = 0; more < 2; more++) {
                _cleanup_(registry_catalog_freep) struct registry_catalog *catalog = NULL;
                _cleanup_text_ struct text body = TEXT_INIT;
                const char *problem = "";
                int r;

                text_add(&body, "{\"registry\":{\"servers\":{");
                for (size_t i = 0; i < REGISTRY_SERVERS_MAX + more; i++)
                        text_addf(&body, "%s\"s%05zu\":{\"description\":\"d\"}", i > 0 ? "," : "", i);
                text_add(&body, "}}}");
                ck_assert_int_eq(text_error(&body), 0);

                r = registry_catalog_parse(body.data, body.size, &catalog, &problem);
                ck_assert_int_eq(r, more ? JSON_BAD : 0);
                if (more)
                        ck_assert_str_eq(problem, "too many servers");
                else
                        ck_assert_uint_eq(catalog->n_entries, REGISTRY_SERVERS_MAX);
        }
}
END_TEST

START_TEST(searching) {
        static const struct {
                const char *word;
                bool found;
        } rows[] = {
                { "fetch", true }, { "FETCH", true }, { "etc", true }, { "the web", true }, { "Web Pages", true },
                { "crawler", true }, { "title!", true }, { "stacklok/f", true }, { "stacklok", false }, { "io.", false }, { "", true }, { "fetcher", false },
                { "official", false }, { "tool-name", false }, { "web  page", false },
        };
        _cleanup_(registry_entry_freep) struct registry_entry *entry = parse(
                "{\"name\":\"io.stacklok/fetch\",\"title\":\"The Title!\",\"description\":\"Reads web pages of the web\","
                "\"tier\":\"Official\",\"tags\":[\"http\",\"crawler\"],\"tools\":[\"tool-name\"]}", false);
        _cleanup_(registry_entry_freep) struct registry_entry *bare = parse("{\"name\":\"x\"}", false);

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_msg(registry_entry_matches(entry, rows[i].word) == rows[i].found, "%s", rows[i].word);
        ck_assert(registry_entry_matches(bare, "X"));
        ck_assert(!registry_entry_matches(bare, "y"));
}
END_TEST

/* Whatever stands where an entry should: never a crash, never a string that could not be shown. */
START_TEST(random_values) {
        static const char *const keys[] = { "name", "title", "description", "image", "tools", "args", "env_vars",
                                            "headers", "target_port", "tags", "required", "default" };
        static const char *const values[] = { "null", "true", "0", "-1", "1e9", "\"\"", "\"x\"", "\"\\u001b]0;x\\u0007\"",
                                              "\"\\u202e\"", "[]", "{}", "[null,\"y\",[\"z\"]]", "[{\"name\":\"K\"}]",
                                              "[{\"name\":{},\"default\":[]}]", "{\"name\":\"n\"}", "[[[]]]" };
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL);

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (size_t round = 0; round < 20000; round++) {
                _cleanup_(json_object_putp) struct json_object *object = NULL;
                _cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
                _cleanup_text_ struct text text = TEXT_INIT;
                const char *problem;

                text_add(&text, "{");
                for (size_t i = 0; i < 6; i++)
                        text_addf(&text, "%s\"%s\":%s", i > 0 ? "," : "", keys[(size_t) random() % ELEMENTSOF(keys)],
                                  values[(size_t) random() % ELEMENTSOF(values)]);
                text_add(&text, "}");
                object = tree(text.data);
                if (registry_entry_parse(object, random() % 2 ? "given" : NULL, random() % 2, &entry, &problem) == 0)
                        ck_assert_msg(!strpbrk(line_of(entry), "\x1b\x07\n"), "%s", text.data);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("registry entries");
        TCase *tests = tcase_create("registry entries");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, entries);
        tcase_add_test(tests, no_entries);
        tcase_add_test(tests, limits);
        tcase_add_test(tests, answers);
        tcase_add_test(tests, catalogs);
        tcase_add_test(tests, no_catalogs);
        tcase_add_test(tests, as_many_as_allowed);
        tcase_add_test(tests, searching);
        tcase_add_test(tests, random_values);
        suite_add_tcase(suite, tests);
        return suite_run(suite);
}
