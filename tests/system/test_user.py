# SPDX-License-Identifier: Apache-2.0
"""The user unit in a real session's service manager, which finds ToolHive by its discovery file; and, for
both managers, the units that wait for the connection."""

import json
import os
import time

from case import UNIT, MachineCase, boot, machine, main
from harness import lasted, wait_for
from machine import UID, USER

HOME = f"/home/{USER}"
FOLDER = f"{HOME}/.local/state/toolhive/server"
# Where no search would find it.
PORT = 40123
WAIT = "mcp-optimizer-wait.service"
# A unit that needs the connection, as the wait unit's comment tells.
CLIENT = f"""[Unit]
Requires={WAIT}
After={WAIT}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=true
"""


def setUpModule():
    boot()
    machine().run("loginctl", "enable-linger", USER)
    command = machine().as_user("systemctl", "--user", "is-system-running")
    wait_for(lambda: machine().done(*command).stdout == "running\n", 30.0, "the service manager of a user",
             interval=0.05)


class UserCase(MachineCase):
    def setUp(self):
        super().setUp()
        self.user("sh", "-c", """systemctl --user stop client mcp-optimizer-wait mcp-optimizer
            rm -rf ~/.config ~/.local
            systemctl --user daemon-reload
            systemctl --user reset-failed""")

    def user(self, *command):
        return self.machine.done(*self.machine.as_user(*command))

    def user_file(self, name, text):
        """A file of theirs, with the folders above."""
        self.machine.run(*self.machine.as_user("mkdir", "-p", os.path.dirname(f"{HOME}/{name}")))
        os.chown(self.machine.write(f"{HOME}/{name}", text), UID, UID)

    def user_show(self, *names, unit=UNIT):
        done = self.user("systemctl", "--user", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in done.stdout.splitlines())

    def wait_user_status(self, text, timeout=5.0):
        wait_for(lambda: self.user_show("StatusText")["StatusText"].startswith(text), timeout,
                 f"the status {text!r} of the user's service", interval=0.02)

    def start_user(self, settings=""):
        if settings:
            self.user_file(f".config/systemd/user/{UNIT}.d/override.conf", f"[Service]\n{settings}")
            self.user("systemctl", "--user", "daemon-reload")
        start = time.monotonic()
        done = self.user("systemctl", "--user", "start", UNIT)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertLess(lasted(start), 1.5)

    def toolhive(self, **options):
        """One of theirs. The stand-in is not, so that the file is written for it."""
        standin = self.standin(port=PORT)
        self.discovery_file(standin, **options)
        return standin

    def discovery_file(self, standin, uid=UID, mode=0o600):
        """As ToolHive puts it there."""
        self.machine.run(*self.machine.as_user("mkdir", "-p", "-m", "700", FOLDER))
        new = self.machine.write(f"{FOLDER}/new", json.dumps({
            "url": f"http://127.0.0.1:{PORT}", "pid": 1, "nonce": standin.nonce, "started_at": "2026-11-22T19:00:00Z"}),
            mode)
        os.chown(new, uid, uid)
        new.replace(new.with_name("server.json"))


class DiscoveryFile(UserCase):
    def test_the_user_unit_finds_it_and_the_system_unit_does_not(self):
        self.toolhive()
        self.start_user()
        self.wait_user_status(f"Connected to ToolHive v0.44.0 on port {PORT}: 5 workloads")
        self.start()
        self.wait_status("ToolHive unavailable .*")

    def test_its_return_wakes_a_waiting_service(self):
        standin = self.toolhive()
        standin.stop_listening()
        self.machine.path(f"{FOLDER}/server.json").unlink()
        self.start_user("Environment=TOOLHIVE_INITIAL_BACKOFF=10 TOOLHIVE_MAX_BACKOFF=300\n")
        self.wait_user_status("ToolHive unavailable (Connection refused): attempt 1 of 100")
        start = time.monotonic()
        standin.start_listening()
        self.discovery_file(standin)
        self.wait_user_status("Connected to ToolHive")
        self.assertLess(lasted(start), 3.0)

    def test_from_a_home_without_the_folders(self):
        self.start_user("Environment=TOOLHIVE_INITIAL_BACKOFF=10 TOOLHIVE_MAX_BACKOFF=300\n")
        self.wait_user_status("ToolHive unavailable")
        self.toolhive()
        self.wait_user_status("Connected to ToolHive")

    def test_one_of_another_user_is_not_believed(self):
        standin = self.toolhive(uid=UID + 1, mode=0o644)
        self.start_user("Environment=TOOLHIVE_MAX_BACKOFF=1\n")
        self.wait_user_status("ToolHive unavailable (Connection refused): attempt 3")
        self.discovery_file(standin)
        self.wait_user_status("Connected to ToolHive")

    def test_one_that_others_can_write_is_not_believed(self):
        standin = self.toolhive(mode=0o622)
        self.start_user("Environment=TOOLHIVE_MAX_BACKOFF=1\n")
        self.wait_user_status("ToolHive unavailable (Connection refused): attempt 3")
        self.discovery_file(standin)
        self.wait_user_status("Connected to ToolHive")


