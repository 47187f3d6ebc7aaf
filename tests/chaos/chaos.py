#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos in real time: `meson compile -C build chaos`, or tests/chaos/chaos.py --minutes N --seed S.

The real program and the stand-in, to which everything is done that befalls a ToolHive, at random,
from a seed that is printed. Two services look at the same ToolHive. The steady one lives from the
beginning to the end, so that its descriptors, threads and memory can be seen to stay flat; the mortal
one is stopped, killed and left to exhaust its attempts, and begins again with other settings on what
it has left behind. Storms alternate with calms, in which all must come to rest within seconds.

Judged all the time, from outside: the log (judge_log.py), the state file (judge_state.py), pings,
exits, processor time, lines a minute. A violation is told at once with what was done before it; the
end is 1 when there was any.
"""

import argparse
import collections
import contextlib
import ctypes
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402
import runner  # noqa: E402
from actions import Stage  # noqa: E402
from judge_log import LogJudge  # noqa: E402
from judge_state import StateJudge, registry_of, workloads_of  # noqa: E402
from pace import lasted, wait_for  # noqa: E402

MIB = 1 << 20
WATCHDOG = 4
CALM_WITHIN = 15.0      # the longest backoff, a search, both polls, and a call under way before them
HOT_STORM, HOT_CALM = 0.5, 0.05         # of one processor; a storm has bodies of 20 MiB in it
FLAT_FDS, FLAT_RSS = 2, 2 * MIB
LINES_A_MINUTE = 600
MEASURED = not os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER")
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


class Report:
    """Violations, and what was done before them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._done = collections.deque(maxlen=8)
        self.violations = 0

    def did(self, what):
        self._done.append(f"{time.monotonic() - self._started:8.2f} {what}")

    def tell(self, text):
        print(f"{time.monotonic() - self._started:8.2f} {text}", flush=True)

    def violation(self, text):
        with self._lock:
            self.violations += 1
            self.tell(f"VIOLATION {text}")
            for line in list(self._done):
                print(f"         before: {line}", flush=True)


class Watched:
    """One service with its judges, and the thread that feeds them."""

    def __init__(self, name, report, stage, runtime, settings, notify=None):
        self.name, self._report, self._stage, self.settings = name, report, stage, settings
        path = runtime / "state.json"
        self.state = StateJudge(self.violation, path, stage.workloads, stage.registry)
        woken = stage.woken if settings["toolhive_discovery_file"] != "none" else lambda _: False
        self.log = LogJudge(self.violation, woken, *(settings[f"toolhive_{name}"] for name in (
            "initial_backoff", "max_backoff", "backoff_jitter", "max_retries")))
        watchdog = {"WATCHDOG_USEC": str(WATCHDOG * 1_000_000)} if notify else {}
        self.program = harness.Optimizer(
            runtime=runtime, notify=notify, environment=watchdog, log_format="json", toolhive_timeout=1,
            workload_polling_interval=0.5, registry_polling_interval=2, toolhive_host="127.0.0.1",
            toolhive_start_port_scan=stage.ports[0], toolhive_end_port_scan=stage.ports[-1],
            **settings)
        self.begun = time.monotonic()
        self.hottest = 0.0
        self._fed, self._over = 0, False
        self._cpu = (self.begun, 0.0)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def violation(self, text):
        self._report.violation(f"{self.name}: {text}")

    def feed(self):
        lines = self.program.lines()
        for line in lines[self._fed:]:
            try:
                self.log.feed(line.text)
            except (ValueError, KeyError) as error:
                self.violation(f"{error!r}: not a line of the log: {line.text}")
        self._fed = len(lines)

    def _watch(self):
        while not self._over:
            # A service that is on its way to its end is judged by its end.
            self.state.look(self.program.alive() and lasted(self.begun) > 5)
            self.feed()
            self._judge_figures()
            time.sleep(0.02)

    def _judge_figures(self):
        since, used = self._cpu
        now = time.monotonic()
        if now - since < 10:
            return
        with contextlib.suppress(OSError):
            cpu = self.program.cpu()
            self.hottest = max(self.hottest, (cpu - used) / (now - since))
            if MEASURED and (cpu - used) / (now - since) > HOT_STORM:
                self.violation(f"hot: {cpu - used:.1f} s of processor time in {now - since:.1f} s")
            self._cpu = (now, cpu)
        if self.log.lines > LINES_A_MINUTE * (1 + (now - self.begun) / 60):
            self.violation(f"{self.log.lines} lines in {now - self.begun:.0f} s")
            self.log.lines = 0

    def close(self):
        self._over = True
        self._thread.join()
        with contextlib.suppress(OSError):
            self.feed()
        self.program.kill()

    def settled(self):
        """Whether it says what is so now, and nothing else."""
        document = self.state.document
        return (document and document["connection"]["state"] == "connected"
                and document["pid"] == self.program.pid
                and document["connection"]["port"] == self._stage.standin.port
                and workloads_of(document) == self._stage.workloads.now()
                and registry_of(document) == self._stage.registry.now())

    def counted(self):
        """Whether the counters tell as much as the log."""
        told, counts = self.state.document["counters"], self.log.counts
        return all(told[counter] == counts[line] for counter, line in (
            ("failures", "failed"), ("reconnects", "restored"), ("port_changes", "other")))


