"""A sender of ticks in memory, and a port that answers what it is told to."""

from fakes.transports import MemoryEndpoint
from twisted.internet.protocol import Factory, Protocol

from mtnet import client
from mtnet.client import TickSender
from mtnet.client.core.prices import sending

ONE, TWO, THREE = b"EURUSD 1.1", b"EURUSD 1.2", b"EURUSD 1.3"


class FakePort(Protocol):
    """A tick port that answers what it is told to."""

    def __init__(self):
        self.heard = b""

    def dataReceived(self, data):
        self.heard += data


class FakePortFactory(Factory):
    noisy = False

    def __init__(self):
        self.built = []

    def buildProtocol(self, addr):
        self.built.append(FakePort())
        return self.built[-1]


class Harness:
    """
    A sender that is started, and the port that it is connected to.

    Attributes:
        told: what it told: `connected`, why a connection was lost, what was refused.
    """

    def __init__(self, factory, clock, source="desk-1", host="127.0.0.1", **options):
        self.clock, self.told, self.errors = clock, [], []
        self.line = MemoryEndpoint(factory, clock, host)
        self.sender = TickSender(
            self.line,
            source,
            clock,
            on_connected=lambda: self.told.append("connected"),
            on_lost=self.told.append,
            on_error=self.errors.append,
            **options,
        )
        self.first = self.sender._core._number + 1
        self.sender.startService()
        self.line.settle()

    def send(self, *ticks):
        for tick in ticks:
            self.sender.send_record(tick)

    def pass_time(self, seconds=sending.BATCH_INTERVAL):
        self.clock.advance(seconds)
        self.line.settle()

    def heard(self):
        """Return what the port heard since the last call, SEQ counted from 1."""
        port = self.line.connection.server.protocol
        found, port.heard = port.heard, b""
        for number in range(50, -1, -1):
            found = found.replace(
                b"@@desk-1 %d\n" % (self.first + number), b"@@%d\n" % (number + 1)
            )
        return found

    def answer(self, data, size=None):
        for at in range(0, len(data), size or len(data)):
            self.line.connection.server.write(data[at : at + (size or len(data))])
            self.line.settle()

    def cut(self):
        self.line.connection.cut()
        self.pass_time(client.LONGEST_DELAY)

    @property
    def counts(self):
        return self.sender.sent, self.sender.stored, self.sender.refused, self.sender.waiting
