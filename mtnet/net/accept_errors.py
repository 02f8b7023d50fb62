"""Log limiter for connections that the system refuses to accept."""

from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Port
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from zope.interface import implementer

try:
    import resource
except ImportError:  # pragma: no cover - Windows counts them otherwise
    resource = None  # type: ignore[assignment]

LOGGER = "_logger"
"""The logger of a port of Twisted; without it, errors are logged as Twisted does."""
BURST = 60.0
"""Seconds without another such error after which the next one is news."""


@implementer(ILogObserver)
class AcceptErrors:
    """
    Log observer of a port: one sentence for each burst, in place of several lines of Twisted's
    for each connection.

    Args:
        service: whose port it is.
        seconds: monotonic.
    """

    log = Logger()

    def __init__(self, service: str, seconds: Callable[[], float]) -> None:
        self._service, self._seconds = service, seconds
        self._last: float | None = None

    def __call__(self, event: LogEvent) -> None:
        """Replace an event that Twisted would log."""
        text = str(event.get("log_format", ""))
        if "EMFILE" not in text and "acceptError" not in event:
            globalLogPublisher(event)
            return
        when, last = self._seconds(), self._last
        self._last = when
        if last is None or when - last >= BURST:
            self._say(str(event.get("acceptError", "EMFILE")))

    def _say(self, error: str) -> None:
        if error == "EMFILE":
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
                error=error,
            )


def _open_files_limit() -> str:
    return "?" if resource is None else str(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def limit_accept_errors(port: Any, service: str, seconds: Callable[[], float]) -> None:
    """Let a port of Twisted's log once for each burst that it can accept no connection."""
    logger = getattr(port, LOGGER, None)
    if isinstance(port, Port) and logger is not None:
        observer = AcceptErrors(service, seconds)
        setattr(port, LOGGER, Logger(namespace=logger.namespace, observer=observer))
