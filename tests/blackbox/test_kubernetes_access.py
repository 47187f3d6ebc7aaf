#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes mode, who is who: in a pod, tokens and their rotation, and TLS."""

import os
import pathlib
import re
import subprocess
import tempfile
import time

from kube import ANSWERS_AGAIN, LISTS, TOKENS, MemberCase, connected, failed, given_up, known, worse
from cluster import USER, V1BETA1, Authority
from harness import lasted, main, state, wait_for

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
MOUNT = ["unshare", "--mount"]


class AccessCase(MemberCase):
    def folder(self):
        return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def authorizations(self, cluster):
        return [request["headers"].get("authorization") for request in cluster.requests()]

    def mounted(self, source, target, make=""):
        """A wrapper that puts a folder in the place of one of the system's, for the program alone; make: a command
        that makes the place."""
        if subprocess.run([*MOUNT, "true"], capture_output=True).returncode:
            self.skipTest("no mount namespaces")
        return [*MOUNT, "sh", "-e", "-c", f'{make}\nmount --bind {source} {target}\nexec "$@"', "sh"]


class TestPod(AccessCase):
    """A pod has its account in a place of its own and the server's address in two variables; no setting is needed."""

    def pod(self, cluster, account, host="127.0.0.1", container=(), **settings):
        environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(cluster.port),
                       # What a Service named toolhive adds.
                       "TOOLHIVE_PORT": "tcp://10.96.0.7:8080", "TOOLHIVE_SERVICE_HOST": "10.96.0.7"}
        mounted = self.mounted(account.path, ACCOUNT, f"mount -t tmpfs tmpfs /run; mkdir -p {ACCOUNT}")
        return self.program(cluster, wrapper=[*mounted, *container], environment=environment,
                            **{"k8s_api_server_url": "", **settings})

    def test_without_settings(self):
        cluster, account = self.secured(), self.account()
        program = self.pod(cluster, account, log_format="json")
        self.wait_state(program, lambda told: told["connection"]["state"] == "connected")
        self.assertEqual(state(program)["connection"]["endpoint"], f"https://127.0.0.1:{cluster.port}")
        self.assertEqual(list(known(program)), ["default/mcpserver-00000"])
        self.assertEqual([request["path"] for request in cluster.requests()[:4]], ["/version", *LISTS])
        self.assertEqual(set(self.authorizations(cluster)), {"Bearer first"})
        # The next token, without a restart, also where the old one is gone.
        account.rotate("second")
        cluster.kubernetes(tokens={"second": USER})
        cluster.kubernetes(end_watches=True)
        # Those that end may still be counted.
        wait_for(lambda: self.authorizations(cluster).count("Bearer second") == 3)
        wait_for(lambda: cluster.kubernetes()["watches"] == 3)
        code, seconds = program.terminate()
        self.assertEqual(code, 0)
        self.assertLess(seconds, 1)

    def test_its_own_namespace(self):
        cluster, account = self.secured(rules=[{"user": USER, "namespace": "tools"}]), self.account(namespace="tools")
        cluster.objects(add=["tools/fetch", "other/fetch"])
        program = self.pod(cluster, account, k8s_all_namespaces="false")
        self.wait_polled(program)
        self.assertEqual(list(known(program)), ["tools/fetch"])
        self.assertIn(f"{V1BETA1}/namespaces/tools/mcpservers?limit=500",
                      [request["path"] for request in cluster.requests()])

    def test_an_address_of_ipv6(self):
        cluster, account = self.secured(host="::1"), self.account()
        program = self.pod(cluster, account, host="::1")
        self.wait_polled(program)
        self.assertEqual(state(program)["connection"]["endpoint"], f"https://[::1]:{cluster.port}")

    def test_as_process_1_of_a_container(self):
        """Which no signal ends that it does not handle; without a service manager or a writable folder."""
        cluster, account = self.secured(), self.account()
        container = ["unshare", "--pid", "--fork", "--kill-child", "env", "-u", "RUNTIME_DIRECTORY", "-u",
                     "XDG_RUNTIME_DIR"]
        if subprocess.run([*container, "true"], capture_output=True).returncode:
            self.skipTest("no process namespaces")
        program = self.pod(cluster, account, container=container)
        program.wait_line("Workloads polled")
        child, = pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
        start = time.monotonic()
        os.kill(int(child), 15)
        self.assertEqual(program.finish()[0], 0)
        self.assertLess(lasted(start), 1)
        self.assertEqual(worse(program), [])


