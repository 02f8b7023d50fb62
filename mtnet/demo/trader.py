"""A random trader: opens, changes and closes positions; the same seed trades the same."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

MAX_POSITIONS = 3
SIZES = tuple(map(Decimal, ("0.20", "0.50", "0.80", "1.00")))
PAUSES = 1.3, 2.3
"""Least and greatest number of seconds between two trades, at speed 1."""


class Trade(NamedTuple):
    """The net position in lots after a trade, and a verb such as `opens` or `reduces`."""

    symbol: str
    volume: Decimal
    verb: str


class Trader:
    """A random walk over positions, at most `MAX_POSITIONS` at once."""

    def __init__(self, symbols: Sequence[str], seed: int) -> None:
        self._symbols, self._random = symbols, Random(seed)
        self._open: dict[str, Decimal] = {}

    def pause(self) -> float:
        """Return the seconds until the next trade, at speed 1."""
        return self._random.uniform(*PAUSES)

    def trade(self) -> Trade:
        """Trade once."""
        random, flat = self._random, [each for each in self._symbols if each not in self._open]
        room = flat and len(self._open) < MAX_POSITIONS
        if not self._open or (room and random.random() < 0.45):
            symbol, size = random.choice(flat), random.choice(SIZES)
            return self._set(symbol, size * random.choice((1, -1)), "opens")
        symbol = random.choice(list(self._open))
        before = self._open[symbol]
        verb = random.choices(("adds to", "reduces", "turns", "closes"), (2, 3, 1, 3))[0]
        factor = {"adds to": "2", "reduces": "0.5", "turns": "-1", "closes": "0"}[verb]
        after = (before * Decimal(factor)).quantize(Decimal("0.01"))
        if abs(after) > 4 or Decimal(0) < abs(after) < Decimal("0.05"):
            verb, after = "closes", Decimal(0)
        return self._set(symbol, after, verb)

    def _set(self, symbol: str, volume: Decimal, verb: str) -> Trade:
        self._open.pop(symbol, None)
        if volume:
            self._open[symbol] = volume
        return Trade(symbol, volume, verb)
