#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, below a service manager and without one: READY, STATUS and the watchdog, stops at any
moment, reloads, the log's formats."""

import itertools
import json
import os
import pathlib
import re
import signal
import time

from kube import REFUSED, Case, connected, failed, known, restored
from cluster import Authority
from harness import NotifySocket, free_port, lasted, main, state, wait_for

LONG = {"toolhive_initial_backoff": 10, "toolhive_max_backoff": 300}
WATCHDOG = 0.6


class ServiceCase(Case):
    def notified(self, cluster, **settings):
        """A program with a notify socket of its own: program.notify."""
        notify = self.enterContext(NotifySocket())
        program = self.program(cluster, notify=notify, **settings)
        program.notify = notify
        return program

    def silent(self, **options):
        """A server that takes connections and says nothing, not even in a handshake."""
        return self.cluster(misbehave="silence", **options)


class TestNotify(ServiceCase):
    def test_ready_and_status(self):
        cluster = self.cluster(3)
        cluster.objects(update=[{"name": "mcpserver-00000", "status": {"phase": "Failed"}}])
        program = self.notified(cluster)
        wanted = f"Connected to Kubernetes API v1.34.1 on {cluster.url}: 3 workloads (2 running)"
        self.assertEqual(program.notify.wait(wanted).fields["STATUS"], wanted)
        program.notify.wait("READY=1")
        self.wait_watching(cluster, program)
        # A change is in the status as soon as it is known.
        cluster.objects(add=["tools/fetch"])
        program.notify.wait("4 workloads (3 running)", 1)
        self.assertEqual(len(program.notify.messages("READY")), 1)
        self.assertEqual({message.pid for message in program.notify.messages()}, {program.pid})

    def test_ready_at_once_when_it_is_refused_or_denied(self):
        nobody = self.cluster()
        nobody.stop_listening()
        denying = self.cluster()
        denying.refuse(403, "Forbidden", "no", route="LIST *")
        for cluster, status in ((nobody, r"Kubernetes API unavailable \(Connection refused\): attempt 1 of 100, next "
                                         r"try at \d\d:\d\d:\d\d"),
                                (denying, "Degraded: Kubernetes API denies the account to list mcpservers, "
                                          "virtualmcpservers, mcpremoteproxies in all namespaces")):
            with self.subTest(status=status):
                program = self.notified(cluster, **LONG)
                self.assertLess(lasted(program.started, program.notify.wait("READY=1").time), 0.5)
                wait_for(lambda program=program, status=status: re.fullmatch(
                    status, program.notify.messages("STATUS")[-1].fields["STATUS"]), what=status)

    def test_ready_after_a_second_when_it_hangs(self):
        tls = self.silent(tls=Authority.common().server())
        rows = {"a handshake": tls, "the version": self.cluster(misbehave="hang"),
                "a list": self.cluster(1, misbehave="hang,route=LIST *")}
        programs = {what: self.notified(cluster, toolhive_timeout=60) for what, cluster in rows.items()}
        for what, program in programs.items():
            with self.subTest(what=what):
                moment = program.notify.wait("READY=1").time
                self.assertGreater(moment - program.started, 1)
                self.assertLess(lasted(program.started, moment), 1.5)

    def test_the_watchdog_is_fed_by_progress(self):
        """Wherever the worker is, twice a period and no more, whatever flows in meanwhile."""
        environment = {"WATCHDOG_USEC": str(int(WATCHDOG * 1e6))}
        flooded = self.cluster(1)
        rows = {"watching": self.cluster(1), "a silent handshake": self.silent(tls=Authority.common().server()),
                "a list": self.cluster(1, misbehave="hang,route=LIST *"),
                "watches that are not answered": self.cluster(1, misbehave="hang,route=WATCH *"), "events": flooded}
        programs = {what: self.notified(cluster, environment=environment, toolhive_timeout=60)
                    for what, cluster in rows.items()}
        nobody = self.cluster()
        nobody.stop_listening()
        programs["backoff"] = self.notified(nobody, environment=environment, **LONG)
        numbers = itertools.count()
        while any(len(program.notify.messages("WATCHDOG")) < 4 for program in programs.values()):
            flooded.objects(add=[f"tools/fetch-{next(numbers)}"])
            self.assertLess(lasted(programs["events"].started), 8)
        for what, program in programs.items():
            with self.subTest(what=what):
                times = [program.started, *(ping.time for ping in program.notify.messages("WATCHDOG"))]
                self.assertLess(max(itertools.starmap(lasted, itertools.pairwise(times))), WATCHDOG)
                # Due at half the period, and not before; a gap can be short only after a late one.
                self.assertGreater(times[-1] - times[0], (len(times) - 1) * (WATCHDOG / 2 - 0.01))

    def test_a_reload(self):
        """Told at once, also while the API server hangs; the lists are asked for anew."""
        cluster, hanging = self.cluster(1), self.cluster(1, misbehave="hang,route=LIST *")
        for server in (cluster, hanging):
            program = self.notified(server, toolhive_timeout=60)
            wait_for(lambda server=server: self.seen(server, "LIST"))
            program.notify.wait("READY=1")
            program.signal(signal.SIGHUP)
            message = program.notify.wait("RELOADING=1", 1)
            self.assertIn("MONOTONIC_USEC", message.fields)
            wait_for(lambda program=program: len(program.notify.messages("READY")) == 2, 1)
        wait_for(lambda: len(self.seen(cluster, "LIST")) >= 6)

    def test_a_reload_cuts_a_backoff_short(self):
        cluster = self.cluster(1)
        cluster.stop_listening()
        program = self.program(cluster, **LONG)
        program.wait_line("attempt=1")
        cluster.start_listening()
        program.signal(signal.SIGHUP)
        program.wait_line("connection restored", 2)
        self.assertEqual(self.told(program), [
            failed(1, 100, REFUSED, "10.0"), connected(cluster.url), restored(cluster.url, 1)])


