"""
Security log: logins and bans, one line each, in a form that other programs can read.

A line is an event, then `key=value` fields separated by spaces; no value holds a space or a
secret. A login is logged only when an account has that name, since people type their password
into the wrong field.
"""

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from mtnet.access.throttle import LogThrottle

KIND = 100
"""Lines of one kind in a minute, such as logins refused for one reason, of all networks together;
a single network has at most 5."""
REQUESTS = 3_600.0
"""Seconds in which a login that each request repeats, as over HTTP, is logged once."""
NOBODY = "-"
"""Stands for a login that does not exist."""


class Origin(NamedTuple):
    """
    The source of a login.

    Attributes:
        host: the address it comes from; empty = a Unix socket.
        service: the service that is used.
        endpoint: the listener.
        peer: the address and port.
        repeats: each request logs in again.
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
    Rate-limited log of logins and bans.

    Args:
        seconds: monotonic.
    """

    log = Logger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._throttle = LogThrottle(kind=KIND)
        self._requests = LogThrottle(burst=1, window=REQUESTS, kind=KIND * 60)

    @property
    def left_out(self) -> int:
        """Number of lines that were not written, repeated requests aside."""
        return self._throttle.left_out

    def accepted(self, origin: Origin, login: str) -> None:
        """Log a login."""
        throttle = self._requests if origin.repeats else self._throttle
        if throttle.admits(f"{origin.host} {login}", self._seconds(), f"accepted {origin.service}"):
            self.log.info("login accepted: {origin} login={login}", origin=origin, login=login)

    def refused(self, origin: Origin, why: str, login: str = "") -> None:
        """
        Log a refused login.

        Args:
            why: one word.
            login: of an account; empty = there is no such account.
        """
        # By reason: old tokens that are sent again and again must leave room for guesses.
        if self._admits(origin, f"login refused {why}"):
            self.log.warn(
                "login refused: {origin} login={login} why={why}",
                origin=origin,
                login=login or NOBODY,
                why=why,
            )

    def hello_refused(self, origin: Origin, why: str) -> None:
        """Log a refused greeting that named no login; `why` is one word."""
        if self._admits(origin, "hello refused"):
            self.log.warn("hello refused: {origin} why={why}", origin=origin, why=why)

    def connection_refused(self, origin: Origin) -> None:
        """Log a connection that was closed for a ban."""
        if self._admits(origin, "connection refused"):
            self.log.warn("connection refused: {origin} why=banned", origin=origin)

    def banned(self, network: str, login: str, why: str, seconds: float | None) -> None:
        """Log the beginning of a ban; `seconds` None = permanent."""
        if self._throttle.admits(network, self._seconds(), "ban begins"):
            self.log.warn(
                "ban begins: network={network} login={login} seconds={seconds} why={why}",
                network=network,
                login=login or NOBODY,
                seconds="ever" if seconds is None else f"{seconds:.0f}",
                why=why,
            )

    def lifted(self, what: str) -> None:
        """Log that the owner has lifted a ban."""
        self.log.info("ban lifted: what={what}", what=what)

    def _admits(self, origin: Origin, event: str) -> bool:
        return self._throttle.admits(origin.host, self._seconds(), f"{event} {origin.service}")
