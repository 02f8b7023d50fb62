"""
What WebSocket costs beside TCP: the CPU of a signal to many followers, and the memory of idle ones.

One mtnet with both ports; each round visits its followers by TCP and those by WebSocket in turn,
so that what disturbs the machine disturbs both. A signal is published when the last follower has
the one before, and every follower must have each once and in order. Nothing is compressed. With
`--nats` nats-server's two roads are visited as well; it stores nothing. See README.md beside this
file.

    python bench/websocket.py [--nats PATH/TO/nats-server] [--followers 1000] [--idle 10000]
"""

import argparse
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.accounts_daemon import dial, network
from bench.fanout.servers import Mtnet, Nats
from bench.harness import (
    BenchError,
    add_options,
    machine,
    percentile,
    ratio,
    run_bench,
    spread,
)
from bench.memory import look
from bench.peers import HOST, free_port
from mtnet.session.grammar import parse as parse_frame
from mtnet.session.grammar import payloads
from tests.fakes.websocket_bytes import BINARY, PONG, frame, request, text

PATIENCE = 20.0
"""Seconds in which everybody must be served."""
WARM = 20
"""Signals of each visit that do not count."""
FIRST = 100
"""Idle followers that are there before the first look: what is made once does not count."""
HOLD = 7.0
"""Seconds that all stay before they are looked at: each was pinged once."""
PING = b"\x89\x00"
MOST = 20_000
"""Followers that are heard at once."""


