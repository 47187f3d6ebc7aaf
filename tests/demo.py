#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, live and without a ToolHive at hand: `meson compile -C build demo`.

Starts the stand-in and the program, lets the one go through what befalls a ToolHive, and shows what
the other makes of it: its log as it comes, with seconds since the start in front. Ends by itself,
with 0 when the program did all that it should have.
"""

import sys

import harness

RANGE = 20
SETTINGS = {
    "workload_polling_interval": 1,
    "toolhive_initial_backoff": 0.5,
    "toolhive_max_backoff": 4,
    "toolhive_discovery_file": "none",
}


class Stage:
    """Prints the story and the program's lines, in the order in which they happen."""

    def __init__(self, optimizer):
        self._optimizer = optimizer
        self._shown = 0
        self._bold, self._plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")

    def show(self):
        """All that the program has logged and that has not been printed yet."""
        lines = self._optimizer.lines()
        for line in lines[self._shown:]:
            print(f"{line.time - self._optimizer.started:6.2f}  {line.text}", flush=True)
        self._shown = len(lines)

    def tell(self, text):
        self.show()
        print(f"\n{self._bold}-- {text}{self._plain}", flush=True)

    def watch(self, wanted, timeout=10):
        """Prints each line as it comes, until one that was not there before holds the text."""
        seen = self._shown

        def come():
            self.show()
            return any(wanted in line.text for line in self._optimizer.lines()[seen:self._shown])
        harness.wait_for(come, timeout, f"a line with {wanted!r}")


def play(stage, standin, optimizer, first):
    stage.tell(f"mcp-optimizer starts and looks for ToolHive on ports {first} to {first + RANGE - 1}.")
    stage.watch("Registry polled")

    stage.tell("Somebody starts one more MCP server: the next poll sees it.")
    standin.control("workloads", add=["weather"])
    stage.watch("Workloads polled")

    stage.tell("ToolHive restarts on another port. Nobody has to do anything.")
    standin.move(first + 7)
    stage.watch("connection restored")

    stage.tell("ToolHive goes away. The delays double, up to a maximum (here 4 s, by default 60 s).")
    standin.stop_listening()
    stage.watch("attempt=4")

    stage.tell("It comes back, and is there at the next attempt.")
    standin.start_listening()
    stage.watch("connection restored")

    harness.wait_for(lambda: harness.state(optimizer)["connection"]["state"] == "connected")
    told = harness.state(optimizer)
    stage.tell(f"What everybody may read in the state file now: {told['connection']['state']}, "
               f"{told['workloads']['total']} workloads, {told['registry']['servers']} servers in the registry.")
    stage.tell(f"It uses {optimizer.rss() / 1048576:.1f} MiB of memory and has used {optimizer.cpu() * 1000:.0f} ms "
               "of processor time. A stop (SIGTERM) ends it at once:")
    code, seconds = optimizer.terminate()
    stage.watch("Stopped on request")
    stage.tell(f"It ended after {seconds * 1000:.0f} ms with exit code {code}. That is all.")
    return code


def main():
    first = harness.free_port_range(RANGE)
    with harness.Standin(port=first + 3, workloads=3) as standin, \
            harness.Optimizer(toolhive_start_port_scan=first, toolhive_end_port_scan=first + RANGE - 1,
                              **SETTINGS) as optimizer:
        return play(Stage(optimizer), standin, optimizer, first)


if __name__ == "__main__":
    sys.exit(main())
