"""
TLS below a service: handshakes with a deadline and a limit, and closes that end.

A service gets its connection after the handshake, where Twisted's `connectionMade` comes before: so
no protocol has to know TLS to count its deadlines.
"""

from typing import TYPE_CHECKING, Any, cast

from OpenSSL.SSL import Error
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.net.closing import LingeringClose
from mtnet.net.tls.context import reason as reason_of
from mtnet.net.transport import innermost
from mtnet.net.wrappers import FactoryWrapper

if TYPE_CHECKING:
    from mtnet.net.peer import PeerLog


class HandshakeLimiter:
    """
    Counts the handshakes of all listeners, and bounds them.

    When there are too many, a new one evicts the oldest that has sent no whole ClientHello: silent
    or dripping connections cannot keep others out.

    Args:
        seconds: longest handshake.
        most: handshakes at once.

    Attributes:
        completed, failed, late, refused: how many ended so; `late` took too long, `refused`
            made room for others.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime, log: "PeerLog", seconds: float, most: int) -> None:
        self.clock, self._peer_log = clock, log
        self.seconds, self.most = seconds, most
        self._silent: dict[Handshake, None] = {}
        self._speaking: dict[Handshake, None] = {}
        self.completed = self.failed = self.late = self.refused = 0

    @property
    def pending(self) -> int:
        """How many are under way."""
        return len(self._silent) + len(self._speaking)

    def begin(self, handshake: "Handshake") -> None:
        """Count one more, and end another where there are too many."""
        if self.pending >= self.most:
            self.refused += 1
            next(iter(self._silent or self._speaking)).make_room()
        self._silent[handshake] = None

    def hello_received(self, handshake: "Handshake") -> None:
        """A handshake has received its ClientHello."""
        if handshake in self._silent:
            del self._silent[handshake]
            self._speaking[handshake] = None

    def end(self, handshake: "Handshake") -> None:
        """Count one less."""
        self._silent.pop(handshake, None)
        self._speaking.pop(handshake, None)

    def warn(self, peer: IAddress, text: str, kind: str, **fields: object) -> None:
        """Log a line about a peer, as long as its network does not fill the log."""
        fields = {"seconds": self.seconds, "most": self.most, **fields}
        text = "TLS handshake: {peer} " + text
        self._peer_log.warn(self.log, peer, f"handshake {kind}", text, **fields)

    def status(self) -> dict[str, int]:
        """Report for `mtnet status`."""
        return {
            "going on": self.pending,
            "completed": self.completed,
            "failed": self.failed,
            "late": self.late,
            "refused": self.refused,
        }


@implementer(IHandshakeListener)
class Handshake(Protocol):
    """
    Stands in for the service's protocol until the connection is usable.

    Args:
        service: the factory of the service.
    """

    transport: Any

    def __init__(self, service: IProtocolFactory, handshakes: HandshakeLimiter) -> None:
        self._service, self._handshakes = service, handshakes
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._handshakes.begin(self)
        self._deadline = self._handshakes.clock.callLater(self._handshakes.seconds, self._late)

    def handshakeCompleted(self) -> None:
        """Hand the connection over to the service."""
        if not self._over():
            return
        self._handshakes.completed += 1
        hand_over(self.transport, self._service)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._over():
            return
        self._handshakes.failed += 1
        # Peers that close without a byte, such as port scanners, are not logged.
        if reason.check(Error):
            why = reason_of(reason.value)
            self._handshakes.warn(self.transport.getPeer(), "failed: {why}", "failed", why=why)

    def hello_received(self) -> None:
        """The whole ClientHello has arrived."""
        self._handshakes.hello_received(self)

    def make_room(self) -> None:
        """Abort the handshake in favour of another."""
        self._over()
        text = "is ended: {most} others have not finished theirs"
        self._handshakes.warn(self.transport.getPeer(), text, "refused")
        self.transport.abortConnection()

    def _late(self) -> None:
        self._over()
        self._handshakes.late += 1
        self._handshakes.warn(self.transport.getPeer(), "took more than {seconds:g} s", "late")
        self.transport.abortConnection()

    def _over(self) -> bool:
        """End the handshake; return False when it was over already."""
        if self._deadline is None:
            return False
        if self._deadline.active():
            self._deadline.cancel()
        self._deadline = None
        self._handshakes.end(self)
        return True


def hand_over(tls: TLSMemoryBIOProtocol, factory: IProtocolFactory) -> IProtocol | None:
    """Give a connection after its handshake to a protocol of `factory`; None = it has none."""
    protocol = factory.buildProtocol(tls.getPeer())
    if protocol is None:
        tls.abortConnection()
        return None
    tls.wrappedProtocol = cast(Protocol, protocol)
    protocol.makeConnection(tls)
    if IHandshakeListener.providedBy(protocol):
        IHandshakeListener(protocol).handshakeCompleted()
    return protocol


class HandshakeFactory(FactoryWrapper):
    """Builds protocols that wait for handshakes; everything else is the service's."""

    def __init__(self, service: IProtocolFactory, handshakes: HandshakeLimiter) -> None:
        super().__init__(service)
        self._handshakes = handshakes

    def buildProtocol(self, addr: IAddress | None) -> Handshake:
        return Handshake(self.service, self._handshakes)


class SecureTransport(BufferingTLSTransport):
    """TLS whose close always ends."""

    factory: "SecureFactory"
    _closing: LingeringClose | None = None

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        # The peer has closed, and may not read our last bytes.
        if self._closing is None and getattr(self.transport, "disconnecting", False):
            self._closing = LingeringClose(self.factory.clock, self)

    def loseConnection(self) -> None:
        super().loseConnection()
        if self._closing is None and self.connected:
            self._closing = LingeringClose(self.factory.clock, self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._closing is not None:
            self._closing.stop()
        super().connectionLost(reason)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Promised by ISSLTransport, also where the bytes go through a Unix socket."""
        below = innermost(self)
        if ITCPTransport.providedBy(below):
            ITCPTransport(below).setTcpNoDelay(enabled)


class ServedTransport(SecureTransport):
    """TLS of a server, which reports when the ClientHello has arrived."""

    _heard = False

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if not self._heard and isinstance(self.wrappedProtocol, Handshake):
            # A cipher is chosen once the ClientHello is whole.
            handle = self.getHandle()
            self._heard = handle is not None and handle.get_cipher_version() is not None
            if self._heard:
                self.wrappedProtocol.hello_received()


class SecureFactory(TLSMemoryBIOFactory):
    """
    Adds TLS to the connections of a service.

    Args:
        certificates: makes OpenSSL's side of each connection.
    """

    protocol = ServedTransport

    def __init__(
        self,
        certificates: IOpenSSLServerConnectionCreator,
        service: IProtocolFactory,
        handshakes: HandshakeLimiter,
    ) -> None:
        self.clock, self._handshakes = handshakes.clock, handshakes
        super().__init__(certificates, False, HandshakeFactory(service, handshakes), self.clock)
