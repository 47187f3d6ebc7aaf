# SPDX-License-Identifier: Apache-2.0
"""What the documentation says, read out of man page and README, and what the program says of itself,
for the tests that compare the two.

MCP_OPTIMIZER_SOURCE may name a copy of the tree: that is how to see those tests fail.
"""

import os
import re
import subprocess
from pathlib import Path

SOURCE = Path(os.environ.get("MCP_OPTIMIZER_SOURCE") or Path(__file__).resolve().parent.parent)
BINARY = Path(os.environ.get("MCP_OPTIMIZER_BINARY") or SOURCE / "build/src/mcp-optimizer")
MAN_PAGE = SOURCE / "man/mcp-optimizer.8"
SYSTEM_UNIT = SOURCE / "units/mcp-optimizer.service.in"
USER_UNIT = SOURCE / "units/mcp-optimizer.user.service.in"
WAIT_UNITS = (SOURCE / "units/mcp-optimizer-wait.service.in",
              SOURCE / "units/mcp-optimizer-wait.user.service.in")
os.environ.setdefault("MCP_OPTIMIZER_BINARY", str(BINARY))

ROFF_ESCAPES = {r"\-": "-", r"\(dq": '"', r"\(aq": "'", r"\(mu": "*", r"\(bu": "*", r"\e": "\\",
                r"\&": "", r"\ ": " "}
# Settings of others: thv's and node_exporter's own, and one that is misspelt to show what follows.
OTHERS_VARIABLES = {"TOOLHIVE_MAX_RETRIE"}
# Options of systemctl, journalctl, meson and thv, which the texts also show.
OTHERS_OPTIONS = {"--user", "--now", "--update-catalog", "--output-fields", "--prefix", "--num-processes",
                  "--reconfigure", "--benchmark", "--verbose", "--beside"}


def read(path):
    return (SOURCE / path).read_text(encoding="utf-8")


def joined(text):
    return " ".join(text.split())


def plain(roff):
    """A line of the man page's source without its escapes."""
    roff = re.sub(r"\\f[BIR]", "", roff)
    roff = re.sub(r"\\\[u(\w+)\]", lambda found: chr(int(found[1], 16)), roff)
    return re.sub(r"\\(\(..|.)", lambda found: ROFF_ESCAPES[found[0]], roff)


def words_of_macro(line):
    """What a font macro makes of its arguments: .BR joins them, .B puts spaces between."""
    name, _, rest = line.partition(" ")
    arguments = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', rest)]
    return plain(("" if len(name) == 3 else " ").join(arguments))


def text_of(body):
    lines = []
    for line in body.splitlines():
        if re.match(r"\.(B|I|[BRI]{2}) ", line):
            lines.append(words_of_macro(line))
        elif line.startswith((".SS ", ".IP ")):
            lines.append(plain(line[4:]))
        elif not line.startswith((".", "'")):
            lines.append(plain(line))
    return "\n".join(lines)


def tagged_in(body):
    """Tag and text of each .TP."""
    for part in re.split(r"^\.TP.*\n", body, flags=re.M)[1:]:
        tag, _, text = part.partition("\n")
        while tag.endswith("\\"):
            more, _, text = text.partition("\n")
            tag = tag[:-1] + more
        text = re.split(r"^\.(?:SS|PP|TS|EX)\b", text, flags=re.M)[0]
        yield words_of_macro(tag), joined(text_of(text))


def tables_in(body):
    """Each table as its rows, headings first."""
    for table in re.findall(r"^\.TS\n.*?\.\n(.*?)^\.TE", body, re.M | re.S):
        yield [plain(row).split("\t") for row in table.splitlines() if row != "_"]


def examples_in(body):
    return [plain(example) for example in re.findall(r"^\.EX\n(.*?)^\.EE", body, re.M | re.S)]


class ManPage:
    """The page's sections and subsections, as source and as plain text."""

    def __init__(self):
        self.source = MAN_PAGE.read_text(encoding="utf-8")
        self.sections = self._split("SH", self.source)
        self.commands = self._split("SS", self.sections["COMMANDS"])

    @staticmethod
    def _split(macro, source):
        parts = (part.partition("\n") for part in re.split(rf"^\.{macro} ", source, flags=re.M)[1:])
        return {name.strip('"'): body for name, _, body in parts}

    def text(self, *sections):
        return "\n".join(text_of(self.sections[name]) for name in sections or self.sections)

    def tagged(self, section):
        return tagged_in(self.sections[section])


def run(*arguments, **variables):
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), **variables}
    done = subprocess.run([str(BINARY), *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def help_options():
    """Option -> (what stands for the value, variable, "Default: …; accepts …") of --help."""
    text = run("--help")[1]
    rows = re.findall(r"^  --([\w-]+) (\S+) +(\w+)\n((?:      .*\n)+)", text, re.M)
    return {option: (metavar, variable, "Default: " + joined(body).partition("Default: ")[2])
            for option, metavar, variable, body in rows}


def help_actions():
    return set(re.findall(r"^  --([\w-]+)\n", run("--help")[1], re.M))


def help_commands():
    """The commands that --help lists."""
    listed = run("--help")[1].partition("\nCommands:\n")[2].partition("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def accepted(text):
    """Default and range at the end of an option's text."""
    found = re.search(r"(?:Default: |Accepts ).*", text)
    return found[0].rstrip(".") if found else ""


class CommandHelp:
    """`help COMMAND`: usage; option -> (what stands for the value, default and range); exits."""

    def __init__(self, command):
        text = run("help", command)[1]
        self.usage = joined(re.match(r"Usage: (.*?)\n\n", text, re.S)[1])
        rows = re.findall(r"^  --([\w-]+)(?: (\S+))?\n((?:      .*\n)+)", text, re.M)
        self.options = {option: (metavar, accepted(joined(body))) for option, metavar, body in rows}
        statuses = text.partition("\nExit status:\n")[2].partition("\n\n")[0]
        self.exits = [joined(status) for status in
                      re.findall(r"^  (\d.*(?:\n {6}.*)*)", statuses, re.M)]
