"""
Records of the log of ticks: what one flush stores, of all symbols, in one piece.

Pure. A record is a head, integers, and text that is compressed; records of one chunk share the
compressor, so that a tick costs some three bytes though a record has few. A chunk begins with a
summary of all that the segment holds before it, and can be read without what came before.

The text of a record: `Details` as JSON, and the columns of its blocks, as `log_columns` writes them
and the integers.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from mtnet.errors import JournalError
from mtnet.services.ticks.model import Seen
from mtnet.services.ticks.storage.blocks import Block, Mark, Reception, block_of
from mtnet.services.ticks.storage.commits import Commit, SourceSnapshot
from mtnet.services.ticks.storage.log_columns import COLUMN, ColumnDecoder, ColumnEncoder, Piece

PAGE = 4_096
"""Bytes of a page: zeros fill the rest of one that the next record does not fit into, but for the
number of taken ticks at its end."""
NOTE = struct.Struct("<QI")
"""The number of taken ticks, and its checksum."""
CHUNK = 128
"""Records of a chunk: a damaged one costs those behind it; 128 are two minutes."""
LARGEST = 2**63 - 1
"""Of the numbers of SQLite."""
LEVEL = 6
"""Of zlib: a log is small, and written to the disk at once."""

_HEAD = struct.Struct("<HHIIII")
"""Mark, number in its chunk, bytes of the integers and the compressed text behind them, checksum of
all but itself and the mark, ticks of the segment up to the end of the record, bytes of the
integers."""
_CHECKED = struct.Struct("<HII")
_FIRST, _NEXT = 0x5BB9, 0x5AA9
"""Marks: of the first record of a chunk, and of the others."""
_OLD = b"\xb5\x5b", b"\xb7\x5b"
"""How a segment begins whose records have the ticks as they were sent, or all columns as text."""
_FIRST_BYTES = _FIRST.to_bytes(2, "little")
_FLUSHED = b"\0\0\xff\xff"
"""The end of each piece of a compressed stream; it is not written."""


class _Symbol(NamedTuple):
    name: str
    ticks: int
    first: int
    last: int
    record: str
    received: int


class _Heard(NamedTuple):
    source: int
    symbol: int
    ticks: int
    first: int
    last: int
    longest: int


class _Source(NamedTuple):
    row: list[Any]
    gaps: list[list[int]]
    oldest: list[int] | None
    seen: list[Seen]
    run: int


class Details(msgspec.Struct, array_like=True):
    """
    Details of a record: all but its ticks.

    Attributes:
        when, source: the common mark of its ticks.
        sources: snapshots of those that sent something.
        totals: what is added to the totals.
        symbols, heard: in the first record of a chunk, the summary of all before it.
    """

    when: int
    source: int
    sources: list[_Source] = []
    totals: dict[str, int] = {}
    symbols: list[_Symbol] = []
    heard: list[_Heard] = []


_decode_details = msgspec.json.Decoder(Details).decode


class Summary:
    """
    Summary of a segment: its statistics, without the ticks themselves.

    Attributes:
        ticks: how many.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self._bounds: dict[bytes, tuple[int, int, int]] = {}
        self._newest: dict[bytes, tuple[bytes, int]] = {}
        self._heard: dict[tuple[int, bytes], Reception] = {}

    def add(self, block: Block) -> None:
        """Add a block."""
        symbol = block.symbol
        ticks, first, last = self._bounds.get(symbol, (0, block.first, block.last))
        self._bounds[symbol] = ticks + block.ticks, min(first, block.first), max(last, block.last)
        self._newest[symbol] = block.text.rpartition(b"\n")[2], block.runs[-1][0]
        for when, source, count in block.runs:
            heard = self._heard.get((source, symbol))
            if heard is None:
                self._heard[source, symbol] = Reception(count, when, when)
            else:
                heard.add(count, when)
        self.ticks += block.ticks

    def put(self, details: Details) -> None:
        """Fill an empty summary from the first record of a chunk."""
        names = [each.name.encode() for each in details.symbols]
        for name, each in zip(names, details.symbols, strict=True):
            self._bounds[name] = each.ticks, each.first, each.last
            self._newest[name] = each.record.encode(), each.received
            self.ticks += each.ticks
        for heard in details.heard:
            self._heard[heard.source, names[heard.symbol]] = Reception(*heard[2:])

    def times(self, symbol: bytes) -> tuple[int, int] | None:
        """Return the lowest and highest order times of a symbol; None = it has no ticks."""
        found = self._bounds.get(symbol)
        return None if found is None else found[1:]

    def rows(self) -> tuple[list[_Symbol], list[_Heard]]:
        """Return it as it is written."""
        symbols, heard = [], []
        numbers = {symbol: at for at, symbol in enumerate(self._bounds)}
        for symbol, bounds in self._bounds.items():
            record, received = self._newest[symbol]
            symbols.append(_Symbol(symbol.decode(), *bounds, record.decode(), received))
        for (source, symbol), each in self._heard.items():
            row = source, numbers[symbol], each.ticks, each.first, each.last, each.longest
            heard.append(_Heard(*row))
        return symbols, heard

    def add_to(self, commit: Commit) -> None:
        """Add it to a commit; the blocks are empty."""
        for symbol, bounds in self._bounds.items():
            commit.blocks.append(Block(symbol, *bounds, [], b""))
        commit.newest |= self._newest
        for key, each in self._heard.items():
            before = commit.heard.get(key)
            if before is not None:
                longest = max(before.longest, each.longest, each.first - before.last)
                ticks = before.ticks + each.ticks
                each = Reception(ticks, before.first, max(before.last, each.last), longest)
            commit.heard[key] = each


