"""
Views: one view for many followers, beside a view for each of them.

Two real daemons with `--followers` sessions each: in one all follow the same view, in the other
each follows its own, of the same settings. Signals of one symbol go to either in turn, the next one
when every follower has the last. Reported are medians of the rounds: the CPU of the daemon for each
signal and follower, their ratio, and the time until STORED.

Run it from the checkout that is to be measured: `python bench/shared_view.py [--followers 1000]`.
"""

import argparse
import select
import socket
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

from bench.harness import allow_descriptors, cpu_of, percentile, ratio, spread
from bench.peers import HOST, SignalsDaemon
from mtnet.daemon.control.client import ask
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages

LATE = 60.0
"""Seconds that everybody has to be sent one signal."""
QUIET = "signals.heartbeat=3600"
"""No PING comes: 1,000 views are made before the first follower reads again."""


class FollowedViews:
    """
    A daemon whose channel `main` has views, its publisher, and followers that read.

    Args:
        views: how many; the followers are spread over them.
    """

    def __init__(self, folder: Path, views: int, followers: int) -> None:
        folder.mkdir()
        self.daemon, self.signals = SignalsDaemon(folder, QUIET), 0
        self.daemon.start()
        self.publisher = self._session()
        self._publish()
        for each in range(views):
            settings = {"sources": ["main"], "value": "0.5", "late_join": "open"}
            ask(self.daemon.data / "control", "views add", view=f"v{each}", settings=settings)
        self.poll = select.epoll()
        self.readers: dict[int, socket.socket] = {}
        for each in range(followers):
            reader = self._session(requests.subscribe(f"v{each % views}"), b"<<STATUS")
            self.readers[reader.fileno()] = reader
            self.poll.register(reader, select.EPOLLIN)

    def _session(self, more: bytes = b"", until: bytes = b"<<WELCOME") -> socket.socket:
        connection = socket.create_connection((HOST, self.daemon.number), timeout=LATE)
        connection.sendall(messages.hello(name="bench") + more)
        self._wait(connection, until)
        return connection

    def _wait(self, connection: socket.socket, until: bytes) -> None:
        said = b""
        while until not in said or not said.endswith(b">>\r\n"):
            data = connection.recv(4_096)
            if not data:
                raise RuntimeError(f"The daemon hung up behind {said!r}: {self.daemon.logged()}")
            said += data

    def _publish(self) -> float:
        """Publish the next signal; return the seconds until it was stored."""
        self.signals += 1
        signal = Publish(f"n-{self.signals}", "XAUUSD", Decimal(self.signals % 7 + 1))
        begun = time.perf_counter()
        self.publisher.sendall(requests.publish(signal))
        self._wait(self.publisher, b"<<STORED")
        return time.perf_counter() - begun

    def cpu(self) -> float:
        """Return the seconds that all threads of the daemon have run."""
        return cpu_of(self.daemon.process.pid)

    def visit(self, signals: int) -> tuple[float, list[float]]:
        """Send signals; return µs of CPU for each one and follower, and the times to STORED."""
        before, stored = self.cpu(), []
        for _ in range(signals):
            stored.append(self._publish())
            self._deliver()
        return (self.cpu() - before) / signals / len(self.readers) * 1e6, stored

    def _deliver(self) -> None:
        """Read until every follower has the signal."""
        missing, deadline = len(self.readers), time.monotonic() + LATE
        while missing > 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{missing} followers were not sent signal {self.signals}")
            for descriptor, _ in self.poll.poll(1):
                data = self.readers[descriptor].recv(4_096)
                if not data:
                    raise RuntimeError("The daemon hung up on a follower")
                missing -= data.count(b"<<SIGNAL|")

    def close(self) -> None:
        """Hang up, and end the daemon."""
        for each in (*self.readers.values(), self.publisher):
            each.close()
        self.daemon.stop()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--signals", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    asked = parser.parse_args()
    allow_descriptors(2 * asked.followers)
    found: dict[str, list[tuple[float, list[float]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=asked.folder)))
        daemons = {}
        for name, views in (("one view for all", 1), ("a view for each", asked.followers)):
            daemons[name] = FollowedViews(folder / f"{views}", views, asked.followers)
            stack.callback(daemons[name].close)
            found[name] = []
        for _ in range(asked.rounds):
            for name, daemon in daemons.items():
                found[name].append(daemon.visit(asked.signals))
    cpu = {name: [each for each, _ in rounds] for name, rounds in found.items()}
    for name, rounds in found.items():
        times = [each for _, stored in rounds for each in stored]
        print(
            f"{name}: {spread(cpu[name], 1)} µs of CPU for each signal and follower; "
            f"STORED after {percentile(times, 0.5):.1f} ms, 99 % {percentile(times, 0.99):.1f} ms"
        )
    shared, each = cpu.values()
    print(f"a view for each takes {ratio(each, shared)} times the CPU of one view for all")


if __name__ == "__main__":
    main()
