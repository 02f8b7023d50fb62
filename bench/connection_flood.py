"""
Flood the ports of a daemon with unauthenticated clients that are silent, or send a byte a second.

Meanwhile an account logs in to signals by dialect 2, from networks never seen before and from one
that is known, over and over: how many are refused, and how long it takes. Each client has
a network of its own. Run it from a development environment:
`python bench/connection_flood.py`.
"""

import argparse
import json
import multiprocessing
import select
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bench.accounts_daemon import (
    HOST,
    LOGIN,
    PASSWORD,
    AccountsDaemon,
    dial,
    network,
)
from bench.harness import allow_descriptors
from mtnet.session import messages

PATIENCE = 15.0
"""Seconds within which every unauthenticated client must be gone."""
PROMISED = 100.0
"""Milliseconds in which 99 of 100 logins must be done."""
UNSEEN = 1_000_000
"""The first network of honest clients that nobody saw before."""
KNOWN = 3_000_000
"""The network of the honest client that was there before."""
FIRST = 1
"""The first network of the flooding clients."""
PAUSE = 0.02
"""Seconds between two logins."""
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Target(NamedTuple):
    """
    A port that is crowded.

    Attributes:
        security: of its listener.
        drip: bytes that never complete anything.
    """

    service: str
    security: str
    drip: bytes


TARGETS = {
    "templates": Target("templates", "plain", b"STORE EURUSD H1 1"),
    "web": Target("web", "plain", b"GET /healthz HTTP/1.1\r\nHost: "),
    "tls": Target("signals", "TLS", HELLO),
    "signals": Target("signals", "plain", b"<<HELLO|v=2|name="),
}


class FloodingClients:
    """
    Connects, stays, drips, and comes back if it shall.

    Args:
        clients: every other one is silent, and the others drip.
        back: seconds after which one that was cut off comes back; None = never.
    """

    def __init__(self, port: int, clients: int, drip: bytes, back: float | None) -> None:
        self._port, self._drip, self._back = port, drip, back
        self._poll = select.epoll()
        self._held: dict[int, tuple[int, socket.socket]] = {}
        self._due = deque((0.0, each) for each in range(clients))
        self._dripped: dict[int, int] = {}
        self._clients = clients
        self.connected = 0
        self.since = self.last = 0.0

    def run(self, control: Connection) -> dict[str, Any]:
        """Stay until told to come back no more, and then until all are gone."""
        drips, told, stopped = time.monotonic() + 1, False, 0.0
        while not stopped or (self._held and time.monotonic() < stopped + PATIENCE):
            self._dial()
            if not told and self.connected >= self._clients:
                control.send(None)
                told, self.since = True, time.monotonic()
            self._look()
            if time.monotonic() >= drips:
                drips += 1
                self._drip_all()
            if not stopped and control.poll():
                control.recv()
                stopped = time.monotonic()
                if self._back is not None:
                    self._back, self.since = None, stopped
                    self._due.clear()
        return {
            "connections": self.connected,
            "still there": len(self._held),
            "seconds until the last was gone": round(max(0.0, self.last - self.since), 1),
        }

    def _dial(self) -> None:
        # A few at a time, so that those who are cut off are seen meanwhile.
        for _ in range(100):
            if not self._due or self._due[0][0] > time.monotonic():
                return
            _, number = self._due.popleft()
            connection = socket.socket()
            connection.setblocking(False)
            connection.bind((network(FIRST + number), 0))
            connection.connect_ex((HOST, self._port))
            self._held[connection.fileno()] = number, connection
            self._dripped[number] = 0
            self._poll.register(connection, select.EPOLLIN)
            self.connected += 1

    def _look(self) -> None:
        for descriptor, _ in self._poll.poll(0.01):
            number, connection = self._held[descriptor]
            try:
                gone = not connection.recv(65_536)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                self._end(descriptor, number, connection)

    def _end(self, descriptor: int, number: int, connection: socket.socket) -> None:
        self._poll.unregister(descriptor)
        connection.close()
        del self._held[descriptor]
        self.last = time.monotonic()
        if self._back is not None:
            self._due.append((self.last + self._back, number))

    def _drip_all(self) -> None:
        for number, connection in list(self._held.values()):
            if number % 2:
                at = self._dripped[number]
                self._dripped[number] += 1
                with suppress(OSError):  # it is cut off, as is seen soon
                    connection.send(self._drip[at : at + 1] or b"1")


def flooding_clients(control: Connection, *options: Any) -> None:
    """Run the flooding clients in a process of their own."""
    allow_descriptors()
    told = FloodingClients(*options).run(control)
    control.send(told)


class LegitimateClient(threading.Thread):
    """Logs in until it is told to stop: from new networks, from a known one, by password too."""

    def __init__(self, port: int, token: str, context: ssl.SSLContext | None, first: int) -> None:
        super().__init__()
        self._port, self._context, self._next = port, context, first
        self._ways = {
            "unseen network": (None, messages.hello(login=LOGIN, password=token)),
            "known network": (network(KNOWN), messages.hello(login=LOGIN, password=token)),
            "unseen network, password": (None, messages.hello(login=LOGIN, password=PASSWORD)),
        }
        self.done = threading.Event()
        self.times: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, list[str]] = defaultdict(list)

    def run(self) -> None:
        """Work."""
        turns = ["unseen network", "known network"] * 4 + ["unseen network, password"]
        while not self.done.wait(PAUSE):
            way = turns[self._next % len(turns)]
            self._next += 1
            began = time.monotonic()
            try:
                self._log_in(*self._ways[way])
                self.times[way].append(1_000 * (time.monotonic() - began))
            except OSError as error:
                self.refused[way].append(str(error))

    def _log_in(self, source: str | None, hello: bytes) -> None:
        with dial(self._port, source or network(UNSEEN + self._next)) as plain:
            if self._context is None:
                _greet(plain, hello)
                return
            with self._context.wrap_socket(plain, server_hostname="localhost") as private:
                _greet(private, hello)

    def report(self) -> dict[str, Any]:
        """Return, for each way, how many were let in and how many milliseconds it took."""
        return {way: _row(self.times[way], self.refused[way]) for way in self._ways}


