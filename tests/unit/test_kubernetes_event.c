/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a watch tells, without the watch: lines come as a stream hands them out, and
 * the store is looked at. How watches live is in test_kubernetes_watch.c.
 */

#include <check.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "source/kubernetes_watch.h"
#include "suite.h"
#include "virtual.h"

static struct virtual_waiter v;
static struct kubernetes kubernetes;
static struct listed *listed;
static struct watch *watch;

static void put(const char *name, const char *status) {
        struct resource_object object = {};
        bool changed;

        object.workload = workload_new(&(struct workload) {
                .namespace = "n", .name = name, .status = status, .group = "default" });
        ck_assert_ptr_nonnull(object.workload);
        ck_assert_int_eq(resource_store_put(&listed->store, &object, &changed), 0);
}

/* Listed as of 100: x runs. */
static void begin(void) {
        watch_free(watch);
        resource_store_clear(&listed->store);
        strcpy(listed->resource_version, "100");
        ck_assert_int_eq(watch_new(&kubernetes, listed, &watch), 0);
        strcpy(watch->told, "100");
        watch->answered = true;
        put("x", "running");
}

static void setup(void) {
        virtual_init(&v);
        kubernetes = (struct kubernetes) { .source.waiter = &v.waiter };
        listed = &kubernetes.listed[RESOURCE_SERVER];
        listed->known = true;
        begin();
}

static void teardown(void) {
        watch = watch_free(watch);
        resource_store_clear(&listed->store);
}

static bool tell(const char *text) {
        return watch_receive(text, strlen(text), watch);
}

/* "x:running y:pending z!invalid url" */
static const char *stored(void) {
        static char text[1024];
        size_t size = 0;

        text[0] = '\0';
        for (size_t i = 0; i < listed->store.n_items; i++) {
                const struct resource_item *item = &listed->store.items[i];

                size += (size_t) snprintf(text + size, sizeof text - size, "%s%s%s%s", i > 0 ? " " : "",
                                          item->workload->name,
                                          item->problem ? "!" : ":", item->problem ?: item->workload->status);
        }
        return text;
}

/* ---- versions ---- */

