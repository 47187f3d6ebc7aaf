#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for ToolHive: answers as `thv serve` does, and misbehaves on demand. With `--backend
kubernetes` it is an API server that holds ToolHive's resources.

It serves the tests and the demonstration and is never installed. When all its ports listen it
prints one JSON line (pid, port, urls, socket, control, nonce) on stdout. It ends on SIGTERM and
SIGINT, and when the thread that started it ends, so that a killed test run leaves nothing behind.

Behaviours are named in standin_misbehave.py and standin_streams.py. On the command line:
--misbehave NAME[,key=value]…, where route= and count= say on which requests and how often:
--misbehave 'hang,route=GET /health,count=2'.

With --control-port it can be told things on another port, which stays open whatever the others do.
Each is POST /standin/VERB with a JSON object; the answer is JSON, 400 with {"error": …} when
refused:

  behave     {"name": …, "route": "GET /api/v1beta/workloads", "count": 3, …parameters}
             route `*` (the default) is every request; `*` in a path is any text; with a `?` or `=`
             the query counts too: "GET *watch=1*". Below /apis/ the method may be WATCH or LIST:
             "WATCH *", "LIST *mcpservers". The first rule that matches is played. refuse and
             backlog-full act at once and last until start; `silence` and its like hold for
             connections made from now on.
  clear      {}                       forgets all behaviours
  stop       {"discovery": true}      closes the port and its connections at once, removes the file;
             with "drain": true requests in progress go on, as an API server's watches for a minute,
             even after a start
  start      {}                       listens again on the same port, writes the file
  move       {"port": 0} or {"range": "50000-50100"}: stop, then start elsewhere; the answer tells the
             new port, and as "listening" the moment, on the clock of `requests`, before which it was closed
  cut        {}                       ends the kept-alive connections, goes on listening
  squat      {"name": "s1", "port": 0, "behaviours": [{"name": "ssh"}, …]}: one more server on another
             port; behave, clear, stop, start, move and cut reach it with "server": "s1"
  workloads  {"count": N}, {"add": ["name", {entry…}]}, {"remove": [names]}, {"status": {name: status}},
             {"update": {name: {key: value or null to leave out}}}, {"raw": "text"}
  registry   {"servers": N, "remote_servers": N}, {"add": ["name", {server…, "remote": bool}]},
             {"remove": [names]}, {"last_updated": "…"}, {"problem": "registry_unavailable"}, {"raw": "text"}
  toolhive   {"version": …, "nonce": …, "runtime_away": bool, "starting_ms": N, "install_ms": N,
             "started_status": "running", what an installed one becomes after starting}
  objects    the Kubernetes ones: {"count": N, "namespaces": [names], "old": bool, "phase": …} of
             MCPServers; {"add": [object…]}, {"update": [object…]}, {"remove": [object…]}, where an object
             is "NAME", "NAMESPACE/NAME", "RESOURCE/NAMESPACE/NAME" or {"resource" or "kind": …,
             "namespace": …, "name": …, "old": bool} with what is to be merged into it, null to leave out:
             {"name": "fetch", "status": {"phase": "Failed", "url": null}}. old is ToolHive's first shape;
             "raw": "text" stands for all of the object.
             {"raw": "text"} or {"raw": {RESOURCE: "text"}}: instead of lists, until the next of these
  kubernetes what lasts, null to take it back: {"tokens": {TOKEN: USER}}, {"rules": [{"user": …, "verb": …,
             "resource": …, "namespace": …}…]} with a word, some, or "*", which is also what is not said,
             {"anonymous": false} for 401 instead of system:anonymous, {"serve": {RESOURCE: [versions]}},
             {"page_max": N}, {"history": N} changes are remembered.
             What happens now: {"forget": true} makes all older versions expired, {"expire_continue": N}
             the pages that are asked for next; {"bookmark": true}, {"event": "a line of any kind"} and
             {"end_watches": true} go to all watches, or with {"resource": …} to those of one.
             The answer tells resourceVersion, oldest and the number of watches
  discovery  {"action": "write" or "remove", "text": any content, "mode": 384, "fields": {"url": …}}
  requests   {}                       requests and connections so far: method, path, port, connection, time
  reset      {}                       forgets those
  retire     {}                       ends all of it, as SIGTERM would, but for the control port
  renew      {"arguments": ["--port", "50001", …]}: all anew, as if started with those options; the
             answer is the line that a start prints
"""

import argparse
import ctypes
import json
import os
import pathlib
import resource
import signal
import threading
import time

import standin_streams  # noqa: F401 (its behaviours are found by their names)
from standin_kubernetes import Kubernetes
from standin_rules import Rule
from standin_server import Journal, Server
from standin_toolhive import ToolHive
from standin_wire import Answer

BACKENDS = {"toolhive": ToolHive, "kubernetes": Kubernetes}
PR_SET_PDEATHSIG = 1


class DiscoveryFile:
    """server.json as ToolHive keeps it: mode 0600 in a 0700 folder, put in place by a rename."""

    def __init__(self, path, nonce):
        self._path = pathlib.Path(path)
        self._nonce = nonce
        self._started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def write(self, url, text=None, mode=0o600, fields=None):
        if text is None:
            text = json.dumps({"url": url, "pid": os.getpid(), "nonce": self._nonce,
                               "started_at": self._started_at, **(fields or {})})
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(parents=True)
            self._path.parent.chmod(0o700)
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        temporary.write_text(text)
        temporary.chmod(mode)
        temporary.replace(self._path)

    def remove(self):
        self._path.unlink(missing_ok=True)


class Cast:
    """What one set of options asks for: the servers, their journal, the discovery file."""

    def __init__(self, options):
        self.nonce = os.urandom(16).hex() if options.nonce is None else options.nonce
        self.journal = Journal()
        backend = BACKENDS[options.backend].from_options(options, self.nonce)
        hosts = options.host or ([] if options.socket else ["127.0.0.1"])
        self.main = Server(backend, self.journal, (), hosts, options.socket, tls_context(options.tls))
        self.servers = {"main": self.main}
        self.main.start(options.port_range or [options.port])
        for rule in options.misbehave:
            self.main.behave(rule)
        self.discovery = DiscoveryFile(options.discovery_file, self.nonce) if options.discovery_file else None
        if self.discovery:
            self.discovery.write(self.main.url())

    def told(self):
        return {"pid": os.getpid(), "port": self.main.port, "urls": self.main.urls(), "socket": self.main.path,
                "nonce": self.nonce}

    def close(self):
        if self.discovery:
            self.discovery.remove()
        for server in self.servers.values():
            server.stop()
            server.cut()


def tls_context(files):
    if not files:
        return None
    # Here, because it takes a third of all the time that a start takes, and hardly anybody asks for it.
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


class Control:
    """The backend of the control port: each verb is a method, its arguments are the JSON object."""

    def __init__(self, cast):
        self.cast = cast
        # One order at a time: stop and start of the same server must not interleave.
        self._lock = threading.Lock()

    def answer(self, request):
        verb = request.path.removeprefix("/standin/")
        try:
            arguments = json.loads(request.body or b"{}")
            method = getattr(self, f"_do_{verb}", None)
            with self._lock:
                if method:
                    return Answer.json(method(**arguments) or {})
                return Answer.json(self.cast.main.backend.control(verb, arguments))
        except Exception as error:
            # Whatever is wrong with an order belongs to the test that gave it, not to this program.
            return Answer.json({"error": f"{verb}: {type(error).__name__}: {error}"}, 400)

    def _publish(self, server):
        if self.cast.discovery and server is self.cast.main:
            self.cast.discovery.write(server.url())

    def _do_behave(self, server="main", **rule):
        self.cast.servers[server].behave(Rule(**rule))

    def _do_clear(self, server="main"):
        self.cast.servers[server].rules.clear()

    def _do_cut(self, server="main"):
        self.cast.servers[server].cut()

    def _do_stop(self, server="main", discovery=True, drain=False):
        if self.cast.discovery and discovery and server == "main":
            self.cast.discovery.remove()
        self.cast.servers[server].stop(drain)

    def _do_start(self, server="main"):
        return self._do_move(server, self.cast.servers[server].port)

    def _do_move(self, server="main", port=0, range=None):
        self._do_stop(server)
        moment = time.monotonic()
        self.cast.servers[server].start(port_list(range) if range else [port])
        self._publish(self.cast.servers[server])
        return {"port": self.cast.servers[server].port, "urls": self.cast.servers[server].urls(), "listening": moment}

    def _do_squat(self, name, port=0, behaviours=(), hosts=("127.0.0.1",)):
        server = Server(self.cast.main.backend, self.cast.journal, hosts=hosts)
        server.start([port])
        for rule in behaviours:
            server.behave(Rule(**rule))
        self.cast.servers[name] = server
        return {"port": server.port, "urls": server.urls()}

    def _do_discovery(self, action="write", **options):
        if not self.cast.discovery:
            raise ValueError("started without --discovery-file")
        if action == "remove":
            self.cast.discovery.remove()
        else:
            self.cast.discovery.write(self.cast.main.url(), **options)

    def _do_requests(self):
        return self.cast.journal.tell()

    def _do_reset(self):
        self.cast.journal.reset()

    def _do_retire(self):
        self.cast.close()

    def _do_renew(self, arguments):
        # Whatever still runs of the old cast keeps the old journal and the old rules.
        self.cast.close()
        self.cast = Cast(parse_arguments(arguments))
        return self.cast.told()


def port_list(text):
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1)


def misbehaviour(text):
    try:
        return Rule.parse(text)
    except (TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description="A stand-in for ToolHive that misbehaves on demand.")
    parser.add_argument("--backend", choices=BACKENDS, default="toolhive")
    parser.add_argument("--host", action="append", metavar="ADDRESS", help="127.0.0.1 unless given; repeatable")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=0, help="0 takes a free one")
    where.add_argument("--port-range", type=port_list, metavar="A-B", help="the first free one of these")
    parser.add_argument("--socket", metavar="PATH", help="a Unix socket; alone unless --host is given")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--workloads", type=int, default=0, metavar="N", help="in Kubernetes MCPServers")
    parser.add_argument("--registry-servers", type=int, default=79, metavar="N")
    parser.add_argument("--version", help="v0.44.0 unless given, of Kubernetes v1.34.1")
    parser.add_argument("--nonce", default=None, metavar="HEX", help="random unless given; empty sends none")
    parser.add_argument("--discovery-file", metavar="PATH")
    parser.add_argument("--misbehave", type=misbehaviour, action="append", default=[], metavar="NAME[,k=v]…")
    parser.add_argument("--control-port", type=int, metavar="N")
    return parser.parse_args(arguments)


def main():
    # It is the thread that started us, not its process, whose end brings the signal: see
    # harness.py.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # Each connection is a descriptor, and a scan may hold many at once.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    threading.stack_size(256 << 10)
    options = parse_arguments()
    control = Control(Cast(options))
    told = {**control.cast.told(), "control": None}
    if options.control_port is not None:
        server = Server(control, Journal())
        server.start([options.control_port])
        told["control"] = server.url()
    print(json.dumps(told), flush=True)

    signal.sigwait(endings)
    control.cast.close()
    # Daemon threads may sit in any call: leave without waiting for the interpreter to collect them.
    os._exit(0)


if __name__ == "__main__":
    main()
