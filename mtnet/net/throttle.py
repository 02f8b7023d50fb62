"""Read throttle: leaves a connection unread while there is a reason for it."""

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.access.throttle import take_tokens
from mtnet.net.transport import Transport


class PauseReason:
    """Push producer that pauses a connection for one reason."""

    __slots__ = ("_throttle", "_why")

    def __init__(self, throttle: "ReadThrottle", why: str) -> None:
        self._throttle, self._why = throttle, why

    def pauseProducing(self) -> None:
        """Leave the connection unread for this reason."""
        self._throttle.pause(self._why)

    def resumeProducing(self) -> None:
        """This reason is gone."""
        self._throttle.resume(self._why)


class ReadThrottle:
    """Read throttle: pauses a connection as long as there is a reason for it."""

    __slots__ = ("_reasons", "transport")

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._reasons: tuple[str, ...] = ()

    def producer(self, why: str) -> PauseReason:
        """Return what pauses the connection for one reason."""
        return PauseReason(self, why)

    @property
    def paused(self) -> bool:
        """Whether the connection is left unread."""
        return bool(self._reasons)

    def pause(self, why: str) -> None:
        """Leave it unread."""
        if not self._reasons:
            self.transport.pauseProducing()
        if why not in self._reasons:
            self._reasons += (why,)

    def resume(self, why: str) -> None:
        """Read on, unless there is another reason not to."""
        if why in self._reasons:
            self._reasons = tuple(each for each in self._reasons if each != why)
            if not self._reasons:
                self.transport.resumeProducing()


class ReadRateLimit(ReadThrottle):
    """
    Read throttle with a rate limit: a token bucket pauses reading, and others may, too.

    Args:
        transport: of the connection.
        rate: how much of it a second may have.
    """

    __slots__ = ("_clock", "_full", "_rate", "_timer")  # a bucket of its own is 50 bytes more

    def __init__(self, transport: Transport, clock: IReactorTime, rate: float) -> None:
        super().__init__(transport)
        self._clock, self._rate = clock, rate
        self._full = 0.0
        self._timer: IDelayedCall | None = None

    def spend(self, count: int) -> None:
        """Take tokens for what came, and pause while there are none."""
        cost = count / self._rate
        self._full, delay = take_tokens(self._full, cost, self._clock.seconds())
        if delay and self._timer is None:
            self.pause("pace")
            self._timer = self._clock.callLater(delay, self._go_on)

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        self._timer = None
        self.resume("pace")
