"""
Subscription: one INDICATOR of a session.

The client is sent the last bars as it reads, and what comes meanwhile; then it is in the broadcast.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from twisted.internet.defer import Deferred

from mtnet.net.output.queue import SendQueue
from mtnet.services.indicators import wire
from mtnet.services.indicators.wire import Series, Value

PAGE = 50
"""Bars that are written at once: a quarter of a millisecond."""


class Subscription:
    """
    One INDICATOR of a session; another one of the same series is another one.

    Args:
        too_late: called when the client reads so slowly that more bars change than are kept.

    Attributes:
        ended: nothing more is sent.
    """

    __slots__ = ("_behind", "_empty", "_room", "_too_late", "ended", "queue", "series")

    def __init__(self, series: Series, queue: SendQueue, too_late: Callable[[], None]) -> None:
        self.series, self.queue, self._too_late = series, queue, too_late
        self._behind: dict[int, Value] = {}
        self._empty: Deferred[None] | None = None
        self._room = 0
        self.ended = False

    def begin(self, values: "list[Value]", room: int) -> None:
        """
        Be behind by these values.

        Args:
            room: of how many bars more values may wait.
        """
        self._behind = {each.bar: each for each in values}
        self._room = len(values) + room

    def changed(self, value: Value) -> None:
        """Send values, too, or in place of those that the client was not sent yet."""
        self._behind[value.bar] = value
        if len(self._behind) > self._room:
            self._too_late()

    def steps(self) -> Iterator["Deferred[None] | None"]:
        """Send what it is behind by, a page at a time, as the client reads."""
        while self._behind:
            if self.queue.ready:
                bars = list(islice(self._behind, PAGE))
                self.queue.send(b"".join(wire.value(self._behind.pop(bar)) for bar in bars))
                yield None
            else:
                self._empty = self.queue.when_empty()
                yield self._empty

    def stop(self) -> None:
        """Send nothing more."""
        self.ended = True
        self._behind.clear()
        if self._empty is not None:
            self._empty.cancel()
