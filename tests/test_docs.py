# SPDX-License-Identifier: Apache-2.0
"""The documentation against the code.

What man page and README say of options, messages, exit codes, documents, files and durations is read
out of them and compared with the program's --help, with the source, with the units, and with the arithmetic done again here. Nothing
is listed here that could be read from there, so that neither side can change alone.

MCP_OPTIMIZER_SOURCE may name a copy of the tree: that is how to see these checks fail.
"""

import json
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from manpage import (MAN_PAGE, OTHERS_OPTIONS, OTHERS_VARIABLES, SOURCE, SYSTEM_UNIT, USER_UNIT, WAIT_UNITS,
                     CommandHelp, ManPage, examples_in, help_actions, help_commands, help_options, joined, plain,
                     read, run, tables_in, text_of)
from runner import run_tests
from test_units import assignments, duration, waiting_time


class Lint(unittest.TestCase):
    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc(self):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(MAN_PAGE)],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_version(self):
        version = re.search(r"version : '([^']+)'", read("meson.build"))[1]
        self.assertIn(f'"mcp\\-optimizer {version}"', ManPage().source)
        self.assertIn(f'"version": "{version}"', ManPage().text("STATE FILE"))


class Options(unittest.TestCase):
    def setUp(self):
        self.page = ManPage()
        self.options = help_options()

    def test_the_same_as_help(self):
        self.assertGreater(len(self.options), 20)
        described = {}
        for tag, body in self.page.tagged("OPTIONS AND ENVIRONMENT"):
            if found := re.fullmatch(r"--([\w-]+) (\S+), (\w+)", tag):
                values = body.partition("Default: ")[2].removesuffix(".")
                described[found[1]] = (found[2], found[3], "Default: " + values)
        self.assertEqual(list(described), list(self.options))
        for option, expected in self.options.items():
            with self.subTest(option):
                self.assertEqual(described[option], expected)

    def test_actions(self):
        tags = {tag for tag, _ in self.page.tagged("OPTIONS AND ENVIRONMENT")}
        actions = {tag[2:] for tag in tags if re.fullmatch(r"--[\w-]+", tag)}
        self.assertEqual(actions, help_actions())

    def test_readme_table(self):
        defaults = {variable: values.removeprefix("Default: ").partition("; accepts")[0]
                    for _, variable, values in self.options.values()}
        table = read("README.md").partition("| Variable | Default | |\n|---|---|---|\n")[2]
        rows = [row.strip("|").split("|") for row in table.partition("\n\n")[0].splitlines()]
        self.assertGreater(len(rows), 5)
        for variables, values, _ in rows:
            for variable, value in zip(variables.split(","), values.split(","), strict=True):
                with self.subTest(variable.strip()):
                    self.assertEqual(value.strip(), defaults.get(variable.strip()))

    def test_no_other_is_named(self):
        variables = {variable for _, variable, _ in self.options.values()}
        keys = set(re.findall(r'LOG_\w+\("(\w+)"', read("src/service/operation_log.c")))
        variables |= {f"TOOLHIVE_{key.upper()}" for key in keys} | OTHERS_VARIABLES | {"TOOLHIVE_"}
        options = {f"--{option}" for option in self.options.keys() | help_actions()}
        for name in help_commands():
            options |= {f"--{option}" for option in CommandHelp(name).options}
        for name, text in (("man", self.page.text()), ("README", read("README.md"))):
            with self.subTest(name):
                self.assertLessEqual(set(re.findall(r"TOOLHIVE_[A-Z_]*", text)), variables)
                self.assertLessEqual(set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text)),
                                     options | OTHERS_OPTIONS)

    def test_examples_are_accepted(self):
        given = re.findall(r"\b([A-Z0-9_]+)=([\w.:/]*[\w/])",
                           self.page.text("EXAMPLES", "RETRIES") + read("README.md"))
        known = {variable for _, variable, _ in self.options.values()}
        tried = 0
        for variable, value in given:
            if variable in known:
                with self.subTest(variable, value=value):
                    self.assertEqual(run("--check-config", **{variable: value})[0], 0)
                    tried += 1
        self.assertGreater(tried, 5)


