"""SIGHUP: ignored before the daemon runs, then a request to reload."""

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from mtnet.daemon import log_file

log = Logger()


def ignore_hangups() -> None:
    """Let SIGHUP not end this process; the daemon has a handler of its own once it runs."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def on_hangup(reactor: Any, reload: Callable[[], object]) -> None:
    """Call `reload` in the reactor's thread at each SIGHUP."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reload))


def reopen_log() -> None:
    """Open the log file of twistd by its path, as after a rotation."""
    file = log_file.current()
    if file is None:
        log.info("SIGHUP: there is no log file to open anew.")
        return
    try:
        log_file.reopen(file)
    except OSError as error:
        log.error(
            "SIGHUP: the log file {path} cannot be opened anew: {reason}. The old one is "
            "written to.",
            path=file.path,
            reason=error.strerror,
        )
    else:
        log.info("SIGHUP: the log file {path} is opened anew.", path=file.path)
