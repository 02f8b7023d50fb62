"""
The port of classic programs: `<<EURUSD|0.25>>` in, `<<EURUSD|TOTAL>>` out.

A connection that has sent no frame is sent nothing: an unchanged follower of signals would trade
the sums.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.addresses import network_of
from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, PolicyError, WireError
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import BROWSER_HEAD, describe, looks_like_browser
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.throttle import ReadRateLimit
from mtnet.net.transport import StreamTransport
from mtnet.services.sentiment.classic.sender import SumSender
from mtnet.services.sentiment.service import SentimentService, voter_of
from mtnet.services.sentiment.verbs import PUBLISH, SERVICE, demand
from mtnet.services.sentiment.votes import Holder
from mtnet.session.classic import parse_position
from mtnet.session.grammar import SEPARATORS, FrameDecoder, is_hello
from mtnet.session.session import ErrorLimit

SEND_BUFFER = 8_192
"""Bytes that the kernel keeps for a program: old sums must not pile up there."""
FORM = "A frame is <<SYMBOL|LOTS>> in ANSI or UTF-8"


@implementer(IHalfCloseableProtocol)
class SentimentProtocol(Protocol):
    """One connection of a classic program, which votes and is sent sums."""

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, env: Environment, peer: Peer, sentiment: SentimentService) -> None:
        self._env, self.peer, self._sentiment = env, peer, sentiment
        self._decoder = FrameDecoder()
        self._head: bytes | None = b""
        self._holder: Holder | None = None
        self._sender: SumSender | None = None
        self._errors = ErrorLimit(env.section.refusals)
        self._deadline: IDelayedCall | None = None
        self._ended = False

    def connectionMade(self) -> None:
        configure_keepalive(self.transport, SEND_BUFFER)
        self._rate_limit = ReadRateLimit(self.transport, self._env.clock, self._env.section.frames)
        self.peer.connected(self.transport, self._evicted)
        self.peer.mark_unauthenticated()
        if not self._may_vote():
            self._wait(self._env.config.access.login, self._check_rights)

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
                self._frame(payload)
        except FrameError as error:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"is cut off: more than a frame has. {FORM}", error.code)
        if not self.peer.trusted:
            self._rate_limit.spend(frames)
        self._time_frame(data, frames)

    def readConnectionLost(self) -> None:
        """The peer has said all: whoever waits for sums keeps its half open."""
        if self._decoder.unframed or self._decoder.unfinished:
            self.end(f"ended without a whole frame. {FORM}")
        else:
            self._stop()
            self.peer.close()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = True
        self._stop()
        self._rate_limit.stop()
        self.peer.disconnected()

    def end(self, why: str, kind: str = "end") -> None:
        """Reset the connection, with one line in the log."""
        if not self._ended:
            self._ended = True
            self._stop()
            self._warn(why, kind)
            self.transport.abortConnection()

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

    def _frame(self, payload: bytes) -> None:
        if is_hello(payload):
            # It may hold a password: nothing of it is shown.
            self.end(f"says HELLO, which belongs to the port of signals. {FORM}")
            return
        try:
            self._vote(payload)
        except WireError as error:
            # Of the bytes nothing is shown: somebody may have sent a password here.
            self._warn(f"sent a frame that is refused ({error.code}). {FORM}", error.code)
            honest = isinstance(error, PolicyError)
            if not honest and self._errors.reached(self.peer, self._env.clock.seconds()):
                most = self._env.section.refusals
                self.end(f"sent {most} frames that are refused within a minute")

    def _vote(self, payload: bytes) -> None:
        settings = self._env.section
        symbol, volume = parse_position(payload, settings.codepage)
        demand(self.peer.rights, PUBLISH, symbol)
        sender, network = self._sender, network_of(self.peer.host)
        if sender is not None and not sender.has_room(symbol):
            raise PolicyError("denied", "There are too many symbols; see sentiment.max_symbols")
        login = "" if self.peer.identity is None else self.peer.identity.name
        if self._holder is None or self._holder.voter != voter_of(login, network):
            self._leave()
            self._holder = Holder(voter_of(login, network))
        asker = None if sender is None else sender.changed
        self._sentiment.hold(self._holder, symbol, volume, network if login else "", asker)
        self.peer.mark_active()
        if sender is None:
            sender = self._sender = SumSender(
                settings, self._sentiment, self.transport, self._env.clock, self.end
            )
        sender.offer(symbol)

    def _time_frame(self, data: bytes, frames: int) -> None:
        """Wait no longer than allowed for the end of a frame, or behind bytes that are none."""
        waits = self._decoder.unfinished or self._decoder.unframed
        if (frames or not waits) and self._may_vote():
            self._cancel()
        if waits and self._deadline is None and data.strip(SEPARATORS) and not self._ended:
            self._wait(self._env.config.access.frame, self._late)

    def _late(self) -> None:
        self._deadline = None
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(f"sent no whole frame within {self._env.config.access.frame:g} s. {FORM}")

    def _check_rights(self) -> None:
        self._deadline = None
        if not self._may_vote():
            self.peer.report_abuse(Offence.DEADLINE)
            self.end(f"has no right {PUBLISH}:{SERVICE}; see access.anonymous, access.networks")

    def _may_vote(self) -> bool:
        return self.peer.rights.any(PUBLISH, SERVICE)

    def _evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        if not self._ended:
            self._ended = True
            self._stop()
            self.transport.abortConnection()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._deadline = self._env.clock.callLater(seconds, then)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _leave(self) -> None:
        if self._holder is not None:
            self._sentiment.withdraw(self._holder)

    def _stop(self) -> None:
        """Send nothing more; the votes linger."""
        self._cancel()
        if self._holder is not None:
            self._sentiment.end(self._holder)
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    def _warn(self, what: str, kind: str) -> None:
        self.peer.warn(self.log, f"sentiment {kind}", "sentiment: {peer} {what}", what=what)


class SentimentFactory(PeerFactory):
    """Builds the connections of one listener."""

    def __init__(self, env: Environment, listener: Listener, sentiment: SentimentService) -> None:
        super().__init__(env, listener)
        self._sentiment = sentiment

    def at(self, listener: Listener) -> "SentimentFactory":
        """Return the factory for the connections of `listener`."""
        return SentimentFactory(self._env, listener, self._sentiment)

    def build(self, peer: Peer) -> SentimentProtocol:
        """Return the protocol of a connection."""
        return SentimentProtocol(self._env, peer, self._sentiment)
