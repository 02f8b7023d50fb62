"""Connections whose peer has closed its half go once their socket is gone, and not before."""

import socket
import struct

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.unix import Port as UnixPort
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.net.keepalive import EVERY, IDLE, HalfClosedConnections, watch_half_closed

RESET = struct.pack("ii", 1, 0)


class Still(Clock):
    """A reactor in which nothing happens by itself."""

    def addReader(self, reader):
        pass

    removeReader = addWriter = removeWriter = addReader


class Counts(Protocol):
    lost = 0

    def connectionLost(self, reason):
        self.lost += 1


@implementer(IHalfCloseableProtocol)
class Stays(Counts):
    """Goes on when its peer has said all."""

    def readConnectionLost(self):
        pass

    def writeConnectionLost(self):
        pass


class Service(ServerFactory):
    noisy = False

    def __init__(self, protocol):
        self.made, self.kind = [], protocol

    def buildProtocol(self, addr):
        self.made.append(self.kind())
        return self.made[-1]


class Pair:
    """A connection, both of its ends."""

    def __init__(self, port, client):
        self.client = client
        port.doRead()
        self.protocol = port.factory.made[-1]
        self.server = self.protocol.transport

    def finish(self):
        """Close the peer's half, and let the server learn of it."""
        self.client.shutdown(socket.SHUT_WR)
        self.server.readConnectionLost(Failure(self.server.doRead()))

    def reset(self):
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.client.close()


@pytest.fixture
def clock():
    return Still()


@pytest.fixture
def ports(clock, tmp_path):
    opened = []

    def listen(protocol=Stays, unix=False):
        service = Service(protocol)
        if unix:
            port = UnixPort(str(tmp_path / "socket"), service, reactor=clock)
        else:
            port = Port(0, service, interface="127.0.0.1", reactor=clock)
        watch_half_closed(port, clock)
        port.startListening()
        opened.append(port)
        return port

    yield listen
    for port in opened:
        port.stopReading()
        port.socket.close()


@pytest.fixture
def dial():
    clients = []

    def connect(port):
        if isinstance(port, UnixPort):
            client = socket.socket(socket.AF_UNIX)
            client.connect(port.getHost().name)
        else:
            client = socket.create_connection(("127.0.0.1", port.getHost().port))
        clients.append(client)
        return Pair(port, client)

    yield connect
    for client in clients:
        client.close()


def test_one_that_was_reset_behind_its_fin_goes_at_the_next_look(ports, dial, clock):
    pair = dial(ports())
    pair.finish()
    pair.reset()
    assert pair.protocol.lost == 0
    clock.advance(EVERY)
    clock.advance(0)
    assert pair.protocol.lost == 1


def test_one_that_still_reads_stays_and_is_written_to(ports, dial, clock):
    pair = dial(ports())
    pair.finish()
    for _ in range(20):
        clock.advance(EVERY)
    assert pair.protocol.lost == 0
    pair.server.write(b"here")
    pair.server.doWrite()
    assert pair.client.recv(4) == b"here"
    pair.server.connectionLost(Failure(ConnectionError()))


def test_only_the_dead_ones_of_many_go(ports, dial, clock):
    port = ports()
    pairs = [dial(port) for _ in range(6)]
    for pair in pairs:
        pair.finish()
    for pair in pairs[::2]:
        pair.reset()
    clock.advance(EVERY)
    clock.advance(0)
    assert [pair.protocol.lost for pair in pairs] == [1, 0] * 3
    for pair in pairs[1::2]:
        pair.server.connectionLost(Failure(ConnectionError()))


def test_a_unix_socket_whose_other_end_is_gone_goes(ports, dial, clock):
    pair = dial(ports(unix=True))
    pair.finish()
    clock.advance(EVERY)
    assert pair.protocol.lost == 0
    pair.client.close()
    clock.advance(EVERY)
    clock.advance(0)
    assert pair.protocol.lost == 1


def test_the_kernel_probes_a_half_closed_peer_soon_and_often(ports, dial):
    pair = dial(ports())
    pair.finish()
    sock = pair.server.getHandle()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == IDLE
    interval = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    # A closed one is answered for by its machine for 60 s, a vanished one by nobody.
    assert 60 + IDLE + EVERY <= 90
    assert IDLE + 3 * interval + EVERY <= 90
    pair.server.connectionLost(Failure(ConnectionError()))


@pytest.mark.parametrize("kind", [Counts, Stays])
def test_nobody_looks_when_nobody_is_half_closed(ports, dial, clock, kind):
    pair = dial(ports(kind))
    assert clock.getDelayedCalls() == []
    pair.finish()
    if kind is Stays:
        assert len(clock.getDelayedCalls()) == 1
        pair.server.connectionLost(Failure(ConnectionError()))
    assert pair.protocol.lost == 1
    assert clock.getDelayedCalls() == []


class Dead:
    """A connection whose other end is gone."""

    def __init__(self, error=None):
        self.handle, other = socket.socketpair()
        self.error, self.ended = error, False
        other.close()

    def fileno(self):
        return self.handle.fileno()

    def getHandle(self):
        return self.handle

    def abortConnection(self):
        self.handle.close()
        if self.error:
            raise self.error
        self.ended = True


def test_one_that_cannot_be_ended_does_not_end_the_looks(clock):
    watched = HalfClosedConnections(clock)
    dead = [Dead(ZeroDivisionError()), Dead(ZeroDivisionError()), Dead()]
    for each in dead:
        watched.add(each)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            clock.advance(EVERY)
    clock.advance(EVERY)
    assert dead[2].ended
