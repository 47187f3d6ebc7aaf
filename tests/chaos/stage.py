# SPDX-License-Identifier: Apache-2.0
"""What chaos is played on, whichever backend it is: the stand-in with what is around it, the disk under
the state file, and the choice of what happens next.

Each action is a method of a stage with its weight, and leaves the truth right: whoever changes what there
is to tell says since when. calm() takes back all of it. What a backend has of its own is in
stage_toolhive.py and stage_kubernetes.py.
"""

import contextlib
import pathlib

# Name and parameters; those of the listener and of the connection take any route.
BEHAVIOURS = [
    ("hang", {}), ("slow", {"ms": 300}), ("slow", {"ms": 800}), ("drip-headers", {"interval": 0.2}),
    ("drip-body", {"interval": 0.2}), ("close", {}), ("close-after", {}), ("cut-headers", {}), ("cut-body", {}),
    ("length-long", {}), ("length-short", {}), ("reset-after-request", {}), ("reset-in-headers", {}),
    ("reset-in-body", {}), ("status", {"code": 500}), ("status", {"code": 502}),
    ("redirect", {"url": "http://127.0.0.1:1/"}), ("json", {"text": "{"}), ("json", {"text": "[]"}),
    ("json", {"text": "NaN"}), ("depth", {"n": 40}), ("entries", {"n": 300_000}), ("bad-utf8", {}),
    ("big", {"mib": 20}), ("chunked", {"mib": 17}), ("header-line", {}), ("header-many", {}),
    ("informational", {"n": 5}), ("switching", {}), ("gzip-bomb", {}), ("http09", {}), ("garbage", {}),
    ("tls-alert", {}), ("endless", {}),
    ("silence", {"seconds": 30}), ("reset-at-accept", {}), ("close-at-accept", {}), ("ssh", {"seconds": 30}),
    ("refuse", {}), ("backlog-full", {}),
]
RETRIES = {"toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1.0, "toolhive_backoff_jitter": 0.2,
           "toolhive_max_retries": 500}


def weight(share, touches=False):
    """How likely an action is, and whether it touches the discovery file."""
    def mark(method):
        method.weight, method.touches = share, touches
        return method
    return mark


class Stage(contextlib.ExitStack):
    """Ends its stand-in with the context. A backend says what is not said here:

    words                the LogJudge's of this backend
    steady(), mortal()   the settings of a service; those that change what there is to know are in KNOWS
    witness(settings)    who judges the state files of such a service
    is_at(document)      whether the service is connected where the stand-in is
    trouble()            one lasting ill, nothing else: how a service has to speak of it
    changes()            makes one change after the other, and says within which time a service at rest has to know it
    """

    KNOWS = ()
    WITHIN = None
    behaviours = BEHAVIOURS

    def __init__(self, rng, disk):
        super().__init__()
        self.rng, self.disk = rng, disk
        self.full = False
        self.patience = 0.2             # how often pauses are waited for
        self.acted = 0
        self.standin = None
        self.actions = [getattr(self, name) for name in sorted(dir(type(self)))
                        if hasattr(getattr(type(self), name), "weight")]
        self._mood = self.actions

    def moods(self):
        """Kinds of trouble: each what it consists of."""
        return [[self.misbehave, self.behave_again, self.cut]]

    def set_mood(self):
        """What comes from now on: anything, or only what one kind of trouble consists of."""
        self._mood = self.rng.choice([self.actions, self.actions, *self.moods()])

    def act(self):
        """One action at random; its name."""
        self.acted += 1
        action = self.rng.choices(self._mood, [action.weight for action in self._mood])[0]
        if action.touches:
            self.touch()
        return f"{action.__name__} {action() or ''}".strip()

    def watched_by(self, services):
        """Whether so many services watch all that they can."""
        return True

    def is_pausing(self, state, problem):
        """Whether that is what a service says whose watches pause."""
        return False

    def cut_pauses(self):
        """Whether they are made needless by an outage that calm() ends."""
        return False

    def touch(self):
        """Before the discovery file is written or removed."""

    def woken(self, settings):
        """A function that says whether something may have woken such a service shortly before a moment."""
        return lambda when: False

    def mortal_retries(self):
        return {"toolhive_initial_backoff": self.rng.choice([0.1, 0.3]),
                "toolhive_max_backoff": self.rng.choice([1.0, 2.0]),
                "toolhive_backoff_jitter": self.rng.choice([0.0, 0.3, 1.0]),
                "toolhive_max_retries": self.rng.choice([4, 8, 500])}

    def calm(self):
        """Whether there is more now that only a list would tell."""
        self.standin.clear()
        self.unfill()
        self.standin.reset()

    def summary(self):
        """What there is to tell of all that was done."""
        return f"{self.acted} actions"

    # ---- how it answers ----

    def behaviour(self):
        """One at random: name, route, parameters."""
        name, parameters = self.rng.choice(self.behaviours)
        return name, self.rng.choice(self.routes), parameters

    @weight(16)
    def misbehave(self):
        name, route, parameters = self.behaviour()
        count = self.rng.choice([1, 1, 3, 10, None])
        self.standin.behave(name, route, count, **parameters)
        return f"{name} {parameters} on {route} {count or 'for ever'}"

    @weight(14)
    def behave_again(self):
        self.standin.clear()

    @weight(4)
    def cut(self):
        self.standin.cut()

    # ---- the disk ----

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
