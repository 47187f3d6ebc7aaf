#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, watches: what changes is known at once, whatever ends them, and nobody is kept busy."""

import json
import re
import signal
import time

from kube import MEASURED, PLURALS, Case, known, watch_version, worse
from cluster import V1BETA1
from harness import lasted, main, state, wait_for

# What a watch may be begun again in before its pauses make it rare; measured with the machine's clock.
A_MOMENT = 1.0


class WatchCase(Case):
    def add(self, cluster, program, name, within=1.0):
        """A new object, and how long it took to be known."""
        start = time.monotonic()
        cluster.objects(add=[name])
        line = program.wait_line(f"name={name.rpartition('/')[2]} ", within)
        return lasted(start, line.time)

    def began(self, cluster, count, timeout=5.0):
        """The watches so far, once there are so many."""
        return wait_for(lambda: len(seen := self.seen(cluster, "WATCH")) >= count and seen, timeout,
                        f"{count} watches begun")


class TestChanges(WatchCase):
    def test_the_request(self):
        cluster, _ = self.both(2)
        version = cluster.kubernetes()["resourceVersion"]
        query = f"?watch=true&allowWatchBookmarks=true&timeoutSeconds=290&resourceVersion={version}"
        self.assertEqual(sorted(request["path"] for request in self.seen(cluster, "WATCH")),
                         sorted(f"{V1BETA1}/{plural}{query}" for plural in PLURALS))

    def test_known_within_100_ms(self):
        """Each kind, each kind of change, in the log and in the state file."""
        cluster, program = self.both()
        for plural in PLURALS:
            item = {"resource": plural, "namespace": "tools", "name": plural}
            for verb, fields, wanted in (("add", {}, {"tools/" + plural: "running"}),
                                         ("update", {"status": {"phase": "Failed"}}, {"tools/" + plural: "failed"}),
                                         ("remove", {}, {})):
                with self.subTest(plural=plural, verb=verb):
                    start = time.monotonic()
                    cluster.objects(**{verb: [{**item, **fields}]})
                    self.wait_known(program, wanted)
                    self.assertLess(lasted(start), 0.1)
        self.assertEqual(len(self.seen(cluster, "LIST")), 3)
        self.assertEqual(worse(program), [])

    def test_changes_that_matter_to_nobody_are_not_told(self):
        cluster, program = self.both(1)
        before = len(program.lines())
        cluster.objects(update=[{"name": "mcpserver-00000", "metadata": {"annotations": {"seen": "now"}}}])
        cluster.objects(add=["tools/fetch"])
        program.wait_line("total=2")
        self.assertEqual([line.message for line in program.lines()[before:]], ["Workload added", "Workloads polled"])

    def test_between_the_list_and_the_watch(self):
        """What happens then is told by the watch, which begins at the list's version."""
        cluster = self.cluster(1, misbehave="slow,route=WATCH *,ms=400")
        program = self.polled(cluster)
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        self.assertEqual(len(self.seen(cluster, "LIST")), 3)

    def test_while_a_list_is_under_way(self):
        """The list is older than what its watch has told meanwhile: nothing comes and goes."""
        cluster, program = self.both(1)
        cluster.behave("drip-body", route="LIST */mcpservers", count=1, interval=0.0003)
        before = len(self.seen(cluster, "LIST"))
        program.signal(signal.SIGHUP)
        wait_for(lambda: len(self.seen(cluster, "LIST")) > before)
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        wait_for(lambda: len(self.seen(cluster, "LIST")) == before + 3)
        cluster.objects(add=["tools/late"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch", "tools/late"])
        self.assertEqual([line.message for line in program.lines() if "removed" in line.message], [])

    def test_a_thousand_at_once(self):
        cluster, program = self.both()
        cluster.objects(count=1000, namespaces=["a", "b"])
        self.wait_state(program, lambda told: told["workloads"]["total"] == 1000, 10)
        cluster.objects(count=0)
        self.wait_known(program, [], 10)
        self.assertEqual((worse(program), len(self.seen(cluster, "LIST"))), ([], 3))
        # So many changes are told together, and not line by line.
        self.assertGreater(len([line for line in program.lines() if line.message == "Workloads polled"]), 1)

    def test_one_object_again_and_again(self):
        """A controller that flaps costs little, and the last word counts."""
        cluster, program = self.both(1)
        spent = program.cpu()
        for n in range(300):
            cluster.objects(update=[{"name": "mcpserver-00000", "status": {"phase": ("Failed", "Ready")[n % 2]}}])
        cluster.objects(update=[{"name": "mcpserver-00000", "status": {"phase": "Terminating"}}])
        self.wait_known(program, {"default/mcpserver-00000": "terminating"})
        polls = [line for line in program.lines() if line.message == "Workloads polled"]
        self.assertLess(len(polls), 150)
        self.assertLess(program.cpu() - spent, 1)

    def test_nothing_happens_and_nobody_wakes(self):
        cluster, program = self.both(1)
        cluster.reset()
        spent, begun = program.cpu(), time.monotonic()
        wait_for(lambda: time.monotonic() - begun > A_MOMENT)
        self.assertEqual((cluster.requests(), cluster.connections()), ([], []))
        self.assertLess(program.cpu() - spent, 0.05)
        if MEASURED:
            self.assertEqual(program.threads(), 2)


class TestEnds(WatchCase):
    """A watch goes on where it was: no list, no line, nothing lost."""

    def test_by_the_server_in_time(self):
        cluster, program = self.both(1)
        cluster.objects(add=["tools/fetch"])
        program.wait_line("name=fetch")
        cluster.kubernetes(end_watches=True)
        watches = self.began(cluster, 6)
        version = str(cluster.kubernetes()["resourceVersion"])
        again = {request["path"].partition("?")[0].rpartition("/")[2]: watch_version(request)
                 for request in watches[3:]}
        # The others have been told nothing, and go on from the list.
        self.assertEqual(again, {"mcpservers": version, "virtualmcpservers": str(int(version) - 1),
                                 "mcpremoteproxies": str(int(version) - 1)})
        self.add(cluster, program, "tools/late")
        self.assertEqual((worse(program), len(self.seen(cluster, "LIST"))), ([], 3))

    def test_a_bookmark_is_where_it_goes_on(self):
        """Else it would go on from a version that the server may have forgotten."""
        cluster, program = self.both(1)
        cluster.objects(add=["tools/fetch"])
        program.wait_line("name=fetch")
        cluster.kubernetes(bookmark=True)
        cluster.kubernetes(forget=True, end_watches=True)
        version = str(cluster.kubernetes()["resourceVersion"])
        self.assertEqual({watch_version(request) for request in self.began(cluster, 6)[3:]}, {version})
        self.add(cluster, program, "tools/late")
        self.assertEqual((worse(program), len(self.seen(cluster, "LIST"))), ([], 3))

    def test_too_old_a_version_is_listed_again(self):
        """A list for all watches, or one for each that ends by itself; and all that happened meanwhile is in it."""
        cluster, program = self.both(2)
        cluster.objects(add=["virtualmcpservers/tools/all"])
        program.wait_line("name=all")
        cluster.objects(add=["tools/fetch"], remove=["mcpserver-00000"], missed=True)
        self.wait_known(program, ["default/mcpserver-00001", "tools/all", "tools/fetch"])
        wait_for(lambda: cluster.kubernetes()["watches"] == 3)
        self.assertIn(len(self.seen(cluster, "LIST")), (6, 9, 12))
        self.add(cluster, program, "tools/late")
        self.assertEqual(worse(program), [])

    def test_a_server_that_drains(self):
        """Its watches stay open and silent for a minute: the end of the other connection tells that it goes."""
        cluster, program = self.both(1)
        cluster.stop_listening(drain=True)
        program.wait_line("attempt=1", 2)
        cluster.start_listening()
        program.wait_line("connection restored")
        self.wait_watching(cluster, program)
        self.add(cluster, program, "tools/fetch")

    def test_restarts_in_a_row_do_not_slow_it_down(self):
        """Where nothing but the watches tells of the end, each begins in vain before the retries take over."""
        cluster, program = self.both(1, misbehave="close-after,route=LIST *")
        for n in range(2):
            cluster.stop_listening()
            wait_for(lambda: state(program)["connection"]["attempt"] > 0)
            cluster.start_listening()
            self.wait_state(program, lambda told, n=n: told["counters"]["reconnects"] == n + 1)
            back = time.monotonic()
            wait_for(lambda: cluster.kubernetes()["watches"] == 3)
            self.assertLess(lasted(back), 0.5)
            self.add(cluster, program, f"tools/fetch-{n}")


def error_event(code):
    return json.dumps({"type": "ERROR", "object": {"kind": "Status", "status": "Failure", "message": "no",
                                                   "reason": "x", "code": code}})


def line(text):
    return {"name": "stream-line", "text": text}


def event(kind, **metadata):
    return json.dumps({"type": kind, "object": {"metadata": metadata, "spec": {}, "status": {"phase": "Ready"}}})


# What a watch may be answered with; each is played twice for each resource, and the third watch is good.
BAD = {
    "end_at_once": {"name": "stream-end"},
    "no_json": line("garbage"),
    "no_object": line("[]"),
    "no_type": line('{"object":{}}'),
    "a_type_that_is_a_number": line('{"type":7,"object":{}}'),
    "an_object_that_is_none": line('{"type":"ADDED","object":[]}'),
    "keys_twice": line('{"type":"ADDED","type":"DELETED","object":{}}'),
    "invalid_utf8": {"name": "stream-line", "data": "eyJ0eXBlIjoiQURERUT/Iiwib2JqZWN0Ijp7fX0K"},
    "nul": {"name": "stream-line", "data": "AAAK"},
    "nested_too_deep": line('{"type":"ADDED","object":{"a":' + "[" * 40 + "]" * 40 + "}}"),
    "error_500": line(error_event(500)),
    "error_410": line(error_event(410)),
    "error_without_a_code": line('{"type":"ERROR","object":{}}'),
    "status_429": {"name": "status", "code": 429, "headers": {"Retry-After": "1"}},
    "status_502": {"name": "status", "code": 502},
    "status_503": {"name": "status", "code": 503},
    "status_404": {"name": "status", "code": 404, "body": "404 page not found\n"},
    "status_410": {"name": "status", "code": 410},
    "reset": {"name": "reset-after-request"},
    "close": {"name": "close"},
    "close_at_accept": {"name": "close-at-accept", "route": "*"},
    "headers_cut": {"name": "cut-headers"},
    "headers_of_a_megabyte": {"name": "header-line", "kib": 1024},
    "flood_of_1xx": {"name": "informational"},
    "no_http": {"name": "http09"},
    "a_list": {"name": "json", "text": '{"items":[],"metadata":{"resourceVersion":"300"}}'},
    "cut_in_a_chunk": {"name": "stream-cut", "text": '{"type":"ADDED","object":{}}'},
    "cut_in_an_event": {"name": "stream-cut", "within": "event", "end": "last", "text": '{"type":"ADDED","object":{}}'},
    "reset_in_an_event": {"name": "stream-cut", "end": "reset", "text": '{"type":"ADDED","object":{}}'},
    "endless_line": {"name": "stream-endless"},
    "event_of_3_MiB": {"name": "stream-huge", "mib": 3, "resource_version": 240},
}

# What is odd and no reason to end a watch: lines between the events, of the version of which they are told.
ODD = {
    "unknown_type": event("COMPACTED", name="a", namespace="b", resourceVersion="230"),
    "no_name": event("ADDED", namespace="b", resourceVersion="230"),
    "name_with_control_characters": event("ADDED", name="a\x1b[2J\nCRITICAL x", namespace="b", resourceVersion="230"),
    "namespace_with_an_escape": event("MODIFIED", name="a", namespace="\x1b]0;x\x07", resourceVersion="230"),
    "no_namespace": event("ADDED", name="a", resourceVersion="230"),
    "name_of_a_megabyte": event("ADDED", name="x" * (1 << 20), namespace="b", resourceVersion="230"),
    "deleted_and_never_there": event("DELETED", name="a", namespace="b", resourceVersion="230"),
    "an_older_version": event("DELETED", name="mcpserver-00000", namespace="default", resourceVersion="2"),
    "empty_lines": "\n\n\n",
    "bookmark_without_a_version": '{"type":"BOOKMARK","object":{"metadata":{}}}',
    "bookmark_of_the_past": '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}',
}


class TestBadAnswers(WatchCase):
    """Whatever comes, what was known stays, the next watch goes on from there, and there is no hot loop."""

    def play_bad(self, rule):
        cluster = self.cluster(1)
        rule = {"route": "WATCH *", "count": 6, **rule}
        accept = rule["route"] == "*"
        if not accept:
            cluster.behave(**rule)
        program = self.polled(cluster)
        if accept:
            self.wait_watching(cluster, program)
            cluster.behave(**rule)
            cluster.cut()
        small = program.rss()
        cluster.objects(add=["tools/fetch"])
        begun = time.monotonic()
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        seen = len(cluster.requests()) + len(cluster.connections())
        # 4 of the beginning and 9 watches, each with a connection; lists where a version was too old, checks.
        self.assertLess(seen, 70 + 40 * (time.monotonic() - begun))
        self.assertEqual([line.text for line in program.lines() if line.level in ("ERROR", "CRITICAL")], [])
        self.add(cluster, program, "tools/late", 3)
        self.assertEqual(state(program)["connection"]["state"], "connected")
        self.assert_small(program, small, 8)
        self.stop(program)

    def play_odd(self, text):
        cluster, program = self.both(1, {"log_level": "DEBUG"})
        # So that there are versions that nobody has.
        cluster.objects(add=[f"virtualmcpservers/tools/v-{number}" for number in range(20)])
        self.wait_state(program, lambda told: told["workloads"]["total"] == 21)
        cluster.kubernetes(event=text, resource="mcpservers")
        self.go_on(cluster, program)

    def go_on(self, cluster, program):
        before = known(program)
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, {**before, "tools/fetch": "running"})
        self.assertEqual((worse(program), len(self.seen(cluster, "WATCH"))), ([], 3))
        self.assertEqual([line.text for line in program.lines() if line.level is None], [])
        self.stop(program)

    def test_modified_and_never_listed(self):
        cluster, program = self.both(1)
        cluster.kubernetes(event=event("MODIFIED", name="late", namespace="tools", resourceVersion="230"),
                           resource="mcpservers")
        self.wait_known(program, ["default/mcpserver-00000", "tools/late"])

    def test_slices_that_cut_through_everything(self):
        for size in (1, 7):
            with self.subTest(size=size):
                cluster = self.cluster(1)
                cluster.behave("stream-slices", route="WATCH *", size=size)
                program = self.polled(cluster)
                wait_for(lambda cluster=cluster: cluster.kubernetes()["watches"] == 3)
                self.go_on(cluster, program)

    def stop(self, program):
        code, seconds = program.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 0.5)


