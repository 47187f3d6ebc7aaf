# SPDX-License-Identifier: Apache-2.0
"""This program beside another one that has the same settings in the same environment variables, in one run.

Both are started alike, each with a home and a stand-in of its own, and seen from outside only: by
/proc, and by what the stand-in's journal says of their requests. So nothing is known of when the
other one considers itself ready; its first request for the list of workloads is that moment. What
each of them takes alone (a start, a port change) is taken in turns, the spans of time side by side.
"""

import contextlib
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import tempfile
import time

import harness

LIST = "/api/v1beta/workloads"
RANGE = 10          # ports, on which ToolHive is to be found
PATIENCE = 60       # seconds for a start


def switches(pid):
    """How often each of its threads went to sleep of its own accord: each is one wake-up."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):     # it has ended meanwhile
            text = (task / "status").read_text()
            found[task.name] = int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
    return found


def woken(before, after):
    """Wake-ups between two looks; those of a thread that ended in between are lost, and not counted."""
    return sum(count - before.get(task, 0) for task, count in after.items())


def sleep(seconds):
    """That long, and a word on it when the machine stood still meanwhile: what was measured is not worth much then."""
    begun, lost = time.monotonic(), 0.0
    while (moment := time.monotonic()) < begun + seconds:
        time.sleep(0.5)
        late = time.monotonic() - moment - 0.5
        lost += late if late > 0.1 else 0
    if lost:
        print(f"this machine was busy or stood still for {lost:.1f} of these {seconds} s", flush=True)


class Program(harness.Process):
    """A command with a stand-in of its own, one workload on it; what it prints goes to a file in its home.

    The command's process is what is measured: a script of settings has to end in exec."""

    def __init__(self, command, **settings):
        self.command = command
        self._stack = contextlib.ExitStack()
        self.first = harness.free_port_range(RANGE)
        self.standin = self._stack.enter_context(harness.Standin(port=self.first, workloads=1))
        home = pathlib.Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-optimizer-bench-")))
        for folder in ("run", "xdg"):
            (home / folder).mkdir()
        self._log = home / "log"
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": home, "XDG_RUNTIME_DIR": home / "xdg",
            "RUNTIME_DIRECTORY": home / "run", "RUNTIME_MODE": "docker", "TOOLHIVE_DISCOVERY_FILE": "none",
            "TOOLHIVE_HOST": "127.0.0.1", "TOOLHIVE_START_PORT_SCAN": self.first,
            "TOOLHIVE_END_PORT_SCAN": self.first + RANGE - 1, "MCP_PORT": harness.free_port(),
            **{name.upper(): value for name, value in settings.items()}}
        with self._log.open("wb") as log:
            self.started = time.monotonic()
            super().__init__(harness.spawn(
                command, env={name: str(value) for name, value in environment.items()}, cwd=home,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def kill(self):
        super().kill()
        self._stack.close()

    def lists(self, since=0.0, port=None):
        """When the stand-in had read each request for the list, from that moment on, on that port or any."""
        return [request["time"] for request in self.standin.requests()
                if request["path"].partition("?")[0] == LIST and request["method"] == "GET"
                and request["time"] >= since and port in (None, request["port"])]

    def listed(self, since=0.0, port=None, timeout=PATIENCE):
        """The first of those."""
        def seen():
            if not self.alive():
                said = self._log.read_text("utf-8", "replace").splitlines()[-20:]
                raise AssertionError("\n".join([f"{shlex.join(self.command)} ended with {self.child.returncode}:",
                                                *said]))
            return next(iter(self.lists(since, port)), None)
        return harness.wait_for(seen, timeout, f"a request of {shlex.join(self.command)} for the list")

    def moved(self):
        """ToolHive goes to another port of the range: seconds from when that one listens to the list from there."""
        told = self.standin.control("move", port=self.first + (5 if self.standin.port == self.first else 0))
        self.standin.port = told["port"]
        return self.listed(told["listening"], told["port"], timeout=100) - told["listening"]

    def look(self):
        return time.monotonic(), self.cpu(), switches(self.pid)


class Table:
    """Rows of this program's and the other's figure: each printed when it is known, all at the end, in Markdown."""

    def __init__(self):
        self._rows = []

    def add(self, title, ours, other, unit, target):
        cells = [self._cell(values, unit) for values in (ours, other)]
        self._rows.append([title, *cells])
        print(f"{title:<72} {cells[0]}, beside {cells[1]}; target {target}", flush=True)

    @staticmethod
    def _cell(values, unit):
        if values is None:
            return "-"
        values = values if isinstance(values, list) else [values]
        low, middle, high = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
                             for value in (min(values), statistics.median(values), max(values)))
        return f"{middle} {unit}".strip() + (f" ({low} to {high})" if len(values) > 1 else "")

    def print(self):
        print("\n| | this program | the other |\n|---|---|---|")
        for row in self._rows:
            print(f"| {' | '.join(row)} |")


def start(commands, table, runs=3):
    values = ([], [])
    for run in range(runs):
        for side in (0, 1) if run % 2 == 0 else (1, 0):
            with Program(commands[side], workload_polling_interval=60) as program:
                values[side].append((program.listed() - program.started) * 1000)
    table.add("start to the first request for the list of workloads", *values, "ms", "25 ms")


def moves(commands, table, runs=5):
    """In turns, and at another moment of the second between two polls each time."""
    values = ([], [])
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(command, workload_polling_interval=1)) for command in commands]
        for program in programs:
            program.listed()
        for run in range(runs):
            for side in (0, 1) if run % 2 == 0 else (1, 0):
                programs[side].listed(since=time.monotonic())
                time.sleep((run + 0.5) / runs)
                values[side].append(programs[side].moved() * 1000)
    table.add("port change, polling each second: new port listens to list from there", *values, "ms", "50 ms")


