"""The owner's commands on jobs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mtnet.errors import ConfigError
from mtnet.interfaces import IControlCommands
from mtnet.services.jobs.book import Job, Queue
from mtnet.services.jobs.service import JobService
from mtnet.services.jobs.wire import Ended

MOST_ROWS = 100
"""Open jobs, and ended ones, that `jobs show` lists."""
Asked = Mapping[str, Any]
Row = dict[str, object]


@implementer(IControlCommands)
class JobCommands:
    """The commands of the control socket."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def commands(self) -> Mapping[str, Callable[[Asked], Any]]:
        """Return the commands by name."""
        return {
            "jobs list": lambda asked: Deferred.fromCoroutine(self._list()),
            "jobs show": lambda asked: Deferred.fromCoroutine(self._show(asked)),
            "jobs retry": lambda asked: Deferred.fromCoroutine(
                self._jobs.retry(_text(asked, "queue"), asked.get("id"))
            ),
            "jobs purge": lambda asked: Deferred.fromCoroutine(
                self._jobs.purge(_text(asked, "queue"), asked.get("open") is True)
            ),
        }

    async def _list(self) -> list[Row]:
        """Return a row for each queue, sorted by name."""
        numbers = await self._jobs.read(lambda store: store.queues())
        open_queues = self._jobs.book.queues
        rows: list[Row] = []
        for name in sorted(numbers.keys() | open_queues.keys()):
            queue, found = open_queues.get(name) or Queue(name), numbers.get(name)
            rows.append(
                {
                    "queue": name,
                    "open": len(queue.jobs),
                    "running": queue.running,
                    "workers": len(queue.workers),
                    "ended": 0 if found is None else found.ended,
                    "dead": 0 if found is None else found.dead,
                }
            )
        return rows

    async def _show(self, asked: Asked) -> list[Row]:
        """Return a row for one job, or for the open and the last ended ones of a queue."""
        name, id = _text(asked, "queue"), asked.get("id")
        if id is None:
            queue = self._jobs.book.queues.get(name) or Queue(name)
            ended = await self._jobs.read(lambda store: store.newest(name, MOST_ROWS))
            return [*_open_rows(queue), *map(_ended_row, reversed(ended))]
        found = await self._jobs.read(lambda store: store.job(name, str(id)))
        if found is None:
            raise ConfigError(f"{name} has no job {id}: see `mtnet jobs show {name}`.")
        data, end = found
        job = self._jobs.book.find(name, str(id))
        if end is not None:
            return [{**_ended_row(end), "data": data}]
        return [{**({"id": id} if job is None else _open_row(job)), "data": data}]


def _open_rows(queue: Queue) -> Iterator[Row]:
    """Yield the running jobs, and the first of those that wait."""
    running = [job for job in queue.jobs.values() if job.leases]
    waiting = [job for job in queue.jobs.values() if not job.leases]
    for job in (running + waiting)[:MOST_ROWS]:
        yield _open_row(job)


def _open_row(job: Job) -> Row:
    return {
        "id": job.id,
        "state": "running" if job.leases else "waiting",
        "workers": sorted(worker.name for worker in job.leases),
        "failures": job.failures,
        "deadline": job.deadline,
    }


def _ended_row(ended: Ended) -> Row:
    return {
        "id": ended.id,
        "state": "dead" if ended.dead else "done",
        "seq": ended.seq,
        "by": ended.by,
        "took": ended.took,
        "reason" if ended.dead else "result": ended.text,
    }


def _text(asked: Asked, key: str) -> str:
    text = asked.get(key)
    if not isinstance(text, str):
        raise ConfigError(f"Invalid {key} {text!r}: expected a text.")
    return text
