"""Who is let in before a service hears of them, and what guards services that do not know us."""

from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from mtnet.net.endpoints import host_of
from mtnet.net.peer import Gate, Visitor
from mtnet.net.wrappers import Front, HalfCloseable


class Barrier(Front):
    """
    Closes the connections of those who are banned, and of strangers in a rush, before a byte of
    theirs is read.
    """

    def __init__(self, service: IProtocolFactory, gate: Gate) -> None:
        super().__init__(service)
        self._gate = gate

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]
        host = host_of(addr)
        if self._gate.bars(host):
            self._gate.limiter.refused["banned"] += 1
            self._gate.turned_away(addr)
            return None
        if self._gate.rushed(host):
            return None
        return self.service.buildProtocol(addr)


class Guarded(HalfCloseable):
    """A connection to a service that has no gate of its own; it is counted."""

    def __init__(self, factory: "GuardedFactory", wrapped: IProtocol, visitor: Visitor) -> None:
        super().__init__(factory, wrapped)
        self._visitor = visitor

    def connectionMade(self) -> None:
        # Below, what the transport provides has just replaced everything that was provided.
        self._visitor.arrive(self, self.abortConnection)
        self.offer_halves()
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHandshakeListener)

    def handshakeCompleted(self) -> None:
        """Pass on that TLS is up."""
        IHandshakeListener(self.wrappedProtocol).handshakeCompleted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._visitor.leave()
        super().connectionLost(reason)


class GuardedFactory(WrappingFactory[Guarded]):
    """Counts the connections of a service that has no gate of its own."""

    noisy = False

    def __init__(self, service: IProtocolFactory, gate: Gate) -> None:
        super().__init__(service)
        self._gate = gate

    def buildProtocol(self, addr: IAddress) -> Guarded | None:  # type: ignore[override]
        visitor = self._gate.enter(addr)
        if visitor is None:
            return None
        wrapped = self.wrappedFactory.buildProtocol(addr)
        if wrapped is None:
            visitor.leave()
            return None
        return Guarded(self, wrapped, visitor)
