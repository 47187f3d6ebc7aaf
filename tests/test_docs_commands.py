# SPDX-License-Identifier: Apache-2.0
"""The documentation of the commands against the program: usage, options, exit codes, JSON keys and
examples of real output, in both directions; and every command line that the texts show.
"""

import json
import re
import shlex
import tempfile
import unittest
from pathlib import Path

from harness import Optimizer, Standin, free_port, state, wait_for
from manpage import (CommandHelp, ManPage, accepted, examples_in, help_commands, joined, plain, read, run,
                     tables_in, tagged_in, text_of)
from runner import run_tests


class Commands(unittest.TestCase):
    def setUp(self):
        self.page = ManPage()

    def test_the_same_as_help(self):
        self.assertGreater(len(self.page.commands), 6)
        self.assertEqual(list(self.page.commands), help_commands())

    def test_usage(self):
        for name, body in self.page.commands.items():
            with self.subTest(name):
                synopsis = joined(text_of(body.partition("\n.PP\n")[0]))
                self.assertEqual(synopsis, CommandHelp(name).usage)

    def test_options(self):
        for name, body in self.page.commands.items():
            described = {}
            for tag, text in tagged_in(body):
                option, metavar = re.fullmatch(r"--([\w-]+) ?(\S*)", tag).groups()
                described[option] = (metavar, accepted(text))
            with self.subTest(name):
                self.assertEqual(list(described.items()), list(CommandHelp(name).options.items()))

    def test_exit_statuses(self):
        """Word by word, but for those that all commands have."""
        for name, body in self.page.commands.items():
            own = [status for status in CommandHelp(name).exits
                   if status.split()[0] not in ("78", "130")]
            described = joined(text_of(body)).rpartition(" Exit status: ")[2]
            with self.subTest(name):
                self.assertEqual(described, "; ".join(own) + ".")

    def test_what_is_an_address(self):
        """The settings that keep a command from asking first where the service is connected."""
        rows = re.findall(r'\.option = "([^"]+)"(.*?)\.help', read("src/base/option_table.c"), re.S)
        addresses = {option for option, row in rows if ".address = true" in row}
        self.assertGreater(len(addresses), 3)
        named = re.search(r"unless one of (.*?) or its variable",
                          joined(text_of(self.page.sections["COMMANDS"])))[1]
        self.assertEqual(set(re.findall(r"--([\w-]+)", named)), addresses)

    def test_where_the_state_is_looked_for(self):
        text = text_of(self.page.sections["COMMANDS"].partition("\n.SS ")[0])
        named = re.findall(r"\S*/state\.json", text)
        self.assertEqual(len(named), 3)
        if Path(named[-1]).exists():
            self.skipTest(f"this machine has {named[-1]}")
        folders = {"RUNTIME_DIRECTORY": "/nowhere/a", "XDG_RUNTIME_DIR": "/nowhere/b"}
        for variable, folder in folders.items():
            named = [path.replace(f"${variable}", folder) for path in named]
        self.assertEqual(re.findall(r"\S*/state\.json", run("status", **folders)[1]), named)


# ---- what commands print ----

TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


def leaves(value, path=""):
    """Path and type of each value: servers[].tags[], string."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path, TYPES[type(value)]


def transcript(text):
    """Command and output, of each `$ command` of an example."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def facts(text):
    """Label -> lines, of `status`, `show` and `registry NAME`."""
    found = {}
    for line in text.splitlines():
        if labelled := re.match(r" *([A-Z][\w ]*): (.*)", line):
            label = labelled[1]
            found[label] = [labelled[2]]
        elif found and line.startswith("   "):
            found[label].append(line.strip())
    return found


