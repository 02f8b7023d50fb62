"""
How long a publisher waits until its signal is on disk, beside NATS JetStream.

mtnet answers PUBLISH with STORED, NATS a message with an acknowledgement; both force each to the
disk first (`sync_interval: always`), and both know an id again. One client, with a plain blocking
socket for either, visits them in turn; the floor is a file that is appended to and forced.
Run it from a development environment: `python bench/publish.py --nats PATH/TO/nats-server`.

With `--beside TREE` mtnet is compared with itself in another checkout, whose `.venv` has it
installed: both daemons run for the whole time, and blocks of some signals go to one and to the
other in turn. Ratios are those of neighbouring blocks, so that they can be told to about 0.02 even
where the clock of the processor changes meanwhile.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness import (
    PINNED,
    add_folder,
    allow_descriptors,
    cpu_of,
    idle,
    percentile,
    pin_load,
    quartiles,
    spread,
)
from bench.peers import HOST, SignalsDaemon, free_port
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages

WARM = 100
"""Signals before each measurement that do not count."""
STREAM = {"name": "S", "subjects": ["s.>"], "storage": "file", "discard": "old"}


def positions() -> Iterator[tuple[str, bytes]]:
    """Yield ids and frames for ever; the same bytes go to every server."""
    run, number = secrets.token_hex(4), 0
    while True:
        number += 1
        identity = f"{run}-{number}"
        lots = Decimal(number % 1000 + 1).scaleb(-2)
        fields = (("price", "1.09870"),)
        made = Publish(identity, f"SYMBOL{number % 20}", lots, fields=fields)
        yield identity, requests.publish(made)


class Server(ABC):
    """One that takes signals; `mark` ends each of its acknowledgements."""

    name = ""
    mark = b""
    port = 0

    def __init__(self) -> None:
        self.process: Any = None
        self.socket: socket.socket
        self._rest = b""

    @abstractmethod
    def start(self) -> None:
        """Run until it answers."""

    @abstractmethod
    def greet(self) -> None:
        """Say what comes first on a connection."""

    @abstractmethod
    def framed(self, identity: str, frame: bytes) -> bytes:
        """Return the bytes that publish a signal."""

    @abstractmethod
    def good(self, answer: bytes) -> bool:
        """Say whether this is the acknowledgement of a signal that is stored."""

    def dial(self) -> None:
        """Connect the publisher."""
        self.socket = socket.create_connection((HOST, self.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.greet()

    def answers(self) -> list[bytes]:
        """Wait for at least one whole answer."""
        while True:
            *whole, self._rest = (self._rest + self.socket.recv(65_536)).split(self.mark)
            if whole:
                return whole

    def stored(self) -> int:
        """Wait for acknowledgements; return how many came."""
        found = self.answers()
        for answer in found:
            if not self.good(answer):
                raise RuntimeError(f"{self.name} said {answer!r}")
        return len(found)

    def cpu(self) -> float:
        """Return the seconds for which its threads ran."""
        return cpu_of(self.process.pid)

    def one_at_a_time(self, count: int) -> list[float]:
        """Publish signals, each after the acknowledgement of the one before; return seconds."""
        self.dial()
        times, source = [], positions()
        for identity, frame in (next(source) for _ in range(WARM + count)):
            data = self.framed(identity, frame)
            began = time.perf_counter()
            self.socket.sendall(data)
            self.stored()
            times.append(time.perf_counter() - began)
        self.socket.close()
        return times[WARM:]

    def in_flight(self, count: int, window: int) -> float:
        """Publish with `window` under way; return signals a second."""
        self.dial()
        source = positions()
        waiting = deque(self.framed(*next(source)) for _ in range(count))
        began = time.perf_counter()
        under_way = done = 0
        while done < count:
            some = [waiting.popleft() for _ in range(min(window - under_way, len(waiting)))]
            self.socket.sendall(b"".join(some))
            came = self.stored()
            under_way += len(some) - came
            done += came
        took = time.perf_counter() - began
        self.socket.close()
        return count / took


class Mtnet(Server):
    """mtnet; its publisher speaks dialect 2."""

    name, mark = "mtnet", b">>\r\n"

    def __init__(self, folder: Path, prefix: tuple[str, ...], tree: Path | None = None) -> None:
        super().__init__()
        self.daemon = SignalsDaemon(folder, prefix=prefix, tree=tree)
        self.port = self.daemon.number

    def start(self) -> None:
        self.daemon.start()
        self.process = self.daemon.process

    def greet(self) -> None:
        self.socket.sendall(messages.hello(name="bench"))
        assert self.answers()[0].startswith(b"<<WELCOME")

    def answers(self) -> list[bytes]:
        while True:
            found = super().answers()
            said = [each for each in found if not each.startswith(b"<<PING")]
            if len(said) < len(found):
                self.socket.sendall(messages.pong())
            if said:
                return said

    def framed(self, identity: str, frame: bytes) -> bytes:
        return frame

    def good(self, answer: bytes) -> bool:
        return answer.startswith(b"<<STORED|")


class Nats(Server):
    """NATS JetStream; the frame is the payload, and the id its `Nats-Msg-Id`."""

    name, mark = "nats", b"}\r\n"

    def __init__(self, folder: Path, prefix: tuple[str, ...], binary: str) -> None:
        super().__init__()
        self.folder, self.prefix, self.binary, self.port = folder, prefix, binary, free_port()

    def start(self) -> None:
        store = f'store_dir: "{self.folder}", sync_interval: always'
        (self.folder / "nats.conf").write_text(
            f'listen: "{HOST}:{self.port}"\njetstream {{ {store} }}\n', "ascii"
        )
        self.process = subprocess.Popen(
            [*self.prefix, self.binary, "-c", str(self.folder / "nats.conf")],
            stderr=(self.folder / "log.txt").open("ab"),
        )
        for _ in range(200):
            try:
                self.dial()
                break
            except OSError:
                time.sleep(0.05)
        made = json.dumps(STREAM).encode()
        self.socket.sendall(b"PUB $JS.API.STREAM.CREATE.S in.0 %d\r\n%b\r\n" % (len(made), made))
        answer = self.answers()
        assert b'"error"' not in b"".join(answer), answer
        self.socket.close()

    def greet(self) -> None:
        while not self.socket.recv(65_536).endswith(b"\r\n"):
            pass  # INFO
        self.socket.sendall(
            b'CONNECT {"verbose":false,"headers":true,"tls_required":false}\r\nSUB in.* 1\r\n'
        )

    def framed(self, identity: str, frame: bytes) -> bytes:
        head = b"NATS/1.0\r\nNats-Msg-Id: %b\r\n\r\n" % identity.encode()
        sizes = len(head), len(head) + len(frame)
        return b"HPUB s.main in.1 %d %d\r\n%b%b\r\n" % (*sizes, head, frame)

    def good(self, answer: bytes) -> bool:
        return b'"stream":"S"' in answer and b"error" not in answer and b"duplicate" not in answer


class Floor:
    """A file that is appended to and forced, in this process."""

    name = "floor"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "floor"

    def one_at_a_time(self, count: int) -> list[float]:
        """Append frames; return the seconds that each took until it was on the disk."""
        times, source = [], positions()
        with self.path.open("ab", buffering=0) as file:
            for _, frame in (next(source) for _ in range(count)):
                began = time.perf_counter()
                file.write(frame)
                os.fdatasync(file.fileno())
                times.append(time.perf_counter() - began)
        return times


def add_delays(row: dict[str, list[float]], times: list[float]) -> None:
    """Note the percentiles of a visit."""
    row["p50"].append(percentile(times, 0.5))
    row["p99"].append(percentile(times, 0.99))


def measure(servers: list[Server], floor: Floor, options: argparse.Namespace) -> dict[str, object]:
    """Visit all in turn, and return what each took."""
    names = [floor.name, *(each.name for each in servers)]
    rows: dict[str, dict[str, list[float]]] = {
        name: {"p50": [], "p99": [], "cpu": [], "rate": []} for name in names
    }
    for number in range(1, options.rounds + 1):
        add_delays(rows[floor.name], floor.one_at_a_time(options.count))
        for each in servers:
            row, before = rows[each.name], each.cpu()
            add_delays(row, each.one_at_a_time(options.count))
            row["cpu"].append((each.cpu() - before) / (options.count + WARM) * 1e6)
            row["rate"].append(each.in_flight(options.many, options.window))
        print(f"round {number}", file=sys.stderr)
    shown: dict[str, object] = {}
    for name, row in rows.items():
        shown[name] = {
            "p50 ms": spread(row["p50"], 3),
            "p99 ms": spread(row["p99"], 3),
            "CPU us": spread(row["cpu"], 0) if row["cpu"] else "",
            f"{options.window} in flight, signals/s": spread(row["rate"], 0) if row["rate"] else "",
        }
    if "nats" in rows:
        pairs = zip(rows["mtnet"]["p50"], rows["nats"]["p50"], strict=True)
        shown["p50 of mtnet / nats"] = spread([a / b for a, b in pairs], 2)
    return shown


class Followers:
    """Followers of a daemon, each with a connection of its own, who read when they are asked to."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [socket.create_connection((HOST, port), timeout=60) for _ in range(count)]
        for each in self._sockets:
            each.sendall(messages.hello(name="follower") + b"<<SUBSCRIBE|channel=main>>")
        self.read(b"<<SYNCED|", 1)

    def read(self, mark: bytes, count: int) -> None:
        """Read until each was sent as many frames that begin with `mark`."""
        for each in self._sockets:
            data = b""
            while data.count(mark) < count:
                data += each.recv(65_536)
            if b"<<PING" in data:
                each.sendall(messages.pong())

    def close(self) -> None:
        """Leave."""
        for each in self._sockets:
            each.close()


