"""
The columns of Parquet files: by pyarrow, which reads them several times as fast, else by DuckDB.

What the statistics of a file say is not read: rows outside the span, and a column of one value, as
the only source of a day or flags that are always the same. pyarrow is imported when it is needed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mtnet.errors import JournalError
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.parquet import Span, literal
from mtnet.services.ticks.export.table import COLUMNS, NUMBERS, Table, array_of, arrow, numpy

ABSENT = {"time_msc": -1, "flags": -1, **dict.fromkeys(NUMBERS, float("nan"))}
"""What stands for an absent value; see `array_of`."""
_NOT_ONE = object()
"""A column has several values, or the file does not say how many."""


class Part(NamedTuple):
    """
    A file of the cold store.

    Attributes:
        timed: whether every tick of it has TIME.
    """

    path: Path
    timed: bool


def tables_of_files(parts: Sequence[Part], low: int, high: int) -> list[Table]:
    """
    Return the ticks of Parquet files, one file after another, each in its order.

    Args:
        low, high: order times; ticks outside may be among those that are returned.

    Raises:
        FileNotFoundError: a file is gone.
        JournalError: NumPy is not installed, neither pyarrow nor DuckDB is, or a file is damaged.
    """
    numpy()  # pyarrow does without it, and would have to for good
    read = _by_duckdb if arrow() is None else _by_arrow
    return [table for part in parts for table in read(part, low, high)]


def _table(time: Any, received: Any, numbers: list[Any], flags: Any, source: Any) -> Table:
    """Return a table; an absent time is -1."""
    np = numpy()
    absent = time < 0
    untimed = absent if absent.any() else None
    if untimed is not None:
        time = np.where(untimed, received // 1_000, time)
    return Table(time, untimed, received, numbers, flags, *source)


# pyarrow


def _by_arrow(part: Part, low: int, high: int) -> Iterator[Table]:
    import pyarrow as pa
    from pyarrow import parquet as files

    try:
        with files.ParquetFile(part.path, read_dictionary=["source"]) as file:
            places = {name: at for at, name in enumerate(file.schema.names)}
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                facts = {name: group.column(places[name]).statistics for name in COLUMNS}
                if not part.timed or _overlaps(facts["time_msc"], low, high):
                    yield _table_of_group(file, number, facts)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise JournalError(f"{part.path} cannot be read: {error}.") from error


def _overlaps(facts: Any, low: int, high: int) -> bool:
    """Return whether a row group has values of a span; True where its statistics do not say it."""
    if facts is None or not facts.has_min_max:
        return True
    return bool(facts.min < high and facts.max >= low)


def _only_value(facts: Any) -> Any:
    """Return the value that all rows of a column have; None = none has any."""
    if facts is None or not facts.has_null_count:
        return _NOT_ONE
    if not facts.num_values:
        return None
    is_one = not facts.null_count and facts.has_min_max and facts.min == facts.max
    return facts.min if is_one else _NOT_ONE


def _table_of_group(file: Any, number: int, facts: dict[str, Any]) -> Table:
    np = numpy()
    only = {name: _only_value(each) for name, each in facts.items()}
    found = file.read_row_group(number, [name for name in COLUMNS if only[name] is _NOT_ONE])
    rows = file.metadata.row_group(number).num_rows

    def column(name: str) -> Any:
        kind = float if name in NUMBERS else np.int64
        if only[name] is not _NOT_ONE:
            value = ABSENT[name] if only[name] is None else only[name]
            return np.full(rows, value, kind)
        return array_of(found[name])

    if only["source"] is _NOT_ONE:
        names = found["source"].combine_chunks()
        if not hasattr(names, "dictionary"):  # as files of version 1 have it
            names = names.dictionary_encode()
        source = names.indices.to_numpy(), names.dictionary.to_pylist()
    else:
        source = np.zeros(rows, np.int32), [only["source"]]
    numbers = [column(name) for name in NUMBERS]
    return _table(column("time_msc"), column("received_us"), numbers, column("flags"), source)


# DuckDB


def _by_duckdb(part: Part, low: int, high: int) -> Iterator[Table]:
    np = numpy()
    names = parquet.sources(part.path)
    shown = ", ".join(literal(name) for name in names)
    columns = [*COLUMNS[:-1], f"list_position([{shown}], source) - 1 AS source"]
    found = parquet.arrays(part.path, columns, Span(low, high, part.timed))
    for name in ("time_msc", "flags"):
        found[name] = np.ma.filled(found[name], -1)
    for name in NUMBERS:
        found[name] = np.ma.filled(found[name], np.nan)
    time, received, *numbers, flags, source = found.values()
    yield _table(time, received, numbers, flags, (source, names))
