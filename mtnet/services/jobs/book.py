"""
The open jobs: which wait, and which worker has which.

Pure: methods take the time, in seconds of a clock that is never set.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from msgspec import Struct

from mtnet.callbacks import noop
from mtnet.errors import PolicyError
from mtnet.services.jobs.deadlines import Deadlines
from mtnet.services.jobs.settings import JobSettings

LEASE_STEP = 0.25
"""Seconds by which a lease may end too late."""
ANYBODY: frozenset[str] = frozenset()


class Job(Struct, eq=False):
    """
    An open job.

    Attributes:
        seq: counts the jobs of the queue.
        replicas: equal results that are wanted, each by another worker.
        tries: failed ones after which it is dead.
        deadline: milliseconds since the Unix epoch after which it is dead.
        failures: tries that have failed.
        attempts: leases since the start of the daemon.
        answers: results by the name of their worker.
        leases: by worker.
        rank: its place in the queue.
        ending: it is being stored that it has ended.
    """

    queue: str
    id: str
    seq: int
    data: str
    replicas: int
    tries: int
    deadline: int
    failures: int = 0
    attempts: int = 0
    answers: dict[str, str] = {}
    leases: "dict[Worker, Lease]" = {}
    rank: int = 0
    ending: bool = False
    group: frozenset[str] | None = None

    @property
    def size(self) -> int:
        """Characters of data that it takes in memory."""
        return len(self.data) + sum(map(len, self.answers.values()))

    @property
    def excluded(self) -> frozenset[str]:
        """The workers that cannot have it, since they have or had it."""
        if self.replicas == 1:
            return ANYBODY
        return frozenset(chain(self.answers, (worker.name for worker in self.leases)))

    @property
    def wanted(self) -> int:
        """How many workers should begin with it now."""
        if self.ending:
            return 0
        agreed, left = self._votes()
        return min(self.replicas - agreed, left) - len(self.leases)

    @property
    def agreed(self) -> str | None:
        """The result that enough workers have returned; None = there is none yet."""
        for text, count in Counter(self.answers.values()).items():
            if count >= self.replicas:
                return text
        return None

    @property
    def differs(self) -> bool:
        """Whether not even one more worker can bring about that enough results are equal."""
        agreed, left = self._votes()
        return agreed + left < self.replicas

    def _votes(self) -> tuple[int, int]:
        """Return how many results are equal, and how many more there can be."""
        equal = max(Counter(self.answers.values()).values(), default=0)
        most = self.replicas if self.replicas == 1 else self.replicas + 1
        return equal, most - len(self.answers)


class Lease(Struct, eq=False):
    """
    A task: a job that a worker has for a while.

    Attributes:
        since: seconds of the clock at which it began.
    """

    job: Job
    worker: "Worker"
    since: float


class Worker:
    """
    One WORK of a session.

    Attributes:
        name: its login; without one, its address.
        slots: tasks that it can have at once.
        give: is called with the jobs that it is given.
        leases: its tasks, by the id of the job.
        lost: ids of tasks that it had, and does not know yet that it has them no more: until then
            they keep their slots, or a worker that hangs would be given one job after the other.
    """

    __slots__ = ("give", "leases", "lost", "name", "queue", "slots")

    def __init__(
        self, queue: str, name: str, slots: int, give: Callable[[list[Job]], object] = noop
    ) -> None:
        self.queue, self.name, self.slots, self.give = queue, name, slots, give
        self.leases: dict[str, Lease] = {}
        self.lost: set[str] = set()

    @property
    def room(self) -> bool:
        """Whether it can have one more task."""
        return len(self.leases) + len(self.lost) < self.slots


class Queue:
    """
    The open jobs of one queue, and its workers.

    Attributes:
        jobs: by id.
        workers: all of them.
        idle: those that have room, the one that has waited for longest first.
        running: tasks that workers have.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: dict[str, Job] = {}
        self.workers: dict[Worker, None] = {}
        self.idle: dict[Worker, None] = {}
        self.running = 0
        self._waiting: dict[frozenset[str], OrderedDict[str, Job]] = {}
        self._rank = 0

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return sum(map(len, self._waiting.values()))

    def append(self, job: Job) -> None:
        """Let a job wait behind all others."""
        self._rank += 1
        job.rank = self._rank
        self.place(job)

    def place(self, job: Job, first: bool = False) -> None:
        """Let a job wait if it wants a worker, perhaps as the first one; else not."""
        self._remove(job)
        if job.wanted > 0:
            job.group = job.excluded
            group = self._waiting.setdefault(job.group, OrderedDict())
            group[job.id] = job
            if first:
                group.move_to_end(job.id, last=False)

    def next(self, worker: Worker) -> Job | None:
        """Return the first job that a worker can have: none that it believes to have."""
        heads = [
            next((job for job in group.values() if job.id not in worker.lost), None)
            for excluded, group in self._waiting.items()
            if worker.name not in excluded
        ]
        found = [job for job in heads if job is not None]
        return min(found, key=lambda job: job.rank, default=None)

    def note_room(self, worker: Worker) -> None:
        """Note whether a worker has room now."""
        if worker.room and worker in self.workers:
            self.idle.setdefault(worker)
        else:
            self.idle.pop(worker, None)

    def _remove(self, job: Job) -> None:
        if job.group is not None:
            group = self._waiting[job.group]
            del group[job.id]
            if not group:
                del self._waiting[job.group]
            job.group = None


