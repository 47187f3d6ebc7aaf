# SPDX-License-Identifier: Apache-2.0
"""What could be had when, against which the state file is held: of ToolHive by the time, of a cluster by
the order.

ToolHive is polled: what was polled at some moment must be what could be had shortly before. A cluster is
listed and watched, each resource by itself, and one that is refused keeps what was known of it: so what a
service says of a resource is at every moment what the cluster held once, and never goes back to what was
before. Who changes anything says so before the stand-in is told, since a watch is as fast as we are.
"""

import datetime
import time

SERVED = 4.0            # an answer may be on its way for so long, with a time-out of 1 s


def moment(text):
    """RFC 3339 as seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Truth:
    """The values that could be had, with their times in seconds since 1970."""

    def __init__(self, value):
        self._values = [(value, time.time(), None)]

    def now(self):
        return self._values[-1][0]

    def change(self, value, begun):
        """begun: before the stand-in was told; the old value may be had until now."""
        old, since, _ = self._values[-1]
        self._values[-1] = (old, since, time.time())
        self._values.append((value, begun, None))
        del self._values[:-200]

    def could_be_had(self, value, when):
        return any(value == known and since <= when + 0.1 and (until is None or until >= when - SERVED)
                   for known, since, until in self._values)


class ToolHiveWitness:
    """Of one service's state files."""

    def __init__(self, workloads, registry):
        self._workloads, self._registry = workloads, registry

    @staticmethod
    def _workloads_of(document):
        return {item["name"]: item["status"] for item in document["workloads"]["items"]}

    @staticmethod
    def _registry_of(document):
        return document["registry"]["last_updated"], tuple(document["registry"]["names"])

    def untrue(self, document):
        if (polled := document["workloads"]["polled_at"]) and not self._workloads.could_be_had(
                self._workloads_of(document), moment(polled)):
            return "workloads that ToolHive never told"
        if (polled := document["registry"]["polled_at"]) and not self._registry.could_be_had(
                self._registry_of(document), moment(polled)):
            return "a registry that ToolHive never told"
        return None

    def up_to_date(self, document):
        return (self._workloads_of(document) == self._workloads.now()
                and self._registry_of(document) == self._registry.now())


class History:
    """All that a resource's objects ever were, one change after the other: NAMESPACE/NAME to status. The letter is what
    names of this resource begin with."""

    KEPT = 5000

    def __init__(self, letter):
        self.letter = letter
        self._values = [{}]
        self._forgotten = 0

    def now(self):
        return self._values[-1]

    def put(self, key, status):
        self._values.append({**self.now(), key: status})
        self._forget()

    def remove(self, key):
        self._values.append({known: status for known, status in self.now().items() if known != key})
        self._forget()

    def _forget(self):
        many = max(0, len(self._values) - self.KEPT)
        self._forgotten += many
        del self._values[:many]

    def next_place(self, place, same):
        """Of the first value from that place on that is the same; None: there is none."""
        known = range(max(place, self._forgotten), self._forgotten + len(self._values))
        return next((number for number in known if same(self._values[number - self._forgotten])), None)


class ClusterWitness:
    """Of one service's state files: how far each resource's history has been told."""

    def __init__(self, histories, namespace=None):
        self._histories = histories
        self._prefix = f"{namespace}/" if namespace else ""
        self._places = dict.fromkeys(histories, 0)

    def _wanted(self, value):
        return {key: status for key, status in value.items() if key.startswith(self._prefix)}

    @staticmethod
    def _told(document, letter):
        return {f'{item["namespace"]}/{item["name"]}': item["status"] for item in document["workloads"]["items"]
                if item["name"].startswith(letter)}

    def untrue(self, document):
        if document["registry"] is not None:
            return "a registry in a cluster"
        for resource, history in self._histories.items():
            told = self._told(document, history.letter)
            place = history.next_place(self._places[resource], lambda value, told=told: self._wanted(value) == told)
            if place is None:
                return f"{resource} that the cluster never held, or not any more"
            self._places[resource] = place
        return None

    def up_to_date(self, document):
        return all(self._told(document, history.letter) == self._wanted(history.now())
                   for history in self._histories.values())
