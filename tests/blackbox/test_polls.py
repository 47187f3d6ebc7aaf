#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The polls: when they are made, what they keep, and the differences that they tell by name."""

import json
import os
import signal
import time

from polling import LIST, MIB, REGISTRY, StateCase, names, state, wait_for
from harness import lasted, main
from standin_toolhive import workload_entry


class TestPolls(StateCase):
    def starts(self, path):
        return [seen["time"] for seen in self.standin.requests(path)]

    def test_intervals_run_from_start_to_start(self):
        self.standin.behave("slow", ms=200, route="GET /api/v1beta/workloads")
        optimizer = self.optimizer(workload_polling_interval=0.3, registry_polling_interval=0)
        wait_for(lambda: len(self.starts(LIST)) >= 5, 10, interval=0.05)
        starts = self.starts(LIST)
        # From start to start it is 1.2 s; from end to start it would be 2.0 s. The exact times are asserted
        # under the virtual clock.
        self.assertGreater(starts[4] - optimizer.started, 1.2)
        self.assertLess(lasted(starts[0], starts[4]), 1.7)

    def test_polls_do_not_pile_up_in_an_outage(self):
        optimizer = self.polled(workload_polling_interval=0.3, registry_polling_interval=0.3)
        self.standin.stop_listening()
        self.wait_state(optimizer, lambda told: told["connection"]["attempt"] >= 4, 10)
        self.standin.reset()
        self.standin.start_listening()
        optimizer.wait_line("connection restored")
        wait_for(lambda: len(self.starts(LIST)) >= 6 and len(self.starts(REGISTRY)) >= 6, interval=0.02)
        for path in (LIST, REGISTRY):
            starts = self.starts(path)
            # What fell due meanwhile, four times and more, runs once; then it goes on in step: that is 1.2 s and a
            # part, from which the first's lateness has to be taken. All at once, it would be 0.6 s at most.
            self.assertGreater(starts[5] - starts[0], 0.8, path)

    def test_zero_polls_once(self):
        self.polled(workload_polling_interval=0.1, registry_polling_interval=0)
        wait_for(lambda: len(self.starts(LIST)) >= 4, interval=0.02)
        self.assertEqual(len(self.starts(REGISTRY)), 1)

    def test_zero_means_until_it_has_completed_once(self):
        self.standin.control("registry", problem="registry_unavailable")
        optimizer = self.optimizer(workload_polling_interval=0.1, registry_polling_interval=0)
        line = optimizer.wait_line(lambda line: line.pairs.get("operation") == "get registry")
        self.assertEqual(line.level, "WARNING")
        self.wait_state(optimizer, lambda told: told["connection"]["state"] == "degraded")
        self.standin.control("registry")
        optimizer.signal(signal.SIGHUP)
        optimizer.wait_line("ToolHive answers again")
        self.wait_state(optimizer, lambda told: told["registry"]["polled_at"])
        self.assertIsNone(state(optimizer)["registry"]["next_poll_at"])

    def test_the_start_up_delay_is_the_polls(self):
        start = time.monotonic()
        optimizer = self.optimizer(startup_polling_delay=0.5)
        optimizer.wait_line("Workloads polled")
        self.assertGreater(self.starts(LIST)[0] - start, 0.5)

    def test_null_is_an_empty_list(self):
        optimizer = self.polled()
        self.standin.behave("null-workloads", route="GET /api/v1beta/workloads")
        told = self.poll_again(optimizer)
        self.assertEqual((told["workloads"]["total"], told["workloads"]["problem"]), (0, None))
        self.assertEqual(optimizer.lines("WARNING"), [])

    def test_details_are_asked_for_a_running_one_without_a_url(self):
        self.standin.control("workloads", add=[{"name": "halted", "status": "stopped"}], update={
            "workload-00001": {"url": None}, "halted": {"url": None}})
        optimizer = self.polled()
        items = {item["name"]: item["url"] for item in state(optimizer)["workloads"]["items"]}
        self.assertEqual(items, {
            "halted": None, "workload-00000": "http://127.0.0.1:17520/mcp",
            "workload-00001": "http://127.0.0.1:17521/mcp", "workload-00002": "http://127.0.0.1:17522/mcp"})
        asked = [seen["path"] for seen in self.standin.requests()]
        self.assertEqual([path for path in asked if path.startswith("/api/v1beta/workloads/")],
                         ["/api/v1beta/workloads/workload-00001"])

    def test_groups_and_names_that_are_left_out(self):
        self.standin.control("workloads", add=[{"name": "a", "group": "one"}, {"name": "b", "group": "two"},
                                               {"name": "c", "group": "three"}])
        optimizer = self.polled(allowed_groups="one,two", skipped_workloads="b")
        self.assertEqual(names(optimizer), ["a"])
        self.assertEqual(state(optimizer)["workloads"]["skipped"], 5)
        optimizer = self.polled(skipped_workloads="none")
        self.standin.control("workloads", add=["inspector", "mcp-optimizer"])
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 8)

    def test_ten_thousand_workloads(self):
        self.standin.control("workloads", count=10_000)
        optimizer = self.polled()
        self.assertEqual(len(set(names(optimizer))), 10_000)
        self.assertEqual(state(optimizer)["workloads"]["running"], 10_000)
        self.standin.control("workloads", remove=["workload-05000"], status={"workload-09999": "stopped"})
        since = len(optimizer.lines())
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 9_999)
        self.assertEqual([line.pairs["name"] for line in self.news(optimizer, since) if "name" in line.pairs],
                         ["workload-05000", "workload-09999"])
        if not os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER"):
            self.assertLess(optimizer.peak(), 64 * MIB)