class TestStops(ServiceCase):
    """SIGTERM and SIGINT: exit 0 within half a second, whatever is under way."""

    def assert_stops(self, program, number=signal.SIGTERM):
        start = time.monotonic()
        program.signal(number)
        code, output = program.finish()
        took = time.monotonic() - start
        self.assertLess(lasted(start), 0.5)
        self.assertEqual((code, output), (0, ""))
        self.assertEqual([line.text for line in program.lines() if line.level in ("ERROR", "CRITICAL")], [])
        # A worker that needs more than 500 ms, on a machine that is busy, is left behind.
        if took < 0.5 and state(program):
            self.assertEqual(state(program)["connection"]["state"], "stopped")

    def test_while_watching(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            _, program = self.both(1)
            everything = known(program)
            self.assert_stops(program, number)
            self.assertEqual(known(program), everything)

    def test_in_the_handshake(self):
        cluster = self.silent(tls=Authority.common().server())
        program = self.program(cluster, toolhive_timeout=60, k8s_ca_file=Authority.common().certificate)
        wait_for(cluster.connections)
        self.assert_stops(program)

    def test_in_the_handshake_of_a_watch(self):
        cluster, program = self.both(1, {"toolhive_timeout": 60, "k8s_ca_file": Authority.common().certificate},
                                     tls=True)
        cluster.reset()
        cluster.behave("silence")
        cluster.kubernetes(end_watches=True)
        wait_for(lambda: len(cluster.connections()) >= 3)
        self.assert_stops(program)

    def test_while_connecting(self):
        cluster = self.cluster(misbehave="backlog-full")
        program = self.program(cluster, toolhive_timeout=60)
        wait_for(lambda: state(program))
        self.assert_stops(program)

    def test_in_a_request(self):
        for behaviour, route, seen in (
                ("hang", "GET /version", 1), ("hang", "LIST *", 2), ("drip-headers", "LIST *", 2),
                ("drip-body", "LIST *", 2), ("endless", "LIST *", 2), ("hang", "WATCH *", 7),
                ("stream-endless", "WATCH *", 7), ("drip-headers", "WATCH *", 7)):
            with self.subTest(behaviour=behaviour, route=route):
                cluster = self.cluster(1, misbehave=f"{behaviour},route={route}")
                program = self.program(cluster, toolhive_timeout=60)
                wait_for(lambda cluster=cluster, seen=seen: len(cluster.requests()) >= seen)
                self.assert_stops(program)

    def test_in_a_flood_of_events(self):
        cluster, program = self.both()
        for _ in range(5):
            cluster.objects(count=200)
            cluster.objects(count=0)
        self.assert_stops(program)

    def test_between_attempts(self):
        cluster = self.cluster()
        cluster.stop_listening()
        program = self.program(cluster, **LONG)
        program.wait_line("attempt=1")
        self.assert_stops(program)

    def test_while_denied(self):
        cluster = self.cluster()
        cluster.refuse(403, "Forbidden", "no", route="LIST *")
        program = self.program(cluster, **LONG)
        program.wait_line("denies the account")
        self.assert_stops(program)

    def test_during_the_startup_delay(self):
        program = self.program(self.cluster(), startup_polling_delay=300)
        wait_for(lambda: state(program))
        self.assert_stops(program)


def event_ids():
    """MESSAGE_IDs by the names of the events, as the source has them."""
    header = pathlib.Path(os.environ["MCP_OPTIMIZER_SOURCE"], "src/report/event.h").read_text()
    return dict(re.findall(r'EVENT\((\w+), +"([0-9a-f]{32})"\)', header))


class TestLog(ServiceCase):
    def test_json(self):
        """The events of both modes have the same IDs; a namespace is a pair of its own."""
        cluster = self.cluster(1)
        program = self.program(cluster, log_format="json", toolhive_max_retries=3)
        self.wait_state(program, lambda told: told["connection"]["state"] == "connected")
        cluster.stop_listening()
        self.wait_state(program, lambda told: told["connection"]["attempt"] == 1)
        cluster.start_listening()
        self.wait_state(program, lambda told: told["connection"]["state"] == "connected")
        cluster.stop_listening()
        code, _ = program.finish()
        self.assertEqual(code, 1)
        ids, wanted = event_ids(), {
            "Connected to Kubernetes API": "CONNECTED",
            "Kubernetes API connection failed": "ATTEMPT_FAILED",
            "Kubernetes API connection restored": "RESTORED",
            "All retry attempts exhausted. Kubernetes API is unavailable.": "EXHAUSTED",
            "Kubernetes API connection failure - exiting": "EXITING"}
        entries = [json.loads(line.text) for line in program.lines()]
        seen = {entry["message"]: entry["message_id"] for entry in entries if entry["message"] in wanted}
        self.assertEqual(seen, {message: ids[event] for message, event in wanted.items()})
        for entry in entries:
            self.assertEqual(list(entry)[:3], ["time", "level", "message"])
        first = next(entry for entry in entries if entry["message"] == "Kubernetes API connection failed")
        self.assertEqual({key: first[key] for key in list(first)[4:]}, {
            "attempt": 1, "max_retries": 3, "error": REFUSED, "backoff_seconds": 0.1})
        added = next(entry for entry in entries if entry["message"] == "Workload added")
        self.assertEqual((added["name"], added["namespace"]), ("mcpserver-00000", "default"))

    def test_the_start_names_the_settings_and_no_secret(self):
        cluster = self.cluster(1)
        path = self.enterContext(NotifySocket()).path + ".token"
        pathlib.Path(path).write_text("planted")
        program = self.program(cluster, k8s_token_file=path, k8s_namespace="tools", log_level="DEBUG")
        self.wait_polled(program)
        pairs = program.wait_line("Starting mcp-optimizer").pairs
        self.assertEqual((pairs["mode"], pairs["k8s_namespace"], pairs["k8s_token_file"]),
                         ("k8s", "tools (environment)", f"{path} (environment)"))
        program.terminate()
        self.assertNotIn("planted", "".join(line.text for line in program.lines()))
        self.assertNotIn("planted", (program.runtime / "state.json").read_text())

    def test_a_second_service(self):
        """It writes no state file, and works for all that."""
        cluster, first = self.both(1)
        second = self.program(cluster, runtime=first.runtime)
        second.wait_line("Another service holds the state file")
        # What the first has written down by then is no news to the second.
        wait_for(lambda: cluster.kubernetes()["watches"] == 6)
        cluster.objects(add=["tools/fetch"])
        second.wait_line("name=fetch")
        self.assertEqual(state(first)["pid"], first.pid)

    def test_a_server_of_another_address_is_another_cluster(self):
        """What was known of the one is not taken for the other's."""
        cluster, first = self.both(2)
        first.terminate()
        other = self.program(cluster, runtime=first.runtime, k8s_api_server_url=f"http://127.0.0.1:{free_port()}")
        other.wait_line("Ignoring the state file of an earlier service")
        other.wait_line("attempt=1")
        self.assertEqual(known(other), {})


if __name__ == "__main__":
    main(abreast=True)