def _rows(play, rows):
    for name, rule in rows.items():
        setattr(TestBadAnswers, f"test_{name}", lambda self, rule=rule: getattr(self, play)(rule))


_rows("play_bad", BAD)
_rows("play_odd", ODD)


class TestForGood(WatchCase):
    """Watches that never hold: told once, and asked for less and less often."""

    def test_told_once(self):
        """With what the matter is, and that lists are not."""
        rows = {"end_at_once": ("200", "Ends as soon as it has begun"), "status_503": ("503", "HTTP 503"),
                "reset": ("0", "Connection reset by peer"), "error_410": ("410", "Too old as soon as it has begun")}
        plays = {}
        for name in rows:
            cluster = self.cluster(1)
            cluster.behave(route="WATCH *", **BAD[name])
            plays[name] = cluster, self.program(cluster, workload_polling_interval=0.5)
        for _, program in plays.values():
            program.wait_line(lambda line: line.level == "WARNING", 8)
        told = time.monotonic()
        wait_for(lambda: time.monotonic() - told > A_MOMENT)
        for name, (cluster, program) in plays.items():
            with self.subTest(name=name):
                pairs, = (line.pairs for line in program.lines("WARNING"))
                self.assertEqual((pairs["operation"], pairs["status"], pairs["error"]),
                                 ("watch workloads", *rows[name]))
                self.assertEqual(state(program)["connection"]["state"], "degraded")
                self.assertLess(len(self.seen(cluster, "WATCH")), 24)
                # It is no outage, and a change is known by the list.
                self.assertEqual(state(program)["counters"]["failures"], 0)
                cluster.objects(add=["tools/fetch"])
                self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])

    def test_what_the_server_itself_refuses(self):
        """Is told once, and tried again with the next list."""
        cluster = self.cluster(1)
        cluster.refuse(500, "InternalError", "etcd is away", route="WATCH *", count=3)
        program = self.polled(cluster, workload_polling_interval=0.5)
        pairs = program.wait_line(re.compile("^WARNING")).pairs
        self.assertEqual((pairs["operation"], pairs["status"], pairs["error"]),
                         ("watch workloads", "500", "etcd is away"))
        program.wait_line("answers again")
        self.wait_watching(cluster, program)
        self.assertEqual(len(worse(program)), 1)

    def test_a_restart_that_remembers_no_version(self):
        """Whatever the order in which the ends and the refusals come, all is known again."""
        cluster, program = self.both(2)
        cluster.objects(remove=["mcpserver-00000"], add=["tools/fetch"])
        cluster.restart()
        self.wait_known(program, ["default/mcpserver-00001", "tools/fetch"])
        self.wait_watching(cluster, program)
        cluster.objects(add=["tools/late"])
        self.wait_known(program, ["default/mcpserver-00001", "tools/fetch", "tools/late"])

    def test_descriptors_and_memory_do_not_grow(self):
        """Over many outages, each of which ends three watches in the middle of an event."""
        cluster = self.cluster(1)
        cluster.behave("stream-cut", route="WATCH *", within="event", text='{"type":"ADDED","obj', pause=3600)
        program = self.polled(cluster)
        fds, small = program.fds(), program.rss()
        for n in range(12):
            cluster.stop_listening()
            program.signal(signal.SIGHUP)
            self.wait_state(program, lambda told: told["connection"]["attempt"] > 0)
            cluster.start_listening()
            program.signal(signal.SIGHUP)
            self.wait_state(program, lambda told, n=n: told["counters"]["reconnects"] > n)
        cluster.clear()
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        self.assertLessEqual(program.fds(), fds + 4)
        self.assert_small(program, small)


if __name__ == "__main__":
    # They wait far more than they work.
    main(abreast=16)
