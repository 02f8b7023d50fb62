"""The column of UTC of a table of ticks, the same as beside single ticks."""

from typing import Any

from mtnet.services.ticks.clocks.measured import QUARTER
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.export.table import Table, numpy
from mtnet.services.ticks.storage.schema import IMPORT


def add_utc(table: Table, clocks: Clocks, symbol: str) -> None:
    """
    Set `table.utc`.

    Args:
        symbol: as on the wire.
    """
    np = numpy()
    utc = table.received // 1_000
    absent = np.zeros(len(utc), bool)
    timed = np.ones(len(utc), bool) if table.untimed is None else ~table.untimed
    for number, source in enumerate(table.sources):
        own = np.flatnonzero(timed & (table.source == number))
        time = table.time[own]
        if source != IMPORT and clocks.is_measured(symbol, source):
            utc[own] = time + _behind(time, utc[own])
        else:
            offset, known = _by_rule(time, clocks, symbol, source)
            utc[own], absent[own] = time - offset, ~known
    table.utc = np.ma.masked_array(utc, absent)


def _behind(time: Any, received: Any) -> Any:
    """Return receipt - TIME of each tick, measured in each quarter of an hour."""
    np = numpy()
    quarters, places = np.unique(time // QUARTER, return_inverse=True)
    medians = [np.median((received - time)[places == at]) for at in range(len(quarters))]
    rounded = np.rint(np.array(medians) / QUARTER).astype(np.int64) * QUARTER
    return rounded[places]


def _by_rule(time: Any, clocks: Clocks, symbol: str, source: str) -> tuple[Any, Any]:
    """Return by how much each time is ahead of UTC, and whether that is known."""
    np = numpy()
    quarters, places = np.unique(time // QUARTER, return_inverse=True)
    found = [clocks.utc(symbol, source, int(each) * QUARTER) for each in quarters]
    known = np.array([each is not None for each in found], bool)
    ahead = [int(each) * QUARTER - (utc or 0) for each, utc in zip(quarters, found, strict=True)]
    return np.array(ahead, np.int64)[places], known[places]