STRINGS = re.compile(r'"((?:[^"\\]|\\.)*)"')


def without_comments(code):
    return re.sub(r'("(?:[^"\\]|\\.)*")|/\*.*?\*/', lambda found: found[1] or " ", code,
                  flags=re.S)


def call_arguments(code, start):
    """The arguments of the call whose opening bracket is at start, split at top level."""
    arguments, depth, begin, position = [], 0, start + 1, start
    while True:
        if code[position] == '"':
            position = STRINGS.match(code, position).end()
            continue
        if code[position] in "([{":
            depth += 1
        elif code[position] in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and code[position] == ","):
            arguments.append(code[begin:position].strip())
            begin = position + 1
        if depth == 0:
            return arguments
        position += 1


def literals(expression):
    """The literals that an expression can be: neighbours are one, the arms of ?: are several."""
    merged = re.sub(r'"\s+"', "", expression)
    return [text.replace('\\"', '"') for text in STRINGS.findall(merged)]


class SourceMessage:
    def __init__(self, where, level, event, message, pairs):
        self.where, self.level, self.event = where, level, event
        self.message, self.pairs = message, pairs


def composed(code):
    """Messages that are put together in a buffer; the name of the source is ToolHive here."""
    for call in re.finditer(r"\b(compose|snprintf)\((?=\s*message\b)", code):
        arguments = call_arguments(code, call.end() - 1)
        prefix = "%s " if call[1] == "compose" else ""
        for text in literals(arguments[2]):
            yield (prefix + text).replace("%s", "ToolHive")


def logged_messages():
    """Every message that src/service can log above DEBUG; of src/command each that is an event."""
    for folder in ("service", "command"):
        for path in sorted((SOURCE / "src" / folder).glob("*.c")):
            code = without_comments(path.read_text(encoding="utf-8"))
            for function in re.split(r"(?<=^})\n", code, flags=re.M):
                if folder == "service" or "EVENT_" in function.replace("EVENT_NONE", ""):
                    yield from messages_of(path.name, function, code)


def messages_of(where, function, code):
    begin = 0
    for call in re.finditer(r"\blog_(event|write)\(", function):
        level, event, message, *pairs = call_arguments(function, call.end() - 1)
        texts = literals(message)
        if not texts:
            texts = list(composed(function[begin:call.start()]))
        if not texts:
            # a parameter: what the callers give
            name = re.search(r"(\w+)\([^)]*\bmessage\b[^)]*\) \{", function)[1]
            texts = [literals(text)[0] for caller in re.finditer(rf"\b{name}\((?!bool)", code)
                     for text in call_arguments(code, caller.end() - 1) if literals(text)]
        if call[1] == "write":
            pairs = [*re.findall(r'fields\[n\+\+\] = (LOG_STRING\("\w+")', function), "…"]
        begin = call.end()
        levels = [name for name in ("CRITICAL", "ERROR", "WARNING", "INFO")
                  if f"LEVEL_{name}" in level]
        keys = [re.findall(r'"(\w+)"', pair.split("%")[0]) if pair != "…" else None
                for pair in pairs]
        for text in texts if levels else ():
            yield SourceMessage(where, levels[0], event.removeprefix("EVENT_"), text, keys)


