#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the program makes of its command line and environment: every bad value told at once and exit
78, --help, --version, --check-config, the misspelt variable, the words of commands, and the line that
the service starts with.
"""

import json
import os
import pathlib
import re
import unittest

from scene import Scene
from harness import Optimizer, main

OK, CONFIG = 0, 78

NUMBERS = [  # option, least, most, only whole ones, what else is accepted
    ("toolhive-port", "1024", "65535", True, ["none"]),
    ("toolhive-start-port-scan", "1024", "50100", True, []),
    ("toolhive-end-port-scan", "50000", "65535", True, []),
    ("toolhive-timeout", "1", "60", False, ["1.5"]),
    ("toolhive-install-timeout", "1", "3600", False, []),
    ("toolhive-max-retries", "1", "500", True, []),
    ("toolhive-initial-backoff", "0.1", "10.0", False, [".5", "2."]),
    ("toolhive-max-backoff", "1.0", "300.0", False, ["60"]),
    ("toolhive-backoff-jitter", "0.0", "1.0", False, ["0", "1", "0.25"]),
    ("workload-polling-interval", "0", "300", False, []),
    ("registry-polling-interval", "0", "86400", False, []),
    ("startup-polling-delay", "0", "300", False, []),
]
BEYOND = {  # the nearest values outside
    "toolhive-port": ["1023", "65536"], "toolhive-start-port-scan": ["1023", "65536", "none"],
    "toolhive-end-port-scan": ["1023", "65536"], "toolhive-timeout": ["0", "0.9", "60.1"],
    "toolhive-install-timeout": ["0", "3601"], "toolhive-max-retries": ["0", "501", "1.0"],
    "toolhive-initial-backoff": ["0.09", "10.1"], "toolhive-max-backoff": ["0.9", "300.1"],
    "toolhive-backoff-jitter": ["1.1"], "workload-polling-interval": ["301"],
    "registry-polling-interval": ["86401"], "startup-polling-delay": ["301"],
}
NEVER_A_NUMBER = ["-2000", "+2000", " 2000", "2000 ", "0x7d0", "2e3", "nan", "inf", "2,5", "1.2.3", ".",
                  "99999999999999999999", "18446744073709553616", "two", "٢٠٠٠"]
WORDS = {  # accepted, refused
    "runtime-mode": (["docker", "DOCKER"], ["podman"]),
    "toolhive-host": (["localhost", "127.0.0.2", "::1", "thv.example.com"],
                      ["http://x", "a b", "10.0.0.256", "x/y"]),
    "toolhive-api-url": (["http://127.0.0.1:50001", "https://thv.example.com:8443", "unix:///run/thv.sock",
                          "none"],
                         ["127.0.0.1:50001", "ftp://x:1", "http://x:0", "http://x:99999", "unix://thv.sock"]),
    "k8s-all-namespaces": (["true", "YES", "on", "1"], ["maybe", "2"]),
    "log-level": (["debug", "Info", "WARNING", "ERROR", "critical"], ["WARN", "trace"]),
    "log-format": (["auto", "text", "json", "JOURNAL"], ["xml"]),
}


def variable(option):
    return option.upper().replace("-", "_")


def run(*arguments, **settings):
    """Exit code, standard output, the lines of standard error."""
    with Optimizer(*arguments, **settings) as optimizer:
        code, output = optimizer.finish()
        return code, output, [line.text for line in optimizer.lines()]


def check(*arguments, **settings):
    """--check-config: exit code, {option: (value, origin)}, the lines of standard error."""
    code, output, errors = run("--check-config", *arguments, **settings)
    rows = re.findall(r"^--(\S+) +(.*?) +\((default|environment|command line)\)$", output, re.M)
    return code, {option: (value, origin) for option, value, origin in rows}, errors


class TestValues(unittest.TestCase):
    def assert_refused(self, values):
        """All of the (option, value) pairs, each a different option, in one run, with a line for each."""
        code, output, errors = run(**{variable(option): value for option, value in values})
        self.assertEqual((code, output), (CONFIG, ""))
        self.assertEqual(len(errors), len(values), errors)
        for option, value in values:
            line = next((line for line in errors if variable(option) in line), None)
            self.assertIsNotNone(line, f"{variable(option)}={value} in {errors}")
            self.assertTrue(line.startswith("CRITICAL "), line)
            if value.isascii():
                self.assertIn(value, line)

    def test_a_column_of_each_bad_kind(self):
        for value in NEVER_A_NUMBER:
            with self.subTest(value=value):
                self.assert_refused([(row[0], value) for row in NUMBERS])
        self.assert_refused([(option, "1024.5") for option, _, _, whole, _ in NUMBERS if whole])

    def test_values_just_outside(self):
        for number in range(max(map(len, BEYOND.values()))):
            self.assert_refused([(option, values[number]) for option, values in BEYOND.items()
                                 if number < len(values)])

    def test_words(self):
        for number in range(max(len(bad) for _, bad in WORDS.values())):
            self.assert_refused([(option, bad[number]) for option, (_, bad) in WORDS.items()
                                 if number < len(bad)])

    def test_both_ends_and_every_good_word(self):
        for option, least, most, _, more in NUMBERS:
            for value in (least, most, *more):
                with self.subTest(option=option, value=value):
                    code, rows, errors = check(**{variable(option): value})
                    self.assertEqual((code, errors, rows[option][1]), (OK, [], "environment"))
        for option, (good, _) in WORDS.items():
            for value in good:
                with self.subTest(option=option, value=value):
                    code, rows, errors = check(f"--{option}", value)
                    self.assertEqual((code, errors, rows[option][1]), (OK, [], "command line"))

    def test_what_is_accepted_is_said(self):
        for option, least, most, _, more in NUMBERS:
            with self.subTest(option=option):
                line = run(**{variable(option): "bad"})[2][0]
                for part in (least, most, *(word for word in more if word.isalpha())):
                    if part not in ("50000", "50100"):      # the other end of the range, not a limit
                        self.assertRegex(line, rf"\b{re.escape(part)}\b")
        for option in ("runtime-mode", "log-level", "log-format"):
            line = run(**{variable(option): "bad"})[2][0]
            for word in WORDS[option][0]:
                self.assertIn(word.lower(), line.lower())

    def test_all_at_once_from_both_places(self):
        code, output, errors = run("--toolhive-port", "80", "--toolhive-timeout=0", "--log-level", "loud",
                                   toolhive_max_retries="nan", toolhive_host="a b",
                                   registry_polling_interval="-1")
        self.assertEqual((code, output, len(errors)), (CONFIG, "", 6))
        for name, value in (("--toolhive-port", "80"), ("--toolhive-timeout", "0"), ("--log-level", "loud"),
                            ("TOOLHIVE_MAX_RETRIES", "nan"), ("TOOLHIVE_HOST", "a b"),
                            ("REGISTRY_POLLING_INTERVAL", "-1")):
            self.assertTrue([line for line in errors if name in line and f'"{value}"' in line],
                            (name, errors))

    def test_values_that_do_not_go_together(self):
        for settings, names in (
                ({"toolhive_start_port_scan": 50100, "toolhive_end_port_scan": 50099},
                 ("TOOLHIVE_START_PORT_SCAN", "TOOLHIVE_END_PORT_SCAN", "50100", "50099")),
                ({"toolhive_end_port_scan": 40000}, ("TOOLHIVE_END_PORT_SCAN", "40000", "50000")),
                ({"toolhive_initial_backoff": 5, "toolhive_max_backoff": 4},
                 ("TOOLHIVE_MAX_BACKOFF", "TOOLHIVE_INITIAL_BACKOFF")),
                ({"k8s_all_namespaces": "false"}, ("K8S_ALL_NAMESPACES", "K8S_NAMESPACE"))):
            with self.subTest(settings=settings):
                code, _, errors = run(**settings)
                self.assertEqual((code, len(errors)), (CONFIG, 1))
                for name in names:
                    self.assertIn(name, errors[0])
        self.assertEqual(check(k8s_all_namespaces="false", k8s_namespace="team")[0], OK)

    def test_who_checks_sees_problems_and_all_settings(self):
        """On the terminal, wherever the service's log would go."""
        code, rows, errors = check(toolhive_port="80", log_format="journal")
        self.assertEqual((code, len(errors), len(rows)), (CONFIG, 1, 27))
        self.assertIn("TOOLHIVE_PORT", errors[0])

    def test_a_value_can_neither_break_a_line_nor_drive_a_terminal(self):
        _, _, errors = run(toolhive_port="1\nCRITICAL forged=1\x1b[31m")
        self.assertEqual(len(errors), 1)
        self.assertNotIn("\x1b", errors[0])

    def test_words_that_are_no_options(self):
        for word in ("--nonsense", "-x", "--toolhive-prt", "--help=yes"):
            with self.subTest(word=word):
                code, output, errors = run(word)
                self.assertEqual((code, output, len(errors)), (CONFIG, "", 1))
                self.assertIn(word.partition("=")[0], errors[0])
        self.assertEqual(run("--toolhive-port")[0], CONFIG)
        self.assertEqual(run("frobnicate")[0], CONFIG)

    def test_in_kubernetes_mode_the_pods_variables_are_not_read(self):
        for mode in ("k8s", "K8S"):
            code, rows, errors = check(runtime_mode=mode, toolhive_port="tcp://10.0.0.1:8080",
                                       toolhive_prot="tcp://10.0.0.1:8080", toolhive_timeout=20)
            self.assertEqual((code, errors), (OK, []))
            self.assertEqual(rows["runtime-mode"], ("k8s", "environment"))
            self.assertEqual(rows["toolhive-port"], ("none", "default"))
            self.assertEqual(rows["toolhive-timeout"], ("20", "environment"))


