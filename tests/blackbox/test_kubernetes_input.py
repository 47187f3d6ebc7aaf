#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, bad input in lists: whatever comes, the service lives, stays small, and forgets nothing.

The play is the same for each row. Three objects are known and watched; then the lists of one resource
turn bad, which is told by the expected line. What was known stays, and when the lists are good again the
service is as before. Watches have their rows in test_kubernetes_watch.py.
"""

import base64
import json
import re
import signal
import time

from kube import Case, connected, known, worse
from cluster import MCPSERVERS
from harness import lasted, main, state, wait_for

ROUTE = "LIST */mcpservers"


# ---- what a row expects to be told ----

class Failed:
    """A connection failure with these words."""

    state = "reconnecting"

    def __init__(self, error):
        self.error = re.compile(error)

    def told_by(self, line):
        return line.message == "Kubernetes API connection failed" and self.error.fullmatch(line.pairs["error"])


class Answered(Failed):
    """An answer that is of no use: one WARNING that says why."""

    state = "degraded"

    def told_by(self, line):
        return (line.message == "Kubernetes API gives an answer that is of no use"
                and self.error.fullmatch(line.pairs["error"]))


LATE = Failed(r"Timed out after 1\.0 s")
CUT = Failed("Answer cut short")
NOT_HTTP = Failed("Not HTTP")
HEADERS = Answered("Headers over 64 KiB")
BIG = Answered("Body over 16 MiB")


def unusable(words):
    return Answered(f"Unusable body: {words}")


NO_LIST = unusable("not a list of the API server")
ENDLESS = unusable("a list without end")
MANY = unusable("too many workloads")


# ---- the rows: what is answered, and what is told of it ----

def row(expected, name, **parameters):
    return {"name": name, **parameters}, expected


def text(body, expected):
    data = base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode()
    return row(expected, "json", data=data)


def page(expected, metadata='{"resourceVersion":"300","continue":""}', items="[]"):
    return text(f'{{"items":{items},"metadata":{metadata}}}', expected)


def raw(data, expected):
    return row(expected, "raw", data=base64.b64encode(data).decode())


def small(number):
    return f'{{"metadata":{{"name":"n-{number}","namespace":"default","resourceVersion":"1"}}}}'


ROWS = {
    # slow, cut, reset
    "silence": row(LATE, "silence"),
    "no_answer": row(LATE, "hang"),
    "header_drip": row(LATE, "drip-headers"),
    "body_drip": row(LATE, "drip-body"),
    "headers_cut": row(CUT, "cut-headers"),
    "body_cut": row(CUT, "cut-body"),
    "length_too_long": row(CUT, "length-long"),
    "length_too_short": row(unusable(".+"), "length-short"),
    "reset_after_the_request": row(Failed("Connection reset by peer"), "reset-after-request"),
    "reset_in_the_body": row(Failed("Connection reset by peer"), "reset-in-body"),
    "closed": row(Failed("Connection closed before the answer"), "close"),
    "chunk_size_that_is_none": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}", NOT_HTTP),

    # too much
    "header_line_of_a_megabyte": row(HEADERS, "header-line", kib=1024),
    "headers_of_65_KiB": row(HEADERS, "header-many"),
    "trailers_of_megabytes": row(HEADERS, "trailers"),
    "endless_chunked_body": row(BIG, "endless"),
    "endless_body_without_a_length": row(BIG, "endless", chunked=False),
    "length_over_the_cap": row(BIG, "big"),
    "gzip_bomb": row(unusable("not JSON"), "gzip-bomb"),
    "sixteen_MiB_of_empty_objects": row(unusable("too many values"), "entries", n=5_500_000, key="items"),
    "objects_20001": row(MANY, "repeated", head='{"metadata":{"resourceVersion":"300"},"items":[',
                         piece=small(1) + ",", tail=small(2) + "]}", n=20_000),
    "nameless_20001": row(MANY, "repeated", head='{"metadata":{"resourceVersion":"300"},"items":[', piece="{},",
                          tail="{}]}", n=20_000),
    "megabytes_of_keys": row(unusable(".+"), "repeated", head="{", piece='"a":0,', tail='"b":0}', n=1_500_000),
    "nested_a_million_deep": row(unusable("nested deeper than 32"), "repeated", head="", piece="[", tail=""),

    # not JSON, or no list
    "no_json": text("garbage", unusable("not JSON")),
    "empty": text("", unusable("an empty body")),
    "cut_short": text('{"items":[{"metadata":', unusable("JSON that is cut short")),
    "an_array": text("[]", NO_LIST),
    "no_metadata": text('{"items":[]}', NO_LIST),
    "no_items": text('{"metadata":{"resourceVersion":"300"}}', unusable('no "items"')),
    "items_no_array": page(unusable('no "items"'), items="{}"),
    "items_twice": text('{"items":[],"items":[],"metadata":{"resourceVersion":"300"}}', unusable('no "items"')),
    "metadata_twice": text('{"items":[],"metadata":{},"metadata":{}}', NO_LIST),
    "bad_utf8": row(unusable("invalid UTF-8"), "bad-utf8"),
    "overlong_utf8": row(unusable("invalid UTF-8"), "bad-utf8", kind="overlong"),
    "surrogate_in_utf8": row(unusable("invalid UTF-8"), "bad-utf8", kind="surrogate"),
    "nul_in_a_key": text('{"items\\u0000":[],"metadata":{}}', unusable(".+")),
    "nan": text('{"items":[NaN],"metadata":{}}', unusable("not JSON")),
    "nested_too_deep": row(unusable("nested deeper than 32"), "depth"),

    # pages
    "continue_for_ever": page(ENDLESS, '{"resourceVersion":"300","continue":"abc"}'),
    "continue_with_a_number": page(unusable('invalid "continue"'), '{"resourceVersion":"300","continue":7}'),
    "continue_of_5_KB": page(unusable('invalid "continue"'),
                             json.dumps({"resourceVersion": "300", "continue": "x" * 5000})),
    "expired_for_ever": row(Answered("gone"), "status", code=410, body="gone\n"),

    # another answer
    "status_204": row(unusable("not what was asked for"), "status", code=204),
    "status_500": row(Answered("Internal Server Error"), "status"),
    "status_999": raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nno", Answered("no")),
    "words_that_drive_a_terminal": row(Answered("\x1b\\[2J evil"), "status", code=500, body="\x1b[2J evil\nCRITICAL x"),
    "redirect": row(Answered("HTTP 302"), "redirect", url="/version"),
    "redirect_to_a_file": row(Answered("HTTP 302"), "redirect", url="file:///etc/passwd"),
    "switching_protocols": row(NOT_HTTP, "switching"),
    "flood_of_1xx": row(NOT_HTTP, "informational"),
    "http_0_9": row(NOT_HTTP, "http09"),
    "ssh": row(NOT_HTTP, "ssh"),
    "noise": row(NOT_HTTP, "garbage"),
    "tls_alert": row(NOT_HTTP, "tls-alert"),
}
# Played before anything is read, so on whatever is asked.
AT_ACCEPT = ("silence", "ssh")


class InputCase(Case):
    def stops(self, program):
        code, seconds = program.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 0.5)


class TestLists(InputCase):
    def play(self, rule, expected):
        # Where the time is not the point, a loaded machine has it.
        cluster, program = self.both(3, {"toolhive_timeout": 1 if expected is LATE else 10,
                                         "workload_polling_interval": 0.4})
        everything, before, fds = known(program), program.rss(), program.fds()
        route = "*" if rule["name"] in AT_ACCEPT else ROUTE
        cluster.behave(**rule, route=route)
        if route == "*":
            cluster.cut()
        cluster.reset()
        begun = time.monotonic()
        program.signal(signal.SIGHUP)
        program.wait_line(lambda line: line.level == "WARNING" and expected.told_by(line), 8)
        self.wait_state(program, lambda told: told["connection"]["state"] == expected.state)
        self.assertEqual(known(program), everything)
        # No hot loop: three a poll, or an attempt, and some more where a list is begun anew.
        self.assertLess(len(cluster.requests()), 20 + 40 * (time.monotonic() - begun))

        cluster.clear()
        program.wait_line("restored" if expected.state == "reconnecting" else "answers again", 8)
        self.wait_watching(cluster, program)
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, {**everything, "tools/fetch": "running"})
        self.assertEqual([line for line in program.lines() if line.level is None or "removed" in line.message], [])
        self.assertEqual(state(program)["connection"]["state"], "connected")
        self.assertLessEqual(program.fds(), fds + 3)
        self.assert_small(program, before)

        warnings = len(worse(program))
        cluster.behave(**rule, route=route)
        cluster.reset()
        if route == "*":
            cluster.cut()
        program.signal(signal.SIGHUP)
        wait_for(lambda: cluster.requests() or cluster.connections() or len(worse(program)) > warnings)
        self.stops(program)


for row_name, (row_rule, row_expected) in ROWS.items():
    setattr(TestLists, f"test_{row_name}",
            lambda self, rule=row_rule, expected=row_expected: self.play(rule, expected))


class TestOddities(InputCase):
    """Odd, and good for all that."""

    def test_an_empty_list_as_go_writes_it(self):
        cluster = self.cluster()
        cluster.objects(raw={"mcpservers": '{"items":null,"metadata":{"resourceVersion":"218"}}'})
        program = self.polled(cluster)
        self.assertEqual((known(program), worse(program)), ({}, []))

    def test_versions_that_are_none(self):
        """The objects are known; what cannot be watched is listed, and that is told, once."""
        for version in (None, 300, "", "x" * 100, "1&limit=2\n#"):
            with self.subTest(version=version):
                cluster = self.cluster()
                cluster.objects(raw={"mcpservers": json.dumps({
                    "items": [json.loads(small(1))], "metadata": {"resourceVersion": version}})})
                program = self.polled(cluster, workload_polling_interval=0.2)
                wait_for(lambda cluster=cluster: cluster.kubernetes()["watches"] == 2)
                wait_for(lambda cluster=cluster: len(cluster.requests(f"{MCPSERVERS}?limit=500")) > 2)
                pairs, = (line.pairs for line in program.lines("WARNING"))
                self.assertEqual((list(known(program)), pairs["operation"], pairs["error"]), (
                    ["default/n-1"], "watch workloads", 'Unusable body: no "resourceVersion" to watch from'))

    def test_too_many_in_all(self):
        """Each list is well below the limit, which holds for all together: what the state file takes is written."""
        cluster = self.cluster()
        cluster.objects(raw={plural: json.dumps({
            "metadata": {"resourceVersion": "300"},
            "items": [{"metadata": {"name": f"{plural}-{number}", "namespace": "a", "resourceVersion": "1"}}
                      for number in range(7000)]}) for plural in ("mcpservers", "virtualmcpservers",
                                                                  "mcpremoteproxies")})
        first = self.program(cluster)
        told = self.wait_state(first, lambda told: told["connection"]["state"] == "degraded", 10)
        self.assertEqual(told["workloads"]["total"], 14000)
        self.assertEqual(len(worse(first)), 1)
        self.stops(first)
        # What was written is believed.
        cluster.stop_listening()
        second = self.program(cluster, runtime=first.runtime)
        second.wait_line("attempt=1")
        self.assertEqual(state(second)["workloads"]["total"], 14000)

    def test_a_version_endpoint_that_lies(self):
        """It says that somebody is there; the lists say the rest."""
        rows = {"no_json": {"name": "json", "text": "garbage"},
                "a_number": {"name": "json", "text": '{"gitVersion":7}'},
                "an_escape": {"name": "json", "text": '{"gitVersion":"v1\\u001b[2J"}'},
                "long": {"name": "json", "text": json.dumps({"gitVersion": "v" * 5000})},
                "big": {"name": "big"}, "status_403": {"name": "status", "code": 403},
                "status_404": {"name": "status", "code": 404}, "status_500": {"name": "status", "code": 500}}
        for name, rule in rows.items():
            with self.subTest(name=name):
                cluster = self.cluster(1)
                cluster.behave(route="GET /version", **rule)
                program = self.polled(cluster)
                self.assertEqual(self.told(program), [connected(cluster.url, None)])
                self.assertEqual(list(known(program)), ["default/mcpserver-00000"])

    def test_odd_objects_cost_the_others_nothing(self):
        """In a list as in a watch; each is told once, by its name where it has one."""
        odd = {
            "status_no_object": ({"status": "Ready"}, "invalid status"),
            "spec_no_object": ({"spec": [1]}, "invalid spec"),
            "phase_a_number": ({"status": {"phase": 7}}, "invalid phase"),
            "phase_with_an_escape": ({"status": {"phase": "\x1b[2J"}}, "invalid phase"),
            "phase_endless": ({"status": {"phase": "x" * 1000}}, "invalid phase"),
            "url_with_a_line": ({"status": {"url": "http://x/\nCRITICAL"}}, "invalid url"),
            "url_endless": ({"status": {"url": "http://x/" + "x" * 3000}}, "invalid url"),
            "group_a_number": ({"spec": {"groupRef": 7}}, "invalid group"),
            "group_with_an_escape": ({"spec": {"groupRef": {"name": "\x1b]0;x\x07"}}}, "invalid group"),
            "transport_an_object": ({"spec": {"transport": {}}}, "invalid transport"),
            "image_with_a_line": ({"spec": {"image": "a\nb"}}, "invalid image"),
            "port_negative": ({"spec": {"proxyPort": -1}}, "invalid proxyPort"),
            "port_99999": ({"spec": {"proxyPort": 99999}}, "invalid proxyPort"),
            "port_a_string": ({"spec": {"proxyPort": "80"}}, "invalid proxyPort"),
        }
        objects = [{"namespace": "odd", "name": name.replace("_", "-"), **fields} for name, (fields, _) in odd.items()]
        wanted = {(f"odd/{item['name']}", problem) for item, (_, problem) in zip(objects, odd.values())}
        for objects_of_list, objects_of_watch in ((objects[:7], objects[7:]), (objects[7:], objects[:7])):
            cluster = self.cluster(1)
            cluster.objects(add=objects_of_list)
            program = self.polled(cluster, workload_polling_interval=0.3)
            wait_for(lambda cluster=cluster: cluster.kubernetes()["watches"] == 3)
            for item in objects_of_watch:
                cluster.objects(add=[item])
            cluster.objects(add=["tools/fetch"])
            self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
            polls = len(cluster.requests(f"{MCPSERVERS}?limit=500"))
            wait_for(lambda cluster=cluster, polls=polls: (
                len(cluster.requests(f"{MCPSERVERS}?limit=500")) > polls + 1))
            told = [(line.pairs["name"], line.pairs["problem"]) for line in program.lines("WARNING")
                    if line.message == "Skipping a workload that makes no sense"]
            # Ten at most are named.
            self.assertEqual(len(told), len(set(told)))
            self.assertLessEqual(set(told), wanted)
            self.assertGreaterEqual(len(told), 10)
            self.assertEqual([line.text for line in program.lines() if line.level is None], [])
            # One that comes to sense is a workload.
            cluster.objects(remove=[objects[0]["namespace"] + "/" + objects[0]["name"]],
                            add=["odd/good"])
            self.wait_known(program, ["default/mcpserver-00000", "odd/good", "tools/fetch"])

    def test_objects_without_a_name(self):
        cluster = self.cluster(1)
        cluster.objects(add=[{"name": f"x{number}", "raw": raw_text} for number, raw_text in enumerate((
            "7", "null", "[]", "{}", '{"metadata":{"name":"a"}}', '{"metadata":{"name":"..","namespace":"a"}}',
            '{"metadata":{"name":"a\\u001b[2J\\nCRITICAL","namespace":"a"}}'))])
        program = self.polled(cluster)
        wait_for(lambda: cluster.kubernetes()["watches"] == 3)
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        self.assertEqual({line.pairs["problem"] for line in program.lines("WARNING")}, {"no valid name or namespace"})
        self.assertEqual([line.text for line in program.lines() if line.level is None], [])

    def test_a_stop_in_the_middle_of_pages(self):
        """Of a list whose every page is slow."""
        cluster = self.cluster(30, page_max=1)
        cluster.behave("slow", route=ROUTE, ms=200)
        program = self.program(cluster)
        wait_for(lambda: len(self.seen(cluster, "LIST")) > 3)
        self.stops(program)

    def test_slow_pages_are_no_failure_and_the_watchdog_is_fed(self):
        """Each within its time-out, all together beyond it."""
        cluster = self.cluster(12, page_max=1)
        cluster.behave("slow", route=ROUTE, ms=150)
        program = self.program(cluster, toolhive_timeout=1)
        line = program.wait_line("total=12")
        self.assertGreater(line.time - program.started, 1.5)
        self.assertLess(lasted(program.started, line.time), 5)
        self.assertEqual(worse(program), [])


if __name__ == "__main__":
    # They wait far more than they work.
    main(abreast=16)
