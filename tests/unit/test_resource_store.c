/* SPDX-License-Identifier: Apache-2.0 */

/*
 * source/resource_store.h beside a model so simple that it cannot be wrong: one
 * slot for each of a few names. Lists that were made of the store must hold what
 * it held then, whatever becomes of it later; AddressSanitizer sees who frees.
 */

#include <check.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "source/resource_store.h"
#include "suite.h"

static const char *const namespaces[] = { "a", "b", "tools" };
static const char *const names[] = { "fetch", "fetch-2", "github", "inspector", "x", "z" };
static const char *const statuses[] = { "running", "stopped", "pending" };
static const char *const groups[] = { "default", "dev", "prod" };
static const char *const problems[] = { NULL, NULL, NULL, "invalid url", "invalid phase" };

#define SLOTS (ELEMENTSOF(namespaces) * ELEMENTSOF(names))

/* What the object of a slot is; the slot's number is its place in order. */
struct slot {
        bool there;
        const char *status, *group, *problem;
};

static struct resource_store store;
static struct slot model[SLOTS];

static size_t any(size_t n) {
        return (size_t) random() % n;
}

static const char *namespace_of(size_t slot) {
        return namespaces[slot / ELEMENTSOF(names)];
}

static const char *name_of(size_t slot) {
        return names[slot % ELEMENTSOF(names)];
}

static struct resource_object object(const char *namespace, const char *name, const struct slot *slot) {
        struct resource_object object = { .problem = slot->problem };

        object.workload = workload_new(&(struct workload) {
                .namespace = namespace, .name = name, .status = slot->problem ? "" : slot->status,
                .group = slot->problem ? NULL : slot->group });
        ck_assert_ptr_nonnull(object.workload);
        return object;
}

static struct slot any_slot(void) {
        return (struct slot) {
                .there = true,
                .status = statuses[any(ELEMENTSOF(statuses))],
                .group = groups[any(ELEMENTSOF(groups))],
                .problem = problems[any(ELEMENTSOF(problems))],
        };
}

/* Of an object with a problem nothing else is known. */
static bool slots_equal(const struct slot *a, const struct slot *b) {
        return a->there == b->there && a->problem == b->problem &&
               (a->problem || (strcmp(a->status, b->status) == 0 && strcmp(a->group, b->group) == 0));
}

static void check_store(void) {
        size_t n = 0;

        for (size_t i = 0; i < SLOTS; i++) {
                const struct resource_item *item = &store.items[n];

                if (!model[i].there)
                        continue;
                ck_assert_uint_lt(n++, store.n_items);
                ck_assert_str_eq(item->workload->namespace, namespace_of(i));
                ck_assert_str_eq(item->workload->name, name_of(i));
                ck_assert_ptr_eq(item->problem, model[i].problem);
                if (!model[i].problem) {
                        ck_assert_str_eq(item->workload->status, model[i].status);
                        ck_assert_str_eq(item->workload->group, model[i].group);
                }
        }
        ck_assert_uint_eq(store.n_items, n);
}

/* ---- lists made of it ---- */

static bool contains(char *const *list, const char *word) {
        for (; *list; list++)
                if (strcmp(*list, word) == 0)
                        return true;
        return false;
}

/* What a list made now holds, kept to be compared with once more when the store is another. */
struct made {
        struct workload_list *list;
        struct slot model[SLOTS];
        struct workload_filter filter;
        size_t n_nameless;
};

static char word_dev[] = "dev", word_prod[] = "prod", word_inspector[] = "inspector", word_fetch[] = "fetch";
static char *some_groups[] = { word_dev, word_prod, NULL }, *no_groups[] = { NULL };
static char *some_names[] = { word_inspector, word_fetch, NULL };
static const struct workload_filter filters[] = {
        { NULL, NULL },
        { NULL, some_names },
        { some_groups, NULL },
        { some_groups, some_names },
        { no_groups, NULL },
};