class BothRoads(Mtnet):
    """mtnet with signals by TCP, and by WebSocket on another port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.web = free_port()

    def command(self) -> list[str]:
        words = [each for each in super().command() if each != "--listen=web=off"]
        return [*words, f"--listen=web=tcp:{self.web}:interface={HOST}:backlog=4096"]


class BothRoadsOfNats(Nats):
    """nats-server with its WebSocket on another port."""

    def __init__(self, folder: Path, binary: str) -> None:
        super().__init__(folder, binary)
        self.web = free_port()

    def command(self) -> list[str]:
        words = super().command()
        lines = f'\nwebsocket {{ listen: "{HOST}:{self.web}", no_tls: true }}\n'
        with Path(words[-1]).open("a", encoding="utf-8") as file:
            file.write(lines)
        return words


Served = BothRoads | BothRoadsOfNats


class Road:
    """How a follower of a server comes, and what it is sent: bytes over TCP."""

    def __init__(self, server: Served) -> None:
        self.server = server

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return f"{self.server.name}, TCP"

    def follow(self, number: int) -> socket.socket:
        """Return a follower that is served."""
        connection = dial(self.server.port, network(number), PATIENCE)
        first, last = self.server.follow
        connection.sendall(first.encode())
        read_until(connection, last.encode())
        return connection

    def answer(self, connection: socket.socket, data: bytes) -> None:
        """Answer a heartbeat."""
        if b"<<PING" in data:
            connection.send(b"<<PONG>>\r\n")
        elif b"PING\r\n" in data:
            connection.send(b"PONG\r\n")


class WebRoad(Road):
    """The same by WebSocket."""

    @property
    def name(self) -> str:
        return f"{self.server.name}, WebSocket"

    def follow(self, number: int) -> socket.socket:
        nats = isinstance(self.server, Nats)
        connection = dial(self.server.web, network(number), PATIENCE)
        connection.sendall(request("/" if nats else "/ws", f"{HOST}:{self.server.web}"))
        read_until(connection, b"\r\n\r\n")
        first, last = self.server.follow
        if nats:
            connection.sendall(frame(first.encode(), BINARY))
        else:
            connection.sendall(text(self._hello()) + text({"verb": "SUBSCRIBE", "channel": "main"}))
            last = '"STATUS"'
        read_until(connection, last.encode())
        return connection

    def answer(self, connection: socket.socket, data: bytes) -> None:
        if PING in data:
            connection.send(frame(b"", PONG))
        elif b"PING\r\n" in data:
            connection.send(frame(b"PONG\r\n", BINARY))

    def _hello(self) -> dict[str, str]:
        (payload,) = payloads(self.server.publish[0].encode())
        return {"verb": "HELLO", **parse_frame(payload).fields}


def read_until(connection: socket.socket, last: bytes) -> None:
    """Read until some bytes have come."""
    said = b""
    while last not in said:
        more = connection.recv(65_536)
        said += more
        if not more:
            raise BenchError(f"A connection was closed behind {said!r}.")


class Followers:
    """Those who are connected by one road, and read everything."""

    def __init__(self, road: Road) -> None:
        self._road, self._poll = road, select.epoll()
        self._held: dict[int, socket.socket] = {}

    def connect(self, count: int) -> None:
        """Let followers come until there are `count`."""
        while len(self._held) < count:
            connection = self._road.follow(len(self._held) + 1)
            connection.setblocking(False)
            self._held[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)
            if not len(self._held) % 200:
                self.hear(0.0, b"")

    def hear(self, seconds: float, mark: bytes) -> None:
        """Read for some seconds; with a mark, until each has been sent it."""
        until, left = time.monotonic() + seconds, set(self._held) if mark else {-1}
        while left:
            wait = until - time.monotonic()
            if wait <= 0 and mark:
                raise BenchError(f"{self._road.name}: {len(left)} did not get {mark!r}.")
            for descriptor, _ in self._poll.poll(max(0.0, wait), MOST):
                data = self._held[descriptor].recv(262_144)
                if not data:
                    raise BenchError(f"{self._road.name} has cut off a follower.")
                if mark and mark in data:
                    if descriptor not in left:
                        raise BenchError(f"{self._road.name}: a follower was sent {mark!r} twice.")
                    left.discard(descriptor)
                self._road.answer(self._held[descriptor], data)
            if wait <= 0:
                return

    def close(self) -> None:
        """Hang up."""
        for connection in self._held.values():
            connection.close()
        self._poll.close()


class Publisher:
    """Publishes on the TCP port of a server, for the followers of both roads."""

    def __init__(self, server: Served) -> None:
        self._server, self._count = server, 0
        self._connection = dial(server.port, network(3_000_000), PATIENCE)
        first, last = server.publish
        self._connection.sendall(first.encode())
        read_until(self._connection, last.encode())

    def publish(self) -> bytes:
        """Publish one signal; return what shows it in every form."""
        self._count += 1
        mark = f"m-{self._count:06}-m"
        if isinstance(self._server, Nats):
            payload = f'{{"verb":"SIGNAL","symbol":"GBPUSD","comment":"{mark}"}}'.ljust(180)
            line = f"PUB s {len(payload)}\r\n{payload}\r\n"
        else:
            volume = self._count % 9 + 1
            line = f"<<PUBLISH|id={mark}|symbol=GBPUSD|volume=0.{volume}|comment={mark}>>\r\n"
        self._connection.sendall(line.encode())
        return mark.encode()

    def stored(self) -> None:
        """Read the answers."""
        self._connection.setblocking(False)
        try:
            while self._connection.recv(65_536):
                pass
        except BlockingIOError:
            pass
        self._connection.setblocking(True)


@dataclass(frozen=True)
class Run:
    """What one visit found; `seconds` of each signal, until the last follower had it."""

    road: str
    followers: int
    cpu: float
    seconds: tuple[float, ...]

    @property
    def each(self) -> float:
        """Microseconds of the server's CPU for one delivery."""
        return self.cpu / len(self.seconds) / self.followers * 1e6


@dataclass(frozen=True)
class Idle:
    """kB of memory of one more idle follower: all, and what belongs to no file."""

    road: str
    followers: int
    rss: float
    anonymous: float


Runs = dict[str, list[Run]]
Idles = dict[str, list[Idle]]


def visit(road: Road, publisher: Publisher, count: int, signals: int) -> Run:
    """Send signals to the followers of one road."""
    followers = Followers(road)
    try:
        followers.connect(count)
        road.server.calm_down()
        seconds: list[float] = []
        before = 0.0
        for number in range(WARM + signals):
            if number == WARM:
                before = road.server.cpu()
            begun = time.perf_counter()
            followers.hear(PATIENCE, publisher.publish())
            publisher.stored()
            if number >= WARM:
                seconds.append(time.perf_counter() - begun)
        return Run(road.name, count, road.server.cpu() - before, tuple(seconds))
    finally:
        followers.close()
        road.server.calm_down()


