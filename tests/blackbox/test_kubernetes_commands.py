#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, the commands: list, show, registry, install, status, wait and completion."""

import json
import re
import time

from kube import Case, connected, failed, given_up, known, restored
from cluster import USER, ServiceAccount
from harness import Optimizer, free_port, lasted, main, state, wait_for

HEADINGS = ["NAMESPACE", "NAME", "STATUS", "TRANSPORT", "GROUP", "URL"]
HTTP = "streamable-http"
ESCAPE = "\x1b[2J\x1b]0;owned\x07"
MASK = "********"
OBJECTS = ["tools/fetch", "virtualmcpservers/tools/all", "mcpremoteproxies/other/notion",
           {"namespace": "other", "name": "fetch", "status": {"phase": "Failed", "url": None, "message": "no image"}}]


def columns(output):
    return [line.split() for line in output.splitlines()]


class CommandCase(Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.objects(add=OBJECTS)

    def run_command(self, *arguments, **settings):
        """Exit code, stdout, and the lines of stderr, each of which has to be one of the log."""
        command = self.program(self.server, *arguments, **{"state_file": "none", **settings})
        code, output = command.finish()
        for line in command.lines():
            self.assertIsNotNone(line.level, line.text)
        return code, output, command.lines()

    def good(self, *arguments, **settings):
        code, output, lines = self.run_command(*arguments, **settings)
        self.assertEqual((code, [line.text for line in lines]), (0, [connected(self.server.url)]))
        return output

    def bad(self, code, *arguments, **settings):
        """The last line; nothing is on stdout."""
        got, output, lines = self.run_command(*arguments, **settings)
        self.assertEqual((got, output), (code, ""), lines)
        return lines[-1].text


class TestList(CommandCase):
    def test_table(self):
        self.assertEqual(columns(self.good("list")), [
            HEADINGS,
            ["other", "fetch", "failed", HTTP, "default", "-"],
            ["other", "notion", "running", HTTP, "default",
             "http://mcp-notion-remote-proxy.other.svc.cluster.local:8080"],
            ["tools", "all", "running", HTTP, "default", "http://vmcp-all.tools.svc.cluster.local:4483/mcp"],
            ["tools", "fetch", "running", HTTP, "default", "http://mcp-fetch-proxy.tools.svc.cluster.local:8080/mcp"]])

    def test_json(self):
        told = json.loads(self.good("list", "--json"))
        self.assertEqual([(item["namespace"], item["name"], item["package"]) for item in told.pop("workloads")], [
            ("other", "fetch", "ghcr.io/stacklok/dockyard/npx/fetch:1.0.3"), ("other", "notion", "remote"),
            ("tools", "all", "vmcp:all"), ("tools", "fetch", "ghcr.io/stacklok/dockyard/npx/fetch:1.0.3")])
        self.assertEqual(told, {"endpoint": self.server.url, "total": 4, "running": 3, "skipped": 0})

    def test_one_namespace(self):
        output = self.good("list", "--k8s-namespace", "tools")
        self.assertEqual([row[:2] for row in columns(output)[1:]], [["tools", "all"], ["tools", "fetch"]])

    def test_nothing(self):
        self.server.objects(remove=[
            "tools/fetch", "other/fetch", "virtualmcpservers/tools/all", "mcpremoteproxies/other/notion"])
        self.assertEqual(columns(self.good("list")), [HEADINGS])

    def test_a_part_that_is_denied(self):
        self.server.refuse(403, "Forbidden", "not yours", route="LIST *virtualmcpservers")
        code, output, lines = self.run_command("list")
        self.assertEqual((code, [row[1] for row in columns(output)]), (0, ["NAME", "fetch", "notion", "fetch"]))
        self.assertEqual([line.text for line in lines if line.level != "INFO"], [
            'WARNING  Kubernetes API denies the account to list virtualmcpservers in all namespaces error="not yours"'])

    def test_all_of_it_denied_or_unknown_or_not_installed(self):
        for code, words in (
                (403, 'ERROR    Kubernetes API denies the account to list mcpservers, virtualmcpservers, '
                      'mcpremoteproxies in all namespaces error="not yours"'),
                (401, "ERROR    Kubernetes API does not know the account that would list mcpservers in all namespaces "
                      'error="not yours"'),
                (404, "ERROR    Kubernetes API answers 404 to list workloads "
                      'error="toolhive.stacklok.dev is not installed in the cluster"')):
            with self.subTest(code=code):
                self.server.clear()
                self.server.refuse(code, "x", "not yours", route="LIST *")
                self.assertEqual(self.bad(1, "list"), words)

    def test_an_api_server_that_is_away_and_one_that_comes_back(self):
        self.server.stop_listening()
        code, output, lines = self.run_command("list", toolhive_max_retries=2)
        refused = "Connection refused"
        self.assertEqual((code, output, [line.text for line in lines]), (1, "", [
            failed(1, 2, refused, "0.1"), failed(2, 2, refused, "0.0"), *given_up(2, refused)]))
        command = self.program(self.server, "list", state_file="none")
        command.wait_line("attempt=2")
        self.server.start_listening()
        code, output = command.finish()
        self.assertEqual((code, len(columns(output))), (0, 5))
        n = int(command.wait_line("restored").pairs["attempts"])
        self.assertEqual(self.told(command)[n:], [connected(self.server.url), restored(self.server.url, n)])

    def test_it_gives_up_in_time(self):
        self.server.behave("hang", route="LIST *")
        start = time.monotonic()
        self.assertEqual(self.bad(1, "list", "--timeout", "1"),
                         "ERROR    Kubernetes API does not answer list workloads: gave up after 1 s")
        self.assertLess(lasted(start), 2.5)

    def test_nothing_of_it_drives_a_terminal(self):
        self.server.objects(add=[{"namespace": "tools", "name": "evil", "status": {"url": f"http://x/{ESCAPE}"}},
                                 {"namespace": "tools", "name": "b", "status": {"phase": ESCAPE}}])
        code, output, lines = self.run_command("list")
        self.assertEqual((code, len(columns(output))), (0, 5))
        self.assertNotIn("\x1b", output + "".join(line.text for line in lines))

    def test_the_token_goes_along(self):
        self.server.kubernetes(tokens={"first": USER}, rules=[{"user": USER}])
        with ServiceAccount("first") as account:
            self.assertEqual(len(columns(self.good("list", "--k8s-token-file", account.token))), 5)


class TestShow(CommandCase):
    def show(self, *arguments, **settings):
        return json.loads(self.good("show", *arguments, "--json", **settings))

    def test_by_name_and_by_namespace_and_name(self):
        for name in ("notion", "other/notion"):
            told = self.show(name)
            self.assertEqual((told["name"], told["namespace"], told["resource"], told["remote_url"]),
                             ("notion", "other", "mcpremoteproxies", "https://notion.example.com/mcp"))
        told = self.show("other/fetch")
        self.assertEqual((told["namespace"], told["status"], told["message"], told["url"]),
                         ("other", "failed", "no image", None))
        facts = dict(line.strip().split(": ", 1) for line in self.good("show", "all").splitlines())
        self.assertEqual((facts["Name"], facts["Namespace"], facts["Resource"], facts["URL"]),
                         ("all", "tools", "virtualmcpservers", "http://vmcp-all.tools.svc.cluster.local:4483/mcp"))

    def test_several(self):
        self.assertEqual(self.bad(4, "show", "fetch"),
                         "ERROR    fetch is the name of several workloads: other/fetch, tools/fetch")
        # Not in one namespace.
        self.assertEqual(self.show("fetch", k8s_namespace="tools")["namespace"], "tools")

    def test_several_on_pages_that_expire(self):
        self.server.kubernetes(page_max=1, expire_continue=1)
        self.assertEqual(self.bad(4, "show", "fetch"),
                         "ERROR    fetch is the name of several workloads: other/fetch, tools/fetch")

    def test_none(self):
        for name, words in (("fetsh", "There is no workload named fetsh"),
                            ("tools/fetsh", "There is no workload named tools/fetsh: did you mean tools/fetch?"),
                            ("other/all", "There is no workload named other/all"),
                            ("a/b/c", "There is no workload named a/b/c"),
                            ("/all", "There is no workload named /all")):
            with self.subTest(name=name):
                self.assertEqual(self.bad(4, "show", name).partition(": did you")[0].removeprefix("ERROR    "),
                                 words.partition(": did you")[0])

    def test_a_namespace_without_a_name(self):
        self.assertIn("tools/", self.bad(78, "show", "tools/"))

    def test_what_is_looked_for_stays_what_was_asked_for(self):
        """No character of a name gets another meaning in the URL."""
        for name in ("all&limit=1", "all,metadata.namespace=tools", "all%2Cx", "all#", "all?watch=true"):
            with self.subTest(name=name):
                self.bad(4, "show", name)

    def test_confidential_values_are_masked(self):
        self.server.objects(add=[{"namespace": "tools", "name": "secretive", "spec": {
            "env": [{"name": "API_KEY", "value": "planted"}], "args": ["--token", "planted", "--password=planted"],
            "secrets": [{"name": "planted", "key": "k", "targetEnvName": "TOKEN"}]},
            "status": {"url": "http://me:planted@x/mcp?token=planted"}}])
        for arguments in (["secretive"], ["secretive", "--json"]):
            output = self.good("show", *arguments)
            self.assertNotIn("planted", output)
            self.assertIn("API_KEY", output)
            self.assertIn(MASK, output)

    def test_where_it_may_not_look(self):
        """One that is found elsewhere is shown; one that is not may be there."""
        self.server.refuse(403, "Forbidden", "not yours", route="LIST *virtualmcpservers")
        self.assertEqual(self.show("tools/fetch")["namespace"], "tools")
        self.assertEqual(self.bad(1, "show", "all"), "ERROR    Kubernetes API denies the account to list "
                         'virtualmcpservers in all namespaces error="not yours"')

    def test_an_old_installation(self):
        self.server.kubernetes(serve={"mcpservers": ["v1alpha1"], "virtualmcpservers": [], "mcpremoteproxies": []})
        self.assertEqual(self.show("tools/fetch")["resource"], "mcpservers")
        self.assertIn("There is no workload named notion", self.bad(4, "show", "notion"))


class TestRegistryAndInstall(CommandCase):
    def test_are_refused(self):
        for arguments in (["registry"], ["registry", "github"], ["registry", "--search", "x"], ["install", "github"],
                          ["install", "x", "--url", "http://x/", "--transport", "sse"]):
            with self.subTest(arguments=arguments):
                self.assertRegex(self.bad(78, *arguments), "^ERROR    There is no registry in Kubernetes mode: ")
        self.assertEqual(self.server.connections(), [])


class TestStatusAndWait(CommandCase):
    def ask(self, program, *arguments):
        command = self.enterContext(Optimizer(*arguments, runtime=program.runtime))
        return command.finish()

    def test_of_a_service_that_is_connected_then_degraded_then_alone(self):
        program = self.program(self.server, workload_polling_interval=0.3)
        self.assertEqual(self.ask(program, "wait", "--timeout", "5"), (0, ""))
        self.wait_watching(self.server, program)
        code, output = self.ask(program, "status")
        self.assertEqual(code, 0)
        self.assertIn("- connected to Kubernetes API\n", output)
        self.assertIn(f"Endpoint: {self.server.url}\n", output)
        self.assertIn("Workloads: 4 (3 running, 1 failed)\n", output)
        self.assertNotIn("egistry", output)
        self.assertEqual(json.loads(self.ask(program, "status", "--json")[1])["state"]["runtime_mode"], "k8s")

        self.server.refuse(403, "Forbidden", "not yours", route="LIST *")
        self.wait_state(program, lambda told: told["connection"]["state"] == "degraded")
        code, output = self.ask(program, "status")
        self.assertEqual(code, 1)
        self.assertIn("Kubernetes API denies the account to list", output)
        self.assertEqual(self.ask(program, "wait", "--timeout", "0")[0], 0)

        self.server.stop_listening()
        self.wait_state(program, lambda told: told["connection"]["state"] == "reconnecting")
        code, output = self.ask(program, "status")
        self.assertEqual(code, 1)
        self.assertIn("Connection refused", output)
        self.assertEqual(self.ask(program, "status", "--alive")[0], 0)
        self.assertEqual(self.ask(program, "wait", "--timeout", "0")[0], 1)

    def test_of_a_service_that_has_connected_and_not_listed_yet(self):
        self.server.behave("hang", route="LIST *")
        program = self.program(self.server)
        wait_for(lambda: self.seen(self.server, "LIST") and state(program))
        self.assertEqual(self.ask(program, "wait", "--timeout", "0")[0], 1)


class TestCompletion(CommandCase):
    def complete(self, *words, **settings):
        code, output, _ = self.run_command("complete", *words, **settings)
        self.assertEqual(code, 0)
        return output.split()

    def test_names(self):
        program = self.program(self.server)
        self.wait_polled(program)
        path = str(program.runtime / "state.json")
        asked = self.complete("show", "", state_file="none")
        self.assertEqual([word for word in asked if re.search("fetch|all|notion", word)],
                         [word for word in self.complete("show", "", state_file=path)
                          if re.search("fetch|all|notion", word)])
        self.assertIn("tools/fetch", asked)
        self.assertIn("other/fetch", asked)
        self.assertEqual(self.complete("install", ""), [])
        self.assertEqual(len(known(program)), 4)

    def test_it_never_waits_long_and_says_nothing(self):
        self.server.behave("hang")
        start = time.monotonic()
        code, output, lines = self.run_command("complete", "show", "")
        self.assertEqual((code, output, lines), (0, "", []))
        self.assertLess(lasted(start), 2)
        code, output, lines = self.run_command("complete", "show", "",
                                               k8s_api_server_url=f"http://127.0.0.1:{free_port()}")
        self.assertEqual((code, output, lines), (0, "", []))


if __name__ == "__main__":
    main(abreast=True)
