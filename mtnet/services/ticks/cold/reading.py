"""
Reads the files of the cold store in order of time.

Pure. The files of a day are parts in order of arrival, each in order of time.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import attrgetter, itemgetter
from pathlib import Path

from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.catalog import ColdFile
from mtnet.services.ticks.cold.parquet import Row, Span

FILES = 32
"""Files that one query reads, one after another."""


def read_files(root: Path, files: Sequence[ColdFile], low: int, high: int) -> Iterator[Row]:
    """
    Yield the ticks of files of one symbol in order of time, and those of one time in that of
    arrival.

    Args:
        files: by day and part.
        low, high: order times; `low` is included, `high` is not.

    Raises:
        FileNotFoundError: a file is gone.
        JournalError: DuckDB is not installed, or a file is damaged.
    """
    whole: list[Path] = []
    for _, group in groupby(files, attrgetter("day")):
        parts = list(group)
        inside = (
            low <= min(each.first for each in parts) and max(each.last for each in parts) < high
        )
        if len(parts) == 1 and inside and len(whole) < FILES:
            whole.append(parts[0].path(root))
            continue
        if whole:
            yield from parquet.read(whole)
        whole = []
        yield from _day(root, parts, low, high)
    if whole:
        yield from parquet.read(whole)


def _day(root: Path, parts: Sequence[ColdFile], low: int, high: int) -> Iterator[Row]:
    return merge(
        *(parquet.read([each.path(root)], Span(low, high, not each.untimed)) for each in parts),
        key=itemgetter(0),
    )


def merged(cold: Iterator[Row], hot: Iterable[Row]) -> Iterator[Row]:
    """Merge ticks in order of time; of one time, `cold` comes first."""
    waiting = iter(hot)
    head = next(waiting, None)
    for tick in cold:
        while head is not None and head[0] < tick[0]:
            yield head
            head = next(waiting, None)
        yield tick
    if head is not None:
        yield head
        yield from waiting
