"""
The signals port: who speaks on it is found out from the first bytes, or from silence.

A connection that is silent for `grace` is a classic follower; one that
sends a position and may publish is a publisher, and is sent nothing.
"""

import re
from copy import copy

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.config.schema import Access
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, PolicyError, WireError, quote
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener, show
from mtnet.net.first_bytes import BROWSER_HEAD, describe, looks_like_browser
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.throttle import ReadRateLimit
from mtnet.net.transport import StreamTransport
from mtnet.services.signals.classic.follower import ClassicFollower
from mtnet.services.signals.ownership.publishers import Publisher
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.views.alias import MAIN
from mtnet.session.classic import parse_position
from mtnet.session.grammar import SEPARATORS, FrameDecoder, is_hello
from mtnet.session.road import Road
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
class SignalsProtocol(Protocol):
    """
    One connection to the signals port.

    Args:
        port: the factory, with what all connections of its listener share.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, env: Environment, peer: Peer, port: "SignalsFactory") -> None:
        self._env, self.peer, self._port = env, peer, port
        self._decoder = FrameDecoder()
        self._head: bytes | None = b""
        self._timer: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None
        self._follower: ClassicFollower | None = None
        self._publisher: Publisher | None = None
        self._session: Session | None = None
        self._mask = PasswordMask()
        self._refusals: RefusalCounter | None = None  # all that it sent is stored
        self._ended = self._peer_ended = False

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self._rate_limit = ReadRateLimit(self.transport, self._env.clock, self._env.section.frames)
        self.peer.connected(self.transport, self)
        if self.peer.rights.may("follow", "signals", self._port.channel):
            self._timer = self._env.clock.callLater(self._port.grace, self._silent)
        elif not self.peer.rights.may("publish", "signals", self._port.channel):
            self.peer.mark_unauthenticated()
            self._timer = self._env.clock.callLater(self._limits.login, self._mute)

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        if self._ended or (
            self._head is not None and self._is_browser(self._head + data[:BROWSER_HEAD])
        ):
            return
        if not self._mask.hides:
            self._mask.feed(data)
        try:
            self._read(data)
        except FrameError as error:
            self.peer.report_abuse(Offence.FRAME)
            if self._session is None:
                self.end(f"is cut off: {self._shown(error)}")
            else:
                self._session.unreadable(error)

    def readConnectionLost(self) -> None:
        """
        The peer has said all. A publisher is answered without a byte: a clean close once
        everything is on disk, a reset when something was refused or cut, or was no frame.
        """
        if self._decoder.unframed and not self._ended:
            self.end(f"ended without a frame: {self._unframed()}")
            return
        if self._decoder.unfinished and not self._ended:
            self._count_refusal()
            self._warn("ended in the middle of a frame", "cut")
        if self.peer.closing:
            self.transport.loseConnection()
            return
        self._peer_ended = True
        if self._session is not None:
            self._session.finish()
            return
        if self._publisher is None:
            self._finish(None)
            return
        self._timer = self._env.clock.callLater(self._env.section.stalled, self._late)
        self._port.signals.when_processed(self._publisher).addCallbacks(
            self._finish, self._not_stored
        )

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._decoder.unframed and not self._ended:
            self._warn(f"ended without a frame: {self._unframed()}", "end")
        self._ended = True
        self._stop()
        self._rate_limit.stop()
        if self._session is not None:
            self._session.close()
        self._leave()
        self.peer.disconnected()

    def end(self, why: str) -> None:
        """Close the connection at once, with one line in the log."""
        if not self._ended:
            self._ended = True
            self._stop()
            self._warn(why, "end")
            self.transport.abortConnection()

    def _is_browser(self, head: bytes) -> bool:
        """Return whether its first bytes are a web page's, which ends the connection."""
        foreign = looks_like_browser(head)
        if foreign:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"speaks HTTP or TLS, which a web page could abuse: {describe(head)}")
        self._head = head if foreign is None else None
        return bool(foreign)

    def _late(self) -> None:
        self._timer = None
        self.end("has said all, and the disk still refuses its positions")

    def _read(self, data: bytes) -> None:
        frames, unfinished = 0, self._decoder.unfinished
        for payload in self._decoder.feed(data):
            if self._ended:
                return
            self._frame(payload)
            frames += 1
        if not self.peer.trusted:
            self._rate_limit.spend(frames)
        if self._decoder.unfinished:
            self._time_frame(began=frames > 0 or not unfinished)
        elif self._deadline is not None or self._decoder.unframed:
            self._time_frame(began=bool(self._decoder.unframed and data.strip(SEPARATORS)))

    def _time_frame(self, began: bool) -> None:
        """Wait no longer than allowed for the end of a frame, or behind bytes that are none."""
        waits = self._decoder.unfinished or self._decoder.unframed
        if self._deadline is not None and (began or not waits):
            self._deadline.cancel()
            self._deadline = None
        if began and not self._ended:
            self._deadline = self._env.clock.callLater(self._limits.frame, self._dripped)

    def _dripped(self) -> None:
        self._deadline = None
        if self._rate_limit.paused:  # the rest of it waits for us
            self._deadline = self._env.clock.callLater(self._limits.frame, self._dripped)
            return
        self.peer.report_abuse(Offence.DEADLINE)
        if self._decoder.unfinished:
            self.end(f"did not end a frame within {self._limits.frame:g} s")
        else:
            self.end(f"sent no frame within {self._limits.frame:g} s of this: {self._unframed()}")

    def _unframed(self) -> str:
        if self._mask.hides:
            return "it may hold a password"
        return f"{quote(self._decoder.unframed)}. A frame is <<SYMBOL|LOTS>> in ANSI or UTF-8"

    def _mute(self) -> None:
        self._timer = None
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(
            f"did not log in within {self._limits.login:g} s, and may do nothing without; "
            "access.anonymous and access.networks name what it may"
        )

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        if self._session is not None:
            self._session.close_with(b"")
        elif not self._ended:
            self._ended = True
            self._stop()
            self.transport.abortConnection()

    def _silent(self) -> None:
        self._timer = None
        login = "" if self.peer.identity is None else self.peer.identity.name
        self._follower = ClassicFollower(
            self._env,
            self._port.signals,
            self._find_channel,
            self.transport,
            login,
            self.end,
        )
        self._follower.start()

    def _frame(self, payload: bytes) -> None:
        if self._session is not None:
            self._session.frame(payload)
        elif payload.startswith(b"HELLO") and is_hello(payload):
            self._greet(payload)
        else:
            try:
                self._publish(payload)
            except WireError as error:
                self._refused(error)

    def _greet(self, payload: bytes) -> None:
        """From here on this connection speaks dialect 2."""
        self._stop()
        self._leave()
        # HELLO may hold a password: nothing that this connection says is shown from now on.
        self._mask = HIDDEN
        road = Road(self.transport, self.peer, self._rate_limit, self)
        self._session = self._port.sessions.open(road)
        self._session.frame(payload)

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
        half = not self._peer_ended
        if half and not ISSLTransport.providedBy(self.transport):
            self.transport.resumeProducing()  # the disk may have been behind
        self.peer.close(half)

    def _refused(self, error: WireError) -> None:
        self._refusals = self._refusals or RefusalCounter()
        # What its channel does not take, or our disk, is no error of the client.
        if not isinstance(error, PolicyError) and error.code != "server":
            self._count_refusal()
        if error.code == "server":
            # A clean close, which the process ends with, would say that it was stored.
            self.end(str(error))
            return
        shown = self._shown(error)
        self._warn(f"sent a frame that is refused ({error.code}): {shown}", error.code)

    def _shown(self, error: WireError) -> str:
        return "it may hold a password" if self._mask.hides else str(error)

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._port.signals.leave(publisher)

    def _count_refusal(self) -> None:
        most = self._env.section.refusals
        self._refusals = self._refusals or RefusalCounter()
        if self._refusals.add(self._env.clock.seconds()) > most:
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
        symbol, volume = parse_position(payload, self._env.section.codepage)
        if self._publisher is None:
            self._stop()
            peer = show(self.transport.getPeer())
            producer = self._rate_limit.producer("disk")
            self._publisher = self._port.signals.join(
                peer, producer, refuse=self._refused, close=self.end, address=self.peer.host
            )
        self._port.signals.submit(self._publisher, channel, symbol, volume)

    def _find_channel(self) -> str:
        return self._port.channel_for(self.peer.host)

    def _finish(self, _: None) -> None:
        if self._ended:
            return
        idle = self._stop()
        self._ended = True
        if idle and self._refusals is None:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def _not_stored(self, failure: Failure) -> None:
        self.end(failure.getErrorMessage())

    def _stop(self) -> bool:
        """Stop being a follower, or becoming one; return whether nothing is left to send."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        follower, self._follower = self._follower, None
        return follower is None or follower.stop()

    @property
    def _limits(self) -> Access:
        return self._env.config.access

    def _warn(self, what: str, kind: str) -> None:
        self.peer.warn(self.log, f"signals {kind}", "signals: {peer} {what}", what=what)


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
        return SignalsFactory(self._env, listener, self.signals, self.sessions, self.grace)

    def build(self, peer: Peer) -> SignalsProtocol:
        """Return the protocol of a connection."""
        port, channel = self, self.channel_for(peer.host)
        if channel != self.channel:
            port = copy(self)
            port.channel = channel
        return SignalsProtocol(self._env, peer, port)

    def channel_for(self, host: str) -> str:
        """Return the channel of classic programs at an address: the port's, or its network's."""
        return self.signals.views.main_of("", host) if self._own == MAIN else self._own
