"""Reload by SIGHUP: the log file of `twistd --logfile` is reopened by its path."""

import inspect
import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from twisted.python.logfile import LogFile

log = Logger()


def current() -> LogFile | None:
    """
    Return the file that twistd logs to; None = it logs to none.

    twistd keeps it to itself, but for its handler of SIGUSR1, which closes over it.
    """
    handler = signal.getsignal(signal.SIGUSR1)
    if not inspect.isfunction(handler):
        return None
    found = inspect.getclosurevars(handler).nonlocals.get("logFile")
    return found if isinstance(found, LogFile) else None


def reopen(file: LogFile) -> None:
    """
    Reopen a log file by its path, after another program has moved it away.

    Raises:
        OSError: it cannot be opened; the old one is written to as before.
    """
    with open(file.path, "ab"):
        pass
    file.reopen()


def on_hangup(reactor: Any, reload: Callable[[], object]) -> None:
    """Call `reload` in the reactor's thread at each SIGHUP."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))


def reopen_log() -> None:
    """Open the log file of twistd by its path, as after a rotation."""
    file = current()
    if file is None:
        log.info("SIGHUP: there is no log file to reopen.")
        return
    try:
        reopen(file)
    except OSError as error:
        log.error(
            "SIGHUP: the log file {path} cannot be reopened: {reason}. The old one is still "
            "written.",
            path=file.path,
            reason=error.strerror,
        )
    else:
        log.info("SIGHUP: the log file {path} is reopened.", path=file.path)
