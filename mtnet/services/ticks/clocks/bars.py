"""
UTC of the openings of bars, by rules, and by the receipt of ticks where a clock is measured.

Pure. A bar has neither a source nor a time of receipt: those of the ticks count that came within
the quarter of an hour of its first tick. A bar that a change of the clock lies in opened before it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby, islice

from mtnet.services.ticks.clocks.measured import QUARTER, WINDOW, measured
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.storage.schema import IMPORT
from mtnet.services.ticks.wire import time_of

SKIPPED = 8
"""Quarters of an hour that are read though no bar needs them: to begin to read at another time
costs about as much."""

Read = Callable[[int], Iterator[Stored]]
"""Returns the ticks of a symbol, in order, from an order time on."""
Quarters = Iterator[tuple[int, Iterator[Stored]]]


class BarClock:
    """
    The clock of the bars of one symbol.

    Args:
        symbol: as on the wire.
        timed: whether the bars are those of the broker's clock; else they have UTC.
    """

    def __init__(self, clocks: Clocks, symbol: str, timed: bool, read: Read) -> None:
        self._clocks, self._symbol, self._timed, self._read = clocks, symbol, timed, read
        self._by_source = clocks.is_by_source(symbol)
        self._quarters: Quarters | None = None
        self._quarter = 0
        self._sources: list[tuple[str, int | None]] = []

    def utc(self, opening: int, first: int) -> int | None:
        """
        Return the UTC of an opening; None = it is not known. Bars come in order of time.

        Args:
            first: the time of the first tick of the bar.
        """
        if not self._timed:
            return opening
        if not self._by_source:
            return self._clocks.utc(self._symbol, "", opening)
        self._advance(first // QUARTER)
        for source, behind in self._sources:
            if behind is not None:
                return opening + behind
            found = self._clocks.utc(self._symbol, source, opening)
            if found is not None:
                return found
        return None

    def _advance(self, quarter: int) -> None:
        if self._quarters is None or quarter > self._quarter + SKIPPED:
            ticks = self._read(quarter * QUARTER)
            self._quarters = groupby(ticks, lambda tick: tick.time // QUARTER)
        elif quarter <= self._quarter:
            return
        self._quarter, self._sources = quarter, []
        for found, ticks in self._quarters:
            if found >= quarter:
                self._quarter = found
                self._sources = list(self._measured(islice(ticks, WINDOW)))
                break

    def _measured(self, ticks: Iterator[Stored]) -> Iterator[tuple[str, int | None]]:
        """Yield each source, that with most ticks first, and its receipt - TIME if measured."""
        samples: dict[str, list[int]] = {}
        for tick in ticks:
            if time_of(tick.rest) is not None:
                samples.setdefault(tick.source, []).append(tick.received - tick.time)
        counts = Counter({source: len(found) for source, found in samples.items()})
        for source, _ in counts.most_common():
            is_measured = source != IMPORT and self._clocks.is_measured(self._symbol, source)
            yield source, measured(samples[source]) if is_measured else None
