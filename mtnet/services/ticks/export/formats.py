"""
Text formats of ticks: as MetaTrader 5 exports them, as CSV and as lines of JSON.

Pure.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from mtnet.services.ticks.clocks.measured import WithUtc, with_utc
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.wire import ABSENT, FIELDS, json_number, pad, time_of

if TYPE_CHECKING:
    from mtnet.services.ticks.bars.series import Bar
    from mtnet.services.ticks.clocks.bars import BarClock

CSV = "symbol,bid,ask,last,volume,time,flags,received,source"

_TIME = FIELDS.index("time")

Writer = Callable[[str, WithUtc], bytes]
"""Returns the row of a tick of a symbol, which is spelt as on the wire."""


class Columns(NamedTuple):
    """
    Columns beside those of each tick.

    Attributes:
        clocks: adds `utc`: TIME by the clock of the broker, or the time of receipt; empty where a
            clock is not known.
        order: adds `order`: TIME, or the time of receipt where none was sent.
        iso: writes times as `2019-02-04T00:00:00.994`, with a Z if they are UTC.
    """

    clocks: Clocks | None = None
    order: bool = False
    iso: bool = False

    @property
    def names(self) -> list[str]:
        """Their names."""
        return ["utc"] * (self.clocks is not None) + ["order"] * self.order

    def ticks(self, symbol: str, ticks: Iterator[Stored]) -> Iterator[WithUtc]:
        """Yield ticks with their UTC, if that is a column."""
        if self.clocks is None:
            return zip(ticks, repeat(None))
        return with_utc(self.clocks, symbol, ticks)

    def values(self, tick: Stored, utc: int | None) -> list[int | str | None]:
        """Return their values for a tick."""
        found = [] if self.clocks is None else [self.utc(utc)]
        return [*found, self.local(tick.time)] if self.order else found

    def of_bar(self, clock: "BarClock | None", bar: "Bar") -> dict[str, int | str | None]:
        """Return their values for a bar, by name."""
        if clock is None:
            return {}
        return {"utc": self.utc(clock.utc(bar.time, bar.time + bar.first))}

    def local(self, time: int) -> int | str:
        """Return a time of the broker's clock."""
        return _iso(time) if self.iso else time

    def utc(self, time: int | None) -> int | str | None:
        """Return a time in UTC."""
        return f"{_iso(time)}Z" if self.iso and time is not None else time


PLAIN = Columns()


def _iso(time: int) -> str:
    seconds, milliseconds = divmod(time, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}"


def csv_symbol(symbol: str) -> str:
    """Return a stored symbol as CSV has it: it has no comma, but may have a quotation mark."""
    return '"{}"'.format(symbol.replace('"', '""')) if '"' in symbol else symbol


def _csv(columns: Columns) -> Writer:
    def write(symbol: str, row: WithUtc) -> bytes:
        tick, utc = row
        values = ["" if each == ABSENT else each.decode() for each in pad(tick.rest)]
        if columns.iso and values[_TIME]:
            values[_TIME] = _iso(int(values[_TIME]))
        more = ["" if each is None else str(each) for each in columns.values(tick, utc)]
        received = str(columns.utc(tick.received))
        fields = [csv_symbol(symbol), *values, received, tick.source, *more]
        return f"{','.join(fields)}\r\n".encode()

    return write


def _jsonl(columns: Columns) -> Writer:
    def write(symbol: str, row: WithUtc) -> bytes:
        tick, utc = row
        values: list[object] = [json_number(each.decode()) for each in pad(tick.rest)]
        if columns.iso and values[_TIME] is not None:
            values[_TIME] = _iso(time_of(tick.rest) or 0)
        fields = {"symbol": symbol, **dict(zip(FIELDS, values, strict=True))}
        fields |= {"received": columns.utc(tick.received), "source": tick.source}
        fields |= dict(zip(columns.names, columns.values(tick, utc), strict=True))
        return msgspec.json.encode(fields) + b"\n"

    return write


def text_format(name: str, columns: Columns) -> tuple[bytes, Writer]:
    """Return the header of `mt5`, `csv` or `jsonl`, and what writes a row."""
    if name == "mt5":
        return mt5.HEADER, lambda _, row: mt5.format_row(row[0].time, row[0].rest)
    if name == "csv":
        return f"{','.join([CSV, *columns.names])}\r\n".encode(), _csv(columns)
    return b"", _jsonl(columns)
