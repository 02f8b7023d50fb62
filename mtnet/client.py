"""
What a Python program uses to publish, to follow, and to fetch and store templates.

Endpoints and the clock are handed in; everything that fails does so with a `ClientError`.

::

    signals = clientFromString(reactor, "tcp:127.0.0.1:8081")
    follow(signals, print, reactor).startService()
    await publish(signals, "GBPUSD", "0.25", reactor)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import random
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

import msgspec
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import (
    IConsumer,
    IReactorTime,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, RequestTransmissionFailed, ResponseDone, ResponseFailed
from twisted.web.http import CREATED, OK
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from mtnet.errors import QUOTED, ClientError, FrameError, WireError, quote
from mtnet.net.hold import hold
from mtnet.net.transport import Transport
from mtnet.signals.wire import FrameDecoder, parse_position, parse_symbol, parse_volume

T = TypeVar("T")

Description = dict[str, Any]
"""What a server says of one template: `symbol`, `period`, `platform`, `size`, `sha256` …"""
Descriptions = list[Description]

MAX_ANSWER = 16_777_216
"""Bytes of an HTTP answer that are read: sixteen times the largest template of a server."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between attempts to connect again: a server's restart is noticed in half a minute."""


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
    policy = backoffPolicy(FIRST_DELAY, LONGEST_DELAY, jitter=random)
    return ClientService(endpoint, factory, retryPolicy=policy, clock=clock)


class Templates:
    """
    The templates of a server, over HTTP on its templates port or its web port.

    Every method fails with `ClientError`: the server cannot be reached, refuses, does not
    answer in time, or answers more than `MAX_ANSWER` bytes.

    Args:
        clock: the reactor, or whatever else has its `callLater`.
        timeout: seconds for one request, connecting included.
        host: the name of the server that requests carry; mtnet knows itself as localhost and
            by those of `web.hosts`.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        timeout: float = 30.0,
        host: str = "localhost",
    ) -> None:
        self._agent = Agent.usingEndpointFactory(clock, _OneEndpoint(endpoint))
        self._clock, self._timeout = clock, timeout
        self._root = f"http://{host}/templates"

    def get(
        self, symbol: str, period: str, version: int | None = None, platform: str | None = None
    ) -> "Deferred[bytes]":
        """
        Fetch a template as the terminal wrote it.

        Args:
            period: a name such as `H1`, or the terminal's code such as `16385`.
            version: None = the newest.
            platform: `mt4` or `mt5`; None = the newest of either.
        """
        asked = {"version": version, "platform": platform}
        query = urlencode({key: value for key, value in asked.items() if value is not None})
        return self._request(b"GET", _path(symbol, period) + (query and f"?{query}"))

    def put(self, symbol: str, period: str, content: bytes) -> "Deferred[Description]":
        """Store a template; return what the server says of the version that it is now."""
        stored = self._request(b"PUT", _path(symbol, period), _Content(content))
        return stored.addCallback(_json_of, Description)

    def list(self) -> "Deferred[Sequence[Description]]":
        """Return what the server says of each template that it holds."""
        return self._request(b"GET", "").addCallback(_json_of, Descriptions)

    def _request(
        self, method: bytes, path: str, content: "_Content | None" = None
    ) -> "Deferred[bytes]":
        uri = f"{self._root}{path}".encode("ascii")
        answer = Deferred.fromCoroutine(self._exchange(method, uri, content))
        late = f"No whole answer within {self._timeout:g} s."
        return within(answer, self._timeout, self._clock, late)

    async def _exchange(self, method: bytes, uri: bytes, content: "_Content | None") -> bytes:
        headers = Headers({b"User-Agent": [b"mtnet"]})
        try:
            response = await self._agent.request(method, uri, headers, content)
        except (ConnectError, OSError) as error:
            raise ClientError(f"No connection: {why(error)}.") from error
        except (ResponseFailed, RequestTransmissionFailed, ConnectionClosed) as error:
            raise ClientError("What answers there broke off, or speaks no HTTP.") from error
        answer = _Answer()
        response.deliverBody(answer)
        body = await answer.whole
        if response.code not in (OK, CREATED):
            raise ClientError(_refusal(response.code, body))
        return body


def why(error: BaseException | None) -> str:
    """Return the reason of a failed connection for the middle of a sentence."""
    reason = error.args[0] if isinstance(error, ConnectError) and error.args[0] else error
    return str(reason).rstrip(".")


def within(
    deferred: "Deferred[T]", seconds: float, clock: IReactorTime, sentence: str
) -> "Deferred[T]":
    """Fail `deferred` with a `ClientError` of `sentence` if it does not fire in `seconds`."""

    def expire(_: object, __: float) -> NoReturn:
        raise ClientError(sentence)

    return deferred.addTimeout(seconds, clock, expire)


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
        hold(self.transport)
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


@implementer(IAgentEndpointFactory)
class _OneEndpoint:
    """Sends every request to the endpoint that was handed in, whatever its URI names."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint."""
        return self._endpoint


@implementer(IBodyProducer)
class _Content:
    """A request's body, which is small enough to be written at once."""

    def __init__(self, content: bytes) -> None:
        self._content, self.length = content, len(content)

    def startProducing(self, consumer: IConsumer) -> "Deferred[None]":
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Everything is written already."""

    def resumeProducing(self) -> None:
        """Everything is written already."""

    def stopProducing(self) -> None:
        """Everything is written already."""


class _Answer(Protocol):
    """
    Collects the body of an answer, up to `MAX_ANSWER` bytes.

    Attributes:
        whole: fires with the body, or fails with `ClientError`.
    """

    transport: Transport  # type: ignore[assignment]

    def __init__(self) -> None:
        self.whole: Deferred[bytes] = Deferred(lambda _: self.transport.loseConnection())
        self._body = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > MAX_ANSWER and not self.whole.called:
            text = f"The answer is longer than {MAX_ANSWER} bytes."
            self.whole.errback(ClientError(text))
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.whole.called:
            return
        if reason.check(ResponseDone):
            self.whole.callback(bytes(self._body))
        else:
            self.whole.errback(ClientError(f"The answer was cut off: {why(reason.value)}."))


def _path(symbol: str, period: str) -> str:
    return f"/{percent_encode(symbol, safe='')}/{percent_encode(period, safe='')}"


def _json_of(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ClientError(f"What answers there is no mtnet: {quote(body)}.") from error


def _refusal(code: int, body: bytes) -> str:
    try:
        return str(_json_of(body, Description)["text"])
    except (ClientError, KeyError):
        return f"What answers there is no mtnet; it says {code}: {quote(body)}."
