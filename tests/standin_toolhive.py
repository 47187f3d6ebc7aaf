# SPDX-License-Identifier: Apache-2.0
"""The stand-in's ToolHive: what it knows, and what it answers to each request of the API.

A backend of the stand-in has two methods: answer(request) gives an Answer, control(verb, arguments)
changes what is known and gives a JSON value. The Kubernetes API is a second such class.
Everything here is called from many connection threads, so one lock covers all of the state.
"""

import json
import re
import threading
import time
import urllib.parse

from standin_wire import Answer

API = "/api/v1beta"
NEVER = "0001-01-01T00:00:00Z"
FIRST_PORT = 17520
REGISTRY_PROBLEMS = {
    "registry_auth_required": (503, "registry authentication required"),
    "registry_unavailable": (503, "upstream registry is unavailable"),
    "registry_legacy_format": (502, "upstream registry uses the legacy format"),
}


def workload_entry(name, port, **fields):
    """One entry of the list of workloads, running and local unless the fields say otherwise."""
    entry = {
        "name": name, "package": f"ghcr.io/stacklok/dockyard/npx/{name}:1.0.3",
        "url": f"http://127.0.0.1:{port}/mcp", "port": port, "transport_type": "streamable-http",
        "proxy_mode": "streamable-http", "status": "running",
        "created_at": "2026-11-22T16:01:31.936815063Z",
        "labels": {"toolhive": "true", "toolhive-name": name, "toolhive-transport": "streamable-http"},
        "tools": ["search", "read", "write"],
        "group": "default", "started_at": "2026-11-22T16:01:33.127360152Z",
    }
    entry.update(fields)
    return entry


def registry_server(name, remote=False):
    """One entry of the registry, as long as the real ones: about 1.7 kB for a local one."""
    server = {
        "name": name, "title": name.title(), "tier": "Community", "status": "Active",
        "description": f"Gives an assistant the means to work with {name}: " + "search, read, write; " * 30,
        "transport": "streamable-http" if remote else "stdio",
        "tools": [f"{name}-{verb}" for verb in ("search", "read", "write", "list", "delete", "watch")],
        "metadata": {"stars": 1024, "last_updated": "2026-02-17T03:09:41Z"},
        "repository_url": f"https://github.com/example/{name}",
        "tags": ["data", "documents", "search", name],
    }
    if remote:
        server["url"] = f"https://{name}.example.com/mcp"
        return server
    server["image"] = f"ghcr.io/stacklok/dockyard/npx/{name}:1.0.3"
    server["permissions"] = {"network": {"outbound": {
        "allow_host": [f"{part}.{name}.example.com" for part in ("api", "auth", "files", "events")],
        "allow_port": [443]}}}
    server["env_vars"] = [
        {"name": "API_TOKEN", "description": "Token for the service", "required": True, "secret": True},
        {"name": "API_URL", "description": "Where the service is", "required": False,
         "default": f"https://api.{name}.example.com"},
    ]
    server["args"] = ["--verbose"]
    return server