class CommandOutput(unittest.TestCase):
    """The documents' keys and types, and the examples, against what the program prints."""

    @classmethod
    def setUpClass(cls):
        cls.page = ManPage()
        cls.standin = cls.enterClassContext(Standin())
        cls.standin.control("toolhive", starting_ms=0)

    def setUp(self):
        self.standin.clear()
        self.standin.control("workloads", count=0)
        self.standin.control("registry", servers=0, remote_servers=0)

    def ask(self, *arguments, code=0, **settings):
        got, output, log = run(*arguments, **{"TOOLHIVE_API_URL": self.standin.urls[0],
                                              "STATE_FILE": "none", **settings})
        self.assertEqual(got, code, log)
        return output if code == 0 else log

    def document(self, *arguments, **settings):
        return json.loads(self.ask(*arguments, "--json", **settings))

    def documents_of_a_cluster(self, *arguments):
        """The same of Kubernetes, where there is one object."""
        with Standin(backend="kubernetes", workloads=1) as cluster:
            return [self.document(*arguments, RUNTIME_MODE="k8s", K8S_TOKEN_FILE="none",
                                  K8S_API_SERVER_URL=cluster.urls[0])]

    def answer(self, route, document):
        self.standin.behave("json", route=f"GET /api/v1beta/{route}", text=json.dumps(document))

    def documented(self, command, heading="Key"):
        for rows in tables_in(self.page.commands[command]):
            if rows[0][0] == heading:
                return {key: set(types.split(" or ")) for key, types, *_ in rows[1:]}
        raise AssertionError(f"no table of {heading}")

    def assert_documented(self, documents, documented, unseen=()):
        """All keys, and of each exactly these types; unseen (key, type) cannot be brought about."""
        seen = {}
        for document in documents:
            for path, kind in leaves(document):
                seen.setdefault(path, set()).add(kind)
        for path, kind in unseen:
            self.assertNotIn(kind, seen[path], path)
            seen[path].add(kind)
        self.assertEqual(seen, documented)

    def example(self, command):
        """The output that the page shows for a command line."""
        return next(output for text in examples_in(self.page.commands[command.split()[0]])
                    for line, output in transcript(text) if line == f"mcp-optimizer {command}")

    def serve(self):
        """A running service; its state file."""
        service = self.enterContext(Optimizer(toolhive_api_url=self.standin.urls[0]))
        wait_for(lambda: (state(service) or {}).get("registry", {}).get("polled_at"), 10, "a poll")
        return service.runtime / "state.json"

    def test_keys_of_status(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "bad").write_text("damaged")
        (folder / "odd.lock").mkdir()
        documents = []
        for path, code in ((self.serve(), 0), (folder / "bad", 3), (folder / "absent", 3),
                           (folder / "odd", 1)):
            got, output, _ = run("status", "--json", STATE_FILE=str(path))
            self.assertEqual(got, code)
            document = json.loads(output)
            if document["state"]:
                self.assertEqual(document["state"], json.loads(path.read_text()))
                document["state"] = {}
            documents.append(document)
        documented = self.documented("status")
        self.assertEqual(documented.pop("state"), {"object", "null"})
        self.assertEqual([document.pop("state") for document in documents], [{}, None, None, None])
        self.assert_documented(documents, documented)

    def test_keys_of_wait(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "odd.lock").mkdir()
        documents = []
        for path, code in ((self.serve(), 0), (folder / "absent", 3), (folder / "odd", 1)):
            got, output, log = run("wait", "--json", "--timeout=0", STATE_FILE=str(path))
            self.assertEqual(got, code)
            documents.append(json.loads(output))
            self.assertEqual(log, f"ERROR    {documents[-1]['problem']}\n" if code else "")
        self.assert_documented(documents, self.documented("wait"))

    def test_keys_of_list(self):
        absent = dict.fromkeys(("url", "transport_type", "group", "package"))
        self.standin.control("workloads", update={"bare": absent},
                             add=[{"name": "full"}, {"name": "bare", "status": "stopped"}])
        self.assert_documented([self.document("list", "--all"), *self.documents_of_a_cluster("list", "--all")],
                               self.documented("list"))

    def test_keys_of_show(self):
        self.standin.control("workloads", add=[{"name": "local"},
                                               {"name": "remote", "remote": True}])
        full = {"transport": "stdio", "proxy_mode": "sse", "group": "default", "host": "127.0.0.1",
                "proxy_port": 17520, "target_port": 8080, "tools": ["a"], "cmd_arguments": ["b"],
                "volumes": ["/c:/d"], "network_isolation": True,
                "permission_profile": {"name": "network"}, "env_vars": {"NAME": "confidential"},
                "secrets": [{"name": "confidential", "target": "E"}]}
        for name, details in {
            "local": {**full, "image": "i", "url": "http://127.0.0.1:17520/mcp"},
            "remote": {**full, "url": "https://mcp.example.com/mcp"},
            "bare": {},
        }.items():
            self.answer(f"workloads/{name}", {"name": name, **details})
        documents = [self.document("show", name) for name in ("local", "remote", "bare")]
        self.assert_documented(documents + self.documents_of_a_cluster("show", "mcpserver-00000"),
                               self.documented("show"))
        mask = re.search(r"The mask, (\S+),", joined(text_of(self.page.commands["show"])))[1]
        for document in documents[:2]:
            self.assertEqual((document["env_vars"], document["secrets"]),
                             ({"NAME": mask}, [{"target": "E", "name": mask}]))

    def test_keys_of_registry(self):
        settings = [{"name": "TOKEN", "description": "What opens it", "required": True,
                     "secret": True, "default": "no"}, {"name": "OTHER"}]
        full = {"title": "T", "description": "D", "tier": "Official", "status": "Active",
                "transport": "stdio", "repository_url": "https://example.com", "tools": ["t"],
                "tags": ["g"]}
        local = {**full, "image": "i", "env_vars": settings, "args": ["--verbose"]}
        remote = {**full, "url": "https://mcp.example.com/mcp", "headers": settings}
        entries, lists = [], []
        for name, key, server in (("local", "server", local), ("remote", "remote_server", remote),
                                  ("bare", "server", {})):
            self.answer(f"registry/default/servers/{name}", {key: {"name": name, **server}})
            entries.append(self.document("registry", name))
        for date in ({"last_updated": "2026-02-18T00:24:11Z"}, {}):
            self.standin.clear()
            self.answer("registry/default", {**date, "registry": {
                **date, "servers": {"local": local, "bare": {}}, "remote_servers": {"r": remote}}})
            lists.append(self.document("registry"))

        documented = self.documented("registry")
        self.assert_documented(lists, documented)
        of_one = {key.removeprefix("servers[]."): types
                  for key, types in documented.items() if "." in key}
        self.assert_documented(entries, of_one | self.documented("registry", "Key of one"))

    def test_keys_of_install(self):
        self.standin.control("registry", add=[{"name": "fetch", "env_vars": []}])
        documents = [self.document("install", "fetch"),
                     self.document("install", "fetch", "--as=a", "--wait=0")]
        self.standin.behave("status", route="POST /api/v1beta/workloads", code=201,
                            body='{"name": "b"}', type="application/json")
        documents.append(self.document("install", "fetch", "--as=b", "--wait=0"))
        self.assert_documented(documents, self.documented("install"))

    def test_example_of_status(self):
        def form(text):
            """The first line but for ToolHive's version, labels, how many lines each has."""
            return (text.partition("\n")[0].rpartition(" ")[0],
                    [(label, len(lines)) for label, lines in facts(text).items()])

        shown, output = self.example("status"), run("status", STATE_FILE=str(self.serve()))[1]
        self.assertEqual(form(shown), form(output))
        of_readme = dict(transcript(read("README.md")))["mcp-optimizer status"]
        self.assertTrue(shown.startswith(of_readme.rstrip("…\n")))

    def test_example_of_list(self):
        shown = self.example("list")
        self.assertIn(shown, read("README.md"))
        keys = ("name", "status", "transport_type", "group", "url")
        row = dict(zip(keys, shown.splitlines()[1].split(), strict=True))
        self.standin.control("workloads", add=[row])
        self.assertEqual(self.ask("list"), shown)

    def test_example_of_show(self):
        shown = self.example("show everything")
        told = {label: lines[0] for label, lines in facts(shown).items()}
        self.standin.control("workloads", add=[
            {"name": told["Name"], "status": told["Status"], "url": told["URL"], "remote": True}])
        self.answer(f"workloads/{told['Name']}", {
            "name": told["Name"], "transport": told["Transport"],
            "proxy_mode": told["Proxy mode"], "url": told["Remote URL"], "group": told["Group"],
            "host": told["Host"], "proxy_port": int(told["Proxy port"]),
            "target_port": int(told["Target port"]),
            "network_isolation": told["Network isolation"] == "yes",
            "permission_profile": {"name": told["Permissions"]},
            "env_vars": {line.partition("=")[0]: "confidential"
                         for line in facts(shown)["Environment"]}})
        self.assertEqual(self.ask("show", "everything"), shown)

    def test_examples_of_registry(self):
        """In a pipe nothing is cut or broken into lines."""
        def table(text):
            return [re.split("  +", row) for row in text.splitlines()]

        shown = self.example("registry --search kubernetes")
        self.standin.control("registry", add=[
            {"name": name, "remote": kind == "remote", "tier": tier, "tags": ["kubernetes"]}
            for name, kind, tier, _ in table(shown)[1:]])
        output = self.ask("registry", "--search", "kubernetes")
        self.assertEqual([row[:3] for row in table(output)], [row[:3] for row in table(shown)])

        shown = self.example("registry fetch")
        told = {label.lower(): joined(" ".join(lines)) for label, lines in facts(shown).items()}
        same = ("name", "description", "image", "transport", "tier", "status")
        self.answer("registry/default/servers/fetch", {"is_remote": False, "server": {
            **{key: told[key] for key in same}, "repository_url": told["repository"],
            "tools": told["tools"].split(", "), "tags": told["tags"].split(", ")}})
        self.assertEqual(joined(self.ask("registry", "fetch")), joined(shown))

    def test_examples_of_install(self):
        command = "install io.github.stacklok/fetch"
        server = command.partition(" ")[2]
        self.standin.control("registry", add=[{"name": server, "env_vars": []}])
        self.assertEqual(self.ask(*command.split()), self.example(command))

        shown = joined(self.example("install github"))
        name = re.search(r"ERROR (\S+) needs 1 more setting", shown)[1]
        key, description = re.search(r"ERROR (\S+) \(secret\): (.*?) ERROR", shown).groups()
        self.standin.control("registry", add=[{"name": name, "env_vars": [
            {"name": key, "description": description, "required": True, "secret": True}]}])
        log = self.ask("install", name, code=6)
        self.assertEqual(joined(log[log.index("ERROR"):]), shown)

    def test_example_of_a_wait_in_a_pipe(self):
        """But for the numbers."""
        def form(text):
            return re.sub(r"\battempts$", "attempt", re.sub(r"\d+", "N", joined(text)))

        shown = next(text for text in examples_in(self.page.sections["COMMANDS"])
                     if text.startswith("WARNING"))
        log = self.ask("list", "--timeout=1", code=1, TOOLHIVE_INITIAL_BACKOFF="0.1",
                       TOOLHIVE_API_URL=f"http://127.0.0.1:{free_port()}").splitlines()
        self.assertEqual(form(f"{log[0]} {log[-1]}"), form(shown))


