"""
Slippage of one follower: how much worse its prices were than those of the provider.

Pure. Only whole openings and closings are compared: the price of an entry that enlarges or reduces
a position is that of the whole position (see `mtnet.services.signals.record.trades`). Kept in
memory alone, since the follower came first.
"""

from bisect import insort
from collections.abc import Callable
from decimal import Context, Decimal
from typing import TypeGuard

from msgspec import Struct

from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.ownership.transitions import POSITION
from mtnet.services.signals.reports.wire import Spec
from mtnet.services.signals.wire.requests import Ack
from mtnet.values import PRICE_DECIMALS

KEPT = 100
"""Symbols of one follower, of some 300 bytes; of further ones nothing is counted. A provider can
name new symbols all day."""
REMEMBERED = 32
"""Fills that are remembered by their numbers, since they may be acknowledged again: after a lost
connection, and each time that a net position changes of which the entry is a part. Earlier ones
count as known."""
MOST_PRICE = 10**12
"""A price from here on is no price: one absurd ACK would hide what the others lost."""
WIDE = Context(prec=60)
"""The sums of a hundred symbols at `MOST_PRICE` have less than as many digits."""
CENT = Decimal("0.01")
TENTH = Decimal("0.1")
Specs = Callable[[str], Spec | None]
"""Returns how the broker of a follower specifies a symbol; None = it has not said."""


class Lost(Struct):
    """
    Slippage in one symbol; positive = worse than the provider.

    Attributes:
        fills: that were compared.
        prices: sum of the differences of prices.
        amount: sum of the differences, each times its lots.
        digits: the most decimals of a price.
    """

    fills: int = 0
    prices: Decimal = FLAT
    amount: Decimal = FLAT
    digits: int = 0


class Slippage(Struct, frozen=True):
    """
    Slippage of a follower in a channel.

    Attributes:
        who: login and name, else the address.
        fills: openings and closings of which both prices are known.
        points: how much worse one fill was on average, in steps of the last decimal.
        cost: what all of them lost, in `currency`; None = a SPEC with the value of a step of price
            is missing, or they differ in their currency.
    """

    who: str
    channel: str
    fills: int
    points: str
    cost: str | None
    currency: str


class SlippageTable:
    """Bounded table of the slippage of one follower, by symbol."""

    __slots__ = ("_by_symbol", "_counted")

    def __init__(self) -> None:
        self._by_symbol: dict[str, Lost] = {}
        self._counted: list[int] = []

    def note(self, entry: Entry, ack: Ack, before: Decimal | None) -> None:
        """
        Take the fill of an entry; the first one counts.

        Args:
            before: lots of the symbol that the follower held; None = it has not said.
        """
        text = dict(entry.fields).get("price") if entry.type == POSITION else None
        previous = entry.previous or FLAT
        change = entry.volume - previous
        if text is None or ack.price is None or not change or entry.volume * previous > 0:
            return  # unknown, unchanged, enlarged or reduced
        counted = self._counted
        if entry.seq in counted or (len(counted) == REMEMBERED and entry.seq < counted[0]):
            return
        wanted, got = Decimal(text), Decimal(ack.price)
        digits = max(_decimals(wanted), _decimals(got))
        if digits > PRICE_DECIMALS or max(abs(wanted), abs(got)) >= MOST_PRICE:
            return
        known = self._by_symbol.get(entry.symbol)
        if known is None:
            if len(self._by_symbol) >= KEPT:
                return
            known = self._by_symbol[entry.symbol] = Lost()
        insort(counted, entry.seq)
        del counted[:-REMEMBERED]
        worse = got - wanted if change > 0 else wanted - got
        known.fills += 1
        known.prices += worse
        known.amount += worse * _lots(entry, ack, previous, before)
        known.digits = max(known.digits, digits)

    def summary(self, who: str, channel: str, specs: Specs) -> Slippage | None:
        """Return it for people; None = nothing could be compared."""
        fills = sum(each.fills for each in self._by_symbol.values())
        if not fills:
            return None
        points = sum((each.prices.scaleb(each.digits) for each in self._by_symbol.values()), FLAT)
        cost, currency = self._cost(specs)
        shown = None if cost is None else f"{cost.quantize(CENT, context=WIDE)}"
        average = (points / fills).quantize(TENTH, context=WIDE)
        return Slippage(who, channel, fills, f"{average}", shown, currency)

    def _cost(self, specs: Specs) -> tuple[Decimal | None, str]:
        total, currencies = FLAT, set[str]()
        for symbol, each in self._by_symbol.items():
            spec = specs(symbol)
            if spec is None or not _is_step(spec.tick) or spec.tickvalue is None:
                return None, ""
            total += each.amount / spec.tick * spec.tickvalue
            currencies.add(spec.currency)
        return (total, currencies.pop()) if len(currencies) == 1 else (None, "")


def _lots(entry: Entry, ack: Ack, previous: Decimal, before: Decimal | None) -> Decimal:
    """Return how many lots were traded, unsigned: what was closed, and what was opened."""
    closed = before if before is not None and not entry.ticket else previous
    opened = entry.volume if ack.volume is None else ack.volume
    return (abs(closed) if previous else FLAT) + (abs(opened) if entry.volume else FLAT)


def _is_step(tick: Decimal | None) -> TypeGuard[Decimal]:
    """Return whether prices can have a step: with an absurd one, a sum would have no end."""
    return tick is not None and tick > 0 and _decimals(tick) <= PRICE_DECIMALS


def _decimals(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
