"""
Exports of ticks as Parquet, one row group after another: the first bytes come at once.

Row groups of the cold store are copied as they are, where no other ticks lie between theirs. The
others are written by DuckDB, a row group at a time. So an export takes some megabytes of memory and
disk, whatever its size.
"""

import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from mtnet.callbacks import noop
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.catalog import ColdFile
from mtnet.services.ticks.cold.parquet import FORMAT, GROUP
from mtnet.services.ticks.export.row_groups import (
    Assembler,
    Metadata,
    RowGroup,
    read_metadata,
    reading,
)
from mtnet.services.ticks.export.stream import BATCH, Progress, Selection, check_format
from mtnet.services.ticks.storage.reader import EARLIEST, LATEST, Stretches, TickReader
from mtnet.services.ticks.wire import plain_symbol

FEW = 4_096
"""Ticks of a file that is not copied: readers are slow with a thousand row groups of few rows."""

Folder = Callable[[], Path]
"""Makes an empty folder; it is removed at the end."""


def parquet_stream(
    reader: TickReader, chosen: Selection, folder: Folder, progress: Progress = noop
) -> Iterator[bytes]:
    """
    Yield a Parquet file with the columns of the cold store; empty bytes come while it waits.

    Raises:
        JournalError: DuckDB is not installed; of the iterator: the disk is full or failed, or a
            store is damaged.
    """
    check_format("parquet")
    return _pieces(reader, chosen, folder, progress)


def _pieces(
    reader: TickReader, chosen: Selection, folder: Folder, progress: Progress
) -> Iterator[bytes]:
    names = [plain_symbol(each) for each in chosen.symbols]
    with working(folder) as made:
        export = _Export(
            reader, GroupFile(made, "ticks", partial(parquet.write_group, symbols=names))
        )
        export.left, export.progress = chosen.limit, progress
        yield export.file.begin()
        low = EARLIEST if chosen.start is None else chosen.start
        high = LATEST if chosen.stop is None else chosen.stop
        for place, symbol in enumerate(chosen.symbols, 1):
            if export.left != 0:
                yield from export.symbol(place, symbol, low, high)
        yield from export.file.flush()
        of_one = {"symbol": names[0]} if len(names) == 1 else {}
        yield export.file.end({"ticks": str(export.file.rows), **of_one})


