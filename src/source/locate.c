/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A search, from the settings to its result: which addresses the host has, what each step asks,
 * and how long all of it may take; search.c then plays it. Nothing is kept between searches: the
 * host is resolved and the discovery file read each time, since what made the search necessary may
 * have changed either.
 *
 * Used by the worker's thread.
 */

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "report/log.h"
#include "source/discovery_file.h"
#include "source/search.h"

#define USUAL_PORT 8080                 /* of `thv serve` without options */
#define SEARCH_TIME (3 * USEC_PER_SEC)
#define SEARCH_PORTS 1000               /* that many are within that time … */
#define SEARCH_TIME_PER_PORT USEC_PER_MSEC      /* … and each more adds to it */
#define TRANSFERS_TRIMMED 32            /* after so many there is memory to give back */

struct locate {
        const struct settings *settings;
        char *discovery_path;           /* NULL: no discovery file */
        struct http *http;
        struct waiter *waiter;
};

int locate_new(const struct settings *settings, const char *discovery_path, struct http *http,
               struct waiter *waiter, struct locate **ret_locate) {
        _cleanup_(locate_freep) struct locate *locate = calloc(1, sizeof *locate);

        if (!locate)
                return -ENOMEM;
        locate->settings = settings;
        locate->http = http;
        locate->waiter = waiter;
        if (discovery_path) {
                locate->discovery_path = strdup(discovery_path);
                if (!locate->discovery_path)
                        return -ENOMEM;
        }

        *ret_locate = STEAL(locate);
        return 0;
}

struct locate *locate_free(struct locate *locate) {
        if (!locate)
                return NULL;
        free(locate->discovery_path);
        free(locate);
        return NULL;
}

/* Takes the literal over if it is one. */
static bool add_address(struct addresses *addresses, const char *literal) {
        struct http_address *place = &addresses->literals[addresses->n];
        size_t size = strlen(literal) + 1;

        if (addresses->n == ADDRESSES_MAX || size > sizeof place->literal ||
            scan_address_parse(literal, &addresses->sockets[addresses->n]) < 0)
                return false;
        memcpy(place->literal, literal, size);
        addresses->n++;
        return true;
}

/* 0; LOCATE_NOTHING with the words in error; -ECANCELED. */
static int find_addresses(struct locate *locate, usec_t timeout, struct addresses *addresses,
                          char error[static ERROR_MAX]) {
        struct http_address resolved[ADDRESSES_MAX];
        char host[HOST_MAX];
        size_t n;
        int r;

        snprintf(host, sizeof host, "%s", locate->settings->toolhive_host);
        if (host[0] == '[') {
                memmove(host, host + 1, strlen(host));
                host[strcspn(host, "]")] = '\0';
        }

        /* Not asked of the resolver: glibc often knows 127.0.0.1 alone by that name. */
        if (host_is_localhost(host)) {
                (void) add_address(addresses, "127.0.0.1");
                (void) add_address(addresses, "::1");
                return 0;
        }
        if (add_address(addresses, host))
                return 0;

        r = http_resolve(locate->http, host, timeout, resolved, ELEMENTSOF(resolved), &n, error);
        if (r != 0)
                return r < 0 ? r : LOCATE_NOTHING;
        for (size_t i = 0; i < n; i++)
                (void) add_address(addresses, resolved[i].literal);
        if (addresses->n > 0)
                return 0;
        snprintf(error, ERROR_MAX, "No usable address for host name \"%.200s\"", host);
        return LOCATE_NOTHING;
}

static void ask_port(struct step *step, uint16_t port) {
        step->first_port = step->last_port = port;
}

/* The file's address, which may be "localhost" and then is two. */
static void ask_endpoint(struct step *step, const struct endpoint *endpoint) {
        char host[HOST_MAX];

        endpoint_host(endpoint, host);
        if (host_is_localhost(host)) {
                endpoint_set_tcp(&step->fixed[0], "127.0.0.1", endpoint->port);
                endpoint_set_tcp(&step->fixed[1], "::1", endpoint->port);
                step->n_fixed = 2;
        } else {
                step->fixed[0] = *endpoint;
                step->n_fixed = 1;
        }
}

