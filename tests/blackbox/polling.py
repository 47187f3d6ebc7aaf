# SPDX-License-Identifier: Apache-2.0
"""A stand-in, and the program that is connected to it and polls."""

import pathlib
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import Optimizer, Standin, free_port, state, wait_for  # noqa: E402

LIST = "/api/v1beta/workloads?all=true"
REGISTRY = "/api/v1beta/registry/default"
MIB = 1 << 20


def names(optimizer):
    return [item["name"] for item in state(optimizer)["workloads"]["items"]]


class StateCase(unittest.TestCase):
    def setUp(self):
        self.standin = self.enterContext(Standin(port=free_port(), workloads=3))
        self.closed = free_port()

    def folder(self):
        return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def optimizer(self, **settings):
        settings = {"toolhive_port": self.standin.port, "toolhive_discovery_file": "none",
                    "toolhive_start_port_scan": self.closed, "toolhive_end_port_scan": self.closed,
                    "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1, **settings}
        return self.enterContext(Optimizer(**settings))

    def polled(self, **settings):
        """One that has done both of its first polls."""
        optimizer = self.optimizer(**settings)
        self.wait_state(optimizer, lambda told: told["pid"] == optimizer.pid and all(
            (told[part]["polled_at"] or "") >= told["started_at"] for part in ("workloads", "registry")))
        return optimizer

    def wait_state(self, optimizer, condition, timeout=5.0, what="the state"):
        def fits():
            told = state(optimizer)
            return told if told and condition(told) else None
        return wait_for(fits, timeout, what, interval=0.01)

    def poll_again(self, optimizer, path=LIST):
        """Has both polls made now, and waits until that of the workloads is told."""
        before = state(optimizer)["workloads"]["polled_at"]
        optimizer.signal(signal.SIGHUP)
        return self.wait_state(optimizer, lambda told: told["workloads"]["polled_at"] != before, what="a poll")

    def news(self, optimizer, since):
        """Level and text of what was logged since then, without the reload's own line."""
        return [line for line in optimizer.lines()[since:] if not line.message.startswith("Reload")]
