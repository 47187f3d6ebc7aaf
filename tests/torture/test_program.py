# SPDX-License-Identifier: Apache-2.0
"""The whole program, tortured from outside: mcp-optimizer with inject.h in front of libc lives short
lives against the stand-in, and in each another allocation or call fails, with another of its errors.

A life of the service is: start, find ToolHive, poll, lose it to another port, find it there, stop. Once the
failure is over it has to be as good as new; it may end with 1 where it could not even begin; its state
file says what is so, or, where that cannot be written, what was so last; it stops at once. A command
ends with a code of its own, and prints all or nothing.

By default some plans are drawn by lot (MCP_OPTIMIZER_TORTURE_SEED repeats them); with
MCP_OPTIMIZER_TORTURE=all every single failure has its life.
"""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import queue
import random
import struct
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "blackbox"))

from harness import Optimizer, Standin, free_port_range, loopback, main, wait_for  # noqa: E402

ALL = os.environ.get("MCP_OPTIMIZER_TORTURE") == "all"
SEED = int(os.environ.get("MCP_OPTIMIZER_TORTURE_SEED", random.randrange(1000000)))
ABREAST = 8 if ALL else 4
DRAWN = {"service": 40, "command": 12}
WORKLOADS = 3
LASTING_STEP = 20       # of the allocations, those from which on none succeeds: each such life waits for what does not come

NAMES, NAME = 64, 24
HEAD = struct.Struct("=IIII64s")


