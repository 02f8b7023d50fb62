"""
Security log: logins and bans, one line each, in a form that other programs can read.

A line is an event, then `key=value` fields separated by spaces; no value holds a space or a
secret. A login is logged only when an account has that name, since people type their password
into the wrong field.
"""

from collections.abc import Callable
from typing import NamedTuple

from mtnet.access.throttle import LogThrottle
from mtnet.late_logger import LateLogger

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

    def fields(self) -> dict[str, str]:
        """Return what a line says of it."""
        peer = self.peer or self.host or NOBODY
        return {"service": self.service, "endpoint": self.endpoint, "peer": peer}


Observer = Callable[..., object]
"""Called with kind, line and level, and with the fields of the line by name."""


def ignore(kind: str, text: str, level: str, **facts: object) -> None:
    """Observe nothing."""


class SecurityLog:
    """
    Rate-limited log of logins, bans and changes of accounts.

    Args:
        seconds: monotonic.

    Attributes:
        observer: called for each line that is written.
    """

    log = LateLogger()

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._throttle = LogThrottle(kind=KIND)
        self._requests = LogThrottle(burst=1, window=REQUESTS, kind=KIND * 60)
        self.observer: Observer = ignore

    @property
    def left_out(self) -> int:
        """Number of lines that were not written, repeated requests aside."""
        return self._throttle.left_out

    def accepted(self, origin: Origin, login: str) -> None:
        """Log a login."""
        throttle = self._requests if origin.repeats else self._throttle
        kind = f"accepted {origin.service}"
        if throttle.admits(origin.host, self._seconds(), kind, login):
            self._write("login accepted", "info", **origin.fields(), login=login)

    def refused(self, origin: Origin, why: str, login: str = "") -> None:
        """
        Log a refused login.

        Args:
            why: one word.
            login: of an account; empty = there is no such account.
        """
        # By reason: old tokens that are sent again and again must leave room for guesses.
        if self._admits(origin, f"login refused {why}"):
            fields = {**origin.fields(), "login": login or NOBODY, "why": why}
            self._write("login refused", "warning", **fields)

    def hello_refused(self, origin: Origin, why: str) -> None:
        """Log a refused greeting that named no login; `why` is one word."""
        if self._admits(origin, "hello refused"):
            self._write("hello refused", "warning", **origin.fields(), why=why)

    def connection_refused(self, origin: Origin) -> None:
        """Log a connection that was closed for a ban."""
        if self._admits(origin, "connection refused"):
            self._write("connection refused", "warning", **origin.fields(), why="banned")

    def banned(
        self, network: str, login: str, why: str, seconds: float | None, who: str = ""
    ) -> None:
        """Log the beginning of a ban; `seconds` None = permanent, `who` = the one who set it."""
        if self._throttle.admits(network, self._seconds(), "ban begins"):
            length = "ever" if seconds is None else f"{seconds:.0f}"
            fields = {"network": network, "login": login or NOBODY, "seconds": length, "why": why}
            self._write("ban begins", "warning", **fields, **_named(who))

    def lifted(self, what: str, who: str = "") -> None:
        """Log that the owner has lifted a ban; `what` as `mtnet bans list` prints it."""
        self._write("ban lifted", "info", what=what, **_named(who))

    def account_changed(self, login: str, change: str, who: str = "") -> None:
        """Log that the owner has changed an account; `change` is one word."""
        self._write("account changed", "info", login=login, change=change, **_named(who))

    def _admits(self, origin: Origin, event: str) -> bool:
        return self._throttle.admits(origin.host, self._seconds(), f"{event} {origin.service}")

    def _write(self, event: str, level: str, **fields: str) -> None:
        line = f"{event}: {' '.join(f'{key}={text}' for key, text in fields.items())}"
        write = self.log.info if level == "info" else self.log.warn
        write("{line}", line=line, **fields)
        self.observer(event.replace(" ", "_"), line, level, **fields)


def _named(who: str) -> dict[str, str]:
    return {"who": who} if who else {}
