"""
Send ticks to mtnet while many subscribe to all of them, and account for every tick and delivery.

Run it from a development environment: `python bench/ticks/subscribers.py --rates 10000 50000`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import LOAD_CPU, compile_programs, machine, pin_load
from bench.peers import HOST
from bench.ticks.servers import Mtnet, free_ports

HEAD = (
    "| form | ticks/s | subscribers | sent | stored | kernel drops | delivered | skipped "
    "| each was sent all | CPU µs per tick | CPU µs per delivery |\n" + "| --- " * 11 + "|"
)


class Subscribed(Mtnet):
    """mtnet with a port of the ticks for datagrams and one for subscribers."""

    def command(self) -> list[str]:
        """Return what is run."""
        return [*super().command(), f"--listen=ticks=tcp:{self.port}:interface={HOST}"]

    def port_of(self, dialect: str) -> int:
        """Return the port for subscribers."""
        return self.port if dialect == "stream" else self.signals or 0


def rows(arguments: argparse.Namespace, server: Subscribed, program: Path) -> Iterator[str]:
    """Yield a row of the report for each load."""
    for form in arguments.forms:
        for rate in arguments.rates:
            for count in arguments.subscribers:
                yield row(server, program, (form, rate, count), arguments)


def row(
    server: Subscribed, program: Path, load: tuple[str, int, int], arguments: argparse.Namespace
) -> str:
    """Measure one load."""
    form, rate, count = load
    before, cpu = server.counts(), server.cpu()
    words = (
        *(server.port, server.port_of(arguments.dialect), count, rate, arguments.seconds),
        *(arguments.symbols, form, arguments.dialect),
    )
    answer = subprocess.run(
        ["taskset", "-c", str(LOAD_CPU), str(program), *map(str, words)],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(answer.stdout)
    while not (server.counts() - before).settled:
        time.sleep(0.1)
    cpu, counts = server.cpu() - cpu, server.counts() - before
    due = counts.stored * count
    whole = found["lines"] + found["skipped"] == due and found["least"] * count == due
    cells = (
        form,
        f"{found['rate']:,.0f}",
        count,
        f"{found['sent']:,}",
        f"{counts.stored:,}",
        counts.kernel_drops,
        f"{found['lines']:,}",
        f"{found['skipped']:,}",
        "yes, to the tick" if whole else "**NO**",
        f"{cpu / found['sent'] * 1e6:.1f}",
        f"{cpu / found['lines'] * 1e6:.2f}" if count else "–",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure each load on one server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forms", nargs="+", default=["classic", "line", "batch"])
    parser.add_argument("--rates", nargs="+", type=int, default=[10_000, 50_000])
    parser.add_argument("--subscribers", nargs="+", type=int, default=[0, 1, 100])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--dialect", choices=("stream", "session"), default="stream")
    parser.add_argument("--mtnet", default=f"{sys.executable} -m mtnet")
    parser.add_argument("--first-port", type=int, default=28_400)
    arguments = parser.parse_args()
    pin_load()
    with tempfile.TemporaryDirectory(prefix="mtnet-bench-") as name:
        folder = Path(name)
        (program,) = compile_programs(folder, Path(__file__).parent, "subscribers")
        ports = free_ports(arguments.first_port)
        server = Subscribed(arguments.mtnet, next(ports), next(ports), folder, next(ports))
        server.start()
        print(machine(), HEAD, sep="\n\n", flush=True)
        for line in rows(arguments, server, program):
            print(line, flush=True)
        server.stop()


if __name__ == "__main__":
    main()
