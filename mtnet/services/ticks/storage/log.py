"""
The log of ticks: append-only files, the segments, that hold what no block holds yet.

Blocking, for one thread at a time. A record that was appended survives the end of the process; it
is on the platter once its page is full, or `sync` has returned.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from shutil import copyfile
from time import monotonic

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.log_records import PAGE, fits, note_behind
from mtnet.services.ticks.storage.tally import Place, Tally, write_at
from mtnet.storage.files import sync

FOLDER = "ticks.log"
"""Of the segments, beside the file of ticks; each is named by its number."""
DAMAGED = ".damaged"
"""The name of a segment ends so that was damaged, once what can be read of it is in blocks."""
REJECTED = ".rejected"
"""The name of one whose blocks had ticks that SQLite rejected: they were acknowledged."""

TALLY = "ticks.taken"
"""The name of the file of the tally, beside that of ticks."""
ROOM = 262_144
"""Bytes that a segment is lengthened by: a file that grows with each record has its blocks, its
inode and the maps of free blocks written to the disk again and again."""
INODE = 15.0
"""Seconds after which a segment is forced with its inode."""
KERNEL = 30.0
"""Seconds after which Linux writes an inode that has changed, and with it the page that is not full
yet. If it was forced before, that page is written once. A page takes 24 s at 50 ticks a second."""

_flush = getattr(os, "fdatasync", os.fsync)
_flush_all = os.fsync


def segments(folder: Path, merged: int) -> list[int]:
    """Return the numbers of the segments behind the last one that is in blocks, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(number for number in map(int, filter(str.isdecimal, names)) if number > merged)


def copy_segments(folder: Path, target: Path) -> None:
    """
    Copy all segments, also while one is written.

    Raises:
        JournalError: the disk is full or failed.
    """
    try:
        for number in segments(folder, 0):
            target.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # it is in blocks now
                copyfile(folder / str(number), target / str(number))
    except OSError as error:
        raise JournalError(f"{folder} is not copied: {error}.") from error


