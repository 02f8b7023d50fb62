"""
Bars of the stored ticks, of both stores as one.

Pure, blocking, and of constant memory. What `Series` builds from ticks as they come, this makes of
the same ticks on disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from mtnet.durations import DAY_MS
from mtnet.errors import ClientError
from mtnet.services.ticks.bars.files import Basis, Cut, bars_of_files
from mtnet.services.ticks.bars.periods import HOUR, Period
from mtnet.services.ticks.bars.series import (
    BID,
    EARLIEST,
    LAST,
    Bar,
    Series,
    decimals,
    merge,
    together,
)
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.snapshot import StaleSnapshotError
from mtnet.services.ticks.wire import ABSENT, pad, time_of

SAMPLE, ENOUGH = 4_096, 100
"""Ticks of the newest hour that say how the bars of a symbol are made; where they are too few,
those of its newest day."""
MOST = 20_000_000
"""Ticks behind the last bars that are asked for at once: 3 s of a thread, from Parquet files."""
MOST_IN_BLOCKS = 500_000
"""The same where all days are in blocks, without DuckDB: 2 s."""
LATEST = 10**14
"""An order time, milliseconds, behind all others: TIME has 14 digits at most."""


class BarHistory:
    """
    Reads the bars of the stored ticks.

    Args:
        path: the file of SQLite.

    Attributes:
        reader: reads the ticks themselves.

    Raises:
        ClientError: there are no ticks.
        JournalError: a store is damaged, or its files need DuckDB; of each method, too.
    """

    def __init__(self, path: Path) -> None:
        self.reader = TickReader(path)

    def basis(self, symbol: bytes, by_last: bool = False) -> Basis:
        """
        Return how the bars of a symbol are made, by its newest ticks.

        Args:
            by_last: of last prices also where there are bids.

        Raises:
            ClientError: there is no tick of it.
        """
        extent = self.reader.extent(symbol)
        if extent is None:
            raise ClientError(f"There are no ticks of {symbol.decode()}.")
        rows: list[list[bytes]] = []
        for span in (HOUR, DAY_MS):
            if len(rows) < ENOUGH:
                newest = self.reader.ticks(symbol, extent.latest - span)
                rows = [pad(each.rest) for each in islice(newest, SAMPLE)]
        has_bid = any(row[0] != ABSENT for row in rows)
        prices = {each for row in rows for each in row[:3] if each != ABSENT}
        return Basis(
            BID if has_bid and not by_last else LAST,
            any(row[4] != ABSENT for row in rows),
            max(map(decimals, prices), default=0),
        )

    def bars(
        self,
        symbol: bytes,
        period: Period,
        basis: Basis,
        start: int | None = None,
        stop: int | None = None,
    ) -> Iterator[Bar]:
        """
        Yield the bars of the ticks that are stored now, in order; the last may still be open.

        Args:
            start, stop: openings; `start` is included, `stop` is not.
        """
        # Months are those of dates, which a time of any size is not.
        at = EARLIEST if start is None else period.ceiling(min(max(start, 0), LATEST))
        high = LATEST if stop is None else period.ceiling(min(max(stop, 0), LATEST))
        while True:
            try:
                parts = self._parts(symbol, period, basis, (at, high))
                are_bars = period.part == period.length
                for bar in parts if are_bars else merge(parts, period.opening):
                    yield bar
                    at = period.following(bar.time)
                return
            except StaleSnapshotError:
                continue

    def last(self, symbol: bytes, period: Period, basis: Basis, count: int, stop: int) -> list[Bar]:
        """
        Return the last bars that open before `stop`; `count` at most, and fewer where that would
        take more than `MOST` ticks.
        """
        extent = self.reader.extent(symbol)
        if extent is None or count <= 0:
            return []
        most = MOST if parquet.available() else MOST_IN_BLOCKS
        dense = extent.ticks / (extent.latest - extent.earliest + 1)
        end = min(stop, extent.latest + 1)
        # A week has five days of trading.
        length = min(count * period.length * 7 // 5 + period.length, round(most / dense))
        while True:
            start, found, ticks = period.opening(end - length), deque[Bar](maxlen=count), 0
            for bar in self.bars(symbol, period, basis, start, stop):
                found.append(bar)
                ticks += bar.ticks
            if len(found) == count or start <= extent.earliest or ticks * 4 > most:
                return list(found)
            length *= 4

    def within(
        self, symbol: bytes, period: Period, basis: Basis, span: tuple[int, int], cut: Cut
    ) -> list[Bar]:
        """Return the bars of some ticks alone: those of a span of order times that `cut` takes."""
        while span[0] < span[1]:
            try:
                found = list(self._parts(symbol, period, basis, span, cut))
                return list(merge(found, period.opening))
            except StaleSnapshotError:
                continue
        return []

    def _parts(
        self,
        symbol: bytes,
        period: Period,
        basis: Basis,
        span: tuple[int, int],
        cut: Cut | None = None,
    ) -> Iterator[Bar]:
        """Yield bars of the period's part; of one time, what is in files came first."""
        files, ticks = self.reader.stores(symbol, *span)
        found = bars_of_files(self.reader.root, files, basis, period.part, span, cut)
        cold = self.reader.guarded(files, found)
        inside = (
            (rest, came)
            for time, rest, came, source in ticks
            if span[0] <= time < span[1] and (cut is None or cut.takes(time, came, source))
        )
        hot = bars_of_ticks(inside, basis, period.base)
        if period.base != period.part:
            hot = merge(hot, lambda time: time - time % period.part)
        yield from together(cold, hot) if files else hot


def bars_of_ticks(ticks: Iterable[tuple[bytes, int]], basis: Basis, length: int) -> Iterator[Bar]:
    """
    Yield the bars of ticks in order of time: what follows the symbol on the wire, and receipt.

    Args:
        length: of a bar, milliseconds; a minute at most.
    """
    series = Series(basis.price, length)
    series.clock = basis.clock
    for rest, received in ticks:
        if (basis.timed or time_of(rest) is None) and series.add(rest, received):
            yield from series.take_closed()
    if series.open is not None:
        yield series.open
