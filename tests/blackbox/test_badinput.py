#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input, one row each: whatever comes, the service lives, stays small, and finds the real ToolHive.

The play is the same for each row. The service is connected; then ToolHive's answers turn bad, which
is told by the expected line and costs nothing of what was known. Then that server is bad in all it
does, a stranger on the port, and a real ToolHive listens elsewhere: it is found within 3 s. Memory
is measured, and the end comes while the next bad answer is under way.

Rows mostly wait, so several run at once; each test method only collects its row's result.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

from badinput import FILES, FINE, LATE, MIB, NAMES, REGISTRY, ROWS, discovery, put
import harness
from harness import Optimizer, Standin, free_port, free_port_range, state, wait_for

AT_ONCE = 10
# Their allocators keep freed memory, shadow and quarantine: figures would tell of them, not of us.
MEASURED = not os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER")

SETTINGS = {
    "toolhive_timeout": 1, "toolhive_max_retries": 500, "toolhive_initial_backoff": 0.1,
    "toolhive_max_backoff": 1, "workload_polling_interval": 0.4, "registry_polling_interval": 0.4,
}


# ---- the play ----

class Play(contextlib.ExitStack):
    """One row on its stage: a stand-in, a range of ports, the service."""

    def __init__(self, **settings):
        super().__init__()
        self.first = free_port_range(harness.BLOCK)
        self.real = self.first + harness.BLOCK - 1
        self.settings = {"toolhive_start_port_scan": self.first, "toolhive_end_port_scan": self.real,
                         "toolhive_discovery_file": "none", **SETTINGS, **settings}

    def __enter__(self):
        super().__enter__()
        self.standin = self.enter_context(Standin(port=self.first, workloads=len(NAMES)))
        self.trap = self.standin.squat("trap", port=free_port())
        self.optimizer = self.enter_context(Optimizer(**self.settings))
        return self

    def lines(self):
        return "\n".join(line.text for line in self.optimizer.lines())

    def connected(self, port):
        told = state(self.optimizer)
        return (told and told["connection"]["state"] == "connected"
                and told["connection"]["port"] == port and told["registry"]["polled_at"])

    def wait_connected(self, port):
        try:
            wait_for(lambda: self.connected(port), 3, interval=0.01)
        except AssertionError:
            raise AssertionError(f"not connected to port {port} within 3 s, but:\n{self.lines()}") from None

    def start(self):
        self.optimizer.wait_line("Registry polled", 10)
        self.wait_connected(self.first)
        self.before = self.optimizer.rss()

    def wait_told(self, expected):
        if expected is FINE:
            for _ in range(2):
                polled = state(self.optimizer)["workloads"]["polled_at"]
                wait_for(lambda: state(self.optimizer)["workloads"]["polled_at"] != polled, 5, interval=0.01)
        else:
            self.optimizer.wait_line(lambda line: line.level == "WARNING" and expected.told_by(line), 8)

    def wait_found(self, port, told):
        """The bad one has to be noticed first; from then on there are 3 s."""
        wait_for(lambda: len(self.optimizer.lines("WARNING")) > told or self.connected(port), 5, interval=0.01)
        self.wait_connected(port)

    def check_unhurt(self):
        if not self.optimizer.alive():
            raise AssertionError(f"ended with {self.optimizer.wait()}")
        names = [item["name"] for item in state(self.optimizer)["workloads"]["items"]]
        if names != NAMES:
            raise AssertionError(f"of what was known there is left: {names}")

    def check_memory(self):
        if MEASURED:
            if self.optimizer.peak() >= 64 * MIB:
                raise AssertionError(f"memory had its peak at {self.optimizer.peak() / MIB:.1f} MiB")
            wait_for(lambda: self.optimizer.rss() <= self.before + 4 * MIB, 2,
                     f"memory within 4 MiB of {self.before / MIB:.1f} MiB")

    def check_end(self):
        code, seconds = self.optimizer.terminate()
        if code != 0 or seconds >= 0.5:
            raise AssertionError(f"SIGTERM: exit code {code} after {seconds:.3f} s")

    def seen_at(self, port):
        told = self.standin.control("requests")
        return sum(seen["port"] == port for seen in told["requests"] + told["connections"])

    def trapped(self, path):
        """Whether the trap was asked for that; a scan of somebody else's may ask for the version."""
        return any(seen["port"] == self.trap for seen in self.standin.requests(path))

    def turn_bad(self, server, rule):
        """From its next answer on; on a connection of its own, for what is bad from the first byte."""
        self.standin.behave(**rule, server=server)
        # Not where a poll of the registry may be in flight: that would be told, and what follows not again.
        if rule["route"] != REGISTRY:
            self.standin.cut(server=server)


