# SPDX-License-Identifier: Apache-2.0
"""What befalls a ToolHive: restarts, moves, squatters, bad answers, its discovery file."""

import collections
import contextlib
import os
import time

import harness
from judge_log import TOOLHIVE
from stage import BEHAVIOURS, RETRIES, Stage, weight
from truth import ToolHiveWitness, Truth

API = "/api/v1beta"
WOKEN_WITHIN = 8.0      # a call and a search under way, then at most one wake a second
RUNNING = ["running", "running", "stopped", "error", "unhealthy", "starting"]
SQUATTERS = ["ssh", "silence", "close-at-accept", "garbage", "hang", "endless", "tls-alert"]


class ToolHiveStage(Stage):
    words = TOOLHIVE
    routes = ["*", f"GET {API}/workloads", f"GET {API}/registry/default", f"GET {API}/version", "GET /health"]
    behaviours = BEHAVIOURS + [
        ("status", {"code": 404}), ("status", {"code": 503, "headers": {"Retry-After": "1"}}),
        ("status", {"code": 503, "headers": {"Retry-After": "99999999999"}}), ("version-missing", {}),
        ("json", {"text": '{"workloads":7,"registry":[]}'}),
    ]

    def __init__(self, rng, folder, disk):
        super().__init__(rng, disk)
        first = harness.free_port_range(8)
        self.ports = list(range(first, first + 8))
        self.discovery = folder / "toolhive" / "server.json"
        self.standin = self.enter_context(harness.Standin(
            port=self.ports[2], registry_servers=0, discovery_file=self.discovery))
        self.standin.control("registry", servers=0, remote_servers=0)
        self.squatters = {}
        self.runtime_away = False
        self._touched = collections.deque([time.time()], maxlen=50)     # the discovery file
        self._number = 0
        self._names = {}
        self._servers = []
        self._updated = "2026-02-18T00:24:11Z"
        self.workloads, self.registry = Truth({}), Truth((self._updated, ()))
        self.add_workload()
        self.add_server()

    def moods(self):
        return [*super().moods(), [self.stop_listening, self.start_listening, self.move, self.squat, self.leave]]

    # ---- who looks at it ----

    def _settings(self, retries, discovery):
        return {**retries, "toolhive_discovery_file": discovery, "toolhive_host": "127.0.0.1",
                "toolhive_start_port_scan": self.ports[0], "toolhive_end_port_scan": self.ports[-1],
                "workload_polling_interval": 0.5, "registry_polling_interval": 2}

    def steady(self):
        return self._settings(RETRIES, self.discovery)

    def mortal(self):
        return self._settings(self.mortal_retries(), self.rng.choice(["none", self.discovery]))

    def witness(self, _):
        return ToolHiveWitness(self.workloads, self.registry)

    def woken(self, settings):
        if settings["toolhive_discovery_file"] == "none":
            return super().woken(settings)
        return lambda when: any(touched - 0.1 <= when <= touched + WOKEN_WITHIN for touched in list(self._touched))

    def touch(self):
        self._touched.append(time.time())

    def is_at(self, document):
        return document["connection"]["port"] == self.standin.port

    def calm(self):
        self.touch()
        super().calm()
        for name in list(self.squatters):
            self._leave(name)
        self.runtime_away = False
        self.standin.control("toolhive", runtime_away=False)
        self.standin.control("registry")
        if self.standin.port not in self.ports:
            self.standin.move(self.ports[0])
        else:
            self.standin.start_listening()

    def trouble(self):
        how = self.rng.choice(["gone", "runtime", "registry"])
        if how == "gone":
            self.touch()
            self.standin.stop_listening()
            return "reconnecting", "Connection refused"
        if how == "runtime":
            self.standin.control("toolhive", runtime_away=True)
            return "degraded", "ToolHive's container runtime is away"
        self.standin.control("registry", problem="registry_unavailable")
        return "degraded", "ToolHive answers 503 to get registry"

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