class TestTokens(AccessCase):
    def test_a_rotation_is_not_noticed(self):
        """The old one is refused as soon as there is a new one: by lists, details and watches, and nobody is told."""
        cluster, account = self.secured(), self.account()
        program = self.member(cluster, account, workload_polling_interval=0.2)
        self.wait_watching(cluster, program)
        for token in ("second", "first"):
            account.rotate(token)
            cluster.kubernetes(tokens={token: USER})
            cluster.reset()
            cluster.kubernetes(end_watches=True)
            wait_for(lambda: len(self.seen(cluster, "LIST")) > 5 and len(self.seen(cluster, "WATCH")) > 2)
            self.assertEqual(set(self.authorizations(cluster)[-3:]), {f"Bearer {token}"})
            cluster.objects(add=[f"tools/by-{token}"])
            program.wait_line(f"name=by-{token} ")
            # Both are good for a moment, as with kubelet.
            cluster.kubernetes(tokens=TOKENS)
        self.assertEqual(worse(program), [])
        self.assertEqual(state(program)["connection"]["state"], "connected")

    def rotated_meanwhile(self, route):
        """Another token while a request with the old one is under way, which then is refused."""
        cluster, account = self.secured(), self.account()
        program = self.member(cluster, account, workload_polling_interval=0.3)
        self.wait_watching(cluster, program)
        cluster.behave("slow", route=route, count=1, ms=300)
        cluster.reset()
        if route.startswith("WATCH"):
            cluster.kubernetes(end_watches=True)
        matches = route.partition(" ")[0]
        wait_for(lambda: self.seen(cluster, matches))
        account.rotate("second")
        cluster.kubernetes(tokens={"second": USER})
        cluster.objects(add=["tools/fetch"])
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"])
        wait_for(lambda: self.authorizations(cluster)[-1] == "Bearer second")
        self.wait_watching(cluster, program)
        self.assertEqual(self.authorizations(cluster)[0], "Bearer first")
        self.assertEqual(worse(program), [])

    def test_a_rotation_during_a_list(self):
        self.rotated_meanwhile("LIST */mcpservers")

    def test_a_rotation_during_the_beginning_of_a_watch(self):
        self.rotated_meanwhile("WATCH *")

    def test_an_unknown_token(self):
        """One WARNING, then again and again until it is a good one."""
        cluster, account = self.secured(), self.account("stale")
        program = self.member(cluster, account)
        warning = program.wait_line(re.compile("^WARNING"))
        self.assertEqual((warning.message, warning.pairs), ("Kubernetes API does not know the account", {
            "operation": "list workloads", "status": "401", "verb": "list", "resources": "mcpservers",
            "scope": "all namespaces", "remedy": "another token in K8S_TOKEN_FILE", "error": "Unauthorized",
            "next_try_seconds": "0.1"}))
        self.wait_state(program, lambda told: told["connection"]["state"] == "degraded")
        account.rotate("first")
        program.wait_line("answers again")
        self.assertEqual(self.told(program), [connected(cluster.url, None), warning.text, ANSWERS_AGAIN])
        self.assertNotIn("stale", "".join(line.text for line in program.lines()))

    def test_no_token_at_all(self):
        for anonymous, status in ((True, 403), (False, 401)):
            with self.subTest(status=status):
                cluster = self.secured(anonymous=anonymous)
                program = self.program(cluster, k8s_ca_file=Authority.common().certificate)
                warning = program.wait_line(re.compile("^WARNING"))
                self.assertEqual((warning.pairs["status"], warning.pairs["remedy"]),
                                 (str(status), "a token in K8S_TOKEN_FILE"))
                self.assertEqual(set(self.authorizations(cluster)), {None})

    def test_bad_files(self):
        """Nothing is asked without the token that was wanted, and no other header can be smuggled in."""
        cluster = self.secured(tls=False)
        path = self.folder() / "token"
        rows = {"missing": (None, "No such file or directory"), "empty": (b"", "No token in it"),
                "blank": (b"\n", "No token in it"), "two lines": (b"first\nX-Other: 1", "No token in it"),
                "a control character": (b"fi\x01rst", "No token in it"), "NUL": (b"first\0x", "No token in it"),
                "no ASCII": ("första".encode(), "No token in it"), "two words": (b"first second", "No token in it"),
                "65 KiB": (b"x" * (65 << 10), "File too large")}
        for name, (data, words) in rows.items():
            with self.subTest(name=name):
                if data is not None:
                    path.write_bytes(data)
                program = self.program(cluster, k8s_token_file=path, toolhive_max_retries=2)
                code, _ = program.finish()
                error = f"Cannot read the token in {path}: {words}"
                self.assertEqual((code, self.told(program)), (1, [
                    failed(1, 2, error, "0.1"), failed(2, 2, error, "0.0"), *given_up(2, error)]))
        self.assertEqual(cluster.requests(), [])

    def test_a_file_that_comes_late_and_goes_for_a_moment(self):
        cluster = self.secured(tls=False)
        path = self.folder() / "token"
        program = self.program(cluster, k8s_token_file=path)
        program.wait_line("attempt=2")
        path.write_text("first\r\n")
        program.wait_line("connection restored")
        self.wait_watching(cluster, program)
        path.unlink()
        cluster.kubernetes(end_watches=True)
        cluster.objects(add=["tools/fetch"])
        path.write_text("second\n")
        self.wait_known(program, ["default/mcpserver-00000", "tools/fetch"], 10)

    def test_plain_http_to_another_machine_withholds_it(self):
        """0.0.0.0 is no address of loopback, and leads there."""
        cluster, account = self.secured(tls=False, host="0.0.0.0"), self.account()
        program = self.member(cluster, account)
        program.wait_line("denies the account")
        warning = program.lines("WARNING")[0]
        self.assertEqual((warning.message, warning.pairs), (
            "The token is not sent over plain HTTP to another machine: K8S_API_SERVER_URL has to be https",
            {"endpoint": cluster.url, "token_file": str(account.token)}))
        self.assertEqual(program.lines("WARNING")[1].pairs["remedy"], "https in K8S_API_SERVER_URL")
        wait_for(lambda: len(cluster.requests()) > 8)
        self.assertEqual(set(self.authorizations(cluster)), {None})

    def test_plain_http_to_loopback_sends_it(self):
        cluster, account = self.secured(tls=False), self.account()
        for host in ("127.0.0.1", "localhost"):
            with self.subTest(host=host):
                cluster.reset()
                program = self.member(cluster, account, k8s_api_server_url=f"http://{host}:{cluster.port}")
                self.wait_polled(program)
                self.assertEqual((worse(program), set(self.authorizations(cluster))), ([], {"Bearer first"}))

    def test_a_redirect_takes_it_nowhere(self):
        cluster, account = self.secured(), self.account()
        thief = self.cluster()
        cluster.behave("redirect", url=f"{thief.url}/", code=307)
        program = self.member(cluster, account)
        warning = program.wait_line(re.compile("^WARNING"))
        self.assertEqual(warning.pairs["error"], "HTTP 307")
        self.assertEqual(thief.connections(), [])

    def test_no_proxy_of_the_environment_has_it(self):
        cluster, account, proxy = self.secured(), self.account(), self.cluster()
        program = self.member(cluster, account, environment=dict.fromkeys(
            ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), proxy.url))
        self.wait_polled(program)
        self.assertEqual(proxy.connections(), [])


