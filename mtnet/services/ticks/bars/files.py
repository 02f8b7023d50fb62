"""
Bars of the files of the cold store, made by DuckDB.

Pure. The rules are those of `Series`, and so are the numbers.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from mtnet.services.ticks.bars.periods import MINUTE
from mtnet.services.ticks.bars.series import LAST, MAX_AHEAD, TRADES, Bar
from mtnet.services.ticks.cold.catalog import ColdFile
from mtnet.services.ticks.cold.parquet import ROWS, connected, literal
from mtnet.services.ticks.storage.schema import IMPORT, IMPORTED

DAYS = 32
"""Days of one query."""

# Equal times stay in the order of arrival, which `seq` is over all files of a symbol.
_BARS = """
SELECT t - t % {length} AS opening, arg_min(price, place), max(price), min(price),
    arg_max(price, place), count(*), arg_min(spread, place), sum(volume), min(t) - opening,
    max(t) - opening
FROM (
    SELECT {time} AS t, {price} AS price, t::HUGEINT * 4611686018427387904 + seq AS place,
        coalesce(ask - bid, '-Infinity'::DOUBLE) AS spread,
        CASE WHEN coalesce(flags, {trades}) & {trades} <> 0 THEN coalesce(volume, 0) ELSE 0 END
            AS volume
    FROM read_parquet([{files}], hive_partitioning = false)
    WHERE {which} AND price IS NOT NULL AND t >= {low} AND t < {high}
) GROUP BY opening ORDER BY opening
"""
_TIMED = f"time_msc IS NOT NULL AND time_msc <= received_us // 1000 + {MAX_AHEAD}"


class Cut(NamedTuple):
    """
    Chooses ticks that are not in the bars in memory, and takes imported ones for such.

    Attributes:
        came: takes those received before, milliseconds since the Unix epoch, UTC.
        floor: takes those of an order time before, whenever they were received.
    """

    came: int
    floor: int

    def takes(self, time: int, received: int, source: int) -> bool:
        """Return whether it chooses a tick of an order time."""
        return received < self.came or time < self.floor or source == IMPORTED


class Basis(NamedTuple):
    """
    The rules by which the bars of a symbol are made.

    Attributes:
        price: the field: `BID` or `LAST`.
        timed: by TIME, the clock of the broker; else by the time of receipt, of ticks without TIME.
        digits: decimals of its prices; the last one is a point.
    """

    price: int
    timed: bool
    digits: int

    @property
    def clock(self) -> str:
        """The clock as BARS names it."""
        return "broker" if self.timed else "received"

    @property
    def kind(self) -> str:
        """The price by its name."""
        return "last" if self.price == LAST else "bid"


def bars_of_files(
    root: Path,
    files: Sequence[ColdFile],
    basis: Basis,
    length: int,
    span: tuple[int, int],
    cut: Cut | None = None,
) -> Iterator[Bar]:
    """
    Yield the bars of files of one symbol, in order of time.

    Args:
        files: by day.
        length: of a bar, milliseconds; a divisor of a day.
        span: order times; the first is included, the second is not.
        cut: chooses ticks; None = all.

    Raises:
        FileNotFoundError: a file is gone.
        JournalError: DuckDB is not installed, or a file is damaged.
    """
    most = DAYS if length >= MINUTE else 1  # a day has 86,400 seconds
    days = [list(group) for _, group in groupby(files, attrgetter("day"))]
    for at in range(0, len(days), most):
        paths = [each.path(root) for day in days[at : at + most] for each in day]
        yield from _bars(paths, basis, length, span, cut)


def _bars(
    paths: Sequence[Path], basis: Basis, length: int, span: tuple[int, int], cut: Cut | None
) -> Iterator[Bar]:
    for path in paths:
        path.stat()
    query = _BARS.format(
        length=length,
        time="time_msc" if basis.timed else "received_us // 1000",
        price="nullif(last, 0)" if basis.price == LAST else "bid",
        trades=TRADES,
        files=", ".join(literal(str(path)) for path in paths),
        which=(_TIMED if basis.timed else "time_msc IS NULL") + _condition(cut),
        low=span[0],
        high=span[1],
    )
    with connected(paths[0]) as run:
        found = run(query)
        while rows := found.fetchmany(ROWS):
            yield from map(Bar._make, rows)


def _condition(cut: Cut | None) -> str:
    if cut is None:
        return ""
    chosen = f"received_us < {cut.came} * 1000 OR t < {cut.floor} OR source = {literal(IMPORT)}"
    return f" AND ({chosen})"
