/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The messages to systemd, read from a real socket, which stands where systemd's
 * would: what is sent, what is not sent again, and what happens when nobody
 * reads, or nobody is there.
 */

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "report/notify.h"
#include "suite.h"

#define START ((usec_t) 1000 * USEC_PER_SEC)

static char folder[] = "/tmp/test-notify-XXXXXX";
static struct sockaddr_un address;
static int receiver = -1;
static struct notify notify;

static void listen_at(const struct sockaddr_un *where, socklen_t size) {
        receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(receiver, 0);
        ck_assert_int_eq(bind(receiver, (const struct sockaddr *) where, size), 0);
}

static void setup(void) {
        memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
        ck_assert_ptr_nonnull(mkdtemp(folder));
        address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
        listen_at(&address, sizeof(address));

        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        unsetenv("WATCHDOG_USEC");
        unsetenv("WATCHDOG_PID");
        notify_init(&notify, START);
}

static void teardown(void) {
        notify_done(&notify);
        close(receiver);
        unlink(address.sun_path);
        rmdir(folder);
}

/* The next datagram, or NULL: whatever was sent is there already. */
static const char *received(void) {
        static char buffer[4096];
        ssize_t n = recv(receiver, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);

        if (n < 0)
                return NULL;
        buffer[n] = '\0';
        return buffer;
}

START_TEST(ready_once) {
        notify_ready(&notify);
        notify_ready(&notify);
        ck_assert_str_eq(received(), "READY=1");
        ck_assert_ptr_null(received());
}
END_TEST

START_TEST(status_when_it_changes) {
        notify_status(&notify, "Looking for ToolHive");
        notify_status(&notify, "Looking for ToolHive");
        notify_status(&notify, "Connected");
        notify_status(&notify, "Looking for ToolHive");
        ck_assert_str_eq(received(), "STATUS=Looking for ToolHive");
        ck_assert_str_eq(received(), "STATUS=Connected");
        ck_assert_str_eq(received(), "STATUS=Looking for ToolHive");
        ck_assert_ptr_null(received());
}
END_TEST

START_TEST(status_cannot_forge) {
        notify_status(&notify, "x\nREADY=1\nSTOPPING=1");
        ck_assert_str_eq(received(), "STATUS=x READY=1 STOPPING=1");
}
END_TEST

START_TEST(stopping) {
        notify_stopping();
        ck_assert_str_eq(received(), "STOPPING=1");
}
END_TEST

static usec_t monotonic(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (usec_t) now.tv_sec * USEC_PER_SEC + (usec_t) now.tv_nsec / 1000;
}

START_TEST(reloaded) {
        const char *datagram;
        usec_t before, told;

        /* Not before its time: READY would be taken for the end of the start. */
        notify_reloaded(&notify);
        ck_assert_ptr_null(received());

        notify_ready(&notify);
        ck_assert_str_eq(received(), "READY=1");

        before = monotonic();
        notify_reloaded(&notify);
        datagram = received();
        ck_assert_ptr_nonnull(datagram);
        ck_assert_int_eq(sscanf(datagram, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64, &told), 1);
        ck_assert_uint_ge(told, before);
        ck_assert_uint_le(told, monotonic());
        ck_assert_str_eq(received(), "READY=1");
        ck_assert_ptr_null(received());
}
END_TEST

static void init_watchdog(const char *usec, const char *pid) {
        notify_done(&notify);
        setenv("WATCHDOG_USEC", usec, 1);
        if (pid)
                setenv("WATCHDOG_PID", pid, 1);
        notify_init(&notify, START);
}

START_TEST(watchdog_half_period) {
        init_watchdog("60000000", NULL);
        ck_assert_uint_eq(notify.watchdog_period, 60 * USEC_PER_SEC);

        notify_progress(&notify, START + 30 * USEC_PER_SEC - 1);
        ck_assert_ptr_null(received());
        notify_progress(&notify, START + 30 * USEC_PER_SEC);
        ck_assert_str_eq(received(), "WATCHDOG=1");
        notify_progress(&notify, START + 31 * USEC_PER_SEC);
        ck_assert_ptr_null(received());

        /* After a suspend: late, and once. */
        notify_progress(&notify, START + 3600 * USEC_PER_SEC);
        notify_progress(&notify, START + 3600 * USEC_PER_SEC);
        ck_assert_str_eq(received(), "WATCHDOG=1");
        ck_assert_ptr_null(received());
}
END_TEST

