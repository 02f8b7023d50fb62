"""
Incidents, mutes and heartbeats on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from mtnet.services.alerts.incidents import Incident
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE incident (
    alert TEXT NOT NULL,
    subject TEXT NOT NULL,
    text TEXT NOT NULL,
    since INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    sent INTEGER NOT NULL,
    PRIMARY KEY (alert, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE mute (
    alert TEXT PRIMARY KEY,
    until INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE heartbeat (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    created INTEGER NOT NULL,
    last INTEGER
) STRICT, WITHOUT ROWID
"""
"""Times in milliseconds since the Unix epoch; `until` NULL = until somebody ends it; `last` NULL =
never; `digest`: SHA-256 of the token."""


class Heartbeat(Struct):
    """
    A program that is expected to give signs of life.

    Attributes:
        digest: SHA-256 of its token.
        created, last: milliseconds since the Unix epoch; None = there was none.
    """

    name: str
    digest: bytes
    created: int
    last: int | None = None


class Loaded(NamedTuple):
    """
    All that is stored.

    Attributes:
        mutes: the end of each mute by alert; None = none.
    """

    incidents: list[Incident]
    mutes: dict[str, int | None]
    heartbeats: list[Heartbeat]


class AlertStore:
    """
    The file of alerts.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES)

    def load(self) -> Loaded:
        """
        Return everything.

        Raises:
            JournalError: the file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> Loaded:
            rows = connection.execute("SELECT * FROM incident ORDER BY since")
            incidents = [
                Incident(alert, subject, text, since, ended, bool(sent))
                for alert, subject, text, since, ended, sent in rows
            ]
            return Loaded(
                incidents,
                dict(connection.execute("SELECT alert, until FROM mute")),
                [Heartbeat(*row) for row in connection.execute("SELECT * FROM heartbeat")],
            )

        return self._database.read(read)

    def save_incidents(self, incidents: Iterable[tuple[str, str, str, int, int, bool]]) -> None:
        """
        Store the incidents, in place of those before; they are on the platter when this returns.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM incident")
            connection.executemany("INSERT INTO incident VALUES (?, ?, ?, ?, ?, ?)", incidents)

        self._database.transaction(write)

    def mute(self, alert: str, until: int | None) -> None:
        """Store that an alert is muted, as of `Loaded.mutes`."""
        self._database.transaction(
            lambda connection: connection.execute("REPLACE INTO mute VALUES (?, ?)", (alert, until))
        )

    def unmute(self, alert: str) -> None:
        """Store that an alert is not muted."""
        self._database.transaction(
            lambda connection: connection.execute("DELETE FROM mute WHERE alert = ?", (alert,))
        )

    def put_heartbeat(self, row: tuple[str, bytes, int, int | None]) -> None:
        """Store a heartbeat: its name, its digest, and the times of `Heartbeat`."""
        self._database.transaction(
            lambda connection: connection.execute("REPLACE INTO heartbeat VALUES (?, ?, ?, ?)", row)
        )

    def remove_heartbeat(self, name: str) -> None:
        """Remove a heartbeat."""
        self._database.transaction(
            lambda connection: connection.execute("DELETE FROM heartbeat WHERE name = ?", (name,))
        )
