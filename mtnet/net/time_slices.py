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

        Work that is begun so gets half of the time, and about one turn together: what begins
        beyond that waits for its turn, so that many who begin do not hold up the others.
        """
        begin = self._clock.seconds()
        if self._rested > begin + self._turn:
            self.run(work, failed)
            return
        try:
            for waits in work:
                if waits is not None or self._clock.seconds() >= begin + self._turn:
                    self.run(chain((waits,), work), failed)
                    break
        except Exception:
            failed(Failure())
        took = self._clock.seconds() - begin
        self._rested = max(self._rested, begin) + 2 * took

    def _until(self) -> Callable[[], bool]:
        end = self._clock.seconds() + self._turn
        return lambda: self._clock.seconds() >= end

    def _schedule(self, step: Callable[[], None]) -> IDelayedCall:
        return self._clock.callLater(0, step)
