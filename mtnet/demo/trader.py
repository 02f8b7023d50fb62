"""What the provider of the demonstration does. Pure: the same seed trades the same."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

MOST = 3
"""Positions that are open at once."""
SIZES = tuple(map(Decimal, ("0.20", "0.50", "0.80", "1.00")))
PAUSES = 1.3, 2.3
"""Seconds between two trades, at speed 1."""


class Trade(NamedTuple):
    """
    A position that the provider sets.

    Attributes:
        volume: net lots after it.
        verb: `opens`, `adds to`, `reduces`, `turns` or `closes`.
    """

    symbol: str
    volume: Decimal
    verb: str


class Trader:
    """
    Opens positions, changes them and closes them.

    Attributes:
        open: the positions, by symbol.
    """

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self._symbols, self._random = symbols, Random(seed)
        self.open: dict[str, Decimal] = {}

    def pause(self) -> float:
        """Return the seconds until the next trade, at speed 1."""
        return self._random.uniform(*PAUSES)

    def trade(self) -> Trade:
        """Trade once."""
        flat = [each for each in self._symbols if each not in self.open]
        room = flat and len(self.open) < MOST
        if not self.open or (room and self._random.random() < 0.45):
            return self._set(self._random.choice(flat), self._size(), "opens")
        symbol = self._random.choice(list(self.open))
        volume = self.open[symbol]
        verb = self._random.choices(("adds to", "reduces", "turns", "closes"), (2, 3, 1, 3))[0]
        after = {
            "adds to": volume * 2,
            "reduces": (volume / 2).quantize(Decimal("0.01")),
            "turns": -volume,
            "closes": Decimal(0),
        }[verb]
        if abs(after) > 4 or Decimal(0) < abs(after) < Decimal("0.05"):
            verb, after = "closes", Decimal(0)
        return self._set(symbol, after, verb)

    def _size(self) -> Decimal:
        return self._random.choice(SIZES) * self._random.choice((1, -1))

    def _set(self, symbol: str, volume: Decimal, verb: str) -> Trade:
        self.open.pop(symbol, None)
        if volume:
            self.open[symbol] = volume
        return Trade(symbol, volume, verb)
