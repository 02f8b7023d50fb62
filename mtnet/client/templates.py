"""Templates: fetched from a server and stored there, over HTTP."""

from collections.abc import Sequence
from typing import Any, cast

from OpenSSL import SSL
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import (
    IConsumer,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, RequestTransmissionFailed, ResponseDone, ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from mtnet.client.failures import why, within
from mtnet.client.http.templates import (
    CREATED,
    HOST,
    NO_HTTP,
    OK,
    ROOT,
    Description,
    Descriptions,
    Request,
    fetching,
    read_json,
    refusal,
    storing,
)
from mtnet.client.login import Login, check_private
from mtnet.errors import ClientError, quote
from mtnet.net.transport import Transport

MAX_ANSWER = 16_777_216
"""Bytes of an HTTP answer that are read: sixteen times the largest template of a server."""


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
        login: sent only over TLS or within this machine.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        timeout: float = 30.0,
        host: str = HOST,
        login: Login | None = None,
    ) -> None:
        self._agent = Agent.usingEndpointFactory(clock, _FixedEndpoint(endpoint, login is not None))
        self._clock, self._timeout = clock, timeout
        self._headers = {b"User-Agent": [b"mtnet"]}
        if login is not None:
            self._headers[b"Authorization"] = [login.basic]
        self._root = f"http://{host}{ROOT}"

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
        return self._request(fetching(symbol, period, version, platform))

    def put(self, symbol: str, period: str, content: bytes) -> "Deferred[Description]":
        """Store a template; return the server's description of the new version."""
        stored = self._request(storing(symbol, period, content))
        return stored.addCallback(read_json, Description, self._quote)

    def list(self) -> "Deferred[Sequence[Description]]":
        """Return the server's description of each template."""
        return self._request(Request("GET")).addCallback(read_json, Descriptions, self._quote)

    def _request(self, request: Request) -> "Deferred[bytes]":
        uri = f"{self._root}{request.path}".encode("ascii")
        content = _Body(request.content) if request.method == "PUT" else None
        answer = Deferred.fromCoroutine(self._exchange(request.method.encode(), uri, content))
        late = f"No whole answer within {self._timeout:g} s."
        return within(answer, self._timeout, self._clock, late)

    async def _exchange(self, method: bytes, uri: bytes, content: "_Body | None") -> bytes:
        try:
            response = await self._agent.request(method, uri, Headers(self._headers), content)
        except (ConnectError, OSError) as error:
            raise ClientError(f"No connection: {why(error)}.") from error
        except (ResponseFailed, RequestTransmissionFailed, ConnectionClosed) as error:
            for failure in getattr(error, "reasons", ()):
                if failure.check(SSL.Error):  # it asks for a certificate, perhaps
                    raise ClientError(f"No connection: {why(failure.value)}.") from error
            raise ClientError(NO_HTTP) from error
        answer = _BodyCollector()
        response.deliverBody(answer)
        body = await answer.whole
        if response.code not in (OK, CREATED):
            raise ClientError(refusal(response.code, body, self._quote))
        return body

    def _quote(self, body: bytes) -> str:
        # A server that echoes its input would be quoted with the password.
        return "not quoted" if b"Authorization" in self._headers else quote(body)


@implementer(IAgentEndpointFactory, IStreamClientEndpoint)
class _FixedEndpoint:
    """Sends every request to the endpoint that was handed in, whatever its URI names."""

    def __init__(self, endpoint: IStreamClientEndpoint, private: bool) -> None:
        self._endpoint, self._private = endpoint, private

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return the endpoint."""
        return self

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect; the caller sends the request, and the password in it, afterwards."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(factory)
        return connecting.addCallback(self._check) if self._private else connecting

    def _check(self, protocol: Any) -> IProtocol:
        try:
            check_private(protocol.transport)
        except ClientError:
            protocol.transport.abortConnection()
            raise
        return cast(IProtocol, protocol)


@implementer(IBodyProducer)
class _Body:
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


class _BodyCollector(Protocol):
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
