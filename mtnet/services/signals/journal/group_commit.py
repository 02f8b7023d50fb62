"""
Group commit: what arrives while a commit is under way is the next one.

What came of a commit that failed is found out before anything else is stored; then it is tried
again, or the draft is found that lets it fail.
"""

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError, NotAskedError, WireError
from mtnet.metrics import Histogram
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.worker import JournalWorker
from mtnet.services.signals.model import Entry, Outcome, entries_of
from mtnet.services.signals.ownership.policy import PublishPolicy, Submission
from mtnet.services.signals.ownership.publishers import Publisher

_log = Logger()
UNSURE = "It is not known whether it is stored; send it again"


class Pending(Submission, eq=False):
    """
    A draft that waits for the disk.

    Attributes:
        done: fires with the seq of its entry; None = the classic dialect has no answers.
        count: of this and all that came before it; 0 = it is one of our own.
        arrived: when it came, seconds of the clock.
    """

    done: "Deferred[int] | None" = None
    count: int = 0
    arrived: float = 0.0

    @property
    def key(self) -> object:
        """Key under which a newer frame of the publisher replaces this one while the disk fails."""
        if self.done is not None:
            return self
        draft = self.draft
        return self.publisher.number, draft.channel, draft.symbol, draft.ticket


class CommitQueue:
    """
    Queue of the drafts that wait for a commit, with back-pressure.

    A commit that fails twice is bisected: its halves are tried one by one, until the draft is
    found that lets each commit fail that it is in. When too many fail before one is stored, it is
    the disk.

    Args:
        backlog: drafts that wait before publishers are paused.

    Attributes:
        closed: nothing more is taken.
        keys: how many drafts of each (channel, symbol) are not dealt with.
        failing: a commit has failed since the last one that was stored.
        trouble: why the disk takes nothing; None = it does.
    """

    def __init__(self, backlog: int) -> None:
        self._backlog = backlog
        self._taken = 0
        self._waiting: list[Pending] = []
        self._batch: list[Pending] = []
        self._parts: list[list[Pending]] = []
        self.keys: dict[tuple[str, str], int] = {}
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
        key = draft.channel, draft.symbol
        self.keys[key] = self.keys.get(key, 0) + 1
        waiting.append(pending)
        if len(waiting) >= self._backlog:
            if self.trouble is not None and len(waiting) > 2 * self._backlog:
                self.keep_newest()
            self._pause(pending)

    def add_first(self, pendings: list[Pending]) -> None:
        """Add drafts of our own, to be judged before all that wait."""
        for pending in pendings:
            key = pending.draft.channel, pending.draft.symbol
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
        key = pending.draft.channel, pending.draft.symbol
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

    def abandon(self, error: WireError) -> None:
        """Refuse the drafts of the commit under way that are not answered."""
        for pending in self._batch:
            with _log.failuresHandled("A publisher failed at its answer."):
                if pending.done is None:
                    pending.publisher.refuse(error)
                elif not pending.done.called:
                    pending.done.errback(error)
        left = chain(self._waiting, *self._parts)
        self.keys = dict(Counter((each.draft.channel, each.draft.symbol) for each in left))

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


class Stored(Struct, frozen=True):
    """
    Result of a commit.

    Attributes:
        outcomes: of each draft; None = it is certainly not stored.
        entries: not sent to followers yet, in the order of each channel.
        epochs: of the channels that began with it.
        full: channels in which something was refused for want of room.
    """

    outcomes: Sequence[Outcome | None]
    entries: Sequence[Entry] = ()
    epochs: Mapping[str, str] = {}
    full: Collection[str] = ()

    @classmethod
    def refused(cls, why: str) -> "Stored":
        """Return the result of one draft that is not stored."""
        return cls([WireError("server", why)])


