#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The stand-in's Kubernetes: that it answers lists and refusals as a real API server did."""

import base64
import contextlib
import http.client
import json
import ssl
import unittest

from cluster import MCPSERVERS, OLD_INSTALLATION, USER, V1ALPHA1, V1BETA1, KubernetesStandin, ServiceAccount
from harness import SLOWNESS
from rawclient import LIMIT, connect
from runner import run_tests

SECRET = "Bearer first"


class KubernetesCase(unittest.TestCase):
    def start(self, objects=0, **options):
        self.cluster = self.enterContext(KubernetesStandin(objects, **options))
        return self.cluster

    def connection(self):
        return contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=LIMIT))

    def ask(self, path, token=None, method="GET"):
        """Status, headers and body."""
        with self.connection() as connection:
            connection.request(method, path, headers={"Authorization": token} if token else {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path, token=None):
        status, headers, body = self.ask(path, token)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/json"), body)
        return json.loads(body)

    def names(self, path):
        return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in self.get(path)["items"]]

    def assert_status(self, answer, code, reason, message, details=None, metadata=None):
        """A Status to the letter: the order of its keys, too."""
        told = {"message": message, "reason": reason, "details": details, "code": code}
        expected = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure",
                    **{key: value for key, value in told.items() if value is not None}}
        self.assertEqual(answer[2].decode(), json.dumps(expected, separators=(",", ":")) + "\n")
        self.assertEqual((answer[0], answer[1]["Content-Type"]), (code, "application/json"))

    def assert_not_served(self, path):
        status, headers, body = self.ask(path)
        self.assertEqual((status, headers["Content-Type"], body),
                         (404, "text/plain; charset=utf-8", b"404 page not found\n"))


