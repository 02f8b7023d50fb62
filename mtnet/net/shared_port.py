"""
Shared port: several services on one listener, chosen by the first bytes of each connection.

The chosen service is given the connection, its peer, and every byte that came before. Which
service a silent connection belongs to is decided by a time.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.callbacks import noop
from mtnet.daemon.environment import Environment
from mtnet.interfaces import IFirstBytes, IService, IStreamListener
from mtnet.net.admission import IPeerFactory, PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import Recognize, describe, detect_service
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.transport import Transport

SILENCE = 0.5
"""Seconds without a byte that make a follower. More than a round trip across the world: later,
the first bytes cannot choose a service any more, since frames have been sent."""


class Choice(NamedTuple):
    """
    A service of a shared port.

    Attributes:
        recognize: returns whether a connection that begins so is its own; None = needs more bytes.
        factory: of its connections.
    """

    recognize: Recognize
    factory: IPeerFactory


@implementer(IHalfCloseableProtocol)
class FirstBytesProtocol(Protocol):
    """First-byte detector: buffers bytes until they choose a service, then hands over to it."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(self, port: "SharedPortFactory", peer: Peer) -> None:
        self._port, self.peer = port, peer
        self._head = b""
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.peer.connected(self.transport, self)
        self.peer.mark_unauthenticated()
        silent = self._port.silent
        if silent is not None:
            self._timer = self._port.clock.callLater(self._port.silence, self._hand_over, silent)

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        first = not self._head
        self._head += data
        factory = detect_service(self._head, self._port.choices)
        if first:
            self.peer.first_byte = self._port.clock.seconds()
        if factory:
            self._hand_over(factory)
        elif factory is None:
            if first:
                self._stop()
                self._timer = self._port.clock.callLater(self._port.timeout, self._late)
            self.peer.mark_unauthenticated(silent=False)
        else:
            self._unknown(Offence.FRAME)

    def readConnectionLost(self) -> None:
        """The peer has sent everything: an unfinished word chooses no service."""
        if self._head:
            self._unknown(None)
        elif self._port.silent is not None and self._port.ends_silent:
            self._hand_over(self._port.silent)
        else:
            self._stop()
            self.transport.loseConnection()
            return
        self.readConnectionLost()  # of the protocol that it was handed over to

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Unfinished first bytes are no tick: nothing is lost.
        self._stop()
        self.peer.disconnected()

    def _late(self) -> None:
        self._unknown(Offence.DEADLINE)

    def _unknown(self, offence: Offence | None) -> None:
        """Hand over to the service that takes the rest, or reset the connection."""
        if self._port.rest is not None:
            self._hand_over(self._port.rest)
            return
        if offence is not None:
            self.peer.report_abuse(offence)
        self.peer.warn(
            self.log,
            "first bytes",
            "{service}: {peer} begins with {head}, which is not a command",
            head=describe(self._head),
        )
        # A reset: a clean close would tell a publisher of signals that all is stored.
        self.evicted()

    def _hand_over(self, factory: IPeerFactory) -> None:
        self._stop()
        self.peer.mark_active()  # the service marks it again
        protocol = factory.build(self.peer)
        if protocol is None:
            self.evicted()
            return
        half = IHalfCloseableProtocol(protocol)
        # Its methods replace ours: from now on nothing lies between it and the transport.
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        self.connectionLost = protocol.connectionLost  # type: ignore[method-assign,assignment]
        self.readConnectionLost = half.readConnectionLost  # type: ignore[method-assign]
        self.writeConnectionLost = half.writeConnectionLost  # type: ignore[method-assign]
        protocol.makeConnection(self.transport)  # type: ignore[arg-type]
        if self._head:
            protocol.dataReceived(self._head)
            self._head = b""

    def evicted(self) -> None:
        """Reset the connection: others need the place, or it has failed."""
        self._stop()
        self.dataReceived = noop  # type: ignore[method-assign]
        self.readConnectionLost = noop  # type: ignore[method-assign]
        self.transport.abortConnection()

    def _stop(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class SharedPortFactory(PeerFactory):
    """
    Factory of a shared port.

    Args:
        choices: the services that are recognized by their first bytes; their protocols can be
            half-closed.
        rest: of connections that no choice recognizes; None = they are reset.
        silent: of connections that send nothing for `silence` seconds; None = they wait.
        ends_silent: whether it also takes connections that end without a byte.
        timeout: seconds from the first byte in which a choice must be recognized.
    """

    def __init__(
        self,
        env: Environment,
        listener: Listener,
        choices: Sequence[Choice],
        *,
        rest: IPeerFactory | None = None,
        silent: IPeerFactory | None = None,
        silence: float = SILENCE,
        ends_silent: bool = False,
        timeout: float,
    ) -> None:
        super().__init__(env, listener)
        self.clock: IReactorTime = env.clock
        self.choices, self.rest = choices, rest
        self.silent, self.silence, self.ends_silent = silent, silence, ends_silent
        self.timeout = timeout

    def build(self, peer: Peer) -> IProtocol | None:
        """Return the detector of a connection; without a time of silence, all are silent."""
        if self.silent is not None and not self.silence:
            protocol: IProtocol | None = self.silent.build(peer)
            return protocol
        return FirstBytesProtocol(self, peer)


@implementer(IService, IStreamListener)
class SharedPort:
    """Component: one port for every service that recognizes its connections by first bytes."""

    verbs = ("follow", "publish", "send", "read", "fetch")
    welcomes = True

    def __init__(self, env: Any) -> None:
        self._env = env

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a shared listener."""
        offers = self._env.find_all(IFirstBytes).values()
        choices, rest, silent = [], None, None
        for each in offers:
            if each.recognize(b""):
                rest = each.shared_factory(listener, False)
            else:
                choices.append(Choice(each.recognize, each.shared_factory(listener, False)))
            if each.silent:
                silent = each.shared_factory(listener, True)
        timeout = max(each.word for each in offers)
        return SharedPortFactory(
            self._env, listener, choices, rest=rest, silent=silent, timeout=timeout
        )
