#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finding ToolHive: the order, strangers on the ports, several at once, both families, the discovery file."""

import json
import signal
import time

from finding import CONNECTED, NOTHING, SEARCH, FindingCase, need_ipv6, need_isolation
import harness
from harness import SLOWNESS, Optimizer, Standin, free_port, free_port_range, lasted, state, wait_for

LIST = "/api/v1beta/workloads?all=true"
VERSION_PATH = "/api/v1beta/version"
VERSION = f"GET {VERSION_PATH}"
STRANGERS = [
    {"name": "silence"}, {"name": "ssh"}, {"name": "reset-at-accept"}, {"name": "close-at-accept"},
    {"name": "hang"}, {"name": "drip-headers"}, {"name": "drip-body"}, {"name": "cut-headers"},
    {"name": "endless"}, {"name": "big"}, {"name": "header-many", "kib": 400},
    {"name": "informational"}, {"name": "switching"}, {"name": "http09"}, {"name": "garbage"},
    {"name": "tls-alert"}, {"name": "tls-go"}, {"name": "version-missing"}, {"name": "version-number"},
    {"name": "status", "code": 404}, {"name": "status", "code": 200, "body": "<html></html>"},
    {"name": "redirect", "url": "/api/v1beta/version"}, {"name": "bad-utf8"}, {"name": "depth"},
    {"name": "backlog-full"},
]


class TestOrder(FindingCase):
    """The configured port, the file, the last port, the range, 8080."""

    def setUp(self):
        super().setUp()
        self.first = free_port_range(harness.BLOCK)
        self.in_range = self.toolhive(port=self.first + 5)
        self.in_file = self.toolhive()
        self.configured = self.toolhive()
        self.path = self.write_file(self.folder() / "server.json", self.in_file.url)

    def start(self, **settings):
        return self.optimizer(first=self.first, last=self.first + 7, **settings)

    def test_the_configured_port_is_first(self):
        optimizer = self.start(toolhive_port=self.configured.port, toolhive_discovery_file=self.path)
        self.assert_found(optimizer, self.configured.url)
        optimizer.wait_line("Registry polled")
        self.assertEqual(self.in_range.seen(), [])

    def test_the_file_comes_before_the_range(self):
        self.assert_found(self.start(toolhive_discovery_file=self.path), self.in_file.url)

    def test_the_file_comes_after_a_configured_port_that_is_closed(self):
        closed = free_port()
        optimizer = self.start(toolhive_port=closed, toolhive_discovery_file=self.path)
        self.assert_found(optimizer, self.in_file.url)

    def test_a_configured_port_that_is_silent_costs_its_time_and_no_more(self):
        # Its answer would count first, so there is time for it, when the file's has long come.
        self.configured.behave("hang")
        optimizer = self.start(toolhive_port=self.configured.port, toolhive_discovery_file=self.path,
                               toolhive_timeout=1)
        self.assert_found(optimizer, self.in_file.url)

    def test_the_range_without_the_others(self):
        self.assert_found(self.start(), self.in_range.url)

    def test_the_last_port_comes_before_the_range(self):
        # Known from the state file of an earlier service, which had it configured.
        runtime = self.folder()
        with self.start(toolhive_port=self.configured.port, runtime=runtime) as optimizer:
            optimizer.wait_line("Registry polled")
            self.assertEqual(optimizer.terminate()[0], 0)
        self.assert_found(self.start(runtime=runtime), self.configured.url)

    def test_the_file_comes_before_the_last_port(self):
        runtime = self.folder()
        with self.start(toolhive_port=self.configured.port, runtime=runtime) as optimizer:
            optimizer.wait_line("Registry polled")
            self.assertEqual(optimizer.terminate()[0], 0)
        optimizer = self.start(runtime=runtime, toolhive_discovery_file=self.path)
        self.assert_found(optimizer, self.in_file.url)

    def test_there_is_no_rediscovery_line_at_the_start(self):
        optimizer = self.start()
        optimizer.wait_line("Registry polled")
        self.assertEqual([line.text for line in optimizer.lines() if "rediscover" in line.text.lower()], [])


