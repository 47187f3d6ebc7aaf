/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What systemd is told
 *
 * The protocol is a datagram of assignments to the socket that NOTIFY_SOCKET
 * names, and is spoken here directly: sd_notify(3) waits without limit while
 * systemd does not read, and would hold the worker, or a stop, for as long. Here
 * a datagram waits SEND_TIMEOUT for its place in the queue; then it is dropped.
 * A ping that was dropped stays due, and so does a READY, for which a start would
 * wait in vain; a status is sent again when it is set again.
 *
 * Sending a ping is a claim of progress. This module decides only when one is
 * due; that nothing but progress leads to it is up to who calls.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/text.h"
#include "report/notify.h"

/* Less than the time that a stop waits for the worker. */
#define SEND_TIMEOUT (200 * USEC_PER_MSEC)

/* A path, or '@' and the name of an abstract socket (unix(7)). 0, or -EINVAL for another kind. */
static int socket_address(const char *name, struct sockaddr_un *address, socklen_t *ret_size) {
        size_t size = strlen(name);

        if ((name[0] != '/' && name[0] != '@') || size >= sizeof(address->sun_path))
                return -EINVAL;

        *address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        memcpy(address->sun_path, name, size);
        if (name[0] == '@')
                address->sun_path[0] = '\0';
        else
                size++;

        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + size);
        return 0;
}

/* 0, also when nobody wants to know; or a negative errno when the datagram was dropped. */
static int send_state(const char *state) {
        static const struct timeval timeout = { .tv_usec = SEND_TIMEOUT };
        const char *name = getenv("NOTIFY_SOCKET");
        _cleanup_(closep) int fd = -1;
        struct sockaddr_un address;
        socklen_t size;
        int r;

        if (!name || !*name)
                return 0;

        r = socket_address(name, &address, &size);
        if (r < 0)
                return r;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
                return -errno;

        if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *) &address, size) < 0)
                return -errno;

        return 0;
}

void notify_init(struct notify *notify, usec_t now) {
        uint64_t period = 0;

        *notify = (struct notify) { .last_ping = now };
        if (sd_watchdog_enabled(0, &period) > 0)
                notify->watchdog_period = period;
}

void notify_done(struct notify *notify) {
        free(notify->status);
        *notify = (struct notify) {};
}

static void send_ready(struct notify *notify) {
        notify->ready_owed = send_state("READY=1") < 0;
}

void notify_ready(struct notify *notify) {
        if (notify->ready)
                return;

        notify->ready = true;
        send_ready(notify);
}

void notify_status(struct notify *notify, const char *status) {
        _cleanup_text_ struct text state = TEXT_INIT;

        if (notify->status && strcmp(notify->status, status) == 0)
                return;

        text_add(&state, "STATUS=");
        text_add(&state, status);
        if (text_error(&state) < 0)
                return;

        /* A newline ends an assignment: what follows it would be another one. */
        for (char *c = state.data; (c = strchr(c, '\n')); )
                *c = ' ';

        free(STEAL(notify->status));
        if (send_state(state.data) == 0)
                notify->status = strdup(status);
}

void notify_progress(struct notify *notify, usec_t now) {
        if (notify->ready_owed)
                send_ready(notify);

        if (notify->watchdog_period == 0 ||
            usec_sub(now, notify->last_ping) < notify->watchdog_period / 2)
                return;

        if (send_state("WATCHDOG=1") == 0)
                notify->last_ping = now;
}

void notify_reloaded(struct notify *notify) {
        _cleanup_text_ struct text state = TEXT_INIT;
        struct timespec now = {};

        /* READY would come before its time; systemd takes RELOADING from a running service only. */
        if (!notify->ready)
                return;

        /* The protocol asks for CLOCK_MONOTONIC, which no wait of this program runs on. */
        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        text_addf(&state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                  (usec_t) now.tv_sec * USEC_PER_SEC + (usec_t) now.tv_nsec / 1000);
        if (text_error(&state) < 0)
                return;

        /* A reload that systemd was told of has to end for it, too. */
        if (send_state(state.data) == 0)
                send_ready(notify);
}

void notify_stopping(void) {
        (void) send_state("STOPPING=1");
}
