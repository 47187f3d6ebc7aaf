# SPDX-License-Identifier: Apache-2.0
"""The unit under a real systemd: start, stop, reload, settings, and what follows an end."""

import re
import time

from case import LIST, LIST_ROUTE, LONG, SOON, UNIT, MachineCase, boot, main
from harness import lasted, wait_for


def setUpModule():
    boot()


class Start(MachineCase):
    def assert_started(self, seconds, limit=1.0):
        self.assertLess(seconds, limit)
        self.assertEqual(self.show("ActiveState", "SubState"), {"ActiveState": "active", "SubState": "running"})
        # READY promises the state file.
        self.machine.run("test", "-s", "/run/mcp-optimizer/state.json")

    def test_with_toolhive_away(self):
        self.assert_started(self.start())
        self.wait_status(r"ToolHive unavailable \(Connection refused\): attempt 1 of 100, next try at \d\d:\d\d:\d\d")
        self.assertIn('Status: "ToolHive unavailable (Connection refused): attempt ',
                      self.machine.systemctl("status", "--no-pager", UNIT))

    def test_with_toolhive_there(self):
        self.standin()
        self.assert_started(self.start())
        text = "Connected to ToolHive v0.44.0 on port 50001: 5 workloads (5 running), 84 servers in the registry"
        self.wait_status(re.escape(text))
        self.assertIn(f'Status: "{text}"', self.machine.systemctl("status", "--no-pager", UNIT))

    def test_with_a_toolhive_that_hangs(self):
        """The first attempt has not concluded: READY after 1 s."""
        self.standin().behave("hang")
        self.assert_started(self.start(toolhive_port=50001, toolhive_timeout=60), 2.0)

    def test_a_degraded_one(self):
        self.standin().behave("status", route=LIST_ROUTE, code=500)
        self.assert_started(self.start())
        self.wait_status("Degraded: ToolHive answers 500 to list workloads")


class Boot(MachineCase):
    def test_a_hanging_toolhive_holds_neither_boot_nor_shutdown(self):
        """As shipped, enabled by the package; the same disk in both boots."""
        standin = self.standin()
        standin.behave("hang")
        self.settings(toolhive_port=50001, toolhive_timeout=60)
        self.machine.power_off()
        self.machine.boot()
        # By its own clock, since a machine that is busy boots slowly: READY comes after 1 s.
        times = {name: int(value) / 1e6 for name, value in self.show(
            "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic").items()}
        self.assertLess(times["ActiveEnterTimestampMonotonic"] - times["InactiveExitTimestampMonotonic"], 3.0)
        self.assertEqual(self.machine.systemctl("is-active", "multi-user.target").strip(), "active")
        wait_for(lambda: standin.connections(), what="its request")
        self.assertLess(self.machine.power_off(), 5.0, "TimeoutStopSec= was needed")
        self.machine.boot()
        self.assertIn("Stopped on request signal=SIGTERM", "\n".join(self.messages("--boot=-1")))


class Stop(MachineCase):
    def test_between_polls(self):
        self.standin()
        self.start()
        self.connected()
        self.assert_stops_at_once()

    def test_while_waiting_for_the_next_attempt(self):
        self.start(**LONG)
        self.wait_message("ToolHive connection failed")
        self.assert_stops_at_once()

    def test_within_a_request(self):
        standin = self.standin()
        standin.behave("hang", route=LIST_ROUTE)
        self.start(toolhive_timeout=60)
        wait_for(lambda: standin.requests(LIST), what="the request that hangs")
        self.assert_stops_at_once()

    def test_its_folder_goes_and_its_state_stays(self):
        self.standin()
        self.start()
        self.connected()
        self.machine.systemctl("stop", UNIT)
        self.assertNotEqual(self.machine.done("test", "-e", "/run/mcp-optimizer").returncode, 0)
        self.assertIn("workload-00004", self.machine.run("cat", "/var/lib/mcp-optimizer/state.json"))


class Reload(MachineCase):
    def assert_reloads(self):
        pid = self.pid()
        self.assertLess(self.timed("reload"), 1.0)
        start = time.monotonic()
        self.wait_message("Reload requested", 1.0)
        self.wait_show(1.0, ActiveState="active", SubState="running")
        self.assertLess(lasted(start), 1.0)
        self.assertEqual(self.pid(), pid)

    def test_cuts_a_wait_short(self):
        self.start(**LONG)
        self.wait_message("attempt=1 ")
        self.assert_reloads()
        self.wait_message("attempt=2 ", 1.0)

    def test_polls_at_once(self):
        standin = self.standin()
        self.start()
        self.connected()
        standin.reset()
        self.assert_reloads()
        wait_for(lambda: standin.requests(LIST), 1.0, "the poll")

    def test_does_not_read_settings(self):
        self.start(**LONG)
        self.settings(toolhive_max_retries=7)
        self.assert_reloads()
        self.wait_message("attempt=2 max_retries=100")