static void expect_bad(const struct made *made, const char *name, const char *problem) {
        for (size_t i = 0; i < made->list->n_bad && i < BAD_ENTRIES_NAMED; i++)
                if (strcmp(made->list->bad[i].name, name) == 0 &&
                    strcmp(made->list->bad[i].problem, problem) == 0)
                        return;
        ck_abort_msg("%s is not named as bad: %s", name, problem);
}

static void check_list(const struct made *made) {
        size_t n = 0, n_bad = made->n_nameless, skipped = 0, running = 0;
        bool all_named = made->list->n_bad <= BAD_ENTRIES_NAMED;

        for (size_t i = 0; i < SLOTS; i++) {
                const struct slot *slot = &made->model[i];
                const struct workload *workload;
                char whole[64];

                if (!slot->there)
                        continue;
                if ((made->filter.skipped_workloads && contains(made->filter.skipped_workloads, name_of(i))) ||
                    (!slot->problem && made->filter.allowed_groups &&
                     !contains(made->filter.allowed_groups, slot->group))) {
                        skipped++;
                        continue;
                }
                if (slot->problem) {
                        n_bad++;
                        snprintf(whole, sizeof whole, "%s/%s", namespace_of(i), name_of(i));
                        if (all_named)
                                expect_bad(made, whole, slot->problem);
                        continue;
                }
                ck_assert_uint_lt(n, made->list->n_items);
                workload = made->list->items[n++];
                ck_assert_str_eq(workload->namespace, namespace_of(i));
                ck_assert_str_eq(workload->name, name_of(i));
                ck_assert_str_eq(workload->status, slot->status);
                ck_assert_str_eq(workload->group, slot->group);
                running += strcmp(slot->status, "running") == 0;
        }
        if (made->n_nameless > 0 && all_named)
                expect_bad(made, "#0", "no valid name or namespace");
        ck_assert_uint_eq(made->list->n_items, n);
        ck_assert_uint_eq(made->list->n_bad, n_bad);
        ck_assert_uint_eq(made->list->skipped, skipped);
        ck_assert_uint_eq(made->list->running, running);
}

static void make_list(struct made *made) {
        workload_list_free(made->list);
        *made = (struct made) {
                .list = workload_list_new(),
                .filter = filters[any(ELEMENTSOF(filters))],
                .n_nameless = store.n_nameless,
        };
        ck_assert_ptr_nonnull(made->list);
        memcpy(made->model, model, sizeof model);
        ck_assert_int_eq(resource_store_fill(&store, &made->filter, made->list), 0);
        ck_assert_int_eq(workload_list_settle(made->list), 0);
        check_list(made);
}

/* ---- one operation, on both ---- */

static void put(void) {
        size_t i = any(SLOTS);
        struct slot slot = any_slot();
        struct resource_object put = object(namespace_of(i), name_of(i), &slot);
        bool changed = random() % 2;

        ck_assert_int_eq(resource_store_put(&store, &put, &changed), 0);
        ck_assert_ptr_null(put.workload);
        ck_assert_int_eq(changed, !model[i].there || !slots_equal(&model[i], &slot));
        model[i] = slot;
}

static void remove_one(void) {
        size_t i = any(SLOTS);

        ck_assert_int_eq(resource_store_remove(&store, namespace_of(i), name_of(i)), model[i].there);
        model[i].there = false;
}

/* A list, in any order. */
static void fill_anew(void) {
        size_t order[SLOTS], n = any(SLOTS + 1);

        resource_store_clear(&store);
        ck_assert(!store.items && store.n_items == 0 && store.n_nameless == 0);
        memset(model, 0, sizeof model);
        for (size_t i = 0; i < SLOTS; i++)
                order[i] = i;
        for (size_t i = SLOTS - 1; i > 0; i--) {
                size_t other = any(i + 1), was = order[i];

                order[i] = order[other];
                order[other] = was;
        }
        for (size_t i = 0; i < n; i++) {
                struct slot slot = any_slot();
                struct resource_object added = object(namespace_of(order[i]), name_of(order[i]), &slot);

                ck_assert_int_eq(resource_store_add(&store, &added), 0);
                ck_assert_ptr_null(added.workload);
                model[order[i]] = slot;
        }
        resource_store_sort(&store);
        store.n_nameless = any(3);
}

