"""A trading account of the demonstration: netting positions, balance and equity."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from mtnet.client import Report

VALUES = {"USDJPY": Decimal(661), "XAUUSD": Decimal(100), "UK100": Decimal(13)}
"""What one lot gains, in dollars, when the price rises by 1; of others as of EURUSD."""
VALUE = Decimal(100_000)
DEPOSIT = Decimal(100_000)
CENT = Decimal("0.01")
SERVER = "Simulated-Demo"
BUILD = 5120


class Quote(NamedTuple):
    """Prices of a symbol."""

    bid: Decimal
    ask: Decimal

    def of(self, volume: Decimal) -> Decimal:
        """Return the price at which a volume is traded: who buys pays the ask."""
        return self.ask if volume > 0 else self.bid


class Holding(NamedTuple):
    """A net position: lots, positive = bought, and the mean price of its opening."""

    volume: Decimal
    price: Decimal


class Account:
    """
    Netting account in dollars.

    Args:
        quote: returns the prices of a symbol; None = there was no tick.
    """

    def __init__(self, quote: Callable[[str], Quote | None]) -> None:
        self._quote, self._balance = quote, DEPOSIT
        self._holdings: dict[str, Holding] = {}

    def volume(self, symbol: str) -> Decimal:
        """Return the lots that are held of a symbol."""
        held = self._holdings.get(symbol)
        return Decimal(0) if held is None else held.volume

    def trade(self, symbol: str, volume: Decimal, price: Decimal) -> None:
        """Hold so many lots from now on; what changes is traded at one price."""
        before = self._holdings.pop(symbol, Holding(Decimal(0), price))
        grows = before.volume * volume > 0 and abs(volume) > abs(before.volume)
        kept = before.volume if grows else _common(before.volume, volume)
        gone = before.volume - kept
        self._balance += gone * (price - before.price) * value(symbol)
        if volume:
            paid = kept * before.price + (volume - kept) * price
            self._holdings[symbol] = Holding(volume, paid / volume)

    def price(self, symbol: str, volume: Decimal) -> Decimal | None:
        """Return the price at which so many lots are traded now; None = there was no tick."""
        quote = self._quote(symbol)
        return None if quote is None else quote.of(volume)

    def report(self, number: str) -> Report:
        """Return what a terminal tells about the account of this number."""
        return Report(
            trading=True,
            balance=self.balance,
            equity=self.equity,
            currency="USD",
            leverage=100,
            mode="netting",
            platform="mt5",
            build=BUILD,
            account=number,
            server=SERVER,
        )

    @property
    def balance(self) -> Decimal:
        """The money without what is open."""
        return self._balance.quantize(CENT)

    @property
    def equity(self) -> Decimal:
        """The money if all that is open were closed now."""
        return (self._balance + sum(map(self._profit, self._holdings))).quantize(CENT)

    def _profit(self, symbol: str) -> Decimal:
        quote, (volume, price) = self._quote(symbol), self._holdings[symbol]
        now = price if quote is None else quote.of(-volume)
        return volume * (now - price) * value(symbol)


def value(symbol: str) -> Decimal:
    """Return what one lot gains, in dollars, when the price rises by 1."""
    return VALUES.get(symbol, VALUE)


def _common(before: Decimal, after: Decimal) -> Decimal:
    """Return what of a position is left, unchanged, in another one."""
    return after if before * after > 0 else Decimal(0)
