# SPDX-License-Identifier: Apache-2.0
"""The whole program, tortured from outside: mcp-optimizer with inject.h in front of libc lives short
lives against the stand-in, and in each another allocation or call fails, with another of its errors.

A life of the service is: start, find ToolHive, poll, lose it to another port, find it there, stop. In a
cluster it is: start, list, watch, see a change, lose the API server and have it back where it was, stop.
Once the failure is over it has to be as good as new; it may end with 1 where it could not even begin; its
state file says what is so, or, where that cannot be written, what was so last; it stops at once. A command
ends with a code of its own, and prints all or nothing.

Nearly all of a life is the same start, of libcurl and OpenSSL most of all. The first command is tortured in
full; each other life has those places fail that none before it had, and of the known ones the first on each
new way through the program that leads to them (record.py). Of what TLS adds, of which little is the program's,
one allocation in TLS_STEP fails, others with another seed.

By default some plans are drawn by lot (MCP_OPTIMIZER_TORTURE_SEED repeats them); with
MCP_OPTIMIZER_TORTURE=all every single failure has its life.
"""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import queue
import random
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "blackbox"))

from cluster import USER, KubernetesStandin, ServiceAccount  # noqa: E402
from harness import Optimizer, Standin, free_port, free_port_range, loopback, main, wait_for  # noqa: E402
from record import Ground, Record  # noqa: E402

ALL = os.environ.get("MCP_OPTIMIZER_TORTURE") == "all"
SEED = int(os.environ.get("MCP_OPTIMIZER_TORTURE_SEED", random.randrange(1000000)))
ABREAST = 8 if ALL else 4
DRAWN = {"service": 40, "command": 12}
WORKLOADS = 3
APART = "tools/apart"   # comes and goes in a life in a cluster
TLS_STEP = 16
# In memory where that is to be had: thousands of folders are to be made, and files to be synced.
if os.access("/dev/shm", os.W_OK):
    tempfile.tempdir = "/dev/shm"


class Sum:
    """Of all lives of one kind."""

    def __init__(self):
        self.lives = self.injected = self.left_out = self.places = self.known = self.thinned = 0
        self.wrong, self.ends = [], {}
        self.lock = threading.Lock()

    def add(self, plan, record, end, wrong):
        with self.lock:
            self.lives += 1
            self.injected += record.injected > 0
            self.ends[str(end)] = self.ends.get(str(end), 0) + 1
            self.wrong += [f"{plan} ({record.failed}): {word}" for word in wrong]


class Place(contextlib.ExitStack):
    """A stand-in, and a folder for records: what one thread needs for its lives. settings find the stand-in."""

    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        self.good = {}      # what commands print on a good day, here
        self.standin, self.settings = self.stand_in()

    def program(self, plan, *arguments, count=False, **settings):
        """count: the record tells places, too."""
        record, places = self.folder / "record", self.folder / "places"
        for path in (record, places):
            path.unlink(missing_ok=True)
        environment = {"TORTURE_PLAN": plan, "TORTURE_RECORD": str(record)}
        return Optimizer(*arguments, environment=environment | ({"TORTURE_PLACES": str(places)} if count else {}), **{
            "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1.0, "toolhive_max_retries": 5,
            "toolhive_timeout": 1, **self.settings, **settings})

    def read_record(self):
        return Record(self.folder / "record", self.folder / "places")


class Machine(Place):
    """With ToolHive, on one of a few ports."""

    def stand_in(self):
        host, self.first = loopback(), free_port_range(4)
        standin = self.enter_context(Standin(host=host, port=self.first + 1, workloads=WORKLOADS))
        return standin, {"toolhive_host": host, "toolhive_start_port_scan": self.first,
                         "toolhive_end_port_scan": self.first + 3, "workload_polling_interval": 1,
                         "registry_polling_interval": 1}