def run_row(row):
    with Play(toolhive_timeout=row.timeout) as play:
        standin = play.standin
        rule = {key: value.replace("{trap}", str(play.trap)) if key == "url" else value
                for key, value in row.rule.items()}
        play.start()
        play.turn_bad("main", rule)
        play.optimizer.signal(signal.SIGHUP)
        play.wait_told(row.expected)
        play.check_unhurt()

        standin.squat("real", port=play.real)
        told = len(play.optimizer.lines("WARNING"))
        standin.clear()
        if row.stranger:
            play.turn_bad("main", {**rule, "route": "*"})
        else:
            standin.stop_listening()
        play.wait_found(play.real, told)
        play.check_unhurt()
        play.check_memory()

        seen, told = play.seen_at(play.real), len(play.optimizer.lines("WARNING"))
        play.turn_bad("real", rule)
        play.optimizer.signal(signal.SIGHUP)
        # A black hole is seen by what is said of it.
        wait_for(lambda: play.seen_at(play.real) > seen or len(play.optimizer.lines("WARNING")) > told,
                 interval=0.02)
        if play.trapped("/"):
            raise AssertionError("a redirect was followed")
        play.check_end()


def run_file_row(place, behaviours):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "server.json"
        with Play(toolhive_discovery_file=path) as play:
            standin = play.standin
            play.start()
            for rule in behaviours or []:
                standin.behave(**rule, server="trap")
            standin.stop_listening()
            place(path, discovery(play.trap, standin.nonce))
            # The second wait is over the file's own wake-up and at least two searches old.
            play.optimizer.wait_line("ToolHive connection failed attempt=3")
            play.check_unhurt()
            if behaviours is None and play.trapped("/health"):
                raise AssertionError("the file was believed: its server was asked")
            # A workload's own port may happen to be that number.
            if any(str(play.trap) in line.text for line in play.optimizer.lines("INFO")
                   if not line.message.startswith("Workload")):
                raise AssertionError(f"the file was believed: its server was taken for ToolHive\n{play.lines()}")

            standin.squat("real", port=play.real)
            play.wait_connected(play.real)
            play.check_unhurt()
            play.check_memory()
            failures = len(play.optimizer.lines("WARNING"))
            standin.stop_listening(server="real")
            wait_for(lambda: len(play.optimizer.lines("WARNING")) > failures, 5, "the failure")
            play.check_end()


def run_silent_name_server():
    """A resolver that waits holds neither the search by other ways nor the stop."""
    mount = ["unshare", "--mount"]
    if not harness.isolated() or subprocess.run([*mount, "true"], capture_output=True).returncode:
        raise unittest.SkipTest("no namespaces: the machine's own name servers would be asked")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, tempfile.TemporaryDirectory() as folder:
        server.bind(("127.0.0.1", 53))
        server.setblocking(False)
        resolv, path = pathlib.Path(folder, "resolv.conf"), pathlib.Path(folder, "server.json")
        resolv.write_text("nameserver 127.0.0.1\n")
        wrapper = [*mount, "sh", "-c", f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
        with Play(wrapper=wrapper, toolhive_host="toolhive.example.com", toolhive_discovery_file=path) as play:
            play.optimizer.wait_line(lambda line: line.level == "WARNING" and LATE.told_by(line))
            if not server.recv(512):
                raise AssertionError("the name server was not asked")
            play.before = play.optimizer.rss()
            put(path, discovery(play.first, play.standin.nonce))
            play.wait_connected(play.first)
            play.check_unhurt()
            play.check_memory()
            told = len(play.optimizer.lines("WARNING"))
            play.standin.stop_listening()
            wait_for(lambda: len(play.optimizer.lines("WARNING")) > told, interval=0.01)
            play.check_end()


class TestBadInput(unittest.TestCase):
    """The rows, in a pool of stages; a method collects its row's result."""

    chosen = []

    def __init__(self, method):
        super().__init__(method)
        self.chosen.append(method)

    @classmethod
    def setUpClass(cls):
        pool = cls.enterClassContext(concurrent.futures.ThreadPoolExecutor(AT_ONCE))
        cls.results = {method: pool.submit(PLAYS[method]) for method in cls.chosen}


PLAYS = {f"test_{name}": functools.partial(run_row, row) for name, row in ROWS.items()}
PLAYS |= {f"test_{name}": functools.partial(run_file_row, *row) for name, row in FILES.items()}
PLAYS["test_silent_name_server"] = run_silent_name_server
for play_name in PLAYS:
    setattr(TestBadInput, play_name, lambda self: self.results[self._testMethodName].result())


if __name__ == "__main__":
    harness.main()