class RecordEncoder:
    """Encodes the commits of one segment after another."""

    def __init__(self) -> None:
        self._number = CHUNK
        self._stream, self._columns = zlib.compressobj(), ColumnEncoder()

    def restart(self) -> None:
        """Begin a new chunk: in a new segment, or because the last record is not in it."""
        self._number = CHUNK

    def encode(self, commit: Commit, before: Summary) -> bytes:
        """
        Return the record of a commit.

        Args:
            before: the summary of the segment.

        Raises:
            ValueError, OverflowError, TypeError: SQLite would not take it: something is no text,
                or a number has over 64 bits.
        """
        if self._number >= CHUNK:
            self._stream = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
            self._columns.restart()
            self._number = 0
        mark = _common_mark(commit)
        totals = {name: number for name, number in commit.totals.items() if number}
        details = Details(*mark, _sources(commit), totals)
        if self._number == 0:
            details.symbols, details.heard = before.rows()
        for block in commit.blocks:
            if not -LARGEST <= block.first <= block.last <= LARGEST:
                raise OverflowError(f"{block.last} has over 64 bits")
        columns, integers = b"", b""
        if commit.blocks:
            columns, integers = self._columns.encode(commit.blocks, mark)
        text = self._stream.compress(msgspec.json.encode(details) + COLUMN + columns)
        text += self._stream.flush(zlib.Z_SYNC_FLUSH)
        data = integers + text.removesuffix(_FLUSHED)
        ticks = before.ticks + commit.ticks
        check = _check(self._number, ticks, len(integers), data)
        mark_of = _FIRST if self._number == 0 else _NEXT
        head = _HEAD.pack(mark_of, self._number, len(data), check, ticks, len(integers))
        self._number += 1
        return head + data


def _check(number: int, ticks: int, integers: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(_CHECKED.pack(number, ticks, integers)))


def _common_mark(commit: Commit) -> Mark:
    return commit.blocks[0].runs[0][:2] if commit.blocks else (0, 0)


def _sources(commit: Commit) -> list[_Source]:
    return [
        _Source(list(each.row), each.gaps, each.oldest, each.seen, each.run)  # type: ignore[arg-type]
        for each in commit.sources
    ]


class Place(NamedTuple):
    """
    The place of a record.

    Attributes:
        begin, text, end: of its integers, its compressed text, and the record.
        is_first: whether it begins a chunk.
        ticks: of the segment up to its end.
    """

    begin: int
    text: int
    end: int
    is_first: bool
    ticks: int


class Record(NamedTuple):
    """
    A record that is read.

    Attributes:
        is_first: whether it begins a chunk.
        text: `Details`, and the columns of its blocks.
        integers: of its columns.
    """

    is_first: bool
    text: bytes
    integers: bytes


class Scan(NamedTuple):
    """
    Layout of a segment: which bytes are records, and which are not.

    Attributes:
        records: those that are whole, and can be read.
        end: of the last of them.
        damaged: bytes that are damaged, with whole records behind them.
        lost: ticks that are known to have been there.
        torn: bytes at the end that are no whole record.
    """

    records: list[Place]
    end: int
    damaged: int
    lost: int
    torn: int

    @property
    def ticks(self) -> int:
        """How many ticks there are known to have been."""
        return self.lost + (self.records[-1].ticks if self.records else 0)


def fits(at: int, size: int) -> bool:
    """Return whether a record of `size` bytes may begin there: in a page, or in its own."""
    return at % PAGE == 0 or at % PAGE + size <= PAGE - NOTE.size


def note_behind(end: int) -> int:
    """Return where the number of taken ticks is, if the last record ends there."""
    return (end + NOTE.size - 1) // PAGE * PAGE + PAGE - NOTE.size


def note_of(value: int) -> bytes:
    """Return the number of taken ticks as it lies in a segment."""
    return NOTE.pack(value, zlib.crc32(value.to_bytes(8, "little")))


