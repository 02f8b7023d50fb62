"""
How long a publisher waits while a thousand followers fetch what they have missed.

All follow one channel. In each round a publisher sends ten signals a second, first to followers
who are there, then while each of them fetches its last 6,000 entries anew: far more than the
daemon keeps in memory for those who come back. See README.md beside this file.
"""

import argparse
import os
import re
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.harness import PINNED, BenchError, add_options, machine, percentile, run_bench, spread
from bench.peers import HOST, SignalsDaemon
from bench.publish import Mtnet, positions
from mtnet.services.signals.wire import requests
from mtnet.session import messages

EVERY = 0.1
"""Seconds between two signals."""
ROOM = 1 << 20
PATIENCE = 300.0
"""Seconds in which all must be in sync."""
GOAL = 3.0
"""Times that a publisher may wait as long as beside followers who have missed nothing."""
SYNCED = re.compile(rb"<<SYNCED\|channel=main\|epoch=([0-9a-f]+)\|seq=([0-9]+)[|>]")
LEAST = 100
"""Bytes of an entry."""
HEARTBEAT = "signals.heartbeat=60"
"""Else followers would have to look for PINGs in all that they are sent."""
KEPT = 200
"""Bytes of the end of what was read, for a frame that is not whole yet."""


class Follower:
    """
    A follower that looks at what it is sent no closer than it must: it shares its CPU.

    Attributes:
        received: bytes, since it asked last.
        synced: the last of what it had missed; None = it is not in sync.
    """

    __slots__ = ("_rest", "epoch", "received", "socket", "synced")

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=30)
        self.socket.sendall(messages.hello(name=f"follower-{number}") + requests.subscribe())
        self.socket.setblocking(False)
        self._rest, self.received = b"", 0
        self.epoch = ""
        self.synced: int | None = None

    def ask(self, after: int) -> None:
        """Fetch all that came behind an entry once more."""
        self.received, self.synced, self._rest = 0, None, b""
        again = requests.unsubscribe("main") + requests.subscribe("main", None, self.epoch, after)
        self.socket.sendall(messages.pong() + again)

    def read(self) -> bool:
        """Take what came; return whether it is in sync by now, and was not before."""
        try:
            more = self.socket.recv(ROOM)
        except BlockingIOError:
            return False
        if not more:
            raise BenchError(f"A follower was closed: {self._rest!r}.")
        self.received += len(more)
        rest, self._rest = self._rest, more[-KEPT:]
        if self.synced is not None:
            return False
        found = SYNCED.search(rest + more if b"<<SYNCED" in more else rest + more[:KEPT])
        if found is None:
            return False
        self.epoch, self.synced = found[1].decode(), int(found[2])
        return True


class Herd:
    """All followers, and what came to them."""

    def __init__(self, port: int, count: int) -> None:
        self._poll, self.left = select.epoll(), count
        self.followers: dict[int, Follower] = {}
        for number in range(count):
            each = Follower(port, number)
            self.followers[each.socket.fileno()] = each
            self._poll.register(each.socket, select.EPOLLIN)
            self.turn()
        until = time.monotonic() + PATIENCE
        while not all(each.epoch for each in self.followers.values()):
            self.turn()
            if time.monotonic() > until:
                raise BenchError("The followers are not in sync.")

    def ask(self, back: int) -> None:
        """Let each fetch its last entries."""
        last = max(each.synced or 0 for each in self.followers.values())
        self.left = len(self.followers)
        for each in self.followers.values():
            each.ask(max(0, last - back))

    def turn(self) -> None:
        """Take what came."""
        for descriptor, _ in self._poll.poll(0.01):
            if self.followers[descriptor].read():
                self.left -= 1

    def close(self) -> None:
        """Hang up."""
        for each in self.followers.values():
            each.socket.close()


@dataclass(frozen=True)
class Run:
    """
    One round.

    Attributes:
        quiet, behind: milliseconds until a signal was stored, without and with followers behind.
        seconds, cpu: until all were in sync, and what that took the daemon.
    """

    quiet: list[float]
    behind: list[float]
    seconds: float
    cpu: float


