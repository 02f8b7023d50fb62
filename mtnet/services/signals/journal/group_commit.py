"""
Brings drafts to the disk, off the reactor, and says what became of each.

One commit is under way at a time; what arrives meanwhile is the next one. After a failure the
journal is asked what came of the commit, and nobody is answered before that is known.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError, NotAskedError, WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry, Outcome, entries_of
from mtnet.services.signals.publishers import Publisher
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.transitions import CommitPolicy
from mtnet.services.signals.values import Take

Thread = Callable[..., "Deferred[Any]"]
"""Runs a blocking function off the reactor, one at a time, in order."""


class Pending:
    """
    A draft that waits for the disk.

    Attributes:
        count: of this and all that came before it.
        done: fires with the seq of its entry; None = nobody can be told (the classic dialect).
        take: whether it takes its channel over; None = it does.
        owed: the reduction that a frozen channel refused, and that this is.
    """

    def __init__(
        self,
        draft: Entry,
        publisher: Publisher,
        done: "Deferred[int] | None" = None,
        take: Take | None = None,
        owed: Entry | None = None,
    ) -> None:
        self.draft, self.publisher, self.done = draft, publisher, done
        self.take, self.owed = take, owed
        self.count = 0

    @property
    def key(self) -> object:
        """What a newer frame of the same publisher replaces while the disk refuses."""
        if self.done is not None:
            return self
        draft = self.draft
        return self.publisher.number, draft.channel, draft.symbol, draft.ticket


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

    def judge(self, batch: list[Pending]) -> CommitPolicy:
        """Return who judges a commit; it is asked in another thread."""

    def committed(self) -> None:
        """Keep what else a commit that is stored has changed; called in another thread."""

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
        self,
        settings: SignalSettings,
        journal: Journal,
        clock: IReactorTime,
        thread: Thread,
        owner: Owner,
    ) -> None:
        self._settings, self._journal, self._clock = settings, journal, clock
        self._in_thread, self._owner = thread, owner
        self._taken = self._stored = 0
        self._waiting: list[Pending] = []
        self._paused: dict[Publisher, None] = {}
        self._settling: list[tuple[int, Deferred[None]]] = []
        self._parts: list[list[Pending]] = []
        self._failures = self._patience = self._hope = self._under_way = 0
        self._proven = False
        self._running: Deferred[None] | None = None
        self._nap: Deferred[None] | None = None
        self._alarm: IDelayedCall | None = None
        self._busy = self._closing = False
        self.trouble: str | None = None

    @property
    def waiting(self) -> int:
        """How many drafts are not dealt with, the commit under way included."""
        return len(self._waiting) + self._under_way + sum(map(len, self._parts))

    def take(self, pending: Pending) -> None:
        """Take a draft; its publisher is paused while the disk is behind."""
        self._taken += 1
        pending.count = pending.publisher.last = self._taken
        self._waiting.append(pending)
        if self.trouble is not None and len(self._waiting) > 2 * self._settings.backlog:
            self._keep_newest()
        self._pause(pending)
        self._go_on()

    def repair(self, error: Exception) -> None:
        """Find out what came of a call of the journal that failed and is no commit."""
        if not self._busy and self._journal.unsettled and not self._closing:
            self._run(self._mend(error))

    def probe(self) -> None:
        """Find out, while nothing waits that would, whether the disk takes what it refused."""
        if self.trouble is not None and not (self._busy or self._waiting or self._closing):
            self._run(self._commit_nothing())

    def take_first(self, pendings: Sequence[Pending]) -> None:
        """Take drafts of our own, to be judged before all that wait."""
        if pendings:
            self._waiting[:0] = pendings
            self._go_on()

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
        self._go_on()
        while self._running is not None:
            await self._running
        for _, done in self._settling:
            done.errback(JournalError("The daemon stopped before the disk took the positions."))
        self._settling.clear()
        return self._waiting

    def _go_on(self) -> None:
        if not self._busy and self._waiting:
            self._run(self._work())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        running = Deferred.fromCoroutine(work)
        running.addErrback(lambda f: self.log.failure("The journal's work went wrong.", f))
        if not running.called:
            self._running = running
        running.addBoth(self._rest)

    def _rest(self, _: object) -> None:
        self._busy, self._running = False, None

    async def _mend(self, error: Exception) -> None:
        if await self._fail([], error):
            self._succeed()
            await self._work()

    async def _commit_nothing(self) -> None:
        try:
            await self._in_thread(self._commit, [], self._owner.judge([]))
        except Exception as error:
            await self._fail([], error)
        else:
            self._succeed()
        await self._work()

    async def _work(self) -> None:
        while batch := self._next():
            try:
                result = await self._in_thread(self._commit, batch, self._owner.judge(batch))
            except Exception as error:
                if not await self._fail(batch, error):
                    return
            else:
                self._proven, self._hope = True, self._patience
                if not self._parts:
                    self._succeed()
                self._deal(batch, result)

    def _next(self) -> list[Pending]:
        if self._parts:
            batch = self._parts.pop(0)
        else:
            batch, self._waiting = self._waiting, []
        self._under_way = len(batch)
        return batch

    def _commit(self, batch: list[Pending], judge: CommitPolicy) -> Stored:
        """Store a batch, in the thread."""
        outcomes = self._journal.commit([pending.draft for pending in batch], judge)
        entries = [entry for outcome in outcomes for entry in entries_of(outcome)]
        self._owner.committed()
        return Stored(outcomes, entries, self._epochs(entries))

    def _look_again(self, batch: list[Pending], known: Mapping[str, int]) -> Stored:
        """Find out what came of a commit that failed, in the thread."""
        landed = self._journal.recover(known)
        outcomes: Sequence[Outcome | None] = self._journal.attempted
        if not landed or len(outcomes) != len(batch):
            outcomes = self._journal.find([pending.draft for pending in batch])
        if landed:
            self._owner.committed()
        return Stored(outcomes, landed, self._epochs(landed))

    def _epochs(self, entries: Sequence[Entry]) -> dict[str, str]:
        fresh = {entry.channel for entry in entries if not self._owner.is_named(entry.channel)}
        return {name: self._journal.positions(name).epoch for name in fresh}

    def _deal(self, batch: list[Pending], result: Stored) -> None:
        self._under_way = 0
        again = self._owner.stored(batch, result)
        self._waiting[:0] = again
        if batch and not again:
            last = max(pending.count for pending in batch)
            left = (pending.count for pending in self._waiting if pending.count)
            self._settle(min(last, min(left, default=last + 1) - 1))
        self._resume()

    async def _fail(self, batch: list[Pending], error: Exception) -> bool:
        """Return whether work goes on."""
        self._failures += not self._patience
        self._note(error)
        self._resume()
        result, rested = Stored([None] * len(batch), (), {}), False
        while not isinstance(error, NotAskedError):
            try:
                result = await self._in_thread(self._look_again, batch, self._owner.known())
                break
            except Exception as unsure:
                # Nothing is known, so nobody is answered and nothing is taken until it is.
                self._note(unsure)
                if self._closing:
                    self._return(batch)
                    return False
                await self._sleep()
                rested = True
        lost = not result.entries and not any(result.outcomes)
        if lost and not isinstance(error, NotAskedError) and self._split(batch, error):
            return True
        if lost:
            batch = [*batch, *(pending for part in self._parts for pending in part)]
            result, self._parts = Stored([None] * len(batch), (), {}), []
        self._patience = 0
        self._deal(batch, result)
        if not (rested or self._closing):
            await self._sleep()
        self._keep_newest()
        return not self._closing

    def _return(self, batch: list[Pending]) -> None:
        """Keep a batch of which nothing is known, and what was split off it."""
        self._waiting[:0] = [*batch, *(pending for part in self._parts for pending in part)]
        self._under_way, self._parts = 0, []

    def _split(self, batch: list[Pending], error: Exception) -> bool:
        """
        Find the draft that lets each commit fail which it is in; return whether that goes on.

        The halves of a batch are tried one by one. When too many fail before one is stored, it
        is the disk: then all that is left is dealt with as one.
        """
        if self._closing or not batch:
            return False
        if not self._patience:
            # From the second failure in a row on, and then more and more seldom.
            if len(batch) == 1 or self._failures < 2 or self._failures & (self._failures - 1):
                return False
            self._patience = self._hope = len(batch).bit_length() + 2
            self._proven = False
        if len(batch) == 1 and self._proven:
            why = f"It is not stored: it alone lets every commit fail that it is in: {error}"
            self._deal(batch, Stored([WireError("server", why)], (), {}))
            if not self._parts:
                self._succeed()
            return True
        self._hope -= 1
        if self._hope > 0:
            self._parts[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            if len(batch) == 1:
                self._defer(batch[0])
        return self._hope > 0

    def _defer(self, suspect: Pending) -> None:
        """Try a draft behind those that may prove its guilt, but before newer ones of a symbol."""
        key = suspect.draft.channel, suspect.draft.symbol
        rest = [pending for part in self._parts for pending in part]
        alike = [p for p in rest if (p.draft.channel, p.draft.symbol) == key]
        others = [p for p in rest if (p.draft.channel, p.draft.symbol) != key]
        self._parts = [part for part in (others, alike) if part]

    def _succeed(self) -> None:
        self._failures = self._patience = 0
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
        # A classic master has only its newest frames kept then, and it cannot wait.
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
        self._stored = max(self._stored, upto)
        ready = [done for last, done in self._settling if last <= upto]
        self._settling = [each for each in self._settling if each[0] > upto]
        for done in ready:
            done.callback(None)
