"""
What those who guess passwords get, and what they cost the others.

A real daemon with real accounts, on loopback, of which nobody is trusted: each address 127.x.y.z is
a network of its own. Four measurements, all or the one that is named:

guesser: how many passwords one address gets hashed that tries them as fast as it is let, at every
service. owner: how soon somebody with an account is welcome while a thousand networks guess,
from a known network and from one that was never seen. timing: whether the time until a refusal
tells if a login exists. signals: how late followers hear of signals during 1,000 bad logins a
second.

Run it from a development environment: `python bench/password_attack.py owner signals`.
"""

import argparse
import json
import math
import multiprocessing
import random
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.harness import PINNED, add_folder, allow_descriptors, percentile, pin_load, spread
from bench.login_flood import ask, attempt, dial, hello, login_flood, networks, tries
from bench.peers import HOST, SignalsDaemon, free_port
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages

PASSWORD = "correct horse battery"
SERVICES = ("signals", "ticks", "templates", "web")
ACCOUNTS = {
    "alice": ("--role=provider",),
    "bobby": ("--role=follower",),
    "carol": ("--role=follower",),
    "dave1": ("--role=follower", "--no-password"),
}
"""Names of one length, and what `mtnet account add` is told; carol is disabled later."""
NOBODY = "nobod"
HOME = "127.1.0.1"
"""The network from which honest people come, unless they travel."""
WARM = 2.0
"""Seconds until an attack, and a measurement, begin."""
EVERY = 0.5
"""Seconds between two logins of an owner."""
FOLLOWERS, RATE = 20, 20
"""Of the signals, and how many there are in a second."""


class AccountsDaemon(SignalsDaemon):
    """A daemon with accounts, which trusts nobody on loopback."""

    def __init__(self, folder: Path, *settings: str) -> None:
        trust = "access.trust_loopback=false"
        super().__init__(folder, trust, *settings, prefix=PINNED)
        self.ports = {name: free_port() for name in SERVICES} | {"signals": self.number}

    def command(self, *options: str, foreground: bool = True) -> list[str]:
        """Return what is run."""
        listens = (f"{name}=tcp:{port}:interface={HOST}" for name, port in self.ports.items())
        said = [*(f"--listen={each}" for each in listens), "--set=reserve=0"]
        sets = (f"--set={each}" for each in self.settings)
        run = (sys.executable, "-m", "mtnet", "run", "--data", str(self.data))
        return [*self.prefix, *run, *said, *sets, *options]

    def create_accounts(self) -> None:
        """Make the accounts."""
        for name, said in ACCOUNTS.items():
            self.account("add", name, *said)
        self.account("disable", "carol")

    def account(self, *words: str) -> None:
        """Run `mtnet account`."""
        whole = [sys.executable, "-m", "mtnet", "account", *words, "--data", str(self.data)]
        done = subprocess.run(
            whole, input=PASSWORD + "\n", env=self.environ, text=True, capture_output=True
        )
        if done.returncode:
            raise SystemExit(f"{whole} said {done.stderr}")

    def logins(self) -> Counter[str]:
        """Return how the logins ended so far; only those are hashed that are right or wrong."""
        return Counter(self.status()["access"]["logins"])


