/* SPDX-License-Identifier: Apache-2.0 */

/* model/workload.h: what a poll learns, what it leaves out, and how two polls differ. */

#include "model/workload.h"
#include "suite.h"

#include <check.h>
#include <string.h>
#include <time.h>

#define ENTRY(fields) "{\"workloads\":[{" fields "}]}"
/* An entry that is good, unless the fields added to it are not. */
#define X(fields) "{\"name\":\"x\",\"status\":\"running\"" fields "}"

static struct workload_list *parse_with(const char *body, const struct workload_filter *filter) {
        struct workload_list *list = NULL;
        const char *problem = "";

        int r = workload_list_parse(body, strlen(body), filter, &list, &problem);
        ck_assert_msg(r == 0, "%.200s: %s", body, problem);
        return list;
}

static struct workload_list *parse(const char *body) {
        return parse_with(body, NULL);
}

START_TEST(as_toolhive_answers) {
        static const char body[] =
                "{\"workloads\":["
                "{\"name\":\"everything\",\"package\":\"remote\",\"url\":\"http://127.0.0.1:17520/mcp\",\"port\":17520,"
                "\"transport_type\":\"streamable-http\",\"proxy_mode\":\"streamable-http\",\"status\":\"running\","
                "\"created_at\":\"2026-11-22T16:01:31.936815063Z\",\"labels\":{\"toolhive\":\"true\"},"
                "\"group\":\"default\",\"remote\":true,\"started_at\":\"0001-01-01T00:00:00Z\",\"tools\":[\"a\",\"b\"]},"
                "{\"name\":\"asleep\",\"status\":\"stopped\",\"port\":0}]}";
        _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

        ck_assert_uint_eq(list->n_items, 2);
        ck_assert_uint_eq(list->running, 1);
        ck_assert_uint_eq(list->skipped, 0);
        ck_assert_uint_eq(list->n_bad, 0);

        const struct workload *w = list->items[0];
        ck_assert_str_eq(w->name, "asleep");
        ck_assert_str_eq(w->status, "stopped");
        ck_assert_str_eq(w->group, "default");
        ck_assert_ptr_null(w->namespace);
        ck_assert_ptr_null(w->url);
        ck_assert_ptr_null(w->transport);
        ck_assert_ptr_null(w->package);
        ck_assert(!w->remote && !workload_is_running(w));

        w = list->items[1];
        ck_assert_str_eq(w->name, "everything");
        ck_assert_str_eq(w->url, "http://127.0.0.1:17520/mcp");
        ck_assert_str_eq(w->transport, "streamable-http");
        ck_assert_str_eq(w->package, "remote");
        ck_assert(w->remote && workload_is_running(w));
}
END_TEST

START_TEST(empty_lists) {
        static const char *const bodies[] = {
                "{\"workloads\":null}", "{\"workloads\":[]}", " { \"x\":1, \"workloads\" : [ ] } ",
                "{\"\\u0077orkloads\":null}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(workload_list_freep) struct workload_list *list = parse(bodies[i]);

                ck_assert_uint_eq(list->n_items + list->skipped + list->n_bad, 0);
        }
}
END_TEST

