# SPDX-License-Identifier: Apache-2.0
"""What the black-box tests stand on: the stand-in, the real program, a notify socket, ports,
waiting.

Everything that is started here ends here: each object is a context manager that ends its own
process by its pid, and should the test run itself be killed, the kernel ends the children. Nothing
sleeps for a fixed time: what is awaited is awaited by wait_for(). Upper limits are in seconds as
lasted() counts them, so that they hold on a machine under load and under sanitizers, too; lower ones
in seconds of the clock, from a moment that is surely before what is timed.
"""

import atexit
import concurrent.futures
import contextlib
import ctypes
import errno
import http.client
import json
import os
import pathlib
import queue
import random
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from pace import SLOWNESS, lasted, wait_for
from runner import isolated, main  # noqa: F401 (the tests take them from here)

HERE = pathlib.Path(__file__).resolve().parent
# Meson names them; by hand they are what README's commands have built.
os.environ.setdefault("MCP_OPTIMIZER_SOURCE", str(HERE.parent))
os.environ.setdefault("MCP_OPTIMIZER_BINARY", str(HERE.parent / "build/src/mcp-optimizer"))
PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl

# PR_SET_PDEATHSIG fires when the thread that forked ends, not the process. Tests run rows in
# threads of their own and hand the children on, so one thread that lives as long as the process
# starts them all.
_spawner = concurrent.futures.ThreadPoolExecutor(max_workers=1)


def spawn(arguments, **options):
    """A child that the kernel kills when this process ends, however it ends."""
    def die_with_parent():
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # A shell that starts the suite in the background has it ignore Ctrl-C, and so would the child.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _spawner.submit(subprocess.Popen, arguments, preexec_fn=die_with_parent, **options).result()


# ---- ports ----

def _port_is_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                # A child that another thread starts right now has a copy of this socket until its exec: that
                # must not be in the way of the server that is to have the port.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((host, port))
        except OSError as error:
            # A machine without IPv6 has nothing that could be in the way there.
            if family == socket.AF_INET or error.errno == errno.EADDRINUSE:
                return False
    return True


BLOCK = 8
_reserved = contextlib.ExitStack()
atexit.register(_reserved.close)


