"""
UTC beside the times of ticks, by rules, and by receipt where a clock is measured.

Pure. A clock is measured anew in each quarter of an hour of its own time: receipt - TIME, of which
the median is rounded to a quarter of an hour, as zones are. So the delay of ticks does not matter,
and a change of the clock counts from the next quarter on. The receipt of imported ticks says
nothing.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.storage.schema import IMPORT
from mtnet.services.ticks.wire import time_of

QUARTER = 900_000
"""Milliseconds: a quarter of an hour."""
WINDOW = 65_536
"""Ticks that are measured together at most, of about 200 bytes each; a quarter of an hour seldom
has more, and then is measured in parts."""

WithUtc = tuple[Stored, int | None]
"""A tick and its UTC in milliseconds; None = it is not known."""


def measured(samples: Iterable[int]) -> int:
    """Return the rounded median of receipt - TIME, milliseconds."""
    from statistics import median  # most commands on ticks measure no clock

    return round(median(samples) / QUARTER) * QUARTER


def with_utc(clocks: Clocks, symbol: str, ticks: Iterator[Stored]) -> Iterator[WithUtc]:
    """Yield ticks of a symbol, in order, with their UTC; without TIME, that of receipt."""
    if not clocks.measures:
        for tick in ticks:
            yield tick, _by_rule(clocks, symbol, tick)
        return
    for _, group in groupby(ticks, lambda tick: tick.time // QUARTER):
        while window := list(islice(group, WINDOW)):
            yield from _by_receipt(clocks, symbol, window)


def _by_rule(clocks: Clocks, symbol: str, tick: Stored) -> int | None:
    time = time_of(tick.rest)
    return tick.received if time is None else clocks.utc(symbol, tick.source, time)


def _by_receipt(clocks: Clocks, symbol: str, ticks: list[Stored]) -> Iterator[WithUtc]:
    samples: dict[str, list[int]] = {}
    for tick in ticks:
        if tick.source != IMPORT and time_of(tick.rest) is not None:
            samples.setdefault(tick.source, []).append(tick.received - tick.time)
    behind = {
        source: measured(found)
        for source, found in samples.items()
        if clocks.is_measured(symbol, source)
    }
    for tick in ticks:
        is_measured = tick.source in behind and time_of(tick.rest) is not None
        yield (
            tick,
            tick.time + behind[tick.source] if is_measured else _by_rule(clocks, symbol, tick),
        )
