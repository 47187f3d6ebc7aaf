#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Completion: what the program answers, held against what its --help says, and what the shells make
of it. bash and zsh run on a terminal, and what they typed is what the program is then started with;
fish is asked without one."""

import contextlib
import json
import os
import pathlib
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
import unittest

from scene import LIST, LIST_ROUTE, Scene
from harness import HERE, SLOWNESS, Process, free_port, loopback, main, spawn, wait_for

COMPLETIONS = HERE.parent / "conf" / "completions"
COMMANDS = ["run", "status", "wait", "list", "show", "registry", "install", "help"]
LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
FILES = ("", "files")
NOBODY = f"http://{loopback()}:{free_port()}"

# Names as only an enemy gives them: each is to arrive as it is, and to do nothing on its way.
HOSTILE = {"$": "$(touch pwned)", "`": "`touch pwned`", "a b": "a b;touch pwned", "q'": "q'$(touch pwned)'",
           'd"': 'd"$(touch pwned)"', "c:": "c:d$(touch pwned)", "b": "b\\c\\\\d", "*": "*", "~": "~root",
           "é": "é€", "%": "%s%n"}
SERVERS = ["fetch", "io.github.someone/time", "time"]


def document(workloads=("everything", "fetch"), servers=SERVERS):
    """A state file, as a service leaves it behind."""
    items = [{"name": name, "namespace": None, "status": "running", "url": None, "transport": None, "group": None,
              "package": None, "remote": False} for name in sorted(workloads, key=str.encode)]
    poll = {"polled_at": "2026-11-22T16:01:31.000Z", "next_poll_at": None, "problem": None}
    return {
        "schema": 1, "version": "0.1.0", "pid": 1, "started_at": "2026-11-22T16:01:30.000Z", "runtime_mode": "docker",
        "host": "localhost",
        "connection": {
            "state": "connected", "endpoint": "http://127.0.0.1:50001", "port": 50001, "toolhive_version": "v0.44.0",
            "since": "2026-11-22T16:01:31.000Z", "attempt": 0, "max_retries": 100, "backoff_seconds": 0.0,
            "next_attempt_at": None, "last_error": None, "last_error_at": None},
        "workloads": {**poll, "total": len(items), "running": len(items), "skipped": 0, "items": items},
        "registry": {**poll, "last_updated": None, "servers": len(servers), "names": sorted(servers)},
        "counters": {"requests": 0, "failures": 0, "reconnects": 0, "port_changes": 0, "scans": 0}}


def plant(folder, **parts):
    path = pathlib.Path(folder) / "state.json"
    path.write_text(json.dumps(document(**parts), ensure_ascii=False))
    return path


def run(*arguments, **settings):
    """What the program prints when it has nothing of this process's environment, and nothing goes wrong."""
    kept = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}
    environment = {"HOME": "/nonexistent", **kept, **{key.upper(): str(value) for key, value in settings.items()}}
    done = subprocess.run([os.environ["MCP_OPTIMIZER_BINARY"], *map(str, arguments)], env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30 * SLOWNESS)
    if (done.returncode, done.stderr) != (0, ""):
        raise AssertionError((arguments, done))
    return done.stdout


def complete(*words, **settings):
    """The answer: (candidate, description or None) of each line."""
    output = run("complete", *words, **{"state_file": "none", "toolhive_api_url": NOBODY, **settings})
    lines = [line.partition("\t") for line in output.split("\n")[:-1]]
    return [(candidate, description if tab else None) for candidate, tab, description in lines]


def candidates(*words, **settings):
    return [candidate for candidate, _ in complete(*words, **settings)]


def help_of(*words):
    """The options of a help text, each with what is said below it."""
    output = run(*words)
    parts = re.findall(r"^  (--[\w-]+).*\n((?: {6}.*\n)+)", output, re.M)
    return output, {option: " ".join(text.split()) for option, text in parts}


