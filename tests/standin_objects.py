# SPDX-License-Identifier: Apache-2.0
"""The objects of the stand-in's cluster: their shapes, and the store that numbers every change.

As in etcd there is one number for all resources: each change takes the next one, which becomes the
object's resourceVersion. An object never changes: an update puts another in its place, so that a
page of an old list and an event that waits to be sent go on holding what was true then. What was
rendered is kept with the object, since lists of thousands are asked for again and again.

The store has no lock of its own: whoever uses it holds the backend's.
"""

import bisect
import collections
import contextlib
import copy
import itertools
import json
import os

GROUP = "toolhive.stacklok.dev"
KINDS = {"mcpservers": "MCPServer", "virtualmcpservers": "VirtualMCPServer", "mcpremoteproxies": "MCPRemoteProxy"}
RESOURCES = {kind: resource for resource, kind in KINDS.items()}
CREATED = "2026-11-22T16:01:31Z"
FIRST_VERSION = 218
END = object()

_serial = itertools.count(1)


def encode(value, **options):
    """As Go's encoder writes it, which takes care of HTML."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, **options)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode("utf-8", "surrogatepass")


def merge(into, fields):
    """Deep; null leaves a key out, as an API server leaves out what is not set."""
    for key, value in fields.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
    return into


# ---- shapes ----

def _mcpserver(name, namespace, old, transport):
    path = f"sse#{name}" if transport == "sse" else "mcp"
    spec = {"image": f"ghcr.io/stacklok/dockyard/npx/{name}:1.0.3", "proxyMode": "streamable-http", "proxyPort": 8080,
            "groupRef": "default" if old else {"name": "default"}}
    return spec, f"http://mcp-{name}-proxy.{namespace}.svc.cluster.local:8080/{path}", "MCP server is running"


def _virtualmcpserver(name, namespace, old, _):
    spec = {"incomingAuth": {"type": "anonymous"}, "serviceType": "ClusterIP", "transport": None, "proxyPort": None,
            **({"config": {"groupRef": "default"}} if old else {"groupRef": {"name": "default"}})}
    return spec, f"http://vmcp-{name}.{namespace}.svc.cluster.local:4483", "Virtual MCP server is running"


def _mcpremoteproxy(name, namespace, old, _):
    spec = {"remoteUrl": f"https://{name}.example.com/mcp", "allowPrivateEndpoint": False, "proxyPort": 8080,
            "groupRef": "default" if old else {"name": "default"}}
    return (spec, f"http://mcp-{name}-remote-proxy.{namespace}.svc.cluster.local:8080",
            "Remote proxy is running and healthy")


SHAPES = {"mcpservers": _mcpserver, "virtualmcpservers": _virtualmcpserver, "mcpremoteproxies": _mcpremoteproxy}


def _owned(fields):
    """fieldsV1 of what a manager has set."""
    return {".": {}, **{f"f:{key}": {} for key in sorted(fields)}}


def make_object(resource, namespace, name, old=False, **fields):
    """One object, ready unless the fields say otherwise, about 1.5 kB long; old: as ToolHive's first versions wrote
    it, with a group that is a string and the phase Running."""
    asked = fields.get("spec")
    transport = asked.get("transport", "streamable-http") if isinstance(asked, dict) else "streamable-http"
    spec, url, message = SHAPES[resource](name, namespace, old, transport)
    spec = {key: value for key, value in {
        "transport": transport, "sessionAffinity": "ClientIP", "trustProxyHeaders": False, **spec}.items()
        if value is not None}
    status = {"conditions": [{"lastTransitionTime": CREATED, "message": "ready", "reason": "Ready", "status": "True",
                              "type": "Ready"}],
              "message": message, "observedGeneration": 1, "url": url,
              "phase": "Running" if old and resource == "mcpservers" else "Ready"}
    api_version = f"{GROUP}/{'v1alpha1' if old else 'v1beta1'}"
    applied = encode({"apiVersion": api_version, "kind": KINDS[resource],
                     "metadata": {"annotations": {}, "name": name, "namespace": namespace},
                     "spec": {key: spec[key] for key in ("image", "remoteUrl", "transport") if key in spec}}).decode()
    managed = {"apiVersion": api_version, "fieldsType": "FieldsV1", "operation": "Update", "time": CREATED}
    value = {
        "kind": KINDS[resource],
        "metadata": {
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied + "\n"},
            "creationTimestamp": CREATED, "generation": 1,
            "managedFields": [
                {**managed, "fieldsV1": {"f:spec": _owned(spec)}, "manager": "kubectl-client-side-apply"},
                {**managed, "fieldsV1": {"f:status": _owned(status)}, "manager": "thv-operator",
                 "subresource": "status"}],
            "name": name, "namespace": namespace, "uid": f"{next(_serial):08x}-9c93-4899-82e1-4a0c32d90134"},
        "spec": spec, "status": status}
    return merge(value, fields)


class Object:
    """One version of an object: its value, and its JSON in each version of the API that was asked for. The value may
    contradict its address, or be none at all but a text, `raw`: for the sake of tests."""

    __slots__ = ("namespace", "name", "value", "_rendered")

    def __init__(self, namespace, name, value, version):
        self.namespace = namespace
        self.name = name
        self.value = value
        self._rendered = {}
        if isinstance(value.get("metadata"), dict):
            value["metadata"]["resourceVersion"] = str(version)

    def render(self, api_version):
        if "raw" in self.value:
            return self.value["raw"].encode()
        if api_version not in self._rendered:
            value = {"apiVersion": f"{GROUP}/{api_version}", **self.value}
            self._rendered[api_version] = encode(value, sort_keys=True)
        return self._rendered[api_version]


class Event:
    """A change as the watchers are told it."""

    def __init__(self, kind, resource, item, version):
        self.version = version
        self._kind = kind
        self._resource = resource
        self._item = item

    def lines(self, watch):
        """What that watch is told of it: one line or none."""
        if (self._resource == watch.selection.resource and self.version > watch.since
                and watch.selection.holds(self._item)):
            yield watch.line(self._kind, self._item.render(watch.version))


class Signal:
    """What is no change and still told; say(watch) is the line, and may be empty."""

    def __init__(self, resource, say):
        self._resource = resource
        self._say = say

    def lines(self, watch):
        if self._resource in (None, watch.selection.resource) and (line := self._say(watch)):
            yield line


class Watcher:
    """Who waits for events: they queue up here, and the descriptor is readable while there are any."""

    def __init__(self):
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._events = []

    def push(self, event):
        self._events.append(event)
        os.eventfd_write(self.fd, 1)

    def take(self):
        """All that has come so far."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        events, self._events = self._events, []
        return events

    def close(self):
        os.close(self.fd)


