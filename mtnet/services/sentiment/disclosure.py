"""
Disclosure control: which sums of a symbol are shown, so that none of them is one client's.

Statistical offices call this a minimum cell size; that of differences is for all that can be
computed from two sums. Pure: methods take the time.
"""

from mtnet.services.sentiment.wire import Sentiment, to_lots

Voter = tuple[str, str]
"""The owner of one vote: `("login", name)`, or `("network", network)` without a login."""


class SymbolSums:
    """
    The sums of one symbol: as they are, which nobody is shown, and as they are shown.

    Args:
        floor: clients that sums must have.
        changes: votes that must differ between two sums.

    Attributes:
        clients: who vote now; for this code alone.
        shown: the sums for everybody; None = none. They have no time either: that of a vote would
            say that there is one.
    """

    __slots__ = (
        "_changes",
        "_differing",
        "_floor",
        "_known",
        "_long",
        "_short",
        "clients",
        "shown",
        "symbol",
    )

    def __init__(self, symbol: str, floor: int, changes: int) -> None:
        self.symbol, self._floor, self._changes = symbol, floor, changes
        self.clients = self._long = self._short = 0
        self.shown: Sentiment | None = None
        self._known: Sentiment | None = None
        self._differing: dict[Voter, int] = {}

    @property
    def disposable(self) -> bool:
        """Whether it can be forgotten: later sums cannot be compared with any that were shown."""
        return not self.clients and (self._changes == 1 or self._known is None)

    def change(self, voter: Voter, before: int, after: int) -> None:
        """Count a vote that changes; in units, 0 = there is none."""
        self._long += max(after, 0) - max(before, 0)
        self._short += max(-after, 0) - max(-before, 0)
        self.clients += bool(after) - bool(before)
        known = self._differing.pop(voter, before)
        if after != known:
            self._differing[voter] = known

    def disclose(self, time: int) -> bool:
        """Show what may be shown; return whether that is something else than before."""
        former = self.shown
        if self.clients < self._floor:
            self.shown = None
        elif len(self._differing) >= self._changes:
            self._differing.clear()
            long, short = to_lots(self._long), to_lots(self._short)
            self.shown = self._known = Sentiment(self.symbol, long, short, self.clients, time)
        elif not self._differing:
            self.shown = self._known
        return self.shown is not former
