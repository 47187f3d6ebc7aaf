# SPDX-License-Identifier: Apache-2.0
"""The units, the example drop-ins and the message catalog.

What is shipped as text is checked like code: systemd's own tools read the units, each drop-in's
settings are accepted values, every duration in a comment is computed again here, and the catalog
and src/report/event.h name the same events. With MCP_OPTIMIZER_BINARY set, the program itself is
asked as well (--check-config). A check whose tool is missing is skipped with that reason.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from runner import run_tests

SOURCE = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("MCP_OPTIMIZER_BINARY")
CONF = SOURCE / "conf"
DROP_INS = sorted(CONF.glob("*.conf"))
SYSTEM_UNIT = SOURCE / "units/mcp-optimizer.service.in"
USER_UNIT = SOURCE / "units/mcp-optimizer.user.service.in"
WAIT_UNIT = SOURCE / "units/mcp-optimizer-wait.service.in"
USER_WAIT_UNIT = SOURCE / "units/mcp-optimizer-wait.user.service.in"
CATALOG = SOURCE / "units/mcp-optimizer.catalog"
EVENT_H = SOURCE / "src/report/event.h"

EXPECTED_DROP_INS = {
    "alert", "another-host", "extended-retries", "fixed-port", "loopback-only",
    "metrics-file", "quick-failure", "unix-socket", "wider-scan-range",
}

# What a connection failure may cost beside the wait: TOOLHIVE_TIMEOUT, and the search after it.
REQUEST_TIMEOUT, SEARCH_TIME = 10, 3

# The fields that each event has in every case; only these may be used in the catalog.
EVENT_FIELDS = {
    "attempt_failed": {"ATTEMPT", "MAX_RETRIES", "ERROR", "BACKOFF_SECONDS"},
    "connected": {"ENDPOINT", "VERSION"},
    "restored": {"ENDPOINT", "ATTEMPTS", "OUTAGE_SECONDS"},
    "exhausted": {"TOTAL_ATTEMPTS"},
    "internal_failure": {"ERROR"},
    "exiting": {"MAX_RETRIES", "LAST_ERROR"},
    "answers_again": {"OPERATION"},
}


def number(low, high):
    return lambda text: re.fullmatch(r"\d+(\.\d+)?", text) and low <= float(text) <= high


def count(low, high):
    return lambda text: re.fullmatch(r"\d+", text) and low <= int(text) <= high


def matching(pattern):
    return lambda text: re.fullmatch(pattern, text)


# The settings that an example may use, and what they accept.
ACCEPTED = {
    "TOOLHIVE_HOST": matching(r"[A-Za-z0-9.:-]+"),
    "TOOLHIVE_PORT": count(1024, 65535),
    "TOOLHIVE_API_URL": matching(r"https?://[^/\s]+|unix:///\S+"),
    "TOOLHIVE_START_PORT_SCAN": count(1024, 65535),
    "TOOLHIVE_END_PORT_SCAN": count(1024, 65535),
    "TOOLHIVE_DISCOVERY_FILE": matching(r"auto|none|/\S+"),
    "TOOLHIVE_TIMEOUT": number(1, 60),
    "TOOLHIVE_MAX_RETRIES": count(1, 500),
    "TOOLHIVE_INITIAL_BACKOFF": number(0.1, 10),
    "TOOLHIVE_MAX_BACKOFF": number(1, 300),
    "TOOLHIVE_BACKOFF_JITTER": number(0, 1),
    "WORKLOAD_POLLING_INTERVAL": number(0, 300),
    "REGISTRY_POLLING_INTERVAL": number(0, 86400),
    "METRICS_FILE": matching(r"/\S+"),
    "STATE_FILE": matching(r"none|/\S+"),
}


def assignments(path, key):
    """The values of all lines KEY=… of a unit file, in order."""
    pattern = re.compile(rf"^{re.escape(key)}=(.*)$", re.M)
    return pattern.findall(path.read_text(encoding="utf-8"))


def environment(path):
    return dict(value.split("=", 1) for value in assignments(path, "Environment"))


def comment(path):
    """The text of a file's comments as one line of prose."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(" ".join(line.lstrip("# ") for line in lines if line.startswith("#")).split())


