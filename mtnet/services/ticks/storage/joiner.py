"""
Compaction: small blocks of ticks become large ones.

Pure. Blocks are read in steps, and put in place of those that they are made of by one
transaction: whatever ends the process, a tick is stored once.
"""

import json
import sqlite3
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.blocks import BLOCK, FULL, JoinedBlock
from mtnet.services.ticks.storage.schema import Row, insert
from mtnet.storage.sqlite import Database

LEVEL = 6
"""Of zlib: 24 % smaller than level 1. A joined block is written once, and read often."""
STEP = 1_024
"""Blocks that one step reads: about 6 ms."""
PACKED = 8_192
"""Ticks that one step compresses: about 12 ms."""
SMALL_BLOCKS = 262_144
"""Small blocks that are joined before they are old. All of them are read for each export: this
many are 30 MB."""
SLICE = 65_536
"""Blocks of an older mtnet that one transaction replaces. They have an index: it takes a second at
most, and ticks wait for it."""
SLICE_TICKS = 500_000
"""Ticks that one transaction joins: 25 MB of text in memory."""

_SMALL, _LARGE = "small_block", "large_block"
_READ_SMALL = """
SELECT id, symbol, first, last, ticks, data FROM small_block
WHERE id > :at AND id <= :until
UNION ALL SELECT id, symbol, first, last, ticks, NULL FROM large_block
WHERE id > :at AND id <= :until
ORDER BY id LIMIT :step
"""
"""With the large blocks between: what came before one must not be joined with what came after."""
_READ_LARGE = """
SELECT id, symbol, first, last, ticks, CASE WHEN ticks < :full THEN data END FROM large_block
WHERE id > :at AND id <= :until ORDER BY id LIMIT :step
"""
_READ = {_SMALL: _READ_SMALL, _LARGE: _READ_LARGE}
_JOINED = """
id > :start AND id <= :at AND ticks < :full AND id NOT IN (SELECT value FROM json_each(:damaged))
"""
_COLUMNS = "(id, symbol, first, last, ticks, data)"
FEW = 4_096
"""Small blocks that are written again instead of deleting the others one by one."""
_WIDEN = "UPDATE symbol SET earliest = min(earliest, ?), latest = max(latest, ?) WHERE id = ?"


