#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the other tests lean on: the stand-in's ports, files and end, and the parts of the harness."""

import errno
import json
import os
import pathlib
import queue
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

import harness
import pace
from cluster import Authority
from harness import Line, NotifySocket, Optimizer, Standin, free_port_range, spawn, state, wait_for
from rawclient import LIMIT, connect, read_all, send_request
from runner import run_tests


class TestListening(unittest.TestCase):
    """Ports, sockets, the discovery file, and the end."""

    def refused(self, port, host="127.0.0.1"):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
            return sock.connect_ex((host, port)) == errno.ECONNREFUSED

    def test_stop_refuses_and_ends_kept_connections_at_once(self):
        with Standin() as standin, connect(standin.port) as sock:
            send_request(sock)
            sock.recv(65536)
            standin.stop_listening()
            self.assertEqual(read_all(sock)[0], b"")
            self.assertTrue(self.refused(standin.port))
            standin.start_listening()
            connect(standin.port).close()

    def test_stop_ends_a_hanging_request(self):
        with Standin(misbehave="hang") as standin, connect(standin.port) as sock:
            send_request(sock)
            wait_for(standin.requests)
            standin.stop_listening()
            self.assertEqual(read_all(sock), (b"", "eof"))

    def test_move_and_cut(self):
        with Standin() as standin:
            old = standin.port
            new = standin.move()
            self.assertNotEqual(old, new)
            self.assertTrue(self.refused(old))
            with connect(new) as sock:
                # Answered once, so that it is surely a connection that the stand-in has taken.
                send_request(sock)
                sock.recv(65536)
                standin.cut()
                self.assertEqual(read_all(sock)[0], b"")
            connect(new).close()

    def test_a_move_tells_from_when_the_new_port_listens(self):
        with Standin() as standin:
            before = time.monotonic()
            told = standin.control("move")
            connect(told["port"]).close()
            taken = wait_for(lambda: [connection["time"] for connection in standin.connections()
                                      if connection["port"] == told["port"]])[0]
            self.assertLess(before, told["listening"])
            self.assertLess(told["listening"], taken)

    def test_a_range_gives_its_first_free_port(self):
        first = free_port_range(4)
        with Standin(port=first) as _, Standin(port_range=f"{first}-{first + 3}") as standin:
            self.assertEqual(standin.port, first + 1)
            second = first + 2
            self.assertEqual(standin.move(range=f"{first}-{first + 3}"), first + 1)
            self.assertEqual(standin.move(port=second), second)

    def test_both_families_on_one_port(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6")
        with Standin(host=["127.0.0.1", "::1"]) as standin:
            for host in ("127.0.0.1", "::1"):
                connect(standin.port, host).close()
            standin.stop_listening()
            self.assertTrue(self.refused(standin.port, "::1"))

    def test_refuse_and_backlog_full(self):
        with Standin(misbehave="refuse") as standin:
            self.assertTrue(self.refused(standin.port))
        with Standin(misbehave="backlog-full") as standin:
            with socket.socket() as sock:
                sock.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    sock.connect(("127.0.0.1", standin.port))
            standin.start_listening()
            connect(standin.port).close()

    def test_squatters_have_rules_of_their_own(self):
        with Standin() as standin:
            port = standin.squat("guard", {"name": "ssh"})
            with connect(port) as sock:
                self.assertTrue(sock.recv(10).startswith(b"SSH"))
            with connect(standin.port) as sock:
                send_request(sock)
                self.assertTrue(sock.recv(10).startswith(b"HTTP"))
            standin.stop_listening(server="guard")
            self.assertTrue(self.refused(port))

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "thv.sock")
            with Standin(socket=path) as standin, socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(LIMIT)
                sock.connect(path)
                send_request(sock)
                self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200"))
                self.assertEqual(standin.urls, [])
                standin.stop_listening()
                self.assertEqual(read_all(sock), (b"", "eof"))
                self.assertFalse(os.path.exists(path))

    def test_tls(self):
        context = ssl.create_default_context(cafile=Authority.common().certificate)
        with Standin(tls=Authority.common().server()) as standin:
            with context.wrap_socket(connect(standin.port), server_hostname="localhost") as sock:
                send_request(sock)
                self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200"))
            with connect(standin.port) as sock:
                send_request(sock)
                self.assertNotIn(b"HTTP/1.1 200", read_all(sock)[0])

    def test_discovery_file_lives_as_long_as_the_listener(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "toolhive" / "server" / "server.json"
            with Standin(discovery_file=path, nonce="ab" * 16) as standin:
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
                self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
                told = json.loads(path.read_text())
                self.assertEqual((told["url"], told["pid"], told["nonce"]),
                                 (standin.urls[0], standin.pid, "ab" * 16))
                self.assertIn("started_at", told)
                standin.stop_listening()
                self.assertFalse(path.exists())
                standin.move()
                self.assertEqual(json.loads(path.read_text())["url"], standin.urls[0])
                standin.stop_listening(discovery=False)
                self.assertTrue(path.exists())
                standin.control("discovery", action="write", text="{", mode=0o620)
                self.assertEqual((path.read_text(), stat.S_IMODE(path.stat().st_mode)), ("{", 0o620))
                self.assertEqual(standin.terminate()[0], 0)
                self.assertFalse(path.exists())

    def test_sigterm_and_sigint_end_it_with_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Standin() as standin:
                standin.signal(number)
                self.assertEqual(standin.wait(), 0)

    def test_it_ends_with_its_parent(self):
        program = "import subprocess, sys, time\n" \
                  "child = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE)\n" \
                  "print(child.stdout.readline().decode(), flush=True)\n" \
                  "time.sleep(600)\n"
        parent = spawn([sys.executable, "-c", program, str(harness.HERE / "standin.py")], stdout=subprocess.PIPE)
        with harness.Process(parent):
            port = json.loads(parent.stdout.readline())["port"]
            connect(port).close()
            parent.kill()
            wait_for(lambda: self.refused(port), what="the end of the orphan")


class TestHarness(unittest.TestCase):
    """The parts of the harness that need no program under test."""

    def test_a_child_hears_control_c(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        with harness.Process(spawn(["sleep", "60"])) as child:
            child.signal(signal.SIGINT)
            self.assertEqual(child.wait(), -signal.SIGINT)

    def test_a_log_line_is_taken_apart(self):
        line = Line('WARNING  ToolHive connection failed attempt=1 error="Connection \\"x\\" refused" backoff_seconds=1.0')
        self.assertEqual((line.level, line.message), ("WARNING", "ToolHive connection failed"))
        self.assertEqual(list(line.pairs.items()), [("attempt", "1"), ("error", 'Connection "x" refused'),
                                                    ("backoff_seconds", "1.0")])
        self.assertEqual(Line("INFO     All is well").message, "All is well")
        self.assertEqual(Line("INFORMATION without level").level, None)

    def test_notify_socket_records_text_and_sender(self):
        with NotifySocket() as notify, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(notify.path)
            sock.send(b"READY=1\nSTATUS=Connected to ToolHive")
            message = notify.wait("READY=1")
            self.assertEqual(message.fields["STATUS"], "Connected to ToolHive")
            self.assertEqual(message.pid, os.getpid())
            self.assertIs(notify.wait("Connected"), message)

    def test_figures_of_a_process(self):
        with Standin() as standin:
            self.assertGreater(standin.rss(), standin.anon())
            self.assertGreaterEqual(standin.peak(), standin.rss())
            self.assertGreater(standin.fds(), 2)
            self.assertGreater(standin.threads(), 1)
            self.assertGreaterEqual(standin.cpu(), 0)

    def test_the_program_runs_in_an_environment_of_its_own(self):
        with tempfile.TemporaryDirectory() as folder:
            binary = pathlib.Path(folder) / "binary"
            binary.write_text('#!/bin/sh\necho \'{"schema": 1}\' > "$RUNTIME_DIRECTORY/state.json"\n'
                              'echo "INFO     Ready arguments=$# port=$TOOLHIVE_PORT" >&2\n'
                              'env\n[ "$1" = end ] || exec sleep 600\n')
            binary.chmod(0o755)
            secret = {"MCP_OPTIMIZER_BINARY": str(binary), "TOOLHIVE_MAX_RETRIES": "7"}
            with unittest.mock.patch.dict(os.environ, secret):
                with Optimizer("end", toolhive_port=50001) as optimizer:
                    code, output = optimizer.finish()
                    self.assertEqual(code, 0)
                    self.assertIn(f"HOME={optimizer.home}\n", output)
                    self.assertNotIn("TOOLHIVE_MAX_RETRIES", output)
                    line = optimizer.wait_line("Ready")
                    self.assertEqual(line.pairs, {"arguments": "1", "port": "50001"})
                    self.assertEqual(state(optimizer), {"schema": 1})
                with Optimizer() as optimizer:
                    self.assertEqual(optimizer.wait_line("Ready").message, "Ready")
                    code, seconds = optimizer.terminate()
                    self.assertEqual(code, -signal.SIGTERM)
                    self.assertLess(seconds, LIMIT)

    def test_a_stand_in_begins_anew_for_the_next_test(self):
        with unittest.mock.patch.object(Standin, "_idle", queue.SimpleQueue()):
            with Standin(workloads=3, misbehave="hang,route=GET /health") as first:
                first.behave("status", code=500)
                first.requests()
                squatter = first.squat("another")
                with connect(first.port) as sock:
                    send_request(sock)
                    self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 500"))
            self.assertTrue(first.alive())
            for port in (first.port, squatter):
                with socket.socket() as sock:
                    self.assertEqual(sock.connect_ex(("127.0.0.1", port)), errno.ECONNREFUSED)
            with Standin() as second, connect(second.port) as sock:
                self.assertEqual(second.pid, first.pid)
                self.assertNotEqual(second.nonce, first.nonce)
                self.assertEqual((second.requests(), second.control("workloads")), ([], {"workloads": []}))
                send_request(sock)
                self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200"))
                second.signal(signal.SIGKILL)
                second.wait()
            with Standin() as third:
                self.assertNotEqual(third.pid, second.pid, "one that has ended")
                third.kill()

    def test_ports_are_given_to_one_only(self):
        firsts = sorted(free_port_range(3) for _ in range(50))
        self.assertTrue(all(second - first >= 3 for first, second in zip(firsts, firsts[1:])), firsts)

    def test_time_runs_slower_the_more_want_to_work(self):
        def seconds(runnable):
            with unittest.mock.patch.object(pace.os, "pread", return_value=b"0.1 0.1 0.1 %d/9999 1" % runnable):
                clock, start = pace.Pace(), time.monotonic()
                time.sleep(0.2)
                end = time.monotonic()
                return clock.at(end) - clock.at(start), end - start
        paced, real = seconds(1)
        # A sleep that lasts longer than it should takes from it as well, and here nobody knows how busy we are.
        self.assertTrue(0.02 < paced < real + 1e-6, (paced, real))
        paced, real = seconds(1 + 20 * os.cpu_count())
        self.assertLess(paced, real / 2)

    def test_waiting_is_bounded(self):
        with self.assertRaisesRegex(AssertionError, "the moon did not come"):
            wait_for(lambda: False, 0.01, "the moon")


if __name__ == "__main__":
    run_tests()