class Mortal:
    """Lives, ends in one way or another, and begins again on what was left."""

    def __init__(self, rng, report, stage, runtime):
        self._rng, self._report, self._stage, self._runtime = rng, report, stage, runtime
        self.ends = collections.Counter()
        self.one = None
        self.begin()

    def begin(self):
        rng = self._rng
        self.one = Watched("mortal", self._report, self._stage, self._runtime, {
            "toolhive_discovery_file": rng.choice(["none", self._stage.discovery]),
            "toolhive_initial_backoff": rng.choice([0.1, 0.3]), "toolhive_max_backoff": rng.choice([1.0, 2.0]),
            "toolhive_backoff_jitter": rng.choice([0.0, 0.3, 1.0]), "toolhive_max_retries": rng.choice([4, 8, 500])})

    def end(self, how):
        """By a signal; exit 0 within a second, unless nobody can answer a SIGKILL."""
        one = self.one
        if not one.program.alive():
            return self.look()
        begun = time.monotonic()
        one.program.signal(how)
        code = one.program.wait(20)
        took = lasted(begun)
        one.close()
        self.ends[how.name] += 1
        # Before main() has begun nobody can catch a signal.
        if how != signal.SIGKILL and (code != -how or one.log.lines > 0):
            if code == 0 and took > 1:
                one.violation(f"a stop took {took:.2f} s")
            if code not in (0, 1) or code == 1 and not one.log.exiting or code == 0 and not one.log.stopped:
                one.violation(f"exit {code} after {how.name}")
            self._judge_last("stopped" if code == 0 else "exhausted")
        return self._again()

    def look(self):
        """Ended by itself? Only for want of attempts."""
        one = self.one
        if one.program.alive():
            return None
        code = one.program.wait()
        one.close()
        self.ends["exhausted"] += 1
        if code != 1 or not one.log.exiting:
            one.violation(f"exit {code} by itself")
        self._judge_last("exhausted")
        return self._again()

    def _judge_last(self, state):
        self.one.state.look(False)
        document = self.one.state.document
        if not self._stage.full and (not document or document["connection"]["state"] != state):
            self.one.violation(f"the last word is not {state}: {document and document['connection']}")

    def _again(self):
        """What was known stays known, until a poll replaces it."""
        before = self.one.state.document
        self.begin()
        one = self.one
        with contextlib.suppress(AssertionError):
            wait_for(lambda: one.state.document and one.state.document["pid"] == one.program.pid
                     or self._stage.full or not one.program.alive(), 5)
        after = one.state.document
        if not before or self._stage.full or not one.program.alive():
            return "with a full disk or none left"
        if not after or after["pid"] != one.program.pid:
            one.violation("no state file after 5 s")
        elif after["workloads"]["polled_at"] == before["workloads"]["polled_at"] \
                and workloads_of(after) != workloads_of(before):
            one.violation(f"not what was known before: {before['workloads']}, {after['workloads']}")
        elif before["workloads"]["polled_at"] and not after["workloads"]["polled_at"]:
            one.violation("what was known before is forgotten")
        return None


class Figures:
    """The steady service at rest, from calm to calm."""

    def __init__(self, steady, report, warm):
        self._steady, self._report, self._warm = steady, report, warm
        self._first, self.curve = None, []

    def take(self, minute):
        program = self._steady.program
        fds, threads, rss = program.fds(), program.threads(), program.rss()
        self.curve.append((minute, rss / MIB))
        if not MEASURED or minute < self._warm:
            return
        self._first = self._first or (fds, rss)
        if fds > self._first[0] + FLAT_FDS or threads > 3:
            self._report.violation(f"steady: {fds} descriptors after {self._first[0]}, {threads} threads")
        if rss > self._first[1] + FLAT_RSS:
            self._report.violation(f"steady: {rss / MIB:.1f} MiB after {self._first[1] / MIB:.1f} MiB")


def judge_pings(notify, seen, report):
    """Of messages seen so far: the gaps between the pings; returns how many were seen."""
    pings = notify.messages("WATCHDOG")
    for one, next_one in zip(pings[max(0, seen - 1):], pings[max(0, seen - 1) + 1:]):
        if lasted(one.time, next_one.time) > WATCHDOG:
            report.violation(f"steady: no ping for {next_one.time - one.time:.1f} s")
    return len(pings)


def judge_notifications(notify, steady, report):
    """READY once, and once more for each reload."""
    readies = sum("READY=1" in message.text for message in notify.messages())
    reloads = len(notify.messages("RELOADING"))
    if readies != 1 + reloads or reloads != steady.log.counts["reload"]:
        report.violation(f"steady: READY {readies} times, RELOADING {reloads} times, "
                         f"{steady.log.counts['reload']} reloads told")


