# SPDX-License-Identifier: Apache-2.0
"""What tests of Kubernetes mode stand on besides the harness: a cluster's certificates, a service
account's files, and the stand-in that plays the API server.

    with KubernetesStandin(3, tls=True, tokens={"first": USER}) as cluster, ServiceAccount("first") as account:
        …
        cluster.objects(add=["tools/fetch"])
        account.rotate("second")
"""

import functools
import json
import pathlib
import subprocess
import tempfile

from harness import Standin

USER = "system:serviceaccount:tools:mcp-optimizer"
V1BETA1 = "/apis/toolhive.stacklok.dev/v1beta1"
V1ALPHA1 = "/apis/toolhive.stacklok.dev/v1alpha1"
MCPSERVERS = f"{V1BETA1}/mcpservers"
OLD_INSTALLATION = {"mcpservers": ["v1alpha1"], "virtualmcpservers": [], "mcpremoteproxies": []}


class Authority:
    """A certificate authority with one key for all of its servers; EC, since making RSA keys takes a second.

    The files live as long as the object does."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-ca-")
        self._path = pathlib.Path(self._folder.name)
        self.certificate = self._path / "ca.crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-subj", "/CN=kubernetes", "-keyout", "ca.key", "-out", "ca.crt")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._path, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    @functools.cache
    def server(self, names="DNS:localhost,IP:127.0.0.1,IP:::1", days=2):
        """Certificate and key of a server with those names, as paths; with days of 0 or less it has expired."""
        stem = f"server-{abs(hash((names, days)))}"
        self._openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", "/CN=kube-apiserver", "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        (self._path / f"{stem}.ext").write_text(f"subjectAltName={names}\n")
        self._openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", str(days), "-extfile", f"{stem}.ext", "-out", f"{stem}.crt")
        return str(self._path / f"{stem}.crt"), str(self._path / f"{stem}.key")


@functools.cache
def authority():
    """The one of this test process, made when it is first asked for."""
    return Authority()


class ServiceAccount:
    """A folder with token, ca.crt and namespace, as a pod has it: the token's file is replaced by a rename."""

    def __init__(self, token, namespace="tools", ca=None):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-account-")
        self.path = pathlib.Path(self._folder.name)
        self.token, self.ca, self.namespace = (self.path / name for name in ("token", "ca.crt", "namespace"))
        self.rotate(token)
        self.ca.write_bytes((ca or authority()).certificate.read_bytes())
        self.namespace.write_text(namespace)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def rotate(self, token):
        fresh = self.path / "..token"
        fresh.write_text(token)
        fresh.replace(self.token)


class KubernetesStandin(Standin):
    """The API server with so many MCPServers; tls is True, or a certificate and its key. Settings are those of the
    verb `kubernetes`: tokens, rules, serve, page_max…"""

    SETTINGS = ("tokens", "rules", "serve", "anonymous", "page_max", "history")

    def __init__(self, objects=0, tls=False, **options):
        settings = {key: options.pop(key) for key in self.SETTINGS if key in options}
        if tls:
            options["tls"] = authority().server() if tls is True else tuple(tls)
        super().__init__(backend="kubernetes", workloads=objects, **options)
        if settings:
            self.kubernetes(**settings)

    @property
    def url(self):
        return self.urls[0]

    def objects(self, **arguments):
        return self.control("objects", **arguments)

    def kubernetes(self, **arguments):
        return self.control("kubernetes", **arguments)

    def refuse(self, code, reason, message="", route="*", count=None, retry_after=None):
        """Answers with a Status, as `status` does with any text: refuse(429, "TooManyRequests", retry_after=1)."""
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                "reason": reason, "code": code}
        self.behave("status", route, count, code=code, body=json.dumps(body) + "\n", type="application/json",
                    headers={} if retry_after is None else {"Retry-After": str(retry_after)})
