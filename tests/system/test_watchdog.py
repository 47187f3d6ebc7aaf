# SPDX-License-Identifier: Apache-2.0
"""The watchdog: it kills a worker that hangs, and no other.

systemd-journal-upload, the closest relative (a blocking libcurl under a watchdog), is reported for
being killed by it while idle or blocked, for hanging on a port that swallows everything, deaf to
SIGTERM, and for leaving at the first refusal. Each of these is a test here. WatchdogSec= is shorter
than the unit's: what is tested is not its length.
"""

import pathlib
import subprocess
import sys
import time

from case import LIST, LIST_ROUTE, SOON, UNIT, MachineCase, boot, main
from harness import Process, lasted, spawn, wait_for

# Nobody's address (RFC 5737). A route of this network of ours sends its packets where nobody takes them.
BLACK_HOLE = "192.0.2.2"
SECONDS = 1.0
SHORT = f"[Service]\nWatchdogSec={SECONDS:g}\n"


def setUpModule():
    subprocess.run(["ip", "route", "add", f"{BLACK_HOLE}/32", "dev", "lo", "src", "127.0.0.1"], check=True)
    boot()


class Frozen(MachineCase):
    def service(self):
        self.drop_in(SHORT + "RestartSec=100ms\n")
        self.standin()
        self.start()
        self.connected()
        return self.pid()

    def assert_killed(self, since, pid):
        self.wait_show(10.0, NRestarts="1", ActiveState="active")
        # By SIGABRT at once, not by SIGKILL after another five seconds.
        self.assertLess(lasted(since), SECONDS + 3)
        self.assertIn(f"{UNIT}: Failed with result 'watchdog'.",
                      [entry["MESSAGE"] for entry in self.machine.journal(self.since, f"--unit={UNIT}")])
        self.assertNotEqual(self.pid(), pid)
        self.connected()

    def test_a_worker_under_a_debugger(self):
        """The main thread lives, and does not ping in its place."""
        pid = self.service()
        threads = self.machine.run("ls", f"/proc/{pid}/task").split()
        worker, = [thread for thread in threads if int(thread) != pid]
        freeze = pathlib.Path(__file__).with_name("freeze.py")
        # In there for the number of the thread only: Python is ours.
        start = time.monotonic()
        with Process(spawn([*self.machine.into("--pid"), sys.executable, str(freeze), worker],
                           stdout=subprocess.PIPE)) as freezer:
            self.assertEqual(freezer.child.stdout.readline(), b"frozen\n")
            self.assert_killed(start, pid)

    def test_a_process_that_is_stopped(self):
        pid = self.service()
        start = time.monotonic()
        self.machine.systemctl("kill", "--signal=STOP", UNIT)
        self.assert_killed(start, pid)


class Alive(MachineCase):
    """Each for several times the watchdog's period: the same process, and it stops when it is told to."""

    def assert_lives(self, periods=3):
        pid = self.pid()
        self.stays(periods * SECONDS, MainPID=pid, NRestarts=0, ActiveState="active")
        self.assert_stops_at_once()

    def begin(self, **settings):
        self.drop_in(SHORT)
        self.start(**settings)

    def test_idle(self):
        self.standin()
        self.begin(workload_polling_interval=300)
        self.connected()
        self.assert_lives(5)

    def test_with_nothing_left_to_poll(self):
        self.standin()
        self.begin(workload_polling_interval=0, registry_polling_interval=0)
        self.connected()
        self.assert_lives()

    def test_waiting_for_the_next_attempt(self):
        """Refused, once and again: it waits and does not exit."""
        self.begin(toolhive_initial_backoff=1)
        self.wait_message("ToolHive connection failed attempt=1 ")
        self.assert_lives(5)
        self.wait_message("ToolHive connection failed attempt=2 ")

    def test_in_the_longest_wait(self):
        self.begin(toolhive_initial_backoff=10, toolhive_max_backoff=300)
        self.wait_message("ToolHive connection failed")
        self.assert_lives()

    def test_blocked_in_a_request(self):
        standin = self.standin()
        standin.behave("hang", route=LIST_ROUTE)
        self.begin(toolhive_timeout=60)
        wait_for(lambda: standin.requests(LIST), what="the request that hangs")
        self.assert_lives()

    def test_a_body_in_drips(self):
        standin = self.standin()
        standin.behave("drip-body", route=LIST_ROUTE)
        self.begin(toolhive_timeout=60)
        wait_for(lambda: standin.requests(LIST), what="the request")
        self.assert_lives()

    def test_a_port_that_swallows_everything(self):
        """A connection that never stands, as behind a firewall that drops."""
        self.begin(toolhive_api_url=f"http://{BLACK_HOLE}:50001", toolhive_timeout=60)
        self.assert_lives()

    def test_a_host_that_swallows_everything(self):
        """All of the range and 8080, again and again."""
        self.begin(toolhive_host=BLACK_HOLE, toolhive_timeout=1, toolhive_initial_backoff=0.1)
        self.wait_message('error="Timed out after ', 10.0)
        self.assert_lives()

    def test_a_name_server_that_is_silent(self):
        self.machine.write("/etc/resolv.conf", f"nameserver {BLACK_HOLE}\n")
        self.addCleanup(self.machine.path("/etc/resolv.conf").unlink)
        self.begin(toolhive_host="toolhive.example.org", toolhive_timeout=60)
        self.assert_lives()


class Refused(MachineCase):
    def test_a_refusal_is_not_the_end(self):
        self.drop_in(SOON)
        self.start()
        self.wait_message("ToolHive connection failed attempt=3 ", 10.0)
        self.assertEqual(self.show("ActiveState", "NRestarts"), {"ActiveState": "active", "NRestarts": "0"})
        self.standin()
        self.connected(10.0)
        self.assertEqual(self.value("NRestarts"), "0")


if __name__ == "__main__":
    main()
