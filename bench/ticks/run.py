"""Measure the tick service of mtnet against a floor in C; see README.md beside this folder."""

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from bench.harness import (
    LOAD_CPU,
    SERVER_CPU,
    BenchError,
    compile_programs,
    machine,
    pin_load,
    spread,
)
from bench.ticks.probe import Probe
from bench.ticks.servers import (
    Counts,
    Floor,
    Mtnet,
    TickServer,
    default_mtnet,
    free_ports,
)

S = TypeVar("S", bound=TickServer)

HERE = Path(__file__).parent
WINDOW = 2_097_152
"""Bytes in the kernel's queue at saturation: more than a server takes while the load looks at
the queue, and a quarter of what the kernel allows with the servers' receive buffer."""
SETTLE = 60.0
"""Seconds that a server may take to store what it has heard."""
HEARD_POLL, STORED_POLL = 0.02, 0.05
"""Seconds between two looks at the counts; asking costs mtnet time."""
STEADY_RATE, STEADY_SOURCES = 25_000, 50
FLOOD_FACTOR = 4
QUIET = 5.0
"""Seconds for which positions are measured before the flood."""
DEFAULT_MODES = ("saturation", "open-25000", "open-150000")


@dataclass(frozen=True)
class Mode:
    """One kind of load."""

    name: str
    options: tuple[str, ...]
    """For the load client."""
    seconds: float
    records: int = 1
    """In each datagram."""


@dataclass(frozen=True)
class Run:
    """What one visit of the load client found."""

    mode: str
    server: str
    sent: int
    rate: float
    """Ticks a second that the load client reached."""
    late: float
    """Seconds that a tick was sent behind its time, at most; open loop alone."""
    heard_seconds: float
    """From the first tick until every tick was accounted for."""
    stored_seconds: float
    """From the first tick until every received tick was stored."""
    cpu_seconds: float
    counts: Counts
    adds_up: bool

    @property
    def heard_rate(self) -> float:
        """Ticks a second that were taken from the kernel and understood."""
        return self.counts.received / self.heard_seconds

    @property
    def stored_rate(self) -> float:
        """Ticks a second with the time for storing the last of them."""
        return self.counts.stored / self.stored_seconds

    @property
    def cpu_per_tick(self) -> float:
        """Microseconds of CPU time of all the server's threads."""
        return self.cpu_seconds / max(self.counts.stored, 1) * 1e6

    @property
    def busy(self) -> float:
        """The part of the time for which the server ran."""
        return self.cpu_seconds / self.stored_seconds

    @property
    def lost(self) -> int:
        """Ticks that were sent and are not on disk."""
        return self.sent - self.counts.stored


