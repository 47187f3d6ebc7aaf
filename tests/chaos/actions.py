# SPDX-License-Identifier: Apache-2.0
"""What chaos does to the stand-in, and to the disk under the state file.

Each action is a method of Stage with its weight, and leaves the truths right: whoever changes what
ToolHive has to tell says since when. calm() takes back all of it.
"""

import collections
import contextlib
import os
import pathlib
import time

from judge_state import Truth

API = "/api/v1beta"
WOKEN_WITHIN = 8.0      # a call and a search under way, then at most one wake a second
ROUTES = ["*", f"GET {API}/workloads", f"GET {API}/registry/default", f"GET {API}/version", "GET /health"]
RUNNING = ["running", "running", "stopped", "error", "unhealthy", "starting"]

# Name and parameters; those of the listener and of the connection take any route.
BEHAVIOURS = [
    ("hang", {}), ("slow", {"ms": 300}), ("slow", {"ms": 800}), ("drip-headers", {"interval": 0.2}),
    ("drip-body", {"interval": 0.2}), ("close", {}), ("close-after", {}), ("cut-headers", {}), ("cut-body", {}),
    ("length-long", {}), ("length-short", {}), ("reset-after-request", {}), ("reset-in-headers", {}),
    ("reset-in-body", {}), ("status", {"code": 500}), ("status", {"code": 502}), ("status", {"code": 404}),
    ("status", {"code": 503, "headers": {"Retry-After": "1"}}), ("status", {"code": 503, "headers": {
        "Retry-After": "99999999999"}}), ("redirect", {"url": "http://127.0.0.1:1/"}), ("json", {"text": "{"}),
    ("json", {"text": "[]"}), ("json", {"text": '{"workloads":7,"registry":[]}'}), ("json", {"text": "NaN"}),
    ("version-missing", {}), ("depth", {"n": 40}), ("entries", {"n": 300_000}), ("bad-utf8", {}), ("big", {"mib": 20}),
    ("chunked", {"mib": 17}), ("header-line", {}), ("header-many", {}), ("informational", {"n": 5}),
    ("switching", {}), ("gzip-bomb", {}), ("http09", {}), ("garbage", {}), ("tls-alert", {}), ("endless", {}),
    ("silence", {"seconds": 30}), ("reset-at-accept", {}), ("close-at-accept", {}), ("ssh", {"seconds": 30}),
    ("refuse", {}), ("backlog-full", {}),
]
SQUATTERS = ["ssh", "silence", "close-at-accept", "garbage", "hang", "endless", "tls-alert"]


def weight(share, touches=False):
    """How likely an action is, and whether it touches the discovery file."""
    def mark(method):
        method.weight, method.touches = share, touches
        return method
    return mark


