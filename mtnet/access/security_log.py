"""
Security log: who came in, who did not, and why, in one form that other programs can read.

A line is an event, then `key=value` fields with a blank between; no value holds a blank. No
secret is ever a value: a login is named only when there is an account of that name, since
people type their password into the wrong field.
"""

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from mtnet.access.throttle import LogThrottle

KIND = 100
"""Lines of one kind, such as logins refused for one reason, in a minute, of all networks together;
of one network there are at most 5."""
REQUESTS = 3_600.0
"""Seconds in which a login that each request repeats, as over HTTP, is said once."""
NOBODY = "-"
"""Stands for a login that there is not."""


class Origin(NamedTuple):
    """
    Where somebody knocks.

    Attributes:
        host: the address they come from; empty = a Unix socket.
        service: what they want.
        endpoint: the listener.
        peer: their address and port.
        repeats: each request logs in anew.
    """

    host: str
    service: str = NOBODY
    endpoint: str = NOBODY
    peer: str = ""
    repeats: bool = False

    def __str__(self) -> str:
        peer = self.peer or self.host or NOBODY
        return f"service={self.service} endpoint={self.endpoint} peer={peer}"


class SecurityLog:
    """
    Args:
        seconds: monotonic.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._limit = LogThrottle(kind=KIND)
        self._requests = LogThrottle(burst=1, window=REQUESTS, kind=KIND * 60)

    @property
    def left_out(self) -> int:
        """How many lines were not written so far, but for those of repeated requests."""
        return self._limit.left_out

    def accepted(self, origin: Origin, login: str) -> None:
        """Somebody has logged in."""
        limit = self._requests if origin.repeats else self._limit
        if limit.admits(f"{origin.host} {login}", self._seconds(), f"accepted {origin.service}"):
            self.log.info("login accepted: {origin} login={login}", origin=origin, login=login)

    def refused(self, origin: Origin, why: str, login: str = "") -> None:
        """
        A login was refused.

        Args:
            why: one word.
            login: of an account; empty = it named none.
        """
        # Each reason for itself: who shows an old token again and again leaves room for guesses.
        if self._admits(origin, f"login refused {why}"):
            self.log.warn(
                "login refused: {origin} login={login} why={why}",
                origin=origin,
                login=login or NOBODY,
                why=why,
            )

    def hello_refused(self, origin: Origin, why: str) -> None:
        """A greeting that named no login was refused; `why` is one word."""
        if self._admits(origin, "hello refused"):
            self.log.warn("hello refused: {origin} why={why}", origin=origin, why=why)

    def connection_refused(self, origin: Origin) -> None:
        """A connection of somebody who is banned was closed unheard."""
        if self._admits(origin, "connection refused"):
            self.log.warn("connection refused: {origin} why=banned", origin=origin)

    def banned(self, network: str, login: str, why: str, seconds: float | None) -> None:
        """A ban begins; `seconds` None = for ever."""
        if self._limit.admits(network, self._seconds(), "ban begins"):
            self.log.warn(
                "ban begins: network={network} login={login} seconds={seconds} why={why}",
                network=network,
                login=login or NOBODY,
                seconds="ever" if seconds is None else f"{seconds:.0f}",
                why=why,
            )

    def lifted(self, what: str) -> None:
        """The owner has lifted a ban."""
        self.log.info("ban lifted: what={what}", what=what)

    def _admits(self, origin: Origin, event: str) -> bool:
        return self._limit.admits(origin.host, self._seconds(), f"{event} {origin.service}")
