/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The cluster that server.h plays, for the source's operations and for the worker's life. */

#include "source/kubernetes_watch.h"
#include "virtual.h"

/* The server anew, and the file with the token that it asks for: in the folder of torture_path(). */
void cluster_renew(void);
/* What leads to both; valid for as long as the process lives. */
void cluster_settings(struct settings *ret_settings);

/* source_ops.wait on a virtual waiter: time passes when nothing is on its way from the server. */
int cluster_wait(struct source *source, usec_t deadline, unsigned mask);
