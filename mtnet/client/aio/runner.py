"""Runs the state machine of a client over connections of asyncio, one after the other."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar, cast

from mtnet.client.aio.http import HttpConnection, http_connector
from mtnet.client.blocking.tls import context, why
from mtnet.client.core.address import Address, no_connection
from mtnet.client.core.driver import Core, Driver
from mtnet.errors import ClientError
from mtnet.net.tcp_options import enable_keepalive

CONNECT_TIMEOUT = 30.0
"""Seconds for an attempt to connect, the name's resolution and the TLS handshake included."""
CLOSE_TIMEOUT = 5.0
"""Seconds in which the last bytes must be on their way."""
E = TypeVar("E")


class Runner(Generic[E]):
    """
    Reconnecting client of asyncio: runs a core over one connection after the other.

    Args:
        framing: makes the codec of a new connection to a server.
        handle: takes each event; an exception of it ends the runner.
        retry: whether to connect again.
    """

    def __init__(
        self,
        address: Address,
        core: Core[E],
        framing: Callable[[Address], Any],
        handle: Callable[[E], object],
        retry: bool = True,
    ) -> None:
        self._address, self._framing, self._retry = address, framing, retry
        self._loop = asyncio.get_running_loop()
        clock = _Clock(self._loop)
        self._driver, self._output = Driver(core, clock, handle), core.session
        self._connection: _Connection | HttpConnection | None = None
        self._open_http = http_connector(address, self._driver, clock)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._task = self._loop.create_task(self._stay_connected())
        self._task.add_done_callback(self._finished)

    @property
    def ended(self) -> "asyncio.Future[None]":
        """Fires when the runner has ended; fails with the reason when it was not stopped."""
        return self._ended

    def run(self, events: Iterable[E] = ()) -> None:
        """Handle events, and send what waits."""
        self._driver.run(events)

    def pause(self) -> None:
        """Read no more until `resume`: the program is behind."""
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        if self._connection is not None:
            self._connection.resume()

    async def stop(self) -> None:
        """Send what waits, and disconnect."""
        self._driver.run()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])

    async def _stay_connected(self) -> None:
        secure, attempt = context(self._address), 0
        while True:
            try:
                connection = await self._connect(secure)
            except (OSError, UnicodeError) as error:
                attempt += 1
                self._fail(no_connection(self._address.text, why(error)), error)
            else:
                attempt = 0
                await self._serve(connection)
            await asyncio.sleep(self._driver.delay(attempt))

    async def _connect(self, secure: Any) -> "_Connection | HttpConnection":
        address = self._address
        if address.http:
            return await self._open_http(partial(self._dial, secure))
        framing = self._framing(address)
        made = partial(_Connection, self._driver, framing, secure is not None)
        connection: _Connection = await self._dial(secure, made)
        return connection

    async def _dial(
        self, secure: Any, made: Callable[[], asyncio.Protocol], host: str | None = None
    ) -> Any:
        address = self._address
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, protocol = await self._loop.create_connection(
                made,
                host or address.host,
                address.port,
                ssl=secure,
                server_hostname=address.name if secure is not None else None,
            )
        return protocol

    async def _serve(self, connection: "_Connection | HttpConnection") -> None:
        self._connection = connection
        try:
            await asyncio.shield(connection.ended)
        except asyncio.CancelledError:
            await connection.close()
            raise
        finally:
            self._connection = None
        if not self._retry:
            reason = self._output.ending
            raise ClientError(f"The connection to {self._address.text} is lost: {reason}.")

    def _fail(self, text: str, error: Exception) -> None:
        if not self._retry:
            raise ClientError(text) from error
        self._driver.failed(text)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            self._ended.set_result(None)
            return
        self._ended.set_exception(cast(BaseException, task.exception()))
        self._ended.exception()  # nobody has to wait for it


class _Clock:
    """The event loop as the clock of a driver."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    def call_later(self, delay: float, call: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay, call)


class _Connection(asyncio.Protocol):
    """
    One connection.

    Attributes:
        ended: fires once the connection is closed; fails with the exception of the program that
            ended it.
    """

    transport: asyncio.Transport

    def __init__(self, driver: Driver[Any], framing: Any, secure: bool) -> None:
        self._driver, self._framing, self._secure = driver, framing, secure
        self._reason = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        enable_keepalive(transport.get_extra_info("socket"))
        self._guarded(self._driver.connected, self, self._framing, self._clear_peer())

    def data_received(self, data: bytes) -> None:
        self._guarded(self._driver.received, data)

    def eof_received(self) -> bool:
        self._reason = "the server closed it"
        return False

    def connection_lost(self, error: Exception | None) -> None:
        reason = self._reason or ("it was closed" if error is None else why(error))
        self._guarded(self._driver.lost, reason)
        if not self.ended.done():
            self.ended.set_result(None)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def abort(self) -> None:
        """Disconnect at once."""
        self.transport.abort()

    def pause(self) -> None:
        """Read no more until `resume`."""
        self.transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        self.transport.resume_reading()

    async def close(self) -> None:
        """Disconnect once everything is sent."""
        self.transport.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.ended), CLOSE_TIMEOUT)
        self.transport.abort()

    def _guarded(self, call: Callable[..., object], *arguments: object) -> None:
        """Call; asyncio would log an exception of the program, and go on reading."""
        try:
            call(*arguments)
        except Exception as error:
            if not self.ended.done():
                self.ended.set_exception(error)
            self.transport.abort()

    def _clear_peer(self) -> str:
        peer = self.transport.get_extra_info("peername")
        return "" if self._secure or not isinstance(peer, tuple) else str(peer[0])
