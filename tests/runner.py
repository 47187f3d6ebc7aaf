# SPDX-License-Identifier: Apache-2.0
"""How a test file runs: in a network of its own, or in several; some tests at a time; with a line for each skip.

The lines `skipped: TEST: REASON` are there to be counted: a skipped test is no passed one.
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import itertools
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import unittest

ABREAST = 6
PART = "MCP_OPTIMIZER_TEST_PART"
PR_SET_PDEATHSIG, CLONE_NEWUSER, CLONE_NEWNET = 1, 0x10000000, 0x40000000

_libc = ctypes.CDLL(None)
_isolated = False


def isolated():
    """Whether all ports are ours, once main() has begun."""
    return _isolated


def _unshare():
    """A network for this thread and those that it starts, if the kernel gives one: this one must be the first."""
    user, group = os.geteuid(), os.getegid()
    # Root needs no user namespace, in which it could not give a file away.
    if _libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if user != 0 else 0)) != 0:
        return False
    if user != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            pathlib.Path("/proc/self", name).write_text(text)
    return True


def _loopback_up():
    SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
    with socket.socket() as sock:
        request = bytearray(fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0)))
        request[16] |= IFF_UP
        fcntl.ioctl(sock, SIOCSIFFLAGS, bytes(request))
    # ToolHive's own range lies among the ephemeral ports: here no client may take one of it.
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("32768 49999")


def isolate():
    """A network of its own for a program that is no test, as main() has it; whether there is one."""
    global _isolated
    _isolated = _unshare()
    if _isolated:
        _loopback_up()
    return _isolated


class _Abreast(unittest.TestSuite):
    """Runs its tests some at a time, each with a result of its own; no fixtures of classes or modules."""

    width = ABREAST

    def run(self, result, debug=False):
        with concurrent.futures.ThreadPoolExecutor(self.width) as pool:
            for own in pool.map(_run_one, _flatten(self)):
                result.testsRun += own.testsRun
                for kind in ("errors", "failures", "skipped", "expectedFailures", "unexpectedSuccesses"):
                    getattr(result, kind).extend(getattr(own, kind))
        return result


def _flatten(suite):
    for item in suite:
        yield from _flatten(item) if isinstance(item, unittest.TestSuite) else [item]


def _run_one(test):
    own = unittest.TestResult()
    test.run(own)
    return own


class _Loader(unittest.TestLoader):
    """Takes every so manieth test, as PART says: "0/3" is every third, from the first."""

    def __init__(self):
        super().__init__()
        self._part, self._parts = map(int, os.environ.get(PART, "0/1").split("/"))
        self._numbers = itertools.count()

    def getTestCaseNames(self, case):
        return [name for name in super().getTestCaseNames(case) if next(self._numbers) % self._parts == self._part]


def _run_parts(parts):
    """The tests of this file, dealt out to so many processes, each with a network of its own."""
    def end_with_us():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    children = [subprocess.Popen([sys.executable, *sys.argv], preexec_fn=end_with_us,
                                 env={**os.environ, PART: f"{part}/{parts}"}) for part in range(parts)]
    sys.exit(any([child.wait() for child in children]))


def run_tests(abreast=False):
    """unittest.main(), and the reasons of what was skipped. `abreast`: some tests at a time, or so many."""
    loader = _Loader()
    if abreast is not True:
        _Abreast.width = abreast
    if abreast:
        loader.suiteClass = _Abreast
    result = unittest.main(testLoader=loader, exit=False).result
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}", file=sys.stderr)
    sys.exit(not result.wasSuccessful())


def main(abreast=False, parts=1):
    """run_tests() for a black-box test, in a network namespace of its own where the kernel gives one.

    The program looks for ToolHive on 8080 and in ToolHive's own range. On the machine's own loopback a
    test would find there what its neighbours or the developer run; where there is no namespace, the tests
    that need those ports are skipped. `parts`: tests that wait much and each need the ports for
    themselves run in so many namespaces at a time.
    """
    global _isolated
    _isolated = _unshare()
    if _isolated and parts > 1 and len(sys.argv) == 1 and PART not in os.environ:
        _run_parts(parts)
    if _isolated:
        _loopback_up()
    run_tests(abreast)