def rest(road: Road, count: int) -> Idle:
    """Let followers come, who are sent nothing but heartbeats."""
    followers, looks = Followers(road), []
    try:
        for number in (FIRST, count):
            followers.connect(number)
            followers.hear(HOLD, b"")
            looks.append(look(road.server))
    finally:
        followers.close()
    each = [(after - before) / (count - FIRST) for before, after in zip(*looks, strict=True)]
    return Idle(road.name, count, *each)


def started(server: Served, stack: ExitStack) -> Served:
    """Start a server that is stopped at the end."""
    stack.callback(server.stop)
    server.start()
    return server


def measure_signals(options: argparse.Namespace) -> Runs:
    """Visit all roads in turn."""
    runs: Runs = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        servers: list[Served] = [BothRoads(folder)]
        if options.nats:
            servers.append(BothRoadsOfNats(folder, options.nats))
        roads = []
        for server in servers:
            started(server, stack)
            publisher = Publisher(server)
            roads += [(Road(server), publisher), (WebRoad(server), publisher)]
        for number in range(1, options.rounds + 1):
            for road, publisher in roads:
                run = visit(road, publisher, options.followers, options.signals)
                runs.setdefault(road.name, []).append(run)
                print(f"round {number} of {options.rounds}: {road.name}", file=sys.stderr)
    return runs


def measure_memory(options: argparse.Namespace) -> Idles:
    """Visit each road with a server of its own, which starts afresh."""
    found: Idles = {}
    for kind in (Road, WebRoad) if options.idle else ():
        for make in (BothRoads, lambda path: BothRoadsOfNats(path, options.nats)):
            if make is not BothRoads and not options.nats:
                continue
            with ExitStack() as stack:
                folder = stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder))
                road = kind(started(make(Path(folder)), stack))
                idle = rest(road, options.idle)
                found.setdefault(road.name, []).append(idle)
                print(f"{options.idle} idle: {road.name}", file=sys.stderr)
    return found


def report(runs: Runs, idles: Idles, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    rounds = f"{options.rounds} rounds of {options.signals} signals"
    yield f"{machine()} Medians of {rounds}, (least–most).\n"
    yield "| road | followers | CPU µs per delivery | × TCP | p50 ms to the last | p99 ms |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in runs.items():
        each = [run.each for run in found]
        tcp = [run.each for run in runs[name.partition(",")[0] + ", TCP"]]
        times = [[percentile(run.seconds, part) for run in found] for part in (0.5, 0.99)]
        row = [name, f"{options.followers:,}", spread(each, 2), ratio(each, tcp)]
        yield "| " + " | ".join([*row, *(spread(part, 1) for part in times)]) + " |"
    if idles:
        yield "\n| road | idle followers | kB of RSS each | of these no file's |"
        yield "| --- | --- | --- | --- |"
    for name, (idle,) in idles.items():
        yield f"| {name} | {idle.followers:,} | {idle.rss:.1f} | {idle.anonymous:.1f} |"


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", help="the program nats-server; without it mtnet is alone")
    parser.add_argument("--followers", type=int, default=1_000, help="of each road")
    parser.add_argument("--signals", type=int, default=200, help="of each visit")
    parser.add_argument("--idle", type=int, default=10_000, help="followers; 0 = none")
    add_options(parser, rounds=7)
    return parser.parse_args(words)


def main() -> int:
    """Measure and report; return the exit status."""
    options = parse(sys.argv[1:])
    most = max(options.followers, options.idle)
    runs = run_bench(most, lambda: measure_signals(options), options.json)
    if runs is None:
        return 1
    idles = run_bench(most, lambda: measure_memory(options), None)
    if idles is None:
        return 1
    print("\n".join(report(runs, idles, options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
