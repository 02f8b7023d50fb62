"""A counter of taken ticks in a file: after a kill it shows how many were lost."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from weakref import finalize

from mtnet.services.ticks.storage.log_records import note_of

FORMAT = struct.Struct("<Q")


class Place(NamedTuple):
    """A place in a file that is open: the descriptor, and the offset."""

    file: int
    offset: int


class Tally:
    """
    Persistent counter: the number of ticks taken so far; it survives a kill.

    It is written with each burst, and by `write`, since a memory map would end the process when the
    file is cut or the disk is full. If the file cannot be written, only the count of ticks that a
    kill loses is unknown.

    The kernel writes a page that changes all the time to the disk each half minute, and that of its
    inode. So the number lies in a page that changes anyhow, while there is one: see `move`, which
    another thread may call.

    Attributes:
        value: the number.
        whole: whether the file had a number when it was opened.
        trouble: why the file cannot be written; None = it can.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.value, self.whole = 0, False
        self.trouble: str | None = None
        self._descriptor: int | None = None
        self._folder: os.stat_result | None = None
        self._close: finalize[[int], Tally] | None = None
        self._in_burst = False
        self._place: Place | None = None
        self._lock = Lock()
        self._open()

    def set(self, value: int) -> None:
        """Note the number; never raises."""
        self.value = value
        if not self._in_burst:
            self._note()

    def raise_to(self, value: int) -> None:
        """Note a number that was found elsewhere, if it is higher than that of the file."""
        if value > self.value:
            self.whole = True
            self.set(value)

    def move(self, place: Place | None) -> None:
        """
        Note the number elsewhere from its next change on, and there alone.

        Args:
            place: None = the file of its own, where it is noted at once.
        """
        with self._lock:
            self._place = place
        if place is None:
            self._note()

    @contextmanager
    def burst(self) -> Iterator[None]:
        """Write the number once, behind all that is noted meanwhile."""
        self._in_burst = True
        try:
            yield
        finally:
            self._in_burst = False
            self.set(self.value)

    def repair(self) -> bool:
        """
        Write the file again if it was removed or replaced; return whether it was.

        Nothing is written if the folder itself was replaced: it may be another daemon's.
        """
        if self._is_there() or not self._is_folder_ours():
            return False
        value = self.value
        self._open()
        self.value = value
        self._note_in_own()
        return self.trouble is None

    def _open(self) -> None:
        if self._close is not None:
            self._close()
        self._close = self._descriptor = None
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(self._path, flags, 0o600)
            self._close = finalize(self, os.close, self._descriptor)
            found = os.read(self._descriptor, FORMAT.size)
            self._folder = os.stat(self._path.parent)
        except OSError as error:
            self._fail(error)
            return
        self.whole = len(found) == FORMAT.size
        if self.whole:
            (self.value,) = FORMAT.unpack(found)

    def _note(self) -> None:
        with self._lock:
            if self._place is None:
                self._note_in_own()
                return
            try:
                write_at(self._place.file, note_of(self.value), self._place.offset)
            except OSError as error:
                self.trouble = f"The log of ticks does not take their number: {error.strerror}"
            else:
                self.trouble = None

    def _note_in_own(self) -> None:
        if self._descriptor is None:
            return
        try:
            write_at(self._descriptor, FORMAT.pack(self.value), 0)
        except OSError as error:
            self._fail(error)
        else:
            self.trouble = None

    def _is_there(self) -> bool:
        try:
            there = os.stat(self._path)
            return self._descriptor is not None and os.path.samestat(
                there, os.fstat(self._descriptor)
            )
        except OSError:
            return False

    def _is_folder_ours(self) -> bool:
        try:
            there = os.stat(self._path.parent)
        except OSError:
            return False
        return self._folder is None or os.path.samestat(there, self._folder)

    def _fail(self, error: OSError) -> None:
        self.trouble = f"{self._path} cannot be written: {error.strerror}"


def write_at(descriptor: int, data: bytes, offset: int) -> int:
    """
    Write at a place of a file; return how many bytes were written.

    Raises:
        OSError: the disk is full or failed.
    """
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows
    return os.write(descriptor, data)