class JobBook:
    """
    The open jobs of all queues.

    Attributes:
        queues: by name.
        count: open jobs.
        size: characters of their data and answers.
    """

    def __init__(self, settings: JobSettings) -> None:
        self._settings = settings
        self.queues: dict[str, Queue] = {}
        self.count = self.size = 0
        self._leases: Deadlines[Lease] = Deadlines(LEASE_STEP)
        self._timeouts: Deadlines[Job] = Deadlines(1_000)

    @property
    def running(self) -> int:
        """Tasks that workers have."""
        return sum(queue.running for queue in self.queues.values())

    @property
    def workers(self) -> int:
        """Workers, each counted for each of its queues."""
        return sum(len(queue.workers) for queue in self.queues.values())

    def check(self, name: str, count: int, size: int) -> None:
        """
        Check that there is room for another job.

        Args:
            count, size: of the jobs that are being stored.

        Raises:
            PolicyError: `server`: there is none at present.
        """
        if name not in self.queues and len(self.queues) >= self._settings.max_queues:
            most = f"There are {self._settings.max_queues} queues, as jobs.max_queues allows"
            raise PolicyError("server", f"{most}; one is forgotten when its jobs are purged")
        if self.count + count >= self._settings.max_open:
            most = f"There are {self._settings.max_open} open jobs, as jobs.max_open allows"
            raise PolicyError("server", f"{most}; offer it again when some are done")
        if self.size + size > self._settings.memory:
            most = f"Open jobs have {self._settings.memory} characters, as jobs.memory allows"
            raise PolicyError("server", f"{most}; offer it again when some are done")

    def queue(self, name: str) -> Queue:
        """Return a queue, a new one if there is none."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = Queue(name)
        return queue

    def find(self, name: str, id: str) -> Job | None:
        """Return an open job."""
        queue = self.queues.get(name)
        return None if queue is None else queue.jobs.get(id)

    # Jobs

    def add(self, job: Job) -> None:
        """Take a job that is on disk."""
        queue = self.queue(job.queue)
        queue.jobs[job.id] = job
        self.count += 1
        self.size += job.size
        self._timeouts.set(job, job.deadline)
        queue.append(job)

    def begin_ending(self, job: Job) -> None:
        """Give a job to nobody any more: it is being stored that it has ended."""
        job.ending = True
        self._timeouts.discard(job)
        for lease in list(job.leases.values()):
            self._take_away(lease)
            lease.worker.lost.add(job.id)
        self.queues[job.queue].place(job)

    def reopen(self, job: Job) -> None:
        """Undo `begin_ending`: the disk has not taken it."""
        job.ending = False
        self._timeouts.set(job, job.deadline)
        self.queues[job.queue].place(job, first=True)

    def remove(self, job: Job) -> None:
        """Forget a job whose end is on disk."""
        self._timeouts.discard(job)
        queue = self.queues[job.queue]
        if queue.jobs.pop(job.id, None) is not None:
            self.count -= 1
            self.size -= job.size

    def overdue(self, when: int) -> list[Job]:
        """Return the jobs whose time is over, each once; `when` in milliseconds since the epoch."""
        return self._timeouts.due(when)

    # Workers

    def join(self, worker: Worker) -> None:
        """Take a worker."""
        queue = self.queue(worker.queue)
        queue.workers[worker] = None
        queue.note_room(worker)

    def resize(self, worker: Worker, slots: int) -> None:
        """Let a worker have more or fewer tasks from now on."""
        worker.slots = slots
        self.queues[worker.queue].note_room(worker)

    def leave(self, worker: Worker) -> list[Job]:
        """Forget a worker; return the jobs that it had, which wait again as the first ones."""
        queue = self.queues[worker.queue]
        del queue.workers[worker]
        jobs = [self._give_back(lease) for lease in reversed(list(worker.leases.values()))]
        queue.note_room(worker)
        return jobs

    def assign(self, name: str, when: float) -> dict[Worker, list[Job]]:
        """Give waiting jobs of a queue to workers that have room, by turns."""
        given: dict[Worker, list[Job]] = {}
        queue = self.queues.get(name)
        turns = [] if queue is None else list(queue.idle)
        while queue is not None and turns and queue.waiting:
            turns = [each for each in turns if self._give(queue, each, given, when)]
        return given

    def renew(self, worker: Worker, id: str, when: float) -> bool:
        """Let a task last for another lease; return whether the worker still has it."""
        lease = worker.leases.get(id)
        if lease is None:
            self.release(worker, id)
            return False
        self._leases.set(lease, when + self._settings.lease)
        return True

    def release(self, worker: Worker, id: str) -> Lease | None:
        """
        End a task; its job does not wait yet: call `answer`, `wait_last` or `begin_ending`.

        Returns:
            None = the worker does not have it any more, and knows that from now on.
        """
        lease = worker.leases.get(id)
        if lease is not None:
            self._take_away(lease)
        worker.lost.discard(id)
        self.queues[worker.queue].note_room(worker)
        return lease

    def answer(self, lease: Lease, data: str) -> None:
        """Count the result of a task; see `agreed` and `differs` of its job."""
        job = lease.job
        job.answers[lease.worker.name] = data
        self.size += len(data)
        self.queues[job.queue].place(job)

    def wait_last(self, job: Job) -> None:
        """Let a job whose task was released wait behind all others."""
        self.queues[job.queue].append(job)

    def withdraw_answer(self, lease: Lease) -> None:
        """Undo `answer`: the disk has not taken it."""
        job = lease.job
        data = job.answers.pop(lease.worker.name, "")
        self.size -= len(data)
        self.queues[job.queue].place(job, first=True)

    def expire(self, when: float) -> Iterator[Lease]:
        """End and yield the tasks whose lease is over; their jobs wait again."""
        for lease in self._leases.due(when):
            if lease.job.leases.get(lease.worker) is lease:
                self._give_back(lease)
                lease.worker.lost.add(lease.job.id)
                yield lease

    def forget_unused(self, in_use: Iterable[str]) -> None:
        """Forget the queues without jobs and workers, but for some."""
        used = set(in_use)
        for name, queue in list(self.queues.items()):
            if not queue.jobs and not queue.workers and name not in used:
                del self.queues[name]

    def _give(
        self, queue: Queue, worker: Worker, given: dict[Worker, list[Job]], when: float
    ) -> bool:
        """Give a worker one job; return whether it can have more."""
        job = queue.next(worker)
        if job is None:
            return False
        lease = Lease(job, worker, when)
        job.attempts += 1
        job.leases[worker] = lease
        worker.leases[job.id] = lease
        queue.running += 1
        self._leases.set(lease, when + self._settings.lease)
        queue.place(job)
        queue.idle.pop(worker)  # behind those that have had none yet
        queue.note_room(worker)
        given.setdefault(worker, []).append(job)
        return worker.room

    def _take_away(self, lease: Lease) -> None:
        job, worker = lease.job, lease.worker
        del worker.leases[job.id]
        del job.leases[worker]
        self.queues[job.queue].running -= 1
        self._leases.discard(lease)

    def _give_back(self, lease: Lease) -> Job:
        self._take_away(lease)
        self.queues[lease.job.queue].place(lease.job, first=True)
        return lease.job
