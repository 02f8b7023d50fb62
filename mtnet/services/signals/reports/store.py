"""Write-behind file of what terminals told: it is known after a restart, too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.callbacks import noop
from mtnet.errors import JournalError
from mtnet.services.signals.reports.history import EquityLines
from mtnet.services.signals.reports.registry import Reports, Terminal, TerminalKey
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.storage.write_behind import WriteBehindFile


def read_reports(path: Path) -> list[Terminal]:
    """
    Return what is stored of terminals, for a program beside the daemon; blocking.

    Raises:
        JournalError: the file cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Terminal])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error


class ReportStore:
    """
    File of the terminals, written a while after they told something, and at the stop.

    Args:
        in_thread: runs a blocking function off the reactor.

    Attributes:
        reports: what they told; empty until `open`.
        equity: the equity that they told since the start, over time.
        reported: called with login and name of a terminal that has sent a REPORT.
    """

    def __init__(
        self, path: Path, clock: IReactorTime, in_thread: Callable[..., "Deferred[Any]"]
    ) -> None:
        what = "The list of reports"
        self._file = WriteBehindFile(path, clock, in_thread, self._copy, what)
        self.reports, self.equity = Reports(), EquityLines()
        self.reported: Callable[[str, str], object] = noop

    def open(self) -> None:
        """Read what was stored; blocking. What cannot be read is left, and told anew."""
        try:
            data = self._file.read()
            if data is not None:
                self.reports = Reports(msgspec.json.decode(data, type=list[Terminal]))
        except (OSError, msgspec.MsgspecError) as error:
            self._file.unreadable(error)

    def report(self, key: TerminalKey, report: Report, when: int) -> None:
        """Take a REPORT, and write the file soon; `when` is milliseconds since the Unix epoch."""
        self.reports.report(key, report, when)
        self.equity.note(key, report, when)
        self._file.changed()
        self.reported(*key)

    def describe(self, key: TerminalKey, spec: Spec, when: int) -> None:
        """Take a SPEC, and write the file soon."""
        self.reports.describe(key, spec, when)
        self._file.changed()

    def close(self) -> "Deferred[None]":
        """Write what is not written yet."""
        return self._file.close()

    def _copy(self) -> tuple[int, Callable[[], bytes]]:
        return self.reports.changes, partial(msgspec.json.encode, self.reports.copy())
