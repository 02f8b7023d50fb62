"""The verbs of jobs in a session: OFFER, WORK, RENEW, RESULT, FAIL and RESULTS."""

from collections.abc import Sized
from functools import partial

from twisted.internet.defer import succeed

from mtnet.errors import PolicyError
from mtnet.services.jobs import wire
from mtnet.services.jobs.book import Job, Worker
from mtnet.services.jobs.feeds import Reader
from mtnet.services.jobs.service import JobService
from mtnet.session import messages
from mtnet.session.handler import LateAnswers, SessionHandler, SessionVerbs, demand
from mtnet.session.session import Session

SERVICE = "jobs"
PUBLISH, SEND, READ = "publish", "send", "read"
NOT_STORED = "The disk does not take it at present; try it again"
NOT_READ = "The results cannot be read at present; ask again"
MAX_QUEUES = 100
"""Queues from which one session can take tasks, or of which it can read results."""


class JobClient(SessionHandler):
    """The verbs of jobs in one session."""

    __slots__ = ("_answers", "_jobs", "_readers", "_session", "_workers")

    def __init__(self, session: Session, jobs: JobService) -> None:
        self._session, self._jobs = session, jobs
        self._workers: dict[str, Worker] = {}
        self._readers: dict[str, Reader] = {}
        self._answers = LateAnswers(session, NOT_STORED)

    def welcomed(self) -> dict[str, str]:
        self._end(orderly=False)  # perhaps it has another login now
        return {}

    def busy(self) -> bool:
        return bool(self._answers.waiting or self._workers or self._readers)

    def leaving(self) -> None:
        self._end(orderly=True)

    def closed(self, bye: bool) -> None:
        self._end(orderly=bye)

    def offer(self, asked: wire.Offer) -> None:
        """OFFER: answer once the job is on disk."""
        demand(self._session, PUBLISH, SERVICE, asked.queue)
        self._check_data("OFFER", asked.data)
        wire.check_task(asked)
        done = self._jobs.offer(asked).addCallback(wire.offered)
        self._answers.expect(done, "OFFER", asked.id)

    def work(self, asked: wire.Work) -> None:
        """WORK: give the client tasks of a queue, so many at once."""
        demand(self._session, SEND, SERVICE, asked.queue)
        if asked.slots > self._jobs.settings.max_slots:
            most = f"A client has {self._jobs.settings.max_slots} tasks of a queue at once"
            raise PolicyError("denied", f"{most}, as jobs.max_slots allows")
        worker = self._workers.get(asked.queue)
        if worker is None:
            _check_count(self._workers)
        self._session.send(wire.working(wire.Working(asked.queue, asked.slots)))
        if worker is not None:
            self._jobs.resize(worker, asked.slots)
        elif asked.slots:
            send, lease = self._session.send, self._jobs.settings.lease
            worker = Worker(
                asked.queue, self._name, asked.slots, lambda jobs: send(_tasks(jobs, lease))
            )
            self._workers[asked.queue] = worker
            self._jobs.join(worker)

    def renew(self, asked: wire.Renew) -> None:
        """RENEW: let the client go on with a task."""
        worker = self._workers.get(asked.queue)
        held = worker is not None and self._jobs.renew(worker, asked.id)
        self._session.send(wire.renewed(wire.Renewed(asked.queue, asked.id, not held)))

    def result(self, asked: wire.Result) -> None:
        """RESULT: end a task, and answer once that is on disk."""
        self._check_data("RESULT", asked.data)
        wire.check_result(asked, self._name)
        worker = self._workers.get(asked.queue)
        held = succeed(False) if worker is None else self._jobs.result(worker, asked.id, asked.data)
        self._answers.expect(held.addCallback(_taken, asked), "RESULT", asked.id)

    def fail(self, asked: wire.Fail) -> None:
        """FAIL: end a task without a result."""
        worker = self._workers.get(asked.queue)
        held = succeed(False) if worker is None else self._jobs.fail(worker, asked.id, asked.reason)
        self._answers.expect(held.addCallback(_taken, asked), "FAIL", asked.id)

    def results(self, asked: wire.Results) -> None:
        """RESULTS: send what the client misses, and what comes."""
        demand(self._session, READ, SERVICE, asked.queue)
        former = self._readers.pop(asked.queue, None)
        if former is None:
            _check_count(self._readers)
        else:
            former.stop()
        feed = self._jobs.feed(asked.queue)
        failed = partial(self._unreadable, asked.queue)
        reader = Reader(feed, self._session.queue, self._jobs.read, failed)
        self._readers[asked.queue] = reader
        reader.start(self._jobs.epoch, asked)

    @property
    def _name(self) -> str:
        return self._session.login or self._session.address

    def _check_data(self, verb: str, data: str) -> None:
        wire.check_size(verb, data, escaped=self._session.queue.encoder is None)

    def _unreadable(self, queue: str) -> None:
        self._readers.pop(queue, None)
        self._session.send(messages.error("server", NOT_READ))

    def _end(self, orderly: bool) -> None:
        workers, self._workers = self._workers, {}
        readers, self._readers = self._readers, {}
        for worker in workers.values():
            self._jobs.leave(worker, orderly)
        for reader in readers.values():
            reader.stop()


def _check_count(used: Sized) -> None:
    if len(used) >= MAX_QUEUES:
        raise PolicyError("denied", f"A session uses {MAX_QUEUES} queues at once at most")


def _tasks(jobs: list[Job], lease: int) -> bytes:
    tasks = [wire.Task(job.queue, job.id, job.data, lease, job.attempts) for job in jobs]
    return b"".join(map(wire.task, tasks))


def _taken(held: bool, asked: wire.Result | wire.Fail) -> bytes:
    return wire.taken(wire.Taken(asked.queue, asked.id, not held))


def job_verbs(jobs: JobService) -> SessionVerbs:
    """Return the verbs of jobs."""
    return SessionVerbs(
        SERVICE,
        (PUBLISH, SEND, READ),
        wire.REQUESTS,
        {
            "OFFER": JobClient.offer,
            "WORK": JobClient.work,
            "RENEW": JobClient.renew,
            "RESULT": JobClient.result,
            "FAIL": JobClient.fail,
            "RESULTS": JobClient.results,
        },
        lambda session: JobClient(session, jobs),
    )
