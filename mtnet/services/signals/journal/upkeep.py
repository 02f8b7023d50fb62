"""Upkeep of the journal: forgets what went flat long ago, and looks at the files and rows."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mtnet.clock import WallClock
from mtnet.recurring import Recurring
from mtnet.services.signals.book import Book
from mtnet.services.signals.journal.group_commit import GroupCommit
from mtnet.services.signals.journal.worker import JournalWorker

LOOK = 5.0
"""Seconds between two looks whether the files of the journal are there."""
EXPIRY = 3_600.0
"""Seconds between two looks for flat symbols to forget; they are remembered for days."""


class Upkeep:
    """
    Recurring work on the journal.

    Args:
        remember: seconds for which a flat symbol is remembered.
        now: wall time, and whether it may be believed.

    Attributes:
        loops: by the seconds between two turns.
    """

    log = Logger()

    def __init__(
        self,
        book: Book,
        worker: JournalWorker,
        commits: GroupCommit,
        remember: float,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self._book, self._worker, self._commits = book, worker, commits
        self._age, self._now = remember, now
        self.loops = {
            EXPIRY: LoopingCall(Recurring("The forgetting of flat symbols", self.expire)),
            LOOK: LoopingCall(Recurring("The look at the journal's files", self.look)),
        }
        for loop in self.loops.values():
            loop.clock = clock

    def start(self) -> None:
        """Begin."""
        for seconds, loop in self.loops.items():
            loop.start(seconds, now=seconds == EXPIRY)
        self._worker.scrubber.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._worker.scrubber.stop()
        for each in self.loops.values():
            if each.running:
                each.stop()

    def expire(self) -> "Deferred[None]":
        """Forget the symbols that went flat long ago."""
        before, wall = self._now.seconds() - self._age, self._now() - int(self._age * 1000)
        old = self._book.flat_before(before) if self._now.steady else None
        if not old:
            return succeed(None)
        done = self._commits.ask(self._worker.journal.expire, wall, old)
        return done.addCallback(lambda _: self._book.expire(before)).addErrback(
            lambda failure: self.log.error(
                "Old flat symbols stay for another hour: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    def look(self) -> "Deferred[None]":
        """Look whether the files are there; try a disk again that took nothing."""
        commits = self._commits
        return self._worker.check_files().addCallbacks(lambda _: commits.probe(), commits.repair)