class Messages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ids = dict(re.findall(r'\bEVENT\((\w+),\s*"([0-9a-f]{32})"\)',
                                  read("src/report/event.h")))
        cls.logged = list(logged_messages())
        cls.described = []
        entries = re.findall(r"^\.B (.+)\n\.br\n([A-Z]+)(?:, MESSAGE_ID=(\w+))?$",
                             ManPage().sections["LOGGING"], re.M)
        for line, level, message_id in entries:
            text = plain(line)
            pairs = re.findall(r' (\w+)=(?:"[^"]*"|\S*)', text)
            message = re.sub(r' \w+=(?:"[^"]*"|\S*)', "", text)
            cls.described.append((message, level, message_id, pairs))

    def test_both_sides_were_read(self):
        self.assertGreater(len(self.logged), 30)
        self.assertGreater(len(self.described), 30)
        calls = sum(len(re.findall(r"\blog_(?:event|write)\(", path.read_text(encoding="utf-8")))
                    for path in (SOURCE / "src/service").glob("*.c"))
        self.assertGreaterEqual(len(self.logged), calls)

    def test_each_is_described(self):
        described = {message: entry for message, *entry in self.described}
        for logged in self.logged:
            with self.subTest(logged.message, where=logged.where):
                self.assertIn(logged.message, described)
                level, message_id, pairs = described[logged.message]
                self.assertEqual(level, logged.level)
                self.assertEqual(message_id, self.ids.get(logged.event, ""))
                keys = logged.pairs
                if keys and keys[-1] is None:
                    keys, pairs = keys[:-1], pairs[:len(keys) - 1]
                self.assertEqual(len(pairs), len(keys))
                for pair, possible in zip(pairs, keys):
                    self.assertIn(pair, possible)

    def test_each_described_exists(self):
        logged = {message.message for message in self.logged}
        problems = [entry for entry in self.described if entry[0] not in logged]
        self.assertEqual({entry[2] for entry in problems},
                         {self.ids["UNKNOWN_VARIABLE"], self.ids["CONFIG_INVALID"]})
        for message, level, message_id, _ in problems:
            with self.subTest(message):
                name, value = re.match(r'"?(\w+)"?(?:: "([^"]*)")?', message).groups("1")
                # A bad value beside it, so that it ends at once.
                _, _, log = run("--toolhive-max-backoff=0", "--log-format=json", **{name: value})
                lines = [json.loads(line) for line in log.splitlines()]
                self.assertIn((message, level, message_id),
                              [(line["message"], line["level"], line["message_id"]) for line in lines])

    def test_every_event_has_a_message(self):
        self.assertEqual({entry[2] for entry in self.described if entry[2]},
                         set(self.ids.values()))

    def test_ids_elsewhere(self):
        """README's, each beside the message of its event; and those of journalctl's examples."""
        by_id = {}
        for message, _, message_id, _ in self.described:
            by_id.setdefault(message_id, []).append(message)
        rows = re.findall(r"^\| `[A-Z]+ +(.*?) (?:\w+=)?…`.*MESSAGE_ID=([0-9a-f]+)",
                          read("README.md"), re.M)
        self.assertGreaterEqual(len(rows), 2)
        for message, message_id in rows:
            self.assertIn(message, by_id.get(message_id, ()))
        for text in (read("README.md"), ManPage().text()):
            self.assertLessEqual(set(re.findall(r"MESSAGE_ID=(\w+)", text)),
                                 set(self.ids.values()))

    def test_readme_lines(self):
        known = {(level, message) for message, level, *_ in self.described}
        lines = re.findall(r"^\| `([A-Z]+) +(.*?) (?:\w+=\S* )?…`", read("README.md"), re.M)
        self.assertGreaterEqual(len(lines), 4)
        for line in lines:
            self.assertIn(line, known)

    def test_errors_that_readme_quotes(self):
        code = "".join(path.read_text(encoding="utf-8") for path in SOURCE.glob("src/*/*.c"))
        self.assertIn('"No ToolHive among N open ports"', read("README.md"))
        self.assertIn('"No ToolHive among %zu open ports"', code)
        self.assertIn('"Not ToolHive any more (HTTP 404)"', joined(ManPage().text()))
        self.assertIn('"Not ToolHive any more (HTTP %d)"', code)


# ---- durations ----

def settings(attempts, initial=1, longest=60):
    return {"TOOLHIVE_MAX_RETRIES": str(attempts), "TOOLHIVE_INITIAL_BACKOFF": str(initial),
            "TOOLHIVE_MAX_BACKOFF": str(longest)}


def seconds(value):
    return f"{value:,g} s" if value < 1000 else f"{value:,.0f} s"