class TestOrigins(unittest.TestCase):
    def test_defaults(self):
        """As the table of the specification has them."""
        code, rows, errors = check(state_file="none")
        self.assertEqual((code, errors), (OK, []))
        del rows["state-file"]
        self.assertEqual({origin for _, origin in rows.values()}, {"default"})
        for option, value in {
                "runtime-mode": "docker", "toolhive-host": "localhost", "toolhive-port": "none",
                "toolhive-api-url": "none", "toolhive-start-port-scan": "50000",
                "toolhive-end-port-scan": "50100", "toolhive-discovery-file": "auto", "toolhive-timeout": "10",
                "toolhive-install-timeout": "300", "toolhive-max-retries": "100",
                "toolhive-initial-backoff": "1.0", "toolhive-max-backoff": "60.0",
                "toolhive-backoff-jitter": "0.0", "workload-polling-interval": "60",
                "registry-polling-interval": "86400", "startup-polling-delay": "0", "allowed-groups": "none",
                "skipped-workloads": "inspector,mcp-optimizer", "log-level": "INFO", "log-format": "auto",
                "metrics-file": "none", "k8s-namespace": "none", "k8s-all-namespaces": "true",
                "k8s-api-server-url": "http://127.0.0.1:8001"}.items():
            self.assertEqual(rows[option][0], value, option)

    def test_command_line_comes_before_environment(self):
        _, rows, _ = check("--toolhive-max-retries", "15", "--log-level=debug", toolhive_max_retries=20,
                           toolhive_port=50001, toolhive_timeout="", allowed_groups="none",
                           skipped_workloads="none")
        self.assertEqual(rows["toolhive-max-retries"], ("15", "command line"))
        self.assertEqual(rows["log-level"], ("DEBUG", "command line"))
        self.assertEqual(rows["toolhive-port"], ("50001", "environment"))
        self.assertEqual(rows["toolhive-timeout"], ("10", "default"), "an empty variable counts as unset")
        self.assertEqual(rows["skipped-workloads"], ("none", "environment"))

    def test_default_of_the_state_file(self):
        with Scene() as scene:
            for environment, path in (({"RUNTIME_DIRECTORY": "/run/a:/run/b"}, "/run/a/state.json"),
                                      ({"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": "/run/user/7"},
                                       "/run/user/7/mcp-optimizer/state.json")):
                optimizer = scene.enter_context(Optimizer("--check-config", environment=environment))
                self.assertRegex(optimizer.finish()[1], rf"--state-file +{path} +\(default\)")

    def test_how_long_the_retries_last(self):
        for settings, words in (
                ({}, "1 h 34 min 3 s"),
                ({"toolhive_max_retries": 20, "toolhive_max_backoff": 120}, "26 min 7 s"),
                ({"toolhive_max_retries": 3, "toolhive_initial_backoff": 0.5}, "1.5 s")):
            code, output, _ = run("--check-config", **settings)
            self.assertEqual(code, OK)
            self.assertIn(f"gives up after {words} of waiting, plus the time that the attempts take", output)

    def test_misspelt_variables_are_named_once(self):
        code, _, errors = check(toolhive_prot=1, toolhive_max_retires=5, toolhive_secret_provider="x",
                                toolhive_hosts="", workload_pooling_interval=5)
        self.assertEqual((code, len(errors)), (OK, 2), errors)
        for line, name, meant in zip(sorted(errors), ("TOOLHIVE_MAX_RETIRES", "TOOLHIVE_PROT"),
                                     ("TOOLHIVE_MAX_RETRIES", "TOOLHIVE_PORT")):
            self.assertTrue(line.startswith("WARNING  "), line)
            self.assertIn(name, line)
            self.assertIn(meant, line)


