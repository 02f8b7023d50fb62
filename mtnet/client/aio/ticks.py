"""Receive ticks, one after the other."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mtnet.client.aio.client import Client, Link
from mtnet.client.aio.logs import log_event
from mtnet.client.core.address import read_address
from mtnet.client.core.events import Refused
from mtnet.client.core.login import Login
from mtnet.client.core.ticks import Tick, TickCore, TickEvent
from mtnet.client.core.websocket import tick_framing
from mtnet.errors import RefusedError

MOST_WAITING = 1_000
"""Ticks that wait for the program before no more are read; the server then leaves older ones out,
and `Tick.skipped` counts them."""
FATAL = frozenset({"login", "port"})
"""Codes of refusals that end the stream: the login, or a server of another kind."""


class TickStream(Client[TickEvent]):
    """
    Asynchronous iterator over ticks: the last of each symbol after each connection, then all.

    Args:
        server: as of `Follower`; a port of ticks, or a WebSocket.
        symbols: `UK 100` or, as on the wire, `UK%20100`; None = all of them.
        on_event: called with all events but ticks, such as `Lost`; their `str` is a sentence. By
            default they are logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login,
            is none for ticks, or without `retry`.
    """

    def __init__(
        self,
        server: str,
        symbols: Iterable[str] | None = None,
        *,
        on_event: Callable[[TickEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        address, self._on_event = read_address(server, ca), on_event
        self._core = TickCore(["*"] if symbols is None else symbols, login)
        self._link = Link(address, self._core, tick_framing, self._handle, self._ended, retry)
        self._waiting: deque[Tick] = deque()
        self._news = asyncio.Event()

    def __aiter__(self) -> "TickStream":
        return self

    async def __anext__(self) -> Tick:
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

    def _handle(self, event: TickEvent) -> None:
        if isinstance(event, Tick):
            self._waiting.append(event)
            self._news.set()
            if len(self._waiting) >= MOST_WAITING:
                self._link.pause()
        elif isinstance(event, Refused) and event.code in FATAL:
            raise RefusedError(event.code, event.text)
        else:
            self._on_event(event)


def ticks(server: str, symbols: Iterable[str] | None = None, **options: Any) -> TickStream:
    """
    Receive ticks: `async for tick in ticks("tcp:127.0.0.1:8082", ["EURUSD"])`.

    Args and raises as of `TickStream`.
    """
    return TickStream(server, symbols, **options)
