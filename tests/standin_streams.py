# SPDX-License-Identifier: Apache-2.0
"""The stand-in's misbehaviours in the middle of a stream, such as a watch.

Each lets `after` whole events through, as they come, and then does what its name says.
"""

import base64
import itertools
import json

from standin_misbehave import BLANKS
from standin_rules import BEHAVIOURS, KEEP, behaviour  # noqa: F401 (with those of this file)
from standin_wire import LAST_CHUNK, chunk


def _let_through(exchange, pieces, count):
    for piece in itertools.islice(pieces, count):
        exchange.send_chunk(piece)


def _go_on(exchange, pieces):
    _let_through(exchange, pieces, None)
    exchange.send(LAST_CHUNK)
    return KEEP


@behaviour("stream-end")
def stream_end(exchange, after=0):
    """The end as after a time-out."""
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
        exchange.send(LAST_CHUNK)
        return KEEP


@behaviour("stream-cut")
def stream_cut(exchange, after=0, keep=20, within="chunk", end="fin", text=None, pause=0.05):
    """So many bytes of the next event (or of that text), then the end: amid a chunk, or with within="event" after a
    whole one; by fin, by reset, or by the last chunk as if all were well. With an empty text: only the end."""
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
        event = next(pieces, b"") if text is None else text.encode()
    if event and within == "chunk":
        head, line_end, data = chunk(event).partition(b"\n")
        exchange.send(head + line_end + data[:keep])
    elif event:
        exchange.send_chunk(event[:keep])
    if end == "reset":
        exchange.connection.hold(pause)
        exchange.connection.reset()
    elif end == "last":
        exchange.send(LAST_CHUNK)
        return KEEP


@behaviour("stream-silence")
def stream_silence(exchange, after=0, seconds=3600):
    """No event any more, no bookmark, no end."""
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
    exchange.connection.hold(seconds)


@behaviour("stream-endless")
def stream_endless(exchange, after=0, head='{"type":"MODIFIED","object":{"metadata":{"name":"'):
    """A line that never ends."""
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
    exchange.send_chunk(head.encode())
    while True:
        exchange.send_chunk(BLANKS)


@behaviour("stream-line")
def stream_line(exchange, text=None, data=None, after=0, times=1):
    """A line of any kind (text, or bytes in base64, as they are) between the events, which go on."""
    line = base64.b64decode(data) if text is None else text.encode() + b"\n"
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
        for _ in range(times):
            exchange.send_chunk(line)
        return _go_on(exchange, pieces)


@behaviour("stream-huge")
def stream_huge(exchange, mib=2, after=0, kind="MODIFIED", name="huge", namespace="default", resource_version="999"):
    """One good event so long, most of it an annotation; the stream goes on."""
    event = {"type": kind, "object": {
        "apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer", "metadata": {
            "annotations": {"padding": ""}, "name": name, "namespace": namespace,
            "resourceVersion": str(resource_version), "uid": "00000000-9c93-4899-82e1-4a0c32d90134"},
        "spec": {"image": "ghcr.io/example/huge:1", "transport": "stdio", "proxyPort": 8080},
        "status": {"phase": "Ready", "url": f"http://mcp-{name}-proxy.{namespace}.svc.cluster.local:8080/mcp"}}}
    line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    padding = b'"padding":"' + b"x" * (int(mib * (1 << 20)) - len(line))
    with exchange.pieces() as pieces:
        _let_through(exchange, pieces, after)
        exchange.send_chunk(line.replace(b'"padding":"', padding, 1))
        return _go_on(exchange, pieces)


@behaviour("stream-slices")
def stream_slices(exchange, size=1, interval=0.0):
    """Every event in slices of that size, each a chunk of its own."""
    with exchange.pieces() as pieces:
        for piece in pieces:
            for start in range(0, len(piece), size):
                exchange.send_chunk(piece[start:start + size])
                exchange.connection.hold(interval)
        exchange.send(LAST_CHUNK)
        return KEEP
