"""
Sentiment: CPU of the daemon, and the delay of answers, with many clients whose votes change.

`--clients` sessions, each from an address of its own in 127/8 and so with a vote of its own, are
sent the sums of all symbols; `--changes` votes a second change, one of `--symbols` symbols each.
The daemon runs on CPU 0, its load on the other ones. Each round lasts `--seconds`; of `--rounds`
the median counts. A round without changes comes before each, for what clients cost that are silent.

The delay is from HOLD to its own SENTIMENT, the answer; others are sent the sum within
`sentiment.interval`. The load is one process that also reads what 10,000 clients are sent: with
fewer CPUs than it needs, its own delay is in the figures.
"""

import argparse
import random
import selectors
import socket
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median

from bench.harness import PINNED, allow_descriptors, cpu_of, machine, percentile, pin_load
from bench.peers import HOST, SignalsDaemon

WAIT = 120.0
"""Seconds that all clients may take to come."""
TURN = 0.02
"""Seconds between two handfuls of votes."""
HELLO = b"<<HELLO|v=2>><<SENTIMENTS|symbols=*>>"


class Load:
    """
    The clients, and what they are sent.

    Attributes:
        delays: seconds from each vote to its answer.
        taken: bytes that all clients were sent.
    """

    def __init__(self, port: int, symbols: int) -> None:
        self._port = port
        self._symbols = [f"SYM{number:03}" for number in range(symbols)]
        self._selector = selectors.DefaultSelector()
        self._clients: list[socket.socket] = []
        self._asked: dict[socket.socket, tuple[bytes, float]] = {}
        self.delays: list[float] = []
        self.taken = 0

    def join(self, count: int) -> None:
        """Connect clients, a hundred at a time; each votes once."""
        for number in range(count):
            host = f"127.{1 + number // 62_500}.{1 + number // 250 % 250}.{1 + number % 250}"
            client = socket.create_connection((HOST, self._port), WAIT, (host, 0))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setblocking(False)
            self._selector.register(client, selectors.EVENT_READ)
            self._clients.append(client)
            client.send(HELLO)
            if number % 100 == 99:
                self.read(0.05)
        for client in self._clients:
            self.vote(client)
            self.read(0.0)
        self.settle()

    def settle(self) -> None:
        """Read until every vote is answered."""
        until = time.monotonic() + WAIT
        while self._asked:
            assert time.monotonic() < until, f"{len(self._asked)} votes are not answered"
            self.read(0.05)

    def vote(self, client: socket.socket) -> None:
        """Send one vote, unless the one before is not answered."""
        if client not in self._asked:
            symbol, lots = random.choice(self._symbols), random.randrange(-500, 500) / 100
            client.send(f"<<HOLD|symbol={symbol}|volume={lots or 1}>>".encode())
            self._asked[client] = f"SENTIMENT|symbol={symbol}|".encode(), time.monotonic()

    def read(self, seconds: float) -> None:
        """Read what comes within a time, or at once."""
        for key, _ in self._selector.select(seconds):
            client: socket.socket = key.fileobj  # type: ignore[assignment]
            data = client.recv(262_144)
            assert data, "The daemon has closed a client"
            self.taken += len(data)
            asked = self._asked.get(client)
            if asked is not None and asked[0] in data:
                del self._asked[client]
                self.delays.append(time.monotonic() - asked[1])

    def run(self, changes: int, seconds: float) -> int:
        """Vote at a rate; return how many votes were sent."""
        begun = time.monotonic()
        sent = 0
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * changes:
                self.vote(random.choice(self._clients))
                sent += 1
            self.read(TURN)
        return sent


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--symbols", type=int, default=28)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    allow_descriptors(asked.clients)
    pin_load()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="sentiment-bench-") as folder:
        sets = ("sentiment.enabled=true", "sentiment.min_clients=3", "signals.heartbeat=3000")
        total = f"access.connections.signals.total={asked.clients + 100}"
        daemon = SignalsDaemon(Path(folder), *sets, total, prefix=PINNED)
        daemon.begin()
        try:
            wait_for(daemon.number)
            measure(Load(daemon.number, asked.symbols), daemon, asked)
        finally:
            daemon.process.terminate()
            daemon.process.wait()
            print("\n".join(daemon.exceptions()))


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)


def measure(load: Load, daemon: SignalsDaemon, asked: argparse.Namespace) -> None:
    """Run the rounds, and print the medians."""
    pid = daemon.process.pid
    load.join(asked.clients)
    print(f"{machine()}; {asked.clients} clients, {daemon.memory() / 2**20:.0f} MiB")
    shares: dict[int, list[float]] = {0: [], asked.changes: []}
    votes, bytes_sent = [], []
    for _ in range(asked.rounds):
        for changes, found in shares.items():
            load.delays.clear()
            marks = [(cpu_of(pid), time.monotonic(), load.taken)]
            sent = load.run(changes, asked.seconds)
            load.settle()
            marks.append((cpu_of(pid), time.monotonic(), load.taken))
            ((spent, took, size),) = [
                [after - before for before, after in zip(*pair, strict=True)]
                for pair in pairwise(marks)
            ]
            found.append(spent / took)
            if changes:
                votes.append((sent / took, spent / sent))
                bytes_sent.append(size / took)
                last = sorted(load.delays)
    silent, busy = (100 * median(each) for each in shares.values())
    print(f"CPU of the daemon: {silent:.1f} % silent, {busy:.1f} % with votes")
    print(f"votes a second {median(each for each, _ in votes):.0f}")
    print(f"CPU for each vote, all told {median(each for _, each in votes) * 1e6:.0f} us")
    print(f"sent {median(bytes_sent) / 1e6:.1f} MB a second")
    shown = " ".join(f"{part:.0%} {percentile(last, part):.1f}" for part in (0.5, 0.9, 0.99))
    print(f"delay of answers in ms: {shown}")


if __name__ == "__main__":
    main()
