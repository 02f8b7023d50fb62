"""
The positions of every channel and who sets them.

No Twisted, no clock: times are handed in, in milliseconds since the Unix epoch, UTC.
Volumes are net positions in lots, signed; 0 = flat.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct

from mtnet.errors import WireError

FLAT = Decimal(0)


class Position(Struct, frozen=True):
    """What one symbol of a channel stands at, and since when."""

    symbol: str
    volume: Decimal
    when: int


class Change(Struct, frozen=True):
    """
    A position that was set.

    Attributes:
        previous: the volume before it; None = nothing was known of the symbol.
        when: when it was taken.
    """

    channel: str
    symbol: str
    volume: Decimal
    when: int
    previous: Decimal | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What a newer change replaces."""
        return self.channel, self.symbol


def is_reduction(before: Decimal | None, after: Decimal) -> bool:
    """Say whether going from `before` to `after` closes lots; such news must travel first."""
    if before is None:
        return after == FLAT
    return abs(after) < abs(before) or before * after < 0


def latest(changes: Iterable[Change]) -> list[Change]:
    """Return the last change of each symbol, in the order in which those came."""
    newest: dict[tuple[str, str], Change] = {}
    for change in changes:
        newest.pop(change.key, None)
        newest[change.key] = change
    return list(newest.values())


class Book:
    """
    The state: channel → symbol → position.

    A symbol that went flat stays, with volume 0, until it expires: what is not named is
    unknown, and a follower must be able to learn of a close that it missed.
    """

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, Position]] = {}

    def channel(self, name: str) -> Mapping[str, Position]:
        """Return a live view of the positions of a channel, flat ones included."""
        return MappingProxyType(self._channels.setdefault(name, {}))

    def channels(self) -> Mapping[str, Mapping[str, Position]]:
        """Return every channel that was ever named."""
        return MappingProxyType(self._channels)

    def volume(self, channel: str, symbol: str) -> Decimal | None:
        """Return the net position of a symbol, or None when nothing is known of it."""
        position = self._channels.get(channel, {}).get(symbol)
        return None if position is None else position.volume

    def apply(self, change: Change) -> Change:
        """Set a position; return the change with the volume that it replaced."""
        positions = self._channels.setdefault(change.channel, {})
        before = self.volume(change.channel, change.symbol)
        positions[change.symbol] = Position(change.symbol, change.volume, change.when)
        return Change(change.channel, change.symbol, change.volume, change.when, before)

    def evict(self, channel: str, before: int) -> str | None:
        """Forget the symbol that went flat first, if that was earlier than `before`; name it."""
        positions = self._channels.get(channel, {})
        flat = [p for p in positions.values() if not p.volume and p.when < before]
        if not flat:
            return None
        oldest = min(flat, key=lambda p: p.when).symbol
        del positions[oldest]
        return oldest

    def expire(self, before: int) -> None:
        """Forget the symbols that went flat earlier than `before`."""
        for positions in self._channels.values():
            gone = [p.symbol for p in positions.values() if not p.volume and p.when < before]
            for symbol in gone:
                del positions[symbol]


class Claims:
    """
    Which publisher sets which symbol.

    Each publisher owns the symbols that it set, and the newest takes a symbol over: two
    masters that both live would otherwise turn every follower's position to and fro. When
    the owner leaves, the symbol is free again. Publishers are numbers that rise with time.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], int] = {}
        self._live = 0
        self._last = 0

    @property
    def live(self) -> int:
        """How many publishers there are."""
        return self._live

    def join(self) -> int:
        """Return the number of a new publisher."""
        self._last += 1
        self._live += 1
        return self._last

    def leave(self, publisher: int) -> None:
        """Free what `publisher` owned."""
        self._live -= 1
        for key in [key for key, owner in self._owners.items() if owner == publisher]:
            del self._owners[key]

    def take(self, publisher: int, channel: str, symbol: str) -> None:
        """
        Make `publisher` the owner of a symbol.

        Raises:
            WireError: `fenced`; a newer publisher owns it.
        """
        owner = self._owners.get((channel, symbol), 0)
        if owner > publisher:
            raise WireError(
                "fenced",
                f"A newer publisher sets {symbol} in {channel}; this one is not heard on it "
                "until that one leaves",
            )
        self._owners[channel, symbol] = publisher