def noted_in(data: bytes) -> int:
    """Return the number of taken ticks that a segment has; 0 = none."""
    # The number moves to the page of a record before that is written.
    ends = [page + PAGE for page in range(0, len(data), PAGE)]
    return max((_noted(data[end - NOTE.size : end]) for end in ends), default=0)


def _noted(data: bytes) -> int:
    if len(data) < NOTE.size or not any(data):
        return 0
    (value, _) = NOTE.unpack(data)
    return int(value) if data == note_of(value) else 0


def check_form(data: bytes) -> None:
    """
    Check that a segment has no form of an earlier version.

    Raises:
        JournalError: it has.
    """
    if data.startswith(_OLD):
        raise JournalError(
            "The log of ticks has the form of an earlier version: "
            "make blocks of it with `mtnet ticks compact` of that version."
        )


def scan(data: bytes) -> Scan:
    """
    Find the records of a segment.

    Raises:
        JournalError: they have the form of an earlier version.
    """
    check_form(data)
    found: list[Place] = []
    at = end = number = damaged = torn = 0
    ends = 0
    while (at := _skip_zeros(data, at)) < len(data):
        record = _at(data, at)
        if record is None or (not record[0].is_first and record[1] != number):
            behind = _first_behind(data, at + 1)
            if behind is None:
                ends, known = _unreadable(data, at)
                damaged += ends - at if ends else 0
                torn = max(0, len(data.rstrip(b"\0")) - (ends or at))
                lost = max(0, known - (found[-1].ticks if found else 0))
                return Scan(found, ends or end, damaged, lost, torn)
            damaged += behind - at
            at = behind
            continue
        found.append(record[0])
        at = end = record[0].end
        number = record[1] + 1
    return Scan(found, max(end, ends), damaged, 0, torn)


def _skip_zeros(data: bytes, at: int) -> int:
    while at < len(data) and (not data[at] or at % PAGE >= PAGE - NOTE.size):
        page = at - at % PAGE + PAGE
        if any(data[at : page - NOTE.size]):
            return at
        at = page
    return at


def _at(data: bytes, at: int) -> tuple[Place, int] | None:
    begin = at + _HEAD.size
    if begin > len(data):
        return None
    mark, number, size, check, ticks, integers = _HEAD.unpack_from(data, at)
    end = begin + size
    if mark not in (_FIRST, _NEXT) or end > len(data) or (mark == _FIRST) != (number == 0):
        return None
    if integers > size or _check(number, ticks, integers, data[begin:end]) != check:
        return None
    return Place(begin, begin + integers, end, mark == _FIRST, ticks), number


def _first_behind(data: bytes, at: int) -> int | None:
    """Return where the next chunk begins."""
    while (at := data.find(_FIRST_BYTES, at)) >= 0:
        if _at(data, at):
            return at
        at += 1
    return None


def _unreadable(data: bytes, at: int) -> tuple[int, int]:
    """Return the end of the last record that is whole, though its chunk is damaged, its ticks."""
    end = ticks = 0
    while (at := data.find(_NEXT.to_bytes(2, "little"), at)) >= 0:
        record = _at(data, at)
        if record is not None:
            end, ticks = record[0].end, record[0].ticks
        at = at + 1 if record is None else end
    return end, ticks


def read_records(data: bytes, places: Iterable[Place]) -> Iterator[Record]:
    """Yield records of a segment."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    for place in places:
        if place.is_first:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
        text = stream.decompress(data[place.text : place.end] + _FLUSHED)
        yield Record(place.is_first, text, data[place.begin : place.text])


def details(text: bytes) -> Details:
    """Return the details of a record."""
    return _decode_details(text.partition(COLUMN)[0])


def sources(found: Details) -> list[SourceSnapshot]:
    """Return the snapshots of sources."""
    return [SourceSnapshot(*each) for each in found.sources]


class BlockReader:
    """
    Reads the blocks of records, of each chunk from its first record on.

    Args:
        only: the symbol that is looked for; None = all.
    """

    def __init__(self, only: bytes | None = None) -> None:
        self._columns = ColumnDecoder(only)

    def blocks(self, record: Record) -> Iterator[Block]:
        """Yield the blocks of the next record."""
        for symbol, runs, records in self.pieces(record):
            yield block_of(symbol, runs, b"\n".join(records))

    def pieces(self, record: Record) -> Iterator[Piece]:
        """Yield the ticks of the next record, block by block."""
        if record.is_first:
            self._columns.restart()
        head, _, columns = record.text.partition(COLUMN)
        if columns:
            found = _decode_details(head)
            mark = found.when, found.source
            yield from self._columns.decode(columns, record.integers, mark)
