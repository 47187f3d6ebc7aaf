#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""registry and install: what is offered, what is missing, what is sent, and that it is sent once."""

import json
import re
import shlex

from polling import StateCase, wait_for
from terminal import Terminal
from harness import Optimizer, free_port, main

WORKLOADS = "/api/v1beta/workloads"
INSTALL_ROUTE = f"POST {WORKLOADS}"
ENTRY = "/api/v1beta/registry/default/servers"
SECRET = "planted-8e1f7c"

FETCH = {"name": "fetch", "title": "Fetch", "description": "Fetches web pages", "tier": "Official",
         "status": "Active", "transport": "stdio", "image": "ghcr.io/example/fetch:1", "tools": ["fetch", "raw"],
         "tags": ["web"], "repository_url": "https://example.com/fetch", "env_vars": None, "args": ["--polite"]}
GITHUB = {"name": "github", "description": "Talks to GitHub", "env_vars": [
    {"name": "GITHUB_TOKEN", "description": "A personal access token", "required": True, "secret": True},
    {"name": "GITHUB_HOST", "description": "Which\nGitHub", "required": True},
    {"name": "LEVEL", "description": "How much", "required": True, "default": "all"},
    {"name": "EXTRA", "description": "More"}]}
ATLAS = {"name": "io.github.example/atlas", "remote": True, "description": "Maps", "url": "https://atlas.example.com/mcp",
         "headers": [{"name": "X-API-Key", "description": "Your key", "required": True, "secret": True}]}
DOTTED = {"name": "-dotted", "env_vars": [{"name": "api.base-url", "required": True},
                                          {"name": "9.token", "required": True, "secret": True}]}


def columns(output):
    """The table as rows of cells, none of which has two blanks in it."""
    return [[cell.strip() for cell in line.split("  ") if cell] for line in output.splitlines()]


class Case(StateCase):
    def setUp(self):
        super().setUp()
        self.standin.control("toolhive", starting_ms=0, install_ms=0, started_status="running")
        self.standin.control("registry", servers=3, remote_servers=1, add=[FETCH, GITHUB, ATLAS])
        self.standin.control("workloads", count=0)

    def where(self, **settings):
        """The stand-in and nothing else, not even a service of this machine."""
        return {"toolhive_port": self.standin.port, "toolhive_discovery_file": "none",
                "toolhive_start_port_scan": self.closed, "toolhive_end_port_scan": self.closed,
                "toolhive_initial_backoff": 0.1, "toolhive_max_backoff": 1, "state_file": "none",
                "log_level": "debug", **settings}

    def start(self, *arguments, **settings):
        return self.enterContext(Optimizer(*arguments, **self.where(**settings)))

    def end(self, command, code):
        """stdout, and the sentences of the errors; each line of stderr is one of the log, nothing confidential in any."""
        got, output = command.finish()
        lines = command.lines()
        self.assertEqual(got, code, lines)
        for line in lines:
            self.assertIsNotNone(line.level, line.text)
        self.assertNotIn(SECRET, output + "".join(line.text for line in lines))
        # Not the message: --env KEY=VALUE in a sentence looks like one of the pairs behind it.
        return output, [line.text[9:] for line in lines if line.level == "ERROR"]

    def run_command(self, *arguments, code=0, **settings):
        return self.end(self.start(*arguments, **settings), code)

    def good(self, *arguments, **settings):
        output, errors = self.run_command(*arguments, **settings)
        self.assertEqual(errors, [])
        return output

    def bad(self, *arguments, code, **settings):
        """What was told; nothing is on stdout."""
        output, errors = self.run_command(*arguments, code=code, **settings)
        self.assertEqual(output, "")
        return errors

    def terminal(self, *arguments, columns=60, **settings):
        settings = {key: value for key, value in self.where(**settings).items() if key != "log_level"}
        return self.enterContext(Terminal(*arguments, columns=columns, **settings))

    def shown(self, terminal, code=0):
        """What stands on the terminal at the end; nothing was ever wider, and nothing drove it."""
        self.assertEqual(terminal.finish()[0], code, terminal.raw)
        self.assertEqual(terminal.screen.strange, [])
        self.assertNotIn(SECRET, terminal.raw)
        return terminal.lines()

    def bodies(self):
        """What was sent to be installed."""
        return [json.loads(seen["body"]) for seen in self.standin.requests() if seen["method"] == "POST"]

    def asked(self, prefix):
        return [seen["path"] for seen in self.standin.requests() if seen["path"].startswith(prefix)]


