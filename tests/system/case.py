# SPDX-License-Identifier: Apache-2.0
"""What the tests in a booted system share: one machine a file, and for each test a service that is
stopped, has no drop-ins and knows nothing; its log since then; stand-ins on ToolHive's ports."""

import contextlib
import itertools
import re
import sys
import time
import unittest

from machine import UNIT, Machine, main  # noqa: F401 (the tests take it from here)
from harness import SLOWNESS, Standin, lasted, wait_for

EXAMPLES = "/usr/share/doc/mcp-optimizer/examples"
API = "/api/v1beta"
LIST = f"{API}/workloads?all=true"
LIST_ROUTE = f"GET {API}/workloads"
# Long enough that no test sees its end.
LONG = {"toolhive_initial_backoff": 10, "toolhive_max_backoff": 300}
# Policy without its patience.
SOON = "[Service]\nRestartSec=100ms\n"

_machine = None


def boot(package=True):
    """For setUpModule()."""
    global _machine
    _machine = Machine()
    unittest.addModuleCleanup(_machine.__exit__)
    _machine.boot()
    if package:
        _machine.install()


def machine():
    return _machine


class MachineCase(unittest.TestCase):
    def setUp(self):
        self.machine = _machine
        self._drop_ins = itertools.count()
        self._stack = contextlib.ExitStack()
        self.addCleanup(self._stack.close)
        self._fresh = True
        self.clear()
        self.begin_log()

    def clear(self):
        """No service, no drop-ins, nothing kept."""
        _machine.run("sh", "-c", """systemctl stop mcp-optimizer-wait mcp-optimizer
            rm -rf /etc/systemd/system/*.service.d
            systemctl daemon-reload
            systemctl reset-failed
            systemctl clean --what=state mcp-optimizer || :""")

    def begin_log(self):
        """What messages() and the like tell begins now."""
        self.since = f"--since=@{time.time():.6f}"

    def tearDown(self):
        result = self._outcome.result
        if any(test is self for test, _ in [*result.failures, *result.errors]):
            print(_machine.run("journalctl", "--output=short-monotonic", "--no-pager", self.since, check=False),
                  _machine.systemctl("status", "--no-pager", UNIT, check=False),
                  file=sys.stderr)

    def standin(self, **options):
        return self._stack.enter_context(Standin(**{"port": 50001, "workloads": 5, **options}))

    # ---- settings ----

    def drop_in(self, text, unit=UNIT):
        """A file as `systemctl edit` makes it; behind those of the examples."""
        self.machine.write(f"/etc/systemd/system/{unit}.d/zz-{next(self._drop_ins)}.conf", text)
        self._fresh = False

    def example(self, name, target=f"/etc/systemd/system/{UNIT}.d/"):
        """A file of the package's examples, copied as its own comment says."""
        self.machine.run("mkdir", "-p", target)
        self.machine.run("cp", f"{EXAMPLES}/{name}", target)
        self._fresh = False

    def settings(self, **settings):
        self.drop_in("[Service]\n" + "".join(f'Environment="{key.upper()}={value}"\n'
                                             for key, value in settings.items()))

    def read_units(self):
        if not self._fresh:
            self.machine.systemctl("daemon-reload")
        self._fresh = True

    # ---- the service ----

    def timed(self, verb, unit=UNIT):
        """systemctl's verb; seconds that it took, as lasted() counts them."""
        self.read_units()
        start = time.monotonic()
        self.machine.systemctl(verb, unit)
        return lasted(start)

    def start(self, **settings):
        if settings:
            self.settings(**settings)
        return self.timed("start")

    def show(self, *names):
        return self.machine.show(*names)

    def value(self, name):
        return self.show(name)[name]

    def pid(self):
        return int(self.value("MainPID"))

    def wait_status(self, pattern, timeout=5.0):
        """STATUS, once it matches."""
        try:
            return wait_for(lambda: re.fullmatch(pattern, self.value("StatusText")), timeout,
                            f"the status {pattern!r}", interval=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}, but {self.show('StatusText')!r}") from None

    def connected(self, timeout=5.0):
        return self.wait_status(r"Connected to ToolHive .*", timeout)

    def wait_show(self, timeout=5.0, **wanted):
        """Until the unit has these properties."""
        def reached():
            values = self.show(*wanted)
            return all(values[name] == value for name, value in wanted.items())
        try:
            wait_for(reached, timeout, f"{wanted}", interval=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}, but {self.show(*wanted)}") from None

    def assert_stops_at_once(self):
        self.assertLess(self.timed("stop"), 1.0)
        self.assertEqual(self.show("ActiveState", "Result", "ExecMainStatus"),
                         {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"})

    # ---- its log ----

    def entries(self, *words):
        """What the service has logged in this test, as dictionaries."""
        return [entry for entry in self.machine.journal(self.since, *words)
                if entry.get("SYSLOG_IDENTIFIER") == "mcp-optimizer"]

    def messages(self, *words):
        return [entry["MESSAGE"] for entry in self.entries(*words)]

    def wait_message(self, text, timeout=5.0, count=1):
        """The entry of the so manieth message that holds the text."""
        def found():
            matching = [entry for entry in self.entries() if text in entry["MESSAGE"]]
            return len(matching) >= count and matching[count - 1]
        return wait_for(found, timeout, f"message {count} with {text!r}", interval=0.02)

    def stays(self, seconds, **wanted):
        """That the unit has these properties for so long."""
        end = time.monotonic() + seconds * SLOWNESS
        while time.monotonic() < end:
            self.assertEqual(self.show(*wanted), {name: str(value) for name, value in wanted.items()})
            time.sleep(0.1)
