"""
Deletes ticks: whole days of one symbol, from blocks and from the catalog.

Pure. Each step is one transaction, which counts what it deletes; files are removed behind it.
"""

import sqlite3
import zlib
from typing import Any, NamedTuple

from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import catalog
from mtnet.services.ticks.cold.catalog import REMOVED, STORED, BlockKey
from mtnet.services.ticks.storage.blocks import Series, unpack
from mtnet.services.ticks.storage.schema import Row, insert
from mtnet.services.ticks.wire import time_of

LEVEL = 6
"""Of zlib, for what is left of a block."""
STEP = 256
"""Blocks that one transaction deletes or cuts: 100 ms, if all of them are cut."""
EARLIEST, LATEST = -(2**62), 2**62
"""Days before and behind all others would do; these are times, in milliseconds."""

_BLOCKS = """
SELECT id, ticks, first, last, data FROM large_block
WHERE symbol = :symbol AND first < :stop AND last >= :start AND id > :at
UNION ALL SELECT id, ticks, first, last, data FROM small_block
WHERE symbol = :symbol AND first < :stop AND last >= :start AND id > :at
ORDER BY id LIMIT :most
"""
_FILES = """
UPDATE cold_file SET state = :removed
WHERE symbol = :symbol AND state = :stored AND first >= :start AND last < :stop RETURNING ticks
"""
_BOUNDS = """
SELECT min(first), max(last) FROM (
    SELECT min(first) AS first, max(last) AS last FROM large_block WHERE symbol = :symbol
    UNION ALL SELECT min(first), max(last) FROM small_block WHERE symbol = :symbol
    UNION ALL SELECT min(first), max(last) FROM cold_file WHERE symbol = :symbol AND state = :stored
)
"""


class Range(NamedTuple):
    """Order times of one symbol, `start` included and `stop` not, both at midnight."""

    symbol: bytes
    start: int
    stop: int


def days(symbol: bytes, start: int | None, stop: int | None) -> Range:
    """Return the range of days: `start` included, `stop` not; None = without an end."""
    first = EARLIEST if start is None else start * DAY_MS
    return Range(symbol, first, LATEST if stop is None else stop * DAY_MS)


def delete(connection: sqlite3.Connection, which: Range, at: int = 0) -> tuple[int, int | None]:
    """
    Delete some ticks, in a transaction.

    Args:
        at: the block behind which to go on.

    Returns:
        How many, and the block behind which there may be more; None = all are deleted.

    Raises:
        JournalError: a block that has other ticks too is damaged.
    """
    query = "SELECT id FROM symbol WHERE name = ?"
    found = connection.execute(query, (which.symbol.decode(),)).fetchone()
    if found is None:
        return 0, None
    (symbol,) = found
    asked = {**which._asdict(), "symbol": symbol, "at": at, "most": STEP}
    blocks = connection.execute(_BLOCKS, asked).fetchall()
    states = {"removed": REMOVED, "stored": STORED}
    ticks = sum(row[0] for row in connection.execute(_FILES, {**asked, **states}).fetchall())
    ticks += _cut(connection, symbol, blocks, which)
    connection.execute("UPDATE symbol SET ticks = ticks - ? WHERE id = ?", (ticks, symbol))
    tail = "ON CONFLICT DO UPDATE SET value = value + excluded.value"
    insert(connection, "total (name, value)", [("deleted", ticks)], tail)
    if len(blocks) == STEP:
        return ticks, blocks[-1][0]
    bounds = connection.execute(_BOUNDS, {**asked, **states}).fetchone()
    query = "UPDATE symbol SET earliest = ?, latest = ? WHERE id = ?"
    connection.execute(query, (*bounds, symbol))
    return ticks, None


def _cut(
    connection: sqlite3.Connection, symbol: int, blocks: list[tuple[Any, ...]], which: Range
) -> int:
    """Take ticks out of blocks; return how many."""
    keys: list[BlockKey] = []
    kept: list[Row] = []
    ticks = 0
    for number, count, first, last, data in blocks:
        rest = _rest(symbol, number, data, which) if _is_cut(first, last, which) else []
        deleted = count - sum(row[4] for row in rest)
        if deleted:
            ticks += deleted
            keys.append(BlockKey(number, count, first, last))
            kept += rest
    if not catalog.replace_blocks(connection, keys, kept):
        raise JournalError("The blocks of ticks have changed within a transaction.")
    return ticks


def _is_cut(first: int, last: int, which: Range) -> bool:
    return first < which.start or last >= which.stop


def _rest(
    symbol: int, number: int, data: bytes, which: Range
) -> list[tuple[int, int, int, int, int, bytes]]:
    """Return the rows that take the place of a block."""
    try:
        runs, records = unpack(zlib.decompress(data))
    except (zlib.error, ValueError) as error:
        raise JournalError(f"Block {number} of the ticks is damaged: {error}.") from error
    marks = [(received, source) for received, source, ticks in runs for _ in range(ticks)]
    kept = [
        (record, mark)
        for record, mark in zip(records, marks, strict=True)
        if not which.start <= (mark[0] if (time := time_of(record)) is None else time) < which.stop
    ]
    series = Series(b"", None, [each[0] for each in kept], [each[1] for each in kept])
    return [
        (number, symbol, each.first, each.last, each.ticks, zlib.compress(each.data, LEVEL))
        for each in series.pack()
    ]
