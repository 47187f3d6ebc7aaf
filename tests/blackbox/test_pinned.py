#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is not done: with a pinned address nothing else is asked, and no socket ever listens."""

import contextlib
import os
import pathlib
import re
import socket

from finding import FindingCase
import harness
from harness import free_port_range


class TestPinned(FindingCase):
    """TOOLHIVE_API_URL, and a ToolHive in each place where one is searched for without it."""

    def setUp(self):
        super().setUp()
        self.first = free_port_range(harness.BLOCK)
        self.elsewhere = [self.toolhive(port=self.first + 5), self.toolhive(), self.toolhive()]
        if harness.isolated():
            self.elsewhere += [self.toolhive(port=8080), self.toolhive(port=50001)]
        self.pinned = self.toolhive()
        self.path = self.write_file(self.folder() / "server.json", self.elsewhere[1].url)

    def play(self, *words, pinned=True):
        """From a ToolHive that goes to the last attempt."""
        optimizer = self.optimizer(
            *words, first=self.first, last=self.first + 7, toolhive_port=self.elsewhere[2].port,
            toolhive_discovery_file=self.path, toolhive_max_retries=3,
            **{"toolhive_api_url": self.pinned.url} if pinned else {})
        if not words:
            optimizer.wait_line("Registry polled")
        self.pinned.stop()
        return optimizer.finish()[0]

    def test_nothing_else_is_asked(self):
        self.assertEqual(self.play(), 1)
        self.assertEqual([toolhive.seen() for toolhive in self.elsewhere], [[]] * len(self.elsewhere))

    def test_what_install_sends_goes_nowhere_else(self):
        self.pinned.stop()
        self.assertEqual(self.play("install", "server-001", "--env", "KEY=planted"), 1)
        self.assertEqual([toolhive.seen() for toolhive in self.elsewhere], [[]] * len(self.elsewhere))

    def test_it_would_be_asked(self):
        """The other tests must be able to fail."""
        self.play("list", pinned=False)
        self.assertNotEqual(self.elsewhere[2].seen(), [])


class TestSockets(FindingCase):
    def listening(self, pid):
        """Which of a process's sockets others could connect to, or send to."""
        inodes = set()
        for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):    # closed meanwhile
                inodes.update(re.findall(r"^socket:\[(\d+)\]$", os.readlink(descriptor)))
        found = []
        for name, column, state_column, listens in (
                ("tcp", 9, 3, lambda state: state == "0A"), ("tcp6", 9, 3, lambda state: state == "0A"),
                ("udp", 9, 3, lambda state: state == "07"), ("udp6", 9, 3, lambda state: state == "07"),
                ("unix", 6, 3, lambda flags: int(flags, 16) & 0x10000)):
            with contextlib.suppress(FileNotFoundError):    # no such family here
                for line in pathlib.Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
                    words = line.split()
                    if words[column] in inodes and listens(words[state_column]):
                        found.append(line)
        return len(inodes), found

    def test_it_never_listens(self):
        toolhive = self.toolhive()
        optimizer = self.optimizer(toolhive_port=toolhive.port)
        optimizer.wait_line("Registry polled")
        sockets, found = self.listening(optimizer.pid)
        self.assertGreater(sockets, 0)
        self.assertEqual(found, [])
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))):
            self.assertEqual(len(self.listening(os.getpid())[1]), 1, "the test must be able to fail")


if __name__ == "__main__":
    harness.main()
