"""The log file of `twistd --logfile`, opened anew by its path."""

import inspect
import signal

from twisted.python.logfile import LogFile


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
    Open a log file anew by its path, as after another program has moved it away.

    Raises:
        OSError: it cannot be opened; the old one is written to as before.
    """
    with open(file.path, "ab"):
        pass
    file.reopen()
