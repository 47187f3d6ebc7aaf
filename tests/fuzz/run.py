#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0

"""Runs the fuzz targets of a build with -Dfuzz=true, each for a bounded time.

Begins with the inputs in corpus/, and with those that --keep gathered earlier. Prints how many
inputs were executed, and what they found: each crash, leak and hang is a file in --found. Ends
with 1 when there is one.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# As in .ci/run's other gate with sanitizers.
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("targets", nargs="*", help="all when none is named")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--keep", type=pathlib.Path, help="a folder that gathers inputs with new coverage")
    parser.add_argument("--found", type=pathlib.Path, default=pathlib.Path.cwd(), help="a folder for what fails")
    return parser.parse_args()


def run(target, options, scratch):
    gathered = (options.keep or scratch) / target
    gathered.mkdir(parents=True, exist_ok=True)
    options.found.mkdir(parents=True, exist_ok=True)
    command = [
        options.build / "tests/fuzz" / f"fuzz-{target}",
        f"-max_total_time={options.seconds}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
        f"-dict={HERE / 'tokens.dict'}", f"-artifact_prefix={options.found}/{target}-",
        gathered, HERE / "corpus" / target,
    ]
    ended = subprocess.run(command, env={**os.environ, **SANITIZERS}, capture_output=True, check=False,
                           text=True, errors="replace")
    return target, ended.returncode, ended.stderr


def figure(pattern, log):
    found = re.findall(pattern, log)
    return int(found[-1]) if found else 0


def main():
    options = arguments()
    targets = options.targets or sorted(path.name for path in (HERE / "corpus").iterdir())
    executions = failed = 0

    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for running in [pool.submit(run, target, options, pathlib.Path(scratch)) for target in targets]:
            target, code, log = running.result()
            n = figure(r"stat::number_of_executed_units: (\d+)", log)
            coverage = figure(r" cov: (\d+) ", log)
            executions += n
            print(f"{target:12} {n:12,} executions, {coverage:6,} edges"
                  f"{'' if code == 0 else ', FAILED'}", flush=True)
            if code != 0:
                failed += 1
                print("\n".join(log.splitlines()[-60:]), flush=True)

    print(f"{executions:,} executions, {failed} targets failed")
    return 1 if failed or executions == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
