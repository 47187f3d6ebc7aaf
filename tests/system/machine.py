# SPDX-License-Identifier: Apache-2.0
"""A Debian 12 with its own systemd, booted for one test file, with the package that was built.

The root folder is made once (run.py) and only read: what a machine writes goes to a file system in
memory. The machine shares the network of this process, which is one of its own (runner.py): stand-ins
run here, the service there, and both have ToolHive's ports for themselves. Commands enter the
machine's namespaces, so that it needs nothing but what a user's machine has.

A host whose controllers are bound to cgroup v1 still lets the machine have a pure v2 hierarchy. The
limits of memory and tasks are not enforced then, all else is.
"""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

import runner  # noqa: E402
from harness import Process, lasted, spawn, wait_for  # noqa: E402

ROOT = os.environ.get("MCP_OPTIMIZER_SYSTEM_ROOT")
PACKAGE = os.environ.get("MCP_OPTIMIZER_PACKAGE")
UNIT = "mcp-optimizer.service"
USER, UID = "alice", 1000

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 16384, 1 << 18
CGROUP2 = pathlib.Path("/sys/fs/cgroup")
_libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags=0, options=""):
    words = [word if word is None else str(word).encode() for word in (source, target, kind)]
    if _libc.mount(*words, flags, options.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"mount {kind} on {target}: {os.strerror(error)}")


class Machine:
    """Boots, and has the package installed; ends with the context."""

    def __init__(self):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="mcp-optimizer-machine-"))
        mount("none", self._folder, "tmpfs", 0, "mode=755,size=1g")
        self.root, self._log = self._folder / "root", self._folder / "console"
        for name in ("root", "upper", "work"):
            (self._folder / name).mkdir()
        mount("none", self.root, "overlay", 0,
              f"lowerdir={ROOT},upperdir={self._folder}/upper,workdir={self._folder}/work")
        self._cgroup = CGROUP2 / f"mcp-optimizer-test-{os.getpid()}"
        self._nspawn = self._leader = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        # The mounts end with this process; the folder is only their place.
        _libc.umount2(str(self.root).encode(), 2)
        _libc.umount2(str(self._folder).encode(), 2)
        shutil.rmtree(self._folder)

    def path(self, name):
        """A file of the machine, as this process sees it."""
        return self.root / name.lstrip("/")

    def inside(self, name):
        """The same while it runs, also where the machine has mounted something of its own (/run, /tmp)."""
        return pathlib.Path(f"/proc/{self._leader}/root", name.lstrip("/"))

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def boot(self, timeout=30.0):
        """Returns when all that the boot starts is started."""
        # Under a systemd of the host, that one gives nspawn its cgroup.
        hosted = pathlib.Path("/run/systemd/system").is_dir()
        if not hosted:
            self._cgroup.mkdir()
        enter = "" if hosted else 'echo $$ > "$0/cgroup.procs"; '
        command = ["/bin/sh", "-c", f'{enter}exec "$@"', str(self._cgroup),
                   # The machine outlives a killed nspawn, but not the first process of its namespace.
                   "unshare", "--fork", "--pid", "--kill-child", "--mount-proc",
                   "systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", "--machine=optimizer",
                   "--register=no", *([] if hosted else ["--keep-unit"]), "--console=passive",
                   "--link-journal=no", "--resolv-conf=off", "--timezone=off",
                   # IPAddressDeny= and SocketBindDeny= are BPF programs.
                   "--system-call-filter=bpf", "--capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON"]
        with open(self._log, "ab") as log:
            self._nspawn = Process(spawn(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                         env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}))
        try:
            self._leader = wait_for(self._find_leader, timeout, "the first process of the machine")
            wait_for(lambda: self.run("systemctl", "is-system-running", check=False).strip() == "running", timeout,
                     "the end of the boot", interval=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._log.read_text()}\n"
                                 f"{self._leader and self.run('systemctl', '--failed', check=False)}") from None

    def _find_leader(self):
        assert self._nspawn.alive(), f"no boot:\n{self._log.read_text()}"
        processes = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, fields = path.read_text().rpartition(")")[::2]
                processes[int(path.parent.name)] = int(fields.split()[1]), name.partition("(")[2]
            except (FileNotFoundError, ProcessLookupError):
                pass    # it has just ended
        return next((pid for pid, (parent, name) in processes.items() if name == "systemd"
                     and processes.get(parent, (0,))[0] == self._nspawn.pid), None)

    def power_off(self, timeout=20.0):
        """In good order; seconds that it took."""
        start = time.monotonic()
        self.run("systemctl", "poweroff", check=False)
        self._nspawn.wait(timeout)
        self._ended()
        return lasted(start)

    def kill(self):
        if self._nspawn:
            self._nspawn.kill()
            self._ended()

    def _ended(self):
        def remove():
            for folder in sorted(self._cgroup.rglob("*/"), reverse=True):
                folder.rmdir()
            self._cgroup.rmdir()
            return True

        def gone():
            try:
                return not self._cgroup.exists() or remove()
            except OSError:
                return False
        wait_for(gone, 10, "the end of the machine's processes")
        self._nspawn = self._leader = None

    # ---- commands ----

    def child(self, name):
        """The number, as it is here, of a process of that name that systemd has started there; None without one."""
        for pid in pathlib.Path(f"/proc/{self._leader}/task/{self._leader}/children").read_text().split():
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    return int(pid)
            except (FileNotFoundError, ProcessLookupError):
                pass    # it has just ended
        return None

    def into(self, *namespaces):
        """The words before a command that is to run in these namespaces."""
        return ["nsenter", f"--target={self._leader}", *namespaces]

    def enter(self, *command):
        """The words that run a command in there."""
        return [*self.into("--all"), "env", "-i", "LC_ALL=C.UTF-8", "SYSTEMD_COLORS=0",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_PAGER=", "DEBIAN_FRONTEND=noninteractive", *command]

    def done(self, *command, timeout=60):
        """Runs it, and the result with its exit code and all its output."""
        return subprocess.run(self.enter(*map(str, command)), stdin=subprocess.DEVNULL, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *command, check=True):
        """Its output; AssertionError when it fails."""
        done = self.done(*command)
        if check and done.returncode != 0:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}")
        return done.stdout

    def as_user(self, *command):
        """A command in the words that run it for USER, with the session's bus if there is one."""
        return ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "env", f"USER={USER}",
                f"XDG_RUNTIME_DIR=/run/user/{UID}", f"HOME=/home/{USER}", *command)

    def systemctl(self, *words, check=True):
        return self.run("systemctl", *words, check=check)

    def show(self, *names, unit=UNIT):
        """Properties of a unit, a dictionary."""
        text = self.systemctl("show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, *words):
        """Entries as dictionaries, oldest first."""
        text = self.run("journalctl", "--output=json", "--all", "--no-pager", "--quiet", *words, check=False)
        return [json.loads(line) for line in text.splitlines()]

    def install(self, package=None):
        package = pathlib.Path(package or PACKAGE)
        shutil.copy(package, self.path("/root/package.deb"))
        return self.run("dpkg", "--install", "/root/package.deb")


def _private_mounts():
    """Mounts for this process and its children only; a cgroup hierarchy such as Debian's."""
    if _libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    if not (CGROUP2 / "cgroup.controllers").exists():
        mount("none", CGROUP2, "cgroup2")


def main():
    """runner.main() with all that a machine needs; run.py starts it so."""
    if not (ROOT and PACKAGE):
        sys.exit("tests/system/run.py runs this, with a root folder and a package")
    _private_mounts()
    runner.main()
