"""
Commit loop: takes drafts from the queue to the journal, one commit at a time.

What came of a commit that failed is found out before anything else is stored; then it is tried
again, or the draft is found that lets it fail.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import NotAskedError
from mtnet.metrics import Histogram
from mtnet.services.signals.journal.group_commit import GroupCommit, Pending
from mtnet.services.signals.journal.worker import JournalWorker, Stored
from mtnet.services.signals.ownership.policy import PublishPolicy
from mtnet.services.signals.ownership.publish_rules import PublishRules

Deliver = Callable[[list[Pending], Stored, PublishPolicy], list[Pending]]
"""Answers the publishers of a commit and sends its entries; returns the drafts to try again."""


class CommitLoop:
    """
    Runs one commit after the other, as long as drafts wait.

    Args:
        rules: judges each commit.
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
        queue: GroupCommit,
        worker: JournalWorker,
        rules: PublishRules,
        clock: IReactorTime,
        deliver: Deliver,
        sent: Callable[[], Mapping[str, int]],
    ) -> None:
        self.queue, self._worker, self._rules, self._clock = queue, worker, rules, clock
        self._deliver, self._sent = deliver, sent
        self._busy = False
        self._idle: Deferred[None] | None = None
        self.commit_seconds, self.publish_seconds = Histogram(), Histogram()

    def add(self, pending: Pending) -> None:
        """Store a draft."""
        pending.arrived = self._clock.seconds()
        self.queue.add(pending)
        if not self._busy:
            self._run(self._commit_all())

    def add_first(self, pendings: list[Pending]) -> None:
        """Store drafts of our own before all that wait."""
        for pending in pendings:
            pending.arrived = self._clock.seconds()
        self.queue.add_first(pendings)
        if not self._busy:
            self._run(self._commit_all())

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

    def ask(
        self, function: Callable[..., Any], *args: object, later: bool = False
    ) -> "Deferred[Any]":
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

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._busy = True
        Deferred.fromCoroutine(work).addBoth(self._rest)

    def _rest(self, result: object) -> None:
        if isinstance(result, Failure):
            self.log.failure("The journal's work went wrong.", result)
        self._busy = False
        if self._idle is not None:
            idle, self._idle = self._idle, None
            idle.callback(None)

    def _policy(self, batch: list[Pending]) -> PublishPolicy:
        return self._rules.policy(batch, self._clock.seconds())

    async def _commit_all(self) -> None:
        queue = self.queue
        while batch := queue.next():
            began = self._clock.seconds()
            policy = self._rules.policy(batch, began)
            try:
                stored = await self._worker.commit(policy)
            except Exception as error:
                if not await self._recover(batch, policy, error):
                    return
            else:
                self.commit_seconds.observe(self._clock.seconds() - began)
                if queue.failing and queue.succeed():
                    self._log_recovery()
                more = queue.finish(self._deliver(batch, stored, policy))
                now = self._clock.seconds()
                for pending in batch:
                    self.publish_seconds.observe(now - pending.arrived)
                if not more:
                    return

    async def _commit_nothing(self) -> None:
        policy = self._policy([])
        try:
            await self._worker.commit(policy)
        except Exception as error:
            await self._recover([], policy, error)
        else:
            self._note_recovery()
        await self._commit_all()

    async def _mend(self, error: Exception) -> None:
        if await self._recover([], self._policy([]), error):
            self._note_recovery()
            await self._commit_all()

    async def _recover(self, batch: list[Pending], policy: PublishPolicy, error: Exception) -> bool:
        """Find out what came of a commit that failed; return whether work goes on."""
        queue, asked = self.queue, not isinstance(error, NotAskedError)
        queue.fail()
        self._note_trouble(error)
        queue.resume()
        stored, rested = Stored([None] * len(batch)), False
        while asked:
            try:
                stored = await self._worker.recover(policy, self._sent())
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
        if lost and asked and self._bisect(batch, policy, error):
            return True
        if lost:
            batch = [*batch, *queue.take_parts()]
            stored = Stored([None] * len(batch))
        queue.give_up()
        queue.finish(self._deliver(batch, stored, policy))
        if not (rested or queue.closed):
            await self._worker.sleep()
        queue.keep_newest()
        return not queue.closed

    def _bisect(self, batch: list[Pending], policy: PublishPolicy, error: Exception) -> bool:
        """Find the draft that lets commits fail; return whether that goes on."""
        if self.queue.closed or not self.queue.is_isolated(batch):
            return self.queue.split(batch)
        why = f"It is not stored: it alone lets every commit fail that it is in: {error}"
        self.queue.finish(self._deliver(batch, Stored.refused(why), policy))
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
