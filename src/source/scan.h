/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Trying to connect, by the thousand: which addresses and ports take a connection,
 * at three system calls for each that does not. The sockets that stay undecided wait
 * in one epoll instance, whose descriptor joins the poll of the HTTP transfers.
 */

#include <netinet/in.h>

#include "base/util.h"

union scan_address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
};

/* A literal, IPv6 without brackets and perhaps with a zone; the port stays 0. 0 or -EINVAL. */
int scan_address_parse(const char *literal, union scan_address *ret_address);
void scan_address_set_port(union scan_address *address, uint16_t port);
bool scan_address_equal(const union scan_address *a, const union scan_address *b);  /* with port */

struct scan;

/* 0 or negative errno. */
int scan_new(struct scan **ret_scan);
struct scan *scan_free(struct scan *scan);

/* Readable while a watched connect is decided and not yet taken. */
int scan_fd(const struct scan *scan);

/*
 * Begins to connect. A socket that is connecting, or connected already, and the
 * caller's; or how it failed, -ECONNREFUSED first of all.
 */
int scan_connect(struct scan *scan, const union scan_address *address);

/* Has the socket watched; cookie names it later. 0 or negative errno. */
int scan_watch(struct scan *scan, int fd, void *cookie);

/* The cookies of at most size watched sockets that are decided: how many, or a negative errno. */
int scan_decided(struct scan *scan, void **cookies, size_t size);

/*
 * Ends the watching of a decided socket and tells how it went: 0, connected; or a
 * negative errno, -ECONNREFUSED also for a socket that met itself. The caller
 * closes it where it did not connect.
 */
int scan_result(struct scan *scan, int fd);

/* How many sockets a search may hold at a time, by the limit on descriptors and what is open. */
size_t scan_room(void);

DEFINE_CLEANUP(struct scan *, scan_free)
