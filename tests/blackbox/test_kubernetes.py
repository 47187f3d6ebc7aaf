#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, the main scenarios: what is listed, what is known of it, outages and their end."""

import re
import signal

from kube import (ANSWERS_AGAIN, LISTS, PAGE, PLURALS, REFUSED, Case, connected, failed, given_up, known, restored,
                  worse)
from cluster import MCPSERVERS, OLD_INSTALLATION, V1ALPHA1, V1BETA1
from harness import Optimizer, Standin, free_port, isolated, lasted, main, state, wait_for

DELAYS = ("0.1", "0.2", "0.4", "0.8", "1.0", "1.0", "1.0", "1.0")


class TestNothingOfToolHive(Case):
    def test_no_toolhive_is_asked_and_its_variables_are_not_read(self):
        """A Service that is named toolhive puts TOOLHIVE_PORT=tcp://… into every pod."""
        cluster = self.cluster(1)
        with Standin(port=8080) if self.is_free(8080) else Standin(port=free_port()) as toolhive:
            program = self.program(cluster, toolhive_port="tcp://10.96.0.7:8080", toolhive_host="127.0.0.1",
                                   toolhive_start_port_scan=toolhive.port, toolhive_end_port_scan="tcp://",
                                   toolhive_api_url=f"{toolhive.urls[0]}", toolhive_discovery_file="/nowhere")
            self.wait_polled(program)
            cluster.stop_listening()
            program.wait_line("attempt=3")
            self.assertEqual(toolhive.connections(), [])
            self.assertEqual([line.text for line in program.lines() if "ToolHive" in line.text], [])
            self.assertEqual(state(program)["counters"]["scans"], 0)

    @staticmethod
    def is_free(port):
        try:
            with Standin(port=port):
                return True
        except AssertionError:
            return False


