"""
Joins the bars in memory with those of the stores: the history of a chart, read in a thread.

Bars of ticks that came since the start are in memory. They are whole from that of the first tick
on, once what is stored of these is added. What closed before comes from the stores, and of a bar
that is open then the ticks that memory lacks.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred

from mtnet.errors import ClientError, JournalError
from mtnet.services.ticks.bars.files import Basis, Cut
from mtnet.services.ticks.bars.history import LATEST, BarHistory
from mtnet.services.ticks.bars.periods import BASES, MINUTE, Period
from mtnet.services.ticks.bars.series import (
    MAX_AHEAD,
    MAX_SECONDS,
    MAX_SERIES,
    Bar,
    Series,
)
from mtnet.storage.worker import InThread


class Past(NamedTuple):
    """
    The stored part of a chart.

    Attributes:
        bars: oldest first, those that open before `opening`.
        basis: how they are made; None = there is no tick.
        opening: of the bar that was open in memory; None = there was none.
        began: from which opening on the bars in memory are whole, once `earlier` is added.
        lacking: what memory lacks of the bars from `opening` up to `began`.
        earlier: bars of what it lacks from there on, if it is to be added; None = it was.
    """

    bars: list[Bar]
    basis: Basis | None = None
    opening: int | None = None
    began: int = 0
    lacking: Sequence[Bar] = ()
    earlier: Sequence[Bar] | None = None

    def fits(self, series: Series) -> bool:
        """Return whether the bars in memory go on where these end."""
        if self.basis is None or self.began != series.coverage.began:
            return False
        return (self.basis.clock, self.basis.price) == series.form

    @classmethod
    def nothing(cls, period: Period, series: Series | None) -> "Past":
        """Return that of a chart of which memory alone is known."""
        if series is None or series.open is None:
            return cls([])
        began = series.coverage.began
        return cls([], _basis(series), period.opening(began), began)


class _Missing(NamedTuple):
    """
    The ticks of a symbol that its bars in memory lack.

    Attributes:
        cut: chooses these ticks.
        began: from which opening on the bars are or will be whole.
        latest: an order time that they do not exceed; None = the bars are whole from `began` on.
    """

    cut: Cut
    began: int
    latest: int | None

    @classmethod
    def of(cls, series: Series, base: int) -> "_Missing":
        known = series.coverage
        cut = Cut(known.came, known.floor)
        if known.is_whole:
            return cls(cut, known.began, None)
        latest = min(known.before, known.came + MAX_AHEAD)
        most = base * (MAX_SERIES if base == MINUTE else MAX_SECONDS) // 2
        return cls(cut, max(known.began, (latest - most) // base * base), latest)


class StoredBars:
    """
    Reads the stored part of charts.

    Args:
        path: the file of SQLite.
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        sync: returns what fires once all that was taken is on disk.
        by_last: symbols whose bars are made of last prices.
    """

    def __init__(
        self,
        path: Path,
        in_thread: InThread,
        sync: Callable[[], "Deferred[None]"],
        by_last: Collection[bytes],
    ) -> None:
        self._path, self._in_thread = path, in_thread
        self._sync, self._by_last = sync, by_last

    def read(
        self, symbol: bytes, period: Period, count: int, series: Series | None
    ) -> "Deferred[Past]":
        """
        Read `count` bars, with the one that is open in memory, of what was taken until now.

        Args:
            series: of the symbol in memory; None = there was no tick since the start.
        """
        current = None if series is None else series.open
        memory, missing = Past.nothing(period, series), None
        if series is not None and current is not None:
            memory = memory._replace(opening=period.opening(current.time))
            missing = _Missing.of(series, period.base)

        def work(_: object) -> "Deferred[Past]":
            return self._in_thread(self._read, symbol, period, count, memory, missing)

        # What the disk refuses is in memory, and its older ticks can be read all the same.
        synced = self._sync().addErrback(lambda failure: failure.trap(JournalError))
        return synced.addCallback(work)

    def _read(
        self, symbol: bytes, period: Period, count: int, memory: Past, missing: _Missing | None
    ) -> Past:
        try:
            history = BarHistory(self._path)
            basis = memory.basis
            if missing is None or missing.latest is not None:
                basis = _joined(basis, history.basis(symbol, symbol in self._by_last))
        except ClientError:  # nothing is stored
            return memory
        assert basis is not None, "there is a tick in memory, or one is stored"
        if memory.opening is None or missing is None:
            return Past(history.last(symbol, period, basis, count, LATEST), basis)
        cut, began, latest = missing
        earlier = None
        if latest is not None:
            base = BASES[period.base]
            earlier = history.within(symbol, base, basis, (began, latest + 1), cut)
        lacking = history.within(symbol, period, basis, (memory.opening, began), cut)
        bars = history.last(symbol, period, basis, count - 1, memory.opening)
        return Past(bars, basis, memory.opening, began, lacking, earlier)


def _basis(series: Series) -> Basis:
    return Basis(series.price, series.clock == "broker", series.digits)


def _joined(memory: Basis | None, stored: Basis) -> Basis:
    """Return the basis of memory, with the digits of both."""
    if memory is None:
        return stored
    return memory._replace(digits=max(memory.digits, stored.digits))
