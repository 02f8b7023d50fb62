"""
Trades of a channel, made of its entries.

Pure. `price` of an entry that holds a volume is the opening price of the whole position, weighted
by volume; of volume 0 it is the closing price. A reduction leaves the opening price as it is, so
another price in it is the closing price of that part; a change of sign closes and opens at one
price. A price that is not known is None, and never guessed.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

from msgspec import Struct

from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.ownership.transitions import POSITION
from mtnet.values import PRICE_DECIMALS

Side = Literal["buy", "sell"]


class Part(NamedTuple):
    """A closing of some lots; unsigned."""

    volume: Decimal
    opening: Decimal | None
    closing: Decimal | None


class Trade(Struct, frozen=True):
    """
    A position from its opening until it is flat.

    Attributes:
        volume: lots that were closed, unsigned.
        opened: milliseconds since the Unix epoch, UTC; None = it is not known.
        closed: the same of its last closing.
        opening, closing: prices, weighted by volume; None = one of a part is not known.
        gained: price difference times lots, positive = won; None = a price is not known.
        parts: how many closings.
        first, last: the entries that opened and closed it; 0 = it was opened before `first`.
    """

    symbol: str
    ticket: str
    side: Side
    volume: Decimal
    opened: int | None
    closed: int
    opening: Decimal | None
    closing: Decimal | None
    gained: Decimal | None
    parts: int
    first: int
    last: int


class Holding:
    """A position that is open."""

    def __init__(
        self, volume: Decimal, price: Decimal | None, opened: int | None, seq: int
    ) -> None:
        self.volume, self.price, self.opened, self.seq = volume, price, opened, seq
        self.parts: list[Part] = []


class Trades:
    """
    State machine: entries in, trades out.

    Attributes:
        closed: the trades, by their closing.
        open: the positions that are open, by symbol and ticket.
        digits: the most decimals of a price, by symbol.
    """

    def __init__(self) -> None:
        self.closed: list[Trade] = []
        self.open: dict[tuple[str, str], Holding] = {}
        self.digits: dict[str, int] = {}
        self._orders: set[tuple[str, str]] = set()

    def take(self, entry: Entry) -> None:
        """Take the next entry of the channel."""
        key, price = (entry.symbol, entry.ticket), self._price(entry)
        volume = entry.volume if entry.type == POSITION else FLAT
        holding = self.open.get(key) or self._opened_before(key, entry)
        if entry.type != POSITION and entry.volume:
            self._orders.add(key)
        else:
            self._orders.discard(key)
        if holding is not None and volume * holding.volume <= 0:
            self._close(key, holding, entry, price)
            holding = None
        if not volume:
            return
        if holding is None:
            opened = entry.when if entry.opened is None else entry.opened
            self.open[key] = Holding(volume, price, opened, entry.seq)
        else:
            self._change(holding, volume, price)

    def _opened_before(self, key: tuple[str, str], entry: Entry) -> Holding | None:
        """Return a position that was opened before the first entry that is kept."""
        if not entry.previous or key in self._orders or entry.type != POSITION:
            return None
        holding = self.open[key] = Holding(entry.previous, None, entry.opened, 0)
        return holding

    def _change(self, holding: Holding, volume: Decimal, price: Decimal | None) -> None:
        less = abs(holding.volume) - abs(volume)
        if less > 0:
            known = price if price != holding.price else None
            holding.parts.append(Part(less, holding.price, known))
        else:
            holding.price = price if price is not None or less else holding.price
        holding.volume = volume

    def _close(
        self,
        key: tuple[str, str],
        holding: Holding,
        entry: Entry,
        price: Decimal | None,
    ) -> None:
        del self.open[key]
        parts = [*holding.parts, Part(abs(holding.volume), holding.price, price)]
        side: Side = "buy" if holding.volume > 0 else "sell"
        opening = _mean([(each.volume, each.opening) for each in parts])
        closing = _mean([(each.volume, each.closing) for each in parts])
        total = sum((each.volume for each in parts), FLAT)
        gained = None
        if opening is not None and closing is not None:
            sign = 1 if side == "buy" else -1
            gained = sign * sum((_difference(each) for each in parts), FLAT)
        self.closed.append(
            Trade(
                *key,
                side,
                total,
                holding.opened,
                entry.when,
                opening,
                closing,
                gained,
                len(parts),
                holding.seq,
                entry.seq,
            )
        )

    def _price(self, entry: Entry) -> Decimal | None:
        text = dict(entry.fields).get("price")
        if text is None:
            return None
        price = Decimal(text)
        exponent = price.as_tuple().exponent
        digits = -exponent if isinstance(exponent, int) else 0
        if digits <= PRICE_DECIMALS:  # 1e-300 is a price too, and no point of any symbol
            self.digits[entry.symbol] = max(self.digits.get(entry.symbol, 0), digits)
        return price or None


def _difference(part: Part) -> Decimal:
    return part.volume * ((part.closing or FLAT) - (part.opening or FLAT))


def _mean(weighted: Iterable[tuple[Decimal, Decimal | None]]) -> Decimal | None:
    """Return a mean by volume; None = a price is not known."""
    total = amount = FLAT
    for volume, price in weighted:
        if price is None:
            return None
        total, amount = total + volume, amount + volume * price
    return amount / total


def points(trade: Trade, digits: Mapping[str, int]) -> Decimal | None:
    """Return what a trade won for each lot, in points; None = it is not known."""
    if trade.gained is None:
        return None
    point = Decimal(1).scaleb(-digits.get(trade.symbol, 0))
    return rounded(trade.gained / trade.volume / point, Decimal("0.1"))


def rounded(value: Decimal, unit: Decimal) -> Decimal | None:
    """Return a value rounded to a unit; None = it has more digits than anybody could earn."""
    try:
        return value.quantize(unit)
    except InvalidOperation:
        return None