class TestRange(FindingCase):
    def strangers(self, first, *behaviours):
        for number, behaviour in enumerate(behaviours):
            self.toolhive(behaviour, port=first + number)

    def test_strangers_of_every_kind_are_passed_over(self):
        first = free_port_range(len(STRANGERS) + 1)
        self.strangers(first, *STRANGERS)
        toolhive = self.toolhive(port=first + len(STRANGERS))
        optimizer = self.optimizer(first=first, last=toolhive.port)
        line = self.assert_found(optimizer, toolhive.url)
        self.assertLess(lasted(optimizer.started, line.time), SEARCH)
        optimizer.wait_line("Registry polled")
        self.assertEqual([line.text for line in optimizer.lines("WARNING")], [])

    def test_strangers_alone_are_nothing(self):
        first = free_port_range(3)
        self.strangers(first, *[{"name": "status", "code": 404}] * 3)
        self.assert_nothing(self.optimizer(first=first, last=first + 2), "No ToolHive among 3 open ports")

    def test_silent_ports_alone_end_within_the_time(self):
        first = free_port_range(16)
        self.strangers(first, {"name": "backlog-full"}, *[{"name": "silence"}] * 14, {"name": "backlog-full"})
        optimizer = self.optimizer(first=first, last=first + 15, toolhive_timeout=30)
        # What the first candidate in order said, which has the 2 s that each has.
        line = self.assert_nothing(optimizer, "Timed out after 2.0 s", SEARCH + 1)
        self.assertLess(lasted(optimizer.started, line.time), SEARCH)

    def test_a_shorter_time_out_is_each_candidates(self):
        first = free_port()
        self.strangers(first, {"name": "silence"})
        optimizer = self.optimizer(first=first, last=first, toolhive_timeout=1)
        self.assert_nothing(optimizer, "Timed out after 1.0 s")

    def test_all_ports_closed(self):
        first = free_port_range(64)
        self.assert_nothing(self.optimizer(first=first, last=first + 63), "Connection refused")

    def test_both_ends_of_a_range_belong_to_it(self):
        for offset in (0, 15):
            with self.subTest(offset=offset):
                first = free_port_range(16)
                toolhive = self.toolhive(port=first + offset)
                self.assert_found(self.optimizer(first=first, last=first + 15), toolhive.url)

    @need_isolation
    def test_beside_the_range_nothing_is_asked(self):
        first = free_port_range(18)
        beside = [self.toolhive(port=first), self.toolhive(port=first + 17)]
        self.assert_nothing(self.optimizer(first=first + 1, last=first + 16), "Connection refused")
        self.assertEqual([toolhive.seen() for toolhive in beside], [[], []])

    def test_few_descriptors_are_enough(self):
        first = free_port_range(40)
        self.strangers(first, *[{"name": "silence"}] * 39)
        toolhive = self.toolhive(port=first + 39)
        optimizer = self.optimizer(first=first, last=toolhive.port, wrapper=["prlimit", "--nofile=48:48"])
        # The silent ones take turns, up to the end of the search's time.
        self.assert_found(optimizer, toolhive.url, SEARCH + 1)

    @need_isolation
    def test_without_any_setting(self):
        toolhive = self.toolhive(port=50042)
        with Optimizer() as optimizer:
            self.assert_found(optimizer, toolhive.url)

    @need_isolation
    def test_8080_is_where_a_plain_thv_serve_listens(self):
        toolhive = self.toolhive(port=8080)
        self.assert_found(self.optimizer(), toolhive.url)

    @need_isolation
    def test_the_range_comes_before_8080(self):
        usual, first = self.toolhive(port=8080), free_port()
        toolhive = self.toolhive(port=first)
        optimizer = self.optimizer(first=first, last=first)
        self.assert_found(optimizer, toolhive.url)
        optimizer.wait_line("Registry polled")
        self.assertEqual(usual.seen(), [])

    @need_isolation
    def test_all_ports_there_are(self):
        toolhive = self.toolhive(port=61234)
        optimizer = self.optimizer(first=1024, last=65535, wrapper=["prlimit", "--nofile=1024:1024"])
        self.assert_found(optimizer, toolhive.url, 10)
        # It is nothing but work: what it takes by the clock depends on who else works.
        self.assertLess(optimizer.cpu(), SEARCH * SLOWNESS)

    @need_isolation
    def test_a_closed_port_that_meets_itself_is_closed(self):
        # Connecting within the ephemeral range connects a socket to itself, once or twice in a search like this.
        self.assert_nothing(self.optimizer(first=32768, last=60999), "Connection refused", 10)


