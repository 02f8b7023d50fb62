"""Timer wheel: one delayed call for many timers."""

from collections.abc import Hashable
from math import ceil
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

EARLY = 0.0005
"""Seconds by which a timer may fire too early: sums of floats differ."""


class Timed(Protocol, Hashable):
    """An object with a timer."""

    def fire(self) -> None:
        """The time has come."""


class Slot(dict[Timed, None]):
    """
    The timers that fire at one time.

    Attributes:
        at: the time, in steps.
    """

    __slots__ = "at"

    def __init__(self, at: int) -> None:
        self.at = at


class TimerWheel:
    """
    Timer wheel: fires each timer a step too late at most; a delayed call for each would take
    400 bytes.

    Args:
        step: seconds between two slots.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, step: float) -> None:
        self._clock, self._step = clock, step
        self._slots: dict[int, Slot] = {}
        self._timer: IDelayedCall | None = None
        self._first: int | None = None

    def wait(self, when: float) -> float:
        """Return the seconds from `when` of the clock until what is added then fires."""
        return self._slot(when) * self._step - EARLY - when

    def _slot(self, when: float) -> int:
        return ceil((when - EARLY) / self._step)

    def add(self, timed: Timed, when: float) -> Slot:
        """Fire once, at `when` of the clock, unless it is discarded from the slot."""
        at = self._slot(when)
        slot = self._slots.get(at)
        if slot is None:
            slot = self._slots[at] = Slot(at)
            self._plan()
        slot[timed] = None
        return slot

    def discard(self, timed: Timed, slot: Slot) -> None:
        """Cancel a timer; harmless when it has fired."""
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
        while slot:  # one that fires may discard another
            timed, _ = slot.popitem()
            with self.log.failuresHandled("A timer failed."):
                timed.fire()
        self._plan()