@contextmanager
def working(folder: Folder) -> Iterator[Path]:
    """
    Make a folder to work in, and remove it.

    Raises:
        JournalError: the disk is full or failed.
    """
    try:
        made = folder()
    except OSError as error:
        raise JournalError(f"No folder can be made to work in: {error.strerror}.") from error
    try:
        yield made
    except OSError as error:
        raise JournalError(f"{made} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


class GroupFile:
    """
    A Parquet file that is written and copied in row groups.

    Args:
        folder: an empty one.
        rows: what the rows are; of one name, files have the same columns.
        make: makes a Parquet file, its second argument, of a file of lines, its first one.
    """

    # DuckDB takes 75 ms for a file without rows, whose columns are all that is wanted of it.
    _forms: ClassVar[dict[str, Metadata]] = {}

    def __init__(self, folder: Path, rows: str, make: Callable[[Path, Path], None]) -> None:
        self._lines, self._made, self._make = folder / "lines", folder / "group", make
        self._lines.touch()
        self._waiting = 0
        if rows not in self._forms:
            with self._making() as (_, form):
                self._forms[rows] = form
        self._assembler = Assembler(self._forms[rows])

    @property
    def rows(self) -> int:
        """Return how many rows were written and copied; those that wait do not count."""
        return self._assembler.rows

    def begin(self) -> bytes:
        """Return the first bytes."""
        return self._assembler.start()

    def takes(self, metadata: Metadata) -> bool:
        """Return whether the row groups of a file have the columns of this one."""
        return metadata.schema == self._assembler.schema

    def write(self, lines: Iterable[bytes], count: int) -> Iterator[bytes]:
        """Add lines, `GROUP` at most; yield a row group when there are enough."""
        with self._lines.open("ab") as file:
            file.writelines(lines)
        self._waiting += count
        if self._waiting >= GROUP:
            yield from self.flush()

    def flush(self) -> Iterator[bytes]:
        """Yield a row group of the lines that wait."""
        if not self._waiting:
            return
        with self._making() as (file, metadata):
            for group in metadata.groups:
                yield from self._assembler.copy(file, group, self._made)
        self._lines.write_bytes(b"")
        self._waiting = 0

    def copy(self, file: BinaryIO, group: RowGroup, path: Path) -> Iterator[bytes]:
        """Yield a row group of another file, behind the lines that wait."""
        yield from self.flush()
        yield from self._assembler.copy(file, group, path)

    def end(self, facts: dict[str, str]) -> bytes:
        """Return the last bytes."""
        return self._assembler.end({"mtnet_format": FORMAT, **facts})

    @contextmanager
    def _making(self) -> Iterator[tuple[BinaryIO, Metadata]]:
        self._make(self._lines, self._made)
        with self._made.open("rb") as file:
            yield file, read_metadata(file, self._made)


class _Group(NamedTuple):
    """A row group, and its lowest and highest order times."""

    group: RowGroup
    first: int
    last: int


class _Run(NamedTuple):
    """Row groups of a file; no other tick lies between the first and the last of theirs."""

    file: BinaryIO
    path: Path
    groups: list[_Group]


class _Ranges:
    """Interval index: counts the files and blocks that reach into a span of order times."""

    def __init__(self, found: Stretches) -> None:
        every = [(each.first, each.last) for each in found.files] + found.blocks
        self._firsts = sorted(first for first, _ in every)
        self._lasts = sorted(last for _, last in every)

    def count(self, first: int, last: int) -> int:
        """Return how many there are; both ends are included."""
        return bisect_right(self._firsts, last) - bisect_left(self._lasts, first)


class _Export:
    """
    Exports ticks.

    Attributes:
        left: how many more, at most; None = all.
        progress: is called with the number of ticks that were written since.
    """

    left: int | None = None
    progress: Progress = noop

    def __init__(self, reader: TickReader, file: GroupFile) -> None:
        self._reader, self.file = reader, file

    def symbol(self, place: int, symbol: bytes, low: int, high: int) -> Iterator[bytes]:
        """
        Yield the ticks of a symbol.

        Args:
            place: of the symbol among those of the export.
            low, high: order times; `low` is included, `high` is not.
        """
        found = self._reader.stretches(symbol, low, high)
        ranges, number = _Ranges(found), found.numbered
        at = low

        def read(stop: int) -> Iterator[bytes]:
            nonlocal number
            if not ranges.count(at, stop - 1):
                return
            ticks = islice(self._reader.ticks(symbol, at, stop), self.left)
            while rows := list(islice(ticks, BATCH)):
                lines = []
                for row in rows:
                    number += row.seq is None
                    seq = number if row.seq is None else row.seq
                    tick = seq, row.received, row.source.encode(), place, row.rest
                    lines.append(b"%d|%d|%b|%d|%b\n" % tick)
                yield from self.file.write(lines, len(lines))
                self._count(len(lines))
                yield b""

        for run in self._runs(found.files, ranges, (low, high)):
            start = run.groups[0].first
            if start < at:
                continue
            yield from read(start)
            at = start
            for each in self._within_limit(run.groups):
                yield from self.file.copy(run.file, each.group, run.path)
                self._count(each.group.rows)
                at = each.last + 1
            if self.left == 0:
                return
        yield from read(high)

    def _count(self, ticks: int) -> None:
        self.progress(ticks)
        if self.left is not None:
            self.left -= ticks

    def _within_limit(self, groups: list[_Group]) -> list[_Group]:
        """Return the first groups, which do not end amid ticks of one time."""
        left = self.left
        if left is None:
            return groups
        totals = accumulate(each.group.rows for each in groups)
        count = sum(total <= left for total in totals)
        while 0 < count < len(groups) and groups[count - 1].last >= groups[count].first:
            count -= 1
        return groups[:count]

    def _runs(
        self, files: Sequence[ColdFile], ranges: _Ranges, span: tuple[int, int]
    ) -> Iterator[_Run]:
        """Yield what can be copied, in order of time."""
        for each in sorted(files, key=lambda file: file.first):
            if each.ticks < FEW:
                continue
            path = each.path(self._reader.root)
            try:
                with reading(path):
                    file = path.open("rb")
            except FileNotFoundError:  # the reader says so, unless its ticks were deleted
                continue
            with file, reading(path):
                metadata = read_metadata(file, path)
                if not self.file.takes(metadata):
                    continue
                found = _groups(each, metadata)
                if _is_of(each, found):
                    for groups in _alone(found, ranges, span):
                        yield _Run(file, path, groups)


def _is_of(file: ColdFile, groups: list[_Group]) -> bool:
    """
    Return whether row groups are those of the catalog: once the ticks of a day are deleted, those
    that come later get a file of the same name.
    """
    return (
        sum(each.group.rows for each in groups) == file.ticks
        and groups[0].first == file.first
        and groups[-1].last == file.last
    )


def _groups(file: ColdFile, metadata: Metadata) -> list[_Group]:
    """Return the row groups of a file; one whose times are not known may have all of the file."""
    found = [None if file.untimed else each.bounds("time_msc") for each in metadata.groups]
    if None in found:
        found = [None] * len(found)
    return [
        _Group(group, *(bounds or (file.first, file.last)))
        for group, bounds in zip(metadata.groups, found, strict=True)
    ]


def _alone(
    groups: Sequence[_Group], ranges: _Ranges, span: tuple[int, int]
) -> Iterator[list[_Group]]:
    """Yield runs of row groups of a span, between whose times no other tick lies."""
    low, high = span
    at, count = 0, len(groups)
    while at < count:
        first = groups[at].first
        stop = at
        while (
            stop < count
            and low <= first
            and groups[stop].last < high
            and ranges.count(first, groups[stop].last) == 1
        ):
            stop += 1
        start, end = at, stop
        # Ticks of one time are copied together, or not at all.
        while start < end < count and groups[end - 1].last >= groups[end].first:
            end -= 1
        while 0 < start < end and groups[start - 1].last >= groups[start].first:
            start += 1
        if start < end:
            yield list(groups[start:end])
        at = max(stop, at + 1)
