# SPDX-License-Identifier: Apache-2.0
"""A stand-in and the program that looks for it, on an address and ports of their own; and the log
that came of it, as the specification has it."""

import contextlib
import pathlib
import re
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import Optimizer, Standin, free_port_range, loopback, state, wait_for  # noqa: E402

API = "/api/v1beta"
LIST = f"{API}/workloads?all=true"
REGISTRY = f"{API}/registry/default"
VERSION = f"{API}/version"
LIST_ROUTE = f"GET {API}/workloads"
REGISTRY_ROUTE = f"GET {REGISTRY}"

# What is said of the start, of the polls and of a stop; tests of their own are about that.
OTHERS = ("Starting mcp-optimizer", "Stopped on request", "Reload requested", "Workload", "Registry")


def failed(attempt, of, error, seconds):
    return (f'WARNING  ToolHive connection failed attempt={attempt} max_retries={of} error="{error}" '
            f"backoff_seconds={seconds}")


def rediscovering(port):
    return f"WARNING  Attempting to rediscover ToolHive port previous_port={port}"


def same_port(port):
    return f"INFO     ToolHive still available on same port port={port}"


def connected(url, version="v0.44.0"):
    return f"INFO     Connected to ToolHive endpoint={url} version={version}"


def moved(old, new):
    return [f"INFO     Successfully rediscovered ToolHive on new port old_port={old} new_port={new}",
            f"INFO     Port rediscovery successful, retrying immediately new_port={new}"]


def restored(url, attempts):
    return f"INFO     ToolHive connection restored endpoint={url} attempts={attempts} outage_seconds=S"


def given_up(of, error):
    return [f"ERROR    All retry attempts exhausted. ToolHive is unavailable. total_attempts={of}",
            f'CRITICAL ToolHive connection failure - exiting max_retries={of} last_error="{error}"']


def told(optimizer):
    """All lines but OTHERS, in order; the length of an outage, which no test can foresee, becomes S."""
    return [re.sub(r"(?<=outage_seconds=)\d+\.\d{1,3}$", "S", line.text)
            for line in optimizer.lines() if not line.message.startswith(OTHERS)]


def wait_state(optimizer, predicate, timeout=5.0):
    """The state file's document, once there is one that satisfies."""
    return wait_for(lambda: (document := state(optimizer)) and predicate(document) and document, timeout,
                    "such a state file")


def first_warning(optimizer):
    """A line may be read later than the state file that was written after it."""
    return optimizer.wait_line(re.compile("^WARNING "))


class Scene(contextlib.ExitStack):
    """Four ports on a loopback address of its own; the stand-in takes the second of them."""

    def __init__(self):
        super().__init__()
        self.host = loopback()
        self.first = free_port_range(4)
        self.port = self.first + 1
        self.other_port = self.first + 2

    def url(self, port=None):
        return f"http://{self.host}:{port or self.port}"

    def standin(self, **options):
        return self.enter_context(Standin(**{"host": self.host, "port": self.port, **options}))

    def optimizer(self, *arguments, **settings):
        """With short delays: 0.1, 0.2, 0.4, 0.8, then 1.0 s."""
        return self.enter_context(Optimizer(*arguments, **{
            "toolhive_host": self.host, "toolhive_discovery_file": "none",
            "toolhive_start_port_scan": self.first, "toolhive_end_port_scan": self.first + 3,
            "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1.0, **settings}))

    def both(self, standin=None, **settings):
        """Both, when the first polls are done."""
        server = self.standin(**(standin or {}))
        program = self.optimizer(**settings)
        program.wait_line("Registry polled")
        return server, program

    def restart_elsewhere(self, standin):
        """The end of ToolHive here and its return there, with no moment in between without any."""
        standin.squat("elsewhere", port=self.other_port, hosts=[self.host])
        standin.stop_listening()

    def skip_if_8080_is_taken(self, test):
        """A search that is to find nothing says that all refused only if 8080 does, too."""
        with socket.socket() as sock:
            if sock.connect_ex((self.host, 8080)) == 0:
                test.skipTest("something listens on port 8080 of every address")
