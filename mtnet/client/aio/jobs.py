"""Offer jobs, and carry them out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from mtnet.client.aio.client import Link
from mtnet.client.aio.logs import log_event
from mtnet.client.aio.stream import Stream
from mtnet.client.core.address import read_address
from mtnet.client.core.events import Lost
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.jobs import (
    FATAL,
    OfferCore,
    OfferEvent,
    Offering,
    Terms,
    Withdrawn,
    Work,
    WorkCore,
    WorkEvent,
)
from mtnet.client.core.websocket import session_framing
from mtnet.errors import ClientError
from mtnet.services.jobs.wire import Ended, Task

USUAL = Terms()
Calculation = Callable[[str], str] | Callable[[str], Awaitable[str]]


class JobRun(Stream[Ended]):
    """
    Asynchronous iterator over the ends of jobs, in the order in which they end; each once.

    A job that was offered before with the same id and data is not done again.

    Args:
        server: as of `Follower`; a port of sessions, or a WebSocket.
        queue: such as `search/eurusd`.
        jobs: data by id.
        terms: replicas, time-out and tries.
        on_event: called with all events but ends; their `str` is a sentence. By default they are
            logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login or
            a job, or without `retry`.
    """

    def __init__(
        self,
        server: str,
        queue: str,
        jobs: Mapping[str, str],
        terms: Terms = USUAL,
        *,
        on_event: Callable[[OfferEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        core = OfferCore(Offering(queue, jobs, terms), login)
        address = read_address(server, ca)
        super().__init__(address, core, session_framing, Ended, FATAL, on_event, retry)
        self._left = len(jobs)

    async def __anext__(self) -> Ended:
        if not self._left:
            await self.close()
            raise StopAsyncIteration
        ended = await super().__anext__()
        self._left -= 1
        return ended


class JobWorker(Stream[Task]):
    """
    Asynchronous iterator over the tasks of a worker; each is to end by `result` or `fail`.

    Tasks are renewed meanwhile. After `Lost` or `Withdrawn` the end of a task is not sent.

    Args:
        slots: tasks at once.
        on_event: called with all events but tasks.
        server, queue, login, ca, retry: as of `JobRun`.

    Raises:
        ClientError: as `JobRun`.
    """

    _link: Link[Any]

    def __init__(
        self,
        server: str,
        queue: str,
        slots: int = 1,
        *,
        on_event: Callable[[WorkEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        self._core = WorkCore(Work(queue, slots), login)
        address = read_address(server, ca)
        super().__init__(address, self._core, session_framing, Task, FATAL, on_event, retry)

    def result(self, task: Task, data: str) -> None:
        """
        Send the result of a task.

        Raises:
            ClientError: it has more than 6,000 bytes; `fail` the task.
        """
        self._core.result(task.id, data)
        self._link.run()

    def fail(self, task: Task, reason: str) -> None:
        """Say that a task has failed; its reason is cut at 500 characters."""
        self._core.fail(task.id, reason)
        self._link.run()


def run_jobs(server: str, queue: str, jobs: Mapping[str, str], **options: Any) -> JobRun:
    """
    Offer jobs, and receive their ends: `async for ended in run_jobs(server, "q", {"1": "data"})`.

    Args and raises as of `JobRun`.
    """
    return JobRun(server, queue, jobs, **options)


async def work(
    server: str, queue: str, calculate: Calculation, slots: int = 1, **options: Any
) -> None:
    """
    Carry out jobs until it is cancelled: `await work(server, "q", calculate)`.

    Args:
        calculate: makes the result of a job's data; a coroutine function, or a function that is
            called in a thread. The text of an exception becomes the reason of a failure.
        options: as of `JobWorker`.

    Raises:
        ClientError: as `JobWorker`.
    """
    on_event = options.pop("on_event", log_event)
    running: dict[str, asyncio.Task[None]] = {}

    def observe(event: WorkEvent) -> None:
        if isinstance(event, Lost):
            for each in list(running.values()):
                each.cancel()
        elif isinstance(event, Withdrawn) and event.id in running:
            running[event.id].cancel()
        on_event(event)

    async def carry_out(task: Task) -> None:
        try:
            worker.result(task, await _calculated(calculate, task.data))
        except Exception as error:
            worker.fail(task, f"{type(error).__name__}: {error}")
        finally:
            del running[task.id]

    async with JobWorker(server, queue, slots, on_event=observe, **options) as worker:
        try:
            async for task in worker:
                running[task.id] = asyncio.create_task(carry_out(task))
        finally:
            for each in list(running.values()):
                each.cancel()


async def _calculated(calculate: Calculation, data: str) -> str:
    if iscoroutinefunction(calculate):
        found = await calculate(data)
    else:
        found = await asyncio.to_thread(calculate, data)
    if not isinstance(found, str):
        raise ClientError(f"A result is a text, not {type(found).__name__}")
    return found