class TestAnswers(unittest.TestCase):
    def test_all_options_of_help(self):
        _, options = help_of("--help")
        self.assertGreater(len(options), 25)
        offered = complete("--")
        self.assertEqual(sorted(option for option, _ in offered), sorted(options))
        for option, description in offered:
            self.assertTrue(options[option].startswith(description), option)

    def test_all_commands_of_help(self):
        text, _ = help_of("--help")
        commands = re.findall(r"^  (\w+) ", text.partition("Commands:\n")[2].partition("\n\n")[0], re.M)
        self.assertEqual(commands, COMMANDS)
        self.assertEqual(candidates(""), commands)
        self.assertEqual(candidates("help", ""), commands)
        self.assertNotIn(None, [description for _, description in complete("")])

    def test_all_options_of_each_command(self):
        settings = set(help_of("--help")[1]) - {"--help", "--version", "--check-config"}
        for command in COMMANDS:
            _, own = help_of("help", command)
            offered = candidates(command, "--")
            self.assertEqual(len(set(offered)), len(offered), command)
            self.assertEqual(set(offered) - settings - {"--help"}, set(own) - settings - {"--help"}, command)
            self.assertLessEqual(settings | {"--help"}, set(offered), command)

    def test_places(self):
        install = ["--as", "--env", "--secret", "--group", "--url", "--transport", "--wait", "--timeout", "--json"]
        for words, expected in {
                ("s",): ["status", "show"],
                ("x",): [], (): [],
                ("--toolhive-t",): ["--toolhive-timeout"],
                ("list", "--log-f"): ["--log-format"],
                ("--log-level", "INFO", "st"): ["status"],
                ("--log-level=INFO", "st"): ["status"],
                ("-h", "st"): ["status"],
                # values, in any case, and none where nobody can know
                ("--log-level", ""): LEVELS,
                ("--log-level", "wa"): ["WARNING"],
                ("list", "--log-level", "E"): ["ERROR"],
                ("--log-level=",): [f"--log-level={level}" for level in LEVELS],
                ("--log-level=d",): ["--log-level=DEBUG"],
                ("--runtime-mode", "d"): ["docker"],
                ("--log-format", "j"): ["json", "journal"],
                ("--k8s-all-namespaces", ""): ["true", "false"],
                ("--k8s-all-namespaces=F",): ["--k8s-all-namespaces=false"],
                ("--toolhive-port", ""): [], ("--toolhive-api-url=",): [], ("--toolhive-max-retries", "1"): [],
                ("--bogus=",): [], ("--json=",): [],
                ("install", "x", "--transport", ""): ["sse", "streamable-http"],
                ("install", "--transport=s"): ["--transport=sse", "--transport=streamable-http"],
                ("install", "x", "--env", ""): [], ("install", "x", "--env", "A="): [],
                # two dashes are no value
                ("list", "--log-level", "--js"): ["--json"],
                # what can follow nothing else, and not again
                ("status", ""): ["--alive", "--json"],
                ("status", "--json", ""): ["--alive"],
                ("wait", "--timeout=3", ""): ["--json"],
                ("show", "x", ""): ["--json", "--timeout"],
                ("install", "x", "--env", "A=b", "--json", ""): install[:-1],
                ("run", ""): [],
                ("status", "--json", "--js"): [],
                # behind "--" there are only words
                ("list", "--", "--"): [], ("--", "st"): ["status"], ("--", "--"): [],
                # what is not understood
                ("bogus", ""): [], ("bogus", "--"): [], ("complete", ""): [], ("complete", "--"): [],
                ("help", "in"): ["install"], ("help", "list", ""): [],
        }.items():
            with self.subTest(words=words):
                self.assertEqual(candidates(*words), expected)

    def test_files(self):
        for words, expected in {
                ("--state-file", ""): [("none", None), FILES],
                ("--state-file", "/tmp/x"): [FILES],
                ("--toolhive-discovery-file", ""): [("auto", None), ("none", None), FILES],
                ("--toolhive-discovery-file=a",): [("--toolhive-discovery-file=auto", None), FILES],
                ("list", "--metrics-file=/"): [FILES]}.items():
            with self.subTest(words=words):
                self.assertEqual(complete(*words), expected)

    def test_bad_settings_are_no_reason_for_a_word(self):
        for settings in ({"toolhive_max_retries": 0}, {"runtime_mode": "k8s"}, {"toolhive_prot": 1},
                         {"log_level": "debug", "log_format": "json"}, {"state_file": "relative/path"}):
            with self.subTest(**settings):
                self.assertEqual(candidates("sh", **settings), ["show"])
                complete("--toolhive-max-retries=x", "show", "", **settings)


