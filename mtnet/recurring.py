"""Periodic work that survives exceptions."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
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
