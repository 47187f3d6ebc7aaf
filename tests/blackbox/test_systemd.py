#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What systemd sees: READY, STATUS, WATCHDOG, STOPPING and RELOADING on a real socket; and the log in
each of its formats, to the journal too, for which a socket of our own takes the journal's place."""

import contextlib
import itertools
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

from scene import API, LIST, LIST_ROUTE, Scene, connected, failed, given_up, told
from harness import SLOWNESS, NotifySocket, lasted, main, state, wait_for

LONG = {"toolhive_initial_backoff": 10, "toolhive_max_backoff": 300}


class NotifyScene(Scene):
    """Each program has a notify socket of its own: program.notify."""

    def optimizer(self, *arguments, **settings):
        notify = self.enter_context(NotifySocket())
        program = super().optimizer(*arguments, notify=notify, **settings)
        program.notify = notify
        return program


class TestReady(unittest.TestCase):
    def ready(self, optimizer):
        """The moment of READY, which comes once and finds the state file there."""
        message = optimizer.notify.wait("READY=1")
        self.assertIsNotNone(state(optimizer))
        self.assertEqual(len(optimizer.notify.messages("READY")), 1)
        return message.time

    def test_connected(self):
        with NotifyScene() as scene:
            standin = scene.standin(workloads=5)
            standin.control("workloads", status={"workload-00002": "stopped"})
            standin.control("registry", servers=74, remote_servers=5)
            optimizer = scene.optimizer()
            self.ready(optimizer)
            wanted = (f"Connected to ToolHive v0.44.0 on port {scene.port}: "
                      "5 workloads (4 running), 79 servers in the registry")
            self.assertEqual(optimizer.notify.wait(wanted).fields["STATUS"], wanted)
            self.assertEqual({message.pid for message in optimizer.notify.messages()}, {optimizer.pid})
            self.assertNotIn("WATCHDOG=1", [message.text for message in optimizer.notify.messages()])

    def test_at_once_when_toolhive_is_away(self):
        with NotifyScene() as scene:
            scene.skip_if_8080_is_taken(self)
            optimizer = scene.optimizer()
            self.assertLess(lasted(optimizer.started, self.ready(optimizer)), 0.5)
            status = optimizer.notify.wait("next try at").fields["STATUS"]
            self.assertRegex(status, r"^ToolHive unavailable \(Connection refused\): attempt 1 of 100, "
                                     r"next try at \d\d:\d\d:\d\d$")

    def test_after_a_second_when_toolhive_hangs(self):
        with NotifyScene() as scene:
            started = {}
            for behaviour in ("silence", "backlog-full", "hang", f"hang,route=GET {API}/version",
                              f"hang,route={LIST_ROUTE}", f"drip-body,route={LIST_ROUTE}"):
                there = scene.enter_context(NotifyScene())
                there.standin(misbehave=behaviour)
                started[behaviour] = there.optimizer(toolhive_timeout=60)
            started["start-up delay"] = scene.optimizer(startup_polling_delay=300)
            for what, optimizer in started.items():
                with self.subTest(what=what):
                    moment = self.ready(optimizer)
                    self.assertGreater(moment - optimizer.started, 1)
                    self.assertLess(lasted(optimizer.started, moment), 1 + 0.5)

    def test_status_follows(self):
        with NotifyScene() as scene:
            standin, optimizer = scene.both(workload_polling_interval=0.2)
            standin.behave("status", route=LIST_ROUTE, code=500)
            wanted = "Degraded: ToolHive answers 500 to list workloads"
            self.assertEqual(optimizer.notify.wait(wanted).fields["STATUS"], wanted)
            standin.clear()
            standin.stop_listening()
            optimizer.notify.wait("ToolHive unavailable (Connection refused): attempt 2 of 100, next try at ")
            standin.start_listening()
            optimizer.wait_line("connection restored")
            wait_for(lambda: "STATUS=Connected to " in optimizer.notify.messages("STATUS")[-1].text)
            # A line is for a person: it is told when it changes.
            lines = [message.text for message in optimizer.notify.messages("STATUS")]
            self.assertFalse([a for a, b in zip(lines, lines[1:]) if a == b])


