# SPDX-License-Identifier: Apache-2.0
"""What the real journal has of the service, and how its readers find it; and that nothing of it is
lost when journald or systemd restart, or when /run is full."""

import os
import pathlib
import re
import shlex
import signal

from case import UNIT, MachineCase, boot, main
from harness import Line, wait_for

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
EVENTS = dict(re.findall(r'EVENT\((\w+), +"([0-9a-f]{32})"\)', (SOURCE / "src/report/event.h").read_text()))
SUBJECTS = dict(re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.*)$", (SOURCE / "units/mcp-optimizer.catalog").read_text(),
                           re.M))
NAMES = {id: name for name, id in EVENTS.items()}
PRIORITIES = {"7": "DEBUG", "6": "INFO", "4": "WARNING", "3": "ERROR", "2": "CRITICAL"}


def setUpModule():
    boot()


class Story(MachineCase):
    """Connected, moved, away until the end; and what each reader of the journal makes of it."""

    TOLD = [
        ("STARTED", 'Starting mcp-optimizer version=S mode=docker toolhive_max_retries="3 (environment)" '
                    'toolhive_initial_backoff="0.1 (environment)"'),
        ("CONNECTED", "Connected to ToolHive endpoint=http://127.0.0.1:50001 version=v0.44.0"),
        ("WORKLOADS_CHANGED", "Workload added name=workload-00000 status=running url=http://127.0.0.1:17520/mcp"),
        ("WORKLOADS_CHANGED", "Workloads polled total=1 running=1 skipped=0 added=1 removed=0 changed=0"),
        ("REGISTRY_CHANGED", "Registry polled servers=84 added=0 removed=0 last_updated=2026-02-18T00:24:11Z"),
        ("ATTEMPT_FAILED", 'ToolHive connection failed attempt=1 max_retries=3 error="Connection refused" '
                           "backoff_seconds=0.1"),
        ("REDISCOVERING", "Attempting to rediscover ToolHive port previous_port=50001"),
        ("PORT_CHANGED", "Successfully rediscovered ToolHive on new port old_port=50001 new_port=50002"),
        ("RETRYING_IMMEDIATELY", "Port rediscovery successful, retrying immediately new_port=50002"),
        ("RESTORED", "ToolHive connection restored endpoint=http://127.0.0.1:50002 attempts=1 outage_seconds=S"),
        *[entry for attempt, backoff in ((1, "0.1"), (2, "0.2"), (3, "0.0")) for entry in (
            ("ATTEMPT_FAILED", f"ToolHive connection failed attempt={attempt} max_retries=3 "
                               f'error="Connection refused" backoff_seconds={backoff}'),
            ("REDISCOVERING", "Attempting to rediscover ToolHive port previous_port=50002"))],
        ("EXHAUSTED", "All retry attempts exhausted. ToolHive is unavailable. total_attempts=3"),
        ("EXITING", 'ToolHive connection failure - exiting max_retries=3 last_error="Connection refused"'),
    ]

    def test(self):
        self.drop_in("[Service]\nRestartSec=300\n")
        standin = self.standin(workloads=1)
        self.start(toolhive_max_retries=3, toolhive_initial_backoff=0.1)
        self.wait_message("Registry polled")
        # There before it is gone here.
        standin.squat("elsewhere", port=50002)
        standin.stop_listening()
        self.wait_message("ToolHive connection restored")
        standin.stop_listening(server="elsewhere")
        self.wait_message("exiting")

        with self.subTest("journalctl -u mcp-optimizer"):
            entries = [entry for entry in self.machine.journal(self.since, f"--unit={UNIT}") if entry["_PID"] != "1"]
            self.assertEqual([(NAMES[entry["MESSAGE_ID"]], self.plain(entry["MESSAGE"])) for entry in entries],
                             self.TOLD)
        with self.subTest("fields"):
            for entry in entries:
                line = Line(f"{PRIORITIES[entry['PRIORITY']]:8} {entry['MESSAGE']}")
                self.assertEqual({key: value for key, value in entry.items() if key.startswith("TOOLHIVE_")},
                                 {f"TOOLHIVE_{key.upper()}": value for key, value in line.pairs.items()})
                self.assertEqual((entry["_SYSTEMD_UNIT"], entry["_COMM"]), (UNIT, "mcp-optimizer"))
        with self.subTest("priorities"):
            self.assertEqual({NAMES[entry["MESSAGE_ID"]] for entry in entries if entry["PRIORITY"] != "6"},
                             {"ATTEMPT_FAILED", "REDISCOVERING", "EXHAUSTED", "EXITING"})
        for words, expected in (
                (["--priority=crit"], ["EXITING"]),
                (["--priority=err"], ["EXHAUSTED", "EXITING"]),
                ([f"MESSAGE_ID={EVENTS['PORT_CHANGED']}"], ["PORT_CHANGED"]),
                ([f"MESSAGE_ID={EVENTS['ATTEMPT_FAILED']}"], ["ATTEMPT_FAILED"] * 4),
                (["TOOLHIVE_ATTEMPT=1"], ["ATTEMPT_FAILED"] * 2),
                (["TOOLHIVE_NEW_PORT=50002"], ["PORT_CHANGED", "RETRYING_IMMEDIATELY"])):
            with self.subTest(" ".join(words)):
                # Of systemd's own lines on the unit none is that bad, and none has our fields.
                self.assertEqual([NAMES[entry["MESSAGE_ID"]] for entry in self.machine.journal(
                    self.since, f"--unit={UNIT}", *words)], expected)
        with self.subTest("journalctl -x"):
            self.assert_explained({name for name, _ in self.TOLD})

    @staticmethod
    def plain(message):
        return re.sub(r"(?<=outage_seconds=)\d+\.\d{1,3}$|(?<= version=)[\d.]+(?= mode)", "S", message)

    def assert_explained(self, names):
        text = self.machine.run("journalctl", "--catalog", "--no-pager", self.since, f"--unit={UNIT}")
        for name in names:
            subject = re.sub("@[A-Z_]+@", "[^@]+", re.escape(SUBJECTS[EVENTS[name]]))
            self.assertRegex(text, f"░░ Subject: {subject}\n░░ Defined-By: mcp-optimizer\n")
        self.assertNotRegex(text, "@[A-Z_]+@", "a field that the event does not have")


