"""The connections of a session over HTTP, which its driver sees as one connection of frames."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from mtnet.client.aio.tls import why
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Driver
from mtnet.client.core.framing import FrameFraming
from mtnet.client.http.gateway import Gateway, Road
from mtnet.client.http.posts import Publishing
from mtnet.net.keepalive import enable_keepalive

DRAIN_TIMEOUT = 5.0
"""Seconds in which what waits must be answered before a session is closed."""
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

    def __init__(self, driver: Driver[Any], gateway: Gateway, dial: Dial, secure: bool) -> None:
        self._driver, self._gateway, self._dial, self._secure = driver, gateway, dial, secure
        self._loop = asyncio.get_running_loop()
        self._transports: dict[Road, asyncio.Transport] = {}
        self._peer: str | None = None
        self._attempts: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._lost = False
        self.ended: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        """
        Connect.

        Raises:
            OSError, UnicodeError: as `create_connection`.
        """
        self._gateway.opening(Road.POLL, self._loop.time())
        await self._dial(lambda: _Road(self, Road.POLL), None)

    # The driver and the runner

    def write(self, data: bytes) -> None:
        """Send frames."""
        self._gateway.send(data, self._loop.time())
        self._flush()

    def abort(self) -> None:
        """Disconnect at once."""
        self._lose("it was closed")

    async def close(self) -> None:
        """Disconnect once everything is answered."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answered(), DRAIN_TIMEOUT)
        self._lose("it was closed")
        await asyncio.wait([self.ended])

    def pause(self) -> None:
        """Read no news until `resume`."""
        if Road.POLL in self._transports:
            self._transports[Road.POLL].pause_reading()

    def resume(self) -> None:
        """Read again."""
        if Road.POLL in self._transports:
            self._transports[Road.POLL].resume_reading()

    # Connections

    def opened(self, road: Road, transport: asyncio.Transport) -> None:
        """Begin on a new connection."""
        if self._lost:
            transport.abort()
            return
        self._transports[road] = transport
        self._gateway.connected(road)
        if self._peer is None:
            peer = transport.get_extra_info("peername")
            self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
            framing = FrameFraming()
            self._guarded(self._driver.connected, self, framing, "" if self._secure else self._peer)
        self._flush()

    def received(self, road: Road, data: bytes) -> None:
        """Take bytes of the server; none = it has closed its half."""
        frames = self._gateway.receive(road, data, self._loop.time())
        if self._lost:
            return
        if frames or (data and road is Road.POLL):  # any byte of a poll is a sign of life
            self._guarded(self._driver.received, frames)
        if self._gateway.is_finished(road):
            self._transports[road].abort()
        self._flush()

    def closed(self, road: Road, reason: str) -> None:
        """Note the end of a connection; one that owes nothing is opened again when it is needed."""
        self._transports.pop(road, None)
        if self._gateway.closed(road):
            self._lose(reason)
        self._flush()

    def _flush(self) -> None:
        if self._lost:
            return
        if self._gateway.ending:
            self._lose(self._gateway.ending)
            return
        now = self._loop.time()
        for road in Road:
            if road in self._transports:
                self._transports[road].write(self._gateway.data_to_send(road, now))
            elif self._gateway.wants(road, now):
                self._gateway.opening(road, now)
                self._attempt(road)
        if self._gateway.idle:
            self._drained.set()
        else:
            self._drained.clear()
        self._plan()

    def _attempt(self, road: Road) -> None:
        attempt = self._loop.create_task(self._reopen(road))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    async def _reopen(self, road: Road) -> None:
        try:
            # The password goes to nobody but the server that was checked first.
            await self._dial(lambda: _Road(self, road), self._peer)
        except (OSError, UnicodeError) as error:
            self.closed(road, why(error))

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._gateway.deadline
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._gateway.expire(self._loop.time())
        self._flush()

    # The end

    async def _answered(self) -> None:
        if not self._lost and not self._gateway.idle:
            await self._drained.wait()

    def _lose(self, reason: str) -> None:
        if self._lost:
            return
        self._lost = True
        self._drained.set()
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._attempts:
            attempt.cancel()
        for transport in list(self._transports.values()):
            transport.abort()
        self._loop.call_soon(self._finish, reason)

    def _finish(self, reason: str) -> None:
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
            self._lose("the program failed")


def http_connector(
    address: Address, driver: Driver[Any]
) -> Callable[[Dial], Awaitable[HttpConnection]]:
    """Return a function that connects; all its sessions are of one publisher."""
    publishing = Publishing()

    async def connect(dial: Dial) -> HttpConnection:
        made = HttpConnection(driver, Gateway(address, publishing), dial, address.secure)
        await made.open()
        return made

    return connect


class _Road(asyncio.Protocol):
    """One connection of a session."""

    def __init__(self, session: HttpConnection, road: Road) -> None:
        self._session, self._road = session, road
        self._reason = "it was closed"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        enable_keepalive(transport.get_extra_info("socket"))
        self._session.opened(self._road, cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._session.received(self._road, data)

    def eof_received(self) -> bool:
        self._reason = "the server closed it"
        self._session.received(self._road, b"")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._session.closed(self._road, self._reason if error is None else why(error))
