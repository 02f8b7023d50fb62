"""
Tick files of MetaTrader 5: the format of its exports, and of imports into custom symbols.

Pure. Text with tabs and CR LF, and from other programs with commas or semicolons; an empty field
is absent, and so are those that a short row lacks. Times are those of the broker, to the
millisecond: `2019.02.04<tab>00:00:00.994`.
"""

import gzip
import re
import zipfile
import zlib
from calendar import timegm
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, cast

from mtnet.errors import ClientError, WireError, quote
from mtnet.services.ticks import wire
from mtnet.services.ticks.wire import ABSENT

COLUMNS = ("<DATE>", "<TIME>", "<BID>", "<ASK>", "<LAST>", "<VOLUME>", "<FLAGS>")
HEADER = "\t".join(COLUMNS).encode() + b"\r\n"
SEPARATORS = "\t,;"
SHORTEST = 3
"""Fields of a row, at least: date, time and BID."""
BATCH = 4_096
"""Rows that are read at once."""
LONGEST = 1_024
"""Characters of a line, at most; a row has some 60. A packed file of one line without an end would
else fill the memory."""
GZIP, ZIP, UTF_16 = b"\x1f\x8b", b"PK", (b"\xff\xfe", b"\xfe\xff")

EARLIEST, LATEST = 10**11, 10**14
"""Times of ticks, milliseconds: TIME has 12 to 14 digits."""

_DATE = re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}")
_TIME = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,3}))?")


def format_row(time: int, rest: bytes) -> bytes:
    """Return the row of a tick; flags that were not sent are those of its fields."""
    *values, _, flags = wire.pad(rest)
    fields = [b"" if each == ABSENT else _plain(each) for each in values]
    if flags == ABSENT:
        flags = b"%d" % wire.flags_of(rest)
    seconds, milliseconds = divmod(time, 1_000)
    clock = b"%b.%03d" % (format_time(seconds), milliseconds)
    return b"\t".join([clock, *fields, flags]) + b"\r\n"


