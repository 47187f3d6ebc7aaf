#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""list and show, in a pipe and on a terminal: with ToolHive there, away, returning elsewhere, and lying."""

import json
import re
import signal
import time

from polling import StateCase
from scene import Scene, connected, moved
from terminal import Terminal
from harness import SLOWNESS, Optimizer, main

LIST_ROUTE = "GET /api/v1beta/workloads"
HEADINGS = ["NAME", "STATUS", "TRANSPORT", "GROUP", "URL"]
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
MASK = "********"


def columns(output):
    """The table as rows of cells, none of which has a blank in it."""
    return [line.split() for line in output.splitlines()]


def row(number, status="running"):
    return [f"workload-{number:05}", status, "streamable-http", "default", f"http://127.0.0.1:{17520 + number}/mcp"]


class Case(StateCase):
    def where(self, **settings):
        """The stand-in and nothing else, not even a service of this machine."""
        return {"toolhive_port": self.standin.port, "toolhive_discovery_file": "none",
                "toolhive_start_port_scan": self.closed, "toolhive_end_port_scan": self.closed,
                "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1, "state_file": "none", **settings}

    def piped(self, *arguments, **settings):
        """Exit code, stdout, and the lines of stderr, each of which has to be one of the log."""
        command = self.enterContext(Optimizer(*arguments, **self.where(**settings)))
        code, output = command.finish()
        for line in command.lines():
            self.assertIsNotNone(line.level, line.text)
        return code, output, command.lines()

    def good(self, *arguments, **settings):
        code, output, lines = self.piped(*arguments, **settings)
        self.assertEqual((code, [line.level for line in lines]), (0, ["INFO"]), lines)
        return output

    def bad(self, *arguments, code=1, **settings):
        """The last line, of an ERROR or worse; nothing is on stdout."""
        got, output, lines = self.piped(*arguments, **settings)
        self.assertEqual((got, output), (code, ""), lines)
        self.assertIn(lines[-1].level, ("ERROR", "CRITICAL"))
        return lines[-1]

    def terminal(self, *arguments, columns=80, piped=False, **settings):
        return self.enterContext(Terminal(*arguments, columns=columns, piped=piped, **self.where(**settings)))

    def shown(self, *arguments, code=0, **options):
        """A terminal on which the command has ended."""
        terminal = self.terminal(*arguments, **options)
        self.assertEqual(terminal.finish()[0], code, terminal.raw)
        self.assertEqual(terminal.screen.strange, [])
        return terminal


class TestListInAPipe(Case):
    def test_table(self):
        self.standin.control("workloads", status={"workload-00001": "stopped", "workload-00002": "error"})
        self.assertEqual(columns(self.good("list")), [HEADINGS, row(0), row(2, "error")])
        output = self.good("list", "--all")
        self.assertEqual(columns(output), [HEADINGS, row(0), row(1, "stopped"), row(2, "error")])
        self.assertNotIn("\x1b", output)
        self.assertEqual([line for line in output.splitlines() if line != line.rstrip()], [])

    def test_json(self):
        self.standin.control("workloads", status={"workload-00001": "policy_stopped"}, add=[{"name": "inspector"}],
                             update={"workload-00002": {"remote": True, "transport_type": None,
                                                        "status": "unhealthy"}})
        package = "ghcr.io/stacklok/dockyard/npx/workload-0000{}:1.0.3"
        items = [{"name": f"workload-0000{n}", "namespace": None, "status": status, "transport": transport,
                  "url": f"http://127.0.0.1:{17520 + n}/mcp", "group": "default", "package": package.format(n),
                  "remote": remote}
                 for n, status, transport, remote in ((0, "running", "streamable-http", False),
                                                      (1, "policy_stopped", "streamable-http", False),
                                                      (2, "unhealthy", None, True))]
        endpoint = f"http://127.0.0.1:{self.standin.port}"
        self.assertEqual(json.loads(self.good("list", "--all", "--json")), {
            "endpoint": endpoint, "workloads": items, "total": 3, "running": 1, "skipped": 1})
        self.assertEqual(json.loads(self.good("list", "--json")), {
            "endpoint": endpoint, "workloads": [items[0], items[2]], "total": 2, "running": 1, "skipped": 1})

    def test_nothing(self):
        self.standin.control("workloads", count=0)
        self.assertEqual(columns(self.good("list")), [HEADINGS])
        told = json.loads(self.good("list", "--json"))
        self.assertEqual((told["workloads"], told["total"]), ([], 0))

    def test_groups_and_names_of_the_settings(self):
        self.standin.control("workloads", add=[{"name": "a", "group": "one"}, {"name": "b", "group": "two"}])
        output = self.good("list", "--allowed-groups=one,two", "--skipped-workloads", "b")
        self.assertEqual([cells[0] for cells in columns(output)], ["NAME", "a"])

    def test_urls_that_only_the_details_have(self):
        self.standin.control("workloads", update={"workload-00001": {"url": None}, "workload-00002": {"url": None}})
        self.standin.behave("status", code=504, route="GET /api/v1beta/workloads/workload-00002")
        code, output, lines = self.piped("list")
        self.assertEqual((code, columns(output)), (0, [HEADINGS, row(0), row(1), row(2)[:4] + ["-"]]))
        self.assertEqual([line.message for line in lines if line.level == "WARNING"],
                         ["ToolHive answers 504 to get workload details"])

    def test_details_that_hang_cost_their_url_only(self):
        self.standin.control("workloads", update={"workload-00001": {"url": None}})
        self.standin.behave("hang", route=LIST_ROUTE + "/workload-00001")
        code, output, lines = self.piped("list", "--timeout=1")
        self.assertEqual((code, columns(output)), (0, [HEADINGS, row(0), row(1)[:4] + ["-"], row(2)]))
        self.assertEqual([line.text for line in lines if line.level != "INFO"],
                         ["WARNING  ToolHive does not answer get workload details: gave up after 1 s"])

    def test_what_is_confidential_in_a_url(self):
        url = "https://me:planted@x.example:8443/mcp?token=planted#fetch"
        self.standin.control("workloads", count=0, add=[{"name": "a", "url": url}])
        self.assertEqual(columns(self.good("list"))[1][-1], f"https://{MASK}@x.example:8443/mcp?token={MASK}#fetch")
        # Programs connect with it.
        self.assertEqual(json.loads(self.good("list", "--json"))["workloads"][0]["url"], url)

    def test_bad_entries_cost_the_others_nothing(self):
        self.standin.control("workloads", add=[{"name": "evil" + ESCAPE}, {"name": "b", "status": ESCAPE},
                                               {"name": "c", "url": "http://x/" + ESCAPE}])
        code, output, lines = self.piped("list")
        self.assertEqual((code, columns(output)), (0, [HEADINGS, row(0), row(1), row(2)]))
        warnings = [line for line in lines if line.level == "WARNING"]
        self.assertEqual([line.pairs["problem"] for line in warnings],
                         ["invalid name", "invalid status", "invalid url"])
        self.assertNotIn("\x1b", "".join(line.text for line in lines))

    def test_a_reader_that_has_seen_enough(self):
        # More than the pipe holds: it waits for its reader, who goes.
        self.standin.control("workloads", count=2000)
        command = self.enterContext(Optimizer("list", **self.where()))
        command.child.stdout.close()
        self.assertEqual(command.wait(), -signal.SIGPIPE)
        self.assertEqual(command.lines("ERROR"), [])

    def test_a_full_disk(self):
        command = self.enterContext(Optimizer("list", **self.where(
            wrapper=("sh", "-c", 'exec "$@" >/dev/full', "sh"))))
        self.assertEqual(command.finish()[0], 1)
        self.assertEqual(command.lines("ERROR")[0].message,
                         "Cannot write to standard output: No space left on device")

    def test_log_as_json(self):
        command = self.enterContext(Optimizer("list", "--log-format=json", **self.where()))
        self.assertEqual(command.finish()[0], 0)
        self.assertEqual([json.loads(line.text)["message"] for line in command.lines()], ["Connected to ToolHive"])


class TestTrouble(Case):
    def test_away(self):
        self.standin.stop_listening()
        start = time.monotonic()
        line = self.bad("list", "--timeout=1")
        self.assertRegex(line.message, r"^ToolHive unavailable \(Connection refused\): "
                                       r"gave up after 1 s and \d attempts$")
        self.assertGreater(time.monotonic() - start, 0.99)
        self.assertLess(time.monotonic() - start, 5 * SLOWNESS)

    def test_attempts_are_spent(self):
        self.standin.stop_listening()
        line = self.bad("show", "x", toolhive_max_retries=2)
        self.assertEqual(line.text, 'CRITICAL ToolHive connection failure - exiting max_retries=2 '
                                    'last_error="Connection refused"')

    def test_returns_elsewhere_during_the_wait(self):
        with Scene() as scene:
            standin = scene.standin(workloads=1)
            standin.stop_listening()
            command = scene.optimizer("list", state_file="none")
            command.wait_line("connection failed")
            standin.move(scene.other_port)
            code, output = command.finish()
            self.assertEqual((code, columns(output)), (0, [HEADINGS, row(0)]))
            self.assertIn(connected(scene.url(scene.other_port)), [line.text for line in command.lines()])

    def test_moves_between_two_calls(self):
        with Scene() as scene:
            standin = scene.standin(workloads=1)
            standin.behave("hang", route=LIST_ROUTE)
            command = scene.optimizer("show", "workload-00000", state_file="none")
            command.wait_line("Connected to ToolHive")
            standin.squat("elsewhere", port=scene.other_port, hosts=[scene.host])
            standin.stop_listening()
            code, output = command.finish()
            self.assertEqual(code, 0, command.lines())
            self.assertIn("workload-00000", output)
            for line in moved(scene.port, scene.other_port):
                self.assertIn(line, [line.text for line in command.lines()])

    def test_lies(self):
        """Each answer, and the words about it; none is tried again, as ToolHive is there."""
        rows = [
            ({"name": "status", "code": 500}, 'ToolHive answers 500 to list workloads error="Internal Server Error"'),
            ({"name": "status", "code": 404, "body": ESCAPE}, "ToolHive answers 404 to list workloads error="),
            ({"name": "json", "text": "{\"workloads\": {}}"},
             'ToolHive\'s answer to list workloads is of no use (Unusable body: "workloads" is no list)'),
            ({"name": "json", "text": "{\"workloads\": ["}, "ToolHive's answer to list workloads is of no use ("),
            ({"name": "big"}, "ToolHive's answer to list workloads is of no use ("),
        ]
        for behaviour, words in rows:
            with self.subTest(words):
                self.standin.clear()
                self.standin.behave(route=LIST_ROUTE, **behaviour)
                line = self.bad("list")
                self.assertTrue(line.text.startswith("ERROR    " + words), line.text)
                self.assertNotIn("\x1b", line.text)
        self.standin.clear()
        self.standin.control("toolhive", runtime_away=True)
        self.assertEqual(self.bad("list").text, "ERROR    ToolHive's container runtime is away")

    def test_hangs(self):
        self.standin.behave("hang", route=LIST_ROUTE)
        self.assertEqual(self.bad("list", "--timeout", "1").message,
                         "ToolHive does not answer list workloads: gave up after 1 s")

    def test_sigterm(self):
        self.standin.behave("hang", route=LIST_ROUTE)
        command = self.enterContext(Optimizer("list", **self.where()))
        command.wait_line("Connected")
        code, seconds = command.terminate()
        self.assertEqual((code, command.finish()[1]), (143, ""))
        self.assertLess(seconds, 2 * SLOWNESS)


class TestServiceFirst(Case):
    def test_where_the_running_service_is_connected(self):
        service = self.polled()
        state_file = service.runtime / "state.json"
        self.standin.reset()
        command = self.enterContext(Optimizer("list", state_file=state_file))
        code, output = command.finish()
        self.assertEqual((code, len(columns(output))), (0, 4), command.lines())
        self.assertEqual([line.text for line in command.lines()],
                         [connected(f"http://127.0.0.1:{self.standin.port}")])
        self.assertEqual([request["path"] for request in self.standin.requests()],
                         ["/api/v1beta/version", "/api/v1beta/workloads?all=true"])


class TestOnATerminal(Case):
    def test_fits_and_is_coloured(self):
        self.standin.control("workloads", count=1,
                             add=[{"name": "日本語のサーバー", "status": "error", "group": "日本"}])
        for width in (20, 50, 120):
            terminal = self.shown("list", columns=width)
            self.assertLessEqual(terminal.screen.widest, width)
            self.assertEqual(len(terminal.lines()), 3)
            # The heading is bold, what runs is green, what does not is red.
            self.assertLessEqual({"1", "31", "32"}, terminal.screen.styles)
        self.assertIn("日本語のサーバー", terminal.raw)

    def test_names_are_told_apart(self):
        names = ["production-github-enterprise", "production-github-public"]
        self.standin.control("workloads", count=0, add=[
            {"name": name, "url": f"http://127.0.0.1:17520/{name}/mcp"} for name in names])
        for width in (70, 80):
            rows = columns("\n".join(self.shown("list", columns=width).lines()))
            self.assertEqual([cells[:2] for cells in rows[1:]], [[name, "running"] for name in names])
            self.assertEqual(rows[0], ["NAME", "STATUS", "URL"])

    def test_no_color(self):
        for variable in ({"no_color": "1"}, {"term": "dumb"}):
            self.assertEqual(self.shown("list", **variable).screen.styles, set())

    def test_notes_are_for_the_person(self):
        self.standin.control("workloads", add=["inspector"],
                             status={"workload-00000": "stopped", "workload-00001": "stopped"})
        notes = ["2 stopped not shown: --all shows them.",
                 "1 left out by --skipped-workloads or --allowed-groups."]
        self.assertEqual(self.shown("list").lines()[2:], notes)
        terminal = self.terminal("list", piped=True)
        code, output = terminal.finish()
        self.assertEqual((code, columns(output), terminal.lines()), (0, [HEADINGS, row(2)], notes))
        self.standin.control("workloads", status={"workload-00002": "stopped"})
        self.assertEqual(self.shown("list").lines()[1], "No workload runs; --all shows 3 stopped.")

    def test_the_wait_is_one_line_that_goes(self):
        self.standin.stop_listening()
        terminal = self.terminal("list", columns=120)
        terminal.wait_seen("Connection refused")
        terminal.wait_seen(re.compile(r"gives up in (\d+) s(?s:.*)gives up in (?!\1 )\d+ s"))
        waiting = terminal.lines()
        self.standin.start_listening()
        self.assertEqual(terminal.finish()[0], 0)
        self.assertEqual(len(waiting), 1, waiting)
        self.assertTrue(waiting[0].startswith("Listing workloads: "), waiting)
        # The line is gone, and no line of the log was told beside it.
        self.assertEqual(columns("\n".join(terminal.lines())), [HEADINGS, row(0), row(1), row(2)])
        self.assertLess(terminal.screen.widest, 120)

    def test_a_log_that_was_asked_for(self):
        self.standin.stop_listening()
        terminal = self.shown("list", "--log-level=info", "--timeout=2", columns=60, code=1)
        lines = terminal.lines()
        self.assertTrue(lines[0].startswith("WARNING  ToolHive connection failed attempt=1 "), lines)
        self.assertTrue(lines[-1].startswith("ERROR    ToolHive unavailable (Connection refused): "), lines)
        self.assertIn("Listing workloads", terminal.raw)
        self.assertNotIn("Listing workloads", "".join(lines))

    def test_control_c(self):
        self.standin.control("workloads", update={"workload-00001": {"url": None}})
        for hanging in (LIST_ROUTE, LIST_ROUTE + "/workload-00001", None):
            with self.subTest(f"in a request that hangs: {hanging}" if hanging else "in a wait"):
                self.standin.clear()
                if hanging:
                    self.standin.behave("hang", route=hanging)
                else:
                    self.standin.stop_listening()
                terminal = self.terminal("list")
                terminal.wait_seen("Listing workloads")
                start = time.monotonic()
                terminal.control_c()
                self.assertEqual(terminal.finish()[0], 130)
                self.assertLess(time.monotonic() - start, 2 * SLOWNESS)
                # What the terminal itself echoes is gone with the line.
                self.assertEqual(terminal.lines(), [])


class TestShow(Case):
    def details(self, **fields):
        """What ToolHive says of workload-00000."""
        self.standin.behave("json", route=LIST_ROUTE + "/workload-00000",
                            text=json.dumps({"name": "workload-00000", **fields}))

    def show(self, *arguments, **settings):
        return json.loads(self.good("show", "workload-00000", "--json", *arguments, **settings))

    def test_json(self):
        self.details(image="ghcr.io/x/y:1", host="127.0.0.1", target_port=8080, proxy_port=17520, transport="stdio",
                     proxy_mode="sse", group="default", network_isolation=True, permission_profile={"name": "none"},
                     tools=["a", "b"], volumes=["/a:/b:ro"], cmd_arguments=["--verbose"],
                     env_vars={"A": "1", "B": ""}, secrets=[{"name": "s", "target": "C"}])
        self.assertEqual(list(self.show().items()), list({
            "name": "workload-00000", "namespace": None, "resource": None, "status": "running", "message": None,
            "url": "http://127.0.0.1:17520/mcp", "transport": "stdio", "proxy_mode": "sse", "image": "ghcr.io/x/y:1", "remote": False, "remote_url": None,
            "group": "default", "host": "127.0.0.1", "proxy_port": 17520, "target_port": 8080, "tools": ["a", "b"],
            "arguments": ["--verbose"], "volumes": ["/a:/b:ro"], "network_isolation": True,
            "permission_profile": "none", "env_vars": {"A": MASK, "B": MASK},
            "secrets": [{"target": "C", "name": MASK}]}.items()))

    def test_what_is_missing_or_of_a_wrong_type(self):
        nothing = {"name": "workload-00000", "namespace": None, "resource": None, "message": None,
                   "status": None, "url": None, "transport": None, "proxy_mode": None,
                   "image": None, "remote": False, "remote_url": None, "group": None, "host": None,
                   "proxy_port": None, "target_port": None, "tools": [], "arguments": [], "volumes": [],
                   "network_isolation": None, "permission_profile": None, "env_vars": {}, "secrets": []}
        fields = set(nothing) - {"name", "status", "remote"} | {"cmd_arguments"}
        self.standin.control("workloads", remove=["workload-00000"])
        for wrong in (None, 1.5, True, [1, None, {}, []], {"a": []}, -1, ""):
            with self.subTest(wrong):
                self.standin.clear()
                self.details(**dict.fromkeys(fields, wrong))
                told = self.show()
                # One field is a boolean; and a variable has its name whatever its value is.
                self.assertEqual(told.pop("network_isolation"), True if wrong is True else None)
                self.assertEqual(told.pop("env_vars"), {"a": MASK} if wrong == {"a": []} else {})
                self.assertEqual(told, {key: value for key, value in nothing.items() if key in told})

    def test_facts(self):
        self.details(image="i", proxy_port=17520, tools=["a", "b"], network_isolation=False,
                     env_vars={"A": "1", "B": "2"}, secrets=[{"name": "s", "target": "C"}])
        facts = [line.strip() for line in self.good("show", "workload-00000").splitlines()]
        self.assertEqual(facts, [
            "Name: workload-00000", "Status: running", "URL: http://127.0.0.1:17520/mcp", "Image: i",
            "Proxy port: 17520", "Tools: a", "b", "Network isolation: no",
            f"Environment: A={MASK}", f"B={MASK}", f"Secrets: C={MASK}"])

    def test_remote(self):
        self.standin.control("workloads", update={"workload-00000": {"remote": True}})
        self.details(image="", url="https://user:planted@x.example/mcp?token=planted&planted#planted=planted")
        told = self.show()
        self.assertEqual((told["remote"], told["url"], told["image"]), (True, "http://127.0.0.1:17520/mcp", None))
        self.assertEqual(told["remote_url"], f"https://{MASK}@x.example/mcp?token={MASK}&{MASK}#planted={MASK}")

    def test_nothing_confidential(self):
        arguments = {
            "--verbose": "--verbose",
            "--token=planted": f"--token={MASK}",
            "--API-KEY=planted=planted": f"--API-KEY={MASK}",
            "--header=Authorization: Bearer planted": f"--header=Authorization:{MASK}",
            "X-Api-Key:planted": f"X-Api-Key:{MASK}",
            '{"a": 1, "password": "planted"}': f'{{"a": 1, "password":{MASK}',
            "--env=DB_PASSWORD=planted": f"--env=DB_PASSWORD={MASK}",
            "postgres://me:planted@db:5432/x?sslkey=planted": f"postgres://{MASK}@db:5432/x?sslkey={MASK}",
            "root:planted@tcp(db:3306)/mcp": f"{MASK}@tcp(db:3306)/mcp",
            '{"u": "http://x/?a=planted", "n": 1, "token": "planted"}':
                f'{{"u": "http://x/?a={MASK}", "n": 1, "token":{MASK}',
            "http://a,http://me:planted@b/c": f"http://a,http://{MASK}@b/c",
            "--dsn=root:planted@tcp(db:3306)/x": f"--dsn={MASK}@tcp(db:3306)/x",
            "--db=mysql://planted@db/x,http://me:planted@y/?planted":
                f"--db=mysql://{MASK}@db/x,http://{MASK}@y/?{MASK}",
            "https://auth.example.com:8443/a#fetch": "https://auth.example.com:8443/a#fetch",
            "git@github.com:org/repo": "git@github.com:org/repo",
            "--secret-file": "--secret-file", "planted": MASK,
            "--auth": "--auth", "--password": MASK, "--planted": MASK,
            "--port": "--port", "8080": "8080",
        }
        planted = {"planted": "planted"}
        self.details(cmd_arguments=list(arguments), env_vars={"A": "planted"}, authz_config="planted",
                     secrets=[{"name": "planted", "target": "B"}], oidc={"client_secret": "planted"},
                     oauth_config={"bearer_token": {"name": "planted", "target": "bearer_token"}},
                     headers=[planted], header_forward={"add_plaintext_headers": planted}, runtime_config=planted,
                     tools_override=planted, permission_profile={"read": ["planted"]}, novelty="planted")
        self.assertEqual(self.show()["arguments"], list(arguments.values()))
        for form in ([], ["--json"]):
            code, output, lines = self.piped("show", "workload-00000", "--log-level=debug", *form)
            self.assertEqual(code, 0)
            for text in (output, *(line.text for line in lines)):
                self.assertNotIn("planted", text)

    def test_control_characters_never_reach_the_terminal(self):
        evil = "a" + ESCAPE + "\u202eb\n"
        self.details(image=evil, group=evil, tools=[evil], cmd_arguments=[evil, "日本語" * 50], volumes=[evil],
                     env_vars={evil: "x"}, secrets=[{"name": "s", "target": evil}], url=evil, host=evil)
        terminal = self.shown("show", "workload-00000", columns=40)
        self.assertLessEqual(terminal.screen.widest, 40)
        self.assertIn("a\ufffd[2J\ufffd]0;", terminal.raw)
        output = self.good("show", "workload-00000", "--json")
        self.assertEqual([character for character in output if character < " " and character != "\n"], [])
        self.assertNotIn("\u202e", output)
        self.assertEqual(json.loads(output)["image"], evil)

    def test_without_the_list(self):
        warnings = {"status": 'ToolHive answers 500 to list workloads error="Internal Server Error"',
                    "hang": "ToolHive does not answer list workloads: gave up after 1 s"}
        for behaviour, words in warnings.items():
            with self.subTest(behaviour):
                self.standin.clear()
                self.details(url="http://127.0.0.1:1/mcp", image="i", group="g")
                self.standin.behave(behaviour, route=LIST_ROUTE)
                code, output, lines = self.piped("show", "workload-00000", "--json", "--timeout=1")
                told = json.loads(output)
                self.assertEqual((code, told["status"], told["url"], told["group"]),
                                 (0, None, "http://127.0.0.1:1/mcp", "g"))
                self.assertEqual([line.text for line in lines if line.level != "INFO"], ["WARNING  " + words])
        self.standin.clear()
        self.details(group="g")
        self.standin.behave("status", route=LIST_ROUTE)
        code, output, _ = self.piped("show", "workload-00000")
        self.assertEqual((code, [line.strip() for line in output.splitlines()]),
                         (0, ["Name: workload-00000", "Status: -", "URL: -", "Group: g"]))

    def test_what_is_copied_is_whole_on_a_narrow_terminal(self):
        url = "http://127.0.0.1:17520/" + "".join(f"{number}/" for number in range(100, 130)) + "mcp"
        image = "registry.example.com/somebody/" + "long-" * 20 + "name:1.0.3"
        self.standin.control("workloads", update={"workload-00000": {"url": url}})
        self.details(image=image, group="g")
        for width in (40, 80):
            terminal = self.shown("show", "workload-00000", columns=width)
            self.assertLessEqual(terminal.screen.widest, width)
            joined = "".join(line.strip() for line in terminal.lines())
            self.assertIn(f"URL: {url}Image: {image}Group: g", joined)

    def test_a_name_that_toolhive_refuses(self):
        self.standin.behave("status", route=LIST_ROUTE + "/fetch%21", code=400, body="invalid workload name")
        self.standin.control("workloads", add=["fetch"])
        self.assertEqual(self.bad("show", "fetch!", code=4).message,
                         "There is no workload named fetch!: did you mean fetch?")
        # Which other names there are is not worth more than the answer.
        self.standin.behave("status", route=LIST_ROUTE)
        self.assertEqual(self.bad("show", "fetch!", code=4).message, "There is no workload named fetch!")
        self.standin.behave("status", route=LIST_ROUTE + "/fetch", code=500)
        self.assertEqual(self.bad("show", "fetch").text,
                         'ERROR    ToolHive answers 500 to get workload details error="Internal Server Error"')

    def test_no_such_workload(self):
        self.standin.control("workloads", add=["fetch"])
        for arguments in (["fetsh"], ["fetsh", "--json"]):
            self.assertEqual(self.bad("show", *arguments, code=4).message,
                             "There is no workload named fetsh: did you mean fetch?")
        self.assertEqual(self.bad("show", "something else", code=4).message,
                         'There is no workload named "something else"')


if __name__ == "__main__":
    main(abreast=True)
