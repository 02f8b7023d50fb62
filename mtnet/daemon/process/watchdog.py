"""Watchdog: notices a disk that hangs, and a data folder that was removed or replaced."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.storage.worker import SerialWorker

PERIOD = 5.0
"""Seconds between two looks: as long as a disk may take to answer, and at the same moments as the
looks at the free space and at the journal, which wake the same threads."""


class Watchdog:
    """
    Watchdog: looks for disks that hang and for a data folder that was replaced.

    Args:
        workers: the threads that write for each component.
        worker: where the folder is looked at.
        replaced: returns, blocking, what is wrong with the folder, or None.
    """

    log = Logger()

    def __init__(
        self,
        workers: Mapping[str, Mapping[str, SerialWorker]],
        worker: SerialWorker,
        replaced: Callable[[], str | None],
    ) -> None:
        self._workers, self._worker, self._replaced = workers, worker, replaced
        self._folder: str | None = None
        self._asked = False
        self._reported: set[str] = set()

    def check(self) -> None:
        """Look; trouble is logged once, and its end too."""
        if not self._asked:
            self._asked = True
            self._worker(self._replaced).addCallbacks(self._found, self._broken)
        self._log_change("folder", self._folder, "The data folder can be used again.")
        for name in self._workers:
            trouble = self._hangs(name)
            self._log_change(
                name, trouble and f"{name}: {trouble}", f"{name}: the disk answers again."
            )

    def _log_change(self, cause: str, trouble: str | None, end: str) -> None:
        if trouble is None:
            if cause in self._reported:
                self._reported.remove(cause)
                self.log.info("{end}", end=end)
        elif cause not in self._reported:
            self._reported.add(cause)
            self.log.error("{trouble}.", trouble=trouble)

    def trouble(self, component: str) -> str | None:
        """Return why a component cannot store anything, in one sentence, or None."""
        return self._folder or self._hangs(component)

    def goes(self) -> bool:
        """Return whether no thread hangs or has ended that the disk alone delays."""
        return self._worker.trouble() is None and not any(map(self._hangs, self._workers))

    def _hangs(self, component: str) -> str | None:
        workers = self._workers.get(component, {}).values()
        return next((found for each in workers if (found := each.trouble())), None)

    def report(self, component: str, health: Mapping[str, Any]) -> dict[str, Any]:
        """Return the health of a component, with trouble of its threads and of the data folder."""
        trouble = self.trouble(component)
        return {**health, **({"healthy": False, "trouble": trouble} if trouble else {})}

    def _found(self, trouble: str | None) -> None:
        self._asked, self._folder = False, trouble

    def _broken(self, failure: Failure) -> None:
        self._asked = False
        self.log.failure("The data folder could not be looked at.", failure)


def with_timeout(work: "Deferred[None]", seconds: float, clock: IReactorTime) -> "Deferred[None]":
    """
    Return what fires as `work` does, or fails with TimeoutError when that takes too long.

    The work is not broken off: whatever hangs in another thread cannot be.
    """
    first: Deferred[None] = Deferred()

    def late() -> None:
        work.addErrback(lambda failure: None)
        first.errback(TimeoutError())

    timer = clock.callLater(seconds, late)

    def done(result: Any) -> None:
        if timer.active():
            timer.cancel()
            first.callback(result)

    work.addBoth(done)
    return first