class Commit(Struct, frozen=True):
    """
    One commit; blocking, for the thread of the journal.

    Attributes:
        policy: judges its drafts, which it has.
    """

    journal: Journal
    policy: PublishPolicy

    def store(self) -> Stored:
        """
        Store the drafts, all that are accepted or, when this raises, none that is known of.

        Raises:
            JournalError: as `Journal.commit`.
        """
        outcomes = self.journal.commit(self.policy.drafts, self.policy)
        self.policy.finish()
        entries: list[Entry] = []
        begins = False
        for outcome in outcomes:
            if type(outcome) is Entry:
                entries.append(outcome)
                begins = begins or outcome.seq == 1
            else:
                entries += (found := entries_of(outcome))
                begins = begins or (bool(found) and found[0].seq == 1)
        entries += self.journal.derived
        epochs = self._epochs(entries) if begins else {}
        return Stored(outcomes, entries, epochs, self.policy.full)

    def recover(self, known: Mapping[str, int]) -> Stored:
        """
        Find out what came of it, since it failed.

        Args:
            known: the last entry of each channel that was sent to followers.

        Raises:
            JournalError: the disk does not say.
        """
        drafts, landed = self.policy.drafts, self.journal.recover(known)
        outcomes: Sequence[Outcome | None] = self.journal.attempted
        if not landed or len(outcomes) != len(drafts):
            outcomes = self.journal.find(drafts)
        if landed:
            self.policy.finish()
        return Stored(outcomes, landed, self._epochs(landed), self.policy.full)

    def _epochs(self, entries: Sequence[Entry]) -> dict[str, str]:
        epochs = {}
        for entry in entries:
            if entry.seq == 1:
                epochs[entry.channel] = self.journal.positions(entry.channel).epoch
        return epochs


T = TypeVar("T")
Deliver = Callable[[list[Pending], Stored], list[Pending]]
"""Answers the publishers of a commit and sends its entries; returns the drafts to try again."""