def _greet(connection: socket.socket, hello: bytes) -> None:
    connection.sendall(hello)
    said = connection.recv(4_096)
    if not said.startswith(b"<<WELCOME"):
        raise ConnectionError(said.decode() or "closed")


def _row(times: list[float], refused: list[str]) -> dict[str, Any]:
    times = sorted(times) or [float("nan")]
    row = {
        "logins": len(times),
        "refused": len(refused),
        "p50 ms": round(times[len(times) // 2], 1),
        "p99 ms": round(times[int(len(times) * 0.99)], 1),
        "worst ms": round(times[-1], 1),
    }
    return {**row, "why": sorted(set(refused))[:3]} if refused else row


def flood(
    daemon: AccountsDaemon, name: str, options: argparse.Namespace, back: float | None
) -> Any:
    """Flood one port while others log in; return the results of both."""
    target = TARGETS[name]
    context = ssl.create_default_context(cafile=str(options.ca)) if name == "tls" else None
    port = daemon.port("signals", target.security if name == "tls" else "plain")
    ours, theirs = multiprocessing.Pipe()
    where = daemon.port(target.service, target.security), 2 * options.clients, target.drip, back
    process = multiprocessing.get_context("spawn").Process(
        target=flooding_clients, args=(theirs, *where)
    )
    honest = LegitimateClient(port, daemon.token, context, options.first)
    worked = daemon.processor()
    process.start()
    try:
        ours.recv()
        honest.start()
        time.sleep(options.seconds)
        ours.send("enough")
        told = ours.recv()
    finally:
        honest.done.set()
        if honest.ident:
            honest.join()
        process.join(PATIENCE)
        process.kill()
    options.first += 100_000
    worked = round(daemon.processor() - worked, 1)
    return {**told, "daemon's CPU, s": worked, "honest": honest.report()}


def followers(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Let silent classic followers connect where anonymous may follow; count those that stay."""
    setting = ("access.anonymous=follow",)
    daemon = AccountsDaemon(folder, *_listens(), settings=setting)
    daemon.start()
    try:
        port = daemon.port("signals")
        held = [dial(port, network(1 + number)) for number in range(count)]
        time.sleep(seconds)
        left = sum(not _is_over(each) for each in held)
        told = daemon.status()["signals"]["followers"]
        for each in held:
            each.close()
    finally:
        daemon.stop()
    return {"came": count, "left": left, "the daemon says": told, "seconds": seconds}


def _is_over(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return not connection.recv(65_536)
    except TimeoutError:
        return False
    except OSError:
        return True


def _listens() -> list[str]:
    return [
        *(f"{name}=tcp:0:interface={HOST}" for name in ("templates", "web", "signals")),
        "ticks=off",
    ]


def judge(found: dict[str, Any]) -> list[str]:
    """Say what was promised and not kept."""
    broken = [
        f"{name}: unauthenticated clients stay"
        for name, each in found.items()
        if each["still there"]
    ]
    for name, each in found.items():
        for way, row in each["honest"].items():
            slow = "password" not in way and not row["p99 ms"] <= PROMISED
            if row["refused"] or slow:
                broken.append(f"{name}, {way}: {row}")
    return broken


def main() -> None:
    """Measure and print; the exit status is 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    parser.add_argument("--clients", type=int, default=2_000, help="silent, and as many that drip")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each siege")
    parser.add_argument("--back", type=float, default=2.0, help="seconds until one comes back")
    parser.add_argument("--followers", type=int, default=500)
    options = parser.parse_args()
    allow_descriptors()
    options.first = 0
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        secure = f"signals=secure:0:interface={HOST}"
        settings = ("access.password_cache=0",)
        daemon = AccountsDaemon(Path(folder), *_listens(), secure, settings=settings)
        options.ca = daemon.make_certificate()
        daemon.start()
        try:
            first = LegitimateClient(daemon.port("signals"), daemon.token, None, 1)
            first._log_in(*first._ways["known network"])
            for name in options.targets:
                for back in (None, options.back):
                    key = f"{name}, {'at once' if back is None else 'coming back'}"
                    print(key, file=sys.stderr)
                    found[key] = flood(daemon, name, options, back)
            log = (daemon.folder / "log.txt").stat().st_size
            errors = daemon.logged().count("Traceback")
        finally:
            daemon.stop()
    with tempfile.TemporaryDirectory() as folder:
        left = followers(Path(folder), options.followers, options.seconds)
    told = {"log, bytes": log, "tracebacks": errors, "followers": left}
    print(json.dumps({**found, **told}, indent=2))
    broken = judge(found)
    if broken or errors or left["left"] < left["came"]:
        sys.exit("\n".join(["Not kept:", *broken]))


if __name__ == "__main__":
    main()
