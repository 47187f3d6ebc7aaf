#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The state file: what is in it, how it is written, what a restart makes of it; and the metrics file."""

import fcntl
import json
import os
import re
import stat
import struct
import time
import unittest

from polling import LIST, MIB, StateCase, state, wait_for
from harness import SLOWNESS, lasted, main

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def moment(value):
    return isinstance(value, str) and re.fullmatch(TIME, value)


def count(value):
    return type(value) is int and value >= 0


def one_of(*values):
    return lambda value: value in values


def maybe(check):
    return lambda value: value is None or is_a(check, value)


def is_a(check, value):
    return isinstance(value, check) if isinstance(check, type) else check(value)


# Section 8 of the specification, and "host", by which a file of another host is known.
ITEM = {"name": str, "namespace": maybe(str), "status": str, "url": maybe(str), "transport": maybe(str),
        "group": maybe(str), "package": maybe(str), "remote": bool}
DOCUMENT = {
    "schema": one_of(1), "version": str, "pid": count, "started_at": moment, "runtime_mode": one_of("docker"),
    "host": str,
    "connection": {
        "state": one_of("connecting", "connected", "degraded", "reconnecting", "exhausted", "stopped"),
        "endpoint": maybe(str), "port": maybe(count), "toolhive_version": maybe(str), "since": moment,
        "attempt": count, "max_retries": count, "backoff_seconds": float, "next_attempt_at": maybe(moment),
        "last_error": maybe(str), "last_error_at": maybe(moment)},
    "workloads": {"polled_at": maybe(moment), "next_poll_at": maybe(moment), "problem": maybe(str),
                  "total": count, "running": count, "skipped": count, "items": [ITEM]},
    "registry": {"polled_at": maybe(moment), "next_poll_at": maybe(moment), "problem": maybe(str),
                 "last_updated": maybe(str), "servers": count, "names": [str]},
    "counters": {"requests": count, "failures": count, "reconnects": count, "port_changes": count, "scans": count},
}


def violations(document, shape, path="state"):
    """What is not as the shape says: keys, too many or too few, and types."""
    if isinstance(shape, dict):
        if not isinstance(document, dict) or document.keys() != shape.keys():
            return [f"{path}: {document if not isinstance(document, dict) else document.keys() ^ shape.keys()}"]
        return [problem for key, part in shape.items() for problem in violations(document[key], part, f"{path}.{key}")]
    if isinstance(shape, list):
        if not isinstance(document, list):
            return [f"{path}: {document!r}"]
        return [problem for item in document for problem in violations(item, shape[0], f"{path}[]")]
    return [] if is_a(shape, document) else [f"{path}: {document!r}"]


