"""How a close ends: progress of the last bytes, and an end where there is none."""

import socket
import struct
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.net.transport import Transport, innermost

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover - Windows
    ioctl = None  # type: ignore[assignment]

CHECKS = 5
"""Looks at a transfer within the time that it may stand still."""


def unacknowledged(transport: Transport) -> int:
    """Return how many sent bytes the peer's machine has not confirmed; 0 where nobody knows."""
    handle = getattr(innermost(transport), "getHandle", lambda: None)()
    if ioctl is None or not isinstance(handle, socket.socket):
        return 0
    try:
        return int(struct.unpack("i", ioctl(handle.fileno(), TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return 0


class StallDetector:
    """
    Stall detector: ends a transfer that makes no progress, and never one that does.

    Args:
        seconds: how long it may stand still.
        mark: returns what changes while the transfer goes on.
        stalled: called once when it stood still.
    """

    def __init__(
        self,
        clock: IReactorTime,
        seconds: float,
        mark: Callable[[], object],
        stalled: Callable[[], None],
    ) -> None:
        self._clock, self._step = clock, seconds / CHECKS
        self._mark, self._stalled = mark, stalled
        self._last, self._still = mark(), 0
        self._call: IDelayedCall = clock.callLater(self._step, self._look)

    def stop(self) -> None:
        """Stop watching; harmless when it has ended."""
        if self._call.active():
            self._call.cancel()

    def _look(self) -> None:
        now = self._mark()
        self._still = self._still + 1 if now == self._last else 0
        self._last = now
        if self._still >= CHECKS:
            self._stalled()
        else:
            self._call = self._clock.callLater(self._step, self._look)