class TestRegistry(Case):
    def test_table(self):
        rows = columns(self.good("registry"))
        self.assertEqual(rows[0], ["NAME", "KIND", "TIER", "DESCRIPTION"])
        self.assertEqual([row[:3] for row in rows[1:]], [
            ["fetch", "container", "Official"], ["github", "container", "Community"],
            ["io.github.example/atlas", "remote", "Community"], ["remote-000", "remote", "Community"],
            *([f"server-00{number}", "container", "Community"] for number in range(3))])
        self.assertEqual(rows[1][3], "Fetches web pages")

    def test_search(self):
        for word, names in (("FETCH", ["fetch"]), ("github", ["github", "io.github.example/atlas"]),
                            ("web pages", ["fetch"]), ("xyzzy", [])):
            with self.subTest(word):
                self.assertEqual([row[0] for row in columns(self.good("registry", "--search", word))], ["NAME", *names])

    def test_list_as_json(self):
        self.assertEqual(json.loads(self.good("registry", "--search", "web", "--json")), {
            "last_updated": "2026-02-18T00:24:11Z", "total": 1, "servers": [{
                "name": "fetch", "title": "Fetch", "description": "Fetches web pages", "tier": "Official",
                "status": "Active", "transport": "stdio", "remote": False, "image": "ghcr.io/example/fetch:1",
                "url": None, "repository_url": "https://example.com/fetch", "tools": ["fetch", "raw"],
                "tags": ["web"]}]})
        self.assertEqual(json.loads(self.good("registry", "--search", "xyzzy", "--json"))["servers"], [])

    def test_entry(self):
        self.assertEqual(self.good("registry", "fetch"), """\
       Name: fetch
      Title: Fetch
Description: Fetches web pages
       Kind: container
      Image: ghcr.io/example/fetch:1
  Transport: stdio
       Tier: Official
     Status: Active
      Tools: fetch, raw
       Tags: web
 Repository: https://example.com/fetch

mcp-optimizer install fetch
""")
        self.assertEqual(self.good("registry", "github").partition("\n\n")[2], """\
SETTING       REQUIRED  SECRET  DEFAULT  DESCRIPTION
GITHUB_TOKEN  yes       yes     -        A personal access token
GITHUB_HOST   yes       no      -        Which GitHub
LEVEL         yes       no      all      How much
EXTRA         no        no      -        More

mcp-optimizer install github \\
    --secret NAME,target=GITHUB_TOKEN \\
    --env GITHUB_HOST=VALUE
""")
        self.assertEqual(self.good("registry", "io.github.example/atlas").partition("\n\n")[2], """\
SETTING             REQUIRED  SECRET  DEFAULT  DESCRIPTION
X-API-Key (header)  yes       yes     -        Your key

mcp-optimizer install io.github.example/atlas \\
    --secret NAME,target=X_API_KEY
""")

    def test_entry_whose_name_looks_like_an_option(self):
        self.standin.control("registry", add=[DOTTED, {"name": "-bare", "env_vars": None}])
        command = self.good("registry", "--", "-dotted").rpartition("\n\n")[2]
        self.assertEqual(command, """\
mcp-optimizer install \\
    --env api.base-url=VALUE \\
    --secret NAME,target=9.token -- '-dotted'
""")
        self.assertTrue(self.good("registry", "--", "-bare").endswith("\nmcp-optimizer install -- '-bare'\n"))
        # What is to be typed is right, and so are names that no shell could export.
        self.good(*shlex.split(command.replace("\\\n", ""))[1:])
        body, = self.bodies()
        self.assertEqual((body["env_vars"], body["secrets"]),
                         ({"api.base-url": "VALUE"}, [{"name": "NAME", "target": "9.token"}]))

    def test_entry_as_json(self):
        told = json.loads(self.good("registry", "github", "--json"))
        self.assertEqual(told["env_vars"], [
            {"name": "GITHUB_TOKEN", "description": "A personal access token", "required": True, "secret": True,
             "default": None},
            {"name": "GITHUB_HOST", "description": "Which GitHub", "required": True, "secret": False, "default": None},
            {"name": "LEVEL", "description": "How much", "required": True, "secret": False, "default": "all"},
            {"name": "EXTRA", "description": "More", "required": False, "secret": False, "default": None}])
        self.assertEqual((told["headers"], told["args"]), ([], ["--verbose"]))
        told = json.loads(self.good("registry", "io.github.example/atlas", "--json"))
        self.assertEqual((told["remote"], told["image"], told["url"]), (True, None, "https://atlas.example.com/mcp"))
        self.assertEqual(told["headers"], [{"name": "X-API-Key", "description": "Your key", "required": True,
                                            "secret": True, "default": None}])

    def test_no_such_server(self):
        for name, meant in (("fetsh", ": did you mean fetch?"), ("quite-another", ""),
                            ("atlas", ": did you mean io.github.example/atlas?"), ("atlsa", ": did you mean atlas?")):
            with self.subTest(name):
                self.assertEqual(self.bad("registry", name, code=4),
                                 [f"There is no server in the registry named {name}{meant}"])

    def test_entries_that_lie(self):
        """They cost no other, and none of them drives the terminal."""
        self.standin.control("registry", add=[
            {"name": "odd", "args": [1]}, {"name": "od\x1b[2Jd"},
            {"name": "loud", "description": "\x1b[2J\x1b]0;owned\x07 and\nmore", "tier": "\x1b[31mred", "tools": None}])
        command = self.start("registry")
        rows = columns(self.end(command, 0)[0])
        self.assertEqual([row for row in rows if row[0] == "loud"],
                         [["loud", "container", "-", "\ufffd[2J\ufffd]0;owned\ufffd and more"]])
        self.assertEqual([(line.message, line.pairs) for line in command.lines("WARNING")],
                         [("Skipping registry servers that make no sense", {"count": "2"})])
        self.assertIn("What the registry says of odd cannot be used: invalid args", self.bad("registry", "odd", code=1))

    def test_registry_that_cannot_be_had(self):
        self.standin.control("registry", problem="registry_unavailable")
        command = self.start("registry")
        self.end(command, 1)
        self.assertEqual(command.lines("ERROR")[-1].pairs["error"],
                         "registry_unavailable: upstream registry is unavailable")

    def test_on_a_terminal(self):
        long = "Says a lot about what it does, so much that no line of sixty columns could hold all of it. " * 3
        self.standin.control("registry", add=[
            {"name": "wordy", "description": long, "tools": ["tool-of-wordy"] * 9},
            {"name": "settings", "env_vars": [{
                "name": "A_SETTING_WITH_A_NAME_THAT_FILLS_A_LINE", "description": long, "default": "quite long " * 3}]}])
        for arguments, wanted in ((("registry",), "wordy"), (("registry", "--search", "lot"), "wordy"),
                                  (("registry", "wordy"), "Description: Says a lot"),
                                  (("registry", "settings"), "A_SETTING_WITH_A_NAME_THAT_FILLS_A_LINE "),
                                  (("registry", "github"), "GITHUB_TOKEN"),
                                  (("registry", "--search", "xyzzy"), "None of the 9 servers")):
            with self.subTest(arguments):
                terminal = self.terminal(*arguments)
                lines = self.shown(terminal)
                self.assertIn(wanted, "\n".join(lines))
                if "xyzzy" not in arguments:        # a sentence may be wider: the terminal wraps it
                    self.assertLessEqual(terminal.screen.widest, 60, lines)
                if arguments[-1] == "wordy":
                    # Long texts go on below, whole.
                    self.assertEqual(" ".join("\n".join(lines).split()).count("hold all of it."), 3)
                    self.assertEqual("\n".join(lines).count("tool-of-wordy"), 9)


