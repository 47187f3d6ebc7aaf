#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What ends a wait or a request before its time (a stop, a reload, ToolHive's return), and the answers
that are none of the expected ones, which are no outage."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from scene import (API, LIST, LIST_ROUTE, REGISTRY, REGISTRY_ROUTE, VERSION, Scene, connected, failed,
                   first_warning, moved, rediscovering, restored, told, wait_state)
from harness import Process, Standin, lasted, main, spawn, state, wait_for

REFUSED = "Connection refused"
# Far more than any test lasts.
LONG = {"toolhive_initial_backoff": 10, "toolhive_max_backoff": 300}


class TestStop(unittest.TestCase):
    """SIGTERM and SIGINT: exit 0 within half a second, whatever is under way."""

    def assert_stops(self, optimizer, number=signal.SIGTERM):
        start = time.monotonic()
        optimizer.signal(number)
        code, output = optimizer.finish()
        self.assertLess(lasted(start), 0.5)
        self.assertEqual((code, output), (0, ""))
        self.assertEqual([line.text for line in optimizer.lines() if line.level in ("ERROR", "CRITICAL")], [])
        self.assertEqual(state(optimizer)["connection"]["state"], "stopped")

    def test_between_polls(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number), Scene() as scene:
                _, optimizer = scene.both()
                self.assert_stops(optimizer, number)

    def test_while_waiting_for_the_next_attempt(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number), Scene() as scene:
                optimizer = scene.optimizer(**LONG)
                optimizer.wait_line("attempt=1")
                self.assert_stops(optimizer, number)

    def test_during_the_startup_delay(self):
        with Scene() as scene:
            optimizer = scene.optimizer(startup_polling_delay=300)
            wait_for(lambda: state(optimizer))
            self.assert_stops(optimizer)

    def test_during_a_request(self):
        for behaviour in ("hang", "drip-headers", "drip-body", "endless"):
            with self.subTest(behaviour=behaviour), Scene() as scene:
                standin = scene.standin(misbehave=f"{behaviour},route={LIST_ROUTE}")
                optimizer = scene.optimizer(toolhive_timeout=60)
                wait_for(lambda: standin.requests(LIST))
                self.assert_stops(optimizer)

    def test_during_a_search(self):
        with Scene() as scene:
            standin = scene.standin(misbehave="silence")
            optimizer = scene.optimizer(**LONG)
            wait_for(standin.connections)
            self.assert_stops(optimizer)

    def test_in_the_middle_of_an_outage(self):
        with Scene() as scene:
            standin, optimizer = scene.both()
            standin.stop_listening()
            optimizer.wait_line("attempt=3")
            self.assert_stops(optimizer)

    def test_while_nobody_reads_the_log(self):
        """A pipe that is full holds the worker in the middle of a line; the main thread does without."""
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            scene.standin()
            environment = {**os.environ, "RUNTIME_DIRECTORY": folder, "LOG_LEVEL": "DEBUG",
                           "TOOLHIVE_HOST": scene.host, "TOOLHIVE_PORT": str(scene.port),
                           "TOOLHIVE_DISCOVERY_FILE": "none", "WORKLOAD_POLLING_INTERVAL": "0.01"}
            with Process(spawn([os.environ["MCP_OPTIMIZER_BINARY"]], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)) as program:
                pipe = program.child.stderr
                self.addCleanup(pipe.close)
                size = fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)

                def full():
                    waiting = int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)
                    return waiting > size - 200
                wait_for(full)
                code, seconds = program.terminate()
                self.assertEqual(code, 0)
                self.assertLess(seconds, 1)


class TestReload(unittest.TestCase):
    """SIGHUP."""

    def test_between_polls_polls_both(self):
        with Scene() as scene:
            standin, optimizer = scene.both()
            optimizer.signal(signal.SIGHUP)
            wait_for(lambda: [len(standin.requests(path)) for path in (LIST, REGISTRY)] == [2, 2])
            self.assertEqual(told(optimizer), [connected(scene.url())])

    def test_cuts_a_wait_short_and_sets_the_delay_back(self):
        with Scene() as scene:
            standin, optimizer = scene.both(toolhive_max_backoff=300)
            standin.stop_listening()
            fifth = optimizer.wait_line("attempt=5")
            self.assertEqual(fifth.pairs["backoff_seconds"], "1.6")
            wait_state(optimizer, lambda now: now["connection"]["attempt"] == 5)
            optimizer.signal(signal.SIGHUP)
            sixth = optimizer.wait_line("attempt=6")
            self.assertLess(lasted(fifth.time, sixth.time), 1.5)
            self.assertEqual(sixth.text, failed(6, 100, REFUSED, "0.1"))
            self.assertEqual(optimizer.wait_line("attempt=7").text, failed(7, 100, REFUSED, "0.2"))
            standin.start_listening()
            optimizer.wait_line("connection restored")
            # Both polls were asked for, the outage notwithstanding.
            wait_for(lambda: len(standin.requests(REGISTRY)) == 2)

    def test_leaves_a_request_in_flight_to_finish(self):
        with Scene() as scene:
            standin = scene.standin(misbehave=f"slow,route={LIST_ROUTE},count=1,ms=1000")
            optimizer = scene.optimizer()
            wait_for(lambda: standin.requests(LIST))
            optimizer.signal(signal.SIGHUP)
            optimizer.wait_line("Reload requested")
            self.assertEqual(len(standin.requests()), 2, "a request beside the one in flight")
            wait_for(lambda: len(standin.requests(LIST)) == 2 and standin.requests(REGISTRY))
            first, second = (request["time"] for request in standin.requests(LIST))
            self.assertGreater(second - first, 1)
            self.assertEqual(told(optimizer), [connected(scene.url())])


