"""
The driver of a core, the same under every event loop: bytes, deadlines and events.

Pure: the clock, the timer and the connection are handed in.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

SOONEST = 1e-6
"""Seconds until a timer that fired before its deadline fires again: sums of floats differ."""
E = TypeVar("E", covariant=True)
H = TypeVar("H")


class Output(Protocol):
    """The way out of a core: what it writes, whether it disconnects, and when it comes again."""

    @property
    def ending(self) -> str: ...

    def data_to_send(self) -> bytes: ...

    def delay(self, attempt: int = 0) -> float: ...


class Core(Protocol[E]):
    """A client's state machine; its codec is of its own kind, frames or lines."""

    @property
    def session(self) -> Output: ...

    @property
    def deadline(self) -> float | None: ...

    def begin(self, framing: Any, when: float, clear_peer: str = "") -> Iterable[E]: ...

    def receive(self, data: bytes, when: float) -> Iterable[E]: ...

    def expire(self, when: float) -> Iterable[E]: ...

    def lose(self, reason: str) -> Iterable[E]: ...

    def unreachable(self, text: str) -> Iterable[E]: ...

    def stop(self) -> Iterable[E]: ...


class Timer(Protocol):
    """A call that waits."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """A clock that is never set, with timers."""

    def now(self) -> float: ...

    def call_later(self, delay: float, call: Callable[[], object]) -> Timer: ...


class Connection(Protocol):
    """A connection as the driver needs it."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...


class Driver(Generic[H]):
    """
    Event loop adapter: carries the bytes, the deadlines and the events of a core.

    Args:
        handle: takes each event; an exception of it goes to the caller, who disconnects.
    """

    def __init__(self, core: Core[H], clock: Clock, handle: Callable[[H], object]) -> None:
        self._core, self._clock, self._handle = core, clock, handle
        self._connection: Connection | None = None
        self._timer: Timer | None = None
        self._planned = 0.0

    def run(self, events: Iterable[H] = ()) -> None:
        """Handle events, and send what waits."""
        try:
            for event in events:
                self._handle(event)
        finally:
            self._flush()
            self._plan()

    def connected(self, connection: Connection, framing: Any, clear_peer: str) -> None:
        """
        Begin on a new connection.

        Args:
            clear_peer: the host that it goes to in clear text; empty = nobody else reads it.
        """
        self._connection = connection
        self.run(self._core.begin(framing, self._clock.now(), clear_peer))

    def received(self, data: bytes) -> None:
        """Take bytes of the connection."""
        self.run(self._core.receive(data, self._clock.now()))

    def lost(self, reason: str) -> None:
        """Note the end of the connection."""
        self._connection = None
        self.run(self._core.lose(reason))

    def failed(self, text: str) -> None:
        """Note an attempt to connect that failed."""
        self.run(self._core.unreachable(text))

    def delay(self, attempt: int) -> float:
        """Return the seconds before the next attempt."""
        return self._core.session.delay(attempt)

    def _flush(self) -> None:
        if self._connection is None:
            return
        data = self._core.session.data_to_send()
        if data:
            self._connection.write(data)
        if self._core.session.ending:
            connection, self._connection = self._connection, None
            connection.abort()

    def _plan(self) -> None:
        deadline = self._core.deadline
        if self._timer is not None:
            if deadline is not None and self._planned <= deadline:
                return  # it fires early, and is made again then: most deadlines move with each read
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            left, self._planned = deadline - self._clock.now(), deadline
            delay = max(left, SOONEST) if left > 0 else 0.0
            self._timer = self._clock.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.run(self._core.expire(self._clock.now()))


def earliest(*deadlines: float | None) -> float | None:
    """Return the first of some deadlines; None = nothing is due."""
    return min((each for each in deadlines if each is not None), default=None)
