# SPDX-License-Identifier: Apache-2.0
"""The stand-in's servers: a backend behind a port, with its rules, and the journal of what was asked."""

import errno
import itertools
import pathlib
import select
import socket
import threading
import time

from standin_misbehave import normal
from standin_rules import Exchange, Rules
from standin_wire import PLAIN_TO_TLS, Connection, Gone

BACKLOG = 1024
TLS_HANDSHAKE = b"\x16"


class Journal:
    """What was asked so far, on all ports; times are CLOCK_MONOTONIC, as every process here sees it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self.reset()

    def reset(self):
        with self._lock:
            self.requests = []
            self.connections = []

    def connection(self, port):
        with self._lock:
            number = next(self._numbers)
            self.connections.append({"connection": number, "port": port, "time": time.monotonic()})
            return number

    def request(self, connection, request):
        with self._lock:
            self.requests.append({
                "method": request.method, "path": request.target, "port": connection.port,
                "connection": connection.ident, "time": time.monotonic(), "headers": request.headers,
                "body": request.body[:65536].decode("utf-8", "replace")})

    def tell(self):
        with self._lock:
            return {"requests": list(self.requests), "connections": list(self.connections)}


class Server:
    """One backend on one port of some addresses, or on a Unix socket, with its own rules.

    start() and stop() may be repeated. stop() closes the listening sockets first and then ends every
    connection, so that from its return on the port refuses, as after the end of a real server.
    """

    def __init__(self, backend, journal, rules=(), hosts=("127.0.0.1",), path=None, tls=None):
        self.backend = backend
        self.rules = Rules(rules)
        self.port = 0
        self.path = path
        self._journal = journal
        self._hosts = hosts
        self._tls = tls
        self._lock = threading.Lock()
        self._connections = set()
        self._listeners = []
        self._fillers = []

    def urls(self):
        scheme = "https" if self._tls else "http"
        hosts = [f"[{host}]" if ":" in host else host for host in self._hosts]
        return [f"{scheme}://{host}:{self.port}" for host in hosts] if self._hosts else []

    def url(self):
        """What the discovery file names."""
        return (self.urls() or [f"unix://{self.path}"])[0]

    # ---- listening ----

    def start(self, ports=None, backlog=BACKLOG, accepting=True):
        """Listens on the first of the ports that is free everywhere; ports None means the same again."""
        self.stop()
        sockets = self._bind(ports or [self.port])
        for sock in sockets:
            sock.listen(backlog)
            thread = threading.Thread(target=self._accept, args=(sock,), daemon=True)
            if accepting:
                thread.start()
            self._listeners.append((sock, thread))

    def _bind(self, ports):
        error = OSError("no port to listen on")
        for port in ports:
            # With port 0 the kernel picks one that is free on the first address only: try some.
            for _ in range(1 if port else 20):
                try:
                    return self._bind_all(port)
                except OSError as failure:
                    error = failure
        raise error

    def _bind_all(self, port):
        sockets = []
        try:
            for host in self._hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                sock = socket.socket(family, socket.SOCK_STREAM)
                sockets.append(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
                port = sock.getsockname()[1]
            if self.path:
                sockets.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                pathlib.Path(self.path).unlink(missing_ok=True)
                sockets[-1].bind(self.path)
        except OSError:
            for sock in sockets:
                sock.close()
            raise
        self.port = port
        return sockets

    def stop(self, drain=False):
        """Refuses from now on; the port stays known for the next start. To drain is to let requests in progress end,
        even if it is started meanwhile."""
        listened = bool(self._listeners)
        for sock, thread in self._listeners:
            if thread.is_alive():
                # Wakes the thread in accept(); only then may the descriptor's number be given away.
                sock.shutdown(socket.SHUT_RDWR)
                thread.join()
            sock.close()
        if self.path and self._listeners:
            pathlib.Path(self.path).unlink(missing_ok=True)
        for sock in self._fillers:
            sock.close()
        self._listeners, self._fillers = [], []
        if listened:
            self.cut(drain)

    def cut(self, drain=False):
        with self._lock:
            for connection in self._connections:
                connection.draining = drain
                if not (drain and connection.busy):
                    connection.cut()

    def fill_backlog(self):
        """Listens, never accepts, and takes all the places itself: a connect from now on gets no word."""
        self.start(backlog=0, accepting=False)
        for listener, _ in self._listeners:
            for _ in range(16):
                filler = socket.socket(listener.family, socket.SOCK_STREAM)
                filler.setblocking(False)
                self._fillers.append(filler)
                error = filler.connect_ex(listener.getsockname())
                poller = select.poll()
                poller.register(filler, select.POLLOUT)
                if error == errno.EAGAIN or (error and not poller.poll(100)):
                    break

    def behave(self, rule):
        """Takes a rule; those of the listener act now, the others when their moment comes."""
        if rule.name == "refuse":
            self.stop()
        elif rule.name == "backlog-full":
            self.fill_backlog()
        else:
            self.rules.add(rule)

    # ---- connections ----

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            port = self.path if sock.family == socket.AF_UNIX else self.port
            connection = Connection(sock, self._journal.connection(port), port)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if rule := self.rules.take("accept"):
                rule.play(Exchange(connection))
                return
            if self._tls and connection.peek() != TLS_HANDSHAKE:
                # Read, because what is left unread makes a reset of the end; told, because nobody should send it.
                self._journal.request(connection, connection.read_request())
                connection.send(PLAIN_TO_TLS)
                return
            if self._tls:
                # Who cuts it must find the socket, also in the handshake.
                with self._lock:
                    connection.sock = self._tls.wrap_socket(connection.sock, server_side=True,
                                                            do_handshake_on_connect=False)
                connection.sock.do_handshake()
            self._talk(connection)
        except (Gone, OSError):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _talk(self, connection):
        keep = True
        while keep and not connection.draining:
            request = connection.read_request()
            connection.busy = True
            self._journal.request(connection, request)
            exchange = Exchange(connection, request, self.backend)
            rule = self.rules.take("request", request)
            keep = (rule.play(exchange) if rule else normal(exchange)) and not request.last()
            connection.busy = False
