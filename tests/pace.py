# SPDX-License-Identifier: Apache-2.0
"""Time for tests: how long something took, on a machine that has other things to do as well.

A limit is meant for a program that may run when it wants to. Among others it gets a share of the
processors, as do the stand-in and the test that judges; so an upper limit is compared not with the
clock's seconds but with what the share made of them. lasted() counts these, on a clock that runs
the slower the less the machine gets to do. On a machine that is free it tells the clock's seconds.

Two figures govern it, taken every 20 ms. How many tasks per processor want to run, by the kernel's
count; two of them are no load yet, since that is what this suite makes when nothing else runs, and
all limits hold then. And how long the 20 ms really were: a short sleep that does not end is a time in
which nobody here could be expected to work. That shows what the count does not: a quota, a
hypervisor, the lock of our own interpreter. By itself it would not do, since the kernel prefers those
that wake to those that work.

Sanitizers and valgrind have their factor besides, MCP_OPTIMIZER_TEST_SLOWNESS.
"""

import bisect
import functools
import os
import threading
import time

SLOWNESS = float(os.environ.get("MCP_OPTIMIZER_TEST_SLOWNESS", "1"))


class Pace:
    """The clock; a thread of its own keeps it."""

    TICK = 0.02
    NORMAL = 2      # tasks per processor

    def __init__(self):
        self._processors = os.cpu_count() or 1
        self._count = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        self._crowd = 1.0
        self._moments, self._paced = [time.monotonic()], [0.0]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            time.sleep(self.TICK)
            runnable = int(os.pread(self._count, 100, 0).split()[3].partition(b"/")[0])
            # One of them is this thread.
            self._crowd = max(1.0, (runnable - 1) / (self.NORMAL * self._processors))
            now = time.monotonic()
            # In this order: who looks at the moments from another thread finds the other list as long.
            self._paced.append(self.at(now))
            self._moments.append(now)

    def at(self, moment):
        """What this clock told at that moment of the monotonic one."""
        after = bisect.bisect(self._moments, moment)
        if after == 0:
            return moment - self._moments[0]
        since = moment - self._moments[after - 1]
        if after < len(self._moments):
            return self._paced[after - 1] + since * (
                (self._paced[after] - self._paced[after - 1]) / (self._moments[after] - self._moments[after - 1]))
        return self._paced[after - 1] + min(since, self.TICK) / self._crowd


@functools.cache
def _pace():
    """Begun with the first wait, since there must be no second thread before runner.main() has done its work."""
    return Pace()


def lasted(since, until=None):
    """Seconds from one moment of time.monotonic() to another, or to now, for comparison with an upper
    limit: as they would have been on a machine that is neither slow nor busy."""
    pace = _pace()
    return (pace.at(time.monotonic() if until is None else until) - pace.at(since)) / SLOWNESS


def wait_for(predicate, timeout=5.0, what="the condition", interval=0.002):
    """The first true value of the predicate; AssertionError when it stays false for that long.

    It is looked at in ever longer intervals, a tenth of the time waited: to look costs as well."""
    begun = time.monotonic()
    while True:
        late = lasted(begun) > timeout
        if value := predicate():
            return value
        if late:
            raise AssertionError(f"{what} did not come within {timeout:g} s")
        time.sleep(min(max(interval, (time.monotonic() - begun) / 10), 0.05))