def whole_lines(text):
    """The lines of a shell script, those together that are one."""
    return re.sub(r"(\\|(?<=&&)|(?<=\|))\n\s*", " ", text).splitlines()


class CommandLines(unittest.TestCase):
    """Every command line that README and man page show is one that the program takes."""

    @staticmethod
    def shown():
        page, readme = ManPage(), read("README.md").split("```")
        for text in examples_in(page.source):
            yield from (line for line in whole_lines(text) if line.startswith(("$ ", "# ")))
        for text in readme[1::2]:
            yield from whole_lines(text)
        for text in readme[::2]:
            yield from re.findall(r"`(mcp-optimizer [^`]*)`", text)

        # In bold; a synopsis, up to the first paragraph, is none.
        sections = {**page.sections, "COMMANDS": page.sections["COMMANDS"].partition("\n.SS ")[0]}
        del sections["SYNOPSIS"]
        bodies = list(sections.values())
        bodies += [body.partition("\n.PP\n")[2] for body in page.commands.values()]
        bold = re.compile(r'^\.BR? (?:"(mcp\\-optimizer [^"]*)"|(mcp\\-optimizer .*))', re.M)
        for quoted, bare in bold.findall("\n".join(bodies)):
            yield plain(quoted or bare)

    @staticmethod
    def words(line):
        """The arguments of each mcp-optimizer in a line of shell, and the variables before it."""
        line = re.sub(r"\d?>&?\s*\S+", "", line.removeprefix("$ ").removeprefix("# "))
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        commands = [[]]
        for word in lexer:
            if set(word) <= set("();<>|&"):
                commands.append([])
            else:
                commands[-1].append(word)
        for command in commands:
            variables = {}
            while command and re.match(r"[A-Z_]+=", command[0]):
                name, _, value = command.pop(0).partition("=")
                variables[name] = value
            if command and Path(command[0]).name == "mcp-optimizer":
                yield command[1:], variables

    def test_each(self):
        self.assertEqual(run("no-such-command", "--check-config")[0], 78)
        tried = set()
        for line in self.shown():
            for arguments, variables in self.words(line):
                with self.subTest(line):
                    code, _, log = run(*arguments, "--check-config", **variables)
                    self.assertEqual(code, 0, log)
                    tried |= set(arguments)
        self.assertLessEqual(set(help_commands()) - {"run"}, tried)

    def test_of_the_catalog(self):
        """There they stand in the middle of prose: a known word is what tells them."""
        known = "|".join(help_commands())
        lines = re.findall(rf"\bmcp-optimizer((?: (?:{known}))?(?: --[\w-]+)*)(?=[\s.,)])",
                           read("units/mcp-optimizer.catalog"))
        named = {tuple(line.split()) for line in lines if line}
        self.assertLessEqual({"status", "list", "registry", "--check-config"},
                             {words[0] for words in named})
        for words in named:
            self.assertEqual(run(*words, "--check-config")[0], 0, words)


# ---- messages ----


if __name__ == "__main__":
    run_tests()
