"""Snapshots: transactions on the file of ticks that only read, also while a daemon writes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.schema import (
    ALL_IN_BLOCKS,
    NO_LOG,
    NO_SPANS,
    SMALL_BLOCKS_ARE_LARGE,
)
from mtnet.storage.sqlite import BUSY_TIMEOUT

_NO_SPANS = ("CREATE TEMP VIEW span AS SELECT 0 AS symbol, 0 AS longest WHERE false",)
_NO_FILES = (
    *_NO_SPANS,
    """
    CREATE TEMP VIEW cold_file AS SELECT 0 AS id, 0 AS symbol, 0 AS day, 0 AS part, 0 AS state,
        0 AS ticks, 0 AS untimed, 0 AS first, 0 AS last, 0 AS bytes WHERE false
    """,
)
_ALL_IN_BLOCKS = (
    *_NO_FILES,
    "CREATE TEMP VIEW symbol AS SELECT *, 0 AS numbered FROM main.symbol",
)
_SMALL_ARE_LARGE = (
    *_NO_FILES,
    "CREATE TEMP VIEW large_block AS SELECT * FROM main.block",
    "CREATE TEMP VIEW small_block AS SELECT * FROM main.block WHERE false",
    "CREATE TEMP VIEW joins AS SELECT 0 AS count",
    """
    CREATE TEMP VIEW symbol AS SELECT *, 0 AS numbered,
        (SELECT min(first) FROM main.block WHERE symbol = one.id) AS earliest,
        (SELECT max(last) FROM main.block WHERE symbol = one.id) AS latest
    FROM main.symbol AS one
    """,
)
_VIEWS = {
    SMALL_BLOCKS_ARE_LARGE: _SMALL_ARE_LARGE,
    ALL_IN_BLOCKS: _ALL_IN_BLOCKS,
    NO_LOG: _NO_SPANS,
    NO_SPANS: _NO_SPANS,
}
"""They make a file of an older schema look like one of `SCHEMA`."""


class StaleSnapshotError(Exception):
    """Blocks or segments of a snapshot were merged, joined or deleted since: begin another."""


@contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """
    Open a file for one transaction that only reads.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)) as found:
            found.row_factory = sqlite3.Row
            found.execute("BEGIN")
            (version,) = found.execute("PRAGMA user_version").fetchone()
            for view in _VIEWS.get(version, ()):
                found.execute(view)
            found.execute("PRAGMA query_only = ON")
            yield found
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error