START_TEST(newer_versions) {
        static const struct {
                const char *version, *than;
                bool newer;
        } rows[] = {
                { "2", "1", true }, { "1", "2", false }, { "1", "1", false }, { "10", "9", true }, { "9", "10", false },
                { "100", "99", true }, { "099", "100", false }, { "0100", "99", true }, { "00", "0", false },
                { "0", "00", false }, { "1", "0", true }, { "007", "7", false }, { "7", "007", false },
                { "8", "007", true },
                { "18446744073709551616", "18446744073709551615", true },
                { "18446744073709551615", "18446744073709551616", false },
                { "340282366920938463463374607431768211456", "340282366920938463463374607431768211455", true },
                { "0000000000000000000000000000000000000000000000000000000000002", "10", false },
                /* Where one is no number there is no order: rather once more than not at all. */
                { "a", "b", true }, { "b", "a", true }, { "a", "a", true }, { "", "1", true }, { "1", "", true },
                { "1a", "2", true }, { "1", "2a", true }, { "-1", "2", true }, { " 1", "2", true },
                { "1.0", "2", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                ck_assert_msg(watch_is_newer(rows[i].version, rows[i].than) == rows[i].newer, "\"%s\" than \"%s\"",
                              rows[i].version, rows[i].than);
}
END_TEST

/* ---- one line ---- */

#define OBJECT(name, version, phase) \
        "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"resourceVersion\":\"" version "\"}," \
        "\"status\":{\"phase\":\"" phase "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version) \
        EVENT("BOOKMARK", "{\"kind\":\"MCPServer\",\"metadata\":{\"resourceVersion\":\"" version "\"}}")
#define FAILURE(code) EVENT("ERROR", "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":" code "}")

static const struct {
        const char *line;
        const char *store;
        bool changed;
        const char *told, *version;
} events[] = {
        { EVENT("ADDED", OBJECT("y", "101", "Pending")), "x:running y:pending", true, "101", "101" },
        { EVENT("ADDED", OBJECT("a", "101", "Ready")), "a:running x:running", true, "101", "101" },
        { EVENT("ADDED", OBJECT("x", "101", "Failed")), "x:failed", true, "101", "101" },
        { EVENT("MODIFIED", OBJECT("x", "101", "Failed")), "x:failed", true, "101", "101" },
        { EVENT("MODIFIED", OBJECT("y", "101", "Failed")), "x:running y:failed", true, "101", "101" },
        { EVENT("DELETED", OBJECT("x", "101", "Ready")), "", true, "101", "101" },
        /* What is nothing new to a reader is no change, and moves the version on. */
        { EVENT("MODIFIED", OBJECT("x", "101", "Ready")), "x:running", false, "101", "101" },
        { EVENT("DELETED", OBJECT("y", "101", "Ready")), "x:running", false, "101", "101" },
        { BOOKMARK("101"), "x:running", false, "101", "101" },
        { BOOKMARK("1000"), "x:running", false, "1000", "1000" },
        { EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"150\",\"annotations\":{\"a\":\"b\"}}}"), "x:running",
          false, "150", "150" },
        { EVENT("NOVELTY", OBJECT("x", "101", "Failed")), "x:running", false, "101", "101" },
        /* Not newer than the list: told late, and known already. */
        { EVENT("MODIFIED", OBJECT("x", "100", "Failed")), "x:running", false, "100", "100" },
        { EVENT("MODIFIED", OBJECT("x", "99", "Failed")), "x:running", false, "99", "100" },
        { EVENT("DELETED", OBJECT("x", "099", "Ready")), "x:running", false, "099", "100" },
        { EVENT("ADDED", OBJECT("y", "9", "Ready")), "x:running", false, "9", "100" },
        { BOOKMARK("99"), "x:running", false, "99", "100" },
        /* Versions that are no numbers say nothing, and all that is told is taken. */
        { EVENT("MODIFIED", OBJECT("x", "opaque", "Failed")), "x:failed", true, "opaque", "opaque" },
        { EVENT("MODIFIED", "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\"},\"status\":{\"phase\":\"Failed\"}}"),
          "x:failed", true, "100", "100" },
        { EVENT("BOOKMARK", "{}"), "x:running", false, "100", "100" },
        { EVENT("BOOKMARK", "{\"metadata\":null}"), "x:running", false, "100", "100" },
        { EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":101}}"), "x:running", false, "100", "100" },
        /* An object that makes no sense has its place; one without a name has none. */
        { EVENT("MODIFIED", "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"resourceVersion\":\"101\"},"
                            "\"spec\":[]}"),
          "x!invalid spec", true, "101", "101" },
        { EVENT("DELETED", "{\"metadata\":{\"name\":\"x\",\"namespace\":\"n\",\"resourceVersion\":\"101\"},"
                           "\"spec\":[]}"),
          "", true, "101", "101" },
        { EVENT("ADDED", OBJECT("..", "101", "Ready")), "x:running", false, "101", "101" },
        { EVENT("ADDED", "{\"metadata\":{\"resourceVersion\":\"101\"}}"), "x:running", false, "101", "101" },
        { EVENT("ADDED", "{}"), "x:running", false, "100", "100" },
        /* Not ours to judge: more members, blanks, an empty line. */
        { " { \"object\" : " OBJECT("y", "101", "Ready") " , \"more\": [1], \"type\" : \"ADDED\" } \n",
          "x:running y:running", true, "101", "101" },
        { "\n\n" EVENT("ADDED", OBJECT("y", "101", "Ready")) "\n", "x:running y:running", true, "101", "101" },
        { EVENT("ADDED", OBJECT("y", "101", "Ready")) EVENT("DELETED", OBJECT("x", "102", "Ready")), "y:running", true,
          "102", "102" },
};

START_TEST(one_event) {
        for (size_t i = 0; i < ELEMENTSOF(events); i++) {
                begin();
                virtual_advance(&v, USEC_PER_SEC);
                ck_assert_msg(tell(events[i].line), "%s", events[i].line);
                ck_assert_msg(strcmp(stored(), events[i].store) == 0, "%s%s", events[i].line, stored());
                ck_assert_msg(watch->changed == events[i].changed, "%s", events[i].line);
                ck_assert_str_eq(watch->told, events[i].told);
                ck_assert_str_eq(listed->resource_version, events[i].version);
                ck_assert_uint_eq(watch->heard_at, v.now);
                ck_assert(!watch->too_old && !watch->troubled && !watch->expired);
                ck_assert_uint_eq(watch->line.size, 0);
        }
}
END_TEST

