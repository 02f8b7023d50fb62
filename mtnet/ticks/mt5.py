"""
MetaTrader 5's tick files: what it exports, and imports into custom symbols.

Pure. Text with tabs and CR LF; an empty field is absent. Times are those of the broker, to the
millisecond: `2019.02.04<tab>00:00:00.994`.
"""

import gzip
import re
import zlib
from calendar import timegm
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path

from mtnet.errors import ClientError, WireError
from mtnet.ticks import wire
from mtnet.ticks.wire import ABSENT

COLUMNS = ("<DATE>", "<TIME>", "<BID>", "<ASK>", "<LAST>", "<VOLUME>", "<FLAGS>")
HEADER = "\t".join(COLUMNS).encode() + b"\r\n"
FLAGS = (2, 4, 8, 16)
"""`TICK_FLAG_BID`, `_ASK`, `_LAST`, `_VOLUME` of MqlTick, for the fields in their order."""
BATCH = 4_096
"""Rows that are read at once."""
GZIP, UTF_16 = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff")

_DATE = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}")
_TIME = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,3}))?")


def format_row(time: int, rest: bytes) -> bytes:
    """Return the row of a tick; flags that were not sent are those of its fields."""
    *values, _, flags = wire.pad(rest)
    fields = [b"" if each == ABSENT else _plain(each) for each in values]
    if flags == ABSENT:
        flags = b"%d" % sum(flag for flag, each in zip(FLAGS, fields, strict=True) if each)
    seconds, milliseconds = divmod(time, 1_000)
    clock = b"%b.%03d" % (_date(seconds), milliseconds)
    return b"\t".join([clock, *fields, flags]) + b"\r\n"


def rows(path: Path, shift: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """
    Yield (line, time, rest) of each row of a file, which may be compressed with gzip.

    Args:
        shift: milliseconds that are added to each time.

    Raises:
        ClientError: it is no export of ticks, or one of its lines cannot be read; names it.
    """
    with _text(path) as lines:
        header = next(lines, "").strip().split("\t")
        if tuple(header) not in (COLUMNS, COLUMNS[:-1]):
            raise ClientError(
                f"{path} is no export of ticks: its first line is not {' '.join(COLUMNS)}."
            )
        numbered = enumerate(lines, 2)
        while batch := list(islice(numbered, BATCH)):
            yield from _read(path, [(n, line) for n, line in batch if line.strip()], shift)


@contextmanager
def _text(path: Path) -> Iterator[Iterator[str]]:
    with ExitStack() as stack:
        try:
            file: BufferedReader | gzip.GzipFile = stack.enter_context(path.open("rb"))
            if file.peek(2)[:2] == GZIP:
                file = stack.enter_context(gzip.open(file))
            encoding = "utf-16" if file.peek(2)[:2] in UTF_16 else "utf-8-sig"
            yield stack.enter_context(TextIOWrapper(file, encoding))
        except (OSError, EOFError, UnicodeError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ClientError(f"{path} cannot be read: {reason}.") from error


def _read(path: Path, lines: list[tuple[int, str]], shift: int) -> Iterator[tuple[int, int, bytes]]:
    records = [_record(path, number, line, shift) for number, line in lines]
    found = wire.split(b"".join(record for _, record in records))
    if found is None:
        for (number, _), (_, record) in zip(lines, records, strict=True):
            if wire.split(record) is None:
                raise ClientError(f"Line {number} of {path}: {_complaint(record)}.")
        raise AssertionError("Records that are canonical one by one are so together.")
    for (number, _), (time, _), (_, rest) in zip(lines, records, found, strict=True):
        yield number, time, rest


def _record(path: Path, number: int, line: str, shift: int) -> tuple[int, bytes]:
    """Return the order time of a row, and the row as a record of the symbol X."""
    fields = line.rstrip("\r\n").split("\t")
    if len(fields) not in (len(COLUMNS), len(COLUMNS) - 1):
        raise ClientError(
            f"Line {number} of {path} has {len(fields)} fields, and an export of ticks has "
            f"{len(COLUMNS)}, separated by tabs."
        )
    try:
        time = _milliseconds(fields[0], fields[1]) + shift
    except ValueError as error:
        raise ClientError(f"Line {number} of {path} has no date and time: {error}.") from error
    values = [field or "-" for field in (*fields[2:6], str(time), *fields[6:])]
    return time, f"X {' '.join(values)}\n".encode()


def _complaint(record: bytes) -> str:
    try:
        wire.parse(record[:-1], wire.NONE_SPACED)
    except WireError as error:
        return str(error)
    return "A blank stands beside a number"


def _milliseconds(date: str, time: str) -> int:
    found = _TIME.fullmatch(time)
    if found is None:
        raise ValueError(f"{time!r} is no time such as 00:00:00.994")
    hours, minutes, seconds = found[1].split(":")
    fraction = (found[2] or "").ljust(3, "0")
    clock = int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    return (_day(date) + clock) * 1_000 + int(fraction)


@lru_cache(maxsize=64)
def _day(date: str) -> int:
    if _DATE.fullmatch(date) is None:
        raise ValueError(f"{date!r} is no date such as 2019.02.04")
    return timegm(datetime.strptime(date, "%Y.%m.%d").timetuple())


def _date(seconds: int) -> bytes:
    days, rest = divmod(seconds, 86_400)
    hours, minutes = divmod(rest // 60, 60)
    return b"%b\t%02d:%02d:%02d" % (_date_of(days), hours, minutes, rest % 60)


@lru_cache(maxsize=64)
def _date_of(days: int) -> bytes:
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y.%m.%d").encode()


def _plain(number: bytes) -> bytes:
    """Return a number without an exponent, which MetaTrader does not read."""
    if b"e" not in number.lower():
        return number
    return format(Decimal(number.decode()), "f").encode()