class TestLists(Case):
    def test_three_kinds_become_workloads(self):
        cluster = self.cluster()
        cluster.objects(add=["tools/fetch", "virtualmcpservers/tools/all", "mcpremoteproxies/tools/notion"])
        program = self.polled(cluster)
        self.assertEqual(self.told(program), [connected(cluster.url)])
        self.assertEqual([request["path"] for request in cluster.requests()[:4]], ["/version", *LISTS])
        document = state(program)
        http = "streamable-http"
        self.assertEqual(document["workloads"]["items"], [
            {"name": "all", "namespace": "tools", "status": "running", "transport": http, "group": "default",
             "url": "http://vmcp-all.tools.svc.cluster.local:4483/mcp", "package": "vmcp:all", "remote": False},
            {"name": "fetch", "namespace": "tools", "status": "running", "transport": http, "group": "default",
             "url": "http://mcp-fetch-proxy.tools.svc.cluster.local:8080/mcp",
             "package": "ghcr.io/stacklok/dockyard/npx/fetch:1.0.3", "remote": False},
            {"name": "notion", "namespace": "tools", "status": "running", "transport": http, "group": "default",
             "url": "http://mcp-notion-remote-proxy.tools.svc.cluster.local:8080", "package": "remote",
             "remote": True}])
        self.assertEqual((document["runtime_mode"], document["registry"]), ("k8s", None))
        self.assertEqual((document["connection"]["state"], document["connection"]["toolhive_version"]),
                         ("connected", None))

    def test_an_old_installation(self):
        """Only v1alpha1, only MCPServer, groups that are strings, the phase Running."""
        cluster = self.cluster(2, serve=OLD_INSTALLATION)
        cluster.objects(count=2, old=True)
        program = self.polled(cluster, workload_polling_interval=0.2)
        self.assertEqual(known(program), {"default/mcpserver-00000": "running", "default/mcpserver-00001": "running"})
        self.wait_polls(cluster, f"{V1ALPHA1}/mcpservers{PAGE}", 4)
        missing = [line for line in program.lines() if "not installed" in line.text]
        self.assertEqual([line.pairs for line in missing], [{"resources": "virtualmcpservers, mcpremoteproxies"}])
        self.assertEqual((worse(program), state(program)["connection"]["state"]), ([], "connected"))
        # The version that was served last is asked first.
        self.assertEqual(len(cluster.requests(f"{MCPSERVERS}{PAGE}")), 1)

        cluster.kubernetes(serve=None)
        program.wait_line("All resources of ToolHive are installed")
        cluster.objects(add=["mcpremoteproxies/tools/notion"])
        program.wait_line("name=notion")

    def wait_polls(self, cluster, path, count):
        wait_for(lambda: len(cluster.requests(path)) >= count, 5, f"{count} lists")

    def test_one_namespace_only(self):
        cluster = self.cluster()
        cluster.objects(add=["tools/fetch", "other/fetch", "mcpremoteproxies/other/notion"])
        program = self.program(cluster, k8s_namespace="tools")
        self.wait_watching(cluster, program)
        self.assertEqual(known(program), {"tools/fetch": "running"})
        cluster.objects(add=["other/late", "tools/late"])
        self.wait_known(program, ["tools/fetch", "tools/late"])
        paths = {request["path"].partition("?")[0] for request in cluster.requests()[1:]}
        self.assertEqual(paths, {f"{V1BETA1}/namespaces/tools/{plural}" for plural in PLURALS})

    def test_groups_and_phases_of_both_generations(self):
        """What is in the object, and status and group that it is told with."""
        rows = {
            "object": ({"spec": {"groupRef": {"name": "a"}}}, "running", "a"),
            "string": ({"spec": {"groupRef": "b"}}, "running", "b"),
            "label": ({"spec": {"groupRef": None}, "metadata": {"labels": {"toolhive.stacklok.dev/group": "c"}}},
                      "running", "c"),
            "neither": ({"spec": {"groupRef": None}}, "running", "default"),
            "running": ({"status": {"phase": "Running"}}, "running", "default"),
            "pending": ({"status": {"phase": "Pending", "url": None}}, "pending", "default"),
            "failed": ({"status": {"phase": "Failed"}}, "failed", "default"),
            "degraded": ({"status": {"phase": "Degraded"}}, "degraded", "default"),
            "new": ({"status": None}, "unknown", "default"),
            "virtualmcpservers/config": ({"spec": {"groupRef": None, "config": {"groupRef": "d"}}}, "running", "d"),
            "virtualmcpservers/virtual": ({"status": {"phase": "Degraded"}}, "running", "default"),
            "mcpremoteproxies/proxy": ({"spec": {"groupRef": {"name": "e"}}}, "running", "e"),
            "mcpremoteproxies/unwell": ({"status": {"phase": "Degraded"}}, "degraded", "default"),
        }
        cluster = self.cluster()
        for name, (fields, _, _) in rows.items():
            resource, _, name = name.rpartition("/")
            cluster.objects(add=[{"resource": resource or "mcpservers", "namespace": "n", "name": name, **fields}])
        program = self.polled(cluster)
        self.assertEqual({item["name"]: (item["status"], item["group"]) for item in
                          state(program)["workloads"]["items"]},
                         {name.rpartition("/")[2]: row[1:] for name, row in rows.items()})

    def test_groups_and_names_that_are_left_out(self):
        cluster = self.cluster()
        cluster.objects(add=[{"name": "a", "spec": {"groupRef": {"name": "one"}}}, "b", "inspector"])
        program = self.program(cluster, allowed_groups="one,default")
        self.wait_watching(cluster, program)
        self.assertEqual((list(known(program)), state(program)["workloads"]["skipped"]),
                         (["default/a", "default/b"], 1))
        # Out of the groups that are allowed, and into them again.
        cluster.objects(update=[{"name": "a", "spec": {"groupRef": {"name": "two"}}}])
        self.wait_known(program, ["default/b"])
        cluster.objects(update=[{"name": "a", "spec": {"groupRef": {"name": "one"}}}])
        self.wait_known(program, ["default/a", "default/b"])

    def test_pages(self):
        cluster = self.cluster(1100)
        program = self.program(cluster)
        program.wait_line("total=1100")
        pages = [request["path"] for request in self.seen(cluster, "LIST") if "/mcpservers" in request["path"]]
        self.assertEqual(pages[0], f"{MCPSERVERS}{PAGE}")
        self.assertEqual(len(pages), 3)
        for page in pages[1:]:
            self.assertRegex(page, re.escape(f"{MCPSERVERS}{PAGE}") + "&continue=[^&]+$")

    def test_pages_that_expire_are_begun_anew(self):
        cluster = self.cluster(30, page_max=10)
        cluster.kubernetes(expire_continue=2)
        program = self.polled(cluster)
        pages = [request["path"] for request in self.seen(cluster, "LIST") if "/mcpservers" in request["path"]]
        # Twice the first and an expired second, then all three.
        self.assertEqual(["continue" in page for page in pages], [False, True] * 2 + [False, True, True])
        self.assertEqual((worse(program), len(known(program))), ([], 30))

    def test_what_goes_between_two_beginnings_is_gone(self):
        cluster = self.cluster(3, page_max=1)
        cluster.kubernetes(expire_continue=1)
        cluster.behave("slow", route="LIST *continue=*", count=1, ms=300)
        program = self.program(cluster)
        wait_for(lambda: len(self.seen(cluster, "LIST")) == 2)
        cluster.objects(remove=["mcpserver-00000"])
        self.wait_polled(program)
        self.assertEqual(list(known(program)), ["default/mcpserver-00001", "default/mcpserver-00002"])

    def test_two_of_the_same_name(self):
        """In the model, the log, the state and the metrics."""
        cluster = self.cluster()
        cluster.objects(add=["a/fetch", {"namespace": "b", "name": "fetch", "status": {"phase": "Failed"}}])
        program = self.program(cluster, metrics_file="m")
        self.wait_watching(cluster, program)
        self.assertEqual(known(program), {"a/fetch": "running", "b/fetch": "failed"})
        self.assertIn('mcp_optimizer_workloads{status="failed"} 1\nmcp_optimizer_workloads{status="running"} 1\n',
                      (program.home / "m").read_text())
        cluster.objects(update=[{"namespace": "b", "name": "fetch", "status": {"phase": "Ready"}}])
        self.wait_known(program, ["a/fetch", "b/fetch"])
        cluster.objects(remove=["a/fetch"])
        self.wait_known(program, ["b/fetch"])
        url = "http://mcp-fetch-proxy.{}.svc.cluster.local:8080/mcp".format
        self.assertEqual([line.text for line in program.lines() if re.match("Workload (?!s)", line.message)], [
            f"INFO     Workload added name=fetch status=running url={url('a')} namespace=a",
            f"INFO     Workload added name=fetch status=failed url={url('b')} namespace=b",
            f"INFO     Workload changed name=fetch status=running previous_status=failed url={url('b')} namespace=b",
            "INFO     Workload removed name=fetch namespace=a"])


