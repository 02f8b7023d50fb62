"""
The votes: one of each voter on a symbol, whichever of its sessions has said it last.

Pure: methods take `when`, in seconds of one monotonic clock.
"""

from collections import Counter, deque
from collections.abc import Iterator

from mtnet.errors import PolicyError
from mtnet.services.sentiment.disclosure import SymbolSums, Voter
from mtnet.services.sentiment.settings import SentimentSettings


class Holder:
    """
    A session, a connection or a request that votes.

    Attributes:
        voter: whose votes these are.
        symbols: on which its votes are the last ones of the voter.
    """

    __slots__ = ("symbols", "voter")

    def __init__(self, voter: Voter) -> None:
        self.voter = voter
        self.symbols: dict[str, None] = {}


class Vote:
    """
    A vote on one symbol.

    Attributes:
        holder: who has said it; None = that one has ended.
        due: when it is forgotten then, in seconds of the clock.
    """

    __slots__ = ("due", "holder", "units")

    def __init__(self, holder: Holder, units: int) -> None:
        self.holder: Holder | None = holder
        self.units, self.due = units, 0.0


class VoteBook:
    """
    All votes.

    Args:
        floor: see `SymbolSums`.

    Attributes:
        symbols: the sums by symbol; those of one that is not here were never shown, or are
            forgotten.
    """

    def __init__(self, settings: SentimentSettings, floor: int) -> None:
        self._settings, self._floor = settings, floor
        self.symbols: dict[str, SymbolSums] = {}
        self._votes: dict[tuple[str, Voter], Vote] = {}
        self._per_voter: Counter[Voter] = Counter()
        self._lingering: deque[tuple[float, str, Voter]] = deque()

    @property
    def next_expiry(self) -> float | None:
        """When `expire` has something to do; None = at no time."""
        return self._lingering[0][0] if self._lingering else None

    def hold(self, holder: Holder, symbol: str, units: int) -> SymbolSums:
        """
        Set the vote of a holder's voter; 0 = there is none any more.

        Raises:
            PolicyError: `denied`; there are too many votes.
        """
        voter = holder.voter
        vote = self._votes.get((symbol, voter))
        if vote is None and units:
            self._check_room(voter, symbol)
        sums = self.symbols.get(symbol) or SymbolSums(
            symbol, self._floor, self._settings.min_changes
        )
        if units:
            self.symbols[symbol] = sums
        if vote is not None and vote.holder is not None:
            vote.holder.symbols.pop(symbol, None)
        if units:
            holder.symbols[symbol] = None
            self._set(sums, voter, vote, holder, units)
        elif vote is not None:
            self._discard(sums, voter, vote)
        return sums

    def end(self, holder: Holder, when: float) -> None:
        """Let the votes of a holder linger: it has ended."""
        due = when + self._settings.linger
        for symbol in holder.symbols:
            vote = self._votes[symbol, holder.voter]
            vote.holder, vote.due = None, due
            self._lingering.append((due, symbol, holder.voter))
        holder.symbols.clear()

    def withdraw(self, holder: Holder) -> list[SymbolSums]:
        """Forget the votes of a holder, who is another voter from now on; return their sums."""
        found = [self._forget(symbol, holder.voter) for symbol in holder.symbols]
        holder.symbols.clear()
        return found

    def replace_lingering(self, symbol: str, network: Voter) -> None:
        """Forget the vote of a network if it lingers: its client may be back, with a login."""
        vote = self._votes.get((symbol, network))
        if vote is not None and vote.holder is None:
            self._forget(symbol, network)

    def expire(self, when: float) -> Iterator[SymbolSums]:
        """Forget the votes that have lingered; yield the sums of each."""
        while self._lingering and self._lingering[0][0] <= when:
            due, symbol, voter = self._lingering.popleft()
            vote = self._votes.get((symbol, voter))
            if vote is not None and vote.holder is None and vote.due == due:
                yield self._forget(symbol, voter)

    def tidy(self, sums: SymbolSums) -> None:
        """Drop the sums of a symbol without votes, once everybody knows that there are none."""
        if sums.disposable and self.symbols.get(sums.symbol) is sums:
            del self.symbols[sums.symbol]

    def _set(
        self, sums: SymbolSums, voter: Voter, vote: Vote | None, holder: Holder, units: int
    ) -> None:
        if vote is None:
            self._votes[sums.symbol, voter] = Vote(holder, units)
            self._per_voter[voter] += 1
            sums.change(voter, 0, units)
            return
        before, vote.holder, vote.units = vote.units, holder, units
        if before != units:
            sums.change(voter, before, units)

    def _forget(self, symbol: str, voter: Voter) -> SymbolSums:
        sums = self.symbols[symbol]
        self._discard(sums, voter, self._votes[symbol, voter])
        return sums

    def _discard(self, sums: SymbolSums, voter: Voter, vote: Vote) -> None:
        del self._votes[sums.symbol, voter]
        self._per_voter[voter] -= 1
        if not self._per_voter[voter]:
            del self._per_voter[voter]
        sums.change(voter, vote.units, 0)

    def _check_room(self, voter: Voter, symbol: str) -> None:
        if symbol not in self.symbols and len(self.symbols) >= self._settings.symbols:
            self._make_room()
        most = self._settings.max_symbols
        if self._per_voter[voter] >= most:
            text = f"There are votes of this client on {most} symbols"
            raise PolicyError("denied", f"{text}, as sentiment.max_symbols allows")
        if len(self._votes) >= self._settings.max_votes:
            text = f"There are {self._settings.max_votes} votes, as sentiment.max_votes allows"
            raise PolicyError("denied", f"{text}: try again later")

    def _make_room(self) -> None:
        """Forget the oldest symbol without votes."""
        for sums in self.symbols.values():
            if not sums.clients:
                del self.symbols[sums.symbol]
                return
        text = f"There are votes on {self._settings.symbols} symbols, as sentiment.symbols allows"
        raise PolicyError("denied", f"{text}: try again later")
