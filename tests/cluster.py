# SPDX-License-Identifier: Apache-2.0
"""What tests of Kubernetes mode stand on besides the harness: a cluster's certificates, a service
account's files, and the stand-in that plays the API server.

    with KubernetesStandin(3, tls=True, tokens={"first": USER}) as cluster, ServiceAccount("first") as account:
        …
        cluster.objects(add=["tools/fetch"])
        account.rotate("second")
"""

import functools
import itertools
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

from harness import Standin

USER = "system:serviceaccount:tools:mcp-optimizer"
V1BETA1 = "/apis/toolhive.stacklok.dev/v1beta1"
V1ALPHA1 = "/apis/toolhive.stacklok.dev/v1alpha1"
MCPSERVERS = f"{V1BETA1}/mcpservers"
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
OLD_INSTALLATION = {"mcpservers": ["v1alpha1"], "virtualmcpservers": [], "mcpremoteproxies": []}


class Authority:
    """A certificate authority and the servers it vouches for; EC, since making RSA keys takes a second.

    The files live as long as the object does."""

    _making = threading.RLock()     # tests may run some at a time

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-ca-")
        self._path = pathlib.Path(self._folder.name)
        self._servers = {}
        self.certificate = self._path / "ca.crt"
        self._openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=kubernetes", "-keyout", "ca.key",
                      "-out", "ca.crt")

    def _openssl(self, *arguments):
        try:
            subprocess.run(["openssl", *arguments], cwd=self._path, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        except FileNotFoundError:
            raise unittest.SkipTest("no openssl to make a certificate with") from None

    def server(self, names="DNS:localhost,IP:127.0.0.1,IP:::1", days=2):
        """Certificate and key of a server with those names, as paths; with -1 days it has expired."""
        with self._making:
            if (names, days) not in self._servers:
                self._servers[names, days] = self._make_server(f"server-{len(self._servers)}", names, days)
            return self._servers[names, days]

    def _make_server(self, stem, names, days):
        self._openssl("req", "-new", *NEW_KEY, "-subj", "/CN=kube-apiserver", "-keyout", f"{stem}.key",
                      "-out", f"{stem}.csr")
        (self._path / f"{stem}.ext").write_text(f"subjectAltName={names}\n")
        self._openssl("x509", "-req", "-in", f"{stem}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", str(days), "-extfile", f"{stem}.ext", "-out", f"{stem}.crt")
        return str(self._path / f"{stem}.crt"), str(self._path / f"{stem}.key")

    @classmethod
    @functools.cache
    def _common(cls):
        return cls()

    @classmethod
    def common(cls):
        """The one of this test process, made when it is first asked for."""
        with cls._making:
            return cls._common()


class ServiceAccount:
    """A folder with token, ca.crt and namespace as kubelet keeps it in a pod: links to files below ..data, which is a
    link itself, and replaced when anything changes."""

    def __init__(self, token, namespace="tools", ca=None):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-account-")
        self.path = pathlib.Path(self._folder.name)
        self._serials = itertools.count(1)
        self._files = {"token": token, "ca.crt": (ca or Authority.common()).certificate.read_text(),
                       "namespace": namespace}
        self.rotate(token)
        for name in self._files:
            (self.path / name).symlink_to(f"..data/{name}")
        self.token, self.ca, self.namespace = (self.path / name for name in self._files)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def rotate(self, token):
        """Another token, all at once."""
        self._files["token"] = token
        fresh, link, data = self.path / f"..{next(self._serials)}", self.path / "..data_tmp", self.path / "..data"
        fresh.mkdir()
        for name, text in self._files.items():
            (fresh / name).write_text(text)
        old = data.resolve()
        link.symlink_to(fresh.name)
        link.replace(data)
        if old != data:
            shutil.rmtree(old)


class KubernetesStandin(Standin):
    """The API server with so many MCPServers; tls is True, or a certificate and its key. Settings are those of the
    verb `kubernetes`: tokens, rules, serve, page_max…"""

    SETTINGS = ("tokens", "rules", "serve", "anonymous", "page_max", "history")

    def __init__(self, objects=0, tls=False, **options):
        settings = {key: options.pop(key) for key in self.SETTINGS if key in options}
        if tls:
            options["tls"] = Authority.common().server() if tls is True else tuple(tls)
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

    def restart(self):
        """Refuses, ends its watches, and comes back on the same port with no memory of any version before now."""
        self.stop_listening(drain=True)
        self.kubernetes(end_watches=True, forget=True)
        self.start_listening()

    def refuse(self, code, reason, message="", route="*", count=None, retry_after=None):
        """Answers with a Status, as `status` does with any text: refuse(429, "TooManyRequests", retry_after=1)."""
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
                "reason": reason, "code": code}
        self.behave("status", route, count, code=code, body=json.dumps(body) + "\n", type="application/json",
                    headers={} if retry_after is None else {"Retry-After": str(retry_after)})
