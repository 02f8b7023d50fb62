"""Admission: bans and rates before a service, and an adapter for ordinary factories."""

from twisted.internet.interfaces import IAddress, IHandshakeListener, IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from mtnet.net.endpoints import host_of
from mtnet.net.peer import ListenerAccess, Peer
from mtnet.net.wrappers import FactoryWrapper, HalfCloseable


class BanFilterFactory(FactoryWrapper):
    """
    Closes the connections of those who are banned, and of strangers in a rush, before a byte of
    theirs is read.
    """

    def __init__(self, service: IProtocolFactory, access: ListenerAccess) -> None:
        super().__init__(service)
        self._access = access

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:  # type: ignore[override]
        host = host_of(addr)
        if self._access.is_banned(host):
            self._access.limiter.refused["banned"] += 1
            self._access.log_banned(addr)
            return None
        if self._access.over_rate(host):
            return None
        return self.service.buildProtocol(addr)


class AdmittedProtocol(HalfCloseable):
    """Adapter: a connection of an ordinary Twisted protocol, counted and admitted."""

    def __init__(self, factory: "AdmittedFactory", wrapped: IProtocol, peer: Peer) -> None:
        super().__init__(factory, wrapped)
        self._peer = peer

    def connectionMade(self) -> None:
        # Below, what the transport provides has just replaced everything that was provided.
        self._peer.connected(self, self.abortConnection)
        self.offer_halves()
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHandshakeListener)

    def handshakeCompleted(self) -> None:
        """Pass on that TLS is up."""
        IHandshakeListener(self.wrappedProtocol).handshakeCompleted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._peer.disconnected()
        super().connectionLost(reason)


class AdmittedFactory(WrappingFactory[AdmittedProtocol]):
    """Adapter: admits the connections of an ordinary Twisted factory."""

    noisy = False

    def __init__(self, service: IProtocolFactory, access: ListenerAccess) -> None:
        super().__init__(service)
        self._access = access

    def buildProtocol(self, addr: IAddress) -> AdmittedProtocol | None:  # type: ignore[override]
        peer = self._access.admit(addr)
        if peer is None:
            return None
        wrapped = self.wrappedFactory.buildProtocol(addr)
        if wrapped is None:
            peer.disconnected()
            return None
        return AdmittedProtocol(self, wrapped, peer)
