"""
What it costs to tell many followers one signal, beside a floor in C, nats-server and redis.

Each round visits the servers in turn with 1 follower and with each number of `--followers`. mtnet
runs with all that it does for a signal: an account's rights are checked, and it is forced to the
disk before anybody hears of it; with `--buffered` once more through Twisted's buffers.
With `--tls` all of that goes through TLS, without the floor and redis. With `--silent` each server
is visited once more with so many followers beside them who never read.
See README.md beside this folder.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.fanout.servers import HERE, Floor, Mtnet, Nats, Redis
from bench.harness import (
    LOAD_CPU,
    BenchError,
    Server,
    add_options,
    compile_programs,
    machine,
    ratio,
    run_bench,
    spread,
)

MODES = {
    "one": "One at a time: the next when the last follower has the one before.",
    "burst": "32 in flight.",
    "open": "Open loop.",
}
OPEN_RATE, OPEN_MOST = 50, 50_000
"""Messages a second, and deliveries a second at most, so that every server can keep up."""


@dataclass(frozen=True)
class Run:
    """What one visit found in one mode."""

    server: str
    followers: int
    mode: str
    messages: int
    seconds: float
    cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Deliveries a second."""
        return self.messages * self.followers / self.seconds

    @property
    def cpu_per_message(self) -> float:
        """Microseconds of all the server's threads."""
        return self.cpu / self.messages * 1e6

    @property
    def cpu_per_delivery(self) -> float:
        """Microseconds of all the server's threads."""
        return self.cpu_per_message / self.followers


Runs = dict[tuple[str, int, str], list[Run]]
"""By mode, followers and server, in the order of the rounds."""


def open_rate(followers: int) -> float:
    """Return the messages a second of the open loop."""
    return min(OPEN_RATE, OPEN_MOST / followers)


@dataclass(frozen=True)
class Visit:
    """
    A server, and who is there.

    Attributes:
        silent: followers who never read.
    """

    server: Server
    silent: int = 0

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return self.server.name + (f", {self.silent:,} silent" if self.silent else "")

    def runs(self, load: Path, followers: int, seconds: float) -> Iterator[Run]:
        """Visit it in every mode."""
        server = self.server
        assert server.process is not None
        server.calm_down()
        numbers = ("-f", followers, "-s", self.silent, "-t", seconds, "-r", open_rate(followers))
        first = ("-p", server.process.pid, "-o", server.follow[0], "-e", server.follow[1])
        last = ("-O", server.publish[0], "-E", server.publish[1], server.kind, server.port)
        words = map(str, (*numbers, *(["-c"] if server.secure else []), *first, *last))
        command = ["taskset", "-c", str(LOAD_CPU), str(load), *words]
        said = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if said.returncode:
            raise BenchError(f"{self.name}, {followers} followers: {said.stderr}")
        for line in said.stdout.splitlines():
            yield Run(server=self.name, followers=followers, **json.loads(line))


def measure(load: Path, visits: list[Visit], options: argparse.Namespace) -> Runs:
    """Visit all in turn, so that what disturbs the machine disturbs everybody."""
    runs: Runs = {}
    for number in range(1, options.rounds + 1):
        for followers in options.followers:
            for visit in visits:
                for run in visit.runs(load, followers, options.seconds):
                    runs.setdefault((run.mode, followers, run.server), []).append(run)
                print(
                    f"round {number} of {options.rounds}, {followers} followers: {visit.name}",
                    file=sys.stderr,
                )
    return runs


# Saying


