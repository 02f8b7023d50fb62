"""Periodic work that survives exceptions."""

from collections.abc import Callable
from math import floor
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure


class Recurring:
    """
    Exception guard for periodic work, which would stop at the first exception.

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

    Its calls fall on whole seconds of the clock, as those of all others: a process that has nothing
    to do wakes once for all of them.

    Args:
        what: as of `Recurring`.
        work: as of `Recurring`; the next call waits for its Deferred.
        interval: seconds from one call to the next; the first interval may be shorter by up to a
            second.
        now: the first call is at the start, and not one interval later.

    Attributes:
        working: fires when the call that is under way is done; None = none is.
    """

    def __init__(
        self,
        what: str,
        work: Callable[[], Any],
        interval: float,
        clock: IReactorTime,
        now: bool = True,
    ) -> None:
        self._work, self._clock = Recurring(what, work), clock
        self._interval, self._now = interval, now
        self._running, self._due = False, 0.0
        self._timer: IDelayedCall | None = None
        self.working: Deferred[None] | None = None

    def start(self) -> None:
        """Begin to call."""
        self._running, self._due = True, float(floor(self._clock.seconds()))
        if self._now:
            self._call()
        else:
            self._schedule()

    def stop(self) -> None:
        """End, if it has begun."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def slow_down(self, interval: float) -> None:
        """Call it at another interval from the next call on."""
        self._interval, self._due = interval, float(floor(self._due))

    def _call(self) -> None:
        self._timer = None
        self.working = self._work()
        if self.working is None:
            self._schedule()
        else:
            self.working.addCallback(self._schedule)

    def _schedule(self, _: None = None) -> None:
        self.working = None
        if not self._running:
            return
        when = self._clock.seconds()
        missed = max(0.0, (when - self._due) // self._interval)
        self._due += self._interval * (missed + 1)
        self._timer = self._clock.callLater(max(0.0, self._due - when), self._call)


class RecurringService(Service):
    """A recurring call that starts and stops with its parent; its stop waits for what it does."""

    def __init__(self, call: RecurringCall) -> None:
        self._call = call

    def startService(self) -> None:
        super().startService()
        self._call.start()

    def stopService(self) -> "Deferred[None] | None":
        super().stopService()
        self._call.stop()
        return self._call.working
