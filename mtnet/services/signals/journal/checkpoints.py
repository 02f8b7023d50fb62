"""
The checkpoint file: how far each channel had come, beside the journal and not within.

SQLite drops a damaged end of its write-ahead log in silence. What it shows then is whole and
old, and nothing within it shows that; a second file does. It is written after a commit returned,
and not forced onto the platter: the log was, so what is here can only lag, and a lag is mended
when the journal is opened. Heads that are ahead of the journal mean that its end is lost.

Each channel has two records that are written in turn, in different sectors: a write that is
torn leaves the other. Three records share a sector of 512 bytes.
"""

import os
import struct
from binascii import crc32
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from mtnet.errors import JournalError
from mtnet.services.signals.journal.hash_chain import GENESIS, Checkpoint
from mtnet.storage.files import sync
from mtnet.storage.sqlite import FileIdentity, moved_error

MAX_NAME = 32
"""Bytes of the name of a channel."""
SECTOR, SHARE = 512, 3
_RECORD = struct.Struct("<4s32s16sQQ32s32s")
_SEAL = struct.Struct("<I")
_SIZE = _RECORD.size + _SEAL.size
_MAGIC = b"MTH1"
Copies = tuple[int, int]
"""Where the two records of a channel begin."""


class Checkpoints:
    """
    Args:
        path: the file; it is made with the first channel.

    Attributes:
        behind: by channel, what the file did not take yet.
        trouble: why it did not take the last ones; empty = it did.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.trouble = path, ""
        self.behind: dict[str, Checkpoint] = {}
        self._file: FileIO | None = None
        self._places: dict[str, Copies] = {}
        self._next = 0

    def read(self) -> dict[str, Checkpoint]:
        """
        Return the newest head of each channel.

        Raises:
            JournalError: the file is there and cannot be read.
        """
        data = read(self.path)
        found = parse(data)
        self._places = {name: _copies(place) for name, (place, _) in found.items()}
        self._next = _places(data)
        return {name: checkpoint for name, (_, checkpoint) in found.items()}

    def begin(self, channel: str, epoch: str) -> None:
        """
        Name a channel that is about to be made; on the platter when this returns.

        A journal that knows a channel which the checkpoints do not is refused, so this comes first.
        A head of revision 0 whose channel was not made after all says nothing.

        Raises:
            JournalError: the disk is full or failed.
        """
        self.write([Checkpoint(channel, epoch, 0, 0, GENESIS, GENESIS)])
        self.sync()

    def note(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Note how far channels have come; what the file does not take now, it takes next time."""
        for checkpoint in checkpoints:
            self.behind[checkpoint.channel] = checkpoint
        if self.behind:
            try:
                self.write(self.behind.values())
            except JournalError as error:
                self.trouble = str(error)
                return
            self.behind.clear()
        self.trouble = ""

    def catch_up(self) -> None:
        """Look whether the file is where it was opened, and note what it did not take yet."""
        try:
            self.check()
        except JournalError as error:
            self.trouble = str(error)
        else:
            self.note(())

    def write(self, checkpoints: Iterable[Checkpoint]) -> None:
        """
        Note how far channels have come.

        Raises:
            JournalError: the disk is full or failed; the journal itself is whole.
        """
        try:
            file = self._file if self._file is not None else self._open()
            for checkpoint in checkpoints:
                copies = self._places.get(checkpoint.channel)
                if copies is None:
                    copies = self._new_place(checkpoint.channel)
                file.seek(copies[checkpoint.revision & 1])
                file.write(_seal(checkpoint))
        except OSError as error:
            self.close()
            raise JournalError(f"{self.path} does not take the checkpoints: {error}.") from error

    def sync(self) -> None:
        """
        Force what was written onto the platter.

        Raises:
            JournalError: the disk failed.
        """
        if self._file is None:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self.close()
            raise JournalError(f"{self.path} does not reach the disk: {error}.") from error

    def check(self) -> None:
        """
        Look whether the file is where it was opened.

        Raises:
            JournalError: it is not, or cannot be asked for.
        """
        if self._file is None:
            return
        try:
            now = FileIdentity.of(self.path)
            if now != FileIdentity.of(self._file.fileno()):
                raise moved_error(self.path, now)
        except OSError as error:
            raise JournalError(f"{self.path} cannot be asked for: {error}.") from error

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        if not self.path.exists():
            self.path.touch(0o600)
            sync(self.path.parent)
        self._file = FileIO(self.path, "r+")
        return self._file

    def _new_place(self, channel: str) -> Copies:
        copies = self._places[channel] = _copies(self._next)
        self._next += 1
        return copies


def read(path: Path) -> bytes:
    """
    Return the bytes of a checkpoint file; none when there is no file.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        return path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error


def parse(data: bytes) -> dict[str, tuple[int, Checkpoint]]:
    """Return the place and the newest head of each channel; what is torn is left out."""
    found: dict[str, tuple[int, Checkpoint]] = {}
    for place in range(_places(data)):
        for copy in (0, 1):
            checkpoint = _unseal(data[_offset(place, copy) :][:_SIZE])
            if checkpoint is None:
                continue
            if (
                checkpoint.channel not in found
                or found[checkpoint.channel][1].revision <= checkpoint.revision
            ):
                found[checkpoint.channel] = place, checkpoint
    return found


def dump(checkpoints: Iterable[Checkpoint]) -> bytes:
    """Return a checkpoint file that names these, once each."""
    data = bytearray()
    for place, checkpoint in enumerate(checkpoints):
        start = _offset(place, checkpoint.revision & 1)
        data.extend(bytes(max(0, _offset(place, 1) + _SIZE - len(data))))
        data[start : start + _SIZE] = _seal(checkpoint)
    return bytes(data)


def _copies(place: int) -> Copies:
    return _offset(place, 0), _offset(place, 1)


def _offset(place: int, copy: int) -> int:
    return (place // SHARE * 2 + copy) * SECTOR + place % SHARE * _SIZE


def _places(data: bytes) -> int:
    """Count the places that hold anything, so that no new one falls onto a torn one."""
    places = (len(data) // (2 * SECTOR) + 1) * SHARE
    while places and not any(any(data[_offset(places - 1, copy) :][:_SIZE]) for copy in (0, 1)):
        places -= 1
    return places


def _seal(checkpoint: Checkpoint) -> bytes:
    name, epoch = checkpoint.channel.encode(), checkpoint.epoch.encode()
    body = _RECORD.pack(
        _MAGIC, name, epoch, checkpoint.seq, checkpoint.revision, checkpoint.hash, checkpoint.proof
    )
    return body + _SEAL.pack(crc32(body))


def _unseal(data: bytes) -> Checkpoint | None:
    if len(data) < _SIZE or _SEAL.unpack(data[_RECORD.size :])[0] != crc32(data[: _RECORD.size]):
        return None
    magic, name, epoch, seq, revision, digest, proof = _RECORD.unpack(data[: _RECORD.size])
    if magic != _MAGIC:
        return None
    return Checkpoint(name.rstrip(b"\0").decode(), epoch.decode(), seq, revision, digest, proof)
