"""Write-behind file: it is known after a restart, and writing it delays nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.storage.files import replace_file

SAVE_DELAY = 30.0
"""Seconds from a change to its writing: what such files keep changes each second, and a kill may
cost this much of what is known anew soon."""
Copy = Callable[[], tuple[int, Callable[[], bytes]]]
"""Returns how often the content has changed, and what makes its bytes, in a thread."""


class WriteBehindFile:
    """
    File that is written a while after its content has changed, and at the stop.

    Args:
        in_thread: runs a blocking function off the reactor.
        copy: takes the content as it is now.
        what: the content, as the subject of a sentence in the log.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        in_thread: Callable[..., "Deferred[Any]"],
        copy: Copy,
        what: str,
    ) -> None:
        self._path, self._clock, self._in_thread = path, clock, in_thread
        self._copy, self._what = copy, what
        self._timer: IDelayedCall | None = None
        self._saved = 0
        self._failing = False

    def read(self) -> bytes | None:
        """
        Return what was stored; blocking. None = there is no such file.

        Raises:
            OSError: it cannot be read.
        """
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def unreadable(self, error: Exception) -> None:
        """Log that what was stored is lost."""
        text = "{path} cannot be read ({error}): {what} is not known until it is told again"
        self.log.warn(text, path=str(self._path), error=error, what=self._what)

    def changed(self) -> None:
        """Write the file within `SAVE_DELAY`."""
        if self._timer is None:
            self._timer = self._clock.callLater(SAVE_DELAY, self._due)

    def close(self) -> "Deferred[None]":
        """Write what is not written yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self._save()

    def _due(self) -> None:
        self._timer = None
        self._save()

    def _save(self) -> "Deferred[None]":
        changes, encode = self._copy()
        if changes == self._saved:
            return succeed(None)
        done = self._in_thread(self._write, encode)
        return done.addCallbacks(lambda _: self._written(changes), self._failed)

    def _write(self, encode: Callable[[], bytes]) -> None:
        replace_file(self._path, encode())

    def _written(self, changes: int) -> None:
        self._saved, self._failing = changes, False

    def _failed(self, failure: Failure) -> None:
        if not self._failing:
            self._failing = True
            self.log.warn(
                "{what} is not stored: {reason}",
                what=self._what,
                reason=failure.getErrorMessage(),
            )