class TestWatchdog(unittest.TestCase):
    def test_pings_prove_progress_wherever_the_worker_is(self):
        period = 0.6
        environment = {"WATCHDOG_USEC": str(int(period * 1e6))}
        watched = {}
        with contextlib.ExitStack() as stack:
            for behaviour in (f"hang,route={LIST_ROUTE}", f"drip-body,route={LIST_ROUTE}", "silence"):
                scene = stack.enter_context(NotifyScene())
                scene.standin(misbehave=behaviour)
                watched[behaviour] = scene.optimizer(toolhive_timeout=60, environment=environment)
            scene = stack.enter_context(NotifyScene())
            watched["backoff"] = scene.optimizer(environment=environment, **LONG)
            scene = stack.enter_context(NotifyScene())
            watched["between polls"] = scene.both(environment=environment)[1]
            scene = stack.enter_context(NotifyScene())
            not_ours = scene.optimizer(environment={**environment, "WATCHDOG_PID": "1"}, **LONG)

            for what, optimizer in watched.items():
                with self.subTest(what=what):
                    wait_for(lambda: len(optimizer.notify.messages("WATCHDOG")) >= 5)
                    pings = optimizer.notify.messages("WATCHDOG")
                    self.assertEqual({ping.text for ping in pings}, {"WATCHDOG=1"})
                    times = [optimizer.started, *(ping.time for ping in pings)]
                    self.assertLess(max(itertools.starmap(lasted, itertools.pairwise(times))), period)
                    # Due at half the period, and not before; a gap can be short only after a late one.
                    self.assertGreater(times[-1] - times[0], len(pings) * (period / 2 - 0.01))
            self.assertEqual(not_ours.notify.messages("WATCHDOG"), [])


class TestStopping(unittest.TestCase):
    def test_is_told_as_the_signal_arrives(self):
        with NotifyScene() as scene:
            standin = scene.standin(misbehave=f"hang,route={LIST_ROUTE}")
            optimizer = scene.optimizer()
            wait_for(lambda: standin.requests(LIST))
            start = time.monotonic()
            self.assertEqual(optimizer.terminate()[0], 0)
            self.assertLess(lasted(start, optimizer.notify.wait("STOPPING=1").time), 0.3)
            self.assertEqual(len(optimizer.notify.messages("STOPPING")), 1)

    def test_also_when_the_attempts_are_spent(self):
        with NotifyScene() as scene:
            optimizer = scene.optimizer(toolhive_max_retries=2)
            self.assertEqual(optimizer.finish()[0], 1)
            optimizer.notify.wait("READY=1")
            optimizer.notify.wait("STOPPING=1")


class TestReloading(unittest.TestCase):
    def assert_reloads(self, optimizer):
        optimizer.notify.wait("READY=1")
        before = time.monotonic()
        optimizer.signal(signal.SIGHUP)
        message = optimizer.notify.wait("RELOADING=1")
        self.assertLess(lasted(before, message.time), 0.5)
        self.assertEqual(list(message.fields), ["RELOADING", "MONOTONIC_USEC"], "both in one datagram")
        moment = int(message.fields["MONOTONIC_USEC"]) / 1e6
        self.assertTrue(before - 0.001 <= moment <= message.time, (before, moment, message.time))
        wait_for(lambda: len(optimizer.notify.messages("READY")) == 2)
        ready = optimizer.notify.messages("READY")[1]
        self.assertEqual(ready.text, "READY=1")
        self.assertLess(lasted(before, ready.time), 0.5)
        order = [message.text.split("=")[0] for message in optimizer.notify.messages()
                 if "STATUS" not in message.fields]
        self.assertEqual(order, ["READY", "RELOADING", "READY"])

    def test_between_polls(self):
        with NotifyScene() as scene:
            self.assert_reloads(scene.both()[1])

    def test_while_waiting_for_the_next_attempt(self):
        with NotifyScene() as scene:
            self.assert_reloads(scene.optimizer(**LONG))

    def test_from_within_a_transfer(self):
        with NotifyScene() as scene:
            standin, optimizer = scene.both()
            standin.reset()
            standin.behave("hang", route=LIST_ROUTE)
            optimizer.signal(signal.SIGHUP)
            wait_for(lambda: standin.requests(LIST))
            wait_for(lambda: len(optimizer.notify.messages("RELOADING")) == 1)
            again = time.monotonic()
            optimizer.signal(signal.SIGHUP)
            wait_for(lambda: len(optimizer.notify.messages("RELOADING")) == 2)
            self.assertLess(lasted(again, optimizer.notify.messages("RELOADING")[1].time), 0.5)
            wait_for(lambda: len(optimizer.notify.messages("READY")) == 3)
            self.assertEqual(len(standin.requests(LIST)), 1)


