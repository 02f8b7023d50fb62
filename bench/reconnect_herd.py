"""
Thundering herd: the time until all followers are in sync after a kill -9 of the daemon.

Each follower of dialect 2 keeps its epoch and its last entry, as the client library does, and
reconnects with them. Every entry is checked: none is missing, none comes twice, and all followers
get the same. See README.md beside this file.
"""

import argparse
import heapq
import re
import select
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.accounts_daemon import HOST, network
from bench.fanout.servers import Mtnet
from bench.harness import BenchError, add_options, machine, run_bench, spread
from mtnet.backoff import backoff
from mtnet.services.signals.wire import requests
from mtnet.session import messages

MODES = {
    "at once": "all dial as soon as somebody listens",
    "policy": "each dials when the client library would",
    "at once, publishing": "as the first, while a publisher goes on",
    "policy, publishing": "as the second, while a publisher goes on",
}
GOAL = 5.0
"""Seconds from the start of listening until the last one is in sync."""
PATIENCE = 90.0
"""Seconds in which all must be in sync."""
KNOCK = 0.005
"""Seconds between two attempts to find out whether somebody listens."""
AGAIN = 1.0
"""Seconds until one dials again that was refused, when all dial at once."""
DIALS = 64
"""Connections that are begun before those that are there are heard."""
RATE = 10
"""Signals a second of the publisher; to hear of one costs this program more than to tell it."""
BEFORE, AFTER = 2.0, 1.0
"""Seconds for which all follow before the kill, and after everybody is in sync."""
ROOM = 262_144
SIGNAL = re.compile(rb"<<SIGNAL\|channel=main\|seq=([0-9]+)\|")
SYNCED = re.compile(rb"<<SYNCED\|channel=main\|epoch=([0-9a-f]+)\|seq=([0-9]+)[|>]")
STORED = re.compile(rb"<<STORED\|id=b-([0-9]+)\|seq=([0-9]+)>>")


class Client:
    """
    A connection that is dialled again and again.

    Args:
        number: of its network.
    """

    __slots__ = ("_rest", "attempts", "number", "socket")

    def __init__(self, number: int) -> None:
        self.number, self.attempts = number, 0
        self.socket: socket.socket | None = None
        self._rest = b""

    def dial(self, port: int) -> socket.socket:
        """Begin to connect."""
        self._rest = b""
        self.socket = made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.bind((network(self.number), 0))
        made.connect_ex((HOST, port))
        return made

    def hear(self) -> list[bytes] | None:
        """Return the whole frames that came; None = it was cut off."""
        assert self.socket is not None
        try:
            more = self.socket.recv(ROOM)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not more:
            return None
        *lines, self._rest = (self._rest + more).split(b"\r\n")
        return lines

    def say(self, frame: bytes) -> None:
        """Send a frame; what the kernel does not take is lost with the connection."""
        assert self.socket is not None
        with suppress(OSError):  # it is cut off, as is seen soon
            self.socket.send(frame)

    def opened(self) -> bytes:
        """Return what is said first."""
        raise NotImplementedError

    def take(self, frame: bytes) -> None:
        """Take what was said."""
        raise NotImplementedError


class Received:
    """
    What all followers were told together.

    Attributes:
        entries: the frame of each entry, as the first follower was told it.
        times: when each follower was in sync, since the list was emptied.
        faults: sentences about what must not happen.
        refusals: errors that followers were told.
    """

    def __init__(self) -> None:
        self.epoch = b""
        self.entries: dict[int, bytes] = {}
        self.times: list[float] = []
        self.faults: list[str] = []
        self.refusals = 0


