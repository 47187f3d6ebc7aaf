/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Moves this process, which must have one thread, into a network of its own,
 * where only the loopback is up, nothing listens, and no other test's ports are
 * knocked at. False where the machine does not allow it.
 */
bool own_network(void);
