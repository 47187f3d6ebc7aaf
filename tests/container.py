#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Containerfile, built and run as a pod: `.ci/run container`.

No container engine and no registry is needed: buildah runs the file's own steps in a chroot, on a base
that mmdebstrap makes here and that gets the name of the file's FROM. crun then runs the image, set up as
a kubelet would do it from deployment.yaml: its user, its read-only root, no capabilities, a profile of
system calls as engines have it by default, its variables, a folder for the state file that belongs to
root. The probes' commands are run in it.

Needs root. All that it mounts and starts is in namespaces of its own and ends with it, whatever happens.
Exits with 77, and says why, where this cannot be.
"""

import functools
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
import unittest

TOOLS = {"buildah": "buildah", "crun": "crun", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"}
SUITES = {"debian:12-slim": "bookworm"}
INSIDE = "MCP_OPTIMIZER_TEST_NAMESPACES"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
QUICK = {"TOOLHIVE_INITIAL_BACKOFF": "0.1", "WORKLOAD_POLLING_INTERVAL": "1"}
SECCOMP = pathlib.Path("/usr/share/containers/seccomp.json")


def reason_to_skip():
    if os.geteuid() != 0:
        return "not root"
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            return f"{package} is not installed"
    try:
        import yaml  # noqa: F401
    except ImportError:
        return "python3-yaml is not installed"
    return None


def enter_namespaces():
    """Runs this program again in namespaces of its own for mounts and processes."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                              sys.executable, *sys.argv])
    # crun knows either version of control groups but no mixture, and needs none of them here.
    subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if reason := reason_to_skip():
        print(f"skipped: container: {reason}")
        sys.exit(77)
    enter_namespaces()

import harness  # noqa: E402
from cluster import USER, KubernetesStandin, ServiceAccount  # noqa: E402
from manpage import SOURCE, read  # noqa: E402
from runner import run_tests  # noqa: E402
from test_kubernetes_conf import FOLDER, bytes_of, container, environment, pod  # noqa: E402


class Workshop:
    """Where images are built and run: a folder that holds all of it."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-container-")
        self.path = pathlib.Path(self._folder.name)
        self.path.chmod(0o755)
        (self.path / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{self.path}/graph"\nrunroot = "{self.path}/run"\n')

    def close(self):
        self.buildah("rm", "--all")
        self._folder.cleanup()

    def run(self, *command):
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.path), "TMPDIR": str(self.path), "LC_ALL": "C.UTF-8",
                     "CONTAINERS_STORAGE_CONF": f"{self.path}/storage.conf", "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{done.stdout[-8000:]}")
        return done.stdout.strip()

    def buildah(self, *arguments):
        return self.run("buildah", *arguments)

    def make_base(self, name):
        """Debian's own packages, set up as in its slim images: no documentation but the licences, no translations."""
        left_out = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "locale", "man")]
        self.run("mmdebstrap", "--quiet", "--variant=minbase", *left_out,
                 "--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-unsafe-io",
                 '--aptopt=Acquire::Languages "none"', SUITES[name], f"{self.path}/base.tar")
        working = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", working, f"{self.path}/base.tar", "/")
        self.buildah("commit", "--quiet", "--rm", working, name)

    def build(self, file, name):
        self.buildah("build", "--quiet", "--pull-never", "--tag", name, "--file", str(file), str(SOURCE))

    def unpack(self, name):
        """The image's root folder, and its settings."""
        settings = json.loads(self.buildah("inspect", "--type", "image", name))["OCIv1"]["config"]
        root = self.buildah("mount", self.buildah("from", "--pull-never", name))
        return pathlib.Path(root), settings


@functools.cache
def image():
    """Built once, from the file as it stands: root folder and settings."""
    workshop = Workshop()
    unittest.addModuleCleanup(workshop.close)
    begun = time.monotonic()
    workshop.make_base(re.search(r"^FROM (\S+) AS build$", read(FOLDER / "Containerfile"), re.M)[1])
    workshop.build(FOLDER / "Containerfile", container()["image"])
    print(f"built in {time.monotonic() - begun:.0f} s", flush=True)
    return workshop.unpack(container()["image"])


def setUpModule():
    image()


def system_calls():
    """The profile that podman has by default, for no capabilities, in crun's words; containerd's is much the same."""
    profile = json.loads(SECCOMP.read_text())
    rules = []
    for rule in profile["syscalls"]:
        includes = rule["includes"]
        if not includes.get("caps") and (not includes.get("arches") or "amd64" in includes["arches"]):
            rules.append({key: rule[key] for key in ("names", "action", "args", "errnoRet") if rule.get(key)})
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"], "syscalls": rules}