def table(page, section, heading):
    """The rows of the table in a section whose heading begins so."""
    for rows in tables_in(page.sections[section]):
        if rows[0][0] == heading:
            return rows[1:]
    raise AssertionError(f"no table of {heading}")


class Durations(unittest.TestCase):
    def setUp(self):
        self.page = ManPage()
        self.readme = joined(read("README.md"))

    def test_the_default(self):
        total = waiting_time({})
        waits = [min(2 ** i, 60) for i in range(99)]
        growing = [wait for wait in waits if wait < 60]
        self.assertEqual(sum(waits), total)
        for text in (self.readme, joined(self.page.text("RETRIES"))):
            self.assertIn("99", text)
            self.assertIn(f"{'+'.join(map(str, growing))} s, then {len(waits) - len(growing)} of "
                          f"60 s, together {seconds(total)}, about {total / 60:.0f} minutes", text)

    def test_all_in_seconds_and_minutes(self):
        """No large number of seconds and no number of minutes that is not one of the sums."""
        sums = {waiting_time(settings(int(attempts), initial.split()[0], longest.split()[0]))
                for attempts, initial, longest, *_ in table(self.page, "RETRIES", "Attempts")}
        allowed = {seconds(total) for total in sums} | {"1,000 s"}
        minutes = {f"{total / 60:.0f} minutes" for total in sums}
        for text in (self.readme, joined(self.page.text())):
            self.assertLessEqual(set(re.findall(r"\b\d+,\d{3} s\b", text)), allowed)
            self.assertLessEqual(set(re.findall(r"\b\d+ minutes\b", text)), minutes)

    def test_readme_table(self):
        rows = re.findall(r"^\|[^|]*\| (\d+)[^|]*?(?:from ([\d.]+) s|, (\d+) s) \| ([\d.,]+) s"
                          r"(?:, about (\d+) minutes)? \|", read("README.md"), re.M)
        self.assertEqual(len(rows), 3)
        for attempts, initial, longest, waits, minutes in rows:
            with self.subTest(attempts):
                total = waiting_time(settings(attempts, initial or 1, longest or 60))
                self.assertEqual(f"{waits} s", seconds(total))
                if minutes:
                    self.assertEqual(int(minutes), round(total / 60))

    def test_man_table(self):
        rows = table(self.page, "RETRIES", "Attempts")
        self.assertGreaterEqual(len(rows), 5)
        for attempts, initial, longest, waits, words in rows:
            with self.subTest(attempts, longest=longest):
                given = settings(attempts, initial.split()[0], longest.split()[0])
                total = waiting_time(given)
                self.assertEqual((waits, words), (seconds(total), duration(total)))
                self.assertIn(f"gives up after {words} of waiting",
                              run("--check-config", **given)[1])

    def test_immediate_retries(self):
        """Found on the same port, and every call fails: one retry at once, then waits."""
        text = self.page.text("RETRIES")
        attempts, delay, longest = (
            float(re.search(rf"TOOLHIVE_{name}=(\d+(?:\.\d+)?)", text)[1])
            for name in ("MAX_RETRIES", "INITIAL_BACKOFF", "MAX_BACKOFF"))
        expected, at = [], 0.0
        for attempt in range(1, int(attempts) + 1):
            last = attempt == attempts
            then = "exits with 1" if last else "tried again at once" if attempt == 1 else "waits"
            expected.append([str(attempt), f"{at:.1f} s", f"{0.0 if last else delay:.1f}",
                             f"found, {then}"])
            if attempt > 1:
                at += delay
                delay = min(2 * delay, longest)
        self.assertEqual(table(self.page, "RETRIES", "Attempt"), expected)

    def test_what_settings_in_the_text_come_to(self):
        quick = waiting_time(settings(3, 0.5))
        self.assertIn(f"3 attempts from 0.5 s: gives up after {duration(quick)} of waiting",
                      joined(self.page.text("SYSTEMD")))
        self.assertIn(f"500 attempts: gives up after {duration(waiting_time(settings(500)))} of",
                      joined(self.page.text("SYSTEMD")))
        example = self.page.text("EXAMPLES")
        given = dict(re.findall(r"(TOOLHIVE_MAX_\w+)=(\d+)", example))
        self.assertIn(f"gives up after {duration(waiting_time(given))} of waiting", joined(example))

    def test_the_restart(self):
        delay = assignments(SYSTEM_UNIT, "RestartSec")[0]
        self.assertIn(f"starts the service again {delay} s later", self.readme)
        self.assertIn(f"starts the service again {delay} s later", joined(self.page.text()))

    def test_what_a_search_takes(self):
        header = read("src/source/locate.h")
        limit = re.search(r"within (\d) s whatever listens", joined(header.replace("*", "")))[1]
        self.assertIn(f"up to {limit} s for its search", self.readme)
        self.assertIn(f"up to {limit} s for its search", joined(self.page.text("RETRIES")))
        self.assertIn(f"ends within {limit} s", joined(self.page.text("DESCRIPTION")))


