"""
Group commit: what arrives while a commit is under way is the next one.

The queue of drafts, and what is tried after a failure. No Twisted but for Deferreds, no clock.
"""

from itertools import chain

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed

from mtnet.errors import JournalError
from mtnet.services.signals.model import Entry
from mtnet.services.signals.ownership.publishers import Publisher, SymbolKey
from mtnet.services.signals.values import Take


class Pending(Struct, eq=False):
    """
    A draft that waits for the disk.

    Attributes:
        done: fires with the seq of its entry; None = the classic dialect has no answers.
        take: whether it takes its channel over; None = it does.
        refused_reduction: the draft is this reduction, which a frozen channel refused.
        count: of this and all that came before it; 0 = it is one of our own.
        arrived: when it came, seconds of the clock.
    """

    draft: Entry
    publisher: Publisher
    done: "Deferred[int] | None" = None
    take: Take | None = None
    refused_reduction: Entry | None = None
    count: int = 0
    arrived: float = 0.0

    @property
    def key(self) -> object:
        """Key under which a newer frame of the publisher replaces this one while the disk fails."""
        if self.done is not None:
            return self
        draft = self.draft
        return self.publisher.number, draft.channel, draft.symbol, draft.ticket


class GroupCommit:
    """
    Group commit queue with back-pressure.

    A commit that fails twice is bisected: its halves are tried one by one, until the draft is
    found that lets each commit fail that it is in. When too many fail before one is stored, it is
    the disk.

    Args:
        backlog: drafts that wait before publishers are paused.

    Attributes:
        closed: nothing more is taken.
        keys: how many drafts of each symbol are not dealt with.
        failing: a commit has failed since the last one that was stored.
        trouble: why the disk takes nothing; None = it does.
    """

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._taken = 0
        self._waiting: list[Pending] = []
        self._batch: list[Pending] = []
        self._parts: list[list[Pending]] = []
        self.keys: dict[SymbolKey, int] = {}
        self._paused: dict[Publisher, None] = {}
        self._waiters: list[tuple[int, Deferred[None]]] = []
        self._failures = self._patience = self._hope = 0
        self._proven = False
        self.closed = self.failing = False
        self.trouble: str | None = None

    def __len__(self) -> int:
        """Return how many drafts are not dealt with, the commit under way included."""
        return len(self._waiting) + len(self._batch) + sum(map(len, self._parts))

    @property
    def splitting(self) -> bool:
        """Whether parts of a batch that was split wait to be tried."""
        return bool(self._parts)

    # What comes in

    def add(self, pending: Pending) -> None:
        """Add a draft; its publisher is paused while the disk is behind."""
        self._taken += 1
        pending.count = pending.publisher.last = self._taken
        draft, waiting = pending.draft, self._waiting
        key = SymbolKey(draft.channel, draft.symbol)
        self.keys[key] = self.keys.get(key, 0) + 1
        waiting.append(pending)
        if len(waiting) >= self._backlog:
            if self.trouble is not None and len(waiting) > 2 * self._backlog:
                self.keep_newest()
            self._pause(pending)

    def add_first(self, pendings: list[Pending]) -> None:
        """Add drafts of our own, to be judged before all that wait."""
        for pending in pendings:
            key = SymbolKey(pending.draft.channel, pending.draft.symbol)
            self.keys[key] = self.keys.get(key, 0) + 1
        self._waiting[:0] = pendings

    def _pause(self, pending: Pending) -> None:
        # A classic master has only its newest frames kept then, and it cannot wait.
        exempt = self.trouble is not None and pending.done is None
        publisher = pending.publisher
        if not exempt and len(self._waiting) >= self._backlog and publisher not in self._paused:
            self._paused[publisher] = None
            publisher.producer.pauseProducing()

    def resume(self) -> None:
        """Resume the publishers that were paused."""
        paused, self._paused = self._paused, {}
        for publisher in paused:
            publisher.producer.resumeProducing()

    def forget(self, publisher: Publisher) -> None:
        """Forget a connection that is gone; its drafts are stored."""
        self._paused.pop(publisher, None)

    def keep_newest(self) -> None:
        """Keep the last frame of each publisher's symbols, and all that can be answered."""
        kept: dict[object, Pending] = {}
        for pending in self._waiting:
            key = pending.key
            replaced = kept.pop(key, None)
            if replaced is not None:
                self.answered(replaced)
            kept[key] = pending
        self._waiting = list(kept.values())

    # What goes out

    def next(self) -> list[Pending]:
        """Return the drafts of the next commit; none when none wait."""
        if self._parts:
            self._batch = self._parts.pop(0)
        else:
            self._batch, self._waiting = self._waiting, []
        return self._batch

    def answered(self, pending: Pending) -> None:
        """A draft is dealt with."""
        key = SymbolKey(pending.draft.channel, pending.draft.symbol)
        left = self.keys[key] - 1
        if left:
            self.keys[key] = left
        else:
            del self.keys[key]

    def finish(self, again: list[Pending]) -> bool:
        """End the commit under way; `again` is tried again. Return whether drafts wait."""
        self._batch = []
        if again:
            self._waiting[:0] = again
        if self._waiters:
            self._notify_waiters()
        if self._paused:
            self.resume()
        return bool(self._waiting or self._parts)

    def put_back(self) -> None:
        """Nothing is known of the commit under way: keep it, and what was split off it."""
        self._waiting[:0] = [*self._batch, *self.take_parts()]
        self._batch = []

    def take_parts(self) -> list[Pending]:
        """Return what was split off, and is not tried any more."""
        parts, self._parts = self._parts, []
        return [pending for part in parts for pending in part]

    # What is tried after a failure

    def succeed(self) -> bool:
        """A commit is stored behind one that failed; return whether that ends a trouble."""
        self._proven, self._hope = True, self._patience
        return not self._parts and self.recovered()

    def recovered(self) -> bool:
        """The disk takes drafts; return whether that ends a trouble."""
        self._failures = self._patience = 0
        self.failing = False
        ended, self.trouble = self.trouble is not None, None
        return ended

    def fail(self) -> None:
        """A commit has failed."""
        self.failing = True
        self._failures += not self._patience

    def give_up(self) -> None:
        """It is the disk, and no draft."""
        self._patience = 0

    def is_isolated(self, batch: list[Pending]) -> bool:
        """Return whether it is proven that a batch is the one draft that lets commits fail."""
        return bool(self._patience and self._proven) and len(batch) == 1

    def split(self, batch: list[Pending]) -> bool:
        """Bisect a batch whose commit has failed; return whether that goes on."""
        if self.closed or not batch:
            return False
        if not self._patience:
            # From the second failure in a row on, and then more and more seldom.
            if len(batch) == 1 or self._failures < 2 or self._failures & (self._failures - 1):
                return False
            self._patience = self._hope = len(batch).bit_length() + 2
            self._proven = False
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

    # Publishers that wait until all is stored

    def when_processed(self, publisher: Publisher) -> "Deferred[None]":
        """Return what fires once all drafts of a publisher are dealt with."""
        if publisher.last <= self._last_dealt_with():
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiters.append((publisher.last, done))
        return done

    def fail_waiting(self) -> None:
        """The daemon stops: what waits is not stored."""
        waiters, self._waiters = self._waiters, []
        for _, done in waiters:
            done.errback(JournalError("The daemon stopped before the disk took the positions."))

    def _notify_waiters(self) -> None:
        upto = self._last_dealt_with()
        ready = [done for last, done in self._waiters if last <= upto]
        self._waiters = [each for each in self._waiters if each[0] > upto]
        for done in ready:
            done.callback(None)

    def _last_dealt_with(self) -> int:
        """Return the count up to which every draft is dealt with."""
        drafts = chain(self._batch, self._waiting, *self._parts)
        counts = (pending.count for pending in drafts if pending.count)
        return min(counts, default=self._taken + 1) - 1