class TestDifferences(StateCase):
    def test_workloads_by_name(self):
        optimizer = self.polled()
        self.assertEqual([line.pairs["name"] for line in optimizer.lines("INFO") if line.message == "Workload added"],
                         ["workload-00000", "workload-00001", "workload-00002"])
        self.standin.control("workloads", add=["fresh"], remove=["workload-00000"],
                             status={"workload-00001": "stopped"})
        since = len(optimizer.lines())
        self.poll_again(optimizer)
        news = [(line.level, line.message, line.pairs.get("name")) for line in self.news(optimizer, since)]
        self.assertCountEqual(news[:3], [
            ("INFO", "Workload added", "fresh"), ("INFO", "Workload removed", "workload-00000"),
            ("INFO", "Workload changed", "workload-00001")])
        # The summary comes after them, and only because something changed.
        self.assertEqual(len(news), 4)
        summary = self.news(optimizer, since)[3].pairs
        self.assertEqual({key: summary[key] for key in ("total", "running", "added", "removed", "changed")},
                         {"total": "3", "running": "2", "added": "1", "removed": "1", "changed": "1"})

    def test_no_difference_is_no_line(self):
        optimizer = self.polled()
        since = len(optimizer.lines())
        for _ in range(2):
            self.poll_again(optimizer)
        self.assertEqual(self.news(optimizer, since), [])

    def test_no_difference_is_a_line_for_debugging(self):
        optimizer = self.polled(log_level="DEBUG")
        since = len(optimizer.lines())
        self.poll_again(optimizer)
        self.assertIn(("DEBUG", "Workloads polled"),
                      [(line.level, line.message) for line in self.news(optimizer, since)])

    def test_registry_by_name(self):
        optimizer = self.polled(registry_polling_interval=300)
        since = len(optimizer.lines())
        self.standin.control("registry", add=["fresh"], remove=["server-007", "remote-001"])
        optimizer.signal(signal.SIGHUP)
        optimizer.wait_line("Registry polled", after=since)
        news = [(line.level, line.message, line.pairs.get("name")) for line in self.news(optimizer, since)]
        self.assertCountEqual(news[:3], [
            ("INFO", "Registry server added", "fresh"), ("INFO", "Registry server removed", "server-007"),
            ("INFO", "Registry server removed", "remote-001")])
        self.assertEqual(len(news), 4)
        self.assertEqual(self.wait_state(optimizer, lambda told: "fresh" in told["registry"]["names"])
                         ["registry"]["servers"], 83)

    def raw(self, *bad):
        good = [workload_entry(f"workload-{number:05}", 17520 + number) for number in range(3)]
        self.standin.control("workloads", raw=json.dumps({"workloads": [*bad, *good]}))

    def test_a_bad_entry_is_named_once_and_costs_no_other(self):
        self.raw({"name": "odd", "port": -1, "status": "running"})
        optimizer = self.polled()
        for _ in range(2):
            self.poll_again(optimizer)
        self.assertEqual([line.pairs["name"] for line in optimizer.lines("WARNING")], ["odd"])
        self.assertEqual(len(names(optimizer)), 3)
        # It is whole for a while: the next time is a new one.
        self.raw({"name": "odd", "port": 17530, "status": "running"})
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 4)
        self.raw({"name": "odd", "port": -1, "status": "running"})
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 3)
        self.assertEqual([line.pairs["name"] for line in optimizer.lines("WARNING")], ["odd", "odd"])

    def test_ten_bad_entries_are_named_and_the_rest_is_counted(self):
        self.raw(*[{"name": f"odd-{number:02}", "status": 1} for number in range(25)])
        optimizer = self.polled()
        self.poll_again(optimizer)
        warnings = optimizer.lines("WARNING")
        self.assertEqual([line.pairs.get("name") for line in warnings],
                         [f"odd-{number:02}" for number in range(10)] + [None])
        self.assertEqual(warnings[10].pairs["count"], "15")
        self.assertEqual(len(names(optimizer)), 3)

    def test_names_from_outside_do_not_break_a_line(self):
        self.standin.control("workloads", add=[{"name": "good", "status": 'a" level=CRITICAL x="'}])
        optimizer = self.polled()
        line = next(line for line in optimizer.lines("INFO") if line.pairs.get("name") == "good")
        self.assertEqual(line.pairs["status"], 'a" level=CRITICAL x="')
        self.assertNotIn("level", line.pairs)


if __name__ == "__main__":
    main(abreast=True)
