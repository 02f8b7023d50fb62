"""Jobs by HTTP: a job by POST, and results by long poll."""

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred

from mtnet.net.http.long_poll import MAX_WAIT
from mtnet.net.http.route import HttpRequest, Route, refuse_disk
from mtnet.services.jobs import wire
from mtnet.services.jobs.service import JobService
from mtnet.services.jobs.verbs import NOT_READ, NOT_STORED
from mtnet.services.jobs.wire import (
    MAX_REPLICAS,
    MAX_TIMEOUT,
    MAX_TRIES,
    TIMEOUT,
    TRIES,
    Ended,
    Offer,
    Offered,
)

MAX_RESULTS = 500
"""Results of one answer: 3 MB of data at most."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,64}$", examples=["search/eurusd"])]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", examples=["run-1"])]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class QueuePath(Struct):
    """The queue in the path."""

    queue: Name


class ResultsQuery(Struct):
    """
    Asks for results.

    Attributes:
        epoch: of `after`; another one than the present asks for all that there are.
        after: the number behind which they are; absent = none, but the last number.
        wait: seconds to wait for the first one.
    """

    queue: Name
    epoch: str | None = None
    after: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_RESULTS)] = MAX_RESULTS
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0


class OfferedJob(Struct):
    """A job to offer; the fields are those of OFFER."""

    id: Id
    data: Annotated[str, Meta(examples=['{"fast": 5, "slow": 20}'])]
    replicas: Annotated[int, Meta(ge=1, le=MAX_REPLICAS)] = 1
    timeout: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT)] = TIMEOUT
    tries: Annotated[int, Meta(ge=1, le=MAX_TRIES)] = TRIES

    def meant(self, queue: str) -> Offer:
        """Return the OFFER that it stands for."""
        return Offer(queue, self.id, self.data, self.replicas, self.timeout, self.tries)


class StoredJob(Struct):
    """The answer to a job: it is on disk."""

    id: str
    seq: int


class JobResult(Struct, omit_defaults=True):
    """
    A job that has ended.

    Attributes:
        data: the result; absent = it is dead.
        reason: why it is dead.
        took: milliseconds from the worker's TASK to its end.
    """

    seq: int
    id: str
    by: str = ""
    took: int = 0
    data: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, ended: Ended) -> "JobResult":
        """Return a job as JSON shows it."""
        result = cls(ended.seq, ended.id, ended.by, ended.took)
        if ended.dead:
            result.reason = ended.text
        else:
            result.data = ended.text
        return result


class JobResults(Struct):
    """
    Results, oldest first.

    Attributes:
        seq: up to where this answer is complete; the number to ask with next.
        last: of the last result of the queue.
    """

    epoch: str
    seq: int
    last: int
    results: list[JobResult]

    @classmethod
    def of(cls, epoch: str, last: int, limit: int, page: list[Ended]) -> "JobResults":
        """
        Return what was read as JSON shows it.

        Args:
            last: the last result when the reading began; what is newer is left out.
            limit: results that were asked for.
        """
        found = [each for each in page if each.seq <= last]
        seq = found[-1].seq if len(page) == limit and found else last
        return cls(epoch, seq, last, [*map(JobResult.of, found)])


class JobResources:
    """Takes jobs, and tells results."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def post(
        self, request: HttpRequest, asked: QueuePath, body: OfferedJob
    ) -> "Deferred[StoredJob]":
        """Offer a job."""
        offer = body.meant(asked.queue)
        wire.check_size("OFFER", offer.data, escaped=False)
        wire.check_task(offer)
        done = self._jobs.offer(offer)
        return done.addCallbacks(_stored, refuse_disk, errbackArgs=(NOT_STORED,))

    def get(self, request: HttpRequest, asked: ResultsQuery) -> "Deferred[JobResults]":
        """Return results, at once or with the first that comes."""
        feed = self._jobs.feed(asked.queue)
        is_news = asked.epoch not in (None, self._jobs.epoch) or asked.after != feed.seq
        if asked.after is None or not asked.wait or is_news:
            return self._answer(asked)
        return request.wait(asked.wait, partial(self._answer, asked), feed.observe)

    def _answer(self, asked: ResultsQuery) -> "Deferred[JobResults]":
        feed, epoch = self._jobs.feed(asked.queue), self._jobs.epoch
        known, last = feed.known(epoch, asked.epoch, asked.after), feed.seq
        read = self._jobs.read(lambda store: store.results(asked.queue, known, asked.limit))
        show = partial(JobResults.of, epoch, last, asked.limit)
        return read.addCallbacks(show, refuse_disk, errbackArgs=(NOT_READ,))


def _stored(answer: Offered) -> StoredJob:
    return StoredJob(answer.id, answer.seq)


def job_routes(jobs: JobService) -> list[Route]:
    """Return the routes of jobs."""
    resources = JobResources(jobs)
    return [
        Route(
            method="POST",
            path="/v1/jobs/{queue}",
            handler=resources.post,
            summary="Offer a job; it is on disk when this is answered.",
            params=QueuePath,
            body=OfferedJob,
            right="publish:jobs/{queue}",
            answers={200: StoredJob},
        ),
        Route(
            method="GET",
            path="/v1/jobs/{queue}/results",
            handler=resources.get,
            summary="The results of a queue behind a number.",
            params=ResultsQuery,
            right="read:jobs/{queue}",
            answers={200: JobResults},
        ),
    ]
