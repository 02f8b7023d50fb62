"""
An SQLite file that survives errors of the disk.

Blocking, for one thread at a time. A transaction that returned is on the platter
(`synchronous=FULL`, write-ahead log).
"""

import os
import sqlite3
from array import array
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from struct import calcsize
from typing import NamedTuple, TypeVar

from mtnet.errors import JournalError, NotAskedError
from mtnet.metrics import Histogram
from mtnet.storage.files import sync

BUSY_TIMEOUT = 10.0
"""Seconds to wait for another process that uses the file."""
_SETTINGS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    # On macOS `fsync` leaves the bytes in the disk's own cache.
    "fullfsync=ON",
    "cell_size_check=ON",
    # The pages that a statement of many rows changes are kept until it has succeeded; in a file of
    # the system's temporary folder they are written once more, and need room there.
    "temp_store=MEMORY",
    # KiB, where negative. A signal that 1,000 views copy changes 6 MB of pages; what SQLite cannot
    # keep it writes and reads again within one transaction.
    "cache_size=-16384",
)
MIN_FREE_BYTES = 131_072
"""Free bytes that a write needs. SQLite maps a file as shared memory; on a full disk the kernel
kills a process that touches a page without a block."""
COPY_ON_WRITE_FREE_BYTES = 4_194_304
"""The same where a page that is written again needs a new block, as on btrfs: one of 120 MB that
takes nothing more says that 1.7 MB are free."""
_GET_FLAGS, _SET_FLAGS = (
    0x0000_6601 | calcsize("l") << 16 | 0x8000_0000,
    0x0000_6602 | calcsize("l") << 16 | 0x4000_0000,
)
_NO_COPY_ON_WRITE = 0x0080_0000
"""`FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS` and `FS_NOCOW_FL` of linux/fs.h."""
LOG_PIECE = 262_144
"""Bytes by which a log is lengthened at a time: 0.2 ms."""
LOG_SHARE = 16
"""Times that the disk has room for what a log may be lengthened to, or it stays as it is."""
FULL = "database or disk is full"
"""The message of SQLite."""
FAILURES = (sqlite3.Error, ArithmeticError, UnicodeError)
"""Errors of SQLite and its module, also for a damaged name that cannot be decoded."""

T = TypeVar("T")


def has_free_space(file: Path | str | int) -> bool:
    """
    Return whether a write finds room on the disk of a file or folder, a path or a descriptor; True
    where that is unknown.
    """
    try:
        found = os.statvfs(file)
    except (AttributeError, OSError):  # Windows has none
        return True
    # btrfs has no table of files. Blocks reserved for root do not count: ext4 uses some itself.
    needed = MIN_FREE_BYTES if found.f_files else COPY_ON_WRITE_FREE_BYTES
    return found.f_blocks == 0 or found.f_bavail * found.f_frsize >= needed


def _has_room(folder: str, size: int) -> bool:
    """Return whether a disk that overwrites files in place has room for `size` bytes."""
    found = os.statvfs(folder)
    return bool(found.f_files) and found.f_bavail * found.f_frsize >= size


def wal_path(path: Path) -> Path:
    """Return the path of the write-ahead log of a file."""
    return path.with_name(path.name + "-wal")


