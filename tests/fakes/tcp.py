"""TCP connections whose socket takes as many bytes as the test lets it."""

import socket

from twisted.internet.interfaces import ISystemHandle, ITCPTransport
from zope.interface import directlyProvides

from mtnet.testing import TerminalTransport

ROOM = 1_000


class FakeSocket(socket.socket):
    """
    A socket that takes as many bytes as the test lets it, without a connection.

    Attributes:
        heard: is told what it took.
    """

    def __init__(self):
        super().__init__()
        self.room, self.taken, self.calls, self.error = ROOM, b"", 0, None
        self.heard = lambda data: None

    def send(self, data):
        self.calls += 1
        if self.error:
            raise self.error
        if not self.room:
            raise BlockingIOError
        sent = min(self.room, len(data))
        self.room -= sent
        self.taken += data[:sent]
        self.heard(data[:sent])
        return sent


class TcpTransport(TerminalTransport):
    """
    A TCP transport as Twisted's: what is written waits until the reactor's turn.

    Attributes:
        handle: its socket; all that ever left is there.
    """

    def __init__(self, clock):
        super().__init__(clock, "127.0.0.1", "127.0.0.1")
        self.handle = FakeSocket()
        self.writing = False
        self.reports = []
        directlyProvides(self, ITCPTransport, ISystemHandle)

    _tempDataBuffer = ()

    @property
    def dataBuffer(self):
        return self.value()

    def getHandle(self):
        return self.handle

    def setTcpNoDelay(self, enabled):
        pass

    def setTcpKeepAlive(self, enabled):
        pass

    def startWriting(self):
        self.writing = True

    def write(self, data):
        self.io.write(data)
        self.writing = True

    def turn(self):
        """Let the reactor find the socket writable."""
        if not self.writing or not self.handle.room:
            return
        waiting = self.value()
        sent = self.handle.send(waiting) if waiting else 0
        self.clear()
        self.io.write(waiting[sent:])
        if sent == len(waiting):
            self.writing = False
            if self.producer is not None:
                self.producer.resumeProducing()
