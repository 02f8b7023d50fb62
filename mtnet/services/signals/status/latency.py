"""
Latency of a follower: how long after a signal was stored its acknowledgement came.

Pure. Durations are milliseconds.
"""

from array import array
from bisect import bisect_left, insort
from typing import NamedTuple

KEPT = 100
"""Acknowledgements of one follower that are looked at: with them p99 is the second worst. Two
arrays of them take 1 kB."""
LONGEST = 2**32 - 1
"""The longest latency that is told apart: 49 days."""


class Percentiles(NamedTuple):
    """The median, and what 99 of 100 do not exceed."""

    p50: int
    p99: int


class LatencyWindow:
    """Sliding window of the last `KEPT` latencies, in order of time and of size."""

    __slots__ = ("_next", "_recent", "_sorted")

    def __init__(self) -> None:
        self._recent, self._sorted, self._next = array("I"), array("I"), 0

    def add(self, latency: int) -> None:
        """Add a latency; the oldest makes room."""
        latency = min(max(latency, 0), LONGEST)
        if len(self._recent) < KEPT:
            self._recent.append(latency)
        else:
            oldest, self._recent[self._next] = self._recent[self._next], latency
            del self._sorted[bisect_left(self._sorted, oldest)]
            self._next = (self._next + 1) % KEPT
        insort(self._sorted, latency)

    @property
    def percentiles(self) -> Percentiles:
        """Of those that are kept: at least one."""
        count = len(self._sorted)
        return Percentiles(self._sorted[(count - 1) // 2], self._sorted[(99 * count - 1) // 100])
