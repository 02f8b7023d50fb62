"""
The penalties on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from pathlib import Path

from mtnet.access.bans.penalties import Key, Penalty
from mtnet.access.bans.policy import Changes
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE ban (
    network TEXT NOT NULL,
    login TEXT NOT NULL,
    by_hand INTEGER NOT NULL,
    until REAL NOT NULL,
    most REAL NOT NULL,
    bars INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (network, login, by_hand)
) STRICT, WITHOUT ROWID
"""
"""`until` in seconds since the Unix epoch; `most` (the cap) in seconds, infinite = permanent;
`bars`: whether it is a ban; `bad`: the failed logins."""

_PUT = "REPLACE INTO ban VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_DROP = "DELETE FROM ban WHERE (network, login, by_hand) = (?, ?, ?)"

Record = tuple[Key, Penalty]


class BanStore:
    """
    The file of penalties.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES)

    def load(self) -> list[Record]:
        """
        Return all penalties, with ends in seconds since the Unix epoch.

        Raises:
            JournalError: the file cannot be read.
        """
        return self._database.read(
            lambda connection: [_record(*row) for row in connection.execute("SELECT * FROM ban")]
        )

    def store(self, changes: Changes) -> None:
        """
        Store changes; they are on the platter when this returns.

        Raises:
            JournalError: the disk fails; none of the changes is stored.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_DROP, changes.gone)
            connection.executemany(_PUT, ((*key, *penalty) for key, penalty in changes.records()))

        self._database.transaction(write)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def _record(
    network: str, login: str, by_hand: int, until: float, most: float, bars: int, bad: int, why: str
) -> Record:
    return Key(network, login, bool(by_hand)), Penalty(until, most, bool(bars), bad, why)
