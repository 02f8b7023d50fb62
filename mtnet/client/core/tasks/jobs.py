"""
Jobs: offered, with their results, and carried out; over lost connections.

Pure. `when` is seconds of a clock that is never set.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Never

from msgspec import Struct

from mtnet.client.core.driver import earliest
from mtnet.client.core.events import Connected, Lost, Refused
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.task import SessionEvent, TaskCore, checked
from mtnet.services.jobs.wire import (
    ANSWERS,
    MAX_REASON,
    TIMEOUT,
    TRIES,
    Ended,
    Offered,
    Renewed,
    ResultsBegin,
    Taken,
    Task,
    Working,
    request,
)
from mtnet.session.messages import Error

WINDOW = 100
"""Offers without an answer: the server stores them in one go."""
FATAL = frozenset({"login", "denied", "verb", "field", "id"})
"""Codes of refusals after which it is in vain to go on: the login, its rights, an older server, or
the job."""
RETRY = 1.0
"""Seconds until an offer is made again that the server had no room for."""
RENEWALS = 3
"""Times that a task is renewed within one lease."""


class Terms(Struct, frozen=True):
    """
    The terms of a job.

    Attributes:
        replicas: equal results that are wanted, each by another worker.
        timeout: seconds since the offer after which the job is dead.
        tries: failed ones after which the job is dead.
    """

    replicas: int = 1
    timeout: int = TIMEOUT
    tries: int = TRIES


class Full(Struct, frozen=True):
    """The server has no room for a job at present; it is offered again."""

    text: str

    def __str__(self) -> str:
        return self.text


class Withdrawn(Struct, frozen=True):
    """A task is another worker's by now, or its job has ended: its result would not count."""

    id: str

    def __str__(self) -> str:
        return f"The task {self.id} is not this worker's any more."


OfferNews = Offered | Ended | Full
OfferEvent = OfferNews | SessionEvent
WorkNews = Task | Taken | Withdrawn
WorkEvent = WorkNews | SessionEvent


class Results:
    """
    RESULTS of some jobs, behind those that came already.

    Attributes:
        open: ids of the jobs that have not ended.

    Raises:
        ClientError: there is no such queue.
    """

    def __init__(self, queue: str, jobs: Iterable[str]) -> None:
        self._queue, self.open = queue, dict.fromkeys(jobs)
        self._epoch: str | None = None
        self._after = 0
        self.request()

    def request(self) -> bytes:
        """Return RESULTS."""
        return checked(request, "RESULTS", queue=self._queue, after=self._after, epoch=self._epoch)

    def take(self, answer: object) -> Iterator[OfferEvent]:
        """Yield what an answer of the server says."""
        if isinstance(answer, ResultsBegin):
            if answer.epoch != self._epoch:
                self._epoch, self._after = answer.epoch, 0
            yield Connected()
        elif isinstance(answer, Ended):
            self._after = answer.seq
            if answer.id in self.open:
                del self.open[answer.id]
                yield answer


class Offers:
    """
    OFFER of jobs, some at once, until the server has answered each.

    Args:
        jobs: data by id.

    Attributes:
        held: offers that the server had no room for.

    Raises:
        ClientError: there is no such queue, or a job cannot be sent.
    """

    def __init__(self, queue: str, jobs: Mapping[str, str], terms: Terms) -> None:
        self._frames = {
            id: checked(
                request,
                "OFFER",
                queue=queue,
                id=id,
                data=data,
                replicas=terms.replicas,
                timeout=terms.timeout,
                tries=terms.tries,
            )
            for id, data in jobs.items()
        }
        self._unconfirmed = dict.fromkeys(self._frames)
        self._waiting: deque[str] = deque()
        self._unanswered: set[str] = set()
        self.held: list[str] = []

    def request(self) -> bytes:
        """Return the first offers of a connection."""
        self._waiting, self.held = deque(self._unconfirmed), []
        self._unanswered.clear()
        return self.more()

    def more(self) -> bytes:
        """Return the offers that can be made now."""
        frames = []
        while self._waiting and len(self._unanswered) < WINDOW:
            id = self._waiting.popleft()
            self._unanswered.add(id)
            frames.append(self._frames[id])
        return b"".join(frames)

    def release(self) -> None:
        """Make the offers again that were held."""
        self._waiting.extend(self.held)
        self.held = []

    def take(self, answer: object) -> Iterator[OfferEvent]:
        """Yield what an answer of the server says."""
        if isinstance(answer, Offered) and answer.id in self._unanswered:
            self._answered(answer.id)
            yield answer
        elif isinstance(answer, Error) and answer.id in self._unanswered:
            yield self._refused(answer)

    def _refused(self, answer: Error) -> OfferEvent:
        if answer.code == "server":
            self._unanswered.discard(answer.id)
            self.held.append(answer.id)
            return Full(answer.text)
        self._answered(answer.id)
        return Refused(answer.code, answer.text)

    def _answered(self, id: str) -> None:
        self._unanswered.discard(id)
        self._unconfirmed.pop(id, None)