class TestInstall(Case):
    def test_from_the_registry(self):
        self.assertEqual(self.good("install", "fetch"), "fetch runs at http://127.0.0.1:17520/mcp\n")
        self.assertEqual(self.bodies(), [{
            "name": "fetch", "registry": "default", "server": "fetch", "image": "ghcr.io/example/fetch:1",
            "transport": "stdio", "cmd_arguments": ["--polite"], "env_vars": {}, "secrets": []}])

    def test_as_another_in_a_group(self):
        output = self.good("install", "fetch", "--as", "second", "--group", "team", "--json")
        self.assertEqual(json.loads(output), {"name": "second", "status": "running", "port": 17520, "group": "team",
                                              "url": "http://127.0.0.1:17520/mcp"})
        self.assertEqual([(body["name"], body["group"]) for body in self.bodies()], [("second", "team")])

    def test_at_a_url(self):
        output = self.good("install", "mine", "--url", f"https://example.com/mcp?key={SECRET}", "--transport", "sse")
        self.assertEqual(output, "mine runs at http://127.0.0.1:17520/mcp\n")
        self.assertEqual(self.bodies(), [{"name": "mine", "url": f"https://example.com/mcp?key={SECRET}",
                                          "transport": "sse"}])
        self.assertEqual(self.asked("/api/v1beta/registry"), [])

    def test_missing_settings_are_listed_and_nothing_is_sent(self):
        told = self.bad("install", "github", "--env", f"EXTRA={SECRET}", code=6)
        self.assertEqual(told, [
            "github needs 2 more settings, nothing was installed:",
            "GITHUB_TOKEN (secret): A personal access token",
            "    --secret NAME,target=GITHUB_TOKEN   from ToolHive's secret store (thv secret set NAME)",
            "    --env GITHUB_TOKEN                  from this environment",
            "GITHUB_HOST: Which GitHub",
            "    --env GITHUB_HOST=VALUE"])
        self.assertEqual(self.asked(WORKLOADS), [])

    def test_settings(self):
        self.good("install", "github", "--env", "GITHUB_TOKEN", "--env", "GITHUB_HOST=h", "--secret", "s,target=EXTRA",
                  github_token=SECRET)
        body, = self.bodies()
        self.assertEqual(body["env_vars"], {"GITHUB_TOKEN": SECRET, "GITHUB_HOST": "h", "LEVEL": "all"})
        self.assertEqual(body["secrets"], [{"name": "s", "target": "EXTRA"}])

    def test_headers_of_a_remote_server(self):
        told = self.bad("install", "io.github.example/atlas", code=6)
        self.assertEqual(told[1:], [
            "X-API-Key (header, secret): Your key",
            "    --secret NAME,target=X_API_KEY   from ToolHive's secret store (thv secret set NAME)",
            "    --env X_API_KEY                  from this environment"])
        self.assertEqual(self.good("install", "io.github.example/atlas", "--env", "X_API_KEY", x_api_key=SECRET),
                         "atlas runs at http://127.0.0.1:17520/mcp\n")
        body, = self.bodies()
        self.assertEqual((body["server"], body["url"], body["header_forward"]), (
            "io.github.example/atlas", "https://atlas.example.com/mcp",
            {"add_plaintext_headers": {"X-API-Key": SECRET}, "add_headers_from_secret": {}}))

    def test_a_misspelt_header_is_not_sent(self):
        told = self.bad("install", "io.github.example/atlas", "--env", f"X_APY_KEY={SECRET}", code=78)
        self.assertEqual(told, ["io.github.example/atlas has no setting X_APY_KEY: did you mean X_API_KEY?"])
        self.assertEqual(self.asked(WORKLOADS), [])

    def test_wrong_use_asks_nobody(self):
        for arguments in (["--as", "a/b"], ["--env", f"A={SECRET}", "--env", f"A={SECRET}"],
                          ["--env", f"A={SECRET}", "--secret", f"{SECRET},target=A"],
                          ["--env", "NOT_SET"], ["--env", "EMPTY"]):
            with self.subTest(arguments):
                self.bad("install", "fetch", *arguments, code=78, empty="")
        self.bad("install", "x", "--url", "https://example.com", "--env", f"A={SECRET}", code=78)
        self.assertEqual(self.standin.requests(), [])

    def test_no_such_server(self):
        self.assertEqual(self.bad("install", "fetsh", code=4),
                         ["There is no server in the registry named fetsh: did you mean fetch?"])
        self.assertEqual(self.asked(WORKLOADS), [])

    def test_an_existing_name(self):
        self.standin.control("workloads", add=["fetch"])
        told, = self.bad("install", "fetch", code=5)
        self.assertIn("There is a workload named fetch already", told)
        self.assertEqual(self.bodies(), [])
        # Somebody is faster, between the question and the sending.
        self.standin.behave("status", INSTALL_ROUTE, count=1, code=409, body="workload with name other already exists\n")
        self.bad("install", "fetch", "--as", "other", code=5)

    def test_toolhive_refuses(self):
        self.standin.behave("status", INSTALL_ROUTE, count=1, code=400, body=f"invalid A={SECRET}, \x1b[2J\n")
        self.assertEqual(self.bad("install", "fetch", "--env", f"A={SECRET}", code=1),
                         ["ToolHive cannot install fetch: invalid A=********, \ufffd[2J"])
        self.standin.behave("status", INSTALL_ROUTE, count=1, code=500, body=f"broken by {SECRET}\n")
        self.assertEqual(self.bad("install", "fetch", "--env", f"A={SECRET}", code=1),
                         ["ToolHive cannot install fetch: broken by ********"])
        self.standin.control("registry", add=[{**FETCH, "image": "missing.example/fetch:1"}])
        self.assertEqual(self.bad("install", "fetch", code=1), [
            "ToolHive cannot install fetch: failed to retrieve or pull image: missing.example/fetch:1"])
        self.assertEqual(len(self.bodies()), 3)


    def test_toolhive_repeats_a_value_in_its_own_spelling(self):
        odd = f"\n{SECRET}"
        self.standin.behave("status", INSTALL_ROUTE, count=1, code=400, body=f"invalid A={json.dumps(odd)}\n")
        self.assertEqual(self.bad("install", "fetch", "--env", f"A={odd}", code=1), [
            "ToolHive cannot install fetch: its words are not shown, since they may hold a value that was given"])