/* Which end the watch, and which of them say that it was too old. */
static const struct {
        const char *line;
        bool too_old;
} ends[] = {
        { FAILURE("410"), true },
        { FAILURE("500"), false },
        { FAILURE("4100"), false },
        { FAILURE("41"), false },
        { FAILURE("\"410\""), false },
        { EVENT("ERROR", "{}"), false },
        { "{\"type\":\"ADDED\"}\n", false },
        { "{\"type\":\"ADDED\",\"object\":null}\n", false },
        { "{\"type\":\"ADDED\",\"object\":[]}\n", false },
        { "{\"type\":7,\"object\":{}}\n", false },
        { "{\"type\":null,\"object\":{}}\n", false },
        { "{\"type\":\"A_WORD_TOO_LONG_FOR_A_TYPE\",\"object\":{}}\n", false },
        { "{\"object\":" OBJECT("x", "101", "Failed") "}\n", false },
        { "{\"type\":\"DELETED\",\"type\":\"DELETED\",\"object\":" OBJECT("x", "101", "Ready") "}\n", false },
        { "{\"type\":\"DELETED\",\"object\":" OBJECT("x", "101", "Ready") ",\"object\":{}}\n", false },
        { "[]\n", false },
        { "\"ADDED\"\n", false },
        { "null\n", false },
        { "410\n", false },
        { " \n", false },
        { "<html>\n", false },
        { "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"\xC0\xAF\"}}}\n", false },
        { "{\"type\":\"DELETED\",\n\"object\":" OBJECT("x", "101", "Ready") "}\n", false },
};

START_TEST(ends_the_watch) {
        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                begin();
                ck_assert_msg(!tell(ends[i].line), "%s", ends[i].line);
                ck_assert_msg(watch->too_old == ends[i].too_old, "%s", ends[i].line);
                ck_assert_str_eq(stored(), "x:running");
                ck_assert(!watch->changed);
                ck_assert_str_eq(listed->resource_version, "100");
        }
}
END_TEST

/* What was told before it stands, what comes behind it in the same piece does not. */
START_TEST(an_end_amid_events) {
        ck_assert(!tell(EVENT("ADDED", OBJECT("y", "101", "Ready")) "garbage\n"
                        EVENT("ADDED", OBJECT("z", "102", "Ready"))));
        ck_assert_str_eq(stored(), "x:running y:running");
        ck_assert_str_eq(listed->resource_version, "101");
}
END_TEST

/* ---- pieces ---- */

START_TEST(any_cuts) {
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL);
        static const char *const phases[] = { "Ready", "Pending", "Failed" };
        static const char *const names[] = { "a", "b", "c", "d", "x" };

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (unsigned round = 0; round < 50; round++) {
                const char *last[ELEMENTSOF(names)] = { [4] = "running" };
                _cleanup_text_ struct text stream = TEXT_INIT;
                char expected[256] = "", version[16];
                size_t wide = round % 3 == 0 ? 3 : 300;

                for (unsigned i = 101; i <= 160; i++) {
                        size_t name = (size_t) random() % ELEMENTSOF(names), phase = (size_t) random() % 3;
                        bool gone = random() % 3 == 0;

                        text_addf(&stream, "{\"type\":\"%s\",\"object\":{\"metadata\":{\"name\":\"%s\","
                                           "\"namespace\":\"n\","
                                  "\"resourceVersion\":\"%u\"},\"status\":{\"phase\":\"%s\"}}}\n",
                                  gone ? "DELETED" : "MODIFIED", names[name], i, phases[phase]);
                        last[name] = gone ? NULL : phase == 0 ? "running" : phase == 1 ? "pending" : "failed";
                }
                ck_assert_int_eq(text_error(&stream), 0);
                begin();
                for (size_t at = 0, n; at < stream.size; at += n) {
                        _cleanup_(freep) char *piece = NULL;    /* the exact size: nothing behind it is read */

                        n = 1 + (size_t) random() % wide;
                        n = n < stream.size - at ? n : stream.size - at;
                        piece = malloc(n);
                        ck_assert_ptr_nonnull(piece);
                        memcpy(piece, stream.data + at, n);
                        ck_assert(watch_receive(piece, n, watch));
                }
                for (size_t i = 0, size = 0; i < ELEMENTSOF(names); i++)
                        if (last[i])
                                size += (size_t) snprintf(expected + size, sizeof expected - size, "%s%s:%s",
                                                          size > 0 ? " " : "", names[i], last[i]);
                ck_assert_str_eq(stored(), expected);
                snprintf(version, sizeof version, "%u", 160);
                ck_assert_str_eq(listed->resource_version, version);
        }
}
END_TEST