# ---- the rest of the interface ----

class ExitStatus(unittest.TestCase):
    def setUp(self):
        self.page = ManPage()
        self.service = dict(re.findall(r"\bSERVICE_(\w+) = (\d+)", read("src/service/service.h")))
        self.commands = dict(re.findall(r"\bCOMMAND_(\w+) = (\d+)", read("src/command/context.h")))
        self.tagged = {int(tag): body for tag, body in self.page.tagged("EXIT STATUS")}

    def test_all_agree(self):
        self.assertGreater(len(self.commands), 5)
        codes = {int(code) for code in [*self.service.values(), *self.commands.values()]}
        self.assertEqual(list(self.tagged), sorted(codes))
        line = re.search(r"Exit status: (.*)\.", run("--help")[1])[1]
        self.assertEqual([part.split()[0] for part in line.split(", ")],
                         sorted(self.service.values(), key=int))
        said = re.findall(r"\bexit(?:s with| status| code)? (\d+)", joined(self.page.text()), re.I)
        self.assertGreater(len(said), 5)
        self.assertLessEqual({int(code) for code in said}, codes)

    def test_bad_settings(self):
        code = int(self.service["CONFIG"])
        for unit in (SYSTEM_UNIT, USER_UNIT):
            self.assertEqual(assignments(unit, "RestartPreventExitStatus"), [str(code)])
        for given in ({"TOOLHIVE_PORT": "80"}, {"RUNTIME_MODE": "kube"}):
            self.assertEqual(run("--check-config", **given)[0], code)
        self.assertIn(f"are refused with exit status {code}", joined(self.page.text("DESCRIPTION")))
        for command in (["registry"], ["install", "x"]):
            self.assertEqual(run(*command, RUNTIME_MODE="k8s")[0], code)

    def test_of_which_commands(self):
        """Those that stand in brackets behind a code are the ones whose help has it."""
        having = {name: {int(status.split()[0]) for status in CommandHelp(name).exits}
                  for name in help_commands()}
        for code, body in self.tagged.items():
            with self.subTest(code):
                self.assertTrue(any(code in codes for codes in having.values()))
                if code in range(2, 78):
                    named = re.search(r"\(([a-z, ]+)\)\.$", body)[1]
                    self.assertEqual(set(named.split(", ")),
                                     {name for name, codes in having.items() if code in codes})


