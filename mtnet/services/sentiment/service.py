"""The service: votes, the sums that may be shown, and who is sent them when they change."""

from collections.abc import Callable
from decimal import Decimal
from itertools import islice

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.callbacks import Observers
from mtnet.services.sentiment import wire
from mtnet.services.sentiment.disclosure import SymbolSums, Voter
from mtnet.services.sentiment.fanout import SentimentFanout
from mtnet.services.sentiment.settings import SentimentSettings
from mtnet.services.sentiment.votes import Holder, VoteBook
from mtnet.services.sentiment.wire import UNITS, Sentiment, to_lots, to_units

ZERO = to_lots(0)
SLICE = 2_000
"""Votes that are forgotten at once, before other connections are served: about 20 ms."""
NETWORK, LOGIN = "network", "login"
Observer = Callable[[str], object]


def voter_of(login: str, network: str) -> Voter:
    """Return who a client is: its login, or its network if it has none."""
    return (LOGIN, login) if login else (NETWORK, network)


class SentimentService:
    """
    Aggregator of positions: one vote of each voter, sums for everybody.

    Args:
        floor: see `SymbolSums`.
        now: milliseconds since the Unix epoch, UTC.
    """

    def __init__(
        self,
        settings: SentimentSettings,
        floor: int,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self._settings, self._clock, self._now = settings, clock, now
        self._most = round(settings.max_volume * UNITS)
        self._book, self.fanout = VoteBook(settings, floor), SentimentFanout(clock)
        self._changed: dict[str, None] = {}
        self._next_round = 0.0
        self._round: IDelayedCall | None = None
        self._expiry: IDelayedCall | None = None
        self.observers = Observers[str]()

    def hold(
        self,
        holder: Holder,
        symbol: str,
        volume: Decimal,
        network: str = "",
        asker: Observer | None = None,
    ) -> Sentiment:
        """
        Take a vote; what may be shown of it is shown at once.

        Args:
            volume: lots, negative = sold; 0 withdraws the vote.
            network: of a voter with a login: a vote of its network that lingers is its own.
            asker: an observer that is not called, since it gets the answer.

        Raises:
            PolicyError: `denied`; there are too many votes.
        """
        units = to_units(volume, self._most)
        if network:
            self._book.replace_lingering(symbol, (NETWORK, network))
        sums = self._book.hold(holder, symbol, units)
        self._disclose(sums, asker)
        return self.shown(symbol)

    def vote(self, login: str, network: str, symbol: str, volume: Decimal) -> Sentiment:
        """Take a vote without a session, which lingers at once; as `hold`."""
        holder = Holder(voter_of(login, network))
        shown = self.hold(holder, symbol, volume, network if login else "")
        self.end(holder)
        return shown

    def end(self, holder: Holder) -> None:
        """Let the votes of a holder linger: it has ended."""
        self._book.end(holder, self._clock.seconds())
        self._plan_expiry()

    def withdraw(self, holder: Holder) -> None:
        """Forget the votes of a holder at once: it is another voter from now on."""
        for sums in self._book.withdraw(holder):
            self._disclose(sums)

    def shown(self, symbol: str) -> Sentiment:
        """Return the sums of a symbol; where none may be shown, those of no client, of now."""
        sums = self._book.symbols.get(symbol)
        found = None if sums is None else sums.shown
        return Sentiment(symbol, ZERO, ZERO, 0, self._now()) if found is None else found

    def all(self) -> list[Sentiment]:
        """Return all sums that may be shown, by symbol."""
        found = (each.shown for each in self._book.symbols.values())
        return sorted((each for each in found if each is not None), key=lambda each: each.symbol)

    def close(self) -> None:
        """Send nothing more."""
        self.fanout.close()
        for timer in (self._round, self._expiry):
            if timer is not None:
                timer.cancel()
        self._round = self._expiry = None

    def _disclose(self, sums: SymbolSums, asker: Observer | None = None) -> None:
        changed = sums.disclose(self._now())
        self._book.tidy(sums)
        if not changed:
            return
        self._changed[sums.symbol] = None
        self.observers.call(sums.symbol, sums.symbol, but=asker)
        if self._round is None:
            delay = max(0.0, self._next_round - self._clock.seconds())
            self._round = self._clock.callLater(delay, self._send_round)

    def _send_round(self) -> None:
        """Send what has changed since the last round."""
        self._round = None
        self._next_round = self._clock.seconds() + self._settings.interval
        changed, self._changed = self._changed, {}
        self.fanout.send_round({symbol: wire.sentiment(self.shown(symbol)) for symbol in changed})

    def _plan_expiry(self) -> None:
        due = self._book.next_expiry
        if self._expiry is None and due is not None:
            delay = max(0.0, due - self._clock.seconds())
            self._expiry = self._clock.callLater(delay, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        expired = islice(self._book.expire(self._clock.seconds()), SLICE)
        for sums in dict.fromkeys(expired):  # each once: votes that end together are one change
            self._disclose(sums)
        self._plan_expiry()
