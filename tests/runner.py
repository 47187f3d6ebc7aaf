# SPDX-License-Identifier: Apache-2.0
"""How a test file runs: in a network of its own, some tests at a time, and with a line for each skip.

The lines `skipped: TEST: REASON` are there to be counted: a skipped test is no passed one.
"""

import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import unittest

ABREAST = 4
NAMESPACE = "MCP_OPTIMIZER_TEST_NAMESPACE"


def isolated():
    """Whether all ports are ours: main() says so."""
    return os.environ.get(NAMESPACE) == "own"


def _loopback_up():
    SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
    with socket.socket() as sock:
        request = bytearray(fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0)))
        request[16] |= IFF_UP
        fcntl.ioctl(sock, SIOCSIFFLAGS, bytes(request))
    # ToolHive's own range lies among the ephemeral ports: here no client may take one of it.
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("32768 49999")


class _Abreast(unittest.TestSuite):
    """Runs its tests some at a time, each with a result of its own; no fixtures of classes or modules."""

    def run(self, result, debug=False):
        with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
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


def run_tests(abreast=False):
    """unittest.main(), and the reasons of what was skipped. `abreast`: some tests at a time."""
    loader = unittest.TestLoader()
    if abreast:
        loader.suiteClass = _Abreast
    result = unittest.main(testLoader=loader, exit=False).result
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}", file=sys.stderr)
    sys.exit(not result.wasSuccessful())


def main(abreast=False):
    """run_tests() for a black-box test, in a network namespace of its own where the kernel gives one.

    The program looks for ToolHive on 8080 and in ToolHive's own range. On the machine's own loopback a
    test would find there what its neighbours or the developer run; where there is no namespace, the tests
    that need those ports are skipped.
    """
    if NAMESPACE not in os.environ:
        # Root needs no user namespace, in which it could not give a file away.
        command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
        allowed = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True).returncode == 0
        os.environ[NAMESPACE] = "own" if allowed else "shared"
        if allowed:
            os.execvp(command[0], [*command, sys.executable, *sys.argv])
    if isolated():
        _loopback_up()
    run_tests(abreast)