def table(runs: Runs, mode: str, names: list[str], followers: list[int]) -> list[str]:
    """Return the table of a mode."""
    rivals = [each for each in ("floor", "nats", "redis") if each in names]
    wanted: list[tuple[str, Callable[[str, int], list[float]], int, float, bool]] = [
        ("CPU µs per delivery", _values(runs, mode, "cpu_per_delivery"), 2, 1, True)
    ]
    if mode != "open":
        wanted.append(("of these for telling", _telling(runs, mode), 2, 1, True))
    if mode != "open":
        rate = _values(runs, mode, "rate")
        wanted.append(("deliveries/s, thousands", rate, 0, 1e-3, True))
    wanted.append(("p50 ms", _values(runs, mode, "p50"), 2, 1e3, False))
    wanted.append(("p99 ms", _values(runs, mode, "p99"), 2, 1e3, mode == "open"))
    head = ["followers", "server"]
    for title, _, _, _, compared in wanted:
        head += [title, *(f"× {each}" for each in rivals if compared)]
    rows = [head, ["---"] * len(head)]
    for number in followers:
        for name in names:
            row = [f"{number:,}", name]
            for _, values, digits, unit, compared in wanted:
                mine = values(name, number)
                row.append(spread([each * unit for each in mine], digits))
                row += [ratio(mine, values(each, number)) for each in rivals if compared]
            rows.append(row)
    return ["| " + " | ".join(row) + " |" for row in rows]


def _values(runs: Runs, mode: str, what: str) -> Callable[[str, int], list[float]]:
    return lambda name, number: [getattr(run, what) for run in runs[mode, number, name]]


def _telling(runs: Runs, mode: str) -> Callable[[str, int], list[float]]:
    """Return what a delivery costs without what a message costs that one follower is told."""

    def found(name: str, number: int) -> list[float]:
        pairs = zip(runs[mode, number, name], runs[mode, 1, name], strict=True)
        return [(many.cpu_per_message - one.cpu_per_message) / (number - 1) for many, one in pairs]

    return found


def report(runs: Runs, names: list[str], options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{machine()} Medians of {options.rounds} rounds of {options.seconds:g} s, (least–most)."
    followers = [each for each in options.followers if each > 1]
    for mode, title in MODES.items():
        yield f"\n{title}\n"
        yield from table(runs, mode, names, followers)
        if mode == "open":
            rates = (f"{open_rate(each):g}/s to {each:,}" for each in followers)
            yield f"\nSignals: {', '.join(rates)}."
    yield "\nCPU µs per signal with one follower, one at a time, in flight, open loop:\n"
    for name in names:
        found = (_values(runs, mode, "cpu_per_message")(name, 1) for mode in MODES)
        yield f"- {name}: {', '.join(spread(each, 0) for each in found)}"


# The command line


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", help="the program nats-server; without it there is no × nats")
    parser.add_argument("--redis", help="the program redis-server")
    parser.add_argument("--tls", action="store_true", help="through TLS")
    parser.add_argument("--silent", type=int, default=0, help="followers who never read")
    parser.add_argument("--buffered", action="store_true", help="mtnet without its straight way")
    parser.add_argument("--followers", default="100,1000,5000", help="numbers, with commas")
    add_options(parser, rounds=5, seconds=2.0)
    options = parser.parse_args(words)
    options.followers = sorted({1, *map(int, options.followers.split(","))})
    return options


def choose(folder: Path, floor: Path, options: argparse.Namespace) -> Iterator[Server]:
    """Yield the servers that are wanted."""
    secure = options.tls
    if not secure:
        yield Floor(folder, floor)
    if options.nats:
        yield Nats(folder, options.nats, secure)
    if options.redis and not secure:
        yield Redis(folder, options.redis)
    yield Mtnet(folder, secure=secure)
    if options.buffered:
        yield Mtnet(folder, direct=False, secure=secure)


def visit_all(options: argparse.Namespace) -> Runs:
    """Start the servers, visit them, and stop them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        (folder / "programs").mkdir()
        floor, load = compile_programs(
            folder / "programs", HERE, "floor", "load", libraries=("ssl",)
        )
        servers = list(choose(folder, floor, options))
        for server in servers:
            stack.callback(server.stop)
            server.start()
        silents = sorted({0, options.silent})
        visits = [Visit(server, silent) for server in servers for silent in silents]
        return measure(load, visits, options)


def main() -> int:
    """Measure and report; return the exit status."""
    options = parse(sys.argv[1:])
    most = options.followers[-1] + options.silent
    runs = run_bench(most, lambda: visit_all(options), options.json)
    if runs is None:
        return 1
    names = list(dict.fromkeys(name for _, _, name in runs))
    print("\n".join(report(runs, names, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