class TestSeveral(FindingCase):
    def of_version(self, version, **arguments):
        return self.toolhive({"name": "json", "route": VERSION, "text": json.dumps({"version": version})},
                             **arguments)

    def search(self, wanted, **settings):
        """The program after a search of which it told what is wanted. That may take some: answers count for a moment
        only, 250 ms for a lower port and 25 ms for who is only told of, which they may miss under load."""
        for _ in range(20):
            optimizer = self.optimizer(**settings)
            optimizer.wait_line("Registry polled")
            if any(wanted in line.text for line in optimizer.lines()):
                return optimizer
            optimizer.terminate()
        raise AssertionError("\n".join(line.text for line in optimizer.lines()))

    def test_the_lowest_port_is_taken_and_all_are_told(self):
        first = free_port_range(8)
        low = self.of_version("v0.1.0", port=first + 2)
        high = self.of_version("v9.9.9", port=first + 3)
        # It is told although the first could have been taken before.
        highest = self.toolhive({"name": "slow", "ms": 8, "route": VERSION}, port=first + 7)
        optimizer = self.search(f"others={high.url},{highest.url}", first=first, last=first + 7,
                                workload_polling_interval=0.2)
        self.assertEqual(self.assert_found(optimizer, low.url).pairs["version"], "v0.1.0")
        warning = optimizer.wait_line("Several")
        self.assertEqual(warning.level, "WARNING")
        self.assertIn("TOOLHIVE_PORT", warning.text)
        self.assertEqual(warning.pairs["endpoint"], low.url)
        # One warning, not one a poll.
        polls = low.seen().count(LIST)
        wait_for(lambda: low.seen().count(LIST) > polls + 2, interval=0.02)
        self.assertEqual(len(optimizer.lines("WARNING")), 1)

    def test_the_one_that_was_chosen_stays_while_it_lives(self):
        first = free_port_range(8)
        toolhive = self.toolhive(port=first + 4)
        optimizer = self.optimizer(first=first, last=first + 7)
        self.assert_found(optimizer, toolhive.url)
        optimizer.wait_line("Registry polled")
        self.toolhive(port=first)
        # The polls are a minute apart: nothing is in flight that this could cut, and only identity is asked for.
        checks = toolhive.seen().count(VERSION_PATH)
        self.host.cut(server=toolhive.name)
        wait_for(lambda: toolhive.seen().count(VERSION_PATH) > checks)
        optimizer.signal(signal.SIGHUP)
        wait_for(lambda: toolhive.seen().count(LIST) == 2)
        self.assertEqual(state(optimizer)["connection"]["port"], toolhive.port)
        self.assertEqual(optimizer.lines("WARNING"), [])

    def test_a_slow_lower_one_is_not_waited_for_long(self):
        first = free_port_range(8)
        self.toolhive({"name": "slow", "ms": 1500}, port=first)
        quick = self.toolhive(port=first + 1)
        self.assert_found(self.optimizer(first=first, last=first + 7), quick.url)

    def test_a_lower_one_that_is_not_much_slower_is_taken(self):
        first = free_port_range(8)
        slow = self.toolhive({"name": "slow", "ms": 40, "route": VERSION}, port=first)
        self.toolhive(port=first + 1)
        self.search(f"{CONNECTED} endpoint={slow.url} ", first=first, last=first + 7)


class TestFamilies(FindingCase):
    @need_ipv6
    def test_ipv6_only(self):
        first = free_port()
        self.toolhive(port=first, hosts=["::1"])
        optimizer = self.optimizer(first=first, last=first)
        self.assert_found(optimizer, f"http://[::1]:{first}")
        optimizer.wait_line("Registry polled")
        wait_for(lambda: state(optimizer)["connection"]["endpoint"] == f"http://[::1]:{first}")
        self.assertEqual(state(optimizer)["connection"]["port"], first)

    @need_ipv6
    def test_ipv4_comes_first_and_the_same_port_is_not_several(self):
        first = free_port()
        self.toolhive(port=first, hosts=["127.0.0.1", "::1"])
        optimizer = self.optimizer(first=first, last=first)
        self.assert_found(optimizer, f"http://127.0.0.1:{first}")
        optimizer.wait_line("Registry polled")
        self.assertEqual(optimizer.lines("WARNING"), [])

    @need_ipv6
    def test_a_stranger_on_ipv4_does_not_hide_ipv6(self):
        first = free_port()
        self.toolhive(port=first, hosts=["::1"])
        self.toolhive({"name": "status", "code": 404}, port=first)
        self.assert_found(self.optimizer(first=first, last=first), f"http://[::1]:{first}")

    def test_another_address_of_this_machine(self):
        first = free_port()
        self.toolhive(port=first, hosts=["127.0.0.2"])
        optimizer = self.optimizer(first=first, last=first, toolhive_host="127.0.0.2")
        self.assert_found(optimizer, f"http://127.0.0.2:{first}")

    @need_ipv6
    def test_an_ipv6_address_as_the_host(self):
        first = free_port()
        self.toolhive(port=first, hosts=["::1"])
        self.assert_found(self.optimizer(first=first, last=first, toolhive_host="::1"), f"http://[::1]:{first}")

    def test_a_name_that_cannot_be_resolved_is_told_as_such(self):
        # RFC 6761: no resolver has an answer for it, and no resolver at all has none either.
        optimizer = self.optimizer(toolhive_host="toolhive.invalid")
        line = optimizer.wait_line(NOTHING, SEARCH)
        self.assertIn("toolhive.invalid", line.pairs["error"])
        self.assertNotIn("refused", line.pairs["error"])


