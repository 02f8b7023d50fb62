"""What a publisher of signals has said, and what follows from it; the measure of `kill9.py`."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from mtnet.services.signals.values import Kind
from mtnet.services.signals.wire.answers import Entry
from mtnet.services.signals.wire.requests import Publish

NETTING, TICKETED = 12, 6
"""Symbols with one net position, and with several by ticket."""
MOST_TICKETS = 5
COMMENTS = ("", "", "grid #7", "100 % | <safe>", "Überhang", "a=b")
KINDS: tuple[Kind, ...] = (
    "position",
    "position",
    "buy_limit",
    "sell_limit",
    "buy_stop",
    "sell_stop",
)
CENT = Decimal("0.01")
FLAT = Decimal("0.00")

Key = tuple[str, str]
"""A symbol and a ticket."""


class Content(NamedTuple):
    """What a signal says, with every digit."""

    symbol: str
    ticket: str
    volume: str
    type: str
    fields: tuple[tuple[str, str], ...]


def content(said: Publish | Entry) -> Content:
    """Return what was said, to compare."""
    fields = tuple(sorted(said.fields))
    return Content(said.symbol, said.ticket, str(said.volume), said.type, fields)


State = dict[Key, tuple[int, Content]]
"""The positions that stand, and the entry that set each."""


def apply(state: State, seq: int, entry: Content) -> None:
    """Set a position."""
    if Decimal(entry.volume):
        state[entry.symbol, entry.ticket] = seq, entry
    else:
        state.pop((entry.symbol, entry.ticket), None)


class ExpectedState:
    """
    Every signal that the only publisher ever said: the n-th of them must become entry n.

    Attributes:
        acked: the last entry that the server said is stored.
        violations: how often each promise was broken.
        seen: sentences about the first ones.
    """

    def __init__(self) -> None:
        self.said: list[Content] = []
        self.state: State = {}
        self.nets: dict[str, list[Decimal]] = {}
        self.acked = 0
        self._base: tuple[int, State] = (0, {})
        names = ("lost", "wrong", "regressions", "twice", "holes", "errors", "stuck")
        self.violations: Counter[str] = Counter(dict.fromkeys(names, 0))
        self.seen: list[str] = []

    def broken(self, kind: str, sentence: str) -> None:
        """Count a broken promise."""
        self.violations[kind] += 1
        if len(self.seen) < 20:
            self.seen.append(f"{kind}: {sentence}")

    def add(self, publish: Publish) -> int:
        """Take what was said newly; return the entry that it must become."""
        said = content(publish)
        self.said.append(said)
        apply(self.state, len(self.said), said)
        net = self.net(said.symbol)
        history = self.nets.setdefault(said.symbol, [])
        if not history or history[-1] != net:
            history.append(net)
        return len(self.said)

    def net(self, symbol: str) -> Decimal:
        """Return the net position of a symbol, as the classic dialect shows it."""
        lots = sum(
            (
                Decimal(entry.volume)
                for (name, _), (_, entry) in self.state.items()
                if name == symbol and entry.type == "position"
            ),
            FLAT,
        )
        return lots.quantize(CENT, ROUND_HALF_UP) or FLAT

    def check(self, who: str, seq: int, entry: Entry) -> None:
        """Compare an entry that somebody was sent with what was said."""
        if not 1 <= seq <= len(self.said):
            self.broken("wrong", f"{who} was sent entry {seq} of {len(self.said)}")
        elif self.said[seq - 1] != content(entry):
            self.broken("wrong", f"{who}, entry {seq}: {content(entry)}, not {self.said[seq - 1]}")

    def settle(self) -> None:
        """From here on `at` is asked for this moment or later ones."""
        self._base = len(self.said), dict(self.state)

    def at(self, seq: int) -> State | None:
        """Return the positions after an entry; None = too long ago."""
        first, base = self._base
        if seq < first:
            return None
        state = dict(base)
        for number in range(first, seq):
            apply(state, number + 1, self.said[number])
        return state


def chosen(state: State, symbols: Iterable[str] | None) -> State:
    """Return the positions of some symbols."""
    if symbols is None:
        return state
    wanted = set(symbols)
    return {key: value for key, value in state.items() if key[0] in wanted}


class Market:
    """Thinks of signals: opens, changes, closes, orders that wait; each one is lawful."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._tickets = 0

    def symbols(self) -> list[str]:
        """Name all symbols."""
        return [f"NET{n}" for n in range(NETTING)] + [f"TKT{n}.m" for n in range(TICKETED)]

    def think(self, identity: str, state: Mapping[Key, object]) -> Publish:
        """Return the next signal."""
        symbol = self.chance.choice(self.symbols())
        if symbol.startswith("NET"):
            return self._set(identity, symbol, "", close=self.chance.random() < 0.25)
        held = [ticket for name, ticket in state if name == symbol]
        if held and (len(held) >= MOST_TICKETS or self.chance.random() < 0.6):
            ticket = self.chance.choice(held)
            return self._set(identity, symbol, ticket, close=self.chance.random() < 0.6)
        self._tickets += 1
        return self._set(identity, symbol, f"t{self._tickets}", close=False)

    def _set(self, identity: str, symbol: str, ticket: str, close: bool) -> Publish:
        chance = self.chance
        kind: Kind = chance.choice(KINDS) if ticket else "position"
        lots = Decimal(chance.randint(1, 99_999)).scaleb(-chance.choice((2, 2, 3, 5)))
        if kind.startswith("sell") or (kind == "position" and chance.random() < 0.5):
            lots = -lots
        comment = chance.choice(COMMENTS)
        fields = {
            "comment": comment,
            "magic": str(chance.randint(-9, 9)),
            "price": f"1.{chance.randint(0, 99_999):05d}0",
            "ptime": str(1_700_000_000_000 + chance.randint(0, 10**9)),
        }
        some = sorted((key, text) for key, text in fields.items() if text and chance.random() < 0.7)
        volume = Decimal(0) if close else lots
        return Publish(identity, symbol, volume, "main", ticket, kind, tuple(some))