class TestDocument(StateCase):
    def test_keys_and_types_in_every_state(self):
        seen = []

        def check(optimizer, name, **settings):
            told = self.wait_state(optimizer, lambda told: told["connection"]["state"] == name, what=name)
            self.assertEqual(violations(told, DOCUMENT), [])
            seen.append(name)
            return told

        runtime = self.folder()
        self.standin.behave("hang")
        optimizer = self.optimizer(runtime=runtime, workload_polling_interval=0.2, toolhive_max_retries=4)
        told = check(optimizer, "connecting")
        self.assertEqual((told["pid"], told["connection"]["endpoint"], told["connection"]["attempt"]),
                         (optimizer.pid, None, 0))
        wait_for(self.standin.requests, what="the request that hangs")
        self.standin.clear()
        self.standin.cut()
        told = check(optimizer, "connected")
        self.assertEqual(told["connection"]["endpoint"], self.standin.urls[0])
        self.assertEqual(told["connection"]["port"], self.standin.port)
        self.assertEqual(told["connection"]["toolhive_version"], "v0.44.0")
        self.standin.control("toolhive", runtime_away=True)
        told = check(optimizer, "degraded")
        self.assertEqual(told["workloads"]["problem"], "ToolHive's container runtime is away")
        self.assertEqual(told["workloads"]["total"], 3)
        self.standin.stop_listening()
        told = check(optimizer, "reconnecting")
        self.assertGreater(told["connection"]["attempt"], 0)
        self.assertEqual(told["connection"]["last_error"], "Connection refused")
        self.assertEqual(optimizer.finish()[0], 1)
        told = check(optimizer, "exhausted")
        self.assertEqual(told["connection"]["attempt"], 4)
        self.assertIsNone(told["connection"]["next_attempt_at"])
        self.assertEqual(seen, ["connecting", "connected", "degraded", "reconnecting", "exhausted"])

    def test_the_last_state_of_one_that_was_stopped(self):
        runtime = self.folder()
        optimizer = self.polled(runtime=runtime)
        self.assertEqual(optimizer.terminate()[0], 0)
        told = state(optimizer)
        self.assertEqual(violations(told, DOCUMENT), [])
        self.assertEqual(told["connection"]["state"], "stopped")
        self.assertEqual(told["workloads"]["total"], 3)

    def test_workloads_and_registry(self):
        self.standin.control("workloads", status={"workload-00001": "stopped"}, add=[
            {"name": "inspector"}, {"name": "far", "remote": True, "package": "remote", "group": "others"}])
        told = state(self.polled())
        self.assertEqual(violations(told, DOCUMENT), [])
        workloads = told["workloads"]
        self.assertEqual((workloads["total"], workloads["running"], workloads["skipped"]), (4, 3, 1))
        items = {item["name"]: item for item in workloads["items"]}
        self.assertEqual(list(items), ["far", "workload-00000", "workload-00001", "workload-00002"])
        self.assertEqual(items["workload-00000"], {
            "name": "workload-00000", "namespace": None, "status": "running", "url": "http://127.0.0.1:17520/mcp",
            "transport": "streamable-http", "group": "default",
            "package": "ghcr.io/stacklok/dockyard/npx/workload-00000:1.0.3", "remote": False})
        self.assertEqual((items["far"]["remote"], items["far"]["group"]), (True, "others"))
        self.assertEqual(items["workload-00001"]["status"], "stopped")
        registry = told["registry"]
        self.assertEqual((registry["servers"], len(registry["names"])), (84, 84))
        self.assertEqual(registry["last_updated"], "2026-02-18T00:24:11Z")
        self.assertIn("remote-004", registry["names"])

    def test_counters(self):
        optimizer = self.polled(workload_polling_interval=0.2)
        told = state(optimizer)["counters"]
        self.assertEqual({key: told[key] for key in ("failures", "reconnects", "port_changes")},
                         {"failures": 0, "reconnects": 0, "port_changes": 0})
        self.standin.stop_listening()
        self.wait_state(optimizer, lambda told: told["connection"]["attempt"] >= 2)
        self.standin.start_listening()
        told = self.wait_state(optimizer, lambda told: told["connection"]["state"] == "connected")["counters"]
        failures = len([line for line in optimizer.lines() if line.message == "ToolHive connection failed"])
        self.assertEqual((told["failures"], told["reconnects"], told["port_changes"]), (failures, 1, 0))
        self.assertGreater(told["scans"], 0)
        self.assertGreaterEqual(told["requests"], len(self.standin.requests()) - 1)

    def test_nothing_confidential(self):
        self.standin.control("workloads", update={"workload-00000": {"url": None}})
        optimizer = self.polled(log_level="DEBUG")
        self.assertIn("/api/v1beta/workloads/workload-00000", [seen["path"] for seen in self.standin.requests()])
        everything = json.dumps(state(optimizer)) + "".join(line.text for line in optimizer.lines())
        self.assertNotIn("confidential-value", everything)

    def test_where_it_is(self):
        with self.subTest("none"):
            optimizer = self.optimizer(state_file="none")
            optimizer.wait_line("Registry polled")
            self.assertEqual(list(optimizer.runtime.iterdir()), [])
        with self.subTest("a path"):
            path = self.folder() / "deeper" / "mine.json"
            optimizer = self.optimizer(state_file=path)
            optimizer.wait_line("Registry polled")
            self.assertEqual(json.loads(path.read_text())["pid"], optimizer.pid)
            self.assertEqual(list(optimizer.runtime.iterdir()), [])
        with self.subTest("without a RUNTIME_DIRECTORY"):
            optimizer = self.optimizer(environment={"RUNTIME_DIRECTORY": ""})
            optimizer.wait_line("Registry polled")
            path = optimizer.home / "xdg" / "mcp-optimizer" / "state.json"
            self.assertEqual(json.loads(path.read_text())["pid"], optimizer.pid)

    def test_one_that_cannot_be_written_is_told_once_and_costs_nothing(self):
        path = self.folder() / "file"
        path.write_text("not a folder")
        optimizer = self.optimizer(state_file=path / "state.json", workload_polling_interval=0.1)
        optimizer.wait_line("Registry polled")
        wait_for(lambda: len(self.standin.requests(LIST)) > 3, interval=0.02)
        warnings = optimizer.lines("WARNING")
        self.assertEqual(len(warnings), 1)
        self.assertIn(str(path), warnings[0].pairs["path"])