class TestLog(unittest.TestCase):
    def test_text_is_plain_and_has_no_time(self):
        with Scene() as scene:
            optimizer = scene.optimizer(toolhive_max_retries=1, environment={"TERM": "xterm"})
            optimizer.finish()
            self.assertEqual([line.level for line in optimizer.lines()],
                             ["INFO", "WARNING", "ERROR", "CRITICAL"])
            self.assertNotIn("\x1b", "".join(line.text for line in optimizer.lines()))

    def test_level(self):
        for level, expected in (("WARNING", ["WARNING", "ERROR", "CRITICAL"]), ("CRITICAL", ["CRITICAL"])):
            with Scene() as scene:
                optimizer = scene.optimizer(toolhive_max_retries=1, log_level=level)
                optimizer.finish()
                self.assertEqual([line.level for line in optimizer.lines()], expected)

    def test_json(self):
        with Scene() as scene:
            scene.skip_if_8080_is_taken(self)
            before = time.time()
            optimizer = scene.optimizer(toolhive_max_retries=2, toolhive_initial_backoff=0.25,
                                        log_format="json")
            self.assertEqual(optimizer.finish()[0], 1)
            entries = [json.loads(line.text) for line in optimizer.lines()]
            for entry in entries:
                self.assertEqual(list(entry)[:4], ["time", "level", "message", "message_id"])
                self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertRegex(entry["message_id"], r"^[0-9a-f]{32}$")
            told_at = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(before))
            self.assertGreaterEqual(entries[0]["time"][:16], told_at, "UTC")
            self.assertEqual([{key: entry[key] for key in list(entry)[1:] if key != "message_id"}
                              for entry in entries[1:]], [
                {"level": "WARNING", "message": "ToolHive connection failed", "attempt": 1, "max_retries": 2,
                 "error": "Connection refused", "backoff_seconds": 0.25},
                {"level": "WARNING", "message": "ToolHive connection failed", "attempt": 2, "max_retries": 2,
                 "error": "Connection refused", "backoff_seconds": 0.0},
                {"level": "ERROR", "message": "All retry attempts exhausted. ToolHive is unavailable.",
                 "total_attempts": 2},
                {"level": "CRITICAL", "message": "ToolHive connection failure - exiting", "max_retries": 2,
                 "last_error": "Connection refused"}])
            self.assertEqual(entries[1]["message_id"], entries[2]["message_id"])
            self.assertEqual(len({entry["message_id"] for entry in entries}), 4)

    def on_a_terminal(self, **environment):
        """What a terminal gets of a bad setting's line."""
        master, slave = pty.openpty()
        wrapper = ("/bin/sh", "-c", 'tty=$1; shift; exec "$@" 2>"$tty"', "sh", os.ttyname(slave))
        try:
            with Scene() as scene:
                optimizer = scene.optimizer(toolhive_max_retries=0, wrapper=wrapper,
                                            environment={"TERM": "xterm", **environment})
                self.assertEqual(optimizer.finish()[0], 78)
                self.assertTrue(select.select([master], [], [], 5 * SLOWNESS)[0])
                return os.read(master, 65536).decode()
        finally:
            os.close(slave)
            os.close(master)

    def test_colour_on_a_terminal_only(self):
        self.assertRegex(self.on_a_terminal(), r"^\x1b\[[0-9;]+mCRITICAL\x1b\[0m TOOLHIVE_MAX_RETRIES")
        self.assertRegex(self.on_a_terminal(NO_COLOR="1"), r"^CRITICAL TOOLHIVE_MAX_RETRIES")
        self.assertRegex(self.on_a_terminal(LOG_FORMAT="json"), r"^\{")

    def test_words_from_outside_stay_within_their_quotes(self):
        with Scene() as scene:
            standin, optimizer = scene.both(workload_polling_interval=0.2)
            standin.behave("status", route=LIST_ROUTE, code=500,
                           body='no "such"\x1b[31m\u202e x=1\nCRITICAL forged=1\n')
            line = optimizer.wait_line("status=500")
            self.assertFalse(re.search("[\x00-\x1f\x7f\u202e]", line.text), line)
            self.assertIn(r'error="no \"such\"', line.text)
            self.assertNotIn("x", line.pairs)
            self.assertEqual(optimizer.lines("CRITICAL"), [])

    def test_a_stderr_that_is_gone_does_not_stop_the_service(self):
        with NotifyScene() as scene:
            scene.standin()
            optimizer = scene.optimizer(wrapper=("/bin/sh", "-c", 'exec "$@" 2>&-', "sh"))
            optimizer.notify.wait("Connected to ToolHive")
            self.assertEqual(optimizer.terminate()[0], 0)


