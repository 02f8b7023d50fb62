"""
Port of sessions: frames over TCP or TLS, for a service that brings nothing but verbs.

A connection says HELLO first, and may then use the verbs of every service, as its rights allow.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError
from mtnet.interfaces import ISessions, IStreamListener
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import BROWSER_HEAD, describe, looks_like_browser
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.throttle import ReadRateLimit
from mtnet.net.transport import StreamTransport
from mtnet.session.grammar import SEPARATORS, FrameDecoder, is_hello
from mtnet.session.road import Road
from mtnet.session.session import Session


@implementer(IHalfCloseableProtocol)
class SessionProtocol(Protocol):
    """One connection to a port of sessions."""

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]
    _session: Session

    def __init__(self, env: Environment, peer: Peer) -> None:
        self._env, self.peer = env, peer
        self._decoder = FrameDecoder()
        self._head: bytes | None = b""
        self._login: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._ended = self._peer_ended = False

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        sessions, clock = self._env.find(ISessions), self._env.clock
        self._rate_limit = ReadRateLimit(self.transport, clock, sessions.settings.frames)
        self.peer.connected(self.transport, self._evicted)
        self.peer.mark_unauthenticated()
        road = Road(self.transport, self.peer, self._rate_limit.throttle, self)
        self._session = sessions.open(road)
        self._login = clock.callLater(self._env.config.access.login, self._mute)

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        if self._ended or self._is_browser(data):
            return
        frames = 0
        try:
            for payload in self._decoder.feed(data):
                if self._ended:
                    return
                frames += 1
                if is_hello(payload):
                    self._cancel_login()  # whose password may be verified for a while
                self._session.frame(payload)
        except FrameError as error:
            self.peer.report_abuse(Offence.FRAME)
            self._session.unreadable(error)
        if not self.peer.trusted:
            self._rate_limit.spend(frames)
        self._time_frame(data, frames)

    def readConnectionLost(self) -> None:
        """The peer has said all: it is answered, and then closed."""
        if (self._decoder.unfinished or self._decoder.unframed) and not self._ended:
            self.end("ended without a whole frame")
        elif self.peer.closing:
            self.transport.loseConnection()
        else:
            self._peer_ended = True
            self._session.finish()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = True
        self._stop()
        self._rate_limit.stop()
        self._session.close()
        self.peer.disconnected()

    def end(self, why: str) -> None:
        """Reset the connection, with one line in the log, in which nothing is quoted."""
        if not self._ended:
            self._ended = True
            self._stop()
            service = self.peer.listener.service
            self.peer.warn(self.log, f"{service} end", "{service}: {peer} {why}", why=why)
            self.transport.abortConnection()

    def session_welcomed(self) -> None:
        """Read messages as long as those of a session may be."""
        self._decoder.expect_session()

    def session_ended(self) -> None:
        """
        Close behind what is on its way, as long as it moves.

        Only our half: a close of both, with bytes of the peer unread, would be a reset that
        takes what we said last out of the peer's hands.
        """
        self._ended = True
        self._stop()
        half = not self._peer_ended
        if half and not ISSLTransport.providedBy(self.transport):
            self.transport.resumeProducing()  # the disk may have been behind
        self.peer.close(half)

    def _is_browser(self, data: bytes) -> bool:
        """Return whether its first bytes are a web page's, which ends the connection."""
        if self._head is None:
            return False
        head = self._head + data[:BROWSER_HEAD]
        foreign = looks_like_browser(head)
        if foreign:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"speaks HTTP or TLS, which a web page could abuse: {describe(head)}")
        self._head = head if foreign is None else None
        return bool(foreign)

    def _time_frame(self, data: bytes, frames: int) -> None:
        """Wait no longer than allowed for the end of a frame, or behind bytes that are none."""
        waits = self._decoder.unfinished or self._decoder.unframed
        if self._deadline is not None and (frames or not waits):
            self._deadline.cancel()
            self._deadline = None
        if waits and self._deadline is None and data.strip(SEPARATORS) and not self._ended:
            self._wait_for_frame()

    def _wait_for_frame(self) -> None:
        seconds = self._env.config.access.frame
        self._deadline = self._env.clock.callLater(seconds, self._late)

    def _late(self) -> None:
        if self._rate_limit.throttle.paused:  # the rest of it waits for us
            self._wait_for_frame()
            return
        self._deadline = None
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(f"sent no whole frame within {self._env.config.access.frame:g} s")

    def _mute(self) -> None:
        self._login = None
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(f"did not say HELLO within {self._env.config.access.login:g} s")

    def _cancel_login(self) -> None:
        if self._login is not None:
            self._login.cancel()
            self._login = None

    def _evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        self._session.close_with(b"")

    def _stop(self) -> None:
        self._cancel_login()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class SessionPortFactory(PeerFactory):
    """Builds the connections of one listener."""

    def build(self, peer: Peer) -> SessionProtocol:
        """Return the protocol of a connection."""
        return SessionProtocol(self._env, peer)


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