def publish(port: int) -> None:
    """Publish until stdin ends; print when each signal was sent, and how long it took."""
    if os.sched_getscheduler(0) == os.SCHED_RR:  # see README.md
        os.sched_setparam(0, os.sched_param(2))
    publisher = socket.create_connection((HOST, port), timeout=60)
    publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    publisher.sendall(messages.hello(name="bench"))
    publisher.recv(ROOM)
    source, next_one = positions(), time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, next_one - time.monotonic()))[0]:
        next_one += EVERY
        identity, frame = next(source)
        began, answer, mark = time.monotonic(), b"", f"id={identity}|".encode()
        publisher.sendall(frame)
        while mark not in answer:
            more = publisher.recv(ROOM)
            if not more:
                return
            answer = answer[-KEPT:] + more
            if b"<<PING" in answer:
                with suppress(OSError):
                    publisher.send(messages.pong())
        print(f"{began} {time.monotonic() - began}", flush=True)


class Publisher:
    """The program of `publish` beside this one: what it measures, this one must not disturb."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, __file__, "--publish", str(port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._found: deque[tuple[float, float]] = deque()

    def stop(self) -> list[tuple[float, float]]:
        """End it; return when each signal was sent, and how long it took."""
        out, _ = self._process.communicate()
        return [tuple(map(float, line.split())) for line in out.splitlines()]  # type: ignore[misc]


def visit(herd: Herd, daemon: Mtnet, options: argparse.Namespace) -> Run:
    """Publish to followers who are there, then to those who have missed something."""
    publisher = Publisher(daemon.port)
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        herd.turn()
    begun, cpu = time.monotonic(), daemon.cpu()
    herd.ask(options.back)
    while herd.left:
        herd.turn()
        if time.monotonic() > begun + PATIENCE:
            raise BenchError(f"{herd.left} are not in sync after {PATIENCE:g} s.")
    ended, cpu = time.monotonic(), daemon.cpu() - cpu
    for each in herd.followers.values():
        if each.received < options.back * LEAST:
            raise BenchError(f"A follower was sent {each.received} bytes.")
    found = publisher.stop()
    return Run(
        [took * 1000 for sent, took in found[1:] if sent + took < begun],
        [took * 1000 for sent, took in found if begun <= sent <= ended],
        ended - begun,
        cpu,
    )


def measure(options: argparse.Namespace) -> dict[str, list[Run]]:
    """Return all rounds."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as text:
        daemon = Mtnet(Path(text), PINNED)
        daemon.daemon = SignalsDaemon(Path(text), HEARTBEAT, prefix=PINNED)
        daemon.port = daemon.daemon.number
        daemon.start()
        try:
            daemon.in_flight(options.back + 3_000, 100)
            herd = Herd(daemon.port, options.followers)
            for number in range(options.rounds):
                runs.append(visit(herd, daemon, options))
                print(f"round {number + 1} of {options.rounds}: {show(runs[-1])}", file=sys.stderr)
            herd.close()
        finally:
            daemon.daemon.stop()
    return {"rounds": runs}


def show(run: Run) -> str:
    """Return one round in a line."""
    quiet, behind = statistics.median(run.quiet), statistics.median(run.behind or [0.0])
    return (
        f"p50 {quiet:.2f} and {behind:.2f} ms ({len(run.behind)} signals), "
        f"in sync after {run.seconds:.1f} s, {run.cpu:.1f} s of CPU"
    )


def main() -> int:
    """Print a table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--back", type=int, default=6_000, help="entries that each has missed")
    parser.add_argument("--publish", type=int, help=argparse.SUPPRESS)
    add_options(parser, rounds=7, seconds=5.0)
    options = parser.parse_args()
    if options.publish:
        publish(options.publish)
        return 0
    found = run_bench(options.followers, lambda: measure(options), options.json)
    if found is None:
        return 1
    runs = found["rounds"]
    quiet = [percentile([each / 1000 for each in run.quiet], 0.5) for run in runs]
    behind = [percentile([each / 1000 for each in run.behind], 0.5) for run in runs]
    times = [b / q for b, q in zip(behind, quiet, strict=True)]
    print(f"{machine()} {options.followers} followers, {options.back} entries behind.\n")
    print("| p50 ms, none behind | p50 ms, all behind | times | in sync, s | CPU s |")
    print("| --- | --- | --- | --- | --- |")
    columns = (quiet, behind, times, [run.seconds for run in runs], [run.cpu for run in runs])
    print(f"| {' | '.join(spread(each, 2) for each in columns)} |")
    everything = [each for run in runs for each in run.behind]
    longest = max(everything, default=0.0)
    print(f"\n{len(everything)} signals meanwhile; the longest took {longest:.1f} ms.")
    return 0 if statistics.median(times) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
