"""The verbs of sentiment in a session: HOLD and SENTIMENTS."""

from mtnet.access.addresses import network_of
from mtnet.access.rights import Rights
from mtnet.errors import WireError
from mtnet.net.output.queue import SendQueue
from mtnet.services.sentiment import wire
from mtnet.services.sentiment.service import SentimentService, voter_of
from mtnet.services.sentiment.votes import Holder
from mtnet.services.sentiment.wire import EVERYTHING, Hold, Sentiments
from mtnet.session.handler import SessionHandler, SessionVerbs
from mtnet.session.session import Session

SERVICE = "sentiment"
FOLLOW, PUBLISH = "follow", "publish"


def demand(rights: Rights, verb: str, symbol: str) -> None:
    """
    Check a right; that to follow all symbols must be one to all.

    Raises:
        WireError: `denied`.
    """
    everything = verb == FOLLOW and symbol == EVERYTHING
    if not (rights.all(verb, SERVICE) if everything else rights.may(verb, SERVICE, symbol)):
        raise WireError("denied", f"There is no right {verb}:{SERVICE}/{symbol} here")


class SentimentClient(SessionHandler):
    """The verbs of sentiment in one session."""

    __slots__ = ("_holder", "_sentiment", "_session", "_symbols")

    def __init__(self, session: Session, sentiment: SentimentService) -> None:
        self._session, self._sentiment = session, sentiment
        self._holder = Holder(self._voter)
        self._symbols: frozenset[str] = frozenset()

    @property
    def queue(self) -> SendQueue:
        """Where its frames go."""
        return self._session.queue

    def welcomed(self) -> dict[str, str]:
        self._subscribe(frozenset())  # perhaps it has another login now
        if self._holder.voter != self._voter:
            self._sentiment.withdraw(self._holder)
            self._holder = Holder(self._voter)
        return {}

    def busy(self) -> bool:
        return bool(self._symbols)

    def hold(self, asked: Hold) -> None:
        """HOLD: take the vote, and answer with what is shown of the symbol."""
        demand(self._session.peer.rights, PUBLISH, asked.symbol)
        network = network_of(self._session.peer.host) if self._session.login else ""
        sums = self._sentiment.hold(self._holder, asked.symbol, asked.volume, network)
        self._session.send(wire.sentiment(sums))

    def sentiments(self, asked: Sentiments) -> None:
        """SENTIMENTS: send the sums of these symbols, and of no others, as they change."""
        for symbol in asked.symbols:
            demand(self._session.peer.rights, FOLLOW, symbol)
        self._subscribe(asked.symbols)
        everything = EVERYTHING in asked.symbols
        shown = self._sentiment.all() if everything else map(self._sentiment.shown, asked.symbols)
        self._session.send(wire.sentiments(asked.symbols) + b"".join(map(wire.sentiment, shown)))
        self._session.check_finished()

    @property
    def _voter(self) -> tuple[str, str]:
        return voter_of(self._session.login, network_of(self._session.peer.host))

    def _subscribe(self, symbols: frozenset[str]) -> None:
        if self._symbols:
            self._sentiment.fanout.unsubscribe(self._symbols, self)
        self._symbols = symbols
        if symbols:
            self._sentiment.fanout.subscribe(symbols, self)

    def end(self) -> None:
        """End what goes on."""
        self._subscribe(frozenset())
        self._sentiment.end(self._holder)


def sentiment_verbs(sentiment: SentimentService) -> SessionVerbs:
    """Return the verbs of sentiment."""
    return SessionVerbs(
        SERVICE,
        (FOLLOW, PUBLISH),
        wire.REQUESTS,
        {
            "HOLD": SentimentClient.hold,
            "SENTIMENTS": SentimentClient.sentiments,
        },
        lambda session: SentimentClient(session, sentiment),
    )
