"""
How long a publisher waits while the daemon checks its whole journal, as behind each start.

In each round the daemon is started anew: a publisher sends signals while the check runs, and as
many once it has ended. See README.md beside this file.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.harness import PINNED, BenchError, add_options, machine, percentile, run_bench, spread
from bench.publish import WARM, Mtnet, positions

ENTRIES = 300_000
WINDOW = 100
GOAL = 1.5
"""Times that one in a hundred signals may take as long as without the check."""
CHECKS = 300.0
"""Seconds that a check may take."""
START = 3.0
LOOK, IDLE = 1.0, 0.02
"""Seconds of CPU in LOOK seconds below which the check has ended."""


@dataclass(frozen=True)
class Run:
    """Milliseconds of each signal in one round, and the seconds that the check took."""

    checked: list[float]
    quiet: list[float]
    seconds: float


def measure_signals(daemon: Mtnet, count: int, gap: float) -> list[float]:
    """Publish signals at a pace, each after the answer to the one before; return milliseconds."""
    daemon.dial()
    times, source = [], positions()
    for identity, frame in (next(source) for _ in range(WARM + count)):
        began = time.perf_counter()
        daemon.socket.sendall(daemon.framed(identity, frame))
        daemon.stored()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(gap)
    daemon.socket.close()
    return times[WARM:]


def wait_for_check(daemon: Mtnet) -> None:
    """Wait until the daemon has nothing left to do."""
    until, before = time.monotonic() + CHECKS, daemon.cpu()
    while time.monotonic() < until:
        time.sleep(LOOK)
        now = daemon.cpu()
        if now - before < IDLE:
            return
        before = now
    raise BenchError(f"The check takes more than {CHECKS:g} s.")


def visit(daemon: Mtnet, options: argparse.Namespace) -> Run:
    """Start the daemon; publish while it checks its journal, and behind that."""
    daemon.start()
    try:
        began = time.monotonic()
        time.sleep(START)  # other work of a start is not the check
        checked = measure_signals(daemon, options.signals, options.gap)
        before = daemon.cpu()
        time.sleep(LOOK)
        if daemon.cpu() - before < IDLE:
            raise BenchError("The check ended too early: take more --entries or fewer --signals.")
        wait_for_check(daemon)
        seconds = time.monotonic() - began
        return Run(checked, measure_signals(daemon, options.signals, options.gap), seconds)
    finally:
        daemon.daemon.stop()


def measure(options: argparse.Namespace) -> dict[str, list[Run]]:
    """Return all rounds."""
    runs = []
    with tempfile.TemporaryDirectory(dir=options.folder) as text:
        daemon = Mtnet(Path(text), PINNED)
        daemon.start()
        daemon.in_flight(options.entries, WINDOW)
        daemon.daemon.stop()
        for number in range(options.rounds):
            run = visit(daemon, options)
            runs.append(run)
            p99 = [
                percentile([each / 1000 for each in found], 0.99)
                for found in (run.checked, run.quiet)
            ]
            print(f"round {number + 1}: p99 {p99[0]:.2f}, quiet {p99[1]:.2f} ms", file=sys.stderr)
    return {"rounds": runs}


def main() -> int:
    """Print a table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES, help="of the journal")
    parser.add_argument("--signals", type=int, default=2_000, help="of each half of a round")
    parser.add_argument("--gap", type=float, default=0.005, help="seconds between two signals")
    add_options(parser, rounds=5)
    options = parser.parse_args()
    found = run_bench(1, lambda: measure(options), options.json)
    if found is None:
        return 1
    runs = found["rounds"]
    print(f"{machine()} A journal of {options.entries} signals.\n")
    print("| | p50 ms | p99 ms |")
    print("| --- | --- | --- |")
    columns: dict[str, list[list[float]]] = {}
    for name in ("checked", "quiet"):
        seconds = [[each / 1000 for each in getattr(run, name)] for run in runs]
        columns[name] = [[percentile(each, part) for each in seconds] for part in (0.5, 0.99)]
        print(f"| {name} | {' | '.join(spread(each, 2) for each in columns[name])} |")
    times = [a / b for a, b in zip(columns["checked"][1], columns["quiet"][1], strict=True)]
    print(f"\np99 is {spread(times, 2)} times as long; a check takes", end=" ")
    print(f"{spread([run.seconds for run in runs], 0)} s.")
    return 0 if statistics.median(times) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
