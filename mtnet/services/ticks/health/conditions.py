"""Conditions of alerts about ticks: silence, gaps, prices."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from zope.interface import implementer

from mtnet import values
from mtnet.clock import WallClock
from mtnet.conditions import OPERATORS, SECONDS, Condition, Grammar, read_condition
from mtnet.errors import ConfigError, WireError
from mtnet.interfaces import IAlertConditions
from mtnet.services.ticks.model import Gap, Source
from mtnet.services.ticks.wire import ABSENT, canonical_symbol, pad, plain_symbol


class SymbolCondition(NamedTuple):
    """A condition about a symbol; empty = all."""

    wanted: Condition
    symbol: bytes


def _read_silent(text: str) -> SymbolCondition:
    example = "ticks_silent EURUSD > 60s"
    wanted = read_condition("ticks_silent", text, SECONDS, example)
    symbol = _symbol("ticks_silent", wanted.subject, example) if wanted.subject else b""
    return SymbolCondition(wanted, symbol)


def _read_price(text: str) -> SymbolCondition:
    example = "price EURUSD >= 1.1"
    wanted = read_condition("price", text, ("",), example, OPERATORS)
    return SymbolCondition(wanted, _symbol("price", wanted.subject, example))


GRAMMAR: Grammar = {
    "ticks_silent": _read_silent,
    "ticks_gap": partial(
        read_condition,
        "ticks_gap",
        units=("",),
        example="ticks_gap, or ticks_gap desk > 10",
        optional=True,
    ),
    "price": _read_price,
}
"""The conditions of ticks."""

Check: TypeAlias = Callable[[], Mapping[str, str]]
"""Returns what holds now: a sentence by subject."""
GAP_SHOWN = 60_000
"""Milliseconds for which a gap counts after it was found: it ends nothing, it has happened."""


class Ticks(Protocol):
    """The ticks that came."""

    def last_tick(self, symbol: bytes) -> tuple[bytes, int] | None:
        """Return the last tick of a symbol, without the symbol, and when it came."""

    def sources(self) -> Iterable[Source]:
        """Return the senders."""


@implementer(IAlertConditions)
class TickConditions:
    """
    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
    """

    def __init__(self, ticks: Ticks, now: WallClock) -> None:
        self._ticks, self._now = ticks, now

    def conditions(self) -> dict[str, Callable[[str], Check]]:
        """Return the words, see `IAlertConditions`."""
        return {
            "ticks_silent": self._silent,
            "ticks_gap": self._gap,
            "price": self._price,
        }

    def _silent(self, text: str) -> Check:
        wanted, symbol = GRAMMAR["ticks_silent"](text)
        began = self._now()
        if not symbol:
            return lambda: self._silence("ticks", "any symbol", self._newest(), began, wanted)

        def check() -> Mapping[str, str]:
            last = self._ticks.last_tick(symbol)
            name = plain_symbol(symbol)
            return self._silence(name, name, None if last is None else last[1], began, wanted)

        return check

    def _silence(
        self, subject: str, name: str, last: int | None, began: int, wanted: Condition
    ) -> dict[str, str]:
        """
        Return whether the last tick is too long ago.

        Before the first one since `began`, as after a start, that counts from there.
        """
        fresh = last is not None and last >= began
        age = self._now() - (last if last is not None and fresh else began)
        if age <= wanted.milliseconds:
            return {} if fresh else {subject: ""}
        return {subject: f"There was no tick of {name} for {age // 1000} s."}

    def _newest(self) -> int | None:
        return max((each.last for each in self._ticks.sources() if each.last), default=None)

    def _gap(self, text: str) -> Check:
        wanted = GRAMMAR["ticks_gap"](text)
        limit = wanted if wanted.operator else Condition(wanted.subject, ">")
        return lambda: dict(self._gaps(limit))

    def _gaps(self, wanted: Condition) -> Iterator[tuple[str, str]]:
        now = self._now()
        for source in self._ticks.sources():
            if wanted.subject in ("", source.name):
                fresh = (gap for gap in source.gaps if now - gap.found < GAP_SHOWN)
                missing = sum(map(_missing, fresh))
                if wanted.holds(missing):
                    yield source.name, f"{missing} datagrams of {source.name} are missing."

    def _price(self, text: str) -> Check:
        wanted, symbol = GRAMMAR["price"](text)

        def check() -> Mapping[str, str]:
            last = self._ticks.last_tick(symbol)
            price = None if last is None else _price_of(last[0])
            if price is None or not wanted.holds(price):
                return {}
            name = plain_symbol(symbol)
            limit = f"{wanted.operator} {wanted.number}"
            return {name: f"The price of {name} is {price}, which is {limit}."}

        return check


def _symbol(word: str, text: str, example: str) -> bytes:
    try:
        return canonical_symbol(text.encode(), values.CODEPAGE)
    except WireError as error:
        raise ConfigError(
            f"Invalid symbol in '{word} {text}': {error}. Example: {example}."
        ) from None


def _missing(gap: Gap) -> int:
    return gap.last - gap.first + 1 - gap.late


def _price_of(rest: bytes) -> Decimal | None:
    """Return the bid of a tick, else its last price; None = it has neither."""
    fields = pad(rest)
    found = [fields[at] for at in (0, 2) if fields[at] != ABSENT]
    return Decimal(found[0].decode()) if found else None
