"""
History of equity: a line for each terminal that REPORTs.

Pure, and in memory alone: it begins with the start of the daemon. Times are milliseconds since the
Unix epoch, UTC.
"""

from array import array
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.wire import Report

SLOT = 300_000
"""Milliseconds of which one value is kept, the last: a chart of a day has some 300 pixels for
each hour at most, and each value takes 16 bytes."""
KEPT = 288
"""Values of one terminal: a day, 4.6 kB."""
MAX_LINES = 2_000
"""Terminals with a line, some 9 MB; the one that was silent longest makes room."""


class Point(NamedTuple):
    """Equity at a time, in the currency of the account."""

    time: int
    equity: str


class EquityLine:
    """Ring of the last `KEPT` values of one account at one terminal."""

    __slots__ = ("_account", "_times", "_values")

    def __init__(self) -> None:
        self._account = ("", "")
        self._times, self._values = array("q"), array("d")

    def __iter__(self) -> Iterator[Point]:
        for time, value in zip(self._times, self._values, strict=True):
            yield Point(time, f"{Decimal(repr(value)):f}")

    def note(self, report: Report, when: int) -> None:
        """Take a REPORT; one of another account, or of a clock that was set back, begins anew."""
        if report.equity is None:
            return
        account = report.account, report.server
        if account != self._account or (self._times and when < self._times[-1]):
            self._account, self._times, self._values = account, array("q"), array("d")
        if self._times and self._times[-1] // SLOT == when // SLOT:
            self._times[-1], self._values[-1] = when, float(report.equity)
            return
        self._times.append(when)
        self._values.append(float(report.equity))
        if len(self._times) > KEPT:
            del self._times[0], self._values[0]


class EquityLines:
    """The lines of all terminals that have sent a REPORT since the start."""

    def __init__(self) -> None:
        self._lines: dict[TerminalKey, EquityLine] = {}

    def note(self, key: TerminalKey, report: Report, when: int) -> None:
        """Take a REPORT of a terminal."""
        line = self._lines[key] = self._lines.pop(key, EquityLine())
        line.note(report, when)
        if len(self._lines) > MAX_LINES:
            del self._lines[next(iter(self._lines))]

    def of(self, key: TerminalKey) -> list[Point] | None:
        """Return the line of a terminal; None = it has sent no REPORT."""
        line = self._lines.get(key)
        return None if line is None else [*line]