class TestOutages(Case):
    def test_refused_to_the_end(self):
        """The default address of `kubectl proxy`, where nobody listens: the lines, the exit, the state."""
        port = free_port()
        program = self.enterContext(Optimizer(
            runtime_mode="k8s", k8s_api_server_url=f"http://127.0.0.1:{port}", toolhive_max_retries=4,
            toolhive_initial_backoff=0.1, toolhive_max_backoff=1))
        code, _ = program.finish()
        self.assertEqual((code, self.told(program)), (1, [
            *(failed(n + 1, 4, REFUSED, delay) for n, delay in enumerate(("0.1", "0.2", "0.4", "0.0"))),
            *given_up(4, REFUSED)]))
        self.assertEqual(state(program)["connection"]["state"], "exhausted")

    def test_an_api_server_that_restarts(self):
        cluster, program = self.both(2)
        cluster.stop_listening()
        program.wait_line("attempt=3")
        self.assertEqual(len(known(program)), 2)
        cluster.objects(add=["tools/fetch"], remove=["mcpserver-00000"],
                        update=[{"name": "mcpserver-00001", "status": {"phase": "Failed"}}])
        cluster.start_listening()
        n = int(program.wait_line("connection restored").pairs["attempts"])
        self.assertEqual(self.told(program), [
            connected(cluster.url), *(failed(i + 1, 100, REFUSED, DELAYS[i]) for i in range(n)),
            restored(cluster.url, n)])
        self.wait_known(program, {"default/mcpserver-00001": "failed", "tools/fetch": "running"})
        self.assertEqual(state(program)["counters"]["reconnects"], 1)
        # And it is watched again.
        wait_for(lambda: cluster.kubernetes()["watches"] == 3)
        cluster.objects(add=["tools/late"])
        program.wait_line("name=late")

    def test_a_restart_while_nothing_is_asked_is_noticed(self):
        """By the end of the watches, although the next list is a minute away."""
        cluster, program = self.both(1)
        cluster.stop_listening()
        program.wait_line("attempt=1", 2)

    def test_what_a_gateway_says_is_a_failure_and_what_the_server_says_is_none(self):
        rows = {429: ("TooManyRequests", True), 502: ("BadGateway", True), 503: ("ServiceUnavailable", True),
                504: ("Timeout", True), 500: ("InternalError", False), 400: ("BadRequest", False)}
        for code, (reason, is_failure) in rows.items():
            with self.subTest(code=code):
                cluster = self.cluster(1)
                cluster.refuse(code, reason, "not now", route="LIST *mcpservers", count=1)
                program = self.program(cluster, workload_polling_interval=0.3)
                program.wait_line("Workloads polled")
                if is_failure:
                    self.assertEqual(self.told(program), [
                        connected(cluster.url), failed(1, 100, f"HTTP {code}", "0.1"), restored(cluster.url, 1)])
                    continue
                program.wait_line("answers again")
                warning, = program.lines("WARNING")
                self.assertEqual(warning.message, "Kubernetes API gives an answer that is of no use")
                self.assertEqual((warning.pairs["status"], warning.pairs["error"]), (str(code), "not now"))

    def test_a_longer_retry_after_replaces_the_delay(self):
        cluster = self.cluster(1)
        cluster.refuse(429, "TooManyRequests", route="LIST *mcpservers", count=1, retry_after=1)
        program = self.program(cluster)
        line = program.wait_line("connection failed")
        self.assertEqual(line.text, failed(1, 100, "HTTP 429", "1.0"))
        again = program.wait_line("connection restored")
        self.assertGreater(again.time - cluster.requests(LISTS[0])[0]["time"], 1)

    def test_429_to_the_end(self):
        cluster = self.cluster(1)
        cluster.refuse(429, "TooManyRequests")
        program = self.program(cluster, toolhive_max_retries=2)
        code, _ = program.finish()
        self.assertEqual((code, self.told(program)), (1, [
            failed(1, 2, "HTTP 429", "0.1"), failed(2, 2, "HTTP 429", "0.0"), *given_up(2, "HTTP 429")]))

    def test_no_immediate_retry(self):
        """The version is answered and every list is reset: the delays are waited and doubled."""
        cluster = self.cluster(1, misbehave="reset-after-request,route=LIST *")
        program = self.program(cluster, toolhive_max_retries=4)
        code, _ = program.finish()
        reset = "Connection reset by peer"
        self.assertEqual((code, self.told(program)), (1, [
            connected(cluster.url), *(failed(i + 1, 4, reset, d) for i, d in enumerate(("0.1", "0.2", "0.4", "0.0"))),
            *given_up(4, reset)]))


    def test_the_metrics_of_an_outage(self):
        cluster, program = self.both(1, {"metrics_file": "m"})

        def metrics():
            return dict(line.rsplit(" ", 1) for line in (program.home / "m").read_text().splitlines()
                        if not line.startswith("#"))
        self.assertEqual((metrics()["mcp_optimizer_up"], metrics()["mcp_optimizer_connected"]), ("1", "1"))
        cluster.stop_listening()
        wait_for(lambda: metrics()["mcp_optimizer_attempt"] == "1")
        self.assertEqual(metrics()["mcp_optimizer_connected"], "0")
        cluster.start_listening()
        wait_for(lambda: metrics()["mcp_optimizer_reconnects_total"] == "1")
        wait_for(lambda: metrics()["mcp_optimizer_connected"] == "1")
        self.assertNotIn("mcp_optimizer_registry_servers", metrics())
        program.terminate()
        self.assertEqual(metrics()["mcp_optimizer_up"], "0")

    def test_the_address_of_kubectl_proxy_is_the_default(self):
        if not isolated():
            self.skipTest("port 8001 may be somebody else's")
        cluster = self.cluster(1, port=8001)
        program = self.polled(cluster, k8s_api_server_url="")
        self.assertEqual(self.told(program), [connected("http://127.0.0.1:8001")])


