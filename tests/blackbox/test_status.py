#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""status and wait: what others read of a service that is connected, in trouble, gone, or was never
there, in a pipe and on a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import time
import unicodedata
import unittest

from polling import StateCase, wait_for
from harness import SLOWNESS, Optimizer, Process, main, spawn

F_OFD_SETLK = 37
NOBODY = 65534


def command_line(*words):
    wrapper = shlex.split(os.environ.get("MCP_OPTIMIZER_WRAPPER", ""))
    return [*wrapper, os.environ["MCP_OPTIMIZER_BINARY"], *map(str, words)]


class CommandCase(StateCase):
    def start(self, *words, **settings):
        return self.enterContext(Optimizer(*words, **settings))

    def run_command(self, *words, **settings):
        """Exit code, stdout, and the lines of stderr."""
        program = self.start(*words, **settings)
        code, output = program.finish()
        return code, output, [line.text for line in program.lines()]

    def status(self, optimizer, *words, **settings):
        """Exit code and stdout; nothing is said on stderr, whatever the state."""
        code, output, said = self.run_command("status", *words, runtime=optimizer.runtime, **settings)
        self.assertEqual(said, [])
        return code, output

    def json(self, optimizer, *words):
        code, output = self.status(optimizer, "--json", *words)
        return code, json.loads(output)

    def wait(self, *words, **settings):
        return self.start("wait", *words, **settings)

    def anybody(self, *words, **environment):
        """A process of one who may not read everything."""
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        try:
            child = spawn(command_line(*words), cwd="/", env={"LANG": "C.UTF-8", **environment},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **other)
        except PermissionError as error:
            self.skipTest(f"that user cannot run the program: {error}")
        self.enterContext(Process(child))
        return child

    def finish(self, child):
        """Exit code, stdout and stderr."""
        output, said = child.communicate(timeout=20 * SLOWNESS)
        return child.returncode, output.decode(), said.decode()

    def until_waiting(self, program):
        """It has its watches, and no look is under way."""
        folder = f"/proc/{program.pid}"

        def watches():
            with contextlib.suppress(FileNotFoundError):
                links = [os.readlink(f"{folder}/fd/{name}") for name in os.listdir(f"{folder}/fd")]
                with open(f"{folder}/stat", encoding="utf-8") as stat:
                    return "anon_inode:inotify" in links and stat.read().rpartition(")")[2].split()[0] == "S"
        wait_for(watches, 5, "the watch")

    def in_state(self, optimizer, name):
        return self.wait_state(optimizer, lambda told: told["connection"]["state"] == name, 10, name)