class TickLog:
    """
    Append-only log in segments.

    A record begins a new page if it does not fit into the rest of one, and the page before it is
    forced then: no page is written to the disk twice while ticks come. The page that is written has
    the number of taken ticks at its end.

    Attributes:
        tally: its number lies in the page that is written; None = it has none.
        size: bytes of the segment that hold records.
        suspect: whether what it has may not reach the platter: it has to be merged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._file: int | None = None
        self.tally: Tally | None = None
        self.size = self._synced = self._length = 0
        self._noted: int | None = None
        self._was_synced = self.suspect = False
        self._flushed_all = 0.0

    def open(self, merged: int) -> None:
        """Begin behind all segments; those that are in blocks are removed."""
        self.remove(merged)
        self._number = max([merged, *segments(self._folder, merged)])

    def pending(self, merged: int) -> Iterator[tuple[int, bytes]]:
        """
        Yield the segments that are not in blocks, each with its number.

        Raises:
            JournalError: the disk failed.
        """
        try:
            for number in segments(self._folder, merged):
                yield number, self._path(number).read_bytes()
        except OSError as error:
            raise JournalError(f"{self._folder} cannot be read: {error}.") from error

    def append(self, record: bytes, forced: bool) -> None:
        """
        Append a record.

        Args:
            forced: whether it is on the platter when this returns.

        Raises:
            JournalError: the disk is full or failed; the record is not in the log.
        """
        try:
            file = self._create() if self._file is None else self._file
            self._check(file)
            if not fits(self.size, len(record)):
                self.size += -self.size % PAGE
            self._move_tally(file, self.size + len(record))
            if self.size % PAGE == 0:
                self.sync()
            self._lengthen(file, self.size + len(record))
            self._write(file, record, forced)
        except OSError as error:
            raise JournalError(
                f"{self._path(self._number)} cannot be written: {error.strerror}."
            ) from error

    @property
    def is_new(self) -> bool:
        """Whether the next record begins a segment."""
        return self._file is None

    def has_others(self, merged: int) -> bool:
        """Return whether segments wait that are not in blocks, beside the one that is written."""
        current = None if self._file is None else self._number
        return any(number != current for number in segments(self._folder, merged))

    def sync(self) -> None:
        """
        Force all that was appended onto the platter.

        Raises:
            JournalError: the disk failed. The log is `suspect`, and the next record begins another
                segment.
        """
        if self._file is None or self.size == self._synced:
            return
        now = monotonic()
        since = now - self._flushed_all
        try:
            (_flush_all if INODE <= since < KERNEL else _flush)(self._file)
        except OSError as error:
            # A second attempt would succeed: the kernel forgets the error, and the pages.
            path = self._path(self._number)
            self.suspect = True
            self.rotate()
            raise JournalError(f"{path} does not reach the disk: {error.strerror}.") from error
        self._synced, self._was_synced = self.size, True
        if since >= INODE:
            self._flushed_all = now

    def sync_late(self) -> None:
        """
        Force what was appended, unless that was done since the last call.

        Raises:
            JournalError: as `sync`.
        """
        if not self._was_synced:
            self.sync()
        self._was_synced = False

    def rotate(self) -> int:
        """Let the next record begin a new segment; return the number of the last one."""
        if self._file is not None:
            self._return_tally()
            os.close(self._file)
            self._file = None
        return self._number

    def remove(self, merged: int, kept: Mapping[int, str] | None = None) -> None:
        """
        Remove the segments that are in blocks.

        Args:
            kept: those that keep their bytes, and what is appended to their names.
        """
        for number in segments(self._folder, 0):
            path = self._path(number)
            with suppress(OSError):  # it is known as merged, and tried again after a start
                if kept is not None and number in kept:
                    path.rename(path.with_name(path.name + kept[number]))
                elif number <= merged:
                    path.unlink()

    def close(self) -> None:
        """Force what was appended, and close the segment."""
        try:
            self.sync()
        finally:
            self.rotate()

    def _write(self, file: int, record: bytes, forced: bool) -> None:
        begin = self.size
        try:
            if write_at(file, record, begin) < len(record):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            self.size += len(record)
            if forced:
                self.sync()
        except (OSError, JournalError):
            self._cut(begin)
            raise

    def _cut(self, size: int) -> None:
        """Take back what was written last."""
        self._return_tally()
        self.size = self._length = size
        try:
            os.truncate(self._path(self._number), size)
        except OSError:
            self.rotate()

    def _lengthen(self, file: int, end: int) -> None:
        """Have blocks for what comes; without them a record takes its own, if there is room."""
        if end > self._length and hasattr(os, "posix_fallocate"):
            self._length = end + ROOM
            with suppress(OSError):
                os.posix_fallocate(file, self.size, self._length - self.size)

    def _move_tally(self, file: int, end: int) -> None:
        """Let the tally note its number behind a record that ends there."""
        place = note_behind(end)
        if self.tally is not None and place != self._noted and hasattr(os, "pwrite"):
            self.tally.move(Place(file, place))
            self._noted = place

    def _return_tally(self) -> None:
        if self.tally is not None and self._noted is not None:
            self.tally.move(None)
        self._noted = None

    def _create(self) -> int:
        new = not self._folder.exists()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if new:
            sync(self._folder.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._number += 1
        file = os.open(self._path(self._number), flags, 0o600)
        try:
            sync(self._folder)
        except OSError:
            os.close(file)
            raise
        self._file, self._flushed_all = file, monotonic()
        self.size = self._synced = self._length = 0
        return file

    def _check(self, file: int) -> None:
        path = self._path(self._number)
        try:
            there = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            there = None
        if there is None or not os.path.samestat(there, os.fstat(file)):
            self.rotate()
            raise JournalError(
                f"{path} is gone: it or its folder was removed, moved or replaced while the "
                "daemon runs. What it had is lost unless it is back at the next start."
            )

    def _path(self, number: int) -> Path:
        return self._folder / str(number)