class Bench:
    """The programs, their folder and their ports: everything ends with it."""

    def __init__(self, arguments: argparse.Namespace, stack: ExitStack) -> None:
        self._arguments = arguments
        self._stack = stack
        prefix, parent = "mtnet-bench-", arguments.folder
        self._folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=parent))
        )
        self._floor, self._load = compile_programs(self._folder, HERE, "floor", "load")
        self._ports = free_ports(arguments.first_port)

    def start_floor(self) -> Floor:
        """Start the floor."""
        return self._started(Floor(self._floor, next(self._ports), self._folder))

    def start_mtnet(self, signals: int | None = None) -> Mtnet:
        """Start mtnet on a new data folder."""
        port, web = next(self._ports), next(self._ports)
        return self._started(Mtnet(self._arguments.mtnet, port, web, self._folder, signals))

    def free_port(self) -> int:
        """Return one more port."""
        return next(self._ports)

    def _started(self, server: S) -> S:
        self._stack.callback(server.stop)
        server.start()
        return server

    def visit(self, server: TickServer, mode: Mode) -> Run:
        """Send what `mode` says, wait until the server has stored it, and count."""
        before, cpu = server.counts(), server.cpu()
        try:
            load = self._send(server.port, mode)
        except subprocess.SubprocessError as error:
            raise BenchError(f"{error} {server.name}: {server.state()}") from error
        accounted = _poll(
            lambda: (server.counts() - before).heard(mode.records) == load["sent"], HEARD_POLL
        )
        heard = time.monotonic()
        stored = _poll(lambda: server.counts().settled, STORED_POLL)
        end = time.monotonic()
        # counted again: a tick that comes out twice would be seen now
        counts = server.counts() - before
        return Run(
            mode=mode.name,
            server=server.name,
            sent=int(load["sent"]),
            rate=load["rate"],
            late=load["late"],
            heard_seconds=heard - load["start"],
            stored_seconds=end - load["start"],
            cpu_seconds=server.cpu() - cpu,
            counts=counts,
            adds_up=accounted and stored and counts.heard(mode.records) == load["sent"],
        )

    def warm_up(self, server: TickServer) -> None:
        """
        Visit a server once that was just started, and do not measure it.

        Raises:
            BenchError: it cannot account for an easy load.
        """
        if sentences := complaints([self.visit(server, WARM_UP)]):
            raise BenchError(*sentences)

    def _send(self, port: int, mode: Mode) -> dict[str, float]:
        command = ["taskset", "-c", str(LOAD_CPU), str(self._load), *mode.options, str(port)]
        limit = mode.seconds + 60
        sent = subprocess.run(command, stdout=subprocess.PIPE, timeout=limit, check=True)
        answer: dict[str, float] = json.loads(sent.stdout)
        return answer


def _poll(true: Callable[[], bool], pause: float) -> bool:
    """Ask until the answer is yes, or for as long as a server may take."""
    until = time.monotonic() + SETTLE
    while time.monotonic() < until:
        with suppress(OSError, ValueError):  # a server that is slow to answer is asked again
            if true():
                return True
        time.sleep(pause)
    return False


# Modes


def saturation(seconds: float) -> Mode:
    """Return the mode of single ticks as fast as the server takes them."""
    return Mode("saturation", ("-w", str(WINDOW), "-g", "-t", str(seconds)), seconds)


def batches(seconds: float) -> Mode:
    """Return the mode of numbered batches of 20 records, as fast as the server takes them."""
    return Mode("batches", ("-w", str(WINDOW), "-k", "20", "-t", str(seconds)), seconds, 20)


def open_loop(rate: int, seconds: float) -> Mode:
    """Return the mode of single ticks at a given rate."""
    return Mode(f"open-{rate}", ("-r", str(rate), "-t", str(seconds)), seconds)


def steady(seconds: float) -> Mode:
    """Return the everyday load: many senders at a moderate rate."""
    options = ("-r", str(STEADY_RATE), "-s", str(STEADY_SOURCES), "-t", str(seconds))
    return Mode("steady", options, seconds)


def flood(rate: float, seconds: float) -> Mode:
    """Return the mode of more ticks than the server can take."""
    return Mode("flood", ("-r", f"{rate:.0f}", "-g", "-t", str(seconds)), seconds)


WARM_UP = Mode("warm-up", ("-r", "20000", "-t", "1"), 1.0)


def measured_mode(name: str, arguments: argparse.Namespace) -> Mode | None:
    """Return a mode in which both servers are compared, or None for the others."""
    if name == "saturation":
        return saturation(arguments.seconds)
    if name == "batches":
        return batches(arguments.seconds)
    if found := re.fullmatch(r"open-(\d+)", name):
        return open_loop(int(found[1]), arguments.seconds)
    return None


# Measuring


def compare(bench: Bench, modes: list[Mode], rounds: int) -> Iterator[Run]:
    """Visit the servers in turn, so that what disturbs the machine disturbs both."""
    servers: list[TickServer] = [bench.start_floor(), bench.start_mtnet()]
    for server in servers:
        bench.warm_up(server)
    for mode in modes:
        for number in range(rounds):
            for server in servers:
                say(f"{mode.name}, round {number + 1} of {rounds}: {server.name}")
                yield bench.visit(server, mode)
    for server in servers:
        server.stop()


