"""Servers in memory for clients: an endpoint, its connections, and what became of a Deferred."""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import ISSLTransport, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from mtnet.errors import ClientError
from mtnet.services.signals.wire.requests import read_request
from mtnet.session.grammar import FrameDecoder, parse


class FarEnd(StringTransport):
    """A connection seen from the server; `protocol` is the client's."""

    half_closed = aborted = gone = False

    def loseWriteConnection(self):
        self.half_closed = True

    def setTcpNoDelay(self, enabled):
        """Twisted's HTTP asks for it where there is TLS."""

    def abortConnection(self):
        if not self.gone:
            self.aborted = True
            self.close(ConnectionAborted())

    def loseConnection(self):
        super().loseConnection()
        self.abortConnection()

    def close(self, error=None):
        self.gone = True
        self.protocol.connectionLost(Failure(error or ConnectionDone()))


@implementer(IStreamClientEndpoint)
class Server:
    """An endpoint; `accepts` may be an error, or None for a server that never answers."""

    def __init__(self, accepts=True, tls=False):
        self.accepts, self.tls, self.connections = accepts, tls, []

    def connect(self, factory):
        if self.accepts is None:
            return Deferred()
        if isinstance(self.accepts, Exception):
            return fail(self.accepts)
        end = FarEnd()
        if self.tls:
            alsoProvides(end, ISSLTransport)
        end.protocol = factory.buildProtocol(None)
        self.connections.append(end)
        end.protocol.makeConnection(end)
        return succeed(end.protocol)

    @property
    def end(self):
        return self.connections[-1]


class Outcome:
    """What became of a Deferred."""

    def __init__(self, deferred):
        self.values, self.errors = [], []
        deferred.addCallbacks(self.values.append, lambda failure: self.errors.append(failure.value))

    @property
    def waits(self):
        return not self.values and not self.errors

    @property
    def sentence(self):
        (error,) = self.errors
        assert isinstance(error, ClientError)
        return str(error)


def answer(server, body, status="200 OK", length=None):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n"
    server.end.protocol.dataReceived(head.encode() + body)


class DialectSession(Protocol):
    """One connection in the eyes of a server of dialect 2, which takes its requests."""

    def __init__(self, server):
        self.server, self.decoder = server, FrameDecoder()

    def dataReceived(self, data):
        for payload in self.decoder.feed(data):
            self.server.takes(self, read_request(parse(payload)))

    def say(self, *frames):
        for frame in frames:
            self.transport.write(frame)


class DialectServer(Factory):
    """A server of dialect 2 that a test writes: `takes(session, request)` answers."""

    noisy = False
    session = DialectSession

    def buildProtocol(self, addr):
        return self.session(self)