class TestDiscoveryFile(FindingCase):
    """What is not believed is in test_badinput.py."""

    def setUp(self):
        super().setUp()
        self.server = self.toolhive()
        self.state_home = self.folder()
        self.path = self.state_home / "toolhive/server/server.json"

    def start(self, file=None, **settings):
        return self.optimizer(toolhive_discovery_file=file or self.path, **settings)

    def test_with_its_nonce(self):
        self.write_file(self.path, self.server.url)
        self.assert_found(self.start(), self.server.url)
        self.assertIn("/health", self.server.seen())

    def test_a_server_without_a_nonce_is_not_the_one_that_wrote_the_file(self):
        self.server.behave("status", route="GET /health", code=204, body="")
        self.write_file(self.path, self.server.url)
        self.assert_nothing(self.start(), "Not ToolHive (HTTP 204)")

    def test_a_server_with_another_nonce_is_not_either(self):
        self.write_file(self.path, self.server.url, nonce="0" * 32)
        self.assert_nothing(self.start(), "Not ToolHive (HTTP 204)")

    def test_the_file_of_a_server_that_is_gone(self):
        self.write_file(self.path, self.server.url)
        self.server.stop()
        self.assert_nothing(self.start(), "Connection refused")

    def test_while_the_container_runtime_is_away_no_nonce_is_sent(self):
        self.server.behave("status", route="GET /health", code=503)
        self.write_file(self.path, self.server.url)
        self.assert_found(self.start(), self.server.url)

    def test_none_is_not_read(self):
        self.write_file(self.path, self.server.url)
        optimizer = self.start("none", environment={"XDG_STATE_HOME": str(self.state_home)})
        self.assert_nothing(optimizer, "Connection refused")

    def test_auto_is_below_the_state_home(self):
        self.write_file(self.path, self.server.url)
        optimizer = self.start("auto", environment={"XDG_STATE_HOME": str(self.state_home)})
        self.assert_found(optimizer, self.server.url)

    def test_auto_is_below_home_without_a_state_home(self):
        home = self.folder()
        self.write_file(home / ".local/state/toolhive/server/server.json", self.server.url)
        optimizer = self.start("auto", environment={"HOME": str(home), "XDG_STATE_HOME": ""})
        self.assert_found(optimizer, self.server.url)

    @need_isolation
    def test_auto_means_a_host_that_is_this_machine(self):
        self.write_file(self.path, self.server.url)
        # In a network of one's own this address is unreachable at once.
        settings = {"environment": {"XDG_STATE_HOME": str(self.state_home)}, "toolhive_host": "192.0.2.1"}
        self.assert_nothing(self.start("auto", **settings), "Network is unreachable")
        self.assertEqual(self.server.seen(), [])
        # A path that was given counts all the same.
        self.assert_found(self.start(**settings), self.server.url)

    def test_a_unix_socket(self):
        socket = self.folder() / "thv.sock"
        self.enterContext(Standin(discovery_file=self.path, socket=str(socket), workloads=2))
        optimizer = self.start()
        self.assert_found(optimizer, f"unix://{socket}")
        wait_for(lambda: state(optimizer)["workloads"]["total"] == 2)
        self.assertEqual(state(optimizer)["connection"]["endpoint"], f"unix://{socket}")
        self.assertIsNone(state(optimizer)["connection"]["port"])

    def test_the_file_appears_with_its_folders_while_we_wait(self):
        optimizer = self.start(toolhive_initial_backoff=10)
        self.assert_nothing(optimizer, "Connection refused")
        start = time.monotonic()
        self.write_file(self.path, self.server.url)
        line = self.assert_found(optimizer, self.server.url, 5)
        self.assertLess(lasted(start, line.time), 5)
        self.assertEqual(len(optimizer.lines("WARNING")), 1)

    def test_a_url_on_localhost_is_both_its_addresses(self):
        self.write_file(self.path, f"http://localhost:{self.server.port}")
        self.assert_found(self.start(), self.server.url)


if __name__ == "__main__":
    harness.main(parts=5)
