"""
The journal in its thread: everything that is asked of it, but for commits.

Whatever runs in the thread is handed to it by value, and gives back values.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.errors import JournalError, NotAskedError, PrunedError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.scrubber import Scrubber, Thread
from mtnet.services.signals.model import State
from mtnet.services.signals.ownership.policy_store import PolicyStore


class JournalWorker:
    """
    Worker below the signal service: it runs the journal off the reactor.

    Args:
        retry: seconds between two attempts on a disk that fails.
        store: what is kept beside the journal.
        thread: runs a blocking function off the reactor, one at a time, in order.
        later: does the same behind all that waits for `thread`, so that followers far behind
            delay no signal; None = there is no difference.

    Attributes:
        journal: for calls before the reactor runs, and to hand its methods to `ask`.
        logged: the damaged channels that the log has, each with a sentence.
        scrubber: checks every row, day by day.
        on_damage: called when more channels are found damaged.
        in_thread: as `thread`.
    """

    log = Logger()

    def __init__(
        self,
        journal: Journal,
        store: PolicyStore,
        retry: float,
        clock: IReactorTime,
        thread: Thread,
        later: Thread | None = None,
    ) -> None:
        self.journal, self._store, self._retry = journal, store, retry
        self._clock, self.in_thread, self._later = clock, thread, later
        self.scrubber = Scrubber(journal, clock, later or thread)
        self.logged: Mapping[str, str] = {}
        self.on_damage: Callable[[], object] = noop
        self._read_trouble: str | None = None
        self._file_trouble: str | None = None
        self._checkpoint_trouble = self._policy_trouble = ""
        self._nap: Deferred[None] | None = None
        self._alarm: IDelayedCall | None = None

    # Before the reactor runs

    def open(self, names: Iterable[str]) -> dict[str, State]:
        """
        Read the channels, and make those of these names that are missing; blocks.

        Raises:
            JournalError: the journal cannot be read.
        """
        loaded = self.journal.load()
        for name in {*names} - loaded.states.keys() - loaded.damaged.keys():
            try:
                self.journal.create(name)
            except NotAskedError as error:
                self.log.error("{name} is not made: {error}", name=name, error=error)
            else:
                loaded.states[name] = self.journal.positions(name)
        return loaded.states

    def opened(self) -> None:
        """Log what is wrong, and close the files: the thread of a daemon opens them anew."""
        self.log_damage()
        try:
            self.journal.check_files()
        except NotAskedError as error:
            self.note_files(str(error))
        self.journal.close()

    # Commits that fail

    def needs_recovery(self) -> "Deferred[bool]":
        """Fire with whether a call failed with unknown outcome; none is under way then."""
        found: Deferred[bool] = self.in_thread(lambda: self.journal.needs_recovery)
        return found

    def log_trouble(self, error: Exception, known: str | None) -> None:
        """Log why the disk takes no commit, unless that is `known`."""
        if not isinstance(error, JournalError):
            self.log.failure("The journal failed in a way that it does not know.", Failure(error))
        if str(error) != known:
            self.log.error(
                "{trouble} The last position of each symbol is kept and tried again every "
                "{retry} s; followers get what is stored.",
                trouble=str(error),
                retry=self._retry,
            )

    def sleep(self) -> "Deferred[None]":
        """Return what fires when it is time to try again, or at the stop."""
        nap = self._nap = Deferred()
        self._alarm = self._clock.callLater(self._retry, self.wake)
        return nap

    def wake(self) -> None:
        """Try again now."""
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        nap, self._nap, self._alarm = self._nap, None, None
        if nap is not None:
            nap.callback(None)

    # The policy store

    def save_policy(self) -> "Deferred[None]":
        """Write what has changed; fails with `JournalError` when the disk does not keep it."""
        saved: Deferred[None] = self.in_thread(self._store.save)
        return saved

    def keep_policy(self) -> None:
        """Write what has changed; what the disk does not keep is tried again."""
        self.in_thread(self._store.keep)

    # Everything else

    def ask(
        self, function: Callable[..., Any], *args: object, later: bool = False
    ) -> "Deferred[Any]":
        """Call the journal, for anything but a commit."""
        thread = self._later if later and self._later is not None else self.in_thread
        done: Deferred[Any] = thread(function, *args)
        return done.addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, result: Any) -> Any:
        self._read_trouble = None
        return result

    def _failed(self, failure: Failure) -> Failure:
        self.log_damage()
        error = failure.value
        known = (self._read_trouble, *self.journal.damaged.values())
        reported = isinstance(error, PrunedError) or str(error) in known
        if isinstance(error, JournalError) and not (reported or self.journal.needs_recovery):
            self.log.error("{trouble}", trouble=str(error))
            self._read_trouble = str(error)
        return failure

    def log_damage(self) -> None:
        """Log which channels are damaged, each once."""
        damaged = self.journal.damaged
        fresh, self.logged = sorted(damaged.keys() - self.logged.keys()), damaged
        for name in fresh:
            self.log.error("{sentence}", sentence=damaged[name])
        if fresh:
            self.on_damage()

    def check_files(self) -> "Deferred[None]":
        """Look whether the files are in place; fails with `JournalError` when they are not."""
        if self._store.trouble:
            self.keep_policy()
        looked: Deferred[None] = self.in_thread(self.journal.check_files)
        return looked.addCallbacks(self.note_files, self._files_failed)

    def _files_failed(self, failure: Failure) -> Failure:
        self.note_files(failure.getErrorMessage())
        return failure

    def note_files(self, trouble: str | None) -> None:
        """Log, once, what is wrong with the files."""
        if trouble is not None and trouble != self._file_trouble:
            self.log.error("{trouble}", trouble=trouble)
        self._file_trouble = trouble
        if self._store.trouble and self._store.trouble != self._policy_trouble:
            self.log.error("{trouble} It is known until the stop.", trouble=self._store.trouble)
        self._policy_trouble = self._store.trouble
        found = self.journal.trouble
        if found and found != self._checkpoint_trouble:
            self.log.error(
                "{trouble} Nothing is lost, but the loss of the journal's end would not be seen.",
                trouble=found,
            )
        self._checkpoint_trouble = found

    def causes(self, refused: str | None) -> list[str]:
        """
        Return the problems that need a person, a sentence each.

        Args:
            refused: why the disk takes no commit.
        """
        known = (
            self._file_trouble,
            refused,
            self._read_trouble,
            self.journal.trouble,
            self._store.trouble,
        )
        damaged = self.journal.damaged
        sentences = [damaged[name] for name in sorted(damaged)]
        return [*filter(None, known), *sentences, *self.scrubber.findings]

    def damage(self) -> list[str]:
        """Return the names of damaged channels, and other damage."""
        return [*sorted(self.journal.damaged), *self.scrubber.findings]

    def close(self) -> "Deferred[None]":
        """Close the journal; the next call opens it again."""
        closed: Deferred[None] = self.in_thread(self.journal.close)
        return closed