static void plan_file(const char *path, struct discovery *discovery, struct step *step) {
        const char *reason;
        int r;

        r = discovery_read(path, discovery, &reason);
        if (r == 0) {
                ask_endpoint(step, &discovery->endpoint);
                step->nonce = discovery->nonce;
        } else if (r != -ENOENT)
                log_debug("Not using the discovery file", LOG_STRING("path", path),
                          LOG_STRING("reason", r > 0 ? reason : errno_words(-r)));
}

/*
 * The last endpoint is asked as it is on loopback, where the discovery file may have told it;
 * elsewhere just its port counts, since it may come from a state file.
 */
static void plan_last(const struct endpoint *last, struct step *step) {
        if (endpoint_is_loopback(last))
                ask_endpoint(step, last);
        if (last->port)
                ask_port(step, last->port);
}

static usec_t search_time(const struct settings *settings) {
        usec_t ports = (usec_t) (settings->end_port_scan - settings->start_port_scan) + 1;

        return SEARCH_TIME + usec_sub(ports, SEARCH_PORTS) * SEARCH_TIME_PER_PORT;
}

static void plan_steps(const struct locate *locate, const struct endpoint *last,
                       struct discovery *discovery, struct step steps[static STEPS]) {
        const struct settings *settings = locate->settings;

        if (settings->toolhive_port)
                ask_port(&steps[STEP_CONFIGURED], settings->toolhive_port);
        if (locate->discovery_path)
                plan_file(locate->discovery_path, discovery, &steps[STEP_FILE]);
        if (last)
                plan_last(last, &steps[STEP_LAST]);
        steps[STEP_RANGE].first_port = settings->start_port_scan;
        steps[STEP_RANGE].last_port = settings->end_port_scan;
        ask_port(&steps[STEP_USUAL], USUAL_PORT);
}

/* The lowest is taken; the others are told only where they are the range's. */
static void tell_found(const struct search *search, const struct step *step,
                       struct found *ret_found) {
        *ret_found = (struct found) { .endpoint = step->passes[0].endpoint };
        snprintf(ret_found->version, sizeof ret_found->version, "%s", step->passes[0].version);
        if (step != &search->steps[STEP_RANGE])
                return;
        for (size_t i = 1; i < step->n_passes; i++)
                ret_found->others[ret_found->n_others++] = step->passes[i].endpoint;
}

int locate_search(struct locate *locate, const struct endpoint *last, struct found *ret_found,
                  bool *ret_scanned, char error[static ERROR_MAX]) {
        _cleanup_(freep) struct search *search = calloc(1, sizeof *search);
        struct discovery discovery;
        const struct step *step;
        int unresolved, r;

        *ret_scanned = false;
        if (!search)
                return -ENOMEM;
        search->http = locate->http;
        search->waiter = locate->waiter;
        search->timeout = usec_min(locate->settings->timeout, IDENTITY_TIMEOUT_MAX);
        search->started_at = waiter_now(locate->waiter);
        search->deadline = usec_add(search->started_at, search_time(locate->settings));

        /* Without a name there are no ports to ask; a discovery file and a last address still have theirs. */
        unresolved = find_addresses(locate, search->timeout, &search->addresses, error);
        if (unresolved < 0)
                return unresolved;
        plan_steps(locate, last, &discovery, search->steps);

        r = search_init(search);
        if (r == 0)
                r = search_run(search, &step);
        if (r == 0)
                tell_found(search, step, ret_found);
        else if (r == LOCATE_NOTHING && unresolved == 0)
                tally_words(&search->tally,
                            usec_sub(waiter_now(locate->waiter), search->started_at), error);
        *ret_scanned = unresolved == 0 && search->steps[STEP_RANGE].started;

        search_done(search);
        if (search->n_transfers > TRANSFERS_TRIMMED)
                malloc_trim(0);
        return r;
}
