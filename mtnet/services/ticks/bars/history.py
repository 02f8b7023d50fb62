"""
Bars of the stored ticks, of both stores as one.

Pure, blocking, and of constant memory. What `Series` builds from ticks as they come, this makes of
the same ticks on disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from functools import reduce
from heapq import merge as merged
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from mtnet.durations import DAY_MS
from mtnet.errors import ClientError
from mtnet.services.ticks.bars.files import Basis, bars_of_files
from mtnet.services.ticks.bars.periods import HOUR, MINUTE, SECOND, Period
from mtnet.services.ticks.bars.series import BID, LAST, Bar, Series, decimals, merge
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.storage.reader import BlocksReplacedError, TickReader
from mtnet.services.ticks.storage.schema import IMPORT
from mtnet.services.ticks.wire import ABSENT, pad, time_of

SAMPLE, ENOUGH = 4_096, 100
"""Ticks of the newest hour that say how the bars of a symbol are made; where they are too few,
those of its newest day."""
MOST = 20_000_000
"""Ticks behind the last bars that are asked for at once: 3 s of a thread, from Parquet files."""
MOST_IN_BLOCKS = 500_000
"""The same where all days are in blocks, without DuckDB: 2 s."""
EARLIEST, LATEST = -(2**62), 2**62
"""Order times, milliseconds, of no tick."""


class BarHistory:
    """
    Reads the bars of the stored ticks.

    Args:
        path: the file of SQLite.

    Raises:
        ClientError: there are no ticks.
        JournalError: a store is damaged, or its files need DuckDB; of each method, too.
    """

    def __init__(self, path: Path) -> None:
        self._reader = TickReader(path)

    def basis(self, symbol: bytes, by_last: bool = False) -> Basis:
        """
        Return how the bars of a symbol are made, by its newest ticks.

        Args:
            by_last: of last prices also where there are bids.

        Raises:
            ClientError: there is no tick of it.
        """
        extent = self._reader.extent(symbol)
        if extent is None:
            raise ClientError(f"There are no ticks of {symbol.decode()}.")
        rows: list[list[bytes]] = []
        for span in (HOUR, DAY_MS):
            if len(rows) < ENOUGH:
                newest = self._reader.ticks(symbol, extent.latest - span)
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
        at = EARLIEST if start is None else period.ceiling(start)
        high = LATEST if stop is None else period.ceiling(stop)
        while True:
            try:
                parts = self._parts(symbol, period, basis, (at, high))
                are_bars = period.part == period.length
                for bar in parts if are_bars else merge(parts, period.opening):
                    yield bar
                    at = period.following(bar.time)
                return
            except BlocksReplacedError:
                continue

    def last(self, symbol: bytes, period: Period, basis: Basis, count: int, stop: int) -> list[Bar]:
        """
        Return the last bars that open before `stop`; `count` at most, and fewer where that would
        take more than `MOST` ticks.
        """
        extent = self._reader.extent(symbol)
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
        self, symbol: bytes, period: Period, basis: Basis, start: int, stop: int
    ) -> Bar | None:
        """Return the bar of the ticks of a span, which lies within one bar; None = it has none."""
        while start < stop:
            try:
                found = self._parts(symbol, period, basis, (start, stop))
                return next(merge(list(found), period.opening), None)
            except BlocksReplacedError:
                continue
        return None

    def before(self, symbol: bytes, basis: Basis, opening: int, came: int) -> Bar | None:
        """Return the bar of a minute of the ticks that came before a moment, or by an import."""
        ticks = self._reader.ticks(symbol, opening, opening + MINUTE)
        earlier = (
            (tick.rest, tick.received)
            for tick in ticks
            if tick.received < came or tick.source == IMPORT
        )
        return next(bars_of_ticks(earlier, basis, MINUTE), None)

    def _parts(
        self, symbol: bytes, period: Period, basis: Basis, span: tuple[int, int]
    ) -> Iterator[Bar]:
        """Yield bars of the period's part; of one time, what is in files came first."""
        files, ticks = self._reader.stores(symbol, *span)
        found = bars_of_files(self._reader.root, files, basis, period.part, span)
        cold = self._reader.guarded(files, found)
        short = MINUTE if period.part % MINUTE == 0 else SECOND
        inside = ((rest, came) for time, rest, came, _ in ticks if span[0] <= time < span[1])
        hot = bars_of_ticks(inside, basis, short)
        if short != period.part:
            hot = merge(hot, lambda time: time - time % period.part)
        if not files:
            yield from hot
            return
        for _, group in groupby(merged(cold, hot, key=itemgetter(0)), itemgetter(0)):
            yield reduce(Bar.with_tick, group)


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