START_TEST(any_operations) {
        const char *given = getenv("TEST_SEED");
        unsigned seed = given ? (unsigned) strtoul(given, NULL, 10) : (unsigned) time(NULL);
        struct made lists[4] = {};

        printf("TEST_SEED=%u\n", seed);
        fflush(stdout);
        srandom(seed);
        for (unsigned round = 0; round < 1500; round++) {
                switch (any(100)) {
                case 0 ... 49:
                        put();
                        break;
                case 50 ... 84:
                        remove_one();
                        break;
                case 85 ... 97:
                        make_list(&lists[any(ELEMENTSOF(lists))]);
                        break;
                default:
                        fill_anew();
                }
                check_store();
        }
        resource_store_clear(&store);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                check_list(&lists[i]);
                workload_list_free(lists[i].list);
        }
}
END_TEST

/* ---- what chance does not make ---- */

/* Of two with one name that a list has, either stays; none is lost or freed twice. */
START_TEST(namesakes) {
        static const char *const order[] = { "b", "a", "b", "a", "c", "b" };
        static const struct slot slot = { true, "running", "default", NULL };

        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                struct resource_object added = object("n", order[i], &slot);

                ck_assert_int_eq(resource_store_add(&store, &added), 0);
        }
        resource_store_sort(&store);
        ck_assert_uint_eq(store.n_items, 3);
        for (size_t i = 0; i < 3; i++)
                ck_assert_str_eq(store.items[i].workload->name, ((const char *[]) { "a", "b", "c" })[i]);
        resource_store_clear(&store);
        resource_store_clear(&store);
}
END_TEST

START_TEST(an_empty_store) {
        _cleanup_(workload_list_freep) struct workload_list *list = workload_list_new();

        ck_assert(!resource_store_remove(&store, "a", "x"));
        resource_store_sort(&store);
        ck_assert_int_eq(resource_store_fill(&store, NULL, list), 0);
        ck_assert_uint_eq(list->n_items + list->n_bad + list->skipped, 0);
}
END_TEST

/* Of what is left out by name nobody is told that it makes no sense; its group is not known. */
START_TEST(bad_and_skipped) {
        static const struct slot bad = { true, "running", "dev", "invalid url" };
        struct resource_object skipped = object("a", "inspector", &bad), kept = object("a", "x", &bad);
        struct workload_filter filter = { no_groups, some_names };
        struct workload_list *list = workload_list_new();
        bool changed;

        ck_assert_int_eq(resource_store_put(&store, &skipped, &changed), 0);
        ck_assert_int_eq(resource_store_put(&store, &kept, &changed), 0);
        store.n_nameless = 2;
        ck_assert_int_eq(resource_store_fill(&store, &filter, list), 0);
        ck_assert_uint_eq(list->skipped, 1);
        ck_assert_uint_eq(list->n_bad, 3);
        ck_assert_str_eq(list->bad[0].name, "#0");
        ck_assert_str_eq(list->bad[1].name, "#1");
        ck_assert_str_eq(list->bad[1].problem, "no valid name or namespace");
        ck_assert_str_eq(list->bad[2].name, "a/x");
        ck_assert_str_eq(list->bad[2].problem, "invalid url");
        workload_list_free(list);
        resource_store_clear(&store);
}
END_TEST