class ToolHive:
    def __init__(self, version="v0.44.0", nonce="", workloads=0, servers=79, remote_servers=5):
        self._lock = threading.Lock()
        self.version = version
        self.nonce = nonce
        self.runtime_away = False
        self.starting_ms = 200
        self.install_ms = 0
        self.started_status = "running"
        self._workloads = {}
        self._details = {}
        self._ready_at = {}
        self._next_port = FIRST_PORT
        self._raw_workloads = None
        self._raw_registry = None
        self._registry_problem = None
        self._last_updated = "2026-02-18T00:24:11Z"
        self._servers = {}
        self._remote_servers = {}
        self._rendered = {}
        self._fill_workloads(workloads)
        self._fill_registry(servers, remote_servers)

    @classmethod
    def from_options(cls, options, nonce):
        return cls(options.version or "v0.44.0", nonce, options.workloads, options.registry_servers)

    # ---- answers ----

    def answer(self, request):
        path = request.path
        handlers = self._route(path)
        if handlers is None:
            return Answer.text(404, "404 page not found")
        if request.method not in handlers:
            return Answer(405, headers=[("Allow", ", ".join(handlers))])
        handler = handlers[request.method]
        if request.method == "POST":
            # An install may take long: what it waits for is outside the lock.
            return handler(request)
        with self._lock:
            self._promote()
            return handler(request)

    def _route(self, path):
        fixed = {
            "/health": {"GET": self._health},
            f"{API}/version": {"GET": lambda _: Answer.json({"version": self.version})},
            f"{API}/workloads": {"GET": self._list, "POST": self._install},
            f"{API}/registry": {"GET": self._registries},
            f"{API}/registry/default": {"GET": self._registry},
        }
        if path in fixed:
            return fixed[path]
        parts = [urllib.parse.unquote(part) for part in path.split("/")]
        if path.startswith(f"{API}/workloads/") and len(parts) == 5:
            return {"GET": lambda _: self._one_workload(parts[4])}
        if path.startswith(f"{API}/workloads/") and len(parts) == 6 and parts[5] == "status":
            return {"GET": lambda _: self._status(parts[4])}
        if path.startswith(f"{API}/registry/default/servers/") and len(parts) == 7:
            return {"GET": lambda _: self._server(parts[6])}
        return None

    def _health(self, _):
        if self.runtime_away:
            return Answer.text(503, "container runtime is not available")
        return Answer(204, headers=[("X-Toolhive-Nonce", self.nonce)] if self.nonce else [])

    def _list(self, request):
        if self.runtime_away:
            return Answer.text(500, "Internal Server Error")
        if self._raw_workloads is not None:
            return Answer(200, self._raw_workloads.encode(), "application/json")
        everything = request.query.get("all") == "true"
        return self._render(("workloads", everything), lambda: {"workloads": [
            entry for entry in self._workloads.values()
            if everything or entry["status"] == "running"] or None})

    def _one_workload(self, name):
        if name not in self._workloads:
            return Answer.text(404, "Workload not found")
        entry, asked = self._workloads[name], self._details.get(name, {})
        return Answer.json({
            "name": name, "image": entry["package"], "host": "127.0.0.1",
            "cmd_arguments": asked.get("cmd_arguments", []),
            "target_port": asked.get("target_port", 25658), "proxy_port": entry["port"],
            "env_vars": asked.get("env_vars", {"API_TOKEN": "confidential-value"}),
            "secrets": asked.get("secrets", []), "volumes": [],
            "transport": entry["transport_type"], "authz_config": "", "oidc": {},
            "permission_profile": {}, "proxy_mode": entry.get("proxy_mode", ""),
            "network_isolation": asked.get("network_isolation", False),
            "tools": entry.get("tools"), "tools_override": None,
            "group": entry.get("group", "default"),
            "url": asked.get("details_url") or f"http://127.0.0.1:{entry['port']}/mcp"})

    def _status(self, name):
        if name not in self._workloads:
            return Answer.text(404, "Workload not found")
        return Answer.json({"status": self._workloads[name]["status"]})

    def _registry_head(self):
        return {"name": "default", "version": "1.0.0", "last_updated": self._last_updated,
                "server_count": len(self._servers), "type": "default", "source": "",
                "auth_status": "none", "auth_type": ""}

    def _registry_error(self):
        status, message = REGISTRY_PROBLEMS[self._registry_problem]
        return Answer.json({"code": self._registry_problem, "message": message}, status)

    def _registries(self, _):
        if self._registry_problem:
            return self._registry_error()
        return Answer.json({"registries": [self._registry_head()]})

    def _registry(self, _):
        if self._registry_problem:
            return self._registry_error()
        if self._raw_registry is not None:
            return Answer(200, self._raw_registry.encode(), "application/json")
        return self._render("registry", lambda: {**self._registry_head(), "registry": {
            "version": "1.0.0", "last_updated": self._last_updated, "servers": self._servers,
            "remote_servers": self._remote_servers, "groups": []}})

    def _server(self, name):
        if self._registry_problem:
            return self._registry_error()
        if name in self._servers:
            return Answer.json({"server": self._servers[name], "is_remote": False})
        if name in self._remote_servers:
            return Answer.json({"remote_server": self._remote_servers[name], "is_remote": True})
        return Answer.text(404, "Server not found")

    def _install(self, request):
        try:
            asked = json.loads(request.body)
            if not isinstance(asked, dict):
                raise ValueError("not an object")
        except ValueError as error:
            return Answer.text(400, f"failed to decode request: {error}")
        name, image, url = (str(asked.get(key) or "") for key in ("name", "image", "url"))
        if not name:
            return Answer.text(400, "invalid workload name: workload name cannot be empty")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return Answer.text(400, "invalid workload name: workload name can only contain "
                                    "alphanumeric characters, dots, hyphens, and underscores")
        with self._lock:
            if name in self._workloads:
                return Answer.text(409, f"workload with name {name} already exists")
        time.sleep(self.install_ms / 1000)
        if not url and (not image or image.startswith("missing.example/")):
            return Answer.text(500, f"failed to retrieve or pull image: {image or 'none given'}")
        with self._lock:
            if name in self._workloads:
                return Answer.text(409, f"workload with name {name} already exists")
            entry = self._add(name)
            entry["package"] = "remote" if url else image
            entry["transport_type"] = asked.get("transport") or "streamable-http"
            entry["group"] = asked.get("group") or "default"
            if url:
                entry["remote"] = True
            entry["status"] = "starting"
            self._details[name] = asked
            self._ready_at[name] = time.monotonic() + self.starting_ms / 1000
            return Answer.json({"name": name, "port": entry["port"]}, 201)

    # ---- state ----

    def _render(self, key, make):
        """Keeps the bytes of a long answer until something changes."""
        if key not in self._rendered:
            self._rendered[key] = Answer.json(make())
        return self._rendered[key]

    def _promote(self):
        """Lets what has been starting long enough run."""
        now = time.monotonic()
        for name in [name for name, due in self._ready_at.items() if due <= now]:
            del self._ready_at[name]
            self._workloads[name]["status"] = self.started_status
            self._rendered.clear()

    def _add(self, name, **fields):
        entry = workload_entry(name, self._next_port, **fields)
        self._next_port = self._next_port + 1 if self._next_port < 65535 else FIRST_PORT
        self._workloads[name] = entry
        self._rendered.clear()
        return entry

    def _fill_workloads(self, count):
        self._workloads.clear()
        self._ready_at.clear()
        self._next_port = FIRST_PORT
        self._rendered.clear()
        for number in range(count):
            self._add(f"workload-{number:05}")

    def _fill_registry(self, servers, remote_servers):
        names = [f"server-{number:03}" for number in range(servers)]
        remote = [f"remote-{number:03}" for number in range(remote_servers)]
        self._servers = {name: registry_server(name) for name in names}
        self._remote_servers = {name: registry_server(name, remote=True) for name in remote}
        self._rendered.clear()

    # ---- control ----

    def control(self, verb, arguments):
        verbs = {"workloads": self._control_workloads, "registry": self._control_registry,
                 "toolhive": self._control_toolhive}
        if verb not in verbs:
            raise KeyError(verb)
        with self._lock:
            return verbs[verb](**arguments)

    def _control_workloads(self, count=None, add=(), remove=(), status=None, update=None, raw=None):
        """raw replaces the list's body by any text until the next call."""
        self._raw_workloads = raw
        if count is not None:
            self._fill_workloads(count)
        for item in add:
            fields = {"name": item} if isinstance(item, str) else dict(item)
            self._add(fields.pop("name"), **fields)
        for name in remove:
            self._workloads.pop(name, None)
            self._details.pop(name, None)
            self._ready_at.pop(name, None)
        changes = {name: {"status": value} for name, value in (status or {}).items()}
        for name, fields in {**changes, **(update or {})}.items():
            self._workloads[name].update(fields)
            # A key set to null is left out of the entry, as ToolHive leaves out what it has not.
            for key in [key for key, value in fields.items() if value is None]:
                del self._workloads[name][key]
            self._ready_at.pop(name, None)
        self._rendered.clear()
        return {"workloads": list(self._workloads)}

    def _control_registry(self, servers=None, remote_servers=None, add=(), remove=(),
                          last_updated=None, problem=None, raw=None):
        """raw replaces the body, problem answers with that error, both until the next call."""
        if problem is not None and problem not in REGISTRY_PROBLEMS:
            raise ValueError(f"problem is one of {', '.join(REGISTRY_PROBLEMS)}")
        self._raw_registry = raw
        self._registry_problem = problem
        if servers is not None or remote_servers is not None:
            self._fill_registry(len(self._servers) if servers is None else servers,
                                len(self._remote_servers) if remote_servers is None else remote_servers)
        for item in add:
            fields = {"name": item} if isinstance(item, str) else dict(item)
            remote = fields.pop("remote", False)
            server = {**registry_server(fields["name"], remote), **fields}
            # As with workloads, null leaves a key out.
            (self._remote_servers if remote else self._servers)[fields["name"]] = {
                key: value for key, value in server.items() if value is not None}
        for name in remove:
            self._servers.pop(name, None)
            self._remote_servers.pop(name, None)
        if last_updated is not None:
            self._last_updated = last_updated
        self._rendered.clear()
        return {"servers": len(self._servers), "remote_servers": len(self._remote_servers)}

    def _control_toolhive(self, version=None, nonce=None, runtime_away=None, starting_ms=None,
                          install_ms=None, started_status=None):
        given = {"version": version, "nonce": nonce, "runtime_away": runtime_away,
                 "starting_ms": starting_ms, "install_ms": install_ms, "started_status": started_status}
        for key, value in given.items():
            if value is not None:
                setattr(self, key, value)
        return {key: getattr(self, key) for key in given}
