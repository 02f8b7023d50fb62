"""
The positions on disk: SQLite, one row for each (channel, symbol, ticket).

Blocking, for one thread at a time: `Desk` calls it off the reactor. A commit that returned
is on the platter (`synchronous=FULL`, write-ahead log).
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from mtnet.database import Database
from mtnet.signals.book import Change

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""

_TABLES = """
CREATE TABLE positions (
    channel TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ticket TEXT NOT NULL DEFAULT '',
    volume TEXT NOT NULL,
    changed INTEGER NOT NULL,
    fields TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (channel, symbol, ticket)
) STRICT, WITHOUT ROWID
"""
_SET = """
INSERT INTO positions (channel, symbol, volume, changed) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET volume = excluded.volume, changed = excluded.changed
"""
_EXPIRE = "DELETE FROM positions WHERE volume = '0' AND changed < ?"
_ALL = "SELECT channel, symbol, volume, changed FROM positions ORDER BY changed"


class Journal:
    """
    What survives a crash.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, _TABLES)

    def load(self) -> list[Change]:
        """
        Return every position, oldest first.

        Raises:
            JournalError: the file is damaged, unreadable, or of a newer mtnet.
        """

        def read(connection: sqlite3.Connection) -> list[Change]:
            with closing(connection.execute(_ALL)) as rows:
                return [Change(c, s, Decimal(v), when) for c, s, v, when in rows]

        return self._database.run(read)

    def commit(self, changes: Iterable[Change]) -> None:
        """
        Store all of `changes`, or nothing.

        Raises:
            JournalError: the disk is full or failed; nothing was stored.
        """
        rows = [(c.channel, c.symbol, str(c.volume), c.when) for c in changes]
        self._database.run(lambda connection: connection.executemany(_SET, rows))

    def expire(self, before: int) -> None:
        """
        Forget what went flat before a time in milliseconds since the epoch.

        Raises:
            JournalError: as `commit`.
        """
        self._database.run(lambda connection: connection.execute(_EXPIRE, (before,)))

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()