class Cluster(Place):
    """With an API server that asks for a token. Polls are rare: what changes is told by the watches."""

    TLS = False

    def stand_in(self):
        account = self.enter_context(ServiceAccount("first"))
        standin = self.enter_context(KubernetesStandin(
            WORKLOADS, port=free_port(), tls=self.TLS, tokens={"first": USER},
            rules=[{"user": USER, "verb": ["list", "watch"]}]))
        return standin, {"runtime_mode": "k8s", "k8s_api_server_url": standin.url, "k8s_token_file": account.token,
                         "k8s_ca_file": account.ca, "workload_polling_interval": 60}


class ClusterWithTLS(Cluster):
    TLS = True


class Life:
    """One of the service, with one plan. wrong has a word for each thing that is not as it has to be."""

    def __init__(self, place, plan, count=False):
        self.place, self.standin, self.plan, self.wrong = place, place.standin, plan, []
        self.prepare()
        with place.program(plan, count=count) as self.program:
            self.live()
            self.end, self.record = self.stop(), place.read_record()
            self.judge_end()

    def expect(self, condition, word):
        if not condition:
            self.wrong.append(word + "\n    " + "\n    ".join(line.text for line in self.program.lines()))

    def state(self):
        """The state file's document; None where there is none."""
        try:
            text = (self.program.runtime / "state.json").read_text()
        except FileNotFoundError:
            return None
        try:
            return json.loads(text)
        except ValueError:
            self.wrong.append(f"the state file is no JSON: {text!r}")
            return None

    def is_told(self, text):
        return any(text in line.text for line in self.program.lines())

    def lasts(self):
        return self.plan.endswith(",on")

    def wait_told(self, condition, what):
        """Until the state file pleases it, or the process has ended, or cannot write one."""
        def told():
            document = self.state()
            return document and condition(document)
        try:
            wait_for(lambda: told() or not self.program.alive() or self.is_mute(), 0.5 if self.lasts() else 6, what,
                     interval=0.01)
        except AssertionError:
            self.expect(self.lasts(), f"{what} is not in the state file: {self.state()}")

    def is_mute(self):
        """It cannot write its state file: the log has it."""
        return self.is_told("the state file") and self.is_told("polled")

    def stop(self):
        if self.program.alive():
            code, seconds = self.program.terminate(5)
            self.expect(seconds < 1, f"a stop took {seconds:.3f} s")
        self.program.finish()
        return self.program.child.returncode

    def judge_end(self):
        self.expect(self.end in (0, 1), f"it ends with {self.end}")
        if self.end == 1:
            said = self.is_told("mcp-optimizer: ") or any(line.level == "CRITICAL" for line in self.program.lines())
            self.expect(said or "write" in self.record.failed, "it ends with 1 and does not say why")
        document = self.state()
        if document and not self.is_told("the state file") and not self.lasts():
            self.expect(document["connection"]["state"] == "stopped" or self.end == 1
                        and document["connection"]["state"] == "exhausted",
                        f"the state file says {document['connection']['state']} at the end of {self.end}")


class LifeOnMachine(Life):
    """Finds ToolHive, and finds it again elsewhere."""

    def prepare(self):
        self.standin.reset()

    def wait_connected(self):
        self.wait_told(lambda document: document["connection"]["state"] == "connected"
                       and document["connection"]["port"] == self.standin.port
                       and document["workloads"]["total"] == WORKLOADS and document["registry"]["servers"] > 0,
                       f"a connection to {self.standin.port}")

    def live(self):
        first = self.place.first
        self.wait_connected()
        document = self.state()
        if document and document["connection"]["state"] == "connected":
            asked = [request["path"] for request in self.standin.requests()]
            self.expect(any("/workloads" in path for path in asked),
                        "connected, and the workloads were never asked for")
        if self.program.alive():
            self.standin.move(first + 1 if self.standin.port == first + 2 else first + 2)
            self.wait_connected()


class LifeInCluster(Life):
    """Lists, is told of a change, and of another by the list that follows an outage."""

    def prepare(self):
        self.standin.objects(count=WORKLOADS)

    def wait_known(self, n):
        self.wait_told(lambda document: document["connection"]["state"] == "connected"
                       and document["workloads"]["total"] == n, f"a connection and {n} workloads")

    def live(self):
        self.wait_known(WORKLOADS)
        if not self.program.alive():
            return
        self.standin.objects(add=[APART])
        self.wait_known(WORKLOADS + 1)
        self.standin.stop_listening(drain=True)
        self.standin.kubernetes(end_watches=True, forget=True)
        self.wait_told(lambda document: document["connection"]["state"] == "reconnecting", "an outage")
        self.standin.objects(remove=[APART])
        self.standin.start_listening()
        self.wait_known(WORKLOADS)


