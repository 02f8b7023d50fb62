"""
The log of ticks for those that only read: the tables as they are once the log is merged.

Pure. The writer may be another process, and go on meanwhile.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import compress

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.commits import FAST
from mtnet.services.ticks.storage.log import FOLDER, segments
from mtnet.services.ticks.storage.merge import summary_of, ticks_of
from mtnet.services.ticks.storage.rows import RowWriter, add_totals, merged_segment
from mtnet.services.ticks.storage.snapshot import StaleSnapshotError, snapshot

HOT = 2**62
"""The number of the first block of the log: its ticks came behind those of all blocks."""
_COPIED = ("symbol", "source", "heard", "gap", "total")
_EMPTY = ("seen", "large_block", "small_block")
_TABLE = "SELECT sql FROM main.sqlite_master WHERE type = 'table' AND name = ?"


def read_segments(path: Path, connection: sqlite3.Connection) -> list[bytes]:
    """
    Return the segments of the log that are not in blocks, in order.

    Args:
        path: the file of ticks.
        connection: a snapshot of it.

    Raises:
        StaleSnapshotError: the log was merged since it began.
        JournalError: the disk failed.
    """
    folder = path.parent / FOLDER
    if not folder.is_dir():
        return []
    merged = merged_segment(connection)
    try:
        found = [(folder / str(number)).read_bytes() for number in segments(folder, merged)]
    except FileNotFoundError as error:
        raise StaleSnapshotError from error
    except OSError as error:
        raise JournalError(f"{folder} cannot be read: {error}.") from error
    with snapshot(path) as now:
        if merged_segment(now) != merged:
            raise StaleSnapshotError
    return found


@contextmanager
def snapshot_with_log(path: Path) -> Iterator[tuple[sqlite3.Connection, list[bytes]]]:
    """Open a snapshot, with the segments of the log that are not in its blocks."""
    while True:
        with snapshot(path) as connection:
            try:
                found = read_segments(path, connection)
            except StaleSnapshotError:
                continue
            yield connection, found
            return


def hot_blocks(
    symbol: bytes, segments: list[bytes], low: int, high: int
) -> list[tuple[int, int, bytes]]:
    """Return number, lowest time and data of what the log has of a symbol, in order of arrival."""
    return [
        (number, block.first, compress(block.data, FAST))
        for number, block in enumerate(ticks_of(symbol, segments, low, high), HOT)
    ]


def show(connection: sqlite3.Connection, found: list[bytes]) -> None:
    """Show in a snapshot what the log adds to the tables, but for its ticks."""
    if not found:
        return
    commit = summary_of(found)
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    for name in (*_COPIED, *_EMPTY):
        (statement,) = connection.execute(_TABLE, (name,)).fetchone()
        connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
    for name in _COPIED:
        connection.execute(f"INSERT INTO temp.{name} SELECT * FROM main.{name}")
    RowWriter().put(connection, commit)
    add_totals(connection, commit.totals)
    connection.execute("PRAGMA query_only = ON")
