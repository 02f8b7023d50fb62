"""A counter of taken ticks in a file: after a kill it shows how many were lost."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import finalize

FORMAT = struct.Struct("<Q")


class Tally:
    """
    Persistent counter: the number of ticks taken so far; it survives a kill.

    It is written with each burst, and by `write`, since a memory map would end the process when the
    file is cut or the disk is full. If the file cannot be written, only the count of ticks that a
    kill loses is unknown.

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
        self._open()

    def set(self, value: int) -> None:
        """Note the number; never raises."""
        self.value = value
        if self._descriptor is None or self._in_burst:
            return
        try:
            _write(self._descriptor, FORMAT.pack(value))
        except OSError as error:
            self._fail(error)
        else:
            self.trouble = None

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
        self.set(value)
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


def _write(descriptor: int, data: bytes) -> None:
    """Write at the beginning of a file."""
    if hasattr(os, "pwrite"):
        os.pwrite(descriptor, data, 0)
    else:  # Windows
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, data)
