"""The service: jobs from those who offer them to workers, and their results back."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError, WireError
from mtnet.services.jobs import changes
from mtnet.services.jobs.book import Job, JobBook, Lease, Worker
from mtnet.services.jobs.changes import Change, Removal
from mtnet.services.jobs.feeds import Feed
from mtnet.services.jobs.settings import JobSettings
from mtnet.services.jobs.store import JobStore
from mtnet.services.jobs.wire import Ended, Offer, Offered
from mtnet.storage.group_commit import GroupCommit
from mtnet.storage.worker import InThread

CHUNK = 200
"""Ended jobs that one transaction removes: a few milliseconds, for which others wait."""
T = TypeVar("T")


class JobService:
    """
    Durable job queue: leases, replicas, and results by number.

    Args:
        in_thread: runs a blocking function off the reactor.
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        settings: `[jobs]`.
        commits: writes changes.
        epoch: names the numbers of results.
        feeds: results by queue.
        counts: `offered`, `done`, `dead` and `late`, since the start of the daemon.
        kept: ended jobs on disk.
    """

    log = Logger()

    def __init__(
        self,
        settings: JobSettings,
        store: JobStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self.settings, self._clock, self._now = settings, clock, now
        self._store, self._in_thread = store, in_thread
        self.commits: GroupCommit[Change, Any] = GroupCommit(store.apply, store.close, in_thread)
        self.book = JobBook(settings)
        self.feeds: dict[str, Feed] = {}
        self.epoch, self.kept = "", 0
        self.counts: Counter[str] = Counter()
        self._storing: Counter[str] = Counter()
        self._changed: dict[str, None] = {}

    def load(self) -> None:
        """
        Take what is on disk; blocking.

        Raises:
            JournalError: it cannot be read.
        """
        store = self._store
        self.epoch, self.kept = store.epoch(), store.count()
        for queue, numbers in store.queues().items():
            self.feeds[queue] = Feed(queue, numbers.ended)
        for job in store.open_jobs():
            self.book.add(job)

    def read(self, query: Callable[[JobStore], T]) -> "Deferred[T]":
        """Ask the store, behind the present write; fails with `JournalError`."""
        return self._in_thread(query, self._store)

    def usage(self) -> dict[str, object]:
        """Return how much there is, for `mtnet status`."""
        return {
            "queues": len(self.book.queues),
            "open": self.book.count,
            "running": self.book.running,
            "workers": self.book.workers,
            "kept": self.kept,
            **{each: self.counts[each] for each in ("offered", "done", "dead", "late")},
        }

    # Those who offer

    def offer(self, asked: Offer) -> "Deferred[Offered]":
        """
        Store a job.

        Returns:
            A Deferred that fires once it is on disk. It fails with `JournalError`, or with
            `WireError` when the id has other data.

        Raises:
            PolicyError: there is too much.
        """
        size, now = len(asked.data), self._now()
        self.book.check(asked.queue, self._storing["count"], self._storing["size"] + size)
        self._storing.update({"count": 1, "size": size})
        deadline = now + asked.timeout * 1_000
        change = changes.NewJob(
            asked.queue, asked.id, asked.data, asked.replicas, asked.tries, now, deadline
        )
        done = self.commits.put(change)
        done.addBoth(self._stored, size)
        return done.addCallback(self._offered, asked)

    def _stored(self, result: T, size: int) -> T:
        self._storing.subtract({"count": 1, "size": size})
        return result

    def _offered(self, found: tuple[Job | None, int | None], asked: Offer) -> Offered:
        job, ended = found
        if job is None:
            text = f"{asked.queue} has a job {asked.id} with other data: offer this one by another"
            raise WireError("id", f"{text} id")
        if ended is None and self.book.find(job.queue, job.id) is None:
            self.counts["offered"] += 1
            self._add(job)
        return Offered(job.queue, job.id, job.seq)

    def _add(self, job: Job) -> None:
        self.book.add(job)
        self._note_change(job.queue)

    def feed(self, queue: str) -> Feed:
        """Return the results of a queue."""
        feed = self.feeds.get(queue)
        if feed is None:
            feed = self.feeds[queue] = Feed(queue, 0)
        return feed

    # Workers

    def join(self, worker: Worker) -> None:
        """Give tasks to a worker from now on."""
        self.book.join(worker)
        self._assign(worker.queue)

    def resize(self, worker: Worker, slots: int) -> None:
        """Give a worker more or fewer tasks at once."""
        self.book.resize(worker, slots)
        self._assign(worker.queue)

    def leave(self, worker: Worker, orderly: bool) -> None:
        """
        Give the tasks of a worker to others at once.

        Args:
            orderly: it has said so: this is no failed try of its jobs.
        """
        for job in self.book.leave(worker):
            if not orderly:
                self._count_failure(job, "left", worker.name).addErrback(self._kept)
        self._assign(worker.queue)

    def renew(self, worker: Worker, id: str) -> bool:
        """Let a task go on; return whether the worker still has it."""
        held = self.book.renew(worker, id, self._clock.seconds())
        if not held:
            self._assign(worker.queue)
        return held

    def result(self, worker: Worker, id: str, data: str) -> "Deferred[bool]":
        """
        Take the result of a task.

        Returns:
            A Deferred that fires, once it is on disk, with whether it counts: the worker had the
            task. It fails with `JournalError`; the job waits again then.
        """
        lease = self.book.release(worker, id)
        if lease is None:
            return self._late(worker)
        job = lease.job
        self.book.answer(lease, data)
        if job.agreed is not None:
            done = self._end(job, False, job.agreed, worker.name, self._took(lease))
        elif job.differs:
            done = self._end(job, True, "differ", worker.name, self._took(lease))
        else:
            done = self.commits.put(changes.NewAnswer(job.queue, id, worker.name, data))
        done.addErrback(self._not_answered, lease)
        self._assign(worker.queue)
        return done.addCallback(lambda _: True)

    def fail(self, worker: Worker, id: str, reason: str) -> "Deferred[bool]":
        """Take that a worker has failed; as `result`."""
        lease = self.book.release(worker, id)
        if lease is None:
            return self._late(worker)
        self.book.wait_last(lease.job)
        done = self._count_failure(lease.job, reason, worker.name, self._took(lease))
        self._assign(worker.queue)
        return done.addCallback(lambda _: True)

    def _late(self, worker: Worker) -> "Deferred[bool]":
        self.counts["late"] += 1
        self._assign(worker.queue)
        return succeed(False)

    def _took(self, lease: Lease) -> int:
        return int((self._clock.seconds() - lease.since) * 1_000)

    def _count_failure(self, job: Job, reason: str, by: str = "", took: int = 0) -> "Deferred[Any]":
        if job.ending:
            return succeed(None)
        job.failures += 1
        if job.failures >= job.tries:
            return self._end(job, True, reason, by, took)
        return self.commits.put(changes.Failures(job.queue, job.id, job.failures))

    def _assign(self, queue: str) -> None:
        for worker, jobs in self.book.assign(queue, self._clock.seconds()).items():
            worker.give(jobs)

    # Ends

    def _end(self, job: Job, dead: bool, text: str, by: str, took: int) -> "Deferred[Any]":
        self.book.begin_ending(job)
        change = changes.Ending(job.queue, job.id, dead, text, by, took, self._now())
        done = self.commits.put(change)
        return done.addCallbacks(self._ended, self._not_ended, (job,), errbackArgs=(job,))

    def _ended(self, ended: Ended | None, job: Job) -> None:
        self.book.remove(job)
        if ended is not None:
            self.kept += 1
            self.counts["dead" if ended.dead else "done"] += 1
            self.feed(job.queue).add(ended)
            self._note_change(job.queue)

    def _not_ended(self, failure: Failure, job: Job) -> Failure:
        self.book.reopen(job)
        self._note_change(job.queue)
        return failure

    def _not_answered(self, failure: Failure, lease: Lease) -> Failure:
        self.book.withdraw_answer(lease)
        self._note_change(lease.job.queue)
        return failure

    def _note_change(self, queue: str) -> None:
        """Tell those whom it concerns, once for all changes of one write."""
        if not self._changed:
            self._clock.callLater(0, self._tell)
        self._changed[queue] = None

    def _tell(self) -> None:
        changed, self._changed = self._changed, {}
        for queue in changed:
            self.feed(queue).publish()
            self._assign(queue)

    # Time

    def sweep(self) -> None:
        """End what is over: leases, and jobs."""
        queues: dict[str, None] = {}
        for lease in self.book.expire(self._clock.seconds()):
            queues[lease.job.queue] = None
            self._count_failure(lease.job, "lease", lease.worker.name).addErrback(self._kept)
        for job in self.book.overdue(self._now()):
            if not job.ending:
                queues[job.queue] = None
                self._end(job, True, "timeout", "", 0).addErrback(self._kept)
        for queue in queues:
            self._assign(queue)

    def remove_old(self) -> "Deferred[None]":
        """
        Remove the ended jobs that are older than `jobs.keep`, or more than `jobs.retain`.

        Returns:
            A Deferred that fires once they are; it fails with `JournalError`.
        """
        return Deferred.fromCoroutine(self._remove_old())

    async def _remove_old(self) -> None:
        before = self._now() - int(self.settings.keep * 1_000)
        while await self._remove(Removal(CHUNK, before=before)) == CHUNK:
            pass
        while self.kept > self.settings.retain:
            await self._remove(Removal(min(CHUNK, self.kept - self.settings.retain)))
        await self._forget_unused()

    async def purge(self, queue: str, with_open: bool) -> int:
        """
        Remove the ended jobs of a queue; return how many.

        Args:
            with_open: its open jobs are dead first, by the reason `purged`.

        Raises:
            JournalError: the disk fails.
        """
        found = self.book.queues.get(queue)
        if with_open and found is not None:
            jobs = [job for job in found.jobs.values() if not job.ending]
            ends = [self._end(job, True, "purged", "", 0) for job in jobs]
            await gatherResults(ends, consumeErrors=True)
        total = 0
        while (count := await self._remove(Removal(CHUNK, queue))) > 0:
            total += count
        await self._forget_unused()
        return total

    async def retry(self, queue: str, id: str | None) -> int:
        """
        Offer dead jobs of a queue again, one or all; return how many.

        Raises:
            JournalError: the disk fails.
        """
        jobs: list[Job] = await self.commits.put(changes.Reopening(queue, id, self._now()))
        self.kept -= len(jobs)
        for job in jobs:
            self._add(job)
        return len(jobs)

    async def _remove(self, removal: Removal) -> int:
        count: int = await self.commits.put(removal)
        self.kept -= count
        return count

    async def _forget_unused(self) -> None:
        in_use = {queue for queue, feed in self.feeds.items() if feed.in_use}
        self.book.forget_unused(in_use)
        in_use |= self.book.queues.keys()
        forgotten: list[str] = await self.commits.put(changes.Forgetting(frozenset(in_use)))
        unknown = [queue for queue, feed in self.feeds.items() if not (feed.seq or feed.in_use)]
        for queue in {*forgotten, *unknown} - self.book.queues.keys():
            self.feeds.pop(queue, None)

    def _kept(self, failure: Failure) -> None:
        failure.trap(JournalError)
        self.log.warn("The end of a job is not stored: {why}", why=failure.getErrorMessage())