def waiting_time(settings):
    """How long a run waits in all before it gives up: one wait fewer than attempts."""
    delay = float(settings.get("TOOLHIVE_INITIAL_BACKOFF", 1))
    maximum = float(settings.get("TOOLHIVE_MAX_BACKOFF", 60))
    total = 0.0
    for _ in range(int(settings.get("TOOLHIVE_MAX_RETRIES", 100)) - 1):
        total += delay
        delay = min(2 * delay, maximum)
    return total


def duration(seconds):
    """1567 -> 26 min 7 s; leading units that are zero are left out."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:g} s"
    if minutes or hours:
        text = f"{minutes} min {text}"
    if hours:
        text = f"{hours} h {text}"
    return text


def restart_delay():
    return int(assignments(SYSTEM_UNIT, "RestartSec")[0])


def needs(tool):
    return unittest.skipUnless(shutil.which(tool), f"{tool} is not installed")


def run(*command, **variables):
    """Runs a command in a small, known environment; returns exit code and all its output."""
    base = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
            "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    done = subprocess.run(command, env=base | variables, stdin=subprocess.DEVNULL, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


class UnitFolder(unittest.TestCase):
    """A folder of rendered units for systemd-analyze, which also finds their drop-ins there."""

    def setUp(self):
        self.start_afresh()

    def start_afresh(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def render(self, template, name="mcp-optimizer.service"):
        text = template.read_text(encoding="utf-8")
        program = str(Path(BINARY).resolve()) if BINARY else "/bin/true"
        text = text.replace("@bindir@/mcp-optimizer", program)
        text = re.sub(r"^ExecStart=thv\b", "ExecStart=/bin/true", text, flags=re.M)
        self.assertNotRegex(text, r"@\w+@")
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def drop_in(self, source):
        folder = self.folder / "mcp-optimizer.service.d"
        folder.mkdir(exist_ok=True)
        return shutil.copy(source, folder)

    def verify(self, unit, *options):
        """Exit code and what was said of files in this folder (the machine's own units may
        have faults of theirs)."""
        code, output = run("systemd-analyze", "verify", "--man=no", *options, str(unit),
                           HOME=str(self.folder), XDG_RUNTIME_DIR=str(self.folder))
        said = [line for line in output.splitlines()
                if str(self.folder) in line or re.search(r"mcp-optimizer|thv-serve", line)]
        return code, "\n".join(said) or ("" if code == 0 else output)

    def assert_clean(self, unit, *options):
        code, said = self.verify(unit, *options)
        self.assertEqual((code, said), (0, ""))


@needs("systemd-analyze")
class Verify(UnitFolder):
    def test_system_unit(self):
        self.assert_clean(self.render(SYSTEM_UNIT))

    def test_user_unit(self):
        self.assert_clean(self.render(USER_UNIT), "--user")

    def test_wait_units(self):
        """With the service beside them, which they require."""
        for service, unit, options in ((SYSTEM_UNIT, WAIT_UNIT, ()), (USER_UNIT, USER_WAIT_UNIT, ("--user",))):
            with self.subTest(unit.name):
                self.start_afresh()
                self.render(service)
                self.assert_clean(self.render(unit, "mcp-optimizer-wait.service"), *options)

    def test_toolhive_unit(self):
        self.assert_clean(self.render(CONF / "thv-serve.service", "thv-serve.service"), "--user")

    def test_alert_unit(self):
        name = "mcp-optimizer-alert.service"
        self.assert_clean(self.render(CONF / name, name))

    def test_each_drop_in(self):
        for source in DROP_INS:
            with self.subTest(source.name):
                self.start_afresh()
                self.render(CONF / "mcp-optimizer-alert.service", "mcp-optimizer-alert.service")
                self.drop_in(source)
                self.assert_clean(self.render(SYSTEM_UNIT))

    def test_drop_ins_for_the_user_unit(self):
        tried = 0
        for source in DROP_INS:
            if "~/.config/systemd/user/mcp-optimizer.service.d/" not in comment(source):
                continue
            with self.subTest(source.name):
                self.start_afresh()
                self.drop_in(source)
                self.assert_clean(self.render(USER_UNIT), "--user")
                tried += 1
        self.assertGreaterEqual(tried, 5)

    def test_a_fault_in_a_drop_in_is_seen(self):
        """Guards the checks above: they must be able to fail."""
        bad = self.folder / "bad.conf"
        bad.write_text("[Service]\nRestartSek=10\n", encoding="utf-8")
        self.drop_in(bad)
        _, said = self.verify(self.render(SYSTEM_UNIT))
        self.assertIn("RestartSek", said)


@needs("systemd-analyze")
class Exposure(UnitFolder):
    def exposure(self, *drop_ins, unit=SYSTEM_UNIT):
        for name in drop_ins:
            self.drop_in(CONF / name)
        _, output = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
                        str(self.render(unit, unit.name.removesuffix(".in"))))
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", output)
        if not found:
            self.skipTest(f"no offline review on this machine: {output.strip()[-200:]}")
        return float(found[1])

    def test_as_shipped(self):
        self.assertLessEqual(self.exposure(), 1.1)

    def test_wait(self):
        """It needs no network at all."""
        self.assertLessEqual(self.exposure(unit=WAIT_UNIT), 0.6)

    def test_loopback_only(self):
        self.assertLessEqual(self.exposure("loopback-only.conf"), 0.9)

    def test_no_drop_in_opens_much(self):
        for source in DROP_INS:
            with self.subTest(source.name):
                self.start_afresh()
                self.assertLessEqual(self.exposure(source.name), 1.2)


class Units(unittest.TestCase):
    def test_what_the_program_relies_on(self):
        for unit in (SYSTEM_UNIT, USER_UNIT):
            for key, value in {
                "Type": "notify", "ExecReload": "sh -c 'kill -HUP $MAINPID'", "WatchdogSec": "60",
                "TimeoutStopSec": "5", "Restart": "on-failure", "RestartSec": "10",
                "RestartPreventExitStatus": "78", "StartLimitIntervalSec": "0",
                "RuntimeDirectory": "mcp-optimizer", "StateDirectory": "mcp-optimizer",
            }.items():
                with self.subTest(unit=unit.name, key=key):
                    self.assertEqual(assignments(unit, key), [value])

    def test_what_would_break_it(self):
        """Measured: a start that hangs, a closed state file, overridden drop-ins, a slow boot."""
        for unit in (SYSTEM_UNIT, USER_UNIT):
            with self.subTest(unit.name):
                self.assertIn("AF_UNIX", assignments(unit, "RestrictAddressFamilies")[0].split())
                filters = " ".join(assignments(unit, "SystemCallFilter"))
                self.assertNotRegex(filters, r"~.*@(process|timer)")
                for key in ("RuntimeDirectoryPreserve", "EnvironmentFile", "PrivateNetwork",
                            "LimitAS", "Environment"):
                    self.assertEqual(assignments(unit, key), [])
                text = "\n".join(line for line in unit.read_text(encoding="utf-8").splitlines()
                                 if not line.startswith("#"))
                self.assertNotIn("network-online", text)

    def test_user_units_have_nothing_that_fails_or_pretends(self):
        for unit in (USER_UNIT, USER_WAIT_UNIT):
            for key in ("DynamicUser", "PrivateDevices", "CapabilityBoundingSet", "PrivateUsers",
                        "ProtectSystem", "ProtectHome", "ProcSubset", "PrivateNetwork", "IPAddressDeny"):
                self.assertEqual(assignments(unit, key), [], f"{unit.name}: {key}")

    def test_the_wait_units(self):
        for unit, target in ((WAIT_UNIT, "multi-user.target"), (USER_WAIT_UNIT, "default.target")):
            for key, value in {
                "Type": "oneshot", "RemainAfterExit": "yes", "Restart": "no", "WantedBy": target,
                "Requires": "mcp-optimizer.service", "After": "mcp-optimizer.service",
                "RestrictAddressFamilies": "AF_UNIX",
            }.items():
                with self.subTest(unit=unit.name, key=key):
                    self.assertEqual(assignments(unit, key), [value])
            with self.subTest(unit.name):
                command = assignments(unit, "ExecStart")[0].split()
                timeout = int(command[2].removeprefix("--timeout="))
                self.assertEqual(command, ["@bindir@/mcp-optimizer", "wait", f"--timeout={timeout}",
                                           "--state-file=%t/mcp-optimizer/state.json"])
                # The command ends first, and says why; its comment says how long that is.
                self.assertGreater(int(assignments(unit, "TimeoutStartSec")[0]), timeout)
                self.assertEqual(timeout, 3 * 60)
                self.assertIn("three minutes", comment(unit))

    @unittest.skipUnless(BINARY, "MCP_OPTIMIZER_BINARY is not set")
    def test_the_program_takes_the_wait_units_command(self):
        """Its words as they stand there, but looking once."""
        with tempfile.TemporaryDirectory() as folder:
            command = assignments(WAIT_UNIT, "ExecStart")[0].replace("@bindir@/mcp-optimizer", BINARY)
            words = command.replace("%t", folder).replace("--timeout=180", "--timeout=0").split()
            code, output = run(*words)
        self.assertEqual(code, 3, output)
        self.assertIn("does not run", output)


class DropIns(unittest.TestCase):
    def test_all_are_there(self):
        self.assertEqual({path.stem for path in DROP_INS}, EXPECTED_DROP_INS)

    def test_each_says_how_to_install_it_and_what_follows(self):
        for path in DROP_INS:
            with self.subTest(path.name):
                text = comment(path)
                self.assertIn("/etc/systemd/system/mcp-optimizer.service.d/", text)
                self.assertIn("What follows:", text)
                self.assertIn("systemctl daemon-reload", text)

    def test_settings_are_known_and_accepted(self):
        for path in DROP_INS:
            for name, value in environment(path).items():
                with self.subTest(path.name, name=name):
                    self.assertIn(name, ACCEPTED)
                    self.assertTrue(ACCEPTED[name](value), value)

    @unittest.skipUnless(BINARY, "MCP_OPTIMIZER_BINARY is not set")
    def test_the_program_accepts_them(self):
        for path in DROP_INS:
            with self.subTest(path.name):
                settings = environment(path)
                code, output = run(BINARY, "--check-config", **settings)
                self.assertEqual(code, 0, output)
                self.assertIn(f"gives up after {duration(waiting_time(settings))} of waiting",
                              output)
                for value in settings.values():
                    self.assertIn(value, output)

    def test_only_the_alert_has_a_start_limit(self):
        """A quick failure must not end in start-limit-hit: the units count no starts."""
        for path in DROP_INS:
            with self.subTest(path.name):
                limited = re.search(r"^StartLimit", path.read_text(encoding="utf-8"), re.M)
                self.assertEqual(bool(limited), path.stem == "alert")


class Durations(unittest.TestCase):
    def test_the_arithmetic_itself(self):
        self.assertEqual(waiting_time({}), 5643)
        self.assertEqual(duration(5643), "1 h 34 min 3 s")
        self.assertEqual(waiting_time({"TOOLHIVE_MAX_RETRIES": "20",
                                       "TOOLHIVE_MAX_BACKOFF": "120"}), 1567)
        self.assertEqual(waiting_time({"TOOLHIVE_MAX_RETRIES": "3",
                                       "TOOLHIVE_INITIAL_BACKOFF": "0.5"}), 1.5)

    def test_when_it_gives_up(self):
        retry = {"TOOLHIVE_MAX_RETRIES", "TOOLHIVE_INITIAL_BACKOFF", "TOOLHIVE_MAX_BACKOFF"}
        for path in DROP_INS:
            with self.subTest(path.name):
                settings = environment(path)
                said = re.findall(r"gives up after ([^,]*?) of waiting", comment(path))
                expected = [duration(waiting_time(settings))] if retry & settings.keys() else []
                self.assertEqual(said, expected)

    def test_when_it_starts_anew(self):
        said = 0
        for path in DROP_INS:
            for seconds in re.findall(r"starts (?:anew )?(\d+) s later", comment(path)):
                with self.subTest(path.name):
                    self.assertEqual(int(seconds), restart_delay())
                    said += 1
        self.assertGreaterEqual(said, 3)

    def test_when_a_return_is_noticed(self):
        said = 0
        for path in DROP_INS:
            for seconds in re.findall(r"at most (\d+) s later", comment(path)):
                with self.subTest(path.name):
                    maximum = environment(path).get("TOOLHIVE_MAX_BACKOFF", 60)
                    self.assertEqual(float(seconds), float(maximum))
                    said += 1
        self.assertGreaterEqual(said, 2)

    def test_quick_failure(self):
        """Within 4 s; and with systemd's defaults (5 starts in 10 s) the limit would be hit."""
        path = CONF / "quick-failure.conf"
        waiting = waiting_time(environment(path))
        self.assertIn("within 4 s in all", comment(path))
        self.assertLess(waiting, 4)
        self.assertIn(f"it would, after {5 * (waiting + 0.1):g} s", comment(path))

    def test_wider_scan_range(self):
        path = CONF / "wider-scan-range.conf"
        settings = environment(path)
        ports = (int(settings["TOOLHIVE_END_PORT_SCAN"])
                 - int(settings["TOOLHIVE_START_PORT_SCAN"]) + 1)
        slow = SEARCH_TIME + -(-ports // 1000)
        self.assertIn(f"tries {ports} ports instead of 101", comment(path))
        self.assertIn(f"within {SEARCH_TIME} s", comment(path))
        self.assertIn(f"can take {slow} s", comment(path))

    def test_alert(self):
        """The window opens with a start: with the first one when ToolHive was missing then, else
        with the restart after the run that the outage ended, which makes one run more."""
        path = CONF / "alert.conf"
        settings = environment(path)
        starts = int(assignments(path, "StartLimitBurst")[0])
        window = assignments(path, "StartLimitIntervalSec")[0]
        self.assertRegex(window, r"^\d+h$")
        run_time = waiting_time(settings) + restart_delay()
        text = comment(path)
        self.assertIn(f"{duration(starts * run_time)} after the start", text)
        self.assertIn(f"{duration((starts + 1) * run_time)} after the beginning of an outage",
                      text)
        slowest = run_time + int(settings["TOOLHIVE_MAX_RETRIES"]) * (REQUEST_TIMEOUT
                                                                     + SEARCH_TIME)
        self.assertLess(starts * slowest, int(window[:-1]) * 3600,
                        "slow failures would never reach the limit")


class Catalog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.events = re.findall(r'\bEVENT\((\w+),\s*"([^"]*)"\)',
                                EVENT_H.read_text(encoding="utf-8"))
        text = CATALOG.read_text(encoding="utf-8")
        cls.entries = re.findall(r"^# (\w+)\n-- ([0-9a-f]{32})\n(.*?)(?=^# |\Z)", text,
                                 re.M | re.S)
        cls.ids = re.findall(r"^-- (\S*)", text, re.M)

    def test_ids_are_ids_and_unique(self):
        self.assertGreater(len(self.events), 20)
        for name, event_id in self.events:
            self.assertRegex(event_id, r"^[0-9a-f]{32}$", name)
        self.assertEqual(len({event_id for _, event_id in self.events}), len(self.events))

    def test_every_event_has_its_entry_and_the_reverse(self):
        self.assertEqual([(name, event_id) for name, event_id, _ in self.entries],
                         [(name.lower(), event_id) for name, event_id in self.events])
        self.assertEqual(self.ids, [event_id for _, event_id, _ in self.entries])

    def test_each_entry_has_its_parts(self):
        for name, _, entry in self.entries:
            with self.subTest(name):
                header, _, body = entry.partition("\n\n")
                keys = [line.partition(":")[0] for line in header.splitlines()]
                self.assertEqual(keys, ["Subject", "Defined-By", "Documentation"])
                paragraphs = [part for part in body.strip().split("\n\n") if part.strip()]
                self.assertGreaterEqual(len(paragraphs), 2, "what happened, and what to do")
                self.assertLessEqual(max(map(len, body.splitlines())), 90)

    def test_only_fields_that_the_event_always_has(self):
        for name, _, entry in self.entries:
            with self.subTest(name):
                used = set(re.findall(r"@(\w+)@", entry))
                known = {f"TOOLHIVE_{field}" for field in EVENT_FIELDS.get(name, ())}
                self.assertLessEqual(used, known)

    @needs("journalctl")
    def test_journalctl_takes_it(self):
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root, "usr/lib/systemd/catalog")
            folder.mkdir(parents=True)
            shutil.copy(CATALOG, folder)
            code, output = run("journalctl", f"--root={root}", "--update-catalog")
            if "unrecognized option" in output or "not supported" in output.lower():
                self.skipTest(output.strip())
            self.assertEqual((code, output), (0, ""))
            code, output = run("journalctl", f"--root={root}", "--list-catalog")
            self.assertEqual(code, 0, output)
            listed = {line.split()[0] for line in output.splitlines() if "mcp-optimizer" in line}
            self.assertEqual(listed, set(self.ids))


if __name__ == "__main__":
    run_tests()
