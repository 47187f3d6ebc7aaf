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
