/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The service: the main thread, which owns signals and the process's end. It
 * starts the worker, and from then on sleeps until a signal comes or the worker
 * has ended.
 */

#include "base/option.h"

/* The exit codes of the service; the unit and the man page know them. */
enum service_exit {
        SERVICE_STOPPED = 0,            /* on request */
        SERVICE_EXHAUSTED = 1,          /* the attempts are spent */
        SERVICE_CONFIG = 78,            /* EX_CONFIG, sysexits.h */
};

/* Runs the service in the foreground; returns its exit code. */
int service_run(const struct configuration *configuration);
