"""
The delay of signals to a thousand readers, with and without followers that never read.

One publisher sends RATE signals a second, batches as they come due; a thousand followers of
dialect 2 read them, and in every other run a hundred more never read a byte: they are cut off
once `signals.queue` is full, and come back. Every frame of every reader is accounted for.
Run it from a development environment: `python bench/slow_followers.py --rates 1000,250`.
"""

import argparse
import json
import multiprocessing
import select
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.harness import PINNED, add_folder, allow_descriptors, percentile, pin_load
from bench.peers import HOST, SignalsDaemon
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages

TICK = 0.001
"""Seconds between two batches of the publisher."""
SAMPLE = 8
"""Every so many reads of the readers, the delay of each frame in it is noted."""
LATE = 20.0
"""Seconds that readers have to catch up after the last signal."""
SMALL = 4_096
"""Bytes that the kernel keeps for those who never read."""


def publish(port: int, rate: int, seconds: float, size: int, begin: Any, sent: Any) -> None:
    """
    Publish at `rate`, in a process of its own, from the time `begin` on, once that is known;
    note in `sent` when each signal was sent.
    """
    connection = socket.create_connection((HOST, port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(messages.hello(name="publisher"))
    connection.recv(4_096)
    total, number = int(rate * seconds), 0
    frames = [requests.publish(_position(n, size)) for n in range(total)]
    answers = select.poll()
    answers.register(connection, select.POLLIN)
    while not (start := begin.value):
        time.sleep(TICK)
    while number < total:
        now = time.monotonic()
        due = min(total, int((now - start) * rate))
        if due > number:
            sent[number:due] = [now] * (due - number)
            connection.sendall(b"".join(frames[number:due]))
            number = due
        if answers.poll(TICK * 1000):
            connection.recv(1 << 20)
    while connection.recv(1 << 20):  # whoever asks meanwhile is answered, or hung up on
        pass


def _position(number: int, size: int) -> Publish:
    lots = Decimal(number % 1000 + 1).scaleb(-2)
    fields = (("comment", "x" * size),) if size else ()
    return Publish(f"n-{number}", f"SYMBOL{number % 50}", lots, fields=fields)


class Reader:
    """One that reads; `seq` is the last entry that it was sent."""

    def __init__(self, port: int) -> None:
        self.socket = _follow(port)
        self.seq = 0
        self.rest = b""

    def take(self, data: bytes) -> tuple[int, int]:
        """Return the first and the last entry in what was read, (1, 0) for none."""
        end = data.rfind(b">>\r\n") + 4
        if end < 4:
            self.rest += data
            return 1, 0
        whole, self.rest = self.rest + data[:end], data[end:]
        before, number = self.seq, whole.count(b">>\r\n")
        other = number - whole.count(b"<<SIGNAL|")
        at = whole.rfind(b"|seq=", 0, whole.rfind(b"|symbol="))
        if b"<<ERROR" in whole:
            raise RuntimeError(f"A reader was told {whole[-300:]!r}")
        if b"<<PING" in whole:
            self.socket.send(messages.pong())
        if other < number:
            self.seq = int(whole[at + 5 : whole.index(b"|", at + 5)])
        if self.seq - before != number - other:
            raise RuntimeError(f"A reader at {before} was sent {number - other} up to {self.seq}")
        return before + 1, self.seq


def _follow(port: int, buffer: int = 0) -> socket.socket:
    """Connect a follower, and wait until it is subscribed, if it reads."""
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(20)
    connection.connect((HOST, port))
    connection.sendall(messages.hello(name="reader") + requests.subscribe())
    if not buffer:
        said = b""
        while b"<<STATUS" not in said or not said.endswith(b">>\r\n"):
            said += connection.recv(4_096)
    connection.setblocking(False)
    return connection


class FollowerPool:
    """The readers of one run, those who never read, and what was measured."""

    def __init__(self, daemon: SignalsDaemon, readers: int, idle: int) -> None:
        self.daemon, port = daemon, daemon.number
        self.readers = {
            each.socket.fileno(): each for each in (Reader(port) for _ in range(readers))
        }
        self.idle = {each.fileno(): each for each in (_follow(port, SMALL) for _ in range(idle))}
        self.poll = select.epoll()
        for number in self.readers:
            self.poll.register(number, select.EPOLLIN)
        for number in self.idle:
            self.poll.register(number, 0)  # hang-ups are told always
        self.cut = self.reads = self.frames = 0
        self.chunks: list[tuple[float, int, int]] = []
        self.memory = [daemon.memory()]

    def run(self, total: int, ending: float) -> float:
        """Read until everybody has everything; return the time at which that was."""
        behind, looked = len(self.readers), time.monotonic()
        while behind and time.monotonic() < ending:
            for number, event in self.poll.poll(0.5):
                reader = self.readers.get(number)
                if reader is None:
                    self._back(number)
                elif event & select.EPOLLIN:
                    behind -= self._read(reader, total)
                else:
                    raise RuntimeError("A reader was cut off")
            if time.monotonic() - looked > 0.5:
                looked = time.monotonic()
                self.memory.append(self.daemon.memory())
        return time.monotonic()

    def _read(self, reader: Reader, total: int) -> bool:
        data = reader.socket.recv(1 << 18)
        now = time.monotonic()
        if not data:
            raise RuntimeError("A reader was cut off")
        first, last = reader.take(data)
        if last < first:
            return False
        self.reads += 1
        self.frames += last - first + 1
        if self.reads % SAMPLE == 0:
            self.chunks.append((now, first, last))
        return last == total

    def _back(self, number: int) -> None:
        """Let one that was cut off for never reading come back."""
        self.cut += 1
        self.poll.unregister(number)
        self.idle.pop(number).close()
        again = _follow(self.daemon.number, SMALL)
        self.idle[again.fileno()] = again
        self.poll.register(again.fileno(), 0)

    def delays(self, sent: Sequence[float], warm: int) -> list[float]:
        """Return the sorted delays of the frames that were sampled, but for the first ones."""
        found = []
        for now, first, last in self.chunks:
            found += [now - when for when in sent[max(first - 1, warm) : last]]
        return sorted(found)

    def close(self) -> None:
        """Hang up."""
        for reader in self.readers.values():
            reader.socket.close()
        for each in self.idle.values():
            each.close()
        self.poll.close()


def measure(options: argparse.Namespace, rate: int, idle: int) -> dict[str, float]:
    """Run once, with a new daemon."""
    total = int(rate * options.seconds)
    sent, begin = multiprocessing.Array("d", total, lock=False), multiprocessing.Value("d", 0.0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        daemon = SignalsDaemon(Path(folder), prefix=PINNED)
        daemon.start()
        arguments = (daemon.number, rate, options.seconds, options.comment, begin, sent)
        publisher = multiprocessing.Process(target=publish, args=arguments)
        publisher.start()
        pool = FollowerPool(daemon, options.readers, idle)
        try:
            start = begin.value = time.monotonic() + 2
            ended = pool.run(total, start + options.seconds + LATE)
            delays = pool.delays(list(sent), rate)
            last = max(sent)
            trouble = daemon.exceptions()
        finally:
            pool.close()
            publisher.kill()
            publisher.join()
            daemon.stop(signal.SIGKILL)
    if trouble:
        raise RuntimeError("\n".join(trouble))
    if not delays:  # 0 ms would be a result
        raise SystemExit(
            f"No delay was sampled of {pool.frames} frames: more --seconds or --readers are needed."
        )
    return {
        "sent/s": total / (last - start) if sent[total - 1] else 0.0,
        "received": pool.frames / (total * options.readers),
        "frames per read": pool.frames / max(pool.reads, 1),
        "p50 ms": percentile(delays, 0.5),
        "p99 ms": percentile(delays, 0.99),
        "tail s": ended - last,
        "RSS before MiB": pool.memory[0] / 2**20,
        "RSS most MiB": max(pool.memory) / 2**20,
        "RSS after MiB": pool.memory[-1] / 2**20,
        "cut off": pool.cut,
    }


def main() -> None:
    """Run each rate without and with those who never read, in turn; print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="1000,250", help="signals a second, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--idle", type=int, default=100, help="followers that never read")
    parser.add_argument("--comment", type=int, default=60, help="characters in each signal")
    add_folder(parser)
    options = parser.parse_args()
    allow_descriptors()
    pin_load()
    report: dict[str, object] = {}
    for rate in map(int, options.rates.split(",")):
        runs: dict[int, list[dict[str, float]]] = {0: [], options.idle: []}
        for number in range(options.rounds):
            for idle, rows in runs.items():
                rows.append(measure(options, rate, idle))
                print(f"{rate}/s, round {number + 1}, {idle} idle: {rows[-1]}", file=sys.stderr)
        pairs = zip(runs[0], runs[options.idle], strict=True)
        ratios = [bad["p99 ms"] / good["p99 ms"] for good, bad in pairs]
        report[f"{rate}/s"] = {
            **{f"with {idle} idle": _medians(rows) for idle, rows in runs.items()},
            "ratio of the p99": [round(each, 2) for each in sorted(ratios)],
        }
    print(json.dumps(report, indent=2))


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(row[key] for row in rows), 2) for key in rows[0]}


if __name__ == "__main__":
    main()