class TestWoken(unittest.TestCase):
    """ToolHive's return is noticed long before the delay is over."""

    def file_of(self, optimizer):
        return optimizer.state_home / "toolhive" / "server" / "server.json"

    def test_by_the_discovery_file_when_nothing_is_known(self):
        with Scene() as scene:
            optimizer = scene.optimizer(toolhive_discovery_file="auto", **LONG)
            optimizer.wait_line("attempt=1")
            # Neither the file nor a folder of its path exists yet, and the port is none of the range.
            standin = scene.enter_context(Standin(discovery_file=self.file_of(optimizer)))
            optimizer.wait_line("Registry polled", 3)
            self.assertEqual(told(optimizer)[1:], [connected(standin.urls[0]), restored(standin.urls[0], 1)])

    def test_by_the_discovery_file_in_an_outage(self):
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/server/server.json"
            standin = scene.enter_context(Standin(discovery_file=file))
            old = standin.port
            optimizer = scene.optimizer(toolhive_discovery_file=file, **LONG)
            optimizer.wait_line("Registry polled")
            standin.stop_listening()
            optimizer.wait_line("previous_port=")
            wait_state(optimizer, lambda now: now["connection"]["next_attempt_at"])
            new = standin.move()
            optimizer.wait_line("connection restored", 3)
            self.assertEqual(told(optimizer), [
                connected(f"http://127.0.0.1:{old}"), failed(1, 100, REFUSED, "10.0"), rediscovering(old),
                *moved(old, new), restored(f"http://127.0.0.1:{new}", 1)])

    def test_in_vain_counts_nothing_and_at_most_once_a_second(self):
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/server/server.json"
            standin = scene.enter_context(Standin(discovery_file=file))
            standin.behave("status", code=404)
            optimizer = scene.optimizer(toolhive_discovery_file=file, **LONG)
            optimizer.wait_line("attempt=1")
            before, start = told(optimizer), time.monotonic()
            while time.monotonic() - start < 1.5:
                standin.control("discovery", fields={"pid": int(time.monotonic() * 1000)})
                time.sleep(0.02)
            wait_for(lambda: len(standin.requests()) > 1, what="any search after a change")
            self.assertLessEqual(len(standin.requests()) - 1, 2 + (time.monotonic() - start))
            self.assertEqual(told(optimizer), before)
            self.assertEqual(state(optimizer)["connection"]["attempt"], 1)

    def test_by_the_end_of_the_connection_with_toolhive_still_there(self):
        with Scene() as scene:
            standin, optimizer = scene.both()
            standin.reset()
            standin.cut()
            wait_for(lambda: standin.requests(VERSION))
            self.assertEqual([request["path"] for request in standin.requests()], [VERSION])
            self.assertEqual(told(optimizer), [connected(scene.url())])

    def test_no_move_while_toolhive_is_well(self):
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/server/server.json"
            standin, optimizer = scene.both(toolhive_discovery_file=file)
            standin.reset()
            another = scene.enter_context(Standin(discovery_file=file))
            wait_for(lambda: standin.requests(VERSION), what="the identity check")
            self.assertEqual(another.requests(), [])
            self.assertEqual(told(optimizer), [connected(scene.url())])