class Store:
    def __init__(self):
        self.version = FIRST_VERSION
        self.oldest = FIRST_VERSION     # changes after this one are known
        self._history = None            # how many of them at most
        self._events = collections.deque()
        self._objects = {resource: {} for resource in KINDS}
        self._sorted = {}
        self._snapshots = {}
        self._watchers = set()

    # ---- objects ----

    def get(self, resource, namespace, name):
        return self._objects[resource].get((namespace, name))

    def keys(self, resource):
        return list(self._objects[resource])

    def put(self, resource, namespace, name, value):
        kind = "MODIFIED" if (namespace, name) in self._objects[resource] else "ADDED"
        item = Object(namespace, name, value, self.version + 1)
        self._objects[resource][namespace, name] = item
        self._happened(kind, resource, item)

    def remove(self, resource, namespace, name):
        value = copy.deepcopy(self._objects[resource].pop((namespace, name)).value)
        self._happened("DELETED", resource, Object(namespace, name, value, self.version + 1))

    def _happened(self, kind, resource, item):
        self.version += 1
        self._sorted.pop(resource, None)
        event = Event(kind, resource, item, self.version)
        self._events.append(event)
        self._trim()
        self.tell(event)

    # ---- lists ----

    def list(self, resource):
        """All of them as (key, object), in the order of their keys."""
        if resource not in self._sorted:
            self._sorted[resource] = sorted((f"{namespace}/{name}", item)
                                            for (namespace, name), item in self._objects[resource].items())
        return self._sorted[resource]

    def keep(self, resource, version):
        """Keeps the present list, unless there is one of that version, for the pages that follow."""
        self._snapshots.setdefault((resource, version), self.list(resource))

    def kept(self, resource, version, start):
        """What comes at start and later in a list that was kept; None when it is forgotten."""
        whole = self._snapshots.get((resource, version))
        return None if whole is None else whole[bisect.bisect_left(whole, (start,)):]

    # ---- history ----

    def limit_history(self, count):
        self._history = count
        self._trim()

    def forget(self):
        """All that was before now, as etcd does when it compacts."""
        self._events.clear()
        self._snapshots.clear()
        self.oldest = self.version

    def _trim(self):
        while self._history is not None and len(self._events) > self._history:
            self.oldest = self._events.popleft().version
            for key in [key for key in self._snapshots if key[1] < self.oldest]:
                del self._snapshots[key]

    def since(self, version):
        """The events after that version, which must not be older than the oldest."""
        # From the end: few have happened since, whatever the history is long.
        late = itertools.takewhile(lambda event: event.version > version, reversed(self._events))
        return list(late)[::-1]

    # ---- watchers ----

    def watch(self, version):
        """A watcher that begins with the events after that version."""
        watcher = Watcher()
        for event in self.since(version):
            watcher.push(event)
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher):
        self._watchers.discard(watcher)
        watcher.close()

    def tell(self, event):
        for watcher in self._watchers:
            watcher.push(event)

    def watching(self):
        return len(self._watchers)