def rows(path: Path, shift: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """
    Yield (line, time, rest) of each row of a file, which may be compressed: with gzip, or alone in
    a zip file.

    A row of a volume alone has the prices of the rows before it: an empty field is one that did not
    change.

    Args:
        shift: milliseconds that are added to each time.

    Raises:
        ClientError: it is not an export of ticks, or one of its lines cannot be read; names it.
    """
    with _text(path) as text:
        numbered = _numbered(path, text)
        header = next(numbered, (1, ""))[1].strip("\r\n \t,;")
        separator = next((each for each in SEPARATORS if each in header), "\t")
        names = tuple(header.split(separator))
        if len(names) < SHORTEST or names != COLUMNS[: len(names)]:
            if not path.stat().st_size:
                raise ClientError(f"{path} is empty.")
            raise ClientError(
                f"{path} is not an export of ticks: its first line is not {' '.join(COLUMNS)}, "
                f"with tabs, commas or semicolons between, but {quote(header.encode())}."
            )
        reader = _Rows(path, separator, len(names), shift)
        while batch := list(islice(numbered, BATCH)):
            yield from reader.read([(n, line) for n, line in batch if line.strip()])


def _numbered(path: Path, text: TextIOWrapper) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(iter(partial(text.readline, LONGEST), ""), 1):
        if len(line) == LONGEST and line[-1] != "\n":
            raise ClientError(
                f"Line {number} of {path} has more than {LONGEST} characters, which no row has: "
                f"{_quoted(line)}."
            )
        yield number, line


@contextmanager
def _text(path: Path) -> Iterator[TextIOWrapper]:
    with ExitStack() as stack:
        try:
            file = _opened(path, stack)
            encoding = _encoding(file.peek(4)[:4])
            # What is no text is part of a line, which is refused by its number.
            yield stack.enter_context(TextIOWrapper(file, encoding, "backslashreplace"))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or error
            raise ClientError(f"{path} cannot be read: {reason}.") from error


def _opened(path: Path, stack: ExitStack) -> BufferedReader:
    plain = stack.enter_context(path.open("rb"))
    head = plain.peek(2)[:2]
    file: object = plain
    if head == GZIP:
        file = stack.enter_context(gzip.GzipFile(fileobj=plain))
    elif head == ZIP:
        file = stack.enter_context(_member(path, stack.enter_context(zipfile.ZipFile(plain))))
    return cast(BufferedReader, file)  # each of them has what is used of it


def _member(path: Path, archive: zipfile.ZipFile) -> IO[bytes]:
    files = [each for each in archive.infolist() if not each.is_dir()]
    files = [each for each in files if not each.filename.startswith("__MACOSX/")]
    if len(files) != 1:
        names = ", ".join(each.filename for each in files[:5])
        raise ClientError(
            f"{path} holds {len(files)} files ({names or 'none'}); a zip file with one is read. "
            "Unpack it, and import each of them."
        )
    try:
        return archive.open(files[0])
    except RuntimeError as error:  # it is encrypted, or packed in a way that Python lacks
        raise ClientError(
            f"{path} cannot be read, since {files[0].filename} in it is encrypted, or packed in "
            "a way that mtnet cannot read. Unpack it, and import that file."
        ) from error


def _encoding(head: bytes) -> str:
    if head[:2] in UTF_16:
        return "utf-16"
    # Without a mark: the first character is one of ASCII, of which one half is 0.
    if head[1:2] == b"\0":
        return "utf-16-le"
    return "utf-16-be" if head[:1] == b"\0" else "utf-8-sig"


class _Rows:
    """Reads the rows of one file."""

    def __init__(self, path: Path, separator: str, columns: int, shift: int) -> None:
        self._path, self._separator, self._columns = path, separator, columns
        self._shift = shift
        self._known = [ABSENT] * 3

    def read(self, lines: list[tuple[int, str]]) -> Iterator[tuple[int, int, bytes]]:
        """Yield (line, time, rest) of each of some lines."""
        records = [self._record(number, line) for number, line in lines]
        found = wire.split(b"".join(record for _, record in records))
        for at, ((number, line), (time, record)) in enumerate(zip(lines, records, strict=True)):
            rest = self._parse(number, line, record) if found is None else found[at][1]
            self._learn(rest)
            yield number, time, rest

    def _record(self, number: int, line: str) -> tuple[int, bytes]:
        """Return the order time of a row, and the row as a record of the symbol X."""
        fields = [field.strip() for field in line.split(self._separator)]
        while len(fields) > self._columns and not fields[-1]:
            fields.pop()
        if not SHORTEST <= len(fields) <= self._columns:
            raise ClientError(
                f"Line {number} of {self._path} has {len(fields)} fields, and its first line has "
                f"{self._columns}: {_quoted(line)}."
            )
        if len(fields) < self._columns and line[-1] != "\n":
            raise ClientError(
                f"Line {number} of {self._path}, the last one, has no end and lacks fields, as if "
                f"the file were cut off: {_quoted(line)}. If it is whole, add an empty line."
            )
        try:
            time = _milliseconds(fields[0], fields[1]) + self._shift
            if not EARLIEST <= time < LATEST:
                raise ValueError(f"{fields[0]!r} is not a date from 1973.03.04 to 5138.11.15")
        except ValueError as error:
            raise ClientError(
                f"Line {number} of {self._path} has no date and time: {error}."
            ) from error
        fields += [""] * (max(self._columns, len(COLUMNS) - 1) - len(fields))
        values = [field or "-" for field in (*fields[2:6], str(time), *fields[6:])]
        return time, f"X {' '.join(values)}\n".encode()

    def _parse(self, number: int, line: str, record: bytes) -> bytes:
        sent = record.rstrip(b"\n").split(b" ")
        if sent[1:4] == [ABSENT] * 3 and sent[4] != ABSENT and self._known != [ABSENT] * 3:
            # The volume of a deal goes with its price; without any, with those of the market.
            last = self._known[2]
            sent[1:4] = self._known if last == ABSENT else [ABSENT, ABSENT, last]
        try:
            return wire.parse(b" ".join(sent), wire.NONE_SPACED)[1]
        except WireError as error:
            text = str(error).removesuffix(f": {quote(error.offending)}")
            raise ClientError(f"Line {number} of {self._path}: {text}: {_quoted(line)}.") from error

    def _learn(self, rest: bytes) -> None:
        for at, value in enumerate(rest.split(b" ", 3)[:3]):
            if value != ABSENT:
                self._known[at] = value


def _quoted(line: str) -> str:
    return quote(line.strip("\r\n").encode())


def _milliseconds(date: str, time: str) -> int:
    found = _TIME.fullmatch(time)
    if found is None:
        raise ValueError(f"{time!r} is not a time such as 00:00:00.994")
    hours, minutes, seconds = found[1].split(":")
    fraction = (found[2] or "").ljust(3, "0")
    clock = int(hours) * 3_600 + int(minutes) * 60 + int(seconds)
    return (_day(date) + clock) * 1_000 + int(fraction)


@lru_cache(maxsize=64)
def _day(date: str) -> int:
    if _DATE.fullmatch(date) is None:
        raise ValueError(f"{date!r} is not a date such as 2019.02.04")
    return timegm(datetime.strptime(date, "%Y.%m.%d").timetuple())


def format_time(seconds: int) -> bytes:
    """Return a date and a time, with a tab between them."""
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