class Blocks:
    """
    Blocks of signals to one of several daemons that are compared.

    Args:
        followers: how many follow the channel.

    Attributes:
        p50: milliseconds until a signal was stored, of each block.
        cpu: microseconds of CPU for a signal, of each block.
        rate: signals a second with many in flight, of each block.
    """

    def __init__(self, server: Mtnet, followers: int) -> None:
        self.server = server
        server.dial()
        self._followers = Followers(server.port, followers)
        self.p50: list[float] = []
        self.cpu: list[float] = []
        self.rate: list[float] = []

    def one_at_a_time(self, source: Iterator[tuple[str, bytes]], count: int) -> None:
        """Publish a block on the connection that is there."""
        times, server, before = [], self.server, self.server.cpu()
        for _, frame in (next(source) for _ in range(count)):
            began = time.perf_counter()
            server.socket.sendall(frame)
            server.stored()
            times.append(time.perf_counter() - began)
        self._followers.read(b"<<SIGNAL|", count)
        self.p50.append(percentile(times, 0.5))
        self.cpu.append((server.cpu() - before) / count * 1e6)

    def close(self) -> None:
        """End all connections."""
        self.server.socket.close()
        self._followers.close()

    def compared(self, before: "Blocks") -> dict[str, str]:
        """Return the medians of the ratios to the blocks of another one, with their quartiles."""
        names = "p50", "cpu", "rate"
        return {each: quartiles(getattr(self, each), getattr(before, each)) for each in names}


