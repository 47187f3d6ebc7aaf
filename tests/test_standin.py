#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stand-in itself: that it answers as ToolHive does, and that each misbehaviour is on the wire."""

import base64
import contextlib
import gzip
import http.client
import json
import time
import unittest

from harness import Standin, lasted, wait_for
from rawclient import LIMIT, VERSION, connect, read_all, read_for, read_some, send_request
from runner import run_tests
from standin_misbehave import BEHAVIOURS

WORKLOADS = "/api/v1beta/workloads"
REGISTRY = "/api/v1beta/registry"


class StandinCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.standin = cls.enterClassContext(Standin(workloads=3))

    def setUp(self):
        self.standin.clear()

    def ask(self, method, path, body=None, standin=None):
        """Status, headers, body of a well-behaved answer."""
        port = (standin or self.standin).port
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def ask_json(self, path):
        status, headers, body = self.ask("GET", path)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"))
        return json.loads(body)

    def assert_text(self, answer, status, line):
        self.assertEqual(answer[0], status)
        self.assertEqual(answer[1].get_content_type(), "text/plain")
        self.assertEqual(answer[2].decode(), line + "\n")


class TestApi(StandinCase):
    """toolhive-api.md, row by row."""

    def setUp(self):
        super().setUp()
        self.standin.control("workloads", count=3)
        self.standin.control("registry", servers=79, remote_servers=5)

    def test_health_is_204_with_the_nonce_and_503_without_a_runtime(self):
        status, headers, body = self.ask("GET", "/health")
        self.assertEqual((status, body, headers["X-Toolhive-Nonce"]), (204, b"", self.standin.nonce))
        self.assertRegex(self.standin.nonce, "^[0-9a-f]{32}$")
        self.standin.control("toolhive", runtime_away=True)
        self.addCleanup(self.standin.control, "toolhive", runtime_away=False)
        status, headers, _ = self.ask("GET", "/health")
        self.assertEqual((status, headers["X-Toolhive-Nonce"]), (503, None))
        self.assert_text(self.ask("GET", WORKLOADS), 500, "Internal Server Error")
        self.assertEqual(self.ask_json(VERSION), {"version": "v0.44.0"})

    def test_list_holds_running_ones_and_all_holds_stopped_ones_too(self):
        self.standin.control("workloads", status={"workload-00001": "stopped"})
        names = [entry["name"] for entry in self.ask_json(WORKLOADS)["workloads"]]
        self.assertEqual(names, ["workload-00000", "workload-00002"])
        entries = self.ask_json(WORKLOADS + "?all=true")["workloads"]
        self.assertEqual([entry["status"] for entry in entries], ["running", "stopped", "running"])
        for key in ("package", "url", "port", "transport_type", "proxy_mode", "created_at", "labels",
                    "group", "started_at"):
            self.assertIn(key, entries[0])

    def test_no_workload_is_null(self):
        self.standin.control("workloads", count=0)
        self.assertEqual(self.ask("GET", WORKLOADS)[2], b'{"workloads":null}\n')
        self.standin.control("workloads", add=[{"name": "one", "status": "stopped"}])
        self.assertEqual(self.ask("GET", WORKLOADS)[2], b'{"workloads":null}\n')

    def test_details_have_their_own_shape_and_the_status_its_own(self):
        details = self.ask_json(WORKLOADS + "/workload-00000")
        self.assertEqual(details["proxy_port"], 17520)
        self.assertEqual(details["transport"], "streamable-http")
        self.assertIn("API_TOKEN", details["env_vars"])
        self.assertIsNone(details["tools_override"])
        self.assertEqual(self.ask_json(WORKLOADS + "/workload-00000/status"), {"status": "running"})
        self.assert_text(self.ask("GET", WORKLOADS + "/nobody"), 404, "Workload not found")

    def test_install_starts_then_runs_and_is_refused_twice(self):
        self.standin.control("toolhive", starting_ms=100)
        body = json.dumps({"name": "everything", "url": "https://example.com/mcp", "env_vars": {"A": "b"}})
        status, _, answer = self.ask("POST", WORKLOADS, body)
        self.assertEqual((status, json.loads(answer)), (201, {"name": "everything", "port": 17523}))
        last = self.ask_json(WORKLOADS + "?all=true")["workloads"][-1]
        self.assertEqual((last["name"], last["remote"], last["package"]), ("everything", True, "remote"))
        self.assert_text(self.ask("POST", WORKLOADS, body), 409, "workload with name everything already exists")
        wait_for(lambda: self.ask_json(WORKLOADS + "/everything/status") == {"status": "running"})
        self.assertEqual(self.ask_json(WORKLOADS + "/everything")["env_vars"], {"A": "b"})

    def test_install_refuses_what_it_cannot_read_name_or_pull(self):
        self.assertRegex(self.ask("POST", WORKLOADS, "{")[2].decode(), "^failed to decode request: .+\n$")
        self.assert_text(self.ask("POST", WORKLOADS, "{}"), 400,
                         "invalid workload name: workload name cannot be empty")
        status, _, body = self.ask("POST", WORKLOADS, '{"name":"a b","image":"x"}')
        self.assertEqual(status, 400)
        self.assertIn(b"can only contain alphanumeric characters, dots, hyphens, and underscores", body)
        self.assertEqual(self.ask("POST", WORKLOADS, '{"name":"a","image":"missing.example/a:1"}')[0], 500)

    def test_registry_counts_the_local_servers_only(self):
        head = self.ask_json(REGISTRY)["registries"][0]
        self.assertEqual((head["name"], head["server_count"], head["type"]), ("default", 79, "default"))
        whole = self.ask_json(REGISTRY + "/default")
        self.assertEqual(len(whole["registry"]["servers"]), 79)
        self.assertEqual(len(whole["registry"]["remote_servers"]), 5)
        self.assertEqual(whole["server_count"], 79)
        self.assertAlmostEqual(len(self.ask("GET", REGISTRY + "/default")[2]), 134_000, delta=10_000)

    def test_registry_servers_are_local_or_remote_or_not_found(self):
        local = self.ask_json(REGISTRY + "/default/servers/server-000")
        self.assertEqual((local["is_remote"], "image" in local["server"]), (False, True))
        remote = self.ask_json(REGISTRY + "/default/servers/remote-000")
        self.assertEqual((remote["is_remote"], "url" in remote["remote_server"]), (True, True))
        self.assert_text(self.ask("GET", REGISTRY + "/default/servers/none"), 404, "Server not found")

    def test_registry_servers_are_made_to_measure(self):
        self.standin.control("registry", add=["plain", {"name": "io.x/bare", "env_vars": None, "tier": "Official"},
                                              {"name": "far", "remote": True, "headers": [{"name": "X-Key"}]}])
        registry = self.ask_json(REGISTRY + "/default")["registry"]
        self.assertEqual(registry["servers"]["plain"]["env_vars"][0]["name"], "API_TOKEN")
        self.assertEqual(registry["remote_servers"]["far"]["url"], "https://far.example.com/mcp")
        self.assertEqual(registry["remote_servers"]["far"]["headers"], [{"name": "X-Key"}])
        bare = self.ask_json(REGISTRY + "/default/servers/io.x%2Fbare")["server"]
        self.assertEqual((bare["tier"], "env_vars" in bare, "remote" in bare), ("Official", False, False))

    def test_what_is_installed_need_not_run(self):
        self.standin.control("toolhive", starting_ms=0, started_status="error")
        self.addCleanup(self.standin.control, "toolhive", starting_ms=200, started_status="running")
        self.ask("POST", WORKLOADS, json.dumps({"name": "lame", "image": "x"}))
        self.assertEqual(self.ask_json(WORKLOADS + "/lame/status"), {"status": "error"})

    def test_registry_problems_are_json(self):
        for problem, status in (("registry_auth_required", 503), ("registry_unavailable", 503),
                                ("registry_legacy_format", 502)):
            self.standin.control("registry", problem=problem)
            answer = self.ask("GET", REGISTRY + "/default")
            self.assertEqual((answer[0], json.loads(answer[2])["code"]), (status, problem))
        self.standin.control("registry")
        self.ask_json(REGISTRY + "/default")

    def test_unknown_paths_are_404_and_other_methods_405(self):
        self.assert_text(self.ask("GET", "/api/v1beta/nothing"), 404, "404 page not found")
        for path, allowed in ((VERSION, "GET"), (WORKLOADS, "GET, POST"), ("/health", "GET")):
            status, headers, _ = self.ask("DELETE", path)
            self.assertEqual((status, headers["Allow"]), (405, allowed))

    def test_ten_thousand_workloads_are_sent_at_memory_speed(self):
        self.standin.control("workloads", count=10_000)
        self.ask("GET", WORKLOADS)
        start = time.monotonic()
        body = self.ask("GET", WORKLOADS)[2]
        self.assertLess(lasted(start), 0.5)
        self.assertAlmostEqual(len(body), 4_670_000, delta=100_000)

    def test_a_connection_is_kept_and_requests_are_recorded(self):
        self.standin.reset()
        with connect(self.standin.port) as sock:
            for path in (VERSION, WORKLOADS + "?all=true"):
                send_request(sock, path)
                self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n"))
        seen = self.standin.requests()
        self.assertEqual([(r["method"], r["path"], r["port"]) for r in seen],
                         [("GET", VERSION, self.standin.port), ("GET", WORKLOADS + "?all=true", self.standin.port)])
        self.assertEqual(seen[0]["connection"], seen[1]["connection"])
        self.assertLessEqual(seen[0]["time"], time.monotonic())
        self.assertEqual(len(self.standin.connections()), 1)


