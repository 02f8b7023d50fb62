"""A stream of lines over WebSocket: the protocol of a TCP port, whose writes are text messages."""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from wsproto.frame_protocol import CloseReason, Opcode
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.net.peer import Peer
from mtnet.net.transport import StreamTransport, innermost
from mtnet.services.web.websocket import IDLE, PING, WebSocketConnection
from mtnet.session.session import MAX_MISSED
from mtnet.session.websocket import Upgrade, close_frame, deflated_frame, frame, text_frame

MAX_MESSAGE = 65_536
"""Bytes of a message from a client: a thousand lines."""
SEPARATORS = b"\n", b"\0"
"""A message that ends in none of them ends a line nevertheless."""


class StreamConnection(WebSocketConnection):
    """
    The connection of a stream: each message holds whole lines.

    Args:
        rate: frames in a second.
        build: returns the protocol of the stream.
    """

    def __init__(
        self,
        env: Environment,
        peer: Peer,
        upgrade: Upgrade,
        rate: int,
        build: Callable[[Peer], IProtocol],
    ) -> None:
        super().__init__(env, peer, upgrade, MAX_MESSAGE, rate)
        self._protocol = build(peer)
        self._heard = env.clock.seconds()
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(self.upgrade.answer)
        self._beat()
        self._lines = LineTransport(self)
        self._protocol.makeConnection(ITransport(self._lines))

    def readConnectionLost(self) -> None:
        super().readConnectionLost()
        IHalfCloseableProtocol(self._protocol).readConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._stop()
        self._protocol.connectionLost(reason)

    def text(self, data: bytes) -> None:
        self._heard = self.env.clock.seconds()
        self._protocol.dataReceived(data if data.endswith(SEPARATORS) else data + b"\n")

    def ping(self, payload: bytes) -> None:
        self._heard = self.env.clock.seconds()
        self.transport.write(frame(Opcode.PONG, payload))

    def pong(self) -> None:
        self._heard = self.env.clock.seconds()

    def ended(self, code: int, broken: bool) -> None:
        super().ended(code, broken)
        IHalfCloseableProtocol(self._protocol).readConnectionLost()
        self._lines.close(code)

    def end(self) -> None:
        self._stop()
        super().end()

    def _beat(self) -> None:
        """Ping, or close: the client has answered nothing for too long."""
        if self.env.clock.seconds() - self._heard > MAX_MISSED * IDLE:
            self._lines.close(CloseReason.GOING_AWAY)
            return
        if self._timer is not None:
            self.transport.write(PING)
        self._timer = self.env.clock.callLater(IDLE, self._beat)

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()


@implementer(ITransport)
class LineTransport:
    """
    Transport whose writes, whole lines, are text messages of a WebSocket connection.

    Attributes:
        disconnecting: it is closed.
    """

    def __init__(self, connection: StreamConnection) -> None:
        self._connection = connection
        self._frame = deflated_frame if connection.upgrade.deflate else text_frame
        self.disconnecting = False

    def write(self, data: bytes) -> None:
        """Send lines as one message."""
        if not self.disconnecting:
            self._below.write(self._frame(data))

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def close(self, code: int) -> None:
        """Close with a code, behind what was written."""
        if not self.disconnecting:
            self.disconnecting = True
            self.unregisterProducer()  # else it would never close
            self._below.write(close_frame(code))
            self._connection.end()

    def loseConnection(self) -> None:
        """Close: everything was said."""
        self.close(CloseReason.NORMAL_CLOSURE)

    def abortConnection(self) -> None:
        """Reset the connection."""
        self.disconnecting = True
        self._below.abortConnection()

    def getPeer(self) -> IAddress:
        return self._below.getPeer()

    def getHost(self) -> IAddress:
        return self._below.getHost()

    def getHandle(self) -> None:
        """Nobody writes past it."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        innermost(self._below).registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        innermost(self._below).unregisterProducer()

    def pauseProducing(self) -> None:
        self._connection.throttle.pause("stream")

    def resumeProducing(self) -> None:
        self._connection.throttle.resume("stream")

    @property
    def _below(self) -> StreamTransport:
        return self._connection.transport