def make_index(path: Path) -> None:
    """
    Make the index of a write-ahead log, unless it is there, without copy-on-write.

    SQLite maps it into memory. On btrfs a page that is written again needs a new block, and on a
    full disk the kernel kills the process for want of one (SIGBUS). A file that is overwritten in
    place is spared that since Linux 6.16. Elsewhere this makes no difference.
    """
    index = path.with_name(path.name + "-shm")
    with suppress(ImportError, OSError):  # SQLite makes it then
        from fcntl import ioctl

        file = os.open(index, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            flags = array("l", [0])
            ioctl(file, _GET_FLAGS, flags, True)
            flags[0] |= _NO_COPY_ON_WRITE
            ioctl(file, _SET_FLAGS, flags, True)
        finally:
            os.close(file)


def _stat_or_none(file: Path | str | int) -> os.stat_result | None:
    try:
        return os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None


def copy_database(path: Path, target: Path) -> None:
    """
    Copy a file, as it is at one moment, into a new one; another process may write meanwhile.

    Raises:
        JournalError: it is damaged, there is such a target already, or the disk is full or failed.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        target.chmod(0o600)
        sync(target)
        sync(target.parent)
    except (*FAILURES, OSError) as error:
        raise JournalError(f"{path} is not copied to {target}: {error}.") from error


class FileIdentity(NamedTuple):
    """The identity of a file, independent of its name."""

    device: int
    inode: int

    @classmethod
    def of(cls, file: Path | str | int) -> "FileIdentity | None":
        """
        Return it for a path or a descriptor; None = the file does not exist.

        Raises:
            OSError: the file cannot be inspected.
        """
        found = _stat_or_none(file)
        return None if found is None else cls(found.st_dev, found.st_ino)


def moved_error(path: Path, now: FileIdentity | None) -> NotAskedError:
    """Return the error of a file that is not the one that was opened."""
    what = "is gone" if now is None else "is another file than the one that is open"
    return NotAskedError(
        f"{path} {what}: it or its folder was removed, moved or replaced while the daemon runs. "
        "Nothing is stored until it is back."
    )


class Database:
    """
    Transaction runner that reopens its file after an error.

    Args:
        path: the file; its folder exists.
        schema: `PRAGMA user_version` of the files that the caller reads and writes.
        tables: the statements that make one, with a semicolon between.
        upgrade: fills the new tables of a new file (version 0), or from those of an older schema,
            in the same transaction.

    After an error of SQLite the file is closed, and opened again at the next call: the state of a
    connection after a failed write cannot be trusted. The file must be the one that was opened
    first: another one at its path is refused.

    While the disk is full nothing is written, and the file is read without shared memory: other
    programs cannot open it meanwhile.

    Attributes:
        sync_seconds: how long it took to force each transaction to the disk.
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
        self._folder, self._path, self._log_path = str(path.parent), str(path), str(wal_path(path))
        self._log_file: int | None = None
        self._log_identity: FileIdentity | None = None
        self._log_size = 0
        self.exclusive = False
        self.sync_seconds = Histogram()

    def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Run `work` in a transaction, and return its result.

        Raises:
            NotAskedError: the disk is full, or the file is not the one that was opened.
            JournalError: the disk failed, the file is damaged or of a newer mtnet, or `work`
                raised it. Nothing is stored, unless only the last step failed: then the file shows
                what is stored once it is open again.
        """
        # To ask by the descriptor spares each signal the walk along the path.
        if not has_free_space(self._folder if self._log_file is None else self._log_file):
            raise self._full_error()
        # `isolation_level=None` leaves transactions to us: sqlite3's own begin late.
        return self._run("BEGIN IMMEDIATE", work, "COMMIT")

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """
        Let `work` read one snapshot of the file, also while another process writes.

        Raises:
            JournalError: as `run`.
        """
        # A transaction that has met a damaged page cannot be committed.
        return self._run("BEGIN", work, "ROLLBACK")

    def checkpoint(self) -> bool:
        """
        Checkpoint: copy the write-ahead log into the file, both on the platter, and empty it.

        After a failed `fsync`, pages can be read that are not on the disk, and a second `fsync`
        succeeds: the kernel forgets the error. Only pages that are written again are safe.

        Returns:
            False when there is no room, or another process reads the log for too long.

        Raises:
            JournalError: the disk failed.
        """
        try:
            connection, room = self._connect(), has_free_space(self._folder)
            return room and not self.exclusive and self._truncate_log(connection)
        except (*FAILURES, OSError) as error:
            self._abandon()
            raise JournalError(f"{self.path} does not reach the disk: {error}.") from error

    def sync_log(self) -> None:
        """
        Force the write-ahead log onto the platter: a killed process may have written pages without
        forcing them.

        Raises:
            JournalError: the disk failed.
        """
        try:
            if wal_path(self.path).exists():
                sync(wal_path(self.path))
        except OSError as error:
            raise JournalError(f"{self.path} does not reach the disk: {error}.") from error

    def lengthen_log(self, size: int) -> bool:
        """
        Lengthen the write-ahead log by a piece of zeros, which SQLite takes for its end.

        While somebody reads one snapshot for long, the log cannot be used again from its start. To
        force a file that grows takes a disk several times as long as one that is overwritten.

        Args:
            size: bytes that it is lengthened to at most.

        Returns:
            Whether it was, and may be again.
        """
        try:
            if self._log_file is None or not _has_room(self._folder, LOG_SHARE * size):
                return False
            length = os.lseek(self._log_file, 0, os.SEEK_END)
            return length < size and os.pwrite(self._log_file, bytes(LOG_PIECE), length) > 0
        except (AttributeError, OSError):  # Windows has no pwrite
            return False

    def check(self) -> None:
        """
        Check that the file and its write-ahead log are the ones that were opened, and whole.

        Raises:
            NotAskedError: the file is not.
            JournalError: the log is not: the last commits may be lost.
        """
        try:
            if self._identity is not None and not self._is_in_place():
                raise moved_error(self.path, FileIdentity.of(self.path))
            if self._log_file is not None:
                if FileIdentity.of(self._log_path) != self._log_identity:
                    raise self._log_error("was removed")
                self._check_log(self._log_file)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be asked for: {error}.") from error

    def check_room(self) -> None:
        """
        Check that there is room to write.

        Raises:
            NotAskedError: the disk is full.
        """
        if not has_free_space(self._folder):
            raise self._full_error()

    def forget(self) -> None:
        """Close the file; the next call accepts any file at its path."""
        self.close()
        self._identity = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._close_log()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(self, begin: str, work: Callable[[sqlite3.Connection], T], end: str) -> T:
        try:
            connection = self._connection
            if connection is None or self.exclusive:
                connection = self._connect()
            if not self._is_in_place():
                raise moved_error(self.path, FileIdentity.of(self.path))
            if self._log_file is not None:
                self._check_log(self._log_file)
            connection.execute(begin)
            result = work(connection)
            if end == "COMMIT":
                self.sync_seconds.timed(connection.execute, end)
            else:
                connection.execute(end)
            # The commit must have gone into the file at this path.
            if not self._is_in_place():
                raise JournalError(str(moved_error(self.path, FileIdentity.of(self.path))))
            if self._log_file is None:
                self._open_log()
            else:
                # The log is never shorter from now on.
                self._log_size = os.lseek(self._log_file, 0, os.SEEK_END)
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
        if self.exclusive and self._connection is not None and has_free_space(self._folder):
            self.close()
        return self._connection or self._open()

    def _is_in_place(self) -> bool:
        """Return whether the file that is open lies at this path."""
        try:
            now = os.stat(self._path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (now.st_dev, now.st_ino) == self._identity

    def _open_log(self) -> None:
        with suppress(FileNotFoundError):
            self._log_file = os.open(self._log_path, os.O_RDWR)
            self._log_identity = FileIdentity.of(self._log_file)
            self._log_size = os.lseek(self._log_file, 0, os.SEEK_END)

    def _check_log(self, file: int) -> None:
        # No `fstat` at each commit: where the kernel has told the times of a file, the next write
        # must change them (Linux 6.13), and the disk is waited for once more.
        if not os.access(self._log_path, os.F_OK):
            raise self._log_error("was removed")
        if os.lseek(file, 0, os.SEEK_END) < self._log_size:
            raise self._log_error("has lost its end")

    def _full_error(self) -> NotAskedError:
        return NotAskedError(
            f"{self.path}: {FULL}, or nearly. Nothing more is stored until there is room; what is "
            "stored is served."
        )

    def _log_error(self, what: str) -> JournalError:
        self._abandon()
        return JournalError(
            f"{self._log_path} {what} while the daemon runs; what is left is looked at."
        )

    def _close_log(self) -> None:
        if self._log_file is not None:
            os.close(self._log_file)
            self._log_file = None

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
        # A log that comes back in part after a power loss would hide newer pages.
        if wal_path(self.path).exists():
            sync(wal_path(self.path))
        sync(self.path.parent)
        self._close_log()
        return not busy

    def _open(self) -> sqlite3.Connection:
        identity = FileIdentity.of(self.path)
        if self._identity is not None and identity != self._identity:
            raise moved_error(self.path, identity)
        self.exclusive = not has_free_space(self._folder)
        if identity is None:
            self._create()
        if not self.exclusive:
            make_index(self.path)
        # Each call comes from one thread at a time, though not always from the same.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._identity = connection, FileIdentity.of(self.path)
        return connection

    def _create(self) -> None:
        if self.exclusive:
            self.check_room()
        with suppress(OSError):  # SQLite reports it better
            os.close(os.open(self.path, os.O_CREAT, 0o600))
            sync(self.path.parent)

    def _configure(self, connection: sqlite3.Connection) -> None:
        for setting in ("locking_mode=EXCLUSIVE",) * self.exclusive + _SETTINGS:
            # Fetch to the end: some errors appear only there.
            connection.execute(f"PRAGMA {setting}").fetchall()
        self._check_mode(connection)
        self._migrate(connection)
        # SQLite forces the name of a new log too, but does not report a failure.
        sync(self.path.parent)

    def _check_mode(self, connection: sqlite3.Connection) -> None:
        # Without it SQLite silently uses a rollback journal, whose removal is the commit; after a
        # power loss the journal may be back.
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            raise JournalError(
                f"{self.path} has no write-ahead log: the disk takes or allows none."
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")  # two processes may be the first
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

    def __del__(self) -> None:
        self._close_log()

    def _abandon(self) -> None:
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