class TestUnknownOutcomes(Case):
    def assert_once(self):
        """Sent once, there once."""
        self.assertEqual(len(self.bodies()), 1)
        self.assertEqual(self.standin.control("workloads")["workloads"], ["fetch"])

    def test_created_and_the_answer_is_lost(self):
        for behaviour, parameters in (("create-then-drop", {}), ("create-then-drop", {"reset": True}),
                                      ("cut-body", {"keep": 12})):
            with self.subTest(behaviour, **parameters):
                self.standin.control("workloads", count=0)
                self.standin.reset()
                self.standin.behave(behaviour, INSTALL_ROUTE, count=1, **parameters)
                told = json.loads(self.good("install", "fetch", "--json", "--env", f"A={SECRET}"))
                self.assertEqual((told["status"], told["port"]), ("running", 17520))
                self.assert_once()

    def test_a_409_after_an_unknown_outcome_is_ours(self):
        self.standin.behave("close", INSTALL_ROUTE, count=1)
        self.standin.behave("status", INSTALL_ROUTE, count=1, code=409, body="workload with name fetch already exists\n")
        self.assertEqual(self.good("install", "fetch", "--wait", "0"), "fetch is installed\n")

    def test_toolhive_returns_on_another_port(self):
        other = free_port()
        self.standin.stop_listening()
        command = self.start("install", "fetch", toolhive_start_port_scan=other, toolhive_end_port_scan=other)
        command.wait_line("connection failed attempt=1")
        self.standin.squat("elsewhere", port=other)
        self.addCleanup(self.standin.stop_listening, server="elsewhere")
        self.assertEqual(self.end(command, 0)[0], "fetch runs at http://127.0.0.1:17520/mcp\n")
        self.assert_once()

    def test_toolhive_moves_while_it_installs(self):
        """The answer is lost; whether it was carried out by then or not, it is once in the end."""
        other = free_port()
        self.standin.control("toolhive", install_ms=200)
        command = self.start("install", "fetch", toolhive_start_port_scan=other, toolhive_end_port_scan=other)
        wait_for(self.bodies, what="the request")
        self.standin.squat("elsewhere", port=other)
        self.addCleanup(self.standin.stop_listening, server="elsewhere")
        self.standin.stop_listening()
        self.assertEqual(self.end(command, 0)[0], "fetch runs at http://127.0.0.1:17520/mcp\n")
        self.assertEqual(self.standin.control("workloads")["workloads"], ["fetch"])
        self.assertEqual([line.pairs["new_port"] for line in command.lines() if "retrying immediately" in line.text],
                         [str(other)])

    def test_the_time_is_up(self):
        self.standin.behave("hang", INSTALL_ROUTE)
        told = self.bad("install", "fetch", "--timeout", "1", code=1)
        self.assertEqual(told[-1], "Whether fetch was installed is not known: mcp-optimizer list --all tells")
        self.assertIn("gave up after 1 s", told[0])

    def test_an_answer_of_a_gateway(self):
        for code in (502, 503, 504):
            with self.subTest(code):
                self.standin.behave("status", INSTALL_ROUTE, count=1, code=code, body="who knows\n")
                self.assertEqual(self.bad("install", "fetch", code=1), [
                    "ToolHive does not say that it installed fetch: who knows",
                    "Whether fetch was installed is not known: mcp-optimizer list --all tells"])
        # Here it is: nothing was sent.
        self.standin.behave("status", f"GET {WORKLOADS}/fetch", count=1, code=503, body="busy\n")
        self.assertEqual(self.bad("install", "fetch", code=1), ["ToolHive cannot install fetch: busy"])

    def test_control_c(self):
        self.standin.behave("hang", INSTALL_ROUTE)
        terminal = self.terminal("install", "fetch", columns=100)
        wait_for(self.bodies, what="the request")
        terminal.control_c()
        self.assertEqual(self.shown(terminal, code=130)[-1].removeprefix("^C"),
                         "ERROR    Whether fetch was installed is not known: mcp-optimizer list --all tells")

    def test_an_earlier_control_c_says_nothing(self):
        self.standin.behave("hang", f"GET {ENTRY}/fetch")
        terminal = self.terminal("install", "fetch")
        wait_for(lambda: self.asked(ENTRY), what="the request")
        terminal.control_c()
        self.assertIn(self.shown(terminal, code=130), ([], ["^C"]))


