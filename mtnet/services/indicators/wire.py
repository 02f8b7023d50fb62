"""
The verbs of indicators in the session dialect: built on one side, read on the other.

Pure. Times of bars are milliseconds of the broker's clock, as `iTime` in MetaTrader has seconds.
Values are texts with the digits that were sent; the empty one is EMPTY_VALUE.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from mtnet.session import messages
from mtnet.session.fields import ANY, ID, NUMBER, SYMBOL, FieldType, matching
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, escape

MAX_BUFFERS = 16
"""Values of one bar: more buffers than nearly all indicators have."""
MAX_DIGITS = 32
"""Characters of a value; a double has 24 at most, as `-1.2345678901234567e-300`."""
DEFAULT_BARS = 500
"""Bars that INDICATOR is answered with when it has no `bars`."""
EMPTY = ""
"""EMPTY_VALUE as it stands in a list."""
EMPTY_MT4 = 2_147_483_647.0
"""EMPTY_VALUE of MetaTrader 4; that of MetaTrader 5 is the largest double."""
LARGEST = 1e308
"""A value beyond it is the largest double, however a program has rounded it."""

PERIODS = (
    *(f"S{n}" for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)),
    *(f"M{n}" for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)),
    *(f"H{n}" for n in (1, 2, 3, 4, 6, 8, 12)),
    *("D1", "W1", "MN1"),
)
"""The periods of MetaTrader, and seconds."""

NAME_PATTERN = r"[A-Za-z0-9._/-]{1,64}"
_NAME = re.compile(NAME_PATTERN, re.ASCII)
_VALUE = re.compile(r"-?[0-9]{1,309}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)


class Series(Struct, frozen=True):
    """
    The indicator, the symbol and the period that values belong to.

    Attributes:
        name: of the indicator, as its provider calls it: `RSI14`.
        symbol: as its broker writes it.
        period: one of `PERIODS`.
    """

    name: str
    symbol: str
    period: str

    def __str__(self) -> str:
        return f"{self.name} of {self.symbol} {self.period}"


class Value(Struct, frozen=True):
    """
    The values of an indicator for one bar; they replace those that the bar had.

    Attributes:
        bar: the time of its opening.
        values: one for each buffer of the indicator.
        open: the bar is still open: its values will change.
    """

    series: Series
    bar: int
    values: tuple[str, ...]
    open: bool = False


class Calc(Struct, frozen=True):
    """
    Asks to keep values, and to send them to those who follow.

    Attributes:
        id: is returned as it is; empty = none.
    """

    value: Value
    id: str = ""

    @property
    def done(self) -> "Calced":
        """The answer, once the values are on disk."""
        return Calced(self.value.series, self.value.bar, self.id)


class Follow(Struct, frozen=True):
    """
    INDICATOR: asks for the values of a series.

    Attributes:
        bars: how many of the last ones, before those that come; 0 = no more values.
    """

    series: Series
    bars: int = DEFAULT_BARS


class Calced(Struct, frozen=True):
    """Answers CALC: the values of the bar are on disk."""

    series: Series
    bar: int
    id: str = ""


class Indicated(Struct, frozen=True):
    """Answers INDICATOR: so many values follow, the oldest bar first, then each as it comes."""

    series: Series
    count: int


def read_value(text: str) -> str | None:
    """Return a value as it was sent; `EMPTY` for EMPTY_VALUE; None = it is no number."""
    if not text:
        return EMPTY
    if _VALUE.fullmatch(text) is None:
        return None
    number = float(text)
    if abs(number) > LARGEST or number == EMPTY_MT4:
        return EMPTY
    return text if len(text) <= MAX_DIGITS else None


def read_values(text: str) -> tuple[str, ...] | None:
    """Return the values of a list; None = one is no number, or there are too many."""
    found = [read_value(each) for each in text.split(",")]
    known = tuple(each for each in found if each is not None)
    return known if len(known) == len(found) <= MAX_BUFFERS else None


NAME = FieldType(matching(_NAME), "1 to 64 of A-Z a-z 0-9 . _ - /, such as RSI14")
PERIOD = FieldType(lambda text: text if text in PERIODS else None, f"one of {', '.join(PERIODS)}")
VALUES = FieldType(
    read_values,
    f"1 to {MAX_BUFFERS} numbers of at most {MAX_DIGITS} characters with commas between, an empty "
    "one for EMPTY_VALUE, such as 55.3,,44.2",
)
FLAG = FieldType({"0": False, "1": True}.get, "1 or 0")


def series(name: str, symbol: str, period: str) -> Series:
    """
    Return a series that was named elsewhere than in a frame.

    Raises:
        WireError: `field`.
    """
    fields = {"name": name, "symbol": symbol, "period": period}
    return _read_series(Message("INDICATOR", fields))


def bar_values(of: Series, bar: int, items: Sequence[str | None], opened: bool) -> Value:
    """
    Return values that came elsewhere than in a frame; None = EMPTY_VALUE.

    Raises:
        WireError: `field`.
    """
    text = ",".join(item or EMPTY for item in items)
    found = Message("CALC", {"values": text}).require("values", VALUES)
    return Value(of, bar, found, opened)


# Frames


def calc(value: Value, id: str = "") -> bytes:
    """
    Return the frame that asks to keep values.

    Raises:
        WireError: `field`, as for `indicator`: the server would refuse it.
    """
    return _checked("CALC", **_fields(value.series), **_values(value), id=id or None)


def indicator(of: Series, bars: int | None = None) -> bytes:
    """Return the frame that asks for the values of a series."""
    return _checked("INDICATOR", **_fields(of), bars=bars)


def calced(answer: Calced) -> bytes:
    """Return the answer to CALC."""
    return _frame("CALCED", **_fields(answer.series), bar=answer.bar, id=answer.id or None)


def indicated(answer: Indicated) -> bytes:
    """Return the answer to INDICATOR."""
    return _frame("INDICATED", **_fields(answer.series), count=answer.count)


def value(shown: Value) -> bytes:
    """Return VALUE."""
    return _frame("VALUE", **_fields(shown.series), **_values(shown))


def _fields(of: Series) -> dict[str, str | int | None]:
    return {"name": of.name, "symbol": of.symbol, "period": of.period}


def _values(shown: Value) -> dict[str, str | int | None]:
    opened = 1 if shown.open else None
    return {"bar": shown.bar, "values": ",".join(shown.values), "open": opened}


def _frame(verb: str, **fields: str | int | None) -> bytes:
    shown = [f"|{key}={escape(str(text))}" for key, text in fields.items() if text is not None]
    return enclose(f"{verb}{''.join(shown)}", MAX_SESSION_FRAME)


def _checked(verb: str, **fields: str | int | None) -> bytes:
    """Return the frame of a client, checked by the reader that the server uses."""
    shown = {key: str(text) for key, text in fields.items() if text is not None}
    REQUESTS[verb](Message(verb, shown))
    return _frame(verb, **fields)


# Readers


def _read_series(message: Message) -> Series:
    return Series(
        message.require("name", NAME),
        message.require("symbol", SYMBOL),
        message.require("period", PERIOD),
    )


def _read_value(message: Message) -> Value:
    return Value(
        _read_series(message),
        message.require("bar", NUMBER),
        message.require("values", VALUES),
        message.get("open", FLAG) or False,
    )


def _read_follow(message: Message) -> Follow:
    bars = message.get("bars", NUMBER)
    return Follow(_read_series(message), DEFAULT_BARS if bars is None else bars)


Request = Calc | Follow
Answer = Calced | Indicated | Value
REQUESTS: Mapping[str, Callable[[Message], Request]] = MappingProxyType(
    {
        "CALC": lambda message: Calc(_read_value(message), message.get("id", ID) or ""),
        "INDICATOR": _read_follow,
    }
)
"""Readers of what a client sends."""
ANSWERS: Mapping[str, Callable[[Message], Answer]] = MappingProxyType(
    {
        "CALCED": lambda message: Calced(
            _read_series(message), message.require("bar", NUMBER), message.get("id", ANY) or ""
        ),
        "INDICATED": lambda message: Indicated(
            _read_series(message), message.require("count", NUMBER)
        ),
        "VALUE": _read_value,
    }
)
"""Readers of what the server sends."""


def read_answer(message: Message) -> object:
    """
    Read a message of the server.

    Raises:
        WireError: as `messages.read`.
    """
    return messages.read({**messages.ANSWERS, **ANSWERS}, message)