def flood_with_signals(bench: Bench, mode: Mode, port: int) -> tuple[Run, list[str]]:
    """Flood mtnet while positions are published through it; return what is said of them."""
    server = bench.start_mtnet(port)
    bench.warm_up(server)
    enough = threading.Event()
    with closing(Probe(port)) as probe, ThreadPoolExecutor(1) as thread:
        timer = threading.Timer(QUIET, enough.set)
        timer.start()
        quiet = probe.delays(enough)
        enough.clear()
        delays = thread.submit(probe.delays, enough)
        try:
            run = bench.visit(server, mode)
        finally:
            enough.set()
        said = [describe_delays("before the flood", quiet)]
        said.append(describe_delays("during the flood", delays.result()))
    server.stop()
    return run, said


def flood_rate(bench: Bench, runs: Iterable[Run], arguments: argparse.Namespace) -> float:
    """Return four times what mtnet takes; it is measured if it was not."""
    if arguments.rate:
        return float(arguments.rate)
    rates = [run.heard_rate for run in runs if (run.mode, run.server) == ("saturation", "mtnet")]
    if not rates:
        server = bench.start_mtnet()
        bench.warm_up(server)
        rates = [bench.visit(server, saturation(arguments.seconds)).heard_rate]
        server.stop()
    return FLOOD_FACTOR * statistics.median(rates)


# Saying


