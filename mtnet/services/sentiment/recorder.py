"""Recorder of the minute history: once a minute what is shown goes to the disk."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mtnet.durations import DAY
from mtnet.errors import JournalError
from mtnet.recurring import RecurringCall
from mtnet.services.sentiment.history import SentimentHistory
from mtnet.services.sentiment.wire import Sentiment
from mtnet.storage.worker import InThread

MINUTE = 60.0
MAX_TIME = 2**63 - 1


class MinuteRecorder:
    """
    Records what is shown of each symbol, and reads it again.

    Args:
        keep: seconds for which a minute is kept.
        shown: returns what is shown now.
        in_thread: runs a blocking function off the reactor, one at a time.
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        trouble: why the last minute is not stored; None = it is.
    """

    def __init__(
        self,
        history: SentimentHistory,
        keep: float,
        shown: Callable[[], list[Sentiment]],
        in_thread: InThread,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self._history, self._keep, self._shown = history, keep, shown
        self._in_thread, self._now = in_thread, now
        what, end = "The minute history of sentiment", "The end of old minutes of sentiment"
        self._calls = (
            RecurringCall(what, self.record, MINUTE, clock, now=False),
            RecurringCall(end, self.forget, DAY, clock),
        )
        self.trouble: str | None = None

    def start(self) -> None:
        """Record each minute, and delete old ones each day."""
        for each in self._calls:
            each.start()

    def stop(self) -> "Deferred[None]":
        """Close the file, behind what is being written."""
        for each in self._calls:
            each.stop()
        return self._in_thread(self._history.close)

    def record(self) -> "Deferred[None] | None":
        """Store what is shown now; a minute without anything has no row."""
        shown = self._shown()
        if not shown:
            return None
        minute = self._now() // 60_000 * 60_000
        done = self._in_thread(self._history.add, minute, shown)
        return done.addCallbacks(self._stored, self._failed)

    def forget(self) -> "Deferred[None]":
        """Delete the minutes that are older than they are kept."""
        before = self._now() - int(self._keep * 1_000)
        return self._in_thread(self._history.forget, before).addErrback(self._failed)

    def read(
        self, symbol: str, start: int | None, stop: int | None, limit: int
    ) -> "Deferred[list[Sentiment]]":
        """
        Return minutes of a symbol, oldest first.

        Args:
            start: of the first one, milliseconds since the Unix epoch; None = the oldest.
            stop: the end of the last one; None = the newest.
        """
        last = MAX_TIME if stop is None else stop
        return self._in_thread(self._history.read, symbol, start or 0, last, limit)

    def read_last(self, symbol: str, hours: int) -> "Deferred[list[Sentiment]]":
        """Return the minutes of a symbol in the last hours, oldest first."""
        start = self._now() - hours * 3_600_000
        return self.read(symbol, start, None, 60 * hours + 1)

    def _stored(self, _: object) -> None:
        self.trouble = None

    def _failed(self, failure: Failure) -> None:
        failure.trap(JournalError)
        self.trouble = failure.getErrorMessage()
