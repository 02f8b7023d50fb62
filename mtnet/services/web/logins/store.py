"""
The sessions on disk, so that a restart of the daemon logs nobody out.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from mtnet.services.web.logins.registry import Session
from mtnet.storage.sqlite import Database

SCHEMA = 1
TABLES = """
CREATE TABLE session (
    digest BLOB PRIMARY KEY, account TEXT NOT NULL, created INTEGER NOT NULL,
    changed INTEGER NOT NULL, token BLOB NOT NULL, since INTEGER NOT NULL, host TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""
_COLUMNS = Session.__struct_fields__
_ALL = f"SELECT {', '.join(_COLUMNS)} FROM session ORDER BY since"
_PUT = f"REPLACE INTO session VALUES ({', '.join('?' * len(_COLUMNS))})"
_DROP = "DELETE FROM session WHERE digest = ?"


class SessionStore:
    """
    The file of sessions; every method raises `JournalError` when the disk fails.

    Args:
        path: the file; it is made at the first session.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._database = path, Database(path, SCHEMA, TABLES)
        self._over: set[bytes] = set()

    def load(self) -> list[Session]:
        """Return the sessions, oldest first."""
        if not self._path.exists():
            return []
        return self._database.read(_load)

    def write(self, begun: Iterable[Session], over: Iterable[Session]) -> None:
        """
        Add sessions, and remove others, in one transaction.

        Those that the disk did not remove are removed with the next ones: they would log in again
        after a restart.
        """
        self._over.update(each.digest for each in over)

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_DROP, [(each,) for each in self._over])
            rows = [[getattr(each, name) for name in _COLUMNS] for each in begun]
            connection.executemany(_PUT, rows)

        self._database.transaction(write)
        self._over.clear()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def _load(connection: sqlite3.Connection) -> list[Session]:
    rows = connection.execute(_ALL)
    return [Session(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
