"""
The port of classic programs: `<<EURUSD|0.25>>` in, `<<EURUSD|TOTAL>>` out.

A connection that has sent no frame is sent nothing: an unchanged follower of signals would trade
the sums.
"""

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, WireError
from mtnet.interfaces import IStreamListener
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer
from mtnet.services.sentiment.classic.voter import ClassicVoter
from mtnet.services.sentiment.service import SentimentService
from mtnet.services.sentiment.verbs import PUBLISH, SERVICE
from mtnet.session.classic import parse_position
from mtnet.session.frames import FrameProtocol
from mtnet.session.grammar import is_hello
from mtnet.session.session import ErrorLimit

SEND_BUFFER = 8_192
"""Bytes that the kernel keeps for a program: old sums must not pile up there."""
FORM = "A frame is <<SYMBOL|LOTS>> in ANSI or UTF-8"


@implementer(IHalfCloseableProtocol)
class SentimentProtocol(FrameProtocol):
    """One connection of a classic program, which votes and is sent sums."""

    def __init__(self, env: Environment, peer: Peer, voter: ClassicVoter) -> None:
        super().__init__(env, peer)
        self._voter = voter
        self._errors = ErrorLimit(env.section.refusals)

    def connectionMade(self) -> None:
        configure_keepalive(self.transport, SEND_BUFFER)
        self.begin(self.env.section.frames)
        self.peer.mark_unauthenticated()
        if not self._may_vote():
            self.wait_for_login(self._lack)

    def readConnectionLost(self) -> None:
        """The peer has said all: whoever waits for sums keeps its half open."""
        if self.decoder.unframed or self.decoder.unfinished:
            self.end(f"ended without a whole frame. {FORM}")
        else:
            self.finish()
            self.peer.close()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost()

    def frame(self, payload: bytes) -> None:
        """Take a vote."""
        if is_hello(payload):
            # It may hold a password: nothing of it is shown.
            self.end(f"says HELLO, which belongs to the port of signals. {FORM}")
            return
        try:
            symbol, volume = parse_position(payload, self.env.section.codepage)
            self._voter.vote(symbol, volume, self.transport, self.end)
        except WireError as error:
            # Of the bytes nothing is shown: somebody may have sent a password here.
            self.warn(f"sent a frame that is refused ({error.code}). {FORM}", error.code)
            if error.is_offence and self._errors.reached(self.peer, self.env.clock.seconds()):
                most = self.env.section.refusals
                self.end(f"sent {most} frames that are refused within a minute")

    def unreadable(self, error: FrameError) -> None:
        """Reset the connection."""
        self.end(f"is cut off: more than a frame has. {FORM}", error.code)

    def evicted(self) -> None:
        """Reset the connection."""
        if not self.ended:
            self.finish()
            self.transport.abortConnection()

    def stop(self) -> None:
        """Send nothing more; the votes linger."""
        self._voter.stop()

    def _lack(self) -> str:
        """Return why the connection may do nothing; empty = it may vote."""
        lack = f"has no right {PUBLISH}:{SERVICE}; see access.anonymous, access.networks"
        return "" if self._may_vote() else lack

    def _may_vote(self) -> bool:
        return self.peer.rights.any(PUBLISH, SERVICE)


class SentimentFactory(PeerFactory):
    """Builds the connections of one listener."""

    def __init__(self, env: Environment, listener: Listener, sentiment: SentimentService) -> None:
        super().__init__(env, listener)
        self.env, self._sentiment = env, sentiment

    def at(self, listener: Listener) -> "SentimentFactory":
        """Return the factory for the connections of `listener`."""
        return SentimentFactory(self.env, listener, self._sentiment)

    def build(self, peer: Peer) -> SentimentProtocol:
        """Return the protocol of a connection."""
        return SentimentProtocol(self.env, peer, ClassicVoter(self.env, peer, self._sentiment))


@implementer(IStreamListener)
class SentimentPort:
    """The port, at each of its listeners."""

    verbs = (PUBLISH,)
    welcomes = False

    def __init__(self, env: Environment, sentiment: SentimentService) -> None:
        self._env, self._sentiment = env, sentiment

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of classic programs at a listener."""
        return SentimentFactory(self._env, listener, self._sentiment)
