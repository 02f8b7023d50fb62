"""Conditions of alerts about ticks: silence, gaps, prices."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import NamedTuple, Protocol, TypeAlias

from zope.interface import implementer

from mtnet import values
from mtnet.clock import WallClock
from mtnet.conditions import OPERATORS, SECONDS, Condition, Grammar, read_condition
from mtnet.errors import ConfigError, WireError
from mtnet.interfaces import IAlertConditions
from mtnet.services.ticks.health.calendar import ALL
from mtnet.services.ticks.health.hours import TradingHours
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

    def symbols(self) -> Collection[bytes]:
        """Return the symbols of which there ever was a tick."""

    def sources(self) -> Iterable[Source]:
        """Return the senders."""


@implementer(IAlertConditions)
class TickConditions:
    """
    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
        hours: a symbol that is not traded is not silent.
    """

    def __init__(self, ticks: Ticks, now: WallClock, hours: TradingHours) -> None:
        self._ticks, self._now, self._hours = ticks, now, hours

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

            def check_all() -> Mapping[str, str]:
                opened = min(self._openings(), default=None)
                return self._silence(("ticks", "any symbol"), self._newest(), began, opened, wanted)

            return check_all

        def check() -> Mapping[str, str]:
            last = self._ticks.last_tick(symbol)
            name = plain_symbol(symbol)
            opened = self._hours.opened(symbol.decode(), last, self._now())
            came = None if last is None else last[1]
            return self._silence((name, name), came, began, opened, wanted)

        return check

    def _openings(self) -> Iterator[int]:
        """Yield since when the known symbols are traded, those that are; once for all alike."""
        symbols, now = self._ticks.symbols(), self._now()
        named = {each.encode() for each in self._hours.named()}
        other = next((each for each in symbols if each not in named), None)
        for symbol in (each for each in named if each in symbols):
            yield from self._opened(symbol.decode(), symbol, now)
        if other is not None or not symbols:
            yield from self._opened(ALL, other or b"", now)

    def _opened(self, name: str, symbol: bytes, now: int) -> Iterator[int]:
        opened = self._hours.opened(name, self._ticks.last_tick(symbol), now)
        if opened is not None:
            yield opened

    def _silence(
        self,
        names: tuple[str, str],
        last: int | None,
        began: int,
        opened: int | None,
        wanted: Condition,
    ) -> dict[str, str]:
        """
        Return whether the last tick is too long ago.

        Before the first one since the start, or since the market opened, that counts from there.

        Args:
            names: of the subject, and of what is silent.
            opened: when the market did; None = it is closed, and nobody is silent.
        """
        if opened is None:
            return {}
        (subject, name), start = names, max(began, opened)
        fresh = last is not None and last >= start
        age = self._now() - (last if last is not None and fresh else start)
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
