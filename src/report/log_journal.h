/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The log's way to the journal, natively: sd_journal_sendv(3). */

#include "report/log.h"

/*
 * Whether stderr is the journal's own stream: JOURNAL_STREAM (systemd.exec(5))
 * names the device and inode that stderr has. A stderr that was redirected since
 * has others.
 */
bool log_journal_is_stderr(void);

/* 0, or a negative errno when the line did not reach the journal and has to go elsewhere. */
int log_journal_send(enum log_level level, enum event event, const char *message,
                     const struct log_field *fields);

/*
 * Returns when journald has read what was sent, or after a quarter of a second.
 * It learns the unit of a line from the sender's PID as it reads; of a process that
 * has ended it learns nothing, and the line is missing from `journalctl -u`.
 */
void log_journal_settle(void);
