# SPDX-License-Identifier: Apache-2.0
"""What the log of one life of the service may say, line after line, by section 3 of the specification.

A line rarely tells all: a search that finds nothing is silent, and a wake may find what the search
before it did not. So the judge keeps every hypothesis that the lines so far allow, and a line that
none of them allows is a violation. A hypothesis is where the service is in the retry loop:

  idle       no failure of this outage is being handled; attempts may have been counted
  failed     an attempt failed, and the line about the search is still to come
  searching  that line has come; what was found is not known, and maybe the wait has begun
  waiting    the delay is being waited
  told       another address was found, and "retrying immediately" must be the next line
  now        an immediate retry is under way

(In Kubernetes there is no search and no immediate retry: a failure is followed by the wait.)

with the delay before jitter, whether an immediate retry is allowed, and how early the next attempt
may come. Times are the log's own, so that a reader that is late judges nobody.
"""

import collections
import datetime
import json

EARLY = 0.005           # milliseconds are cut in the times, and rounded in the delays
COMMON = {
    "Starting mcp-optimizer": "INFO", "Stopped on request": "INFO", "Workload added": "INFO",
    "Workload removed": "INFO", "Workload changed": "INFO", "Workloads polled": "INFO",
    "Skipping a workload that makes no sense": "WARNING", "Skipping more workloads that make no sense": "WARNING",
    "Further differences not listed": "INFO", "Cannot write the state file": "WARNING",
    "Cannot open the state file": "WARNING", "Ignoring the state file of an earlier service": "INFO",
}


class Words:
    """A backend's messages: those of the retry loop, those of a poll whose answer is of no use, and others."""

    def __init__(self, name, polls, problems=(), others=None, moves=None, retry_after=()):
        self.lines = {
            f"{name} connection failed": ("WARNING", "failed"),
            f"Connected to {name}": ("INFO", "connected"),
            f"{name} connection restored": ("INFO", "restored"),
            "Reload requested, polling workloads and registry at once": ("INFO", "reload"),
            f"All retry attempts exhausted. {name} is unavailable.": ("ERROR", "exhausted"),
            f"{name} connection failure - exiting": ("CRITICAL", "exiting"),
            **{message: ("WARNING", "problem") for message in (f"{name} gives an answer that is of no use", *problems)},
            f"{name} answers again": ("INFO", "again"), **(moves or {})}
        self.others = {**COMMON, **(others or {})}
        self.polls = polls
        self.can_move = bool(moves)
        self.retry_after = retry_after  # seconds that the stand-in may ask for, instead of the delay


TOOLHIVE = Words(
    "ToolHive", 2, ["ToolHive's container runtime is away"],
    {"Registry polled": "INFO", "Registry server added": "INFO", "Registry server removed": "INFO",
     "Skipping registry servers whose names make no sense": "WARNING",
     "Several ToolHives found, using the lowest port; set TOOLHIVE_PORT to choose another": "WARNING"},
    {"Attempting to rediscover ToolHive port": ("WARNING", "attempting"),
     "ToolHive still available on same port": ("INFO", "same"),
     "Successfully rediscovered ToolHive on new port": ("INFO", "other"),
     "Port rediscovery successful, retrying immediately": ("INFO", "retrying")})
KUBERNETES = Words(
    "Kubernetes API", 1, ["Kubernetes API denies the account what it needs",
                          "Kubernetes API does not know the account"],
    {"Resources of ToolHive that are not installed in the cluster are passed over": "INFO",
     "All resources of ToolHive are installed in the cluster": "INFO"}, retry_after=(1, 2))

At = collections.namedtuple("At", "stage base immediate due")


