"""A TLS client without sockets: Python's ssl against what mtnet builds."""

import ssl

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from mtnet.testing import TerminalTransport


class TlsClient:
    """
    Dials a factory over an in-memory transport.

    Attributes:
        failure: what the handshake ended with, or None.
    """

    def __init__(self, factory, clock, context, name="localhost", head=b"", transport=None):
        self.transport = transport or TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
        self.clock, self.failure = clock, None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self.protocol = factory.buildProtocol(self.transport.getPeer())
        if self.protocol is not None:
            self.protocol.makeConnection(self.transport)
            if head:
                self.protocol.dataReceived(head)

    def shake(self):
        """Do the handshake, and return this client."""
        while self.failure is None:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.failure = error
            else:
                self.deliver()
                return self
            if not self.deliver() + self.collect():
                break
        return self

    def send(self, data):
        self.tls.write(data)
        self.deliver()

    def hang_up(self):
        """Be gone, without a word."""
        self.protocol.connectionLost(Failure(ConnectionLost()))

    def received(self):
        """Return what the server said since the last call."""
        self.clock.advance(0)  # small writes of Twisted wait for the next turn
        self.collect()
        found = b""
        try:
            while data := self.tls.read(65_536):
                found += data
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return found

    ended = False

    @property
    def certificate(self):
        """The names that the server's certificate is valid for."""
        return [name for _, name in self.tls.getpeercert()["subjectAltName"]]

    def deliver(self):
        data = self._outgoing.read()
        if data:
            self.protocol.dataReceived(data)
        return len(data)

    def collect(self):
        data = self.transport.value()
        self.transport.clear()
        self._incoming.write(data)
        return len(data)
