"""Base of the clients for asyncio: connected from the first use until they are closed."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Generic, Self, TypeVar

from mtnet.callbacks import noop
from mtnet.client.aio.runner import Runner
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Core
from mtnet.client.core.websocket import session_framing

E = TypeVar("E")


class Link(Generic[E]):
    """
    Lazy runner: it begins at the first use of a client, which may be made before its event loop.

    Args:
        address, core, framing, handle, retry: as of `Runner`.
        ended: called when nothing more will come.
        first: events that are handled at the start.

    Attributes:
        runner: None = it has not begun.
    """

    def __init__(
        self,
        address: Address,
        core: Core[E],
        framing: Callable[[Address], Any],
        handle: Callable[[E], object],
        ended: Callable[["asyncio.Future[None]"], object],
        retry: bool,
        first: Iterable[E] = (),
    ) -> None:
        self._make = lambda: Runner(address, core, framing, handle, retry)
        self._core, self._handle, self._ended, self._first = core, handle, ended, first
        self.runner: Runner[E] | None = None

    def start(self) -> Runner[E]:
        """Begin, unless it has; return the runner."""
        if self.runner is None:
            self.runner = self._make()
            self.runner.ended.add_done_callback(self._ended)
            for event in self._first:
                self._handle(event)
        return self.runner

    def run(self, events: Iterable[E] = ()) -> None:
        """Handle events, and send what waits."""
        if self.runner is not None:
            self.runner.run(events)

    def pause(self) -> None:
        """Read no more until the runner is resumed: the program is behind."""
        if self.runner is not None:
            self.runner.pause()

    async def stop(self) -> None:
        """Send what waits, and disconnect."""
        if self.runner is not None:
            await self.runner.stop()

    async def close(self) -> None:
        """Say good-bye, and disconnect."""
        if self.runner is not None and not self.runner.ended.done():
            self.runner.run(self._core.stop())
            await self.runner.stop()


def session_link(
    address: Address,
    core: Core[E],
    handle: Callable[[E], object],
    ended: Callable[["asyncio.Future[None]"], object],
    retry: bool,
    first: Iterable[E] = (),
) -> Link[E]:
    """Return the link of a client of sessions; arguments as of `Link`."""
    return Link(address, core, session_framing, handle, ended, retry, first)


class Client(Generic[E]):
    """Asynchronous context manager around a link, which a subclass makes."""

    _link: Link[E]
    _on_event: Callable[[E], object]

    async def __aenter__(self) -> Self:
        self._link.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say good-bye and disconnect: a loop that waits ends, a signal without an answer fails."""
        self._on_event = noop
        await self._link.close()

    def _run(self, events: Iterable[E] = ()) -> None:
        """Handle events, and send what waits: what `Reporting` needs of a client."""
        self._link.run(events)
