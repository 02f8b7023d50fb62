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
from typing import NamedTuple, TypeVar

from mtnet.errors import JournalError, NotAskedError
from mtnet.storage.files import sync

BUSY_TIMEOUT = 10.0
"""Seconds to wait for somebody else who writes into the file, or looks at it with other tools."""
_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    # On macOS `fsync` leaves the bytes in the disk's own cache.
    "fullfsync=ON",
    "cell_size_check=ON",
)
MIN_FREE_BYTES = 131_072
"""Free bytes that a write needs. With less, SQLite's shared memory, a file that is mapped, may have
no block where a page of it is touched, and the kernel ends the process."""
FULL = "database or disk is full"
"""As SQLite says it."""
FAILURES = (sqlite3.Error, ArithmeticError, UnicodeError)
"""What SQLite and its module raise; a damaged name in a file is quoted in no known encoding."""

T = TypeVar("T")


def has_free_space(folder: Path) -> bool:
    """Say whether the disk of a folder has `MIN_FREE_BYTES`; where nobody can tell, it has."""
    try:
        found = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows has none
        return True
    # What is kept for root is not counted: ext4 keeps some of it for itself.
    return found.f_blocks == 0 or found.f_bavail * found.f_frsize >= MIN_FREE_BYTES


def wal_path(path: Path) -> Path:
    """Name the write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def _stat_or_none(file: Path | int) -> os.stat_result | None:
    try:
        return os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None


class FileIdentity(NamedTuple):
    """Where the bytes of a file lie, whatever its name is."""

    device: int
    inode: int

    @classmethod
    def of(cls, file: Path | int) -> "FileIdentity | None":
        """
        Return it for a path or a descriptor; None = there is no such file.

        Raises:
            OSError: it cannot be asked.
        """
        found = _stat_or_none(file)
        return None if found is None else cls(found.st_dev, found.st_ino)


def moved_error(path: Path, now: FileIdentity | None) -> NotAskedError:
    """Return what to say of a file whose place is another one than when it was opened."""
    what = "is gone" if now is None else "is another file than the one that is open"
    return NotAskedError(
        f"{path} {what}: it or its folder was removed, moved or replaced while the daemon runs. "
        "Nothing is stored until it is back."
    )


class Database:
    """
    Runs transactions, and makes the tables of a new file.

    Args:
        path: the file; its folder exists.
        schema: `PRAGMA user_version` of the files that the caller reads and writes.
        tables: the statements that make one, with a semicolon between.
        upgrade: fills the tables, which were just made, of a new file (version 0) or from those
            of an older schema, in the transaction that made them.

    After an error of SQLite's the file is closed and opened anew at the next call: what a
    connection believes after a failed write is not to be trusted. It is always the file that was
    opened first: another one at its path is refused.

    While the disk is full nothing is written, and the file is read without shared memory; other
    programs cannot open it then.
    """

    def __init__(
        self,
        path: Path,
        schema: int,
        tables: str,
        upgrade: Callable[[sqlite3.Connection, int], None] | None = None,
    ) -> None:
        self.path = path
        self._schema, self._tables, self._upgrade = schema, tables, upgrade
        self._connection: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None
        self._log: os.stat_result | None = None
        self.exclusive = False

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Do `work` in a transaction, and return what it returns.

        Raises:
            NotAskedError: the disk is full, or the file is not where it was opened.
            JournalError: the disk failed, the file is damaged or of a newer mtnet, or `work`
                raised it. Nothing of it is stored, unless only the last step failed: then what
                the file shows after it was opened anew is what counts.
        """
        self.check_room()
        # `isolation_level=None` leaves transactions to us: sqlite3's own begin late.
        return self._run("BEGIN IMMEDIATE", work)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Let `work` read at one moment of the file, whoever writes meanwhile.

        Raises:
            JournalError: as `run`.
        """
        return self._run("BEGIN", work)

    def checkpoint(self) -> bool:
        """
        Copy the write-ahead log into the file, both on the platter, and empty it.

        What a failed `fsync` left behind may be seen and yet not be stored, and asking again
        says nothing: the kernel forgets. Only pages that are written anew can be believed.

        Returns:
            False when there is no room for it, or somebody else reads the log for too long.

        Raises:
            JournalError: the disk failed.
        """
        try:
            connection = self._connect()
            return not self.exclusive and self._truncate_log(connection)
        except (*FAILURES, OSError) as error:
            self._abandon()
            raise JournalError(f"{self.path} does not reach the disk: {error}.") from error

    def sync_log(self) -> None:
        """
        Force the write-ahead log onto the platter as it is: a process that was killed may have
        written what it did not live to force.

        Raises:
            JournalError: the disk failed.
        """
        try:
            if wal_path(self.path).exists():
                sync(wal_path(self.path))
        except OSError as error:
            raise JournalError(f"{self.path} does not reach the disk: {error}.") from error

    def check(self) -> None:
        """
        Look whether the file and its write-ahead log are where they were opened, and whole.

        Raises:
            NotAskedError: the file is not.
            JournalError: the log is not: what was stored last may be lost.
        """
        try:
            now = FileIdentity.of(self.path)
            if self._identity is not None and now != self._identity:
                raise moved_error(self.path, now)
            if self._connection is not None and self._log is not None:
                self._check_log(self._log)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be asked for: {error}.") from error

    def check_room(self) -> None:
        """
        Look whether there is room to write.

        Raises:
            NotAskedError: there is not.
        """
        if not has_free_space(self.path.parent):
            raise NotAskedError(
                f"{self.path}: {FULL}, or nearly: less than {MIN_FREE_BYTES} bytes are free. "
                "Nothing more is stored until there is room; what is stored is served."
            )

    def forget(self) -> None:
        """Close the file; the next call opens whatever lies at its path then."""
        self.close()
        self._identity = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._log = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connect()
            self.check()
            connection.execute(begin)
            result = work(connection)
            connection.execute("COMMIT")
            self._check_stored()
        except NotAskedError:
            raise
        except (*FAILURES, OSError) as error:
            self._abandon()
            raise JournalError(f"{self.path} cannot be read or written: {error}.") from error
        except BaseException:
            self._roll_back()
            raise
        return result

    def _connect(self) -> sqlite3.Connection:
        if self.exclusive and self._connection is not None and has_free_space(self.path.parent):
            self.close()
        return self._connection or self._open()

    def _check_stored(self) -> None:
        """Look whether what was committed went where it will be looked for."""
        now = FileIdentity.of(self.path)
        if now != self._identity:
            raise JournalError(str(moved_error(self.path, now)))
        self._log = _stat_or_none(wal_path(self.path))

    def _check_log(self, known: os.stat_result) -> None:
        log = wal_path(self.path)
        now = _stat_or_none(log)
        if now is not None and os.path.samestat(now, known) and now.st_size >= known.st_size:
            return
        self._abandon()
        what = "has lost its end" if now is not None else "was removed"
        raise JournalError(f"{log} {what} while the daemon runs; what is left is looked at.")

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except FAILURES:
            self._abandon()

    def _truncate_log(self, connection: sqlite3.Connection) -> bool:
        try:
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                return False
            raise
        # A log that came back after a power failure, in part, would hide newer pages.
        if wal_path(self.path).exists():
            sync(wal_path(self.path))
        sync(self.path.parent)
        self._log = None
        return not busy

    def _open(self) -> sqlite3.Connection:
        place = FileIdentity.of(self.path)
        if self._identity is not None and place != self._identity:
            raise moved_error(self.path, place)
        self.exclusive = not has_free_space(self.path.parent)
        if place is None:
            if self.exclusive:
                self.check_room()
            with suppress(OSError):  # which SQLite says better
                os.close(os.open(self.path, os.O_CREAT, 0o600))
                sync(self.path.parent)
        # Each call comes from one thread at a time, though not always from the same.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            for setting in ("locking_mode=EXCLUSIVE",) * self.exclusive + _SETTINGS:
                # To its end: what fails only there is told to nobody else.
                connection.execute(f"PRAGMA {setting}").fetchall()
            self._check_mode(connection)
            self._migrate(connection)
            # SQLite forces the name of a new log too, but keeps to itself that it failed.
            sync(self.path.parent)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, FileIdentity.of(self.path)
        return connection

    def _check_mode(self, connection: sqlite3.Connection) -> None:
        # Without it SQLite goes on, and says nothing, with a journal whose removal is its commit,
        # and which may be back after a power loss.
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            raise JournalError(
                f"{self.path} has no write-ahead log: the disk takes or allows none."
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")  # two may be the first
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > self._schema:
            raise JournalError(
                f"{self.path} has schema {version} of a newer mtnet; this one reads {self._schema}."
            )
        if self.exclusive and version != self._schema:
            raise JournalError(f"{self.path} has schema {version}, and the disk is full.")
        if version == 0 or (self._upgrade is not None and version < self._schema):
            for statement in self._tables.split(";"):
                connection.execute(statement)
            if self._upgrade is not None:
                self._upgrade(connection, version)
            connection.execute(f"PRAGMA user_version = {self._schema}")
        connection.execute("COMMIT")

    def _abandon(self) -> None:
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