START_TEST(no_lists) {
        static const struct {
                const char *body, *problem;
        } rows[] = {
                { "", "an empty body" },
                { "{\"workloads\":[", "JSON that is cut short" },
                { "Internal Server Error\n", "not JSON" },
                { "null", "not a JSON object" },
                { "[]", "not a JSON object" },
                { "[{\"name\":\"a\",\"status\":\"running\"}]", "not a JSON object" },
                { "{}", "no \"workloads\"" },
                { "{\"Workloads\":[]}", "no \"workloads\"" },
                { "{\"workloads\":{}}", "\"workloads\" is no list" },
                { "{\"workloads\":\"\"}", "\"workloads\" is no list" },
                { "{\"workloads\":0}", "\"workloads\" is no list" },
                { "{\"workloads\":false}", "\"workloads\" is no list" },
                { "{\"workloads\":[],\"workloads\":[]}", "\"workloads\" twice" },
                { "{\"workloads\":null,\"workloads\":null}", "\"workloads\" twice" },
                { ENTRY("\"name\":\"a\\u0000b\",\"status\":\"running\""), "a NUL in a string" },
                { ENTRY("\"name\":\"\xC0\xAF\",\"status\":\"running\""), "invalid UTF-8" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                struct workload_list *list = NULL;
                const char *problem = NULL;

                ck_assert_int_eq(workload_list_parse(rows[i].body, strlen(rows[i].body), NULL, &list,
                                                     &problem), JSON_BAD);
                ck_assert_str_eq(problem, rows[i].problem);
                ck_assert_ptr_null(list);
        }
}
END_TEST

/* Each row between two good entries, which it must not cost. */
START_TEST(bad_entries) {
        static const struct {
                const char *entry, *name, *problem;
        } rows[] = {
                { "null", "#1", "not an object" },
                { "[]", "#1", "not an object" },
                { "\"x\"", "#1", "not an object" },
                { "{}", "#1", "no name" },
                { "{\"status\":\"running\"}", "#1", "no name" },
                { "{\"name\":null,\"status\":\"running\"}", "#1", "no name" },
                { "{\"name\":\"\",\"status\":\"running\"}", "#1", "no name" },
                { "{\"name\":5,\"status\":\"running\"}", "#1", "invalid name" },
                { "{\"name\":[\"x\"],\"status\":\"running\"}", "#1", "invalid name" },
                { "{\"name\":\"a\\nb\",\"status\":\"running\"}", "#1", "invalid name" },
                { "{\"name\":\"\\u001b[2J\",\"status\":\"running\"}", "#1", "invalid name" },
                { "{\"name\":\"\\u202e\",\"status\":\"running\"}", "#1", "invalid name" },
                { "{\"name\":\"x\",\"name\":\"y\",\"status\":\"running\"}", "#1", "a duplicate key" },
                { X(",\"status\":\"running\""), "x", "a duplicate key" },
                { X(",\"labels\":{\"a\":1,\"a\":1}"), "x", "a duplicate key" },
                { "{\"name\":\".\",\"status\":\"running\"}", ".", "invalid name" },
                { "{\"name\":\"..\",\"status\":\"running\"}", "..", "invalid name" },
                { "{\"name\":\"\\u002e\\u002E\",\"status\":\"running\"}", "..", "invalid name" },
                { "{\"name\":\"x\"}", "x", "no status" },
                { "{\"name\":\"x\",\"status\":null}", "x", "no status" },
                { "{\"name\":\"x\",\"status\":\"\"}", "x", "no status" },
                { "{\"name\":\"x\",\"status\":1}", "x", "invalid status" },
                { "{\"name\":\"x\",\"status\":\"run\\tning\"}", "x", "invalid status" },
                { X(",\"port\":-1"), "x", "invalid port" },
                { X(",\"port\":99999"), "x", "invalid port" },
                { X(",\"port\":65536"), "x", "invalid port" },
                { X(",\"port\":4294967376"), "x", "invalid port" },
                { X(",\"port\":99999999999999999999"), "x", "invalid port" },
                { X(",\"port\":8080.9"), "x", "invalid port" },
                { X(",\"port\":\"80\""), "x", "invalid port" },
                { X(",\"port\":true"), "x", "invalid port" },
                { X(",\"url\":7"), "x", "invalid url" },
                { X(",\"url\":\"http://a\\r\\nb\""), "x", "invalid url" },
                { X(",\"transport_type\":{}"), "x", "invalid transport_type" },
                { X(",\"group\":1"), "x", "invalid group" },
                { X(",\"group\":\"\\u0007\""), "x", "invalid group" },
                { X(",\"package\":[]"), "x", "invalid package" },
                { X(",\"remote\":\"true\""), "x", "invalid remote" },
                { X(",\"remote\":1"), "x", "invalid remote" },
                { "{\"name\":\"good 0\",\"status\":\"running\"}", "good 0", "the same name twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char body[512];

                snprintf(body, sizeof(body),
                         "{\"workloads\":[{\"name\":\"good 0\",\"status\":\"running\"},%s,"
                         "{\"name\":\"good 2\",\"status\":\"stopped\"}]}",
                         rows[i].entry);
                _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

                ck_assert_msg(list->n_items == 2 && list->running == 1, "%s", rows[i].entry);
                ck_assert_str_eq(list->items[0]->name, "good 0");
                ck_assert_str_eq(list->items[1]->name, "good 2");
                ck_assert_uint_eq(list->n_bad, 1);
                ck_assert_str_eq(list->bad[0].name, rows[i].name);
                ck_assert_str_eq(list->bad[0].problem, rows[i].problem);
        }
}
END_TEST

START_TEST(good_entries) {
        static const char *const entries[] = {
                X(""),
                X(",\"port\":null,\"url\":null,\"group\":null,\"remote\":null"),
                X(",\"url\":\"\",\"group\":\"\",\"package\":\"\",\"transport_type\":\"\""),
                X(",\"port\":65535"),
                "{\"na\\u006de\":\"\\u0078\",\"status\":\"\\u0072unning\"}",
                X(",\"tools\":null,\"labels\":{\"name\":\"y\",\"status\":1}"),
        };

        for (size_t i = 0; i < ELEMENTSOF(entries); i++) {
                char body[512];

                snprintf(body, sizeof(body), "{\"workloads\":[%s]}", entries[i]);
                _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

                ck_assert_msg(list->n_items == 1 && list->running == 1, "%s", entries[i]);
                ck_assert_str_eq(list->items[0]->name, "x");
                ck_assert_str_eq(list->items[0]->group, "default");
                ck_assert_ptr_null(list->items[0]->url);
        }

        /* words that ToolHive may come to use are kept as they are */
        _cleanup_(workload_list_freep) struct workload_list *list =
                parse(ENTRY("\"name\":\"x\",\"status\":\"hibernating\",\"transport_type\":\"carrier-pigeon\""));
        ck_assert_str_eq(list->items[0]->status, "hibernating");
        ck_assert_str_eq(list->items[0]->transport, "carrier-pigeon");
        ck_assert_uint_eq(list->running, 0);
}
END_TEST

START_TEST(lengths) {
        static const struct {
                const char *key;
                size_t max;
        } rows[] = {
                { "name", WORKLOAD_NAME_MAX }, { "status", 64 }, { "transport_type", 64 },
                { "group", 253 }, { "package", 1024 }, { "url", 2048 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t over = 0; over < 2; over++) {
                        char value[4096] = "", body[8192];

                        memset(value, 'v', rows[i].max + over);
                        snprintf(body, sizeof(body), ENTRY("\"%s\":\"%s\"%s%s"), rows[i].key, value,
                                 i == 0 ? "" : ",\"name\":\"x\"",
                                 i == 1 ? "" : ",\"status\":\"running\"");
                        _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

                        ck_assert_msg(list->n_items == 1 - over && list->n_bad == over, "%s",
                                      rows[i].key);
                }
}
END_TEST

/* The text of n entries: each its number between two pieces of text. */
static char *make_body(size_t n, const char *before, const char *after) {
        char *body = malloc(64 + n * (strlen(before) + strlen(after) + 16)), *end;

        ck_assert_ptr_nonnull(body);
        end = stpcpy(body, "{\"workloads\":[");
        for (size_t i = 0; i < n; i++)
                end += sprintf(end, "%s%s%zu%s", i > 0 ? "," : "", before, i, after);
        strcpy(end, "]}");
        return body;
}

START_TEST(many_bad_entries) {
        _cleanup_(freep) char *body = make_body(1000, "{\"name\":\"bad ", "\"}");
        _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

        ck_assert_uint_eq(list->n_items, 0);
        ck_assert_uint_eq(list->n_bad, 1000);
}
END_TEST

/* Which ones are named, and in which order, does not depend on the order in which they were sent. */
START_TEST(bad_entries_in_any_order) {
        /* By name, then by problem; seven more come after them. */
        static const struct {
                const char *entry, *name, *problem;
        } rows[] = {
                { "{\"name\":\"a\"}", "a", "no status" },
                { "{\"name\":\"b\",\"status\":1}", "b", "invalid status" },
                { "{\"name\":\"b\"}", "b", "no status" },
                { "{\"name\":\"b\"}", "b", "no status" },
                { "{\"name\":\"b 10\"}", "b 10", "no status" },
                { "{\"name\":\"b 9\"}", "b 9", "no status" },
                { "{\"name\":\"c\"}", "c", "no status" },
                { "{\"name\":\"d\"}", "d", "no status" },
                { "{\"name\":\"e\"}", "e", "no status" },
                { "{\"name\":\"f\"}", "f", "no status" },
                { "{\"name\":\"g\"}", NULL, NULL }, { "{\"name\":\"h\"}", NULL, NULL },
                { "{\"name\":\"i\"}", NULL, NULL }, { "{\"name\":\"j\"}", NULL, NULL },
                { "{\"name\":\"k\"}", NULL, NULL }, { "{\"name\":\"l\"}", NULL, NULL },
                { "{\"name\":\"m\"}", NULL, NULL },
        };

        /* 1, 2, …, 16 have no divisor in common with 17: each step makes another order. */
        for (size_t step = 1; step < ELEMENTSOF(rows); step++) {
                char body[1024], *end = stpcpy(body, "{\"workloads\":[");

                for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                        end += sprintf(end, "%s%s", i > 0 ? "," : "",
                                       rows[(i + 1) * step % ELEMENTSOF(rows)].entry);
                strcpy(end, "]}");
                _cleanup_(workload_list_freep) struct workload_list *list = parse(body);

                ck_assert_uint_eq(list->n_bad, ELEMENTSOF(rows));
                for (size_t i = 0; i < BAD_ENTRIES_NAMED; i++) {
                        ck_assert_str_eq(list->bad[i].name, rows[i].name);
                        ck_assert_str_eq(list->bad[i].problem, rows[i].problem);
                }
        }
}
END_TEST

START_TEST(limit_of_entries) {
        for (size_t over = 0; over < 2; over++) {
                _cleanup_(freep) char *body = make_body(WORKLOADS_MAX + over, "{\"name\":\"w",
                                                        "\",\"status\":\"running\"}");
                _cleanup_(workload_list_freep) struct workload_list *list = NULL;
                const char *problem = NULL;

                ck_assert_int_eq(workload_list_parse(body, strlen(body), NULL, &list, &problem),
                                 over ? JSON_BAD : 0);
                if (over)
                        ck_assert_str_eq(problem, "too many workloads");
                else
                        ck_assert_uint_eq(list->n_items, WORKLOADS_MAX);
        }

        /* entries that are bad count like the others */
        _cleanup_(freep) char *body = make_body(WORKLOADS_MAX + 1, "", "");
        struct workload_list *list;
        const char *problem;
        ck_assert_int_eq(workload_list_parse(body, strlen(body), NULL, &list, &problem), JSON_BAD);
}
END_TEST

/* An entry too large for a tree costs itself and nobody else, and no memory. */
START_TEST(large_entry) {
        size_t size = 3 << 20;
        char *body = malloc(size + 256), *end;

        ck_assert_ptr_nonnull(body);
        end = stpcpy(body, "{\"workloads\":[{\"name\":\"huge\",\"status\":\"running\",\"labels\":\"");
        memset(end, 'x', size);
        strcpy(end + size, "\"},{\"name\":\"small\",\"status\":\"running\"}]}");

        _cleanup_(workload_list_freep) struct workload_list *list = parse(body);
        free(body);
        ck_assert_uint_eq(list->n_items, 1);
        ck_assert_str_eq(list->items[0]->name, "small");
        ck_assert_uint_eq(list->n_bad, 1);
        ck_assert_str_eq(list->bad[0].name, "huge");
        ck_assert_str_eq(list->bad[0].problem, "too large");
}
END_TEST

START_TEST(filters) {
        static const char body[] =
                "{\"workloads\":["
                "{\"name\":\"a\",\"status\":\"running\",\"group\":\"dev\"},"
                "{\"name\":\"b\",\"status\":\"running\"},"
                "{\"name\":\"c\",\"status\":\"stopped\",\"group\":\"prod\"},"
                "{\"name\":\"inspector\",\"status\":\"running\",\"port\":-1},"
                "{\"name\":\"d\",\"status\":\"running\",\"group\":\"dev\",\"port\":-1}]}";
        char word_dev[] = "dev", word_prod[] = "prod", word_default[] = "default";
        char word_inspector[] = "inspector", word_upper[] = "A", word_b[] = "b", word_empty[] = "";
        char *dev[] = { word_dev, NULL }, *both[] = { word_prod, word_default, NULL };
        char *inspector[] = { word_inspector, NULL }, *none[] = { NULL };
        char *several[] = { word_inspector, word_upper, word_b, word_empty, NULL };
        const struct {
                struct workload_filter filter;
                size_t items, running, skipped, bad;
        } rows[] = {
                { { NULL, NULL }, 3, 2, 0, 2 },
                { { NULL, inspector }, 3, 2, 1, 1 },    /* what is skipped is not complained of */
                { { NULL, several }, 2, 1, 2, 1 },
                { { dev, inspector }, 1, 1, 3, 1 },
                { { both, NULL }, 2, 1, 1, 2 },
                { { none, none }, 0, 0, 3, 2 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                _cleanup_(workload_list_freep) struct workload_list *list =
                        parse_with(body, &rows[i].filter);

                ck_assert_msg(list->n_items == rows[i].items && list->running == rows[i].running &&
                              list->skipped == rows[i].skipped && list->n_bad == rows[i].bad,
                              "row %zu: %zu items, %zu running, %zu skipped, %zu bad", i, list->n_items,
                              list->running, list->skipped, list->n_bad);
        }
}
END_TEST

/* Which of two namesakes stays does not depend on the order in which they were sent. */
START_TEST(namesakes) {
        static const char *const bodies[] = {
                "{\"workloads\":[{\"name\":\"x\",\"status\":\"running\",\"url\":\"http://b\"},"
                "{\"name\":\"x\",\"status\":\"running\",\"url\":\"http://a\"},{\"name\":\"x\",\"status\":\"stopped\"}]}",
                "{\"workloads\":[{\"name\":\"x\",\"status\":\"stopped\"},"
                "{\"name\":\"x\",\"status\":\"running\",\"url\":\"http://a\"},"
                "{\"name\":\"x\",\"status\":\"running\",\"url\":\"http://b\"}]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(bodies); i++) {
                _cleanup_(workload_list_freep) struct workload_list *list = parse(bodies[i]);

                ck_assert_uint_eq(list->n_items, 1);
                ck_assert_uint_eq(list->running, 1);
                ck_assert_str_eq(list->items[0]->url, "http://a");
                ck_assert_uint_eq(list->n_bad, 2);
                ck_assert_str_eq(list->bad[1].name, "x");
        }
}
END_TEST

static struct workload *make(const char *namespace, const char *name, const char *status) {
        struct workload *workload = workload_new(&(struct workload) {
                .namespace = namespace, .name = name, .status = status, .url = "http://u" });

        ck_assert_ptr_nonnull(workload);
        return workload;
}

START_TEST(by_hand) {
        _cleanup_(workload_list_freep) struct workload_list *list = workload_list_new();

        ck_assert_ptr_nonnull(list);
        ck_assert_ptr_null(workload_list_find(list, NULL, "a"));
        for (unsigned i = 100; i > 0; i--) {
                char name[16];

                snprintf(name, sizeof(name), "w%03u", i);
                ck_assert_int_eq(workload_list_add(list, make(i % 2 ? "odd" : NULL, name,
                                                              i % 4 ? "running" : "stopped")), 0);
        }
        workload_list_sort(list);
        ck_assert_uint_eq(list->n_items, 100);
        ck_assert_uint_eq(list->running, 75);
        for (size_t i = 1; i < list->n_items; i++)
                ck_assert_int_lt(workload_compare(list->items[i - 1], list->items[i]), 0);
        ck_assert_str_eq(list->items[0]->name, "w002");         /* none before any namespace */
        ck_assert_str_eq(list->items[50]->name, "w001");

        ck_assert_str_eq(workload_list_find(list, "odd", "w077")->name, "w077");
        ck_assert_ptr_nonnull(workload_list_find(list, NULL, "w100"));
        ck_assert_ptr_null(workload_list_find(list, NULL, "w077"));
        ck_assert_ptr_null(workload_list_find(list, "even", "w077"));
        ck_assert_ptr_null(workload_list_find(list, "odd", "w0777"));

        ck_assert_ptr_eq(workload_list_find(list, NULL, "w002"), list->items[0]);
        workload_list_replace(list, 0, make(NULL, "w002", "stopped"));
        ck_assert_uint_eq(list->running, 74);
        workload_list_replace(list, 0, make(NULL, "w002", "running"));
        ck_assert_uint_eq(list->running, 75);
        ck_assert_str_eq(workload_list_find(list, NULL, "w002")->status, "running");
}
END_TEST

/* Lists share their workloads: each is freed with the last list that has it, in whatever order those end. */
START_TEST(shared) {
        struct workload *one = make("n", "a", "running");
        struct workload_list *first = workload_list_new(), *second = workload_list_new();
        size_t n = 0;

        ck_assert_uint_eq(one->references, 1);
        ck_assert_int_eq(workload_list_add(first, one), 0);
        ck_assert_ptr_eq(workload_ref(one), one);
        ck_assert_int_eq(workload_list_add(second, one), 0);
        ck_assert_uint_eq(one->references, 2);
        ck_assert_int_eq(workload_list_add(second, workload_ref(one)), 0);
        ck_assert_int_eq(workload_list_settle(second), 0);      /* the same one twice */
        ck_assert_uint_eq(second->n_items, 1);
        ck_assert_uint_eq(second->running, 1);
        ck_assert_uint_eq(second->n_bad, 1);
        ck_assert_uint_eq(one->references, 2);
        ck_assert(workload_equal(first->items[0], second->items[0]));
        n = workload_list_diff(first, second, NULL, NULL);
        ck_assert_uint_eq(n, 0);

        (void) workload_list_free(first);
        ck_assert_uint_eq(one->references, 1);
        ck_assert_str_eq(second->items[0]->name, "a");
        workload_list_replace(second, 0, make("n", "a", "stopped"));
        ck_assert_uint_eq(second->running, 0);
        (void) workload_list_free(second);
}
END_TEST

/* Of different keys, and of the same with a difference that a reader sees. */
START_TEST(equal) {
        static const struct workload base = { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "t",
                                              .group = "g", .package = "p" };
        static const struct {
                struct workload workload;
                bool equal;
        } rows[] = {
                { { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "t", .group = "g",
                    .package = "p", .references = 7 }, true },
                { { .namespace = "m", .name = "a", .status = "running", .url = "u", .transport = "t", .group = "g",
                    .package = "p" }, false },
                { { .name = "a", .status = "running", .url = "u", .transport = "t", .group = "g", .package = "p" }, false },
                { { .namespace = "n", .name = "b", .status = "running", .url = "u", .transport = "t", .group = "g",
                    .package = "p" }, false },
                { { .namespace = "n", .name = "a", .status = "failed", .url = "u", .transport = "t", .group = "g",
                    .package = "p" }, false },
                { { .namespace = "n", .name = "a", .status = "running", .url = NULL, .transport = "t", .group = "g",
                    .package = "p" }, false },
                { { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "s", .group = "g",
                    .package = "p" }, false },
                { { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "t", .group = "h",
                    .package = "p" }, false },
                { { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "t", .group = "g" }, false },
                { { .namespace = "n", .name = "a", .status = "running", .url = "u", .transport = "t", .group = "g",
                    .package = "p", .remote = true }, false },
        };

        ck_assert(workload_equal(&base, &base));
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_int_eq(workload_equal(&base, &rows[i].workload), rows[i].equal);
}
END_TEST

static void write_down(enum workload_change change, const struct workload *old,
                       const struct workload *new, void *user) {
        char *line = user;

        ck_assert_int_eq(old != NULL, change != WORKLOAD_ADDED);
        ck_assert_int_eq(new != NULL, change != WORKLOAD_REMOVED);
        strcat(line, change == WORKLOAD_ADDED ? " +" : change == WORKLOAD_REMOVED ? " -" : " *");
        strcat(line, old ? old->name : new->name);
}

#define A(fields) "{\"name\":\"a\",\"status\":\"running\"" fields "}"
#define OTHER(name) "{\"name\":\"" name "\",\"status\":\"stopped\"}"

START_TEST(differences) {
        static const struct {
                const char *old, *new, *expected;
        } rows[] = {
                { "", "", "" },
                { A(""), A(""), "" },
                { "", A("") "," OTHER("b"), " +a +b" },
                { A("") "," OTHER("b"), "", " -a -b" },
                { OTHER("c") "," A("") "," OTHER("e"), OTHER("d") "," A("") "," OTHER("b"),
                  " +b -c +d -e" },
                { A(""), OTHER("a"), " *a" },
                { A(",\"url\":\"http://1\""), A(",\"url\":\"http://2\""), " *a" },
                { A(""), A(",\"url\":\"http://2\""), " *a" },
                { A(",\"url\":\"http://1\""), A(""), " *a" },
                { A(",\"group\":\"x\""), A(""), " *a" },
                { A(",\"group\":\"default\""), A(""), "" },
                { A(",\"package\":\"x\""), A(",\"package\":\"y\""), " *a" },
                { A(",\"transport_type\":\"sse\""), A(",\"transport_type\":\"stdio\""), " *a" },
                { A(",\"remote\":true"), A(""), " *a" },
                { A(",\"remote\":false"), A(""), "" },
                { A(",\"port\":1,\"tools\":[]"), A(",\"port\":2"), "" },      /* not shown */
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char old_body[512], new_body[512], line[64] = "";
                size_t n, expected = 0;

                snprintf(old_body, sizeof(old_body), "{\"workloads\":[%s]}", rows[i].old);
                snprintf(new_body, sizeof(new_body), "{\"workloads\":[%s]}", rows[i].new);
                _cleanup_(workload_list_freep) struct workload_list *old = parse(old_body);
                _cleanup_(workload_list_freep) struct workload_list *new = parse(new_body);

                n = workload_list_diff(old, new, write_down, line);
                ck_assert_str_eq(line, rows[i].expected);
                for (const char *c = line; *c; c++)
                        expected += *c == ' ';
                ck_assert_uint_eq(n, expected);
        }
}
END_TEST

START_TEST(difference_from_nothing) {
        _cleanup_(workload_list_freep) struct workload_list *list = parse("{\"workloads\":[" A("") "]}");
        char line[64] = "";

        ck_assert_uint_eq(workload_list_diff(NULL, list, write_down, line), 1);
        ck_assert_uint_eq(workload_list_diff(list, NULL, write_down, line), 1);
        ck_assert_uint_eq(workload_list_diff(NULL, NULL, write_down, line), 0);
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

static void seed(void) {
        const char *given = getenv("TEST_SEED");

        random_state = given ? strtoull(given, NULL, 10) : (uint64_t) time(NULL);
        random_state = random_state ?: 1;
        printf("TEST_SEED=%llu\n", (unsigned long long) random_state);
        fflush(stdout);
}

/* What callers rely on, whatever was sent. */
static void check_promises(const struct workload_list *list) {
        size_t running = 0;

        for (size_t i = 0; i < list->n_items; i++) {
                const struct workload *w = list->items[i];

                ck_assert(json_is_clean_name(w->name, WORKLOAD_NAME_MAX));
                ck_assert(json_is_clean_name(w->status, 64));
                ck_assert(json_is_clean_name(w->group, 253));
                ck_assert(!w->url || json_is_clean_name(w->url, 2048));
                if (i > 0)
                        ck_assert_int_lt(workload_compare(list->items[i - 1], w), 0);
                running += workload_is_running(w);
        }
        ck_assert_uint_eq(list->running, running);
        for (size_t i = 0; i < list->n_bad && i < BAD_ENTRIES_NAMED; i++) {
                ck_assert(json_is_clean_name(list->bad[i].name, WORKLOAD_NAME_MAX));
                ck_assert_ptr_nonnull(list->bad[i].problem);
        }
}

START_TEST(mutations) {
        static const char body[] =
                "{\"workloads\":[{\"name\":\"a1\",\"status\":\"running\",\"port\":8080,\"url\":\"http://u\",\"group\":\"g\"},"
                "{\"name\":\"a2\",\"status\":\"stopped\",\"remote\":true,\"labels\":{\"name\":\"x\",\"y\":null}},"
                "{\"name\":\"a3\",\"status\":\"error\",\"package\":\"remote\",\"transport_type\":\"sse\"}]}";
        static const char alphabet[] = "{}[]\",:\\u01239ant-. \n\x1b\x7f\xC2\x85\xE2\x80\xAE";
        size_t parsed = 0, with_bad = 0;

        seed();
        for (unsigned round = 0; round < 20000; round++) {
                size_t size = sizeof(body) - 1;
                _cleanup_(freep) char *copy = malloc(size);     /* the exact size: no NUL behind */
                _cleanup_(workload_list_freep) struct workload_list *list = NULL;
                const char *problem = NULL;

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, body, size);
                for (uint64_t n = 1 + next_random() % 3; n > 0; n--)
                        copy[next_random() % size] =
                                alphabet[next_random() % (sizeof(alphabet) - 1)];

                if (workload_list_parse(copy, size, NULL, &list, &problem) != 0) {
                        ck_assert_ptr_nonnull(problem);
                        continue;
                }
                check_promises(list);
                ck_assert_uint_eq(list->skipped, 0);
                parsed++;
                with_bad += list->n_bad > 0;
        }

        ck_assert_uint_gt(parsed, 2000);
        ck_assert_uint_gt(with_bad, 200);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("workload");
        TCase *tcase = tcase_create("workload");

        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, as_toolhive_answers);
        tcase_add_test(tcase, empty_lists);
        tcase_add_test(tcase, no_lists);
        tcase_add_test(tcase, bad_entries);
        tcase_add_test(tcase, good_entries);
        tcase_add_test(tcase, lengths);
        tcase_add_test(tcase, many_bad_entries);
        tcase_add_test(tcase, bad_entries_in_any_order);
        tcase_add_test(tcase, limit_of_entries);
        tcase_add_test(tcase, large_entry);
        tcase_add_test(tcase, filters);
        tcase_add_test(tcase, namesakes);
        tcase_add_test(tcase, by_hand);
        tcase_add_test(tcase, shared);
        tcase_add_test(tcase, equal);
        tcase_add_test(tcase, differences);
        tcase_add_test(tcase, difference_from_nothing);
        tcase_add_test(tcase, mutations);
        suite_add_tcase(suite, tcase);

        return suite_run(suite);
}
