"""
The tick port for streams: takes records, and sends ticks to subscribers.

Received bytes are carried out in time slices, in turn with the other connections, so that a flood
on one of them delays neither the others nor signals.
"""

from collections import deque

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import HTTP_METHODS, begins_with, describe
from mtnet.net.peer import Peer
from mtnet.net.time_slices import TimeSlicer
from mtnet.net.transport import Transport
from mtnet.services.ticks import wire
from mtnet.services.ticks.connection import TickConnection
from mtnet.services.ticks.ingest import RecordReader, record_reader
from mtnet.services.ticks.session import TickSession, Work

SLICE = 4_096
"""Bytes that are carried out before other connections have their turn: 6 ms at worst."""
is_foreign = begins_with(*HTTP_METHODS, b"<<", b"\x16\x03")
"""Recognizes other protocols: HTTP, a classic position, a ClientHello."""
OVERLONG = f"sent a record of more than {wire.MAX_RECORD} bytes"


@implementer(IHalfCloseableProtocol)
class TicksProtocol(Protocol):
    """One connection to the tick port: feeds what it reads to a `TickSession`, slice by slice."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(self, env: Environment, peer: Peer, port: "TicksFactory") -> None:
        self._env, self.peer, self._port = env, peer, port
        self._decoder = wire.LineDecoder()
        self._chunks: deque[bytes] = deque()
        self._head: bytes | None = b""
        self._working = self._finished = False

    def connectionMade(self) -> None:
        self._connection = TickConnection(
            self._env, self.peer, self.transport, self._drained, self._stopped
        )
        self._session = TickSession(self._env, self._connection, self._port.reader)
        self._connection.start()

    def dataReceived(self, data: bytes) -> None:
        if not self._connection.ended:
            self._chunks.append(data)
            self._work()

    def readConnectionLost(self) -> None:
        """The peer has sent everything, and may still wait for answers."""
        self._finished = True
        self._work()

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Under TLS only this reports a clean end. Bytes that were read before still count.
        self._finished = self._finished or bool(reason.check(ConnectionDone))
        self._connection.lost()
        if self._connection.ended or not self._finished:
            self.peer.disconnected()
        self._work()

    def _drained(self) -> None:
        self._session.flush()

    def _stopped(self) -> None:
        self._session.stop()

    def _work(self) -> None:
        if not self._working:
            self._working = True
            self._port.slicer.begin(self._process(), self._failed)
            if self._working and not (self._connection.gone or self._connection.ended):
                self.transport.pauseProducing()

    def _process(self) -> Work:
        connection = self._connection
        while self._chunks and not connection.ended:
            data = self._chunks.popleft()
            for at in range(0, len(data), SLICE):
                yield connection.wait_for_room()
                yield from self._take(data[at : at + SLICE])
        yield from self._end()
        self._working = False
        if connection.gone:
            self.peer.disconnected()  # not before: a login may stand before the last records
        elif not (self._chunks or self._finished or connection.ended):
            self.transport.resumeProducing()

    def _failed(self, failure: Failure) -> None:
        self.log.failure("A connection to ticks failed", failure)
        self.peer.report_abuse(Offence.ERROR, failure.value)
        self._connection.reset("is closed")
        if self._connection.gone:
            self.peer.disconnected()

    def _take(self, data: bytes) -> Work:
        if self._connection.ended:
            return
        if self._head is not None:
            self._head += data
            foreign = is_foreign(self._head)
            if foreign:
                self._abuse(f"sent what is neither tick nor command: {describe(self._head)}")
                return
            if foreign is None:
                return
            data, self._head = self._head, None
        yield from self._session.carry_out(self._decoder.feed(data))
        if self._decoder.overlong:
            self._session.refuse()
            self._abuse(OVERLONG)

    def _abuse(self, why: str) -> None:
        self.peer.report_abuse(Offence.FRAME)
        self._connection.reset(why)

    def _end(self) -> Work:
        """Process the last bytes when the peer sent no separator behind them."""
        if self._connection.ended:
            self._session.cut()
        elif self._finished:
            yield from self._finish()
        elif self._connection.gone:
            self._cut()

    def _finish(self) -> Work:
        """The peer has sent everything: its last line needs no separator."""
        rest = self._take_rest()
        if rest:
            yield from self._session.carry_out(self._decoder.feed(rest + b"\n"))
        if self._decoder.overlong:
            self._refuse(OVERLONG)
        self._session.settle()
        if not (self._connection.gone or self._session.is_subscribed):
            self._connection.close()

    def _cut(self) -> None:
        """The connection broke: behind a cut, EURUSD 1.09 may be the beginning of 1.09876."""
        if self._take_rest():
            self._refuse("is cut off within a record, which may be half a number")
        self._session.cut()

    def _take_rest(self) -> bytes:
        rest = (self._head or b"") + self._decoder.rest
        self._head, self._decoder = None, wire.LineDecoder()
        return rest

    def _refuse(self, why: str) -> None:
        self._session.refuse()
        self._connection.warn(why, "record")


class TicksFactory(PeerFactory):
    """Builds the connections of one listener; all listeners share a reader and a time slicer."""

    def __init__(
        self,
        env: Environment,
        listener: Listener,
        reader: RecordReader | None = None,
        slicer: TimeSlicer | None = None,
    ) -> None:
        super().__init__(env, listener)
        self.reader = reader or record_reader(env)
        self.slicer = slicer or TimeSlicer(env.clock, env.section.turn)

    def at(self, listener: Listener) -> "TicksFactory":
        """Return the factory for the connections of `listener`."""
        return TicksFactory(self.env, listener, self.reader, self.slicer)

    def build(self, peer: Peer) -> TicksProtocol:
        """Return the protocol of a connection."""
        return TicksProtocol(self.env, peer, self)
