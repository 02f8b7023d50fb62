"""
The catalog of the cold store: a row of SQLite for each Parquet file.

Pure. A row is written before its file gets its name, and counts from the transaction on that
takes the same ticks out of their blocks. So a file whose row does not count was left half-done by
a process that was killed, and its ticks are where they were.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from mtnet.durations import DAY_MS
from mtnet.services.ticks.cold.layout import part_path
from mtnet.services.ticks.storage.blocks import FULL
from mtnet.services.ticks.storage.schema import Row, insert

WRITING, STORED, REMOVED = 0, 1, 2
"""States of a file: its ticks are still in blocks; it counts; its ticks are deleted."""

_FILES = """
SELECT f.id, s.name, f.day, f.part, f.ticks, f.untimed, f.first, f.last FROM cold_file AS f
JOIN symbol AS s ON s.id = f.symbol
"""
_DUE = """
SELECT id, name, min(
    coalesce((SELECT min(first) FROM large_block WHERE symbol = symbol.id), :never),
    coalesce(small.first, :never)
) AS oldest
FROM symbol LEFT JOIN (
    SELECT symbol, min(first) AS first FROM small_block GROUP BY symbol
) AS small ON small.symbol = symbol.id
WHERE oldest < :closed ORDER BY name
"""
_BLOCKS = """
SELECT id, ticks, first, last FROM large_block WHERE symbol = :symbol AND first < :stop
UNION ALL SELECT id, ticks, first, last FROM small_block WHERE symbol = :symbol AND first < :stop
ORDER BY id LIMIT :most
"""
_LEFT = """
SELECT name, sum(block.ticks) FROM block JOIN symbol ON symbol.id = block.symbol
WHERE first < :closed GROUP BY symbol.id
"""
_IN = "IN (SELECT value ->> 0, value ->> 1 FROM json_each(:blocks))"
_SUMMARY = """
SELECT count(*) AS files, coalesce(sum(ticks), 0) AS ticks, coalesce(sum(bytes), 0) AS bytes
FROM cold_file WHERE state = :state
"""
_NEVER = 2**62


class ColdFile(NamedTuple):
    """
    A file of the cold store.

    Attributes:
        symbol: as on the wire.
        ticks: how many.
        untimed: how many of them have no TIME.
        first, last: the lowest and highest order times.
    """

    id: int
    symbol: bytes
    day: int
    part: int
    ticks: int
    untimed: int
    first: int
    last: int

    def path(self, root: Path) -> Path:
        """Return its path below the folder of the cold store."""
        return part_path(root, self.symbol, self.day, self.part)


class DueDay(NamedTuple):
    """The oldest day of a symbol that has ticks in blocks: the number and name of the symbol."""

    number: int
    symbol: bytes
    day: int


class BlockKey(NamedTuple):
    """A block as it was seen; one that changes has other ticks."""

    id: int
    ticks: int
    first: int
    last: int


def files(connection: sqlite3.Connection, states: Sequence[int]) -> list[ColdFile]:
    """Return all files in some states, by symbol, day and part."""
    query = f"{_FILES} WHERE f.state IN ({', '.join(map(str, states))}) ORDER BY s.name, day, part"
    return [_file(row) for row in connection.execute(query)]


def files_of(connection: sqlite3.Connection, symbol: str, start: int, stop: int) -> list[ColdFile]:
    """Return the files of a symbol that hold order times of a span, by day and part."""
    query = f"{_FILES} WHERE s.name = ? AND state = ? AND f.last >= ? AND f.first < ?"
    rows = connection.execute(f"{query} ORDER BY day, part", (symbol, STORED, start, stop))
    return [_file(row) for row in rows]


def _file(row: sqlite3.Row) -> ColdFile:
    number, name, *rest = row
    return ColdFile(number, name.encode(), *rest)


def summary(connection: sqlite3.Connection) -> dict[str, int]:
    """Return how many `files`, `ticks` and `bytes` there are, and how many ticks were `deleted`."""
    found = dict(connection.execute(_SUMMARY, {"state": STORED}).fetchone())
    query = "SELECT coalesce(sum(value), 0) FROM total WHERE name = 'deleted'"
    return {**found, "deleted": connection.execute(query).fetchone()[0]}


def due(connection: sqlite3.Connection, closed: int) -> list[DueDay]:
    """
    Return the oldest day of each symbol that has ticks in blocks before a day.

    Args:
        closed: the first day that is not compacted yet.
    """
    joins = connection.execute("SELECT 1 FROM joins WHERE done < until").fetchone()
    if joins:  # the blocks of an older mtnet are being joined
        return []
    rows = connection.execute(_DUE, {"never": _NEVER, "closed": closed * DAY_MS})
    return [DueDay(row[0], row[1].encode(), row[2] // DAY_MS) for row in rows]


def left(connection: sqlite3.Connection, closed: int, failed: Collection[bytes]) -> int:
    """Return how many ticks blocks hold with days before `closed`; of `failed` symbols none."""
    rows = connection.execute(_LEFT, {"closed": closed * DAY_MS})
    return sum(ticks for name, ticks in rows if name.encode() not in failed)


def blocks_before(connection: sqlite3.Connection, due: DueDay, most: int) -> list[BlockKey]:
    """Return the first blocks with ticks of the oldest day of a symbol, in order of arrival."""
    asked = {"symbol": due.number, "stop": (due.day + 1) * DAY_MS, "most": most}
    return [BlockKey(*row) for row in connection.execute(_BLOCKS, asked)]


def announce(connection: sqlite3.Connection, due: DueDay, taken: int) -> tuple[int, int, int]:
    """
    Note a file before it is made.

    Args:
        taken: the part number that is free, or a lower one.

    Returns:
        The id of its row, its part, and how many ticks of the symbol were numbered before.
    """
    query = "SELECT coalesce(max(part), 0) + 1 FROM cold_file WHERE symbol = ? AND day = ?"
    (part,) = connection.execute(query, (due.number, due.day)).fetchone()
    part = max(part, taken)
    row = (due.number, due.day, part, WRITING, 0, 0, 0, 0, 0)
    columns = "symbol, day, part, state, ticks, untimed, first, last, bytes"
    insert(connection, f"cold_file ({columns})", [row])
    (number,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    query = "SELECT numbered FROM symbol WHERE id = ?"
    (numbered,) = connection.execute(query, (due.number,)).fetchone()
    return number, part, numbered


def replace_blocks(
    connection: sqlite3.Connection, blocks: Sequence[BlockKey], rest: Sequence[Row]
) -> bool:
    """
    Put what is left of blocks in their place; return False if one is not as it was.

    Args:
        rest: rows of the table: id, symbol, first, last, ticks, data.
    """
    asked = {"blocks": json.dumps([each[:2] for each in blocks])}
    count = f"SELECT count(*) FROM block WHERE (id, ticks) {_IN}"
    if connection.execute(count, asked).fetchone() != (len(blocks),):
        return False
    for table, is_large in (("large_block", True), ("small_block", False)):
        connection.execute(f"DELETE FROM {table} WHERE (id, ticks) {_IN}", asked)
        rows = [row for row in rest if (row[4] >= FULL) == is_large]  # type: ignore[operator]
        insert(connection, f"{table} (id, symbol, first, last, ticks, data)", rows)
    connection.execute("UPDATE joins SET count = count + 1")
    return True


def forget(connection: sqlite3.Connection, found: Sequence[ColdFile]) -> None:
    """Remove the rows of files that do not count and are gone."""
    asked = (json.dumps([each.id for each in found]), STORED)
    query = "DELETE FROM cold_file WHERE id IN (SELECT value FROM json_each(?)) AND state <> ?"
    connection.execute(query, asked)
