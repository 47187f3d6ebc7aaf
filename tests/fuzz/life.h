/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The whole worker, retries and polls included, on the virtual clock: each part of
 * the input is what the API answers to one request (answers.h), and after the last
 * nobody listens any more. The worker gives up or is stopped, never anything else;
 * and at each change what it tells systemd is one harmless line, and what it would
 * write into the state file is read back as the same.
 */

#include "base/settings.h"

void life(const struct settings *settings, const uint8_t *data, size_t size);