class Settings(MachineCase):
    def test_systemctl_edit(self):
        """The command itself, with an editor that needs no hands."""
        self.standin(port=40007)
        self.start(**LONG)
        self.wait_status("ToolHive unavailable .*")
        self.machine.write("/root/new", "[Service]\nEnvironment=TOOLHIVE_PORT=40007\n")
        self.machine.write("/root/editor", '#!/bin/sh\ncat /root/new > "$1"\n', 0o755)
        # It wants a terminal.
        self.machine.run("script", "--quiet", "--return", "--command",
                         "SYSTEMD_EDITOR=/root/editor systemctl edit mcp-optimizer", "/dev/null")
        self.machine.systemctl("restart", UNIT)
        self.wait_status("Connected to ToolHive v0.44.0 on port 40007: .*")
        self.assertIn('toolhive_port="40007 (environment)"',
                      [text for text in self.messages() if text.startswith("Starting")][-1])

    def test_a_bad_one_is_not_tried_again(self):
        self.drop_in(SOON)
        self.settings(toolhive_port=80, toolhive_max_retries="many")
        self.read_units()
        self.assertNotEqual(self.machine.done("systemctl", "start", UNIT).returncode, 0)
        self.wait_show(ActiveState="failed", SubState="failed", Result="exit-code", ExecMainStatus="78", NRestarts="0")
        self.stays(1.0, ActiveState="failed", NRestarts=0)
        self.assertEqual([text.partition(":")[0] for text in self.messages("--priority=crit")],
                         ["TOOLHIVE_PORT", "TOOLHIVE_MAX_RETRIES"])


class Policy(MachineCase):
    """What systemd makes of exit 1. One test has the unit's own ten seconds; the others, which are
    about something else, have less."""

    def test_it_is_restarted_after_ten_seconds(self):
        self.settings(toolhive_max_retries=1)
        self.start()
        ended = self.wait_message("ToolHive connection failure - exiting")
        self.wait_show(ActiveState="activating", SubState="auto-restart", ExecMainStatus="1", Result="exit-code")
        again = self.wait_message("Starting mcp-optimizer", 15.0, count=2)
        seconds = (int(again["__MONOTONIC_TIMESTAMP"]) - int(ended["__MONOTONIC_TIMESTAMP"])) / 1e6
        self.assertTrue(10.0 <= seconds < 12.0, seconds)
        self.assertEqual(self.value("NRestarts"), "1")

    def test_quick_failure_never_latches(self):
        """More often than systemd's own limit of 5 starts in 10 s allows."""
        self.example("quick-failure.conf")
        self.drop_in(SOON)
        self.settings(toolhive_initial_backoff=0.1)
        self.start()
        start = time.monotonic()
        wait_for(lambda: self.assertNotEqual(self.value("ActiveState"), "failed") or int(self.value("NRestarts")) >= 8,
                 30.0, "eight restarts", interval=0.05)
        self.assertLess(lasted(start), 9.5, "too slow to say anything about the limit")
        self.standin()
        self.connected(10.0)

    def test_alert(self):
        self.example("alert.conf")
        self.example("mcp-optimizer-alert.service", "/etc/systemd/system/")
        self.drop_in(SOON)
        self.settings(toolhive_max_retries=1)
        self.start()
        self.wait_show(10.0, ActiveState="failed", SubState="failed")
        self.assertEqual(len([text for text in self.messages() if text.startswith("Starting")]), 3)
        alert, = wait_for(lambda: self.machine.journal(
            self.since, "--identifier=mcp-optimizer-alert"), what="the alert")
        self.assertEqual((alert["PRIORITY"], alert["MESSAGE"]),
                         ("1", "mcp-optimizer is down; see: journalctl -x -u mcp-optimizer"))
        # It stays down when ToolHive is back, until told.
        self.standin()
        self.stays(1.0, ActiveState="failed")
        self.machine.systemctl("reset-failed", UNIT)
        self.start()
        self.connected()

    def test_a_crash_is_restarted_and_loses_nothing(self):
        self.drop_in(SOON)
        standin = self.standin()
        self.start(registry_polling_interval=0)
        self.connected()
        standin.stop_listening()
        self.machine.systemctl("kill", "--signal=SEGV", UNIT)
        self.wait_show(NRestarts="1", ActiveState="active")
        self.wait_status("ToolHive unavailable .*")
        status = self.machine.run("mcp-optimizer", "status", check=False)
        self.assertIn(" Workloads: 5 (5 running)", status)
        self.assertIn("  Registry: 84 servers", status)
        standin.start_listening()
        self.connected()


if __name__ == "__main__":
    main()