class TestStatus(CommandCase):
    def test_connected(self):
        self.standin.control("workloads", status={"workload-00001": "stopped"}, add=["inspector"])
        optimizer = self.polled()
        code, output = self.status(optimizer)
        self.assertEqual(code, 0)
        lines = output.splitlines()
        self.assertRegex(lines[0], r"^● mcp-optimizer \d+\.\d+\.\d+ - connected to ToolHive v0\.44\.0$")
        for wanted in (rf"Endpoint: {re.escape(self.standin.urls[0])}",
                       r"Since: [A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+; (just now|\d+ s ago)",
                       r"Workloads: 3 \(2 running, 1 stopped\), 1 left out",
                       r"polled (just now|\d+ s ago), next in (1 min|\d+ s)",
                       r"Registry: 84 servers, updated 2026-02-18",
                       rf"PID {optimizer.pid}, heartbeat (just now|\d+ s ago)",
                       r"Counters: \d+ requests, 0 failures, 0 reconnects, 0 port changes, \d scans?",
                       rf"State file: {re.escape(str(optimizer.runtime))}/state\.json"):
            self.assertTrue(any(re.search(rf"^ *{wanted}$", line) for line in lines), f"{wanted}\n{output}")
        self.assertNotIn("\x1b", output)
        # The colons stand below each other.
        self.assertEqual(len({line.index(": ") for line in lines[1:] if re.match(r" *[A-Z][A-Za-z ]*: ", line)}), 1)

    def test_json_is_one_document_with_the_service_s_own_in_it(self):
        optimizer = self.polled()
        code, output = self.status(optimizer, "--json")
        self.assertEqual(code, 0)
        told = json.loads(output)
        text = (optimizer.runtime / "state.json").read_text()
        self.assertIn(text.rstrip("\n"), output)
        self.assertEqual(list(told), ["running", "alive", "heartbeat_at", "state_file", "problem", "state"])
        self.assertEqual((told["running"], told["alive"], told["problem"]), (True, True, None))
        self.assertEqual(told["state_file"], str(optimizer.runtime / "state.json"))
        self.assertRegex(told["heartbeat_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(told["state"], json.loads(text))

    def test_degraded(self):
        optimizer = self.polled()
        self.standin.control("toolhive", runtime_away=True)
        optimizer.signal(signal.SIGHUP)
        self.in_state(optimizer, "degraded")
        code, output = self.status(optimizer)
        self.assertEqual(code, 1)
        self.assertIn("- degraded, connected to ToolHive v0.44.0\n", output)
        self.assertRegex(output, r"Workloads: 3 \(3 running\)\n +ToolHive's container runtime is away\n +polled ")
        code, told = self.json(optimizer)
        self.assertEqual((code, told["state"]["connection"]["state"]), (1, "degraded"))
        # Connected enough for who waits.
        self.assertEqual(self.run_command("wait", "--timeout", "0", runtime=optimizer.runtime), (0, "", []))

    def test_reconnecting(self):
        optimizer = self.polled(workload_polling_interval=0.2, toolhive_max_backoff=300, toolhive_initial_backoff=10)
        self.standin.stop_listening()
        self.wait_state(optimizer, lambda told: told["connection"]["next_attempt_at"], what="the wait")
        code, output = self.status(optimizer)
        self.assertEqual(code, 1)
        self.assertIn("- reconnecting, ToolHive is unavailable\n", output)
        self.assertRegex(output, r"Attempt: 1 of 100 failed, next try in \d+ s \(at \d\d:\d\d:\d\d\)\n")
        self.assertRegex(output, r"Last error: Connection refused\n +[A-Z][a-z]{2} \d{4}-.*; (just now|\d+ s ago)\n")
        code, output, said = self.run_command("wait", "--timeout", "0", runtime=optimizer.runtime)
        self.assertEqual((code, output), (1, ""))
        self.assertEqual(said, ["ERROR    mcp-optimizer is not connected: ToolHive unavailable (Connection refused), "
                                "attempt 1 of 100"])

    def test_stopped(self):
        runtime = self.folder()
        optimizer = self.polled(runtime=runtime)
        self.assertEqual(optimizer.terminate()[0], 0)
        code, output = self.status(optimizer)
        self.assertEqual(code, 3)
        self.assertRegex(output, r"^○ mcp-optimizer \S+ - not running, stopped on request\n")
        self.assertRegex(output, r"Last seen: .*; (just now|\d+ s ago)\n")
        self.assertIn("systemctl start mcp-optimizer\n", output)
        code, told = self.json(optimizer)
        self.assertEqual((code, told["running"], told["alive"]), (3, False, False))
        self.assertEqual(told["state"]["connection"]["state"], "stopped")
        self.assertEqual(self.status(optimizer, "--alive"), (3, "not running\n"))

    def test_crashed(self):
        """The file still says connected: it is told as what it said last, and believed by nobody."""
        runtime = self.folder()
        optimizer = self.polled(runtime=runtime)
        optimizer.signal(signal.SIGKILL)
        optimizer.wait()
        code, output = self.status(optimizer)
        self.assertEqual(code, 3)
        self.assertRegex(output, r"^× mcp-optimizer \S+ - not running, ended while it was connected\n")
        self.assertEqual(self.status(optimizer, "--alive")[0], 3)
        self.assertEqual(self.run_command("wait", "--timeout", "0", runtime=runtime)[0], 3)

        # The next one has the lock and has not written yet.
        with open(runtime / "state.json.lock", "r+b") as lock:
            fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            lock.truncate()
            code, output = self.status(optimizer)
            self.assertEqual(code, 1)
            self.assertIn("- running, connection not known\n", output)
            self.assertIn("Problem: written by an earlier service\n", output)
            code, told = self.json(optimizer)
            self.assertEqual((code, told["running"], told["state"]), (1, True, None))
            self.assertEqual(self.run_command("wait", "--timeout", "0", runtime=runtime)[0], 1)

    def test_gave_up(self):
        runtime = self.folder()
        optimizer = self.optimizer(runtime=runtime, toolhive_port=self.closed, toolhive_max_retries=1)
        self.assertEqual(optimizer.finish()[0], 1)
        code, output = self.status(optimizer)
        self.assertEqual(code, 3)
        self.assertRegex(output, r"^× mcp-optimizer \S+ - not running, gave up after 1 attempt\n")
        self.assertIn("Last error: Connection refused\n", output)

    def test_never_there(self):
        folder = self.folder()
        code, output, said = self.run_command("status", runtime=folder)
        self.assertEqual((code, said), (3, []))
        self.assertTrue(output.startswith("○ mcp-optimizer - not running\n"), output)
        self.assertIn(f"{folder}/state.json\n", output)
        self.assertIn("/run/mcp-optimizer/state.json\n", output)
        code, output, said = self.run_command("status", "--json", "--state-file", folder / "x.json")
        self.assertEqual((code, said), (3, []))
        self.assertEqual(json.loads(output), {"running": False, "alive": False, "heartbeat_at": None,
                                              "state_file": None, "problem": None, "state": None})
        code, output, said = self.run_command("status", "--state-file", "none")
        self.assertEqual((code, said), (3, []))
        self.assertIn("State file: none, as it is set\n", output)

    def test_alive(self):
        optimizer = self.polled()
        lock = optimizer.runtime / "state.json.lock"
        code, output = self.status(optimizer, "--alive")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"^alive, heartbeat (just now|\d+ s ago)\n$")

        # Its next beat is half a minute away.
        os.utime(lock, (time.time() - 150, time.time() - 150))
        code, output = self.status(optimizer, "--alive")
        self.assertEqual(code, 1)
        self.assertRegex(output, r"^hangs, last heartbeat 2 min \d+ s ago\n$")
        code, output = self.status(optimizer)
        self.assertEqual(code, 1)
        self.assertRegex(output, r"^● mcp-optimizer \S+ - hangs, was connected\n")
        self.assertRegex(output, r"hangs, last heartbeat 2 min \d+ s ago\n")
        code, told = self.json(optimizer)
        self.assertEqual((code, told["running"], told["alive"]), (1, True, False))
        # Nor does a clock that was set back make it live.
        os.utime(lock, (time.time() + 150, time.time() + 150))
        code, output = self.status(optimizer, "--alive")
        self.assertEqual(code, 1)
        self.assertRegex(output, r"^hangs, last heartbeat 2 min \d+ s in the future\n$")
        self.assertEqual(self.status(optimizer)[0], 1)
        def beats():
            optimizer.signal(signal.SIGHUP)
            return abs(time.time() - lock.stat().st_mtime) < 30
        wait_for(beats, what="the next beat", interval=0.1)
        self.assertEqual(self.status(optimizer, "--alive")[0], 0)

        # A worker that is held makes no progress; one that is out of a connection does.
        optimizer.signal(signal.SIGSTOP)
        os.utime(lock, (time.time() - 60, time.time() - 60))
        self.assertEqual(self.json(optimizer, "--alive")[0], 1)
        optimizer.signal(signal.SIGCONT)
        self.standin.stop_listening()
        optimizer.signal(signal.SIGHUP)
        self.in_state(optimizer, "reconnecting")
        wait_for(beats, what="the next beat", interval=0.1)
        self.assertEqual(self.status(optimizer, "--alive")[0], 0)
        self.assertEqual(self.status(optimizer)[0], 1)

    def test_a_document_that_lies(self):
        optimizer = self.polled()
        file = optimizer.runtime / "state.json"
        optimizer.signal(signal.SIGSTOP)
        text = file.read_text()
        for lie, problem in ((text.replace('"schema": 1', '"schema": 2'), "another schema"),
                             (text[:len(text) // 2], "JSON that is cut short"),
                             ("", "empty"),
                             (text.replace('"running": 3', '"running": 2'), "workloads do not add up"),
                             (text.replace("v0.44.0", r"\u001b]0;x"), "connection is not as a service writes it")):
            with self.subTest(problem):
                file.write_text(lie)
                code, output = self.status(optimizer)
                self.assertEqual(code, 1)
                self.assertIn(f"Problem: {problem}\n", output)
                code, told = self.json(optimizer)
                self.assertEqual((code, told["problem"], told["state"]), (1, problem, None))
        code, output, said = self.run_command("wait", "--timeout", "0", runtime=optimizer.runtime)
        self.assertEqual((code, output, len(said)), (1, "", 1))

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_another_user(self):
        """A monitor without rights asks the system service; what it may not read, it says so of."""
        runtime = self.folder()
        runtime.chmod(0o755)
        optimizer = self.polled(runtime=runtime)
        file = runtime / "state.json"

        def ask(*words):
            return self.finish(self.anybody(*words, "--state-file", file))

        code, output, said = ask("status")
        self.assertEqual((code, said), (0, ""))
        self.assertIn("- connected to ToolHive", output)
        self.assertEqual(ask("status", "--alive")[0], 0)
        self.assertEqual(ask("wait", "--timeout", "1"), (0, "", ""))
        runtime.chmod(0o700)
        wanted = f"{file}: Permission denied"
        self.assertEqual(ask("status"), (1, "", f"ERROR    Cannot read {wanted}\n"))
        code, output, said = ask("status", "--json")
        self.assertEqual((code, said), (1, f"ERROR    Cannot read {wanted}\n"))
        self.assertEqual(json.loads(output), {
            "running": None, "alive": None, "heartbeat_at": None, "state_file": str(file),
            "problem": f"cannot read {wanted}", "state": None})
        code, output, said = ask("wait", "--timeout", "0")
        self.assertEqual((code, output, said),
                         (1, "", f"ERROR    mcp-optimizer is not connected: cannot read {wanted}\n"))
        self.assertEqual(ask("wait"), (1, "", f"ERROR    Cannot watch {wanted}\n"))
        self.assertEqual(optimizer.lines("WARNING"), [])

    def test_a_lock_that_is_none(self):
        """It is the lock that is named, not the state file, which is as good as ever."""
        runtime = self.folder()
        self.polled(runtime=runtime).terminate()
        lock = runtime / "state.json.lock"
        for make, words in ((lambda: os.mkfifo(lock), "no regular file"),
                            (lambda: lock.symlink_to("/dev/null"), "a symbolic link")):
            with self.subTest(words):
                lock.unlink()
                make()
                wanted = f"{lock}: {words}"
                self.assertEqual(self.run_command("status", runtime=runtime),
                                 (1, "", [f"ERROR    Cannot read {wanted}"]))
                code, output, said = self.run_command("status", "--json", runtime=runtime)
                told = json.loads(output)
                self.assertEqual((code, told["running"], told["problem"], len(said)),
                                 (1, None, f"cannot read {wanted}", 1))
                self.assertEqual(told["state"]["connection"]["state"], "stopped")
                self.assertEqual(self.run_command("wait", "--timeout", "0", runtime=runtime), (
                    1, "", [f"ERROR    mcp-optimizer is not connected: cannot read {wanted}"]))

    def test_where_it_was_last(self):
        runtime = self.folder()
        self.polled(runtime=runtime).terminate()
        self.standin.behave("hang")
        optimizer = self.optimizer(runtime=runtime)
        self.in_state(optimizer, "connecting")
        code, output = self.status(optimizer)
        self.assertEqual(code, 1)
        self.assertIn("- connecting to ToolHive\n", output)
        self.assertRegex(output, rf"(?m)^ *Last endpoint: {re.escape(self.standin.urls[0])}$")


class TestWait(CommandCase):
    def test_for_one_that_is_connected(self):
        optimizer = self.polled()
        for timeout in ("0", "30"):
            self.assertEqual(self.run_command("wait", "--timeout", timeout, runtime=optimizer.runtime), (0, "", []))

    def test_for_a_service_that_is_not_there_yet(self):
        file = self.folder() / "not" / "yet" / "state.json"
        waiting = self.wait("--timeout", "30", state_file=file)
        self.until_waiting(waiting)
        file.parent.parent.mkdir()
        self.optimizer(state_file=file).wait_line("Workloads polled")
        self.assertEqual(waiting.finish(5), (0, ""))
        self.assertEqual(waiting.lines(), [])

    def test_for_a_toolhive_that_is_away_and_returns(self):
        self.standin.stop_listening()
        optimizer = self.optimizer(toolhive_max_backoff=1)
        self.in_state(optimizer, "reconnecting")
        waiting = self.wait("--timeout", "30", runtime=optimizer.runtime)
        self.until_waiting(waiting)
        self.assertTrue(waiting.alive())
        self.standin.start_listening()
        self.assertEqual(waiting.finish(5), (0, ""))
        self.in_state(optimizer, "connected")

    def test_through_a_crash(self):
        """The new service is waited for, not the old one's word."""
        runtime = self.folder()
        first = self.polled(runtime=runtime)
        first.signal(signal.SIGKILL)
        first.wait()
        waiting = self.wait("--timeout", "30", runtime=runtime)
        self.until_waiting(waiting)
        self.standin.stop_listening()
        second = self.optimizer(runtime=runtime)
        self.in_state(second, "reconnecting")
        self.assertTrue(waiting.alive())
        self.standin.start_listening()
        self.assertEqual(waiting.finish(5), (0, ""))

    def test_the_time_is_up(self):
        folder = self.folder()
        start = time.monotonic()
        code, output, said = self.run_command("wait", "--timeout", "0.3", runtime=folder)
        self.assertGreater(time.monotonic() - start, 0.3)
        self.assertEqual((code, output), (1, ""))
        self.assertEqual(said, ["ERROR    mcp-optimizer did not connect within 0.3 s: it does not run"])
        optimizer = self.optimizer(toolhive_port=self.closed, toolhive_initial_backoff=10, toolhive_max_backoff=10)
        self.wait_state(optimizer, lambda told: told["connection"]["next_attempt_at"], what="the wait")
        code, output, said = self.run_command("wait", "--timeout", "0.1", runtime=optimizer.runtime)
        self.assertEqual((code, output), (1, ""))
        self.assertEqual(said, ["ERROR    mcp-optimizer did not connect within 0.1 s: ToolHive unavailable "
                                "(Connection refused), attempt 1 of 100"])

    def test_the_last_look_sees_what_changed_no_file(self):
        optimizer = self.optimizer(toolhive_port=self.closed, toolhive_initial_backoff=10, toolhive_max_backoff=10)
        self.wait_state(optimizer, lambda told: told["connection"]["next_attempt_at"], what="the wait")
        waiting = self.wait("--timeout", f"{SLOWNESS:g}", runtime=optimizer.runtime)
        self.until_waiting(waiting)
        optimizer.signal(signal.SIGKILL)
        self.assertEqual(waiting.finish(), (1, ""))
        self.assertRegex(waiting.lines()[0].text, "did not connect within .* s: it does not run$")

    def test_json(self):
        def ask(*words, **settings):
            code, output, said = self.run_command("wait", "--json", *words, **settings)
            return code, json.loads(output), said

        optimizer = self.polled()
        self.assertEqual(ask(runtime=optimizer.runtime), (
            0, {"connected": True, "running": True, "state": "connected", "problem": None}, []))
        self.standin.control("toolhive", runtime_away=True)
        optimizer.signal(signal.SIGHUP)
        self.in_state(optimizer, "degraded")
        self.assertEqual(ask(runtime=optimizer.runtime), (
            0, {"connected": True, "running": True, "state": "degraded", "problem": None}, []))
        # What a crash left says nothing of now.
        optimizer.signal(signal.SIGKILL)
        optimizer.wait()
        for timeout, code in (("0", 3), ("0.05", 1)):
            got, told, said = ask("--timeout", timeout, runtime=optimizer.runtime)
            self.assertEqual((got, len(said)), (code, 1))
            self.assertEqual(told, {"connected": False, "running": False, "state": None,
                                    "problem": said[0].removeprefix("ERROR    ")})
        code, told, said = ask("--state-file", "none")
        self.assertEqual((code, told["running"], [f"ERROR    {told['problem']}"]), (78, None, said))

    def test_in_all_places(self):
        """Not only the first one is watched."""
        folder = self.folder()
        waiting = self.wait("--timeout", f"{30 * SLOWNESS:g}", runtime=self.folder(), xdg_runtime_dir=folder)
        self.until_waiting(waiting)
        self.optimizer(state_file=folder / "mcp-optimizer" / "state.json")
        self.assertEqual(waiting.finish(), (0, ""))

    def test_behind_a_place_that_is_hidden(self):
        folder = self.folder()
        folder.chmod(0o755)
        (folder / "hidden").mkdir(0)
        waiting = self.anybody("wait", "--timeout", f"{30 * SLOWNESS:g}",
                               RUNTIME_DIRECTORY=str(folder / "hidden"), XDG_RUNTIME_DIR=str(folder))
        self.until_waiting(waiting)
        self.optimizer(state_file=folder / "mcp-optimizer" / "state.json")
        self.assertEqual(self.finish(waiting), (0, "", ""))

    def test_looking_once(self):
        code, output, said = self.run_command("wait", "--timeout", "0", runtime=self.folder())
        self.assertEqual((code, output), (3, ""))
        self.assertEqual(said, ["ERROR    mcp-optimizer is not connected: it does not run"])

    def test_nowhere(self):
        code, output, said = self.run_command("wait", "--state-file", "none")
        self.assertEqual((code, output, len(said)), (78, "", 1))

    def test_interrupted(self):
        def interrupt(number, wanted):
            waiting = self.wait("--json", "--timeout", "300", runtime=self.folder())
            self.until_waiting(waiting)
            start = time.monotonic()
            waiting.signal(number)
            self.assertEqual(waiting.finish(), (wanted, ""))
            self.assertEqual(waiting.lines(), [])
            return time.monotonic() - start

        for number, wanted in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            # A machine that is busy may be late, but not every time.
            self.assertTrue(any(interrupt(number, wanted) < 0.5 * SLOWNESS for _ in range(5)))


class TestSignals(CommandCase):
    @staticmethod
    def has(pid, mask, number):
        """Whether a signal is in one of the process's masks: SigCgt, those that it catches; SigIgn."""
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            return bool(int(re.search(rf"^{mask}:\s+(\w+)", status.read(), re.M)[1], 16) >> (number - 1) & 1)

    def full_pipe(self):
        """Both ends of a pipe into which nothing more goes: who writes is held in write(2)."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        os.set_blocking(ends[1], False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(ends[1], b"x" * 4096)
        os.set_blocking(ends[1], True)
        return ends

    def test_the_second_ends_it_wherever_it_is(self):
        """The first is a request, which one that cannot say its last words does not get to."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                stderr = self.full_pipe()[1]
                words = command_line("wait", "--timeout", "0", "--state-file", self.folder() / "x")
                child = spawn(words, env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
                program = self.enterContext(Process(child))
                wait_for(lambda: self.has(child.pid, "SigCgt", number), 5, "the handler")
                program.signal(number)
                wait_for(lambda: not self.has(child.pid, "SigCgt", number), 5, "the first one's end")
                self.assertTrue(program.alive())
                program.signal(number)
                self.assertEqual(program.wait(), -number)

    def test_one_that_is_ignored_stays_so(self):
        """As nohup(1) has it, and a shell for its "&"."""
        runtime = self.folder()
        waiting = self.start("wait", "--timeout", f"{30 * SLOWNESS:g}", runtime=runtime,
                             wrapper=["sh", "-c", 'trap "" INT; exec "$@"', "sh"])
        self.until_waiting(waiting)
        self.assertTrue(self.has(waiting.pid, "SigIgn", signal.SIGINT))
        self.assertTrue(self.has(waiting.pid, "SigCgt", signal.SIGTERM))
        waiting.signal(signal.SIGINT)
        self.optimizer(runtime=runtime)
        self.assertEqual(waiting.finish(), (0, ""))


class TestClosedStreams(CommandCase):
    """Where one of the first three descriptors is closed there is /dev/null, never a file of the program's."""

    CLOSED = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]

    @staticmethod
    def links(program):
        return [os.readlink(f"/proc/{program.pid}/fd/{number}") for number in range(3)]

    def test_commands(self):
        for closed in ("<&-", ">&-", "2>&-"):
            with self.subTest(closed):
                wrapper = ["sh", "-c", f'exec "$@" {closed}', "sh"]
                program = self.start("list", "--log-level=debug", wrapper=wrapper,
                                     toolhive_api_url=self.standin.urls[0])
                code, output = program.finish()
                self.assertEqual(code, 0)
                self.assertEqual("workload-00000" in output, closed != ">&-")
                self.assertEqual(bool(program.lines()), closed != "2>&-")

    def test_waiting(self):
        """A line of the log in the descriptor that asks for a stop would be a stop."""
        for closed in ([], self.CLOSED):
            waiting = self.start("wait", "--timeout", "300", runtime=self.folder(), wrapper=closed)
            self.until_waiting(waiting)
            null = [link == "/dev/null" for link in self.links(waiting)]
            self.assertEqual(null, [True, bool(closed), bool(closed)])

    def test_service(self):
        optimizer = self.polled(wrapper=self.CLOSED, log_level="DEBUG")
        self.assertEqual(self.links(optimizer), ["/dev/null"] * 3)
        self.standin.stop_listening()
        optimizer.signal(signal.SIGHUP)
        self.in_state(optimizer, "reconnecting")
        self.standin.start_listening()
        self.in_state(optimizer, "connected")
        self.assertEqual(optimizer.terminate()[0], 0)


def columns(text):
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class TestTerminal(CommandCase):
    def on_terminal(self, *words, width=80, **environment):
        """Exit code, and all that came to the terminal."""
        outer, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        child = spawn(command_line(*words),
                      env={"LANG": "C.UTF-8", "TERM": "xterm", **environment}, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        seen = b""
        # The last writer's end reads as an error.
        with contextlib.suppress(OSError):
            while data := os.read(outer, 65536):
                seen += data
        os.close(outer)
        return child.wait(10 * SLOWNESS), seen.decode().replace("\r\n", "\n")

    def test_no_line_is_wider(self):
        self.standin.control("workloads", count=12, status={
            f"workload-{number:05}": status for number, status in enumerate((
                "stopped", "error", "starting", "stopping", "unhealthy", "removing", "unknown", "policy_stopped"))})
        file = self.polled().runtime / "state.json"
        for width in (20, 40, 80, 132):
            with self.subTest(width=width):
                code, output = self.on_terminal("status", "--state-file", file, width=width)
                self.assertEqual(code, 0)
                self.assertIn("\x1b[", output)
                lines = re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()
                self.assertGreater(len(lines), 8)
                self.assertLessEqual(max(map(columns, lines)), width)
                self.assertNotIn("\x1b", "".join(lines))
        self.assertTrue(any("4 running, 1 error, 1 policy_stopped" in line for line in lines), lines)

    def test_no_colour_where_none_is_wanted(self):
        file = self.polled().runtime / "state.json"
        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            code, output = self.on_terminal("status", "--state-file", file, **environment)
            self.assertEqual(code, 0)
            self.assertNotIn("\x1b", output)
            self.assertIn("- connected to ToolHive v0.44.0\n", output)

    def test_a_wait_is_visible_and_gone_afterwards(self):
        optimizer = self.optimizer(toolhive_port=self.closed, toolhive_initial_backoff=10, toolhive_max_backoff=10)
        self.wait_state(optimizer, lambda told: told["connection"]["next_attempt_at"], what="the wait")
        code, output = self.on_terminal("wait", "--timeout", "1.3", "--state-file", optimizer.runtime / "state.json",
                                        width=120)
        self.assertEqual(code, 1)
        drawn, _, rest = output.rpartition("\r")
        self.assertIn("Waiting for mcp-optimizer to connect: ToolHive unavailable (Connection refused), "
                      "attempt 1 of 100, next try in ", drawn)
        # Taken away before the sentence.
        self.assertTrue(rest.startswith("\x1b[K"), output)
        self.assertIn("did not connect within 1.3 s", rest)


if __name__ == "__main__":
    main(abreast=True)