START_TEST(watchdog_environment) {
        char pid[16];

        ck_assert_uint_eq(notify.watchdog_period, 0);
        notify_progress(&notify, START + 3600 * USEC_PER_SEC);
        ck_assert_ptr_null(received());

        (void) snprintf(pid, sizeof(pid), "%d", (int) getpid());
        init_watchdog("2000000", pid);
        ck_assert_uint_eq(notify.watchdog_period, 2 * USEC_PER_SEC);

        /* Somebody else's, and no number at all. */
        init_watchdog("2000000", "1");
        ck_assert_uint_eq(notify.watchdog_period, 0);
        init_watchdog("soon", pid);
        ck_assert_uint_eq(notify.watchdog_period, 0);
}
END_TEST

START_TEST(abstract_socket) {
        struct sockaddr_un abstract = { .sun_family = AF_UNIX };
        char name[64];

        (void) snprintf(name, sizeof(name), "@test-notify-%d", (int) getpid());
        memcpy(abstract.sun_path + 1, name + 1, strlen(name) - 1);
        close(receiver);
        listen_at(&abstract, (socklen_t) (offsetof(struct sockaddr_un, sun_path) + strlen(name)));

        setenv("NOTIFY_SOCKET", name, 1);
        notify_ready(&notify);
        ck_assert_str_eq(received(), "READY=1");
}
END_TEST

/* No systemd, or an address that is none: nothing happens, and nothing is owed to a systemd that is not there. */
START_TEST(nobody_there) {
        static const char *const names[] = { NULL, "", "relative", "vsock:2:1234" };
        char long_name[300];

        memset(long_name, 'x', sizeof(long_name) - 1);
        long_name[0] = '/';
        long_name[sizeof(long_name) - 1] = '\0';

        for (size_t i = 0; i <= ELEMENTSOF(names); i++) {
                const char *name = i < ELEMENTSOF(names) ? names[i] : long_name;

                unsetenv("NOTIFY_SOCKET");
                if (name)
                        setenv("NOTIFY_SOCKET", name, 1);
                init_watchdog("2000000", NULL);
                notify_ready(&notify);
                notify_status(&notify, "Here");
                notify_progress(&notify, START + 3600 * USEC_PER_SEC);
                notify_reloaded(&notify);
                notify_stopping();
                ck_assert_ptr_null(received());
        }

        unsetenv("NOTIFY_SOCKET");
        notify_done(&notify);
        notify_init(&notify, START);
        notify_ready(&notify);
        ck_assert(notify.ready);
        ck_assert(!notify.ready_owed);
}
END_TEST

/* What was dropped is made up for: systemd would wait for a READY until it gives the start up. */
START_TEST(dropped_and_owed) {
        close(receiver);
        unlink(address.sun_path);
        init_watchdog("60000000", NULL);
        notify_ready(&notify);
        notify_status(&notify, "Here");
        notify_progress(&notify, START + 30 * USEC_PER_SEC);

        listen_at(&address, sizeof(address));
        notify_progress(&notify, START + 31 * USEC_PER_SEC);
        notify_status(&notify, "Here");
        notify_progress(&notify, START + 32 * USEC_PER_SEC);
        ck_assert_str_eq(received(), "READY=1");
        ck_assert_str_eq(received(), "WATCHDOG=1");
        ck_assert_str_eq(received(), "STATUS=Here");
        ck_assert_ptr_null(received());
}
END_TEST

/* A systemd that does not read holds nobody up; the time-out of the test case is the judge. */
START_TEST(nobody_reads) {
        int filler = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(filler, 0);
        while (sendto(filler, "x", 1, 0, (struct sockaddr *) &address, sizeof(address)) == 1)
                ;
        ck_assert_int_eq(errno, EAGAIN);
        close(filler);

        init_watchdog("60000000", NULL);
        notify_ready(&notify);
        notify_status(&notify, "Here");
        notify_progress(&notify, START + 30 * USEC_PER_SEC);
        notify_stopping();

        while (received())
                ;
        notify_progress(&notify, START + 31 * USEC_PER_SEC);
        ck_assert_str_eq(received(), "READY=1");
        ck_assert_str_eq(received(), "WATCHDOG=1");
        ck_assert_ptr_null(received());
}
END_TEST

int main(void) {
        Suite *suite = suite_create("notify");
        TCase *messages = tcase_create("messages");

        tcase_add_checked_fixture(messages, setup, teardown);
        tcase_set_timeout(messages, 30);
        tcase_add_test(messages, ready_once);
        tcase_add_test(messages, status_when_it_changes);
        tcase_add_test(messages, status_cannot_forge);
        tcase_add_test(messages, stopping);
        tcase_add_test(messages, reloaded);
        tcase_add_test(messages, watchdog_half_period);
        tcase_add_test(messages, watchdog_environment);
        tcase_add_test(messages, abstract_socket);
        tcase_add_test(messages, nobody_there);
        tcase_add_test(messages, dropped_and_owed);
        tcase_add_test(messages, nobody_reads);
        suite_add_tcase(suite, messages);

        return suite_run(suite);
}
