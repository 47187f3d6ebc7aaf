#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder: each file in a machine of its own, two at a time.

    meson compile -C build system         or        tests/system/run.py BUILD-FOLDER [FILE…]

Needs root, and the packages mmdebstrap, systemd-container, iproute2, debhelper, binutils, openssl; where
something is missing, the suite is skipped and says why (with MCP_OPTIMIZER_SYSTEM_REQUIRED set it fails
instead, for CI). The package is built first (conf/debian/build), unless MCP_OPTIMIZER_PACKAGE names one.
The machine's root folder is made of Debian packages from where apt takes them, in under a minute;
MCP_OPTIMIZER_SYSTEM_ROOT=FOLDER keeps it there for the next time. All that the tests print is in
BUILD-FOLDER/system.log.
"""

import concurrent.futures
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness import Process, spawn  # noqa: E402

SOURCE = HERE.parent.parent
SUITE = "bookworm"
# Beside what the package depends on: what a Debian 12 has for system and user services.
PACKAGES = ["dbus", "dbus-user-session", "libpam-systemd", "systemd", "systemd-sysv"]
TOOLS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "dh": "debhelper", "ip": "iproute2",
         "nsenter": "util-linux", "openssl": "openssl", "readelf": "binutils"}
ABREAST = 2
# Of one file, on a machine that has much else to do.
LIMIT = 600


CLONE_NEWNS = 0x20000


def may_mount():
    """Root of a container may not, often. Tried in a child, since there is no way back."""
    child = os.fork()
    if child == 0:
        os._exit(ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0)
    return os.waitpid(child, 0)[1] == 0


def missing():
    if os.geteuid() != 0:
        return "needs root, to boot a machine"
    if not may_mount():
        return "needs mounts of its own, which this root may not have"
    tools = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    return f"not installed: {', '.join(tools)}" if tools else None


def sources():
    """Lines for sources.list: apt's own ones of Debian, for the suite of the machine."""
    lines = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)",
                            "Created-By: Packages"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    debian = [line.split("|")[1:] for line in lines if line.startswith("Debian|")]
    chosen = [words for words in debian if words[1].startswith(SUITE)]
    # On another Debian: its archive has the older one, too.
    chosen = chosen or [[uri, SUITE, component] for uri, _, component in debian[:1]]
    if not chosen:
        sys.exit("apt knows no archive of Debian (apt-get update)")
    return "".join(f"deb {uri} {release} {component}\n" for uri, release, component in sorted(set(map(tuple, chosen))))


def make_package(build):
    done = subprocess.run([SOURCE / "conf/debian/build", build / "deb"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\nno package")
    package, = (build / "deb").glob("mcp-optimizer_*.deb")
    return package


def make_root(folder, package):
    depends = subprocess.run(["dpkg-deb", "--field", package, "Depends"], check=True, stdout=subprocess.PIPE, text=True)
    names = [re.split(r"[ (|]", word.strip())[0] for word in depends.stdout.split(",")]
    proxies = [line for line in subprocess.run(["apt-config", "dump"], check=True, stdout=subprocess.PIPE,
                                               text=True).stdout.splitlines() if re.match("Acquire::https?::", line)]
    # Beside its place until it is whole.
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(PACKAGES + names)}",
                        *(f"--aptopt={line}" for line in proxies),
                        '--customize-hook=chroot "$1" useradd --create-home --uid 1000 alice',
                        SUITE, str(new), "-"], input=sources(), check=True, text=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def run_file(path, environment):
    start = time.monotonic()
    with Process(spawn([sys.executable, str(path), "-v"], env=environment, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)) as process:
        try:
            output, _ = process.child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired as expired:
            output = f"{(expired.output or b'').decode()}\nnot done after {LIMIT} s\n"
            process.kill()
        return path.name, process.child.returncode, time.monotonic() - start, output


def run_tests(build, root, package, files):
    environment = {**os.environ, "MCP_OPTIMIZER_SYSTEM_ROOT": str(root), "MCP_OPTIMIZER_PACKAGE": str(package),
                   "MCP_OPTIMIZER_SOURCE": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    failed = 0
    with open(build / "system.log", "w") as log, concurrent.futures.ThreadPoolExecutor(ABREAST) as pool:
        for name, code, seconds, output in pool.map(lambda path: run_file(path, environment), files):
            print(f"{name:24} {'OK' if code == 0 else 'FAIL':4} {seconds:6.1f} s", flush=True)
            print(f"== {name}\n{output}", file=log, flush=True)
            if code != 0:
                print(output, flush=True)
            for line in re.findall("^skipped: .*", output, re.M):
                print(line, flush=True)
            failed += code != 0
    print(f"\nOk: {len(files) - failed}\nFail: {failed}")
    return failed


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    files = [HERE / name for name in sys.argv[2:]] or sorted(HERE.glob("test_*.py"))
    if reason := missing():
        print(f"skipped: the tests in a booted system: {reason}")
        sys.exit("MCP_OPTIMIZER_SYSTEM_REQUIRED" in os.environ)
    build.mkdir(exist_ok=True)
    package = pathlib.Path(os.environ.get("MCP_OPTIMIZER_PACKAGE") or make_package(build))
    with tempfile.TemporaryDirectory(prefix="mcp-optimizer-root-") as folder:
        root = pathlib.Path(os.environ.get("MCP_OPTIMIZER_SYSTEM_ROOT", f"{folder}/root")).resolve()
        if not root.exists():
            make_root(root, package)
        failed = run_tests(build, root, package, files)
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
