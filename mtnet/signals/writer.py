"""
Brings drafts to the disk, off the reactor, and says what became of each.

One commit is under way at a time; what arrives meanwhile is the next one. After a failure the
journal is asked what came of the commit, and nobody is answered before that is known.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError
from mtnet.settings import Signals
from mtnet.signals.entries import Draft, Entry, Judge, Outcome, Repeated, Unchanged
from mtnet.signals.journal import Journal
from mtnet.signals.providers import Publisher

Thread = Callable[..., "Deferred[Any]"]
"""Runs a blocking function off the reactor, one at a time, in order."""


class Pending:
    """
    A draft that waits for the disk.

    Attributes:
        count: of this and all that came before it.
        done: fires with the seq of its entry; None = nobody can be told (the published dialect).
    """

    def __init__(
        self, draft: Draft, publisher: Publisher, done: "Deferred[int] | None" = None
    ) -> None:
        self.draft, self.publisher, self.done = draft, publisher, done
        self.count = 0

    @property
    def key(self) -> object:
        """What a newer frame of the same publisher replaces while the disk refuses."""
        if self.done is not None:
            return self
        return self.publisher.number, self.draft.channel, self.draft.symbol


class Stored(NamedTuple):
    """
    What a commit did.

    Attributes:
        outcomes: of each draft; None = it is certainly not stored.
        entries: that nobody was told yet, in the order of each channel.
        epochs: of the channels that began with it.
    """

    outcomes: Sequence[Outcome | None]
    entries: Sequence[Entry]
    epochs: dict[str, str]


class Owner(Protocol):
    """Whose drafts they are."""

    def judge(self, batch: list[Pending]) -> Judge:
        """Return who judges a commit; it is asked in another thread."""

    def known(self) -> dict[str, int]:
        """Return the last entry of each channel that was told."""

    def is_named(self, channel: str) -> bool:
        """Say whether the epoch of a channel is known; it is asked in another thread."""

    def stored(self, batch: list[Pending], result: Stored) -> list[Pending]:
        """Take what a commit did; return what shall be tried again."""

    def forgotten(self, pending: Pending) -> None:
        """Take note that a newer frame replaces one that waits."""


class Writer:
    """
    Args:
        owner: is told what became of each draft.

    Attributes:
        trouble: why the disk takes nothing; None = it does.
    """

    log = Logger()

    def __init__(
        self, settings: Signals, journal: Journal, clock: IReactorTime, thread: Thread, owner: Owner
    ) -> None:
        self._settings, self._journal, self._clock = settings, journal, clock
        self._in_thread, self._owner = thread, owner
        self._taken = self._stored = 0
        self._waiting: list[Pending] = []
        self._paused: dict[Publisher, None] = {}
        self._settling: list[tuple[int, Deferred[None]]] = []
        self._running: Deferred[None] | None = None
        self._nap: Deferred[None] | None = None
        self._alarm: IDelayedCall | None = None
        self._closing = False
        self.trouble: str | None = None

    @property
    def waiting(self) -> int:
        """How many drafts wait for the next commit."""
        return len(self._waiting)

    def take(self, pending: Pending) -> None:
        """Take a draft; its publisher is paused while the disk is behind."""
        self._taken += 1
        pending.count = pending.publisher.last = self._taken
        self._waiting.append(pending)
        if self.trouble is not None and len(self._waiting) > 2 * self._settings.backlog:
            self._keep_newest()
        self._pause(pending)
        if self._running is None:
            self._run()

    def settled(self, publisher: Publisher) -> "Deferred[None]":
        """Return what fires once all drafts of a publisher are dealt with."""
        if publisher.last <= self._stored:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._settling.append((publisher.last, done))
        return done

    def left(self, publisher: Publisher) -> None:
        """Forget a connection that is gone; its drafts are stored."""
        self._paused.pop(publisher, None)

    async def close(self) -> list[Pending]:
        """Try once to store what waits; return what could not be."""
        self._closing = True
        self._wake()
        if self._running is None and self._waiting:
            self._run()
        while self._running is not None:
            await self._running
        for _, done in self._settling:
            done.errback(JournalError("The daemon stopped before the disk took the positions."))
        self._settling.clear()
        return self._waiting

    def _run(self) -> None:
        running = Deferred.fromCoroutine(self._work())
        if not running.called:
            self._running = running
            running.addErrback(lambda f: self.log.failure("The journal's work went wrong.", f))
            running.addBoth(self._rest)

    def _rest(self, _: object) -> None:
        self._running = None

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                result = await self._in_thread(self._commit, batch, self._owner.judge(batch))
            except Exception as error:
                if not await self._fail(batch, error):
                    return
            else:
                self._succeed()
                self._deal(batch, result)

    def _commit(self, batch: list[Pending], judge: Judge) -> Stored:
        """Store a batch, in the thread."""
        outcomes = self._journal.commit([pending.draft for pending in batch], judge)
        entries = [outcome for outcome in outcomes if isinstance(outcome, Entry)]
        return Stored(outcomes, entries, self._epochs(entries))

    def _look_again(self, batch: list[Pending]) -> Stored:
        """Find out what came of a commit that failed, in the thread."""
        landed = self._journal.recover(self._owner.known())
        outcomes = self._journal.find([pending.draft for pending in batch])
        if landed:
            outcomes = _landed(batch, outcomes, landed)
        return Stored(outcomes, landed, self._epochs(landed))

    def _epochs(self, entries: Sequence[Entry]) -> dict[str, str]:
        fresh = {entry.channel for entry in entries if not self._owner.is_named(entry.channel)}
        return {name: self._journal.positions(name).epoch for name in fresh}

    def _deal(self, batch: list[Pending], result: Stored) -> None:
        again = self._owner.stored(batch, result)
        self._waiting[:0] = again
        if not again:
            self._settle(batch[-1].count)
        self._resume()

    async def _fail(self, batch: list[Pending], error: Exception) -> bool:
        """Return whether work goes on."""
        self._note(error)
        self._resume()
        rested = False
        while True:
            try:
                result = await self._in_thread(self._look_again, batch)
                break
            except Exception as unsure:
                # Nothing is known, so nobody is answered and nothing is taken until it is.
                self._note(unsure)
                if self._closing:
                    self._waiting[:0] = batch
                    return False
                await self._sleep()
                rested = True
        self._deal(batch, result)
        if not (rested or self._closing):
            await self._sleep()
        self._keep_newest()
        return not self._closing

    def _succeed(self) -> None:
        if self.trouble is not None:
            self.trouble = None
            self.log.info("The journal takes positions again; what it had refused is stored.")

    def _note(self, error: Exception) -> None:
        if not isinstance(error, JournalError):
            self.log.failure("The journal failed in a way that it does not know.", Failure(error))
        if str(error) != self.trouble:
            self.log.error(
                "{trouble} The last position of each symbol is kept and tried again every "
                "{retry} s; followers are told what is stored.",
                trouble=str(error),
                retry=self._settings.retry,
            )
        self.trouble = str(error)

    def _sleep(self) -> "Deferred[None]":
        nap = self._nap = Deferred()
        self._alarm = self._clock.callLater(self._settings.retry, self._wake)
        return nap

    def _wake(self) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        nap, self._nap, self._alarm = self._nap, None, None
        if nap is not None:
            nap.callback(None)

    def _keep_newest(self) -> None:
        """Keep the last frame of each publisher's symbols, and all that can be answered."""
        kept: dict[object, Pending] = {}
        for pending in self._waiting:
            replaced = kept.pop(pending.key, None)
            if replaced is not None:
                self._owner.forgotten(replaced)
            kept[pending.key] = pending
        self._waiting = list(kept.values())

    def _pause(self, pending: Pending) -> None:
        # A published master has only its newest frames kept then, and it cannot wait.
        heard = self.trouble is not None and pending.done is None
        behind = not heard and len(self._waiting) >= self._settings.backlog
        publisher = pending.publisher
        if behind and publisher not in self._paused:
            self._paused[publisher] = None
            publisher.producer.pauseProducing()

    def _resume(self) -> None:
        paused, self._paused = self._paused, {}
        for publisher in paused:
            publisher.producer.resumeProducing()

    def _settle(self, upto: int) -> None:
        self._stored = upto
        ready = [done for last, done in self._settling if last <= upto]
        self._settling = [each for each in self._settling if each[0] > upto]
        for done in ready:
            done.callback(None)


def _landed(
    batch: list[Pending], outcomes: Sequence[Outcome | None], landed: Sequence[Entry]
) -> list[Outcome | None]:
    """
    Say what became of the drafts of a commit that failed and is stored nevertheless, whole.

    Its published frames must not be tried again, over what was set behind them; and whoever
    set an entry is its publisher, as if the commit had not failed.
    """
    new = {(entry.channel, entry.id): entry for entry in landed}
    found: list[Outcome | None] = []
    for pending, outcome in zip(batch, outcomes, strict=True):
        key = pending.draft.channel, pending.draft.id
        if pending.done is None:
            found.append(Unchanged())
        elif isinstance(outcome, Repeated):
            found.append(new.pop(key, outcome))
        else:
            found.append(outcome)
    return found
