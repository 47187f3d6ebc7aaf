# SPDX-License-Identifier: Apache-2.0
"""The stand-in's rules: which behaviour is played on which request, and what it plays with.

A behaviour is a function of an exchange and of its own parameters, registered by its name. Three
stages: "listener" ones have no function here, since they change the listening socket itself; "accept"
ones play as soon as a connection is taken, before anything is read; "request" ones play after one
request was read, and may use the answer that would have been given. A request behaviour that returns
KEEP lets the connection go on; after any other the connection is closed.
"""

import contextlib
import re
import threading

from standin_wire import CHUNKED, LAST_CHUNK, ChunkWriter, chunk

KEEP = True
BEHAVIOURS = {"refuse": ("listener", None), "backlog-full": ("listener", None)}


class Exchange:
    """One connection, and in the request stage what was asked on it."""

    def __init__(self, connection, request=None, backend=None):
        self.connection = connection
        self.request = request
        self._backend = backend
        self._answer = None

    def answer(self):
        """What a good server would answer; asking for it carries the request out, once."""
        if self._answer is None:
            self._answer = self._backend.answer(self.request)
        return self._answer

    def send(self, data):
        self.connection.send(data)

    def send_chunk(self, data, extension=b""):
        self.send(chunk(data, extension))

    @contextlib.contextmanager
    def pieces(self, wait=None):
        """Sends the head of an answer that goes on, and gives its pieces; the only one of any other is its body."""
        answer = self.answer()
        goes_on = answer.pieces or (lambda _: contextlib.nullcontext(iter([answer.body])))
        with goes_on(wait or self.connection.hold) as pieces:
            self.send(answer.head(CHUNKED))
            yield pieces

    def stream(self):
        """All of an answer that goes on, as a good server sends it."""
        writer = ChunkWriter(self.send)

        def wait(seconds, fd):
            writer.flush()
            self.connection.hold(seconds, fd)
        with self.pieces(wait) as pieces:
            for piece in pieces:
                writer.write(piece)
        writer.flush()
        self.send(LAST_CHUNK)

    def drip(self, data, interval):
        for byte in data:
            self.send(bytes([byte]))
            self.connection.hold(interval)


def behaviour(name, stage="request"):
    def register(function):
        BEHAVIOURS[name] = (stage, function)
        return function
    return register


class Rule:
    """Play that behaviour on that route, count times or until cleared."""

    def __init__(self, name, route="*", count=None, **parameters):
        if name not in BEHAVIOURS:
            raise ValueError(f"no behaviour {name}; there are {', '.join(sorted(BEHAVIOURS))}")
        self.name = name
        self.route = route
        self.left = count
        self.parameters = parameters
        self.stage, self._function = BEHAVIOURS[name]
        if self._function:
            check_parameters(self._function, parameters)

    @classmethod
    def parse(cls, text):
        """From the command line: NAME[,key=value]…"""
        name, *pairs = text.split(",")
        return cls(name, **{key: _value(value) for key, _, value in (p.partition("=") for p in pairs)})

    def matches(self, request):
        """`*`, `METHOD PATH` or `* PATH`; `*` in a path is any text; with a `?` or `=` the query counts too.

        WATCH and LIST are methods, too: see Request.verb()."""
        if self.route == "*":
            return True
        method, _, pattern = self.route.partition(" ")
        path = request.target if "?" in pattern or "=" in pattern else request.path
        return (method in ("*", request.method, request.verb())
                and re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), path) is not None)

    def play(self, exchange):
        return self._function(exchange, **self.parameters)


def check_parameters(function, given):
    """TypeError now, and not when the rule is played. (The module inspect would do it, and takes longer to load than
    all of this program.)"""
    code = function.__code__
    known = code.co_varnames[1:code.co_argcount]
    needed = known[:len(known) - len(function.__defaults__ or ())]
    if wrong := set(given) - set(known) | set(needed) - set(given):
        raise TypeError(f"{function.__name__}: unknown or missing: {', '.join(sorted(wrong))}")


def _value(text):
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


class Rules:
    """The rules of one server; the first that matches and is not used up is played."""

    def __init__(self, rules=()):
        self._lock = threading.Lock()
        self._rules = list(rules)

    def add(self, rule):
        with self._lock:
            self._rules.append(rule)

    def clear(self):
        with self._lock:
            self._rules.clear()

    def take(self, stage, request=None):
        """The rule to play now, with one use taken off it; None when all is to go well."""
        with self._lock:
            for rule in self._rules:
                if rule.stage != stage or (request is not None and not rule.matches(request)):
                    continue
                if rule.left is not None:
                    rule.left -= 1
                    if rule.left <= 0:
                        self._rules.remove(rule)
                return rule
        return None