def small_disk(folder):
    """A file system of 128 KiB there, where the kernel gives one: so a full disk hurts nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) \
            or libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=128k"):
        print(f"chaos: no disk that can be filled ({os.strerror(ctypes.get_errno())})")
        return None
    return folder


def storm(rng, report, stage, steady, mortal, until):
    stage.set_mood()
    while time.monotonic() < until:
        chance = rng.random()
        if chance < 0.02:
            how = rng.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
            report.did(f"{how.name} {mortal.end(how) or ''}")
        elif chance < 0.06:
            report.did("SIGHUP")
            for one in (steady, mortal.one):
                if one.program.alive():
                    one.program.signal(signal.SIGHUP)
        else:
            report.did(stage.act())
        steady.state.lenient = False
        mortal.one.state.lenient = stage.full
        mortal.look()
        time.sleep(min(rng.expovariate(3), 3))


def calm(report, stage, steady, mortal, figures, minute):
    """Everything well again: so must be what they say, soon."""
    report.did("calm")
    stage.calm()
    mortal.look()
    mortal.one.state.lenient = False
    for one in (steady, mortal.one):
        try:
            wait_for(one.settled, CALM_WITHIN)
        except AssertionError:
            if one is steady or one.program.alive():
                one.violation(f"not at rest within {CALM_WITHIN:g} s: {one.state.document}")
    used = steady.program.cpu()
    begun = time.monotonic()
    time.sleep(1.5)
    share = (steady.program.cpu() - used) / (time.monotonic() - begun)
    if MEASURED and share > HOT_CALM:
        report.violation(f"steady: hot at rest: {share:.0%} of a processor")
    # The log and the file are read one after the other: they need not agree at once.
    try:
        wait_for(lambda: steady.settled() and steady.counted())
    except AssertionError:
        steady.violation(f"not as many lines as counted: {steady.state.document['counters']}, {steady.log.counts}")
    figures.take(minute)


def play(minutes, seed, folder, disk, report):
    rng = random.Random(seed)
    first = harness.free_port_range(8)
    ports = list(range(first, first + 8))
    discovery = folder / "toolhive" / "server.json"
    (folder / "steady").mkdir()
    with harness.Standin(port=ports[2], registry_servers=0, discovery_file=discovery) as standin, \
            harness.NotifySocket() as notify:
        standin.control("registry", servers=0, remote_servers=0)
        stage = Stage(rng, standin, ports, discovery, disk)
        steady = Watched("steady", report, stage, folder / "steady", {
            "toolhive_discovery_file": stage.discovery, "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1.0,
            "toolhive_backoff_jitter": 0.2, "toolhive_max_retries": 500}, notify)
        mortal = Mortal(rng, report, stage, disk or folder / "mortal")
        figures = Figures(steady, report, min(3, minutes / 3))
        begun, pings = time.monotonic(), 0
        while (left := minutes * 60 - (time.monotonic() - begun)) > 0:
            storm(rng, report, stage, steady, mortal, time.monotonic() + min(left, rng.uniform(5, 25)))
            if not steady.program.alive():
                report.violation(f"the steady one has ended: {steady.program.lines()[-1].text}")
                break
            calm(report, stage, steady, mortal, figures, (time.monotonic() - begun) / 60)
            pings = judge_pings(notify, pings, report)
        summary(report, stage, steady, mortal, figures, pings)
        if steady.program.alive():
            code, took = steady.program.terminate()
            if code != 0 or took > 1:
                report.violation(f"steady: exit {code} after {took:.2f} s")
        steady.close()
        mortal.one.close()
        judge_notifications(notify, steady, report)


def summary(report, stage, steady, mortal, figures, pings):
    counts, document = steady.log.counts, steady.state.document
    step = max(1, len(figures.curve) // 12)
    report.tell(f"{stage.acted} actions, {document['counters']['requests']} requests, "
                f"{document['counters']['scans']} searches, {counts['failed']} failed attempts, "
                f"{counts['restored']} outages ended, {document['counters']['port_changes']} moves, "
                f"{pings} pings, {steady.state.documents} state files read, {steady.log.lines} lines")
    report.tell(f"mortal: {sum(mortal.ends.values())} lives: {dict(mortal.ends)}")
    report.tell(f"hottest 10 s: {steady.hottest:.1%} of a processor; {steady.program.fds()} descriptors, "
                f"{steady.program.threads()} threads, peak {steady.program.peak() / MIB:.1f} MiB")
    report.tell("MiB at rest by minute: " + ", ".join(f"{minute:.0f}: {mib:.1f}" for minute, mib in
                                                      figures.curve[::step] + figures.curve[-1:]))


def main():
    parser = argparse.ArgumentParser(description="Chaos in real time.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    isolated = runner.isolate()
    print(f"chaos: seed {options.seed}, {options.minutes:g} minutes"
          + ("" if isolated else "; not in a network of its own"), flush=True)
    report = Report()
    with tempfile.TemporaryDirectory(prefix="mcp-optimizer-chaos-") as name:
        folder = pathlib.Path(name)
        disk = small_disk(folder / "mortal")
        play(options.minutes, options.seed, folder, disk, report)
        if disk:
            ctypes.CDLL(None).umount(str(disk).encode())
    print(f"chaos: {report.violations} violations", flush=True)
    sys.exit(report.violations > 0)


if __name__ == "__main__":
    main()
