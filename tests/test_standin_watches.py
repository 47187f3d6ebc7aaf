#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stand-in's watches: that they run as a real API server's did, and that each misbehaviour of a
stream is on the wire."""

import base64
import contextlib
import json
import time
import urllib.parse

from cluster import MCPSERVERS, USER, V1ALPHA1, V1BETA1
from harness import wait_for
from rawclient import connect, read_all, read_for, read_some, send_request
from runner import run_tests
from standin_streams import BEHAVIOURS
from test_standin_kubernetes import SECRET, KubernetesCase


class WatchCase(KubernetesCase):
    @contextlib.contextmanager
    def watch(self, path=MCPSERVERS, since=None, token=None, **query):
        """The response of a watch from that version on, or from now; its lines come by event()."""
        since = self.cluster.kubernetes()["resourceVersion"] if since is None else since
        query = urllib.parse.urlencode({"watch": "1", "resourceVersion": since, **query})
        with self.connection() as connection:
            connection.request("GET", f"{path}?{query}", headers={"Authorization": token} if token else {})
            response = connection.getresponse()
            self.assertEqual((response.status, response.headers["Transfer-Encoding"]), (200, "chunked"))
            yield response

    def event(self, response):
        """Kind and object of the next line; None at the end."""
        line = response.readline()
        if not line:
            return None
        self.assertTrue(line.endswith(b"\n"), line)
        value = json.loads(line)
        return value["type"], value["object"]

    def told(self, response):
        kind, item = self.event(response)
        return kind, item["metadata"].get("name"), item["metadata"]["resourceVersion"]


class TestWatches(WatchCase):
    def test_events_come_as_they_happen(self):
        self.start(1)
        with self.watch() as stream:
            self.cluster.objects(add=["tools/fetch"])
            self.assertEqual(self.told(stream), ("ADDED", "fetch", "220"))
            self.cluster.objects(update=[{"namespace": "tools", "name": "fetch", "status": {"phase": "Failed"}}])
            kind, item = self.event(stream)
            self.assertEqual((kind, item["status"]["phase"], item["apiVersion"]),
                             ("MODIFIED", "Failed", "toolhive.stacklok.dev/v1beta1"))
            self.cluster.objects(remove=["tools/fetch"])
            kind, item = self.event(stream)
            self.assertEqual((kind, item["status"]["phase"], item["metadata"]["resourceVersion"]),
                             ("DELETED", "Failed", "222"))

    def test_events_are_those_since_the_version(self):
        self.start(2)
        with self.watch(since=219) as stream:
            self.assertEqual(self.told(stream), ("ADDED", "mcpserver-00001", "220"))
            self.cluster.objects(remove=["mcpserver-00000"])
            self.assertEqual(self.told(stream), ("DELETED", "mcpserver-00000", "221"))

    def test_events_are_those_of_the_selection(self):
        self.start()
        with (self.watch(f"{V1ALPHA1}/namespaces/tools/mcpservers") as tools,
              self.watch(fieldSelector="metadata.name=fetch") as fetch, self.watch() as everything):
            self.cluster.objects(add=["mcpremoteproxies/tools/x", "other/a", "tools/b", "other/fetch"])
            self.assertEqual(self.event(tools)[1]["apiVersion"], "toolhive.stacklok.dev/v1alpha1")
            self.assertEqual(self.told(fetch)[1], "fetch")
            self.assertEqual([self.told(everything)[1] for _ in range(3)], ["a", "b", "fetch"])
            self.cluster.kubernetes(end_watches=True)
            self.assertEqual([tools.read(), fetch.read(), everything.read()], [b"", b"", b""])

    def test_the_end_comes_in_time_and_after_a_bookmark(self):
        self.start(1)
        start = time.monotonic()
        with self.watch(timeoutSeconds=1, allowWatchBookmarks="true") as stream, self.watch(timeoutSeconds=1) as bare:
            self.assertEqual(stream.readline(), b'{"type":"BOOKMARK","object":{"apiVersion":"toolhive.stacklok.dev/'
                             b'v1beta1","kind":"MCPServer","metadata":{"resourceVersion":"219"}}}\n')
            self.assertEqual((stream.read(), bare.read()), (b"", b""))
        self.assertGreaterEqual(time.monotonic() - start, 1)
        self.assertEqual(self.cluster.kubernetes()["watches"], 0)

    def test_the_connection_is_kept_after_the_end(self):
        self.start(1)
        with self.connection() as connection:
            for path in (MCPSERVERS + "?watch=true&resourceVersion=219&timeoutSeconds=1", MCPSERVERS):
                connection.request("GET", path)
                connection.getresponse().read()
        self.assertEqual(len(self.cluster.connections()), 1)

    def test_without_a_version_it_begins_with_what_there_is(self):
        self.start(2)
        for since in ("", "0"):
            with self.watch(since=since, allowWatchBookmarks="true") as stream:
                self.assertEqual([self.told(stream)[:2] for _ in range(2)],
                                 [("ADDED", "mcpserver-00000"), ("ADDED", "mcpserver-00001")])
                kind, item = self.event(stream)
                self.assertEqual((kind, item["metadata"]["annotations"]),
                                 ("BOOKMARK", {"k8s.io/initial-events-end": "true"}))
                self.cluster.objects(update=["mcpserver-00001"])
                self.assertEqual(self.told(stream)[0], "MODIFIED")

    def test_a_version_too_old_is_an_error_event_and_the_end(self):
        self.start(5)
        self.cluster.kubernetes(history=2)
        with self.watch(since=221) as stream:
            self.assertEqual(self.told(stream)[1], "mcpserver-00003")
        for since, message in ((220, "too old resource version: 220 (221)"), (1, "too old resource version: 1 (221)")):
            with self.watch(since=since) as stream:
                self.assertEqual(stream.read().decode(), '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1",'
                                 f'"metadata":{{}},"status":"Failure","message":"{message}","reason":"Expired",'
                                 '"code":410}}\n')
        self.cluster.kubernetes(forget=True)
        with self.watch(since=222) as stream:
            self.assertEqual(self.event(stream)[0], "ERROR")
        with self.watch(since=223) as stream:
            self.cluster.objects(add=["new"])
            self.assertEqual(self.told(stream), ("ADDED", "new", "224"))

    def test_a_version_of_the_future_is_waited_for_in_silence(self):
        self.start(1)
        with self.watch(since=221, timeoutSeconds=1, allowWatchBookmarks="1") as stream:
            self.cluster.objects(add=["a", "b"])
            self.assertEqual(stream.read(), b"")
        with self.watch(since=222) as stream:
            self.cluster.objects(add=["c", "d"])
            self.assertEqual(self.told(stream), ("ADDED", "d", "223"))

    def test_a_definition_that_goes_takes_its_objects_along(self):
        self.start(1)
        with self.watch() as stream, self.watch(f"{V1ALPHA1}/mcpremoteproxies") as other:
            self.cluster.kubernetes(serve={"mcpservers": []})
            self.assertEqual(self.told(stream)[0], "DELETED")
            self.assertEqual(stream.read(), b"")
            self.assert_not_served(MCPSERVERS)
            self.cluster.kubernetes(serve={"mcpremoteproxies": ["v1beta1"]})
            self.assertEqual(other.read(), b"")
            self.assertEqual(self.names(MCPSERVERS), [])

    def test_rights_taken_away_end_no_watch(self):
        self.start(1, tokens={"first": USER}, rules=[{}])
        with self.watch(token=SECRET) as stream:
            self.cluster.kubernetes(rules=[], tokens={})
            self.cluster.objects(add=["new"])
            self.assertEqual(self.told(stream)[1], "new")

    def test_a_server_that_drains_refuses_and_lets_its_watches_end(self):
        self.start(1)
        with self.watch() as stream, connect(self.cluster.port) as idle:
            send_request(idle, MCPSERVERS)
            self.assertTrue(idle.recv(65536))
            self.cluster.stop_listening(drain=True)
            self.assertEqual(read_all(idle)[1], "eof")
            with self.assertRaises(ConnectionRefusedError):
                connect(self.cluster.port)
            self.cluster.objects(add=["new"])
            self.assertEqual(self.told(stream)[1], "new")
            self.cluster.kubernetes(end_watches=True)
            self.assertEqual(stream.read(), b"")
        self.cluster.start_listening()
        self.assertEqual(len(self.names(MCPSERVERS)), 2)

    def test_a_restart_ends_watches_and_forgets(self):
        self.start(1)
        with self.watch() as stream:
            self.cluster.objects(add=["new"])
            self.assertEqual(self.told(stream)[1], "new")
            self.cluster.restart()
            self.assertEqual(stream.read(), b"")
        with self.watch(since=219) as stream:
            self.assertEqual(self.event(stream)[0], "ERROR")

    def test_lines_bookmarks_and_ends_on_demand(self):
        self.start(1)
        with self.watch(allowWatchBookmarks="1") as stream, self.watch(f"{V1BETA1}/mcpremoteproxies") as other:
            self.cluster.kubernetes(event="garbage", resource="mcpservers")
            self.assertEqual(stream.readline(), b"garbage\n")
            self.cluster.kubernetes(bookmark=True)
            self.assertEqual(self.told(stream), ("BOOKMARK", None, "219"))
            self.cluster.kubernetes(end_watches=True, resource="mcpservers")
            self.assertEqual(stream.read(), b"")
            self.assertEqual(self.cluster.kubernetes(end_watches=True)["watches"], 1)
            self.assertEqual(other.read(), b"")

    def test_who_leaves_is_forgotten(self):
        self.start(1)
        with self.watch():
            wait_for(lambda: self.cluster.kubernetes()["watches"] == 1)
        wait_for(lambda: self.cluster.kubernetes()["watches"] == 0)

    def test_waiting_costs_nothing(self):
        self.start(1)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(self.watch())
            wait_for(lambda: self.cluster.kubernetes()["watches"] == 20)
            before = self.cluster.cpu()
            time.sleep(0.5)
            self.assertLessEqual(self.cluster.cpu() - before, 0.02)


class TestStreams(WatchCase):
    """Behaviours in the middle of a watch, as they look from the other end of a socket."""

    tested = set()

    def setUp(self):
        self.start(1)

    @contextlib.contextmanager
    def misbehaving(self, name, allow=0, **parameters):
        """A watch that misbehaves, and that has `allow` events of before; its socket, behind the headers."""
        type(self).tested.add(name)
        self.cluster.clear()
        self.cluster.behave(name, route="WATCH *", **parameters)
        if allow:
            self.cluster.objects(add=[f"before-{number}" for number in range(allow)])
        with connect(self.cluster.port) as sock:
            send_request(sock, f"{MCPSERVERS}?watch=true&resourceVersion=219")
            data = b""
            while not data.endswith(b"\r\n\r\n"):
                data += sock.recv(1)
            self.assertIn(b"Transfer-Encoding: chunked", data)
            yield sock

    def wire(self, name, **parameters):
        with self.misbehaving(name, **parameters) as sock:
            return read_all(sock)

    def test_the_end_at_once_or_after_some(self):
        with self.misbehaving("stream-end") as sock:
            self.assertEqual(read_some(sock, lambda data: data), b"0\r\n\r\n")
        with self.misbehaving("stream-end", allow=2, after=2) as sock:
            data = read_some(sock, lambda data: data.endswith(b"\r\n0\r\n\r\n"))
            self.assertEqual(data.count(b'{"type":"ADDED"'), 2)

    def test_cut_amid_a_chunk_or_behind_one(self):
        for end, seen in (("fin", "eof"), ("reset", "reset")):
            self.assertEqual(self.wire("stream-cut", text="0123456789", keep=4, end=end), (b"a\r\n0123", seen))
            self.assertEqual(self.wire("stream-cut", text="0123456789", keep=4, within="event", end=end),
                             (b"4\r\n0123\r\n", seen))
            self.assertEqual(self.wire("stream-cut", text="", end=end), (b"", seen))
        with self.misbehaving("stream-cut", text="0123456789", keep=4, within="event", end="last") as sock:
            self.assertEqual(read_some(sock, lambda data: b"0\r\n\r\n" in data), b"4\r\n0123\r\n0\r\n\r\n")

    def test_cut_within_a_real_event(self):
        data, end = self.wire("stream-cut", allow=2, after=1)
        self.assertEqual(end, "eof")
        self.assertRegex(data, rb'before-0".*}}\n\r\n[0-9a-f]+\r\n{"type":"ADDED","obj$')

    def test_silence(self):
        with self.misbehaving("stream-silence") as sock:
            self.cluster.objects(add=["new"])
            self.assertEqual(read_for(sock, 0.1), b"")

    def test_a_line_without_end(self):
        with self.misbehaving("stream-endless") as sock:
            data, end = read_all(sock, most=2 << 20)
            self.assertEqual((end, data.count(b"\n") - data.count(b"\r\n")), ("enough", 0))

    def test_a_line_of_any_kind_and_then_events(self):
        with self.misbehaving("stream-line", text="garbage", times=2) as sock:
            self.cluster.objects(add=["new"])
            data = read_some(sock, lambda data: b"ADDED" in data)
            self.assertTrue(data.startswith(b'8\r\ngarbage\n\r\n' * 2), data)
        with self.misbehaving("stream-line", data=base64.b64encode(b"\xff").decode()) as sock:
            self.assertEqual(sock.recv(3), b"1\r\n")
            self.assertEqual(sock.recv(1), b"\xff")

    def test_an_event_of_megabytes(self):
        with self.misbehaving("stream-huge", mib=2, resource_version=500) as sock:
            data = read_some(sock, lambda data: data.endswith(b"\n\r\n"))
            size, _, line = data.partition(b"\r\n")
            self.assertEqual(int(size, 16), 2 << 20)
            item = json.loads(line)["object"]
            self.assertEqual((item["kind"], item["metadata"]["resourceVersion"]), ("MCPServer", "500"))

    def test_slices(self):
        with self.misbehaving("stream-slices", allow=1, size=1) as sock:
            data = read_some(sock, lambda data: b"1\r\n\n\r\n" in data)
            self.assertTrue(data.startswith(b'1\r\n{\r\n1\r\n"\r\n'), data)

    def test_other_behaviours_take_what_is_at_hand_for_all(self):
        self.cluster.behave("length-long", route="GET *watch=true*", extra=7)
        self.cluster.objects(add=["before"])
        with connect(self.cluster.port) as sock:
            send_request(sock, f"{MCPSERVERS}?watch=true&resourceVersion=219")
            head, _, body = read_all(sock)[0].partition(b"\r\n\r\n")
        self.assertEqual(int(head.partition(b"Content-Length: ")[2].split()[0]) - len(body), 7)
        self.assertEqual(json.loads(body)["object"]["metadata"]["name"], "before")

    def test_routes_tell_watches_from_lists(self):
        self.cluster.behave("status", route="LIST *mcpservers", code=500)
        self.assertEqual(self.ask(MCPSERVERS + "?limit=500")[0], 500)
        self.assertEqual(self.ask(f"{V1BETA1}/mcpremoteproxies")[0], 200)
        with self.watch():
            pass
        self.cluster.clear()
        self.cluster.behave("status", route="GET *mcpservers?watch=*", code=500)
        self.assertEqual(self.ask(MCPSERVERS + "?watch=1")[0], 500)
        self.assertEqual(self.ask(MCPSERVERS + "?limit=500")[0], 200)

    @classmethod
    def tearDownClass(cls):
        streams = {name for name in BEHAVIOURS if name.startswith("stream-")}
        if len(cls.tested) > len(streams) // 2 and streams - cls.tested:
            raise AssertionError(f"behaviours without a test: {sorted(streams - cls.tested)}")
        super().tearDownClass()


if __name__ == "__main__":
    run_tests()