class Readers(MachineCase):
    def test_the_catalog_has_every_event(self):
        listed = re.findall("^[0-9a-f]{32}", self.machine.run("journalctl", "--list-catalog"), re.M)
        self.assertEqual(set(EVENTS.values()) - set(listed), set())

    def test_the_commands_of_the_documentation(self):
        """What README and the man page say to type finds what they say."""
        self.drop_in("[Service]\nRestartSec=300\n")
        standin = self.standin()
        self.start(toolhive_max_retries=2, toolhive_initial_backoff=0.1)
        self.connected()
        standin.move(50002)
        self.wait_message("ToolHive connection restored")
        standin.stop_listening()
        self.wait_message("exiting")
        page = (SOURCE / "man/mcp-optimizer.8").read_text().replace("\\-", "-")
        commands = {*re.findall("`(journalctl [^`]*)`", (SOURCE / "README.md").read_text()),
                    *re.findall("^\\.B (journalctl (?:-u|-x -u|MESSAGE_ID).*)$", page, re.M)}
        self.assertGreaterEqual(len(commands), 7)
        for command in sorted(commands):
            with self.subTest(command):
                self.assertIn("mcp-optimizer" if "-o json" not in command else '"TOOLHIVE_OUTAGE_SECONDS"',
                              self.machine.run(*shlex.split(command), "--no-pager", self.since))

    def test_a_short_life(self):
        """An exit 78 comes some milliseconds after its lines, which journald reads later: the unit's all the same."""
        self.settings(toolhive_port=80)
        self.read_units()
        journald = self.machine.child("systemd-journal")
        for _ in range(10):
            os.kill(journald, signal.SIGSTOP)
            self.machine.systemctl("start", "--no-block", UNIT)
            wait_for(self.asleep_or_ended(), 5.0, "the process", interval=0.0002)
            os.kill(journald, signal.SIGCONT)
            self.wait_show(ActiveState="failed", ExecMainStatus="78")
            self.machine.systemctl("reset-failed", UNIT)
        lines = self.machine.journal(self.since, f"--unit={UNIT}", "--priority=crit")
        self.assertEqual([entry["MESSAGE"].partition(":")[0] for entry in lines], ["TOOLHIVE_PORT"] * 10)

    def asleep_or_ended(self):
        """Whether the process, whose only sleep comes after its line, has got there; no call takes long."""
        seen = False

        def look():
            nonlocal seen
            pid = self.machine.child("mcp-optimizer")
            if not pid:
                return seen
            seen = True
            try:
                return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "SZ"
            except (FileNotFoundError, ProcessLookupError):
                return True
        return look