class LogJudge:
    """Of one process. report(text) is called for each violation; woken(time) says whether the discovery
    file has changed so shortly before that a wake may be behind what is found then."""

    def __init__(self, report, words, woken, initial, maximum, jitter, retries):
        self._report, self._words, self._woken = report, words, woken
        self._initial, self._maximum, self._jitter, self._retries = initial, maximum, jitter, retries
        self._at = {At("idle", initial, True, 0)}
        self._known = False
        self._backoff = 0
        self._reloads = 0
        self._problems = 0
        self.attempt = 0
        self._since = None
        self._last = None
        self.exhausted = self.exiting = self.stopped = False
        self.counts = collections.Counter()
        self.lines = 0

    def feed(self, text):
        entry = json.loads(text)
        level, message = entry["level"], entry["message"]
        now = datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()
        self.lines += 1
        if self.exiting:
            self._report(f"a line after the last word: {text}")
        self.stopped = self.stopped or message == "Stopped on request"
        if (others := self._words.others).get(message) == level:
            self.counts[message] += 1
        elif message in others or level != self._words.lines.get(message, [None])[0]:
            self._report(f"not in the specification: {text}")
        else:
            name = self._words.lines[message][1]
            self.counts[name] += 1
            before = self._at
            self._at = {at for old in before for at in getattr(self, f"_on_{name}")(old, entry, now) or ()}
            if not self._at:
                self._report(f"cannot come now: {text}\n    after {self._last}\n    from {sorted(before)}")
                self._at = {At(stage, base, allowed, now) for stage in ("idle", "searching", "now")
                            for base in (self._initial, self._maximum) for allowed in (True, False)}
            getattr(self, f"_after_{name}", lambda *_: None)(entry, now)
        self._last = text

    # ---- what each line may follow, and where it leads ----

    def _arrivals(self, at, now):
        """The delays with which an attempt may be made now."""
        if at.stage in ("idle", "now"):
            return {(at.base, at.immediate)}
        if at.stage not in ("waiting", "searching"):
            return set()
        allowed = at.immediate or at.stage == "searching"
        cut = {(self._initial, allowed), (at.base, allowed)} if self._reloads else set()
        if now >= at.due - EARLY:
            return cut | {(min(2 * at.base, self._maximum), allowed)}
        return cut

    def _on_failed(self, at, entry, now):
        last = min(self.attempt + 1, self._retries) == self._retries
        told = entry["backoff_seconds"]
        for base, allowed in self._arrivals(at, now):
            if last and told != 0 or not last and not (
                    base * (1 - self._jitter) - EARLY <= told <= base + EARLY
                    or told in self._words.retry_after and told > base * (1 - self._jitter)):
                continue
            if self._known and self._words.can_move:
                yield At("failed", base, allowed, 0)
            else:
                yield At("waiting", base, True, now + told)

    def _after_failed(self, entry, now):
        self.attempt = min(self.attempt + 1, self._retries)
        if (entry["attempt"], entry["max_retries"]) != (self.attempt, self._retries) or not entry["error"]:
            self._report(f"not attempt {self.attempt} of {self._retries}: {entry}")
            self.attempt = entry["attempt"]
        self._backoff = entry["backoff_seconds"]
        self._since = self._since or now
        self._reloads = max(0, self._reloads - 1)

    def _on_attempting(self, at, _, now):
        if at.stage == "failed":
            yield at._replace(stage="searching", due=now + self._backoff)

    def _on_same(self, at, _, now):
        if at.stage == "searching":
            yield (At("now", at.base, False, 0) if at.immediate
                   else At("waiting", at.base, False, now + self._backoff))
        if at.stage in ("searching", "waiting") and self._woken(now):
            yield At("now", at.base, False, 0)

    def _on_other(self, at, _, now):
        if at.stage == "searching" and not at.immediate:
            yield At("waiting", at.base, False, now + self._backoff)
        if at.stage == "searching" and at.immediate or at.stage in ("searching", "waiting") and self._woken(now):
            yield At("told", self._initial, False, 0)

    def _on_retrying(self, at, *_):
        if at.stage == "told":
            yield at._replace(stage="now")

    def _on_connected(self, at, _, now):
        if self._known:
            return
        for base, allowed in self._arrivals(at, now):
            yield At("now", base, allowed, 0)
        if at.stage == "waiting" and self._woken(now):
            yield At("now", at.base, False, 0)

    def _after_connected(self, *_):
        self._known = True

    def _on_restored(self, at, _, now):
        if self.attempt > 0 and self._arrivals(at, now):
            yield At("idle", self._initial, True, 0)

    def _after_restored(self, entry, now):
        lasted = now - (self._since or now)
        if entry["attempts"] != self.attempt or abs(entry["outage_seconds"] - lasted) > 0.1:
            self._report(f"not {self.attempt} attempts in {lasted:.3f} s: {entry}")
        self.attempt, self._since, self._reloads = 0, None, 0

    def _on_problem(self, at, *_):
        yield at

    def _after_problem(self, entry, _):
        """Once while it lasts, of each poll."""
        self._problems += 1
        if self._problems > self._words.polls:
            self._report(f"told again while it lasts: {entry}")
            self._problems = self._words.polls

    def _on_again(self, at, *_):
        yield at

    def _after_again(self, entry, _):
        self._problems -= 1
        if self._problems < 0:
            self._report(f"nothing was wrong: {entry}")
            self._problems = 0

    def _on_reload(self, at, *_):
        yield at

    def _after_reload(self, *_):
        # The wait that it cuts short may be the next one, when a request was under way.
        self._reloads = 2

    def _on_exhausted(self, at, entry, _):
        if self.attempt == self._retries and entry["total_attempts"] == self._retries and at.stage != "told":
            yield at

    def _after_exhausted(self, *_):
        self.exhausted = True

    def _on_exiting(self, at, entry, _):
        if self.exhausted and entry["max_retries"] == self._retries and entry["last_error"]:
            yield at

    def _after_exiting(self, *_):
        self.exiting = True
