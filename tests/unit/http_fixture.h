/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What each test of HTTP begins with: a waiter on the real clock, and a client on it. */

#include "base/http.h"

extern struct waiter waiter;
extern struct http *http;

void http_setup(void);
void http_teardown(void);
