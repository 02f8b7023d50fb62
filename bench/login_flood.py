"""Clients that guess passwords over real sockets, and one that knows its own; used by
`password_attack.py`.
"""

import errno
import os
import re
import select
import socket
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from itertools import count, cycle, islice
from typing import Any

from bench.peers import HOST
from mtnet.session import messages

BIND_LATER = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
"""Leaves the port to connect(), for which more than one socket of an address may have the same."""
PATIENCE = 20.0
"""Seconds after which an attempt has failed."""
TICK = 0.001
"""Seconds between two looks of a storm at its rate."""
BURST = 20
"""Attempts that are begun between two looks, so that answers do not wait."""

_CODE = re.compile(rb"\|code=(\w+)|^ERR:? (\w+)|^HTTP/1\.1 (\d+)")


def networks(second: int) -> Iterator[str]:
    """Yield addresses for ever, each a network of its own: 127.SECOND.0.1 is the first."""
    return (
        f"127.{second + (number >> 16) % 50}.{number >> 8 & 255}.{number & 255}"
        for number in count(1)
    )


def hello(login: str, password: str) -> bytes:
    """Return what somebody says first who has an account."""
    return messages.hello(login=login, password=password)


def tries(login: str, password: str) -> dict[str, bytes]:
    """Return how a password is tried at each service."""
    basic = b64encode(f"{login}:{password}".encode())
    return {
        "signals": hello(login, password),
        "ticks": f"LOGIN: {login} {password}\n".encode(),
        "templates": f"STORE EURUSD H1 10 {login} {password}\n".encode(),
        "web": b"GET /templates HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Authorization: Basic %b\r\n\r\n" % basic,
    }


def verdict(answer: bytes) -> str:
    """Return what the daemon thinks of a login."""
    if answer.startswith((b"<<WELCOME", b"OK")):
        return "welcome"
    found = _CODE.search(answer)
    return next(filter(None, found.groups())).decode() if found else "closed"


def dial(port: int, address: str) -> socket.socket:
    """Connect from an address."""
    plain = socket.socket()
    plain.settimeout(PATIENCE)
    plain.setsockopt(socket.IPPROTO_IP, BIND_LATER, 1)
    plain.bind((address, 0))
    plain.connect((HOST, port))
    return plain


def ask(connection: socket.socket, said: bytes) -> str:
    """Say something that ends in a verdict, and return that."""
    try:
        connection.sendall(said)
        return verdict(connection.recv(4_096))
    except ConnectionError:
        return "closed"
    except TimeoutError:
        return "silence"


def attempt(port: int, address: str, said: bytes) -> tuple[float, str]:
    """Connect, try a login, hang up; return the seconds since before, and the verdict."""
    began = time.perf_counter()
    try:
        with dial(port, address) as connection:
            found = ask(connection, said)
    except OSError as error:
        found = errno.errorcode.get(error.errno or 0, "silence")
    return time.perf_counter() - began, found


class LoginFlood:
    """
    Bad logins of dialect 2 from many networks.

    Args:
        addresses: where from; each attempt takes the next one.
        said: what each says.
    """

    def __init__(self, port: int, addresses: Iterator[str], said: Iterator[bytes]) -> None:
        self._port, self._addresses, self._said = port, addresses, said
        self._poll = select.epoll()
        self._held: dict[int, tuple[socket.socket, str, bytes]] = {}
        self.began, self.verdicts = 0, Counter[str]()

    def closed_loop(self, parallel: int, until: float) -> None:
        """Let so many try at once, each again as soon as its last attempt is over."""
        for address in islice(self._addresses, parallel):
            self._begin(address)
            self._look(0)
        while time.monotonic() < until:
            for address in self._look(0.1):
                self._begin(address)

    def open_loop(self, rate: float, start: float, until: float) -> None:
        """Try `rate` times a second, whatever becomes of it."""
        while (now := time.monotonic()) < until:
            due = int((now - start) * rate) - self.began
            for _ in range(min(due, BURST)):
                self._begin(next(self._addresses))
            self._look(0 if due > BURST else TICK)

    def close(self) -> None:
        """Hang up."""
        for plain, _, _ in self._held.values():
            plain.close()
        self._poll.close()

    def report(self, seconds: float) -> dict[str, Any]:
        """Return how many there were, and how they ended."""
        return {"attempts/s": round(self.began / seconds, 1), **dict(self.verdicts.most_common())}

    def _begin(self, address: str) -> None:
        plain = socket.socket()
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_IP, BIND_LATER, 1)
        plain.bind((address, 0))
        plain.connect_ex((HOST, self._port))
        self._held[plain.fileno()] = plain, address, next(self._said)
        self._poll.register(plain, select.EPOLLOUT)
        self.began += 1

    def _look(self, wait: float) -> list[str]:
        """Go on with what is ready; return the addresses whose attempts are over."""
        ended = []
        for number, event in self._poll.poll(wait):
            plain, address, said = self._held[number]
            found = self._go_on(plain, said, event)
            if found:
                self.verdicts[found] += 1
                ended.append(address)
                self._poll.unregister(number)
                del self._held[number]
                plain.close()
        return ended

    def _go_on(self, plain: socket.socket, said: bytes, event: int) -> str:
        """Say it, or hear the verdict; empty = there is none yet."""
        try:
            if event & select.EPOLLIN:
                return verdict(plain.recv(4_096))
            plain.send(said)
            self._poll.modify(plain, select.EPOLLIN)
        except OSError:
            return "closed"
        return ""


def login_flood(port: int, plan: dict[str, Any], begin: Any, told: Any) -> None:
    """
    Rage in a process of its own, from the time `begin` on, once that is known.

    Args:
        plan: `seconds`, `logins`, and either `networks`, of which each has one attempt under way
            at any time, or `rate`, of which each comes from another network.
        told: is put what became of it.
    """
    os.nice(10)  # those who are measured share its CPU
    every = count()
    addresses = islice(networks(50), plan["networks"]) if "networks" in plan else networks(100)
    logins = cycle(plan["logins"])
    said = (hello(next(logins), f"guess {next(every)}") for _ in count())
    under_attack = LoginFlood(port, addresses, said)
    while not (start := begin.value):
        time.sleep(TICK)
    until = start + plan["seconds"]
    if "networks" in plan:
        under_attack.closed_loop(plan["networks"], until)
    else:
        under_attack.open_loop(plan["rate"], start, until)
    told.put(under_attack.report(time.monotonic() - start))
    under_attack.close()