class NothingIsLost(MachineCase):
    """While a burst of lines comes: 900 in one poll."""

    BURST = 900

    def service(self, **settings):
        self.drop_in("[Service]\nWatchdogSec=2\nRestartSec=300\n")
        standin = self.standin(workloads=0)
        self.start(workload_polling_interval=0.2, **settings)
        self.connected()
        return standin

    def assert_burst_arrives(self, first=0):
        def arrived():
            names = re.findall(r"^Workload added name=workload-(\d+) ", "\n".join(self.messages()), re.M)
            return len(names) >= first + self.BURST and names
        names = wait_for(arrived, 20.0, f"{first + self.BURST} lines", interval=0.1)
        self.assertEqual(sorted(names), [f"{number:05}" for number in range(first + self.BURST)])

    def assert_same(self, pid):
        self.assertEqual(self.show("MainPID", "NRestarts", "ActiveState"),
                         {"MainPID": str(pid), "NRestarts": "0", "ActiveState": "active"})

    def test_journald_restarts(self):
        standin = self.service()
        pid = self.pid()
        for turn in range(3):
            standin.control("workloads", count=(turn + 1) * self.BURST)
            self.machine.systemctl("restart", "systemd-journald")
            self.assert_burst_arrives(turn * self.BURST)
        self.assert_same(pid)

    def test_journald_is_slow(self):
        """Stopped for a while: its queue is full, and the service waits for it."""
        standin = self.service()
        pid = self.pid()
        self.machine.systemctl("kill", "--signal=STOP", "systemd-journald")
        standin.control("workloads", count=self.BURST)
        self.stays(1.0, ActiveState="active")
        self.machine.systemctl("kill", "--signal=CONT", "systemd-journald")
        self.assert_burst_arrives()
        self.assert_same(pid)

    def test_a_stop_does_not_wait_for_a_journald_that_hangs(self):
        self.service()
        self.machine.systemctl("kill", "--signal=STOP", "systemd-journald")
        try:
            self.assertLess(self.timed("stop"), 2.0)
        finally:
            self.machine.systemctl("kill", "--signal=CONT", "systemd-journald")
        self.wait_message("Stopped on request")
        self.assertEqual(self.value("Result"), "success")

    def test_systemd_is_executed_again(self):
        standin = self.service()
        pid = self.pid()
        standin.control("workloads", count=self.BURST)
        self.machine.systemctl("daemon-reexec")
        self.wait_status(f"Connected to ToolHive .* on port 50001: {self.BURST} workloads .*")
        self.assert_burst_arrives()
        # The watchdog's clock and STATUS go on.
        standin.move(50002)
        self.wait_status("Connected to ToolHive .* on port 50002: .*")
        self.stays(5.0, MainPID=pid, NRestarts=0, ActiveState="active")
        self.assertLess(self.timed("reload"), 1.0)
        self.wait_message("Reload requested")
        self.wait_show(ActiveState="active", SubState="running")
        self.assert_stops_at_once()

    def test_run_is_full(self):
        standin = self.service()
        pid = self.pid()
        self.machine.run("mount", "-o", "remount,size=16M", "/run")
        self.machine.done("dd", "if=/dev/zero", "of=/run/full", "bs=64k")
        self.machine.done("dd", "if=/dev/zero", "of=/run/fuller", "bs=1")
        try:
            before = self.machine.run("cat", "/run/mcp-optimizer/state.json")
            standin.control("workloads", count=self.BURST)
            standin.move(50002)
            self.wait_status("Connected to ToolHive .* on port 50002: .*", 10.0)
            self.assert_burst_arrives()
            warning, = [text for text in self.messages() if text.startswith("Cannot write")]
            self.assertEqual(warning, "Cannot write the state file path=/run/mcp-optimizer/state.json "
                                      'error="No space left on device"')
            # The last one that was whole, and the copy that a restart needs.
            self.assertEqual(self.machine.run("cat", "/run/mcp-optimizer/state.json"), before)
            self.assertIn('"port": 50002', self.machine.run("cat", "/var/lib/mcp-optimizer/state.json"))
            self.assert_same(pid)
        finally:
            self.machine.run("rm", "/run/full", "/run/fuller")
            self.machine.run("mount", "-o", "remount,size=1G", "/run")
        wait_for(lambda: '"port": 50002' in self.machine.run("cat", "/run/mcp-optimizer/state.json"),
                 what="the state file")
        self.assertEqual(self.machine.done("mcp-optimizer", "status").returncode, 0)
        self.assert_same(pid)


if __name__ == "__main__":
    main()