class Journal:
    """A socket where sd_journal_sendv(3) looks for the journal's, seen by one child only."""

    # A file system of the child's own covers /run.
    SCRIPT = """mount -t tmpfs none /run && mkdir /run/systemd && ln -s "$1" /run/systemd/journal || exit 99
shift; [ "$1" = auto ] && JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) && export JOURNAL_STREAM
shift; exec "$@" """

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-journal-")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(pathlib.Path(self._folder.name) / "socket"))
        self._unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._sock.close()
        self._folder.cleanup()

    def wrapper(self, auto=False):
        mode = "auto" if auto else "-"
        return [*self._unshare, "/bin/sh", "-c", self.SCRIPT, "sh", self._folder.name, mode]

    def available(self):
        try:
            trial = subprocess.run([*self.wrapper(), "true"], capture_output=True, timeout=10 * SLOWNESS)
            return trial.returncode == 0
        except FileNotFoundError:
            return False

    def entries(self):
        """All that came, each as a dictionary."""
        return [self._parse(data) for data in self.datagrams() if data]

    def datagrams(self):
        taken = []
        while select.select([self._sock], [], [], 0)[0]:
            taken.append(self._sock.recv(1 << 20))
        return taken

    @staticmethod
    def _parse(data):
        fields = {}
        while data:
            line, _, data = data.partition(b"\n")
            key, equals, value = line.partition(b"=")
            if not equals:
                size = struct.unpack("<Q", data[:8])[0]
                value, data = data[8:8 + size], data[8 + size + 1:]
            fields[key.decode()] = value.decode()
        return fields


class TestJournal(unittest.TestCase):
    def journal(self, stack):
        journal = stack.enter_context(Journal())
        if not journal.available():
            self.skipTest("no mount namespace here, in which a test can be the journal")
        return journal

    def test_fields_of_each_event(self):
        with Scene() as scene:
            scene.skip_if_8080_is_taken(self)
            journal = self.journal(scene)
            optimizer = scene.optimizer(toolhive_max_retries=2, log_format="journal",
                                        wrapper=journal.wrapper())
            self.assertEqual(optimizer.finish()[0], 1)
            entries = journal.entries()
            self.assertEqual(optimizer.lines(), [], "and nothing twice")

            self.assertEqual([entry["PRIORITY"] for entry in entries], ["6", "4", "4", "3", "2"])
            # As in text, without the level.
            self.assertEqual([entry["MESSAGE"] for entry in entries[1:]], [line[9:] for line in (
                failed(1, 2, "Connection refused", "0.1"), failed(2, 2, "Connection refused", "0.0"),
                *given_up(2, "Connection refused"))])
            for key, value in (("ATTEMPT", "1"), ("MAX_RETRIES", "2"), ("ERROR", "Connection refused"),
                               ("BACKOFF_SECONDS", "0.1")):
                self.assertEqual(entries[1][f"TOOLHIVE_{key}"], value)
            self.assertEqual(entries[4]["TOOLHIVE_LAST_ERROR"], "Connection refused")
            for entry in entries:
                self.assertRegex(entry["MESSAGE_ID"], r"^[0-9a-f]{32}$")

    def test_auto_chooses_it_where_stderr_is_the_journal(self):
        with Scene() as scene:
            journal = self.journal(scene)
            optimizer = scene.optimizer(toolhive_max_retries=1, wrapper=journal.wrapper(auto=True))
            optimizer.finish()
            self.assertTrue(journal.entries()[0]["MESSAGE"].startswith("Starting mcp-optimizer version="))
            # A child of a service inherits the variable, and not always the stream.
            optimizer = scene.optimizer(toolhive_max_retries=1, wrapper=journal.wrapper(),
                                        environment={"JOURNAL_STREAM": "8:12345"})
            optimizer.finish()
            self.assertEqual(journal.entries(), [])
            self.assertEqual(len(optimizer.lines()), 4)

    def test_the_end_waits_until_journald_has_read(self):
        """Else it would find no unit for the last lines; but not for one that does not read at all."""
        with Scene() as scene:
            journal = self.journal(scene)
            before = time.monotonic()
            optimizer = scene.optimizer(toolhive_max_retries=0, log_format="journal", wrapper=journal.wrapper())
            self.assertEqual(optimizer.finish()[0], 78)
            self.assertGreater(time.monotonic() - before, 0.25)
            self.assertLess(lasted(before), 2.0)
            line, mark = journal.datagrams()
            self.assertIn(b"TOOLHIVE_MAX_RETRIES", line)
            self.assertEqual(mark, b"")

    def test_without_a_journal_the_lines_go_to_stderr(self):
        with Scene() as scene:
            journal = self.journal(scene)
            (pathlib.Path(journal.wrapper()[-2]) / "socket").unlink()
            scene.standin()
            optimizer = scene.optimizer(log_format="journal", wrapper=journal.wrapper())
            optimizer.wait_line("Registry polled")
            self.assertEqual(told(optimizer), [connected(scene.url())])


if __name__ == "__main__":
    main(abreast=True)
