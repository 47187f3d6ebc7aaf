#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ToolHive restarts elsewhere, stays away, was never there, or drops every call: what the log says
then, word for word, when the attempts are made, and how it ends."""

import itertools
import os
import tempfile
import time
import unittest

from scene import (LIST, LIST_ROUTE, REGISTRY, VERSION, Scene, connected, failed, given_up, moved,
                   rediscovering, restored, same_port, told, wait_state)
from harness import Optimizer, Standin, free_port, lasted, main, state

REFUSED = "Connection refused"
RESET = "Connection reset by peer"
# Of a Scene: doubled from 0.1 s up to 1 s.
DELAYS = ["0.1", "0.2", "0.4", "0.8"] + ["1.0"] * 46


class TestConnecting(unittest.TestCase):
    def test_finds_and_polls_toolhive_on_localhost(self):
        port = free_port()
        with Standin(port=port, workloads=3) as standin, Optimizer(
                toolhive_start_port_scan=port, toolhive_end_port_scan=port) as optimizer:
            optimizer.wait_line("Registry polled")
            self.assertEqual(told(optimizer), [connected(f"http://127.0.0.1:{port}")])
            for path in (LIST, REGISTRY):
                self.assertEqual(len(standin.requests(path)), 1)
            self.assertEqual(state(optimizer)["connection"]["endpoint"], f"http://127.0.0.1:{port}")

    def test_start_without_toolhive(self):
        with Scene() as scene:
            scene.skip_if_8080_is_taken(self)
            optimizer = scene.optimizer(toolhive_max_retries=50)
            optimizer.wait_line("attempt=2")
            scene.standin()
            attempts = int(optimizer.wait_line("connection restored").pairs["attempts"])
            # What failed was itself a search, so that no search follows it.
            self.assertEqual(told(optimizer), [
                *(failed(number, 50, REFUSED, delay)
                  for number, delay in zip(range(1, attempts + 1), DELAYS)),
                connected(scene.url()), restored(scene.url(), attempts)])

    def test_gives_up_when_it_was_never_there(self):
        with Scene() as scene:
            scene.skip_if_8080_is_taken(self)
            optimizer = scene.optimizer(toolhive_max_retries=3, toolhive_initial_backoff=0.5)
            code, _ = optimizer.finish()
            self.assertEqual(code, 1)
            self.assertEqual(told(optimizer), [
                failed(1, 3, REFUSED, "0.5"), failed(2, 3, REFUSED, "1.0"), failed(3, 3, REFUSED, "0.0"),
                *given_up(3, REFUSED)])
            end = optimizer.lines()[-1].time
            self.assertLess(lasted(optimizer.started, end), 4)
            self.assertGreater(end - optimizer.started, 1.5)
            self.assertEqual(state(optimizer)["connection"]["state"], "exhausted")

    def test_jitter_shortens_the_delays_and_tells_them(self):
        with Scene() as scene:
            optimizer = scene.optimizer(toolhive_max_retries=6, toolhive_backoff_jitter=0.5)
            self.assertEqual(optimizer.finish()[0], 1)
            delays = [line.pairs["backoff_seconds"] for line in optimizer.lines("WARNING")]
            self.assertEqual(delays[-1], "0.0")
            for delay, base in zip(delays, (0.1, 0.2, 0.4, 0.8, 1.0)):
                self.assertRegex(delay, r"^\d\.\d{1,3}$")
                # What is printed is rounded to a millisecond.
                self.assertTrue(base / 2 - 0.0005 <= float(delay) <= base, delays)
            self.assertNotEqual(delays[:5], ["0.1", "0.2", "0.4", "0.8", "1.0"])


class TestRestarts(unittest.TestCase):
    def test_port_change_in_operation(self):
        with Scene() as scene:
            standin, optimizer = scene.both(toolhive_max_retries=5)
            scene.restart_elsewhere(standin)
            # The next poll is a minute away: it is the end of the connection that tells.
            optimizer.wait_line("connection restored", 3)
            old, new = scene.port, scene.other_port
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 5, REFUSED, "0.1"), rediscovering(old), *moved(old, new),
                restored(scene.url(new), 1)])
            self.assertEqual([request["port"] for request in standin.requests(LIST)], [old, new])
            now = wait_state(optimizer, lambda now: now["connection"]["state"] == "connected")
            self.assertEqual(now["connection"]["endpoint"], scene.url(new))
            self.assertEqual((now["connection"]["port"], now["connection"]["attempt"]), (new, 0))
            counters = now["counters"]
            self.assertEqual([counters[key] for key in ("failures", "reconnects", "port_changes")], [1, 1, 1])

    def test_extended_outage(self):
        with Scene() as scene:
            standin, optimizer = scene.both()
            begun = time.monotonic()
            standin.stop_listening()
            optimizer.wait_line("attempt=5")
            # The search that follows is over, too; the first was at the start.
            now = wait_state(optimizer, lambda now: now["counters"]["scans"] == 6)
            self.assertEqual((now["connection"]["state"], now["connection"]["attempt"]), ("reconnecting", 5))
            standin.start_listening()
            end = optimizer.wait_line("connection restored", 4)
            expected = [connected(scene.url())]
            for number, delay in enumerate(DELAYS[:5], 1):
                expected += [failed(number, 100, REFUSED, delay), rediscovering(scene.port)]
            self.assertEqual(told(optimizer), [*expected, restored(scene.url(), 5)])

            lines = [line for line in optimizer.lines() if "attempt=" in line.text] + [end]
            delays = [float(line.pairs["backoff_seconds"]) for line in lines[:-1]]
            for line, following, delay, due in zip(lines, lines[1:], delays, itertools.accumulate(delays)):
                # Not from line to line: one that is read late makes the next seem early.
                self.assertGreater(following.time - begun, due)
                self.assertLess(lasted(line.time, following.time), delay + 0.5)
            self.assertGreaterEqual(float(end.pairs["outage_seconds"]), 2.5)
            self.assertLess(lasted(begun, end.time), 2.5 + 0.5)
            self.assertEqual(len(standin.requests(REGISTRY)), 1, "a poll that was not due")

    def test_return_on_another_port_sets_the_delay_back(self):
        with Scene() as scene:
            standin, optimizer = scene.both()
            standin.stop_listening()
            optimizer.wait_line("attempt=3")
            # Its identity check is fine and its first call is not.
            standin.squat("elsewhere", {"name": "reset-after-request", "route": LIST_ROUTE, "count": 1},
                          port=scene.other_port, hosts=[scene.host])
            n = int(optimizer.wait_line("connection restored", 4).pairs["attempts"])
            old, new = scene.port, scene.other_port
            expected = [connected(scene.url())]
            for number, delay in zip(range(1, n), DELAYS):
                expected += [failed(number, 100, REFUSED, delay), rediscovering(old)]
            # The call on the new port was the one immediate retry; so this failure waits, 0.1 s again.
            self.assertEqual(told(optimizer), [
                *expected, *moved(old, new), failed(n, 100, RESET, "0.1"), rediscovering(new), same_port(new),
                restored(scene.url(new), n)])

    def test_a_stranger_on_the_port(self):
        for code in (404, 502):
            with self.subTest(code=code), Scene() as scene:
                standin, optimizer = scene.both(workload_polling_interval=0.2)
                standin.behave("status", code=code, body="404 page not found\n")
                optimizer.wait_line("attempt=2")
                standin.clear()
                n = int(optimizer.wait_line("connection restored").pairs["attempts"])
                self.assertEqual(told(optimizer)[:4], [
                    connected(scene.url()), failed(1, 100, f"Not ToolHive any more (HTTP {code})", "0.1"),
                    rediscovering(scene.port), failed(2, 100, f"Not ToolHive any more (HTTP {code})", "0.2")])
                self.assertEqual(told(optimizer)[-1], restored(scene.url(), n))

    def test_a_request_that_times_out(self):
        with Scene() as scene:
            scene.standin(misbehave=f"hang,route={LIST_ROUTE},count=1")
            optimizer = scene.optimizer(toolhive_timeout=1)
            optimizer.wait_line("connection restored")
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 100, "Timed out after 1.0 s", "0.1"),
                rediscovering(scene.port), same_port(scene.port), restored(scene.url(), 1)])

    def test_discovery_file_leads_from_a_socket_to_a_port(self):
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            path, file = os.path.join(folder, "thv.sock"), os.path.join(folder, "server", "server.json")
            first = scene.enter_context(Standin(socket=path, discovery_file=file))
            optimizer = scene.optimizer(toolhive_discovery_file=file)
            optimizer.wait_line("Registry polled")
            self.assertIsNone(state(optimizer)["connection"]["port"])
            scene.standin()
            first.stop_listening()
            optimizer.wait_line("connection restored")
            lines = told(optimizer)
            self.assertEqual(lines[0], connected(f"unix://{path}"))
            self.assertRegex(lines[1], r"^WARNING  ToolHive connection failed attempt=1 max_retries=100 ")
            self.assertEqual(lines[2:], [
                f"WARNING  Attempting to rediscover ToolHive port previous_endpoint=unix://{path}",
                "INFO     Successfully rediscovered ToolHive on new port "
                f"old_endpoint=unix://{path} new_endpoint={scene.url()}",
                f"INFO     Port rediscovery successful, retrying immediately new_endpoint={scene.url()}",
                restored(scene.url(), 1)])


class TestRation(unittest.TestCase):
    """Immediate retries, and what happens when the attempts are spent."""

    def test_worked_example_of_the_specification(self):
        with Scene() as scene:
            standin = scene.standin(misbehave=f"reset-after-request,route={LIST_ROUTE}")
            optimizer = scene.optimizer(toolhive_max_retries=6, toolhive_initial_backoff=0.2)
            code, _ = optimizer.finish()
            self.assertEqual(code, 1)

            expected = [connected(scene.url())]
            for number, delay in enumerate(("0.2", "0.2", "0.4", "0.8", "1.0", "0.0"), 1):
                expected += [failed(number, 6, RESET, delay),
                             rediscovering(scene.port), same_port(scene.port)]
            self.assertEqual(told(optimizer), expected + given_up(6, RESET))

            times = [request["time"] for request in standin.requests(LIST)]
            self.assertEqual(len(times), 6)
            # A wait that is too short shows in the sum, which may begin early; one that is too long, by itself.
            for due, time_of in zip((0, 0, 0.2, 0.6, 1.4, 2.4), times):
                self.assertGreater(time_of - optimizer.started, due)
            for wait, first, second in zip((0, 0.2, 0.4, 0.8, 1.0), times, times[1:]):
                self.assertLess(lasted(first, second), wait + 0.3)
            self.assertEqual(standin.requests(REGISTRY), [], "another poll in the middle of an outage")

    def test_last_failure_is_rediscovered_like_the_others(self):
        with Scene() as scene:
            standin, optimizer = scene.both(toolhive_max_retries=2)
            standin.stop_listening()
            self.assertEqual(optimizer.finish()[0], 1)
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 2, REFUSED, "0.1"), rediscovering(scene.port),
                failed(2, 2, REFUSED, "0.0"), rediscovering(scene.port), *given_up(2, REFUSED)])

    def test_retry_after_the_last_failure_succeeds(self):
        with Scene() as scene:
            standin, optimizer = scene.both(toolhive_max_retries=1)
            scene.restart_elsewhere(standin)
            optimizer.wait_line("connection restored")
            old, new = scene.port, scene.other_port
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 1, REFUSED, "0.0"), rediscovering(old), *moved(old, new),
                restored(scene.url(new), 1)])
            self.assertEqual(optimizer.terminate()[0], 0)

    def test_retry_after_the_last_failure_fails_without_a_line(self):
        with Scene() as scene:
            standin = scene.standin(misbehave=f"reset-after-request,route={LIST_ROUTE}")
            optimizer = scene.optimizer(toolhive_max_retries=1)
            self.assertEqual(optimizer.finish()[0], 1)
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 1, RESET, "0.0"), rediscovering(scene.port),
                same_port(scene.port), *given_up(1, RESET)])
            self.assertEqual(len(standin.requests(LIST)), 2)


class TestPinned(unittest.TestCase):
    """TOOLHIVE_API_URL: nothing but that address, and nothing but the delays."""

    def test_overridden_settings_are_named_once(self):
        with Scene() as scene:
            standin = scene.standin()
            optimizer = scene.optimizer(toolhive_api_url=scene.url(), toolhive_port=scene.other_port)
            optimizer.wait_line("Registry polled")
            warnings = [line.text for line in optimizer.lines("WARNING")]
            self.assertEqual(len(warnings), 1)
            for name in ("TOOLHIVE_API_URL", "TOOLHIVE_HOST", "TOOLHIVE_PORT", "TOOLHIVE_START_PORT_SCAN",
                         "TOOLHIVE_END_PORT_SCAN", "TOOLHIVE_DISCOVERY_FILE"):
                self.assertIn(name, warnings[0])
            self.assertEqual(told(optimizer)[-1], connected(scene.url()))
            self.assertEqual({request["port"] for request in standin.requests()}, {scene.port})

    def pinned(self, url, scene, **settings):
        return scene.enter_context(Optimizer(toolhive_api_url=url, toolhive_initial_backoff=0.1, **settings))

    def test_outage(self):
        with Scene() as scene:
            standin = scene.standin()
            optimizer = self.pinned(scene.url(), scene)
            optimizer.wait_line("Registry polled")
            scene.restart_elsewhere(standin)
            optimizer.wait_line("attempt=3")
            standin.start_listening()
            n = int(optimizer.wait_line("connection restored").pairs["attempts"])
            self.assertEqual(told(optimizer), [
                connected(scene.url()),
                *(failed(number, 100, REFUSED, delay) for number, delay in zip(range(1, n + 1), DELAYS)),
                restored(scene.url(), n)])
            self.assertEqual({request["port"] for request in standin.requests()}, {scene.port})

    def test_no_immediate_retry(self):
        with Scene() as scene:
            standin = scene.standin(misbehave=f"reset-after-request,route={LIST_ROUTE},count=2")
            optimizer = self.pinned(scene.url(), scene)
            optimizer.wait_line("connection restored")
            self.assertEqual(told(optimizer), [
                connected(scene.url()), failed(1, 100, RESET, "0.1"), failed(2, 100, RESET, "0.2"),
                restored(scene.url(), 2)])
            times = [request["time"] - optimizer.started for request in standin.requests(LIST)]
            self.assertEqual(len(times), 3)
            self.assertGreater(times[1], 0.1)
            self.assertGreater(times[2], 0.1 + 0.2)

    def test_unix_socket(self):
        with Scene() as scene, tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "thv.sock")
            standin = scene.enter_context(Standin(socket=path, workloads=2))
            optimizer = self.pinned(f"unix://{path}", scene)
            optimizer.wait_line("Registry polled")
            self.assertEqual(told(optimizer), [connected(f"unix://{path}")])
            self.assertEqual(len(standin.requests(VERSION)), 1)
            connection = state(optimizer)["connection"]
            self.assertEqual((connection["endpoint"], connection["port"]), (f"unix://{path}", None))

            standin.stop_listening()
            optimizer.wait_line("attempt=2")
            standin.start_listening()
            n = int(optimizer.wait_line("connection restored").pairs["attempts"])
            missing = "No such file or directory"
            self.assertEqual(told(optimizer)[1:3],
                             [failed(1, 100, missing, "0.1"), failed(2, 100, missing, "0.2")])
            self.assertEqual(told(optimizer)[-1], restored(f"unix://{path}", n))


if __name__ == "__main__":
    main(abreast=True)