class TestAnswers(unittest.TestCase):
    """ToolHive lives, and what it says is not what was asked for."""

    def assert_degraded(self, optimizer, poll, words):
        now = wait_state(optimizer, lambda now: now["connection"]["state"] == "degraded")
        self.assertIn(words, now[poll]["problem"])
        self.assertEqual((now["connection"]["attempt"], now["counters"]["failures"]), (0, 0))
        return now

    def assert_recovers(self, optimizer, operation):
        optimizer.wait_line("ToolHive answers again")
        self.assertEqual(told(optimizer)[-1], f'INFO     ToolHive answers again operation="{operation}"')
        wait_state(optimizer, lambda now: now["connection"]["state"] == "connected")
        # One warning however many polls it lasted, and no word of a failed connection.
        self.assertEqual([line.level for line in optimizer.lines()].count("WARNING"), 1)
        self.assertEqual(len(told(optimizer)), 3)

    def test_an_error_to_list_workloads(self):
        for code in (500, 504):
            with self.subTest(code=code), Scene() as scene:
                standin, optimizer = scene.both({"workloads": 2}, workload_polling_interval=0.2)
                standin.behave("status", route=LIST_ROUTE, code=code)
                now = self.assert_degraded(optimizer, "workloads",
                                           f"ToolHive answers {code} to list workloads")
                self.assertEqual(now["workloads"]["total"], 2, "what was known stays known")
                warning = first_warning(optimizer)
                self.assertEqual(warning.pairs["operation"], "list workloads")
                self.assertEqual(warning.pairs["status"], str(code))
                seen = len(standin.requests(LIST))
                wait_for(lambda: len(standin.requests(LIST)) > seen + 2)
                standin.clear()
                self.assert_recovers(optimizer, "list workloads")

    def test_container_runtime_away(self):
        with Scene() as scene:
            standin, optimizer = scene.both(workload_polling_interval=0.2)
            standin.control("toolhive", runtime_away=True)
            self.assert_degraded(optimizer, "workloads", "ToolHive's container runtime is away")
            self.assertEqual(first_warning(optimizer).message, "ToolHive's container runtime is away")
            standin.control("toolhive", runtime_away=False)
            self.assert_recovers(optimizer, "list workloads")

    def test_registry_out_of_reach(self):
        for problem, code in (("registry_unavailable", 503), ("registry_auth_required", 503),
                              ("registry_legacy_format", 502)):
            with self.subTest(problem=problem), Scene() as scene:
                standin = scene.standin(workloads=1)
                standin.control("registry", problem=problem)
                optimizer = scene.optimizer(registry_polling_interval=0.2)
                now = self.assert_degraded(optimizer, "registry", f"ToolHive answers {code} to ")
                self.assertEqual((now["workloads"]["total"], now["workloads"]["problem"]), (1, None))
                self.assertIn(problem, first_warning(optimizer).text)
                standin.control("registry")
                self.assert_recovers(optimizer, first_warning(optimizer).pairs["operation"])

    def test_registry_that_is_slow_or_breaks_off(self):
        for behaviour in ("hang", "cut-body"):
            with self.subTest(behaviour=behaviour), Scene() as scene:
                standin = scene.standin(misbehave=f"{behaviour},route={REGISTRY_ROUTE},count=2")
                optimizer = scene.optimizer(toolhive_timeout=1, registry_polling_interval=0.2)
                self.assert_degraded(optimizer, "registry", "")
                self.assert_recovers(optimizer, first_warning(optimizer).pairs["operation"])
                self.assertEqual(len(standin.requests(LIST)), 1)

    def test_a_body_of_no_use(self):
        with Scene() as scene:
            standin, optimizer = scene.both({"workloads": 2}, workload_polling_interval=0.2)
            for body in ("[]", "{}", '{"workloads": 7}', '{"workloads": [', "<html></html>"):
                standin.control("workloads", raw=body)
                standin.reset()
                wait_for(lambda: len(standin.requests(LIST)) > 1)
            self.assert_degraded(optimizer, "workloads", "")
            self.assertEqual(state(optimizer)["workloads"]["total"], 2)
            standin.control("workloads")
            optimizer.wait_line("ToolHive answers again")
            self.assertFalse([line for line in told(optimizer) if "connection failed" in line])

    def test_retry_after(self):
        """Not once a minute, as a poll with no interval would be tried again, but when ToolHive says."""
        with Scene() as scene:
            standin = scene.standin()
            standin.behave("status", route=LIST_ROUTE, code=503, headers={"Retry-After": "1"}, count=1)
            optimizer = scene.optimizer(workload_polling_interval=0)
            optimizer.wait_line("ToolHive answers again")
            first, second = (request["time"] for request in standin.requests(LIST))
            self.assertGreater(second - first, 0.95)
            self.assertLess(lasted(first, second), 1 + 1)

    def test_an_outage_that_ends_with_an_answer_is_not_over(self):
        with Scene() as scene:
            standin, optimizer = scene.both(workload_polling_interval=0.3)
            standin.stop_listening()
            optimizer.wait_line("attempt=2")
            standin.behave("status", route=LIST_ROUTE, code=500)
            standin.start_listening()
            optimizer.wait_line("status=500")
            self.assertEqual(state(optimizer)["connection"]["state"], "reconnecting")
            standin.clear()
            optimizer.wait_line("connection restored")
            optimizer.wait_line("ToolHive answers again")

    def test_nothing_left_to_poll(self):
        with Scene() as scene:
            standin, optimizer = scene.both(workload_polling_interval=0, registry_polling_interval=0)
            self.assertIsNone(state(optimizer)["workloads"]["next_poll_at"])
            scene.restart_elsewhere(standin)
            # The connection's end is noticed nonetheless.
            optimizer.wait_line("connection restored")
            self.assertEqual(told(optimizer)[-1], restored(scene.url(scene.other_port), 1))

    def test_only_the_documented_paths_are_asked(self):
        with Scene() as scene:
            standin, optimizer = scene.both({"workloads": 3})
            self.assertEqual({request["path"] for request in standin.requests()}, {VERSION, LIST, REGISTRY})
            self.assertEqual({request["method"] for request in standin.requests()}, {"GET"})
            standin.control("workloads", update={"workload-00001": {"url": None}})
            optimizer.signal(signal.SIGHUP)
            wait_for(lambda: standin.requests(f"{API}/workloads/workload-00001"))


if __name__ == "__main__":
    main(abreast=True)