class Follower(Client):
    """One that wants to miss nothing."""

    __slots__ = ("_hello", "_received", "_synced", "seq")

    def __init__(self, number: int, hello: bytes, received: Received) -> None:
        super().__init__(number)
        self._hello, self._received, self._synced = hello, received, False
        self.seq: int | None = None

    def opened(self) -> bytes:
        self._synced = False
        if self.seq is None:
            return self._hello + requests.subscribe()
        known = {"epoch": self._received.epoch.decode(), "after": self.seq}
        return self._hello + requests.subscribe("main", None, **known)  # type: ignore[arg-type]

    def take(self, frame: bytes) -> None:
        if found := SIGNAL.match(frame):
            self._signal(int(found[1]), frame)
        elif found := SYNCED.match(frame):
            self._received.epoch = self._received.epoch or found[1]
            self._expect(found[1] == self._received.epoch, frame)
            self._expect(self.seq in (None, int(found[2])), frame)
            self.seq, self._synced = int(found[2]), True
        elif frame.startswith(b"<<STATUS") and self._synced and self.attempts:
            self.attempts = 0
            self._received.times.append(time.monotonic())
        elif frame.startswith(b"<<SNAPSHOT"):
            self._expect(self.seq is None, frame)
        elif frame.startswith(b"<<PING"):
            self.say(messages.pong())
        elif frame.startswith(b"<<ERROR"):
            self._received.refusals += 1

    def _signal(self, seq: int, frame: bytes) -> None:
        self._expect(self.seq is not None and seq == self.seq + 1, frame)
        self._expect(self._received.entries.setdefault(seq, frame) == frame, frame)
        self.seq = seq

    def _expect(self, right: bool, frame: bytes) -> None:
        if not right:
            known = self._received.entries.get(self.seq or 0, b"")
            text = f"follower {self.number}, who has {self.seq} ({known!r}), was told {frame!r}"
            self._received.faults.append(text)


class Publisher(Client):
    """One that says each signal until it is stored, in their order."""

    __slots__ = ("_hello", "_last", "_received", "_welcome", "last", "said", "stored")

    def __init__(self, number: int, hello: bytes, received: Received) -> None:
        super().__init__(number)
        self._hello, self._received, self._welcome = hello, received, False
        self.said = self.stored = self.last = 0

    def opened(self) -> bytes:
        self._welcome = False
        return self._hello

    def take(self, frame: bytes) -> None:
        if found := STORED.match(frame):
            self.stored = max(self.stored, int(found[1]))
            self.last = max(self.last, int(found[2]))
        elif frame.startswith(b"<<WELCOME"):
            self._welcome = True
            for number in range(self.stored + 1, self.said + 1):
                self._publish(number)
        elif frame.startswith(b"<<PING"):
            self.say(messages.pong())
        elif frame.startswith(b"<<ERROR"):
            self._received.faults.append(f"the publisher was told {frame!r}")

    def publish(self) -> None:
        """Say one more, or keep it until there is somebody to hear it."""
        self.said += 1
        if self._welcome and self.socket is not None:
            self._publish(self.said)

    def _publish(self, number: int) -> None:
        volume = number % 1000 + 1
        self.say(b"<<PUBLISH|id=b-%d|symbol=EURUSD|volume=%d|channel=main>>\r\n" % (number, volume))


