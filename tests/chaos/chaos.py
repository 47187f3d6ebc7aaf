#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chaos in real time: `meson compile -C build chaos`, or
tests/chaos/chaos.py --backend kubernetes --minutes N --seed S.

The real program and the stand-in, to which everything is done that befalls a ToolHive, or a cluster, at
random, from a seed that is printed. Two services look at the same stand-in. The steady one lives from the
beginning to the end, so that its descriptors, threads and memory can be seen to stay flat; the mortal
one is stopped, killed and left to exhaust its attempts, and begins again with other settings on what
it has left behind. Storms alternate with calms, in which all must come to rest within seconds; then a
change is known at once where changes are watched, and one lasting trouble has to be told by its name.

Judged all the time, from outside: the log (judge_log.py), the state file (judge_state.py, truth.py),
pings, exits, processor time, lines a minute. A violation is told at once with what was done before it;
the end is 1 when there was any.
"""

import argparse
import contextlib
import ctypes
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402
import runner  # noqa: E402
from pace import wait_for  # noqa: E402
from stage_kubernetes import KubernetesStage  # noqa: E402
from stage_toolhive import ToolHiveStage  # noqa: E402
from watched import (  # noqa: E402
    MEASURED, MIB, Figures, Mortal, Report, Watched, judge_notifications, judge_pings)

STAGES = {"toolhive": ToolHiveStage, "kubernetes": KubernetesStage}
CALM_WITHIN = 15.0      # the longest backoff, a search, both polls, and a call under way before them
CALM_LASTS = 8.0        # for the most part
PAUSED_WITHIN = 75.0    # what watches that did not hold may take, as is told: a pause, and then to hold for a while
TOLD_WITHIN = 8.0       # a call under way, and a poll or an attempt
HOT_CALM = 0.05         # of one processor
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 0x40000, 2


def own_mounts():
    """For this thread and those that it starts, if the kernel gives them: then a full disk hurts nobody else."""
    if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        print(f"chaos: no disk that can be filled ({os.strerror(ctypes.get_errno())})")
        return False
    return True


@contextlib.contextmanager
def small_disk(folder):
    """A file system of 128 KiB there."""
    folder.mkdir()
    if LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=128k"):
        raise OSError(ctypes.get_errno(), "mount")
    try:
        yield folder
    finally:
        LIBC.umount2(str(folder).encode(), MNT_DETACH)


def storm(rng, report, stage, steady, mortal, until):
    stage.set_mood()
    while time.monotonic() < until:
        chance = rng.random()
        if chance < 0.02:
            how = rng.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
            report.did(f"{how.name} {mortal.end(how) or ''}")
        elif chance < 0.06:
            report.did("SIGHUP")
            steady.reload()
            mortal.one.reload()
        else:
            report.did(stage.act())
        mortal.look()
        if stage.full:
            mortal.one.state.excuse()
        time.sleep(min(rng.expovariate(3), 3))


def come_to_rest(stage, current):
    """Within seconds; or where watches that did not hold pause, as is told, in their time. current: who it is now."""
    def at_rest():
        current().hurry()
        return current().settled()

    try:
        wait_for(lambda: at_rest() or stage.is_pausing(*current().problem()), CALM_WITHIN)
        if stage.is_pausing(*current().problem()) and stage.cut_pauses():
            current().reload()
            wait_for(lambda: not stage.is_pausing(*current().problem()), TOLD_WITHIN)
            stage.calm()
        wait_for(at_rest, PAUSED_WITHIN)
    except AssertionError:
        current().violation(f"not at rest: {current().state.document}")


def judge_changes(report, stage, services):
    """Of those at rest, where changes are watched."""
    if stage.WITHIN is None:
        return
    try:
        wait_for(lambda: stage.watched_by(len(services)), CALM_WITHIN)
    except AssertionError:
        report.violation(f"not each of the {len(services)} services watches")
    for what, within in stage.changes():
        report.did(f"at rest, change {what}")
        try:
            wait_for(lambda: all(one.knows() for one in services), within)
        except AssertionError:
            for one in services:
                if not one.knows():
                    one.violation(f"does not know of {what} within {within:g} s: {one.state.document}")


def judge_trouble(report, stage, services):
    """One ill that lasts is told by its name, and its end is noticed."""
    state, words = stage.trouble()
    report.did(f"at rest, trouble: {state}, {words}")
    # The steady one polls often; another may do so rarely, and ends of connections wake it ever less.
    for one in services if state == "degraded" else services[1:]:
        one.reload()

    def is_told(one):
        # A watch that pauses has not asked since: it tells what was wrong before.
        return one.says(state, words) or not one.program.alive() or (
            "watch" in words and stage.is_pausing(*one.problem()))
    try:
        wait_for(lambda: all(is_told(one) for one in services), TOLD_WITHIN)
    except AssertionError:
        for one in services:
            if not is_told(one):
                one.violation(f"does not say {state}, {words}, but {one.problem()}")


def rest(stage, steady, mortal):
    if stage.calm():
        wait_for(steady.reload)
        wait_for(lambda: mortal.current().reload())
    come_to_rest(stage, lambda: steady)
    come_to_rest(stage, mortal.current)


def calm(rng, report, stage, steady, mortal, figures, minute):
    """Everything well again: so must be what they say, soon."""
    report.did("calm")
    rest(stage, steady, mortal)
    used = steady.program.cpu()
    begun = time.monotonic()
    time.sleep(1.5)
    share = (steady.program.cpu() - used) / (time.monotonic() - begun)
    if MEASURED and share > HOT_CALM:
        report.violation(f"steady: hot at rest: {share:.0%} of a processor")
    # What calm() cut may have been one watch too many that did not hold, which is told a moment later.
    come_to_rest(stage, lambda: steady)
    come_to_rest(stage, mortal.current)
    # The log and the file are read one after the other: they need not agree at once.
    try:
        wait_for(lambda: steady.settled() and steady.counted())
    except AssertionError:
        steady.violation(f"not as many lines as counted: {steady.state.document['counters']}, {steady.log.counts}")
    figures.take(minute)
    judge_changes(report, stage, [steady, mortal.one])
    if rng.random() < 0.5:
        judge_trouble(report, stage, [steady, mortal.one])
        rest(stage, steady, mortal)


def play(backend, minutes, seed, folder, disk, report):
    rng = random.Random(seed)
    (folder / "steady").mkdir()
    with STAGES[backend](rng, folder, disk) as stage, harness.NotifySocket() as notify:
        if minutes < 5:
            stage.patience = 0
        steady = Watched("steady", report, stage, folder / "steady", stage.steady(), notify)
        mortal = Mortal(report, stage, disk or folder / "mortal")
        figures = Figures(steady, report, min(3, minutes / 3))
        begun, pings = time.monotonic(), 0
        while (left := minutes * 60 - CALM_LASTS - (time.monotonic() - begun)) > 0:
            storm(rng, report, stage, steady, mortal, time.monotonic() + min(left, rng.uniform(5, 25)))
            if not steady.program.alive():
                report.violation(f"the steady one has ended: {steady.program.lines()[-1].text}")
                break
            calm(rng, report, stage, steady, mortal, figures, (time.monotonic() - begun) / 60)
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
    parser.add_argument("--backend", choices=STAGES, nargs="+", default=["toolhive"], help="one after the other")
    parser.add_argument("--minutes", type=float, default=15, help="for each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    isolated, mounts = runner.isolate(), own_mounts()
    violations = 0
    for backend in options.backend:
        print(f"chaos: {backend}, seed {options.seed}, {options.minutes:g} minutes"
              + ("" if isolated else "; not in a network of its own"), flush=True)
        report = Report()
        with tempfile.TemporaryDirectory(prefix="mcp-optimizer-chaos-") as name:
            folder = pathlib.Path(name)
            with small_disk(folder / "mortal") if mounts else contextlib.nullcontext() as disk:
                play(backend, options.minutes, options.seed, folder, disk, report)
        print(f"chaos: {backend}, {report.violations} violations", flush=True)
        violations += report.violations
    sys.exit(violations > 0)


if __name__ == "__main__":
    main()
