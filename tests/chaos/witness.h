/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who reads what the worker tells the outside: its log, its datagrams to systemd,
 * its state file. Log lines go into the trace as they are, states in one line; the
 * datagrams that no model needs to foresee are judged here: exactly one READY, each
 * RELOADING ended by one, pings never further apart than the period.
 */

#include "trace.h"

void witness_init(void);
const char *witness_state_path(void);
/* watchdog: its period, 0 for none. */
void witness_begin(struct trace *trace, usec_t watchdog, usec_t now);
/* Reads what has come. awake: the time without suspends and hangs, which excuse everybody. */
void witness_look(struct trace *trace, usec_t now, usec_t awake);
/* A line with what the state file and STATUS say, unless they say the same as before. */
void witness_state(struct trace *trace, usec_t now);
void witness_end(struct trace *trace, usec_t now, usec_t awake);
