"""
The port of classic programs: `<<EURUSD|0.25>>` in, `<<EURUSD|TOTAL>>` out.

A connection that has sent no frame is sent nothing: an unchanged follower of signals would trade
the sums.
"""

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.addresses import network_of
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, PolicyError, WireError
from mtnet.interfaces import IStreamListener
from mtnet.net.admission import PeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.peer import Peer
from mtnet.services.sentiment.classic.sender import SumSender
from mtnet.services.sentiment.service import SentimentService, voter_of
from mtnet.services.sentiment.verbs import PUBLISH, SERVICE, demand
from mtnet.services.sentiment.votes import Holder
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

    def __init__(self, env: Environment, peer: Peer, sentiment: SentimentService) -> None:
        super().__init__(env, peer)
        self._sentiment = sentiment
        self._holder: Holder | None = None
        self._sender: SumSender | None = None
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
            self._vote(payload)
        except WireError as error:
            # Of the bytes nothing is shown: somebody may have sent a password here.
            self.warn(f"sent a frame that is refused ({error.code}). {FORM}", error.code)
            honest = isinstance(error, PolicyError)
            if not honest and self._errors.reached(self.peer, self.env.clock.seconds()):
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
        if self._holder is not None:
            self._sentiment.end(self._holder)
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.stop()

    def _vote(self, payload: bytes) -> None:
        settings = self.env.section
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
                settings, self._sentiment, self.transport, self.env.clock, self.end
            )
        sender.offer(symbol)

    def _lack(self) -> str:
        """Return why the connection may do nothing; empty = it may vote."""
        lack = f"has no right {PUBLISH}:{SERVICE}; see access.anonymous, access.networks"
        return "" if self._may_vote() else lack

    def _may_vote(self) -> bool:
        return self.peer.rights.any(PUBLISH, SERVICE)

    def _leave(self) -> None:
        if self._holder is not None:
            self._sentiment.withdraw(self._holder)


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
        return SentimentProtocol(self.env, peer, self._sentiment)


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
