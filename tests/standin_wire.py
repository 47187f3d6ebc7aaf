# SPDX-License-Identifier: Apache-2.0
"""The stand-in's wire: one connection, a request read from it, an answer put on it.

Written over plain sockets and not over http.server, because the stand-in has to be able to leave
the protocol at any byte: cut, drip, reset, or never answer. A connection belongs to the thread that
serves it; that thread alone closes it. Others may only cut() it, which wakes whatever its thread
waits in.
"""

import json
import select
import socket
import struct
import time
import urllib.parse

MAX_HEAD = 64 << 10
MAX_BODY = 16 << 20
CHUNKED = [("Transfer-Encoding", "chunked")]
LAST_CHUNK = b"0\r\n\r\n"
# Go's server keeps so much before it sends: what ends within gets its length, the rest goes in chunks.
GO_BUFFER = 2048
PLAIN_TO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

REASONS = {
    200: "OK", 201: "Created", 204: "No Content", 301: "Moved Permanently", 302: "Found",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request", 401: "Unauthorized",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 410: "Gone",
    429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}


class Gone(Exception):
    """The connection has ended, from either side: nothing more can be read or sent."""


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


class Answer:
    """One HTTP answer, before anybody spoils it.

    A chunked one has its length told only when it is short. One that goes on has `pieces` as well: pieces(wait) is a
    context in which what is to be sent comes piece by piece; where nothing is at hand it calls wait(seconds, fd), which
    returns when the descriptor is readable or the time is over. Its body is what is at hand at once, and all of it to
    a behaviour that knows nothing of streams.
    """

    def __init__(self, status=200, body=b"", content_type=None, headers=(), chunked=False):
        self.status = status
        self.body = body
        self.chunked = chunked
        self.pieces = None
        self.headers = list(headers)
        if content_type:
            self.headers.insert(0, ("Content-Type", content_type))

    @classmethod
    def json(cls, value, status=200, headers=()):
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
        return cls(status, text.encode(), "application/json", headers)

    @classmethod
    def text(cls, status, line, headers=()):
        """An error as Go's http.Error() writes it: text/plain, one line."""
        return cls(status, (line + "\n").encode(), "text/plain; charset=utf-8",
                   [("X-Content-Type-Options", "nosniff"), *headers])

    def head(self, framing=None):
        """Status line and headers with the final empty line; framing replaces Content-Length."""
        if framing is None:
            has_body = self.status >= 200 and self.status not in (204, 304)
            framing = [("Content-Length", str(len(self.body)))] if has_body else []
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        date = ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))
        lines += [f"{name}: {value}" for name, value in [*self.headers, date, *framing]]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def wire(self):
        """All of it: one piece, so that header and body share a segment where they fit."""
        if not self.chunked or len(self.body) <= GO_BUFFER:
            return self.head() + self.body
        chunks = (chunk(self.body[start:start + GO_BUFFER]) for start in range(0, len(self.body), GO_BUFFER))
        return b"".join([self.head(CHUNKED), *chunks, LAST_CHUNK])


class ChunkWriter:
    """Chunks as Go's server makes them, through a buffer that its handler empties when it has no more to say."""

    def __init__(self, send):
        self._send = send
        self._pending = bytearray()

    def write(self, data):
        while len(self._pending) + len(data) > GO_BUFFER:
            if not self._pending:
                self._send(chunk(data))
                return
            room = GO_BUFFER - len(self._pending)
            self._pending += data[:room]
            data = data[room:]
            self.flush()
        self._pending += data

    def flush(self):
        if self._pending:
            self._send(chunk(self._pending))
            self._pending = bytearray()


class Request:
    """One request as it was read; header names are in lower case."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.path, _, query = target.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def last(self):
        return self.headers.get("connection", "").lower() == "close"

    def verb(self):
        """What Kubernetes calls a GET: WATCH or LIST (of one object as well); else the method."""
        if self.method != "GET" or not self.path.startswith("/apis/"):
            return self.method
        return "WATCH" if self.query.get("watch", "0").lower() not in ("0", "false") else "LIST"


class Connection:
    def __init__(self, sock, ident, port):
        self.sock = sock
        self.ident = ident
        self.port = port
        self.busy = False       # with a request
        self.draining = False   # that was the last one
        self._pending = bytearray()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Gone from error

    def peek(self):
        """The first byte, which stays to be read; empty at the end."""
        return self.sock.recv(1, socket.MSG_PEEK)

    def _receive(self):
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._pending += data

    def _take(self, size):
        while len(self._pending) < size:
            self._receive()
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    def _take_line(self):
        while b"\n" not in self._pending:
            if len(self._pending) > MAX_HEAD:
                raise Gone
            self._receive()
        return self._take(self._pending.index(b"\n") + 1).rstrip(b"\r\n").decode("latin-1")

    def read_request(self):
        """The next request; Gone when there is none any more, or when it is not HTTP."""
        try:
            method, target, _ = self._take_line().split(" ")
            headers, size = {}, 0
            while line := self._take_line():
                size += len(line)
                name, colon, value = line.partition(":")
                if not colon or size > MAX_HEAD:
                    raise Gone
                headers[name.strip().lower()] = value.strip()
            return Request(method, target, headers, self._read_body(headers))
        except ValueError as error:
            raise Gone from error

    def _read_body(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self._take_line().partition(";")[0], 16):
                if size < 0 or len(body) + size > MAX_BODY:
                    raise Gone
                body += self._take(size)
                self._take_line()
            while self._take_line():
                pass
            return body
        size = int(headers.get("content-length", "0"))
        if not 0 <= size <= MAX_BODY:
            raise Gone
        return self._take(size)

    def hold(self, seconds, fd=None):
        """Keeps still for that long, or until fd is readable; Gone as soon as either side ends the connection."""
        poller = select.poll()
        poller.register(self.sock, select.POLLRDHUP)
        if fd is not None:
            poller.register(fd, select.POLLIN)
        if any(ready != fd for ready, _ in poller.poll(max(0, seconds) * 1000)):
            raise Gone

    def cut(self):
        """Ends the connection from another thread; its own thread then sees Gone and closes."""
        try:
            # The plain socket's method: an SSL socket's would take its TLS state from its thread.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            pass

    def reset(self):
        """Ends the connection by RST instead of FIN."""
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()