class TestNames(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def test_of_the_state_file(self):
        path = plant(self.folder)
        self.assertEqual(complete("show", "", state_file=path), [("everything", "running"), ("fetch", "running")])
        self.assertEqual(candidates("show", "--json", "fe", state_file=path), ["fetch"])
        self.assertEqual(candidates("show", "--state-file", path, ""), ["everything", "fetch"])
        for command in ("registry", "install"):
            self.assertEqual(complete(command, "", state_file=path), [(name, None) for name in SERVERS])
        self.assertEqual(candidates("install", "io.", state_file=path), ["io.github.someone/time"])

    def test_that_would_be_options(self):
        path = plant(self.folder, workloads=["--json", "-x", "fetch"])
        self.assertEqual(candidates("show", "", state_file=path), ["fetch"])
        self.assertEqual(candidates("show", "--", "-", state_file=path), ["--json", "-x"])

    def test_none_from_a_state_file_of_no_use(self):
        path = pathlib.Path(self.folder) / "state.json"
        for text in ("", "{", json.dumps({**document(), "schema": 2}),
                     json.dumps(document(workloads=["a\tb"])), json.dumps(document(workloads=["a\nb"]))):
            path.write_text(text)
            self.assertEqual(complete("show", "", state_file=path), [])

    def test_of_toolhive(self):
        with Scene() as scene:
            standin = scene.standin(workloads=3)
            address = {"toolhive_api_url": scene.url(), "log_level": "debug"}
            workloads = complete("show", "", **address)
            self.assertEqual(len(workloads), 3)
            self.assertLessEqual({"running"}, {status for _, status in workloads})
            servers = candidates("install", "", **address)
            self.assertGreater(len(servers), 10)
            self.assertEqual(candidates("--toolhive-api-url", scene.url(), "registry", servers[0]),
                             [name for name in servers if name.startswith(servers[0])])

            # An answer that is none, and a failure, which is not tried again.
            for behaviour in ({"name": "status", "code": 500}, {"name": "reset-after-request"}):
                standin.behave(**behaviour, route=LIST_ROUTE)
                standin.reset()
                self.assertEqual(complete("show", "", toolhive_initial_backoff=0.1, **address), [])
                self.assertEqual(len(standin.requests(LIST)), 1)
                standin.clear()

            # No answer: an attempt may last 10 s, but nobody waits so long for a key.
            standin.behave("hang", route=LIST_ROUTE)
            start = time.monotonic()
            self.assertEqual(complete("show", "", **address), [])
            self.assertLess(time.monotonic() - start, 4 * SLOWNESS)
            self.assertGreater(time.monotonic() - start, 0.9)

    def test_without_anybody(self):
        self.assertEqual(complete("show", ""), [])
        self.assertEqual(complete("install", ""), [])


class Shell(Process):
    """A shell on a terminal, with our completion, and in $PATH the program: asked to complete it does,
    else it writes down what it was started with."""

    def __init__(self, folder, arguments, **variables):
        self.folder = pathlib.Path(folder)
        self.written = self.folder / "written"
        programs = self.folder / "bin"
        programs.mkdir()
        program = programs / "mcp-optimizer"
        binary = shlex.quote(os.environ["MCP_OPTIMIZER_BINARY"])
        program.write_text(f'#!/bin/sh\n[ "$1" != complete ] || exec {binary} "$@"\n'
                           f'printf "%s\\0" "$@" >written.new && mv written.new written\n')
        program.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}
        self.environment = {"PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb", "HOME": folder,
                            "TOOLHIVE_API_URL": NOBODY, **kept, **variables}
        self.master, slave = os.openpty()
        super().__init__(spawn(["setsid", "--ctty", *arguments], env=self.environment, cwd=folder, stdin=slave,
                               stdout=slave, stderr=slave))
        os.close(slave)
        self.shown = b""

    def __exit__(self, *_):
        super().__exit__()
        os.close(self.master)

    def read(self):
        """Something is shown in the end, a prompt for instance: no need to look all the time."""
        if select.select([self.master], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):
                self.shown += os.read(self.master, 65536)

    def wait_prompt(self):
        wait_for(lambda: self.read() or b"ready> " in self.shown, 20, "the prompt")

    def enter(self, line):
        """Types the line, tabs included: the words that the program is then started with."""
        self.written.unlink(missing_ok=True)
        os.write(self.master, line.encode() + b"\r")
        try:
            wait_for(lambda: self.read() or self.written.exists(), 10, line)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.shown.decode()}") from None
        return self.written.read_bytes().decode().split("\0")[:-1]


