"""Upkeep of the journal: forgets what went flat long ago, and looks at the files and rows."""

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mtnet.recurring import RecurringCall
from mtnet.services.signals.service import SignalService

LOOK = 5.0
"""Seconds between two looks whether the files of the journal are there."""
EXPIRY = 3_600.0
"""Seconds between two looks for flat symbols to forget; they are remembered for days."""


class Upkeep:
    """
    Recurring work on the journal.

    Attributes:
        loops: by the seconds between two turns.
    """

    log = Logger()

    def __init__(self, signals: SignalService, clock: IReactorTime) -> None:
        self._signals = signals
        self.loops = {
            EXPIRY: RecurringCall("The forgetting of flat symbols", self.expire, EXPIRY, clock),
            LOOK: RecurringCall("The look at the journal's files", self.look, LOOK, clock, False),
        }

    def start(self) -> None:
        """Begin."""
        for each in self.loops.values():
            each.start()
        self._signals.worker.scrubber.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._signals.worker.scrubber.stop()
        for each in self.loops.values():
            each.stop()

    def expire(self) -> "Deferred[None]":
        """Forget the symbols that went flat long ago."""
        signals = self._signals
        now, book, age = signals.now, signals.channels.book, signals.settings.remember
        before, wall = now.seconds() - age, now() - int(age * 1000)
        old = book.flat_before(before) if now.steady else None
        if not old:
            return succeed(None)
        done = signals.commits.ask(signals.worker.journal.expire, wall, old)
        return done.addCallback(lambda _: book.expire(before)).addErrback(
            lambda failure: self.log.error(
                "Old flat symbols stay for another hour: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    def look(self) -> "Deferred[None]":
        """Look whether the files are there; try a disk again that took nothing."""
        commits = self._signals.commits
        return self._signals.worker.check_files().addCallbacks(
            lambda _: commits.probe(), commits.repair
        )