class TestMisbehaviour(StandinCase):
    """One behaviour at a time, as it looks from the other end of a socket."""

    tested = set()

    @contextlib.contextmanager
    def misbehaving(self, name, path=VERSION, **parameters):
        """A connection to a server that plays the behaviour; unless it plays at accept, with a request sent."""
        type(self).tested.add(name)
        self.standin.clear()
        self.standin.behave(name, **parameters)
        with connect(self.standin.port) as sock:
            if BEHAVIOURS[name][0] == "request":
                send_request(sock, path)
            yield sock

    def body(self, name, path=VERSION, **parameters):
        """Status, headers and body of an answer that is at least HTTP."""
        with self.misbehaving(name, path, **parameters) as sock:
            response = http.client.HTTPResponse(sock)
            response.begin()
            return response.status, response.headers, response.read()

    def wire(self, name, path=VERSION, **parameters):
        with self.misbehaving(name, path, **parameters) as sock:
            return read_all(sock)

    def test_silence_and_hang_say_nothing_and_stay(self):
        for name in ("silence", "hang"):
            with self.subTest(name), self.misbehaving(name) as sock:
                self.assertEqual(read_for(sock, 0.1), b"")

    def test_ssh_speaks_first(self):
        with self.misbehaving("ssh") as sock:
            self.assertTrue(sock.recv(100).startswith(b"SSH-2.0-"))

    def test_ends_without_a_word(self):
        # At accept, the request that nobody reads may turn the end into a reset: none is sent here.
        for name in ("close", "close-at-accept"):
            with self.subTest(name):
                self.assertEqual(self.wire(name), (b"", "eof"))

    def test_resets(self):
        for name, some in (("reset-after-request", b""), ("reset-in-headers", b"HTTP/1.1 200 OK\r\nContent-"),
                           ("reset-in-body", b'{"ver')):
            with self.subTest(name):
                data, end = self.wire(name)
                self.assertEqual(end, "reset")
                self.assertTrue(data.endswith(some), data)

    def test_reset_at_accept_meets_the_client_in_connect_or_right_after(self):
        # Which of the two is a race between two processes; it is a reset in both.
        try:
            self.assertEqual(self.wire("reset-at-accept"), (b"", "reset"))
        except ConnectionResetError:
            pass

    def test_headers_and_bodies_cut_by_the_end(self):
        self.assertEqual(self.wire("cut-headers"), (b"HTTP/1.1 200 OK\r\nContent-", "eof"))
        data, end = self.wire("cut-body")
        self.assertEqual((data.partition(b"\r\n\r\n")[2], end), (b'{"ver', "eof"))

    def test_lengths_that_lie(self):
        for name, difference in (("length-long", 100), ("length-short", -5)):
            with self.subTest(name), self.misbehaving(name) as sock:
                head, _, body = sock.recv(65536).partition(b"\r\n\r\n")
                told = int(head.partition(b"Content-Length: ")[2].split()[0])
                self.assertEqual(told - len(body), difference)
                self.assertEqual(sock.recv(1), b"")

    def test_dripping_comes_byte_by_byte(self):
        # Ten bytes would take five seconds: far from what a slow machine makes of the moment.
        with self.misbehaving("drip-headers", interval=0.5) as sock:
            some = read_some(sock, lambda data: data)
            self.assertTrue(b"HTTP/1.1 ".startswith(some) and len(some) < 10, some)
        with self.misbehaving("drip-body", interval=0.5) as sock:
            head, _, body = read_some(sock, lambda data: b"\r\n\r\n{" in data).partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200"))
            self.assertTrue(b'{"version":'.startswith(body) and len(body) < 10, body)

    def test_slow_and_normal_answer_whole(self):
        start = time.monotonic()
        self.assertEqual(self.body("slow", ms=100)[2], b'{"version":"v0.44.0"}\n')
        self.assertGreaterEqual(time.monotonic() - start, 0.1)
        self.assertEqual(self.body("normal")[2], b'{"version":"v0.44.0"}\n')

    def test_close_after_does_not_announce_the_end(self):
        data, end = self.wire("close-after")
        self.assertTrue(data.endswith(b'{"version":"v0.44.0"}\n') and b"close" not in data.lower())
        self.assertEqual(end, "eof")

    def test_status_redirect_and_raw_answer_what_they_are_told(self):
        status, headers, body = self.body("status", code=503, body="later", headers={"Retry-After": "7"})
        self.assertEqual((status, headers["Retry-After"], body), (503, "7", b"later"))
        status, headers, _ = self.body("redirect", url="file:///etc/passwd", code=307)
        self.assertEqual((status, headers["Location"]), (307, "file:///etc/passwd"))
        self.assertEqual(self.wire("raw", data=base64.b64encode(b"ICY 200\r\n").decode()), (b"ICY 200\r\n", "eof"))

    def test_json_of_any_kind(self):
        self.assertEqual(self.body("json", text="[NaN]")[2], b"[NaN]")
        self.assertEqual(self.body("json", data=base64.b64encode(b"\xff").decode())[2], b"\xff")
        self.assertNotIn("version", json.loads(self.body("version-missing")[2]))
        self.assertEqual(json.loads(self.body("version-number")[2]), {"version": 44})
        self.assertEqual(json.loads(self.body("null-workloads", WORKLOADS)[2]), {"workloads": None})

    def test_depth_counts_levels(self):
        body = self.body("depth", n=33)[2]
        level = deepest = 0
        for byte in body:
            level += (byte in b"{[") - (byte in b"}]")
            deepest = max(deepest, level)
        self.assertEqual(deepest, 33)
        self.assertEqual(json.loads(body)["version"], "v0.44.0")

    def test_entries_are_empty_objects(self):
        self.assertEqual(json.loads(self.body("entries", n=1000)[2]), {"workloads": [{}] * 1000})

    def test_repeated_is_one_body(self):
        self.assertEqual(self.body("repeated", head="[", piece="0,", tail="1]", n=1000)[2], b"[" + b"0," * 1000 + b"1]")

    def test_bad_utf8_of_each_kind(self):
        for kind in ("lead", "cut", "overlong", "surrogate", "too-high", "lone"):
            with self.subTest(kind), self.assertRaises(UnicodeDecodeError):
                self.body("bad-utf8", kind=kind)[2].decode("utf-8")

    def test_bodies_over_any_cap_mean_the_same(self):
        for name in ("chunked", "big"):
            with self.subTest(name):
                body = self.body(name, mib=2)[2]
                self.assertEqual(len(body), 2 << 20)
                self.assertEqual(json.loads(body), {"version": "v0.44.0"})

    def test_endless_has_no_end(self):
        for chunked in (True, False):
            with self.misbehaving("endless", chunked=chunked) as sock:
                self.assertEqual(read_all(sock, most=4 << 20)[1], "enough")

    def test_gzip_bomb_is_small_on_the_wire(self):
        _, headers, body = self.body("gzip-bomb", mib=16)
        self.assertEqual(headers["Content-Encoding"], "gzip")
        self.assertLess(len(body), 64 << 10)
        self.assertEqual(len(gzip.decompress(body)), 16 << 20)

    def test_headers_too_long(self):
        for name in ("header-line", "header-many"):
            with self.subTest(name), self.misbehaving(name, kib=70) as sock:
                data, _ = read_all(sock, most=70 << 10)
                self.assertNotIn(b"\r\n\r\n", data[:70 << 10])
                self.assertEqual(max(map(len, data.split(b"\r\n"))) > 60_000, name == "header-line")

    def test_informational_answers_without_end_or_before_the_real_one(self):
        with self.misbehaving("informational") as sock:
            data, end = read_all(sock, most=1 << 20)
            self.assertEqual((data[:12], end), (b"HTTP/1.1 103", "enough"))
        with self.misbehaving("informational", code=100, n=2) as sock:
            heads = read_some(sock, lambda data: b"version" in data).split(b"\r\n\r\n")
            self.assertEqual([head[:12] for head in heads[:3]],
                             [b"HTTP/1.1 100", b"HTTP/1.1 100", b"HTTP/1.1 200"])

    def test_switching_protocols_and_silence(self):
        with self.misbehaving("switching") as sock:
            self.assertTrue(read_some(sock, lambda data: b"\r\n\r\n" in data).startswith(b"HTTP/1.1 101 "))

    def test_trailers_and_chunk_extensions_of_a_megabyte(self):
        for name in ("trailers", "chunk-extension"):
            with self.subTest(name), self.misbehaving(name, mb=1) as sock:
                self.assertEqual(read_all(sock, most=1_000_000)[1], "enough")

    def test_what_is_not_http(self):
        self.assertEqual(self.wire("http09")[0], b'{"version":"v0.44.0"}\n')
        self.assertEqual(self.wire("garbage", size=100)[0][:3], b"\0\x01\xfe")
        self.assertEqual(self.wire("tls-alert")[0], b"\x15\x03\x01\x00\x02\x02\x46")
        self.assertTrue(self.wire("tls-go")[0].startswith(b"HTTP/1.0 400 Bad Request"))

    def test_create_then_drop_creates(self):
        for number, reset in enumerate((False, True)):
            name = f"dropped-{number}"
            self.standin.clear()
            self.standin.behave("create-then-drop", route=f"POST {WORKLOADS}", count=1, reset=reset)
            with connect(self.standin.port) as sock:
                send_request(sock, WORKLOADS, "POST", json.dumps({"name": name, "image": "x"}).encode())
                self.assertEqual(read_all(sock), (b"", "reset" if reset else "eof"))
            self.assertEqual(self.ask("GET", f"{WORKLOADS}/{name}")[0], 200)
        type(self).tested.add("create-then-drop")

    def test_rules_hold_for_their_route_and_count(self):
        self.standin.behave("status", route=f"GET {WORKLOADS}?all=true", count=2, code=500)
        self.standin.behave("status", route="* /api/v1beta/registry*", code=504)
        answers = [self.ask("GET", WORKLOADS + "?all=true")[0] for _ in range(3)]
        self.assertEqual(answers, [500, 500, 200])
        self.assertEqual(self.ask("GET", REGISTRY + "/default")[0], 504)
        self.assertEqual(self.ask("GET", VERSION)[0], 200)
        with self.assertRaisesRegex(AssertionError, "no behaviour nonsense"):
            self.standin.behave("nonsense")

    @classmethod
    def tearDownClass(cls):
        untested = {name for name, (stage, _) in BEHAVIOURS.items() if stage != "listener"} - cls.tested
        # Only a whole run can tell: a single test by name leaves the others out.
        if len(cls.tested) > len(BEHAVIOURS) // 2 and untested:
            raise AssertionError(f"behaviours without a test: {sorted(untested)}")
        super().tearDownClass()


if __name__ == "__main__":
    run_tests()
