"""Positions: published to a server, and followed."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IReactorTime, ISSLTransport, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.client.failures import why, within
from mtnet.errors import QUOTED, ClientError, FrameError, WireError, quote
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport
from mtnet.services.signals.classic.wire import parse_position
from mtnet.services.signals.values import parse_symbol, parse_volume
from mtnet.session.grammar import FrameDecoder


def publish(
    endpoint: IStreamClientEndpoint,
    symbol: str,
    volume: Decimal | str,
    clock: IReactorTime,
    timeout: float = 10.0,
) -> "Deferred[None]":
    """
    Set the net position of `symbol` in the channel that the port stands for.

    Fires once the position is on the server's disk. A server confirms by closing cleanly and
    refuses by a reset, so it must be asked directly: a proxy between may confirm by itself.

    Args:
        volume: lots, kept exact; positive = bought, negative = sold, 0 = flat.
        clock: the reactor, or whatever else has its `callLater`.
        timeout: seconds, connecting included.

    Fails with:
        ClientError: the position is refused, the server cannot be reached, or it did not
            confirm in time; the sentence says whether the position may be stored all the same.
    """
    return Deferred.fromCoroutine(_publish(endpoint, symbol, volume, clock, timeout))


def follow(
    endpoint: IStreamClientEndpoint,
    on_position: Callable[[str, Decimal], object],
    clock: IReactorTime,
    *,
    on_connected: Callable[[], object] = lambda: None,
    on_lost: Callable[[str], object] = lambda reason: None,
    codepage: str = "cp1252",
) -> ClientService:
    """
    Return a service that follows the positions of a server and connects again when it must.

    Start it with `startService()`; `whenConnected(failAfterFailures=1)`, called before, tells
    whether the first attempt succeeded.

    Args:
        on_position: is told a symbol and its net position in lots, after each connection for
            every symbol and later at changes; the same position may be told again.
        on_connected: is called after each connection.
        on_lost: is told why a connection ended, also when `stopService()` ended it.
        codepage: how symbols are read that are not UTF-8.
    """
    factory = _FollowFactory(on_position, on_connected, on_lost, codepage)
    return stay_connected(endpoint, factory, clock)


async def _publish(
    endpoint: IStreamClientEndpoint,
    symbol: str,
    volume: Decimal | str,
    clock: IReactorTime,
    timeout: float,
) -> None:
    frame, deadline = _frame(symbol, volume), clock.seconds() + timeout
    publication = _Publication()
    connecting: Deferred[object] = connectProtocol(endpoint, publication)
    try:
        await within(connecting, timeout, clock, f"No connection within {timeout:g} s.")
    except (ConnectError, OSError) as error:
        raise ClientError(f"No connection: {why(error)}.") from error
    unsure = f"Not confirmed within {timeout:g} s; it may still be stored later."
    try:
        publication.send(frame)
        await within(publication.closed, max(0.0, deadline - clock.seconds()), clock, unsure)
    finally:
        publication.transport.abortConnection()


def _frame(symbol: str, volume: Decimal | str) -> bytes:
    # Not the two decimals of the server's frames: 0.004 must not become a flat position.
    text = volume if isinstance(volume, str) else f"{volume:f}"
    try:
        return f"<<{parse_symbol(symbol)}|{parse_volume(text):f}>>\r\n".encode()
    except WireError as error:
        raise ClientError(f"{error}; {symbol!r} {text!r} is refused.") from error


class _Publication(Protocol):
    """
    Sends one frame and learns from the way the server closes what became of it.

    Attributes:
        closed: fires when the position is stored, fails with `ClientError` when it is not.
    """

    # No interface of Twisted's stands for every transport that can half-close.
    transport: Any

    def __init__(self) -> None:
        self.closed: Deferred[None] = Deferred()
        self._received = b""

    def send(self, frame: bytes) -> None:
        """Send `frame` and close this half of the connection."""
        if ISSLTransport.providedBy(self.transport):
            # TLS has no half-closed connections, so nothing would be confirmed.
            text = "Publishing needs an endpoint without TLS, such as tcp:HOST:8081."
            self.closed.errback(ClientError(text))
        else:
            self.transport.write(frame)
            self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        self._received = (self._received + data)[: QUOTED + 1]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.closed.called:
            return
        if not reason.check(ConnectionDone):
            self.closed.errback(ClientError("The server refused the position; its log says why."))
        elif self._received and not self._received.startswith(b"<<"):
            # A web server, say, answers and closes as cleanly as a confirmation.
            text = f"What answers there is no signals port: {quote(self._received)}."
            self.closed.errback(ClientError(text))
        else:
            self.closed.callback(None)


class _FollowProtocol(Protocol):
    """Reads positions until the connection ends."""

    log = Logger()
    factory: "_FollowFactory"
    transport: Transport  # type: ignore[assignment]

    def __init__(self) -> None:
        self._decoder = FrameDecoder()

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self.factory.on_connected()

    def dataReceived(self, data: bytes) -> None:
        try:
            for payload in self._decoder.feed(data):
                self._position(payload)
        except FrameError as error:
            self.log.warn("The server's stream cannot be read: {error}", error=error)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.on_lost(why(reason.value))

    def _position(self, payload: bytes) -> None:
        try:
            symbol, volume = parse_position(payload, self.factory.codepage)
        except WireError as error:
            self.log.warn("A frame of the server is left out: {error}", error=error)
        else:
            self.factory.on_position(symbol, volume)


@dataclass(eq=False)
class _FollowFactory(Factory):
    """Holds what the connections of one follower share."""

    on_position: Callable[[str, Decimal], object]
    on_connected: Callable[[], object]
    on_lost: Callable[[str], object]
    codepage: str

    noisy = False
    protocol = _FollowProtocol  # type: ignore[assignment]