class TestAnswers(KubernetesCase):
    def test_version_is_for_everybody(self):
        self.start(tokens={"first": USER})
        status, headers, body = self.ask("/version")
        self.assertEqual((status, headers["Content-Length"]), (200, "350"))
        self.assertTrue(body.startswith(b'{\n  "major": "1",\n  "minor": "34",\n') and body.endswith(b"\n}"), body)
        self.assertEqual(json.loads(body)["gitVersion"], "v1.34.1")
        self.assertEqual(headers["Cache-Control"], "no-cache, private")
        self.assertRegex(headers["Audit-Id"], "^[0-9a-f-]{36}$")

    def test_lists_have_kind_version_and_items_in_order(self):
        self.start()
        self.assertEqual(self.ask(MCPSERVERS)[2],
                         b'{"apiVersion":"toolhive.stacklok.dev/v1beta1","items":[],"kind":"MCPServerList",'
                         b'"metadata":{"continue":"","resourceVersion":"218"}}\n')
        self.cluster.objects(add=["tools/fetch", "other/fetch", "virtualmcpservers/tools/all",
                                  {"kind": "MCPRemoteProxy", "namespace": "tools", "name": "far"}])
        self.assertEqual(self.names(MCPSERVERS), ["other/fetch", "tools/fetch"])
        for resource, kind in (("virtualmcpservers", "VirtualMCPServer"), ("mcpremoteproxies", "MCPRemoteProxy")):
            whole = self.get(f"{V1BETA1}/{resource}")
            self.assertEqual((whole["kind"], whole["items"][0]["kind"]), (f"{kind}List", kind))
        self.assertEqual(whole["metadata"]["resourceVersion"], "222")
        self.assertEqual(self.names(f"{V1BETA1}/namespaces/tools/mcpservers"), ["tools/fetch"])
        self.assertEqual(self.names(f"{V1BETA1}/namespaces/none/mcpservers"), [])

    def test_objects_are_shaped_as_toolhive_shapes_them(self):
        self.start()
        self.cluster.objects(add=[
            "tools/fetch", "virtualmcpservers/tools/all", "mcpremoteproxies/tools/far",
            {"namespace": "tools", "name": "feed", "spec": {"transport": "sse", "groupRef": None}},
            {"namespace": "tools", "name": "gone", "old": True}])
        fetch = self.get(f"{V1BETA1}/namespaces/tools/mcpservers/fetch")
        self.assertEqual(list(fetch), ["apiVersion", "kind", "metadata", "spec", "status"])
        self.assertEqual((fetch["spec"]["transport"], fetch["spec"]["proxyPort"], fetch["spec"]["groupRef"]),
                         ("streamable-http", 8080, {"name": "default"}))
        self.assertEqual((fetch["status"]["phase"], fetch["status"]["url"]),
                         ("Ready", "http://mcp-fetch-proxy.tools.svc.cluster.local:8080/mcp"))
        feed = self.get(f"{V1BETA1}/namespaces/tools/mcpservers/feed")
        self.assertTrue(feed["status"]["url"].endswith(":8080/sse#feed"))
        self.assertNotIn("groupRef", feed["spec"])
        gone = self.get(f"{V1BETA1}/namespaces/tools/mcpservers/gone")
        self.assertEqual((gone["spec"]["groupRef"], gone["status"]["phase"]), ("default", "Running"))
        everything = self.get(f"{V1BETA1}/namespaces/tools/virtualmcpservers/all")
        self.assertEqual(everything["status"]["url"], "http://vmcp-all.tools.svc.cluster.local:4483")
        self.assertFalse({"image", "transport", "proxyPort"} & set(everything["spec"]))
        far = self.get(f"{V1BETA1}/namespaces/tools/mcpremoteproxies/far")
        self.assertNotIn("image", far["spec"])
        self.assertIn("remoteUrl", far["spec"])

    def test_objects_may_be_anything(self):
        self.start()
        self.cluster.objects(add=[
            {"name": "a", "spec": "none", "metadata": {"name": None}}, {"name": "b", "metadata": None, "status": []},
            {"name": "c", "raw": '{"kind":1,"kind":2}'}, {"name": "d", "status": {"url": "http://x/?a=1&b=<>"}}])
        body = self.ask(MCPSERVERS)[2]
        items = json.loads(body)["items"]
        self.assertEqual((items[0]["spec"], "name" in items[0]["metadata"]), ("none", False))
        self.assertEqual((items[1]["status"], "metadata" in items[1]), ([], False))
        self.assertIn(b',{"kind":1,"kind":2},', body)
        # Go's encoder takes care of HTML.
        self.assertIn(rb'"url":"http://x/?a=1\u0026b=\u003c\u003e"', body)
        self.cluster.objects(remove=["a", "b", "c"])

    def test_one_object_or_not_found(self):
        self.start()
        self.assert_status(self.ask(f"{V1BETA1}/namespaces/tools/mcpservers/none"), 404, "NotFound",
                           'mcpservers.toolhive.stacklok.dev "none" not found',
                           {"name": "none", "group": "toolhive.stacklok.dev", "kind": "mcpservers"})
        self.assertEqual(self.ask(MCPSERVERS, method="DELETE")[0], 405)

    def test_what_is_not_installed_is_not_found_as_text(self):
        self.start(1, serve=OLD_INSTALLATION)
        for path in (MCPSERVERS, f"{V1ALPHA1}/virtualmcpservers", f"{V1ALPHA1}/mcpgroups", "/apis/nope.example/v1/x",
                     f"{MCPSERVERS}?watch=true", V1BETA1, "/nothing"):
            self.assert_not_served(path)
        status, headers, _ = self.ask(f"{V1ALPHA1}/mcpservers")
        self.assertEqual((status, headers["Warning"]), (200, None))
        self.assertEqual(self.get("/apis/toolhive.stacklok.dev")["preferredVersion"]["version"], "v1alpha1")
        self.assertEqual([item["name"] for item in self.get(V1ALPHA1)["resources"]], ["mcpservers"])

    def test_the_old_version_beside_the_new_one_is_deprecated(self):
        self.start(1)
        _, headers, body = self.ask(f"{V1ALPHA1}/mcpservers")
        self.assertEqual(headers["Warning"], '299 - "toolhive.stacklok.dev/v1alpha1 is deprecated; use v1beta1"')
        self.assertEqual(json.loads(body)["items"][0]["apiVersion"], "toolhive.stacklok.dev/v1alpha1")

    def test_selectors(self):
        self.start()
        self.cluster.objects(add=["tools/fetch", "other/fetch",
                                  {"name": "team", "metadata": {"labels": {"team": "a"}}}])
        self.assertEqual(self.names(MCPSERVERS + "?fieldSelector=metadata.name%3Dfetch"),
                         ["other/fetch", "tools/fetch"])
        self.assertEqual(self.names(MCPSERVERS + "?fieldSelector=metadata.name%3Dfetch%2Cmetadata.namespace%3Dtools"),
                         ["tools/fetch"])
        self.assertEqual(self.names(MCPSERVERS + "?labelSelector=team%3Da"), ["default/team"])
        self.assert_status(self.ask(MCPSERVERS + "?fieldSelector=status.phase%3DReady"), 400, "BadRequest",
                           "field label not supported: status.phase")

    def test_long_answers_come_in_chunks(self):
        self.start(2)
        for path, chunked in ((MCPSERVERS, True), (MCPSERVERS + "?fieldSelector=metadata.name=none", False)):
            headers = self.ask(path)[1]
            self.assertEqual((headers["Transfer-Encoding"], headers["Content-Length"] is None),
                             ("chunked" if chunked else None, chunked))

    def test_any_status_on_demand(self):
        self.start(1)
        self.cluster.refuse(429, "TooManyRequests", "storage is (re)initializing", "LIST *", 1, retry_after=1)
        answer = self.ask(MCPSERVERS)
        self.assertEqual((answer[0], answer[1]["Retry-After"], json.loads(answer[2])["reason"]),
                         (429, "1", "TooManyRequests"))
        self.assertEqual(self.ask(MCPSERVERS)[0], 200)

    def test_lists_of_any_text(self):
        self.start(1)
        self.cluster.objects(raw="[")
        self.assertEqual(self.ask(MCPSERVERS)[2], b"[")
        self.cluster.objects(raw={"virtualmcpservers": "{}"})
        self.assertEqual(self.ask(f"{V1BETA1}/virtualmcpservers")[2], b"{}")
        self.cluster.objects()
        self.assertEqual(len(self.names(MCPSERVERS)), 1)


