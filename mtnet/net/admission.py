"""Admission: bans and rates before a service, and the factories whose peers are admitted."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import Interface, alsoProvides, implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IListenerAware
from mtnet.net.endpoints import Listener, host_of
from mtnet.net.peer import ListenerAccess, Peer
from mtnet.net.wrappers import FactoryWrapper, HalfCloseable


class BanFilterFactory(FactoryWrapper):
    """
    Ban filter: closes connections from banned addresses, and unauthenticated ones above the rate
    limit, before a byte is read.
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


class IPeerFactory(Interface):
    """A factory of protocols for peers that were admitted already."""

    def build(peer: Any) -> IProtocol | None:
        """Return the protocol of a `mtnet.net.peer.Peer`; None = the connection is closed."""


@implementer(IPeerFactory, IListenerAware)
class PeerFactory(Factory):
    """
    Admitting factory: admits each connection of a listener once, and builds its protocol from the
    peer.

    The protocol calls `peer.connected` when it is connected, and `peer.disconnected` at its end. A
    subclass has `build`.

    Attributes:
        env: of the service.
    """

    noisy = False

    def __init__(self, env: Environment, listener: Listener) -> None:
        self.env, self._access = env, ListenerAccess(env, listener)

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:  # type: ignore[override]
        peer = self._access.admit(addr)
        if peer is None:
            return None
        protocol = self.build(peer)
        if protocol is None:
            peer.disconnected()
        return protocol

    def at(self, listener: Listener) -> "PeerFactory":
        """Return the factory for the connections of `listener`."""
        return type(self)(self.env, listener)

    def build(self, peer: Peer) -> IProtocol | None:
        """Return the protocol of an admitted peer; None = the connection is closed."""
        raise NotImplementedError


class AdmittedProtocol(HalfCloseable):
    """Adapter: a connection of an ordinary Twisted protocol, counted and admitted."""

    factory: "AdmittedFactory"
    log = Logger()

    def __init__(self, factory: "AdmittedFactory", wrapped: IProtocol, peer: Peer) -> None:
        super().__init__(factory, wrapped)
        self.peer = peer

    def connectionMade(self) -> None:
        # `makeConnection` has just replaced the provided interfaces by those of the transport.
        self.peer.connected(self, self)
        if not self.peer.may_all(self.factory.verbs):
            text = "{service}: {peer} is closed: it may not {verbs} here"
            self.peer.warn(self.log, "denied", text, verbs=", ".join(self.factory.verbs))
            self.wrappedProtocol = Protocol()
            self.abortConnection()
        self.offer_halves()
        if IHandshakeListener.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHandshakeListener)

    def handshakeCompleted(self) -> None:
        """Pass on that TLS is up."""
        IHandshakeListener(self.wrappedProtocol).handshakeCompleted()

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.peer.disconnected()
        super().connectionLost(reason)


class AdmittedFactory(WrappingFactory[AdmittedProtocol]):
    """
    Adapter: admits the connections of an ordinary Twisted factory.

    Args:
        verbs: the rights that a connection needs, on something of the service; others are closed.
    """

    noisy = False

    def __init__(
        self, service: IProtocolFactory, access: ListenerAccess, verbs: Sequence[str] = ()
    ) -> None:
        super().__init__(service)
        self._access, self.verbs = access, verbs

    def buildProtocol(self, addr: IAddress) -> AdmittedProtocol | None:  # type: ignore[override]
        peer = self._access.admit(addr)
        if peer is None:
            return None
        wrapped = self.wrappedFactory.buildProtocol(addr)
        if wrapped is None:
            peer.disconnected()
            return None
        return AdmittedProtocol(self, wrapped, peer)