class UserUnit(UserCase):
    def test_its_life(self):
        standin = self.toolhive()
        self.start_user()
        self.wait_user_status("Connected to ToolHive")
        # Before the system's own service, which is there as well.
        self.start()
        told = json.loads(self.user("mcp-optimizer", "status", "--json").stdout)
        self.assertEqual((told["state_file"], told["running"], told["state"]["connection"]["port"]),
                         (f"/run/user/{UID}/mcp-optimizer/state.json", True, PORT))
        self.assertIn("workload-00004", self.user("mcp-optimizer", "list").stdout)
        self.assertEqual(self.user("stat", "-c", "%a", f"{HOME}/.config/mcp-optimizer").stdout, "700\n")

        standin.reset()
        self.user("systemctl", "--user", "reload", UNIT)
        wait_for(lambda: standin.requests(), 1.0, "the poll")
        wait_for(lambda: self.user_show("SubState")["SubState"] == "running", 1.0, "the end of the reload")
        log = self.user("journalctl", "--user", "--unit", UNIT, self.since, "--output=cat").stdout
        self.assertIn("Reload requested, polling workloads and registry at once", log)
        self.assertIn(f"Connected to ToolHive endpoint=http://127.0.0.1:{PORT} version=v0.44.0", log)

        start = time.monotonic()
        self.user("systemctl", "--user", "stop", UNIT)
        self.assertLess(lasted(start), 1.0)
        self.assertEqual(self.user_show("ActiveState", "Result", "ExecMainStatus"),
                         {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"})
        self.assertNotEqual(self.user("test", "-e", f"/run/user/{UID}/mcp-optimizer").returncode, 0)

    def test_exit_1_and_78(self):
        self.start_user("RestartSec=100ms\nEnvironment=TOOLHIVE_MAX_RETRIES=1\n")
        wait_for(lambda: int(self.user_show("NRestarts")["NRestarts"]) >= 7, 20.0, "restarts", interval=0.05)
        self.user("systemctl", "--user", "stop", UNIT)
        self.user_file(f".config/systemd/user/{UNIT}.d/override.conf", "[Service]\nEnvironment=TOOLHIVE_PORT=80\n")
        self.user("systemctl", "--user", "daemon-reload")
        self.assertNotEqual(self.user("systemctl", "--user", "start", UNIT).returncode, 0)
        self.assertEqual(self.user_show("ActiveState", "ExecMainStatus", "NRestarts"),
                         {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"})

    def test_what_it_may_not(self):
        """The lines that a user's manager enforces; the test of the system unit has the others."""
        self.start_user()
        pid = self.user_show("MainPID")["MainPID"]
        status = self.machine.run("cat", f"/proc/{pid}/status")
        self.assertIn("\nNoNewPrivs:\t1\n", status)
        self.assertIn("\nSeccomp:\t2\n", status)
        self.assertIn(f"\nUid:\t{UID}\t", status)


class Wait(UserCase):
    """Units that must not start before the connection stands, in each manager."""

    def managers(self):
        self.machine.write("/etc/systemd/system/client.service", CLIENT)
        self.user_file(".config/systemd/user/client.service", CLIENT)
        self.user("systemctl", "--user", "daemon-reload")
        self.machine.systemctl("daemon-reload")
        yield "system", lambda *words: self.machine.done("systemctl", *words)
        yield "user", lambda *words: self.user("systemctl", "--user", *words)

    def test_a_client_starts_once_connected(self):
        for name, systemctl in self.managers():
            with self.subTest(name):
                systemctl("start", "--no-block", "client")
                wait_for(lambda: systemctl("is-active", WAIT).stdout == "activating\n", what="the wait")
                self.assertEqual(systemctl("is-active", UNIT).stdout, "active\n")
                self.assertEqual(systemctl("is-active", "client").stdout, "inactive\n")
                with self.standin() as standin:
                    wait_for(lambda: systemctl("is-active", "client").stdout == "active\n", 10.0, "the client",
                             interval=0.02)
                    # It goes with the service, and comes back with it.
                    self.assertEqual(systemctl("restart", UNIT).returncode, 0)
                    wait_for(lambda: systemctl("is-active", "client").stdout == "active\n", 5.0, "the client again")
                    systemctl("stop", UNIT)
                    self.assertEqual(systemctl("is-active", "client").stdout, "inactive\n")
                    standin.stop_listening()

    def test_enabled_by_hand_only(self):
        for name, systemctl in self.managers():
            with self.subTest(name):
                self.assertEqual(systemctl("is-enabled", WAIT).stdout, "disabled\n")
                self.assertEqual(systemctl("enable", WAIT).returncode, 0)
                self.assertEqual(systemctl("is-enabled", WAIT).stdout, "enabled\n")
                systemctl("disable", WAIT)

    def test_it_says_that_it_took_too_long(self):
        self.drop_in("[Service]\nExecStart=\nExecStart=mcp-optimizer wait --timeout=1 "
                     "--state-file=%t/mcp-optimizer/state.json\n", WAIT)
        self.read_units()
        self.assertEqual(self.machine.done("systemctl", "start", WAIT).returncode, 1)
        self.assertEqual(self.machine.show("Result", "ExecMainStatus", unit=WAIT),
                         {"Result": "exit-code", "ExecMainStatus": "1"})
        log = self.machine.run("journalctl", self.since, f"--unit={WAIT}", "--output=cat", "--no-pager")
        self.assertIn("\nmcp-optimizer did not connect within 1 s: ToolHive unavailable (Connection refused), ", log)
        self.assertEqual(self.value("ActiveState"), "active")


if __name__ == "__main__":
    main()