class Pod(harness.Process):
    """The image's program with those arguments, as deployment.yaml would have it run."""

    def __init__(self, *arguments, account=None, **variables):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-pod-")
        self.path = pathlib.Path(self._folder.name)
        self.state = self.path / "state"
        self.state.mkdir()
        # As an emptyDir is.
        self.state.chmod(0o777)
        (self.path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
        (self.path / "hosts").write_text("127.0.0.1 localhost\n")
        (self.path / "config.json").write_text(json.dumps(self._settings(arguments, account, variables)))
        self._log = (self.path / "log").open("wb")
        super().__init__(harness.spawn([*self._crun("run"), f"--bundle={self.path}", self.path.name],
                                       stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT))

    def _crun(self, verb):
        return ["crun", f"--root={self.path}/crun", "--cgroup-manager=disabled", verb]

    def _settings(self, arguments, account, variables):
        root, told = image()
        security = {**pod()["securityContext"], **container()["securityContext"]}
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        ((_, mount),) = [(mount["name"], mount["mountPath"]) for mount in container()["volumeMounts"]]
        binds = [(self.state, mount, "rw"), (self.path / "resolv.conf", "/etc/resolv.conf", "ro"),
                 (self.path / "hosts", "/etc/hosts", "ro")] + ([(account, ACCOUNT, "ro")] if account else [])
        own = dict(entry.split("=", 1) for entry in told["Env"])
        return {
            "ociVersion": "1.0.0", "root": {"path": str(root), "readonly": security["readOnlyRootFilesystem"]},
            "process": {
                "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"]}, "cwd": "/",
                "args": [*told["Entrypoint"], *arguments], "capabilities": {},
                "env": [f"{name}={value}" for name, value in {**own, **environment(), **variables}.items()],
                "noNewPrivileges": not security["allowPrivilegeEscalation"]},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                *[{"destination": target, "type": "none", "source": str(source), "options": ["bind", mode, "nosuid"]}
                  for source, target, mode in binds]],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
                      "seccomp": system_calls()},
        }

    def log(self):
        return (self.path / "log").read_text(encoding="utf-8")

    def events(self):
        return [json.loads(line) for line in self.log().splitlines()]

    def probe(self, name):
        """Exit code of a probe's command, and what it says, run in here as a kubelet does."""
        done = subprocess.run([*self._crun("exec"), self.path.name, *container()[name]["exec"]["command"]],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=container()[name]["timeoutSeconds"] * harness.SLOWNESS)
        return done.returncode, done.stdout + done.stderr

    def program(self):
        """The program itself, as the machine sees it from outside."""
        children = pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return Program(int(children[0]))

    def terminate(self, timeout=10.0):
        """As a kubelet stops it: the image's signal to process 1. Its exit code, and how many seconds it took."""
        signal = image()[1]["StopSignal"].removeprefix("SIG")
        begun = time.monotonic()
        subprocess.run([*self._crun("kill"), self.path.name, signal], check=True, stdin=subprocess.DEVNULL)
        return self.wait(timeout), harness.lasted(begun)

    def kill(self):
        subprocess.run([*self._crun("delete"), "--force", self.path.name], stdin=subprocess.DEVNULL,
                       capture_output=True)
        super().kill()
        self._log.close()
        self._folder.cleanup()


class Program(harness.Process):
    """Figures of a process that somebody else has started."""

    def __init__(self, pid):
        self.pid = pid

    def of_status(self, key):
        return re.search(rf"^{key}:\s+(.*)$", self._proc("status").read_text(), re.M)[1].split()


class Image(unittest.TestCase):
    def test_size(self):
        size = sum(path.lstat().st_size for path in image()[0].rglob("*"))
        print(f"the image's size: {size / 1e6:.1f} MB", flush=True)
        told = int(re.search(r"(\d+) MB in all", read(FOLDER / "Containerfile"))[1])
        self.assertAlmostEqual(size / 1e6, told, delta=3)

    def test_nothing_else_is_in_it(self):
        """Its own program and no other; files of root that nobody else may change, but for the state file's folder."""
        root, _ = image()
        for path in root.rglob("*"):
            status = path.lstat()
            inside = path.relative_to(root)
            with self.subTest(str(inside)):
                self.assertEqual((status.st_uid, status.st_gid), (0, 0))
                self.assertFalse(status.st_mode & (stat.S_ISUID | stat.S_ISGID))
                if str(inside) != environment()["RUNTIME_DIRECTORY"][1:]:
                    self.assertFalse(status.st_mode & 0o022)
                if path.is_file() and status.st_mode & 0o111:
                    self.assertTrue(path.name == "mcp-optimizer" or ".so" in path.name)

    def test_origins_are_told(self):
        """For scanners: the packages with their versions; for lawyers: the licences."""
        root, _ = image()
        packages = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
        self.assertLessEqual({"ca-certificates", "libc6", "libcurl4", "libjson-c5", "libsystemd0"}, packages)
        for name in packages:
            with self.subTest(name):
                self.assertRegex(read(root / f"var/lib/dpkg/status.d/{name}"), rf"\APackage: {re.escape(name)}\n")
                self.assertTrue((root / f"usr/share/doc/{name}/copyright").stat().st_size > 0)
        self.assertTrue((root / "usr/share/doc/mcp-optimizer/LICENSE").exists())

    def test_settings(self):
        _, told = image()
        security = pod()["securityContext"]
        self.assertEqual(told["User"], f"{security['runAsUser']}:{security['runAsGroup']}")
        self.assertEqual((told["Entrypoint"], told.get("Cmd")), (["/usr/bin/mcp-optimizer"], None))
        self.assertEqual(told["StopSignal"], "SIGTERM")
        version = told["Labels"]["org.opencontainers.image.version"]
        with Pod("--version") as asked:
            self.assertEqual((asked.wait(), asked.log()), (0, f"mcp-optimizer {version}\n"))


