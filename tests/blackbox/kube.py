# SPDX-License-Identifier: Apache-2.0
"""A cluster, and the program that lists and watches it; the log that comes of it, as the specification
has it."""

import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from cluster import USER, V1BETA1, KubernetesStandin, ServiceAccount  # noqa: E402
from harness import Optimizer, free_port, state, wait_for  # noqa: E402
from scene import told  # noqa: E402

PLURALS = ("mcpservers", "virtualmcpservers", "mcpremoteproxies")
PAGE = "?limit=500"
LISTS = [f"{V1BETA1}/{plural}{PAGE}" for plural in PLURALS]
REFUSED = "Connection refused"
MIB = 1 << 20
# Sanitizers' allocators keep freed memory, shadow and quarantine: figures would tell of them, not of us.
MEASURED = not os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER")


# ---- the lines, as the specification words them ----

def failed(attempt, of, error, seconds):
    return (f'WARNING  Kubernetes API connection failed attempt={attempt} max_retries={of} error="{error}" '
            f"backoff_seconds={seconds}")


def connected(url, version="v1.34.1"):
    return f"INFO     Connected to Kubernetes API endpoint={url}" + (f" version={version}" if version else "")


def restored(url, attempts):
    return f"INFO     Kubernetes API connection restored endpoint={url} attempts={attempts} outage_seconds=S"


def given_up(of, error):
    return [f"ERROR    All retry attempts exhausted. Kubernetes API is unavailable. total_attempts={of}",
            f'CRITICAL Kubernetes API connection failure - exiting max_retries={of} last_error="{error}"']


ANSWERS_AGAIN = 'INFO     Kubernetes API answers again operation="list workloads"'
WATCHES_AGAIN = 'INFO     Kubernetes API answers again operation="watch workloads"'


def worse(optimizer):
    """Messages of all lines that are more than INFO."""
    return [line.message for line in optimizer.lines() if line.level in ("WARNING", "ERROR", "CRITICAL")]


# ---- what is known ----

def key(item):
    return f'{item["namespace"]}/{item["name"]}'


def known(optimizer):
    """NAMESPACE/NAME and status of all workloads of the state file, in its order."""
    return {key(item): item["status"] for item in state(optimizer)["workloads"]["items"]}


def watch_version(request):
    """The resourceVersion that a watch began at."""
    return re.search(r"resourceVersion=(\d*)", request["path"])[1]


class Case(unittest.TestCase):
    """A stand-in and a program each test asks for; both end with the test."""

    def cluster(self, objects=0, **options):
        return self.enterContext(KubernetesStandin(objects, **{"port": free_port(), **options}))

    def program(self, cluster, *arguments, **settings):
        """With short delays: 0.1, 0.2, 0.4, 0.8, then 1.0 s."""
        return self.enterContext(Optimizer(*arguments, **{
            "runtime_mode": "k8s", "k8s_api_server_url": cluster.url,
            "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1, **settings}))

    def both(self, objects=0, settings=None, watches=3, **options):
        """A cluster and a program that has listed it and watches it."""
        cluster = self.cluster(objects, **options)
        program = self.program(cluster, **(settings or {}))
        self.wait_watching(cluster, program, watches)
        return cluster, program

    def polled(self, cluster, *arguments, **settings):
        """A program that has listed, and written down what."""
        program = self.program(cluster, *arguments, **settings)
        self.wait_polled(program)
        return program

    def wait_polled(self, program, timeout=5.0):
        """The line comes before the state file."""
        program.wait_line("Workloads polled", timeout)
        return self.wait_state(program, lambda told: told["pid"] == program.pid and (
            told["workloads"]["polled_at"] or "") >= told["started_at"], timeout)

    def wait_watching(self, cluster, program, watches=3, timeout=5.0):
        self.wait_polled(program, timeout)
        wait_for(lambda: cluster.kubernetes()["watches"] == watches, timeout, f"{watches} watches")

    def wait_state(self, program, condition, timeout=5.0, what="such a state file"):
        def fits():
            document = state(program)
            return document if document and condition(document) else None
        return wait_for(fits, timeout, what)

    def wait_known(self, program, wanted, timeout=5.0):
        """Until the workloads are these, by NAMESPACE/NAME, with their status where a dictionary tells it."""
        wanted = wanted if isinstance(wanted, dict) else dict.fromkeys(wanted, "running")
        try:
            wait_for(lambda: state(program) and known(program) == wanted, timeout)
        except AssertionError:
            self.assertEqual(known(program), wanted, "\n".join(line.text for line in program.lines()))

    def assert_small(self, program, before, most=4):
        """Of the memory in use before, so many MiB more at most are left after a while, and there never were 64."""
        if MEASURED:
            self.assertLess(program.peak(), 64 * MIB)
            wait_for(lambda: program.rss() <= before + most * MIB, 2, "memory that is given back")

    def seen(self, cluster, verb=None):
        """The requests so far that are a LIST, a WATCH, or neither (GET)."""
        def verb_of(request):
            path = request["path"]
            return "GET" if not path.startswith("/apis/") else "WATCH" if "watch=true" in path else "LIST"
        return [request for request in cluster.requests() if verb in (None, verb_of(request))]

    def told(self, program):
        return told(program)


TOKENS = {"first": USER, "second": USER}
ALL = [{"user": USER, "verb": ["list", "watch"]}]


class MemberCase(Case):
    """The cluster asks who is there, and what he may."""

    def account(self, token="first", **options):
        return self.enterContext(ServiceAccount(token, **options))

    def secured(self, objects=1, **options):
        """A cluster with TLS that knows two tokens, each of which may list and watch."""
        return self.cluster(objects, **{"tls": True, "tokens": TOKENS, "rules": ALL, **options})

    def member(self, cluster, account, **settings):
        return self.program(cluster, **{"k8s_token_file": account.token, "k8s_ca_file": account.ca, **settings})