class Offering:
    """
    OFFER of jobs, and RESULTS until each has ended.

    Attributes:
        offers: the first.
        open: ids of the jobs that have not ended.

    Args and raises as of `Offers`.
    """

    def __init__(self, queue: str, jobs: Mapping[str, str], terms: Terms) -> None:
        self.offers, self._results = Offers(queue, jobs, terms), Results(queue, jobs)
        self.open = self._results.open

    def request(self) -> bytes:
        """Return RESULTS, and the first offers."""
        return self._results.request() + self.offers.request()

    def take(self, answer: object) -> Iterator[OfferEvent]:
        """Yield what an answer of the server says."""
        yield from self._results.take(answer)
        yield from self.offers.take(answer)


class OfferCore(TaskCore[OfferNews]):
    """
    Client state machine of one who offers jobs.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, offering: Offering, login: Login | None) -> None:
        super().__init__("jobs", ANSWERS, offering, login)
        self._offers = offering.offers
        self._retry_at: float | None = None

    def receive(self, data: bytes, when: float) -> Iterator[OfferEvent]:
        """Take what the server has sent, and make the next offers."""
        yield from super().receive(data, when)
        if self._offers.held and self._retry_at is None:
            self._retry_at = when + RETRY
        self.session.send(self._offers.more())

    def expire(self, when: float) -> Iterable[Never]:
        """Do what is due."""
        if self._retry_at is not None and self._retry_at <= when:
            self._retry_at = None
            self._offers.release()
            self.session.send(self._offers.more())
        return super().expire(when)

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return earliest(super().deadline, self._retry_at)


class Work:
    """
    WORK on a queue.

    Attributes:
        tasks: those that this worker has, by id.

    Raises:
        ClientError: there is no such queue, or no such number of slots.
    """

    def __init__(self, queue: str, slots: int) -> None:
        self.queue = queue
        self._frame = checked(request, "WORK", queue=queue, slots=slots)
        self.tasks: dict[str, Task] = {}

    def request(self) -> bytes:
        """Return WORK."""
        return self._frame

    def take(self, answer: object) -> Iterator[WorkEvent]:
        """Yield what an answer of the server says."""
        if isinstance(answer, Working):
            yield Connected()
        elif isinstance(answer, Task):
            self.tasks[answer.id] = answer
            yield answer
        elif isinstance(answer, Taken):
            yield answer
        elif isinstance(answer, Renewed) and answer.late and answer.id in self.tasks:
            del self.tasks[answer.id]
            yield Withdrawn(answer.id)


class WorkCore(TaskCore[WorkNews]):
    """
    Client state machine of a worker, which renews its tasks by itself.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, work: Work, login: Login | None) -> None:
        super().__init__("jobs", ANSWERS, work, login)
        self._work = work
        self._renew_at: float | None = None

    def result(self, id: str, data: str) -> None:
        """
        Send the result of a task, if this worker still has it.

        Raises:
            ClientError: it cannot be sent; `fail` can.
        """
        frame = checked(request, "RESULT", queue=self._work.queue, id=id, data=data)
        self._end(id, frame)

    def fail(self, id: str, reason: str) -> None:
        """Say that a task has failed, if this worker still has it."""
        reason = reason[:MAX_REASON]
        self._end(id, checked(request, "FAIL", queue=self._work.queue, id=id, reason=reason))

    def receive(self, data: bytes, when: float) -> Iterator[WorkEvent]:
        """Take what the server has sent."""
        yield from super().receive(data, when)
        leases = [task.lease for task in self._work.tasks.values()]
        if self._renew_at is None and leases:
            self._renew_at = when + min(leases) / RENEWALS

    def expire(self, when: float) -> Iterable[Never]:
        """Do what is due."""
        if self._renew_at is not None and self._renew_at <= when:
            self._renew_at = None
            for task in self._work.tasks.values():
                self.session.send(checked(request, "RENEW", queue=task.queue, id=task.id))
                self._renew_at = when + task.lease / RENEWALS
        return super().expire(when)

    def lose(self, reason: str) -> Iterable[Lost]:
        """Note the end of the connection, and of all tasks: the server gives them to others."""
        self._renew_at = None
        self._work.tasks.clear()
        return super().lose(reason)

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return earliest(super().deadline, self._renew_at)

    def _end(self, id: str, frame: bytes) -> None:
        if self._work.tasks.pop(id, None) is not None:
            self.session.send(frame)