class ShellTests:
    """What every shell on a terminal has to do, in one session, since their start is what costs."""

    own_rows = {}

    def shell(self, folder, **variables):
        raise NotImplementedError

    def afterwards(self, shell):
        pass

    def test_types_what_is_meant(self):
        with tempfile.TemporaryDirectory() as folder:
            state = plant(folder, workloads=["everything", *HOSTILE.values()])
            (pathlib.Path(folder) / "files").mkdir()
            (pathlib.Path(folder) / "files" / "a b.json").write_text(json.dumps(document(workloads=["other"])))
            with self.shell(folder, STATE_FILE=str(state)) as shell:
                shell.wait_prompt()
                for typed, expected in {
                        "sta\t": ["status"],
                        "--log-lev\twarn\tli\t": ["--log-level", "WARNING", "list"],
                        "--log-level=cr\tli\t": ["--log-level=CRITICAL", "list"],
                        "list --js\t": ["list", "--json"],
                        "--log-level 'INFO' show ev\t": ["--log-level", "INFO", "show", "everything"],
                        "show \"ev\t": ["show", "everything"],
                        "install io\t": ["install", "io.github.someone/time"],
                        "--metrics-file fi\ta\tstat\t": ["--metrics-file", "files/a b.json", "status"],
                        "--metrics-file=fi\ta\tstat\t": ["--metrics-file=files/a b.json", "status"],
                        "--state-file='files/a b.json' show ot\t": ["--state-file=files/a b.json", "show", "other"],
                        "bog\t": ["bog"],
                        **{f"show {self.typed(start)}\t": ["show", name] for start, name in HOSTILE.items()},
                        **self.own_rows,
                }.items():
                    with self.subTest(typed=typed):
                        self.assertEqual(shell.enter(f"mcp-optimizer {typed}"), expected)
                self.afterwards(shell)
            self.assertFalse(list(pathlib.Path(folder).rglob("pwned*")))

    def typed(self, start):
        """The beginning of a name as a person types it."""
        return re.sub(r"([^\w:])", r"\\\1", start)


