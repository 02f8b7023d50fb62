"""
The queue on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    text TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE TABLE sent_key (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE left_out (
    target TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""
"""`time` in milliseconds since the Unix epoch; `receiver`: see `Receiver.id`."""
MAX_KEYS = 10_000
"""Keys that are remembered: those of messages that could be asked for again after a kill."""


class Message(Struct, frozen=True):
    """
    A message that waits for one receiver.

    Attributes:
        number: counts all messages.
        receiver: the id of its receiver.
        time: when it was written, milliseconds since the Unix epoch.
    """

    number: int
    receiver: str
    text: str
    time: int


Texts = Sequence[tuple[str, str]]
"""The text for each receiver, by its id."""
Added = list[Message] | None


class MessageStore:
    """
    The file of messages that no receiver has taken yet.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES)

    def load(self) -> tuple[list[Message], dict[str, int]]:
        """
        Return all messages in order, and how many were left out for each target.

        Raises:
            JournalError: the file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> tuple[list[Message], dict[str, int]]:
            rows = connection.execute("SELECT * FROM message ORDER BY number")
            left_out = connection.execute("SELECT target, count FROM left_out")
            return [Message(*row) for row in rows], dict(left_out)

        return self._database.read(read)

    def add(self, texts: Texts, time: int, key: str, left_out: Mapping[str, int]) -> Added:
        """
        Store a message for some receivers; it is on the platter when this returns.

        Args:
            key: of the message; empty = none.
            left_out: the counts of all targets from now on.

        Returns:
            The stored messages; None when the key was stored before, and nothing is stored.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """

        def write(connection: sqlite3.Connection) -> Added:
            if key and not _is_new(connection, key):
                return None
            _count(connection, left_out)
            put = "INSERT INTO message (receiver, text, time) VALUES (?, ?, ?) RETURNING *"
            return [Message(*connection.execute(put, (*row, time)).fetchone()) for row in texts]

        return self._database.transaction(write)

    def update(self, removed: Sequence[int], left_out: Mapping[str, int]) -> None:
        """
        Remove messages that were taken or given up, and store the counts of all targets.

        Raises:
            JournalError: as `add`.
        """

        def write(connection: sqlite3.Connection) -> None:
            numbers = [(number,) for number in removed]
            connection.executemany("DELETE FROM message WHERE number = ?", numbers)
            _count(connection, left_out)

        self._database.transaction(write)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def _is_new(connection: sqlite3.Connection, key: str) -> bool:
    done = connection.execute("INSERT OR IGNORE INTO sent_key (key) VALUES (?)", (key,))
    newest = connection.execute("SELECT MAX(number) FROM sent_key").fetchone()[0]
    connection.execute("DELETE FROM sent_key WHERE number <= ?", (newest - MAX_KEYS,))
    return done.rowcount == 1


def _count(connection: sqlite3.Connection, left_out: Mapping[str, int]) -> None:
    connection.execute("DELETE FROM left_out")
    connection.executemany("INSERT INTO left_out VALUES (?, ?)", left_out.items())
