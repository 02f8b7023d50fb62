"""
Makes a Parquet file of one day of one symbol.

Blocking; what changes the file of SQLite is returned as a function, for the thread that writes it.
In this order: a row in the catalog announces the file; the file is written under a temporary name,
verified, forced to the platter, and named; one transaction takes its ticks out of their blocks
and lets the row count. Whatever ends the process, a tick is in one of the two stores.
"""

import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mtnet.callbacks import noop
from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import catalog, parquet
from mtnet.services.ticks.cold.catalog import BlockKey, ColdFile, DueDay
from mtnet.services.ticks.cold.layout import STAGING, date_of, day_of, part_path
from mtnet.services.ticks.storage.blocks import Mark, Series, unpack
from mtnet.services.ticks.storage.schema import Row
from mtnet.services.ticks.storage.snapshot import snapshot
from mtnet.services.ticks.wire import plain_symbol, time_of
from mtnet.storage.files import sync

LEVEL = 6
"""Of zlib, for what is left of a block."""
TICKS = 1_000_000
"""Ticks of a file, at most; those that came later make another one. Written as lines they take
45 MB."""
BLOCKS = 65_536
"""Blocks of a file, at most: one transaction replaces them."""
STEP = 16_384
"""Ticks that are written between two pauses: about 10 ms."""

_READ = """
SELECT id, data FROM block WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id
"""
_NAMES = "SELECT id, name FROM source"

Work = Callable[[sqlite3.Connection], bool]
"""Runs in a transaction; returns False if it changed nothing, since the blocks have changed."""


@dataclass
class Unit:
    """
    Unit of work: a day of a symbol, or as much of it as one file takes.

    Attributes:
        due: the day.
        blocks: that hold its ticks, in order of arrival.
        id: of its row in the catalog.
        path: of the file.
        numbered: ticks of the symbol that have a number.
        ticks: how many there are.
        content: what DuckDB says of the file.
        rest: what is left of blocks that other days have a part in; rows of the table.
    """

    due: DueDay
    blocks: list[BlockKey]
    id: int = 0
    path: Path = Path()
    numbered: int = 0
    ticks: int = 0
    content: parquet.Content | None = None
    rest: list[Row] = field(default_factory=list)


class StaleError(Exception):
    """A block is not as it was when the unit was planned."""


class Archiver:
    """
    Writes the files of the cold store.

    Args:
        path: the file of SQLite.
        root: the folder of the cold store.
        pause: called between two steps of some milliseconds; may raise what ends the work.
    """

    def __init__(self, path: Path, root: Path, pause: Callable[[], object] = noop) -> None:
        self._path, self._root, self._pause = path, root, pause
        self._staging = root / STAGING

    def due(self, closed: int) -> list[DueDay]:
        """Return the oldest day of each symbol that has ticks in SQLite before the day `closed`."""
        with snapshot(self._path) as connection:
            return catalog.due(connection, closed)

    def left(self, closed: int, failed: Collection[bytes]) -> int:
        """Return how many ticks blocks hold with days before `closed`; of `failed` symbols none."""
        with snapshot(self._path) as connection:
            return catalog.left(connection, closed, failed)

    def plan(self, due: DueDay) -> Unit:
        """
        Choose the blocks of a file.

        Raises:
            StaleError: there are older ticks now.
        """
        with snapshot(self._path) as connection:
            found = catalog.blocks_before(connection, due, BLOCKS)
        if any(day_of(each.first) < due.day for each in found):
            raise StaleError
        chosen: list[BlockKey] = []
        ticks = 0
        for each in found:
            ticks += each.ticks
            if chosen and ticks > TICKS:
                break
            chosen.append(each)
        return Unit(due, chosen)

    def announce(self, unit: Unit) -> Work:
        """Return the transaction that notes the file before it is made."""
        due, free = unit.due, 1
        while part_path(self._root, due.symbol, due.day, free).exists():
            free += 1  # somebody else's file is not replaced

        def work(connection: sqlite3.Connection) -> bool:
            unit.id, part, unit.numbered = catalog.announce(connection, due, free)
            unit.path = part_path(self._root, due.symbol, due.day, part)
            return True

        return work

    def write(self, unit: Unit) -> None:
        """
        Make the file; it is on the platter, under its name, when this returns.

        Raises:
            StaleError: its blocks have changed.
            JournalError: DuckDB is not installed, a block is damaged, or the disk is full or
                failed.
        """
        try:
            self._write(unit)
        except OSError as error:
            raise JournalError(f"{unit.path} cannot be written: {error.strerror}.") from error
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)

    def _write(self, unit: Unit) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)
        _make_folder(self._staging)
        lines, made = self._staging / "lines", self._staging / "file"
        with lines.open("wb") as file:
            self._write_lines(unit, file)
        symbol = plain_symbol(unit.due.symbol)
        facts = {"symbol": symbol, "date": date_of(unit.due.day), "ticks": str(unit.ticks)}
        unit.content = parquet.write(lines, made, [symbol], facts)
        if unit.content.ticks != unit.ticks:
            raise JournalError(f"{made} has {unit.content.ticks} ticks instead of {unit.ticks}.")
        made.chmod(0o600)
        sync(made)
        _make_folder(unit.path.parent)
        made.rename(unit.path)
        sync(unit.path.parent)

    def _write_lines(self, unit: Unit, file: BinaryIO) -> None:
        with snapshot(self._path) as connection:
            names = dict(connection.execute(_NAMES).fetchall())
        for keys in _portions(unit.blocks):
            self._pause()
            for key, data in zip(keys, self._read(keys), strict=True):
                marks, records = _opened(key, data)
                if day_of(key.last) > unit.due.day:
                    marks, records = _split(unit, key, marks, records)
                _put(unit, file, marks, records, names)

    def _read(self, keys: Sequence[BlockKey]) -> list[bytes]:
        with snapshot(self._path) as connection:
            numbers = f"[{', '.join(str(key.id) for key in keys)}]"
            rows = connection.execute(_READ, (numbers,)).fetchall()
        if [row[0] for row in rows] != [key.id for key in keys]:
            raise StaleError
        return [row[1] for row in rows]

    def finish(self, unit: Unit) -> Work:
        """Return the transaction that lets the file count, and takes its ticks out of SQLite."""
        assert unit.content is not None
        columns = (catalog.STORED, *unit.content, unit.path.stat().st_size, unit.id)

        def work(connection: sqlite3.Connection) -> bool:
            if not catalog.replace_blocks(connection, unit.blocks, unit.rest):
                return False
            connection.execute(
                "UPDATE cold_file SET state = ?, ticks = ?, untimed = ?, first = ?, last = ?, "
                "bytes = ? WHERE id = ?",
                columns,
            )
            connection.execute(
                "UPDATE symbol SET numbered = numbered + ? WHERE id = ?",
                (unit.ticks, unit.due.number),
            )
            return True

        return work

    # What does not count

    def clean(self) -> list[ColdFile]:
        """
        Remove the files that were left half-done, or whose ticks are deleted.

        Returns:
            What was removed, for `catalog.forget`.

        Raises:
            JournalError: a file cannot be removed.
        """
        with snapshot(self._path) as connection:
            found = catalog.files(connection, (catalog.WRITING, catalog.REMOVED))
        try:
            shutil.rmtree(self._staging, ignore_errors=True)
            for each in found:
                _remove(each.path(self._root))
        except OSError as error:
            raise JournalError(f"{error.filename} cannot be removed: {error.strerror}.") from error
        return found


