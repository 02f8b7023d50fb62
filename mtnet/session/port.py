"""
Port of sessions: frames over TCP or TLS, for a service that brings nothing but verbs.

A connection says HELLO first, and may then use the verbs of every service, as its rights allow.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError
from mtnet.interfaces import ISessions, IStreamListener
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer
from mtnet.session.frames import SessionConnection
from mtnet.session.grammar import is_hello
from mtnet.session.session import Session


@implementer(IHalfCloseableProtocol)
class SessionProtocol(SessionConnection):
    """One connection to a port of sessions."""

    _session: Session

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        sessions = self.env.find(ISessions)
        self.begin(sessions.settings.frames)
        self.peer.mark_unauthenticated()
        self._session = sessions.open(self)
        seconds = self.env.config.access.login
        self.wait_for_login(lambda: f"did not say HELLO within {seconds:g} s")

    def readConnectionLost(self) -> None:
        """The peer has said all: it is answered, and then closed."""
        if (self.decoder.unfinished or self.decoder.unframed) and not self.ended:
            self.end("ended without a whole frame")
        elif self.peer.closing:
            self.transport.loseConnection()
        else:
            self._peer_ended = True
            self._session.finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost()
        self._session.close()

    def frame(self, payload: bytes) -> None:
        """Hand a frame to the session."""
        if is_hello(payload):
            self.stop_waiting()  # its password may be verified for a while
        self._session.frame(payload)

    def unreadable(self, error: FrameError) -> None:
        """Answer with ERROR, and close."""
        self._session.unreadable(error)

    def evicted(self) -> None:
        """Close the session."""
        self._session.close_with(b"")


class SessionPortFactory(PeerFactory):
    """Builds the connections of one listener."""

    def build(self, peer: Peer) -> SessionProtocol:
        """Return the protocol of a connection."""
        return SessionProtocol(self.env, peer)


@implementer(IStreamListener)
class SessionPort:
    """
    Adapter: a service with verbs of sessions as one that takes stream connections.

    Args:
        env: of the service.
        verbs: that can be granted on its things.
    """

    welcomes = False

    def __init__(self, env: Environment, verbs: Sequence[str]) -> None:
        self._env, self.verbs = env, tuple(verbs)

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a listener."""
        return SessionPortFactory(self._env, listener)