class Documents(unittest.TestCase):
    def test_state_file(self):
        example = re.search(r"^\.EX\n(.*?)^\.EE", ManPage().sections["STATE FILE"], re.M | re.S)[1]
        shown = []
        json.loads(plain(example), object_pairs_hook=lambda pairs: shown.extend(
            key for key, _ in pairs))
        written = re.findall(r'\\"(\w+)\\": ',
                             read("src/report/state_file.c") + read("src/model/workload.c"))
        self.assertEqual(set(shown), set(written))
        explained = " ".join(f"{tag} {body}" for tag, body in ManPage().tagged("STATE FILE"))
        self.assertLessEqual(set(written), set(re.findall(r"\w+", explained)) | {
            "connection", "workloads", "registry"})

    def test_states(self):
        names = re.findall(r'case CONNECTION_\w+:\s+return "(\w+)"', read("src/model/snapshot.c"))
        state = dict(ManPage().tagged("STATE FILE"))["connection.state"]
        self.assertEqual(len(names), 6)
        for name in names:
            self.assertRegex(state, rf"\b{name}\b")

    def test_metrics(self):
        source = read("src/report/metrics.c")
        written = re.findall(r'\badd_(?:metric|header)\(text, "(\w+)"', source)
        labels = dict(re.findall(r'mcp_optimizer_(\w+)\{(\w+)=', source))
        names = [f"mcp_optimizer_{name}" + (f"{{{labels[name]}}}" if name in labels else "")
                 for name in written]
        self.assertEqual(sorted(tag for tag, _ in ManPage().tagged("METRICS")), sorted(names))

    def test_bounds(self):
        text = joined(ManPage().text("SECURITY"))
        for path, name, shift, phrase in (
                ("src/base/http.h", "HTTP_BODY_MAX", "20", "bodies of {:,} MiB"),
                ("src/base/http.h", "HTTP_HEADERS_MAX", "10", "headers of {:,} KiB"),
                ("src/base/json.h", "JSON_DEPTH_MAX", None, "nested {:,} deep"),
                ("src/model/workload.h", "WORKLOADS_MAX", None, "lists of {:,} entries"),
                ("src/model/registry.h", "REGISTRY_SERVERS_MAX", None, "lists of {:,} entries")):
            with self.subTest(name):
                found = re.search(rf"#define {name} +(?:\(\(size_t\) )?(\d+)(?: << (\d+))?",
                                  read(path))
                self.assertIn(phrase.format(int(found[1])), text)
                self.assertEqual(found[2], shift)

    def test_priorities(self):
        priorities = re.findall(r"case LEVEL_(\w+):\s+return (\d);",
                                read("src/report/log_journal.c"))
        self.assertEqual(len(priorities), 5)
        text = joined(ManPage().text("LOGGING"))
        for level, priority in priorities:
            self.assertIn(f"{priority} {level}", text)


class Security(unittest.TestCase):
    def test_each_claim_names_tests_that_are_there(self):
        text = read(".github/SECURITY.md")
        claims = re.findall(r"^- (.*?)(?=^\S|\Z)", text, re.M | re.S)
        self.assertGreater(len(claims), 15)
        for claim in claims:
            with self.subTest(joined(claim)[:60]):
                named = re.findall(r"`(tests/[\w/.]+)`:\s+((?:`\w+`[\s,]*)+)", claim)
                self.assertTrue(named)
                for path, tests in named:
                    for test in re.findall(r"\w+", tests):
                        self.assertRegex(read(path), rf"START_TEST\({test}\)|def {test}\(")

    def test_bounds_are_those_of_the_man_page(self):
        page, text = joined(ManPage().text("SECURITY")), joined(read(".github/SECURITY.md"))
        for bound in ("16 MiB", "64 KiB", "20,000 entries"):
            self.assertIn(bound, page)
            self.assertIn(bound, text)

    def test_exposure(self):
        """The figure that the tests of the units and of the booted system hold it to."""
        figure = re.search(r"`systemd-analyze security` says ([\d.]+)", joined(read(".github/SECURITY.md")))[1]
        for path in ("tests/test_units.py", "tests/system/test_security.py"):
            self.assertIn(f", {figure}", read(path))


