# SPDX-License-Identifier: Apache-2.0
"""What befalls a cluster: its objects, its watches, its API server's restarts, the account's rights and token."""

import itertools
import json

from cluster import USER, KubernetesStandin, ServiceAccount
from judge_log import KUBERNETES
from stage import RETRIES, Stage, weight
from truth import ClusterWitness, History

# With the letter that the names of their objects begin with.
RESOURCES = {"mcpservers": "s", "virtualmcpservers": "v", "mcpremoteproxies": "p"}
PLURALS = sorted(RESOURCES)
NAMESPACES = ["tools", "default", "a-namespace-with-a-name-that-is-somewhat-longer"]
# Which phases there are, and what they are to us.
PHASES = {"Ready": "running", "Failed": "failed", "Pending": "pending", "Terminating": "terminating"}
OBJECTS_MOST = 50       # of a resource
LISTS, WATCHES = "LIST *", "WATCH *"
LINES = ["garbage", "[]", '{"object":{}}', '{"type":7,"object":{}}', '{"type":"ADDED","object":[]}',
         '{"type":"ADDED","type":"DELETED","object":{}}', '{"type":"ADDED","object":{"a":' + "[" * 40 + "]" * 40 + "}}",
         '{"type":"ERROR","object":{"kind":"Status","code":410}}',
         '{"type":"ERROR","object":{"kind":"Status","code":500}}',
         '{"type":"ERROR","object":{}}', "\n\n", '{"type":"BOOKMARK","object":{"metadata":{}}}',
         '{"type":"COMPACTED","object":{"metadata":{}}}']


def streams(rng):
    """What happens in the middle of a watch, made up anew each time."""
    after = rng.choice([0, 0, 1, 3])
    return rng.choice([
        ("stream-end", {"after": after}), ("stream-silence", {"after": after, "seconds": 3600}),
        ("stream-cut", {"after": after, "keep": rng.choice([1, 20, 500]), "within": rng.choice(["chunk", "event"]),
                        "end": rng.choice(["fin", "reset", "last"])}),
        ("stream-cut", {"within": "event", "end": rng.choice(["fin", "reset", "last"]),
                        "text": '{"type":"ADDED","object":{'}),
        ("stream-endless", {"after": after}), ("stream-huge", {"after": after, "mib": 3}),
        ("stream-slices", {"size": rng.choice([1, 7])}),
        ("stream-slices", {"size": 100, "interval": 0.01}),
        ("stream-line", {"after": after, "text": rng.choice(LINES)}),
        ("status", {"code": 404, "body": "404 page not found\n"}), ("status", {"code": 410})])