class TestWriting(StateCase):
    def test_a_reader_never_sees_half_a_file(self):
        self.standin.control("workloads", count=1000)
        optimizer = self.polled(workload_polling_interval=0.05)
        path = optimizer.runtime / "state.json"
        seen, size = set(), path.stat().st_size
        begun = time.monotonic()
        while len(seen) < 10:
            with open(path, "rb") as file:
                text = file.read()
                # Not the inode, whose number the next file may get.
                written = os.fstat(file.fileno()).st_mtime_ns
            self.assertTrue(len(text) > size // 2 and text.endswith(b"}\n"), text[-100:])
            if written not in seen:
                seen.add(written)
                self.assertEqual(json.loads(text)["workloads"]["total"], 1000)
            self.assertLess(lasted(begun), 10, f"{len(seen)} files in all")
        optimizer.terminate()
        self.assertEqual(sorted(os.listdir(optimizer.runtime)), ["state.json", "state.json.lock"])

    def test_everybody_may_read_it_whatever_the_umask(self):
        kept, metrics = self.folder(), self.folder() / "metrics.prom"
        optimizer = self.polled(wrapper=["sh", "-c", 'umask 077; exec "$@"', "sh"], metrics_file=metrics,
                                environment={"STATE_DIRECTORY": str(kept)})
        for path in (optimizer.runtime / "state.json", optimizer.runtime / "state.json.lock",
                     kept / "state.json", metrics):
            self.assertEqual(stat.filemode(path.stat().st_mode), "-rw-r--r--", path)

    def test_it_is_not_written_through_a_symbolic_link(self):
        folder = self.folder()
        (folder / "target").write_text("precious")
        (folder / "state.json").symlink_to(folder / "target")
        self.optimizer(runtime=folder)
        wait_for(lambda: not (folder / "state.json").is_symlink(), interval=0.01)
        self.assertEqual((folder / "target").read_text(), "precious")


class TestLock(StateCase):
    def locked(self, runtime):
        """As any user can ask it: by the lock, without taking it."""
        flock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
        with open(runtime / "state.json.lock", "rb") as file:
            answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, flock)
        return struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK

    def test_running_means_that_the_lock_is_held(self):
        for end in ("stopped", "killed"):
            with self.subTest(end):
                runtime = self.folder()
                optimizer = self.polled(runtime=runtime)
                self.assertTrue(self.locked(runtime))
                optimizer.terminate() if end == "stopped" else optimizer.kill()
                self.assertFalse(self.locked(runtime))

    def test_its_time_is_the_heartbeat(self):
        optimizer = self.polled(workload_polling_interval=0.2)
        path = optimizer.runtime / "state.json.lock"
        self.assertLess(abs(time.time() - path.stat().st_mtime), 30 * SLOWNESS)
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 0, 5, "the next heartbeat", interval=0.02)

    def test_a_second_service_says_so_and_writes_none(self):
        runtime = self.folder()
        first = self.polled(runtime=runtime)
        second = self.optimizer(runtime=runtime, workload_polling_interval=0.1)
        line = second.wait_line("Another service")
        self.assertEqual(line.level, "WARNING")
        self.assertEqual(line.pairs["path"], str(runtime / "state.json"))
        polls = len(self.standin.requests(LIST))
        wait_for(lambda: len(self.standin.requests(LIST)) > polls + 3, interval=0.02)
        self.assertEqual(state(first)["pid"], first.pid)
        self.assertEqual(second.terminate()[0], 0)
        self.assertEqual(state(first)["pid"], first.pid)
        self.assertTrue(self.locked(runtime))
        self.assertEqual(len(second.lines("WARNING")), 1)