def live(kind, place, plan, count=False):
    life = kind(place, plan, count)
    return life.record, life.end, life.wrong


SERVICES = {Machine: LifeOnMachine, Cluster: LifeInCluster}
COMMANDS = (
    (Machine, "list --json"), (Machine, "show workload-00001"), (Machine, "registry remote-001"),
    (Machine, "--check-config"), (Machine, "help install"),
    (Cluster, "list --json"), (Cluster, "show mcpserver-00001"), (ClusterWithTLS, "list --json"),
)


def ask(place, plan, words, count=False):
    """One life of a command: its record, exit code, what it printed, and whether it said anything else."""
    port = {"toolhive_port": place.standin.port} if isinstance(place, Machine) else {}
    with place.program(plan, *words.split(), count=count, state_file="none", **port) as program:
        try:
            code, printed = program.finish(10)
        except AssertionError as error:
            code, printed = str(error), ""
        return place.read_record(), code, printed, program.lines()


def command(words, place, plan, count=False):
    if words not in place.good:
        _, code, place.good[words], _ = ask(place, "nothing", words)
        assert code == 0, f"{words} ends with {code}"
    record, code, printed, lines = ask(place, plan, words, count)
    good, stderr_fails, wrong = place.good[words], record.failed.startswith("write"), []
    if code not in (0, 1):
        wrong.append(f"{words} ends with {code}")
    if code == 0 and printed != good and not any(line.level == "WARNING" for line in lines):
        wrong.append(f"{words} ends with 0 and prints {printed!r}")
    if code != 0 and printed not in ("", good) and not stderr_fails:
        wrong.append(f"{words} ends with {code} and prints {printed!r}")
    if code != 0 and not lines and not stderr_fails:
        wrong.append(f"{words} ends with {code} and says nothing")
    return record, code, wrong


class Torture(unittest.TestCase):
    ground = Ground()

    def torture(self, kind, where, run):
        """Counts, draws, lives; run(place, plan) is one life."""
        of = Sum()
        with where() as place:
            record, _, wrong = run(place, "nothing", count=True)
            self.assertEqual(wrong, [])
            thin = (SEED % TLS_STEP, TLS_STEP) if where is ClusterWithTLS else None
            plans = list(self.ground.plans(record, thin))
            of.places, of.left_out = record.allocations + record.calls, record.left_out
            of.known, of.thinned = self.ground.known, self.ground.thinned
        if not ALL:
            plans = random.Random(SEED).sample(plans, min(DRAWN[kind], len(plans)))
        waiting = queue.SimpleQueue()
        for plan in plans:
            waiting.put(plan)

        def work(_):
            with where() as own, contextlib.suppress(queue.Empty):
                while True:
                    plan = waiting.get_nowait()
                    of.add(plan, *run(own, plan))

        with concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
            list(pool.map(work, range(ABREAST)))
        return of

    def tell(self, name, of):
        print(f"{name}: {of.injected} failures injected in {of.places} calls, {of.known} of them as in a life before, "
              + (f"{of.thinned} left to other seeds, " if of.thinned else "")
              + f"{of.left_out} left out inside json-c; ends {dict(sorted(of.ends.items()))}, {len(of.wrong)} wrong "
              f"(seed {SEED})", flush=True)
        self.assertFalse(of.wrong, "\n".join(of.wrong))

    def test_commands(self):
        for where, words in COMMANDS:
            name = f"{words}, {where.__name__}"
            with self.subTest(name):
                self.tell(name, self.torture("command", where, functools.partial(command, words)))

    def test_service(self):
        for where, kind in SERVICES.items():
            name = f"service, {where.__name__}"
            with self.subTest(name):
                self.tell(name, self.torture("service", where, functools.partial(live, kind)))


if __name__ == "__main__":
    main()