class KubernetesStage(Stage):
    words = KUBERNETES
    routes = ["*", LISTS, LISTS, WATCHES, "GET /version",
              *(f"{verb} */{plural}" for verb in ("LIST", "WATCH") for plural in PLURALS)]
    KNOWS = ("k8s_namespace",)
    WITHIN = 1.0

    def __init__(self, rng, _, disk):
        super().__init__(rng, disk)
        self.account = self.enter_context(ServiceAccount("first"))
        self.standin = self.enter_context(KubernetesStandin(
            tls=rng.random() < 0.5, tokens={"first": USER}, rules=[]))
        self._numbers = itertools.count(1)
        self._denied = set()            # resource, verb
        self._served = {}               # what is not served as ever
        self._token, self._down, self._lingering = "first", False, False
        self.histories = {resource: History(letter) for resource, letter in RESOURCES.items()}
        self._allow()
        for resource in PLURALS:
            self._add(resource)

    def moods(self):
        return [*super().moods(), [self.stop_listening, self.start_listening, self.restart],
                [self.add, self.update, self.remove, self.burst, self.end_watches, self.forget, self.misbehave_watches],
                [self.misbehave_watches, self.misbehave_lists, self.behave_again, self.update],
                [self.deny, self.grant, self.rotate, self.lose_token, self.refuse, self.behave_again]]

    # ---- who looks at it ----

    def _settings(self, retries, interval, namespace=None):
        return {**retries, "runtime_mode": "k8s", "k8s_api_server_url": self.standin.url,
                "k8s_token_file": self.account.token, "k8s_ca_file": self.account.ca,
                "workload_polling_interval": interval, "k8s_namespace": namespace or ""}

    def steady(self):
        return self._settings(RETRIES, 5)

    def mortal(self):
        return self._settings(self.mortal_retries(), self.rng.choice([0, 0.5, 0.5, 5, 60]),
                              self.rng.choice([None, None, "tools"]))

    def witness(self, settings):
        return ClusterWitness(self.histories, settings["k8s_namespace"])

    def is_at(self, document):
        return document["connection"]["endpoint"] == self.standin.url

    def watched_by(self, services):
        return self.standin.kubernetes()["watches"] == len(PLURALS) * services

    def is_pausing(self, state, problem):
        return state == "degraded" and "watch" in (problem or "")

    def cut_pauses(self):
        """An outage takes their place; else there would be few storms in an hour."""
        if self.rng.random() < self.patience:
            return False
        self.stop_listening()
        return True

    def calm(self):
        super().calm()
        self.grant()
        # What has not been there before is found by a list.
        installed = bool(self._served)
        self._install({})
        self.standin.kubernetes(page_max=None, history=None, expire_continue=0)
        self.rotate()
        if self._down:
            self.start_listening()
        if self._lingering:
            # What a stream has been told to do it does later; and nobody can tell a silent one from one that has
            # nothing to tell.
            self.cut()
        self._lingering = False
        return installed

    def trouble(self):
        """Where it is to be noticed by a list, one is asked for by a reload."""
        how, resource = self.rng.choice(["gone", "away", "list", "watch", "token", "500"]), self.rng.choice(PLURALS)
        if how == "gone":
            self._down = True
            self.standin.stop_listening(drain=self.rng.random() < 0.5)
            return "reconnecting", "Connection refused"
        if how == "away":
            self.standin.refuse(503, "ServiceUnavailable", retry_after=1)
            self.cut()
            return "reconnecting", "HTTP 503"
        if how == "token":
            self.lose_token()
            self.standin.kubernetes(end_watches=True)
            return "degraded", "Kubernetes API does not know the account that would"
        if how == "500":
            self.standin.refuse(500, "InternalError", route=LISTS)
            return "degraded", "Kubernetes API answers 500 to list workloads"
        self._deny(resource, how)
        self.standin.kubernetes(end_watches=True)
        return "degraded", f"Kubernetes API denies the account to {how} {resource} in "

    def changes(self):
        """The last one no watch tells, they can only say that they have lost their place, maybe after a pause."""
        for _ in range(3):
            yield self.rng.choice([self.add, self.update, self.remove])() or self.add(), self.WITHIN
        yield f"{self._add(self.rng.choice(PLURALS), missed=True)}, missed", 4 * self.WITHIN

    # ---- how it answers ----

    def behaviour(self):
        name, route, parameters = super().behaviour()
        if name == "entries":
            parameters = {**parameters, "key": "items"}
        self._down = self._down or name in ("refuse", "backlog-full")
        self._lingering = self._lingering or name == "drip-body"
        return name, route, parameters

    @weight(16)
    def misbehave(self):
        """Lists are rare: what ends the connections has something asked for at once."""
        told = super().misbehave()
        if self.rng.random() < 0.5:
            self.cut()
        return told

    @weight(7)
    def behave_again(self):
        super().behave_again()

    @weight(14)
    def misbehave_watches(self):
        name, parameters = streams(self.rng)
        route = self.rng.choice([WATCHES, WATCHES, *(f"WATCH */{plural}" for plural in PLURALS)])
        count = self.rng.choice([1, 1, 3, 10, None])
        self._lingering = True
        self.standin.behave(name, route, count, **parameters)
        self.standin.kubernetes(end_watches=True)
        return f"{name} {parameters} on {route} {count or 'for ever'}"

    @weight(8)
    def misbehave_lists(self):
        page_max, expired = self.rng.choice([None, 1, 2, 10]), self.rng.choice([0, 1, 2, 10])
        self.standin.kubernetes(page_max=page_max, expire_continue=expired)
        return f"{page_max} a page, {expired} of them too late"

    @weight(12)
    def refuse(self):
        code, reason = self.rng.choice([(401, "Unauthorized"), (403, "Forbidden"), (429, "TooManyRequests"),
                                        (500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")])
        route, count = self.rng.choice(self.routes), self.rng.choice([1, 3, 10, None])
        retry_after = self.rng.choice([None, *self.words.retry_after])
        self.standin.refuse(code, reason, "chaos", route, count, retry_after)
        return f"{code} on {route} {count or 'for ever'}, Retry-After {retry_after}"

    # ---- where it is ----

    @weight(5)
    def stop_listening(self):
        self._down, drain = True, self.rng.random() < 0.5
        self.standin.stop_listening(drain=drain)
        return "drained" if drain else ""

    @weight(8)
    def start_listening(self):
        self._down = False
        self.standin.start_listening()

    @weight(6)
    def restart(self):
        self._down = False
        self.standin.restart()

    # ---- watches and versions ----

    @weight(5)
    def end_watches(self):
        resource = self.rng.choice([None, *PLURALS])
        self.standin.kubernetes(end_watches=True, resource=resource)
        return resource

    @weight(4)
    def forget(self):
        """Versions that the watches would go on from, so that they get 410; or that pages go on from."""
        how = self.rng.choice([{"forget": True}, {"forget": True, "end_watches": True}, {"history": 2},
                               {"history": None}])
        self.standin.kubernetes(**how)
        return json.dumps(how)

    @weight(2)
    def bookmark(self):
        self.standin.kubernetes(bookmark=True)

    # ---- rights ----

    def _allow(self):
        """Each resource what is not denied."""
        self.standin.kubernetes(rules=[
            {"user": USER, "resource": resource,
             "verb": [verb for verb in ("list", "watch") if (resource, verb) not in self._denied]}
            for resource in PLURALS])

    def _deny(self, resource, verb):
        self._denied |= {(one, verb) for one in ([resource] if resource else PLURALS)}
        self._allow()

    @weight(6)
    def deny(self):
        resource, verb = self.rng.choice([None, *PLURALS]), self.rng.choice(["list", "watch"])
        self._deny(resource, verb)
        return f"{verb} {resource or 'all'}"

    @weight(4)
    def grant(self):
        self._denied.clear()
        self._allow()

    @weight(3)
    def rotate(self):
        """Another token, of which the cluster knows first; the one before is good no more."""
        self._token, before = f"token-{next(self._numbers)}", self._token
        self.standin.kubernetes(tokens={before: USER, self._token: USER})
        self.account.rotate(self._token)
        self.standin.kubernetes(tokens={self._token: USER})

    @weight(4)
    def lose_token(self):
        self.account.rotate("worthless")

    # ---- objects ----

    def _address(self, resource, key, status=None):
        """As the stand-in takes it."""
        namespace, name = key.split("/")
        phase = next((phase for phase, told in PHASES.items() if told == status), None)
        return {"resource": resource, "namespace": namespace, "name": name,
                **({"status": {"phase": phase}} if phase else {})}

    def _add(self, resource, missed=False):
        key = f"{self.rng.choice(NAMESPACES)}/{RESOURCES[resource]}{next(self._numbers):05}"
        if resource not in self._served and len(self.histories[resource].now()) < OBJECTS_MOST:
            self.histories[resource].put(key, "running")
            self.standin.objects(add=[self._address(resource, key)], missed=missed)
        return key

    def _some(self):
        """A resource, and one object of it or None."""
        resource = self.rng.choice(PLURALS)
        known = sorted(self.histories[resource].now())
        return resource, self.rng.choice(known) if known else None

    @weight(8)
    def add(self):
        return self._add(self.rng.choice(PLURALS))

    @weight(2)
    def add_the_same(self):
        """The same name, in another namespace."""
        resource, key = self._some()
        if key and resource not in self._served:
            other = f"{self.rng.choice(NAMESPACES)}/{key.partition('/')[2]}"
            if other not in self.histories[resource].now():
                self.histories[resource].put(other, "running")
                self.standin.objects(add=[self._address(resource, other)])

    @weight(6)
    def update(self):
        resource, key = self._some()
        if key:
            status = self.rng.choice(sorted(PHASES.values()))
            self.histories[resource].put(key, status)
            self.standin.objects(update=[self._address(resource, key, status)])
        return key

    @weight(5)
    def remove(self):
        resource, key = self._some()
        if key:
            self.histories[resource].remove(key)
            self.standin.objects(remove=[self._address(resource, key)])
        return key

    @weight(4)
    def burst(self):
        """Many at once, with or without those who watch."""
        resource, missed = self.rng.choice(PLURALS), self.rng.random() < 0.3
        history, known = self.histories[resource], sorted(self.histories[resource].now())
        changed = self.rng.sample(known, len(known) // 2)
        removed = self.rng.sample(known, len(known) // 3)
        for key in changed:
            history.put(key, "failed")
        for key in removed:
            history.remove(key)
        self.standin.objects(update=[self._address(resource, key, "failed") for key in changed],
                             remove=[self._address(resource, key) for key in removed], missed=missed)
        return f"{len(changed)} changed, {len(removed)} removed{', missed' if missed else ''}"

    @weight(4)
    def reinstall(self):
        """A resource's definition goes, and all its objects with it, or comes again."""
        resource = self.rng.choice(PLURALS)
        self._install({} if self._served else {resource: self.rng.choice([[], [], ["v1alpha1"]])})
        return json.dumps(self._served)

    def _install(self, served):
        for resource in PLURALS:
            for key in list(self.histories[resource].now()) if served.get(resource) == [] else []:
                self.histories[resource].remove(key)
        self._served = served
        self.standin.kubernetes(serve=served)
