"""Closing connections: progress of the last bytes, and a reset where there is none."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport

from mtnet.callbacks import noop
from mtnet.net.output.direct import end_half
from mtnet.net.transport import StreamTransport, Transport, in_flight, innermost

PROGRESS = 5.0
"""Seconds without progress after which a close no longer waits for the peer."""
CHECKS = 5
"""Checks of a transfer within the time that it may stand still."""


def unacknowledged(transport: Transport) -> int:
    """Return how many sent bytes are not acknowledged by the peer; 0 where it is unknown."""
    found = in_flight(transport)
    return 0 if found is None else found.size


class StallDetector:
    """
    Stall detector: ends a transfer that makes no progress, and never one that does.

    Args:
        seconds: how long it may stand still.
        mark: returns a value that changes while the transfer goes on.
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
        self._mark = self._stalled = noop  # they refer back to this detector

    def _look(self) -> None:
        now = self._mark()
        self._still = self._still + 1 if now == self._last else 0
        self._last = now
        if self._still >= CHECKS:
            self._stalled()
        else:
            self._call = self._clock.callLater(self._step, self._look)


class LingeringClose:
    """
    Lingering close: waits for the peer while the last bytes move, and resets the connection when
    they do not.

    Args:
        seconds: without progress.
        unsent: returns how many bytes were not written yet, besides the transport's.
    """

    def __init__(
        self,
        clock: IReactorTime,
        transport: Transport,
        seconds: float = PROGRESS,
        unsent: Callable[[], int] = int,
    ) -> None:
        self._clock, self._transport, self._seconds = clock, transport, seconds
        self._unsent = unsent
        self._reset = False
        self._detector = self._watch()

    def begin(self, half: bool) -> None:
        """Close the connection, or `half` of it: ours; TLS has no halves."""
        if ISSLTransport.providedBy(self._transport):
            self._transport.loseConnection()
        elif half:
            transport: StreamTransport = self._transport  # type: ignore[assignment]
            end_half(transport)
        else:
            self._reset = True
            self._transport.loseConnection()

    def stop(self) -> None:
        """Stop watching: the connection is gone."""
        self._detector.stop()
        self._unsent = int  # it refers back to this close

    def _watch(self) -> StallDetector:
        return StallDetector(self._clock, self._seconds, self._pending, self._stalled)

    def _pending(self) -> tuple[int, int]:
        return self._unsent(), unacknowledged(self._transport)

    def _stalled(self) -> None:
        """
        End it. When all bytes have arrived, only the peer's close is missing: a reset could destroy
        bytes that it did not read yet, so that comes later.
        """
        if self._reset or any(self._pending()):
            self._transport.abortConnection()
        else:
            self._reset = True
            # First: where our half is closed already, the connection is lost at once.
            self._detector = self._watch()
            innermost(self._transport).loseConnection()
