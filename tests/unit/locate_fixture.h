/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of the search have in common: a search with its waiter and its settings, on an
 * address of its own (see listeners.h), where the range is 50000-50100, and a folder for a discovery
 * file. All of it belongs to the one test that runs in this process.
 */

#include "listeners.h"
#include "source/locate.h"

#define NONCE "0123456789abcdef0123456789abcdef"
#define OTHER_TOOLHIVE LISTENER_ANSWER("200 OK", "", 21, "{\"version\":\"v0.45.0\"}")

extern struct waiter waiter;
extern struct http *http;
extern struct settings settings;
extern char folder[32], file[64];       /* file: where a discovery file can be written */
extern usec_t elapsed;                  /* how long the last search took */

void setup(void);
void teardown(void);

int search(const char *path, const struct endpoint *last, struct found *found, bool *scanned,
           char error[static ERROR_MAX]);

/* Searches, and expects LISTENER_TOOLHIVE at that URL, or at that port of the own address. */
void expect_found_at(const char *path, const struct endpoint *last, const char *url, bool scanned);
void expect_port(const char *path, const struct endpoint *last, uint16_t port, bool scanned);

/* Searches the range too, and expects to find nothing, with these words. */
void expect_nothing(const char *path, const char *words);

void open_at(struct listener *listener, uint16_t port);
void write_discovery(const char *url, const char *nonce);
void write_discovery_port(uint16_t port, const char *nonce);

size_t count_descriptors(void);
