"""
How much memory a follower takes that waits for news, in mtnet and in nats-server.

Each follower of mtnet says HELLO with an account and SUBSCRIBE, is in sync, and answers heartbeats.
Each visit has a server of its own, which starts afresh. See README.md beside this file.
"""

import argparse
import functools
import re
import select
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.accounts_daemon import dial, network
from bench.fanout.servers import Mtnet, Nats
from bench.harness import BenchError, Server, add_options, machine, run_bench, spread

FIRST = 100
"""Followers that are there before the first look: what is made once does not count."""
LOOK = 1.0
"""Seconds of connecting before those who are there are heard: on a busy machine hundreds take
longer than a heartbeat, and who misses three is cut off."""
HOLD = 7.0
"""Seconds that all stay before the second look: each was pinged once."""
GONE = 2.0
"""Seconds from the last one's going to the third look."""
PATIENCE = 20.0
"""Seconds in which a follower must be served."""
ANSWERS = {b"<<PING": b"<<PONG>>\r\n", b"PING\r\n": b"PONG\r\n"}
"""What is answered, and how."""


class FollowerPool:
    """
    Followers who stay until the end.

    Args:
        context: of TLS; None = none.
    """

    def __init__(self, server: Server, context: ssl.SSLContext | None) -> None:
        self._server, self._context = server, context
        self._poll = select.epoll()
        self._held: dict[int, socket.socket] = {}

    def connect(self, count: int) -> None:
        """Let followers come until there are `count`."""
        looked = time.monotonic()
        while len(self._held) < count:
            connection = self._dial(len(self._held) + 1)
            self._held[connection.fileno()] = connection
            self._poll.register(connection, select.EPOLLIN)
            if time.monotonic() - looked >= LOOK:
                self.answer_pings(0)
                looked = time.monotonic()

    def answer_pings(self, seconds: float) -> None:
        """Answer heartbeats: all that have come, and those that come within the time."""
        until = time.monotonic() + seconds
        while True:
            # Without a number it returns the first 1,023, and the others would never be answered.
            found = self._poll.poll(max(0.0, until - time.monotonic()), max(1, len(self._held)))
            for descriptor, _ in found:
                self._answer(self._held[descriptor])
            if not found and time.monotonic() >= until:
                return

    def close(self) -> None:
        """Hang up."""
        for connection in self._held.values():
            connection.close()
        self._held.clear()
        self._poll.close()

    def _dial(self, number: int) -> socket.socket:
        connection = dial(self._server.port, network(number), PATIENCE)
        if self._context is not None:
            connection = self._context.wrap_socket(connection)
        first, last = self._server.follow
        connection.sendall(first.encode())
        said = b""
        while last.encode() not in said:
            more = connection.recv(65536)
            said += more
            if not more:
                raise BenchError(f"{self._server.name}: follower {number} was told {said!r}.")
        connection.setblocking(False)
        return connection

    def _answer(self, connection: socket.socket) -> None:
        try:
            said = connection.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        if not said:
            raise BenchError(f"{self._server.name} has cut off a follower.")
        for asked, answer in ANSWERS.items():
            if asked in said:
                connection.send(answer)


@dataclass(frozen=True)
class Run:
    """What one visit found, in kB: the first, the second and the third look."""

    server: str
    followers: int
    rss: tuple[int, int, int]
    anonymous: tuple[int, int, int]

    def each(self, what: str) -> float:
        """Return the kB of one more follower."""
        before, after, _ = getattr(self, what)
        return float(after - before) / (self.followers - FIRST)


@dataclass(frozen=True)
class Case:
    """Who is visited, and by how many."""

    name: str
    make: Callable[[Path], Server]
    followers: int
    secure: bool


Runs = dict[Case, list[Run]]


def look(server: Server) -> tuple[int, int]:
    """Return the kB of memory of a server that lie in RAM, and those that belong to no file."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text("ascii")
    found = dict(re.findall(r"^(VmRSS|RssAnon):\s+([0-9]+) kB$", status, re.MULTILINE))
    return int(found["VmRSS"]), int(found["RssAnon"])


def visit(case: Case, folder: Path) -> Run:
    """Start a server, and let followers come and go."""
    context = None
    if case.secure:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = case.make(folder)
    try:
        server.start()
        pool = FollowerPool(server, context)
        looks = []
        for count in (FIRST, case.followers):
            pool.connect(count)
            pool.answer_pings(HOLD)
            looks.append(look(server))
        pool.close()
        time.sleep(GONE)
        looks.append(look(server))
    except OSError as error:
        raise BenchError(f"{case.name}, {case.followers} followers: {error}") from error
    finally:
        server.stop()
    rss, anonymous = zip(*looks, strict=True)
    return Run(case.name, case.followers, rss, anonymous)


def measure(cases: list[Case], options: argparse.Namespace) -> Runs:
    """Visit all in turn."""
    runs: Runs = {}
    for number in range(1, options.rounds + 1):
        for case in cases:
            said = f"round {number} of {options.rounds}: {case.followers} to {case.name}"
            print(said, file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                runs.setdefault(case, []).append(visit(case, Path(folder)))
    return runs


def report(runs: Runs, rounds: int) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{machine()} Medians of {rounds} rounds, (least–most).\n"
    looks = f"RSS, MiB: {FIRST} are there", "all", "none any more"
    head = ["server", "followers", "kB of RSS each", "of these no file's", *looks]
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join(["---"] * len(head)) + " |"
    for case, found in runs.items():
        row = [case.name, f"{case.followers:,}"]
        row += [spread([run.each(what) for run in found], 1) for what in ("rss", "anonymous")]
        row += [spread([run.rss[at] / 1024 for run in found], 0) for at in range(3)]
        yield "| " + " | ".join(row) + " |"


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nats", help="the program nats-server; without it mtnet is alone")
    parser.add_argument("--plain", default="1000,10000", help="followers, with commas")
    parser.add_argument("--tls", default="1000,2000", help="followers, with commas")
    add_options(parser, rounds=3)
    options = parser.parse_args(words)
    options.plain, options.tls = (
        [int(each) for each in text.split(",") if each] for text in (options.plain, options.tls)
    )
    if min([*options.plain, *options.tls], default=0) <= FIRST:
        parser.error(f"there must be more than {FIRST} followers")
    return options


def list_cases(options: argparse.Namespace) -> list[Case]:
    """Return who is visited in each round."""
    makes: list[tuple[str, Callable[..., Server]]] = [("mtnet", Mtnet)]
    if options.nats:
        if not shutil.which(options.nats):
            raise BenchError(f"{options.nats} is no program that can be run.")
        makes.append(("nats", functools.partial(Nats, binary=options.nats)))
    cases = []
    for name, make in makes:
        cases += [Case(name, make, count, False) for count in options.plain]
        secure = functools.partial(make, secure=True)
        cases += [Case(f"{name}, TLS", secure, count, True) for count in options.tls]
    return cases


def main() -> int:
    """Measure and report; return the exit status."""
    options = parse(sys.argv[1:])
    most = max([*options.plain, *options.tls])
    runs = run_bench(most, lambda: measure(list_cases(options), options), options.json)
    if runs is None:
        return 1
    print("\n".join(report(runs, options.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