class Files(unittest.TestCase):
    def test_of_the_tree(self):
        text = read("README.md")
        paths = set(re.findall(r"\]\(([^):]+)\)", text))
        paths |= set(re.findall(r"\b(?:conf|man|src|tests|units)/[\w./-]+\w", text))
        self.assertGreater(len(paths), 3)
        for path in paths:
            if not path.startswith("src/mcp-optimizer"):
                with self.subTest(path):
                    self.assertTrue((SOURCE / path).exists())

    def test_examples(self):
        conf = {path.name for path in (SOURCE / "conf").glob("*.*")} - {"meson.build"}
        named = {name for tag, _ in ManPage().tagged("SYSTEMD") for name in tag.split(", ")
                 if re.search(r"\.(conf|service)$", name)}
        self.assertEqual(named, conf)
        for name in conf:
            self.assertIn(f"'{name}'", read("conf/meson.build"))

    def test_installed(self):
        units = read("units/meson.build")
        for tag, _ in ManPage().tagged("FILES"):
            for path in tag.split(", "):
                if path.startswith("/usr/lib/systemd/"):
                    with self.subTest(path):
                        folder, name = Path(path).parts[-2:]
                        self.assertIn(f"unitdir / '{folder}'", units)
                        self.assertIn(f"'{name}'", units)
        self.assertIn("'mcp-optimizer.8'", read("man/meson.build"))

    def test_completions(self):
        told = {path for tag, _ in ManPage().tagged("FILES") for path in tag.split(", ")
                if "complet" in path or "site-functions" in path}
        installed = set()
        calls = re.findall(r"install_data\('completions/(.*?)\)\n", read("conf/meson.build"), re.S)
        for call in calls:
            name = (re.search(r"rename : '([^']+)'", call) or re.match(r"([^']+)'", call))[1]
            folders = re.findall(r"'([^']+)'", call.partition("get_option('datadir')")[2])
            installed.add("/".join(["/usr/share", *folders, name]))
        self.assertEqual(len(told), 3)
        self.assertEqual(told, installed)

    def test_directories_of_the_unit(self):
        text = ManPage().text("FILES")
        self.assertIn(f"/run/{assignments(SYSTEM_UNIT, 'RuntimeDirectory')[0]}/state.json", text)
        self.assertIn(f"/var/lib/{assignments(SYSTEM_UNIT, 'StateDirectory')[0]}/state.json", text)

    def test_discovery_file(self):
        below = re.search(r'BELOW_STATE_HOME "([^"]+)"', read("src/source/discovery_file.c"))[1]
        self.assertIn(f"~/.local/state/{below}", ManPage().text("FILES"))
        self.assertIn(below, ManPage().text("OPTIONS AND ENVIRONMENT"))


class Unit(unittest.TestCase):
    def test_settings_that_the_page_quotes(self):
        quoted = re.findall(r"\b([A-Z][a-z]\w+)=([\w-]+)", ManPage().text("SYSTEMD", "SECURITY"))
        quoted = [pair for pair in quoted if pair[0] not in ("Environment", "Requires", "After")]
        self.assertGreaterEqual(len(quoted), 8)
        for key, value in quoted:
            with self.subTest(key):
                self.assertEqual(assignments(SYSTEM_UNIT, key), [value])

    def test_units_that_need_the_connection(self):
        """The page's example is the one of the wait units' comments, and the time theirs."""
        page = ManPage().sections["SYSTEMD"]
        example = next(example for example in examples_in(page) if example.startswith("[Unit]"))
        self.assertEqual(len(example.splitlines()), 3)
        for path in WAIT_UNITS:
            comment = re.sub(r"^#[ \t]*", "", path.read_text(encoding="utf-8"), flags=re.M)
            self.assertIn(example, comment)
            limit = re.search(r" wait --timeout=(\d+)", assignments(path, "ExecStart")[0])[1]
            self.assertIn(f"for {limit} s at most", joined(text_of(page)))

    def test_watchdog(self):
        half = int(assignments(SYSTEM_UNIT, "WatchdogSec")[0]) // 2
        self.assertIn(f"whenever {half} s have passed", joined(ManPage().text("SYSTEMD")))

    def test_memory(self):
        """README and the unit speak of the same amount."""
        amount = re.search(r"about (\d+) MiB of memory", read("README.md"))[1]
        self.assertIn(f"# About {amount} MiB in use", SYSTEM_UNIT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_tests()
