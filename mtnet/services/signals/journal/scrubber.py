"""Checks every row of the journal while the daemon runs, a slice at a time."""

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.durations import DAY
from mtnet.errors import JournalError
from mtnet.recurring import RecurringCall
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.verify import Progress

Thread = Callable[..., "Deferred[Any]"]
"""Runs a blocking function off the reactor, one at a time, in order."""
PERIOD = DAY
"""Seconds between two checks; the first begins at the start."""
REST = 0.005
"""Seconds between two slices, which take a tenth of it: a million signals with ids are checked
within some five minutes."""


class Scrubber:
    """
    Args:
        thread: where the journal is called.

    Attributes:
        findings: sentences on what the last complete check found wrong beside the channels, which
            the journal refuses from then on.
    """

    log = Logger()

    def __init__(self, journal: Journal, clock: IReactorTime, thread: Thread) -> None:
        self._journal, self._clock, self._in_thread = journal, clock, thread
        self._loop = RecurringCall("The check of the journal", self._begin, PERIOD, clock)
        self._running: Deferred[None] | None = None
        self.findings: list[str] = []

    def start(self) -> None:
        """Check now, and each day."""
        self._loop.start()

    def stop(self) -> None:
        """Check no more."""
        self._loop.stop()
        if self._running is not None:
            self._running.cancel()

    def _begin(self) -> None:
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addErrback(self._broken_off)
            self._running.addBoth(self._rest)

    def _rest(self, _: object) -> None:
        self._running = None

    async def _run(self) -> None:
        found: list[str] = []
        while await self._in_thread(self._journal.lengthen_log):
            await deferLater(self._clock, REST)
        check: Iterator[Progress] = self._journal.verify()
        while (progress := await self._in_thread(next, check, None)) is not None:
            for finding in progress.findings:
                self.log.error("The journal is damaged: {finding}", finding=finding)
            if not progress.channel:
                found += progress.findings
            await deferLater(self._clock, REST)
        self.findings = found

    def _broken_off(self, failure: Failure) -> None:
        # After a failed commit the journal is reopened; the next day is soon enough.
        if not failure.check(CancelledError, JournalError):
            self.log.failure("The journal could not be checked.", failure)
