"""
Ticks as columns of numbers: arrays of NumPy, for pandas, polars and Arrow.

Straight from blocks and Parquet files, without an object for each tick. NumPy is imported when it
is needed; with pyarrow both are read several times as fast.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.blocks import Run, unpack_text
from mtnet.services.ticks.wire import FIELDS, pad

INSTALL = "pip install 'mtnet-hub[arrow]'"
TICKS = 1_048_576
"""Ticks that are parsed at once: 50 MB of text."""
NUMBERS = ("bid", "ask", "last", "volume")
COLUMNS = ("time_msc", "received_us", *NUMBERS, "flags", "source")
"""The columns of each table; they are named as in Parquet files."""


@dataclass
class Table:
    """
    Ticks in order; each array has an item for each tick.

    Attributes:
        time: TIME, milliseconds; where `untimed` is set, the time of receipt.
        untimed: whether no TIME was sent; None = all have one.
        received: the time of receipt, microseconds since the Unix epoch, UTC.
        numbers: bid, ask, last, volume as float64; NaN = absent.
        flags: of MqlTick; -1 = none were sent.
        source: places in `sources`.
        sources: names of senders.
        utc: milliseconds, UTC, masked where a clock is not known; None = nobody asked for it.
    """

    time: Any
    untimed: Any
    received: Any
    numbers: list[Any]
    flags: Any
    source: Any
    sources: list[str]
    utc: Any = None

    def take(self, which: Any) -> "Table":
        """Return the ticks of a slice, or in the order of some places."""
        return Table(
            self.time[which],
            None if self.untimed is None else self.untimed[which],
            self.received[which],
            [each[which] for each in self.numbers],
            self.flags[which],
            self.source[which],
            self.sources,
        )


def numpy() -> Any:
    """
    Return the module.

    Raises:
        JournalError: it is not installed.
    """
    try:
        import numpy

        return numpy
    except ImportError as error:
        raise JournalError(f"Columns of ticks need NumPy: {INSTALL}.") from error


def pandas() -> Any:
    """
    Return the module.

    Raises:
        JournalError: it is not installed.
    """
    try:
        import pandas

        return pandas
    except ImportError as error:
        raise JournalError("A DataFrame needs pandas: pip install pandas.") from error


def polars() -> Any:
    """
    Return the module.

    Raises:
        JournalError: it is not installed.
    """
    try:
        import polars

        return polars
    except ImportError as error:
        raise JournalError("A DataFrame of polars needs polars: pip install polars.") from error


def arrow() -> Any:
    """Return the module pyarrow, or None."""
    try:
        import pyarrow

        return pyarrow
    except ImportError:
        return None


# Blocks


def table_of_blocks(blocks: Iterable[tuple[int, bytes]], names: dict[int, str]) -> list[Table]:
    """
    Return the ticks of blocks, (number, data) pairs in order of arrival, as they come in them.

    Raises:
        JournalError: a block is damaged.
    """
    tables, runs, texts, ticks = [], list[Run](), list[bytes](), 0
    sources = {number: at for at, number in enumerate(names)}
    for number, data in blocks:
        try:
            own, text = unpack_text(zlib.decompress(data))
        except (zlib.error, ValueError) as error:
            raise JournalError(f"Block {number} of the ticks is damaged: {error}.") from error
        runs += own
        texts.append(text)
        ticks += sum(run[2] for run in own)
        if ticks >= TICKS:
            tables.append(_parsed(runs, texts, sources, list(names.values())))
            runs, texts, ticks = [], [], 0
    if texts:
        tables.append(_parsed(runs, texts, sources, list(names.values())))
    return tables


def parsed(records: Sequence[bytes], received: Sequence[int], sources: Sequence[str]) -> Table:
    """Return records as a table, with the time of receipt and the source of each."""
    names = {name: at for at, name in enumerate(dict.fromkeys(sources))}
    runs = [(when, names[name], 1) for when, name in zip(received, sources, strict=True)]
    return _parsed(runs, list(records), {at: at for at in names.values()}, list(names))


def _parsed(
    runs: list[Run], texts: list[bytes], places: dict[int, int], sources: list[str]
) -> Table:
    np = numpy()
    text = b"\n".join(texts)
    counts = np.array([run[2] for run in runs])
    received = np.repeat(np.array([run[0] for run in runs], np.int64), counts)
    source = np.repeat(np.array([places.get(run[1], 0) for run in runs], np.int32), counts)
    if text.count(b" ") != (len(FIELDS) - 1) * len(received):
        text = b"\n".join(b" ".join(pad(line)) for line in text.split(b"\n"))
    *numbers, time, flags = _columns(text)
    untimed = time < 0
    if untimed.any():
        time = np.where(untimed, received, time)
    return Table(time, untimed, received * 1_000, numbers, flags, source, sources)


def _columns(text: bytes) -> list[Any]:
    """Return the six columns of lines; an absent time or flags are -1."""
    if arrow() is None:
        return _columns_by_numpy(text)
    import pyarrow as pa
    from pyarrow import csv

    kinds = dict.fromkeys(NUMBERS, pa.float64()) | {"time": pa.int64(), "flags": pa.int64()}
    found = csv.read_csv(
        pa.py_buffer(text),
        csv.ReadOptions(column_names=list(FIELDS), block_size=4_194_304),
        csv.ParseOptions(delimiter=" ", quote_char=False),
        csv.ConvertOptions(column_types=kinds, null_values=["-"]),
    )
    whole = [found[name].fill_null(-1).to_numpy() for name in FIELDS[4:]]
    return [*(found[name].to_numpy() for name in NUMBERS), *whole]


def _columns_by_numpy(text: bytes) -> list[Any]:
    np = numpy()
    fields = np.array(text.split()).reshape(-1, len(FIELDS))
    numbers = [np.where(each == b"-", b"nan", each).astype(float) for each in fields.T[:4]]
    return [*numbers, *(np.where(each == b"-", b"-1", each).astype(int) for each in fields.T[4:])]


# Files


def table_of_files(paths: Sequence[Path]) -> Table:
    """
    Return the ticks of Parquet files, one file after another.

    Raises:
        FileNotFoundError: a file is gone.
        JournalError: neither pyarrow nor DuckDB is installed, or a file is damaged.
    """
    found = _by_duckdb(paths) if arrow() is None else _by_arrow(paths)
    np = numpy()
    time, received, *numbers, flags = (found[name] for name in COLUMNS[:-1])
    untimed = time < 0
    if untimed.any():
        time = np.where(untimed, received // 1_000, time)
    return Table(time, untimed, received, numbers, flags, *found["source"])


def _by_arrow(paths: Sequence[Path]) -> dict[str, Any]:
    import pyarrow as pa
    from pyarrow import parquet

    tables = []
    for path in paths:
        try:
            tables.append(parquet.ParquetFile(path).read(list(COLUMNS)))
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise JournalError(f"{path} cannot be read: {error}.") from error
    whole = pa.concat_tables(tables)
    found = {name: whole[name].to_numpy() for name in ("received_us", *NUMBERS)}
    found |= {name: whole[name].fill_null(-1).to_numpy() for name in ("time_msc", "flags")}
    source = whole["source"].combine_chunks().dictionary_encode()
    names = source.dictionary.to_pylist()
    return found | {"source": (source.indices.to_numpy(), names)}


def _by_duckdb(paths: Sequence[Path]) -> dict[str, Any]:
    from mtnet.services.ticks.cold import parquet

    np = numpy()
    found = parquet.arrays(paths, COLUMNS)
    for name in ("time_msc", "flags"):
        found[name] = np.ma.filled(found[name], -1).astype(np.int64)
    for name in NUMBERS:
        found[name] = np.ma.filled(found[name], np.nan)
    names, codes = np.unique(found["source"].astype(str), return_inverse=True)
    return found | {"source": (codes.astype(np.int32), names.tolist())}


# Together


def joined(tables: list[Table], low: int, high: int) -> Table:
    """
    Return tables as one, in order of time, and of equal times in the order in which they are.

    Args:
        low, high: order times; `low` is included, `high` is not.
    """
    np = numpy()
    found = _concatenated(tables) if tables else _parsed_nothing()
    if len(found.time) > 1 and not (found.time[1:] >= found.time[:-1]).all():
        found = found.take(np.argsort(found.time, kind="stable"))
    start, stop = np.searchsorted(found.time, [low, high])
    found = found.take(slice(start, stop))
    if found.untimed is not None and not found.untimed.any():
        found.untimed = None
    return found


def _parsed_nothing() -> Table:
    np = numpy()
    whole = np.zeros(0, np.int64)
    numbers = [np.zeros(0) for _ in NUMBERS]
    return Table(whole, None, whole, numbers, whole, np.zeros(0, np.int32), [])


def _concatenated(tables: list[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    np = numpy()
    names = {name: at for at, name in enumerate(dict.fromkeys(_names(tables)))}
    sources = [
        np.array([names[name] for name in each.sources], np.int32)[each.source] for each in tables
    ]
    return Table(
        np.concatenate([each.time for each in tables]),
        np.concatenate([each.untimed for each in tables]),
        np.concatenate([each.received for each in tables]),
        [np.concatenate(parts) for parts in zip(*(t.numbers for t in tables), strict=True)],
        np.concatenate([each.flags for each in tables]),
        np.concatenate(sources),
        list(names),
    )


def _names(tables: list[Table]) -> Iterator[str]:
    for each in tables:
        yield from each.sources
