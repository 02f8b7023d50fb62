"""Time slicer: connections with much work share the reactor with those that have little."""

from collections.abc import Callable, Iterator
from itertools import chain

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure


class TimeSlicer:
    """
    Cooperative scheduler: runs work in slices, for so long in each turn of the reactor.

    Args:
        turn: seconds.
    """

    def __init__(self, clock: IReactorTime, turn: float) -> None:
        self._clock, self._turn = clock, turn
        self._rested = 0.0
        self._cooperator = Cooperator(self._until, self._schedule)

    def run(self, work: Iterator[object], failed: Callable[[Failure], object]) -> None:
        """
        Step through `work`; where it yields a Deferred, it goes on when that has fired.

        Args:
            failed: called with the exception that `work` raised.
        """
        self._cooperator.cooperate(work).whenDone().addErrback(failed)

    def begin(self, work: Iterator[object], failed: Callable[[Failure], object]) -> None:
        """
        Do as `run`, and take the first steps at once: little work needs no turn of its own.

        After that no other work is begun at once for as long as it took, so that many who begin
        leave half of the time to the others.
        """
        begin = self._clock.seconds()
        if begin < self._rested:
            self.run(work, failed)
            return
        try:
            for waits in work:
                if waits is not None or self._clock.seconds() >= begin + self._turn:
                    self.run(chain((waits,), work), failed)
                    break
        except Exception:
            failed(Failure())
        end = self._clock.seconds()
        self._rested = end + (end - begin)

    def _until(self) -> Callable[[], bool]:
        end = self._clock.seconds() + self._turn
        return lambda: self._clock.seconds() >= end

    def _schedule(self, step: Callable[[], None]) -> IDelayedCall:
        return self._clock.callLater(0, step)
