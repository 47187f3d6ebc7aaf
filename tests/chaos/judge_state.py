# SPDX-License-Identifier: Apache-2.0
"""What the state file may say, at every moment: whole, in agreement with itself, and true.

True is what the stand-in served, as a witness of truth.py knows it. And nothing stands still: what should
have happened by a moment has happened soon after it.
"""

import json
import time

from pace import lasted
from truth import moment

OVERDUE = 15.0          # a call, its identity check, a search, and the other poll before it
REWRITTEN = 10.0        # after a full disk
KEYS = {"schema", "version", "pid", "started_at", "runtime_mode", "connection", "workloads", "registry", "counters"}
NO_REGISTRY = {"next_poll_at": None, "problem": None, "servers": 0, "names": []}
STATES = {"connecting", "connected", "degraded", "reconnecting", "exhausted", "stopped"}


class StateJudge:
    """Of one path; a new process may come along. report(text) is called for each violation."""

    def __init__(self, report, path, witness):
        self._report = report
        self._path = path
        self.witness = witness
        self._raw = self._overdue = None
        self._counters = None
        self._pid = None
        self.document = None
        self.documents = 0
        self._excused = 0
        self.seen = set()               # states

    def excuse(self):
        """The file cannot be written now, so it need not be of today until a while after."""
        self._excused = time.monotonic() + REWRITTEN

    def look(self, running):
        """Reads it once; running: whether the service is to be held to its word."""
        try:
            raw = self._path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return
        if raw != self._raw:
            self._raw = raw
            try:
                document = json.loads(raw)
                problem = self._problem(document)
            except (ValueError, KeyError, TypeError) as error:
                self._report(f"no state file: {error!r}: {raw[:300]!r}")
                return
            self.documents += 1
            self.document = document
            self.seen.add(document["connection"]["state"])
            if problem:
                self._report(f"{problem}: {raw.decode()}")
        if running and self.document and time.monotonic() > self._excused and self._raw != self._overdue:
            self._judge_progress(self.document)

    def _problem(self, document):
        if missing := KEYS - set(document):
            return f"keys missing: {missing}"
        connection, workloads = document["connection"], document["workloads"]
        registry = document["registry"] or NO_REGISTRY
        state, problems = connection["state"], [workloads["problem"], registry["problem"]]
        running = sum(item["status"] == "running" for item in workloads["items"])
        if workloads["total"] != len(workloads["items"]) or workloads["running"] != running:
            return "the workloads are not so many"
        if registry["servers"] != len(registry["names"]):
            return "the servers are not so many"
        if state not in STATES or not 0 <= connection["attempt"] <= connection["max_retries"]:
            return "no such state or attempt"
        if state == "connected" and (any(problems) or connection["attempt"] or not workloads["polled_at"]):
            return "connected, and all is not well"
        if state == "degraded" and (not any(problems) or connection["attempt"]):
            return "degraded, and no problem"
        if state == "reconnecting" and (not connection["attempt"] and not connection["last_error"]):
            return "reconnecting, and no failure"
        if (connection["endpoint"] is None) != (connection["port"] is None):
            return "a port without an address"
        return self._went_back(document) or self.witness.untrue(document)

    def _went_back(self, document):
        before, self._counters = self._counters, document["counters"]
        known, self._pid = self._pid, (document["pid"], document["started_at"])
        if before and known == self._pid and any(before[key] > value for key, value in document["counters"].items()):
            return f"counters went back from {before}"
        return None

    def _judge_progress(self, document):
        connection = document["connection"]
        due = [document["workloads"]["next_poll_at"], (document["registry"] or NO_REGISTRY)["next_poll_at"]]
        if connection["state"] == "reconnecting" and connection["next_attempt_at"]:
            due = [connection["next_attempt_at"]]
        elif connection["state"] == "reconnecting":
            # An attempt is under way; or an answer that is of no use came, and what is waited for is the poll.
            due = [max(when for when in [connection["last_error_at"], *due] if when)]
        for when in due:
            if when and (late := lasted(time.monotonic() - max(0, time.time() - moment(when)))) > OVERDUE:
                self._report(f"{connection['state']}, and nothing has happened for {late:.1f} s: {self._raw.decode()}")
                self._overdue = self._raw       # said once
                return