/* Nothing is heard before the line is whole, and an end amid it loses it alone. */
START_TEST(a_line_that_is_not_whole) {
        static const char half[] = "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"name\":\"x\",";
        usec_t before = watch->heard_at;

        virtual_advance(&v, USEC_PER_SEC);
        ck_assert(tell(half));
        ck_assert_str_eq(stored(), "x:running");
        ck_assert_uint_eq(watch->heard_at, before);
        ck_assert_str_eq(listed->resource_version, "100");
        ck_assert(tell("\"namespace\":\"n\",\"resourceVersion\":\"101\"}}}"));
        ck_assert_str_eq(stored(), "x:running");
        ck_assert(tell("\n"));
        ck_assert_str_eq(stored(), "");
}
END_TEST

/* One as long as an object can be; and one without an end, of which no more is kept than that. */
START_TEST(long_lines) {
        size_t size = (size_t) 2 << 20;
        char *line = malloc(size + 2);
        size_t head;

        ck_assert_ptr_nonnull(line);
        head = (size_t) sprintf(line, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"y\","
                                      "\"namespace\":\"n\","
                                "\"resourceVersion\":\"101\",\"annotations\":{\"a\":\"");
        memset(line + head, 'a', size - head);
        memcpy(line + size - strlen("\"}}}}"), "\"}}}}", strlen("\"}}}}"));
        ck_assert(watch_receive(line, size, watch));
        ck_assert(watch_receive("\n", 1, watch));
        ck_assert_str_eq(stored(), "x:running y:unknown");

        ck_assert(watch_receive(line, size, watch));
        ck_assert(!watch_receive("a", 1, watch));
        free(line);
}
END_TEST

/* ---- too many ---- */

/* More than are taken cost the newest, are told as a problem, and the rest goes on. */
START_TEST(too_many) {
        char name[16];

        for (size_t i = 1; i < WORKLOADS_MAX; i++) {
                snprintf(name, sizeof name, "w%05zu", i);
                put(name, "running");
        }
        ck_assert(tell(EVENT("ADDED", OBJECT("y", "101", "Ready"))));
        ck_assert_uint_eq(listed->store.n_items, WORKLOADS_MAX);
        ck_assert(watch->troubled && !watch->changed);
        ck_assert_int_eq(watch->problem.verdict, VERDICT_ANSWER);
        ck_assert_str_eq(watch->problem.error, "Unusable body: too many workloads");
        ck_assert_str_eq(listed->resource_version, "101");

        watch->troubled = false;
        ck_assert(tell(EVENT("ADDED", OBJECT("y", "102", "Ready")) EVENT("DELETED", OBJECT("w00001", "103", "Ready"))));
        ck_assert(!watch->troubled && watch->changed);
        ck_assert_uint_eq(listed->store.n_items, WORKLOADS_MAX - 1);
}
END_TEST

/* ---- random damage ---- */

START_TEST(damage) {
        static const char stream[] = EVENT("ADDED", OBJECT("y", "101", "Ready")) BOOKMARK("102")
                EVENT("MODIFIED", OBJECT("x", "103", "Failed")) EVENT("DELETED", OBJECT("y", "104", "Ready"));
        static const char alphabet[] = "{}[]\",:\\u01239ant-. \n\x1b\x7f\xC2\x85\xE2\x80\xAE";
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL), ended = 0;

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (unsigned round = 0; round < 1000; round++) {
                size_t size = sizeof stream - 1;
                _cleanup_(freep) char *copy = malloc(size);

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, stream, size);
                copy[(size_t) random() % size] = alphabet[(size_t) random() % (sizeof alphabet - 1)];
                begin();
                ended += !watch_receive(copy, size, watch);
                ck_assert_uint_le(listed->store.n_items, 3);
                for (size_t i = 0; i < listed->store.n_items; i++)
                        ck_assert(workload_name_is_valid(listed->store.items[i].workload->name));
        }
        ck_assert_uint_gt(ended, 200);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("kubernetes events");
        TCase *tcase = suite_case(suite, "events", setup, teardown);

        tcase_add_test(tcase, newer_versions);
        tcase_add_test(tcase, one_event);
        tcase_add_test(tcase, ends_the_watch);
        tcase_add_test(tcase, an_end_amid_events);
        tcase_add_test(tcase, any_cuts);
        tcase_add_test(tcase, a_line_that_is_not_whole);
        tcase_add_test(tcase, long_lines);
        tcase_add_test(tcase, too_many);
        tcase_add_test(tcase, damage);

        return suite_run(suite);
}
