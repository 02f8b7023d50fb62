"""
Text formats of ticks: as MetaTrader 5 exports them, as CSV and as lines of JSON.

Pure.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from mtnet.services.ticks.export.broker_clock import ToUtc
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.wire import ABSENT, FIELDS, json_number, pad, time_of

CSV = "symbol,bid,ask,last,volume,time,flags,received,source"

_TIME = FIELDS.index("time")

Writer = Callable[[str, Stored], bytes]
"""Returns the row of a tick of a symbol, which is spelt as on the wire."""


class Columns(NamedTuple):
    """
    Columns beside those of each tick.

    Attributes:
        to_utc: adds `utc`: TIME by the rule of the broker's clock, or the time of receipt.
        order: adds `order`: TIME, or the time of receipt where none was sent.
        iso: writes times as `2019-02-04T00:00:00.994`, with a Z if they are UTC.
    """

    to_utc: ToUtc | None = None
    order: bool = False
    iso: bool = False

    @property
    def names(self) -> list[str]:
        """Their names."""
        return ["utc"] * (self.to_utc is not None) + ["order"] * self.order

    def values(self, tick: Stored) -> list[int | str]:
        """Return their values for a tick."""
        found = self.of_time(tick.time, time_of(tick.rest) is not None)
        return [*found, self.local(tick.time)] if self.order else found

    def of_time(self, time: int, timed: bool) -> list[int | str]:
        """Return `utc` of a time of the broker's clock, or of receipt if that is not `timed`."""
        if self.to_utc is None:
            return []
        return [self.utc(self.to_utc(time) if timed else time)]

    def local(self, time: int) -> int | str:
        """Return a time of the broker's clock."""
        return _iso(time) if self.iso else time

    def utc(self, time: int) -> int | str:
        """Return a time in UTC."""
        return f"{_iso(time)}Z" if self.iso else time


PLAIN = Columns()


def _iso(time: int) -> str:
    seconds, milliseconds = divmod(time, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}"


def csv_symbol(symbol: str) -> str:
    """Return a stored symbol as CSV has it: it has no comma, but may have a quotation mark."""
    return '"{}"'.format(symbol.replace('"', '""')) if '"' in symbol else symbol


def _csv(columns: Columns) -> Writer:
    def write(symbol: str, tick: Stored) -> bytes:
        values = ["" if each == ABSENT else each.decode() for each in pad(tick.rest)]
        if columns.iso and values[_TIME]:
            values[_TIME] = _iso(int(values[_TIME]))
        more = map(str, columns.values(tick))
        row = [csv_symbol(symbol), *values, str(columns.utc(tick.received)), tick.source, *more]
        return f"{','.join(row)}\r\n".encode()

    return write


def _jsonl(columns: Columns) -> Writer:
    def write(symbol: str, tick: Stored) -> bytes:
        values: list[object] = [json_number(each.decode()) for each in pad(tick.rest)]
        if columns.iso and values[_TIME] is not None:
            values[_TIME] = _iso(time_of(tick.rest) or 0)
        row = {"symbol": symbol, **dict(zip(FIELDS, values, strict=True))}
        row |= {"received": columns.utc(tick.received), "source": tick.source}
        row |= dict(zip(columns.names, columns.values(tick), strict=True))
        return msgspec.json.encode(row) + b"\n"

    return write


def text_format(name: str, columns: Columns) -> tuple[bytes, Writer]:
    """Return the header of `mt5`, `csv` or `jsonl`, and what writes a row."""
    if name == "mt5":
        return mt5.HEADER, lambda symbol, tick: mt5.format_row(tick.time, tick.rest)
    if name == "csv":
        return f"{','.join([CSV, *columns.names])}\r\n".encode(), _csv(columns)
    return b"", _jsonl(columns)
