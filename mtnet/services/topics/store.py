"""
The retained values on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mtnet.services.topics.wire import Post
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE retained (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    sender TEXT NOT NULL,
    data TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID
"""
"""`time` in milliseconds since the Unix epoch."""
Change = tuple[tuple[str, str], Post | None]
"""(topic, key), and its value; None = there is none any more."""


class RetainedStore:
    """
    The file of retained values.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES)

    def load(self) -> list[Post]:
        """
        Return all values, which have no number in a new epoch.

        Raises:
            JournalError: the file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> list[Post]:
            rows = connection.execute("SELECT topic, key, sender, data, time FROM retained")
            return [
                Post(topic, 0, sender, data, time, key) for topic, key, sender, data, time in rows
            ]

        return self._database.read(read)

    def update(self, changes: Sequence[Change]) -> Sequence[None]:
        """
        Set and remove values, the last change of each counts; they are on the platter when this
        returns.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """
        put = [
            (topic, key, post.sender, post.data, post.time)
            for (topic, key), post in dict(changes).items()
            if post is not None
        ]
        removed = [where for where, post in dict(changes).items() if post is None]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO retained VALUES (?, ?, ?, ?, ?)", put)
            connection.executemany("DELETE FROM retained WHERE topic = ? AND key = ?", removed)

        self._database.transaction(write)
        return [None] * len(changes)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()
