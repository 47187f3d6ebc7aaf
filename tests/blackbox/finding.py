# SPDX-License-Identifier: Apache-2.0
"""What tests of finding ToolHive share: several of them, discovery files, a program that looks for them."""

import functools
import itertools
import json
import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import harness  # noqa: E402
from harness import Optimizer, Standin, free_port  # noqa: E402

CONNECTED = "Connected to ToolHive"
NOTHING = "ToolHive connection failed attempt=1 "
SEARCH = 3.0


def need_isolation(test):
    @functools.wraps(test)
    def run(self):
        if not harness.isolated():
            self.skipTest("no network namespace: the ports are not ours alone")
        test(self)
    return run


def need_ipv6(test):
    return unittest.skipUnless(os.path.exists("/proc/net/if_inet6"), "no IPv6")(test)


class ToolHive:
    """One of the servers of the test's stand-in; behaviours make it a stranger."""

    def __init__(self, standin, name, behaviours=(), port=0, hosts=("127.0.0.1",)):
        told = standin.control("squat", name=name, port=port, behaviours=behaviours, hosts=hosts)
        self.standin, self.name = standin, name
        self.port, self.url = told["port"], told["urls"][0]

    def behave(self, name, **parameters):
        self.standin.behave(name, server=self.name, **parameters)

    def stop(self):
        self.standin.clear(server=self.name)
        self.standin.stop_listening(server=self.name)

    def seen(self):
        """The paths that were asked for, and an empty one for each connection."""
        told = self.standin.control("requests")
        return [event.get("path", "") for event in told["connections"] + told["requests"]
                if event["port"] == self.port]


class FindingCase(unittest.TestCase):
    numbers = itertools.count()

    def setUp(self):
        self.host = self.enterContext(Standin(workloads=2))
        # What it is asked for is what the tests look at: it is silent itself.
        self.host.stop_listening()

    def toolhive(self, *behaviours, **arguments):
        return ToolHive(self.host, f"t{next(self.numbers)}", behaviours, **arguments)

    def folder(self):
        return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def write_file(self, path, url, **fields):
        """As ToolHive does it: put in place at once, for its user alone."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"url": url, "pid": os.getpid(), "nonce": self.host.nonce,
                                   "started_at": "2026-11-22T16:01:31Z", **fields}))
        new.chmod(0o600)
        new.replace(path)
        return path

    def optimizer(self, *arguments, first=None, last=None, **settings):
        """With a range that nobody listens in, and without a file, unless the settings say otherwise."""
        if first is None:
            first = last = free_port()
        settings = {"toolhive_discovery_file": "none", "toolhive_initial_backoff": 0.1,
                    "toolhive_start_port_scan": first, "toolhive_end_port_scan": last, **settings}
        return self.enterContext(Optimizer(*arguments, **settings))

    def assert_found(self, optimizer, endpoint, timeout=SEARCH):
        line = optimizer.wait_line(CONNECTED, timeout)
        self.assertEqual((line.level, line.message), ("INFO", CONNECTED))
        self.assertEqual(line.pairs, {"endpoint": endpoint, "version": line.pairs["version"]})
        return line

    def assert_nothing(self, optimizer, error, timeout=SEARCH):
        line = optimizer.wait_line(NOTHING, timeout)
        self.assertEqual(line.pairs["error"], error)
        return line
