"""Compaction in the background: the log of ticks is merged, small blocks are joined, in steps."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InThread

OLD = 3_600.0
"""Seconds after which the log is merged and small blocks are joined, however few ticks they have:
at a tick a second they make a block of 3,600."""
CHECK = 60.0
"""Seconds between two looks whether there is something to join."""
NOT_MERGED = (
    "The log of ticks is not merged into blocks, or small blocks are not joined. Ticks are stored, "
    "and it is tried again each minute."
)
PAUSE = 0.05
"""Seconds between two steps of about 6 ms: a tenth of one processor."""


class Compaction:
    """
    Background compaction: merges the log and joins small blocks when there is much or an hour is
    over, and blocks of an older mtnet after an update.

    Args:
        in_thread: the worker of the store.
        may_run: returns whether the disk takes ticks, and has room.
        sync: seconds that what is in the log may wait for the platter.

    Attributes:
        trouble: why the log is not merged, or blocks are not joined; None = they are.
    """

    log = Logger()

    def __init__(
        self,
        store: Store,
        clock: IReactorTime,
        in_thread: InThread,
        may_run: Callable[[], bool],
        sync: float,
    ) -> None:
        self._store, self._clock, self._in_thread = store, clock, in_thread
        self._may_run, self._interval = may_run, min(CHECK, sync / 2)
        self._timer: IDelayedCall | None = None
        self._joined = clock.seconds()
        self._stopped = False
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin to look whether there is something to do."""
        self._wait(self._interval)

    def stop(self) -> None:
        """Begin no more steps; one that runs is finished by its thread."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        if not self._stopped:
            step = self._look if seconds == self._interval else self._step
            self._timer = self._clock.callLater(seconds, step)

    def _look(self) -> None:
        self._timer = None
        self._in_thread(self._store.sync_late).addCallbacks(lambda _: self._step(), self._failed)

    def _step(self) -> None:
        self._timer = None
        if self._stopped:
            return
        if not self._may_run():
            self._wait(self._interval)
            return
        is_old = self._clock.seconds() - self._joined >= OLD
        if is_old:
            self._joined = self._clock.seconds()
        step: Deferred[bool] = self._in_thread(self._store.join, is_old)
        step.addCallbacks(self._done, self._failed)

    def _done(self, more: bool) -> None:
        if not more and self.trouble is not None:
            self.log.info("The log of ticks is merged, and blocks are joined again.")
            self.trouble = None
        self._wait(PAUSE if more else self._interval)

    def _failed(self, failure: Failure) -> None:
        if failure.check(JournalError):
            error = str(failure.value)
        else:
            if self.trouble is None:
                self.log.failure("Merging or joining ticks failed unexpectedly.", failure)
            name, text = type(failure.value).__name__, str(failure.value).rstrip(".")
            error = f"{name}: {text}."
        first, self.trouble = self.trouble is None, f"{NOT_MERGED} {error}"
        if first:
            self.log.warn("{trouble}", trouble=self.trouble)
        self._wait(self._interval)