class Herd:
    """
    All of them, in one loop.

    Attributes:
        received: the frames of all followers.
        waits: whether nobody dials.
        policy: whether each waits as the client library does before it dials again.
        rate: signals a second.
    """

    def __init__(self, port: int, hello: bytes, count: int) -> None:
        self._port, self.received = port, Received()
        self.followers = [Follower(1 + number, hello, self.received) for number in range(count)]
        self.publisher = Publisher(1 + count, hello, self.received)
        self.waits = self.policy = False
        self.rate = 0
        self._poll = select.epoll()
        self._lines: dict[int, Client] = {}
        self._opening: set[int] = set()
        self._due: list[tuple[float, int, Client]] = []
        self._next = 0.0
        for line in (self.publisher, *self.followers):
            self._redial(line)

    @property
    def synced(self) -> bool:
        """Whether each follower was in sync since `told.times` was emptied."""
        return len(self.received.times) >= len(self.followers)

    @property
    def even(self) -> bool:
        """Whether all that was said is stored, and everybody was told."""
        last, publisher = self.publisher.last, self.publisher
        if publisher.stored < publisher.said:
            return False
        return all(each.seq == last and not each.attempts for each in self.followers)

    def run(self, seconds: float) -> None:
        """Go on for some time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.turn()

    def turn(self) -> None:
        """Do what is due, and hear what came."""
        now = time.monotonic()
        if self.rate and self._next <= now:
            self._next = max(self._next, now - 0.1) + 1 / self.rate
            self.publisher.publish()
        for _ in range(0 if self.waits else DIALS):
            if not self._due or self._due[0][0] > now:
                break
            self._dial(heapq.heappop(self._due)[2])
        for descriptor, events in self._poll.poll(0.001):
            self._serve(descriptor, events)

    def stop(self) -> None:
        """Hang up."""
        for line in self._lines.values():
            assert line.socket is not None
            line.socket.close()
        self._poll.close()

    def _dial(self, line: Client) -> None:
        made = line.dial(self._port)
        self._lines[made.fileno()] = line
        self._opening.add(made.fileno())
        self._poll.register(made, select.EPOLLOUT)

    def _serve(self, descriptor: int, events: int) -> None:
        line = self._lines[descriptor]
        if descriptor in self._opening:
            self._opening.remove(descriptor)
            if events & (select.EPOLLERR | select.EPOLLHUP):
                self._lose(descriptor, line)
                return
            self._poll.modify(descriptor, select.EPOLLIN)
            line.say(line.opened())
            return
        frames = line.hear()
        if frames is None:
            self._lose(descriptor, line)
            return
        for frame in frames:
            line.take(frame)

    def _lose(self, descriptor: int, line: Client) -> None:
        assert line.socket is not None
        self._poll.unregister(descriptor)
        line.socket.close()
        del self._lines[descriptor]
        line.socket = None
        self._redial(line)

    def _redial(self, line: Client) -> None:
        line.attempts += 1
        delay = backoff(line.attempts) if self.policy else AGAIN * (line.attempts > 1)
        heapq.heappush(self._due, (time.monotonic() + delay, line.number, line))


class PersistentMtnet(Mtnet):
    """
    mtnet that was killed, and starts again on the same port with the same journal.

    Args:
        untrusted: whether loopback is not trusted, so that limits and bans count.
    """

    def __init__(self, folder: Path, untrusted: bool) -> None:
        super().__init__(folder)
        self._settings: list[str] = []
        if untrusted:
            # Who logged in, and from where, is known after the kill as it is after a minute.
            self._settings = ["access.trust_loopback=false", "access.save_interval=0.5"]
        self._first = untrusted

    def command(self) -> list[str]:
        # The herd need not wait for long before it is there for the first time.
        rush = ["access.max_unauthenticated_per_second=100000"] if self._first else []
        return [*super().command(), *(f"--set={each}" for each in (*self._settings, *rush))]

    def die(self) -> None:
        """Be killed."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._first = False


@dataclass(frozen=True)
class Run:
    """
    What one visit found.

    Attributes:
        listening: seconds from the kill until it listened.
        half, last: seconds from there until half of them, and all, were in sync.
        cpu: seconds of the daemon from there until then.
        load: the same, of this program.
        refusals: errors that followers were told.
        faults: what must not happen.
    """

    mode: str
    followers: int
    listening: float
    half: float
    last: float
    cpu: float
    load: float
    refusals: int
    entries: int
    faults: list[str]


Runs = dict[str, list[Run]]
"""By mode, in the order of the rounds."""


def wait(herd: Herd, what: str, wanted: str) -> None:
    """
    Go on until something is so.

    Args:
        what: the name of a property of the herd.
        wanted: it, in words.

    Raises:
        BenchError: it takes too long.
    """
    until = time.monotonic() + PATIENCE
    while not getattr(herd, what):
        if time.monotonic() > until:
            there = f"{len(herd.received.times)} of {len(herd.followers)} are in sync"
            raise BenchError(f"{wanted} takes more than {PATIENCE:g} s; {there}.")
        herd.turn()


