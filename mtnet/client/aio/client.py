"""Base of the clients for asyncio: connected from the first use until they are closed."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from mtnet.callbacks import noop
from mtnet.client.aio.runner import Runner
from mtnet.client.core.address import Address, read_address
from mtnet.client.core.driver import Core
from mtnet.client.core.websocket import session_framing

E = TypeVar("E")


class Client(Generic[E]):
    """
    Asynchronous context manager that runs a core; a subclass makes the core.

    Args:
        on_event: called with the events that are not for the client itself.
        retry: whether to connect again.
    """

    _core: Core[E]

    def __init__(
        self,
        server: str,
        on_event: Callable[[E], object],
        ca: Path | str | None,
        retry: bool,
        framing: Callable[[Address], Any] = session_framing,
    ) -> None:
        self._address, self._retry, self._framing = read_address(server, ca), retry, framing
        self._on_event = on_event
        self._runner: Runner[E] | None = None

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say good-bye and disconnect: a loop that waits ends, a signal without an answer fails."""
        self._on_event = noop
        if self._runner is not None and not self._runner.ended.done():
            self._runner.run(self._core.stop())
            await self._runner.stop()

    def _start(self) -> Runner[E]:
        if self._runner is None:
            self._runner = Runner(
                self._address, self._core, self._framing, self._handle, self._retry
            )
            self._runner.ended.add_done_callback(self._ended)
        return self._runner

    def _run(self, events: Iterable[E] = ()) -> None:
        if self._runner is not None:
            self._runner.run(events)

    def _handle(self, event: E) -> None:
        """Take an event of the core."""
        raise NotImplementedError

    def _ended(self, ended: "asyncio.Future[None]") -> None:
        """Wake what waits: nothing more will come."""
        raise NotImplementedError
