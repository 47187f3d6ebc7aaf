/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What systemd is told (sd_notify(3)): READY, STATUS, WATCHDOG, RELOADING by the
 * worker, STOPPING by the main thread. Without NOTIFY_SOCKET every call does
 * nothing. A datagram that cannot be sent within 200 ms is dropped: systemd's
 * time-outs are the judge of that, not we.
 */

#include "base/util.h"

struct notify {
        usec_t watchdog_period;         /* 0: no watchdog is asked for */
        usec_t last_ping;               /* CLOCK_BOOTTIME */
        bool ready;                     /* was reported, or is owed */
        bool ready_owed;                /* its datagram was dropped: sent again at progress */
        char *status;                   /* as last sent: repeats are not */
};

/* Reads WATCHDOG_USEC and WATCHDOG_PID; now in CLOCK_BOOTTIME. */
void notify_init(struct notify *notify, usec_t now);
void notify_done(struct notify *notify);

void notify_ready(struct notify *notify);               /* once; later calls do nothing */
void notify_status(struct notify *notify, const char *status);
/* Pings when half the period has passed since the last ping. */
void notify_progress(struct notify *notify, usec_t now);
/* RELOADING=1 with MONOTONIC_USEC in one datagram, then READY=1; nothing before notify_ready(). */
void notify_reloaded(struct notify *notify);
/* STOPPING=1; from the main thread, touches no struct. */
void notify_stopping(void);
