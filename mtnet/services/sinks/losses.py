"""
Counts of the ticks that were sent, and the losses that people should still hear of.

Pure. Times are seconds of a clock that is never set.
"""

from math import inf

from mtnet.services.sinks.target import Written

RECENT = 3_600.0
"""Seconds for which a loss counts: somebody who looks once an hour sees it."""


class Counts:
    """
    Counters of ticks.

    Attributes:
        sent, refused: those that a server took, or will never take.
        refusal: why it will not, by its last answer; empty = it took all.
    """

    def __init__(self) -> None:
        self.sent = self.refused = 0
        self.refusal = ""

    def add(self, ticks: int, done: Written) -> None:
        """Count the ticks of a write."""
        self.sent += ticks - done.refused
        self.refused += done.refused
        self.refusal = done.reason


class RecentLosses:
    """
    Window over a counter: how much it has risen, until an hour has passed in which it did not.

    Args:
        count: what it counts to now; all of that is old.
    """

    def __init__(self, count: int) -> None:
        self._count = self._base = count
        self._last = -inf

    def look(self, count: int, when: float) -> int:
        """Take what the counter says; return how much was lost of late."""
        if count > self._count:
            if when - self._last >= RECENT:
                self._base = self._count
            self._count, self._last = count, when
        return self._count - self._base if when - self._last < RECENT else 0
