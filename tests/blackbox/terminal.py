# SPDX-License-Identifier: Apache-2.0
"""The program on a pseudo-terminal, and what a person sees there."""

import fcntl
import os
import pathlib
import re
import select
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness import SLOWNESS, Process, spawn  # noqa: E402

# A shell that starts a test in the background has it ignore Ctrl-C, and with it whatever it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def width(text):
    """The columns that a text takes; judged by Python's tables, not by the program's."""
    return sum(0 if unicodedata.combining(character) else
               2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class Screen:
    """As much of a terminal as the program may use: lines, \\r, erasing to the end of the line, colours.

    Whatever else comes is an escape that nobody should have let through: it is kept in `strange`.
    """

    def __init__(self, columns):
        self.columns = columns
        self.widest = 0
        self.styles = set()
        self.strange = []
        self._lines, self._column, self._rest = [""], 0, ""

    def feed(self, text):
        text = self._rest + text
        # An escape that has not come whole waits for its end.
        cut = re.search(r"\x1b(\[[0-9;?]*)?\Z", text)
        self._rest = text[cut.start():] if cut else ""
        text = text[:cut.start()] if cut else text
        at = 0
        while at < len(text):
            escape = ESCAPE.match(text, at)
            if escape:
                self._obey(*escape.groups())
                at = escape.end()
            else:
                self._put(text[at])
                at += 1

    def _obey(self, numbers, letter):
        if letter == "m":
            self.styles.add(numbers)
        elif (letter, numbers) == ("K", ""):
            self._lines[-1] = self._lines[-1][:self._column]
        else:
            self.strange.append(f"ESC[{numbers}{letter}")

    def _put(self, character):
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._lines.append("")
            self._column = 0
        elif unicodedata.category(character) in ("Cc", "Cf"):
            self.strange.append(repr(character))
        else:
            line = self._lines[-1]
            self._lines[-1] = line[:self._column] + character + line[self._column + 1:]
            self._column += 1
            self.widest = max(self.widest, width(self._lines[-1][:self._column]))

    def lines(self):
        """What stands there now, without the blanks at the ends and the empty line that the cursor is on."""
        lines = [line.rstrip() for line in self._lines]
        return lines if lines[-1] else lines[:-1]


class Terminal(Process):
    """The binary of MCP_OPTIMIZER_BINARY, on a terminal of so many columns that is its controlling one.

    As Optimizer in its arguments and settings. stdout and stderr both end on the terminal, as for a
    person; with piped=True stdout is a pipe, as in `mcp-optimizer list | less`.
    """

    def __init__(self, *arguments, columns=80, piped=False, environment=None, **settings):
        self._folder = tempfile.TemporaryDirectory(prefix="mcp-optimizer-terminal-")
        self.home = pathlib.Path(self._folder.name)
        kept = {key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TERM": "xterm-256color",
            "HOME": str(self.home), **kept, **(environment or {}),
            **{key.upper(): str(value) for key, value in settings.items()}}
        self.raw = ""
        self.screen = Screen(columns)
        self._grown = threading.Condition()
        self._ended = False
        self._master, slave = os.openpty()
        self.resize(columns)
        # setsid(1) makes the terminal the controlling one, so that its Ctrl-C is a signal; it does not fork.
        command = ["setsid", "--ctty", *shlex.split(os.environ.get("MCP_OPTIMIZER_WRAPPER", "")),
                   os.environ["MCP_OPTIMIZER_BINARY"], *map(str, arguments)]
        super().__init__(spawn(command, env=self.environment, stdin=slave, stderr=slave, cwd=self.home,
                               stdout=subprocess.PIPE if piped else slave))
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        undecoded = b""
        while not self._ended:
            select.select([self._master], [], [])
            try:
                data = os.read(self._master, 65536)
            except OSError:
                # EIO: the last process on it has ended.
                data = b""
            with self._grown:
                self._ended = not data
                undecoded += data
                text = undecoded.decode("utf-8", "ignore" if self._ended else "surrogateescape")
                # A character whose bytes have not all come is left for the next time.
                whole = re.sub("[\udc80-\udcff]{1,3}\\Z", "", text)
                undecoded = text[len(whole):].encode("utf-8", "surrogateescape")
                self.raw += whole
                self.screen.feed(whole)
                self._grown.notify_all()

    def resize(self, columns, rows=24):
        self.screen.columns = columns
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self._master, text.encode())

    def control_c(self):
        self.type("\x03")

    def lines(self):
        """What stands on the screen now."""
        with self._grown:
            return self.screen.lines()

    def wait_seen(self, wanted, timeout=5.0):
        """Until that text, or a match of that pattern, was on the screen's way: all that came, escapes included."""
        pattern = wanted if isinstance(wanted, re.Pattern) else re.compile(re.escape(wanted))
        deadline = time.monotonic() + timeout * SLOWNESS
        with self._grown:
            while not (found := pattern.search(self.raw)):
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"{pattern.pattern!r} was not seen, but:\n{self.raw!r}")
                self._grown.wait(left)
            return found

    def finish(self, timeout=10.0):
        """Waits for its own end: the exit code, and stdout where that is a pipe; the screen is complete then."""
        code = self.wait(timeout)
        output = self.child.stdout.read().decode() if self.child.stdout else ""
        self._reader.join(timeout * SLOWNESS)
        return code, output

    def kill(self):
        super().kill()
        if self._master >= 0:
            self._reader.join(5 * SLOWNESS)
            os.close(self._master)
            self._master = -1
        self._folder.cleanup()
