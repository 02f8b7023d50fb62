"""
Notification protocol of systemd: readiness, reload, stop, and signs of life for its watchdog.

See sd_notify(3): lines of `KEY=value` in a datagram to the Unix socket `$NOTIFY_SOCKET`.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping

from twisted.logger import Logger


class ServiceManager:
    """
    Reports to systemd; where nothing else started this process, it does nothing.

    Args:
        environ: the environment variables of the process.

    Attributes:
        watchdog: seconds between two signs of life, half of what systemd waits for one; None = it
            waits for none.
    """

    log = Logger()

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        microseconds = environ.get("WATCHDOG_USEC", "")
        usable = self._address and microseconds.isascii() and microseconds.isdigit()
        self.watchdog = int(microseconds) / 2_000_000 if usable and int(microseconds) else None
        self._pid, self._failing = environ.get("WATCHDOG_PID", ""), False

    def ready(self) -> None:
        """Everything listens, for the first time or after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(_CLOCK) // 1000}")

    def stopping(self) -> None:
        """The stop has begun."""
        self._send("STOPPING=1")

    def give_sign_of_life(self, goes: Callable[[], bool]) -> None:
        """Tell the watchdog that the process goes, if it does; called every `watchdog` seconds."""
        if self._pid in ("", str(os.getpid())) and goes():
            self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is in the abstract namespace of Linux.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), address)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self.log.warn("systemd is not told {what}: {error}", what=lines[0], error=error)
            self._failing = True


_CLOCK = getattr(time, "CLOCK_MONOTONIC", 1)
"""The clock that systemd compares with; only Linux has systemd."""