def compare(servers: list[Mtnet], options: argparse.Namespace) -> dict[str, object]:
    """Publish to daemons of several trees in turn, and return how they compare."""
    source, rows = positions(), [Blocks(each, options.followers) for each in servers]
    for row in rows:
        row.one_at_a_time(source, 3 * WARM)
        row.p50, row.cpu = [], []
    for number in range(options.blocks):
        for row in rows if number % 2 else reversed(rows):
            row.one_at_a_time(source, options.block)
    for row in rows:
        row.close()
    for number in range(options.blocks):
        for row in rows if number % 2 else reversed(rows):
            row.rate.append(row.server.in_flight(10 * options.block, options.window))
    now, before = rows
    shown: dict[str, object] = {
        row.server.name: {
            "p50 ms": round(median(row.p50), 3),
            "CPU us": round(median(row.cpu)),
            f"{options.window} in flight, signals/s": round(median(row.rate)),
        }
        for row in rows
    }
    return {**shown, "now / before": now.compared(before), "idle, CPU ms a second": idle(servers)}


def main() -> None:
    """Run, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", help="the program nats-server; without it mtnet runs alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=1_000, help="signals one at a time")
    parser.add_argument("--many", type=int, default=5_000, help="signals with a window")
    parser.add_argument("--window", type=int, default=100, help="signals in flight")
    parser.add_argument("--beside", type=Path, metavar="TREE", help="compare with this checkout")
    parser.add_argument("--blocks", type=int, default=80, help="with --beside: blocks to each")
    parser.add_argument("--block", type=int, default=60, help="with --beside: signals in each")
    parser.add_argument("--followers", type=int, default=0, help="with --beside: of each daemon")
    parser.add_argument("--free", action="store_true", help="do not pin anybody to a CPU")
    add_folder(parser)
    options = parser.parse_args()
    prefix = () if options.free else PINNED
    if not options.free:
        pin_load()
    allow_descriptors(2 * options.followers)
    with tempfile.TemporaryDirectory(dir=options.folder) as text:
        folder = Path(text)
        servers: list[Server] = []
        for name in ("mtnet", "nats"):
            (folder / name).mkdir()
        servers.append(now := Mtnet(folder / "mtnet", prefix))
        if options.beside:
            (folder / "before").mkdir()
            servers.append(before := Mtnet(folder / "before", prefix, options.beside))
            before.name = "before"
        elif options.nats:
            servers.append(Nats(folder / "nats", prefix, options.nats))
        try:
            for each in servers:
                each.start()
            if options.beside:
                found = compare([now, before], options)
            else:
                found = measure(servers, Floor(folder), options)
            print(json.dumps(found, indent=2, ensure_ascii=False))
        finally:
            for each in servers:
                if each.process is not None:
                    each.process.send_signal(signal.SIGTERM)
                    each.process.wait(20)


if __name__ == "__main__":
    main()