def say(text: str) -> None:
    """Tell the user; the report alone goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def describe_delays(when: str, delays: list[float]) -> str:
    """Return one line about positions."""
    milliseconds = [delay * 1000 for delay in delays]
    return (
        f"- signals {when}: median {statistics.median(milliseconds):.1f} ms, worst "
        f"{max(milliseconds):.1f} ms from publisher to follower, {len(delays)} changes"
    )


def table(head: str, rows: Iterable[list[str]]) -> list[str]:
    """Return a markdown table; `head` has its column names between bars."""
    columns = head.split("|")
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines]


def comparison(runs: list[Run]) -> list[str]:
    """Return the table of the modes in which both servers are measured."""
    head = (
        "load|server|ticks/s stored, thousands|× floor|ticks/s heard, thousands|× floor"
        "|CPU µs per tick|× floor|CPU busy|lost"
    )
    rows = []
    for mode in dict.fromkeys(run.mode for run in runs):
        ours = {name: _of(runs, mode, name) for name in ("floor", "mtnet")}
        rows += [_row(ours[name], ours["floor"]) for name in ours]
    return table(head, rows)


def _of(runs: list[Run], mode: str, server: str) -> list[Run]:
    return [run for run in runs if (run.mode, run.server) == (mode, server)]


def _row(runs: list[Run], floor: list[Run]) -> list[str]:
    def measured(value: Callable[[Run], float], form: str, unit: float = 1) -> list[str]:
        ratios = [value(a) / value(b) for a, b in zip(runs, floor, strict=True)]
        return [
            spread([value(run) / unit for run in runs], form),
            f"{statistics.median(ratios):.2f}",
        ]

    return [
        runs[0].mode,
        runs[0].server,
        *measured(lambda run: run.stored_rate, ".1f", 1000),
        *measured(lambda run: run.heard_rate, ".1f", 1000),
        *measured(lambda run: run.cpu_per_tick, ".2f"),
        f"{statistics.median(run.busy for run in runs):.0%}",
        f"{sum(run.lost for run in runs):,}",
    ]


def accounting(runs: list[Run]) -> list[str]:
    """Return the table of the modes in which mtnet must account for every tick."""
    head = (
        "load|ticks/s sent|sent|received|stored|dropped|refused|kernel drops|CPU µs per tick"
        "|sent = stored + counted"
    )
    return table(head, map(_accounted, runs))


def _accounted(run: Run) -> list[str]:
    counts = run.counts
    numbers = [run.sent, counts.received, counts.stored, counts.dropped, counts.refused]
    return [
        run.mode,
        f"{run.rate:,.0f}",
        *(f"{number:,}" for number in [*numbers, counts.kernel_drops]),
        f"{run.cpu_per_tick:.2f}",
        "yes, to the tick" if run.adds_up else "**NO**",
    ]


def complaints(runs: list[Run]) -> list[str]:
    """Return a sentence for each run whose ticks do not add up."""
    return [
        f"**{run.mode}, {run.server}: {run.sent} ticks sent do not add up: {asdict(run.counts)}**"
        for run in runs
        if not run.adds_up
    ]


# The command line


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add(
        "modes",
        nargs="*",
        metavar="MODE",
        help="saturation, batches, open-RATE, steady, flood; "
        f"without any: {' '.join(DEFAULT_MODES)}",
    )
    add("--rounds", type=int, default=5, help="visits to each server (5)")
    add("--seconds", type=float, default=10.0, help="length of a visit (10)")
    add("--steady-seconds", type=float, default=60.0, help="length of steady (60)")
    add("--flood-seconds", type=float, default=20.0, help="length of flood (20)")
    add("--rate", type=float, help="ticks/s of flood (four times what mtnet takes)")
    add("--signals", type=int, metavar="PORT", help="of signals during flood (a free one)")
    add("--mtnet", default=default_mtnet(), help="command that is mtnet (of this Python)")
    add("--folder", type=Path, help="where the data folders are made (the temporary folder)")
    add("--first-port", type=int, default=28_000, help="ports are taken from here on (28000)")
    add("--json", type=Path, metavar="FILE", help="write every run there")
    arguments = parser.parse_args(words)
    arguments.modes = arguments.modes or list(DEFAULT_MODES)
    for name in arguments.modes:
        if name not in ("steady", "flood") and measured_mode(name, arguments) is None:
            parser.error(f"there is no mode {name}")
    return arguments


def measure(arguments: argparse.Namespace, bench: Bench) -> tuple[list[Run], list[str]]:
    """Run every mode that was asked for; return the runs and the report."""
    modes = [mode for name in arguments.modes if (mode := measured_mode(name, arguments))]
    runs = list(compare(bench, modes, arguments.rounds)) if modes else []
    report = [*comparison(runs), ""] if runs else []
    accounted: list[Run] = []
    said: list[str] = []
    if "steady" in arguments.modes:
        server = bench.start_mtnet()
        bench.warm_up(server)
        say("steady")
        accounted.append(bench.visit(server, steady(arguments.steady_seconds)))
        server.stop()
    if "flood" in arguments.modes:
        rate = flood_rate(bench, runs, arguments)
        say(f"flood of {rate:,.0f} ticks/s")
        mode = flood(rate, arguments.flood_seconds)
        run, said = flood_with_signals(bench, mode, arguments.signals or bench.free_port())
        accounted.append(run)
    if accounted:
        report += [*accounting(accounted), "", *said, ""]
    return runs + accounted, report


def main() -> int:
    """Measure, report, and return the exit status: 1 when ticks do not add up."""
    arguments = parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    try:
        # The servers' CPU is theirs alone.
        pin_load()
        with ExitStack() as stack:
            runs, report = measure(arguments, Bench(arguments, stack))
    except (BenchError, OSError) as error:
        say(f"bench: {error}")
        return 1
    wrong = complaints(runs)
    pinned = f"Servers on CPU {SERVER_CPU}, load on CPU {LOAD_CPU}, {arguments.rounds} rounds."
    print("\n".join([machine(), pinned, "", *report, *wrong]).rstrip())
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    for sentence in wrong:
        say(sentence)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
