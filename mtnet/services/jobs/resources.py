"""Jobs by HTTP: a job by POST, and results by long poll."""

from functools import partial
from typing import Annotated, NoReturn

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import JournalError, WireError
from mtnet.interfaces import IHttpResources
from mtnet.net.http.long_poll import MAX_WAIT, LongPoll
from mtnet.net.http.route import HttpRequest, Route
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


@implementer(IHttpResources)
class JobResources:
    """Routes of jobs."""

    def __init__(self, jobs: JobService, clock: IReactorTime) -> None:
        self._jobs, self._clock = jobs, clock

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="POST",
                path="/v1/jobs/{queue}",
                handler=self._post,
                summary="Offer a job; it is on disk when this is answered.",
                params=QueuePath,
                body=OfferedJob,
                right="publish:jobs/{queue}",
                answers={200: StoredJob},
            ),
            Route(
                method="GET",
                path="/v1/jobs/{queue}/results",
                handler=self._get,
                summary="The results of a queue behind a number.",
                params=ResultsQuery,
                right="read:jobs/{queue}",
                answers={200: JobResults},
            ),
        ]

    def _post(
        self, request: HttpRequest, asked: QueuePath, body: OfferedJob
    ) -> "Deferred[StoredJob]":
        offer = Offer(asked.queue, body.id, body.data, body.replicas, body.timeout, body.tries)
        wire.check_size("OFFER", offer.data, escaped=False)
        wire.check_task(offer)
        done = self._jobs.offer(offer)
        return done.addCallbacks(_stored, partial(_refuse, NOT_STORED))

    def _get(self, request: HttpRequest, asked: ResultsQuery) -> "Deferred[JobResults]":
        feed = self._jobs.feed(asked.queue)
        is_news = asked.epoch not in (None, self._jobs.epoch) or asked.after != feed.seq
        if asked.after is None or not asked.wait or is_news:
            return self._answer(asked)

        def release() -> None:
            del feed.observers[poll.notify]

        poll = LongPoll(self._clock, asked.wait, lambda: self._answer(asked), release)
        feed.observers[poll.notify] = None
        request.hold(poll)
        return poll.deferred

    def _answer(self, asked: ResultsQuery) -> "Deferred[JobResults]":
        feed, epoch = self._jobs.feed(asked.queue), self._jobs.epoch
        known, last = feed.known(epoch, asked.epoch, asked.after), feed.seq

        def show(page: list[Ended]) -> JobResults:
            found = [each for each in page if each.seq <= last]
            seq = found[-1].seq if len(page) == asked.limit and found else last
            return JobResults(epoch, seq, last, [_row(each) for each in found])

        read = self._jobs.read(lambda store: store.results(asked.queue, known, asked.limit))
        return read.addCallbacks(show, partial(_refuse, NOT_READ))


def _row(ended: Ended) -> JobResult:
    row = JobResult(ended.seq, ended.id, ended.by, ended.took)
    if ended.dead:
        row.reason = ended.text
    else:
        row.data = ended.text
    return row


def _stored(answer: Offered) -> StoredJob:
    return StoredJob(answer.id, answer.seq)


def _refuse(text: str, failure: Failure) -> NoReturn:
    failure.trap(JournalError)
    raise WireError("server", text)
