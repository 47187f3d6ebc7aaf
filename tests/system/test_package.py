# SPDX-License-Identifier: Apache-2.0
"""The Debian package: how its program was built, and its installation, upgrade, removal and purge in a
system that runs."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from case import UNIT, MachineCase, boot, main
from hardening import Hardening
from harness import wait_for
from machine import PACKAGE

# What a package manager and a running system change by themselves.
NOT_OURS = re.compile(r"/(proc|sys|dev|tmp|root)(/|$)|/var/(log|cache|lib/dpkg)/|/run/(systemd|log|user)(/|$)|"
                      r"/var/lib/systemd/(catalog|linger)")
# Of systemd's own making: for all services with DynamicUser=, and for a login.
SHARED = {"/var/lib/private", "/run/agetty.reload"}


def setUpModule():
    boot(package=False)


class Program(Hardening, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        subprocess.run(["dpkg-deb", "--extract", PACKAGE, folder.name], check=True)
        cls.root = pathlib.Path(folder.name)
        cls.program = str(cls.root / "usr/bin/mcp-optimizer")

    def test_contents(self):
        found = {f"/{path.relative_to(self.root)}" for path in self.root.rglob("*") if path.is_file()}
        docs = "/usr/share/doc/mcp-optimizer"
        for path in ("/lib/systemd/system/mcp-optimizer.service", "/lib/systemd/system/mcp-optimizer-wait.service",
                     "/usr/lib/systemd/user/mcp-optimizer.service", "/usr/lib/systemd/user/mcp-optimizer-wait.service",
                     "/usr/lib/systemd/catalog/mcp-optimizer.catalog", "/usr/share/man/man8/mcp-optimizer.8.gz",
                     "/usr/share/bash-completion/completions/mcp-optimizer",
                     "/usr/share/zsh/vendor-completions/_mcp-optimizer",
                     "/usr/share/fish/vendor_completions.d/mcp-optimizer.fish",
                     f"{docs}/README.md.gz", f"{docs}/copyright", f"{docs}/examples/alert.conf"):
            self.assertIn(path, found)
        self.assertFalse([path for path in found if re.search("test|standin|debian/", path)])


class Life(MachineCase):
    """In this order, since each begins with what the one before has left."""

    def files(self):
        text = self.machine.run("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune",
                                "-o", "-print") + self.machine.run("find", "/run")
        return {name for name in text.splitlines() if not NOT_OURS.match(name)}

    def clear(self):
        """The machine has no package yet."""

    def next_version(self, version):
        """The same package, but for its version."""
        with tempfile.TemporaryDirectory() as folder:
            tree = pathlib.Path(folder) / "tree"
            subprocess.run(["dpkg-deb", "--raw-extract", PACKAGE, tree], check=True)
            control = tree / "DEBIAN/control"
            control.write_text(re.sub("^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
            new = pathlib.Path(folder) / "new.deb"
            subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, new], check=True,
                           stdout=subprocess.DEVNULL)
            return self.machine.install(new)

    def test_from_installation_to_purge(self):
        before = self.files()
        standin = self.standin()

        with self.subTest("install"):
            self.machine.install()
            self.assertEqual(self.machine.systemctl("is-enabled", UNIT), "enabled\n")
            self.connected()
            for command in (("is-enabled", "mcp-optimizer-wait"), ("--global", "is-enabled", UNIT),
                            ("--global", "is-enabled", "mcp-optimizer-wait")):
                self.assertEqual(self.machine.systemctl(*command, check=False), "disabled\n", command)
            self.assertEqual(self.machine.run("mcp-optimizer", "--version"), f"mcp-optimizer {self.version()}\n")
            self.assertIn("░░ Subject: The service has started\n",
                          self.machine.run("journalctl", "--catalog", "--no-pager", self.since))

        with self.subTest("upgrade"):
            self.machine.write("/etc/systemd/system/client.service",
                               "[Unit]\nRequires=mcp-optimizer-wait.service\nAfter=mcp-optimizer-wait.service\n"
                               "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n")
            self.machine.write(f"/etc/systemd/system/{UNIT}.d/override.conf",
                               "[Service]\nEnvironment=REGISTRY_POLLING_INTERVAL=3600\n")
            self.machine.systemctl("daemon-reload")
            self.machine.systemctl("start", "client")
            pid, known = self.pid(), self.machine.run("cat", "/var/lib/mcp-optimizer/state.json")
            self.begin_log()
            self.next_version("9.0")
            self.assertNotEqual(self.pid(), pid)
            self.assertEqual(self.show("ActiveState", "NRestarts"), {"ActiveState": "active", "NRestarts": "0"})
            self.assertEqual(len([text for text in self.messages() if text.startswith("Stopped on request")]), 1)
            # Nothing is new to it, and the administrator's setting stands.
            self.connected()
            self.assertFalse([text for text in self.messages() if text.startswith("Workload added")])
            self.assertIn('registry_polling_interval="3600 (environment)"', "".join(self.messages()))
            self.assertIn("workload-00004", known)
            # What stands on it stands again.
            wait_for(lambda: self.machine.systemctl("is-active", "client", check=False) == "active\n", 10.0,
                     "the unit that needs the connection")

        with self.subTest("one that was disabled and stopped is left alone"):
            self.machine.systemctl("disable", "--now", UNIT)
            self.next_version("9.1")
            self.assertEqual(self.machine.systemctl("is-enabled", UNIT, check=False), "disabled\n")
            self.assertEqual(self.value("ActiveState"), "inactive")
            self.machine.systemctl("enable", "--now", UNIT)
            self.connected()

        with self.subTest("remove"):
            self.machine.run("rm", "-r", "/etc/systemd/system/client.service", f"/etc/systemd/system/{UNIT}.d")
            pid = self.pid()
            self.machine.run("dpkg", "--remove", "mcp-optimizer")
            self.assertNotEqual(self.machine.done("test", "-e", f"/proc/{pid}").returncode, 0)
            self.assertNotEqual(self.machine.done("test", "-e", "/run/mcp-optimizer").returncode, 0)
            self.assertIn("workload-00004", self.machine.run("cat", "/var/lib/mcp-optimizer/state.json"))

        with self.subTest("purge"):
            self.machine.run("dpkg", "--purge", "mcp-optimizer")
            self.assertEqual(self.files() - before - SHARED, set())
            self.assertEqual(before - self.files(), set())
            self.assertEqual(self.machine.systemctl("list-units", "--all", "--no-legend", "*mcp-optimizer*"), "")
            self.assertEqual(self.machine.run("dpkg", "--list", check=False).count("mcp-optimizer"), 0)
            self.assertNotIn("mcp-optimizer", self.machine.run("journalctl", "--list-catalog"))
            self.assertEqual(self.machine.systemctl("is-system-running"), "running\n")

        with self.subTest("install again"):
            self.machine.install()
            self.connected()
        self.assertTrue(standin.requests())

    @staticmethod
    def version():
        return subprocess.run(["dpkg-deb", "--field", PACKAGE, "Version"], check=True, stdout=subprocess.PIPE,
                              text=True).stdout.strip()


if __name__ == "__main__":
    main()