class Running(unittest.TestCase):
    def test_settings_are_accepted(self):
        with Pod("--check-config") as asked:
            self.assertEqual(asked.wait(), 0, asked.log())
            self.assertIn(f"{environment()['RUNTIME_DIRECTORY']}/state.json ", asked.log())
            self.assertRegex(asked.log(), r"--log-format +json +\(environment\)")

    def test_one_namespace_is_the_pods_own(self):
        with ServiceAccount("first", namespace="tools") as account:
            account.path.chmod(0o755)
            with Pod("--check-config", account=account.path, K8S_ALL_NAMESPACES="false") as asked:
                self.assertEqual(asked.wait(), 0, asked.log())
                self.assertRegex(asked.log(), r"--k8s-namespace +tools ")

    def test_with_toolhive(self):
        with harness.Standin(workloads=3) as standin:
            with Pod(RUNTIME_MODE="docker", TOOLHIVE_API_URL=standin.urls[0], **QUICK) as running:
                self.play(standin, running)

    def test_with_kubernetes(self):
        """As deployment.yaml has it, with the API server where a pod finds it."""
        with KubernetesStandin(3, tls=True, tokens={"first": USER}) as standin, ServiceAccount("first") as account:
            account.path.chmod(0o755)
            with Pod(account=account.path, KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=standin.port,
                     **QUICK) as running:
                self.play(standin, running)

    def play(self, standin, running):
        """It connects, is ready and alive; in an outage it is alive only; it ends at once when it is told to."""
        harness.wait_for(lambda: running.probe("readinessProbe")[0] == 0, 20, "being ready")
        self.assertEqual(running.probe("livenessProbe")[0], 0)
        self.assertEqual(self.told(running)["workloads"]["total"], 3)
        self.confined(running)

        standin.stop_listening()
        harness.wait_for(lambda: running.probe("readinessProbe")[0] == 1, 20, "being ready no more")
        self.assertEqual(running.probe("livenessProbe")[0], 0)
        standin.start_listening()
        harness.wait_for(lambda: running.probe("readinessProbe")[0] == 0, 20, "being ready again")

        code, seconds = running.terminate()
        self.assertEqual(code, 0, running.log())
        self.assertLess(seconds, 1)
        self.assertEqual(running.events()[-1]["message"], "Stopped on request")
        self.assertEqual(self.told(running)["connection"]["state"], "stopped")

    def told(self, running):
        return json.loads((running.state / "state.json").read_text())

    def confined(self, running):
        """What deployment.yaml demands, as the kernel sees it: the set-up above is what it seems."""
        program = running.program()
        security = pod()["securityContext"]
        self.assertEqual(program.of_status("Uid"), [str(security["runAsUser"])] * 4)
        self.assertEqual(program.of_status("Gid"), [str(security["runAsGroup"])] * 4)
        self.assertEqual(program.of_status("NSpid")[-1], "1")
        self.assertEqual(program.of_status("NoNewPrivs"), ["1"])
        self.assertEqual(program.of_status("Seccomp"), ["2"])
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(program.of_status(kind)[0], 16), 0)
        mounts = pathlib.Path(f"/proc/{program.pid}/mountinfo").read_text()
        self.assertRegex(mounts, r"(?m)^\S+ \S+ \S+ \S+ / ro\b")
        print(f"{self.id().rpartition('.')[2]}: {program.rss() / 1048576:.1f} MiB of memory", flush=True)
        self.assertLess(program.rss(), bytes_of(container()["resources"]["requests"]["memory"]))


if __name__ == "__main__":
    run_tests()
