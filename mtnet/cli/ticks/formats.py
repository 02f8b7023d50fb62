"""Formats of ticks: as MetaTrader 5 exports them, as CSV and as lines of JSON."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.wire import ABSENT, FIELDS, pad

if TYPE_CHECKING:
    from mtnet.services.ticks.storage.reader import Stored

CSV = "symbol,bid,ask,last,volume,time,flags,received,source\r\n"

_JSON_ZEROS = re.compile(r"^(-?)0+(?=\d)")

Writer = Callable[[str, "Stored"], bytes]


def _csv(symbol: str, tick: "Stored") -> bytes:
    values = ["" if each == ABSENT else each.decode() for each in pad(tick.rest)]
    # Stored symbols have no comma, but may have a quotation mark.
    name = '"{}"'.format(symbol.replace('"', '""')) if '"' in symbol else symbol
    return f"{','.join([name, *values, str(tick.received), tick.source])}\r\n".encode()


def _jsonl(symbol: str, tick: "Stored") -> bytes:
    values = [json_number(each.decode()) for each in pad(tick.rest)]
    row = {"symbol": symbol, **dict(zip(FIELDS, values, strict=True))}
    return msgspec.json.encode({**row, "received": tick.received, "source": tick.source}) + b"\n"


def json_number(text: str | None) -> msgspec.Raw | None:
    """Return a number as JSON writes it, with the digits that were sent."""
    if text is None or text == ABSENT.decode():
        return None
    return msgspec.Raw(_JSON_ZEROS.sub(r"\1", text).encode())


FORMATS: dict[str, tuple[bytes, Writer]] = {
    "mt5": (mt5.HEADER, lambda symbol, tick: mt5.format_row(tick.time, tick.rest)),
    "csv": (CSV.encode(), _csv),
    "jsonl": (b"", _jsonl),
}
