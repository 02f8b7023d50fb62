"""
Ticks as columns of numbers: arrays of NumPy, for pandas, polars and Arrow.

Straight from blocks, without an object for each tick. NumPy is imported when it is needed; with
pyarrow they are parsed several times as fast.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mtnet.errors import JournalError, MissingPackageError
from mtnet.services.ticks.storage.blocks import count_ticks, split
from mtnet.services.ticks.wire import FIELDS, pad

INSTALL = "pip install 'mtnet-hub[arrow]'"
TICKS = 262_144
"""Ticks that are parsed at once: 12 MB of text."""
NUMBERS = ("bid", "ask", "last", "volume")
RUNS = [("received", "<i8"), ("source", "<u4"), ("ticks", "<u4")]
"""A run of a block as NumPy reads it; `blocks.RUN`."""
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
        MissingPackageError: it is not installed.
    """
    return _module("numpy", f"Columns of ticks need NumPy: {INSTALL}.")


def pandas() -> Any:
    """
    Return the module.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("pandas", "A DataFrame needs pandas: pip install pandas.")


def polars() -> Any:
    """
    Return the module.

    Raises:
        MissingPackageError: it is not installed.
    """
    return _module("polars", "A DataFrame of polars needs polars: pip install polars.")


def _module(name: str, missing: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackageError(missing) from error


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
    tables, runs, texts, ticks = [], list[bytes](), list[bytes](), 0
    for number, data in blocks:
        try:
            own, text = split(zlib.decompress(data))
            count = count_ticks(text)
            if _ticks(own) != count:
                raise ValueError("its counts differ")
        except (zlib.error, ValueError) as error:
            raise JournalError(f"Block {number} of the ticks is damaged: {error}.") from error
        runs.append(own)
        texts.append(text)
        ticks += count
        if ticks >= TICKS:
            tables.append(_parsed(_runs(runs), texts, names))
            runs, texts, ticks = [], [], 0
    if texts:
        tables.append(_parsed(_runs(runs), texts, names))
    return tables


def parsed(records: Sequence[bytes], received: Sequence[int], sources: Sequence[str]) -> Table:
    """Return records as a table, with the time of receipt and the source of each."""
    np = numpy()
    names = {name: at for at, name in enumerate(dict.fromkeys(sources))}
    runs = np.ones(len(records), RUNS)
    runs["received"], runs["source"] = received, [names[name] for name in sources]
    return _parsed(runs, records, {at: name for name, at in names.items()})


def _runs(packed: list[bytes]) -> Any:
    np = numpy()
    return np.frombuffer(b"".join(packed), RUNS)


def _ticks(packed: bytes) -> int:
    np = numpy()
    return int(np.frombuffer(packed, RUNS)["ticks"].sum())


def _parsed(runs: Any, texts: Sequence[bytes], names: dict[int, str]) -> Table:
    """Return the ticks of runs; `names` = those of sources, by their numbers."""
    np = numpy()
    text = b"\n".join(texts)
    places = np.zeros(max(names, default=0) + 1, np.int32)
    places[list(names)] = range(len(names))
    received = np.repeat(runs["received"], runs["ticks"])
    source = np.repeat(places.take(runs["source"], mode="clip"), runs["ticks"])
    if text.count(b" ") != (len(FIELDS) - 1) * len(received):
        text = b"\n".join(b" ".join(pad(line)) for line in text.split(b"\n"))
    *numbers, time, flags = _columns(text)
    absent = time < 0
    untimed = absent if absent.any() else None
    if untimed is not None:
        time = np.where(untimed, received, time)
    return Table(time, untimed, received * 1_000, numbers, flags, source, list(names.values()))


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
    return [array_of(found[name]) for name in FIELDS]


def array_of(column: Any) -> Any:
    """Return a column of pyarrow as an array; an absent integer is -1, an absent number NaN."""
    import pyarrow as pa

    is_whole = pa.types.is_integer(column.type)
    # pyarrow imports pandas for the value that fills.
    return (column.fill_null(-1) if is_whole and column.null_count else column).to_numpy()


def _columns_by_numpy(text: bytes) -> list[Any]:
    np = numpy()
    fields = np.array(text.split()).reshape(-1, len(FIELDS))
    numbers = [np.where(each == b"-", b"nan", each).astype(float) for each in fields.T[:4]]
    return [*numbers, *(np.where(each == b"-", b"-1", each).astype(int) for each in fields.T[4:])]


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
    places = [[names[name] for name in each.sources] for each in tables]
    untimed = [each.untimed for each in tables]
    if any(each is not None for each in untimed):
        untimed = [np.zeros(len(t.time), bool) if t.untimed is None else t.untimed for t in tables]
    return Table(
        np.concatenate([each.time for each in tables]),
        None if untimed[0] is None else np.concatenate(untimed),
        np.concatenate([each.received for each in tables]),
        [np.concatenate(parts) for parts in zip(*(t.numbers for t in tables), strict=True)],
        np.concatenate([each.flags for each in tables]),
        np.concatenate([_moved(t.source, at) for t, at in zip(tables, places, strict=True)]),
        list(names),
    )


def _moved(source: Any, places: list[int]) -> Any:
    """Return the numbers of sources in a longer list of names."""
    if places == list(range(len(places))):
        return source
    np = numpy()
    return np.array(places, np.int32)[source]


def _names(tables: list[Table]) -> Iterator[str]:
    for each in tables:
        yield from each.sources
