# SPDX-License-Identifier: Apache-2.0
"""The stand-in's Kubernetes: an API server with ToolHive's resources, and what it answers.

Lists with pages and watches as kube-apiserver 1.34 has them, its messages and headers to the letter.
One lock covers all of the state; a watch waits outside of it, in its connection's own thread.
"""

import contextlib
import copy
import json
import threading
import time
import uuid

from standin_access import PUBLIC, Access, NotServed, Refused, Target, bad_request
from standin_objects import END, GROUP, KINDS, RESOURCES, Signal, Store, encode, make_object, merge
from standin_query import Selection, Watch, number, page_token, read_token, resource_version
from standin_wire import Answer

VERSIONS = ["v1beta1", "v1alpha1"]
NOSNIFF = ("X-Content-Type-Options", "nosniff")
TEXT = "text/plain; charset=utf-8"
TOO_OLD = ("The provided continue parameter is too old to display a consistent list result. You can start a new list "
           "without the continue parameter, or use the continue token in this response to retrieve the remainder of "
           "the results. Continuing with the provided token results in an inconsistent list - objects that were "
           "created, modified, or deleted between the time the first chunk was returned and now may show up in the "
           "list.")


def reply(status, body, content_type="application/json", headers=()):
    fixed = [("Audit-Id", str(uuid.uuid4())), ("Cache-Control", "no-cache, private"), ("Content-Type", content_type)]
    return Answer(status, body, headers=[*fixed, *headers], chunked=True)


def refusal(refused):
    headers = [NOSNIFF] if refused.code == 403 else []
    return reply(refused.code, encode(refused.status) + b"\n", headers=headers + refused.headers)


