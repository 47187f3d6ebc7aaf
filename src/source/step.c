/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The rules of the search, apart from the engine that plays them (search.c)
 *
 * Within a step the lowest target that passed wins, not the fastest, or two ToolHives on one
 * machine would take turns. A lower one that is still open gets 250 ms from the first pass on and
 * no more, so that a port that is silent does not hold the search.
 *
 * In the range one thing is added: where higher ports are still being asked, the answer is held
 * for another moment. The identity requests to all open ports leave together, so what else is a
 * ToolHive answers within a few milliseconds, and the warning that there are several names them.
 */

#include <string.h>

#include "source/step.h"

static size_t count_ports(const struct step *step) {
        return step->first_port ? (size_t) (step->last_port - step->first_port) + 1 : 0;
}

size_t step_size(const struct step *step, const struct addresses *addresses) {
        return step->n_fixed + count_ports(step) * addresses->n;
}

static void fixed_target(const struct endpoint *fixed, struct target *ret_target) {
        char host[HOST_MAX];

        *ret_target = (struct target) { .fixed = fixed, .port = fixed->port };
        endpoint_host(fixed, host);
        if (!fixed->socket[0] && scan_address_parse(host, &ret_target->socket) == 0)
                scan_address_set_port(&ret_target->socket, fixed->port);
}

void step_target(const struct step *step, const struct addresses *addresses, size_t rank,
                 struct target *ret_target) {
        size_t port, address;

        if (rank < step->n_fixed) {
                fixed_target(&step->fixed[rank], ret_target);
                return;
        }

        port = (rank - step->n_fixed) / addresses->n;
        address = (rank - step->n_fixed) % addresses->n;
        *ret_target = (struct target) {
                .socket = addresses->sockets[address],
                .literal = addresses->literals[address].literal,
                .port = (uint16_t) (step->first_port + port),
        };
        scan_address_set_port(&ret_target->socket, ret_target->port);
}

void target_endpoint(const struct target *target, struct endpoint *ret_endpoint) {
        if (target->fixed)
                *ret_endpoint = *target->fixed;
        else
                endpoint_set_tcp(ret_endpoint, target->literal, target->port);
}

static bool asks_fixed(const struct step *step, const struct target *target) {
        for (size_t i = 0; i < step->n_fixed; i++) {
                struct target other;

                if (step->fixed[i].port != target->port)
                        continue;
                fixed_target(&step->fixed[i], &other);
                if (target->port ? scan_address_equal(&other.socket, &target->socket)
                                 : endpoint_equal(other.fixed, target->fixed))
                        return true;
        }
        return false;
}

static bool is_of_host(const struct addresses *addresses, const struct target *target) {
        for (size_t i = 0; i < addresses->n; i++) {
                union scan_address address = addresses->sockets[i];

                scan_address_set_port(&address, target->port);
                if (scan_address_equal(&address, &target->socket))
                        return true;
        }
        return false;
}

/* Ports are compared first: this is asked for every target of the range. */
static bool asks_port(const struct step *step, const struct addresses *addresses,
                      const struct target *target) {
        return step->first_port && target->port >= step->first_port &&
               target->port <= step->last_port &&
               (target->literal || is_of_host(addresses, target));
}

bool step_asked_before(const struct step *steps, enum step_kind kind,
                       const struct addresses *addresses, const struct target *target) {
        for (size_t i = 0; i < (size_t) kind; i++) {
                if (asks_port(&steps[i], addresses, target))
                        return true;
                /* Who is not the ToolHive that wrote the file may still be another one. */
                if (!steps[i].unproven && asks_fixed(&steps[i], target))
                        return true;
        }
        return false;
}

bool step_is_open(const struct step *step, const struct addresses *addresses) {
        return !step->started || step->n_active > 0 || step->next < step_size(step, addresses);
}

void step_add_pass(struct step *step, const struct pass *pass, usec_t now) {
        size_t at = 0, same;

        if (step->n_passes == 0)
                step->first_pass_at = now;
        while (at < step->n_passes && step->passes[at].rank < pass->rank)
                at++;

        /* One ToolHive that listens on both addresses of its port is one. */
        for (same = 0; same < step->n_passes; same++)
                if (pass->endpoint.port && step->passes[same].endpoint.port == pass->endpoint.port)
                        break;
        if (same < at || at == PASSES_MAX)
                return;
        if (same == step->n_passes && step->n_passes < PASSES_MAX)
                step->n_passes++;
        else if (same == step->n_passes)
                same--;

        memmove(&step->passes[at + 1], &step->passes[at], (same - at) * sizeof step->passes[0]);
        step->passes[at] = *pass;
}

usec_t step_take_at(const struct step *step, enum step_kind kind, const struct addresses *addresses,
                    size_t lowest_active) {
        if (step->n_passes == 0)
                return USEC_INFINITY;
        if (lowest_active < step->passes[0].rank)
                return usec_add(step->first_pass_at, STEP_TAKE_AFTER);
        if (kind == STEP_RANGE && step_is_open(step, addresses))
                return usec_add(step->first_pass_at, STEP_LINGER);
        return step->first_pass_at;
}