class GroupCommit:
    """
    Group commit: one commit after the other, as long as drafts wait.

    Args:
        backlog: drafts that wait before publishers are paused.
        begin: returns the commit of some drafts, at a time in seconds of the clock.
        sent: returns the number of the last entry of each channel that was sent to followers.

    Attributes:
        queue: the drafts that wait.
        commit_seconds: how long each commit took, in the thread and before it.
        publish_seconds: from the arrival of each draft until its entry was written to the sockets
            of its followers, or of the first of very many.
    """

    log = Logger()

    def __init__(
        self,
        backlog: int,
        worker: JournalWorker,
        begin: Callable[[Sequence[Pending], float], Commit],
        clock: IReactorTime,
        deliver: Deliver,
        sent: Callable[[], Mapping[str, int]],
    ) -> None:
        self.queue = CommitQueue(backlog)
        self._worker, self._begin, self._clock = worker, begin, clock
        self._deliver, self._sent = deliver, sent
        self._busy = False
        self._idle: Deferred[None] | None = None
        self.commit_seconds, self.publish_seconds = Histogram(), Histogram()

    def add(self, pending: Pending) -> None:
        """Store a draft."""
        pending.arrived = self._clock.seconds()
        self.queue.add(pending)
        if not self._busy:
            self._commit()

    def add_first(self, pendings: list[Pending]) -> None:
        """Store drafts of our own before all that wait."""
        for pending in pendings:
            pending.arrived = self._clock.seconds()
        self.queue.add_first(pendings)
        if not self._busy:
            self._commit()

    def is_busy(self) -> bool:
        """Return whether drafts are stored now."""
        return self._busy

    def probe(self) -> None:
        """Find out whether the disk takes again what it refused, if nothing waits that would."""
        if self.queue.trouble is not None and not (self._busy or self.queue.closed):
            self._run(self._commit_nothing())

    def repair(self, failure: Failure) -> None:
        """Find out what came of a call of the journal that failed and is no commit."""
        error, idle = failure.value, not (self._busy or self.queue.closed)
        if idle and self._worker.journal.needs_recovery and isinstance(error, Exception):
            self._run(self._mend(error))

    def ask(self, function: Callable[..., T], *args: object, later: bool = False) -> "Deferred[T]":
        """Call the journal, for anything but a commit; what fails there is repaired at once."""
        return self._worker.ask(function, *args, later=later).addErrback(self._ask_failed)

    def _ask_failed(self, failure: Failure) -> Failure:
        self.repair(failure)
        return failure

    async def close(self) -> list[Pending]:
        """Store what waits, once; return what could not be stored. Nothing is taken any more."""
        self.queue.closed = True
        self._worker.wake()
        self.add_first([])
        while self._busy:
            self._idle = Deferred()
            await self._idle
        self.queue.fail_waiting()
        return self.queue.next()

    # A coroutine for each commit would cost as much as a tenth of all that a signal costs before
    # the disk: only what follows a failure is one.

    def _commit(self) -> None:
        """Begin the next commit, if drafts wait."""
        batch = self.queue.next()
        self._busy = bool(batch)
        if not batch:
            self._rest()
            return
        began = self._clock.seconds()
        try:
            commit = self._begin(batch, began)
            self._worker.in_thread(commit.store).addCallbacks(
                self._stored, self._not_stored, (batch, began), {}, (batch, commit)
            )
        except Exception:
            self._fail(Failure())

    def _stored(self, stored: Stored, batch: list[Pending], began: float) -> None:
        """Answer and send what a commit has stored, and go on."""
        queue = self.queue
        try:
            self.commit_seconds.observe(self._clock.seconds() - began)
            if queue.failing and queue.succeed():
                self._log_recovery()
            more = queue.finish(self._deliver(batch, stored))
            now = self._clock.seconds()
            for pending in batch:
                self.publish_seconds.observe(now - pending.arrived)
        except Exception:
            self._fail(Failure())
            return
        if more:
            self._commit()
        else:
            self._rest()

    def _not_stored(self, failure: Failure, batch: list[Pending], commit: Commit) -> None:
        error = failure.value
        if isinstance(error, Exception):
            self._run(self._recover(batch, commit, error))
        else:
            self._fail(failure)

    def _run(self, work: Coroutine[Any, Any, bool]) -> None:
        """Do work of the journal that is no usual commit; it returns whether drafts may go on."""
        self._busy = True
        Deferred.fromCoroutine(work).addCallbacks(self._after, self._fail)

    def _after(self, goes_on: bool) -> None:
        if goes_on:
            self._commit()
        else:
            self._rest()

    def _fail(self, failure: Failure) -> None:
        """Log what none of this knows, answer the commit under way, and go on."""
        self.log.failure("The journal's work went wrong.", failure)
        self.queue.abandon(WireError("server", UNSURE))
        self._after(self.queue.finish([]))

    def _rest(self) -> None:
        self._busy = False
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    async def _commit_nothing(self) -> bool:
        commit = self._begin([], self._clock.seconds())
        try:
            await self._worker.in_thread(commit.store)
        except Exception as error:
            await self._recover([], commit, error)
        else:
            self._note_recovery()
        return True

    async def _mend(self, error: Exception) -> bool:
        # Seen from the reactor, a call that is under way looks like one that has failed.
        if not await self._worker.needs_recovery():
            return True
        goes_on = await self._recover([], self._begin([], self._clock.seconds()), error)
        if goes_on:
            self._note_recovery()
        return goes_on

    async def _recover(self, batch: list[Pending], commit: Commit, error: Exception) -> bool:
        """Find out what came of a commit that failed; return whether work goes on."""
        queue, asked = self.queue, not isinstance(error, NotAskedError)
        queue.fail()
        self._note_trouble(error)
        queue.resume()
        stored, rested = Stored([None] * len(batch)), False
        while asked:
            try:
                stored = await self._worker.in_thread(commit.recover, self._sent())
                break
            except Exception as unsure:
                # Nothing is known, so nobody is answered and nothing is taken until it is.
                self._note_trouble(unsure)
                if queue.closed:
                    queue.put_back()
                    return False
                await self._worker.sleep()
                rested = True
        lost = not stored.entries and not any(stored.outcomes)
        if lost and asked and self._bisect(batch, error):
            return True
        if lost:
            batch = [*batch, *queue.take_parts()]
            stored = Stored([None] * len(batch))
        queue.give_up()
        queue.finish(self._deliver(batch, stored))
        if not (rested or queue.closed):
            await self._worker.sleep()
        queue.keep_newest()
        return not queue.closed

    def _bisect(self, batch: list[Pending], error: Exception) -> bool:
        """Find the draft that lets commits fail; return whether that goes on."""
        if self.queue.closed or not self.queue.is_isolated(batch):
            return self.queue.split(batch)
        why = f"It is not stored: it alone lets every commit fail that it is in: {error}"
        self.queue.finish(self._deliver(batch, Stored.refused(why)))
        if not self.queue.splitting:
            self._note_recovery()
        return True

    def _note_trouble(self, error: Exception) -> None:
        self._worker.log_trouble(error, self.queue.trouble)
        self.queue.trouble = str(error)

    def _note_recovery(self) -> None:
        if self.queue.recovered():
            self._log_recovery()

    def _log_recovery(self) -> None:
        self.log.info("The journal takes positions again; what it had refused is stored.")
