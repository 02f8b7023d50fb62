"""Connections without sockets: two protocols, and what lies between them."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IStreamClientEndpoint, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ITCPTransport)
class MemoryTransport:
    """
    One end of a connection; as below a reactor, nothing happens before the next turn.

    Attributes:
        unread: what was written and has not arrived.
        said: everything that was ever written.
    """

    def __init__(self, host, peer):
        self._host, self._peer = host, peer
        self.unread, self.said = b"", b""
        self.connected, self.disconnecting, self.disconnected = True, False, False
        self.aborted = self.paused = self.half_closed = False
        self.producer, self._pulled = None, False

    def write(self, data):
        if not self.disconnecting and not self.aborted and self.connected:
            self.unread += data
            self.said += data

    def writeSequence(self, pieces):
        self.write(b"".join(pieces))

    def loseConnection(self):
        self.disconnecting = True

    def loseWriteConnection(self):
        self.half_closed = True

    def abortConnection(self):
        self.aborted, self.unread = True, b""

    def registerProducer(self, producer, streaming):
        self.producer, self._pulled = producer, not streaming

    def unregisterProducer(self):
        self.producer = None

    def pauseProducing(self):
        self.paused = True

    def resumeProducing(self):
        self.paused = False

    stopProducing = loseConnection

    def drained(self):
        """Tell a producer that everything has arrived."""
        if self.producer is not None and self.connected:
            self.producer.resumeProducing()

    def lost(self, error):
        if self.connected:
            self.connected = False
            self.disconnected = True
            self.protocol.connectionLost(Failure(error))

    def getHost(self):
        return self._host

    def getPeer(self):
        return self._peer

    def getHandle(self):
        return None

    def setTcpNoDelay(self, enabled):
        pass

    def setTcpKeepAlive(self, enabled):
        pass

    def getTcpNoDelay(self):
        return True

    def getTcpKeepAlive(self):
        return True


class Connection:
    """
    A connection.

    Attributes:
        client, server: its ends.
        stalled: nothing arrives any more.
    """

    def __init__(self, client, server, clock, host="127.0.0.1"):
        here = IPv4Address("TCP", "127.0.0.1", 50_000)
        there = IPv4Address("TCP", host, 8443)
        self.clock, self.stalled = clock, False
        self.client, self.server = MemoryTransport(here, there), MemoryTransport(there, here)
        self.client.protocol, self.server.protocol = client, server
        server.makeConnection(self.server)
        client.makeConnection(self.client)

    def turn(self):
        """Let one thing happen in each direction; return whether anything did."""
        if not self.client.connected or self.stalled:
            return False
        happened = self._carry(self.server, self.client)
        happened = self._carry(self.client, self.server) or happened
        return (
            self._close(self.client, self.server)
            or self._close(self.server, self.client)
            or (happened)
        )

    def carry(self, there, back):
        """Let so many bytes arrive at most: of the client, then of the server."""
        self._carry(self.client, self.server, there)
        self._carry(self.server, self.client, back)

    def cut(self):
        """Break it, in the eyes of both."""
        for end in (self.server, self.client):
            end.unread = b""
            end.lost(ConnectionLost())

    def _carry(self, sender, receiver, most=None):
        size = len(sender.unread) if most is None else min(most, len(sender.unread))
        if not size or receiver.paused or receiver.aborted or not receiver.connected:
            return False
        data, sender.unread = sender.unread[:size], sender.unread[size:]
        receiver.protocol.dataReceived(data)
        sender.drained()
        return True

    def _close(self, end, other):
        if not end.connected:
            return False
        if end.aborted:
            end.lost(ConnectionAborted())
            other.lost(ConnectionLost())
        elif end.disconnecting and not end.unread:
            end.lost(ConnectionDone())
            other.lost(ConnectionDone())
        elif end.half_closed and not end.unread:
            end.half_closed = False
            half = IHalfCloseableProtocol(other.protocol, None)
            if half is None:
                other.loseConnection()
            else:
                half.readConnectionLost()
        else:
            return False
        return True


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint that leads to what `factory` builds.

    Attributes:
        factory: of the server; an exception fails every attempt, None never answers.
        wires: each connection there was, newest last.
        running: how many client factories were started and not stopped.
    """

    def __init__(self, factory, clock, host="127.0.0.1"):
        self.factory, self._clock, self._host = factory, clock, host
        self.connections, self.running = [], 0

    def connect(self, factory):
        if isinstance(self.factory, Exception):
            return fail(self.factory)
        self.running += 1
        factory.doStart()
        address = IPv4Address("TCP", self._host, 8443)
        client, server = factory.buildProtocol(address), self.factory.buildProtocol(address)
        connection = Connection(client, server, self._clock, self._host)
        self.connections.append(connection)
        stop = connection.client.lost

        def lost(error):
            if connection.client.connected:
                stop(error)
                self.running -= 1
                factory.doStop()

        connection.client.lost = lost
        return succeed(client)

    @property
    def connection(self):
        return self.connections[-1]

    def settle(self):
        """Let everything happen that needs no time to pass."""
        for _ in range(1_000):
            self._clock.advance(0)
            if not any([connection.turn() for connection in self.connections]):
                self._clock.advance(0)
                if not any([connection.turn() for connection in self.connections]):
                    return
        raise AssertionError("It goes on for ever.")
