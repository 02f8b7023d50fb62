"""Periodic work that survives exceptions."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure


class Recurring:
    """
    Exception guard for the work of a `LoopingCall` or `TimerService`, which would stop at the first
    exception.

    Args:
        what: the subject of a log sentence: `The check of the certificates`.
        work: the function to call each time; it may return a Deferred.
    """

    log = Logger()

    def __init__(self, what: str, work: Callable[..., Any]) -> None:
        self._what, self._work = what, work
        self._failing = False

    def __call__(self, *arguments: Any) -> "Deferred[None] | None":
        """Run the work; a failure is logged once until it works again, and never raised."""
        try:
            result = self._work(*arguments)
        except Exception:
            self._failed(Failure())
            return None
        if isinstance(result, Deferred):
            return result.addCallbacks(self._worked, self._failed)
        self._worked(result)
        return None

    def _worked(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        if not self._failing:
            self._failing = True
            self.log.failure("{what} failed; it is tried again.", failure, what=self._what)


class RecurringCall:
    """
    Periodic timer that no exception ends.

    Args:
        what: as of `Recurring`.
        work: as of `Recurring`; the next call waits for its Deferred.
        interval: seconds from one call to the next.
        now: the first call is at the start, and not one interval later.
    """

    def __init__(
        self,
        what: str,
        work: Callable[[], Any],
        interval: float,
        clock: IReactorTime,
        now: bool = True,
    ) -> None:
        self._interval, self._now = interval, now
        self._loop = LoopingCall(Recurring(what, work))
        self._loop.clock = clock

    def start(self) -> None:
        """Begin to call."""
        self._loop.start(self._interval, self._now)

    def stop(self) -> None:
        """End, if it has begun."""
        if self._loop.running:
            self._loop.stop()

    def slow_down(self, interval: float) -> None:
        """Call it at another interval from now on."""
        self._loop.interval = interval