class TestCommands(unittest.TestCase):
    WRONG = [  # words, what the one line on standard error has
        (["lsit"], "did you mean list?"),
        (["list", "--jsno"], "did you mean --json?"),
        (["--json", "list"], "mcp-optimizer list --json"),
        (["run", "--json"], "no option of run"),
        (["list", "--timeout", "0"], "seconds from 1 to 86400"),
        (["show"], "mcp-optimizer show NAME"),
        (["registry", "fetch", "--search", "x"], "exclude each other"),
        (["help", "instal"], "did you mean install?"),
        (["list", "x\x1b[31m"], r"x\x1b[31m"),
    ]
    SECRETS = [
        ["install", "fetch", "TOKEN=planted"],
        ["install", "fetch", "--env", "TOKEN", "planted"],
        ["install", "fetch", "--env", "my token=planted"],
        ["install", "fetch", "--secret", "planted"],
        ["install", "fetch", "--evn", "TOKEN=planted"],
        ["install", "TOKEN=planted"],
        ["install", "fetch", "--url", "http://me:planted@127.0.0.1/mcp"],
    ]

    def test_wrong_usage(self):
        for words, part in self.WRONG:
            with self.subTest(words=words):
                code, output, errors = run(*words)
                self.assertEqual((code, output, len(errors)), (CONFIG, "", 1), errors)
                self.assertTrue(errors[0].startswith("CRITICAL "), errors[0])
                self.assertIn(part, errors[0])
                self.assertNotIn("\x1b", errors[0])

    def test_no_problem_shows_what_may_be_secret(self):
        for words in self.SECRETS:
            with self.subTest(words=words):
                code, output, errors = run(*words, log_level="DEBUG")
                self.assertEqual((code, output, len(errors)), (CONFIG, "", 1), errors)
                self.assertNotIn("planted", errors[0])

    def test_all_problems_at_once(self):
        code, output, errors = run("show", "--timeout=x", "a", "b", toolhive_port="80")
        self.assertEqual((code, output, len(errors)), (CONFIG, "", 3), errors)

    def test_of_very_many_the_first_are_told(self):
        words = [f"word-{number}" for number in range(10000)]
        code, output, errors = run("list", *words[:20])
        self.assertEqual((code, output, len(errors)), (CONFIG, "", 20))
        code, output, errors = run("list", *words)
        self.assertEqual((code, output, len(errors)), (CONFIG, "", 21))
        for line, word in zip(errors, words[:20]):
            self.assertIn(f'"{word}" is one word too many', line)
        self.assertEqual(errors[-1], "CRITICAL 9980 more of this kind")

    def test_problems_as_the_log_is_wanted(self):
        line = json.loads(run("list", "x", log_format="json")[2][0])
        self.assertEqual((line["level"], "list takes no argument" in line["message"]), ("CRITICAL", True))

    def test_help(self):
        """Also with settings that nothing else would run with."""
        code, text, errors = run("help", "install", runtime_mode="k8s", toolhive_port="bad")
        self.assertEqual((code, errors), (OK, []))
        self.assertTrue(text.startswith("Usage: mcp-optimizer install NAME "))
        self.assertLessEqual(max(map(len, text.splitlines())), 80)
        self.assertEqual(run("install", "--json", "--help")[:2], (OK, text))
        self.assertEqual(run("help")[:2], (OK, run("-h")[1]))
        self.assertEqual(run("list", "-V")[1], run("--version")[1])

    def test_checking_comes_before_running(self):
        code, rows, errors = check("list", "--toolhive-port=50001")
        self.assertEqual((code, errors, rows["toolhive-port"]), (OK, [], ("50001", "command line")))

    def test_settings_hold_for_commands_too(self):
        code, output, errors = run("list", "--toolhive-api-url=http://127.0.0.1:1", toolhive_timeout="x")
        self.assertEqual((code, output, len(errors)), (CONFIG, "", 1), errors)

    def test_completion_is_without_a_word(self):
        code, _, errors = run("--nonsense=1", "complete", "--frobnicate", "x", toolhive_port="bad")
        self.assertEqual((code, errors), (OK, []))


