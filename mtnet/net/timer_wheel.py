"""One timer for many who wait, each for a time of its own."""

from collections.abc import Hashable
from math import ceil
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

EARLY = 0.0005
"""Seconds by which somebody may be woken too early: sums of floats differ."""


class Sleeper(Protocol, Hashable):
    """Somebody who waits."""

    def wake(self) -> None:
        """Learn that the time has come."""


class Spoke(dict[Sleeper, None]):
    """
    Those who are woken at one time.

    Attributes:
        at: the time, in steps.
    """

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


class Wheel:
    """
    Wakes each a step too late at most; a delayed call for each would take 400 bytes.

    Args:
        step: seconds between two times at which anybody is woken.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, step: float) -> None:
        self._clock, self._step = clock, step
        self._spokes: dict[int, Spoke] = {}
        self._timer: IDelayedCall | None = None
        self._first: int | None = None

    def add(self, sleeper: Sleeper, when: float) -> Spoke:
        """Wake somebody once, at `when` of the clock, unless it is discarded from the spoke."""
        at = ceil((when - EARLY) / self._step)
        spoke = self._spokes.get(at)
        if spoke is None:
            spoke = self._spokes[at] = Spoke(at)
            self._plan()
        spoke[sleeper] = None
        return spoke

    def discard(self, sleeper: Sleeper, spoke: Spoke) -> None:
        """Wake it no more; harmless when it was woken."""
        spoke.pop(sleeper, None)
        if not spoke and self._spokes.get(spoke.at) is spoke:
            del self._spokes[spoke.at]
            self._plan()

    def _plan(self) -> None:
        """Set the timer to the first spoke."""
        first = min(self._spokes, default=None)
        if first == self._first:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._first = None, first
        if first is not None:
            delay = first * self._step - EARLY - self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, delay), self._turn, first)

    def _turn(self, at: int) -> None:
        self._timer = self._first = None
        spoke = self._spokes.pop(at)
        while spoke:  # one who is woken may take another from it
            sleeper, _ = spoke.popitem()
            with self.log.failuresHandled("One who was woken failed."):
                sleeper.wake()
        self._plan()
