"""Publish signals, each confirmed once it is on the server's disk."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtnet.client.aio.client import Client, session_link
from mtnet.client.aio.logs import log_event
from mtnet.client.core.address import read_address
from mtnet.client.core.events import Failed, PublisherEvent, Stopped, Stored
from mtnet.client.core.login import Login
from mtnet.client.core.numbers import Number
from mtnet.client.core.publisher import PublisherCore
from mtnet.client.core.reconciliation import Positions
from mtnet.client.core.session import Session
from mtnet.client.feedback import Reporting
from mtnet.errors import ClientError
from mtnet.services.signals import values

TIMEOUT = 10.0
"""Seconds until the signal of `publish` must be confirmed."""


class Answers:
    """Answers that are waited for, by the ids of their signals."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[int]] = {}

    def expect(self, identity: str) -> "asyncio.Future[int]":
        """Return the answer to a signal."""
        answer = self._waiting[identity] = asyncio.get_running_loop().create_future()
        return answer

    def take(self, event: PublisherEvent) -> bool:
        """Return whether an event is an answer, which whoever waits for it has now."""
        if not isinstance(event, Stored | Failed):
            return False
        answer = self._waiting.pop(event.id, None)
        if answer is None or answer.done():
            return True
        if isinstance(event, Stored):
            answer.set_result(event.seq)
        else:
            answer.set_exception(event.error)
        return True

    def end(self, error: BaseException | None) -> None:
        """Fail what waits: no answer will come."""
        why = error or ClientError("The publisher was closed.")
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(why)


class Publisher(Client[PublisherEvent], Reporting):
    """
    Publishes signals, and sends each again until the server has it on its disk.

    `async with Publisher(…) as publisher:` connects, and says good-bye at the end. Of one position
    the next signal is sent when the one before it is stored.

    Args:
        server: as of `Follower`.
        channel: of signals that name none.
        positions: returns everything that the account holds, as of `mtnet.client.Publisher`; the
            publisher then keeps the channel equal to it.
        take: `free` takes the channel when nobody else publishes there; `1` takes it over, which a
            person decides; `0` publishes without being the channel's publisher.
        on_event: called with all events but answers, such as `Lost`, `Paused`, `Fenced`; their
            `str` is a sentence. By default they are logged as `mtnet.client`.
        name, login, ca, retry: as of `Follower`. The server takes a publisher of the same name and
            login for the same one.

    Raises:
        ClientError: an argument is invalid; `take` is `0`, and `positions` would close what another
            publisher holds.
    """

    _core: PublisherCore

    def __init__(
        self,
        server: str,
        channel: str = "main",
        *,
        positions: Positions | None = None,
        take: values.Take = "free",
        on_event: Callable[[PublisherEvent], object] = log_event,
        name: str = "",
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        address = read_address(server, ca, http=True)
        self._core = PublisherCore(Session(name, login), channel, take, positions)
        self._link = session_link(address, self._core, self._handle, self._ended, retry)
        self._on_event, self._answers = on_event, Answers()
        self._stopping: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return self._core.waiting

    async def publish(
        self,
        symbol: str,
        volume: Number,
        *,
        channel: str | None = None,
        ticket: str = "",
        type: values.Kind = "position",
        id: str = "",
        **fields: Number,
    ) -> int:
        """
        Set a position, whole; return the seq of its entry once that is on disk.

        If the wait is cancelled, the signal is sent all the same.

        Args:
            volume: lots, kept exact, a float by its shortest text; positive = bought, negative =
                sold, 0 = closed.
            ticket: of one position among several of the symbol; empty = the net position.
            id: unique in the channel; a repeated id is never applied twice. Empty = a new one.
            fields: `price`, `sl`, `tp`, `magic`, `comment`, `ptime` (your clock, milliseconds).

        Raises:
            RefusedError: the server refuses it; see `code` and `closed`.
            ClientError: it is invalid, another publisher holds the channel, the publisher was
                closed, or without `retry` the connection failed.
        """
        runner = self._link.start()
        if runner.ended.done():
            runner.ended.result()
        identity = self._core.publish(symbol, volume, channel, ticket, type, id, fields)
        answer = self._answers.expect(identity)
        runner.run()
        return await answer

    def _handle(self, event: PublisherEvent) -> None:
        if self._answers.take(event):
            return
        if isinstance(event, Stopped):
            # Somebody else holds the channel, or the login is refused: it does not come back.
            self._stopping = asyncio.ensure_future(self._link.stop())
        self._on_event(event)

    def _ended(self, ended: "asyncio.Future[None]") -> None:
        self._answers.end(ended.exception())


async def publish(
    server: str,
    symbol: str,
    volume: Number,
    channel: str = "main",
    *,
    timeout: float = TIMEOUT,
    login: Login | None = None,
    ca: Path | str | None = None,
    **fields: Any,
) -> int:
    """
    Connect, publish one signal beside the channel's publisher, and return the seq of its entry.

    Args:
        timeout: seconds until it must be confirmed.
        fields: `ticket`, `type`, `id` and the other fields of `Publisher.publish`.

    Raises:
        ClientError: as of `Publisher.publish`, or it is not confirmed in time.
    """
    publisher = Publisher(server, channel, take="0", login=login, ca=ca, retry=False)
    async with publisher:
        try:
            return await asyncio.wait_for(publisher.publish(symbol, volume, **fields), timeout)
        except TimeoutError:
            raise ClientError(
                f"Not confirmed within {timeout:g} s; it may still be stored later."
            ) from None
