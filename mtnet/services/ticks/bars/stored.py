"""
Joins the bars in memory with those of the stores: the history of a chart, read in a thread.

Bars of ticks that came since the start are in memory, and whole from the minute of the first tick
on, once what is stored of that minute is added. What opened before comes from the stores.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from twisted.internet.defer import Deferred

from mtnet.errors import ClientError, JournalError
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.history import LATEST, BarHistory
from mtnet.services.ticks.bars.periods import Period
from mtnet.services.ticks.bars.series import Bar, Series
from mtnet.storage.worker import InThread


class Past(NamedTuple):
    """
    The stored part of a chart.

    Attributes:
        bars: oldest first, those that open before `opening`.
        basis: how they are made; None = there is no tick.
        opening: of the bar that was open in memory; None = there was none.
        began: of its series.
        open: what is stored of that bar from before `began`; None = nothing.
        earlier: what is stored of the minute at `began` from before the start; None = nothing.
    """

    bars: list[Bar]
    basis: Basis | None = None
    opening: int | None = None
    began: int = 0
    open: Bar | None = None
    earlier: Bar | None = None

    @classmethod
    def nothing(cls, period: Period, series: Series | None) -> "Past":
        """Return that of a chart of which memory alone is known."""
        if series is None or series.open is None:
            return cls([])
        return cls([], _basis(series), period.opening(series.began), series.began)


class StoredBars:
    """
    Reads the stored part of charts.

    Args:
        path: the file of SQLite.
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        sync: returns what fires once all that was taken is on disk.
        by_last: symbols whose bars are made of last prices.

    Attributes:
        came: when the first tick came since the start, milliseconds since the Unix epoch, UTC.
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
        self.came: int | None = None

    def read(
        self, symbol: bytes, period: Period, count: int, series: Series | None
    ) -> "Deferred[Past]":
        """
        Read `count` bars, with the one that is open in memory, of what was taken until now.

        Args:
            series: of the symbol in memory; None = there was no tick since the start.
        """
        current = None if series is None else series.open
        memory = Past.nothing(period, series)
        if current is not None:
            memory = memory._replace(opening=period.opening(current.time))

        def work(_: object) -> "Deferred[Past]":
            return self._in_thread(self._read, symbol, period, count, memory)

        # What the disk refuses is in memory, and its older ticks can be read all the same.
        synced = self._sync().addErrback(lambda failure: failure.trap(JournalError))
        return synced.addCallback(work)

    def _read(self, symbol: bytes, period: Period, count: int, memory: Past) -> Past:
        _, basis, opening, began, *_ = memory
        try:
            history = BarHistory(self._path)
            basis = basis or history.basis(symbol, symbol in self._by_last)
        except ClientError:  # nothing is stored
            return memory
        if opening is None:
            return Past(history.last(symbol, period, basis, count, LATEST), basis)
        return memory._replace(
            bars=history.last(symbol, period, basis, count - 1, opening),
            open=history.within(symbol, period, basis, opening, began),
            earlier=history.before(symbol, basis, began, self.came or 0),
        )


def _basis(series: Series) -> Basis:
    return Basis(series.price, series.clock == "broker", series.digits)
