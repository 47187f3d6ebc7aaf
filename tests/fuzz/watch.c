/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a watch tells, cut in pieces: a line for each event. The first byte of the
 * input is how it is cut (a digit: into pieces of so many bytes; another: in two),
 * what follows is the stream. However it is cut, the same comes of it; and the store
 * stays in order.
 */

#include "checks.h"
#include "fuzz.h"
#include "source/kubernetes_watch.h"

static usec_t now(struct waiter *waiter _unused_) {
        return USEC_PER_SEC;
}

static const struct waiter_ops ops = { .now = now, .realtime = now };

/* A watch by itself, as of a list with one object. */
struct scene {
        struct waiter waiter;
        struct kubernetes kubernetes;
        struct listed listed;
        struct watch watch;
};

static void scene_init(struct scene *scene, enum resource resource) {
        static const char object[] =
                "{\"metadata\":{\"name\":\"fetch\",\"namespace\":\"tools\",\"resourceVersion\":\"5\"},"
                "\"status\":{\"phase\":\"Ready\"}}";
        struct json_slice value;
        struct resource_object parsed;
        const char *problem;

        *scene = (struct scene) { .waiter.ops = &ops, .listed.resource = resource };
        scene->kubernetes.source.waiter = &scene->waiter;
        strcpy(scene->listed.resource_version, "10");
        scene->watch = (struct watch) { .kubernetes = &scene->kubernetes, .listed = &scene->listed };
        scene->watch.problem.verdict = VERDICT_DONE;

        must(json_scan(object, sizeof object - 1, &value, &problem) == 0);
        must(resource_parse(resource, value, &parsed, &problem) == 0);
        must(resource_store_add(&scene->listed.store, &parsed) == 0);
        resource_store_sort(&scene->listed.store);
}

static void scene_done(struct scene *scene) {
        text_done(&scene->watch.line);
        resource_store_clear(&scene->listed.store);
}

static void check_store(const struct resource_store *store) {
        for (size_t i = 0; i < store->n_items; i++) {
                const struct workload *workload = store->items[i].workload;

                must(workload_name_is_valid(workload->name) && workload_name_is_valid(workload->namespace));
                must(i == 0 || workload_compare(store->items[i - 1].workload, workload) < 0);
                must(workload->references == 1);
        }
        must(store->n_items <= store->n_allocated && store->n_items <= WORKLOADS_MAX);
}

/* Each piece is an allocation of its own, with nothing behind it. False: the watch ends. */
static bool feed(struct watch *watch, const char *data, size_t size, size_t piece) {
        bool go_on = true;

        while (size > 0 && go_on) {
                size_t n = piece == 0 || piece > size ? size : piece;
                char *copy = malloc(n);

                must(copy);
                memcpy(copy, data, n);
                go_on = watch_receive(copy, n, watch);
                free(copy);
                data += n;
                size -= n;
        }
        return go_on;
}

static void must_be_same(const struct scene *one, const struct scene *other) {
        const struct resource_store *a = &one->listed.store, *b = &other->listed.store;

        must(a->n_items == b->n_items);
        for (size_t i = 0; i < a->n_items; i++) {
                must(workload_equal(a->items[i].workload, b->items[i].workload));
                must(a->items[i].problem == b->items[i].problem);
        }
        must(strcmp(one->listed.resource_version, other->listed.resource_version) == 0);
        must(strcmp(one->watch.told, other->watch.told) == 0);
        must(one->watch.changed == other->watch.changed && one->watch.too_old == other->watch.too_old);
        must(one->watch.troubled == other->watch.troubled);
}

static void check_fill(const struct resource_store *store) {
        _cleanup_(workload_list_freep) struct workload_list *list = workload_list_new();

        must(list && resource_store_fill(store, NULL, list) == 0);
        must(workload_list_settle(list) == 0);
        check_workload_list(list);
        must(list->n_items + list->n_bad == store->n_items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t piece = size > 0 && data[0] >= '0' && data[0] <= '9' ? (size_t) (data[0] - '0') : size / 2;
        const char *stream = (const char *) data + (size > 0), *last;
        size_t length = size > 0 ? size - 1 : 0;
        struct scene whole, cut;
        bool go_on;

        scene_init(&whole, (enum resource) (size % RESOURCES));
        scene_init(&cut, (enum resource) (size % RESOURCES));

        memory_begin();
        go_on = feed(&whole.watch, stream, length, 0);
        must(memory_peak() <= 16 * 1024 + length * 16);
        must(feed(&cut.watch, stream, length, piece) == go_on);
        must_be_same(&whole, &cut);
        check_store(&whole.listed.store);
        check_fill(&whole.listed.store);

        /* What is kept for later is what has no end yet. */
        last = memrchr(stream, '\n', length);
        if (go_on)
                must(whole.watch.line.size == (size_t) (stream + length - (last ? last + 1 : stream)));
        must(whole.watch.too_old <= !go_on);

        scene_done(&whole);
        scene_done(&cut);
        return 0;
}