/* The longest names there are, in the words about them. */
START_TEST(long_names) {
        static const struct slot bad = { true, "", NULL, "invalid url" };
        struct workload_list *list = workload_list_new();
        char namespace[WORKLOAD_NAME_MAX + 1], name[WORKLOAD_NAME_MAX + 1];
        struct resource_object put;
        bool changed;

        memset(namespace, 'n', WORKLOAD_NAME_MAX);
        memset(name, 'x', WORKLOAD_NAME_MAX);
        namespace[WORKLOAD_NAME_MAX] = name[WORKLOAD_NAME_MAX] = '\0';
        put = object(namespace, name, &bad);
        ck_assert_int_eq(resource_store_put(&store, &put, &changed), 0);
        ck_assert_int_eq(resource_store_fill(&store, NULL, list), 0);
        ck_assert_uint_eq(strlen(list->bad[0].name), 2 * WORKLOAD_NAME_MAX + 1);
        ck_assert_ptr_nonnull(strchr(list->bad[0].name, '/'));
        workload_list_free(list);
        resource_store_clear(&store);
}
END_TEST

/* Full, nothing new comes in, what is in it can still change, and what leaves makes room. */
START_TEST(limit) {
        static const struct slot slot = { true, "running", "default", NULL };
        static const struct slot other = { true, "stopped", "default", NULL };
        struct resource_object more;
        char name[16];
        bool changed;

        for (size_t i = WORKLOADS_MAX; i > 0; i--) {
                snprintf(name, sizeof name, "w%05zu", i);
                more = object("n", name, &slot);
                ck_assert_int_eq(resource_store_add(&store, &more), 0);
        }
        more = object("n", "w", &slot);
        ck_assert_int_eq(resource_store_add(&store, &more), -E2BIG);
        ck_assert_ptr_null(more.workload);
        resource_store_sort(&store);
        ck_assert_uint_eq(store.n_items, WORKLOADS_MAX);

        more = object("n", "w", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), -E2BIG);
        ck_assert_ptr_null(more.workload);
        ck_assert_uint_eq(store.n_items, WORKLOADS_MAX);

        more = object("n", "w00001", &other);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), 0);
        ck_assert(changed);
        ck_assert_str_eq(store.items[0].workload->status, "stopped");
        ck_assert(resource_store_remove(&store, "n", "w10000"));
        ck_assert(!resource_store_remove(&store, "n", "w10000"));
        more = object("n", "z", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), 0);
        ck_assert_str_eq(store.items[WORKLOADS_MAX - 1].workload->name, "z");
        resource_store_clear(&store);
}
END_TEST

/* What other stores hold takes its room, also where they grow to more than there is. */
START_TEST(limit_shared) {
        static const struct slot slot = { true, "running", "default", NULL };
        struct resource_object more;
        bool changed;

        store.n_elsewhere = WORKLOADS_MAX - 2;
        more = object("n", "a", &slot);
        ck_assert_int_eq(resource_store_add(&store, &more), 0);
        more = object("n", "b", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), 0);
        more = object("n", "c", &slot);
        ck_assert_int_eq(resource_store_add(&store, &more), -E2BIG);
        store.n_elsewhere = WORKLOADS_MAX + 5;
        more = object("n", "c", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), -E2BIG);
        more = object("n", "a", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), 0);
        ck_assert(resource_store_remove(&store, "n", "b"));
        store.n_elsewhere = 0;
        more = object("n", "c", &slot);
        ck_assert_int_eq(resource_store_put(&store, &more, &changed), 0);
        ck_assert_uint_eq(store.n_items, 2);
        resource_store_clear(&store);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("resource store");
        TCase *tcase = suite_case(suite, "store", NULL, NULL);

        tcase_add_test(tcase, any_operations);
        tcase_add_test(tcase, namesakes);
        tcase_add_test(tcase, an_empty_store);
        tcase_add_test(tcase, bad_and_skipped);
        tcase_add_test(tcase, long_names);
        tcase_add_test(tcase, limit);
        tcase_add_test(tcase, limit_shared);

        return suite_run(suite);
}