class TestOutput(unittest.TestCase):
    def test_help_has_every_option_with_its_variable(self):
        code, text, errors = run("--help")
        self.assertEqual((code, errors), (OK, []))
        _, rows, _ = check()
        self.assertEqual(len(rows), 27)
        for option in rows:
            self.assertRegex(text, rf"--{option}\b.*\b{variable(option)}\b")
        for action in ("--help", "--version", "--check-config"):
            self.assertIn(action, text)
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_version(self):
        code, text, errors = run("--version")
        self.assertEqual((code, errors), (OK, []))
        self.assertRegex(text, r"^mcp-optimizer \d+\.\d+\.\d+\n$")
        source = os.environ.get("MCP_OPTIMIZER_SOURCE")
        if source:
            built = (pathlib.Path(source) / "meson.build").read_text()
            version = re.search("version : '([^']+)'", built)[1]
            self.assertEqual(text, f"mcp-optimizer {version}\n")

    def test_output_that_cannot_be_written_is_an_error(self):
        wrapper = ("/bin/sh", "-c", 'exec "$@" >/dev/full', "sh")
        with Optimizer("--help", wrapper=wrapper) as optimizer:
            self.assertEqual(optimizer.finish()[0], 1)

    def test_start_line(self):
        with Scene() as scene:
            optimizer = scene.optimizer("--toolhive-max-retries", 7, toolhive_timeout=5)
            line = optimizer.wait_line("Starting mcp-optimizer")
            self.assertEqual(line, optimizer.lines()[0])
            self.assertEqual(line.level, "INFO")
            self.assertEqual(list(line.pairs)[:2], ["version", "mode"])
            self.assertEqual(line.pairs["mode"], "docker")
            self.assertEqual(line.pairs["toolhive_max_retries"], "7 (command line)")
            self.assertEqual(line.pairs["toolhive_timeout"], "5 (environment)")
            self.assertNotIn("toolhive_port", line.pairs, "a default")

    def test_bad_settings_of_the_service_start_nothing(self):
        with Scene() as scene:
            standin = scene.standin()
            optimizer = scene.optimizer(toolhive_max_retries=0)
            self.assertEqual(optimizer.finish()[0], CONFIG)
            self.assertEqual(standin.connections(), [])
            self.assertEqual(list(optimizer.runtime.iterdir()), [])


if __name__ == "__main__":
    main(abreast=True)