UNKNOWN_ISSUER = "TLS: unable to get local issuer certificate"


class TestTls(AccessCase):
    """Verified always: nothing is asked of a server that is not the one."""

    def refused(self, cluster, error, **settings):
        program = self.program(cluster, toolhive_max_retries=2, **settings)
        code, _ = program.finish()
        self.assertEqual((code, self.told(program)), (1, [
            failed(1, 2, error, "0.1"), failed(2, 2, error, "0.0"), *given_up(2, error)]))
        self.assertEqual(cluster.requests(), [])

    def test_an_authority_that_nobody_knows(self):
        self.refused(self.secured(), UNKNOWN_ISSUER)

    def test_another_authority(self):
        other = Authority()
        self.refused(self.secured(), UNKNOWN_ISSUER, k8s_ca_file=other.certificate)

    def test_another_host(self):
        cluster = self.secured(tls=Authority.common().server("DNS:example.com"))
        self.refused(cluster, "TLS: no alternative certificate subject name matches target host name '127.0.0.1'",
                     k8s_ca_file=Authority.common().certificate)

    def test_expired(self):
        cluster = self.secured(tls=Authority.common().server(days=-1))
        self.refused(cluster, "TLS: certificate has expired", k8s_ca_file=Authority.common().certificate)

    def test_files_without_certificates(self):
        path = self.folder() / "ca.crt"
        cluster = self.secured()
        for text in (None, "", "junk\n"):
            with self.subTest(text=text):
                if text is not None:
                    path.write_text(text)
                self.refused(cluster, "TLS: no certificates in the CA file", k8s_ca_file=path)

    def test_plain_http_where_tls_is_spoken_and_the_other_way_round(self):
        cluster = self.secured()
        program = self.program(cluster, k8s_api_server_url=cluster.url.replace("https:", "http:"))
        self.assertEqual(program.wait_line(re.compile("^WARNING")).pairs["error"],
                         "Client sent an HTTP request to an HTTPS server.")
        plain = self.cluster()
        program = self.program(plain, k8s_api_server_url=plain.url.replace("http:", "https:"))
        self.assertRegex(program.wait_line(re.compile("^WARNING")).pairs["error"], "^TLS: ")

    def test_an_authority_that_is_replaced_during_the_run(self):
        """A cluster changes its own once in some years; the file is read for each connection."""
        account, other, path = self.account(), Authority(), self.folder() / "ca.crt"
        path.write_bytes(account.ca.read_bytes())
        cluster = self.secured()
        program = self.member(cluster, account, k8s_ca_file=path)
        self.wait_watching(cluster, program)
        cluster.stop_listening()
        successor = self.secured(2, port=cluster.port, tls=other.server())
        program.wait_line(UNKNOWN_ISSUER)
        path.write_bytes(other.certificate.read_bytes())
        self.wait_watching(successor, program)
        self.assertEqual(len(known(program)), 2)

    def test_the_systems_authorities_are_those_of_no_cluster(self):
        """With a file of its own none of them is trusted; without one they are, since many a cluster has a name."""
        system = "/etc/ssl/certs/ca-certificates.crt"
        if not os.path.exists(system):
            self.skipTest(f"no {system}")
        common, other, cluster = Authority.common(), Authority(), self.secured(tokens=None, rules=None)
        store = self.folder()
        (store / "ca-certificates.crt").write_bytes(common.certificate.read_bytes())
        name = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", common.certificate], check=True,
                              capture_output=True, text=True).stdout.strip()
        (store / f"{name}.0").write_bytes(common.certificate.read_bytes())
        wrapper = self.mounted(store, "/etc/ssl/certs")
        # One of another name: of two authorities of one name the folder's would not be looked for.
        self.refused(cluster, UNKNOWN_ISSUER, wrapper=wrapper, k8s_ca_file=other.server()[0])
        self.wait_polled(self.program(cluster, wrapper=wrapper))


if __name__ == "__main__":
    main(abreast=True)