class TestPages(KubernetesCase):
    def pages(self, path=MCPSERVERS, limit=2):
        """The pages of a list, each asked for when the one before has been looked at."""
        token = ""
        while True:
            page = self.get(f"{path}?limit={limit}" + (f"&continue={token}" if token else ""))
            yield page
            if not (token := page["metadata"]["continue"]):
                return

    def test_pages_are_of_one_moment(self):
        self.start(5)
        seen, left = [], []
        for page in self.pages():
            self.cluster.objects(add=[f"a{len(seen)}"], remove=["mcpserver-00004"] if not seen else [])
            seen += [item["metadata"]["name"] for item in page["items"]]
            left.append(page["metadata"].get("remainingItemCount"))
            self.assertEqual(page["metadata"]["resourceVersion"], "223")
        self.assertEqual((seen, left), ([f"mcpserver-{n:05}" for n in range(5)], [3, 1, None]))

    def test_the_token_names_version_and_start(self):
        self.start()
        self.cluster.objects(add=["other/broken", "other/fetch", "tools/fetch"])
        token = next(self.pages())["metadata"]["continue"]
        self.assertEqual(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)),
                         b'{"v":"meta.k8s.io/v1","rv":221,"start":"/other/fetch\\u0000"}')

    def test_selected_ones_are_not_counted(self):
        self.start(3)
        page = self.get(MCPSERVERS + "?limit=1&fieldSelector=metadata.namespace%3Ddefault")
        self.assertTrue(page["metadata"]["continue"])
        self.assertNotIn("remainingItemCount", page["metadata"])

    def test_an_expired_token_is_gone_and_offers_another(self):
        self.start()
        self.cluster.objects(add=["other/broken", "other/fetch", "tools/fetch", "tools/github"])
        for expire in ({"forget": True}, {"expire_continue": True}):
            token = next(self.pages(limit=1))["metadata"]["continue"]
            self.cluster.kubernetes(**expire)
            answer = self.ask(f"{MCPSERVERS}?limit=1&continue={token}")
            status = json.loads(answer[2])
            offered = status["metadata"]["continue"]
            self.assert_status(answer, 410, "Expired", status["message"], metadata={"continue": offered})
            self.assertTrue(status["message"].startswith("The provided continue parameter is too old to display"))
            rest = self.get(f"{MCPSERVERS}?continue={offered}")
            self.assertEqual(len(rest["items"]), 3)
        self.assertEqual(len(list(self.pages())), 2)

    def test_nonsense_is_refused(self):
        self.start(1)
        for query, message in (
                ("limit=two", 'strconv.ParseInt: parsing "two": invalid syntax'),
                ("continue=%25%25", "invalid continue token: continue key is not valid: "
                                    "illegal base64 data at input byte 0"),
                ("continue=Z2FyYmFnZQ", "invalid continue token: continue key is not valid: "
                                        "invalid character 'g' looking for beginning of value"),
                ("continue=Z2FyYmFnZQ&resourceVersion=5",
                 "specifying resource version is not allowed when using continue")):
            self.assert_status(self.ask(f"{MCPSERVERS}?{query}"), 400, "BadRequest", message)
        for query in ("resourceVersion=abc", "watch=true&resourceVersion=abc"):
            self.assert_status(self.ask(f"{MCPSERVERS}?{query}"), 500, None, 'resourceVersion: Invalid value: "abc": '
                               'strconv.ParseUint: parsing "abc": invalid syntax')
        answer = self.ask(f"{MCPSERVERS}?resourceVersion=999")
        self.assertEqual((answer[0], answer[1]["Retry-After"]), (504, "1"))
        self.assertIn(b"Timeout: Too large resource version: 999, current: 219", answer[2])

    def test_an_old_version_of_a_list_is_gone(self):
        self.start(3)
        self.cluster.kubernetes(forget=True)
        for exact in ("limit=1", "resourceVersionMatch=Exact"):
            self.assert_status(self.ask(f"{MCPSERVERS}?resourceVersion=2&{exact}"), 410, "Expired",
                               "The resourceVersion for the provided list is too old.")
        self.assertEqual(len(self.names(f"{MCPSERVERS}?resourceVersion=2")), 3)

    def test_the_server_may_have_a_limit_of_its_own(self):
        self.start(5, page_max=3)
        self.assertEqual([len(page["items"]) for page in self.pages(limit=500)], [3, 2])

    def test_ten_thousand_objects_are_sent_at_memory_speed(self):
        self.start(10_000)
        for _ in self.pages(limit=500):
            pass
        begun, size = self.cluster.cpu(), 0
        with self.connection() as connection:
            token = ""
            for _ in range(20):
                connection.request("GET", f"{MCPSERVERS}?limit=500&continue={token}")
                body = connection.getresponse().read()
                size += len(body)
                token = json.loads(b"{" + body[body.rindex(b'"metadata"'):])["metadata"]["continue"]
        self.assertLess(self.cluster.cpu() - begun, 0.5 * SLOWNESS)
        self.assertEqual(token, "")
        self.assertAlmostEqual(size / 10_000, 1700, delta=100)