class Kubernetes:
    def __init__(self, version="v1.34.1", objects=0):
        self._lock = threading.Lock()
        self._store = Store()
        self._access = Access()
        self._version = version
        self._serve = {resource: VERSIONS for resource in KINDS}
        self._page_max = None
        self._expired_pages = 0
        self._raw = {}
        self._fill(objects)

    @classmethod
    def from_options(cls, options, _):
        return cls(options.version or "v1.34.1", options.workloads)

    # ---- answers ----

    def answer(self, request):
        try:
            with self._lock:
                return self._answer(request)
        except Refused as refused:
            return refusal(refused)
        except NotServed:
            return reply(404, b"404 page not found\n", TEXT, [NOSNIFF])

    def _answer(self, request):
        user = self._access.authenticate(request)
        parts = request.path.strip("/").split("/")
        if parts[0] == "apis" and len(parts) > 3:
            target = Target(request)
            self._access.authorize(user, target)
            return self._resource(request, target)
        self._access.authorize_path(user, request.path)
        if request.path == "/version":
            return reply(200, json.dumps(self._about(), indent=2).encode())
        if request.path in PUBLIC:
            return reply(200, b"ok", TEXT, [NOSNIFF])
        if parts[:2] == ["apis", GROUP]:
            return reply(200, encode(self._discovery(*parts[2:])) + b"\n")
        raise NotServed

    def _about(self):
        major, minor = self._version.removeprefix("v").split(".")[:2]
        return {"major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
                "minCompatibilityMajor": major, "minCompatibilityMinor": str(int(minor) - 1),
                "gitVersion": self._version, "gitCommit": "$Format:%H$", "gitTreeState": "clean",
                "buildDate": "2026-02-10T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc",
                "platform": "linux/amd64"}

    def _discovery(self, version=None):
        served = [known for known in VERSIONS if any(known in versions for versions in self._serve.values())]
        if version is None and served:
            versions = [{"groupVersion": f"{GROUP}/{known}", "version": known} for known in served]
            return {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": versions,
                    "preferredVersion": versions[0]}
        if version not in served:
            raise NotServed
        verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{version}", "resources": [
            {"name": resource, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs,
             "categories": ["toolhive"]}
            for resource, kind in sorted(KINDS.items()) if version in self._serve.get(resource, ())]}

    def _resource(self, request, target):
        versions = self._serve.get(target.resource, ())
        if target.group != GROUP or target.below or target.version not in versions:
            raise NotServed
        if request.method != "GET":
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                          {})
        # An old version beside the new one is deprecated.
        headers = [("Warning", f'299 - "{GROUP}/{target.version} is deprecated; use {VERSIONS[0]}"')] if (
            target.version != VERSIONS[0] and VERSIONS[0] in versions) else []
        return getattr(self, f"_{target.verb}")(target, request.query, headers)

    def _get(self, target, _, headers):
        item = self._store.get(target.resource, target.namespace, target.name)
        if item is None:
            raise Refused(404, "NotFound", f"{target} not found", target.details())
        return reply(200, item.render(target.version) + b"\n", headers=headers)

    # ---- lists ----

    def _list(self, target, query, headers):
        if target.resource in self._raw:
            return reply(200, self._raw[target.resource].encode(), headers=headers)
        selection = Selection(target, query)
        limits = [limit for limit in (number(query, "limit"), self._page_max) if limit]
        version, rest = self._rest(target, query)
        chosen = [(key, item) for key, item in rest if selection.holds(item)]
        page = chosen[:min(limits)] if limits else chosen
        metadata = {"continue": ""}
        if len(page) < len(chosen):
            self._store.keep(target.resource, version)
            metadata = {"continue": page_token(version, f"/{page[-1][0]}\0")}
            if selection.all:
                metadata["remainingItemCount"] = len(chosen) - len(page)
        metadata["resourceVersion"] = str(version)
        body = b'{"apiVersion":"%s/%s","items":[%s],"kind":"%sList","metadata":%s}\n' % (
            GROUP.encode(), target.version.encode(), b",".join([item.render(target.version) for _, item in page]),
            KINDS[target.resource].encode(), encode(metadata))
        return reply(200, body, headers=headers)

    def _rest(self, target, query):
        """The version of a list, and what is still to be told of it."""
        wanted, now = resource_version(query), self._store.version
        if token := query.get("continue"):
            if wanted:
                raise bad_request("specifying resource version is not allowed when using continue")
            return self._continued(target, *read_token(token))
        if wanted > now:
            raise Refused(504, "Timeout", f"Timeout: Too large resource version: {wanted}, current: {now}",
                          {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                           "retryAfterSeconds": 1}, headers=[("Retry-After", "1")])
        # With a limit it means that very version, without one no older than that.
        exact = "limit" in query or query.get("resourceVersionMatch") == "Exact"
        if exact and 0 < wanted < self._store.oldest:
            raise Refused(410, "Expired", "The resourceVersion for the provided list is too old.")
        return now, self._store.list(target.resource)

    def _continued(self, target, version, start):
        if self._expired_pages:
            self._expired_pages -= 1
            version = 0
        # With an expired one comes another that has no version: it goes on in the list as it is now.
        if version < 0:
            version = self._store.version
            self._store.keep(target.resource, version)
        rest = self._store.kept(target.resource, version, start)
        if rest is None:
            raise Refused(410, "Expired", TOO_OLD, metadata={"continue": page_token(-1, start)})
        return version, rest

    # ---- watches ----

    def _watch(self, target, query, headers):
        now, oldest = self._store.version, self._store.oldest
        watch = Watch(target, query, now)
        lines, ended = [], False
        if not watch.since:
            lines = [watch.line("ADDED", item.render(target.version))
                     for _, item in self._store.list(target.resource) if watch.selection.holds(item)]
            lines += filter(None, [watch.bookmark(now, annotations={"k8s.io/initial-events-end": "true"})])
            watch.since = now
        elif watch.since < oldest:
            expired = Refused(410, "Expired", f"too old resource version: {watch.since} ({oldest})")
            lines, ended = [watch.line("ERROR", encode(expired.status))], True
        missed = [line for event in self._store.since(watch.since) for line in event.lines(watch)]
        answer = reply(200, b"".join(lines + missed), headers=headers)
        answer.pieces = lambda wait: self._watcher(watch, lines, ended, wait)
        return answer

    @contextlib.contextmanager
    def _watcher(self, watch, lines, ended, wait):
        """The lines of a watch, and of what is told to the watchers from here on."""
        with self._lock:
            watcher = self._store.watch(watch.since)
        try:
            yield self._lines(watch, watcher, lines, ended, wait)
        finally:
            with self._lock:
                self._store.leave(watcher)

    def _lines(self, watch, watcher, lines, ended, wait):
        yield from lines
        while not ended:
            # Together, since a bookmark promises that all events up to its version were told.
            with self._lock:
                events, version = watcher.take(), self._store.version
            for line in (line for event in events for line in event.lines(watch)):
                if line is END:
                    return
                yield line
            now = time.monotonic()
            if watch.bookmark_at is not None and now >= watch.bookmark_at:
                watch.bookmark_at = None
                yield watch.bookmark(version)
            if now >= watch.end:
                return
            wait((watch.bookmark_at or watch.end) - now, watcher.fd)

    # ---- control ----

    def control(self, verb, arguments):
        verbs = {"objects": self._control_objects, "kubernetes": self._control_kubernetes}
        if verb not in verbs:
            raise KeyError(verb)
        with self._lock:
            return verbs[verb](**arguments)

    def _control_objects(self, count=None, namespaces=("default",), old=False, phase=None, add=(), update=(),
                         remove=(), raw=None, missed=False):
        """raw replaces a resource's lists by any text until the next call. What is missed, no watch tells: those
        that there are end before it, and later ones are too late for it."""
        if missed:
            self._control_kubernetes(end_watches=True)
        self._raw = {"mcpservers": raw} if isinstance(raw, str) else raw or {}
        if count is not None:
            self._fill(count, namespaces, old, phase)
        for item in add:
            *where, fields = address(item)
            if self._store.get(*where):
                raise ValueError(f"{'/'.join(where)} is there already")
            self._store.put(*where, make_object(*where, **fields))
        for item in update:
            *where, fields = address(item)
            if not (known := self._store.get(*where)):
                raise KeyError("/".join(where))
            self._store.put(*where, merge(copy.deepcopy(known.value), fields))
        for item in remove:
            self._store.remove(*address(item)[:3])
        if missed:
            self._store.forget()
        return {"resourceVersion": self._store.version,
                **{resource: len(self._store.keys(resource)) for resource in KINDS}}

    def _fill(self, count, namespaces=("default",), old=False, phase=None):
        fields = {"status": {"phase": phase}} if phase else {}
        wanted = [(namespaces[serial % len(namespaces)], f"mcpserver-{serial:05}") for serial in range(count)]
        for key in wanted:
            self._store.put("mcpservers", *key, make_object("mcpservers", *key, old=old, **fields))
        for key in set(self._store.keys("mcpservers")) - set(wanted):
            self._store.remove("mcpservers", *key)

    def _control_kubernetes(self, forget=False, expire_continue=0, bookmark=False, end_watches=False, event=None,
                            resource=None, **settings):
        for key, value in settings.items():
            self._set(key, value)
        if forget:
            self._store.forget()
        if expire_continue:
            self._expired_pages = int(expire_continue)
        if event is not None:
            self._store.tell(Signal(resource, lambda _: event.encode() + b"\n"))
        if bookmark:
            now = self._store.version
            self._store.tell(Signal(resource, lambda watch: watch.bookmark(now)))
        if end_watches:
            self._store.tell(Signal(resource, lambda _: END))
        return {"resourceVersion": self._store.version, "oldest": self._store.oldest,
                "watches": self._store.watching()}

    def _set(self, key, value):
        """What lasts; null takes it back."""
        if key == "serve":
            self._install(value or {})
        elif key == "history":
            self._store.limit_history(value)
        elif key == "page_max":
            self._page_max = value
        else:
            self._access.set(key, value)

    def _install(self, served):
        """What is not named is served as ever. A definition that goes takes its objects along, and its watches end."""
        if unknown := set(served) - set(KINDS):
            raise ValueError(f"serve: {', '.join(sorted(unknown))}")
        self._serve = {resource: served.get(resource, VERSIONS) for resource in KINDS}
        for resource, versions in self._serve.items():
            for key in [] if versions else self._store.keys(resource):
                self._store.remove(resource, *key)
            self._store.tell(Signal(resource, lambda watch, versions=versions: (
                END if watch.version not in versions else b"")))


def address(item):
    """Resource, namespace, name and fields of "[RESOURCE/][NAMESPACE/]NAME" or of an object that has them."""
    if isinstance(item, str):
        *rest, name = item.split("/")
        item = {"name": name, **dict(zip(("namespace", "resource"), reversed(rest)))}
    fields = dict(item)
    resource = RESOURCES.get(fields.pop("kind", None), "mcpservers")
    resource = fields.pop("resource", resource)
    if resource not in KINDS:
        raise ValueError(f"resource is one of {', '.join(KINDS)}")
    return resource, fields.pop("namespace", "default"), fields.pop("name"), fields
