"""
One port for several services: whoever connects says with the first bytes which one is meant.

Silence is a follower of signals. The chosen service is given the connection, and every byte
that came before, as if it had been alone with it from the beginning.
"""

from collections.abc import Mapping

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IFirstBytes, IListenerAware
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import OTHERS, detect_service
from mtnet.net.peer import ListenerAccess, Peer
from mtnet.net.transport import Transport

WORD = 5.0
"""Longest wait in seconds for first bytes that can still become a command or an HTTP method."""
SILENCE = 0.5
"""Seconds without a byte that make a follower. More than a round trip across the world, after
which whoever speaks first has been heard: nobody can be told apart any more once frames go out."""


@implementer(IHalfCloseableProtocol)
class SharedPortProtocol(Protocol):
    """
    Stands in for the protocol of a service until it is known which one, then passes all on.

    Args:
        services: factories by name.
        follower: whose connections have been silent.
    """

    transport: Transport  # type: ignore[assignment]

    def __init__(
        self,
        env: Environment,
        peer: Peer,
        services: Mapping[str, IProtocolFactory],
        follower: IProtocolFactory,
    ) -> None:
        self._env, self._peer = env, peer
        self._services, self._follower = services, follower
        self._word = max(each.word for each in env.find_all(IFirstBytes).values())
        self._head = b""
        self._timer: IDelayedCall | None = None
        self._chosen: IProtocol | None = None

    def connectionMade(self) -> None:
        self._peer.connected(self.transport, self.transport.abortConnection)
        self._peer.mark_unauthenticated()
        self._wait(SILENCE, self._follower)

    def dataReceived(self, data: bytes) -> None:
        if self._chosen is not None:
            self._chosen.dataReceived(data)
            return
        if not self._head:
            self._wait(self._word, self._services[OTHERS])
        self._head += data
        service = detect_service(self._head)
        if service is not None:
            self._become(self._services[service])
        else:
            self._peer.mark_unauthenticated(silent=False)

    def readConnectionLost(self) -> None:
        """The peer has said all: what could have become a word is none."""
        if self._chosen is None and self._head:
            self._become(self._services[OTHERS])
        if self._chosen is not None:
            IHalfCloseableProtocol(self._chosen).readConnectionLost()
        else:
            self._still()
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        if self._chosen is not None:
            IHalfCloseableProtocol(self._chosen).writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # No word that is still open is a tick: with it nothing is lost.
        self._still()
        self._peer.disconnected()
        if self._chosen is not None:
            self._chosen.connectionLost(reason)

    def _become(self, service: IProtocolFactory) -> None:
        self._still()
        self._peer.disconnected()  # it is the service's now
        chosen = service.buildProtocol(self.transport.getPeer())
        if chosen is None:
            self.transport.abortConnection()
            return
        head, self._head, self._chosen = self._head, b"", chosen
        chosen.makeConnection(ITransport(self.transport))
        if head:
            chosen.dataReceived(head)

    def _wait(self, seconds: float, service: IProtocolFactory) -> None:
        self._still()
        self._timer = self._env.clock.callLater(seconds, self._become, service)

    def _still(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


@implementer(IListenerAware)
class SharedPortFactory(Factory):
    """
    Builds the connections of one listener.

    Args:
        services: factories by the names that `detect_service` returns; each is asked for its own
            `at(listener)`, and provides protocols that can be half-closed.
        follower: of those that are silent: its connections need no silence of their own.
    """

    noisy = False

    def __init__(
        self,
        env: Environment,
        services: Mapping[str, IProtocolFactory],
        follower: IProtocolFactory,
        listener: Listener,
    ) -> None:
        self._env, self._services, self._follower = env, services, follower
        self._access = ListenerAccess(env, listener)

    def at(self, listener: Listener) -> "SharedPortFactory":
        """Return the factory for the connections of `listener`."""
        services = {
            name: IListenerAware(service).at(listener) for name, service in self._services.items()
        }
        follower = IListenerAware(self._follower).at(listener)
        return SharedPortFactory(self._env, services, follower, listener)

    def buildProtocol(self, addr: IAddress | None) -> SharedPortProtocol | None:
        peer = self._access.admit(addr)
        if peer is None:
            return None
        protocol = SharedPortProtocol(self._env, peer, self._services, self._follower)
        protocol.factory = self
        return protocol