def _reserve(first, count):
    """Keeps other tests from these ports until this process ends: whoever scans them must find nobody else's.

    Only then it is looked whether they are free. To look is to bind, and on a port that another test
    has reserved that other one may be about to listen."""
    with contextlib.ExitStack() as taken:
        for block in range(first // BLOCK, (first + count - 1) // BLOCK + 1):
            sock = taken.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                sock.bind(f"\0mcp-optimizer-test-ports-{block}")
            except OSError:
                return False
        if not all(_port_is_free(port) for port in range(first, first + count)):
            return False
        _reserved.push(taken.pop_all())
    return True


def free_port_range(count):
    """The first of so many free ports in a row, below the ephemeral ones so that no client takes one."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    top = max(low, 12000 + count) - count
    for _ in range(200):
        first = random.randint(10000, top)
        if _reserve(first, count):
            return first
    raise AssertionError(f"no {count} free ports in a row")


def free_port():
    return free_port_range(1)


def loopback():
    """An address of 127/8 that is this caller's alone, so that no other test's server is found there,
    on whatever port, 8080 included."""
    return f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(2, 254)}"


# ---- processes ----

class Process:
    """A child with its figures from /proc; ends with the context."""

    def __init__(self, child):
        self.child = child
        self.pid = child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=10.0):
        """The exit code once it has ended; negative for a signal, as subprocess has it."""
        wait_for(lambda: not self.alive(), timeout, f"the end of process {self.pid}")
        return self.child.returncode

    def terminate(self, timeout=10.0):
        """SIGTERM: exit code, and how many seconds the end took, as lasted() counts them."""
        start = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait(timeout), lasted(start)

    def kill(self):
        if self.alive():
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            if stream:
                stream.close()

    def _proc(self, name):
        return pathlib.Path(f"/proc/{self.pid}/{name}")

    def _status(self, key):
        return int(re.search(rf"^{key}:\s+(\d+)", self._proc("status").read_text(), re.M)[1])

    def rss(self):
        """Resident memory, in bytes; so anon() and peak()."""
        return self._status("VmRSS") << 10

    def anon(self):
        return self._status("RssAnon") << 10

    def peak(self):
        return self._status("VmHWM") << 10

    def fds(self):
        return len(os.listdir(self._proc("fd")))

    def threads(self):
        return self._status("Threads")

    def cpu(self):
        """Seconds of processor time so far, user and system together."""
        fields = self._proc("stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wakeups(self):
        """How often its threads have gone to sleep of their own accord so far."""
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)[1])
                   for task in self._proc("task").iterdir())


class Standin(Process):
    """tests/standin.py with a control port; options are its long options without the dashes.

    Standin(workloads=3, port_range="50000-50010", misbehave=["hang,route=GET /health"])

    A program in Python takes a tenth of a second of work to start: one that a test is done with is
    kept, and the next test has it begin anew.
    """

    _idle = queue.SimpleQueue()

    def __init__(self, **options):
        arguments = []
        for name, value in options.items():
            for item in value if isinstance(value, list) else [value]:
                words = item if isinstance(item, tuple) else [item]
                arguments += [f"--{name.replace('_', '-')}", *map(str, words)]
        try:
            child, self.control_port = self._idle.get_nowait()
        except queue.Empty:
            child, told = self._start(arguments)
            super().__init__(child)
            self.control_port = urllib.parse.urlsplit(told["control"]).port
        else:
            super().__init__(child)
            try:
                told = self.control("renew", arguments=arguments)
            except BaseException:
                self.kill()
                raise
        self.port, self.urls, self.socket = told["port"], told["urls"], told["socket"]
        self.nonce = told["nonce"]

    @staticmethod
    def _start(arguments):
        # It uses nothing that the module site is for, which is a good part of the start.
        # The control port is none of those that a search of the ephemeral ports finds.
        command = [sys.executable, "-S", str(HERE / "standin.py"), "--control-port", str(free_port()), *arguments]
        child = spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        readable, _, _ = select.select([child.stdout], [], [], 20 * SLOWNESS)
        line = child.stdout.readline() if readable else b""
        if not line:
            Process(child).kill()
            raise AssertionError(f"the stand-in did not start: {shlex.join(command)}")
        return child, json.loads(line)

    def __exit__(self, *_):
        try:
            self.control("retire")
        except (OSError, http.client.HTTPException, AssertionError):
            self.kill()     # the test has ended it, or it is ill
        else:
            self._idle.put((self.child, self.control_port))

    def control(self, verb, **arguments):
        """Any verb of the docstring of standin.py."""
        with contextlib.closing(http.client.HTTPConnection(
                "127.0.0.1", self.control_port, timeout=30 * SLOWNESS)) as connection:
            connection.request("POST", f"/standin/{verb}", json.dumps(arguments))
            response = connection.getresponse()
            value = json.loads(response.read())
        if response.status != 200:
            raise AssertionError(value["error"])
        return value

    def behave(self, name, route="*", count=None, **parameters):
        self.control("behave", name=name, route=route, count=count, **parameters)

    def clear(self, **arguments):
        self.control("clear", **arguments)

    def stop_listening(self, **arguments):
        self.control("stop", **arguments)

    def start_listening(self, **arguments):
        self.control("start", **arguments)

    def cut(self, **arguments):
        self.control("cut", **arguments)

    def move(self, port=0, **arguments):
        """Elsewhere at once, as a restart on another port; the new port."""
        told = self.control("move", port=port, **arguments)
        self.port, self.urls = told["port"], told["urls"]
        return self.port

    def squat(self, name, *behaviours, port=0, **arguments):
        """One more server in the same process; its port."""
        return self.control("squat", name=name, port=port, behaviours=behaviours, **arguments)["port"]

    def requests(self, path=None):
        """The requests seen so far, all or those of that path (query included)."""
        seen = self.control("requests")["requests"]
        return [request for request in seen if path in (None, request["path"])]

    def connections(self):
        return self.control("requests")["connections"]

    def reset(self):
        self.control("reset")


# ---- the program under test ----

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
PAIR = r'[A-Za-z_][A-Za-z0-9_]*=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)'
TAIL = re.compile(rf"(.*?)((?: {PAIR})*)")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Line:
    """One line of the text log: level (None when it is not a log line), message, pairs in order."""

    def __init__(self, text, moment=None):
        self.text = text
        self.time = moment
        self.level, self.message, self.pairs = None, text, {}
        level = text[:8].rstrip()
        if level in LEVELS and text[8:9] == " ":
            self.level = level
            message, tail = TAIL.fullmatch(text[9:]).groups()
            self.message = message
            for pair in re.findall(PAIR, tail):
                key, _, value = pair.partition("=")
                self.pairs[key] = _unquote(value)

    def __repr__(self):
        return f"Line({self.text!r})"


def _unquote(value):
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", lambda match: (
        chr(int(match[1][1:], 16)) if len(match[1]) > 1 else ESCAPES.get(match[1], match[1])), value[1:-1])


class Optimizer(Process):
    """The binary of MCP_OPTIMIZER_BINARY in an environment of its own.

    Arguments are its command line; settings are its variables, in lower case if one likes. Nothing of
    this process's environment reaches it but what sanitizers need. MCP_OPTIMIZER_WRAPPER may hold a
    command to run it under, such as valgrind; wrapper is one in front of that.
    """

    def __init__(self, *arguments, notify=None, environment=None, runtime=None, wrapper=(), **settings):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-test-")
        self.home = pathlib.Path(self._folder.name)
        self.runtime = pathlib.Path(runtime or self.home / "run")
        self.state_home = self.home / ".local" / "state"
        (self.home / "xdg").mkdir()
        self.runtime.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home / "xdg"), "XDG_STATE_HOME": str(self.state_home),
            "RUNTIME_DIRECTORY": str(self.runtime), **kept,
            **({"NOTIFY_SOCKET": notify.path} if notify else {}), **(environment or {}),
            **{key.upper(): str(value) for key, value in settings.items()}}
        command = [*wrapper, *shlex.split(os.environ.get("MCP_OPTIMIZER_WRAPPER", "")),
                   os.environ["MCP_OPTIMIZER_BINARY"], *map(str, arguments)]
        self._lines, self._part, self._ended = [], b"", False
        self._grown = threading.Condition()
        self.started = time.monotonic()
        super().__init__(spawn(command, env=self.environment, stdin=subprocess.DEVNULL, bufsize=0,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.home))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _readable(self, timeout=None):
        poller = select.poll()
        poller.register(self.child.stderr, select.POLLIN)
        return poller.poll(timeout)

    def _take_lines(self):
        """All that is in the pipe, under the lock: what was logged before the call is in when it returns."""
        while not self._ended and self._readable(0):
            data = self.child.stderr.read(65536)
            self._ended = not data
            *whole, self._part = (self._part + data).split(b"\n")
            if self._ended and self._part:
                whole.append(self._part)
            now = time.monotonic()
            self._lines += [Line(raw.decode("utf-8", "backslashreplace"), now) for raw in whole]

    def _read(self):
        with self.child.stderr:
            while not self._ended:
                self._readable()
                with self._grown:
                    self._take_lines()
                    self._grown.notify_all()

    def kill(self):
        super().kill()
        self._reader.join(5 * SLOWNESS)
        self._folder.cleanup()

    def lines(self, level=None):
        with self._grown:
            self._take_lines()
            return [line for line in self._lines if level in (None, line.level)]

    def wait_line(self, wanted, timeout=5.0, after=0):
        """The first line from number `after` on that holds the text, matches the pattern, or pleases the function."""
        matches = (wanted if callable(wanted)
                   else (lambda line: wanted.search(line.text)) if isinstance(wanted, re.Pattern)
                   else (lambda line: wanted in line.text))
        begun = time.monotonic()
        with self._grown:
            while True:
                left = timeout - lasted(begun)
                self._take_lines()
                for line in self._lines[after:]:
                    if matches(line):
                        return line
                if left <= 0:
                    seen = "\n".join(line.text for line in self._lines)
                    raise AssertionError(f"no line {wanted!r} within {timeout:g} s, but:\n{seen}")
                self._grown.wait(left * SLOWNESS)

    def finish(self, timeout=10.0):
        """Waits for its own end: exit code, all of stdout, and every line of stderr is in lines()."""
        # In this order, so that the limit holds; what it prints fits into the pipe.
        code = self.wait(timeout)
        output = self.child.stdout.read().decode()
        self._reader.join(timeout * SLOWNESS)
        return code, output


def state(optimizer):
    """The state file as JSON; None while there is none."""
    try:
        return json.loads((optimizer.runtime / "state.json").read_text())
    except FileNotFoundError:
        return None


# ---- the service manager's end of sd_notify ----

class Message:
    """One datagram: its text, its assignments, who sent it (as the kernel says), when it came."""

    def __init__(self, text, pid, moment):
        self.text = text
        self.pid = pid
        self.time = moment
        self.fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


class NotifySocket:
    """A real NOTIFY_SOCKET. The kernel names the sending process but not its thread."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-notify-")
        self.path = str(pathlib.Path(self._folder.name) / "notify")
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._sock.bind(self.path)
        self._messages = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(5 * SLOWNESS)
        self._sock.close()
        self._folder.cleanup()

    def _read(self):
        credentials = struct.Struct("iII")
        while True:
            data, ancillary, _, _ = self._sock.recvmsg(65536, socket.CMSG_SPACE(credentials.size))
            if not data and not ancillary:
                return
            pid = None
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid = credentials.unpack(value[:credentials.size])[0]
            if data:
                self._messages.append(Message(data.decode(), pid, time.monotonic()))

    def messages(self, key=None):
        """All so far, or those that assign that key."""
        return [message for message in list(self._messages) if key is None or key in message.fields]

    def wait(self, assignment, timeout=5.0):
        """The first message with that line, such as READY=1, or that text in its STATUS."""
        return wait_for(lambda: next((message for message in self.messages() if
                                      assignment in message.text.splitlines()
                                      or assignment in message.fields.get("STATUS", "")), None),
                        timeout, f"the notification {assignment}")