class TestBash(ShellTests, unittest.TestCase):
    # Behind an open quote nothing can be quoted, so that only what need not be is offered there.
    own_rows = {"show \"a\t\"": ["show", "a"], "show '$\t'": ["show", "$"]}

    def shell(self, folder, **variables):
        startup = pathlib.Path(folder) / "bashrc"
        startup.write_text(f"source {shlex.quote(str(COMPLETIONS / 'mcp-optimizer.bash'))}\nPS1='ready> '\n")
        return Shell(folder, ["bash", "--noprofile", "--rcfile", str(startup), "-i"], INPUTRC="/dev/null",
                     **variables)

    def test_function(self):
        """Without readline: what the function that was registered leaves in COMPREPLY."""
        with tempfile.TemporaryDirectory() as folder:
            script = f"""
                source {shlex.quote(str(COMPLETIONS / 'mcp-optimizer.bash'))}
                [[ $(complete -p mcp-optimizer) =~ -F\\ ([^ ]+) ]]
                COMP_LINE='mcp-optimizer --log-level=D' COMP_POINT=${{#COMP_LINE}}
                COMP_WORDS=(mcp-optimizer --log-level = D) COMP_CWORD=3
                "${{BASH_REMATCH[1]}}" mcp-optimizer D =
                printf '<%s>' "${{COMPREPLY[@]}}"
                COMP_WORDS=(mcp-optimizer) COMP_CWORD=1 COMP_LINE='mcp-optimizer st' COMP_POINT=16
                COMP_WORDS+=(st)
                "${{BASH_REMATCH[1]}}" mcp-optimizer st mcp-optimizer
                printf '<%s>' "${{COMPREPLY[@]}}"
            """
            os.symlink(os.environ["MCP_OPTIMIZER_BINARY"], pathlib.Path(folder) / "mcp-optimizer")
            done = subprocess.run(["bash", "--noprofile", "--norc", "-u", "-c", script], cwd=folder, text=True,
                                  capture_output=True, timeout=30 * SLOWNESS,
                                  env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin"})
        self.assertEqual((done.stdout, done.stderr), ("<DEBUG><status>", ""))


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class TestZsh(ShellTests, unittest.TestCase):
    own_rows = {"show \"a\t": ["show", HOSTILE["a b"]], "show '$\t": ["show", HOSTILE["$"]]}

    def shell(self, folder, **variables):
        (pathlib.Path(folder) / ".zshrc").write_text(
            f"fpath=({shlex.quote(str(COMPLETIONS))} $fpath)\nautoload -Uz compinit\ncompinit -D -u\n"
            "unsetopt zle_bracketed_paste beep\nPS1='ready> '\n")
        return Shell(folder, ["zsh", "-o", "no_global_rcs", "-i"], ZDOTDIR=folder, **variables)

    def afterwards(self, shell):
        os.write(shell.master, b"mcp-optimizer s\t\t")
        wait_for(lambda: shell.read() or re.search(rb"show +-- one workload's details", shell.shown), 10,
                 "the description")


@unittest.skipUnless(shutil.which("fish"), "fish is not installed")
class TestFish(unittest.TestCase):
    def test_candidates(self):
        with tempfile.TemporaryDirectory() as folder:
            state = plant(folder, workloads=["everything", *HOSTILE.values()])
            (pathlib.Path(folder) / "files").mkdir()
            (pathlib.Path(folder) / "files" / "a b.json").touch()
            os.symlink(os.environ["MCP_OPTIMIZER_BINARY"], pathlib.Path(folder) / "mcp-optimizer")
            rows = {
                "sho": ["show\tone workload's details"],
                "--log-level wa": ["WARNING"],
                "--log-level=cr": ["--log-level=CRITICAL"],
                "list --js": ["--json\tPrints one JSON document instead."],
                "show ev": ["everything\trunning"],
                "show \"ev": ["everything\trunning"],
                "install io": ["io.github.someone/time"],
                "--metrics-file fi": ["files/"],
                "--metrics-file=files/": ["--metrics-file=files/a b.json"],
                "show \\$": ["$(touch pwned)\trunning"],
                "show c:": ["c:d$(touch pwned)\trunning"],
            }
            script = "\n".join(f"complete -C {shlex.quote('mcp-optimizer ' + typed)}; printf '\\0'" for typed in rows)
            # As fish would insert them, and what arrives then.
            script += """
                for answer in (complete --escape -C 'mcp-optimizer show ')
                    eval "printf '%s\\n' "(string split -f 1 \\t -- $answer)
                end
            """
            done = subprocess.run(
                ["fish", "--no-config", "-c", f"set -g fish_complete_path {shlex.quote(str(COMPLETIONS))}\n{script}"],
                cwd=folder, text=True, capture_output=True, timeout=60 * SLOWNESS,
                env={**os.environ, "PATH": f"{folder}:/usr/bin:/bin", "HOME": folder, "STATE_FILE": str(state),
                     "TOOLHIVE_API_URL": NOBODY, "LANG": "C.UTF-8"})
            *answers, inserted = [part.splitlines() for part in done.stdout.split("\0")]
            self.assertFalse(list(pathlib.Path(folder).rglob("pwned*")))
        self.assertEqual(done.stderr, "")
        # fish leaves a tilde what it is at the beginning of a word: a home folder, which is harmless.
        names = {"everything", *HOSTILE.values()} - {"~root"}
        self.assertEqual(set(inserted) & names, names)
        self.assertEqual(len(inserted), len(names) + 1)
        for (typed, expected), answer in zip(rows.items(), answers, strict=True):
            with self.subTest(typed=typed):
                self.assertEqual([line.rstrip("\t") for line in answer], expected)


if __name__ == "__main__":
    main(abreast=True)
