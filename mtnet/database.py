"""
One SQLite file that survives errors.

Blocking, for one thread at a time. A transaction that returned is on the platter
(`synchronous=FULL`, write-ahead log).
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from mtnet.errors import JournalError

BUSY = 10.0
"""Seconds to wait for somebody else who writes into the file, or looks at it with other tools."""

T = TypeVar("T")


class Database:
    """
    Runs transactions, and makes the tables of a new file.

    Args:
        path: the file; its folder exists.
        schema: `PRAGMA user_version` of the files that the caller reads and writes.
        tables: the statements that make one, with a semicolon between.

    After any error the file is closed and opened anew at the next call: what a connection
    believes after a failed write is not to be trusted.
    """

    def __init__(self, path: Path, schema: int, tables: str) -> None:
        self.path = path
        self._schema, self._tables = schema, tables
        self._connection: sqlite3.Connection | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Do `work` in a transaction, and return what it returns.

        Raises:
            JournalError: nothing of it was stored: the disk is full or failed, the file is
                damaged or of a newer mtnet, or `work` raised it.
        """
        try:
            connection = self._connection or self._open()
            # `isolation_level=None` leaves transactions to us: sqlite3's own begin late.
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except (sqlite3.Error, ArithmeticError) as error:
            self._abandon()
            raise JournalError(f"{self.path} does not take or give its rows: {error}.") from error
        except JournalError:
            self._abandon()
            raise
        return result

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            with suppress(OSError):  # which SQLite says better
                os.close(os.open(self.path, os.O_CREAT, 0o600))
        # Each call comes from one thread at a time, though not always from the same.
        self._connection = sqlite3.connect(
            self.path, timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._migrate(self._connection)
        return self._connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")  # two may be the first
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > self._schema:
            raise JournalError(
                f"{self.path} has schema {version} of a newer mtnet; this one reads {self._schema}."
            )
        if version == 0:
            for statement in self._tables.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self._schema}")
        connection.execute("COMMIT")

    def _abandon(self) -> None:
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
