"""The connections of a session over HTTP, which its driver sees as one connection of frames."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from mtnet.client.blocking.tls import why
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Clock, Driver
from mtnet.client.core.framing import FrameFraming
from mtnet.client.http.gateway import Gateway, Road
from mtnet.client.http.posts import Posts, Publishing
from mtnet.client.http.session import HttpSession
from mtnet.net.tcp_options import enable_keepalive

Dial = Callable[[Callable[[], asyncio.Protocol], str | None], Awaitable[Any]]
"""Connects to the server; at its second argument, an address, in place of its name."""


class HttpConnection:
    """
    A session over HTTP.

    Args:
        dial: opens a connection, within its own time-out.
        secure: whether nobody else reads it.

    Attributes:
        ended: fires once the session is closed; fails with the exception of the program that ended
            it.
    """

    def __init__(
        self, driver: Driver[Any], gateway: Gateway, clock: Clock, dial: Dial, secure: bool
    ) -> None:
        self._driver, self._dial, self._secure = driver, dial, secure
        self._session = HttpSession(gateway, clock, self._attempt, self._receive, self._finish)
        self._peer: str | None = None
        self._attempts: set[asyncio.Task[None]] = set()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.write, self.abort = self._session.write, self._session.abort
        self.pause, self.resume = self._session.pause, self._session.resume

    async def open(self) -> None:
        """
        Connect.

        Raises:
            OSError, UnicodeError: as `create_connection`.
        """
        await self._dial(lambda: _Road(self, self._session, Road.POLL), None)

    async def close(self) -> None:
        """Disconnect once everything is answered."""
        self._session.close()
        await asyncio.wait([self.ended])

    def began(self, transport: asyncio.Transport) -> None:
        """Begin the session on its first connection."""
        if self._peer is None:
            peer = transport.get_extra_info("peername")
            self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
            clear_peer = "" if self._secure else self._peer
            self._guarded(self._driver.connected, self, FrameFraming(), clear_peer)

    def _attempt(self, road: Road) -> None:
        attempt = asyncio.ensure_future(self._reopen(road))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    async def _reopen(self, road: Road) -> None:
        try:
            # The password goes to nobody but the server that was checked first.
            await self._dial(lambda: _Road(self, self._session, road), self._peer)
        except (OSError, UnicodeError) as error:
            self._session.closed(road, why(error))

    def _receive(self, frames: bytes) -> None:
        self._guarded(self._driver.received, frames)

    def _finish(self, reason: str) -> None:
        for attempt in self._attempts:
            attempt.cancel()
        self._guarded(self._driver.lost, reason)
        if not self.ended.done():
            self.ended.set_result(None)

    def _guarded(self, call: Callable[..., object], *arguments: object) -> None:
        """Call; asyncio would log an exception of the program, and go on reading."""
        try:
            call(*arguments)
        except Exception as error:
            if not self.ended.done():
                self.ended.set_exception(error)
            self._session.abort("the program failed")


def http_connector(
    address: Address, driver: Driver[Any], clock: Clock
) -> Callable[[Dial], Awaitable[HttpConnection]]:
    """Return a function that connects; all its sessions are of one publisher."""
    publishing = Publishing()

    async def connect(dial: Dial) -> HttpConnection:
        gateway = Gateway(address, Posts(publishing))
        made = HttpConnection(driver, gateway, clock, dial, address.secure)
        await made.open()
        return made

    return connect


class _Road(asyncio.Protocol):
    """One connection of a session."""

    def __init__(self, owner: HttpConnection, session: HttpSession, road: Road) -> None:
        self._owner, self._session, self._road = owner, session, road
        self._reason = "it was closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        enable_keepalive(transport.get_extra_info("socket"))
        connection = cast(asyncio.Transport, transport)
        self._session.opened(self._road, connection)
        self._owner.began(connection)

    def data_received(self, data: bytes) -> None:
        self._session.received(self._road, data)

    def eof_received(self) -> bool:
        self._reason = "the server closed it"
        self._session.received(self._road, b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._session.closed(self._road, self._reason if error is None else why(error))