class TestPolls(Case):
    def test_a_reload_lists_again(self):
        cluster, program = self.both(1)
        before = len(self.seen(cluster, "LIST"))
        program.signal(signal.SIGHUP)
        wait_for(lambda: len(self.seen(cluster, "LIST")) == before + 3, what="three lists")
        self.assertEqual(self.told(program), [connected(cluster.url)])

    def test_the_interval_is_the_resync(self):
        """A watch that says nothing any more costs a change its speed only."""
        cluster = self.cluster(1, misbehave="stream-silence,route=WATCH *")
        program = self.polled(cluster, workload_polling_interval=1)
        cluster.objects(add=["tools/fetch"])
        moment = program.wait_line("name=fetch", 3).time
        self.assertEqual(worse(program), [])
        self.assertGreater(moment, program.started)

    def test_polling_once_is_watching_for_ever(self):
        cluster, program = self.both(1, {"workload_polling_interval": 0})
        self.assertIsNone(state(program)["workloads"]["next_poll_at"])
        before = len(cluster.requests())
        for n in range(3):
            cluster.objects(add=[f"tools/fetch-{n}"])
            program.wait_line(f"name=fetch-{n}")
        self.assertEqual(len(cluster.requests()), before)
        self.assertIsNone(state(program)["workloads"]["next_poll_at"])

    def test_the_startup_delay(self):
        cluster = self.cluster(1)
        program = self.polled(cluster, startup_polling_delay=1)
        first = cluster.requests()[0]
        self.assertGreater(first["time"] - program.started, 1)
        self.assertLess(lasted(program.started, first["time"]), 2)

    def test_what_was_known_stays_while_a_resource_is_refused(self):
        """Over a restart of the service as well."""
        cluster = self.cluster(2)
        cluster.objects(add=["virtualmcpservers/tools/all", "mcpremoteproxies/tools/notion"])
        first = self.polled(cluster)
        everything = known(first)
        self.assertEqual(len(everything), 4)
        first.terminate()
        cluster.refuse(403, "Forbidden", "no", route="* *virtualmcpservers")
        second = self.program(cluster, runtime=first.runtime)
        warning = second.wait_line(re.compile("^WARNING"))
        self.assertEqual(warning.pairs["resources"], "virtualmcpservers")
        self.wait_state(second, lambda document: document["connection"]["state"] == "degraded")
        self.assertEqual(known(second), everything)
        # What is not refused is as it is now.
        cluster.objects(remove=["mcpserver-00000", "mcpremoteproxies/tools/notion"])
        self.wait_known(second, ["default/mcpserver-00001", "tools/all"])
        cluster.clear()
        second.wait_line("answers again")
        self.assertEqual(self.told(second)[-1], ANSWERS_AGAIN)
        self.wait_state(second, lambda told: told["connection"]["state"] == "connected")


if __name__ == "__main__":
    main(abreast=True)
