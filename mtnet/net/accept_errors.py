"""Recovery and one log line when the system refuses to accept connections."""

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.tcp import Port
from twisted.logger import Logger

try:
    import resource
except ImportError:  # pragma: no cover - Windows counts them otherwise
    resource = None  # type: ignore[assignment]

REFUSALS = frozenset(("ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"))
"""Errors of `accept` that may end by themselves; others are Twisted's to report."""
WOULD_BLOCK: int = getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)
"""The error that Twisted takes for "no connection waits"."""
BURST = 60.0
"""Seconds without another such error after which the next one is news."""
CLOSED_PER_WAKEUP = 16
"""Waiting connections that are closed at once while no descriptor is left for them."""


class AcceptErrors:
    """
    Log limiter: one sentence for each burst of errors of `accept`.

    Twisted logs several lines for each connection.

    Args:
        service: the service that listens.
        seconds: monotonic.
    """

    log = Logger()

    def __init__(self, service: str, seconds: Callable[[], float]) -> None:
        self._service, self._seconds = service, seconds
        self._last: float | None = None

    def report(self, name: str) -> None:
        """Log an error such as `EMFILE`, unless it belongs to a burst that was logged."""
        when, last = self._seconds(), self._last
        self._last = when
        if last is None or when - last >= BURST:
            self._log(name)

    def _log(self, name: str) -> None:
        if name == "EMFILE":
            self.log.error(
                "{service}: the limit of {limit} open files is reached, and new connections are "
                "closed. Raise it (LimitNOFILE= of systemd, `ulimit -n`), or lower "
                "access.connections.",
                service=self._service,
                limit=_open_files_limit(),
            )
        else:
            self.log.error(
                "{service}: the system takes no more connections ({error}): it is short of open "
                "files (fs.file-max) or of memory.",
                service=self._service,
                error=name,
            )


class RecoveringSocket:
    """
    Wrapper of a listening socket: Twisted sees "nothing waits" in place of a shortage.

    At the limit of open files, it gives up a reserved descriptor for a moment, to accept and
    close the connections that wait: the reactor would wake up for them again and again.
    """

    def __init__(self, wrapped: socket.socket, errors: AcceptErrors) -> None:
        self._wrapped, self._errors = wrapped, errors
        self._reserved: int | None = None
        self._reserve()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the socket."""
        return getattr(self._wrapped, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Accept a connection.

        Raises:
            BlockingIOError: none waits, or the system refuses it.
        """
        try:
            return self._wrapped.accept()
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "").removeprefix("WSA")
            if name not in REFUSALS:
                raise
        if name == "EMFILE":
            self._close_waiting()
        self._errors.report(name)
        raise BlockingIOError(WOULD_BLOCK, name)

    def close(self) -> None:
        """Close the socket and the reserved descriptor."""
        self._release()
        self._wrapped.close()

    def _close_waiting(self) -> None:
        self._release()
        with suppress(OSError):
            for _ in range(CLOSED_PER_WAKEUP):
                self._wrapped.accept()[0].close()
        self._reserve()

    def _reserve(self) -> None:
        with suppress(OSError):
            self._reserved = os.open(os.devnull, os.O_RDONLY)

    def _release(self) -> None:
        reserved, self._reserved = self._reserved, None
        if reserved is not None:
            os.close(reserved)


def _open_files_limit() -> str:
    return "?" if resource is None else str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def limit_accept_errors(port: Any, service: str, seconds: Callable[[], float]) -> None:
    """Let a port of Twisted's log once for each burst that it can accept no connection."""
    if isinstance(port, Port):
        port.socket = RecoveringSocket(port.socket, AcceptErrors(service, seconds))
