#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Figures of the running program: `meson test -C build --benchmark --verbose`.

Each is printed beside its target and none is judged: machines are noisy. Times are medians, with the
least and the most in brackets; what the program uses is read from /proc.

With --beside COMMAND another program that takes the same environment variables is measured beside this
one instead, and a table printed in Markdown; see beside.py. Its columns are alike for a command that is
this program itself.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402
from beside import beside  # noqa: E402

QUIET = {"toolhive_discovery_file": "none"}


def figure(title, values, unit, target):
    values = values if isinstance(values, list) else [values]
    spread = f" ({min(values):.3g} to {max(values):.3g}, {len(values)} runs)" if len(values) > 1 else ""
    print(f"{title:<72} {statistics.median(values):8.4g} {unit}{spread}; target {target}", flush=True)


def only_port(standin, **settings):
    """Settings for a program that finds the stand-in as its configured port."""
    return {"toolhive_port": standin.port, "toolhive_host": "127.0.0.1", **QUIET, **settings}


def start(runs=20):
    with harness.Standin(workloads=1) as standin:
        values = []
        for _ in range(runs):
            standin.reset()
            before = time.monotonic()
            with harness.Optimizer(**only_port(standin)) as optimizer:
                values.append((optimizer.wait_line("Workloads polled").time - before) * 1000)
        figure("start (fork included) to first completed poll", values, "ms", "25 ms")


def moved(runs, title, target, *, polling, nonce=None, file=False):
    """From the moment the new ToolHive listens (its first accept is possible) to the first good list."""
    first = harness.free_port_range(10)
    values = []
    for _ in range(runs):
        options = {"nonce": nonce} if nonce else {}
        with harness.Standin(port=first, workloads=3, **options) as standin, harness.Optimizer(
                toolhive_host="127.0.0.1", toolhive_start_port_scan=first, toolhive_end_port_scan=first + 9,
                workload_polling_interval=polling, **QUIET) as optimizer:
            optimizer.wait_line("Registry polled")
            port = standin.move(first + 5)
            seen = optimizer.wait_line("connection restored", timeout=20)
            lost = optimizer.wait_line("connection failed")
            requests = [r for r in standin.requests("/api/v1beta/workloads?all=true") if r["port"] == port]
            listening = [c for c in standin.connections() if c["port"] == port][0]["time"]
            values.append((seen.time - (listening if file else lost.time)) * 1000)
            assert requests
    figure(title, values, "ms", target)


def memory():
    for count, target in ((1, "-"), (100, "12 MiB, anonymous under 2 MiB"), (10000, "peak under 32 MiB")):
        with harness.Standin(workloads=count) as standin, \
                harness.Optimizer(**only_port(standin, workload_polling_interval=1)) as optimizer:
            optimizer.wait_line("Registry polled", timeout=20)
            first = optimizer.rss()
            polls = len(standin.requests("/api/v1beta/workloads?all=true")) + 3
            harness.wait_for(lambda: len(standin.requests("/api/v1beta/workloads?all=true")) >= polls, 20)
            harness.wait_for(lambda: harness.state(optimizer)["counters"]["requests"] >= polls + 2, 20)
            mib = 1 / 1048576
            print(f"{f'memory with {count:,} workloads, after some polls':<72} "
                  f"RSS {optimizer.rss() * mib:.1f} MiB, anonymous {optimizer.anon() * mib:.2f} MiB, "
                  f"peak {optimizer.peak() * mib:.1f} MiB, RSS after the first poll {first * mib:.1f} MiB; "
                  f"target {target}", flush=True)


def big_poll(polls=10):
    """Processor time of one poll of 10,000 workloads: the growth over some polls, divided."""
    with harness.Standin(workloads=10000) as standin, \
            harness.Optimizer(**only_port(standin, workload_polling_interval=1)) as optimizer:
        path = "/api/v1beta/workloads?all=true"
        optimizer.wait_line("Registry polled", timeout=20)

        def polled(count):
            return harness.wait_for(lambda: harness.state(optimizer)["counters"]["requests"] >= count, 60)

        begun = harness.state(optimizer)["counters"]["requests"]
        before = optimizer.cpu()
        polled(begun + polls)
        figure("processor time of one poll of 10,000 workloads", (optimizer.cpu() - before) * 1000 / polls, "ms",
               "100 ms")
        assert len(standin.requests(path)) >= polls


def minute(seconds=60):
    """A minute of idling (polls every 300 s, a watchdog of 60 s) and one of polling each second, side by side."""
    with harness.Standin(workloads=1) as standin, harness.NotifySocket() as notify, \
            harness.Optimizer(notify=notify, watchdog_usec=60000000,
                              **only_port(standin, workload_polling_interval=300)) as idle, \
            harness.Optimizer(**only_port(standin, workload_polling_interval=1)) as busy:
        idle.wait_line("Registry polled")
        busy.wait_line("Registry polled")
        time.sleep(2)       # past READY, into the steady state: what is measured is a span of time
        before = [(each.cpu(), each.wakeups()) for each in (idle, busy)]
        time.sleep(seconds)
        after = [(each.cpu(), each.wakeups()) for each in (idle, busy)]
    for name, begin, end, target in zip(("idling", "polling each second"), before, after,
                                        ("no wake-up beyond watchdog slices (2)", "0.2 %")):
        print(f"{f'a minute of {name}':<72} {(end[0] - begin[0]) / seconds * 100:.3f} % of a core, "
              f"{end[1] - begin[1]} wake-ups; target {target}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Figures of the running program.")
    parser.add_argument("--beside", metavar="COMMAND", help="measure this one beside ours; a script ends in exec")
    options = parser.parse_args()
    if options.beside:
        beside(options.beside)
        return
    start()
    moved(7, "port change: failed request to restored, polling each 300 s", "30 ms", polling=300)
    moved(7, "port change: new port accepts to restored, woken by the connection's end", "50 ms", polling=300,
          file=True)
    memory()
    big_poll()
    minute()


if __name__ == "__main__":
    main()