@contextmanager
def accounts_daemon(options: argparse.Namespace, *settings: str) -> Iterator[AccountsDaemon]:
    """Run a daemon with accounts, and end it."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        daemon = AccountsDaemon(Path(folder), *settings)
        daemon.create_accounts()
        daemon.start()
        try:
            yield daemon
            trouble = daemon.exceptions()
        finally:
            daemon.stop()
    if trouble:
        raise RuntimeError("\n".join(trouble))


@contextmanager
def under_attack(port: int, **plan: Any) -> Iterator[tuple[float, dict[str, Any]]]:
    """Let a storm rage; yield when it begins, and what is told of it once it is over."""
    begin = multiprocessing.Value("d", 0.0)
    told: multiprocessing.Queue[dict[str, Any]] = multiprocessing.Queue()
    plan.setdefault("logins", [*ACCOUNTS, NOBODY])
    process = multiprocessing.Process(target=login_flood, args=(port, plan, begin, told))
    process.start()
    report: dict[str, Any] = {}
    try:
        start = begin.value = time.monotonic() + WARM
        yield start, report
        report.update(told.get(timeout=plan["seconds"] + 10))
    finally:
        process.kill()
        process.join()


# One who guesses


def guesser(options: argparse.Namespace) -> dict[str, Any]:
    """Try passwords from one address at every service at once."""
    with accounts_daemon(options) as daemon:
        until = time.monotonic() + 60 * options.minutes
        verdicts = {name: Counter[str]() for name in SERVICES}
        threads = [
            threading.Thread(target=guess, args=(daemon.ports, name, until, verdicts[name]))
            for name in SERVICES
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        hashed = daemon.logins()
    return {
        "minutes": options.minutes,
        "attempts": sum(each.total() for each in verdicts.values()),
        "hashed": hashed["wrong"] + hashed["right"],
        "verdicts": {name: dict(each) for name, each in verdicts.items()},
    }


def guess(ports: dict[str, int], service: str, until: float, verdicts: Counter[str]) -> None:
    """Try one password after the other at a service, each on a connection of its own."""
    number = 0
    while time.monotonic() < until:
        number += 1
        said = tries("alice", f"guess-{number}")[service]
        verdicts[attempt(ports[service], HOME, said)[1]] += 1


# The owner


def owner(options: argparse.Namespace) -> dict[str, Any]:
    """Log in during an attack, with passwords that are known of late and with ones that are not."""
    return {
        told: owner_under_attack(options, recent)
        for told, recent in (("known of late", 300), ("hashed each time", 0))
    }


def owner_under_attack(options: argparse.Namespace, recent: int) -> dict[str, Any]:
    """Log in while many networks guess."""
    with accounts_daemon(options, f"access.password_cache={recent}") as daemon:
        port = daemon.number
        quiet = [attempt(port, HOME, hello("alice", PASSWORD)) for _ in range(10)]
        with under_attack(port, seconds=options.seconds, networks=options.networks) as (
            start,
            report,
        ):
            until = start + options.seconds
            known: list[tuple[float, str]] = []
            never: list[tuple[float, str]] = []
            pairs = ("alice", lambda: HOME, known), ("bobby", networks(2).__next__, never)
            threads = [
                threading.Thread(target=log_in_again, args=(port, *each, start, until))
                for each in pairs
            ]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        report["hashed/s"] = round(daemon.logins()["wrong"] / options.seconds, 1)
    told = {"quiet": welcomes(quiet), "known network": welcomes(known)}
    return {**told, "never seen network": welcomes(never), "attack": report}


def log_in_again(
    port: int,
    name: str,
    where: Callable[[], str],
    times: list[tuple[float, str]],
    start: float,
    until: float,
) -> None:
    """Log in again and again."""
    due = start
    while due < until:
        time.sleep(max(0.0, due - time.monotonic()))
        times.append(attempt(port, where(), hello(name, PASSWORD)))
        due = max(due + EVERY, time.monotonic())


def welcomes(times: list[tuple[float, str]]) -> dict[str, Any]:
    """Return how many were let in, and how soon."""
    ended = Counter(found for _, found in times)
    took = sorted(seconds for seconds, found in times if found == "welcome")
    return {"logins": len(times), "let in": ended.pop("welcome", 0), **ended, **shown(took)}


# What the time tells


def timing(options: argparse.Namespace) -> dict[str, Any]:
    """Refuse logins of four kinds in random order, and compare how long it takes."""
    kinds = {"known": "alice", "unknown": NOBODY, "disabled": "carol", "no password": "dave1"}
    asked = [kind for kind in kinds for _ in range(options.logins)]
    random.shuffle(asked)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    addresses = networks(50)
    with accounts_daemon(options) as daemon:
        for number, kind in enumerate(asked):
            said = hello(kinds[kind], f"guess {number:06}")
            times[kind].append(refusal(daemon.number, next(addresses), said))
    others = {
        f"p of {kind}": round(same(times["known"], found), 4)
        for kind, found in times.items()
        if kind != "known"
    }
    return {**{kind: shown(sorted(found)) for kind, found in times.items()}, **others}


def refusal(port: int, address: str, said: bytes) -> float:
    """Return the seconds from a bad HELLO to its refusal."""
    with dial(port, address) as connection:
        time.sleep(0.003)  # the daemon has taken the connection by then
        began = time.perf_counter()
        found = ask(connection, said)
        took = time.perf_counter() - began
    if found != "login":
        raise RuntimeError(f"A bad login was answered by {found}")
    return took


def same(some: list[float], others: list[float]) -> float:
    """Return the p-value of the two-sample test of Kolmogorov and Smirnov: of one source."""
    marked = sorted([(x, 1 / len(some)) for x in some] + [(x, -1 / len(others)) for x in others])
    apart = most = 0.0
    for _, step in marked:
        apart += step
        most = max(most, abs(apart))
    size = math.sqrt(len(some) * len(others) / (len(some) + len(others)))
    scaled = (size + 0.12 + 0.11 / size) * most
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, sum(terms))) if scaled > 0.2 else 1.0


# Signals meanwhile


def signals(options: argparse.Namespace) -> dict[str, Any]:
    """Publish in turn without and with bad logins."""
    rounds: dict[str, list[list[float]]] = {"quiet": [], "attack": []}
    storms = []
    with accounts_daemon(options) as daemon:
        closed_loop = FollowerPool(daemon.number)
        for number in range(options.rounds):
            start = time.monotonic() + WARM
            rounds["quiet"].append(closed_loop.delays(start, options.round))
            before = daemon.logins()
            with under_attack(daemon.number, seconds=options.round + WARM, rate=options.rate) as (
                start,
                report,
            ):
                rounds["attack"].append(closed_loop.delays(start + 1, options.round))
            report["hashed"] = (daemon.logins() - before)["wrong"]
            storms.append(report)
            p99 = {kind: percentile(found[-1], 0.99) for kind, found in rounds.items()}
            print(f"round {number + 1}: {p99} {report}", file=sys.stderr)
        closed_loop.close()
    ratios = [
        percentile(bad, 0.99) / percentile(good, 0.99)
        for good, bad in zip(rounds["quiet"], rounds["attack"], strict=True)
    ]
    told = {
        f"{kind} p{part} ms": spread([percentile(each, part / 100) for each in found], 2)
        for kind, found in rounds.items()
        for part in (50, 99)
    }
    return {**told, "p99 attack / quiet": spread(ratios, 2), "attacks": storms}


class FollowerPool:
    """A publisher and its followers, who stay for all rounds."""

    def __init__(self, port: int) -> None:
        self._publisher = self._join(port, "alice", b"")
        self._followers = {
            each.fileno(): each
            for each in (self._join(port, "bobby", requests.subscribe()) for _ in range(FOLLOWERS))
        }
        self._poll = select.epoll()
        for number in (*self._followers, self._publisher.fileno()):
            self._poll.register(number, select.EPOLLIN)
        self._rest = dict.fromkeys(self._followers, b"")
        self._sent: list[float] = []

    def _join(self, port: int, name: str, more: bytes) -> socket.socket:
        connection = dial(port, HOME)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(hello(name, PASSWORD) + more)
        said = b""
        while (b"<<STATUS" if more else b"<<WELCOME") not in said or not said.endswith(b">>\r\n"):
            said += connection.recv(4_096)
        return connection

    def delays(self, start: float, seconds: float) -> list[float]:
        """Publish from `start` on; return, sorted, how late each follower heard of each signal."""
        found: list[float] = []
        first, total = len(self._sent), int(RATE * seconds)
        while len(found) < total * FOLLOWERS:
            now = time.monotonic()
            number = len(self._sent) - first
            due = start + number / RATE
            if now > start + seconds + 20:
                raise RuntimeError(f"{len(found)} of {total * FOLLOWERS} signals came")
            if number < total and now >= due:
                self._publish()
            self._hear(min(0.05, max(0.0, due - now)) if number < total else 0.05, found)
        return sorted(found)

    def close(self) -> None:
        """Hang up."""
        for each in (self._publisher, *self._followers.values()):
            each.close()
        self._poll.close()

    def _publish(self) -> None:
        number = len(self._sent)
        lots = Decimal(number % 1000 + 1).scaleb(-2)
        frame = requests.publish(Publish(f"n-{number}", f"S{number % 20}", lots))
        self._sent.append(time.monotonic())
        self._publisher.sendall(frame)

    def _hear(self, wait: float, found: list[float]) -> None:
        for number, _ in self._poll.poll(wait):
            connection = self._followers.get(number, self._publisher)
            data = connection.recv(65_536)
            now = time.monotonic()
            if not data:
                raise RuntimeError("Somebody honest was cut off")
            if b"<<PING" in data:
                connection.sendall(messages.pong())
            if connection is not self._publisher:
                *whole, self._rest[number] = (self._rest[number] + data).split(b">>\r\n")
                found += [now - self._sent[seq] for each in whole for seq in _entry(each)]


def _entry(frame: bytes) -> list[int]:
    """Return the number, from 0, of the signal in a frame, if there is one."""
    if not frame.startswith(b"<<SIGNAL|"):
        return []
    fields = dict(part.partition(b"=")[::2] for part in frame.split(b"|"))
    return [int(fields[b"seq"]) - 1]


# How it is told


def shown(times: list[float]) -> dict[str, float]:
    """Return sorted seconds as milliseconds."""
    if not times:
        return {}
    named = {"p50 ms": 0.5, "p99 ms": 0.99, "worst ms": 1.0}
    return {name: round(percentile(times, part), 2) for name, part in named.items()}


MEASURED = {"guesser": guesser, "owner": owner, "timing": timing, "signals": signals}


def main() -> None:
    """Measure, and print JSON."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("what", nargs="*", metavar="MEASUREMENT", help=", ".join(MEASURED))
    parser.add_argument("--minutes", type=float, default=2.0, help="of the guesser")
    parser.add_argument("--networks", type=int, default=1_000, help="that keep the owner waiting")
    parser.add_argument("--seconds", type=float, default=30.0, help="for which they do")
    parser.add_argument("--logins", type=int, default=500, help="of each kind, for the timing")
    parser.add_argument("--rate", type=float, default=1_000, help="bad logins/s during signals")
    parser.add_argument("--rounds", type=int, default=5, help="of signals")
    parser.add_argument("--round", type=float, default=10.0, help="seconds of a round")
    add_folder(parser)
    options = parser.parse_args()
    if not set(options.what) <= MEASURED.keys():
        parser.error(f"there are {', '.join(MEASURED)}")
    allow_descriptors()
    pin_load()
    print(json.dumps({n: MEASURED[n](options) for n in options.what or MEASURED}, indent=2))


if __name__ == "__main__":
    main()