class TestAccess(KubernetesCase):
    def assert_forbidden(self, answer, user, verb, where, resource="mcpservers", named="", **details):
        self.assert_status(
            answer, 403, "Forbidden", f'{resource}.toolhive.stacklok.dev{named} is forbidden: User "{user}" cannot '
            f'{verb} resource "{resource}" in API group "toolhive.stacklok.dev" {where}',
            {**details, "group": "toolhive.stacklok.dev", "kind": resource})
        self.assertEqual(answer[1]["X-Content-Type-Options"], "nosniff")

    def test_without_tokens_nobody_is_asked(self):
        self.start(1)
        self.assertEqual(len(self.names(MCPSERVERS)), 1)

    def test_a_wrong_token_is_unauthorized_and_none_is_anonymous(self):
        self.start(1, tokens={"first": USER})
        self.assertEqual(len(self.get(MCPSERVERS, SECRET)["items"]), 1)
        for path in (MCPSERVERS, MCPSERVERS + "?watch=1", "/version"):
            self.assert_status(self.ask(path, "Bearer second"), 401, "Unauthorized", "Unauthorized")
        for token in (None, "Bearer ", "Basic first"):
            self.assert_forbidden(self.ask(MCPSERVERS, token), "system:anonymous", "list", "at the cluster scope")
        self.assert_status(self.ask(V1BETA1), 403, "Forbidden",
                           f'forbidden: User "system:anonymous" cannot get path "{V1BETA1}"', {})
        self.cluster.kubernetes(anonymous=False)
        self.assert_status(self.ask(MCPSERVERS), 401, "Unauthorized", "Unauthorized")

    def test_a_token_is_replaced(self):
        self.start(1, tokens={"first": {"user": USER}})
        self.cluster.kubernetes(tokens={"second": USER})
        self.assertEqual(self.ask(MCPSERVERS, SECRET)[0], 401)
        self.assertEqual(self.ask(MCPSERVERS, "Bearer second")[0], 200)
        self.cluster.kubernetes(tokens=None)
        self.assertEqual(self.ask(MCPSERVERS)[0], 200)

    def test_rules_of_the_cluster(self):
        self.start(1, tokens={"first": USER}, rules=[{"verb": "list", "resource": ["mcpservers", "mcpgroups"]}])
        self.get(MCPSERVERS, SECRET)
        self.assert_forbidden(self.ask(MCPSERVERS + "?watch=true&resourceVersion=1", SECRET), USER, "watch",
                              "at the cluster scope")
        self.assert_forbidden(self.ask(f"{V1BETA1}/virtualmcpservers", SECRET), USER, "list", "at the cluster scope",
                              "virtualmcpservers")
        # What is not there is refused first, as well.
        self.assert_forbidden(self.ask(f"{V1BETA1}/things", SECRET), USER, "list", "at the cluster scope", "things")
        self.assertEqual(self.ask(f"{V1BETA1}/mcpgroups", SECRET)[0], 404)
        self.assertEqual(self.ask(V1BETA1, SECRET)[0], 200)

    def test_rules_of_one_namespace(self):
        self.start(1, tokens={"first": USER}, rules=[{"verb": ["list", "watch"], "namespace": "tools"}])
        self.assertEqual(self.get(f"{V1BETA1}/namespaces/tools/mcpservers", SECRET)["items"], [])
        self.assert_forbidden(self.ask(f"{V1BETA1}/namespaces/other/mcpservers", SECRET), USER, "list",
                              'in the namespace "other"')
        self.assert_forbidden(self.ask(MCPSERVERS, SECRET), USER, "list", "at the cluster scope")
        self.assert_forbidden(self.ask(f"{V1BETA1}/namespaces/tools/mcpservers/one", SECRET), USER, "get",
                              'in the namespace "tools"', named=' "one"', name="one")

    def test_tls_with_an_authority_of_its_own(self):
        self.start(1, tls=True)
        with ServiceAccount("first") as account:
            self.assertEqual((account.token.read_text(), account.namespace.read_text()), ("first", "tools"))
            account.rotate("second")
            self.assertEqual((account.token.read_text(), account.namespace.read_text()), ("second", "tools"))
            context = ssl.create_default_context(cafile=account.ca)
            with contextlib.closing(http.client.HTTPSConnection("localhost", self.cluster.port, timeout=LIMIT,
                                                                context=context)) as connection:
                connection.request("GET", MCPSERVERS)
                self.assertEqual(len(json.loads(connection.getresponse().read())["items"]), 1)
        # And plain HTTP is told so.
        self.assertEqual(self.ask(MCPSERVERS)[0], 400)
        with self.assertRaises(ssl.SSLCertVerificationError), connect(self.cluster.port) as sock:
            ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")


if __name__ == "__main__":
    run_tests(abreast=True)