class Record:
    """What inject.h wrote down of one process."""

    def __init__(self, path):
        data = path.read_bytes()
        self.allocations, self.calls, self.left_out, self.injected, failed = HEAD.unpack_from(data)
        self.failed = failed.split(b"\0")[0].decode()
        names = [data[HEAD.size + NAME * i:HEAD.size + NAME * (i + 1)].split(b"\0")[0].decode() for i in range(NAMES)]
        trace = data[HEAD.size + NAME * NAMES:]
        self.trace = [(names[trace[2 * i]], trace[2 * i + 1]) for i in range(min(self.calls, len(trace) // 2))]

    def plans(self):
        """Every single failure; and some that last, of each function from its first call on."""
        yield from (f"memory,{n}" for n in range(1, self.allocations + 1))
        yield from (f"memory,{n},0,on" for n in range(1, self.allocations + 1, LASTING_STEP))
        seen = set()
        for n, (name, errors) in enumerate(self.trace, 1):
            yield from (f"call,{n},{error}" for error in range(errors))
            if name not in seen:
                yield from (f"call,{n},{error},on" for error in range(errors))
            seen.add(name)


class Sum:
    """Of all lives of one kind."""

    def __init__(self):
        self.lives = self.injected = self.left_out = self.places = 0
        self.wrong, self.ends = [], {}
        self.lock = threading.Lock()

    def add(self, plan, record, end, wrong):
        with self.lock:
            self.lives += 1
            self.injected += record.injected > 0
            self.ends[end] = self.ends.get(end, 0) + 1
            self.wrong += [f"{plan} ({record.failed}): {word}" for word in wrong]


class Place(contextlib.ExitStack):
    """A stand-in on ports of its own, and a folder for records: what one thread needs for its lives."""

    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        self.host, self.first = loopback(), free_port_range(4)
        self.standin = self.enter_context(Standin(host=self.host, port=self.first + 1, workloads=WORKLOADS))
        self.record = self.folder / "record"
        self.good = {}      # what commands print on a good day, here

    def program(self, plan, *arguments, **settings):
        self.record.unlink(missing_ok=True)
        return Optimizer(*arguments, environment={"TORTURE_PLAN": plan, "TORTURE_RECORD": str(self.record)}, **{
            "toolhive_host": self.host, "toolhive_start_port_scan": self.first,
            "toolhive_end_port_scan": self.first + 3, "toolhive_initial_backoff": 0.1,
            "toolhive_max_backoff": 1.0, "toolhive_max_retries": 5, "toolhive_timeout": 1,
            "workload_polling_interval": 1, "registry_polling_interval": 1, **settings})


class Life:
    """One of the service, with one plan. wrong has a word for each thing that is not as it has to be."""

    def __init__(self, place, plan):
        self.place, self.standin, self.plan, self.wrong = place, place.standin, plan, []
        self.standin.reset()
        with place.program(plan) as self.program:
            self.live()
            self.end, self.record = self.stop(), Record(place.record)
            self.judge_end()

    def expect(self, condition, word):
        if not condition:
            self.wrong.append(word + "\n    " + "\n    ".join(line.text for line in self.program.lines()))

    def state(self):
        """The state file's document; None where there is none."""
        try:
            text = (self.program.runtime / "state.json").read_text()
        except FileNotFoundError:
            return None
        try:
            return json.loads(text)
        except ValueError:
            self.wrong.append(f"the state file is no JSON: {text!r}")
            return None

    def told(self, text):
        return any(text in line.text for line in self.program.lines())

    def lasts(self):
        return self.plan.endswith(",on")

    def wait_connected(self):
        """Until the state file says so, or the process has ended."""
        def connected():
            document = self.state()
            return document and document["connection"]["state"] == "connected" \
                and document["connection"]["port"] == self.standin.port \
                and document["workloads"]["total"] == WORKLOADS and document["registry"]["servers"] > 0
        try:
            wait_for(lambda: not self.program.alive() or self.is_mute() or connected(), 0.5 if self.lasts() else 6,
                     "a connection")
        except AssertionError:
            self.expect(self.lasts(), f"it is not connected to {self.standin.port}: {self.state()}")

    def is_mute(self):
        """It cannot write its state file: the log has it."""
        return self.told("the state file") and self.told("Registry polled")

    def live(self):
        self.wait_connected()
        document = self.state()
        if document and document["connection"]["state"] == "connected":
            asked = [request["path"] for request in self.standin.requests()]
            self.expect(any("/workloads" in path for path in asked), "connected, and the workloads were never asked for")
        if self.program.alive():
            self.standin.move(self.place.first + 1 if self.standin.port == self.place.first + 2 else self.place.first + 2)
            self.wait_connected()

    def stop(self):
        if self.program.alive():
            code, seconds = self.program.terminate(5)
            self.expect(seconds < 1, f"a stop took {seconds:.3f} s")
        self.program.finish()
        return self.program.child.returncode

    def judge_end(self):
        self.expect(self.end in (0, 1), f"it ends with {self.end}")
        if self.end == 1:
            self.expect(any(line.level == "CRITICAL" for line in self.program.lines()) or self.told("mcp-optimizer: ")
                        or "write" in self.record.failed, "it ends with 1 and does not say why")
        document = self.state()
        if document and not self.told("the state file") and not self.lasts():
            self.expect(document["connection"]["state"] == "stopped" or self.end == 1
                        and document["connection"]["state"] == "exhausted",
                        f"the state file says {document['connection']['state']} at the end of {self.end}")


def live(place, plan):
    life = Life(place, plan)
    return life.record, life.end, life.wrong


COMMANDS = ("list --json", "show workload-00001", "registry remote-001", "--check-config", "help install")


def ask(place, plan, words):
    """One life of a command: its record, exit code, what it printed, and whether it said anything else."""
    with place.program(plan, *words.split(), toolhive_port=place.standin.port, state_file="none") as program:
        code, printed = program.finish(10)
        return Record(place.record), code, printed, program.lines()


def command(words, place, plan):
    if words not in place.good:
        _, code, place.good[words], _ = ask(place, "nothing", words)
        assert code == 0, f"{words} ends with {code}"
    record, code, printed, lines = ask(place, plan, words)
    good, stderr_fails, wrong = place.good[words], record.failed.startswith("write"), []
    if code not in (0, 1):
        wrong.append(f"{words} ends with {code}")
    if code == 0 and printed != good and not any(line.level == "WARNING" for line in lines):
        wrong.append(f"{words} ends with 0 and prints {printed!r}")
    if code != 0 and printed not in ("", good) and not stderr_fails:
        wrong.append(f"{words} ends with {code} and prints {printed!r}")
    if code != 0 and not lines and not stderr_fails:
        wrong.append(f"{words} ends with {code} and says nothing")
    return record, code, wrong


class Torture(unittest.TestCase):
    def torture(self, kind, run):
        """Counts, draws, lives; run(place, plan) is one life."""
        of = Sum()
        with Place() as place:
            record, _, wrong = run(place, "nothing")
            self.assertEqual(wrong, [])
            plans = list(record.plans())
            of.places, of.left_out = record.allocations + record.calls, record.left_out
        if not ALL:
            plans = random.Random(SEED).sample(plans, min(DRAWN[kind], len(plans)))
        waiting = queue.SimpleQueue()
        for plan in plans:
            waiting.put(plan)

        def work(_):
            with Place() as own, contextlib.suppress(queue.Empty):
                while True:
                    plan = waiting.get_nowait()
                    of.add(plan, *run(own, plan))

        with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
            list(pool.map(work, range(ABREAST)))
        return of

    def tell(self, name, of):
        print(f"{name}: {of.injected} failures injected in {of.places} calls, {of.left_out} left out inside json-c; "
              f"ends {dict(sorted(of.ends.items()))}, {len(of.wrong)} wrong (seed {SEED})", flush=True)
        self.assertFalse(of.wrong, "\n".join(of.wrong))

    def test_service(self):
        self.tell("service", self.torture("service", live))

    def test_commands(self):
        for words in COMMANDS:
            with self.subTest(words):
                self.tell(words, self.torture("command", functools.partial(command, words)))


if __name__ == "__main__":
    main()