class TestWaiting(Case):
    def test_until_it_runs(self):
        self.standin.control("toolhive", starting_ms=400)
        # The container runtime is busy for a moment.
        self.standin.behave("status", f"GET {WORKLOADS}?all=true", count=1)
        self.assertEqual(self.good("install", "fetch"), "fetch runs at http://127.0.0.1:17520/mcp\n")
        self.assertGreaterEqual(len(self.asked(f"{WORKLOADS}?all=true")), 3)

    def test_not_at_all(self):
        self.standin.control("toolhive", starting_ms=60000)
        self.assertEqual(self.good("install", "fetch", "--wait", "0"), "fetch is installed, on port 17520\n")
        self.assertEqual(json.loads(self.good("install", "fetch", "--as", "b", "--wait", "0", "--json")),
                         {"name": "b", "status": None, "url": None, "port": 17521, "group": "default"})
        self.assertEqual(self.asked(f"{WORKLOADS}?all=true"), [])

    def test_in_vain(self):
        self.standin.control("toolhive", starting_ms=60000)
        output, told = self.run_command("install", "fetch", "--wait", "1", "--json", code=7)
        self.assertRegex(told[0], r"^fetch is installed, and its status is starting after [\d.]+ s: thv logs fetch ")
        self.assertEqual(len(told), 1)
        self.assertEqual(json.loads(output)["status"], "starting")

    def waits_in_vain(self):
        """The last sentence, after a second, and the lines of the log."""
        command = self.start("install", "fetch", "--wait", "1", "--json")
        output, told = self.end(command, 7)
        self.assertIsNone(json.loads(output)["status"])
        return told[-1], command.lines()

    def test_while_toolhive_answers_something_else(self):
        self.standin.control("toolhive", starting_ms=60000)
        self.standin.behave("status", f"GET {WORKLOADS}?all=true")
        told = self.waits_in_vain()[0]
        self.assertRegex(told, r"^fetch is installed, and whether it runs is not known after [\d.]+ s ")
        self.assertIn(" s (ToolHive answers 500 to list workloads): thv logs fetch ", told)

    def test_for_one_whose_entry_makes_no_sense(self):
        self.standin.behave("json", f"GET {WORKLOADS}?all=true", text=json.dumps(
            {"workloads": [{"name": "fetch", "status": 5}]}))
        told, lines = self.waits_in_vain()
        self.assertRegex(told, r"^fetch is installed, and what ToolHive lists of it makes no sense after [\d.]+ s")
        self.assertEqual([line.pairs["name"] for line in lines if line.level == "WARNING"], ["fetch"])

    def test_while_toolhive_is_away(self):
        """Its last word is old by then."""
        self.standin.control("toolhive", starting_ms=60000)
        command = self.start("install", "fetch", "--wait", "2", "--json")
        wait_for(lambda: self.asked(f"{WORKLOADS}?all=true"), what="the first look")
        self.standin.stop_listening()
        output, told = self.end(command, 7)
        self.assertIsNone(json.loads(output)["status"])
        self.assertIn("gave up after 2 s", told[0])
        self.assertRegex(told[1], r"^fetch is installed, and whether it runs is not known after [\d.]+ s: ")

    def test_for_one_that_failed(self):
        self.standin.control("toolhive", started_status="error")
        told = self.bad("install", "fetch", code=7)
        self.assertRegex(told[0], r"^fetch is installed, and its status is error after [\d.]+ s")
        self.assertEqual(len(self.asked(f"{WORKLOADS}?all=true")), 2)

    def test_progress_on_a_terminal(self):
        self.standin.control("toolhive", install_ms=1600)
        terminal = self.terminal("install", "fetch", columns=100, toolhive_install_timeout=100)
        seen = terminal.wait_seen(re.compile(
            r"Installing fetch: ToolHive may be pulling ghcr.io/example/fetch:1: \d+ s; gives up in (\d+) s"))
        # 100 s for the installing itself, and 30 s for the rest: the default of --timeout.
        self.assertIn(int(seen[1]), range(101, 131))
        self.assertEqual(self.shown(terminal), ["fetch runs at http://127.0.0.1:17520/mcp"])
        self.assertLessEqual(terminal.screen.widest, 100)


if __name__ == "__main__":
    main(abreast=True)
