"""Channels that their owner has paused; they stay so over a restart."""

import os
from pathlib import Path

from mtnet.errors import JournalError


class Holds:
    """
    Args:
        path: a file with one channel a line.

    Raises:
        JournalError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            text = path.read_text("ascii") if path.exists() else ""
        except (OSError, UnicodeError) as error:
            raise JournalError(
                f"{path} does not say which channels are paused: {error}."
            ) from error
        self.channels = frozenset(text.split())

    def put(self, channel: str) -> None:
        """
        Pause a channel; it is paused when this returns.

        Raises:
            JournalError: the disk does not keep it.
        """
        self._write(self.channels | {channel})

    def lift(self, channel: str) -> None:
        """
        Let a channel go on.

        Raises:
            JournalError: the disk does not keep it.
        """
        self._write(self.channels - {channel})

    def _write(self, channels: frozenset[str]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            with fresh.open("w", encoding="ascii") as file:
                file.write("".join(f"{each}\n" for each in sorted(channels)))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise JournalError(f"{self._path} cannot be written: {error.strerror}.") from error
        self.channels = channels
