"""Base of the subscriptions for asyncio: what a core receives, one item after the other."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from mtnet.client.aio.client import Client, Link
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Core
from mtnet.client.core.events import Refused
from mtnet.errors import RefusedError

MOST_WAITING = 1_000
"""Items that wait for the program before no more are read; the server then leaves out older ticks,
and older states of an open bar."""
T = TypeVar("T")


class Stream(Client[Any], Generic[T]):
    """
    Asynchronous iterator over the items of a subscription.

    Args:
        framing: makes the codec of a connection.
        item: the type of the events that are items.
        fatal: codes of refusals that end the loop.
        on_event: called with all other events.
    """

    def __init__(
        self,
        address: Address,
        core: Core[Any],
        framing: Callable[[Address], Any],
        item: type[T],
        fatal: frozenset[str],
        on_event: Callable[[Any], object],
        retry: bool,
    ) -> None:
        self._item, self._fatal, self._on_event = item, fatal, on_event
        self._link = Link(address, core, framing, self._handle, self._ended, retry)
        self._waiting: deque[T] = deque()
        self._news = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        runner = self._link.start()
        while not self._waiting:
            if runner.ended.done():
                runner.ended.result()
                raise StopAsyncIteration
            runner.resume()
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    def _ended(self, _: "asyncio.Future[None]") -> None:
        self._news.set()

    def _handle(self, event: Any) -> None:
        if isinstance(event, self._item):
            self._waiting.append(event)
            self._news.set()
            if len(self._waiting) >= MOST_WAITING:
                self._link.pause()
        elif isinstance(event, Refused) and event.code in self._fatal:
            raise RefusedError(event.code, event.text)
        else:
            self._on_event(event)