@dataclass
class _Slice:
    """
    Blocks that one transaction replaces.

    Attributes:
        table: where they are.
        count: how often blocks had been replaced when it began.
        start: the number before the first of them.
        until: the number of the last block that there is to read.
        at: the number of the last one that was read.
        size: how many small ones were read.
        ticks: how many they hold.
        growing: by symbol, what blocks are still added to.
        joined: what is complete and not compressed yet, with its symbol.
        rows: what is compressed.
        damaged: the numbers of blocks that are left as they are.
        times: by symbol, the lowest and highest times.
    """

    table: str
    count: int
    start: int
    until: int
    at: int
    size: int = 0
    ticks: int = 0
    growing: dict[int, JoinedBlock] = field(default_factory=dict)
    joined: list[tuple[int, JoinedBlock]] = field(default_factory=list)
    rows: list[tuple[int, int, int, int, int, bytes]] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    times: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether it is as large as a slice may be, or nothing follows."""
        limit = SLICE if self.table == _LARGE else SMALL_BLOCKS
        return self.at >= self.until or self.size >= limit or self.ticks >= SLICE_TICKS

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        """Add what one step read, in order."""
        for number, symbol, first, last, ticks, data in rows:
            low, high = self.times.get(symbol, (first, last))
            self.times[symbol] = min(low, first), max(high, last)
            growing = self.growing.get(symbol)
            if growing is not None and (data is None or growing.ticks + ticks > BLOCK):
                self._close(symbol)
                growing = None
            if data is not None:
                self._join(growing or JoinedBlock(), symbol, (number, ticks, first, last), data)
        self.at = rows[-1][0] if len(rows) == STEP else self.until

    def _join(
        self, into: JoinedBlock, symbol: int, head: tuple[int, int, int, int], data: bytes
    ) -> None:
        try:
            into.add(*head, zlib.decompress(data))
        except (zlib.error, struct.error, ValueError):
            self.damaged.append(head[0])
            if into.blocks:
                self._close(symbol)
            return
        self.growing[symbol] = into
        self.size += 1
        self.ticks += head[1]

    def _close(self, symbol: int) -> None:
        self.joined.append((symbol, self.growing.pop(symbol)))

    def pack(self) -> bool:
        """Compress some of what is joined; return whether there is more."""
        for symbol in list(self.growing):
            self._close(symbol)
        ticks = 0
        while self.joined and ticks < PACKED:
            symbol, block = self.joined.pop()
            data = zlib.compress(block.data(), LEVEL)
            self.rows.append((block.number, symbol, block.first, block.last, block.ticks, data))
            ticks += block.ticks
        return bool(self.joined)


class BlockJoiner:
    """
    Joins the small blocks of each symbol, in order of arrival.

    A joined block has the number of its last part, so that numbers stay the order of arrival.
    New blocks have higher numbers, and whatever else removes blocks counts it in `joins.count`: if
    that has changed since a slice began, it is read again. Blocks that stay small, as of a symbol
    that seldom ticks, are joined with more of them the next time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slice: _Slice | None = None
        self._at = self._until = 0
        self._small = 0
        self._is_due = False

    def step(self, age: bool) -> bool:
        """
        Read some blocks, compress some, or replace those that were read.

        Args:
            age: join small blocks even if they are few.

        Returns:
            Whether there is more to do.

        Raises:
            JournalError: the disk is full or failed; the blocks are read again.
        """
        self._is_due |= age
        found, self._slice = self._slice, None
        if found is None:
            found = self._database.read(self._next)
            if found is None:
                return False
        if not found.is_complete:
            self._read(found)
        elif not found.pack():
            self._replace(found)
            return True
        self._slice = found
        return True

    def _next(self, connection: sqlite3.Connection) -> _Slice | None:
        """Return the next slice: of the small blocks that are due, else of an older mtnet's."""
        if self._at >= self._until:
            (count, first, last) = connection.execute(
                "SELECT count(*), min(id), max(id) FROM small_block"
            ).fetchone()
            if count and (self._is_due or count >= self._small + SMALL_BLOCKS):
                self._at, self._until = first - 1, last
                self._small = 0
            self._is_due = False
        query = "SELECT count, done, until FROM joins"
        replaced, done, until = connection.execute(query).fetchone()
        if self._at < self._until:
            return _Slice(_SMALL, replaced, self._at, self._until, self._at)
        return _Slice(_LARGE, replaced, done, until, done) if done < until else None

    def _read(self, found: _Slice) -> None:
        asked = {"at": found.at, "until": found.until, "step": STEP, "full": FULL}
        found.add(self._database.read(lambda c: c.execute(_READ[found.table], asked).fetchall()))

    def _replace(self, found: _Slice) -> None:
        small: list[Row] = []
        large: list[Row] = []
        for row in found.rows:
            is_small = found.table == _SMALL and row[4] < FULL
            (small if is_small else large).append(row)
        replaced = True
        if found.table == _LARGE or len(found.rows) < found.size:
            replaced = self._database.transaction(lambda c: _replace(c, found, large, small))
        if found.table == _SMALL and replaced:
            self._at = found.at
            self._small += len(small)


def _replace(
    connection: sqlite3.Connection, found: _Slice, large: list[Row], small: list[Row]
) -> bool:
    if connection.execute("SELECT count FROM joins").fetchone() != (found.count,):
        return False
    asked = {
        "start": found.start,
        "at": found.at,
        "full": FULL,
        "damaged": json.dumps(found.damaged),
    }
    deleted = _delete(connection, found.table, asked)
    if deleted != found.size:
        raise JournalError(
            f"{found.size} small blocks of ticks were read, and {deleted} are there: another "
            "program changes the file. They are left as they are."
        )
    for table, rows in ((_LARGE, large), (_SMALL, small)):
        insert(connection, f"{table} {_COLUMNS}", rows)
    connection.execute("UPDATE joins SET count = count + 1")
    if found.table == _LARGE:
        connection.execute("UPDATE joins SET done = ?", (found.at,))
        times = [(*times, symbol) for symbol, times in found.times.items()]
        connection.executemany(_WIDEN, times)
    return True


def _delete(connection: sqlite3.Connection, table: str, asked: dict[str, object]) -> int:
    """
    Delete the joined blocks; return how many they were.

    SQLite frees the pages of a whole table without writing them, and writes each page from which
    rows are deleted: where few blocks stay, all are deleted, and those are inserted again.
    """
    # Debian's SQLite writes zeros over what is freed; ticks are no secret.
    connection.execute("PRAGMA secure_delete = FAST")
    if table == _SMALL:
        query = f"SELECT {_COLUMNS[1:-1]} FROM {table} WHERE NOT ({_JOINED}) LIMIT {FEW + 1}"
        kept = connection.execute(query, asked).fetchall()
        if len(kept) <= FEW:
            deleted = connection.execute(f"DELETE FROM {table}").rowcount - len(kept)
            insert(connection, f"{table} {_COLUMNS}", kept)
            return deleted
    return connection.execute(f"DELETE FROM {table} WHERE {_JOINED}", asked).rowcount
