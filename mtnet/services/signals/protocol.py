"""
The signals port: who speaks on it is found out from the first bytes, or from silence.

A connection that is silent for `grace` is a classic follower; one that
sends a position and may publish is a publisher, and is sent nothing.
"""

import re
from copy import copy

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, WireError, quote
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener, show
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer
from mtnet.services.signals.classic.follower import ClassicFollower
from mtnet.services.signals.ownership.publishers import Publisher
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.views.alias import MAIN
from mtnet.session.classic import parse_position
from mtnet.session.frames import SessionConnection
from mtnet.session.grammar import is_hello
from mtnet.session.session import Session, SessionFactory

REFUSAL_WINDOW = 60.0
"""Seconds in which `signals.refusals` are counted."""


SECRET = (b"HELLO", b"LOGIN", b"PASS", b"STORE ", b"AUTHORIZATION", b"MTNET_")
"""Behind one of these, in whatever case, a password may stand, perhaps another service's."""
LONGEST = max(map(len, SECRET))
_SECRET = re.compile(b"|".join(map(re.escape, SECRET)))


class PasswordMask:
    """Filter for the log: finds out whether what a connection sent may hold a password."""

    __slots__ = ("_tail", "hides")

    def __init__(self) -> None:
        self.hides, self._tail = False, b""

    def feed(self, data: bytes) -> None:
        """Look at bytes; `<<` in a password may cut it in two, so that it hides all behind it."""
        if not self.hides:
            # Without NULs UTF-16 is read as what it says.
            seen = self._tail + data.upper().replace(b"\0", b"")
            self.hides = _SECRET.search(seen) is not None
            self._tail = b"" if self.hides else seen[1 - LONGEST :]


HIDDEN = PasswordMask()
"""The mask of all that have said HELLO."""
HIDDEN.hides = True


class RefusalCounter:
    """Counter of refused frames in windows of a minute."""

    __slots__ = ("_count", "_since")

    def __init__(self) -> None:
        self._count, self._since = 0, 0.0

    def add(self, when: float) -> int:
        """Count one, and return how many there are in its window; `when` is seconds."""
        if when - self._since >= REFUSAL_WINDOW:
            self._count, self._since = 0, when
        self._count += 1
        return self._count