class Stage:
    """The stand-in with what is around it; disk is a small file system of its own, or None."""

    def __init__(self, rng, standin, ports, discovery, disk):
        self.rng, self.standin, self.ports, self.discovery, self.disk = rng, standin, ports, discovery, disk
        self.squatters = {}
        self.runtime_away = False
        self.full = False
        self.acted = 0
        self._touched = collections.deque([time.time()], maxlen=50)     # the discovery file
        self._number = 0
        self._names = {}
        self._servers = []
        self._updated = "2026-02-18T00:24:11Z"
        self.workloads, self.registry = Truth({}), Truth((self._updated, ()))
        self.add_workload()
        self.add_server()
        self._mood = self.actions = [getattr(self, name) for name in sorted(dir(self))
                        if hasattr(getattr(type(self), name, None), "weight")]

    def set_mood(self):
        """What comes from now on: anything, or only what one kind of trouble consists of."""
        kinds = [self.actions, self.actions, [self.misbehave, self.behave_again, self.cut],
                 [self.stop_listening, self.start_listening, self.move, self.squat, self.leave]]
        self._mood = self.rng.choice(kinds)

    def act(self):
        """One action at random; its name."""
        self.acted += 1
        action = self.rng.choices(self._mood, [action.weight for action in self._mood])[0]
        if action.touches:
            self._touch()
        return f"{action.__name__} {action() or ''}".strip()

    def woken(self, when):
        return any(touched - 0.1 <= when <= touched + WOKEN_WITHIN for touched in list(self._touched))

    def _touch(self):
        """Before the file is written or removed."""
        self._touched.append(time.time())

    def calm(self):
        self._touch()
        self.standin.clear()
        self.unfill()
        for name in list(self.squatters):
            self._leave(name)
        self.runtime_away = False
        self.standin.control("toolhive", runtime_away=False)
        self.standin.control("registry")
        if self.standin.port not in self.ports:
            self.standin.move(self.ports[0])
        else:
            self.standin.start_listening()
        self.standin.reset()

    # ---- where it is ----

    @weight(6, touches=True)
    def stop_listening(self):
        self.standin.stop_listening(discovery=self.rng.random() < 0.8)

    @weight(8, touches=True)
    def start_listening(self):
        self.standin.start_listening()

    @weight(10, touches=True)
    def move(self):
        return self.standin.move(self.rng.choice([port for port in self.ports if port not in self.squatters.values()]))

    @weight(3, touches=True)
    def move_and_change(self):
        self.standin.stop_listening()
        self.standin.control("toolhive", version=self.rng.choice(["v0.44.0", "v0.45.0", "build-unknown"]))
        self.add_workload()
        self.move()

    @weight(4)
    def cut(self):
        self.standin.cut()

    @weight(4)
    def squat(self):
        taken = {*self.squatters.values(), self.standin.port}
        free = [port for port in self.ports if port not in taken]
        if len(free) < 3:
            return "nowhere"
        self._number += 1
        name, behaviour = f"s{self._number}", self.rng.choice(SQUATTERS)
        self.squatters[name] = self.standin.squat(name, {"name": behaviour}, port=self.rng.choice(free))
        return behaviour

    @weight(4)
    def leave(self):
        if self.squatters:
            self._leave(self.rng.choice(sorted(self.squatters)))

    def _leave(self, name):
        self.standin.stop_listening(server=name)
        del self.squatters[name]

    # ---- how it answers ----

    @weight(16)
    def misbehave(self):
        name, parameters = self.rng.choice(BEHAVIOURS)
        route, count = self.rng.choice(ROUTES), self.rng.choice([1, 1, 3, 10, None])
        self.standin.behave(name, route, count, **parameters)
        return f"{name} {parameters} on {route} {count or 'for ever'}"

    @weight(14)
    def behave_again(self):
        self.standin.clear()

    @weight(3)
    def lose_runtime(self):
        self.runtime_away = not self.runtime_away
        self.standin.control("toolhive", runtime_away=self.runtime_away)

    # ---- what it has to tell ----

    def _served(self, names, begun):
        self._names = names
        self.workloads.change(dict(names), begun)

    @weight(4)
    def add_workload(self):
        self._number += 1
        begun, name = time.time(), f"w{self._number:05}"
        if len(self._names) < 30:
            # A running one without its url has its details asked for.
            fields = {"name": name, **({"url": None} if self.rng.random() < 0.2 else {})}
            self.standin.control("workloads", add=[{key: value for key, value in fields.items() if value}])
            if "url" in fields:
                self.standin.control("workloads", update={name: {"url": None}})
            self._served({**self._names, name: "running"}, begun)

    @weight(3)
    def remove_workload(self):
        if self._names:
            begun, name = time.time(), self.rng.choice(sorted(self._names))
            self.standin.control("workloads", remove=[name])
            self._served({other: status for other, status in self._names.items() if other != name}, begun)

    @weight(4)
    def change_workload(self):
        if self._names:
            begun, name, status = time.time(), self.rng.choice(sorted(self._names)), self.rng.choice(RUNNING)
            self.standin.control("workloads", status={name: status})
            self._served({**self._names, name: status}, begun)

    def _registered(self, begun):
        self.registry.change((self._updated, tuple(sorted(self._servers))), begun)

    @weight(3)
    def add_server(self):
        self._number += 1
        begun, name = time.time(), f"r{self._number:05}"
        self.standin.control("registry", add=[name])
        self._servers.append(name)
        self._registered(begun)

    @weight(3)
    def renew_registry(self):
        begun, gone = time.time(), self._servers[:len(self._servers) // 2]
        self._updated = f"2026-02-18T00:24:{self.rng.randrange(60):02}Z"
        self.standin.control("registry", remove=gone, last_updated=self._updated)
        self._servers = self._servers[len(gone):]
        self._registered(begun)

    @weight(2)
    def lose_registry(self):
        self.standin.control("registry", problem=self.rng.choice([
            None, None, "registry_unavailable", "registry_auth_required", "registry_legacy_format"]))

    # ---- files ----

    @weight(6, touches=True)
    def discovery_file(self):
        how = self.rng.choice(["write", "remove", "garbage", "foreign", "open", "huge", "touch"])
        if how == "remove":
            self.standin.control("discovery", action="remove")
        elif how == "touch":
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.discovery)
        else:
            self.standin.control("discovery", action="write", **{
                "write": {}, "garbage": {"text": "{\"url\": \0\xff"}, "huge": {"text": " " * 100_000},
                "foreign": {"fields": {"url": f"http://127.0.0.1:{self.rng.choice(self.ports)}"}},
                "open": {"mode": 0o666}}[how])
        return how

    @weight(3)
    def fill_disk(self):
        if not self.disk:
            return "not possible here"
        if self.full:
            return self.unfill()
        self.full = True
        with contextlib.suppress(OSError), open(self.disk / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        return None

    def unfill(self):
        if self.full:
            pathlib.Path(self.disk / "filler").unlink(missing_ok=True)
            self.full = False
