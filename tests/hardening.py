#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a program was compiled: hardening.py BUILD-FOLDER looks at the one that meson has built there; the
tests of the package do the same with theirs. Of an optimising build, without sanitizers."""

import json
import pathlib
import re
import subprocess
import sys
import unittest


def readelf(*words):
    return subprocess.run(["readelf", "--wide", *words], check=True, stdout=subprocess.PIPE, text=True).stdout


class Hardening:
    """For a test case; self.program is the path of the program."""

    def test_position_independent(self):
        self.assertRegex(readelf("--file-header", self.program), r"Type: +DYN \(Position-Independent Executable")

    def test_full_relro(self):
        self.assertIn("GNU_RELRO", readelf("--segments", self.program))
        self.assertRegex(readelf("--dynamic", self.program), r"\(FLAGS\) +BIND_NOW")

    def test_no_executable_stack(self):
        self.assertRegex(readelf("--segments", self.program), r"GNU_STACK .* RW +0x")

    def test_stack_protector_and_fortify(self):
        symbols = readelf("--dyn-syms", self.program)
        self.assertIn(" __stack_chk_fail@GLIBC", symbols)
        checked = set(re.findall(r" __(\w+)_chk@GLIBC", symbols))
        self.assertTrue(checked >= {"snprintf", "vsnprintf"}, checked)

    def test_cet(self):
        """Our code; Debian 12's start-up code of the C library is not, so that the whole is not marked."""
        text = subprocess.run(["objdump", "--disassemble", self.program], check=True, stdout=subprocess.PIPE, text=True)
        self.assertGreater(text.stdout.count("endbr64"), 300)


class Built(Hardening, unittest.TestCase):
    folder = None

    @property
    def program(self):
        return str(self.folder / "src/mcp-optimizer")

    def test_fortify_of_level_2(self):
        """At which level a symbol was made the program does not tell; how it was compiled does."""
        commands = json.loads((self.folder / "compile_commands.json").read_text())
        ours = [entry["command"] for entry in commands if "/src/" in entry["file"]]
        self.assertGreater(len(ours), 50)
        for command in ours:
            self.assertIn(" -D_FORTIFY_SOURCE=2 ", command)


if __name__ == "__main__":
    Built.folder = pathlib.Path(sys.argv.pop())
    unittest.main()
