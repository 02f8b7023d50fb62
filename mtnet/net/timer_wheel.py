"""One timer for many who wait, each for a time of its own."""

from collections.abc import Hashable
from math import ceil
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

EARLY = 0.0005
"""Seconds by which somebody may be woken too early: sums of floats differ."""


class Timed(Protocol, Hashable):
    """Somebody who waits."""

    def fire(self) -> None:
        """Learn that the time has come."""


class Slot(dict[Timed, None]):
    """
    Those who are woken at one time.

    Attributes:
        at: the time, in steps.
    """

    __slots__ = "at"

    def __init__(self, at: int) -> None:
        self.at = at


class TimerWheel:
    """
    Wakes each a step too late at most; a delayed call for each would take 400 bytes.

    Args:
        step: seconds between two times at which anybody is woken.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, step: float) -> None:
        self._clock, self._step = clock, step
        self._slots: dict[int, Slot] = {}
        self._timer: IDelayedCall | None = None
        self._first: int | None = None

    def add(self, timed: Timed, when: float) -> Slot:
        """Wake somebody once, at `when` of the clock, unless it is discarded from the slot."""
        at = ceil((when - EARLY) / self._step)
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = Slot(at)
            self._plan()
        slot[timed] = None
        return slot

    def discard(self, timed: Timed, slot: Slot) -> None:
        """Wake it no more; harmless when it was woken."""
        slot.pop(timed, None)
        if not slot and self._slots.get(slot.at) is slot:
            del self._slots[slot.at]
            self._plan()

    def _plan(self) -> None:
        """Set the timer to the first slot."""
        first = min(self._slots, default=None)
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
        slot = self._slots.pop(at)
        while slot:  # one who is woken may take another from it
            timed, _ = slot.popitem()
            with self.log.failuresHandled("One who was woken failed."):
                timed.fire()
        self._plan()