class TestKept(StateCase):
    """What a restart must not lose."""

    def restart(self, first, **settings):
        """Kills that one with all its memory; starts another, with ToolHive away."""
        before = state(first)
        first.kill()
        self.standin.stop_listening()
        second = self.optimizer(**settings)
        second.wait_line("ToolHive connection failed attempt=1 ")
        return before, second, self.wait_state(
            second, lambda told: told["pid"] == second.pid and told["connection"]["state"] == "reconnecting")

    def test_a_kill_loses_nothing(self):
        runtime = self.folder()
        before, second, told = self.restart(self.polled(runtime=runtime), runtime=runtime)
        for part in ("workloads", "registry"):
            for key in ("polled_at", "items", "names", "total", "running", "skipped", "servers", "last_updated"):
                self.assertEqual(told[part].get(key), before[part].get(key), f"{part}.{key}")
        self.assertEqual(told["connection"]["state"], "reconnecting")
        self.assertEqual(told["counters"]["reconnects"], 0)
        self.assertGreater(told["started_at"], before["started_at"])
        # The differences are those since then, and there is one.
        self.standin.control("workloads", remove=["workload-00001"])
        self.standin.control("registry", add=["fresh"])
        self.standin.start_listening()
        second.wait_line("Registry polled")
        news = [line.text for line in second.lines("INFO") if re.match("(Workload|Registry server) ", line.message)]
        self.assertEqual(news, ["INFO     Workload removed name=workload-00001",
                                "INFO     Registry server added name=fresh"])

    def test_the_kept_copy_outlives_the_runtime_directory(self):
        kept = self.folder()
        environment = {"STATE_DIRECTORY": str(kept)}
        first = self.polled(environment=environment)
        copy = json.loads((kept / "state.json").read_text())
        self.assertEqual(violations(copy, DOCUMENT), [])
        self.assertEqual(copy["workloads"]["items"], state(first)["workloads"]["items"])
        before, _, told = self.restart(first, environment=environment)
        self.assertEqual(told["workloads"]["items"], before["workloads"]["items"])
        self.assertEqual(told["workloads"]["polled_at"], before["workloads"]["polled_at"])
        self.assertEqual(told["registry"]["names"], before["registry"]["names"])

    def test_the_kept_copy_is_written_when_something_is_new(self):
        kept = self.folder()
        optimizer = self.polled(environment={"STATE_DIRECTORY": str(kept)})
        copy = (kept / "state.json").stat()
        self.poll_again(optimizer)
        self.assertEqual((kept / "state.json").stat().st_ino, copy.st_ino)
        self.standin.control("workloads", add=["fresh"])
        self.poll_again(optimizer)
        self.assertIn("fresh", (kept / "state.json").read_text())

    def test_the_last_port_is_a_candidate(self):
        runtime = self.folder()
        first = self.polled(runtime=runtime)
        first.kill()
        second = self.optimizer(runtime=runtime, toolhive_port="none")
        line = second.wait_line("Connected to ToolHive")
        self.assertEqual(line.pairs["endpoint"], self.standin.urls[0])

    def test_one_that_is_not_ours_is_ignored_and_told(self):
        good = state(self.polled())
        item = good["workloads"]["items"][0]
        others = {
            "another schema": {**good, "schema": 2},
            "another mode": {**good, "runtime_mode": "k8s"},
            "another host": {**good, "host": "elsewhere"},
            "nothing of it": {},
            "half of it": json.dumps(good)[:len(json.dumps(good)) // 2],
            "not JSON": "\0\1\2",
            "empty": "",
            "too large": json.dumps(good) + " " * (17 * MIB),
            "a port that is none": {**good, "connection": {**good["connection"], "port": 99999}},
            "a name with control characters": {**good, "workloads": {
                **good["workloads"], "items": [{**item, "name": "a\x1b[2J"}, *good["workloads"]["items"][1:]]}},
            "the same name twice": {**good, "workloads": {
                **good["workloads"], "items": [item, *good["workloads"]["items"][:2]]}},
            "a time that is none": {**good, "registry": {**good["registry"], "polled_at": "yesterday"}},
        }
        self.standin.stop_listening()
        for name, document in others.items():
            with self.subTest(name):
                runtime = self.folder()
                text = document if isinstance(document, str) else json.dumps(document)
                (runtime / "state.json").write_text(text)
                with self.optimizer(runtime=runtime) as optimizer:
                    optimizer.wait_line("ToolHive connection failed")
                    told = [line for line in optimizer.lines("INFO") if "state file" in line.message]
                    self.assertEqual(len(told), 1, optimizer.lines())
                    self.assertEqual(told[0].pairs["path"], str(runtime / "state.json"))
                    self.assertTrue(told[0].pairs["reason"])
                    told = self.wait_state(optimizer, lambda told: told.get("pid") == optimizer.pid)
                    self.assertEqual(violations(told, DOCUMENT), [])
                    self.assertEqual(told["workloads"]["items"], [])

    def test_a_damaged_kept_copy_does_not_hide_the_state_file(self):
        runtime, kept = self.folder(), self.folder()
        environment = {"STATE_DIRECTORY": str(kept)}
        first = self.polled(runtime=runtime, environment=environment)
        text = (kept / "state.json").read_text()
        (kept / "state.json").write_text(text[:len(text) // 2])
        before, second, told = self.restart(first, runtime=runtime, environment=environment)
        self.assertEqual(told["workloads"]["items"], before["workloads"]["items"])
        self.assertEqual([line.text for line in second.lines() if "state file" in line.message], [])

    def test_a_path_that_cannot_be_opened_does_not_cost_the_kept_copy(self):
        kept, path = self.folder(), self.folder() / "file"
        path.write_text("not a folder")
        optimizer = self.optimizer(state_file=path / "state.json", environment={"STATE_DIRECTORY": str(kept)})
        optimizer.wait_line("Registry polled")
        copy = wait_for(lambda: (kept / "state.json").exists() and json.loads((kept / "state.json").read_text()))
        self.assertEqual((copy["pid"], copy["workloads"]["total"]), (optimizer.pid, 3))
        optimizer.terminate()
        self.assertEqual(sorted(os.listdir(kept)), ["state.json", "state.json.lock"])
        self.assertEqual(len(optimizer.lines("WARNING")), 1)

    def test_a_kept_copy_that_is_ours_is_believed_without_a_word(self):
        runtime = self.folder()
        self.polled(runtime=runtime).kill()
        optimizer = self.polled(runtime=runtime)
        self.assertEqual([line.text for line in optimizer.lines() if "state file" in line.message], [])


# Their allocators keep freed memory, shadow and quarantine: figures would tell of them, not of us.
@unittest.skipIf(os.environ.get("MCP_OPTIMIZER_TEST_SANITIZER"), "memory under a sanitizer tells nothing")
class TestMemory(StateCase):
    def test_what_a_few_workloads_take(self):
        """As README says of it: about 12 MiB, two threads, no wake-up without a reason."""
        optimizer = self.polled()
        wait_for(lambda: optimizer.threads() == 2, what="the end of libcurl's resolver")
        self.assertLess(optimizer.rss() / MIB, 14)
        self.assertLess(optimizer.anon() / MIB, 3)

        def at_rest(span):
            before = optimizer.wakeups()
            time.sleep(span)
            return optimizer.wakeups() == before
        wait_for(lambda: at_rest(0.1), what="the end of the poll's last steps")
        self.assertTrue(at_rest(0.5))

    def test_the_peak_of_a_large_list_polled_twice(self):
        """15 MiB of entries as long as they may be: at the second poll there are two such lists, and the body."""
        entries = [{"name": f"{number:05}".ljust(253, "n"), "status": "running", "url": "http://".ljust(2048, "u"),
                    "package": "p" * 1024, "group": "g" * 100} for number in range(4500)]
        body = json.dumps({"workloads": entries}, separators=(",", ":"))
        self.assertTrue(14 * MIB < len(body) < 16 * MIB)
        self.standin.control("workloads", raw=body)
        optimizer = self.polled()
        told = self.poll_again(optimizer)
        self.assertEqual((told["workloads"]["total"], told["workloads"]["problem"]), (4500, None))
        self.assertEqual([line.text for line in optimizer.lines("WARNING")], [])
        self.assertLess(optimizer.peak() / MIB, 64)

    def test_memory_after_ten_thousand_workloads_and_then_none(self):
        optimizer = self.polled()
        before = optimizer.rss()
        self.standin.control("workloads", count=10000)
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 10000)
        self.standin.control("workloads", raw='{"workloads":null}')
        self.assertEqual(self.poll_again(optimizer)["workloads"]["total"], 0)
        # Both polls are made; what the second one of them frees is free a moment after the file is written.
        wait_for(lambda: optimizer.rss() <= before + 4 * MIB, 2, f"memory within 4 MiB of {before / MIB:.1f} MiB")


class TestMetrics(StateCase):
    def samples(self, path):
        found = {}
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name.removeprefix("mcp_optimizer_")] = float(value)
        return found

    def test_the_file(self):
        self.standin.control("workloads", status={"workload-00001": "stopped"})
        path = self.folder() / "mcp-optimizer.prom"
        optimizer = self.polled(metrics_file=path, toolhive_max_retries=2, workload_polling_interval=0.2)
        # It is written after the state file.
        wait_for(lambda: "registry_servers" in self.samples(path), interval=0.01)
        text = path.read_text()
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) mcp_optimizer_\w+ .+|'
                                   r'mcp_optimizer_\w+(\{\w+="[^"]*"\})? [0-9.]+)$')
        for name, kind in (("up", "gauge"), ("connected", "gauge"), ("attempt", "gauge"), ("workloads", "gauge"),
                           ("registry_servers", "gauge"), ("requests_total", "counter"),
                           ("reconnects_total", "counter"), ("port_changes_total", "counter"),
                           ("last_success_timestamp_seconds", "gauge")):
            self.assertEqual(text.count(f"# TYPE mcp_optimizer_{name} {kind}\n"), 1, name)
        found = self.samples(path)
        self.assertEqual(
            {key: found[key] for key in ("up", "connected", "attempt", "registry_servers", "reconnects_total",
                                         "port_changes_total", 'requests_total{result="failure"}',
                                         'workloads{status="running"}', 'workloads{status="stopped"}')},
            {"up": 1, "connected": 1, "attempt": 0, "registry_servers": 84, "reconnects_total": 0,
             "port_changes_total": 0, 'requests_total{result="failure"}': 0,
             'workloads{status="running"}': 2, 'workloads{status="stopped"}': 1})
        self.assertGreaterEqual(found['requests_total{result="ok"}'], 2)
        self.assertLess(abs(time.time() - found["last_success_timestamp_seconds"]), 60 * SLOWNESS)

        self.standin.control("toolhive", runtime_away=True)
        wait_for(lambda: self.samples(path)['requests_total{result="answer"}'] > 0, interval=0.01)
        self.assertEqual(self.samples(path)["connected"], 1)
        self.standin.stop_listening()
        self.assertEqual(optimizer.finish()[0], 1)
        found = self.samples(path)
        self.assertEqual((found["up"], found["connected"], found["attempt"]), (0, 0, 2))
        self.assertGreaterEqual(found['requests_total{result="failure"}'], 2)

    def test_one_that_cannot_be_written_is_told_once(self):
        optimizer = self.polled(metrics_file=self.folder() / "missing" / "file.prom", workload_polling_interval=0.1)
        wait_for(lambda: len(self.standin.requests(LIST)) > 3, interval=0.02)
        self.assertEqual(len(optimizer.lines("WARNING")), 1)


if __name__ == "__main__":
    main(abreast=True)