@implementer(IHalfCloseableProtocol)
class SignalsProtocol(SessionConnection):
    """
    One connection to the signals port.

    Args:
        port: the factory, with what all connections of its listener share.
    """

    _follower: ClassicFollower | None = None
    _publisher: Publisher | None = None
    _session: Session | None = None
    _refusals: RefusalCounter | None = None  # all that it sent is stored

    def __init__(self, env: Environment, peer: Peer, port: "SignalsFactory") -> None:
        super().__init__(env, peer)
        self._port, self._mask = port, PasswordMask()

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self.begin(self.env.section.frames)
        if self.peer.rights.may("follow", "signals", self._port.channel):
            self.wait(self._port.grace, self._silent)
        elif not self.peer.rights.may("publish", "signals", self._port.channel):
            self.peer.mark_unauthenticated()
            self.wait_for_login(self._mute)

    def readConnectionLost(self) -> None:
        """
        The peer has said all. A publisher is answered without a byte: a clean close once
        everything is on disk, a reset when something was refused or cut, or was no frame.
        """
        if self.decoder.unframed and not self.ended:
            self.end(f"ended without a frame: {self._unframed()}")
            return
        if self.decoder.unfinished and not self.ended:
            self._count_refusal()
            self.warn("ended in the middle of a frame", "cut")
        if self.peer.closing:
            self.transport.loseConnection()
            return
        self._peer_ended = True
        if self._session is not None:
            self._session.finish()
            return
        if self._publisher is None:
            self._stored(None)
            return
        self.wait(self.env.section.stalled, self._disk_refuses)
        self._port.signals.when_processed(self._publisher).addCallbacks(
            self._stored, self._not_stored
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.decoder.unframed and not self.ended:
            self.warn(f"ended without a frame: {self._unframed()}", "end")
        self.finish()
        if self._session is not None:
            self._session.close()
        self._leave()
        self.lost()

    def arrived(self, data: bytes) -> None:
        """Find out whether what came may hold a password."""
        if not self._mask.hides:
            self._mask.feed(data)

    def frame(self, payload: bytes) -> None:
        """Hand a frame to the session, begin one, or take a position."""
        if self._session is not None:
            self._session.frame(payload)
        elif payload.startswith(b"HELLO") and is_hello(payload):
            self._greet(payload)
        else:
            try:
                self._publish(payload)
            except WireError as error:
                self._refused(error)

    def unreadable(self, error: FrameError) -> None:
        """Reset the connection, or let the session answer with ERROR."""
        if self._session is None:
            self.end(f"is cut off: {self._shown(error)}")
        else:
            self._session.unreadable(error)

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        if self._session is not None:
            self._session.close_with(b"")
        elif not self.ended:
            self.finish()
            self.transport.abortConnection()

    def stop(self) -> None:
        """Stop being a follower."""
        self._stop_following()

    def late(self) -> str:
        """Return why the connection ends whose frame is late."""
        seconds = self.env.config.access.frame
        if self.decoder.unfinished:
            return f"did not end a frame within {seconds:g} s"
        return f"sent no frame within {seconds:g} s of this: {self._unframed()}"

    def _disk_refuses(self) -> None:
        self.end("has said all, and the disk still refuses its positions")

    def _unframed(self) -> str:
        if self._mask.hides:
            return "it may hold a password"
        return f"{quote(self.decoder.unframed)}. A frame is <<SYMBOL|LOTS>> in ANSI or UTF-8"

    def _mute(self) -> str:
        return (
            f"did not log in within {self.env.config.access.login:g} s, and may do nothing "
            "without; access.anonymous and access.networks name what it may"
        )

    def _silent(self) -> None:
        login = "" if self.peer.identity is None else self.peer.identity.name
        self._follower = ClassicFollower(
            self.env,
            self._port.signals,
            self._find_channel,
            self.transport,
            login,
            self.end,
        )
        self._follower.start()

    def _greet(self, payload: bytes) -> None:
        """From here on this connection speaks dialect 2."""
        self._decide()
        self._leave()
        # HELLO may hold a password: nothing that this connection says is shown from now on.
        self._mask = HIDDEN
        self._session = self._port.sessions.open(self)
        self._session.frame(payload)

    def _refused(self, error: WireError) -> None:
        self._refusals = self._refusals or RefusalCounter()
        if error.is_offence:
            self._count_refusal()
        if error.code == "server":
            # A clean close, which the process ends with, would say that it was stored.
            self.end(str(error))
            return
        shown = self._shown(error)
        self.warn(f"sent a frame that is refused ({error.code}): {shown}", error.code)

    def _shown(self, error: WireError) -> str:
        return "it may hold a password" if self._mask.hides else str(error)

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._port.signals.leave(publisher)

    def _count_refusal(self) -> None:
        most = self.env.section.refusals
        self._refusals = self._refusals or RefusalCounter()
        if self._refusals.add(self.env.clock.seconds()) > most:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"sent more than {most} frames that are refused within a minute")

    def _publish(self, payload: bytes) -> None:
        channel = self._port.channel
        if not self.peer.rights.may("publish", "signals", channel):
            raise WireError(
                "denied",
                f"This connection may not publish in {channel}; access.anonymous and "
                "access.networks name what it may",
            )
        symbol, volume = parse_position(payload, self.env.section.codepage)
        if self._publisher is None:
            self._decide()
            peer = show(self.transport.getPeer())
            producer = self.throttle.producer("disk")
            self._publisher = self._port.signals.join(
                peer, producer, refuse=self._refused, close=self.end, address=self.peer.host
            )
        self._port.signals.submit(self._publisher, channel, symbol, volume)

    def _find_channel(self) -> str:
        return self._port.channel_for(self.peer.host)

    def _stored(self, _: None) -> None:
        if self.ended:
            return
        idle = self._stop_following()
        self.finish()
        if idle and self._refusals is None:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def _not_stored(self, failure: Failure) -> None:
        self.end(failure.getErrorMessage())

    def _decide(self) -> None:
        """Be no classic follower, and become none by silence."""
        self.stop_waiting()
        self._stop_following()

    def _stop_following(self) -> bool:
        """Be no classic follower any more; return whether nothing is left to send."""
        follower, self._follower = self._follower, None
        return follower is None or follower.stop()


class SignalsFactory(PeerFactory):
    """
    Builds the connections of one listener.

    Args:
        sessions: opens those of dialect 2, on every road.
        grace: seconds of silence that make a follower; None = `signals.grace`.

    Attributes:
        channel: of the positions of classic programs.
    """

    def __init__(
        self,
        env: Environment,
        listener: Listener,
        signals: SignalService,
        sessions: SessionFactory,
        grace: float | None = None,
    ) -> None:
        super().__init__(env, listener)
        self.signals, self.sessions = signals, sessions
        self.grace: float = env.section.grace if grace is None else grace
        self._own: str = env.section.channel_of(listener.endpoint)
        self.channel = self._own

    def at(self, listener: Listener) -> "SignalsFactory":
        """Return the factory for the connections of `listener`."""
        return SignalsFactory(self.env, listener, self.signals, self.sessions, self.grace)

    def build(self, peer: Peer) -> SignalsProtocol:
        """Return the protocol of a connection."""
        port, channel = self, self.channel_for(peer.host)
        if channel != self.channel:
            port = copy(self)
            port.channel = channel
        return SignalsProtocol(self.env, peer, port)

    def channel_for(self, host: str) -> str:
        """Return the channel of classic programs at an address: the port's, or its network's."""
        return self.signals.views.main_of("", host) if self._own == MAIN else self._own
