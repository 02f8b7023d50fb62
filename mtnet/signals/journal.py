"""
The positions on disk: SQLite, one row for each (channel, symbol, ticket).

Blocking, for one thread at a time: `Desk` calls it off the reactor. A commit that returned
is on the platter (`synchronous=FULL`, write-ahead log).
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from mtnet.errors import JournalError
from mtnet.signals.book import Change

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
BUSY = 5.0
"""Seconds to wait for somebody who looks at the file with other tools."""

T = TypeVar("T")

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

    After any error the file is closed and opened anew at the next call: what a connection
    believes after a failed write is not to be trusted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def load(self) -> list[Change]:
        """
        Return every position, oldest first.

        Raises:
            JournalError: the file is damaged, unreadable, or of a newer mtnet.
        """

        def read(connection: sqlite3.Connection) -> list[Change]:
            with closing(connection.execute(_ALL)) as rows:
                return [Change(c, s, Decimal(v), when) for c, s, v, when in rows]

        return self._run(read)

    def commit(self, changes: Iterable[Change]) -> None:
        """
        Store all of `changes`, or nothing.

        Raises:
            JournalError: the disk is full or failed; nothing was stored.
        """
        rows = [(c.channel, c.symbol, str(c.volume), c.when) for c in changes]
        self._run(lambda connection: connection.executemany(_SET, rows))

    def expire(self, before: int) -> None:
        """
        Forget what went flat before a time in milliseconds since the epoch.

        Raises:
            JournalError: as `commit`.
        """
        self._run(lambda connection: connection.execute(_EXPIRE, (before,)))

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection or self._open()
            # `isolation_level=None` leaves transactions to us: sqlite3's own begin late.
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, ArithmeticError) as error:
            self._abandon()
            raise JournalError(f"{self._path} does not take or give its rows: {error}.") from error
        return result

    def _open(self) -> sqlite3.Connection:
        # Each call comes from one thread at a time, though not always from the same.
        self._connection = sqlite3.connect(
            self._path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._migrate(self._connection)
        return self._connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            self._abandon()
            raise JournalError(
                f"{self._path} has schema {version} of a newer mtnet; this one reads {SCHEMA}."
            )
        if version == 0:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLES)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            connection.execute("COMMIT")

    def _abandon(self) -> None:
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
