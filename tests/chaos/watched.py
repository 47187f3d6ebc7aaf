# SPDX-License-Identifier: Apache-2.0
"""The services that chaos befalls, each with its judges: the steady one, and those that live and die."""

import collections
import contextlib
import os
import signal
import threading
import time

import harness
from judge_log import LogJudge
from judge_state import StateJudge
from pace import lasted, wait_for
from truth import moment

MIB = 1 << 20
WATCHDOG = 4
HOT_STORM = 0.5         # of one processor; a storm has bodies of 20 MiB in it
FLAT_FDS, FLAT_RSS = 2, 2 * MIB
LINES_A_MINUTE = 600
READY_WITHIN = 1.5
PATIENCE, FAR = 8.0, "2999-01-01T00:00:00Z"
MEASURED = not os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER")


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
        self.state = StateJudge(self.violation, runtime / "state.json", stage.witness(settings))
        self.log = LogJudge(self.violation, stage.words, stage.woken(settings), *(settings[f"toolhive_{key}"]
                            for key in ("initial_backoff", "max_backoff", "backoff_jitter", "max_retries")))
        watchdog = {"WATCHDOG_USEC": str(WATCHDOG * 1_000_000)} if notify else {}
        self.program = harness.Optimizer(
            runtime=runtime, notify=notify, environment=watchdog, log_format="json", toolhive_timeout=1, **settings)
        self.begun = time.monotonic()
        self.hottest = 0.0
        self._fed, self._over, self._reloaded = 0, False, 0
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

    def knows(self):
        """Whether it says what is so now, …"""
        document = self.state.document
        return (document and document["pid"] == self.program.pid and self._stage.is_at(document)
                and self.state.witness.up_to_date(document))

    def settled(self):
        """… and nothing else."""
        return self.knows() and self.state.document["connection"]["state"] == "connected"

    def problem(self):
        """The words for what is wrong: state and reason."""
        if not self.state.document:
            return None, None
        connection, *polls = (self.state.document[key] or {} for key in ("connection", "workloads", "registry"))
        if connection["state"] == "reconnecting":
            return connection["state"], connection["last_error"]
        return connection["state"], next((poll["problem"] for poll in polls if poll.get("problem")), None)

    def says(self, state, words):
        """Whether it speaks so of what is wrong."""
        told, reason = self.problem()
        return told == state and (reason or "").startswith(words)

    def reload(self):
        """Not before it is READY: before that nobody is told of a reload, and at first nobody catches the signal.
        Whether it was."""
        if not self.program.alive() or self.log.lines == 0 or lasted(self.begun) <= READY_WITHIN:
            return False
        self._reloaded = time.monotonic()
        self.program.signal(signal.SIGHUP)
        return True

    def hurry(self):
        """A reload, where it has all the time in the world for its next try."""
        document = self.state.document
        if (time.monotonic() - self._reloaded > 5 and document and document["pid"] == self.program.pid
                and document["connection"]["state"] in ("degraded", "reconnecting")
                and not document["connection"]["next_attempt_at"]
                and moment(document["workloads"]["next_poll_at"] or FAR) > time.time() + PATIENCE):
            self.reload()

    def counted(self):
        """Whether the counters tell as much as the log."""
        told, counts = self.state.document["counters"], self.log.counts
        return all(told[counter] == counts[line] for counter, line in (
            ("failures", "failed"), ("reconnects", "restored"), ("port_changes", "other")))


class Mortal:
    """Lives, ends in one way or another, and begins again on what was left."""

    def __init__(self, report, stage, runtime):
        self._report, self._stage, self._runtime = report, stage, runtime
        self.ends = collections.Counter()
        self.one = None
        self.begin()

    def begin(self):
        settings = self._stage.mortal()
        if self.one and any(settings[key] != self.one.settings[key] for key in self._stage.KNOWS):
            # What was known to a service of other settings may be more than this one is to know.
            (self._runtime / "state.json").unlink(missing_ok=True)
        self.one = Watched("mortal", self._report, self._stage, self._runtime, settings)

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

    def current(self):
        self.look()
        return self.one

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
        before, old = self.one.state.document, self.one
        self.begin()
        one = self.one
        if any(one.settings[key] != old.settings[key] for key in self._stage.KNOWS):
            before = None
        with contextlib.suppress(AssertionError):
            wait_for(lambda: one.state.document and one.state.document["pid"] == one.program.pid
                     or self._stage.full or not one.program.alive(), 5)
        after = one.state.document
        if not before or self._stage.full or not one.program.alive():
            return "with a full disk or none left"
        if not after or after["pid"] != one.program.pid:
            one.violation("no state file after 5 s")
        elif after["workloads"]["polled_at"] == before["workloads"]["polled_at"] \
                and after["workloads"]["items"] != before["workloads"]["items"]:
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