def _remove(path: Path) -> None:
    """Remove a file, and the folders of its day and symbol if they are empty then."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        if folder.exists():
            sync(folder)
            if any(folder.iterdir()):
                break
            folder.rmdir()


def _make_folder(path: Path) -> None:
    """Make a folder and those above it; their names are on the platter."""
    if not path.exists():
        _make_folder(path.parent)
        path.mkdir(0o700)
        sync(path.parent)


def _portions(blocks: Sequence[BlockKey]) -> Iterator[list[BlockKey]]:
    portion: list[BlockKey] = []
    ticks = 0
    for each in blocks:
        if portion and ticks + each.ticks > STEP:
            yield portion
            portion, ticks = [], 0
        portion.append(each)
        ticks += each.ticks
    if portion:
        yield portion


def _opened(key: BlockKey, data: bytes) -> tuple[list[Mark], list[bytes]]:
    """Return the marks and records of a block."""
    try:
        runs, records = unpack(zlib.decompress(data))
    except (zlib.error, struct.error, ValueError) as error:
        raise JournalError(f"Block {key.id} of the ticks is damaged: {error}.") from error
    marks = [(received, source) for received, source, ticks in runs for _ in range(ticks)]
    if len(marks) != len(records):
        raise JournalError(f"Block {key.id} of the ticks is damaged: its counts differ.")
    if len(records) != key.ticks:
        raise StaleError
    return marks, records


def _split(
    unit: Unit, key: BlockKey, marks: list[Mark], records: list[bytes]
) -> tuple[list[Mark], list[bytes]]:
    """Return what a block has of the day of a unit, and note the rest of it."""
    stop = (unit.due.day + 1) * DAY_MS
    own = [_order(mark, record) < stop for mark, record in zip(marks, records, strict=True)]
    others = [at for at, is_own in enumerate(own) if not is_own]
    series = Series(b"", None, [records[at] for at in others], [marks[at] for at in others])
    for block in series.pack():
        data = zlib.compress(block.data, LEVEL)
        unit.rest.append((key.id, unit.due.number, block.first, block.last, block.ticks, data))
    return (
        [mark for mark, is_own in zip(marks, own, strict=True) if is_own],
        [record for record, is_own in zip(records, own, strict=True) if is_own],
    )


def _order(mark: Mark, record: bytes) -> int:
    time = time_of(record)
    return mark[0] if time is None else time


def _put(
    unit: Unit, file: BinaryIO, marks: list[Mark], records: list[bytes], names: dict[int, str]
) -> None:
    """Write the lines of some ticks, and count them."""
    if not records:
        return
    tails = {
        mark: b"|%d|%b|1|" % (mark[0], names.get(mark[1], f"({mark[1]})").encode())
        for mark in set(marks)
    }
    start = unit.numbered + unit.ticks + 1
    file.write(
        b"".join(
            b"%d%b%b\n" % (number, tails[mark], record)
            for number, (mark, record) in enumerate(zip(marks, records, strict=True), start)
        )
    )
    unit.ticks += len(records)