def one_move(commands, table):
    """As far from the next poll as can be, with the interval that both have unless told otherwise."""
    values = []
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(command, workload_polling_interval=60)) for command in commands]
        for program in programs:
            program.listed()
        time.sleep(1)       # the answer arrives, and what follows from it is done
        for program in programs:
            values.append(program.moved() * 1000)
    table.add("port change, polling each 60 s: the same, 1 s after a poll", *values, "ms", "50 ms")


def idle(command):
    """One that polls each 300 s, once it has polled; None when it cannot."""
    program = Program(command, workload_polling_interval=300)
    try:
        program.listed()
    except AssertionError as error:
        print(f"no figures of idling: {error}", flush=True)
        program.kill()
        return None
    return program


def minute(commands, table, seconds=60):
    """Polling each second, and hardly at all, all side by side."""
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(Program(command, workload_polling_interval=1)) for command in commands]
        still = [stack.enter_context(program) if (program := idle(command)) else None for command in commands]
        for program in busy:
            program.listed()
        time.sleep(2)       # past the start, into the steady state: what is measured is a span of time
        programs = busy + still
        before = [program and program.look() for program in programs]
        sleep(seconds)
        after = [program and program.look() for program in programs]
        polls = [sum(begin[0] <= moment < end[0] for moment in program.lists())
                 for program, begin, end in zip(busy, before, after)]
        memory = [(each.rss() / 1048576, each.anon() / 1048576, each.peak() / 1048576, each.threads()) for each in busy]
    share = [begin and (end[1] - begin[1]) / (end[0] - begin[0]) * 100 for begin, end in zip(before, after)]
    wakes = [begin and woken(begin[2], end[2]) for begin, end in zip(before, after)]
    rss, anonymous, peak, threads = zip(*memory)
    table.add("resident memory after a minute of polling one workload each second", *rss, "MiB", "12 MiB")
    table.add("- anonymous, its own alone", *anonymous, "MiB", "2 MiB")
    table.add("- peak since the start", *peak, "MiB", "-")
    table.add("threads", *threads, "", "2")
    table.add("a minute of polling each second: polls", *polls, "", "-")
    table.add("- processor time", *share[:2], "% of a core", "0.2 %")
    table.add("- processor time of a poll", *(spent * seconds * 10 / max(count, 1) for spent, count in zip(share, polls)),
              "ms", "-")
    table.add("- wake-ups", *wakes[:2], "", "-")
    table.add("a minute of idling, polling each 300 s: processor time", *share[2:], "% of a core", "-")
    table.add("- wake-ups", *wakes[2:], "", "0")


def beside(command):
    commands = [os.environ["MCP_OPTIMIZER_BINARY"]], shlex.split(command)
    table = Table()
    start(commands, table)
    moves(commands, table)
    one_move(commands, table)
    minute(commands, table)
    table.print()
