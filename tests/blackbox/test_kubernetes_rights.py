#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, rights: what is said of those that are missing, what is known meanwhile, and that
nobody has to do anything once they are granted."""

import re
import time

from kube import ALL, ANSWERS_AGAIN, LISTS, PLURALS, WATCHES_AGAIN, MemberCase, connected, worse
from cluster import USER
from harness import NotifySocket, lasted, main, state, wait_for


def rules(**denied):
    """Everything but these: mcpservers="watch"."""
    return [{"user": USER, "resource": plural, "verb": [verb for verb in ("list", "watch")
                                                          if verb not in denied.get(plural, "").split()]}
            for plural in PLURALS]


class TestRights(MemberCase):
    def test_refused_then_granted(self):
        """What an administrator has to do is in one line; nobody has to do anything after it."""
        cluster, account = self.secured(rules=[]), self.account()
        with NotifySocket() as notify:
            program = self.member(cluster, account, notify=notify)
            warning = program.wait_line(re.compile("^WARNING"))
            self.assertEqual((warning.message, warning.pairs), ("Kubernetes API denies the account what it needs", {
                "operation": "list workloads", "status": "403", "verb": "list", "resources": ", ".join(PLURALS),
                "scope": "all namespaces", "remedy": "kubectl apply -f cluster-role.yaml",
                "error": f'mcpservers.toolhive.stacklok.dev is forbidden: User "{USER}" cannot list resource '
                         '"mcpservers" in API group "toolhive.stacklok.dev" at the cluster scope',
                "next_try_seconds": "0.1"}))
            notify.wait(f"Degraded: Kubernetes API denies the account to list {', '.join(PLURALS)} in all namespaces")
            notify.wait("READY=1")
            # Again after 0.1, 0.2, 0.4 … s.
            wait_for(lambda: len(self.seen(cluster, "LIST")) >= 9)
            first, second, third = [request["time"] for request in cluster.requests(LISTS[0])[:3]]
            self.assertGreater(second - first, 0.1)
            self.assertGreater(third - second, 0.2)
            cluster.kubernetes(rules=ALL)
            program.wait_line("answers again")
            self.wait_watching(cluster, program)
            self.assertEqual(self.told(program), [connected(cluster.url), warning.text, ANSWERS_AGAIN])
            self.assertEqual(state(program)["connection"]["state"], "connected")
            self.assertEqual(state(program)["counters"]["failures"], 0)

    def test_in_one_namespace(self):
        cluster, account = self.secured(rules=[]), self.account()
        program = self.member(cluster, account, k8s_namespace="tools")
        pairs = program.wait_line(re.compile("^WARNING")).pairs
        self.assertEqual((pairs["scope"], pairs["remedy"]), ("namespace tools", "kubectl apply -f role.yaml"))

    def test_one_resource_only(self):
        """The others are known and watched meanwhile."""
        cluster, account = self.secured(rules=rules(virtualmcpservers="list")), self.account()
        cluster.objects(add=["virtualmcpservers/tools/all"])
        program = self.member(cluster, account)
        self.wait_polled(program)
        pairs = program.wait_line(re.compile("^WARNING")).pairs
        self.assertEqual((pairs["verb"], pairs["resources"]), ("list", "virtualmcpservers"))
        self.assertEqual(state(program)["connection"]["state"], "degraded")
        wait_for(lambda: cluster.kubernetes()["watches"] == 2)
        # Changes of the others are known at once, and do not put off the next try.
        for n in range(12):
            cluster.objects(add=[f"tools/fetch-{n}"])
            self.wait_state(program, lambda told, n=n: told["workloads"]["total"] == n + 2)
        cluster.kubernetes(rules=ALL)
        granted = time.monotonic()
        program.wait_line("answers again")
        self.assertLess(lasted(granted), 3)
        self.wait_state(program, lambda told: told["workloads"]["total"] == 14)
        self.assertEqual(len(program.lines("WARNING")), 1)

    def test_to_list_and_not_to_watch(self):
        """All is known as of the last list; what is missing is told, once, and for all three together."""
        cluster, account = self.secured(rules=rules(**dict.fromkeys(PLURALS, "watch"))), self.account()
        # Not so short that a list comes before all three are refused: it tells those that are.
        program = self.member(cluster, account, workload_polling_interval=2)
        self.wait_polled(program)
        warning = program.wait_line(re.compile("^WARNING"))
        self.assertEqual((warning.pairs["verb"], warning.pairs["resources"]), ("watch", ", ".join(PLURALS)))
        self.wait_state(program, lambda told: told["connection"]["state"] == "degraded")
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        cluster.kubernetes(rules=ALL)
        program.wait_line("answers again")
        self.wait_watching(cluster, program)
        self.assertEqual(self.told(program), [connected(cluster.url), warning.text, WATCHES_AGAIN])

    def test_rights_that_are_taken_away(self):
        """Watches that run go on; the next list is refused, and nothing is forgotten."""
        cluster, account = self.secured(2), self.account()
        program = self.member(cluster, account, workload_polling_interval=0.5)
        self.wait_watching(cluster, program)
        cluster.kubernetes(rules=[])
        program.wait_line("denies the account")
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "default/mcpserver-00001", "tools/fetch"])
        self.assertEqual(state(program)["connection"]["state"], "degraded")
        cluster.kubernetes(rules=ALL)
        program.wait_line("answers again")
        self.assertEqual(len(worse(program)), 1)

    def test_a_first_poll_that_is_denied_is_no_outage(self):
        """It goes on for as long as it takes: no attempt is counted, and it does not exit."""
        cluster, account = self.secured(rules=[]), self.account()
        program = self.member(cluster, account, toolhive_max_retries=1, workload_polling_interval=0.1)
        wait_for(lambda: len(cluster.requests(LISTS[0])) > 6)
        self.assertTrue(program.alive())
        self.assertEqual((state(program)["connection"]["attempt"], len(worse(program))), (0, 1))


if __name__ == "__main__":
    main(abreast=True)
