"""Write-behind file of what terminals told: it is known after a restart, too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.services.signals.reports.registry import Reports, Terminal
from mtnet.storage.files import replace_file

SAVE_DELAY = 30.0
"""Seconds from a change to its writing: terminals report each second, and a kill may cost this
much of what they tell anew anyway."""


class ReportStore:
    """
    File of the terminals, written a while after they told something, and at the stop.

    Args:
        in_thread: runs a blocking function off the reactor.

    Attributes:
        reports: what they told; empty until `open`.
        reported: called with login and name of a terminal that has sent a REPORT.
    """

    log = Logger()

    def __init__(
        self, path: Path, clock: IReactorTime, in_thread: Callable[..., "Deferred[Any]"]
    ) -> None:
        self._path, self._clock, self._in_thread = path, clock, in_thread
        self.reports = Reports()
        self.reported: Callable[[str, str], object] = noop
        self._timer: IDelayedCall | None = None
        self._saved = 0
        self._failing = False

    def open(self) -> None:
        """Read what was stored; blocking. What cannot be read is left, and told anew."""
        try:
            data = self._path.read_bytes()
            self.reports = Reports(msgspec.json.decode(data, type=list[Terminal]))
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            self.log.warn(
                "{path} cannot be read ({error}): what terminals told about themselves is not "
                "known until they tell it again",
                path=str(self._path),
                error=error,
            )

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
        changes, terminals = self.reports.changes, self.reports.copy()
        if changes == self._saved:
            return succeed(None)
        done = self._in_thread(self._write, terminals)
        return done.addCallbacks(lambda _: self._written(changes), self._failed)

    def _write(self, terminals: list[Terminal]) -> None:
        replace_file(self._path, msgspec.json.encode(terminals))

    def _written(self, changes: int) -> None:
        self._saved, self._failing = changes, False

    def _failed(self, failure: Failure) -> None:
        if not self._failing:
            self._failing = True
            self.log.warn(
                "What terminals told about themselves is not stored: {reason}",
                reason=failure.getErrorMessage(),
            )
