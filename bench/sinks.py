"""
Sinks: what a tick costs the daemon without one, with one whose server is down, and with PostgreSQL.

Each of three daemons is sent the same ticks of 50 symbols over one connection, in turns; `SYNC`
ends a turn, and with PostgreSQL the empty queue of the sink. Reported are the CPU of the daemon,
over all its threads, and the ticks that came in a second; the median of `--rounds`. Needs
PostgreSQL and psycopg.
"""

import argparse
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.harness import cpu_of, machine, spread
from bench.peers import HOST, SignalsDaemon, free_port
from tests.live.postgres_server import PostgresServer

SYMBOLS = 50
PIECE = 1_000
"""Ticks of one write."""


class TickDaemon:
    """A daemon that takes ticks, and has a sink or none."""

    def __init__(self, name: str, folder: Path, url: str = "") -> None:
        self.name, self.port = name, free_port()
        folder.mkdir()
        sets = (f"sinks.warehouse.url={url}",) if url else ()
        self.daemon = SignalsDaemon(folder, *sets)
        self.daemon.more = [f"ticks=tcp:{self.port}:interface={HOST}"]
        self.daemon.start()

    def cpu(self) -> float:
        """Return the seconds for which its threads ran."""
        return cpu_of(self.daemon.process.pid)

    def waiting(self) -> int:
        """Return the ticks that wait for its sink."""
        return sum(each["waiting"] for each in self.daemon.status()["sinks"]["sinks"])

    def send(self, ticks: int, drained: bool) -> tuple[float, float]:
        """Send ticks; return microseconds of CPU of each, and how many came in a second."""
        before, began = self.cpu(), time.monotonic()
        with socket.create_connection((HOST, self.port), 60) as connection:
            for first in range(0, ticks, PIECE):
                connection.sendall(
                    b"".join(
                        b"SYM%d 1.%05d 1.%05d - - %d 6\n"
                        % (at % SYMBOLS, at % 90_000, at % 90_000 + 2, 1_796_000_000_000 + at)
                        for at in range(first, first + PIECE)
                    )
                )
            connection.sendall(b"SYNC:\n")
            connection.recv(100)
        took = time.monotonic() - began
        while drained and self.waiting():
            time.sleep(0.05)
        return (self.cpu() - before) / ticks * 1e6, ticks / took


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=200_000, help="of one turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mtnet-") as text, ExitStack() as stack:
        folder = Path(text)
        folder.chmod(0o755)  # the user of PostgreSQL passes through
        (folder / "postgres").mkdir()
        server = PostgresServer(folder / "postgres", free_port())
        server.start()
        stack.callback(server.stop)
        nobody = f"postgresql://postgres@{HOST}:{free_port()}/postgres"
        daemons = [
            TickDaemon("no sink", folder / "none"),
            TickDaemon("a sink whose server is down", folder / "down", nobody),
            TickDaemon("PostgreSQL", folder / "up", server.url),
        ]
        for each in daemons:
            stack.callback(each.daemon.stop)
        runs: dict[str, list[tuple[float, float]]] = {each.name: [] for each in daemons}
        for number in range(options.rounds + 1):
            for each in daemons:
                run = each.send(options.ticks, each.name == "PostgreSQL")
                if number:  # the first one warms up
                    runs[each.name].append(run)
    print(f"{machine()} Medians of {options.rounds} rounds of {options.ticks} ticks.\n")
    print("| sink | CPU µs a tick | ticks/s |\n| --- | --- | --- |")
    for name, found in runs.items():
        cpu, rate = zip(*found, strict=True)
        print(f"| {name} | {spread(list(cpu), 1)} | {spread(list(rate), 0)} |")


if __name__ == "__main__":
    main()
