"""
The minute history on disk: what was shown of each symbol.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mtnet.services.sentiment.wire import UNITS, Sentiment, to_lots
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE minute (
    symbol TEXT NOT NULL,
    time INTEGER NOT NULL,
    long INTEGER NOT NULL,
    short INTEGER NOT NULL,
    clients INTEGER NOT NULL,
    PRIMARY KEY (symbol, time)
) STRICT, WITHOUT ROWID
"""
"""`time` = of the minute's begin, in milliseconds since the Unix epoch; volumes in units."""


class SentimentHistory:
    """
    The file of the minute history.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES)

    def add(self, minute: int, shown: Sequence[Sentiment]) -> None:
        """
        Store what is shown in a minute.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """
        rows = [
            (each.symbol, minute, int(each.long * UNITS), int(each.short * UNITS), each.clients)
            for each in shown
        ]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?, ?)", rows)

        self._database.transaction(write)

    def forget(self, before: int) -> None:
        """
        Delete the minutes before a time.

        Raises:
            JournalError: the disk fails; nothing is deleted.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM minute WHERE time < ?", (before,))

        self._database.transaction(write)

    def read(self, symbol: str, start: int, stop: int, limit: int) -> list[Sentiment]:
        """
        Return at most `limit` minutes of a symbol from `start` on, before `stop`, oldest first.

        Raises:
            JournalError: the file cannot be read.
        """

        def select(connection: sqlite3.Connection) -> list[Sentiment]:
            rows = connection.execute(
                "SELECT long, short, clients, time FROM minute "
                "WHERE symbol = ? AND time >= ? AND time < ? ORDER BY time LIMIT ?",
                (symbol, start, stop, limit),
            )
            return [
                Sentiment(symbol, to_lots(long), to_lots(short), clients, time)
                for long, short, clients, time in rows
            ]

        return self._database.read(select)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()