def accepts(port: int) -> bool:
    """Say whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def kill(herd: Herd, daemon: PersistentMtnet) -> tuple[float, float, float, float]:
    """
    Kill the daemon, and start it again.

    Returns:
        When it was killed, when it listened, and the CPU of both at that time.
    """
    herd.received.times.clear()
    daemon.die()
    killed = time.monotonic()
    daemon.launch()
    while not accepts(daemon.port):
        if time.monotonic() > killed + PATIENCE:
            raise BenchError(f"mtnet does not come back: {daemon.logged()[-2000:]}")
        herd.run(KNOCK)
    herd.waits = False
    return killed, time.monotonic(), daemon.cpu(), time.process_time()


def visit(mode: str, folder: Path, options: argparse.Namespace) -> Run:
    """Let a herd follow, kill the daemon, and see what becomes of it."""
    daemon = PersistentMtnet(folder, options.untrusted)
    herd = Herd(daemon.port, daemon.publish[0].encode(), options.followers)
    try:
        daemon.start()
        wait(herd, "synced", "Following for the first time")
        herd.rate = RATE
        herd.run(BEFORE)
        herd.rate = RATE if "publishing" in mode else 0
        if not herd.rate:
            wait(herd, "even", "Telling all")
        herd.policy = mode.startswith("policy")
        herd.waits = not herd.policy
        killed, listened, cpu, load = kill(herd, daemon)
        wait(herd, "synced", "Coming back")
        cpu, load = daemon.cpu() - cpu, time.process_time() - load
        times = sorted(herd.received.times)
        herd.run(AFTER)
        herd.rate = 0
        wait(herd, "even", "Telling all")
    finally:
        herd.stop()
        daemon.stop()
    received = herd.received
    return Run(
        mode,
        options.followers,
        listened - killed,
        statistics.median(times) - listened,
        times[-1] - listened,
        cpu,
        load,
        received.refusals,
        herd.publisher.last,
        received.faults[:10],
    )


def measure(options: argparse.Namespace) -> Runs:
    """Visit all modes in turn."""
    runs: Runs = {}
    for number in range(1, options.rounds + 1):
        for mode in options.modes:
            print(f"round {number} of {options.rounds}: {mode}", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                runs.setdefault(mode, []).append(visit(mode, Path(folder), options))
    return runs


def report(runs: Runs, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    whose = "untrusted" if options.untrusted else "of this machine"
    yield f"{machine()} {options.followers:,} followers, {whose}; {options.rounds} rounds.\n"
    head = ["they come back", "s from the kill to listening", "s from there until half are in sync"]
    head += ["all", "s from the kill until all", "CPU s of mtnet from listening on"]
    head += ["of the load", "refused", "entries", "faults"]
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join(["---"] * len(head)) + " |"
    for mode, found in runs.items():
        row = [
            mode,
            *(spread([getattr(r, key) for r in found], 2) for key in ("listening", "half")),
        ]
        row.append(spread([run.last for run in found], 2))
        row.append(spread([run.listening + run.last for run in found], 2))
        row += [spread([getattr(run, key) for run in found], 2) for key in ("cpu", "load")]
        row += [str(sum(run.refusals for run in found)), str(sum(run.entries for run in found))]
        yield "| " + " | ".join([*row, str(sum(len(run.faults) for run in found))]) + " |"
    for text in (text for found in runs.values() for run in found for text in run.faults):
        yield f"\n**{text}**"


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modes", nargs="*", default=list(MODES), help="; ".join(MODES))
    parser.add_argument("--followers", type=int, default=5_000)
    parser.add_argument("--untrusted", action="store_true", help="do not trust loopback")
    add_options(parser, rounds=3)
    options = parser.parse_args(words)
    if unknown := set(options.modes) - set(MODES):
        parser.error(f"{unknown.pop()!r} is no mode; there are {', '.join(MODES)}")
    return options


def main() -> int:
    """Measure and report; return the exit status."""
    options = parse(sys.argv[1:])
    runs = run_bench(options.followers, lambda: measure(options), options.json)
    if runs is None:
        return 1
    print("\n".join(report(runs, options)))
    return 1 if any(run.faults for found in runs.values() for run in found) else 0


if __name__ == "__main__":
    sys.exit(main())
