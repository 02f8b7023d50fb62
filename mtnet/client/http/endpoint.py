"""Signals over HTTP for the clients of Twisted: an endpoint whose connections carry frames."""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    ISSLTransport,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from mtnet.client.connection import ReactorClock
from mtnet.client.core.address import Address
from mtnet.client.failures import why
from mtnet.client.http.gateway import Gateway, Road
from mtnet.client.http.posts import Posts, Publishing
from mtnet.client.http.session import HttpSession
from mtnet.errors import ClientError
from mtnet.net.endpoints import host_of
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.transport import Transport

Below = Callable[[str | None], IStreamClientEndpoint]
"""Returns the endpoint of a TCP or TLS connection to the server; given an address, to that one in
place of the server's name."""


@implementer(IStreamClientEndpoint)
class HttpEndpoint:
    """An endpoint of a server of HTTP, for `Follower` and `Publisher`."""

    def __init__(self, clock: Any, address: Address, below: Below) -> None:
        self._clock, self._address, self._below = clock, address, below
        self._publishing = Publishing()  # all sessions are of one publisher

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect, or fail with `ClientError`: not every client speaks HTTP."""
        gateway = Gateway(self._address, Posts(self._publishing))
        made = _HttpTransport(ReactorClock(self._clock), gateway, self._below, factory)
        return made.open()


@implementer(ITransport)
class _HttpTransport:
    """The transport of a client whose frames go by HTTP."""

    def __init__(
        self, clock: ReactorClock, gateway: Gateway, below: Below, factory: IProtocolFactory
    ) -> None:
        self._below, self._factory = below, factory
        self._session = HttpSession(gateway, clock, self._attempt, self._receive, self._finish)
        self._attempts: set[Deferred[IProtocol]] = set()
        self._protocol: Any = None
        self._first: Transport | None = None
        self.write, self.loseConnection = self._session.write, self._session.close
        self.pauseProducing, self.resumeProducing = self._session.pause, self._session.resume

    def open(self) -> "Deferred[IProtocol]":
        """Connect; fires with the protocol of the client."""
        self._factory.doStart()
        opened = self._dial(Road.POLL, None)
        opened.addErrback(self._not_opened)
        return opened.addCallback(lambda _: self._protocol)

    def _not_opened(self, failure: Failure) -> Failure:
        self._factory.doStop()
        return failure

    def build(self, address: IAddress) -> None:
        """
        Build the protocol of the client, once.

        Raises:
            ClientError: it speaks no HTTP.
        """
        if self._protocol is None:
            self._protocol = self._factory.buildProtocol(address)
            if not getattr(self._protocol, "speaks_http", False):
                raise ClientError("HTTP brings signals alone; this client needs tcp: or secure:")

    def began(self, first: Transport) -> None:
        """Begin the session on its first connection."""
        if self._first is None:
            self._first = first
            if ISSLTransport.providedBy(first):
                directlyProvides(self, ITransport, ISSLTransport)
            self._protocol.makeConnection(self)

    # The client

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        """Send frames."""
        self.write(b"".join(pieces))

    def abortConnection(self) -> None:
        """Disconnect at once."""
        self._session.abort()

    def getPeer(self) -> IAddress:
        """Return the address of the server."""
        assert self._first is not None
        return self._first.getPeer()

    def getHost(self) -> IAddress:
        """Return that of the client."""
        assert self._first is not None
        return self._first.getHost()

    # The session

    def _attempt(self, road: Road) -> None:
        # The password goes to nobody but the server that was checked first.
        attempt = self._dial(road, host_of(self.getPeer()))
        self._attempts.add(attempt)
        attempt.addErrback(lambda failure: self._session.closed(road, why(failure.value)))
        attempt.addBoth(lambda _: self._attempts.discard(attempt))

    def _dial(self, road: Road, host: str | None) -> "Deferred[IProtocol]":
        return self._below(host).connect(_Roads(self, self._session, road))

    def _receive(self, frames: bytes) -> None:
        self._protocol.dataReceived(frames)

    def _finish(self, reason: str) -> None:
        for attempt in list(self._attempts):
            attempt.cancel()
        if self._protocol is not None:
            self._protocol.connectionLost(Failure(ClientError(reason)))
        self._factory.doStop()


class _Roads(Factory):
    """Builds one connection of a session."""

    noisy = False

    def __init__(self, owner: _HttpTransport, session: HttpSession, road: Road) -> None:
        self._owner, self._session, self._road = owner, session, road

    def buildProtocol(self, addr: Any) -> "_Connection":
        self._owner.build(addr)
        return _Connection(self._owner, self._session, self._road)


@implementer(IHalfCloseableProtocol)
class _Connection(Protocol):
    """One connection of a session."""

    transport: Transport  # type: ignore[assignment]

    def __init__(self, owner: _HttpTransport, session: HttpSession, road: Road) -> None:
        self._owner, self._session, self._road = owner, session, road
        self._reason = ""

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self._session.opened(self._road, self)
        self._owner.began(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._session.received(self._road, data)

    def readConnectionLost(self) -> None:
        self._reason = "the server closed it"
        self._session.received(self._road, b"")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._session.closed(self._road, self._reason or why(reason.value))

    # For the session

    def write(self, data: bytes) -> None:
        """Send a request."""
        self.transport.write(data)

    def abort(self) -> None:
        """Disconnect at once."""
        self.transport.abortConnection()

    def pause_reading(self) -> None:
        """Read no more."""
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        self.transport.resumeProducing()
